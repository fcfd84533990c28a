/* The model engine against the contract, and against itself: that shows that
   the random driver stays in step and that the engine has no hidden state. */
#include "store/ram/ram.h"
#include "store/contract_test.h"
#include "unit/apart.h"

#include "os/os_sim.h"

#define RAM_TEST_SEEDS 9
#define RAM_TEST_STEPS 1000

static struct store *
ram_test_open(void *arg)
{
	return store_ram_new(NULL);
}

static void
ram_test_close(void *arg, struct store *store)
{
	store->ops->close(store);
}

static const struct store_contract_factory ram_test_factory = {
    .open = ram_test_open,
    .close = ram_test_close,
};

static int
ram_test_seed(void *arg)
{
	const uint64_t *seed = arg;
	struct store *a = store_ram_new(NULL);
	struct store *b = store_ram_new(NULL);

	store_contract_random(a, b, *seed, apart_scale(RAM_TEST_STEPS));
	a->ops->close(a);
	b->ops->close(b);
	return 0;
}

static void
ram_test_random(void **state)
{
	for (uint64_t seed = 1; seed <= RAM_TEST_SEEDS; seed++)
		apart(ram_test_seed, &seed);
	store_contract_random_reopen(&ram_test_factory, &ram_test_factory, 99,
	    apart_scale(RAM_TEST_STEPS));
}

static const struct kit_row ram_test_row[] = {
    {"a@x.org", "x.org", false}, {NULL}};

/* Content that does not fit the room is refused, and nothing is changed. */
static void
ram_test_room(void **state)
{
	struct os *os = os_sim_new(1);
	struct store *store = store_ram_new(os);
	struct buf text;

	os_sim_set_room(os, 1000);
	assert_int_equal(
	    kit_append(store, kit_message("A", 1, 1001, ram_test_row)),
	    -ENOSPC);
	assert_int_equal(kit_stage(store, "A", 0, 1001), -ENOSPC);
	text = kit_state(store);
	assert_int_equal(buf_size(&text), 0);
	buf_fini(&text);
	assert_int_equal(
	    kit_append(store, kit_message("A", 1, 1000, ram_test_row)), 0);
	store->ops->close(store);
	os_free(os);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ram_test_random),
	    cmocka_unit_test(ram_test_room),
	};

	return store_contract_run("ram", &ram_test_factory) +
	       cmocka_run_group_tests_name("ram itself", tests, NULL, NULL);
}
