/*
 * Where the lines of base/log.h go in the daemon: standard error, each with the
 * time before it.  A line is written at once, or with others that its thread
 * holds back: those of one turn of the loop are one write, not many.  A write
 * is never over PIPE_BUF bytes and ends with a line, so that lines of several
 * processes do not mix in a pipe.
 *
 * Promise: no line is lost but by a signal that ends the process in the middle
 * of a turn: an error (so a broken CHECK as well) writes what is held before
 * it, whichever thread says it.
 */
#ifndef NET_STDERR_LOG_H
#define NET_STDERR_LOG_H

#include "base/log.h"
#include "base/str.h"

#include <stdint.h>

/* Room for "2026-11-21T23:40:03.123Z" and a NUL. */
#define STDERR_LOG_TIME_SIZE 32

/* The UTC time of WALL_MS since 1970, as RFC 3339 writes it. */
void stderr_log_time(uint64_t wall_ms, char text[STDERR_LOG_TIME_SIZE]);
/* The sink for log_set(). */
void stderr_log_line(enum log_level level, struct str line);
/* From now on the lines of this thread wait for stderr_log_write(), until
   stderr_log_release().  One thread at a time may do so. */
void stderr_log_hold(void);
void stderr_log_write(void);
void stderr_log_release(void);
/* "error", "warn", "note", "detail"; anything else is LOG_NOTE. */
enum log_level stderr_log_level(struct str name);

#endif
