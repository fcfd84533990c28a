/*
 * What the files of the SMTP client share (client.c, client_job.c,
 * client_content.c, client_command.c, client_trace.c); nobody else includes it.
 *
 *   GREETING -> EHLO -> IDLE <-> ENVELOPE -> CONTENT -> DOT -> REPORT -> IDLE
 *                \-> HELO -/        \-----------------------/
 *   with a trace: ENVELOPE that was refused -> RESET -> REPORT
 *   IDLE -> QUIT -> OVER; from anywhere -> OVER by smtp_client_fail()
 */
#ifndef SMTP_CLIENT_OWN_H
#define SMTP_CLIENT_OWN_H

#include "smtp/answer.h"
#include "smtp/client.h"

#define CLIENT_MAGIC 0x536d4363u
/* Content is welcome in blocks of this size ... */
#define CLIENT_BLOCK 65536
/* ... while the output with the block is not over this. */
#define CLIENT_OUTPUT_HIGH (2 * CLIENT_BLOCK)
/* Dot-stuffing makes four bytes of three at the most. */
#define CLIENT_OUTPUT_MAX (2 * CLIENT_OUTPUT_HIGH)
/* No more commands are added to a group over this size. */
#define CLIENT_GROUP_MAX 8192

enum client_state {
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_IDLE,     /* open for a job */
	CLIENT_ENVELOPE, /* RSET, MAIL, RCPT, DATA */
	CLIENT_CONTENT,  /* 354 has come */
	CLIENT_DOT,      /* the final dot is in the output */
	CLIENT_RESET,    /* RSET behind a refused envelope */
	CLIENT_REPORT,   /* the job is over, the connection is not */
	CLIENT_QUIT,
	CLIENT_OVER, /* a job that is not reported yet is still there */
};

/* What was said of recipients. */
struct client_said {
	int code;
	char status[12];
	char answer[SMTP_ANSWER_MAX + 1];
};

enum client_fate_state {
	CLIENT_OPEN,    /* nothing is known */
	CLIENT_TAKEN,   /* RCPT was accepted */
	CLIENT_SETTLED, /* it has its verdict */
};

struct client_fate {
	enum client_fate_state state;
	enum smtp_verdict verdict;
	struct client_said *said; /* its own, or NULL = that of the job */
};

/* The commands of a job are numbered: 0 is RSET, 1 MAIL, 2 the first RCPT,
   count + 2 DATA.  Without a RSET it begins with 1. */
struct client_job {
	const struct mail_envelope *envelope;
	const struct mail_recipient *recipients;
	struct client_fate *fates; /* NULL = there is no job */
	size_t count;
	size_t sent;           /* number of the next command */
	size_t answered;       /* number of the next reply */
	size_t accepted_count; /* recipients with a 2xx to RCPT */
	uint64_t content_size;
	uint64_t content_given;
	bool is_mail_refused;
	bool is_dot_due;    /* 354 without a recipient wants a lone dot */
	bool is_line_start; /* of the content */
	bool is_after_cr;   /* a CR is held back until its LF comes */
	bool is_after_nul;
	struct client_said said; /* of those that have none of their own */
};

struct smtp_client {
	unsigned magic;
	enum client_state state;
	struct smtp_client_options options;
	struct smtp_answer answer;
	struct buf output;
	size_t awaited_count; /* replies to come */
	uint64_t deadline_ms;
	/* What EHLO offered. */
	bool has_pipelining, has_size, has_8bitmime, has_smtputf8, has_dsn;
	bool has_uid, has_final;
	uint64_t size_max; /* 0 = not told */
	bool has_enhanced; /* ENHANCEDSTATUSCODES: of use to the trace only */
	bool is_esmtp;     /* EHLO was taken */
	bool is_reset_due; /* a transaction may be open at the far end */
	bool has_done_job; /* a job was reported */
	bool is_uid_set;   /* by smtp_client_set_uid() */
	uint32_t uid;
	bool is_end_set;
	struct smtp_client_end end;
	struct client_job job;
};

/* The connection is over because of SAID; what is not settled of a job gets
   VERDICT.  IS_FAILED blames the host. */
void smtp_client_fail(struct smtp_client *c, enum smtp_verdict verdict,
    const struct client_said *said, bool is_failed);
/* The same because the far end does not keep to the protocol. */
void smtp_client_fail_protocol(struct smtp_client *c, const char *what);
/* Sets the deadline for what is awaited now. */
void smtp_client_arm(struct smtp_client *c, uint64_t now_ms);
/* SAID from the reply just read, as a verdict of CLASS ('2', '4', '5'). */
void smtp_client_quote(
    const struct smtp_client *c, char class, struct client_said *said);
/* Appends to the output, which has room by its bounds. */
void smtp_client_put(struct smtp_client *c, struct str bytes);

/* Sends what may be sent of the envelope; a lone dot in DOT. */
void smtp_job_pump(struct smtp_client *c);
/* Takes a reply in ENVELOPE, CONTENT (early) or DOT. */
void smtp_job_take(struct smtp_client *c);
/* Gives VERDICT and SAID to all recipients that have no verdict; nothing is
   changed where all have one. */
void smtp_job_settle(struct smtp_client *c, enum smtp_verdict verdict,
    const struct client_said *said);
void smtp_job_clear(struct smtp_client *c);
/* True if, in ENVELOPE, not even MAIL was answered. */
bool smtp_job_is_fresh(const struct smtp_client *c);
/* What is awaited in ENVELOPE. */
const char *smtp_job_awaited(const struct smtp_client *c);
void smtp_job_check(const struct smtp_client *c);

/* The job is over, all of its recipients have a verdict. */
void smtp_job_over(struct smtp_client *c);

/* The trace; each does nothing where there is none. */
/* What stands in the output behind its first SIZE bytes. */
void smtp_trace_sent(struct smtp_client *c, size_t size);
/* The reply just read. */
void smtp_trace_reply(struct smtp_client *c);
/* A message begins on a connection that is there already. */
void smtp_trace_cached(struct smtp_client *c);
/* Recipients FIRST to END - 1, without those that have a verdict, get
   VERDICT for SAID. */
void smtp_trace_verdict(struct smtp_client *c, size_t first, size_t end,
    enum smtp_verdict verdict, const struct client_said *said);
/* The far end refused recipient INDEX for good, or, where INDEX is how many
   there are, the message.  As sendmail has it only an unknown user is named. */
void smtp_trace_refused(
    struct smtp_client *c, size_t index, const struct client_said *said);
/* QUIT follows. */
void smtp_trace_closing(struct smtp_client *c);

/* Commands with the parameters that the far end offers. */
void smtp_job_put_mail(struct smtp_client *c);
void smtp_job_put_rcpt(struct smtp_client *c, const struct mail_recipient *r);
/* True if the strings of the job may stand in commands. */
bool smtp_job_is_fit(const struct mail_envelope *envelope,
    const struct mail_recipient *recipients, size_t count);

#endif
