/*
 * Who may ask for what: the one function behind every trigger.  It knows the
 * configuration and the asker's address, and turns the text of a trigger into
 * sites and domains to be released.
 *
 * The argument must parse as a host name, and every site that comes out of it
 * is one of the configuration's; nothing else ever sees the text.
 */
#ifndef TRIGGER_ENTITLE_H
#define TRIGGER_ENTITLE_H

#include "base/arena.h"
#include "base/str.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>

#define TRIGGER_GRANTS_MAX  16
#define TRIGGER_DOMAINS_MAX 100 /* of one grant */

enum trigger_verdict {
	TRIGGER_GRANTED,
	TRIGGER_SYNTAX,  /* the argument is no name: 501 */
	TRIGGER_REFUSED, /* unknown or not theirs, which look the same: 459 */
};

/* What is to be released of one site.  A domain is a key, or "@" and a key for
   it and all below; no domains = all of the site. */
struct trigger_grant {
	const struct conf_site *site;
	struct str *domains;
	size_t domain_count;
};

struct trigger_grants {
	struct arena arena; /* owns the domains */
	struct trigger_grant list[TRIGGER_GRANTS_MAX];
	size_t count;
	bool is_only_domain; /* the peer may ask for no other */
};

/*
 * Whether PEER may ask by TRIGGER for ARGUMENT: "a.test", or with ETRN
 * "@a.test" for what is the peer's of it and below (RFC 1985 5.3), or "#queue",
 * which nobody is entitled to.  *GRANTS_OUT is set in any case and freed with
 * trigger_grants_fini(); it has one grant or more if the verdict is granted.
 * What needs more than TRIGGER_GRANTS_MAX grants is refused as a whole.
 */
enum trigger_verdict trigger_entitle(const struct conf *conf,
    const struct conf_address *peer, enum conf_trigger trigger,
    struct str argument, struct trigger_grants *grants_out)
    __attribute__((warn_unused_result));

void trigger_grants_fini(struct trigger_grants *grants);

#endif
