/*
 * The drop directory: where sendmail leaves mail while no daemon listens.  This
 * is the codec of one file in it, for the program that writes it and for the
 * daemon that picks it up.
 *
 *	DIR/tmp/NAME	being written; nobody reads it; removed when it is old
 *	DIR/new/NAME	whole and on disk: written, synced, moved here, both
 *			directories synced; now it is the daemon's to take
 *
 * NAME is "TTTTTTTTTTTTTTTT-RRRRRRRRRRRRRRRR" (drop_name_format()): names in
 * order are times in order.  Files have mode 0640 and the directories' group,
 * the directories 2770.  Who wrote a file is its owner, and nothing in it.
 *
 * A file is text, then content, then a trailer of DROP_TRAILER_SIZE bytes:
 *
 *	sendq-drop 1\n
 *	MAIL FROM:<a@b.test> BODY=8BITMIME RET=HDRS\n
 *	RCPT TO:<c@d.test> NOTIFY=NEVER\n         at least one
 *	DATA\n
 *	content: the message with CRLF line ends, no dots stuffed, no final dot
 *	\nEND SSSSSSSSSSSSSSSS CCCCCCCC\n
 *
 * MAIL and RCPT are what an SMTP client would say, byte for byte, but for the
 * line end.  S is the number of bytes before the trailer, C the CRC-32C of
 * them, both in hexadecimal.  A file that was torn does not end so.
 */
#ifndef MAIL_DROP_H
#define MAIL_DROP_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DROP_NAME_SIZE    34 /* with the NUL */
#define DROP_TRAILER_SIZE 31
#define DROP_LINE_MAX     4096                /* of the envelope, with its LF */
#define DROP_LINES_MAX    1000                /* recipients in one file */
#define DROP_TEMP_AGE_MS  UINT64_C(129600000) /* older in tmp/: forgotten */
#define DROP_DIR_TEMP     "tmp"
#define DROP_DIR_NEW      "new"

/* The name of a file made at WALL_MS, with 64 random bits. */
void drop_name_format(
    uint64_t wall_ms, uint64_t random, char name[DROP_NAME_SIZE]);
/* True for what drop_name_format() makes. */
bool drop_name_is_valid(struct str name);

/* Writing: the same calls in this order, each appending to OUT what is to be
   written next; OUT may be emptied between them. */
struct drop_writer {
	uint64_t size;
	uint32_t sum;
};

/* The first line: 0 or -ENOBUFS, as all of these. */
int drop_begin(struct drop_writer *w, struct buf *out)
    __attribute__((warn_unused_result));
/* One line of the envelope, without an end: "MAIL FROM:...", "RCPT TO:...",
   "DATA".  -EINVAL for one over the maximum or with a control character. */
int drop_put_line(struct drop_writer *w, struct str line, struct buf *out)
    __attribute__((warn_unused_result));
int drop_put_content(struct drop_writer *w, struct str bytes, struct buf *out)
    __attribute__((warn_unused_result));
int drop_end(struct drop_writer *w, struct buf *out)
    __attribute__((warn_unused_result));

enum drop_item_kind {
	DROP_MORE,    /* the input has no whole item: add bytes to it */
	DROP_MAIL,    /* text: "FROM:<a@b.test> BODY=8BITMIME" */
	DROP_RCPT,    /* text: "TO:<c@d.test>" */
	DROP_CONTENT, /* text: the next bytes of the content */
	DROP_END,     /* the file is whole: only now may the message be kept */
};

struct drop_item {
	enum drop_item_kind kind;
	struct str text; /* points into the input */
};

enum drop_state {
	DROP_STATE_HEAD,
	DROP_STATE_MAIL,
	DROP_STATE_RCPT,
	DROP_STATE_CONTENT,
	DROP_STATE_OVER,
};

struct drop_reader {
	enum drop_state state;
	uint64_t size; /* of the file */
	uint64_t at;   /* bytes of it taken */
	uint32_t sum;
	size_t rcpt_count;
	uint64_t content_size;
};

/* Begins to read a file of SIZE bytes, from its first on. */
void drop_reader_init(struct drop_reader *r, uint64_t size);
/* Takes one item from the front of *IN, which is moved behind it.  *IN needs to
   hold at most DROP_LINE_MAX bytes at a time to get on.  0, or -EBADMSG if this
   is no whole file of this form; then nothing of it may be kept. */
int drop_reader_next(struct drop_reader *r, struct str *in,
    struct drop_item *item_out) __attribute__((warn_unused_result));
/* How many bytes of content there are; known after the first DROP_CONTENT or
   DROP_END. */
uint64_t drop_reader_content_size(const struct drop_reader *r);

#endif
