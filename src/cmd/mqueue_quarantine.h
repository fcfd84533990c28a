/*
 * -Q on a queue in sendmail's format: a message is put into quarantine (qf
 * becomes hf, with a q line that has the reason), taken out again, or given
 * another reason.
 */
#ifndef CMD_MQUEUE_QUARANTINE_H
#define CMD_MQUEUE_QUARANTINE_H

#include "base/str.h"
#include "cmd/sendmail_options.h"

/* Carries out -Q of OPTIONS in the queue DIRECTORY; what is locked or damaged
   is passed over and named.  The exit status. */
int mqueue_quarantine(
    const struct sendmail_options *options, struct str directory);

#endif
