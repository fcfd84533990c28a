/*
 * What looks at a queue and marks what is in it: mailq, sendmail -bp, -bP, -Q,
 * hoststat and purgestat.
 *
 * The queue is the directory that -oQ (QueueDirectory) names, else the spool of
 * the configuration.  It is one of sendmail's unless it is one of our spools,
 * which are known by their lock and log.  For one of sendmail's no
 * configuration is needed.
 */
#ifndef CMD_SENDMAIL_PRINT_H
#define CMD_SENDMAIL_PRINT_H

#include "cmd/sendmail_options.h"

/* Does what OPTIONS->mode asks for (PRINT, COUNT, QUARANTINE, HOSTSTAT,
   PURGESTAT): the exit status. */
int sendmail_print(const struct sendmail_options *options);

#endif
