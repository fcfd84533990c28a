/*
 * Sessions for deliver.  A session is opened by the scheduler's decision, asks
 * for messages when its connection stands, and is told when there are none.
 * Nothing is leased before that, so trouble of a host touches no message.
 *
 *   START -> (connect) -> NEXT -> take -> JOB ... RESULT -> settle -> ...
 *                          ^                                   |
 *                          +-----------------------------------+
 *   no row left and no lease in hand -> NONE -> END
 *
 * A domain that cannot take mail at all (null MX, no such domain) ends its
 * session so; the session then stays, without a peer, until what is queued
 * there is returned.
 */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"
#include "role/queue_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct queue_session *
queue_session_find(const struct queue *q, uint32_t number)
{
	struct queue_session *session;

	HASH_FIND(hh, q->sessions, &number, sizeof(number), session);
	return session;
}

struct queue_lease *
queue_lease_find(const struct queue *q, uint64_t number)
{
	struct queue_lease *lease;

	HASH_FIND(hh, q->leases, &number, sizeof(number), lease);
	return lease;
}

/* The deliver process with the fewest sessions, or NULL. */
static struct queue_peer *
session_pick_peer(struct queue *q)
{
	struct queue_peer *best = NULL;

	for (size_t i = 0; i < q->peer_count; i++) {
		struct queue_peer *p = &q->peers[i];

		if (p->kind == ROLE_DELIVER &&
		    (best == NULL || p->session_count < best->session_count))
			best = p;
	}
	return best;
}

static void
session_count_peer(struct queue *q, role_peer peer)
{
	for (size_t i = 0; i < q->peer_count; i++)
		if (q->peers[i].peer == peer)
			q->peers[i].session_count--;
}

struct queue_session *
queue_session_open(struct queue *q, uint32_t number, const struct route *route,
    struct str trace)
{
	struct queue_peer *peer = session_pick_peer(q);
	struct message m = {.type = MESSAGE_SESSION_START};
	struct queue_session *session;

	if (peer == NULL)
		return NULL;
	session = mem_new(1, sizeof(*session));
	session->number = number;
	session->peer = peer->peer;
	memcpy(session->destination, route->name, sizeof(route->name));
	HASH_ADD(hh, q->sessions, number, sizeof(session->number), session);
	peer->session_count++;
	m.u.session_start.session = session->number;
	m.u.session_start.destination = str_from(route->name);
	m.u.session_start.kind = route->kind;
	m.u.session_start.host = str_from(route->next);
	m.u.session_start.port = route->port;
	m.u.session_start.job = route->job;
	m.u.session_start.trace = trace;
	queue_send(q, peer->peer, &m);
	return session;
}

static void
session_set_answer(
    struct queue_session *session, struct str status, struct str answer)
{
	status = str_head(status, sizeof(session->status) - 1);
	answer = str_head(answer, sizeof(session->answer) - 1);
	memcpy(session->status, status.data, status.size);
	session->status[status.size] = '\0';
	memcpy(session->answer, answer.data, answer.size);
	session->answer[answer.size] = '\0';
}

/* A session with nobody, for a destination that is this host, where only
   aliases are known: the others are returned. */
static void
session_start_here(struct queue *q, uint32_t number, const struct route *route)
{
	struct queue_session *session = mem_new(1, sizeof(*session));

	session->number = number;
	memcpy(session->destination, route->name, sizeof(route->name));
	session_set_answer(
	    session, STR("5.1.1"), STR("550 5.1.1 User unknown"));
	session->wanted = QUEUE_LEASES_SESSION;
	HASH_ADD(hh, q->sessions, number, sizeof(session->number), session);
	queue_session_lease_gone(q, number);
}

void
queue_session_start(
    struct queue *q, uint64_t now_ms, const struct sched_decision *decision)
{
	uint64_t time_ms = queue_time(q, now_ms);
	struct route route;

	if (session_pick_peer(q) == NULL) {
		sched_ended(
		    q->sched, decision->session, SCHED_END_LOST, time_ms);
		return;
	}
	if (route_of_destination(q->conf, str_from(decision->name), &route) <
	    0) {
		log_event(
		    LOG_WARN, "no-route", "", "destination=%s", decision->name);
		sched_ended(
		    q->sched, decision->session, SCHED_END_FAILED, time_ms);
		return;
	}
	if (queue_again_is_here(q, &route))
		session_start_here(q, decision->session, &route);
	else
		(void)queue_session_open(q, decision->session, &route, STR(""));
}

static void
session_end(struct queue *q, struct queue_session *session, enum sched_end end,
    uint64_t now_ms)
{
	sched_ended(q->sched, session->number, end, queue_time(q, now_ms));
	HASH_DEL(q->sessions, session);
	free(session);
}

uint32_t
queue_session_room(const struct queue_session *session)
{
	uint32_t kept =
	    session->peer == 0 ? session->lease_count : session->again_count;

	return session->wanted > kept ? session->wanted - kept : 0;
}

static void
session_take(struct queue *q, struct queue_session *session, bool is_released,
    const struct str *domains, size_t domain_count)
{
	struct store_request *request = store_request_new(STORE_TAKE);
	struct str *copies =
	    arena_new(&request->arena, domain_count * sizeof(copies[0]));

	CHECK(copies != NULL);
	for (size_t i = 0; i < domain_count; i++) {
		copies[i] = arena_copy(&request->arena, domains[i]);
		CHECK(copies[i].data != NULL);
	}
	request->u.take.destination =
	    arena_copy(&request->arena, str_from(session->destination));
	CHECK(request->u.take.destination.data != NULL);
	request->u.take.domains = copies;
	request->u.take.domain_count = domain_count;
	request->u.take.is_released = is_released;
	request->u.take.count = queue_session_room(session);
	request->u.take.inline_max = STORE_BLOCK;
	request->tag = session->number;
	session->is_taking = true;
	sched_taking(q->sched, session->number);
	q->env->ops->store(q->env, request);
}

/* Takes what the session wants, or tells it that there is nothing. */
static void
session_feed(struct queue *q, struct queue_session *session)
{
	const struct str *domains;
	size_t domain_count;
	bool is_released;
	struct message none = {
	    .type = MESSAGE_JOB_NONE,
	    .u.job_none.session = session->number,
	};

	if (session->run != NULL) {
		queue_run_feed(q, session);
		return;
	}
	if (session->is_over || session->is_taking ||
	    queue_session_room(session) == 0)
		return;
	if (!q->is_stopping && sched_may_take(q->sched, session->number,
				   &is_released, &domains, &domain_count)) {
		session_take(q, session, is_released, domains, domain_count);
		return;
	}
	if (session->lease_count > 0)
		return;
	session->is_over = true;
	queue_send(q, session->peer, &none);
}

struct queue_lease *
queue_lease_new(struct queue *q, struct queue_take *take, uint32_t session,
    const struct store_lease *from)
{
	struct queue_lease *lease = mem_new(1, sizeof(*lease));

	lease->number = ++q->number_last;
	lease->session = session;
	lease->take = take;
	lease->lease = from;
	arena_init(&lease->arena, STORE_ARENA_MAX);
	HASH_ADD(hh, q->leases, number, sizeof(lease->number), lease);
	return lease;
}

void
queue_session_send_job(struct queue *q, const struct queue_session *session,
    const struct queue_lease *lease)
{
	const struct store_lease_row *rows[STORE_LEASE_ROWS_MAX];
	const struct store_lease *l = lease->lease;
	struct message m = {
	    .type = MESSAGE_JOB,
	    .u.job =
		{
		    .session = session->number,
		    .lease = lease->number,
		    .id = str_from(l->id),
		    .time_ms =
			QUEUE_LEASE_MS + l->content_size * QUEUE_LEASE_BYTE_MS,
		    .arrival_wall_ms = l->arrival_wall_ms,
		    .envelope = l->envelope,
		    .row_count = l->row_count,
		    .content_size = l->content_size,
		    .content = l->content,
		},
	};

	m.u.job.rows = mem_new(l->row_count, sizeof(m.u.job.rows[0]));
	run_rows(lease, rows);
	for (size_t i = 0; i < l->row_count; i++) {
		m.u.job.rows[i].index = rows[i]->index;
		m.u.job.rows[i].recipient = rows[i]->recipient;
	}
	queue_send(q, session->peer, &m);
	free(m.u.job.rows);
}

/* What becomes of one lease that a take brought. */
static void
session_got(struct queue *q, uint64_t now_ms, struct queue_session *session,
    struct queue_lease *lease)
{
	if (session == NULL) {
		queue_settle_all(q, now_ms, lease, SMTP_UNTRIED, "4.0.0", "");
		return;
	}
	if (queue_again_begin(q, session, lease))
		return;
	session->lease_count++;
	if (session->peer == 0) {
		queue_settle_all(q, now_ms, lease, SMTP_PERMANENT,
		    session->status, session->answer);
		return;
	}
	CHECK(session->wanted > 0);
	session->wanted--;
	queue_session_send_job(q, session, lease);
}

void
queue_session_taken(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	uint32_t number = (uint32_t)request->tag;
	size_t count = request->u.take.lease_count;
	struct queue_session *session = queue_session_find(q, number);
	struct queue_take *take;

	if (request->error < 0)
		log_event(
		    LOG_ERROR, "take-failed", "", "error=%d", -request->error);
	if (session != NULL)
		session->is_taking = false;
	(void)sched_taken(q->sched, number, count);
	if (count == 0) {
		store_request_free(request);
	} else {
		take = mem_new(1, sizeof(*take));
		take->request = request;
		take->lease_count = count;
		for (size_t i = 0; i < count; i++)
			session_got(q, now_ms, session,
			    queue_lease_new(
				q, take, number, &request->u.take.leases[i]));
	}
	if (session != NULL && count == 0)
		queue_session_lease_gone(q, number);
}

void
queue_session_lease_gone(struct queue *q, uint32_t number)
{
	struct queue_session *session = queue_session_find(q, number);

	if (session == NULL)
		return;
	session_feed(q, session);
	/* A session without a peer ends itself. */
	if (session->peer == 0 && session->is_over && session->lease_count == 0)
		session_end(q, session, SCHED_END_GOOD, 0);
}

/* What a session that broke leaves behind. */
static void
session_return_leases(struct queue *q, uint64_t now_ms, uint32_t number,
    enum smtp_verdict verdict, const char *status, const char *answer)
{
	struct queue_lease *lease, *next;

	HASH_ITER(hh, q->leases, lease, next)
	if (lease->session == number && !lease->is_settling &&
	    !lease->is_expanding)
		queue_settle_all(q, now_ms, lease, verdict, status, answer);
}

static void
session_ended(struct queue *q, uint64_t now_ms, struct queue_session *session,
    const struct message *m)
{
	struct route route;
	bool is_returned = m->u.session_end.is_permanent &&
	                   route_of_destination(q->conf,
			       str_from(session->destination), &route) == 0 &&
	                   route.kind == CONF_ROUTE_MX && !route.is_held;
	bool is_failed =
	    m->u.session_end.is_failed || m->u.session_end.is_permanent;

	if (is_failed)
		log_event(LOG_NOTE, "session-failed", "",
		    "destination=%s answer=%.*s", session->destination,
		    STR_ARG(m->u.session_end.answer));
	queue_host_note(q, queue_time(q, now_ms),
	    str_from(session->destination),
	    is_failed ? m->u.session_end.answer : STR(""));
	session_count_peer(q, session->peer);
	session_return_leases(
	    q, now_ms, session->number, SMTP_UNTRIED, "4.0.0", "");
	if (session->run != NULL) {
		queue_run_session_ended(q, now_ms, session, m, is_returned);
		session_end(q, session, SCHED_END_GOOD, now_ms);
		return;
	}
	if (!is_returned) {
		session_end(q, session,
		    is_failed ? SCHED_END_FAILED : SCHED_END_GOOD, now_ms);
		return;
	}
	session_set_answer(
	    session, m->u.session_end.status, m->u.session_end.answer);
	session->peer = 0;
	session->is_over = false;
	session->wanted = QUEUE_LEASES_SESSION;
	queue_session_lease_gone(q, session->number);
}

static void
session_block(
    struct queue *q, const struct message *m, const struct queue_lease *lease)
{
	struct store_request *request = store_request_new(STORE_READ);

	memcpy(
	    request->u.read.id, lease->lease->id, sizeof(request->u.read.id));
	request->u.read.index = m->u.block_want.index;
	request->tag = lease->number;
	q->env->ops->store(q->env, request);
}

void
queue_session_read(struct queue *q, struct store_request *request)
{
	const struct queue_lease *lease = queue_lease_find(q, request->tag);
	const struct queue_session *session =
	    lease != NULL ? queue_session_find(q, lease->session) : NULL;
	struct message m = {.type = MESSAGE_BLOCK};

	if (session == NULL)
		return;
	if (request->error < 0)
		log_event(LOG_ERROR, "content-damaged", lease->lease->id,
		    "block=%llu error=%d",
		    (unsigned long long)request->u.read.index, -request->error);
	m.u.block.session = session->number;
	m.u.block.lease = lease->number;
	m.u.block.index = request->u.read.index;
	m.u.block.is_damaged = request->error < 0;
	if (request->error == 0)
		m.u.block.bytes = request->u.read.bytes;
	m.u.block.crc32c = crc32c(0, m.u.block.bytes);
	queue_send(q, session->peer, &m);
}

int
queue_session_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	/* The session is the first member of each of them. */
	struct queue_session *session =
	    queue_session_find(q, m->u.session_next.session);
	struct queue_lease *lease;

	if (session == NULL || session->peer != peer)
		return 0;
	if (m->type == MESSAGE_SESSION_END) {
		session_ended(q, now_ms, session, m);
		return 0;
	}
	if (m->type == MESSAGE_SESSION_NEXT) {
		session->wanted += m->u.session_next.want;
		if (session->wanted > QUEUE_LEASES_SESSION)
			return -EPROTO;
		session_feed(q, session);
		return 0;
	}
	/* The lease is the second member of the other two. */
	lease = queue_lease_find(q, m->u.job_result.lease);
	if (lease == NULL || lease->session != session->number ||
	    lease->is_settling || lease->is_expanding)
		return 0;
	if (m->type == MESSAGE_BLOCK_WANT)
		session_block(q, m, lease);
	else
		queue_settle_results(q, now_ms, lease, m);
	return 0;
}

void
queue_session_peer_down(struct queue *q, uint64_t now_ms, role_peer peer)
{
	struct queue_session *session, *next;

	HASH_ITER(hh, q->sessions, session, next)
	{
		if (session->peer != peer)
			continue;
		/* Whether the far end took it is not known: it is tried again,
		   but not at once.  Of a process for one run all ends now, and
		   what goes on with it is to try it. */
		if (q->is_run_only)
			session_return_leases(q, now_ms, session->number,
			    SMTP_UNTRIED, "4.0.0", "");
		else
			session_return_leases(q, now_ms, session->number,
			    SMTP_TEMPORARY, "4.3.0",
			    "451 4.3.0 delivery process ended");
		if (session->run != NULL)
			queue_run_session_lost(q, now_ms, session);
		session_end(q, session, SCHED_END_LOST, now_ms);
	}
}
