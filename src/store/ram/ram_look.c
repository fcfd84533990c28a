/*
 * The requests of the model engine that change nothing.  Each looks at every
 * message; answers are copied into the request's arena.
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

struct ram_lease *
ram_lease_find(const struct ram_message *message, struct str destination)
{
	struct ram_lease *lease;

	LL_FOREACH(message->leases, lease)
	if (str_equal(lease->destination, destination))
		return lease;
	return NULL;
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

void
ram_read(struct ram *ram, struct store_request *request)
{
	struct str bytes;
	struct ram_message *message;

	HASH_FIND_STR(ram->by_id, request->u.read.id, message);
	request->u.read.bytes = STR("");
	if (message == NULL) {
		request->error = -ENOENT;
		return;
	}
	if (request->u.read.index > message->content_size / STORE_BLOCK)
		return;
	bytes = str_skip(str_of(message->content, message->content_size),
	    request->u.read.index * STORE_BLOCK);
	request->u.read.bytes =
	    arena_copy(&request->arena, str_head(bytes, STORE_BLOCK));
	CHECK(request->u.read.bytes.data != NULL);
}

static bool
ram_count_wants(const struct store_request *request, const struct ram_row *row)
{
	bool is_all = request->u.count.is_all;

	if (is_all && request->u.count.destination.size == 0)
		return !row->is_gone;
	return (is_all || row->lane != STORE_STOPPED) &&
	       ram_row_matches(row, request->u.count.destination,
		   request->u.count.domains, request->u.count.domain_count);
}

void
ram_count(struct ram *ram, struct store_request *request)
{
	struct ram_message *message;

	request->u.count.messages = request->u.count.bytes = 0;
	if (request->u.count.is_all && request->u.count.domain_count > 0) {
		request->error = -EINVAL;
		return;
	}
	DL_FOREACH(ram->messages, message)
	{
		bool is_counted = false;

		for (size_t i = 0; i < message->row_count; i++)
			is_counted |=
			    ram_count_wants(request, &message->rows[i]);
		request->u.count.messages += is_counted;
		request->u.count.bytes +=
		    is_counted ? message->content_size : 0;
	}
}

/* One destination while its rows are being counted. */
struct ram_tally {
	UT_hash_handle hh;
	const struct ram_message *last; /* the last message counted */
	struct store_destination d;     /* name: of a row */
};

static struct ram_tally *
ram_tally_of(struct ram_tally **tallies, struct str name)
{
	struct ram_tally *tally;

	HASH_FIND(hh, *tallies, name.data, name.size, tally);
	if (tally == NULL) {
		tally = mem_new(1, sizeof(*tally));
		tally->d.name = name;
		HASH_ADD_KEYPTR(
		    hh, *tallies, tally->d.name.data, name.size, tally);
	}
	return tally;
}

static void
ram_tally_message(struct ram_tally **tallies, const struct ram_message *message)
{
	for (size_t i = 0; i < message->row_count; i++) {
		const struct ram_row *row = &message->rows[i];
		struct ram_tally *tally;

		if (row->is_gone)
			continue;
		tally = ram_tally_of(tallies, row->row.destination);
		tally->d.rows[row->lane]++;
		if (tally->last == message)
			continue;
		if (tally->d.messages == 0 ||
		    message->arrival_ms < tally->d.oldest_ms)
			tally->d.oldest_ms = message->arrival_ms;
		tally->last = message;
		tally->d.messages++;
		tally->d.bytes += message->content_size;
	}
}

static int
ram_tally_compare(const struct ram_tally *a, const struct ram_tally *b)
{
	return str_compare(a->d.name, b->d.name);
}

/* All destinations with rows, in order of name. */
static struct ram_tally *
ram_tally_all(struct ram *ram)
{
	struct ram_tally *tallies = NULL, *tally, *next;
	struct ram_message *message;

	DL_FOREACH(ram->messages, message)
	ram_tally_message(&tallies, message);
	HASH_ITER(hh, tallies, tally, next)
	{
		struct ram_park *park;

		HASH_FIND(hh, ram->parks, tally->d.name.data,
		    tally->d.name.size, park);
		if (park == NULL)
			continue;
		tally->d.due_ms = park->due_ms;
		tally->d.failures = park->failures;
	}
	HASH_SORT(tallies, ram_tally_compare);
	return tallies;
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

void
ram_destinations(struct ram *ram, struct store_request *request)
{
	struct ram_tally *tallies = ram_tally_all(ram), *tally, *next;
	size_t count = 0, count_max;
	uint64_t now_ms = request->u.destinations.now_ms, due_ms = 0;
	struct store_destination *answers;

	count_max = HASH_COUNT(tallies);
	if (count_max > request->u.destinations.count)
		count_max = request->u.destinations.count;
	answers = ram_array(request, count_max, sizeof(*answers), &count_max);
	HASH_ITER(hh, tallies, tally, next)
	{
		bool is_parked = tally->d.due_ms > now_ms;
		bool is_ready = tally->d.rows[STORE_READY] > 0;

		if (is_ready && is_parked &&
		    (due_ms == 0 || tally->d.due_ms < due_ms))
			due_ms = tally->d.due_ms;
		if (count < count_max &&
		    str_compare(tally->d.name, request->u.destinations.after) >
			0 &&
		    (!request->u.destinations.is_ready ||
			(is_ready && !is_parked))) {
			struct str name =
			    arena_copy(&request->arena, tally->d.name);

			if (name.data == NULL)
				count_max = count;
			else {
				answers[count] = tally->d;
				answers[count++].name = name;
			}
		}
		HASH_DEL(tallies, tally);
		free(tally);
	}
	request->u.destinations.destinations = answers;
	request->u.destinations.destination_count = count;
	request->u.destinations.next_due_ms =
	    request->u.destinations.is_ready ? due_ms : 0;
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
	    .is_leased = ram_lease_find(message, row->row.destination) != NULL,
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
	for (size_t i = 0; i < message->row_count; i++)
		to->row_count += ram_filter_has_row(
		    &request->u.find.filter, &message->rows[i]);
	if (to->row_count == 0)
		return true;
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
	size_t count = 0, count_max = request->u.find.count;
	struct store_found *answers;
	struct ram_message *message;

	if (count_max > STORE_PAGE_MAX)
		count_max = STORE_PAGE_MAX;
	answers = ram_array(request, count_max, sizeof(*answers), &count_max);
	request->u.find.next_key = request->u.find.after_key;
	DL_FOREACH(ram->messages, message)
	{
		if (count == count_max)
			break;
		if (message->key <= request->u.find.after_key ||
		    !ram_filter_has(&request->u.find.filter, message))
			continue;
		if (!ram_find_message(request, message, &answers[count]))
			break;
		count += answers[count].row_count > 0;
		request->u.find.next_key = message->key;
	}
	if (message == NULL)
		request->u.find.next_key = 0;
	request->u.find.found = answers;
	request->u.find.found_count = count;
	request->u.find.total = HASH_COUNT(ram->by_id);
}

static void
ram_check_message(const struct ram_message *message)
{
	const struct ram_lease *lease;
	size_t left = 0;

	for (size_t i = 0; i < message->row_count; i++) {
		const struct ram_row *row = &message->rows[i];

		CHECK(row->lane < STORE_LANES);
		CHECK((row->lane == STORE_WAITING) == (row->due_ms > 0));
		left += !row->is_gone;
	}
	CHECK(left == message->left_count && left > 0);
	LL_FOREACH(message->leases, lease)
	{
		CHECK(lease->row_count > 0);
		CHECK(lease->row_count <= STORE_LEASE_ROWS_MAX);
		CHECK(ram_lease_find(message, lease->destination) == lease);
		for (size_t i = 0; i < lease->row_count; i++)
			CHECK(ram_row_matches(&message->rows[lease->rows[i]],
			    lease->destination, NULL, 0));
	}
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
		CHECK(same == message);
		ram_check_message(message);
	}
	CHECK(key <= ram->key_last);
	CHECK(count == HASH_COUNT(ram->by_id));
}
