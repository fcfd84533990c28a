/* Content out of queue entries and back. */
#include "store/mqueue/qf.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED   UINT64_C(4711)
#define ROUNDS 3000

static struct arena arena;
static struct buf out;
static uint64_t random_state = SEED;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	buf_init(&out, 1 << 16);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	buf_fini(&out);
	return 0;
}

static unsigned
draw(unsigned below)
{
	random_state =
	    random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static void
assert_out(struct str wanted)
{
	if (!str_equal(buf_str(&out), wanted))
		print_error("\"%.*s\"\n", STR_ARG(buf_str(&out)));
	assert_true(str_equal(buf_str(&out), wanted));
	buf_clear(&out);
}

/* A header under its condition, as it goes out. */
static void
test_conditions(void **state)
{
	static const struct {
		const char *condition;
		const char *text;
		const char *wanted;
	} cases[] = {
	    {"", "Subject: x", "Subject: x\r\n"},
	    {"", "Empty:", "Empty:\r\n"},
	    {"", "Blank \t: x", "Blank: x\r\n"},
	    {"", "A: b\n\tc\n  d", "A: b\r\n\tc\r\n  d\r\n"},
	    {"", "A: \xE2\xFF\x80\xFF\x93\xFF\xFF", "A: \xE2\x80\x93\xFF\r\n"},
	    {"", "A: b\xFF\n c", "A: b\r\n c\r\n"},
	    {"", "A: b\rc\r\xFF.\r.d", "A: b\rc . .d\r\n"},
	    {"", "no field", ""},
	    {"D", "Date: x", "Date: x\r\n"},
	    {"M", "Message-Id: x", "Message-Id: x\r\n"},
	    {"F", "From: x", "From: x\r\n"},
	    {"Px8", "X: y", "X: y\r\n"},
	    {"P", "X: y", ""},
	    {"x", "X: y", ""},
	    {"?", "X: y", ""},
	    {"P", "Return-Path: <\x81g>", ""},
	    {"", "Return-Path: <a@b>", ""},
	    {"M", "return-path: <a@b>", ""},
	    {"", "Full-Name: x", ""},
	    {"M", "Full-Name: x", "Full-Name: x\r\n"},
	    {"", "content-length: 1", ""},
	    {"u", "Content-Length: 1", "Content-Length: 1\r\n"},
	    {"$r", "X: y", "X: y\r\n"},
	    {"${auth}", "X: y", "X: y\r\n"},
	    {"${none}", "X: y", ""},
	    {"${empty}", "X: y", ""},
	    {"$x", "X: y", ""},
	    {"$j", "X: y", "X: y\r\n"},
	    {"\x81r", "X: y", "X: y\r\n"},
	    {"\x01r", "X: y", "X: y\r\n"},
	    {"\x01q", "X: y", ""},
	    {"${sendq}", "Return-Path: <a@b>", "Return-Path: <a@b>\r\n"},
	    {"${sendq}", "Full-Name: x", "Full-Name: x\r\n"},
	    {"${sendq}", "Content-Length: 1", "Content-Length: 1\r\n"},
	    {"${sendq}", "Bcc: a@b", "Bcc: a@b\r\n"},
	    {"", "Bcc: a@b", "Bcc:\r\n"},
	    {"", "resent-bcc: a@b\n c@d", "resent-bcc:\r\n"},
	};
	struct qf_macro macros[] = {{STR("r"), STR("SMTP")},
	    {STR("{auth}"), STR("a")}, {STR("{empty}"), STR("")}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf_header header = {
		    str_from(cases[i].condition), str_from(cases[i].text)};
		struct qf q;
		char wanted[200];

		qf_init(&q);
		q.headers = &header;
		q.header_count = 1;
		q.macros = macros;
		q.macro_count = 3;
		assert_int_equal(qf_render_header(&q, &out), 0);
		snprintf(wanted, sizeof(wanted), "%s\r\n", cases[i].wanted);
		assert_out(str_from(wanted));
	}
}

/* With b the Bcc fields go; the order of the others stays. */
static void
test_bcc_deleted(void **state)
{
	struct qf_header headers[] = {{STR(""), STR("A: 1")},
	    {STR(""), STR("BCC: a@b")}, {STR(""), STR("Resent-Bcc: a@b")},
	    {STR(""), STR("B: 2")}, {STR(""), STR("A: 3")}};
	struct qf q;

	(void)state;
	qf_init(&q);
	q.headers = headers;
	q.header_count = 5;
	q.is_bcc_deleted = true;
	assert_int_equal(qf_render_header(&q, &out), 0);
	assert_out(STR("A: 1\r\nB: 2\r\nA: 3\r\n\r\n"));
	for (size_t max = 0; max < 20; max++) {
		struct buf small;

		buf_init(&small, max);
		assert_int_equal(
		    qf_render_header(&q, &small), max < 20 ? -ENOBUFS : 0);
		buf_fini(&small);
	}
}

static const struct {
	struct str stored;
	struct str rendered;
} bodies[] = {
    {STR(""), STR("")},
    {STR("a\n"), STR("a\r\n")},
    {STR("a"), STR("a\r\n")},
    {STR("\n"), STR("\r\n")},
    {STR("\n\na\n"), STR("\r\n\r\na\r\n")},
    {STR("a\r\nb\r\n"), STR("a\r\nb\r\n")},
    {STR("a\r\r\nb"), STR("a\r\r\nb\r\n")},
    {STR("a\rb\n"), STR("a\rb\r\n")},
    {STR("\ra\n"), STR("\ra\r\n")},
    {STR("a\r"), STR("a\r\n")},
    {STR("\r"), STR("")},
    {STR("\r\r"), STR("\r\r\n")},
    {STR("a\n\r"), STR("a\r\n")},
    {STR("a\r\r"), STR("a\r\r\n")},
    {STR("a\0b\n"), STR("a\0b\r\n")},
    {STR("a\0"), STR("a\0\r\n")},
    {STR("\r\0\r\0\n"), STR("\r\0\r\0\r\n")},
    /* What could be the end of the message for some. */
    {STR("a\r.\r\nb\n"), STR("a\r\n.\r\nb\r\n")},
    {STR("a\r.\rb\n"), STR("a\r\n.\rb\r\n")},
    {STR("a\n\r\r.b"), STR("a\r\n\r\r\n.b\r\n")},
    {STR("a\n\0\0.\n"), STR("a\r\n\0 .\r\n")},
    {STR("a\n\r\0.\n"), STR("a\r\n\r .\r\n")},
    {STR("a\0\r.\n"), STR("a\0\r\n.\r\n")},
    {STR(".\n..\n"), STR(".\r\n..\r\n")},
    {STR("From x\n"), STR("From x\r\n")},
};

/* Whole, by byte, and only counted. */
static void
test_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct str stored = bodies[i].stored;
		struct qf_body whole = {0}, bytes = {0}, counted = {0};

		assert_int_equal(qf_body_render(&whole, stored, &out), 0);
		assert_int_equal(qf_body_end(&whole, &out), 0);
		assert_out(bodies[i].rendered);
		for (size_t j = 0; j < stored.size; j++)
			assert_int_equal(qf_body_render(&bytes,
					     str_of(stored.data + j, 1), &out),
			    0);
		assert_int_equal(qf_body_end(&bytes, &out), 0);
		assert_out(bodies[i].rendered);
		assert_int_equal(qf_body_render(&counted, stored, NULL), 0);
		assert_int_equal(qf_body_end(&counted, NULL), 0);
		assert_true(whole.size == bodies[i].rendered.size);
		assert_true(bytes.size == bodies[i].rendered.size);
		assert_true(counted.size == bodies[i].rendered.size);
	}
}

/* No room: an error, and the piece can be given again. */
static void
test_body_again(void **state)
{
	struct qf_body body = {0};
	struct buf small;

	(void)state;
	buf_init(&small, 4);
	assert_int_equal(qf_body_render(&body, STR("a\n\r"), &small), 0);
	assert_int_equal(qf_body_render(&body, STR("b"), &small), -ENOBUFS);
	assert_true(body.size == 3);
	buf_clear(&small);
	assert_int_equal(qf_body_render(&body, STR("b"), &small), 0);
	assert_int_equal(qf_body_end(&body, &small), 0);
	assert_true(str_equal(buf_str(&small), STR("\rb\r\n")));
	assert_true(body.size == 7);
	buf_fini(&small);
}

/* Content, where its body begins, and whether it comes back. */
static const struct {
	struct str content;
	size_t body;
	bool is_header_exact;
	bool is_body_exact;
} contents[] = {
    {STR("A: b\r\n\r\nc\r\n"), 8, true, true},
    {STR("A: b\r\n c\r\nD:\r\n\r\n"), 16, true, true},
    {STR("\r\nc\r\n"), 2, true, true},
    {STR("A: \xE2\x80\x93\xFF\r\n\r\n\xFF\x80\r\n"), 11, true, true},
    {STR("A: b\rc\r\n\r\nc\rd\r\n"), 10, true, true},
    {STR("A: b\r\n \r\n\r\nc\r\n"), 11, true, true},
    {STR("A: b\r\n\r\n\r\n\r\nc\0d\r\n"), 8, true, true},
    {STR("A: b\r\n\r\nc"), 8, true, false},
    {STR("A: b\r\n\r\nc\nd\r\n"), 8, true, false},
    {STR("A: b\r\n\r\nc\r\r\n"), 8, true, false},
    {STR("A: b\r\n\r\nc\r.\r\n"), 8, true, false},
    {STR("A: b\r\n\r\nc\0.\r\n"), 8, true, false},
    {STR("A: b\r\n\r\n\0\r\n.\r\n"), 8, true, true},
    {STR("A: b\r.\r\n\r\nc\r\n"), 10, false, true},
    {STR("A: b\r\n\r\nc\r\n\r"), 8, true, false},
    {STR("A: b\n\r\nc\r\n"), 7, false, true},
    {STR("A: b\r\n\nc\r\n"), 7, false, true},
    {STR("A: b\r\r\n\r\n"), 9, false, true},
    {STR("A : b\r\n\r\n"), 9, false, true},
    {STR("A: \0\r\n\r\n"), 8, false, true},
    {STR("A: b\r\nc\r\n"), 6, false, true},
    {STR("A: b\r\n"), 6, false, true},
    {STR("A: b"), 4, false, true},
    {STR("c\r\n"), 0, false, true},
    {STR(" c\r\n"), 0, false, true},
    {STR(": c\r\n"), 0, false, true},
    {STR(""), 0, false, true},
    {STR("Bcc: a\r\n\r\n"), 10, true, true},
    {STR("Return-Path: <a>\r\n\r\n"), 20, true, true},
    {STR("Content-Length: 3\r\n\r\n"), 21, true, true},
    {STR("Full-Name: a\r\n\r\n"), 16, true, true},
};

/* Takes CONTENT apart, and puts it together again in OUT. */
static void
round_trip(struct str content, size_t cut_max, struct qf *q,
    bool *is_header_exact, struct qf_unbody *unbody)
{
	size_t at = qf_content_body(content);
	struct str rest = str_skip(content, at);
	struct qf_body body = {0};
	struct buf stored;

	qf_init(q);
	assert_int_equal(
	    qf_set_headers(q, &arena, str_head(content, at), is_header_exact),
	    0);
	*unbody = (struct qf_unbody){0};
	buf_init(&stored, 1 << 16);
	while (rest.size > 0) {
		size_t size = 1 + draw((unsigned)cut_max);
		struct str piece = str_head(rest, size);

		assert_int_equal(qf_unbody_store(unbody, piece, &stored), 0);
		rest = str_skip(rest, size);
	}
	assert_int_equal(qf_unbody_end(unbody, &stored), 0);
	assert_int_equal(qf_render_header(q, &out), 0);
	assert_int_equal(qf_body_render(&body, buf_str(&stored), &out), 0);
	assert_int_equal(qf_body_end(&body, &out), 0);
	buf_fini(&stored);
}

static void
test_contents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		struct str content = contents[i].content;
		struct qf_unbody unbody;
		struct qf q;
		bool is_exact;

		if (qf_content_body(content) != contents[i].body)
			print_error("content %zu\n", i);
		assert_int_equal(qf_content_body(content), contents[i].body);
		round_trip(content, 1, &q, &is_exact, &unbody);
		buf_clear(&out);
		round_trip(content, 100, &q, &is_exact, &unbody);
		if (is_exact != contents[i].is_header_exact ||
		    unbody.is_inexact == contents[i].is_body_exact)
			print_error("content %zu\n", i);
		assert_int_equal(is_exact, contents[i].is_header_exact);
		assert_int_equal(!unbody.is_inexact, contents[i].is_body_exact);
		if (is_exact && !unbody.is_inexact)
			assert_out(content);
		buf_clear(&out);
	}
}

/* What is set beside the headers. */
static void
test_set_headers(void **state)
{
	static const struct {
		struct str header;
		bool has_8bit;
		bool is_bcc_deleted;
	} cases[] = {
	    {STR("A: b\r\n\r\n"), false, false},
	    {STR("A: b\r\nto: c\r\n\r\n"), false, true},
	    {STR("CC: c\xC3\r\n\r\n"), true, true},
	    {STR("Apparently-To: c\r\n\r\n"), false, true},
	    {STR("Bcc: c\r\n\r\n"), false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf q;
		bool is_exact;

		qf_init(&q);
		assert_int_equal(
		    qf_set_headers(&q, &arena, cases[i].header, &is_exact), 0);
		assert_int_equal(q.has_8bit, cases[i].has_8bit);
		assert_int_equal(q.is_bcc_deleted, cases[i].is_bcc_deleted);
		assert_true(str_equal(q.headers[0].condition, STR("P")));
		assert_true(
		    str_equal(q.headers[0].text, STR("Return-Path: <\x81g>")));
	}
}

/* 8-bit bytes of a body are noticed. */
static void
test_unbody_8bit(void **state)
{
	struct qf_unbody unbody = {0};

	(void)state;
	assert_int_equal(qf_unbody_store(&unbody, STR("a\r\n"), &out), 0);
	assert_false(unbody.has_8bit);
	assert_int_equal(qf_unbody_store(&unbody, STR("\x80"), &out), 0);
	assert_true(unbody.has_8bit);
	buf_clear(&out);
}

/* Random content: what is said to come back does, and what is said not to does
   not; whatever the cuts. */
static void
test_random_contents(void **state)
{
	static const char *const parts[] = {"A: b", "Received: x", "\r\n",
	    "\r\n", "\r\n ", "\n", "\r", "c", "\xFF", "\x80", "Bcc: x",
	    "\r\n\r\n", "text\r\n", "D :", ":"};
	int exact = 0;

	(void)state;
	print_message("seed %" PRIu64 "\n", random_state);
	for (int i = 0; i < ROUNDS; i++) {
		char content[400];
		struct qf_unbody unbody;
		struct qf q;
		size_t size = 0;
		bool is_exact;

		for (unsigned n = draw(16); n > 0; n--)
			size += (size_t)snprintf(content + size,
			    sizeof(content) - size, "%s", parts[draw(15)]);
		arena_fini(&arena);
		round_trip(str_of(content, size), 1 + draw(30), &q, &is_exact,
		    &unbody);
		is_exact = is_exact && !unbody.is_inexact;
		assert_int_equal(
		    str_equal(buf_str(&out), str_of(content, size)), is_exact);
		exact += is_exact;
		buf_clear(&out);
	}
	assert_true(exact > ROUNDS / 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conditions),
	    cmocka_unit_test(test_bcc_deleted),
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_body_again),
	    cmocka_unit_test(test_contents),
	    cmocka_unit_test(test_set_headers),
	    cmocka_unit_test(test_unbody_8bit),
	    cmocka_unit_test(test_random_contents),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
