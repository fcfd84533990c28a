/*
 * What the parts of the spool share.  spool.c carries out batches;
 * spool_write.c has the requests that change something, spool_take.c those that
 * lease, spool_look.c those that do neither, spool_recover.c opens and repairs,
 * spool_clean.c makes room.
 *
 * A batch is cut into runs: the requests from FIRST on are answered together
 * when their records are synced.  A new run begins where the log needs a new
 * segment.
 */
#ifndef STORE_SPOOL_SPOOL_ENGINE_H
#define STORE_SPOOL_SPOOL_ENGINE_H

#include "store/spool/spool.h"
#include "store/spool/spool_index.h"
#include "store/spool/spool_lease.h"
#include "store/spool/spool_log.h"
#include "store/spool/spool_rows.h"
#include "store/spool/spool_stage.h"

/* Messages that one find or lease looks at, of the filter or not. */
#define SPOOL_LOOK_MAX 2000

struct spool {
	struct store store; /* first: a struct store * is one of these */
	struct os *os;
	struct store_spool_options options;
	struct os_file *lock;
	struct spool_log log;
	struct spool_index index;
	struct spool_leases leases;
	struct spool_stages stages;
	struct store_info info;
	struct buf body;                 /* the body that is being encoded */
	struct store_request **requests; /* the batch at work */
	size_t first;                    /* of the run */
	size_t now;                      /* the request at work */
	bool is_dead;
	bool is_commit_due; /* with this batch */
	/* Cleaning: the next record to look at, and what may be copied. */
	struct spool_at clean_at;
	uint64_t clean_credit;
	uint64_t clean_stuck; /* number of a segment that cannot be cleaned */
	uint64_t check_count;
	uint64_t batch_bytes; /* added to the log by the batch at work */
	uint64_t room_bytes;  /* free on the disk when it was looked at last */
};

/* What is on disk is unknown: says why and ends the process. */
void spool_die(struct spool *spool, const char *reason);

/* Makes sure that a record of SIZE bytes fits: 0, -errno (nothing changed),
   or -EAGAIN if the run so far failed and the request has to begin anew. */
int spool_make_room(struct spool *spool, uint64_t size);
/* Ends the run: writes, syncs, and answers its requests.  0 or -errno. */
int spool_end_run(struct spool *spool);
/* Commits the index; the log is synced up to its end. */
int spool_commit(struct spool *spool, bool is_clean);
/* The file that content over one block is read from: block INDEX of the
   message, checked, into DATA (SPOOL_BLOCK_STORED bytes): 0, -errno; -EIO if
   it is damaged. */
int spool_read_block(struct spool *spool, const struct spool_stored *stored,
    uint64_t index, char *data, struct str *block_out);

/* Room in the answer for up to COUNT elements, bounded; COUNT_OUT is for how
   many. */
void *spool_answer_array(struct store_request *request, size_t count,
    size_t size, size_t *count_out);

/* The requests; each returns what its error is to be. */
int spool_do_append(struct spool *spool, struct store_request *request);
int spool_do_settle(struct spool *spool, struct store_request *request);
int spool_do_stage(struct spool *spool, struct store_request *request);
int spool_do_unstage(struct spool *spool, struct store_request *request);
int spool_do_due(struct spool *spool, struct store_request *request);
int spool_do_rehold(struct spool *spool, struct store_request *request);
int spool_do_park(struct spool *spool, struct store_request *request);
int spool_do_change(struct spool *spool, struct store_request *request);
int spool_do_move(struct spool *spool, struct store_request *request);
int spool_do_lease(struct spool *spool, struct store_request *request);
int spool_do_clock(struct spool *spool, struct store_request *request);
int spool_do_take(struct spool *spool, struct store_request *request);
int spool_do_alarm(struct spool *spool, struct store_request *request);
int spool_do_read(struct spool *spool, struct store_request *request);
int spool_do_count(struct spool *spool, struct store_request *request);
int spool_do_destinations(struct spool *spool, struct store_request *request);
int spool_do_find(struct spool *spool, struct store_request *request);

/* Adds a record of the body and what belongs to it; FOUND says where it is. */
int spool_add(struct spool *spool, enum spool_record_type type,
    const struct spool_body *body, const struct store_message *message,
    struct spool_found_record *found);
/* True if the limits of a stored message hold, besides the contract's. */
bool spool_message_is_valid(const struct store_message *message);

/* Removes the content files of messages that are gone for good. */
void spool_remove_gone(struct spool *spool);

/* Finds out what is on disk and brings the index up to it. */
int spool_recover(struct spool *spool);
/* Sorts out which messages are older than those before them, if messages came
   out of order: 0 or -errno.  Pointers to counts are void then. */
int spool_order(struct spool_index *index);
/* Brings the index up to the log again after an error in it: 0, or it ended
   the process. */
int spool_repair(struct spool *spool);

/* Copies live messages out of the oldest segment, at most BYTES and a bounded
   number, if cleaning is due; the run has to be ended.  True if it did
   something. */
bool spool_clean(struct spool *spool, uint64_t bytes);
/* True if spool_clean() would do something. */
bool spool_clean_is_due(const struct spool *spool);
/* Removes the oldest segments that nothing needs; true if one was. */
bool spool_reclaim(struct spool *spool);
/* How many segments could go after a checkpoint. */
size_t spool_reclaimable(const struct spool *spool);

#endif
