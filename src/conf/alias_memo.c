/*
 * Outcomes of expansions by the alias, not by the address: "list+1" and
 * "LIST+2" are one.
 *
 * Invariant: what is remembered depends on nothing but the key, which is the
 * alias and the domain that completes names.  Where that is full all is
 * forgotten: only a site with a tree of domains has so many.
 */
#include "conf/alias_memo.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "conf/alias.h"

#include <stdlib.h>
#include <string.h>

/* Its key is behind it. */
struct memo_node {
	enum alias_outcome outcome;
	size_t count;
	UT_hash_handle hh;
};

#define MEMO_KEY_MAX (sizeof(const struct alias_entry *) + MAIL_DOMAIN_MAX)
#define MEMO_ARENA_MAX                                                         \
	(ALIAS_MEMO_MAX * (sizeof(struct memo_node) + MEMO_KEY_MAX + 16))

struct alias_memo {
	const struct conf *conf;
	size_t leaves_max;
	struct arena arena;
	struct memo_node *nodes;
};

struct alias_memo *
alias_memo_new(const struct conf *conf, size_t leaves_max)
{
	struct alias_memo *memo = mem_new(1, sizeof(*memo));

	memo->conf = conf;
	memo->leaves_max = leaves_max;
	arena_init(&memo->arena, MEMO_ARENA_MAX);
	return memo;
}

/* NOLINTBEGIN(readability-function-*): the macros of uthash are long. */
static void
memo_clear(struct alias_memo *memo)
{
	HASH_CLEAR(hh, memo->nodes);
	arena_fini(&memo->arena);
}

static const struct memo_node *
memo_find(const struct alias_memo *memo, struct str key)
{
	struct memo_node *node;

	HASH_FIND(hh, memo->nodes, key.data, key.size, node);
	return node;
}

static void
memo_add(struct alias_memo *memo, struct str key, enum alias_outcome outcome,
    size_t count)
{
	struct memo_node *node;

	if (HASH_COUNT(memo->nodes) == ALIAS_MEMO_MAX)
		memo_clear(memo);
	node = arena_new(&memo->arena, sizeof(*node) + key.size);
	if (node == NULL)
		return;
	node->outcome = outcome;
	node->count = count;
	memcpy(node + 1, key.data, key.size);
	HASH_ADD_KEYPTR(
	    hh, memo->nodes, (const char *)(node + 1), key.size, node);
}
/* NOLINTEND(readability-function-*) */

void
alias_memo_free(struct alias_memo *memo)
{
	if (memo == NULL)
		return;
	memo_clear(memo);
	free(memo);
}

enum alias_outcome
alias_memo_ask(struct alias_memo *memo, struct str address, size_t *count_out)
{
	char domain[MAIL_DOMAIN_MAX + 1], key_text[MEMO_KEY_MAX];
	const struct alias_entry *entry;
	const struct memo_node *node;
	struct alias_expansion e;
	enum alias_outcome outcome;
	struct str home, key;

	*count_out = 0;
	entry = conf_alias_of(memo->conf, address, domain, &home);
	if (entry == NULL)
		return ALIAS_NONE;
	CHECK(home.size <= MAIL_DOMAIN_MAX);
	memcpy(key_text, &entry, sizeof(entry));
	memcpy(key_text + sizeof(entry), home.data, home.size);
	key = str_of(key_text, sizeof(entry) + home.size);
	node = memo_find(memo, key);
	if (node != NULL) {
		*count_out = node->count;
		return node->outcome;
	}
	outcome = conf_alias_expand(memo->conf, address, memo->leaves_max, &e);
	if (outcome == ALIAS_DONE)
		*count_out = e.leaf_count;
	alias_expansion_fini(&e);
	memo_add(memo, key, outcome, *count_out);
	return outcome;
}
