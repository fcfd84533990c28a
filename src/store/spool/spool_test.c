/* The contract tests on the spool, over the real os and the simulated one. */
#include "store/contract_test.h"

#include "base/log.h"
#include "os/os_sim.h"
#include "store/ram/ram.h"
#include "store/spool/spool.h"
#include "unit/apart.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

/* A spool and what it lies on. */
struct spool_place {
	bool is_real;
	struct os *os;
	char path[64];
	uint64_t segment_size;
};

static struct store *
place_open_spool(struct spool_place *place)
{
	struct store_spool_options options = {
	    .segment_size = place->segment_size};
	struct store *store = NULL;
	int error = store_spool_open(place->os, &options, &store);

	assert_int_equal(error, 0);
	return store;
}

static struct store *
place_open(void *arg)
{
	struct spool_place *place = arg;

	if (place->is_real) {
		snprintf(
		    place->path, sizeof(place->path), "/tmp/spool-test-XXXXXX");
		assert_non_null(mkdtemp(place->path));
		place->os =
		    os_real_new(open(place->path, O_RDONLY | O_DIRECTORY));
	} else
		place->os = os_sim_new(7);
	return place_open_spool(place);
}

static struct store *
place_reopen(void *arg, struct store *store)
{
	store->ops->close(store);
	return place_open_spool(arg);
}

static int
place_remove_entry(
    const char *path, const struct stat *status, int type, struct FTW *where)
{
	return remove(path);
}

static void
place_close(void *arg, struct store *store)
{
	struct spool_place *place = arg;

	store->ops->close(store);
	os_free(place->os);
	if (place->is_real)
		nftw(place->path, place_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

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

/* The spool and the model give the same answers to the same requests. */
static int
random_seed(void *arg)
{
	const uint64_t *seed = arg;
	struct spool_place place = {.segment_size = 0};
	struct store_contract_factory spool = {
	    place_open, place_reopen, place_close, &place};
	struct store_contract_factory ram = {ram_open, NULL, ram_close, NULL};

	place.segment_size = *seed % 2 == 0 ? 0 : 8192;
	store_contract_random_reopen(&spool, &ram, *seed, 400);
	return 0;
}

static void
test_random(void **state)
{
	const char *text = getenv("SENDQ_LONG");
	uint64_t count = text != NULL && strcmp(text, "1") == 0 ? 200 : 4;

	for (uint64_t seed = 1; seed <= count; seed++)
		apart(random_seed, &seed);
}

/* What is written ahead in the log stays within what was reserved, and the
   records that come there are found. */
static void
test_written_ahead(void **state)
{
	struct spool_place place = {.segment_size = 65536};
	struct store *store = place_open(&place);
	struct os_file *file;
	char id[STORE_ID_MAX + 1];
	uint64_t size;
	struct buf content;

	for (int i = 0; i < 40; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		kit_append_one(store, id, 1000, "x.test", false);
		assert_int_equal(
		    os_open(place.os, "log/0000000001", OS_READ, &file), 0);
		assert_int_equal(os_size(place.os, file, &size), 0);
		os_close(place.os, file);
		assert_int_equal(size, 65536);
	}
	store = place_reopen(&place, store);
	buf_init(&content, 1 << 20);
	for (int i = 0; i < 40; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		buf_clear(&content);
		assert_int_equal(kit_read(store, id, &content), 0);
		assert_int_equal(buf_size(&content), 1100);
	}
	buf_fini(&content);
	place_close(&place, store);
}

static void
test_sink(enum log_level level, struct str line)
{
	fprintf(stderr, "%.*s\n", STR_ARG(line));
}

int
main(void)
{
	static struct spool_place sim = {.segment_size = 0},
				  small = {.segment_size = 8192},
				  real = {.is_real = true};
	struct store_contract_factory factory = {
	    place_open, place_reopen, place_close, &sim};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_written_ahead),
	};
	int failed = 0;

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	failed += store_contract_run("spool-sim", &factory);
	factory.arg = &small;
	failed += store_contract_run("spool-small-segments", &factory);
	factory.arg = &real;
	failed += store_contract_run("spool-real", &factory);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
