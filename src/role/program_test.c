/* How a program ended, as an answer. */
#include "role/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	int status, signal_number;
	const char *output, *answer;
	enum smtp_verdict verdict;
} cases[] = {
    {0, 0, "", "250 2.0.0 taken by the program", SMTP_ACCEPTED},
    {0, 0, "noise\n", "250 2.0.0 taken by the program", SMTP_ACCEPTED},
    {64, 0, "", "500 5.0.0 Bad usage", SMTP_PERMANENT},
    {67, 0, "who?\n", "550 5.1.1 User unknown: who?", SMTP_PERMANENT},
    {71, 0, "", "451 4.0.0 Operating system error", SMTP_TEMPORARY},
    {74, 0, "", "451 4.0.0 I/O error", SMTP_TEMPORARY},
    {75, 0, "later", "451 4.0.0 Deferred: later", SMTP_TEMPORARY},
    {78, 0, "", "554 5.3.5 Local configuration error", SMTP_PERMANENT},
    {1, 0, "a\n\n \n  b \r\nc\nd\n",
	"554 5.3.0 unknown mailer error 1: a; b; c", SMTP_PERMANENT},
    {79, 0, "", "554 5.3.0 unknown mailer error 79", SMTP_PERMANENT},
    {255, 0, "x\001\xc3y\r", "554 5.3.0 unknown mailer error 255: x??y",
	SMTP_PERMANENT},
    {0, 9, "", "451 4.3.0 the program was killed by signal 9", SMTP_TEMPORARY},
    {67, 15, "x", "451 4.3.0 the program was killed by signal 15: x",
	SMTP_TEMPORARY},
};

static void
test_answers(void **state)
{
	char text[SMTP_ANSWER_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    program_answer(cases[i].status, cases[i].signal_number,
			str_from(cases[i].output), text),
		    cases[i].verdict);
		assert_string_equal(text, cases[i].answer);
	}
}

static void
test_long_output(void **state)
{
	static char output[10000];
	char text[SMTP_ANSWER_MAX + 1];

	memset(output, 'x', sizeof(output));
	assert_int_equal(
	    program_answer(1, 0, str_of(output, sizeof(output)), text),
	    SMTP_PERMANENT);
	assert_int_equal(strlen(text), SMTP_ANSWER_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_long_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
