/* The envelope's encoding: what is put is what is got, and nothing else is. */
#include "mail/envelope.h"
#include "mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char long_text[1000];

static const struct mail_envelope full = {
    .sender = STR("a@b.c"),
    .envid = STR("id+2B"),
    .auth = STR("<>"),
    .body = MAIL_BODY_8BITMIME,
    .ret = MAIL_RET_HDRS,
    .is_smtputf8 = true,
    .priority = -9,
};

static void
assert_envelopes_equal(
    const struct mail_envelope *a, const struct mail_envelope *b)
{
	assert_true(str_equal(a->sender, b->sender));
	assert_true(str_equal(a->envid, b->envid));
	assert_true(str_equal(a->auth, b->auth));
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->ret, b->ret);
	assert_int_equal(a->is_smtputf8, b->is_smtputf8);
	assert_int_equal(a->priority, b->priority);
}

static void
test_envelope_comes_back(void **state)
{
	struct mail_envelope empty = {
	    .sender = STR(""), .envid = STR(""), .auth = STR("")};
	struct mail_envelope large = full;
	const struct mail_envelope *cases[] = {&full, &empty, &large};

	(void)state;
	large.sender = str_of(long_text, MAIL_ADDRESS_MAX);
	large.envid = str_of(long_text, MAIL_ENVID_MAX);
	large.auth = str_of(long_text, MAIL_AUTH_MAX);
	large.priority = 9;
	for (size_t i = 0; i < 3; i++) {
		struct buf frame;
		struct wire_writer w = {.out = &frame};
		struct wire_reader r;
		struct mail_envelope got;

		buf_init(&frame, 2000);
		mail_envelope_put(&w, cases[i]);
		assert_false(w.is_bad);
		r = (struct wire_reader){.in = buf_str(&frame)};
		mail_envelope_get(&r, &got);
		assert_true(wire_is_whole(&r));
		assert_envelopes_equal(&got, cases[i]);
		buf_fini(&frame);
	}
}

/* Each byte that can be out of range is changed: the reader is spoilt. */
static void
test_envelope_out_of_range(void **state)
{
	static const struct {
		size_t from_end;
		char good;
		char bad;
	} cases[] = {
	    {4, MAIL_BODY_8BITMIME, MAIL_BODY_8BITMIME + 1},
	    {3, MAIL_RET_HDRS, MAIL_RET_HDRS + 1},
	    {2, 1, 2},
	    {1, 18, 19},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int is_bad = 0; is_bad < 2; is_bad++) {
			struct buf frame;
			struct wire_writer w = {.out = &frame};
			struct wire_reader r;
			struct mail_envelope got;

			buf_init(&frame, 2000);
			mail_envelope_put(&w, &full);
			frame.data[frame.end - cases[i].from_end] =
			    is_bad ? cases[i].bad : cases[i].good;
			r = (struct wire_reader){.in = buf_str(&frame)};
			mail_envelope_get(&r, &got);
			assert_int_equal(wire_is_whole(&r), !is_bad);
			buf_fini(&frame);
		}
}

/* One byte more than each string may have. */
static void
test_strings_too_long(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct mail_envelope e = full, e_got;
		struct mail_recipient to = {.address = STR("a@b"),
					  .orcpt = STR("")},
				      to_got;
		struct buf frame;
		struct wire_writer w = {.out = &frame};
		struct wire_reader r;

		if (i == 0)
			e.sender = str_of(long_text, MAIL_ADDRESS_MAX + 1);
		if (i == 1)
			e.envid = str_of(long_text, MAIL_ENVID_MAX + 1);
		if (i == 2)
			e.auth = str_of(long_text, MAIL_AUTH_MAX + 1);
		if (i == 3)
			to.address = str_of(long_text, MAIL_ADDRESS_MAX + 1);
		if (i == 4)
			to.orcpt = str_of(long_text, MAIL_ORCPT_MAX + 1);
		buf_init(&frame, 4000);
		mail_envelope_put(&w, &e);
		mail_recipient_put(&w, &to);
		assert_false(w.is_bad);
		r = (struct wire_reader){.in = buf_str(&frame)};
		mail_envelope_get(&r, &e_got);
		assert_int_equal(r.is_bad, i < 3);
		mail_recipient_get(&r, &to_got);
		assert_true(r.is_bad);
		buf_fini(&frame);
	}
}

static void
test_recipients(void **state)
{
	static const struct {
		struct mail_recipient recipient;
		bool is_good;
	} cases[] = {
	    {{.address = STR("a@b"), .orcpt = STR("rfc822;x"), .notify = 15},
		true},
	    {{.address = STR("Postmaster"), .orcpt = STR("")}, true},
	    {{.address = STR(""), .orcpt = STR("")}, false},
	    {{.address = STR("a@b"), .orcpt = STR(""), .notify = 32}, false},
	    {{.address = STR("a@b"),
		 .orcpt = STR(""),
		 .notify = MAIL_NOTIFY_DELAY,
		 .is_expanded = true},
		true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mail_recipient *put = &cases[i].recipient;
		struct mail_recipient got;
		struct buf frame;
		struct wire_writer w = {.out = &frame};
		struct wire_reader r;

		buf_init(&frame, 1000);
		mail_recipient_put(&w, put);
		r = (struct wire_reader){.in = buf_str(&frame)};
		mail_recipient_get(&r, &got);
		assert_int_equal(wire_is_whole(&r), cases[i].is_good);
		if (cases[i].is_good) {
			assert_true(str_equal(got.address, put->address));
			assert_true(str_equal(got.orcpt, put->orcpt));
			assert_int_equal(got.notify, put->notify);
			assert_int_equal(got.is_expanded, put->is_expanded);
		}
		buf_fini(&frame);
	}
}

/* Every cut of a frame is noticed, and nothing past its end is read. */
static void
test_cut_frames(void **state)
{
	struct mail_recipient to = {.address = STR("a@b"), .orcpt = STR("x;y")};
	struct buf frame;
	struct wire_writer w = {.out = &frame};

	(void)state;
	buf_init(&frame, 1000);
	mail_envelope_put(&w, &full);
	mail_recipient_put(&w, &to);
	for (size_t size = 0; size < buf_size(&frame); size++) {
		char *copy = malloc(size > 0 ? size : 1);
		struct wire_reader r = {.in = str_of(copy, size)};
		struct mail_envelope e_got;
		struct mail_recipient to_got;

		assert_non_null(copy);
		memcpy(copy, frame.data, size);
		mail_envelope_get(&r, &e_got);
		mail_recipient_get(&r, &to_got);
		assert_false(wire_is_whole(&r));
		free(copy);
	}
	buf_fini(&frame);
}

static void
test_copies(void **state)
{
	char text[] = "a@b";
	struct mail_envelope from = full, to;
	struct mail_recipient r_from = {.notify = 3}, r_to;
	struct arena a;

	(void)state;
	from.sender = str_of(text, 3);
	r_from.address = r_from.orcpt = from.sender;
	arena_init(&a, 4096);
	assert_int_equal(mail_envelope_copy(&a, &from, &to), 0);
	assert_int_equal(mail_recipient_copy(&a, &r_from, &r_to), 0);
	memset(text, '?', 3);
	from.sender = STR("a@b");
	assert_envelopes_equal(&from, &to);
	assert_true(str_equal(r_to.address, STR("a@b")));
	assert_true(str_equal(r_to.orcpt, STR("a@b")));
	assert_int_equal(r_to.notify, 3);
	arena_fini(&a);
	arena_init(&a, 1);
	assert_true(mail_envelope_copy(&a, &from, &to) < 0);
	assert_true(mail_recipient_copy(&a, &r_from, &r_to) < 0);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_envelope_comes_back),
	    cmocka_unit_test(test_envelope_out_of_range),
	    cmocka_unit_test(test_strings_too_long),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_cut_frames),
	    cmocka_unit_test(test_copies),
	};

	memset(long_text, 'x', sizeof(long_text));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
