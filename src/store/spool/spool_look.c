/*
 * The requests that change nothing and lease nothing: content, counts and
 * lists.  Answers are copied into the request's arena; where it is full the
 * answer is shorter.
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
/* Distinct domains of one count. */
#define LOOK_DOMAINS_MAX 10000

void *
spool_answer_array(
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
	    spool_answer_array(request, request->u.destinations.count,
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
	to->reason = to->directory = STR("");
	for (size_t i = 0; i < n; i++)
		if (rows[i].lane == STORE_STOPPED)
			to->reason = m->reason;
	to->reason = arena_copy(&request->arena, to->reason);
	if (to->reason.data == NULL)
		return -ENOBUFS;
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
	request->u.find.found = spool_answer_array(
	    request, count_max, sizeof(*request->u.find.found), &count_max);
	for (size_t i = 0; i < SPOOL_LOOK_MAX && count < count_max; i++) {
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
