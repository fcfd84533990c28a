/*
 * What remembers messages durably.  One interface, several engines; each is a
 * plain object that carries out a batch of requests and returns when all that
 * it changed is on stable storage.  It never blocks anybody by itself: the
 * program runs batches in a thread of their own and hands the answered
 * requests back, a simulation runs them in place.
 *
 * A recipient of a message is a row.  Rows are ordered by (destination, lane,
 * place, message, recipient): place is the rank, fixed at append, in READY and
 * HELD, and the due time in WAITING.  The home lane of a row is READY or HELD.
 *
 * A domain in a request's DOMAINS is a key; one that begins with "@" stands for
 * the key behind it and for everything below that.
 *
 * Times are queue time in milliseconds (they never go back) unless named wall.
 * Strings in a request belong to its arena, or to the caller until answered.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ID_MAX          18      /* legal for sendmail */
#define STORE_BLOCK           65536   /* content is read in such blocks */
#define STORE_CONTENT_MEMORY  1048576 /* larger content must be staged */
#define STORE_PAGE_MAX        200     /* rows of one find */
#define STORE_SLICE_MAX       500     /* rows of one change or promotion */
#define STORE_RECIPIENTS_MAX  1000    /* of one message */
#define STORE_LEASE_ROWS_MAX  100     /* recipients of one lease */
#define STORE_DESTINATION_MAX 300     /* bytes of a destination's name */
#define STORE_STATUS_MAX      500     /* bytes of a row's last answer */
#define STORE_REASON_MAX      1024    /* bytes of why it was stopped */
/* Why a row is stopped, where nobody said it. */
#define STORE_STOPPED_TEXT "stopped by the administrator"
#define STORE_ARENA_MAX    (8 << 20) /* bytes of one request's arena */

enum store_lane {
	STORE_READY,   /* to be delivered as soon as the destination may */
	STORE_WAITING, /* after a 4xx for this message, until its due time */
	STORE_HELD,    /* until its destination is released */
	STORE_STOPPED, /* the administrator's hold: until it is freed */
	STORE_LANES
};

/* One recipient of a message that is appended. */
struct store_row {
	struct mail_recipient recipient;
	struct str destination;
	struct str domain; /* key of the recipient's domain, may be empty */
	bool is_held;      /* home lane: HELD, else READY */
	uint64_t alarm_ms; /* when STORE_ALARM gives it, 0 = never */
};

struct store_message {
	char id[STORE_ID_MAX + 1]; /* letters, digits, "-" "_" "."; new */
	struct arena arena;        /* owns the strings and rows */
	struct mail_envelope envelope;
	uint64_t arrival_ms;
	uint64_t arrival_wall_ms;
	uint64_t expire_ms;
	uint64_t rank;
	struct store_row *rows; /* 1..STORE_RECIPIENTS_MAX, numbered from 0 */
	size_t row_count;
	struct buf content;    /* all of it, unless it was staged */
	uint64_t content_size; /* in bytes */
	bool is_staged;        /* content came through STORE_STAGE */
};

/* A recipient of a lease. */
struct store_lease_row {
	uint32_t index; /* number of the recipient in its message */
	uint32_t attempts;
	struct mail_recipient recipient;
	struct str domain;
	struct str status; /* last answer */
	uint64_t alarm_ms;
	bool is_told; /* the sender was sent a delay notice */
};

/* The right to try one message at one destination.  It is kept in memory only
   and ends when its settle is durable, or when the engine is closed.  While it
   lasts all rows of the message at that destination count as leased.  Its rows
   are of one lane, in order of index; what is over STORE_LEASE_ROWS_MAX comes
   with a later take. */
struct store_lease {
	char id[STORE_ID_MAX + 1];
	struct str destination;
	struct mail_envelope envelope;
	uint64_t arrival_ms;
	uint64_t arrival_wall_ms;
	uint64_t expire_ms;
	uint64_t content_size;
	struct store_lease_row *rows; /* at most STORE_LEASE_ROWS_MAX */
	size_t row_count;
	struct str content; /* all of it if at most inline_max, else empty */
};

enum store_outcome {
	STORE_DELIVERED, /* the row is removed */
	STORE_DEFERRED,  /* to WAITING until due_ms, attempts + 1; a row in
	                    STOPPED stays there */
	STORE_FAILED,    /* the row is removed; the DSN of the settle tells */
	STORE_UNTRIED,   /* stays as it was; so does a row without a result */
};

struct store_result {
	uint32_t index;
	enum store_outcome outcome;
	uint64_t due_ms;   /* of STORE_DEFERRED, above 0 */
	struct str status; /* last answer, "451 4.2.0 try later", printable */
	/* With UNTRIED or DEFERRED: the row's new alarm, and whether its
	   sender was told by now; 0 leaves both as they are. */
	uint64_t alarm_ms;
	bool is_told;
};

/* What is queued at a destination, in all lanes. */
struct store_destination {
	struct str name;
	uint64_t rows[STORE_LANES];
	uint64_t messages;
	uint64_t bytes;     /* of content, each message once */
	uint64_t oldest_ms; /* arrival of the oldest message, 0 = none */
	uint64_t due_ms;    /* parked until; 0 = not parked */
	uint32_t failures;  /* as parked */
};

struct store_found_row {
	uint32_t index;
	enum store_lane lane;
	bool is_leased;
	uint32_t attempts;
	uint64_t due_ms; /* in WAITING */
	struct mail_recipient recipient;
	struct str destination;
	struct str status;
	uint64_t alarm_ms;
	bool is_told;
};

struct store_found {
	uint64_t key; /* for resuming behind it */
	char id[STORE_ID_MAX + 1];
	struct mail_envelope envelope;
	uint64_t arrival_ms;
	uint64_t arrival_wall_ms;
	uint64_t expire_ms;
	uint64_t content_size;
	struct store_found_row *rows; /* queued and of the filter, by index */
	size_t row_count;
	/* Why it was stopped: the reason of the last HOLD that changed a row
	   of it; empty if nobody said, or no row here is stopped. */
	struct str reason;
	/* In which of several it is; empty where there are none. */
	struct str directory;
	uint64_t attempted_wall_ms; /* last attempt; 0 = none, or not known */
	bool has_priority;
	int64_t priority; /* sendmail's, the lowest first */
};

/* Which rows; empty or 0 = any.  ID and DESTINATION are looked up, the others
   tested row by row. */
struct store_filter {
	struct str id;
	struct str destination;
	struct str sender;       /* as store_address_matches() has it */
	struct str recipient;    /* likewise */
	struct str domain;       /* of the recipient, as in DOMAINS */
	uint64_t arrival_max_ms; /* came then or before */
	uint64_t size_above;     /* bytes of content, more than that */
};

/* Where a row of a message goes. */
struct store_move {
	uint32_t index;
	struct str destination;
	bool is_held;      /* its new home lane: HELD, else READY */
	uint64_t alarm_ms; /* its new alarm; 0 leaves it as it is */
};

/* What an engine keeps, and the room where it keeps it. */
struct store_totals {
	uint64_t messages;   /* in all lanes */
	uint64_t bytes;      /* of their content, each once */
	uint64_t room_bytes; /* that are free there; 0 if nobody knows */
	/* Grows when there is mail that nobody appended here, or mail may be
	   leased again that another program had. */
	uint64_t found_count;
};

enum store_change {
	STORE_CHANGE_HOLD,   /* to STOPPED */
	STORE_CHANGE_FREE,   /* STOPPED to the home lane */
	STORE_CHANGE_DELETE, /* the row is removed, nobody is told */
};

enum store_verb {
	STORE_APPEND,
	STORE_STAGE,
	STORE_UNSTAGE,
	STORE_TAKE,
	STORE_SETTLE,
	STORE_READ,
	STORE_DUE,
	STORE_REHOLD,
	STORE_COUNT,
	STORE_DESTINATIONS,
	STORE_PARK,
	STORE_FIND,
	STORE_CHANGE,
	STORE_CLOCK,
	STORE_ALARM,
	STORE_MOVE,
	STORE_LEASE,
	STORE_VERBS
};

/*
 * One request.  ERROR is 0 or -errno: -ENOENT no such message or lease, -EEXIST
 * a message with this id is queued (an engine may also remember ids of messages
 * that are gone), -ENOSPC no room, -EINVAL against the contract, -EIO the
 * content is damaged.  With any error nothing was changed.
 *
 * Where an answer does not fit the arena it is shorter, but never empty for
 * that reason: asking again behind its end goes on.
 */
struct store_request {
	enum store_verb verb;
	int error;
	struct store_request *next; /* the caller's list */
	void *owner;                /* the caller's */
	uint64_t tag;               /* the caller's */
	struct arena arena;         /* owns the answer's strings and arrays */
	/* After it; with an error only the room counts. */
	struct store_totals totals;
	union {
		/* Durable when answered.  MESSAGE is the request's.  Staged
		   content must be as long as content_size says. */
		struct {
			struct store_message *message;
		} append;
		/* More content for the message ID, behind what was staged.
		   Not durable until appended; gone when the engine opens.
		   -EEXIST if ID is queued. */
		struct {
			char id[STORE_ID_MAX + 1];
			struct str bytes;
		} stage;
		/* Drops what was staged for ID; 0 also if nothing was. */
		struct {
			char id[STORE_ID_MAX + 1];
		} unstage;
		/* Leases up to COUNT messages from READY, then from HELD if
		   IS_RELEASED; only rows of DOMAINS unless that is empty.
		   Messages already leased at DESTINATION are passed over.  By
		   rank, and with equal ranks in order of append.  Parking has
		   no say here. */
		struct {
			struct str destination;
			const struct str *domains;
			size_t domain_count;
			bool is_released;
			size_t count;
			size_t inline_max;          /* at most STORE_BLOCK */
			struct store_lease *leases; /* out */
			size_t lease_count;         /* out */
		} take;
		/* Ends the lease of (ID, DESTINATION).  DSN, if not NULL, is
		   appended in the same step and is the request's.  -EINVAL, and
		   the lease lasts, if a result names a row that is not leased,
		   or one twice. */
		struct {
			char id[STORE_ID_MAX + 1];
			struct str destination;
			const struct store_result *results;
			size_t result_count;
			struct store_message *dsn;
			bool is_message_done; /* out: no row is left */
			/* out: what is left at DESTINATION, in all lanes */
			uint64_t left_messages;
			uint64_t left_bytes;
		} settle;
		/* Block number INDEX of the content of ID, checked; each is
		   STORE_BLOCK bytes but the last one. */
		struct {
			char id[STORE_ID_MAX + 1];
			uint64_t index;
			struct str bytes; /* out: empty past the end */
		} read;
		/* Moves up to STORE_SLICE_MAX rows whose time came (due_ms at
		   most NOW_MS) from WAITING to their home lane, the earliest
		   first.  MOVED names each destination once, in any order. */
		struct {
			uint64_t now_ms;
			size_t moved_count;    /* out */
			uint64_t next_due_ms;  /* out: earliest left, or 0 */
			struct str *moved;     /* out: their destinations */
			size_t moved_to_count; /* out */
		} due;
		/* Moves all rows of DESTINATION from WAITING to home. */
		struct {
			struct str destination;
		} rehold;
		/* What is queued for DOMAINS (empty = all) at DESTINATION, in
		   all lanes but STOPPED; without DOMAINS and with IS_ALL, in
		   that one too.  An empty DESTINATION with IS_ALL is the whole
		   store, each message once. */
		struct {
			struct str destination;
			const struct str *domains;
			size_t domain_count;
			bool is_all;
			uint64_t messages; /* out */
			uint64_t bytes;    /* out */
		} count;
		/* Up to COUNT destinations with queued rows whose name is
		   behind AFTER, in order of name; IS_READY: only those with
		   READY rows that are not parked beyond NOW_MS.  Leased rows
		   are in their lane. */
		struct {
			struct str after;
			bool is_ready;
			uint64_t now_ms;
			size_t count;
			struct store_destination *destinations; /* out */
			size_t destination_count;               /* out */
			/* out, IS_READY: the earliest time beyond NOW_MS that
			   any destination with READY rows is parked until;
			   0 = none */
			uint64_t next_due_ms;
		} destinations;
		/* Remembers that DESTINATION is not to be tried before DUE_MS
		   (0 forgets it), whether it has rows or not.  A rebuilt index
		   has forgotten it too; so has, unless IS_KEPT, an engine whose
		   process was killed soon after. */
		struct {
			struct str destination;
			uint64_t due_ms;
			uint32_t failures;
			bool is_kept;
		} park;
		/* Up to COUNT messages (STORE_PAGE_MAX if that is less) with
		   rows of the filter, in order of append, behind AFTER_KEY
		   (0 = from the first).  A bounded number is looked at: there
		   may be none in the answer and more behind NEXT_KEY. */
		struct {
			struct store_filter filter;
			uint64_t after_key;
			size_t count;
			struct store_found *found; /* out */
			size_t found_count;        /* out */
			uint64_t total;    /* out: messages in the store */
			uint64_t next_key; /* out: 0 = all were looked at */
		} find;
		/* Changes up to STORE_SLICE_MAX rows of the filter, of messages
		   behind AFTER_KEY, and goes on behind NEXT_KEY.  Rows that are
		   so already are passed over.  Leased ones that would change
		   are counted and left; over all slices each counts once.
		   IS_DRY: all is counted, with no limit to a slice but what is
		   looked at, and nothing is changed. */
		struct {
			struct store_filter filter;
			enum store_change change;
			/* Of HOLD: why; empty = nobody said.  It becomes that
			   of every message with a row that changes; one that
			   is not the message's changes its rows that are
			   stopped already, too.  FREE forgets it.  -EINVAL if
			   it is not valid. */
			struct str reason;
			bool is_dry;
			uint64_t after_key;
			size_t changed_count; /* out: rows */
			size_t leased_count;  /* out: rows */
			uint64_t next_key;    /* out: 0 = all is done */
		} change;
		/* Logs both clocks.  Unless IS_ONLY_LOG an engine whose files
		   others use too looks for what they have done. */
		struct {
			uint64_t queue_ms;
			uint64_t wall_ms;
			bool is_only_log;
		} clock;
		/* Leases up to COUNT messages, each at one destination, with
		   rows of any lane but STOPPED whose alarm_ms is at most
		   NOW_MS; those rows make the lease.  The earliest first, then
		   in order of append.  What is leased already is passed over.
		   Content is never in the lease. */
		struct {
			uint64_t now_ms;
			size_t count;
			struct store_lease *leases; /* out */
			size_t lease_count;         /* out */
			bool is_passed; /* out: rows were passed over */
			/* out: the earliest alarm of what was not looked at,
			   0 = none; at most NOW_MS if more could be leased */
			uint64_t next_alarm_ms;
		} alarm;
		/* Moves rows of the message ID, at most STORE_SLICE_MAX, each
		   named once, to their new homes; -ENOENT if there is none.
		   Those in STOPPED stay there, and those in WAITING unless
		   IS_NOW.  Rows that are gone are passed over; those whose
		   message is leased, where they are or where they would go,
		   are counted and left. */
		struct {
			char id[STORE_ID_MAX + 1];
			const struct store_move *moves;
			size_t move_count;
			bool is_now;
			size_t done_count;  /* out: are where they are to be */
			size_t moved_count; /* out: of these, destination new */
			size_t leased_count; /* out */
		} move;
		/* Leases up to COUNT messages, each at one destination, with
		   rows of the filter in any lane, of messages behind
		   AFTER_KEY; goes on behind NEXT_KEY, when these are settled.
		   Leased rows are counted; over all slices each once.
		   Recipients before FROM_INDEX are passed over. */
		struct {
			struct store_filter filter;
			uint32_t from_index;
			uint64_t after_key;
			size_t count;
			size_t inline_max;          /* at most STORE_BLOCK */
			struct store_lease *leases; /* out */
			size_t lease_count;         /* out */
			size_t leased_count;        /* out: rows */
			uint64_t next_key;          /* out: 0 = all is done */
		} lease;
	} u;
};

/* What was last known when the store was opened. */
struct store_info {
	uint64_t queue_ms; /* of the last STORE_CLOCK, append or settle */
	uint64_t wall_ms;  /* of the same moment; 0 = never known */
	bool was_clean;
	uint64_t recovered_count;   /* records replayed */
	struct store_totals totals; /* now */
};

struct store;

struct store_ops {
	/* Carries out COUNT requests in order; returns when every change is
	   durable and every answer is filled in.  Never fails as a whole: a
	   sync that fails ends the process (fatal, logged). */
	void (*batch)(
	    struct store *store, struct store_request **requests, size_t count);
	/* True while there is work for idle time (checkpoint, clean-up);
	   does a bounded piece of it. */
	bool (*idle)(struct store *store);
	void (*info)(struct store *store, struct store_info *info_out);
	/* Asserts the invariants; for tests. */
	void (*check)(struct store *store);
	void (*close)(struct store *store);
};

struct store {
	const struct store_ops *ops;
};

/* A request with its arena; freed with store_request_free(). */
struct store_request *store_request_new(enum store_verb verb);
/* Frees also the message of an append and the DSN of a settle. */
void store_request_free(struct store_request *request);

/* How much content comes with a lease of REQUEST, in bytes. */
size_t store_inline_max(const struct store_request *request);

/* An empty message with an arena. */
struct store_message *store_message_new(void);
void store_message_free(struct store_message *message);

/* True for 1..STORE_ID_MAX letters, digits, "-", "_" and ".", no "." first. */
bool store_id_is_valid(struct str id);

/* True if the recipient domain DOMAIN is one of COUNT DOMAINS ("a.test", or
   "@a.test" for it and all below); no domains at all mean every one. */
bool store_domains_have(
    const struct str *domains, size_t count, struct str domain);

/* True if ADDRESS is WANTED, of which "" is any, "<>" the empty one, and
   "@a.test" any at that domain.  Domains in any case, local parts exactly. */
bool store_address_matches(struct str wanted, struct str address);
/* What the filter says of a message but its id. */
bool store_filter_has_message(const struct store_filter *filter,
    struct str sender, uint64_t arrival_ms, uint64_t size);
/* What it says of one row. */
bool store_filter_has_row(const struct store_filter *filter,
    struct str destination, struct str domain, struct str address);

/* The queue time at wall-clock time WALL_MS of a store that was just opened
   and left with INFO: what passed meanwhile counts where the wall clock tells
   of 0 to 30 days. */
uint64_t store_time_resumed(const struct store_info *info, uint64_t wall_ms);

/* True for at most STORE_REASON_MAX bytes without line ends and NULs. */
bool store_reason_is_valid(struct str reason);

/* True if MOVE and its fields are within their limits. */
bool store_move_is_valid(const struct store_move *moves, size_t count);
/* True if the message may be appended: id, counts, sizes, lengths. */
bool store_message_is_valid(const struct store_message *message);

#endif
