/* What a scan takes out of a control file, and the order of what it found. */
#include "cmd/mqueue_select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1795300000

#define FILE_TEXT                                                              \
	"V8\nT1795295637\nK1795299000\nN2\nP30107\nFbs\n$_root@localhost\n"    \
	"SAlice <alice@Example.com>\nAalice@example.com\n"                     \
	"rRFC822; bob@dest.test\nRPFD:bob@Dest.test\n"                         \
	"RPFD:carol@other.test\nH??Subject: x\n\tRPFD:not@a.recipient\n.\n"

/* "I6all !Sx" and so on; a term ends at a blank. */
static void
read_terms(struct store_select *select, const char *text)
{
	static const char letters[] = "ISRQ";
	struct str rest = str_from(text);

	*select = (struct store_select){.count = 0};
	while (rest.size > 0) {
		size_t size = str_find(rest, ' ');
		bool is_not = rest.data[0] == '!';
		struct str term = str_skip(str_head(rest, size), is_not);
		const char *letter = strchr(letters, term.data[0]);

		assert_non_null(letter);
		assert_int_equal(
		    store_select_add(select,
			(enum store_select_field)(letter - letters), is_not,
			str_skip(term, 1)),
		    0);
		rest = str_skip(rest, size + 1);
	}
}

static bool
is_wanted(enum sendmail_queue queue, const char *terms, const char *name,
    const char *text)
{
	struct store_select select;
	struct mqueue_want want = {
	    .select = &select, .queue = queue, .now_s = NOW};
	struct mqueue_item item;
	bool is_one;

	read_terms(&select, terms);
	if (!mqueue_want_name(&want, str_from(name)))
		return false;
	is_one = mqueue_want_text(&want, str_from(text), &item);
	free(item.host);
	return is_one;
}

/* What is no name of a message is not shown, for it could be for a terminal. */
static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool expected;
	} cases[] = {
	    {"qf6ALLDvRC012936", true},
	    {"hf6ALLDvRC012936", false},
	    {"qf", false},
	    {"qf\033]0;x\007", false},
	    {"qfa\nqfb", false},
	    {"qfa\177", false},
	    {"qf\302\2332J", false},
	};
	struct store_select select = {.count = 0};
	struct mqueue_want want = {.select = &select};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    mqueue_want_name(&want, str_from(cases[i].name)),
		    cases[i].expected);
	(void)state;
}

static void
test_selects_files(void **state)
{
	static const struct {
		const char *terms;
		bool expected;
	} cases[] = {
	    {"", true},
	    {"I", true},
	    {"I6ALLDv", true},
	    {"I6allDv", true},
	    {"Iqf6ALL", true},
	    {"I012937", false},
	    {"I012936 I012952", true},
	    {"!I012936", false},
	    {"!I012936 !I012952", true},
	    {"SALICE", true},
	    {"Salice@example", true},
	    {"!Salice", false},
	    {"S<>", false},
	    {"Rother.TEST", true},
	    {"!Rother.test", true},
	    {"Rbob Rnobody", true},
	    {"Rnobody", false},
	    {"RPFD", false},
	    {"R.*@dest", false},
	    {"Rnot@a", false},
	    {"Salice Rcarol I6ALLDv", true},
	    {"Salice Rcarol I6ALLDx", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (is_wanted(SENDMAIL_QUEUE_NORMAL, cases[i].terms,
			"qf6ALLDvRC012936", FILE_TEXT) != cases[i].expected)
			fail_msg("%s", cases[i].terms);
	(void)state;
}

static void
test_kinds_of_files(void **state)
{
	static const struct {
		const char *name;
		enum sendmail_queue queue;
		bool expected;
	} cases[] = {
	    {"qfA", SENDMAIL_QUEUE_NORMAL, true},
	    {"qf", SENDMAIL_QUEUE_NORMAL, false},
	    {"hfA", SENDMAIL_QUEUE_NORMAL, false},
	    {"QfA", SENDMAIL_QUEUE_NORMAL, false},
	    {"dfA", SENDMAIL_QUEUE_NORMAL, false},
	    {"qA", SENDMAIL_QUEUE_NORMAL, false},
	    {"", SENDMAIL_QUEUE_NORMAL, false},
	    {"hfA", SENDMAIL_QUEUE_QUARANTINED, true},
	    {"qfA", SENDMAIL_QUEUE_QUARANTINED, false},
	    {"QfA", SENDMAIL_QUEUE_LOST, true},
	    {"qfA", SENDMAIL_QUEUE_LOST, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (is_wanted(cases[i].queue, "", cases[i].name, FILE_TEXT) !=
		    cases[i].expected)
			fail_msg("%s", cases[i].name);
	(void)state;
}

/* A q line in a qf is seen only by a scan that goes on for other lines. */
static void
test_quarantine(void **state)
{
	static const char text[] =
	    "V8\nT1\nK0\nN0\nP5\nqspam suspicion\nSa@x\nRPFD:b@y\n.\n";

	assert_true(is_wanted(SENDMAIL_QUEUE_NORMAL, "", "qfA", text));
	assert_false(is_wanted(SENDMAIL_QUEUE_NORMAL, "Sa@x", "qfA", text));
	assert_false(is_wanted(SENDMAIL_QUEUE_NORMAL, "Rb@y", "qfA", text));
	assert_true(is_wanted(SENDMAIL_QUEUE_QUARANTINED, "", "hfA", text));
	assert_true(is_wanted(SENDMAIL_QUEUE_QUARANTINED, "Rb@y", "hfA", text));
	assert_true(
	    is_wanted(SENDMAIL_QUEUE_QUARANTINED, "Qspam", "hfA", text));
	assert_false(
	    is_wanted(SENDMAIL_QUEUE_QUARANTINED, "QSpam", "hfA", text));
	assert_false(
	    is_wanted(SENDMAIL_QUEUE_QUARANTINED, "!Qspam", "hfA", text));
	assert_true(
	    is_wanted(SENDMAIL_QUEUE_QUARANTINED, "!Qvirus", "hfA", text));
	assert_true(is_wanted(SENDMAIL_QUEUE_LOST, "Sa@x", "QfA", text));
	(void)state;
}

static void
scan(const char *text, int64_t age_min_s, struct mqueue_item *item_out)
{
	const struct store_select all = {.count = 0};
	const struct mqueue_want want = {.select = &all,
	    .order = MQUEUE_BY_HOST,
	    .now_s = NOW,
	    .age_min_s = age_min_s};

	assert_true(mqueue_want_text(&want, str_from(text), item_out));
}

static void
test_facts(void **state)
{
	struct mqueue_item item;

	scan(FILE_TEXT, 3600, &item);
	assert_int_equal(item.priority, 30107);
	assert_int_equal(item.created_s, 1795295637);
	assert_true(item.is_young);
	assert_string_equal(item.host, "tset.tsed");
	free(item.host);
	/* Exactly as old as it must be. */
	scan(FILE_TEXT, 1000, &item);
	assert_false(item.is_young);
	free(item.host);
	/* Never tried. */
	scan("T1\nK1795299999\nN0\nP-149836\nRa@b\n", 3600, &item);
	assert_false(item.is_young);
	assert_int_equal(item.priority, -149836);
	assert_string_equal(item.host, "b");
	free(item.host);
	/* Tried in the future. */
	scan("T1\nK1795300001\nN1\nP1\n", 3600, &item);
	assert_false(item.is_young);
	assert_null(item.host);
	scan("", 3600, &item);
	assert_int_equal(item.priority, MQUEUE_NO_PRIORITY);
	assert_int_equal(item.created_s, 0);
	(void)state;
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t expected;
	} cases[] = {
	    {"", 0},
	    {"12x", 12},
	    {" 7", 7},
	    {"-3", -3},
	    {"x1", 0},
	    {"9223372036854775807", INT64_MAX},
	    {"99999999999999999999", INT64_MAX},
	    {"-99999999999999999999", INT64_MIN},
	    {"00000000000000000000000000000000000000000000000000001", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(mqueue_number(str_from(cases[i].text)) ==
			    cases[i].expected);
	/* K as far away as can be. */
	(void)state;
}

static void
test_numbers_that_are_too_large(void **state)
{
	struct mqueue_item item;

	scan("T99999999999999999999\nK-99999999999999999999\nN1\nP1\n", 3600,
	    &item);
	assert_false(item.is_young);
	assert_true(item.created_s == INT64_MAX);
	(void)state;
}

static void
test_lines(void **state)
{
	static const char text[] = "a\r\n\nb\0c\nd\r";
	struct str all = str_of(text, sizeof(text) - 1), line;
	struct mqueue_item item;
	size_t at = 0;

	assert_true(mqueue_line_next(all, &at, &line));
	assert_true(str_equal(line, STR("a")));
	assert_true(mqueue_line_next(all, &at, &line));
	assert_int_equal(line.size, 0);
	assert_true(mqueue_line_next(all, &at, &line));
	assert_true(str_equal(line, STR("b")));
	assert_true(mqueue_line_next(all, &at, &line));
	assert_true(str_equal(line, STR("d\r")));
	assert_false(mqueue_line_next(all, &at, &line));
	/* It is part of a host's name, as in sendmail. */
	scan("T1\r\nP1\r\nRa@B\r\n", 0, &item);
	assert_string_equal(item.host, "\rb");
	free(item.host);
	(void)state;
}

/* Sorts items and compares with the order that is expected of their names. */
static void
expect_order(struct mqueue_item *items, size_t count, const char *order_name,
    const char *expected)
{
	for (size_t i = 0; i < count; i++)
		items[i].place = i;
	mqueue_sort(items, count, mqueue_order_read(str_from(order_name)));
	for (size_t i = 0; i < count; i++)
		if (items[i].name[2] != expected[i])
			fail_msg("%s: place %zu has %s", order_name, i,
			    items[i].name);
}

static void
test_orders(void **state)
{
	static char hosts[3][8] = {"tset.a", "tset.b", "tset.c"};
	const struct mqueue_item items[] = {
	    {.name = "qfd",
		.priority = 5,
		.created_s = 3,
		.changed_s = 9,
		.host = hosts[1]},
	    {.name = "qfb", .priority = 7, .created_s = 1, .changed_s = 8},
	    {.name = "qfa",
		.priority = 5,
		.created_s = 2,
		.changed_s = 7,
		.host = hosts[0]},
	    {.name = "qfc",
		.priority = -1,
		.created_s = 2,
		.changed_s = 9,
		.host = hosts[1]},
	};
	static const struct {
		const char *order;
		const char *expected;
	} cases[] = {
	    {"", "cdab"},
	    {"priority", "cdab"},
	    {"xyz", "cdab"},
	    {"host", "bacd"},
	    {"Host", "bacd"},
	    {"time", "bacd"},
	    {"filename", "abcd"},
	    {"modification", "abdc"},
	    {"none", "dbac"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mqueue_item copy[4];

		memcpy(copy, items, sizeof(copy));
		expect_order(copy, 4, cases[i].order, cases[i].expected);
	}
	(void)state;
}

/* One that is locked holds up all of its host. */
static void
test_a_lock_by_host(void **state)
{
	static char a[] = "a", b[] = "b";
	struct mqueue_item items[] = {
	    {.name = "qf1", .priority = 1, .host = a},
	    {.name = "qf2", .priority = 2, .host = a, .is_locked = true},
	    {.name = "qf3", .priority = 3, .host = b},
	    {.name = "qf4", .priority = 4, .host = a},
	};

	expect_order(items, 4, "host", "3124");
	assert_false(items[0].is_locked);
	assert_true(items[1].is_locked);
	assert_true(items[2].is_locked);
	assert_true(items[3].is_locked);
	(void)state;
}

static void
test_load(void **state)
{
	/* 100000 / (load - 0 + 1) */
	assert_false(mqueue_is_over_load(60114, 0, 0, 100000));
	assert_true(mqueue_is_over_load(60114, 1, 0, 100000));
	assert_false(mqueue_is_over_load(50000, 1, 0, 100000));
	assert_true(mqueue_is_over_load(50001, 1, 0, 100000));
	assert_false(mqueue_is_over_load(1000000, 7, 8, 600000));
	assert_true(mqueue_is_over_load(1000000, 8, 8, 600000));
	assert_false(mqueue_is_over_load(-1, 100, 0, 0));
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_selects_files),
	    cmocka_unit_test(test_kinds_of_files),
	    cmocka_unit_test(test_quarantine),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_numbers_that_are_too_large),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_orders),
	    cmocka_unit_test(test_a_lock_by_host),
	    cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
