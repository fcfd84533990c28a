/*
 * A queue run: what waits is tried once, each message at each of its
 * destinations, whatever its lane says about when; a host that fails is not
 * tried again in the run, and what waits for it is deferred with its answer.
 * This header is shared by the parts of it only:
 *
 *   queue_run.c        who asked, what is to be tried, phases
 *   queue_run_plan.c   what the store has to what is to be tried
 *   queue_run_go.c     sessions and leases
 *   queue_run_text.c   lines for people
 *
 *   PLAN --all found, or RUN_MESSAGES_MAX--> GO --nothing left--> PLAN again
 *     \--nothing found, nothing new--> REHOLD --> [ALARM, of a process for one
 * run] --> over
 *
 * What is held stays held unless the run has terms: then who asked means it.
 * What is stopped is passed over, or is all that the run works on; deferred, it
 * stays stopped.
 * The leases are those of the store, so that a message which a session of the
 * scheduler or another program has in hand is passed over.
 *
 * Invariants: an entry waits in one list, or is in hand (a request for its
 * lease, or the lease), or is done; what is in hand is counted; a run is freed
 * only when nothing is.
 */
#ifndef ROLE_QUEUE_RUN_H
#define ROLE_QUEUE_RUN_H

#include "role/queue.h"
#include "store/select.h"

#define RUN_MESSAGES_MAX 50000 /* planned at a time */
#define RUN_RUNS_MAX     16    /* that wait for the one in hand */
#define RUN_TRIES_MAX    3     /* of what comes back untried */
#define RUN_ASKS_MAX     32    /* leases asked for beside sessions */
#define RUN_ROUNDS_MAX   25    /* plans beside the first */
#define RUN_SESSION_BIT                                                        \
	UINT32_C(0x80000000) /* no number of the scheduler's                   \
	                      */
#define RUN_START_MAX    2   /* sessions of a host that nobody knows */
#define RUN_ROWS_SESSION 8   /* entries that are worth one more session */

struct run_host {
	char name[STORE_DESTINATION_MAX + 1];
	bool is_down;
	bool is_permanent; /* and what waits for it is returned */
	char status[12];
	char answer[STORE_STATUS_MAX + 1]; /* as sendmail says it */
	uint32_t session_count, session_limit;
	struct run_target *targets;
	UT_hash_handle hh;
};

/* A destination. */
struct run_target {
	char name[STORE_DESTINATION_MAX + 1];
	struct run_host *host;
	struct run_target *next_of_host;
	bool is_held;
	bool is_local;    /* a Maildir */
	bool is_runnable; /* in the list of these */
	struct run_entry *waiting;
	size_t waiting_count;
	uint32_t session_count;
	unsigned idle_count; /* sessions that took nothing, one after another */
	uint64_t mark;       /* key of the message that was planned last */
	struct run_target *prev, *next; /* runnable */
	UT_hash_handle hh;
};

/* A recipient that nothing leads to. */
struct run_stray {
	struct run_stray *next;
	char line[]; /* that says so */
};

struct run_message {
	char id[STORE_ID_MAX + 1];
	uint64_t key, rank;
	const char *first;        /* name of its first destination, or "" */
	char *directory;          /* of several, "" or NULL */
	struct run_stray *strays; /* of a verbose run */
	size_t number;            /* in the slice, from 1; 0: made by the run */
	bool is_told;             /* its line is out */
	bool is_tried;            /* a lease was had */
	struct run_entry *entries;
};

/* A message at a destination. */
struct run_entry {
	struct run_message *message;
	struct run_target *target;
	char *recipient;     /* only this one; NULL: all */
	uint32_t from_index; /* and of these, who was not leased before */
	unsigned try_count;
	struct run_entry *sibling;
	struct run_entry *prev, *next; /* waiting */
};

/* A lease that the store is asked for. */
struct run_ask {
	uint64_t number;
	uint32_t session; /* 0: for none */
	struct run_entry *entry;
	UT_hash_handle hh;
};

enum run_phase {
	RUN_PLAN,
	RUN_GO,
	RUN_REHOLD,
	RUN_ALARM,
	RUN_OVER
};

struct queue_run {
	struct queue_run *next; /* waits behind this one */
	role_peer peer;         /* who asked; 0: nobody, or gone */
	uint64_t request;
	enum run_phase phase;
	bool is_verbose;
	bool is_stopped;
	enum message_run_order order;
	uint64_t age_ms, rank_max;
	struct arena arena; /* texts of the terms */
	struct store_select select;

	uint64_t next_key;    /* of the plan; 0: all is found */
	uint64_t found_count; /* of the store when the plan began */
	unsigned round_count; /* looks for what came behind what was planned */
	size_t in_hand;       /* requests and leases */
	size_t ask_count;     /* of these without a session */
	struct run_message **messages;
	size_t message_count, planned_count;
	size_t told_count; /* of the planned, whose strays were told */
	struct run_target *targets;
	struct run_host *hosts;
	struct run_target *runnable;
	size_t waiting_count; /* entries, in all lists */
	struct run_ask *asks;
	uint32_t session_count;

	/* Of a verbose run. */
	struct run_entry *waiting;
	struct queue_session *session; /* open, or NULL */
	struct queue_lease *lease;     /* to be given to a session */

	uint64_t tried_count; /* messages */
	uint32_t status;      /* of the last that failed for good */
	bool is_left;         /* something was given up untried */
	int error;
};

/* Who asked said what is to be tried: no rule of ours keeps it back. */
static inline bool
run_is_meant(const struct queue_run *run)
{
	return run->select.count > 0 || run->is_stopped;
}

/* queue_run_plan.c */
/* Takes a page of what is queued into the plan. */
void run_plan_page(
    struct queue *q, uint64_t now_ms, const struct store_request *request);
/* All is found, or enough: makes the lists. */
void run_plan_end(struct queue *q);
/* A notification that the run made is to be tried in it. */
void run_plan_notice(struct queue *q, const struct store_message *dsn);
/* Forgets the plan; hosts and destinations stay. */
void run_plan_clear(struct queue_run *run);
void run_plan_fini(struct queue_run *run);

/* queue_run_go.c */
/* ENTRY waits, before all others if IS_FIRST. */
void run_wait(struct queue_run *run, struct run_entry *entry, bool is_first);
/* Starts what may start. */
void run_go(struct queue *q, uint64_t now_ms);
/* The lease that was asked for; the request becomes the run's. */
void run_leased(
    struct queue *q, uint64_t now_ms, struct store_request *request);
/* Nothing waits and nothing is in hand. */
bool run_is_idle(const struct queue_run *run);
/* Nothing more is to be tried. */
void run_drop_waiting(struct queue_run *run);

/* queue_run_text.c; nothing is said of a run that is not verbose. */
void run_say(struct queue *q, struct str text);
/* "Running DIR/ID (sequence I of N)", once for each message, and who of its
   recipients is not tried. */
void run_say_message(struct queue *q, struct run_message *message);
/* The same of those before number END that have nobody who is. */
void run_say_strays(struct queue *q, size_t end);
/* "RECIPIENTS... TEXT". */
void run_say_rows(
    struct queue *q, const struct queue_lease *lease, const char *text);
void run_say_locked(struct queue *q, const struct run_message *message);
/* What a Maildir did. */
void run_say_result(struct queue *q, const struct queue_lease *lease,
    const struct message_job_result *result);
/* The rows in the order in which they are tried. */
void run_rows(const struct queue_lease *lease,
    const struct store_lease_row *rows[STORE_LEASE_ROWS_MAX]);
/* The recipients in that order; TEXT has room for MESSAGE_NAMES_MAX and a
   NUL. */
void run_names(const struct queue_lease *lease, char *text);
/* What sendmail would say of a host that could not be reached. */
void run_trouble(struct str answer, char text[STORE_STATUS_MAX + 1]);

#endif
