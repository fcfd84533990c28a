/*
 * Runs over a store to which another program adds: it is looked at again before
 * a run, the run has the first go at what was found, and in the order of the
 * priorities that the store knows.
 */
#include "role/queue_kit.h"
#include "role/queue_run.h"

#define CONFIG                                                                 \
	"hostname = \"here.test\"\nspool = \"ram:\"\n"                         \
	"relay-from = [ \"127.0.0.0/8\" ]\n"

/* What the other program has added, and the store has not seen. */
struct foreign {
	unsigned added_count, seen_count;
	const int64_t *priorities; /* NULL: none is known */
	size_t clock_count;
	size_t row_count; /* of each; 0: one */
};

static void
foreign_append(struct world *w, unsigned number, size_t row_count)
{
	struct store_request *request = store_request_new(STORE_APPEND);
	struct store_message *m = store_message_new();

	snprintf(m->id, sizeof(m->id), "F%u", number);
	m->envelope.sender = STR("f@x.test");
	m->arrival_ms = m->rank = 1;
	m->arrival_wall_ms = 1;
	m->expire_ms = UINT64_C(1) << 40;
	m->rows = arena_new(&m->arena, row_count * sizeof(*m->rows));
	m->row_count = row_count;
	for (size_t i = 0; i < row_count; i++)
		m->rows[i] = (struct store_row){
		    .recipient.address = STR("u@a.test"),
		    .destination = STR("mx:a.test"),
		    .domain = STR("a.test"),
		};
	buf_init(&m->content, STORE_CONTENT_MEMORY);
	assert_int_equal(buf_append(&m->content, STR("body\r\n")), 0);
	m->content_size = buf_size(&m->content);
	request->u.append.message = m;
	w->store->ops->batch(w->store, &request, 1);
	assert_int_equal(request->error, 0);
	store_request_free(request);
}

/* As pump(), with a store that sees what was added when it is to look. */
static void
pump_foreign(struct world *w, struct foreign *foreign)
{
	struct store_request *request;

	while ((request = fake_take_request(&w->f)) != NULL) {
		if (request->verb == STORE_CLOCK) {
			foreign->clock_count++;
			while (foreign->seen_count < foreign->added_count)
				foreign_append(w, ++foreign->seen_count,
				    foreign->row_count +
					(foreign->row_count == 0));
		}
		w->store->ops->batch(w->store, &request, 1);
		request->totals.found_count = foreign->seen_count;
		for (size_t i = 0; request->verb == STORE_FIND &&
				   foreign->priorities != NULL &&
				   i < request->u.find.found_count;
		     i++) {
			request->u.find.found[i].has_priority = true;
			request->u.find.found[i].priority =
			    foreign->priorities[i];
		}
		role_queue_ops.stored(w->role, w->f.now_ms, request);
	}
}

static void
give_foreign(struct world *w, struct foreign *foreign, role_peer peer,
    const struct message *m)
{
	assert_int_equal(fake_frame(&w->f, peer, m), 0);
	pump_foreign(w, foreign);
}

static void
ask_for_run(struct world *w, struct foreign *foreign, uint64_t rank_max)
{
	struct message m = {.type = MESSAGE_RUN};

	m.u.run.request = 9;
	m.u.run.rank_max = rank_max;
	give_foreign(w, foreign, CONTROL, &m);
}

/* The one session that is started, and what it gets, "F1 F2". */
static void
expect_session(struct world *w, struct foreign *foreign, const char *ids)
{
	struct message start, m = {.type = MESSAGE_SESSION_NEXT};
	char text[100] = "";
	size_t size = 0;

	expect(w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_true((start.u.session_start.session & RUN_SESSION_BIT) != 0);
	for (;;) {
		m = (struct message){.type = MESSAGE_SESSION_NEXT};
		m.u.session_next.session = start.u.session_start.session;
		m.u.session_next.want = 1;
		give_foreign(w, foreign, DELIVER, &m);
		assert_true(fake_take_frame(&w->f, DELIVER, &m));
		if (m.type != MESSAGE_JOB)
			break;
		size += (size_t)snprintf(text + size, sizeof(text) - size,
		    "%s%.*s", size > 0 ? " " : "", STR_ARG(m.u.job.id));
		settle(w, &m, 1, SMTP_ACCEPTED, "250 ok");
	}
	assert_int_equal(m.type, MESSAGE_JOB_NONE);
	assert_string_equal(text, ids);
	end_session(w, start.u.session_start.session, false, false);
	expect_none(w, DELIVER, MESSAGE_SESSION_START);
}

static void
expect_count(struct world *w, uint64_t count)
{
	struct message m;

	expect(w, CONTROL, MESSAGE_RUN_DONE, &m);
	assert_int_equal(m.u.run_done.error, 0);
	assert_int_equal(m.u.run_done.count, count);
}

/* Each run looks first; what it found nobody else takes. */
static void
test_looks_again(void **state)
{
	struct foreign foreign = {.added_count = 2};
	struct world w;

	world_open(&w, CONFIG);
	ask_for_run(&w, &foreign, 0);
	assert_int_equal(foreign.clock_count, 1);
	expect_session(&w, &foreign, "F1 F2");
	expect_count(&w, 2);
	foreign.added_count = 3;
	ask_for_run(&w, &foreign, 0);
	assert_int_equal(foreign.clock_count, 2);
	expect_session(&w, &foreign, "F3");
	expect_count(&w, 1);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* What the run leaves out the scheduler has within a minute. */
static void
test_leaves_the_rest(void **state)
{
	static const int64_t priorities[] = {70000, 60000};
	struct foreign foreign = {.added_count = 2, .priorities = priorities};
	struct message start;
	struct world w;

	world_open(&w, CONFIG);
	ask_for_run(&w, &foreign, MESSAGE_RUN_RANK_BASE + 59999);
	expect_count(&w, 0);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	fake_timer(&w.f, w.f.now_ms + 60000);
	pump_foreign(&w, &foreign);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	assert_int_equal(start.u.session_start.session & RUN_SESSION_BIT, 0);
	world_fini(&w);
}

/* The lowest first, wherever it is, and none above the limit. */
static void
test_order(void **state)
{
	static const struct {
		int64_t priorities[3];
		uint64_t rank_max;
		const char *ids;
		uint64_t count;
	} cases[] = {
	    {{30301, 30300, 30302}, 0, "F2 F1 F3", 3},
	    {{5, 0, -5}, 0, "F3 F2 F1", 3},
	    {{7, 7, 7}, 0, "F1 F2 F3", 3},
	    {{INT64_MAX, INT64_MIN, 0}, 0, "F2 F3 F1", 3},
	    {{60001, 60000, -9}, MESSAGE_RUN_RANK_BASE + 60000, "F3 F2", 2},
	    {{INT64_MAX, 1, INT64_MIN}, MESSAGE_RUN_RANK_BASE, "F3", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct foreign foreign = {
		    .added_count = 3, .priorities = cases[i].priorities};
		struct world w;

		world_open(&w, CONFIG);
		ask_for_run(&w, &foreign, cases[i].rank_max);
		expect_session(&w, &foreign, cases[i].ids);
		expect_count(&w, cases[i].count);
		world_fini(&w);
	}
}

/* People see the ends of a long list. */
static void
test_names(void **state)
{
	struct foreign foreign = {.added_count = 1, .row_count = 100};
	struct message start, m = {.type = MESSAGE_RUN};
	struct str names;
	struct world w;

	world_open(&w, CONFIG);
	m.u.run.request = 9;
	m.u.run.is_verbose = true;
	give_foreign(&w, &foreign, CONTROL, &m);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	names = start.u.session_start.trace;
	assert_int_equal(names.size, 203);
	assert_true(str_starts(names, STR("u@a.test,u@a.test,")));
	assert_true(str_starts(str_skip(names, 99), STR("u...t,u@a.test,")));
	m = (struct message){.type = MESSAGE_SESSION_NEXT};
	m.u.session_next.session = start.u.session_start.session;
	m.u.session_next.want = 1;
	give_foreign(&w, &foreign, DELIVER, &m);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	settle(&w, &m, 100, SMTP_ACCEPTED, "250 ok");
	end_session(&w, start.u.session_start.session, false, false);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_looks_again),
	    cmocka_unit_test(test_leaves_the_rest),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
