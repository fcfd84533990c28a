/*
 * The messages that one session has in hand, and the words with the queue role
 * about them: it asks for messages and blocks of content, and tells what
 * became of recipients.  Used by every kind of session (carry.h over SMTP,
 * deliver_maildir.h into directories).
 *
 * The window is CARRY_WINDOW messages, in hand or asked for, so that the next
 * one is here before the last one is done.  Content that does not come with
 * its message is asked for in blocks, in order, CARRY_BLOCKS_MAX at once.
 */
#ifndef ROLE_CARRY_JOBS_H
#define ROLE_CARRY_JOBS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "role/env.h"
#include "role/message.h"
#include "smtp/client.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARRY_WINDOW     2
#define CARRY_BLOCKS_MAX 2
#define CARRY_HOST_MAX   320 /* bytes of a host's name for people */
#define CARRY_TEXT_MAX   (SMTP_ANSWER_MAX + 1) /* how a session ended */

/* One message under lease. */
struct carry_job {
	struct carry_job *prev, *next;
	struct arena arena;
	uint64_t lease;
	uint64_t due_ms; /* no final dot from then on */
	char id[STORE_ID_MAX + 1];
	uint64_t arrival_wall_ms;
	struct mail_envelope envelope;
	struct mail_recipient *recipients;
	uint32_t *indexes; /* their numbers in the message */
	struct smtp_client_result *results;
	size_t row_count;
	uint64_t content_size;
	uint64_t given_size; /* taken by carry_job_given() */
	bool is_inline;
	struct str content; /* is_inline: all of it */
	/* Blocks: how many were asked for and came since the last rewind;
	   how many of an earlier reading are still to come. */
	uint64_t asked_count;
	uint64_t arrived_count;
	size_t stale_count;
	struct buf blocks; /* came and are not taken */
	bool is_damaged;
};

struct carry_jobs {
	struct role_env *env;
	role_peer queue;
	uint32_t session;
	char host[CARRY_HOST_MAX]; /* for the log */
	struct carry_job *list;    /* in order of arrival */
	size_t count;
	size_t asked_count; /* messages asked for that did not come */
	bool is_none;       /* the queue role has no more */
	bool is_closed;     /* what still comes goes back untried */
	bool is_mta;        /* the host is one that others may be told of */
	bool is_relayed;    /* it does not know of notifications */
};

/* How a session ended, for the queue role. */
struct carry_end {
	bool is_failed;
	bool is_permanent;
	char status[12];
	char answer[CARRY_TEXT_MAX];
};

void carry_jobs_init(struct carry_jobs *jobs, struct role_env *env,
    role_peer queue, uint32_t session, const char *host);
/* Frees what is in hand without a word to the queue role. */
void carry_jobs_fini(struct carry_jobs *jobs);

/* Asks for as many messages as the window has room for, if any may come. */
void carry_jobs_ask(struct carry_jobs *jobs);
/* JOB, JOB_NONE or BLOCK of this session: 0, or -EPROTO if it cannot be. */
int carry_jobs_message(struct carry_jobs *jobs, uint64_t now_ms,
    const struct message *m) __attribute__((warn_unused_result));
/* Asks for no more; all but the first KEPT_COUNT go back untried. */
void carry_jobs_close(
    struct carry_jobs *jobs, size_t kept_count, const char *reason);
/* The message to deliver now, or NULL. */
struct carry_job *carry_jobs_first(struct carry_jobs *jobs);
/* Tells the results of JOB, logs them, and frees it. */
void carry_jobs_report(struct carry_jobs *jobs, struct carry_job *job);

/* Sets the result of recipient number ROW of JOB. */
void carry_job_set(struct carry_job *job, size_t row, enum smtp_verdict verdict,
    const char *status, const char *answer);
/* Content that is here now, in order; asks for what comes next.  Empty if none
   is here, or none is left. */
struct str carry_job_content(struct carry_jobs *jobs, struct carry_job *job);
/* SIZE bytes of it were taken. */
void carry_job_given(
    struct carry_jobs *jobs, struct carry_job *job, size_t size);
/* Content is read from its start again. */
void carry_job_rewind(struct carry_job *job);

/* Sets END; ANSWER is cut to fit and made printable. */
void carry_end_set(struct carry_end *end, bool is_failed, bool is_permanent,
    const char *status, const char *answer);
/* Tells the queue role that SESSION is over. */
void carry_session_end(struct role_env *env, role_peer queue, uint32_t session,
    const struct carry_end *end);
/* Tells the queue role what SESSION says, at most MESSAGE_TEXT_BYTES. */
void carry_trace(
    struct role_env *env, role_peer queue, uint32_t session, struct str text);
/* HOST, "mx.test[192.0.2.1]", as sendmail names it: "mx.test", or "[192.0.2.1]"
   where it has no name. */
void carry_host_put(char text[CARRY_HOST_MAX], struct str host);
/* TEXT as printable ASCII with a NUL, cut to SIZE. */
void carry_text_copy(char *to, size_t size, struct str text);

#endif
