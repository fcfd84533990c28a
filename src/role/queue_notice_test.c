/*
 * Who is told of what failed when the sender cannot be: the postmaster, once,
 * and nobody of what fails on its way to him.
 */
#include "role/queue_kit.h"

#define POSTMASTER "admin@home.test"

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "postmaster = \"" POSTMASTER "\"\n"
    "site = ( { name = \"home\", domains = [ \"home.test\" ],\n"
    "    route = \"smtp://127.0.0.8:25\" },\n"
    "  { name = \"away\", domains = [ \"away.test\" ],\n"
    "    route = \"smtp://127.0.0.9:25\" } )\n";

/* What is asked of the configuration: with or without a postmaster. */
static void
open_world(struct world *w, bool has_postmaster)
{
	char text[sizeof(config)];
	char *row;

	memcpy(text, config, sizeof(config));
	row = strstr(text, "postmaster");
	if (!has_postmaster)
		memset(row, ' ', (size_t)(strchr(row, '\n') - row));
	world_open(w, text);
}

/* The next job that deliver gets, of a session that is begun for it. */
static void
take_job(struct world *w, struct message *job_out)
{
	struct message m;

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	next(w, m.u.session_start.session, 1);
	expect(w, DELIVER, MESSAGE_JOB, job_out);
}

static void
refuse_job(struct world *w, const struct message *job)
{
	settle(w, job, 1, SMTP_PERMANENT, "550 5.1.1 who");
	next(w, job->u.job.session, 1);
	end_session(w, job->u.job.session, false, false);
}

static bool
job_has(const struct message *job, const char *text)
{
	struct str content = job->u.job.content;

	return memmem(content.data, content.size, text, strlen(text)) != NULL;
}

static void
expect_told(struct world *w, const char *of)
{
	static const char *const parts[] = {"\r\nTo: <" POSTMASTER ">\r\n",
	    "\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx2.isp.test>\r\n",
	    "\r\nSubject: Mail that nobody can be told of\r\n",
	    "and its sender cannot\r\nbe told.",
	    "\r\nContent-Type: message/delivery-status\r\n",
	    "\r\nAction: failed\r\n", "\r\nStatus: 5.1.1\r\n",
	    "\r\nDiagnostic-Code: smtp; 550 5.1.1 who\r\n",
	    "\r\nSubject: x\r\n\r\nbody\r\n"};
	struct message job;

	take_job(w, &job);
	assert_int_equal(job.u.job.envelope.sender.size, 0);
	assert_int_equal(job.u.job.row_count, 1);
	assert_true(
	    str_equal(job.u.job.rows[0].recipient.address, STR(POSTMASTER)));
	assert_int_equal(job.u.job.rows[0].recipient.notify, MAIL_NOTIFY_NEVER);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!job_has(&job, parts[i]))
			fail_msg("no %s", parts[i]);
	assert_true(job_has(&job, of));
	/* It cannot be delivered either: that is the end. */
	refuse_job(w, &job);
	assert_int_equal(queued(w), 0);
	assert_int_equal(((struct queue *)w->role)->bounces_lost_count, 1);
	expect_none(w, DELIVER, MESSAGE_JOB);
}

static void
test_null_sender(void **state)
{
	struct message job;
	struct world w;

	open_world(&w, true);
	intake_one(&w, "", "u@away.test");
	take_job(&w, &job);
	refuse_job(&w, &job);
	assert_int_equal(((struct queue *)w.role)->bounces_lost_count, 0);
	expect_told(&w, "\r\nFinal-Recipient: rfc822; u@away.test\r\n");
	world_fini(&w);
}

/* Our own notification: its recipient is the sender of the first message. */
static void
test_notification(void **state)
{
	struct message job;
	struct world w;

	open_world(&w, true);
	intake_one(&w, "s@away.test", "u@home.test");
	take_job(&w, &job);
	refuse_job(&w, &job);
	take_job(&w, &job);
	assert_true(job_has(&job, "\r\nTo: <s@away.test>\r\n"));
	assert_true(job_has(&job, "Subject: Undelivered mail returned\r\n"));
	refuse_job(&w, &job);
	expect_told(&w, "\r\nFinal-Recipient: rfc822; s@away.test\r\n");
	world_fini(&w);
}

/* The sender has no route. */
static void
test_sender_without_route(void **state)
{
	struct message job;
	struct world w;

	open_world(&w, true);
	intake_one(&w, "nobody", "u@away.test");
	take_job(&w, &job);
	refuse_job(&w, &job);
	expect_told(&w, "\r\nFinal-Recipient: rfc822; u@away.test\r\n");
	world_fini(&w);
}

/* Who failed on his way to the postmaster is left out of what he is told, in
   any case; who did not fail is left out, too. */
static void
test_only_what_is_new_to_him(void **state)
{
	static const char *const recipients[] = {
	    "ADMIN@home.test", "one@home.test", "two@home.test", NULL};
	struct message_job_result results[3];
	struct message job, m = {.type = MESSAGE_JOB_RESULT};
	struct world w;

	open_world(&w, true);
	intake(&w, "", recipients, STR("Subject: x\r\n\r\nbody\r\n"));
	take_job(&w, &job);
	assert_int_equal(job.u.job.row_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		results[i] = (struct message_job_result){
		    .index = i,
		    .verdict = i == 2 ? SMTP_ACCEPTED : SMTP_PERMANENT,
		    .status = STR("5.1.1"),
		    .answer = STR("550 5.1.1 who"),
		};
	m.u.job_result.session = job.u.job.session;
	m.u.job_result.lease = job.u.job.lease;
	m.u.job_result.results = results;
	m.u.job_result.result_count = 3;
	give(&w, DELIVER, &m);
	assert_int_equal(((struct queue *)w.role)->bounces_lost_count, 1);
	next(&w, job.u.job.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_true(job_has(&job, "Final-Recipient: rfc822; one@home.test"));
	assert_false(job_has(&job, "Final-Recipient: rfc822; ADMIN"));
	assert_false(job_has(&job, "Final-Recipient: rfc822; two"));
	world_fini(&w);
}

/* Without the setting it is logged and counted. */
static void
test_no_postmaster(void **state)
{
	static const char *const senders[] = {"", "nobody"};

	for (size_t i = 0; i < 2; i++) {
		struct message job;
		struct world w;

		open_world(&w, false);
		intake_one(&w, senders[i], "u@away.test");
		take_job(&w, &job);
		refuse_job(&w, &job);
		assert_int_equal(queued(&w), 0);
		assert_int_equal(
		    ((struct queue *)w.role)->bounces_lost_count, 1);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_null_sender),
	    cmocka_unit_test(test_notification),
	    cmocka_unit_test(test_sender_without_route),
	    cmocka_unit_test(test_only_what_is_new_to_him),
	    cmocka_unit_test(test_no_postmaster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
