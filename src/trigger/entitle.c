/*
 * Who may ask for what; see entitle.h.
 *
 * Promises: rights are never widened: each key granted is a domain that its
 * site lists, or lies under a tree that it lists.  Whether a name is unknown or
 * somebody else's makes no difference to the verdict, nor to the work for a
 * plain name (one look-up); for "@name" every site is looked at in both cases.
 */
#include "trigger/entitle.h"
#include "base/check.h"
#include "mail/address.h"

#include <string.h>

#define TRIGGER_ARENA_MAX (1 << 20)

/* A site's domains that were found under a name. */
struct trigger_match {
	struct trigger_grants *grants;
	const struct conf_site *site;
	struct trigger_grant *open; /* has room for more domains, or NULL */
	bool is_full;               /* the grants did not suffice */
};

static bool
trigger_is_theirs(const struct conf_site *site, const struct conf_address *peer,
    enum conf_trigger trigger)
{
	return (site->triggers & (unsigned)trigger) != 0 &&
	       conf_networks_contain(&site->from, peer);
}

/* A grant of all of SITE, to be narrowed by its domains. */
static struct trigger_grant *
trigger_add_grant(struct trigger_grants *grants, const struct conf_site *site)
{
	struct trigger_grant *grant;

	if (grants->count == TRIGGER_GRANTS_MAX)
		return NULL;
	grant = &grants->list[grants->count++];
	*grant = (struct trigger_grant){.site = site};
	return grant;
}

/* Adds KEY, or "@" and KEY, to what is granted of the site. */
static void
trigger_add_domain(struct trigger_match *match, struct str key, bool is_tree)
{
	struct arena *arena = &match->grants->arena;
	struct trigger_grant *grant = match->open;
	char text[MAIL_DOMAIN_MAX + 2] = "@";
	struct str copy;

	CHECK(key.size <= MAIL_DOMAIN_MAX);
	if (grant == NULL || grant->domain_count == TRIGGER_DOMAINS_MAX) {
		grant = trigger_add_grant(match->grants, match->site);
		match->open = grant;
		if (grant != NULL)
			grant->domains = arena_new(arena,
			    TRIGGER_DOMAINS_MAX * sizeof(grant->domains[0]));
	}
	memcpy(text + is_tree, key.data, key.size);
	copy = arena_copy(arena, str_of(text, is_tree + key.size));
	if (grant == NULL || grant->domains == NULL || copy.data == NULL) {
		match->is_full = true;
		return;
	}
	grant->domains[grant->domain_count++] = copy;
}

/* True if a tree of SITE other than DOMAIN itself has all of DOMAIN. */
static bool
trigger_is_covered(
    const struct conf_site *site, const struct conf_domain *domain)
{
	for (size_t i = 0; i < site->domain_count; i++) {
		const struct conf_domain *tree = &site->domains[i];

		if (tree == domain || !tree->is_tree)
			continue;
		if (mail_domain_is_under(domain->key, tree->key) &&
		    (!domain->is_tree || tree->key.size < domain->key.size))
			return true;
	}
	return false;
}

/* Grants what SITE has equal to or under NAME (a key).  True if something. */
static bool
trigger_grant_under(struct trigger_match *match, struct str name)
{
	const struct conf_site *site = match->site;
	size_t before = match->grants->count, under_count = 0;

	for (size_t i = 0; i < site->domain_count; i++) {
		const struct conf_domain *domain = &site->domains[i];

		/* NAME lies in a tree: it has all that is under NAME. */
		if (domain->is_tree && name.size > domain->key.size &&
		    mail_domain_is_under(name, domain->key)) {
			trigger_add_domain(match, name, true);
			return true;
		}
		under_count += mail_domain_is_under(domain->key, name);
	}
	if (under_count == site->domain_count && under_count > 0) {
		match->is_full |=
		    trigger_add_grant(match->grants, site) == NULL;
		return true;
	}
	if (under_count == 0)
		return false;
	for (size_t i = 0; i < site->domain_count && !match->is_full; i++)
		if (mail_domain_is_under(site->domains[i].key, name) &&
		    !trigger_is_covered(site, &site->domains[i]))
			trigger_add_domain(match, site->domains[i].key,
			    site->domains[i].is_tree);
	CHECK(match->is_full || match->grants->count > before);
	return true;
}

/* "@name": of every site that is the peer's. */
static enum trigger_verdict
trigger_entitle_under(const struct conf *conf, const struct conf_address *peer,
    enum conf_trigger trigger, struct str name, struct trigger_grants *grants)
{
	bool is_any = false;

	for (size_t i = 0; i < conf->site_count; i++) {
		struct trigger_match match = {
		    .grants = grants, .site = &conf->sites[i]};

		if (!trigger_is_theirs(match.site, peer, trigger))
			continue;
		is_any |= trigger_grant_under(&match, name);
		/* A part would be answered with a count of that part. */
		if (match.is_full)
			return TRIGGER_REFUSED;
	}
	return is_any ? TRIGGER_GRANTED : TRIGGER_REFUSED;
}

/* True if PEER may ask for the mail of a site other than SITE. */
static bool
trigger_has_other(const struct conf *conf, const struct conf_address *peer,
    enum conf_trigger trigger, const struct conf_site *site)
{
	for (size_t i = 0; i < conf->site_count; i++)
		if (&conf->sites[i] != site &&
		    trigger_is_theirs(&conf->sites[i], peer, trigger))
			return true;
	return false;
}

/* A plain name: exactly that domain of the site that it belongs to. */
static enum trigger_verdict
trigger_entitle_name(const struct conf *conf, const struct conf_address *peer,
    enum conf_trigger trigger, struct str name, struct trigger_grants *grants)
{
	struct trigger_match match = {
	    .grants = grants, .site = conf_site_of_domain(conf, name)};

	if (match.site == NULL || !trigger_is_theirs(match.site, peer, trigger))
		return TRIGGER_REFUSED;
	/* The only domain of a site is all of it. */
	if (match.site->domain_count == 1 && !match.site->domains[0].is_tree) {
		match.is_full = trigger_add_grant(grants, match.site) == NULL;
		grants->is_only_domain =
		    !trigger_has_other(conf, peer, trigger, match.site);
	} else
		trigger_add_domain(&match, name, false);
	return match.is_full ? TRIGGER_REFUSED : TRIGGER_GRANTED;
}

enum trigger_verdict
trigger_entitle(const struct conf *conf, const struct conf_address *peer,
    enum conf_trigger trigger, struct str argument,
    struct trigger_grants *grants_out)
{
	char key[MAIL_DOMAIN_MAX + 1];
	struct str name = str_trim(argument);
	bool is_under, is_queue;
	enum trigger_verdict verdict;

	*grants_out = (struct trigger_grants){.count = 0};
	arena_init(&grants_out->arena, TRIGGER_ARENA_MAX);
	is_under = str_starts(name, STR("@"));
	is_queue = str_starts(name, STR("#"));
	/* Only ETRN has options (RFC 1985 5.3). */
	if ((is_under || is_queue) && trigger != CONF_TRIGGER_ETRN)
		return TRIGGER_SYNTAX;
	if (is_queue)
		return TRIGGER_REFUSED;
	name = str_skip(name, is_under);
	/* RFC 1985 5.2: a name of one label is no node; so "@com" is none. */
	if (!mail_domain_is_valid(name, false) ||
	    mail_domain_key(name, key) < 0)
		return TRIGGER_SYNTAX;
	name = str_from(key);
	verdict =
	    is_under
		? trigger_entitle_under(conf, peer, trigger, name, grants_out)
		: trigger_entitle_name(conf, peer, trigger, name, grants_out);
	if (verdict != TRIGGER_GRANTED)
		grants_out->count = 0;
	return verdict;
}

void
trigger_grants_fini(struct trigger_grants *grants)
{
	arena_fini(&grants->arena);
	grants->count = 0;
}
