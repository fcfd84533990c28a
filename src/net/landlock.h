/* Landlock by its system calls: files, TCP ports and signals out of reach.  A
   kernel without it, or with an old one, walls off what it can: seccomp
   (net/sandbox.h) is the wall that is always there. */
#ifndef NET_LANDLOCK_H
#define NET_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* The first version that walls off a role with a directory: the one before
   forbids every move to another directory, which stores do all the time. */
#define LANDLOCK_VERSION_DIRECTORY 2

struct landlock_rights {
	bool is_connecting; /* TCP connect() stays possible */
	/* Files below these stay usable. */
	const int *directory_fds;
	size_t directory_count;
};

/* Restricts the calling thread and what it starts, for good; no_new_privs is
   set before.  0 (also where there is no Landlock) or -errno. */
int landlock_enter(const struct landlock_rights *rights)
    __attribute__((warn_unused_result));

/* The version of the kernel's Landlock; 0 = none. */
int landlock_version(void);

#endif
