/*
 * An SMTP source that drives many connections from one process.
 *
 *   mload -p PORT [-h ADDRESS] -c CONNECTIONS -k MESSAGES_A_CONNECTION
 *         -n TOTAL -s SIZE -D DOMAINS [-B FIRST_DOMAIN] [-F FORMAT] [-r RUN]
 *         [-t SECONDS] [-o ACKLOG] [-P] [-I] [-x] [-q]
 *
 * -P pipelines, -I opens the connections and leaves them idle until a signal,
 * -x gives up a connection that was lost, -q does not wait for the reply to
 * QUIT. Recipients are RUN.N@siteNNNN.test. It prints one line: how many were
 * acknowledged, the rate, the time from MAIL to the 250 of the content (p50us,
 * p99us), and that from the last bytes of the content (dot50us, dot99us).
 * ACKLOG names each acknowledged message, so that losses can be counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
static uint64_t
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
enum {
	CONNECTING,
	BANNER,
	EHLO,
	MAIL,
	RCPT,
	DATA,
	BODY,
	FINAL,
	QUIT,
	DEAD,
	BACKOFF
};
typedef struct {
	int fd, st, k, pl, left;
	long id;
	uint64_t t0, tdot, tback, tconn;
	size_t n, bo;
	char b[4096];
	char *msg;
	size_t ml;
	int want;
} conn;
static int port, conc = 1, per = 1, ndom = 1, base = 0, pipel = 0, stoploss = 0,
		 idle = 0, nowaitq = 0;
static long total = 1000;
static size_t size = 4096;
static double maxsec = 0;
static const char *host = "127.0.0.1", *runid = "r", *fmt = "site%04d.test",
		  *ehlo = "load.bench.test";
static int ep;
static struct sockaddr_in sa;
static long next_id = 0, acked = 0, tempf = 0, permf = 0, lost = 0, conns = 0;
static int alive = 0;
static char *body;
static size_t bodyl;
static uint64_t *lat, *dot;
static long latn = 0;
static char *ackbits;
static uint64_t *ackt;
static volatile sig_atomic_t stopf;
static uint64_t tstart, tend, tlast;
static long bto = 0;
static int refused = 0, timeup = 0;
static int permshow = 0;
static void
watch(conn *c, int ev)
{
	if (c->want == ev)
		return;
	struct epoll_event e = {.events = ev, .data.ptr = c};
	epoll_ctl(ep, c->want ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
	c->want = ev;
}
static void
snd(conn *c, const char *s, size_t l)
{
	size_t o = 0;
	while (o < l) {
		ssize_t r = send(c->fd, s + o, l - o, MSG_NOSIGNAL);
		if (r < 0) {
			if (errno == EAGAIN) {
				usleep(50);
				continue;
			}
			return;
		}
		o += r;
	}
}
static void drop(conn *c);
static void
start(conn *c)
{
	if (timeup || stopf || (!idle && next_id >= total && c->id < 0)) {
		c->st = DEAD;
		return;
	}
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int one = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->n = 0;
	c->k = 0;
	c->want = 0;
	c->left = 0;
	c->st = BANNER;
	conns++;
	alive++;
	c->tconn = now();
	if (connect(c->fd, (void *)&sa, sizeof sa) < 0 &&
	    errno != EINPROGRESS) {
		close(c->fd);
		alive--;
		refused++;
		c->st = BACKOFF;
		c->tback = now() + 20000000;
		return;
	}
	watch(c, EPOLLIN);
}
static void
drop(conn *c)
{
	close(c->fd);
	alive--;
	c->want = 0;
	c->fd = -1;
}
static int
nextmsg(conn *c)
{ // 0 none
	if (c->id < 0) {
		if (next_id >= total || timeup || stopf)
			return 0;
		c->id = next_id++;
	}
	c->k++;
	c->t0 = now();
	char d[64], s[512];
	snprintf(d, sizeof d, fmt, base + (int)(c->id % ndom));
	if (c->pl) {
		int l = snprintf(s, sizeof s,
		    "MAIL FROM:<sender@origin.test>\r\nRCPT "
		    "TO:<%s.%ld@%s>\r\nDATA\r\n",
		    runid, c->id, d);
		c->left = 3;
		c->st = MAIL;
		snd(c, s, l);
	} else {
		snd(c, "MAIL FROM:<sender@origin.test>\r\n", 32);
		c->st = MAIL;
	}
	return 1;
}
static void
sendbody(conn *c)
{
	char h[512];
	int l = snprintf(h, sizeof h,
	    "From: <sender@origin.test>\r\nTo: <x@site.test>\r\nSubject: bench "
	    "%s.%ld\r\nMessage-ID: <%s.%ld@origin.test>\r\nDate: Sat, 21 Nov "
	    "2026 21:00:00 +0000\r\nX-Bench-ID: %s.%ld\r\n\r\n",
	    runid, c->id, runid, c->id, runid, c->id);
	size_t bl = size > (size_t)l ? size - l : 0;
	bl -= bl % 64;
	if (bl > bodyl)
		bl = bodyl;
	c->ml = l + bl + 3;
	struct iovec v[3] = {{h, l}, {body, bl}, {".\r\n", 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	c->tdot = now();
	ssize_t r = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	if (r < 0)
		r = 0;
	c->st = FINAL;
	if ((size_t)r < c->ml) { // keep the rest
		c->msg = malloc(c->ml);
		memcpy(c->msg, h, l);
		memcpy(c->msg + l, body, bl);
		memcpy(c->msg + l + bl, ".\r\n", 3);
		c->bo = r;
		watch(c, EPOLLIN | EPOLLOUT);
	}
}
static void
out(conn *c)
{
	if (!c->msg) {
		watch(c, EPOLLIN);
		return;
	}
	c->tdot = now();
	ssize_t r = send(c->fd, c->msg + c->bo, c->ml - c->bo, MSG_NOSIGNAL);
	if (r > 0)
		c->bo += r;
	if (c->bo >= c->ml) {
		free(c->msg);
		c->msg = 0;
		watch(c, EPOLLIN);
	}
}
static void
failmsg(conn *c, int code, const char *l)
{
	if (permshow < 3) {
		permshow++;
		fprintf(stderr, "mload: %d state %d: %.100s\n", code, c->st, l);
	}
	if (code >= 500) {
		permf++;
		c->id = -1;
	} else
		tempf++;
}
static void
backoff(conn *c)
{
	drop(c);
	c->st = BACKOFF;
	c->tback = now() + 50000000;
}
static int
handle(conn *c, int code, char *l)
{ // returns -1 if connection finished
	char s[256], d[64];
	switch (c->st) {
	case BANNER:
		if (code != 220) {
			failmsg(c, code < 500 ? code : 421, l);
			backoff(c);
			return -1;
		}
		snd(c, s, snprintf(s, sizeof s, "EHLO %s\r\n", ehlo));
		c->st = EHLO;
		c->pl = 0;
		return 0;
	case EHLO:
		if (code != 250) {
			failmsg(c, 421, l);
			backoff(c);
			return -1;
		}
		if (!pipel)
			c->pl = 0;
		if (idle) {
			c->st = FINAL + 100;
			return 0;
		}
		if (!nextmsg(c)) {
			snd(c, "QUIT\r\n", 6);
			c->st = QUIT;
		}
		return 0;
	case MAIL:
		if (code / 100 != 2) {
			failmsg(c, code, l);
			backoff(c);
			return -1;
		}
		c->left--;
		c->st = RCPT;
		if (!c->pl) {
			snprintf(d, sizeof d, fmt, base + (int)(c->id % ndom));
			snd(c, s,
			    snprintf(s, sizeof s, "RCPT TO:<%s.%ld@%s>\r\n",
				runid, c->id, d));
		}
		return 0;
	case RCPT:
		if (code / 100 != 2) {
			failmsg(c, code, l);
			backoff(c);
			return -1;
		}
		c->st = DATA;
		if (!c->pl)
			snd(c, "DATA\r\n", 6);
		return 0;
	case DATA:
		if (code != 354) {
			failmsg(c, code, l);
			backoff(c);
			return -1;
		}
		sendbody(c);
		return 0;
	case FINAL:
		if (code != 250) {
			failmsg(c, code, l);
			backoff(c);
			return -1;
		}
		{
			uint64_t t = now();
			tlast = t;
			acked++;
			ackbits[c->id] = 1;
			if (ackt)
				ackt[c->id] = t;
			dot[latn] = t - c->tdot;
			lat[latn++] = t - c->t0;
			c->id = -1;
		}
		if (c->k >= per || !nextmsg(c)) {
			snd(c, "QUIT\r\n", 6);
			c->st = QUIT;
			if (nowaitq) {
				drop(c);
				start(c);
				return -1;
			}
		}
		return 0;
	case QUIT:
		drop(c);
		start(c);
		return -1;
	}
	return 0;
}
static void
in(conn *c)
{
	ssize_t r = recv(c->fd, c->b + c->n, sizeof c->b - 1 - c->n, 0);
	if (r < 0 && errno == EAGAIN)
		return;
	if (r <= 0) {
		int was = c->st;
		if (c->msg) {
			free(c->msg);
			c->msg = 0;
		}
		drop(c);
		if (was != QUIT) {
			lost++;
			if (c->id >= 0 && stoploss) {
				c->id = -1;
			}
			if (stoploss) {
				c->st = DEAD;
				return;
			}
			c->st = BACKOFF;
			c->tback = now() + 20000000;
			return;
		}
		start(c);
		return;
	}
	c->n += r;
	size_t p = 0;
	for (;;) {
		char *q = memchr(c->b + p, '\n', c->n - p);
		if (!q)
			break;
		char *l = c->b + p;
		size_t n = q - l + 1;
		p += n;
		if (c->st == EHLO && n >= 14 &&
		    !strncasecmp(l + 4, "PIPELINING", 10))
			c->pl = 1;
		if (n >= 4 && l[3] == '-')
			continue;
		*q = 0;
		if (handle(c, atoi(l), l) < 0)
			return;
	}
	memmove(c->b, c->b + p, c->n - p);
	c->n -= p;
}
static int
cmp(const void *a, const void *b)
{
	uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b;
	return x < y ? -1 : x > y;
}
static void
onsig(int s)
{
	(void)s;
	stopf = 1;
}
int
main(int ac, char **av)
{
	int o;
	const char *acklog = 0;
	while ((o = getopt(ac, av, "p:h:c:n:k:s:D:B:F:r:t:o:PIxq")) != -1)
		switch (o) {
		case 'p':
			port = atoi(optarg);
			break;
		case 'h':
			host = optarg;
			break;
		case 'c':
			conc = atoi(optarg);
			break;
		case 'n':
			total = atol(optarg);
			break;
		case 'k':
			per = atoi(optarg);
			break;
		case 's':
			size = atol(optarg);
			break;
		case 'D':
			ndom = atoi(optarg);
			break;
		case 'B':
			base = atoi(optarg);
			break;
		case 'F':
			fmt = optarg;
			break;
		case 'r':
			runid = optarg;
			break;
		case 't':
			maxsec = atof(optarg);
			break;
		case 'o':
			acklog = optarg;
			break;
		case 'P':
			pipel = 1;
			break;
		case 'I':
			idle = 1;
			break;
		case 'x':
			stoploss = 1;
			break;
		case 'q':
			nowaitq = 1;
			break;
		}
	signal(SIGPIPE, SIG_IGN);
	struct sigaction sg = {.sa_handler = onsig};
	sigaction(SIGTERM, &sg, 0);
	sigaction(SIGINT, &sg, 0);
	sa.sin_family = AF_INET;
	sa.sin_port = htons(port);
	inet_pton(AF_INET, host, &sa.sin_addr);
	bodyl = size / 64 * 64 + 64;
	body = malloc(bodyl);
	for (size_t i = 0; i < bodyl; i++)
		body[i] = i % 64 == 62   ? '\r'
		          : i % 64 == 63 ? '\n'
		                         : 'a' + (i * 7 + i / 64) % 26;
	lat = malloc(sizeof *lat * (total + 1));
	dot = malloc(sizeof *dot * (total + 1));
	ackbits = calloc(total + 1, 1);
	if (acklog)
		ackt = calloc(total + 1, 8);
	ep = epoll_create1(0);
	conn *cs = calloc(conc, sizeof *cs);
	tstart = now();
	tend = maxsec > 0 ? tstart + (uint64_t)(maxsec * 1e9) : ~0ull;
	tlast = tstart;
	for (int i = 0; i < conc; i++) {
		cs[i].id = -1;
		start(&cs[i]);
		if (i % 4 == 3)
			usleep(500);
	}
	struct epoll_event evs[256];
	int announced = 0;
	for (;;) {
		int n = epoll_wait(ep, evs, 256, 20);
		uint64_t t = now();
		if (!timeup && t >= tend)
			timeup = 1;
		if (t >= tend + 60000000000ull && tend != ~0ull)
			break; // hard stop
		for (int i = 0; i < n; i++) {
			conn *c = evs[i].data.ptr;
			if (c->fd < 0)
				continue;
			if (evs[i].events & EPOLLOUT && c->msg)
				out(c);
			if (c->fd >= 0 &&
			    evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				in(c);
		}
		int live = 0;
		for (int i = 0; i < conc; i++) {
			if (cs[i].st == BANNER && cs[i].fd >= 0 &&
			    t > cs[i].tconn + 1500000000ull) {
				bto++;
				drop(&cs[i]);
				cs[i].st = BACKOFF;
				cs[i].tback = t + (i % 10) * 3000000ull;
			}
			if (cs[i].st == BACKOFF &&
			    (timeup || stopf || stoploss))
				cs[i].st = DEAD;
			if (cs[i].st == BACKOFF && t >= cs[i].tback)
				start(&cs[i]);
			if (cs[i].st != DEAD)
				live++;
		}
		if (idle && !announced) {
			int r = 0;
			for (int i = 0; i < conc; i++)
				r += cs[i].st == FINAL + 100;
			if (r == conc || (t - tstart > 20000000000ull)) {
				printf("IDLE %d\n", r);
				fflush(stdout);
				announced = 1;
			}
		}
		if (idle && (stopf || timeup))
			break;
		if (!live)
			break;
	}
	double el = (tlast - tstart) / 1e9;
	qsort(lat, latn, 8, cmp);
	qsort(dot, latn, 8, cmp);
	if (!idle)
		printf("acked=%ld secs=%.3f rate=%.1f p50us=%llu p99us=%llu "
		       "maxus=%llu temp=%ld perm=%ld lost=%ld refused=%d "
		       "conns=%ld bto=%ld dot50us=%llu dot99us=%llu\n",
		    acked, el, el > 0 ? acked / el : 0,
		    (unsigned long long)(latn ? lat[latn / 2] / 1000 : 0),
		    (unsigned long long)(latn ? lat[latn * 99 / 100] / 1000
					      : 0),
		    (unsigned long long)(latn ? lat[latn - 1] / 1000 : 0),
		    tempf, permf, lost, refused, conns, bto,
		    (unsigned long long)(latn ? dot[latn / 2] / 1000 : 0),
		    (unsigned long long)(latn ? dot[latn * 99 / 100] / 1000
					      : 0));
	if (acklog) {
		FILE *f = fopen(acklog, "w");
		for (long i = 0; i < next_id; i++)
			if (ackbits[i]) {
				char d[64];
				snprintf(
				    d, sizeof d, fmt, base + (int)(i % ndom));
				fprintf(f, "%llu %s.%ld@%s\n",
				    (unsigned long long)ackt[i], runid, i, d);
			}
		fclose(f);
	}
	return 0;
}
