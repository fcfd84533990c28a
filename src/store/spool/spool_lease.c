/* Leases; see spool_lease.h. */
#include "store/spool/spool_lease.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LEASE_NAME_MAX (8 + STORE_DESTINATION_MAX)

/* Writes the name of a lease; its size, or 0 if there can be none. */
static size_t
lease_name(char name[LEASE_NAME_MAX], uint64_t key, struct str destination)
{
	if (destination.size > STORE_DESTINATION_MAX)
		return 0;
	memcpy(name, &key, sizeof(key));
	if (destination.size > 0)
		memcpy(name + sizeof(key), destination.data, destination.size);
	return sizeof(key) + destination.size;
}

struct spool_lease *
spool_lease_get(
    struct spool_leases *leases, uint64_t key, struct str destination)
{
	char name[LEASE_NAME_MAX];
	size_t size = lease_name(name, key, destination);
	struct spool_lease *lease = NULL;

	if (size > 0)
		HASH_FIND(hh, leases->by_name, name, size, lease);
	return lease;
}

static void
lease_insert(struct spool_leases *leases, struct spool_lease *lease)
{
	HASH_ADD_KEYPTR(
	    hh, leases->by_name, lease->name, lease->name_size, lease);
}

struct spool_lease *
spool_lease_begin(struct spool_leases *leases, uint64_t key,
    struct str destination, const void *owner)
{
	struct spool_lease *lease = mem_new(1, sizeof(*lease) + LEASE_NAME_MAX);

	lease->name_size = lease_name(lease->name, key, destination);
	lease->is_new = true;
	lease->owner = owner;
	LL_PREPEND2(leases->new, lease, new_next);
	lease_insert(leases, lease);
	return lease;
}

void
spool_lease_cancel(struct spool_leases *leases, const void *owner)
{
	struct spool_lease *lease, *next;

	LL_FOREACH_SAFE2(leases->new, lease, next, new_next)
	{
		if (lease->owner != owner)
			continue;
		CHECK(!lease->is_ended);
		LL_DELETE2(leases->new, lease, new_next);
		HASH_DEL(leases->by_name, lease);
		free(lease);
	}
}

void
spool_lease_end(struct spool_leases *leases, struct spool_lease *lease)
{
	HASH_DEL(leases->by_name, lease);
	lease->is_ended = true;
	LL_PREPEND(leases->ended, lease);
}

/* Those that are new stay, or were never there. */
static void
lease_settle_new(struct spool_leases *leases, bool is_durable)
{
	struct spool_lease *lease, *next;

	LL_FOREACH_SAFE2(leases->new, lease, next, new_next)
	{
		lease->is_new = false;
		if (is_durable && !lease->is_ended)
			continue;
		if (!lease->is_ended)
			HASH_DEL(leases->by_name, lease);
		free(lease);
	}
	leases->new = NULL;
}

void
spool_lease_settle(struct spool_leases *leases, bool is_durable)
{
	struct spool_lease *lease, *next;

	LL_FOREACH_SAFE(leases->ended, lease, next)
	{
		/* Those that are new are freed below. */
		if (lease->is_new)
			continue;
		if (is_durable) {
			free(lease);
			continue;
		}
		lease->is_ended = false;
		lease_insert(leases, lease);
	}
	leases->ended = NULL;
	lease_settle_new(leases, is_durable);
}

void
spool_leases_fini(struct spool_leases *leases)
{
	struct spool_lease *lease, *next;

	spool_lease_settle(leases, true);
	HASH_ITER(hh, leases->by_name, lease, next)
	{
		HASH_DEL(leases->by_name, lease);
		free(lease);
	}
}
