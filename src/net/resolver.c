/*
 * Questions to libunbound.  A question for addresses is two (A and AAAA), and
 * its answer both, A first.
 *
 * Invariants: (1) a question is in `waiting` until it is answered or its time
 * is over, then in `ready` until it is handed out; (2) it is freed when it was
 * handed out and libunbound holds it no more (open_count is 0); until then it
 * is in `given_up`.
 *
 * libunbound's own answers for .test and home.arpa are taken out: behind the
 * servers that we ask there may be such names.  Those for .invalid stay (RFC
 * 6761 6.4).
 */
#include "net/resolver.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>
#include <utlist.h>

#define RESOLVER_NXDOMAIN 3 /* RFC 1035 4.1.1 */
#define RESOLVER_BOGUS    1 /* libunbound: DNSSEC says that it is false */

struct resolver_question;

/* What libunbound is asked; one or two of a question. */
struct resolver_part {
	struct resolver_question *question;
	int type;
};

struct resolver_question {
	struct resolver *resolver;
	uint64_t query;
	bool is_over; /* answered or given up: in ready, or handed out */
	bool is_done; /* handed out */
	bool is_failed;
	int open_count; /* parts that libunbound still holds */
	struct resolver_part parts[2];
	struct role_dns_answer answer;
	struct event timer;
	struct resolver_question *prev, *next;
};

struct resolver {
	struct ub_ctx *context;
	struct event_base *base;
	struct resolver_question *waiting;
	struct resolver_question *ready;
	struct resolver_question *given_up; /* handed out, still held */
	struct role_dns_answer answer;      /* the one handed out last */
};

static int
resolver_error(int result)
{
	if (result == UB_NOERROR)
		return 0;
	log_event(
	    LOG_ERROR, "resolver-failed", "", "error=%s", ub_strerror(result));
	return -EINVAL;
}

/* One server, as "192.0.2.1@53". */
static int
resolver_forward(struct ub_ctx *context, const struct conf_address *server)
{
	char text[64], bytes[46];
	int result;

	conf_address_format(server, bytes);
	snprintf(text, sizeof(text), "%s@%u", bytes,
	    server->port != 0 ? server->port : 53U);
	result = ub_ctx_set_fwd(context, text);
	return resolver_error(result);
}

/* What is not there is not an error: the defaults do. */
static int
resolver_read_system(struct ub_ctx *context)
{
	int result = ub_ctx_resolvconf(context, NULL);

	if (result != UB_NOERROR && result != UB_READFILE)
		return resolver_error(result);
	result = ub_ctx_hosts(context, NULL);
	if (result != UB_NOERROR && result != UB_READFILE)
		return resolver_error(result);
	return 0;
}

static int
resolver_set_up(struct ub_ctx *context, const struct conf_address *server)
{
	static const char *const options[][2] = {
	    /* A server that was away is asked again soon: links come and
	       go. */
	    {"infra-host-ttl:", "30"},
	    {"infra-keep-probing:", "yes"},
	    {"do-not-query-localhost:", "no"},
	    {"cache-max-negative-ttl:", "60"},
	};
	static const char *const zones[] = {"test.", "home.arpa."};
	int error = 0;

	ub_ctx_debugout(context, NULL);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		error = resolver_error(
		    ub_ctx_set_option(context, options[i][0], options[i][1]));
		if (error < 0)
			return error;
	}
	if (server->family != 0)
		error = resolver_forward(context, server);
	else
		error = resolver_read_system(context);
	/* This also makes the context final. */
	for (size_t i = 0; error == 0 && i < sizeof(zones) / sizeof(zones[0]);
	     i++)
		error = resolver_error(ub_ctx_zone_remove(context, zones[i]));
	return error;
}

int
resolver_new(struct event_base *base, const struct conf_address *server,
    struct resolver **resolver_out)
{
	struct ub_ctx *context = ub_ctx_create_event(base);
	int error;

	*resolver_out = NULL;
	if (context == NULL)
		return -ENOMEM;
	error = resolver_set_up(context, server);
	if (error < 0) {
		ub_ctx_delete(context);
		return error;
	}
	*resolver_out = mem_new(1, sizeof(**resolver_out));
	(*resolver_out)->context = context;
	(*resolver_out)->base = base;
	return 0;
}

static void
resolver_unlink(struct resolver_question **list, struct resolver_question *q)
{
	DL_DELETE(*list, q);
}

static void
resolver_free_list(struct resolver_question **list)
{
	struct resolver_question *q;

	while ((q = *list) != NULL) {
		resolver_unlink(list, q);
		event_del(&q->timer);
		free(q);
	}
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	/* libunbound first: it points to the questions. */
	ub_ctx_delete(r->context);
	resolver_free_list(&r->waiting);
	resolver_free_list(&r->ready);
	resolver_free_list(&r->given_up);
	free(r);
}

/* The end of a question: all parts answered, or time over. */
static void
resolver_finish(struct resolver_question *q)
{
	struct resolver *r = q->resolver;

	CHECK(!q->is_over);
	q->is_over = true;
	event_del(&q->timer);
	if (q->answer.count > 0)
		q->answer.status = ROLE_DNS_OK;
	else if (q->is_failed)
		q->answer.status = ROLE_DNS_FAILED;
	else
		q->answer.status = ROLE_DNS_NONE;
	if (q->answer.status != ROLE_DNS_NONE)
		q->answer.is_no_name = false;
	resolver_unlink(&r->waiting, q);
	DL_APPEND(r->ready, q);
}

static void
resolver_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct resolver_question *q = arg;

	q->is_failed = true;
	resolver_finish(q);
}

/* A record of an answer: where its data lies in the packet. */
struct resolver_record {
	int type;
	const unsigned char *data;
	size_t size;
};

static unsigned
resolver_get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* Adds one record of the type that was asked; END is the packet's. */
static void
resolver_add_record(struct role_dns_answer *answer,
    const struct resolver_record *record, const unsigned char *packet,
    const unsigned char *end)
{
	size_t i = answer->count;
	char name[NS_MAXDNAME];

	if (i == ROLE_DNS_MAX)
		return;
	if (record->type == ns_t_mx) {
		/* RFC 1035 3.3.9: preference, exchange.  The root (RFC 7505 3)
		   expands to the empty name. */
		if (record->size < NS_INT16SZ + 1 ||
		    dn_expand(packet, end, record->data + NS_INT16SZ, name,
			sizeof(name)) < 0 ||
		    strlen(name) > MAIL_DOMAIN_MAX)
			return;
		answer->records[i].preference =
		    (uint16_t)resolver_get16(record->data);
		/* A compressed name has the letters of our question. */
		for (size_t n = 0; n <= strlen(name); n++)
			answer->records[i].name[n] = ascii_lower(name[n]);
	} else {
		bool is_v4 = record->type == ns_t_a;

		if (record->size != (is_v4 ? 4U : 16U))
			return;
		answer->records[i].address =
		    (struct conf_address){.family = is_v4 ? 4 : 6};
		memcpy(answer->records[i].address.bytes, record->data,
		    record->size);
	}
	answer->count++;
}

/* The record at AT (RFC 1035 4.1.3): how long it is, or -1. */
static ssize_t
resolver_read_record(const unsigned char *at, const unsigned char *end,
    struct resolver_record *record_out)
{
	int name_size = dn_skipname(at, end);

	if (name_size < 0 || end - at < name_size + NS_RRFIXEDSZ)
		return -1;
	/* Type, class, time to live, length of the data. */
	record_out->type = (int)resolver_get16(at + name_size);
	record_out->size = resolver_get16(at + name_size + 8);
	record_out->data = at + name_size + NS_RRFIXEDSZ;
	if ((size_t)(end - record_out->data) < record_out->size)
		return -1;
	return name_size + NS_RRFIXEDSZ + (ssize_t)record_out->size;
}

/* The records of an answer that libunbound found good; others (CNAME) are
   passed over.  False if it cannot be read all the same. */
static bool
resolver_read_packet(
    struct resolver_part *part, const unsigned char *packet, int size)
{
	const unsigned char *at, *end;
	unsigned question_count, answer_count;
	struct resolver_record record;

	if (size < NS_HFIXEDSZ)
		return false;
	end = packet + size;
	at = packet + NS_HFIXEDSZ;
	question_count = resolver_get16(packet + 4);
	answer_count = resolver_get16(packet + 6);
	while (question_count-- > 0) {
		int name_size = dn_skipname(at, end);

		if (name_size < 0 || end - at < name_size + NS_QFIXEDSZ)
			return false;
		at += name_size + NS_QFIXEDSZ;
	}
	while (answer_count-- > 0) {
		ssize_t n = resolver_read_record(at, end, &record);

		if (n < 0)
			return false;
		if (record.type == part->type)
			resolver_add_record(
			    &part->question->answer, &record, packet, end);
		at += n;
	}
	return true;
}

/* Puts the A records first, whichever came first: the order of the answer is
   then always the same. */
static void
resolver_sort(struct role_dns_answer *answer)
{
	for (size_t i = 1; i < answer->count; i++)
		for (size_t j = i;
		     j > 0 && answer->records[j - 1].address.family >
				  answer->records[j].address.family;
		     j--) {
			struct conf_address address =
			    answer->records[j].address;

			answer->records[j].address =
			    answer->records[j - 1].address;
			answer->records[j - 1].address = address;
		}
}

/* Nobody waits for the late end of a question. */
static void
resolver_forget(struct resolver_question *q)
{
	resolver_unlink(&q->resolver->given_up, q);
	free(q);
}

/* What one part says.  A packet of no bytes cannot be believed. */
static void
resolver_take_part(struct resolver_part *part, int rcode,
    const unsigned char *packet, int size)
{
	struct resolver_question *q = part->question;

	/* For what libunbound answers itself the code is in the packet only. */
	if (rcode == 0 && size >= NS_HFIXEDSZ)
		rcode = packet[3] & 0x0f;
	if (rcode == RESOLVER_NXDOMAIN)
		q->answer.is_no_name = true;
	else if (rcode != 0 || !resolver_read_packet(part, packet, size))
		q->is_failed = true;
}

/* The parameters are libunbound's. */
static void
/* NOLINTNEXTLINE(readability-function-size) */
resolver_on_answer(void *arg, int rcode, void *packet, int size, int security,
    char *why_bogus, int was_limited)
{
	struct resolver_part *part = arg;
	struct resolver_question *q = part->question;

	CHECK(q->open_count > 0);
	q->open_count--;
	if (q->is_over) {
		if (q->is_done && q->open_count == 0)
			resolver_forget(q);
		return;
	}
	resolver_take_part(
	    part, rcode, packet, security == RESOLVER_BOGUS ? 0 : size);
	if (q->open_count > 0)
		return;
	resolver_sort(&q->answer);
	resolver_finish(q);
}

/* NAME as libunbound wants it; false if it cannot be a domain name. */
static bool
resolver_copy_name(struct str name, char copy[MAIL_DOMAIN_MAX + 1])
{
	if (name.size == 0 || name.size > MAIL_DOMAIN_MAX ||
	    str_find(name, '\0') < name.size)
		return false;
	memcpy(copy, name.data, name.size);
	copy[name.size] = '\0';
	return true;
}

void
resolver_ask(
    struct resolver *r, uint64_t query, enum role_dns what, struct str name)
{
	static const int types[][2] = {
	    [ROLE_DNS_MX] = {ns_t_mx, 0},
	    [ROLE_DNS_ADDRESS] = {ns_t_a, ns_t_aaaa},
	};
	const struct timeval wait = {.tv_sec = RESOLVER_WAIT_MS / 1000};
	struct resolver_question *q = mem_new(1, sizeof(*q));
	char copy[MAIL_DOMAIN_MAX + 1];
	int parts = types[what][1] != 0 ? 2 : 1;

	q->resolver = r;
	q->query = query;
	DL_APPEND(r->waiting, q);
	CHECK(evtimer_assign(&q->timer, r->base, resolver_on_timer, q) == 0);
	CHECK(event_add(&q->timer, &wait) == 0);
	if (!resolver_copy_name(name, copy)) {
		q->answer.is_no_name = true;
		resolver_finish(q);
		return;
	}
	/* All are counted before the first is asked: an answer that is known
	   comes at once. */
	q->open_count = parts;
	for (int i = 0; i < parts; i++) {
		q->parts[i].question = q;
		q->parts[i].type = types[what][i];
		if (ub_resolve_event(r->context, copy, q->parts[i].type,
			ns_c_in, &q->parts[i], resolver_on_answer,
			NULL) != UB_NOERROR)
			resolver_on_answer(
			    &q->parts[i], -1, NULL, 0, 0, NULL, 0);
	}
}

bool
resolver_is_ready(const struct resolver *r)
{
	return r->ready != NULL;
}

bool
resolver_next(struct resolver *r, uint64_t *query_out,
    const struct role_dns_answer **answer_out)
{
	struct resolver_question *q = r->ready;

	if (q == NULL)
		return false;
	resolver_unlink(&r->ready, q);
	q->is_done = true;
	r->answer = q->answer;
	*query_out = q->query;
	*answer_out = &r->answer;
	if (q->open_count > 0)
		DL_APPEND(r->given_up, q);
	else
		free(q);
	return true;
}
