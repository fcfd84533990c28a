/*
 * One message on its way from a program to the mail system: its envelope, its
 * header as it is sent, its body (a little in memory, much in a file without a
 * name), and what became of each recipient.
 */
#ifndef CMD_SUBMIT_MESSAGE_H
#define CMD_SUBMIT_MESSAGE_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "smtp/answer.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SUBMIT_BLOCK      65536
#define SUBMIT_MEMORY_MAX (1 << 20) /* of a body in memory */

enum submit_fate {
	SUBMIT_UNTRIED, /* nobody has it */
	SUBMIT_TAKEN,   /* the mail system has it, on disk */
	SUBMIT_LATER,   /* it was not taken for the time being */
	SUBMIT_REFUSED, /* it will never be taken */
};

struct submit_outcome {
	enum submit_fate fate;
	int code;                         /* of the reply; 0 = there was none */
	char status[12];                  /* "5.1.1" (RFC 3463) */
	char answer[SMTP_ANSWER_MAX + 1]; /* "550 5.1.1 User unknown" */
};

struct submit_message {
	struct mail_envelope envelope;
	struct mail_recipient *recipients;
	struct submit_outcome *outcomes;
	size_t recipient_count;
	struct buf head;   /* header and empty line */
	struct buf memory; /* the body, or its first bytes */
	FILE *file;        /* what is behind them, or NULL */
	uint64_t body_size;
};

void submit_message_init(struct submit_message *m);
void submit_message_fini(struct submit_message *m);

/* Appends to the body: 0 or -errno. */
int submit_message_append(struct submit_message *m, struct str bytes)
    __attribute__((warn_unused_result));
/* Bytes of head and body. */
uint64_t submit_message_size(const struct submit_message *m);
/* Reads up to SIZE bytes at OFFSET of head and body: how many, or -errno. */
int64_t submit_message_read(
    const struct submit_message *m, void *data, size_t size, uint64_t offset);

/* How many recipients have this fate. */
size_t submit_message_count(
    const struct submit_message *m, enum submit_fate fate);

#endif
