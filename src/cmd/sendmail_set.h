/*
 * The options that -O and -o set: which names sendmail knows, and what the
 * values of those that mean something here are.
 */
#ifndef CMD_SENDMAIL_SET_H
#define CMD_SENDMAIL_SET_H

#include "base/buf.h"
#include "base/str.h"
#include "cmd/sendmail_options.h"

#include <stdbool.h>

/* "Name=value" (any case, or the unique beginning of a name, with ".part" for
   some), or -o's letter and its value.  EX_OK, or the exit status; MESSAGES
   gets what is wrong. */
int sendmail_set_long(struct sendmail_options *options, struct str text,
    struct buf *messages) __attribute__((warn_unused_result));
int sendmail_set_letter(struct sendmail_options *options, char letter,
    struct str value, struct buf *messages) __attribute__((warn_unused_result));

#endif
