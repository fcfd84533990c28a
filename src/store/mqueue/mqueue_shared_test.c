/*
 * Two engines on one directory, as two programs have it: each message is leased
 * by one of them at a time, and what one does the other sees.
 */
#include "store/mqueue/mqueue_kit.h"
#include "os/remover.h"

#define SHARED_COUNT 12

struct shared {
	struct mqueue_place place;
	struct store *a, *b;
};

static int
shared_setup(void **state)
{
	struct shared *shared = mem_new(1, sizeof(*shared));

	place_make(&shared->place);
	/* Each program has its own, or none. */
	os_free(shared->place.state);
	shared->place.state = NULL;
	shared->a = place_open_store(&shared->place);
	shared->b = place_open_store(&shared->place);
	*state = shared;
	return 0;
}

static int
shared_teardown(void **state)
{
	struct shared *shared = *state;

	shared->a->ops->close(shared->a);
	shared->b->ops->close(shared->b);
	os_free(shared->place.os);
	free(shared);
	return 0;
}

static void
shared_tick(struct shared *shared)
{
	os_sim_advance(shared->place.os, 60000);
}

static void
shared_done(struct store *store, const char *id, const char *destination)
{
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};

	assert_int_equal(kit_settle(store, id, destination, done, NULL), 0);
}

static void
shared_put(struct shared *shared, const char *name, const char *text)
{
	struct os_file *file;

	assert_int_equal(
	    os_open(shared->place.os, name, OS_WRITE | OS_CREATE, &file), 0);
	assert_int_equal(
	    os_pwrite(shared->place.os, file, str_from(text), 0), 0);
	os_close(shared->place.os, file);
}

/* What one has leased the other passes over, until it is given back. */
static void
test_lease(void **state)
{
	struct shared *shared = *state;
	struct store_result later = {
	    0, STORE_DEFERRED, 9000, STR("451 4.2.0 later")};

	kit_append_one(shared->a, "M1", 1, "x.org", false);
	kit_expect_take(shared->a, "x.org", false, 9, "M1");
	/* The other one comes by it when it has nothing more. */
	shared_tick(shared);
	kit_expect_take(shared->b, "x.org", false, 9, "");
	assert_int_equal(kit_settle(shared->a, "M1", "x.org", later, NULL), 0);
	/* It is not as the other one knows it: read again before it is sent. */
	kit_expect_take(shared->b, "x.org", false, 9, "");
	kit_expect_take(shared->a, "x.org", false, 9, "");
	assert_int_equal(kit_rehold(shared->b, "x.org"), 0);
	kit_expect_take(shared->b, "x.org", false, 9, "M1");
	shared_done(shared->b, "M1", "x.org");
	/* For the first it is gone, whatever it believed. */
	assert_int_equal(kit_rehold(shared->a, "x.org"), 0);
	kit_expect_take(shared->a, "x.org", false, 9, "");
	kit_expect_take(shared->b, "x.org", false, 9, "");
}

/* A removed message cannot be changed by who still has it in the index. */
static void
test_change_of_what_is_gone(void **state)
{
	struct shared *shared = *state;
	size_t changed, leased;

	kit_append_one(shared->a, "M1", 1, "x.org", false);
	place_rescan(shared->b);
	kit_expect_take(shared->b, "x.org", false, 9, "M1");
	assert_int_equal(
	    kit_change(shared->a, STORE_CHANGE_HOLD, "", "", &changed, &leased),
	    0);
	assert_int_equal(changed, 0);
	assert_int_equal(leased, 1);
	shared_done(shared->b, "M1", "x.org");
	assert_int_equal(kit_change(shared->a, STORE_CHANGE_DELETE, "", "",
			     &changed, &leased),
	    0);
	assert_int_equal(changed, 0);
	assert_int_equal(kit_change(shared->a, STORE_CHANGE_DELETE, "", "",
			     &changed, &leased),
	    0);
	assert_int_equal(leased, 0);
}

/* A recipient that is twice in a foreign file is one; so it stays in what is
   written. */
static void
test_twice(void **state)
{
	struct shared *shared = *state;
	struct store_request *find = store_request_new(STORE_FIND);
	size_t changed, leased;

	shared_put(shared, "dfM1", "body\n");
	shared_put(shared, "qfM1",
	    "V8\nT1795295638\nS<a@x.org>\nRPFD:<u@x.org>\nRPFD:u@X.ORG\n"
	    "RPFD:<U@x.org>\nRPFD:<u@x.org>\n.\n");
	place_rescan(shared->a);
	/* Written anew. */
	assert_int_equal(
	    kit_change(shared->a, STORE_CHANGE_HOLD, "", "", &changed, &leased),
	    0);
	assert_int_equal(changed, 2);
	place_rescan(shared->b);
	find->u.find.count = STORE_PAGE_MAX;
	assert_int_equal(kit_run(shared->b, find)->error, 0);
	assert_int_equal(find->u.find.found_count, 1);
	assert_int_equal(find->u.find.found[0].row_count, 2);
	assert_true(str_equal(
	    find->u.find.found[0].rows[1].recipient.address, STR("U@x.org")));
	store_request_free(find);
}

/* What one stops, the other does not send; what it frees, it does. */
static void
test_stopped(void **state)
{
	struct shared *shared = *state;
	struct os_status status;
	size_t changed, leased;

	kit_append_one(shared->a, "M1", 1, "x.org", false);
	place_rescan(shared->b);
	assert_int_equal(kit_change(shared->a, STORE_CHANGE_HOLD, "M1", "",
			     &changed, &leased),
	    0);
	assert_int_equal(changed, 1);
	assert_int_equal(os_status(shared->place.os, "hfM1", &status), 0);
	assert_int_equal(os_status(shared->place.os, "qfM1", &status), -ENOENT);
	kit_expect_take(shared->b, "x.org", false, 9, "");
	assert_int_equal(kit_change(shared->b, STORE_CHANGE_FREE, "M1", "",
			     &changed, &leased),
	    0);
	assert_int_equal(changed, 1);
	assert_int_equal(os_status(shared->place.os, "qfM1", &status), 0);
	kit_expect_take(shared->b, "x.org", false, 9, "M1");
	kit_expect_take(shared->a, "x.org", false, 9, "");
}

/* A quarantined message that is named qf gets its name; locked, later. */
static void
test_quarantined(void **state)
{
	struct shared *shared = *state;
	struct os *os = shared->place.os;
	struct store_request *find = store_request_new(STORE_FIND);
	struct os_status status;
	struct os_file *file;

	shared_put(shared, "dfM1", "body\n");
	shared_put(shared, "qfM1",
	    "V8\nT1795295638\nqspam\nS<a@x.org>\nRPFD:<u@x.org>\n.\n");
	assert_int_equal(os_open(os, "qfM1", OS_READ | OS_WRITE, &file), 0);
	assert_int_equal(os_lock(os, file), 0);
	place_rescan(shared->a);
	assert_int_equal(os_status(os, "qfM1", &status), 0);
	os_close(os, file);
	kit_expect_take(shared->a, "x.org", false, 9, "");
	place_rescan(shared->b);
	assert_int_equal(os_status(os, "qfM1", &status), -ENOENT);
	assert_int_equal(os_status(os, "hfM1", &status), 0);
	kit_expect_take(shared->b, "x.org", false, 9, "");
	place_rescan(shared->a);
	find->u.find.count = STORE_PAGE_MAX;
	assert_int_equal(kit_run(shared->a, find)->error, 0);
	assert_int_equal(find->u.find.found_count, 1);
	assert_true(str_equal(find->u.find.found[0].reason, STR("spam")));
	assert_int_equal(find->u.find.found[0].rows[0].lane, STORE_STOPPED);
	store_request_free(find);
}

static void
shared_count(void *arg, const char *name)
{
	(*(size_t *)arg)++;
}

/* Both work on one heap of mail: each is done once, and nothing is left. */
static void
test_both_at_work(void **state)
{
	struct shared *shared = *state;
	struct store *stores[] = {shared->a, shared->b};
	size_t done = 0, files = 0;
	char id[STORE_ID_MAX + 1];

	for (size_t i = 0; i < SHARED_COUNT; i++) {
		snprintf(id, sizeof(id), "M%zu", i);
		kit_append_one(stores[i % 2], id, i, "x.org", false);
	}
	shared_tick(shared);
	place_rescan(shared->a);
	place_rescan(shared->b);
	for (size_t turn = 0; turn < 4 * SHARED_COUNT; turn++) {
		struct store_request *takes[2];

		for (size_t i = 0; i < 2; i++)
			takes[i] = kit_take(stores[i], "x.org", false, 2);
		for (size_t i = 0; i < 2; i++) {
			for (size_t j = 0; j < takes[i]->u.take.lease_count;
			     j++, done++)
				shared_done(stores[i],
				    takes[i]->u.take.leases[j].id, "x.org");
			store_request_free(takes[i]);
		}
		shared_tick(shared);
	}
	assert_int_equal(done, SHARED_COUNT);
	os_list(shared->place.os, "", shared_count, &files);
	assert_int_equal(files, 0);
}

/* A kill leaves no half of a message that was never accepted, and none of one
   that is done. */
static void
test_rests(void **state)
{
	static const char *const names[] = {"tfNEW", "dfNEW", "xfOLD", "dfOLD"};
	static const char control[] = "V8\nT1795295638\nS<a@x.org>\n"
				      "RPFD:<u@x.org>\nH??X: y\n.\n";
	struct shared *shared = *state;
	struct os *os = shared->place.os;
	struct os_file *file;
	size_t files = 0;

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
		    os_open(os, names[i], OS_WRITE | OS_CREATE, &file), 0);
		assert_int_equal(os_pwrite(os, file,
				     i == 0 ? STR("V8\n${sendq}staged\n")
					    : str_from(control),
				     0),
		    0);
		os_close(os, file);
	}
	/* Not while somebody is at it. */
	assert_int_equal(os_open(os, "tfNEW", OS_READ | OS_WRITE, &file), 0);
	assert_int_equal(os_lock(os, file), 0);
	place_rescan(shared->a);
	os_list(os, "", shared_count, &files);
	assert_int_equal(files, 2);
	os_close(os, file);
	place_rescan(shared->a);
	files = 0;
	os_list(os, "", shared_count, &files);
	assert_int_equal(files, 0);
}

/* A file with more recipients than a message of ours may have: the rest comes
   when the first are done. */
static void
test_very_many(void **state)
{
	struct shared *shared = *state;
	struct os *os = shared->place.os;
	size_t done = 0, count, files = 0;
	struct os_file *file;
	struct buf text;

	buf_init(&text, 1 << 20);
	kit_put(&text, "V8\nT1700000000\nS<a@x.org>\n");
	for (size_t i = 0; i < STORE_RECIPIENTS_MAX + 50; i++)
		kit_put(&text, "RPFD:<u%zu@x.org>\n", i);
	kit_put(&text, "H??X: y\n.\n");
	assert_int_equal(os_open(os, "dfBIG", OS_WRITE | OS_CREATE, &file), 0);
	os_close(os, file);
	assert_int_equal(os_open(os, "qfBIG", OS_WRITE | OS_CREATE, &file), 0);
	assert_int_equal(os_pwrite(os, file, buf_str(&text), 0), 0);
	os_close(os, file);
	buf_fini(&text);
	shared_tick(shared);
	do {
		struct store_request *take =
		    kit_take(shared->a, "x.org", false, 9);

		count = take->u.take.lease_count;
		for (size_t i = 0; i < count; i++) {
			const struct store_lease *l = &take->u.take.leases[i];
			struct store_result results[STORE_LEASE_ROWS_MAX];

			for (size_t j = 0; j < l->row_count; j++)
				results[j] = (struct store_result){
				    .index = l->rows[j].index};
			assert_int_equal(
			    kit_finish(shared->a, kit_settle_new(l->id, "x.org",
						      results, l->row_count)),
			    0);
			done += l->row_count;
		}
		store_request_free(take);
		shared_tick(shared);
	} while (count > 0);
	assert_int_equal(done, STORE_RECIPIENTS_MAX + 50);
	os_list(os, "", shared_count, &files);
	assert_int_equal(files, 0);
}

/* A clock that is only to be logged is no reason to look. */
static void
test_only_log(void **state)
{
	struct shared *shared = *state;
	struct store_request *request = store_request_new(STORE_CLOCK);

	shared_put(shared, "dfM1", "body\n");
	shared_put(
	    shared, "qfM1", "V8\nT1795295638\nS<a@x.org>\nRPFD:<u@x.org>\n.\n");
	request->u.clock.queue_ms = request->u.clock.wall_ms = 1700000000000;
	request->u.clock.is_only_log = true;
	assert_int_equal(kit_run(shared->a, request)->error, 0);
	assert_int_equal(request->totals.messages, 0);
	store_request_free(request);
	place_rescan(shared->a);
	kit_expect_take(shared->a, "x.org", false, 9, "M1");
}

/* What another program has left beside a message goes with it, be it found with
   the message or later. */
static void
test_litter(void **state)
{
	struct shared *shared = *state;
	struct os *os = shared->place.os;
	struct os_file *file;
	size_t files = 0;

	for (int is_late = 0; is_late < 2; is_late++) {
		shared_put(shared, "dfM1", "body\n");
		shared_put(shared, "qfM1",
		    "V8\nT1795295638\nS<a@x.org>\nRPFD:<u@x.org>\n.\n");
		if (is_late) {
			place_rescan(shared->a);
			assert_int_equal(
			    os_open(os, "qfM1", OS_READ | OS_WRITE, &file), 0);
			assert_int_equal(os_lock(os, file), 0);
			kit_expect_take(shared->a, "x.org", false, 9, "");
			os_close(os, file);
		}
		shared_put(shared, "tfM1", "V8\nT1795295638\n");
		shared_put(shared, "xfM1", "451 later\n");
		if (!is_late)
			place_rescan(shared->a);
		kit_expect_take(shared->a, "x.org", false, 9, "M1");
		shared_done(shared->a, "M1", "x.org");
		os_list(os, "", shared_count, &files);
		assert_int_equal(files, 0);
	}
}

static const struct os_ops *quick_ops;

static int
slow_unlink(struct os *os, const char *name)
{
	usleep(3000);
	return quick_ops->unlink(os, name);
}

/* Threads that remove files, on a disk that is slow at it: all is gone when
   nothing is leased any more, and else when the store is closed. */
static void
test_remover(void **state)
{
	struct mqueue_place place = {.is_real = true};
	struct os_ops ops;
	size_t files = 0;
	char id[20];

	for (int is_left = 0; is_left < 2; is_left++) {
		struct store *store = place_open(&place);
		struct remover *r = remover_new(3);

		quick_ops = place.os->ops;
		ops = *quick_ops;
		ops.unlink = slow_unlink;
		place.os->ops = &ops;
		place.os->remover = r;
		for (int i = 0; i < 20; i++) {
			snprintf(id, sizeof(id), "M%02d", i);
			kit_append_one(store, id, 1, "x.org", false);
		}
		store_request_free(kit_take(store, "x.org", false, 20));
		for (int i = is_left; i < 20; i++) {
			snprintf(id, sizeof(id), "M%02d", i);
			shared_done(store, id, "x.org");
		}
		assert_true(remover_is_slow(r));
		files = 0;
		if (!is_left)
			os_list(place.os, "", shared_count, &files);
		assert_int_equal(files, 0);
		store->ops->close(store);
		os_list(place.os, "", shared_count, &files);
		assert_int_equal(files, is_left ? 2 : 0);
		remover_free(r);
		place.os->ops = quick_ops;
		place_remove(&place);
	}
}

#define SHARED_TEST(f)                                                         \
	cmocka_unit_test_setup_teardown(f, shared_setup, shared_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SHARED_TEST(test_lease),
	    SHARED_TEST(test_change_of_what_is_gone),
	    SHARED_TEST(test_twice),
	    SHARED_TEST(test_stopped),
	    SHARED_TEST(test_quarantined),
	    SHARED_TEST(test_both_at_work),
	    SHARED_TEST(test_rests),
	    SHARED_TEST(test_very_many),
	    SHARED_TEST(test_only_log),
	    SHARED_TEST(test_litter),
	    cmocka_unit_test(test_remover),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(place_log, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
