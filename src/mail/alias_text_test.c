/* How long lists are shown: to the byte at the limit, and one behind it. */
#include "mail/alias_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_texts(void **state)
{
	char text[ALIAS_SHOWN_MAX + 1], one[300], want[300];
	struct alias_leaf leaves[3] = {{.address = STR("a@b")},
	    {.address = STR("c@d")}, {.address = STR("e@f")}};
	struct alias_expansion e = {.leaves = leaves};

	(void)state;
	alias_text_put(&e, text);
	assert_string_equal(text, "/dev/null");
	e.leaf_count = 1;
	alias_text_put(&e, text);
	assert_string_equal(text, "a@b");
	e.leaf_count = 3;
	alias_text_put(&e, text);
	assert_string_equal(text, "a@b, c@d, e@f");

	/* With one in the middle 202 bytes, and 203. */
	for (size_t i = 0; i < sizeof(one); i++)
		one[i] = (char)('a' + i % 26);
	leaves[1].address = str_of(one, 192);
	alias_text_put(&e, text);
	snprintf(want, sizeof(want), "a@b, %.192s, e@f", one);
	assert_string_equal(text, want);
	leaves[1].address = str_of(one, 193);
	alias_text_put(&e, text);
	snprintf(
	    want, sizeof(want), "a@b, %.95s...%.95s, e@f", one, one + 193 - 95);
	assert_string_equal(text, want);
	assert_int_equal(strlen(text), ALIAS_SHOWN_MAX);
	leaves[1].address = str_of(one, 299);
	alias_text_put(&e, text);
	snprintf(
	    want, sizeof(want), "a@b, %.95s...%.95s, e@f", one, one + 299 - 95);
	assert_string_equal(text, want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
