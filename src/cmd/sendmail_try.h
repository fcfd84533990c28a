/* sendmail -bt: where addresses would go, line by line. */
#ifndef CMD_SENDMAIL_TRY_H
#define CMD_SENDMAIL_TRY_H

#include "cmd/sendmail_options.h"
#include "conf/conf.h"

/* Reads lines from standard input to its end, or to "/quit"; the exit
   status. */
int sendmail_try(
    const struct conf *conf, const struct sendmail_options *options);

#endif
