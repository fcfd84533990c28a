/*
 * Log lines to standard error.  The date is reckoned here and not by the C
 * library, whose first conversion would open the time zone's file, which no
 * sandboxed process may.
 *
 * Invariants: what is held is whole lines; it and the time are touched under
 * the lock only; no CHECK stands under the lock, since it would log.
 */
#include "net/stderr_log.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STDERR_LOG_YEAR_MAX 9999
#define STDERR_LOG_TIME     24 /* bytes of "2026-11-21T23:40:03.123Z" */

_Static_assert(
    STDERR_LOG_TIME + 1 + LOG_LINE_MAX + 1 <= PIPE_BUF, "a line is one write");

static pthread_mutex_t stderr_log_lock = PTHREAD_MUTEX_INITIALIZER;
static char stderr_log_held[PIPE_BUF];
static size_t stderr_log_size;
/* The text of a second is made once. */
static uint64_t stderr_log_second = UINT64_MAX;
static char stderr_log_text[STDERR_LOG_TIME_SIZE];
static _Thread_local bool stderr_log_is_holding;

static bool
stderr_log_is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

void
stderr_log_time(uint64_t wall_ms, char text[STDERR_LOG_TIME_SIZE])
{
	static const unsigned char month_days[12] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t seconds = wall_ms / 1000, days = seconds / 86400;
	unsigned year = 1970, month = 0, size;

	for (; year < STDERR_LOG_YEAR_MAX; year++) {
		size = stderr_log_is_leap(year) ? 366 : 365;
		if (days < size)
			break;
		days -= size;
	}
	for (; month < 11; month++) {
		size = month_days[month];
		if (month == 1 && stderr_log_is_leap(year))
			size = 29;
		if (days < size)
			break;
		days -= size;
	}
	snprintf(text, STDERR_LOG_TIME_SIZE,
	    "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month + 1,
	    (unsigned)(days % 31) + 1, (unsigned)(seconds / 3600 % 24),
	    (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
	    (unsigned)(wall_ms % 1000));
}

/* Writes what is held; under the lock. */
static void
stderr_log_flush(void)
{
	size_t done = 0;

	while (done < stderr_log_size) {
		ssize_t n = write(STDERR_FILENO, stderr_log_held + done,
		    stderr_log_size - done);

		/* A log that cannot be written has nobody to be told to. */
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	stderr_log_size = 0;
}

/* Puts BYTES behind what is held; there is room. */
static void
stderr_log_put(const char *bytes, size_t size)
{
	memcpy(stderr_log_held + stderr_log_size, bytes, size);
	stderr_log_size += size;
}

/* Puts the time now; under the lock. */
static void
stderr_log_put_time(void)
{
	struct timespec now;
	uint64_t second;
	unsigned ms;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec < 0)
		now = (struct timespec){0};
	second = (uint64_t)now.tv_sec;
	ms = (unsigned)(now.tv_nsec / 1000000);
	if (second != stderr_log_second) {
		stderr_log_time(second * 1000, stderr_log_text);
		stderr_log_second = second;
	}
	/* ".123Z" */
	stderr_log_text[STDERR_LOG_TIME - 4] = (char)('0' + ms / 100);
	stderr_log_text[STDERR_LOG_TIME - 3] = (char)('0' + ms / 10 % 10);
	stderr_log_text[STDERR_LOG_TIME - 2] = (char)('0' + ms % 10);
	stderr_log_put(stderr_log_text, STDERR_LOG_TIME);
}

void
stderr_log_line(enum log_level level, struct str line)
{
	line = str_head(line, LOG_LINE_MAX);
	pthread_mutex_lock(&stderr_log_lock);
	if (STDERR_LOG_TIME + 1 + line.size + 1 >
	    sizeof(stderr_log_held) - stderr_log_size)
		stderr_log_flush();
	stderr_log_put_time();
	stderr_log_put(" ", 1);
	stderr_log_put(line.data, line.size);
	stderr_log_put("\n", 1);
	if (!stderr_log_is_holding || level == LOG_ERROR)
		stderr_log_flush();
	pthread_mutex_unlock(&stderr_log_lock);
}

void
stderr_log_write(void)
{
	pthread_mutex_lock(&stderr_log_lock);
	if (stderr_log_size > 0)
		stderr_log_flush();
	pthread_mutex_unlock(&stderr_log_lock);
}

void
stderr_log_hold(void)
{
	stderr_log_is_holding = true;
}

void
stderr_log_release(void)
{
	stderr_log_is_holding = false;
	stderr_log_write();
}

enum log_level
stderr_log_level(struct str name)
{
	if (str_equal(name, STR("error")))
		return LOG_ERROR;
	if (str_equal(name, STR("warn")))
		return LOG_WARN;
	if (str_equal(name, STR("detail")))
		return LOG_DETAIL;
	return LOG_NOTE;
}
