/*
 * A carrier for tests: it does nothing by itself and remembers what a role
 * asked for.  A test makes one, makes the role over it, calls the role's
 * handlers (or the fake_... helpers that do), and looks at what is here.
 *
 *   struct fake_env f;
 *   fake_init(&f, ROLE_RECEIVE);
 *   role = role_receive_new(&f.env, conf);
 *   fake_peer_up(&f, &role_receive_ops, role, 7, ROLE_QUEUE);
 *   conn = fake_accept(&f, &role_receive_ops, role, "192.0.2.1");
 *   fake_input(&f, conn, STR("EHLO x\r\n"));
 *   fake_take_text(&f, conn, text, sizeof(text));   what the role sent
 *   fake_take_frame(&f, 7, &m);                     a frame for peer 7
 *   fake_frame(&f, 7, &m);                          a frame from peer 7
 *   fake_fini(&f);
 *
 * Connections keep their output for ever unless the test takes it; nothing
 * counts as unsent unless the test sets unsent.  Time is f.now_ms, which the
 * test moves; fake_timer() calls timer() if the time asked for has come.
 * One role a fake_env.  Everything is static: include it once in a test.
 */
#ifndef ROLE_FAKE_ENV_H
#define ROLE_FAKE_ENV_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "role/env.h"
#include "role/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_CONNS_MAX    64
#define FAKE_PEERS_MAX    8
#define FAKE_REQUESTS_MAX 64
#define FAKE_OUTPUT_MAX   (4 << 20)

#define FAKE_UNUSED       __attribute__((unused))

struct fake_conn {
	role_conn conn; /* 0 = free place */
	bool is_accepted, is_closed, is_aborted, is_woken;
	uint32_t job;                /* of spawn */
	struct conf_address address; /* of connect */
	struct buf input;            /* offered, not yet taken */
	struct buf output;           /* given to conn_send */
	size_t unsent;               /* what conn_unsent says */
	uint64_t acked, idle_ms;     /* what conn_acked says */
	bool has_user;               /* what conn_user says */
	uint32_t uid;
};

struct fake_peer {
	role_peer peer; /* 0 = free place */
	enum role_kind kind;
	bool is_broken;      /* send() gives -EPIPE */
	struct buf frames;   /* sent to it: length, frame, length, ... */
	struct arena arena;  /* of the last frame taken */
	struct buf taken;    /* bytes of the last frame taken */
	unsigned sent_count; /* frames in all */
};

struct fake_env {
	struct role_env env; /* first, so that an env is a fake_env */
	enum role_kind kind; /* of the role that is tested */
	const struct role_ops *ops;
	void *role;
	uint64_t now_ms;
	uint64_t wall_ms;
	uint64_t wake_ms; /* UINT64_MAX = not at all */
	uint32_t load;
	bool is_listening, is_stopped;
	bool is_out_of_conns; /* connect and spawn give 0 */
	uint64_t random_next;
	role_conn conn_last;
	struct fake_conn conns[FAKE_CONNS_MAX];
	struct fake_peer peers[FAKE_PEERS_MAX];
	struct {
		uint64_t query;
		enum role_dns what;
		char name[MAIL_DOMAIN_MAX + 1];
	} resolves[FAKE_REQUESTS_MAX];
	size_t resolve_count;
	struct store_request *requests[FAKE_REQUESTS_MAX];
	size_t request_count;
	unsigned streams_asked; /* how often ask_stream was called */
};

/* The place of CONN, open or not; NULL if there never was one. */
FAKE_UNUSED static struct fake_conn *
fake_conn(struct fake_env *f, role_conn conn)
{
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++)
		if (conn != 0 && f->conns[i].conn == conn)
			return &f->conns[i];
	return NULL;
}

FAKE_UNUSED static bool
fake_is_open(struct fake_env *f, role_conn conn)
{
	struct fake_conn *c = fake_conn(f, conn);

	return c != NULL && !c->is_closed && !c->is_aborted;
}

FAKE_UNUSED static struct fake_peer *
fake_peer(struct fake_env *f, role_peer peer)
{
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
		if (peer != 0 && f->peers[i].peer == peer)
			return &f->peers[i];
	return NULL;
}

static role_conn
fake_conn_new(struct fake_env *f)
{
	/* Closed ones keep their place: there is no need for many. */
	CHECK(f->conn_last < FAKE_CONNS_MAX);
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++)
		if (f->conns[i].conn == 0) {
			f->conns[i].conn = ++f->conn_last;
			buf_init(&f->conns[i].input, FAKE_OUTPUT_MAX);
			buf_init(&f->conns[i].output, FAKE_OUTPUT_MAX);
			return f->conn_last;
		}
	return 0;
}

static int
fake_op_send(struct role_env *env, role_conn conn, struct str bytes)
{
	struct fake_env *f = (struct fake_env *)env;
	struct fake_conn *c = fake_conn(f, conn);

	if (!fake_is_open(f, conn))
		return 0;
	if (c->unsent + bytes.size > (1 << 20))
		return -ENOBUFS;
	return buf_append(&c->output, bytes);
}

static size_t
fake_op_unsent(struct role_env *env, role_conn conn)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	return c != NULL ? c->unsent : 0;
}

static void
fake_op_close(struct role_env *env, role_conn conn)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	if (c != NULL)
		c->is_closed = true;
}

static void
fake_op_abort(struct role_env *env, role_conn conn)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	if (c != NULL)
		c->is_aborted = true;
}

static void
fake_op_wake(struct role_env *env, role_conn conn)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	if (c != NULL)
		c->is_woken = true;
}

static role_conn
fake_op_connect(struct role_env *env, const struct conf_address *address)
{
	struct fake_env *f = (struct fake_env *)env;
	role_conn conn = f->is_out_of_conns ? 0 : fake_conn_new(f);

	if (conn != 0)
		fake_conn(f, conn)->address = *address;
	return conn;
}

static role_conn
fake_op_spawn(struct role_env *env, uint32_t job)
{
	struct fake_env *f = (struct fake_env *)env;
	role_conn conn = f->is_out_of_conns ? 0 : fake_conn_new(f);

	if (conn != 0)
		fake_conn(f, conn)->job = job;
	return conn;
}

static void
fake_op_listen(struct role_env *env, bool is_open)
{
	((struct fake_env *)env)->is_listening = is_open;
}

static void
fake_op_resolve(
    struct role_env *env, uint64_t query, enum role_dns what, struct str name)
{
	struct fake_env *f = (struct fake_env *)env;

	CHECK(f->resolve_count < FAKE_REQUESTS_MAX);
	f->resolves[f->resolve_count].query = query;
	f->resolves[f->resolve_count].what = what;
	snprintf(f->resolves[f->resolve_count].name, MAIL_DOMAIN_MAX + 1,
	    "%.*s", STR_ARG(name));
	f->resolve_count++;
}

static int
fake_op_frame(struct role_env *env, role_peer peer, struct str frame)
{
	struct fake_peer *p = fake_peer((struct fake_env *)env, peer);
	struct wire_writer w = {.out = p != NULL ? &p->frames : NULL};

	if (p == NULL || p->is_broken)
		return -EPIPE;
	CHECK(frame.size <= MESSAGE_FRAME_MAX);
	wire_put_str(&w, frame);
	CHECK(!w.is_bad);
	p->sent_count++;
	return 0;
}

static void
fake_op_store(struct role_env *env, struct store_request *request)
{
	struct fake_env *f = (struct fake_env *)env;

	CHECK(f->request_count < FAKE_REQUESTS_MAX);
	f->requests[f->request_count++] = request;
}

static void
fake_op_wake_at(struct role_env *env, uint64_t due_ms)
{
	((struct fake_env *)env)->wake_ms = due_ms;
}

static uint64_t
fake_op_wall(struct role_env *env)
{
	return ((struct fake_env *)env)->wall_ms;
}

static uint32_t
fake_op_load(struct role_env *env)
{
	return ((struct fake_env *)env)->load;
}

/* Counts up: known, and never the same twice. */
static void
fake_op_random(struct role_env *env, void *data, size_t size)
{
	struct fake_env *f = (struct fake_env *)env;

	for (size_t i = 0; i < size; i++)
		((unsigned char *)data)[i] = (unsigned char)f->random_next++;
}

static void
fake_op_stop(struct role_env *env)
{
	((struct fake_env *)env)->is_stopped = true;
}

static uint64_t
fake_op_acked(struct role_env *env, role_conn conn, uint64_t *idle_ms_out)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	*idle_ms_out = c != NULL ? c->idle_ms : 0;
	return c != NULL ? c->acked : 0;
}

static bool
fake_op_user(struct role_env *env, role_conn conn, uint32_t *uid_out)
{
	struct fake_conn *c = fake_conn((struct fake_env *)env, conn);

	*uid_out = c != NULL ? c->uid : 0;
	return c != NULL && c->has_user;
}

static void
fake_op_ask_stream(struct role_env *env, enum role_kind kind)
{
	((struct fake_env *)env)->streams_asked++;
}

static const struct role_env_ops fake_env_ops = {
    .conn_send = fake_op_send,
    .conn_unsent = fake_op_unsent,
    .conn_acked = fake_op_acked,
    .conn_user = fake_op_user,
    .conn_close = fake_op_close,
    .conn_abort = fake_op_abort,
    .conn_wake = fake_op_wake,
    .connect = fake_op_connect,
    .spawn = fake_op_spawn,
    .ask_stream = fake_op_ask_stream,
    .listen = fake_op_listen,
    .resolve = fake_op_resolve,
    .send = fake_op_frame,
    .store = fake_op_store,
    .wake_at = fake_op_wake_at,
    .wall_ms = fake_op_wall,
    .load = fake_op_load,
    .random = fake_op_random,
    .stop = fake_op_stop,
};

/* KIND is the role under test: frames are decoded as from and to it. */
FAKE_UNUSED static void
fake_init(struct fake_env *f, enum role_kind kind)
{
	memset(f, 0, sizeof(*f));
	f->env.ops = &fake_env_ops;
	f->kind = kind;
	f->now_ms = 1000;
	f->wall_ms = UINT64_C(1700000000000);
	f->wake_ms = UINT64_MAX;
	f->is_listening = true;
}

/* The role is the caller's to free, before this. */
FAKE_UNUSED static void
fake_fini(struct fake_env *f)
{
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++) {
		buf_fini(&f->conns[i].input);
		buf_fini(&f->conns[i].output);
	}
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++) {
		buf_fini(&f->peers[i].frames);
		buf_fini(&f->peers[i].taken);
		arena_fini(&f->peers[i].arena);
	}
	for (size_t i = 0; i < f->request_count; i++)
		store_request_free(f->requests[i]);
	memset(f, 0, sizeof(*f));
}

/* The role that the helpers below call. */
FAKE_UNUSED static void
fake_set_role(struct fake_env *f, const struct role_ops *ops, void *role)
{
	f->ops = ops;
	f->role = role;
}

FAKE_UNUSED static void
fake_peer_up(struct fake_env *f, const struct role_ops *ops, void *role,
    role_peer peer, enum role_kind kind)
{
	fake_set_role(f, ops, role);
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
		if (f->peers[i].peer == 0) {
			f->peers[i].peer = peer;
			f->peers[i].kind = kind;
			buf_init(&f->peers[i].frames, 64 << 20);
			buf_init(&f->peers[i].taken, MESSAGE_FRAME_MAX);
			arena_init(&f->peers[i].arena, MESSAGE_ARENA_MAX);
			ops->peer_up(role, f->now_ms, peer, kind);
			return;
		}
	CHECK(false);
}

/* The peer is gone: send() to it fails from now on. */
FAKE_UNUSED static void
fake_peer_down(struct fake_env *f, role_peer peer)
{
	fake_peer(f, peer)->is_broken = true;
	f->ops->peer_down(f->role, f->now_ms, peer);
}

/* Takes the next frame that was sent to PEER: false if there is none.  What
   it points to is valid until the next one is taken from PEER. */
FAKE_UNUSED static bool
fake_take_frame(struct fake_env *f, role_peer peer, struct message *m_out)
{
	struct fake_peer *p = fake_peer(f, peer);
	struct str frame;
	int error;

	if (p == NULL || buf_size(&p->frames) == 0)
		return false;
	frame = buf_str(&p->frames);
	frame = str_of(frame.data + 4, wire_load_u32(frame.data));
	buf_clear(&p->taken);
	arena_fini(&p->arena);
	error = buf_append(&p->taken, frame);
	CHECK(error == 0);
	buf_consume(&p->frames, 4 + frame.size);
	error = message_decode(
	    buf_str(&p->taken), f->kind, p->kind, &p->arena, m_out);
	CHECK(error == 0);
	return true;
}

/* Gives the role a frame of PEER; what its handler says. */
FAKE_UNUSED static int
fake_frame(struct fake_env *f, role_peer peer, const struct message *m)
{
	struct buf frame;
	int error;

	buf_init(&frame, MESSAGE_FRAME_MAX);
	error = message_encode(&frame, m);
	CHECK(error == 0);
	error = f->ops->message(f->role, f->now_ms, peer, buf_str(&frame));
	buf_fini(&frame);
	return error;
}

/* Offers input that waits on CONN once. */
static void
fake_offer(struct fake_env *f, struct fake_conn *c)
{
	size_t taken;

	c->is_woken = false;
	if (!fake_is_open(f, c->conn) || buf_size(&c->input) == 0)
		return;
	taken = f->ops->bytes(f->role, f->now_ms, c->conn, buf_str(&c->input));
	CHECK(taken <= buf_size(&c->input));
	buf_consume(&c->input, taken);
}

/* Offers input to every connection that was woken, until none is. */
FAKE_UNUSED static void
fake_run(struct fake_env *f)
{
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++)
		while (f->conns[i].is_woken)
			fake_offer(f, &f->conns[i]);
}

/* A connection that comes in from ADDRESS (NULL = from no address) on the
   first listener. */
FAKE_UNUSED static role_conn
fake_accept(struct fake_env *f, const struct role_ops *ops, void *role,
    const char *address)
{
	struct conf_address from = {.family = 0};
	role_conn conn = fake_conn_new(f);
	int error = 0;

	fake_set_role(f, ops, role);
	if (address != NULL)
		error = conf_address_parse(str_from(address), &from);
	CHECK(error == 0);
	fake_conn(f, conn)->is_accepted = true;
	ops->accepted(role, f->now_ms, conn, 0, &from);
	return conn;
}

/* A connection at LISTENER of user UID at a local socket; with ROLE_NO_LISTENER
   a stream from another role. */
FAKE_UNUSED static role_conn
fake_accept_local(struct fake_env *f, const struct role_ops *ops, void *role,
    size_t listener, uint32_t uid)
{
	struct conf_address from = {.family = 0};
	role_conn conn = fake_conn_new(f);

	fake_set_role(f, ops, role);
	fake_conn(f, conn)->is_accepted = true;
	fake_conn(f, conn)->has_user = listener != ROLE_NO_LISTENER;
	fake_conn(f, conn)->uid = uid;
	ops->accepted(role, f->now_ms, conn, listener, &from);
	return conn;
}

/* Input; what the role does not take waits for conn_wake or more input. */
FAKE_UNUSED static void
fake_input(struct fake_env *f, role_conn conn, struct str bytes)
{
	struct fake_conn *c = fake_conn(f, conn);
	int error = buf_append(&c->input, bytes);

	CHECK(error == 0);
	fake_offer(f, c);
	fake_run(f);
}

/* The far end is gone. */
FAKE_UNUSED static void
fake_close(struct fake_env *f, role_conn conn, int error)
{
	fake_conn(f, conn)->is_closed = true;
	f->ops->closed(f->role, f->now_ms, conn, error);
}

/* Moves the time and calls timer() if it was asked for. */
FAKE_UNUSED static void
fake_timer(struct fake_env *f, uint64_t now_ms)
{
	CHECK(now_ms >= f->now_ms);
	f->wall_ms += now_ms - f->now_ms;
	f->now_ms = now_ms;
	if (f->wake_ms > now_ms)
		return;
	f->wake_ms = UINT64_MAX;
	f->ops->timer(f->role, now_ms);
	fake_run(f);
}

/* Takes what the role has sent on CONN as text with a NUL; cut to SIZE. */
FAKE_UNUSED static const char *
fake_take_text(struct fake_env *f, role_conn conn, char *text, size_t size)
{
	struct buf *output = &fake_conn(f, conn)->output;

	snprintf(text, size, "%.*s", STR_ARG(buf_str(output)));
	buf_clear(output);
	return text;
}

/* Takes the oldest request handed to the store, NULL if there is none; the
   test answers it with f->ops->stored(), or frees it. */
FAKE_UNUSED static struct store_request *
fake_take_request(struct fake_env *f)
{
	struct store_request *request = f->requests[0];

	if (f->request_count == 0)
		return NULL;
	f->request_count--;
	memmove(f->requests, f->requests + 1,
	    f->request_count * sizeof(f->requests[0]));
	f->requests[f->request_count] = NULL;
	return request;
}

#endif
