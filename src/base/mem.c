/*
 * Small bounded allocations that end the process when memory is gone: the
 * master starts it again, and what was not acknowledged is asked for again.
 */
#include "base/mem.h"
#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The C library keeps small blocks that were freed for malloc() alone, and
   calloc() goes the long way. */
#define MEM_SMALL 1024

void *
mem_new(size_t count, size_t size)
{
	size_t bytes;
	void *p;

	CHECK(!__builtin_mul_overflow(
	    count ? count : 1, size ? size : 1, &bytes));
	if (bytes > MEM_SMALL) {
		p = calloc(bytes, 1);
	} else {
		p = malloc(bytes);
		if (p != NULL)
			memset(p, 0, bytes);
	}
	CHECK(p != NULL);
	return p;
}

void *
mem_resize(void *p, size_t count, size_t size)
{
	size_t bytes;

	CHECK(!__builtin_mul_overflow(count, size, &bytes));
	p = realloc(p, bytes ? bytes : 1);
	CHECK(p != NULL);
	return p;
}

char *
mem_copy_text(const char *data, size_t size)
{
	char *copy;

	CHECK(size < SIZE_MAX);
	copy = mem_new(size + 1, 1);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}
