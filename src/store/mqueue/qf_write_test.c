/* The writer: order and letters to the byte, what it refuses, and that what is
   written is read as the same, for random envelopes. */
#include "store/mqueue/qf.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LIST_MAX 6
#define SEED     UINT64_C(20261122)
#define ROUNDS   3000

static struct qf_recipient recipients[LIST_MAX];
static struct qf_header headers[LIST_MAX];
static struct qf_macro macros[LIST_MAX];
static struct arena arena;
static struct buf out;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, QF_ARENA_SIZE(1 << 16));
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

static void
make_recipient(struct qf_recipient *r, struct str text)
{
	*r = (struct qf_recipient){.flags = QF_RECIPIENT_DEFAULT,
	    .text = text,
	    .orcpt = STR(""),
	    .final = STR(""),
	    .status = STR(""),
	    .user = STR("")};
}

/* The least that can be written. */
static void
make_smallest(struct qf *q)
{
	qf_init(q);
	q->has_sender = true;
	q->sender = STR("<a@b>");
	q->recipients = recipients;
	q->recipient_count = 1;
	q->headers = headers;
	q->macros = macros;
	make_recipient(&recipients[0], STR("<c@d>"));
	headers[0] = (struct qf_header){STR(""), STR("X: y")};
	macros[0] = (struct qf_macro){STR("r"), STR("SMTP")};
}

static void
assert_written(const struct qf *q, const char *wanted)
{
	buf_clear(&out);
	assert_int_equal(qf_write(q, &out), 0);
	if (!str_equal(buf_str(&out), str_from(wanted)))
		print_error("%.*s", STR_ARG(buf_str(&out)));
	assert_true(str_equal(buf_str(&out), str_from(wanted)));
}

static void
test_write_smallest(void **state)
{
	struct qf q;

	(void)state;
	make_smallest(&q);
	assert_written(&q, "V8\nK0\nN0\nP0\nS<a@b>\nRPFD:<c@d>\n.\n");
}

static void
make_full(struct qf *q)
{
	make_smallest(q);
	q->version = 4;
	q->created = QF_CREATED_GIVEN;
	q->created_s = 1795295637;
	q->attempted_s = 1795295638;
	q->attempts = 2;
	q->priority = -5;
	q->data_directory = STR("fs");
	q->data_file = STR("dfother");
	q->inode = STR("8/1/99");
	q->body = MAIL_BODY_8BITMIME;
	q->has_quarantine = true;
	q->quarantine = STR("spam");
	q->status = STR("waits");
	q->is_warned = q->is_response = q->has_8bit = true;
	q->is_bcc_deleted = q->has_ret = q->is_ret_headers = true;
	q->is_split = q->is_smtputf8 = true;
	q->errors_to = STR("e@f");
	q->macro_count = 2;
	macros[1] = (struct qf_macro){STR("{daemon_flags}"), STR("")};
	q->has_envid = q->has_auth = q->has_deliver_by = true;
	q->envid = STR("id");
	q->auth = STR("<>");
	q->deliver_mode = 0x11;
	q->deliver_by_s = 7200;
	q->recipient_count = 3;
	recipients[0].flags = 127;
	recipients[0].status = STR("User unknown");
	recipients[0].user = STR("u:8:0:u");
	recipients[0].orcpt = STR("rfc822;x@y");
	recipients[0].final = STR("RFC822; c@d");
	make_recipient(&recipients[1], STR("/file"));
	recipients[1].user = STR("u:8:0:u");
	make_recipient(&recipients[2], STR("g"));
	recipients[2].flags = 0;
	q->header_count = 3;
	headers[0] = (struct qf_header){STR("P"), STR("Return-Path: <\x81g>")};
	headers[1] = (struct qf_header){STR(""), STR("A: b\n\tc")};
	headers[2] = (struct qf_header){STR("${m}"), STR("D:")};
}

#define FULL_HEAD                                                              \
	"V8\nT1795295637\nK1795295638\nN2\nP-5\ndfs\nI8/1/99\nB8BITMIME\n"     \
	"qspam\nMwaits\nFwr8bdnse\n"
#define FULL_TAIL "$rSMTP\n${daemon_flags}\n"
#define FULL_END                                                               \
	"S<a@b>\nZid\nA<>\n!\x11 7200\n"                                       \
	"MUser unknown\nCu:8:0:u\nQrfc822;x@y\nrRFC822; c@d\nRPNSFDBA:<c@d>\n" \
	"RPFD:/file\nC\nR:g\n"                                                 \
	"H?P?Return-Path: <\x81g>\nH??A: b\n\tc\nH?${m}?D:\n.\n"

/* Every line, in sendmail's order. */
static void
test_write_full(void **state)
{
	struct qf q;

	(void)state;
	make_full(&q);
	assert_written(&q, FULL_HEAD FULL_TAIL FULL_END);
	q.macro_count = 3;
	macros[2] = (struct qf_macro){STR(QF_PRIVATE), STR("1 2")};
	assert_written(&q,
	    FULL_HEAD "Ddfother\nEe@f\n" FULL_TAIL "${sendq}1 2\n" FULL_END);
}

/* No text can begin a line. */
static void
test_write_line_ends(void **state)
{
	struct qf q;

	(void)state;
	make_smallest(&q);
	q.sender = STR("<a@b>\nR:x");
	q.status = STR("one\r\ntwo\n");
	recipients[0].text = STR("<c@d>\n.");
	q.macro_count = 1;
	macros[0].value = STR("v\nR:x");
	q.header_count = 1;
	headers[0].text = STR("A: b\r\n c\nR:x");
	assert_written(&q, "V8\nK0\nN0\nP0\nMone  two \n$rv R:x\n"
			   "S<a@b> R:x\nRPFD:<c@d> .\nH??A: b   c R:x\n.\n");
	headers[0].text = STR("A: b\r\n c\r\n\td");
	assert_written(&q, "V8\nK0\nN0\nP0\nMone  two \n$rv R:x\n"
			   "S<a@b> R:x\nRPFD:<c@d> .\nH??A: b\n c\n\td\n.\n");
	headers[0].text = STR("A: b\n");
	assert_written(&q, "V8\nK0\nN0\nP0\nMone  two \n$rv R:x\n"
			   "S<a@b> R:x\nRPFD:<c@d> .\nH??A: b \n.\n");
}

/* What could not be read again is refused, and nothing is written. */
static void
test_write_refused(void **state)
{
	struct qf q;
	struct {
		struct str *text;
		struct str bad;
	} cases[] = {
	    {&q.sender, STR("a\0b")},
	    {&q.status, STR("\0")},
	    {&q.quarantine, STR("\0")},
	    {&q.data_directory, STR("\0")},
	    {&q.data_file, STR("\0")},
	    {&q.inode, STR("\0")},
	    {&q.errors_to, STR("\0")},
	    {&q.envid, STR("\0")},
	    {&q.auth, STR("a b")},
	    {&recipients[0].text, STR("")},
	    {&recipients[0].text, STR(" \t")},
	    {&recipients[0].text, STR("a\0b")},
	    {&recipients[0].orcpt, STR("\0")},
	    {&recipients[0].final, STR("\0")},
	    {&recipients[0].status, STR("\0")},
	    {&recipients[0].user, STR("\0")},
	    {&macros[0].name, STR("")},
	    {&macros[0].name, STR("ab")},
	    {&macros[0].name, STR("{}")},
	    {&macros[0].name, STR("{a")},
	    {&macros[0].name, STR("{a}b}")},
	    {&macros[0].name, STR("{a\nb}")},
	    {&macros[0].name, STR("\n")},
	    {&macros[0].value, STR("\0")},
	    {&headers[0].condition, STR("a?b")},
	    {&headers[0].condition, STR("a\nb")},
	    {&headers[0].condition, STR("\0")},
	    {&headers[0].text, STR("")},
	    {&headers[0].text, STR("no colon")},
	    {&headers[0].text, STR(": no name")},
	    {&headers[0].text, STR("X: \0")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_smallest(&q);
		q.header_count = q.macro_count = 1;
		buf_clear(&out);
		assert_int_equal(qf_write(&q, &out), 0);
		buf_clear(&out);
		*cases[i].text = cases[i].bad;
		assert_int_equal(qf_write(&q, &out), -EINVAL);
		assert_int_equal(buf_size(&out), 0);
	}
	make_smallest(&q);
	q.has_sender = false;
	assert_int_equal(qf_write(&q, &out), -EINVAL);
	make_smallest(&q);
	q.recipient_count = 0;
	assert_int_equal(qf_write(&q, &out), -EINVAL);
}

/* A buffer that is too small, whatever its size: an error. */
static void
test_write_small(void **state)
{
	struct qf q;
	struct buf small;
	size_t needed;

	(void)state;
	make_full(&q);
	buf_clear(&out);
	assert_int_equal(qf_write(&q, &out), 0);
	needed = buf_size(&out);
	for (size_t max = 0; max <= needed; max++) {
		buf_init(&small, max);
		assert_int_equal(
		    qf_write(&q, &small), max < needed ? -ENOBUFS : 0);
		buf_fini(&small);
	}
}

/*
 * Random envelopes.
 */

static uint64_t random_state;

static unsigned
draw(unsigned below)
{
	random_state =
	    random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

/* SIZE_MIN bytes or more of any kind but NUL, CR, LF. */
static struct str
draw_text(size_t size_min)
{
	size_t size = size_min + draw(draw(8) == 0 ? 300 : 12);
	char *text = arena_new(&arena, size + 1);

	assert_non_null(text);
	for (size_t i = 0; i < size; i++) {
		do
			text[i] =
			    (char)(draw(2) ? 32 + draw(95) : 1 + draw(255));
		while (text[i] == '\r' || text[i] == '\n');
	}
	return str_of(text, size);
}

/* PREFIX and random bytes. */
static struct str
draw_after(const char *prefix)
{
	struct str tail = draw_text(0);
	size_t size = strlen(prefix);
	char *text = arena_new(&arena, size + tail.size + 1);

	assert_non_null(text);
	memcpy(text, prefix, size);
	memcpy(text + size, tail.data, tail.size);
	return str_of(text, size + tail.size);
}

static void
draw_recipient(struct qf_recipient *r)
{
	r->flags = (uint8_t)draw(128);
	r->text = draw_after("a");
	r->orcpt = draw_text(0);
	r->final = draw_text(0);
	r->status = draw_text(0);
	r->user = draw(2) ? draw_text(0) : STR("");
}

static void
draw_header(struct qf_header *h)
{
	static const char *const conditions[] = {"", "P", "DFM", "$x", "${y}"};
	static const char *const names[] = {
	    "Subject: ", "X-Y:", "Received: by a\n\tid b\n ", "A :"};

	h->condition = str_from(conditions[draw(5)]);
	h->text = draw_after(names[draw(4)]);
}

static void
draw_macro(struct qf_macro *m)
{
	static const char *const names[] = {"_", "r", "{a}", "{if_addr}"};

	m->name = str_from(names[draw(4)]);
	m->value = draw_text(0);
}

static void
draw_envelope(struct qf *q)
{
	bool *flags[] = {&q->is_warned, &q->is_response, &q->has_8bit,
	    &q->is_bcc_deleted, &q->has_ret, &q->is_ret_headers, &q->is_split,
	    &q->is_smtputf8, &q->has_quarantine, &q->has_envid, &q->has_auth,
	    &q->has_deliver_by};

	make_smallest(q);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		*flags[i] = draw(2);
	q->created = draw(2) ? QF_CREATED_GIVEN : QF_CREATED_MISSING;
	q->created_s = q->created == QF_CREATED_GIVEN ? 1 + draw(99999) : 0;
	q->attempted_s = draw(99999);
	q->attempts = draw(99);
	q->priority = (int64_t)draw(99999) - 50000;
	q->body = (enum mail_body)draw(3);
	q->data_directory = draw_text(0);
	q->inode = draw_text(0);
	q->status = draw_text(0);
	q->sender = draw_text(0);
	q->quarantine = q->has_quarantine ? draw_text(0) : STR("");
	q->envid = q->has_envid ? draw_text(0) : STR("");
	q->auth = q->has_auth ? STR("a+2Bb@c") : STR("");
	if (q->has_deliver_by) {
		q->deliver_mode = (uint8_t)(1 + draw(2) + draw(2) * 0x10);
		q->deliver_by_s = (int64_t)draw(9999) - 2000;
	}
	q->recipient_count = 1 + draw(LIST_MAX);
	for (size_t i = 0; i < q->recipient_count; i++)
		draw_recipient(&recipients[i]);
	q->header_count = draw(LIST_MAX + 1);
	for (size_t i = 0; i < q->header_count; i++)
		draw_header(&headers[i]);
	q->macro_count = draw(LIST_MAX);
	for (size_t i = 0; i < q->macro_count; i++)
		draw_macro(&macros[i]);
	if (draw(2)) {
		macros[q->macro_count++] =
		    (struct qf_macro){STR(QF_PRIVATE), draw_text(0)};
		q->data_file = draw_text(0);
		q->errors_to = draw_text(0);
	}
}

static void
assert_lists_equal(const struct qf *a, const struct qf *b)
{
	assert_int_equal(a->recipient_count, b->recipient_count);
	assert_int_equal(a->header_count, b->header_count);
	assert_int_equal(a->macro_count, b->macro_count);
	for (size_t i = 0; i < a->recipient_count; i++) {
		const struct qf_recipient *x = &a->recipients[i];
		const struct qf_recipient *y = &b->recipients[i];

		assert_int_equal(x->flags, y->flags);
		assert_true(str_equal(x->text, y->text));
		assert_true(str_equal(x->orcpt, y->orcpt));
		assert_true(str_equal(x->final, y->final));
		assert_true(str_equal(x->status, y->status));
		assert_true(str_equal(x->user, y->user));
	}
	for (size_t i = 0; i < a->header_count; i++) {
		assert_true(str_equal(
		    a->headers[i].condition, b->headers[i].condition));
		assert_true(str_equal(a->headers[i].text, b->headers[i].text));
	}
	for (size_t i = 0; i < a->macro_count; i++) {
		assert_true(str_equal(a->macros[i].name, b->macros[i].name));
		assert_true(str_equal(a->macros[i].value, b->macros[i].value));
	}
}

static void
assert_envelopes_equal(const struct qf *a, const struct qf *b)
{
	assert_int_equal(a->created, b->created);
	assert_true(a->created_s == b->created_s);
	assert_true(a->attempted_s == b->attempted_s);
	assert_true(a->attempts == b->attempts);
	assert_true(a->priority == b->priority);
	assert_true(str_equal(a->data_directory, b->data_directory));
	assert_true(str_equal(a->data_file, b->data_file));
	assert_true(str_equal(a->inode, b->inode));
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->has_quarantine, b->has_quarantine);
	assert_true(str_equal(a->quarantine, b->quarantine));
	assert_true(str_equal(a->status, b->status));
	assert_int_equal(a->is_warned, b->is_warned);
	assert_int_equal(a->is_response, b->is_response);
	assert_int_equal(a->has_8bit, b->has_8bit);
	assert_int_equal(a->is_bcc_deleted, b->is_bcc_deleted);
	assert_int_equal(a->has_ret, b->has_ret);
	assert_int_equal(a->is_ret_headers, b->is_ret_headers);
	assert_int_equal(a->is_split, b->is_split);
	assert_int_equal(a->is_smtputf8, b->is_smtputf8);
	assert_true(str_equal(a->sender, b->sender));
	assert_true(str_equal(a->errors_to, b->errors_to));
	assert_int_equal(a->has_envid, b->has_envid);
	assert_true(str_equal(a->envid, b->envid));
	assert_int_equal(a->has_auth, b->has_auth);
	assert_true(str_equal(a->auth, b->auth));
	assert_int_equal(a->has_deliver_by, b->has_deliver_by);
	assert_int_equal(a->deliver_mode, b->deliver_mode);
	assert_true(a->deliver_by_s == b->deliver_by_s);
	assert_lists_equal(a, b);
}

/* parse(print(x)) = x. */
static void
test_round_trip(void **state)
{
	(void)state;
	random_state = SEED;
	print_message("seed %" PRIu64 "\n", random_state);
	for (int i = 0; i < ROUNDS; i++) {
		struct qf q, again;
		struct qf_problem problem;

		arena_fini(&arena);
		buf_clear(&out);
		draw_envelope(&q);
		assert_int_equal(qf_write(&q, &out), 0);
		assert_int_equal(
		    qf_read(buf_str(&out), &arena, &again, &problem), 0);
		assert_envelopes_equal(&q, &again);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_write_smallest),
	    cmocka_unit_test(test_write_full),
	    cmocka_unit_test(test_write_line_ends),
	    cmocka_unit_test(test_write_refused),
	    cmocka_unit_test(test_write_small),
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
