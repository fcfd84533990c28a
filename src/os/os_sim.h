/*
 * A simulated os: files and directories in memory, of which only what was
 * synced is sure; a pretend clock; seeded random.  At any moment it can be
 * cloned as a power cut would leave the disk, and any call can be made to fail.
 * The same seed and the same calls give the same results.
 *
 * What is durable: the bytes and the size of a file by its sync or datasync;
 * a name made, moved or removed by the sync of its directory.  A file whose
 * name is not durable is lost with all its bytes.
 */
#ifndef OS_OS_SIM_H
#define OS_OS_SIM_H

#include "os/os.h"

/* What a power cut leaves of that which was not synced. */
enum os_sim_crash {
	OS_SIM_CRASH_LOST,     /* nothing of it */
	OS_SIM_CRASH_KEPT,     /* all of it */
	OS_SIM_CRASH_SUBSET,   /* any 512-byte sectors; any names */
	OS_SIM_CRASH_ORDERED,  /* what was done first, the last write torn */
	OS_SIM_CRASH_GARBAGE,  /* any sectors, some filled with garbage */
	OS_SIM_CRASH_EXTENDED, /* files as long as they were, with zeros */
	OS_SIM_CRASH_NAMES,    /* no bytes, but any names */
	OS_SIM_CRASH_CONTENT,  /* all bytes, but any names */
	OS_SIM_CRASHES
};

/* An os with an empty root.  SEED is for os_random(). */
struct os *os_sim_new(uint64_t seed);

/* A new os with the disk of OS as power cut HOW leaves it.  OS goes on.  The
   clone has the same clock, and no fault, limit or hook of OS. */
struct os *os_sim_crash(struct os *os, enum os_sim_crash how, uint64_t seed);

/* Lets the N-th call from now (1 = the next) that can fail return ERROR
   (-errno); with IS_STICKY each one after it too.  N = 0 ends that.  A call
   that fails changes nothing, but a write has written its first half. */
void os_sim_fail_at(struct os *os, uint64_t n, int error, bool is_sticky);

/* What a failed sync of a file does: false (as at first), its writes stay
   unsynced; true, they never reach the disk, yet reads show them and the next
   sync says 0, as Linux does. */
void os_sim_set_sync_drops(struct os *os, bool is_dropped);

/* Bytes that files may still grow by, else -ENOSPC; UINT64_MAX = no limit.
   What is unlinked or truncated comes back. */
void os_sim_set_room(struct os *os, uint64_t bytes);

/* Calls so far that can fail. */
uint64_t os_sim_calls(struct os *os);

/* FN is called with ARG before each call that changes the disk; it may clone
   OS but not call it otherwise. */
typedef void os_sim_hook_fn(void *arg, struct os *os);
void os_sim_set_hook(struct os *os, os_sim_hook_fn *fn, void *arg);

/* Damages what is durable in a file, as a bad disk does: flips the lowest bit
   of the byte at OFFSET.  0 or -ENOENT, -EINVAL. */
int os_sim_flip(struct os *os, const char *name, uint64_t offset);

/* Both clocks go on by MS. */
void os_sim_advance(struct os *os, uint64_t ms);
/* Sets the wall clock alone. */
void os_sim_set_wall(struct os *os, uint64_t wall_ms);

#endif
