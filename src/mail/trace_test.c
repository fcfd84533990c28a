/* The Received field: its form, and what a client cannot do to it. */
#include "mail/trace.h"
#include "mail/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define DATE "Sat, 21 Nov 2026 21:13:57 +0000\r\n"
#define BY   "\tby mx.test with ESMTP id 1A"

struct trace_case {
	struct str helo;
	const char *peer;
	const char *for_address;
	const char *out;
};

static const struct trace_case trace_cases[] = {
    {STR("c.test"), "192.0.2.1", "",
	"Received: from c.test ([192.0.2.1])\r\n" BY ";\r\n\t" DATE},
    {STR("[127.0.0.1]"), "2001:db8::1", "a@b.c",
	"Received: from [127.0.0.1] ([IPv6:2001:db8::1])\r\n" BY
	"\r\n\tfor <a@b.c>;\r\n\t" DATE},
    {STR(""), "192.0.2.1", "",
	"Received: from unknown ([192.0.2.1])\r\n" BY ";\r\n\t" DATE},
    {STR("a(b;c)\r\nX: \\\"<\0\xc3>"), "192.0.2.1", "",
	"Received: from a?b?c???X:??????? ([192.0.2.1])\r\n" BY ";\r\n\t" DATE},
};

static struct mail_trace
trace_of(const struct trace_case *c)
{
	return (struct mail_trace){
	    .helo = c->helo,
	    .peer = str_from(c->peer),
	    .hostname = STR("mx.test"),
	    .with = STR("ESMTP"),
	    .id = STR("1A"),
	    .for_address = str_from(c->for_address),
	    .wall_ms = 1795295637999,
	};
}

static void
test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trace_cases) / sizeof(trace_cases[0]);
	     i++) {
		struct mail_trace trace = trace_of(&trace_cases[i]);
		struct buf out;

		buf_init(&out, 2000);
		assert_int_equal(mail_trace_put(&out, &trace), 0);
		if (!str_equal(buf_str(&out), str_from(trace_cases[i].out))) {
			print_error("%.*s", STR_ARG(buf_str(&out)));
			fail();
		}
		buf_fini(&out);
	}
}

/* The largest field has lines that any server takes (RFC 5322 2.1.1). */
static void
test_largest_field(void **state)
{
	static char text[2000];
	struct mail_trace trace = trace_of(&trace_cases[1]);
	struct buf out;
	struct str rest;

	(void)state;
	memset(text, 'x', sizeof(text));
	trace.helo = str_of(text, sizeof(text));
	trace.peer = str_of(text, sizeof(text));
	trace.hostname = str_of(text, MAIL_DOMAIN_MAX);
	trace.for_address = str_of(text, MAIL_ADDRESS_MAX);
	buf_init(&out, 4000);
	assert_int_equal(mail_trace_put(&out, &trace), 0);
	for (rest = buf_str(&out); rest.size > 0;) {
		size_t end = str_find(rest, '\n');

		assert_true(end < 998);
		rest = str_skip(rest, end + 1);
	}
	buf_fini(&out);
}

static void
test_no_room(void **state)
{
	struct mail_trace trace = trace_of(&trace_cases[0]);
	struct buf out;

	(void)state;
	buf_init(&out, 50);
	assert_int_equal(mail_trace_put(&out, &trace), -ENOBUFS);
	assert_int_equal(buf_size(&out), 0);
	buf_fini(&out);
}

/* A user of this host has no address. */
static void
test_user(void **state)
{
	struct mail_trace trace = trace_of(&trace_cases[0]);
	struct buf out;

	trace.peer = STR("");
	trace.has_uid = true;
	trace.uid = UINT32_MAX;
	buf_init(&out, 2000);
	assert_int_equal(mail_trace_put(&out, &trace), 0);
	assert_true(str_equal(
	    buf_str(&out), STR("Received: from c.test (uid 4294967295)\r\n" BY
			       ";\r\n\t" DATE)));
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_largest_field),
	    cmocka_unit_test(test_no_room),
	    cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
