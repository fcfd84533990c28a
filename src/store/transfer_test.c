/* Moving messages between stores, with a kill at each step. */
#include "store/transfer.h"
#include "store/contract_kit.h"
#include "store/mqueue/mqueue_kit.h"
#include "store/ram/ram.h"

static const struct kit_row both_rows[] = {
    {"a@x.org", "x.org", false}, {"b@held.org", "held.org", true}, {NULL}};

static bool
test_is_held(void *arg, struct str destination)
{
	return str_starts(destination, STR("held"));
}

static uint64_t
test_rank(uint64_t arrival_ms, uint64_t size, int priority)
{
	return arrival_ms;
}

static struct store_transfer
test_transfer_of(struct store *from, struct store *to)
{
	return (struct store_transfer){
	    .from = from, .to = to, .is_held = test_is_held, .rank = test_rank};
}

static void
test_fill(struct store *store)
{
	struct store_result later = {0, STORE_DEFERRED, 9000,
	    STR("451 4.2.0 later"), .alarm_ms = 77, .is_told = true};
	size_t changed, leased;

	for (size_t i = 0; i < 4; i++) {
		char id[8];

		snprintf(id, sizeof(id), "M%zu", i);
		assert_int_equal(
		    kit_append(store, kit_message(id, i, 90, both_rows)), 0);
	}
	kit_expect_take(store, "x.org", false, 1, "M0");
	assert_int_equal(kit_settle(store, "M0", "x.org", later, NULL), 0);
	assert_int_equal(
	    kit_change(store, STORE_CHANGE_HOLD, "M1", "", &changed, &leased),
	    0);
	assert_int_equal(kit_change(store, STORE_CHANGE_HOLD, "M2", "held.org",
			     &changed, &leased),
	    0);
	/* Content that does not go through memory. */
	assert_int_equal(
	    kit_stage(store, "BIG", 0, STORE_CONTENT_MEMORY + 5), 0);
	{
		struct store_message *big = kit_message("BIG", 9, 0, both_rows);

		big->is_staged = true;
		big->content_size = STORE_CONTENT_MEMORY + 5;
		assert_int_equal(kit_append(store, big), 0);
	}
}

/* The content of ID is that of kit_content(). */
static void
test_expect_content(struct store *store, const char *id, size_t size)
{
	char *want = kit_content(id, 0, size);
	struct buf got;

	buf_init(&got, 8 << 20);
	assert_int_equal(kit_read(store, id, &got), 0);
	assert_true(str_equal(buf_str(&got), str_of(want, size)));
	buf_fini(&got);
	free(want);
}

static void
test_there_and_back(void **state)
{
	struct mqueue_place place = {.is_real = false};
	struct store *ram = store_ram_new(NULL), *mqueue = place_open(&place);
	struct store_transfer there = test_transfer_of(ram, mqueue);
	struct store_transfer back;
	struct buf before, after;

	test_fill(ram);
	before = kit_state(ram);
	assert_int_equal(store_transfer(&there), 0);
	assert_int_equal(there.moved_count, 5);
	assert_int_equal(there.merged_count + there.left_count, 0);
	after = kit_state(ram);
	assert_int_equal(buf_size(&after), 0);
	buf_fini(&after);
	mqueue = place_reopen(&place, mqueue);
	test_expect_content(mqueue, "BIG", STORE_CONTENT_MEMORY + 5);
	test_expect_content(mqueue, "M3", 90);
	back = test_transfer_of(mqueue, ram);
	assert_int_equal(store_transfer(&back), 0);
	after = kit_state(ram);
	kit_expect_same(&before, &after);
	test_expect_content(ram, "BIG", STORE_CONTENT_MEMORY + 5);
	place_close(&place, mqueue);
	ram->ops->close(ram);
}

/* Only what is asked for; what is leased stays. */
static void
test_selection(void **state)
{
	struct store *a = store_ram_new(NULL), *b = store_ram_new(NULL);
	struct store_transfer some = test_transfer_of(a, b);

	test_fill(a);
	kit_expect_take(a, "held.org", true, 1, "M0");
	some.filter.destination = STR("held.org");
	some.filter.size_above = 89;
	assert_int_equal(store_transfer(&some), 0);
	assert_int_equal(some.moved_count, 4);
	assert_int_equal(some.left_count, 1);
	some.filter.id = STR("none");
	assert_int_equal(store_transfer(&some), 0);
	assert_int_equal(some.moved_count, 0);
	a->ops->close(a);
	b->ops->close(b);
}

/* One that is in both already is removed here; another one with its id is
   not. */
static void
test_merge(void **state)
{
	struct store *a = store_ram_new(NULL), *b = store_ram_new(NULL);
	struct store_transfer all = test_transfer_of(a, b);
	struct buf before, after;

	test_fill(a);
	assert_int_equal(kit_append(b, kit_message("M3", 3, 90, both_rows)), 0);
	assert_int_equal(kit_append(b, kit_message("M0", 0, 91, both_rows)), 0);
	assert_int_equal(store_transfer(&all), 0);
	assert_int_equal(all.moved_count, 3);
	assert_int_equal(all.merged_count, 1);
	assert_int_equal(all.left_count, 1);
	before = kit_state(b);
	assert_int_equal(store_transfer(&all), 0);
	assert_int_equal(all.moved_count + all.merged_count, 0);
	after = kit_state(b);
	kit_expect_same(&before, &after);
	a->ops->close(a);
	b->ops->close(b);
}

/* Disks that fail in the middle: nothing is lost, and the next run ends it. */
static void
test_cut_off(void **state)
{
	for (uint64_t n = 1; n < 400; n += 13) {
		struct mqueue_place place = {.is_real = false};
		struct store *ram = store_ram_new(NULL);
		struct store *mqueue = place_open(&place);
		struct store_transfer all = test_transfer_of(ram, mqueue);
		struct buf text;

		assert_int_equal(
		    kit_append(ram, kit_message("A", 1, 90, both_rows)), 0);
		assert_int_equal(
		    kit_append(ram, kit_message("B", 2, 70, both_rows)), 0);
		os_sim_fail_at(place.os, n, -ENOSPC, false);
		(void)!store_transfer(&all);
		os_sim_fail_at(place.os, 0, 0, false);
		if (place.is_dead) {
			mqueue = place_reopen(&place, mqueue);
			all = test_transfer_of(ram, mqueue);
		}
		assert_int_equal(store_transfer(&all), 0);
		text = kit_state(ram);
		if (buf_size(&text) > 0)
			fail_msg("call %llu: %llu merged, %llu left:\n%.*s",
			    KIT_U(n), KIT_U(all.merged_count),
			    KIT_U(all.left_count), STR_ARG(buf_str(&text)));
		buf_fini(&text);
		mqueue = place_reopen(&place, mqueue);
		test_expect_content(mqueue, "A", 90);
		test_expect_content(mqueue, "B", 70);
		place_close(&place, mqueue);
		ram->ops->close(ram);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_selection),
	    cmocka_unit_test(test_merge),
	    cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
