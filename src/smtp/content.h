/*
 * The decoder of message content as DATA sends it (RFC 5321 4.1.1.4, 4.5.2):
 * takes the dots out and finds the end.  Only CRLF "." CRLF ends content.  A
 * bare CR, a bare LF, a NUL, an over-long line or content over its maximum is
 * remembered, and refused after the true end, so that both sides stay in step
 * and no second reading of the bytes exists.
 */
#ifndef SMTP_CONTENT_H
#define SMTP_CONTENT_H

#include "base/str.h"
#include "smtp/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in a line the next byte falls. */
enum smtp_content_place {
	SMTP_CONTENT_START,  /* first of a line */
	SMTP_CONTENT_TEXT,   /* elsewhere */
	SMTP_CONTENT_DOT,    /* behind a dot that began a line */
	SMTP_CONTENT_DOT_CR, /* behind such a dot and CR */
};

/* What is wrong with it; bits, so that the cuts of the input do not matter. */
enum {
	SMTP_CONTENT_BARE = 1, /* CR without LF, or LF without CR */
	SMTP_CONTENT_NUL = 2,
	SMTP_CONTENT_LONG_LINE = 4,
	SMTP_CONTENT_TOO_BIG = 8,
};

struct smtp_content {
	enum smtp_content_place place;
	unsigned faults;
	bool is_after_cr; /* TEXT: the byte before was CR */
	uint64_t size;    /* bytes so far, without stuffing */
	uint64_t size_max;
	uint64_t line_size; /* bytes of this line so far, without stuffing */
	uint64_t line_max;  /* of a line with its CRLF */
};

enum smtp_content_result {
	SMTP_CONTENT_MORE,  /* the input is used up */
	SMTP_CONTENT_CHUNK, /* *chunk_out is content; it points into the input
	                     */
	SMTP_CONTENT_END,   /* the dot line was taken; the rest is commands */
};

void smtp_content_init(
    struct smtp_content *c, uint64_t size_max, uint64_t line_max);
/* Takes bytes from the front of *IN, which is moved.  After a fault no more
   chunks come, only the end. */
enum smtp_content_result smtp_content_read(struct smtp_content *c,
    struct str *in, struct str *chunk_out) __attribute__((warn_unused_result));
/* True if nothing was wrong; else the reply to the dot is in *REPLY_OUT. */
bool smtp_content_is_good(
    const struct smtp_content *c, struct smtp_reply *reply_out);

#endif
