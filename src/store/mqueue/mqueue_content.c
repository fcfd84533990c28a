/*
 * Content: what a control file and its data file are together, as it goes out
 * by SMTP.  A reader of a message remembers how far it is in the data file,
 * since a byte's place there says nothing of its place in the content; it is
 * made when the size is to be known or a byte is wanted, ends with the last
 * one, and few are kept.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct mq_reader {
	struct mq_reader *prev, *next; /* of all; the oldest first */
	struct mq_entry *entry;
	struct buf header;
	struct os_file *data;
	uint64_t data_size;
	uint64_t data_offset; /* read up to there */
	uint64_t body_offset; /* of the content's body, where pending begins */
	struct qf_body body;
	struct buf pending; /* rendered, not asked for yet */
	bool is_ended;
};

void
mq_reader_free(struct mqueue *mq, struct mq_entry *entry)
{
	struct mq_reader *reader = entry->reader;

	if (reader == NULL)
		return;
	if (reader->data != NULL)
		os_close(mq->os, reader->data);
	buf_fini(&reader->header);
	buf_fini(&reader->pending);
	DL_DELETE(mq->readers, reader);
	free(reader);
	entry->reader = NULL;
	mq->reader_count--;
}

/* The header part of ENTRY's content, from its control file. */
static int
mq_render_header(struct mqueue *mq, struct mq_entry *entry, struct buf *out)
{
	char path[MQ_PATH_MAX];
	struct os_file *file = entry->file;
	struct qf_problem problem;
	struct os_status status = entry->seen;
	struct arena arena;
	struct buf text;
	struct qf q;
	int error = 0;

	if (entry->is_raw)
		return 0;
	if (file == NULL) {
		mq_control_path(path, entry);
		error = os_open(mq->os, path, OS_READ | OS_FOLLOW, &file);
	}
	if (error < 0)
		return error;
	buf_init(&text, QF_FILE_MAX);
	/* What is held is as it was seen. */
	if (file != entry->file)
		error = os_file_status(mq->os, file, &status);
	if (error == 0)
		error = mq_read_file(mq->os, file, status.size, &text);
	arena_init(&arena, QF_ARENA_SIZE(buf_size(&text)));
	if (error == 0)
		error = qf_read(buf_str(&text), &arena, &q, &problem);
	if (error == 0)
		error = qf_render_header(&q, out);
	arena_fini(&arena);
	buf_fini(&text);
	if (file != entry->file)
		os_close(mq->os, file);
	return error;
}

static int
mq_reader_new(struct mqueue *mq, struct mq_entry *entry)
{
	struct mq_reader *reader;
	struct os_status status;
	char path[MQ_PATH_MAX];
	int error;

	if (entry->reader != NULL)
		return 0;
	if (mq->reader_count >= MQ_READERS_MAX)
		mq_reader_free(mq, mq->readers->entry);
	reader = entry->reader = mem_new(1, sizeof(*reader));
	reader->entry = entry;
	DL_APPEND(mq->readers, reader);
	mq->reader_count++;
	buf_init(&reader->header, QF_FILE_MAX);
	buf_init(&reader->pending, 4 * MQ_PIECE);
	error = mq_render_header(mq, entry, &reader->header);
	mq_data_path(path, entry);
	if (error == 0)
		error =
		    os_open(mq->os, path, OS_READ | OS_FOLLOW, &reader->data);
	if (error == 0)
		error = os_file_status(mq->os, reader->data, &status);
	/* Others may have put another file in its place. */
	if (error == 0 &&
	    mq_distrust(entry->directory, &entry->seen, &status) != NULL)
		error = -EBADMSG;
	if (error == 0)
		reader->data_size = status.size;
	else
		mq_reader_free(mq, entry);
	return error;
}

/* The bytes of the header that count. */
static struct str
mq_reader_header(const struct mq_entry *entry)
{
	struct str header = buf_str(&entry->reader->header);

	/* What was rendered ends in an empty line. */
	if (entry->is_bare && header.size >= 2)
		header.size -= 2;
	return header;
}

/* Renders one more piece of the body. */
static int
mq_reader_more(struct mqueue *mq, struct mq_entry *entry)
{
	struct mq_reader *reader = entry->reader;
	uint64_t left = reader->data_size - reader->data_offset;
	char piece[MQ_PIECE / 4];
	int64_t size = os_pread(mq->os, reader->data, piece,
	    left < sizeof(piece) ? (size_t)left : sizeof(piece),
	    reader->data_offset);
	int error;

	if (size < 0)
		return (int)size;
	reader->data_offset += (uint64_t)size;
	if (size == 0 || reader->data_offset == reader->data_size)
		reader->is_ended = true;
	if (entry->is_raw)
		return buf_append(
		    &reader->pending, str_of(piece, (size_t)size));
	error = qf_body_render(
	    &reader->body, str_of(piece, (size_t)size), &reader->pending);
	if (error == 0 && reader->is_ended)
		error = qf_body_end(&reader->body, &reader->pending);
	return error;
}

/* SIZE bytes of the body at OFFSET. */
static int
mq_reader_body(struct mqueue *mq, struct mq_entry *entry, uint64_t offset,
    size_t size, char *to)
{
	struct mq_reader *reader = entry->reader;

	if (offset < reader->body_offset) {
		buf_clear(&reader->pending);
		reader->body = (struct qf_body){.size = 0};
		reader->data_offset = reader->body_offset = 0;
		reader->is_ended = false;
	}
	while (size > 0) {
		uint64_t skipped = offset - reader->body_offset;
		struct str ready = buf_str(&reader->pending);
		size_t n = skipped < ready.size ? (size_t)skipped : ready.size;
		int error;

		buf_consume(&reader->pending, n);
		reader->body_offset += n;
		ready = str_skip(ready, n);
		if (ready.size > 0) {
			n = ready.size < size ? ready.size : size;
			memcpy(to, ready.data, n);
			to += n;
			size -= n;
			offset += n;
			continue;
		}
		if (reader->is_ended)
			return -EIO;
		error = mq_reader_more(mq, entry);
		if (error < 0)
			return error;
	}
	return 0;
}

int
mq_content_read(struct mqueue *mq, struct mq_entry *entry, uint64_t offset,
    size_t size, char *to)
{
	int error = mq_reader_new(mq, entry);
	struct str header;

	if (error < 0)
		return -EIO;
	header = mq_reader_header(entry);
	if (offset < header.size) {
		size_t n = header.size - (size_t)offset;

		n = n < size ? n : size;
		memcpy(to, header.data + offset, n);
		to += n;
		size -= n;
		offset += n;
	}
	error = mq_reader_body(mq, entry, offset - header.size, size, to);
	if (offset + size >= entry->message->content_size)
		mq_reader_free(mq, entry);
	return error < 0 ? -EIO : 0;
}

/* How long the body is, without keeping any of it. */
static int
mq_count_body(
    struct mqueue *mq, const struct mq_reader *reader, uint64_t *size_out)
{
	struct qf_body body = {.size = 0};
	char piece[MQ_PIECE / 4];
	uint64_t offset = 0;
	int error = 0;

	while (error == 0 && offset < reader->data_size) {
		uint64_t left = reader->data_size - offset;
		int64_t size = os_pread(mq->os, reader->data, piece,
		    left < sizeof(piece) ? (size_t)left : sizeof(piece),
		    offset);

		if (size <= 0) {
			error = size < 0 ? (int)size : -EIO;
			break;
		}
		error =
		    qf_body_render(&body, str_of(piece, (size_t)size), NULL);
		offset += (uint64_t)size;
	}
	if (error == 0)
		error = qf_body_end(&body, NULL);
	*size_out = body.size;
	return error;
}

int
mq_measure(struct mqueue *mq, struct mq_entry *entry)
{
	int error = mq_reader_new(mq, entry);
	struct mq_reader *reader = entry->reader;
	uint64_t size = 0;

	if (error < 0)
		return error;
	if (reader->data_size > STORE_BLOCK)
		error = mq_count_body(mq, reader, &size);
	else {
		/* As a rule it is wanted next. */
		while (error == 0 && !reader->is_ended)
			error = mq_reader_more(mq, entry);
		size = reader->body_offset + buf_size(&reader->pending);
	}
	if (error < 0) {
		mq_reader_free(mq, entry);
		return error;
	}
	ram_message_set_size(
	    mq->ram, entry->message, buf_size(&reader->header) + size);
	entry->is_measured = true;
	return 0;
}

static bool
mq_has_8bit(struct str bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		if ((unsigned char)bytes.data[i] >= 0x80)
			return true;
	return false;
}

/* The header part of a content whose body begins at AT. */
static int
mq_split_header(struct str content, size_t at, struct qf *q,
    struct arena *arena, struct mq_split *split)
{
	struct str header = str_head(content, at);
	bool is_exact = false;
	char *longer;
	int error;

	split->is_raw = true;
	if (at == 0)
		return 0;
	error = qf_set_headers(q, arena, header, &is_exact);
	if (error == 0 && !is_exact && at == content.size) {
		/* It may only be the empty line that is missing. */
		longer = arena_new(arena, at + 2);
		if (longer == NULL)
			return -ENOBUFS;
		memcpy(longer, header.data, at);
		memcpy(longer + at, "\r\n", 2);
		error =
		    qf_set_headers(q, arena, str_of(longer, at + 2), &is_exact);
		split->is_bare = is_exact;
	}
	split->is_raw = !is_exact;
	return error;
}

/* Nothing of the content is in the control file. */
static void
mq_split_raw(struct qf *q, struct mq_split *split)
{
	q->headers = NULL;
	q->header_count = 0;
	split->is_raw = true;
	split->is_bare = false;
}

int
mq_split(struct str content, struct qf *q, struct arena *arena,
    struct buf *body, struct mq_split *split_out)
{
	struct qf_unbody unbody = {.has_cr = false};
	size_t at = qf_content_body(content);
	int error;

	*split_out = (struct mq_split){.has_8bit = mq_has_8bit(content)};
	error = mq_split_header(content, at, q, arena, split_out);
	if (error == 0 && !split_out->is_raw) {
		error = qf_unbody_store(&unbody, str_skip(content, at), body);
		if (error == 0)
			error = qf_unbody_end(&unbody, body);
	}
	if (error == 0 && (split_out->is_raw || unbody.is_inexact)) {
		mq_split_raw(q, split_out);
		buf_clear(body);
		error = buf_append(body, content);
	}
	return error;
}

/* Goes over the staged body from AT on; with IS_WRITTEN it is put in its own
   place with LF, which is never behind what is still to be read. */
static int
mq_stage_pass(struct mqueue *mq, struct mq_stage *stage, uint64_t at,
    bool is_written, struct mq_split *split)
{
	struct qf_unbody unbody = {.has_cr = false};
	char piece[MQ_PIECE / 4];
	uint64_t to = 0;
	struct buf out;
	int error = 0;

	buf_init(&out, 2 * MQ_PIECE);
	while (error == 0 && at < stage->size) {
		int64_t size =
		    os_pread(mq->os, stage->data, piece, sizeof(piece), at);

		if (size <= 0) {
			error = size < 0 ? (int)size : -EIO;
			break;
		}
		at += (uint64_t)size;
		split->has_8bit |= mq_has_8bit(str_of(piece, (size_t)size));
		error =
		    qf_unbody_store(&unbody, str_of(piece, (size_t)size), &out);
		if (error == 0 && at >= stage->size)
			error = qf_unbody_end(&unbody, &out);
		if (error == 0 && is_written) {
			CHECK(to + buf_size(&out) <= at);
			error =
			    os_pwrite(mq->os, stage->data, buf_str(&out), to);
		}
		to += buf_size(&out);
		buf_clear(&out);
	}
	if (error == 0 && is_written)
		error = os_truncate(mq->os, stage->data, to);
	split->is_raw |= unbody.is_inexact;
	buf_fini(&out);
	return error;
}

int
mq_split_stage(struct mqueue *mq, struct mq_stage *stage, struct qf *q,
    struct arena *arena, struct mq_split *split_out)
{
	size_t head_max =
	    stage->size < MQ_HEADER_MAX ? (size_t)stage->size : MQ_HEADER_MAX;
	char *head = mem_new(1, head_max + 1);
	int64_t size = os_pread(mq->os, stage->data, head, head_max, 0);
	int error = size < 0 ? (int)size : 0;
	size_t at;

	*split_out = (struct mq_split){.has_8bit = false};
	if (error == 0) {
		struct str content = str_of(head, (size_t)size);

		at = qf_content_body(content);
		split_out->has_8bit = mq_has_8bit(str_head(content, at));
		/* The arena keeps what the headers point to. */
		content = arena_copy(arena, content);
		error = content.data == NULL
		            ? -ENOBUFS
		            : mq_split_header(content, at, q, arena, split_out);
		/* A header without an end in sight. */
		if (at == content.size && stage->size > content.size)
			split_out->is_raw = true;
		split_out->body_offset = at;
		if (error == 0)
			error = mq_stage_pass(mq, stage, at, false, split_out);
		if (error == 0 && split_out->is_raw)
			mq_split_raw(q, split_out);
	}
	free(head);
	return error;
}

int
mq_stage_finish(
    struct mqueue *mq, struct mq_stage *stage, struct mq_split *split)
{
	int error =
	    split->is_raw
		? os_truncate(mq->os, stage->data, stage->size)
		: mq_stage_pass(mq, stage, split->body_offset, true, split);

	if (error < 0)
		return error;
	error = os_sync(mq->os, stage->data);
	if (error < 0)
		mq_fatal(mq, "sync", stage->id, error);
	return error;
}

struct mq_stage *
mq_stage_find(struct mqueue *mq, const char *id)
{
	struct mq_stage *stage;

	HASH_FIND_STR(mq->stages, id, stage);
	return stage;
}

void
mq_stage_end(struct mqueue *mq, struct mq_stage *stage, bool is_dropped)
{
	char path[MQ_PATH_MAX];

	if (stage == NULL)
		return;
	if (is_dropped) {
		mq_path(path, stage->directory->control, "tf", stage->id);
		mq_remove_rest(mq, stage->directory, path, stage->id);
	}
	if (stage->data != NULL)
		os_close(mq->os, stage->data);
	if (stage->control != NULL)
		os_close(mq->os, stage->control);
	HASH_DEL(mq->stages, stage);
	free(stage);
}

/* The files of a new stage: 0 or -errno. */
static int
mq_stage_new(struct mqueue *mq, const char *id, struct mq_stage **stage_out)
{
	struct mq_stage *stage = mem_new(1, sizeof(*stage));
	char path[MQ_PATH_MAX];
	int error;

	memcpy(stage->id, id, sizeof(stage->id));
	stage->directory = mq_fresh(mq);
	error = mq_make_control(mq, stage->directory, id, &stage->control);
	if (error < 0) {
		free(stage);
		return error;
	}
	HASH_ADD_STR(mq->stages, id, stage);
	error = os_pwrite(mq->os, stage->control, STR(MQ_STAGED), 0);
	mq_path(path, stage->directory->data, "df", id);
	if (error == 0)
		error = os_open(mq->os, path,
		    OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE,
		    &stage->data);
	if (error < 0) {
		/* The df is somebody else's. */
		mq_path(path, stage->directory->control, "tf", id);
		(void)os_unlink(mq->os, path);
		mq_stage_end(mq, stage, false);
		return error;
	}
	*stage_out = stage;
	return 0;
}

void
mq_stage(struct mqueue *mq, struct store_request *request)
{
	struct str id = str_from(request->u.stage.id);
	struct str bytes = request->u.stage.bytes;
	struct mq_stage *stage = mq_stage_find(mq, request->u.stage.id);
	struct ram_message *message;
	uint64_t room = 0;

	HASH_FIND_STR(mq->ram->by_id, request->u.stage.id, message);
	if (!store_id_is_valid(id))
		request->error = -EINVAL;
	else if (message != NULL)
		request->error = -EEXIST;
	else
		request->error = os_room(mq->os, &room);
	if (request->error == 0 && bytes.size > room)
		request->error = -ENOSPC;
	if (request->error == 0 && stage == NULL)
		request->error = mq_stage_new(mq, request->u.stage.id, &stage);
	if (request->error < 0)
		return;
	request->error = os_pwrite(mq->os, stage->data, bytes, stage->size);
	if (request->error == 0)
		stage->size += bytes.size;
}
