/*
 * What an administrator does to many recipients at once: hold, free and delete,
 * which the store does by itself; requeue, which finds them page by page and
 * moves each message; expire, which leases them and returns them as any mail
 * that failed.
 *
 *   begin -> [CHANGE | FIND -> MOVE ... | LEASE -> SETTLE ...] -> next piece
 *                              all there is, or as much as one request may do
 *                                     -> CHANGE_DONE, which says where to go on
 *
 * Whoever asks goes on by asking again, so that one who is gone stops it.
 *
 * At start the rows of sites that are held now and were not, or the other way
 * round, are given their new home in the same way, one site after the other.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"
#include "role/requeue.h"

#include <errno.h>
#include <stdlib.h>

/* Pieces that one request may do. */
#define STEER_CHANGES 20
#define STEER_PAGES   20
#define STEER_LEASES  20
/* Messages of one piece. */
#define STEER_PAGE  50
#define STEER_LEASE 25

#define STEER_SITE  "site:"

static void
steer_submit(
    struct queue *q, struct queue_ask *ask, struct store_request *request)
{
	request->tag = ask->number;
	q->env->ops->store(q->env, request);
}

/* Asks for the next piece. */
static void
steer_next(struct queue *q, struct queue_ask *ask)
{
	bool is_found = ask->steer == MESSAGE_STEER_REQUEUE ||
	                (ask->steer == MESSAGE_STEER_EXPIRE && ask->is_dry);
	struct store_request *request;

	CHECK(ask->steps_left > 0 && ask->in_hand == 0);
	if (!ask->is_fix)
		ask->steps_left--;
	if (is_found) {
		request = store_request_new(STORE_FIND);
		request->u.find.filter = ask->filter;
		request->u.find.after_key = ask->next_key;
		request->u.find.count = STEER_PAGE;
	} else if (ask->steer == MESSAGE_STEER_EXPIRE) {
		request = store_request_new(STORE_LEASE);
		request->u.lease.filter = ask->filter;
		request->u.lease.after_key = ask->next_key;
		request->u.lease.count = STEER_LEASE;
	} else {
		request = store_request_new(STORE_CHANGE);
		request->u.change.filter = ask->filter;
		request->u.change.change = ask->change;
		request->u.change.reason = ask->reason;
		request->u.change.is_dry = ask->is_dry;
		request->u.change.after_key = ask->next_key;
	}
	steer_submit(q, ask, request);
}

static void
steer_done(struct queue *q, struct queue_ask *ask)
{
	struct message m = {
	    .type = MESSAGE_CHANGE_DONE,
	    .u.change_done =
		{
		    .request = ask->request,
		    .error = ask->error,
		    .changed_count = ask->changed_count,
		    .leased_count = ask->leased_count,
		    .moved_count = ask->moved_count,
		    .next_key = ask->next_key,
		},
	};
	bool is_fix = ask->is_fix;

	queue_send(q, ask->peer, &m);
	if (!ask->is_dry) {
		log_event(LOG_NOTE, "changed", "",
		    "rows=%llu leased=%llu moved=%llu error=%d",
		    (unsigned long long)ask->changed_count,
		    (unsigned long long)ask->leased_count,
		    (unsigned long long)ask->moved_count, -ask->error);
		if (ask->changed_count > 0)
			queue_room_recount(q);
		/* What was freed may be ready, or over its time; what was not
		   of an expire may have been passed over by a session. */
		if (ask->steer != MESSAGE_STEER_CHANGE ||
		    ask->change == STORE_CHANGE_FREE)
			q->refill_ms = q->alarm_ms = 0;
	}
	queue_ask_free(q, ask);
	if (is_fix)
		queue_steer_fix(q);
}

/* A piece is done, which ended at NEXT_KEY. */
static void
steer_go_on(struct queue *q, struct queue_ask *ask)
{
	if (ask->in_hand > 0)
		return;
	if (ask->error < 0 || ask->next_key == 0 || ask->steps_left == 0 ||
	    q->is_stopping)
		steer_done(q, ask);
	else
		steer_next(q, ask);
}

void
queue_steer_begin(struct queue *q, struct queue_ask *ask)
{
	static const size_t steps[] = {
	    [MESSAGE_STEER_CHANGE] = STEER_CHANGES,
	    [MESSAGE_STEER_REQUEUE] = STEER_PAGES,
	    [MESSAGE_STEER_EXPIRE] = STEER_LEASES,
	};

	ask->steps_left = steps[ask->steer];
	steer_next(q, ask);
}

/* Counts what would be done. */
static void
steer_count(
    struct queue *q, struct queue_ask *ask, const struct store_found *found)
{
	requeue_count(q->conf, found, &ask->changed_count, &ask->leased_count,
	    &ask->moved_count);
	if (ask->steer == MESSAGE_STEER_EXPIRE)
		ask->moved_count = 0;
}

/* Moves the rows of one message. */
static void
steer_move(
    struct queue *q, struct queue_ask *ask, const struct store_found *found)
{
	for (size_t at = 0; at < found->row_count;) {
		struct store_request *request = store_request_new(STORE_MOVE);

		at = requeue_fill(q->conf, found, at, ask->is_fix, request);
		request->u.move.is_now = !ask->is_fix;
		for (size_t i = 0; i < request->u.move.move_count; i++)
			queue_alarm_at(q, request->u.move.moves[i].alarm_ms);
		ask->in_hand++;
		steer_submit(q, ask, request);
	}
}

/* The moves point into the page, which so stays until they are done. */
static void
steer_found(
    struct queue *q, struct queue_ask *ask, struct store_request *request)
{
	CHECK(ask->page == NULL);
	ask->error = request->error;
	ask->next_key = request->u.find.next_key;
	for (size_t i = 0; i < request->u.find.found_count; i++)
		if (ask->is_dry)
			steer_count(q, ask, &request->u.find.found[i]);
		else
			steer_move(q, ask, &request->u.find.found[i]);
	if (ask->in_hand > 0)
		ask->page = request;
	else
		store_request_free(request);
	steer_go_on(q, ask);
}

/* COUNT rows are at DESTINATION, to be tried at once. */
static void
steer_wake(struct queue *q, struct str destination, uint64_t count)
{
	struct sched_target target;
	struct route route;

	if (route_of_destination(q->conf, destination, &route) < 0)
		return;
	if (route.is_held) {
		queue_ready(q, &route, count);
		return;
	}
	/* Of one that is not held this clears the back-off only. */
	target = route_target(&route);
	(void)sched_release(q->sched, &target, NULL, 0, count);
}

static void
steer_moved(
    struct queue *q, struct queue_ask *ask, const struct store_request *request)
{
	const struct store_move *moves = request->u.move.moves;
	size_t count = request->u.move.move_count, first = 0;

	CHECK(ask->in_hand > 0);
	ask->in_hand--;
	/* The message may be gone by now. */
	if (request->error < 0 && request->error != -ENOENT)
		ask->error = request->error;
	ask->changed_count += request->u.move.done_count;
	ask->moved_count += request->u.move.moved_count;
	ask->leased_count += request->u.move.leased_count;
	for (size_t i = 1; i <= count && request->u.move.done_count > 0; i++) {
		if (i < count &&
		    str_equal(moves[i].destination, moves[first].destination))
			continue;
		steer_wake(q, moves[first].destination, i - first);
		first = i;
	}
	if (ask->in_hand == 0) {
		store_request_free(ask->page);
		ask->page = NULL;
	}
	steer_go_on(q, ask);
}

/* Returns what was leased. */
static void
steer_leased(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    struct store_request *request)
{
	size_t count = request->u.lease.lease_count;
	struct queue_take *take;

	ask->error = request->error;
	ask->next_key = request->u.lease.next_key;
	ask->leased_count += request->u.lease.leased_count;
	if (count == 0 || request->error < 0) {
		store_request_free(request);
		steer_go_on(q, ask);
		return;
	}
	take = mem_new(1, sizeof(*take));
	take->request = request;
	take->lease_count = count;
	ask->in_hand = count;
	for (size_t i = 0; i < count; i++) {
		struct queue_lease *lease =
		    queue_lease_new(q, take, 0, &request->u.lease.leases[i]);

		lease->ask = ask->number;
		lease->is_part = ask->filter.recipient.size > 0 ||
		                 ask->filter.domain.size > 0;
		queue_settle_expired(q, now_ms, lease);
	}
}

void
queue_steer_settled(
    struct queue *q, uint64_t number, int error, size_t row_count)
{
	struct queue_ask *ask;

	HASH_FIND(hh, q->asks, &number, sizeof(number), ask);
	CHECK(ask != NULL && ask->in_hand > 0);
	ask->in_hand--;
	if (error < 0)
		ask->error = error;
	else
		ask->changed_count += row_count;
	steer_go_on(q, ask);
}

static void
steer_changed(
    struct queue *q, struct queue_ask *ask, const struct store_request *request)
{
	ask->error = request->error;
	ask->next_key = request->u.change.next_key;
	ask->changed_count += request->u.change.changed_count;
	ask->leased_count += request->u.change.leased_count;
	steer_go_on(q, ask);
}

void
queue_steer_stored(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    struct store_request *request)
{
	if (request->verb == STORE_FIND) {
		steer_found(q, ask, request);
		return;
	}
	if (request->verb == STORE_LEASE) {
		steer_leased(q, now_ms, ask, request);
		return;
	}
	if (request->verb == STORE_MOVE)
		steer_moved(q, ask, request);
	else
		steer_changed(q, ask, request);
	store_request_free(request);
}

void
queue_steer_note(struct queue *q, const struct store_destination *d,
    const struct route *route)
{
	uint64_t wrong = route->is_held
	                     ? d->rows[STORE_READY]
	                     : d->rows[STORE_HELD] + d->rows[STORE_WAITING];
	const struct conf_site *site;

	if (wrong == 0 || !str_starts(d->name, STR(STEER_SITE)))
		return;
	site =
	    conf_site_named(q->conf, str_skip(d->name, sizeof(STEER_SITE) - 1));
	CHECK(site != NULL);
	if (q->fix == NULL)
		q->fix = mem_new(q->conf->site_count, sizeof(q->fix[0]));
	q->fix[site - q->conf->sites] = true;
}

void
queue_steer_fix(struct queue *q)
{
	size_t i = 0;
	struct queue_ask *ask;

	while (q->fix != NULL && i < q->conf->site_count && !q->fix[i])
		i++;
	if (q->fix == NULL || i == q->conf->site_count || q->is_stopping) {
		free(q->fix);
		q->fix = NULL;
		return;
	}
	q->fix[i] = false;
	ask = queue_ask_new(q, 0, MESSAGE_CHANGE, 0);
	ask->is_fix = true;
	ask->steer = MESSAGE_STEER_REQUEUE;
	snprintf(ask->site, sizeof(ask->site), STEER_SITE "%.*s",
	    STR_ARG(q->conf->sites[i].name));
	ask->filter.destination = str_from(ask->site);
	log_event(LOG_NOTE, "rehome", "", "destination=%s held=%d", ask->site,
	    q->conf->sites[i].is_held);
	queue_steer_begin(q, ask);
}
