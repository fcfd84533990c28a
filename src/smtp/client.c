/*
 * The connection around the jobs: greeting, EHLO or HELO, idleness, QUIT, the
 * ways to end, and time.
 *
 * Invariants: a reply is taken only while one is awaited; in all other cases
 * it ends the connection.  Commands are sent only when the input has run dry,
 * so that no reply that came before a command can pass for that to it.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "smtp/client_own.h"

#include <stdio.h>
#include <stdlib.h>

struct smtp_client *
smtp_client_new(const struct smtp_client_options *options, uint64_t now_ms)
{
	struct smtp_client *c = mem_new(1, sizeof(*c));

	CHECK(options->hostname.size > 0 && options->hostname.size <= 255);
	c->magic = CLIENT_MAGIC;
	c->options = *options;
	c->awaited_count = 1;
	smtp_answer_init(&c->answer);
	buf_init(&c->output, CLIENT_OUTPUT_MAX);
	smtp_client_arm(c, now_ms);
	return c;
}

void
smtp_client_free(struct smtp_client *c)
{
	if (c == NULL)
		return;
	CHECK(c->magic == CLIENT_MAGIC);
	smtp_job_clear(c);
	smtp_answer_fini(&c->answer);
	buf_fini(&c->output);
	c->magic = 0;
	free(c);
}

struct buf *
smtp_client_output(struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC);
	return &c->output;
}

void
smtp_client_put(struct smtp_client *c, struct str bytes)
{
	int error = buf_append(&c->output, bytes);

	CHECK(error == 0);
}

void
smtp_client_quote(
    const struct smtp_client *c, char class, struct client_said *said)
{
	said->code = c->answer.code;
	smtp_answer_status(&c->answer, class, said->status);
	smtp_answer_print(&c->answer, said->answer);
}

/* What is awaited, for the log. */
static const char *
client_awaited(const struct smtp_client *c)
{
	switch (c->state) {
	case CLIENT_GREETING:
		return "greeting";
	case CLIENT_EHLO:
		return "EHLO";
	case CLIENT_HELO:
		return "HELO";
	case CLIENT_ENVELOPE:
		return smtp_job_awaited(c);
	case CLIENT_CONTENT:
		return "content";
	case CLIENT_DOT:
		return "dot";
	case CLIENT_RESET:
		return "RSET";
	case CLIENT_QUIT:
		return "QUIT";
	case CLIENT_IDLE:
	case CLIENT_REPORT:
	case CLIENT_OVER:
		break;
	}
	return "job";
}

static void
client_set_end(
    struct smtp_client *c, const struct client_said *said, bool is_failed)
{
	if (c->is_end_set)
		return;
	c->is_end_set = true;
	c->end.is_failed = is_failed;
	c->end.code = said->code;
	c->end.awaited = client_awaited(c);
	snprintf(c->end.answer, sizeof(c->end.answer), "%s", said->answer);
}

void
smtp_client_fail(struct smtp_client *c, enum smtp_verdict verdict,
    const struct client_said *said, bool is_failed)
{
	client_set_end(c, said, is_failed);
	if (c->job.fates != NULL)
		smtp_trace_verdict(c, 0, c->job.count, verdict, said);
	smtp_job_settle(c, verdict, said);
	/* Nothing more goes out, least of all a final dot. */
	buf_clear(&c->output);
	c->state = CLIENT_OVER;
	c->awaited_count = 0;
	c->deadline_ms = UINT64_MAX;
}

/* A host may end a connection on which it has done its work: before it has
   answered the next MAIL it is not in trouble, and that message is untried.
   Many hosts take only so many messages on one connection. */
static bool
client_is_between(const struct smtp_client *c)
{
	if (c->state == CLIENT_ENVELOPE)
		return c->has_done_job && smtp_job_is_fresh(c);
	return c->state == CLIENT_REPORT || c->state == CLIENT_RESET ||
	       (c->state == CLIENT_IDLE && c->has_done_job);
}

/* The host has ended the connection. */
static void
client_left(struct smtp_client *c, const struct client_said *said)
{
	bool is_between = client_is_between(c);
	bool is_failed = !is_between && c->state != CLIENT_QUIT;

	smtp_client_fail(
	    c, is_between ? SMTP_UNTRIED : SMTP_TEMPORARY, said, is_failed);
}

/* Fails for a reason that no reply gave. */
static void
client_fail_text(struct smtp_client *c, const char *status, bool is_failed,
    const char *text, const char *detail)
{
	struct client_said said = {0};

	snprintf(said.status, sizeof(said.status), "%s", status);
	snprintf(said.answer, sizeof(said.answer), "%s%s", text, detail);
	smtp_client_fail(c, SMTP_TEMPORARY, &said, is_failed);
}

void
smtp_client_fail_protocol(struct smtp_client *c, const char *what)
{
	char heard[SMTP_ANSWER_MAX + 1], text[120];

	smtp_answer_print(&c->answer, heard);
	snprintf(text, sizeof(text), "protocol error, %s: ", what);
	client_fail_text(c, "4.5.0", true, text, heard);
}

void
smtp_client_arm(struct smtp_client *c, uint64_t now_ms)
{
	const struct smtp_client_options *o = &c->options;
	bool is_drained = buf_size(&c->output) == 0;
	uint64_t timeout_ms = UINT64_MAX;

	switch (c->state) {
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_RESET:
		timeout_ms = o->greeting_timeout_ms;
		break;
	case CLIENT_ENVELOPE:
		timeout_ms =
		    str_equal(str_from(smtp_job_awaited(c)), STR("DATA"))
			? o->data_timeout_ms
			: o->greeting_timeout_ms;
		break;
	case CLIENT_CONTENT:
		/* Drained, it is our own side that is waited for. */
		if (!is_drained)
			timeout_ms = o->block_timeout_ms;
		break;
	case CLIENT_DOT:
		timeout_ms =
		    is_drained ? o->dot_timeout_ms : o->block_timeout_ms;
		break;
	case CLIENT_QUIT:
		timeout_ms = o->data_timeout_ms;
		break;
	case CLIENT_IDLE:
	case CLIENT_REPORT:
	case CLIENT_OVER:
		break;
	}
	c->deadline_ms = num_add_capped(now_ms, timeout_ms);
}

static void
client_send_quit(struct smtp_client *c)
{
	size_t size = buf_size(&c->output);

	smtp_trace_closing(c);
	smtp_client_put(c, STR("QUIT\r\n"));
	smtp_trace_sent(c, size);
	c->state = CLIENT_QUIT;
	c->awaited_count = 1;
}

/* The host does not want to talk: its reply is the end. */
static void
client_refused(struct smtp_client *c)
{
	struct client_said said = {0};
	int code = c->answer.code;

	smtp_client_quote(c, (char)('0' + code / 100), &said);
	/* RFC 7504 3: 521 may be followed by a close at once; RFC 5321 3.1:
	   554 wants a QUIT. */
	if (code == 521) {
		smtp_client_fail(c, SMTP_TEMPORARY, &said, true);
		return;
	}
	client_set_end(c, &said, true);
	c->state = CLIENT_QUIT;
}

/* The keywords of EHLO's reply (RFC 5321 4.1.1.1). */
static void
client_take_keywords(struct smtp_client *c)
{
	struct str line, keyword, rest;
	size_t at = 0;

	/* The first line is the name of the host. */
	if (!smtp_answer_line(&c->answer, &at, &line))
		return;
	while (smtp_answer_line(&c->answer, &at, &line)) {
		line = str_trim(line);
		keyword = str_head(line, str_find(line, ' '));
		rest = str_trim(str_skip(line, keyword.size));
		if (str_case_equal(keyword, STR("PIPELINING"))) {
			c->has_pipelining = true;
		} else if (str_case_equal(keyword, STR("8BITMIME"))) {
			c->has_8bitmime = true;
		} else if (str_case_equal(keyword, STR("SMTPUTF8"))) {
			c->has_smtputf8 = true;
		} else if (str_case_equal(keyword, STR("DSN"))) {
			c->has_dsn = true;
		} else if (str_case_equal(
			       keyword, STR("ENHANCEDSTATUSCODES"))) {
			c->has_enhanced = true;
		} else if (str_case_equal(keyword, STR("XUID"))) {
			c->has_uid = true;
		} else if (str_case_equal(keyword, STR("XFINAL"))) {
			c->has_final = true;
		} else if (str_case_equal(keyword, STR("SIZE"))) {
			c->has_size = true;
			/* RFC 1870 4: no number or 0 tells no limit. */
			if (num_parse(rest, UINT64_MAX, &c->size_max) < 0)
				c->size_max = 0;
		}
	}
}

/* A reply that was awaited. */
static void
client_take(struct smtp_client *c)
{
	int code = c->answer.code;
	bool is_good = code < 300;

	switch (c->state) {
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
		if (code >= 300 && code < 400) {
			smtp_client_fail_protocol(c, "3xx to a command");
		} else if (c->state == CLIENT_GREETING && is_good) {
			c->state =
			    c->options.is_helo ? CLIENT_HELO : CLIENT_EHLO;
		} else if (c->state == CLIENT_EHLO && code >= 500) {
			c->state = CLIENT_HELO; /* RFC 5321 3.2 */
		} else if (is_good) {
			if (c->state == CLIENT_EHLO)
				client_take_keywords(c);
			c->is_esmtp = c->state == CLIENT_EHLO;
			c->state = CLIENT_IDLE;
		} else {
			client_refused(c);
		}
		break;
	case CLIENT_ENVELOPE:
	case CLIENT_DOT:
	case CLIENT_RESET:
		smtp_job_take(c);
		break;
	case CLIENT_QUIT:
		c->state = CLIENT_OVER;
		break;
	case CLIENT_CONTENT:
	case CLIENT_IDLE:
	case CLIENT_REPORT:
	case CLIENT_OVER:
		CHECK(!"a reply was awaited");
	}
}

/* A whole reply is there. */
static void
client_take_reply(struct smtp_client *c)
{
	struct client_said said = {0};

	smtp_trace_reply(c);
	if (c->state == CLIENT_QUIT && c->awaited_count == 1) {
		c->awaited_count = 0;
		client_take(c);
	} else if (c->answer.code == 421) {
		/* RFC 5321 3.8, 4.2.2: at any time, also unasked. */
		smtp_client_quote(c, '4', &said);
		client_left(c, &said);
	} else if (c->awaited_count > 0) {
		c->awaited_count--;
		client_take(c);
	} else if (c->state == CLIENT_CONTENT) {
		smtp_job_take(c);
	} else {
		smtp_client_fail_protocol(c, "a reply that was not asked for");
	}
}

/* Sends what may be sent now that the input has run dry. */
static void
client_pump(struct smtp_client *c)
{
	const char *verb = c->state == CLIENT_EHLO ? "EHLO" : "HELO";
	size_t size = buf_size(&c->output);
	int error;

	switch (c->state) {
	case CLIENT_EHLO:
	case CLIENT_HELO:
		if (c->awaited_count > 0 || smtp_answer_is_partial(&c->answer))
			return;
		error = buf_printf(&c->output, "%s %.*s\r\n", verb,
		    STR_ARG(c->options.hostname));
		CHECK(error == 0);
		smtp_trace_sent(c, size);
		c->awaited_count++;
		break;
	case CLIENT_ENVELOPE:
	case CLIENT_DOT:
	case CLIENT_RESET:
		smtp_job_pump(c);
		break;
	case CLIENT_QUIT:
		if (c->awaited_count == 0)
			client_send_quit(c);
		break;
	case CLIENT_GREETING:
	case CLIENT_CONTENT:
	case CLIENT_IDLE:
	case CLIENT_REPORT:
	case CLIENT_OVER:
		break;
	}
}

size_t
smtp_client_feed(struct smtp_client *c, struct str bytes, uint64_t now_ms)
{
	struct str rest = bytes;
	bool is_taken = false;

	CHECK(c->magic == CLIENT_MAGIC);
	while (rest.size > 0 && c->state != CLIENT_OVER) {
		switch (smtp_answer_read(&c->answer, &rest)) {
		case SMTP_ANSWER_MORE:
			break;
		case SMTP_ANSWER_WHOLE:
			client_take_reply(c);
			is_taken = true;
			break;
		case SMTP_ANSWER_JUNK:
			smtp_client_fail_protocol(c, "no reply of SMTP");
			break;
		}
	}
	if (is_taken) {
		client_pump(c);
		smtp_client_arm(c, now_ms);
	}
	return bytes.size - rest.size;
}

enum smtp_client_want
smtp_client_next(const struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC);
	if (c->state == CLIENT_REPORT ||
	    (c->state == CLIENT_OVER && c->job.fates != NULL))
		return SMTP_WANT_REPORT;
	if (c->state == CLIENT_OVER)
		return SMTP_WANT_CLOSE;
	if (c->state == CLIENT_IDLE)
		return SMTP_WANT_JOB;
	if (smtp_client_content_room(c) >= CLIENT_BLOCK)
		return SMTP_WANT_CONTENT;
	return SMTP_WANT_NOTHING;
}

void
smtp_client_set_uid(struct smtp_client *c, uint32_t uid)
{
	CHECK(c->magic == CLIENT_MAGIC);
	c->uid = uid;
	c->is_uid_set = true;
}

bool
smtp_client_has_dsn(const struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC);
	return c->has_dsn;
}

void
smtp_client_quit(struct smtp_client *c, uint64_t now_ms)
{
	CHECK(c->magic == CLIENT_MAGIC && c->state == CLIENT_IDLE);
	client_send_quit(c);
	smtp_client_arm(c, now_ms);
}

void
smtp_client_lost(struct smtp_client *c, const char *reason)
{
	struct client_said said = {.status = "4.4.2"};

	CHECK(c->magic == CLIENT_MAGIC);
	if (c->state == CLIENT_OVER)
		return;
	c->end.is_ehlo_lost = c->state == CLIENT_EHLO;
	snprintf(
	    said.answer, sizeof(said.answer), "connection lost: %s", reason);
	client_left(c, &said);
}

uint64_t
smtp_client_deadline(const struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC);
	return c->deadline_ms;
}

void
smtp_client_timer(struct smtp_client *c, uint64_t now_ms)
{
	CHECK(c->magic == CLIENT_MAGIC);
	if (now_ms < c->deadline_ms || c->state == CLIENT_OVER)
		return;
	client_fail_text(c, "4.4.2", c->state != CLIENT_QUIT,
	    "timed out waiting for ", client_awaited(c));
}

void
smtp_client_end(const struct smtp_client *c, struct smtp_client_end *end_out)
{
	CHECK(c->magic == CLIENT_MAGIC);
	*end_out = c->end;
	if (!c->is_end_set)
		end_out->awaited = client_awaited(c);
}

void
smtp_client_check(const struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC);
	CHECK(buf_size(&c->output) <= CLIENT_OUTPUT_MAX);
	CHECK(c->state != CLIENT_IDLE || c->awaited_count == 0);
	CHECK(c->state != CLIENT_OVER || c->is_end_set ||
	      c->deadline_ms == UINT64_MAX);
	CHECK(c->state == CLIENT_ENVELOPE || c->awaited_count <= 1);
	smtp_job_check(c);
}
