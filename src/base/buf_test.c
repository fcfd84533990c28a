/* The byte queue: bounds, order, reuse of its memory. */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
buf_test_append_at_max(void **state)
{
	static const struct {
		size_t max, first, second;
		int error;
	} cases[] = {{10, 4, 6, 0}, {10, 4, 7, -ENOBUFS}, {10, 10, 0, 0},
	    {10, 10, 1, -ENOBUFS}, {0, 0, 0, 0}, {0, 0, 1, -ENOBUFS},
	    {1000, 1, 999, 0}, {1000, 1, 1000, -ENOBUFS}};
	char bytes[1000];

	memset(bytes, 'x', sizeof(bytes));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		size_t size = cases[i].first;

		buf_init(&b, cases[i].max);
		assert_int_equal(
		    buf_append(&b, str_of(bytes, cases[i].first)), 0);
		assert_int_equal(buf_append(&b, str_of(bytes, cases[i].second)),
		    cases[i].error);
		/* All of it or nothing. */
		size += cases[i].error == 0 ? cases[i].second : 0;
		assert_int_equal(buf_size(&b), size);
		assert_int_equal(buf_room(&b), cases[i].max - size);
		assert_true(str_equal(buf_str(&b), str_of(bytes, size)));
		buf_fini(&b);
		assert_int_equal(buf_size(&b), 0);
		assert_int_equal(buf_room(&b), cases[i].max);
	}
}

/* A long stream through a short queue comes out as it went in. */
static void
buf_test_stream(void **state)
{
	struct buf b;
	unsigned char in = 0, out = 0;

	buf_init(&b, 700);
	for (size_t round = 1; round < 2000; round++) {
		for (size_t i = 0; i < round % 300; i++) {
			char byte = (char)in;

			if (buf_append(&b, str_of(&byte, 1)) == 0)
				in++;
		}
		for (size_t i = 0; i < round % 290 && buf_size(&b) > 0; i++) {
			assert_int_equal(
			    (unsigned char)buf_str(&b).data[0], out);
			buf_consume(&b, 1);
			out++;
		}
		assert_int_equal(buf_size(&b) % 256, (unsigned char)(in - out));
		assert_true(b.capacity <= 700);
	}
	buf_fini(&b);
}

static void
buf_test_printf(void **state)
{
	struct buf b;

	buf_init(&b, 12);
	assert_int_equal(buf_printf(&b, "%d-%s", 42, "abc"), 0);
	assert_true(str_equal(buf_str(&b), STR("42-abc")));
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(buf_printf(&b, "%s", "1234567"), -ENOBUFS);
	assert_true(str_equal(buf_str(&b), STR("42-abc")));
	assert_int_equal(buf_printf(&b, "%s", "12345"), 0);
	assert_true(str_equal(buf_str(&b), STR("42-abc12345")));
	buf_fini(&b);
}

static void
buf_test_space(void **state)
{
	struct buf b;
	char *space;

	buf_init(&b, 300);
	assert_null(buf_space(&b, 301));
	space = buf_space(&b, 300);
	assert_non_null(space);
	/* Not in use until it is said. */
	assert_int_equal(buf_size(&b), 0);
	memcpy(space, "hello", 5);
	buf_added(&b, 5);
	assert_true(str_equal(buf_str(&b), STR("hello")));
	buf_consume(&b, 2);
	assert_true(str_equal(buf_str(&b), STR("llo")));
	assert_null(buf_space(&b, 298));
	assert_non_null(buf_space(&b, 297));
	assert_true(str_equal(buf_str(&b), STR("llo")));
	buf_clear(&b);
	assert_int_equal(buf_size(&b), 0);
	buf_consume(&b, 0);
	buf_fini(&b);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buf_test_append_at_max),
	    cmocka_unit_test(buf_test_stream),
	    cmocka_unit_test(buf_test_printf),
	    cmocka_unit_test(buf_test_space),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
