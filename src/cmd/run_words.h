/* What sendmail's options say to sendqd, as settings on its command line. */
#ifndef CMD_RUN_WORDS_H
#define CMD_RUN_WORDS_H

#include "cmd/sendmail_options.h"
#include "cmd/sendqd_start.h"

#include <stdint.h>

/* -o NAME = VALUE. */
void run_word_number(
    struct sendqd_words *words, const char *name, uint64_t value);
/* -o NAME = "Ns", at least one second. */
void run_word_time(struct sendqd_words *words, const char *name, uint64_t ms);

/* -or, -oT, Timeout.queuereturn and .queuewarn, as far as they are given. */
void run_words_times(
    struct sendqd_words *words, const struct sendmail_options *options);
/* QueueLA, RefuseLA, MinQueueAge: what a daemon has for all of its runs. */
void run_words_limits(
    struct sendqd_words *words, const struct sendmail_options *options);

/* -L. */
void run_words_name(
    struct sendqd_words *words, const struct sendmail_options *options);

#endif
