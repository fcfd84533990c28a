/*
 * Messages that come in.  Content is kept in memory up to
 * STORE_CONTENT_MEMORY a message and conf.staging_max in all; what is over that
 * is staged in the store.  Credit is given back at once for what is in memory,
 * and when it is written for what is staged, so that a sender never gets ahead
 * of the disk.  The answer to the commit goes out only when the store has it.
 *
 * One that comes for a list is stored as two messages: the list's members get
 * it from the list's owner.  These are its parts; each has the content.
 * Invariants: (1) the parts are made before content comes, and all of them are
 * staged or none; (2) the first part that has rows bears the id that the sender
 * is told; (3) where some parts are stored and others cannot be, the sender is
 * told to come again: who is in the first gets it twice, nobody gets it never.
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
#define INTAKE_COUNT_MAX  20000 /* of messages that come at a time */
#define INTAKE_TRACE_ROOM 4096  /* Received does not count for size_max */

static struct queue_intake *
intake_find(struct queue *q, role_peer peer, uint64_t transaction)
{
	struct queue_intake_key key = {transaction, peer};
	struct queue_intake *intake;

	HASH_FIND(hh, q->intakes, &key, sizeof(key), intake);
	return intake;
}

static struct queue_part *
part_new(struct queue *q, struct queue_intake *intake)
{
	const struct store_message *first = NULL;
	struct queue_part *part = mem_new(1, sizeof(*part)), **end;

	if (intake->parts != NULL)
		first = intake->parts->message;
	part->number = ++q->number_last;
	part->intake = intake;
	part->message = store_message_new();
	if (first != NULL) {
		part->message->arrival_ms = first->arrival_ms;
		part->message->arrival_wall_ms = first->arrival_wall_ms;
		newid_next(&q->newid, part->message->id);
	}
	for (end = &intake->parts; *end != NULL; end = &(*end)->next)
		continue;
	*end = part;
	intake->part_count++;
	HASH_ADD(hh, q->parts, number, sizeof(part->number), part);
	return part;
}

/* PART is the first of its intake. */
static void
part_free_first(struct queue *q, struct queue_part *part)
{
	CHECK(part->intake->parts == part);
	if (part->message != NULL)
		q->staged_bytes -= buf_size(&part->message->content);
	part->intake->parts = part->next;
	part->intake->part_count--;
	HASH_DELETE(hh, q->parts, part);
	store_message_free(part->message);
	free(part);
}

struct queue_part *
queue_intake_part(
    struct queue *q, struct queue_intake *intake, struct str sender)
{
	struct mail_envelope envelope = intake->envelope;
	struct queue_part *part = intake->parts;

	for (; part != NULL; part = part->next)
		if (str_equal(part->message->envelope.sender, sender))
			return part;
	if (intake->part_count == QUEUE_PARTS_MAX)
		return NULL;
	part = part_new(q, intake);
	/* RFC 3461 5.2.7.3: what the sender asked for ends at the list. */
	envelope.sender = sender;
	envelope.envid = envelope.auth = STR("");
	envelope.ret = MAIL_RET_NONE;
	if (mail_envelope_copy(
		&part->message->arena, &envelope, &part->message->envelope) < 0)
		return NULL;
	return part;
}

static void
intake_free(struct queue *q, struct queue_intake *intake)
{
	while (intake->parts != NULL)
		part_free_first(q, intake->parts);
	HASH_DELETE(hh, q->intakes, intake);
	arena_fini(&intake->arena);
	free(intake);
}

/* Nobody waits for that of a lease. */
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

	if (intake->again.lease == 0)
		queue_send(q, (role_peer)intake->key.peer, &m);
}

/* Forgets it, with what was staged. */
static void
intake_drop(struct queue *q, struct queue_intake *intake)
{
	struct store_request *request;
	const struct queue_part *part;

	for (part = intake->parts; part != NULL; part = part->next) {
		if (part->message == NULL || !part->message->is_staged)
			continue;
		request = store_request_new(STORE_UNSTAGE);
		memcpy(request->u.unstage.id, part->message->id,
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
	struct queue_intake *intake, none = {.key = {transaction, peer}};
	struct store_message *message;

	if (!store_id_is_valid(m->u.intake_open.id) ||
	    intake_find(q, peer, transaction) != NULL)
		return -EPROTO;
	if (HASH_COUNT(q->intakes) >= INTAKE_COUNT_MAX) {
		/* What still comes of it finds nothing. */
		intake_answer(q, &none, 452, "4.3.1",
		    "Too many messages at a time, try again later");
		return 0;
	}
	intake = mem_new(1, sizeof(*intake));
	intake->key = (struct queue_intake_key){transaction, peer};
	arena_init(&intake->arena, STORE_ARENA_MAX);
	HASH_ADD(hh, q->intakes, key, sizeof(intake->key), intake);
	message = part_new(q, intake)->message;
	if (mail_envelope_copy(&intake->arena, &m->u.intake_open.envelope,
		&intake->envelope) < 0 ||
	    mail_envelope_copy(&message->arena, &m->u.intake_open.envelope,
		&message->envelope) < 0) {
		intake_free(q, intake);
		return -EPROTO;
	}
	memcpy(message->id, m->u.intake_open.id.data, m->u.intake_open.id.size);
	memcpy(intake->id, message->id, sizeof(intake->id));
	message->arrival_ms = queue_time(q, now_ms);
	message->arrival_wall_ms = q->env->ops->wall_ms(q->env);
	queue_room_begin(q, now_ms);
	return 0;
}

int
queue_intake_add(struct queue *q, struct queue_part *part,
    const struct mail_recipient *recipient)
{
	struct store_message *message = part->message;
	size_t capacity = part->row_capacity;
	struct store_row *rows;

	if (message->row_count >= STORE_RECIPIENTS_MAX)
		return -ENOBUFS;
	if (message->row_count == capacity) {
		capacity = capacity > 0 ? capacity * 2 : INTAKE_ROWS_FIRST;
		rows = arena_new(&message->arena, capacity * sizeof(rows[0]));
		if (rows == NULL)
			return -ENOBUFS;
		if (message->row_count > 0)
			memcpy(rows, message->rows,
			    message->row_count * sizeof(rows[0]));
		message->rows = rows;
		part->row_capacity = capacity;
	}
	return queue_add_row(q, message, capacity, recipient);
}

static int
intake_recipient(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient)
{
	int error;

	if (intake->is_begun)
		return -EPROTO;
	error = queue_alias_take(q, intake, recipient);
	if (error == -ENOBUFS)
		return -EPROTO;
	if (error < 0) {
		log_event(LOG_WARN, "unroutable", intake->id, "to=%.*s",
		    STR_ARG(recipient->address));
		intake->is_failed = true;
	}
	return 0;
}

/* All recipients came: the first part is one that has any. */
static void
intake_begin(struct queue *q, struct queue_intake *intake)
{
	intake->is_begun = true;
	if (intake->parts->next == NULL ||
	    intake->parts->message->row_count > 0)
		return;
	part_free_first(q, intake->parts);
	if (intake->again.lease == 0)
		memcpy(
		    intake->parts->message->id, intake->id, sizeof(intake->id));
}

static void
intake_credit(struct queue *q, const struct queue_intake *intake, size_t bytes)
{
	struct message m = {
	    .type = MESSAGE_INTAKE_CREDIT,
	    .u.intake_credit = {intake->key.transaction, (uint32_t)bytes},
	};

	if (intake->again.lease == 0)
		queue_send(q, (role_peer)intake->key.peer, &m);
}

static void
part_stage(struct queue *q, struct queue_part *part, struct str bytes)
{
	struct store_request *request;

	if (bytes.size == 0)
		return;
	request = store_request_new(STORE_STAGE);
	memcpy(request->u.stage.id, part->message->id,
	    sizeof(request->u.stage.id));
	request->u.stage.bytes = arena_copy(&request->arena, bytes);
	CHECK(request->u.stage.bytes.data != NULL);
	request->tag = part->number;
	part->intake->stages_in_hand++;
	q->env->ops->store(q->env, request);
}

/* Content goes to the store from now on. */
static void
part_begin_staging(struct queue *q, struct queue_part *part)
{
	struct store_message *message = part->message;

	message->is_staged = true;
	part_stage(q, part, buf_str(&message->content));
	q->staged_bytes -= buf_size(&message->content);
	buf_fini(&message->content);
}

static void
part_content(struct queue *q, struct queue_part *part, struct str bytes)
{
	struct store_message *message = part->message;

	message->content_size += bytes.size;
	if (message->is_staged)
		part_stage(q, part, bytes);
	else if (buf_append(&message->content, bytes) < 0)
		part->intake->is_failed = true;
	else
		q->staged_bytes += bytes.size;
}

static int
intake_content(struct queue *q, struct queue_intake *intake, struct str bytes)
{
	const struct store_message *first;
	struct queue_part *part;

	if (!intake->is_begun)
		intake_begin(q, intake);
	first = intake->parts->message;
	intake->crc32c = crc32c(intake->crc32c, bytes);
	if (intake->again.lease == 0 &&
	    first->content_size + bytes.size >
		q->conf->size_max + INTAKE_TRACE_ROOM)
		return -EPROTO;
	if (!first->is_staged &&
	    (bytes.size > buf_room(&first->content) ||
		q->staged_bytes + bytes.size * intake->part_count >
		    q->conf->staging_max))
		for (part = intake->parts; part != NULL; part = part->next)
			part_begin_staging(q, part);
	for (part = intake->parts; part != NULL; part = part->next)
		part_content(q, part, bytes);
	if (!first->is_staged)
		intake_credit(q, intake, bytes.size);
	return 0;
}

/* It is not taken: says so, and forgets it.  What still comes of it finds
   nothing. */
static void
intake_refuse(struct queue *q, struct queue_intake *intake)
{
	if (intake->again.lease != 0) {
		queue_again_refused(q, intake);
		return;
	}
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

/* Whether all parts may be stored; what was said of those before one that may
   not is taken back. */
static enum queue_room_verdict
intake_admit(struct queue *q, const struct queue_intake *intake)
{
	enum queue_room_verdict verdict = QUEUE_ROOM_OK;
	const struct queue_part *part, *done;

	for (part = intake->parts; part != NULL; part = part->next) {
		verdict = queue_room_admit(q, part->message);
		if (verdict != QUEUE_ROOM_OK)
			break;
	}
	if (part == NULL)
		return verdict;
	for (done = intake->parts; done != part; done = done->next)
		queue_room_answered(q, done->message);
	return verdict;
}

static void
part_append(struct queue *q, struct queue_part *part)
{
	struct store_message *message = part->message;
	struct store_request *request = store_request_new(STORE_APPEND);

	message->rank = sched_rank(message->arrival_ms, message->content_size,
	    message->envelope.priority);
	request->u.append.message = message;
	request->tag = part->number;
	q->staged_bytes -= buf_size(&message->content);
	part->message = NULL;
	part->intake->appends_in_hand++;
	q->env->ops->store(q->env, request);
}

/* Adds the notification that aliases were expanded. */
static void
intake_add_notice(struct queue *q, struct queue_intake *intake)
{
	struct store_message *notice = queue_alias_notice(q, intake);
	struct queue_part *part;

	if (notice == NULL)
		return;
	part = part_new(q, intake);
	store_message_free(part->message);
	part->message = notice;
	q->staged_bytes += buf_size(&notice->content);
}

/* Members of a list have an id of their own; a notification was logged. */
static void
intake_log_part(
    const struct queue_intake *intake, const struct store_message *message)
{
	if (message->envelope.sender.size > 0)
		log_event(LOG_NOTE, "split", intake->id,
		    "part=%s from=<%.*s> nrcpt=%zu", message->id,
		    STR_ARG(message->envelope.sender), message->row_count);
}

/* The parts of a lease: its settle appends the first one, when the notification
   is there.  Who would be told of what can be told only later is not. */
static void
intake_append_again(struct queue *q, struct queue_intake *intake)
{
	struct queue_part *part;

	intake_add_notice(q, intake);
	part = intake->parts->next;
	if (part != NULL && queue_room_admit(q, part->message) == QUEUE_ROOM_OK)
		part_append(q, part);
	else
		queue_again_settle(q, intake);
}

static void
intake_append(struct queue *q, struct queue_intake *intake)
{
	bool has_rows = intake->parts->message->row_count > 0;
	enum queue_room_verdict verdict = QUEUE_ROOM_OK;
	struct queue_part *part;

	if (intake->again.lease != 0) {
		intake_append_again(q, intake);
		return;
	}
	if (!intake->is_failed && !has_rows && intake->is_discarded) {
		log_event(LOG_NOTE, "discarded", intake->id, "from=<%.*s>",
		    STR_ARG(intake->envelope.sender));
		intake_answer(q, intake, 250, "2.0.0", "Ok: discarded");
		intake_drop(q, intake);
		return;
	}
	intake->is_failed = intake->is_failed || !has_rows;
	if (!intake->is_failed) {
		intake_add_notice(q, intake);
		verdict = intake_admit(q, intake);
	}
	if (intake->is_failed || verdict != QUEUE_ROOM_OK) {
		intake->is_full = intake->is_full || verdict == QUEUE_ROOM_FULL;
		intake->is_site_full = verdict == QUEUE_ROOM_SITE_FULL;
		intake_refuse(q, intake);
		return;
	}
	for (part = intake->parts; part != NULL; part = part->next) {
		if (part != intake->parts)
			intake_log_part(intake, part->message);
		part_append(q, part);
	}
}

static int
intake_commit(
    struct queue *q, struct queue_intake *intake, const struct message *m)
{
	struct queue_part *part;

	if (!intake->is_begun)
		intake_begin(q, intake);
	part = intake->parts;
	if (m->u.intake_commit.content_size != part->message->content_size ||
	    m->u.intake_commit.content_crc32c != intake->crc32c)
		return -EPROTO;
	/* What the sender said in the envelope counts more. */
	for (; part != NULL && intake->envelope.priority == 0;
	     part = part->next)
		part->message->envelope.priority = m->u.intake_commit.priority;
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
		if (intake->appends_in_hand == 0)
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
intake_staged(struct queue *q, struct queue_part *part,
    const struct store_request *request)
{
	struct queue_intake *intake = part->intake;

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
	/* The store works in order: the others have theirs. */
	if (part->next == NULL)
		intake_credit(q, intake, request->u.stage.bytes.size);
	if (intake->again.lease != 0 && intake->stages_in_hand == 0)
		queue_again_more(q, intake);
	if (intake->is_committed && intake->stages_in_hand == 0)
		intake_append(q, intake);
}

/* All parts were answered. */
static void
intake_finish(struct queue *q, struct queue_intake *intake)
{
	char text[64] = "Ok: queued as ";

	if (intake->again.lease != 0) {
		queue_again_settle(q, intake);
		return;
	}
	if (intake->is_failed) {
		/* What was staged is dropped with it. */
		intake_refuse(q, intake);
		return;
	}
	memcpy(text + strlen(text), intake->id, strlen(intake->id) + 1);
	intake_answer(q, intake, 250, "2.0.0", text);
	intake_free(q, intake);
}

static void
intake_appended(
    struct queue *q, struct queue_part *part, struct store_request *request)
{
	struct store_message *message = request->u.append.message;
	struct queue_intake *intake = part->intake;

	CHECK(intake->appends_in_hand > 0);
	intake->appends_in_hand--;
	queue_room_answered(q, message);
	if (request->error == 0) {
		log_event(LOG_DETAIL, "queued", message->id,
		    "size=%llu nrcpt=%zu",
		    (unsigned long long)message->content_size,
		    message->row_count);
		queue_appended(q, message);
	} else {
		log_event(LOG_WARN, "append-failed", message->id, "error=%d",
		    -request->error);
		intake->is_failed = true;
		intake->is_full = intake_is_full(request->error);
		part->message = message;
		q->staged_bytes += buf_size(&message->content);
		request->u.append.message = NULL;
	}
	if (intake->appends_in_hand == 0)
		intake_finish(q, intake);
}

void
queue_intake_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_part *part;

	HASH_FIND(hh, q->parts, &request->tag, sizeof(request->tag), part);
	if (part == NULL || request->verb == STORE_UNSTAGE)
		return;
	if (request->verb == STORE_STAGE)
		intake_staged(q, part, request);
	else
		intake_appended(q, part, request);
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
		if (intake->appends_in_hand == 0)
			intake_drop(q, intake);
	}
}

struct queue_intake *
queue_intake_of_lease(struct queue *q, uint64_t number)
{
	return intake_find(q, 0, number);
}

struct queue_intake *
queue_intake_again(struct queue *q, const struct queue_lease *lease)
{
	const struct store_lease *l = lease->lease;
	struct queue_intake *intake = mem_new(1, sizeof(*intake));
	struct store_message *message;

	CHECK(queue_intake_of_lease(q, lease->number) == NULL);
	intake->key = (struct queue_intake_key){lease->number, 0};
	intake->again.lease = lease->number;
	memcpy(intake->id, l->id, sizeof(intake->id));
	arena_init(&intake->arena, STORE_ARENA_MAX);
	HASH_ADD(hh, q->intakes, key, sizeof(intake->key), intake);
	message = part_new(q, intake)->message;
	newid_next(&q->newid, message->id);
	message->arrival_ms = l->arrival_ms;
	message->arrival_wall_ms = l->arrival_wall_ms;
	/* It was within the limits when it was queued. */
	CHECK(mail_envelope_copy(
		  &intake->arena, &l->envelope, &intake->envelope) == 0);
	CHECK(mail_envelope_copy(
		  &message->arena, &l->envelope, &message->envelope) == 0);
	return intake;
}

void
queue_intake_whole(struct queue *q, struct queue_intake *intake,
    struct str bytes, bool is_whole)
{
	if (intake_content(q, intake, bytes) < 0 || intake->is_failed) {
		intake_refuse(q, intake);
		return;
	}
	intake->is_committed = is_whole;
	if (intake->stages_in_hand > 0)
		return;
	if (is_whole)
		intake_append(q, intake);
	else
		queue_again_more(q, intake);
}

struct store_message *
queue_intake_take(struct queue *q, struct queue_intake *intake)
{
	struct store_message *message = intake->parts->message;

	CHECK(message->row_count > 0);
	message->rank = sched_rank(message->arrival_ms, message->content_size,
	    message->envelope.priority);
	q->staged_bytes -= buf_size(&message->content);
	intake->parts->message = NULL;
	return message;
}

void
queue_intake_drop(struct queue *q, struct queue_intake *intake)
{
	intake_drop(q, intake);
}
