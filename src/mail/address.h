/*
 * Mail addresses and domains as RFC 5321 writes them.  Parsers look at the
 * bytes given, forward only, and yield a typed value or nothing: they never
 * repair.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define MAIL_LOCAL_MAX   64  /* RFC 5321 4.5.3.1.1 */
#define MAIL_DOMAIN_MAX  255 /* RFC 5321 4.5.3.1.2 */
#define MAIL_ADDRESS_MAX (MAIL_LOCAL_MAX + 1 + MAIL_DOMAIN_MAX)

/* An address; the parts point into the bytes that were parsed. */
struct mail_address {
	struct str whole;  /* local@domain as written, without route and <> */
	struct str local;  /* with its quotes, if it has any */
	struct str domain; /* empty for <> and for a bare Postmaster */
};

/*
 * The Path of MAIL and RCPT (RFC 5321 4.1.2): "<>" (whole is empty), "<a@b>",
 * a source route before it (parsed and passed over), "<Postmaster>" in any case
 * (RFC 5321 4.5.1), domain literals.  UTF-8 (RFC 6531 3.3) only with
 * IS_UTF8.  SIZE_OUT is how many bytes of TEXT the path took.  0 or -EINVAL.
 */
int mail_path_parse(struct str text, bool is_utf8,
    struct mail_address *address_out, size_t *size_out)
    __attribute__((warn_unused_result));

/* A stored address, "local@domain" without brackets: 0 or -EINVAL. */
int mail_address_parse(struct str text, struct mail_address *address_out)
    __attribute__((warn_unused_result));

/* The same for what another program has accepted already: in the local part
   dots may stand anywhere, and it may be longer than MAIL_LOCAL_MAX as long as
   the whole is not over MAIL_ADDRESS_MAX. */
int mail_address_parse_loose(struct str text, struct mail_address *address_out)
    __attribute__((warn_unused_result));

/* A host or domain name of labels of letters, digits and hyphens, at most 63
   bytes each, 255 in all, one trailing dot tolerated (RFC 1035 2.3.4).  A
   single label is taken only with IS_SINGLE. */
bool mail_domain_is_valid(struct str domain, bool is_single);

/* The form in which domains are compared and stored: lower case, no trailing
   dot.  KEY gets it with a NUL; 0, or -EINVAL if it is longer than 255. */
int mail_domain_key(struct str domain, char key[MAIL_DOMAIN_MAX + 1])
    __attribute__((warn_unused_result));

/* True if DOMAIN equals PARENT or ends in "." PARENT; both are keys. */
bool mail_domain_is_under(struct str domain, struct str parent);

#endif
