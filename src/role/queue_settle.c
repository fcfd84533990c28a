/*
 * What became of a lease is recorded in one step with the notification about
 * it: the store forgets the recipients only together with the bounce that
 * tells of them.  A 4xx keeps its recipient until its due time or the message's
 * end; a 5xx returns it.  No notification is ever made for the null sender
 * (RFC 5321 6.1): the postmaster is told, or it ends in a log line and a
 * counter.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"
#include "store/mqueue/mqueue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_AGAIN_MS 1000

static const struct message_job_result *
result_of(
    const struct message_job_result *results, size_t count, uint32_t index)
{
	for (size_t i = 0; i < count; i++)
		if (results[i].index == index)
			return &results[i];
	return NULL;
}

/* What counts for all rows of a lease. */
struct settle {
	struct queue *q;
	struct queue_lease *lease;
	struct route route; /* of its destination */
	uint64_t time_ms;
	bool is_relayed;
};

/* Begins to settle LEASE: nothing is known of its rows yet. */
static struct settle
settle_new(struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	size_t count = lease->lease->row_count;
	struct settle s = {
	    .q = q, .lease = lease, .time_ms = queue_time(q, now_ms)};

	CHECK(!lease->is_settling);
	lease->is_settling = true;
	lease->result_count = count;
	lease->results =
	    arena_new(&lease->arena, count * sizeof(lease->results[0]));
	lease->notes =
	    arena_new(&lease->arena, count * sizeof(lease->notes[0]));
	CHECK(lease->results != NULL && lease->notes != NULL);
	/* One that the configuration does not know any more has times, too. */
	(void)!route_of_destination(
	    q->conf, lease->lease->destination, &s.route);
	return s;
}

static void
settle_note(struct queue_note *note, bool is_wanted,
    enum mail_dsn_action action, struct str status)
{
	note->is_wanted = is_wanted;
	note->action = action;
	snprintf(note->status, sizeof(note->status), "%.*s", STR_ARG(status));
}

/* Notes what the sender wants to know of row I (RFC 3461 4.1), whose outcome
   is set; STATUS as it is told. */
static void
settle_note_row(const struct settle *s, size_t i, struct str status)
{
	const struct store_lease *l = s->lease->lease;
	const struct mail_recipient *to = &l->rows[i].recipient;
	uint8_t notify = to->notify;
	bool has_sender = l->envelope.sender.size > 0;
	bool is_local = route_is_local(s->route.kind);

	switch (s->lease->results[i].outcome) {
	case STORE_FAILED:
		settle_note(&s->lease->notes[i],
		    has_sender
			? notify == 0 || (notify & MAIL_NOTIFY_FAILURE) != 0
			: queue_notice_has_postmaster(s->q, to),
		    MAIL_DSN_FAILED, status);
		break;
	case STORE_DELIVERED:
		/* RFC 3461 5.2.2: a host that knows of notifications tells
		   itself. */
		settle_note(&s->lease->notes[i],
		    has_sender && (notify & MAIL_NOTIFY_SUCCESS) != 0 &&
			(is_local || s->is_relayed),
		    is_local ? MAIL_DSN_DELIVERED : MAIL_DSN_RELAYED, status);
		break;
	case STORE_DEFERRED:
	case STORE_UNTRIED:
		break;
	}
}

static struct str
settle_copy(const struct settle *s, struct str text)
{
	struct str copy = arena_copy(&s->lease->arena, text);

	CHECK(copy.data != NULL);
	return copy;
}

/* Fills in one result of the store from one of the far end. */
static void
settle_row(
    const struct settle *s, size_t i, const struct message_job_result *from)
{
	const struct store_lease_row *row = &s->lease->lease->rows[i];
	struct store_result *to = &s->lease->results[i];
	enum smtp_verdict verdict = from ? from->verdict : SMTP_UNTRIED;
	struct str status = from ? from->status : STR("4.0.0");

	to->index = row->index;
	to->status = settle_copy(
	    s, str_head(from ? from->answer : STR(""), STORE_STATUS_MAX));
	if (verdict == SMTP_TEMPORARY &&
	    s->time_ms >= s->lease->lease->arrival_ms + s->route.expire_ms) {
		verdict = SMTP_PERMANENT;
		status = STR("4.4.7");
	}
	switch (verdict) {
	case SMTP_ACCEPTED:
		to->outcome = STORE_DELIVERED;
		sched_delivered(s->q->sched, s->lease->session);
		break;
	case SMTP_TEMPORARY:
		to->outcome = STORE_DEFERRED;
		to->due_ms = s->time_ms +
		             sched_row_delay(s->q->sched, row->attempts + 1);
		break;
	case SMTP_PERMANENT:
		to->outcome = STORE_FAILED;
		break;
	case SMTP_UNTRIED:
		to->outcome = STORE_UNTRIED;
		break;
	}
	settle_note_row(s, i, status);
}

/* "4.2.0" of an answer "451 4.2.0 try later", or FALLBACK. */
static struct str
settle_status_of(struct str answer, const char *fallback)
{
	struct str rest = str_skip(answer, 4);
	struct str status = str_head(rest, str_find(rest, ' '));

	if (answer.size > 4 && ascii_is_digit(answer.data[0]) &&
	    str_starts(status, STR("4.")) && status.size >= 5 &&
	    status.size < sizeof(((struct queue_note *)0)->status))
		return status;
	return str_from(fallback);
}

/* Why a row came to its end without an answer of its own: as far as it is
   known (memory only has it), what kept its host from being reached. */
static struct str
settle_expired_text(const struct settle *s)
{
	const char *what =
	    s->route.is_held ? "not fetched in time" : "delivery time expired";
	struct str answer = queue_host_answer(s->q, &s->route);
	char text[STORE_STATUS_MAX + 1];

	snprintf(text, sizeof(text), "%s%s%.*s", what,
	    answer.size > 0 ? ": " : "", STR_ARG(answer));
	return settle_copy(s, str_from(text));
}

/* In a run the sender is told at once of what is late, not when its alarm
   rings: whoever runs the queue is not there for that. */
static void
settle_late_row(const struct settle *s, size_t i)
{
	const struct store_lease *l = s->lease->lease;
	const struct store_lease_row *row = &l->rows[i];
	struct store_result *to = &s->lease->results[i];

	if (to->outcome != STORE_DEFERRED || row->is_told ||
	    s->time_ms < queue_alarm_time(&s->route, l->arrival_ms,
			     &l->envelope, &row->recipient, false))
		return;
	to->alarm_ms = l->arrival_ms + s->route.expire_ms;
	to->is_told = true;
	settle_note(&s->lease->notes[i], true, MAIL_DSN_DELAYED,
	    settle_status_of(to->status, "4.4.1"));
	queue_alarm_at(s->q, to->alarm_ms);
}

/* Decides about a row whose alarm rang. */
static void
settle_alarm_row(const struct settle *s, size_t i)
{
	const struct store_lease *l = s->lease->lease;
	const struct store_lease_row *row = &l->rows[i];
	struct store_result *to = &s->lease->results[i];
	uint64_t end_ms = l->arrival_ms + s->route.expire_ms;

	*to = (struct store_result){
	    .index = row->index,
	    .outcome = STORE_UNTRIED,
	    .status = row->status,
	    .alarm_ms = queue_alarm_time(&s->route, l->arrival_ms, &l->envelope,
		&row->recipient, row->is_told),
	    .is_told = row->is_told,
	};
	if (str_equal(l->destination, STR(MQUEUE_BAD))) {
		to->outcome = STORE_FAILED;
		to->status = STR("553 5.1.3 this is no address");
		settle_note_row(s, i, STR("5.1.3"));
	} else if (str_equal(l->destination, STR(MQUEUE_BY))) {
		to->outcome = STORE_FAILED;
		to->status = STR("554 5.4.7 no host takes on the time by which"
				 " it is to be delivered");
		settle_note_row(s, i, STR("5.4.7"));
	} else if (s->time_ms >= end_ms) {
		to->outcome = STORE_FAILED;
		if (to->status.size == 0)
			to->status = settle_expired_text(s);
		settle_note_row(s, i, STR("4.4.7"));
	} else if (s->time_ms >= to->alarm_ms) {
		to->alarm_ms = end_ms;
		to->is_told = true;
		/* Of a row that never met its host, the host's trouble. */
		if (to->status.size == 0)
			to->status =
			    settle_copy(s, queue_host_answer(s->q, &s->route));
		settle_note(&s->lease->notes[i], true, MAIL_DSN_DELAYED,
		    settle_status_of(
			to->status, s->route.is_held ? "4.0.0" : "4.4.1"));
	}
	if (to->outcome == STORE_UNTRIED)
		queue_alarm_at(s->q, to->alarm_ms);
}

/* Whether anybody is to be told; and who cannot be, is logged. */
static bool
settle_wants_dsn(struct queue *q, const struct queue_lease *lease)
{
	bool has_sender = lease->lease->envelope.sender.size > 0;
	bool is_wanted = false;

	for (size_t i = 0; i < lease->result_count; i++) {
		is_wanted |= lease->notes[i].is_wanted;
		if (has_sender || lease->notes[i].is_wanted ||
		    lease->results[i].outcome != STORE_FAILED)
			continue;
		q->bounces_lost_count++;
		log_event(LOG_WARN, "bounce-lost", lease->lease->id,
		    "to=%.*s answer=%.*s count=%llu",
		    STR_ARG(lease->lease->rows[i].recipient.address),
		    STR_ARG(lease->results[i].status),
		    (unsigned long long)q->bounces_lost_count);
	}
	return is_wanted;
}

static void
settle_submit(
    struct queue *q, struct queue_lease *lease, struct store_message *dsn)
{
	struct store_request *request = store_request_new(STORE_SETTLE);

	memcpy(request->u.settle.id, lease->lease->id,
	    sizeof(request->u.settle.id));
	request->u.settle.destination =
	    arena_copy(&request->arena, lease->lease->destination);
	CHECK(request->u.settle.destination.data != NULL);
	request->u.settle.results = lease->results;
	request->u.settle.result_count = lease->result_count;
	request->u.settle.dsn = dsn;
	request->tag = lease->number;
	for (size_t i = 0; i < lease->result_count; i++)
		if (lease->results[i].outcome == STORE_DEFERRED &&
		    lease->results[i].due_ms < q->due_ms)
			q->due_ms = lease->results[i].due_ms;
	q->env->ops->store(q->env, request);
}

static void
settle_begin(struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	struct store_request *request;

	if (!settle_wants_dsn(q, lease)) {
		settle_submit(q, lease, NULL);
		return;
	}
	if (lease->lease->content.size > 0) {
		settle_submit(q, lease,
		    queue_notice_new(
			q, now_ms, lease, lease->lease->content, true));
		return;
	}
	request = store_request_new(STORE_READ);
	memcpy(
	    request->u.read.id, lease->lease->id, sizeof(request->u.read.id));
	request->tag = lease->number | QUEUE_TAG_DSN;
	q->env->ops->store(q->env, request);
}

/* Rows of the lease's destination may be taken again, all at once: the
   scheduler, which may believe it to be empty, is told before the session is
   seen to end. */
static void
settle_tell_ready(
    struct queue *q, const struct queue_lease *lease, uint64_t row_count)
{
	struct route route;

	if (row_count > 0 && route_of_destination(q->conf,
				 lease->lease->destination, &route) == 0)
		queue_ready(q, &route, 1);
}

/* The host as others are told of it, "name[address]" or "[address]" as it comes
   from deliver: its name, or an address literal (RFC 5321 4.1.3). */
static struct str
settle_mta(const struct settle *s, struct str host)
{
	struct str name = str_head(host, str_find(host, '['));
	struct conf_address address;
	char text[64];

	if (name.size == 0 && host.size > 1)
		name = str_of(host.data + 1, host.size - 2);
	if (conf_address_parse(name, &address) < 0)
		return settle_copy(s, name);
	snprintf(text, sizeof(text), "[%s%.*s]",
	    address.family == 6 ? "IPv6:" : "", STR_ARG(name));
	return settle_copy(s, str_from(text));
}

void
queue_settle_results(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct message *m)
{
	struct settle s = settle_new(q, now_ms, lease);
	uint64_t untried = 0;

	CHECK(m->type == MESSAGE_JOB_RESULT);
	if (lease->run != NULL)
		queue_run_results(q, lease, m);
	s.is_relayed = m->u.job_result.is_relayed;
	lease->mta = settle_mta(&s, m->u.job_result.host);
	for (size_t i = 0; i < lease->result_count; i++) {
		settle_row(&s, i,
		    result_of(m->u.job_result.results,
			m->u.job_result.result_count,
			lease->lease->rows[i].index));
		untried += lease->results[i].outcome == STORE_UNTRIED;
		if (lease->run != NULL)
			settle_late_row(&s, i);
	}
	if (lease->run != NULL)
		queue_run_late(q, lease, &s.route);
	settle_tell_ready(q, lease, untried);
	settle_begin(q, now_ms, lease);
}

void
queue_settle_all(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    enum smtp_verdict verdict, const char *status, const char *answer)
{
	size_t rows = lease->lease->row_count;
	struct message_job_result *results = mem_new(rows, sizeof(results[0]));
	struct message m = {
	    .type = MESSAGE_JOB_RESULT,
	    .u.job_result = {.results = results, .result_count = rows},
	};

	for (size_t i = 0; i < rows; i++)
		results[i] = (struct message_job_result){
		    .index = lease->lease->rows[i].index,
		    .verdict = verdict,
		    .status = str_from(status),
		    .answer = str_from(answer),
		};
	queue_settle_results(q, now_ms, lease, &m);
	free(results);
}

void
queue_settle_expanded(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct store_result *results,
    struct store_message *message)
{
	struct settle s = settle_new(q, now_ms, lease);
	uint64_t kept = 0;

	CHECK(s.lease->is_expanding);
	for (size_t i = 0; i < lease->result_count; i++) {
		lease->results[i] = results[i];
		kept += results[i].outcome == STORE_UNTRIED;
	}
	settle_tell_ready(q, lease, kept);
	settle_submit(q, lease, message);
}

void
queue_settle_alarm(struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	struct settle s = settle_new(q, now_ms, lease);
	uint64_t again_ms = s.time_ms + SETTLE_AGAIN_MS, kept = 0;

	for (size_t i = 0; i < lease->result_count; i++) {
		settle_alarm_row(&s, i);
		kept += lease->results[i].outcome == STORE_UNTRIED;
	}
	/* A session may have seen the destination without these rows.  Not all
	   of them are ready; the store knows which are. */
	if (s.route.is_held)
		settle_tell_ready(q, lease, kept);
	else if (kept > 0 && again_ms < q->refill_ms)
		q->refill_ms = again_ms;
	settle_begin(q, now_ms, lease);
}

void
queue_settle_expired(
    struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	struct settle s = settle_new(q, now_ms, lease);

	for (size_t i = 0; i < lease->result_count; i++) {
		const struct store_lease_row *row = &lease->lease->rows[i];

		lease->results[i] = (struct store_result){
		    .index = row->index,
		    .outcome = STORE_FAILED,
		    .status = row->status.size > 0
		                  ? row->status
		                  : STR("returned by the administrator"),
		};
		settle_note_row(&s, i, STR("4.4.7"));
	}
	settle_begin(q, now_ms, lease);
}

/* The head of the content came, for the notification. */
void
queue_settle_read(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_lease *lease =
	    queue_lease_find(q, request->tag & ~QUEUE_TAG_DSN);
	struct str head;

	if (lease == NULL)
		return;
	head = request->error == 0 ? request->u.read.bytes : STR("");
	settle_submit(q, lease,
	    queue_notice_new(q, now_ms, lease, head,
		head.size == lease->lease->content_size));
}

void
queue_lease_free(struct queue *q, struct queue_lease *lease)
{
	struct queue_take *take = lease->take;

	HASH_DEL(q->leases, lease);
	if (lease->session == 0 && lease->ask == 0 && lease->run == NULL)
		queue_alarm_settled(q);
	arena_fini(&lease->arena);
	free(lease);
	CHECK(take->lease_count > 0);
	if (--take->lease_count > 0)
		return;
	store_request_free(take->request);
	free(take);
}

static void
settle_log(const struct queue_lease *lease, const struct store_request *request)
{
	static const char *const actions[] = {
	    [MAIL_DSN_FAILED] = "failed",
	    [MAIL_DSN_DELAYED] = "delayed",
	    [MAIL_DSN_RELAYED] = "relayed",
	    [MAIL_DSN_EXPANDED] = "expanded",
	    [MAIL_DSN_DELIVERED] = "delivered",
	};
	const struct store_message *dsn = request->u.settle.dsn;

	for (size_t i = 0; i < lease->result_count; i++) {
		struct str to = lease->lease->rows[i].recipient.address;

		if (lease->results[i].outcome == STORE_FAILED)
			log_event(LOG_NOTE, "returned", lease->lease->id,
			    "to=%.*s dsn=%s status=%s answer=%.*s", STR_ARG(to),
			    dsn != NULL ? dsn->id : "-", lease->notes[i].status,
			    STR_ARG(lease->results[i].status));
		else if (dsn != NULL && lease->notes[i].is_wanted)
			log_event(LOG_NOTE, "notified", lease->lease->id,
			    "to=%.*s dsn=%s action=%s", STR_ARG(to), dsn->id,
			    actions[lease->notes[i].action]);
	}
	if (request->u.settle.is_message_done)
		log_event(LOG_NOTE, "done", lease->lease->id, "%s", "");
}

void
queue_settle_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_lease *lease = queue_lease_find(q, request->tag);
	struct queue_session *session;
	size_t row_count;
	uint32_t number;
	uint64_t ask;
	int error;

	CHECK(lease != NULL && lease->is_settling);
	if (request->error == -ENOSPC) {
		/* What was delivered must be remembered: until there is room
		   the lease stays, so that nobody sends it again. */
		log_event(LOG_ERROR, "settle-failed", lease->lease->id,
		    "error=%d", -request->error);
		lease->again = request;
		q->again_ms = queue_time(q, now_ms) + SETTLE_AGAIN_MS;
		return;
	}
	if (request->error < 0)
		log_event(LOG_ERROR, "settle-failed", lease->lease->id,
		    "error=%d", -request->error);
	else
		settle_log(lease, request);
	if (request->error == 0 && request->u.settle.dsn != NULL) {
		queue_appended(q, request->u.settle.dsn);
		queue_run_notice(q, lease, request->u.settle.dsn);
	}
	if (request->error == 0)
		queue_room_settled(q, request);
	/* A lease that was full may have left recipients of its message; so may
	   one of an administrator who meant only some. */
	if (lease->lease->row_count == STORE_LEASE_ROWS_MAX || lease->is_part)
		settle_tell_ready(q, lease, 1);
	number = lease->session;
	session = queue_session_find(q, number);
	if (session != NULL) {
		CHECK(session->lease_count > 0);
		session->lease_count--;
		session->again_count -= lease->is_expanding;
	}
	ask = lease->ask;
	row_count = lease->result_count;
	error = request->error;
	if (lease->run != NULL)
		queue_run_settled(q, lease, error);
	queue_lease_free(q, lease);
	store_request_free(request);
	if (ask != 0)
		queue_steer_settled(q, ask, error, row_count);
	queue_session_lease_gone(q, number);
}

void
queue_settle_again(struct queue *q)
{
	struct queue_lease *lease, *next;

	q->again_ms = 0;
	HASH_ITER(hh, q->leases, lease, next)
	{
		struct store_request *request = lease->again;

		if (request == NULL)
			continue;
		lease->again = NULL;
		request->error = 0;
		q->env->ops->store(q->env, request);
	}
}
