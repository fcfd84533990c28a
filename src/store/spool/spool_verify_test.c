/*
 * The administrator's check: a spool without damage has none; a flipped bit in
 * what is queued is told, wherever it is; a rebuilt index says what the old one
 * said.
 */
#include "os/os_sim.h"
#include "store/contract/contract_own.h"
#include "store/contract_test.h"
#include "store/spool/spool.h"

static const struct store_spool_options verify_options = {
    .segment_size = 1 << 20};

/* A spool with content in the log, in a file of its own, and of none; moved,
   stopped and settled rows. */
static struct os *
verify_begin(void)
{
	static const struct store_move moves[] = {{0, STR("n"), true, 0}};
	static const struct kit_row rows[] = {
	    {"a@x.org", "d", false}, {"b@x.org", "e", true}, {NULL}};
	struct store_result done = {1, STORE_DELIVERED, 0, STR("")};
	struct store_result later = {0, STORE_DEFERRED, 5000, STR("451")};
	struct os *os = os_sim_new(1);
	struct store_message *message;
	struct store *store;
	size_t changed, leased;

	assert_int_equal(store_spool_open(os, &verify_options, &store), 0);
	assert_int_equal(
	    kit_append(store, kit_message("small", 1, 3000, rows)), 0);
	assert_int_equal(
	    kit_append(store, kit_message("wide", 2, 200000, rows)), 0);
	assert_int_equal(kit_append(store, kit_message("none", 3, 0, rows)), 0);
	assert_int_equal(kit_stage(store, "big", 0, 150000), 0);
	message = kit_message("big", 4, 0, rows);
	message->is_staged = true;
	message->content_size = 150000;
	assert_int_equal(kit_append(store, message), 0);
	/* What waited goes home with its move. */
	kit_expect_take(store, "d", false, 2, "small wide");
	assert_int_equal(kit_settle(store, "wide", "d", later, NULL), 0);
	steer_move_expect(store, "wide", moves, 1, true, "0 1 1 0");
	assert_int_equal(
	    kit_change(store, STORE_CHANGE_HOLD, "none", "", &changed, &leased),
	    0);
	kit_expect_take(store, "e", true, 1, "small");
	assert_int_equal(kit_settle(store, "small", "e", done, NULL), 0);
	store->ops->close(store);
	return os;
}

static void
verify_expect(struct os *os, const struct store_spool_options *options,
    uint64_t messages, uint64_t bytes, bool is_wrong)
{
	struct store_spool_report report;
	struct store *store;

	assert_int_equal(store_spool_open(os, options, &store), 0);
	assert_int_equal(store_spool_verify(store, &report), 0);
	assert_int_equal(report.message_count, messages);
	assert_int_equal(report.bytes, bytes);
	assert_int_equal(report.wrong_count > 0, is_wrong);
	assert_true(report.record_count >= messages);
	store->ops->close(store);
}

static void
test_nothing_wrong(void **state)
{
	struct os *os = verify_begin();

	verify_expect(os, &verify_options, 4, 353000, false);
	verify_expect(os, &verify_options, 4, 353000, false);
	os_free(os);
}

/* A new one says the same as the old one. */
static void
test_rebuilt(void **state)
{
	struct store_spool_options options = verify_options;
	struct os *os = verify_begin();
	struct buf before, after;
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	before = kit_state(store);
	store->ops->close(store);
	options.is_index_new = true;
	verify_expect(os, &options, 4, 353000, false);
	assert_int_equal(store_spool_open(os, &verify_options, &store), 0);
	after = kit_state(store);
	kit_expect_same(&before, &after);
	store->ops->close(store);
	os_free(os);
}

/* Each of these is in something that is queued. */
static void
test_flipped(void **state)
{
	static const struct {
		const char *name;
		uint64_t offset;
	} cases[] = {
	    {"log/0000000001", 512 + 2},    /* the header of a record */
	    {"log/0000000001", 512 + 60},   /* its body */
	    {"log/0000000001", 512 + 1500}, /* its content */
	    {"log/0000000001", 100000},     /* a later block */
	    {"big/big", 10},
	    {"big/big", 149999},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct os *os = verify_begin();

		assert_int_equal(
		    os_sim_flip(os, cases[i].name, cases[i].offset), 0);
		verify_expect(os, &verify_options, 4, 353000, true);
		os_free(os);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_wrong),
	    cmocka_unit_test(test_rebuilt),
	    cmocka_unit_test(test_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
