/*
 * For the tests of the loop: a world with a net that runs an echo role, which
 * remembers what it was told.  Static functions, in test programs only.
 */
#ifndef NET_NET_KIT_H
#define NET_NET_KIT_H

#include "base/buf.h"
#include "base/mem.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Remembers what it was told, and answers as the case wants. */
struct echo {
	struct role_env *env;
	bool is_echo;    /* sends back what it takes */
	size_t take_max; /* of each offer */
	bool is_close_at_end;
	role_conn conn; /* the last one accepted or connected */
	size_t accepted_count, connected_count, closed_count, drained_count;
	size_t bytes_count; /* calls of bytes() */
	size_t taken;
	int error; /* of connected or closed */
	struct conf_address from;
	struct buf in;
	/* Peers. */
	role_peer peer;
	enum role_kind peer_kind;
	size_t up_count, down_count, frame_count, frame_bytes;
	bool is_refusing;
	/* Others. */
	size_t stored_count, batch_max, timer_count;
	size_t shutdown_count;
};

static void
echo_accepted(void *role, uint64_t now_ms, role_conn conn, size_t listener,
    const struct conf_address *from)
{
	struct echo *echo = role;

	assert_int_equal(listener, 0);
	echo->accepted_count++;
	echo->conn = conn;
	echo->from = *from;
}

static void
echo_connected(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct echo *echo = role;

	assert_true(conn == echo->conn);
	echo->connected_count++;
	echo->error = error;
}

static size_t
echo_bytes(void *role, uint64_t now_ms, role_conn conn, struct str bytes)
{
	struct echo *echo = role;

	echo->bytes_count++;
	bytes = str_head(bytes, echo->take_max);
	assert_int_equal(buf_append(&echo->in, bytes), 0);
	echo->taken += bytes.size;
	if (echo->is_echo)
		assert_int_equal(
		    echo->env->ops->conn_send(echo->env, conn, bytes), 0);
	return bytes.size;
}

static void
echo_drained(void *role, uint64_t now_ms, role_conn conn)
{
	((struct echo *)role)->drained_count++;
}

static void
echo_closed(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct echo *echo = role;

	echo->closed_count++;
	echo->error = error;
}

static void
echo_peer_up(void *role, uint64_t now_ms, role_peer peer, enum role_kind kind)
{
	struct echo *echo = role;

	echo->up_count++;
	echo->peer = peer;
	echo->peer_kind = kind;
}

static void
echo_peer_down(void *role, uint64_t now_ms, role_peer peer)
{
	struct echo *echo = role;

	assert_int_equal(peer, echo->peer);
	echo->down_count++;
}

static int
echo_message(void *role, uint64_t now_ms, role_peer peer, struct str frame)
{
	struct echo *echo = role;

	assert_true(echo->up_count > 0);
	echo->frame_count++;
	echo->frame_bytes += frame.size;
	for (size_t i = 0; i < frame.size; i++)
		assert_int_equal(
		    (unsigned char)frame.data[i], frame.size % 251);
	return echo->is_refusing ? -EPROTO : 0;
}

static void
echo_stored(void *role, uint64_t now_ms, struct store_request *request)
{
	struct echo *echo = role;

	echo->stored_count++;
	/* The fake engine has put the size of its batch here. */
	if (request->tag > echo->batch_max)
		echo->batch_max = request->tag;
	assert_int_equal(request->error, 1);
	store_request_free(request);
}

static void
echo_timer(void *role, uint64_t now_ms)
{
	((struct echo *)role)->timer_count++;
}

static void
echo_shutdown(void *role, uint64_t now_ms)
{
	struct echo *echo = role;

	echo->shutdown_count++;
	echo->env->ops->stop(echo->env);
}

static const struct role_ops echo_ops = {
    .kind = ROLE_RECEIVE,
    .accepted = echo_accepted,
    .connected = echo_connected,
    .bytes = echo_bytes,
    .drained = echo_drained,
    .closed = echo_closed,
    .peer_up = echo_peer_up,
    .peer_down = echo_peer_down,
    .message = echo_message,
    .stored = echo_stored,
    .timer = echo_timer,
    .shutdown = echo_shutdown,
};

struct world {
	struct net *net;
	struct role_env *env;
	struct echo echo;
	struct sockaddr_in at; /* of the listener */
	int fd;                /* the other end */
};

static int
listen_any(struct sockaddr_in *at_out)
{
	socklen_t size = sizeof(*at_out);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at_out = (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_true(fd >= 0);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)at_out, sizeof(*at_out)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at_out, &size), 0);
	return fd;
}

static int
setup(void **state)
{
	struct world *w = mem_new(1, sizeof(*w));

	w->net = net_new(&echo_ops);
	w->env = net_env(w->net);
	w->echo.env = w->env;
	w->echo.is_echo = true;
	w->echo.take_max = SIZE_MAX;
	buf_init(&w->echo.in, 64 << 20);
	net_set_role(w->net, &w->echo);
	net_add_listener(w->net, listen_any(&w->at));
	net_start(w->net);
	w->fd = -1;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->fd >= 0)
		close(w->fd);
	net_free(w->net);
	buf_fini(&w->echo.in);
	free(w);
	return 0;
}

static void
turns(struct world *w, int count)
{
	for (int i = 0; i < count; i++) {
		net_turn(w->net, false);
		usleep(500);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
