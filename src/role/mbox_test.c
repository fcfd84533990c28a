/* Messages as files and programs get them; cut anywhere they are the same. */
#include "role/mbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WHEN_MS UINT64_C(1795326300123) /* 2026-11-22 05:45:00 */

static const struct {
	const char *content;
	const char *file, *program;
} cases[] = {
    {"a\r\nb\r\n", "a\nb\n\n", "a\nb\n"},
    {"a", "a\n\n", "a\n"},
    {"", "\n", ""},
    {"\r\n", "\n\n", "\n"},
    {"From x\r\nFrom\r\nFro\r\nFrom y", ">From x\nFrom\nFro\n>From y\n\n",
	"From x\nFrom\nFro\nFrom y\n"},
    {"xFrom y\r\n>From z\r\n", "xFrom y\n>From z\n\n", "xFrom y\n>From z\n"},
    {"\r\nFrom ", "\n>From \n\n", "\nFrom \n"},
    {"Fr", "Fr\n\n", "Fr\n"},
    {"FFrom x\r\nFrFrom x\r\n", "FFrom x\nFrFrom x\n\n", "FFrom x\nFrFrom x\n"},
    {"a\rb\r\rc\r\r\n\r", "a\rb\r\rc\r\n\r\n\n", "a\rb\r\rc\r\n\r\n"},
    {"From\r\r\n \r", "From\r\n \r\n\n", "From\r\n \r\n"},
    {"a\nFrom b\n", "a\n>From b\n\n", "a\nFrom b\n"},
};

static void
check(bool is_file, struct str content, size_t cut, const char *want)
{
	struct mbox mbox;
	struct buf out;
	struct str got;

	buf_init(&out, 65536);
	assert_int_equal(
	    mbox_begin(&mbox, is_file, STR("a@b.test"), WHEN_MS, &out), 0);
	buf_clear(&out);
	while (content.size > 0) {
		assert_int_equal(
		    mbox_add(&mbox, str_head(content, cut), &out), 0);
		content = str_skip(content, cut);
	}
	assert_int_equal(mbox_end(&mbox, &out), 0);
	got = buf_str(&out);
	if (!str_equal(got, str_from(want)))
		fail_msg("cut %zu: got \"%.*s\", wanted \"%s\"", cut,
		    STR_ARG(got), want);
	buf_fini(&out);
}

static void
test_content(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t cut = 1; cut <= strlen(cases[i].content) + 1;
		     cut++) {
			struct str content = str_from(cases[i].content);

			check(true, content, cut, cases[i].file);
			check(false, content, cut, cases[i].program);
		}
}

static void
test_first_lines(void **state)
{
	struct mbox mbox;
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(
	    mbox_begin(&mbox, true, STR("a@b.test"), WHEN_MS, &out), 0);
	assert_true(str_equal(
	    buf_str(&out), STR("From a@b.test Sun Nov 22 05:45:00 2026\n"
			       "Return-Path: <a@b.test>\n")));
	buf_clear(&out);
	assert_int_equal(mbox_begin(&mbox, true, STR(""), 0, &out), 0);
	assert_true(str_equal(
	    buf_str(&out), STR("From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
			       "Return-Path: <>\n")));
	buf_clear(&out);
	assert_int_equal(
	    mbox_begin(&mbox, false, STR(""), UINT64_MAX, &out), 0);
	assert_true(str_equal(buf_str(&out),
	    STR("From MAILER-DAEMON Fri Dec 31 23:59:59 9999\n")));
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_first_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
