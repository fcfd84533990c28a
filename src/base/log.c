/* One line an event.  Promises: never fails, never blocks but in the sink,
   never writes a byte of a peer unescaped. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static log_sink_fn *log_sink;
static enum log_level log_level_max = LOG_NOTE;

static const char *const log_level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_NOTE] = "note",
    [LOG_DETAIL] = "detail",
};

void
log_set(log_sink_fn *sink, enum log_level level)
{
	log_sink = sink;
	log_level_max = level;
}

/* Copies TEXT to LINE at AT, escaping; returns the new end. */
static size_t
log_escape(char *line, size_t at, size_t max, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (; *text != '\0' && at + 4 < max; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f) {
			line[at++] = (char)c;
			continue;
		}
		line[at++] = '\\';
		line[at++] = 'x';
		line[at++] = hex[c >> 4];
		line[at++] = hex[c & 15];
	}
	return at;
}

void
log_event(enum log_level level, const char *event, const char *id,
    const char *format, ...)
{
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
	va_list args;
	size_t size;
	int head;

	if (log_sink == NULL || level > log_level_max)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	head = snprintf(line, sizeof(line), "%s %s %s ", log_level_names[level],
	    event, id[0] != '\0' ? id : "-");
	size = head < 0 ? 0 : (size_t)head;
	size = log_escape(line, size < sizeof(line) ? size : sizeof(line) - 1,
	    sizeof(line), text);
	log_sink(level, str_of(line, size));
}
