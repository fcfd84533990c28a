/*
 * Hashes of a configuration.  Entries lie in the configuration's arena, their
 * keys in its tables; only the hash tables themselves are freed one by one.
 *
 * Invariant: a domain is looked up exactly first and then as a tree at each of
 * its labels from the left, so that the work is in proportion to its labels
 * and the longest tree is found first.
 */
#include "conf/lookup.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <stdlib.h>

struct lookup_entry {
	struct str key;
	const void *value; /* a site, or a route */
	uint32_t number;   /* of entries before it */
	UT_hash_handle hh;
};

struct lookup {
	struct lookup_entry *names;
	struct lookup_entry *domains, *trees;
	struct lookup_entry *rules, *rule_trees;
	const struct conf_route *any; /* the rule for "*" */
	struct lookup_entry *maildirs;
};

void
lookup_new(struct conf *conf)
{
	CHECK(conf->lookup == NULL);
	conf->lookup = mem_new(1, sizeof(struct lookup));
}

void
lookup_free(struct conf *conf)
{
	struct lookup *lookup = conf->lookup;

	if (lookup == NULL)
		return;
	HASH_CLEAR(hh, lookup->names);
	HASH_CLEAR(hh, lookup->domains);
	HASH_CLEAR(hh, lookup->trees);
	HASH_CLEAR(hh, lookup->rules);
	HASH_CLEAR(hh, lookup->rule_trees);
	HASH_CLEAR(hh, lookup->maildirs);
	free(lookup);
	conf->lookup = NULL;
}

/* NOLINTBEGIN(readability-function-*): the macros of uthash are long. */
static struct lookup_entry *
entry_find(struct lookup_entry *head, struct str key)
{
	struct lookup_entry *entry;

	HASH_FIND(hh, head, key.data, key.size, entry);
	return entry;
}

/* Adds an entry if the key is new.  ENTRY_OUT is the one that has the key. */
static int
entry_add(struct reader *r, struct lookup_entry **head, struct str key,
    const void *value, struct lookup_entry **entry_out)
{
	struct lookup_entry *entry = entry_find(*head, key);

	*entry_out = entry;
	if (entry != NULL)
		return -EEXIST;
	entry = reader_new(r, 1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	entry->key = key;
	entry->value = value;
	entry->number = num_narrow_u32(HASH_COUNT(*head));
	HASH_ADD_KEYPTR(hh, *head, entry->key.data, entry->key.size, entry);
	*entry_out = entry;
	return 0;
}
/* NOLINTEND(readability-function-*) */

int
lookup_add_name(struct reader *r, const struct conf_site *site)
{
	struct lookup *lookup = r->conf->lookup;
	struct lookup_entry *entry;

	return entry_add(r, &lookup->names, site->name, site, &entry);
}

int
lookup_add_domain(struct reader *r, const struct conf_domain *domain,
    const struct conf_site *site, const struct conf_site **other_out)
{
	struct lookup *lookup = r->conf->lookup;
	struct lookup_entry *entry;
	int error =
	    entry_add(r, domain->is_tree ? &lookup->trees : &lookup->domains,
		domain->key, site, &entry);

	if (error == -EEXIST)
		*other_out = entry->value;
	return error;
}

int
lookup_add_rule(struct reader *r, const struct conf_route_rule *rule)
{
	struct lookup *lookup = r->conf->lookup;
	struct lookup_entry *entry;

	if (!rule->is_any)
		return entry_add(r,
		    rule->domain.is_tree ? &lookup->rule_trees : &lookup->rules,
		    rule->domain.key, &rule->route, &entry);
	if (lookup->any != NULL)
		return -EEXIST;
	lookup->any = &rule->route;
	return 0;
}

int
lookup_add_maildir(struct reader *r, struct str path, uint32_t *job_out)
{
	struct lookup *lookup = r->conf->lookup;
	struct lookup_entry *entry;

	if (entry_add(r, &lookup->maildirs, path, NULL, &entry) == -ENOMEM)
		return -ENOMEM;
	*job_out = entry->number;
	return 0;
}

int
lookup_maildirs_list(struct reader *r)
{
	struct lookup *lookup = r->conf->lookup;
	size_t count = HASH_COUNT(lookup->maildirs);
	struct lookup_entry *entry = lookup->maildirs;
	struct str *list = reader_new(r, count, sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	for (; entry != NULL; entry = entry->hh.next) {
		CHECK(entry->number < count);
		list[entry->number] = entry->key;
	}
	r->conf->maildirs = list;
	r->conf->maildir_count = count;
	return 0;
}

/* What is known of DOMAIN: exactly, else of the longest tree over it. */
static const void *
domain_find(
    struct lookup_entry *exact, struct lookup_entry *trees, struct str domain)
{
	struct lookup_entry *entry;

	if (domain.size == 0 || domain.size > MAIL_DOMAIN_MAX)
		return NULL;
	entry = entry_find(exact, domain);
	while (entry == NULL && domain.size > 0) {
		entry = entry_find(trees, domain);
		domain = str_skip(domain, str_find(domain, '.') + 1);
	}
	return entry != NULL ? entry->value : NULL;
}

const struct conf_site *
conf_site_of_domain(const struct conf *conf, struct str domain)
{
	const struct lookup *lookup = conf->lookup;

	return domain_find(lookup->domains, lookup->trees, domain);
}

const struct conf_site *
conf_site_named(const struct conf *conf, struct str name)
{
	const struct lookup *lookup = conf->lookup;
	struct lookup_entry *entry = entry_find(lookup->names, name);

	return entry != NULL ? entry->value : NULL;
}

const struct conf_route *
conf_route_of_domain(const struct conf *conf, struct str domain)
{
	const struct lookup *lookup = conf->lookup;
	const struct conf_route *route =
	    domain_find(lookup->rules, lookup->rule_trees, domain);

	return route != NULL ? route : lookup->any;
}
