/* Where the lines of base/log.h go in the daemon: standard error, each with the
   time before it, each in one write. */
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
/* "error", "warn", "note", "detail"; anything else is LOG_NOTE. */
enum log_level stderr_log_level(struct str name);

#endif
