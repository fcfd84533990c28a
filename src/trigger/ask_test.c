/*
 * Asking for domains, against scripts: lines "S:" of the server, "C:" of the
 * client, "X" the server closes, "T" time passes the deadline; then the result
 * of each domain and the exit status of all.  Each script is run whole, byte
 * by byte and in random cuts.
 */
#include "trigger/ask.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const outcome_names[] = {
    [TRIGGER_ASK_PENDING] = "pending",
    [TRIGGER_ASK_STARTED] = "started",
    [TRIGGER_ASK_EMPTY] = "empty",
    [TRIGGER_ASK_LATER] = "later",
    [TRIGGER_ASK_REFUSED] = "refused",
    [TRIGGER_ASK_UNAVAILABLE] = "unavailable",
    [TRIGGER_ASK_PROTOCOL] = "protocol",
    [TRIGGER_ASK_NO_HOST] = "no host",
    [TRIGGER_ASK_USAGE] = "usage",
};

struct test_script {
	enum trigger_ask_method method;
	const char *domains[4];
	const char *lines[24];
	const char *results; /* "outcome text", one a domain, "|" between */
	int exit;
};

#define AUTO TRIGGER_ASK_AUTO
#define ETRN TRIGGER_ASK_ETRN
#define QSND TRIGGER_ASK_QSND
#define HELLO                                                                  \
	"S:220 h hi", "C:EHLO me.example", "S:250-h", "S:250-SIZE 1000",       \
	    "S:250 etrn"
#define BYE "C:QUIT", "S:221 bye"

static const struct test_script test_scripts[] = {
    {AUTO, {"a.example"},
	{HELLO, "C:ETRN a.example", "S:250 2.0.0 started", BYE},
	"started 250 2.0.0 started", 0},
    /* Any 2xx to QUIT, a close, silence. */
    {AUTO, {"a.example"},
	{HELLO, "C:ETRN a.example", "S:252 ok", "C:QUIT", "S:250 bye"},
	"started 252 ok", 0},
    {AUTO, {"a.example"},
	{HELLO, "C:ETRN a.example", "S:253 3 ok", "C:QUIT", "X"},
	"started 253 3 ok", 0},
    {AUTO, {"a.example"},
	{HELLO, "C:ETRN a.example", "S:251 none", "C:QUIT", "T"},
	"empty 251 none", 0},
    {AUTO, {"a.example"},
	{HELLO, "C:ETRN a.example", "S:251 none", "C:QUIT", "S:junk"},
	"empty 251 none", 0},
    /* A reply of several lines is one reply. */
    {AUTO, {"a.example", "b.example"},
	{"S:220-h", "S:220 hi", "C:EHLO me.example", "S:250-h", "S:250 ETRN x",
	    "C:ETRN a.example", "S:250-2.0.0 one", "S:250 2.0.0 two",
	    "C:ETRN b.example", "S:250-", "S:250", BYE},
	"started 250 2.0.0 one two|started 250", 0},
    /* 251 stops nothing. */
    {AUTO, {"a.example", "@b.example", "#queue"},
	{HELLO, "C:ETRN a.example", "S:251 none", "C:ETRN @b.example",
	    "S:459 4.7.1 no", "C:ETRN #queue", "S:458 4.3.2 busy", BYE},
	"empty 251 none|refused 459 4.7.1 no|later 458 4.3.2 busy", 77},
    /* No ETRN: QSND. */
    {AUTO, {"a.example", "@b.example", "c.example"},
	{"S:220 h", "C:EHLO me.example", "S:250-h", "S:250 ETRNX",
	    "C:QSND a.example", "S:250 ok", "C:QSND c.example", "S:450 no",
	    BYE},
	"started 250 ok|unavailable QSND has no \"@\" and no \"#\"|"
	"later 450 no",
	69},
    {AUTO, {"a.example"},
	{"S:220 h", "C:EHLO me.example", "S:500 what", "C:HELO me.example",
	    "S:250-h", "S:250 ETRN", "C:QSND a.example", "S:250 ok", BYE},
	"started 250 ok", 0},
    {ETRN, {"a.example"},
	{"S:220 h", "C:EHLO me.example", "S:250 h", "C:ETRN a.example",
	    "S:250 ok", BYE},
	"started 250 ok", 0},
    {QSND, {"a.example", "#q"},
	{"S:220-h", "S:220 hi", "C:QSND a.example", "S:250 ok", BYE},
	"started 250 ok|usage QSND has no \"@\" and no \"#\"", 64},
    /* Arguments that cannot stand in a command never go out. */
    {QSND, {"a b", "", "a\r\nQUIT", "b.example"},
	{"S:220 h", "C:QSND b.example", "S:250 ok", BYE},
	"usage not a domain that can be asked for|"
	"usage not a domain that can be asked for|"
	"usage not a domain that can be asked for|started 250 ok",
	64},
    {ETRN, {"@"}, {HELLO, BYE}, "usage not a domain that can be asked for", 64},
    /* RFC 1985 5.2 with erratum 4130. */
    {AUTO, {"a.example", "b.example"},
	{HELLO, "C:ETRN a.example", "S:502 5.5.1 no such command", BYE},
	"unavailable 502 5.5.1 no such command|"
	"unavailable 502 5.5.1 no such command",
	69},
    {QSND, {"a.example", "b.example"},
	{"S:220 h", "C:QSND a.example", "S:500 5.5.2 not recognized", BYE},
	"protocol 500 5.5.2 not recognized|protocol 500 5.5.2 not recognized",
	76},
    {QSND, {"a.example", "b.example"},
	{"S:220 h", "C:QSND a.example", "S:500", BYE},
	"protocol 500|protocol 500", 76},
    {AUTO, {"a", "b.example"},
	{HELLO, "C:ETRN a", "S:501 5.5.4 bad name", "C:ETRN b.example",
	    "S:250 ok", BYE},
	"protocol 501 5.5.4 bad name|started 250 ok", 76},
    {AUTO, {"a", "b.example"},
	{HELLO, "C:ETRN a", "S:500 Syntax: ETRN domain", "C:ETRN b.example",
	    "S:250 ok", BYE},
	"protocol 500 Syntax: ETRN domain|started 250 ok", 76},
    /* Refusals of the session. */
    {AUTO, {"a.example", "b.example"}, {"S:554 5.7.1 no", BYE},
	"unavailable 554 5.7.1 no|unavailable 554 5.7.1 no", 69},
    {AUTO, {"a.example"}, {"S:550 no", BYE}, "unavailable 550 no", 69},
    {AUTO, {"a.example"}, {"S:521 no"}, "unavailable 521 no", 69},
    {AUTO, {"a.example"}, {"S:450 no", "C:QUIT", "X"}, "later 450 no", 75},
    {AUTO, {"a.example"}, {"S:421 no"}, "later 421 no", 75},
    {AUTO, {"a.example"}, {"S:220 h", "C:EHLO me.example", "S:450 no", BYE},
	"later 450 no", 75},
    {AUTO, {"a.example"},
	{"S:220 h", "C:EHLO me.example", "S:502 what", "C:HELO me.example",
	    "S:550 no", BYE},
	"unavailable 550 no", 69},
    /* Ends in the middle keep what was said. */
    {AUTO, {"a.example", "b.example", "c.example"},
	{HELLO, "C:ETRN a.example", "S:250 ok", "C:ETRN b.example",
	    "S:421 4.3.2 down"},
	"started 250 ok|later 421 4.3.2 down|later 421 4.3.2 down", 75},
    {AUTO, {"a.example", "b.example"},
	{HELLO, "C:ETRN a.example", "S:250 ok", "C:ETRN b.example", "X"},
	"started 250 ok|later closed", 75},
    {AUTO, {"a.example", "b.example"},
	{HELLO, "C:ETRN a.example", "S:530 no", "C:ETRN b.example", "T"},
	"refused 530 no|later no reply in time", 77},
    {AUTO, {"a.example", "b.example"},
	{HELLO, "C:ETRN a.example", "S:550 no", "C:ETRN b.example", "S:ok"},
	"refused 550 no|protocol protocol error: ok", 77},
    {AUTO, {"a.example"}, {"X"}, "later closed", 75},
    {AUTO, {"a.example"}, {"T"}, "later no greeting in time", 75},
    {AUTO, {"a.example"}, {"S:+OK POP3"}, "protocol protocol error: +OK POP3",
	76},
    {AUTO, {"a.example"}, {"S:354 go"}, "protocol protocol error: 354 go", 76},
    {AUTO, {"a.example"}, {"S:220 h", "C:EHLO me.example", "T"},
	"later no reply to EHLO in time", 75},
    {AUTO, {"a.example"}, {"S:220 h", "C:EHLO me.example", "X"}, "later closed",
	75},
    {AUTO, {"a.example"},
	{"S:220 h", "C:EHLO me.example", "S:550 no", "C:HELO me.example", "T"},
	"later no reply to HELO in time", 75},
};

/* A run of one script. */
struct test_run {
	struct trigger_ask *a;
	struct buf sent;
	uint64_t now_ms;
	unsigned cut; /* 0 = whole, 1 = by byte, else at random */
	uint64_t seed;
};

static void
test_drain(struct test_run *run)
{
	struct buf *out = trigger_ask_output(run->a);

	assert_int_equal(buf_append(&run->sent, buf_str(out)), 0);
	buf_consume(out, buf_size(out));
}

static void
test_feed(struct test_run *run, struct str bytes)
{
	while (bytes.size > 0) {
		size_t n = run->cut == 0 ? bytes.size : 1;

		run->seed = run->seed * 6364136223846793005u + 1;
		if (run->cut > 1)
			n = 1 + (size_t)(run->seed >> 33) % 9;
		if (n > bytes.size)
			n = bytes.size;
		trigger_ask_feed(run->a, str_head(bytes, n), run->now_ms);
		trigger_ask_check(run->a);
		bytes = str_skip(bytes, n);
		test_drain(run);
	}
}

static void
test_expect_sent(struct test_run *run, const char *line)
{
	struct str sent = buf_str(&run->sent);
	char text[600];

	snprintf(text, sizeof(text), "%s\r\n", line);
	if (!str_equal(sent, str_from(text)))
		fail_msg("client: expected %s, got %.*s", line, STR_ARG(sent));
	buf_clear(&run->sent);
}

static void
test_run_lines(struct test_run *run, const char *const *lines)
{
	struct buf server;

	buf_init(&server, 10000);
	for (; *lines != NULL; lines++, run->now_ms++) {
		switch ((*lines)[0]) {
		case 'S':
			assert_int_equal(
			    buf_printf(&server, "%s\r\n", *lines + 2), 0);
			if (lines[1] != NULL && lines[1][0] == 'S')
				continue;
			assert_int_equal(buf_size(&run->sent), 0);
			test_feed(run, buf_str(&server));
			buf_clear(&server);
			break;
		case 'C':
			test_expect_sent(run, *lines + 2);
			break;
		case 'X':
			trigger_ask_lost(run->a, TRIGGER_ASK_LATER, "closed");
			break;
		case 'T':
			run->now_ms = trigger_ask_deadline(run->a);
			trigger_ask_timer(run->a, run->now_ms - 1);
			assert_int_equal(
			    trigger_ask_next(run->a), TRIGGER_ASK_NOTHING);
			trigger_ask_timer(run->a, run->now_ms);
			break;
		}
		trigger_ask_check(run->a);
	}
	assert_int_equal(buf_size(&run->sent), 0);
	buf_fini(&server);
}

static void
test_run_script(const struct test_script *script, unsigned cut, uint64_t seed)
{
	struct trigger_ask_options options = {
	    .hostname = STR("me.example"),
	    .method = script->method,
	    .greeting_timeout_ms = 300000,
	    .reply_timeout_ms = 100000,
	};
	struct test_run run = {.cut = cut, .seed = seed, .now_ms = 1000};
	struct str domains[4];
	char text[2048] = "";
	size_t count = 0, size = 0;

	while (count < COUNT(domains) && script->domains[count] != NULL) {
		domains[count] = str_from(script->domains[count]);
		count++;
	}
	run.a = trigger_ask_new(&options, domains, count, 1000);
	buf_init(&run.sent, 100000);
	trigger_ask_check(run.a);
	test_run_lines(&run, script->lines);
	assert_int_equal(trigger_ask_next(run.a), TRIGGER_ASK_CLOSE);
	assert_true(trigger_ask_deadline(run.a) == UINT64_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct trigger_ask_result *result =
		    trigger_ask_result(run.a, i);

		size += (size_t)snprintf(text + size, sizeof(text) - size,
		    "%s%s %s", i > 0 ? "|" : "", outcome_names[result->outcome],
		    result->text);
	}
	assert_string_equal(text, script->results);
	assert_int_equal(trigger_ask_exit_all(run.a), script->exit);
	trigger_ask_free(run.a);
	buf_fini(&run.sent);
}

static void
test_all_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(test_scripts); i++)
		for (unsigned n = 0; n < 12; n++)
			test_run_script(&test_scripts[i], n < 2 ? n : 2, n);
}

/* Every code that a server may give, and the exit status for it. */
static void
test_all_codes(void **state)
{
	static const struct {
		int code, exit;
	} known[] = {{250, 0}, {251, 0}, {252, 0}, {253, 0}, {421, 75},
	    {450, 75}, {451, 75}, {458, 75}, {459, 77}, {530, 77}, {550, 77},
	    {502, 69}, {500, 76}, {501, 76}, {452, 75}, {553, 69}, {503, 69},
	    {554, 69}, {334, 76}};
	struct trigger_ask_options options = {
	    .hostname = STR("me.example"),
	    .method = TRIGGER_ASK_QSND,
	    .greeting_timeout_ms = 1,
	    .reply_timeout_ms = 1,
	};
	struct str domain = STR("a.example");

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		struct test_run run = {0};
		char text[40];

		run.a = trigger_ask_new(&options, &domain, 1, 0);
		buf_init(&run.sent, 1000);
		test_feed(&run, STR("220 h\r\n"));
		snprintf(text, sizeof(text), "%d x\r\n", known[i].code);
		test_feed(&run, str_from(text));
		assert_int_equal(
		    trigger_ask_exit(trigger_ask_result(run.a, 0)->outcome),
		    known[i].exit);
		assert_int_equal(
		    trigger_ask_result(run.a, 0)->code, known[i].code);
		trigger_ask_free(run.a);
		buf_fini(&run.sent);
	}
	assert_int_equal(trigger_ask_exit(TRIGGER_ASK_NO_HOST), 68);
	assert_int_equal(trigger_ask_exit(TRIGGER_ASK_USAGE), 64);
}

/* A reply that nothing asked for ends it; it is not taken for a verdict. */
static void
test_unasked(void **state)
{
	struct trigger_ask_options options = {
	    .hostname = STR("me.example"),
	    .method = TRIGGER_ASK_QSND,
	    .greeting_timeout_ms = 1,
	    .reply_timeout_ms = 1,
	};
	struct str domain = STR("a.example");
	struct test_run run = {0};

	(void)state;
	run.a = trigger_ask_new(&options, &domain, 1, 0);
	buf_init(&run.sent, 1000);
	test_feed(&run, STR("220 h\r\n250 ok\r\n"));
	assert_int_equal(trigger_ask_next(run.a), TRIGGER_ASK_CLOSE);
	assert_int_equal(buf_size(&run.sent), 0);
	assert_int_equal(
	    trigger_ask_result(run.a, 0)->outcome, TRIGGER_ASK_PROTOCOL);
	trigger_ask_free(run.a);
	/* Nor is its beginning. */
	run.a = trigger_ask_new(&options, &domain, 1, 0);
	test_feed(&run, STR("220 h\r\n250 "));
	assert_int_equal(buf_size(&run.sent), 0);
	test_feed(&run, STR("ok\r\n"));
	assert_int_equal(
	    trigger_ask_result(run.a, 0)->outcome, TRIGGER_ASK_PROTOCOL);
	trigger_ask_free(run.a);
	buf_fini(&run.sent);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_scripts),
	    cmocka_unit_test(test_all_codes),
	    cmocka_unit_test(test_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
