/*
 * The requests that change nothing.  Answers are copied into the request's
 * arena; where it is full the answer is shorter.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/wire.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Array elements of an answer may take a quarter of its arena. */
#define LOOK_ARRAY_MAX (STORE_ARENA_MAX / 4)
/* Messages that one find or lease looks at, of the filter or not. */
#define LOOK_MESSAGES_MAX 2000
/* Distinct domains of one count. */
#define LOOK_DOMAINS_MAX 10000

/* Room for up to COUNT elements, bounded; COUNT_OUT is for how many. */
static void *
look_array(
    struct store_request *request, size_t count, size_t size, size_t *count_out)
{
	void *array;

	if (count > LOOK_ARRAY_MAX / size)
		count = LOOK_ARRAY_MAX / size;
	array = arena_new(&request->arena, count * size);
	*count_out = array != NULL ? count : 0;
	return array;
}

/* Reads SIZE stored bytes at OFFSET of the message's content. */
static int
look_stored(struct spool *spool, const struct spool_stored *stored,
    uint64_t offset, void *data, size_t size)
{
	struct spool_at at = stored->at;

	if (stored->message.is_staged)
		return spool_stage_read(
		    &spool->stages, stored->message.id, offset, data, size);
	at.offset = stored->content + offset;
	return spool_log_read(&spool->log, at, data, size);
}

int
spool_read_block(struct spool *spool, const struct spool_stored *stored,
    uint64_t index, char *data, struct str *block_out)
{
	uint64_t size = stored->message.content_size;
	struct spool_segment *segment;
	int error;

	*block_out = STR("");
	if (index > size / STORE_BLOCK || index * STORE_BLOCK == size)
		return 0;
	size -= index * STORE_BLOCK;
	if (size > STORE_BLOCK)
		size = STORE_BLOCK;
	error = look_stored(
	    spool, stored, index * SPOOL_BLOCK_STORED, data, size + 4);
	*block_out = str_of(data, size);
	if (error == 0 && spool_block_crc(stored->message.id, index,
			      *block_out) == wire_load_u32(data + size))
		return 0;
	log_event(LOG_ERROR, "damaged", stored->message.id,
	    "segment=%" PRIu64 " offset=%" PRIu64 " block=%" PRIu64 " error=%d",
	    stored->at.segment, stored->at.offset, index, -error);
	*block_out = STR("");
	segment = spool_log_segment(&spool->log, stored->at.segment);
	if (segment != NULL && (error == 0 || error == -EBADMSG)) {
		segment->is_damaged = true;
		segment->is_dirty = true;
	}
	return -EIO;
}

int
spool_do_read(struct spool *spool, struct store_request *request)
{
	struct spool_stored stored;
	char *data;
	int error;

	request->u.read.bytes = STR("");
	error = spool_rows_by_id(
	    &spool->index, str_from(request->u.read.id), &stored);
	if (error < 0)
		return error;
	data = arena_new(&request->arena, SPOOL_BLOCK_STORED);
	if (data == NULL)
		return -ENOMEM;
	return spool_read_block(spool, &stored, request->u.read.index, data,
	    &request->u.read.bytes);
}

static bool
look_wants(const struct store_request *request, const struct spool_row *row,
    enum store_lane lane)
{
	if (request->verb == STORE_ALARM)
		return row->lane != STORE_STOPPED && row->alarm_ms > 0 &&
		       row->alarm_ms <= request->u.alarm.now_ms;
	if (request->verb == STORE_LEASE)
		return store_filter_has_row(&request->u.lease.filter,
		    row->destination, row->domain, row->recipient.address);
	return row->lane == lane &&
	       store_domains_have(request->u.take.domains,
		   request->u.take.domain_count, row->domain);
}

/* Copies the content if it is small enough; damaged content stays out, so
   that whoever reads it block by block is told. */
static bool
look_inline(struct spool *spool, struct store_request *request,
    const struct spool_stored *stored, struct store_lease *to)
{
	char *data;

	to->content = STR("");
	if (to->content_size == 0 ||
	    to->content_size > request->u.take.inline_max)
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
look_lease(struct store_request *request, const struct spool_message *m,
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
		to->row_count += look_wants(request, &group->rows[i], lane);
	if (to->row_count > STORE_LEASE_ROWS_MAX)
		to->row_count = STORE_LEASE_ROWS_MAX;
	to->rows = arena_new(arena, to->row_count * sizeof(*to->rows));
	if (to->rows == NULL || to->destination.data == NULL ||
	    mail_envelope_copy(arena, &m->envelope, &to->envelope) < 0)
		return false;
	for (size_t i = 0, n = 0; n < to->row_count; i++) {
		const struct spool_row *row = &group->rows[i];

		if (!look_wants(request, row, lane))
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
look_take_message(struct spool *spool, struct store_request *request,
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
	if (!look_lease(request, &stored.message, &group, lane, to))
		return -ENOBUFS;
	if (to->row_count == 0)
		return 0;
	if (request->verb == STORE_TAKE &&
	    !look_inline(spool, request, &stored, to))
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
look_take_lane(struct spool *spool, struct store_request *request,
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
		result = look_take_message(spool, request, destination, from,
		    key, &request->u.take.leases[request->u.take.lease_count]);
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
	request->u.take.leases =
	    look_array(request, count, sizeof(*request->u.take.leases), &count);
	for (size_t i = 0; error == 0 && i < lane_count; i++)
		if (destination->d.rows[lanes[i]] > 0)
			error = look_take_lane(
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
look_alarm_row(
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
	result = look_take_message(spool, request, destination, STORE_READY,
	    key, &request->u.alarm.leases[count]);
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
	request->u.alarm.leases = look_array(request, count,
	    sizeof(*request->u.alarm.leases), &request->u.alarm.count);
	while ((result = spool_sql_step(&spool->index, row)) > 0) {
		uint64_t alarm_ms = spool_sql_u64(row, 2);

		if (alarm_ms > request->u.alarm.now_ms)
			result = -ENOBUFS;
		else
			result = look_alarm_row(spool, request, row);
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

/* Counts the rows of the filter among those of the message, which are leased
   at the destination: 0 or -errno. */
static int
look_count_leased(struct spool *spool, const struct store_request *request,
    const struct spool_stored *stored, struct spool_destination *destination,
    size_t *count)
{
	struct spool_group group;
	int error =
	    spool_rows_group(&spool->index, stored, destination, &group);

	for (size_t i = 0; error == 0 && i < group.count; i++)
		*count += look_wants(request, &group.rows[i], STORE_READY);
	return error;
}

/* Leases the message at each of its destinations: 1, 0 if that may not be all
   of it, -errno. */
static int
look_lease_message(struct spool *spool, struct store_request *request,
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
			result = look_count_leased(
			    spool, request, stored, destination, &leased_count);
		else if (request->u.lease.lease_count == request->u.lease.count)
			return 0;
		else
			result = look_take_message(
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
look_lease_walk(struct spool *spool, struct store_request *request)
{
	const struct store_filter *filter = &request->u.lease.filter;
	uint64_t key = request->u.lease.after_key;
	struct spool_stored stored;

	for (size_t i = 0; i < LOOK_MESSAGES_MAX; i++) {
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
			result = look_lease_message(spool, request, &stored);
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
	if (count > STORE_SLICE_MAX)
		count = STORE_SLICE_MAX;
	/* One more than is given out, for look_lease_message() to point to. */
	request->u.lease.leases = look_array(request, count + 1,
	    sizeof(*request->u.lease.leases), &request->u.lease.count);
	CHECK(request->u.lease.count == count + 1);
	request->u.lease.count = count;
	error = look_lease_walk(spool, request);
	if (error < 0) {
		spool_lease_cancel(&spool->leases, request);
		request->u.lease.lease_count = 0;
	}
	return error;
}

static bool
look_is_listed(const struct str *domains, size_t count, struct str domain)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(domains[i], domain))
			return true;
	return false;
}

/* How many of the domains the open rows of the group have; each once. */
static uint64_t
look_domains_of(
    const struct store_request *request, const struct spool_group *group)
{
	uint64_t found = 0;

	for (size_t i = 0; i < group->count; i++) {
		const struct spool_row *row = &group->rows[i];
		bool is_new = row->lane != STORE_STOPPED &&
		              look_is_listed(request->u.count.domains,
				  request->u.count.domain_count, row->domain);

		for (size_t j = 0; is_new && j < i; j++)
			is_new = group->rows[j].lane == STORE_STOPPED ||
			         !str_equal(group->rows[j].domain, row->domain);
		found += is_new;
	}
	return found;
}

/* Messages with recipients of several of the domains were counted more than
   once: takes that back. */
static int
look_count_correct(struct spool *spool, struct store_request *request,
    struct spool_destination *destination)
{
	struct spool_index *index = &spool->index;
	sqlite3_stmt *row =
	    spool_sql(index, SPOOL_SQL_SPECIAL_MULTI, "u", destination->no);
	int result;

	while ((result = spool_sql_step(index, row)) > 0) {
		struct spool_stored stored;
		struct spool_group group;
		uint64_t found;

		arena_fini(&index->scratch);
		result =
		    spool_rows_by_key(index, spool_sql_u64(row, 0), &stored);
		if (result == -ENOENT)
			result = spool_index_fail(index, -EUCLEAN);
		if (result == 0)
			result = spool_rows_group(
			    index, &stored, destination, &group);
		if (result < 0)
			break;
		found = look_domains_of(request, &group);
		if (found > 1) {
			request->u.count.messages -= found - 1;
			request->u.count.bytes -= (found - 1) * group.size;
		}
	}
	spool_sql_end(row);
	return result;
}

static bool
look_has_tree(const struct str *domains, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_starts(domains[i], STR("@")))
			return true;
	return false;
}

/* Counts by walking the destination's messages: a domain and all below it has
   no count of its own. */
static int
look_count_tree(struct spool *spool, struct store_request *request,
    struct spool_destination *destination)
{
	const struct store_filter filter = {
	    .destination = request->u.count.destination};
	struct spool_stored stored;
	struct spool_group group;
	uint64_t key = 0;
	int error;

	for (;;) {
		bool is_wanted = false;

		arena_fini(&spool->index.scratch);
		error = spool_rows_next(&spool->index, &filter, key, &stored);
		if (error == 0)
			error = spool_rows_group(
			    &spool->index, &stored, destination, &group);
		if (error < 0)
			return error == -ENOENT ? 0 : error;
		key = stored.message.key;
		for (size_t i = 0; i < group.count && !is_wanted; i++)
			is_wanted = group.rows[i].lane != STORE_STOPPED &&
			            store_domains_have(request->u.count.domains,
					request->u.count.domain_count,
					group.rows[i].domain);
		request->u.count.messages += is_wanted;
		request->u.count.bytes += is_wanted ? group.size : 0;
	}
}

int
spool_do_count(struct spool *spool, struct store_request *request)
{
	const struct str *domains = request->u.count.domains;
	size_t count = request->u.count.domain_count;
	struct spool_destination *destination;
	int error;

	request->u.count.messages = request->u.count.bytes = 0;
	if (count > LOOK_DOMAINS_MAX || (count > 0 && request->u.count.is_all))
		return -EINVAL;
	if (request->u.count.is_all && request->u.count.destination.size == 0) {
		request->u.count.messages = spool->log.live_count;
		request->u.count.bytes = spool->log.live_content;
		return 0;
	}
	error = spool_destination_get(
	    &spool->index, request->u.count.destination, false, &destination);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	if (look_has_tree(domains, count))
		return look_count_tree(spool, request, destination);
	if (request->u.count.is_all) {
		request->u.count.messages = destination->d.messages;
		request->u.count.bytes = destination->d.bytes;
	} else if (count == 0) {
		request->u.count.messages = destination->open_messages;
		request->u.count.bytes = destination->open_bytes;
	}
	for (size_t i = 0; error == 0 && i < count; i++) {
		struct store_destination counts = {.messages = 0};

		if (look_is_listed(domains, i, domains[i]))
			continue;
		error = spool_counts_domain(
		    &spool->index, destination, domains[i], &counts);
		request->u.count.messages += counts.messages;
		request->u.count.bytes += counts.bytes;
	}
	if (error == 0 && count > 1 && destination->multi_count > 0)
		error = look_count_correct(spool, request, destination);
	return error;
}

/* Copies one destination; false if the arena is full. */
static int
look_destination(struct spool *spool, struct store_request *request,
    sqlite3_stmt *row, struct store_destination *to)
{
	spool_destination_read(row, to);
	to->name = arena_copy(&request->arena, to->name);
	if (to->name.data == NULL)
		return -ENOBUFS;
	return spool_destination_oldest(
	    &spool->index, spool_sql_u64(row, 0), &to->oldest_ms);
}

static sqlite3_stmt *
look_destinations_from(struct spool *spool, struct store_request *request)
{
	uint64_t now_ms = request->u.destinations.now_ms;

	if (!request->u.destinations.is_ready)
		return spool_sql(&spool->index, SPOOL_SQL_DESTINATION_NEXT, "b",
		    request->u.destinations.after);
	if (now_ms > INT64_MAX)
		now_ms = INT64_MAX;
	return spool_sql(&spool->index, SPOOL_SQL_DESTINATION_NEXT_READY, "bu",
	    request->u.destinations.after, now_ms);
}

int
spool_do_destinations(struct spool *spool, struct store_request *request)
{
	struct spool_index *index = &spool->index;
	size_t count = 0, count_max;
	uint64_t now_ms = request->u.destinations.now_ms;
	sqlite3_stmt *row;
	int result;

	request->u.destinations.destination_count = 0;
	request->u.destinations.next_due_ms = 0;
	/* The counts in memory are ahead of the index. */
	result = spool_counts_flush(index);
	if (result < 0)
		return result;
	if (request->u.destinations.is_ready && now_ms <= INT64_MAX)
		result = spool_sql_number(index,
		    spool_sql(index, SPOOL_SQL_DESTINATION_DUE, "u", now_ms),
		    &request->u.destinations.next_due_ms);
	if (result < 0)
		return result;
	request->u.destinations.destinations =
	    look_array(request, request->u.destinations.count,
		sizeof(struct store_destination), &count_max);
	row = look_destinations_from(spool, request);
	while (count < count_max && (result = spool_sql_step(index, row)) > 0) {
		result = look_destination(spool, request, row,
		    &request->u.destinations.destinations[count]);
		if (result < 0)
			break;
		count++;
	}
	spool_sql_end(row);
	request->u.destinations.destination_count = count;
	return result == -ENOBUFS || result > 0 ? 0 : result;
}

/* Copies one row of an answer; false if the arena is full. */
static bool
look_found_row(struct spool *spool, struct store_request *request, uint64_t key,
    const struct spool_row *row, struct store_found_row *to)
{
	struct arena *arena = &request->arena;

	*to = (struct store_found_row){
	    .index = row->index,
	    .lane = row->lane,
	    .is_leased =
		spool_lease_get(&spool->leases, key, row->destination) != NULL,
	    .attempts = row->attempts,
	    .due_ms = row->lane == STORE_WAITING ? row->place : 0,
	    .alarm_ms = row->alarm_ms,
	    .is_told = row->is_told,
	    .destination = arena_copy(arena, row->destination),
	    .status = arena_copy(arena, row->status),
	};
	return mail_recipient_copy(arena, &row->recipient, &to->recipient) ==
	           0 &&
	       to->destination.data != NULL && to->status.data != NULL;
}

/* Copies the message with the rows of the filter: 0, -ENOBUFS, -errno. */
static int
look_found(struct spool *spool, struct store_request *request,
    const struct spool_stored *stored, struct store_found *to)
{
	const struct spool_message *m = &stored->message;
	const struct store_filter *filter = &request->u.find.filter;
	struct spool_row *rows;
	size_t count, n = 0;
	int error;

	to->row_count = 0;
	if (!store_filter_has_message(
		filter, m->envelope.sender, m->arrival_ms, m->content_size))
		return 0;
	error = spool_rows_all(
	    &spool->index, stored, filter->destination, &rows, &count);
	if (error < 0)
		return error;
	for (size_t i = 0; i < count; i++)
		if (store_filter_has_row(filter, rows[i].destination,
			rows[i].domain, rows[i].recipient.address))
			rows[n++] = rows[i];
	if (n == 0)
		return 0;
	to->row_count = n;
	to->key = m->key;
	memcpy(to->id, m->id, sizeof(to->id));
	to->arrival_ms = m->arrival_ms;
	to->arrival_wall_ms = m->arrival_wall_ms;
	to->expire_ms = m->expire_ms;
	to->content_size = m->content_size;
	to->rows =
	    arena_new(&request->arena, to->row_count * sizeof(*to->rows));
	if (to->rows == NULL || mail_envelope_copy(&request->arena,
				    &m->envelope, &to->envelope) < 0)
		return -ENOBUFS;
	for (size_t i = 0; i < to->row_count; i++)
		if (!look_found_row(
			spool, request, m->key, &rows[i], &to->rows[i]))
			return -ENOBUFS;
	return 0;
}

int
spool_do_find(struct spool *spool, struct store_request *request)
{
	uint64_t key = request->u.find.after_key;
	size_t count = 0, count_max = request->u.find.count;
	struct spool_stored stored;
	int error = 0;

	if (count_max > STORE_PAGE_MAX)
		count_max = STORE_PAGE_MAX;
	request->u.find.found_count = 0;
	request->u.find.found = look_array(
	    request, count_max, sizeof(*request->u.find.found), &count_max);
	for (size_t i = 0; i < LOOK_MESSAGES_MAX && count < count_max; i++) {
		arena_fini(&spool->index.scratch);
		error = spool_rows_next(
		    &spool->index, &request->u.find.filter, key, &stored);
		if (error == 0)
			error = look_found(spool, request, &stored,
			    &request->u.find.found[count]);
		if (error < 0)
			break;
		key = stored.message.key;
		/* The filter may have none of its rows. */
		count += request->u.find.found[count].row_count > 0;
	}
	request->u.find.found_count = count;
	request->u.find.next_key = error == -ENOENT ? 0 : key;
	request->u.find.total = spool->log.live_count;
	return error == -ENOENT || error == -ENOBUFS ? 0 : error;
}
