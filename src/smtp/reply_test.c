/* Replies: one line each, whatever text is given. */
#include "smtp/reply.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct reply_case {
	int code;
	const char *enhanced;
	const char *text;
	const char *out;
};

static const struct reply_case reply_cases[] = {
    {250, "2.1.5", "text", "250 2.1.5 text\r\n"},
    {220, "", "mx.test ESMTP", "220 mx.test ESMTP\r\n"},
    {354, "", "", "354\r\n"},
    {559, "5.111.222", "", "559 5.111.222\r\n"},
    {550, "5.0.0", "a\r\n250 ok\tx\x7f\xc3\xa4%s",
	"550 5.0.0 a??250 ok?x???%s\r\n"},
};

static void
test_replies(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(reply_cases) / sizeof(reply_cases[0]);
	     i++) {
		const struct reply_case *c = &reply_cases[i];
		struct smtp_reply reply =
		    smtp_reply_make(c->code, c->enhanced, "%s", c->text);

		assert_int_equal(smtp_reply_put(&out, &reply), 0);
		assert_true(str_equal(buf_str(&out), str_from(c->out)));
		buf_clear(&out);
	}
	buf_fini(&out);
}

static void
test_long_text_is_cut(void **state)
{
	char text[2 * SMTP_REPLY_TEXT_MAX];
	struct smtp_reply reply;
	struct buf out;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	reply = smtp_reply_make(250, "2.0.0", "%s", text);
	assert_int_equal(strlen(reply.text), SMTP_REPLY_TEXT_MAX - 1);
	/* RFC 5321 4.5.3.1.5: a line of 512 bytes with its CRLF. */
	buf_init(&out, 512);
	assert_int_equal(smtp_reply_put(&out, &reply), 0);
	assert_int_equal(smtp_reply_put(&out, &reply), -ENOBUFS);
	assert_int_equal(buf_size(&out), 10 + SMTP_REPLY_TEXT_MAX - 1 + 2);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_long_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
