/*
 * Opening a spool, and making its index good again.
 *
 * After a clean end the index is believed.  After an unclean one: (1) the end
 * of the log is found; (2) what was written behind the last sync that is known
 * of is copied to a new segment and synced, because the page cache may show
 * what is not on disk; (3) the index takes in what it does not cover; (4) all
 * of it is committed and synced.  A power cut at any moment of this leads here
 * again.  An index that is damaged, of another version, or does not fit the log
 * is set aside and made anew from the log.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"
#include "store/spool/spool_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RECOVER_COMMIT_ROWS 2000
#define RECOVER_ORPHANS_MAX 1000

static int
recover_directories(struct spool *spool)
{
	static const char *const names[] = {"log", "big", "damaged"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int error = os_make_directory(spool->os, names[i]);

		if (error < 0 && error != -EEXIST)
			return error;
	}
	return os_sync_directory(spool->os, "") < 0 ? SPOOL_LOST : 0;
}

/* Carries out what a record says. */
static int
recover_apply(struct spool *spool, struct spool_body *body,
    const struct spool_found_record *found)
{
	struct spool_index *index = &spool->index;
	struct spool_due *due, last;
	uint64_t unused;
	size_t count;
	bool is_done;
	int error = 0;

	switch (found->header.type) {
	case SPOOL_MESSAGE:
		return spool_apply_message(index, &body->message, found);
	case SPOOL_SETTLE:
		return spool_apply_settle(index, body, found, &is_done);
	case SPOOL_CHANGE:
		return spool_apply_change(index, body);
	case SPOOL_MOVE:
		return spool_apply_move(index, body);
	case SPOOL_REHOLD:
		return spool_apply_rehold(index, body->destination);
	case SPOOL_DUE:
		last = (struct spool_due){.due_ms = body->due_ms,
		    .key = body->key,
		    .index = body->due_index};
		error = spool_rows_due(index, &last, &due, &count, &unused);
		return error < 0 ? error : spool_apply_due(index, due, count);
	case SPOOL_CLOCK:
	case SPOOL_TYPES:
		break;
	}
	return 0;
}

static void
recover_clock(
    struct spool_log *log, const struct spool_body *body, bool is_clock)
{
	if (body->has_message)
		spool_log_note_arrival(log, body->message.arrival_ms,
		    body->message.arrival_wall_ms);
	if (!is_clock)
		return;
	if (body->queue_ms > log->queue_ms)
		log->queue_ms = body->queue_ms;
	log->wall_ms = body->wall_ms;
}

static void
recover_damage(void *arg, struct spool_at at)
{
	struct spool *spool = arg;
	struct spool_segment *segment =
	    spool_log_segment(&spool->log, at.segment);

	log_event(LOG_ERROR, "damaged", "",
	    "segment=%" PRIu64 " offset=%" PRIu64, at.segment, at.offset);
	if (segment != NULL)
		segment->is_damaged = segment->is_dirty = true;
}

static int
recover_record(void *arg, const struct spool_found_record *found)
{
	struct spool *spool = arg;
	struct spool_index *index = &spool->index;
	struct spool_state state;
	struct spool_body body;
	int error;

	arena_fini(&index->scratch);
	if (spool_body_get(
		found->body, &found->header, &index->scratch, &body) < 0) {
		recover_damage(spool, found->at);
		return 0;
	}
	error = recover_apply(spool, &body, found);
	if (error < 0)
		return error;
	recover_clock(&spool->log, &body, found->header.type == SPOOL_CLOCK);
	spool->info.recovered_count++;
	if (index->change_count < RECOVER_COMMIT_ROWS)
		return 0;
	state = (struct spool_state){
	    .covered = found->at,
	    .seq = found->header.seq + 1,
	    .queue_ms = spool->log.queue_ms,
	    .wall_ms = spool->log.wall_ms,
	};
	state.covered.offset += spool_record_size(&found->header);
	return spool_index_commit(index, &state);
}

/* Messages that were copied forward came into a new index out of order. */
int
spool_order(struct spool_index *index)
{
	int error = spool_counts_flush(index);

	if (!index->is_disordered || error < 0)
		return error;
	error =
	    spool_sql_run(index, spool_sql(index, SPOOL_SQL_SPECIAL_CLEAR, ""));
	if (error == 0)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_SPECIAL_REBUILD, ""));
	if (error == 0)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_SPECIAL_RECOUNT, ""));
	spool_counts_clear(index);
	index->is_disordered = false;
	index->change_count++;
	return error;
}

/* Takes in what the index does not cover. */
static int
recover_replay(struct spool *spool)
{
	struct spool_index *index = &spool->index;
	struct spool_walk walk = {.record = recover_record,
	    .damage = recover_damage,
	    .arg = spool,
	    .seq = index->state.seq};
	struct spool_at from = index->state.covered;
	int error;

	/* What the log's end has not yet written is not in the walk. */
	CHECK(buf_size(&spool->log.pending) == 0);
	error = spool_log_walk(&spool->log, from, &walk);
	if (error == 0)
		error = spool_order(index);
	if (error == 0)
		spool_remove_gone(spool);
	return error;
}

/* True if the log has what the index says that it covers. */
static bool
recover_fits(struct spool *spool)
{
	struct spool_at covered = spool->index.state.covered;
	const struct spool_segment *segment =
	    spool_log_segment(&spool->log, covered.segment);

	/* A new index covers nothing yet. */
	if (covered.segment == 0)
		return true;
	return segment != NULL && covered.offset >= SPOOL_SEGMENT_START &&
	       covered.offset <= segment->end;
}

/* Sets the index aside and makes an empty one. */
static int
recover_new_index(struct spool *spool)
{
	int error;

	spool_index_close(&spool->index, false);
	error = spool_index_set_aside(spool->os);
	if (error == 0)
		error = spool_index_open(&spool->index, spool->os, &spool->log);
	return error;
}

static int
recover_open_index(struct spool *spool)
{
	int error = 0;

	if (spool->options.is_index_new)
		error = spool_index_set_aside(spool->os);
	if (error == 0)
		error = spool_index_open(&spool->index, spool->os, &spool->log);
	return error == -EUCLEAN ? recover_new_index(spool) : error;
}

/* True if the index says that nothing was written behind what it covers, and
   nothing was. */
static bool
recover_is_clean(struct spool *spool)
{
	const struct spool_state *state = &spool->index.state;
	const struct spool_segment *newest = spool_log_newest(&spool->log);

	return state->is_clean && newest != NULL && !newest->is_header_bad &&
	       state->covered.segment == newest->number &&
	       state->covered.offset >= SPOOL_SEGMENT_START &&
	       state->covered.offset <= newest->end &&
	       !spool_scan_has_record(&spool->log, state->covered);
}

/* Finds the end of the log and makes its last part durable. */
static int
recover_log(struct spool *spool)
{
	struct spool_log *log = &spool->log;
	struct spool_segment *newest = spool_log_newest(log);
	uint64_t synced_seq = spool->index.state.seq;
	struct spool_scan scan;
	int error = spool_scan_segment(log, log->count - 1, &scan);

	if (error < 0)
		return error;
	newest->end = scan.end;
	newest->is_damaged |= scan.is_damaged;
	if (scan.synced_seq > synced_seq)
		synced_seq = scan.synced_seq;
	if (scan.seq_next > log->seq_next)
		log->seq_next = scan.seq_next;
	return spool_scan_copy_tail(log, synced_seq);
}

/* A log that was not there, or whose files somebody removed. */
static int
recover_empty(struct spool *spool)
{
	int error = 0;

	if (spool->index.state.covered.segment != 0) {
		log_event(LOG_ERROR, "spool-log-missing", "",
		    "segment=%" PRIu64, spool->index.state.covered.segment);
		error = recover_new_index(spool);
	} else
		spool->info.was_clean = true;
	return error < 0 ? error : spool_log_roll(&spool->log, 0);
}

/* Content files that no message has. */
struct recover_orphans {
	struct spool *spool;
	char (*ids)[STORE_ID_MAX + 1];
	size_t count;
	int error;
};

static void
recover_orphan(void *arg, const char *name)
{
	struct recover_orphans *orphans = arg;
	struct spool_index *index = &orphans->spool->index;
	char id[STORE_ID_MAX + 1];
	uint64_t is_staged = 0;

	if (orphans->error < 0 || orphans->count == RECOVER_ORPHANS_MAX ||
	    !spool_stage_id(name, id))
		return;
	orphans->error = spool_sql_number(index,
	    spool_sql(index, SPOOL_SQL_MESSAGE_STAGED, "b", str_from(id)),
	    &is_staged);
	if (orphans->error == 0 && is_staged == 0)
		memcpy(orphans->ids[orphans->count++], id, sizeof(id));
}

static int
recover_remove_orphans(struct spool *spool)
{
	struct recover_orphans orphans = {.spool = spool};
	int error;

	orphans.ids = mem_new(RECOVER_ORPHANS_MAX, sizeof(*orphans.ids));
	do {
		orphans.count = 0;
		error = os_list(spool->os, "big", recover_orphan, &orphans);
		for (size_t i = 0; i < orphans.count; i++)
			spool_stage_remove(spool->os, orphans.ids[i]);
	} while (error == 0 && orphans.error == 0 &&
		 orphans.count == RECOVER_ORPHANS_MAX);
	free(orphans.ids);
	return error < 0 ? error : orphans.error;
}

/* All is in the index: what was recovered becomes durable. */
static int
recover_finish(struct spool *spool)
{
	struct spool_log *log = &spool->log;
	int error;

	if (spool->index.state.seq > log->seq_next)
		log->seq_next = spool->index.state.seq;
	log->synced_seq = log->seq_next;
	error = spool_commit(spool, false);
	if (error == 0)
		error = spool_index_checkpoint(&spool->index);
	if (error == 0)
		error = recover_remove_orphans(spool);
	return error;
}

/* Brings the index up to the log; a damaged one is made anew. */
static int
recover_index(struct spool *spool)
{
	int error =
	    recover_fits(spool) ? 0 : spool_index_fail(&spool->index, -EUCLEAN);

	if (error == 0)
		error = recover_replay(spool);
	if (error == 0)
		error = recover_finish(spool);
	if (spool->index.error != -EUCLEAN)
		return error;
	error = recover_new_index(spool);
	if (error == 0)
		error = recover_replay(spool);
	return error < 0 ? error : recover_finish(spool);
}

/* The clocks as of the newest header or of the index, whichever is later. */
static void
recover_clocks(struct spool *spool)
{
	const struct spool_segment *newest = spool_log_newest(&spool->log);
	const struct spool_state *state = &spool->index.state;

	if (state->queue_ms > spool->log.queue_ms)
		spool->log.queue_ms = state->queue_ms;
	if (newest != NULL && state->covered.segment >= newest->number)
		spool->log.wall_ms = state->wall_ms;
}

int
spool_recover(struct spool *spool)
{
	struct spool_log *log = &spool->log;
	int error = recover_directories(spool);

	if (error == 0)
		error = spool_scan_open(log);
	if (error == 0)
		error = recover_open_index(spool);
	if (error < 0)
		return error;
	recover_clocks(spool);
	if (log->count == 0)
		error = recover_empty(spool);
	else if (recover_is_clean(spool)) {
		spool->info.was_clean = true;
		spool_log_newest(log)->end = spool->index.state.covered.offset;
	} else
		error = recover_log(spool);
	if (error == 0)
		error = recover_index(spool);
	spool->info.queue_ms = log->queue_ms;
	spool->info.wall_ms = log->wall_ms;
	if (error == 0)
		log_event(LOG_NOTE, "spool-open", "",
		    "clean=%d recovered=%" PRIu64 " segments=%zu",
		    spool->info.was_clean, spool->info.recovered_count,
		    log->count);
	return error;
}

int
spool_repair(struct spool *spool)
{
	struct spool_index *index = &spool->index;
	uint64_t recovered_count = spool->info.recovered_count;
	int error = index->error;

	if (spool->is_dead)
		return -EIO;
	log_event(LOG_WARN, "spool-repair", "", "error=%d", -error);
	for (int i = 0; i < 2 && index->error != SPOOL_LOST; i++) {
		error = index->error == -EUCLEAN ? recover_new_index(spool)
		                                 : spool_index_rollback(index);
		if (error == 0)
			error = recover_replay(spool);
		if (error == 0)
			break;
		if (index->error == 0)
			spool_index_fail(index, error);
	}
	spool->info.recovered_count = recovered_count;
	if (index->error == SPOOL_LOST || error < 0)
		spool_die(spool, index->error == SPOOL_LOST
				     ? "a sync failed"
				     : "the index cannot be made anew");
	return error;
}
