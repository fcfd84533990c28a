/*
 * The dialogue for people: one session against a far end by hand, all of its
 * trace compared; the same bytes by one and whole.
 */
#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE_MAX 8000

static const struct mail_envelope envelope = {.sender = {"a@x", 3}};
static const struct mail_recipient recipients[] = {
    {.address = {"b@y", 3}}, {.address = {"c@y", 3}}};

struct far {
	struct smtp_client *client;
	struct buf trace;
	struct smtp_client_trace to;
	bool is_cut; /* bytes come one by one */
};

static void
far_open(struct far *f, bool is_cut)
{
	struct smtp_client_options options = {.hostname = STR("me.test"),
	    .greeting_timeout_ms = 1000,
	    .data_timeout_ms = 1000,
	    .block_timeout_ms = 1000,
	    .dot_timeout_ms = 1000};

	buf_init(&f->trace, TRACE_MAX);
	f->to = (struct smtp_client_trace){&f->trace, "[192.0.2.1]", "relay"};
	f->is_cut = is_cut;
	options.trace = &f->to;
	f->client = smtp_client_new(&options, 0);
}

static void
far_close(struct far *f)
{
	smtp_client_free(f->client);
	buf_fini(&f->trace);
}

/* The far end says TEXT; what came from us is forgotten. */
static void
far_say(struct far *f, const char *text)
{
	struct str rest = str_from(text);

	buf_clear(smtp_client_output(f->client));
	while (rest.size > 0) {
		struct str piece = str_head(rest, f->is_cut ? 1 : rest.size);

		(void)smtp_client_feed(f->client, piece, 1);
		rest = str_skip(rest, piece.size);
	}
}

static void
far_job(struct far *f, size_t count)
{
	assert_int_equal(smtp_client_next(f->client), SMTP_WANT_JOB);
	smtp_client_job(f->client, &envelope, recipients, count, 4, 1);
}

static void
far_report(struct far *f)
{
	assert_int_equal(smtp_client_next(f->client), SMTP_WANT_REPORT);
	smtp_client_reported(f->client);
}

static void
session(bool is_cut)
{
	static const char expected[] =
	    "220 y\n"
	    ">>> EHLO me.test\n"
	    "250-y\n"
	    "250-ENHANCEDSTATUSCODES\n"
	    "250 PIPELINING\n"
	    ">>> MAIL From:<a@x>\n"
	    "250 ok\n"
	    ">>> RCPT To:<b@y>\n"
	    ">>> RCPT To:<c@y>\n"
	    ">>> DATA\n"
	    "451 4.2.0 later\n"
	    "b@y... Deferred: 451 4.2.0 later\n"
	    "250 ok\n"
	    "354 go\n"
	    ">>> .\n"
	    "250 2.0.0 Ok: stored 1\n"
	    "c@y... Sent (Ok: stored 1)\n"
	    ">>> RSET\n"
	    "250 ok\n"
	    "b@y... Using cached ESMTP connection to [192.0.2.1] via relay...\n"
	    ">>> MAIL From:<a@x>\n"
	    "250 ok\n"
	    ">>> RCPT To:<b@y>\n"
	    ">>> DATA\n"
	    "550 5.1.1 who\n"
	    "b@y... User unknown\n"
	    "503 no rcpt\n"
	    ">>> RSET\n"
	    "250 ok\n"
	    "Closing connection to [192.0.2.1]\n"
	    ">>> QUIT\n"
	    "221 bye\n";
	struct far f;

	far_open(&f, is_cut);
	far_say(&f, "220 y\r\n");
	far_say(&f, "250-y\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n");
	far_job(&f, 2);
	far_say(&f, "250 ok\r\n");
	far_say(&f, "451 4.2.0 later\r\n250 ok\r\n354 go\r\n");
	smtp_client_content(f.client, STR("hi\r\n"), true, 1);
	far_say(&f, "250 2.0.0 Ok: stored 1\r\n");
	far_report(&f);
	far_job(&f, 1);
	far_say(&f, "250 ok\r\n");
	far_say(&f, "250 ok\r\n");
	far_say(&f, "550 5.1.1 who\r\n503 no rcpt\r\n");
	/* The envelope is still open there. */
	assert_int_equal(smtp_client_next(f.client), SMTP_WANT_NOTHING);
	far_say(&f, "250 ok\r\n");
	far_report(&f);
	smtp_client_quit(f.client, 1);
	far_say(&f, "221 bye\r\n");
	assert_int_equal(smtp_client_next(f.client), SMTP_WANT_CLOSE);
	smtp_client_check(f.client);
	if (!str_equal(buf_str(&f.trace), str_from(expected)))
		fail_msg("%.*s", STR_ARG(buf_str(&f.trace)));
	far_close(&f);
}

static void
test_session(void **state)
{
	session(false);
	session(true);
}

/* Without the keyword the middle of a reply is its text; without PIPELINING one
   command waits for the other. */
static void
test_plain_host(void **state)
{
	static const char expected[] =
	    "220 y\n>>> EHLO me.test\n250 y\n"
	    ">>> MAIL From:<a@x>\n250 ok\n>>> RCPT To:<b@y>\n250 ok\n"
	    ">>> DATA\n354 go\n>>> .\n250 2.0.0 Ok\n"
	    "b@y... Sent (2.0.0 Ok)\n"
	    ">>> RSET\n250 ok\n"
	    "b@y,c@y... Using cached ESMTP connection to [192.0.2.1] via "
	    "relay...\n"
	    ">>> MAIL From:<a@x>\n"
	    "b@y,c@y... Deferred: connection lost: reset\n";
	struct far f;

	far_open(&f, false);
	far_say(&f, "220 y\r\n");
	far_say(&f, "250 y\r\n");
	far_job(&f, 1);
	far_say(&f, "250 ok\r\n");
	far_say(&f, "250 ok\r\n");
	far_say(&f, "354 go\r\n");
	smtp_client_content(f.client, STR("hi\r\n"), true, 1);
	far_say(&f, "250 2.0.0 Ok\r\n");
	far_report(&f);
	far_job(&f, 2);
	far_say(&f, "250 ok\r\n");
	smtp_client_lost(f.client, "reset");
	far_report(&f);
	if (!str_equal(buf_str(&f.trace), str_from(expected)))
		fail_msg("%.*s", STR_ARG(buf_str(&f.trace)));
	far_close(&f);
}

/* A long list of recipients is cut in its middle. */
static void
test_long_list(void **state)
{
	struct mail_recipient many[40];
	char addresses[40][12], expected[400];
	struct far f;

	for (unsigned i = 0; i < 40; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "u%02u@y", i);
		many[i] =
		    (struct mail_recipient){.address = str_from(addresses[i])};
	}
	far_open(&f, false);
	far_say(&f, "220 y\r\n");
	far_say(&f, "250 y\r\n");
	smtp_client_job(f.client, &envelope, many, 40, 4, 1);
	smtp_client_lost(f.client, "reset");
	far_report(&f);
	snprintf(expected, sizeof(expected),
	    "220 y\n>>> EHLO me.test\n250 y\n>>> MAIL From:<a@x>\n"
	    "%s%s... Deferred: connection lost: reset\n",
	    "u00@y,u01@y,u02@y,u03@y,u04@y,u05@y,u06@y,u07@y,u08@y,u09@y,"
	    "u10@y,u11@y,u12@y,u13@y,u14@y,u15@y,u16@...",
	    "23@y,u24@y,u25@y,u26@y,u27@y,u28@y,u29@y,u30@y,u31@y,u32@y,u33@y,"
	    "u34@y,u35@y,u36@y,u37@y,u38@y,u39@y");
	if (!str_equal(buf_str(&f.trace), str_from(expected)))
		fail_msg("%.*s", STR_ARG(buf_str(&f.trace)));
	far_close(&f);
}

/* A trace that is full takes no part of a line, and nothing else suffers. */
static void
test_full(void **state)
{
	struct far f;

	far_open(&f, false);
	f.trace.max = 10;
	far_say(&f, "220 y\r\n");
	far_say(&f, "250 y\r\n");
	assert_true(str_equal(buf_str(&f.trace), STR("220 y\n")));
	assert_int_equal(smtp_client_next(f.client), SMTP_WANT_JOB);
	far_close(&f);
}

/* Only an unknown user is named: not who is refused for another reason, and not
   those of a message that is refused as a whole, whatever the code. */
static void
test_refused(void **state)
{
	static const char expected[] =
	    "220 y\n>>> EHLO me.test\n250 y\n"
	    ">>> MAIL From:<a@x>\n250 ok\n"
	    ">>> RCPT To:<b@y>\n554 5.7.1 no\nService unavailable\n"
	    ">>> RCPT To:<c@y>\n250 ok\n"
	    ">>> DATA\n354 go\n>>> .\n550 5.7.1 no\nService unavailable\n";
	struct far f;

	(void)state;
	far_open(&f, false);
	far_say(&f, "220 y\r\n");
	far_say(&f, "250 y\r\n");
	far_job(&f, 2);
	far_say(&f, "250 ok\r\n");
	far_say(&f, "554 5.7.1 no\r\n");
	far_say(&f, "250 ok\r\n");
	far_say(&f, "354 go\r\n");
	smtp_client_content(f.client, STR("hi\r\n"), true, 1);
	far_say(&f, "550 5.7.1 no\r\n");
	far_report(&f);
	if (!str_equal(buf_str(&f.trace), str_from(expected)))
		fail_msg("%.*s", STR_ARG(buf_str(&f.trace)));
	far_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_session),
	    cmocka_unit_test(test_plain_host),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_long_list),
	    cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
