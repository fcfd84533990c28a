/* Users, capabilities: what is given up, by whom, and for good. */
#ifndef NET_PRIVILEGE_H
#define NET_PRIVILEGE_H

#include "base/str.h"
#include "role/env.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct privilege_user {
	uid_t uid;
	gid_t gid;
};

/* Who a role runs as: the user CONFIGURED, by name or number (also the
   group's), or, where that is empty,
   `sendq-ROLE` if there is such a user, else a fixed number.  0, or -ENOENT:
   the configured user is not there (or is root). */
int privilege_user_of(enum role_kind kind, struct str configured,
    struct privilege_user *user_out) __attribute__((warn_unused_result));

/* "receive", ... */
const char *privilege_role_name(enum role_kind kind);

/* Becomes USER for good, without groups and capabilities.  A process that is
   not root keeps its user and drops the rest; with user 0 (files of root's) one
   that is root keeps that and no capability.  0 or -errno; a process that
   could not drop all of it must end. */
int privilege_drop(const struct privilege_user *user)
    __attribute__((warn_unused_result));
/* The same, but the capability to use files whatever their owner and mode are
   (CAP_DAC_OVERRIDE) is kept where it is there: only for a process that then
   enters Landlock, which says where these files are. */
int privilege_drop_but_files(const struct privilege_user *user)
    __attribute__((warn_unused_result));

/* For a process of root's that has taken another effective user and entered
   Landlock: may use files whatever their owner is, until it changes that user
   again.  0 or -errno. */
int privilege_use_files(void) __attribute__((warn_unused_result));

/* Becomes USER for good; capabilities go with the user id.  For processes that
   can change user but not their bounding set.  0 or -errno. */
int privilege_become(const struct privilege_user *user)
    __attribute__((warn_unused_result));

/* Keeps what starts and stops children: SETUID, SETGID, KILL,
   NET_BIND_SERVICE.  (SETPCAP stays in the bounding set, out of reach but for
   the program that a child executes, which drops the set with it; so does
   DAC_OVERRIDE with IS_FILES, for privilege_drop_but_files() there.)  Nothing
   happens in a process that is not root.  0 or -errno. */
int privilege_keep_master(bool is_files) __attribute__((warn_unused_result));
/* Keeps SETUID and SETGID; after privilege_keep_master(). */
int privilege_keep_spawner(void) __attribute__((warn_unused_result));

#endif
