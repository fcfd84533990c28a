/*
 * What each role may do after its entry, as one table of rights; everything
 * else kills the process.  In order: net/privilege.h, then sandbox_lock(), then
 * threads, then sandbox_seal().
 */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#include "role/env.h"

#include <stdbool.h>
#include <sys/types.h>

/* Landlock, no dumps, no core files.  DIRECTORY_FD is what the queue role,
   the pickup role and helpers work in, -1 for others.  Threads made later share
   it.  0 or -errno. */
int sandbox_lock(enum role_kind kind, int directory_fd)
    __attribute__((warn_unused_result));
/* The same with any number of directories. */
int sandbox_lock_in(enum role_kind kind, const int *directory_fds,
    size_t directory_count) __attribute__((warn_unused_result));

/* No new processes, and only the system calls of the role, in all threads. */
int sandbox_seal(enum role_kind kind) __attribute__((warn_unused_result));
/* The same for ROLE_WATCHER, which may also signal its child CHILD and the
   process group of that. */
int sandbox_seal_watcher(pid_t child) __attribute__((warn_unused_result));

/* For what starts programs of others: all system calls but those by which the
   machine, the kernel or another process would be changed, here and in all that
   comes of it; those give -EPERM.  0 or -errno. */
int sandbox_fence(void) __attribute__((warn_unused_result));

/* False in the sanitizers' builds: their reports open files, trace the process
   and make threads, so that only users and capabilities are dropped there. */
bool sandbox_is_walled(void);

#endif
