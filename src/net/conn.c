/*
 * Connections: bytes in and out of a socket under a number with a generation.
 *
 * Invariants: (1) an event of a connection is on only while its fd is open;
 * (2) a connection is freed only at the end of a turn, so that no handler pulls
 * it away from under the code that called it; (3) `in` holds what the role was
 * offered and did not take; (4) once the role has seen closed() or has closed
 * it, nothing about the connection is reported any more.
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/net_internal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

/* Buffers over this size are given back when they run empty. */
#define NET_CONN_KEEP 16384

static void net_conn_on_read(evutil_socket_t fd, short what, void *arg);
static void net_conn_on_write(evutil_socket_t fd, short what, void *arg);

role_conn
net_conn_id(const struct net_conn *conn)
{
	return (uint64_t)conn->generation << 32 | (conn->index + 1);
}

struct net_conn *
net_conn_find(struct net *net, role_conn id)
{
	uint32_t number = (uint32_t)id;
	struct net_conn *conn;

	if (number == 0 || number > net->slot_count)
		return NULL;
	conn = net->slots[number - 1].conn;
	if (conn == NULL || conn->generation != id >> 32 ||
	    (conn->state != NET_CONN_STARTING && conn->state != NET_CONN_OPEN))
		return NULL;
	return conn;
}

/* A free slot's index, with its next generation. */
static uint32_t
net_slot_take(struct net *net)
{
	uint32_t index;

	if (net->slot_free != 0) {
		index = net->slot_free - 1;
		net->slot_free = net->slots[index].free_next;
	} else {
		if (net->slot_count == net->slot_capacity) {
			CHECK(net->slot_capacity < UINT32_MAX / 2);
			net->slot_capacity = net->slot_capacity > 0
			                         ? net->slot_capacity * 2
			                         : 64;
			net->slots = mem_resize(net->slots, net->slot_capacity,
			    sizeof(net->slots[0]));
		}
		index = net->slot_count++;
		net->slots[index] = (struct net_slot){0};
	}
	net->slots[index].generation++;
	return index;
}

struct net_conn *
net_conn_new(struct net *net)
{
	struct net_conn *conn = mem_new(1, sizeof(*conn));

	conn->net = net;
	conn->index = net_slot_take(net);
	conn->generation = net->slots[conn->index].generation;
	conn->state = NET_CONN_STARTING;
	conn->fd = -1;
	net->slots[conn->index].conn = conn;
	buf_init(&conn->in, NET_CONN_IN_PAUSE + NET_SCRATCH_SIZE);
	buf_init(&conn->out, NET_CONN_OUT_MAX);
	return conn;
}

static void
net_conn_set_reading(struct net_conn *conn, bool is_reading)
{
	if (conn->is_reading == is_reading)
		return;
	conn->is_reading = is_reading;
	if (is_reading)
		CHECK(event_add(&conn->read_event, NULL) == 0);
	else
		event_del(&conn->read_event);
}

static void
net_conn_set_blocked(struct net_conn *conn, bool is_blocked)
{
	if (conn->is_blocked == is_blocked)
		return;
	conn->is_blocked = is_blocked;
	if (is_blocked)
		CHECK(event_add(&conn->write_event, NULL) == 0);
	else
		event_del(&conn->write_event);
}

void
net_conn_open(struct net_conn *conn, int fd)
{
	CHECK(conn->fd < 0 && fd >= 0);
	conn->fd = fd;
	event_assign(&conn->read_event, conn->net->base, fd,
	    EV_READ | EV_PERSIST, net_conn_on_read, conn);
	event_assign(&conn->write_event, conn->net->base, fd,
	    EV_WRITE | EV_PERSIST, net_conn_on_write, conn);
	/* What connects becomes writable; it is read from when it has. */
	if (conn->state == NET_CONN_STARTING)
		net_conn_set_blocked(conn, true);
	else
		net_conn_set_reading(conn, true);
}

static void
net_conn_set_pending(struct net_conn *conn)
{
	if (conn->is_pending || conn->state == NET_CONN_DEAD)
		return;
	conn->is_pending = true;
	DL_APPEND2(conn->net->pending, conn, pending_prev, pending_next);
}

static void
net_conn_unset_pending(struct net_conn **list, struct net_conn *conn)
{
	conn->is_pending = false;
	DL_DELETE2(*list, conn, pending_prev, pending_next);
}

static void
net_conn_set_dirty(struct net_conn *conn)
{
	if (conn->is_dirty || conn->state == NET_CONN_DEAD)
		return;
	conn->is_dirty = true;
	DL_APPEND2(conn->net->dirty, conn, dirty_prev, dirty_next);
}

static void
net_conn_unset_dirty(struct net_conn **list, struct net_conn *conn)
{
	conn->is_dirty = false;
	DL_DELETE2(*list, conn, dirty_prev, dirty_next);
}

/* The end: the descriptor is closed now, the rest at the end of the turn. */
static void
net_conn_kill(struct net_conn *conn)
{
	CHECK(conn->state != NET_CONN_DEAD);
	conn->state = NET_CONN_DEAD;
	heap_remove(&conn->net->timers, &conn->timer);
	if (conn->fd >= 0) {
		net_conn_set_reading(conn, false);
		net_conn_set_blocked(conn, false);
		close(conn->fd);
		conn->fd = -1;
	}
	LL_PREPEND2(conn->net->dead, conn, dead_next);
}

void
net_conn_fail(struct net_conn *conn, int error)
{
	CHECK(error < 0);
	if (conn->state == NET_CONN_CLOSING || conn->state == NET_CONN_LINGER) {
		net_conn_kill(conn);
		return;
	}
	conn->error = error;
	if (conn->fd >= 0)
		net_conn_set_reading(conn, false);
	net_conn_set_pending(conn);
}

/* Tells the role that the connection is over.  What it wrote before the far
   end closed is still sent. */
static void
net_conn_report_end(struct net_conn *conn, int error)
{
	struct net *net = conn->net;
	role_conn id = net_conn_id(conn);
	bool was_starting = conn->state == NET_CONN_STARTING;

	if (error == 0 && buf_size(&conn->out) > 0) {
		conn->state = NET_CONN_CLOSING;
		heap_set(
		    &net->timers, &conn->timer, net->now_ms + NET_CLOSE_MS);
		net_conn_set_dirty(conn);
	} else {
		net_conn_kill(conn);
	}
	if (was_starting && net->ops->connected != NULL)
		net->ops->connected(net->role, net->now_ms, id, error);
	else if (!was_starting && net->ops->closed != NULL)
		net->ops->closed(net->role, net->now_ms, id, error);
}

/* The far end will send no more: told once all input is taken, or when the role
   lets it lie for NET_END_MS. */
static void
net_conn_end_input(struct net_conn *conn)
{
	conn->is_input_over = true;
	net_conn_set_reading(conn, false);
	if (buf_size(&conn->in) == 0) {
		net_conn_report_end(conn, 0);
		return;
	}
	heap_set(
	    &conn->net->timers, &conn->timer, conn->net->now_ms + NET_END_MS);
	conn->is_woken = true;
	net_conn_set_pending(conn);
}

void
net_conn_timer(struct net_conn *conn)
{
	if (conn->state == NET_CONN_OPEN)
		net_conn_report_end(conn, 0);
	else
		net_conn_kill(conn);
}

/* Offers what waits and BYTES behind it; keeps what is not taken. */
static void
net_conn_offer(struct net_conn *conn, struct str bytes)
{
	struct net *net = conn->net;
	bool is_direct = buf_size(&conn->in) == 0;
	size_t taken;

	if (!is_direct && buf_append(&conn->in, bytes) < 0) {
		net_conn_fail(conn, -ENOMEM);
		return;
	}
	if (!is_direct)
		bytes = buf_str(&conn->in);
	taken =
	    net->ops->bytes(net->role, net->now_ms, net_conn_id(conn), bytes);
	CHECK(taken <= bytes.size);
	if (conn->state != NET_CONN_OPEN)
		return;
	if (!is_direct)
		buf_consume(&conn->in, taken);
	else if (buf_append(&conn->in, str_skip(bytes, taken)) < 0)
		net_conn_fail(conn, -ENOMEM);
	if (buf_size(&conn->in) == 0 && conn->in.capacity > NET_CONN_KEEP)
		buf_fini(&conn->in);
	if (conn->error == 0 && !conn->is_input_over)
		net_conn_set_reading(
		    conn, buf_size(&conn->in) < NET_CONN_IN_PAUSE);
}

static void
net_conn_on_read(evutil_socket_t fd, short what, void *arg)
{
	struct net_conn *conn = arg;
	struct net *net = conn->net;
	ssize_t n;

	net_begin(net);
	n = recv(conn->fd, net->scratch, sizeof(net->scratch), MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			net_conn_fail(conn, -errno);
		return;
	}
	if (conn->state == NET_CONN_OPEN && n > 0)
		net_conn_offer(conn, str_of(net->scratch, (size_t)n));
	else if (conn->state == NET_CONN_OPEN)
		net_conn_end_input(conn);
	else if (n == 0 && conn->state == NET_CONN_LINGER)
		net_conn_kill(conn);
	else if (n == 0) {
		conn->is_input_over = true;
		net_conn_set_reading(conn, false);
	}
}

static void
net_conn_on_write(evutil_socket_t fd, short what, void *arg)
{
	struct net_conn *conn = arg;
	struct net *net = conn->net;

	net_begin(net);
	net_conn_set_blocked(conn, false);
	if (conn->state != NET_CONN_STARTING) {
		net_conn_set_dirty(conn);
		return;
	}
	net_reach_done(conn);
	if (conn->error != 0)
		return;
	conn->state = NET_CONN_OPEN;
	net_conn_set_reading(conn, true);
	if (buf_size(&conn->out) > 0)
		net_conn_set_dirty(conn);
	if (net->ops->connected != NULL)
		net->ops->connected(
		    net->role, net->now_ms, net_conn_id(conn), 0);
}

int
net_conn_send(struct role_env *env, role_conn id, struct str bytes)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);

	/* The role will hear, or has heard, what became of it. */
	if (conn == NULL || conn->error != 0)
		return 0;
	if (buf_append(&conn->out, bytes) < 0)
		return -ENOBUFS;
	if (conn->state == NET_CONN_OPEN && !conn->is_blocked)
		net_conn_set_dirty(conn);
	return 0;
}

size_t
net_conn_unsent(struct role_env *env, role_conn id)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);

	return conn == NULL ? 0 : buf_size(&conn->out);
}

uint64_t
net_conn_acked(struct role_env *env, role_conn id, uint64_t *idle_ms_out)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	*idle_ms_out = 0;
	/* What is no TCP, or is gone, tells nothing. */
	if (conn == NULL || conn->fd < 0 ||
	    getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return 0;
	*idle_ms_out = info.tcpi_last_ack_recv;
	return info.tcpi_bytes_acked;
}

bool
net_conn_user(struct role_env *env, role_conn id, uint32_t *uid_out)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);

	*uid_out = conn != NULL ? conn->uid : 0;
	return conn != NULL && conn->has_user;
}

void
net_conn_close(struct role_env *env, role_conn id)
{
	struct net *net = net_of(env);
	struct net_conn *conn = net_conn_find(net, id);

	if (conn == NULL)
		return;
	if (conn->state == NET_CONN_STARTING || conn->error != 0) {
		net_conn_kill(conn);
		return;
	}
	conn->state = NET_CONN_CLOSING;
	/* From here on input is read to be dropped, so that the far end comes
	   to the end of its own and no reset overtakes our last words. */
	if (!conn->is_input_over)
		net_conn_set_reading(conn, true);
	heap_set(&net->timers, &conn->timer, net->now_ms + NET_CLOSE_MS);
	net_conn_set_dirty(conn);
}

void
net_conn_abort(struct role_env *env, role_conn id)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (conn == NULL)
		return;
	/* Where this fails the connection ends without a reset. */
	if (conn->fd >= 0)
		(void)setsockopt(
		    conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	net_conn_kill(conn);
}

void
net_conn_wake(struct role_env *env, role_conn id)
{
	struct net_conn *conn = net_conn_find(net_of(env), id);

	if (conn == NULL || conn->state != NET_CONN_OPEN)
		return;
	conn->is_woken = true;
	net_conn_set_pending(conn);
}

static void
net_conn_offer_again(struct net_conn *conn)
{
	size_t size = buf_size(&conn->in);

	conn->is_woken = false;
	if (conn->state != NET_CONN_OPEN || size == 0)
		return;
	net_conn_offer(conn, STR(""));
	if (conn->state == NET_CONN_OPEN && conn->is_input_over &&
	    buf_size(&conn->in) < size)
		heap_set(&conn->net->timers, &conn->timer,
		    conn->net->now_ms + NET_END_MS);
}

static void
net_conn_settle(struct net_conn *conn)
{
	if (conn->is_woken)
		net_conn_offer_again(conn);
	if (conn->state != NET_CONN_STARTING && conn->state != NET_CONN_OPEN)
		return;
	if (conn->error != 0)
		net_conn_report_end(conn, conn->error);
	else if (conn->is_input_over && buf_size(&conn->in) == 0)
		net_conn_report_end(conn, 0);
}

void
net_conns_offer(struct net *net)
{
	struct net_conn *list = net->pending, *conn;

	net->pending = NULL;
	while ((conn = list) != NULL) {
		net_conn_unset_pending(&list, conn);
		net_conn_settle(conn);
	}
}

/* All is sent: what comes next. */
static void
net_conn_sent(struct net_conn *conn)
{
	struct net *net = conn->net;

	if (conn->out.capacity > NET_CONN_KEEP)
		buf_fini(&conn->out);
	if (conn->state == NET_CONN_OPEN) {
		if (net->ops->drained != NULL)
			net->ops->drained(
			    net->role, net->now_ms, net_conn_id(conn));
		return;
	}
	CHECK(conn->state == NET_CONN_CLOSING);
	if (conn->is_input_over || shutdown(conn->fd, SHUT_WR) < 0) {
		net_conn_kill(conn);
		return;
	}
	conn->state = NET_CONN_LINGER;
	net_conn_set_reading(conn, true);
}

/* A write failed.  What the far end said before it closed is still ours. */
static void
net_conn_break(struct net_conn *conn, int error)
{
	struct net *net = conn->net;
	ssize_t n;

	if (conn->state == NET_CONN_OPEN && conn->is_reading) {
		n = recv(
		    conn->fd, net->scratch, sizeof(net->scratch), MSG_DONTWAIT);
		if (n > 0)
			net_conn_offer(conn, str_of(net->scratch, (size_t)n));
	}
	if (conn->state != NET_CONN_DEAD)
		net_conn_fail(conn, error);
}

static void
net_conn_flush(struct net_conn *conn)
{
	struct str bytes = buf_str(&conn->out);
	ssize_t n = 0;

	if ((conn->state != NET_CONN_OPEN && conn->state != NET_CONN_CLOSING) ||
	    conn->error != 0)
		return;
	if (bytes.size == 0 && conn->state == NET_CONN_OPEN)
		return;
	if (bytes.size > 0)
		n = send(conn->fd, bytes.data, bytes.size,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		net_conn_break(conn, -errno);
		return;
	}
	if (n > 0)
		buf_consume(&conn->out, (size_t)n);
	if (buf_size(&conn->out) > 0)
		net_conn_set_blocked(conn, true);
	else
		net_conn_sent(conn);
}

void
net_conns_flush(struct net *net)
{
	struct net_conn *list = net->dirty, *conn;

	net->dirty = NULL;
	while ((conn = list) != NULL) {
		net_conn_unset_dirty(&list, conn);
		net_conn_flush(conn);
	}
}

static void
net_conn_free(struct net_conn *conn)
{
	struct net *net = conn->net;
	struct net_slot *slot = &net->slots[conn->index];

	if (conn->is_pending)
		net_conn_unset_pending(&net->pending, conn);
	if (conn->is_dirty)
		net_conn_unset_dirty(&net->dirty, conn);
	CHECK(slot->conn == conn && conn->fd < 0);
	slot->conn = NULL;
	slot->free_next = net->slot_free;
	net->slot_free = conn->index + 1;
	buf_fini(&conn->in);
	buf_fini(&conn->out);
	free(conn);
}

void
net_conns_bury(struct net *net)
{
	struct net_conn *conn;

	while ((conn = net->dead) != NULL) {
		net->dead = conn->dead_next;
		net_conn_free(conn);
	}
}

void
net_conns_free(struct net *net)
{
	for (uint32_t i = 0; i < net->slot_count; i++)
		if (net->slots[i].conn != NULL &&
		    net->slots[i].conn->state != NET_CONN_DEAD)
			net_conn_kill(net->slots[i].conn);
	net_conns_bury(net);
	free(net->slots);
	net->slots = NULL;
	net->slot_count = 0;
}
