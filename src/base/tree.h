/*
 * An ordered set of objects that embed a tree_node: a search tree that stays
 * shallow by random weights (a treap).  The order is the caller's; no two
 * objects in one tree may be equal in it, and what it looks at may not change
 * while they are in.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree_node {
	struct tree_node *parent;
	struct tree_node *child[2]; /* before, behind */
	uint32_t weight;            /* at least that of the children; 0 = out */
};

/* Below 0, 0, above 0, as qsort(3) has it. */
typedef int tree_compare_fn(
    const struct tree_node *a, const struct tree_node *b);

struct tree {
	struct tree_node *root;
	tree_compare_fn *compare;
	size_t count;
	uint32_t random;
};

/* An empty tree.  A zeroed node is in none. */
void tree_init(struct tree *t, tree_compare_fn *compare);
void tree_add(struct tree *t, struct tree_node *node);
/* Takes NODE out; nothing happens if it is not in. */
void tree_remove(struct tree *t, struct tree_node *node);
bool tree_has(const struct tree_node *node);

/* In order; NULL at the end. */
struct tree_node *tree_first(const struct tree *t);
struct tree_node *tree_next(const struct tree_node *node);
/* The first one that is greater than KEY, which need not be in the tree. */
struct tree_node *tree_behind(
    const struct tree *t, const struct tree_node *key);

/* The object that embeds NODE as MEMBER. */
#define TREE_OBJECT(node, type, member)                                        \
	((type *)((uintptr_t)(node)-offsetof(type, member)))

/* Asserts order and weights; for tests. */
void tree_check(const struct tree *t);

#endif
