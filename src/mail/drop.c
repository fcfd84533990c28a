/*
 * The codec of a file in the drop directory; see drop.h.  What is read was
 * written by somebody else: every line is bounded, every byte is summed, and
 * only a file that ends as it must is said to be whole.
 */
#include "mail/drop.h"
#include "base/check.h"
#include "base/crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DROP_HEAD STR("sendq-drop 1\n")

void
drop_name_format(uint64_t wall_ms, uint64_t random, char name[DROP_NAME_SIZE])
{
	int size = snprintf(name, DROP_NAME_SIZE, "%016llx-%016llx",
	    (unsigned long long)wall_ms, (unsigned long long)random);

	CHECK(size == DROP_NAME_SIZE - 1);
}

bool
drop_name_is_valid(struct str name)
{
	static const char digits[] = "0123456789abcdef";

	if (name.size != DROP_NAME_SIZE - 1)
		return false;
	for (size_t i = 0; i < name.size; i++) {
		size_t at = str_find(str_from(digits), name.data[i]);

		if (i == 16 ? name.data[i] != '-' : at == sizeof(digits) - 1)
			return false;
	}
	return true;
}

static int
drop_put(struct drop_writer *w, struct str bytes, struct buf *out)
{
	int error = buf_append(out, bytes);

	if (error < 0)
		return error;
	w->size += bytes.size;
	w->sum = crc32c(w->sum, bytes);
	return 0;
}

int
drop_begin(struct drop_writer *w, struct buf *out)
{
	*w = (struct drop_writer){.size = 0};
	return drop_put(w, DROP_HEAD, out);
}

static bool
drop_line_is_clean(struct str line)
{
	if (line.size >= DROP_LINE_MAX)
		return false;
	for (size_t i = 0; i < line.size; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

int
drop_put_line(struct drop_writer *w, struct str line, struct buf *out)
{
	int error;

	if (!drop_line_is_clean(line))
		return -EINVAL;
	error = drop_put(w, line, out);
	return error < 0 ? error : drop_put(w, STR("\n"), out);
}

int
drop_put_content(struct drop_writer *w, struct str bytes, struct buf *out)
{
	return drop_put(w, bytes, out);
}

static void
drop_trailer_format(
    uint64_t size, uint32_t sum, char text[DROP_TRAILER_SIZE + 1])
{
	int length = snprintf(text, DROP_TRAILER_SIZE + 1,
	    "\nEND %016llx %08x\n", (unsigned long long)size, (unsigned)sum);

	CHECK(length == DROP_TRAILER_SIZE);
}

int
drop_end(struct drop_writer *w, struct buf *out)
{
	char text[DROP_TRAILER_SIZE + 1];

	drop_trailer_format(w->size, w->sum, text);
	return buf_append(out, str_of(text, DROP_TRAILER_SIZE));
}

void
drop_reader_init(struct drop_reader *r, uint64_t size)
{
	*r = (struct drop_reader){.state = DROP_STATE_HEAD, .size = size};
}

uint64_t
drop_reader_content_size(const struct drop_reader *r)
{
	CHECK(r->state == DROP_STATE_CONTENT || r->state == DROP_STATE_OVER);
	return r->content_size;
}

/* Moves *IN over N bytes, which were taken. */
static void
drop_take(struct drop_reader *r, struct str *in, size_t n)
{
	r->sum = crc32c(r->sum, str_head(*in, n));
	r->at += n;
	*in = str_skip(*in, n);
}

/* The line at the front of *IN with its LF: 0; 1 if it is not whole yet. */
static int
drop_line(struct drop_reader *r, struct str in, struct str *line_out)
{
	size_t end = str_find(in, '\n');

	if (end == in.size && r->at + in.size < r->size &&
	    in.size < DROP_LINE_MAX)
		return 1;
	if (end == in.size || !drop_line_is_clean(str_head(in, end)))
		return -EBADMSG;
	*line_out = str_head(in, end + 1);
	return 0;
}

/* Where the content begins it is known how long it must be. */
static int
drop_take_data(struct drop_reader *r)
{
	if (r->rcpt_count == 0 || r->size - r->at < DROP_TRAILER_SIZE)
		return -EBADMSG;
	r->content_size = r->size - r->at - DROP_TRAILER_SIZE;
	r->state = DROP_STATE_CONTENT;
	return 0;
}

/* Acts on LINE, without its LF, as the state has it. */
static int
drop_take_line(struct drop_reader *r, struct str line, struct drop_item *item)
{
	if (r->state == DROP_STATE_MAIL &&
	    str_starts(line, STR("MAIL FROM:"))) {
		item->kind = DROP_MAIL;
		r->state = DROP_STATE_RCPT;
	} else if (r->state == DROP_STATE_RCPT &&
		   str_starts(line, STR("RCPT TO:")) &&
		   r->rcpt_count < DROP_LINES_MAX) {
		item->kind = DROP_RCPT;
		r->rcpt_count++;
	} else if (r->state == DROP_STATE_RCPT &&
		   str_equal(line, STR("DATA"))) {
		return drop_take_data(r);
	} else {
		return -EBADMSG;
	}
	item->text = str_skip(line, STR("MAIL ").size);
	return 0;
}

static int
drop_read_head(struct drop_reader *r, struct str *in, struct drop_item *item)
{
	struct str line;
	int error;

	while (item->kind == DROP_MORE && r->state != DROP_STATE_CONTENT) {
		error = drop_line(r, *in, &line);
		if (error != 0)
			return error > 0 ? 0 : error;
		if (r->state == DROP_STATE_HEAD) {
			if (!str_equal(line, DROP_HEAD))
				return -EBADMSG;
			r->state = DROP_STATE_MAIL;
			drop_take(r, in, line.size);
			continue;
		}
		drop_take(r, in, line.size);
		error = drop_take_line(r, str_head(line, line.size - 1), item);
		if (error < 0)
			return error;
	}
	return 0;
}

static int
drop_read_end(struct drop_reader *r, struct str *in, struct drop_item *item)
{
	char want[DROP_TRAILER_SIZE + 1];
	struct str end = str_head(*in, DROP_TRAILER_SIZE);

	if (end.size < DROP_TRAILER_SIZE)
		return 0;
	drop_trailer_format(r->at, r->sum, want);
	if (!str_equal(end, str_from(want)))
		return -EBADMSG;
	*in = str_skip(*in, DROP_TRAILER_SIZE);
	r->at += DROP_TRAILER_SIZE;
	r->state = DROP_STATE_OVER;
	item->kind = DROP_END;
	return in->size == 0 ? 0 : -EBADMSG;
}

int
drop_reader_next(struct drop_reader *r, struct str *in, struct drop_item *item)
{
	uint64_t left;
	int error = 0;

	*item = (struct drop_item){.kind = DROP_MORE};
	CHECK(r->state != DROP_STATE_OVER);
	if (r->state != DROP_STATE_CONTENT)
		error = drop_read_head(r, in, item);
	if (error < 0 || r->state != DROP_STATE_CONTENT)
		return error;
	left = r->size - DROP_TRAILER_SIZE - r->at;
	if (left == 0)
		return drop_read_end(r, in, item);
	if (in->size > 0) {
		item->kind = DROP_CONTENT;
		item->text = str_head(*in, left < in->size ? left : in->size);
		drop_take(r, in, item->text.size);
	}
	return 0;
}
