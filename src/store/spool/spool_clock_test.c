/*
 * What a spool knows of time when it is opened again: both clocks of one and
 * the same moment, the latest that anything on disk tells of.
 */
#include "os/os_sim.h"
#include "store/contract_test.h"
#include "store/spool/spool.h"

/* The wall clock as those who append see it, at queue time MS. */
#define WALL(ms) (UINT64_C(1700000000000) + (ms))

static const struct store_spool_options options = {.segment_size = 1 << 20};

static struct store_message *
message_at(const char *id, uint64_t queue_ms, uint64_t wall_ms)
{
	static const struct kit_row rows[] = {{"a@x.org", "d", false}, {NULL}};
	struct store_message *message = kit_message(id, 0, 200, rows);

	message->arrival_ms = queue_ms;
	message->arrival_wall_ms = wall_ms;
	return message;
}

static void
expect_clocks(struct os *os, uint64_t queue_ms, uint64_t wall_ms)
{
	struct store_info info;
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	store->ops->info(store, &info);
	assert_int_equal(info.queue_ms, queue_ms);
	assert_int_equal(info.wall_ms, wall_ms);
	/* No time passed, so none is counted. */
	assert_int_equal(store_time_resumed(&info, wall_ms), queue_ms);
	store->ops->close(store);
}

/* Both after a power cut, where the log is read, and after a clean end. */
static void
expect_clocks_after(
    struct store *store, struct os *os, uint64_t queue_ms, uint64_t wall_ms)
{
	struct os *cut = os_sim_crash(os, OS_SIM_CRASH_LOST, 1);

	expect_clocks(cut, queue_ms, wall_ms);
	os_free(cut);
	store->ops->close(store);
	expect_clocks(os, queue_ms, wall_ms);
}

/* A message came behind the last clock record. */
static void
test_append(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	assert_int_equal(kit_clock(store, 5000, WALL(5000)), 0);
	assert_int_equal(
	    kit_append(store, message_at("a", 64000, WALL(64000))), 0);
	/* One that began to come before the last clock record tells nothing. */
	assert_int_equal(kit_append(store, message_at("b", 63000, WALL(0))), 0);
	expect_clocks_after(store, os, 64000, WALL(64000));
	os_free(os);
}

/* The clock was set in between: what is newer counts. */
static void
test_clock_was_set(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	assert_int_equal(kit_append(store, message_at("a", 5000, WALL(0))), 0);
	assert_int_equal(kit_clock(store, 6000, WALL(900000)), 0);
	assert_int_equal(
	    kit_append(store, message_at("b", 7000, WALL(20000))), 0);
	expect_clocks_after(store, os, 7000, WALL(20000));
	os_free(os);
}

/* The last thing that is known is a clock record. */
static void
test_clock_record(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	assert_int_equal(
	    kit_append(store, message_at("a", 5000, WALL(5000))), 0);
	assert_int_equal(kit_clock(store, 65000, WALL(65001)), 0);
	expect_clocks_after(store, os, 65000, WALL(65001));
	os_free(os);
}

/* A notification comes with a settle. */
static void
test_settle(void **state)
{
	struct store_result failed = {0, STORE_FAILED, 0, STR("550")};
	struct store_request *request;
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	assert_int_equal(
	    kit_append(store, message_at("a", 5000, WALL(5000))), 0);
	kit_expect_take(store, "d", false, 1, "a");
	request = kit_settle_new("a", "d", &failed, 1);
	request->u.settle.dsn = message_at("n", 61000, WALL(61000));
	assert_int_equal(kit_finish(store, request), 0);
	expect_clocks_after(store, os, 61000, WALL(61000));
	os_free(os);
}

/* A new segment begins with what was known then. */
static void
test_segments(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	for (uint64_t i = 1; i <= 40; i++) {
		struct store_message *message;
		char id[16];

		snprintf(id, sizeof(id), "m%u", (unsigned)i);
		message = message_at(id, i * 1000, WALL(i * 1000));
		buf_clear(&message->content);
		kit_set_content(message, 60000);
		assert_int_equal(kit_append(store, message), 0);
	}
	expect_clocks_after(store, os, 40000, WALL(40000));
	os_free(os);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_append),
	    cmocka_unit_test(test_clock_was_set),
	    cmocka_unit_test(test_clock_record),
	    cmocka_unit_test(test_settle),
	    cmocka_unit_test(test_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
