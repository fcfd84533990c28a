/*
 * The helper for a file of an alias: becomes the user for it, takes the whole
 * message, and only then opens the file, locks it as mail programs do
 * (fcntl(2), then FILE.lock where we may make one), adds the message, syncs and
 * answers.
 *
 * Only a plain file gets anything: no link, no second name, nothing that can be
 * executed or has somebody's rights.  One that is not there is made, with mode
 * 0600.
 *
 * Promises: 250 is said only when all is on stable storage; when anything else
 * is said, the file is as long as it was.  One that is killed in the middle may
 * leave the beginning of a message: what comes next stands on a line of its own
 * all the same.  One that is killed between the sync and the answer has the
 * message twice, as it will come again.
 */
#include "cmd/helper_file.h"
#include "base/log.h"
#include "cmd/helper_mail.h"
#include "cmd/helper_path.h"
#include "net/sandbox.h"
#include "os/machine.h"
#include "role/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_AGAIN_MS 200

struct file {
	int directory_fd;
	char name[NAME_MAX + 1];
	char lock_name[NAME_MAX + 1]; /* "" = its name would be too long */
	int fd;
	bool is_new;
	bool has_lock; /* the lock file */
	uint64_t size; /* before us */
};

/* Opens the file, or makes it: 0 or -errno. */
static int
file_open(struct file *file)
{
	int flags =
	    O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	file->is_new = false;
	file->fd = openat(file->directory_fd, file->name, flags);
	if (file->fd < 0 && errno == ENOENT) {
		file->fd = openat(file->directory_fd, file->name,
		    flags | O_CREAT | O_EXCL, 0600);
		file->is_new = file->fd >= 0;
	}
	return file->fd < 0 ? -errno : 0;
}

/* Why nothing is added to it, or NULL. */
static const char *
file_refusal(const struct file *file)
{
	struct stat status;

	if (fstat(file->fd, &status) < 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "is no regular file";
	if ((status.st_mode & (S_ISUID | S_ISGID)) != 0)
		return "has its owner's or group's rights";
	if ((status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0)
		return "can be executed";
	if (status.st_nlink > 1)
		return "has more than one name";
	return NULL;
}

/* True if the name is still the file's: somebody else may have moved it while
   we waited. */
static bool
file_is_there(struct file *file)
{
	struct stat here, there;

	if (fstat(file->fd, &here) < 0 ||
	    fstatat(file->directory_fd, file->name, &there,
		AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	file->size = (uint64_t)here.st_size;
	return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* Makes the lock file: 0; -EAGAIN: somebody has it. */
static int
file_lock_by_name(struct file *file)
{
	uint64_t now_ms = machine_wall_ms();
	struct stat status;
	int fd;

	if (file->lock_name[0] == '\0')
		return 0;
	fd = openat(file->directory_fd, file->lock_name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		file->has_lock = true;
		return 0;
	}
	/* In a directory that is not ours nobody's is asked for. */
	if (errno != EEXIST)
		return 0;
	if (fstatat(file->directory_fd, file->lock_name, &status,
		AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)status.st_mtime * 1000 + HELPER_STALE_MS < now_ms)
		(void)unlinkat(file->directory_fd, file->lock_name, 0);
	return -EAGAIN;
}

/* Locks the open file: 0, -EAGAIN, or another -errno. */
static int
file_lock(struct file *file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(file->fd, F_SETLK, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return file_lock_by_name(file);
}

static void
file_close(struct file *file)
{
	if (file->has_lock)
		(void)unlinkat(file->directory_fd, file->lock_name, 0);
	file->has_lock = false;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/* Opens and locks; NULL, or why not. */
static const char *
file_enter(struct file *file)
{
	uint64_t end_ms = machine_mono_ms() + HELPER_LOCK_MS;
	const char *wrong;
	int error;

	for (;;) {
		error = file_open(file);
		if (error < 0 && error != -EEXIST)
			return strerror(-error);
		wrong = error == 0 ? file_refusal(file) : NULL;
		if (wrong != NULL)
			return wrong;
		if (error == 0)
			error = file_lock(file);
		if (error == 0 && file_is_there(file))
			return NULL;
		file_close(file);
		if (error < 0 && error != -EAGAIN && error != -EEXIST)
			return strerror(-error);
		if (machine_mono_ms() >= end_ms)
			return "is locked";
		(void)poll(NULL, 0, FILE_AGAIN_MS);
	}
}

static int
file_write(struct file *file, struct str bytes)
{
	while (bytes.size > 0) {
		ssize_t n = write(file->fd, bytes.data, bytes.size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes = str_skip(bytes, (size_t)n);
	}
	return 0;
}

/* Where an earlier message has no end, it gets one: an empty line. */
static int
file_end_last(struct file *file)
{
	struct str end = STR("\n\n");
	char last[2] = "\n\n";
	size_t count = file->size < 2 ? (size_t)file->size : 2;

	if (pread(file->fd, last + 2 - count, count,
		(off_t)(file->size - count)) < 0)
		return -errno;
	if (file->size > 0 && last[1] != '\n')
		return file_write(file, end);
	return last[0] == '\n' ? 0 : file_write(file, str_skip(end, 1));
}

static int
file_copy(struct file *file, int stage_fd)
{
	static char block[STORE_BLOCK];
	int error = file_end_last(file);

	while (error == 0) {
		ssize_t n = read(stage_fd, block, sizeof(block));

		if (n == 0)
			break;
		error =
		    n < 0 ? -errno : file_write(file, str_of(block, (size_t)n));
	}
	return error;
}

/* Syncs the name of a file, where the directory can be read. */
static int
file_sync_name(const struct file *file)
{
	int fd =
	    openat(file->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return 0;
	if (fsync(fd) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* Adds the message for good, or takes back what was added. */
static int
file_add(struct file *file, int stage_fd)
{
	int error = file_copy(file, stage_fd);

	if (error == 0 && fsync(file->fd) < 0)
		error = -errno;
	/* Empty: whoever made it may not have come to that, also we before we
	   waited. */
	if (error == 0 && file->size == 0)
		error = file_sync_name(file);
	if (error == 0)
		return 0;
	if (ftruncate(file->fd, (off_t)file->size) < 0)
		log_event(LOG_ERROR, "alias-target-failed", "",
		    "target=%s error=%s", file->name, strerror(errno));
	(void)fsync(file->fd);
	if (file->is_new)
		(void)unlinkat(file->directory_fd, file->name, 0);
	return error;
}

/* Goes to the file's directory and shuts itself in there: 0 or -errno. */
static int
file_find(struct file *file, struct str path)
{
	struct helper_place place = {.fd = -1};
	struct str name = path;
	int error;

	while (str_find(name, '/') < name.size)
		name = str_skip(name, str_find(name, '/') + 1);
	if (name.size == 0 || name.size > NAME_MAX)
		return -EINVAL;
	memcpy(file->name, name.data, name.size);
	if (name.size + 5 <= NAME_MAX)
		snprintf(file->lock_name, sizeof(file->lock_name), "%.*s.lock",
		    STR_ARG(name));
	error =
	    helper_walk(str_head(path, path.size - name.size), false, &place);
	file->directory_fd = place.fd;
	return error;
}

/* The walls, whether or not there is a way to the file. */
static int
file_seal(const struct file *file)
{
	int error = sandbox_lock(ROLE_ALIAS, file->directory_fd);

	return error < 0 ? error : sandbox_seal(ROLE_ALIAS);
}

/* Adds the message in the stage: 0 or -errno with the answer in OUT. */
static int
file_deliver(struct file *file, const struct helper_mail *mail, struct buf *out)
{
	struct str path = mail->local->text;
	const char *wrong;
	char text[SMTP_ANSWER_MAX + 1];
	int error;

	wrong = file_enter(file);
	if (wrong == NULL) {
		error = helper_mail_is_awaited(mail->fd)
		            ? file_add(file, mail->stage_fd)
		            : -EPIPE;
		file_close(file);
		if (error < 0)
			return maildir_error_put(out, error);
		return maildir_answer_put(
		    out, SMTP_ACCEPTED, STR("250 2.0.0 added to the file"));
	}
	file_close(file);
	log_event(LOG_ERROR, "alias-target-failed", "", "target=%.*s error=%s",
	    STR_ARG(path), wrong);
	snprintf(
	    text, sizeof(text), "451 4.3.0 %.*s: %s", STR_ARG(path), wrong);
	return maildir_answer_put(out, SMTP_TEMPORARY, str_from(text));
}

int
helper_file_main(
    const struct alias_local *local, const struct privilege_user *user, int fd)
{
	struct helper_mail mail = {.fd = fd, .local = local};
	struct file file = {.directory_fd = -1, .fd = -1};
	struct buf out;
	int error;

	(void)prctl(PR_SET_NAME, "sendqd-alias", 0, 0, 0);
	/* A limit of this process's on files is an error like any other. */
	(void)signal(SIGXFSZ, SIG_IGN);
	mail.stage_fd = helper_mail_enter(user);
	mail.error = mail.stage_fd < 0 ? mail.stage_fd : 0;
	if (mail.error == 0)
		mail.error = file_find(&file, local->text);
	if (mail.error < 0)
		log_event(LOG_ERROR, "alias-target-failed", "",
		    "target=%.*s error=%s", STR_ARG(local->text),
		    strerror(-mail.error));
	if (geteuid() == 0 || file_seal(&file) < 0)
		return EX_OSERR;
	buf_init(&out, 4096);
	error = helper_mail_take(&mail);
	if (error == 0)
		error = mail.error < 0 ? maildir_error_put(&out, mail.error)
		                       : file_deliver(&file, &mail, &out);
	if (error == 0)
		error = helper_mail_answer(fd, &out);
	buf_fini(&out);
	return error < 0 ? EX_TEMPFAIL : EX_OK;
}
