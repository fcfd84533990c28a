/* What S and R lines address. */
#include "store/mqueue/qf.h"
#include "mail/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* Texts of mail, and the bare address. */
static void
test_mail(void **state)
{
	static const struct {
		const char *text;
		const char *bare;
		bool has_domain;
	} cases[] = {
	    {"a@b", "a@b", true},
	    {"<a@b>", "a@b", true},
	    {" <a@b> ", "a@b", true},
	    {"< a@b >", "a@b", true},
	    {"Name <a@b>", "a@b", true},
	    {"First Last <a@b>", "a@b", true},
	    {"\"Last, First\" <a@b>", "a@b", true},
	    {"\"<x@y>\" <a@b>", "a@b", true},
	    {"A \\\"B\\\" <a@b>", "a@b", true},
	    {"c@d <a@b>", "a@b", true},
	    {"<a@b> (Name)", "a@b", true},
	    {"<a@b> Name", "a@b", true},
	    {"a@b (John Adams)", "a@b", true},
	    {"(John (Q.) Adams) a@b", "a@b", true},
	    {"a(x)@(\\))b", "a@b", true},
	    {"a @ b . c", "a@b.c", true},
	    {"a.b@c.d", "a.b@c.d", true},
	    {"\"a b\"@c", "\"a b\"@c", true},
	    {"\"a\\\"@\"@c", "\"a\\\"@\"@c", true},
	    {"a\\@b@c", "a\\@b@c", true},
	    {"<@x,@y:a@b>", "a@b", true},
	    {"<@x:a@b>", "a@b", true},
	    {"a@[192.0.2.1]", "a@[192.0.2.1]", true},
	    {"a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", true},
	    {"a@b.", "a@b", true},
	    {"<c@d.test.>", "c@d.test", true},
	    {"a@under_score.test", "a@under_score.test", true},
	    {"a/b@c", "a/b@c", true},
	    {"/G=a/S=b/@gw.test", "/G=a/S=b/@gw.test", true},
	    {"a%b@c", "a%b@c", true},
	    {"hosta!hostb!fred", "hosta!hostb!fred", false},
	    {"root", "root", false},
	    {"MAILER-DAEMON", "MAILER-DAEMON", false},
	    {"<Postmaster>", "Postmaster", false},
	    {"\xC3\xFF\x96@b", "\xC3\x96@b", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf_address a;

		assert_int_equal(
		    qf_address(str_from(cases[i].text), &arena, &a), 0);
		if (a.kind != QF_ADDRESS_MAIL ||
		    !str_equal(a.bare, str_from(cases[i].bare)))
			print_error("%s: kind %d, \"%.*s\"\n", cases[i].text,
			    a.kind, STR_ARG(a.bare));
		assert_int_equal(a.kind, QF_ADDRESS_MAIL);
		assert_true(str_equal(a.bare, str_from(cases[i].bare)));
		assert_int_equal(a.has_domain, cases[i].has_domain);
		assert_false(a.is_oversize);
	}
}

/* What bounces: its text is kept. */
static void
test_bad(void **state)
{
	static const char *const cases[] = {"bob@@dest..test <", "a@b@c", "a@",
	    "@b", "<@b>", "<@x:>", "a@b..c", "a@.b", "a b@c", "a@b c", "<a@b",
	    "a@b>", "<<a@b>>", "<a@b> <c@d>", "(a@b", "a@b)", "\"a@b", "a@b\\",
	    "a@[]", "a@[1", "a@[1]x", "a,b@c", "a;b@c", "a@b,c@d", "a:b@c",
	    "list: a@b;", "\x01@b", "a@b\x7F", "\"a\x01\"@b", "\"\\\x01\"@b",
	    "a@\"b\"", "()"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf_address a;

		assert_int_equal(qf_address(str_from(cases[i]), &arena, &a), 0);
		if (a.kind != QF_ADDRESS_BAD)
			print_error("%s: kind %d\n", cases[i], a.kind);
		assert_int_equal(a.kind, QF_ADDRESS_BAD);
		assert_true(str_equal(a.bare, str_from(cases[i])));
		assert_false(a.has_domain);
	}
}

static void
test_others(void **state)
{
	static const struct {
		const char *text;
		enum qf_address_kind kind;
		const char *bare;
	} cases[] = {
	    {"", QF_ADDRESS_EMPTY, ""},
	    {" \t", QF_ADDRESS_EMPTY, ""},
	    {"<>", QF_ADDRESS_NULL, ""},
	    {" < > ", QF_ADDRESS_NULL, ""},
	    {"Nobody <>", QF_ADDRESS_NULL, ""},
	    {"|\"/bin/true\"", QF_ADDRESS_PROGRAM, "/bin/true"},
	    {"|/bin/prog a@b", QF_ADDRESS_PROGRAM, "/bin/prog a@b"},
	    {"\"|/bin/prog a b\"", QF_ADDRESS_PROGRAM, "/bin/prog a b"},
	    {"\"|/bin/prog \\\"a b\\\" \\\\c\"", QF_ADDRESS_PROGRAM,
		"/bin/prog \"a b\" \\c"},
	    {"|\"/bin/x\" \"y\"", QF_ADDRESS_PROGRAM, "\"/bin/x\" \"y\""},
	    {"\"/a b\"", QF_ADDRESS_FILE, "/a b"},
	    {"| /bin/prog", QF_ADDRESS_PROGRAM, "/bin/prog"},
	    {"/var/mail/x", QF_ADDRESS_FILE, "/var/mail/x"},
	    {"\"/var/mail/a b\"", QF_ADDRESS_FILE, "/var/mail/a b"},
	    {":include:/etc/list", QF_ADDRESS_INCLUDE, "/etc/list"},
	    {":Include: /etc/list", QF_ADDRESS_INCLUDE, "/etc/list"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf_address a;

		assert_int_equal(
		    qf_address(str_from(cases[i].text), &arena, &a), 0);
		assert_int_equal(a.kind, cases[i].kind);
		assert_true(str_equal(a.bare, str_from(cases[i].bare)));
	}
}

/* At the limit of what can be sent, and one past it. */
static void
test_oversize(void **state)
{
	char text[MAIL_ADDRESS_MAX + 3];
	struct qf_address a;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[1] = '@';
	assert_int_equal(
	    qf_address(str_of(text, MAIL_ADDRESS_MAX), &arena, &a), 0);
	assert_false(a.is_oversize);
	assert_int_equal(
	    qf_address(str_of(text, MAIL_ADDRESS_MAX + 1), &arena, &a), 0);
	assert_int_equal(a.kind, QF_ADDRESS_MAIL);
	assert_true(a.is_oversize);
	assert_int_equal(a.bare.size, MAIL_ADDRESS_MAX + 1);
}

static void
test_quoting(void **state)
{
	static const struct {
		struct str plain;
		struct str quoted;
	} cases[] = {
	    {STR(""), STR("")},
	    {STR("plain"), STR("plain")},
	    {STR("\x7F\x80\x9F\xA0\xFE\xFF"),
		STR("\x7F\xFF\x80\xFF\x9F\xA0\xFE\xFF\xFF")},
	    {STR("\xE2\x80\x93"), STR("\xE2\xFF\x80\xFF\x93")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(str_equal(
		    qf_quote(cases[i].plain, &arena), cases[i].quoted));
		assert_true(str_equal(
		    qf_unquote(cases[i].quoted, &arena), cases[i].plain));
	}
	/* One that nothing stands behind goes away. */
	assert_true(str_equal(qf_unquote(STR("a\xFF"), &arena), STR("a")));
}

static void
test_small_arena(void **state)
{
	(void)state;
	for (size_t max = 0; max < 12; max++) {
		struct arena small;
		struct qf_address a;

		arena_init(&small, max);
		assert_int_equal(qf_address(STR("<a@b>"), &small, &a),
		    max < 11 ? -ENOBUFS : 0);
		arena_fini(&small);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_others),
	    cmocka_unit_test(test_oversize),
	    cmocka_unit_test(test_quoting),
	    cmocka_unit_test(test_small_arena),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
