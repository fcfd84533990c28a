/* Which domains have aliases, and what completes a name; see alias.h. */
#include "conf/alias.h"
#include "base/num.h"

#include <errno.h>

static bool
is_local_site(const struct conf_site *site)
{
	return site != NULL && !site->is_held &&
	       site->route.kind == CONF_ROUTE_MAILDIR;
}

static bool
is_listed(const struct conf *conf, struct str key)
{
	for (size_t i = 0; i < conf->alias_domain_count; i++) {
		const struct conf_domain *domain = &conf->alias_domains[i];

		if (domain->is_tree ? mail_domain_is_under(key, domain->key)
				    : str_equal(key, domain->key))
			return true;
	}
	return false;
}

enum alias_domain
conf_alias_domain(const struct conf *conf, struct str key)
{
	const struct conf_site *site;
	bool is_ours;

	if (conf->aliases == NULL)
		return ALIAS_DOMAIN_FOREIGN;
	site = conf_site_of_domain(conf, key);
	if (conf->alias_domain_count > 0)
		is_ours = is_listed(conf, key);
	else
		is_ours = is_local_site(site) || str_equal(key, conf->hostname);
	if (!is_ours)
		return ALIAS_DOMAIN_FOREIGN;
	return site != NULL || conf_route_of_domain(conf, key) != NULL
	           ? ALIAS_DOMAIN_OURS
	           : ALIAS_DOMAIN_ONLY;
}

static enum alias_domain
rules_domain(const void *arg, struct str domain)
{
	return conf_alias_domain(arg, domain);
}

/* The rules for ADDRESS; false if there are no aliases for it. */
static bool
rules_set(const struct conf *conf, struct str address,
    char key[MAIL_DOMAIN_MAX + 1], struct alias_rules *rules)
{
	struct mail_address parsed;

	if (conf->aliases == NULL || mail_address_parse(address, &parsed) < 0 ||
	    mail_domain_key(parsed.domain, key) < 0)
		return false;
	*rules = (struct alias_rules){
	    .domain = rules_domain,
	    .arg = conf,
	    .home = is_local_site(conf_site_of_domain(conf, str_from(key)))
	                ? str_from(key)
	                : conf->local_domain,
	    .is_running = conf->alias_programs,
	};
	return true;
}

enum alias_outcome
conf_alias_expand(const struct conf *conf, struct str address,
    size_t leaves_max, struct alias_expansion *expansion_out)
{
	char key[MAIL_DOMAIN_MAX + 1];
	struct alias_rules rules;

	*expansion_out = (struct alias_expansion){0};
	if (!rules_set(conf, address, key, &rules))
		return ALIAS_NONE;
	rules.leaves_max = leaves_max;
	return alias_expand(conf->aliases, &rules, address, expansion_out);
}

enum alias_outcome
conf_alias_expand_one(const struct conf *conf, struct str address,
    size_t leaves_max, struct alias_expansion *expansion_out)
{
	enum alias_outcome outcome =
	    conf_alias_expand(conf, address, leaves_max, expansion_out);
	char key[MAIL_DOMAIN_MAX + 1];
	struct alias_rules rules;

	if (outcome != ALIAS_DONE || !rules_set(conf, address, key, &rules))
		return outcome;
	alias_expansion_fini(expansion_out);
	rules.leaves_max = leaves_max;
	rules.is_one_owner = true;
	return alias_expand(conf->aliases, &rules, address, expansion_out);
}

const struct alias_entry *
conf_alias_of(const struct conf *conf, struct str address,
    char domain[MAIL_DOMAIN_MAX + 1], struct str *home_out)
{
	struct alias_rules rules;

	if (!rules_set(conf, address, domain, &rules))
		return NULL;
	*home_out = rules.home;
	return alias_of(conf->aliases, &rules, address);
}

bool
conf_alias_has(const struct conf *conf, struct str address)
{
	char domain[MAIL_DOMAIN_MAX + 1];
	struct str home;

	return conf_alias_of(conf, address, domain, &home) != NULL;
}

int
conf_alias_job(
    const struct conf *conf, const struct alias_local *local, uint32_t *job_out)
{
	size_t number = SIZE_MAX;

	if (conf->aliases != NULL &&
	    (local->kind == ALIAS_FILE ||
		(local->kind == ALIAS_PROGRAM && conf->alias_programs)))
		number = alias_table_local_number(conf->aliases, local);
	if (number == SIZE_MAX)
		return -ENOENT;
	*job_out = num_narrow_u32(conf->maildir_count + number);
	return 0;
}

const struct alias_local *
conf_alias_local(const struct conf *conf, uint32_t job)
{
	const struct alias_local *local = NULL;

	if (conf->aliases != NULL && job >= conf->maildir_count)
		local =
		    alias_table_local(conf->aliases, job - conf->maildir_count);
	return local != NULL && local->kind == ALIAS_PROGRAM &&
	               !conf->alias_programs
	           ? NULL
	           : local;
}

void
conf_alias_home_set(struct conf *conf)
{
	conf->local_domain = conf->hostname;
	if (is_local_site(conf_site_of_domain(conf, conf->hostname)))
		return;
	for (size_t i = 0; i < conf->site_count; i++) {
		const struct conf_site *site = &conf->sites[i];

		for (size_t j = 0;
		     is_local_site(site) && j < site->domain_count; j++)
			if (!site->domains[j].is_tree) {
				conf->local_domain = site->domains[j].key;
				return;
			}
	}
}
