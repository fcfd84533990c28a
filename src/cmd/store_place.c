/* The store that is configured; see store_place.h. */
#include "cmd/store_place.h"
#include "base/mem.h"
#include "net/landlock.h"
#include "role/route_foreign.h"
#include "store/mqueue/mqueue.h"
#include "store/spool/spool.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define PLACE_MQUEUE "mqueue:"
#define PLACE_DEBIAN "smmta" /* TrustedUser of sendmail's package */

bool
store_place_is_ram(const struct conf *conf)
{
	return str_equal(conf->spool, STR("ram:"));
}

bool
store_place_is_mqueue(const struct conf *conf)
{
	return str_starts(conf->spool, STR(PLACE_MQUEUE));
}

/* Where the pattern of a queue of several directories begins in PATH; its end
   if it has none. */
static size_t
place_pattern_at(struct str path)
{
	size_t last = path.size;

	while (last > 0 && path.data[last - 1] != '/')
		last--;
	/* As sendmail names several: the pattern is what comes last. */
	return str_find(str_skip(path, last), '*') < path.size - last
	           ? last
	           : path.size;
}

/* What the names of these directories begin with; empty = anything. */
static struct str
place_prefix(const struct conf *conf)
{
	size_t at = place_pattern_at(conf->spool);
	struct str pattern = str_skip(conf->spool, at);

	return str_head(pattern, str_find(pattern, '*'));
}

char *
store_place_path(const struct conf *conf)
{
	struct str path = conf->spool;

	if (!store_place_is_mqueue(conf))
		return mem_copy_text(path.data, path.size);
	path = str_skip(path, sizeof(PLACE_MQUEUE) - 1);
	path.size = place_pattern_at(path);
	while (path.size > 1 && path.data[path.size - 1] == '/')
		path.size--;
	return mem_copy_text(path.data, path.size);
}

bool
store_place_is_shared(const struct stat *status)
{
	return (status->st_mode & S_IWOTH) != 0 ||
	       ((status->st_mode & S_IWGRP) != 0 && status->st_gid != 0);
}

bool
store_place_needs_walls(const struct stat *status)
{
	return status->st_uid == 0 && store_place_is_shared(status);
}

int
store_place_check_walls(const struct stat *status)
{
	return store_place_needs_walls(status) &&
	               landlock_version() < LANDLOCK_VERSION_DIRECTORY
	           ? -EPERM
	           : 0;
}

bool
store_place_is_trusted(struct str user_queue, int fd)
{
	struct privilege_user user;
	const struct passwd *debian;
	struct stat status;

	if (fstat(fd, &status) < 0 || store_place_is_shared(&status) ||
	    landlock_version() < LANDLOCK_VERSION_DIRECTORY)
		return false;
	if (status.st_uid == 0)
		return true;
	if (privilege_user_of(ROLE_QUEUE, user_queue, &user) == 0 &&
	    status.st_uid == user.uid)
		return true;
	debian = getpwnam(PLACE_DEBIAN);
	return debian != NULL && status.st_uid == debian->pw_uid;
}

bool
store_place_is_anybodys(const struct conf *conf, int fd)
{
	return store_place_is_mqueue(conf) &&
	       store_place_is_trusted(conf->user_queue, fd);
}

int
store_place_owner(int fd, struct privilege_user *user_out)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	user_out->uid = status.st_uid;
	user_out->gid = status.st_gid;
	return 0;
}

int
store_place_open(const struct conf *conf, struct os *os, struct os *state,
    void (*fatal)(void *arg), struct store **store_out)
{
	const struct store_spool_options spool = {.fatal = fatal};
	const struct store_mqueue_options mqueue = {
	    .route = route_foreign,
	    .route_arg = (void *)(uintptr_t)conf,
	    .hostname = conf->hostname,
	    .group = conf->queue_group,
	    .has_prefix = place_pattern_at(conf->spool) < conf->spool.size,
	    .prefix = place_prefix(conf),
	    .is_lost = conf->queue_lost,
	    .state = state,
	    .fatal = fatal,
	};

	if (store_place_is_mqueue(conf))
		return store_mqueue_open(os, &mqueue, store_out);
	return store_spool_open(os, &spool, store_out);
}
