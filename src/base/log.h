/*
 * The log: one line an event, "level event id key=value ...".  This module
 * makes the line; the program says where it goes (and puts the time before
 * it), so that what runs in a simulation logs through the same calls.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

#include <stdbool.h>

/* The names do not clash with <syslog.h>, which has macros of its own. */
enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_NOTE,
	LOG_DETAIL
};

#define LOG_LINE_MAX  2000
#define LOG_VALUE_MAX 500

/* Takes one line without its newline. */
typedef void log_sink_fn(enum log_level level, struct str line);

/* Where lines go; NULL drops them.  LEVEL is the last one that is written. */
void log_set(log_sink_fn *sink, enum log_level level);

/* One event.  ID is a queue id or "" (written as "-").  FORMAT gives
   "key=value ..." with the conversions %s, %.*s, %d and %u (also with l, ll and
   z); a value ends at the next space of FORMAT itself.  What is no printable
   ASCII is written as \xNN; a value with a space, a quote or a backslash is put
   in quotes; one over LOG_VALUE_MAX bytes is cut and ends in dots, and a line
   over LOG_LINE_MAX is cut behind a value. */
void log_event(enum log_level level, const char *event, const char *id,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
