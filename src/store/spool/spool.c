/*
 * The spool as a store: batches, idle work, opening and closing.
 *
 * Promises: an answer is final only after the records of its run were synced;
 * a run that cannot be written leaves nothing in the log and nothing in the
 * index, and its requests fail; a failed sync ends the process.
 *
 * Invariants: (1) the index with its open transaction is what the log up to its
 * end says, pending records included; (2) what is committed covers synced
 * records only; (3) leases, stages and files to be removed change for good only
 * when their run is synced.
 */
#include "store/spool/spool.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SPOOL_RUN_BYTES     ((size_t)8 << 20)    /* then it is written */
#define SPOOL_COMMIT_ROWS   2000                 /* changed, then a commit */
#define SPOOL_WAL_BYTES     ((uint64_t)64 << 20) /* then a checkpoint */
#define SPOOL_WAL_BYTES_MIN ((uint64_t)1 << 20)
#define SPOOL_WAL_PART      4 /* of the room, if that is less */
#define SPOOL_RECLAIM_COUNT 4 /* segments that wait for a checkpoint */
#define SPOOL_IDLE_CLEAN    ((uint64_t)1 << 20)
#define SPOOL_TRIES         3
#define SPOOL_CHECK_EVERY   8

static struct spool *
spool_of(struct store *store)
{
	return (struct spool *)(void *)store;
}

void
spool_die(struct spool *spool, const char *reason)
{
	log_event(LOG_ERROR, "spool-fatal", "", "reason=%s", reason);
	spool->is_dead = true;
	if (spool->options.fatal == NULL)
		abort();
	spool->options.fatal(spool->options.fatal_arg);
}

/* Lets the requests of the run fail with ERROR, as far as they changed or saw
   what is void now. */
static void
spool_fail_run(struct spool *spool, int error)
{
	for (size_t i = spool->first; i < spool->now; i++) {
		struct store_request *request = spool->requests[i];

		if (request->error < 0 || request->verb == STORE_STAGE ||
		    request->verb == STORE_UNSTAGE)
			continue;
		request->error = error;
		if (request->verb == STORE_TAKE)
			request->u.take.lease_count = 0;
		if (request->verb == STORE_ALARM)
			request->u.alarm.lease_count = 0;
		if (request->verb == STORE_LEASE)
			request->u.lease.lease_count = 0;
		if (request->verb == STORE_MOVE) {
			request->u.move.done_count = 0;
			request->u.move.moved_count = 0;
			request->u.move.leased_count = 0;
		}
		if (request->verb == STORE_SETTLE)
			request->u.settle.is_message_done = false;
		if (request->verb == STORE_DUE) {
			request->u.due.moved_count = 0;
			request->u.due.moved_to_count = 0;
		}
		if (request->verb == STORE_CHANGE) {
			request->u.change.changed_count = 0;
			request->u.change.leased_count = 0;
			request->u.change.next_key = 0;
		}
	}
}

void
spool_remove_gone(struct spool *spool)
{
	struct spool_gone *gone;

	while ((gone = spool->index.gone) != NULL) {
		spool->index.gone = gone->next;
		spool_stage_remove(spool->os, gone->id);
		free(gone);
	}
}

int
spool_end_run(struct spool *spool)
{
	int error = spool_log_flush(&spool->log);

	if (error == 0)
		spool_remove_gone(spool);
	else
		spool_fail_run(spool, error == SPOOL_LOST ? -EIO : error);
	spool_lease_settle(&spool->leases, error == 0);
	spool_stage_settle(&spool->stages, error == 0);
	spool->first = spool->now;
	if (error == SPOOL_LOST)
		spool_die(spool, "the log could not be synced");
	else if (error < 0)
		spool_repair(spool);
	return error;
}

int
spool_make_room(struct spool *spool, uint64_t size)
{
	int error;

	if (spool_log_fits(&spool->log, size))
		return 0;
	/* The segment has to be whole before the next one says so. */
	error = spool_end_run(spool);
	if (error < 0)
		return -EAGAIN;
	error = spool_log_roll(&spool->log, size);
	if (error < 0 && error != SPOOL_LOST)
		log_event(LOG_ERROR, "spool-segment", "", "error=%d", -error);
	return error;
}

int
spool_commit(struct spool *spool, bool is_clean)
{
	struct spool_state state;

	/* Everything that was written is synced. */
	CHECK(buf_size(&spool->log.pending) == 0);
	state = (struct spool_state){
	    .covered = spool_log_end(&spool->log),
	    .seq = spool->log.seq_next,
	    .queue_ms = spool->log.queue_ms,
	    .wall_ms = spool->log.wall_ms,
	    .is_clean = is_clean,
	};
	return spool_index_commit(&spool->index, &state);
}

/* Commits what is not committed, then checkpoints. */
static int
spool_commit_and_checkpoint(struct spool *spool)
{
	int error = spool_commit(spool, false);

	return error < 0 ? error : spool_index_checkpoint(&spool->index);
}

typedef int spool_do_fn(struct spool *spool, struct store_request *request);

static spool_do_fn *const spool_verbs[STORE_VERBS] = {
    [STORE_APPEND] = spool_do_append,
    [STORE_STAGE] = spool_do_stage,
    [STORE_UNSTAGE] = spool_do_unstage,
    [STORE_TAKE] = spool_do_take,
    [STORE_SETTLE] = spool_do_settle,
    [STORE_READ] = spool_do_read,
    [STORE_DUE] = spool_do_due,
    [STORE_REHOLD] = spool_do_rehold,
    [STORE_COUNT] = spool_do_count,
    [STORE_DESTINATIONS] = spool_do_destinations,
    [STORE_PARK] = spool_do_park,
    [STORE_FIND] = spool_do_find,
    [STORE_CHANGE] = spool_do_change,
    [STORE_CLOCK] = spool_do_clock,
    [STORE_ALARM] = spool_do_alarm,
    [STORE_MOVE] = spool_do_move,
    [STORE_LEASE] = spool_do_lease,
};

/* The index failed under the request: what it added to the log goes, what is
   before it is made durable, and the index is made again from the log. */
static void
spool_undo(struct spool *spool, size_t pending_before)
{
	size_t pending = buf_size(&spool->log.pending);

	if (pending > pending_before)
		spool_log_take_back(&spool->log, pending_before);
	if (spool_end_run(spool) == 0)
		spool_repair(spool);
}

/* Carries out the request at work.  If something inside fails it is begun
   anew, a few times. */
static void
spool_do(struct spool *spool)
{
	struct store_request *request = spool->requests[spool->now];
	int error = -EIO;

	CHECK(request->verb < STORE_VERBS);
	for (int i = 0; i < SPOOL_TRIES && !spool->is_dead; i++) {
		size_t pending = buf_size(&spool->log.pending);
		uint64_t segment = spool_log_end(&spool->log).segment;

		arena_fini(&spool->index.scratch);
		error = spool_verbs[request->verb](spool, request);
		if (error == SPOOL_LOST) {
			spool_die(spool, "a sync failed");
			break;
		}
		if (error != -EAGAIN && spool->index.error == 0)
			break;
		/* A new segment has nothing pending from before. */
		if (spool_log_end(&spool->log).segment != segment)
			pending = 0;
		if (spool->index.error != 0)
			spool_undo(spool, pending);
		error = -EIO;
	}
	request->error = error == -EUCLEAN || spool->is_dead ? -EIO : error;
	request->totals = (struct store_totals){
	    .messages = spool->log.live_count,
	    .bytes = spool->log.live_content,
	};
}

/* Looks how much room is left, for the answers of the batch. */
static void
spool_tell_room(
    struct spool *spool, struct store_request **requests, size_t count)
{
	if (os_room(spool->os, &spool->room_bytes) < 0)
		spool->room_bytes = 0;
	for (size_t i = 0; i < count; i++)
		requests[i]->totals.room_bytes = spool->room_bytes;
}

/* How long SQLite's log may grow: not far where there is little room. */
static uint64_t
spool_wal_max(const struct spool *spool)
{
	uint64_t part = spool->room_bytes / SPOOL_WAL_PART;

	if (part < SPOOL_WAL_BYTES_MIN)
		return SPOOL_WAL_BYTES_MIN;
	return part < SPOOL_WAL_BYTES ? part : SPOOL_WAL_BYTES;
}

/* Commits, checkpoints and makes room when it is time. */
static void
spool_keep_up(struct spool *spool)
{
	struct spool_index *index = &spool->index;
	int error = 0;

	if (spool->is_dead)
		return;
	if (spool_vfs_wal_size(index->vfs) >= spool_wal_max(spool) ||
	    spool_reclaimable(spool) >= SPOOL_RECLAIM_COUNT)
		error = spool_commit_and_checkpoint(spool);
	else if (index->change_count >= SPOOL_COMMIT_ROWS ||
		 spool->is_commit_due || spool_counts_are_many(index))
		error = spool_commit(spool, false);
	spool->is_commit_due = false;
	if (error < 0)
		spool_repair(spool);
	while (!spool->is_dead && spool_reclaim(spool))
		;
}

static void
spool_batch(struct store *store, struct store_request **requests, size_t count)
{
	struct spool *spool = spool_of(store);

	spool->requests = requests;
	spool->first = spool->now = 0;
	spool->batch_bytes = 0;
	for (; spool->now < count; spool->now++) {
		spool_do(spool);
		if (!spool->is_dead &&
		    buf_size(&spool->log.pending) >= SPOOL_RUN_BYTES) {
			/* This request is the last of the run. */
			spool->now++;
			spool_end_run(spool);
			spool->now--;
		}
	}
	if (!spool->is_dead)
		spool_end_run(spool);
	spool_tell_room(spool, requests, count);
	spool->requests = NULL;
	spool->first = spool->now = 0;
	/* A bounded share of what is written pays for making room. */
	spool->clean_credit += spool->batch_bytes / 2;
	if (!spool->is_dead && spool->clean_credit >= SPOOL_IDLE_CLEAN / 4) {
		spool_clean(spool, spool->clean_credit);
		spool->clean_credit = 0;
	}
	spool_keep_up(spool);
}

/* True if a checkpoint would have something to do. */
static bool
spool_is_behind(const struct spool *spool)
{
	const struct spool_index *index = &spool->index;

	return index->change_count > 0 ||
	       index->durable.segment != index->state.covered.segment ||
	       index->durable.offset != index->state.covered.offset;
}

static bool
spool_idle(struct store *store)
{
	struct spool *spool = spool_of(store);

	if (spool->is_dead)
		return false;
	if (spool_is_behind(spool)) {
		if (spool_commit_and_checkpoint(spool) < 0)
			spool_repair(spool);
		while (!spool->is_dead && spool_reclaim(spool))
			;
	} else if (!spool_clean(spool, SPOOL_IDLE_CLEAN))
		return false;
	return !spool->is_dead &&
	       (spool_is_behind(spool) || spool_clean_is_due(spool));
}

static void
spool_info(struct store *store, struct store_info *info_out)
{
	struct spool *spool = spool_of(store);

	*info_out = spool->info;
	info_out->totals = (struct store_totals){
	    .messages = spool->log.live_count,
	    .bytes = spool->log.live_content,
	};
	if (os_room(spool->os, &info_out->totals.room_bytes) < 0)
		info_out->totals.room_bytes = 0;
}

static void
spool_check(struct store *store)
{
	struct spool *spool = spool_of(store);
	struct spool_log *log = &spool->log;
	uint64_t count = 0, content = 0;

	if (spool->is_dead)
		return;
	CHECK(log->count > 0 && buf_size(&log->pending) == 0);
	CHECK(spool->leases.ended == NULL && spool->index.gone == NULL);
	CHECK(spool->index.error == 0);
	/* Reading everything takes long; the first call always does. */
	if (spool->check_count++ % SPOOL_CHECK_EVERY > 0)
		return;
	for (size_t i = 0; i < log->count; i++) {
		CHECK(i == 0 ||
		      log->segments[i - 1].number < log->segments[i].number);
		count += log->segments[i].live_count;
		content += log->segments[i].live_content;
	}
	CHECK(log->live_count == count && log->live_content == content);
	if (spool_index_check(&spool->index) < 0) {
		spool_repair(spool);
		CHECK(spool_index_check(&spool->index) == 0);
	}
}

/* Frees everything; what is not committed is found again in the log. */
static void
spool_free(struct spool *spool, bool is_clean)
{
	spool_leases_fini(&spool->leases);
	spool_stages_fini(&spool->stages);
	if (spool->index.vfs != NULL)
		spool_index_close(&spool->index, is_clean);
	spool_log_fini(&spool->log);
	buf_fini(&spool->body);
	if (spool->lock != NULL)
		os_close(spool->os, spool->lock);
	free(spool);
}

static void
spool_close(struct store *store)
{
	struct spool *spool = spool_of(store);
	bool is_clean = false;

	/* If this fails the next opening simply has more to do. */
	if (!spool->is_dead && spool_commit(spool, true) == 0)
		is_clean = spool_index_checkpoint(&spool->index) == 0;
	spool_free(spool, is_clean);
}

static const struct store_ops spool_ops = {
    .batch = spool_batch,
    .idle = spool_idle,
    .info = spool_info,
    .check = spool_check,
    .close = spool_close,
};

static int
spool_take_lock(struct spool *spool)
{
	int error = os_open(
	    spool->os, "lock", OS_READ | OS_WRITE | OS_CREATE, &spool->lock);

	if (error == 0)
		error = os_lock(spool->os, spool->lock);
	return error;
}

int
store_spool_open(struct os *os, const struct store_spool_options *options,
    struct store **store_out)
{
	struct spool *spool = mem_new(1, sizeof(*spool));
	uint64_t segment_size = options->segment_size;
	int error;

	if (segment_size == 0)
		segment_size = SPOOL_SEGMENT_SIZE_DEFAULT;
	if (segment_size < SPOOL_SEGMENT_SIZE_MIN)
		segment_size = SPOOL_SEGMENT_SIZE_MIN;
	*store_out = NULL;
	spool->store.ops = &spool_ops;
	spool->os = os;
	spool->options = *options;
	spool->stages.os = os;
	buf_init(&spool->body, SPOOL_BODY_MAX);
	spool_log_init(&spool->log, os, segment_size);
	error = spool_take_lock(spool);
	if (error == 0)
		error = spool_recover(spool);
	if (error < 0) {
		log_event(LOG_ERROR, "spool-open", "", "error=%d", -error);
		spool_free(spool, false);
		return error == SPOOL_LOST || error == -EUCLEAN ? -EIO : error;
	}
	*store_out = &spool->store;
	return 0;
}
