/* Ordered sets; see tree.h.  Invariants: (1) in order from left to right,
   (2) no child is heavier than its parent, (3) a node that is in has a weight
   above 0. */
#include "base/tree.h"
#include "base/check.h"

void
tree_init(struct tree *t, tree_compare_fn *compare)
{
	*t = (struct tree){.compare = compare, .random = 0x9e3779b9};
}

bool
tree_has(const struct tree_node *node)
{
	return node->weight > 0;
}

/* Puts TO, which may be NULL, in the place of NODE below its parent. */
static void
tree_replace(struct tree *t, struct tree_node *node, struct tree_node *to)
{
	struct tree_node *parent = node->parent;

	if (parent == NULL)
		t->root = to;
	else
		parent->child[parent->child[1] == node] = to;
	if (to != NULL)
		to->parent = parent;
}

/* NODE goes up by one, its parent down to its other side. */
static void
tree_rotate_up(struct tree *t, struct tree_node *node)
{
	struct tree_node *parent = node->parent;
	int side = parent->child[1] == node;
	struct tree_node *inner = node->child[!side];

	tree_replace(t, parent, node);
	parent->child[side] = inner;
	if (inner != NULL)
		inner->parent = parent;
	node->child[!side] = parent;
	parent->parent = node;
}

void
tree_add(struct tree *t, struct tree_node *node)
{
	struct tree_node **at = &t->root, *parent = NULL;

	CHECK(node->weight == 0);
	while (*at != NULL) {
		int order = t->compare(node, *at);

		CHECK(order != 0);
		parent = *at;
		at = &parent->child[order > 0];
	}
	/* xorshift32: never 0. */
	t->random ^= t->random << 13;
	t->random ^= t->random >> 17;
	t->random ^= t->random << 5;
	*node = (struct tree_node){.parent = parent, .weight = t->random};
	*at = node;
	t->count++;
	while (node->parent != NULL && node->parent->weight < node->weight)
		tree_rotate_up(t, node);
}

void
tree_remove(struct tree *t, struct tree_node *node)
{
	if (node->weight == 0)
		return;
	while (node->child[0] != NULL && node->child[1] != NULL)
		tree_rotate_up(t, node->child[node->child[1]->weight >
					      node->child[0]->weight]);
	tree_replace(
	    t, node, node->child[0] != NULL ? node->child[0] : node->child[1]);
	*node = (struct tree_node){.weight = 0};
	CHECK(t->count > 0);
	t->count--;
}

struct tree_node *
tree_first(const struct tree *t)
{
	struct tree_node *node = t->root;

	while (node != NULL && node->child[0] != NULL)
		node = node->child[0];
	return node;
}

struct tree_node *
tree_next(const struct tree_node *node)
{
	struct tree_node *next = node->child[1];

	if (next != NULL) {
		while (next->child[0] != NULL)
			next = next->child[0];
		return next;
	}
	next = node->parent;
	while (next != NULL && next->child[1] == node) {
		node = next;
		next = next->parent;
	}
	return next;
}

struct tree_node *
tree_behind(const struct tree *t, const struct tree_node *key)
{
	struct tree_node *node = t->root, *found = NULL;

	while (node != NULL) {
		bool is_behind = t->compare(node, key) > 0;

		if (is_behind)
			found = node;
		node = node->child[!is_behind];
	}
	return found;
}

void
tree_check(const struct tree *t)
{
	const struct tree_node *node = tree_first(t), *before = NULL;
	size_t count = 0;

	for (; node != NULL; node = tree_next(node)) {
		CHECK(node->weight > 0);
		CHECK(before == NULL || t->compare(before, node) < 0);
		CHECK(node->parent == NULL
			  ? t->root == node
			  : node->parent->weight >= node->weight);
		before = node;
		count++;
	}
	CHECK(count == t->count);
}
