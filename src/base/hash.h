/*
 * uthash (hash tables of structs that embed their handle) with the house's end
 * for a process that has no memory left.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/check.h"
#include "base/mem.h"

#define uthash_malloc(size)   mem_new(1, size)
#define uthash_fatal(message) CHECK(!message)
/* A function where uthash would repeat its text at each use. */
#define HASH_FUNCTION(key, size, hash) ((hash) = hash_of(key, size))
#include <uthash.h>

static inline unsigned
hash_of(const void *key, size_t size)
{
	unsigned hash;

	HASH_JEN(key, size, hash);
	return hash;
}

#endif
