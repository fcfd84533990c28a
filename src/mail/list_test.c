/* Lists of addresses: what is found in them, what is not taken. */
#include "mail/list.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

struct list_case {
	const char *text;
	const char *out; /* addresses, "<>" or "!reason", "|" behind each */
};

static const struct list_case list_cases[] = {
    {"", ""},
    {" ,; ,", ""},
    {"bob@dest.test", "bob@dest.test|"},
    {"bob", "bob|"},
    {"bob carol", "bob|carol|"},
    {" bob@a.test,carol@b.test ", "bob@a.test|carol@b.test|"},
    {"Bob B <bob@a.test>, <carol@b.test>", "bob@a.test|carol@b.test|"},
    {"\"B, \\\"x\\\" <no@x>\" <bob@a.test>", "bob@a.test|"},
    {"bob@a.test (Bob (the, other) \\) B)", "bob@a.test|"},
    {"(only a comment), bob", "bob|"},
    {"bob (x) @ (y) a.test", "bob@a.test|"},
    {"bob . b @ a . test", "bob.b@a.test|"},
    {"Bob\r\n <bob@a.test>,\r\n\tcarol@b.test\r\n", "bob@a.test|carol@b.test|"},
    {"friends: bob@a.test, Carol <c@b.test>;, dave",
	"bob@a.test|c@b.test|dave|"},
    {"undisclosed-recipients:;", ""},
    {"undisclosed recipients: ;, x@y.test", "x@y.test|"},
    {"<@r1.test,@r2.test:bob@a.test>", "bob@a.test|"},
    {"<>", "<>|"},
    {"Nobody < >", "<>|"},
    {"\"a b\"@c.test", "\"a b\"@c.test|"},
    {"\"a@b\"", "\"a@b\"|"},
    {"bob@[192.0.2.1]", "bob@[192.0.2.1]|"},
    {"bob@[IPv6:2001:db8::1], x", "bob@[IPv6:2001:db8::1]|x|"},
    {"\\root", "root|"},
    {"a!b!c", "a!b!c|"},
    {"bad@@addr <", "!Unbalanced '<'|"},
    {"bad@@addr", "!Invalid route address|"},
    {"a@b@c, d@e@f", "!Invalid route address|!Invalid route address|"},
    {"bob@a.test.", "bob@a.test|"},
    {"Bob <bob@a.test.>, x@y.", "bob@a.test|x@y|"},
    {"bob@a.test..", "!Invalid host name|"},
    {"bob@.a.test", "!Invalid host name|"},
    {"bob@.", "!Invalid host name|"},
    {"bo..b@a.test", "!|"},
    {"bob.", "!|"},
    {"<a@b> <c@d>", "!Unbalanced '<'|"},
    {"a@b>", "!Unbalanced '>'|"},
    {"x, \"open", "x|!Unbalanced '\"'|"},
    {"x, (open", "x|!Unbalanced '('|"},
    {"x)", "!Unbalanced ')'|"},
    {"x@[open", "!Unbalanced '['|"},
    {"bob@", "!Hostname required|"},
    {"@a.test", "!User address required|"},
    {"bob@a..test, c@d", "!Invalid host name|c@d|"},
    {"<bob smith@a.test>", "bobsmith@a.test|"},
    {X60 "xxxx@a", X60 "xxxx@a|"},
    {X60 "xxxxx@a, b", "!|b|"},
    {X60 X60 X60 X60 X60 X60 ", b", "!|b|"},
    {"b\xc3\xb6@a.test", "b\xc3\xb6@a.test|"},
    {"b\xc3@a.test", "!|"},
    {"a\\", "!|"},
};

static void
list_read(struct str text, char out[2000])
{
	struct mail_list list;
	struct mail_list_item item;
	size_t size = 0;
	enum mail_list_result result;

	out[0] = '\0';
	mail_list_init(&list, text);
	while ((result = mail_list_next(&list, &item)) != MAIL_LIST_END) {
		const char *what = item.address;

		if (result == MAIL_LIST_VOID)
			what = "<>";
		size += (size_t)snprintf(out + size, 2000 - size, "%s%s|",
		    result == MAIL_LIST_WRONG ? "!" : "",
		    result == MAIL_LIST_WRONG ? item.reason : what);
		assert_true(size < 2000);
		assert_true(item.end <= text.size);
	}
}

static void
test_lists(void **state)
{
	char out[2000];

	for (size_t i = 0; i < sizeof(list_cases) / sizeof(list_cases[0]);
	     i++) {
		list_read(str_from(list_cases[i].text), out);
		if (strcmp(out, list_cases[i].out) != 0)
			print_error("case %zu: %s\n", i, list_cases[i].text);
		assert_string_equal(out, list_cases[i].out);
	}
}

/* Where the address ends is where a domain is put behind it. */
static void
test_ends(void **state)
{
	static const char text[] = "Bob <bob>, carol (C), \"d e\" , f@g";
	static const char *const behind[] = {">, c", " (C)", " , f", ""};
	struct mail_list list;
	struct mail_list_item item;

	mail_list_init(&list, str_from(text));
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(mail_list_next(&list, &item), MAIL_LIST_ONE);
		assert_memory_equal(
		    text + item.end, behind[i], strlen(behind[i]));
		assert_int_equal(item.has_domain, i == 3);
	}
	assert_int_equal(mail_list_next(&list, &item), MAIL_LIST_END);
}

/* Any bytes come to an end, with nothing out of bounds. */
static void
test_random(void **state)
{
	static const char bytes[] = "ab@.,;:<>()[]\"\\ \r\n\xc3\xa4";
	unsigned seed = 1;
	char text[40], out[2000];

	for (int i = 0; i < 20000; i++) {
		size_t size = (size_t)i % sizeof(text);

		for (size_t k = 0; k < size; k++) {
			seed = seed * 1103515245 + 12345;
			text[k] = bytes[(seed >> 16) % (sizeof(bytes) - 1)];
		}
		list_read(str_of(text, size), out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
