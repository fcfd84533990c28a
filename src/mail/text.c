/*
 * A message as programs hand it in; see text.h.
 *
 * Invariants: in HEADER the line that comes is in `line`, without its end; in
 * BODY nothing is held back but a dot at the start of a line and a CR, whose
 * next byte decides.
 */
#include "mail/text.h"
#include "base/check.h"
#include "mail/field.h"

#include <errno.h>
#include <string.h>

void
mail_text_init(struct mail_text *t, bool is_dot_ordinary)
{
	*t = (struct mail_text){
	    .is_dot_ordinary = is_dot_ordinary,
	    .is_line_start = true,
	};
	buf_init(&t->line, MAIL_TEXT_HEADER_MAX);
	buf_init(&t->from, MAIL_TEXT_HEADER_MAX);
	buf_init(&t->header, MAIL_TEXT_HEADER_MAX);
}

void
mail_text_fini(struct mail_text *t)
{
	buf_fini(&t->line);
	buf_fini(&t->from);
	buf_fini(&t->header);
}

static bool
text_has_8bit(struct str bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		if ((unsigned char)bytes.data[i] >= 0x80)
			return true;
	return false;
}

static int
text_put_line(struct buf *out, struct str line)
{
	int error = buf_append(out, line);

	return error < 0 ? error : buf_append(out, STR("\r\n"));
}

/* A line of the body that was read as one of the header. */
static int
text_begin_body(struct mail_text *t, struct str line, struct buf *body)
{
	t->state = MAIL_TEXT_BODY;
	t->has_8bit_body = t->has_8bit_body || text_has_8bit(line);
	if (!t->is_dot_ordinary && str_starts(line, STR("..")))
		line = str_skip(line, 1);
	return line.size > 0 ? text_put_line(body, line) : 0;
}

/* Acts on the whole line in `line`. */
static int
text_header_line(struct mail_text *t, struct buf *body)
{
	struct str line = buf_str(&t->line);
	bool is_first = buf_size(&t->header) == 0;
	bool is_folded =
	    line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
	int error = 0;

	if (str_equal(line, STR(".")) && !t->is_dot_ordinary) {
		t->state = MAIL_TEXT_OVER;
	} else if (is_first && (str_starts(line, STR("From ")) ||
				   str_starts(line, STR(">From ")))) {
		error = text_put_line(&t->from, line);
	} else if ((is_folded && !is_first && str_trim(line).size > 0) ||
		   mail_field_begins(line)) {
		t->has_8bit_header = t->has_8bit_header || text_has_8bit(line);
		error = text_put_line(&t->header, line);
	} else {
		return text_begin_body(t, line, body);
	}
	buf_clear(&t->line);
	return error < 0 ? -EMSGSIZE : 0;
}

/* The line of the body that comes has ended. */
static int
text_body_line(struct mail_text *t, struct buf *body)
{
	bool is_dot = t->is_dot_line;

	t->is_line_start = true;
	t->is_dot_line = false;
	if (is_dot && !t->is_dot_ordinary) {
		t->state = MAIL_TEXT_OVER;
		return 0;
	}
	return text_put_line(body, is_dot ? STR(".") : STR(""));
}

static int
text_line(struct mail_text *t, struct buf *body)
{
	return t->state == MAIL_TEXT_HEADER ? text_header_line(t, body)
	                                    : text_body_line(t, body);
}

/* Bytes of one line, none of them its end. */
static int
text_run(struct mail_text *t, struct str run, struct buf *body)
{
	int error = 0;

	if (t->state == MAIL_TEXT_HEADER)
		return buf_append(&t->line, run) < 0 ? -EMSGSIZE : 0;
	if (!t->has_8bit_body)
		t->has_8bit_body = text_has_8bit(run);
	if (t->is_line_start && run.data[0] == '.') {
		t->is_line_start = false;
		t->is_dot_line = true;
		run = str_skip(run, 1);
	}
	if (run.size == 0)
		return 0;
	t->is_line_start = false;
	/* Who cannot write a lone dot writes two. */
	if (t->is_dot_line && (t->is_dot_ordinary || run.data[0] != '.'))
		error = buf_append(body, STR("."));
	t->is_dot_line = false;
	return error < 0 ? error : buf_append(body, run);
}

/* The number of bytes at the front of BYTES that are text. */
static size_t
text_run_size(struct str bytes)
{
	size_t size = str_find(bytes, '\n');

	size = str_find(str_head(bytes, size), '\r');
	return str_find(str_head(bytes, size), '\0');
}

int
mail_text_feed(struct mail_text *t, struct str bytes, struct buf *body)
{
	int error = 0;

	while (bytes.size > 0 && t->state != MAIL_TEXT_OVER && error == 0) {
		char c = bytes.data[0];
		size_t run;

		/* Any number of CR belongs to the LF behind them. */
		if (t->is_after_cr && c != '\r' && c != '\0') {
			t->is_after_cr = false;
			error = text_line(t, body);
			if (c == '\n')
				bytes = str_skip(bytes, 1);
			continue;
		}
		if (c == '\n' || c == '\r' || c == '\0') {
			if (c == '\n')
				error = text_line(t, body);
			t->is_after_cr = t->is_after_cr || c == '\r';
			bytes = str_skip(bytes, 1);
			continue;
		}
		run = text_run_size(bytes);
		CHECK(run > 0);
		error = text_run(t, str_head(bytes, run), body);
		bytes = str_skip(bytes, run);
	}
	return error;
}

int
mail_text_end(struct mail_text *t, struct buf *body)
{
	bool has_line = t->is_after_cr ||
	                (t->state == MAIL_TEXT_HEADER ? buf_size(&t->line) > 0
						      : !t->is_line_start);
	int error = 0;

	if (t->state != MAIL_TEXT_OVER && has_line)
		error = text_line(t, body);
	t->state = MAIL_TEXT_OVER;
	return error;
}
