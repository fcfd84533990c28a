/*
 * Connecting to a server that a person named: every address of its name in
 * turn, each within the time given.
 */
#include "cmd/dial.h"
#include "base/num.h"
#include "conf/conf.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
dial_parse(struct str server, char host[256], uint16_t *port)
{
	struct conf_address address;
	struct str name = server;
	uint64_t number;
	size_t colon;

	if (server.size > 255)
		return -EINVAL;
	if (conf_address_parse(server, &address) == 0) {
		char text[46];

		conf_address_format(&address, text);
		snprintf(host, 256, "%s", text);
		if (address.port != 0)
			*port = address.port;
		return 0;
	}
	colon = str_find(server, ':');
	if (colon < server.size) {
		if (num_parse(str_skip(server, colon + 1), 65535, &number) <
			0 ||
		    number == 0)
			return -EINVAL;
		*port = (uint16_t)number;
		name = str_head(server, colon);
	}
	if (!mail_domain_is_valid(name, true))
		return -EINVAL;
	snprintf(host, 256, "%.*s", STR_ARG(name));
	return 0;
}

/* A connected descriptor, or -errno. */
static int
dial_address(const struct addrinfo *to, uint64_t timeout_ms)
{
	int wait_ms = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
	int error = 0, one = 1;
	socklen_t size = sizeof(error);
	int fd = socket(
	    to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (fd < 0)
		return -errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		int ready = poll(&p, 1, wait_ms);

		error = ready == 0 ? ETIMEDOUT : errno;
		if (ready > 0 &&
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
			error = errno;
	}
	if (error != 0) {
		close(fd);
		return -error;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int
dial_open(const char *host, uint16_t port, uint64_t timeout_ms,
    enum trigger_ask_outcome *outcome_out, char reason[200])
{
	const struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list = NULL;
	char service[8];
	int fd = -EHOSTUNREACH, error;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	error = getaddrinfo(host, service, &hints, &list);
	if (error != 0) {
		snprintf(reason, 200, "%s: %s", host, gai_strerror(error));
		*outcome_out = error == EAI_AGAIN ? TRIGGER_ASK_LATER
		                                  : TRIGGER_ASK_NO_HOST;
		return -1;
	}
	for (struct addrinfo *to = list; to != NULL && fd < 0; to = to->ai_next)
		fd = dial_address(to, timeout_ms);
	freeaddrinfo(list);
	if (fd >= 0)
		return fd;
	snprintf(
	    reason, 200, "%s port %u: %s", host, (unsigned)port, strerror(-fd));
	*outcome_out =
	    fd == -ETIMEDOUT ? TRIGGER_ASK_LATER : TRIGGER_ASK_UNAVAILABLE;
	return -1;
}
