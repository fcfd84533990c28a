/*
 * The helper: finds the Maildir, becomes its owner, shuts itself in there, and
 * does the work of role/maildir.h over the socket.
 *
 * Nothing is ever written as root: a Maildir that belongs to root is refused.
 */
#include "cmd/helper.h"
#include "base/buf.h"
#include "base/log.h"
#include "cmd/helper_mail.h"
#include "cmd/helper_path.h"
#include "net/privilege.h"
#include "net/sandbox.h"
#include "os/os.h"
#include "role/maildir.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

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
	int error = helper_walk(path, true, &place), fd;

	if (error < 0)
		return error;
	if (geteuid() == 0)
		error = helper_path_become(&place.owner);
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
		result = helper_mail_answer(fd, &out);
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
