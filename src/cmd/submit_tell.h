/*
 * Telling who called what did not go: lines to print, the message kept in
 * dead.letter, or mailed back to its sender.
 */
#ifndef CMD_SUBMIT_TELL_H
#define CMD_SUBMIT_TELL_H

#include "cmd/submit_message.h"
#include "conf/conf.h"
#include "mail/submit.h"

/* Prints a line for each PROBLEM of RCPTS and each refused recipient of M. */
void submit_tell_print(const struct conf *conf,
    const struct submit_rcpts *rcpts, const struct submit_message *m);

/* Appends M to the file PATH as a mailbox has it, and says so.  0 or -errno,
   which was said too. */
int submit_tell_keep(const struct submit_message *m, const char *path)
    __attribute__((warn_unused_result));

/*
 * Sends a report with M, or its header, to BACK_TO ("a@b"): each PROBLEM and
 * each refused recipient failed; or, if WHY is not NULL, all of it failed for
 * that reason.  0, or -errno if the report could not be handed over.
 */
int submit_tell_mail(const struct conf *conf, const struct submit_rcpts *rcpts,
    const struct submit_message *m, struct str back_to, const char *why)
    __attribute__((warn_unused_result));

#endif
