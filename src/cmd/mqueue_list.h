/*
 * mailq of a queue in sendmail's format, in any number of directories.  Nothing
 * is changed and nothing is made there; whoever may read the directory may list
 * it.
 */
#ifndef CMD_MQUEUE_LIST_H
#define CMD_MQUEUE_LIST_H

#include "base/str.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_scan.h"
#include "cmd/sendmail_options.h"

/* Finds the directories that OPTIONS mean with DIRECTORY.  EX_OK; or, after it
   was printed, EX_CONFIG if the queue cannot be reached.  With *IS_NONE_OUT
   it was printed that there is no such queue group.  The caller calls
   mqueue_dirs_fini() in any case. */
int mqueue_list_dirs(const struct sendmail_options *options,
    struct str directory, struct mqueue_dirs *dirs, bool *is_none_out)
    __attribute__((warn_unused_result));

/* What OPTIONS ask for, as a scan takes it; the buffer is the caller's to
   free. */
struct mqueue_look mqueue_list_look(const struct sendmail_options *options);

/* Lists the queue DIRECTORY (as QueueDirectory says it): the exit status. */
int mqueue_list(const struct sendmail_options *options, struct str directory);

/* -bP: how many messages wait in each directory.  Like sendmail, which has the
   numbers in shared memory, it tells them only where SharedMemoryKey is set. */
int mqueue_list_counts(
    const struct sendmail_options *options, struct str directory);

#endif
