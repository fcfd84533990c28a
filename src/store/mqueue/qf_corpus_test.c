/*
 * The corpus that the real sendmail wrote (test/corpus): each entry is read,
 * written again and rendered; what came out of sendmail is what comes out of
 * us, but for the rows named here.
 */
#include "store/mqueue/qf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/sha.h>

#define ROOT      "test/corpus"
#define CELLS_MAX 22
#define FILE_MAX  ((size_t)1 << 20)

/* Cells of MANIFEST.tsv. */
enum {
	CELL_SET,
	CELL_FILE,
	CELL_LABEL,
	CELL_SENDER = 4,
	CELL_RECIPIENTS,
	CELL_FLAGS,
	CELL_F,
	CELL_BODY,
	CELL_ENVID,
	CELL_QUARANTINE,
	CELL_ATTEMPTS,
	CELL_MAIL = 15,
	CELL_RCPTS,
	CELL_SHA_RAW = 18,
	CELL_SHA_LF,
};

/* Rows whose content cannot be the same, or that were not delivered to their
   recipients. */
static const struct {
	const char *label;
	bool is_envelope_equal;
} unequal[] = {
    {"deliverby-return", false},     /* returned: it is a notification */
    {"alias-program", false},        /* not delivered by SMTP */
    {"header-line-over-2048", true}, /* sendmail cuts and splits the line */
    {"bounce (DSN) deferred, full", true}, /* From gets sendmail's host */
};

/* The bytes of ROOT/PATH in OUT; false if there is no such file. */
static bool
load(const char *path, struct buf *out)
{
	char name[300];
	FILE *file;
	size_t size;

	snprintf(name, sizeof(name), ROOT "/%s", path);
	file = fopen(name, "rb");
	if (file == NULL)
		return false;
	buf_init(out, FILE_MAX);
	do {
		char *space = buf_space(out, 65536);

		assert_non_null(space);
		size = fread(space, 1, 65536, file);
		buf_added(out, size);
	} while (size > 0);
	fclose(file);
	return true;
}

static void
hash(struct str bytes, char text[65])
{
	unsigned char sum[32];

	SHA256((const unsigned char *)bytes.data, bytes.size, sum);
	for (int i = 0; i < 32; i++)
		snprintf(text + 2 * (ptrdiff_t)i, 3, "%02x", sum[i]);
}

/* LF line ends, without the Received fields of the header. */
static void
without_received(struct str content, struct buf *out)
{
	bool is_header = true, is_dropped = false;

	while (content.size > 0) {
		size_t size = str_find(content, '\n');
		struct str line = str_head(content, size);

		content = str_skip(content, size + 1);
		if (line.size > 0 && line.data[line.size - 1] == '\r')
			line.size--;
		is_header = is_header && line.size > 0;
		if (is_header && line.data[0] != ' ' && line.data[0] != '\t')
			is_dropped = str_case_starts(line, STR("Received:"));
		if (is_header && is_dropped)
			continue;
		assert_int_equal(buf_append(out, line), 0);
		assert_int_equal(buf_append(out, STR("\n")), 0);
	}
}

static void
render(const struct qf *q, struct str body, struct buf *out)
{
	struct qf_body state = {0};

	assert_int_equal(qf_render_header(q, out), 0);
	assert_int_equal(qf_body_render(&state, body, out), 0);
	assert_int_equal(qf_body_end(&state, out), 0);
}

/* True if the content of the entry has the hashes RAW and LF. */
static bool
is_delivered_as(
    const struct qf *q, struct str body, struct str raw, struct str lf)
{
	struct buf content, plain;
	char of_raw[65], of_lf[65];

	buf_init(&content, FILE_MAX);
	buf_init(&plain, FILE_MAX);
	render(q, body, &content);
	without_received(buf_str(&content), &plain);
	hash(buf_str(&content), of_raw);
	hash(buf_str(&plain), of_lf);
	buf_fini(&content);
	buf_fini(&plain);
	return str_equal(raw, str_from(of_raw)) &&
	       str_equal(lf, str_from(of_lf));
}

static void
split(struct str line, struct str *cells, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = str_find(line, '\t');

		cells[i] = str_head(line, size);
		line = str_skip(line, size + 1);
	}
}

/* The control file and data file of a row. */
static bool
load_entry(struct str set, struct str file, struct buf *qf, struct buf *df)
{
	static const struct {
		const char *qf;
		const char *df;
	} places[] = {{"", ""}, {"/q1", "/q1"}, {"/q2/qf", "/q2/df"},
	    {"/q3/qf", "/q3"}, {"/slow1", "/slow1/df"}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char path[200];

		snprintf(path, sizeof(path), "%.*s%s/%.*s", STR_ARG(set),
		    places[i].qf, STR_ARG(file));
		if (!load(path, qf))
			continue;
		snprintf(path, sizeof(path), "%.*s%s/df%.*s", STR_ARG(set),
		    places[i].df, STR_ARG(str_skip(file, 2)));
		assert_true(load(path, df));
		return true;
	}
	return false;
}

static bool
is_content_equal(struct str label)
{
	for (size_t i = 0; i < sizeof(unequal) / sizeof(unequal[0]); i++)
		if (str_equal(label, str_from(unequal[i].label)))
			return false;
	return true;
}

static bool
is_envelope_equal(struct str label)
{
	for (size_t i = 0; i < sizeof(unequal) / sizeof(unequal[0]); i++)
		if (str_equal(label, str_from(unequal[i].label)))
			return unequal[i].is_envelope_equal;
	return true;
}

/* True if TEXT has BEFORE VALUE AFTER in it. */
static bool
contains(
    struct str text, const char *before, struct str value, const char *after)
{
	char what[700];
	int size = snprintf(
	    what, sizeof(what), "%s%.*s%s", before, STR_ARG(value), after);

	assert_in_range(size, 0, sizeof(what) - 1);
	return text.size >= (size_t)size &&
	       memmem(text.data, text.size, what, (size_t)size) != NULL;
}

/* The recipients' texts and letters, with commas between them. */
static void
assert_lists(const struct qf *q, struct str texts, struct str flags)
{
	char wanted[3000] = "", letters[300] = "";
	size_t size = 0, letters_size = 0;

	for (size_t i = 0; i < q->recipient_count; i++) {
		const struct qf_recipient *r = &q->recipients[i];
		const char *comma = i > 0 ? "," : "";

		size += (size_t)snprintf(wanted + size, sizeof(wanted) - size,
		    "%s%.*s", comma, STR_ARG(r->text));
		letters_size += (size_t)snprintf(letters + letters_size,
		    sizeof(letters) - letters_size, "%s%s%s%s%s%s%s%s", comma,
		    r->flags & QF_RECIPIENT_PRIMARY ? "P" : "",
		    r->flags & QF_RECIPIENT_NOTIFY ? "N" : "",
		    r->flags & QF_RECIPIENT_SUCCESS ? "S" : "",
		    r->flags & QF_RECIPIENT_FAILURE ? "F" : "",
		    r->flags & QF_RECIPIENT_DELAY ? "D" : "",
		    r->flags & QF_RECIPIENT_BCC ? "B" : "",
		    r->flags & QF_RECIPIENT_ALIAS ? "A" : "");
	}
	/* The table has quotes as spreadsheets write them. */
	if (texts.size == 0 || texts.data[0] != '"')
		assert_true(str_equal(texts, str_from(wanted)));
	assert_true(str_equal(flags, str_from(letters)));
}

/* The letters of F, as the writer puts them. */
static void
assert_flags(const struct qf *q, struct str flags)
{
	char letters[9];

	snprintf(letters, sizeof(letters), "%s%s%s%s%s%s%s%s",
	    q->is_warned ? "w" : "", q->is_response ? "r" : "",
	    q->has_8bit ? "8" : "", q->is_bcc_deleted ? "b" : "",
	    q->has_ret ? "d" : "", q->is_ret_headers ? "n" : "",
	    q->is_split ? "s" : "", q->is_smtputf8 ? "e" : "");
	assert_true(str_equal(flags, str_from(letters)));
}

static void
assert_fields(const struct qf *q, const struct str *cells)
{
	static const char *const bodies[] = {"", "7BIT", "8BITMIME"};

	assert_int_equal(q->version, 8);
	assert_int_equal(q->created, QF_CREATED_GIVEN);
	assert_true(str_equal(q->sender, cells[CELL_SENDER]));
	assert_lists(q, cells[CELL_RECIPIENTS], cells[CELL_FLAGS]);
	assert_flags(q, cells[CELL_F]);
	assert_true(str_equal(cells[CELL_BODY], str_from(bodies[q->body])));
	assert_true(str_equal(q->envid, cells[CELL_ENVID]));
	assert_true(str_equal(q->quarantine, cells[CELL_QUARANTINE]));
	assert_int_equal(q->has_quarantine, q->quarantine.size > 0);
	assert_int_equal(q->attempts, cells[CELL_ATTEMPTS].data[0] - '0');
}

/* What MAIL and RCPT said. */
static void
assert_smtp(const struct qf *q, struct arena *arena, const struct str *cells)
{
	static const char *const bodies[] = {"", "7BIT", "8BITMIME"};
	static const char *const rets[] = {"", "FULL", "HDRS"};
	struct mail_envelope e;
	bool is_whole;

	assert_int_equal(qf_get_envelope(q, arena, &e, &is_whole), 0);
	assert_true(is_whole);
	assert_true(contains(cells[CELL_MAIL], "<", e.sender, "> "));
	assert_int_equal(
	    contains(cells[CELL_MAIL], " BODY=", str_from(bodies[e.body]), ""),
	    e.body != MAIL_BODY_NONE);
	assert_int_equal(
	    contains(cells[CELL_MAIL], " RET=", str_from(rets[e.ret]), ""),
	    e.ret != MAIL_RET_NONE);
	assert_int_equal(contains(cells[CELL_MAIL], " ENVID=", e.envid, ""),
	    e.envid.size > 0);
	for (size_t i = 0; i < q->recipient_count; i++) {
		struct qf_address address;
		struct mail_recipient r;

		assert_int_equal(
		    qf_get_recipient(&q->recipients[i], arena, &address, &r),
		    0);
		if (address.kind != QF_ADDRESS_MAIL)
			continue;
		assert_true(address.has_domain);
		/* Of two that differ in case sendmail sends to one. */
		assert_true(contains(cells[CELL_RCPTS], "<", r.address, ">") ||
			    str_case_equal(r.address, STR("bob@dest.test")));
		assert_int_equal(
		    contains(cells[CELL_RCPTS], "NOTIFY", STR(""), ""),
		    r.notify != 0);
	}
}

/* Reads the file in CONTROL and writes it again. */
static void
read_and_write(
    struct str control, struct arena *arena, struct qf *q, struct buf *again)
{
	struct qf_problem problem;

	arena_init(arena, QF_ARENA_SIZE(FILE_MAX));
	assert_int_equal(qf_read(control, arena, q, &problem), 0);
	assert_int_equal(problem.kind, QF_FINE);
	assert_int_equal(problem.remedy, QF_RUN);
	buf_init(again, FILE_MAX);
	assert_int_equal(qf_write(q, again), 0);
}

static void
check_row(const struct str *cells)
{
	struct buf control, data, again;
	struct arena arena;
	struct qf q;

	if (!load_entry(cells[CELL_SET], cells[CELL_FILE], &control, &data)) {
		assert_true(str_equal(cells[CELL_LABEL], STR("large-2MB")));
		return;
	}
	read_and_write(buf_str(&control), &arena, &q, &again);
	/* What was quarantined later has its q at another place. */
	assert_int_equal(
	    str_equal(buf_str(&again), buf_str(&control)), !q.has_quarantine);
	assert_fields(&q, cells);
	assert_int_equal(is_delivered_as(&q, buf_str(&data),
			     cells[CELL_SHA_RAW], cells[CELL_SHA_LF]),
	    is_content_equal(cells[CELL_LABEL]));
	if (is_envelope_equal(cells[CELL_LABEL]))
		assert_smtp(&q, &arena, cells);
	buf_fini(&again);
	buf_fini(&control);
	buf_fini(&data);
	arena_fini(&arena);
}

/* Calls CHECK with each row of a table but the heading. */
static int
each_row(const char *path, void (*check)(const struct str *cells))
{
	struct buf table;
	struct str rest;
	int rows = 0;

	assert_true(load(path, &table));
	rest = buf_str(&table);
	rest = str_skip(rest, str_find(rest, '\n') + 1);
	for (; rest.size > 0; rows++) {
		struct str cells[CELLS_MAX];
		size_t size = str_find(rest, '\n');

		split(str_head(rest, size), cells, CELLS_MAX);
		check(cells);
		rest = str_skip(rest, size + 1);
	}
	buf_fini(&table);
	return rows;
}

static void
test_corpus_rows(void **state)
{
	(void)state;
	assert_int_equal(each_row("MANIFEST.tsv", check_row), 47);
}

/* Versions 0 to 4; what is written anew, in version 8, is rendered the same. */
static void
check_classic(const struct str *cells)
{
	struct buf control, data, again;
	struct arena arena, arena_again;
	struct qf_problem problem;
	struct qf q;
	char path[200];

	snprintf(path, sizeof(path), "classic/%.*s/%.*s", STR_ARG(cells[0]),
	    STR_ARG(cells[1]));
	assert_true(load(path, &control));
	snprintf(path, sizeof(path), "classic/%.*s/df%.*s", STR_ARG(cells[0]),
	    STR_ARG(str_skip(cells[1], 2)));
	assert_true(load(path, &data));
	read_and_write(buf_str(&control), &arena, &q, &again);
	assert_int_equal(q.version, cells[4].data[0] - '0');
	assert_int_equal(q.has_version, q.version > 0);
	assert_true(str_equal(q.sender, cells[5]));
	assert_int_equal(q.data_file.size > 0, q.version == 0);
	assert_int_equal(
	    q.errors_to.size > 0, str_equal(cells[0], STR("c03-v0-E-line")));
	if (q.version > 0)
		assert_lists(&q, cells[6], cells[7]);
	else
		assert_lists(&q, cells[6],
		    q.recipient_count == 1 ? STR("PFD") : STR("PFD,PFD"));
	assert_true(is_delivered_as(&q, buf_str(&data), cells[13], cells[14]));
	arena_init(&arena_again, QF_ARENA_SIZE(FILE_MAX));
	assert_int_equal(
	    qf_read(buf_str(&again), &arena_again, &q, &problem), 0);
	assert_int_equal(q.version, 8);
	assert_true(is_delivered_as(&q, buf_str(&data), cells[13], cells[14]));
	buf_fini(&again);
	buf_fini(&control);
	buf_fini(&data);
	arena_fini(&arena);
	arena_fini(&arena_again);
}

static void
test_classic(void **state)
{
	(void)state;
	assert_int_equal(each_row("classic/MANIFEST.tsv", check_classic), 8);
}

/* What is to be done with each damaged control file. */
static void
test_damaged(void **state)
{
	static const struct {
		const char *path;
		enum qf_problem_kind kind;
		enum qf_remedy remedy;
		size_t line;
	} cases[] = {
	    {"00-control-good/qf", QF_FINE, QF_RUN, 0},
	    {"02-truncated-in-recipients/qf", QF_INCOMPLETE, QF_LEAVE, 0},
	    {"04-qf-zero-length/qf", QF_EMPTY, QF_LEAVE_YOUNG, 0},
	    {"06-unknown-code-letter/qf", QF_BAD_LINE, QF_SET_ASIDE, 10},
	    {"08-tf-left-with-qf/qf", QF_FINE, QF_RUN, 0},
	    {"08-tf-left-with-qf/tf", QF_INCOMPLETE, QF_LEAVE, 0},
	    {"10-orphan-nf-df-tf-without-qf/tf", QF_INCOMPLETE, QF_LEAVE, 0},
	    {"12-From-spoof-line/qf", QF_SPOOFED, QF_SET_ASIDE, 10},
	    {"14-no-S-line/qf", QF_NO_SENDER, QF_SET_ASIDE, 0},
	    {"16-world-writable-qf/qf", QF_FINE, QF_RUN, 0},
	    {"18-crlf-line-endings/qf", QF_FINE, QF_RUN, 0},
	    {"20-bad-B-line/qf", QF_BAD_BODY, QF_SET_ASIDE, 6},
	    {"22-bad-recipient-syntax/qf", QF_FINE, QF_RUN, 0},
	    {"24-binary-garbage/qf", QF_BAD_LINE, QF_SET_ASIDE, 1},
	    {"26-hf-without-q-line/hf", QF_FINE, QF_RUN, 0},
	    {"30-line-over-2048-in-R/qf", QF_FINE, QF_RUN, 0},
	    {"32-old-T-beyond-queuereturn/qf", QF_FINE, QF_RUN, 0},
	    {"34-duplicate-S/qf", QF_FINE, QF_RUN, 0},
	    {"36-no-dot-but-newline/qf", QF_INCOMPLETE, QF_LEAVE, 0},
	    {"38-Qf-lost-file/Qf", QF_FINE, QF_RUN, 0},
	    {"40-qf-hardlinked-nlink2/qf", QF_FINE, QF_RUN, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[200];
		struct buf control;
		struct arena arena;
		struct qf q;
		struct qf_problem problem;
		int result;

		snprintf(path, sizeof(path), "damaged/%s6ALLDvRC012936",
		    cases[i].path);
		assert_true(load(path, &control));
		arena_init(&arena, QF_ARENA_SIZE(FILE_MAX));
		result = qf_read(buf_str(&control), &arena, &q, &problem);
		assert_int_equal(
		    result, cases[i].kind == QF_FINE ? 0 : -EBADMSG);
		assert_int_equal(problem.kind, cases[i].kind);
		assert_int_equal(problem.remedy, cases[i].remedy);
		assert_int_equal(problem.line, cases[i].line);
		arena_fini(&arena);
		buf_fini(&control);
	}
}

/* CASE's only recipient and its sender. */
static void
read_damaged(const char *name, struct arena *arena, struct qf_address *to,
    struct mail_envelope *envelope)
{
	struct buf control;
	struct qf q;
	struct qf_problem problem;
	char path[200];
	bool is_whole;

	snprintf(path, sizeof(path), "damaged/%s/qf6ALLDvRC012936", name);
	assert_true(load(path, &control));
	assert_int_equal(qf_read(buf_str(&control), arena, &q, &problem), 0);
	assert_int_equal(q.recipient_count, 1);
	assert_int_equal(qf_address(q.recipients[0].text, arena, to), 0);
	assert_int_equal(qf_get_envelope(&q, arena, envelope, &is_whole), 0);
	buf_fini(&control);
}

/* What bounces is kept whole; the second sender counts; CRLF is no part of an
   address. */
static void
test_damaged_addresses(void **state)
{
	struct mail_envelope e;
	struct qf_address to;
	struct arena arena;

	(void)state;
	arena_init(&arena, QF_ARENA_SIZE(FILE_MAX));
	read_damaged("22-bad-recipient-syntax", &arena, &to, &e);
	assert_int_equal(to.kind, QF_ADDRESS_BAD);
	assert_true(str_equal(to.bare, STR("bob@@dest..test <")));
	read_damaged("30-line-over-2048-in-R", &arena, &to, &e);
	assert_int_equal(to.kind, QF_ADDRESS_MAIL);
	assert_true(to.is_oversize);
	assert_true(to.bare.size > 2048);
	read_damaged("34-duplicate-S", &arena, &to, &e);
	assert_true(str_equal(e.sender, STR("mallory@evil.test")));
	read_damaged("18-crlf-line-endings", &arena, &to, &e);
	assert_true(str_equal(to.bare, STR("bob@dest.test")));
	arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_corpus_rows),
	    cmocka_unit_test(test_classic),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_damaged_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
