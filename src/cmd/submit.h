/*
 * Mail that programs hand in: sendmail -bm (also -t), rmail, sendmail -bs.
 *
 * What got exit status 0 is on disk: at the daemon's, or in the drop directory.
 * What is refused is told as -oe says, with the exit status of sysexits.h.
 */
#ifndef CMD_SUBMIT_H
#define CMD_SUBMIT_H

#include "cmd/sendmail_options.h"

/* Does what OPTIONS->mode asks for, SENDMAIL_DELIVER, SENDMAIL_RMAIL or
   SENDMAIL_SMTP; the exit status. */
int submit_run(const struct sendmail_options *options);

#endif
