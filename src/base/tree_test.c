/* Ordered sets against a plain array. */
#include "base/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define TREE_TEST_COUNT 300

struct tree_test {
	struct tree_node node;
	int value;
};

static int
tree_test_value(const struct tree_node *node)
{
	return TREE_OBJECT(node, const struct tree_test, node)->value;
}

static int
tree_test_compare(const struct tree_node *a, const struct tree_node *b)
{
	return tree_test_value(a) - tree_test_value(b);
}

/* What is in comes in order, and behind each key comes the next one. */
static void
tree_test_expect(const struct tree *t, const struct tree_test *all)
{
	struct tree_node *node = tree_first(t);
	size_t count = 0;

	tree_check(t);
	for (int i = 0; i < TREE_TEST_COUNT; i++) {
		struct tree_test key = {.value = all[i].value - 1};

		if (!tree_has(&all[i].node))
			continue;
		assert_ptr_equal(node, &all[i].node);
		assert_ptr_equal(tree_behind(t, &key.node), node);
		node = tree_next(node);
		assert_ptr_equal(tree_behind(t, &all[i].node), node);
		count++;
	}
	assert_null(node);
	assert_int_equal(t->count, count);
}

static void
tree_test_random(void **state)
{
	static struct tree_test all[TREE_TEST_COUNT];
	uint32_t random = 1;
	struct tree t;

	tree_init(&t, tree_test_compare);
	assert_null(tree_first(&t));
	for (int i = 0; i < TREE_TEST_COUNT; i++)
		all[i].value = i * 3;
	for (int step = 0; step < 4000; step++) {
		struct tree_test *one;

		random = random * 1664525 + 1013904223;
		one = &all[(random >> 8) % TREE_TEST_COUNT];
		if (tree_has(&one->node))
			tree_remove(&t, &one->node);
		else
			tree_add(&t, &one->node);
		if (step % 100 == 0)
			tree_test_expect(&t, all);
	}
	for (int i = 0; i < TREE_TEST_COUNT; i++)
		tree_remove(&t, &all[i].node);
	assert_null(t.root);
	tree_test_expect(&t, all);
}

/* Values that come in order do not make it deep. */
static void
tree_test_depth(void **state)
{
	static struct tree_test all[4096];
	size_t depth_max = 0;
	struct tree t;

	tree_init(&t, tree_test_compare);
	for (int i = 0; i < 4096; i++) {
		all[i].value = i;
		tree_add(&t, &all[i].node);
	}
	for (int i = 0; i < 4096; i++) {
		const struct tree_node *node = &all[i].node;
		size_t depth = 0;

		while ((node = node->parent) != NULL)
			depth++;
		depth_max = depth > depth_max ? depth : depth_max;
	}
	assert_true(depth_max < 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tree_test_random),
	    cmocka_unit_test(tree_test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
