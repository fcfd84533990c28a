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

struct run_damage;

/* Before the run: prints those that OPTIONS select in the queue DIRECTORY, and
   "Running DIR/ID" before each where the run is verbose.  Of a silent run of
   all that waits they are printed when it is over. */
struct run_damage *run_damage_begin(
    const struct sendmail_options *options, struct str directory);
/* After it: the exit status that they are worth: EX_OK where there are none,
   EX_SOFTWARE, EX_OSERR (no data file).  RUN is freed; NULL is fine. */
int run_damage_end(struct run_damage *run);

#endif
