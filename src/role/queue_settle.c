/*
 * What became of a lease is recorded in one step with the notification about
 * it: the store forgets the recipients only together with the bounce that
 * tells of them.  A 4xx keeps its recipient until its due time or the message's
 * end; a 5xx returns it.  No notification is ever made for the null sender
 * (RFC 5321 6.1): that ends in a log line and a counter.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/dsn.h"
#include "role/queue.h"

#include <errno.h>
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

/* Fills in one result of the store from one of the far end. */
static void
settle_row(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    size_t i, const struct message_job_result *from)
{
	uint64_t time_ms = queue_time(q, now_ms);
	const struct store_lease_row *row = &lease->lease->rows[i];
	struct store_result *to = &lease->results[i];
	enum smtp_verdict verdict = from ? from->verdict : SMTP_UNTRIED;
	struct str status = from ? from->status : STR("4.0.0");

	to->index = row->index;
	to->status = arena_copy(&lease->arena,
	    str_head(from ? from->answer : STR(""), STORE_STATUS_MAX));
	CHECK(to->status.data != NULL);
	if (verdict == SMTP_TEMPORARY && time_ms >= lease->lease->expire_ms) {
		verdict = SMTP_PERMANENT;
		status = STR("4.4.7");
	}
	switch (verdict) {
	case SMTP_ACCEPTED:
		to->outcome = STORE_DELIVERED;
		sched_delivered(q->sched, lease->session);
		break;
	case SMTP_TEMPORARY:
		to->outcome = STORE_DEFERRED;
		to->due_ms =
		    time_ms + sched_row_delay(q->sched, row->attempts + 1);
		break;
	case SMTP_PERMANENT:
		to->outcome = STORE_FAILED;
		break;
	case SMTP_UNTRIED:
		to->outcome = STORE_UNTRIED;
		break;
	}
	lease->statuses[i] =
	    arena_copy(&lease->arena, str_head(status, 11)).data;
	CHECK(lease->statuses[i] != NULL);
}

/* RFC 3461 4.1: NEVER, or a list without FAILURE, wants no notification. */
static bool
settle_tells(const struct queue_lease *lease, size_t i)
{
	uint8_t notify = lease->lease->rows[i].recipient.notify;

	return lease->results[i].outcome == STORE_FAILED &&
	       (notify == 0 || (notify & MAIL_NOTIFY_FAILURE) != 0);
}

/* Whether anybody is to be told; and who cannot be, is logged. */
static bool
settle_wants_dsn(struct queue *q, const struct queue_lease *lease)
{
	bool has_sender = lease->lease->envelope.sender.size > 0;
	bool is_wanted = false;

	for (size_t i = 0; i < lease->result_count; i++) {
		if (has_sender && settle_tells(lease, i))
			is_wanted = true;
		if (has_sender || lease->results[i].outcome != STORE_FAILED)
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

static bool
dsn_is_8bit(struct str content)
{
	for (size_t i = 0; i < content.size; i++)
		if ((unsigned char)content.data[i] >= 0x80)
			return true;
	return false;
}

/* Writes the notification's content; -ENOBUFS if it does not fit. */
static int
dsn_write(struct queue *q, const struct queue_lease *lease,
    struct store_message *dsn, struct str content, bool is_whole)
{
	const struct store_lease *l = lease->lease;
	struct mail_dsn_recipient *recipients =
	    mem_new(lease->result_count, sizeof(recipients[0]));
	struct mail_dsn what = {
	    .hostname = q->conf->hostname,
	    .id = str_from(dsn->id),
	    .origin_id = str_from(l->id),
	    .envelope = &l->envelope,
	    .arrival_wall_ms = l->arrival_wall_ms,
	    .now_wall_ms = dsn->arrival_wall_ms,
	    .recipients = recipients,
	    .content = content,
	    .is_content_whole = is_whole,
	};
	int error;

	for (size_t i = 0; i < lease->result_count; i++) {
		if (!settle_tells(lease, i))
			continue;
		recipients[what.recipient_count++] =
		    (struct mail_dsn_recipient){
			.recipient = l->rows[i].recipient,
			.action = MAIL_DSN_FAILED,
			.status = str_from(lease->statuses[i]),
			.diagnostic = lease->results[i].status,
		    };
	}
	error = mail_dsn_put(&dsn->content, &what);
	free(recipients);
	dsn->content_size = buf_size(&dsn->content);
	if (dsn_is_8bit(buf_str(&dsn->content)))
		dsn->envelope.body = MAIL_BODY_8BITMIME;
	return error;
}

/* The notification as a message, or NULL where its sender has no route. */
static struct store_message *
dsn_new(struct queue *q, uint64_t now_ms, const struct queue_lease *lease,
    struct str content, bool is_whole)
{
	struct store_message *dsn = store_message_new();
	struct mail_recipient to = {
	    .address = lease->lease->envelope.sender,
	    .notify = MAIL_NOTIFY_NEVER,
	};

	newid_next(&q->newid, dsn->id);
	dsn->arrival_ms = queue_time(q, now_ms);
	dsn->arrival_wall_ms = q->env->ops->wall_ms(q->env);
	dsn->expire_ms = dsn->arrival_ms + q->conf->expire_ms;
	dsn->envelope.is_smtputf8 = lease->lease->envelope.is_smtputf8;
	dsn->rows = arena_new(&dsn->arena, sizeof(dsn->rows[0]));
	CHECK(dsn->rows != NULL);
	if (queue_add_row(q, dsn, 1, &to) < 0 ||
	    dsn_write(q, lease, dsn, content, is_whole) < 0) {
		q->bounces_lost_count++;
		log_event(LOG_WARN, "bounce-lost", lease->lease->id,
		    "sender=%.*s count=%llu",
		    STR_ARG(lease->lease->envelope.sender),
		    (unsigned long long)q->bounces_lost_count);
		store_message_free(dsn);
		return NULL;
	}
	dsn->rank = sched_rank(dsn->arrival_ms, dsn->content_size, 0);
	return dsn;
}

static void
settle_submit(
    struct queue *q, struct queue_lease *lease, struct store_message *dsn)
{
	struct store_request *request = store_request_new(STORE_SETTLE);

	memcpy(request->u.settle.id, lease->lease->id,
	    sizeof(request->u.settle.id));
	request->u.settle.destination = arena_copy(
	    &request->arena, lease->take->request->u.take.destination);
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

	lease->is_dsn_wanted = settle_wants_dsn(q, lease);
	if (!lease->is_dsn_wanted) {
		settle_submit(q, lease, NULL);
		return;
	}
	if (lease->lease->content.size > 0) {
		settle_submit(q, lease,
		    dsn_new(q, now_ms, lease, lease->lease->content, true));
		return;
	}
	request = store_request_new(STORE_READ);
	memcpy(
	    request->u.read.id, lease->lease->id, sizeof(request->u.read.id));
	request->tag = lease->number | QUEUE_TAG_DSN;
	q->env->ops->store(q->env, request);
}

/* Rows of the lease's destination may be taken again: the scheduler, which may
   believe it to be empty, is told before the session is seen to end. */
static void
settle_tell_ready(
    struct queue *q, const struct queue_lease *lease, uint64_t count)
{
	struct route route;

	if (count > 0 &&
	    route_of_destination(q->conf,
		lease->take->request->u.take.destination, &route) == 0)
		queue_ready(q, &route, count);
}

void
queue_settle_results(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct message_job_result *results,
    size_t count)
{
	size_t rows = lease->lease->row_count, untried = 0;

	CHECK(!lease->is_settling);
	lease->is_settling = true;
	lease->result_count = rows;
	lease->results =
	    arena_new(&lease->arena, rows * sizeof(lease->results[0]));
	lease->statuses =
	    arena_new(&lease->arena, rows * sizeof(lease->statuses[0]));
	CHECK(lease->results != NULL && lease->statuses != NULL);
	for (size_t i = 0; i < rows; i++)
		settle_row(q, now_ms, lease, i,
		    result_of(results, count, lease->lease->rows[i].index));
	for (size_t i = 0; i < rows; i++)
		untried += lease->results[i].outcome == STORE_UNTRIED;
	settle_tell_ready(q, lease, untried);
	settle_begin(q, now_ms, lease);
}

void
queue_settle_all(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    enum smtp_verdict verdict, const char *status, const char *answer)
{
	size_t rows = lease->lease->row_count;
	struct message_job_result *results = mem_new(rows, sizeof(results[0]));

	for (size_t i = 0; i < rows; i++)
		results[i] = (struct message_job_result){
		    .index = lease->lease->rows[i].index,
		    .verdict = verdict,
		    .status = str_from(status),
		    .answer = str_from(answer),
		};
	queue_settle_results(q, now_ms, lease, results, rows);
	free(results);
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
	    dsn_new(q, now_ms, lease, head,
		head.size == lease->lease->content_size));
}

static void
lease_free(struct queue *q, struct queue_lease *lease)
{
	struct queue_take *take = lease->take;

	HASH_DEL(q->leases, lease);
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
	const struct store_message *dsn = request->u.settle.dsn;

	for (size_t i = 0; i < lease->result_count; i++)
		if (lease->results[i].outcome == STORE_FAILED)
			log_event(LOG_NOTE, "returned", lease->lease->id,
			    "to=%.*s dsn=%s answer=%.*s",
			    STR_ARG(lease->lease->rows[i].recipient.address),
			    dsn != NULL ? dsn->id : "-",
			    STR_ARG(lease->results[i].status));
	if (request->u.settle.is_message_done)
		log_event(LOG_NOTE, "done", lease->lease->id, "%s", "");
}

void
queue_settle_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_lease *lease = queue_lease_find(q, request->tag);
	struct queue_session *session;
	uint32_t number;

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
	if (request->error == 0 && request->u.settle.dsn != NULL)
		queue_appended(q, request->u.settle.dsn);
	/* A lease that was full may have left recipients of its message. */
	if (lease->lease->row_count == STORE_LEASE_ROWS_MAX)
		settle_tell_ready(q, lease, 1);
	number = lease->session;
	session = queue_session_find(q, number);
	if (session != NULL) {
		CHECK(session->lease_count > 0);
		session->lease_count--;
	}
	lease_free(q, lease);
	store_request_free(request);
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
