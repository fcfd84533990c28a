/* Whole SMTP sessions: jobs, blocks, lost connections, time. */
#include "role/deliver_kit.h"

#define FAR 1 /* the first connection */

static const struct kit_job jobs_one[] = {
    {"m1", {"a@far.test"}, 640, .is_inline = true},
    {NULL},
};

static void
test_one_job(void **state)
{
	struct world *w = world_new(NULL, NULL, jobs_one);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run(w);
	assert_log(
	    w, "m1 0 accepted 2.0.0 250 2.0.0 taken\nend 1 good 2.0.0 \n");
	assert_string_equal(world_said(w, FAR),
	    "EHLO here.test|MAIL From:<from@here.test>|RCPT To:<a@far.test>|"
	    "DATA|QUIT|");
	assert_true(kit_is_content(buf_str(&world_server(w, FAR)->body), 640));
	assert_true(w->f.conns[0].is_closed);
	assert_true(w->f.wake_ms == UINT64_MAX);
	assert_int_equal(w->f.conns[0].address.port, 25);
	world_free(w);
}

/* Who answered is told, and whether it will tell of success itself. */
static void
test_result_says_who(void **state)
{
	static const struct kit_far fars[] = {{"any", .is_dsn = true}, {NULL}};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_new(i ? fars : NULL, NULL, jobs_one);

		world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
		world_run(w);
		assert_string_equal(w->result_host, "[192.0.2.1]");
		assert_int_equal(w->is_relayed, i == 0);
		world_free(w);
	}
}

static void
test_recipients(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test", "no@far.test", "later@far.test"}, 64,
		.is_inline = true},
	    {NULL},
	};
	struct world *w = world_new(NULL, NULL, jobs);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w, "m1 0 accepted 2.0.0 250 2.0.0 taken\n"
		      "m1 2 permanent 5.1.1 550 5.1.1 no such user\n"
		      "m1 4 temporary 4.2.1 450 4.2.1 later\n"
		      "end 1 good 2.0.0 \n");
	world_free(w);
}

/* More jobs than the window over one connection, with and without PIPELINING,
   with a fast and a slow network. */
static void
test_many_jobs(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 64, .is_inline = true},
	    {"m2", {"no@far.test"}, 64, .is_inline = true},
	    {"m3", {"a@far.test"}, 0, .is_inline = true},
	    {"m4", {"a@far.test"}, STORE_BLOCK, .is_inline = true},
	    {"m5", {"a@far.test"}, 3 * STORE_BLOCK + 64},
	    {NULL},
	};
	static const struct kit_far fars[] = {
	    {"any", .is_plain = true}, {NULL}};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct world *w = world_new(i & 1 ? fars : NULL, NULL, jobs);

		w->chunk_size = i & 2 ? 777 : 1 << 20;
		world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
		world_run(w);
		assert_log(w, "m1 0 accepted 2.0.0 250 2.0.0 taken\n"
			      "m2 0 permanent 5.1.1 550 5.1.1 no such user\n"
			      "m3 0 accepted 2.0.0 250 2.0.0 taken\n"
			      "m4 0 accepted 2.0.0 250 2.0.0 taken\n"
			      "m5 0 accepted 2.0.0 250 2.0.0 taken\n"
			      "end 1 good 2.0.0 \n");
		assert_true(kit_is_content(buf_str(&world_server(w, FAR)->body),
		    3 * STORE_BLOCK + 64));
		world_free(w);
	}
}

/* The second message is here before the first is done. */
static void
test_window(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 64, .is_inline = true},
	    {"m2", {"a@far.test"}, 64, .is_inline = true},
	    {"m3", {"a@far.test"}, 64, .is_inline = true},
	    {NULL},
	};
	static const struct kit_far fars[] = {{"any", "dot", ""}, {NULL}};
	struct world *w = world_new(fars, NULL, jobs);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run(w);
	assert_int_equal(w->lease_count, 2);
	assert_int_equal(w->wanted[1], 0);
	/* The queue role says nothing now: the next one is begun at once. */
	w->is_queue_slow = true;
	world_server(w, FAR)->is_stuck = false;
	fake_input(&w->f, FAR, STR("250 2.0.0 taken\r\n"));
	world_run(w);
	assert_int_equal(world_server(w, FAR)->dot_count, 2);
	w->is_queue_slow = false;
	world_run(w);
	assert_int_equal(w->lease_count, 2);
	assert_log(w, "m1 0 accepted 2.0.0 250 2.0.0 taken\n");
	world_free(w);
}

static void
test_large(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 2 << 20},
	    {NULL},
	};
	struct world *w = world_new(NULL, NULL, jobs);

	(void)state;
	w->chunk_size = 50000;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run(w);
	assert_log(
	    w, "m1 0 accepted 2.0.0 250 2.0.0 taken\nend 1 good 2.0.0 \n");
	assert_true(
	    kit_is_content(buf_str(&world_server(w, FAR)->body), 2 << 20));
	world_free(w);
}

/* Nothing is asked for that cannot be put somewhere. */
static void
test_bounded(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 2 << 20},
	    {NULL},
	};
	struct world *w = world_new(NULL, NULL, jobs);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	for (int i = 0; i < 200 && !world_server(w, FAR)->is_data; i++) {
		kit_serve(w, &w->f.conns[0]);
		kit_queue(w);
	}
	w->is_net_stuck = true;
	world_run(w);
	assert_true(buf_size(&w->f.conns[0].output) <= 2 * 65536);
	/* A network that takes nothing is given up after the block timer. */
	world_run_time(w, w->f.now_ms + w->conf.block_timeout_ms + 1);
	assert_log(w, "m1 0 temporary 4.4.2 timed out waiting for content\n"
		      "end 1 failed 4.4.2 [192.0.2.1], awaiting content: "
		      "timed out waiting for content\n");
	assert_true(w->f.conns[0].is_aborted);
	world_free(w);
}

/* A slow line moves something each time and is not given up. */
static void
test_slow(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 4 * STORE_BLOCK, .time_ms = 1 << 30},
	    {NULL},
	};
	struct world *w = world_new(NULL, NULL, jobs);

	(void)state;
	w->chunk_size = 5000;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	for (int i = 0; i < 1000 && w->end_count == 0; i++) {
		kit_serve(w, &w->f.conns[0]);
		kit_queue(w);
		if (world_server(w, FAR)->is_data)
			fake_timer(&w->f, w->f.now_ms + 100000);
	}
	assert_log(
	    w, "m1 0 accepted 2.0.0 250 2.0.0 taken\nend 1 good 2.0.0 \n");
	world_free(w);
}

/* The network has taken all; the link is at work on it still, and each time
   the wait counts from its last sign of life. */
static void
test_link_at_work(void **state)
{
	static const struct kit_far fars[] = {{"any", "dot", ""}, {NULL}};
	struct world *w = world_new(fars, NULL, jobs_one);
	uint64_t given_ms;

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	for (int i = 0; i < 100 && world_server(w, FAR)->dot_count == 0; i++) {
		kit_serve(w, &w->f.conns[0]);
		kit_queue(w);
	}
	given_ms = w->f.now_ms;
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(w->end_count, 0);
		w->f.conns[0].acked += 100;
		w->f.conns[0].idle_ms = 50000;
		fake_timer(&w->f, w->f.wake_ms);
	}
	assert_int_equal(w->end_count, 0);
	assert_int_equal(
	    w->f.now_ms, given_ms + 5 * w->conf.dot_timeout_ms - 4 * 50000);
	fake_timer(&w->f, w->f.wake_ms);
	kit_queue(w);
	assert_int_equal(w->end_count, 1);
	assert_non_null(strstr(w->log, "timed out waiting for dot"));
	world_free(w);
}

static void
test_damaged(void **state)
{
	static const struct kit_job cases[][3] = {
	    {{"m1", {"a@far.test"}, 640, .bad_block = 1},
		{"m2", {"a@far.test"}, 64, .is_inline = true}},
	    {{"m1", {"a@far.test"}, 4 * STORE_BLOCK, .bad_block = 3},
		{"m2", {"a@far.test"}, 64, .is_inline = true}},
	    {{"m1", {"a@far.test"}, 4 * STORE_BLOCK, .bad_block = 4},
		{"m2", {"a@far.test"}, 64, .is_inline = true}},
	    {{"m1", {"a@far.test"}, 4 * STORE_BLOCK, .lost_block = 4},
		{"m2", {"a@far.test"}, 64, .is_inline = true}},
	    {{"m1", {"a@far.test"}, 4 * STORE_BLOCK, .short_block = 2},
		{"m2", {"a@far.test"}, 64, .is_inline = true}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new(NULL, NULL, cases[i]);

		world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
		world_run(w);
		assert_int_equal(world_server(w, FAR)->dot_count, 0);
		assert_true(w->f.conns[0].is_aborted);
		assert_non_null(strstr(w->log,
		    "m1 0 temporary 4.3.0 451 4.3.0 the content cannot be "
		    "read\nm2 0 untried "));
		assert_non_null(strstr(w->log, "end 1 good"));
		world_free(w);
	}
}

/* The connection is lost, or nothing is heard, at each point. */
static void
test_lost(void **state)
{
	static const struct {
		const char *at;
		bool is_failed;
	} cases[] = {
	    {"MAIL", true},
	    {"RCPT", true},
	    {"DATA", true},
	    {"content", true},
	    {"dot", true},
	};
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 2 * STORE_BLOCK},
	    {"m2", {"a@far.test"}, 64, .is_inline = true},
	    {NULL},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kit_far fars[] = {
		    {"any", cases[i / 2].at, i % 2 ? "" : NULL}, {NULL}};
		struct world *w = world_new(fars, NULL, jobs);
		char result[200], end[200];

		snprintf(result, sizeof(result),
		    i % 2 ? "m1 0 temporary 4.4.2 timed out waiting for %s\n"
			  : "m1 0 temporary 4.4.2 connection lost: Connection "
			    "reset by peer\n",
		    cases[i / 2].at);
		snprintf(end, sizeof(end),
		    "end 1 failed 4.4.2 [192.0.2.1], awaiting %s: ",
		    cases[i / 2].at);
		w->chunk_size = 4000;
		world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
		world_run_time(w, UINT64_MAX - 1);
		if (strcmp(cases[i / 2].at, "content") != 0 || i % 2 == 0)
			assert_true(
			    str_starts(str_from(w->log), str_from(result)));
		assert_non_null(strstr(w->log, "\nm2 0 untried "));
		if (strcmp(cases[i / 2].at, "content") != 0)
			assert_non_null(strstr(w->log, end));
		assert_int_equal(w->end_count, 1);
		assert_false(fake_is_open(&w->f, FAR));
		world_free(w);
	}
}

/* QUIT without a reply is no failure, and is not waited for long. */
static void
test_quit(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct kit_far fars[] = {
		    {"any", "QUIT", i ? "" : NULL}, {NULL}};
		struct world *w = world_new(fars, NULL, jobs_one);
		uint64_t start_ms = w->f.now_ms;

		world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
		world_run_time(w, UINT64_MAX - 1);
		assert_non_null(strstr(w->log, "end 1 good"));
		assert_true(w->f.now_ms <= start_ms + 10000);
		world_free(w);
	}
}

/* A reply that ends the session. */
static void
test_421(void **state)
{
	static const struct kit_far fars[] = {
	    {"any", "MAIL", "421 4.3.2 closing\r\n"}, {NULL}};
	struct world *w = world_new(fars, NULL, jobs_one);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w, "m1 0 temporary 4.3.2 421 4.3.2 closing\n"
		      "end 1 failed 4.3.2 421 4.3.2 closing\n");
	world_free(w);
}

/* No final dot after the lease: while blocks do not come, while the network
   does not take it; but one that is out is waited for. */
static void
test_lease(void **state)
{
	static const struct kit_job silent[] = {
	    {"m1", {"a@far.test"}, 640, .time_ms = 60000, .is_silent = true},
	    {NULL},
	};
	static const struct kit_job quick[] = {
	    {"m1", {"a@far.test"}, 640, .time_ms = 60000, .is_inline = true},
	    {"m2", {"a@far.test"}, 640, .time_ms = 60000, .is_inline = true},
	    {NULL},
	};
	static const struct kit_far slow[] = {{"any", "dot", ""}, {NULL}};
	struct world *w = world_new(NULL, NULL, silent);

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run_time(w, UINT64_MAX - 1);
	assert_non_null(
	    strstr(w->log, "m1 0 temporary 4.3.0 451 4.3.0 the time"));
	assert_non_null(strstr(w->log, "end 1 good"));
	assert_true(w->f.now_ms <= 61000 && w->f.conns[0].is_aborted);
	world_free(w);

	w = world_new(NULL, NULL, quick);
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	for (int i = 0; i < 200 && !world_server(w, FAR)->is_data; i++) {
		kit_serve(w, &w->f.conns[0]);
		kit_queue(w);
	}
	w->is_net_stuck = true;
	assert_true(buf_size(&w->f.conns[0].output) > 0);
	world_run_time(w, UINT64_MAX - 1);
	assert_non_null(
	    strstr(w->log, "m1 0 temporary 4.3.0 451 4.3.0 the time"));
	assert_true(w->f.now_ms <= 61000 && w->f.conns[0].is_aborted);
	world_free(w);

	w = world_new(slow, NULL, quick);
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	world_run_time(w, 100000);
	assert_log(w, "");
	world_server(w, FAR)->is_stuck = false;
	fake_input(&w->f, FAR, STR("250 2.0.0 taken\r\n"));
	world_run(w);
	/* The second one was never begun: its time is over. */
	assert_log(w, "m1 0 accepted 2.0.0 250 2.0.0 taken\n"
		      "m2 0 untried 4.3.2 not tried\nend 1 good 2.0.0 \n");
	world_free(w);
}

/* A block that comes too late, before the timer looks. */
static void
test_lease_block(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@far.test"}, 640, .time_ms = 60000},
	    {NULL},
	};
	struct world *w = world_new(NULL, NULL, jobs);
	struct message m;

	(void)state;
	world_start(w, 1, CONF_ROUTE_SMTP, "192.0.2.1");
	/* The queue role gives the message, and then no block. */
	while (kit_serve(w, &w->f.conns[0]))
		continue;
	assert_true(fake_take_frame(&w->f, KIT_QUEUE, &m));
	w->wanted[1] = m.u.session_next.want;
	w->is_queue_slow = true;
	kit_feed_session(w, 1);
	world_run(w);
	assert_true(world_server(w, FAR)->is_data);
	w->f.now_ms += 60000;
	w->is_queue_slow = false;
	world_run(w);
	assert_int_equal(world_server(w, FAR)->dot_count, 0);
	assert_non_null(
	    strstr(w->log, "m1 0 temporary 4.3.0 451 4.3.0 the time"));
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_job),
	    cmocka_unit_test(test_result_says_who),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_many_jobs),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_slow),
	    cmocka_unit_test(test_link_at_work),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_lost),
	    cmocka_unit_test(test_quit),
	    cmocka_unit_test(test_421),
	    cmocka_unit_test(test_lease),
	    cmocka_unit_test(test_lease_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
