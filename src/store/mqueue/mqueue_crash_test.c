/*
 * Power cuts: before every call that changes the disk it is cloned as the cut
 * may leave it, and the clone is opened.  Each message must be as it was before
 * the request at work or as that makes it, its content whole; what was never
 * accepted is not there.  After a kill, where the disk keeps all, nothing of
 * what is done is left behind.
 */
#include "store/mqueue/mqueue_kit.h"
#include "store/ram/ram.h"
#include "unit/apart.h"

#define CRASH_MESSAGES 24
#define CRASH_STEPS    60
#define CRASH_TEXT     65536

struct crash_message {
	char id[24];
	size_t size;
	const struct crash_message *about; /* it is a notification of that */
	struct buf now, next;              /* as text; empty: it is not there */
};

struct crash {
	struct mqueue_place place;
	struct store *mqueue, *ram;
	uint64_t random;
	struct crash_message messages[CRASH_MESSAGES];
	size_t count;
	uint64_t calls;
};

static size_t
crash_below(struct crash *crash, size_t bound)
{
	uint64_t z = crash->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (size_t)((z ^ z >> 31) % bound);
}

/* The rows of a message, "" if it is not there. */
static void
crash_text(struct store *store, const char *id, struct buf *out)
{
	struct store_request *find = store_request_new(STORE_FIND);

	buf_clear(out);
	find->u.find.filter.id = str_from(id);
	find->u.find.count = 2;
	store->ops->batch(store, &find, 1);
	assert_int_equal(find->error, 0);
	for (size_t i = 0; i < find->u.find.found_count; i++) {
		const struct store_found *found = &find->u.find.found[i];

		kit_put(out, "%s %llu", found->id, KIT_U(found->content_size));
		for (size_t j = 0; j < found->row_count; j++)
			kit_put(out, " %u:%d:%u:%llu:%.*s:%.*s",
			    found->rows[j].index, found->rows[j].lane,
			    found->rows[j].attempts,
			    KIT_U(found->rows[j].alarm_ms),
			    STR_ARG(found->rows[j].destination),
			    STR_ARG(found->rows[j].status));
	}
	store_request_free(find);
}

static void
crash_expect_content(
    struct store *store, const struct crash_message *m, const char *where)
{
	char *want = kit_content(m->id, 0, m->size);
	struct buf got;
	int error;

	buf_init(&got, 1 << 20);
	error = kit_read(store, m->id, &got);
	if (error < 0 || !str_equal(buf_str(&got), str_of(want, m->size)))
		fail_msg("%s: content of %s: %d", where, m->id, error);
	buf_fini(&got);
	free(want);
}

struct crash_files {
	struct os *os;
	size_t data_count, control_count, rest_count;
};

static void
crash_count_files(void *arg, const char *name)
{
	struct crash_files *files = arg;
	struct os_status status;
	char control[32];

	files->data_count += name[0] == 'd';
	files->control_count += name[0] == 'q' || name[0] == 'h';
	if (name[0] != 't' && name[0] != 'x')
		return;
	/* A rewrite that was cut off goes with its message. */
	for (int i = 0; i < 2; i++) {
		snprintf(control, sizeof(control), "%s%s", i > 0 ? "qf" : "hf",
		    name + 2);
		if (name[0] == 't' &&
		    os_status(files->os, control, &status) == 0)
			return;
	}
	files->rest_count++;
}

/* After a kill all that is there are messages. */
static void
crash_expect_no_rest(struct os *os, const char *where)
{
	struct crash_files files = {.os = os};

	assert_int_equal(os_list(os, "", crash_count_files, &files), 0);
	if (files.data_count != files.control_count || files.rest_count > 0)
		fail_msg("%s: %zu df, %zu qf, %zu others", where,
		    files.data_count, files.control_count, files.rest_count);
}

static void
crash_try(struct crash *crash, enum os_sim_crash how)
{
	struct mqueue_place place = {.is_real = false};
	struct store *store;
	struct buf text;
	char where[80];

	snprintf(
	    where, sizeof(where), "call %llu way %d", KIT_U(crash->calls), how);
	place.os = os_sim_crash(crash->place.os, how, crash->calls);
	store = place_open_store(&place);
	store->ops->check(store);
	buf_init(&text, CRASH_TEXT);
	for (size_t i = 0; i < crash->count; i++) {
		const struct crash_message *m = &crash->messages[i];

		crash_text(store, m->id, &text);
		if (!str_equal(buf_str(&text), buf_str(&m->now)) &&
		    !str_equal(buf_str(&text), buf_str(&m->next)))
			fail_msg("%s: %s is\n%.*s\nnot\n%.*s\nor\n%.*s", where,
			    m->id, STR_ARG(buf_str(&text)),
			    STR_ARG(buf_str(&m->now)),
			    STR_ARG(buf_str(&m->next)));
		if (buf_size(&text) > 0)
			crash_expect_content(store, m, where);
	}
	/* What a notification tells of is not gone without it. */
	for (size_t i = 0; i < crash->count; i++) {
		const struct crash_message *m = &crash->messages[i];

		crash_text(store, m->id, &text);
		if (m->about == NULL || buf_size(&m->now) > 0 ||
		    buf_size(&m->next) == 0 || buf_size(&text) > 0)
			continue;
		crash_text(store, m->about->id, &text);
		if (!str_equal(buf_str(&text), buf_str(&m->about->now)))
			fail_msg(
			    "%s: %s without %s", where, m->about->id, m->id);
	}
	buf_fini(&text);
	if (how == OS_SIM_CRASH_KEPT)
		crash_expect_no_rest(place.os, where);
	store->ops->close(store);
	os_free(place.os);
}

static void
crash_hook(void *arg, struct os *os)
{
	struct crash *crash = arg;

	crash->calls++;
	crash_try(crash, OS_SIM_CRASH_KEPT);
	crash_try(crash, (enum os_sim_crash)(crash->calls % OS_SIM_CRASHES));
}

/* One request on both, with cuts. */
static void
crash_both(struct crash *crash, struct store_request *request,
    struct store_request *twin)
{
	crash->ram->ops->batch(crash->ram, &twin, 1);
	for (size_t i = 0; i < crash->count; i++)
		crash_text(crash->ram, crash->messages[i].id,
		    &crash->messages[i].next);
	os_sim_set_hook(crash->place.os, crash_hook, crash);
	crash->mqueue->ops->batch(crash->mqueue, &request, 1);
	os_sim_set_hook(crash->place.os, NULL, NULL);
	assert_int_equal(request->error, twin->error);
	for (size_t i = 0; i < crash->count; i++) {
		struct crash_message *m = &crash->messages[i];

		buf_clear(&m->now);
		CHECK(buf_append(&m->now, buf_str(&m->next)) == 0);
	}
	crash->mqueue->ops->check(crash->mqueue);
	store_request_free(request);
	store_request_free(twin);
}

static struct store_message *
crash_message_new(struct crash *crash, const struct crash_message *m)
{
	static const struct kit_row rows[] = {{"a@x.org", "x.org", false},
	    {"b@held.org", "held.org", true}, {"c@x.org", "x.org", false},
	    {NULL}};

	return kit_message(m->id, crash->count, m->size, rows);
}

static struct crash_message *
crash_next(struct crash *crash)
{
	struct crash_message *m = &crash->messages[crash->count++];

	snprintf(m->id, sizeof(m->id), "M%zu", crash->count);
	m->size = crash_below(crash, 900);
	buf_init(&m->now, CRASH_TEXT);
	buf_init(&m->next, CRASH_TEXT);
	return m;
}

static void
crash_append(struct crash *crash)
{
	struct store_request *requests[2];
	struct crash_message *m;
	bool is_staged = crash_below(crash, 3) == 0;

	if (crash->count == CRASH_MESSAGES)
		return;
	m = crash_next(crash);
	for (size_t i = 0; i < 2; i++) {
		struct store_message *message = crash_message_new(crash, m);

		requests[i] = store_request_new(STORE_APPEND);
		requests[i]->u.append.message = message;
		if (!is_staged)
			continue;
		buf_clear(&message->content);
		message->is_staged = true;
		assert_int_equal(kit_stage(i == 0 ? crash->mqueue : crash->ram,
				     m->id, 0, m->size),
		    0);
	}
	crash_both(crash, requests[0], requests[1]);
}

/* Takes a message and settles what it leased, now and then with a notification
   about it. */
static void
crash_settle(struct crash *crash)
{
	static const struct kit_row back[] = {
	    {"s@home.org", "home.org", false}, {NULL}};
	static const char *const names[] = {"x.org", "held.org", "home.org"};
	const char *name = names[crash_below(crash, 3)];
	struct store_request *takes[] = {kit_take(crash->mqueue, name, true, 1),
	    kit_take(crash->ram, name, true, 1)};
	struct store_request *settles[2];
	struct store_result results[3];
	struct crash_message *dsn = NULL;
	char id[STORE_ID_MAX + 1];
	size_t count = 0;

	if (takes[0]->u.take.lease_count == 1) {
		const struct store_lease *l = takes[0]->u.take.leases;

		memcpy(id, l->id, sizeof(id));
		for (; count < l->row_count && count < 3; count++)
			results[count] = (struct store_result){
			    .index = l->rows[count].index,
			    .outcome =
				(enum store_outcome)crash_below(crash, 4),
			    .due_ms = 9000,
			    .status = STR("451 4.2.0 later"),
			};
		if (crash_below(crash, 3) == 0 && crash->count < CRASH_MESSAGES)
			dsn = crash_next(crash);
		for (size_t i = 0; dsn != NULL && i < crash->count; i++)
			if (strcmp(crash->messages[i].id, id) == 0)
				dsn->about = &crash->messages[i];
	}
	for (size_t i = 0; i < 2; i++)
		store_request_free(takes[i]);
	if (count == 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		settles[i] = kit_settle_new(id, name, results, count);
		if (dsn != NULL)
			settles[i]->u.settle.dsn =
			    kit_message(dsn->id, 1, dsn->size, back);
	}
	crash_both(crash, settles[0], settles[1]);
}

static void
crash_change(struct crash *crash)
{
	struct store_request *requests[2];
	enum store_change change = (enum store_change)crash_below(crash, 3);
	char id[24];

	snprintf(
	    id, sizeof(id), "M%zu", 1 + crash_below(crash, crash->count + 1));
	for (size_t i = 0; i < 2; i++) {
		requests[i] = store_request_new(STORE_CHANGE);
		requests[i]->u.change.filter.id = str_from(id);
		requests[i]->u.change.change = change;
	}
	crash_both(crash, requests[0], requests[1]);
}

static int
crash_run(void *arg)
{
	struct crash *crash = mem_new(1, sizeof(*crash));

	crash->random = *(uint64_t *)arg;
	place_make(&crash->place);
	os_free(crash->place.state);
	crash->place.state = NULL;
	crash->mqueue = place_open_store(&crash->place);
	crash->ram = store_ram_new(NULL);
	for (size_t step = 0; step < apart_scale(CRASH_STEPS); step++)
		switch (crash_below(crash, 4)) {
		case 0:
			crash_change(crash);
			break;
		case 1:
			crash_append(crash);
			break;
		default:
			crash_settle(crash);
		}
	assert_true(crash->calls > apart_scale(100));
	for (size_t i = 0; i < crash->count; i++) {
		buf_fini(&crash->messages[i].now);
		buf_fini(&crash->messages[i].next);
	}
	crash->mqueue->ops->close(crash->mqueue);
	crash->ram->ops->close(crash->ram);
	os_free(crash->place.os);
	free(crash);
	return 0;
}

/* A take that may fail. */
static struct store_request *
fault_take(struct store *store)
{
	struct store_request *take = store_request_new(STORE_TAKE);

	take->u.take.destination = STR("x.org");
	take->u.take.count = 1;
	take->u.take.inline_max = STORE_BLOCK;
	return kit_run(store, take);
}

/* A message that is deferred, stopped, freed and delivered, with the N-th call
   from the beginning on failing; true if that came to pass. */
static bool
fault_run(uint64_t n, int error)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {"b@x.org", "x.org", false}, {NULL}};
	static const struct kit_row back[] = {
	    {"s@home.org", "home.org", false}, {NULL}};
	struct mqueue_place place = {.is_real = false};
	struct store *store = place_open(&place);
	struct store_result later = {
	    0, STORE_DEFERRED, 9000, STR("451 4.2.0 later")};
	struct store_result failed = {1, STORE_FAILED, 0, STR("550")};
	struct crash_message m = {.id = "M1", .size = 700};
	struct store_request *take, *settle;
	size_t changed, leased;
	bool is_there, is_done;

	os_sim_fail_at(place.os, n, error, false);
	is_there = kit_append(store, kit_message("M1", 1, 700, rows)) == 0;
	take = fault_take(store);
	if (take->u.take.lease_count == 1) {
		(void)kit_settle(store, "M1", "x.org", later, NULL);
		settle = kit_settle_new("M1", "x.org", NULL, 0);
		(void)kit_finish(store, settle);
	}
	store_request_free(take);
	(void)kit_change(store, STORE_CHANGE_HOLD, "M1", "", &changed, &leased);
	(void)kit_change(store, STORE_CHANGE_FREE, "M1", "", &changed, &leased);
	take = fault_take(store);
	if (take->u.take.lease_count == 1) {
		settle = kit_settle_new("M1", "x.org", &failed, 1);
		settle->u.settle.dsn = kit_message("D1", 1, 300, back);
		if (kit_run(store, settle)->error < 0)
			(void)kit_finish(
			    store, kit_settle_new("M1", "x.org", NULL, 0));
		store_request_free(settle);
	}
	store_request_free(take);
	is_done = os_sim_calls(place.os) < n;
	os_sim_fail_at(place.os, 0, 0, false);
	/* Whatever failed, what was accepted is there, with its content. */
	store = place_reopen(&place, store);
	if (is_there)
		crash_expect_content(store, &m, "after a fault");
	place_close(&place, store);
	return !is_done;
}

static int
fault_all(void *arg)
{
	for (uint64_t n = 1; fault_run(n, *(int *)arg); n++)
		assert_true(n < 2000);
	return 0;
}

static void
test_faults(void **state)
{
	static const int errors[] = {-ENOSPC, -EIO, -ENOENT};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int error = errors[i];

		assert_int_equal(apart(fault_all, &error), 0);
	}
}

static void
expect_text(struct store *store, const char *id, const char *want)
{
	struct buf text;

	buf_init(&text, 10000);
	(void)kit_put_find(store, &text, id, "", 1);
	assert_int_equal(buf_append(&text, str_of("", 1)), 0);
	if (want != NULL)
		assert_non_null(strstr(buf_str(&text).data, want));
	else
		assert_int_equal(buf_size(&text), 1);
	buf_fini(&text);
}

/* What was delivered does not come back because there is no room to write it
   down; nothing else fails for that, and it is written when there is room. */
static void
test_no_room_after_delivery(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {"b@x.org", "x.org", false}, {NULL}};
	static const int errors[] = {-EDQUOT, -EMFILE, -ENOSPC};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct mqueue_place place = {.is_real = false};
		struct store *store = place_open(&place);
		struct store_result done = {0, STORE_DELIVERED, 0, STR("")};
		size_t changed, leased;

		assert_int_equal(
		    kit_append(store, kit_message("M1", 1, 70, rows)), 0);
		kit_append_one(store, "M2", 2, "y.org", false);
		kit_expect_take(store, "x.org", false, 9, "M1");
		/* The first call asks for room, of which there is enough. */
		os_sim_fail_at(place.os, 2, errors[i], true);
		assert_int_equal(
		    kit_settle(store, "M1", "x.org", done, NULL), 0);
		expect_text(store, "M1", "\n  1 lane=0 ");
		/* What changes nothing that matters may be done again. */
		assert_int_equal(kit_change(store, STORE_CHANGE_HOLD, "M2", "",
				     &changed, &leased),
		    0);
		assert_int_equal(changed, 0);
		os_sim_fail_at(place.os, 0, 0, false);
		kit_expect_take(store, "y.org", false, 9, "M2");
		kit_expect_take(store, "x.org", false, 9, "M1");
		assert_int_equal(
		    kit_finish(store, kit_settle_new("M1", "x.org", NULL, 0)),
		    0);
		os_sim_advance(place.os, 2000);
		expect_text(store, "M1", "\n  1 lane=0 ");
		/* It is on the disk by now. */
		if (i == 0)
			store = place_reopen(&place, store);
		else {
			struct mqueue_place other = place;
			struct store *second = place_open_store(&other);

			kit_expect_take(second, "x.org", false, 9, "M1");
			expect_text(second, "M1", "\n  1 lane=0 ");
			second->ops->close(second);
		}
		place_close(&place, store);
	}
}

/* Without room for what a settle writes nothing is changed, and the lease
   lasts: it is tried again. */
static void
test_no_room_before(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {"b@x.org", "x.org", false}, {NULL}};
	static const struct kit_row back[] = {
	    {"s@home.org", "home.org", false}, {NULL}};
	struct mqueue_place place = {.is_real = false};
	struct store *store = place_open(&place);
	struct store_result failed = {0, STORE_FAILED, 0, STR("550 no")};
	struct store_request *settle;

	assert_int_equal(kit_append(store, kit_message("M1", 1, 70, rows)), 0);
	kit_expect_take(store, "x.org", false, 9, "M1");
	for (uint64_t n = 1; n < 5; n++) {
		os_sim_fail_at(place.os, n, -EDQUOT, true);
		settle = kit_settle_new("M1", "x.org", &failed, 1);
		settle->u.settle.dsn = kit_message("D1", 1, 300, back);
		assert_int_equal(kit_finish(store, settle), -ENOSPC);
		os_sim_fail_at(place.os, 0, 0, false);
		expect_text(store, "M1", "\n  0 lane=0 leased=1 ");
		expect_text(store, "D1", NULL);
	}
	settle = kit_settle_new("M1", "x.org", &failed, 1);
	settle->u.settle.dsn = kit_message("D1", 1, 300, back);
	assert_int_equal(kit_finish(store, settle), 0);
	expect_text(store, "D1", "to=s@home.org");
	place_close(&place, store);
}

static void
test_cuts(void **state)
{
	const char *text = getenv("SENDQ_LONG");
	uint64_t count = text != NULL && strcmp(text, "1") == 0 ? 100 : 3;

	for (uint64_t seed = 1; seed <= count; seed++)
		assert_int_equal(apart(crash_run, &seed), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cuts),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_no_room_after_delivery),
	    cmocka_unit_test(test_no_room_before),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(place_log, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
