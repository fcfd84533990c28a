/*
 * The power cut: a new disk from what is durable on the old one and some of
 * what is not.  Bytes that no unsynced write touched are never damaged: disks
 * and file systems keep them, and nothing could be built on one that does not.
 *
 * For loss by sectors each sector has a moment of its own, after so many of the
 * file's unsynced writes, at which it last went to the disk; so has the size.
 */
#include "base/check.h"
#include "base/mem.h"
#include "os/os_sim_disk.h"

#include <string.h>
#include <utlist.h>

struct sim_cut {
	struct os_sim *to;
	enum os_sim_crash how;
	uint64_t seed;
	uint64_t random;
	uint64_t order; /* ORDERED: the write that is torn */
};

/* The size of a file after all its unsynced writes. */
static uint64_t
sim_size_after(const struct sim_inode *inode, size_t write_count)
{
	uint64_t size = inode->durable.size;
	const struct sim_write *write;
	size_t i = 0;

	DL_FOREACH(inode->writes, write)
	{
		if (i++ == write_count)
			break;
		if (write->is_resize)
			size = write->offset;
		else if (write->size > 0 && write->offset + write->size > size)
			size = write->offset + write->size;
	}
	return size;
}

/* How many of COUNT writes had been made when sector number SECTOR last went
   to the disk: often none or all.  Always the same for the same sector. */
static size_t
sim_sector_moment(const struct sim_cut *cut, const struct sim_inode *inode,
    uint64_t sector, size_t count)
{
	uint64_t state = cut->seed ^ inode->number << 40 ^ sector;
	uint64_t value = sim_random(&state);

	switch (value & 3) {
	case 0:
		return 0;
	case 1:
		return count;
	}
	return (size_t)((value >> 2) % (count + 1));
}

/* The part of a write that lies in one sector, or garbage in its place. */
static void
sim_apply_part(struct sim_cut *cut, struct sim_bytes *to,
    const struct sim_write *write, uint64_t from, size_t size, bool is_garbage)
{
	char part[SIM_SECTOR];

	CHECK(size <= sizeof(part));
	memcpy(part, write->data + (from - write->offset), size);
	for (size_t i = 0; is_garbage && i < size; i++)
		part[i] = (char)sim_random(&cut->random);
	sim_bytes_write(to, part, size, from);
}

/* Cuts TO at SIZE as far as the sectors' moments are behind write INDEX. */
static void
sim_apply_resize(struct sim_cut *cut, const struct sim_inode *inode,
    struct sim_bytes *to, uint64_t size, size_t index, size_t count)
{
	static const char zeros[SIM_SECTOR];

	while (size < to->size) {
		size_t n = SIM_SECTOR - size % SIM_SECTOR;

		if (n > to->size - size)
			n = (size_t)(to->size - size);
		if (index <
		    sim_sector_moment(cut, inode, size / SIM_SECTOR, count))
			sim_bytes_write(to, zeros, n, size);
		size += n;
	}
}

static void
sim_apply_sectors(
    struct sim_cut *cut, const struct sim_inode *inode, struct sim_bytes *to)
{
	size_t count = 0, index = 0;
	const struct sim_write *write;

	DL_COUNT(inode->writes, write, count);
	DL_FOREACH(inode->writes, write)
	{
		uint64_t at = write->offset, end = at + write->size;

		if (write->is_resize)
			sim_apply_resize(cut, inode, to, at, index, count);
		while (!write->is_resize && at < end) {
			size_t n = SIM_SECTOR - at % SIM_SECTOR;
			size_t moment = sim_sector_moment(
			    cut, inode, at / SIM_SECTOR, count);
			bool is_garbage = cut->how == OS_SIM_CRASH_GARBAGE &&
			                  sim_random(&cut->random) % 3 == 0;

			if (n > end - at)
				n = (size_t)(end - at);
			if (index < moment || is_garbage)
				sim_apply_part(
				    cut, to, write, at, n, is_garbage);
			at += n;
		}
		index++;
	}
	/* No sector has the number UINT64_MAX: that is the size. */
	index = sim_sector_moment(cut, inode, UINT64_MAX, count);
	sim_bytes_resize(to, sim_size_after(inode, index));
}

/* All writes before the cut, and of the one at the cut a part. */
static void
sim_apply_ordered(
    struct sim_cut *cut, const struct sim_inode *inode, struct sim_bytes *to)
{
	const struct sim_write *write;

	DL_FOREACH(inode->writes, write)
	{
		size_t size = write->size;

		if (write->order > cut->order)
			return;
		/* Torn, and now and then not begun. */
		if (write->order == cut->order)
			size = sim_random(&cut->random) % 4 == 0
			           ? 0
			           : (size_t)(sim_random(&cut->random) %
					      (size + 1));
		if (write->order < cut->order || !write->is_resize)
			sim_write_apply(to, write, size);
	}
}

/* What the cut leaves of the bytes of a file. */
static void
sim_cut_bytes(
    struct sim_cut *cut, const struct sim_inode *inode, struct sim_bytes *to)
{
	const struct sim_write *write;
	uint64_t size = sim_size_after(inode, SIZE_MAX);

	sim_bytes_copy(to, &inode->durable);
	switch (cut->how) {
	case OS_SIM_CRASH_LOST:
	case OS_SIM_CRASH_NAMES:
	case OS_SIM_CRASHES:
		return;
	case OS_SIM_CRASH_KEPT:
	case OS_SIM_CRASH_CONTENT:
		DL_FOREACH(inode->writes, write)
		sim_write_apply(to, write, write->size);
		return;
	case OS_SIM_CRASH_SUBSET:
	case OS_SIM_CRASH_GARBAGE:
		sim_apply_sectors(cut, inode, to);
		return;
	case OS_SIM_CRASH_ORDERED:
		sim_apply_ordered(cut, inode, to);
		return;
	case OS_SIM_CRASH_EXTENDED:
		if (size > to->size)
			sim_bytes_resize(to, size);
	}
}

/* True if the cut leaves this change of a name. */
static bool
sim_cut_keeps_name(struct sim_cut *cut, const struct sim_naming *naming)
{
	switch (cut->how) {
	case OS_SIM_CRASH_LOST:
	case OS_SIM_CRASHES:
		return false;
	case OS_SIM_CRASH_KEPT:
	case OS_SIM_CRASH_EXTENDED:
		return true;
	case OS_SIM_CRASH_SUBSET:
	case OS_SIM_CRASH_GARBAGE:
	case OS_SIM_CRASH_NAMES:
	case OS_SIM_CRASH_CONTENT:
		return sim_random(&cut->random) % 2 > 0;
	case OS_SIM_CRASH_ORDERED:
		return naming->order < cut->order;
	}
	return false;
}

static struct sim_inode *sim_cut_inode(
    struct sim_cut *cut, struct sim_inode *inode);

/* What the cut leaves of the names of a directory, and of what they name;
   a directory has only files in it unless it is the root. */
static void
sim_cut_names(
    struct sim_cut *cut, const struct sim_inode *inode, struct sim_inode *to)
{
	struct sim_entry *entry, *next;
	struct sim_naming *naming;

	HASH_ITER(hh, inode->names_durable, entry, next)
	sim_names_set(&to->names_now, entry->name, entry->inode);
	DL_FOREACH(inode->namings, naming)
	if (sim_cut_keeps_name(cut, naming))
		sim_names_set(&to->names_now, naming->name, naming->inode);
	HASH_ITER(hh, to->names_now, entry, next)
	{
		entry->inode = sim_cut_inode(cut, entry->inode);
		entry->inode->link_count++;
		sim_names_set(&to->names_durable, entry->name, entry->inode);
	}
}

/* The clone of an inode, made at the first name that leads to it. */
static struct sim_inode *
sim_cut_inode(struct sim_cut *cut, struct sim_inode *inode)
{
	if (inode->clone != NULL)
		return inode->clone;
	inode->clone = sim_inode_new(cut->to, inode->is_directory);
	inode->clone->changed_ms = inode->changed_ms;
	if (inode->is_directory)
		sim_cut_names(cut, inode, inode->clone);
	else {
		sim_cut_bytes(cut, inode, &inode->clone->durable);
		sim_bytes_copy(&inode->clone->now, &inode->clone->durable);
	}
	return inode->clone;
}

/* The place of the cut in the order of all that is unsynced: from before the
   first to behind the last. */
static uint64_t
sim_cut_order(struct sim_cut *cut, const struct os_sim *sim)
{
	uint64_t first = sim->order_last + 1;
	const struct sim_inode *inode;

	DL_FOREACH(sim->inodes, inode)
	{
		if (inode->writes != NULL && inode->writes->order < first)
			first = inode->writes->order;
		if (inode->namings != NULL && inode->namings->order < first)
			first = inode->namings->order;
	}
	return first + sim_random(&cut->random) % (sim->order_last + 2 - first);
}

struct os *
os_sim_crash(struct os *os, enum os_sim_crash how, uint64_t seed)
{
	struct os_sim *sim = (struct os_sim *)(void *)os;
	struct os *to = os_sim_new(seed);
	struct sim_cut cut = {.to = (struct os_sim *)(void *)to,
	    .how = how,
	    .seed = seed * UINT64_C(0x2545f4914f6cdd1d),
	    .random = seed};
	struct sim_inode *inode;

	CHECK(how < OS_SIM_CRASHES);
	cut.order = sim_cut_order(&cut, sim);
	cut.to->mono_ms = sim->mono_ms;
	cut.to->wall_ms = sim->wall_ms;
	DL_FOREACH(sim->inodes, inode)
	inode->clone = NULL;
	sim->root->clone = cut.to->root;
	sim_cut_names(&cut, sim->root, cut.to->root);
	return to;
}
