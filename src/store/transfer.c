/* Moving messages between stores; see transfer.h. */
#include "store/transfer.h"
#include "base/check.h"
#include "mail/address.h"

#include <errno.h>
#include <string.h>

#define TRANSFER_PAGE 50

/* One message on its way. */
struct transfer_one {
	struct store_transfer *all;
	char id[STORE_ID_MAX + 1];
	struct store_request *find; /* has all rows of it */
	const struct store_found *found;
	struct store_request *lease;
};

static int
transfer_do(struct store *store, struct store_request *request)
{
	store->ops->batch(store, &request, 1);
	return request->error;
}

/* Carries out REQUEST and frees it. */
static int
transfer_run(struct store *store, struct store_request *request)
{
	int error = transfer_do(store, request);

	store_request_free(request);
	return error;
}

static void
transfer_set_id(char to[STORE_ID_MAX + 1], const char *id)
{
	memcpy(to, id, STORE_ID_MAX + 1);
}

/* A time of FROM in TO. */
static uint64_t
transfer_time(const struct transfer_one *one, uint64_t from_ms)
{
	int64_t ahead_ms = one->all->ahead_ms;

	if (from_ms == 0)
		return 0;
	if (ahead_ms < 0 && from_ms <= (uint64_t)-ahead_ms)
		return 1;
	return from_ms + (uint64_t)ahead_ms;
}

static struct store_request *
transfer_find(struct store *store, const char *id)
{
	struct store_request *find = store_request_new(STORE_FIND);

	find->u.find.filter.id = str_from(id);
	find->u.find.count = 1;
	(void)transfer_do(store, find);
	return find;
}

/* Leases MESSAGE, or as much of it as fits, at all its destinations; -EBUSY if
   that cannot be.  NULL if nothing is left of it. */
static int
transfer_lease(struct transfer_one *one)
{
	struct store_request *lease = store_request_new(STORE_LEASE);
	int error;

	lease->u.lease.filter.id = str_from(one->id);
	lease->u.lease.count = STORE_SLICE_MAX;
	error = transfer_do(one->all->from, lease);
	one->lease = lease;
	if (error == 0 && lease->u.lease.leased_count > 0)
		error = -EBUSY;
	return error;
}

/* Ends the leases: the rows are gone, or stay. */
static int
transfer_settle(struct transfer_one *one, bool is_gone)
{
	int error = 0;

	for (size_t i = 0; i < one->lease->u.lease.lease_count; i++) {
		const struct store_lease *l = &one->lease->u.lease.leases[i];
		struct store_request *settle = store_request_new(STORE_SETTLE);
		struct store_result *results =
		    arena_new(&settle->arena, l->row_count * sizeof(*results));
		int result;

		CHECK(results != NULL);
		transfer_set_id(settle->u.settle.id, l->id);
		settle->u.settle.destination = l->destination;
		for (size_t j = 0; j < l->row_count; j++)
			results[j] =
			    (struct store_result){.index = l->rows[j].index,
				.outcome = STORE_DELIVERED};
		settle->u.settle.results = results;
		settle->u.settle.result_count = is_gone ? l->row_count : 0;
		result = transfer_run(one->all->from, settle);
		if (error == 0)
			error = result;
	}
	store_request_free(one->lease);
	one->lease = NULL;
	return error;
}

/* Removes the message, which is leased, from where it was. */
static int
transfer_remove(struct transfer_one *one)
{
	for (;;) {
		size_t count = one->lease->u.lease.lease_count;
		int error = transfer_settle(one, true);

		/* What did not fit into the leases comes with the next. */
		if (error < 0 || count == 0)
			return error;
		error = transfer_lease(one);
		if (error < 0) {
			(void)transfer_settle(one, false);
			return error;
		}
	}
}

/* The key of the domain of ADDRESS, as rows have it; empty if it has none. */
static struct str
transfer_domain(struct arena *arena, struct str address)
{
	char key[MAIL_DOMAIN_MAX + 1];
	struct mail_address parsed;
	struct str copy;

	if (mail_address_parse(address, &parsed) < 0 ||
	    mail_domain_key(parsed.domain, key) < 0)
		return STR("");
	copy = arena_copy(arena, str_from(key));
	CHECK(copy.data != NULL);
	return copy;
}

/* The envelope and rows of the message, without content. */
static struct store_message *
transfer_message(const struct transfer_one *one)
{
	const struct store_found *from = one->found;
	struct store_message *to = store_message_new();

	transfer_set_id(to->id, one->id);
	CHECK(mail_envelope_copy(&to->arena, &from->envelope, &to->envelope) ==
	      0);
	to->arrival_ms = transfer_time(one, from->arrival_ms);
	to->arrival_wall_ms = from->arrival_wall_ms;
	to->expire_ms = transfer_time(one, from->expire_ms);
	to->rank = one->all->rank(
	    to->arrival_ms, from->content_size, from->envelope.priority);
	to->content_size = from->content_size;
	to->rows = arena_new(&to->arena, from->row_count * sizeof(*to->rows));
	CHECK(to->rows != NULL);
	to->row_count = from->row_count;
	for (size_t i = 0; i < from->row_count; i++) {
		const struct store_found_row *row = &from->rows[i];

		CHECK(mail_recipient_copy(&to->arena, &row->recipient,
			  &to->rows[i].recipient) == 0);
		to->rows[i].destination =
		    arena_copy(&to->arena, row->destination);
		CHECK(to->rows[i].destination.data != NULL);
		to->rows[i].domain =
		    transfer_domain(&to->arena, row->recipient.address);
		to->rows[i].is_held =
		    row->lane == STORE_HELD ||
		    (row->lane != STORE_READY &&
			one->all->is_held(one->all->arg, row->destination));
		to->rows[i].alarm_ms = transfer_time(one, row->alarm_ms);
	}
	return to;
}

/* Reads block INDEX into MESSAGE or, where that is staged, into TO. */
static int
transfer_block(
    struct transfer_one *one, struct store_message *message, uint64_t index)
{
	struct store_request *read = store_request_new(STORE_READ);
	struct store_request *stage;
	int error;

	transfer_set_id(read->u.read.id, one->id);
	read->u.read.index = index;
	error = transfer_do(one->all->from, read);
	if (error == 0 && !message->is_staged)
		error = buf_append(&message->content, read->u.read.bytes);
	else if (error == 0) {
		stage = store_request_new(STORE_STAGE);
		transfer_set_id(stage->u.stage.id, one->id);
		stage->u.stage.bytes = read->u.read.bytes;
		error = transfer_run(one->all->to, stage);
	}
	store_request_free(read);
	return error;
}

static int
transfer_content(struct transfer_one *one, struct store_message *message)
{
	uint64_t blocks = message->content_size / STORE_BLOCK +
	                  (message->content_size % STORE_BLOCK > 0);
	int error = 0;

	message->is_staged = message->content_size > STORE_CONTENT_MEMORY;
	for (uint64_t i = 0; error == 0 && i < blocks; i++)
		error = transfer_block(one, message, i);
	return error;
}

static struct store_request *
transfer_hold(const struct transfer_one *one, const struct store_found_row *row)
{
	struct store_request *hold = store_request_new(STORE_CHANGE);

	hold->u.change.filter.id = str_from(one->id);
	hold->u.change.change = STORE_CHANGE_HOLD;
	hold->u.change.reason = one->found->reason;
	if (row != NULL) {
		hold->u.change.filter.destination = row->destination;
		hold->u.change.filter.recipient = row->recipient.address;
	}
	return hold;
}

/* What is stopped stays so: in the same batch as REQUEST if all is, so that
   nothing is ever sent of it. */
static int
transfer_append(struct transfer_one *one, struct store_request *append)
{
	struct store_request *batch[2] = {append, NULL};
	struct store *to = one->all->to;
	size_t stopped = 0;
	int error = 0;

	for (size_t i = 0; i < one->found->row_count; i++)
		stopped += one->found->rows[i].lane == STORE_STOPPED;
	batch[1] = transfer_hold(one, NULL);
	to->ops->batch(to, batch, stopped == one->found->row_count ? 2 : 1);
	store_request_free(batch[1]);
	if (append->error < 0)
		return append->error;
	for (size_t i = 0; error == 0 && i < one->found->row_count; i++)
		if (one->found->rows[i].lane == STORE_STOPPED)
			error = transfer_run(
			    to, transfer_hold(one, &one->found->rows[i]));
	return error;
}

/* Gives a row in TO what an append has no place for. */
static int
transfer_row(struct transfer_one *one, const struct store_found_row *row)
{
	struct store_request *lease = store_request_new(STORE_LEASE), *settle;
	struct store_result result = {
	    .outcome = STORE_UNTRIED,
	    .alarm_ms = transfer_time(one, row->alarm_ms),
	    .is_told = row->is_told,
	    .status = row->status,
	    .due_ms = row->lane == STORE_WAITING
	                  ? transfer_time(one, row->due_ms)
	                  : 1,
	};
	int error;

	if (row->attempts > 0)
		result.outcome = STORE_DEFERRED;
	lease->u.lease.filter.id = str_from(one->id);
	lease->u.lease.filter.destination = row->destination;
	lease->u.lease.filter.recipient = row->recipient.address;
	lease->u.lease.count = 1;
	error = transfer_do(one->all->to, lease);
	if (error == 0 && lease->u.lease.lease_count == 1) {
		settle = store_request_new(STORE_SETTLE);
		transfer_set_id(settle->u.settle.id, one->id);
		settle->u.settle.destination = row->destination;
		result.index = lease->u.lease.leases[0].rows[0].index;
		settle->u.settle.results = &result;
		settle->u.settle.result_count = 1;
		error = transfer_run(one->all->to, settle);
	}
	store_request_free(lease);
	return error;
}

/* The rows of a message that is new in TO. */
static int
transfer_rows(struct transfer_one *one)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < one->found->row_count; i++) {
		const struct store_found_row *row = &one->found->rows[i];

		if (row->lane != STORE_STOPPED &&
		    (row->attempts > 0 || row->is_told))
			error = transfer_row(one, row);
	}
	return error;
}

/* The message is in both: -EEXIST if what is in TO is another one. */
static int
transfer_merge(struct transfer_one *one)
{
	struct store_request *there = transfer_find(one->all->to, one->id);
	const struct store_found *found = there->u.find.found;
	int error = -EEXIST;

	if (there->error == 0 && there->u.find.found_count == 1 &&
	    found->content_size == one->found->content_size &&
	    found->arrival_wall_ms == one->found->arrival_wall_ms &&
	    str_equal(found->envelope.sender, one->found->envelope.sender))
		error = 0;
	store_request_free(there);
	return error;
}

/* Puts the message, which is leased, into TO: 0 or -errno. */
static int
transfer_put(struct transfer_one *one)
{
	struct store_request *append, *unstage;
	struct store_message *message = transfer_message(one);
	int error = transfer_content(one, message);

	if (error < 0) {
		unstage = store_request_new(STORE_UNSTAGE);
		transfer_set_id(unstage->u.unstage.id, one->id);
		if (error != -EEXIST && message->is_staged)
			(void)transfer_do(one->all->to, unstage);
		store_request_free(unstage);
		store_message_free(message);
		return error;
	}
	append = store_request_new(STORE_APPEND);
	append->u.append.message = message;
	error = transfer_append(one, append);
	store_request_free(append);
	return error == 0 ? transfer_rows(one) : error;
}

static int
transfer_message_of(struct store_transfer *all, const char *id)
{
	struct transfer_one one = {.all = all};
	uint64_t *count = &all->moved_count;
	int error;

	transfer_set_id(one.id, id);
	error = transfer_lease(&one);
	/* Under its lease it is as it is now. */
	one.find = transfer_find(all->from, id);
	one.found = one.find->u.find.found;
	if (error == 0 && one.find->u.find.found_count == 0)
		error = -EBUSY;
	if (error == 0)
		error = transfer_put(&one);
	if (error == -EEXIST) {
		error = transfer_merge(&one);
		count = &all->merged_count;
	}
	if (error == 0)
		error = transfer_remove(&one);
	else
		(void)transfer_settle(&one, false);
	if (error == -EBUSY || error == -EEXIST) {
		count = &all->left_count;
		error = 0;
	}
	*count += error == 0;
	store_request_free(one.find);
	return error;
}

int
store_transfer(struct store_transfer *transfer)
{
	uint64_t after_key = 0;
	int error;

	transfer->moved_count = transfer->merged_count = 0;
	transfer->left_count = 0;
	do {
		struct store_request *page = store_request_new(STORE_FIND);

		page->u.find.filter = transfer->filter;
		page->u.find.after_key = after_key;
		page->u.find.count = TRANSFER_PAGE;
		error = transfer_do(transfer->from, page);
		for (size_t i = 0; error == 0 && i < page->u.find.found_count;
		     i++)
			error = transfer_message_of(
			    transfer, page->u.find.found[i].id);
		after_key = page->u.find.next_key;
		store_request_free(page);
	} while (error == 0 && after_key != 0);
	return error;
}
