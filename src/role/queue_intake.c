/*
 * Messages that come in.  Content is kept in memory up to
 * STORE_CONTENT_MEMORY a message and conf.staging_max in all; what is over that
 * is staged in the store.  Credit is given back at once for what is in memory,
 * and when it is written for what is staged, so that a sender never gets ahead
 * of the disk.  The answer to the commit goes out only when the store has it.
 */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTAKE_ROWS_FIRST 4
#define INTAKE_PEER_MAX   20000
#define INTAKE_TRACE_ROOM 4096 /* Received does not count for size_max */

static struct queue_intake *
intake_find(struct queue *q, role_peer peer, uint64_t transaction)
{
	struct queue_intake_key key = {transaction, peer};
	struct queue_intake *intake;

	HASH_FIND(hh, q->intakes, &key, sizeof(key), intake);
	return intake;
}

static void
intake_free(struct queue *q, struct queue_intake *intake)
{
	if (intake->message != NULL)
		q->staged_bytes -= buf_size(&intake->message->content);
	HASH_DELETE(hh, q->intakes, intake);
	HASH_DELETE(hh_number, q->intakes_by_number, intake);
	store_message_free(intake->message);
	free(intake);
}

static void
intake_answer(struct queue *q, const struct queue_intake *intake, uint32_t code,
    const char *enhanced, const char *text)
{
	struct message m = {
	    .type = MESSAGE_INTAKE_DONE,
	    .u.intake_done =
		{
		    .transaction = intake->key.transaction,
		    .code = code,
		    .enhanced = str_from(enhanced),
		    .text = str_from(text),
		},
	};

	queue_send(q, (role_peer)intake->key.peer, &m);
}

/* Forgets it, with what was staged. */
static void
intake_drop(struct queue *q, struct queue_intake *intake)
{
	struct store_request *request;

	if (intake->message != NULL && intake->message->is_staged) {
		request = store_request_new(STORE_UNSTAGE);
		memcpy(request->u.unstage.id, intake->message->id,
		    sizeof(request->u.unstage.id));
		q->env->ops->store(q->env, request);
	}
	intake_free(q, intake);
}

static int
intake_open(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	uint64_t transaction = m->u.intake_open.transaction;
	struct queue_intake *intake;
	struct store_message *message;

	if (!store_id_is_valid(m->u.intake_open.id) ||
	    intake_find(q, peer, transaction) != NULL ||
	    HASH_COUNT(q->intakes) >= INTAKE_PEER_MAX)
		return -EPROTO;
	message = store_message_new();
	if (mail_envelope_copy(&message->arena, &m->u.intake_open.envelope,
		&message->envelope) < 0) {
		store_message_free(message);
		return -EPROTO;
	}
	memcpy(message->id, m->u.intake_open.id.data, m->u.intake_open.id.size);
	message->arrival_ms = queue_time(q, now_ms);
	message->arrival_wall_ms = q->env->ops->wall_ms(q->env);
	queue_room_begin(q, now_ms);
	intake = mem_new(1, sizeof(*intake));
	intake->key = (struct queue_intake_key){transaction, peer};
	intake->number = ++q->number_last;
	intake->message = message;
	HASH_ADD(hh, q->intakes, key, sizeof(intake->key), intake);
	HASH_ADD(hh_number, q->intakes_by_number, number,
	    sizeof(intake->number), intake);
	return 0;
}

static int
intake_recipient(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient)
{
	struct store_message *message = intake->message;
	size_t capacity = intake->row_capacity;
	struct store_row *rows;
	int error;

	if (message->row_count >= STORE_RECIPIENTS_MAX)
		return -EPROTO;
	if (message->row_count == capacity) {
		capacity = capacity > 0 ? capacity * 2 : INTAKE_ROWS_FIRST;
		rows = arena_new(&message->arena, capacity * sizeof(rows[0]));
		if (rows == NULL)
			return -EPROTO;
		if (message->row_count > 0)
			memcpy(rows, message->rows,
			    message->row_count * sizeof(rows[0]));
		message->rows = rows;
		intake->row_capacity = capacity;
	}
	error = queue_add_row(q, message, capacity, recipient);
	if (error < 0) {
		log_event(LOG_WARN, "unroutable", message->id, "to=%.*s",
		    STR_ARG(recipient->address));
		intake->is_failed = true;
	}
	return 0;
}

static void
intake_credit(struct queue *q, const struct queue_intake *intake, size_t bytes)
{
	struct message m = {
	    .type = MESSAGE_INTAKE_CREDIT,
	    .u.intake_credit = {intake->key.transaction, (uint32_t)bytes},
	};

	queue_send(q, (role_peer)intake->key.peer, &m);
}

static void
intake_stage(struct queue *q, struct queue_intake *intake, struct str bytes)
{
	struct store_request *request;

	if (bytes.size == 0)
		return;
	request = store_request_new(STORE_STAGE);
	memcpy(request->u.stage.id, intake->message->id,
	    sizeof(request->u.stage.id));
	request->u.stage.bytes = arena_copy(&request->arena, bytes);
	CHECK(request->u.stage.bytes.data != NULL);
	request->tag = intake->number;
	intake->stages_in_hand++;
	q->env->ops->store(q->env, request);
}

/* Content goes to the store from now on. */
static void
intake_begin_staging(struct queue *q, struct queue_intake *intake)
{
	struct store_message *message = intake->message;

	message->is_staged = true;
	intake_stage(q, intake, buf_str(&message->content));
	q->staged_bytes -= buf_size(&message->content);
	buf_fini(&message->content);
}

static int
intake_content(struct queue *q, struct queue_intake *intake, struct str bytes)
{
	struct store_message *message = intake->message;

	intake->crc32c = crc32c(intake->crc32c, bytes);
	message->content_size += bytes.size;
	if (message->content_size > q->conf->size_max + INTAKE_TRACE_ROOM)
		return -EPROTO;
	if (!message->is_staged &&
	    (bytes.size > buf_room(&message->content) ||
		q->staged_bytes + bytes.size > q->conf->staging_max))
		intake_begin_staging(q, intake);
	if (message->is_staged) {
		intake_stage(q, intake, bytes);
		return 0;
	}
	if (buf_append(&message->content, bytes) < 0)
		intake->is_failed = true;
	else
		q->staged_bytes += bytes.size;
	intake_credit(q, intake, bytes.size);
	return 0;
}

/* It is not taken: says so, and forgets it.  What still comes of it finds
   nothing. */
static void
intake_refuse(struct queue *q, struct queue_intake *intake)
{
	if (intake->is_site_full)
		intake_answer(q, intake, 452, "4.2.2",
		    "Too much is queued for a recipient, try again later");
	else if (intake->is_full)
		intake_answer(q, intake, 452, "4.3.1",
		    "Insufficient storage, try again later");
	else
		intake_answer(
		    q, intake, 451, "4.3.0", "Not accepted, try again later");
	intake_drop(q, intake);
}

static void
intake_append(struct queue *q, struct queue_intake *intake)
{
	struct store_message *message = intake->message;
	struct store_request *request;
	enum queue_room_verdict verdict = QUEUE_ROOM_OK;

	intake->is_failed = intake->is_failed || message->row_count == 0;
	if (!intake->is_failed)
		verdict = queue_room_admit(q, message);
	if (intake->is_failed || verdict != QUEUE_ROOM_OK) {
		intake->is_full = intake->is_full || verdict == QUEUE_ROOM_FULL;
		intake->is_site_full = verdict == QUEUE_ROOM_SITE_FULL;
		intake_refuse(q, intake);
		return;
	}
	message->rank = sched_rank(message->arrival_ms, message->content_size,
	    message->envelope.priority);
	request = store_request_new(STORE_APPEND);
	request->u.append.message = message;
	request->tag = intake->number;
	q->staged_bytes -= buf_size(&message->content);
	intake->message = NULL;
	q->env->ops->store(q->env, request);
}

static int
intake_commit(
    struct queue *q, struct queue_intake *intake, const struct message *m)
{
	if (m->u.intake_commit.content_size != intake->message->content_size ||
	    m->u.intake_commit.content_crc32c != intake->crc32c)
		return -EPROTO;
	/* What the sender said in the envelope counts more. */
	if (intake->message->envelope.priority == 0)
		intake->message->envelope.priority =
		    m->u.intake_commit.priority;
	intake->is_committed = true;
	if (intake->stages_in_hand == 0)
		intake_append(q, intake);
	return 0;
}

int
queue_intake_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m)
{
	/* The transaction is the first member of each of them. */
	uint64_t transaction = m->u.intake_abort.transaction;
	struct queue_intake *intake;

	if (m->type == MESSAGE_INTAKE_OPEN)
		return intake_open(q, now_ms, peer, m);
	intake = intake_find(q, peer, transaction);
	if (intake == NULL)
		return 0;
	/* Past the commit only an abort may come; when the store has it, it
	   comes too late. */
	if (intake->is_committed && m->type != MESSAGE_INTAKE_ABORT)
		return -EPROTO;
	switch (m->type) {
	case MESSAGE_INTAKE_RECIPIENT:
		return intake_recipient(
		    q, intake, &m->u.intake_recipient.recipient);
	case MESSAGE_INTAKE_CONTENT:
		return intake_content(q, intake, m->u.intake_content.bytes);
	case MESSAGE_INTAKE_COMMIT:
		return intake_commit(q, intake, m);
	case MESSAGE_INTAKE_ABORT:
		if (intake->message != NULL)
			intake_drop(q, intake);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Whether it was for want of room. */
static bool
intake_is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

static void
intake_staged(struct queue *q, struct queue_intake *intake,
    const struct store_request *request)
{
	CHECK(intake->stages_in_hand > 0);
	intake->stages_in_hand--;
	if (request->error < 0) {
		log_event(LOG_WARN, "stage-failed", request->u.stage.id,
		    "error=%d", -request->error);
		intake->is_failed = true;
		intake->is_full = intake_is_full(request->error);
		/* At once, so that what was written of it makes room. */
		intake_refuse(q, intake);
		return;
	}
	if (queue_room_is_short(q)) {
		intake->is_full = true;
		intake_refuse(q, intake);
		return;
	}
	intake_credit(q, intake, request->u.stage.bytes.size);
	if (intake->is_committed && intake->stages_in_hand == 0)
		intake_append(q, intake);
}

static void
intake_appended(
    struct queue *q, struct queue_intake *intake, struct store_request *request)
{
	struct store_message *message = request->u.append.message;
	char text[64] = "Ok: queued as ";

	queue_room_answered(q, message);
	if (request->error == 0) {
		log_event(LOG_DETAIL, "queued", message->id,
		    "size=%llu nrcpt=%zu",
		    (unsigned long long)message->content_size,
		    message->row_count);
		memcpy(
		    text + strlen(text), message->id, strlen(message->id) + 1);
		intake_answer(q, intake, 250, "2.0.0", text);
		queue_appended(q, message);
		intake_free(q, intake);
		return;
	}
	log_event(LOG_WARN, "append-failed", message->id, "error=%d",
	    -request->error);
	intake->is_failed = true;
	intake->is_full = intake_is_full(request->error);
	/* What was staged is dropped with it. */
	intake->message = message;
	q->staged_bytes += buf_size(&message->content);
	request->u.append.message = NULL;
	intake_refuse(q, intake);
}

void
queue_intake_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_intake *intake;

	HASH_FIND(hh_number, q->intakes_by_number, &request->tag,
	    sizeof(request->tag), intake);
	if (intake == NULL || request->verb == STORE_UNSTAGE)
		return;
	if (request->verb == STORE_STAGE)
		intake_staged(q, intake, request);
	else
		intake_appended(q, intake, request);
}

void
queue_intake_peer_down(struct queue *q, role_peer peer)
{
	struct queue_intake *intake, *next;

	HASH_ITER(hh, q->intakes, intake, next)
	{
		if (intake->key.peer != peer)
			continue;
		/* What is being appended is still told to the scheduler; the
		   peer's number is not used again, so nobody gets the reply. */
		if (intake->message != NULL)
			intake_drop(q, intake);
	}
}
