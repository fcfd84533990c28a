/*
 * A message as programs hand it in (sendmail's standard input) to one as the
 * mail system carries it: CRLF line ends, header and body apart.
 *
 * Line ends come as LF, CRLF or CR; a NUL is left out.  Lines "From ..." before
 * the header are kept apart.  A line with nothing but a dot ends the message
 * unless dots are ordinary, and of two dots at the beginning of a line of the
 * body one is left; what follows the end is not looked at.  The header ends
 * before the first line that can be no part of one; if that line is empty, it
 * is left out.
 *
 * A machine: bytes in, as they come; the same output whatever their cuts.
 */
#ifndef MAIL_TEXT_H
#define MAIL_TEXT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

#define MAIL_TEXT_HEADER_MAX (1 << 20) /* bytes of a header that is taken */

enum mail_text_state {
	MAIL_TEXT_HEADER,
	MAIL_TEXT_BODY,
	MAIL_TEXT_OVER, /* a lone dot, or the end, was seen */
};

struct mail_text {
	enum mail_text_state state;
	bool is_dot_ordinary;
	bool is_after_cr;
	bool is_line_start; /* BODY: nothing of the line has come */
	bool is_dot_line;   /* BODY: only a dot of it has come, not yet out */
	bool has_8bit_header;
	bool has_8bit_body;
	struct buf line;   /* HEADER: the line that comes */
	struct buf from;   /* lines "From ..." and ">From ...", CRLF each */
	struct buf header; /* with CRLF behind each line */
};

void mail_text_init(struct mail_text *t, bool is_dot_ordinary);
void mail_text_fini(struct mail_text *t);
/* Takes BYTES; what they add to the body is appended to BODY, at most twice
   their number, and a line of the header.  0, -EMSGSIZE for a header over its
   maximum, or -ENOBUFS if BODY has no room. */
int mail_text_feed(struct mail_text *t, struct str bytes, struct buf *body)
    __attribute__((warn_unused_result));
/* The input has ended; the same results. */
int mail_text_end(struct mail_text *t, struct buf *body)
    __attribute__((warn_unused_result));

#endif
