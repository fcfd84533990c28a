/* Putting a message into a queue directory that no daemon of ours has: sendmail
   -oQ DIR. */
#ifndef CMD_SUBMIT_QUEUE_H
#define CMD_SUBMIT_QUEUE_H

#include "cmd/run_place.h"
#include "cmd/submit_message.h"
#include "conf/conf.h"

/*
 * Puts M into the queue at PLACE, one in sendmail's format or a spool of ours,
 * as mail from USER at this host.  EX_OK when all of it is there; or the exit
 * status, after the reason was printed.
 */
int submit_queue(const char *program, const struct conf *conf,
    const struct run_place *place, const char *user, struct submit_message *m)
    __attribute__((warn_unused_result));

#endif
