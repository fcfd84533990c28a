/*
 * The decoder of content.  It walks from LF to LF with memchr() and gives out
 * pieces of the input itself; only a dot that begins a line cuts a piece.  Bare
 * CR are not looked for: there is one where a piece has more CR than CRLF.
 *
 *   START --"."--> DOT --CR--> DOT_CR --LF--> end
 *     |             |            |
 *     +--other----> TEXT <-------+   (the dot is dropped; CR was bare)
 *     ^             |
 *     +----CRLF-----+
 *
 * Invariants: is_after_cr only in TEXT; line_size is 0 in START, DOT and
 * DOT_CR; faults are only added.
 */
#include "smtp/content.h"
#include "base/check.h"

#include <string.h>

#define CONTENT_STRIDE 240 /* a count of it fits a byte */

void
smtp_content_init(struct smtp_content *c, uint64_t size_max, uint64_t line_max)
{
	*c = (struct smtp_content){.size_max = size_max, .line_max = line_max};
}

/* Counts SIZE more bytes of the line. */
static void
smtp_content_count(struct smtp_content *c, size_t size)
{
	c->size += size;
	c->line_size += size;
	if (c->line_size > c->line_max)
		c->faults |= SMTP_CONTENT_LONG_LINE;
	if (c->size > c->size_max)
		c->faults |= SMTP_CONTENT_TOO_BIG;
}

/* How often BYTE is in IN; in strides that the compiler makes vectors of. */
static size_t
smtp_content_count_byte(struct str in, char byte)
{
	size_t count = 0;

	for (; in.size >= CONTENT_STRIDE; in = str_skip(in, CONTENT_STRIDE)) {
		unsigned char some = 0;

		for (size_t i = 0; i < CONTENT_STRIDE; i++)
			some = (unsigned char)(some + (in.data[i] == byte));
		count += some;
	}
	for (size_t i = 0; i < in.size; i++)
		count += in.data[i] == byte;
	return count;
}

/* What the bytes of a piece are, all together: PAIRS is how many CRLF it has
   the LF of, and WAS_AFTER_CR whether a CR stood before it. */
static void
smtp_content_judge(
    struct smtp_content *c, struct str piece, size_t pairs, bool was_after_cr)
{
	size_t count = smtp_content_count_byte(piece, '\r');

	/* RFC 5321 2.3.8: CR and LF only together.  The last may be of a CRLF
	   that goes on in the next piece. */
	if (count + was_after_cr != pairs + c->is_after_cr)
		c->faults |= SMTP_CONTENT_BARE;
	if (memchr(piece.data, '\0', piece.size) != NULL)
		c->faults |= SMTP_CONTENT_NUL;
}

/* Walks over IN to its end or to a dot that begins a line: how many bytes. */
static size_t
smtp_content_scan(struct smtp_content *c, struct str in)
{
	const char *p = in.data, *end = in.data + in.size;
	bool was_after_cr = c->is_after_cr;
	size_t pairs = 0;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf != NULL ? lf + 1 : end;
		bool is_pair =
		    lf != NULL && (lf > p ? lf[-1] == '\r' : c->is_after_cr);

		smtp_content_count(c, (size_t)(stop - p));
		c->is_after_cr = stop[-1] == '\r';
		c->place = SMTP_CONTENT_TEXT;
		p = stop;
		if (is_pair) {
			pairs++;
			c->line_size = 0;
			c->place = SMTP_CONTENT_START;
			if (p == end || *p == '.')
				break;
		} else if (lf != NULL) {
			/* RFC 5321 2.3.8 again; the line goes on. */
			c->faults |= SMTP_CONTENT_BARE;
		}
	}
	smtp_content_judge(
	    c, str_of(in.data, (size_t)(p - in.data)), pairs, was_after_cr);
	return (size_t)(p - in.data);
}

/* Takes what belongs to a dot line.  False if the next byte is text. */
static bool
smtp_content_take_dot(struct smtp_content *c, struct str *in, bool *is_end_out)
{
	char next = *in->data;

	*is_end_out = c->place == SMTP_CONTENT_DOT_CR && next == '\n';
	switch (c->place) {
	case SMTP_CONTENT_TEXT:
		return false;
	case SMTP_CONTENT_START:
		if (next != '.')
			return false;
		c->place = SMTP_CONTENT_DOT;
		break;
	case SMTP_CONTENT_DOT:
		/* RFC 5321 4.5.2: the dot is deleted if more follows. */
		c->place =
		    next == '\r' ? SMTP_CONTENT_DOT_CR : SMTP_CONTENT_TEXT;
		if (next != '\r')
			return false;
		break;
	case SMTP_CONTENT_DOT_CR:
		if (*is_end_out)
			break;
		smtp_content_count(c, 1);
		c->is_after_cr = true;
		c->place = SMTP_CONTENT_TEXT;
		return false;
	}
	*in = str_skip(*in, 1);
	return true;
}

enum smtp_content_result
smtp_content_read(struct smtp_content *c, struct str *in, struct str *chunk_out)
{
	CHECK(!c->is_after_cr || c->place == SMTP_CONTENT_TEXT);
	CHECK(c->line_size == 0 || c->place == SMTP_CONTENT_TEXT);
	while (in->size > 0) {
		bool is_end;
		size_t size;

		if (smtp_content_take_dot(c, in, &is_end)) {
			if (is_end)
				return SMTP_CONTENT_END;
			continue;
		}
		size = smtp_content_scan(c, *in);
		*chunk_out = str_head(*in, size);
		*in = str_skip(*in, size);
		if (c->faults == 0)
			return SMTP_CONTENT_CHUNK;
	}
	return SMTP_CONTENT_MORE;
}

bool
smtp_content_is_good(const struct smtp_content *c, struct smtp_reply *reply_out)
{
	if (c->faults & SMTP_CONTENT_BARE)
		*reply_out = smtp_reply_make(550, "5.6.0",
		    "Bare CR or LF in the message (RFC 5321 2.3.8)");
	else if (c->faults & SMTP_CONTENT_NUL)
		*reply_out = smtp_reply_make(
		    550, "5.6.0", "NUL in the message (RFC 5322 3.5)");
	else if (c->faults & SMTP_CONTENT_LONG_LINE)
		*reply_out = smtp_reply_make(554, "5.6.0",
		    "Line over %llu bytes in the message",
		    (unsigned long long)c->line_max);
	else if (c->faults & SMTP_CONTENT_TOO_BIG)
		*reply_out = smtp_reply_make(552, "5.3.4",
		    "Message over %llu bytes", (unsigned long long)c->size_max);
	return c->faults == 0;
}
