/*
 * Content out of a queue entry, and the parts of an entry out of content.
 *
 * A header field goes out if it has no condition, or one of the mailer's flags
 * is in it, or its macro has a value; Return-Path, Full-Name and
 * Content-Length have a condition by nature, and Bcc is dropped or emptied.
 * Under the condition QF_KEPT these go out as they are.  No field is made anew
 * or folded anew: sendmail did that before it wrote the file.
 *
 * Invariants:
 * 1. Rendered content has CRLF and no other line end; a CR within a line stays,
 *    and so does a NUL.
 * 2. No dot follows on such a CR or a NUL: to a far end for which that ends a
 *    line, or is nothing, it could be the end of the message.
 * 3. Pieces may be cut anywhere: the result is the same.
 */
#include "base/check.h"
#include "store/mqueue/qf_text.h"

#include <errno.h>
#include <string.h>

/* What goes out at most of the bytes that waited for the next one. */
#define BODY_WAITING_MAX 4

#define RELAY_FLAGS      STR("mDFMuXa8") /* of sendmail's mailer "relay" */
/* Macros that always have a value when sendmail delivers. */
#define ALWAYS_DEFINED STR("bdfgijkmnptvw")

static bool
is_one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_case_equal(name, str_from(*names)))
			return true;
	return false;
}

static bool
is_bcc(struct str name)
{
	static const char *const names[] = {"Bcc", "Resent-Bcc", NULL};

	return is_one_of(name, names);
}

/* True if the condition of H holds.  Before version 8 a macro's byte could be
   0x01 or 0x81 instead of "$". */
static bool
is_condition_met(const struct qf *q, struct str name, struct str condition)
{
	static const char *const never[] = {"Return-Path", NULL};
	static const char *const checked[] = {
	    "Full-Name", "Content-Length", NULL};
	unsigned char first;

	if (str_equal(condition, STR(QF_KEPT)))
		return true;
	if (is_one_of(name, never))
		return false;
	if (condition.size == 0)
		return !is_one_of(name, checked);
	first = (unsigned char)condition.data[0];
	if (first == '$' || first == QF_MACRO || first == 0x01) {
		struct str macro = str_skip(condition, 1);
		const struct str *value = qf_macro_find(q, macro);

		if (value != NULL)
			return value->size > 0;
		return macro.size == 1 &&
		       str_find(ALWAYS_DEFINED, macro.data[0]) <
		           ALWAYS_DEFINED.size;
	}
	for (size_t i = 0; i < condition.size; i++)
		if (str_find(RELAY_FLAGS, condition.data[i]) < RELAY_FLAGS.size)
			return true;
	return false;
}

bool
qf_is_dropped(struct str name)
{
	static const char *const names[] = {
	    "Return-Path", "Full-Name", "Content-Length", NULL};

	return is_bcc(name) || is_one_of(name, names);
}

/* LINE without its quoting, and CRLF. */
static int
render_line(struct str line, struct buf *out)
{
	while (line.size > 0) {
		const char *meta = memchr(line.data, QF_META, line.size);
		size_t size =
		    meta != NULL ? (size_t)(meta - line.data) : line.size;
		int error = buf_append(out, str_head(line, size));

		if (error != 0)
			return error;
		line = str_skip(line, size + 1);
		/* What is quoted stands as it is, 0xFF too. */
		if (meta != NULL && line.size > 0) {
			error = buf_append(out, str_head(line, 1));
			line = str_skip(line, 1);
		}
		if (error != 0)
			return error;
	}
	return buf_append(out, STR("\r\n"));
}

static int
render_field(
    struct str name, struct str value, bool is_emptied, struct buf *out)
{
	int error = buf_append(out, name);

	if (error == 0)
		error = buf_append(out, STR(":"));
	if (error == 0 && is_emptied)
		return buf_append(out, STR("\r\n"));
	while (error == 0) {
		size_t size = str_find(value, '\n');

		error = render_line(str_head(value, size), out);
		if (size == value.size)
			break;
		value = str_skip(value, size + 1);
	}
	return error;
}

/* A CR or a NUL before a dot becomes a blank, from START on. */
static void
blank_before_dots(struct buf *out, size_t start)
{
	char *bytes = out->data + out->start;
	size_t size = buf_size(out);

	for (size_t i = start + 1; i < size; i++) {
		i += str_find(str_of(bytes + i, size - i), '.');
		if (i < size && (bytes[i - 1] == '\r' || bytes[i - 1] == '\0'))
			bytes[i - 1] = ' ';
	}
}

int
qf_render_header(const struct qf *q, struct buf *out)
{
	size_t start = buf_size(out);

	for (size_t i = 0; i < q->header_count; i++) {
		const struct qf_header *h = &q->headers[i];
		struct str name, value;
		bool is_emptied;
		int error;

		if (!qf_header_split(h->text, &name, &value) ||
		    !is_condition_met(q, name, h->condition))
			continue;
		is_emptied =
		    is_bcc(name) && !str_equal(h->condition, STR(QF_KEPT));
		if (is_emptied && q->is_bcc_deleted)
			continue;
		error = render_field(name, value, is_emptied, out);
		if (error != 0)
			return error;
	}
	blank_before_dots(out, start);
	return buf_append(out, STR("\r\n"));
}

/* Bytes to TO, or only counted where TO is NULL. */
struct qf_sink {
	char *to;
	size_t size;
};

static void
sink(struct qf_sink *s, const char *bytes, size_t size)
{
	if (s->to != NULL && size > 0)
		memcpy(s->to + s->size, bytes, size);
	s->size += size;
}

/* What waited, now that C follows: a CR stays before anything but a line end,
   and is one itself before a dot. */
static void
body_render_pending(struct qf_body *body, char c, struct qf_sink *s)
{
	if (body->has_nul)
		sink(s, c == '.' ? " " : "\0", 1);
	if (body->has_cr && c == '.') {
		sink(s, "\r\n", 2);
		body->is_inside = false;
	} else if (body->has_cr && c != '\n') {
		sink(s, "\r", 1);
		body->is_inside = true;
	}
	body->is_inside |= body->has_nul;
	body->has_cr = body->has_nul = false;
}

/* How many bytes from the beginning are none that wait for the next. */
static size_t
body_plain_size(struct str text)
{
	size_t size = qf_plain_size(text);
	const char *nul = memchr(text.data, '\0', size);

	return nul != NULL ? (size_t)(nul - text.data) : size;
}

/* What has no byte that waits for the next one, behind none that did. */
static void
body_render_lines(struct qf_body *body, struct str piece, struct qf_sink *s)
{
	while (piece.size > 0) {
		size_t size = str_find(piece, '\n');

		sink(s, piece.data, size);
		body->is_inside |= size > 0;
		if (size == piece.size)
			break;
		sink(s, "\r\n", 2);
		body->is_inside = false;
		piece = str_skip(piece, size + 1);
	}
}

static void
body_render(struct qf_body *body, struct str piece, struct qf_sink *s)
{
	if (!body->has_cr && !body->has_nul &&
	    str_find(piece, '\r') == piece.size &&
	    str_find(piece, '\0') == piece.size) {
		body_render_lines(body, piece, s);
		return;
	}
	while (piece.size > 0) {
		size_t size = body_plain_size(piece);

		body_render_pending(body, piece.data[0], s);
		sink(s, piece.data, size);
		body->is_inside |= size > 0;
		piece = str_skip(piece, size);
		if (piece.size == 0)
			break;
		/* Where something came before it, it has its turn again. */
		if (size > 0)
			continue;
		if (piece.data[0] == '\r') {
			body->has_cr = true;
		} else if (piece.data[0] == '\0') {
			body->has_nul = true;
		} else {
			sink(s, "\r\n", 2);
			body->is_inside = false;
		}
		piece = str_skip(piece, 1);
	}
}

/* A CR at the very end goes away as one before a line end does. */
static void
body_end(struct qf_body *body, struct str piece, struct qf_sink *s)
{
	CHECK(piece.size == 0);
	if (body->has_nul)
		sink(s, "\0", 1);
	if (body->is_inside || body->has_nul)
		sink(s, "\r\n", 2);
	body->has_cr = body->has_nul = body->is_inside = false;
}

/* Counts, makes room, renders: all or nothing.  Where there is room in any case
   nothing is counted before. */
static int
body_put(struct qf_body *body, struct str piece, struct buf *out,
    void (*render)(struct qf_body *, struct str, struct qf_sink *))
{
	struct qf_body after = *body;
	struct qf_sink s = {0};

	if (out != NULL && 2 * piece.size + BODY_WAITING_MAX <= buf_room(out)) {
		s.to = buf_space(out, 2 * piece.size + BODY_WAITING_MAX);
		if (s.to == NULL)
			return -ENOMEM;
		render(body, piece, &s);
		buf_added(out, s.size);
		body->size += s.size;
		return 0;
	}
	render(&after, piece, &s);
	after.size += s.size;
	if (out != NULL && s.size > 0) {
		if (s.size > buf_room(out))
			return -ENOBUFS;
		s = (struct qf_sink){.to = buf_space(out, s.size)};
		if (s.to == NULL)
			return -ENOMEM;
		render(body, piece, &s);
		buf_added(out, s.size);
	}
	*body = after;
	return 0;
}

int
qf_body_render(struct qf_body *body, struct str piece, struct buf *out)
{
	return body_put(body, piece, out, body_render);
}

int
qf_body_end(struct qf_body *body, struct buf *out)
{
	return body_put(body, STR(""), out, body_end);
}
