/*
 * Short ways to make requests and to look at an engine, for the contract tests
 * and the tests of engines.
 */
#ifndef STORE_CONTRACT_KIT_H
#define STORE_CONTRACT_KIT_H

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIT_STATE_MAX (64 << 20)
/* Long enough to find a message that went to the wrong place. */
#define KIT_EXPIRE_MS 432000000

#define KIT_U(value)  (unsigned long long)(value)

struct store_contract_factory;

struct kit {
	const struct store_contract_factory *factory;
	struct store *store;
};

/* A recipient of kit_message(): "user@domain" at DESTINATION. */
struct kit_row {
	const char *address;
	const char *destination;
	bool is_held;
};

/* Carries out one request and looks at the invariants. */
struct store_request *kit_run(
    struct store *store, struct store_request *request);
/* Carries out REQUEST, frees it, returns its error. */
int kit_finish(struct store *store, struct store_request *request);
/* Closes the engine and opens it again; false if it keeps nothing. */
bool kit_reopen(struct kit *kit);
void kit_set_id(char to[STORE_ID_MAX + 1], const char *id);
/* SIZE bytes of content for ID from OFFSET on, new; every message differs. */
char *kit_content(const char *id, size_t offset, size_t size);
void kit_set_row(struct store_message *message, size_t i, const char *address,
    const char *destination, bool is_held);
/* A message without rows and without content. */
struct store_message *kit_message_bare(
    const char *id, uint64_t rank, size_t row_count);
void kit_set_content(struct store_message *message, size_t size);
/* A message of SIZE bytes with the ROWS up to one without an address. */
struct store_message *kit_message(
    const char *id, uint64_t rank, size_t size, const struct kit_row *rows);
/* COUNT recipients at one destination, not held. */
struct store_message *kit_message_wide(
    const char *id, uint64_t rank, const char *destination, size_t count);
int kit_append(struct store *store, struct store_message *message);
/* One message to one recipient "u@DESTINATION". */
void kit_append_one(struct store *store, const char *id, uint64_t rank,
    const char *destination, bool is_held);
int kit_stage(struct store *store, const char *id, size_t offset, size_t size);
int kit_unstage(struct store *store, const char *id);
/* DOMAINS end with NULL; NULL for all.  The request is to be freed. */
struct store_request *kit_take_domains(struct store *store,
    const char *destination, const char *const *domains, bool is_released,
    size_t count);
struct store_request *kit_take(struct store *store, const char *destination,
    bool is_released, size_t count);
/* Takes and compares with WANT, the ids with blanks between. */
void kit_expect_take(struct store *store, const char *destination,
    bool is_released, size_t count, const char *want);
/* A settle with COUNT results, not yet carried out. */
struct store_request *kit_settle_new(const char *id, const char *destination,
    const struct store_result *results, size_t count);
/* Settles one row and says whether the message is done. */
int kit_settle(struct store *store, const char *id, const char *destination,
    struct store_result result, bool *is_done_out);
int kit_change_filter(struct store *store, enum store_change change,
    bool is_dry, const struct store_filter *filter, size_t *changed_out,
    size_t *leased_out);
/* Holds the rows of the filter for REASON. */
int kit_hold(struct store *store, const struct store_filter *filter,
    const char *reason, size_t *changed_out, size_t *leased_out);
int kit_change(struct store *store, enum store_change change, const char *id,
    const char *destination, size_t *changed_out, size_t *leased_out);
int kit_park(struct store *store, const char *destination, uint64_t due_ms,
    uint32_t failures);
int kit_rehold(struct store *store, const char *destination);
int kit_clock(struct store *store, uint64_t queue_ms, uint64_t wall_ms);
/* All content of ID, block by block, into OUT: 0 or the error. */
int kit_read(struct store *store, const char *id, struct buf *out);
void kit_put(struct buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void kit_put_envelope(struct buf *out, const struct mail_envelope *e);
/* The messages of a filter, page by page, as text; the number of them. */
size_t kit_put_filter(struct store *store, struct buf *out,
    const struct store_filter *filter, size_t page);
size_t kit_put_find(struct store *store, struct buf *out, const char *id,
    const char *destination, size_t page);
/* The destinations, page by page, as text. */
void kit_put_destinations(struct store *store, struct buf *out, bool is_ready,
    uint64_t now_ms, size_t page);
/* All that can be seen of an engine but the content, as text. */
struct buf kit_state(struct store *store);
/* Both engines, or one before and after, look the same; frees the texts. */
void kit_expect_same(struct buf *a, struct buf *b);

#endif
