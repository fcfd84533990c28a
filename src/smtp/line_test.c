/* The line reader: the same lines however the input is cut. */
#include "smtp/line.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LINE_MAX_TEST 8

/* OUT: "[line]" for a whole line, "!" for one that is too long. */
struct line_case {
	enum smtp_line_mode mode;
	struct str in;
	const char *out;
};

#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

static const struct line_case line_cases[] = {
    {SMTP_LINE_LF, TEXT(""), ""},
    {SMTP_LINE_LF, TEXT("ab"), ""},
    {SMTP_LINE_LF, TEXT("ab\r\ncd\nef"), "[ab][cd]"},
    {SMTP_LINE_LF, TEXT("\r\n\n\r\n"), "[][][]"},
    {SMTP_LINE_LF, TEXT("a\rb\r\r\n"), "[a\rb\r]"},
    {SMTP_LINE_LF, TEXT("\r"), ""},
    {SMTP_LINE_LF, TEXT("123456\r\n1234567\r\nab\r\n"), "[123456]![ab]"},
    {SMTP_LINE_LF, TEXT("1234567\n12345678\nab\n"), "[1234567]![ab]"},
    {SMTP_LINE_LF, TEXT("0123456789012345678901234567890\r\na\n"), "![a]"},
    {SMTP_LINE_LF, TEXT("012345678\r\r\n\r\n"), "![]"},
    {SMTP_LINE_CRLF, TEXT("ab\r\ncd\nef\r\n"), "[ab][cd\nef]"},
    {SMTP_LINE_CRLF, TEXT("\n\r\r\n\r\n"), "[\n\r][]"},
    {SMTP_LINE_CRLF, TEXT("\n\n\n"), ""},
    {SMTP_LINE_CRLF, TEXT("123456\r\n1234567\r\nab\r\n"), "[123456]![ab]"},
    {SMTP_LINE_CRLF, TEXT("1234567\n89\r\nab\r\n"), "![ab]"},
    {SMTP_LINE_CRLF, TEXT("12345678\r\n\r\n"), "![]"},
    {SMTP_LINE_CRLF, TEXT("1234567\r8\r\n\r\n"), "![]"},
};

static void
run_line_case(const struct line_case *c, unsigned cut)
{
	struct str rest = c->in, line;
	struct smtp_line l;
	unsigned seed = cut;
	struct buf out;

	buf_init(&out, 1000);
	smtp_line_init(&l, c->mode, LINE_MAX_TEST);
	while (rest.size > 0) {
		size_t size = cut == 0   ? rest.size
		              : cut == 1 ? 1
		                         : 1 + (size_t)rand_r(&seed) % 5;
		struct str piece = str_head(rest, size);

		rest = str_skip(rest, size);
		while (piece.size > 0) {
			switch (smtp_line_read(&l, &piece, &line)) {
			case SMTP_LINE_MORE:
				assert_int_equal(piece.size, 0);
				break;
			case SMTP_LINE_WHOLE:
				assert_int_equal(
				    buf_printf(&out, "[%.*s]", STR_ARG(line)),
				    0);
				break;
			case SMTP_LINE_TOO_LONG:
				assert_int_equal(line.size, LINE_MAX_TEST);
				assert_int_equal(buf_append(&out, STR("!")), 0);
				break;
			}
		}
	}
	if (!str_equal(buf_str(&out), str_from(c->out))) {
		print_error("case %zu, cut %u: %.*s\n",
		    (size_t)(c - line_cases), cut, STR_ARG(buf_str(&out)));
		fail();
	}
	buf_fini(&out);
	smtp_line_fini(&l);
}

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++)
		for (unsigned cut = 0; cut < 20; cut++)
			run_line_case(&line_cases[i], cut);
}

/* A line stays when the input it came in is gone. */
static void
test_line_outlives_its_input(void **state)
{
	char bytes[] = "abc\r\nxyz";
	struct str in = str_of(bytes, sizeof(bytes) - 1), line;
	struct smtp_line l;

	(void)state;
	smtp_line_init(&l, SMTP_LINE_LF, LINE_MAX_TEST);
	assert_int_equal(smtp_line_read(&l, &in, &line), SMTP_LINE_WHOLE);
	memset(bytes, '?', sizeof(bytes));
	assert_true(str_equal(line, STR("abc")));
	assert_int_equal(in.size, 3);
	smtp_line_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_line_outlives_its_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
