/*
 * What the tests of the server machine share: a session that answers questions
 * by a script and writes down replies and questions, and the usual replies.
 */
#ifndef SMTP_SESSION_TEST_H
#define SMTP_SESSION_TEST_H

#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LOG_MAX 65536

static const struct smtp_server_options test_options = {
    .hostname = STR("mx.test"),
    .size_max = 1000,
    .recipients_max = 3,
    .transactions_max = 3,
    .errors_max = 4,
    .command_max = 1024,
    .line_max = 100,
};

/* One session and what was seen of it. */
struct session {
	struct smtp_server *server;
	const char *answers; /* one letter a question, see test_answer() */
	struct buf output;
	struct buf asks;
	struct buf content;
	bool is_closed;
	bool is_open; /* an agreed MAIL without its COMMIT or ABORT */
};

static inline void
session_init(struct session *t, const struct smtp_server_options *options,
    const char *answers)
{
	*t = (struct session){.answers = answers};
	buf_init(&t->output, LOG_MAX);
	buf_init(&t->asks, LOG_MAX);
	buf_init(&t->content, LOG_MAX);
	t->server = smtp_server_new(options);
}

static inline void
session_fini(struct session *t)
{
	smtp_server_free(t->server);
	buf_fini(&t->output);
	buf_fini(&t->asks);
	buf_fini(&t->content);
}

static inline void
session_take_output(struct session *t)
{
	struct buf *out = smtp_server_output(t->server);

	assert_int_equal(buf_append(&t->output, buf_str(out)), 0);
	buf_consume(out, buf_size(out));
}

/* "4" and "5" refuse, "c" refuses with 421, all else and the end agree. */
static inline struct smtp_reply
test_answer(struct session *t)
{
	char letter = *t->answers != '\0' ? *t->answers++ : '2';

	switch (letter) {
	case '4':
		return smtp_reply_make(451, "4.3.0", "later");
	case '5':
		return smtp_reply_make(550, "5.7.1", "no");
	case 'c':
		return smtp_reply_make(421, "4.3.2", "gone");
	default:
		return smtp_reply_make(250, "2.0.0", "ok");
	}
}

static inline void
session_log(struct session *t, const char *kind, struct str text)
{
	assert_int_equal(
	    buf_printf(&t->asks, "%s%.*s|", kind, STR_ARG(text)), 0);
}

/* Answers the question that stands: true if it is not the last. */
static inline bool
session_answer(struct session *t)
{
	struct smtp_reply reply = {0};
	struct smtp_ask ask;
	enum smtp_ask_kind kind = smtp_server_next(t->server, &ask);

	switch (kind) {
	case SMTP_ASK_NONE:
		fail();
		break;
	case SMTP_ASK_MAIL:
		assert_false(t->is_open);
		session_log(t, "MAIL ", ask.envelope.sender);
		reply = test_answer(t);
		t->is_open = reply.code == 250;
		break;
	case SMTP_ASK_RCPT:
		assert_true(t->is_open);
		session_log(t, "RCPT ", ask.recipient.address);
		reply = test_answer(t);
		break;
	case SMTP_ASK_DATA:
		assert_true(t->is_open);
		session_log(t, "DATA", STR(""));
		reply = test_answer(t);
		buf_clear(&t->content);
		break;
	case SMTP_ASK_CONTENT:
		assert_true(t->is_open && ask.content.size > 0);
		assert_int_equal(buf_append(&t->content, ask.content), 0);
		break;
	case SMTP_ASK_COMMIT:
		assert_true(t->is_open);
		assert_string_equal(smtp_server_waits_for(t->server), "store");
		session_log(t, "COMMIT ", buf_str(&t->content));
		reply = test_answer(t);
		t->is_open = false;
		break;
	case SMTP_ASK_ABORT:
		assert_true(t->is_open);
		session_log(t, "ABORT", STR(""));
		t->is_open = false;
		break;
	case SMTP_ASK_TRIGGER:
		assert_false(t->is_open);
		session_log(t, ask.verb.data[0] == 'E' ? "ETRN " : "QSND ",
		    ask.argument);
		reply = test_answer(t);
		break;
	case SMTP_ASK_CLOSE:
		assert_false(t->is_open);
		session_log(t, "CLOSE", STR(""));
		t->is_closed = true;
		return false;
	}
	smtp_server_done(t->server, reply.code > 0 ? &reply : NULL);
	smtp_server_check(t->server);
	return true;
}

static inline void
session_answer_all(struct session *t)
{
	struct smtp_ask ask;

	while (
	    !t->is_closed && smtp_server_next(t->server, &ask) != SMTP_ASK_NONE)
		if (!session_answer(t))
			break;
	session_take_output(t);
}

static inline void
session_feed(struct session *t, struct str in)
{
	/* The machine must not look at bytes it was not given: a copy of the
	   exact size lets the sanitizer see that. */
	char *copy = malloc(in.size > 0 ? in.size : 1);
	struct str rest;

	assert_non_null(copy);
	if (in.size > 0)
		memcpy(copy, in.data, in.size);
	rest = str_of(copy, in.size);
	while (rest.size > 0 && !t->is_closed) {
		size_t taken = smtp_server_feed(t->server, rest);

		smtp_server_check(t->server);
		rest = str_skip(rest, taken);
		session_answer_all(t);
	}
	free(copy);
}

static inline void
session_end(struct session *t)
{
	session_answer_all(t);
	if (!t->is_closed)
		smtp_server_end(t->server);
	smtp_server_check(t->server);
	session_answer_all(t);
	assert_true(t->is_closed);
}

/* CUT: 0 whole, 1 byte by byte, else pieces of random size. */
static inline void
session_feed_cut(struct session *t, struct str in, unsigned cut)
{
	unsigned seed = cut;

	while (in.size > 0) {
		size_t size = cut == 0   ? in.size
		              : cut == 1 ? 1
		                         : 1 + (size_t)rand_r(&seed) % 40;

		if (size > in.size)
			size = in.size;
		session_feed(t, str_head(in, size));
		in = str_skip(in, size);
	}
}

static inline void
assert_str(const char *name, unsigned cut, struct str got, struct str want)
{
	if (str_equal(got, want))
		return;
	print_error("%s, cut %u:\n got: %.*s\nwant: %.*s\n", name, cut,
	    STR_ARG(got), STR_ARG(want));
	fail();
}

#define GREETING "220 mx.test ESMTP sendq\r\n"
#define EHLO_OUT                                                               \
	"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n"                   \
	"250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"               \
	"250-SMTPUTF8\r\n250-ETRN\r\n250 HELP\r\n"
#define OK    "250 2.0.0 ok\r\n"
#define NO    "550 5.7.1 no\r\n"
#define LATER "451 4.3.0 later\r\n"
#define GO    "354 Send the message, end with a dot\r\n"
#define BYE   "221 2.0.0 mx.test Bye\r\n"
#define HELO  "HELO c\r\n"
#define NAMED "250 mx.test\r\n"
#define BARE  "550 5.6.0 Bare CR or LF in the message (RFC 5321 2.3.8)\r\n"
#define OPEN  "503 5.5.1 A transaction is open\r\n"
#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

#endif
