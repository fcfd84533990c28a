/*
 * The check that an administrator asks for, while nobody else has the spool:
 * the index against itself, every record of the log, and every message of the
 * index against the log.  It looks and tells; what opening the spool repairs by
 * itself was repaired before.
 */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"
#include "store/spool/spool_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct verify {
	struct spool *spool;
	struct store_spool_report *report;
	struct arena arena;
};

static void
verify_tell(struct verify *v, struct spool_at at, const char *id)
{
	log_event(LOG_ERROR, "damaged", id,
	    "segment=%" PRIu64 " offset=%" PRIu64, at.segment, at.offset);
	v->report->wrong_count++;
}

static void
verify_damage(void *arg, struct spool_at at)
{
	verify_tell(arg, at, "");
}

static int
verify_record(void *arg, const struct spool_found_record *found)
{
	struct verify *v = arg;
	int error = spool_scan_content(&v->spool->log, &v->arena, found);

	v->report->record_count++;
	if (error == -EBADMSG)
		verify_tell(v, found->at, "");
	return error == -EBADMSG ? 0 : error;
}

/* Reads the record where the message is said to be: 0, -EBADMSG, -errno. */
static int
verify_place(struct verify *v, const struct spool_stored *stored)
{
	const struct spool_segment *segment =
	    spool_log_segment(&v->spool->log, stored->at.segment);
	struct spool_at at = stored->at;
	char bytes[SPOOL_RECORD_HEADER];
	struct spool_body body;
	struct spool_record_header header;
	char *data = NULL;
	struct str text;
	int error;

	if (segment == NULL)
		return -EBADMSG;
	error = spool_log_read(&v->spool->log, at, bytes, sizeof(bytes));
	if (error == 0)
		error = spool_record_header_get(bytes, &header);
	if (error < 0)
		return error;
	at.offset += SPOOL_RECORD_HEADER;
	data = mem_new(1, header.body_size + (size_t)1);
	text = str_of(data, header.body_size);
	error = spool_log_read(&v->spool->log, at, data, text.size);
	arena_fini(&v->arena);
	if (error == 0 && crc32c(0, text) != header.body_crc)
		error = -EBADMSG;
	if (error == 0)
		error = spool_body_get(text, &header, &v->arena, &body);
	if (error == 0 &&
	    (header.salt != segment->salt || !body.has_message ||
		body.message.key != stored->message.key ||
		body.message.content_size != stored->message.content_size ||
		!str_equal(
		    str_from(body.message.id), str_from(stored->message.id)) ||
		stored->content != at.offset + header.body_size ||
		stored->length != spool_record_size(&header)))
		error = -EBADMSG;
	free(data);
	return error;
}

/* Content in a file of its own is in no record.  A bad block is logged. */
static int
verify_staged(struct verify *v, const struct spool_stored *stored)
{
	char *data = mem_new(1, SPOOL_BLOCK_STORED);
	struct str block = STR("");
	uint64_t index = 0;
	int error;

	do
		error =
		    spool_read_block(v->spool, stored, index++, data, &block);
	while (error == 0 && block.size > 0);
	v->report->wrong_count += error == -EIO;
	free(data);
	return error == -EIO ? 0 : error;
}

static int
verify_messages(struct verify *v)
{
	struct spool_index *index = &v->spool->index;
	const struct store_filter all = {.size_above = 0};
	struct spool_stored stored;
	uint64_t key = 0;
	int error;

	for (;;) {
		arena_fini(&index->scratch);
		error = spool_rows_next(index, &all, key, &stored);
		if (error < 0)
			return error == -ENOENT ? 0 : error;
		key = stored.message.key;
		v->report->message_count++;
		v->report->bytes += stored.message.content_size;
		error = verify_place(v, &stored);
		if (error == -EBADMSG)
			verify_tell(v, stored.at, stored.message.id);
		else if (error == 0 && stored.message.is_staged)
			error = verify_staged(v, &stored);
		if (error < 0 && error != -EBADMSG)
			return error;
	}
}

int
store_spool_verify(struct store *store, struct store_spool_report *report_out)
{
	struct verify v = {
	    .spool = (struct spool *)(void *)store, .report = report_out};
	struct spool_walk walk = {
	    .record = verify_record, .damage = verify_damage, .arg = &v};
	const struct spool_at from = {0, SPOOL_SEGMENT_START};
	int error;

	*report_out = (struct store_spool_report){.wrong_count = 0};
	arena_init(&v.arena, SPOOL_BODY_MAX);
	error = spool_log_walk(&v.spool->log, from, &walk);
	if (error == 0)
		error = spool_index_verify(
		    &v.spool->index, &report_out->wrong_count);
	if (error == 0)
		error = verify_messages(&v);
	arena_fini(&v.arena);
	/* The index is damaged, and made anew by whoever opens it next. */
	if (error != -EUCLEAN)
		return error;
	log_event(LOG_ERROR, "spool-check", "", "check=%d offenders=%s", -1,
	    "damaged");
	report_out->wrong_count++;
	return 0;
}
