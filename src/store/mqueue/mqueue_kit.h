/*
 * Queue directories for tests, real and simulated, with a state directory
 * beside each; a header of static functions for test programs only.
 */
#ifndef STORE_MQUEUE_MQUEUE_KIT_H
#define STORE_MQUEUE_MQUEUE_KIT_H

#include "store/contract_kit.h"
#include "store/mqueue/mqueue.h"

#include "base/log.h"
#include "os/os_sim.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

/* A queue directory, and what it lies on. */
struct mqueue_place {
	bool is_real;
	bool has_parts; /* qf/, df/, xf/ */
	bool is_dead;   /* what is on the disk is unknown */
	struct os *os, *state;
	char path[64], state_path[64];
};

/* Everything goes to its own domain. */
__attribute__((unused)) static void
place_route(void *arg, struct str address, struct mqueue_route *route_out)
{
	struct str domain = str_skip(address, str_find(address, '@') + 1);

	snprintf(route_out->destination, sizeof(route_out->destination), "%.*s",
	    STR_ARG(domain.size > 0 ? domain : STR("none")));
	snprintf(route_out->domain, sizeof(route_out->domain), "%.*s",
	    STR_ARG(str_head(domain, MAIL_DOMAIN_MAX)));
	route_out->is_held = str_starts(domain, STR("held"));
}

__attribute__((unused)) static void
place_log(enum log_level level, struct str line)
{
	fprintf(stderr, "%.*s\n", STR_ARG(line));
}

static void
place_fatal(void *arg)
{
	((struct mqueue_place *)arg)->is_dead = true;
}

__attribute__((unused)) static struct store *
place_open_store(struct mqueue_place *place)
{
	struct store_mqueue_options options = {
	    .route = place_route,
	    .hostname = STR("here.test"),
	    .state = place->state,
	    .fatal = place_fatal,
	    .fatal_arg = place,
	};
	struct store *store = NULL;

	assert_int_equal(store_mqueue_open(place->os, &options, &store), 0);
	return store;
}

/* Lets the engine look what others have done. */
__attribute__((unused)) static void
place_rescan(struct store *store)
{
	assert_int_equal(kit_clock(store, 1700000000000, 1700000000000), 0);
}

static struct os *
place_directory(char path[64])
{
	/* In memory, where syncs cost nothing, if there is such a place. */
	snprintf(path, 64, "/dev/shm/mqueue-test-XXXXXX");
	if (mkdtemp(path) == NULL) {
		snprintf(path, 64, "/tmp/mqueue-test-XXXXXX");
		assert_non_null(mkdtemp(path));
	}
	return os_real_new(open(path, O_RDONLY | O_DIRECTORY));
}

__attribute__((unused)) static void
place_make(struct mqueue_place *place)
{
	if (place->is_real) {
		place->os = place_directory(place->path);
		place->state = place_directory(place->state_path);
	} else {
		place->os = os_sim_new(7);
		place->state = os_sim_new(8);
	}
	if (!place->has_parts)
		return;
	assert_int_equal(os_make_directory(place->os, "qf"), 0);
	assert_int_equal(os_make_directory(place->os, "df"), 0);
	assert_int_equal(os_make_directory(place->os, "xf"), 0);
}

__attribute__((unused)) static struct store *
place_open(void *arg)
{
	place_make(arg);
	return place_open_store(arg);
}

__attribute__((unused)) static struct store *
place_reopen(void *arg, struct store *store)
{
	store->ops->close(store);
	return place_open_store(arg);
}

static int
place_remove_entry(
    const char *path, const struct stat *status, int type, struct FTW *where)
{
	return remove(path);
}

__attribute__((unused)) static void
place_remove(struct mqueue_place *place)
{
	os_free(place->os);
	os_free(place->state);
	if (!place->is_real)
		return;
	nftw(place->path, place_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	nftw(place->state_path, place_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

__attribute__((unused)) static void
place_close(void *arg, struct store *store)
{
	store->ops->close(store);
	place_remove(arg);
}

#endif
