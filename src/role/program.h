/*
 * How a program that got a message ended, as an answer for the recipient: by
 * its exit status as sendmail reads it (sysexits.h).
 */
#ifndef ROLE_PROGRAM_H
#define ROLE_PROGRAM_H

#include "base/str.h"
#include "smtp/client.h"

#define PROGRAM_OUTPUT_MAX 1000 /* bytes of output that are looked at */

/* The verdict, and the answer with the first lines of OUTPUT in TEXT.  SIGNAL:
   what killed it, or 0. */
enum smtp_verdict program_answer(int status, int signal_number,
    struct str output, char text[SMTP_ANSWER_MAX + 1]);

#endif
