/*
 * Addresses through the aliases of a configuration.
 *
 * A name is looked up at the alias domains: those that the configuration lists,
 * or else the host's own name and the domains of local sites, whose mail is
 * written here and not held.  A name without a domain that an alias gives is
 * completed with the domain of the address that was expanded if a local site
 * has it, and else with conf.local_domain.  Pure look-ups.
 */
#ifndef CONF_ALIAS_H
#define CONF_ALIAS_H

#include "conf/conf.h"
#include "mail/alias_expand.h"

/* Whose the domain KEY is; without aliases all are foreign. */
enum alias_domain conf_alias_domain(const struct conf *conf, struct str key);

/* As alias_expand(); without aliases ALIAS_NONE. */
enum alias_outcome conf_alias_expand(const struct conf *conf,
    struct str address, size_t leaves_max,
    struct alias_expansion *expansion_out);

/* Sets conf.local_domain, when sites and hostname are known. */
void conf_alias_home_set(struct conf *conf);

#endif
