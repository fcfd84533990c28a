/*
 * What a mail system adds to a message that a program hands in, before it is
 * sent: recipients out of its header, addresses made whole, fields that must be
 * there (RFC 5322 3.6, RFC 6409 8).
 *
 * Pure: time, names and random bits are arguments.
 */
#ifndef MAIL_SUBMIT_H
#define MAIL_SUBMIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUBMIT_RECIPIENTS_MAX 100000
#define SUBMIT_PROBLEMS_MAX   100 /* kept of what is no address */
#define SUBMIT_NAME_MAX       200 /* bytes used of a full name */

/* What was given as a recipient and is none. */
struct submit_problem {
	struct str text;
	const char *reason; /* "Unbalanced '<'", or "" */
	const char *status; /* of RFC 3463; "" = an unknown user */
};

struct submit_rcpt;

/* The recipients of one message, each once. */
struct submit_rcpts {
	struct arena arena;
	struct str hostname;
	struct str *list; /* "a@b" */
	size_t count;
	size_t capacity;
	struct submit_rcpt *seen;
	struct submit_problem problems[SUBMIT_PROBLEMS_MAX];
	size_t problem_count; /* found; the first ones are kept */
};

/* HOSTNAME is what an address without a domain gets; it must live as long. */
void submit_rcpts_init(struct submit_rcpts *r, struct str hostname);
void submit_rcpts_fini(struct submit_rcpts *r);
/* Adds the addresses of a list (mail/list.h); what is none is a problem.  0, or
   -E2BIG for too many. */
int submit_rcpts_add(struct submit_rcpts *r, struct str text)
    __attribute__((warn_unused_result));

/* The sender that -f names: "a@b", or "" for "<>" and "".  ADDRESS gets it,
   made whole with HOSTNAME; 0, or -EINVAL if TEXT is not one address. */
int submit_sender_parse(struct str text, struct str hostname,
    char address[MAIL_ADDRESS_MAX + 1]) __attribute__((warn_unused_result));

struct submit_header {
	struct str hostname;
	struct str sender;    /* "a@b", empty = null: for a missing From */
	struct str full_name; /* beside it; may be empty */
	uint64_t wall_ms;     /* for a missing Date and Message-ID */
	uint64_t random;      /* for a missing Message-ID */
	bool is_gateway;      /* the fields stay as they are; none is added */
	bool is_taking_recipients; /* out of To, Cc, Bcc */
};

/*
 * Appends the HEADER (mail/text.h) as it is sent to OUT, without the empty
 * line behind it.  Bcc goes (with IS_GATEWAY only where recipients are taken),
 * Return-Path and Full-Name too.  RECIPIENTS gets what is taken: if there are
 * Resent- fields, only from those.  RECEIVED_COUNT_OUT is how many stations the
 * message has passed.  0, -E2BIG for too many recipients, or -ENOBUFS.
 */
int submit_header_put(const struct submit_header *h, struct str header,
    struct submit_rcpts *recipients, struct buf *out,
    uint64_t *received_count_out) __attribute__((warn_unused_result));

#endif
