/*
 * The queue role over the model store and a pretend carrier: messages in, held
 * and released, delivered, deferred and returned; peers that vanish; listings.
 */
#include "role/queue_kit.h"

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "retry-min = \"1m\"\n"
    "expire = \"2h\"\n"
    "relay-from = [ \"127.0.0.0/8\" ]\n"
    "route = ( { domain = \"away.test\", to = \"smtp://127.0.0.9:25\" },\n"
    "          { domain = \"*\", to = \"mx\" } )\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\", "
    "\"b.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\",\n"
    "  from = [ \"127.0.0.0/8\" ] } )\n";

static void
world_init(struct world *w)
{
	world_open(w, config);
}

/* The 250 is a promise: it waits for the store, and a store that refuses is
   no 250 at all. */
static void
test_no_reply_before_the_store_answers(void **state)
{
	struct world w;
	struct message m = {.type = MESSAGE_INTAKE_OPEN};
	struct store_request *request;

	world_init(&w);
	m.u.intake_open.transaction = 1;
	m.u.intake_open.id = STR("ID000001");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = 1;
	m.u.intake_recipient.recipient.address = STR("u@ship7.test");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = 1;
	assert_int_equal(fake_frame(&w.f, RECEIVE, &m), 0);
	expect_none(&w, RECEIVE, MESSAGE_INTAKE_DONE);
	request = fake_take_request(&w.f);
	assert_non_null(request);
	assert_int_equal(request->verb, STORE_APPEND);
	request->error = -ENOSPC;
	role_queue_ops.stored(w.role, w.f.now_ms, request);
	expect(&w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.code, 452);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
test_held_until_asked(void **state)
{
	struct world w;
	struct message m;
	uint32_t session;

	world_init(&w);
	assert_int_equal(intake_one(&w, "a@x.test", "u@ship7.test"), 250);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	trigger(&w, "nosuch", NULL, MESSAGE_TRIGGER_UNKNOWN, 0);
	trigger(&w, "ship7", "b.test", MESSAGE_TRIGGER_EMPTY, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	trigger(&w, "ship7", "ship7.test", MESSAGE_TRIGGER_STARTED, 1);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	assert_int_equal(m.u.session_start.kind, CONF_ROUTE_SMTP);
	assert_int_equal(m.u.session_start.port, 2526);
	assert_true(str_equal(m.u.session_start.host, STR("127.0.0.1")));
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_ACTIVE, 1);
	next(&w, session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_true(
	    str_equal(m.u.job.content, STR("Subject: x\r\n\r\nbody\r\n")));
	assert_true(str_equal(m.u.job.envelope.sender, STR("a@x.test")));
	assert_int_equal(m.u.job.row_count, 1);
	settle(&w, &m, 1, SMTP_ACCEPTED, "250 ok");
	assert_int_equal(queued(&w), 0);
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, session, false, false);
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_EMPTY, 0);
	world_fini(&w);
}

static void
test_partial_release_leaves_the_rest(void **state)
{
	struct world w;
	struct message m;

	world_init(&w);
	intake_one(&w, "a@x.test", "u@ship7.test");
	intake_one(&w, "a@x.test", "u@b.test");
	trigger(&w, "ship7", "b.test", MESSAGE_TRIGGER_STARTED, 1);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_true(
	    str_equal(m.u.job.rows[0].recipient.address, STR("u@b.test")));
	settle(&w, &m, 1, SMTP_ACCEPTED, "250 ok");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, m.u.job_none.session, false, false);
	assert_int_equal(queued(&w), 1);
	world_fini(&w);
}

static void
test_each_recipient_has_its_own_fate(void **state)
{
	static const char *recipients[] = {
	    "one@away.test", "two@away.test", "three@away.test", NULL};
	struct world w;
	struct message m, result = {.type = MESSAGE_JOB_RESULT};
	struct message_job_result results[3];
	uint64_t now_ms;

	world_init(&w);
	assert_int_equal(
	    intake(&w, "a@x.test", recipients, STR("S: x\r\n\r\nb\r\n")), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, 3);
	for (size_t i = 0; i < 3; i++)
		results[i] = (struct message_job_result){
		    .index = m.u.job.rows[i].index,
		    .verdict = (enum smtp_verdict)i,
		    .status = STR("5.1.1"),
		    .answer = STR("550 5.1.1 no such user"),
		};
	result.u.job_result.session = m.u.job.session;
	result.u.job_result.lease = m.u.job.lease;
	result.u.job_result.results = results;
	result.u.job_result.result_count = 3;
	give(&w, DELIVER, &result);
	/* The deferred one and the notification. */
	assert_int_equal(queued(&w), 2);
	/* The notification goes to the sender at once, from nobody. */
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_int_equal(m.u.session_start.kind, CONF_ROUTE_MX);
	assert_true(str_equal(m.u.session_start.host, STR("x.test")));
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.envelope.sender.size, 0);
	assert_non_null(memmem(
	    m.u.job.content.data, m.u.job.content.size, "three@away.test", 15));
	assert_null(memmem(
	    m.u.job.content.data, m.u.job.content.size, "one@away.test", 13));
	/* A notification that is refused ends in a log line. */
	settle(&w, &m, 1, SMTP_PERMANENT, "550 no");
	assert_int_equal(queued(&w), 1);
	assert_int_equal(((struct queue *)w.role)->bounces_lost_count, 1);
	/* The deferred one is due after retry-min, not before. */
	now_ms = w.f.now_ms;
	fake_timer(&w.f, now_ms + 59999);
	pump(&w);
	expect_none(&w, DELIVER, MESSAGE_JOB);
	fake_timer(&w.f, now_ms + 60000);
	pump(&w);
	next(&w, result.u.job_result.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, 1);
	assert_true(
	    str_equal(m.u.job.rows[0].recipient.address, STR("two@away.test")));
	world_fini(&w);
}

static void
test_deferred_too_long_is_returned(void **state)
{
	struct world w;
	struct message m;
	uint64_t now_ms;

	world_init(&w);
	intake_one(&w, "", "one@away.test");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	now_ms = w.f.now_ms + 7200000;
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	/* What is being delivered is left alone when its time comes. */
	while (w.f.wake_ms < now_ms) {
		fake_timer(&w.f, w.f.wake_ms);
		pump(&w);
	}
	fake_timer(&w.f, now_ms);
	pump(&w);
	assert_int_equal(queued(&w), 1);
	settle(&w, &m, 1, SMTP_TEMPORARY, "451 later");
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
test_dead_host_touches_no_message(void **state)
{
	struct world w;
	struct message m;

	world_init(&w);
	intake_one(&w, "a@x.test", "one@away.test");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	end_session(&w, m.u.session_start.session, true, false);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	fake_timer(&w.f, w.f.now_ms + 60000);
	pump(&w);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_int_equal(queued(&w), 1);
	world_fini(&w);
}

/* A session that took all there was and broke: it is all tried again. */
static void
test_what_a_broken_session_held_is_tried_again(void **state)
{
	static const char *const recipients[] = {"u@away.test", "u@ship7.test"};

	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct message m;
		uint32_t session;

		world_init(&w);
		intake_one(&w, "", recipients[i]);
		if (i == 1)
			trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
		expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
		session = m.u.session_start.session;
		next(&w, session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		next(&w, session, 1);
		expect_none(&w, DELIVER, MESSAGE_JOB_NONE);
		end_session(&w, session, true, false);
		fake_timer(&w.f, w.f.now_ms + 60000);
		pump(&w);
		expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
		next(&w, m.u.session_start.session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		world_fini(&w);
	}
}

static void
test_many_recipients_at_one_destination(void **state)
{
	static char text[250][24];
	const char *recipients[251] = {NULL};
	struct world w;
	struct message m;
	size_t seen = 0;
	uint32_t session;

	for (size_t i = 0; i < 250; i++) {
		snprintf(text[i], sizeof(text[i]), "u%zu@away.test", i);
		recipients[i] = text[i];
	}
	world_init(&w);
	assert_int_equal(
	    intake(&w, "", recipients, STR("S: x\r\n\r\nb\r\n")), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	next(&w, session, 2);
	while (seen < 250) {
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		seen += m.u.job.row_count;
		settle(&w, &m, m.u.job.row_count, SMTP_ACCEPTED, "250 ok");
		next(&w, session, 1);
	}
	assert_int_equal(seen, 250);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
test_domain_that_takes_no_mail_is_returned(void **state)
{
	struct world w;
	struct message m;

	world_init(&w);
	for (int i = 0; i < 40; i++)
		intake_one(&w, "", "one@null.test");
	intake_one(&w, "a@ship7.test", "one@null.test");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	end_session(&w, m.u.session_start.session, false, true);
	/* All are gone but the one notification, held for ship7. */
	assert_int_equal(queued(&w), 1);
	assert_int_equal(((struct queue *)w.role)->bounces_lost_count, 40);
	world_fini(&w);
}

static void
test_lost_deliver_returns_its_leases(void **state)
{
	struct world w;
	struct message m;

	world_init(&w);
	intake_one(&w, "a@x.test", "one@away.test");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	fake_peer_down(&w.f, DELIVER);
	pump(&w);
	assert_int_equal(queued(&w), 1);
	fake_peer_up(&w.f, &role_queue_ops, w.role, 99, ROLE_DELIVER);
	fake_timer(&w.f, w.f.now_ms + 61000);
	pump(&w);
	expect(&w, 99, MESSAGE_SESSION_START, &m);
	world_fini(&w);
}

static void
test_large_content_is_staged_and_read_in_blocks(void **state)
{
	static char content[3 * 1048576];
	const char *recipients[] = {"one@away.test", NULL};
	struct world w;
	struct message m, want = {.type = MESSAGE_BLOCK_WANT};
	uint64_t seen = 0;

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = i % 64 == 62   ? '\r'
		             : i % 64 == 63 ? '\n'
		                            : (char)('a' + i % 26);
	world_init(&w);
	assert_int_equal(
	    intake(&w, "", recipients, str_of(content, sizeof(content))), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.content.size, 0);
	assert_int_equal(m.u.job.content_size, sizeof(content));
	want.u.block_want.session = m.u.job.session;
	want.u.block_want.lease = m.u.job.lease;
	while (seen < sizeof(content)) {
		want.u.block_want.index = seen / STORE_BLOCK;
		give(&w, DELIVER, &want);
		expect(&w, DELIVER, MESSAGE_BLOCK, &m);
		assert_false(m.u.block.is_damaged);
		assert_int_equal(m.u.block.crc32c, crc32c(0, m.u.block.bytes));
		assert_memory_equal(
		    m.u.block.bytes.data, content + seen, m.u.block.bytes.size);
		seen += m.u.block.bytes.size;
	}
	assert_int_equal(seen, sizeof(content));
	assert_int_equal(((struct queue *)w.role)->staged_bytes, 0);
	world_fini(&w);
}

static void
test_vanished_senders_leave_nothing(void **state)
{
	struct world w;
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	world_init(&w);
	m.u.intake_open.transaction = 1;
	m.u.intake_open.id = STR("ID000001");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_ABORT};
	m.u.intake_abort.transaction = 1;
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_OPEN};
	m.u.intake_open.transaction = 2;
	m.u.intake_open.id = STR("ID000002");
	give(&w, RECEIVE, &m);
	fake_peer_down(&w.f, RECEIVE);
	assert_null(((struct queue *)w.role)->intakes);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
test_commit_that_does_not_add_up_closes_the_peer(void **state)
{
	struct world w;
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	world_init(&w);
	m.u.intake_open.transaction = 1;
	m.u.intake_open.id = STR("ID000001");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = 1;
	m.u.intake_commit.content_size = 1;
	assert_int_equal(fake_frame(&w.f, RECEIVE, &m), -EPROTO);
	fake_peer_down(&w.f, RECEIVE);
	world_fini(&w);
}

static void
test_hold_free_delete(void **state)
{
	struct world w;
	struct message m;
	static const enum store_change changes[] = {
	    STORE_CHANGE_HOLD, STORE_CHANGE_FREE, STORE_CHANGE_DELETE};

	world_init(&w);
	for (int i = 0; i < 3; i++)
		intake_one(&w, "a@x.test", "u@ship7.test");
	for (size_t i = 0; i < 3; i++) {
		m = (struct message){.type = MESSAGE_CHANGE};
		m.u.change.request = 9;
		m.u.change.filter.destination = STR("site:ship7");
		m.u.change.change = changes[i];
		give(&w, CONTROL, &m);
		expect(&w, CONTROL, MESSAGE_CHANGE_DONE, &m);
		assert_int_equal(m.u.change_done.changed_count, 3);
		if (changes[i] == STORE_CHANGE_HOLD)
			trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_EMPTY, 0);
	}
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_reply_before_the_store_answers),
	    cmocka_unit_test(test_held_until_asked),
	    cmocka_unit_test(test_partial_release_leaves_the_rest),
	    cmocka_unit_test(test_each_recipient_has_its_own_fate),
	    cmocka_unit_test(test_deferred_too_long_is_returned),
	    cmocka_unit_test(test_dead_host_touches_no_message),
	    cmocka_unit_test(test_what_a_broken_session_held_is_tried_again),
	    cmocka_unit_test(test_many_recipients_at_one_destination),
	    cmocka_unit_test(test_domain_that_takes_no_mail_is_returned),
	    cmocka_unit_test(test_lost_deliver_returns_its_leases),
	    cmocka_unit_test(test_large_content_is_staged_and_read_in_blocks),
	    cmocka_unit_test(test_vanished_senders_leave_nothing),
	    cmocka_unit_test(test_commit_that_does_not_add_up_closes_the_peer),
	    cmocka_unit_test(test_hold_free_delete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
