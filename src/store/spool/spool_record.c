/* Log records; see spool_record.h for the format.  Every field that is read
   is bounded; what does not fit the bounds spoils the whole record. */
#include "store/spool/spool_record.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/num.h"
#include "base/wire.h"

#include <errno.h>
#include <string.h>

#define RECORD_VERSION 1

static const char record_segment_magic[8] = "SENDQLOG";
static const char record_magic[4] = "SQR1";

void
spool_segment_header_put(
    char to[SPOOL_SEGMENT_HEADER], const struct spool_segment_header *header)
{
	memcpy(to, record_segment_magic, sizeof(record_segment_magic));
	wire_store_u32(to + 8, RECORD_VERSION);
	wire_store_u64(to + 16, header->number);
	wire_store_u64(to + 24, header->previous);
	wire_store_u64(to + 32, header->previous_end);
	wire_store_u64(to + 40, header->salt);
	wire_store_u64(to + 48, header->seq);
	wire_store_u64(to + 56, header->queue_ms);
	wire_store_u64(to + 64, header->wall_ms);
	wire_store_u32(
	    to + 12, crc32c(0, str_of(to + 16, SPOOL_SEGMENT_HEADER - 16)));
}

int
spool_segment_header_get(const char from[SPOOL_SEGMENT_HEADER],
    struct spool_segment_header *header_out)
{
	if (memcmp(from, record_segment_magic, sizeof(record_segment_magic)) !=
		0 ||
	    wire_load_u32(from + 8) != RECORD_VERSION ||
	    wire_load_u32(from + 12) !=
		crc32c(0, str_of(from + 16, SPOOL_SEGMENT_HEADER - 16)))
		return -EBADMSG;
	header_out->number = wire_load_u64(from + 16);
	header_out->previous = wire_load_u64(from + 24);
	header_out->previous_end = wire_load_u64(from + 32);
	header_out->salt = wire_load_u64(from + 40);
	header_out->seq = wire_load_u64(from + 48);
	header_out->queue_ms = wire_load_u64(from + 56);
	header_out->wall_ms = wire_load_u64(from + 64);
	return 0;
}

void
spool_record_header_put(
    char to[SPOOL_RECORD_HEADER], const struct spool_record_header *header)
{
	memcpy(to, record_magic, sizeof(record_magic));
	wire_store_u32(to + 4, header->type);
	wire_store_u64(to + 8, header->seq);
	wire_store_u64(to + 16, header->synced_seq);
	wire_store_u32(to + 24, header->body_size);
	wire_store_u32(to + 28, header->content_size);
	wire_store_u32(to + 32, header->body_crc);
	wire_store_u64(to + 36, header->salt);
	wire_store_u32(to + 44, crc32c(0, str_of(to, SPOOL_RECORD_HEADER - 4)));
}

int
spool_record_header_get(const char from[SPOOL_RECORD_HEADER],
    struct spool_record_header *header_out)
{
	uint32_t type = wire_load_u32(from + 4);

	if (memcmp(from, record_magic, sizeof(record_magic)) != 0 ||
	    wire_load_u32(from + 44) !=
		crc32c(0, str_of(from, SPOOL_RECORD_HEADER - 4)))
		return -EBADMSG;
	header_out->type = (enum spool_record_type)type;
	header_out->seq = wire_load_u64(from + 8);
	header_out->synced_seq = wire_load_u64(from + 16);
	header_out->body_size = wire_load_u32(from + 24);
	header_out->content_size = wire_load_u32(from + 28);
	header_out->body_crc = wire_load_u32(from + 32);
	header_out->salt = wire_load_u64(from + 36);
	if (type == 0 || type >= SPOOL_TYPES ||
	    header_out->body_size > SPOOL_BODY_MAX ||
	    header_out->content_size > STORE_CONTENT_MEMORY)
		return -EBADMSG;
	return 0;
}

uint64_t
spool_content_stored(uint64_t size)
{
	return size + 4 * ((size + STORE_BLOCK - 1) / STORE_BLOCK);
}

uint64_t
spool_record_size(const struct spool_record_header *header)
{
	uint64_t size = SPOOL_RECORD_HEADER + header->body_size +
	                spool_content_stored(header->content_size);

	return (size + 7) & ~(uint64_t)7;
}

uint32_t
spool_block_crc(const char *id, uint64_t index, struct str block)
{
	char number[8];
	uint32_t crc = crc32c(0, str_from(id));

	wire_store_u64(number, index);
	crc = crc32c(crc, str_of(number, sizeof(number)));
	return crc32c(crc, block);
}

/* What ends a body, unless it is empty. */
static void
record_put_reason(struct wire_writer *w, struct str reason)
{
	if (reason.size > 0)
		wire_put_str(w, reason);
}

static void
record_put_row(struct wire_writer *w, const struct spool_row *row)
{
	wire_put_u32(w, row->index);
	mail_recipient_put(w, &row->recipient);
	wire_put_str(w, row->destination);
	wire_put_str(w, row->domain);
	wire_put_u8(w, (uint8_t)row->lane);
	wire_put_u8(w, (uint8_t)row->home);
	wire_put_u64(w, row->place);
	wire_put_u32(w, row->attempts);
	wire_put_str(w, row->status);
	wire_put_u64(w, row->alarm_ms);
	wire_put_u8(w, row->is_told);
}

static void
record_put_message(struct wire_writer *w, const struct spool_message *m)
{
	wire_put_u64(w, m->key);
	wire_put_str(w, str_from(m->id));
	wire_put_u64(w, m->arrival_ms);
	wire_put_u64(w, m->arrival_wall_ms);
	wire_put_u64(w, m->expire_ms);
	wire_put_u64(w, m->rank);
	wire_put_u64(w, m->content_size);
	wire_put_u8(w, m->is_staged);
	mail_envelope_put(w, &m->envelope);
	wire_put_u32(w, num_narrow_u32(m->row_count));
	for (size_t i = 0; i < m->row_count; i++)
		record_put_row(w, &m->rows[i]);
	record_put_reason(w, m->reason);
}

static void
record_put_settle(struct wire_writer *w, const struct spool_body *body)
{
	wire_put_u64(w, body->key);
	wire_put_str(w, body->destination);
	wire_put_u32(w, num_narrow_u32(body->result_count));
	for (size_t i = 0; i < body->result_count; i++) {
		const struct store_result *result = &body->results[i];

		wire_put_u32(w, result->index);
		wire_put_u8(w, (uint8_t)result->outcome);
		wire_put_u64(w, result->due_ms);
		wire_put_str(w, result->status);
		wire_put_u64(w, result->alarm_ms);
		wire_put_u8(w, result->is_told);
	}
	wire_put_u8(w, body->has_message);
	if (body->has_message)
		record_put_message(w, &body->message);
}

static void
record_put_change(struct wire_writer *w, const struct spool_body *body)
{
	wire_put_u8(w, (uint8_t)body->change);
	wire_put_u32(w, num_narrow_u32(body->group_count));
	for (size_t i = 0; i < body->group_count; i++) {
		const struct spool_change_group *group = &body->groups[i];

		wire_put_u64(w, group->key);
		wire_put_str(w, group->destination);
		wire_put_u32(w, num_narrow_u32(group->count));
		for (size_t j = 0; j < group->count; j++)
			wire_put_u32(w, group->indexes[j]);
	}
	record_put_reason(w, body->reason);
}

static void
record_put_move(struct wire_writer *w, const struct spool_body *body)
{
	wire_put_u64(w, body->key);
	wire_put_u8(w, body->is_now);
	wire_put_u32(w, num_narrow_u32(body->move_count));
	for (size_t i = 0; i < body->move_count; i++) {
		const struct store_move *move = &body->moves[i];
		enum store_lane home = move->is_held ? STORE_HELD : STORE_READY;

		wire_put_u32(w, move->index);
		wire_put_str(w, move->destination);
		wire_put_u8(w, (uint8_t)home);
		wire_put_u64(w, move->alarm_ms);
	}
}

int
spool_body_put(
    struct buf *out, enum spool_record_type type, const struct spool_body *body)
{
	struct wire_writer w = {.out = out};

	switch (type) {
	case SPOOL_MESSAGE:
		record_put_message(&w, &body->message);
		break;
	case SPOOL_SETTLE:
		record_put_settle(&w, body);
		break;
	case SPOOL_CHANGE:
		record_put_change(&w, body);
		break;
	case SPOOL_REHOLD:
		wire_put_str(&w, body->destination);
		break;
	case SPOOL_DUE:
		wire_put_u64(&w, body->due_ms);
		wire_put_u64(&w, body->key);
		wire_put_u32(&w, body->due_index);
		break;
	case SPOOL_CLOCK:
		wire_put_u64(&w, body->queue_ms);
		wire_put_u64(&w, body->wall_ms);
		break;
	case SPOOL_MOVE:
		record_put_move(&w, body);
		break;
	case SPOOL_TYPES:
		CHECK(type != SPOOL_TYPES);
	}
	return w.is_bad ? -ENOBUFS : 0;
}

/* One byte below COUNT. */
static uint8_t
record_get_enum(struct wire_reader *r, uint8_t count)
{
	uint8_t value = wire_get_u8(r);

	if (value < count)
		return value;
	r->is_bad = true;
	return 0;
}

/* A time that the index can hold with a sign. */
static uint64_t
record_get_time(struct wire_reader *r)
{
	uint64_t value = wire_get_u64(r);

	if (value <= INT64_MAX)
		return value;
	r->is_bad = true;
	return 0;
}

/* An array for COUNT elements, each of which takes a byte at least. */
static void *
record_get_array(
    struct wire_reader *r, struct arena *arena, size_t count, size_t size)
{
	void *array = NULL;

	if (!r->is_bad && count <= r->in.size)
		array = arena_new(arena, count * size);
	if (array == NULL)
		r->is_bad = true;
	return array;
}

static struct str
record_get_reason(struct wire_reader *r)
{
	struct str reason;

	if (r->is_bad || r->in.size == 0)
		return STR("");
	reason = wire_get_str(r, STORE_REASON_MAX);
	if (reason.size == 0 || !store_reason_is_valid(reason))
		r->is_bad = true;
	return reason;
}

static void
record_get_row(struct wire_reader *r, struct spool_row *row)
{
	row->index = wire_get_bounded(r, STORE_RECIPIENTS_MAX - 1);
	mail_recipient_get(r, &row->recipient);
	row->destination = wire_get_str(r, STORE_DESTINATION_MAX);
	row->domain = wire_get_str(r, SPOOL_BODY_MAX);
	row->lane = (enum store_lane)record_get_enum(r, STORE_LANES);
	row->home = (enum store_lane)record_get_enum(r, STORE_LANES);
	row->place = wire_get_u64(r);
	row->attempts = wire_get_u32(r);
	row->status = wire_get_str(r, STORE_STATUS_MAX);
	row->alarm_ms = record_get_time(r);
	row->is_told = record_get_enum(r, 2) != 0;
	if (row->destination.size == 0 ||
	    (row->home != STORE_READY && row->home != STORE_HELD))
		r->is_bad = true;
}

static void
record_get_message(
    struct wire_reader *r, struct arena *arena, struct spool_message *m)
{
	struct str id;

	m->key = wire_get_u64(r);
	id = wire_get_str(r, STORE_ID_MAX);
	m->arrival_ms = wire_get_u64(r);
	m->arrival_wall_ms = wire_get_u64(r);
	m->expire_ms = wire_get_u64(r);
	m->rank = wire_get_u64(r);
	m->content_size = wire_get_u64(r);
	m->is_staged = record_get_enum(r, 2) != 0;
	mail_envelope_get(r, &m->envelope);
	m->row_count = wire_get_bounded(r, STORE_RECIPIENTS_MAX);
	if (!store_id_is_valid(id) || m->row_count == 0)
		r->is_bad = true;
	m->rows = record_get_array(r, arena, m->row_count, sizeof(*m->rows));
	if (r->is_bad)
		return;
	memcpy(m->id, id.data, id.size);
	m->id[id.size] = '\0';
	for (size_t i = 0; i < m->row_count; i++) {
		record_get_row(r, &m->rows[i]);
		if (i > 0 && m->rows[i].index <= m->rows[i - 1].index)
			r->is_bad = true;
	}
	m->reason = record_get_reason(r);
}

static void
record_get_settle(
    struct wire_reader *r, struct arena *arena, struct spool_body *body)
{
	body->key = wire_get_u64(r);
	body->destination = wire_get_str(r, STORE_DESTINATION_MAX);
	body->result_count = wire_get_bounded(r, STORE_LEASE_ROWS_MAX);
	body->results = record_get_array(
	    r, arena, body->result_count, sizeof(*body->results));
	for (size_t i = 0; !r->is_bad && i < body->result_count; i++) {
		struct store_result *result = &body->results[i];

		result->index = wire_get_u32(r);
		result->outcome =
		    (enum store_outcome)record_get_enum(r, STORE_UNTRIED + 1);
		result->due_ms = wire_get_u64(r);
		result->status = wire_get_str(r, STORE_STATUS_MAX);
		result->alarm_ms = record_get_time(r);
		result->is_told = record_get_enum(r, 2) != 0;
	}
	body->has_message = record_get_enum(r, 2) != 0;
	if (body->has_message && !r->is_bad)
		record_get_message(r, arena, &body->message);
}

static void
record_get_change(
    struct wire_reader *r, struct arena *arena, struct spool_body *body)
{
	body->change =
	    (enum store_change)record_get_enum(r, STORE_CHANGE_DELETE + 1);
	body->group_count = wire_get_bounded(r, STORE_SLICE_MAX);
	body->groups = record_get_array(
	    r, arena, body->group_count, sizeof(*body->groups));
	for (size_t i = 0; !r->is_bad && i < body->group_count; i++) {
		struct spool_change_group *group = &body->groups[i];

		group->key = wire_get_u64(r);
		group->destination = wire_get_str(r, STORE_DESTINATION_MAX);
		group->count = wire_get_bounded(r, STORE_SLICE_MAX);
		group->indexes = record_get_array(
		    r, arena, group->count, sizeof(*group->indexes));
		for (size_t j = 0; !r->is_bad && j < group->count; j++)
			group->indexes[j] = wire_get_u32(r);
	}
	body->reason = record_get_reason(r);
}

static void
record_get_move(
    struct wire_reader *r, struct arena *arena, struct spool_body *body)
{
	body->key = wire_get_u64(r);
	body->is_now = record_get_enum(r, 2) != 0;
	body->move_count = wire_get_bounded(r, STORE_SLICE_MAX);
	body->moves =
	    record_get_array(r, arena, body->move_count, sizeof(*body->moves));
	for (size_t i = 0; !r->is_bad && i < body->move_count; i++) {
		struct store_move *move = &body->moves[i];
		uint8_t home;

		move->index = wire_get_u32(r);
		move->destination = wire_get_str(r, STORE_DESTINATION_MAX);
		home = record_get_enum(r, STORE_LANES);
		if (home != STORE_HELD && home != STORE_READY)
			r->is_bad = true;
		move->is_held = home == STORE_HELD;
		move->alarm_ms = record_get_time(r);
	}
	if (!r->is_bad && !store_move_is_valid(body->moves, body->move_count))
		r->is_bad = true;
}

static void
record_get(struct wire_reader *r, enum spool_record_type type,
    struct arena *arena, struct spool_body *body)
{
	switch (type) {
	case SPOOL_MESSAGE:
		body->has_message = true;
		record_get_message(r, arena, &body->message);
		break;
	case SPOOL_SETTLE:
		record_get_settle(r, arena, body);
		break;
	case SPOOL_CHANGE:
		record_get_change(r, arena, body);
		break;
	case SPOOL_REHOLD:
		body->destination = wire_get_str(r, STORE_DESTINATION_MAX);
		break;
	case SPOOL_DUE:
		body->due_ms = wire_get_u64(r);
		body->key = wire_get_u64(r);
		body->due_index = wire_get_u32(r);
		break;
	case SPOOL_CLOCK:
		body->queue_ms = wire_get_u64(r);
		body->wall_ms = wire_get_u64(r);
		break;
	case SPOOL_MOVE:
		record_get_move(r, arena, body);
		break;
	case SPOOL_TYPES:
		r->is_bad = true;
	}
}

int
spool_body_get(struct str bytes, const struct spool_record_header *header,
    struct arena *arena, struct spool_body *body_out)
{
	struct wire_reader r = {.in = bytes};
	struct spool_message *m = &body_out->message;

	memset(body_out, 0, sizeof(*body_out));
	record_get(&r, header->type, arena, body_out);
	if (!wire_is_whole(&r))
		return -EBADMSG;
	if (!body_out->has_message)
		return header->content_size == 0 ? 0 : -EBADMSG;
	if (m->key == 0)
		m->key = header->seq;
	if (header->content_size != (m->is_staged ? 0 : m->content_size))
		return -EBADMSG;
	return 0;
}
