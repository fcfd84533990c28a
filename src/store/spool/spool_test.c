/* The contract tests on the spool, over the real os and the simulated one. */
#include "store/contract_test.h"

#include "base/log.h"
#include "os/os_sim.h"
#include "store/ram/ram.h"
#include "store/spool/spool.h"

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
	int failed = 0;

	if (getenv("SENDQ_LOG") != NULL)
		log_set(test_sink, LOG_DETAIL);
	failed += store_contract_run("spool-sim", &factory);
	factory.arg = &small;
	failed += store_contract_run("spool-small-segments", &factory);
	factory.arg = &real;
	failed += store_contract_run("spool-real", &factory);
	return failed;
}
