/* Bytes of simulated files.  Invariants: a block that is shared is never
   written; what a block has behind the size is zero. */
#include "base/check.h"
#include "base/mem.h"
#include "os/os_sim_disk.h"

#include <stdlib.h>
#include <string.h>

struct sim_block {
	size_t user_count;
	char data[SIM_BLOCK];
};

static void
sim_block_drop(struct sim_block **block)
{
	if (*block != NULL && --(*block)->user_count == 0)
		free(*block);
	*block = NULL;
}

/* The block for writing to: its own, made if it was not there. */
static struct sim_block *
sim_block_own(struct sim_block **block)
{
	struct sim_block *own;

	if (*block != NULL && (*block)->user_count == 1)
		return *block;
	own = mem_new(1, sizeof(*own));
	own->user_count = 1;
	if (*block != NULL)
		memcpy(own->data, (*block)->data, SIM_BLOCK);
	sim_block_drop(block);
	return *block = own;
}

void
sim_bytes_fini(struct sim_bytes *b)
{
	for (size_t i = 0; i < b->block_count; i++)
		sim_block_drop(&b->blocks[i]);
	free(b->blocks);
	*b = (struct sim_bytes){0};
}

void
sim_bytes_copy(struct sim_bytes *to, const struct sim_bytes *from)
{
	CHECK(to != from);
	sim_bytes_fini(to);
	to->size = from->size;
	to->block_count = from->block_count;
	to->blocks = mem_new(from->block_count, sizeof(*to->blocks));
	for (size_t i = 0; i < from->block_count; i++) {
		to->blocks[i] = from->blocks[i];
		if (to->blocks[i] != NULL)
			to->blocks[i]->user_count++;
	}
}

void
sim_bytes_resize(struct sim_bytes *b, uint64_t size)
{
	size_t count = (size_t)(size / SIM_BLOCK + (size % SIM_BLOCK > 0));

	for (size_t i = count; i < b->block_count; i++)
		sim_block_drop(&b->blocks[i]);
	b->blocks = mem_resize(b->blocks, count, sizeof(*b->blocks));
	for (size_t i = b->block_count; i < count; i++)
		b->blocks[i] = NULL;
	b->block_count = count;
	if (size < b->size && size % SIM_BLOCK > 0 &&
	    b->blocks[count - 1] != NULL)
		memset(sim_block_own(&b->blocks[count - 1])->data +
			   size % SIM_BLOCK,
		    0, SIM_BLOCK - size % SIM_BLOCK);
	b->size = size;
}

void
sim_bytes_write(
    struct sim_bytes *b, const char *data, size_t size, uint64_t offset)
{
	if (size > 0 && offset + size > b->size)
		sim_bytes_resize(b, offset + size);
	while (size > 0) {
		size_t at = offset % SIM_BLOCK, n = SIM_BLOCK - at;

		if (n > size)
			n = size;
		memcpy(sim_block_own(&b->blocks[offset / SIM_BLOCK])->data + at,
		    data, n);
		data += n;
		offset += n;
		size -= n;
	}
}

size_t
sim_bytes_read(
    const struct sim_bytes *b, char *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (offset >= b->size)
		return 0;
	if (size > b->size - offset)
		size = (size_t)(b->size - offset);
	while (done < size) {
		size_t at = offset % SIM_BLOCK, n = SIM_BLOCK - at;
		const struct sim_block *block = b->blocks[offset / SIM_BLOCK];

		if (n > size - done)
			n = size - done;
		if (block != NULL)
			memcpy(data + done, block->data + at, n);
		else
			memset(data + done, 0, n);
		done += n;
		offset += n;
	}
	return done;
}
