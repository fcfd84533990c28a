/*
 * Our line in a control file, the macro ${sendq}: what sendmail has no place
 * for.  Format, version 1: tokens with blanks between, a letter and its value.
 *
 *   1                      version, first
 *   a w e k s              arrival, arrival by wall clock, expiry, rank, size
 *   q v                    place in the order of append; how often written
 *   m                      priority (RFC 6710), if not 0
 *   r b                    the df has all content; no empty line after header
 *   y                      why some are stopped; of all the file has it in q
 *   n                      recipients that the message had
 *   +I                     begins recipient I, in order of the R lines
 *     R W H S              its lane; W has the due time
 *     t A T                attempts; alarm; the sender was told
 *     h                    its home is HELD
 *     d o                  destination and domain key, where they are others
 *                          than those of the recipient before
 *
 * Bytes of a text that are no printable ASCII, blanks and "%" are written %XX.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/num.h"

#include <errno.h>
#include <string.h>

static const char mq_lanes[STORE_LANES + 1] = "RWHS";

static int
mq_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
mq_fact_text(struct str text, struct arena *arena, struct str *out)
{
	char *to = arena_new(arena, text.size + 1);
	size_t size = 0;

	if (to == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < text.size; i++) {
		int high, low;

		if (text.data[i] != '%') {
			to[size++] = text.data[i];
			continue;
		}
		if (text.size - i < 3)
			return -EINVAL;
		high = mq_hex(text.data[i + 1]);
		low = mq_hex(text.data[i + 2]);
		if (high < 0 || low < 0)
			return -EINVAL;
		to[size++] = (char)(high * 16 + low);
		i += 2;
	}
	*out = str_of(to, size);
	return 0;
}

static int
mq_fact_number(struct str text, uint64_t *out)
{
	return num_parse(text, UINT64_MAX, out);
}

static int
mq_fact_u32(struct str text, uint32_t *out)
{
	uint64_t value;
	int error = num_parse(text, UINT32_MAX, &value);

	if (error == 0)
		*out = (uint32_t)value;
	return error;
}

static int
mq_fact_priority(struct str text, int *out)
{
	uint64_t value;
	bool is_negative = str_starts(text, STR("-"));
	int error =
	    num_parse(str_skip(text, is_negative), MAIL_PRIORITY_MAX, &value);

	if (error == 0)
		*out = is_negative ? -(int)value : (int)value;
	return error;
}

/* A token of the message: 0 or -errno. */
static int
mq_fact_message(
    struct mq_facts *facts, char letter, struct str value, struct arena *arena)
{
	switch (letter) {
	case 'a':
		return mq_fact_number(value, &facts->arrival_ms);
	case 'w':
		return mq_fact_number(value, &facts->arrival_wall_ms);
	case 'e':
		return mq_fact_number(value, &facts->expire_ms);
	case 'k':
		return mq_fact_number(value, &facts->rank);
	case 's':
		return mq_fact_number(value, &facts->size);
	case 'q':
		return mq_fact_number(value, &facts->order);
	case 'v':
		return mq_fact_number(value, &facts->version);
	case 'm':
		return mq_fact_priority(value, &facts->priority);
	case 'n':
		return mq_fact_u32(value, &facts->row_count);
	case 'r':
		facts->is_raw = true;
		return 0;
	case 'b':
		facts->is_bare = true;
		return 0;
	case 'y':
		return mq_fact_text(value, arena, &facts->reason);
	default: /* of a later version */
		return 0;
	}
}

/* A token of a recipient. */
static int
mq_fact_row(
    struct mq_fact_row *row, char letter, struct str value, struct arena *arena)
{
	const char *lane = memchr(mq_lanes, letter, STORE_LANES);

	if (lane != NULL) {
		row->has_lane = true;
		row->lane = (enum store_lane)(lane - mq_lanes);
		if (row->lane != STORE_WAITING)
			return 0;
		if (mq_fact_number(value, &row->due_ms) < 0 || row->due_ms == 0)
			return -EINVAL;
		return 0;
	}
	switch (letter) {
	case 't':
		row->has_attempts = true;
		return mq_fact_u32(value, &row->attempts);
	case 'A':
		row->has_alarm = true;
		return mq_fact_number(value, &row->alarm_ms);
	case 'T':
		row->is_told = true;
		return 0;
	case 'h':
		row->is_held = true;
		return 0;
	case 'd':
		return mq_fact_text(value, arena, &row->destination);
	case 'o':
		return mq_fact_text(value, arena, &row->domain);
	default:
		return 0;
	}
}

/* Begins a recipient like the one before it. */
static int
mq_fact_begin(struct mq_facts *facts, size_t capacity, struct str value)
{
	struct mq_fact_row *row = &facts->rows[facts->count];

	if (facts->count == capacity)
		return -EINVAL;
	if (facts->count > 0) {
		row->destination = row[-1].destination;
		row->domain = row[-1].domain;
	}
	if (mq_fact_u32(value, &row->index) < 0 ||
	    row->index >= facts->row_count)
		return -EINVAL;
	facts->count++;
	return 0;
}

int
mq_facts_read(struct str text, struct arena *arena, struct mq_facts *out)
{
	size_t capacity = 0;
	int error = 0;

	*out = (struct mq_facts){.count = 0};
	if (!str_equal(str_head(text, str_find(text, ' ')), STR("1")))
		return -EINVAL;
	for (size_t i = 0; i < text.size; i++)
		capacity += text.data[i] == '+';
	out->rows = arena_new(arena, (capacity + 1) * sizeof(*out->rows));
	if (out->rows == NULL)
		return -ENOBUFS;
	while (error == 0 && text.size > 0) {
		struct str token = str_head(text, str_find(text, ' '));
		struct str value = str_skip(token, 1);

		text = str_skip(text, token.size + 1);
		if (token.size == 0)
			continue;
		if (token.data[0] == '+')
			error = mq_fact_begin(out, capacity, value);
		else if (out->count > 0)
			error = mq_fact_row(&out->rows[out->count - 1],
			    token.data[0], value, arena);
		else
			error =
			    mq_fact_message(out, token.data[0], value, arena);
	}
	if (error == 0 &&
	    (out->row_count > STORE_RECIPIENTS_MAX || out->count == 0))
		error = -EINVAL;
	return error == -ERANGE ? -EINVAL : error;
}

static int
mq_put_text(struct buf *out, char letter, struct str text)
{
	int error = buf_printf(out, " %c", letter);

	for (size_t i = 0; error == 0 && i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c > 0x20 && c < 0x7f && c != '%')
			error = buf_append(out, str_of(text.data + i, 1));
		else
			error = buf_printf(out, "%%%02X", c);
	}
	return error;
}

static int
mq_put_row(struct buf *out, const struct mq_fact_row *row,
    const struct mq_fact_row *before)
{
	int error = buf_printf(out, " +%u %c", row->index, mq_lanes[row->lane]);

	if (error == 0 && row->lane == STORE_WAITING)
		error =
		    buf_printf(out, "%llu", (unsigned long long)row->due_ms);
	if (error == 0 && row->has_attempts)
		error = buf_printf(out, " t%u", row->attempts);
	if (error == 0 && row->has_alarm)
		error = buf_printf(
		    out, " A%llu", (unsigned long long)row->alarm_ms);
	if (error == 0 && row->is_told)
		error = buf_append(out, STR(" T"));
	if (error == 0 && row->is_held)
		error = buf_append(out, STR(" h"));
	if (error == 0 && (before == NULL || !str_equal(before->destination,
						 row->destination)))
		error = mq_put_text(out, 'd', row->destination);
	if (error == 0 &&
	    (before == NULL || !str_equal(before->domain, row->domain)))
		error = mq_put_text(out, 'o', row->domain);
	return error;
}

int
mq_facts_write(const struct mq_facts *facts, struct buf *out)
{
	int error = buf_printf(out,
	    "1 a%llu w%llu e%llu k%llu s%llu q%llu v%llu",
	    (unsigned long long)facts->arrival_ms,
	    (unsigned long long)facts->arrival_wall_ms,
	    (unsigned long long)facts->expire_ms,
	    (unsigned long long)facts->rank, (unsigned long long)facts->size,
	    (unsigned long long)facts->order,
	    (unsigned long long)facts->version);

	if (error == 0 && facts->priority != 0)
		error = buf_printf(out, " m%d", facts->priority);
	if (error == 0 && facts->is_raw)
		error = buf_append(out, STR(" r"));
	if (error == 0 && facts->is_bare)
		error = buf_append(out, STR(" b"));
	if (error == 0 && facts->reason.size > 0)
		error = mq_put_text(out, 'y', facts->reason);
	if (error == 0)
		error = buf_printf(out, " n%u", facts->row_count);
	for (size_t i = 0; error == 0 && i < facts->count; i++)
		error = mq_put_row(
		    out, &facts->rows[i], i > 0 ? &facts->rows[i - 1] : NULL);
	return error;
}
