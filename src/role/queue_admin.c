/*
 * Questions of people and peers: release a site, list the queue, change it
 * (queue_steer.c).  Each waits for the store under a number; the answer of one
 * whose asker is gone is dropped.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADMIN_FRAME_ROWS 100 /* recipients of a message in one frame */

struct queue_ask *
queue_ask_new(
    struct queue *q, role_peer peer, enum message_type type, uint64_t request)
{
	struct queue_ask *ask = mem_new(1, sizeof(*ask));

	ask->number = ++q->number_last;
	ask->peer = peer;
	ask->type = type;
	ask->request = request;
	arena_init(&ask->arena, MESSAGE_ARENA_MAX);
	HASH_ADD(hh, q->asks, number, sizeof(ask->number), ask);
	return ask;
}

void
queue_ask_free(struct queue *q, struct queue_ask *ask)
{
	HASH_DEL(q->asks, ask);
	arena_fini(&ask->arena);
	free(ask);
}

static void
trigger_answer(struct queue *q, role_peer peer, uint64_t request,
    enum message_trigger_result result, uint64_t count)
{
	struct message m = {
	    .type = MESSAGE_TRIGGER_DONE,
	    .u.trigger_done = {request, result, count},
	};

	queue_send(q, peer, &m);
}

static void
admin_trigger(struct queue *q, role_peer peer, const struct message *m)
{
	uint64_t number = m->u.trigger.request;
	struct store_request *request;
	struct queue_ask *ask;
	size_t count = m->u.trigger.domain_count;

	if (conf_site_named(q->conf, m->u.trigger.site) == NULL) {
		trigger_answer(q, peer, number, MESSAGE_TRIGGER_UNKNOWN, 0);
		return;
	}
	if (HASH_COUNT(q->asks) >= QUEUE_ASKS_MAX || q->is_stopping) {
		trigger_answer(q, peer, number, MESSAGE_TRIGGER_BUSY, 0);
		return;
	}
	ask = queue_ask_new(q, peer, MESSAGE_TRIGGER, number);
	snprintf(ask->site, sizeof(ask->site), "site:%.*s",
	    STR_ARG(m->u.trigger.site));
	ask->domains = arena_new(&ask->arena, count * sizeof(struct str));
	CHECK(ask->domains != NULL);
	for (size_t i = 0; i < count; i++) {
		ask->domains[i] =
		    arena_copy(&ask->arena, m->u.trigger.domains[i]);
		CHECK(ask->domains[i].data != NULL);
	}
	ask->domain_count = count;
	request = store_request_new(STORE_COUNT);
	/* The ask outlives the request: a peer that goes only clears its
	   number. */
	request->u.count.destination = str_from(ask->site);
	request->u.count.domains = ask->domains;
	request->u.count.domain_count = count;
	request->tag = ask->number;
	q->env->ops->store(q->env, request);
}

static void
admin_counted(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    const struct store_request *request)
{
	uint64_t count = request->u.count.messages;
	enum message_trigger_result result = MESSAGE_TRIGGER_EMPTY;
	struct sched_target target;
	struct route route;

	if (request->error < 0 ||
	    route_of_destination(q->conf, str_from(ask->site), &route) < 0) {
		result = MESSAGE_TRIGGER_BUSY;
	} else if (count > 0) {
		target = route_target(&route);
		result = sched_release(q->sched, &target, ask->domains,
			     ask->domain_count, count)
		             ? MESSAGE_TRIGGER_ACTIVE
		             : MESSAGE_TRIGGER_STARTED;
		log_event(LOG_NOTE, "released", "",
		    "destination=%s count=%llu joined=%d", ask->site,
		    (unsigned long long)count,
		    result == MESSAGE_TRIGGER_ACTIVE);
		if (route.is_held)
			queue_release_begun(q, now_ms, ask->site, ask->domains,
			    ask->domain_count);
	}
	trigger_answer(q, ask->peer, ask->request, result, count);
	queue_ask_free(q, ask);
}

/* The end of a listing; the caller fills in what it knows of it. */
static struct message
admin_end_of_list(
    const struct queue *q, uint64_t now_ms, uint64_t request, int error)
{
	struct message m = {
	    .type = MESSAGE_LIST_END,
	    .u.list_end =
		{
		    .request = request,
		    .error = error,
		    .queue_ms = queue_time(q, now_ms),
		    .wall_ms = q->env->ops->wall_ms(q->env),
		},
	};

	return m;
}

/* Keeps the filter as the store is to have it. */
static void
admin_filter(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    const struct store_filter *from, uint64_t older_ms)
{
	const struct str *texts[] = {&from->id, &from->destination,
	    &from->sender, &from->recipient, &from->domain};
	struct str *copies[] = {&ask->filter.id, &ask->filter.destination,
	    &ask->filter.sender, &ask->filter.recipient, &ask->filter.domain};
	uint64_t time_ms = queue_time(q, now_ms);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*copies[i] = arena_copy(&ask->arena, *texts[i]);
		CHECK(copies[i]->data != NULL);
	}
	ask->filter.size_above = from->size_above;
	if (older_ms > 0)
		ask->filter.arrival_max_ms =
		    older_ms < time_ms ? time_ms - older_ms : 1;
}

static void
admin_list(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	struct store_request *request;
	struct queue_ask *ask;

	if (HASH_COUNT(q->asks) >= QUEUE_ASKS_MAX) {
		struct message end =
		    admin_end_of_list(q, now_ms, m->u.list.request, -EBUSY);

		queue_send(q, peer, &end);
		return;
	}
	ask = queue_ask_new(q, peer, MESSAGE_LIST, m->u.list.request);
	if (m->u.list.is_destinations) {
		request = store_request_new(STORE_DESTINATIONS);
		request->u.destinations.after =
		    arena_copy(&request->arena, m->u.list.after_name);
		request->u.destinations.now_ms = queue_time(q, now_ms);
		request->u.destinations.count = m->u.list.count;
	} else {
		request = store_request_new(STORE_FIND);
		admin_filter(
		    q, now_ms, ask, &m->u.list.filter, m->u.list.older_ms);
		request->u.find.filter = ask->filter;
		request->u.find.after_key = m->u.list.after_key;
		request->u.find.count = m->u.list.count;
	}
	request->tag = ask->number;
	q->env->ops->store(q->env, request);
}

/* A row that waits for its host and never met it has the host's trouble. */
static void
admin_fill_status(const struct queue *q, struct store_found_row *row)
{
	struct route route;

	if (row->lane == STORE_READY && row->status.size == 0 &&
	    route_of_destination(q->conf, row->destination, &route) == 0)
		row->status = queue_host_answer(q, &route);
}

static void
admin_found(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    const struct store_request *request)
{
	size_t count = request->u.find.found_count;
	struct message end =
	    admin_end_of_list(q, now_ms, ask->request, request->error);

	for (size_t i = 0; i < count; i++) {
		const struct store_found *found = &request->u.find.found[i];

		for (size_t at = 0; at < found->row_count; at++)
			admin_fill_status(q, &found->rows[at]);
		for (size_t at = 0; at < found->row_count;
		     at += ADMIN_FRAME_ROWS) {
			struct message m = {
			    .type = MESSAGE_LIST_MESSAGE,
			    .u.list_message = {ask->request, *found},
			};
			size_t left = found->row_count - at;

			m.u.list_message.found.rows = found->rows + at;
			m.u.list_message.found.row_count =
			    left < ADMIN_FRAME_ROWS ? left : ADMIN_FRAME_ROWS;
			queue_send(q, ask->peer, &m);
		}
	}
	end.u.list_end.is_more = request->u.find.next_key != 0;
	end.u.list_end.next_key = request->u.find.next_key;
	end.u.list_end.total = request->u.find.total;
	queue_send(q, ask->peer, &end);
	queue_ask_free(q, ask);
}

static void
admin_destinations(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    const struct store_request *request)
{
	size_t count = request->u.destinations.destination_count;
	uint64_t time_ms = queue_time(q, now_ms), due_ms;
	struct message end =
	    admin_end_of_list(q, now_ms, ask->request, request->error);

	for (size_t i = 0; i < count; i++) {
		const struct store_destination *d =
		    &request->u.destinations.destinations[i];
		struct message m = {
		    .type = MESSAGE_LIST_DESTINATION,
		    .u.list_destination = {ask->request, *d},
		};
		struct route route;
		bool has_route =
		    route_of_destination(q->conf, d->name, &route) == 0;
		bool is_held = has_route && route.is_held;

		m.u.list_destination.state = str_from(
		    sched_state(q->sched, d->name, is_held, time_ms, &due_ms));
		if (has_route) {
			m.u.list_destination.answer =
			    queue_host_answer(q, &route);
			m.u.list_destination.answered_ms =
			    queue_host_answered(q, &route);
		} else {
			m.u.list_destination.state = STR("no-route");
		}
		if (due_ms > time_ms)
			m.u.list_destination.next_ms = due_ms - time_ms;
		queue_send(q, ask->peer, &m);
	}
	end.u.list_end.is_more = count == request->u.destinations.count;
	queue_send(q, ask->peer, &end);
	queue_ask_free(q, ask);
}

static void
admin_change(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	struct message busy = {
	    .type = MESSAGE_CHANGE_DONE,
	    .u.change_done = {.request = m->u.change.request, .error = -EBUSY},
	};
	struct queue_ask *ask;

	if (HASH_COUNT(q->asks) >= QUEUE_ASKS_MAX || q->is_stopping) {
		queue_send(q, peer, &busy);
		return;
	}
	ask = queue_ask_new(q, peer, MESSAGE_CHANGE, m->u.change.request);
	admin_filter(q, now_ms, ask, &m->u.change.filter, m->u.change.older_ms);
	ask->steer = m->u.change.steer;
	ask->change = m->u.change.change;
	ask->reason = arena_copy(&ask->arena, m->u.change.reason);
	CHECK(ask->reason.data != NULL);
	ask->is_dry = m->u.change.is_dry;
	ask->next_key = m->u.change.after_key;
	queue_steer_begin(q, ask);
}

int
queue_admin_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	if (m->type == MESSAGE_TRIGGER)
		admin_trigger(q, peer, m);
	else if (m->type == MESSAGE_LIST)
		admin_list(q, now_ms, peer, m);
	else
		admin_change(q, now_ms, peer, m);
	return 0;
}

void
queue_admin_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_ask *ask;

	HASH_FIND(hh, q->asks, &request->tag, sizeof(request->tag), ask);
	CHECK(ask != NULL);
	if (ask->type == MESSAGE_CHANGE) {
		queue_steer_stored(q, now_ms, ask, request);
		return;
	}
	if (request->verb == STORE_COUNT)
		admin_counted(q, now_ms, ask, request);
	else if (request->verb == STORE_FIND)
		admin_found(q, now_ms, ask, request);
	else
		admin_destinations(q, now_ms, ask, request);
	store_request_free(request);
}

void
queue_admin_peer_down(struct queue *q, role_peer peer)
{
	struct queue_ask *ask;

	for (ask = q->asks; ask != NULL; ask = ask->hh.next)
		if (ask->peer == peer)
			ask->peer = 0;
}
