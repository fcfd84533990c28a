/*
 * New messages.  The control file is written first, under the name tf, so that
 * whatever a kill leaves behind says that it is ours and was not accepted; the
 * rename to qf, when the body is on disk, is what makes it a message.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MQ_RECIPIENT_FACTOR 30000
#define MQ_CLASS_FACTOR     18000 /* ours go by 9, its by 100 */

/* One that is being written. */
struct mq_new {
	struct mqueue *mq;
	struct store_message *message;
	struct mq_directory *directory;
	struct mq_stage *stage; /* or NULL */
	struct mq_split split;
	uint64_t order;
	bool has_data; /* an error must undo it */
	struct arena arena;
	struct qf q;
	struct buf body; /* unless it is staged */
	struct buf text; /* of the control file */
};

/* What an append would be refused for. */
static int
mq_append_check(const struct mq_new *new)
{
	const struct store_message *message = new->message;
	const struct mq_stage *stage = new->stage;
	struct mqueue *mq = new->mq;
	static const char *const prefixes[] = {"qf", "hf"};
	struct ram_message *same;
	struct os_status status;
	char path[MQ_PATH_MAX];
	uint64_t room;
	int error;

	if (!store_message_is_valid(message))
		return -EINVAL;
	HASH_FIND_STR(mq->ram->by_id, message->id, same);
	if (same != NULL)
		return -EEXIST;
	if (message->is_staged != (stage != NULL) ||
	    (stage != NULL && stage->size != message->content_size))
		return -EINVAL;
	for (size_t i = 0; i < 2; i++) {
		mq_path(
		    path, new->directory->control, prefixes[i], message->id);
		error = os_status(mq->os, path, &status);
		if (error != -ENOENT)
			return error == 0 ? -EEXIST : error;
	}
	error = os_room(mq->os, &room);
	if (error < 0)
		return error;
	return message->content_size > room ? -ENOSPC : 0;
}

/* All rows of a new message, for its line of ours. */
static int
mq_new_facts(struct mq_new *new, struct buf *out)
{
	const struct store_message *m = new->message;
	struct mq_facts facts = {
	    .arrival_ms = m->arrival_ms,
	    .arrival_wall_ms = m->arrival_wall_ms,
	    .expire_ms = m->expire_ms,
	    .rank = m->rank,
	    .size = m->content_size,
	    .order = new->order,
	    .version = 1,
	    .priority = m->envelope.priority,
	    .is_raw = new->split.is_raw,
	    .is_bare = new->split.is_bare,
	    .row_count = (uint32_t)m->row_count,
	    .count = m->row_count,
	};

	facts.rows = arena_new(&new->arena, facts.count * sizeof(*facts.rows));
	if (facts.rows == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < facts.count; i++)
		facts.rows[i] = (struct mq_fact_row){
		    .index = (uint32_t)i,
		    .lane = m->rows[i].is_held ? STORE_HELD : STORE_READY,
		    .has_alarm = m->rows[i].alarm_ms > 0,
		    .alarm_ms = m->rows[i].alarm_ms,
		    .is_held = m->rows[i].is_held,
		    .destination = m->rows[i].destination,
		    .domain = m->rows[i].domain,
		};
	return mq_facts_write(&facts, out);
}

static int
mq_new_recipients(struct mq_new *new)
{
	const struct store_message *m = new->message;
	struct qf *q = &new->q;
	int error = 0;

	q->recipients =
	    arena_new(&new->arena, m->row_count * sizeof(*q->recipients));
	if (q->recipients == NULL)
		return -ENOBUFS;
	q->recipient_count = m->row_count;
	for (size_t i = 0; error == 0 && i < m->row_count; i++)
		error = qf_set_recipient(
		    &q->recipients[i], &new->arena, &m->rows[i].recipient);
	return error;
}

/* The text of the control file; what of the content is in it is in Q. */
static int
mq_new_text(struct mq_new *new)
{
	const struct store_message *m = new->message;
	struct qf *q = &new->q;
	struct buf facts;
	int error = qf_set_envelope(q, &new->arena, &m->envelope);

	q->version = QF_VERSION;
	q->has_version = q->is_terminated = true;
	q->created = QF_CREATED_GIVEN;
	q->created_s = (int64_t)(m->arrival_wall_ms / 1000);
	q->priority = (int64_t)m->content_size +
	              (int64_t)m->row_count * MQ_RECIPIENT_FACTOR -
	              m->envelope.priority * MQ_CLASS_FACTOR;
	q->has_8bit = new->split.has_8bit;
	q->is_bcc_deleted = q->is_split = true;
	q->macros = arena_new(&new->arena, sizeof(*q->macros));
	if (q->macros == NULL)
		return -ENOBUFS;
	buf_init(&facts, QF_FILE_MAX);
	if (error == 0)
		error = mq_new_recipients(new);
	if (error == 0)
		error = mq_new_facts(new, &facts);
	q->macro_count = 1;
	q->macros[0] = (struct qf_macro){STR(QF_PRIVATE), buf_str(&facts)};
	if (error == 0)
		error = qf_write(q, &new->text);
	buf_fini(&facts);
	return error;
}

/* The body of what was not staged. */
static int
mq_new_data(struct mq_new *new)
{
	struct mqueue *mq = new->mq;
	struct os_file *file;
	char path[MQ_PATH_MAX];
	int error;

	mq_path(path, new->directory->data, "df", new->message->id);
	error = os_open(
	    mq->os, path, OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &file);
	/* One that is somebody else's stays. */
	new->has_data = error == 0;
	if (error < 0)
		return error;
	error = mq_write_all(mq, file, buf_str(&new->body));
	if (error == 0)
		error = mq_sync_file(mq, file, path);
	os_close(mq->os, file);
	return error;
}

/* What is written is the message from now on. */
static void
mq_new_index(struct mq_new *new, const struct os_status *status)
{
	struct mq_entry *entry = mem_new(1, sizeof(*entry));
	struct ram_message *message =
	    ram_append(new->mq->ram, new->message, new->order);

	message->entry = entry;
	entry->message = message;
	entry->directory = new->directory;
	entry->has_version = true;
	entry->priority = new->q.priority;
	entry->seen = *status;
	entry->map_count = message->row_count;
	entry->map = mem_new(message->row_count, sizeof(*entry->map));
	for (uint32_t i = 0; i < message->row_count; i++)
		entry->map[i] = i;
	entry->is_measured = true;
	entry->version = 1;
	entry->is_raw = new->split.is_raw;
	entry->is_bare = new->split.is_bare;
	entry->scan = new->mq->scan_number;
}

/* Writes both files and makes the control file that of a message. */
static int
mq_new_files(struct mq_new *new, struct os_file *control)
{
	struct mqueue *mq = new->mq;
	struct os_status status = {.size = 0};
	char from[MQ_PATH_MAX], to[MQ_PATH_MAX];
	int error;

	mq_path(from, new->directory->control, "tf", new->message->id);
	mq_path(to, new->directory->control, "qf", new->message->id);
	error = mq_write_all(mq, control, buf_str(&new->text));
	if (error < 0)
		return error;
	if (new->stage != NULL) {
		new->has_data = true;
		error = mq_stage_finish(mq, new->stage, &new->split);
	} else
		error = mq_new_data(new);
	/* Behind the other one this costs little: one commit has both. */
	if (error == 0)
		error = mq_sync_file(mq, control, from);
	if (error == 0)
		error = os_file_status(mq->os, control, &status);
	if (error == 0)
		error = os_rename(mq->os, from, to);
	if (error < 0)
		return error;
	new->directory->is_control_dirty = true;
	new->directory->is_data_dirty = true;
	mq_new_index(new, &status);
	return 0;
}

/* The tf is there and locked, for staged content since it was begun. */
static int
mq_new_write(struct mq_new *new)
{
	struct mqueue *mq = new->mq;
	struct os_file *control = NULL;
	char path[MQ_PATH_MAX];
	int error;

	if (new->stage != NULL) {
		error = mq_new_files(new, new->stage->control);
		if (error == 0 || new->has_data)
			mq_stage_end(mq, new->stage, error < 0);
		return error;
	}
	error = mq_make_control(mq, new->directory, new->message->id, &control);
	if (error < 0)
		return error;
	error = mq_new_files(new, control);
	if (error < 0) {
		mq_path(path, new->directory->control, "tf", new->message->id);
		mq_remove_rest(mq, new->has_data ? new->directory : NULL, path,
		    new->message->id);
	}
	os_close(mq->os, control);
	return error;
}

int
mq_append(struct mqueue *mq, struct store_message *message)
{
	struct mq_new new = {.mq = mq, .message = message};
	int error;

	new.stage = mq_stage_find(mq, message->id);
	new.directory = new.stage != NULL ? new.stage->directory : mq_fresh(mq);
	error = mq_append_check(&new);
	if (error < 0)
		return error;
	new.order = os_wall_ms(mq->os) * 1000;
	if (new.order <= mq->ram->key_last)
		new.order = mq->ram->key_last + 1;
	arena_init(&new.arena, (size_t)4 * QF_FILE_MAX);
	buf_init(&new.body, STORE_CONTENT_MEMORY);
	buf_init(&new.text, QF_FILE_MAX);
	if (new.stage != NULL)
		error = mq_split_stage(
		    mq, new.stage, &new.q, &new.arena, &new.split);
	else
		error = mq_split(buf_str(&message->content), &new.q, &new.arena,
		    &new.body, &new.split);
	if (error == 0)
		error = mq_new_text(&new);
	if (error == 0)
		error = mq_new_write(&new);
	buf_fini(&new.text);
	buf_fini(&new.body);
	arena_fini(&new.arena);
	return error;
}
