/*
 * Many at a time, in the queue role: messages that come, and recipients of one
 * message, which go together and need no more sessions than that.
 */
#include "base/log.h"
#include "role/queue_kit.h"

#define TOGETHER  60
#define AT_A_TIME 20000
#define CONTENT   "Subject: x\r\n\r\nbody\r\n"

static const char config[] =
    "hostname = \"h.test\"\nspool = \"ram:\"\n"
    "route = ( { domain = \"*\", to = \"smtp://192.0.2.1\" } )\n";

/* The host takes one of them, and the others in another transaction: over the
   session that is there. */
static void
test_recipients_of_one_message(void **state)
{
	struct message m, result = {.type = MESSAGE_JOB_RESULT};
	struct message_job_result results[TOGETHER];
	const char *recipients[TOGETHER + 1] = {NULL};
	char addresses[TOGETHER][20];
	struct world w;

	world_open(&w, config);
	for (unsigned i = 0; i < TOGETHER; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "u%u@a.test", i);
		recipients[i] = addresses[i];
		results[i] = (struct message_job_result){.index = i,
		    .verdict = i == 0 ? SMTP_ACCEPTED : SMTP_UNTRIED,
		    .status = STR("4.5.3"),
		    .answer = STR("x")};
	}
	assert_int_equal(intake(&w, "s@b.test", recipients, STR(CONTENT)), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_false(fake_take_frame(&w.f, DELIVER, &m));
	next(&w, 1, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, TOGETHER);
	result.u.job_result.session = m.u.job.session;
	result.u.job_result.lease = m.u.job.lease;
	result.u.job_result.results = results;
	result.u.job_result.result_count = TOGETHER;
	give(&w, DELIVER, &result);
	assert_false(fake_take_frame(&w.f, DELIVER, &m));
	next(&w, 1, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, TOGETHER - 1);
	world_fini(&w);
}

static void
open_one(struct world *w)
{
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	m.u.intake_open.transaction = ++w->transaction;
	m.u.intake_open.id = STR("ID");
	assert_int_equal(fake_frame(&w->f, RECEIVE, &m), 0);
}

static void
abort_one(struct world *w, uint64_t transaction)
{
	struct message m = {.type = MESSAGE_INTAKE_ABORT};

	m.u.intake_abort.transaction = transaction;
	give(w, RECEIVE, &m);
}

/* One past what may come at a time is refused for now, what else comes of it
   finds nothing, and the others go on. */
static void
test_messages_at_a_time(void **state)
{
	struct message m = {.type = MESSAGE_INTAKE_CONTENT};
	struct world w;

	world_open(&w, config);
	for (unsigned i = 0; i < AT_A_TIME; i++)
		open_one(&w);
	pump(&w);
	expect_none(&w, RECEIVE, MESSAGE_INTAKE_DONE);
	open_one(&w);
	expect(&w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.transaction, w.transaction);
	assert_int_equal(m.u.intake_done.code, 452);
	m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
	m.u.intake_content.transaction = w.transaction;
	m.u.intake_content.bytes = STR(CONTENT);
	give(&w, RECEIVE, &m);
	abort_one(&w, w.transaction);
	expect_none(&w, RECEIVE, MESSAGE_INTAKE_DONE);
	abort_one(&w, 1);
	assert_int_equal(intake_one(&w, "s@b.test", "u@a.test"), 250);
	world_fini(&w);
}

static void
log_nothing(enum log_level level, struct str line)
{
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recipients_of_one_message),
	    cmocka_unit_test(test_messages_at_a_time),
	};

	log_set(log_nothing, LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
