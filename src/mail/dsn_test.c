/* Notifications: one golden text, then structure and hostile input. */
#include "base/test_kit.h"
#include "mail/dsn.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct test_dsn {
	struct mail_dsn dsn;
	struct mail_envelope envelope;
	struct mail_dsn_recipient recipients[3];
};

static void
test_init(struct test_dsn *t)
{
	*t = (struct test_dsn){
	    .envelope = {.sender = STR("a@x.example")},
	    .recipients[0] = {.recipient = {.address = STR("b@y.example")},
		.action = MAIL_DSN_FAILED,
		.status = STR("5.1.1"),
		.diagnostic = STR("550 5.1.1 no such user"),
		.remote_mta = STR("mx.y.example")},
	    .dsn = {.hostname = STR("h.example"),
		.id = STR("D1"),
		.origin_id = STR("M1"),
		.arrival_wall_ms = UINT64_C(1000000000000),
		.now_wall_ms = UINT64_C(1795295637999),
		.attempt_wall_ms = UINT64_C(1795295637999),
		.recipient_count = 1,
		.content = STR("From: a@x.example\r\nSubject: hi\r\n"
			       "\r\nbody\r\n"),
		.is_content_whole = true},
	};
	t->dsn.envelope = &t->envelope;
	t->dsn.recipients = t->recipients;
}

/* Every line ends in CRLF and has at most 998 bytes before it; no NUL. */
static void
test_lines(struct str text)
{
	size_t column = 0;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		assert_int_not_equal(c, '\0');
		if (c == '\n') {
			assert_true(i > 0 && text.data[i - 1] == '\r');
			assert_true(column <= 999);
			column = 0;
			continue;
		}
		assert_true(i == 0 || text.data[i - 1] != '\r');
		column++;
	}
	assert_int_equal(column, 0);
}

/* Puts it into OUT, which the caller frees, and gives a text of it. */
static char *
test_put(struct test_dsn *t, size_t max)
{
	struct buf out;
	char *text;

	buf_init(&out, max);
	assert_int_equal(mail_dsn_put(&out, &t->dsn), 0);
	test_lines(buf_str(&out));
	text = strndup(buf_str(&out).data, buf_size(&out));
	assert_non_null(text);
	assert_int_equal(strlen(text), buf_size(&out));
	buf_fini(&out);
	return text;
}

static void
expect_in(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("not there: %s\nin: %s", part, text);
}

static void
expect_not_in(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("there: %s\nin: %s", part, text);
}

static const char golden[] =
    "Date: Sat, 21 Nov 2026 21:13:57 +0000\r\n"
    "From: Mail Delivery System <MAILER-DAEMON@h.example>\r\n"
    "To: <a@x.example>\r\n"
    "Subject: Undelivered mail returned\r\n"
    "Message-ID: <D1@h.example>\r\n"
    "Auto-Submitted: auto-replied\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
    " boundary=\"D1=0=report\"\r\n"
    "\r\n"
    "This is a delivery report in MIME format.\r\n"
    "\r\n"
    "--D1=0=report\r\n"
    "Content-Type: text/plain; charset=us-ascii\r\n"
    "\r\n"
    "This is the mail system at host h.example\r\n"
    "\r\n"
    "Your message could not be delivered to these recipients.  It will not"
    " be tried\r\n"
    "again for them.\r\n"
    "\r\n"
    "  <b@y.example>\r\n"
    "    mx.y.example said: 550 5.1.1 no such user\r\n"
    "\r\n"
    "Queue id of the message: M1\r\n"
    "It arrived here: Sun, 9 Sep 2001 01:46:40 +0000\r\n"
    "\r\n"
    "--D1=0=report\r\n"
    "Content-Type: message/delivery-status\r\n"
    "\r\n"
    "Reporting-MTA: dns; h.example\r\n"
    "Arrival-Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n"
    "\r\n"
    "Final-Recipient: rfc822; b@y.example\r\n"
    "Action: failed\r\n"
    "Status: 5.1.1\r\n"
    "Remote-MTA: dns; mx.y.example\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    "Last-Attempt-Date: Sat, 21 Nov 2026 21:13:57 +0000\r\n"
    "\r\n"
    "--D1=0=report\r\n"
    "Content-Type: message/rfc822\r\n"
    "\r\n"
    "From: a@x.example\r\nSubject: hi\r\n\r\nbody\r\n"
    "\r\n"
    "--D1=0=report--\r\n";

static void
test_golden(void **state)
{
	struct test_dsn t;
	char *text;

	(void)state;
	test_init(&t);
	text = test_put(&t, 100000);
	assert_string_equal(text, golden);
	free(text);
}

static void
test_dates(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
	    {0, "Thu, 1 Jan 1970 00:00:00 +0000"},
	    {UINT64_C(951827696), "Tue, 29 Feb 2000 12:34:56 +0000"},
	    {UINT64_C(4102444799), "Thu, 31 Dec 2099 23:59:59 +0000"},
	    {UINT64_MAX / 1000, "Fri, 31 Dec 9999 23:59:59 +0000"},
	};
	char text[40];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		mail_date_format(cases[i].seconds * 1000, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* RET, whole or not, what happened: what is returned (RFC 3461 4.3). */
static void
test_returned(void **state)
{
	static const struct {
		enum mail_ret ret;
		bool is_whole;
		enum mail_dsn_action action;
		bool is_full;
	} cases[] = {
	    {MAIL_RET_NONE, true, MAIL_DSN_FAILED, true},
	    {MAIL_RET_FULL, true, MAIL_DSN_FAILED, true},
	    {MAIL_RET_HDRS, true, MAIL_DSN_FAILED, false},
	    {MAIL_RET_FULL, false, MAIL_DSN_FAILED, false},
	    {MAIL_RET_FULL, true, MAIL_DSN_DELAYED, false},
	    {MAIL_RET_NONE, true, MAIL_DSN_DELIVERED, false},
	    {MAIL_RET_FULL, true, MAIL_DSN_RELAYED, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct test_dsn t;
		char *text;

		test_init(&t);
		t.envelope.ret = cases[i].ret;
		t.dsn.is_content_whole = cases[i].is_whole;
		t.recipients[0].action = cases[i].action;
		text = test_put(&t, 100000);
		if (cases[i].is_full) {
			expect_in(text, "Content-Type: message/rfc822\r\n");
			expect_in(text, "\r\n\r\nbody\r\n\r\n--D1");
		} else {
			expect_in(text, "Type: text/rfc822-headers\r\n\r\n"
					"From: a@x.example\r\nSubject: hi\r\n"
					"\r\n--D1=0=report--\r\n");
			expect_not_in(text, "body");
		}
		free(text);
	}
}

static void
test_options(void **state)
{
	struct test_dsn t;
	char *text;

	(void)state;
	test_init(&t);
	t.envelope.envid = STR("e+2B1+0D+0AX: y+ZZ");
	t.dsn.recipient_count = 3;
	t.recipients[0].recipient.orcpt = STR("rfc822;b+2Bc@y+0A.example");
	t.recipients[1] = (struct mail_dsn_recipient){
	    .recipient = {.address = STR("c@y.example")},
	    .action = MAIL_DSN_DELAYED,
	    .diagnostic = STR("connection timed out"),
	};
	t.recipients[2] = (struct mail_dsn_recipient){
	    .recipient = {.address = STR("d@y.example"),
		.orcpt = STR("no semicolon")},
	    .action = MAIL_DSN_RELAYED,
	};
	text = test_put(&t, 100000);
	expect_in(text, "\r\nOriginal-Envelope-Id: e+1??X: y+ZZ\r\n");
	expect_in(text, "\r\nOriginal-Recipient: rfc822; b+c@y?.example\r\n"
			"Final-Recipient: rfc822; b@y.example\r\n");
	expect_in(text, "\r\n\r\nFinal-Recipient: rfc822; c@y.example\r\n"
			"Action: delayed\r\nStatus: 4.0.0\r\n"
			"Diagnostic-Code: x-sendq; connection timed out\r\n"
			"Last-Attempt-Date: ");
	expect_in(text, "\r\n\r\nFinal-Recipient: rfc822; d@y.example\r\n"
			"Action: relayed\r\nStatus: 2.0.0\r\nLast-");
	expect_in(text, "Subject: Undelivered mail returned\r\n");
	expect_in(text, "need not send it again.\r\n\r\n  <c@y.example>\r\n"
			"    connection timed out\r\n");
	expect_in(text, "No further notice follows.\r\n\r\n  <d@y.example>");
	expect_not_in(text, "no semicolon");
	free(text);
	t.recipients[0].action = MAIL_DSN_DELIVERED;
	text = test_put(&t, 100000);
	expect_in(text, "Subject: Mail is delayed\r\n");
	expect_in(text, "Action: delivered\r\n");
	free(text);
	/* A null sender gets none; the postmaster may. */
	t.envelope.sender = STR("");
	text = test_put(&t, 100000);
	expect_in(text, "\r\nTo: <postmaster@h.example>\r\n");
	free(text);
}

/* Of what is late it is told until when it is tried, and what it waits for. */
static void
test_delayed(void **state)
{
	struct test_dsn t;
	char *text;

	(void)state;
	test_init(&t);
	t.recipients[0].action = MAIL_DSN_DELAYED;
	t.recipients[0].remote_mta = STR("");
	t.recipients[0].diagnostic = STR("");
	t.dsn.attempt_wall_ms = 0;
	text = test_put(&t, 100000);
	expect_not_in(text, "Will-Retry-Until");
	expect_not_in(text, "returned to you");
	free(text);
	t.dsn.retry_until_wall_ms = UINT64_C(1795297637999);
	text = test_put(&t, 100000);
	expect_in(text, "\r\nAction: delayed\r\nStatus: 5.1.1\r\n"
			"Will-Retry-Until: Sat, 21 Nov 2026 21:47:17 +0000\r\n"
			"\r\n--D1");
	expect_in(text, "It is kept and\r\ntried again; you need not send it"
			" again.\r\nIf nothing changes it is returned to you"
			" at Sat, 21 Nov 2026 21:47:17 +0000\r\n");
	free(text);
	t.dsn.is_kept = true;
	text = test_put(&t, 100000);
	expect_in(text, "whose mail is fetched from time to\r\ntime, and");
	expect_not_in(text, "tried again");
	free(text);
	/* What failed is not tried again. */
	t.recipients[0].action = MAIL_DSN_FAILED;
	text = test_put(&t, 100000);
	expect_not_in(text, "Will-Retry-Until");
	expect_not_in(text, "returned to you");
	expect_not_in(text, "fetched");
	free(text);
}

static void
test_8bit(void **state)
{
	struct test_dsn t;
	char *text;

	(void)state;
	test_init(&t);
	t.dsn.content = STR("Subject: x\r\n\r\n\344\r\n");
	text = test_put(&t, 100000);
	expect_in(text, "report\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	expect_in(text, "message/rfc822\r\nContent-Transfer-Encoding: 8bit");
	expect_in(text, "charset=us-ascii\r\n\r\n");
	free(text);
	/* Without SMTPUTF8 nothing of ours is 8-bit. */
	t.dsn.content = STR("Subject: x\r\n\r\n");
	t.recipients[0].diagnostic = STR("550 n\303\266");
	t.recipients[0].recipient.address = STR("\303\266@y.example");
	text = test_put(&t, 100000);
	for (size_t i = 0; text[i] != '\0'; i++)
		assert_true((unsigned char)text[i] < 0x80);
	expect_in(text, "Final-Recipient: rfc822; ??@y.example\r\n");
	free(text);
	/* RFC 6533. */
	t.envelope.is_smtputf8 = true;
	t.recipients[0].recipient.orcpt = STR("utf-8;\\x{F6}@y.example");
	t.recipients[0].diagnostic = STR("550 n\303\266 \377\303");
	text = test_put(&t, 100000);
	expect_in(text, "Type: message/global-delivery-status\r\n"
			"Content-Transfer-Encoding: 8bit\r\n\r\n");
	expect_in(text, "Type: message/global\r\nContent-Transfer-");
	expect_in(text, "Original-Recipient: utf-8; \\x{F6}@y.example\r\n"
			"Final-Recipient: utf-8; \303\266@y.example\r\n");
	expect_in(text, "Diagnostic-Code: smtp; 550 n\303\266 ??\r\n");
	expect_in(text, "charset=utf-8\r\nContent-Transfer-Encoding: 8bit");
	free(text);
	t.envelope.ret = MAIL_RET_HDRS;
	text = test_put(&t, 100000);
	expect_in(text, "Content-Type: message/global-headers\r\n");
	free(text);
}

/* Only whole and valid UTF-8 (RFC 3629) is written as such. */
static void
test_utf8(void **state)
{
	static const struct {
		const char *diagnostic, *written;
	} cases[] = {
	    {"5 \302\200\337\277", "5 \302\200\337\277\r\n"},
	    {"5 \340\240\200\355\237\277", "5 \340\240\200\355\237\277\r\n"},
	    {"5 \360\220\200\200\364\217\277\277",
		"5 \360\220\200\200\364\217\277\277\r\n"},
	    {"5 \301\277", "5 ?\?\r\n"},
	    {"5 \340\237\277", "5 ?\?\?\r\n"},
	    {"5 \355\240\200", "5 ?\?\?\r\n"},
	    {"5 \360\217\277\277", "5 ?\?\?\?\r\n"},
	    {"5 \364\220\200\200", "5 ?\?\?\?\r\n"},
	    {"5 \365\200\200\200", "5 ?\?\?\?\r\n"},
	    {"5 \303(", "5 ?(\r\n"},
	    {"5 \303", "5 ?\r\n"},
	};
	char longest[600];
	struct test_dsn t;
	char *text;

	(void)state;
	test_init(&t);
	t.envelope.is_smtputf8 = true;
	for (size_t i = 0; i < COUNT(cases); i++) {
		t.recipients[0].diagnostic = str_from(cases[i].diagnostic);
		text = test_put(&t, 100000);
		expect_in(text, cases[i].written);
		free(text);
	}
	/* A value is not cut inside of a character. */
	for (size_t i = 0; i + 1 < sizeof(longest); i += 2)
		memcpy(longest + i, "\303\266", 2);
	longest[0] = '5';
	longest[1] = ' ';
	for (size_t start = 0; start < 2; start++) {
		t.recipients[0].diagnostic =
		    str_of(longest + start, sizeof(longest) - start);
		text = test_put(&t, 100000);
		expect_in(text, "\303\266\r\n");
		expect_not_in(text, "\303\r");
		expect_not_in(text, "\303 ");
		free(text);
	}
}

/* What far ends and senders write stays where it belongs. */
static void
test_hostile(void **state)
{
	static char longest[3000], wide[70000];
	struct test_dsn t;
	char *text;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	memset(wide, 'y', sizeof(wide));
	test_init(&t);
	t.envelope.sender = STR("a@x\r\nBcc: z@z");
	t.recipients[0].recipient.address = STR("b@y\r\nStatus: 2.0.0");
	t.recipients[0].diagnostic = STR("550 a\r\n\r\n--D1=0=report\r\n\0z");
	t.recipients[0].remote_mta = STR("mx\nAction: relayed");
	t.recipients[0].status = STR("5.1.1\r\nX: y");
	t.dsn.hostname = STR("h\r\nX: y");
	text = test_put(&t, 100000);
	expect_not_in(text, "\nBcc");
	expect_not_in(text, "\nStatus: 2");
	expect_not_in(text, "\nAction: relayed");
	expect_not_in(text, "\nX: y");
	free(text);
	/* Values of any length. */
	test_init(&t);
	t.envelope.sender = str_of(longest, sizeof(longest));
	t.envelope.envid = t.envelope.sender;
	t.recipients[0].recipient.address = t.envelope.sender;
	t.recipients[0].recipient.orcpt = t.envelope.sender;
	t.recipients[0].diagnostic = t.envelope.sender;
	t.recipients[0].remote_mta = t.envelope.sender;
	t.dsn.hostname = t.dsn.id = t.dsn.origin_id = t.envelope.sender;
	text = test_put(&t, 100000);
	free(text);
	/* A header that is one line of any length, and none at all. */
	t.dsn.content = str_of(wide, sizeof(wide));
	text = test_put(&t, 200000);
	expect_in(text, "yy\r\n yy");
	free(text);
	t.dsn.content = STR("");
	free(test_put(&t, 100000));
	t.dsn.content = STR("\r\nbody\r\n");
	t.dsn.is_content_whole = false;
	text = test_put(&t, 100000);
	expect_not_in(text, "body");
	free(text);
}

/* Content that may not go out as it is comes back as its header. */
static void
test_unfit_content(void **state)
{
	static const struct {
		const char *content;
		size_t size;
		const char *part;
	} cases[] = {
	    {"S: x\r\n\r\na\nb\r\n", 13, "\r\n\r\nS: x\r\n\r\n--D1"},
	    {"S: x\r\n\r\na\rb\r\n", 13, "\r\n\r\nS: x\r\n\r\n--D1"},
	    {"S: x\r\n\r\na\0b\r\n", 13, "\r\n\r\nS: x\r\n\r\n--D1"},
	    {"S: x\r\n\r\na\r", 10, "\r\n\r\nS: x\r\n\r\n--D1"},
	    {"S: \rx\ny\0\r\n\r\nb", 13, "\r\n\r\nS: ?x?y?\r\n\r\n--D1"},
	};
	static char line[2000];
	struct test_dsn t;
	char *text;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		test_init(&t);
		t.dsn.content = str_of(cases[i].content, cases[i].size);
		text = test_put(&t, 100000);
		expect_in(text, "text/rfc822-headers");
		expect_in(text, cases[i].part);
		free(text);
	}
	/* 998 bytes in a line are well, 999 are not. */
	for (size_t n = 998; n <= 999; n++) {
		memset(line, 'x', sizeof(line));
		memcpy(line, "S: x\r\n\r\n", 8);
		memcpy(line + 8 + n, "\r\n", 2);
		test_init(&t);
		t.dsn.content = str_of(line, 8 + n + 2);
		text = test_put(&t, 100000);
		expect_in(text, n == 998 ? "Type: message/rfc822"
					 : "Type: text/rfc822-headers");
		free(text);
	}
	/* A part of a header is cut at a line. */
	test_init(&t);
	t.dsn.is_content_whole = false;
	t.dsn.content = STR("A: b\r\nC: d\r\nE: ");
	text = test_put(&t, 100000);
	expect_in(text, "\r\n\r\nA: b\r\nC: d\r\n\r\n--D1");
	free(text);
}

static void
test_boundary(void **state)
{
	static char all[2000];
	struct test_dsn t;
	size_t size = 0;
	char *text;

	(void)state;
	test_init(&t);
	t.dsn.content = STR("S: x\r\n\r\n--D1=0=report\r\nx\r\n");
	text = test_put(&t, 100000);
	expect_in(text, "boundary=\"D1=1=report\"");
	expect_in(text, "--D1=1=report--\r\n");
	free(text);
	/* Whoever guessed them all gets nothing back. */
	for (unsigned i = 0; i < 100; i++)
		size += (size_t)snprintf(
		    all + size, sizeof(all) - size, "--D1=%u=report\r\n", i);
	t.dsn.content = str_of(all, size);
	text = test_put(&t, 100000);
	expect_not_in(text, "rfc822-headers");
	expect_not_in(text, "=98=");
	free(text);
	/* Bytes of the id that a boundary cannot have. */
	t.dsn.id = STR("a\"b\r\n c");
	text = test_put(&t, 100000);
	expect_in(text, "boundary=\"a_b___c=0=report\"");
	free(text);
}

/* At every size of the buffer: all of it, or the header, or an error. */
static void
test_room(void **state)
{
	static char body[8000];
	struct test_dsn t;
	size_t full = 0, headers = 0, failed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	memcpy(body + 48, "\r\n\r\n", 4);
	test_init(&t);
	t.dsn.content = str_of(body, sizeof(body));
	for (size_t max = 0; max < 13000; max += 7) {
		struct buf out;
		int error;

		buf_init(&out, max);
		error = mail_dsn_put(&out, &t.dsn);
		if (error == 0) {
			bool is_full =
			    memmem(buf_str(&out).data, buf_size(&out),
				"message/rfc822", 14) != NULL;

			test_lines(buf_str(&out));
			full += is_full;
			headers += !is_full;
			assert_true(str_case_ends(
			    buf_str(&out), STR("--D1=0=report--\r\n")));
		} else {
			assert_int_equal(error, -ENOBUFS);
			assert_int_equal(headers + full, 0);
			failed++;
		}
		buf_fini(&out);
	}
	assert_true(full > 0 && headers > 0 && failed > 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_returned),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_delayed),
	    cmocka_unit_test(test_8bit),
	    cmocka_unit_test(test_utf8),
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_unfit_content),
	    cmocka_unit_test(test_boundary),
	    cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
