/* Strings as pointer and length, by tables of cases. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void
str_test_compare(void **state)
{
	static const struct {
		struct str a, b;
		int order;
		bool is_case_equal;
	} cases[] = {
	    {STR(""), STR(""), 0, true},
	    {STR(""), STR("a"), -1, false},
	    {STR("a"), STR("a"), 0, true},
	    {STR("a"), STR("b"), -1, false},
	    {STR("a"), STR("aa"), -1, false},
	    {STR("b"), STR("aa"), 1, false},
	    {STR("A"), STR("a"), -1, true},
	    {STR("Z"), STR("z"), -1, true},
	    {STR("@"), STR("`"), -1, false}, /* beside A and a */
	    {STR("["), STR("{"), -1, false}, /* beside Z and z */
	    {STR("\x7f"), STR("\x80"), -1, false},
	    {STR("\xc4"), STR("\xe4"), -1, false}, /* not ASCII */
	    {STR("a\0b"), STR("a\0c"), -1, false},
	    {STR("a\0b"), STR("A\0B"), 1, true},
	    {{NULL, 0}, STR(""), 0, true},
	    {{NULL, 0}, STR("a"), -1, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str a = cases[i].a, b = cases[i].b;

		assert_int_equal(str_compare(a, b), cases[i].order);
		assert_int_equal(str_compare(b, a), -cases[i].order);
		assert_int_equal(str_equal(a, b), cases[i].order == 0);
		assert_int_equal(str_case_equal(a, b), cases[i].is_case_equal);
		assert_int_equal(str_case_equal(b, a), cases[i].is_case_equal);
	}
}

static void
str_test_starts_ends(void **state)
{
	static const struct {
		struct str s, part;
		bool is_start, is_case_start;
	} cases[] = {
	    {STR("hello"), STR(""), true, true},
	    {STR(""), STR(""), true, true},
	    {STR(""), STR("x"), false, false},
	    {STR("hello"), STR("hel"), true, true},
	    {STR("hello"), STR("HEL"), false, true},
	    {STR("hello"), STR("LLO"), false, false},
	    {STR("hello"), STR("hello"), true, true},
	    {STR("hello"), STR("hello!"), false, false},
	    {STR("hello"), STR("!hello"), false, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str s = cases[i].s, part = cases[i].part;

		assert_int_equal(str_starts(s, part), cases[i].is_start);
		assert_int_equal(
		    str_case_starts(s, part), cases[i].is_case_start);
	}
}

static void
str_test_cut(void **state)
{
	static const struct {
		size_t n;
		const char *skip, *head;
	} cases[] = {{0, "abc", ""}, {1, "bc", "a"}, {3, "", "abc"},
	    {4, "", "abc"}, {SIZE_MAX, "", "abc"}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(str_equal(
		    str_skip(STR("abc"), cases[i].n), str_from(cases[i].skip)));
		assert_true(str_equal(
		    str_head(STR("abc"), cases[i].n), str_from(cases[i].head)));
	}
	assert_int_equal(str_from(NULL).size, 0);
	assert_non_null(str_from(NULL).data);
}

static void
str_test_find_trim(void **state)
{
	static const struct {
		struct str s, trimmed;
		size_t x_index;
	} cases[] = {
	    {STR(""), STR(""), 0},
	    {STR("x"), STR("x"), 0},
	    {STR("axx"), STR("axx"), 1},
	    {STR("abc"), STR("abc"), 3},
	    {STR("a\0x"), STR("a\0x"), 2},
	    {STR(" \t "), STR(""), 3},
	    {STR(" \ta x\t "), STR("a x"), 4},
	    {STR("\ra\n"), STR("\ra\n"), 3},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(str_find(cases[i].s, 'x'), cases[i].x_index);
		assert_true(str_equal(str_trim(cases[i].s), cases[i].trimmed));
	}
	assert_int_equal(str_find(str_of(NULL, 0), 'x'), 0);
}

/* Every byte, against the list of those that are meant. */
static void
str_test_ascii(void **state)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz";

	for (int i = -128; i < 128; i++) {
		char c = (char)i;
		const char *at = c ? strchr(upper, c) : NULL;

		assert_int_equal(ascii_lower(c), at ? lower[at - upper] : c);
		assert_int_equal(ascii_is_alpha(c),
		    at != NULL || (c && strchr(lower, c) != NULL));
		assert_int_equal(
		    ascii_is_digit(c), c && strchr("0123456789", c) != NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(str_test_compare),
	    cmocka_unit_test(str_test_starts_ends),
	    cmocka_unit_test(str_test_cut),
	    cmocka_unit_test(str_test_find_trim),
	    cmocka_unit_test(str_test_ascii),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
