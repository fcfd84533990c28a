/*
 * Queue runs: one at a time, the others wait in order.  Promise: whoever asked
 * gets one RUN_DONE, unless he is gone.
 */
#include "role/queue_run.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#define RUN_LOAD_FACTOR 600000

static void run_advance(struct queue *q, uint64_t now_ms);

static void
run_done_send(struct queue *q, role_peer peer, uint64_t request, int error,
    uint32_t status, uint64_t count)
{
	struct message m = {
	    .type = MESSAGE_RUN_DONE,
	    .u.run_done = {request, error, status, count},
	};

	queue_send(q, peer, &m);
}

static struct queue_run *
run_new(role_peer peer, const struct message *m)
{
	struct queue_run *run = mem_new(1, sizeof(*run));

	run->peer = peer;
	run->request = m->u.run.request;
	run->is_verbose = m->u.run.is_verbose;
	run->is_stopped = m->u.run.is_stopped;
	run->order = m->u.run.order;
	run->age_ms = m->u.run.age_ms;
	run->rank_max = m->u.run.rank_max;
	arena_init(&run->arena, MESSAGE_ARENA_MAX);
	for (size_t i = 0; i < m->u.run.term_count; i++) {
		const struct store_select_term *term = &m->u.run.terms[i];
		struct str text = arena_copy(&run->arena, term->text);

		CHECK(text.data != NULL);
		CHECK(store_select_add(
			  &run->select, term->field, term->is_not, text) == 0);
	}
	return run;
}

static void
run_free(struct queue_run *run)
{
	CHECK(run->in_hand == 0 && run->session_count == 0);
	run_plan_fini(run);
	arena_fini(&run->arena);
	free(run);
}

static void
run_ask_page(struct queue *q)
{
	struct store_request *request = store_request_new(STORE_FIND);

	request->u.find.after_key = q->run->next_key;
	request->u.find.count = STORE_PAGE_MAX;
	request->tag = QUEUE_TAG_RUN;
	q->run->in_hand++;
	q->env->ops->store(q->env, request);
}

static void
run_begin(struct queue *q, uint64_t now_ms)
{
	struct queue_run *run = q->run;

	log_event(LOG_NOTE, "run", "", "terms=%zu verbose=%d",
	    run->select.count, run->is_verbose);
	run->phase = RUN_PLAN;
	if (q->is_run_only) {
		/* The store was opened for it. */
		run_ask_page(q);
		return;
	}
	/* What other programs have queued is to be tried as well. */
	run->in_hand++;
	queue_log_clock(q, now_ms, QUEUE_TAG_RUN);
}

/* Puts RUN behind those that wait; false if there are too many. */
static bool
run_enqueue(struct queue *q, uint64_t now_ms, struct queue_run *run)
{
	struct queue_run **at = &q->run;
	size_t count = 0;

	for (; *at != NULL; at = &(*at)->next)
		count++;
	if (count >= RUN_RUNS_MAX)
		return false;
	*at = run;
	if (count == 0)
		run_begin(q, now_ms);
	return true;
}

int
queue_run_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	struct queue_run *run;

	if (q->is_stopping) {
		run_done_send(q, peer, m->u.run.request, -ESHUTDOWN, 0, 0);
		return 0;
	}
	run = run_new(peer, m);
	if (!run_enqueue(q, now_ms, run)) {
		run_done_send(q, peer, run->request, -EBUSY, 0, 0);
		run_free(run);
	}
	return 0;
}

void
queue_run_every(struct queue *q, uint64_t now_ms)
{
	struct message m = {
	    .type = MESSAGE_RUN, .u.run.age_ms = q->conf->queue_age_ms};
	uint64_t load = q->env->ops->load(q->env);
	struct queue_run *run;

	/* sendmail's rule for what waits for a lower load. */
	if (q->conf->queue_load > 0 && load >= q->conf->queue_load)
		m.u.run.rank_max =
		    MESSAGE_RUN_RANK_BASE +
		    RUN_LOAD_FACTOR / (load - q->conf->queue_load + 1);
	/* A run that lasts longer than the interval is not overtaken. */
	for (run = q->run; run != NULL; run = run->next)
		if (run->peer == 0 && run->request == 0)
			return;
	run = run_new(0, &m);
	if (!run_enqueue(q, now_ms, run))
		run_free(run);
}

/* What was deferred at sites goes back to held. */
static void
run_rehold(struct queue *q)
{
	struct queue_run *run = q->run;
	const struct run_target *target;

	run->phase = RUN_REHOLD;
	for (target = run->targets; target != NULL; target = target->hh.next) {
		struct store_request *request;

		if (!target->is_held)
			continue;
		request = store_request_new(STORE_REHOLD);
		request->u.rehold.destination =
		    arena_copy(&request->arena, str_from(target->name));
		CHECK(request->u.rehold.destination.data != NULL);
		request->tag = QUEUE_TAG_RUN;
		run->in_hand++;
		q->env->ops->store(q->env, request);
	}
}

static void
run_over(struct queue *q, uint64_t now_ms)
{
	struct queue_run *run = q->run;

	/* Who asked is not to believe that all was tried. */
	if (run->error == 0 && run->is_left && !q->is_stopping)
		run->error = -EAGAIN;
	log_event(LOG_NOTE, "run-done", "", "messages=%llu status=%u error=%d",
	    (unsigned long long)run->tried_count, run->status, -run->error);
	run_done_send(q, run->peer, run->request, run->error, run->status,
	    run->tried_count);
	q->run = run->next;
	run_free(run);
	if (q->run != NULL)
		run_begin(q, now_ms);
}

/* A process for one run returns what is over its time, and tells of what is
   late, when all was tried. */
static bool
run_has_alarms(const struct queue *q, uint64_t now_ms)
{
	return q->is_asking_alarm || q->alarm_lease_count > 0 ||
	       q->alarm_ms <= queue_time(q, now_ms);
}

/* True if the store has come by more since the plan: recipients behind so many
   that the index could not have them, or other mail.  Then those that were
   never tried are looked for. */
static bool
run_has_more(const struct queue *q)
{
	const struct queue_run *run = q->run;

	return run->error == 0 && !q->is_stopping &&
	       run->round_count < RUN_ROUNDS_MAX &&
	       q->found_now_count > run->found_count;
}

/* The phase of the run is at its end. */
static void
run_advance(struct queue *q, uint64_t now_ms)
{
	struct queue_run *run = q->run;

	switch (run->phase) {
	case RUN_PLAN:
		break;
	case RUN_GO:
		run_say_strays(q, run->planned_count + 1);
		if (run->next_key != 0 && run->error == 0 && !q->is_stopping) {
			run_plan_clear(run);
			run->phase = RUN_PLAN;
			run_ask_page(q);
		} else if (run_has_more(q)) {
			run_plan_clear(run);
			run->round_count++;
			run->next_key = 0;
			run->phase = RUN_PLAN;
			run_ask_page(q);
		} else {
			run_rehold(q);
		}
		break;
	case RUN_REHOLD:
		/* What was not meant has its time another day. */
		run->phase =
		    q->is_run_only && !run_is_meant(run) ? RUN_ALARM : RUN_OVER;
		if (run->phase == RUN_ALARM)
			q->alarm_ms = 0;
		break;
	case RUN_ALARM:
		if (!run_has_alarms(q, now_ms))
			run->phase = RUN_OVER;
		break;
	case RUN_OVER:
		break;
	}
}

void
queue_run_step(struct queue *q, uint64_t now_ms)
{
	while (q->run != NULL) {
		enum run_phase phase = q->run->phase;

		if (q->is_stopping)
			run_drop_waiting(q->run);
		if (phase == RUN_GO || phase == RUN_ALARM)
			run_go(q, now_ms);
		if (run_is_idle(q->run))
			run_advance(q, now_ms);
		if (q->run->phase == RUN_OVER)
			run_over(q, now_ms);
		else if (q->run->phase == phase)
			return;
	}
}

uint64_t
queue_run_sessions(const struct queue *q)
{
	return q->run != NULL ? q->run->session_count : 0;
}

bool
queue_run_may_alarm(const struct queue *q)
{
	return !q->is_run_only ||
	       (q->run != NULL && q->run->phase == RUN_ALARM);
}

/* A page of what is queued. */
static void
run_found(struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_run *run = q->run;

	if (request->u.find.after_key == 0)
		run->found_count = request->totals.found_count;
	run->error = request->error;
	run->next_key = request->error < 0 ? 0 : request->u.find.next_key;
	if (request->error == 0)
		run_plan_page(q, now_ms, request);
	if (run->next_key != 0 && run->message_count < RUN_MESSAGES_MAX &&
	    !q->is_stopping) {
		run_ask_page(q);
		return;
	}
	run_plan_end(q);
	run->phase = RUN_GO;
}

void
queue_run_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	CHECK(q->run != NULL && q->run->in_hand > 0);
	q->run->in_hand--;
	if (request->verb == STORE_LEASE) {
		run_leased(q, now_ms, request);
		return;
	}
	if (request->verb == STORE_CLOCK)
		run_ask_page(q);
	if (request->verb == STORE_FIND)
		run_found(q, now_ms, request);
	store_request_free(request);
}

void
queue_run_peer_down(struct queue *q, role_peer peer)
{
	for (struct queue_run *run = q->run; run != NULL; run = run->next) {
		if (run->peer != peer)
			continue;
		run->peer = 0;
		/* A process for one run works for one who waits. */
		if (q->is_run_only && run == q->run) {
			run->next_key = 0;
			run->round_count = RUN_ROUNDS_MAX;
			run_drop_waiting(run);
		}
	}
}

void
queue_run_fini(struct queue *q)
{
	while (q->run != NULL) {
		struct queue_run *run = q->run;

		/* What waits for a session is nobody else's. */
		if (run->lease != NULL)
			queue_lease_free(q, run->lease);
		q->run = run->next;
		run->in_hand = run->session_count = 0;
		run_free(run);
	}
}
