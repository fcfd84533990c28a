/*
 * Power cuts: before every call that changes the disk it is cloned as the cut
 * may leave it, the clone is opened, looked at, used and opened again; and the
 * power goes once more while the clone recovers.  SENDQ_LONG=1 in the
 * environment tries every way of cutting at every call.
 */
#include "store/contract/contract_own.h"
#include "store/spool/spool_trial.h"
#include "unit/apart.h"

struct cut {
	struct trial *trial;
	uint64_t call;  /* of the workload */
	uint64_t inner; /* of the recovery */
	uint64_t state_count;
	char where[120];
	uint64_t slice; /* see cut_is_mine() */
	bool is_long;
	bool is_running; /* the spool is open and not being closed */
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
	struct store_info info;
	struct store *store;
	bool is_dead = false;
	int error = trial_open(os, &is_dead, &store);

	if (error != 0 || is_dead)
		fail_msg("%s: open says %d", cut->where, error);
	trial_judge(cut->trial, store, cut->where);
	store->ops->info(store, &info);
	if (info.was_clean && cut->is_running)
		fail_msg("%s: called clean", cut->where);
	cut->state_count++;
	return store;
}

/* How often the way of cutting with most outcomes is tried where all are. */
#define CUT_TRIES 12

static void
cut_inner_try(struct cut *cut, struct os *os, uint64_t n, enum os_sim_crash how)
{
	struct os *clone = os_sim_crash(os, how, cut->call * 1000 + n);
	struct store *store;
	char where[sizeof(cut->where)];

	memcpy(where, cut->where, sizeof(where));
	snprintf(cut->where, sizeof(cut->where),
	    "call %llu, then call %llu way %d", KIT_U(cut->call), KIT_U(n),
	    how);
	store = cut_open(cut, clone);
	store->ops->close(store);
	os_free(clone);
	memcpy(cut->where, where, sizeof(where));
}

/* The power goes again during recovery. */
static void
cut_inner_hook(void *arg, struct os *os)
{
	struct cut *cut = arg;
	uint64_t n = cut->inner++;

	/* The log comes first; what follows is SQLite's. */
	if (!cut->is_long && (n < 4 || n > 14))
		return;
	cut_inner_try(cut, os, n, OS_SIM_CRASH_SUBSET);
	cut_inner_try(cut, os, n,
	    (enum os_sim_crash)((n * 5 + cut->call / 10) % OS_SIM_CRASHES));
}

/* One cut at the call that is being made. */
struct cut_once {
	struct cut *cut;
	struct os *os;
	enum os_sim_crash how;
	bool is_twice; /* and again during recovery */
};

/* The number of states that it looked at. */
static int
cut_try_apart(void *arg)
{
	const struct cut_once *once = arg;
	struct cut *cut = once->cut;
	struct os *clone = os_sim_crash(once->os, once->how, cut->call);
	uint64_t before = cut->state_count;
	struct store *store;

	snprintf(cut->where, sizeof(cut->where), "step %llu call %llu way %d",
	    KIT_U(cut->trial->step), KIT_U(cut->call), once->how);
	cut->inner = 0;
	if (once->is_twice)
		os_sim_set_hook(clone, cut_inner_hook, cut);
	store = cut_open(cut, clone);
	os_sim_set_hook(clone, NULL, NULL);
	cut_use(cut, store, clone);
	os_free(clone);
	before = cut->state_count - before;
	cut->state_count -= before;
	return (int)(before < APART_MAX ? before : APART_MAX);
}

static void
cut_try(struct cut *cut, struct os *os, enum os_sim_crash how, bool is_twice)
{
	struct cut_once once = {cut, os, how, is_twice};

	cut->state_count += (uint64_t)apart(cut_try_apart, &once);
}

/* Where a process has little time a run makes every CUT_SLICES-th cut only, and
   there are as many runs. */
#define CUT_SLICES 16

static uint64_t
cut_slices(void)
{
	return apart_is_needed() ? CUT_SLICES : 1;
}

static bool
cut_is_mine(const struct cut *cut)
{
	return cut->call % cut_slices() == cut->slice;
}

static void
cut_hook(void *arg, struct os *os)
{
	struct cut *cut = arg;

	cut->call++;
	if (!cut_is_mine(cut))
		return;
	if (cut->is_long) {
		for (int how = 0; how < OS_SIM_CRASHES; how++)
			cut_try(cut, os, (enum os_sim_crash)how,
			    cut->call % 40 == 0);
		return;
	}
	if (cut->call % 2 == 0)
		cut_try(cut, os,
		    (enum os_sim_crash)(cut->call / 2 % OS_SIM_CRASHES),
		    cut->call % 10 == 0);
}

static int
cut_all_apart(void *arg)
{
	struct cut_once *once = arg;

	cut_inner_try(once->cut, once->os, once->cut->call, once->how);
	return 1;
}

/* Every way of cutting, several times: for a few calls that matter. */
static void
cut_hook_all(void *arg, struct os *os)
{
	struct cut *cut = arg;

	for (int i = 0; i < OS_SIM_CRASHES + CUT_TRIES; i++) {
		struct cut_once once = {.cut = cut, .os = os};

		once.how = i < OS_SIM_CRASHES ? (enum os_sim_crash)i
		                              : OS_SIM_CRASH_SUBSET;
		cut->call++;
		if (cut_is_mine(cut))
			apart(cut_all_apart, &once);
	}
}

/* One batch of COUNT requests on both engines, with cuts. */
static void
cut_batch(struct trial *trial, struct store_request **requests, size_t count)
{
	struct store_request *twins[TRIAL_BATCH_MAX + 1];

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
}

static void
cut_step(struct trial *trial)
{
	struct store_request *requests[TRIAL_BATCH_MAX + 1];

	cut_batch(trial, requests, trial_make(trial, requests));
	if (trial_below(trial, 10) == 0)
		trial->spool->ops->idle(trial->spool);
}

/* Appends messages of all three sizes in one batch. */
static void
cut_append(struct trial *trial, size_t first, size_t second, size_t third)
{
	struct store_request *requests[TRIAL_BATCH_MAX + 1];

	trial_make_append(trial, first, false, &requests[0]);
	trial_make_append(trial, second, false, &requests[1]);
	trial_make_append(trial, third, false, &requests[2]);
	cut_batch(trial, requests, 3);
}

/* Batches that begin segments: what is torn at their very beginning. */
static int
new_segment_slice(void *arg)
{
	struct trial *trial = mem_new(1, sizeof(*trial));
	struct cut cut = {
	    .trial = trial, .is_running = true, .slice = *(uint64_t *)arg};

	trial_begin(trial, 1);
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	cut_append(trial, 3900, 10, 10);
	os_sim_set_hook(trial->os, cut_hook_all, &cut);
	for (trial->step = 1; trial->step <= 4; trial->step++)
		cut_append(trial, 3900, 10, 10);
	os_sim_set_hook(trial->os, NULL, NULL);
	trial_end(trial);
	free(trial);
	return 0;
}

static void
test_new_segment(void **state)
{
	for (uint64_t slice = 0; slice < cut_slices(); slice++)
		apart(new_segment_slice, &slice);
}

/* The power goes at every call while a spool recovers what it had said to be
   durable. */
static int
recovery_slice(void *arg)
{
	struct trial *trial = mem_new(1, sizeof(*trial));
	struct cut cut = {
	    .trial = trial, .is_running = true, .slice = *(uint64_t *)arg};
	struct os *clone;
	struct store *store;

	trial_begin(trial, 2);
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	cut_append(trial, 300, 300, 300);
	cut_append(trial, 1300, 10, 900);
	clone = os_sim_crash(trial->os, OS_SIM_CRASH_LOST, 1);
	os_sim_set_hook(clone, cut_hook_all, &cut);
	store = cut_open(&cut, clone);
	os_sim_set_hook(clone, NULL, NULL);
	store->ops->close(store);
	os_free(clone);
	trial_end(trial);
	free(trial);
	return 0;
}

static void
test_recovery(void **state)
{
	for (uint64_t slice = 0; slice < cut_slices(); slice++)
		apart(recovery_slice, &slice);
}

/* A trial, and which of its calls are tried. */
struct cut_plan {
	uint64_t seed, step_count, slice;
	bool is_long;
};

static int
cut_run(void *arg)
{
	const struct cut_plan *plan = arg;
	struct trial *trial = mem_new(1, sizeof(*trial));
	struct cut cut = {
	    .trial = trial, .is_long = plan->is_long, .slice = plan->slice};

	trial_begin(trial, plan->seed);
	os_sim_set_hook(trial->os, cut_hook, &cut);
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	cut.is_running = true;
	for (trial->step = 1; trial->step <= plan->step_count; trial->step++)
		cut_step(trial);
	cut.is_running = false;
	assert_false(trial->is_dead);
	trial->spool->ops->close(trial->spool);
	trial->spool = NULL;
	os_sim_set_hook(trial->os, NULL, NULL);
	printf("seed %llu: %llu calls, %llu states\n", KIT_U(plan->seed),
	    KIT_U(cut.call), KIT_U(cut.state_count));
	trial_end(trial);
	free(trial);
	return 0;
}

static void
test_cuts(void **state)
{
	const char *text = getenv("SENDQ_LONG");
	bool is_long = text != NULL && strcmp(text, "1") == 0;

	struct cut_plan plan = {
	    .step_count = is_long ? 100 : 40, .is_long = is_long};

	for (plan.seed = 1; plan.seed <= (is_long ? 3 : 2); plan.seed++)
		for (plan.slice = 0; plan.slice < cut_slices(); plan.slice++)
			apart(cut_run, &plan);
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
	    cmocka_unit_test(test_new_segment),
	    cmocka_unit_test(test_recovery),
	    cmocka_unit_test(test_cuts),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
