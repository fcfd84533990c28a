/*
 * The client side of one SMTP connection (RFC 5321) as a machine: it greets,
 * carries one message after the other, and tells what became of each
 * recipient.  It owns no descriptor and no clock.
 *
 *   feed(bytes, now)   replies of the far end
 *   next()             what it wants: a job, content, to report, to end
 *   output             bytes for the far end
 *
 * It pipelines where PIPELINING is offered (RFC 2920), gives SIZE, BODY,
 * SMTPUTF8 and DSN parameters only where offered, falls back to HELO.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "smtp/answer.h" /* SMTP_ANSWER_MAX */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the dialogue is written for people to follow, as sendmail writes it:
   lines of the far end as they are, ours behind ">>> ", and what becomes of
   recipients.  What does not fit is left out. */
struct smtp_client_trace {
	struct buf *out;
	const char *host;   /* "mx.test", "[192.0.2.1]" */
	const char *mailer; /* "esmtp", "relay" */
};

struct smtp_client_options {
	struct str hostname; /* for EHLO */
	/* Or NULL.  With one each command waits for the reply to MAIL, and RSET
	   stands between messages: it is read, so it need not be fast. */
	const struct smtp_client_trace *trace;
	bool is_helo; /* says HELO and never EHLO */
	/* RFC 5321 4.5.3.2, in milliseconds. */
	uint64_t greeting_timeout_ms; /* also EHLO, MAIL, RCPT */
	uint64_t data_timeout_ms;     /* 354 */
	uint64_t block_timeout_ms;    /* progress in sending content */
	uint64_t dot_timeout_ms;      /* after the final dot */
};

enum smtp_client_want {
	SMTP_WANT_NOTHING, /* a reply of the far end is awaited */
	SMTP_WANT_JOB,     /* idle: give smtp_client_job() or _quit() */
	SMTP_WANT_CONTENT, /* give smtp_client_content() */
	SMTP_WANT_REPORT,  /* the job is over: smtp_client_result() each, then
	                      smtp_client_reported() */
	SMTP_WANT_CLOSE,   /* over: close; see smtp_client_end() */
};

enum smtp_verdict {
	SMTP_ACCEPTED,
	SMTP_TEMPORARY,
	SMTP_PERMANENT,
	SMTP_UNTRIED
};

/* What became of one recipient. */
struct smtp_client_result {
	enum smtp_verdict verdict;
	int code; /* of the reply, 0 = none came */
	char
	    status[12]; /* RFC 3463, "5.1.1"; made up from the code if absent */
	/* "550 5.1.1 no such user", printable; where none came what went wrong
	 */
	char answer[SMTP_ANSWER_MAX + 1];
};

/* How the connection ended. */
struct smtp_client_end {
	bool is_failed; /* the host is in trouble: back off */
	/* The connection was lost over EHLO: HELO may do (RFC 5321 3.2). */
	bool is_ehlo_lost;
	int code; /* of the reply that ended it, 0 = none */
	char answer[SMTP_ANSWER_MAX + 1];
	const char *awaited; /* "greeting", "EHLO", "MAIL", ... */
};

struct smtp_client;

struct smtp_client *smtp_client_new(
    const struct smtp_client_options *options, uint64_t now_ms);
void smtp_client_free(struct smtp_client *c);

/* How many bytes it took (all, unless it has ended). */
size_t smtp_client_feed(
    struct smtp_client *c, struct str bytes, uint64_t now_ms);
enum smtp_client_want smtp_client_next(const struct smtp_client *c);
struct buf *smtp_client_output(struct smtp_client *c);

/* Who submits the jobs that follow, for a far end that offers XUID
   (smtp/server.h): our own daemon's. */
void smtp_client_set_uid(struct smtp_client *c, uint32_t uid);
/* Begins a message for COUNT recipients.  The strings must live until it is
   reported.  CONTENT_SIZE in bytes with CRLF. */
void smtp_client_job(struct smtp_client *c,
    const struct mail_envelope *envelope,
    const struct mail_recipient *recipients, size_t count,
    uint64_t content_size, uint64_t now_ms);
/* More content (CRLF line ends); it is dot-stuffed here.  Never a bare CR or
   LF goes out: such content fails the job with 5.6.0.  IS_LAST sends the dot,
   but only if the content given adds up to CONTENT_SIZE. */
void smtp_client_content(
    struct smtp_client *c, struct str bytes, bool is_last, uint64_t now_ms);
/* How many bytes of content are welcome now, to bound the output. */
size_t smtp_client_content_room(const struct smtp_client *c);
/* The content cannot be had (damaged, lease over): the connection is dropped
   before the final dot; recipients are SMTP_UNTRIED. */
void smtp_client_abandon(struct smtp_client *c, const char *reason);
void smtp_client_result(const struct smtp_client *c, size_t index,
    struct smtp_client_result *result_out);
void smtp_client_reported(struct smtp_client *c);
/* True if the far end offers DSN (RFC 3461): it tells what becomes of what it
   took. */
bool smtp_client_has_dsn(const struct smtp_client *c);
/* Sends QUIT; allowed when it wants a job. */
void smtp_client_quit(struct smtp_client *c, uint64_t now_ms);

/* The peer closed or the connection broke, for REASON. */
void smtp_client_lost(struct smtp_client *c, const char *reason);
/* When it gives up unless something comes, UINT64_MAX = never (idle). */
uint64_t smtp_client_deadline(const struct smtp_client *c);
/* Time is NOW_MS: past the deadline it fails and wants to close. */
void smtp_client_timer(struct smtp_client *c, uint64_t now_ms);
/* Output was taken by the network: progress for the block timer. */
void smtp_client_progress(struct smtp_client *c, uint64_t now_ms);
void smtp_client_end(
    const struct smtp_client *c, struct smtp_client_end *end_out);
void smtp_client_check(const struct smtp_client *c);

#endif
