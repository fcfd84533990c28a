/*
 * The default store: a directory with a log that is the truth and an SQLite
 * index of it.  One fdatasync a batch covers arrivals and settles alike.
 *
 *   lock          held by the one process that has the spool open
 *   log/          segments of the log (spool_record.h)
 *   big/          content that is not in the log (spool_stage.h)
 *   queue.db      the index (spool_sql.h); queue.db-wal while it is open
 *   damaged/      segments in which something could not be read
 *   queue.db.damaged-N  an index that was set aside and rebuilt
 */
#ifndef STORE_SPOOL_SPOOL_H
#define STORE_SPOOL_SPOOL_H

#include "os/os.h"
#include "store/store.h"

#define SPOOL_SEGMENT_SIZE_DEFAULT ((uint64_t)64 << 20)
#define SPOOL_SEGMENT_SIZE_MIN     ((uint64_t)4096)

struct store_spool_options {
	/* Bytes of a segment; 0 = the default. */
	uint64_t segment_size;
	/* The index is set aside and made anew from the log. */
	bool is_index_new;
	/* Called when what is on disk is unknown (a sync failed); it is not
	   expected to return, and if it does every request fails with -EIO
	   from then on.  NULL = abort(). */
	void (*fatal)(void *arg);
	void *fatal_arg;
};

/*
 * Opens the spool in the directory of OS, or makes it there; recovers after an
 * unclean end.  OS stays the caller's.  0 or -errno: -EWOULDBLOCK another
 * process has it open.  The reason is logged.
 */
int store_spool_open(struct os *os, const struct store_spool_options *options,
    struct store **store_out) __attribute__((warn_unused_result));

/* Closes the spool and, if it has no message, removes its files, so that only
   the empty directories log, big and damaged are left: 0, -ENOTEMPTY, or
   -errno with some of them left. */
int store_spool_remove(struct store *store) __attribute__((warn_unused_result));

/* What store_spool_verify() looked at. */
struct store_spool_report {
	uint64_t record_count; /* in the log, of any kind */
	uint64_t message_count;
	uint64_t bytes; /* of the messages' content */
	uint64_t wrong_count;
};

/* Looks at everything: the index, each record of the log with its content, and
   that each queued message is where the index says.  What is wrong is logged
   and counted.  Nothing is changed.  0, or -errno if it could not look. */
int store_spool_verify(struct store *store,
    struct store_spool_report *report_out) __attribute__((warn_unused_result));

#endif
