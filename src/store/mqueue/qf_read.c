/*
 * The reader of control files.  One pass counts lines, so that the lists are
 * allocated once; one pass gives each line to the function of its letter.
 *
 * Where sendmail 8.17 would lose or misread mail, this says what is wrong
 * instead: an R line without an address (sendmail passes over it), no
 * recipient (it removes the message), no sender (it aborts), NUL bytes (it
 * cuts the line).  What it accepts otherwise is accepted.
 *
 * Invariants:
 * 1. All strings point into one copy of the file in the arena, in which CRLF
 *    is LF; the lists are in the arena too.
 * 2. No text but that of a header has a line end in it.
 * 3. Reading stops at the first bad line.
 */
#include "base/check.h"
#include "store/mqueue/qf_text.h"

#include <errno.h>
#include <string.h>

#define TIME_MAX     INT64_C(253402300799) /* the end of the year 9999 */
#define PRIORITY_MAX INT64_C(1000000000000000)

struct qf_reader {
	struct qf *q;
	size_t recipients_max, headers_max, macros_max; /* allocated */
	int version;          /* that R lines are read by */
	bool is_version_seen; /* the V line came already */
	/* What is said before an R line about it. */
	struct str orcpt;
	struct str final;
	struct str status;
	struct str user; /* stays in force */
};

static enum qf_problem_kind
read_auth(struct qf_reader *r, struct str text)
{
	if (!qf_is_xtext(text))
		return QF_BAD_AUTH;
	r->q->has_auth = true;
	r->q->auth = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_body(struct qf_reader *r, struct str text)
{
	if (str_case_equal(text, STR("7BIT")))
		r->q->body = MAIL_BODY_7BIT;
	else if (str_case_equal(text, STR("8BITMIME")))
		r->q->body = MAIL_BODY_8BITMIME;
	else
		return QF_BAD_BODY;
	return QF_FINE;
}

static enum qf_problem_kind
read_user(struct qf_reader *r, struct str text)
{
	r->user = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_data_file(struct qf_reader *r, struct str text)
{
	r->q->data_file = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_data_directory(struct qf_reader *r, struct str text)
{
	r->q->data_directory = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_errors_to(struct qf_reader *r, struct str text)
{
	r->q->errors_to = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_flags(struct qf_reader *r, struct str text)
{
	if (str_starts(text, STR("rom ")))
		return QF_SPOOFED;
	for (size_t i = 0; i < text.size; i++) {
		bool *flag = qf_flag(r->q, text.data[i]);

		if (flag != NULL)
			*flag = true;
	}
	return QF_FINE;
}

/* "?cond?Name: value" or "Name: value". */
static bool
parse_header(struct str text, struct qf_header *header_out)
{
	struct str name, value;

	*header_out = (struct qf_header){.condition = STR(""), .text = text};
	if (text.size > 0 && text.data[0] == '?') {
		struct str rest = str_skip(text, 1);
		size_t size = str_find(rest, '?');

		if (size == rest.size ||
		    str_find(str_head(rest, size), '\n') < size)
			return false;
		header_out->condition = str_head(rest, size);
		header_out->text = str_skip(rest, size + 1);
	}
	return qf_header_split(header_out->text, &name, &value);
}

/* One that is no field cannot be sent; all the rest of the message can. */
static enum qf_problem_kind
read_header(struct qf_reader *r, struct str text)
{
	struct qf *q = r->q;

	CHECK(q->header_count < r->headers_max);
	if (parse_header(text, &q->headers[q->header_count]))
		q->header_count++;
	else if (q->header_bad_count++ == 0)
		q->header_bad = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_inode(struct qf_reader *r, struct str text)
{
	r->q->inode = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_attempted(struct qf_reader *r, struct str text)
{
	int64_t value = qf_number(text, TIME_MAX);

	r->q->attempted_s = value > 0 ? value : 0;
	return QF_FINE;
}

static enum qf_problem_kind
read_nothing(struct qf_reader *r, struct str text)
{
	return QF_FINE;
}

/* Of the message before S, of the next recipient behind it. */
static enum qf_problem_kind
read_status(struct qf_reader *r, struct str text)
{
	if (r->q->has_sender)
		r->status = text;
	else
		r->q->status = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_attempts(struct qf_reader *r, struct str text)
{
	int64_t value = qf_number(text, QF_ATTEMPTS_MAX);

	r->q->attempts = value > 0 ? value : 0;
	return QF_FINE;
}

static enum qf_problem_kind
read_priority(struct qf_reader *r, struct str text)
{
	r->q->priority = qf_number(text, PRIORITY_MAX);
	return QF_FINE;
}

static enum qf_problem_kind
read_quarantine(struct qf_reader *r, struct str text)
{
	r->q->has_quarantine = true;
	r->q->quarantine = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_orcpt(struct qf_reader *r, struct str text)
{
	r->orcpt = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_final(struct qf_reader *r, struct str text)
{
	r->final = text;
	return QF_FINE;
}

/* Takes "PFD:" off the front of *TEXT.  LETTERS_MIN is how many letters make it
   flags; with IS_STRICT anything up to the colon is, unknown letters too. */
static bool
take_recipient_flags(
    struct str *text, size_t letters_min, bool is_strict, uint8_t *flags_out)
{
	size_t size = str_find(*text, ':');
	uint8_t flags = 0;

	if (size == text->size || size < letters_min)
		return false;
	for (size_t i = 0; i < size; i++) {
		const char *at = memchr(QF_RECIPIENT_LETTERS, text->data[i],
		    sizeof(QF_RECIPIENT_LETTERS) - 1);

		if (at != NULL)
			flags |= (uint8_t)(1 << (at - QF_RECIPIENT_LETTERS));
		else if (!is_strict)
			return false;
	}
	*text = str_skip(*text, size + 1);
	*flags_out = flags;
	return true;
}

/* sendmail reads R by version 0 as long as no V line came, and would send to
   "PFD:a@b"; where there are flags they are taken for such. */
static enum qf_problem_kind
read_recipient(struct qf_reader *r, struct str text)
{
	bool is_strict = r->version >= 1 && r->is_version_seen;
	uint8_t flags = QF_RECIPIENT_DEFAULT;
	struct qf_recipient *recipient;

	if (!take_recipient_flags(
		&text, r->version >= 1 ? 0 : 2, is_strict, &flags) &&
	    is_strict)
		return QF_BAD_RECIPIENT;
	if (str_trim(text).size == 0)
		return QF_BAD_RECIPIENT;
	CHECK(r->q->recipient_count < r->recipients_max);
	recipient = &r->q->recipients[r->q->recipient_count++];
	*recipient = (struct qf_recipient){.flags = flags,
	    .text = text,
	    .orcpt = r->orcpt,
	    .final = r->final,
	    .status = r->status,
	    .user = r->user};
	r->orcpt = r->final = r->status = STR("");
	return QF_FINE;
}

static enum qf_problem_kind
read_sender(struct qf_reader *r, struct str text)
{
	r->q->has_sender = true;
	r->q->sender = text;
	return QF_FINE;
}

static enum qf_problem_kind
read_created(struct qf_reader *r, struct str text)
{
	int64_t value = qf_number(text, TIME_MAX);

	r->q->created = value > 0 ? QF_CREATED_GIVEN : QF_CREATED_BAD;
	r->q->created_s = value > 0 ? value : 0;
	return QF_FINE;
}

static int
version_of(struct str text)
{
	int64_t value = qf_number(text, QF_VERSION + 1);

	return value > 0 ? (int)value : 0;
}

static enum qf_problem_kind
read_version(struct qf_reader *r, struct str text)
{
	int version = version_of(text);

	if (version > QF_VERSION)
		return QF_BAD_VERSION;
	r->q->version = r->version = version;
	r->q->has_version = r->is_version_seen = true;
	return QF_FINE;
}

static enum qf_problem_kind
read_envid(struct qf_reader *r, struct str text)
{
	r->q->has_envid = true;
	r->q->envid = text;
	return QF_FINE;
}

/* One raw byte, a blank, seconds. */
static enum qf_problem_kind
read_deliver_by(struct qf_reader *r, struct str text)
{
	if (text.size == 0)
		return QF_FINE;
	r->q->has_deliver_by = true;
	r->q->deliver_mode = (uint8_t)text.data[0];
	r->q->deliver_by_s = qf_number(str_skip(text, 2), TIME_MAX);
	return QF_FINE;
}

/* "$xvalue" or "${name}value"; what has no name is passed over, as sendmail
   does. */
static enum qf_problem_kind
read_macro(struct qf_reader *r, struct str text)
{
	size_t size = 1;

	if (text.size == 0)
		return QF_FINE;
	if (text.data[0] == '{') {
		size = str_find(text, '}') + 1;
		if (size > text.size || size == 2)
			return QF_FINE;
	}
	CHECK(r->q->macro_count < r->macros_max);
	r->q->macros[r->q->macro_count++] = (struct qf_macro){
	    .name = str_head(text, size), .value = str_skip(text, size)};
	return QF_FINE;
}

static enum qf_problem_kind
read_end(struct qf_reader *r, struct str text)
{
	r->q->is_terminated = true;
	return QF_FINE;
}

/* The letters, and what reads the text behind each. */
static const struct {
	char code;
	enum qf_problem_kind (*read)(struct qf_reader *r, struct str text);
} qf_codes[] = {
    {'H', read_header},
    {'R', read_recipient},
    {'r', read_final},
    {'$', read_macro},
    {'!', read_deliver_by},
    {'.', read_end},
    {'A', read_auth},
    {'B', read_body},
    {'C', read_user},
    {'D', read_data_file},
    {'E', read_errors_to},
    {'F', read_flags},
    {'I', read_inode},
    {'K', read_attempted},
    {'L', read_nothing},
    {'M', read_status},
    {'N', read_attempts},
    {'P', read_priority},
    {'Q', read_orcpt},
    {'S', read_sender},
    {'T', read_created},
    {'V', read_version},
    {'Z', read_envid},
    {'d', read_data_directory},
    {'q', read_quarantine},
};

/* Line ends become blanks (invariant 2).  TEXT is in our own copy. */
static void
flatten(char *copy, struct str bytes, struct str text)
{
	char *at = copy + (text.data - bytes.data);

	for (size_t i = 0; i < text.size; i++) {
		i += str_find(str_skip(text, i), '\n');
		if (i < text.size)
			at[i] = ' ';
	}
}

static enum qf_problem_kind
read_line(struct qf_reader *r, const struct qf_line *line)
{
	if (r->q->is_terminated)
		return QF_EXTRA;
	if (memchr(line->text.data, '\0', line->text.size) != NULL)
		return QF_BAD_LINE;
	for (size_t i = 0; i < sizeof(qf_codes) / sizeof(qf_codes[0]); i++)
		if (qf_codes[i].code == line->code)
			return qf_codes[i].read(r, line->text);
	return QF_BAD_LINE;
}

/* A copy with LF at the line ends; NULL when the arena is full. */
static char *
copy_lines(struct str bytes, struct arena *arena, size_t *size_out)
{
	char *copy = arena_new(arena, bytes.size + 1);
	size_t size = 0;

	if (copy == NULL)
		return NULL;
	*size_out = bytes.size;
	if (str_find(bytes, '\r') == bytes.size)
		return memcpy(copy, bytes.data, bytes.size);
	for (size_t i = 0; i < bytes.size; i++)
		if (bytes.data[i] != '\r' || i + 1 == bytes.size ||
		    bytes.data[i + 1] != '\n')
			copy[size++] = bytes.data[i];
	*size_out = size;
	return copy;
}

/* Counts the lines, allocates the lists, finds the version: 0, -ENOBUFS, or
   -EFBIG over a limit. */
static int
prepare(struct qf_reader *r, struct str bytes, struct arena *arena)
{
	size_t at = 0, number = 0;
	struct qf_line line;
	bool is_found = false;

	while (qf_line_next(bytes, &at, &number, &line)) {
		r->recipients_max += line.code == 'R';
		r->headers_max += line.code == 'H';
		r->macros_max += line.code == '$';
		if (line.code == 'V' && !is_found)
			r->version = version_of(line.text);
		is_found |= line.code == 'V';
	}
	if (r->recipients_max > QF_RECIPIENTS_MAX ||
	    r->headers_max > QF_HEADERS_MAX || r->macros_max > QF_MACROS_MAX)
		return -EFBIG;
	r->q->recipients =
	    arena_new(arena, r->recipients_max * sizeof(*r->q->recipients));
	r->q->headers =
	    arena_new(arena, r->headers_max * sizeof(*r->q->headers));
	r->q->macros = arena_new(arena, r->macros_max * sizeof(*r->q->macros));
	return r->q->recipients != NULL && r->q->headers != NULL &&
	               r->q->macros != NULL
	           ? 0
	           : -ENOBUFS;
}

/* What is wrong with a file whose lines are all good.  sendmail 5 wrote no
   final dot; its last line is an R, and is whole. */
static enum qf_problem_kind
judge_whole(const struct qf_reader *r, struct str bytes, char last)
{
	const struct qf *q = r->q;

	if (!q->is_terminated && (q->has_version || last != 'R' ||
				     bytes.data[bytes.size - 1] != '\n'))
		return QF_INCOMPLETE;
	if (!q->has_sender)
		return QF_NO_SENDER;
	if (q->recipient_count == 0)
		return QF_NO_RECIPIENT;
	return QF_FINE;
}

static enum qf_problem_kind
read_lines(struct qf_reader *r, char *copy, struct str bytes,
    struct qf_problem *problem)
{
	enum qf_problem_kind kind;
	struct qf_line line = {0};
	size_t at = 0, number = 0;

	while (qf_line_next(bytes, &at, &number, &line)) {
		if (line.code != 'H')
			flatten(copy, bytes, line.text);
		kind = read_line(r, &line);
		if (kind == QF_FINE)
			continue;
		problem->line = line.number;
		problem->text =
		    str_head(str_of(line.text.data - (line.code != '\0'),
				 line.text.size + (line.code != '\0')),
			QF_PROBLEM_MAX);
		return kind;
	}
	return judge_whole(r, bytes, line.code);
}

static const struct {
	enum qf_remedy remedy;
	const char *name;
} qf_problems[] = {
    [QF_FINE] = {QF_RUN, "fine"},
    [QF_EMPTY] = {QF_LEAVE_YOUNG, "empty control file"},
    [QF_INCOMPLETE] = {QF_LEAVE, "incomplete control file"},
    [QF_BAD_LINE] = {QF_SET_ASIDE, "unrecognized line"},
    [QF_BAD_VERSION] = {QF_SET_ASIDE, "unsupported queue file version"},
    [QF_BAD_BODY] = {QF_SET_ASIDE, "bad body type"},
    [QF_BAD_AUTH] = {QF_SET_ASIDE, "bad AUTH parameter"},
    [QF_BAD_RECIPIENT] = {QF_SET_ASIDE, "recipient without address"},
    [QF_SPOOFED] = {QF_SET_ASIDE, "From line in control file"},
    [QF_EXTRA] = {QF_SET_ASIDE, "extra data behind the final dot"},
    [QF_NO_SENDER] = {QF_SET_ASIDE, "no sender"},
    [QF_NO_RECIPIENT] = {QF_SET_ASIDE, "no recipient"},
    [QF_TOO_LARGE] = {QF_LEAVE, "over a limit of control files"},
};

const char *
qf_problem_name(enum qf_problem_kind kind)
{
	return qf_problems[kind].name;
}

/* D and E count where sendmail 5 or we wrote them. */
static void
drop_ignored(struct qf *q)
{
	if (q->version == 0 || qf_macro_find(q, STR(QF_PRIVATE)) != NULL)
		return;
	q->data_file = STR("");
	q->errors_to = STR("");
}

void
qf_init(struct qf *q)
{
	const struct str none = STR("");

	*q = (struct qf){.version = QF_VERSION,
	    .has_version = true,
	    .created = QF_CREATED_MISSING,
	    .data_directory = none,
	    .data_file = none,
	    .inode = none,
	    .quarantine = none,
	    .status = none,
	    .sender = none,
	    .errors_to = none,
	    .envid = none,
	    .auth = none};
}

int
qf_read(struct str bytes, struct arena *arena, struct qf *q_out,
    struct qf_problem *problem_out)
{
	struct qf_reader reader = {.q = q_out};
	struct qf_problem problem = {.text = STR("")};
	char *copy;
	size_t size = 0;
	int error;

	qf_init(q_out);
	q_out->version = 0;
	q_out->has_version = false;
	*problem_out = problem;
	reader.orcpt = reader.final = reader.status = reader.user = STR("");
	if (bytes.size == 0 || bytes.size > QF_FILE_MAX) {
		problem.kind = bytes.size == 0 ? QF_EMPTY : QF_TOO_LARGE;
	} else {
		copy = copy_lines(bytes, arena, &size);
		if (copy == NULL)
			return -ENOBUFS;
		bytes = str_of(copy, size);
		error = prepare(&reader, bytes, arena);
		if (error == -ENOBUFS)
			return error;
		problem.kind = error == -EFBIG
		                   ? QF_TOO_LARGE
		                   : read_lines(&reader, copy, bytes, &problem);
	}
	drop_ignored(q_out);
	problem.remedy = qf_problems[problem.kind].remedy;
	*problem_out = problem;
	return problem.kind == QF_FINE ? 0 : -EBADMSG;
}

const struct str *
qf_macro_find(const struct qf *q, struct str name)
{
	for (size_t i = q->macro_count; i > 0; i--)
		if (str_equal(q->macros[i - 1].name, name))
			return &q->macros[i - 1].value;
	return NULL;
}
