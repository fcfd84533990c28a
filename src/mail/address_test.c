/* Addresses and domains: what is taken, what is not, at the edges. */
#include "mail/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
#define X7  "xxxxxxx"
#define X9  "xxxxxxxxx"
#define X63 X9 X9 X9 X9 X9 X9 X9
#define X64 X63 "x"
/* 255 bytes: three labels of 63 with dots, one of 63. */
#define D255 X63 "." X63 "." X63 "." X63

/* With "@b" as many bytes as an address may have. */
#define LONG X64 X64 X64 X64 X9 X9 X9 X9 X9 X9 X7 "x"

struct path_case {
	struct str text;
	bool is_utf8;
	const char *out; /* "local|domain|rest"; NULL: refused */
};

static const struct path_case path_cases[] = {
    {TEXT("<>"), false, "||"},
    {TEXT("<> SIZE=1"), false, "|| SIZE=1"},
    {TEXT("<a@b>"), false, "a|b|"},
    {TEXT("<a@b.c>x"), false, "a|b.c|x"},
    {TEXT("<a.b!#$%&'*+-/=?^_`{|}~@b.c>"), false,
	"a.b!#$%&'*+-/=?^_`{|}~|b.c|"},
    {TEXT("<\"\"@b>"), false, "\"\"|b|"},
    {TEXT("<\"a@b >\\\"\\\\\"@c>"), false, "\"a@b >\\\"\\\\\"|c|"},
    {TEXT("<@x:a@b>"), false, "a|b|"},
    {TEXT("<@x,@y.z:a@b>"), false, "a|b|"},
    {TEXT("<postMaster>"), false, "postMaster||"},
    {TEXT("<Postmaster@b>"), false, "Postmaster|b|"},
    {TEXT("<postmasters@b>"), false, "postmasters|b|"},
    {TEXT("<a@[127.0.0.1]>"), false, "a|[127.0.0.1]|"},
    {TEXT("<a@[ipv6:2001:db8::1]>"), false, "a|[ipv6:2001:db8::1]|"},
    {TEXT("<a@[IPv6:::ffff:1.2.3.4]>"), false, "a|[IPv6:::ffff:1.2.3.4]|"},
    {TEXT("<a@[x-y:some:thing]>"), false, "a|[x-y:some:thing]|"},
    {TEXT("<a@3com.1x>"), false, "a|3com.1x|"},
    {TEXT("<" X64 "@b>"), false, X64 "|b|"},
    {TEXT("<a@" D255 ">"), false, "a|" D255 "|"},
    {TEXT("<\xc3\xa4@\xe4\xbe\x8b.b>"), true, "\xc3\xa4|\xe4\xbe\x8b.b|"},
    {TEXT("<\"\xf0\x9f\x98\x80\"@b>"), true, "\"\xf0\x9f\x98\x80\"|b|"},
    {TEXT("<\xc3\xa4@b>"), false, NULL},
    {TEXT("<a@\xc3\xa4>"), false, NULL},
    {TEXT("<\"\xc3\xa4\"@b>"), false, NULL},
    {TEXT("<@\xc3\xa4:a@b>"), false, NULL},
    {TEXT("<\"\\\xc3\xa4\"@b>"), true, NULL},
    {TEXT("<\xc3@b>"), true, NULL},
    {TEXT("<\xc0\x80@b>"), true, NULL},
    {TEXT("<\xc2\x85@b>"), true, NULL},
    {TEXT("<\xe0\x80\xaf@b>"), true, NULL},
    {TEXT("<\xed\xa0\x80@b>"), true, NULL},
    {TEXT("<\xf0\x80\x80\x80@b>"), true, NULL},
    {TEXT("<\xf4\x90\x80\x80@b>"), true, NULL},
    {TEXT("<\xf5\x80\x80\x80@b>"), true, NULL},
    {TEXT("<" X64 "x@b>"), false, NULL},
    {TEXT("<a@" X64 ">"), false, NULL},
    {TEXT("<a@" D255 "x>"), false, NULL},
    {TEXT("<a@x." X7 "." X63 "." X63 "." X63 "." X63 ">"), false, NULL},
    {TEXT(""), false, NULL},
    {TEXT("<"), false, NULL},
    {TEXT("a@b"), false, NULL},
    {TEXT("<a>"), false, NULL},
    {TEXT("<a@>"), false, NULL},
    {TEXT("<@b>"), false, NULL},
    {TEXT("<a@b"), false, NULL},
    {TEXT("< a@b>"), false, NULL},
    {TEXT("<a@b >"), false, NULL},
    {TEXT("<a b@c>"), false, NULL},
    {TEXT("<a@b@c>"), false, NULL},
    {TEXT("<.a@b>"), false, NULL},
    {TEXT("<a.@b>"), false, NULL},
    {TEXT("<a..b@c>"), false, NULL},
    {TEXT("<a\0b@c>"), false, NULL},
    {TEXT("<a(x)@c>"), false, NULL},
    {TEXT("<\"a\"b@c>"), false, NULL},
    {TEXT("<\"a@c>"), false, NULL},
    {TEXT("<\"a\\\"@c>"), false, NULL},
    {TEXT("<\"a\\"), false, NULL},
    {TEXT("<\"a\tb\"@c>"), false, NULL},
    {TEXT("<\"a\x7f\"@c>"), false, NULL},
    {TEXT("<a@b.>"), false, NULL},
    {TEXT("<a@.b>"), false, NULL},
    {TEXT("<a@b..c>"), false, NULL},
    {TEXT("<a@-b>"), false, NULL},
    {TEXT("<a@b-.c>"), false, NULL},
    {TEXT("<a@b_c>"), false, NULL},
    {TEXT("<a@[1.2.3]>"), false, NULL},
    {TEXT("<a@[1.2.3.4>"), false, NULL},
    {TEXT("<a@[1.2.3.256]>"), false, NULL},
    {TEXT("<a@[1.2.3.4\0]>"), false, NULL},
    {TEXT("<a@[IPv6:1]>"), false, NULL},
    {TEXT("<a@[IPv6:]>"), false, NULL},
    {TEXT("<a@[]>"), false, NULL},
    {TEXT("<a@[:x]>"), false, NULL},
    {TEXT("<a@[x-:x]>"), false, NULL},
    {TEXT("<a@[x:]>"), false, NULL},
    {TEXT("<a@[x:[y]>"), false, NULL},
    {TEXT("<a@[x:y z]>"), false, NULL},
    {TEXT("<@x a@b>"), false, NULL},
    {TEXT("<@x,a@b>"), false, NULL},
    {TEXT("<@x,:a@b>"), false, NULL},
    {TEXT("<@x:>"), false, NULL},
    {TEXT("<@x:postmaster>"), false, NULL},
    {TEXT("<postmaster"), false, NULL},
};

static void
test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]);
	     i++) {
		const struct path_case *c = &path_cases[i];
		struct mail_address a;
		char got[1000] = "refused";
		size_t size;
		int error = mail_path_parse(c->text, c->is_utf8, &a, &size);

		if (error == 0)
			snprintf(got, sizeof(got), "%.*s|%.*s|%.*s",
			    STR_ARG(a.local), STR_ARG(a.domain),
			    STR_ARG(str_skip(c->text, size)));
		if (strcmp(got, c->out ? c->out : "refused") != 0) {
			print_error("%.*s: %s\n", STR_ARG(c->text), got);
			fail();
		}
		if (error == 0)
			assert_int_equal(a.whole.size,
			    a.local.size + (a.domain.size > 0) + a.domain.size);
	}
}

/* Every beginning of a good path is refused, and never read past its end. */
static void
test_cut_paths(void **state)
{
	struct str text = STR("<@x,@y:\"a\\\"\xc3\xa4\"@[IPv6:2001:db8::1]>");
	struct mail_address a;
	size_t size;

	(void)state;
	assert_int_equal(mail_path_parse(text, true, &a, &size), 0);
	for (size_t i = 0; i < text.size; i++)
		assert_int_equal(
		    mail_path_parse(str_head(text, i), true, &a, &size),
		    -EINVAL);
}

static void
test_addresses(void **state)
{
	static const struct {
		struct str text;
		int error;
	} cases[] = {
	    {TEXT("a@b"), 0},
	    {TEXT("\"a b\"@[1.2.3.4]"), 0},
	    {TEXT("POSTMASTER"), 0},
	    {TEXT("\xc3\xa4@b"), 0},
	    {TEXT(""), -EINVAL},
	    {TEXT("a"), -EINVAL},
	    {TEXT("<a@b>"), -EINVAL},
	    {TEXT("a@b "), -EINVAL},
	    {TEXT("a@b,c@d"), -EINVAL},
	    {TEXT("postmaster "), -EINVAL},
	    {TEXT("@x:a@b"), -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_address a;

		assert_int_equal(
		    mail_address_parse(cases[i].text, &a), cases[i].error);
		if (cases[i].error == 0)
			assert_true(str_equal(a.whole, cases[i].text));
	}
}

/* What sendmail takes and RFC 5321 does not, for queues that it has written. */
static void
test_loose(void **state)
{
	static const struct {
		struct str text, local, domain;
	} good[] = {
	    {TEXT("a@b"), TEXT("a"), TEXT("b")},
	    {TEXT("a.@b.c"), TEXT("a."), TEXT("b.c")},
	    {TEXT(".a..b@c"), TEXT(".a..b"), TEXT("c")},
	    {TEXT(X64 "y@b"), TEXT(X64 "y"), TEXT("b")},
	    {TEXT("a.@[127.0.0.1]"), TEXT("a."), TEXT("[127.0.0.1]")},
	    {TEXT("\"a b\"@c"), TEXT("\"a b\""), TEXT("c")},
	};
	static const struct str bad[] = {TEXT("a"), TEXT("."), TEXT(".@b"),
	    TEXT("a.@"), TEXT("a.@b@c"), TEXT("a b@c"), TEXT("a,@b"),
	    TEXT("<a.@b>"), TEXT("a.@b..c"), TEXT("a.@-b"), TEXT("\"a@b"),
	    TEXT("a.@b "), TEXT("a.\n@b"), TEXT("")};
	struct mail_address a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(mail_address_parse_loose(good[i].text, &a), 0);
		assert_true(str_equal(a.whole, good[i].text));
		assert_true(str_equal(a.local, good[i].local));
		assert_true(str_equal(a.domain, good[i].domain));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mail_address_parse_loose(bad[i], &a), -EINVAL);
	/* MAIL_ADDRESS_MAX in all, and one more. */
	assert_int_equal(mail_address_parse_loose(STR(LONG "@b"), &a), 0);
	assert_int_equal(
	    mail_address_parse_loose(STR(LONG "x@b"), &a), -EINVAL);
}

static void
test_domains(void **state)
{
	/* Valid with IS_SINGLE, valid without. */
	static const struct {
		struct str text;
		bool is_valid;
		bool is_full;
	} cases[] = {
	    {TEXT("a.b"), true, true},
	    {TEXT("A-1.b2."), true, true},
	    {TEXT("a"), true, false},
	    {TEXT("a."), true, false},
	    {TEXT(D255), true, true},
	    {TEXT(D255 "."), true, true},
	    {TEXT(D255 "x"), false, false},
	    {TEXT(X64 ".b"), false, false},
	    {TEXT(""), false, false},
	    {TEXT("."), false, false},
	    {TEXT("a.."), false, false},
	    {TEXT(".a"), false, false},
	    {TEXT("a..b"), false, false},
	    {TEXT("-a.b"), false, false},
	    {TEXT("a-.b"), false, false},
	    {TEXT("a_b.c"), false, false},
	    {TEXT("a b.c"), false, false},
	    {TEXT("\xc3\xa4.b"), false, false},
	    {TEXT("a.b\0"), false, false},
	    {TEXT("[1.2.3.4]"), false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(mail_domain_is_valid(cases[i].text, true),
		    cases[i].is_valid);
		assert_int_equal(mail_domain_is_valid(cases[i].text, false),
		    cases[i].is_full);
	}
}

static void
test_keys(void **state)
{
	char key[MAIL_DOMAIN_MAX + 1];

	(void)state;
	assert_int_equal(mail_domain_key(STR("Ab.C."), key), 0);
	assert_string_equal(key, "ab.c");
	assert_int_equal(mail_domain_key(STR(""), key), 0);
	assert_string_equal(key, "");
	assert_int_equal(mail_domain_key(STR(D255 "."), key), 0);
	assert_string_equal(key, D255);
	assert_int_equal(mail_domain_key(STR(D255 "x"), key), -EINVAL);
}

static void
test_under(void **state)
{
	(void)state;
	assert_true(mail_domain_is_under(STR("a.b"), STR("a.b")));
	assert_true(mail_domain_is_under(STR("x.a.b"), STR("a.b")));
	assert_false(mail_domain_is_under(STR("xa.b"), STR("a.b")));
	assert_false(mail_domain_is_under(STR("b"), STR("a.b")));
	assert_false(mail_domain_is_under(STR("a.b.c"), STR("a.b")));
	assert_false(mail_domain_is_under(STR("a.b"), STR("")));
	assert_false(mail_domain_is_under(STR(""), STR("")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_cut_paths),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_loose),
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_under),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
