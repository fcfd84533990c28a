/* The directory of a queue run: -oQ names one of ours that was moved away, or
   one of sendmail's. */
#include "cmd/run_place.h"
#include "base/log.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/view_spool.h"
#include "mail/drop.h"
#include "os/os.h"
#include "store/spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLACE_MQUEUE   "mqueue:"
#define PLACE_PAUSE_MS 10
#define PLACE_DROP_MS  3000 /* without one file taken */

/* What the setting NAME, or -oQ, is about: a directory, or "DIR/q*". */
static struct str
place_path(struct str name)
{
	if (str_starts(name, STR(PLACE_MQUEUE)))
		name = str_skip(name, sizeof(PLACE_MQUEUE) - 1);
	while (name.size > 1 && name.data[name.size - 1] == '/')
		name.size--;
	return name;
}

/* True if both are names of one directory. */
static bool
place_is_same(const char *a, struct str b)
{
	char path[RUN_PLACE_MAX], real_a[PATH_MAX], real_b[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s", STR_ARG(b));
	if (strcmp(a, path) == 0)
		return true;
	return realpath(a, real_a) != NULL && realpath(path, real_b) != NULL &&
	       strcmp(real_a, real_b) == 0;
}

/* The directory that PATH, which may be "DIR/q*" for several, is in or is. */
static void
place_base(char base[RUN_PLACE_MAX], const char *path)
{
	size_t size = strlen(path);

	if (size > 0 && path[size - 1] == '*')
		while (size > 0 && path[size - 1] != '/')
			size--;
	while (size > 1 && path[size - 1] == '/')
		size--;
	snprintf(base, RUN_PLACE_MAX, "%.*s", (int)size, path);
}

bool
run_place_find(const struct sendmail_options *options, const struct conf *conf,
    struct run_place *place_out)
{
	struct str path = options->queue_directory;
	struct str configured = place_path(conf->spool);
	char base[RUN_PLACE_MAX];
	int error;

	*place_out = (struct run_place){.is_configured = path.size == 0};
	path = place_out->is_configured ? configured : place_path(path);
	if (path.size >= RUN_PLACE_MAX) {
		fprintf(stderr, "sendmail: %s\n", strerror(ENAMETOOLONG));
		return false;
	}
	snprintf(
	    place_out->path, sizeof(place_out->path), "%.*s", STR_ARG(path));
	if (place_is_same(place_out->path, configured))
		place_out->is_configured = true;
	/* What is configured may not be there yet. */
	place_out->is_own = place_out->is_configured
	                        ? !str_starts(conf->spool, STR(PLACE_MQUEUE))
	                        : mqueue_dirs_is_spool(place_out->path);
	snprintf(place_out->spool, sizeof(place_out->spool), "%s%s",
	    place_out->is_own ? "" : PLACE_MQUEUE, place_out->path);
	/* What is configured and not there yet is made. */
	place_base(base, place_out->path);
	if (access(base, R_OK | X_OK) == 0 ||
	    (place_out->is_configured && errno == ENOENT))
		return true;
	error = errno;
	fprintf(stderr, "can not chdir(%s/): %s\n%s", base, strerror(error),
	    error == EACCES ? "Program mode requires special privileges, e.g., "
			      "root or TrustedUser.\n"
			    : "");
	return false;
}

/* How many names PATH has; 0 where it cannot be read. */
static size_t
place_count_names(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	size_t count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

void
run_place_await_drop(const struct conf *conf)
{
	static const struct timespec pause = {
	    .tv_nsec = PLACE_PAUSE_MS * 1000000L};
	char path[RUN_PLACE_MAX];
	size_t before = 0;

	if (conf->drop_directory.size == 0)
		return;
	snprintf(path, sizeof(path), "%.*s/" DROP_DIR_NEW,
	    STR_ARG(conf->drop_directory));
	for (int i = 0; i < PLACE_DROP_MS / PLACE_PAUSE_MS; i++) {
		size_t count = place_count_names(path);

		if (count == 0)
			return;
		if (count != before)
			i = 0;
		before = count;
		(void)nanosleep(&pause, NULL);
	}
}

static void
place_log(enum log_level level, struct str line)
{
	if (level <= LOG_ERROR)
		fprintf(stderr, "%.*s\n", STR_ARG(line));
}

void
run_place_clear(const struct run_place *place)
{
	static const struct store_spool_options options = {.segment_size = 0};
	static const char *const parts[] = {"log", "big", "damaged"};
	int fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), copy;
	struct store *store;
	struct os *os;

	copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (!place->is_own || copy < 0 || view_become_owner(fd) < 0) {
		if (fd >= 0)
			close(fd);
		if (copy >= 0)
			close(copy);
		return;
	}
	log_set(place_log, LOG_ERROR);
	os = os_real_new(fd);
	/* What is damaged, or in use again, stays where it is. */
	if (store_spool_open(os, &options, &store) == 0 &&
	    store_spool_remove(store) == 0)
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			(void)unlinkat(copy, parts[i], AT_REMOVEDIR);
	os_free(os);
	close(copy);
}
