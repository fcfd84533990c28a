/*
 * A release that was in progress when the queue role ended: it goes on if the
 * role was not away for long, and nothing else ever is released.
 */
#include "role/queue_kit.h"
#include "role/queue_release.h"

#define RELEASE_MS UINT64_C(600000)

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "release-time = \"10m\"\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\", \"b.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\" } )\n";

/* The same domains in another order. */
static const char other_config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "release-time = \"10m\"\n"
    "site = ( { name = \"ship7\", domains = [ \"b.test\", \"ship7.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\" } )\n";

/* Held no more. */
static const char free_config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "release-time = \"10m\"\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\", \"b.test\" ],\n"
    "  route = \"smtp://127.0.0.1:2526\" } )\n";

static const char tree_config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "release-time = \"10m\"\n"
    "site = ( { name = \"ship7\", domains = [ \"@b.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\" } )\n";

/* The role ends, and another begins over the same store AWAY_MS later. */
static void
restart(struct world *w, uint64_t away_ms)
{
	const struct queue *q = w->role;
	uint64_t wall_ms = w->f.wall_ms;
	struct store_info info;

	w->store->ops->info(w->store, &info);
	info.queue_ms = queue_time(q, w->f.now_ms);
	info.wall_ms = wall_ms;
	role_queue_ops.peer_down(w->role, w->f.now_ms, DELIVER);
	pump(w);
	role_queue_free(w->role);
	fake_fini(&w->f);
	fake_init(&w->f, ROLE_QUEUE);
	w->f.wall_ms = wall_ms + away_ms;
	w->role = role_queue_new(&w->f.env, w->conf, &info, w->f.now_ms);
	pump(w);
	fake_peer_up(&w->f, &role_queue_ops, w->role, RECEIVE, ROLE_RECEIVE);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	pump(w);
	/* It looked for them too early. */
	fake_timer(&w->f, w->f.now_ms + 10000);
	pump(w);
}

/* A session begins by itself and gets a message; its number. */
static uint32_t
expect_goes_on(struct world *w)
{
	struct message m;
	uint32_t session;

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	next(w, session, 1);
	expect(w, DELIVER, MESSAGE_JOB, &m);
	settle(w, &m, 1, SMTP_ACCEPTED, "250 ok");
	return session;
}

static void
test_goes_on(void **state)
{
	struct message m;
	struct world w;
	uint32_t session;

	world_open(&w, config);
	for (int i = 0; i < 4; i++)
		intake_one(&w, "a@x.test", "u@ship7.test");
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 4);
	expect_goes_on(&w);
	restart(&w, RELEASE_MS);
	expect_goes_on(&w);
	/* Once more, and to its end. */
	restart(&w, 0);
	expect_goes_on(&w);
	restart(&w, 0);
	session = expect_goes_on(&w);
	assert_int_equal(queued(&w), 0);
	next(&w, session, 1);
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, session, false, false);
	/* It is over, and what comes now is held. */
	intake_one(&w, "a@x.test", "u@ship7.test");
	restart(&w, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	world_fini(&w);
}

/* Too long away: whoever waited for it does so no more. */
static void
test_too_late(void **state)
{
	struct world w;

	world_open(&w, config);
	intake_one(&w, "a@x.test", "u@ship7.test");
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
	restart(&w, RELEASE_MS + 1);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	/* Nor does it come back. */
	restart(&w, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	assert_int_equal(queued(&w), 1);
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
	world_fini(&w);
}

/* Takes a message; it is for ADDRESS. */
static void
expect_for(struct world *w, const char *address)
{
	struct message m;
	uint32_t session;

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	next(w, session, 2);
	expect(w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, 1);
	assert_true(
	    str_equal(m.u.job.rows[0].recipient.address, str_from(address)));
	expect_none(w, DELIVER, MESSAGE_JOB);
}

/* A part of the site stays that part. */
static void
test_in_part(void **state)
{
	struct world w;

	world_open(&w, config);
	intake_one(&w, "a@x.test", "u@ship7.test");
	intake_one(&w, "a@x.test", "u@b.test");
	trigger(&w, "ship7", "b.test", MESSAGE_TRIGGER_STARTED, 1);
	restart(&w, 0);
	restart(&w, 0);
	expect_for(&w, "u@b.test");
	/* With another part it becomes both, and with all of it all. */
	trigger(&w, "ship7", "ship7.test", MESSAGE_TRIGGER_ACTIVE, 1);
	restart(&w, 0);
	assert_int_equal(((struct queue *)w.role)->released[0], 3);
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_ACTIVE, 2);
	restart(&w, 0);
	assert_int_equal(
	    ((struct queue *)w.role)->released[0], QUEUE_RELEASE_ALL);
	world_fini(&w);
}

/* Not of another list of domains, nor too late, nor what is no whole entry. */
static void
test_in_part_not(void **state)
{
	struct conf *conf;
	struct world w;

	for (int i = 0; i < 4; i++) {
		world_open(&w, i == 3 ? tree_config : config);
		intake_one(&w, "a@x.test", i == 3 ? "u@c.b.test" : "u@b.test");
		trigger(&w, "ship7", i == 3 ? "c.b.test" : "b.test",
		    MESSAGE_TRIGGER_STARTED, 1);
		conf = w.conf;
		if (i > 0 && i < 3)
			w.conf =
			    read_config(i == 1 ? other_config : free_config);
		restart(&w, i == 0 ? RELEASE_MS + 1 : 0);
		if (i == 2)
			expect_for(&w, "u@b.test");
		else
			expect_none(&w, DELIVER, MESSAGE_SESSION_START);
		world_fini(&w);
		if (i > 0 && i < 3)
			conf_free(conf);
	}
}

/* It was parked when it was not held yet; that is no release. */
static void
test_parked_before(void **state)
{
	struct store_request *park = store_request_new(STORE_PARK);
	struct world w;

	world_open(&w, config);
	intake_one(&w, "a@x.test", "u@ship7.test");
	park->u.park.destination = STR("site:ship7");
	park->u.park.due_ms = 1;
	park->u.park.failures = 1;
	w.store->ops->batch(w.store, &park, 1);
	assert_int_equal(park->error, 0);
	store_request_free(park);
	restart(&w, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	world_fini(&w);
}

/* The host failed for too long: the run is over although mail is left. */
static void
test_failed(void **state)
{
	struct message m;
	struct world w;

	world_open(&w, config);
	intake_one(&w, "a@x.test", "u@ship7.test");
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
	for (int i = 0; i < 20; i++) {
		while (fake_take_frame(&w.f, DELIVER, &m))
			if (m.type == MESSAGE_SESSION_START)
				end_session(
				    &w, m.u.session_start.session, true, false);
		fake_timer(&w.f, w.f.now_ms + RELEASE_MS / 4);
		pump(&w);
	}
	assert_int_equal(queued(&w), 1);
	restart(&w, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_goes_on),
	    cmocka_unit_test(test_too_late),
	    cmocka_unit_test(test_in_part),
	    cmocka_unit_test(test_in_part_not),
	    cmocka_unit_test(test_parked_before),
	    cmocka_unit_test(test_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
