/* Levels of -d. */
#include "cmd/sendmail_debug.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
test_levels(void **state)
{
	static const struct {
		const char *levels;
		unsigned category, level;
	} cases[] = {
	    {"", 0, 0},
	    {"0.1", 0, 1},
	    {"0", 0, 1},
	    {"0.4", 8, 0},
	    {"8.99", 8, 99},
	    {"0-99.1", 8, 1},
	    {"0-99.1,8.0", 8, 0},
	    {"8.0,0-99.4", 8, 4},
	    {"9-99", 8, 0},
	    {"8-", 8, 1},
	    {"8.", 8, 1},
	    {",,8.2,", 8, 2},
	    {"x,8.2x", 8, 0},
	    {"ANSI.8", 8, 0},
	    {"99999999999999999999", 8, 0},
	    {"8.99999999999999999999", 8, 10000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sendmail_debug_level(str_from(cases[i].levels),
				     cases[i].category),
		    cases[i].level);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
