/*
 * Memory that is freed whole: many small copies that live as long as one
 * request, one message, one transaction.  Bounded by a maximum.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes handed out in all */
	size_t max;
};

void arena_init(struct arena *a, size_t max);
/* Frees all that was handed out; the arena is empty and usable. */
void arena_fini(struct arena *a);

/* SIZE zeroed bytes, aligned for any type, or NULL over the maximum. */
void *arena_new(struct arena *a, size_t size)
    __attribute__((warn_unused_result));
/* A copy of BYTES with a NUL behind it; data is NULL over the maximum. */
struct str arena_copy(struct arena *a, struct str bytes)
    __attribute__((warn_unused_result));

#endif
