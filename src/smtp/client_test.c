/*
 * The SMTP client against scripts: what the far end says, what the client must
 * say, and what becomes of the recipients.  A script is a list of lines:
 *
 *   "S:text"  the far end sends text CRLF
 *   "C:text"  the client must send text CRLF next
 *   "R:text"  the job is reported, its results must be text
 *   "J"       a job is given
 *   "Q"       the client is told to quit
 *   "X"       the far end closes
 *   "T"       time passes the deadline
 *   "E:text"  the connection is over: "failed"/"fine" CODE AWAITED
 *
 * Adjacent S lines arrive in one piece; each script is run whole, byte by byte
 * and in random cuts.
 */
#include "smtp/client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
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

struct test_job {
	struct mail_envelope envelope;
	struct mail_recipient recipients[4];
	size_t count;
	const char *content;
};

static const struct test_job job_plain = {
    .envelope = {.sender = {"a@x", 3}},
    .recipients = {{.address = {"b@y", 3}}},
    .count = 1,
    .content = "hi\r\n",
};

static const struct test_job job_three = {
    .envelope = {.sender = {"a@x", 3}},
    .recipients = {{.address = {"b@y", 3}}, {.address = {"c@y", 3}},
	{.address = {"d@y", 3}}},
    .count = 3,
    .content = "hi\r\n",
};

static const struct test_job job_null_sender = {
    .envelope = {.sender = {"", 0}},
    .recipients = {{.address = {"Postmaster", 10}}},
    .count = 1,
    .content = "",
};

static const struct test_job job_full = {
    .envelope = {.sender = {"a@x", 3},
	.envid = {"e+3D1", 5},
	.body = MAIL_BODY_8BITMIME,
	.ret = MAIL_RET_HDRS,
	.is_smtputf8 = true},
    .recipients = {{.address = {"b@y", 3},
		       .orcpt = {"rfc822;b+2By", 12},
		       .notify = MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_DELAY},
	{.address = {"c@y", 3}, .notify = MAIL_NOTIFY_NEVER}},
    .count = 2,
    .content = "\303\244",
};

static const struct test_job job_8bit = {
    .envelope = {.sender = {"a@x", 3},
	.envid = {"e", 1},
	.body = MAIL_BODY_8BITMIME,
	.ret = MAIL_RET_FULL},
    .recipients = {{.address = {"b@y", 3},
	.orcpt = {"rfc822;b@y", 10},
	.notify = MAIL_NOTIFY_FAILURE}},
    .count = 1,
    .content = "\303\244\r\n",
};

static const struct test_job job_injection = {
    .envelope = {.sender = {"a@x>\r\nRSET", 10}},
    .recipients = {{.address = {"b@y", 3}}},
    .count = 1,
    .content = "",
};

static const struct test_job job_bare_lf = {
    .envelope = {.sender = {"a@x", 3}},
    .recipients = {{.address = {"b@y", 3}}},
    .count = 1,
    .content = "\n.\r\n",
};

struct test_script {
	const char *name;
	const struct test_job *job;
	const char *lines[40];
};

#define HELLO  "S:220 y hi", "C:EHLO me.example", "S:250 y"
#define HELLOP "S:220 y hi", "C:EHLO me.example", "S:250-y", "S:250 PIPELINING"
#define BYE    "Q", "C:QUIT", "S:221 bye", "E:fine 0 job"

static const struct test_script test_scripts[] = {
    {"plain", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:354 go", "C:hi", "C:.",
	    "S:250 2.6.0 taken", "R:accepted 250 2.6.0 250 2.6.0 taken", BYE}},
    {"bare codes, multi-line everything", &job_plain,
	{"S:220-y", "S:220-", "S:220", "C:EHLO me.example", "S:250-y", "S:250",
	    "J", "C:MAIL From:<a@x>", "S:250", "C:RCPT To:<b@y>", "S:250-",
	    "S:250-ok", "S:251", "C:DATA", "S:354", "C:hi", "C:.", "S:250",
	    "R:accepted 250 2.0.0 250", BYE}},
    {"HELO", &job_8bit,
	{"S:220 y", "C:EHLO me.example", "S:502 what", "C:HELO me.example",
	    "S:250 y", "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:354 go", "C:\303\244", "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok", BYE}},
    {"pipelined", &job_three,
	{HELLOP, "J", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:RCPT To:<c@y>",
	    "C:RCPT To:<d@y>", "C:DATA", "S:250 ok", "S:250 ok",
	    "S:550-5.1.1 no", "S:550 5.1.1 such user", "S:450 busy", "S:354 go",
	    "C:hi", "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok|"
	    "permanent 550 5.1.1 550 5.1.1 no such user|"
	    "temporary 450 4.0.0 450 busy",
	    BYE}},
    {"pipelined, nobody accepted, 354: lone dot", &job_plain,
	{HELLOP, "J", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:DATA",
	    "S:250 ok", "S:550 no", "S:354 go", "C:.", "S:554 nobody",
	    "R:permanent 550 5.0.0 550 no", "J", "C:MAIL From:<a@x>",
	    "C:RCPT To:<b@y>", "C:DATA", "X",
	    "R:untried 0 4.4.2 connection lost: closed", "E:fine 0 MAIL"}},
    {"421 to the second MAIL: no trouble", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:450 later",
	    "R:temporary 450 4.0.0 450 later", "J", "C:RSET", "S:250 ok",
	    "C:MAIL From:<a@x>", "S:421 4.7.0 enough for one connection",
	    "R:untried 421 4.7.0 421 4.7.0 enough for one connection",
	    "E:fine 421 MAIL"}},
    {"421 behind the second MAIL: trouble", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:450 later",
	    "R:temporary 450 4.0.0 450 later", "J", "C:RSET", "S:250 ok",
	    "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:421 4.3.2 closing", "R:temporary 421 4.3.2 421 4.3.2 closing",
	    "E:failed 421 RCPT"}},
    {"421 between messages", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:450 later",
	    "R:temporary 450 4.0.0 450 later", "S:421 idle", "E:fine 421 job"}},
    {"pipelined, nobody accepted, DATA refused: RSET", &job_plain,
	{HELLOP, "J", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:DATA",
	    "S:250 ok", "S:550 no", "S:503 no", "R:permanent 550 5.0.0 550 no",
	    "J", "C:RSET", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:DATA",
	    "S:250 ok", "S:250 ok", "S:250 ok", "S:354 go", "C:hi", "C:.",
	    "S:250 ok", "R:accepted 250 2.0.0 250 ok", BYE}},
    {"pipelined, MAIL refused", &job_three,
	{HELLOP, "J", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:RCPT To:<c@y>",
	    "C:RCPT To:<d@y>", "C:DATA", "S:550 5.7.1 no", "S:503 m", "S:503 m",
	    "S:503 m", "S:503 m",
	    "R:permanent 550 5.7.1 550 5.7.1 no|"
	    "permanent 550 5.7.1 550 5.7.1 no|"
	    "permanent 550 5.7.1 550 5.7.1 no",
	    BYE}},
    {"pipelined, MAIL refused, 421 behind it", &job_plain,
	{HELLOP, "J", "C:MAIL From:<a@x>", "C:RCPT To:<b@y>", "C:DATA",
	    "S:550 no", "S:421 enough", "R:permanent 550 5.0.0 550 no",
	    "E:failed 421 RCPT"}},
    {"all refused one at a time: no DATA, RSET alone", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:550 no", "R:permanent 550 5.0.0 550 no", "J", "C:RSET",
	    "S:250 ok", "C:MAIL From:<a@x>", "S:450 4.7.1 later",
	    "R:temporary 450 4.7.1 450 4.7.1 later", "J", "C:RSET",
	    "S:500 what",
	    "R:temporary 0 4.5.0 protocol error, RSET was"
	    " refused: 500 what",
	    "E:failed 0 MAIL"}},
    {"too many recipients after one", &job_three,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:RCPT To:<c@y>", "S:452 4.5.3 many",
	    "C:RCPT To:<d@y>", "S:552 many", "C:DATA", "S:354 go", "C:hi",
	    "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok|untried 452 4.5.3 452 4.5.3 many|"
	    "untried 552 4.0.0 552 many",
	    BYE}},
    {"452 and 552 for another reason after one", &job_three,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:RCPT To:<c@y>", "S:452 4.2.2 full",
	    "C:RCPT To:<d@y>", "S:552 5.3.1 disk", "C:DATA", "S:354 go", "C:hi",
	    "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok|temporary 452 4.2.2 452 4.2.2 full|"
	    "temporary 552 4.3.1 552 5.3.1 disk",
	    BYE}},
    {"too many recipients after one, in each way", &job_three,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:RCPT To:<c@y>", "S:452 many", "C:RCPT To:<d@y>",
	    "S:552 5.5.3 many", "C:DATA", "S:354 go", "C:hi", "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok|untried 452 4.0.0 452 many|"
	    "untried 552 4.5.3 552 5.5.3 many",
	    BYE}},
    {"452 to the first", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:552 5.2.2 full", "R:temporary 552 4.2.2 552 5.2.2 full", BYE}},
    {"DATA refused for good", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:554 5.7.1 no",
	    "R:permanent 554 5.7.1 554 5.7.1 no", BYE}},
    {"dot refused, next one goes without RSET", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:354 go", "C:hi", "C:.",
	    "S:451 4.3.0 later", "R:temporary 451 4.3.0 451 4.3.0 later", "J",
	    "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>", "S:250 ok",
	    "C:DATA", "S:354 go", "C:hi", "C:.", "S:552 5.3.4 big",
	    "R:permanent 552 5.3.4 552 5.3.4 big", BYE}},
    {"all parameters", &job_full,
	{"S:220 y", "C:EHLO me.example", "S:250-y", "S:250-size 1000",
	    "S:250-8BitMime", "S:250-DSN", "S:250-SMTPUTF8", "S:250 Pipelining",
	    "J",
	    "C:MAIL From:<a@x> SIZE=2 BODY=8BITMIME SMTPUTF8"
	    " ENVID=e+3D1 RET=HDRS",
	    "C:RCPT To:<b@y> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2By",
	    "C:RCPT To:<c@y> NOTIFY=NEVER", "C:DATA", "S:250 ok", "S:250 ok",
	    "S:250 ok", "S:354 go", "C:\303\244", "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok|accepted 250 2.0.0 250 ok", BYE}},
    {"null sender, empty content", &job_null_sender,
	{HELLO, "J", "C:MAIL From:<>", "S:250 ok", "C:RCPT To:<Postmaster>",
	    "S:250 ok", "C:DATA", "S:354 go", "C:.", "S:250 ok",
	    "R:accepted 250 2.0.0 250 ok", BYE}},
    {"SMTPUTF8 not offered", &job_full,
	{HELLO, "J",
	    "R:permanent 0 5.6.7 the host does not offer SMTPUTF8|"
	    "permanent 0 5.6.7 the host does not offer SMTPUTF8",
	    BYE}},
    {"over SIZE", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:250-y", "S:250 SIZE 3", "J",
	    "R:permanent 0 5.3.4 the message has 4 bytes, the host takes 3",
	    BYE}},
    {"at SIZE", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:250-y", "S:250 SIZE 4", "J",
	    "C:MAIL From:<a@x> SIZE=4", "S:552 5.3.4 no",
	    "R:permanent 552 5.3.4 552 5.3.4 no", BYE}},
    {"SIZE without a number", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:250-y", "S:250 SIZE", "J",
	    "C:MAIL From:<a@x> SIZE=4", "S:450 no",
	    "R:temporary 450 4.0.0 450 no", BYE}},
    {"an address that would end the command", &job_injection,
	{HELLO, "J", "R:permanent 0 5.5.4 the envelope cannot be sent", BYE}},
    {"bare LF in the content", &job_bare_lf,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:354 go",
	    "R:permanent 0 5.6.0 the content has a bare LF or a dot behind a"
	    " bare CR",
	    "E:fine 0 content"}},
    {"554 greeting", &job_plain,
	{"S:554 5.7.1 go away", "C:QUIT", "S:221 bye",
	    "E:failed 554 greeting"}},
    {"521", &job_plain, {"S:521 never", "E:failed 521 greeting"}},
    {"EHLO 4xx", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:450 later", "C:QUIT", "X",
	    "E:failed 450 EHLO"}},
    {"HELO 5xx", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:500 what", "C:HELO me.example",
	    "S:504 what", "C:QUIT", "T", "E:failed 504 HELO"}},
    {"421 while idle", &job_plain, {HELLO, "S:421 tired", "E:failed 421 job"}},
    {"closed while idle, nothing done", &job_plain,
	{HELLO, "X", "E:failed 0 job"}},
    {"noise while idle", &job_plain, {HELLO, "S:250 what", "E:failed 0 job"}},
    {"no SMTP", &job_plain, {"S:SSH-2.0-OpenSSH", "E:failed 0 greeting"}},
    {"1xx", &job_plain, {"S:120 wait", "E:failed 0 greeting"}},
    {"classes mixed", &job_plain,
	{"S:220 y", "C:EHLO me.example", "S:250-y", "S:550 no",
	    "E:failed 0 EHLO"}},
    {"no 354", &job_plain,
	{HELLO, "J", "C:MAIL From:<a@x>", "S:250 ok", "C:RCPT To:<b@y>",
	    "S:250 ok", "C:DATA", "S:250 ok",
	    "R:temporary 0 4.5.0 protocol error, no 354 to DATA: 250 ok",
	    "E:failed 0 DATA"}},
    {"closed by QUIT", &job_plain,
	{HELLO, "Q", "C:QUIT", "X", "E:fine 0 QUIT"}},
};

static const char *const verdict_names[] = {
    [SMTP_ACCEPTED] = "accepted",
    [SMTP_TEMPORARY] = "temporary",
    [SMTP_PERMANENT] = "permanent",
    [SMTP_UNTRIED] = "untried",
};

/* A run of one script. */
struct test_run {
	struct smtp_client *c;
	const struct test_job *job;
	struct buf sent; /* by the client */
	uint64_t now_ms;
	unsigned cut; /* 0 = whole, 1 = by byte, else at random */
	uint64_t seed;
};

static unsigned
test_random(struct test_run *run)
{
	run->seed = run->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(run->seed >> 33);
}

/* Size of the next piece of SIZE bytes. */
static size_t
test_cut(struct test_run *run, size_t size)
{
	size_t n = size;

	if (run->cut == 1)
		n = 1;
	else if (run->cut == 2)
		n = 1 + test_random(run) % 7;
	return n < size ? n : size;
}

static void
test_drain(struct test_run *run)
{
	struct buf *out = smtp_client_output(run->c);

	if (buf_size(out) == 0)
		return;
	assert_int_equal(buf_append(&run->sent, buf_str(out)), 0);
	buf_consume(out, buf_size(out));
	smtp_client_progress(run->c, run->now_ms);
	smtp_client_check(run->c);
}

/* Gives all the content that is asked for. */
static void
test_content(struct test_run *run)
{
	struct str content = str_from(run->job->content);

	while (smtp_client_next(run->c) == SMTP_WANT_CONTENT) {
		struct str piece =
		    str_head(content, test_cut(run, content.size));

		content = str_skip(content, piece.size);
		smtp_client_content(
		    run->c, piece, content.size == 0, run->now_ms);
		smtp_client_check(run->c);
		test_drain(run);
	}
}

static void
test_settle(struct test_run *run)
{
	do {
		test_drain(run);
		test_content(run);
	} while (buf_size(smtp_client_output(run->c)) > 0);
}

static void
test_feed(struct test_run *run, struct str bytes)
{
	while (bytes.size > 0) {
		struct str piece = str_head(bytes, test_cut(run, bytes.size));
		size_t n = smtp_client_feed(run->c, piece, run->now_ms);

		smtp_client_check(run->c);
		if (n < piece.size)
			assert_true(
			    smtp_client_next(run->c) == SMTP_WANT_CLOSE ||
			    smtp_client_next(run->c) == SMTP_WANT_REPORT);
		bytes = str_skip(bytes, piece.size);
		test_settle(run);
	}
}

static void
test_give_job(struct test_run *run)
{
	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_JOB);
	smtp_client_job(run->c, &run->job->envelope, run->job->recipients,
	    run->job->count, strlen(run->job->content), run->now_ms);
	smtp_client_check(run->c);
	test_settle(run);
}

static void
test_expect_report(struct test_run *run, const char *expected)
{
	struct smtp_client_result result;
	char text[4096] = "";
	size_t size = 0;

	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_REPORT);
	for (size_t i = 0; i < run->job->count; i++) {
		smtp_client_result(run->c, i, &result);
		size += (size_t)snprintf(text + size, sizeof(text) - size,
		    "%s%s %d %s %s", i > 0 ? "|" : "",
		    verdict_names[result.verdict], result.code, result.status,
		    result.answer);
	}
	assert_string_equal(text, expected);
	smtp_client_reported(run->c);
	smtp_client_check(run->c);
}

static void
test_expect_end(struct test_run *run, const char *expected)
{
	struct smtp_client_end end;
	char text[100];

	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_CLOSE);
	assert_true(smtp_client_deadline(run->c) == UINT64_MAX);
	smtp_client_end(run->c, &end);
	snprintf(text, sizeof(text), "%s %d %s",
	    end.is_failed ? "failed" : "fine", end.code, end.awaited);
	assert_string_equal(text, expected);
}

static void
test_expect_sent(struct test_run *run, const char *line)
{
	struct str sent = buf_str(&run->sent);
	struct str head = str_head(sent, strlen(line) + 2);
	char text[600];

	snprintf(text, sizeof(text), "%s\r\n", line);
	if (!str_equal(head, str_from(text)))
		fail_msg("client: expected %s, got %.*s", line, STR_ARG(sent));
	buf_consume(&run->sent, head.size);
}

/* Runs the lines of a script up to its end. */
static void
test_run_lines(struct test_run *run, const char *const *lines)
{
	struct buf server;

	buf_init(&server, 100000);
	for (; *lines != NULL; lines++) {
		const char *line = *lines;

		switch (line[0]) {
		case 'S':
			assert_int_equal(
			    buf_printf(&server, "%s\r\n", line + 2), 0);
			if (lines[1] != NULL && lines[1][0] == 'S')
				continue;
			assert_int_equal(buf_size(&run->sent), 0);
			test_feed(run, buf_str(&server));
			buf_clear(&server);
			break;
		case 'C':
			test_expect_sent(run, line + 2);
			break;
		case 'R':
			test_expect_report(run, line + 2);
			break;
		case 'E':
			test_expect_end(run, line + 2);
			break;
		case 'J':
			test_give_job(run);
			break;
		case 'Q':
			smtp_client_quit(run->c, run->now_ms);
			test_settle(run);
			break;
		case 'X':
			smtp_client_lost(run->c, "closed");
			break;
		case 'T':
			run->now_ms = smtp_client_deadline(run->c);
			smtp_client_timer(run->c, run->now_ms - 1);
			assert_int_not_equal(
			    smtp_client_next(run->c), SMTP_WANT_CLOSE);
			smtp_client_timer(run->c, run->now_ms);
			break;
		}
		smtp_client_check(run->c);
		run->now_ms++;
	}
	buf_fini(&server);
}

static void
test_open(struct test_run *run, const struct test_job *job, unsigned cut)
{
	*run = (struct test_run){.job = job, .cut = cut, .now_ms = 1000};
	run->seed = 12345 + cut;
	run->c = smtp_client_new(&test_options, run->now_ms);
	buf_init(&run->sent, 1000000);
	smtp_client_check(run->c);
}

static void
test_close(struct test_run *run)
{
	smtp_client_free(run->c);
	buf_fini(&run->sent);
}

static void
test_all_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(test_scripts); i++) {
		print_message("%s\n", test_scripts[i].name);
		for (unsigned cut = 0; cut < 12; cut++) {
			struct test_run run;

			test_open(&run, test_scripts[i].job, cut < 2 ? cut : 2);
			run.seed += cut;
			test_run_lines(&run, test_scripts[i].lines);
			assert_int_equal(buf_size(&run.sent), 0);
			test_close(&run);
		}
	}
}

/* The dialogue without a fault, one reply a step; a fault is put in place of
   each of the replies. */
static const char *const fault_replies[] = {"220 y", "250 y", "250 ok",
    "250 ok", "250 ok", "354 go", "250 ok", "221 bye"};
static const char *const fault_awaited[] = {
    "greeting", "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "dot", "QUIT"};

enum fault {
	FAULT_4XX,
	FAULT_5XX,
	FAULT_421,
	FAULT_CLOSE,
	FAULT_SILENCE,
	FAULT_JUNK,
	FAULT_PARTIAL,
	FAULT_COUNT,
};

static void
fault_inject(struct test_run *run, enum fault fault)
{
	switch (fault) {
	case FAULT_4XX:
		test_feed(run, STR("450 4.1.1 later\r\n"));
		break;
	case FAULT_5XX:
		test_feed(run, STR("550 5.1.1 never\r\n"));
		break;
	case FAULT_421:
		test_feed(run, STR("421 4.3.2 down\r\n"));
		break;
	case FAULT_CLOSE:
		smtp_client_lost(run->c, "closed");
		break;
	case FAULT_SILENCE:
		run->now_ms = smtp_client_deadline(run->c);
		smtp_client_timer(run->c, run->now_ms);
		break;
	case FAULT_JUNK:
		test_feed(run, STR("hello\r\n"));
		break;
	case FAULT_PARTIAL:
		test_feed(run, STR("250-o"));
		smtp_client_lost(run->c, "closed");
		break;
	case FAULT_COUNT:
		break;
	}
	smtp_client_check(run->c);
}

/* Goes on as a far end would after the fault until the client is done. */
static void
fault_go_on(struct test_run *run, size_t step)
{
	for (size_t i = 0; i < 20; i++) {
		enum smtp_client_want want = smtp_client_next(run->c);

		if (want == SMTP_WANT_CLOSE || want == SMTP_WANT_REPORT)
			return;
		if (want == SMTP_WANT_JOB) {
			smtp_client_quit(run->c, run->now_ms);
			test_drain(run);
			continue;
		}
		step++;
		test_feed(run, step < COUNT(fault_replies) - 1
				   ? str_from(fault_replies[step])
				   : STR("250 x"));
		test_feed(run, STR("\r\n"));
	}
	fail_msg("it never ends");
}

/* The verdict of recipient INDEX after FAULT in place of reply STEP. */
static enum smtp_verdict
fault_verdict(enum fault fault, size_t step, size_t index)
{
	bool is_refusal = fault == FAULT_4XX || fault == FAULT_5XX;

	/* Of two recipients only the one whose RCPT it was is refused. */
	if (is_refusal && (step == 3 || step == 4) && index != step - 3)
		return SMTP_ACCEPTED;
	return fault == FAULT_5XX ? SMTP_PERMANENT : SMTP_TEMPORARY;
}

static void
fault_check(struct test_run *run, enum fault fault, size_t step)
{
	struct smtp_client_result result;
	struct smtp_client_end end;
	bool is_refusal = fault == FAULT_4XX || fault == FAULT_5XX;

	if (step >= 2 && step <= 6) {
		assert_int_equal(smtp_client_next(run->c), SMTP_WANT_REPORT);
		for (size_t i = 0; i < 2; i++) {
			smtp_client_result(run->c, i, &result);
			assert_int_equal(
			    result.verdict, fault_verdict(fault, step, i));
			if (result.verdict != SMTP_ACCEPTED)
				assert_int_equal(result.status[0],
				    fault == FAULT_5XX ? '5' : '4');
		}
		smtp_client_reported(run->c);
		if (is_refusal) {
			assert_int_equal(
			    smtp_client_next(run->c), SMTP_WANT_JOB);
			return;
		}
	}
	assert_int_equal(smtp_client_next(run->c), SMTP_WANT_CLOSE);
	smtp_client_end(run->c, &end);
	/* EHLO with 5xx falls back to HELO and is fine. */
	if (step == 7 || (step == 1 && fault == FAULT_5XX)) {
		/* Junk to QUIT is the only thing to complain of. */
		assert_int_equal(end.is_failed, fault == FAULT_JUNK);
		return;
	}
	assert_true(end.is_failed);
	assert_string_equal(end.awaited, fault_awaited[step]);
	assert_int_equal(end.code, fault == FAULT_4XX   ? 450
				   : fault == FAULT_5XX ? 550
				   : fault == FAULT_421 ? 421
							: 0);
}

static void
test_faults(void **state)
{
	static const struct test_job job = {
	    .envelope = {.sender = {"a@x", 3}},
	    .recipients = {{.address = {"b@y", 3}}, {.address = {"c@y", 3}}},
	    .count = 2,
	    .content = "hi\r\n",
	};
	struct test_run run;

	(void)state;
	for (size_t step = 0; step < COUNT(fault_replies); step++)
		for (unsigned n = 0; n < 2 * FAULT_COUNT; n++) {
			enum fault fault = (enum fault)(n / 2);

			test_open(&run, &job, n % 2);
			for (size_t i = 0; i < step; i++) {
				test_feed(&run, str_from(fault_replies[i]));
				test_feed(&run, STR("\r\n"));
				if (i == 1)
					test_give_job(&run);
				if (i == 6) {
					smtp_client_reported(run.c);
					smtp_client_quit(run.c, run.now_ms);
					test_settle(&run);
				}
			}
			fault_inject(&run, fault);
			fault_go_on(&run, step);
			fault_check(&run, fault, step);
			test_close(&run);
		}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_scripts),
	    cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
