/* Numbers, sizes and durations, by tables of cases. */
#include "base/num.h"

#include <errno.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct num_case {
	const char *text;
	uint64_t max;
	int error;
	uint64_t value;
};

typedef int num_parser(struct str text, uint64_t max, uint64_t *value_out);

static void
num_test_cases(num_parser *parse, const struct num_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 77;
		int error =
		    parse(str_from(cases[i].text), cases[i].max, &value);

		if (error != cases[i].error)
			print_error("text \"%s\"\n", cases[i].text);
		assert_int_equal(error, cases[i].error);
		/* With an error the value is left alone. */
		assert_int_equal(value, error < 0 ? 77 : cases[i].value);
	}
}

static void
num_test_parse(void **state)
{
	static const struct num_case cases[] = {
	    {"0", 0, 0, 0},
	    {"1", 0, -ERANGE, 0},
	    {"007", 9, 0, 7},
	    {"65535", 65535, 0, 65535},
	    {"65536", 65535, -ERANGE, 0},
	    {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999", UINT64_MAX, -ERANGE, 0},
	    {"", 9, -EINVAL, 0},
	    {"-1", 9, -EINVAL, 0},
	    {"+1", 9, -EINVAL, 0},
	    {" 1", 9, -EINVAL, 0},
	    {"1 ", 9, -EINVAL, 0},
	    {"1x", 9, -EINVAL, 0},
	    {"0x1", 9, -EINVAL, 0},
	};

	num_test_cases(num_parse, cases, COUNT(cases));
}

static void
num_test_parse_size(void **state)
{
	static const struct num_case cases[] = {
	    {"0", 0, 0, 0},
	    {"64", 64, 0, 64},
	    {"65", 64, -ERANGE, 0},
	    {"64k", 65536, 0, 65536},
	    {"64k", 65535, -ERANGE, 0},
	    {"2M", UINT64_MAX, 0, 2097152},
	    {"1G", UINT64_MAX, 0, 1073741824},
	    {"17179869183G", UINT64_MAX, 0, UINT64_C(18446744072635809792)},
	    {"17179869184G", UINT64_MAX, -ERANGE, 0},
	    {"", 9, -EINVAL, 0},
	    {"k", 9, -EINVAL, 0},
	    {"1K", UINT64_MAX, -EINVAL, 0},
	    {"1kk", UINT64_MAX, -EINVAL, 0},
	    {"1 k", UINT64_MAX, -EINVAL, 0},
	    {"1k ", UINT64_MAX, -EINVAL, 0},
	    {"1T", UINT64_MAX, -EINVAL, 0},
	};
	uint64_t value;

	num_test_cases(num_parse_size, cases, COUNT(cases));
	assert_int_equal(
	    num_parse_size(STR("1\0"), UINT64_MAX, &value), -EINVAL);
}

static void
num_test_parse_duration(void **state)
{
	static const struct num_case cases[] = {
	    {"0", 0, 0, 0},
	    {"90", 90000, 0, 90000},
	    {"90", 89999, -ERANGE, 0},
	    {"90s", 90000, 0, 90000},
	    {"15m", UINT64_MAX, 0, 900000},
	    {"1h30m", UINT64_MAX, 0, 5400000},
	    {"1d12h", UINT64_MAX, 0, 129600000},
	    {"2w", UINT64_MAX, 0, 1209600000},
	    {"1w1d1h1m1s", UINT64_MAX, 0, 694861000},
	    {"90m", UINT64_MAX, 0, 5400000},
	    {"18446744073709551s", UINT64_MAX, 0,
		UINT64_C(18446744073709551000)},
	    {"18446744073709552s", UINT64_MAX, -ERANGE, 0},
	    {"30500568904w7d", UINT64_MAX, -ERANGE, 0},
	    {"", UINT64_MAX, -EINVAL, 0},
	    {"h", UINT64_MAX, -EINVAL, 0},
	    {"1h30", UINT64_MAX, -EINVAL, 0},
	    {"30m1h", UINT64_MAX, -EINVAL, 0},
	    {"1h1h", UINT64_MAX, -EINVAL, 0},
	    {"1x", UINT64_MAX, -EINVAL, 0},
	    {"1H", UINT64_MAX, -EINVAL, 0},
	    {"1 h", UINT64_MAX, -EINVAL, 0},
	    {"-1h", UINT64_MAX, -EINVAL, 0},
	    {"1.5h", UINT64_MAX, -EINVAL, 0},
	};

	num_test_cases(num_parse_duration, cases, COUNT(cases));
}

/* What is written is read as the same, but for parts of a second. */
static void
num_test_format_duration(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {{0, "0s"}, {999, "0s"}, {1000, "1s"}, {60000, "1m"},
	    {61999, "1m1s"}, {5400000, "1h30m"}, {86400000, "1d"},
	    {604800000, "1w"}, {694861000, "1w1d1h1m1s"},
	    {UINT64_MAX, "30500568904w6d14h25m51s"}};
	char text[32];

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t ms;

		num_format_duration(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(
		    num_parse_duration(str_from(text), UINT64_MAX, &ms), 0);
		assert_int_equal(ms, cases[i].ms - cases[i].ms % 1000);
	}
}

static void
num_test_add_capped(void **state)
{
	assert_int_equal(num_add_capped(1, 2), 3);
	assert_int_equal(num_add_capped(UINT64_MAX, 0), UINT64_MAX);
	assert_int_equal(num_add_capped(UINT64_MAX - 1, 1), UINT64_MAX);
	assert_int_equal(num_add_capped(UINT64_MAX, 1), UINT64_MAX);
	assert_int_equal(num_add_capped(UINT64_MAX, UINT64_MAX), UINT64_MAX);
	assert_int_equal(num_narrow_u32(UINT32_MAX), UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(num_test_parse),
	    cmocka_unit_test(num_test_parse_size),
	    cmocka_unit_test(num_test_parse_duration),
	    cmocka_unit_test(num_test_format_duration),
	    cmocka_unit_test(num_test_add_capped),
	};

	return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
