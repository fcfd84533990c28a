/*
 * Faults: the first, second, third ... call of the os fails once; each request
 * then either has its effect or has not, nothing that was acknowledged is lost,
 * and a failed sync ends the process.  SENDQ_LONG=1 in the environment tries
 * every call.
 */
#include "store/contract/contract_own.h"
#include "store/spool/spool_trial.h"
#include "unit/apart.h"

#define FAULT_STEPS 60

static bool
fault_is_long(void)
{
	const char *text = getenv("SENDQ_LONG");

	return text != NULL && strcmp(text, "1") == 0;
}

static void fault_judge_cut(
    struct trial *trial, enum os_sim_crash how, const char *where);

/* One batch; what the spool did is then done to the model. */
static void
fault_step(struct trial *trial, int injected)
{
	struct store_request *requests[TRIAL_BATCH_MAX + 1], *twin;
	size_t count = trial_make(trial, requests);
	bool is_stage_failed = false, is_failed = false;

	/* The twins are made before the requests are answered. */
	struct store_request *twins[TRIAL_BATCH_MAX + 1];

	for (size_t i = 0; i < count; i++)
		twins[i] = trial_twin(requests[i]);
	trial_run(trial->spool, requests, count);
	for (size_t i = 0; i < count; i++) {
		int error = requests[i]->error;

		twin = twins[i];
		if (error == 0 || trial->is_dead) {
			trial_run(trial->ram, &twin, 1);
			assert_int_equal(twin->error, 0);
		} else if (error != -EIO && error != injected &&
			   !(error == -EINVAL && is_stage_failed))
			fail_msg("step %llu verb %d error %d",
			    KIT_U(trial->step), requests[i]->verb, error);
		is_failed |= error < 0;
		is_stage_failed |=
		    requests[i]->verb == STORE_STAGE && error < 0;
		if (requests[i]->verb == STORE_TAKE && error == 0)
			trial_note_leases(trial, requests[i]);
		store_request_free(requests[i]);
		store_request_free(twin);
	}
	trial_foresee(trial);
	if (!trial->is_dead)
		trial_accept(trial);
	/* What was refused must not come back. */
	if (is_failed && !trial->is_dead)
		fault_judge_cut(trial, OS_SIM_CRASH_KEPT, "refused, cut");
	if (trial_below(trial, 8) == 0 && !trial->is_dead)
		trial->spool->ops->idle(trial->spool);
}

/* What a power cut leaves now is right. */
static void
fault_judge_cut(struct trial *trial, enum os_sim_crash how, const char *where)
{
	struct os *clone = os_sim_crash(trial->os, how, 1);
	struct store *store;
	bool is_dead = false;
	int error = trial_open(clone, &is_dead, &store);

	if (error != 0 || is_dead)
		fail_msg("%s: open says %d", where, error);
	trial_judge(trial, store, where);
	store->ops->close(store);
	os_free(clone);
}

/* The process ended and begins again without a power cut: it sees what is in
   the page cache, and what it makes of it must then stay. */
static void
fault_restart(struct trial *trial, const char *where)
{
	trial->spool->ops->close(trial->spool);
	trial->is_dead = false;
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	trial_judge(trial, trial->spool, where);
	for (size_t i = 0; i < trial->message_count; i++) {
		struct trial_message *m = &trial->messages[i];

		trial_text(trial->spool, m->id, &m->next);
	}
	trial_accept(trial);
	assert_false(trial->is_dead);
}

/* True if the fault was reached. */
static bool
fault_run(uint64_t n, int error, bool is_dropping)
{
	struct trial *trial = mem_new(1, sizeof(*trial));
	char where[100];
	bool is_reached;

	snprintf(where, sizeof(where), "call %llu error %d dropping %d",
	    KIT_U(n), error, is_dropping);
	trial_begin(trial, 5);
	os_sim_set_sync_drops(trial->os, is_dropping);
	os_sim_fail_at(trial->os, n, error, false);
	if (trial_open(trial->os, &trial->is_dead, &trial->spool) != 0) {
		trial->spool = NULL;
		trial->is_dead = false;
		assert_int_equal(
		    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	}
	for (trial->step = 1; trial->step <= FAULT_STEPS && !trial->is_dead;
	     trial->step++)
		fault_step(trial, error);
	is_reached = os_sim_calls(trial->os) >= n;
	os_sim_fail_at(trial->os, 0, 0, false);
	for (int round = 0; round < 2; round++) {
		bool is_dead = trial->is_dead;

		if (!is_dead)
			trial_judge(trial, trial->spool, where);
		fault_judge_cut(trial, OS_SIM_CRASH_LOST, where);
		fault_judge_cut(trial, OS_SIM_CRASH_KEPT, where);
		fault_judge_cut(trial, OS_SIM_CRASH_SUBSET, where);
		if (!is_dead)
			break;
		fault_restart(trial, where);
	}
	trial_end(trial);
	free(trial);
	return is_reached;
}

struct fault_case {
	uint64_t n;
	int error;
};

static int
fault_apart(void *arg)
{
	const struct fault_case *c = arg;

	return fault_run(c->n, c->error, c->n % 2 == 0);
}

static void
test_one_call_fails(void **state)
{
	static const int errors[] = {-EIO, -ENOSPC};
	uint64_t stride = fault_is_long() ? 1 : 7;

	for (size_t i = 0; i < 2; i++) {
		struct fault_case c = {1, errors[i]};

		while (apart(fault_apart, &c))
			c.n += stride;
		printf("error %d: %llu calls\n", c.error, KIT_U(c.n));
	}
}

/* The disk fills up; what is acknowledged stays, and it goes on when there is
   room again. */
static void
test_disk_full(void **state)
{
	struct trial *trial = mem_new(1, sizeof(*trial));

	trial_begin(trial, 9);
	assert_int_equal(
	    trial_open(trial->os, &trial->is_dead, &trial->spool), 0);
	for (trial->step = 1; trial->step <= 30; trial->step++)
		fault_step(trial, 0);
	for (int round = 0; round < 4; round++) {
		os_sim_set_room(trial->os, (uint64_t)round * 5000);
		for (int i = 0; i < 15; i++)
			fault_step(trial, -ENOSPC);
		assert_false(trial->is_dead);
		trial_judge(trial, trial->spool, "full");
		fault_judge_cut(trial, OS_SIM_CRASH_LOST, "full, cut");
		os_sim_set_room(trial->os, UINT64_MAX);
		for (int i = 0; i < 5; i++)
			fault_step(trial, 0);
	}
	trial_judge(trial, trial->spool, "room again");
	trial_end(trial);
	free(trial);
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
	    cmocka_unit_test(test_one_call_fails),
	    cmocka_unit_test(test_disk_full),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
