/* One queue run, asked for over the control protocol (role/control.h). */
#ifndef CMD_RUN_ASK_H
#define CMD_RUN_ASK_H

#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

struct run_ask;

/* A stream to the daemon at PATH: a descriptor, or -errno (-ENOENT and
   -ECONNREFUSED: none runs). */
int run_ask_connect(struct str path) __attribute__((warn_unused_result));

/* Waits until the queue answers on FD: 0, or -EPIPE where that ends before. */
int run_ask_ready(int fd) __attribute__((warn_unused_result));

/* Carries out REQUEST, which becomes its own, and prints its lines: the end of
   the answer, which is the caller's, or NULL where the stream ended. */
json_t *run_ask_request(int fd, json_t *request);

/* Gives what waits in a spool that came from elsewhere the routes of the
   configuration: true if that was done. */
bool run_ask_routes(int fd);

#endif
