/* Tables of what is selected, after what the real sendmail was seen to do. */
#include "store/select.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* "I6all !Sx" and so on; a term ends at a blank. */
static void
read_terms(struct store_select *select, const char *text)
{
	struct str rest = str_from(text);

	*select = (struct store_select){0};
	while (rest.size > 0) {
		size_t size = str_find(rest, ' ');
		bool is_not = rest.data[0] == '!';
		struct str term = str_skip(str_head(rest, size), is_not);
		enum store_select_field field =
		    term.data[0] == 'I'   ? STORE_SELECT_ID
		    : term.data[0] == 'S' ? STORE_SELECT_SENDER
		    : term.data[0] == 'R' ? STORE_SELECT_RECIPIENT
					  : STORE_SELECT_REASON;

		assert_int_equal(
		    store_select_add(select, field, is_not, str_skip(term, 1)),
		    0);
		rest = str_skip(rest, size + 1);
	}
}

static void
test_selects(void **state)
{
	static const struct {
		const char *terms;
		bool expected;
	} cases[] = {
	    {"", true},
	    {"I6ALLDv", true},
	    {"I6allDv", true},
	    {"Iqf6ALLDvRC", true},
	    {"I012936 I012952", true},
	    {"I012952", false},
	    {"I", true},
	    {"!I012936", false},
	    {"!I012936 !I012952", true},
	    {"SALICE", true},
	    {"!Salice", false},
	    {"S<>", false},
	    {"!S<>", true},
	    {"Rother.TEST", true},
	    {"Rthird.test", false},
	    /* Some recipient does not have it. */
	    {"!Rother.test", true},
	    {"!R.test", false},
	    {"Salice@ Rcarol", true},
	    {"Salice@ Rpartial", false},
	    {"Sx Salice@ Rcarol Ry", true},
	    /* Literal: no patterns. */
	    {"Salice*", false},
	    {"S.lice", false},
	    {"Ialice", false},
	    {"Salice@example.com.and.more", false},
	};
	static const struct str recipients[] = {
	    {"bob@dest.test", 13}, {"carol@other.test", 16}};
	struct store_select select;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_terms(&select, cases[i].terms);
		if (store_select_has(&select, STR("qf6ALLDvRC012936"),
			STR("alice@example.com"), recipients,
			2) != cases[i].expected)
			fail_msg("\"%s\"", cases[i].terms);
	}
}

static void
test_knows_the_null_sender(void **state)
{
	static const struct str recipient = {"bob@dest.test", 13};
	struct store_select select;

	read_terms(&select, "S<>");
	assert_true(
	    store_select_has(&select, STR("X1"), STR(""), &recipient, 1));
	read_terms(&select, "Rbob");
	assert_false(store_select_has(&select, STR("X1"), STR(""), NULL, 0));
	read_terms(&select, "I");
	assert_true(store_select_has(&select, STR("X1"), STR(""), NULL, 0));
}

static void
test_minds_the_letters_of_a_reason(void **state)
{
	struct store_select select;

	read_terms(&select, "Qspam");
	assert_true(store_select_wants(&select, STORE_SELECT_REASON));
	assert_false(store_select_wants(&select, STORE_SELECT_ID));
	assert_true(store_select_has_text(
	    &select, STORE_SELECT_REASON, STR("much spam")));
	assert_false(store_select_has_text(
	    &select, STORE_SELECT_REASON, STR("much Spam")));
	/* The reason has no say in the rest. */
	assert_true(store_select_has(&select, STR("X1"), STR("a"), NULL, 0));
}

static void
test_has_limits(void **state)
{
	struct store_select select = {0};
	char text[STORE_SELECT_TEXT_MAX + 1];

	memset(text, 'x', sizeof(text));
	assert_int_equal(store_select_add(&select, STORE_SELECT_ID, false,
			     str_of(text, sizeof(text))),
	    -EINVAL);
	for (size_t i = 0; i < STORE_SELECT_MAX; i++)
		assert_int_equal(
		    store_select_add(&select, STORE_SELECT_ID, false,
			str_of(text, STORE_SELECT_TEXT_MAX)),
		    0);
	assert_int_equal(
	    store_select_add(&select, STORE_SELECT_ID, false, STR("x")),
	    -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_selects),
	    cmocka_unit_test(test_knows_the_null_sender),
	    cmocka_unit_test(test_minds_the_letters_of_a_reason),
	    cmocka_unit_test(test_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
