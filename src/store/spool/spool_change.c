/* STORE_CHANGE: collects a slice of rows, logs which they are, changes them. */
#include "base/check.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <string.h>

/* Messages that one request looks at, changed or not. */
#define CHANGE_MESSAGES_MAX 2000
/* Bytes of what was read before the request ends early. */
#define CHANGE_SCRATCH_MAX ((size_t)16 << 20)

/* A slice while it is collected. */
struct change_slice {
	struct spool *spool;
	struct store_request *request;
	struct spool_body body;
	size_t row_count;
	size_t leased_count;
};

/* True if the change would do something to a row of the message. */
static bool
change_wants(const struct spool_body *body, const struct spool_stored *stored,
    const struct spool_row *row)
{
	switch (body->change) {
	case STORE_CHANGE_HOLD:
		return row->lane != STORE_STOPPED ||
		       (body->reason.size > 0 &&
			   !str_equal(body->reason, stored->message.reason));
	case STORE_CHANGE_FREE:
		return row->lane == STORE_STOPPED;
	case STORE_CHANGE_DELETE:
		break;
	}
	return true;
}

/* The group for rows of the message at that destination. */
static struct spool_change_group *
change_group(struct change_slice *slice, uint64_t key, struct str destination)
{
	struct arena *scratch = &slice->spool->index.scratch;
	struct spool_change_group *group;

	/* Those of this message are the last ones. */
	for (size_t i = slice->body.group_count; i > 0; i--) {
		group = &slice->body.groups[i - 1];
		if (group->key != key)
			break;
		if (str_equal(group->destination, destination))
			return group;
	}
	group = &slice->body.groups[slice->body.group_count++];
	group->key = key;
	group->destination = arena_copy(scratch, destination);
	group->indexes =
	    arena_new(scratch, STORE_SLICE_MAX * sizeof(*group->indexes));
	CHECK(group->destination.data != NULL && group->indexes != NULL);
	return group;
}

/* Collects the rows of one message: 1, 0 if the slice is full before all were
   seen, -errno.  Leased rows count when the message is through, so that one
   cut in two by the end of a slice does not count them twice. */
static int
change_collect(struct change_slice *slice, const struct spool_stored *stored)
{
	const struct store_filter *filter = &slice->request->u.change.filter;
	struct spool *spool = slice->spool;
	uint64_t key = stored->message.key;
	size_t leased_count = 0, count;
	struct spool_row *rows;
	int error;

	if (!store_filter_has_message(filter, stored->message.envelope.sender,
		stored->message.arrival_ms, stored->message.content_size))
		return 1;
	error = spool_rows_all(
	    &spool->index, stored, filter->destination, &rows, &count);
	if (error < 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		struct spool_change_group *group;

		if (!store_filter_has_row(filter, rows[i].destination,
			rows[i].domain, rows[i].recipient.address) ||
		    !change_wants(&slice->body, stored, &rows[i]))
			continue;
		if (spool_lease_get(&spool->leases, key, rows[i].destination) !=
		    NULL) {
			leased_count++;
			continue;
		}
		if (slice->request->u.change.is_dry) {
			slice->row_count++;
			continue;
		}
		if (slice->row_count == STORE_SLICE_MAX)
			return 0;
		group = change_group(slice, key, rows[i].destination);
		group->indexes[group->count++] = rows[i].index;
		slice->row_count++;
	}
	slice->leased_count += leased_count;
	return 1;
}

/* Walks the messages of the filter; NEXT_KEY_OUT is where to go on. */
static int
change_walk(struct change_slice *slice, uint64_t *next_key_out)
{
	struct spool_index *index = &slice->spool->index;
	uint64_t key = slice->request->u.change.after_key;
	struct spool_stored stored;

	for (size_t i = 0; i < CHANGE_MESSAGES_MAX; i++) {
		int error = spool_rows_next(
		    index, &slice->request->u.change.filter, key, &stored);

		*next_key_out = 0;
		if (error < 0)
			return error == -ENOENT ? 0 : error;
		error = change_collect(slice, &stored);
		if (error < 0)
			return error;
		*next_key_out = stored.message.key - 1;
		if (error == 0)
			return 0;
		*next_key_out = key = stored.message.key;
		if (index->scratch.used > CHANGE_SCRATCH_MAX)
			return 0;
	}
	return 0;
}

int
spool_do_change(struct spool *spool, struct store_request *request)
{
	struct change_slice slice = {
	    .spool = spool,
	    .request = request,
	    .body.change = request->u.change.change,
	    .body.reason = request->u.change.change == STORE_CHANGE_HOLD
	                       ? request->u.change.reason
	                       : STR(""),
	    .body.groups = arena_new(&spool->index.scratch,
		STORE_SLICE_MAX * sizeof(*slice.body.groups)),
	};
	struct spool_found_record found;
	uint64_t next_key;
	int error;

	request->u.change.changed_count = request->u.change.leased_count = 0;
	request->u.change.next_key = 0;
	if (request->u.change.change > STORE_CHANGE_DELETE ||
	    !store_reason_is_valid(request->u.change.reason))
		return -EINVAL;
	CHECK(slice.body.groups != NULL);
	error = change_walk(&slice, &next_key);
	if (error == 0 && slice.row_count > 0 && !request->u.change.is_dry) {
		error =
		    spool_add(spool, SPOOL_CHANGE, &slice.body, NULL, &found);
		if (error == 0)
			error = spool_apply_change(&spool->index, &slice.body);
	}
	if (error < 0)
		return error;
	request->u.change.changed_count = slice.row_count;
	request->u.change.leased_count = slice.leased_count;
	request->u.change.next_key = next_key;
	return 0;
}
