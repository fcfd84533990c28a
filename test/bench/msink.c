/*
 * An SMTP sink without storage, one process for all connections.
 *
 *   msink -p PORT [-a ADDRESS] [-o LOG] [-c STATS] [-m normal|tarpit] [-P] [-Q]
 *
 * STATS is a file that holds struct stats, mapped, so that others can look
 * while it runs. LOG has a line for each recipient of a message that came:
 * time of RCPT, time of the end, address. -m tarpit never says a word, -P does
 * not offer PIPELINING, -Q acknowledges each segment at once. Times are
 * nanoseconds of the monotonic clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <stdint.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
typedef struct stats {
	volatile uint64_t msgs, rcpts, conns, open, first_rcpt_ns, last_done_ns,
	    bytes, maxopen, last_rcpt_ns;
} stats_t;
static stats_t *st;
static FILE *lg;
static volatile sig_atomic_t stop;
static uint64_t
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
#define BUF 65536
typedef struct {
	int fd, data, nr;
	uint32_t tail;
	size_t n;
	char b[BUF];
	char rc[8][96];
	uint64_t tr[8];
	char out[4096];
	int on;
} conn;
static int pipelining = 1, quick = 0;
static void
reply(conn *c, const char *s)
{
	int l = strlen(s);
	if (c->on + l < (int)sizeof c->out) {
		memcpy(c->out + c->on, s, l);
		c->on += l;
	}
}
static int
flushc(conn *c)
{
	int o = 0;
	while (o < c->on) {
		int r = write(c->fd, c->out + o, c->on - o);
		if (r < 0) {
			if (errno == EAGAIN) {
				usleep(100);
				continue;
			}
			return -1;
		}
		o += r;
	}
	c->on = 0;
	return 0;
}
static void
done(conn *c)
{
	uint64_t t = now();
	st->msgs++;
	st->last_done_ns = t;
	if (lg)
		for (int i = 0; i < c->nr; i++)
			fprintf(lg, "%llu %llu %s\n",
			    (unsigned long long)c->tr[i], (unsigned long long)t,
			    c->rc[i]);
	c->nr = 0;
}
static int
line(conn *c, char *l, int n)
{
	if (n >= 4 && (!strncasecmp(l, "EHLO", 4))) {
		reply(c, pipelining ? "250-sink\r\n250-PIPELINING\r\n250-"
				      "8BITMIME\r\n250 SIZE 100000000\r\n"
				    : "250-sink\r\n250 8BITMIME\r\n");
	} else if (!strncasecmp(l, "HELO", 4))
		reply(c, "250 sink\r\n");
	else if (!strncasecmp(l, "MAIL", 4)) {
		c->nr = 0;
		reply(c, "250 ok\r\n");
	} else if (!strncasecmp(l, "RCPT", 4)) {
		uint64_t t = now();
		st->rcpts++;
		st->last_rcpt_ns = t;
		if (!st->first_rcpt_ns)
			st->first_rcpt_ns = t;
		char *a = memchr(l, '<', n),
		     *b = a ? memchr(a, '>', n - (a - l)) : 0;
		if (a && b && c->nr < 8) {
			int k = b - a - 1;
			if (k > 95)
				k = 95;
			memcpy(c->rc[c->nr], a + 1, k);
			c->rc[c->nr][k] = 0;
			c->tr[c->nr] = t;
			c->nr++;
		}
		reply(c, "250 ok\r\n");
	} else if (!strncasecmp(l, "DATA", 4)) {
		c->data = 1;
		c->tail = 0x0d0a;
		reply(c, "354 go\r\n");
	} else if (!strncasecmp(l, "QUIT", 4)) {
		reply(c, "221 bye\r\n");
		flushc(c);
		return -1;
	} else if (!strncasecmp(l, "RSET", 4) || !strncasecmp(l, "NOOP", 4)) {
		if (l[0] == 'R' || l[0] == 'r')
			c->nr = 0;
		reply(c, "250 ok\r\n");
	} else
		reply(c, "502 no\r\n");
	return 0;
}
static int
feed(conn *c)
{
	size_t p = 0;
	for (;;) {
		if (c->data) {
			// search for CRLF.CRLF, allowing start after DATA
			char *s = c->b + p;
			size_t n = c->n - p;
			int fin = 0;
			if (c->data == 1 && n >= 3 && !memcmp(s, ".\r\n", 3)) {
				p += 3;
				fin = 1;
			} else {
				char *q = memmem(s, n, "\r\n.\r\n", 5);
				if (q) {
					p = q - c->b + 5;
					fin = 1;
				} else {
					size_t keep = n > 4 ? 4 : n;
					if (c->data == 1 && n < 3)
						keep = n;
					else
						c->data = 2;
					p = c->n - keep;
					break;
				}
			}
			if (fin) {
				c->data = 0;
				done(c);
				reply(c, "250 ok\r\n");
			}
		} else {
			char *q = memchr(c->b + p, '\n', c->n - p);
			if (!q) {
				if (c->n - p > 4000)
					return -1;
				break;
			}
			int n = q - (c->b + p) + 1;
			if (line(c, c->b + p, n) < 0)
				return -1;
			p += n;
		}
	}
	if (p) {
		memmove(c->b, c->b + p, c->n - p);
		c->n -= p;
	}
	return c->on ? flushc(c) : 0;
}
static void
onsig(int s)
{
	(void)s;
	stop = 1;
}
int
main(int ac, char **av)
{
	int port = 2600, o, tarpit = 0;
	const char *addr = "127.0.0.1", *logf = 0, *sf = 0;
	while ((o = getopt(ac, av, "p:a:o:c:m:PQ")) != -1)
		switch (o) {
		case 'p':
			port = atoi(optarg);
			break;
		case 'a':
			addr = optarg;
			break;
		case 'o':
			logf = optarg;
			break;
		case 'c':
			sf = optarg;
			break;
		case 'm':
			tarpit = !strcmp(optarg, "tarpit");
			break;
		case 'P':
			pipelining = 0;
			break;
		case 'Q':
			quick = 1;
		}
	signal(SIGPIPE, SIG_IGN);
	struct sigaction sa = {.sa_handler = onsig};
	sigaction(SIGTERM, &sa, 0);
	sigaction(SIGINT, &sa, 0);
	if (sf) {
		int f = open(sf, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (f < 0 || ftruncate(f, 4096) < 0) {
			perror(sf);
			return 1;
		}
		st = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	} else
		st = calloc(1, sizeof *st);
	if (logf) {
		lg = fopen(logf, "w");
		setvbuf(lg, 0, _IOFBF, 1 << 20);
	}
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, addr, &a.sin_addr);
	if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) {
		perror("bind");
		return 1;
	}
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = 0};
	epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
	struct epoll_event evs[256];
	while (!stop) {
		int n = epoll_wait(ep, evs, 256, 200);
		if (n <= 0 && lg)
			fflush(lg);
		for (int i = 0; i < n; i++) {
			conn *c = evs[i].data.ptr;
			if (!c) {
				int fd;
				while ((fd = accept4(
					    ls, 0, 0, SOCK_NONBLOCK)) >= 0) {
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY,
					    &one, sizeof one);
					c = malloc(sizeof *c);
					c->fd = fd;
					c->data = c->nr = c->on = 0;
					c->n = 0;
					st->conns++;
					st->open++;
					if (st->open > st->maxopen)
						st->maxopen = st->open;
					struct epoll_event e = {
					    .events = EPOLLIN, .data.ptr = c};
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
					if (!tarpit) {
						reply(c, "220 sink ESMTP\r\n");
						flushc(c);
					}
				}
				continue;
			}
			ssize_t r = read(c->fd, c->b + c->n, BUF - c->n);
			if (r > 0) {
				st->bytes += r;
				if (quick) {
					int q = 1;
					setsockopt(c->fd, IPPROTO_TCP,
					    TCP_QUICKACK, &q, sizeof q);
				}
			}
			if (r < 0 && errno == EAGAIN)
				continue;
			if (r <= 0 ||
			    (c->n += r, tarpit ? (c->n = 0, 0) : feed(c) < 0)) {
				close(c->fd);
				free(c);
				st->open--;
			}
		}
	}
	if (lg)
		fclose(lg);
	return 0;
}
