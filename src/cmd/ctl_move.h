/*
 * sendqctl import and export: messages between the configured store and a queue
 * directory of sendmail's, while no daemon has the store.
 */
#ifndef CMD_CTL_MOVE_H
#define CMD_CTL_MOVE_H

#include "conf/conf.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct ctl_move {
	const struct conf *conf;
	const char *directory; /* of sendmail's */
	bool is_import;        /* into the configured store, else out of it */
	struct store_filter filter;
	uint64_t older_ms; /* only what came so long ago; 0 = all */
	/* Out. */
	uint64_t moved_count;
	uint64_t merged_count; /* were in both places */
	uint64_t left_count;   /* in use by another program */
};

/* Moves; a status of <sysexits.h>, after the reason was printed.  What was
   moved before something went wrong is moved. */
int ctl_move(struct ctl_move *move);

#endif
