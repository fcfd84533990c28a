/*
 * Log lines to standard error.  The date is reckoned here and not by the C
 * library, whose first conversion would open the time zone's file, which no
 * sandboxed process may.
 */
#include "net/stderr_log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define STDERR_LOG_YEAR_MAX 9999

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

void
stderr_log_line(enum log_level level, struct str line)
{
	char time_text[STDERR_LOG_TIME_SIZE], whole[LOG_LINE_MAX + 64];
	struct timespec now;
	size_t done = 0;
	int size;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec < 0)
		now = (struct timespec){0};
	stderr_log_time(
	    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
	    time_text);
	size = snprintf(whole, sizeof(whole), "%s %.*s\n", time_text,
	    STR_ARG(str_head(line, LOG_LINE_MAX)));
	while (size > 0 && done < (size_t)size) {
		ssize_t n =
		    write(STDERR_FILENO, whole + done, (size_t)size - done);

		/* A log that cannot be written has nobody to be told to. */
		if (n <= 0)
			break;
		done += (size_t)n;
	}
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
