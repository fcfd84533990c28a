/*
 * Where a recipient's mail goes: the destination it is queued for, and how that
 * destination is reached.  The name says it all, so that what is queued can be
 * routed after a restart from its name alone:
 *
 *   site:NAME            a site of the configuration, by its own route
 *   smtp://HOST:PORT     a static route
 *   maildir:/PATH        a Maildir
 *   prog:/PROGRAM ARG    a program that an alias names
 *   file:/PATH           a file that an alias names
 *   mx:DOMAIN            the mail exchangers of DOMAIN
 */
#ifndef ROLE_ROUTE_H
#define ROLE_ROUTE_H

#include "base/str.h"
#include "conf/conf.h"
#include "sched/sched.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct route {
	char name[STORE_DESTINATION_MAX + 1]; /* of the destination */
	char host[STORE_DESTINATION_MAX + 1]; /* next hop, for the scheduler */
	bool is_held;
	enum conf_route_kind kind;
	char next[STORE_DESTINATION_MAX + 1]; /* SMTP: host; MX: domain */
	uint16_t port;
	uint32_t job;       /* of a helper */
	uint64_t expire_ms; /* after arrival */
	uint64_t notice_ms; /* delay notice, after arrival; 0 = none */
};

/* The route of ADDRESS ("local@domain", or a program or file as
   mail/alias_local.h has it) and the key of its domain, "" where it has none:
   0, or -EINVAL if it has no domain that can be routed, or no alias names that
   program or file. */
int route_of_address(const struct conf *conf, struct str address,
    struct route *route_out, char domain[MAIL_DOMAIN_MAX + 1])
    __attribute__((warn_unused_result));

/* The route of a destination by its name: 0, or -ENOENT if the configuration
   does not know it any more; its times are those of any other then. */
int route_of_destination(const struct conf *conf, struct str name,
    struct route *route_out) __attribute__((warn_unused_result));

/* True where a helper delivers it here. */
bool route_is_local(enum conf_route_kind kind);

/* The site that a destination is, or NULL; and its destination's name. */
const struct conf_site *route_site(const struct conf *conf, struct str name);
void route_site_name(
    const struct conf_site *site, char name[STORE_DESTINATION_MAX + 1]);

/* What the scheduler calls it. */
struct sched_target route_target(const struct route *route);

#endif
