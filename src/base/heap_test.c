/* The heap of due times, against a plain search. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NODES 100

struct heap_test_object {
	char name;
	struct heap_node node;
};

static void
heap_test_order(void **state)
{
	struct heap_test_object objects[] = {
	    {'c', {0}}, {'a', {0}}, {'b', {0}}, {'d', {0}}, {'e', {0}}};
	static const uint64_t due[] = {30, 10, 20, 30, UINT64_MAX};
	struct heap h;

	heap_init(&h);
	assert_null(heap_first(&h));
	for (size_t i = 0; i < 5; i++)
		heap_set(&h, &objects[i].node, due[i]);
	/* Equal times in the order in which they came. */
	for (const char *want = "abcde"; *want != '\0'; want++) {
		struct heap_node *node = heap_first(&h);

		assert_int_equal(
		    HEAP_OBJECT(node, struct heap_test_object, node)->name,
		    *want);
		heap_remove(&h, node);
		heap_remove(&h, node);
	}
	assert_null(heap_first(&h));
	/* One that is moved to the time of another comes behind it. */
	heap_set(&h, &objects[0].node, 5);
	heap_set(&h, &objects[1].node, 5);
	heap_set(&h, &objects[0].node, 5);
	assert_ptr_equal(heap_first(&h), &objects[1].node);
	assert_int_equal(h.count, 2);
	heap_fini(&h);
}

/* Random puts, moves and removals; the first is what a search finds. */
static void
heap_test_random(void **state)
{
	struct heap_node nodes[NODES] = {{0}};
	struct heap h;
	uint64_t random = 1;

	heap_init(&h);
	for (size_t step = 0; step < 20000; step++) {
		const struct heap_node *want = NULL;
		struct heap_node *node;

		random = random * UINT64_C(6364136223846793005) + 1;
		node = &nodes[(random >> 33) % NODES];
		if (random >> 63)
			heap_remove(&h, node);
		else
			heap_set(&h, node, (random >> 40) % 50);
		for (size_t i = 0; i < NODES; i++)
			if (nodes[i].index > 0 &&
			    (want == NULL || nodes[i].due_ms < want->due_ms ||
				(nodes[i].due_ms == want->due_ms &&
				    nodes[i].order < want->order)))
				want = &nodes[i];
		assert_ptr_equal(heap_first(&h), want);
		for (size_t i = 0; i < h.count; i++) {
			assert_int_equal(h.nodes[i]->index, i + 1);
			assert_true(h.nodes[i]->due_ms >=
				    h.nodes[i > 0 ? (i - 1) / 2 : 0]->due_ms);
		}
	}
	heap_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heap_test_order),
	    cmocka_unit_test(heap_test_random),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
