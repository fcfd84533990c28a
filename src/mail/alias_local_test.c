/* Programs and files as addresses, and commands as words. */
#include "mail/alias_local.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	enum alias_kind kind;
	const char *text, *address;
} pairs[] = {
    {ALIAS_PROGRAM, "/bin/x", "\"|/bin/x\""},
    {ALIAS_PROGRAM, "/bin/x -f \"a b\" \\c",
	"\"|/bin/x -f \\\"a b\\\" \\\\c\""},
    {ALIAS_PROGRAM, "/bin/x a@b.test", "\"|/bin/x a@b.test\""},
    {ALIAS_PROGRAM, "|x", "\"||x\""},
    {ALIAS_FILE, "/var/mail/x", "/var/mail/x"},
    {ALIAS_FILE, "/var/mail/a b", "\"/var/mail/a b\""},
    {ALIAS_FILE, "/x@y", "\"/x@y\""},
    {ALIAS_FILE, "/x\"y\\", "\"/x\\\"y\\\\\""},
};

static void
test_pairs(void **state)
{
	char address[MAIL_ADDRESS_MAX + 1], space[MAIL_ADDRESS_MAX];
	struct mail_address parsed;
	struct alias_local local;
	size_t size;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		local.kind = pairs[i].kind;
		local.text = str_from(pairs[i].text);
		assert_int_equal(
		    alias_local_put(&local, address), strlen(pairs[i].address));
		assert_string_equal(address, pairs[i].address);
		assert_true(
		    alias_local_parse(str_from(address), space, &local));
		assert_int_equal(local.kind, pairs[i].kind);
		assert_true(str_equal(local.text, str_from(pairs[i].text)));
		/* Never an address of mail, with brackets or without. */
		assert_int_equal(
		    mail_address_parse(str_from(address), &parsed), -EINVAL);
		address[0] = '<';
		memcpy(address + 1, pairs[i].address, strlen(pairs[i].address));
		address[strlen(pairs[i].address) + 1] = '>';
		assert_int_equal(
		    mail_path_parse(
			str_of(address, strlen(pairs[i].address) + 2), true,
			&parsed, &size),
		    -EINVAL);
	}
}

static void
test_no_locals(void **state)
{
	static const char *const texts[] = {"", "\"", "\"\"", "\"|\"", "\"x\"",
	    "x", "|/bin/x", "|\"/bin/x\"", "\"|/bin/x", "\"|/bin/x\"@a.test",
	    "\"|/bin/x\" ", "\"|/bin/x\\\"", "/x@a.test", "/x y",
	    "\"/x\"@a.test", "joe@a.test", "Postmaster", "/\xc3\xb6",
	    "\"|/bin/\001\"", "\"|a\"@[x:\"]", " /x", "/x\n"};
	char space[MAIL_ADDRESS_MAX], text[MAIL_ADDRESS_MAX + 1];
	struct alias_local local;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (alias_local_is(str_from(texts[i])))
			fail_msg("%s is one", texts[i]);
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	assert_true(
	    alias_local_parse(str_of(text, MAIL_ADDRESS_MAX), space, &local));
	assert_false(alias_local_parse(
	    str_of(text, MAIL_ADDRESS_MAX + 1), space, &local));
}

/* What goes in comes out, to the last byte that there is room for. */
static void
test_limits(void **state)
{
	char text[MAIL_ADDRESS_MAX + 2], address[MAIL_ADDRESS_MAX + 1];
	char space[MAIL_ADDRESS_MAX];
	struct alias_local local, back;
	bool was_refused = false;

	for (size_t size = 1; size <= MAIL_ADDRESS_MAX + 1; size++) {
		for (int kind = 0; kind < 3; kind++) {
			int got;

			memset(text, kind == 2 ? '"' : 'x', sizeof(text));
			text[0] = '/';
			local.kind = kind == 0 ? ALIAS_FILE : ALIAS_PROGRAM;
			local.text = str_of(text, size);
			got = alias_local_put(&local, address);
			was_refused |= got < 0;
			assert_true(got <= MAIL_ADDRESS_MAX);
			if (got < 0)
				continue;
			assert_true(alias_local_parse(
			    str_of(address, (size_t)got), space, &back));
			assert_true(str_equal(back.text, local.text));
		}
	}
	assert_true(was_refused);
	local.text = STR("/x\ty");
	assert_int_equal(alias_local_put(&local, address), -EINVAL);
}

static const struct {
	const char *command;
	const char *words; /* with "|" between, or what is wrong */
} commands[] = {
    {"/bin/x", "/bin/x"},
    {"  /bin/x  a   b ", "/bin/x|a|b"},
    {"/bin/x 'a b' \"c d\" e\\ f", "/bin/x|a b|c d|e f"},
    {"/bin/x ''a\"\" \"\" ''", "/bin/x|a||"},
    {"/bin/x 'a\\b' \"c\\\"d\\\\e\"", "/bin/x|a\\b|c\"d\\e"},
    {"/bin/x '$HOME `y` ; & |' \\$x \\;", "/bin/x|$HOME `y` ; & ||$x|;"},
    {"/bin/x a=b -c --d=~ x#y", "/bin/x|a=b|-c|--d=~|x#y"},
    {"/bin/sh -c 'exec /bin/x || exit 75'",
	"/bin/sh|-c|exec /bin/x || exit 75"},
    {"", "names no program by its absolute path"},
    {" ", "names no program by its absolute path"},
    {"x", "names no program by its absolute path"},
    {"''", "names no program by its absolute path"},
    {"/bin/x 'a", "has a quoted text that does not end"},
    {"/bin/x \"a\\\"", "has a quoted text that does not end"},
    {"/bin/x ; /bin/y", "needs a shell, which is not asked"},
    {"/bin/x a&", "needs a shell, which is not asked"},
    {"/bin/x >y", "needs a shell, which is not asked"},
    {"/bin/x <y", "needs a shell, which is not asked"},
    {"/bin/x | /bin/y", "needs a shell, which is not asked"},
    {"/bin/x $y", "needs a shell, which is not asked"},
    {"/bin/x \"$y\"", "needs a shell, which is not asked"},
    {"/bin/x \"`y`\"", "needs a shell, which is not asked"},
    {"/bin/x `y`", "needs a shell, which is not asked"},
    {"/bin/x *", "needs a shell, which is not asked"},
    {"/bin/x a?", "needs a shell, which is not asked"},
    {"/bin/x [a]", "needs a shell, which is not asked"},
    {"/bin/x (a", "needs a shell, which is not asked"},
    {"/bin/x a)", "needs a shell, which is not asked"},
    {"/bin/x ~/y", "needs a shell, which is not asked"},
    {"/bin/x #joe", "needs a shell, which is not asked"},
    {"/bin/x\ta", "is too long, or has other characters than ASCII"},
};

static void
test_commands(void **state)
{
	struct alias_command command;
	char text[MAIL_ADDRESS_MAX + 1], many[2 * ALIAS_WORDS_MAX + 10];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const char *wrong = alias_command_split(
		    str_from(commands[i].command), &command);
		size_t size = 0;

		text[0] = '\0';
		for (size_t j = 0; wrong == NULL && command.words[j]; j++) {
			size_t length = strlen(command.words[j]);

			if (j > 0)
				text[size++] = '|';
			memcpy(text + size, command.words[j], length + 1);
			size += length;
		}
		assert_string_equal(
		    wrong != NULL ? wrong : text, commands[i].words);
	}
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 == 0 ? '/' : ' ';
	assert_null(alias_command_split(
	    str_of(many, (size_t)2 * ALIAS_WORDS_MAX), &command));
	assert_int_equal(command.word_count, ALIAS_WORDS_MAX);
	assert_string_equal(
	    alias_command_split(
		str_of(many, (size_t)2 * ALIAS_WORDS_MAX + 2), &command),
	    "has too many words");
	memset(text, '/', sizeof(text));
	assert_null(
	    alias_command_split(str_of(text, MAIL_ADDRESS_MAX), &command));
	assert_non_null(
	    alias_command_split(str_of(text, MAIL_ADDRESS_MAX + 1), &command));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_no_locals),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
