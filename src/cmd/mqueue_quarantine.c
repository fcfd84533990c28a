/*
 * Quarantine of messages in sendmail's format, with sendmail's words.
 *
 * Promises: a message is in exactly one of qfID and hfID at any moment; what a
 * crash leaves between two steps is a qf with a q line, which runs as one that
 * is in quarantine.  The control file is locked from before it is read until
 * all is done, and is looked at again behind the lock.  The new one is on disk
 * before it gets its name.
 */
#include "cmd/mqueue_quarantine.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_list.h"
#include "cmd/mqueue_reason.h"
#include "cmd/mqueue_scan.h"
#include "cmd/view_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define REASON_MAX 1024 /* bytes of a reason that are kept */

/* -Q in one directory. */
struct quarantine {
	const struct sendmail_options *options;
	struct str reason; /* in one line; empty = release */
	char reason_text[REASON_MAX];
	int fd;          /* the directory */
	struct buf text; /* of the old file */
	struct buf anew; /* of the new one */
};

/* One message of it. */
struct job {
	const char *id;
	char old_name[MQUEUE_NAME_MAX + 1];
	char new_name[MQUEUE_NAME_MAX + 1]; /* it may be the same */
	char temporary[MQUEUE_NAME_MAX + 1];
	int old_fd; /* locked */
	int new_fd; /* of the temporary file */
	struct stat status;
	enum mqueue_change change;
	struct str old_reason;
};

/* A line about one that is passed over. */
static void __attribute__((format(printf, 2, 3)))
skip(const char *id, const char *format, ...)
{
	va_list arguments;

	printf("Skipping ./%s", id);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

/* True if FD, which is locked now, still is what the name says. */
static bool
is_unchanged(const struct quarantine *q, struct job *job)
{
	struct stat there;

	return fstat(job->old_fd, &job->status) == 0 &&
	       S_ISREG(job->status.st_mode) &&
	       fstatat(q->fd, job->old_name, &there, 0) == 0 &&
	       there.st_dev == job->status.st_dev &&
	       there.st_ino == job->status.st_ino &&
	       there.st_size == job->status.st_size &&
	       there.st_nlink == job->status.st_nlink;
}

/* Opens and locks the control file: true if it can be worked on. */
static bool
job_lock(const struct quarantine *q, struct job *job)
{
	job->old_fd = openat(
	    q->fd, job->old_name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (job->old_fd < 0) {
		skip(job->id, ": %s", strerror(errno));
		return false;
	}
	if (flock(job->old_fd, LOCK_EX | LOCK_NB) < 0) {
		if (q->options->is_verbose)
			printf("%s: locked\n", job->id);
		skip(job->id, "%s", "");
		return false;
	}
	if (!is_unchanged(q, job)) {
		if (q->options->is_verbose)
			printf("%s: changed\n", job->id);
		skip(job->id, "%s", "");
		return false;
	}
	/* What others may have written is not believed, nor what may be a file
	   of somebody else under another name. */
	if (mqueue_is_open_to_others(q->fd, &job->status) ||
	    job->status.st_nlink != 1) {
		skip(job->id, "%s", "");
		return false;
	}
	return true;
}

/* Reads the file and makes the new text: true if it can be used.  Bad lines are
   no hindrance: what must not be sent may well be stopped. */
static bool
job_read(struct quarantine *q, struct job *job)
{
	int error = mqueue_read(job->old_fd, &q->text);

	if (error == 0)
		error = mqueue_requarantine(buf_str(&q->text), q->reason,
		    &q->anew, &job->change, &job->old_reason);
	if (error < 0)
		skip(job->id, ": Error reading ./%s: %s", job->old_name,
		    strerror(-error));
	else if (buf_size(&q->text) == 0)
		skip(job->id, "%s", "");
	else if (job->change == MQUEUE_INCOMPLETE)
		skip(job->id, ": Incomplete file: ./%s", job->old_name);
	return error == 0 && job->change != MQUEUE_INCOMPLETE;
}

/* Removes a temporary file that nobody works on: true if it is gone. */
static bool
temporary_clear(const struct quarantine *q, const struct job *job)
{
	int fd = openat(q->fd, job->temporary,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	bool is_gone = false;

	if (fd < 0)
		return errno == ENOENT;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		is_gone = unlinkat(q->fd, job->temporary, 0) == 0;
	close(fd);
	return is_gone;
}

/* Makes the temporary file, locked: 0 or -errno. */
static int
job_create(const struct quarantine *q, struct job *job)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	mode_t mode = job->status.st_mode & 0777;

	job->new_fd = openat(q->fd, job->temporary, flags, 0600);
	if (job->new_fd < 0 && errno == EEXIST) {
		if (!temporary_clear(q, job))
			return -EEXIST;
		job->new_fd = openat(q->fd, job->temporary, flags, 0600);
	}
	if (job->new_fd < 0)
		return -errno;
	if (flock(job->new_fd, LOCK_EX | LOCK_NB) < 0 ||
	    fchmod(job->new_fd, mode) < 0)
		return -errno;
	/* Without the right to give files away it is the directory's owner's,
	   as what a run writes. */
	if (geteuid() == 0 &&
	    fchown(job->new_fd, job->status.st_uid, job->status.st_gid) < 0 &&
	    errno != EPERM)
		return -errno;
	return 0;
}

static int
job_write(const struct quarantine *q, const struct job *job)
{
	struct str rest = buf_str(&q->anew);

	while (rest.size > 0) {
		ssize_t n = write(job->new_fd, rest.data, rest.size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			rest = str_skip(rest, (size_t)n);
	}
	return fsync(job->new_fd) < 0 ? -errno : 0;
}

/* Gives the new file its name.  One that changes its kind is, at each moment,
   there under one name only. */
static int
job_rename(const struct quarantine *q, const struct job *job)
{
	bool is_same = strcmp(job->old_name, job->new_name) == 0;
	const char *first =
	    job->change == MQUEUE_RELEASED ? job->new_name : job->old_name;
	struct stat there;

	if (!is_same &&
	    fstatat(q->fd, job->new_name, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (strcmp(job->old_name, first) != 0 &&
	    renameat(q->fd, job->old_name, q->fd, first) < 0)
		return -errno;
	if (renameat(q->fd, job->temporary, q->fd, first) < 0)
		return -errno;
	if (strcmp(first, job->new_name) != 0 &&
	    renameat(q->fd, first, q->fd, job->new_name) < 0)
		return -errno;
	return fsync(q->fd) < 0 ? -errno : 0;
}

/* Puts the new file in the place of the old one: true if that was done. */
static bool
job_replace(const struct quarantine *q, struct job *job)
{
	int error = job_create(q, job);

	if (error < 0) {
		skip(job->id, ": Could not open ./%s: %s", job->temporary,
		    strerror(-error));
	} else {
		error = job_write(q, job);
		if (error == 0)
			error = job_rename(q, job);
		if (error < 0)
			skip(job->id, ": Error writing ./%s: %s", job->new_name,
			    strerror(-error));
	}
	if (error < 0 && job->new_fd >= 0)
		(void)unlinkat(q->fd, job->temporary, 0);
	return error == 0;
}

static void
job_tell(const struct quarantine *q, const struct job *job)
{
	switch (job->change) {
	case MQUEUE_SAME:
	case MQUEUE_INCOMPLETE:
		break;
	case MQUEUE_SAME_REASON:
		printf("%s: Already quarantined with \"%.*s\"\n", job->id,
		    STR_ARG(q->reason));
		break;
	case MQUEUE_QUARANTINED:
		printf("%s: Quarantined with \"%.*s\"\n", job->id,
		    STR_ARG(q->reason));
		break;
	case MQUEUE_CHANGED:
		printf("%s: Quarantine changed from \"%.*s\" to \"%.*s\"\n",
		    job->id, STR_ARG(job->old_reason), STR_ARG(q->reason));
		break;
	case MQUEUE_RELEASED:
		printf("%s: Removed quarantine of \"%.*s\"\n", job->id,
		    STR_ARG(job->old_reason));
		break;
	}
}

/* One message: true if it was changed. */
static bool
quarantine_item(struct quarantine *q, const struct mqueue_item *item)
{
	struct job job = {.id = item->name + 2, .old_fd = -1, .new_fd = -1};
	bool is_changed = false, is_usable, is_named;

	memcpy(job.old_name, item->name, sizeof(job.old_name));
	memcpy(job.new_name, item->name, sizeof(job.new_name));
	memcpy(job.temporary, item->name, sizeof(job.temporary));
	job.new_name[0] = q->reason.size > 0 ? 'h' : 'q';
	job.temporary[0] = 't';
	is_usable = job_lock(q, &job) && job_read(q, &job);
	is_named = strcmp(job.old_name, job.new_name) == 0;
	/* An hf without a reason, which would never run. */
	if (is_usable && job.change == MQUEUE_SAME && !is_named)
		job.change = MQUEUE_RELEASED;
	if (is_usable && !(is_named && (job.change == MQUEUE_SAME ||
					   job.change == MQUEUE_SAME_REASON)))
		is_changed = job_replace(q, &job);
	if (is_usable && q->options->is_verbose &&
	    (is_changed || job.change == MQUEUE_SAME_REASON))
		job_tell(q, &job);
	if (job.new_fd >= 0)
		close(job.new_fd);
	if (job.old_fd >= 0)
		close(job.old_fd);
	return is_changed;
}

/* All of one directory: how many were changed. */
static size_t
quarantine_directory(struct quarantine *q, struct mqueue_look *look,
    const struct mqueue_dir *dir)
{
	struct mqueue_scan scan;
	size_t changes = 0;
	int error = mqueue_scan(&scan, look, dir);

	if (error < 0)
		printf("gatherq: cannot open \"%s\": %s\n", dir->qf_path,
		    strerror(-error));
	if (q->options->is_verbose)
		printf(
		    scan.count == 0 ? "%s: no matches\n" : "Processing %s:\n",
		    dir->title);
	q->fd = scan.fd;
	for (size_t i = 0; i < scan.count; i++)
		if (quarantine_item(q, &scan.items[i]))
			changes++;
	mqueue_scan_fini(&scan);
	return changes;
}

/* Root may, and whoever owns the directories. */
static bool
is_trusted(const struct sendmail_options *options, struct str directory)
{
	struct mqueue_dirs dirs;
	struct stat status;
	bool is_owner;

	if (getuid() == 0)
		return true;
	is_owner =
	    mqueue_dirs_find(&dirs, directory, options->queue_group) == 0;
	for (size_t i = 0; is_owner && i < dirs.count; i++)
		is_owner = stat(dirs.list[i].path, &status) == 0 &&
		           status.st_uid == getuid();
	mqueue_dirs_fini(&dirs);
	return is_owner;
}

/* Takes the rights of the queue's owner, who could lead root to other places
   by links: 0 or -errno. */
static int
become_owner(const struct mqueue_dirs *dirs)
{
	int fd = open(dirs->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	error = view_enter_mqueue(STR(""), fd);
	close(fd);
	return error;
}

static void
quarantine_init(struct quarantine *q, const struct sendmail_options *options)
{
	struct str reason = str_head(options->quarantine, REASON_MAX);

	*q = (struct quarantine){.options = options};
	for (size_t i = 0; i < reason.size; i++) {
		char c = reason.data[i];

		q->reason_text[i] = c == '\n' || c == '\r' ? ' ' : c;
	}
	q->reason = str_of(q->reason_text, reason.size);
	buf_init(&q->text, MQUEUE_FILE_MAX);
	buf_init(&q->anew, MQUEUE_FILE_MAX + REASON_MAX + 2);
}

int
mqueue_quarantine(const struct sendmail_options *options, struct str directory)
{
	struct mqueue_look look;
	struct mqueue_dirs dirs;
	struct quarantine q;
	bool is_none;
	size_t changes = 0;
	int status;

	if (!is_trusted(options, directory)) {
		puts("Permission denied (real uid not trusted)");
		return EX_USAGE;
	}
	status = mqueue_list_dirs(options, directory, &dirs, &is_none);
	if (status == EX_OK && become_owner(&dirs) < 0) {
		printf("%s: others may write to it\n", dirs.base);
		status = EX_CONFIG;
	}
	look = mqueue_list_look(options);
	look.count_max = 0;
	quarantine_init(&q, options);
	for (size_t i = 0; status == EX_OK && i < dirs.count; i++)
		changes += quarantine_directory(&q, &look, &dirs.list[i]);
	if (status == EX_OK && !is_none && options->is_verbose) {
		if (changes == 0)
			puts("No changes");
		else
			printf(
			    "%zu change%s\n", changes, changes == 1 ? "" : "s");
	}
	mqueue_dirs_fini(&dirs);
	buf_fini(&q.text);
	buf_fini(&q.anew);
	buf_fini(&look.text);
	return status;
}
