/*
 * Leases of the model engine: given by a take, ended by a settle.  A message
 * has at most one lease a destination, with rows of one lane.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/ram/ram_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static bool
ram_take_wants(const struct store_request *request, const struct ram_row *row,
    enum store_lane lane)
{
	CHECK(request->verb == STORE_TAKE);
	return row->lane == lane &&
	       ram_row_matches(row, request->u.take.destination,
		   request->u.take.domains, request->u.take.domain_count);
}

/* All content of MESSAGE in ARENA; empty if it cannot be read now. */
static struct str
ram_lease_content(
    struct ram *ram, struct ram_message *message, struct arena *arena)
{
	char *bytes;

	if (message->content != NULL || message->content_size == 0)
		return arena_copy(
		    arena, str_of(message->content, message->content_size));
	bytes = arena_new(arena, message->content_size);
	if (bytes == NULL)
		return str_of(NULL, 0);
	if (ram->keeper->read(
		ram->keeper_arg, message, 0, message->content_size, bytes) < 0)
		return STR("");
	return str_of(bytes, message->content_size);
}

/* Makes the lease of SPOT, whose rows LEASE has, which is taken over. */
static void
ram_lease_begin(struct ram_spot *spot, struct ram_lease *lease)
{
	CHECK(spot->lease == NULL && lease->row_count > 0);
	spot->lease = lease;
	spot->message->lease_count++;
}

/* The strings of a lease and its rows, whose indexes LEASE has; false if the
   arena is full. */
static bool
ram_lease_answer(struct ram *ram, struct store_request *request,
    const struct ram_spot *spot, const struct ram_lease *lease,
    struct store_lease *to)
{
	struct ram_message *message = spot->message;
	struct arena *arena = &request->arena;

	*to = (struct store_lease){
	    .destination = arena_copy(arena, spot->destination->name),
	    .arrival_ms = message->arrival_ms,
	    .arrival_wall_ms = message->arrival_wall_ms,
	    .expire_ms = message->expire_ms,
	    .content_size = message->content_size,
	    .row_count = lease->row_count,
	    .rows = arena_new(arena, lease->row_count * sizeof(*to->rows)),
	    .content = STR(""),
	};
	memcpy(to->id, message->id, sizeof(to->id));
	if (message->content_size <= store_inline_max(request))
		to->content = ram_lease_content(ram, message, arena);
	if (to->rows == NULL || to->content.data == NULL ||
	    to->destination.data == NULL ||
	    mail_envelope_copy(arena, &message->envelope, &to->envelope) < 0)
		return false;
	for (size_t i = 0; i < lease->row_count; i++) {
		const struct ram_row *row = &message->rows[lease->rows[i]];

		to->rows[i].index = lease->rows[i];
		to->rows[i].attempts = row->attempts;
		to->rows[i].alarm_ms = row->row.alarm_ms;
		to->rows[i].is_told = row->is_told;
		to->rows[i].domain = arena_copy(arena, row->row.domain);
		to->rows[i].status = arena_copy(arena, str_from(row->status));
		if (to->rows[i].domain.data == NULL ||
		    to->rows[i].status.data == NULL ||
		    mail_recipient_copy(
			arena, &row->row.recipient, &to->rows[i].recipient) < 0)
			return false;
	}
	return true;
}

/* Leases the rows of SPOT in LANE; false if the arena is full. */
static bool
ram_take_spot(struct ram *ram, struct store_request *request,
    struct ram_spot *spot, enum store_lane lane)
{
	const struct ram_message *message = spot->message;
	struct ram_lease *lease = mem_new(1, sizeof(*lease));

	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++)
		if (ram_take_wants(request, &message->rows[i], lane))
			lease->rows[lease->row_count++] = (uint32_t)i;
	if (!ram_lease_answer(ram, request, spot, lease,
		&request->u.take.leases[request->u.take.lease_count])) {
		free(lease);
		return false;
	}
	ram_lease_begin(spot, lease);
	request->u.take.lease_count++;
	return true;
}

/* Leases from one lane, by rank; false if the arena is full. */
static bool
ram_take_lane(struct ram *ram, struct store_request *request, struct tree *rows,
    size_t count_max)
{
	struct tree_node *node = tree_first(rows);

	for (; node != NULL && request->u.take.lease_count < count_max;
	     node = tree_next(node)) {
		struct ram_row *row =
		    TREE_OBJECT(node, struct ram_row, in_lane);

		if (row->spot->lease == NULL &&
		    ram_take_wants(request, row, row->lane) &&
		    ram_hold(ram, row->message) &&
		    !ram_take_spot(ram, request, row->spot, row->lane))
			return false;
	}
	return true;
}

void
ram_take(struct ram *ram, struct store_request *request)
{
	static const enum store_lane lanes[] = {STORE_READY, STORE_HELD};
	size_t lane_count = request->u.take.is_released ? 2 : 1;
	size_t count_max = HASH_COUNT(ram->by_id);
	struct ram_destination *d =
	    ram_destination_find(ram, request->u.take.destination);

	request->u.take.lease_count = 0;
	if (request->u.take.inline_max > STORE_BLOCK) {
		request->error = -EINVAL;
		return;
	}
	if (count_max > request->u.take.count)
		count_max = request->u.take.count;
	/* More would leave the arena no room for what they point to. */
	if (count_max > STORE_ARENA_MAX / 4 / sizeof(struct store_lease))
		count_max = STORE_ARENA_MAX / 4 / sizeof(struct store_lease);
	request->u.take.leases = arena_new(
	    &request->arena, count_max * sizeof(*request->u.take.leases));
	CHECK(request->u.take.leases != NULL);
	for (size_t lane = 0; d != NULL && lane < lane_count; lane++)
		if (!ram_take_lane(
			ram, request, &d->lanes[lanes[lane]], count_max))
			return;
}

static bool
ram_alarm_wants(const struct store_request *request, const struct ram_row *row)
{
	return !row->is_gone && row->lane != STORE_STOPPED &&
	       row->row.alarm_ms > 0 &&
	       row->row.alarm_ms <= request->u.alarm.now_ms;
}

/* Leases the rows of SPOT that ring; false if the arena is full. */
static bool
ram_alarm_spot(
    struct ram *ram, struct store_request *request, struct ram_spot *spot)
{
	const struct ram_message *message = spot->message;
	struct ram_lease *lease = mem_new(1, sizeof(*lease));

	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++)
		if (message->rows[i].spot == spot &&
		    ram_alarm_wants(request, &message->rows[i]))
			lease->rows[lease->row_count++] = (uint32_t)i;
	if (!ram_lease_answer(ram, request, spot, lease,
		&request->u.alarm.leases[request->u.alarm.lease_count])) {
		free(lease);
		return false;
	}
	ram_lease_begin(spot, lease);
	request->u.alarm.lease_count++;
	return true;
}

/* Walks the rows with an alarm, the earliest first. */
static void
ram_alarm_walk(struct ram *ram, struct store_request *request, size_t count_max)
{
	struct tree_node *node = tree_first(&ram->by_alarm);

	for (; node != NULL; node = tree_next(node)) {
		struct ram_row *row =
		    TREE_OBJECT(node, struct ram_row, in_alarm);

		request->u.alarm.next_alarm_ms = row->row.alarm_ms;
		if (row->row.alarm_ms > request->u.alarm.now_ms)
			return;
		if (row->spot->lease != NULL) {
			request->u.alarm.is_passed = true;
			continue;
		}
		if (request->u.alarm.lease_count == count_max)
			return;
		if (!ram_hold(ram, row->message)) {
			request->u.alarm.is_passed = true;
			continue;
		}
		if (!ram_alarm_spot(ram, request, row->spot))
			return;
	}
	request->u.alarm.next_alarm_ms = 0;
}

void
ram_alarm(struct ram *ram, struct store_request *request)
{
	size_t count_max = request->u.alarm.count;

	request->u.alarm.lease_count = 0;
	request->u.alarm.is_passed = false;
	if (count_max > ram->by_alarm.count)
		count_max = ram->by_alarm.count;
	if (count_max > STORE_ARENA_MAX / 4 / sizeof(struct store_lease))
		count_max = STORE_ARENA_MAX / 4 / sizeof(struct store_lease);
	request->u.alarm.leases = arena_new(
	    &request->arena, count_max * sizeof(*request->u.alarm.leases));
	CHECK(request->u.alarm.leases != NULL);
	ram_alarm_walk(ram, request, count_max);
}

static bool
ram_lease_wants(const struct store_request *request, const struct ram_row *row)
{
	return row->index >= request->u.lease.from_index &&
	       ram_filter_has_row(&request->u.lease.filter, row);
}

/* Leases those rows of SPOT that are of the filter: true, or false if that may
   not be all of them, or the arena is full. */
static bool
ram_lease_spot(
    struct ram *ram, struct store_request *request, struct ram_spot *spot)
{
	const struct ram_message *message = spot->message;
	struct ram_lease *lease = mem_new(1, sizeof(*lease));

	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++)
		if (message->rows[i].spot == spot &&
		    ram_lease_wants(request, &message->rows[i]))
			lease->rows[lease->row_count++] = (uint32_t)i;
	if (!ram_lease_answer(ram, request, spot, lease,
		&request->u.lease.leases[request->u.lease.lease_count])) {
		free(lease);
		return false;
	}
	ram_lease_begin(spot, lease);
	request->u.lease.lease_count++;
	return lease->row_count < STORE_LEASE_ROWS_MAX;
}

/* The same at all its destinations. */
static bool
ram_lease_message(struct ram *ram, struct store_request *request,
    struct ram_message *message, size_t count_max)
{
	size_t before = request->u.lease.lease_count, leased_count = 0;

	for (size_t i = 0; i < message->row_count; i++) {
		struct ram_row *row = &message->rows[i];
		bool is_new = true;

		if (!ram_lease_wants(request, row))
			continue;
		for (size_t j = before; j < request->u.lease.lease_count; j++)
			is_new &=
			    !str_equal(request->u.lease.leases[j].destination,
				row->row.destination);
		if (!is_new)
			continue;
		if (row->spot->lease != NULL || !ram_hold(ram, message))
			leased_count++;
		else if (request->u.lease.lease_count == count_max ||
			 !ram_lease_spot(ram, request, row->spot))
			return false;
	}
	request->u.lease.leased_count += leased_count;
	return true;
}

void
ram_lease(struct ram *ram, struct store_request *request)
{
	const struct store_filter *filter = &request->u.lease.filter;
	size_t count_max = request->u.lease.count;
	struct ram_message *message;

	request->u.lease.lease_count = request->u.lease.leased_count = 0;
	request->u.lease.next_key = 0;
	if (request->u.lease.inline_max > STORE_BLOCK) {
		request->error = -EINVAL;
		return;
	}
	if (count_max > STORE_SLICE_MAX)
		count_max = STORE_SLICE_MAX;
	request->u.lease.leases = arena_new(
	    &request->arena, count_max * sizeof(*request->u.lease.leases));
	CHECK(request->u.lease.leases != NULL);
	for (message =
		 ram_filter_first(ram, filter, request->u.lease.after_key);
	     message != NULL; message = ram_filter_next(filter, message)) {
		if (ram_filter_has(filter, message) &&
		    !ram_lease_message(ram, request, message, count_max)) {
			request->u.lease.next_key = message->key - 1;
			return;
		}
	}
}

/* True if the results name rows of the lease, each once at most, and say what
   an outcome needs. */
static bool
ram_settle_is_valid(
    const struct store_request *request, const struct ram_lease *lease)
{
	bool is_named[STORE_LEASE_ROWS_MAX] = {false};

	for (size_t i = 0; i < request->u.settle.result_count; i++) {
		const struct store_result *result =
		    &request->u.settle.results[i];
		size_t at = 0;

		while (
		    at < lease->row_count && lease->rows[at] != result->index)
			at++;
		if (at == lease->row_count || is_named[at] ||
		    result->outcome > STORE_UNTRIED ||
		    result->status.size > STORE_STATUS_MAX ||
		    (result->outcome == STORE_DEFERRED && result->due_ms == 0))
			return false;
		is_named[at] = true;
	}
	return true;
}

/* True if that ended the message. */
static bool
ram_settle_row(
    struct ram *ram, struct ram_row *row, const struct store_result *result)
{
	if (result->alarm_ms > 0 && result->outcome != STORE_DELIVERED &&
	    result->outcome != STORE_FAILED)
		ram_row_set_alarm(ram, row, result->alarm_ms, result->is_told);
	switch (result->outcome) {
	case STORE_UNTRIED:
		if (result->alarm_ms == 0)
			return false;
		break;
	case STORE_DELIVERED:
	case STORE_FAILED:
		if (ram_row_remove(ram, row))
			return true;
		break;
	case STORE_DEFERRED:
		if (row->lane != STORE_STOPPED)
			ram_row_set_lane(
			    ram, row, STORE_WAITING, result->due_ms);
		row->attempts++;
		free(row->status);
		row->status =
		    mem_copy_text(result->status.data, result->status.size);
	}
	ram_changed(ram, row->message);
	return false;
}

int
ram_settle_check(struct ram *ram, const struct store_request *request)
{
	const struct ram_spot *spot = NULL;
	struct ram_message *message;

	HASH_FIND_STR(ram->by_id, request->u.settle.id, message);
	if (message != NULL)
		spot = ram_spot_find(message, request->u.settle.destination);
	if (spot == NULL || spot->lease == NULL)
		return -ENOENT;
	if (!ram_settle_is_valid(request, spot->lease))
		return -EINVAL;
	if (request->u.settle.dsn != NULL && ram->keeper == NULL)
		return ram_append_check(ram, request->u.settle.dsn);
	return 0;
}

void
ram_settle(struct ram *ram, struct store_request *request)
{
	struct str name = request->u.settle.destination;
	struct ram_message *message;
	struct ram_destination *d;
	struct ram_spot *spot;

	request->u.settle.is_message_done = false;
	request->u.settle.left_messages = request->u.settle.left_bytes = 0;
	request->error = ram_settle_check(ram, request);
	if (request->error < 0)
		return;
	if (request->u.settle.dsn != NULL)
		(void)ram_append(ram, request->u.settle.dsn, 0);
	HASH_FIND_STR(ram->by_id, request->u.settle.id, message);
	spot = ram_spot_find(message, name);
	free(spot->lease);
	spot->lease = NULL;
	message->lease_count--;
	for (size_t i = 0; i < request->u.settle.result_count; i++) {
		const struct store_result *result =
		    &request->u.settle.results[i];

		request->u.settle.is_message_done |=
		    ram_settle_row(ram, &message->rows[result->index], result);
	}
	d = ram_destination_find(ram, name);
	request->u.settle.left_messages = d != NULL ? d->spots.count : 0;
	request->u.settle.left_bytes = d != NULL ? d->bytes : 0;
}
