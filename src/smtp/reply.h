/* A reply of our server, and the classes of enhanced status codes. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buf.h"
#include "base/str.h"

#define SMTP_REPLY_TEXT_MAX 400

/* One line: "250 2.1.5 text".  ENHANCED is "" where RFC 2034 gives none. */
struct smtp_reply {
	int code;                       /* 200..559 */
	char enhanced[12];              /* "2.1.5" (RFC 3463) or "" */
	char text[SMTP_REPLY_TEXT_MAX]; /* printable ASCII, NUL-terminated */
};

/* Builds a reply; text over the maximum is cut, other bytes become "?". */
struct smtp_reply smtp_reply_make(int code, const char *enhanced,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends "CODE ENHANCED TEXT" CRLF to OUT: 0 or -ENOBUFS. */
int smtp_reply_put(struct buf *out, const struct smtp_reply *reply)
    __attribute__((warn_unused_result));

#endif
