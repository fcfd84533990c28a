/*
 * Messages and their rows in the index: reading them, and carrying out what a
 * log record says.  The same functions serve requests and recovery, so that
 * the index is always what the log makes of it.
 *
 * What is read stays in the scratch arena until the caller empties it.
 */
#ifndef STORE_SPOOL_SPOOL_ROWS_H
#define STORE_SPOOL_SPOOL_ROWS_H

#include "store/spool/spool_counts.h"
#include "store/spool/spool_index.h"

/* A message as the index has it; message.rows is not filled in. */
struct spool_stored {
	struct spool_message message;
	struct spool_at at;     /* of its record */
	uint64_t length;        /* of the record */
	uint64_t content;       /* where the content begins in the segment */
	uint64_t live_count;    /* rows left */
	uint64_t *destinations; /* numbers, each once; rows may be gone there */
	size_t destination_count;
};

/* -ENOENT if there is none. */
int spool_rows_by_id(
    struct spool_index *index, struct str id, struct spool_stored *stored_out);
int spool_rows_by_key(
    struct spool_index *index, uint64_t key, struct spool_stored *stored_out);
/* The first message of the filter behind AFTER_KEY: 0 or -ENOENT. */
int spool_rows_next(struct spool_index *index,
    const struct store_filter *filter, uint64_t after_key,
    struct spool_stored *stored_out);
/* 1 if a message of that id is queued, else 0, or -errno. */
int spool_rows_has_id(struct spool_index *index, struct str id);
/* The key of the message of that id, from the index alone; -ENOENT. */
int spool_rows_key(struct spool_index *index, struct str id, uint64_t *key_out);

/* The rows of the message at the destination, by index; may be none. */
int spool_rows_group(struct spool_index *index,
    const struct spool_stored *stored, struct spool_destination *destination,
    struct spool_group *group_out);
/* The rows of the message, by index; only those at NAME unless it is empty. */
int spool_rows_all(struct spool_index *index, const struct spool_stored *stored,
    struct str name, struct spool_row **rows_out, size_t *count_out);

/* A waiting row whose time came. */
struct spool_due {
	uint64_t no; /* of the destination */
	uint64_t due_ms;
	uint64_t key;
	uint64_t index;
	enum store_lane home;
};

/* The first STORE_SLICE_MAX waiting rows up to LAST (its due time, key and
   index), and the due time of the first that is left (0 = none). */
int spool_rows_due(struct spool_index *index, const struct spool_due *last,
    struct spool_due **due_out, size_t *count_out, uint64_t *next_due_ms_out);

/* Adds a row to the index, but not to the counts. */
int spool_apply_row(struct spool_index *index,
    const struct spool_message *message,
    const struct spool_destination *destination, const struct spool_row *row);
/* Each carries out a record that is in the log at FOUND. */
int spool_apply_message(struct spool_index *index,
    struct spool_message *message, const struct spool_found_record *found);
/* IS_DONE_OUT: no row of the message is left. */
int spool_apply_settle(struct spool_index *index, struct spool_body *body,
    const struct spool_found_record *found, bool *is_done_out);
int spool_apply_change(
    struct spool_index *index, const struct spool_body *body);
int spool_apply_move(struct spool_index *index, const struct spool_body *body);
int spool_apply_rehold(struct spool_index *index, struct str destination);
int spool_apply_due(
    struct spool_index *index, const struct spool_due *due, size_t count);

#endif
