/* Our line in a control file: what is written is read as the same, and what is
   no such line is refused. */
#include "store/mqueue/mqueue_own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
test_round_trip(void **state)
{
	struct mq_fact_row rows[] = {
	    {.index = 7,
		.lane = STORE_WAITING,
		.due_ms = 9000,
		.has_attempts = true,
		.attempts = 3,
		.has_alarm = true,
		.alarm_ms = UINT64_MAX,
		.is_told = true,
		.is_held = true,
		.destination = STR("smtp://[::1]:25 %"),
		.domain = STR("a.test")},
	    {.index = 2,
		.lane = STORE_STOPPED,
		.destination = STR("smtp://[::1]:25 %"),
		.domain = STR("b.test")},
	    {.index = 8,
		.lane = STORE_READY,
		.destination = STR("d"),
		.domain = STR("")},
	};
	struct mq_facts facts = {.arrival_ms = 1,
	    .arrival_wall_ms = 2,
	    .expire_ms = 3,
	    .rank = UINT64_MAX,
	    .size = 5,
	    .version = 6,
	    .order = 7,
	    .priority = -9,
	    .is_raw = true,
	    .is_bare = true,
	    .reason = STR("one of \"two\"\xff"),
	    .row_count = 9,
	    .rows = rows,
	    .count = 3};
	struct mq_facts got;
	struct arena arena;
	struct buf text;

	arena_init(&arena, 1 << 20);
	buf_init(&text, 1 << 20);
	assert_int_equal(mq_facts_write(&facts, &text), 0);
	assert_true(str_equal(buf_str(&text),
	    STR("1 a1 w2 e3 k18446744073709551615 s5 q7 v6 m-9 r b"
		" yone%20of%20\"two\"%FF n9"
		" +7 W9000 t3 A18446744073709551615 T h"
		" dsmtp://[::1]:25%20%25 oa.test +2 S ob.test +8 R dd o")));
	assert_int_equal(mq_facts_read(buf_str(&text), &arena, &got), 0);
	assert_int_equal(got.rank, UINT64_MAX);
	assert_int_equal(got.version, 6);
	assert_int_equal(got.priority, -9);
	assert_true(got.is_raw && got.is_bare);
	assert_true(str_equal(got.reason, facts.reason));
	assert_int_equal(got.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(got.rows[i].index, rows[i].index);
		assert_int_equal(got.rows[i].lane, rows[i].lane);
		assert_int_equal(got.rows[i].due_ms, rows[i].due_ms);
		assert_int_equal(got.rows[i].attempts, rows[i].attempts);
		assert_int_equal(got.rows[i].alarm_ms, rows[i].alarm_ms);
		assert_int_equal(got.rows[i].is_told, rows[i].is_told);
		assert_int_equal(got.rows[i].is_held, rows[i].is_held);
		assert_true(
		    str_equal(got.rows[i].destination, rows[i].destination));
		assert_true(str_equal(got.rows[i].domain, rows[i].domain));
	}
	buf_fini(&text);
	arena_fini(&arena);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {{"1 n1 +0 R dd", 0}, {"1 n1 z5 +0 R dd y", 0},
	    {"", -EINVAL}, {"staged", -EINVAL}, {"2 n1 +0 R dd", -EINVAL},
	    {"1 n1", -EINVAL}, {"1 n1 +1 R dd", -EINVAL},
	    {"1 n1001 +0 R dd", -EINVAL}, {"1 n1 + R dd", -EINVAL},
	    {"1 n1 +0 W dd", -EINVAL}, {"1 n1 +0 W0 dd", -EINVAL},
	    {"1 n1 +0 R dd%4", -EINVAL}, {"1 n1 +0 R d%4g", -EINVAL},
	    {"1 n1 a- +0 R dd", -EINVAL}, {"1 n1 m10 +0 R dd", -EINVAL},
	    {"1 n1 a18446744073709551616 +0 R dd", -EINVAL},
	    {"1 n1 +0 t4294967296 R dd", -EINVAL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mq_facts facts;
		struct arena arena;
		int error;

		arena_init(&arena, 1 << 16);
		error = mq_facts_read(str_from(cases[i].text), &arena, &facts);
		if (error != cases[i].error)
			fail_msg("%s: %d", cases[i].text, error);
		arena_fini(&arena);
	}
}

/* Any bytes are read to an end. */
static void
test_any(void **state)
{
	static const char letters[] = "1 awekqvsmrbn+RWHStAThdo%0459Az-";
	uint32_t random = 1;
	char text[120];

	for (int round = 0; round < 20000; round++) {
		struct mq_facts facts;
		struct arena arena;
		size_t size = 0;

		for (; size < sizeof(text); size++) {
			random = random * 1664525 + 1013904223;
			text[size] =
			    letters[(random >> 16) % (sizeof(letters) - 1)];
			if ((random >> 8) % 100 == 0)
				break;
		}
		text[0] = '1';
		text[1] = ' ';
		arena_init(&arena, 1 << 16);
		(void)!mq_facts_read(str_of(text, size), &arena, &facts);
		arena_fini(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
