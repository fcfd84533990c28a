/*
 * One run after the other, by the clock: a runner for what the daemon's own
 * runs (queue-interval) do not know, selections and parts of the queue.
 */
#ifndef CMD_RUN_EVERY_H
#define CMD_RUN_EVERY_H

#include <stdbool.h>
#include <stdint.h>

/* Goes to the background, calls ONCE(ARG) there at once and whenever
   INTERVAL_MS are over since it was called (a run that lasts longer is
   followed by the next one), and shows TITLE.  SIGTERM and SIGINT end it,
   after the message in hand; SIGHUP begins the next run.  In the process that
   called it returns an exit status. */
int run_every(const char *title, uint64_t interval_ms, void (*once)(void *arg),
    void *arg);

/* For a handler of those signals that ONCE installs: it was called. */
void run_every_end(void);

#endif
