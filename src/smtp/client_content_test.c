/*
 * The SMTP client beyond its dialogue: content with its dots over any cuts,
 * what a far end says out of turn, bounds, and time.
 */
#include "smtp/client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct smtp_client_options test_options = {
    .hostname = {"me.example", 10},
    .greeting_timeout_ms = 300000,
    .data_timeout_ms = 120000,
    .block_timeout_ms = 180000,
    .dot_timeout_ms = 600000,
};

static const struct mail_envelope test_envelope = {.sender = {"a@x", 3}};
static const struct mail_recipient test_recipient = {.address = {"b@y", 3}};

struct test_run {
	struct smtp_client *c;
	struct buf sent; /* by the client */
};

static void
test_drain(struct test_run *run)
{
	struct buf *out = smtp_client_output(run->c);

	smtp_client_check(run->c);
	assert_int_equal(buf_append(&run->sent, buf_str(out)), 0);
	buf_consume(out, buf_size(out));
	smtp_client_progress(run->c, 0);
}

static void
test_feed(struct test_run *run, const char *text)
{
	smtp_client_feed(run->c, str_from(text), 0);
	test_drain(run);
}

static void
test_open(struct test_run *run)
{
	run->c = smtp_client_new(&test_options, 1000);
	buf_init(&run->sent, 10000000);
}

static void
test_close(struct test_run *run)
{
	smtp_client_free(run->c);
	buf_fini(&run->sent);
}

static void
test_give_job(struct test_run *run, uint64_t content_size)
{
	smtp_client_job(
	    run->c, &test_envelope, &test_recipient, 1, content_size, 0);
	test_drain(run);
}

/* Size of the next piece: the whole, a byte, or what SEED says. */
static size_t
test_cut(unsigned cut, uint64_t *seed, size_t size)
{
	size_t n = cut == 0 ? size : 1;

	*seed = *seed * 6364136223846793005u + 1442695040888963407u + cut;
	if (cut > 1)
		n = 1 + (size_t)(*seed >> 33) % 7;
	return n < size ? n : size;
}

static void
test_feed_cut(struct test_run *run, struct str bytes)
{
	uint64_t seed = 7;

	while (bytes.size > 0) {
		size_t n = test_cut(2, &seed, bytes.size);

		smtp_client_feed(run->c, str_head(bytes, n), 0);
		smtp_client_check(run->c);
		bytes = str_skip(bytes, n);
	}
}

/* Asserts that it is over, with this much of the end. */
static void
test_expect_end(struct test_run *run, bool is_failed, int code)
{
	struct smtp_client_end end;

	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_CLOSE);
	smtp_client_end(run->c, &end);
	assert_int_equal(end.is_failed, is_failed);
	assert_int_equal(end.code, code);
}

/* Brings a new client to the content. */
static void
test_open_content(struct test_run *run, uint64_t content_size)
{
	test_open(run);
	test_feed(run, "220 y\r\n");
	test_feed(run, "250 y\r\n");
	test_give_job(run, content_size);
	test_feed(run, "250 ok\r\n");
	test_feed(run, "250 ok\r\n");
	test_feed(run, "354 ok\r\n");
	buf_clear(&run->sent);
	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_CONTENT);
}

static const struct {
	const char *content;
	size_t size;
	const char *sent; /* NULL = refused */
	size_t sent_size; /* 0 = as far as there is no NUL */
} stuff_cases[] = {
    {"", 0, ".\r\n"},
    {"\r\n", 2, "\r\n.\r\n"},
    {".", 1, "..\r\n.\r\n"},
    {".\r\n", 3, "..\r\n.\r\n"},
    {"..\r\n.\r\n..a", 10, "...\r\n..\r\n...a\r\n.\r\n"},
    {"a.\r\n.b.c\r\n", 10, "a.\r\n..b.c\r\n.\r\n"},
    {"a\r\n\r\n.\r\nb\r\n", 11, "a\r\n\r\n..\r\nb\r\n.\r\n"},
    {"a\r\n.\r\n.\r\n", 9, "a\r\n..\r\n..\r\n.\r\n"},
    {"a", 1, "a\r\n.\r\n"},
    {"\377\200", 2, "\377\200\r\n.\r\n"},
    {"a\n", 2, NULL},
    {"\n", 1, NULL},
    {"a\n.\n", 4, NULL},
    {"a\r\n\n", 4, NULL},
    {"a\r\0\n", 4, NULL},
    /* A bare CR, and a NUL, go out as they are. */
    {"a\r", 2, "a\r\n.\r\n"},
    {"\r", 1, "\r\n.\r\n"},
    {"a\rb\rc\r\n", 7, "a\rb\rc\r\n.\r\n"},
    {"a\r\r\n.\r\n", 7, "a\r\r\n..\r\n.\r\n"},
    {".\ra\r\n", 5, "..\ra\r\n.\r\n"},
    {"a\r\n.\r\r\n", 7, "a\r\n..\r\r\n.\r\n"},
    {"a\0b\r\n", 5, "a\0b\r\n.\r\n", 8},
    /* But no dot may follow on one. */
    {"a\r.\r\n", 5, NULL},
    {"\r.", 2, NULL},
    {"a\r\n\r.\r\n", 7, NULL},
    {"a\r\r.b\r\n", 7, NULL},
    {"a\r\n\0.\r\n", 7, NULL},
    {"a\0.b\r\n", 6, NULL},
    {"a\r\0.\r\n", 6, NULL},
};

static void
test_stuffing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stuff_cases); i++)
		for (unsigned cut = 0; cut < 20; cut++) {
			struct str content =
			    str_of(stuff_cases[i].content, stuff_cases[i].size);
			struct smtp_client_result result;
			struct test_run run;

			test_open_content(&run, content.size);
			uint64_t seed = 1;
			do {
				struct str piece = str_head(content,
				    test_cut(cut, &seed, content.size));

				content = str_skip(content, piece.size);
				smtp_client_content(
				    run.c, piece, content.size == 0, 0);
				smtp_client_check(run.c);
				test_drain(&run);
			} while (content.size > 0);
			if (stuff_cases[i].sent != NULL) {
				size_t size = stuff_cases[i].sent_size;

				if (size == 0)
					size = strlen(stuff_cases[i].sent);
				assert_true(str_equal(buf_str(&run.sent),
				    str_of(stuff_cases[i].sent, size)));
			} else {
				smtp_client_result(run.c, 0, &result);
				assert_int_equal(
				    result.verdict, SMTP_PERMANENT);
				assert_string_equal(result.status, "5.6.0");
				assert_null(memmem(buf_str(&run.sent).data,
				    buf_size(&run.sent), "\r\n.\r\n", 5));
			}
			test_close(&run);
		}
}

/* A message of many blocks: the output stays bounded and nothing is lost. */
static void
test_large_content(void **state)
{
	static char block[65536];
	struct test_run run;
	size_t blocks = 20, given = 0, got = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = ".\r\n"[i % 3];
	test_open_content(&run, blocks * (sizeof(block) - 1));
	while (smtp_client_next(run.c) == SMTP_WANT_CONTENT) {
		struct buf *out = smtp_client_output(run.c);

		assert_true(smtp_client_content_room(run.c) >= 65536);
		given++;
		smtp_client_content(run.c, str_of(block, sizeof(block) - 1),
		    given == blocks, 0);
		smtp_client_check(run.c);
		/* A slow network takes 30000 bytes a time. */
		while (buf_size(out) > 0 &&
		       (smtp_client_next(run.c) != SMTP_WANT_CONTENT ||
			   given == blocks)) {
			size_t n =
			    buf_size(out) < 30000 ? buf_size(out) : 30000;

			got += n;
			buf_consume(out, n);
			smtp_client_progress(run.c, 0);
		}
		if (given == blocks)
			break;
	}
	assert_int_equal(given, blocks);
	assert_int_equal(
	    got, blocks * (sizeof(block) - 1) / 3 * 4 + strlen(".\r\n"));
	test_close(&run);
}

static void
test_wrong_size(void **state)
{
	struct smtp_client_result result;
	struct smtp_client_end end;
	struct test_run run;

	(void)state;
	for (int n = 0; n < 3; n++) {
		test_open_content(&run, 5);
		if (n == 0)
			smtp_client_content(run.c, STR("abcd"), true, 0);
		else if (n == 1)
			smtp_client_content(run.c, STR("abcdef"), false, 0);
		else
			smtp_client_abandon(run.c, "lease over");
		assert_int_equal(buf_size(smtp_client_output(run.c)), 0);
		assert_int_equal(smtp_client_next(run.c), SMTP_WANT_REPORT);
		smtp_client_result(run.c, 0, &result);
		assert_int_equal(result.verdict, SMTP_UNTRIED);
		smtp_client_reported(run.c);
		assert_int_equal(smtp_client_next(run.c), SMTP_WANT_CLOSE);
		smtp_client_end(run.c, &end);
		assert_false(end.is_failed);
		test_close(&run);
	}
}

/* What a far end may say before the dot. */
static void
test_early_answer(void **state)
{
	static const struct {
		const char *said;
		enum smtp_verdict verdict;
		bool is_failed;
		const char *answer;
	} cases[] = {
	    {"552 5.3.4 big\r\n", SMTP_PERMANENT, false, "552 5.3.4 big"},
	    {"452 later\r\n", SMTP_TEMPORARY, false, "452 later"},
	    {"421 down\r\n", SMTP_TEMPORARY, true, "421 down"},
	    {"250 ok\r\n", SMTP_TEMPORARY, true,
		"protocol error, 2xx before the final dot: 250 ok"},
	    {"250 o", SMTP_TEMPORARY, true,
		"protocol error, a reply before the final dot: "},
	    {"junk\r\n", SMTP_TEMPORARY, true,
		"protocol error, no reply of SMTP: junk"},
	};
	struct smtp_client_result result;
	struct smtp_client_end end;
	struct test_run run;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		test_open_content(&run, 4);
		smtp_client_content(run.c, STR("ab"), false, 0);
		smtp_client_feed(run.c, str_from(cases[i].said), 0);
		smtp_client_content(run.c, STR("\r\n"), true, 0);
		smtp_client_check(run.c);
		assert_int_equal(buf_size(smtp_client_output(run.c)), 0);
		assert_int_equal(smtp_client_next(run.c), SMTP_WANT_REPORT);
		smtp_client_result(run.c, 0, &result);
		assert_int_equal(result.verdict, cases[i].verdict);
		assert_string_equal(result.answer, cases[i].answer);
		smtp_client_reported(run.c);
		smtp_client_end(run.c, &end);
		assert_int_equal(end.is_failed, cases[i].is_failed);
		test_close(&run);
	}
}

/* Noise behind the final reply spoils the connection, not the verdict. */
static void
test_noise_after_verdict(void **state)
{
	struct smtp_client_result result;
	struct test_run run;

	(void)state;
	test_open_content(&run, 0);
	smtp_client_content(run.c, STR(""), true, 0);
	smtp_client_feed(run.c, STR("250 ok\r\n250 twice\r\n"), 0);
	assert_int_equal(smtp_client_next(run.c), SMTP_WANT_REPORT);
	smtp_client_result(run.c, 0, &result);
	assert_int_equal(result.verdict, SMTP_ACCEPTED);
	assert_string_equal(result.answer, "250 ok");
	smtp_client_reported(run.c);
	assert_int_equal(smtp_client_next(run.c), SMTP_WANT_CLOSE);
	test_close(&run);
	/* The beginning of a reply is not kept for the next command. */
	test_open_content(&run, 0);
	smtp_client_content(run.c, STR(""), true, 0);
	smtp_client_feed(run.c, STR("250 ok\r\n250 tw"), 0);
	smtp_client_reported(run.c);
	test_drain(&run);
	test_give_job(&run, 4);
	assert_int_equal(buf_size(smtp_client_output(run.c)), 0);
	smtp_client_feed(run.c, STR("ice\r\n"), 0);
	assert_int_equal(smtp_client_next(run.c), SMTP_WANT_REPORT);
	smtp_client_result(run.c, 0, &result);
	assert_int_equal(result.verdict, SMTP_TEMPORARY);
	test_close(&run);
}

/* Two replies to one command in one piece are not one to the next. */
static void
test_double_reply(void **state)
{
	struct smtp_client_result result;
	struct test_run run;

	(void)state;
	test_open(&run);
	test_feed(&run, "220 y\r\n");
	test_feed(&run, "250 y\r\n");
	test_give_job(&run, 4);
	buf_clear(&run.sent);
	test_feed(&run, "250 ok\r\n250 ok\r\n");
	assert_int_equal(buf_size(&run.sent), 0);
	smtp_client_result(run.c, 0, &result);
	assert_int_equal(result.verdict, SMTP_TEMPORARY);
	test_close(&run);
}

static void
test_long_replies(void **state)
{
	static char line[SMTP_ANSWER_TAKEN + 100];
	struct smtp_client_end end;
	struct test_run run;

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "554 ", 4);
	test_open(&run);
	test_feed_cut(&run, str_of(line, 60000));
	test_feed(&run, "\r\n");
	smtp_client_end(run.c, &end);
	assert_int_equal(end.code, 554);
	assert_int_equal(strlen(end.answer), SMTP_ANSWER_MAX);
	test_close(&run);
	/* Endless ones are junk. */
	test_open(&run);
	test_feed_cut(&run, str_of(line, sizeof(line)));
	test_expect_end(&run, true, 0);
	test_close(&run);
	test_open(&run);
	for (int i = 0; i < 10000; i++)
		test_feed(&run, "220-\001more\r\n");
	test_expect_end(&run, true, 0);
	test_close(&run);
}

/* Groups are bounded, yet all recipients are asked for. */
static void
test_many_recipients(void **state)
{
	enum {
		RECIPIENTS = 2000
	};
	static struct mail_recipient recipients[RECIPIENTS];
	struct mail_envelope envelope = {.sender = {"a@x", 3}};
	struct smtp_client_result result;
	struct test_run run;
	size_t commands = 0, replies = 0;

	(void)state;
	for (size_t i = 0; i < RECIPIENTS; i++)
		recipients[i].address = i % 2 ? STR("someone.odd@y.example")
		                              : STR("even@y.example");
	test_open(&run);
	test_feed(&run, "220 y\r\n");
	test_feed(&run, "250-y\r\n250 PIPELINING\r\n");
	smtp_client_job(run.c, &envelope, recipients, RECIPIENTS, 0, 0);
	buf_clear(&run.sent);
	while (smtp_client_next(run.c) == SMTP_WANT_NOTHING) {
		struct buf *out = smtp_client_output(run.c);
		struct str bytes = buf_str(out);

		assert_true(buf_size(out) <= 8192 + 1024);
		for (size_t i = 0; i < bytes.size; i++)
			commands += bytes.data[i] == '\n';
		buf_consume(out, bytes.size);
		while (replies < commands) {
			const char *reply = replies == RECIPIENTS + 1
			                        ? "354 go\r\n"
			                    : replies % 2 ? "550 no\r\n"
			                                  : "250 ok\r\n";

			smtp_client_feed(run.c, str_from(reply), 0);
			replies++;
		}
	}
	assert_int_equal(commands, RECIPIENTS + 2);
	smtp_client_content(run.c, STR(""), true, 0);
	smtp_client_feed(run.c, STR("250 ok\r\n"), 0);
	for (size_t i = 0; i < RECIPIENTS; i++) {
		smtp_client_result(run.c, i, &result);
		assert_int_equal(
		    result.verdict, i % 2 ? SMTP_ACCEPTED : SMTP_PERMANENT);
	}
	test_close(&run);
}

static void
test_deadlines(void **state)
{
	struct test_run run;

	(void)state;
	test_open(&run);
	assert_int_equal(smtp_client_deadline(run.c), 1000 + 300000);
	smtp_client_feed(run.c, STR("220 y\r\n"), 2000);
	assert_int_equal(smtp_client_deadline(run.c), 2000 + 300000);
	/* A part of a reply is no progress. */
	smtp_client_feed(run.c, STR("250-"), 3000);
	assert_int_equal(smtp_client_deadline(run.c), 2000 + 300000);
	smtp_client_feed(run.c, STR("\r\n250 y\r\n"), 4000);
	assert_true(smtp_client_deadline(run.c) == UINT64_MAX);
	smtp_client_job(run.c, &test_envelope, &test_recipient, 1, 4, 5000);
	assert_int_equal(smtp_client_deadline(run.c), 5000 + 300000);
	smtp_client_feed(run.c, STR("250 y\r\n"), 6000);
	smtp_client_feed(run.c, STR("250 y\r\n"), 7000);
	assert_int_equal(smtp_client_deadline(run.c), 7000 + 120000);
	buf_clear(smtp_client_output(run.c));
	smtp_client_feed(run.c, STR("354 y\r\n"), 8000);
	/* Our own side is waited for. */
	assert_true(smtp_client_deadline(run.c) == UINT64_MAX);
	smtp_client_content(run.c, STR("ab"), false, 9000);
	assert_int_equal(smtp_client_deadline(run.c), 9000 + 180000);
	buf_consume(smtp_client_output(run.c), 1);
	smtp_client_progress(run.c, 10000);
	smtp_client_content(run.c, STR("\r\n"), true, 11000);
	assert_int_equal(smtp_client_deadline(run.c), 10000 + 180000);
	buf_clear(smtp_client_output(run.c));
	smtp_client_progress(run.c, 12000);
	assert_int_equal(smtp_client_deadline(run.c), 12000 + 600000);
	test_close(&run);
}

/* Once MAIL is refused no more of a long group is sent. */
static void
test_refused_in_group(void **state)
{
	enum {
		RECIPIENTS = 2000
	};
	static struct mail_recipient recipients[RECIPIENTS];
	struct smtp_client_result result;
	struct test_run run;
	size_t commands = 0, replies = 0;

	(void)state;
	for (size_t i = 0; i < RECIPIENTS; i++)
		recipients[i] = test_recipient;
	test_open(&run);
	test_feed(&run, "220 y\r\n");
	test_feed(&run, "250-y\r\n250 PIPELINING\r\n");
	smtp_client_job(run.c, &test_envelope, recipients, RECIPIENTS, 0, 0);
	while (smtp_client_next(run.c) == SMTP_WANT_NOTHING) {
		struct buf *out = smtp_client_output(run.c);
		struct str bytes = buf_str(out);

		for (size_t i = 0; i < bytes.size; i++)
			commands += bytes.data[i] == '\n';
		buf_consume(out, bytes.size);
		assert_true(replies < commands);
		smtp_client_feed(run.c, STR("550 no\r\n"), 0);
		smtp_client_check(run.c);
		replies++;
	}
	assert_true(commands < 1000 && replies == commands);
	smtp_client_result(run.c, RECIPIENTS - 1, &result);
	assert_int_equal(result.verdict, SMTP_PERMANENT);
	assert_string_equal(result.answer, "550 no");
	test_close(&run);
}

/* What would end a command or add to it never goes out. */
static void
test_unfit_envelopes(void **state)
{
	static const struct {
		struct str sender, envid, recipient, orcpt;
		bool is_fit;
	} cases[] = {
	    {{"a@x", 3}, {"e", 1}, {"b@y", 3}, {"rfc822;b", 8}, true},
	    {{"\"a b>\"@x", 8}, {"", 0}, {"\"\\\"\"@y", 6}, {"", 0}, true},
	    {{"a@x\r", 4}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x\n", 4}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x\0", 4}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x> SIZE=1", 11}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"a b@x", 5}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"\"a@x", 4}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"\344@x", 3}, {"", 0}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x", 3}, {"e\r", 2}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x", 3}, {"e f", 3}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x", 3}, {"e=f", 3}, {"b@y", 3}, {"", 0}, false},
	    {{"a@x", 3}, {"", 0}, {"", 0}, {"", 0}, false},
	    {{"a@x", 3}, {"", 0}, {"b@y\r", 4}, {"", 0}, false},
	    {{"a@x", 3}, {"", 0}, {"b<@y", 4}, {"", 0}, false},
	    {{"a@x", 3}, {"", 0}, {"b@y", 3}, {"rfc822;b\n", 9}, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mail_envelope envelope = {
		    .sender = cases[i].sender, .envid = cases[i].envid};
		struct mail_recipient recipient = {
		    .address = cases[i].recipient, .orcpt = cases[i].orcpt};
		struct smtp_client_result result;
		struct test_run run;

		test_open(&run);
		test_feed(&run, "220 y\r\n");
		test_feed(&run, "250-y\r\n250 DSN\r\n");
		buf_clear(&run.sent);
		smtp_client_job(run.c, &envelope, &recipient, 1, 0, 0);
		test_drain(&run);
		assert_int_equal(buf_size(&run.sent) > 0, cases[i].is_fit);
		if (!cases[i].is_fit) {
			smtp_client_result(run.c, 0, &result);
			assert_string_equal(result.status, "5.5.4");
		}
		test_close(&run);
	}
}

/* A reply that has begun before EHLO went out is not that to EHLO. */
static void
test_early_talker(void **state)
{
	struct test_run run;

	(void)state;
	test_open(&run);
	test_feed(&run, "220 y\r\n25");
	assert_int_equal(buf_size(&run.sent), 0);
	test_feed(&run, "0 y\r\n");
	assert_int_equal(buf_size(&run.sent), 0);
	test_expect_end(&run, true, 0);
	test_close(&run);
}

/* Whatever a far end says, the invariants hold, every recipient gets one
   verdict, and only a whole message ends in a dot. */
static void
test_storm(void **state)
{
	static const char *const words[] = {"220 y\r\n", "250 y\r\n",
	    "250-y\r\n250 PIPELINING\r\n", "250 ok\r\n", "250 ok\r\n",
	    "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "354 go\r\n",
	    "550 no\r\n", "452 many\r\n", "25", "0 x", "\r\n", "421 x\r\n",
	    "250-\r\n"};
	struct mail_recipient recipients[3] = {
	    test_recipient, test_recipient, test_recipient};
	size_t accepted = 0;

	(void)state;
	for (uint64_t seed = 1; seed < 20000; seed++) {
		struct smtp_client_result result;
		struct test_run run;
		uint64_t random = seed;
		bool has_content = false;

		test_open(&run);
		test_feed(&run, "220 y\r\n");
		for (int i = 0; i < 60; i++) {
			size_t n;

			random = random * 6364136223846793005u +
			         1442695040888963407u;
			n = (size_t)(random >> 33) % COUNT(words);
			switch (smtp_client_next(run.c)) {
			case SMTP_WANT_NOTHING:
				test_feed(&run, words[n]);
				break;
			case SMTP_WANT_JOB:
				smtp_client_job(
				    run.c, &test_envelope, recipients, 3, 2, 0);
				has_content = false;
				test_drain(&run);
				break;
			case SMTP_WANT_CONTENT:
				has_content = true;
				smtp_client_content(
				    run.c, STR("\r\n"), true, 0);
				test_drain(&run);
				break;
			case SMTP_WANT_REPORT:
				for (size_t r = 0; r < 3; r++) {
					smtp_client_result(run.c, r, &result);
					if (result.verdict != SMTP_ACCEPTED)
						continue;
					assert_true(has_content);
					assert_int_equal(result.code / 100, 2);
					accepted++;
				}
				smtp_client_reported(run.c);
				break;
			case SMTP_WANT_CLOSE:
				i = 60;
				break;
			}
			smtp_client_check(run.c);
		}
		test_close(&run);
	}
	assert_true(accepted > 100);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stuffing),
	    cmocka_unit_test(test_large_content),
	    cmocka_unit_test(test_wrong_size),
	    cmocka_unit_test(test_early_answer),
	    cmocka_unit_test(test_noise_after_verdict),
	    cmocka_unit_test(test_double_reply),
	    cmocka_unit_test(test_long_replies),
	    cmocka_unit_test(test_many_recipients),
	    cmocka_unit_test(test_deadlines),
	    cmocka_unit_test(test_refused_in_group),
	    cmocka_unit_test(test_unfit_envelopes),
	    cmocka_unit_test(test_early_talker),
	    cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
