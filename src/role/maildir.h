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
#include "smtp/client.h"
#include "store/store.h"

#include <stdbool.h>
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

/*
 * The frames from the helper's side, for other helpers too.
 */
/* A job frame is smaller than a content frame of one block. */
#define MAILDIR_FRAME_MAX (4 + STORE_BLOCK)

/* Moves bytes from BYTES to IN (which has room for 4 + MAILDIR_FRAME_MAX) until
   a frame is whole: 1, and FRAME_OUT, its fields, is valid until the caller
   clears IN; 0: more is needed; -EPROTO. */
int maildir_frame_take(struct buf *in, struct str *bytes, struct str *frame_out)
    __attribute__((warn_unused_result));
/* Read a frame; the texts point into it: 0 or -EPROTO.  LEFT is how much
   content there may still be. */
int maildir_job_get(struct str frame, struct maildir_job *job_out)
    __attribute__((warn_unused_result));
int maildir_content_get(struct str frame, uint64_t left, struct str *bytes_out)
    __attribute__((warn_unused_result));
/* True if nothing in the job could end a line, and its id is one. */
bool maildir_job_is_valid(const struct maildir_job *job);
/* Append an answer, and one that says that ERROR (-errno) may be over later: 0
   or -ENOBUFS. */
int maildir_answer_put(struct buf *out, enum smtp_verdict verdict,
    struct str text) __attribute__((warn_unused_result));
int maildir_error_put(struct buf *out, int error)
    __attribute__((warn_unused_result));

/* The Maildir's helper: fed with the deliver side's bytes it writes tmp/NAME,
   syncs it, moves it to new/NAME, syncs the directory, and answers. */
struct maildir;

/* OS is the Maildir itself; HOSTNAME goes into file names. */
struct maildir *maildir_new(struct os *os, struct str hostname);
/* Removes a file left in tmp. */
void maildir_free(struct maildir *m);
/* Takes all of BYTES: 0, 1 when the answer stands in OUT, or -EPROTO. */
int maildir_feed(struct maildir *m, struct str bytes, struct buf *out)
    __attribute__((warn_unused_result));

#endif
