/*
 * The helper: finds the Maildir, becomes its owner, shuts itself in there, and
 * does the work of role/maildir.h over the socket.
 *
 * The way to the Maildir is walked one directory at a time.  A link is followed
 * only where it lies in a directory that root or we alone can write to: else
 * the owner of a directory on the way could point us into somebody else's.  A
 * directory that we may not enter is entered as its owner, and from there on we
 * stay that user.  Nothing is ever written as root: a Maildir that belongs to
 * root is refused.
 */
#include "cmd/helper.h"
#include "base/buf.h"
#include "base/log.h"
#include "net/privilege.h"
#include "net/sandbox.h"
#include "os/os.h"
#include "role/maildir.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* A place on the way: an open directory and who owns it. */
struct helper_place {
	int fd;
	struct privilege_user owner;
	bool is_trusted; /* nobody else can put a link there */
};

/* Becomes USER unless we are somebody already. */
static int
helper_become(const struct privilege_user *user)
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
		error = helper_become(&place->owner);
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
		error = helper_become(&place->owner);
	if (error < 0)
		return error;
	return mkdirat(place->fd, name, 0700) < 0 ? -errno : 0;
}

/* Walks to PATH (absolute); its last name is made if it is missing. */
static int
helper_walk(struct str path, struct helper_place *place)
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
		if (error != -ENOENT || path.size > 1)
			continue;
		error = helper_make(place, name);
		if (error == 0)
			error = helper_step(place, name);
	}
	return error;
}

/* tmp, new and cur, where they are missing. */
static int
helper_make_parts(int fd)
{
	static const char *const parts[] = {"tmp", "new", "cur"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

/* The Maildir at PATH, opened as its owner, from behind the walls: a
   descriptor or -errno. */
static int
helper_enter(struct str path)
{
	struct helper_place place = {.fd = -1};
	int error = helper_walk(path, &place), fd;

	if (error < 0)
		return error;
	if (geteuid() == 0)
		error = helper_become(&place.owner);
	if (error == 0)
		error = privilege_drop(&place.owner);
	if (error < 0)
		return error;
	fd = openat(place.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(place.fd);
	if (fd < 0)
		return -errno;
	error = helper_make_parts(fd);
	if (error == 0)
		error = sandbox_lock(ROLE_HELPER, fd);
	if (error == 0)
		error = sandbox_seal(ROLE_HELPER);
	return error < 0 ? error : fd;
}

static int
helper_write(int fd, struct buf *out)
{
	while (buf_size(out) > 0) {
		struct str bytes = buf_str(out);
		ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf_consume(out, (size_t)n);
	}
	return 0;
}

/* Feeds the job until it is answered: 0 or -errno. */
static int
helper_work(struct maildir *maildir, int fd)
{
	static char block[STORE_BLOCK];
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	struct buf out;
	int result = 0;

	buf_init(&out, STORE_BLOCK);
	while (result == 0) {
		ssize_t n;

		if (poll(&wait, 1, HELPER_WAIT_MS) <= 0) {
			result = -ETIMEDOUT;
			break;
		}
		n = read(fd, block, sizeof(block));
		if (n <= 0) {
			result = n == 0 ? -EPIPE : -errno;
			break;
		}
		result = maildir_feed(maildir, str_of(block, (size_t)n), &out);
	}
	if (result == 1)
		result = helper_write(fd, &out);
	buf_fini(&out);
	return result;
}

int
helper_main(struct str path, struct str hostname, int fd)
{
	struct maildir *maildir;
	struct os *os;
	int error, directory_fd;

	(void)prctl(PR_SET_NAME, "sendqd-helper", 0, 0, 0);
	directory_fd = helper_enter(path);
	if (directory_fd < 0) {
		log_event(LOG_ERROR, "maildir-failed", "", "path=%.*s error=%s",
		    STR_ARG(path), strerror(-directory_fd));
		return EX_CANTCREAT;
	}
	os = os_real_new(directory_fd);
	maildir = maildir_new(os, hostname);
	error = helper_work(maildir, fd);
	if (error < 0)
		log_event(LOG_DETAIL, "maildir-ended", "", "path=%.*s error=%s",
		    STR_ARG(path), strerror(-error));
	maildir_free(maildir);
	os_free(os);
	return error < 0 ? EX_TEMPFAIL : EX_OK;
}
