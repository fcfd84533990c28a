/*
 * The one line reader for all peers: finds the ends of lines in bytes as they
 * come, and keeps what is there of a line until it is whole.
 */
#ifndef SMTP_LINE_H
#define SMTP_LINE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum smtp_line_mode {
	SMTP_LINE_LF, /* commands: LF ends a line, one CR before it goes too */
	SMTP_LINE_CRLF, /* replies: only CRLF ends a line (RFC 5321 2.3.8); a
	                   lone CR or LF is a byte of the line */
};

enum smtp_line_result {
	SMTP_LINE_MORE,     /* the input is used up, the line has no end yet */
	SMTP_LINE_WHOLE,    /* *line_out has it, without its end */
	SMTP_LINE_TOO_LONG, /* it was over the maximum and has been passed over
	                       to its end; *line_out has its beginning */
};

struct smtp_line {
	enum smtp_line_mode mode;
	char *data;       /* max bytes */
	size_t size;      /* bytes kept of the line that comes */
	size_t max;       /* of a line with its end */
	bool is_too_long; /* the rest of it is passed over */
	bool is_after_cr; /* the last byte seen was CR */
	bool is_given;    /* what is kept was given out: the next is new */
};

/* A line has at most MAX bytes, its end (one or two bytes) included. */
void smtp_line_init(struct smtp_line *l, enum smtp_line_mode mode, size_t max);
void smtp_line_fini(struct smtp_line *l);

/* Takes bytes from the front of *IN (which is moved) up to and including the
   next end of a line.  *LINE_OUT is valid until the next call. */
enum smtp_line_result smtp_line_read(struct smtp_line *l, struct str *in,
    struct str *line_out) __attribute__((warn_unused_result));

#endif
