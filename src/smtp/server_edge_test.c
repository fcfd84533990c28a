/*
 * The server machine at its edges: limits and one past them, every verb in
 * every state, ends at every point, random bytes.
 */
#include "base/test_kit.h"
#include "smtp/session_test.h"

/* Feeds PREFIX, SIZE times FILL, and SUFFIX; returns what came last. */
static void
run_limit(const char *prefix, char fill, size_t size, const char *suffix,
    const char *want)
{
	for (unsigned cut = 0; cut < 6; cut++) {
		struct session t;
		struct str out;

		session_init(&t, &test_options, "");
		session_feed_cut(&t, str_from(prefix), cut);
		for (size_t i = 0; i < size; i++)
			session_feed(&t, str_of(&fill, 1));
		session_feed_cut(&t, str_from(suffix), cut);
		session_end(&t);
		out = buf_str(&t.output);
		if (!str_case_ends(out, str_from(want))) {
			print_error(
			    "%zu of %c: %.*s\n", size, fill, STR_ARG(out));
			fail();
		}
		session_fini(&t);
	}
}

#define TO_DATA HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define TEN_50  /* ten lines of 50 bytes */                                    \
	LINE_50 LINE_50 LINE_50 LINE_50 LINE_50 LINE_50 LINE_50 LINE_50        \
	    LINE_50 LINE_50
#define LINE_50 "123456789012345678901234567890123456789012345678\r\n"

static void
test_limits(void **state)
{
	(void)state;
	/* command_max is 1024 with its end. */
	run_limit("NOOP ", 'x', 1017, "\r\n",
	    "220 mx.test ESMTP sendq\r\n"
	    "250 2.0.0 Done\r\n");
	run_limit("NOOP ", 'x', 1018, "\r\nNOOP\r\n",
	    "500 5.5.6 Line too long\r\n250 2.0.0 Done\r\n");
	run_limit("NOOP ", 'x', 1018, "\n", "q\r\n250 2.0.0 Done\r\n");
	run_limit("NOOP ", 'x', 1019, "\nRSET\n",
	    "500 5.5.6 Line too long\r\n250 2.0.0 Reset\r\n");
	run_limit("NOOP ", 'x', 20000, "\r\nNOOP\r\n",
	    "500 5.5.6 Line too long\r\n250 2.0.0 Done\r\n");
	/* line_max is 100 with its end; the stuffing dot is not counted. */
	run_limit(TO_DATA, 'x', 98, "\r\n.\r\n", GO OK);
	run_limit(TO_DATA, 'x', 99, "\r\n.\r\n",
	    GO "554 5.6.0 Line over 100 bytes in the message\r\n");
	run_limit(TO_DATA ".", '.', 98, "\r\n.\r\n", GO OK);
	run_limit(TO_DATA ".", '.', 99, "\r\n.\r\n",
	    GO "554 5.6.0 Line over 100 bytes in the message\r\n");
	/* size_max is 1000. */
	run_limit(TO_DATA TEN_50 TEN_50, 'x', 0, ".\r\n", GO OK);
	run_limit(TO_DATA TEN_50 TEN_50, '.', 2, "\r\n.\r\n",
	    GO "552 5.3.4 Message over 1000 bytes\r\n");
	run_limit("BDAT 1000\r\n", 'x', 1000, "NOOP\r\n",
	    "q\r\n502 5.5.1 Not implemented\r\n250 2.0.0 Done\r\n");
	run_limit("BDAT 1001\r\n", 'x', 1001, "NOOP\r\n",
	    "q\r\n421 4.3.4 mx.test Chunk too large\r\n");
	run_limit("ETRN ", 'x', 512, "\r\n", "q\r\n" OK);
	run_limit(
	    "ETRN ", 'x', 513, "\r\n", "501 5.5.4 Parameter too long\r\n");
	run_limit("EHLO ", 'x', 255, "\r\n", "q\r\n" EHLO_OUT);
	run_limit("EHLO ", 'x', 256, "\r\n", "q\r\n501 5.5.4 Bad name\r\n");
}

/* The code of the reply to each verb in each state. */
struct verb_codes {
	const char *line;
	int codes[4]; /* before EHLO, idle, after MAIL, after RCPT */
};

static const struct verb_codes verb_codes[] = {
    {"EHLO c", {250, 250, 250, 250}},
    {"HELO c", {250, 250, 250, 250}},
    {"MAIL FROM:<a@b>", {503, 250, 503, 503}},
    {"RCPT TO:<a@b>", {503, 503, 250, 250}},
    {"DATA", {503, 503, 503, 354}},
    {"RSET", {250, 250, 250, 250}},
    {"NOOP", {250, 250, 250, 250}},
    {"VRFY a", {252, 252, 252, 252}},
    {"HELP", {214, 214, 214, 214}},
    {"QUIT", {221, 221, 221, 221}},
    {"ETRN a.b", {250, 250, 503, 503}},
    {"ETRN", {500, 500, 503, 503}},
    {"QSND a.b", {250, 250, 503, 503}},
    {"EXPN a", {502, 502, 502, 502}},
    {"TURN", {502, 502, 502, 502}},
    {"ATRN", {502, 502, 502, 502}},
    {"AUTH PLAIN", {502, 502, 502, 502}},
    {"STARTTLS", {502, 502, 502, 502}},
    {"BDAT 1", {502, 502, 502, 502}},
    {"XONE", {500, 500, 500, 500}},
    {"MAIL", {503, 501, 503, 503}},
    {"RCPT", {503, 503, 501, 501}},
    {"DATA x", {503, 503, 503, 501}},
    {"EHLO", {501, 501, 501, 501}},
    {"HELO", {501, 501, 501, 501}},
};

static void
test_every_verb_in_every_state(void **state)
{
	static const char *const prefixes[4] = {"", HELO,
	    HELO "MAIL FROM:<a@b>\r\n",
	    HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(verb_codes) / sizeof(verb_codes[0]); i++)
		for (size_t p = 0; p < 4; p++) {
			struct session t;
			char code[8];

			session_init(&t, &test_options, "");
			session_feed(&t, str_from(prefixes[p]));
			session_take_output(&t);
			buf_clear(&t.output);
			session_feed(&t, str_from(verb_codes[i].line));
			session_feed(&t, STR("\r\n"));
			snprintf(
			    code, sizeof(code), "%d", verb_codes[i].codes[p]);
			if (!str_starts(buf_str(&t.output), str_from(code))) {
				print_error("%s in state %zu: %.*s\n",
				    verb_codes[i].line, p,
				    STR_ARG(buf_str(&t.output)));
				fail();
			}
			session_end(&t);
			session_fini(&t);
		}
}

/* A shutdown behind BEFORE; then AFTER comes. */
struct shutdown_case {
	const char *before;
	const char *after;
	const char *out;
	const char *asks;
};

#define DOWN "421 4.3.2 mx.test down\r\n"

static const struct shutdown_case shutdowns[] = {
    {"", "NOOP\r\n", DOWN, "CLOSE|"},
    {"NO", "OP\r\n", DOWN, "CLOSE|"},
    {HELO "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", DOWN,
	"MAIL a@b|ABORT|CLOSE|"},
    {TO_DATA "x\r\n", "y\r\n.\r\nNOOP\r\n", OK DOWN,
	"MAIL a@b|RCPT c@d|DATA|COMMIT x\r\ny\r\n|CLOSE|"},
    {TO_DATA "x\r\n", "y\n.\r\n\r\n.\r\nNOOP\r\n", BARE DOWN,
	"MAIL a@b|RCPT c@d|DATA|ABORT|CLOSE|"},
    {"QUIT\r\n", "NOOP\r\n", "", "CLOSE|"},
};

static void
test_shutdown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shutdowns) / sizeof(shutdowns[0]); i++) {
		const struct shutdown_case *c = &shutdowns[i];
		struct session t;

		session_init(&t, &test_options, "");
		session_feed(&t, str_from(c->before));
		session_answer_all(&t);
		buf_clear(&t.output);
		smtp_server_shutdown(t.server, "4.3.2", "down");
		smtp_server_check(t.server);
		session_answer_all(&t);
		session_feed(&t, str_from(c->after));
		session_end(&t);
		assert_str(c->before, 0, buf_str(&t.output), str_from(c->out));
		assert_str(c->before, 0, buf_str(&t.asks), str_from(c->asks));
		session_fini(&t);
	}
}

/* Each question may stand when the end or a shutdown comes. */
static void
test_end_while_a_question_stands(void **state)
{
	static const struct {
		const char *in;
		const char *out;
		const char *asks;
	} cases[] = {
	    {HELO "MAIL FROM:<a@b>\r\n", OK, "MAIL a@b|ABORT|CLOSE|"},
	    {HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", OK,
		"MAIL a@b|RCPT c@d|ABORT|CLOSE|"},
	    {TO_DATA ".\r\n", OK, "MAIL a@b|RCPT c@d|DATA|COMMIT |CLOSE|"},
	    {TO_DATA "x", "", "MAIL a@b|RCPT c@d|DATA|ABORT|CLOSE|"},
	    {"ETRN a.b\r\n", OK, "ETRN a.b|CLOSE|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int is_shutdown = 0; is_shutdown < 2; is_shutdown++) {
			struct str in = str_from(cases[i].in), out;
			struct session t;

			session_init(&t, &test_options, "");
			/* All questions but the last are answered. */
			while (in.size > 0) {
				size_t taken = smtp_server_feed(t.server, in);

				in = str_skip(in, taken);
				if (in.size > 0)
					session_answer_all(&t);
			}
			session_take_output(&t);
			buf_clear(&t.output);
			if (is_shutdown)
				smtp_server_shutdown(t.server, "4.3.2", "down");
			smtp_server_check(t.server);
			assert_int_equal(
			    smtp_server_feed(t.server, STR("NOOP\r\n")), 0);
			session_answer_all(&t);
			session_end(&t);
			out = buf_str(&t.output);
			assert_true(str_starts(out, str_from(cases[i].out)));
			out = str_skip(out, strlen(cases[i].out));
			assert_str("421", 0, out,
			    is_shutdown && cases[i].out[0] ? STR(DOWN)
							   : STR(""));
			assert_str("asks", 0, buf_str(&t.asks),
			    str_from(cases[i].asks));
			session_fini(&t);
		}
}

/* Parameters reach the question. */
static void
test_facts_of_questions(void **state)
{
	struct str in =
	    STR("EHLO c\r\nMAIL FROM:<a@b> SIZE=7 BODY=8BITMIME RET=HDRS "
		"ENVID=e+2B AUTH=<>\r\nRCPT TO:<c@D.e> NOTIFY=delay,SUCCESS "
		"ORCPT=rfc822;x@y\r\n");
	struct session t;
	struct smtp_ask ask;

	(void)state;
	session_init(&t, &test_options, "");
	assert_string_equal(smtp_server_waits_for(t.server), "command");
	assert_int_equal(smtp_server_helo(t.server).size, 0);
	in = str_skip(in, smtp_server_feed(t.server, in));
	assert_true(smtp_server_is_esmtp(t.server));
	assert_true(str_equal(smtp_server_helo(t.server), STR("c")));
	assert_int_equal(smtp_server_next(t.server, &ask), SMTP_ASK_MAIL);
	assert_int_equal(ask.size, 7);
	assert_int_equal(ask.envelope.body, MAIL_BODY_8BITMIME);
	assert_int_equal(ask.envelope.ret, MAIL_RET_HDRS);
	assert_true(str_equal(ask.envelope.envid, STR("e+2B")));
	assert_true(str_equal(ask.envelope.auth, STR("<>")));
	assert_true(str_equal(ask.address.domain, STR("b")));
	session_answer_all(&t);
	in = str_skip(in, smtp_server_feed(t.server, in));
	assert_int_equal(in.size, 0);
	assert_int_equal(smtp_server_next(t.server, &ask), SMTP_ASK_RCPT);
	assert_int_equal(
	    ask.recipient.notify, MAIL_NOTIFY_DELAY | MAIL_NOTIFY_SUCCESS);
	assert_true(str_equal(ask.recipient.orcpt, STR("rfc822;x@y")));
	assert_true(str_equal(ask.address.domain, STR("D.e")));
	session_answer_all(&t);
	session_feed(&t, STR("DATA\r\n"));
	assert_string_equal(smtp_server_waits_for(t.server), "content");
	session_end(&t);
	session_fini(&t);
}

/* A peer that sends and never reads cannot make the output grow. */
static void
test_output_is_bounded(void **state)
{
	struct session t;
	size_t commands = 0, lines = 0;
	struct str noop = STR("NOOP\r\n"), in = noop;

	(void)state;
	session_init(&t, &test_options, "");
	for (int full = 0; full < 10; full++) {
		size_t taken;

		do {
			taken = smtp_server_feed(t.server, in);
			smtp_server_check(t.server);
			in = str_skip(in, taken);
			if (in.size == 0) {
				commands++;
				in = noop;
			}
		} while (taken > 0);
		assert_true(buf_size(smtp_server_output(t.server)) <= 16384);
		assert_true(buf_size(smtp_server_output(t.server)) >= 8192);
		session_take_output(&t);
		for (size_t i = 0; i < buf_size(&t.output); i++)
			lines += buf_str(&t.output).data[i] == '\n';
		buf_clear(&t.output);
	}
	assert_int_equal(lines, commands + 1);
	session_end(&t);
	session_fini(&t);
}

/* The longest replies fit when the output is as full as it may be. */
static void
test_longest_replies_fit(void **state)
{
	struct smtp_server_options options = test_options;
	struct smtp_reply reply = {.code = 250, .enhanced = "2.111.1111"};
	char name[MAIL_DOMAIN_MAX], text[1000];

	(void)state;
	memset(name, 'h', sizeof(name));
	memset(reply.text, 'r', sizeof(reply.text) - 1);
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	options.hostname = str_of(name, sizeof(name));
	options.size_max = UINT64_MAX;
	options.transactions_max = 1000;
	for (int fill = 0; fill < 900; fill++) {
		struct smtp_server *s = smtp_server_new(&options);
		struct str in = STR("EHLO c\r\nMAIL FROM:<a@b>\r\nEHLO c\r\n");
		struct str noop = STR("NOOP\r\n"), one = STR("ETRN a\r\n");
		struct smtp_ask ask;

		for (int i = 0; i < fill; i++)
			if (smtp_server_feed(s, noop) == 0)
				break;
		for (in = fill % 2 ? in : one; in.size > 0;) {
			size_t taken = smtp_server_feed(s, in);

			if (taken == 0)
				break;
			in = str_skip(in, taken);
			smtp_server_check(s);
			if (in.size > 0 &&
			    smtp_server_next(s, &ask) != SMTP_ASK_NONE)
				smtp_server_done(s, &reply);
			smtp_server_check(s);
		}
		smtp_server_shutdown(s, "4.4.2", text);
		while (smtp_server_next(s, &ask) != SMTP_ASK_CLOSE)
			smtp_server_done(s, &reply);
		smtp_server_check(s);
		smtp_server_free(s);
	}
}

/* Every reply line is "ddd[ -]text" in printable ASCII. */
static void
assert_replies(struct str out)
{
	while (out.size > 0) {
		size_t end = str_find(out, '\n');

		assert_true(end < out.size && end >= 4);
		assert_true(out.data[0] >= '2' && out.data[0] <= '5');
		assert_true(ascii_is_digit(out.data[1]));
		assert_true(ascii_is_digit(out.data[2]));
		assert_true(out.data[3] == ' ' || out.data[3] == '-');
		assert_int_equal(out.data[end - 1], '\r');
		for (size_t i = 0; i + 1 < end; i++)
			assert_in_range(out.data[i], ' ', '~');
		out = str_skip(out, end + 1);
	}
}

static size_t
random_piece(unsigned *seed, char piece[64])
{
	static const struct str words[] = {TEXT("\r\n"), TEXT("\n"), TEXT("\r"),
	    TEXT("."), TEXT("\r\n.\r\n"), TEXT("EHLO x\r\n"), TEXT("HELO y\n"),
	    TEXT("MAIL FROM:<a@b>\r\n"), TEXT("MAIL FROM:<>\r\n"),
	    TEXT("RCPT TO:<c@d>\r\n"), TEXT("RCPT TO:<c@d> NOTIFY=NEVER\r\n"),
	    TEXT("DATA\r\n"), TEXT("RSET\r\n"), TEXT("ETRN a.b\r\n"),
	    TEXT("QSND a\r\n"), TEXT("NOOP"), TEXT("\0"), TEXT("text \xff\r\n"),
	    TEXT("AUTH x\r\n"), TEXT("VRFY")};
	size_t count = sizeof(words) / sizeof(words[0]), size;
	unsigned pick = (unsigned)rand_r(seed) % (count + 4);

	if (pick < count) {
		memcpy(piece, words[pick].data, words[pick].size);
		return words[pick].size;
	}
	size = (size_t)rand_r(seed) % 60;
	for (size_t i = 0; i < size; i++)
		piece[i] = (char)(rand_r(seed) % 256);
	return size;
}

static void
run_random(unsigned seed)
{
	static const char letters[] = "2222222222222245c";
	struct smtp_server_options options = test_options;
	char answers[201], piece[64];
	struct session t;

	for (size_t i = 0; i < 200; i++)
		answers[i] = letters[(size_t)rand_r(&seed) % 17];
	answers[200] = '\0';
	options.errors_max = 50;
	options.transactions_max = 40;
	session_init(&t, &options, answers);
	for (int i = 0; i < 150 && !t.is_closed; i++) {
		size_t size = random_piece(&seed, piece);

		session_feed(&t, str_of(piece, size));
		if (rand_r(&seed) % 400 == 0)
			smtp_server_shutdown(t.server, "4.3.2", "down");
		smtp_server_check(t.server);
	}
	session_end(&t);
	assert_replies(buf_str(&t.output));
	session_fini(&t);
}

static void
test_random_bytes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3000; seed++)
		run_random(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_every_verb_in_every_state),
	    cmocka_unit_test(test_shutdown),
	    cmocka_unit_test(test_end_while_a_question_stands),
	    cmocka_unit_test(test_facts_of_questions),
	    cmocka_unit_test(test_output_is_bounded),
	    cmocka_unit_test(test_longest_replies_fit),
	    cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
