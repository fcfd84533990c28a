/*
 * Asking a holder for the mail of domains over SMTP (ETRN, RFC 1985; QSND) as a
 * machine: replies in, commands out, and what became of each domain.  It owns
 * no descriptor and no clock.
 */
#ifndef TRIGGER_ASK_H
#define TRIGGER_ASK_H

#include "base/buf.h"
#include "base/str.h"
#include "smtp/answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIGGER_ASK_DOMAIN_MAX 256 /* with the option character */

enum trigger_ask_method {
	TRIGGER_ASK_AUTO, /* EHLO, then ETRN where it is offered, else QSND */
	TRIGGER_ASK_ETRN, /* EHLO, then ETRN, offered or not */
	TRIGGER_ASK_QSND, /* QSND at once, without EHLO */
};

struct trigger_ask_options {
	struct str hostname; /* for EHLO */
	enum trigger_ask_method method;
	uint64_t greeting_timeout_ms;
	uint64_t reply_timeout_ms; /* of every other reply */
};

enum trigger_ask_want {
	TRIGGER_ASK_NOTHING, /* a reply is awaited */
	TRIGGER_ASK_CLOSE,   /* over: close; all results are there */
};

enum trigger_ask_outcome {
	TRIGGER_ASK_PENDING,     /* not known yet */
	TRIGGER_ASK_STARTED,     /* 250, 252, 253: mail is on its way */
	TRIGGER_ASK_EMPTY,       /* 251: nothing waits */
	TRIGGER_ASK_LATER,       /* 4xx, connection lost, no answer in time */
	TRIGGER_ASK_REFUSED,     /* 459, 530, 550: not ours to ask for */
	TRIGGER_ASK_UNAVAILABLE, /* no such service, no connection */
	TRIGGER_ASK_PROTOCOL,    /* 500, 501, or no SMTP */
	TRIGGER_ASK_NO_HOST,     /* the server's name does not exist */
	TRIGGER_ASK_USAGE,       /* the domain cannot be asked for */
};

struct trigger_ask_result {
	enum trigger_ask_outcome outcome;
	int code; /* 0 = none came */
	/* "459 4.7.1 not yours", printable; or what went wrong. */
	char text[SMTP_ANSWER_MAX + 1];
};

struct trigger_ask;

/* The COUNT DOMAINS, each maybe with "@" or "#" in front (ETRN only), and the
   hostname must live as long as the machine.  A domain that cannot stand in
   a command is settled at once (USAGE). */
struct trigger_ask *trigger_ask_new(const struct trigger_ask_options *options,
    const struct str *domains, size_t count, uint64_t now_ms);
void trigger_ask_free(struct trigger_ask *a);

/* How many bytes it took (all, unless it has ended). */
size_t trigger_ask_feed(
    struct trigger_ask *a, struct str bytes, uint64_t now_ms);
struct buf *trigger_ask_output(struct trigger_ask *a);
enum trigger_ask_want trigger_ask_next(const struct trigger_ask *a);

/* UINT64_MAX = never; past it trigger_ask_timer() ends the dialogue. */
uint64_t trigger_ask_deadline(const struct trigger_ask *a);
void trigger_ask_timer(struct trigger_ask *a, uint64_t now_ms);
/* The connection is gone or never came: what is not settled gets OUTCOME
   (LATER, UNAVAILABLE or NO_HOST) and REASON. */
void trigger_ask_lost(struct trigger_ask *a, enum trigger_ask_outcome outcome,
    const char *reason);

/* Of the domain INDEX, valid as long as the machine. */
const struct trigger_ask_result *trigger_ask_result(
    const struct trigger_ask *a, size_t index);
/* The exit status (sysexits.h) for one outcome: 0, 64, 68, 69, 75, 76, 77. */
int trigger_ask_exit(enum trigger_ask_outcome outcome);
/* For all domains: the first of 77, 76, 69, 75, 68, 64, 0 that occurred. */
int trigger_ask_exit_all(const struct trigger_ask *a);
void trigger_ask_check(const struct trigger_ask *a);

#endif
