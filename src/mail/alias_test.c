/* Files of aliases: what they hold, what is a mistake and on which line. */
#include "mail/alias.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char kind_letters[] = {
    [ALIAS_LOCAL] = 'l',
    [ALIAS_ADDRESS] = 'a',
    [ALIAS_INCLUDE] = 'i',
    [ALIAS_PROGRAM] = 'p',
    [ALIAS_FILE] = 'f',
    [ALIAS_DISCARD] = 'd',
    [ALIAS_BAD] = '!',
};

/* "l:joe f:a@b" of an entry; a final target's letter is followed by "\". */
static void
describe(const struct alias_entry *entry, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; entry != NULL && i < entry->target_count; i++) {
		const struct alias_target *t = &entry->targets[i];

		used += (size_t)snprintf(text + used, size - used,
		    "%s%c%s:%.*s", i ? " " : "", kind_letters[t->kind],
		    t->is_final ? "\\" : "", STR_ARG(t->text));
		assert_true(used < size);
	}
}

static void
assert_mistakes(const struct alias_table *table, const char *want)
{
	struct buf out;

	buf_init(&out, 65536);
	alias_table_mistakes_put(table, &out);
	assert_int_equal(buf_append(&out, str_of("", 1)), 0);
	assert_string_equal(buf_str(&out).data, want);
	buf_fini(&out);
}

static size_t
mistake_lines(const struct alias_table *table)
{
	size_t count = 0;
	struct buf out;

	buf_init(&out, 65536);
	alias_table_mistakes_put(table, &out);
	for (size_t i = 0; i < buf_size(&out); i++)
		count += buf_str(&out).data[i] == '\n';
	buf_fini(&out);
	return count;
}

static const struct {
	const char *text;
	const char *name;
	const char *targets;  /* as describe() says */
	const char *mistakes; /* of the file "f" */
} cases[] = {
    {"a: joe\n", "a", "l:joe", ""},
    {"a: joe", "a", "l:joe", ""},
    {"a:joe\r\n", "A", "l:joe", ""},
    {"  \n# x: y\n\na : Joe , ann@B.test,\n", "a", "l:Joe a:ann@B.test", ""},
    {"AbC: x", "aBc", "l:x", ""},
    {"a: b,\n  c,\n\td\n", "a", "l:b l:c l:d", ""},
    {"a: b,\n#c,\n d\n", "a", "l:b l:d", ""},
    {"a: b,\\\nc\n", "a", "l:b l:c", ""},
    {"a: b\n#c\nd: e\n", "a", "l:b", ""},
    {"\"a b\": joe\n", "a b", "l:joe", ""},
    {"\"a:b\" : joe\n", "a:b", "l:joe", ""},
    {"a: \\joe, \\ann@b.test\n", "a", "l\\:joe a\\:ann@b.test", ""},
    {"a: \"joe\", \"x y\", \"x y\"@b.test\n", "a",
	"l:joe l:\"x y\" a:\"x y\"@b.test", ""},
    {"a: |/bin/x, \"|/bin/x -f, \\\"q\\\"\"\n", "a",
	"p:/bin/x p:/bin/x -f, \"q\"", ""},
    {"a: /dev/null, /var/x, \"/var/a b\"\n", "a",
	"d:/dev/null f:/var/x f:"
	"/var/a b",
	""},
    {"a: /x=1/y=2/@gw.test\n", "a", "a:/x=1/y=2/@gw.test", ""},
    {"a: :include:/etc/l, \":Include: /x y\"\n", "a", "i:/etc/l i:/x y", ""},
    {"a: (the (old) one) joe (x,y), Ann B <ann@b.test>, \"X, Y\" <y>\n", "a",
	"l:joe a:ann@b.test l:y", ""},
    {"a: b, \"c\n d\"@x.test\n", "a", "l:b a:\"c d\"@x.test", ""},
    {"a: joe+x, =?!#$%&'*-/^_`{|}~\n", "a", "l:joe+x l:=?!#$%&'*-/^_`{|}~", ""},
    {"a: |\"/bin/x -f 'b c'\", \"|/bin/x -f 'b c'\"\n", "a",
	"p:/bin/x -f 'b c' p:/bin/x -f 'b c'", ""},
    /* Mistakes. */
    {"a: |x, joe\n", "a", "!: l:joe",
	"f:1: a names no program by its absolute path\n"},
    {"a: b,\n \"|/bin/x | /bin/y\"\n", "a",
	"l:b !:", "f:2: a needs a shell, which is not asked\n"},
    {"a: /\303\266\n", "a",
	"!:", "f:1: a has a command or path that is too long or no ASCII\n"},
    {"x\na: b\n", "a", "l:b", "f:1: has no colon\n"},
    {"a: b\n\n c\n", "a", "l:b",
	"f:3: continues nothing, but begins with a blank\n"},
    {": b\na: b\n", "a", "l:b", "f:1: has no name before the colon\n"},
    {"\"\": b\na: b\n", "a", "l:b", "f:1: has no name before the colon\n"},
    {"a@b.test: c\n", "a", "", "f:1: has a name with a domain\n"},
    {"a b: c\n", "a", "",
	"f:1: has a name that is no local part of an address\n"},
    {"a:\nb: c\n", "a", "!:", "f:1: a has nothing behind the colon\n"},
    {"a: ,(x),\n", "a", "!:", "f:1: a has nothing behind the colon\n"},
    {"a: b,\n c d,\n e\n", "a", "l:b !: l:e",
	"f:2: a has an item that is no address\n"},
    {"a: b,\n\n\na: c\n", "a", "l:c",
	"f:4: a is an alias already, on line 1: this one counts\n"},
    {"a: b, (c\nb: d\n", "a",
	"l:b !:", "f:1: a has a comment that does not end\n"},
    {"a: \"c, d\n", "a", "!:", "f:1: a has a quoted text that does not end\n"},
    {"a: x <b>y\n", "a",
	"!:", "f:1: a has a \"<\" without a \">\" at the end\n"},
    {"a: <>, \"\"\n", "a",
	"!: !:", "f:1: a has an empty address\nf:1: a has an empty address\n"},
    {"a: :fail: no\n", "a", "!:", "f:1: a has a \":\" that is no :include:\n"},
    {"a: :include:etc\n", "a",
	"!:", "f:1: a has an :include: without an absolute path\n"},
    {"a: |\n", "a", "!:", "f:1: a has a \"|\" without a program\n"},
    {"a: j\xc3\xb6rg@b.test\n", "a",
	"!:", "f:1: a has an address that is not ASCII\n"},
    {"a: x\001y\n", "a", "!:", "f:1: a has a control character\n"},
    {"a: joe@\n", "a", "!:", "f:1: a has an item that is no address\n"},
};

/* Programs and files have numbers, each once; where they may not be named they
   are mistakes. */
static void
test_locals(void **state)
{
	static const struct alias_local wanted[] = {
	    {ALIAS_PROGRAM, {"/bin/x -f", 9}},
	    {ALIAS_FILE, {"/var/x", 6}},
	    {ALIAS_FILE, {"/bin/x -f", 9}},
	};
	struct alias_local other = {ALIAS_PROGRAM, {"/bin/x", 6}};
	struct alias_table *table = alias_table_new();
	const struct alias_local *local;
	struct str path;

	(void)state;
	alias_table_read(table, STR("f"),
	    STR("a: \"|/bin/x -f\", /var/x, /dev/null\n"
		"b: /var/x, |\"/bin/x -f\", \"/bin/x -f\", :include:/i\n"));
	for (size_t i = 0; i < 3; i++) {
		local = alias_table_local(table, i);
		assert_int_equal(local->kind, wanted[i].kind);
		assert_true(str_equal(local->text, wanted[i].text));
		assert_int_equal(
		    alias_table_local_number(table, &wanted[i]), i);
	}
	assert_null(alias_table_local(table, 3));
	assert_true(alias_table_local_number(table, &other) == SIZE_MAX);
	assert_mistakes(table, "");
	alias_table_trust(table, false);
	alias_table_read(table, STR("g"), STR("c: d, |/bin/x\n"));
	assert_true(alias_table_wants(table, &path));
	alias_table_include(table, path, STR("e\n/var/y\n"));
	assert_mistakes(table,
	    "g:1: c names a program or a file, but not only root may write to "
	    "this file of aliases\n"
	    "/i:2: names a program or a file, which an :include: may not\n");
	assert_null(alias_table_local(table, 3));
	assert_int_equal(
	    alias_table_included(table, path)->targets[1].kind, ALIAS_BAD);
	alias_table_free(table);
}

static void
test_locals_max(void **state)
{
	struct alias_table *table = alias_table_new();
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (unsigned i = 0; i <= ALIAS_LOCALS_MAX; i++)
		assert_int_equal(buf_printf(&text, "a%u: /v/%u\n", i, i), 0);
	alias_table_read(table, STR("f"), buf_str(&text));
	assert_non_null(alias_table_local(table, ALIAS_LOCALS_MAX - 1));
	assert_null(alias_table_local(table, ALIAS_LOCALS_MAX));
	assert_mistakes(
	    table, "f:10001: a10000 is one program or file too many\n");
	buf_fini(&text);
	alias_table_free(table);
}

static void
test_files(void **state)
{
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct alias_table *table = alias_table_new();

		alias_table_read(table, STR("f"), str_from(cases[i].text));
		describe(alias_table_find(table, str_from(cases[i].name)), text,
		    sizeof(text));
		assert_string_equal(text, cases[i].targets);
		assert_mistakes(table, cases[i].mistakes);
		alias_table_free(table);
	}
}

/* Of two files the first counts, and that is no mistake. */
static void
test_two_files(void **state)
{
	struct alias_table *table = alias_table_new();
	const struct alias_entry *entry;
	char text[100];

	(void)state;
	alias_table_read(table, STR("f"), STR("a: b\n"));
	alias_table_read(table, STR("g"), STR("x: y,\n  zz\na: c\n"));
	describe(alias_table_find(table, STR("a")), text, sizeof(text));
	assert_string_equal(text, "l:b");
	assert_mistakes(table, "");
	assert_int_equal(alias_table_file(table, 0)->aliases, 1);
	assert_int_equal(alias_table_file(table, 0)->longest, 1);
	assert_int_equal(alias_table_file(table, 0)->total, 2);
	assert_int_equal(alias_table_file(table, 1)->aliases, 2);
	assert_int_equal(alias_table_file(table, 1)->longest, 6);
	assert_int_equal(alias_table_file(table, 1)->total, 9);
	assert_null(alias_table_file(table, 2));
	entry = alias_table_next(table, NULL);
	assert_true(str_equal(entry->name, STR("a")));
	entry = alias_table_next(table, entry);
	assert_true(str_equal(entry->name, STR("x")));
	assert_int_equal(entry->line, 1);
	assert_null(alias_table_next(table, entry));
	alias_table_free(table);
}

static void
test_includes(void **state)
{
	struct alias_table *table = alias_table_new();
	struct str path;
	char text[100];

	(void)state;
	alias_table_read(table, STR("f"),
	    STR("a: :include:/x\nb: :include:/x, :include:/y\n"));
	assert_true(alias_table_wants(table, &path));
	assert_true(str_equal(path, STR("/x")));
	assert_null(alias_table_included(table, path));
	alias_table_include(table, path,
	    STR("# members\n\n joe, ann@b.test\nx: y\n:include:/z\nbob\n"));
	assert_mistakes(table, "/x:4: has an item that is no address\n");
	describe(alias_table_included(table, STR("/x")), text, sizeof(text));
	assert_string_equal(text, "l:joe a:ann@b.test !: i:/z l:bob");
	assert_true(alias_table_wants(table, &path));
	assert_true(str_equal(path, STR("/y")));
	alias_table_include_failed(table, path, "no such file");
	assert_null(alias_table_included(table, path));
	assert_true(alias_table_wants(table, &path));
	assert_true(str_equal(path, STR("/z")));
	alias_table_include(table, path, STR(""));
	assert_non_null(alias_table_included(table, path));
	assert_false(alias_table_wants(table, &path));
	assert_mistakes(table, "/x:4: has an item that is no address\n"
			       "/y: no such file\n");
	alias_table_free(table);
}

/* The limits, and one past each. */
static void
test_limits(void **state)
{
	struct alias_table *table = alias_table_new();
	char name[MAIL_LOCAL_MAX + 8];
	char *text = malloc(ALIAS_DEFINITION_MAX + 100);

	(void)state;
	assert_non_null(text);
	memset(name, 'n', sizeof(name));
	memcpy(name + MAIL_LOCAL_MAX, ": x\n", 4);
	alias_table_read(table, STR("f"), str_of(name, MAIL_LOCAL_MAX + 4));
	assert_non_null(alias_table_find(table, str_of(name, MAIL_LOCAL_MAX)));
	memcpy(name + MAIL_LOCAL_MAX, "n: x\n", 5);
	alias_table_read(table, STR("f"), str_of(name, MAIL_LOCAL_MAX + 5));
	assert_null(alias_table_find(table, str_of(name, MAIL_LOCAL_MAX + 1)));
	assert_mistakes(
	    table, "f:1: has a name that is no local part of an address\n");
	alias_table_free(table);

	table = alias_table_new();
	memset(text, ',', ALIAS_DEFINITION_MAX + 100);
	memcpy(text, "a: b", 4);
	memcpy(text + ALIAS_DEFINITION_MAX - 1, "\nc: d\n", 6);
	alias_table_read(
	    table, STR("f"), str_of(text, ALIAS_DEFINITION_MAX + 5));
	assert_mistakes(table, "");
	memcpy(text + ALIAS_DEFINITION_MAX - 1, ",\nc: d\n", 7);
	alias_table_read(
	    table, STR("f"), str_of(text, ALIAS_DEFINITION_MAX + 6));
	assert_mistakes(table, "f:1: is too long\n");
	assert_non_null(alias_table_find(table, STR("c")));
	alias_table_free(table);
	free(text);

	table = alias_table_new();
	for (int i = 0; i <= ALIAS_FILES_MAX; i++)
		alias_table_read(table, STR("f"), STR("a: b\n"));
	assert_mistakes(table, "f: too many files of aliases\n");
	for (int i = 0; i < 2 * ALIAS_MISTAKES_MAX; i++)
		alias_table_mistake(table, STR("f"), 1, "wrong");
	assert_int_equal(mistake_lines(table), ALIAS_MISTAKES_MAX);
	alias_table_free(table);
}

static void
test_too_many_includes(void **state)
{
	struct alias_table *table = alias_table_new();
	size_t size = ALIAS_INCLUDES_MAX * 20 + 100, used = 0;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	used = (size_t)snprintf(text, size, "a: b");
	for (int i = 0; i <= ALIAS_INCLUDES_MAX; i++)
		used += (size_t)snprintf(
		    text + used, size - used, ",:include:/%d\n ", i);
	alias_table_read(table, STR("f"), str_of(text, used));
	assert_mistakes(table, "f:1001: too many :include: files\n");
	alias_table_free(table);
	free(text);
}

static void
assert_fit(const struct alias_target *target)
{
	bool is_address =
	    target->kind == ALIAS_LOCAL || target->kind == ALIAS_ADDRESS;

	for (size_t i = 0; i < target->text.size; i++) {
		unsigned char c = (unsigned char)target->text.data[i];

		assert_true(c >= ' ' && c != 0x7f);
		assert_true(c < 0x80 || !is_address);
	}
}

/* Whatever the bytes are, what is understood is fit for a header, a command
   and a log line, and each definition has targets. */
static void
test_random_bytes(void **state)
{
	static const char bytes[] =
	    "aab:,,\n\n \t\"\"\\()<>@.|/:#+\r\xc3\xb6\001x:include:/a";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct alias_table *table = alias_table_new();
		const struct alias_entry *entry = NULL;
		char text[120];
		struct str path;

		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = bytes[(seed >> 16) % (sizeof(bytes) - 1)];
		}
		alias_table_read(table, STR("f"), str_of(text, sizeof(text)));
		while (alias_table_wants(table, &path))
			alias_table_include(
			    table, path, str_of(text, sizeof(text)));
		while ((entry = alias_table_next(table, entry)) != NULL) {
			assert_true(entry->target_count > 0);
			for (size_t i = 0; i < entry->target_count; i++)
				assert_fit(&entry->targets[i]);
		}
		alias_table_free(table);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_locals),
	    cmocka_unit_test(test_locals_max),
	    cmocka_unit_test(test_two_files),
	    cmocka_unit_test(test_includes),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_too_many_includes),
	    cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
