/* Words about hosts that could not be reached. */
#include "mail/trouble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
test_words(void **state)
{
	static const struct {
		const char *answer, *text, *host;
	} cases[] = {
	    {"connect to [192.0.2.1]: Connection refused",
		"Connection refused by [192.0.2.1]", "[192.0.2.1]"},
	    {"connect to mx.test[192.0.2.1]: Connection refused",
		"Connection refused by mx.test", "mx.test"},
	    {"connect to [2001:db8::1]: Connection timed out",
		"Connection timed out with [2001:db8::1]", "[2001:db8::1]"},
	    {"connect to : x", "connect to : x", NULL},
	    {"connect to a: ", "connect to a: ", NULL},
	    {"connect to a", "connect to a", NULL},
	    {"connect to ", "connect to ", NULL},
	    {"451 4.2.0 later", "451 4.2.0 later", NULL},
	    {"", "", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str answer = str_from(cases[i].answer), host, what;
		char text[80];

		mail_trouble_put(answer, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		assert_int_equal(mail_trouble_split(answer, &host, &what),
		    cases[i].host != NULL);
		if (cases[i].host != NULL)
			assert_true(str_equal(host, str_from(cases[i].host)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
