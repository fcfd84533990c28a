/*
 * STORE_MOVE: rows of one message go to other destinations.  The record names
 * each row with its new home; where it was is in the index.
 *
 * A destination that gets rows of the message counts it in as if it had just
 * come, and one that loses the last of them counts it out.  What is older than
 * its place in the order of append says is among the special rows; where even
 * that does not help, because arrivals themselves are out of order, all special
 * rows are made anew.
 */
#include "base/check.h"
#include "base/wire.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <string.h>

/* One message and where its rows are, before and after. */
struct move_work {
	struct spool_index *index;
	struct spool_stored stored;
	struct spool_row *before, *after;
	/* Of each row; null where the record does not change it. */
	struct spool_destination **from, **to;
	size_t count;
	struct spool_destination **all; /* each once */
	size_t all_count;
	struct spool_row *some; /* of one group */
};

static void *
move_array(struct spool_index *index, size_t count, size_t size)
{
	void *array = arena_new(&index->scratch, count * size);

	CHECK(array != NULL);
	return array;
}

/* The row of that number, or NULL. */
static struct spool_row *
move_find(struct spool_row *rows, size_t count, uint32_t index)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].index == index)
			return &rows[i];
	return NULL;
}

/* What the move makes of ROW, which is of a message with RANK. */
static struct spool_row
move_result(const struct spool_row *row, const struct store_move *move,
    bool is_now, uint64_t rank)
{
	struct spool_row to = *row;

	to.destination = move->destination;
	to.home = move->is_held ? STORE_HELD : STORE_READY;
	if (move->alarm_ms > 0)
		to.alarm_ms = move->alarm_ms;
	if (to.lane == STORE_STOPPED || (to.lane == STORE_WAITING && !is_now))
		return to;
	to.lane = to.home;
	to.place = rank;
	return to;
}

/* Adds the destination to those that are looked at, once. */
static void
move_note(struct move_work *work, struct spool_destination *destination)
{
	for (size_t i = 0; i < work->all_count; i++)
		if (work->all[i] == destination)
			return;
	work->all[work->all_count++] = destination;
}

/* Finds out where each row is and is to be. */
static int
move_prepare(struct move_work *work, const struct spool_body *body)
{
	struct spool_index *index = work->index;
	int error = spool_rows_all(
	    index, &work->stored, STR(""), &work->before, &work->count);

	if (error < 0)
		return error;
	work->after = move_array(index, work->count, sizeof(*work->after));
	work->some = move_array(index, work->count, sizeof(*work->some));
	work->from = move_array(index, work->count, sizeof(*work->from));
	work->to = move_array(index, work->count, sizeof(*work->to));
	work->all = move_array(index, 2 * work->count, sizeof(*work->all));
	for (size_t i = 0; error == 0 && i < work->count; i++) {
		work->after[i] = work->before[i];
		error = spool_destination_get(
		    index, work->before[i].destination, false, &work->from[i]);
		work->to[i] = work->from[i];
	}
	for (size_t i = 0; error == 0 && i < body->move_count; i++) {
		struct spool_row *row =
		    move_find(work->before, work->count, body->moves[i].index);
		size_t at;

		if (row == NULL)
			continue;
		at = (size_t)(row - work->before);
		work->after[at] = move_result(row, &body->moves[i],
		    body->is_now, work->stored.message.rank);
		error = spool_destination_get(
		    index, body->moves[i].destination, true, &work->to[at]);
	}
	for (size_t i = 0; error == 0 && i < work->count; i++) {
		move_note(work, work->from[i]);
		move_note(work, work->to[i]);
	}
	return error == -ENOENT ? spool_index_fail(index, -EUCLEAN) : error;
}

/* The rows of the message at DESTINATION, before or after. */
static struct spool_group
move_group(const struct move_work *work, struct spool_destination *destination,
    bool is_after)
{
	struct spool_group group = {
	    .destination = destination,
	    .key = work->stored.message.key,
	    .arrival_ms = work->stored.message.arrival_ms,
	    .size = work->stored.message.content_size,
	    .rows = work->some,
	};

	for (size_t i = 0; i < work->count; i++)
		if ((is_after ? work->to : work->from)[i] == destination)
			group.rows[group.count++] =
			    (is_after ? work->after : work->before)[i];
	return group;
}

/* Notes if the next message at the destination came before this one. */
static int
move_look_ahead(
    struct move_work *work, const struct spool_destination *destination)
{
	struct spool_index *index = work->index;
	struct spool_stored next;
	uint64_t key;
	int error = spool_sql_number(index,
	    spool_sql(index, SPOOL_SQL_ROW_NEXT, "uu", destination->no,
		work->stored.message.key),
	    &key);

	if (error < 0 || key == 0)
		return error;
	error = spool_rows_by_key(index, key, &next);
	if (error == 0 &&
	    next.message.arrival_ms < work->stored.message.arrival_ms)
		index->is_disordered = true;
	return error == -ENOENT ? spool_index_fail(index, -EUCLEAN) : error;
}

/* Counts the message anew at one destination. */
static int
move_count(struct move_work *work, struct spool_destination *destination)
{
	struct spool_index *index = work->index;
	struct spool_group group = move_group(work, destination, false);
	size_t before = group.count;
	bool is_joined = false;
	int error = spool_counts_remove(index, &group);

	for (size_t i = 0; i < work->count; i++)
		is_joined |=
		    work->to[i] == destination && work->from[i] != destination;
	group = move_group(work, destination, true);
	if (error == 0 && before > 0 && (is_joined || group.count == 0))
		error = spool_counts_leave(index, &group);
	if (error == 0 && is_joined)
		error = move_look_ahead(work, destination);
	if (error == 0 && is_joined)
		error = spool_counts_enter(index, &group);
	return error < 0 ? error : spool_counts_add(index, &group);
}

static bool
move_is_same(const struct spool_row *a, const struct spool_row *b)
{
	return str_equal(a->destination, b->destination) &&
	       a->home == b->home && a->lane == b->lane &&
	       a->place == b->place && a->alarm_ms == b->alarm_ms;
}

/* Writes the rows that are new. */
static int
move_write(struct move_work *work)
{
	struct spool_index *index = work->index;
	int error = 0;

	for (size_t i = 0; error == 0 && i < work->count; i++) {
		uint64_t number = work->before[i].index;

		if (move_is_same(&work->before[i], &work->after[i]))
			continue;
		index->change_count++;
		error = spool_sql_run(index,
		    spool_sql(index, SPOOL_SQL_ROW_DROP, "uuu",
			work->from[i]->no, work->stored.message.key, number));
		if (error == 0)
			error = spool_apply_row(index, &work->stored.message,
			    work->to[i], &work->after[i]);
	}
	return error;
}

/* Writes where the message is now. */
static int
move_write_all(struct move_work *work)
{
	char *blob = move_array(work->index, work->all_count, 8);
	size_t size = 0;

	for (size_t i = 0; i < work->all_count; i++) {
		size_t at = 0;

		while (at < work->count && work->to[at] != work->all[i])
			at++;
		if (at == work->count)
			continue;
		wire_store_u64(blob + size, work->all[i]->no);
		size += 8;
	}
	return spool_sql_run(
	    work->index, spool_sql(work->index, SPOOL_SQL_MESSAGE_AT, "ub",
			     work->stored.message.key, str_of(blob, size)));
}

int
spool_apply_move(struct spool_index *index, const struct spool_body *body)
{
	struct move_work work = {.index = index};
	int error = spool_rows_by_key(index, body->key, &work.stored);

	if (error < 0)
		return error == -ENOENT ? 0 : error;
	error = move_prepare(&work, body);
	for (size_t i = 0; error == 0 && i < work.all_count; i++)
		error = move_count(&work, work.all[i]);
	if (error == 0)
		error = move_write(&work);
	return error < 0 ? error : move_write_all(&work);
}

static bool
move_is_leased(
    struct spool *spool, uint64_t key, struct str from, struct str to)
{
	return spool_lease_get(&spool->leases, key, from) != NULL ||
	       spool_lease_get(&spool->leases, key, to) != NULL;
}

/* Collects in BODY those moves that change something. */
static int
move_collect(struct spool *spool, struct store_request *request,
    const struct spool_stored *stored, struct spool_body *body)
{
	uint64_t key = stored->message.key, rank = stored->message.rank;
	struct spool_row *rows;
	size_t count;
	int error =
	    spool_rows_all(&spool->index, stored, STR(""), &rows, &count);

	if (error < 0)
		return error;
	body->key = key;
	body->is_now = request->u.move.is_now;
	body->moves = move_array(
	    &spool->index, request->u.move.move_count, sizeof(*body->moves));
	for (size_t i = 0; i < request->u.move.move_count; i++) {
		const struct store_move *move = &request->u.move.moves[i];
		struct spool_row *row = move_find(rows, count, move->index);
		struct spool_row to;

		if (row == NULL)
			continue;
		if (move_is_leased(
			spool, key, row->destination, move->destination)) {
			request->u.move.leased_count++;
			continue;
		}
		request->u.move.done_count++;
		request->u.move.moved_count +=
		    !str_equal(row->destination, move->destination);
		to = move_result(row, move, body->is_now, rank);
		if (!move_is_same(row, &to))
			body->moves[body->move_count++] = *move;
	}
	return 0;
}

int
spool_do_move(struct spool *spool, struct store_request *request)
{
	struct spool_body body = {0};
	struct spool_found_record found;
	struct spool_stored stored;
	int error;

	request->u.move.done_count = request->u.move.moved_count = 0;
	request->u.move.leased_count = 0;
	if (!store_move_is_valid(
		request->u.move.moves, request->u.move.move_count))
		return -EINVAL;
	error = spool_rows_by_id(
	    &spool->index, str_from(request->u.move.id), &stored);
	if (error == 0)
		error = move_collect(spool, request, &stored, &body);
	if (error == 0 && body.move_count > 0)
		error = spool_add(spool, SPOOL_MOVE, &body, NULL, &found);
	if (error == 0 && body.move_count > 0)
		error = spool_apply_move(&spool->index, &body);
	if (error == 0 && spool->index.is_disordered)
		error = spool_order(&spool->index);
	if (error < 0) {
		request->u.move.done_count = request->u.move.moved_count = 0;
		request->u.move.leased_count = 0;
	}
	return error;
}
