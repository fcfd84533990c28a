/* Leaving a message in the drop directory (mail/drop.h). */
#ifndef CMD_SUBMIT_DROP_H
#define CMD_SUBMIT_DROP_H

#include "cmd/submit_message.h"
#include "os/os.h"

/*
 * Leaves M for its recipients that are not taken or refused in the drop
 * directory that OS is, in as many files as are needed; each recipient whose
 * file is whole and durable is SUBMIT_TAKEN.  0 when all are; or -errno, with
 * nothing left behind for the others.
 */
int submit_drop(struct os *os, struct submit_message *m)
    __attribute__((warn_unused_result));

#endif
