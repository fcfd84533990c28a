/*
 * The requests that change something.  Each looks first, then adds one record
 * to the log, then does to the index what recovery would do with that record.
 * An error before the record was added leaves everything as it was.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the store's own check lets through, SQLite must hold: its numbers are
   signed. */
bool
spool_message_is_valid(const struct store_message *message)
{
	if (!store_message_is_valid(message) || message->rank > INT64_MAX ||
	    message->arrival_ms > INT64_MAX ||
	    message->content_size > INT64_MAX)
		return false;
	for (size_t i = 0; i < message->row_count; i++)
		if (message->rows[i].alarm_ms > INT64_MAX)
			return false;
	return true;
}

int
spool_add(struct spool *spool, enum spool_record_type type,
    const struct spool_body *body, const struct store_message *message,
    struct spool_found_record *found)
{
	struct str content = STR("");
	int error;

	if (message != NULL && !message->is_staged)
		content = buf_str(&message->content);
	buf_clear(&spool->body);
	if (spool_body_put(&spool->body, type, body) < 0)
		return -ENOSPC;
	*found = (struct spool_found_record){
	    .header.type = type,
	    .body = buf_str(&spool->body),
	};
	found->header.body_size = (uint32_t)found->body.size;
	found->header.content_size = (uint32_t)content.size;
	error = spool_make_room(spool, spool_record_size(&found->header));
	if (error == 0)
		error = spool_log_add(&spool->log, found, content,
		    message != NULL ? message->id : "");
	if (error == 0)
		spool->batch_bytes += spool_record_size(&found->header);
	return error;
}

/* What is stored of a message as it came; rows in the scratch arena. */
static int
write_convert(struct spool *spool, const struct store_message *from,
    struct spool_message *to)
{
	*to = (struct spool_message){
	    .envelope = from->envelope,
	    .arrival_ms = from->arrival_ms,
	    .arrival_wall_ms = from->arrival_wall_ms,
	    .expire_ms = from->expire_ms,
	    .rank = from->rank,
	    .content_size = from->content_size,
	    .is_staged = from->is_staged,
	    .row_count = from->row_count,
	    .rows = arena_new(
		&spool->index.scratch, from->row_count * sizeof(*to->rows)),
	};
	if (to->rows == NULL)
		return -ENOMEM;
	memcpy(to->id, from->id, sizeof(to->id));
	for (size_t i = 0; i < from->row_count; i++) {
		const struct store_row *row = &from->rows[i];
		enum store_lane home = row->is_held ? STORE_HELD : STORE_READY;

		to->rows[i] = (struct spool_row){
		    .index = (uint32_t)i,
		    .recipient = row->recipient,
		    .destination = row->destination,
		    .domain = row->domain,
		    .lane = home,
		    .home = home,
		    .place = from->rank,
		    .status = STR(""),
		    .alarm_ms = row->alarm_ms,
		};
	}
	return 0;
}

/* Whether the message may be appended, and its staged content synced. */
static int
write_check_message(struct spool *spool, const struct store_message *message)
{
	struct spool_stage *stage;
	int error;

	if (!spool_message_is_valid(message))
		return -EINVAL;
	error = spool_rows_has_id(&spool->index, str_from(message->id));
	if (error != 0)
		return error > 0 ? -EEXIST : error;
	stage = spool_stage_get(&spool->stages, message->id);
	if (message->is_staged != (stage != NULL) ||
	    (stage != NULL && stage->size != message->content_size))
		return -EINVAL;
	return stage != NULL ? spool_stage_sync(&spool->stages, stage) : 0;
}

/* The message is in the log: its stage is used, its time is known. */
static void
write_note_message(struct spool *spool, const struct store_message *message)
{
	struct spool_stage *stage =
	    spool_stage_get(&spool->stages, message->id);

	if (stage != NULL)
		stage->is_used = true;
	spool_log_note_arrival(
	    &spool->log, message->arrival_ms, message->arrival_wall_ms);
}

int
spool_do_append(struct spool *spool, struct store_request *request)
{
	const struct store_message *message = request->u.append.message;
	struct spool_body body = {.has_message = true};
	struct spool_found_record found;
	int error = write_check_message(spool, message);

	if (error == 0)
		error = write_convert(spool, message, &body.message);
	if (error == 0)
		error = spool_add(spool, SPOOL_MESSAGE, &body, message, &found);
	if (error < 0)
		return error;
	write_note_message(spool, message);
	body.message.key = found.header.seq;
	return spool_apply_message(&spool->index, &body.message, &found);
}

/* True if the results name rows of the lease, each once at most, and say what
   an outcome needs. */
static bool
write_results_are_valid(
    const struct store_request *request, const struct spool_lease *lease)
{
	bool is_named[STORE_LEASE_ROWS_MAX] = {false};

	for (size_t i = 0; i < request->u.settle.result_count; i++) {
		const struct store_result *result =
		    &request->u.settle.results[i];
		size_t at = 0;

		while (at < lease->count && lease->indexes[at] != result->index)
			at++;
		if (at == lease->count || is_named[at] ||
		    result->outcome > STORE_UNTRIED ||
		    result->status.size > STORE_STATUS_MAX ||
		    result->due_ms > INT64_MAX ||
		    result->alarm_ms > INT64_MAX ||
		    (result->outcome == STORE_DEFERRED && result->due_ms == 0))
			return false;
		is_named[at] = true;
	}
	return true;
}

/* True if the settle says more than that the lease is over. */
static bool
write_settle_changes(const struct store_request *request)
{
	for (size_t i = 0; i < request->u.settle.result_count; i++)
		if (request->u.settle.results[i].outcome != STORE_UNTRIED ||
		    request->u.settle.results[i].alarm_ms > 0)
			return true;
	return request->u.settle.dsn != NULL;
}

/* The results as they are logged: a status is kept only where it is used. */
static int
write_results(struct spool *spool, const struct store_request *request,
    struct spool_body *body)
{
	size_t count = request->u.settle.result_count;

	body->results =
	    arena_new(&spool->index.scratch, count * sizeof(*body->results));
	if (body->results == NULL)
		return -ENOMEM;
	body->result_count = count;
	for (size_t i = 0; i < count; i++) {
		body->results[i] = request->u.settle.results[i];
		if (body->results[i].outcome != STORE_DEFERRED) {
			body->results[i].status = STR("");
			body->results[i].due_ms = 0;
		}
	}
	return 0;
}

static int
write_settle(struct spool *spool, struct store_request *request, uint64_t key)
{
	struct store_message *dsn = request->u.settle.dsn;
	struct spool_body body = {
	    .key = key,
	    .destination = request->u.settle.destination,
	    .has_message = dsn != NULL,
	};
	struct spool_found_record found;
	int error = write_results(spool, request, &body);

	if (error == 0 && dsn != NULL)
		error = write_check_message(spool, dsn);
	if (error == 0 && dsn != NULL)
		error = write_convert(spool, dsn, &body.message);
	if (error == 0)
		error = spool_add(spool, SPOOL_SETTLE, &body, dsn, &found);
	if (error < 0)
		return error;
	if (dsn != NULL)
		write_note_message(spool, dsn);
	body.message.key = found.header.seq;
	return spool_apply_settle(
	    &spool->index, &body, &found, &request->u.settle.is_message_done);
}

/* What is left where the lease was. */
static int
write_settle_left(struct spool *spool, struct store_request *request)
{
	struct spool_destination *destination;
	int error = spool_destination_get(
	    &spool->index, request->u.settle.destination, false, &destination);

	if (error < 0)
		return error == -ENOENT ? 0 : error;
	request->u.settle.left_messages = destination->d.messages;
	request->u.settle.left_bytes = destination->d.bytes;
	return 0;
}

int
spool_do_settle(struct spool *spool, struct store_request *request)
{
	struct spool_lease *lease = NULL;
	uint64_t key = 0;
	int error =
	    spool_rows_key(&spool->index, str_from(request->u.settle.id), &key);

	request->u.settle.is_message_done = false;
	request->u.settle.left_messages = request->u.settle.left_bytes = 0;
	if (error == 0)
		lease = spool_lease_get(
		    &spool->leases, key, request->u.settle.destination);
	if (error == 0 && lease == NULL)
		error = -ENOENT;
	if (error == 0 && !write_results_are_valid(request, lease))
		error = -EINVAL;
	if (error == 0 && write_settle_changes(request))
		error = write_settle(spool, request, key);
	if (error == 0)
		error = write_settle_left(spool, request);
	/* A run that ended meanwhile may have moved the lease. */
	if (error == 0)
		spool_lease_end(
		    &spool->leases, spool_lease_get(&spool->leases, key,
					request->u.settle.destination));
	return error;
}

int
spool_do_stage(struct spool *spool, struct store_request *request)
{
	const char *id = request->u.stage.id;
	int error;

	if (!store_id_is_valid(str_from(id)))
		return -EINVAL;
	error = spool_rows_has_id(&spool->index, str_from(id));
	if (error != 0)
		return error > 0 ? -EEXIST : error;
	return spool_stage_add(&spool->stages, id, request->u.stage.bytes);
}

int
spool_do_unstage(struct spool *spool, struct store_request *request)
{
	struct spool_stage *stage =
	    spool_stage_get(&spool->stages, request->u.unstage.id);

	if (stage != NULL && !stage->is_used)
		spool_stage_drop(&spool->stages, stage, true);
	return 0;
}

/* Names each destination of the rows once in the answer. */
static int
write_due_answer(struct spool *spool, struct store_request *request,
    const struct spool_due *due, size_t count)
{
	struct arena *arena = &request->arena;
	size_t named = 0;

	request->u.due.moved =
	    arena_new(arena, count * sizeof(*request->u.due.moved));
	if (request->u.due.moved == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct spool_destination *to;
		size_t before = 0;
		int error;

		while (due[before].no != due[i].no)
			before++;
		if (before < i)
			continue;
		error = spool_destination_by_no(&spool->index, due[i].no, &to);
		if (error < 0)
			return error;
		request->u.due.moved[named] = arena_copy(arena, to->d.name);
		if (request->u.due.moved[named++].data == NULL)
			return -ENOMEM;
	}
	request->u.due.moved_to_count = named;
	request->u.due.moved_count = count;
	return 0;
}

int
spool_do_due(struct spool *spool, struct store_request *request)
{
	struct spool_due last = {.due_ms = request->u.due.now_ms,
	    .key = UINT64_MAX,
	    .index = UINT64_MAX};
	struct spool_found_record found;
	struct spool_body body = {0};
	struct spool_due *due;
	size_t count;
	int error;

	request->u.due.moved_count = request->u.due.moved_to_count = 0;
	request->u.due.moved = NULL;
	error = spool_rows_due(
	    &spool->index, &last, &due, &count, &request->u.due.next_due_ms);
	if (error < 0 || count == 0)
		return error;
	body.due_ms = due[count - 1].due_ms;
	body.key = due[count - 1].key;
	body.due_index = (uint32_t)due[count - 1].index;
	error = write_due_answer(spool, request, due, count);
	if (error == 0)
		error = spool_add(spool, SPOOL_DUE, &body, NULL, &found);
	if (error == 0)
		error = spool_apply_due(&spool->index, due, count);
	return error;
}

int
spool_do_rehold(struct spool *spool, struct store_request *request)
{
	struct spool_body body = {.destination = request->u.rehold.destination};
	struct spool_destination *destination;
	struct spool_found_record found;
	int error = spool_destination_get(
	    &spool->index, body.destination, false, &destination);

	if (error == -ENOENT ||
	    (error == 0 && destination->d.rows[STORE_WAITING] == 0))
		return 0;
	if (error == 0)
		error = spool_add(spool, SPOOL_REHOLD, &body, NULL, &found);
	if (error < 0)
		return error;
	return spool_apply_rehold(&spool->index, body.destination);
}

int
spool_do_park(struct spool *spool, struct store_request *request)
{
	struct str name = request->u.park.destination;
	uint64_t due_ms = request->u.park.due_ms;
	struct spool_destination *destination;
	int error;

	if (name.size == 0 || name.size > STORE_DESTINATION_MAX ||
	    due_ms > INT64_MAX)
		return -EINVAL;
	error = spool_destination_get(
	    &spool->index, name, due_ms > 0, &destination);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	destination->d.due_ms = due_ms;
	destination->d.failures = due_ms > 0 ? request->u.park.failures : 0;
	destination->is_dirty = true;
	spool->index.change_count++;
	spool->is_commit_due |= request->u.park.is_kept;
	return 0;
}

int
spool_do_clock(struct spool *spool, struct store_request *request)
{
	struct spool_body body = {
	    .queue_ms = request->u.clock.queue_ms,
	    .wall_ms = request->u.clock.wall_ms,
	};
	struct spool_found_record found;
	int error = spool_add(spool, SPOOL_CLOCK, &body, NULL, &found);

	if (error < 0)
		return error;
	if (body.queue_ms > spool->log.queue_ms)
		spool->log.queue_ms = body.queue_ms;
	spool->log.wall_ms = body.wall_ms;
	spool->index.change_count++;
	return 0;
}
