/*
 * How a release of a held site is kept in the store, by what that remembers of
 * parked destinations (STORE_PARK): one that is held is never parked, and one
 * that is parked has failed at least once and not very often.
 *
 *	               due_ms                             failures
 *	all of it      when it was released               0
 *	some domains   1 + CRC-32C of the site's domains  2^31 + bits: number N
 *	                                                  for the domain N of it
 *
 * A part can be kept where it is whole entries of the first 31 of the site's
 * domains; else it is forgotten with the process.
 */
#ifndef ROLE_QUEUE_RELEASE_H
#define ROLE_QUEUE_RELEASE_H

#include "store/store.h"

#include <stdint.h>

#define QUEUE_RELEASE_PART    (UINT32_C(1) << 31)
#define QUEUE_RELEASE_ALL     UINT32_MAX /* in queue.released */
#define QUEUE_RELEASE_DOMAINS 31

/* How often the destination failed, as people are told it. */
static inline uint32_t
queue_release_failures(const struct store_destination *d)
{
	return (d->failures & QUEUE_RELEASE_PART) != 0 ? 0 : d->failures;
}

#endif
