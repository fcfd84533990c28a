/*
 * The model engine: the requests that change something.  Promises: with any
 * error nothing was changed; nothing survives close.  Straight rather than
 * fast: each request walks the whole list of messages where it has to.
 */
#include "store/ram/ram.h"
#include "base/check.h"
#include "base/mem.h"
#include "store/ram/ram_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct ram *
ram_of(struct store *store)
{
	return (struct ram *)(void *)store;
}

static void
ram_stage_free(struct ram *ram, struct ram_stage *stage)
{
	if (stage == NULL)
		return;
	HASH_DEL(ram->stages, stage);
	free(stage->bytes);
	free(stage);
}

static void
ram_message_free(struct ram *ram, struct ram_message *message)
{
	struct ram_lease *lease, *next;

	DL_DELETE(ram->messages, message);
	HASH_DEL(ram->by_id, message);
	ram->content_bytes -= message->content_size;
	LL_FOREACH_SAFE(message->leases, lease, next)
	free(lease);
	for (size_t i = 0; i < message->row_count; i++)
		free(message->rows[i].status);
	arena_fini(&message->arena);
	free(message->rows);
	free(message->content);
	free(message);
}

enum store_lane
ram_row_home(const struct ram_row *row)
{
	return row->row.is_held ? STORE_HELD : STORE_READY;
}

void
ram_row_set_lane(struct ram_row *row, enum store_lane lane, uint64_t due_ms)
{
	row->lane = lane;
	row->due_ms = lane == STORE_WAITING ? due_ms : 0;
}

/* Removes a row, and with the last one the message; true for that. */
bool
ram_row_remove(struct ram *ram, struct ram_message *message, size_t index)
{
	CHECK(!message->rows[index].is_gone);
	message->rows[index].is_gone = true;
	if (--message->left_count > 0)
		return false;
	ram_message_free(ram, message);
	return true;
}

static int
ram_check_room(struct ram *ram, uint64_t size)
{
	uint64_t room;
	int error;

	if (ram->os == NULL)
		return 0;
	error = os_room(ram->os, &room);
	if (error < 0)
		return error;
	return size > room ? -ENOSPC : 0;
}

/* What ram_append() would answer: 0 or the error. */
int
ram_append_check(struct ram *ram, const struct store_message *message)
{
	struct ram_message *same;
	struct ram_stage *stage;

	if (!store_message_is_valid(message))
		return -EINVAL;
	HASH_FIND_STR(ram->by_id, message->id, same);
	if (same != NULL)
		return -EEXIST;
	HASH_FIND_STR(ram->stages, message->id, stage);
	if (message->is_staged != (stage != NULL) ||
	    (stage != NULL && stage->size != message->content_size))
		return -EINVAL;
	return ram_check_room(ram, message->content_size);
}

static void
ram_append_row(struct ram_message *to, size_t i, const struct store_row *from)
{
	struct ram_row *row = &to->rows[i];

	row->row.is_held = from->is_held;
	row->row.alarm_ms = from->alarm_ms;
	row->row.destination = arena_copy(&to->arena, from->destination);
	row->row.domain = arena_copy(&to->arena, from->domain);
	CHECK(row->row.destination.data && row->row.domain.data);
	CHECK(mail_recipient_copy(
		  &to->arena, &from->recipient, &row->row.recipient) == 0);
	ram_row_set_lane(row, ram_row_home(row), 0);
}

/* Keeps a copy; ram_append_check() said 0. */
void
ram_append(struct ram *ram, const struct store_message *from)
{
	struct ram_message *message = mem_new(1, sizeof(*message));
	struct str content = buf_str(&from->content);
	struct ram_stage *stage;

	memcpy(message->id, from->id, sizeof(message->id));
	message->key = ++ram->key_last;
	message->arrival_ms = from->arrival_ms;
	message->arrival_wall_ms = from->arrival_wall_ms;
	message->expire_ms = from->expire_ms;
	message->rank = from->rank;
	arena_init(&message->arena, STORE_ARENA_MAX);
	CHECK(mail_envelope_copy(
		  &message->arena, &from->envelope, &message->envelope) == 0);
	message->row_count = message->left_count = from->row_count;
	message->rows = mem_new(from->row_count, sizeof(*message->rows));
	for (size_t i = 0; i < from->row_count; i++)
		ram_append_row(message, i, &from->rows[i]);
	HASH_FIND_STR(ram->stages, from->id, stage);
	if (stage != NULL)
		content = str_of(stage->bytes, stage->size);
	message->content = mem_copy_text(content.data, content.size);
	message->content_size = content.size;
	ram->content_bytes += content.size;
	ram_stage_free(ram, stage);
	DL_APPEND(ram->messages, message);
	HASH_ADD_STR(ram->by_id, id, message);
}

static void
ram_do_append(struct ram *ram, struct store_request *request)
{
	request->error = ram_append_check(ram, request->u.append.message);
	if (request->error == 0)
		ram_append(ram, request->u.append.message);
}

static void
ram_do_stage(struct ram *ram, struct store_request *request)
{
	struct str bytes = request->u.stage.bytes;
	struct ram_message *message;
	struct ram_stage *stage;

	HASH_FIND_STR(ram->by_id, request->u.stage.id, message);
	if (!store_id_is_valid(str_from(request->u.stage.id)))
		request->error = -EINVAL;
	else if (message != NULL)
		request->error = -EEXIST;
	else
		request->error = ram_check_room(ram, bytes.size);
	if (request->error < 0)
		return;
	HASH_FIND_STR(ram->stages, request->u.stage.id, stage);
	if (stage == NULL) {
		stage = mem_new(1, sizeof(*stage));
		memcpy(stage->id, request->u.stage.id, sizeof(stage->id));
		HASH_ADD_STR(ram->stages, id, stage);
	}
	stage->bytes = mem_resize(stage->bytes, stage->size + bytes.size, 1);
	if (bytes.size > 0)
		memcpy(stage->bytes + stage->size, bytes.data, bytes.size);
	stage->size += bytes.size;
}

static void
ram_do_unstage(struct ram *ram, struct store_request *request)
{
	struct ram_stage *stage;

	HASH_FIND_STR(ram->stages, request->u.unstage.id, stage);
	ram_stage_free(ram, stage);
}

static int
ram_pick_compare_due(const void *left, const void *right)
{
	const struct ram_pick *a = left, *b = right;
	int order = ram_compare_numbers(a->message->rows[a->index].due_ms,
	    b->message->rows[b->index].due_ms);

	if (order == 0)
		order = ram_compare_numbers(a->message->key, b->message->key);
	return order ? order : ram_compare_numbers(a->index, b->index);
}

/* Notes the destination of a row that was moved. */
static void
ram_due_add(struct store_request *request, struct str destination)
{
	struct str *moved = request->u.due.moved;
	size_t count = request->u.due.moved_to_count;

	for (size_t i = 0; i < count; i++)
		if (str_equal(moved[i], destination))
			return;
	moved[count] = arena_copy(&request->arena, destination);
	CHECK(moved[count].data != NULL);
	request->u.due.moved_to_count++;
}

static size_t
ram_row_total(struct ram *ram)
{
	struct ram_message *message;
	size_t total = 0;

	DL_FOREACH(ram->messages, message)
	total += message->row_count;
	return total;
}

/* All waiting rows, the earliest first; to be freed. */
static struct ram_pick *
ram_waiting(struct ram *ram, size_t *count_out)
{
	struct ram_pick *picks = mem_new(ram_row_total(ram), sizeof(*picks));
	struct ram_message *message;
	size_t count = 0;

	DL_FOREACH(ram->messages, message)
	for (size_t i = 0; i < message->row_count; i++)
		if (!message->rows[i].is_gone &&
		    message->rows[i].lane == STORE_WAITING)
			picks[count++] = (struct ram_pick){message, i};
	qsort(picks, count, sizeof(*picks), ram_pick_compare_due);
	*count_out = count;
	return picks;
}

static void
ram_do_due(struct ram *ram, struct store_request *request)
{
	size_t count, i;
	struct ram_pick *picks = ram_waiting(ram, &count);

	request->u.due.moved =
	    arena_new(&request->arena, STORE_SLICE_MAX * sizeof(struct str));
	CHECK(request->u.due.moved != NULL);
	request->u.due.moved_to_count = 0;
	for (i = 0; i < count && i < STORE_SLICE_MAX; i++) {
		struct ram_row *row = &picks[i].message->rows[picks[i].index];

		if (row->due_ms > request->u.due.now_ms)
			break;
		ram_row_set_lane(row, ram_row_home(row), 0);
		ram_due_add(request, row->row.destination);
	}
	request->u.due.moved_count = i;
	request->u.due.next_due_ms =
	    i < count ? picks[i].message->rows[picks[i].index].due_ms : 0;
	free(picks);
}

static void
ram_do_rehold(struct ram *ram, struct store_request *request)
{
	struct ram_message *message;

	DL_FOREACH(ram->messages, message)
	for (size_t i = 0; i < message->row_count; i++) {
		struct ram_row *row = &message->rows[i];

		if (row->lane == STORE_WAITING &&
		    ram_row_matches(
			row, request->u.rehold.destination, NULL, 0))
			ram_row_set_lane(row, ram_row_home(row), 0);
	}
}

static void
ram_do_park(struct ram *ram, struct store_request *request)
{
	struct str name = request->u.park.destination;
	struct ram_park *park;

	if (name.size == 0 || name.size > STORE_DESTINATION_MAX) {
		request->error = -EINVAL;
		return;
	}
	HASH_FIND(hh, ram->parks, name.data, name.size, park);
	if (park != NULL) {
		HASH_DEL(ram->parks, park);
		free(park->name);
		free(park);
	}
	if (request->u.park.due_ms == 0)
		return;
	park = mem_new(1, sizeof(*park));
	park->name = mem_copy_text(name.data, name.size);
	park->due_ms = request->u.park.due_ms;
	park->failures = request->u.park.failures;
	HASH_ADD_KEYPTR(hh, ram->parks, park->name, name.size, park);
}

/* True if the change would do something to the row. */
static bool
ram_change_wants(const struct store_request *request, const struct ram_row *row)
{
	if (!ram_filter_has_row(&request->u.change.filter, row))
		return false;
	switch (request->u.change.change) {
	case STORE_CHANGE_HOLD:
		return row->lane != STORE_STOPPED;
	case STORE_CHANGE_FREE:
		return row->lane == STORE_STOPPED;
	case STORE_CHANGE_DELETE:
		return true;
	}
	return false;
}

/* Changes one row; true if that ended the message. */
static bool
ram_change_row(struct ram *ram, struct store_request *request,
    struct ram_message *message, size_t index)
{
	struct ram_row *row = &message->rows[index];

	request->u.change.changed_count++;
	switch (request->u.change.change) {
	case STORE_CHANGE_HOLD:
		ram_row_set_lane(row, STORE_STOPPED, 0);
		return false;
	case STORE_CHANGE_FREE:
		ram_row_set_lane(row, ram_row_home(row), 0);
		return false;
	case STORE_CHANGE_DELETE:
		break;
	}
	return ram_row_remove(ram, message, index);
}

/* Changes a message; false if the slice ended before all its rows were seen.
   Leased rows count when the message is through, so that a message cut in two
   by the end of a slice does not count them twice. */
static bool
ram_change_message(
    struct ram *ram, struct store_request *request, struct ram_message *message)
{
	size_t leased_count = 0, row_count = message->row_count;

	for (size_t i = 0; i < row_count; i++) {
		struct ram_row *row = &message->rows[i];

		if (!ram_change_wants(request, row))
			continue;
		if (ram_lease_find(message, row->row.destination) != NULL) {
			leased_count++;
			continue;
		}
		if (request->u.change.is_dry) {
			request->u.change.changed_count++;
			continue;
		}
		if (request->u.change.changed_count == STORE_SLICE_MAX)
			return false;
		if (ram_change_row(ram, request, message, i))
			break;
	}
	request->u.change.leased_count += leased_count;
	return true;
}

static void
ram_do_change(struct ram *ram, struct store_request *request)
{
	struct ram_message *message, *next;

	request->u.change.changed_count = request->u.change.leased_count = 0;
	request->u.change.next_key = 0;
	if (request->u.change.change > STORE_CHANGE_DELETE) {
		request->error = -EINVAL;
		return;
	}
	DL_FOREACH_SAFE(ram->messages, message, next)
	{
		uint64_t key = message->key;

		if (key <= request->u.change.after_key ||
		    !ram_filter_has(&request->u.change.filter, message))
			continue;
		if (!ram_change_message(ram, request, message)) {
			request->u.change.next_key = key - 1;
			return;
		}
	}
}

/* Moves one row that is queued and not leased. */
static void
ram_move_row(struct store_request *request, struct ram_message *message,
    const struct store_move *move)
{
	struct ram_row *row = &message->rows[move->index];

	request->u.move.done_count++;
	if (!str_equal(row->row.destination, move->destination)) {
		request->u.move.moved_count++;
		row->row.destination =
		    arena_copy(&message->arena, move->destination);
		CHECK(row->row.destination.data != NULL);
	}
	row->row.is_held = move->is_held;
	if (move->alarm_ms > 0)
		row->row.alarm_ms = move->alarm_ms;
	if (row->lane == STORE_STOPPED ||
	    (row->lane == STORE_WAITING && !request->u.move.is_now))
		return;
	ram_row_set_lane(row, ram_row_home(row), 0);
}

static void
ram_do_move(struct ram *ram, struct store_request *request)
{
	struct ram_message *message;

	request->u.move.done_count = request->u.move.moved_count = 0;
	request->u.move.leased_count = 0;
	HASH_FIND_STR(ram->by_id, request->u.move.id, message);
	if (!store_move_is_valid(
		request->u.move.moves, request->u.move.move_count))
		request->error = -EINVAL;
	else if (message == NULL)
		request->error = -ENOENT;
	if (request->error < 0)
		return;
	for (size_t i = 0; i < request->u.move.move_count; i++) {
		const struct store_move *move = &request->u.move.moves[i];
		const struct ram_row *row;

		if (move->index >= message->row_count)
			continue;
		row = &message->rows[move->index];
		if (row->is_gone)
			continue;
		if (ram_lease_find(message, row->row.destination) != NULL ||
		    ram_lease_find(message, move->destination) != NULL)
			request->u.move.leased_count++;
		else
			ram_move_row(request, message, move);
	}
}

static void
ram_do(struct ram *ram, struct store_request *request)
{
	request->error = 0;
	switch (request->verb) {
	case STORE_APPEND:
		ram_do_append(ram, request);
		return;
	case STORE_STAGE:
		ram_do_stage(ram, request);
		return;
	case STORE_UNSTAGE:
		ram_do_unstage(ram, request);
		return;
	case STORE_TAKE:
		ram_take(ram, request);
		return;
	case STORE_SETTLE:
		ram_settle(ram, request);
		return;
	case STORE_READ:
		ram_read(ram, request);
		return;
	case STORE_DUE:
		ram_do_due(ram, request);
		return;
	case STORE_REHOLD:
		ram_do_rehold(ram, request);
		return;
	case STORE_COUNT:
		ram_count(ram, request);
		return;
	case STORE_DESTINATIONS:
		ram_destinations(ram, request);
		return;
	case STORE_PARK:
		ram_do_park(ram, request);
		return;
	case STORE_FIND:
		ram_find(ram, request);
		return;
	case STORE_CHANGE:
		ram_do_change(ram, request);
		return;
	case STORE_ALARM:
		ram_alarm(ram, request);
		return;
	case STORE_MOVE:
		ram_do_move(ram, request);
		return;
	case STORE_LEASE:
		ram_lease(ram, request);
		return;
	case STORE_CLOCK: /* nothing survives that could be asked for it */
	case STORE_VERBS:
		return;
	}
}

static struct store_totals
ram_totals(struct ram *ram)
{
	struct store_totals totals = {
	    .messages = HASH_COUNT(ram->by_id),
	    .bytes = ram->content_bytes,
	    .room_bytes = UINT64_MAX,
	};

	if (ram->os != NULL && os_room(ram->os, &totals.room_bytes) < 0)
		totals.room_bytes = 0;
	return totals;
}

static void
ram_batch(struct store *store, struct store_request **requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ram_do(ram_of(store), requests[i]);
		requests[i]->totals = ram_totals(ram_of(store));
	}
}

static bool
ram_idle(struct store *store)
{
	return false;
}

static void
ram_info(struct store *store, struct store_info *info_out)
{
	*info_out = (struct store_info){
	    .was_clean = true, .totals = ram_totals(ram_of(store))};
}

static void
ram_close(struct store *store)
{
	struct ram *ram = ram_of(store);
	struct ram_park *park, *next;

	while (ram->messages != NULL)
		ram_message_free(ram, ram->messages);
	while (ram->stages != NULL)
		ram_stage_free(ram, ram->stages);
	HASH_ITER(hh, ram->parks, park, next)
	{
		HASH_DEL(ram->parks, park);
		free(park->name);
		free(park);
	}
	free(ram);
}

static const struct store_ops ram_ops = {
    .batch = ram_batch,
    .idle = ram_idle,
    .info = ram_info,
    .check = ram_check,
    .close = ram_close,
};

struct store *
store_ram_new(struct os *os)
{
	struct ram *ram = mem_new(1, sizeof(*ram));

	ram->store.ops = &ram_ops;
	ram->key_last = 1; /* there is a key before the first one's, not 0 */
	ram->os = os;
	return &ram->store;
}
