/*
 * The parts of a queue entry out of content as it came by SMTP: header fields,
 * and the body with LF line ends.  Both say whether qf_render_header() and
 * qf_body_render() give back the same bytes.
 */
#include "store/mqueue/qf_text.h"

#include <errno.h>
#include <string.h>

/* The line at the front of TEXT with its line end. */
static struct str
first_line(struct str text)
{
	return str_head(text, str_find(text, '\n') + 1);
}

/* LINE without its line end. */
static struct str
without_end(struct str line)
{
	if (line.size > 0 && line.data[line.size - 1] == '\n')
		line.size--;
	while (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	return line;
}

static bool
is_continued(struct str text)
{
	return text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t');
}

/* How many bytes of TEXT are a header field with its continuation lines; 0 if
   it does not begin with one. */
static size_t
field_size(struct str text)
{
	struct str line = first_line(text), name, value;
	size_t size = line.size;

	if (!qf_header_split(without_end(line), &name, &value))
		return 0;
	while (size < text.size && is_continued(str_skip(text, size)))
		size += first_line(str_skip(text, size)).size;
	return size;
}

size_t
qf_content_body(struct str content)
{
	size_t at = 0, size;
	struct str line;

	while ((size = field_size(str_skip(content, at))) > 0)
		at += size;
	line = first_line(str_skip(content, at));
	if (line.size > 0 && line.data[line.size - 1] == '\n' &&
	    without_end(line).size == 0)
		at += line.size;
	return at;
}

/* FIELD as the text of an H line: LF line ends, quoted, blanks for NUL. */
static struct str
header_text(struct str field, struct arena *arena)
{
	char *copy = arena_new(arena, field.size + 1);
	size_t size = 0;

	if (copy == NULL)
		return str_of(NULL, 0);
	while (field.size > 0) {
		struct str line = first_line(field), text = without_end(line);

		if (size > 0)
			copy[size++] = '\n';
		for (size_t i = 0; i < text.size; i++)
			copy[size++] =
			    text.data[i] != '\0' ? text.data[i] : ' ';
		field = str_skip(field, line.size);
	}
	return qf_quote(str_of(copy, size), arena);
}

static size_t
count_fields(struct str header)
{
	size_t count = 0, size;

	while ((size = field_size(header)) > 0) {
		header = str_skip(header, size);
		count++;
	}
	return count;
}

/* True if Q's header renders as HEADER; nothing is kept of it. */
static bool
renders_as(const struct qf *q, struct str header)
{
	struct buf out;
	bool is_same;

	buf_init(&out, header.size);
	is_same =
	    qf_render_header(q, &out) == 0 && str_equal(buf_str(&out), header);
	buf_fini(&out);
	return is_same;
}

/* Notes what the flags b and 8 tell. */
static void
note_field(struct qf *q, struct str text)
{
	struct str name, value;

	for (size_t i = 0; i < text.size; i++)
		q->has_8bit |= (unsigned char)text.data[i] >= 0x80;
	if (qf_header_split(text, &name, &value) &&
	    (str_case_equal(name, STR("To")) ||
		str_case_equal(name, STR("Cc")) ||
		str_case_equal(name, STR("Apparently-To"))))
		q->is_bcc_deleted = true;
}

static struct str
condition_of(struct str text)
{
	struct str name, value;

	return qf_header_split(text, &name, &value) && qf_is_dropped(name)
	           ? STR(QF_KEPT)
	           : STR("");
}

int
qf_set_headers(
    struct qf *q, struct arena *arena, struct str header, bool *is_exact_out)
{
	static const struct qf_header return_path = {
	    .condition = STR("P"), .text = STR("Return-Path: <\x81g>")};
	size_t count = count_fields(header), size;
	struct str rest = header;

	q->headers = arena_new(arena, (count + 1) * sizeof(*q->headers));
	if (q->headers == NULL)
		return -ENOBUFS;
	q->headers[0] = return_path;
	q->header_count = 1;
	while ((size = field_size(rest)) > 0) {
		struct str text = header_text(str_head(rest, size), arena);

		if (text.data == NULL)
			return -ENOBUFS;
		q->headers[q->header_count++] = (struct qf_header){
		    .condition = condition_of(text), .text = text};
		note_field(q, text);
		rest = str_skip(rest, size);
	}
	*is_exact_out = renders_as(q, header);
	return 0;
}

static void
unbody_note(struct qf_unbody *body, struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		body->has_8bit |= (unsigned char)text.data[i] >= 0x80;
		body->is_inexact |= body->is_after_nul && text.data[i] == '.';
		body->is_after_nul = text.data[i] == '\0';
	}
	if (text.size > 0) {
		body->is_inside = true;
		body->is_bare_cr = false;
	}
}

/* TO has room for all of PIECE and one byte.  Result: bytes written. */
static size_t
unbody(struct qf_unbody *body, struct str piece, char *to)
{
	size_t size = 0;

	while (piece.size > 0) {
		size_t plain;

		if (body->has_cr && piece.data[0] != '\n') {
			to[size++] = '\r';
			body->is_inside = body->is_bare_cr = true;
			body->is_inexact |= piece.data[0] == '.';
		} else if (piece.data[0] == '\n') {
			/* A line end without CR, or behind a CR too many. */
			body->is_inexact |= !body->has_cr || body->is_bare_cr;
			to[size++] = '\n';
			body->is_inside = body->is_bare_cr = false;
			body->is_after_nul = false;
			piece = str_skip(piece, 1);
		}
		body->has_cr = false;
		plain = qf_plain_size(piece);
		unbody_note(body, str_head(piece, plain));
		memcpy(to + size, piece.data, plain);
		size += plain;
		piece = str_skip(piece, plain);
		if (piece.size > 0 && piece.data[0] == '\r') {
			body->has_cr = true;
			body->is_after_nul = false;
			piece = str_skip(piece, 1);
		}
	}
	return size;
}

int
qf_unbody_store(struct qf_unbody *body, struct str piece, struct buf *out)
{
	char *to;

	if (piece.size >= buf_room(out))
		return -ENOBUFS;
	to = buf_space(out, piece.size + 1);
	if (to == NULL)
		return -ENOMEM;
	buf_added(out, unbody(body, piece, to));
	return 0;
}

int
qf_unbody_end(struct qf_unbody *body, struct buf *out)
{
	if (body->has_cr || body->is_inside)
		body->is_inexact = true;
	if (!body->has_cr)
		return 0;
	body->has_cr = false;
	return buf_append(out, STR("\r"));
}
