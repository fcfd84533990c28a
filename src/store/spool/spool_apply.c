/*
 * What each log record does to the index.  A record that names what is not
 * there (because its own record was damaged and set aside) does nothing.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "store/spool/spool_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum apply_fate {
	APPLY_KEEP,
	APPLY_SET,
	APPLY_SET_ALARM, /* that too */
	APPLY_GONE
};

/* A record of LENGTH bytes at AT has, or has no more, a message whose content
   has CONTENT bytes: the segments' counts. */
static int
apply_live(struct spool_index *index, struct spool_at at, uint64_t length,
    uint64_t content, bool is_added)
{
	struct spool_segment *segment =
	    spool_log_segment(index->log, at.segment);
	struct spool_log *log = index->log;

	/* A segment that somebody removed: its messages cannot be read. */
	if (segment == NULL)
		return 0;
	segment->is_dirty = true;
	if (!is_added &&
	    (segment->live_count == 0 || segment->live_bytes < length ||
		segment->live_content < content))
		return spool_index_fail(index, -EUCLEAN);
	segment->live_count += is_added ? 1 : (uint64_t)-1;
	segment->live_bytes += is_added ? length : (uint64_t)-length;
	segment->live_content += is_added ? content : (uint64_t)-content;
	log->live_count += is_added ? 1 : (uint64_t)-1;
	log->live_content += is_added ? content : (uint64_t)-content;
	return 0;
}

static uint64_t
apply_content_offset(const struct spool_found_record *found)
{
	return found->at.offset + SPOOL_RECORD_HEADER + found->header.body_size;
}

/* The alarm as the index has it. */
static uint64_t
apply_alarm(const struct spool_row *row)
{
	return row->lane == STORE_STOPPED ? -row->alarm_ms : row->alarm_ms;
}

int
spool_apply_row(struct spool_index *index, const struct spool_message *message,
    const struct spool_destination *destination, const struct spool_row *row)
{
	uint64_t number = row->index, lane = row->lane, home = row->home;
	uint64_t attempts = row->attempts;
	uint64_t bits = mail_recipient_bits(&row->recipient);
	uint64_t is_told = row->is_told;

	return spool_sql_run(
	    index, spool_sql(index, SPOOL_SQL_ROW_ADD, "uuuuuuuuuuubbbb",
		       destination->no, message->key, number, lane, row->place,
		       home, message->rank, attempts, bits, apply_alarm(row),
		       is_told, row->domain, row->recipient.address,
		       row->recipient.orcpt, row->status));
}

/* Adds the rows of one destination, those of ROWS whose OWNERS it is. */
static int
apply_add_group(struct spool_index *index, const struct spool_message *message,
    struct spool_destination **owners, size_t first, struct spool_row *some)
{
	struct spool_group group = {
	    .destination = owners[first],
	    .key = message->key,
	    .arrival_ms = message->arrival_ms,
	    .size = message->content_size,
	    .rows = some,
	};
	int error = 0;

	for (size_t i = first; error == 0 && i < message->row_count; i++) {
		if (owners[i] != group.destination)
			continue;
		some[group.count++] = message->rows[i];
		error = spool_apply_row(
		    index, message, group.destination, &message->rows[i]);
		/* The first of the others is the next group. */
		if (i > first)
			owners[i] = NULL;
	}
	if (error == 0)
		error = spool_counts_enter(index, &group);
	if (error == 0)
		error = spool_counts_add(index, &group);
	return error;
}

/* Adds the rows, and the numbers of their destinations to BLOB. */
static int
apply_add_rows(struct spool_index *index, const struct spool_message *message,
    char *blob, size_t *blob_size)
{
	size_t count = message->row_count;
	struct spool_destination **owners = mem_new(count, sizeof(*owners));
	struct spool_row *some = mem_new(count, sizeof(*some));
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++)
		error = spool_destination_get(
		    index, message->rows[i].destination, true, &owners[i]);
	*blob_size = 0;
	for (size_t i = 0; error == 0 && i < count; i++) {
		if (owners[i] == NULL)
			continue;
		wire_store_u64(blob + *blob_size, owners[i]->no);
		*blob_size += 8;
		error = apply_add_group(index, message, owners, i, some);
	}
	free(some);
	free(owners);
	return error;
}

static int
apply_add_message(struct spool_index *index,
    const struct spool_message *message, const struct spool_found_record *found,
    struct str destinations)
{
	uint64_t is_staged = message->is_staged, live = message->row_count;
	uint64_t length = spool_record_size(&found->header);
	struct buf envelope;
	struct wire_writer w = {.out = &envelope};
	int error;

	buf_init(&envelope, SPOOL_BODY_MAX);
	mail_envelope_put(&w, &message->envelope);
	error =
	    w.is_bad
		? spool_index_fail(index, -ENOMEM)
		: spool_sql_run(index,
		      spool_sql(index, SPOOL_SQL_MESSAGE_ADD,
			  "ubuuuuuuuuuuubbb", message->key,
			  str_from(message->id), found->at.segment,
			  found->at.offset, length, apply_content_offset(found),
			  message->content_size, message->arrival_ms,
			  message->arrival_wall_ms, message->expire_ms,
			  message->rank, is_staged, live, buf_str(&envelope),
			  destinations, message->reason));
	buf_fini(&envelope);
	return error;
}

/* A message that was copied forward has only moved, if it is known. */
static int
apply_relocate(struct spool_index *index, const struct spool_stored *stored,
    const struct spool_found_record *found)
{
	uint64_t length = spool_record_size(&found->header);
	uint64_t content = stored->message.content_size;
	int error =
	    apply_live(index, stored->at, stored->length, content, false);

	if (error == 0)
		error = apply_live(index, found->at, length, content, true);
	if (error == 0)
		error = spool_sql_run(index,
		    spool_sql(index, SPOOL_SQL_MESSAGE_MOVE, "uuuuu",
			stored->message.key, found->at.segment,
			found->at.offset, length, apply_content_offset(found)));
	index->change_count++;
	return error;
}

int
spool_apply_message(struct spool_index *index, struct spool_message *message,
    const struct spool_found_record *found)
{
	struct spool_stored stored;
	size_t blob_size;
	char *blob;
	int error;

	if (message->key != found->header.seq) {
		error = spool_rows_by_key(index, message->key, &stored);
		if (error == 0)
			return apply_relocate(index, &stored, found);
		if (error != -ENOENT)
			return error;
		index->is_disordered = true;
	}
	error = spool_rows_has_id(index, str_from(message->id));
	if (error > 0)
		log_event(LOG_WARN, "spool-twice", message->id, "key=%llu",
		    (unsigned long long)message->key);
	if (error != 0)
		return error < 0 ? error : 0;
	blob = mem_new(message->row_count, 8);
	error = apply_add_rows(index, message, blob, &blob_size);
	if (error == 0)
		error = apply_add_message(
		    index, message, found, str_of(blob, blob_size));
	free(blob);
	if (error == 0)
		error = apply_live(index, found->at,
		    spool_record_size(&found->header), message->content_size,
		    true);
	index->change_count += 1 + message->row_count;
	return error;
}

/* The message's content file may go when the log is synced. */
static void
apply_note_gone(struct spool_index *index, const struct spool_message *message)
{
	struct spool_gone *gone;

	if (!message->is_staged)
		return;
	gone = mem_new(1, sizeof(*gone));
	memcpy(gone->id, message->id, sizeof(gone->id));
	gone->next = index->gone;
	index->gone = gone;
}

/* Writes how many rows are left, or drops the message with the last one. */
static int
apply_finish(
    struct spool_index *index, struct spool_stored *stored, size_t gone_count)
{
	int error;

	if (gone_count == 0)
		return 0;
	if (gone_count > stored->live_count)
		return spool_index_fail(index, -EUCLEAN);
	stored->live_count -= gone_count;
	if (stored->live_count > 0)
		return spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_MESSAGE_LIVE, "uu",
			       stored->message.key, stored->live_count));
	apply_note_gone(index, &stored->message);
	error = spool_sql_run(index,
	    spool_sql(index, SPOOL_SQL_MESSAGE_DROP, "u", stored->message.key));
	if (error == 0)
		error = apply_live(index, stored->at, stored->length,
		    stored->message.content_size, false);
	return error;
}

static int
apply_write_row(struct spool_index *index, const struct spool_group *group,
    const struct spool_row *row, enum apply_fate fate)
{
	uint64_t number = row->index, lane = row->lane;
	uint64_t attempts = row->attempts, is_told = row->is_told;
	int error = 0;

	index->change_count++;
	if (fate == APPLY_GONE)
		return spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_ROW_DROP, "uuu",
			       group->destination->no, group->key, number));
	/* A statement of its own: it costs a change of one more index. */
	if (fate == APPLY_SET_ALARM)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_ROW_ALARM, "uuuuu",
			       group->destination->no, group->key, number,
			       apply_alarm(row), is_told));
	if (error < 0)
		return error;
	return spool_sql_run(
	    index, spool_sql(index, SPOOL_SQL_ROW_SET, "uuuuuub",
		       group->destination->no, group->key, number, lane,
		       row->place, attempts, row->status));
}

/* Writes the rows as FATES says, and counts the group in again.  It was
   counted out before its rows were changed. */
static int
apply_group(struct spool_index *index, struct spool_stored *stored,
    struct spool_group *group, const enum apply_fate *fates)
{
	struct spool_group left = *group;
	int error = 0;

	left.rows =
	    arena_new(&index->scratch, group->count * sizeof(*left.rows));
	CHECK(left.rows != NULL);
	left.count = 0;
	for (size_t i = 0; error == 0 && i < group->count; i++) {
		if (fates[i] != APPLY_KEEP)
			error = apply_write_row(
			    index, group, &group->rows[i], fates[i]);
		if (fates[i] != APPLY_GONE)
			left.rows[left.count++] = group->rows[i];
	}
	if (error == 0)
		error = spool_counts_add(index, &left);
	if (error == 0 && left.count == 0)
		error = spool_counts_leave(index, &left);
	if (error == 0)
		error = apply_finish(index, stored, group->count - left.count);
	return error;
}

/* Reads the message, its rows at the destination, and counts them out.
   -ENOENT if there are none. */
static int
apply_begin(struct spool_index *index, uint64_t key, struct str name,
    struct spool_stored *stored, struct spool_group *group)
{
	struct spool_destination *destination;
	int error = spool_rows_by_key(index, key, stored);

	if (error == 0)
		error = spool_destination_get(index, name, false, &destination);
	if (error == 0)
		error = spool_rows_group(index, stored, destination, group);
	if (error == 0 && group->count == 0)
		error = -ENOENT;
	if (error == 0)
		error = spool_counts_remove(index, group);
	return error;
}

/* Position of the row with that number in the group, or group->count. */
static size_t
apply_find(const struct spool_group *group, uint32_t index)
{
	size_t i = 0;

	while (i < group->count && group->rows[i].index != index)
		i++;
	return i;
}

static enum apply_fate
apply_result(struct spool_row *row, const struct store_result *result)
{
	enum apply_fate fate = APPLY_SET;

	if (result->alarm_ms > 0) {
		row->alarm_ms = result->alarm_ms;
		row->is_told = result->is_told;
		fate = APPLY_SET_ALARM;
	}
	switch (result->outcome) {
	case STORE_DELIVERED:
	case STORE_FAILED:
		return APPLY_GONE;
	case STORE_UNTRIED:
		return fate == APPLY_SET ? APPLY_KEEP : fate;
	case STORE_DEFERRED:
		break;
	}
	if (row->lane != STORE_STOPPED) {
		row->lane = STORE_WAITING;
		row->place = result->due_ms;
	}
	row->attempts++;
	row->status = result->status;
	return fate;
}

static int
apply_settle_rows(
    struct spool_index *index, const struct spool_body *body, bool *is_done_out)
{
	enum apply_fate fates[STORE_RECIPIENTS_MAX] = {APPLY_KEEP};
	struct spool_stored stored;
	struct spool_group group;
	int error =
	    apply_begin(index, body->key, body->destination, &stored, &group);

	if (error < 0)
		return error == -ENOENT ? 0 : error;
	for (size_t i = 0; i < body->result_count; i++) {
		size_t at = apply_find(&group, body->results[i].index);

		if (at < group.count)
			fates[at] =
			    apply_result(&group.rows[at], &body->results[i]);
	}
	error = apply_group(index, &stored, &group, fates);
	*is_done_out = error == 0 && stored.live_count == 0;
	return error;
}

int
spool_apply_settle(struct spool_index *index, struct spool_body *body,
    const struct spool_found_record *found, bool *is_done_out)
{
	int error = 0;

	*is_done_out = false;
	if (body->has_message)
		error = spool_apply_message(index, &body->message, found);
	if (error == 0)
		error = apply_settle_rows(index, body, is_done_out);
	return error;
}

static enum apply_fate
apply_change_row(struct spool_row *row, enum store_change change, uint64_t rank)
{
	switch (change) {
	case STORE_CHANGE_HOLD:
		row->lane = STORE_STOPPED;
		row->place = rank;
		return APPLY_SET_ALARM;
	case STORE_CHANGE_FREE:
		row->lane = row->home;
		row->place = rank;
		return APPLY_SET_ALARM;
	case STORE_CHANGE_DELETE:
		break;
	}
	return APPLY_GONE;
}

static int
apply_reason(struct spool_index *index, const struct spool_stored *stored,
    struct str reason)
{
	if (str_equal(stored->message.reason, reason))
		return 0;
	return spool_sql_run(index, spool_sql(index, SPOOL_SQL_MESSAGE_REASON,
					"ub", stored->message.key, reason));
}

static int
apply_change_group(struct spool_index *index, const struct spool_body *body,
    const struct spool_change_group *which)
{
	enum apply_fate fates[STORE_RECIPIENTS_MAX] = {APPLY_KEEP};
	struct spool_stored stored;
	struct spool_group group;
	int error =
	    apply_begin(index, which->key, which->destination, &stored, &group);

	if (error < 0)
		return error == -ENOENT ? 0 : error;
	for (size_t i = 0; i < which->count; i++) {
		size_t at = apply_find(&group, which->indexes[i]);

		if (at < group.count)
			fates[at] = apply_change_row(
			    &group.rows[at], body->change, stored.message.rank);
	}
	error = apply_group(index, &stored, &group, fates);
	if (error == 0 && body->change != STORE_CHANGE_DELETE)
		error = apply_reason(index, &stored, body->reason);
	return error;
}

int
spool_apply_change(struct spool_index *index, const struct spool_body *body)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < body->group_count; i++)
		error = apply_change_group(index, body, &body->groups[i]);
	return error;
}

int
spool_apply_rehold(struct spool_index *index, struct str destination)
{
	static const enum store_lane homes[] = {STORE_READY, STORE_HELD};
	struct spool_destination *to;
	int error = spool_destination_get(index, destination, false, &to);

	if (error < 0)
		return error == -ENOENT ? 0 : error;
	for (size_t i = 0; i < 2; i++) {
		uint64_t home = homes[i], count;

		error = spool_sql_run(index,
		    spool_sql(index, SPOOL_SQL_ROW_REHOLD, "uu", to->no, home));
		if (error < 0)
			return error;
		count = (uint64_t)sqlite3_changes(index->db);
		spool_counts_move(to, STORE_WAITING, homes[i], count);
		index->change_count += count;
	}
	return 0;
}

int
spool_apply_due(
    struct spool_index *index, const struct spool_due *due, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct spool_destination *to;
		int error = spool_destination_by_no(index, due[i].no, &to);

		if (error == -ENOENT)
			return spool_index_fail(index, -EUCLEAN);
		if (error == 0)
			error = spool_sql_run(
			    index, spool_sql(index, SPOOL_SQL_ROW_HOME, "uuu",
				       due[i].no, due[i].key, due[i].index));
		if (error < 0)
			return error;
		spool_counts_move(to, STORE_WAITING, due[i].home, 1);
		index->change_count++;
	}
	return 0;
}
