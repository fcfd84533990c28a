/*
 * What a message carries beside its content: sender, options, recipients
 * (RFC 5321, RFC 3461, RFC 6152, RFC 6531, RFC 4954), and their one encoding,
 * used in frames between roles and in the store's log.
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include "base/arena.h"
#include "base/str.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define MAIL_ENVID_MAX    100 /* RFC 3461 4.4, as xtext */
#define MAIL_ORCPT_MAX    500 /* RFC 3461 4.2, as xtext */
#define MAIL_AUTH_MAX     500 /* RFC 4954 5, as xtext */
#define MAIL_PRIORITY_MAX 9   /* RFC 6710 */

enum mail_body {
	MAIL_BODY_NONE,
	MAIL_BODY_7BIT,
	MAIL_BODY_8BITMIME
};
enum mail_ret {
	MAIL_RET_NONE,
	MAIL_RET_FULL,
	MAIL_RET_HDRS
};

/* NOTIFY of a recipient; 0 = not given. */
enum {
	MAIL_NOTIFY_NEVER = 1,
	MAIL_NOTIFY_SUCCESS = 2,
	MAIL_NOTIFY_FAILURE = 4,
	MAIL_NOTIFY_DELAY = 8,
	MAIL_NOTIFY_ALL = 15,
};

struct mail_envelope {
	struct str sender; /* "a@b", or empty for the null sender */
	struct str envid;  /* xtext as received, or empty */
	struct str auth;   /* AUTH= as received ("<>" or xtext), or empty */
	enum mail_body body;
	enum mail_ret ret;
	bool is_smtputf8;
	int priority; /* -9..9, RFC 6710; 0 = none */
	/* Who is told of trouble instead of the sender, if there is one: of
	   messages of sendmail 5 only; empty = the sender.  Not encoded. */
	struct str errors_to;
	/* Its sender is told if it is not there so long after it arrived (RFC
	   2852, by-mode N): of messages in sendmail's queue only; 0 = nobody
	   said so.  Not encoded. */
	uint64_t notice_ms;
};

struct mail_recipient {
	struct str address; /* "a@b" or "Postmaster" */
	struct str orcpt;   /* "rfc822;xtext" as received, or empty */
	uint8_t notify;
	/* It is not looked up among the aliases: it came of one, or its sender
	   wanted none. */
	bool is_expanded;
};

/* NOTIFY and IS_EXPANDED as one number of at most MAIL_RECIPIENT_BITS_MAX. */
#define MAIL_RECIPIENT_BITS_MAX 31
uint8_t mail_recipient_bits(const struct mail_recipient *r);
void mail_recipient_bits_set(struct mail_recipient *r, uint8_t bits);

void mail_envelope_put(struct wire_writer *w, const struct mail_envelope *e);
/* The strings point into the frame; a value out of range spoils the reader. */
void mail_envelope_get(struct wire_reader *r, struct mail_envelope *e_out);
void mail_recipient_put(struct wire_writer *w, const struct mail_recipient *r);
void mail_recipient_get(struct wire_reader *r, struct mail_recipient *r_out);

/* Copies of the strings in ARENA: 0 or -ENOBUFS. */
int mail_envelope_copy(struct arena *a, const struct mail_envelope *from,
    struct mail_envelope *to) __attribute__((warn_unused_result));
int mail_recipient_copy(struct arena *a, const struct mail_recipient *from,
    struct mail_recipient *to) __attribute__((warn_unused_result));

#endif
