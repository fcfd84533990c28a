/*
 * The channels of a child: what the master commands, what the spawner gives.
 * A master that is gone or talks nonsense ends the loop; a spawner likewise
 * loses only the helpers that were being started.
 */
#include "base/check.h"
#include "base/log.h"
#include "net/channel.h"
#include "net/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void
net_master_tell(struct net *net, int type, uint32_t subject, uint64_t n)
{
	struct channel_record record = {
	    .type = (enum channel_type)type, .subject = subject, .number = n};

	if (net->master_fd >= 0 &&
	    channel_send(net->master_fd, &record, -1) < 0)
		net->is_stopping = true;
}

void
net_ask_stream(struct role_env *env, enum role_kind kind)
{
	net_master_tell(net_of(env), CHANNEL_LOST, kind, 0);
}

/* Receives with one descriptor held free, so that a descriptor that comes is
   not lost when all others are in use. */
static int
net_command_receive(
    struct net *net, int fd, struct channel_record *record_out, int *fd_out)
{
	int error;

	if (net->spare_fd >= 0)
		close(net->spare_fd);
	error = channel_receive(fd, record_out, fd_out);
	net->spare_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return error;
}

static void
net_take_peer(struct net *net, const struct channel_record *record, int fd)
{
	if (fd < 0) {
		net_master_tell(
		    net, CHANNEL_LOST, record->subject, record->number);
	} else if (record->subject == ROLE_SPAWNER) {
		net_set_spawner(net, fd);
	} else if (record->subject == ROLE_PICKUP ||
		   net->ops->kind == ROLE_PICKUP) {
		net_reach_stream(net, fd);
	} else if (record->subject < ROLE_KINDS) {
		/* A peer that cannot be taken sees the end of its stream. */
		(void)net_add_peer(
		    net, fd, (enum role_kind)record->subject, record->number);
	} else {
		close(fd);
	}
}

static void
net_obey(struct net *net, const struct channel_record *record, int fd)
{
	switch (record->type) {
	case CHANNEL_PEER:
		net_take_peer(net, record, fd);
		return;
	case CHANNEL_START:
		if (!net->is_started)
			net_start(net);
		net_master_tell(net, CHANNEL_READY, net->ops->kind, 0);
		break;
	case CHANNEL_SHUTDOWN:
		if (net->ops->shutdown != NULL)
			net->ops->shutdown(net->role, net->now_ms);
		else
			net->is_stopping = true;
		break;
	case CHANNEL_READY:
	case CHANNEL_LOST:
	case CHANNEL_SPAWN:
	case CHANNEL_SPAWNED:
	case CHANNEL_TYPES:
		break;
	}
	if (fd >= 0)
		close(fd);
}

static void
net_on_master(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;
	struct channel_record record;
	int error, passed_fd;

	net_begin(net);
	while (!net->is_stopping) {
		error = net_command_receive(net, fd, &record, &passed_fd);
		if (error == -EAGAIN)
			return;
		if (error < 0) {
			net->is_stopping = true;
			return;
		}
		net_obey(net, &record, passed_fd);
	}
}

void
net_set_master(struct net *net, int fd)
{
	CHECK(net->master_fd < 0);
	net->master_fd = fd;
	CHECK(event_assign(&net->master_event, net->base, fd,
		  EV_READ | EV_PERSIST, net_on_master, net) == 0);
	CHECK(event_add(&net->master_event, NULL) == 0);
}

/* Helpers that were asked for will not come. */
static void
net_drop_spawner(struct net *net)
{
	event_del(&net->spawner_event);
	close(net->spawner_fd);
	net->spawner_fd = -1;
	for (uint32_t i = 0; i < net->slot_count; i++) {
		struct net_conn *conn = net->slots[i].conn;

		if (conn != NULL && conn->state == NET_CONN_STARTING &&
		    conn->fd < 0 && conn->error == 0)
			net_conn_fail(conn, -EPIPE);
	}
}

/* The helper that CONN waits for is there; FD is our end. */
static void
net_take_helper(struct net *net, const struct channel_record *record, int fd)
{
	struct net_conn *conn = net_conn_find(net, record->number);

	if (conn == NULL || conn->state != NET_CONN_STARTING || conn->fd >= 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd < 0)
		net_conn_fail(conn, -EAGAIN);
	else
		net_conn_open(conn, fd);
}

static void
net_on_spawner(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;
	struct channel_record record;
	int error, passed_fd;

	net_begin(net);
	for (;;) {
		error = net_command_receive(net, fd, &record, &passed_fd);
		if (error == -EAGAIN)
			return;
		if (error == 0 && record.type == CHANNEL_SPAWNED) {
			net_take_helper(net, &record, passed_fd);
			continue;
		}
		if (passed_fd >= 0)
			close(passed_fd);
		net_drop_spawner(net);
		return;
	}
}

void
net_set_spawner(struct net *net, int fd)
{
	if (net->spawner_fd >= 0)
		net_drop_spawner(net);
	net->spawner_fd = fd;
	CHECK(event_assign(&net->spawner_event, net->base, fd,
		  EV_READ | EV_PERSIST, net_on_spawner, net) == 0);
	CHECK(event_add(&net->spawner_event, NULL) == 0);
}

void
net_channels_free(struct net *net)
{
	if (net->spawner_fd >= 0)
		net_drop_spawner(net);
	if (net->master_fd >= 0) {
		event_del(&net->master_event);
		close(net->master_fd);
		net->master_fd = -1;
	}
}
