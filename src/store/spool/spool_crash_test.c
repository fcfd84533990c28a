/*
 * Power cuts: before every call that changes the disk it is cloned as the cut
 * may leave it, the clone is opened, looked at, used and opened again; and the
 * power goes once more while the clone recovers.  SENDQ_LONG=1 in the
 * environment tries every way of cutting at every call.
 */
#include "store/spool/spool_trial.h"

struct cut {
	struct trial *trial;
	uint64_t call;  /* of the workload */
	uint64_t inner; /* of the recovery */
	uint64_t state_count;
	char where[120];
	bool is_long;
};

/* After recovery the spool works: a message goes in, comes out, and all is
   there after closing. */
static void
cut_use(struct cut *cut, struct store *store, struct os *os)
{
	static const struct kit_row rows[] = {
	    {"new@d9.org", "d9", false}, {NULL}};
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};
	bool is_dead = false, is_done;

	assert_int_equal(
	    kit_append(store, kit_message("after1", 5, 700, rows)), 0);
	assert_int_equal(
	    kit_append(store, kit_message("after2", 6, 9000, rows)), 0);
	kit_expect_take(store, "d9", false, 1, "after1");
	assert_int_equal(kit_settle(store, "after1", "d9", done, &is_done), 0);
	assert_true(is_done);
	while (store->ops->idle(store))
		;
	store->ops->close(store);
	assert_int_equal(trial_open(os, &is_dead, &store), 0);
	trial_judge(cut->trial, store, cut->where);
	kit_expect_take(store, "d9", false, 2, "after2");
	assert_false(is_dead);
	store->ops->close(store);
}

/* Opens a disk that a cut left. */
static struct store *
cut_open(struct cut *cut, struct os *os)
{
	struct store *store;
	bool is_dead = false;
	int error = trial_open(os, &is_dead, &store);

	if (error != 0 || is_dead)
		fail_msg("%s: open says %d", cut->where, error);
	trial_judge(cut->trial, store, cut->where);
	cut->state_count++;
	return store;
}

/* The power goes again during recovery. */
static void
cut_inner_hook(void *arg, struct os *os)
{
	struct cut *cut = arg;
	uint64_t n = cut->inner++;
	enum os_sim_crash how =
	    (enum os_sim_crash)((n + cut->call) % OS_SIM_CRASHES);
	struct os *clone;
	struct store *store;
	char where[sizeof(cut->where)];

	if (!cut->is_long && (n + cut->call) % 3 != 0)
		return;
	memcpy(where, cut->where, sizeof(where));
	snprintf(cut->where, sizeof(cut->where),
	    "call %llu, then call %llu way %d", KIT_U(cut->call), KIT_U(n),
	    how);
	clone = os_sim_crash(os, how, cut->call * 1000 + n);
	store = cut_open(cut, clone);
	store->ops->close(store);
	os_free(clone);
	memcpy(cut->where, where, sizeof(where));
}

static void
cut_try(struct cut *cut, struct os *os, enum os_sim_crash how, bool is_twice)
{
	struct os *clone = os_sim_crash(os, how, cut->call);
	struct store *store;

	snprintf(cut->where, sizeof(cut->where), "step %llu call %llu way %d",
	    KIT_U(cut->trial->step), KIT_U(cut->call), how);
	cut->inner = 0;
	if (is_twice)
		os_sim_set_hook(clone, cut_inner_hook, cut);
	store = cut_open(cut, clone);
	os_sim_set_hook(clone, NULL, NULL);
	cut_use(cut, store, clone);
	os_free(clone);
}

static void
cut_hook(void *arg, struct os *os)
{
	struct cut *cut = arg;

	cut->call++;
	if (cut->is_long) {
		for (int how = 0; how < OS_SIM_CRASHES; how++)
			cut_try(cut, os, (enum os_sim_crash)how,
			    cut->call % 5 == 0);
		return;
	}
	if (cut->call % 2 == 0)
		cut_try(cut, os,
		    (enum os_sim_crash)(cut->call / 2 % OS_SIM_CRASHES),
		    cut->call % 30 == 0);
}

/* One batch on both engines, with cuts. */
static void
cut_step(struct trial *trial)
{
	struct store_request *requests[TRIAL_BATCH_MAX + 1];
	struct store_request *twins[TRIAL_BATCH_MAX + 1];
	size_t count = trial_make(trial, requests);

	for (size_t i = 0; i < count; i++)
		twins[i] = trial_twin(requests[i]);
	trial_run(trial->ram, twins, count);
	trial_foresee(trial);
	trial_run(trial->spool, requests, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(requests[i]->error, twins[i]->error);
		if (requests[i]->verb == STORE_TAKE)
			trial_note_leases(trial, requests[i]);
		store_request_free(requests[i]);
		store_request_free(twins[i]);
	}
	trial_accept(trial);
	trial->spool->ops->check(trial->spool);
	if (trial_below(trial, 10) == 0)
		trial->spool->ops->idle(trial->spool);
}

static void
cut_run(uint64_t seed, uint64_t step_count, bool is_long)
{
	struct trial *trial = mem_new(1, sizeof(*trial));
	struct cut cut = {.trial = trial, .is_long = is_long};

	trial_begin(trial, seed);
	os_sim_set_hook(trial->os, cut_hook, &cut);
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	for (trial->step = 1; trial->step <= step_count; trial->step++)
		cut_step(trial);
	assert_false(trial->is_dead);
	trial->spool->ops->close(trial->spool);
	trial->spool = NULL;
	os_sim_set_hook(trial->os, NULL, NULL);
	printf("seed %llu: %llu calls, %llu states\n", KIT_U(seed),
	    KIT_U(cut.call), KIT_U(cut.state_count));
	trial_end(trial);
	free(trial);
}

static void
test_cuts(void **state)
{
	const char *text = getenv("SENDQ_LONG");
	bool is_long = text != NULL && strcmp(text, "1") == 0;

	for (uint64_t seed = 1; seed <= (is_long ? 20 : 3); seed++)
		cut_run(seed, is_long ? 150 : 40, is_long);
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
	    cmocka_unit_test(test_cuts),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
