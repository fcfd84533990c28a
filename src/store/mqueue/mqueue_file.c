/*
 * Files of the queue: names, locks, and the moves between states.
 *
 *   new       tf made, locked, written   df made, written   both synced
 *             tf renamed to qf           directories synced
 *   rewrite   tf made, locked, written, synced; renamed to qf (or hf)
 *             directory synced; the old file, and its lock, given up
 *   done      qf renamed to xf           directory synced
 *             df and xf removed
 *             (a link that may not be renamed is removed first)
 *
 * sendmail removes df and qf of what is done in that order, so that a kill
 * between the two leaves a control file that it then sends without a body;
 * here the one rename decides, and what it leaves is recognised and removed.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void
mq_path(char to[MQ_PATH_MAX], const char *directory, const char *prefix,
    const char *id)
{
	const char *const parts[] = {
	    directory, directory[0] != '\0' ? "/" : "", prefix, id};
	size_t size = 0;

	/* Several of these are made for each message. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = strlen(parts[i]);

		CHECK(n < MQ_PATH_MAX - size);
		memcpy(to + size, parts[i], n);
		size += n;
	}
	CHECK(size > 0);
	to[size] = '\0';
}

void
mq_control_path(char to[MQ_PATH_MAX], const struct mq_entry *entry)
{
	mq_path(to, entry->directory->control,
	    entry->is_lost          ? "Qf"
	    : entry->is_quarantined ? "hf"
				    : "qf",
	    entry->message->id);
}

void
mq_data_path(char to[MQ_PATH_MAX], const struct mq_entry *entry)
{
	if (entry->data_path != NULL)
		snprintf(to, MQ_PATH_MAX, "%s", entry->data_path);
	else
		mq_path(to, entry->directory->data, "df", entry->message->id);
}

int
mq_read_file(
    struct os *os, struct os_file *file, uint64_t size, struct buf *out)
{
	char *space = size <= QF_FILE_MAX ? buf_space(out, (size_t)size) : NULL;
	int64_t done;

	if (size == 0)
		return 0;
	if (space == NULL)
		return -EFBIG;
	done = os_pread(os, file, space, (size_t)size, 0);
	if (done > 0)
		buf_added(out, (size_t)done);
	return done < 0 ? (int)done : 0;
}

bool
mq_is_same(const struct os_status *a, const struct os_status *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns;
}

int
mq_lock(struct mqueue *mq, const char *path, struct os_file **file_out,
    struct os_status *status_out)
{
	struct os_status opened;
	int error =
	    os_open(mq->os, path, OS_READ | OS_WRITE | OS_FOLLOW, file_out);

	if (error < 0)
		return error;
	error = os_file_status(mq->os, *file_out, &opened);
	if (error == 0)
		error = os_lock(mq->os, *file_out);
	/* Whoever had the lock may have replaced or removed the file. */
	if (error == 0)
		error = os_status(mq->os, path, status_out);
	if (error == 0 && (status_out->device != opened.device ||
			      status_out->inode != opened.inode))
		error = -ESTALE;
	if (error == 0)
		return 0;
	os_close(mq->os, *file_out);
	*file_out = NULL;
	return error == -ENOENT ? -ESTALE : error;
}

/* A tf that a kill has left goes away; one that somebody is writing, though
   the message is ours, is kept under another name, as sendmail does. */
static void
mq_clear_control(struct mqueue *mq, const struct mq_directory *directory,
    const char *path, const char *id)
{
	char aside[MQ_PATH_MAX];
	struct os_file *file;
	struct os_status status;
	int error = mq_lock(mq, path, &file, &status);

	if (error == 0) {
		error = os_unlink(mq->os, path);
		os_close(mq->os, file);
	} else {
		mq_path(aside, directory->control, "Tf", id);
		log_event(LOG_WARN, "mqueue-tf-aside", id, "file=%s", aside);
		error = os_rename(mq->os, path, aside);
	}
	if (error < 0 && error != -ENOENT)
		log_event(LOG_WARN, "mqueue-file", id, "file=%s error=%s", path,
		    strerror(-error));
}

/* One try: -ESTALE if another program has taken it for a rest and removed it
   before it was locked. */
static int
mq_try_control(struct mqueue *mq, const struct mq_directory *directory,
    const char *path, const char *id, struct os_file **file_out)
{
	static const int flags = OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE;
	struct os_status mine, there;
	int error = os_open(mq->os, path, flags, file_out);

	if (error == -EEXIST) {
		mq_clear_control(mq, directory, path, id);
		error = os_open(mq->os, path, flags, file_out);
	}
	if (error < 0)
		return error;
	error = os_lock(mq->os, *file_out);
	if (error == 0)
		error = os_file_status(mq->os, *file_out, &mine);
	if (error == 0)
		error = os_status(mq->os, path, &there);
	if (error == 0 && mq_is_same(&mine, &there))
		return 0;
	os_close(mq->os, *file_out);
	*file_out = NULL;
	if (error == 0 || error == -ENOENT || error == -EWOULDBLOCK)
		return -ESTALE;
	(void)os_unlink(mq->os, path);
	return error;
}

int
mq_make_control(struct mqueue *mq, const struct mq_directory *directory,
    const char *id, struct os_file **file_out)
{
	char path[MQ_PATH_MAX];
	int error = -ESTALE;

	mq_path(path, directory->control, "tf", id);
	for (int i = 0; i < MQ_TRIES && error == -ESTALE; i++)
		error = mq_try_control(mq, directory, path, id, file_out);
	return error;
}

int
mq_write_all(struct mqueue *mq, struct os_file *file, struct str text)
{
	/* At no time it is empty: what is in a tf says whose it is. */
	int error = os_pwrite(mq->os, file, text, 0);

	return error < 0 ? error : os_truncate(mq->os, file, text.size);
}

int
mq_sync_file(struct mqueue *mq, struct os_file *file, const char *path)
{
	int error = os_sync(mq->os, file);

	if (error < 0)
		mq_fatal(mq, "sync", path, error);
	return error;
}

int
mq_set_aside(struct mqueue *mq, const struct mq_directory *directory,
    const char *prefix, const char *id)
{
	char from[MQ_PATH_MAX], to[MQ_PATH_MAX];
	struct os_status status;
	int error;

	mq_path(from, directory->control, prefix, id);
	mq_path(to, directory->control, "Qf", id);
	error = os_status(mq->os, to, &status);
	if (error != -ENOENT)
		return error == 0 ? -EEXIST : error;
	error = os_rename(mq->os, from, to);
	if (error == 0)
		error = os_sync_directory(mq->os, directory->control);
	return error;
}

/* True for an error of a name that leaves all as it was and will be the same
   the next time; it says nothing of the disk. */
static bool
mq_is_refusal(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS;
}

/* A message that is done and cannot be removed: it must not be sent again, as
   long as we are there to know.  Its body stays with it. */
static void
mq_keep_done(
    struct mqueue *mq, const char *path, struct mq_done *done, int error)
{
	struct os_status status;

	log_event(LOG_ERROR, "mqueue-file", done->id, "file=%s error=%s", path,
	    strerror(-error));
	done->is_kept = true;
	if (os_file_status(mq->os, done->file, &status) == 0)
		mq_set_bad(mq, path, &status)->is_done = true;
}

void
mq_finish(struct mqueue *mq, struct mq_entry *entry)
{
	char from[MQ_PATH_MAX], to[MQ_PATH_MAX];
	struct mq_done *done = mem_new(1, sizeof(*done));
	int error;

	CHECK(entry->file != NULL);
	mq_control_path(from, entry);
	mq_data_path(to, entry);
	done->data_path = mem_copy_text(to, strlen(to));
	done->directory = entry->directory;
	memcpy(done->id, entry->message->id, sizeof(done->id));
	/* A directory of transcripts was not looked at. */
	done->is_littered =
	    entry->is_littered ||
	    strcmp(entry->directory->script, entry->directory->control) != 0;
	done->file = entry->file;
	entry->file = NULL;
	LL_PREPEND(mq->done, done);
	mq_path(to, entry->directory->control, "xf", entry->message->id);
	error = os_rename(mq->os, from, to);
	/* What may not be renamed, as a link inside the sandbox, may go. */
	if (mq_is_refusal(error))
		error = os_unlink(mq->os, from);
	if (mq_is_refusal(error))
		mq_keep_done(mq, from, done, error);
	else if (error < 0)
		mq_fatal(mq, "rename", from, error);
	entry->directory->is_control_dirty = true;
}

void
mq_sync_names(struct mqueue *mq)
{
	for (size_t i = 0; i < mq->directory_count; i++) {
		struct mq_directory *d = &mq->directories[i];
		int error = 0;

		if (d->is_data_dirty && strcmp(d->data, d->control) != 0)
			error = os_sync_directory(mq->os, d->data);
		if (error == 0 && (d->is_control_dirty || d->is_data_dirty))
			error = os_sync_directory(mq->os, d->control);
		d->is_control_dirty = d->is_data_dirty = false;
		if (error < 0)
			mq_fatal(mq, "sync", d->control, error);
	}
}

/* Removes a file that may be missing. */
static void
mq_unlink(struct mqueue *mq, const char *id, const char *path)
{
	int error = os_unlink(mq->os, path);

	if (error < 0 && error != -ENOENT)
		log_event(LOG_WARN, "mqueue-file", id, "file=%s error=%s", path,
		    strerror(-error));
}

/* What others have left beside the message. */
static void
mq_unlink_litter(struct mqueue *mq, const struct mq_done *done)
{
	char path[MQ_PATH_MAX];

	mq_path(path, done->directory->control, "tf", done->id);
	mq_unlink(mq, done->id, path);
	/* Among the control files it is the last to go. */
	if (strcmp(done->directory->script, done->directory->control) == 0)
		return;
	mq_path(path, done->directory->script, "xf", done->id);
	mq_unlink(mq, done->id, path);
}

/* Says which files are to be removed, the one by which the message is known to
   be done at last. */
static void
mq_done_job(struct mqueue *mq, struct mq_done *done)
{
	struct remover_job *job = &done->job;

	*job = (struct remover_job){.os = mq->os, .file = done->file};
	done->file = NULL;
	if (mq->is_dead || done->is_kept)
		return;
	if (done->is_littered)
		mq_unlink_litter(mq, done);
	mq_path(done->path, done->directory->control, "xf", done->id);
	job->names[job->count++] = done->data_path;
	job->names[job->count++] = done->path;
}

static void
mq_done_free(struct remover_job *job)
{
	struct mq_done *done = (struct mq_done *)(void *)job;

	if (job->error < 0)
		log_event(LOG_WARN, "mqueue-file", done->id, "file=%s error=%s",
		    job->failed, strerror(-job->error));
	free(done->data_path);
	free(done);
}

/* Takes back what the remover has done, or all that it has. */
static void
mq_removed_take(struct mqueue *mq, bool is_waiting)
{
	struct remover_job *job, *next;

	if (mq->removal_count == 0)
		return;
	LL_FOREACH_SAFE(remover_take(mq->os->remover, is_waiting), job, next)
	{
		mq->removal_count--;
		mq_done_free(job);
	}
}

void
mq_removed_wait(struct mqueue *mq)
{
	mq_removed_take(mq, true);
	CHECK(mq->removal_count == 0);
}

void
mq_sync(struct mqueue *mq)
{
	struct remover *remover = mq->os->remover;
	struct mq_done *done, *next;

	mq_sync_names(mq);
	LL_FOREACH_SAFE(mq->done, done, next)
	{
		mq_done_job(mq, done);
		if (remover != NULL && mq->removal_count < REMOVER_JOBS_MAX &&
		    remover_is_slow(remover)) {
			mq->removal_count++;
			remover_give(remover, &done->job);
		} else {
			remover_do(remover, &done->job);
			mq_done_free(&done->job);
		}
	}
	mq->done = NULL;
	/* Who has all settled may look at the directory next. */
	mq_removed_take(mq, mq->held == NULL);
}

void
mq_remove_rest(struct mqueue *mq, const struct mq_directory *directory,
    const char *control, const char *id)
{
	char path[MQ_PATH_MAX];

	if (directory != NULL) {
		mq_path(path, directory->data, "df", id);
		mq_unlink(mq, id, path);
	}
	mq_unlink(mq, id, control);
}
