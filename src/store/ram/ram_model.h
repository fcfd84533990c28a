/*
 * What the model engine keeps; shared by ram.c, which changes it, ram_take.c,
 * which gives leases and ends them, and ram_look.c, which only reads it.
 *
 * Invariants: (1) messages are in order of append, by ascending key; (2) each
 * has rows left; (3) a row is in WAITING if and only if it has a due time;
 * (4) a lease has rows of its destination, none of them removed.
 */
#ifndef STORE_RAM_RAM_MODEL_H
#define STORE_RAM_RAM_MODEL_H

#include "base/hash.h"
#include "os/os.h"
#include "store/store.h"

struct ram_row {
	struct store_row row;
	bool is_gone;
	enum store_lane lane;
	uint64_t due_ms;
	uint32_t attempts;
	bool is_told; /* the alarm is in row */
	char *status;
};

struct ram_lease {
	struct ram_lease *next;
	struct str destination;
	uint32_t rows[STORE_LEASE_ROWS_MAX];
	size_t row_count;
};

struct ram_message {
	struct ram_message *prev, *next;
	UT_hash_handle hh; /* by id */
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
	char *content;
	size_t content_size;
	struct ram_lease *leases;
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

struct ram {
	struct store store; /* first: a struct store * is one of these */
	struct os *os;
	struct ram_message *messages; /* a list in order of append */
	struct ram_message *by_id;
	struct ram_stage *stages;
	struct ram_park *parks;
	uint64_t key_last;
	uint64_t content_bytes; /* of all messages */
};

/* A row of a message, while a request collects and sorts some. */
struct ram_pick {
	struct ram_message *message;
	size_t index;
};

static inline int
ram_compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* The lane of a row that is not waiting and not stopped. */
enum store_lane ram_row_home(const struct ram_row *row);
void ram_row_set_lane(
    struct ram_row *row, enum store_lane lane, uint64_t due_ms);
/* Removes a row, and with the last one the message; true for that. */
bool ram_row_remove(struct ram *ram, struct ram_message *message, size_t index);

/* What ram_append() would answer: 0 or the error. */
int ram_append_check(struct ram *ram, const struct store_message *message);
/* Keeps a copy; ram_append_check() said 0. */
void ram_append(struct ram *ram, const struct store_message *from);

/* The lease of MESSAGE at DESTINATION, or NULL. */
struct ram_lease *ram_lease_find(
    const struct ram_message *message, struct str destination);

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

void ram_take(struct ram *ram, struct store_request *request);
void ram_alarm(struct ram *ram, struct store_request *request);
void ram_lease(struct ram *ram, struct store_request *request);
void ram_settle(struct ram *ram, struct store_request *request);
void ram_read(struct ram *ram, struct store_request *request);
void ram_count(struct ram *ram, struct store_request *request);
void ram_destinations(struct ram *ram, struct store_request *request);
void ram_find(struct ram *ram, struct store_request *request);
/* Asserts the invariants. */
void ram_check(struct store *store);

#endif
