/*
 * Handing a message to the daemon: the machine of smtp/client.h over a stream.
 * Whatever goes wrong on the way leaves recipients that were not taken as they
 * were, so that the caller may try elsewhere.
 */
#include "cmd/submit_smtp.h"
#include "base/check.h"
#include "os/machine.h"
#include "smtp/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SMTP_TIMEOUT_MS     60000
#define SMTP_DOT_TIMEOUT_MS 600000
#define SMTP_TRACE_MAX      (1 << 20)
#define SMTP_NAMES_SHOWN    10

/* One connection. */
struct handover {
	const struct submit_smtp *how;
	struct submit_message *m;
	struct smtp_client *client;
	struct buf trace;
	int fd;
	size_t first, count; /* recipients of the job */
	size_t next;         /* the first that is in no job yet */
	uint64_t offset;     /* content given */
};

int
submit_connect(struct str path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error = 0;

	if (path.size == 0)
		return -ENOENT;
	if (path.size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.data, path.size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static void
handover_trace(struct handover *h)
{
	struct str text = buf_str(&h->trace);

	submit_traffic_dialogue(h->how->traffic, text);
	if (h->how->is_verbose && text.size > 0) {
		printf("%.*s", STR_ARG(text));
		fflush(stdout);
	}
	buf_clear(&h->trace);
}

/* "a@b,c@d... Connecting to localhost via relay..." */
static void
handover_announce(const struct handover *h)
{
	size_t count = h->m->recipient_count;

	if (!h->how->is_verbose)
		return;
	for (size_t i = 0; i < count && i < SMTP_NAMES_SHOWN; i++)
		printf("%s%.*s", i > 0 ? "," : "",
		    STR_ARG(h->m->recipients[i].address));
	printf("... Connecting to localhost via relay...\n");
	fflush(stdout);
}

/* The next recipients that are untried, as many as one transaction may have;
   false if there is none left. */
static bool
handover_job(struct handover *h, uint64_t now_ms)
{
	struct submit_message *m = h->m;

	h->first = h->next;
	h->count = m->recipient_count - h->first;
	if (h->count > h->how->recipients_max)
		h->count = h->how->recipients_max;
	if (h->count == 0)
		return false;
	h->next = h->first + h->count;
	h->offset = 0;
	smtp_client_job(h->client, &m->envelope, m->recipients + h->first,
	    h->count, submit_message_size(m), now_ms);
	return true;
}

static void
handover_content(struct handover *h, uint64_t now_ms)
{
	char block[SUBMIT_BLOCK];
	size_t room = smtp_client_content_room(h->client);
	int64_t n;

	if (room > sizeof(block))
		room = sizeof(block);
	n = submit_message_read(h->m, block, room, h->offset);
	if (n <= 0) {
		smtp_client_abandon(h->client, "the message cannot be read");
		return;
	}
	h->offset += (uint64_t)n;
	submit_traffic_content(h->how->traffic, str_of(block, (size_t)n));
	smtp_client_content(h->client, str_of(block, (size_t)n),
	    h->offset == submit_message_size(h->m), now_ms);
}

static enum submit_fate
handover_fate(enum smtp_verdict verdict)
{
	switch (verdict) {
	case SMTP_ACCEPTED:
		return SUBMIT_TAKEN;
	case SMTP_TEMPORARY:
		return SUBMIT_LATER;
	case SMTP_PERMANENT:
		return SUBMIT_REFUSED;
	case SMTP_UNTRIED:
		return SUBMIT_UNTRIED;
	}
	return SUBMIT_UNTRIED;
}

static void
handover_report(struct handover *h)
{
	for (size_t i = 0; i < h->count; i++) {
		struct submit_outcome *outcome = &h->m->outcomes[h->first + i];
		struct smtp_client_result result;

		smtp_client_result(h->client, i, &result);
		outcome->fate = handover_fate(result.verdict);
		outcome->code = result.code;
		snprintf(outcome->status, sizeof(outcome->status), "%s",
		    result.status);
		snprintf(outcome->answer, sizeof(outcome->answer), "%s",
		    result.answer);
	}
	smtp_client_reported(h->client);
}

/* Sends what is there to send: true if something went, and the machine may want
   something else now. */
static bool
handover_send(struct handover *h, uint64_t now_ms)
{
	struct buf *out = smtp_client_output(h->client);
	struct str bytes = buf_str(out);
	ssize_t n;

	if (bytes.size == 0)
		return false;
	n = send(h->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* A far end that hung up may have said why: that is read first. */
	if (n < 0)
		return false;
	buf_consume(out, (size_t)n);
	smtp_client_progress(h->client, now_ms);
	return true;
}

/* Waits for the far end and takes what it says. */
static void
handover_wait(struct handover *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	uint64_t now_ms = machine_mono_ms();
	uint64_t deadline_ms = smtp_client_deadline(h->client);
	uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	char bytes[4096];
	ssize_t n;

	if (buf_size(smtp_client_output(h->client)) > 0)
		p.events |= POLLOUT;
	if (poll(&p, 1, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms) < 0 &&
	    errno != EINTR)
		smtp_client_lost(h->client, strerror(errno));
	now_ms = machine_mono_ms();
	if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
		n = recv(h->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			(void)smtp_client_feed(
			    h->client, str_of(bytes, (size_t)n), now_ms);
		else if (n == 0)
			smtp_client_lost(h->client, "the daemon hung up");
		else if (errno != EAGAIN && errno != EINTR)
			smtp_client_lost(h->client, strerror(errno));
	}
	smtp_client_timer(h->client, now_ms);
}

/* One step; false when it is over. */
static bool
handover_step(struct handover *h)
{
	uint64_t now_ms = machine_mono_ms();

	handover_trace(h);
	switch (smtp_client_next(h->client)) {
	case SMTP_WANT_JOB:
		if (!handover_job(h, now_ms))
			smtp_client_quit(h->client, now_ms);
		return true;
	case SMTP_WANT_CONTENT:
		handover_content(h, now_ms);
		return true;
	case SMTP_WANT_REPORT:
		handover_report(h);
		return true;
	case SMTP_WANT_CLOSE:
		return false;
	case SMTP_WANT_NOTHING:
		if (!handover_send(h, now_ms))
			handover_wait(h);
		return true;
	}
	return false;
}

int
submit_smtp(const struct submit_smtp *how, struct submit_message *m)
{
	struct handover h = {.how = how, .m = m};
	bool is_traced = how->is_verbose || how->traffic != NULL;
	struct smtp_client_trace trace = {
	    .out = &h.trace, .host = "localhost", .mailer = "relay"};
	struct smtp_client_options options = {
	    .hostname = how->hostname,
	    .trace = is_traced ? &trace : NULL,
	    .greeting_timeout_ms = SMTP_TIMEOUT_MS,
	    .data_timeout_ms = SMTP_TIMEOUT_MS,
	    .block_timeout_ms = SMTP_TIMEOUT_MS,
	    .dot_timeout_ms = SMTP_DOT_TIMEOUT_MS,
	};

	CHECK(m->recipient_count > 0 && how->recipients_max > 0);
	h.fd = submit_connect(how->socket_path);
	if (h.fd < 0)
		return h.fd;
	buf_init(&h.trace, SMTP_TRACE_MAX);
	handover_announce(&h);
	submit_traffic_connect(how->traffic);
	h.client = smtp_client_new(&options, machine_mono_ms());
	while (handover_step(&h))
		continue;
	handover_trace(&h);
	smtp_client_free(h.client);
	buf_fini(&h.trace);
	close(h.fd);
	return 0;
}
