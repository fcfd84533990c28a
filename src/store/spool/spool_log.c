/*
 * Adding to the log, reading from it, starting and dropping segments.
 *
 * Invariants: (1) bytes behind the end of the newest segment are never taken
 * for records: what a failed write left is wiped; (2) a segment that is not the
 * newest is on stable storage up to its end; (3) sequence numbers have no gaps,
 * so that recovery can tell by them what was synced once.
 */
#include "store/spool/spool_log.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_FILES_MAX   32
#define LOG_ROOM_PART   4 /* of the room goes to a segment at most */
#define LOG_PENDING_MAX ((size_t)64 << 20)
#define LOG_ZERO_AHEAD  ((size_t)512 << 10)
#define LOG_ZERO_BATCH  ((size_t)64 << 10) /* what is larger needs none */
/* Keys begin above 0, so that "one before the first" is a key as well. */
#define LOG_SEQ_FIRST 16

void
spool_log_name(char name[SPOOL_LOG_NAME_MAX], uint64_t number)
{
	snprintf(name, SPOOL_LOG_NAME_MAX, "log/%010" PRIu64, number);
}

void
spool_log_init(struct spool_log *log, struct os *os, uint64_t segment_size)
{
	*log = (struct spool_log){
	    .os = os,
	    .segment_size = segment_size,
	    .seq_next = LOG_SEQ_FIRST,
	    .synced_seq = LOG_SEQ_FIRST,
	};
	buf_init(&log->pending, LOG_PENDING_MAX);
}

static void
log_close_segment(struct spool_log *log, struct spool_segment *segment)
{
	if (segment->file != NULL)
		os_close(log->os, segment->file);
	segment->file = NULL;
}

void
spool_log_fini(struct spool_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		log_close_segment(log, &log->segments[i]);
	free(log->segments);
	buf_fini(&log->pending);
	*log = (struct spool_log){0};
}

struct spool_segment *
spool_log_newest(struct spool_log *log)
{
	return log->count > 0 ? &log->segments[log->count - 1] : NULL;
}

struct spool_segment *
spool_log_segment(struct spool_log *log, uint64_t number)
{
	size_t low = 0, high = log->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (log->segments[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < log->count && log->segments[low].number == number)
		return &log->segments[low];
	return NULL;
}

struct spool_at
spool_log_end(const struct spool_log *log)
{
	const struct spool_segment *newest;

	if (log->count == 0)
		return (struct spool_at){0, 0};
	newest = &log->segments[log->count - 1];
	return (struct spool_at){
	    newest->number, newest->end + buf_size(&log->pending)};
}

struct spool_segment *
spool_log_push(struct spool_log *log, uint64_t number)
{
	struct spool_segment *segment = spool_log_newest(log);

	CHECK(segment == NULL || segment->number < number);
	if (log->count == log->capacity) {
		log->capacity = log->capacity ? 2 * log->capacity : 16;
		log->segments = mem_resize(
		    log->segments, log->capacity, sizeof(*log->segments));
	}
	segment = &log->segments[log->count++];
	*segment = (struct spool_segment){
	    .number = number, .end = SPOOL_SEGMENT_START};
	return segment;
}

/* Closes the file that rested longest if too many are open; the newest one
   stays. */
static void
log_limit_files(struct spool_log *log)
{
	struct spool_segment *oldest = NULL;
	size_t open_count = 0;

	for (size_t i = 0; i + 1 < log->count; i++) {
		struct spool_segment *segment = &log->segments[i];

		if (segment->file == NULL)
			continue;
		open_count++;
		if (oldest == NULL || segment->used_at < oldest->used_at)
			oldest = segment;
	}
	if (open_count > LOG_FILES_MAX)
		log_close_segment(log, oldest);
}

int
spool_log_open_segment(struct spool_log *log, struct spool_segment *segment)
{
	char name[SPOOL_LOG_NAME_MAX];
	int error;

	segment->used_at = ++log->use_count;
	if (segment->file != NULL)
		return 0;
	spool_log_name(name, segment->number);
	error = os_open(log->os, name, OS_READ | OS_WRITE, &segment->file);
	if (error == 0)
		log_limit_files(log);
	return error;
}

bool
spool_log_fits(const struct spool_log *log, uint64_t size)
{
	return log->count > 0 && spool_log_end(log).offset + size <= log->room;
}

/* Appends the header and the body of a record, then MORE content bytes. */
static int
log_begin(struct spool_log *log, struct spool_found_record *found)
{
	struct spool_segment *newest = spool_log_newest(log);
	char bytes[SPOOL_RECORD_HEADER];

	CHECK(newest != NULL);
	found->at = spool_log_end(log);
	found->header.seq = log->seq_next;
	found->header.synced_seq = log->synced_seq;
	found->header.salt = newest->salt;
	found->header.body_size = num_narrow_u32(found->body.size);
	found->header.body_crc = crc32c(0, found->body);
	CHECK(spool_log_fits(log, spool_record_size(&found->header)));
	spool_record_header_put(bytes, &found->header);
	if (buf_append(&log->pending, str_of(bytes, sizeof(bytes))) < 0 ||
	    buf_append(&log->pending, found->body) < 0)
		return -ENOMEM;
	return 0;
}

static int
log_finish(struct spool_log *log, struct spool_found_record *found, int error)
{
	static const char zero[8];
	size_t start = found->at.offset - spool_log_newest(log)->end;
	size_t size = buf_size(&log->pending) - start;

	if (error == 0)
		error =
		    buf_append(&log->pending, str_of(zero, (8 - size % 8) % 8));
	if (error < 0) {
		spool_log_take_back(log, start);
		return -ENOMEM;
	}
	size = buf_size(&log->pending) - start;
	CHECK(size == spool_record_size(&found->header));
	log->seq_next++;
	return 0;
}

int
spool_log_add(struct spool_log *log, struct spool_found_record *found,
    struct str content, const char *id)
{
	int error;

	found->header.content_size = num_narrow_u32(content.size);
	error = log_begin(log, found);
	for (uint64_t index = 0; error == 0 && content.size > 0; index++) {
		struct str block = str_head(content, STORE_BLOCK);
		char crc[4];

		wire_store_u32(crc, spool_block_crc(id, index, block));
		error = buf_append(&log->pending, block);
		if (error == 0)
			error =
			    buf_append(&log->pending, str_of(crc, sizeof(crc)));
		content = str_skip(content, STORE_BLOCK);
	}
	return log_finish(log, found, error);
}

int
spool_log_add_stored(
    struct spool_log *log, struct spool_found_record *found, struct str stored)
{
	int error = log_begin(log, found);

	if (error == 0)
		error = buf_append(&log->pending, stored);
	return log_finish(log, found, error);
}

void
spool_log_take_back(struct spool_log *log, size_t size)
{
	struct str gone = str_skip(buf_str(&log->pending), size);
	struct spool_record_header header;

	CHECK(size <= buf_size(&log->pending));
	/* Numbers without a record would look like damage to recovery. */
	if (gone.size >= SPOOL_RECORD_HEADER &&
	    spool_record_header_get(gone.data, &header) == 0)
		log->seq_next = header.seq;
	log->pending.end = log->pending.start + size;
}

/* After a failed write of SIZE bytes: nothing of them may be taken for a
   record, so that their numbers can be used again. */
static int
log_wipe(struct spool_log *log, struct spool_segment *newest, uint64_t size)
{
	static const char zero[4096];
	uint64_t offset = newest->end, end = newest->end + size;

	while (offset < end) {
		size_t n = sizeof(zero);

		if (n > end - offset)
			n = (size_t)(end - offset);
		if (os_pwrite(log->os, newest->file, str_of(zero, n), offset) <
		    0)
			return SPOOL_LOST;
		offset += n;
	}
	log->seq_next = log->synced_seq;
	return os_datasync(log->os, newest->file) < 0 ? SPOOL_LOST : 0;
}

/* Writes zeros behind SIZE bytes that were just written.  The space is only
   reserved, so it reads as zeros anyhow and nothing depends on this; but where
   a sync finds that reserved space came into use it writes that down as well,
   and takes twice the time (doc/decisions/0010). */
static void
log_zero_ahead(struct spool_log *log, struct spool_segment *newest, size_t size)
{
	static char zeros[LOG_ZERO_AHEAD];
	uint64_t end = newest->end + size;
	struct str ahead = str_of(zeros, sizeof(zeros));

	if (size > LOG_ZERO_BATCH || end <= newest->zeroed || end >= log->room)
		return;
	ahead = str_head(ahead, log->room - end);
	/* If it fails it is not tried again before this much is written. */
	(void)os_pwrite(log->os, newest->file, ahead, end);
	newest->zeroed = end + ahead.size;
}

int
spool_log_flush(struct spool_log *log)
{
	struct spool_segment *newest = spool_log_newest(log);
	struct str bytes = buf_str(&log->pending);
	int error;

	if (bytes.size == 0)
		return 0;
	error = os_pwrite(log->os, newest->file, bytes, newest->end);
	buf_clear(&log->pending);
	if (error < 0) {
		log_event(LOG_ERROR, "spool-write", "",
		    "segment=%" PRIu64 " offset=%" PRIu64 " error=%d",
		    newest->number, newest->end, -error);
		return log_wipe(log, newest, bytes.size) < 0 ? SPOOL_LOST
		                                             : error;
	}
	log_zero_ahead(log, newest, bytes.size);
	if (os_datasync(log->os, newest->file) < 0)
		return SPOOL_LOST;
	newest->end += bytes.size;
	log->synced_seq = log->seq_next;
	return 0;
}

uint64_t
spool_log_segment_room(const struct spool_log *log, uint64_t size)
{
	uint64_t room = log->segment_size, free_bytes;

	if (os_room(log->os, &free_bytes) == 0 &&
	    free_bytes / LOG_ROOM_PART < room)
		room = free_bytes / LOG_ROOM_PART;
	size += SPOOL_SEGMENT_START;
	return room < size ? size : room;
}

/* Makes the file of segment NUMBER with room for SIZE bytes and its header,
   all of it synced. */
static int
log_make(struct spool_log *log, const struct spool_segment_header *header,
    uint64_t size, struct os_file **file_out)
{
	char name[SPOOL_LOG_NAME_MAX], bytes[SPOOL_SEGMENT_HEADER];
	int error;

	spool_log_name(name, header->number);
	spool_segment_header_put(bytes, header);
	error =
	    os_open(log->os, name, OS_READ | OS_WRITE | OS_CREATE, file_out);
	if (error < 0)
		return error;
	/* A roll that failed before may have left something. */
	error = os_truncate(log->os, *file_out, 0);
	if (error == 0)
		error = os_allocate(log->os, *file_out, size);
	if (error == 0)
		error = os_pwrite(
		    log->os, *file_out, str_of(bytes, sizeof(bytes)), 0);
	if (error == 0 && (os_sync(log->os, *file_out) < 0 ||
			      os_sync_directory(log->os, "log") < 0))
		return SPOOL_LOST;
	if (error < 0) {
		os_close(log->os, *file_out);
		*file_out = NULL;
		os_unlink(log->os, name);
	}
	return error;
}

void
spool_log_note_arrival(
    struct spool_log *log, uint64_t queue_ms, uint64_t wall_ms)
{
	if (queue_ms <= log->queue_ms)
		return;
	log->queue_ms = queue_ms;
	log->wall_ms = wall_ms;
}

int
spool_log_roll(struct spool_log *log, uint64_t size)
{
	struct spool_segment *previous = spool_log_newest(log), *segment;
	struct spool_segment_header header = {
	    .number = previous != NULL ? previous->number + 1 : 1,
	    .previous = previous != NULL ? previous->number : 0,
	    .previous_end = previous != NULL ? previous->end : 0,
	    .seq = log->seq_next,
	    .queue_ms = log->queue_ms,
	    .wall_ms = log->wall_ms,
	};
	struct os_file *file = NULL;
	uint64_t room = spool_log_segment_room(log, size);
	int error;

	CHECK(buf_size(&log->pending) == 0);
	os_random(log->os, &header.salt, sizeof(header.salt));
	error = log_make(log, &header, room, &file);
	if (error < 0) {
		if (file != NULL)
			os_close(log->os, file);
		return error;
	}
	if (previous != NULL)
		log->sealed_bytes += previous->end;
	segment = spool_log_push(log, header.number);
	segment->salt = header.salt;
	segment->seq_first = header.seq;
	segment->file = file;
	segment->is_dirty = true;
	log->room = room;
	log_limit_files(log);
	return 0;
}

int
spool_log_read(
    struct spool_log *log, struct spool_at at, void *data, size_t size)
{
	struct spool_segment *segment = spool_log_segment(log, at.segment);
	struct str pending = buf_str(&log->pending);
	int64_t n;
	int error;

	if (segment == NULL)
		return -EBADMSG;
	if (segment == spool_log_newest(log) && at.offset >= segment->end) {
		uint64_t skip = at.offset - segment->end;

		if (skip > pending.size || size > pending.size - skip)
			return -EBADMSG;
		if (size > 0)
			memcpy(data, pending.data + skip, size);
		return 0;
	}
	if (at.offset > segment->end || size > segment->end - at.offset)
		return -EBADMSG;
	error = spool_log_open_segment(log, segment);
	if (error < 0)
		return error;
	n = os_pread(log->os, segment->file, data, size, at.offset);
	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EBADMSG;
}

int
spool_log_drop_oldest(struct spool_log *log)
{
	struct spool_segment *oldest = &log->segments[0];
	char name[SPOOL_LOG_NAME_MAX], aside[SPOOL_LOG_NAME_MAX];
	int error;

	CHECK(log->count > 1 && oldest->live_count == 0);
	log_close_segment(log, oldest);
	spool_log_name(name, oldest->number);
	snprintf(aside, sizeof(aside), "damaged/%010" PRIu64, oldest->number);
	error = oldest->is_damaged ? os_rename(log->os, name, aside)
	                           : os_unlink(log->os, name);
	if (error < 0 && error != -ENOENT)
		return error;
	/* The next one may go only when this one cannot come back. */
	if (oldest->is_damaged && os_sync_directory(log->os, "damaged") < 0)
		return SPOOL_LOST;
	if (os_sync_directory(log->os, "log") < 0)
		return SPOOL_LOST;
	log_event(LOG_DETAIL, "spool-segment-gone", "", "segment=%" PRIu64,
	    oldest->number);
	CHECK(log->sealed_bytes >= oldest->end);
	log->sealed_bytes -= oldest->end;
	memmove(log->segments, log->segments + 1,
	    (log->count - 1) * sizeof(*log->segments));
	log->count--;
	return 0;
}
