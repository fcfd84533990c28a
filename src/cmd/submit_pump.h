/* sendmail -bs: SMTP on standard input and output, spoken by the daemon. */
#ifndef CMD_SUBMIT_PUMP_H
#define CMD_SUBMIT_PUMP_H

#include "base/str.h"

/* Carries bytes between standard input and output and the socket at
   SOCKET_PATH until the daemon ends.  The exit status: EX_TEMPFAIL, behind a
   421 with HOSTNAME, where no daemon listens. */
int submit_pump(struct str socket_path, struct str hostname);

#endif
