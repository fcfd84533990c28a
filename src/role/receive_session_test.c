/*
 * Sessions of the receive role: how many, how long, triggers, the end.
 */
#include "role/receive_kit.h"

static void
test_connections_max(void **state)
{
	role_conn conns[3], fourth;

	for (int i = 0; i < 3; i++)
		conns[i] = come("192.0.2.50");
	fourth = come("192.0.2.50");
	say(fourth, "",
	    "421 4.3.2 holder.test Too many connections, try later\r\n");
	assert_false(fake_is_open(&f, fourth));
	assert_true(fake_is_open(&f, conns[2]));
	fake_close(&f, conns[0], 0);
	assert_true(fake_is_open(&f, come("192.0.2.50")));
}

static void
test_idle(void **state)
{
	role_conn early = come_greeted("192.0.2.50");
	role_conn late = come_greeted("192.0.2.51");
	uint64_t idle_ms = conf->idle_timeout_ms, number;
	role_conn in_content;

	assert_int_equal(f.wake_ms, 1000 + idle_ms);
	fake_timer(&f, 2000);
	say(late, "NOOP\r\n", "250 2.0.0 Done\r\n");
	in_content = come_to_data(&number);
	fake_timer(&f, 1000 + idle_ms - 1);
	say(early, "", "");
	fake_timer(&f, 1000 + idle_ms);
	say(early, "", "421 4.4.2 holder.test Timeout waiting for input\r\n");
	assert_false(fake_is_open(&f, early));
	assert_true(fake_is_open(&f, late));
	assert_true(was_logged("timeout waiting for input from 192.0.2.50 "
			       "during command"));
	expect_no_frame();
	fake_timer(&f, 2000 + idle_ms);
	assert_false(fake_is_open(&f, late));
	say(in_content, "",
	    "421 4.4.2 holder.test Timeout waiting for input\r\n");
	expect_frame(MESSAGE_INTAKE_ABORT);
	assert_true(was_logged("during content"));
	assert_int_equal(f.wake_ms, UINT64_MAX);
}

/* Who waits for the store is not idle. */
static void
test_no_idle_in_commit(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);

	assert_true(RECEIVE_STORE_MS > conf->idle_timeout_ms);
	say(conn, "x\r\n.\r\n", "");
	assert_int_equal(f.wake_ms, f.now_ms + RECEIVE_STORE_MS);
	fake_timer(&f, f.now_ms + RECEIVE_STORE_MS - 1);
	assert_true(fake_is_open(&f, conn));
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "", "250 2.0.0 Ok\r\n");
	assert_int_equal(f.wake_ms, f.now_ms + conf->idle_timeout_ms);
}

/* A client that does not read is not served on. */
static void
test_unread(void **state)
{
	role_conn conn = come_greeted("192.0.2.50");

	fake_conn(&f, conn)->unsent = RECEIVE_UNSENT_MAX + 1;
	say(conn, "NOOP\r\n", "");
	fake_conn(&f, conn)->unsent = 0;
	role_receive_ops.drained(role, f.now_ms, conn);
	fake_run(&f);
	say(conn, "", "250 2.0.0 Done\r\n");
	/* Many commands at once: all are answered. */
	for (int i = 0; i < 3000; i++)
		assert_int_equal(
		    buf_append(&fake_conn(&f, conn)->input, STR("NOOP\r\n")),
		    0);
	fake_input(&f, conn, STR("NOOP\r\n"));
	assert_int_equal(buf_size(&fake_conn(&f, conn)->input), 0);
	assert_int_equal(buf_size(&fake_conn(&f, conn)->output),
	    3001 * strlen("250 2.0.0 Done\r\n"));
	fake_conn(&f, conn)->unsent = 0;
}

static void
trigger_done(
    uint64_t request, enum message_trigger_result result, uint64_t count)
{
	struct message m = {.type = MESSAGE_TRIGGER_DONE,
	    .u.trigger_done = {request, result, count}};

	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	fake_run(&f);
}

static void
test_trigger(void **state)
{
	static const struct {
		enum message_trigger_result result;
		uint64_t count;
		const char *answer, *log;
	} cases[] = {
	    {MESSAGE_TRIGGER_STARTED, 3,
		"253 2.0.0 OK, 3 pending messages for node ship.test "
		"started\r\n",
		"trigger - site=ship kind=ETRN result=started count=3 "
		"peer=192.0.2.1"},
	    {MESSAGE_TRIGGER_ACTIVE, 3,
		"252 2.0.0 OK, pending messages for node ship.test "
		"started\r\n",
		"result=active"},
	    {MESSAGE_TRIGGER_EMPTY, 0,
		"250 2.0.0 OK, queuing for node ship.test started\r\n",
		"result=empty"},
	    {MESSAGE_TRIGGER_BUSY, 0,
		"458 4.3.2 Unable to queue messages for node ship.test\r\n",
		"result=busy"},
	    {MESSAGE_TRIGGER_UNKNOWN, 0,
		"458 4.3.2 Unable to queue messages for node ship.test\r\n",
		"result=busy"},
	};
	role_conn conn = come("192.0.2.1");

	fake_take_text(&f, conn, said, sizeof(said));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message m;

		/* Without a greeting, and with bytes behind it. */
		say(conn, "etrn ship.test\nNOOP\n", "");
		m = expect_frame(MESSAGE_TRIGGER);
		assert_true(str_equal(m.u.trigger.site, STR("ship")));
		assert_int_equal(m.u.trigger.domain_count, 0);
		/* A late answer to an earlier one. */
		trigger_done(
		    m.u.trigger.request - 1, MESSAGE_TRIGGER_STARTED, 9);
		say(conn, "", "");
		trigger_done(
		    m.u.trigger.request, cases[i].result, cases[i].count);
		fake_take_text(&f, conn, said, sizeof(said));
		assert_int_equal(
		    strncmp(said, cases[i].answer, strlen(cases[i].answer)), 0);
		assert_string_equal(
		    said + strlen(cases[i].answer), "250 2.0.0 Done\r\n");
		assert_true(was_logged(cases[i].log));
	}
}

/* Unknown and not theirs: the same words, and no frame. */
static void
test_trigger_refused(void **state)
{
	role_conn conn = come_greeted("192.0.2.77");

	say(conn, "ETRN ship.test\r\n",
	    "459 4.7.1 <ship.test>: service unavailable\r\n");
	say(conn, "ETRN shop.test\r\n",
	    "459 4.7.1 <shop.test>: service unavailable\r\n");
	say(conn, "QSND ship\r\n",
	    "501 5.5.4 Parameter must be a domain name\r\n");
	say(conn, "QSND @ship.test\r\n",
	    "501 5.5.4 Parameter must be a domain name\r\n");
	say(conn, "ETRN #ship\r\n",
	    "459 4.7.1 <#ship>: service unavailable\r\n");
	expect_no_frame();
	assert_true(
	    was_logged("trigger - site=- kind=ETRN result=refused count=0"));
}

/* Two sites in one: one after the other, and the counts added. */
static void
test_trigger_sites(void **state)
{
	role_conn conn = come_greeted("192.0.2.1");
	struct message m;

	say(conn, "ETRN @pair.test\r\n", "");
	m = expect_frame(MESSAGE_TRIGGER);
	assert_true(str_equal(m.u.trigger.site, STR("north")));
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_EMPTY, 0);
	say(conn, "", "");
	m = expect_frame(MESSAGE_TRIGGER);
	assert_true(str_equal(m.u.trigger.site, STR("south")));
	assert_int_equal(m.u.trigger.domain_count, 1);
	assert_true(str_equal(m.u.trigger.domains[0], STR("s.pair.test")));
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_STARTED, 4);
	say(conn, "",
	    "253 2.0.0 OK, 4 pending messages for node @pair.test started\r\n");

	say(conn, "ETRN @pair.test\r\n", "");
	m = expect_frame(MESSAGE_TRIGGER);
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_STARTED, 2);
	m = expect_frame(MESSAGE_TRIGGER);
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_STARTED, 4);
	say(conn, "",
	    "253 2.0.0 OK, 6 pending messages for node @pair.test started\r\n");
}

#define BUSY "458 4.3.2 Unable to queue messages for node ship.test\r\n"

/* No answer in time, no queue, a queue that dies, a client that does. */
static void
test_trigger_lost(void **state)
{
	role_conn conn = come_greeted("192.0.2.1");
	struct message m;

	say(conn, "ETRN ship.test\r\n", "");
	m = expect_frame(MESSAGE_TRIGGER);
	fake_timer(&f, f.now_ms + RECEIVE_TRIGGER_MS);
	say(conn, "", BUSY);
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_STARTED, 1);
	say(conn, "NOOP\r\n", "250 2.0.0 Done\r\n");

	say(conn, "QSND ship.test\r\n", "");
	m = expect_frame(MESSAGE_TRIGGER);
	fake_close(&f, conn, 0);
	trigger_done(m.u.trigger.request, MESSAGE_TRIGGER_STARTED, 1);

	conn = come_greeted("192.0.2.1");
	say(conn, "QSND ship.test\r\n", "");
	fake_peer_down(&f, QUEUE);
	say(conn, "", BUSY);
	say(conn, "ETRN ship.test\r\n", BUSY);
	assert_true(was_logged("kind=QSND result=busy"));
}

static void
test_shutdown(void **state)
{
	role_conn idle = come_greeted("192.0.2.50");
	uint64_t number;
	role_conn in_commit = come_to_data(&number);

	say(in_commit, "x\r\n.\r\n", "");
	role_receive_ops.shutdown(role, f.now_ms);
	assert_false(f.is_listening);
	say(idle, "", "421 4.3.2 holder.test Shutting down\r\n");
	assert_false(fake_is_open(&f, idle));
	assert_false(f.is_stopped);
	say(come("192.0.2.50"), "", "421 4.3.2 holder.test Shutting down\r\n");
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(in_commit, "",
	    "250 2.0.0 Ok\r\n421 4.3.2 holder.test Shutting down\r\n");
	assert_true(f.is_stopped);
}

/* A message in the middle of its content is taken to its end. */
static void
test_shutdown_in_content(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);

	say(conn, "x\r\n", "");
	role_receive_ops.shutdown(role, f.now_ms);
	say(conn, "y\r\n.\r\nNOOP\r\n", "");
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_false(f.is_stopped);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "",
	    "250 2.0.0 Ok\r\n421 4.3.2 holder.test Shutting down\r\n");
	assert_false(fake_is_open(&f, conn));
	assert_true(f.is_stopped);
	expect_no_frame();
}

/* Who is still within content hears 421; who waits for the store hears
   nothing, since nobody knows. */
static void
test_shutdown_late(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);
	role_conn in_commit = come_to_data(&number);

	say(in_commit, "x\r\n.\r\n", "");
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	role_receive_ops.shutdown(role, f.now_ms);
	say(conn, "x\r\n", "");
	fake_timer(&f, f.now_ms + RECEIVE_SHUTDOWN_MS - 1);
	assert_false(f.is_stopped);
	fake_timer(&f, f.now_ms + 1);
	assert_true(f.is_stopped);
	say(conn, "", "421 4.3.2 holder.test Shutting down\r\n");
	assert_false(fake_is_open(&f, conn));
	say(in_commit, "", "");
	assert_false(fake_is_open(&f, in_commit));
	expect_frame(MESSAGE_INTAKE_ABORT);
	expect_no_frame();
	assert_true(was_logged("note disconnect - peer=192.0.2.50 "
			       "reason=\"Shutting down\" during=content"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_connections_max),
	    TEST(test_idle),
	    TEST(test_no_idle_in_commit),
	    TEST(test_unread),
	    TEST(test_trigger),
	    TEST(test_trigger_refused),
	    TEST(test_trigger_sites),
	    TEST(test_trigger_lost),
	    TEST(test_shutdown),
	    TEST(test_shutdown_in_content),
	    TEST(test_shutdown_late),
	};

	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
