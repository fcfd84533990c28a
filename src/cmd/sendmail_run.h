/*
 * sendmail -q... and -bd: queue runs, and the daemon.
 *
 * A run is the queue role's (role/queue_run.h).  Where a daemon has the queue
 * it is asked; else one is started that has no listeners, does the run and
 * ends.
 */
#ifndef CMD_SENDMAIL_RUN_H
#define CMD_SENDMAIL_RUN_H

#include "cmd/sendmail_options.h"

/* Does what OPTIONS->mode asks for (RUN, DAEMON, FOREGROUND, LOOPBACK): the
   exit status. */
int sendmail_run(const struct sendmail_options *options);

#endif
