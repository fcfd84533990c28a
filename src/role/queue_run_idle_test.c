/*
 * Sessions of a run that end without having asked for anything, well or with
 * their process: the lease that a verbose run has in hand ends with them.
 */
#include "role/queue_kit.h"
#include "role/queue_run.h"

static const char config[] =
    "hostname = \"here.test\"\nspool = \"ram:\"\nretry-min = \"1h\"\n"
    "route = ( { domain = \"a.test\", to = \"smtp://192.0.2.1:25\" } )\n"
    "site = ( { name = \"ship\", domains = [ \"ship.test\" ],\n"
    "  hold = true, route = \"smtp://192.0.2.3\" } )\n";

/* A run of COUNT messages, for a site whose mail nobody else takes. */
static void
begin_many(struct world *w, size_t count, bool is_verbose)
{
	struct store_select_term term = {
	    .field = STORE_SELECT_SENDER, .text = STR("s@")};
	struct message m = {.type = MESSAGE_RUN};

	world_open(w, config);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(intake_one(w, "s@x.test", "u@ship.test"), 250);
	m.u.run.request = 9;
	m.u.run.is_verbose = is_verbose;
	m.u.run.terms = &term;
	m.u.run.term_count = 1;
	give(w, CONTROL, &m);
}

static void
begin(struct world *w)
{
	begin_many(w, 1, true);
}

/* The run has ended, nothing is leased, and the message is there, of which who
   asked is told by ERROR. */
static void
expect_end(struct world *w, int error)
{
	struct store_request *find = store_request_new(STORE_FIND);
	struct queue *q = w->role;
	struct message m;

	expect(w, CONTROL, MESSAGE_RUN_DONE, &m);
	assert_int_equal(m.u.run_done.error, error);
	assert_null(q->run);
	assert_int_equal(HASH_COUNT(q->leases), 0);
	find->u.find.count = 1;
	w->store->ops->batch(w->store, &find, 1);
	assert_int_equal(find->u.find.found_count, 1);
	assert_false(find->u.find.found[0].rows[0].is_leased);
	store_request_free(find);
	world_fini(w);
}

/* Each session ends well and has asked for nothing: a few, and no more. */
static void
test_ends_well(void **state)
{
	size_t count = 0;
	struct message m;
	struct world w;

	begin(&w);
	while (fake_take_frame(&w.f, DELIVER, &m)) {
		if (m.type != MESSAGE_SESSION_START)
			continue;
		count++;
		end_session(&w, m.u.session_start.session, false, false);
	}
	assert_int_equal(count, RUN_TRIES_MAX);
	expect_end(&w, -EAGAIN);
}

/* It asks once, gets the message, and ends without a word about it. */
static void
test_ends_with_a_job(void **state)
{
	size_t count = 0;
	struct message m;
	struct world w;

	begin(&w);
	while (fake_take_frame(&w.f, DELIVER, &m)) {
		uint32_t session = m.u.session_start.session;

		if (m.type != MESSAGE_SESSION_START)
			continue;
		count++;
		next(&w, session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		end_session(&w, session, false, false);
	}
	assert_int_equal(count, RUN_TRIES_MAX);
	expect_end(&w, -EAGAIN);
}

/* Its process ends: the one that follows has the lease, or nobody. */
static void
test_process_ends(void **state)
{
	size_t count = 0;
	struct message m;
	struct world w;

	begin(&w);
	for (int i = 0; i < RUN_TRIES_MAX + 1; i++) {
		while (fake_take_frame(&w.f, DELIVER, &m))
			count += m.type == MESSAGE_SESSION_START;
		role_queue_ops.peer_down(w.role, w.f.now_ms, DELIVER);
		pump(&w);
		fake_peer_up(
		    &w.f, &role_queue_ops, w.role, DELIVER, ROLE_DELIVER);
		pump(&w);
	}
	assert_int_equal(count, RUN_TRIES_MAX);
	expect_end(&w, -EAGAIN);
}

/* All sessions that end with one process are one that has taken nothing. */
static void
test_process_ends_with_many(void **state)
{
	struct message m;
	struct world w;

	begin_many(&w, RUN_START_MAX * RUN_ROWS_SESSION + 1, false);
	for (int i = 0; i < RUN_TRIES_MAX; i++) {
		size_t count = 0;

		while (fake_take_frame(&w.f, DELIVER, &m))
			count += m.type == MESSAGE_SESSION_START;
		assert_int_equal(count, RUN_START_MAX);
		role_queue_ops.peer_down(w.role, w.f.now_ms, DELIVER);
		pump(&w);
		fake_peer_up(
		    &w.f, &role_queue_ops, w.role, DELIVER, ROLE_DELIVER);
		pump(&w);
	}
	expect_end(&w, -EAGAIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ends_well),
	    cmocka_unit_test(test_ends_with_a_job),
	    cmocka_unit_test(test_process_ends),
	    cmocka_unit_test(test_process_ends_with_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
