/*
 * What the spool remembers of a parked destination when its process is killed:
 * what is to be kept is there again, and the messages are as they were.
 */
#include "os/os_sim.h"
#include "store/contract_test.h"
#include "store/spool/spool.h"

static const struct store_spool_options options = {.segment_size = 1 << 20};

static void
park(
    struct store *store, const char *destination, uint64_t due_ms, bool is_kept)
{
	struct store_request *request = store_request_new(STORE_PARK);

	request->u.park.destination = str_from(destination);
	request->u.park.due_ms = due_ms;
	request->u.park.is_kept = is_kept;
	assert_int_equal(kit_finish(store, request), 0);
}

/* Until when DESTINATION is parked, and how many messages it has. */
static void
expect_parked(struct store *store, const char *destination, uint64_t due_ms,
    uint64_t messages)
{
	struct store_request *request = store_request_new(STORE_DESTINATIONS);
	uint64_t found_ms = 0, found_messages = 0;

	request->u.destinations.count = 10;
	kit_run(store, request);
	for (size_t i = 0; i < request->u.destinations.destination_count; i++) {
		const struct store_destination *d =
		    &request->u.destinations.destinations[i];

		if (!str_equal(d->name, str_from(destination)))
			continue;
		found_ms = d->due_ms;
		found_messages = d->messages;
	}
	assert_int_equal(found_ms, due_ms);
	assert_int_equal(found_messages, messages);
	store_request_free(request);
}

/* The process is killed, the machine goes on: what was written is there. */
static void
expect_parked_after_kill(
    struct os *os, const char *destination, uint64_t due_ms, uint64_t messages)
{
	struct os *left = os_sim_crash(os, OS_SIM_CRASH_KEPT, 1);
	struct store *store;

	assert_int_equal(store_spool_open(left, &options, &store), 0);
	expect_parked(store, destination, due_ms, messages);
	store->ops->close(store);
	os_free(left);
}

static void
test_kept(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store;

	assert_int_equal(store_spool_open(os, &options, &store), 0);
	kit_append_one(store, "a", 1, "x.org", true);
	kit_append_one(store, "b", 2, "y.org", true);
	/* Soon after is too soon. */
	park(store, "y.org", 7000, false);
	expect_parked(store, "y.org", 7000, 1);
	expect_parked_after_kill(os, "y.org", 0, 1);
	park(store, "x.org", 5000, true);
	kit_append_one(store, "c", 3, "x.org", true);
	expect_parked_after_kill(os, "x.org", 5000, 2);
	expect_parked_after_kill(os, "y.org", 7000, 1);
	park(store, "x.org", 0, true);
	expect_parked_after_kill(os, "x.org", 0, 2);
	expect_parked_after_kill(os, "y.org", 7000, 1);
	store->ops->close(store);
	os_free(os);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
