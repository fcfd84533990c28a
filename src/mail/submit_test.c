/* Messages handed in: what becomes of their headers, who gets them. */
#include "mail/submit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define FROM     "From: Al Ice <alice@h.test>\r\n"
#define DATE     "Date: Sat, 21 Nov 2026 21:13:57 +0000\r\n"
#define MID      "Message-ID: <19aa826e1c8.00000000feedbeef@h.test>\r\n"
#define WALL     UINT64_C(1795295637000)
#define MID_REAL "Message-ID: <1a1fff56e08.00000000feedbeef@h.test>\r\n"

struct header_case {
	const char *flags; /* "t" taking, "g" gateway, "n" null sender */
	const char *in;
	const char *out;
	const char *recipients; /* "a@b " each; "!text(reason) " for problems */
};

static const struct header_case header_cases[] = {
    {"", "", FROM DATE MID_REAL, ""},
    {"g", "", "", ""},
    {"g", "X:y\r\nBcc: a\r\n", "X:y\r\nBcc: a\r\n", ""},
    {"gt", "To:a\r\nBcc: b\r\nReturn-Path: <x>\r\n",
	"To:a\r\nReturn-Path: <x>\r\n", "a@h.test b@h.test "},
    {"",
	"Subject:x\r\nTo : bob\r\nFROM:c@d\r\nDate: x\r\nMessage-Id: <1@2>\r\n",
	"Subject: x\r\nTo: bob@h.test\r\nFROM: c@d\r\nDate: x\r\n"
	"Message-Id: <1@2>\r\n",
	""},
    {"t",
	"To: Bob <bob@d.test>, carol\r\nCc: g: d@e, (x) f;\r\n"
	"bcc: z@d.test,\r\n y@d.test\r\nFrom: a@b\r\nDate: x\r\n"
	"Message-Id: <1@2>\r\n",
	"To: Bob <bob@d.test>, carol@h.test\r\nCc: g: d@e, (x) f@h.test;\r\n"
	"From: a@b\r\nDate: x\r\nMessage-Id: <1@2>\r\n",
	"bob@d.test carol@h.test d@e f@h.test z@d.test y@d.test "},
    {"t", "To: a@b.test, A@B.test, a@B.TEST\r\n" FROM DATE MID,
	"To: a@b.test, A@B.test, a@B.TEST\r\n" FROM DATE MID,
	"a@b.test A@B.test "},
    {"t", "To: bad@@x, ok@y <z\r\n" FROM DATE MID,
	"To: bad@@x, ok@y <z\r\n" FROM DATE MID,
	"!bad@@x(Invalid route address) !ok@y <z(Unbalanced '<') "},
    {"t", "To: |/bin/x, \"|/bin/x y\", /a/b, /a=b/@c, a\r\n" FROM DATE MID,
	"To: |/bin/x@h.test, \"|/bin/x y\"@h.test, /a/b@h.test, /a=b/@c, "
	"a@h.test\r\n" FROM DATE MID,
	"/a=b/@c a@h.test "
	"!|/bin/x(Cannot mail directly to programs) "
	"!\"|/bin/x y\"(Cannot mail directly to programs) "
	"!/a/b(Cannot mail directly to files) "},
    {"t", "To: \"|/bin/x\"@c, \"/a\"@c, |a@c\r\n" FROM DATE MID,
	"To: \"|/bin/x\"@c, \"/a\"@c, |a@c\r\n" FROM DATE MID,
	"\"|/bin/x\"@c \"/a\"@c !|a@c(Cannot mail directly to programs) "},
    {"t", "To: :include:/a/b\r\n" FROM DATE MID,
	"To: :include:/a/b@h.test\r\n" FROM DATE MID,
	"!:include:/a/b(Cannot mail directly to :include:s) "},
    {"t", "Apparently-To: a, b@c\r\n" FROM DATE MID,
	"Apparently-To: a@h.test, b@c\r\n" FROM DATE MID, "a@h.test b@c "},
    {"", "From:\r\nX:\r\nDate: \t\r\nMessage-Id:\r\n \r\n",
	"X:\r\n" FROM DATE MID_REAL, ""},
    {"g", "From:\r\nDate:\r\n", "From:\r\nDate:\r\n", ""},
    {"t", "To: a@b\r\nResent-To: c@d\r\nResent-Bcc: e@f\r\n" FROM DATE MID,
	"Resent-" FROM "Resent-" DATE "Resent-" MID_REAL
	"To: a@b\r\nResent-To: c@d\r\n" FROM DATE MID,
	"c@d e@f "},
    {"t", FROM DATE MID, FROM DATE MID, ""},
    {"n", DATE MID,
	DATE MID "From: Mail Delivery System <MAILER-DAEMON@h.test>\r\n", ""},
    {"", "To: John Smith, \"x y\", <me>\r\n" FROM DATE MID,
	"To: John Smith, \"x y\"@h.test, <me@h.test>\r\n" FROM DATE MID, ""},
    {"", "Return-Path: <x>\r\nFull-Name: y\r\nBcc: z\r\n" FROM DATE MID,
	FROM DATE MID, ""},
    {"", "X:\r\n folded\r\n" FROM DATE MID, "X:\r\n folded\r\n" FROM DATE MID,
	""},
};

static void
header_check(const struct header_case *c)
{
	struct submit_header h = {
	    .hostname = STR("h.test"),
	    .sender =
		str_from(strchr(c->flags, 'n') != NULL ? "" : "alice@h.test"),
	    .full_name = STR("Al Ice"),
	    .wall_ms = WALL,
	    .random = 0xfeedbeef,
	    .is_gateway = strchr(c->flags, 'g') != NULL,
	    .is_taking_recipients = strchr(c->flags, 't') != NULL,
	};
	struct submit_rcpts r;
	struct buf out, found;
	uint64_t received;

	buf_init(&out, 10000);
	buf_init(&found, 10000);
	submit_rcpts_init(&r, h.hostname);
	assert_int_equal(
	    submit_header_put(&h, str_from(c->in), &r, &out, &received), 0);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(
		    buf_printf(&found, "%.*s ", STR_ARG(r.list[i])), 0);
	for (size_t i = 0; i < r.problem_count; i++)
		assert_int_equal(
		    buf_printf(&found, "!%.*s(%s) ",
			STR_ARG(r.problems[i].text), r.problems[i].reason),
		    0);
	if (!str_equal(buf_str(&out), str_from(c->out)))
		print_error(
		    "got %.*s\nwant %s", STR_ARG(buf_str(&out)), c->out);
	assert_true(str_equal(buf_str(&out), str_from(c->out)));
	if (!str_equal(buf_str(&found), str_from(c->recipients)))
		print_error("got %.*s\nwant %s", STR_ARG(buf_str(&found)),
		    c->recipients);
	assert_true(str_equal(buf_str(&found), str_from(c->recipients)));
	submit_rcpts_fini(&r);
	buf_fini(&out);
	buf_fini(&found);
}

static void
test_headers(void **state)
{
	for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]);
	     i++)
		header_check(&header_cases[i]);
}

static void
test_names(void **state)
{
	static const struct {
		const char *name, *from;
	} cases[] = {
	    {"", "From: a@b\r\n"},
	    {" \t", "From: a@b\r\n"},
	    {"Al Ice", "From: Al Ice <a@b>\r\n"},
	    {"A. \"B\" \\C", "From: \"A. \\\"B\\\" \\\\C\" <a@b>\r\n"},
	    {"x\r\nBcc: y", "From: \"x  Bcc: y\" <a@b>\r\n"},
	    {"J\xc3\xb6rg (x)",
		"From: =?utf-8?Q?J=C3=B6rg_=28x=29?= <a@b>\r\n"},
	    {"aaaaaaaaaaaaa\xc3\xb6"
	     "b",
		"From: =?utf-8?Q?aaaaaaaaaaaaa?=\r\n =?utf-8?Q?=C3=B6b?= "
		"<a@b>\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct submit_header h = {
		    .hostname = STR("h"),
		    .sender = STR("a@b"),
		    .full_name = str_from(cases[i].name),
		};
		struct submit_rcpts r;
		struct buf out;
		uint64_t received;

		buf_init(&out, 10000);
		submit_rcpts_init(&r, h.hostname);
		assert_int_equal(submit_header_put(&h,
				     STR("Date: x\r\nReceived: 1\r\n"
					 "Message-ID: y\r\nreceived: 2\r\n"),
				     &r, &out, &received),
		    0);
		assert_int_equal(received, 2);
		assert_int_equal(buf_append(&out, STR("\0")), 0);
		assert_string_equal(
		    strstr(buf_str(&out).data, "From:"), cases[i].from);
		submit_rcpts_fini(&r);
		buf_fini(&out);
	}
}

static void
test_senders(void **state)
{
	static const struct {
		const char *text, *address; /* NULL: refused */
	} cases[] = {
	    {"", ""},
	    {"<>", ""},
	    {" ", ""},
	    {"alice", "alice@h.test"},
	    {"<alice>", "alice@h.test"},
	    {"a@b", "a@b"},
	    {"Alice <a@b> (x)", "a@b"},
	    {"a@b, c@d", NULL},
	    {"a b", NULL},
	    {"a@@b", NULL},
	    {"a@b\r\nX", NULL},
	    {"(x)", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char address[MAIL_ADDRESS_MAX + 1];
		int error = submit_sender_parse(
		    str_from(cases[i].text), STR("h.test"), address);

		assert_int_equal(error, cases[i].address ? 0 : -EINVAL);
		if (cases[i].address != NULL)
			assert_string_equal(address, cases[i].address);
	}
}

/* As many recipients as there may be, and one more; repeated ones count once.
 */
static void
test_limits(void **state)
{
	struct submit_rcpts r;
	char text[40];

	submit_rcpts_init(&r, STR("h"));
	for (int i = 0; i < SUBMIT_RECIPIENTS_MAX; i++) {
		snprintf(text, sizeof(text), "r%d", i);
		assert_int_equal(submit_rcpts_add(&r, str_from(text)), 0);
	}
	assert_int_equal(submit_rcpts_add(&r, STR("r0, r1@H")), 0);
	assert_int_equal(submit_rcpts_add(&r, STR("x")), -E2BIG);
	assert_int_equal(r.count, SUBMIT_RECIPIENTS_MAX);
	submit_rcpts_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_headers),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_senders),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
