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

/* The same of one list at a time: one inside that has an owner of its own is a
   leaf (alias_leaf.is_alias), so that all leaves have one sender.  What would
   be refused as a whole is. */
enum alias_outcome conf_alias_expand_one(const struct conf *conf,
    struct str address, size_t leaves_max,
    struct alias_expansion *expansion_out);

/* The alias that ADDRESS is, or NULL.  *HOME_OUT, in DOMAIN or CONF, completes
   names: how many there are of it, and whether it can be expanded, depends on
   nothing else. */
const struct alias_entry *conf_alias_of(const struct conf *conf,
    struct str address, char domain[MAIL_DOMAIN_MAX + 1], struct str *home_out);

/* True if ADDRESS is an alias, whatever comes of it. */
bool conf_alias_has(const struct conf *conf, struct str address);

/* Programs and files that aliases name have job numbers behind those of the
   Maildirs (conf.maildir_count).  The number of LOCAL, or -ENOENT: no alias
   names it, or it is a program and none is run. */
int conf_alias_job(const struct conf *conf, const struct alias_local *local,
    uint32_t *job_out) __attribute__((warn_unused_result));
/* What JOB stands for, or NULL. */
const struct alias_local *conf_alias_local(
    const struct conf *conf, uint32_t job);

/* Sets conf.local_domain, when sites and hostname are known. */
void conf_alias_home_set(struct conf *conf);

#endif
