/*
 * Messages as files of mail and programs on this host get them: LF ends a line,
 * and a "From " line stands first, as sendmail's mailers "*file*" and "prog"
 * have it (mbox, RFC 4155).  In a file a line that begins with "From " gets a
 * ">" before it, and an empty line ends the message.
 */
#ifndef ROLE_MBOX_H
#define ROLE_MBOX_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of the text so far. */
struct mbox {
	bool is_file;
	bool is_cr;      /* a CR waits for what follows */
	bool is_inside;  /* of a line */
	size_t matching; /* bytes of "From " at the front of a line that wait */
};

/* Begins a message of SENDER ("" = the null sender) that came at that time: its
   first lines go to OUT.  0 or -ENOBUFS. */
int mbox_begin(struct mbox *m, bool is_file, struct str sender,
    uint64_t arrival_wall_ms, struct buf *out)
    __attribute__((warn_unused_result));
/* Adds content, cut anywhere; at most twice as many bytes come of it.  0 or
   -ENOBUFS. */
int mbox_add(struct mbox *m, struct str bytes, struct buf *out)
    __attribute__((warn_unused_result));
int mbox_end(struct mbox *m, struct buf *out)
    __attribute__((warn_unused_result));

#endif
