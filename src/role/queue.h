/*
 * The queue role: the store, the scheduler, releases and notifications.  This
 * header is shared by its parts only:
 *
 *   queue.c          start, clock, dispatch, what is due
 *   queue_intake.c   messages that come in from receive
 *   queue_alias.c    recipients that are aliases
 *   queue_again.c    recipients of queued mail that are aliases by now
 *   queue_room.c     how much may be stored: disk, queue, quotas of sites
 *   queue_session.c  sessions, leases and blocks for deliver
 *   queue_settle.c   what became of a lease
 *   queue_notice.c   notifications about it
 *   queue_alarm.c    mail that is late, and mail whose time is over
 *   queue_admin.c    triggers and listings
 *   queue_steer.c    hold, free, delete, requeue, expire
 *   queue_release.h  releases that outlive the process
 *   queue_host.c     what hosts answered last
 *   queue_run.h      runs: all that waits is tried once
 *
 * Nothing asynchronous keeps a pointer: requests to the store carry a number
 * in their tag, which is looked up when the answer comes.
 */
#ifndef ROLE_QUEUE_H
#define ROLE_QUEUE_H

#include "base/hash.h"
#include "conf/conf.h"
#include "mail/dsn.h"
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
#define QUEUE_PARTS_MAX      100  /* senders of one message, by its lists */

struct alias_expansion;

/* A message that is coming in. */
struct queue_intake_key {
	uint64_t transaction;
	uint64_t peer;
};

/* What of it is stored as one message: the recipients with one sender. */
struct queue_part {
	uint64_t number; /* tag of its store requests */
	struct queue_intake *intake;
	struct store_message *message; /* NULL: the store has it */
	size_t row_capacity;
	struct queue_part *next;
	UT_hash_handle hh; /* by number */
};

/* A recipient that was a list or many: its sender asked to be told. */
struct queue_alias_note {
	struct mail_recipient recipient;
	enum mail_dsn_action action;
	struct queue_alias_note *next;
};

/* What is known of a lease whose aliases are expanded (queue_again.c). */
struct queue_again {
	uint64_t lease; /* its number; 0: the message comes in */
	uint64_t now_ms;
	uint64_t block;               /* of content, that is read next */
	struct arena *arena;          /* the lease's */
	struct store_result *results; /* of each of its rows */
	const struct str *others;     /* who gets the message anyway */
	size_t other_count;
	bool is_whole; /* all content was read */
};

struct queue_intake {
	struct queue_intake_key key;
	struct queue_again again;
	struct arena arena;
	char id[STORE_ID_MAX + 1];
	struct mail_envelope envelope; /* as it came */
	struct queue_part *parts;      /* at least one */
	size_t part_count;
	struct queue_alias_note *notes;
	size_t note_count;
	uint32_t crc32c;
	uint32_t stages_in_hand, appends_in_hand; /* of all parts */
	bool is_aliased;                          /* a recipient was */
	bool is_discarded;                        /* an alias was for nobody */
	bool is_begun;     /* content comes: the parts stand */
	bool is_failed;    /* nothing more is kept; the commit is refused */
	bool is_full;      /* failed for want of room */
	bool is_site_full; /* failed for a site's quota */
	bool is_committed; /* all came; waits for stages or for the append */
	UT_hash_handle hh; /* by key */
};

/* A take's answer, shared by the leases in it. */
struct queue_take {
	struct store_request *request;
	size_t lease_count;
};

/* What the sender is told of one recipient. */
struct queue_note {
	bool is_wanted;
	enum mail_dsn_action action;
	char status[12]; /* "5.1.1" */
};

struct queue_lease {
	uint64_t number;
	uint32_t session;      /* 0: leased by an alarm, or by ASK */
	uint64_t ask;          /* 0: by none */
	bool is_part;          /* may have left rows of its destination */
	struct run_entry *run; /* of a run (queue_run.h), or NULL */
	struct queue_take *take;
	const struct store_lease *lease;
	bool is_expanding; /* queue_again.c has it */
	/* What became of it, once that is known. */
	bool is_settling;
	struct arena arena;
	struct store_result *results;
	struct queue_note *notes; /* one for each result */
	size_t result_count;
	struct str mta; /* who answered, as others are told, or empty */
	struct store_request *again; /* a settle that found no room */
	UT_hash_handle hh;
};

struct queue_session {
	uint32_t number;
	role_peer peer; /* 0: nobody; what is taken is failed */
	char destination[STORE_DESTINATION_MAX + 1];
	uint32_t wanted; /* leases; where PEER is nobody, at a time */
	uint32_t lease_count;
	uint32_t again_count; /* of these queue_again.c has */
	bool is_taking;
	bool is_over;           /* none was sent, or it ended */
	struct run_target *run; /* of a run (queue_run.h), or NULL */
	uint32_t ask_count;     /* leases that the run asked for */
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
	/* LIST and CHANGE; its strings are the arena's */
	struct store_filter filter;
	/* CHANGE */
	enum message_steer steer;
	enum store_change change;
	struct str reason; /* the arena's */
	bool is_dry;
	bool is_fix; /* at start, for nobody: homes only */
	uint64_t next_key;
	size_t steps_left;
	size_t in_hand;             /* moves or leases */
	struct store_request *page; /* that the moves point into */
	int error;
	uint64_t changed_count;
	uint64_t leased_count;
	uint64_t moved_count;
	UT_hash_handle hh;
};

struct queue_peer {
	role_peer peer;
	enum role_kind kind;
	uint32_t session_count;
};

/* What is queued for a site with a quota. */
struct queue_quota {
	const struct conf_site *site;
	uint64_t messages, bytes;
	uint64_t coming_messages, coming_bytes; /* appends in hand */
	uint64_t mark;   /* of the message that was looked at last */
	bool is_open;    /* as receive knows */
	bool is_touched; /* in the list of those to be looked at */
	struct queue_quota *next;
};

struct queue_room {
	struct store_totals totals;             /* as the store said last */
	uint64_t told_ms;                       /* when that was */
	uint64_t coming_messages, coming_bytes; /* appends in hand */
	uint64_t coming_unwritten; /* what they will take of the disk */
	bool is_open;              /* as receive knows */
	uint64_t size_max;         /* likewise */
	bool is_looking;
	uint64_t look_ms;   /* when the store is asked next; UINT64_MAX = not */
	size_t asked_count; /* counts in hand */
	struct queue_quota *quotas; /* in the order of conf.sites */
	size_t quota_count;
	size_t counted_count; /* those below are counted, or asked for */
	struct queue_quota *touched;
	uint64_t mark_last;
};

enum queue_room_verdict {
	QUEUE_ROOM_OK,
	QUEUE_ROOM_FULL,
	QUEUE_ROOM_SITE_FULL,
};

struct queue {
	struct role_env *env;
	const struct conf *conf;
	struct sched *sched;
	struct newid newid;
	uint64_t number_last; /* of intakes, leases, asks */
	uint64_t base_ms;     /* queue time = base_ms + now_ms */
	uint64_t wake_ms;
	uint64_t clock_ms;        /* when both clocks are logged next */
	uint64_t found_count;     /* of the store, as it was heeded last */
	uint64_t found_now_count; /* as it was told last */
	uint64_t due_ms;          /* when the store is asked what is due */
	uint64_t refill_ms;       /* when parked destinations are asked for */
	uint64_t again_ms; /* when settles are handed in again, 0 = none */
	uint64_t alarm_ms; /* when the store is asked for alarms */
	bool is_asking_due;
	bool is_asking_alarm;
	size_t alarm_lease_count; /* of the slice that is at work */
	bool is_asking_destinations;
	bool is_stopping;
	bool is_resuming;      /* it was away for release-time or less */
	uint64_t staged_bytes; /* content in memory, of all intakes */
	struct queue_peer peers[QUEUE_PEERS_MAX];
	size_t peer_count;
	struct queue_intake *intakes;
	struct queue_part *parts; /* of all intakes */
	struct queue_session *sessions;
	struct queue_lease *leases;
	struct queue_ask *asks;
	struct queue_room room;
	struct queue_host *hosts;
	uint32_t *released; /* of each site (role/queue_release.h), or NULL */
	bool *fix;          /* sites whose rows need a new home, or NULL */
	struct queue_run *run; /* in hand, with those that wait behind it */
	uint32_t run_session_last;
	bool is_run_only; /* nothing is done but runs */
	uint64_t run_ms;  /* when the next run by the clock is, UINT64_MAX */
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
/* The part for SENDER, a new one if need be; NULL if there are too many. */
struct queue_part *queue_intake_part(
    struct queue *q, struct queue_intake *intake, struct str sender);
/* Adds a recipient to a part; -ENOBUFS, -EINVAL. */
int queue_intake_add(struct queue *q, struct queue_part *part,
    const struct mail_recipient *recipient) __attribute__((warn_unused_result));

/* A message of the lease's content and envelope, for the members of aliases. */
struct queue_intake *queue_intake_again(
    struct queue *q, const struct queue_lease *lease);
struct queue_intake *queue_intake_of_lease(struct queue *q, uint64_t number);
/* More of its content, or (IS_WHOLE) the rest: then queue_again_settle(), or
   queue_again_refused() of what cannot be kept; before the rest
   queue_again_more(). */
void queue_intake_whole(struct queue *q, struct queue_intake *intake,
    struct str bytes, bool is_whole);
/* Its first part, which becomes the caller's. */
struct store_message *queue_intake_take(
    struct queue *q, struct queue_intake *intake);
/* Forgets it, with what was staged. */
void queue_intake_drop(struct queue *q, struct queue_intake *intake);

/* Adds a recipient of the intake, or those whom it stands for as an alias; one
   that is there already is not added again.  0 or -errno. */
int queue_alias_take(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient) __attribute__((warn_unused_result));
/* Adds those for whom RECIPIENT stands, which E says.  0 or -errno. */
int queue_alias_expanded(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient, const struct alias_expansion *e)
    __attribute__((warn_unused_result));
/* The notification that aliases were expanded, for a sender who asked for it;
   NULL if none did, or (logged) if none can be made. */
struct store_message *queue_alias_notice(
    struct queue *q, const struct queue_intake *intake);
/* True if mail for ALIAS gets to ADDRESS; it may be ALIAS itself. */
bool queue_alias_reaches(
    const struct queue *q, struct str alias, struct str address);
/* Makes the rows of a message without any: for TO, or for whom it stands.
   -EINVAL if it stands for nobody; -ENOBUFS. */
int queue_alias_rows(struct queue *q, struct store_message *message,
    const struct mail_recipient *to) __attribute__((warn_unused_result));

/* Whether rows of the lease, which is to be tried in SESSION (NULL: in none),
   are aliases by now: then these are replaced, and the lease is settled,
   later.  Until then it is one of the session's. */
bool queue_again_begin(
    struct queue *q, struct queue_session *session, struct queue_lease *lease);
/* The answer to a request of its own, which it takes. */
void queue_again_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
/* How it goes on with the intake of a lease: see queue_intake_whole(). */
void queue_again_more(struct queue *q, struct queue_intake *intake);
void queue_again_settle(struct queue *q, struct queue_intake *intake);
void queue_again_refused(struct queue *q, struct queue_intake *intake);
/* Whether the destination is a domain of ours that has nothing but aliases: who
   is none there is unknown. */
bool queue_again_is_here(const struct queue *q, const struct route *route);

void queue_room_init(struct queue *q, const struct store_totals *totals);
void queue_room_fini(struct queue *q);
/* A message begins to come. */
void queue_room_begin(struct queue *q, uint64_t now_ms);
/* Whether the disk has less room than its reserve. */
bool queue_room_is_short(const struct queue *q);
/* Whether the message may be appended now; if so it is counted as coming until
   queue_room_answered(). */
enum queue_room_verdict queue_room_admit(
    struct queue *q, const struct store_message *message);
/* Its append was answered in any way. */
void queue_room_answered(struct queue *q, const struct store_message *message);
/* The message, or a notification, is in the store. */
void queue_room_appended(struct queue *q, const struct store_message *message);
/* A settle is in the store, and what came with it was told. */
void queue_room_settled(struct queue *q, const struct store_request *request);
/* Any answer of the store, before anything else is done with it. */
void queue_room_told(
    struct queue *q, uint64_t now_ms, const struct store_request *request);
/* The answer to a count of its own (QUEUE_TAG_ROOM). */
void queue_room_counted(struct queue *q, const struct store_request *request);
/* Rows were removed or moved by hand. */
void queue_room_recount(struct queue *q);
/* Tells a new receive process what is closed. */
void queue_room_greet(struct queue *q, role_peer peer);
/* Opens and closes, and asks the store; after every event. */
void queue_room_step(struct queue *q, uint64_t now_ms);

void queue_session_start(
    struct queue *q, uint64_t now_ms, const struct sched_decision *decision);
int queue_session_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
void queue_session_taken(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_session_read(struct queue *q, struct store_request *request);
void queue_session_peer_down(struct queue *q, uint64_t now_ms, role_peer peer);
/* How many leases more the session may have. */
uint32_t queue_session_room(const struct queue_session *session);
/* A lease is gone: the session may take more or be over. */
void queue_session_lease_gone(struct queue *q, uint32_t session);
struct queue_session *queue_session_find(
    const struct queue *q, uint32_t number);
/* A session NUMBER with a deliver process for the route, traced for the
   recipients TRACE unless that is empty; NULL if no process is there. */
struct queue_session *queue_session_open(struct queue *q, uint32_t number,
    const struct route *route, struct str trace);
void queue_session_send_job(struct queue *q,
    const struct queue_session *session, const struct queue_lease *lease);
struct queue_lease *queue_lease_find(const struct queue *q, uint64_t number);

/* Lease FROM of the take, for SESSION. */
struct queue_lease *queue_lease_new(struct queue *q, struct queue_take *take,
    uint32_t session, const struct store_lease *from);
/* Forgets it: it was settled, or the role ends.  With the last one of its take
   the take goes too. */
void queue_lease_free(struct queue *q, struct queue_lease *lease);

/* Results of the lease come from a deliver role, as the frame has them. */
void queue_settle_results(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct message *m);
/* A lease that an alarm gave: returns what is over its time, notes that the
   sender is told of what is late. */
void queue_settle_alarm(
    struct queue *q, uint64_t now_ms, struct queue_lease *lease);
/* All of the lease is returned because an administrator says so. */
void queue_settle_expired(
    struct queue *q, uint64_t now_ms, struct queue_lease *lease);
/* Its aliases were expanded: RESULTS, one for each row, and MESSAGE, if there
   is one, which becomes the store's. */
void queue_settle_expanded(struct queue *q, uint64_t now_ms,
    struct queue_lease *lease, const struct store_result *results,
    struct store_message *message);
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

/* Whether conf.postmaster is told of what failed for TO and has no sender who
   could be.  Of what failed on its way to the postmaster nobody is. */
bool queue_notice_has_postmaster(
    const struct queue *q, const struct mail_recipient *to);
/* The notification about the lease as its notes want it, with CONTENT (or
   the head of it), to the sender or else to the postmaster; NULL, and logged,
   where none can be made. */
struct store_message *queue_notice_new(struct queue *q, uint64_t now_ms,
    const struct queue_lease *lease, struct str content, bool is_whole);

/* How long after it arrived its sender is told that it is late; 0 = never. */
uint64_t queue_notice_time(
    const struct route *route, const struct mail_envelope *envelope);
/* When a row's alarm is to ring that arrived at ARRIVAL_MS. */
uint64_t queue_alarm_time(const struct route *route, uint64_t arrival_ms,
    const struct mail_envelope *envelope,
    const struct mail_recipient *recipient, bool is_told);
/* The store is asked at AT_MS or before. */
void queue_alarm_at(struct queue *q, uint64_t at_ms);
bool queue_alarm_may_ask(const struct queue *q);
void queue_alarm_ask(struct queue *q, uint64_t now_ms);
void queue_alarm_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
/* One lease that an alarm gave is settled. */
void queue_alarm_settled(struct queue *q);

int queue_admin_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
/* The request becomes the answerer's. */
void queue_admin_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
void queue_admin_peer_down(struct queue *q, role_peer peer);
/* COUNT domains of DESTINATION, which is held, were released (0: all of it): a
   new role that takes this one's place will take that up. */
void queue_release_begun(struct queue *q, uint64_t now_ms,
    const char *destination, const struct str *domains, size_t count);
/* The run of DESTINATION is over: a new role will not take it up. */
void queue_release_over(struct queue *q, const char *destination);
/* At start: takes up a release that was in progress when the role before
   ended, if D tells of one. */
void queue_release_resume(struct queue *q, const struct store_destination *d,
    const struct route *route);
struct queue_ask *queue_ask_new(
    struct queue *q, role_peer peer, enum message_type type, uint64_t request);
void queue_ask_free(struct queue *q, struct queue_ask *ask);

/* Begins what the ask says. */
void queue_steer_begin(struct queue *q, struct queue_ask *ask);
/* The request becomes the answerer's. */
void queue_steer_stored(struct queue *q, uint64_t now_ms, struct queue_ask *ask,
    struct store_request *request);
/* A lease of the ask NUMBER is settled, or could not be. */
void queue_steer_settled(
    struct queue *q, uint64_t number, int error, size_t row_count);
/* Remembers that rows of the destination, found at start, are not in the lane
   that its route asks for. */
void queue_steer_note(struct queue *q, const struct store_destination *d,
    const struct route *route);
/* Gives the next of these their new home. */
void queue_steer_fix(struct queue *q);

/* The host of DESTINATION failed with ANSWER at queue time TIME_MS; "": it did
   not. */
void queue_host_note(struct queue *q, uint64_t time_ms, struct str destination,
    struct str answer);
struct str queue_host_answer(const struct queue *q, const struct route *route);
/* When that was; 0 = there is none. */
uint64_t queue_host_answered(const struct queue *q, const struct route *route);
void queue_host_fini(struct queue *q);

/* Tells the store both clocks, and lets it look again at what it has, unless it
   was opened just now or is to be closed; the request has TAG. */
void queue_log_clock(struct queue *q, uint64_t now_ms, uint64_t tag);

/* Who asks for a run. */
int queue_run_message(
    struct queue *q, uint64_t now_ms, role_peer peer, const struct message *m);
void queue_run_peer_down(struct queue *q, role_peer peer);
/* A run for nobody, unless one is at work still. */
void queue_run_every(struct queue *q, uint64_t now_ms);
/* How many sessions the run has, at most conf.deliveries_max. */
uint64_t queue_run_sessions(const struct queue *q);
/* Goes on; after every event. */
void queue_run_step(struct queue *q, uint64_t now_ms);
/* The answer to a request of a run, which takes it. */
void queue_run_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request);
/* False while a process for one run has not tried everything. */
bool queue_run_may_alarm(const struct queue *q);
/* Gives a session of a run what it wants. */
void queue_run_feed(struct queue *q, struct queue_session *session);
/* A session of a run says something. */
void queue_run_trace(struct queue *q, const struct message *m);
/* Results of a lease of a run came. */
void queue_run_results(
    struct queue *q, const struct queue_lease *lease, const struct message *m);
/* What its sender will be told of is known: people are, too. */
void queue_run_late(struct queue *q, const struct queue_lease *lease,
    const struct route *route);
/* It was settled, with 0 or -errno, and will be freed. */
void queue_run_settled(
    struct queue *q, const struct queue_lease *lease, int error);
/* A notification was stored with LEASE. */
void queue_run_notice(struct queue *q, const struct queue_lease *lease,
    const struct store_message *dsn);
/* A session of a run ended as M says, or with its process; its caller frees
   it.  IS_RETURNED: what waits there is to be returned. */
void queue_run_session_ended(struct queue *q, uint64_t now_ms,
    struct queue_session *session, const struct message *m, bool is_returned);
void queue_run_session_lost(
    struct queue *q, uint64_t now_ms, struct queue_session *session);
void queue_run_fini(struct queue *q);

/* Tags of STORE_READ: blocks for deliver, or the head for a notification. */
#define QUEUE_TAG_DSN (UINT64_C(1) << 63)
/* Tag of a STORE_COUNT of queue_room.c. */
#define QUEUE_TAG_ROOM (UINT64_C(1) << 62)
/* Tag of what a run asks. */
#define QUEUE_TAG_RUN (UINT64_C(1) << 61)
/* Tag of what queue_again.c asks. */
#define QUEUE_TAG_AGAIN (UINT64_C(1) << 60)

#endif
