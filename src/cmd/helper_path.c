/*
 * The way to where a helper writes, one directory at a time.
 *
 * A link is followed only where it lies in a directory that root or we alone
 * can write to: else the owner of a directory on the way could point us into
 * somebody else's.  A directory that we may not enter is entered as its owner,
 * if we are root, and from there on we stay that user.
 */
#include "cmd/helper_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
helper_path_become(const struct privilege_user *user)
{
	if (geteuid() == user->uid || geteuid() != 0)
		return geteuid() == user->uid ? 0 : -EACCES;
	return privilege_become(user);
}

static int
helper_look(struct helper_place *place)
{
	struct stat status;

	if (fstat(place->fd, &status) < 0)
		return -errno;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	place->owner.uid = status.st_uid;
	place->owner.gid = status.st_gid;
	place->is_trusted =
	    (status.st_uid == 0 || status.st_uid == geteuid()) &&
	    (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
	return 0;
}

/* Opens NAME in PLACE and goes there. */
static int
helper_step(struct helper_place *place, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, fd, error;

	if (!place->is_trusted)
		flags |= O_NOFOLLOW;
	fd = openat(place->fd, name, flags | O_PATH);
	if (fd < 0 && errno == EACCES) {
		error = helper_path_become(&place->owner);
		if (error < 0)
			return error;
		fd = openat(place->fd, name, flags | O_PATH | O_NOFOLLOW);
	}
	if (fd < 0)
		return -errno;
	close(place->fd);
	place->fd = fd;
	return helper_look(place);
}

/* Makes the Maildir NAME as the owner of the directory that it is to be in. */
static int
helper_make(const struct helper_place *place, const char *name)
{
	int error = 0;

	if (geteuid() == 0)
		error = helper_path_become(&place->owner);
	if (error < 0)
		return error;
	return mkdirat(place->fd, name, 0700) < 0 ? -errno : 0;
}

int
helper_walk(struct str path, bool is_made, struct helper_place *place)
{
	char name[NAME_MAX + 1];
	int error;

	place->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place->fd < 0)
		return -errno;
	error = helper_look(place);
	while (error == 0 && path.size > 0) {
		struct str part;

		path = str_skip(path, path.data[0] == '/' ? 1 : 0);
		part = str_head(path, str_find(path, '/'));
		path = str_skip(path, part.size);
		if (part.size == 0)
			continue;
		if (part.size > NAME_MAX || str_equal(part, STR("..")))
			return -EINVAL;
		memcpy(name, part.data, part.size);
		name[part.size] = '\0';
		error = helper_step(place, name);
		/* Behind the last name there is at most one slash. */
		if (!is_made || error != -ENOENT || path.size > 1)
			continue;
		error = helper_make(place, name);
		if (error == 0)
			error = helper_step(place, name);
	}
	return error;
}
