/*
 * sendmail -bs.  The daemon speaks; here bytes are only carried.  Where
 * standard input ends, so does that side of the stream, and what the daemon
 * still says is carried out.  Each side has one block: what finds no room waits
 * in the other end.
 */
#include "cmd/submit_pump.h"
#include "cmd/submit_smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define PUMP_BLOCK 65536

/* One direction. */
struct pump {
	int from, to;
	char bytes[PUMP_BLOCK];
	size_t start, end; /* bytes read and not yet written */
	bool is_ended;     /* nothing more will be read */
};

/* Reads or writes as far as it goes; -errno if the direction is broken. */
static int
pump_move(struct pump *p, short read_events, short write_events)
{
	ssize_t n;

	if (p->start < p->end && write_events != 0) {
		n = write(p->to, p->bytes + p->start, p->end - p->start);
		if (n < 0)
			return errno == EINTR || errno == EAGAIN ? 0 : -errno;
		p->start += (size_t)n;
	}
	if (p->start < p->end || p->is_ended || read_events == 0)
		return 0;
	n = read(p->from, p->bytes, sizeof(p->bytes));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	p->is_ended = n == 0;
	p->start = 0;
	p->end = (size_t)n;
	return 0;
}

static struct pollfd
pump_poll_read(const struct pump *p)
{
	bool is_wanted = !p->is_ended && p->start == p->end;

	return (struct pollfd){
	    .fd = is_wanted ? p->from : -1, .events = POLLIN};
}

static struct pollfd
pump_poll_write(const struct pump *p)
{
	bool is_wanted = p->start < p->end;

	return (struct pollfd){.fd = is_wanted ? p->to : -1, .events = POLLOUT};
}

/* Carries until the daemon has ended and all it said is out. */
static int
pump_run(struct pump *up, struct pump *down, int fd)
{
	bool is_shut = false;
	int error = 0;

	while (error == 0 && (!down->is_ended || down->start < down->end)) {
		struct pollfd polls[] = {
		    pump_poll_read(up),
		    pump_poll_write(up),
		    pump_poll_read(down),
		    pump_poll_write(down),
		};

		if (poll(polls, 4, -1) < 0 && errno != EINTR)
			return -errno;
		/* A daemon that hung up may have said why. */
		if (pump_move(up, polls[0].revents, polls[1].revents) < 0)
			*up = (struct pump){.from = -1, .is_ended = true};
		error = pump_move(down, polls[2].revents, polls[3].revents);
		if (up->is_ended && up->start == up->end && !is_shut) {
			(void)shutdown(fd, SHUT_WR);
			is_shut = true;
		}
	}
	return error;
}

int
submit_pump(struct str socket_path, struct str hostname)
{
	static struct pump up, down;
	int fd = submit_connect(socket_path), error;

	if (fd < 0) {
		printf("421 4.3.2 %.*s No daemon listens, try again later\r\n",
		    STR_ARG(hostname));
		fflush(stdout);
		return EX_TEMPFAIL;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		close(fd);
		return EX_OSERR;
	}
	up = (struct pump){.from = STDIN_FILENO, .to = fd};
	down = (struct pump){.from = fd, .to = STDOUT_FILENO};
	error = pump_run(&up, &down, fd);
	close(fd);
	return error == 0 ? EX_OK : EX_IOERR;
}
