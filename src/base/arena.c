/* Blocks of at least ARENA_BLOCK bytes, handed out from front to back; the
   first is small, since most arenas never need another, and the allocator has
   its quick ways for such sizes only. */
#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 960
#define ARENA_BLOCK 4096

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t capacity;
	alignas(max_align_t) char data[];
};

void
arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

void
arena_fini(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->used = 0;
}

void *
arena_new(struct arena *a, size_t size)
{
	size_t rounded, capacity;
	struct arena_block *block = a->blocks;
	size_t least = block == NULL ? ARENA_FIRST : ARENA_BLOCK;
	void *p;

	if (size > a->max || a->used > a->max - size)
		return NULL;
	rounded =
	    (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (block == NULL || block->capacity - block->used < rounded) {
		capacity = rounded > least ? rounded : least;
		block = mem_new(1, sizeof(*block) + capacity);
		block->capacity = capacity;
		block->next = a->blocks;
		a->blocks = block;
	}
	p = block->data + block->used;
	block->used += rounded;
	a->used += size;
	CHECK(block->used <= block->capacity);
	return p;
}

struct str
arena_copy(struct arena *a, struct str bytes)
{
	char *copy = arena_new(a, bytes.size + 1);

	if (copy == NULL)
		return str_of(NULL, 0);
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	return str_of(copy, bytes.size);
}
