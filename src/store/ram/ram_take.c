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

static int
ram_pick_compare_rank(const void *left, const void *right)
{
	const struct ram_pick *a = left, *b = right;
	int order = ram_compare_numbers(a->message->rank, b->message->rank);

	return order ? order
	             : ram_compare_numbers(a->message->key, b->message->key);
}

static bool
ram_take_wants(const struct store_request *request, const struct ram_row *row,
    enum store_lane lane)
{
	CHECK(request->verb == STORE_TAKE);
	return row->lane == lane &&
	       ram_row_matches(row, request->u.take.destination,
		   request->u.take.domains, request->u.take.domain_count);
}

/* The messages that may be leased from LANE, by rank; to be freed. */
static struct ram_pick *
ram_take_candidates(struct ram *ram, const struct store_request *request,
    enum store_lane lane, size_t *count_out)
{
	struct ram_pick *picks =
	    mem_new(HASH_COUNT(ram->by_id), sizeof(*picks));
	struct ram_message *message;
	size_t count = 0;

	DL_FOREACH(ram->messages, message)
	{
		size_t i = 0;

		while (i < message->row_count &&
		       !ram_take_wants(request, &message->rows[i], lane))
			i++;
		if (i < message->row_count &&
		    ram_lease_find(message, request->u.take.destination) ==
			NULL)
			picks[count++] = (struct ram_pick){message, i};
	}
	qsort(picks, count, sizeof(*picks), ram_pick_compare_rank);
	*count_out = count;
	return picks;
}

/* The strings of a lease and its rows, whose indexes LEASE has; false if the
   arena is full. */
static bool
ram_lease_answer(struct store_request *request,
    const struct ram_message *message, const struct ram_lease *lease,
    struct store_lease *to)
{
	struct arena *arena = &request->arena;

	*to = (struct store_lease){
	    .destination = arena_copy(arena, lease->destination),
	    .arrival_ms = message->arrival_ms,
	    .arrival_wall_ms = message->arrival_wall_ms,
	    .expire_ms = message->expire_ms,
	    .content_size = message->content_size,
	    .row_count = lease->row_count,
	    .rows = arena_new(arena, lease->row_count * sizeof(*to->rows)),
	    .content = STR(""),
	};
	memcpy(to->id, message->id, sizeof(to->id));
	if (request->verb == STORE_TAKE &&
	    message->content_size <= request->u.take.inline_max)
		to->content = arena_copy(
		    arena, str_of(message->content, message->content_size));
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

/* Leases the rows of MESSAGE in LANE; false if the arena is full. */
static bool
ram_take_message(struct store_request *request, struct ram_message *message,
    enum store_lane lane)
{
	struct ram_lease *lease = mem_new(1, sizeof(*lease));
	struct store_lease *answer =
	    &request->u.take.leases[request->u.take.lease_count];

	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++) {
		if (!ram_take_wants(request, &message->rows[i], lane))
			continue;
		/* The row's own string lives as long as the lease. */
		lease->destination = message->rows[i].row.destination;
		lease->rows[lease->row_count++] = (uint32_t)i;
	}
	if (!ram_lease_answer(request, message, lease, answer)) {
		free(lease);
		return false;
	}
	LL_PREPEND(message->leases, lease);
	request->u.take.lease_count++;
	return true;
}

void
ram_take(struct ram *ram, struct store_request *request)
{
	static const enum store_lane lanes[] = {STORE_READY, STORE_HELD};
	size_t lane_count = request->u.take.is_released ? 2 : 1;
	size_t count, count_max = HASH_COUNT(ram->by_id);
	bool is_full = false;

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
	for (size_t lane = 0; lane < lane_count; lane++) {
		struct ram_pick *picks =
		    ram_take_candidates(ram, request, lanes[lane], &count);

		for (size_t i = 0; i < count && !is_full &&
				   request->u.take.lease_count < count_max;
		     i++)
			is_full = !ram_take_message(
			    request, picks[i].message, lanes[lane]);
		free(picks);
	}
}

static bool
ram_alarm_wants(const struct store_request *request, const struct ram_row *row)
{
	return !row->is_gone && row->lane != STORE_STOPPED &&
	       row->row.alarm_ms > 0 &&
	       row->row.alarm_ms <= request->u.alarm.now_ms;
}

static int
ram_pick_compare_alarm(const void *left, const void *right)
{
	const struct ram_pick *a = left, *b = right;
	int order = ram_compare_numbers(a->message->rows[a->index].row.alarm_ms,
	    b->message->rows[b->index].row.alarm_ms);

	if (order == 0)
		order = ram_compare_numbers(a->message->key, b->message->key);
	return order ? order : ram_compare_numbers(a->index, b->index);
}

/* Leases the rows of MESSAGE at DESTINATION; false if the arena is full. */
static bool
ram_alarm_message(struct store_request *request, struct ram_message *message,
    struct str destination)
{
	struct ram_lease *lease = mem_new(1, sizeof(*lease));

	/* The row's own string lives as long as the lease. */
	lease->destination = destination;
	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++)
		if (ram_alarm_wants(request, &message->rows[i]) &&
		    ram_row_matches(&message->rows[i], destination, NULL, 0))
			lease->rows[lease->row_count++] = (uint32_t)i;
	if (!ram_lease_answer(request, message, lease,
		&request->u.alarm.leases[request->u.alarm.lease_count])) {
		free(lease);
		return false;
	}
	LL_PREPEND(message->leases, lease);
	request->u.alarm.lease_count++;
	return true;
}

/* Walks the rows with an alarm, the earliest first. */
static void
ram_alarm_walk(struct store_request *request, const struct ram_pick *picks,
    size_t count, size_t count_max)
{
	for (size_t i = 0; i < count; i++) {
		struct ram_message *message = picks[i].message;
		const struct ram_row *row = &message->rows[picks[i].index];

		request->u.alarm.next_alarm_ms = row->row.alarm_ms;
		if (row->row.alarm_ms > request->u.alarm.now_ms)
			return;
		if (ram_lease_find(message, row->row.destination) != NULL) {
			request->u.alarm.is_passed = true;
			continue;
		}
		if (request->u.alarm.lease_count == count_max ||
		    !ram_alarm_message(request, message, row->row.destination))
			return;
	}
	request->u.alarm.next_alarm_ms = 0;
}

void
ram_alarm(struct ram *ram, struct store_request *request)
{
	size_t count = 0, row_count = 0;
	size_t count_max = request->u.alarm.count;
	struct ram_message *message;
	struct ram_pick *picks;

	request->u.alarm.lease_count = 0;
	request->u.alarm.is_passed = false;
	DL_FOREACH(ram->messages, message)
	row_count += message->row_count;
	if (count_max > row_count)
		count_max = row_count;
	if (count_max > STORE_ARENA_MAX / 4 / sizeof(struct store_lease))
		count_max = STORE_ARENA_MAX / 4 / sizeof(struct store_lease);
	request->u.alarm.leases = arena_new(
	    &request->arena, count_max * sizeof(*request->u.alarm.leases));
	CHECK(request->u.alarm.leases != NULL);
	picks = mem_new(row_count, sizeof(*picks));
	DL_FOREACH(ram->messages, message)
	for (size_t i = 0; i < message->row_count; i++)
		if (!message->rows[i].is_gone &&
		    message->rows[i].lane != STORE_STOPPED &&
		    message->rows[i].row.alarm_ms > 0)
			picks[count++] = (struct ram_pick){message, i};
	qsort(picks, count, sizeof(*picks), ram_pick_compare_alarm);
	ram_alarm_walk(request, picks, count, count_max);
	free(picks);
}

/* Leases those rows of MESSAGE at DESTINATION that are of the filter: 1, or
   0 if that may not be all of them, or the arena is full. */
static int
ram_lease_message(struct store_request *request, struct ram_message *message,
    struct str destination)
{
	struct ram_lease *lease = mem_new(1, sizeof(*lease));

	/* The row's own string lives as long as the lease. */
	lease->destination = destination;
	for (size_t i = 0;
	     i < message->row_count && lease->row_count < STORE_LEASE_ROWS_MAX;
	     i++)
		if (ram_filter_has_row(
			&request->u.lease.filter, &message->rows[i]) &&
		    str_equal(message->rows[i].row.destination, destination))
			lease->rows[lease->row_count++] = (uint32_t)i;
	if (!ram_lease_answer(request, message, lease,
		&request->u.lease.leases[request->u.lease.lease_count])) {
		free(lease);
		return 0;
	}
	LL_PREPEND(message->leases, lease);
	request->u.lease.lease_count++;
	return lease->row_count < STORE_LEASE_ROWS_MAX;
}

/* The same at all its destinations. */
static int
ram_lease_all(struct store_request *request, struct ram_message *message,
    size_t count_max)
{
	size_t before = request->u.lease.lease_count, leased_count = 0;

	for (size_t i = 0; i < message->row_count; i++) {
		struct str name = message->rows[i].row.destination;
		bool is_new = true;

		if (!ram_filter_has_row(
			&request->u.lease.filter, &message->rows[i]))
			continue;
		for (size_t j = before; j < request->u.lease.lease_count; j++)
			is_new &= !str_equal(
			    request->u.lease.leases[j].destination, name);
		if (is_new && ram_lease_find(message, name) != NULL)
			leased_count++;
		else if (is_new &&
			 (request->u.lease.lease_count == count_max ||
			     ram_lease_message(request, message, name) == 0))
			return 0;
	}
	request->u.lease.leased_count += leased_count;
	return 1;
}

void
ram_lease(struct ram *ram, struct store_request *request)
{
	size_t count_max = request->u.lease.count;
	struct ram_message *message;

	request->u.lease.lease_count = request->u.lease.leased_count = 0;
	request->u.lease.next_key = 0;
	if (count_max > STORE_SLICE_MAX)
		count_max = STORE_SLICE_MAX;
	request->u.lease.leases = arena_new(
	    &request->arena, count_max * sizeof(*request->u.lease.leases));
	CHECK(request->u.lease.leases != NULL);
	DL_FOREACH(ram->messages, message)
	{
		if (message->key <= request->u.lease.after_key ||
		    !ram_filter_has(&request->u.lease.filter, message))
			continue;
		if (ram_lease_all(request, message, count_max) == 0) {
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
ram_settle_row(struct ram *ram, struct ram_message *message,
    const struct store_result *result)
{
	struct ram_row *row = &message->rows[result->index];

	if (result->alarm_ms > 0) {
		row->row.alarm_ms = result->alarm_ms;
		row->is_told = result->is_told;
	}
	switch (result->outcome) {
	case STORE_UNTRIED:
		return false;
	case STORE_DELIVERED:
	case STORE_FAILED:
		return ram_row_remove(ram, message, result->index);
	case STORE_DEFERRED:
		ram_row_set_lane(row, STORE_WAITING, result->due_ms);
		row->attempts++;
		free(row->status);
		row->status =
		    mem_copy_text(result->status.data, result->status.size);
	}
	return false;
}

/* What is left where the lease was. */
static void
ram_settle_left(struct ram *ram, struct store_request *request)
{
	struct ram_message *message;

	DL_FOREACH(ram->messages, message)
	{
		bool is_there = false;

		for (size_t i = 0; i < message->row_count; i++)
			is_there |= ram_row_matches(&message->rows[i],
			    request->u.settle.destination, NULL, 0);
		request->u.settle.left_messages += is_there;
		request->u.settle.left_bytes +=
		    is_there ? message->content_size : 0;
	}
}

void
ram_settle(struct ram *ram, struct store_request *request)
{
	struct ram_lease *lease = NULL;
	struct ram_message *message;

	request->u.settle.is_message_done = false;
	request->u.settle.left_messages = request->u.settle.left_bytes = 0;
	HASH_FIND_STR(ram->by_id, request->u.settle.id, message);
	if (message != NULL)
		lease = ram_lease_find(message, request->u.settle.destination);
	if (lease == NULL)
		request->error = -ENOENT;
	else if (!ram_settle_is_valid(request, lease))
		request->error = -EINVAL;
	else if (request->u.settle.dsn != NULL)
		request->error = ram_append_check(ram, request->u.settle.dsn);
	if (request->error < 0)
		return;
	if (request->u.settle.dsn != NULL)
		ram_append(ram, request->u.settle.dsn);
	LL_DELETE(message->leases, lease);
	free(lease);
	for (size_t i = 0; i < request->u.settle.result_count; i++)
		request->u.settle.is_message_done |=
		    ram_settle_row(ram, message, &request->u.settle.results[i]);
	ram_settle_left(ram, request);
}
