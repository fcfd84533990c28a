/*
 * What is on disk of the log after an unclean end: which segments there are,
 * where the newest one ends, and what of it may not be believed before it is
 * written and synced again.
 */
#ifndef STORE_SPOOL_SPOOL_SCAN_H
#define STORE_SPOOL_SPOOL_SCAN_H

#include "store/spool/spool_log.h"

/* What a segment holds, as its records say themselves. */
struct spool_scan {
	uint64_t end;        /* of the valid part */
	uint64_t seq_next;   /* behind the last record, 0 = none */
	uint64_t synced_seq; /* highest that a record tells */
	bool is_damaged;     /* something before the end cannot be read */
};

/* Lists the directory and reads the headers into an empty LOG.  A newest
   segment that was never used is removed.  The end of the newest one is where
   its file ends. */
int spool_scan_open(struct spool_log *log);
/* Finds the end of a segment: before what was torn, but not before what is
   damaged and was synced once. */
int spool_scan_segment(
    struct spool_log *log, size_t i, struct spool_scan *scan_out);
/* Reads the body and the content of a record that was walked to; what the body
   points to is in ARENA, which is emptied first.  0, -errno; -EBADMSG if
   something fails its check. */
int spool_scan_content(struct spool_log *log, struct arena *arena,
    const struct spool_found_record *found);
/* Copies what in the newest segment has a number from SEQ on to a segment of
   its own, synced; the newest one then ends before it. */
int spool_scan_copy_tail(struct spool_log *log, uint64_t seq);
/* True if a record begins at AT. */
bool spool_scan_has_record(struct spool_log *log, struct spool_at at);

#endif
