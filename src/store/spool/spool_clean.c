/*
 * Making room in the log.  Segments go from the oldest on only, so that a
 * settle or change record never goes before the message that it names.  When
 * less than a quarter of the log is live, the live messages of the oldest
 * segment are added to the log again with what is left of them.  See
 * doc/decisions/0002-fifo-log-cleaning.md.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define CLEAN_MESSAGES_MAX 64   /* copied at a time */
#define CLEAN_RECORDS_MAX  4096 /* looked at, at a time */
#define CLEAN_FACTOR       4

/* One piece of work. */
struct clean_piece {
	struct spool *spool;
	uint64_t segment; /* that is cleaned */
	uint64_t bytes;   /* that may still be copied */
	size_t message_count;
	size_t record_count;
};

bool
spool_clean_is_due(const struct spool *spool)
{
	const struct spool_log *log = &spool->log;
	uint64_t live = 0, all = log->sealed_bytes;

	if (log->count < 2 || log->segments[0].live_count == 0 ||
	    log->segments[0].number == spool->clean_stuck)
		return false;
	all += log->segments[log->count - 1].end;
	for (size_t i = 0; i < log->count; i++)
		live += log->segments[i].live_bytes;
	return live < all / CLEAN_FACTOR;
}

/* The stored content of the message, to be freed; as it is, with its check
   values, so that damage stays damage. */
static int
clean_content(struct spool *spool, const struct spool_stored *stored,
    struct str *stored_out)
{
	struct spool_at at = {stored->at.segment, stored->content};
	size_t size = spool_content_stored(stored->message.content_size);
	char *data;
	int error;

	*stored_out = STR("");
	if (stored->message.is_staged || size == 0)
		return 0;
	data = mem_new(1, size);
	*stored_out = str_of(data, size);
	error = spool_log_read(&spool->log, at, data, size);
	if (error == 0)
		return 0;
	free(data);
	return error;
}

/* Adds the message again.  An error but -EAGAIN and SPOOL_LOST means that this
   one cannot be moved. */
static int
clean_copy(struct spool *spool, const struct spool_stored *stored)
{
	struct spool_body body = {
	    .has_message = true, .message = stored->message};
	struct spool_found_record found = {.header.type = SPOOL_MESSAGE};
	struct str content;
	int error = spool_rows_all(&spool->index, stored, STR(""),
	    &body.message.rows, &body.message.row_count);

	if (error == 0)
		error = clean_content(spool, stored, &content);
	if (error < 0)
		return error;
	buf_clear(&spool->body);
	error = spool_body_put(&spool->body, SPOOL_MESSAGE, &body);
	found.body = buf_str(&spool->body);
	found.header.body_size = (uint32_t)found.body.size;
	if (content.size > 0)
		found.header.content_size =
		    (uint32_t)stored->message.content_size;
	if (error == 0)
		error =
		    spool_make_room(spool, spool_record_size(&found.header));
	if (error == 0)
		error = spool_log_add_stored(&spool->log, &found, content);
	if (content.size > 0)
		free((void *)(uintptr_t)content.data);
	if (error == 0)
		error =
		    spool_apply_message(&spool->index, &body.message, &found);
	return error;
}

static int
clean_copy_counted(struct clean_piece *piece, const struct spool_stored *stored)
{
	int error = clean_copy(piece->spool, stored);

	piece->message_count++;
	piece->bytes -=
	    stored->length < piece->bytes ? stored->length : piece->bytes;
	return error;
}

/* Looks at one record of the oldest segment; -ECANCELED ends the piece. */
static int
clean_record(void *arg, const struct spool_found_record *found)
{
	struct clean_piece *piece = arg;
	struct spool *spool = piece->spool;
	struct spool_stored stored;
	struct spool_body body;
	int error = 0;

	if (found->at.segment != piece->segment)
		return -ECANCELED;
	arena_fini(&spool->index.scratch);
	if (spool_body_get(found->body, &found->header, &spool->index.scratch,
		&body) == 0 &&
	    body.has_message) {
		error =
		    spool_rows_by_key(&spool->index, body.message.key, &stored);
		if (error == 0 && stored.at.segment == found->at.segment &&
		    stored.at.offset == found->at.offset)
			error = clean_copy_counted(piece, &stored);
		else if (error == -ENOENT)
			error = 0;
	}
	if (error < 0)
		return error;
	spool->clean_at = (struct spool_at){found->at.segment,
	    found->at.offset + spool_record_size(&found->header)};
	return piece->bytes == 0 ||
	               piece->message_count >= CLEAN_MESSAGES_MAX ||
	               ++piece->record_count >= CLEAN_RECORDS_MAX
	           ? -ECANCELED
	           : 0;
}

static void
clean_damage(void *arg, struct spool_at at)
{
	struct clean_piece *piece = arg;
	struct spool_segment *segment =
	    spool_log_segment(&piece->spool->log, at.segment);

	if (at.segment != piece->segment || segment == NULL ||
	    segment->is_damaged)
		return;
	log_event(LOG_ERROR, "damaged", "",
	    "segment=%" PRIu64 " offset=%" PRIu64, at.segment, at.offset);
	segment->is_damaged = segment->is_dirty = true;
}

/* Copies a message whose record the walk could not find any more. */
static int
clean_left(struct clean_piece *piece)
{
	struct spool *spool = piece->spool;
	struct spool_stored stored;
	uint64_t key;
	int error;

	arena_fini(&spool->index.scratch);
	error = spool_sql_number(&spool->index,
	    spool_sql(&spool->index, SPOOL_SQL_MESSAGE_IN, "u", piece->segment),
	    &key);
	if (error == 0)
		error = spool_rows_by_key(&spool->index, key, &stored);
	if (error == 0)
		error = clean_copy_counted(piece, &stored);
	return error;
}

/* Walks on in the oldest segment, from where the last piece ended. */
static int
clean_walk(struct clean_piece *piece)
{
	struct spool *spool = piece->spool;
	struct spool_walk walk = {
	    .record = clean_record, .damage = clean_damage, .arg = piece};
	struct spool_segment *oldest = &spool->log.segments[0];
	int error;

	if (spool->clean_at.segment != piece->segment)
		spool->clean_at =
		    (struct spool_at){piece->segment, SPOOL_SEGMENT_START};
	if (spool->clean_at.offset >= oldest->end)
		return clean_left(piece);
	error = spool_log_walk(&spool->log, spool->clean_at, &walk);
	if (error == 0 || (error == -ECANCELED && piece->bytes > 0 &&
			      piece->message_count < CLEAN_MESSAGES_MAX &&
			      piece->record_count < CLEAN_RECORDS_MAX))
		/* The segment was walked to its end. */
		spool->clean_at.offset = spool->log.segments[0].end;
	return error == -ECANCELED ? 0 : error;
}

bool
spool_clean(struct spool *spool, uint64_t bytes)
{
	struct clean_piece piece = {.spool = spool, .bytes = bytes};
	int error;

	if (spool->is_dead || bytes == 0 || !spool_clean_is_due(spool))
		return false;
	piece.segment = spool->log.segments[0].number;
	error = clean_walk(&piece);
	if (spool->is_dead || error == -EAGAIN)
		return false;
	if (error == SPOOL_LOST) {
		spool_die(spool, "a sync failed");
		return false;
	}
	if (spool->index.error != 0) {
		/* What was added and not written is void with the index. */
		spool_log_take_back(&spool->log, 0);
		spool_repair(spool);
		return false;
	}
	if (error < 0) {
		log_event(LOG_WARN, "spool-clean", "",
		    "segment=%" PRIu64 " error=%d", piece.segment, -error);
		/* For want of room it is tried again, else it stays. */
		if (error != -ENOSPC && error != -EDQUOT)
			spool->clean_stuck = piece.segment;
	}
	return spool_end_run(spool) == 0 && error == 0;
}

size_t
spool_reclaimable(const struct spool *spool)
{
	size_t count = 0;

	while (count + 1 < spool->log.count &&
	       spool->log.segments[count].live_count == 0)
		count++;
	return count;
}

bool
spool_reclaim(struct spool *spool)
{
	const struct spool_log *log = &spool->log;
	int error;

	/* Recovery may not need it any more. */
	if (spool_reclaimable(spool) == 0 ||
	    log->segments[0].number >= spool->index.durable.segment)
		return false;
	error = spool_log_drop_oldest(&spool->log);
	if (error == SPOOL_LOST)
		spool_die(spool, "a sync failed");
	else if (error < 0)
		log_event(LOG_WARN, "spool-reclaim", "", "error=%d", -error);
	return error == 0;
}
