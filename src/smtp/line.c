/*
 * The line reader.  A line is copied once, into a buffer of fixed size, so
 * that it outlives the input it came in.
 *
 * Invariants: size <= max; is_too_long only when the line seen so far is over
 * max bytes; is_after_cr tells of the last byte taken, kept or not.
 */
#include "smtp/line.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void
smtp_line_init(struct smtp_line *l, enum smtp_line_mode mode, size_t max)
{
	CHECK(max >= 2);
	*l = (struct smtp_line){.mode = mode, .max = max};
	l->data = mem_new(max, 1);
}

void
smtp_line_fini(struct smtp_line *l)
{
	free(l->data);
	*l = (struct smtp_line){.mode = l->mode};
}

static void
smtp_line_keep(struct smtp_line *l, struct str bytes)
{
	size_t room = l->max - l->size;

	CHECK(l->size <= l->max);
	if (bytes.size > room) {
		l->is_too_long = true;
		bytes = str_head(bytes, room);
	}
	if (bytes.size > 0)
		memcpy(l->data + l->size, bytes.data, bytes.size);
	l->size += bytes.size;
}

enum smtp_line_result
smtp_line_read(struct smtp_line *l, struct str *in, struct str *line_out)
{
	size_t at, end;

	CHECK(l->data != NULL);
	if (l->is_given) {
		l->size = 0;
		l->is_too_long = l->is_after_cr = l->is_given = false;
	}
	while (in->size > 0) {
		bool is_lf, is_crlf;

		at = str_find(*in, '\n');
		is_lf = at < in->size;
		is_crlf = is_lf &&
		          (at > 0 ? in->data[at - 1] == '\r' : l->is_after_cr);
		end = is_lf ? at + 1 : at;
		smtp_line_keep(l, str_head(*in, end));
		l->is_after_cr = in->data[end - 1] == '\r';
		*in = str_skip(*in, end);
		if (!is_crlf && (!is_lf || l->mode == SMTP_LINE_CRLF))
			continue;
		l->is_given = true;
		*line_out = str_of(l->data, l->size);
		if (l->is_too_long)
			return SMTP_LINE_TOO_LONG;
		line_out->size -= is_crlf ? 2 : 1;
		return SMTP_LINE_WHOLE;
	}
	return SMTP_LINE_MORE;
}
