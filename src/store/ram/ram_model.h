/*
 * What the model engine keeps; shared by ram.c, which carries requests out,
 * ram_index.c, which keeps it in order, ram_take.c, which gives leases and ends
 * them, and ram_look.c, which only reads it.
 *
 * An engine that keeps messages elsewhere can use all of this as its index: it
 * sets a keeper, which has the content and is told what changes.
 *
 * Invariants: (1) messages are in order of append, by ascending key; (2) each
 * has rows left; (3) a row is in WAITING if and only if it has a due time;
 * (4) a lease has rows of its destination, none of them removed; (5) a row that
 * is not gone is in the tree of its lane, in by_due if it is in WAITING, in
 * by_alarm if it has an alarm and is not in STOPPED; (6) a spot has rows.
 */
#ifndef STORE_RAM_RAM_MODEL_H
#define STORE_RAM_RAM_MODEL_H

#include "base/hash.h"
#include "base/tree.h"
#include "os/os.h"
#include "store/store.h"

struct ram_message;

struct ram_row {
	struct store_row row; /* the destination's name is not its own */
	struct ram_message *message;
	uint32_t index;
	bool is_gone;
	enum store_lane lane;
	uint64_t due_ms;
	uint32_t attempts;
	bool is_told; /* the alarm is in row */
	char *status;
	struct ram_spot *spot;
	struct tree_node in_lane, in_due, in_alarm;
};

struct ram_lease {
	uint32_t rows[STORE_LEASE_ROWS_MAX];
	size_t row_count;
};

/* The rows of one message at one destination. */
struct ram_spot {
	struct ram_spot *next; /* of the message */
	struct ram_message *message;
	struct ram_destination *destination;
	size_t row_count; /* queued */
	struct ram_lease *lease;
	struct tree_node in_spots;
};

/* One that has rows. */
struct ram_destination {
	UT_hash_handle hh;
	struct str name;                /* with a NUL behind it; its own */
	struct tree lanes[STORE_LANES]; /* rows by place, message, index */
	struct tree spots;              /* by arrival */
	uint64_t bytes;                 /* of its messages */
	struct tree_node in_names;
};

struct ram_message {
	struct ram_message *prev, *next;
	UT_hash_handle hh; /* by id */
	struct tree_node in_keys;
	uint64_t key;
	char id[STORE_ID_MAX + 1];
	struct arena arena;
	struct mail_envelope envelope;
	uint64_t arrival_ms;
	uint64_t arrival_wall_ms;
	uint64_t expire_ms;
	uint64_t rank;
	struct ram_row *rows;
	size_t row_count;
	size_t left_count; /* rows that are not gone */
	struct ram_spot *spots;
	size_t lease_count;
	char *reason;  /* why rows of it are stopped; NULL = nobody said */
	char *content; /* NULL with a keeper */
	uint64_t content_size;
	void *entry; /* the keeper's */
};

/* Content that came before its message. */
struct ram_stage {
	UT_hash_handle hh;
	char id[STORE_ID_MAX + 1];
	char *bytes;
	size_t size;
};

/* A destination that is not to be tried before due_ms. */
struct ram_park {
	UT_hash_handle hh;
	char *name;
	uint64_t due_ms;
	uint32_t failures;
};

/* Who has the content, and makes changes durable. */
struct ram_keeper {
	/* SIZE bytes of content at OFFSET, all of them there: 0 or -errno. */
	int (*read)(void *arg, struct ram_message *message, uint64_t offset,
	    size_t size, char *to);
	/* Before a row is leased or changed; false: not now, it is passed over
	   as if it were leased already.  It may change the size, no more. */
	bool (*hold)(void *arg, struct ram_message *message);
	/* Rows have changed; more may change before the request ends. */
	void (*changed)(void *arg, struct ram_message *message);
	/* The last row is gone; what the keeper has of it is forgotten. */
	void (*removed)(void *arg, struct ram_message *message);
};

struct ram {
	struct store store; /* first: a struct store * is one of these */
	struct os *os;
	const struct ram_keeper *keeper; /* or NULL */
	void *keeper_arg;
	struct ram_message *messages; /* a list in order of append */
	struct ram_message *by_id;
	struct ram_stage *stages;
	struct ram_park *parks;
	struct ram_destination *destinations; /* by name, hashed */
	struct tree by_name;                  /* destinations */
	struct tree by_key;                   /* messages */
	struct tree by_due;                   /* rows in WAITING */
	struct tree by_alarm; /* rows with an alarm, but those in STOPPED */
	uint64_t key_last;
	uint64_t content_bytes; /* of all messages */
};

static inline int
ram_compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* ram.c: what is called for requests of an engine for a keeper, which is made
   by store_ram_new() and ended by its close. */
struct ram *ram_of(struct store *store);
void ram_do(struct ram *ram, struct store_request *request);
struct store_totals ram_totals(struct ram *ram);
/* What ram_append() would answer: 0 or the error. */
int ram_append_check(struct ram *ram, const struct store_message *message);
/* Keeps a copy; ram_append_check() said 0.  With a keeper the content is its
   own.  KEY is its place in the order of append, or the next that is free; 0 =
   the last.  The message is the engine's. */
struct ram_message *ram_append(
    struct ram *ram, const struct store_message *from, uint64_t key);
/* Gives MESSAGE its reason; empty = none. */
void ram_set_reason(struct ram_message *message, struct str reason);
/* Forgets a message without leases; the keeper is not told. */
void ram_forget(struct ram *ram, struct ram_message *message);
/* Asks the keeper, if there is one. */
bool ram_hold(struct ram *ram, struct ram_message *message);
void ram_changed(struct ram *ram, struct ram_message *message);

/* ram_index.c */
void ram_index_init(struct ram *ram);
/* Gives MESSAGE its key and its place among the others. */
void ram_message_begin(
    struct ram *ram, struct ram_message *message, uint64_t key);
void ram_message_end(struct ram *ram, struct ram_message *message);
/* The destination called NAME, or NULL. */
struct ram_destination *ram_destination_find(
    const struct ram *ram, struct str name);
/* The first row of MESSAGE at DESTINATION makes the spot. */
void ram_row_begin(struct ram *ram, struct ram_row *row, struct str destination,
    enum store_lane lane, uint64_t due_ms);
void ram_row_end(struct ram *ram, struct ram_row *row);
/* The lane of a row that is not waiting and not stopped. */
enum store_lane ram_row_home(const struct ram_row *row);
void ram_row_set_lane(struct ram *ram, struct ram_row *row,
    enum store_lane lane, uint64_t due_ms);
void ram_row_set_alarm(
    struct ram *ram, struct ram_row *row, uint64_t alarm_ms, bool is_told);
void ram_message_set_size(
    struct ram *ram, struct ram_message *message, uint64_t size);
/* The rows of MESSAGE at DESTINATION, or NULL. */
struct ram_spot *ram_spot_find(
    const struct ram_message *message, struct str destination);
/* Removes a row, and with the last one the message; true for that. */
bool ram_row_remove(struct ram *ram, struct ram_row *row);
void ram_index_check(const struct ram *ram);

/* True if MESSAGE is leased at DESTINATION. */
bool ram_is_leased(const struct ram_message *message, struct str destination);

/* True if the row is queued, at DESTINATION and of one of the domains; with
   no domains, of any. */
bool ram_row_matches(const struct ram_row *row, struct str destination,
    const struct str *domains, size_t domain_count);

/* True if the row is queued and of the filter, whose id is looked at by
   ram_filter_has(). */
bool ram_filter_has_row(
    const struct store_filter *filter, const struct ram_row *row);
bool ram_filter_has(
    const struct store_filter *filter, const struct ram_message *message);
/* The first message behind AFTER_KEY that may be of the filter, and the next
   one behind MESSAGE; NULL at the end. */
struct ram_message *ram_filter_first(const struct ram *ram,
    const struct store_filter *filter, uint64_t after_key);
struct ram_message *ram_filter_next(
    const struct store_filter *filter, const struct ram_message *message);

void ram_take(struct ram *ram, struct store_request *request);
void ram_alarm(struct ram *ram, struct store_request *request);
void ram_lease(struct ram *ram, struct store_request *request);
/* What ram_settle() would answer, but for its DSN where there is a keeper. */
int ram_settle_check(struct ram *ram, const struct store_request *request);
void ram_settle(struct ram *ram, struct store_request *request);
void ram_read(struct ram *ram, struct store_request *request);
void ram_count(struct ram *ram, struct store_request *request);
void ram_destinations(struct ram *ram, struct store_request *request);
void ram_find(struct ram *ram, struct store_request *request);
/* Asserts the invariants. */
void ram_check(struct store *store);

#endif
