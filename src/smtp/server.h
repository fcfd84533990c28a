/*
 * The server side of one SMTP session (RFC 5321) as a machine: bytes and
 * answers in, replies and questions out.  It owns no descriptor and no clock.
 *
 *   feed(bytes)  consumes input until a question stands or input runs dry
 *   next()       the question that stands, with its facts in *ask
 *   done()       answers it; feed may go on
 *   output       replies in order; the caller writes them when feed consumed
 *                all input or a question is answered later
 *
 * Each MAIL that was agreed to is followed by exactly one COMMIT or one ABORT:
 * ABORT when a RSET, EHLO, HELO, QUIT, 421, the end of input or a fault in the
 * content ends the transaction, COMMIT (agreed to or not) after good content.
 *
 * Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT ETRN QSND, with
 * PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), DSN parameters
 * (RFC 3461), ENHANCEDSTATUSCODES (RFC 2034), SMTPUTF8 kept (RFC 6531).  A
 * client that is our own may also be offered XUID: "XUID=1000" with MAIL is the
 * user id that submitted the message; and users of this host XFINAL: with RCPT
 * it says that the recipient is not to be looked up among the aliases.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "smtp/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct smtp_server_options {
	struct str hostname;       /* in the greeting and the EHLO reply */
	uint64_t size_max;         /* of a message's content in bytes */
	uint32_t recipients_max;   /* of a transaction; one more gets 452 */
	uint32_t transactions_max; /* of a session; then 421 */
	uint32_t errors_max;       /* refused commands; then 421 */
	uint32_t command_max;      /* bytes of a command line with CRLF */
	uint32_t line_max;         /* bytes of a line of content with CRLF */
	bool has_uid;              /* offers XUID */
	bool has_final;            /* offers XFINAL */
};

enum smtp_ask_kind {
	SMTP_ASK_NONE,    /* feed more */
	SMTP_ASK_MAIL,    /* may this transaction begin? */
	SMTP_ASK_RCPT,    /* may this recipient be added? */
	SMTP_ASK_DATA,    /* may content come? (2xx stands for 354) */
	SMTP_ASK_CONTENT, /* take these bytes (any reply given is ignored) */
	SMTP_ASK_COMMIT,  /* store it; the answer is the reply to the dot */
	SMTP_ASK_ABORT,   /* forget the open transaction (no reply is made) */
	SMTP_ASK_TRIGGER, /* ETRN or QSND */
	SMTP_ASK_CLOSE,   /* write the output, then close; nothing follows */
};

struct smtp_ask {
	enum smtp_ask_kind kind;
	struct mail_envelope envelope; /* MAIL: sender and parameters */
	uint64_t size;                 /* MAIL: SIZE=, 0 = not given */
	bool has_uid;                  /* MAIL: XUID was given */
	uint32_t uid;
	struct mail_recipient recipient; /* RCPT */
	struct mail_address address;     /* MAIL, RCPT: the same, parsed */
	struct str content;  /* CONTENT: CRLF line ends, unstuffed */
	struct str verb;     /* TRIGGER: "ETRN" or "QSND" */
	struct str argument; /* TRIGGER: as given, not yet parsed */
};

struct smtp_server;

/* The options' strings must live as long as the machine.  The greeting is in
   the output at once. */
struct smtp_server *smtp_server_new(const struct smtp_server_options *options);
void smtp_server_free(struct smtp_server *s);

/* How many bytes of BYTES it took; it takes none while a question stands, nor
   when too much output waits: then the caller writes and feeds the rest. */
size_t smtp_server_feed(struct smtp_server *s, struct str bytes);
/* The question that stands; what *ask_out points to is valid until done().
   The content is a piece of the bytes last fed: it is valid only as long as
   the caller leaves these in place. */
enum smtp_ask_kind smtp_server_next(
    struct smtp_server *s, struct smtp_ask *ask_out);
/* Answers it.  Codes: 2xx agrees, 4xx and 5xx refuse; a 421 also closes.
   REPLY may be NULL for CONTENT, ABORT and CLOSE; CLOSE stands for ever. */
void smtp_server_done(struct smtp_server *s, const struct smtp_reply *reply);
/* The peer closed, and all it sent was fed: ABORT of what is open, CLOSE. */
void smtp_server_end(struct smtp_server *s);
/* "421 ENHANCED hostname TEXT" once the reply in hand is given, and never
   within content; then CLOSE. */
void smtp_server_shutdown(
    struct smtp_server *s, const char *enhanced, const char *text);

/* Replies not yet taken; the caller consumes what it has written. */
struct buf *smtp_server_output(struct smtp_server *s);

/* The name given with EHLO or HELO, or empty; for trace and log. */
struct str smtp_server_helo(const struct smtp_server *s);
bool smtp_server_is_esmtp(const struct smtp_server *s);
/* What it waits for, for the log: "command", "content", "store". */
const char *smtp_server_waits_for(const struct smtp_server *s);
/* Asserts the invariants. */
void smtp_server_check(const struct smtp_server *s);

#endif
