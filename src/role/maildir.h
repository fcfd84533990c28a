/*
 * Delivery into a Maildir: the protocol between the deliver role and a helper
 * process, and the helper's work itself over struct os.
 *
 * The helper reads one job and answers once.  Both are frames: length (32 bits,
 * little-endian), then fields of base/wire.h:
 *   job      str id, u32 index, u64 arrival_wall_ms, str sender, str recipient,
 *            u64 content_size
 *   content  str bytes (at most STORE_BLOCK), until content_size is reached
 *   answer   u8 verdict (enum smtp_verdict), str text ("250 2.0.0 ...")
 */
#ifndef ROLE_MAILDIR_H
#define ROLE_MAILDIR_H

#include "base/buf.h"
#include "base/str.h"
#include "os/os.h"

#include <stdint.h>

struct maildir_job {
	struct str id;
	uint32_t index;
	uint64_t arrival_wall_ms;
	struct str sender;
	struct str recipient;
	uint64_t content_size;
};

/* The deliver side: append frames to OUT: 0 or -ENOBUFS. */
int maildir_job_put(struct buf *out, const struct maildir_job *job)
    __attribute__((warn_unused_result));
int maildir_content_put(struct buf *out, struct str bytes)
    __attribute__((warn_unused_result));

/* The helper: fed with the deliver side's bytes it writes tmp/NAME, syncs it,
   moves it to new/NAME, syncs the directory, and answers. */
struct maildir;

/* OS is the Maildir itself; HOSTNAME goes into file names. */
struct maildir *maildir_new(struct os *os, struct str hostname);
/* Removes a file left in tmp. */
void maildir_free(struct maildir *m);
/* Takes all of BYTES: 0, 1 when the answer stands in OUT, or -EPROTO. */
int maildir_feed(struct maildir *m, struct str bytes, struct buf *out)
    __attribute__((warn_unused_result));

#endif
