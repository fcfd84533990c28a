/*
 * Small bounded allocations that end the process when memory is gone: the
 * master starts it again, and what was not acknowledged is asked for again.
 */
#include "base/mem.h"
#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *
mem_new(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

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
