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
#include <uthash.h>

#endif
