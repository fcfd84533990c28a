/*
 * The engine on sendmail's queue directories: requests.  The index answers
 * them; this is its keeper: it locks what is leased or changed, has the
 * content, and writes what changed before the batch is answered.
 *
 * Promises: with an error nothing was changed; a message is leased only under
 * its lock, and as its file says at that moment.  It dies (fatal) of a sync
 * that failed, and of a control file that it cannot write or rename.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

uint64_t
mq_now_ms(struct mqueue *mq)
{
	uint64_t wall_ms = os_wall_ms(mq->os);

	if (mq->offset_ms < 0 && wall_ms <= (uint64_t)-mq->offset_ms)
		return 1;
	return wall_ms + (uint64_t)mq->offset_ms;
}

void
mq_fatal(struct mqueue *mq, const char *act, const char *path, int error)
{
	if (mq->is_dead)
		return;
	log_event(LOG_ERROR, "mqueue-fatal", "", "act=%s file=%s error=%s", act,
	    path, strerror(-error));
	mq->is_dead = true;
	if (mq->options.fatal == NULL)
		abort();
	mq->options.fatal(mq->options.fatal_arg);
}

void
mq_release(struct mqueue *mq, struct mq_entry *entry)
{
	DL_DELETE(mq->held, entry);
	entry->prev = entry->next = NULL;
	mq_reader_free(mq, entry);
	if (entry->file != NULL)
		os_close(mq->os, entry->file);
	entry->file = NULL;
	entry->is_tried = entry->is_changed = false;
	entry->is_settled = entry->is_unwritten = false;
}

static void
mq_entry_free(struct mqueue *mq, struct mq_entry *entry)
{
	if (entry->file != NULL)
		mq_release(mq, entry);
	mq_reader_free(mq, entry);
	/* It may wait to be looked at again. */
	for (size_t i = 0; entry->is_stale && i < mq->stale_count; i++)
		if (mq->stale[i] == entry)
			mq->stale[i] = NULL;
	free(entry->data_path);
	free(entry->map);
	free(entry);
}

void
mq_forget(struct mqueue *mq, struct ram_message *message)
{
	struct mq_entry *entry = mq_entry_of(message);

	ram_forget(mq->ram, message);
	mq_entry_free(mq, entry);
}

void
mq_set_stale(struct mqueue *mq, struct mq_entry *entry)
{
	if (entry->is_stale)
		return;
	entry->is_stale = true;
	if (mq->stale_count == mq->stale_capacity) {
		mq->stale_capacity = mq->stale_capacity * 2 + 16;
		mq->stale = mem_resize(
		    mq->stale, mq->stale_capacity, sizeof(*mq->stale));
	}
	mq->stale[mq->stale_count++] = entry;
}

/* True if a lock file of sendmail 5, which only counts for its messages, says
   that somebody is at work. */
static bool
mq_has_lock_file(struct mqueue *mq, const struct mq_entry *entry)
{
	struct os_status status;
	char path[MQ_PATH_MAX];

	if (entry->has_version)
		return false;
	mq_path(path, entry->directory->control, "lf", entry->message->id);
	return os_status(mq->os, path, &status) == 0 &&
	       os_wall_ms(mq->os) < status.mtime_ns / 1000000 + MQ_LOCK_FILE_MS;
}

/* Finds out how long the content of a foreign message is; of one of ours, that
   it is there.  Either is still to be believed. */
static int
mq_hold_content(struct mqueue *mq, struct mq_entry *entry)
{
	struct os_status status;
	char path[MQ_PATH_MAX];
	int error;

	if (!entry->is_measured) {
		error = mq_measure(mq, entry);
		/* It is not wanted now. */
		if (error == 0 && entry->message->content_size > mq->inline_max)
			mq_reader_free(mq, entry);
		return error;
	}
	mq_data_path(path, entry);
	error = os_status(mq->os, path, &status);
	if (error == 0 &&
	    mq_distrust(entry->directory, &entry->seen, &status) != NULL)
		error = -EBADMSG;
	return error;
}

/* Locks the control file of an entry that nobody leased yet: 0 or -errno. */
static int
mq_hold_file(struct mqueue *mq, struct mq_entry *entry)
{
	struct os_status status;
	char path[MQ_PATH_MAX];
	int error;

	mq_control_path(path, entry);
	if (mq_has_lock_file(mq, entry))
		return -EWOULDBLOCK;
	error = mq_lock(mq, path, &entry->file, &status);
	if (error < 0)
		return error;
	error = mq_is_same(&status, &entry->seen) ? 0 : -ESTALE;
	if (error == 0) {
		/* Whose it is, and its names, may have changed. */
		entry->seen = status;
		error = mq_hold_content(mq, entry);
	}
	if (error == 0) {
		DL_APPEND(mq->held, entry);
		return 0;
	}
	os_close(mq->os, entry->file);
	entry->file = NULL;
	return error;
}

/* True for an error that leaves the files as they were. */
static bool
mq_is_want(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EMFILE ||
	       error == -ENFILE;
}

/* There was no room for a change.  What was delivered must not come back, so
   that stays in the index, under its lock, until it can be written; so does a
   change of what is leased.  Of others the index goes back to what the file
   says, and the request has failed. */
static void
mq_keep_change(struct mqueue *mq, struct mq_entry *entry, int error)
{
	if (!entry->is_settled && entry->message->lease_count == 0) {
		mq->write_error = error;
		entry->is_changed = false;
		mq_set_stale(mq, entry);
		return;
	}
	if (!entry->is_unwritten)
		log_event(LOG_ERROR, "mqueue-unwritten", entry->message->id,
		    "error=%s", strerror(-error));
	entry->is_unwritten = true;
	mq->write_mono_ms = os_mono_ms(mq->os) + MQ_WRITE_AGAIN_MS;
}

/* Writes what was changed of one message. */
static void
mq_write_entry(struct mqueue *mq, struct mq_entry *entry)
{
	int error;

	if (entry->is_unwritten && os_mono_ms(mq->os) < mq->write_mono_ms)
		return;
	error = mq_rewrite(mq, entry);
	if (mq_is_want(error)) {
		mq_keep_change(mq, entry, error);
		return;
	}
	if (error < 0)
		mq_fatal(mq, "write", entry->message->id, error);
	entry->is_changed = entry->is_settled = entry->is_unwritten = false;
}

/* Writes what the request changed, and gives up what is not leased. */
static void
mq_write_held(struct mqueue *mq)
{
	struct mq_entry *entry, *next;

	DL_FOREACH_SAFE(mq->held, entry, next)
	{
		if (entry->is_changed && !mq->is_dead)
			mq_write_entry(mq, entry);
		if (entry->message->lease_count == 0 &&
		    (!entry->is_changed || mq->is_dead))
			mq_release(mq, entry);
	}
}

static bool
mq_hold(void *arg, struct ram_message *message)
{
	struct mqueue *mq = arg;
	struct mq_entry *entry = mq_entry_of(message);
	int error;

	if (entry->file != NULL)
		return true;
	if (mq->is_dead || entry->refused == mq->request_number)
		return false;
	/* A request is through with one message before it comes to the next:
	   not all that it changes need be open at once. */
	if (++mq->hold_count % MQ_HOLDS_MAX == 0)
		mq_write_held(mq);
	error = mq_hold_file(mq, entry);
	if (error == 0)
		return true;
	entry->refused = mq->request_number;
	entry->is_littered = true;
	/* Gone, written anew, or without its data file; else another program
	   has it, or we have no descriptor or no right for it. */
	if (error == -ENOENT || error == -ESTALE || error == -EBADMSG)
		mq_set_stale(mq, entry);
	else
		entry->was_locked = true;
	return false;
}

static void
mq_changed(void *arg, struct ram_message *message)
{
	struct mq_entry *entry = mq_entry_of(message);

	CHECK(entry->file != NULL);
	entry->is_changed = true;
	(void)arg;
}

static void
mq_removed(void *arg, struct ram_message *message)
{
	struct mqueue *mq = arg;
	struct mq_entry *entry = mq_entry_of(message);

	CHECK(entry->file != NULL);
	if (entry->extra_count == 0)
		mq_finish(mq, entry);
	else {
		/* The rest of its recipients becomes the message. */
		struct mq_rest *rest = mem_new(1, sizeof(*rest));
		int error = mq_rewrite(mq, entry);

		if (error < 0)
			mq_fatal(mq, "write", message->id, error);
		rest->directory = entry->directory;
		memcpy(rest->id, message->id, sizeof(rest->id));
		LL_PREPEND(mq->rests, rest);
	}
	if (entry->file == NULL)
		DL_DELETE(mq->held, entry);
	mq_entry_free(mq, entry);
}

static int
mq_read(void *arg, struct ram_message *message, uint64_t offset, size_t size,
    char *to)
{
	return mq_content_read(arg, mq_entry_of(message), offset, size, to);
}

static const struct ram_keeper mq_keeper = {
    .read = mq_read,
    .hold = mq_hold,
    .changed = mq_changed,
    .removed = mq_removed,
};

/* True if there was anything to be looked at again. */
static bool
mq_look_at_stale(struct mqueue *mq)
{
	bool is_any = mq->stale_count > 0;

	for (size_t i = 0; i < mq->stale_count; i++) {
		struct mq_entry *entry = mq->stale[i];

		if (entry == NULL)
			continue;
		mq->stale[i] = NULL;
		entry->is_stale = false;
		mq_look_again(mq, entry);
	}
	mq->stale_count = 0;
	return is_any;
}

/* Looks for mail that is not known, unless that was done just now. */
static bool
mq_scan_for_more(struct mqueue *mq)
{
	uint64_t found = mq->found_count;

	if (mq->scan_mono_ms > 0 &&
	    os_mono_ms(mq->os) < mq->scan_mono_ms + MQ_SCAN_AGAIN_MS)
		return false;
	mq_scan(mq);
	return mq->found_count > found;
}

static void
mq_look_at_rests(struct mqueue *mq)
{
	struct mq_rest *rest, *next;

	LL_FOREACH_SAFE(mq->rests, rest, next)
	{
		if (!mq->is_dead)
			mq_look_at(mq, rest->directory, rest->id);
		free(rest);
	}
	mq->rests = NULL;
}

static void
mq_do_take(struct mqueue *mq, struct store_request *request)
{
	bool is_again = true;

	while (is_again) {
		ram_do(mq->ram, request);
		is_again = mq_look_at_stale(mq);
		if (request->error == 0 && request->u.take.count > 0 &&
		    request->u.take.lease_count == 0 && !is_again)
			is_again = mq_scan_for_more(mq);
		is_again &=
		    request->error == 0 && request->u.take.lease_count == 0;
		mq->request_number += is_again;
	}
}

/* True if what the request changes can be written. */
static bool
mq_has_room(struct mqueue *mq)
{
	uint64_t room;

	return os_room(mq->os, &room) == 0 && room >= MQ_ROOM_MIN;
}

/* True if there is something to be written after the settle: not if nothing of
   MESSAGE is left, or nothing has happened. */
static bool
mq_settle_writes(
    const struct store_request *request, const struct ram_message *message)
{
	size_t gone = 0, stay = 0;

	for (size_t i = 0; i < request->u.settle.result_count; i++) {
		const struct store_result *result =
		    &request->u.settle.results[i];

		if (result->outcome == STORE_DELIVERED ||
		    result->outcome == STORE_FAILED)
			gone++;
		else
			stay += result->outcome == STORE_DEFERRED ||
			        result->alarm_ms > 0;
	}
	return request->u.settle.dsn != NULL || stay > 0 ||
	       (gone > 0 && gone < message->left_count);
}

static void
mq_do_settle(struct mqueue *mq, struct store_request *request)
{
	struct store_message *dsn = request->u.settle.dsn;
	struct ram_message *message;

	request->u.settle.is_message_done = false;
	request->u.settle.left_messages = request->u.settle.left_bytes = 0;
	request->error = ram_settle_check(mq->ram, request);
	HASH_FIND_STR(mq->ram->by_id, request->u.settle.id, message);
	if (request->error == 0 && mq_settle_writes(request, message) &&
	    !mq_has_room(mq))
		request->error = -ENOSPC;
	/* The notification is there for sure before what it tells of is gone;
	   a kill in between makes it a second time, never none. */
	if (request->error == 0 && dsn != NULL)
		request->error = mq_append(mq, dsn);
	/* So that it is tried again, and not taken for undone. */
	if (mq_is_want(request->error))
		request->error = -ENOSPC;
	if (request->error < 0)
		return;
	if (dsn != NULL)
		mq_sync_names(mq);
	mq_entry_of(message)->is_settled = true;
	for (size_t i = 0; i < request->u.settle.result_count; i++)
		mq_entry_of(message)->is_tried |=
		    request->u.settle.results[i].outcome != STORE_UNTRIED;
	request->u.settle.dsn = NULL;
	ram_do(mq->ram, request);
	request->u.settle.dsn = dsn;
}

static void
mq_do_clock(struct mqueue *mq, struct store_request *request)
{
	struct ram_message *message;

	mq->clock_queue_ms = request->u.clock.queue_ms;
	mq->clock_wall_ms = request->u.clock.wall_ms;
	mq->offset_ms =
	    (int64_t)(request->u.clock.queue_ms - os_wall_ms(mq->os));
	mq->is_state_dirty = true;
	if (request->u.clock.is_only_log)
		return;
	mq_scan(mq);
	/* What another program had is free now, perhaps. */
	DL_FOREACH(mq->ram->messages, message)
	{
		mq->found_count += mq_entry_of(message)->was_locked;
		mq_entry_of(message)->was_locked = false;
	}
}

static void
mq_do(struct mqueue *mq, struct store_request *request)
{
	request->error = 0;
	mq->inline_max = store_inline_max(request);
	switch (request->verb) {
	case STORE_APPEND:
		request->error = mq_append(mq, request->u.append.message);
		return;
	case STORE_STAGE:
		mq_stage(mq, request);
		return;
	case STORE_UNSTAGE:
		mq_stage_end(
		    mq, mq_stage_find(mq, request->u.unstage.id), true);
		return;
	case STORE_TAKE:
		mq_do_take(mq, request);
		return;
	case STORE_SETTLE:
		mq_do_settle(mq, request);
		return;
	case STORE_CLOCK:
		mq_do_clock(mq, request);
		return;
	case STORE_DUE:
		ram_do(mq->ram, request);
		if (request->u.due.moved_count < STORE_SLICE_MAX &&
		    request->u.due.now_ms > mq->due_mark_ms)
			mq->due_mark_ms = request->u.due.now_ms;
		mq->is_state_dirty |= request->u.due.moved_count > 0;
		return;
	case STORE_PARK:
		ram_do(mq->ram, request);
		mq->is_state_dirty = true;
		return;
	case STORE_CHANGE:
	case STORE_MOVE:
	case STORE_REHOLD:
		ram_do(mq->ram, request);
		return;
	case STORE_READ:
	case STORE_COUNT:
	case STORE_DESTINATIONS:
	case STORE_ALARM:
	case STORE_LEASE:
		ram_do(mq->ram, request);
		return;
	case STORE_FIND:
		ram_do(mq->ram, request);
		mq_describe(mq, request);
		return;
	case STORE_VERBS:
		return;
	}
}

static void
mq_batch(struct store *store, struct store_request **requests, size_t count)
{
	struct mqueue *mq = mqueue_of(store);
	struct store_totals totals;

	for (size_t i = 0; i < count; i++) {
		mq->request_number++;
		if (mq->is_dead) {
			requests[i]->error = -EIO;
			continue;
		}
		mq_do(mq, requests[i]);
		mq_write_held(mq);
		mq_look_at_stale(mq);
		mq_look_at_rests(mq);
		if (mq->is_dead)
			requests[i]->error = -EIO;
		else if (mq->write_error < 0)
			requests[i]->error = mq->write_error;
		mq->write_error = 0;
	}
	mq_sync(mq);
	mq_state_write(mq);
	totals = ram_totals(mq->ram);
	totals.found_count = mq->found_count;
	for (size_t i = 0; i < count; i++)
		requests[i]->totals = totals;
}

static bool
mq_idle(struct store *store)
{
	return false;
}

static void
mq_info(struct store *store, struct store_info *info_out)
{
	struct mqueue *mq = mqueue_of(store);
	struct ram_message *message;

	*info_out = (struct store_info){
	    .queue_ms = mq->clock_queue_ms,
	    .wall_ms = mq->clock_wall_ms,
	    .was_clean = true,
	    .totals = ram_totals(mq->ram),
	};
	/* Without a clock queue time begins with that of the wall. */
	if (mq->clock_wall_ms == 0)
		return;
	DL_FOREACH(mq->ram->messages, message)
	if (message->arrival_ms > info_out->queue_ms)
		info_out->queue_ms = message->arrival_ms;
}

static void
mq_check(struct store *store)
{
	struct mqueue *mq = mqueue_of(store);
	const struct ram_message *message;
	const struct mq_entry *entry;
	size_t leased = 0, held = 0;

	mq->ram->store.ops->check(&mq->ram->store);
	/* What was not written is nowhere. */
	if (mq->is_dead)
		return;
	DL_FOREACH(mq->ram->messages, message)
	{
		entry = mq_entry_of(message);
		CHECK(entry->message == message);
		CHECK(!entry->is_changed || message->lease_count > 0 ||
		      entry->is_unwritten);
		CHECK(!entry->is_unwritten || entry->is_changed);
		CHECK((entry->file != NULL) ==
		      (message->lease_count > 0 || entry->is_unwritten));
		CHECK(entry->is_changed ||
		      entry->map_count == message->left_count);
		leased += message->lease_count > 0 || entry->is_unwritten;
	}
	DL_FOREACH(mq->held, entry)
	held++;
	CHECK(leased == held && mq->stale_count == 0 && mq->done == NULL);
}

static void
mq_close(struct store *store)
{
	struct mqueue *mq = mqueue_of(store);
	struct mq_stage *stage, *next;
	struct mq_bad *bad, *after;

	/* The last time that what found no room can be written. */
	mq->write_mono_ms = 0;
	mq_write_held(mq);
	mq_sync(mq);
	mq_removed_wait(mq);
	HASH_ITER(hh, mq->stages, stage, next)
	mq_stage_end(mq, stage, true);
	HASH_ITER(hh, mq->bad, bad, after)
	{
		HASH_DEL(mq->bad, bad);
		free(bad->path);
		free(bad);
	}
	for (struct ram_message *m = mq->ram->messages; m != NULL; m = m->next)
		mq_entry_free(mq, mq_entry_of(m));
	mq->ram->keeper = NULL;
	mq->ram->store.ops->close(&mq->ram->store);
	free(mq->directories);
	free(mq->fresh);
	free(mq->stale);
	free(mq->hostname);
	free(mq->group);
	free(mq->prefix);
	free(mq);
}

static const struct store_ops mq_ops = {
    .batch = mq_batch,
    .idle = mq_idle,
    .info = mq_info,
    .check = mq_check,
    .close = mq_close,
};

int
store_mqueue_open(struct os *os, const struct store_mqueue_options *options,
    struct store **store_out)
{
	struct mqueue *mq = mem_new(1, sizeof(*mq));
	struct store_info info = {.queue_ms = 0};
	int error;

	CHECK(options->route != NULL);
	mq->store.ops = &mq_ops;
	mq->os = os;
	mq->options = *options;
	mq->hostname =
	    mem_copy_text(options->hostname.data, options->hostname.size);
	mq->group = mem_copy_text(options->group.data, options->group.size);
	mq->prefix = mem_copy_text(options->prefix.data, options->prefix.size);
	mq->ram = ram_of(store_ram_new(os));
	mq->ram->keeper = &mq_keeper;
	mq->ram->keeper_arg = mq;
	mq_state_read(mq);
	info.queue_ms = mq->clock_queue_ms;
	info.wall_ms = mq->clock_wall_ms;
	mq->offset_ms = (int64_t)(store_time_resumed(&info, os_wall_ms(os)) -
				  os_wall_ms(os));
	error = mq_scan_directories(mq);
	if (error == 0) {
		mq_scan(mq);
		mq->found_count = 0;
		*store_out = &mq->store;
		return 0;
	}
	log_event(LOG_ERROR, "mqueue-open", "", "error=%s", strerror(-error));
	mq_close(&mq->store);
	*store_out = NULL;
	return error;
}
