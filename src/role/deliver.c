/*
 * The deliver role: sessions that the queue role starts, each an SMTP delivery
 * to the first address that greets (deliver_route.h, carry.h) or a delivery
 * into a Maildir (deliver_maildir.h).
 *
 *   START -> resolve -> connect -> carry -> END
 *               ^          |         |
 *               +----------+---------+ not established: the next address
 *
 * Promises: every session that was started is ended with one SESSION_END,
 * unless the queue role is lost: then all are dropped, and no final dot leaves
 * after that.  A late answer (resolver, connection) finds nothing.
 *
 * Invariants: a session is in by_conn exactly while its conn is not 0, in
 * by_query while its query is not 0, and in the heap with its earliest time.
 */
#include "base/check.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "role/carry.h"
#include "role/deliver_maildir.h"
#include "role/deliver_route.h"
#include "role/message.h"
#include "role/roles.h"
#include "role/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELIVER_MAGIC           0x646c7672u
#define DELIVER_SMTP_PORT       25
#define DELIVER_CONNECT_TIME_MS 30000  /* for one address */
#define DELIVER_RESOLVE_TIME_MS 120000 /* if the resolver forgets us */
#define DELIVER_STOP_TIME_MS    8000   /* for what is in hand */

struct deliver_session {
	uint32_t id;
	char destination[STORE_DESTINATION_MAX + 1];
	char host[CARRY_HOST_MAX]; /* last tried */
	char *trace;               /* for whom the first message is, or NULL */
	const char *mailer;        /* how it goes, for the trace */
	struct deliver_route *route;
	struct carry *carry;             /* NULL until connected */
	struct deliver_maildir *maildir; /* instead of both */
	role_conn conn;
	bool is_helo;    /* EHLO was too much for this address */
	uint64_t query;  /* 0 = none is asked */
	uint64_t due_ms; /* of the query or of connecting */
	struct heap_node timer;
	UT_hash_handle hh;
	UT_hash_handle hh_conn;
	UT_hash_handle hh_query;
};

struct deliver {
	uint32_t magic;
	struct role_env *env;
	const struct conf *conf;
	role_peer queue; /* 0: not there */
	struct deliver_session *sessions;
	struct deliver_session *by_conn;
	struct deliver_session *by_query;
	struct heap timers;
	uint64_t query_last;
	bool is_stopping;
	uint64_t stop_due_ms;
};

static struct deliver *
deliver_of(void *role)
{
	struct deliver *d = role;

	CHECK(d->magic == DELIVER_MAGIC);
	return d;
}

void *
role_deliver_new(struct role_env *env, const struct conf *conf)
{
	struct deliver *d = mem_new(1, sizeof(*d));

	d->magic = DELIVER_MAGIC;
	d->env = env;
	d->conf = conf;
	heap_init(&d->timers);
	return d;
}

static void
session_set_conn(struct deliver *d, struct deliver_session *s, role_conn conn)
{
	if (s->conn != 0)
		HASH_DELETE(hh_conn, d->by_conn, s);
	s->conn = conn;
	if (conn != 0)
		HASH_ADD(hh_conn, d->by_conn, conn, sizeof(s->conn), s);
}

static void
session_set_query(struct deliver *d, struct deliver_session *s, uint64_t query)
{
	if (s->query != 0)
		HASH_DELETE(hh_query, d->by_query, s);
	s->query = query;
	if (query != 0)
		HASH_ADD(hh_query, d->by_query, query, sizeof(s->query), s);
}

static struct deliver_session *
session_find_conn(struct deliver *d, role_conn conn)
{
	struct deliver_session *s;

	HASH_FIND(hh_conn, d->by_conn, &conn, sizeof(conn), s);
	return s;
}

/* Drops the session without a word; its connection is reset. */
static void
session_free(struct deliver *d, struct deliver_session *s)
{
	role_conn conn = s->conn;

	session_set_conn(d, s, 0);
	session_set_query(d, s, 0);
	heap_remove(&d->timers, &s->timer);
	HASH_DELETE(hh, d->sessions, s);
	if (s->carry == NULL && s->maildir == NULL && conn != 0)
		d->env->ops->conn_abort(d->env, conn);
	carry_free(s->carry);
	deliver_maildir_free(s->maildir);
	deliver_route_free(s->route);
	free(s->trace);
	free(s);
}

void
role_deliver_free(void *role)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s, *next;

	HASH_ITER(hh, d->sessions, s, next)
	session_free(d, s);
	heap_fini(&d->timers);
	d->magic = 0;
	free(d);
}

/* Tells the queue role how the session ended and drops it. */
static void
session_end(
    struct deliver *d, struct deliver_session *s, const struct carry_end *end)
{
	if (end->is_failed || end->is_permanent)
		log_event(LOG_DETAIL, "session-failed", "",
		    "session=%u host=%s answer=%s", s->id, s->host,
		    end->answer);
	carry_session_end(d->env, d->queue, s->id, end);
	session_free(d, s);
}

static void
session_end_text(struct deliver *d, struct deliver_session *s, bool is_failed,
    const char *status, const char *answer)
{
	struct carry_end end;

	carry_end_set(&end, is_failed, false, status, answer);
	session_end(d, s, &end);
}

static void
session_ask(struct deliver *d, struct deliver_session *s, uint64_t now_ms,
    enum role_dns what)
{
	session_set_query(d, s, ++d->query_last);
	s->due_ms = num_add_capped(now_ms, DELIVER_RESOLVE_TIME_MS);
	d->env->ops->resolve(
	    d->env, s->query, what, deliver_route_name(s->route));
}

/* Tells people where the session connects to. */
static void
session_trace_connecting(struct deliver *d, const struct deliver_session *s)
{
	uint16_t port = deliver_route_address(s->route)->port;
	char host[CARRY_HOST_MAX], at[20] = "";
	struct buf text;

	if (s->trace == NULL)
		return;
	carry_host_put(host, str_from(s->host));
	if (port != DELIVER_SMTP_PORT)
		snprintf(at, sizeof(at), " port %u", port);
	buf_init(&text, MESSAGE_TEXT_BYTES);
	CHECK(buf_printf(&text, "%s... Connecting to %s%s via %s...\n",
		  s->trace, host, at, s->mailer) == 0);
	carry_trace(d->env, d->queue, s->id, buf_str(&text));
	buf_fini(&text);
}

/* Takes the next step towards a connection; the session may be over then. */
static void
session_advance(struct deliver *d, struct deliver_session *s, uint64_t now_ms)
{
	role_conn conn;

	CHECK(s->conn == 0 && s->query == 0 && s->carry == NULL);
	if (d->is_stopping) {
		session_end_text(d, s, false, "4.3.2", "shutting down");
		return;
	}
	switch (deliver_route_next(s->route)) {
	case DELIVER_ASK_MX:
		session_ask(d, s, now_ms, ROLE_DNS_MX);
		return;
	case DELIVER_ASK_ADDRESS:
		session_ask(d, s, now_ms, ROLE_DNS_ADDRESS);
		return;
	case DELIVER_CONNECT:
		deliver_route_text(s->route, s->host);
		session_trace_connecting(d, s);
		conn = d->env->ops->connect(
		    d->env, deliver_route_address(s->route));
		if (conn == 0) {
			session_end_text(d, s, true, "4.3.0",
			    "451 4.3.0 no connection can be opened now");
			return;
		}
		session_set_conn(d, s, conn);
		s->due_ms = num_add_capped(now_ms, DELIVER_CONNECT_TIME_MS);
		return;
	case DELIVER_GIVE_UP:
		session_end(d, s, deliver_route_trouble(s->route));
		return;
	}
}

/* The address at hand did not do. */
static void
session_try_next(struct deliver *d, struct deliver_session *s, uint64_t now_ms,
    const char *status, const char *answer)
{
	log_event(LOG_DETAIL, "address-failed", "",
	    "session=%u host=%s answer=%s", s->id, s->host, answer);
	deliver_route_failed(s->route, status, answer);
	s->is_helo = false;
	session_advance(d, s, now_ms);
}

/* What follows for a session after something happened to its carry or its
   Maildir; it may be over then. */
static void
session_settle(struct deliver *d, struct deliver_session *s, uint64_t now_ms)
{
	struct carry_end end;
	bool is_helo;

	if (s->maildir != NULL) {
		session_set_conn(d, s, deliver_maildir_conn(s->maildir));
		if (deliver_maildir_is_over(s->maildir)) {
			end = *deliver_maildir_result(s->maildir);
			session_end(d, s, &end);
		}
		return;
	}
	if (s->carry == NULL || !carry_is_over(s->carry))
		return;
	session_set_conn(d, s, 0);
	end = *carry_result(s->carry);
	if (carry_is_established(s->carry) || d->is_stopping) {
		session_end(d, s, &end);
		return;
	}
	/* Some old servers hang up at EHLO: the same one again with HELO. */
	is_helo = carry_is_ehlo_lost(s->carry) && !s->is_helo;
	carry_free(s->carry);
	s->carry = NULL;
	if (is_helo) {
		s->is_helo = true;
		session_advance(d, s, now_ms);
		return;
	}
	session_try_next(d, s, now_ms, end.status, end.answer);
}

static uint64_t
session_due(struct deliver_session *s)
{
	if (s->maildir != NULL)
		return deliver_maildir_due(s->maildir);
	if (s->carry != NULL)
		return carry_due(s->carry);
	return s->due_ms;
}

/* Sets the timer of the session with number ID, if there is one still. */
static void
deliver_set_timer(struct deliver *d, uint32_t id)
{
	struct deliver_session *s;
	uint64_t due_ms;

	HASH_FIND(hh, d->sessions, &id, sizeof(id), s);
	if (s == NULL)
		return;
	due_ms = session_due(s);
	if (due_ms != UINT64_MAX)
		heap_set(&d->timers, &s->timer, due_ms);
	else
		heap_remove(&d->timers, &s->timer);
}

/* At the end of a handler: the timer of the role, and its end. */
static void
deliver_rest(struct deliver *d)
{
	struct heap_node *first = heap_first(&d->timers);
	bool is_done = d->is_stopping && d->sessions == NULL;
	uint64_t due_ms = d->is_stopping ? d->stop_due_ms : UINT64_MAX;

	if (is_done)
		due_ms = UINT64_MAX;
	if (first != NULL && first->due_ms < due_ms)
		due_ms = first->due_ms;
	d->env->ops->wake_at(d->env, due_ms);
	if (is_done)
		d->env->ops->stop(d->env);
}

/* After every handler that concerned session S. */
static void
deliver_settle(struct deliver *d, struct deliver_session *s, uint64_t now_ms)
{
	uint32_t id = s->id;

	session_settle(d, s, now_ms);
	deliver_set_timer(d, id);
	deliver_rest(d);
}

static void
deliver_connected(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s = session_find_conn(d, conn);
	struct carry_options options = {.conn = conn, .queue = d->queue};
	char text[CARRY_TEXT_MAX];
	uint32_t id;

	if (s == NULL || s->carry != NULL)
		return;
	id = s->id;
	if (s->maildir != NULL) {
		deliver_maildir_connected(s->maildir, now_ms, error);
	} else if (error < 0) {
		session_set_conn(d, s, 0);
		snprintf(text, sizeof(text), "connect to %s: %s", s->host,
		    strerrordesc_np(-error) ? strerrordesc_np(-error)
					    : "error");
		session_try_next(d, s, now_ms, "4.4.1", text);
		deliver_set_timer(d, id);
		deliver_rest(d);
		return;
	} else {
		options.session = id;
		options.destination = s->destination;
		options.host = s->host;
		options.is_helo = s->is_helo;
		options.mailer = s->trace != NULL ? s->mailer : NULL;
		s->carry = carry_new(d->env, d->conf, &options, now_ms);
	}
	deliver_settle(d, s, now_ms);
}

static size_t
deliver_bytes(void *role, uint64_t now_ms, role_conn conn, struct str bytes)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s = session_find_conn(d, conn);
	size_t taken = bytes.size;

	if (s == NULL)
		return taken;
	if (s->maildir != NULL)
		taken = deliver_maildir_bytes(s->maildir, now_ms, bytes);
	else if (s->carry != NULL)
		taken = carry_bytes(s->carry, now_ms, bytes);
	deliver_settle(d, s, now_ms);
	return taken;
}

static void
deliver_drained(void *role, uint64_t now_ms, role_conn conn)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s = session_find_conn(d, conn);

	if (s == NULL)
		return;
	if (s->maildir != NULL)
		deliver_maildir_drained(s->maildir, now_ms);
	else if (s->carry != NULL)
		carry_drained(s->carry, now_ms);
	deliver_settle(d, s, now_ms);
}

static void
deliver_closed(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s = session_find_conn(d, conn);

	if (s == NULL)
		return;
	if (s->maildir != NULL)
		deliver_maildir_closed(s->maildir, now_ms);
	else if (s->carry != NULL)
		carry_closed(s->carry, now_ms, error);
	deliver_settle(d, s, now_ms);
}

/* The resolver's answer for a session. */
static void
session_resolved(struct deliver *d, struct deliver_session *s, uint64_t now_ms,
    const struct role_dns_answer *answer)
{
	uint32_t shuffle[ROLE_DNS_MAX];
	uint32_t id = s->id;

	session_set_query(d, s, 0);
	if (deliver_route_next(s->route) == DELIVER_ASK_MX) {
		d->env->ops->random(d->env, shuffle, sizeof(shuffle));
		deliver_route_mx(s->route, answer, shuffle);
	} else {
		deliver_route_addresses(s->route, answer);
	}
	session_advance(d, s, now_ms);
	deliver_set_timer(d, id);
	deliver_rest(d);
}

static void
deliver_resolved(void *role, uint64_t now_ms, uint64_t query,
    const struct role_dns_answer *answer)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s;

	HASH_FIND(hh_query, d->by_query, &query, sizeof(query), s);
	if (s != NULL)
		session_resolved(d, s, now_ms, answer);
}

static void
deliver_peer_up(
    void *role, uint64_t now_ms, role_peer peer, enum role_kind kind)
{
	struct deliver *d = deliver_of(role);

	if (kind == ROLE_QUEUE)
		d->queue = peer;
}

static void
deliver_peer_down(void *role, uint64_t now_ms, role_peer peer)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s, *next;

	if (peer != d->queue)
		return;
	if (d->sessions != NULL)
		log_event(LOG_WARN, "sessions-dropped", "", "count=%u",
		    HASH_COUNT(d->sessions));
	HASH_ITER(hh, d->sessions, s, next)
	session_free(d, s);
	d->queue = 0;
	deliver_rest(d);
}

/* Ends a session that is not begun. */
static void
deliver_refuse(
    struct deliver *d, uint32_t id, bool is_failed, const char *answer)
{
	struct carry_end end;

	carry_end_set(&end, is_failed, false, "4.3.2", answer);
	carry_session_end(d->env, d->queue, id, &end);
}

static int
deliver_start(struct deliver *d, uint64_t now_ms, const struct message *m)
{
	uint32_t id = m->u.session_start.session;
	struct str host = m->u.session_start.host;
	struct deliver_session *s;

	HASH_FIND(hh, d->sessions, &id, sizeof(id), s);
	if (s != NULL)
		return -EPROTO;
	if (d->is_stopping ||
	    HASH_COUNT(d->sessions) >= d->conf->deliveries_max) {
		deliver_refuse(d, id, !d->is_stopping,
		    d->is_stopping ? "shutting down"
				   : "451 4.3.2 too many sessions");
		return 0;
	}
	s = mem_new(1, sizeof(*s));
	s->id = id;
	s->due_ms = UINT64_MAX;
	carry_text_copy(s->destination, sizeof(s->destination),
	    m->u.session_start.destination);
	carry_text_copy(s->host, sizeof(s->host), host);
	if (m->u.session_start.trace.size > 0)
		s->trace = mem_copy_text(m->u.session_start.trace.data,
		    m->u.session_start.trace.size);
	s->mailer =
	    m->u.session_start.kind == CONF_ROUTE_MX ? "esmtp" : "relay";
	HASH_ADD(hh, d->sessions, id, sizeof(s->id), s);
	if (route_is_local(m->u.session_start.kind)) {
		s->maildir = deliver_maildir_new(d->env, d->queue, id,
		    m->u.session_start.job, s->destination);
	} else {
		s->route = deliver_route_new(d->conf, m->u.session_start.kind,
		    host, m->u.session_start.port);
		session_advance(d, s, now_ms);
	}
	deliver_set_timer(d, id);
	deliver_rest(d);
	return 0;
}

/* JOB, JOB_NONE or BLOCK.  A session that is over has told so already, and its
   leases ended with it. */
static int
deliver_hand_on(
    struct deliver *d, uint64_t now_ms, uint32_t id, const struct message *m)
{
	struct deliver_session *s;
	int error = 0;

	HASH_FIND(hh, d->sessions, &id, sizeof(id), s);
	if (s == NULL)
		return 0;
	if (s->maildir != NULL)
		error = deliver_maildir_message(s->maildir, now_ms, m);
	else if (s->carry != NULL)
		error = carry_message(s->carry, now_ms, m);
	deliver_settle(d, s, now_ms);
	return error;
}

static int
deliver_take(struct deliver *d, uint64_t now_ms, const struct message *m)
{
	if (m->type == MESSAGE_SESSION_START)
		return deliver_start(d, now_ms, m);
	if (m->type == MESSAGE_JOB)
		return deliver_hand_on(d, now_ms, m->u.job.session, m);
	if (m->type == MESSAGE_JOB_NONE)
		return deliver_hand_on(d, now_ms, m->u.job_none.session, m);
	if (m->type == MESSAGE_BLOCK)
		return deliver_hand_on(d, now_ms, m->u.block.session, m);
	return -EPROTO;
}

static int
deliver_message(void *role, uint64_t now_ms, role_peer peer, struct str frame)
{
	struct deliver *d = deliver_of(role);
	struct arena arena;
	struct message m;
	int error;

	if (peer != d->queue || peer == 0)
		return -EPROTO;
	arena_init(&arena, MESSAGE_ARENA_MAX);
	error = message_decode(frame, ROLE_QUEUE, ROLE_DELIVER, &arena, &m);
	if (error == 0)
		error = deliver_take(d, now_ms, &m);
	arena_fini(&arena);
	return error;
}

/* The time of session S has come. */
static void
session_timer(struct deliver *d, struct deliver_session *s, uint64_t now_ms)
{
	static const struct role_dns_answer none = {.status = ROLE_DNS_FAILED};
	char text[CARRY_TEXT_MAX];
	uint32_t id = s->id;

	if (s->maildir != NULL) {
		deliver_maildir_timer(s->maildir, now_ms);
		deliver_settle(d, s, now_ms);
	} else if (s->carry != NULL) {
		carry_timer(s->carry, now_ms);
		deliver_settle(d, s, now_ms);
	} else if (s->query != 0) {
		session_resolved(d, s, now_ms, &none);
	} else {
		d->env->ops->conn_abort(d->env, s->conn);
		session_set_conn(d, s, 0);
		snprintf(
		    text, sizeof(text), "connect to %s: timed out", s->host);
		session_try_next(d, s, now_ms, "4.4.1", text);
		deliver_set_timer(d, id);
		deliver_rest(d);
	}
}

/* Time is up for the orderly end. */
static void
deliver_stop(struct deliver *d, uint64_t now_ms)
{
	struct deliver_session *s, *next;

	HASH_ITER(hh, d->sessions, s, next)
	{
		if (s->maildir != NULL)
			deliver_maildir_stop(
			    s->maildir, now_ms, "shutting down");
		else if (s->carry != NULL)
			carry_stop(s->carry, now_ms, "shutting down");
		session_settle(d, s, now_ms);
	}
}

static void
deliver_timer(void *role, uint64_t now_ms)
{
	struct deliver *d = deliver_of(role);
	struct heap_node *node;
	/* Each session once: one that is due again at once waits for the next
	   turn. */
	size_t count = d->timers.count;

	while (count-- > 0 && (node = heap_first(&d->timers)) != NULL &&
	       node->due_ms <= now_ms)
		session_timer(d,
		    HEAP_OBJECT(node, struct deliver_session, timer), now_ms);
	if (d->is_stopping && now_ms >= d->stop_due_ms)
		deliver_stop(d, now_ms);
	deliver_rest(d);
}

static void
deliver_shutdown(void *role, uint64_t now_ms)
{
	struct deliver *d = deliver_of(role);
	struct deliver_session *s, *next;

	if (d->is_stopping)
		return;
	d->is_stopping = true;
	d->stop_due_ms = num_add_capped(now_ms, DELIVER_STOP_TIME_MS);
	HASH_ITER(hh, d->sessions, s, next)
	{
		uint32_t id = s->id;

		if (s->maildir != NULL)
			deliver_maildir_finish(s->maildir, now_ms);
		else if (s->carry != NULL && carry_is_established(s->carry))
			carry_finish(s->carry, now_ms);
		else
			session_end_text(d, s, false, "4.3.2", "shutting down");
		HASH_FIND(hh, d->sessions, &id, sizeof(id), s);
		if (s != NULL)
			session_settle(d, s, now_ms);
		deliver_set_timer(d, id);
	}
	deliver_rest(d);
}

const struct role_ops role_deliver_ops = {
    .kind = ROLE_DELIVER,
    .connected = deliver_connected,
    .bytes = deliver_bytes,
    .drained = deliver_drained,
    .closed = deliver_closed,
    .resolved = deliver_resolved,
    .peer_up = deliver_peer_up,
    .peer_down = deliver_peer_down,
    .message = deliver_message,
    .timer = deliver_timer,
    .shutdown = deliver_shutdown,
};
