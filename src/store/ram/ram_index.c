/*
 * The order of the model engine: every change of a row's place goes through
 * here.  A request then looks at what it is about, and at nothing else.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/ram/ram_model.h"

#include <stdlib.h>
#include <utlist.h>

static int
ram_compare_place(const struct ram_row *a, const struct ram_row *b,
    uint64_t a_place, uint64_t b_place)
{
	int order = ram_compare_numbers(a_place, b_place);

	if (order == 0)
		order = ram_compare_numbers(a->message->key, b->message->key);
	return order ? order : ram_compare_numbers(a->index, b->index);
}

/* By rank. */
static int
ram_compare_lane(const struct tree_node *left, const struct tree_node *right)
{
	const struct ram_row *a = TREE_OBJECT(left, struct ram_row, in_lane);
	const struct ram_row *b = TREE_OBJECT(right, struct ram_row, in_lane);

	return ram_compare_place(a, b, a->message->rank, b->message->rank);
}

static int
ram_compare_due(const struct tree_node *left, const struct tree_node *right)
{
	const struct ram_row *a = TREE_OBJECT(left, struct ram_row, in_due);
	const struct ram_row *b = TREE_OBJECT(right, struct ram_row, in_due);

	return ram_compare_place(a, b, a->due_ms, b->due_ms);
}

static int
ram_compare_alarm(const struct tree_node *left, const struct tree_node *right)
{
	const struct ram_row *a = TREE_OBJECT(left, struct ram_row, in_alarm);
	const struct ram_row *b = TREE_OBJECT(right, struct ram_row, in_alarm);

	return ram_compare_place(a, b, a->row.alarm_ms, b->row.alarm_ms);
}

static int
ram_compare_spot(const struct tree_node *left, const struct tree_node *right)
{
	const struct ram_message *a =
	    TREE_OBJECT(left, struct ram_spot, in_spots)->message;
	const struct ram_message *b =
	    TREE_OBJECT(right, struct ram_spot, in_spots)->message;
	int order = ram_compare_numbers(a->arrival_ms, b->arrival_ms);

	return order ? order : ram_compare_numbers(a->key, b->key);
}

static int
ram_compare_name(const struct tree_node *left, const struct tree_node *right)
{
	return str_compare(
	    TREE_OBJECT(left, struct ram_destination, in_names)->name,
	    TREE_OBJECT(right, struct ram_destination, in_names)->name);
}

static int
ram_compare_key(const struct tree_node *left, const struct tree_node *right)
{
	return ram_compare_numbers(
	    TREE_OBJECT(left, struct ram_message, in_keys)->key,
	    TREE_OBJECT(right, struct ram_message, in_keys)->key);
}

void
ram_index_init(struct ram *ram)
{
	tree_init(&ram->by_key, ram_compare_key);
	tree_init(&ram->by_name, ram_compare_name);
	tree_init(&ram->by_due, ram_compare_due);
	tree_init(&ram->by_alarm, ram_compare_alarm);
}

void
ram_message_begin(struct ram *ram, struct ram_message *message, uint64_t key)
{
	struct ram_message before = {.key = 0}, *next = NULL;
	struct tree_node *node;

	if (key == 0)
		key = ram->key_last + 1;
	if (key > ram->key_last)
		ram->key_last = key;
	/* Behind those that have this key and the next ones. */
	before.key = key - 1;
	node = tree_behind(&ram->by_key, &before.in_keys);
	for (; node != NULL; node = tree_next(node), key++) {
		next = TREE_OBJECT(node, struct ram_message, in_keys);
		if (next->key != key)
			break;
		next = NULL;
	}
	if (key > ram->key_last)
		ram->key_last = key;
	message->key = key;
	tree_add(&ram->by_key, &message->in_keys);
	if (next != NULL)
		DL_PREPEND_ELEM(ram->messages, next, message);
	else
		DL_APPEND(ram->messages, message);
	HASH_ADD_STR(ram->by_id, id, message);
}

void
ram_message_end(struct ram *ram, struct ram_message *message)
{
	tree_remove(&ram->by_key, &message->in_keys);
	DL_DELETE(ram->messages, message);
	HASH_DEL(ram->by_id, message);
}

struct ram_destination *
ram_destination_find(const struct ram *ram, struct str name)
{
	struct ram_destination *found;

	HASH_FIND(hh, ram->destinations, name.data, name.size, found);
	return found;
}

static struct ram_destination *
ram_destination_of(struct ram *ram, struct str name)
{
	struct ram_destination *d = ram_destination_find(ram, name);

	if (d != NULL)
		return d;
	d = mem_new(1, sizeof(*d));
	d->name = str_of(mem_copy_text(name.data, name.size), name.size);
	for (size_t lane = 0; lane < STORE_LANES; lane++)
		tree_init(&d->lanes[lane], ram_compare_lane);
	tree_init(&d->spots, ram_compare_spot);
	HASH_ADD_KEYPTR(hh, ram->destinations, d->name.data, name.size, d);
	tree_add(&ram->by_name, &d->in_names);
	return d;
}

static void
ram_destination_drop(struct ram *ram, struct ram_destination *d)
{
	if (d->spots.count > 0)
		return;
	CHECK(d->bytes == 0);
	tree_remove(&ram->by_name, &d->in_names);
	HASH_DEL(ram->destinations, d);
	free((void *)(uintptr_t)d->name.data);
	free(d);
}

struct ram_spot *
ram_spot_find(const struct ram_message *message, struct str destination)
{
	struct ram_spot *spot;

	LL_FOREACH(message->spots, spot)
	if (str_equal(spot->destination->name, destination))
		return spot;
	return NULL;
}

static struct ram_spot *
ram_spot_of(struct ram *ram, struct ram_message *message, struct str name)
{
	struct ram_spot *spot = ram_spot_find(message, name);

	if (spot != NULL)
		return spot;
	spot = mem_new(1, sizeof(*spot));
	spot->message = message;
	spot->destination = ram_destination_of(ram, name);
	spot->destination->bytes += message->content_size;
	LL_PREPEND(message->spots, spot);
	tree_add(&spot->destination->spots, &spot->in_spots);
	return spot;
}

static void
ram_spot_drop(struct ram *ram, struct ram_spot *spot)
{
	struct ram_destination *d = spot->destination;

	if (spot->row_count > 0)
		return;
	CHECK(spot->lease == NULL);
	d->bytes -= spot->message->content_size;
	tree_remove(&d->spots, &spot->in_spots);
	LL_DELETE(spot->message->spots, spot);
	free(spot);
	ram_destination_drop(ram, d);
}

/* Puts a row where its lane, due time and alarm say. */
static void
ram_row_link(struct ram *ram, struct ram_row *row)
{
	tree_add(&row->spot->destination->lanes[row->lane], &row->in_lane);
	if (row->lane == STORE_WAITING)
		tree_add(&ram->by_due, &row->in_due);
	if (row->lane != STORE_STOPPED && row->row.alarm_ms > 0)
		tree_add(&ram->by_alarm, &row->in_alarm);
}

static void
ram_row_unlink(struct ram *ram, struct ram_row *row)
{
	tree_remove(&row->spot->destination->lanes[row->lane], &row->in_lane);
	tree_remove(&ram->by_due, &row->in_due);
	tree_remove(&ram->by_alarm, &row->in_alarm);
}

void
ram_row_begin(struct ram *ram, struct ram_row *row, struct str destination,
    enum store_lane lane, uint64_t due_ms)
{
	row->spot = ram_spot_of(ram, row->message, destination);
	row->spot->row_count++;
	row->row.destination = row->spot->destination->name;
	row->lane = lane;
	row->due_ms = lane == STORE_WAITING ? due_ms : 0;
	ram_row_link(ram, row);
}

void
ram_row_end(struct ram *ram, struct ram_row *row)
{
	ram_row_unlink(ram, row);
	row->spot->row_count--;
	ram_spot_drop(ram, row->spot);
	row->spot = NULL;
	row->row.destination = STR("");
}

enum store_lane
ram_row_home(const struct ram_row *row)
{
	return row->row.is_held ? STORE_HELD : STORE_READY;
}

void
ram_row_set_lane(
    struct ram *ram, struct ram_row *row, enum store_lane lane, uint64_t due_ms)
{
	ram_row_unlink(ram, row);
	row->lane = lane;
	row->due_ms = lane == STORE_WAITING ? due_ms : 0;
	ram_row_link(ram, row);
}

void
ram_row_set_alarm(
    struct ram *ram, struct ram_row *row, uint64_t alarm_ms, bool is_told)
{
	ram_row_unlink(ram, row);
	row->row.alarm_ms = alarm_ms;
	row->is_told = is_told;
	ram_row_link(ram, row);
}

void
ram_message_set_size(
    struct ram *ram, struct ram_message *message, uint64_t size)
{
	struct ram_spot *spot;

	LL_FOREACH(message->spots, spot)
	spot->destination->bytes += size - message->content_size;
	ram->content_bytes += size - message->content_size;
	message->content_size = size;
}

static void
ram_check_row(const struct ram_row *row)
{
	CHECK(row->lane < STORE_LANES);
	CHECK((row->lane == STORE_WAITING) == (row->due_ms > 0));
	CHECK(tree_has(&row->in_lane) == !row->is_gone);
	CHECK(tree_has(&row->in_due) ==
	      (!row->is_gone && row->lane == STORE_WAITING));
	CHECK(tree_has(&row->in_alarm) ==
	      (!row->is_gone && row->lane != STORE_STOPPED &&
		  row->row.alarm_ms > 0));
}

static void
ram_check_spots(const struct ram_message *message)
{
	const struct ram_spot *spot;
	size_t leases = 0, rows = 0;

	LL_FOREACH(message->spots, spot)
	{
		const struct ram_lease *lease = spot->lease;

		CHECK(spot->message == message && spot->row_count > 0);
		CHECK(tree_has(&spot->in_spots));
		CHECK(ram_spot_find(message, spot->destination->name) == spot);
		rows += spot->row_count;
		if (lease == NULL)
			continue;
		leases++;
		CHECK(lease->row_count > 0);
		CHECK(lease->row_count <= STORE_LEASE_ROWS_MAX);
		for (size_t i = 0; i < lease->row_count; i++)
			CHECK(message->rows[lease->rows[i]].spot == spot);
	}
	CHECK(leases == message->lease_count);
	CHECK(rows == message->left_count && rows > 0);
}

void
ram_index_check(const struct ram *ram)
{
	const struct ram_message *message;
	const struct ram_destination *d, *next;

	DL_FOREACH(ram->messages, message)
	{
		ram_check_spots(message);
		for (size_t i = 0; i < message->row_count; i++) {
			const struct ram_row *row = &message->rows[i];

			CHECK(row->message == message && row->index == i);
			ram_check_row(row);
		}
	}
	tree_check(&ram->by_key);
	tree_check(&ram->by_name);
	tree_check(&ram->by_due);
	tree_check(&ram->by_alarm);
	CHECK(HASH_COUNT(ram->destinations) == ram->by_name.count);
	HASH_ITER(hh, ram->destinations, d, next)
	{
		CHECK(d->spots.count > 0);
		tree_check(&d->spots);
		for (size_t lane = 0; lane < STORE_LANES; lane++)
			tree_check(&d->lanes[lane]);
	}
}
