/*
 * The reason of a quarantine in a control file of sendmail's: the q line.
 * Pure: the text of a file in, the text of the new one out.
 */
#ifndef CMD_MQUEUE_REASON_H
#define CMD_MQUEUE_REASON_H

#include "base/buf.h"
#include "base/str.h"

/* What becomes of a control file. */
enum mqueue_change {
	MQUEUE_SAME,        /* nothing is to be changed; OLD is empty then */
	MQUEUE_SAME_REASON, /* it has this reason already */
	MQUEUE_QUARANTINED,
	MQUEUE_CHANGED, /* it had the reason OLD */
	MQUEUE_RELEASED,
	MQUEUE_INCOMPLETE, /* it has no sender or no end: it cannot run */
};

/* Writes the control file TEXT anew to OUT, with REASON (empty = without one).
   *OLD_OUT is the reason that it had, in TEXT.  What is not a q line stays as
   it is.  Pure.  0, -ENOBUFS, -ENOMEM. */
int mqueue_requarantine(struct str text, struct str reason, struct buf *out,
    enum mqueue_change *change_out, struct str *old_out)
    __attribute__((warn_unused_result));

#endif
