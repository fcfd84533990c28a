/*
 * Reading the log as a power cut left it.
 *
 * Torn or damaged: each record says below which number everything had been
 * synced when it was made.  If a record is bad and a later one says that it
 * was synced once, then it is damage, and what is behind it counts; if none
 * says so, it is the torn end of the log, which nobody was promised.
 */
#include "store/spool/spool_scan.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_NAME_DIGITS 10
#define SCAN_COPY        ((size_t)1 << 20)

/* The numbers of the segment files. */
struct scan_names {
	uint64_t *numbers;
	size_t count;
	size_t capacity;
};

static void
scan_name(void *arg, const char *name)
{
	struct scan_names *names = arg;
	uint64_t number = 0;
	size_t i;

	for (i = 0; name[i] >= '0' && name[i] <= '9' && i < 18; i++)
		number = number * 10 + (uint64_t)(name[i] - '0');
	if (i < SCAN_NAME_DIGITS || name[i] != '\0' || number == 0)
		return;
	if (names->count == names->capacity) {
		names->capacity = names->capacity ? 2 * names->capacity : 64;
		names->numbers = mem_resize(
		    names->numbers, names->capacity, sizeof(*names->numbers));
	}
	names->numbers[names->count++] = number;
}

static int
scan_compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* The salt that the first record tells where the header cannot. */
static void
scan_guess_salt(struct spool_log *log, struct spool_segment *segment)
{
	struct spool_at at = {segment->number, SPOOL_SEGMENT_START};
	struct spool_record_header header;
	char bytes[SPOOL_RECORD_HEADER];

	segment->is_header_bad = true;
	if (spool_log_read(log, at, bytes, sizeof(bytes)) == 0 &&
	    spool_record_header_get(bytes, &header) == 0)
		segment->salt = header.salt;
}

/* Takes a header's word for the end of the segment before it. */
static void
scan_seal(struct spool_log *log, const struct spool_segment_header *header)
{
	struct spool_segment *previous =
	    spool_log_segment(log, header->previous);

	if (previous != NULL && header->previous_end >= SPOOL_SEGMENT_START &&
	    header->previous_end <= previous->end)
		previous->end = header->previous_end;
	if (header->seq > log->seq_next)
		log->seq_next = header->seq;
	if (header->queue_ms > log->queue_ms)
		log->queue_ms = header->queue_ms;
	log->wall_ms = header->wall_ms;
}

/* Adds segment NUMBER; its end is where the file ends, for the time being. */
static int
scan_add(struct spool_log *log, uint64_t number)
{
	struct spool_segment *segment = spool_log_push(log, number);
	struct spool_segment_header header;
	char bytes[SPOOL_SEGMENT_HEADER];
	uint64_t size = 0;
	int64_t n;
	int error = spool_log_open_segment(log, segment);

	if (error == 0)
		error = os_size(log->os, segment->file, &size);
	if (error < 0)
		return error;
	segment->end = size < SPOOL_SEGMENT_START ? SPOOL_SEGMENT_START : size;
	n = os_pread(log->os, segment->file, bytes, sizeof(bytes), 0);
	if (n < 0)
		return (int)n;
	if (n == sizeof(bytes) &&
	    spool_segment_header_get(bytes, &header) == 0 &&
	    header.number == number) {
		segment->salt = header.salt;
		segment->seq_first = header.seq;
		scan_seal(log, &header);
	} else
		scan_guess_salt(log, segment);
	return 0;
}

/* What spool_scan_segment() knows so far. */
struct scan_state {
	struct spool_log *log;
	struct spool_scan *scan;
	uint64_t number;
	uint64_t seq_next; /* of the next good record */
	uint64_t doubt;    /* where the first bad place is, 0 = none */
	struct arena arena;
};

int
spool_scan_content(struct spool_log *log, struct arena *arena,
    const struct spool_found_record *found)
{
	uint64_t left = found->header.content_size;
	struct spool_at at = found->at;
	struct spool_body body;
	char *block;
	int error = 0;

	arena_fini(arena);
	if (spool_body_get(found->body, &found->header, arena, &body) < 0)
		return -EBADMSG;
	block = mem_new(1, SPOOL_BLOCK_STORED);
	at.offset += SPOOL_RECORD_HEADER + found->header.body_size;
	for (uint64_t index = 0; error == 0 && left > 0; index++) {
		size_t size = left < STORE_BLOCK ? left : STORE_BLOCK;

		error = spool_log_read(log, at, block, size + 4);
		if (error == 0 &&
		    spool_block_crc(body.message.id, index,
			str_of(block, size)) != wire_load_u32(block + size))
			error = -EBADMSG;
		left -= size;
		at.offset += size + 4;
	}
	free(block);
	return error;
}

static void
scan_doubt(void *arg, struct spool_at at)
{
	struct scan_state *state = arg;

	if (at.segment == state->number && state->doubt == 0)
		state->doubt = at.offset;
}

static int
scan_record(void *arg, const struct spool_found_record *found)
{
	struct scan_state *state = arg;
	struct spool_scan *scan = state->scan;
	int error;

	if (found->at.segment != state->number)
		return -ECANCELED;
	if (found->header.synced_seq > scan->synced_seq)
		scan->synced_seq = found->header.synced_seq;
	if (state->doubt != 0 && found->header.synced_seq > state->seq_next) {
		/* What is bad was synced once: damage. */
		scan->is_damaged = true;
		state->doubt = 0;
	}
	error = spool_scan_content(state->log, &state->arena, found);
	if (error < 0 && error != -EBADMSG)
		return error;
	if (error < 0)
		scan_doubt(state, found->at);
	if (state->doubt != 0)
		return 0;
	state->seq_next = found->header.seq + 1;
	scan->end = found->at.offset + spool_record_size(&found->header);
	return 0;
}

int
spool_scan_segment(struct spool_log *log, size_t i, struct spool_scan *scan_out)
{
	struct scan_state state = {.log = log,
	    .scan = scan_out,
	    .number = log->segments[i].number,
	    .seq_next = log->segments[i].seq_first};
	struct spool_walk walk = {
	    .record = scan_record, .damage = scan_doubt, .arg = &state};
	struct spool_at from = {state.number, SPOOL_SEGMENT_START};
	int error;

	*scan_out = (struct spool_scan){.end = SPOOL_SEGMENT_START};
	arena_init(&state.arena, SPOOL_BODY_MAX);
	error = spool_log_walk(log, from, &walk);
	arena_fini(&state.arena);
	scan_out->seq_next = state.seq_next;
	return error == -ECANCELED ? 0 : error;
}

/* Removes the newest segment, which holds nothing that is needed. */
static int
scan_remove_newest(struct spool_log *log)
{
	struct spool_segment *newest = spool_log_newest(log);
	char name[SPOOL_LOG_NAME_MAX];
	int error;

	spool_log_name(name, newest->number);
	log_event(LOG_NOTE, "spool-segment-unused", "", "segment=%" PRIu64,
	    newest->number);
	if (newest->file != NULL)
		os_close(log->os, newest->file);
	newest->file = NULL;
	log->count--;
	error = os_unlink(log->os, name);
	if (error < 0)
		return error;
	return os_sync_directory(log->os, "log") < 0 ? SPOOL_LOST : 0;
}

/* The end of segment I whose successor's header cannot be read.  SEQ_NEXT_OUT
   is behind its last record. */
static int
scan_unsealed(struct spool_log *log, size_t i, uint64_t *seq_next_out)
{
	struct spool_scan scan;
	int error = spool_scan_segment(log, i, &scan);

	if (error < 0)
		return error;
	log->segments[i].end = scan.end;
	log->segments[i].is_damaged |= scan.is_damaged;
	*seq_next_out = scan.seq_next;
	return 0;
}

/* A bad header in the newest segment: the power went while it was made, unless
   it has records that are nowhere else. */
static int
scan_bad_newest(struct spool_log *log)
{
	struct spool_scan scan = {0};
	uint64_t seq_next = 0;
	int error = 0;

	if (log->count > 1)
		error = scan_unsealed(log, log->count - 2, &seq_next);
	if (error == 0)
		error = spool_scan_segment(log, log->count - 1, &scan);
	if (error < 0)
		return error;
	if (scan.seq_next <= seq_next)
		return scan_remove_newest(log);
	return 0;
}

int
spool_scan_open(struct spool_log *log)
{
	struct scan_names names = {0};
	uint64_t unused;
	int error = os_list(log->os, "log", scan_name, &names);

	if (names.count > 0)
		qsort(names.numbers, names.count, sizeof(*names.numbers),
		    scan_compare);
	for (size_t i = 0; error == 0 && i < names.count; i++)
		error = scan_add(log, names.numbers[i]);
	free(names.numbers);
	for (size_t i = 0; error == 0 && i + 1 < log->count; i++) {
		struct spool_segment *next = &log->segments[i + 1];

		if (!next->is_header_bad)
			continue;
		log_event(LOG_ERROR, "damaged", "",
		    "segment=%" PRIu64 " offset=0", next->number);
		next->is_damaged = true;
		if (i + 2 < log->count)
			error = scan_unsealed(log, i, &unused);
	}
	if (error == 0 && log->count > 0 &&
	    spool_log_newest(log)->is_header_bad)
		error = scan_bad_newest(log);
	if (log->count > 0)
		log->room = spool_log_newest(log)->end;
	for (size_t i = 0; i + 1 < log->count; i++)
		log->sealed_bytes += log->segments[i].end;
	return error;
}

/* Where the first record with a number from SEQ on begins, or the end. */
struct scan_find {
	uint64_t number;
	uint64_t offset;
};

static int
scan_find_record(void *arg, const struct spool_found_record *found)
{
	struct scan_find *find = arg;

	if (found->at.segment == find->number)
		find->offset = found->at.offset;
	return -ECANCELED;
}

static void
scan_ignore(void *arg, struct spool_at at)
{
}

/* Copies the bytes from OFFSET to the end of FROM to the start of FILE. */
static int
scan_copy_bytes(struct spool_log *log, const struct spool_segment *from,
    uint64_t offset, struct os_file *file)
{
	char *bytes = mem_new(1, SCAN_COPY);
	uint64_t to = SPOOL_SEGMENT_START;
	int error = 0;

	while (error == 0 && offset < from->end) {
		uint64_t left = from->end - offset;
		size_t size = left < SCAN_COPY ? (size_t)left : SCAN_COPY;
		struct spool_at at = {from->number, offset};

		error = spool_log_read(log, at, bytes, size);
		if (error == 0)
			error =
			    os_pwrite(log->os, file, str_of(bytes, size), to);
		offset += size;
		to += size;
	}
	free(bytes);
	return error;
}

/* The header comes last: it is what makes the copy count. */
static int
scan_make_copy(struct spool_log *log, const struct spool_segment *from,
    const struct spool_segment_header *header, struct os_file **file_out)
{
	char name[SPOOL_LOG_NAME_MAX], bytes[SPOOL_SEGMENT_HEADER];
	int error;

	spool_log_name(name, header->number);
	spool_segment_header_put(bytes, header);
	log->room =
	    spool_log_segment_room(log, from->end - header->previous_end);
	error =
	    os_open(log->os, name, OS_READ | OS_WRITE | OS_CREATE, file_out);
	if (error == 0)
		error = os_truncate(log->os, *file_out, 0);
	if (error == 0)
		error = os_allocate(log->os, *file_out, log->room);
	if (error == 0)
		error =
		    scan_copy_bytes(log, from, header->previous_end, *file_out);
	if (error == 0 && os_sync(log->os, *file_out) < 0)
		error = SPOOL_LOST;
	if (error == 0)
		error = os_pwrite(
		    log->os, *file_out, str_of(bytes, sizeof(bytes)), 0);
	if (error == 0 && (os_sync(log->os, *file_out) < 0 ||
			      os_sync_directory(log->os, "log") < 0))
		error = SPOOL_LOST;
	return error;
}

int
spool_scan_copy_tail(struct spool_log *log, uint64_t seq)
{
	struct spool_segment *old = spool_log_newest(log), *newest;
	struct scan_find find = {old->number, old->end};
	struct spool_walk walk = {.record = scan_find_record,
	    .damage = scan_ignore,
	    .arg = &find,
	    .seq = seq};
	struct spool_at from = {old->number, SPOOL_SEGMENT_START};
	struct spool_segment_header header = {
	    .number = old->number + 1,
	    .previous = old->number,
	    .salt = old->salt,
	    .seq = seq > old->seq_first ? seq : old->seq_first,
	    .queue_ms = log->queue_ms,
	    .wall_ms = log->wall_ms,
	};
	struct os_file *file = NULL;
	uint64_t end = old->end;
	int error = spool_log_walk(log, from, &walk);

	if (error < 0 && error != -ECANCELED)
		return error;
	header.previous_end = find.offset;
	error = scan_make_copy(log, old, &header, &file);
	if (error < 0) {
		if (file != NULL)
			os_close(log->os, file);
		return error;
	}
	old->end = find.offset;
	log->sealed_bytes += old->end;
	newest = spool_log_push(log, header.number);
	newest->salt = header.salt;
	newest->seq_first = header.seq;
	newest->file = file;
	newest->end = SPOOL_SEGMENT_START + end - find.offset;
	newest->is_dirty = true;
	return 0;
}

bool
spool_scan_has_record(struct spool_log *log, struct spool_at at)
{
	struct spool_segment *segment = spool_log_segment(log, at.segment);
	struct spool_record_header header;
	char bytes[SPOOL_RECORD_HEADER];

	return segment != NULL &&
	       spool_log_read(log, at, bytes, sizeof(bytes)) == 0 &&
	       spool_record_header_get(bytes, &header) == 0 &&
	       header.salt == segment->salt;
}
