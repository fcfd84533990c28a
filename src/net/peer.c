/*
 * Peers: frames over a stream to another role's process, each behind its length
 * (32 bits, little-endian).
 *
 * Invariants: (1) a peer is closed and freed only in net_peers_settle(), so a
 * handler never pulls it away from under the code that called it; (2) nothing
 * is read from or sent to a broken peer; (3) a frame is handed over only whole.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "net/channel.h"
#include "net/net_internal.h"
#include "role/message.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define NET_FRAME_HEAD 4
#define NET_PEER_READ  262144  /* asked of the kernel at once */
#define NET_PEER_KEEP  1048576 /* an output buffer over this is given back */
#define NET_PEER_LARGE 16384   /* a frame that is sent without being copied */

static struct net_peer *
net_peer_find(struct net *net, role_peer id)
{
	for (size_t i = 0; i < net->peer_count; i++)
		if (net->peers[i]->id == id)
			return net->peers[i];
	return NULL;
}

static void
net_peer_set_blocked(struct net_peer *peer, bool is_blocked)
{
	if (peer->is_blocked == is_blocked)
		return;
	peer->is_blocked = is_blocked;
	if (is_blocked)
		CHECK(event_add(&peer->write_event, NULL) == 0);
	else
		event_del(&peer->write_event);
}

/* The peer will be closed at the end of the turn. */
static void
net_peer_break(struct net_peer *peer, enum log_level level, const char *reason)
{
	if (peer->is_broken)
		return;
	log_event(level, "peer-closed", "", "kind=%d reason=%s",
	    (int)peer->kind, reason);
	peer->is_broken = true;
	peer->net->is_peer_news = true;
	event_del(&peer->read_event);
	net_peer_set_blocked(peer, false);
}

/* Hands over all whole frames. */
static void
net_peer_parse(struct net_peer *peer)
{
	struct net *net = peer->net;

	while (!peer->is_broken && buf_size(&peer->in) >= NET_FRAME_HEAD) {
		struct str bytes = buf_str(&peer->in);
		uint32_t size = wire_load_u32(bytes.data);

		if (size > MESSAGE_FRAME_MAX) {
			net_peer_break(peer, LOG_WARN, "frame too long");
			return;
		}
		bytes = str_skip(bytes, NET_FRAME_HEAD);
		if (bytes.size < size)
			return;
		if (net->ops->message(net->role, net->now_ms, peer->id,
			str_head(bytes, size)) != 0)
			net_peer_break(peer, LOG_WARN, "message refused");
		buf_consume(&peer->in, NET_FRAME_HEAD + size);
	}
}

static void
net_peer_on_read(evutil_socket_t fd, short what, void *arg)
{
	struct net_peer *peer = arg;
	char *space;
	ssize_t n;

	net_begin(peer->net);
	space = buf_space(&peer->in, NET_PEER_READ);
	if (space == NULL) {
		net_peer_break(peer, LOG_WARN, "out of memory");
		return;
	}
	n = recv(peer->fd, space, NET_PEER_READ, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		net_peer_break(
		    peer, LOG_DETAIL, n == 0 ? "end" : strerror(errno));
		return;
	}
	buf_added(&peer->in, (size_t)n);
	/* It is told of before it speaks. */
	if (!peer->is_named)
		net_peers_settle(peer->net);
	net_peer_parse(peer);
}

static void
net_peer_on_write(evutil_socket_t fd, short what, void *arg)
{
	struct net_peer *peer = arg;

	net_begin(peer->net);
	net_peer_set_blocked(peer, false);
}

role_peer
net_add_peer(struct net *net, int fd, enum role_kind kind, uint64_t instance)
{
	struct net_peer *peer;

	if (net->peer_count == NET_PEERS_MAX || net->ops->message == NULL) {
		close(fd);
		return 0;
	}
	peer = mem_new(1, sizeof(*peer));
	peer->net = net;
	peer->id = ++net->peer_next;
	peer->kind = kind;
	peer->instance = instance;
	peer->fd = fd;
	buf_init(&peer->in, NET_FRAME_HEAD + MESSAGE_FRAME_MAX + NET_PEER_READ);
	buf_init(&peer->out, NET_PEER_OUT_MAX);
	CHECK(event_assign(&peer->read_event, net->base, fd,
		  EV_READ | EV_PERSIST, net_peer_on_read, peer) == 0);
	CHECK(event_assign(&peer->write_event, net->base, fd,
		  EV_WRITE | EV_PERSIST, net_peer_on_write, peer) == 0);
	CHECK(event_add(&peer->read_event, NULL) == 0);
	net->peers[net->peer_count++] = peer;
	net->is_peer_news = true;
	return peer->id;
}

static void
net_peer_flush(struct net_peer *peer)
{
	struct str bytes = buf_str(&peer->out);
	ssize_t n;

	if (peer->is_broken || peer->is_blocked || bytes.size == 0)
		return;
	n = send(peer->fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		net_peer_break(peer, LOG_DETAIL, strerror(errno));
		return;
	}
	if (n > 0)
		buf_consume(&peer->out, (size_t)n);
	if (buf_size(&peer->out) > 0)
		net_peer_set_blocked(peer, true);
	else if (peer->out.capacity > NET_PEER_KEEP)
		buf_fini(&peer->out);
}

/* Gives a frame to the kernel at once, if all before it is there: how much of
   the head and it was taken. */
static size_t
net_peer_pass(struct net_peer *peer, struct str head, struct str frame)
{
	struct iovec parts[] = {
	    {(void *)(uintptr_t)head.data, head.size},
	    {(void *)(uintptr_t)frame.data, frame.size},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	net_peer_flush(peer);
	if (peer->is_broken || peer->is_blocked || buf_size(&peer->out) > 0)
		return 0;
	n = sendmsg(peer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* What is wrong is found when the rest is written. */
	return n > 0 ? (size_t)n : 0;
}

int
net_peer_send(struct role_env *env, role_peer id, struct str frame)
{
	struct net_peer *peer = net_peer_find(net_of(env), id);
	char bytes[NET_FRAME_HEAD];
	struct str head = str_of(bytes, sizeof(bytes));
	size_t passed = 0;

	if (peer == NULL || peer->is_broken)
		return -EPIPE;
	CHECK(frame.size <= MESSAGE_FRAME_MAX);
	wire_store_u32(bytes, (uint32_t)frame.size);
	if (frame.size >= NET_PEER_LARGE)
		passed = net_peer_pass(peer, head, frame);
	if (peer->is_broken)
		return -EPIPE;
	if (passed > head.size)
		frame = str_skip(frame, passed - head.size);
	head = str_skip(head, passed);
	if (buf_room(&peer->out) < head.size + frame.size ||
	    buf_append(&peer->out, head) < 0 ||
	    buf_append(&peer->out, frame) < 0) {
		net_peer_break(peer, LOG_WARN, "does not read");
		return -EPIPE;
	}
	return 0;
}

void
net_peers_flush(struct net *net)
{
	for (size_t i = 0; i < net->peer_count; i++)
		net_peer_flush(net->peers[i]);
}

/* Closes and frees it; it is in the table no more. */
static void
net_peer_free(struct net_peer *peer)
{
	event_del(&peer->read_event);
	net_peer_set_blocked(peer, false);
	close(peer->fd);
	buf_fini(&peer->in);
	buf_fini(&peer->out);
	free(peer);
}

/* Takes a broken peer out and tells the role and the master. */
static void
net_peer_bury(struct net *net, size_t i)
{
	struct net_peer *peer = net->peers[i];

	memmove(&net->peers[i], &net->peers[i + 1],
	    (net->peer_count - i - 1) * sizeof(struct net_peer *));
	net->peer_count--;
	if (peer->is_named && net->ops->peer_down != NULL)
		net->ops->peer_down(net->role, net->now_ms, peer->id);
	net_master_tell(net, CHANNEL_LOST, peer->kind, peer->instance);
	net_peer_free(peer);
}

void
net_peers_settle(struct net *net)
{
	net->is_peer_news = false;
	for (size_t i = 0; i < net->peer_count; i++) {
		struct net_peer *peer = net->peers[i];

		if (peer->is_named || peer->is_broken)
			continue;
		peer->is_named = true;
		if (net->ops->peer_up != NULL)
			net->ops->peer_up(
			    net->role, net->now_ms, peer->id, peer->kind);
	}
	for (size_t i = net->peer_count; i-- > 0;)
		if (net->peers[i]->is_broken)
			net_peer_bury(net, i);
}

void
net_peers_free(struct net *net)
{
	while (net->peer_count > 0)
		net_peer_free(net->peers[--net->peer_count]);
}
