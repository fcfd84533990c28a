/*
 * Lines of recipients at the length at which they are cut, beside one that is
 * made whole and then cut.
 */
#include "smtp/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WHOLE_MAX 4000

/* COUNT names of SIZE bytes that all differ. */
static void
test_size(size_t count, size_t size)
{
	struct smtp_names names = {.size = 0};
	char whole[WHOLE_MAX], cut[SMTP_NAMES_MAX + 1];
	size_t at = 0;
	struct str line;

	for (size_t i = 0; i < count; i++) {
		size_t start;

		if (i > 0)
			whole[at++] = ',';
		start = at;
		for (size_t j = 0; j < size; j++)
			whole[at++] = (char)('a' + (7 * i + j) % 26);
		smtp_names_add(&names, str_of(whole + start, size));
	}
	line = smtp_names_str(&names);
	if (at < SMTP_NAMES_MAX) {
		assert_true(str_equal(line, str_of(whole, at)));
		return;
	}
	snprintf(cut, sizeof(cut), "%.100s...%.100s", whole, whole + at - 100);
	assert_true(str_equal(line, str_from(cut)));
}

static void
test_sizes(void **state)
{
	for (size_t size = 1; size <= 420; size++)
		test_size(1, size);
	for (size_t count = 1; count <= 60; count++)
		for (size_t size = 1; size <= 30; size++)
			test_size(count, size);
	test_size(9, 254);
}

static void
test_none(void **state)
{
	struct smtp_names names = {.size = 0};

	assert_int_equal(smtp_names_str(&names).size, 0);
	smtp_names_add(&names, STR("a@x"));
	smtp_names_add(&names, STR("b@x"));
	assert_true(str_equal(smtp_names_str(&names), STR("a@x,b@x")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_none),
	    cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
