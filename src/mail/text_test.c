/* Messages as programs hand them in: whole, by byte, cut at random. */
#include "mail/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

struct text_case {
	struct str in;
	bool is_dot_ordinary;
	const char *out; /* from | header | body | 8 for 8-bit */
};

static const struct text_case text_cases[] = {
    {TEXT(""), false, "|||"},
    {TEXT("\n"), false, "|||"},
    {TEXT("A: b\n\nc\n"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b\r\n\r\nc\r\n"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b\r\rc\r"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b\rX:\r \r \rd"), false, "|A: b\r\nX:\r\n| \r\n \r\nd\r\n|"},
    {TEXT("A: b\n\nc"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b"), false, "|A: b\r\n||"},
    {TEXT("A: b\n c\n\td\nE:\n\nf\n"), false,
	"|A: b\r\n c\r\n\td\r\nE:\r\n|f\r\n|"},
    {TEXT("no header\nA: b\n"), false, "||no header\r\nA: b\r\n|"},
    {TEXT(" A: b\n"), false, "|| A: b\r\n|"},
    {TEXT("\nA: b\n"), false, "||A: b\r\n|"},
    {TEXT("A: b\nno field\n\nx\n"), false, "|A: b\r\n|no field\r\n\r\nx\r\n|"},
    {TEXT("A : b\n:c\n"), false, "|A : b\r\n|:c\r\n|"},
    {TEXT("From a Sat Nov 21\nA: b\nFrom c\n"), false,
	"From a Sat Nov 21\r\n|A: b\r\n|From c\r\n|"},
    {TEXT("From a\n>From b\nA: b\n\n>From c\n"), false,
	"From a\r\n>From b\r\n|A: b\r\n|>From c\r\n|"},
    {TEXT("A: b\n\nc\n.\nd\n"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b\n\nc\n.\nd\n"), true, "|A: b\r\n|c\r\n.\r\nd\r\n|"},
    {TEXT("A: b\n\nc\n."), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: b\n\nc\n."), true, "|A: b\r\n|c\r\n.\r\n|"},
    {TEXT("A: b\n\n..\n.a\n.\r\nx"), false, "|A: b\r\n|.\r\n.a\r\n|"},
    {TEXT("A: b\n\n...\n..a.\na..\n.a."), false,
	"|A: b\r\n|..\r\n.a.\r\na..\r\n.a.\r\n|"},
    {TEXT("A: b\n\n..\n...\n..a\n"), true, "|A: b\r\n|..\r\n...\r\n..a\r\n|"},
    {TEXT("..a\n..b\n"), false, "||.a\r\n.b\r\n|"},
    {TEXT("..a\n..b\n"), true, "||..a\r\n..b\r\n|"},
    {TEXT("A: b\n.\nC: d\n"), false, "|A: b\r\n||"},
    {TEXT("A: b\n.\nC: d\n"), true, "|A: b\r\n|.\r\nC: d\r\n|"},
    {TEXT("A: b\r\r\n\r\r\r\nc\r\r\nd\r.\r"), false, "|A: b\r\n|c\r\nd\r\n|"},
    {TEXT("A: \0b\0\n\nc\0d\n\0.\n"), false, "|A: b\r\n|cd\r\n|"},
    {TEXT("A: b\r\0\n\r\0c\n"), false, "|A: b\r\n|c\r\n|"},
    {TEXT("A: \xe4\n\nc\n"), false, "|A: \xe4\r\n|c\r\n|H"},
    {TEXT("A: b\n\n\xe4\n"), false, "|A: b\r\n|\xe4\r\n|B"},
    {TEXT("\xe4\n"), false, "||\xe4\r\n|B"},
    {TEXT("A: b\n\n\n\nc\n"), false, "|A: b\r\n|\r\n\r\nc\r\n|"},
};

static void
text_read(
    const struct text_case *c, size_t step, unsigned seed, struct buf *found)
{
	struct mail_text t;
	struct buf body;
	struct str in = c->in;

	buf_init(found, 4000);
	buf_init(&body, 2000);
	mail_text_init(&t, c->is_dot_ordinary);
	while (in.size > 0) {
		size_t n = step;

		if (seed != 0) {
			seed = seed * 1103515245 + 12345;
			n = 1 + (seed >> 16) % 5;
		}
		assert_int_equal(mail_text_feed(&t, str_head(in, n), &body), 0);
		in = str_skip(in, n);
	}
	assert_int_equal(mail_text_end(&t, &body), 0);
	assert_int_equal(buf_append(found, buf_str(&t.from)), 0);
	assert_int_equal(buf_append(found, STR("|")), 0);
	assert_int_equal(buf_append(found, buf_str(&t.header)), 0);
	assert_int_equal(buf_append(found, STR("|")), 0);
	assert_int_equal(buf_append(found, buf_str(&body)), 0);
	assert_int_equal(
	    buf_printf(found, "|%s%s", t.has_8bit_header ? "H" : "",
		t.has_8bit_body ? "B" : ""),
	    0);
	mail_text_fini(&t);
	buf_fini(&body);
}

static void
text_check(const struct text_case *c, size_t step, unsigned seed)
{
	struct buf found;

	text_read(c, step, seed, &found);
	if (!str_equal(buf_str(&found), str_from(c->out)))
		print_error("step %zu: %.*s\n   want %s\n", step,
		    STR_ARG(buf_str(&found)), c->out);
	assert_true(str_equal(buf_str(&found), str_from(c->out)));
	buf_fini(&found);
}

static void
test_texts(void **state)
{
	for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]);
	     i++) {
		text_check(&text_cases[i], 1000, 0);
		text_check(&text_cases[i], 1, 0);
		for (unsigned seed = 1; seed < 20; seed++)
			text_check(&text_cases[i], 0, seed);
	}
}

/* A header at its maximum is taken, one line more is not. */
static void
test_limits(void **state)
{
	static char line[1 << 10];
	struct mail_text t;
	struct buf body;
	size_t count = MAIL_TEXT_HEADER_MAX / (sizeof(line) + 1);

	memset(line, 'x', sizeof(line));
	memcpy(line, "X: ", 3);
	line[sizeof(line) - 1] = '\n';
	buf_init(&body, 100);
	mail_text_init(&t, false);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(
		    mail_text_feed(&t, str_of(line, sizeof(line)), &body), 0);
	assert_int_equal(
	    mail_text_feed(&t, str_of(line, sizeof(line)), &body), -EMSGSIZE);
	mail_text_fini(&t);
	mail_text_init(&t, false);
	assert_int_equal(mail_text_feed(&t, STR("\n"), &body), 0);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(mail_text_feed(&t, STR("x"), &body), 0);
	assert_int_equal(mail_text_feed(&t, STR("x"), &body), -ENOBUFS);
	mail_text_fini(&t);
	buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
