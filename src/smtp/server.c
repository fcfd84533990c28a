/*
 * The server side of one SMTP session: the machine that feeds the verbs of
 * server_verbs.c and takes the answers to what they ask.
 *
 *   NEW --EHLO,HELO--> IDLE --MAIL--> MAIL --RCPT--> RCPT --DATA--> CONTENT
 *                       ^ ^            |              |               |
 *                       | +--RSET,EHLO-+--RSET,EHLO---+               |
 *                       +-------------dot and its answer--------------+
 *   any --QUIT, 421, end of input--> OVER (asks CLOSE for ever)
 *
 * A verb that needs an answer leaves a question; the move is made in the
 * smtp_server_answer_... function of that question, when done() brings it.
 *
 * Promises: one reply a command, in order; each MAIL that was agreed to ends
 * with one COMMIT or one ABORT; nothing is consumed while a question stands.
 *
 * Invariants (smtp_server_check):
 *   1. recipients > 0 exactly in RCPT and CONTENT; outside a transaction the
 *      counts of recipients are 0;
 *   2. CONTENT and COMMIT are asked in CONTENT only, CLOSE in OVER only, and
 *      in OVER nothing else;
 *   3. when the end is due a question stands: ABORT, CLOSE, or one asked
 *      before;
 *   4. bytes of a chunk are passed over between commands only;
 *   5. the output has room for the reply to the question that stands and for
 *      a 421 behind it.
 */
#include "smtp/server_own.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SMTP_SERVER_MAGIC 0x534d5450u
#define SMTP_OUTPUT_MAX   16384
#define SMTP_REPLY_MAX    ((size_t)SMTP_REPLY_TEXT_MAX + 32)
#define SMTP_STEP_MAX     (4 * SMTP_REPLY_MAX) /* output of one step */

bool
smtp_server_is_in_transaction(const struct smtp_server *s)
{
	return s->state == SMTP_STATE_MAIL || s->state == SMTP_STATE_RCPT ||
	       s->state == SMTP_STATE_CONTENT;
}

static void
smtp_server_put(struct smtp_server *s, const struct smtp_reply *reply)
{
	int error = smtp_reply_put(&s->output, reply);

	CHECK(error == 0);
}

void
smtp_server_give_up(
    struct smtp_server *s, const char *enhanced, const char *text)
{
	struct smtp_reply reply = smtp_reply_make(
	    421, enhanced, "%.*s %s", STR_ARG(s->options.hostname), text);

	smtp_server_put(s, &reply);
	s->is_due = true;
}

void
smtp_server_reply(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (reply->code >= 500 && ++s->errors > s->options.errors_max) {
		smtp_server_give_up(s, "4.7.0", "Too many errors");
		return;
	}
	smtp_server_put(s, reply);
	if (reply->code == 421)
		s->is_due = true;
}

void
smtp_server_say(
    struct smtp_server *s, int code, const char *enhanced, const char *text)
{
	struct smtp_reply reply = smtp_reply_make(code, enhanced, "%s", text);

	smtp_server_reply(s, &reply);
}

/* The one place where a transaction ends, however it does. */
static void
smtp_server_clear(struct smtp_server *s)
{
	if (smtp_server_is_in_transaction(s))
		s->state = SMTP_STATE_IDLE;
	s->is_utf8 = false;
	s->recipients = s->refused = 0;
}

void
smtp_server_abort(struct smtp_server *s)
{
	CHECK(s->ask.kind == SMTP_ASK_NONE);
	if (smtp_server_is_in_transaction(s))
		s->ask.kind = SMTP_ASK_ABORT;
	smtp_server_clear(s);
}

/* Where no question stands: what is due is asked. */
static void
smtp_server_settle(struct smtp_server *s)
{
	if (s->ask.kind != SMTP_ASK_NONE)
		return;
	/* RFC 5321 3.8: never within content. */
	if (s->shutdown[0] != '\0' && !s->is_due &&
	    s->state != SMTP_STATE_CONTENT)
		smtp_server_give_up(s, s->shutdown_status, s->shutdown);
	if (!s->is_due)
		return;
	smtp_server_abort(s);
	if (s->ask.kind == SMTP_ASK_NONE) {
		s->state = SMTP_STATE_OVER;
		s->ask.kind = SMTP_ASK_CLOSE;
	}
}

/* Takes one command line, or what there is of it. */
static void
smtp_server_feed_command(struct smtp_server *s, struct str *in)
{
	struct str line;

	switch (smtp_line_read(&s->line, in, &line)) {
	case SMTP_LINE_MORE:
		break;
	case SMTP_LINE_WHOLE:
		smtp_server_command(s, line);
		break;
	case SMTP_LINE_TOO_LONG:
		smtp_server_say(s, 500, "5.5.6", "Line too long");
		break;
	}
}

/* A message refused after its end: its own reply is given, whatever the count
   of errors, since 421 would have it sent again. */
static void
smtp_server_refuse_content(
    struct smtp_server *s, const struct smtp_reply *reply)
{
	s->errors++;
	smtp_server_put(s, reply);
}

static void
smtp_server_feed_content(struct smtp_server *s, struct str *in)
{
	struct smtp_reply reply;
	struct str chunk;

	switch (smtp_content_read(&s->content, in, &chunk)) {
	case SMTP_CONTENT_MORE:
		break;
	case SMTP_CONTENT_CHUNK:
		s->ask = (struct smtp_ask){
		    .kind = SMTP_ASK_CONTENT, .content = chunk};
		break;
	case SMTP_CONTENT_END:
		if (smtp_content_is_good(&s->content, &reply)) {
			s->ask = (struct smtp_ask){.kind = SMTP_ASK_COMMIT};
			break;
		}
		smtp_server_refuse_content(s, &reply);
		smtp_server_abort(s);
		break;
	}
}

/* Passes over what comes of a chunk that was refused. */
static void
smtp_server_feed_chunk(struct smtp_server *s, struct str *in)
{
	size_t size = in->size < s->skip_size ? in->size : s->skip_size;

	*in = str_skip(*in, size);
	s->skip_size -= size;
}

struct smtp_server *
smtp_server_new(const struct smtp_server_options *options)
{
	struct smtp_server *s = mem_new(1, sizeof(*s));
	int error;

	CHECK(options->hostname.size <= MAIL_DOMAIN_MAX);
	s->magic = SMTP_SERVER_MAGIC;
	s->options = *options;
	smtp_line_init(&s->line, SMTP_LINE_LF, options->command_max);
	buf_init(&s->output, SMTP_OUTPUT_MAX);
	/* RFC 5321 4.3.1: our name is the first word. */
	error = buf_printf(
	    &s->output, "220 %.*s ESMTP sendq\r\n", STR_ARG(options->hostname));
	CHECK(error == 0);
	smtp_server_check(s);
	return s;
}

void
smtp_server_free(struct smtp_server *s)
{
	if (s == NULL)
		return;
	CHECK(s->magic == SMTP_SERVER_MAGIC);
	s->magic = 0;
	smtp_line_fini(&s->line);
	buf_fini(&s->output);
	free(s);
}

size_t
smtp_server_feed(struct smtp_server *s, struct str bytes)
{
	struct str in = bytes;

	CHECK(s->magic == SMTP_SERVER_MAGIC);
	while (s->ask.kind == SMTP_ASK_NONE && in.size > 0 &&
	       buf_room(&s->output) >= SMTP_STEP_MAX) {
		if (s->state == SMTP_STATE_CONTENT)
			smtp_server_feed_content(s, &in);
		else if (s->skip_size > 0)
			smtp_server_feed_chunk(s, &in);
		else
			smtp_server_feed_command(s, &in);
		smtp_server_settle(s);
	}
	return bytes.size - in.size;
}

enum smtp_ask_kind
smtp_server_next(struct smtp_server *s, struct smtp_ask *ask_out)
{
	CHECK(s->magic == SMTP_SERVER_MAGIC);
	*ask_out = s->ask;
	return s->ask.kind;
}

static void
smtp_server_answer_mail(struct smtp_server *s, const struct smtp_ask *ask,
    const struct smtp_reply *reply)
{
	if (reply->code < 300) {
		s->state = SMTP_STATE_MAIL;
		s->is_utf8 = ask->envelope.is_smtputf8;
		s->transactions++;
	}
	smtp_server_reply(s, reply);
}

static void
smtp_server_answer_rcpt(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (reply->code < 300) {
		s->state = SMTP_STATE_RCPT;
		s->recipients++;
	} else {
		s->refused++;
	}
	smtp_server_reply(s, reply);
}

static void
smtp_server_answer_data(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (reply->code >= 300) {
		smtp_server_reply(s, reply);
		return;
	}
	smtp_content_init(
	    &s->content, s->options.size_max, s->options.line_max);
	s->state = SMTP_STATE_CONTENT;
	/* RFC 2034 4: no enhanced code with 3xx. */
	smtp_server_say(s, 354, "", "Send the message, end with a dot");
}

static void
smtp_server_answer_commit(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (reply->code >= 500) {
		smtp_server_refuse_content(s, reply);
	} else {
		if (reply->code < 300)
			s->errors = 0;
		smtp_server_reply(s, reply);
	}
	smtp_server_clear(s);
}

/* True if the question that stands is answered by a reply to a command. */
static bool
smtp_server_wants_reply(const struct smtp_server *s)
{
	switch (s->ask.kind) {
	case SMTP_ASK_MAIL:
	case SMTP_ASK_RCPT:
	case SMTP_ASK_DATA:
	case SMTP_ASK_COMMIT:
	case SMTP_ASK_TRIGGER:
		return true;
	case SMTP_ASK_NONE:
	case SMTP_ASK_CONTENT:
	case SMTP_ASK_ABORT:
	case SMTP_ASK_CLOSE:
		break;
	}
	return false;
}

void
smtp_server_done(struct smtp_server *s, const struct smtp_reply *reply)
{
	struct smtp_ask ask = s->ask;

	CHECK(s->magic == SMTP_SERVER_MAGIC);
	CHECK(ask.kind != SMTP_ASK_NONE);
	if (ask.kind == SMTP_ASK_CLOSE)
		return;
	CHECK(!smtp_server_wants_reply(s) || reply->code < 300 ||
	      reply->code >= 400);
	s->ask = (struct smtp_ask){.kind = SMTP_ASK_NONE};
	switch (ask.kind) {
	case SMTP_ASK_MAIL:
		smtp_server_answer_mail(s, &ask, reply);
		break;
	case SMTP_ASK_RCPT:
		smtp_server_answer_rcpt(s, reply);
		break;
	case SMTP_ASK_DATA:
		smtp_server_answer_data(s, reply);
		break;
	case SMTP_ASK_COMMIT:
		smtp_server_answer_commit(s, reply);
		break;
	case SMTP_ASK_TRIGGER:
		smtp_server_reply(s, reply);
		break;
	case SMTP_ASK_NONE:
	case SMTP_ASK_CONTENT:
	case SMTP_ASK_ABORT:
	case SMTP_ASK_CLOSE:
		break;
	}
	smtp_server_settle(s);
}

void
smtp_server_end(struct smtp_server *s)
{
	CHECK(s->magic == SMTP_SERVER_MAGIC);
	s->is_due = true;
	smtp_server_settle(s);
}

void
smtp_server_shutdown(
    struct smtp_server *s, const char *enhanced, const char *text)
{
	size_t size = strlen(text), status_size = strlen(enhanced);

	CHECK(s->magic == SMTP_SERVER_MAGIC);
	CHECK(size > 0 && status_size < sizeof(s->shutdown_status));
	memcpy(s->shutdown_status, enhanced, status_size + 1);
	if (size > sizeof(s->shutdown) - 1)
		size = sizeof(s->shutdown) - 1;
	memcpy(s->shutdown, text, size);
	s->shutdown[size] = '\0';
	smtp_server_settle(s);
}

struct buf *
smtp_server_output(struct smtp_server *s)
{
	return &s->output;
}

struct str
smtp_server_helo(const struct smtp_server *s)
{
	return str_of(s->helo, s->helo_size);
}

bool
smtp_server_is_esmtp(const struct smtp_server *s)
{
	return s->is_esmtp;
}

const char *
smtp_server_waits_for(const struct smtp_server *s)
{
	if (s->ask.kind == SMTP_ASK_COMMIT)
		return "store";
	return s->state == SMTP_STATE_CONTENT || s->skip_size > 0 ? "content"
	                                                          : "command";
}

void
smtp_server_check(const struct smtp_server *s)
{
	bool is_content = s->state == SMTP_STATE_CONTENT;
	bool is_open = smtp_server_is_in_transaction(s);
	enum smtp_ask_kind kind = s->ask.kind;

	CHECK(s->magic == SMTP_SERVER_MAGIC);
	CHECK(
	    (s->recipients > 0) == (is_content || s->state == SMTP_STATE_RCPT));
	CHECK(is_open || (s->refused == 0 && !s->is_utf8));
	CHECK(s->recipients <= s->options.recipients_max);
	CHECK(s->transactions <= s->options.transactions_max);
	CHECK(is_content ||
	      (kind != SMTP_ASK_CONTENT && kind != SMTP_ASK_COMMIT));
	CHECK((kind == SMTP_ASK_CLOSE) == (s->state == SMTP_STATE_OVER));
	CHECK(!s->is_due || kind != SMTP_ASK_NONE);
	CHECK(kind != SMTP_ASK_ABORT || !is_open);
	CHECK(s->skip_size == 0 || !is_content);
	CHECK(s->skip_size <= s->options.size_max);
	/* The reply to the question, and a 421 of its own. */
	CHECK(s->is_due || buf_room(&s->output) > SMTP_REPLY_MAX);
	CHECK(!smtp_server_wants_reply(s) ||
	      buf_room(&s->output) > 2 * SMTP_REPLY_MAX);
	CHECK(s->helo_size <= sizeof(s->helo));
	CHECK(s->state != SMTP_STATE_NEW || s->helo_size == 0);
}
