/*
 * The spool's log: segment files "log/NNNNNNNNNN" that only grow at the end of
 * the newest, and go from the oldest on.  What is added waits in memory until
 * spool_log_flush() writes and syncs it in one go.
 *
 * A segment is sealed by the header of the next one, which says where its
 * valid part ends and is written after all of it was synced.
 *
 * Functions return 0 or -errno.  SPOOL_LOST means that a sync failed, or that
 * a write failed and its remains could not be wiped: what is on disk is then
 * unknown, and the process has to end.
 */
#ifndef STORE_SPOOL_SPOOL_LOG_H
#define STORE_SPOOL_SPOOL_LOG_H

#include "os/os.h"
#include "store/spool/spool_record.h"

#include <errno.h>

#define SPOOL_LOST (-ENOTRECOVERABLE)

/* A place in the log. */
struct spool_at {
	uint64_t segment;
	uint64_t offset;
};

struct spool_segment {
	uint64_t number;
	uint64_t salt;
	uint64_t seq_first;    /* no record here is below it; 0 = not known */
	uint64_t end;          /* of the valid part */
	uint64_t zeroed;       /* zeros are written up to here, or 0 */
	uint64_t live_count;   /* messages whose content is here */
	uint64_t live_bytes;   /* and the size of their records */
	uint64_t live_content; /* and of their content, staged or not */
	bool is_header_bad;
	bool is_damaged; /* something was set aside: never deleted */
	bool is_dirty;   /* the counts above changed since the last commit */
	struct os_file *file; /* NULL: not open */
	uint64_t used_at;     /* for closing the one that rests longest */
};

struct spool_log {
	struct os *os;
	uint64_t segment_size;
	struct spool_segment *segments; /* by ascending number */
	size_t count;
	size_t capacity;
	uint64_t room;         /* where the newest segment's file ends */
	struct buf pending;    /* records that are not written yet */
	uint64_t seq_next;     /* of the next record */
	uint64_t synced_seq;   /* all below it are on stable storage */
	uint64_t sealed_bytes; /* valid bytes of all segments but the newest */
	uint64_t live_count;   /* the sums of the segments' */
	uint64_t live_content;
	uint64_t queue_ms; /* both clocks at one moment, as last known */
	uint64_t wall_ms;
	uint64_t use_count;
};

/* One record that is found in the log. */
struct spool_found_record {
	struct spool_at at;
	struct spool_record_header header;
	struct str body;
};

/* What spool_log_walk() calls; RECORD may stop the walk with an error. */
struct spool_walk {
	int (*record)(void *arg, const struct spool_found_record *found);
	void (*damage)(void *arg, struct spool_at at);
	void *arg;
	uint64_t seq; /* records below it are passed over */
};

void spool_log_init(
    struct spool_log *log, struct os *os, uint64_t segment_size);
/* Closes files and frees memory; writes nothing. */
void spool_log_fini(struct spool_log *log);

/* Adds a record; FOUND is filled in but for what the log itself knows (place,
   number, salt).  ID is of the message whose CONTENT it carries.  The caller
   made sure that it fits (spool_log_fits()). */
int spool_log_add(struct spool_log *log, struct spool_found_record *found,
    struct str content, const char *id);
/* The same with content that is in checked blocks already. */
int spool_log_add_stored(
    struct spool_log *log, struct spool_found_record *found, struct str stored);
/* Takes back the records that were added after the first SIZE pending bytes. */
void spool_log_take_back(struct spool_log *log, size_t size);
bool spool_log_fits(const struct spool_log *log, uint64_t size);

/* A message came: if that is the latest that is known, so are both clocks.  A
   clock record is made but once a minute, and the wall clock of then beside the
   queue time of now would count that minute twice at the next start. */
void spool_log_note_arrival(
    struct spool_log *log, uint64_t queue_ms, uint64_t wall_ms);

/* Writes what is pending, if anything, and syncs it.  After an error that is
   not SPOOL_LOST nothing of it is in the log. */
int spool_log_flush(struct spool_log *log);
/* Starts a segment with room for a record of SIZE bytes; nothing may be
   pending. */
int spool_log_roll(struct spool_log *log, uint64_t size);

/* Reads SIZE bytes, also of what is pending: 0, -EBADMSG past the end. */
int spool_log_read(
    struct spool_log *log, struct spool_at at, void *data, size_t size);
/* Walks from FROM to the end of the log. */
int spool_log_walk(
    struct spool_log *log, struct spool_at from, const struct spool_walk *walk);

/* How long the file of a new segment is to be that begins with SIZE bytes:
   where there is little room it takes a part of that only. */
uint64_t spool_log_segment_room(const struct spool_log *log, uint64_t size);
/* Where the next record goes. */
struct spool_at spool_log_end(const struct spool_log *log);
/* The segment of that number, or NULL. */
struct spool_segment *spool_log_segment(struct spool_log *log, uint64_t number);
struct spool_segment *spool_log_newest(struct spool_log *log);
/* Opens the segment's file if it is not open. */
int spool_log_open_segment(
    struct spool_log *log, struct spool_segment *segment);
/* Adds a segment to the list (not to the disk). */
struct spool_segment *spool_log_push(struct spool_log *log, uint64_t number);
/* Removes the oldest one, which is not the newest: its file is unlinked, or
   moved to "damaged/" if something in it was set aside. */
int spool_log_drop_oldest(struct spool_log *log);

#define SPOOL_LOG_NAME_MAX 40
void spool_log_name(char name[SPOOL_LOG_NAME_MAX], uint64_t number);

#endif
