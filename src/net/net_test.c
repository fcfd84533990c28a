/* The loop with an echo role on real sockets: what the role sees is compared
   with what the other end did.  Peers, channels and the writer are in
   peer_test.c. */
#include "net/channel.h"
#include "net/net_kit.h"
#include "net/stderr_log.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

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
		bool was_whole = size == sizeof(block);

		turns(w, 1);
		n = recv(w->fd, got + size, sizeof(got) - size, 0);
		size += n > 0 ? (size_t)n : 0;
		/* Late words do not bring a reset upon the reply. */
		if (!was_whole && size < sizeof(block))
			put(w->fd, "late");
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
	    cmocka_unit_test(test_time_text),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
