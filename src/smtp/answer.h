/*
 * Replies of far ends (RFC 5321 4.2): whole replies of one or more lines out
 * of bytes as they come.  It takes what real servers send: bare codes without
 * text, over-long lines, any printable or other bytes in the text.  It does not
 * take what cannot be matched to a command: lines without a code, or lines of
 * different classes in one reply.
 */
#ifndef SMTP_ANSWER_H
#define SMTP_ANSWER_H

#include "base/buf.h"
#include "base/str.h"
#include "smtp/line.h"

#include <stdbool.h>
#include <stddef.h>

#define SMTP_ANSWER_KEPT  4096  /* bytes kept of a reply */
#define SMTP_ANSWER_TAKEN 65536 /* a longer reply is junk */
#define SMTP_ANSWER_MAX   480   /* bytes of it in logs and results */

enum smtp_answer_event {
	SMTP_ANSWER_MORE,  /* the input is used up */
	SMTP_ANSWER_WHOLE, /* code and text are those of a whole reply */
	SMTP_ANSWER_JUNK,  /* not SMTP; text is what was said */
};

struct smtp_answer {
	int code;        /* 200..599 of the last line; 0 = none yet */
	struct buf text; /* of its lines without codes, LF behind each */
	/* For the reader itself. */
	struct smtp_line line;
	size_t taken_size; /* bytes of the reply up to now */
	bool is_given;     /* it was given out: the next is new */
};

void smtp_answer_init(struct smtp_answer *a);
void smtp_answer_fini(struct smtp_answer *a);

/* Takes bytes from the front of *IN (which is moved) up to the end of a
   reply.  After JUNK the reader is of no more use. */
enum smtp_answer_event smtp_answer_read(struct smtp_answer *a, struct str *in)
    __attribute__((warn_unused_result));
/* True if a reply has begun but not ended. */
bool smtp_answer_is_partial(const struct smtp_answer *a);

/* The next line of the text of a reply; false when there is none.  AT begins
   as 0. */
bool smtp_answer_line(
    const struct smtp_answer *a, size_t *at, struct str *line_out);
/* The enhanced status code (RFC 2034, RFC 3463) of the reply, if its class is
   that of the code; else CLASS ".0.0", CLASS being '2', '4' or '5'. */
void smtp_answer_status(
    const struct smtp_answer *a, char class, char status[12]);
/* The reply in one printable line, "550 5.1.1 no such user". */
void smtp_answer_print(
    const struct smtp_answer *a, char text[SMTP_ANSWER_MAX + 1]);

#endif
