/*
 * The queue role: the store, the scheduler, releases and notifications.  This
 * header is shared by its parts only:
 *
 *   queue.c          start, clock, dispatch, what is due
 *   queue_intake.c   messages that come in from receive
 *   queue_session.c  sessions, leases and blocks for deliver
 *   queue_settle.c   what became of a lease, and notifications about it
 *   queue_admin.c    triggers, listings and changes
 *
 * Nothing asynchronous keeps a pointer: requests to the store carry a number
 * in their tag, which is looked up when the answer comes.
 */
#ifndef ROLE_QUEUE_H
#define ROLE_QUEUE_H

#include "base/hash.h"
#include "conf/conf.h"
#include "role/env.h"
#include "role/message.h"
#include "role/newid.h"
#include "role/route.h"
#include "sched/sched.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* A lease lasts half an hour, and longer for what is large on a line of 50
   bytes a second; a final dot is never sent after it. */
#define QUEUE_LEASE_MS       1800000
#define QUEUE_LEASE_BYTE_MS  20
#define QUEUE_LEASES_SESSION 16
#define QUEUE_PEERS_MAX      64
#define QUEUE_ASKS_MAX       1000 /* triggers and listings in hand */

/* A message that is coming in. */
struct queue_intake_key {
	uint64_t transaction;
	uint64_t peer;
};

struct queue_intake {
	struct queue_intake_key key;
	uint64_t number; /* tag of its store requests */
	struct store_message *message;
	size_t row_capacity;
	uint32_t crc32c;
	uint32_t stages_in_hand;
	bool is_failed;    /* nothing more is kept; the commit is refused */
	bool is_full;      /* failed for want of room */
	bool is_committed; /* all came; waits for stages or for the append */
	UT_hash_handle hh; /* by key */
	UT_hash_handle hh_number; /* by number */
};

/* A take's answer, shared by the leases in it. */
struct queue_take {
	struct store_request *request;
	size_t lease_count;
};

struct queue_lease {
	uint64_t number;
	uint32_t session;
	struct queue_take *take;
	const struct store_lease *lease;
	/* What became of it, once that is known. */
	bool is_settling;
	struct arena arena;
	struct store_result *results;
	size_t result_count;
	const char **statuses; /* "5.1.1" of each result */
	bool is_dsn_wanted;
	struct store_request *again; /* a settle that found no room */
	UT_hash_handle hh;
};

struct queue_session {
	uint32_t number;
	role_peer peer; /* 0: nobody; what is taken is failed */
	char destination[STORE_DESTINATION_MAX + 1];
	uint32_t wanted;
	uint32_t lease_count;
	bool is_taking;
	bool is_over; /* none was sent, or it ended */
	/* The domain cannot take mail: what is taken is returned. */
	char status[12];
	char answer[STORE_STATUS_MAX + 1];
	UT_hash_handle hh;
};

/* A question of another role, waiting for the store. */
struct queue_ask {
	uint64_t number;
	role_peer peer;
	enum message_type type;
	uint64_t request;
	/* TRIGGER */
	char site[STORE_DESTINATION_MAX + 1];
	struct arena arena;
	struct str *domains;
	size_t domain_count;
	/* CHANGE */
	uint64_t changed_count;
	uint64_t leased_count;
	UT_hash_handle hh;
};

struct queue_peer {
	role_peer peer;
	enum role_kind kind;
	uint32_t session_count;
};

struct queue {
	struct role_env *env;
	const struct conf *conf;
	struct sched *sched;
	struct newid newid;
	uint64_t number_last; /* of intakes, leases, asks */
	uint64_t base_ms;     /* queue time = base_ms + now_ms */
	uint64_t wake_ms;
	uint64_t clock_ms;  /* when both clocks are logged next */
	uint64_t due_ms;    /* when the store is asked what is due */
	uint64_t refill_ms; /* when parked destinations are asked for */
	uint64_t again_ms;  /* when settles are handed in again, 0 = none */
	bool is_asking_due;
	bool is_asking_destinations;
	bool is_stopping;
	uint64_t staged_bytes; /* content in memory, of all intakes */
	struct queue_peer peers[QUEUE_PEERS_MAX];
	size_t peer_count;
	struct queue_intake *intakes, *intakes_by_number;
	struct queue_session *sessions;
	struct queue_lease *leases;
	struct queue_ask *asks;
	uint64_t bounces_lost_count;
};

uint64_t queue_time(const struct queue *q, uint64_t now_ms);
void queue_send(struct queue *q, role_peer peer, const struct message *m);
void queue_ready(struct queue *q, const struct route *route, uint64_t count);
/* Does what the scheduler decides and sets the timer; after every event. */
void queue_step(struct queue *q, uint64_t now_ms);
/* Adds a recipient row by its route; -EINVAL, -ENOBUFS. */
int queue_add_row(struct queue *q, struct store_message *message,
    size_t capacity, const struct mail_recipient *recipient)
    __attribute__((warn_unused_result));
/* Tells the scheduler of every row of a message that was appended. */
void queue_appended(struct queue *q, const struct store_message *message);

int queue_intake_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
void queue_intake_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_intake_peer_down(struct queue *q, role_peer peer);

void queue_session_start(
    struct queue *q, uint64_t now_ms, const struct sched_decision *decision);
int queue_session_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
void queue_session_taken(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_session_read(struct queue *q, struct store_request *request);
void queue_session_peer_down(struct queue *q, uint64_t now_ms, role_peer peer);
/* A lease is gone: the session may take more or be over. */
void queue_session_lease_gone(struct queue *q, uint32_t session);
struct queue_session *queue_session_find(
    const struct queue *q, uint32_t number);
struct queue_lease *queue_lease_find(const struct queue *q, uint64_t number);

/* RESULTS of the lease come from a deliver role. */
void queue_settle_results(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct message_job_result *results,
    size_t count);
/* The same result for every recipient of the lease. */
void queue_settle_all(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, enum smtp_verdict verdict, const char *status,
    const char *answer);
void queue_settle_read(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_settle_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
/* Hands in again what the store had no room for. */
void queue_settle_again(struct queue *q);

int queue_admin_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
void queue_admin_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_admin_peer_down(struct queue *q, role_peer peer);

/* Tags of STORE_READ: blocks for deliver, or the head for a notification. */
#define QUEUE_TAG_DSN (UINT64_C(1) << 63)

#endif
