/*
 * The receive role: connections that come in, each with an SMTP machine.
 *
 * Promises: a session takes no input while its question waits for the queue, or
 * while its client does not read the replies; a client that is silent for
 * idle-timeout is told so and closed; nothing that a client or the queue says
 * ends more than that session (the queue's nonsense: that peer).
 *
 * Invariants: a session is in the table by connection; in that by transaction
 * exactly while the queue knows one of it; in that by request exactly while a
 * trigger waits; it has a deadline, and it is counted in its network and its
 * sites.
 */
#include "role/receive.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "role/roles.h"

#include <errno.h>
#include <stdlib.h>

#define RECEIVE_FLUSH_SIZE 8192 /* of replies at once, at least */

int
receive_send(struct receive *r, const struct message *m)
{
	if (r->queue == 0)
		return -EPIPE;
	buf_clear(&r->frame);
	if (message_encode(&r->frame, m) < 0)
		return -EPIPE;
	return r->env->ops->send(r->env, r->queue, buf_str(&r->frame)) < 0
	           ? -EPIPE
	           : 0;
}

static struct receive_session *
receive_find(struct receive *r, role_conn conn)
{
	struct receive_session *s;

	HASH_FIND(hh, r->sessions, &conn, sizeof(conn), s);
	CHECK(s == NULL || s->magic == RECEIVE_MAGIC);
	return s;
}

static void
receive_session_free(struct receive *r, struct receive_session *s)
{
	receive_trigger_end(r, s, false);
	receive_intake_end(r, s);
	heap_remove(&r->deadlines, &s->deadline);
	HASH_DELETE(hh, r->sessions, s);
	receive_network_leave(r, s->network);
	receive_sites_leave(r, &s->from);
	smtp_server_free(s->machine);
	s->magic = 0;
	free(s);
}

/* When the session is to be looked at again, from what it waits for. */
static void
receive_session_touch(struct receive *r, struct receive_session *s)
{
	uint64_t wait_ms = RECEIVE_STORE_MS;

	if (s->wait == RECEIVE_WAIT_NONE)
		wait_ms = r->conf->idle_timeout_ms;
	else if (s->wait == RECEIVE_WAIT_TRIGGER)
		wait_ms = RECEIVE_TRIGGER_MS;
	heap_set(
	    &r->deadlines, &s->deadline, num_add_capped(r->now_ms, wait_ms));
}

/* Gives the replies to the network; false if the session is gone. */
static bool
receive_session_flush(struct receive *r, struct receive_session *s)
{
	struct buf *output = smtp_server_output(s->machine);

	if (buf_size(output) == 0)
		return true;
	if (r->env->ops->conn_send(r->env, s->conn, buf_str(output)) < 0) {
		log_event(LOG_NOTE, "disconnect", "", "peer=%s reason=%s",
		    s->peer, "replies are not read");
		r->env->ops->conn_abort(r->env, s->conn);
		receive_session_free(r, s);
		return false;
	}
	buf_consume(output, buf_size(output));
	return true;
}

/* Answers a question, or lets it wait: then false. */
static bool
receive_session_ask(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out)
{
	*reply_out = smtp_reply_make(250, "", "Ok");
	switch (ask->kind) {
	case SMTP_ASK_MAIL:
		return receive_intake_mail(r, s, ask, reply_out);
	case SMTP_ASK_RCPT:
		return receive_intake_rcpt(r, s, ask, reply_out);
	case SMTP_ASK_DATA:
		return receive_intake_data(r, s, reply_out);
	case SMTP_ASK_CONTENT:
		return receive_intake_content(r, s, ask);
	case SMTP_ASK_COMMIT:
		return receive_intake_commit(r, s, reply_out);
	case SMTP_ASK_TRIGGER:
		return receive_trigger_ask(r, s, ask, reply_out);
	case SMTP_ASK_ABORT:
		receive_intake_end(r, s);
		return true;
	case SMTP_ASK_NONE:
	case SMTP_ASK_CLOSE:
		break;
	}
	CHECK(false);
	return true;
}

/* Runs the machine until its input runs dry or a question waits.  TAKEN_OUT is
   how much of IN it took.  False if the session is gone. */
static bool
receive_session_run(struct receive *r, struct receive_session *s, struct str in,
    size_t *taken_out)
{
	struct smtp_reply reply;
	struct smtp_ask ask;

	CHECK(s->wait == RECEIVE_WAIT_NONE);
	*taken_out = 0;
	for (;;) {
		size_t taken;

		if (buf_size(smtp_server_output(s->machine)) >
			RECEIVE_FLUSH_SIZE &&
		    !receive_session_flush(r, s))
			return false;
		if (smtp_server_next(s->machine, &ask) == SMTP_ASK_NONE) {
			taken = smtp_server_feed(s->machine,
			    str_head(str_skip(in, *taken_out), STORE_BLOCK));
			if (taken == 0)
				break;
			*taken_out += taken;
			continue;
		}
		if (ask.kind == SMTP_ASK_CLOSE) {
			if (!receive_session_flush(r, s))
				return false;
			log_event(
			    LOG_DETAIL, "disconnect", "", "peer=%s", s->peer);
			r->env->ops->conn_close(r->env, s->conn);
			receive_session_free(r, s);
			return false;
		}
		if (!receive_session_ask(r, s, &ask, &reply))
			break;
		smtp_server_done(s->machine, &reply);
	}
	receive_session_touch(r, s);
	return receive_session_flush(r, s);
}

void
receive_resume(struct receive *r, struct receive_session *s)
{
	role_conn conn = s->conn;
	size_t taken;

	CHECK(s->magic == RECEIVE_MAGIC && s->wait != RECEIVE_WAIT_NONE);
	s->wait = RECEIVE_WAIT_NONE;
	if (receive_session_run(r, s, str_of("", 0), &taken))
		r->env->ops->conn_wake(r->env, conn);
}

void
receive_answer(struct receive *r, struct receive_session *s,
    const struct smtp_reply *reply)
{
	smtp_server_done(s->machine, reply);
	receive_resume(r, s);
}

/* Ends the process when it is time, and says when to be woken. */
static void
receive_step(struct receive *r)
{
	struct heap_node *first = heap_first(&r->deadlines);
	uint64_t due_ms = first != NULL ? first->due_ms : UINT64_MAX;

	if (r->is_stopping && r->stop_ms < due_ms)
		due_ms = r->stop_ms;
	if (r->is_stopping && HASH_COUNT(r->sessions) == 0) {
		if (!r->is_stopped)
			r->env->ops->stop(r->env);
		r->is_stopped = true;
		due_ms = UINT64_MAX;
	}
	r->env->ops->wake_at(r->env, due_ms);
}

/* A reply of the role's own, outside any machine. */
static void
receive_say(
    struct receive *r, role_conn conn, const char *enhanced, const char *text)
{
	struct smtp_reply reply = smtp_reply_make(
	    421, enhanced, "%.*s %s", STR_ARG(r->conf->hostname), text);
	struct buf line;

	buf_init(&line, sizeof(reply) + 8);
	/* Where it cannot be given the connection is closed without it. */
	if (smtp_reply_put(&line, &reply) == 0)
		(void)!r->env->ops->conn_send(r->env, conn, buf_str(&line));
	buf_fini(&line);
}

/* Does not take the connection, and says why. */
static void
receive_turn_away(struct receive *r, role_conn conn, const char *peer,
    const char *enhanced, const char *text)
{
	log_event(
	    LOG_DETAIL, "turned-away", "", "peer=%s reason=%s", peer, text);
	receive_say(r, conn, enhanced, text);
	r->env->ops->conn_close(r->env, conn);
}

/* Who S comes from.  The pickup role counts as a user that nobody is. */
static void
receive_session_name(struct receive *r, struct receive_session *s,
    size_t listener, const struct conf_address *from)
{
	bool is_pickup = listener == ROLE_NO_LISTENER;

	s->is_local = from->family == 0;
	s->from = *from;
	if (!s->is_local) {
		conf_address_format(from, s->peer);
		return;
	}
	s->uid = UINT32_MAX;
	if (!is_pickup)
		s->has_uid = r->env->ops->conn_user(r->env, s->conn, &s->uid);
	s->from = receive_network_of_user(s->uid);
	if (s->has_uid)
		snprintf(s->peer, sizeof(s->peer), "uid:%u", s->uid);
	else
		snprintf(s->peer, sizeof(s->peer), "%s",
		    is_pickup ? "pickup" : "local");
}

/* Enters S in its network and sites; NULL, or why it may not come. */
static const char *
receive_session_enter(struct receive *r, struct receive_session *s)
{
	s->network = receive_network_enter(r, &s->from);
	if (s->network == NULL)
		return s->is_local ? "Too many connections of yours, try later"
		                   : "Too many connections from your network, "
		                     "try later";
	if (receive_sites_enter(r, &s->from))
		return NULL;
	receive_network_leave(r, s->network);
	return "Too many connections from your site, try later";
}

static void
receive_session_begin(
    struct receive *r, struct receive_session *s, size_t listener)
{
	bool is_pickup = listener == ROLE_NO_LISTENER;
	struct smtp_server_options options =
	    is_pickup ? r->pickup_options : r->options;
	size_t taken;

	s->magic = RECEIVE_MAGIC;
	options.has_final = s->is_local;
	s->machine = smtp_server_new(&options);
	arena_init(&s->transaction.arena, RECEIVE_ARENA_MAX);
	buf_init(&s->transaction.block, RECEIVE_BLOCKS_MAX);
	HASH_ADD(hh, r->sessions, conn, sizeof(s->conn), s);
	if (is_pickup)
		log_event(LOG_DETAIL, "connect", "", "peer=%s", s->peer);
	else
		log_event(LOG_DETAIL, "connect", "", "peer=%s listener=%zu",
		    s->peer, listener);
	(void)!receive_session_run(r, s, str_of("", 0), &taken);
}

/* Mail that waits in the drop directory comes all the same: it is here. */
static bool
receive_is_overloaded(const struct receive *r, size_t listener)
{
	return r->conf->refuse_load > 0 && listener != ROLE_NO_LISTENER &&
	       r->env->ops->load(r->env) >= r->conf->refuse_load;
}

static void
receive_accepted(void *role, uint64_t now_ms, role_conn conn, size_t listener,
    const struct conf_address *from)
{
	struct receive *r = role;
	struct receive_session *s = mem_new(1, sizeof(*s));
	const char *why = NULL, *enhanced = "4.3.2";

	r->now_ms = now_ms;
	s->conn = conn;
	receive_session_name(r, s, listener, from);
	if (r->is_stopping) {
		why = "Shutting down";
	} else if (HASH_COUNT(r->sessions) >= r->connections_max &&
		   listener != ROLE_NO_LISTENER) {
		why = "Too many connections, try later";
	} else if (receive_is_overloaded(r, listener)) {
		why = "Load too high, try later";
	} else {
		why = receive_session_enter(r, s);
		enhanced = "4.7.0";
	}
	if (why != NULL) {
		receive_turn_away(r, conn, s->peer, enhanced, why);
		free(s);
		return;
	}
	receive_session_begin(r, s, listener);
	receive_step(r);
}

static size_t
receive_bytes(void *role, uint64_t now_ms, role_conn conn, struct str bytes)
{
	struct receive *r = role;
	struct receive_session *s = receive_find(r, conn);
	size_t taken = 0;

	r->now_ms = now_ms;
	if (s == NULL)
		return bytes.size;
	if (s->wait != RECEIVE_WAIT_NONE ||
	    r->env->ops->conn_unsent(r->env, conn) > RECEIVE_UNSENT_MAX)
		return 0;
	(void)!receive_session_run(r, s, bytes, &taken);
	receive_step(r);
	return taken;
}

static void
receive_drained(void *role, uint64_t now_ms, role_conn conn)
{
	struct receive *r = role;

	if (receive_find(r, conn) != NULL)
		r->env->ops->conn_wake(r->env, conn);
}

static void
receive_closed(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct receive *r = role;
	struct receive_session *s = receive_find(r, conn);
	size_t taken;

	r->now_ms = now_ms;
	if (s == NULL)
		return;
	log_event(LOG_DETAIL, "disconnect", "", "peer=%s error=%d during=%s",
	    s->peer, -error, smtp_server_waits_for(s->machine));
	smtp_server_end(s->machine);
	/* What waits is not waited for: a commit that was asked for stands. */
	if (s->wait != RECEIVE_WAIT_NONE ||
	    receive_session_run(r, s, str_of("", 0), &taken))
		receive_session_free(r, s);
	receive_step(r);
}

static void
receive_peer_up(
    void *role, uint64_t now_ms, role_peer peer, enum role_kind kind)
{
	struct receive *r = role;

	if (kind != ROLE_QUEUE)
		return;
	r->queue = peer;
	/* Until it says otherwise. */
	r->is_intake_open = true;
	r->intake_size_max = UINT64_MAX;
	for (size_t i = 0; i < r->conf->site_count; i++)
		r->sites[i].is_closed = false;
}

static void
receive_peer_down(void *role, uint64_t now_ms, role_peer peer)
{
	struct receive *r = role;
	struct receive_session *s, *next;

	r->now_ms = now_ms;
	if (peer != r->queue)
		return;
	r->queue = 0;
	HASH_ITER(hh, r->sessions, s, next)
	{
		if (s->wait == RECEIVE_WAIT_TRIGGER)
			receive_trigger_end(r, s, true);
		else
			receive_intake_lost(r, s);
	}
	receive_step(r);
}

static int
receive_message(void *role, uint64_t now_ms, role_peer peer, struct str frame)
{
	struct receive *r = role;
	struct arena arena;
	struct message m;
	int error = -EPROTO;

	r->now_ms = now_ms;
	arena_init(&arena, MESSAGE_ARENA_MAX);
	if (peer == r->queue)
		error =
		    message_decode(frame, ROLE_QUEUE, ROLE_RECEIVE, &arena, &m);
	if (error == 0 && m.type == MESSAGE_TRIGGER_DONE)
		receive_trigger_message(r, &m);
	else if (error == 0)
		error = receive_intake_message(r, &m);
	arena_fini(&arena);
	receive_step(r);
	return error;
}

/* Ends a session within content, where the machine would let that come to its
   end: 421 may be said at any time (RFC 5321 3.8). */
static void
receive_session_cut(struct receive *r, struct receive_session *s,
    const char *enhanced, const char *text)
{
	receive_say(r, s->conn, enhanced, text);
	r->env->ops->conn_close(r->env, s->conn);
	receive_session_free(r, s);
}

/* The client is silent: RFC 5321 3.8 has 421 for it, at any time. */
static void
receive_session_expire(struct receive *r, struct receive_session *s)
{
	char reason[128];
	size_t taken;

	snprintf(reason, sizeof(reason),
	    "timeout waiting for input from %s during %s", s->peer,
	    smtp_server_waits_for(s->machine));
	log_event(
	    LOG_NOTE, "disconnect", "", "peer=%s reason=%s", s->peer, reason);
	smtp_server_shutdown(s->machine, "4.4.2", "Timeout waiting for input");
	if (!receive_session_run(r, s, str_of("", 0), &taken))
		return;
	receive_session_cut(r, s, "4.4.2", "Timeout waiting for input");
}

/* The time to end in is over.  A client whose message the store may or may not
   have gets no word of ours on it. */
static void
receive_session_stop(struct receive *r, struct receive_session *s)
{
	log_event(LOG_NOTE, "disconnect", "", "peer=%s reason=%s during=%s",
	    s->peer, "Shutting down", smtp_server_waits_for(s->machine));
	if (s->wait == RECEIVE_WAIT_NONE) {
		receive_session_cut(r, s, "4.3.2", "Shutting down");
		return;
	}
	r->env->ops->conn_abort(r->env, s->conn);
	receive_session_free(r, s);
}

static void
receive_timer(void *role, uint64_t now_ms)
{
	struct receive *r = role;
	struct receive_session *s, *next;
	struct heap_node *node;

	r->now_ms = now_ms;
	while ((node = heap_first(&r->deadlines)) != NULL &&
	       node->due_ms <= now_ms) {
		s = HEAP_OBJECT(node, struct receive_session, deadline);
		CHECK(s->magic == RECEIVE_MAGIC);
		if (s->wait == RECEIVE_WAIT_TRIGGER)
			receive_trigger_end(r, s, true);
		else if (s->wait != RECEIVE_WAIT_NONE)
			receive_intake_late(r, s);
		else
			receive_session_expire(r, s);
	}
	if (r->is_stopping && r->stop_ms <= now_ms) {
		HASH_ITER(hh, r->sessions, s, next)
		receive_session_stop(r, s);
	}
	receive_step(r);
}

static void
receive_shutdown(void *role, uint64_t now_ms)
{
	struct receive *r = role;
	struct receive_session *s, *next;
	size_t taken;

	r->now_ms = now_ms;
	if (r->is_stopping)
		return;
	r->is_stopping = true;
	r->stop_ms = now_ms + RECEIVE_SHUTDOWN_MS;
	r->env->ops->listen(r->env, false);
	HASH_ITER(hh, r->sessions, s, next)
	{
		smtp_server_shutdown(s->machine, "4.3.2", "Shutting down");
		if (s->wait == RECEIVE_WAIT_NONE)
			(void)!receive_session_run(r, s, str_of("", 0), &taken);
	}
	receive_step(r);
}

uint64_t
receive_share(const struct conf *conf, uint64_t limit)
{
	uint64_t processes =
	    conf->receive_processes > 0 ? conf->receive_processes : 1;

	return (limit + processes - 1) / processes;
}

void *
role_receive_new(struct role_env *env, const struct conf *conf)
{
	struct receive *r = mem_new(1, sizeof(*r));
	unsigned char random[NEWID_RANDOM];

	r->env = env;
	r->conf = conf;
	r->options = (struct smtp_server_options){.hostname = conf->hostname,
	    .size_max = conf->size_max,
	    .recipients_max = num_narrow_u32(conf->recipients_max),
	    .transactions_max = num_narrow_u32(conf->transactions_max),
	    .errors_max = num_narrow_u32(conf->errors_max),
	    .command_max = num_narrow_u32(conf->command_max),
	    .line_max = num_narrow_u32(conf->line_max)};
	/* What others said wrong is not the pickup role's fault. */
	r->pickup_options = r->options;
	r->pickup_options.transactions_max = UINT32_MAX;
	r->pickup_options.errors_max = UINT32_MAX;
	r->pickup_options.has_uid = true;
	r->connections_max = receive_share(conf, conf->connections_max);
	r->network_connections_max =
	    receive_share(conf, conf->connections_network_max);
	r->triggers_max = receive_share(conf, conf->triggers_minute_max);
	r->aliases = alias_memo_new(conf, STORE_RECIPIENTS_MAX);
	receive_sites_init(r);
	env->ops->random(env, random, sizeof(random));
	newid_init(&r->newid, random);
	heap_init(&r->deadlines);
	buf_init(&r->frame, MESSAGE_FRAME_MAX);
	return r;
}

void
role_receive_free(void *role)
{
	struct receive *r = role;
	struct receive_session *s, *next;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->sessions, s, next) receive_session_free(r, s);
	receive_networks_free(r);
	receive_sites_fini(r);
	alias_memo_free(r->aliases);
	CHECK(r->by_transaction == NULL && r->by_request == NULL);
	heap_fini(&r->deadlines);
	buf_fini(&r->frame);
	free(r);
}

const struct role_ops role_receive_ops = {
    .kind = ROLE_RECEIVE,
    .accepted = receive_accepted,
    .bytes = receive_bytes,
    .drained = receive_drained,
    .closed = receive_closed,
    .peer_up = receive_peer_up,
    .peer_down = receive_peer_down,
    .message = receive_message,
    .timer = receive_timer,
    .shutdown = receive_shutdown,
};
