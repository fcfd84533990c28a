/* The loop between processes: frames of peers, the master's channel, the
   store's writer. */
#include "base/wire.h"
#include "net/channel.h"
#include "net/net_kit.h"
#include "role/message.h"

#include <pthread.h>
#include <signal.h>

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
	const size_t most = NET_PEER_OUT_MAX / (MESSAGE_FRAME_MAX + 4);
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
	/* The kernel has taken something of it. */
	assert_true(count > most && count <= most + 4);
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
	assert_int_equal(w->echo.shutdown_count, 0);
}

static void
test_master_nonsense(void **state)
{
	struct world *w = *state;
	int ends[2];

	assert_int_equal(channel_pair(ends), 0);
	net_set_master(w->net, ends[0]);
	/* The beginning of CHANNEL_SHUTDOWN. */
	assert_int_equal(send(ends[1], "\3\0\0\0", 4, 0), 4);
	net_run(w->net);
	assert_int_equal(w->echo.shutdown_count, 0);
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
	while (w->echo.stored_count < 105 + 594)
		turns(w, 1);
	/* One sender, which goes on when it has its answer. */
	for (size_t i = w->echo.stored_count + 1; i <= 105 + 594 + 50; i++) {
		submit(w, 1);
		while (w->echo.stored_count < i)
			turns(w, 1);
	}
	/* Idle work waits until nothing comes any more, and stops when there is
	   none left. */
	pthread_mutex_lock(&fake.gate);
	assert_true(fake.batch_count >= 50);
	assert_true(fake.idle_count < fake.batch_count / 4);
	assert_int_equal(fake.request_count, w->echo.stored_count);
	while (fake.idle_count == 0 || fake.idle_count % 3 != 0) {
		pthread_mutex_unlock(&fake.gate);
		usleep(1000);
		pthread_mutex_lock(&fake.gate);
	}
	pthread_mutex_unlock(&fake.gate);
	usleep(20000);
	assert_int_equal(fake.idle_count % 3, 0);
	/* What waits at the end is carried out. */
	submit(w, 3);
	w->env->ops->stop(w->env);
	net_run(w->net);
	assert_int_equal(fake.request_count, 105 + 594 + 50 + 3);
	net_free(w->net);
	w->net = NULL;
	writer_free(writer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_frames),
	    TEST(test_frame_bounds),
	    TEST(test_peer_overflow),
	    TEST(test_master),
	    TEST(test_master_gone),
	    TEST(test_master_nonsense),
	    TEST(test_writer),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
