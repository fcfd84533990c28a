/*
 * sendq SERVER DOMAIN...: asks a holder for the mail of domains, waits for its
 * answers, prints one line for each domain and tells by its exit status what
 * came of it.  It needs no configuration and keeps no state.
 */
#include "base/mem.h"
#include "base/num.h"
#include "cmd/dial.h"
#include "mail/address.h"
#include "os/machine.h"
#include "trigger/ask.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SENDQ_PORT       25
#define SENDQ_TIMEOUT_MS 120000
#define SENDQ_DOMAINS    1000
#define SENDQ_DAY_MS     86400000

static const char sendq_help[] =
    "usage: sendq [options] SERVER DOMAIN...\n"
    "\n"
    "Asks SERVER to deliver the mail that it holds for each DOMAIN, and "
    "prints\n"
    "what it answered. SERVER is a name or an address, with or without :PORT\n"
    "(25). \"@DOMAIN\" asks for everything below DOMAIN too.\n"
    "\n"
    "  -m, --method auto|etrn|qsnd  how to ask: ETRN where the server offers\n"
    "                               it, else QSND (auto); or just the one\n"
    "  -t, --timeout TIME           longest wait for each answer (2m)\n"
    "  -n, --name HOSTNAME          how to greet (this host's name)\n"
    "  -v, --verbose                show the dialogue\n"
    "  -h, --help                   this\n"
    "  -V, --version                the version\n"
    "\n"
    "Exit status: 0 started or nothing waiting, 64 usage, 68 no such host,\n"
    "69 not offered or not reachable, 75 try again later, 76 not understood,\n"
    "77 refused; with several domains the first of 77, 76, 69, 75 that "
    "occurred.\n";

struct sendq {
	struct trigger_ask *ask;
	bool is_verbose;
	int fd;
};

/* Shows bytes of the dialogue line by line; others than text are escaped. */
static void
sendq_show(const char *mark, struct str bytes)
{
	bool is_start = true;

	for (size_t i = 0; i < bytes.size; i++) {
		unsigned char c = (unsigned char)bytes.data[i];

		if (is_start)
			fputs(mark, stderr);
		is_start = c == '\n';
		if (c == '\r')
			continue;
		if (c == '\n' || (c >= 0x20 && c < 0x7f))
			fputc(c, stderr);
		else
			fprintf(stderr, "\\x%02x", c);
	}
	if (!is_start)
		fputc('\n', stderr);
}

/* Writes what waits; false if the connection broke. */
static bool
sendq_write(struct sendq *s)
{
	struct buf *output = trigger_ask_output(s->ask);
	ssize_t n;

	while (buf_size(output) > 0) {
		n = write(s->fd, buf_str(output).data, buf_size(output));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (s->is_verbose)
			sendq_show(
			    ">>> ", str_head(buf_str(output), (size_t)n));
		buf_consume(output, (size_t)n);
	}
	return true;
}

/* Reads what is there; false if the connection is gone. */
static bool
sendq_read(struct sendq *s)
{
	char bytes[4096];
	ssize_t n = read(s->fd, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	if (s->is_verbose)
		sendq_show("<<< ", str_of(bytes, (size_t)n));
	(void)trigger_ask_feed(
	    s->ask, str_of(bytes, (size_t)n), machine_mono_ms());
	return true;
}

static void
sendq_talk(struct sendq *s)
{
	while (trigger_ask_next(s->ask) != TRIGGER_ASK_CLOSE) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		uint64_t now_ms = machine_mono_ms();
		uint64_t deadline_ms = trigger_ask_deadline(s->ask);
		uint64_t wait_ms =
		    deadline_ms > now_ms ? deadline_ms - now_ms : 0;
		bool is_up = sendq_write(s);
		int ready;

		if (buf_size(trigger_ask_output(s->ask)) > 0)
			p.events |= POLLOUT;
		ready = !is_up
		            ? 0
		            : poll(&p, 1,
				  wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
		if (is_up && ready > 0 && (p.revents & ~POLLOUT) != 0)
			is_up = sendq_read(s);
		if (!is_up)
			trigger_ask_lost(
			    s->ask, TRIGGER_ASK_LATER, "connection lost");
		else
			trigger_ask_timer(s->ask, machine_mono_ms());
	}
	/* QUIT, if it is still there to be said. */
	(void)sendq_write(s);
}

static int
sendq_report(
    const struct trigger_ask *ask, const struct str *domains, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%.*s: %s\n", STR_ARG(domains[i]),
		    trigger_ask_result(ask, i)->text);
	return fflush(stdout) == 0 ? trigger_ask_exit_all(ask) : EX_IOERR;
}

static int
sendq_usage(const char *what, const char *which)
{
	fprintf(stderr, "sendq: %s%s%s\nTry 'sendq --help'.\n", what,
	    which ? ": " : "", which ? which : "");
	return EX_USAGE;
}

struct sendq_options {
	struct trigger_ask_options ask;
	uint64_t timeout_ms;
	bool is_verbose;
	char hostname[256];
};

static bool
sendq_method(const char *text, enum trigger_ask_method *method_out)
{
	static const char *const names[] = {
	    [TRIGGER_ASK_AUTO] = "auto",
	    [TRIGGER_ASK_ETRN] = "etrn",
	    [TRIGGER_ASK_QSND] = "qsnd",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*method_out = (enum trigger_ask_method)i;
			return true;
		}
	return false;
}

/* 0 = go on, else the exit status plus one. */
static int
sendq_parse(int argc, char **argv, struct sendq_options *o)
{
	static const struct option options[] = {
	    {"method", required_argument, NULL, 'm'},
	    {"timeout", required_argument, NULL, 't'},
	    {"name", required_argument, NULL, 'n'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "m:t:n:vhV", options, NULL)) != -1)
		switch (c) {
		case 'm':
			if (!sendq_method(optarg, &o->ask.method))
				return sendq_usage("no such method", optarg) +
				       1;
			break;
		case 't':
			if (num_parse_duration(str_from(optarg), SENDQ_DAY_MS,
				&o->timeout_ms) < 0 ||
			    o->timeout_ms == 0)
				return sendq_usage(
					   "not a time up to 1d", optarg) +
				       1;
			break;
		case 'n':
			if (!mail_domain_is_valid(str_from(optarg), true))
				return sendq_usage("not a host name", optarg) +
				       1;
			snprintf(
			    o->hostname, sizeof(o->hostname), "%s", optarg);
			break;
		case 'v':
			o->is_verbose = true;
			break;
		case 'h':
			fputs(sendq_help, stdout);
			return EX_OK + 1;
		case 'V':
			puts("sendq " SENDQ_VERSION);
			return EX_OK + 1;
		default:
			return EX_USAGE + 1;
		}
	return 0;
}

static void
sendq_hostname(struct sendq_options *o)
{
	if (o->hostname[0] == '\0' &&
	    (gethostname(o->hostname, sizeof(o->hostname) - 1) < 0 ||
		!mail_domain_is_valid(str_from(o->hostname), true)))
		snprintf(o->hostname, sizeof(o->hostname), "localhost");
	o->ask.hostname = str_from(o->hostname);
	o->ask.greeting_timeout_ms = o->timeout_ms;
	o->ask.reply_timeout_ms = o->timeout_ms;
}

int
main(int argc, char **argv)
{
	struct sendq_options o = {.timeout_ms = SENDQ_TIMEOUT_MS};
	struct sendq s = {.fd = -1};
	enum trigger_ask_outcome outcome = TRIGGER_ASK_UNAVAILABLE;
	struct str *domains;
	char host[256], reason[200];
	uint16_t port = SENDQ_PORT;
	size_t count;
	int status = sendq_parse(argc, argv, &o);

	if (status > 0)
		return status - 1;
	if (argc - optind < 2)
		return sendq_usage("a server and a domain are needed", NULL);
	count = (size_t)(argc - optind - 1);
	if (count > SENDQ_DOMAINS)
		return sendq_usage("more than 1000 domains", NULL);
	if (dial_parse(str_from(argv[optind]), host, &port) < 0)
		return sendq_usage("not a server", argv[optind]);
	sendq_hostname(&o);
	signal(SIGPIPE, SIG_IGN);
	domains = mem_new(count, sizeof(domains[0]));
	for (size_t i = 0; i < count; i++)
		domains[i] = str_from(argv[optind + 1 + (int)i]);
	s.is_verbose = o.is_verbose;
	s.fd = dial_open(host, port, o.timeout_ms, &outcome, reason);
	s.ask = trigger_ask_new(&o.ask, domains, count, machine_mono_ms());
	if (s.fd < 0)
		trigger_ask_lost(s.ask, outcome, reason);
	else
		sendq_talk(&s);
	status = sendq_report(s.ask, domains, count);
	trigger_ask_free(s.ask);
	free(domains);
	if (s.fd >= 0)
		close(s.fd);
	return status;
}
