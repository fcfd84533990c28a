/*
 * Expansion, depth first, with a stack of its own.
 *
 * Invariants: (1) no entry is on the stack twice, and none that was left is
 * entered again, so that the work is bounded by the table and ALIAS_STEPS_MAX;
 * (2) leaves differ in their addresses, domains compared without case.
 */
#include "mail/alias_expand.h"
#include "base/check.h"
#include "base/hash.h"
#include "mail/alias_local.h"

#include <errno.h>
#include <string.h>

#define LEAVES_FIRST 8

/* An entry that was entered, or a leaf; its key is behind it. */
struct seen {
	UT_hash_handle hh;
};

struct frame {
	const struct alias_entry *entry;
	size_t next; /* target */
	struct str owner;
};

struct expander {
	const struct alias_table *table;
	const struct alias_rules *rules;
	struct alias_expansion *out;
	char
	    domain[MAIL_DOMAIN_MAX + 1]; /* of the address that was asked for */
	struct alias_leaf *leaves;
	size_t leaf_capacity;
	struct frame frames[ALIAS_DEPTH_MAX];
	size_t depth, step_count;
	struct seen *entries; /* by the pointer */
	struct seen *addresses;
};

/* NOLINTBEGIN(readability-function-*): the macros of uthash are long. */
/* Adds a copy of KEY; -EEXIST if it is there. */
static int
see(struct expander *x, struct seen **head, const void *key, size_t size)
{
	struct seen *seen;

	HASH_FIND(hh, *head, key, size, seen);
	if (seen != NULL)
		return -EEXIST;
	seen = arena_new(&x->out->arena, sizeof(*seen) + size);
	if (seen == NULL)
		return -ENOBUFS;
	memcpy(seen + 1, key, size);
	HASH_ADD_KEYPTR(hh, *head, seen + 1, size, seen);
	return 0;
}

static void
forget(struct expander *x)
{
	HASH_CLEAR(hh, x->entries);
	HASH_CLEAR(hh, x->addresses);
}
/* NOLINTEND(readability-function-*) */

/* The nearest alias that is being expanded. */
static const struct alias_entry *
current_alias(const struct expander *x)
{
	size_t depth = x->depth;

	CHECK(depth > 0);
	while (depth > 1 && x->frames[depth - 1].entry->name.size == 0)
		depth--;
	return x->frames[depth - 1].entry;
}

static enum alias_outcome
refuse(struct expander *x, enum alias_outcome outcome, struct str target)
{
	x->out->alias = x->depth > 0 ? current_alias(x)->name : target;
	x->out->target = target;
	return outcome;
}

/* LOCAL without its quotes, in SPACE if it has any. */
static struct str
bare_name(struct str local, char space[MAIL_LOCAL_MAX])
{
	size_t size = 0;

	if (local.size < 2 || *local.data != '"' || local.size > MAIL_LOCAL_MAX)
		return local;
	for (size_t i = 1; i + 1 < local.size; i++) {
		if (local.data[i] == '\\' && i + 2 < local.size)
			i++;
		space[size++] = local.data[i];
	}
	return str_of(space, size);
}

/* The alias of a local part: itself, "user+*" for "user+detail", "user". */
static const struct alias_entry *
find_alias(const struct alias_table *table, struct str local)
{
	char space[MAIL_LOCAL_MAX], any[MAIL_LOCAL_MAX + 1];
	struct str name = bare_name(local, space);
	size_t plus = str_find(name, '+');
	const struct alias_entry *entry = alias_table_find(table, name);

	if (entry != NULL || plus == 0 || plus >= name.size ||
	    plus + 2 > sizeof(any))
		return entry;
	memcpy(any, name.data, plus);
	memcpy(any + plus, "+*", 2);
	entry = alias_table_find(table, str_of(any, plus + 2));
	return entry ? entry : alias_table_find(table, str_head(name, plus));
}

/* Puts "PREFIX NAME @ DOMAIN" together in the arena; no data if it does not
   fit or is no address. */
static struct str
make_address(
    struct expander *x, const char *prefix, struct str name, struct str domain)
{
	char text[2 * MAIL_ADDRESS_MAX];
	struct mail_address parsed;
	size_t before = strlen(prefix);

	if (before + name.size + 1 + domain.size > sizeof(text))
		return str_of(NULL, 0);
	memcpy(text, prefix, before);
	memcpy(text + before, name.data, name.size);
	text[before + name.size] = '@';
	memcpy(text + before + name.size + 1, domain.data, domain.size);
	name = str_of(text, before + name.size + 1 + domain.size);
	if (mail_address_parse(name, &parsed) < 0)
		return str_of(NULL, 0);
	return arena_copy(&x->out->arena, name);
}

static bool
ends_in(struct str name, struct str end)
{
	return name.size > end.size &&
	       str_equal(str_skip(name, name.size - end.size), end);
}

/* Who is told of trouble with ENTRY's members, or OTHERWISE.  The owner of what
   is itself for such mail is owner-owner, as with sendmail. */
static struct str
owner_of(
    struct expander *x, const struct alias_entry *entry, struct str otherwise)
{
	struct str owner_prefix = STR("owner-"), name = entry->name, owner;
	char key[MAIL_LOCAL_MAX + 1];

	if (str_starts(name, owner_prefix) || ends_in(name, STR("-request")))
		name = STR("owner");
	if (name.size == 0 || owner_prefix.size + name.size >= sizeof(key))
		return otherwise;
	memcpy(key, owner_prefix.data, owner_prefix.size);
	memcpy(key + owner_prefix.size, name.data, name.size);
	if (alias_table_find(
		x->table, str_of(key, owner_prefix.size + name.size)) == NULL)
		return otherwise;
	owner = make_address(x, "owner-", name, str_from(x->domain));
	return owner.data != NULL ? owner : otherwise;
}

/* Goes into ENTRY. */
static enum alias_outcome
enter(struct expander *x, const struct alias_entry *entry, struct str owner)
{
	int error;

	for (size_t i = 0; i < x->depth; i++)
		if (x->frames[i].entry == entry)
			return refuse(x, ALIAS_LOOP, entry->name);
	if (x->depth == ALIAS_DEPTH_MAX)
		return refuse(x, ALIAS_DEEP, entry->name);
	error = see(x, &x->entries, &entry, sizeof(const void *));
	if (error == -EEXIST)
		return ALIAS_DONE;
	if (error < 0)
		return refuse(x, ALIAS_LARGE, entry->name);
	x->frames[x->depth++] =
	    (struct frame){.entry = entry, .owner = owner_of(x, entry, owner)};
	return ALIAS_DONE;
}

/* Room for one more leaf. */
static bool
leaf_room(struct expander *x)
{
	size_t capacity = x->leaf_capacity;
	struct alias_leaf *leaves = x->leaves;

	if (x->out->leaf_count == x->rules->leaves_max)
		return false;
	if (x->out->leaf_count < capacity)
		return true;
	capacity = capacity > 0 ? capacity * 2 : LEAVES_FIRST;
	leaves = arena_new(&x->out->arena, capacity * sizeof(*leaves));
	if (leaves == NULL)
		return false;
	if (x->out->leaf_count > 0)
		memcpy(leaves, x->leaves, x->out->leaf_count * sizeof(*leaves));
	x->leaves = leaves;
	x->leaf_capacity = capacity;
	x->out->leaves = leaves;
	return true;
}

/* Mail goes to the address LOCAL @ DOMAIN, whose key is KEY. */
static enum alias_outcome
add_leaf(struct expander *x, struct str local, struct str domain,
    struct str key, struct str owner)
{
	struct str address = make_address(x, "", local, domain);
	struct str unique = make_address(x, "", local, key);
	int error;

	if (address.data == NULL || unique.data == NULL)
		return refuse(x, ALIAS_MISTAKE, local);
	error = see(x, &x->addresses, unique.data, unique.size);
	if (error == -EEXIST)
		return ALIAS_DONE;
	if (error < 0 || !leaf_room(x))
		return refuse(x, ALIAS_LARGE, address);
	x->leaves[x->out->leaf_count++] =
	    (struct alias_leaf){.address = address, .owner = owner};
	return ALIAS_DONE;
}

/* The same of an alias, which is left as it is. */
static enum alias_outcome
add_alias(struct expander *x, struct str local, struct str domain,
    struct str key, struct str owner)
{
	size_t count = x->out->leaf_count;
	enum alias_outcome outcome = add_leaf(x, local, domain, key, owner);

	if (x->out->leaf_count > count)
		x->leaves[count].is_alias = true;
	return outcome;
}

/* A target that is a program or a file. */
static enum alias_outcome
add_local(
    struct expander *x, const struct alias_target *target, struct str owner)
{
	struct alias_local local = {.kind = target->kind, .text = target->text};
	char text[MAIL_ADDRESS_MAX + 1];
	struct str address;
	int size, error;

	if (local.kind == ALIAS_PROGRAM && !x->rules->is_running)
		return refuse(x, ALIAS_TO_PROGRAM, target->text);
	size = alias_local_put(&local, text);
	if (size < 0)
		return refuse(x, ALIAS_MISTAKE, target->text);
	address = arena_copy(&x->out->arena, str_of(text, (size_t)size));
	error = see(x, &x->addresses, text, (size_t)size);
	if (error == -EEXIST)
		return ALIAS_DONE;
	if (error < 0 || address.data == NULL || !leaf_room(x))
		return refuse(x, ALIAS_LARGE, target->text);
	x->leaves[x->out->leaf_count++] =
	    (struct alias_leaf){.address = address, .owner = owner};
	return ALIAS_DONE;
}

/* A target that is a name at a domain. */
static enum alias_outcome
expand_address(struct expander *x, const struct alias_target *target,
    struct str local, struct str domain, struct str owner)
{
	char key_text[MAIL_DOMAIN_MAX + 1];
	const struct alias_entry *entry = NULL;
	enum alias_domain whose = ALIAS_DOMAIN_FOREIGN;
	struct str key;

	if (mail_domain_key(domain, key_text) < 0)
		return refuse(x, ALIAS_MISTAKE, target->text);
	key = str_from(key_text);
	whose = x->rules->domain(x->rules->arg, key);
	if (!target->is_final &&
	    (whose != ALIAS_DOMAIN_FOREIGN || target->kind == ALIAS_LOCAL))
		entry = find_alias(x->table, local);
	if (entry != NULL && entry != current_alias(x)) {
		if (!x->rules->is_one_owner || whose == ALIAS_DOMAIN_FOREIGN ||
		    str_equal(owner_of(x, entry, owner), owner))
			return enter(x, entry, owner);
		return add_alias(x, local, domain, key, owner);
	}
	if (whose == ALIAS_DOMAIN_ONLY)
		return refuse(x, ALIAS_UNKNOWN, target->text);
	return add_leaf(x, local, domain, key, owner);
}

static enum alias_outcome
expand_include(
    struct expander *x, const struct alias_target *target, struct str owner)
{
	const struct alias_entry *entry =
	    alias_table_included(x->table, target->text);

	if (entry == NULL)
		return refuse(x, ALIAS_UNREAD, target->text);
	return enter(x, entry, owner);
}

static enum alias_outcome
expand_target(
    struct expander *x, const struct alias_target *target, struct str owner)
{
	struct mail_address address;

	switch (target->kind) {
	case ALIAS_LOCAL:
		return expand_address(
		    x, target, target->text, x->rules->home, owner);
	case ALIAS_ADDRESS:
		if (mail_address_parse(target->text, &address) < 0)
			return refuse(x, ALIAS_MISTAKE, target->text);
		return expand_address(
		    x, target, address.local, address.domain, owner);
	case ALIAS_INCLUDE:
		return expand_include(x, target, owner);
	case ALIAS_PROGRAM:
	case ALIAS_FILE:
		return add_local(x, target, owner);
	case ALIAS_DISCARD:
		return ALIAS_DONE;
	case ALIAS_BAD:
		return refuse(x, ALIAS_MISTAKE, target->text);
	}
	return ALIAS_MISTAKE;
}

static enum alias_outcome
run(struct expander *x)
{
	enum alias_outcome outcome = ALIAS_DONE;

	while (x->depth > 0 && outcome == ALIAS_DONE) {
		struct frame *frame = &x->frames[x->depth - 1];
		const struct alias_target *target;

		if (frame->next == frame->entry->target_count) {
			x->depth--;
			continue;
		}
		target = &frame->entry->targets[frame->next++];
		outcome = ++x->step_count > ALIAS_STEPS_MAX
		              ? refuse(x, ALIAS_LARGE, target->text)
		              : expand_target(x, target, frame->owner);
	}
	return outcome;
}

/* The alias that ADDRESS is, or NULL. */
static const struct alias_entry *
find_address(const struct alias_table *table, const struct alias_rules *rules,
    struct str address, char domain[MAIL_DOMAIN_MAX + 1])
{
	struct mail_address parsed;

	if (mail_address_parse(address, &parsed) < 0 ||
	    parsed.domain.size == 0 ||
	    mail_domain_key(parsed.domain, domain) < 0 ||
	    rules->domain(rules->arg, str_from(domain)) == ALIAS_DOMAIN_FOREIGN)
		return NULL;
	return find_alias(table, parsed.local);
}

const struct alias_entry *
alias_of(const struct alias_table *table, const struct alias_rules *rules,
    struct str address)
{
	char domain[MAIL_DOMAIN_MAX + 1];

	return find_address(table, rules, address, domain);
}

enum alias_outcome
alias_expand(const struct alias_table *table, const struct alias_rules *rules,
    struct str address, struct alias_expansion *expansion_out)
{
	struct expander x = {
	    .table = table, .rules = rules, .out = expansion_out};
	const struct alias_entry *entry =
	    find_address(table, rules, address, x.domain);
	enum alias_outcome outcome;

	*expansion_out = (struct alias_expansion){0};
	arena_init(&expansion_out->arena, ALIAS_EXPANSION_MAX);
	if (entry == NULL)
		return ALIAS_NONE;
	outcome = enter(&x, entry, STR(""));
	if (outcome == ALIAS_DONE)
		outcome = run(&x);
	forget(&x);
	return outcome;
}

void
alias_expansion_fini(struct alias_expansion *expansion)
{
	arena_fini(&expansion->arena);
	expansion->leaves = NULL;
	expansion->leaf_count = 0;
}

const char *
alias_outcome_text(enum alias_outcome outcome)
{
	switch (outcome) {
	case ALIAS_NONE:
		return "is no alias";
	case ALIAS_DONE:
		return "is an alias";
	case ALIAS_LOOP:
		return "goes round in a circle";
	case ALIAS_DEEP:
		return "is nested too deeply";
	case ALIAS_LARGE:
		return "has too many recipients";
	case ALIAS_MISTAKE:
		return "has a mistake in its definition";
	case ALIAS_TO_PROGRAM:
		return "names a program, and alias-programs is not on";
	case ALIAS_UNREAD:
		return "includes a file that could not be read";
	case ALIAS_UNKNOWN:
		return "names somebody who is not known here";
	}
	return "is not known";
}
