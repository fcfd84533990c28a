/* A helper: one message for one program that an alias names. */
#ifndef CMD_HELPER_PROGRAM_H
#define CMD_HELPER_PROGRAM_H

#include "mail/alias.h"
#include "net/privilege.h"

#include <stdint.h>

#define HELPER_KILL_MS    2000      /* between asking it to end and ending it */
#define HELPER_OUTPUT_MAX (1 << 20) /* bytes that it may write */
#define HELPER_FILES_MAX  1024      /* descriptors that it may have */

/* Works for the deliver role at FD, as USER; the program may run for TIME_MS.
   The exit status.  Called in a process of its own that has no other
   descriptors. */
int helper_program_main(const struct alias_local *local,
    const struct privilege_user *user, uint64_t time_ms, int fd);

#endif
