/*
 * Runs of the queue role over the model store: what is tried, in what order,
 * once; what becomes of a host that is down; whom it tells.
 */
#include "role/queue_kit.h"
#include "role/queue_run.h"

#define CONFIG                                                                 \
	"hostname = \"here.test\"\nspool = \"ram:\"\n"                         \
	"relay-from = [ \"127.0.0.0/8\" ]\n"                                   \
	"route = ( { domain = \"a.test\", to = \"smtp://192.0.2.1:25\" },\n"   \
	"  { domain = \"b.test\", to = \"smtp://192.0.2.2:2525\" } )\n"        \
	"site = ( { name = \"ship\", domains = [ \"ship.test\" ],\n"           \
	"  hold = true, route = \"smtp://192.0.2.3\", from = [ "               \
	"\"192.0.2.3\" ] } )\n"

/* A role that does nothing but runs, with what another left in the store. */
static void
reopen_for_runs(struct world *w)
{
	struct store_info info;

	role_queue_ops.peer_down(w->role, w->f.now_ms, DELIVER);
	pump(w);
	role_queue_free(w->role);
	fake_fini(&w->f);
	fake_init(&w->f, ROLE_QUEUE);
	w->store->ops->info(w->store, &info);
	w->role = role_queue_new_run(&w->f.env, w->conf, &info, w->f.now_ms);
	pump(w);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	pump(w);
}

static void
run_ask_for(struct world *w, bool is_verbose, const char *sender)
{
	struct store_select_term term = {
	    .field = STORE_SELECT_SENDER, .text = str_from(sender)};
	struct message m = {.type = MESSAGE_RUN};

	m.u.run.request = 9;
	m.u.run.is_verbose = is_verbose;
	m.u.run.terms = &term;
	m.u.run.term_count = sender[0] != '\0';
	give(w, CONTROL, &m);
}

static void
expect_done(struct world *w, uint32_t status, uint64_t count)
{
	struct message m;

	expect(w, CONTROL, MESSAGE_RUN_DONE, &m);
	assert_int_equal(m.u.run_done.request, 9);
	assert_int_equal(m.u.run_done.error, 0);
	assert_int_equal(m.u.run_done.status, status);
	assert_int_equal(m.u.run_done.count, count);
}

/* The lines of the run up to now. */
static void
expect_text(struct world *w, const char *expected)
{
	struct str rest = str_from(expected);
	struct message m;

	while (rest.size > 0) {
		expect(w, CONTROL, MESSAGE_RUN_TEXT, &m);
		assert_true(str_starts(rest, m.u.run_text.text));
		rest = str_skip(rest, m.u.run_text.text.size);
	}
}

static void
trace(struct world *w, uint32_t session, const char *text)
{
	struct message m = {.type = MESSAGE_TRACE};

	m.u.trace.session = session;
	m.u.trace.text = str_from(text);
	give(w, DELIVER, &m);
}

/* Each message is tried once, the small one of many first. */
static void
test_tries_once_in_order(void **state)
{
	struct message start, job;
	struct world w;
	char large[4000];

	memset(large, 'x', sizeof(large));
	world_open(&w, CONFIG);
	assert_int_equal(
	    intake(&w, "s@x.test", (const char *[]){"u@a.test", NULL},
		str_of(large, sizeof(large))),
	    250);
	assert_int_equal(intake_one(&w, "s@x.test", "v@a.test"), 250);
	reopen_for_runs(&w);
	/* Nothing is tried before somebody asks. */
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	run_ask_for(&w, true, "");
	expect_text(&w, "\nRunning ram:/ID000002 (sequence 1 of 2)\n");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_true(str_equal(start.u.session_start.trace, STR("v@a.test")));
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_true(str_equal(job.u.job.id, STR("ID000002")));
	trace(&w, job.u.job.session, ">>> MAIL\n");
	expect_text(&w, ">>> MAIL\n");
	settle(&w, &job, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	/* The next one goes the same way. */
	expect_text(&w, "\nRunning ram:/ID000001 (sequence 2 of 2)\n");
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_true(str_equal(job.u.job.id, STR("ID000001")));
	settle(&w, &job, 1, SMTP_ACCEPTED, "250 ok");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &job);
	expect_none(&w, CONTROL, MESSAGE_RUN_DONE);
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 2);
	assert_int_equal(queued(&w), 1);
	world_fini(&w);
}

/* A host that is down is asked once; the others of it wait with its answer. */
static void
test_does_not_ask_a_host_twice(void **state)
{
	struct message start, m = {.type = MESSAGE_SESSION_END};
	struct world w;

	world_open(&w, CONFIG);
	for (int i = 0; i < 5; i++)
		assert_int_equal(intake_one(&w, "s@x.test", "u@b.test"), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, false, "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_int_equal(start.u.session_start.trace.size, 0);
	m.u.session_end.session = start.u.session_start.session;
	m.u.session_end.is_failed = true;
	m.u.session_end.status = STR("4.4.1");
	m.u.session_end.answer =
	    STR("connect to [192.0.2.2]: Connection refused");
	give(&w, DELIVER, &m);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	expect_done(&w, 0, 5);
	m = (struct message){.type = MESSAGE_LIST};
	m.u.list.request = 5;
	m.u.list.count = STORE_PAGE_MAX;
	give(&w, CONTROL, &m);
	for (int i = 0; i < 5; i++) {
		expect(&w, CONTROL, MESSAGE_LIST_MESSAGE, &m);
		assert_int_equal(
		    m.u.list_message.found.rows[0].lane, STORE_WAITING);
		assert_true(str_equal(m.u.list_message.found.rows[0].status,
		    STR("Connection refused by [192.0.2.2]")));
	}
	world_fini(&w);
}

/* Who asks for a part means it, held or not; who does not, leaves what is held.
 */
static void
test_held_only_with_terms(void **state)
{
	struct message start, job;
	struct world w;

	world_open(&w, CONFIG);
	assert_int_equal(intake_one(&w, "alice@x.test", "u@ship.test"), 250);
	assert_int_equal(intake_one(&w, "bob@x.test", "u@ship.test"), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, false, "");
	expect_done(&w, 0, 0);
	run_ask_for(&w, false, "ALICE@");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_true(str_equal(job.u.job.envelope.sender, STR("alice@x.test")));
	settle(&w, &job, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &job);
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 1);
	/* It is held again. */
	job = (struct message){.type = MESSAGE_LIST};
	job.u.list.request = 5;
	job.u.list.count = STORE_PAGE_MAX;
	give(&w, CONTROL, &job);
	expect(&w, CONTROL, MESSAGE_LIST_MESSAGE, &job);
	assert_int_equal(job.u.list_message.found.rows[0].lane, STORE_HELD);
	world_fini(&w);
}

/* The bounce goes in the same run; the status is that of the refusal. */
static void
test_bounces_at_once(void **state)
{
	struct message start, job;
	struct world w;

	world_open(&w, CONFIG);
	assert_int_equal(intake_one(&w, "s@b.test", "u@a.test"), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, false, "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	settle(&w, &job, 1, SMTP_PERMANENT, "550 5.1.1 no such user");
	end_session(&w, start.u.session_start.session, false, false);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_true(str_equal(start.u.session_start.host, STR("192.0.2.2")));
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_int_equal(job.u.job.envelope.sender.size, 0);
	settle(&w, &job, 1, SMTP_ACCEPTED, "250 ok");
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 67, 1);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* What a lost session leaves is tried again, but not for ever; who asked is
   told that it is left. */
static void
test_gives_up_on_what_comes_back(void **state)
{
	struct message start, job, done;
	struct world w;

	world_open(&w, CONFIG);
	assert_int_equal(intake_one(&w, "s@b.test", "u@a.test"), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, false, "");
	for (int i = 0; i < RUN_TRIES_MAX; i++) {
		expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
		next(&w, start.u.session_start.session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &job);
		settle(&w, &job, 1, SMTP_UNTRIED, "");
		end_session(&w, start.u.session_start.session, false, false);
	}
	expect(&w, CONTROL, MESSAGE_RUN_DONE, &done);
	assert_int_equal(done.u.run_done.error, -EAGAIN);
	assert_int_equal(done.u.run_done.count, 1);
	assert_int_equal(queued(&w), 1);
	world_fini(&w);
}

/* By the clock, beside the role's own times: the first at once. */
static void
test_interval(void **state)
{
	struct message start;
	struct world w;

	world_open(&w, CONFIG "queue-interval = \"1h\"\nretry-min = \"5h\"\n"
			      "retry-max = \"9h\"\n");
	assert_int_equal(intake_one(&w, "s@x.test", "u@a.test"), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	end_session(&w, start.u.session_start.session, true, false);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	w.f.now_ms += 3599000;
	role_queue_ops.timer(w.role, w.f.now_ms);
	pump(&w);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	w.f.now_ms += 2000;
	role_queue_ops.timer(w.role, w.f.now_ms);
	pump(&w);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_true(start.u.session_start.session & RUN_SESSION_BIT);
	end_session(&w, start.u.session_start.session, true, false);
	world_fini(&w);
}

/* At the load of queue-load only what is light goes. */
static void
test_interval_at_load(void **state)
{
	const char *many[31] = {NULL};
	char names[30][20];
	struct message m;
	struct world w;

	world_open(&w, CONFIG "queue-interval = \"1h\"\nretry-min = \"5h\"\n"
			      "retry-max = \"9h\"\nqueue-load = 4\n");
	for (int i = 0; i < 30; i++) {
		snprintf(names[i], sizeof(names[i]), "u%d@a.test", i);
		many[i] = names[i];
	}
	assert_int_equal(intake(&w, "s@x.test", many, STR("a: b\r\n")), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	end_session(&w, m.u.session_start.session, true, false);
	/* 30 recipients are 900000, over 600000. */
	w.f.load = 4;
	w.f.now_ms += 3601000;
	role_queue_ops.timer(w.role, w.f.now_ms);
	pump(&w);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	w.f.load = 3;
	w.f.now_ms += 3601000;
	role_queue_ops.timer(w.role, w.f.now_ms);
	pump(&w);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	end_session(&w, m.u.session_start.session, true, false);
	world_fini(&w);
}

/* Runs wait for each other; too many are refused. */
static void
test_runs_do_not_overlap(void **state)
{
	struct message start, m;
	struct world w;

	world_open(&w, CONFIG);
	assert_int_equal(intake_one(&w, "s@b.test", "u@a.test"), 250);
	reopen_for_runs(&w);
	for (int i = 0; i < RUN_RUNS_MAX; i++)
		run_ask_for(&w, false, "");
	expect_none(&w, CONTROL, MESSAGE_RUN_DONE);
	run_ask_for(&w, false, "");
	expect(&w, CONTROL, MESSAGE_RUN_DONE, &m);
	assert_int_equal(m.u.run_done.error, -EBUSY);
	for (int i = 0; i < RUN_RUNS_MAX; i++) {
		expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
		expect_none(&w, DELIVER, MESSAGE_SESSION_START);
		end_session(&w, start.u.session_start.session, true, false);
		expect_done(&w, 0, 1);
	}
	world_fini(&w);
}

/* A run and the scheduler share what there is of sessions. */
static void
test_sessions_are_shared(void **state)
{
	struct message m;
	struct world w;

	world_open(&w, CONFIG "deliveries-max = 1\n");
	assert_int_equal(intake_one(&w, "s@x.test", "u@ship.test"), 250);
	assert_int_equal(intake_one(&w, "s@x.test", "u@a.test"), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	run_ask_for(&w, false, "");
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	/* The scheduler waits before it tries that host again. */
	end_session(&w, m.u.session_start.session, true, false);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_true(m.u.session_start.session & RUN_SESSION_BIT);
	trigger(&w, "ship", NULL, MESSAGE_TRIGGER_STARTED, 1);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	end_session(&w, m.u.session_start.session, true, false);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_false(m.u.session_start.session & RUN_SESSION_BIT);
	end_session(&w, m.u.session_start.session, true, false);
	world_fini(&w);
}

/* Who asked is gone: a process for one run tries nothing more. */
static void
test_ends_with_its_asker(void **state)
{
	struct message start, m;
	struct world w;

	world_open(&w, CONFIG);
	for (int i = 0; i < 3; i++)
		assert_int_equal(intake_one(&w, "s@b.test", "u@a.test"), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, true, "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	/* All of it came with the lease. */
	assert_true(m.u.job.content_size > 0);
	assert_int_equal(m.u.job.content.size, m.u.job.content_size);
	role_queue_ops.peer_down(w.role, w.f.now_ms, CONTROL);
	settle(&w, &m, 1, SMTP_ACCEPTED, "250 ok");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, start.u.session_start.session, false, false);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	fake_peer_up(&w.f, &role_queue_ops, w.role, CONTROL, ROLE_CONTROL);
	assert_int_equal(queued(&w), 2);
	world_fini(&w);
}

/* Who waits for long is told in the run; whose time is over gets it back, but
   only after a try. */
static void
test_tells_what_is_late(void **state)
{
	struct message start, job;
	struct world w;

	world_open(&w, CONFIG "delay-notice = \"4h\"\nexpire = \"9d\"\n");
	assert_int_equal(intake_one(&w, "s@a.test", "u@a.test"), 250);
	reopen_for_runs(&w);
	w.f.now_ms += 5 * 3600000;
	run_ask_for(&w, true, "s@");
	expect_text(&w, "\nRunning ram:/ID000001 (sequence 1 of 1)\n");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	settle(&w, &job, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect_text(&w, "Warning: could not send message for past 4 hours\n");
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_int_equal(job.u.job.envelope.sender.size, 0);
	settle(&w, &job, 1, SMTP_ACCEPTED, "250 ok");
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 1);
	w.f.now_ms += UINT64_C(9) * 86400000;
	run_ask_for(&w, true, "s@");
	expect_text(&w, "\nRunning ram:/ID000001 (sequence 1 of 1)\n");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	settle(&w, &job, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect_text(&w, "Cannot send message for 1 week, 2 days\n");
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	settle(&w, &job, 1, SMTP_ACCEPTED, "250 ok");
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 1);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
test_trouble(void **state)
{
	static const struct {
		const char *answer, *text;
	} cases[] = {
	    {"connect to [192.0.2.1]: Connection refused",
		"Connection refused by [192.0.2.1]"},
	    {"connect to mx.test[192.0.2.1]: Connection timed out",
		"Connection timed out with mx.test"},
	    {"451 4.3.0 later", "451 4.3.0 later"},
	    {"connect to nobody", "connect to nobody"},
	    {"", ""},
	};
	char text[STORE_STATUS_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_trouble(str_from(cases[i].answer), text);
		assert_string_equal(text, cases[i].text);
	}
}

/* Those behind the first hundred are tried, though these are deferred. */
static void
test_all_of_very_many(void **state)
{
	const char *recipients[251] = {NULL};
	char addresses[250][16];
	const size_t counts[] = {100, 100, 50};
	struct message start, job;
	struct world w;

	world_open(&w, CONFIG);
	for (size_t i = 0; i < 250; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "u%zu@a.test", i);
		recipients[i] = addresses[i];
	}
	assert_int_equal(intake(&w, "s@x.test", recipients, STR("x\r\n")), 250);
	reopen_for_runs(&w);
	run_ask_for(&w, false, "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 3);
	for (size_t i = 0; i < 3; i++) {
		expect(&w, DELIVER, MESSAGE_JOB, &job);
		assert_int_equal(job.u.job.row_count, counts[i]);
		/* The last goes first. */
		assert_int_equal(
		    job.u.job.rows[0].index, 100 * i + counts[i] - 1);
		settle(&w, &job, counts[i], SMTP_TEMPORARY, "451 4.2.0 later");
	}
	expect_none(&w, DELIVER, MESSAGE_JOB);
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 1);
	world_fini(&w);
}

static void
run_ask_stopped(struct world *w, const char *reason)
{
	struct store_select_term term = {
	    .field = STORE_SELECT_REASON, .text = str_from(reason)};
	struct message m = {.type = MESSAGE_RUN};

	m.u.run.request = 9;
	m.u.run.is_stopped = true;
	m.u.run.terms = &term;
	m.u.run.term_count = 1;
	give(w, CONTROL, &m);
}

/* What is stopped is run if that is asked for, by its reason, and then nothing
   else; it stays stopped. */
static void
test_stopped(void **state)
{
	struct message start, job, m = {.type = MESSAGE_CHANGE};
	struct world w;

	world_open(&w, CONFIG);
	assert_int_equal(intake_one(&w, "s@x.test", "u@a.test"), 250);
	assert_int_equal(intake_one(&w, "s@x.test", "v@ship.test"), 250);
	reopen_for_runs(&w);
	m.u.change.request = 4;
	m.u.change.change = STORE_CHANGE_HOLD;
	m.u.change.filter.id = STR("ID000002");
	give(&w, CONTROL, &m);
	run_ask_stopped(&w, "STOPPED");
	expect_done(&w, 0, 0);
	run_ask_stopped(&w, "stopped by");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	next(&w, start.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	assert_true(str_equal(job.u.job.id, STR("ID000002")));
	settle(&w, &job, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect_none(&w, DELIVER, MESSAGE_JOB);
	end_session(&w, start.u.session_start.session, false, false);
	expect_done(&w, 0, 1);
	job = (struct message){.type = MESSAGE_LIST};
	job.u.list.request = 5;
	job.u.list.count = STORE_PAGE_MAX;
	job.u.list.filter.id = STR("ID000002");
	give(&w, CONTROL, &job);
	expect(&w, CONTROL, MESSAGE_LIST_MESSAGE, &job);
	assert_int_equal(job.u.list_message.found.rows[0].lane, STORE_STOPPED);
	assert_int_equal(job.u.list_message.found.rows[0].attempts, 1);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_of_very_many),
	    cmocka_unit_test(test_stopped),
	    cmocka_unit_test(test_tries_once_in_order),
	    cmocka_unit_test(test_does_not_ask_a_host_twice),
	    cmocka_unit_test(test_held_only_with_terms),
	    cmocka_unit_test(test_bounces_at_once),
	    cmocka_unit_test(test_gives_up_on_what_comes_back),
	    cmocka_unit_test(test_interval),
	    cmocka_unit_test(test_interval_at_load),
	    cmocka_unit_test(test_runs_do_not_overlap),
	    cmocka_unit_test(test_sessions_are_shared),
	    cmocka_unit_test(test_ends_with_its_asker),
	    cmocka_unit_test(test_tells_what_is_late),
	    cmocka_unit_test(test_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
