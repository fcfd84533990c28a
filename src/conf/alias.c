/* Which domains have aliases, and what completes a name; see alias.h. */
#include "conf/alias.h"

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

enum alias_outcome
conf_alias_expand(const struct conf *conf, struct str address,
    size_t leaves_max, struct alias_expansion *expansion_out)
{
	struct alias_rules rules = {
	    .domain = rules_domain,
	    .arg = conf,
	    .home = conf->local_domain,
	    .leaves_max = leaves_max,
	};
	char key[MAIL_DOMAIN_MAX + 1];
	struct mail_address parsed;

	*expansion_out = (struct alias_expansion){0};
	if (conf->aliases == NULL || mail_address_parse(address, &parsed) < 0 ||
	    mail_domain_key(parsed.domain, key) < 0)
		return ALIAS_NONE;
	if (is_local_site(conf_site_of_domain(conf, str_from(key))))
		rules.home = str_from(key);
	return alias_expand(conf->aliases, &rules, address, expansion_out);
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
