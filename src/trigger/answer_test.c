/* The replies to triggers, to the byte. */
#include "trigger/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
expect(struct smtp_reply reply, const char *line)
{
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(smtp_reply_put(&out, &reply), 0);
	assert_int_equal(buf_append(&out, str_of("", 1)), 0);
	assert_string_equal(buf_str(&out).data, line);
	buf_fini(&out);
}

static void
test_outcomes(void **state)
{
	static const struct {
		enum trigger_outcome outcome;
		uint64_t count;
		bool is_only_domain;
		const char *line;
	} cases[] = {
	    {TRIGGER_STARTED, 12, true,
		"253 2.0.0 OK, 12 pending messages for node a.test "
		"started\r\n"},
	    {TRIGGER_ACTIVE, 12, true,
		"252 2.0.0 OK, pending messages for node a.test started\r\n"},
	    {TRIGGER_EMPTY, 0, true,
		"251 2.0.0 OK, no messages waiting for node a.test\r\n"},
	    {TRIGGER_EMPTY, 0, false,
		"250 2.0.0 OK, queuing for node a.test started\r\n"},
	    {TRIGGER_BUSY, 0, true,
		"458 4.3.2 Unable to queue messages for node a.test\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trigger_grants grants = {
		    .count = 1, .is_only_domain = cases[i].is_only_domain};

		expect(trigger_answer(cases[i].outcome, cases[i].count, &grants,
			   STR(" a.test ")),
		    cases[i].line);
	}
}

static void
test_refusals(void **state)
{
	char longest[3000];
	struct smtp_reply reply;

	expect(trigger_answer_refusal(TRIGGER_REFUSED, STR("a.test")),
	    "459 4.7.1 <a.test>: service unavailable\r\n");
	expect(trigger_answer_refusal(TRIGGER_REFUSED, STR("a\r\n250 x\x80")),
	    "459 4.7.1 <a??250 x?>: service unavailable\r\n");
	expect(trigger_answer_refusal(TRIGGER_SYNTAX, STR("a\r\n")),
	    "501 5.5.4 Parameter must be a domain name\r\n");
	memset(longest, 'a', sizeof(longest));
	reply = trigger_answer_refusal(
	    TRIGGER_REFUSED, str_of(longest, sizeof(longest)));
	assert_int_equal(strlen(reply.text), 256 + strlen("<>: service "
							  "unavailable"));
}

static void
test_join(void **state)
{
	assert_int_equal(trigger_outcome_join(TRIGGER_EMPTY, TRIGGER_STARTED),
	    TRIGGER_STARTED);
	assert_int_equal(
	    trigger_outcome_join(TRIGGER_ACTIVE, TRIGGER_BUSY), TRIGGER_ACTIVE);
	assert_int_equal(
	    trigger_outcome_join(TRIGGER_BUSY, TRIGGER_EMPTY), TRIGGER_BUSY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_outcomes),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
