/* The loop with an echo role on real sockets: connections, peers, the writer.
   What a role sees is compared with what the other end did. */
#include "base/check.h"
#include "base/mem.h"
#include "base/wire.h"
#include "net/channel.h"
#include "net/net.h"
#include "net/stderr_log.h"
#include "role/message.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static int
client(const struct world *w)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(
	    connect(fd, (const struct sockaddr *)&w->at, sizeof(w->at)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void
turns(struct world *w, int count)
{
	for (int i = 0; i < count; i++) {
		net_turn(w->net, false);
		usleep(500);
	}
}

/* A client that the role has accepted. */
static void
join(struct world *w)
{
	size_t before = w->echo.accepted_count;

	w->fd = client(w);
	for (int i = 0; i < 1000 && w->echo.accepted_count == before; i++)
		turns(w, 1);
	assert_int_equal(w->echo.accepted_count, before + 1);
}

static void
put(int fd, const char *text)
{
	assert_int_equal(
	    send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
expect(struct world *w, const char *text)
{
	char got[256];
	size_t size = 0;

	for (int i = 0; i < 200 && size < strlen(text); i++) {
		ssize_t n = recv(w->fd, got + size, sizeof(got) - size, 0);

		if (n > 0)
			size += (size_t)n;
		turns(w, 1);
	}
	assert_int_equal(size, strlen(text));
	assert_memory_equal(got, text, size);
}

static void
test_echo(void **state)
{
	struct world *w = *state;

	join(w);
	assert_int_equal(w->echo.from.family, 4);
	assert_true(w->echo.from.port != 0);
	put(w->fd, "a");
	expect(w, "a");
	for (const char *p = "bcdefg"; *p != '\0'; p++) {
		char one[2] = {*p, '\0'};

		put(w->fd, one);
		turns(w, 2);
	}
	expect(w, "bcdefg");
	assert_true(w->echo.drained_count >= 2);
	assert_int_equal(w->env->ops->conn_unsent(w->env, w->echo.conn), 0);
}

/* What is not taken is offered again, whole, with more and when woken. */
static void
test_not_taken(void **state)
{
	struct world *w = *state;

	w->echo.take_max = 0;
	join(w);
	put(w->fd, "one ");
	turns(w, 3);
	assert_int_equal(w->echo.bytes_count, 1);
	put(w->fd, "two");
	turns(w, 3);
	assert_int_equal(w->echo.bytes_count, 2);
	w->echo.take_max = 5;
	w->env->ops->conn_wake(w->env, w->echo.conn);
	turns(w, 3);
	assert_int_equal(w->echo.bytes_count, 3);
	expect(w, "one t");
	w->echo.take_max = 100;
	w->env->ops->conn_wake(w->env, w->echo.conn);
	expect(w, "wo");
}

/* Reading stops with 64 KB not taken, and goes on. */
static void
test_back_pressure(void **state)
{
	struct world *w = *state;
	static char block[65536];
	size_t sent = 0, calls;
	ssize_t n;

	w->echo.is_echo = false;
	w->echo.take_max = 0;
	join(w);
	while ((n = send(w->fd, block, sizeof(block), MSG_NOSIGNAL)) > 0) {
		sent += (size_t)n;
		turns(w, 1);
	}
	turns(w, 5);
	calls = w->echo.bytes_count;
	turns(w, 5);
	assert_int_equal(w->echo.bytes_count, calls);
	w->echo.take_max = SIZE_MAX;
	w->env->ops->conn_wake(w->env, w->echo.conn);
	for (int i = 0; i < 2000 && w->echo.taken < sent; i++)
		turns(w, 1);
	assert_int_equal(w->echo.taken, sent);
}

/* 2 MB there and back through a role that sends it all. */
static void
test_two_megabytes(void **state)
{
	struct world *w = *state;
	static char there[2 << 20], back[2 << 20];
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < sizeof(there); i++)
		there[i] = (char)(i * 7 + i / 1000);
	join(w);
	for (int i = 0; i < 100000 && got < sizeof(back); i++) {
		size_t ahead = sent - got, size = sizeof(there) - sent;
		ssize_t n;

		if (size > 65536)
			size = 65536;
		if (size > 0 && ahead < 500000) {
			n = send(w->fd, there + sent, size, MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		net_turn(w->net, false);
		n = recv(w->fd, back + got, sizeof(back) - got, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, sizeof(back));
	assert_memory_equal(there, back, sizeof(back));
}

/* Over 1 MB may not wait. */
static void
test_output_bound(void **state)
{
	struct world *w = *state;
	static char block[65536];
	struct str bytes = str_of(block, sizeof(block));
	size_t waiting;

	join(w);
	for (int i = 0; i < 16; i++)
		assert_int_equal(
		    w->env->ops->conn_send(w->env, w->echo.conn, bytes), 0);
	waiting = w->env->ops->conn_unsent(w->env, w->echo.conn);
	assert_int_equal(waiting, NET_CONN_OUT_MAX);
	assert_int_equal(
	    w->env->ops->conn_send(w->env, w->echo.conn, STR("x")), -ENOBUFS);
	assert_int_equal(
	    w->env->ops->conn_unsent(w->env, w->echo.conn), waiting);
	turns(w, 2);
	assert_true(w->env->ops->conn_unsent(w->env, w->echo.conn) < waiting);
}

/* A close sends what was given first, and is not reported. */
static void
test_close(void **state)
{
	struct world *w = *state;
	static char got[600000];
	static char block[500000];
	size_t size = 0;
	ssize_t n = -1;

	join(w);
	put(w->fd, "input that nobody reads");
	w->env->ops->conn_send(
	    w->env, w->echo.conn, str_of(block, sizeof(block)));
	w->env->ops->conn_close(w->env, w->echo.conn);
	assert_int_equal(w->env->ops->conn_unsent(w->env, w->echo.conn), 0);
	for (int i = 0; i < 2000 && n != 0; i++) {
		turns(w, 1);
		n = recv(w->fd, got + size, sizeof(got) - size, 0);
		size += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(n, 0);
	assert_int_equal(size, sizeof(block));
	assert_int_equal(w->echo.closed_count, 0);
	close(w->fd);
	w->fd = -1;
	turns(w, 3);
	assert_int_equal(w->echo.closed_count, 0);
}

/* An abort is a reset, and is not reported. */
static void
test_abort(void **state)
{
	struct world *w = *state;
	char got[8];

	join(w);
	w->env->ops->conn_abort(w->env, w->echo.conn);
	turns(w, 3);
	assert_int_equal(recv(w->fd, got, sizeof(got), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(w->echo.closed_count, 0);
}

/* The far end closes: all input first, then closed(0); replies still go. */
static void
test_far_close(void **state)
{
	struct world *w = *state;

	join(w);
	put(w->fd, "QUIT");
	assert_int_equal(shutdown(w->fd, SHUT_WR), 0);
	expect(w, "QUIT");
	turns(w, 3);
	assert_int_equal(w->echo.closed_count, 1);
	assert_int_equal(w->echo.error, 0);
}

/* The end waits for a role that is not done with the input. */
static void
test_far_close_waits(void **state)
{
	struct world *w = *state;

	w->echo.take_max = 0;
	join(w);
	put(w->fd, "DATA");
	assert_int_equal(shutdown(w->fd, SHUT_WR), 0);
	turns(w, 10);
	assert_int_equal(w->echo.closed_count, 0);
	w->echo.take_max = 100;
	w->env->ops->conn_wake(w->env, w->echo.conn);
	expect(w, "DATA");
	turns(w, 3);
	assert_int_equal(w->echo.closed_count, 1);
}

static void
test_far_reset(void **state)
{
	struct world *w = *state;
	struct linger reset = {.l_onoff = 1};

	join(w);
	setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(w->fd);
	w->fd = -1;
	turns(w, 5);
	assert_int_equal(w->echo.closed_count, 1);
	assert_int_equal(w->echo.error, -ECONNRESET);
}

/* A number is never that of a later connection. */
static void
test_generation(void **state)
{
	struct world *w = *state;
	role_conn first, second;

	join(w);
	first = w->echo.conn;
	w->env->ops->conn_abort(w->env, first);
	turns(w, 3);
	close(w->fd);
	join(w);
	second = w->echo.conn;
	assert_true(first != second);
	assert_int_equal((uint32_t)first, (uint32_t)second);
	assert_int_equal(w->env->ops->conn_send(w->env, first, STR("no")), 0);
	w->env->ops->conn_close(w->env, first);
	w->env->ops->conn_abort(w->env, 0);
	w->env->ops->conn_abort(w->env, UINT64_MAX);
	put(w->fd, "yes");
	expect(w, "yes");
}

static void
test_connect(void **state)
{
	struct world *w = *state;
	struct sockaddr_in at;
	int fd = listen_any(&at), far;
	struct conf_address to = {.family = 4, .port = ntohs(at.sin_port)};

	memcpy(to.bytes, &at.sin_addr, 4);
	w->echo.conn = w->env->ops->connect(w->env, &to);
	assert_true(w->echo.conn != 0);
	/* What is given before it is connected goes when it is. */
	assert_int_equal(
	    w->env->ops->conn_send(w->env, w->echo.conn, STR("hello")), 0);
	assert_int_equal(w->echo.connected_count, 0);
	turns(w, 5);
	assert_int_equal(w->echo.connected_count, 1);
	assert_int_equal(w->echo.error, 0);
	far = accept(fd, NULL, NULL);
	assert_true(far >= 0);
	assert_int_equal(fcntl(far, F_SETFL, O_NONBLOCK), 0);
	w->fd = far;
	expect(w, "hello");
	close(fd);
	/* And nobody there any more. */
	w->echo.conn = w->env->ops->connect(w->env, &to);
	assert_true(w->echo.conn != 0);
	turns(w, 5);
	assert_int_equal(w->echo.connected_count, 2);
	assert_int_equal(w->echo.error, -ECONNREFUSED);
	assert_int_equal(w->echo.closed_count, 0);
}

/* Without a spawner, and with one that answers, fails, and goes away. */
static void
test_spawn(void **state)
{
	struct world *w = *state;
	struct channel_record record;
	int ends[2], pair[2], passed;

	assert_true(w->env->ops->spawn(w->env, 7) == 0);
	assert_int_equal(channel_pair(ends), 0);
	net_set_spawner(w->net, ends[0]);
	w->echo.conn = w->env->ops->spawn(w->env, 7);
	assert_true(w->echo.conn != 0);
	assert_int_equal(channel_receive(ends[1], &record, &passed), 0);
	assert_int_equal(record.type, CHANNEL_SPAWN);
	assert_int_equal(record.subject, 7);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	record.type = CHANNEL_SPAWNED;
	assert_int_equal(channel_send(ends[1], &record, pair[0]), 0);
	close(pair[0]);
	w->fd = pair[1];
	turns(w, 3);
	assert_int_equal(w->echo.connected_count, 1);
	assert_int_equal(w->echo.error, 0);
	put(w->fd, "job");
	expect(w, "job");

	w->echo.conn = w->env->ops->spawn(w->env, 8);
	assert_int_equal(channel_receive(ends[1], &record, &passed), 0);
	record.type = CHANNEL_SPAWNED;
	assert_int_equal(channel_send(ends[1], &record, -1), 0);
	turns(w, 3);
	assert_int_equal(w->echo.connected_count, 2);
	assert_int_equal(w->echo.error, -EAGAIN);

	w->echo.conn = w->env->ops->spawn(w->env, 9);
	close(ends[1]);
	turns(w, 3);
	assert_int_equal(w->echo.connected_count, 3);
	assert_int_equal(w->echo.error, -EPIPE);
	assert_true(w->env->ops->spawn(w->env, 7) == 0);
}

static void
test_listen(void **state)
{
	struct world *w = *state;

	w->env->ops->listen(w->env, false);
	w->fd = client(w);
	turns(w, 5);
	assert_int_equal(w->echo.accepted_count, 0);
	w->env->ops->listen(w->env, true);
	turns(w, 5);
	assert_int_equal(w->echo.accepted_count, 1);
}

/* Without a free descriptor: no spinning, and a new try a while later. */
static void
test_no_descriptor(void **state)
{
	struct world *w = *state;
	struct rlimit before, now;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	w->fd = client(w);
	now = before;
	now.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	turns(w, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(w->echo.accepted_count, 0);
	turns(w, 5);
	assert_int_equal(w->echo.accepted_count, 0);
	usleep(NET_STARVED_MS * 1000);
	for (int i = 0; i < 1000 && w->echo.accepted_count == 0; i++)
		turns(w, 1);
	assert_int_equal(w->echo.accepted_count, 1);
}

static void
test_timer(void **state)
{
	struct world *w = *state;
	uint64_t start = net_now(w->net);

	w->env->ops->wake_at(w->env, start + 5000);
	w->env->ops->wake_at(w->env, start + 30);
	while (w->echo.timer_count == 0)
		net_turn(w->net, true);
	assert_true(net_now(w->net) >= start + 30);
	assert_true(net_now(w->net) < start + 3000);
	/* Once a call. */
	turns(w, 5);
	assert_int_equal(w->echo.timer_count, 1);
	w->env->ops->wake_at(w->env, net_now(w->net));
	w->env->ops->wake_at(w->env, UINT64_MAX);
	turns(w, 5);
	assert_int_equal(w->echo.timer_count, 1);
	w->env->ops->wake_at(w->env, 0);
	turns(w, 2);
	assert_int_equal(w->echo.timer_count, 2);
}

/* Two nets that talk over a socket pair. */
struct pair {
	struct world *a, *b;
};

static void
pair_setup(struct pair *pair, struct world *a)
{
	int ends[2];
	void *state;

	setup(&state);
	pair->a = a;
	pair->b = state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	a->echo.peer = net_add_peer(a->net, ends[0], ROLE_QUEUE, 1);
	pair->b->echo.peer =
	    net_add_peer(pair->b->net, ends[1], ROLE_RECEIVE, 3);
}

static void
pair_teardown(struct pair *pair)
{
	void *state = pair->b;

	teardown(&state);
}

static void
pair_turns(struct pair *pair, int count)
{
	for (int i = 0; i < count; i++) {
		net_turn(pair->a->net, false);
		net_turn(pair->b->net, false);
	}
}

static char frame_bytes[MESSAGE_FRAME_MAX];

/* A frame whose bytes tell its size. */
static struct str
frame_of(size_t size)
{
	memset(frame_bytes, (int)(size % 251), size);
	return str_of(frame_bytes, size);
}

static void
test_frames(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 250, 251, 65536, 65537,
	    MESSAGE_FRAME_MAX - 1, MESSAGE_FRAME_MAX};
	struct pair pair;
	struct world *a = *state;
	size_t count = sizeof(sizes) / sizeof(sizes[0]), bytes = 0;

	pair_setup(&pair, a);
	for (int round = 0; round < 20; round++)
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(a->env->ops->send(a->env, a->echo.peer,
					     frame_of(sizes[i])),
			    0);
			bytes += sizes[i];
		}
	for (int i = 0; i < 1000 && pair.b->echo.frame_bytes < bytes; i++)
		pair_turns(&pair, 1);
	assert_int_equal(pair.b->echo.frame_count, 20 * count);
	assert_int_equal(pair.b->echo.frame_bytes, bytes);
	assert_int_equal(pair.b->echo.up_count, 1);
	assert_int_equal(pair.b->echo.peer_kind, ROLE_RECEIVE);
	assert_int_equal(a->echo.peer_kind, ROLE_QUEUE);
	pair_teardown(&pair);
	pair.b = NULL;
	turns(a, 2);
	assert_int_equal(a->echo.down_count, 1);
	assert_int_equal(
	    a->env->ops->send(a->env, a->echo.peer, frame_of(1)), -EPIPE);
}

/* A frame in pieces is handed over when it is whole; one that says it is
   longer than frames may be closes the peer; so does a message refused. */
static void
test_frame_bounds(void **state)
{
	struct world *w = *state;
	char head[4];
	int ends[2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends),
		    0);
		net_add_peer(w->net, ends[0], ROLE_QUEUE, 1);
		w->echo.frame_count = 0;
		wire_store_u32(head, 3);
		assert_int_equal(write(ends[1], head, 3), 3);
		turns(w, 2);
		assert_int_equal(write(ends[1], head + 3, 1), 1);
		assert_int_equal(write(ends[1], "\3\3", 2), 2);
		turns(w, 2);
		assert_int_equal(w->echo.frame_count, 0);
		assert_int_equal(write(ends[1], "\3", 1), 1);
		turns(w, 2);
		assert_int_equal(w->echo.frame_count, 1);
		wire_store_u32(head, i == 0 ? MESSAGE_FRAME_MAX + 1 : 0);
		w->echo.is_refusing = i == 1;
		assert_int_equal(write(ends[1], head, 4), 4);
		turns(w, 2);
		assert_int_equal(w->echo.down_count, i + 1);
		assert_int_equal(read(ends[1], head, 1), 0);
		close(ends[1]);
	}
	assert_int_equal(w->echo.frame_count, 2);
}

/* A peer that does not read is closed at 64 MB. */
static void
test_peer_overflow(void **state)
{
	struct world *w = *state;
	int ends[2], error = 0;
	size_t count = 0;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	net_add_peer(w->net, ends[0], ROLE_QUEUE, 1);
	turns(w, 1);
	for (; count < 1000 && error == 0; count++)
		error = w->env->ops->send(
		    w->env, w->echo.peer, frame_of(MESSAGE_FRAME_MAX));
	assert_int_equal(error, -EPIPE);
	assert_int_equal(count, NET_PEER_OUT_MAX / (MESSAGE_FRAME_MAX + 4) + 1);
	assert_int_equal(w->echo.down_count, 0);
	turns(w, 2);
	assert_int_equal(w->echo.down_count, 1);
	close(ends[1]);
}

/* The master names a peer, starts, ends; and is told. */
static void
test_master(void **state)
{
	struct world *w = *state;
	struct channel_record record = {
	    .type = CHANNEL_PEER, .subject = ROLE_QUEUE, .number = 5};
	int ends[2], pair[2], passed;

	assert_int_equal(channel_pair(ends), 0);
	net_set_master(w->net, ends[0]);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(channel_send(ends[1], &record, pair[0]), 0);
	close(pair[0]);
	turns(w, 3);
	assert_int_equal(w->echo.up_count, 1);
	record.type = CHANNEL_START;
	assert_int_equal(channel_send(ends[1], &record, -1), 0);
	turns(w, 3);
	assert_int_equal(channel_receive(ends[1], &record, &passed), 0);
	assert_int_equal(record.type, CHANNEL_READY);
	close(pair[1]);
	turns(w, 3);
	assert_int_equal(channel_receive(ends[1], &record, &passed), 0);
	assert_int_equal(record.type, CHANNEL_LOST);
	assert_int_equal(record.subject, ROLE_QUEUE);
	assert_int_equal(record.number, 5);
	record.type = CHANNEL_SHUTDOWN;
	assert_int_equal(channel_send(ends[1], &record, -1), 0);
	net_run(w->net);
	assert_int_equal(w->echo.shutdown_count, 1);
	close(ends[1]);
}

/* A master that is gone ends the loop; so does one that talks nonsense. */
static void
test_master_gone(void **state)
{
	struct world *w = *state;
	int ends[2];

	assert_int_equal(channel_pair(ends), 0);
	net_set_master(w->net, ends[0]);
	close(ends[1]);
	net_run(w->net);
	assert_true(net_is_stopping(w->net));
	assert_int_equal(w->echo.shutdown_count, 0);
}

static void
test_master_nonsense(void **state)
{
	struct world *w = *state;
	int ends[2];

	assert_int_equal(channel_pair(ends), 0);
	net_set_master(w->net, ends[0]);
	assert_int_equal(send(ends[1], "hello", 5, 0), 5);
	net_run(w->net);
	assert_true(net_is_stopping(w->net));
	close(ends[1]);
}

/* An engine that counts; a batch may be held up. */
struct fake_store {
	struct store store;
	pthread_mutex_t gate;
	size_t batch_count, request_count, idle_count;
};

static void
fake_batch(struct store *store, struct store_request **requests, size_t count)
{
	struct fake_store *fake = (struct fake_store *)(void *)store;

	pthread_mutex_lock(&fake->gate);
	fake->batch_count++;
	fake->request_count += count;
	for (size_t i = 0; i < count; i++) {
		requests[i]->error++;
		requests[i]->tag = count;
	}
	pthread_mutex_unlock(&fake->gate);
}

static bool
fake_idle(struct store *store)
{
	struct fake_store *fake = (struct fake_store *)(void *)store;
	bool is_more;

	pthread_mutex_lock(&fake->gate);
	is_more = ++fake->idle_count % 3 != 0;
	pthread_mutex_unlock(&fake->gate);
	return is_more;
}

static const struct store_ops fake_ops = {
    .batch = fake_batch, .idle = fake_idle};

static void
submit(struct world *w, int count)
{
	for (int i = 0; i < count; i++)
		w->env->ops->store(w->env, store_request_new(STORE_CLOCK));
}

static void
test_writer(void **state)
{
	struct world *w = *state;
	struct fake_store fake = {
	    .store.ops = &fake_ops, .gate = PTHREAD_MUTEX_INITIALIZER};
	struct writer *writer = writer_new();

	writer_open(writer, &fake.store);
	net_set_writer(w->net, writer);
	/* All of a turn is one batch; what comes while it runs is the next. */
	pthread_mutex_lock(&fake.gate);
	submit(w, 5);
	turns(w, 2);
	assert_int_equal(w->echo.stored_count, 0);
	submit(w, 30);
	turns(w, 2);
	submit(w, 70);
	turns(w, 2);
	pthread_mutex_unlock(&fake.gate);
	for (int i = 0; i < 2000 && w->echo.stored_count < 105; i++)
		turns(w, 1);
	assert_int_equal(w->echo.stored_count, 105);
	assert_int_equal(w->echo.batch_max, 100);
	for (int i = 0; i < 200; i++) {
		submit(w, i % 7);
		net_turn(w->net, false);
	}
	while (w->echo.stored_count < 105 + 200 / 7 * 21 + 6)
		turns(w, 1);
	/* Idle work stops when there is no more. */
	usleep(20000);
	pthread_mutex_lock(&fake.gate);
	assert_int_equal(fake.batch_count >= 2, true);
	assert_int_equal(fake.request_count, w->echo.stored_count);
	assert_int_equal(fake.idle_count % 3, 0);
	assert_true(fake.idle_count > 0);
	pthread_mutex_unlock(&fake.gate);
	/* What waits at the end is carried out. */
	submit(w, 3);
	w->env->ops->stop(w->env);
	net_run(w->net);
	assert_int_equal(fake.request_count, 105 + 200 / 7 * 21 + 6 + 3);
	net_free(w->net);
	w->net = NULL;
	writer_free(writer);
}

static void
test_time_text(void **state)
{
	static const struct {
		uint64_t wall_ms;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {951782399999, "2000-02-28T23:59:59.999Z"},
	    {951782400000, "2000-02-29T00:00:00.000Z"},
	    {951868800000, "2000-03-01T00:00:00.000Z"},
	    {1795304403123, "2026-11-21T23:40:03.123Z"},
	    {4107542399000, "2100-02-28T23:59:59.000Z"},
	    {4107542400000, "2100-03-01T00:00:00.000Z"},
	    {1735689599000, "2024-12-31T23:59:59.000Z"},
	};
	char text[STDERR_LOG_TIME_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stderr_log_time(cases[i].wall_ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_echo),
	    TEST(test_not_taken),
	    TEST(test_back_pressure),
	    TEST(test_two_megabytes),
	    TEST(test_output_bound),
	    TEST(test_close),
	    TEST(test_abort),
	    TEST(test_far_close),
	    TEST(test_far_close_waits),
	    TEST(test_far_reset),
	    TEST(test_generation),
	    TEST(test_connect),
	    TEST(test_spawn),
	    TEST(test_listen),
	    TEST(test_no_descriptor),
	    TEST(test_timer),
	    TEST(test_frames),
	    TEST(test_frame_bounds),
	    TEST(test_peer_overflow),
	    TEST(test_master),
	    TEST(test_master_gone),
	    TEST(test_master_nonsense),
	    TEST(test_writer),
	    cmocka_unit_test(test_time_text),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
