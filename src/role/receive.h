/*
 * The receive role: SMTP sessions on connections that come in.  This header is
 * shared by its parts only:
 *
 *   receive.c          sessions, their input, output, deadlines and end
 *   receive_intake.c   a transaction, and its frames to and from the queue
 *   receive_rcpt.c     which recipients are taken
 *   receive_network.c  what a client network may take of this process
 *   receive_site.c     what the networks of one site may take of it
 *   receive_header.c   reads what matters in a header that passes
 *   receive_trigger.c  ETRN and QSND, and their frames
 *
 * A session asks its machine what it wants.  A question is answered at once or
 * waits for a frame of the queue; while it waits the session takes no input.
 *
 *   NONE --CONTENT, COMMIT: no credit--> CREDIT --INTAKE_CREDIT--> NONE
 *   NONE --COMMIT: all sent------------> COMMIT --INTAKE_DONE----> NONE
 *   NONE --TRIGGER---------------------> TRIGGER --TRIGGER_DONE--> NONE
 *   any wait --the queue is gone, or too slow--> NONE, refused for now
 *
 * Frames name a transaction or a request by a number that is not used again;
 * a late one finds nothing.
 */
#ifndef ROLE_RECEIVE_H
#define ROLE_RECEIVE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/heap.h"
#include "conf/alias_memo.h"
#include "conf/conf.h"
#include "mail/envelope.h"
#include "role/env.h"
#include "role/message.h"
#include "role/newid.h"
#include "smtp/server.h"
#include "trigger/answer.h"
#include "trigger/entitle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECEIVE_HOPS_MAX      100     /* Received fields; RFC 5321 6.3 */
#define RECEIVE_ARENA_MAX     2097152 /* of a transaction's envelope */
#define RECEIVE_UNSENT_MAX    65536   /* replies not read: no more input */
#define RECEIVE_TRIGGER_MS    5000    /* a trigger is answered by then */
#define RECEIVE_STORE_MS      600000  /* the queue gives credit or a reply */
#define RECEIVE_SHUTDOWN_MS   10000   /* sessions end by then */
#define RECEIVE_MINUTE_MS     60000   /* that triggers are counted over */
#define RECEIVE_NETWORK_KEY   9       /* bytes that name a client network */
#define RECEIVE_NETWORKS_IDLE 4096    /* remembered without sessions */
/* Content that is kept: less than a block, and what came in one piece. */
#define RECEIVE_BLOCKS_MAX (STORE_BLOCK + STORE_BLOCK)
#define RECEIVE_MAGIC      0x52435653u

enum receive_wait {
	RECEIVE_WAIT_NONE,
	RECEIVE_WAIT_CREDIT,
	RECEIVE_WAIT_COMMIT,
	RECEIVE_WAIT_TRIGGER,
};

/* The header of content that passes, byte by byte. */
struct receive_header {
	char line[32]; /* the first bytes of the line in lower case, but CR */
	size_t line_size;
	bool is_body; /* the empty line has passed */
	unsigned hop_count;
	int priority; /* by its Precedence; 0 = none */
};

struct receive_transaction {
	uint64_t number; /* 0 = the queue knows of none */
	bool has_uid;    /* who submits it is a local user */
	uint32_t uid;
	bool is_committed;
	char id[NEWID_SIZE + 1]; /* empty before DATA */
	struct arena arena;
	struct mail_envelope envelope;
	struct mail_recipient *recipients;
	size_t recipient_count, recipient_capacity;
	size_t expanded_count; /* of those for whom they stand */
	struct buf block;      /* content that was not yet sent */
	uint64_t content_size;
	uint32_t content_crc32c;
	uint64_t credit;
	struct receive_header header;
	/* Code 0 = none.  Else what comes is passed over, and this is the
	   reply to the dot. */
	struct smtp_reply refusal;
};

/* What was taken in the minute that began at BEGIN_MS. */
struct receive_rate {
	uint64_t begin_ms;
	uint64_t count;
	bool is_logged; /* that one was refused */
};

struct receive_network {
	unsigned char key[RECEIVE_NETWORK_KEY];
	uint64_t session_count;
	struct receive_rate triggers;
	struct receive_network *prev, *next; /* without sessions */
	UT_hash_handle hh;
};

/* What is known of a site besides its configuration. */
struct receive_site {
	bool is_closed; /* the queue takes no more for it now */
	struct receive_rate triggers;
	uint64_t session_count; /* that its networks hold */
	uint64_t connections_max;
	uint64_t round; /* of the last look at it; receive_site.c */
};

struct receive_site_networks;

/* A trigger whose grants are asked for one after the other. */
struct receive_trigger {
	enum conf_trigger kind;
	struct trigger_grants grants;
	size_t done_count;
	uint64_t request;
	enum trigger_outcome outcome;
	uint64_t count;
};

struct receive_session {
	uint32_t magic;
	role_conn conn;
	struct conf_address from;
	char peer[46]; /* the same as text, "uid:1000", or "pickup" */
	bool is_local; /* a user of this host, or the pickup role for one */
	bool has_uid;
	uint32_t uid;
	struct receive_network *network;
	struct smtp_server *machine;
	enum receive_wait wait;
	bool is_content_taken; /* that of the CONTENT that stands */
	struct receive_transaction transaction;
	struct receive_trigger *trigger; /* NULL = none */
	struct heap_node deadline;
	UT_hash_handle hh;             /* by conn */
	UT_hash_handle hh_transaction; /* by transaction.number */
	UT_hash_handle hh_request;     /* by trigger->request */
};

struct receive {
	struct role_env *env;
	const struct conf *conf;
	struct smtp_server_options options;
	struct smtp_server_options pickup_options;
	struct newid newid;
	role_peer queue; /* 0 = none is up */
	bool is_intake_open;
	uint64_t intake_size_max;
	uint64_t now_ms;
	uint64_t number_last; /* of transactions and requests */
	struct receive_session *sessions;
	struct receive_session *by_transaction;
	struct receive_session *by_request;
	struct heap deadlines;
	/* This process's share of each. */
	size_t connections_max;
	uint64_t network_connections_max;
	uint64_t triggers_max;
	struct alias_memo *aliases;
	struct receive_network *networks, *idle_networks;
	size_t idle_network_count;
	struct receive_site *sites; /* in the order of conf.sites */
	struct receive_site_networks *site_networks;
	struct buf frame;
	bool is_stopping, is_stopped;
	uint64_t stop_ms;
};

/* receive.c */

/* Sends a frame to the queue: 0 or -EPIPE. */
int receive_send(struct receive *r, const struct message *m)
    __attribute__((warn_unused_result));
/* Answers the question that waits; the session may be gone afterwards. */
void receive_answer(struct receive *r, struct receive_session *s,
    const struct smtp_reply *reply);
/* Puts the question that waits once more; likewise. */
void receive_resume(struct receive *r, struct receive_session *s);
/* This process's share of a limit. */
uint64_t receive_share(const struct conf *conf, uint64_t limit);

/* receive_intake.c: answers to the machine; false = it waits. */

bool receive_intake_mail(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out);
bool receive_intake_rcpt(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out);
bool receive_intake_data(
    struct receive *r, struct receive_session *s, struct smtp_reply *reply_out);
bool receive_intake_content(
    struct receive *r, struct receive_session *s, const struct smtp_ask *ask);
bool receive_intake_commit(
    struct receive *r, struct receive_session *s, struct smtp_reply *reply_out);
/* Forgets the transaction, if there is one, here and in the queue. */
void receive_intake_end(struct receive *r, struct receive_session *s);
/* The queue is gone; the session may be gone afterwards. */
void receive_intake_lost(struct receive *r, struct receive_session *s);
/* The queue lets the session wait for too long; likewise. */
void receive_intake_late(struct receive *r, struct receive_session *s);
/* An INTAKE_... frame of the queue: 0 or -EPROTO. */
int receive_intake_message(struct receive *r, const struct message *m);

/* receive_rcpt.c */

/* Whether PEER, or a local user if that is NULL, may send to ADDRESS.
   *POSTMASTER_OUT is true if it goes to conf.postmaster instead.  The code of
   the reply is 250 or 5xx. */
struct smtp_reply receive_rcpt_decide(const struct conf *conf,
    const struct conf_address *peer, const struct mail_address *address,
    bool *postmaster_out);

/* What the aliases say of RECIPIENT, of which *COUNT_OUT recipients come: 250,
   4xx if it cannot be expanded as long as they are as they are, 550 if it would
   have to be an alias and is none; code 0: nothing.  MEMO is of CONF. */
struct smtp_reply receive_rcpt_alias(const struct conf *conf,
    struct alias_memo *memo, const struct mail_recipient *recipient,
    size_t *count_out);

/* The site that mail for ADDRESS is queued for, or NULL. */
const struct conf_site *receive_rcpt_site(
    const struct conf *conf, struct str address);

/* receive_network.c */

/* Counts one more; false if the minute has had MINUTE_MAX. */
bool receive_rate_take(
    struct receive_rate *rate, uint64_t now_ms, uint64_t minute_max);
/* A session of a client's network begins; NULL if it has too many.  Where
   FROM is no address of the Internet a local user counts as a network: then the
   first bytes of FROM are the user id (receive_network_of_user()). */
struct receive_network *receive_network_enter(
    struct receive *r, const struct conf_address *from);
struct conf_address receive_network_of_user(uint32_t uid);
void receive_network_leave(struct receive *r, struct receive_network *network);
/* Forgets those that are remembered; no session is left. */
void receive_networks_free(struct receive *r);

/* receive_site.c */

/* Makes the sites of a role that has its configuration. */
void receive_sites_init(struct receive *r);
/* No session may be left. */
void receive_sites_fini(struct receive *r);
/* A session from an address of any site, or of none, begins; false if a site
   of it has too many. */
bool receive_sites_enter(struct receive *r, const struct conf_address *from);
void receive_sites_leave(struct receive *r, const struct conf_address *from);

/* receive_header.c */

/* BYTES of content pass; it may be cut anywhere. */
void receive_header_feed(struct receive_header *h, struct str bytes);

/* receive_trigger.c */

bool receive_trigger_ask(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out);
/* It is not waited for any longer, and answered as busy if IS_ANSWERED; then
   the session may be gone afterwards. */
void receive_trigger_end(
    struct receive *r, struct receive_session *s, bool is_answered);
void receive_trigger_message(struct receive *r, const struct message *m);

#endif
