/* sendmail -bd, -bD, -bl, -q15m: the daemon, started the way of sendmail. */
#ifndef CMD_RUN_DAEMON_H
#define CMD_RUN_DAEMON_H

#include "cmd/sendmail_options.h"
#include "conf/conf.h"

/* Starts the daemon of CONF, which was read from FILE, unless one runs: the
   exit status.  In the background it returns when the daemon is ready. */
int run_daemon(const struct sendmail_options *options, const struct conf *conf,
    const char *file);

#endif
