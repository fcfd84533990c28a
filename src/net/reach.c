/*
 * Where connections come from: listeners, connect(), helpers of the spawner.
 *
 * Without a free descriptor the listeners rest for NET_STARVED_MS, so that the
 * loop does not spin on a connection that cannot be taken.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/channel.h"
#include "net/net_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union net_sockaddr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage space;
};

/* An IPv4 address inside IPv6 becomes IPv4; a local socket has family 0. */
static struct conf_address
net_address_from(const union net_sockaddr *from)
{
	struct conf_address address = {0};

	if (from->any.sa_family == AF_INET) {
		address.family = 4;
		address.port = ntohs(from->v4.sin_port);
		memcpy(address.bytes, &from->v4.sin_addr, 4);
	} else if (from->any.sa_family == AF_INET6) {
		const unsigned char *bytes = from->v6.sin6_addr.s6_addr;
		bool is_mapped = IN6_IS_ADDR_V4MAPPED(&from->v6.sin6_addr);

		address.family = is_mapped ? 4 : 6;
		address.port = ntohs(from->v6.sin6_port);
		memcpy(address.bytes, is_mapped ? bytes + 12 : bytes,
		    is_mapped ? 4 : 16);
	}
	return address;
}

/* The size of *TO. */
static socklen_t
net_address_to(const struct conf_address *address, union net_sockaddr *to)
{
	*to = (union net_sockaddr){0};
	if (address->family == 4) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons(address->port);
		memcpy(&to->v4.sin_addr, address->bytes, 4);
		return sizeof(to->v4);
	}
	to->v6.sin6_family = AF_INET6;
	to->v6.sin6_port = htons(address->port);
	memcpy(&to->v6.sin6_addr, address->bytes, 16);
	return sizeof(to->v6);
}

static void
net_starve(struct net *net, int error)
{
	log_event(LOG_WARN, "accept-paused", "", "error=%s wait_ms=%d",
	    strerror(error), NET_STARVED_MS);
	net->is_starved = true;
	heap_set(
	    &net->timers, &net->starved_timer, net->now_ms + NET_STARVED_MS);
	net_listeners_update(net);
}

/* Who is at the other end of a local socket: as of when it connected. */
static void
net_take_user(struct net_conn *conn)
{
	struct ucred user;
	socklen_t size = sizeof(user);

	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &user, &size) < 0 ||
	    size != sizeof(user) || user.uid == (uid_t)-1)
		return;
	conn->has_user = true;
	conn->uid = user.uid;
}

/* One connection: 0, or -errno with nothing taken. */
static int
net_accept(struct net_listener *listener)
{
	struct net *net = listener->net;
	union net_sockaddr from = {0};
	socklen_t size = sizeof(from);
	struct conf_address address;
	struct net_conn *conn;
	int fd;

	fd = accept4(
	    listener->fd, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	address = net_address_from(&from);
	conn = net_conn_new(net);
	conn->state = NET_CONN_OPEN;
	net_conn_open(conn, fd);
	if (from.any.sa_family == AF_UNIX)
		net_take_user(conn);
	net->ops->accepted(net->role, net->now_ms, net_conn_id(conn),
	    listener->index, &address);
	return 0;
}

void
net_reach_stream(struct net *net, int fd)
{
	static const struct conf_address nowhere = {.family = 0};
	struct net_conn *conn;

	if (net->ops->accepted == NULL) {
		close(fd);
		return;
	}
	conn = net_conn_new(net);
	conn->state = NET_CONN_OPEN;
	net_conn_open(conn, fd);
	net->ops->accepted(net->role, net->now_ms, net_conn_id(conn),
	    ROLE_NO_LISTENER, &nowhere);
}

void
net_add_stream(struct net *net, int fd)
{
	net_reach_stream(net, fd);
}

static void
net_on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct net_listener *listener = arg;
	struct net *net = listener->net;
	int error = 0;

	net_begin(net);
	for (int i = 0; i < NET_ACCEPT_BATCH && net->is_accepting; i++) {
		error = net_accept(listener);
		if (error == -EAGAIN)
			break;
		if (error == -EMFILE || error == -ENFILE || error == -ENOBUFS ||
		    error == -ENOMEM)
			net_starve(net, -error);
		/* Other errors are of a connection that went away while it
		   waited (accept(2)). */
	}
}

void
net_add_listener(struct net *net, int fd)
{
	struct net_listener *listener;

	CHECK(!net->is_started && net->ops->accepted != NULL);
	/* Events point into the array; it moves only while none is on. */
	net->listeners = mem_resize(
	    net->listeners, net->listener_count + 1, sizeof(net->listeners[0]));
	listener = &net->listeners[net->listener_count];
	*listener = (struct net_listener){
	    .net = net, .index = net->listener_count, .fd = fd};
	net->listener_count++;
}

void
net_listeners_update(struct net *net)
{
	bool is_accepting =
	    net->is_started && net->is_listening && !net->is_starved;

	if (net->is_accepting == is_accepting)
		return;
	net->is_accepting = is_accepting;
	for (size_t i = 0; i < net->listener_count; i++) {
		if (is_accepting)
			CHECK(event_add(&net->listeners[i].event, NULL) == 0);
		else
			event_del(&net->listeners[i].event);
	}
}

void
net_start(struct net *net)
{
	CHECK(!net->is_started);
	for (size_t i = 0; i < net->listener_count; i++)
		CHECK(event_assign(&net->listeners[i].event, net->base,
			  net->listeners[i].fd, EV_READ | EV_PERSIST,
			  net_on_accept, &net->listeners[i]) == 0);
	net->is_started = true;
	net_listeners_update(net);
}

void
net_listeners_free(struct net *net)
{
	net->is_listening = false;
	net_listeners_update(net);
	for (size_t i = 0; i < net->listener_count; i++)
		close(net->listeners[i].fd);
	free(net->listeners);
	net->listeners = NULL;
	net->listener_count = 0;
}

void
net_reach_listen(struct role_env *env, bool is_open)
{
	net_of(env)->is_listening = is_open;
	net_listeners_update(net_of(env));
}

role_conn
net_reach_connect(struct role_env *env, const struct conf_address *address)
{
	struct net *net = net_of(env);
	union net_sockaddr to;
	socklen_t size = net_address_to(address, &to);
	struct net_conn *conn;
	int fd, one = 1;

	CHECK(address->family == 4 || address->family == 6);
	fd = socket(
	    to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno != EAFNOSUPPORT)
		return 0;
	conn = net_conn_new(net);
	if (fd < 0) {
		net_conn_fail(conn, -EAFNOSUPPORT);
		return net_conn_id(conn);
	}
	/* Without it the connection is only slower. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, &to.any, size) < 0 && errno != EINPROGRESS)
		net_conn_fail(conn, -errno);
	net_conn_open(conn, fd);
	return net_conn_id(conn);
}

void
net_reach_done(struct net_conn *conn)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0)
		net_conn_fail(conn, -error);
}

role_conn
net_reach_spawn(struct role_env *env, uint32_t job)
{
	struct net *net = net_of(env);
	struct net_conn *conn;
	struct channel_record record = {.type = CHANNEL_SPAWN, .subject = job};

	if (net->spawner_fd < 0)
		return 0;
	conn = net_conn_new(net);
	record.number = net_conn_id(conn);
	if (channel_send(net->spawner_fd, &record, -1) < 0) {
		net_conn_abort(env, net_conn_id(conn));
		return 0;
	}
	return record.number;
}
