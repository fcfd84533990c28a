/*
 * The disk of the simulated os; shared by os_sim.c, which carries out calls,
 * os_sim_bytes.c, which keeps bytes, and os_sim_crash.c, which cuts the power.
 *
 * A file has the bytes that reads see (now), those that are on the disk for
 * sure (durable), and in between a list of writes in the order in which they
 * were made.  A directory has names in the same three forms.
 */
#ifndef OS_OS_SIM_DISK_H
#define OS_OS_SIM_DISK_H

#include "base/hash.h"
#include "os/os_sim.h"

#define SIM_BLOCK    4096
#define SIM_SECTOR   512
#define SIM_NAME_MAX 255

struct sim_block;

/* Bytes in blocks that copies share until one of them is written to; a block
   that is not there reads as zeros. */
struct sim_bytes {
	struct sim_block **blocks;
	size_t block_count; /* blocks that size needs */
	uint64_t size;
};

void sim_bytes_fini(struct sim_bytes *b);
/* TO becomes the same as FROM. */
void sim_bytes_copy(struct sim_bytes *to, const struct sim_bytes *from);
/* Cuts, or lengthens with zeros. */
void sim_bytes_resize(struct sim_bytes *b, uint64_t size);
/* Writes at OFFSET; gets longer if it must. */
void sim_bytes_write(
    struct sim_bytes *b, const char *data, size_t size, uint64_t offset);
/* Reads up to SIZE bytes at OFFSET; the count, 0 behind the end. */
size_t sim_bytes_read(
    const struct sim_bytes *b, char *data, size_t size, uint64_t offset);

/* A write, or a change of size, that no sync covers. */
struct sim_write {
	struct sim_write *prev, *next;
	uint64_t order; /* among all that is unsynced on the disk */
	bool is_resize;
	uint64_t offset; /* of the write, or the new size */
	size_t size;
	char *data;
};

struct sim_entry {
	UT_hash_handle hh; /* by name, in the order in which they were made */
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode;
};

/* A name that was made or removed, and no sync of the directory covers it. */
struct sim_naming {
	struct sim_naming *prev, *next;
	uint64_t order;
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode; /* NULL: removed */
};

struct sim_inode {
	struct sim_inode *prev, *next;
	bool is_directory;
	bool is_marked; /* while unused inodes are looked for */
	uint64_t number;
	size_t link_count; /* names that reads see */
	size_t open_count;
	uint64_t changed_ms; /* wall clock, of its bytes */
	struct os_file *locker;
	struct sim_bytes now, durable;
	struct sim_write *writes;
	struct sim_entry *names_now, *names_durable;
	struct sim_naming *namings;
	struct sim_inode *clone; /* while the disk is cloned */
};

struct os_sim {
	struct os os; /* first: a struct os * is one of these */
	struct sim_inode *inodes;
	struct sim_inode *root;
	struct os_file *files;
	uint64_t inode_last;
	uint64_t order_last;
	uint64_t sync_count; /* of directories */
	uint64_t random;
	uint64_t mono_ms, wall_ms;
	uint64_t room;
	uint64_t call_count;
	uint64_t fail_at; /* in terms of call_count; 0 = never */
	int fail_error;
	bool is_fail_sticky;
	bool is_sync_dropping;
	os_sim_hook_fn *hook;
	void *hook_arg;
};

/* The next number of a random sequence (splitmix64). */
static inline uint64_t
sim_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

struct sim_inode *sim_inode_new(struct os_sim *sim, bool is_directory);
/* The inode called NAME in a list, or NULL. */
struct sim_inode *sim_names_get(struct sim_entry *names, const char *name);
/* Lets NAME be INODE; NULL removes it. */
void sim_names_set(
    struct sim_entry **names, const char *name, struct sim_inode *inode);
/* Does WRITE, the first SIZE bytes of it, to BYTES. */
void sim_write_apply(
    struct sim_bytes *bytes, const struct sim_write *write, size_t size);

#endif
