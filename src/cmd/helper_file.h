/* A helper: one message added to one file that an alias names. */
#ifndef CMD_HELPER_FILE_H
#define CMD_HELPER_FILE_H

#include "mail/alias.h"
#include "net/privilege.h"

#define HELPER_LOCK_MS  60000  /* the longest that a lock is waited for */
#define HELPER_STALE_MS 300000 /* the age at which a lock file is nobody's */

/* Works for the deliver role at FD, as USER; the exit status.  Called in a
   process of its own that has no other descriptors. */
int helper_file_main(
    const struct alias_local *local, const struct privilege_user *user, int fd);

#endif
