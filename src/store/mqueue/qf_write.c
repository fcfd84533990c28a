/*
 * The writer of control files.  Lines in the order of sendmail 8.17's
 * queueup(); what it never writes but reads without a word, D and E, goes
 * before the macros, and only into files that have our own macro.
 *
 * Invariants:
 * 1. What is written is read again as the same, but for line ends in texts;
 *    what could not be is refused before the first byte is appended.
 * 2. No text can begin a line of its own: each LF in it is followed by a blank
 *    or is made one.
 */
#include "store/mqueue/qf_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Appends bytes, remembering the first error. */
struct qf_out {
	struct buf *out;
	int error;
};

static void
put(struct qf_out *o, struct str bytes)
{
	if (o->error == 0)
		o->error = buf_append(o->out, bytes);
}

/* TEXT with blanks for CR and LF. */
static void
put_flat(struct qf_out *o, struct str text)
{
	size_t from = 0;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] != '\n' && text.data[i] != '\r')
			continue;
		put(o, str_of(text.data + from, i - from));
		put(o, STR(" "));
		from = i + 1;
	}
	put(o, str_skip(text, from));
}

static void
put_line(struct qf_out *o, char code, struct str text)
{
	put(o, str_of(&code, 1));
	put_flat(o, text);
	put(o, STR("\n"));
}

/* A line whose text may be absent. */
static void
put_given(struct qf_out *o, char code, struct str text)
{
	if (text.size > 0)
		put_line(o, code, text);
}

static void
put_number(struct qf_out *o, char code, int64_t value)
{
	if (o->error == 0)
		o->error = buf_printf(o->out, "%c%" PRId64 "\n", code, value);
}

static void
put_flags(struct qf_out *o, const struct qf *q)
{
	char letters[sizeof(QF_FLAG_LETTERS)];
	struct qf copy = *q;
	size_t size = 0;

	for (size_t i = 0; i < sizeof(QF_FLAG_LETTERS) - 1; i++)
		if (*qf_flag(&copy, QF_FLAG_LETTERS[i]))
			letters[size++] = QF_FLAG_LETTERS[i];
	put_given(o, 'F', str_of(letters, size));
}

static void
put_recipient(struct qf_out *o, const struct qf_recipient *r, struct str *user)
{
	char letters[sizeof(QF_RECIPIENT_LETTERS)];
	size_t size = 0;

	put_given(o, 'M', r->status);
	if (!str_equal(*user, r->user))
		put_line(o, 'C', r->user);
	*user = r->user;
	put_given(o, 'Q', r->orcpt);
	put_given(o, 'r', r->final);
	for (size_t i = 0; i < sizeof(QF_RECIPIENT_LETTERS) - 1; i++)
		if ((r->flags & (1 << i)) != 0)
			letters[size++] = QF_RECIPIENT_LETTERS[i];
	put(o, STR("R"));
	put(o, str_of(letters, size));
	put_line(o, ':', r->text);
}

/* True if each LF of TEXT is followed by a blank. */
static bool
is_folded(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] == '\n' &&
		    (i + 1 == text.size ||
			(text.data[i + 1] != ' ' && text.data[i + 1] != '\t')))
			return false;
	return true;
}

/* A CR before a line end would be read as part of it: it goes. */
static void
put_header(struct qf_out *o, const struct qf_header *h)
{
	struct str text = h->text;

	put(o, STR("H?"));
	put(o, h->condition);
	put(o, STR("?"));
	if (!is_folded(text)) {
		put_flat(o, text);
		text = STR("");
	}
	while (text.size > 0) {
		size_t size = str_find(text, '\n');
		struct str line = str_head(text, size);

		while (line.size > 0 && line.data[line.size - 1] == '\r')
			line.size--;
		put(o, line);
		if (size < text.size)
			put(o, STR("\n"));
		text = str_skip(text, size + 1);
	}
	put(o, STR("\n"));
}

static bool
has_nul(struct str text)
{
	return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

static bool
is_macro_name(struct str name)
{
	if (name.size == 0 || has_nul(name) || name.data[0] == '\n')
		return false;
	if (name.data[0] != '{')
		return name.size == 1;
	return name.size > 2 && str_find(name, '}') == name.size - 1 &&
	       str_find(name, '\n') == name.size;
}

static bool
is_header(const struct qf_header *h)
{
	struct str name, value;

	return qf_header_split(h->text, &name, &value) && !has_nul(h->text) &&
	       !has_nul(h->condition) &&
	       str_find(h->condition, '?') == h->condition.size &&
	       str_find(h->condition, '\n') == h->condition.size;
}

/* Invariant 1. */
static bool
is_writable(const struct qf *q)
{
	const struct str texts[] = {q->data_directory, q->data_file, q->inode,
	    q->quarantine, q->status, q->sender, q->errors_to, q->envid,
	    q->auth};

	if (!q->has_sender || q->recipient_count == 0 || !qf_is_xtext(q->auth))
		return false;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (has_nul(texts[i]))
			return false;
	for (size_t i = 0; i < q->recipient_count; i++) {
		const struct qf_recipient *r = &q->recipients[i];

		if (str_trim(r->text).size == 0 || has_nul(r->text) ||
		    has_nul(r->orcpt) || has_nul(r->final) ||
		    has_nul(r->status) || has_nul(r->user))
			return false;
	}
	for (size_t i = 0; i < q->macro_count; i++)
		if (!is_macro_name(q->macros[i].name) ||
		    has_nul(q->macros[i].value))
			return false;
	for (size_t i = 0; i < q->header_count; i++)
		if (!is_header(&q->headers[i]))
			return false;
	return true;
}

/* V to the macros. */
static void
put_message(struct qf_out *o, const struct qf *q)
{
	put_number(o, 'V', QF_VERSION);
	if (q->created != QF_CREATED_MISSING)
		put_number(o, 'T', q->created_s);
	put_number(o, 'K', q->attempted_s);
	put_number(o, 'N', q->attempts);
	put_number(o, 'P', q->priority);
	put_given(o, 'd', q->data_directory);
	put_given(o, 'I', q->inode);
	if (q->body != MAIL_BODY_NONE)
		put_line(o, 'B',
		    q->body == MAIL_BODY_7BIT ? STR("7BIT") : STR("8BITMIME"));
	if (q->has_quarantine)
		put_line(o, 'q', q->quarantine);
	put_given(o, 'M', q->status);
	put_flags(o, q);
	if (qf_macro_find(q, STR(QF_PRIVATE)) != NULL) {
		put_given(o, 'D', q->data_file);
		put_given(o, 'E', q->errors_to);
	}
	for (size_t i = 0; i < q->macro_count; i++) {
		put(o, STR("$"));
		put(o, q->macros[i].name);
		put_flat(o, q->macros[i].value);
		put(o, STR("\n"));
	}
}

int
qf_write(const struct qf *q, struct buf *out)
{
	struct qf_out o = {.out = out};
	struct str user = STR("");

	if (!is_writable(q))
		return -EINVAL;
	put_message(&o, q);
	put_line(&o, 'S', q->sender);
	if (q->has_envid)
		put_line(&o, 'Z', q->envid);
	if (q->has_auth)
		put_line(&o, 'A', q->auth);
	if (q->has_deliver_by && o.error == 0)
		o.error = buf_printf(
		    out, "!%c %" PRId64 "\n", q->deliver_mode, q->deliver_by_s);
	for (size_t i = 0; i < q->recipient_count; i++)
		put_recipient(&o, &q->recipients[i], &user);
	for (size_t i = 0; i < q->header_count; i++)
		put_header(&o, &q->headers[i]);
	put(&o, STR(".\n"));
	return o.error;
}
