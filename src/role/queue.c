/*
 * The queue role: start, clock, dispatch, and what is due when.
 *
 * Queue time never goes back and does not jump with the wall clock: it is the
 * monotonic clock while the role runs, plus the wall clock's gap over a stop
 * where that is between 0 and 30 days.  It is logged each minute.
 *
 * It trusts its peers for the form of what they say only as far as
 * role/message.h checks it; numbers that name nothing are ignored, since what
 * they named may be gone.
 */
#include "role/queue.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "role/queue_release.h"
#include "role/roles.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE_CLOCK_MS 60000

uint64_t
queue_time(const struct queue *q, uint64_t now_ms)
{
	return q->base_ms + now_ms;
}

static void
queue_ask_destinations(
    struct queue *q, uint64_t now_ms, struct str after, bool is_ready)
{
	struct store_request *request = store_request_new(STORE_DESTINATIONS);

	request->u.destinations.after = arena_copy(&request->arena, after);
	CHECK(request->u.destinations.after.data != NULL);
	request->u.destinations.is_ready = is_ready;
	request->u.destinations.now_ms = queue_time(q, now_ms);
	request->u.destinations.count = STORE_PAGE_MAX;
	q->is_asking_destinations = true;
	q->env->ops->store(q->env, request);
}

static void *
queue_new(struct role_env *env, const struct conf *conf,
    const struct store_info *info, uint64_t now_ms, bool is_run_only)
{
	struct queue *q = mem_new(1, sizeof(*q));
	unsigned char random[NEWID_RANDOM];
	struct sched_options options = {
	    .sessions_max = num_narrow_u32(conf->deliveries_max),
	    .host_sessions_max = num_narrow_u32(conf->deliveries_host_max),
	    .destinations_max = num_narrow_u32(conf->destinations_max),
	    .retry_min_ms = conf->retry_min_ms,
	    .retry_max_ms = conf->retry_max_ms,
	    .release_time_ms = conf->release_time_ms,
	};

	q->env = env;
	q->conf = conf;
	q->sched = sched_new(&options);
	env->ops->random(env, random, sizeof(random));
	newid_init(&q->newid, random);
	q->base_ms = store_time_resumed(info, env->ops->wall_ms(env)) - now_ms;
	q->is_resuming =
	    info->queue_ms > 0 &&
	    queue_time(q, now_ms) - info->queue_ms <= conf->release_time_ms;
	q->refill_ms = UINT64_MAX;
	queue_room_init(q, &info->totals);
	q->is_run_only = is_run_only;
	/* The first run by the clock is at once. */
	q->run_ms = is_run_only || conf->queue_interval_ms == 0
	                ? UINT64_MAX
	                : queue_time(q, now_ms);
	/* Everything that is queued is looked at once: what may go, goes, and
	   what was held for a site that is not held any more goes too. */
	if (is_run_only)
		q->due_ms = UINT64_MAX;
	else
		queue_ask_destinations(q, now_ms, STR(""), false);
	queue_step(q, now_ms);
	return q;
}

void *
role_queue_new(struct role_env *env, const struct conf *conf,
    const struct store_info *info, uint64_t now_ms)
{
	return queue_new(env, conf, info, now_ms, false);
}

void *
role_queue_new_run(struct role_env *env, const struct conf *conf,
    const struct store_info *info, uint64_t now_ms)
{
	return queue_new(env, conf, info, now_ms, true);
}

void
role_queue_free(void *role)
{
	struct queue *q = role;

	while (q->peer_count > 0)
		role_queue_ops.peer_down(
		    q, 0, q->peers[q->peer_count - 1].peer);
	queue_run_fini(q);
	sched_free(q->sched);
	queue_room_fini(q);
	queue_host_fini(q);
	free(q->released);
	free(q->fix);
	free(q);
}

void
queue_send(struct queue *q, role_peer peer, const struct message *m)
{
	struct buf frame;

	if (peer == 0)
		return;
	buf_init(&frame, MESSAGE_FRAME_MAX);
	if (message_encode(&frame, m) < 0)
		log_event(
		    LOG_ERROR, "frame-too-large", "", "type=%d", (int)m->type);
	else
		(void)q->env->ops->send(q->env, peer, buf_str(&frame));
	buf_fini(&frame);
}

void
queue_ready(struct queue *q, const struct route *route, uint64_t count)
{
	struct sched_target target = route_target(route);

	(void)sched_ready(q->sched, &target, count);
}

int
queue_add_row(struct queue *q, struct store_message *message, size_t capacity,
    const struct mail_recipient *recipient)
{
	struct store_row *row;
	struct route route;
	char domain[MAIL_DOMAIN_MAX + 1];
	int error;

	if (message->row_count == capacity)
		return -ENOBUFS;
	error = route_of_address(q->conf, recipient->address, &route, domain);
	if (error < 0)
		return error;
	row = &message->rows[message->row_count];
	error =
	    mail_recipient_copy(&message->arena, recipient, &row->recipient);
	row->destination = arena_copy(&message->arena, str_from(route.name));
	row->domain = arena_copy(&message->arena, str_from(domain));
	row->is_held = route.is_held;
	row->alarm_ms = queue_alarm_time(
	    &route, message->arrival_ms, &message->envelope, recipient, false);
	if (message->expire_ms < message->arrival_ms + route.expire_ms)
		message->expire_ms = message->arrival_ms + route.expire_ms;
	if (error < 0 || row->destination.data == NULL ||
	    row->domain.data == NULL)
		return -ENOBUFS;
	message->row_count++;
	return 0;
}

void
queue_appended(struct queue *q, const struct store_message *message)
{
	struct route route;
	uint64_t count = 0;

	queue_room_appended(q, message);
	for (size_t i = 0; i < message->row_count; i++) {
		queue_alarm_at(q, message->rows[i].alarm_ms);
		count++;
		if (i + 1 < message->row_count &&
		    str_equal(message->rows[i].destination,
			message->rows[i + 1].destination))
			continue;
		if (route_of_destination(
			q->conf, message->rows[i].destination, &route) == 0)
			queue_ready(q, &route,
			    (count + STORE_LEASE_ROWS_MAX - 1) /
				STORE_LEASE_ROWS_MAX);
		count = 0;
	}
}

/* The run of a held destination is over. */
static void
queue_run_over(struct queue *q, const struct sched_decision *decision)
{
	struct store_request *request = store_request_new(STORE_REHOLD);

	request->u.rehold.destination =
	    arena_copy(&request->arena, str_from(decision->name));
	CHECK(request->u.rehold.destination.data != NULL);
	log_event(LOG_NOTE, "run-over", "", "destination=%s reason=%s",
	    decision->name, decision->is_empty ? "empty" : "host-failed");
	q->env->ops->store(q->env, request);
	queue_release_over(q, decision->name);
}

static void
queue_park(struct queue *q, const struct sched_decision *decision)
{
	struct store_request *request = store_request_new(STORE_PARK);

	request->u.park.destination =
	    arena_copy(&request->arena, str_from(decision->name));
	CHECK(request->u.park.destination.data != NULL);
	request->u.park.due_ms = decision->due_ms;
	request->u.park.failures = decision->failures;
	if (decision->due_ms < q->refill_ms)
		q->refill_ms = decision->due_ms;
	q->env->ops->store(q->env, request);
}

static void
queue_decide(struct queue *q, uint64_t now_ms)
{
	for (;;) {
		struct sched_decision decision =
		    sched_next(q->sched, queue_time(q, now_ms));

		switch (decision.act) {
		case SCHED_NOTHING:
			return;
		case SCHED_START:
			queue_session_start(q, now_ms, &decision);
			break;
		case SCHED_OVER:
			queue_run_over(q, &decision);
			break;
		case SCHED_PARK:
			queue_park(q, &decision);
			break;
		}
	}
}

void
queue_log_clock(struct queue *q, uint64_t now_ms, uint64_t tag)
{
	struct store_request *request = store_request_new(STORE_CLOCK);

	request->tag = tag;
	request->u.clock.queue_ms = queue_time(q, now_ms);
	request->u.clock.wall_ms = q->env->ops->wall_ms(q->env);
	request->u.clock.is_only_log =
	    tag == 0 && (q->clock_ms == 0 || q->is_stopping);
	q->clock_ms = queue_time(q, now_ms) + QUEUE_CLOCK_MS;
	q->env->ops->store(q->env, request);
}

static void
queue_ask_due(struct queue *q, uint64_t now_ms)
{
	struct store_request *request = store_request_new(STORE_DUE);

	request->u.due.now_ms = queue_time(q, now_ms);
	q->is_asking_due = true;
	q->due_ms = UINT64_MAX;
	q->env->ops->store(q->env, request);
}

static uint64_t
queue_earliest(const struct queue *q)
{
	uint64_t at = sched_due(q->sched);

	if (q->clock_ms < at)
		at = q->clock_ms;
	if (!q->is_asking_due && q->due_ms < at)
		at = q->due_ms;
	if (q->run_ms < at)
		at = q->run_ms;
	if (queue_alarm_may_ask(q) && q->alarm_ms < at)
		at = q->alarm_ms;
	if (!q->is_asking_destinations && q->refill_ms < at)
		at = q->refill_ms;
	if (q->again_ms > 0 && q->again_ms < at)
		at = q->again_ms;
	if (!q->room.is_looking && q->room.look_ms < at)
		at = q->room.look_ms;
	return at;
}

void
queue_step(struct queue *q, uint64_t now_ms)
{
	uint64_t time_ms = queue_time(q, now_ms), at;

	queue_room_step(q, now_ms);
	/* Sessions of runs count, too. */
	sched_limit(q->sched,
	    num_narrow_u32(q->conf->deliveries_max - queue_run_sessions(q)));
	if (!q->is_stopping && !q->is_run_only)
		queue_decide(q, now_ms);
	if (time_ms >= q->run_ms) {
		q->run_ms = time_ms + q->conf->queue_interval_ms;
		queue_run_every(q, now_ms);
	}
	queue_run_step(q, now_ms);
	if (time_ms >= q->clock_ms)
		queue_log_clock(q, now_ms, 0);
	if (!q->is_asking_due && time_ms >= q->due_ms)
		queue_ask_due(q, now_ms);
	if (queue_alarm_may_ask(q) && time_ms >= q->alarm_ms)
		queue_alarm_ask(q, now_ms);
	if (!q->is_asking_destinations &&
	    (sched_wants_more(q->sched) || time_ms >= q->refill_ms)) {
		sched_asked_more(q->sched);
		q->refill_ms = UINT64_MAX;
		queue_ask_destinations(q, now_ms, STR(""), true);
	}
	at = queue_earliest(q);
	at = at == UINT64_MAX ? at : at - q->base_ms;
	if (at != q->wake_ms) {
		q->wake_ms = at;
		q->env->ops->wake_at(q->env, at);
	}
}

static void
queue_due_stored(struct queue *q, struct store_request *request)
{
	struct route route;

	q->is_asking_due = false;
	if (request->u.due.next_due_ms > 0 &&
	    request->u.due.next_due_ms < q->due_ms)
		q->due_ms = request->u.due.next_due_ms;
	for (size_t i = 0; i < request->u.due.moved_to_count; i++)
		if (route_of_destination(
			q->conf, request->u.due.moved[i], &route) == 0)
			queue_ready(q, &route, 1);
}

/* A destination that the store found; IS_START: when the role began. */
static bool
queue_found_destination(
    struct queue *q, const struct store_destination *d, bool is_start)
{
	uint64_t rows = d->rows[STORE_READY];
	uint64_t leases = rows < d->messages ? rows : d->messages;
	struct sched_target target;
	struct route route;

	if (route_of_destination(q->conf, d->name, &route) < 0) {
		/* Its mail waits for an administrator, or for its end. */
		if (is_start)
			log_event(LOG_WARN, "no-route", "",
			    "destination=%.*s messages=%llu", STR_ARG(d->name),
			    (unsigned long long)d->messages);
		return true;
	}
	if (is_start) {
		queue_steer_note(q, d, &route);
		queue_release_resume(q, d, &route);
	}
	if (route.is_held || rows == 0)
		return true;
	target = route_target(&route);
	return sched_unpark(
	    q->sched, &target, leases, queue_release_failures(d));
}

static void
queue_destinations_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	const struct store_destination *found =
	    request->u.destinations.destinations;
	size_t count = request->u.destinations.destination_count;
	uint64_t next_ms = request->u.destinations.next_due_ms;
	bool is_start = !request->u.destinations.is_ready, has_room = true;

	q->is_asking_destinations = false;
	if (next_ms > 0 && next_ms < q->refill_ms)
		q->refill_ms = next_ms;
	/* At start each is looked at; the store remembers what is ready. */
	for (size_t i = 0; i < count && (has_room || is_start); i++)
		has_room &= queue_found_destination(q, &found[i], is_start);
	if ((has_room || is_start) && count == STORE_PAGE_MAX)
		queue_ask_destinations(
		    q, now_ms, found[count - 1].name, !is_start);
	else if (is_start)
		queue_steer_fix(q);
}

/* Tags of other requests are not numbers of ours alone. */
static bool
queue_is_of_run(const struct store_request *request)
{
	return (request->verb == STORE_FIND || request->verb == STORE_LEASE ||
		   request->verb == STORE_REHOLD ||
		   request->verb == STORE_CLOCK) &&
	       (request->tag & QUEUE_TAG_RUN) != 0;
}

static bool
queue_is_of_alias(const struct store_request *request)
{
	return (request->verb == STORE_FIND || request->verb == STORE_READ) &&
	       (request->tag & QUEUE_TAG_AGAIN) != 0;
}

/* The store has come by mail that it was not given: it is asked what is ready,
   and what is late.  A run that is at work has the first go at it, for as long
   as it might have taken to be seen. */
static void
queue_look_again(
    struct queue *q, uint64_t now_ms, const struct store_request *request)
{
	uint64_t ready_ms;

	q->found_now_count = request->totals.found_count;
	if (request->totals.found_count == q->found_count || q->is_run_only)
		return;
	q->found_count = request->totals.found_count;
	ready_ms =
	    queue_time(q, now_ms) + (q->run != NULL ? QUEUE_CLOCK_MS : 0);
	if (ready_ms < q->refill_ms)
		q->refill_ms = ready_ms;
	queue_alarm_at(q, queue_time(q, now_ms));
}

/* An answer of the store that is no run's and no alias's. */
static void
queue_answer(struct queue *q, uint64_t now_ms, struct store_request *request)
{
	switch (request->verb) {
	case STORE_APPEND:
	case STORE_STAGE:
	case STORE_UNSTAGE:
		queue_intake_stored(q, now_ms, request);
		break;
	case STORE_TAKE:
		queue_session_taken(q, now_ms, request);
		request = NULL; /* kept by its leases */
		break;
	case STORE_SETTLE:
		queue_settle_stored(q, now_ms, request);
		request = NULL; /* kept until it succeeds */
		break;
	case STORE_READ:
		if ((request->tag & QUEUE_TAG_DSN) != 0)
			queue_settle_read(q, now_ms, request);
		else
			queue_session_read(q, request);
		break;
	case STORE_DUE:
		queue_due_stored(q, request);
		break;
	case STORE_ALARM:
		queue_alarm_stored(q, now_ms, request);
		request = NULL; /* kept by its leases */
		break;
	case STORE_DESTINATIONS:
		if (request->tag == 0) {
			queue_destinations_stored(q, now_ms, request);
			break;
		}
		/* A listing. */
		__attribute__((fallthrough));
	case STORE_COUNT:
		if ((request->tag & QUEUE_TAG_ROOM) != 0) {
			queue_room_counted(q, request);
			break;
		}
		__attribute__((fallthrough));
	case STORE_FIND:
	case STORE_CHANGE:
	case STORE_MOVE:
	case STORE_LEASE:
		queue_admin_stored(q, now_ms, request);
		request = NULL;
		break;
	case STORE_REHOLD:
	case STORE_PARK:
	case STORE_CLOCK:
		break;
	case STORE_VERBS:
		CHECK(false);
	}
	store_request_free(request);
}

static void
queue_stored(void *role, uint64_t now_ms, struct store_request *request)
{
	struct queue *q = role;

	queue_room_told(q, now_ms, request);
	queue_look_again(q, now_ms, request);
	if (queue_is_of_run(request))
		queue_run_stored(q, now_ms, request);
	else if (queue_is_of_alias(request))
		queue_again_stored(q, now_ms, request);
	else
		queue_answer(q, now_ms, request);
	queue_step(q, now_ms);
}

static struct queue_peer *
queue_peer_find(struct queue *q, role_peer peer)
{
	for (size_t i = 0; i < q->peer_count; i++)
		if (q->peers[i].peer == peer)
			return &q->peers[i];
	return NULL;
}

static void
queue_peer_up(void *role, uint64_t now_ms, role_peer peer, enum role_kind kind)
{
	struct queue *q = role;

	CHECK(q->peer_count < QUEUE_PEERS_MAX);
	q->peers[q->peer_count++] =
	    (struct queue_peer){.peer = peer, .kind = kind};
	if (kind == ROLE_RECEIVE)
		queue_room_greet(q, peer);
	queue_step(q, now_ms);
}

static void
queue_peer_down(void *role, uint64_t now_ms, role_peer peer)
{
	struct queue *q = role;
	struct queue_peer *found = queue_peer_find(q, peer);

	if (found == NULL)
		return;
	*found = q->peers[--q->peer_count];
	queue_intake_peer_down(q, peer);
	queue_session_peer_down(q, now_ms, peer);
	queue_admin_peer_down(q, peer);
	queue_run_peer_down(q, peer);
	queue_step(q, now_ms);
}

static int
queue_dispatch(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	switch (m->type) {
	case MESSAGE_INTAKE_OPEN:
	case MESSAGE_INTAKE_RECIPIENT:
	case MESSAGE_INTAKE_CONTENT:
	case MESSAGE_INTAKE_COMMIT:
	case MESSAGE_INTAKE_ABORT:
		return queue_intake_message(q, now_ms, peer, m);
	case MESSAGE_SESSION_NEXT:
	case MESSAGE_BLOCK_WANT:
	case MESSAGE_JOB_RESULT:
	case MESSAGE_SESSION_END:
		return queue_session_message(q, now_ms, peer, m);
	case MESSAGE_TRACE:
		queue_run_trace(q, m);
		return 0;
	case MESSAGE_RUN:
		return queue_run_message(q, now_ms, peer, m);
	case MESSAGE_TRIGGER:
	case MESSAGE_LIST:
	case MESSAGE_CHANGE:
		return queue_admin_message(q, now_ms, peer, m);
	default:
		/* The codec's table lets nothing else through. */
		return -EPROTO;
	}
}

static int
queue_message(void *role, uint64_t now_ms, role_peer peer, struct str frame)
{
	struct queue *q = role;
	const struct queue_peer *from = queue_peer_find(q, peer);
	struct arena arena;
	struct message m;
	int error;

	if (from == NULL)
		return -EPROTO;
	arena_init(&arena, MESSAGE_ARENA_MAX);
	error = message_decode(frame, from->kind, ROLE_QUEUE, &arena, &m);
	if (error == 0)
		error = queue_dispatch(q, now_ms, peer, &m);
	arena_fini(&arena);
	queue_step(q, now_ms);
	return error;
}

static void
queue_timer(void *role, uint64_t now_ms)
{
	struct queue *q = role;

	q->wake_ms = UINT64_MAX;
	if (q->again_ms > 0 && queue_time(q, now_ms) >= q->again_ms)
		queue_settle_again(q);
	queue_step(q, now_ms);
}

/* The others have ended by now; what the store was given, it finishes. */
static void
queue_shutdown(void *role, uint64_t now_ms)
{
	struct queue *q = role;

	q->is_stopping = true;
	queue_log_clock(q, now_ms, 0);
	q->env->ops->stop(q->env);
}

const struct role_ops role_queue_ops = {
    .kind = ROLE_QUEUE,
    .peer_up = queue_peer_up,
    .peer_down = queue_peer_down,
    .message = queue_message,
    .stored = queue_stored,
    .timer = queue_timer,
    .shutdown = queue_shutdown,
};
