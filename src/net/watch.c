/*
 * A directory that is watched: what is read from inotify(7) only says that
 * something came up there, and is dropped.
 */
#include "base/check.h"
#include "net/net_internal.h"

#include <unistd.h>

static void
net_on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	net_begin(net);
	/* What is left is read in the next turn. */
	if (read(fd, net->scratch, sizeof(net->scratch)) > 0)
		net->ops->noticed(net->role, net->now_ms);
}

void
net_set_watch(struct net *net, int fd)
{
	CHECK(net->watch_fd < 0 && net->ops->noticed != NULL);
	net->watch_fd = fd;
	CHECK(event_assign(&net->watch_event, net->base, fd,
		  EV_READ | EV_PERSIST, net_on_watch, net) == 0);
	CHECK(event_add(&net->watch_event, NULL) == 0);
}

void
net_watch_free(struct net *net)
{
	if (net->watch_fd < 0)
		return;
	event_del(&net->watch_event);
	close(net->watch_fd);
	net->watch_fd = -1;
}
