/*
 * What a run of a queue in sendmail's format cannot send, in sendmail's words:
 * control files that are damaged, those without their data file, and what is no
 * file.  Nothing is changed in the directory; what becomes of them is the
 * store's to say (store/mqueue), and it is asked afterwards.
 */
#ifndef CMD_RUN_DAMAGE_H
#define CMD_RUN_DAMAGE_H

#include "base/str.h"
#include "cmd/sendmail_options.h"

/* Prints them, of those that OPTIONS select in the queue DIRECTORY, and
   "Running DIR/ID" before each where the run is verbose.  The exit status that
   they are worth: EX_OK where there are none, EX_SOFTWARE, EX_OSERR (no data
   file). */
int run_damage_tell(
    const struct sendmail_options *options, struct str directory);

#endif
