/*
 * The hashes of a configuration: sites by name and domain, rules by domain,
 * Maildirs by path.  conf.h declares what others look up in them.
 */
#ifndef CONF_LOOKUP_H
#define CONF_LOOKUP_H

#include "conf/reader.h"

struct lookup;

/* Makes the empty hashes of a configuration; lookup_free() sets them NULL. */
void lookup_new(struct conf *conf);
void lookup_free(struct conf *conf);

/* Each adds one entry, whose key must stay: 0, -EEXIST if the key is taken, or
   -ENOMEM with a mistake noted. */
int lookup_add_name(struct reader *r, const struct conf_site *site)
    __attribute__((warn_unused_result));
/* With -EEXIST OTHER_OUT is the site that has the domain. */
int lookup_add_domain(struct reader *r, const struct conf_domain *domain,
    const struct conf_site *site, const struct conf_site **other_out)
    __attribute__((warn_unused_result));
int lookup_add_rule(struct reader *r, const struct conf_route_rule *rule)
    __attribute__((warn_unused_result));

/* The job number of a Maildir, a new one for a new path: 0 or -ENOMEM with a
   mistake noted. */
int lookup_add_maildir(struct reader *r, struct str path, uint32_t *job_out)
    __attribute__((warn_unused_result));
/* Makes the list of Maildirs by job number: 0 or -ENOMEM, noted. */
int lookup_maildirs_list(struct reader *r) __attribute__((warn_unused_result));

#endif
