/*
 * Moving messages from one store to another, of whatever engines.  Each is
 * appended there, durably, before it is removed here; so a kill leaves it in
 * one of them or, with the same id, in both, and the next transfer finds that
 * out and removes it here.
 */
#ifndef STORE_TRANSFER_H
#define STORE_TRANSFER_H

#include "store/store.h"

struct store_transfer {
	struct store *from, *to;
	struct store_filter filter; /* of FROM; a message goes as a whole */
	int64_t ahead_ms;           /* queue time of TO minus that of FROM */
	/* Whether DESTINATION is held, for rows that are in neither of the two
	   lanes that say so. */
	bool (*is_held)(void *arg, struct str destination);
	void *arg;
	/* The rank of a message, as when it was appended first. */
	uint64_t (*rank)(uint64_t arrival_ms, uint64_t size, int priority);
	/* Out. */
	uint64_t moved_count;
	uint64_t merged_count; /* were in both */
	uint64_t left_count;   /* leased, or another has their id in TO */
};

/* Moves all messages with rows of the filter.  Recipients keep destination,
   lane, alarm, last answer and when they are due; attempts are counted anew.
   0, or the first -errno: then what was moved is moved, and the message at hand
   is where it was. */
int store_transfer(struct store_transfer *transfer)
    __attribute__((warn_unused_result));

#endif
