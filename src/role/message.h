/*
 * The frames between roles: one type each, one codec, one table of who may send
 * what.  A frame is at most MESSAGE_FRAME_MAX bytes; the carrier puts its
 * length (32 bits, little-endian) before it.  Version and type come first in
 * it.
 */
#ifndef ROLE_MESSAGE_H
#define ROLE_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "role/env.h"
#include "smtp/client.h"
#include "store/select.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_VERSION     2
#define MESSAGE_FRAME_MAX   262144
#define MESSAGE_DOMAINS_MAX 100
#define MESSAGE_ARENA_MAX   (1 << 20) /* for arrays of one decoded frame */
#define MESSAGE_NAMES_MAX   4000      /* bytes of recipients for people */
#define MESSAGE_TEXT_BYTES  32768     /* of what people read, in one frame */
#define MESSAGE_CREDIT                                                         \
	262144 /* bytes of content before the first                            \
	          MESSAGE_INTAKE_CREDIT */

enum message_type {
	/* receive to queue: a message comes in. */
	MESSAGE_INTAKE_OPEN,
	MESSAGE_INTAKE_RECIPIENT,
	MESSAGE_INTAKE_CONTENT, /* at most STORE_BLOCK bytes, under credit */
	MESSAGE_INTAKE_COMMIT,
	MESSAGE_INTAKE_ABORT,
	/* queue to receive. */
	MESSAGE_INTAKE_DONE,   /* the reply to the final dot */
	MESSAGE_INTAKE_CREDIT, /* so many more bytes */
	MESSAGE_INTAKE_STATE,  /* whether anything may come at all */
	MESSAGE_INTAKE_SITE,   /* whether anything may come for that site */
	/* receive or control to queue, and back: release a site. */
	MESSAGE_TRIGGER,
	MESSAGE_TRIGGER_DONE,
	/* queue to deliver: open a session for a destination. */
	MESSAGE_SESSION_START,
	/* deliver (or whoever carries) to queue: connected, give me messages.
	 */
	MESSAGE_SESSION_NEXT,
	/* queue to deliver. */
	MESSAGE_JOB,
	MESSAGE_JOB_NONE, /* nothing more now: end the session */
	/* deliver to queue. */
	MESSAGE_BLOCK_WANT,
	MESSAGE_BLOCK, /* queue to deliver */
	MESSAGE_JOB_RESULT,
	MESSAGE_SESSION_END,
	/* control to queue, and back: look at the queue and change it. */
	MESSAGE_LIST,
	MESSAGE_LIST_MESSAGE,
	MESSAGE_LIST_DESTINATION,
	MESSAGE_LIST_END,
	MESSAGE_CHANGE,
	MESSAGE_CHANGE_DONE,
	/* control to queue, and back: try what waits, once. */
	MESSAGE_RUN,
	MESSAGE_RUN_TEXT,
	MESSAGE_RUN_DONE,
	/* deliver to queue: what a traced session says, for people. */
	MESSAGE_TRACE,
	MESSAGE_TYPES
};

enum message_trigger_result {
	MESSAGE_TRIGGER_STARTED, /* count: messages that wait */
	MESSAGE_TRIGGER_ACTIVE,  /* a run was on and was joined; count too */
	MESSAGE_TRIGGER_EMPTY,   /* nothing waits */
	MESSAGE_TRIGGER_BUSY,    /* cannot be told now */
	MESSAGE_TRIGGER_UNKNOWN, /* no such site */
};

/* What an administrator wants of the recipients of a filter. */
enum message_steer {
	MESSAGE_STEER_CHANGE,  /* what the store does by itself */
	MESSAGE_STEER_REQUEUE, /* routed anew, and tried at once */
	MESSAGE_STEER_EXPIRE,  /* returned to the sender */
};

/* What is tried first in a run; PRIORITY is sendmail's. */
enum message_run_order {
	MESSAGE_RUN_PRIORITY, /* by class, size, recipients and tries */
	MESSAGE_RUN_HOST,     /* by destination */
	MESSAGE_RUN_TIME,     /* of arrival */
	MESSAGE_RUN_NAME,     /* of the message: its id */
	MESSAGE_RUN_ANY,      /* as it is found */
};

/* What MESSAGE_RUN's rank_max counts from: a priority as sendmail writes it, in
   P lines, is that much less. */
#define MESSAGE_RUN_RANK_BASE (UINT64_C(1) << 40)

struct message_job_result {
	uint32_t index; /* number of the recipient in its message */
	enum smtp_verdict verdict;
	struct str status; /* "5.1.1" */
	struct str answer; /* "550 5.1.1 no such user" */
};

/* One frame; which members count is the type's. */
struct message {
	enum message_type type;
	union {
		struct {
			uint64_t transaction; /* the receive process's number */
			struct str id;        /* of the message, new */
			struct mail_envelope envelope;
		} intake_open;
		struct {
			uint64_t transaction;
			struct mail_recipient recipient;
		} intake_recipient;
		struct {
			uint64_t transaction;
			struct str bytes;
		} intake_content;
		struct {
			uint64_t transaction;
			uint64_t content_size;
			uint32_t content_crc32c;
			int priority; /* by its header, as in an envelope */
		} intake_commit;
		struct {
			uint64_t transaction;
		} intake_abort;
		struct {
			uint64_t transaction;
			uint32_t code; /* 250, 4xx, 5xx */
			struct str enhanced;
			struct str text;
		} intake_done;
		struct {
			uint64_t transaction;
			uint32_t bytes;
		} intake_credit;
		struct {
			bool is_open;      /* false: 452 4.3.1 at MAIL */
			uint64_t size_max; /* likewise what says it is larger */
		} intake_state;
		struct {
			struct str site; /* its name */
			bool is_open;    /* false: 452 4.2.2 at RCPT */
		} intake_site;
		struct {
			uint64_t request;
			struct str site;
			struct str *domains; /* keys; none = all of the site */
			size_t domain_count;
		} trigger;
		struct {
			uint64_t request;
			enum message_trigger_result result;
			uint64_t count;
		} trigger_done;
		struct {
			uint32_t session;
			struct str destination; /* for the log */
			enum conf_route_kind kind;
			struct str host; /* SMTP: name or address; MX: domain */
			uint16_t port;
			uint32_t job; /* MAILDIR */
			/* For whom the first message is, for people; if not
			   empty MESSAGE_TRACE is wanted. */
			struct str trace;
		} session_start;
		struct {
			uint32_t session;
			uint32_t want; /* messages, 1..16 */
		} session_next;
		struct {
			uint32_t session;
			uint64_t lease;
			struct str id;
			uint64_t time_ms; /* from now; no final dot after it */
			uint64_t arrival_wall_ms;
			struct mail_envelope envelope;
			struct {
				uint32_t index;
				struct mail_recipient recipient;
			} * rows;
			size_t row_count; /* 1..STORE_LEASE_ROWS_MAX */
			uint64_t content_size;
			struct str
			    content; /* all of it, or empty: ask blocks */
		} job;
		struct {
			uint32_t session;
		} job_none;
		struct {
			uint32_t session;
			uint64_t lease;
			uint64_t index;
		} block_want;
		struct {
			uint32_t session;
			uint64_t lease;
			uint64_t index;
			bool is_damaged; /* it cannot be had */
			uint32_t crc32c;
			struct str bytes;
		} block;
		struct {
			uint32_t session;
			uint64_t lease;
			struct str host; /* who answered, for people, or "" */
			/* What it took it will not tell of (RFC 3461 5.2.2):
			   it does not know of notifications. */
			bool is_relayed;
			struct message_job_result *results;
			size_t result_count;
		} job_result;
		struct {
			uint32_t session;
			bool is_failed; /* the host is in trouble: back off */
			bool is_permanent; /* the domain cannot take mail */
			struct str status; /* "4.4.1" */
			struct str answer; /* what was said or went wrong */
		} session_end;
		struct {
			uint64_t request;
			bool is_destinations; /* else messages */
			struct store_filter filter;
			uint64_t older_ms; /* came so long ago; 0 = any */
			uint64_t after_key;
			struct str after_name;
			uint32_t count; /* 1..STORE_PAGE_MAX */
		} list;
		struct {
			uint64_t request;
			struct store_found found; /* rows: arena or caller's */
		} list_message;
		struct {
			uint64_t request;
			struct store_destination destination;
			struct str
			    state; /* "held", "released", "backoff", ... */
			struct str answer; /* last trouble of its host */
			uint64_t
			    next_ms; /* from now until the next try, 0 = none */
			uint64_t answered_ms; /* queue time, 0 = none */
		} list_destination;
		struct {
			uint64_t request;
			int error; /* 0 or -errno */
			bool is_more;
			uint64_t total; /* messages in the store */
			/* Queue and wall time now, to show other times by. */
			uint64_t queue_ms;
			uint64_t wall_ms;
			uint64_t next_key; /* messages: ask on behind it */
		} list_end;
		/* A bounded piece of it is done at a time. */
		struct {
			uint64_t request;
			struct store_filter filter;
			uint64_t older_ms; /* came so long ago; 0 = any */
			enum message_steer steer;
			enum store_change change; /* of MESSAGE_STEER_CHANGE */
			struct str reason;        /* of HOLD */
			bool is_dry;              /* only count */
			uint64_t after_key;
		} change;
		/* Recipients. */
		struct {
			uint64_t request;
			int error;
			uint64_t changed_count;
			uint64_t leased_count;
			uint64_t moved_count; /* REQUEUE: destination new */
			uint64_t next_key; /* ask on behind it; 0 = all done */
		} change_done;
		struct {
			uint64_t request;
			bool is_verbose; /* one session, and RUN_TEXT */
			bool is_stopped; /* works on what is stopped only */
			enum message_run_order order;
			uint64_t age_ms;   /* tried within it: left out */
			uint64_t rank_max; /* over it: left out; 0 = none */
			struct store_select_term *terms; /* none = all */
			size_t term_count;
		} run;
		struct {
			uint64_t request;
			struct str text; /* lines, at most MESSAGE_TEXT_BYTES */
		} run_text;
		struct {
			uint64_t request;
			int error;       /* 0 or -errno */
			uint32_t status; /* of the last that failed for good */
			uint64_t count;  /* of messages that were tried */
		} run_done;
		struct {
			uint32_t session;
			struct str text; /* as above */
		} trace;
	} u;
};

/* Appends the frame (without its length) to OUT: 0 or -ENOBUFS. */
int message_encode(struct buf *out, const struct message *m)
    __attribute__((warn_unused_result));

/* Reads a frame from a peer of kind FROM in a process of kind TO.  Strings
   point into the frame, arrays into ARENA.  0, or -EPROTO: malformed, another
   version, or not for FROM to send to TO. */
int message_decode(struct str frame, enum role_kind from, enum role_kind to,
    struct arena *arena, struct message *m_out)
    __attribute__((warn_unused_result));

#endif
