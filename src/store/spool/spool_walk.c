/*
 * Walking the log.  Promises: nothing is taken for a record whose checks fail;
 * damage is stepped over and told, and what lies behind it is found again by
 * looking for the next record's beginning at every multiple of 8 bytes.
 */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/spool/spool_log.h"

#include <stdlib.h>
#include <string.h>

#define WALK_CHUNK ((size_t)65536)

/* Reads the header of the record at AT: 0, -EBADMSG if none is there. */
static int
walk_header(struct spool_log *log, const struct spool_segment *segment,
    struct spool_at at, struct spool_record_header *header_out)
{
	char bytes[SPOOL_RECORD_HEADER];
	int error = spool_log_read(log, at, bytes, sizeof(bytes));

	if (error == 0)
		error = spool_record_header_get(bytes, header_out);
	if (error == 0 &&
	    (header_out->salt != segment->salt ||
		spool_record_size(header_out) > segment->end - at.offset))
		error = -EBADMSG;
	return error;
}

/* The next place from AT on where a record with a number of at least SEQ
   begins: 0, -ENODATA if there is none. */
static int
walk_resync(struct spool_log *log, const struct spool_segment *segment,
    struct spool_at *at, uint64_t seq)
{
	char *chunk = mem_new(1, WALK_CHUNK);
	int error = -ENODATA;

	at->offset = (at->offset + 7) & ~(uint64_t)7;
	while (at->offset + SPOOL_RECORD_HEADER <= segment->end) {
		struct spool_record_header header;
		uint64_t left = segment->end - at->offset;
		size_t size = left < WALK_CHUNK ? (size_t)left : WALK_CHUNK;

		error = spool_log_read(log, *at, chunk, size);
		if (error < 0)
			break;
		error = -ENODATA;
		for (size_t i = 0; i + SPOOL_RECORD_HEADER <= size; i += 8) {
			if (spool_record_header_get(chunk + i, &header) < 0 ||
			    header.salt != segment->salt || header.seq < seq)
				continue;
			at->offset += i;
			error = 0;
			goto out;
		}
		/* A header may lie across the end of the chunk. */
		at->offset += size - size % 8 - SPOOL_RECORD_HEADER + 8;
	}
out:
	free(chunk);
	return error;
}

/* Reads and checks the body behind the header; it is to be freed. */
static int
walk_body(struct spool_log *log, struct spool_found_record *found)
{
	struct spool_at at = found->at;
	char *bytes = mem_new(1, found->header.body_size + (size_t)1);
	int error;

	at.offset += SPOOL_RECORD_HEADER;
	found->body = str_of(bytes, found->header.body_size);
	error = spool_log_read(log, at, bytes, found->body.size);
	if (error == 0 && crc32c(0, found->body) != found->header.body_crc)
		error = -EBADMSG;
	return error;
}

/* The record at AT, whose header is good.  Damage is told and passed over. */
static int
walk_record(struct spool_log *log, const struct spool_walk *walk,
    struct spool_found_record *found)
{
	int error;

	found->body = STR("");
	if (found->header.seq < walk->seq)
		return 0;
	error = walk_body(log, found);
	if (error == -EBADMSG) {
		walk->damage(walk->arg, found->at);
		error = 0;
	} else if (error == 0)
		error = walk->record(walk->arg, found);
	free((void *)(uintptr_t)found->body.data);
	return error;
}

static int
walk_segment(
    struct spool_log *log, size_t i, uint64_t offset, struct spool_walk *walk)
{
	struct spool_at at = {log->segments[i].number, offset};
	int error = 0;

	while (at.offset < log->segments[i].end) {
		struct spool_segment *segment = &log->segments[i];
		struct spool_found_record found = {.at = at};

		error = walk_header(log, segment, at, &found.header);
		if (error == -EBADMSG) {
			walk->damage(walk->arg, at);
			at.offset += 8;
			error = walk_resync(log, segment, &at, walk->seq);
			if (error == -ENODATA)
				return 0;
			if (error == 0)
				continue;
		}
		if (error == 0)
			error = walk_record(log, walk, &found);
		if (error < 0)
			return error;
		if (found.header.seq >= walk->seq)
			walk->seq = found.header.seq + 1;
		at.offset += spool_record_size(&found.header);
	}
	return 0;
}

int
spool_log_walk(
    struct spool_log *log, struct spool_at from, const struct spool_walk *walk)
{
	struct spool_walk now = *walk;
	int error = 0;

	for (size_t i = 0; error == 0 && i < log->count; i++) {
		uint64_t number = log->segments[i].number;

		if (number >= from.segment)
			error = walk_segment(log, i,
			    number == from.segment ? from.offset
						   : SPOOL_SEGMENT_START,
			    &now);
	}
	return error;
}
