/* The scheduler: tables of stories, and random events with sched_check(). */
#include "sched/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct sched_options options = {
    .sessions_max = 10,
    .host_sessions_max = 4,
    .destinations_max = 4,
    .retry_min_ms = 60000,
    .retry_max_ms = 240000,
    .release_time_ms = 600000,
};

static struct sched_target
target(const char *name, const char *host, bool is_held)
{
	return (struct sched_target){str_from(name), str_from(host), is_held};
}

static uint32_t
expect_start(struct sched *s, uint64_t now_ms, const char *name)
{
	struct sched_decision d = sched_next(s, now_ms);

	assert_int_equal(d.act, SCHED_START);
	assert_string_equal(d.name, name);
	sched_check(s);
	return d.session;
}

static void
expect_nothing(struct sched *s, uint64_t now_ms)
{
	assert_int_equal(sched_next(s, now_ms).act, SCHED_NOTHING);
	sched_check(s);
}

static void
test_other_mail_goes_at_once(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);
	const struct str *domains;
	size_t count;
	bool is_released;
	uint32_t session;

	expect_nothing(s, 1);
	assert_true(sched_ready(s, &t, 1));
	session = expect_start(s, 1, "mx:a.test");
	expect_nothing(s, 1);
	assert_true(sched_may_take(s, session, &is_released, &domains, &count));
	assert_false(is_released);
	sched_taking(s, session);
	assert_true(sched_taken(s, session, 1));
	sched_delivered(s, session);
	sched_taking(s, session);
	assert_true(sched_taken(s, session, 0));
	assert_false(
	    sched_may_take(s, session, &is_released, &domains, &count));
	sched_ended(s, session, SCHED_END_GOOD, 2);
	expect_nothing(s, 2);
	sched_free(s);
}

static void
test_arrival_during_a_take_is_not_missed(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);
	const struct str *domains;
	size_t count;
	bool is_released;
	uint32_t session;

	sched_ready(s, &t, 1);
	session = expect_start(s, 1, "mx:a.test");
	sched_taking(s, session);
	sched_ready(s, &t, 1);
	assert_false(sched_taken(s, session, 0));
	assert_true(sched_may_take(s, session, &is_released, &domains, &count));
	sched_free(s);
}

static void
test_held_waits_for_its_release(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("site:x", "smtp://h:25", true);
	struct sched_decision d;
	const struct str *domains;
	size_t count;
	bool is_released = false;
	uint32_t session;

	assert_true(sched_ready(s, &t, 5));
	expect_nothing(s, 1);
	assert_false(sched_release(s, &t, NULL, 0, 5));
	session = expect_start(s, 1, "site:x");
	assert_true(sched_release(s, &t, NULL, 0, 5));
	assert_true(sched_may_take(s, session, &is_released, &domains, &count));
	assert_true(is_released);
	assert_int_equal(count, 0);
	sched_taking(s, session);
	sched_taken(s, session, 0);
	/* Another may be in hand: the run is over with its last session. */
	expect_nothing(s, 1);
	sched_ended(s, session, SCHED_END_GOOD, 2);
	d = sched_next(s, 2);
	assert_int_equal(d.act, SCHED_OVER);
	assert_true(d.is_empty);
	assert_string_equal(d.name, "site:x");
	expect_nothing(s, 2);
	/* Held again. */
	sched_ready(s, &t, 1);
	expect_nothing(s, 2);
	sched_free(s);
}

static void
test_release_of_some_domains(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("site:x", "smtp://h:25", true);
	struct str a[] = {STR("a.test")}, b[] = {STR("b.test"), STR("a.test")};
	const struct str *domains;
	size_t count;
	bool is_released;
	uint32_t session;

	sched_release(s, &t, a, 1, 1);
	session = expect_start(s, 1, "site:x");
	sched_may_take(s, session, &is_released, &domains, &count);
	assert_int_equal(count, 1);
	assert_true(str_equal(domains[0], STR("a.test")));
	assert_true(sched_release(s, &t, b, 2, 1));
	sched_may_take(s, session, &is_released, &domains, &count);
	assert_int_equal(count, 2);
	/* All of it wins, and stays. */
	assert_true(sched_release(s, &t, NULL, 0, 1));
	assert_true(sched_release(s, &t, a, 1, 1));
	sched_may_take(s, session, &is_released, &domains, &count);
	assert_int_equal(count, 0);
	sched_free(s);
}

static void
test_backoff_doubles_to_its_maximum(void **state)
{
	static const uint64_t delays[] = {60000, 120000, 240000, 240000};
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);
	uint64_t now_ms = 1000;

	sched_ready(s, &t, 1);
	for (size_t i = 0; i < 4; i++) {
		uint32_t session = expect_start(s, now_ms, "mx:a.test");

		sched_ended(s, session, SCHED_END_FAILED, now_ms);
		expect_nothing(s, now_ms + delays[i] - 1);
		assert_int_equal(sched_due(s), now_ms + delays[i]);
		now_ms += delays[i];
	}
	/* A success forgets it all. */
	sched_ended(
	    s, expect_start(s, now_ms, "mx:a.test"), SCHED_END_GOOD, now_ms);
	sched_ended(
	    s, expect_start(s, now_ms, "mx:a.test"), SCHED_END_FAILED, now_ms);
	assert_int_equal(sched_due(s), now_ms + 60000);
	/* A release clears the back-off of one that is not held. */
	sched_release(s, &t, NULL, 0, 1);
	expect_start(s, now_ms, "mx:a.test");
	sched_free(s);
}

static void
test_run_ends_when_the_host_fails_too_long(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("site:x", "smtp://h:25", true);
	struct sched_decision d;
	uint64_t now_ms = 1000, tries = 0;

	sched_release(s, &t, NULL, 0, 3);
	for (;;) {
		d = sched_next(s, now_ms);
		if (d.act == SCHED_OVER)
			break;
		if (d.act == SCHED_START) {
			tries++;
			sched_ended(s, d.session, SCHED_END_FAILED, now_ms);
			continue;
		}
		assert_true(sched_due(s) > now_ms);
		now_ms = sched_due(s);
		assert_true(now_ms < 2000000);
	}
	assert_false(d.is_empty);
	assert_in_range(now_ms, 600000, 640000);
	assert_in_range(tries, 20, 40);
	expect_nothing(s, now_ms);
	sched_free(s);
}

static void
test_two_sites_of_one_host_share_its_backoff(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target a = target("site:a", "smtp://h:25", false);
	struct sched_target b = target("site:b", "smtp://h:25", false);
	uint32_t session;

	sched_ready(s, &a, 1);
	session = expect_start(s, 1, "site:a");
	sched_ended(s, session, SCHED_END_FAILED, 1);
	sched_ready(s, &b, 1);
	expect_nothing(s, 2);
	sched_release(s, &b, NULL, 0, 1);
	expect_start(s, 2, "site:a");
	expect_nothing(s, 2); /* the failure halved its two sessions */
	sched_free(s);
}

static void
test_concurrency_grows_with_success(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);
	uint32_t sessions[8];
	size_t count = 0;

	sched_ready(s, &t, 1000);
	sessions[count++] = expect_start(s, 1, "mx:a.test");
	sessions[count++] = expect_start(s, 1, "mx:a.test");
	expect_nothing(s, 1);
	sched_delivered(s, sessions[0]);
	sessions[count++] = expect_start(s, 1, "mx:a.test");
	for (int i = 0; i < 10; i++)
		sched_delivered(s, sessions[1]);
	sessions[count++] = expect_start(s, 1, "mx:a.test");
	expect_nothing(s, 1); /* host_sessions_max */
	assert_int_equal(count, 4);
	sched_free(s);
}

static void
test_few_rows_want_one_session(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);

	sched_ready(s, &t, 7);
	expect_start(s, 1, "mx:a.test");
	expect_nothing(s, 1);
	sched_ready(s, &t, 1);
	expect_start(s, 1, "mx:a.test");
	sched_free(s);
}

static void
test_memory_is_bounded(void **state)
{
	struct sched *s = sched_new(&options);
	char names[6][32];
	uint32_t session;

	for (int i = 0; i < 6; i++) {
		snprintf(names[i], sizeof(names[i]), "mx:d%d.test", i);
		assert_int_equal(sched_ready(s,
				     &(struct sched_target){str_from(names[i]),
					 str_from(names[i]), false},
				     1),
		    i < 4);
	}
	assert_false(sched_wants_more(s));
	session = expect_start(s, 1, names[0]);
	/* Over half full: the store remembers who backs off. */
	sched_ended(s, session, SCHED_END_FAILED, 1);
	{
		struct sched_decision d = sched_next(s, 1);

		assert_int_equal(d.act, SCHED_PARK);
		assert_string_equal(d.name, names[0]);
		assert_int_equal(d.due_ms, 60001);
		assert_int_equal(d.failures, 1);
	}
	assert_true(sched_wants_more(s));
	sched_asked_more(s);
	assert_false(sched_wants_more(s));
	sched_check(s);
	sched_free(s);
}

static void
test_lost_sessions_blame_nobody(void **state)
{
	struct sched *s = sched_new(&options);
	struct sched_target t = target("mx:a.test", "mx:a.test", false);
	uint32_t session;

	sched_ready(s, &t, 1);
	session = expect_start(s, 1, "mx:a.test");
	sched_ended(s, session, SCHED_END_LOST, 1);
	expect_nothing(s, 1000);
	expect_start(s, 1001, "mx:a.test");
	sched_free(s);
}

static void
test_rank_prefers_small_and_urgent(void **state)
{
	uint64_t small = sched_rank(1000, 1000, 0);

	assert_true(small < sched_rank(1000, 1000000, 0));
	assert_true(sched_rank(1000, 1000, 1) < small);
	/* All age alike: an old large one passes a new small one. */
	assert_true(sched_rank(1000, 1000000, 0) < sched_rank(100000, 1, 0));
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return *seed >> 33;
}

/* Random events; the invariants hold after each, and sessions are bounded. */
static void
test_random_events(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sched *s = sched_new(&options);
		uint32_t sessions[10];
		size_t count = 0;
		uint64_t r = seed, now_ms = 1;

		for (int step = 0; step < 2000; step++) {
			char name[16], host[16];
			uint64_t n = next_random(&r) % 6;
			struct sched_target t;
			struct sched_decision d;

			snprintf(name, sizeof(name), "d%u", (unsigned)n);
			snprintf(host, sizeof(host), "h%u", (unsigned)n / 2);
			t = target(name, host, n % 3 == 0);
			now_ms += next_random(&r) % 20000;
			switch (next_random(&r) % 6) {
			case 0:
				sched_ready(s, &t, next_random(&r) % 20);
				break;
			case 1:
				sched_release(s, &t, NULL, 0, 3);
				break;
			case 2:
				d = sched_next(s, now_ms);
				if (d.act == SCHED_START)
					sessions[count++] = d.session;
				break;
			case 3:
				if (count > 0)
					sched_delivered(s, sessions[count - 1]);
				break;
			case 4:
				if (count > 0)
					sched_taken(s, sessions[0],
					    next_random(&r) % 3);
				break;
			default:
				if (count > 0)
					sched_ended(s, sessions[--count],
					    (enum sched_end)(
						next_random(&r) % 3),
					    now_ms);
			}
			sched_check(s);
		}
		sched_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_other_mail_goes_at_once),
	    cmocka_unit_test(test_arrival_during_a_take_is_not_missed),
	    cmocka_unit_test(test_held_waits_for_its_release),
	    cmocka_unit_test(test_release_of_some_domains),
	    cmocka_unit_test(test_backoff_doubles_to_its_maximum),
	    cmocka_unit_test(test_run_ends_when_the_host_fails_too_long),
	    cmocka_unit_test(test_two_sites_of_one_host_share_its_backoff),
	    cmocka_unit_test(test_concurrency_grows_with_success),
	    cmocka_unit_test(test_few_rows_want_one_session),
	    cmocka_unit_test(test_memory_is_bounded),
	    cmocka_unit_test(test_lost_sessions_blame_nobody),
	    cmocka_unit_test(test_rank_prefers_small_and_urgent),
	    cmocka_unit_test(test_random_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
