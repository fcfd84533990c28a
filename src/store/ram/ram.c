/*
 * The model engine: the requests that change something.  Promises: with any
 * error nothing was changed; nothing survives close.
 */
#include "store/ram/ram.h"
#include "base/check.h"
#include "base/mem.h"
#include "store/ram/ram_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct ram *
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

/* Its rows are gone. */
static void
ram_message_free(struct ram *ram, struct ram_message *message)
{
	CHECK(message->spots == NULL);
	ram_message_end(ram, message);
	ram->content_bytes -= message->content_size;
	for (size_t i = 0; i < message->row_count; i++)
		free(message->rows[i].status);
	arena_fini(&message->arena);
	free(message->rows);
	free(message->reason);
	free(message->content);
	free(message);
}

bool
ram_row_remove(struct ram *ram, struct ram_row *row)
{
	struct ram_message *message = row->message;

	CHECK(!row->is_gone);
	ram_row_end(ram, row);
	row->is_gone = true;
	if (--message->left_count > 0)
		return false;
	if (ram->keeper != NULL)
		ram->keeper->removed(ram->keeper_arg, message);
	ram_message_free(ram, message);
	return true;
}

void
ram_forget(struct ram *ram, struct ram_message *message)
{
	CHECK(message->lease_count == 0);
	for (size_t i = 0; i < message->row_count; i++)
		if (!message->rows[i].is_gone)
			ram_row_end(ram, &message->rows[i]);
	ram_message_free(ram, message);
}

bool
ram_hold(struct ram *ram, struct ram_message *message)
{
	return ram->keeper == NULL ||
	       ram->keeper->hold(ram->keeper_arg, message);
}

void
ram_changed(struct ram *ram, struct ram_message *message)
{
	if (ram->keeper != NULL)
		ram->keeper->changed(ram->keeper_arg, message);
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
ram_append_row(struct ram *ram, struct ram_message *to, size_t i,
    const struct store_row *from)
{
	struct ram_row *row = &to->rows[i];

	row->message = to;
	row->index = (uint32_t)i;
	row->row.is_held = from->is_held;
	row->row.alarm_ms = from->alarm_ms;
	row->row.domain = arena_copy(&to->arena, from->domain);
	CHECK(row->row.domain.data != NULL);
	CHECK(mail_recipient_copy(
		  &to->arena, &from->recipient, &row->row.recipient) == 0);
	ram_row_begin(ram, row, from->destination, ram_row_home(row), 0);
}

/* What was staged for it, or what came with it. */
static void
ram_append_content(struct ram *ram, struct ram_message *message,
    const struct store_message *from)
{
	struct str content = buf_str(&from->content);
	struct ram_stage *stage;

	HASH_FIND_STR(ram->stages, from->id, stage);
	if (stage != NULL)
		content = str_of(stage->bytes, stage->size);
	if (ram->keeper == NULL)
		message->content = mem_copy_text(content.data, content.size);
	message->content_size = from->content_size;
	ram->content_bytes += from->content_size;
	ram_stage_free(ram, stage);
}

/* Keeps a copy; ram_append_check() said 0. */
struct ram_message *
ram_append(struct ram *ram, const struct store_message *from, uint64_t key)
{
	struct ram_message *message = mem_new(1, sizeof(*message));

	memcpy(message->id, from->id, sizeof(message->id));
	ram_message_begin(ram, message, key);
	message->arrival_ms = from->arrival_ms;
	message->arrival_wall_ms = from->arrival_wall_ms;
	message->expire_ms = from->expire_ms;
	message->rank = from->rank;
	arena_init(&message->arena, STORE_ARENA_MAX);
	CHECK(mail_envelope_copy(
		  &message->arena, &from->envelope, &message->envelope) == 0);
	ram_append_content(ram, message, from);
	message->row_count = message->left_count = from->row_count;
	message->rows = mem_new(from->row_count, sizeof(*message->rows));
	for (size_t i = 0; i < from->row_count; i++)
		ram_append_row(ram, message, i, &from->rows[i]);
	return message;
}

static void
ram_do_append(struct ram *ram, struct store_request *request)
{
	request->error = ram_append_check(ram, request->u.append.message);
	if (request->error == 0)
		(void)ram_append(ram, request->u.append.message, 0);
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

static void
ram_do_due(struct ram *ram, struct store_request *request)
{
	struct tree_node *node;
	size_t count = 0;

	request->u.due.moved =
	    arena_new(&request->arena, STORE_SLICE_MAX * sizeof(struct str));
	CHECK(request->u.due.moved != NULL);
	request->u.due.moved_to_count = 0;
	request->u.due.next_due_ms = 0;
	while ((node = tree_first(&ram->by_due)) != NULL) {
		struct ram_row *row = TREE_OBJECT(node, struct ram_row, in_due);

		if (row->due_ms > request->u.due.now_ms ||
		    count == STORE_SLICE_MAX) {
			request->u.due.next_due_ms = row->due_ms;
			break;
		}
		ram_row_set_lane(ram, row, ram_row_home(row), 0);
		ram_due_add(request, row->row.destination);
		count++;
	}
	request->u.due.moved_count = count;
}

static void
ram_do_rehold(struct ram *ram, struct store_request *request)
{
	struct ram_destination *d =
	    ram_destination_find(ram, request->u.rehold.destination);
	struct tree_node *node;

	if (d == NULL)
		return;
	while ((node = tree_first(&d->lanes[STORE_WAITING])) != NULL) {
		struct ram_row *row =
		    TREE_OBJECT(node, struct ram_row, in_lane);

		ram_row_set_lane(ram, row, ram_row_home(row), 0);
		/* If it cannot be kept now, its time comes all the same. */
		if (ram_hold(ram, row->message))
			ram_changed(ram, row->message);
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

void
ram_set_reason(struct ram_message *message, struct str reason)
{
	free(message->reason);
	message->reason = NULL;
	if (reason.size > 0)
		message->reason = mem_copy_text(reason.data, reason.size);
}

/* True if the request has a reason that is not the message's. */
static bool
ram_is_other_reason(
    const struct store_request *request, const struct ram_message *message)
{
	struct str reason = request->u.change.reason;

	return reason.size > 0 &&
	       (message->reason == NULL ||
		   !str_equal(reason, str_from(message->reason)));
}

/* True if the change would do something to the row. */
static bool
ram_change_wants(const struct store_request *request, const struct ram_row *row,
    bool is_other_reason)
{
	if (!ram_filter_has_row(&request->u.change.filter, row))
		return false;
	switch (request->u.change.change) {
	case STORE_CHANGE_HOLD:
		return row->lane != STORE_STOPPED || is_other_reason;
	case STORE_CHANGE_FREE:
		return row->lane == STORE_STOPPED;
	case STORE_CHANGE_DELETE:
		return true;
	}
	return false;
}

/* Changes one row; true if that ended the message. */
static bool
ram_change_row(
    struct ram *ram, struct store_request *request, struct ram_row *row)
{
	request->u.change.changed_count++;
	switch (request->u.change.change) {
	case STORE_CHANGE_HOLD:
		ram_row_set_lane(ram, row, STORE_STOPPED, 0);
		ram_set_reason(row->message, request->u.change.reason);
		break;
	case STORE_CHANGE_FREE:
		ram_row_set_lane(ram, row, ram_row_home(row), 0);
		ram_set_reason(row->message, STR(""));
		break;
	case STORE_CHANGE_DELETE:
		if (ram_row_remove(ram, row))
			return true;
	}
	ram_changed(ram, row->message);
	return false;
}

/* Changes a message; false if the slice ended before all its rows were seen.
   Leased rows count when the message is through, so that a message cut in two
   by the end of a slice does not count them twice. */
static bool
ram_change_message(
    struct ram *ram, struct store_request *request, struct ram_message *message)
{
	size_t leased_count = 0, row_count = message->row_count;
	bool is_other_reason = ram_is_other_reason(request, message);

	for (size_t i = 0; i < row_count; i++) {
		struct ram_row *row = &message->rows[i];

		if (!ram_change_wants(request, row, is_other_reason))
			continue;
		if (request->u.change.is_dry && row->spot->lease == NULL) {
			request->u.change.changed_count++;
			continue;
		}
		if (row->spot->lease != NULL || !ram_hold(ram, message)) {
			leased_count++;
			continue;
		}
		if (request->u.change.changed_count == STORE_SLICE_MAX)
			return false;
		if (ram_change_row(ram, request, row))
			break;
	}
	request->u.change.leased_count += leased_count;
	return true;
}

static void
ram_do_change(struct ram *ram, struct store_request *request)
{
	const struct store_filter *filter = &request->u.change.filter;
	struct ram_message *message, *next;

	request->u.change.changed_count = request->u.change.leased_count = 0;
	request->u.change.next_key = 0;
	if (request->u.change.change > STORE_CHANGE_DELETE ||
	    !store_reason_is_valid(request->u.change.reason)) {
		request->error = -EINVAL;
		return;
	}
	for (message =
		 ram_filter_first(ram, filter, request->u.change.after_key);
	     message != NULL; message = next) {
		uint64_t key = message->key;

		next = ram_filter_next(filter, message);
		if (ram_filter_has(filter, message) &&
		    !ram_change_message(ram, request, message)) {
			request->u.change.next_key = key - 1;
			return;
		}
	}
}

/* Moves one row that is queued and not leased. */
static void
ram_move_row(struct ram *ram, struct store_request *request,
    struct ram_row *row, const struct store_move *move)
{
	enum store_lane lane = row->lane;
	uint64_t due_ms = row->due_ms;

	request->u.move.done_count++;
	row->row.is_held = move->is_held;
	if (lane != STORE_STOPPED &&
	    (lane != STORE_WAITING || request->u.move.is_now))
		lane = ram_row_home(row);
	if (str_equal(row->row.destination, move->destination))
		ram_row_set_lane(ram, row, lane, due_ms);
	else {
		request->u.move.moved_count++;
		ram_row_end(ram, row);
		ram_row_begin(ram, row, move->destination, lane, due_ms);
	}
	if (move->alarm_ms > 0)
		ram_row_set_alarm(ram, row, move->alarm_ms, row->is_told);
	ram_changed(ram, row->message);
}

/* True if the row, or where it would go, is leased. */
static bool
ram_move_is_leased(struct ram *ram, struct ram_row *row, struct str destination)
{
	return row->spot->lease != NULL ||
	       ram_is_leased(row->message, destination) ||
	       !ram_hold(ram, row->message);
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
		struct ram_row *row;

		if (move->index >= message->row_count)
			continue;
		row = &message->rows[move->index];
		if (row->is_gone)
			continue;
		if (ram_move_is_leased(ram, row, move->destination))
			request->u.move.leased_count++;
		else
			ram_move_row(ram, request, row, move);
	}
}

void
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

struct store_totals
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

	while (ram->messages != NULL) {
		struct ram_spot *spot;

		LL_FOREACH(ram->messages->spots, spot)
		{
			free(spot->lease);
			spot->lease = NULL;
		}
		ram->messages->lease_count = 0;
		ram_forget(ram, ram->messages);
	}
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
	ram_index_init(ram);
	return &ram->store;
}
