/*
 * The requests of the model engine that change nothing; answers are copied
 * into the request's arena.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/ram/ram_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Array elements of an answer may take a quarter of its arena. */
#define RAM_ARRAY_MAX (STORE_ARENA_MAX / 4)

bool
ram_is_leased(const struct ram_message *message, struct str destination)
{
	const struct ram_spot *spot = ram_spot_find(message, destination);

	return spot != NULL && spot->lease != NULL;
}

bool
ram_row_matches(const struct ram_row *row, struct str destination,
    const struct str *domains, size_t domain_count)
{
	return !row->is_gone && str_equal(row->row.destination, destination) &&
	       store_domains_have(domains, domain_count, row->row.domain);
}

bool
ram_filter_has_row(const struct store_filter *filter, const struct ram_row *row)
{
	return !row->is_gone &&
	       store_filter_has_row(filter, row->row.destination,
		   row->row.domain, row->row.recipient.address);
}

bool
ram_filter_has(
    const struct store_filter *filter, const struct ram_message *message)
{
	return (filter->id.size == 0 ||
		   str_equal(filter->id, str_from(message->id))) &&
	       store_filter_has_message(filter, message->envelope.sender,
		   message->arrival_ms, message->content_size);
}

struct ram_message *
ram_filter_first(const struct ram *ram, const struct store_filter *filter,
    uint64_t after_key)
{
	struct ram_message *message, after = {.key = after_key};
	struct tree_node *node;

	if (filter->id.size > 0) {
		HASH_FIND(
		    hh, ram->by_id, filter->id.data, filter->id.size, message);
		return message != NULL && message->key > after_key ? message
		                                                   : NULL;
	}
	node = tree_behind(&ram->by_key, &after.in_keys);
	return node == NULL ? NULL
	                    : TREE_OBJECT(node, struct ram_message, in_keys);
}

struct ram_message *
ram_filter_next(
    const struct store_filter *filter, const struct ram_message *message)
{
	return filter->id.size > 0 ? NULL : message->next;
}

void
ram_read(struct ram *ram, struct store_request *request)
{
	struct ram_message *message;
	uint64_t offset, size;
	char *bytes;

	HASH_FIND_STR(ram->by_id, request->u.read.id, message);
	request->u.read.bytes = STR("");
	if (message == NULL) {
		request->error = -ENOENT;
		return;
	}
	if (request->u.read.index > message->content_size / STORE_BLOCK)
		return;
	offset = request->u.read.index * STORE_BLOCK;
	size = message->content_size - offset;
	if (size > STORE_BLOCK)
		size = STORE_BLOCK;
	bytes = arena_new(&request->arena, size);
	CHECK(bytes != NULL);
	if (ram->keeper != NULL)
		request->error = ram->keeper->read(
		    ram->keeper_arg, message, offset, size, bytes);
	else
		memcpy(bytes, message->content + offset, size);
	if (request->error == 0)
		request->u.read.bytes = str_of(bytes, size);
}

static bool
ram_count_wants(const struct store_request *request, const struct ram_row *row)
{
	return (request->u.count.is_all || row->lane != STORE_STOPPED) &&
	       ram_row_matches(row, request->u.count.destination,
		   request->u.count.domains, request->u.count.domain_count);
}

/* Counts the messages at a destination that have wanted rows. */
static void
ram_count_spots(struct store_request *request, const struct ram_destination *d)
{
	struct tree_node *node = tree_first(&d->spots);

	for (; node != NULL; node = tree_next(node)) {
		const struct ram_message *message =
		    TREE_OBJECT(node, struct ram_spot, in_spots)->message;
		bool is_counted = false;

		for (size_t i = 0; i < message->row_count && !is_counted; i++)
			is_counted =
			    ram_count_wants(request, &message->rows[i]);
		request->u.count.messages += is_counted;
		request->u.count.bytes +=
		    is_counted ? message->content_size : 0;
	}
}

void
ram_count(struct ram *ram, struct store_request *request)
{
	const struct ram_destination *d =
	    ram_destination_find(ram, request->u.count.destination);

	request->u.count.messages = request->u.count.bytes = 0;
	if (request->u.count.is_all && request->u.count.domain_count > 0)
		request->error = -EINVAL;
	else if (request->u.count.is_all &&
		 request->u.count.destination.size == 0) {
		request->u.count.messages = HASH_COUNT(ram->by_id);
		request->u.count.bytes = ram->content_bytes;
	} else if (d != NULL && request->u.count.domain_count == 0 &&
		   (request->u.count.is_all ||
		       d->lanes[STORE_STOPPED].count == 0)) {
		request->u.count.messages = d->spots.count;
		request->u.count.bytes = d->bytes;
	} else if (d != NULL)
		ram_count_spots(request, d);
}

/* Room for up to COUNT elements, bounded; COUNT_OUT is for how many. */
static void *
ram_array(
    struct store_request *request, size_t count, size_t size, size_t *count_out)
{
	void *array;

	if (count > RAM_ARRAY_MAX / size)
		count = RAM_ARRAY_MAX / size;
	array = arena_new(&request->arena, count * size);
	CHECK(array != NULL);
	*count_out = count;
	return array;
}

/* What is known of a destination; its name is its own. */
static struct store_destination
ram_destination_answer(
    const struct ram *ram, const struct ram_destination *from)
{
	struct store_destination to = {
	    .name = from->name,
	    .messages = from->spots.count,
	    .bytes = from->bytes,
	    .oldest_ms =
		TREE_OBJECT(tree_first(&from->spots), struct ram_spot, in_spots)
		    ->message->arrival_ms,
	};
	const struct ram_park *park;

	for (size_t lane = 0; lane < STORE_LANES; lane++)
		to.rows[lane] = from->lanes[lane].count;
	HASH_FIND(hh, ram->parks, from->name.data, from->name.size, park);
	if (park != NULL) {
		to.due_ms = park->due_ms;
		to.failures = park->failures;
	}
	return to;
}

/* The earliest time beyond NOW_MS that one with READY rows is parked until. */
static uint64_t
ram_parked_until(const struct ram *ram, uint64_t now_ms)
{
	const struct ram_park *park, *next;
	uint64_t due_ms = 0;

	HASH_ITER(hh, ram->parks, park, next)
	{
		const struct ram_destination *d =
		    ram_destination_find(ram, str_from(park->name));

		if (d != NULL && d->lanes[STORE_READY].count > 0 &&
		    park->due_ms > now_ms &&
		    (due_ms == 0 || park->due_ms < due_ms))
			due_ms = park->due_ms;
	}
	return due_ms;
}

void
ram_destinations(struct ram *ram, struct store_request *request)
{
	struct ram_destination after = {.name = request->u.destinations.after};
	bool is_ready = request->u.destinations.is_ready;
	uint64_t now_ms = request->u.destinations.now_ms;
	struct store_destination *answers;
	struct tree_node *node = tree_behind(&ram->by_name, &after.in_names);
	size_t count = 0, count_max = ram->by_name.count;

	if (count_max > request->u.destinations.count)
		count_max = request->u.destinations.count;
	answers = ram_array(request, count_max, sizeof(*answers), &count_max);
	for (; node != NULL && count < count_max; node = tree_next(node)) {
		struct store_destination *to = &answers[count];

		*to = ram_destination_answer(
		    ram, TREE_OBJECT(node, struct ram_destination, in_names));
		if (is_ready &&
		    (to->rows[STORE_READY] == 0 || to->due_ms > now_ms))
			continue;
		to->name = arena_copy(&request->arena, to->name);
		if (to->name.data == NULL)
			break;
		count++;
	}
	request->u.destinations.destinations = answers;
	request->u.destinations.destination_count = count;
	request->u.destinations.next_due_ms =
	    is_ready ? ram_parked_until(ram, now_ms) : 0;
}

/* Copies one row of an answer; false if the arena is full. */
static bool
ram_find_row(struct arena *arena, const struct ram_message *message, size_t i,
    struct store_found_row *to)
{
	const struct ram_row *row = &message->rows[i];

	*to = (struct store_found_row){
	    .index = (uint32_t)i,
	    .lane = row->lane,
	    .is_leased = row->spot->lease != NULL,
	    .attempts = row->attempts,
	    .due_ms = row->due_ms,
	    .alarm_ms = row->row.alarm_ms,
	    .is_told = row->is_told,
	    .destination = arena_copy(arena, row->row.destination),
	    .status = arena_copy(arena, str_from(row->status)),
	};
	return mail_recipient_copy(
		   arena, &row->row.recipient, &to->recipient) == 0 &&
	       to->destination.data != NULL && to->status.data != NULL;
}

/* Copies the message with the rows of the filter; false if the arena is
   full.  No row means that the filter has none. */
static bool
ram_find_message(struct store_request *request,
    const struct ram_message *message, struct store_found *to)
{
	struct arena *arena = &request->arena;

	*to = (struct store_found){
	    .key = message->key,
	    .arrival_ms = message->arrival_ms,
	    .arrival_wall_ms = message->arrival_wall_ms,
	    .expire_ms = message->expire_ms,
	    .content_size = message->content_size,
	};
	memcpy(to->id, message->id, sizeof(to->id));
	for (size_t i = 0; i < message->row_count; i++) {
		if (!ram_filter_has_row(
			&request->u.find.filter, &message->rows[i]))
			continue;
		to->row_count++;
		if (message->rows[i].lane == STORE_STOPPED)
			to->reason = str_from(message->reason);
	}
	if (to->row_count == 0)
		return true;
	to->reason = arena_copy(arena, to->reason);
	if (to->reason.data == NULL)
		return false;
	if (mail_envelope_copy(arena, &message->envelope, &to->envelope) < 0)
		return false;
	to->rows = arena_new(arena, to->row_count * sizeof(*to->rows));
	if (to->rows == NULL)
		return false;
	for (size_t i = 0, n = 0; i < message->row_count; i++) {
		if (!ram_filter_has_row(
			&request->u.find.filter, &message->rows[i]))
			continue;
		if (!ram_find_row(arena, message, i, &to->rows[n++]))
			return false;
	}
	return true;
}

void
ram_find(struct ram *ram, struct store_request *request)
{
	const struct store_filter *filter = &request->u.find.filter;
	size_t count = 0, count_max = request->u.find.count;
	struct store_found *answers;
	struct ram_message *message;

	if (count_max > STORE_PAGE_MAX)
		count_max = STORE_PAGE_MAX;
	answers = ram_array(request, count_max, sizeof(*answers), &count_max);
	request->u.find.next_key = request->u.find.after_key;
	for (message = ram_filter_first(ram, filter, request->u.find.after_key);
	     message != NULL && count < count_max;
	     message = ram_filter_next(filter, message)) {
		if (ram_filter_has(filter, message)) {
			if (!ram_find_message(
				request, message, &answers[count]))
				break;
			count += answers[count].row_count > 0;
		}
		request->u.find.next_key = message->key;
	}
	if (message == NULL)
		request->u.find.next_key = 0;
	request->u.find.found = answers;
	request->u.find.found_count = count;
	request->u.find.total = HASH_COUNT(ram->by_id);
}

void
ram_check(struct store *store)
{
	struct ram *ram = (struct ram *)(void *)store;
	struct ram_message *message, *same;
	uint64_t key = 0;
	size_t count = 0;

	DL_FOREACH(ram->messages, message)
	{
		CHECK(message->key > key);
		key = message->key;
		count++;
		HASH_FIND_STR(ram->by_id, message->id, same);
		CHECK(same == message && message->left_count > 0);
	}
	CHECK(key <= ram->key_last);
	CHECK(count == HASH_COUNT(ram->by_id));
	ram_index_check(ram);
}
