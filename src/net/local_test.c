/*
 * What the loop tells of local peers: who connected to a socket, streams that
 * the master makes, names that come up in a directory.
 */
#include "base/check.h"
#include "net/channel.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/sendq-local-XXXXXX";

/* What the role was told. */
static struct {
	size_t accepted_count, noticed_count;
	role_conn conn;
	size_t listener;
	uint8_t family;
} told;

static void
local_accepted(void *role, uint64_t now_ms, role_conn conn, size_t listener,
    const struct conf_address *from)
{
	told.accepted_count++;
	told.conn = conn;
	told.listener = listener;
	told.family = from->family;
}

static size_t
local_bytes(void *role, uint64_t now_ms, role_conn conn, struct str bytes)
{
	return bytes.size;
}

static void
local_noticed(void *role, uint64_t now_ms)
{
	told.noticed_count++;
}

static const struct role_ops receive_ops = {
    .kind = ROLE_RECEIVE, .accepted = local_accepted, .bytes = local_bytes};
static const struct role_ops pickup_ops = {.kind = ROLE_PICKUP,
    .accepted = local_accepted,
    .bytes = local_bytes,
    .noticed = local_noticed};

static struct net *
start(const struct role_ops *ops)
{
	struct net *net = net_new(ops);

	memset(&told, 0, sizeof(told));
	net_set_role(net, &told);
	return net;
}

static void
turns(struct net *net, const size_t *count, size_t wanted)
{
	for (int i = 0; i < 1000 && *count < wanted; i++) {
		net_turn(net, false);
		usleep(500);
	}
	assert_int_equal(*count, wanted);
}

static int
local_socket(struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(at->sun_path, sizeof(at->sun_path), "%s/socket", directory);
	assert_true(fd >= 0);
	return fd;
}

/* Connects as user UID, from another process. */
static pid_t
connect_as(uid_t uid)
{
	struct sockaddr_un at;
	int fd = local_socket(&at);
	pid_t pid = fork();

	if (pid == 0)
		_exit(
		    (uid == getuid() || setresuid(uid, uid, uid) == 0) &&
			    connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0
			? 0
			: 1);
	close(fd);
	assert_true(pid > 0);
	return pid;
}

static void
test_user(void **state)
{
	uid_t uid = getuid() == 0 ? 12345 : getuid();
	struct net *net = start(&receive_ops);
	struct role_env *env = net_env(net);
	struct sockaddr_un at;
	int fd = local_socket(&at), status;
	uint32_t found = 0;
	pid_t pid;

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chmod(at.sun_path, 0666), 0);
	assert_int_equal(listen(fd, 5), 0);
	net_add_listener(net, fd);
	net_start(net);
	pid = connect_as(uid);
	assert_true(waitpid(pid, &status, 0) == pid && status == 0);
	/* It is gone, and was who it was. */
	turns(net, &told.accepted_count, 1);
	assert_int_equal(told.family, 0);
	assert_int_equal(told.listener, 0);
	assert_true(env->ops->conn_user(env, told.conn, &found));
	assert_int_equal(found, uid);
	env->ops->conn_abort(env, told.conn);
	assert_false(env->ops->conn_user(env, told.conn, &found));
	net_free(net);
	unlink(at.sun_path);
}

/* A stream between two roles comes from nobody and from no listener. */
static void
check_stream(const struct role_ops *ops, enum role_kind peer)
{
	struct channel_record record = {
	    .type = CHANNEL_PEER, .subject = peer, .number = 1};
	struct net *net = start(ops);
	struct role_env *env = net_env(net);
	int ends[2], pair[2], passed;
	uint32_t uid;

	assert_int_equal(channel_pair(ends), 0);
	net_set_master(net, ends[0]);
	net_start(net);
	env->ops->ask_stream(env, peer);
	assert_int_equal(channel_receive(ends[1], &record, &passed), 0);
	assert_int_equal(record.type, CHANNEL_LOST);
	assert_int_equal(record.subject, peer);
	assert_int_equal(passed, -1);

	record.type = CHANNEL_PEER;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(channel_send(ends[1], &record, pair[0]), 0);
	close(pair[0]);
	turns(net, &told.accepted_count, 1);
	assert_true(told.listener == ROLE_NO_LISTENER);
	assert_false(env->ops->conn_user(env, told.conn, &uid));
	assert_int_equal(env->ops->conn_send(env, told.conn, STR("x")), 0);
	net_turn(net, false);
	assert_int_equal(read(pair[1], &passed, 1), 1);
	net_free(net);
	close(pair[1]);
	close(ends[1]);
}

static void
test_streams(void **state)
{
	check_stream(&receive_ops, ROLE_PICKUP);
	check_stream(&pickup_ops, ROLE_RECEIVE);
}

static void
test_watch(void **state)
{
	struct net *net = start(&pickup_ops);
	char from[100], to[100];
	int fd = inotify_init1(IN_NONBLOCK), file;

	snprintf(from, sizeof(from), "%s/from", directory);
	snprintf(to, sizeof(to), "%s/to", directory);
	assert_true(inotify_add_watch(fd, directory, IN_MOVED_TO) >= 0);
	net_set_watch(net, fd);
	net_turn(net, false);
	assert_int_equal(told.noticed_count, 0);
	file = open(from, O_CREAT | O_WRONLY, 0600);
	assert_true(file >= 0);
	close(file);
	assert_int_equal(rename(from, to), 0);
	turns(net, &told.noticed_count, 1);
	net_turn(net, false);
	assert_int_equal(told.noticed_count, 1);
	unlink(to);
	net_free(net);
}

static int
make_directory(void **state)
{
	return mkdtemp(directory) != NULL && chmod(directory, 0755) == 0 ? 0
	                                                                 : -1;
}

static int
remove_directory(void **state)
{
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
