/* Memory that is freed whole: bound, alignment, copies. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
arena_test_max(void **state)
{
	static const struct {
		size_t max, first, second;
		bool is_first, is_second;
	} cases[] = {{100, 60, 40, true, true}, {100, 60, 41, true, false},
	    {100, 100, 0, true, true}, {100, 101, 100, false, true},
	    {0, 0, 1, true, false}, {100000, 99999, 1, true, true},
	    {100000, 99999, 2, true, false}, {100, SIZE_MAX, 100, false, true},
	    {SIZE_MAX, 10, SIZE_MAX - 9, true, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		size_t first = cases[i].first, second = cases[i].second;

		arena_init(&a, cases[i].max);
		assert_int_equal(
		    arena_new(&a, first) != NULL, cases[i].is_first);
		assert_int_equal(
		    arena_new(&a, second) != NULL, cases[i].is_second);
		assert_int_equal(a.used, (cases[i].is_first ? first : 0) +
					     (cases[i].is_second ? second : 0));
		/* It is usable afterwards, with the same bound. */
		arena_fini(&a);
		assert_int_equal(a.used, 0);
		assert_int_equal(
		    arena_new(&a, first) != NULL, cases[i].is_first);
		arena_fini(&a);
	}
}

/* Pieces of all sizes are zeroed, aligned and do not touch. */
static void
arena_test_pieces(void **state)
{
	unsigned char *pieces[300];
	struct arena a;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < 300; i++) {
		pieces[i] = arena_new(&a, i * 3);
		assert_non_null(pieces[i]);
		assert_int_equal(
		    (uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < i * 3; j++)
			assert_int_equal(pieces[i][j], 0);
		memset(pieces[i], (int)(i % 255 + 1), i * 3);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t j = 0; j < i * 3; j++)
			assert_int_equal(pieces[i][j], i % 255 + 1);
	arena_fini(&a);
}

static void
arena_test_copy(void **state)
{
	struct arena a;
	struct str copy;

	arena_init(&a, 8);
	copy = arena_copy(&a, STR("a\0b"));
	assert_true(str_equal(copy, STR("a\0b")));
	assert_int_equal(copy.data[3], '\0');
	/* The NUL needs room too. */
	copy = arena_copy(&a, STR("1234"));
	assert_null(copy.data);
	assert_int_equal(copy.size, 0);
	copy = arena_copy(&a, STR("123"));
	assert_true(str_equal(copy, STR("123")));
	arena_fini(&a);
	copy = arena_copy(&a, str_of(NULL, 0));
	assert_non_null(copy.data);
	assert_int_equal(copy.size, 0);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arena_test_max),
	    cmocka_unit_test(arena_test_pieces),
	    cmocka_unit_test(arena_test_copy),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
