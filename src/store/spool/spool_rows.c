/* Reading messages and rows from the index.  What it holds is input like any
   other file: what cannot be decoded makes the index a damaged one. */
#include "store/spool/spool_rows.h"
#include "base/check.h"
#include "base/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* COUNT elements of SIZE bytes in the scratch arena. */
static void *
rows_array(struct spool_index *index, size_t count, size_t size)
{
	void *array = arena_new(&index->scratch, count * size);

	CHECK(array != NULL);
	return array;
}

/* The columns of SPOOL_SQL_MESSAGE. */
static int
rows_read_message(
    struct spool_index *index, sqlite3_stmt *row, struct spool_stored *to)
{
	struct str id = spool_sql_str(index, row, 1);
	struct wire_reader envelope = {spool_sql_str(index, row, 13), false};
	struct str numbers = spool_sql_str(index, row, 14);
	struct spool_message *m = &to->message;

	*to = (struct spool_stored){0};
	m->key = spool_sql_u64(row, 0);
	to->at.segment = spool_sql_u64(row, 2);
	to->at.offset = spool_sql_u64(row, 3);
	to->length = spool_sql_u64(row, 4);
	to->content = spool_sql_u64(row, 5);
	m->content_size = spool_sql_u64(row, 6);
	m->arrival_ms = spool_sql_u64(row, 7);
	m->arrival_wall_ms = spool_sql_u64(row, 8);
	m->expire_ms = spool_sql_u64(row, 9);
	m->rank = spool_sql_u64(row, 10);
	m->is_staged = spool_sql_u64(row, 11) != 0;
	to->live_count = spool_sql_u64(row, 12);
	m->reason = spool_sql_str(index, row, 15);
	mail_envelope_get(&envelope, &m->envelope);
	if (!store_id_is_valid(id) || !wire_is_whole(&envelope) ||
	    numbers.size % 8 != 0 || to->live_count > STORE_RECIPIENTS_MAX)
		return spool_index_fail(index, -EUCLEAN);
	memcpy(m->id, id.data, id.size);
	m->id[id.size] = '\0';
	to->destination_count = numbers.size / 8;
	to->destinations =
	    rows_array(index, to->destination_count, sizeof(uint64_t));
	for (size_t i = 0; i < to->destination_count; i++)
		to->destinations[i] = wire_load_u64(numbers.data + 8 * i);
	return 0;
}

/* Reads the one message that ROW finds; -ENOENT if none. */
static int
rows_read_one(struct spool_index *index, sqlite3_stmt *row,
    struct spool_stored *stored_out)
{
	int result = spool_sql_step(index, row);

	if (result <= 0)
		return result == 0 ? -ENOENT : result;
	result = rows_read_message(index, row, stored_out);
	spool_sql_end(row);
	return result;
}

int
spool_rows_by_id(
    struct spool_index *index, struct str id, struct spool_stored *stored_out)
{
	return rows_read_one(index,
	    spool_sql(index, SPOOL_SQL_MESSAGE_BY_ID, "b", id), stored_out);
}

int
spool_rows_by_key(
    struct spool_index *index, uint64_t key, struct spool_stored *stored_out)
{
	return rows_read_one(index,
	    spool_sql(index, SPOOL_SQL_MESSAGE_BY_KEY, "u", key), stored_out);
}

int
spool_rows_has_id(struct spool_index *index, struct str id)
{
	sqlite3_stmt *row = spool_sql(index, SPOOL_SQL_MESSAGE_KEY, "b", id);
	int result = spool_sql_step(index, row);

	if (result > 0)
		spool_sql_end(row);
	return result;
}

int
spool_rows_key(struct spool_index *index, struct str id, uint64_t *key_out)
{
	sqlite3_stmt *row = spool_sql(index, SPOOL_SQL_MESSAGE_KEY, "b", id);
	int result = spool_sql_step(index, row);

	if (result <= 0)
		return result == 0 ? -ENOENT : result;
	*key_out = spool_sql_u64(row, 0);
	spool_sql_end(row);
	return 0;
}

/* The next message with rows at the destination. */
static int
rows_next_at(struct spool_index *index, struct str name, uint64_t after_key,
    struct spool_stored *stored_out)
{
	struct spool_destination *destination;
	uint64_t key;
	int error = spool_destination_get(index, name, false, &destination);

	if (error < 0)
		return error;
	error = spool_sql_number(index,
	    spool_sql(
		index, SPOOL_SQL_ROW_NEXT, "uu", destination->no, after_key),
	    &key);
	if (error == 0 && key == 0)
		error = -ENOENT;
	if (error < 0)
		return error;
	error = spool_rows_by_key(index, key, stored_out);
	return error == -ENOENT ? spool_index_fail(index, -EUCLEAN) : error;
}

int
spool_rows_next(struct spool_index *index, const struct store_filter *filter,
    uint64_t after_key, struct spool_stored *stored_out)
{
	int error;

	if (after_key > INT64_MAX)
		return -ENOENT;
	if (filter->id.size > 0) {
		error = spool_rows_by_id(index, filter->id, stored_out);
		if (error == 0 && stored_out->message.key <= after_key)
			error = -ENOENT;
		return error;
	}
	if (filter->destination.size > 0)
		return rows_next_at(
		    index, filter->destination, after_key, stored_out);
	return rows_read_one(index,
	    spool_sql(index, SPOOL_SQL_MESSAGE_NEXT, "u", after_key),
	    stored_out);
}

/* The columns of SPOOL_SQL_ROW_GROUP. */
static int
rows_read_row(
    struct spool_index *index, sqlite3_stmt *from, struct spool_row *to)
{
	uint64_t lane = spool_sql_u64(from, 1), home = spool_sql_u64(from, 3);
	uint64_t alarm_ms = spool_sql_u64(from, 6);

	*to = (struct spool_row){
	    .index = (uint32_t)spool_sql_u64(from, 0),
	    .lane = (enum store_lane)lane,
	    .place = spool_sql_u64(from, 2),
	    .home = (enum store_lane)home,
	    .attempts = (uint32_t)spool_sql_u64(from, 4),
	    .alarm_ms = lane == STORE_STOPPED ? -alarm_ms : alarm_ms,
	    .is_told = spool_sql_u64(from, 7) != 0,
	    .domain = spool_sql_str(index, from, 8),
	    .recipient.address = spool_sql_str(index, from, 9),
	    .recipient.orcpt = spool_sql_str(index, from, 10),
	    .status = spool_sql_str(index, from, 11),
	};
	mail_recipient_bits_set(
	    &to->recipient, (uint8_t)spool_sql_u64(from, 5));
	if (lane >= STORE_LANES || (home != STORE_READY && home != STORE_HELD))
		return spool_index_fail(index, -EUCLEAN);
	return 0;
}

/* Reads the rows of one destination into ROWS, which has room for as many as
   the message has left. */
static int
rows_read_rows(struct spool_index *index, const struct spool_stored *stored,
    const struct spool_destination *destination, struct spool_row *rows,
    size_t *count)
{
	sqlite3_stmt *from = spool_sql(index, SPOOL_SQL_ROW_GROUP, "uu",
	    destination->no, stored->message.key);
	int result;

	while ((result = spool_sql_step(index, from)) > 0) {
		if (*count == stored->live_count)
			result = spool_index_fail(index, -EUCLEAN);
		else
			result = rows_read_row(index, from, &rows[*count]);
		if (result < 0) {
			spool_sql_end(from);
			return result;
		}
		rows[(*count)++].destination = destination->d.name;
	}
	return result;
}

int
spool_rows_group(struct spool_index *index, const struct spool_stored *stored,
    struct spool_destination *destination, struct spool_group *group_out)
{
	*group_out = (struct spool_group){
	    .destination = destination,
	    .key = stored->message.key,
	    .arrival_ms = stored->message.arrival_ms,
	    .size = stored->message.content_size,
	    .rows =
		rows_array(index, stored->live_count, sizeof(*group_out->rows)),
	};
	return rows_read_rows(
	    index, stored, destination, group_out->rows, &group_out->count);
}

static int
rows_compare(const void *left, const void *right)
{
	const struct spool_row *a = left, *b = right;

	return a->index < b->index ? -1 : a->index > b->index;
}

int
spool_rows_all(struct spool_index *index, const struct spool_stored *stored,
    struct str name, struct spool_row **rows_out, size_t *count_out)
{
	*rows_out = rows_array(index, stored->live_count, sizeof(**rows_out));
	*count_out = 0;
	for (size_t i = 0; i < stored->destination_count; i++) {
		struct spool_destination *destination;
		int error = spool_destination_by_no(
		    index, stored->destinations[i], &destination);

		/* Its rows are gone, and the destination with them. */
		if (error == -ENOENT)
			continue;
		if (error == 0 && name.size > 0 &&
		    !str_equal(name, destination->d.name))
			continue;
		if (error == 0)
			error = rows_read_rows(
			    index, stored, destination, *rows_out, count_out);
		if (error < 0)
			return error;
	}
	qsort(*rows_out, *count_out, sizeof(**rows_out), rows_compare);
	return 0;
}

/* True if A comes behind B in order of (due time, key, index). */
static bool
rows_is_behind(const struct spool_due *a, const struct spool_due *b)
{
	if (a->due_ms != b->due_ms)
		return a->due_ms > b->due_ms;
	if (a->key != b->key)
		return a->key > b->key;
	return a->index > b->index;
}

int
spool_rows_due(struct spool_index *index, const struct spool_due *last,
    struct spool_due **due_out, size_t *count_out, uint64_t *next_due_ms_out)
{
	uint64_t limit = STORE_SLICE_MAX + 1;
	sqlite3_stmt *row = spool_sql(index, SPOOL_SQL_ROW_DUE, "u", limit);
	int result;

	*due_out = rows_array(index, STORE_SLICE_MAX, sizeof(**due_out));
	*count_out = 0;
	*next_due_ms_out = 0;
	while ((result = spool_sql_step(index, row)) > 0) {
		struct spool_due due = {
		    .no = spool_sql_u64(row, 0),
		    .key = spool_sql_u64(row, 1),
		    .index = spool_sql_u64(row, 2),
		    .home = (enum store_lane)spool_sql_u64(row, 3),
		    .due_ms = spool_sql_u64(row, 4),
		};

		if (rows_is_behind(&due, last) ||
		    *count_out == STORE_SLICE_MAX) {
			*next_due_ms_out = due.due_ms;
			spool_sql_end(row);
			return 0;
		}
		(*due_out)[(*count_out)++] = due;
	}
	return result;
}
