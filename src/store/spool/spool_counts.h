/*
 * What is queued per destination, and per destination and recipient domain:
 * counts that are kept, not computed.  Those in use are in memory, changed
 * there and written to the index before a commit; how many there are is
 * bounded after each commit.  Pointers to them hold until then.
 */
#ifndef STORE_SPOOL_SPOOL_COUNTS_H
#define STORE_SPOOL_SPOOL_COUNTS_H

#include "base/hash.h"
#include "store/spool/spool_index.h"

struct spool_destination {
	UT_hash_handle hh; /* by name */
	UT_hash_handle hh_no;
	uint64_t no;
	struct store_destination d; /* oldest_ms is not kept here */
	char *name;                 /* what d.name points to */
	uint64_t open_messages;     /* with rows that are not STOPPED */
	uint64_t open_bytes;
	uint64_t arrival_max; /* of the messages since it was last empty */
	uint64_t odd_count;   /* special rows of kind 0 */
	uint64_t multi_count; /* special rows of kind 1 */
	bool is_stored;       /* the index has a row of it */
	bool is_dirty;
};

/* The rows of one message at one destination. */
struct spool_group {
	struct spool_destination *destination;
	uint64_t key;
	uint64_t arrival_ms;
	uint64_t size; /* of the content */
	struct spool_row *rows;
	size_t count;
};

/* Finds the destination, or with IS_MADE makes it; -ENOENT. */
int spool_destination_get(struct spool_index *index, struct str name,
    bool is_made, struct spool_destination **destination_out);
int spool_destination_by_no(struct spool_index *index, uint64_t no,
    struct spool_destination **destination_out);
/* What stands in a row of SPOOL_SQL_DESTINATION; the name is not copied. */
void spool_destination_read(
    sqlite3_stmt *row, struct store_destination *destination_out);
/* The arrival of the oldest message there. */
int spool_destination_oldest(
    struct spool_index *index, uint64_t no, uint64_t *oldest_out);

/* Counts the group in, or out before it is changed. */
int spool_counts_add(
    struct spool_index *index, const struct spool_group *group);
int spool_counts_remove(
    struct spool_index *index, const struct spool_group *group);
/* Notes that the message came to the destination, or that its last row there
   is gone; the group is as it was counted in or out. */
int spool_counts_enter(
    struct spool_index *index, const struct spool_group *group);
int spool_counts_leave(
    struct spool_index *index, const struct spool_group *group);
/* COUNT rows moved from one lane to another, neither of them STOPPED. */
void spool_counts_move(struct spool_destination *destination,
    enum store_lane from, enum store_lane to, uint64_t count);
/* What is counted for one domain at the destination. */
int spool_counts_domain(struct spool_index *index,
    const struct spool_destination *destination, struct str name,
    struct store_destination *counts_out);

/* Writes what changed to the index. */
int spool_counts_flush(struct spool_index *index);
/* True if it is time for a commit, so that they can be forgotten. */
bool spool_counts_are_many(const struct spool_index *index);
/* Forgets them if there are too many; everything is flushed and committed. */
void spool_counts_trim(struct spool_index *index);
/* Forgets everything. */
void spool_counts_clear(struct spool_index *index);

#endif
