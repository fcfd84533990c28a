/* A queue run where no daemon has the queue: by one that is started for it. */
#ifndef CMD_RUN_ALONE_H
#define CMD_RUN_ALONE_H

#include "cmd/run_place.h"
#include "cmd/sendqd_start.h"
#include "conf/conf.h"

#include <jansson.h>

/* Starts WORDS, asks REQUEST, which becomes its own, and starts it again with
   what is left where it dies in the middle: the exit status.  Never EX_OK with
   mail left that nobody has tried, unless a signal ended the run. */
int run_alone(struct sendqd_words *words, json_t *request,
    const struct conf *conf, const struct run_place *place);

#endif
