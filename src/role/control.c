/*
 * The control role: administrators' connections, each with one request in hand
 * at a time, which the queue role carries out.
 *
 *   IDLE --a line--> asked the queue --LIST_END, CHANGE_DONE,...--> IDLE
 *                          \--the queue is gone: an end with an error--/
 *
 * Promises: a request is taken only when the answer to the last one has been
 * read, so that what waits for a client is bounded; an item that does not fit
 * ends the page, and the client asks on behind it.  An answer names a request
 * by a number that is not used again; a late one finds nothing.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/control_own.h"
#include "role/roles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
control_send(struct control *c, const struct message *m)
{
	if (c->queue == 0)
		return -EPIPE;
	buf_clear(&c->frame);
	if (message_encode(&c->frame, m) < 0)
		return -EPIPE;
	return c->env->ops->send(c->env, c->queue, buf_str(&c->frame)) < 0
	           ? -EPIPE
	           : 0;
}

/* Both clocks now. */
struct control_clock
control_clock_now(const struct control *c)
{
	struct control_clock clock = {0};

	if (c->clock.wall_ms == 0)
		return clock;
	clock.queue_ms = c->clock.queue_ms + (c->now_ms - c->clock_now_ms);
	clock.wall_ms = c->env->ops->wall_ms(c->env);
	return clock;
}

static void
control_conn_unlink(struct control *c, struct control_conn *conn)
{
	if (conn->request != 0)
		HASH_DELETE(hh_request, c->by_request, conn);
	conn->request = 0;
}

static void
control_conn_free(struct control *c, struct control_conn *conn)
{
	control_conn_unlink(c, conn);
	HASH_DELETE(hh, c->conns, conn);
	buf_fini(&conn->line);
	free(conn);
}

static struct control_conn *
control_conn_find(struct control *c, role_conn number)
{
	struct control_conn *conn;

	HASH_FIND(hh, c->conns, &number, sizeof(number), conn);
	return conn;
}

/* Sends what was formatted into c->text; false if it does not fit. */
static bool
control_conn_write(struct control *c, role_conn conn, int error)
{
	if (error == 0)
		error = c->env->ops->conn_send(c->env, conn, buf_str(&c->text));
	buf_clear(&c->text);
	return error == 0;
}

/* Gives the end of an answer; the next request may come. */
void
control_conn_end(struct control *c, struct control_conn *conn, json_t *end)
{
	control_conn_unlink(c, conn);
	conn->active_ms = c->now_ms;
	/* Items leave room for it; else the client never reads. */
	if (!control_conn_write(c, conn->conn, control_put(&c->text, end))) {
		c->env->ops->conn_abort(c->env, conn->conn);
		control_conn_free(c, conn);
		return;
	}
	c->env->ops->conn_wake(c->env, conn->conn);
}

void
control_conn_fail(
    struct control *c, struct control_conn *conn, const char *wrong)
{
	control_conn_end(c, conn, control_end(wrong));
}

/* One item was formatted with ERROR; false if it does not fit.  What waits is
   kept below the carrier's maximum, so that the end always fits. */
bool
control_conn_item(struct control *c, struct control_conn *conn, int error)
{
	size_t unsent = c->env->ops->conn_unsent(c->env, conn->conn);

	if (unsent + buf_size(&c->text) > CONTROL_LINE_MAX)
		conn->is_cut = true;
	if (!conn->is_cut)
		conn->is_cut = !control_conn_write(c, conn->conn, error);
	buf_clear(&c->text);
	return !conn->is_cut;
}

/* Asks the queue; what comes back names conn->request. */
void
control_conn_ask(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	CHECK(conn->request == 0);
	if (control_send(c, m) < 0) {
		control_conn_fail(c, conn, "the queue is not there");
		return;
	}
	/* The request is the first member of each of them. */
	conn->request = m->u.list.request;
	HASH_ADD(
	    hh_request, c->by_request, request, sizeof(conn->request), conn);
}

static void
control_ask_list(struct control *c, struct control_conn *conn,
    const struct control_request *request)
{
	struct message m = {.type = MESSAGE_LIST,
	    .u.list = {.request = ++c->number_last,
		.is_destinations = request->action == CONTROL_DESTINATIONS,
		.filter = request->filter,
		.older_ms = request->older_ms,
		.after_key = request->after_key,
		.after_name = request->after_name,
		.count = request->count}};

	control_conn_ask(c, conn, &m);
}

/* The end of a release of SITE. */
static void
control_release_end(struct control *c, struct control_conn *conn,
    struct str site, enum message_trigger_result result, uint64_t count)
{
	static const char *const names[] = {
	    [MESSAGE_TRIGGER_STARTED] = "started",
	    [MESSAGE_TRIGGER_ACTIVE] = "active",
	    [MESSAGE_TRIGGER_EMPTY] = "empty",
	    [MESSAGE_TRIGGER_BUSY] = "busy",
	    [MESSAGE_TRIGGER_UNKNOWN] = "unknown",
	};
	json_t *end = control_end(NULL);

	control_set(end, "site", control_text(site));
	control_set(end, "result", json_string(names[result]));
	control_set_number(end, "count", count);
	control_conn_end(c, conn, end);
}

static void
control_ask_release(struct control *c, struct control_conn *conn,
    struct control_request *request)
{
	struct message m = {.type = MESSAGE_TRIGGER,
	    .u.trigger = {.request = ++c->number_last,
		.domains = request->domains,
		.domain_count = request->domain_count}};

	if (request->site == NULL) {
		control_release_end(
		    c, conn, request->site_name, MESSAGE_TRIGGER_UNKNOWN, 0);
		return;
	}
	m.u.trigger.site = request->site->name;
	log_event(LOG_NOTE, "trigger", "", "site=%.*s kind=control domains=%zu",
	    STR_ARG(request->site->name), request->domain_count);
	snprintf(conn->site, sizeof(conn->site), "%.*s",
	    STR_ARG(request->site->name));
	control_conn_ask(c, conn, &m);
}

static void
control_ask_change(struct control *c, struct control_conn *conn,
    const struct control_request *request)
{
	static const struct {
		const char *name;
		enum message_steer steer;
		enum store_change change;
	} rows[] = {
	    [CONTROL_HOLD] = {"hold", MESSAGE_STEER_CHANGE, STORE_CHANGE_HOLD},
	    [CONTROL_FREE] = {"free", MESSAGE_STEER_CHANGE, STORE_CHANGE_FREE},
	    [CONTROL_DELETE] = {"delete", MESSAGE_STEER_CHANGE,
		STORE_CHANGE_DELETE},
	    [CONTROL_REQUEUE] = {"requeue", MESSAGE_STEER_REQUEUE,
		STORE_CHANGE_HOLD},
	    [CONTROL_EXPIRE] = {"expire", MESSAGE_STEER_EXPIRE,
		STORE_CHANGE_HOLD},
	};
	const struct store_filter *filter = &request->filter;
	struct message m = {.type = MESSAGE_CHANGE,
	    .u.change = {.request = ++c->number_last,
		.filter = *filter,
		.older_ms = request->older_ms,
		.steer = rows[request->action].steer,
		.change = rows[request->action].change,
		.reason = request->reason,
		.is_dry = request->is_dry,
		.after_key = request->after_key}};

	if (request->after_key == 0)
		log_event(LOG_NOTE, "control", "",
		    "do=%s dry=%d id=%.*s destination=%.*s sender=%.*s "
		    "recipient=%.*s domain=%.*s older=%llu larger=%llu",
		    rows[request->action].name, request->is_dry,
		    STR_ARG(filter->id), STR_ARG(filter->destination),
		    STR_ARG(filter->sender), STR_ARG(filter->recipient),
		    STR_ARG(filter->domain),
		    (unsigned long long)request->older_ms / 1000,
		    (unsigned long long)filter->size_above);
	control_conn_ask(c, conn, &m);
}

static void
control_conn_act(struct control *c, struct control_conn *conn,
    struct control_request *request)
{
	json_t *end;

	conn->action = request->action;
	conn->is_cut = false;
	conn->key_first = request->after_key;
	conn->key_before = conn->after_key = conn->key_first;
	snprintf(conn->after_name, sizeof(conn->after_name), "%.*s",
	    STR_ARG(request->after_name));
	switch (request->action) {
	case CONTROL_PING:
		end = control_end(NULL);
		control_set(end, "queue", json_boolean(c->queue != 0));
		control_conn_end(c, conn, end);
		break;
	case CONTROL_LIST:
	case CONTROL_DESTINATIONS:
		control_ask_list(c, conn, request);
		break;
	case CONTROL_SITES:
		control_ask_sites(c, conn, request);
		break;
	case CONTROL_RELEASE:
		control_ask_release(c, conn, request);
		break;
	case CONTROL_HOLD:
	case CONTROL_FREE:
	case CONTROL_DELETE:
	case CONTROL_REQUEUE:
	case CONTROL_EXPIRE:
		control_ask_change(c, conn, request);
		break;
	case CONTROL_RUN:
		control_ask_run(c, conn, request);
		break;
	}
}

/* Says WRONG and closes. */
static void
control_refuse(struct control *c, role_conn conn, const char *wrong)
{
	(void)control_conn_write(
	    c, conn, control_put(&c->text, control_end(wrong)));
	c->env->ops->conn_close(c->env, conn);
}

static void
control_conn_line(struct control *c, struct control_conn *conn, struct str line)
{
	struct control_request *request = mem_new(1, sizeof(*request));
	bool is_broken;
	const char *wrong =
	    control_request_read(c->conf, line, request, &is_broken);

	buf_clear(&conn->line);
	if (is_broken) {
		control_refuse(c, conn->conn, wrong);
		control_conn_free(c, conn);
	} else if (wrong != NULL) {
		control_conn_fail(c, conn, wrong);
	} else {
		control_conn_act(c, conn, request);
	}
	control_request_fini(request);
	free(request);
}

/* Closes the client that has been idle for longest, if that is long enough. */
static bool
control_make_room(struct control *c)
{
	struct control_conn *conn, *idlest = NULL;

	for (conn = c->conns; conn != NULL; conn = conn->hh.next)
		if (conn->request == 0 &&
		    (idlest == NULL || conn->active_ms < idlest->active_ms))
			idlest = conn;
	if (idlest == NULL || c->now_ms - idlest->active_ms < CONTROL_IDLE_MS)
		return false;
	/* Who does not read what he was told is not told more. */
	if (c->env->ops->conn_unsent(c->env, idlest->conn) > 0)
		c->env->ops->conn_abort(c->env, idlest->conn);
	else
		control_refuse(c, idlest->conn, "idle, and others wait");
	control_conn_free(c, idlest);
	return true;
}

static void
control_accepted(void *role, uint64_t now_ms, role_conn number, size_t listener,
    const struct conf_address *from)
{
	struct control *c = role;
	struct control_conn *conn;

	c->now_ms = now_ms;
	if (HASH_COUNT(c->conns) >= CONTROL_CONNS_MAX &&
	    !control_make_room(c)) {
		control_refuse(c, number, "too many connections");
		return;
	}
	conn = mem_new(1, sizeof(*conn));
	conn->conn = number;
	conn->active_ms = now_ms;
	buf_init(&conn->line, CONTROL_REQUEST_MAX);
	HASH_ADD(hh, c->conns, conn, sizeof(conn->conn), conn);
}

/* Takes one line at most; with its end the carrier is asked for more. */
static size_t
control_bytes(void *role, uint64_t now_ms, role_conn number, struct str bytes)
{
	struct control *c = role;
	struct control_conn *conn = control_conn_find(c, number);
	size_t size = str_find(bytes, '\n');
	bool is_whole = size < bytes.size;
	char *line;

	c->now_ms = now_ms;
	if (conn == NULL)
		return bytes.size;
	conn->active_ms = now_ms;
	/* The answer before is to be read first; see control_drained(). */
	if (conn->request != 0 || c->env->ops->conn_unsent(c->env, number) > 0)
		return 0;
	/* The newline counts. */
	if (size >= buf_room(&conn->line) ||
	    buf_append(&conn->line, str_head(bytes, size)) < 0) {
		control_refuse(c, number, "line too long");
		control_conn_free(c, conn);
		return bytes.size;
	}
	if (!is_whole)
		return size;
	/* The line outlives its buffer, which goes with the connection. */
	size++;
	line = mem_copy_text(buf_str(&conn->line).data, buf_size(&conn->line));
	control_conn_line(c, conn, str_of(line, buf_size(&conn->line)));
	free(line);
	return size;
}

static void
control_drained(void *role, uint64_t now_ms, role_conn number)
{
	struct control *c = role;
	struct control_conn *conn = control_conn_find(c, number);

	if (conn == NULL)
		return;
	conn->active_ms = now_ms;
	c->env->ops->conn_wake(c->env, number);
}

static void
control_closed(void *role, uint64_t now_ms, role_conn number, int error)
{
	struct control *c = role;
	struct control_conn *conn = control_conn_find(c, number);

	if (conn != NULL)
		control_conn_free(c, conn);
}

/* Asks for one destination, to learn the queue's clock with the end. */
static void
control_peer_up(
    void *role, uint64_t now_ms, role_peer peer, enum role_kind kind)
{
	struct control *c = role;
	struct message m = {.type = MESSAGE_LIST,
	    .u.list = {.request = c->number_last + 1,
		.is_destinations = true,
		.count = 1}};

	if (kind != ROLE_QUEUE)
		return;
	c->queue = peer;
	c->clock = (struct control_clock){.wall_ms = 0};
	c->clock_request = ++c->number_last;
	/* Without it times are shown by each message's own arrival. */
	(void)!control_send(c, &m);
}

static void
control_peer_down(void *role, uint64_t now_ms, role_peer peer)
{
	struct control *c = role;
	struct control_conn *conn, *next;

	if (peer != c->queue)
		return;
	c->queue = 0;
	HASH_ITER(hh, c->conns, conn, next)
	{
		if (conn->request != 0)
			control_conn_fail(c, conn, "the queue is gone");
	}
}

static void
control_list_message(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	const struct store_found *found = &m->u.list_message.found;
	struct control_clock clock = control_clock_now(c);

	if (conn->action != CONTROL_LIST || conn->is_cut)
		return;
	/* A message may come in parts: if one does not fit, the client is to
	   ask behind the message before, unless that were the same again. */
	if (found->key != conn->after_key) {
		conn->key_before = conn->after_key;
		conn->after_key = found->key;
	}
	if (!control_conn_item(
		c, conn, control_format_message(&c->text, found, &clock)) &&
	    conn->key_before != conn->key_first)
		conn->after_key = conn->key_before;
}

static void
control_list_destination(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	const struct store_destination *d = &m->u.list_destination.destination;
	struct control_clock clock = control_clock_now(c);
	struct control_state state = {m->u.list_destination.state,
	    m->u.list_destination.answer, m->u.list_destination.next_ms,
	    m->u.list_destination.answered_ms};

	if (conn->is_cut)
		return;
	if (conn->action == CONTROL_SITES) {
		control_merge_site(c, conn, d, &state);
	} else if (conn->action == CONTROL_DESTINATIONS &&
		   control_conn_item(c, conn,
		       control_format_destination(
			   &c->text, d, &state, &clock))) {
		snprintf(conn->after_name, sizeof(conn->after_name), "%.*s",
		    STR_ARG(d->name));
	}
}

static void
control_list_end(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	bool is_more = m->u.list_end.is_more;
	json_t *end;

	if (m->u.list_end.error < 0) {
		control_conn_fail(c, conn, strerror(-m->u.list_end.error));
		return;
	}
	if (conn->action == CONTROL_SITES) {
		while (!is_more && !conn->is_cut &&
		       conn->site_index < conn->site_end)
			control_put_site(c, conn, NULL, NULL);
		is_more = conn->site_index < c->conf->site_count;
	}
	end = control_end(NULL);
	control_set(end, "more", json_boolean(is_more || conn->is_cut));
	if (conn->action == CONTROL_LIST) {
		if (!conn->is_cut && m->u.list_end.next_key != 0)
			conn->after_key = m->u.list_end.next_key;
		control_set_number(end, "after", conn->after_key);
		control_set_number(end, "total", m->u.list_end.total);
	} else {
		control_set(
		    end, "after", control_text(str_from(conn->after_name)));
	}
	control_conn_end(c, conn, end);
}

static void
control_change_done(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	if (m->u.change_done.error < 0) {
		control_conn_fail(c, conn, strerror(-m->u.change_done.error));
		return;
	}
	control_conn_end(c, conn,
	    control_format_changed(m->u.change_done.next_key,
		m->u.change_done.changed_count, m->u.change_done.leased_count,
		m->u.change_done.moved_count));
}

/* What kind of frame may answer what was asked. */
static bool
control_is_answer(enum control_action action, enum message_type type)
{
	switch (action) {
	case CONTROL_PING:
		return false;
	case CONTROL_LIST:
		return type == MESSAGE_LIST_MESSAGE || type == MESSAGE_LIST_END;
	case CONTROL_DESTINATIONS:
	case CONTROL_SITES:
		return type == MESSAGE_LIST_DESTINATION ||
		       type == MESSAGE_LIST_END;
	case CONTROL_RELEASE:
		return type == MESSAGE_TRIGGER_DONE;
	case CONTROL_RUN:
		return type == MESSAGE_RUN_TEXT || type == MESSAGE_RUN_DONE;
	case CONTROL_HOLD:
	case CONTROL_FREE:
	case CONTROL_DELETE:
	case CONTROL_REQUEUE:
	case CONTROL_EXPIRE:
		break;
	}
	return type == MESSAGE_CHANGE_DONE;
}

static int
control_answer(struct control *c, const struct message *m)
{
	/* The request is the first member of each of them. */
	uint64_t number = m->u.list_end.request;
	struct control_conn *conn;

	if (m->type == MESSAGE_LIST_END) {
		c->clock.queue_ms = m->u.list_end.queue_ms;
		c->clock.wall_ms = m->u.list_end.wall_ms;
		c->clock_now_ms = c->now_ms;
	}
	HASH_FIND(hh_request, c->by_request, &number, sizeof(number), conn);
	if (conn == NULL)
		return 0;
	if (!control_is_answer(conn->action, m->type))
		return -EPROTO;
	if (m->type == MESSAGE_LIST_MESSAGE)
		control_list_message(c, conn, m);
	else if (m->type == MESSAGE_LIST_DESTINATION)
		control_list_destination(c, conn, m);
	else if (m->type == MESSAGE_LIST_END)
		control_list_end(c, conn, m);
	else if (m->type == MESSAGE_TRIGGER_DONE)
		control_release_end(c, conn, str_from(conn->site),
		    m->u.trigger_done.result, m->u.trigger_done.count);
	else if (m->type == MESSAGE_RUN_TEXT)
		control_run_text(c, conn, m);
	else if (m->type == MESSAGE_RUN_DONE)
		control_run_done(c, conn, m);
	else
		control_change_done(c, conn, m);
	return 0;
}

static int
control_message(void *role, uint64_t now_ms, role_peer peer, struct str frame)
{
	struct control *c = role;
	struct arena arena;
	struct message m;
	int error = -EPROTO;

	c->now_ms = now_ms;
	arena_init(&arena, MESSAGE_ARENA_MAX);
	if (peer == c->queue)
		error =
		    message_decode(frame, ROLE_QUEUE, ROLE_CONTROL, &arena, &m);
	if (error == 0)
		error = control_answer(c, &m);
	arena_fini(&arena);
	return error;
}

static void
control_shutdown(void *role, uint64_t now_ms)
{
	struct control *c = role;
	struct control_conn *conn, *next;

	c->env->ops->listen(c->env, false);
	HASH_ITER(hh, c->conns, conn, next)
	{
		control_refuse(c, conn->conn, "shutting down");
		control_conn_free(c, conn);
	}
	c->env->ops->stop(c->env);
}

void *
role_control_new(struct role_env *env, const struct conf *conf)
{
	struct control *c = mem_new(1, sizeof(*c));
	uint32_t seed;

	/* Jansson would open a file for the seed of its hashes. */
	env->ops->random(env, &seed, sizeof(seed));
	json_object_seed(seed | 1);
	c->env = env;
	c->conf = conf;
	c->sites = control_sites_sorted(conf);
	buf_init(&c->frame, MESSAGE_FRAME_MAX);
	buf_init(&c->text, CONTROL_LINE_MAX);
	return c;
}

void
role_control_free(void *role)
{
	struct control *c = role;
	struct control_conn *conn, *next;

	if (c == NULL)
		return;
	HASH_ITER(hh, c->conns, conn, next) control_conn_free(c, conn);
	CHECK(c->by_request == NULL);
	buf_fini(&c->frame);
	buf_fini(&c->text);
	free(c->sites);
	free(c);
}

const struct role_ops role_control_ops = {
    .kind = ROLE_CONTROL,
    .accepted = control_accepted,
    .bytes = control_bytes,
    .drained = control_drained,
    .closed = control_closed,
    .peer_up = control_peer_up,
    .peer_down = control_peer_down,
    .message = control_message,
    .shutdown = control_shutdown,
};
