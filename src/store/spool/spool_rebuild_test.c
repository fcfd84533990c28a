/*
 * The index can be lost and is made anew from the log; single flipped bits are
 * found, wherever they are, and hurt one message at most; the lock; cleaning.
 */
#include "store/contract/contract_own.h"
#include "store/spool/spool_trial.h"
#include "unit/apart.h"

#define REBUILD_STEPS 120
#define REBUILD_FLIPS 40

static void
rebuild_step(struct trial *trial)
{
	struct store_request *requests[TRIAL_BATCH_MAX + 1];
	struct store_request *twins[TRIAL_BATCH_MAX + 1];
	size_t count = trial_make(trial, requests);

	for (size_t i = 0; i < count; i++)
		twins[i] = trial_twin(requests[i]);
	trial_run(trial->ram, twins, count);
	trial_run(trial->spool, requests, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(requests[i]->error, twins[i]->error);
		if (requests[i]->verb == STORE_TAKE)
			trial_note_leases(trial, requests[i]);
		store_request_free(requests[i]);
		store_request_free(twins[i]);
	}
	if (trial_below(trial, 5) == 0)
		trial->spool->ops->idle(trial->spool);
}

static void
rebuild_open(struct trial *trial)
{
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
}

static void
rebuild_close(struct trial *trial)
{
	trial->spool->ops->close(trial->spool);
	trial->spool = NULL;
}

/* A trial that has run, with its spool closed. */
static struct trial *
rebuild_begin(uint64_t seed, size_t step_count)
{
	struct trial *trial = mem_new(1, sizeof(*trial));

	trial_begin(trial, seed);
	rebuild_open(trial);
	for (size_t i = 0; i < step_count; i++)
		rebuild_step(trial);
	trial_foresee(trial);
	trial_accept(trial);
	trial_judge(trial, trial->spool, "before");
	rebuild_close(trial);
	return trial;
}

static void
rebuild_end(struct trial *trial)
{
	trial_end(trial);
	free(trial);
}

/* The whole listing is the same after the index was removed. */
static void
test_index_removed(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct trial *trial = rebuild_begin(seed, REBUILD_STEPS);
		struct store_info info;
		struct buf before, after;

		rebuild_open(trial);
		before = kit_state(trial->spool);
		trial->spool->ops->info(trial->spool, &info);
		assert_true(info.was_clean);
		rebuild_close(trial);
		assert_int_equal(os_unlink(trial->os, "queue.db"), 0);
		rebuild_open(trial);
		trial->spool->ops->info(trial->spool, &info);
		assert_false(info.was_clean);
		assert_true(info.recovered_count > 0);
		assert_true(info.queue_ms > 1000);
		after = kit_state(trial->spool);
		kit_expect_same(&before, &after);
		trial_judge(trial, trial->spool, "removed");
		for (size_t i = 0; i < 10; i++) {
			trial->lease_count = 0;
			rebuild_step(trial);
		}
		rebuild_end(trial);
	}
}

struct rebuild_names {
	char names[40][60];
	size_t count;
};

static void
rebuild_name(void *arg, const char *name)
{
	struct rebuild_names *names = arg;

	if (names->count < 40)
		snprintf(names->names[names->count++], 60, "log/%s", name);
}

static uint64_t
rebuild_size(struct os *os, const char *name)
{
	struct os_file *file;
	uint64_t size = 0;

	assert_int_equal(os_open(os, name, OS_READ, &file), 0);
	assert_int_equal(os_size(os, file, &size), 0);
	os_close(os, file);
	return size;
}

/* A flipped bit anywhere in the index changes nothing that can be seen. */
static void
test_index_flipped(void **state)
{
	struct trial *trial = rebuild_begin(3, REBUILD_STEPS);
	uint64_t size = rebuild_size(trial->os, "queue.db");

	for (uint64_t at = 3; at < size; at += 2971) {
		struct os *clone =
		    os_sim_crash(trial->os, OS_SIM_CRASH_KEPT, 1);
		struct store *store;
		bool is_dead = false;

		assert_int_equal(os_sim_flip(clone, "queue.db", at), 0);
		assert_int_equal(trial_open(clone, &is_dead, &store), 0);
		trial_judge(trial, store, "index flipped");
		store->ops->check(store);
		store->ops->close(store);
		assert_false(is_dead);
		os_free(clone);
	}
	rebuild_end(trial);
}

/* How many messages that should be there are missing or unreadable.  Others
   may be set back, where the record of a change was hurt. */
static size_t
rebuild_hurt(struct trial *trial, struct store *store, bool is_listed)
{
	size_t hurt = 0;
	struct buf text;

	buf_init(&text, TRIAL_TEXT_MAX);
	for (size_t i = 0; i < trial->message_count; i++) {
		const struct trial_message *m = &trial->messages[i];
		bool is_same;

		trial_text(store, m->id, &text);
		is_same = str_equal(buf_str(&text), buf_str(&m->now));
		/* With its index nothing but content can be hurt. */
		assert_true(is_same || !is_listed);
		if (buf_size(&m->now) > 0)
			hurt += buf_size(&text) == 0 ||
			        !trial_has_content(store, m);
	}
	buf_fini(&text);
	return hurt;
}

/* A bit of the log that is flipped. */
struct rebuild_flip {
	struct trial *trial;
	const char *name;
	uint64_t at;
	bool is_listed; /* with its index */
};

/* Those every STRIDE bytes before END. */
struct rebuild_flips {
	struct rebuild_flip first;
	uint64_t end, stride;
};

/* How many messages it hurts. */
static int
rebuild_flip(void *arg)
{
	const struct rebuild_flip *flip = arg;
	struct os *clone = os_sim_crash(flip->trial->os, OS_SIM_CRASH_KEPT, 1);
	struct store *store;
	bool is_dead = false;
	size_t hurt;

	assert_int_equal(os_sim_flip(clone, flip->name, flip->at), 0);
	if (!flip->is_listed)
		os_unlink(clone, "queue.db");
	assert_int_equal(trial_open(clone, &is_dead, &store), 0);
	store->ops->check(store);
	hurt = rebuild_hurt(flip->trial, store, flip->is_listed);
	if (hurt > 1)
		fail_msg(
		    "%s at %llu hurts %zu", flip->name, KIT_U(flip->at), hurt);
	store->ops->close(store);
	os_free(clone);
	return (int)hurt;
}

/* Some of one file, a process for each; how many messages were hurt. */
static int
rebuild_flip_some(void *arg)
{
	struct rebuild_flips *flips = arg;
	struct rebuild_flip flip = flips->first;
	int hurt = 0;

	for (; flip.at < flips->end; flip.at += flips->stride) {
		flip.is_listed = flip.at / flips->stride % 2 == 0;
		hurt += apart(rebuild_flip, &flip);
	}
	return hurt;
}

/* A flipped bit anywhere in the log hurts one message at most: one that cannot
   be read, or, without the index, one that is missing. */
static void
test_log_flipped(void **state)
{
	struct trial *trial = rebuild_begin(4, REBUILD_STEPS);
	struct rebuild_names names = {.count = 0};
	size_t hurt_count = 0, state_count = 0;
	const char *text = getenv("SENDQ_LONG");
	uint64_t stride = text != NULL && strcmp(text, "1") == 0 ? 29 : 397;

	assert_int_equal(os_list(trial->os, "log", rebuild_name, &names), 0);
	for (size_t i = 0; i < names.count; i++) {
		uint64_t size = rebuild_size(trial->os, names.names[i]);

		for (uint64_t at = i % stride; at < size;
		     at += stride * REBUILD_FLIPS) {
			struct rebuild_flips flips = {
			    {trial, names.names[i], at, true}, size, stride};

			if (flips.end > at + stride * REBUILD_FLIPS)
				flips.end = at + stride * REBUILD_FLIPS;
			hurt_count += (size_t)apart(rebuild_flip_some, &flips);
			state_count += (flips.end - at + stride - 1) / stride;
		}
	}
	printf("%zu flips, %zu messages hurt\n", state_count, hurt_count);
	assert_true(hurt_count > 0);
	rebuild_end(trial);
}

static void
test_lock(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store, *second;
	bool is_dead = false;

	assert_int_equal(trial_open(os, &is_dead, &store), 0);
	assert_int_equal(trial_open(os, &is_dead, &second), -EWOULDBLOCK);
	assert_null(second);
	store->ops->close(store);
	assert_int_equal(trial_open(os, &is_dead, &store), 0);
	store->ops->close(store);
	os_free(os);
}

/* One message stays at the front while many come and go: the log does not grow
   with those that went. */
static void
test_cleaning(void **state)
{
	static const struct kit_row old[] = {
	    {"a@old.org", "old", true}, {"b@old.org", "old", true}, {NULL}};
	struct os *os = os_sim_new(1);
	struct rebuild_names names = {.count = 0};
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};
	struct store_result later = {
	    1, STORE_DEFERRED, 5000, STR("451 no"), 9000, true};
	struct buf before, after;
	struct store *store;
	bool is_dead = false;
	char id[16];

	assert_int_equal(trial_open(os, &is_dead, &store), 0);
	assert_int_equal(
	    kit_append(store, kit_message("old", 1, 3000, old)), 0);
	kit_expect_take(store, "old", true, 1, "old");
	assert_int_equal(kit_settle(store, "old", "old", done, NULL), 0);
	kit_expect_take(store, "old", true, 1, "old");
	assert_int_equal(kit_settle(store, "old", "old", later, NULL), 0);
	for (size_t i = 0; i < 400; i++) {
		snprintf(id, sizeof(id), "N%zu", i);
		kit_append_one(store, id, i + 2, "new", false);
		kit_expect_take(store, "new", false, 1, id);
		assert_int_equal(kit_settle(store, id, "new", done, NULL), 0);
		store->ops->idle(store);
	}
	for (size_t i = 0; store->ops->idle(store); i++)
		assert_true(i < 1000);
	assert_int_equal(os_list(os, "log", rebuild_name, &names), 0);
	assert_true(names.count <= 4);
	/* The copy alone is enough. */
	before = kit_state(store);
	store->ops->close(store);
	assert_int_equal(os_unlink(os, "queue.db"), 0);
	assert_int_equal(trial_open(os, &is_dead, &store), 0);
	after = kit_state(store);
	kit_expect_same(&before, &after);
	contract_expect_content(store, "old", 3000);
	store->ops->close(store);
	os_free(os);
}

static void
test_sink(enum log_level level, struct str line)
{
	fprintf(stderr, "%.*s\n", STR_ARG(line));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lock),
	    cmocka_unit_test(test_cleaning),
	    cmocka_unit_test(test_index_removed),
	    cmocka_unit_test(test_index_flipped),
	    cmocka_unit_test(test_log_flipped),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
