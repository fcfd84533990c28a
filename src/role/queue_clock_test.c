/*
 * The queue role's time: a wall clock that jumps changes nothing while the role
 * runs, and a stop counts only where the clock says something likely of it.
 */
#include "role/queue_kit.h"

#define HOUR_MS (UINT64_C(3600) * 1000)
#define DAY_MS  (24 * HOUR_MS)
#define YEAR_MS (365 * DAY_MS)

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "retry-min = \"1h\"\n"
    "retry-max = \"1h\"\n"
    "expire = \"40d\"\n"
    "relay-from = [ \"127.0.0.0/8\" ]\n"
    "route = ( { domain = \"*\", to = \"smtp://127.0.0.9:25\" } )\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\",\n"
    "  from = [ \"127.0.0.0/8\" ] } )\n";

/* What the role says that its time is. */
static uint64_t
queue_ms(struct world *w)
{
	struct message m = {.type = MESSAGE_LIST};

	m.u.list.request = 6;
	m.u.list.count = 1;
	give(w, CONTROL, &m);
	expect(w, CONTROL, MESSAGE_LIST_END, &m);
	return m.u.list_end.queue_ms;
}

/* What the role has logged of its clocks; the model engine keeps nothing over
   a stop. */
static struct store_info logged;

/* As pump(), and looks at the clocks. */
static void
pump_clock(struct world *w)
{
	struct store_request *request;

	while ((request = fake_take_request(&w->f)) != NULL) {
		if (request->verb == STORE_CLOCK) {
			logged.queue_ms = request->u.clock.queue_ms;
			logged.wall_ms = request->u.clock.wall_ms;
		}
		w->store->ops->batch(w->store, &request, 1);
		role_queue_ops.stored(w->role, w->f.now_ms, request);
	}
}

/* Time passes for the role, and the wall clock jumps at the end of it. */
static void
wait_and_jump(struct world *w, uint64_t wait_ms, uint64_t wall_ms)
{
	fake_timer(&w->f, w->f.now_ms + wait_ms);
	pump_clock(w);
	w->f.wall_ms = wall_ms;
}

/* Whether the one message at away.test is offered to a session now; its
   recipient gets VERDICT. */
static bool
try_away(struct world *w, enum smtp_verdict verdict)
{
	struct message m;
	uint32_t session = 0;

	while (session == 0 && fake_take_frame(&w->f, DELIVER, &m))
		if (m.type == MESSAGE_SESSION_START)
			session = m.u.session_start.session;
	if (session == 0)
		return false;
	next(w, session, 2);
	expect(w, DELIVER, MESSAGE_JOB, &m);
	settle(w, &m, 1, verdict, "450 4.2.0 later");
	expect(w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(w, session, false, false);
	return true;
}

/* The role ends and another begins over the same store, on a machine that has
   just been started. */
static void
restart(struct world *w, uint64_t wall_ms)
{
	struct store_info info;

	role_queue_free(w->role);
	fake_fini(&w->f);
	fake_init(&w->f, ROLE_QUEUE);
	w->f.now_ms = 77;
	w->f.wall_ms = wall_ms;
	w->store->ops->info(w->store, &info);
	info.queue_ms = logged.queue_ms;
	info.wall_ms = logged.wall_ms;
	w->role = role_queue_new(&w->f.env, w->conf, &info, w->f.now_ms);
	pump(w);
	fake_peer_up(&w->f, &role_queue_ops, w->role, RECEIVE, ROLE_RECEIVE);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	pump(w);
}

static void
test_jumps_while_it_runs(void **state)
{
	static const uint64_t walls[] = {UINT64_C(1700000000000) + 10 * YEAR_MS,
	    UINT64_C(1700000000000) - 20 * YEAR_MS, 0, 5000, 9000 * YEAR_MS,
	    UINT64_C(1700000000000)};
	struct world w;
	uint64_t begin_ms;

	world_open(&w, config);
	begin_ms = queue_ms(&w) - w.f.now_ms;
	assert_int_equal(intake_one(&w, "a@x.test", "u@ship7.test"), 250);
	assert_int_equal(intake_one(&w, "", "u@away.test"), 250);
	for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		assert_true(try_away(&w, SMTP_TEMPORARY));
		/* Not a moment before, whatever the wall says. */
		wait_and_jump(&w, HOUR_MS - 1, walls[i]);
		assert_false(try_away(&w, SMTP_TEMPORARY));
		assert_int_equal(queued(&w), 2);
		wait_and_jump(&w, 1, walls[i]);
		assert_int_equal(queue_ms(&w) - w.f.now_ms, begin_ms);
	}
	/* And it does expire when its time is over: what has no sender is
	   lost, of the other a notification is left. */
	wait_and_jump(&w, 40 * DAY_MS, 0);
	assert_int_equal(queued(&w), 1);
	assert_true(try_away(&w, SMTP_ACCEPTED));
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* Queue time over a stop. */
static void
test_stops(void **state)
{
	static const uint64_t day_0 = 20000 * DAY_MS;
	static const struct {
		uint64_t before_ms, after_ms, counted_ms;
	} cases[] = {
	    {day_0, day_0, 0},
	    {day_0, day_0 + 1, 1},
	    {day_0, day_0 + HOUR_MS, HOUR_MS},
	    {day_0, day_0 + 30 * DAY_MS, 30 * DAY_MS},
	    {day_0, day_0 + 30 * DAY_MS + 1, 0},
	    {day_0, day_0 + 10 * YEAR_MS, 0},
	    {day_0, day_0 - 1, 0},
	    {day_0, day_0 - 10 * YEAR_MS, 0},
	    {day_0, 0, 0},
	    {day_0, 60, 0},
	    {60, day_0, 0},
	    {0, day_0, 0},
	    {0, 0, 0},
	    {5000, 3000, 0},
	    {5000, 9000, 4000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		uint64_t before_ms;

		world_open(&w, config);
		intake_one(&w, "a@x.test", "u@ship7.test");
		/* It is logged at the next minute. */
		w.f.wall_ms = cases[i].before_ms - 60000;
		wait_and_jump(&w, 60000, cases[i].before_ms);
		before_ms = queue_ms(&w);
		restart(&w, cases[i].after_ms);
		if (queue_ms(&w) != before_ms + cases[i].counted_ms)
			fail_msg("case %zu: %lld", i,
			    (long long)(queue_ms(&w) - before_ms));
		assert_int_equal(queued(&w), 1);
		trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
		world_fini(&w);
	}
}

/* A board without a clock: each start is in 1970, one has the time from the
   network in the middle of it. */
static void
test_board_that_starts_in_1970(void **state)
{
	struct world w;
	uint64_t last_ms = 0;

	world_open(&w, config);
	restart(&w, 3);
	assert_int_equal(intake_one(&w, "a@x.test", "u@ship7.test"), 250);
	for (int i = 0; i < 20; i++) {
		wait_and_jump(&w, 2 * HOUR_MS,
		    i % 3 == 1 ? UINT64_C(1700000000000) : w.f.wall_ms);
		wait_and_jump(&w, 2 * HOUR_MS, w.f.wall_ms);
		assert_true(queue_ms(&w) >= last_ms + 4 * HOUR_MS);
		assert_true(
		    last_ms == 0 || queue_ms(&w) <= last_ms + 8 * HOUR_MS);
		last_ms = queue_ms(&w);
		assert_int_equal(queued(&w), 1);
		restart(&w, (uint64_t)i);
	}
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_jumps_while_it_runs),
	    cmocka_unit_test(test_stops),
	    cmocka_unit_test(test_board_that_starts_in_1970),
	};

	return cmocka_run_group_tests_name("queue_clock", tests, NULL, NULL);
}
