/*
 * The requests that lease: for a session, by alarm, or for an administrator.
 * Leases are copied into the request's arena; where it is full there are fewer
 * of them, or recipients are left for the next one.
 *
 * Invariant: a lease that is in the answer is in the table of leases, and after
 * an error none of the request's is.
 */
#include "base/check.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <string.h>

static bool
take_wants(const struct store_request *request, const struct spool_row *row,
    enum store_lane lane)
{
	if (request->verb == STORE_ALARM)
		return row->lane != STORE_STOPPED && row->alarm_ms > 0 &&
		       row->alarm_ms <= request->u.alarm.now_ms;
	if (request->verb == STORE_LEASE)
		return row->index >= request->u.lease.from_index &&
		       store_filter_has_row(&request->u.lease.filter,
			   row->destination, row->domain,
			   row->recipient.address);
	return row->lane == lane &&
	       store_domains_have(request->u.take.domains,
		   request->u.take.domain_count, row->domain);
}

/* Copies the content if it is small enough; damaged content stays out, so
   that whoever reads it block by block is told. */
static bool
take_content(struct spool *spool, struct store_request *request,
    const struct spool_stored *stored, struct store_lease *to)
{
	char *data;

	to->content = STR("");
	if (to->content_size == 0 ||
	    to->content_size > store_inline_max(request))
		return true;
	data = arena_new(&request->arena, to->content_size + 4);
	if (data == NULL)
		return false;
	if (spool_read_block(spool, stored, 0, data, &to->content) < 0)
		to->content = STR("");
	return true;
}

/* Copies the message and those rows of the group that are wanted, at most
   STORE_LEASE_ROWS_MAX; false if the arena is full. */
static bool
take_fill(struct store_request *request, const struct spool_message *m,
    const struct spool_group *group, enum store_lane lane,
    struct store_lease *to)
{
	struct arena *arena = &request->arena;

	*to = (struct store_lease){
	    .destination = arena_copy(arena, group->destination->d.name),
	    .content = STR(""),
	    .arrival_ms = m->arrival_ms,
	    .arrival_wall_ms = m->arrival_wall_ms,
	    .expire_ms = m->expire_ms,
	    .content_size = m->content_size,
	};
	memcpy(to->id, m->id, sizeof(to->id));
	for (size_t i = 0; i < group->count; i++)
		to->row_count += take_wants(request, &group->rows[i], lane);
	if (to->row_count > STORE_LEASE_ROWS_MAX)
		to->row_count = STORE_LEASE_ROWS_MAX;
	to->rows = arena_new(arena, to->row_count * sizeof(*to->rows));
	if (to->rows == NULL || to->destination.data == NULL ||
	    mail_envelope_copy(arena, &m->envelope, &to->envelope) < 0)
		return false;
	for (size_t i = 0, n = 0; n < to->row_count; i++) {
		const struct spool_row *row = &group->rows[i];

		if (!take_wants(request, row, lane))
			continue;
		to->rows[n].index = row->index;
		to->rows[n].attempts = row->attempts;
		to->rows[n].alarm_ms = row->alarm_ms;
		to->rows[n].is_told = row->is_told;
		to->rows[n].domain = arena_copy(arena, row->domain);
		to->rows[n].status = arena_copy(arena, row->status);
		if (to->rows[n].domain.data == NULL ||
		    to->rows[n].status.data == NULL ||
		    mail_recipient_copy(
			arena, &row->recipient, &to->rows[n].recipient) < 0)
			return false;
		n++;
	}
	return true;
}

/* Leases the message of KEY at the destination, if it has rows that are
   wanted: 1, 0 (it has none), -ENOBUFS, -errno. */
static int
take_message(struct spool *spool, struct store_request *request,
    struct spool_destination *destination, enum store_lane lane, uint64_t key,
    struct store_lease *to)
{
	struct spool_stored stored;
	struct spool_lease *lease;
	struct spool_group group;
	int error = spool_rows_by_key(&spool->index, key, &stored);

	if (error == -ENOENT)
		return spool_index_fail(&spool->index, -EUCLEAN);
	if (error == 0)
		error = spool_rows_group(
		    &spool->index, &stored, destination, &group);
	if (error < 0)
		return error;
	if (!take_fill(request, &stored.message, &group, lane, to))
		return -ENOBUFS;
	if (to->row_count == 0)
		return 0;
	if (!take_content(spool, request, &stored, to))
		return -ENOBUFS;
	lease = spool_lease_begin(
	    &spool->leases, key, destination->d.name, request);
	lease->count = to->row_count;
	for (size_t i = 0; i < to->row_count; i++)
		lease->indexes[i] = to->rows[i].index;
	return 1;
}

/* Leases from one lane in its order. */
static int
take_lane(struct spool *spool, struct store_request *request,
    struct spool_destination *destination, enum store_lane from, size_t count)
{
	uint64_t lane = from, last = 0, key;
	sqlite3_stmt *row = spool_sql(
	    &spool->index, SPOOL_SQL_ROW_ORDER, "uu", destination->no, lane);
	int result = 0;

	while (request->u.take.lease_count < count &&
	       (result = spool_sql_step(&spool->index, row)) > 0) {
		key = spool_sql_u64(row, 0);
		if (key == last)
			continue;
		last = key;
		if (spool_lease_get(&spool->leases, key, destination->d.name) !=
		    NULL)
			continue;
		arena_fini(&spool->index.scratch);
		result = take_message(spool, request, destination, from, key,
		    &request->u.take.leases[request->u.take.lease_count]);
		if (result < 0)
			break;
		request->u.take.lease_count += (size_t)result;
	}
	spool_sql_end(row);
	return result < 0 ? result : 0;
}

int
spool_do_take(struct spool *spool, struct store_request *request)
{
	static const enum store_lane lanes[] = {STORE_READY, STORE_HELD};
	size_t lane_count = request->u.take.is_released ? 2 : 1, count;
	struct spool_destination *destination;
	int error;

	request->u.take.lease_count = 0;
	if (request->u.take.inline_max > STORE_BLOCK)
		return -EINVAL;
	error = spool_destination_get(
	    &spool->index, request->u.take.destination, false, &destination);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	count = destination->d.messages;
	if (count > request->u.take.count)
		count = request->u.take.count;
	request->u.take.leases = spool_answer_array(
	    request, count, sizeof(*request->u.take.leases), &count);
	for (size_t i = 0; error == 0 && i < lane_count; i++)
		if (destination->d.rows[lanes[i]] > 0)
			error = take_lane(
			    spool, request, destination, lanes[i], count);
	if (error == -ENOBUFS)
		return 0;
	if (error < 0) {
		spool_lease_cancel(&spool->leases, request);
		request->u.take.lease_count = 0;
	}
	return error;
}

/* Leases what the row at hand belongs to, unless it is leased: 0, -errno. */
static int
take_alarm_row(
    struct spool *spool, struct store_request *request, sqlite3_stmt *row)
{
	uint64_t no = spool_sql_u64(row, 0), key = spool_sql_u64(row, 1);
	size_t count = request->u.alarm.lease_count;
	struct spool_destination *destination;
	int result = spool_destination_by_no(&spool->index, no, &destination);

	if (result == -ENOENT)
		return spool_index_fail(&spool->index, -EUCLEAN);
	if (result < 0)
		return result;
	if (spool_lease_get(&spool->leases, key, destination->d.name) != NULL) {
		request->u.alarm.is_passed = true;
		return 0;
	}
	if (count == request->u.alarm.count)
		return -ENOBUFS;
	arena_fini(&spool->index.scratch);
	result = take_message(spool, request, destination, STORE_READY, key,
	    &request->u.alarm.leases[count]);
	if (result > 0)
		request->u.alarm.lease_count++;
	return result < 0 ? result : 0;
}

int
spool_do_alarm(struct spool *spool, struct store_request *request)
{
	size_t count = request->u.alarm.count;
	sqlite3_stmt *row = spool_sql(&spool->index, SPOOL_SQL_ROW_ALARMS, "");
	int result;

	request->u.alarm.lease_count = 0;
	request->u.alarm.is_passed = false;
	request->u.alarm.next_alarm_ms = 0;
	request->u.alarm.leases = spool_answer_array(request, count,
	    sizeof(*request->u.alarm.leases), &request->u.alarm.count);
	while ((result = spool_sql_step(&spool->index, row)) > 0) {
		uint64_t alarm_ms = spool_sql_u64(row, 2);

		if (alarm_ms > request->u.alarm.now_ms)
			result = -ENOBUFS;
		else
			result = take_alarm_row(spool, request, row);
		if (result == -ENOBUFS)
			request->u.alarm.next_alarm_ms = alarm_ms;
		if (result < 0)
			break;
	}
	spool_sql_end(row);
	request->u.alarm.count = count;
	if (result == -ENOBUFS)
		return 0;
	if (result < 0) {
		spool_lease_cancel(&spool->leases, request);
		request->u.alarm.lease_count = 0;
	}
	return result;
}

/* Counts the rows of the filter among those of the message at the destination:
   0 or -errno. */
static int
take_count_leased(struct spool *spool, const struct store_request *request,
    const struct spool_stored *stored, struct spool_destination *destination,
    size_t *count)
{
	struct spool_group group;
	int error =
	    spool_rows_group(&spool->index, stored, destination, &group);

	for (size_t i = 0; error == 0 && i < group.count; i++)
		*count += take_wants(request, &group.rows[i], STORE_READY);
	return error;
}

/* Leases the message at each of its destinations: 1, 0 if that may not be all
   of it, -errno. */
static int
take_lease_message(struct spool *spool, struct store_request *request,
    const struct spool_stored *stored)
{
	struct str name = request->u.lease.filter.destination;
	uint64_t key = stored->message.key;
	size_t leased_count = 0;

	for (size_t i = 0; i < stored->destination_count; i++) {
		struct store_lease *to =
		    &request->u.lease.leases[request->u.lease.lease_count];
		struct spool_destination *destination;
		int result = spool_destination_by_no(
		    &spool->index, stored->destinations[i], &destination);

		/* Its rows are gone, and the destination with them. */
		if (result == -ENOENT)
			continue;
		if (result < 0)
			return result;
		if (name.size > 0 && !str_equal(name, destination->d.name))
			continue;
		if (spool_lease_get(&spool->leases, key, destination->d.name) !=
		    NULL)
			result = take_count_leased(
			    spool, request, stored, destination, &leased_count);
		else if (request->u.lease.lease_count ==
			 request->u.lease.count) {
			size_t more_count = 0;

			result = take_count_leased(
			    spool, request, stored, destination, &more_count);
			if (result == 0 && more_count > 0)
				return 0;
		} else
			result = take_message(
			    spool, request, destination, STORE_READY, key, to);
		if (result < 0)
			return result == -ENOBUFS ? 0 : result;
		request->u.lease.lease_count += (size_t)result;
		if (result > 0 && to->row_count == STORE_LEASE_ROWS_MAX)
			return 0;
	}
	request->u.lease.leased_count += leased_count;
	return 1;
}

/* Walks the messages of the filter; the key is where to go on. */
static int
take_lease_walk(struct spool *spool, struct store_request *request)
{
	const struct store_filter *filter = &request->u.lease.filter;
	uint64_t key = request->u.lease.after_key;
	struct spool_stored stored;

	for (size_t i = 0; i < SPOOL_LOOK_MAX; i++) {
		int result;

		request->u.lease.next_key = 0;
		arena_fini(&spool->index.scratch);
		result = spool_rows_next(&spool->index, filter, key, &stored);
		if (result < 0)
			return result == -ENOENT ? 0 : result;
		key = stored.message.key;
		request->u.lease.next_key = key - 1;
		if (store_filter_has_message(filter,
			stored.message.envelope.sender,
			stored.message.arrival_ms, stored.message.content_size))
			result = take_lease_message(spool, request, &stored);
		else
			result = 1;
		if (result <= 0)
			return result;
		request->u.lease.next_key = key;
	}
	return 0;
}

int
spool_do_lease(struct spool *spool, struct store_request *request)
{
	size_t count = request->u.lease.count;
	int error;

	request->u.lease.lease_count = request->u.lease.leased_count = 0;
	if (request->u.lease.inline_max > STORE_BLOCK)
		return -EINVAL;
	if (count > STORE_SLICE_MAX)
		count = STORE_SLICE_MAX;
	/* One more than is given out, for take_lease_message() to point to. */
	request->u.lease.leases = spool_answer_array(request, count + 1,
	    sizeof(*request->u.lease.leases), &request->u.lease.count);
	CHECK(request->u.lease.count == count + 1);
	request->u.lease.count = count;
	error = take_lease_walk(spool, request);
	if (error < 0) {
		spool_lease_cancel(&spool->leases, request);
		request->u.lease.lease_count = 0;
	}
	return error;
}
