/*
 * Leases: kept in memory only, one a message and destination.  What a batch
 * gave and ended can be undone while the batch is not durable.
 */
#ifndef STORE_SPOOL_SPOOL_LEASE_H
#define STORE_SPOOL_SPOOL_LEASE_H

#include "base/hash.h"
#include "store/store.h"

struct spool_lease {
	UT_hash_handle hh;
	struct spool_lease *next;     /* of those that ended */
	struct spool_lease *new_next; /* of those that are new */
	bool is_new;                  /* given by the batch at work */
	bool is_ended;                /* by the batch at work */
	const void *owner;            /* the request that it was given to */
	uint32_t indexes[STORE_LEASE_ROWS_MAX];
	size_t count;
	size_t name_size;
	char name[]; /* the message's key (8 bytes), the destination */
};

struct spool_leases {
	struct spool_lease *by_name; /* but for those that ended */
	struct spool_lease *ended;   /* by the batch at work */
	struct spool_lease *new;     /* given by it; some have ended, too */
};

/* The lease of the message at the destination, or NULL. */
struct spool_lease *spool_lease_get(
    struct spool_leases *leases, uint64_t key, struct str destination);
/* Makes one without rows for the request OWNER. */
struct spool_lease *spool_lease_begin(struct spool_leases *leases, uint64_t key,
    struct str destination, const void *owner);
/* Takes back what the batch at work gave to OWNER. */
void spool_lease_cancel(struct spool_leases *leases, const void *owner);
void spool_lease_end(struct spool_leases *leases, struct spool_lease *lease);
/* The batch is durable, or failed: then its leases are undone. */
void spool_lease_settle(struct spool_leases *leases, bool is_durable);
void spool_leases_fini(struct spool_leases *leases);

#endif
