/* The contract tests on queue directories, over the real os and the simulated
   one, flat and with qf/, df/, xf/ below. */
#include "store/mqueue/mqueue.h"
#include "store/contract_test.h"
#include "unit/apart.h"

#include "base/log.h"
#include "os/os_sim.h"
#include "store/mqueue/mqueue_kit.h"
#include "store/ram/ram.h"

static struct store *
ram_open(void *arg)
{
	return store_ram_new(NULL);
}

static void
ram_close(void *arg, struct store *store)
{
	store->ops->close(store);
}

static int
test_seed(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	struct mqueue_place place = {.has_parts = seed % 2 == 0};
	struct store_contract_factory mqueue = {
	    place_open, place_reopen, place_close, &place};
	struct store_contract_factory ram = {ram_open, NULL, ram_close, NULL};

	store_contract_random_reopen(&mqueue, &ram, seed, 300);
	return 0;
}

/* The engine and the model give the same answers to the same requests. */
static void
test_random(void **state)
{
	const char *text = getenv("SENDQ_LONG");
	uint64_t count = text != NULL && strcmp(text, "1") == 0 ? 200 : 6;

	for (uint64_t seed = 1; seed <= count; seed++)
		assert_int_equal(apart(test_seed, &seed), 0);
}

int
main(void)
{
	static struct mqueue_place sim, parts = {.has_parts = true},
					real = {.is_real = true};
	struct store_contract_factory factory = {
	    place_open, place_reopen, place_close, &sim};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	};
	int failed = 0;

	if (getenv("SENDQ_LOG") != NULL)
		log_set(place_log, LOG_DETAIL);
	failed += store_contract_run("mqueue-sim", &factory);
	factory.arg = &parts;
	failed += store_contract_run("mqueue-parts", &factory);
	factory.arg = &real;
	failed += store_contract_run("mqueue-real", &factory);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
