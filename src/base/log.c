/*
 * One line an event.  Promises: never fails, never blocks but in the sink, and
 * a line can be taken apart again whatever a peer has put into a value:
 *
 *   line   = level " " event " " id *( " " field )
 *   field  = key "=" value
 *   value  = *( %x21 / %x23-5B / %x5D-7E / escape )
 *          / DQUOTE *( %x20-21 / %x23-5B / %x5D-7E / escape ) DQUOTE
 *   escape = "\x" 2HEXDIG / "\" DQUOTE / "\\"
 *
 * The format is expanded here and not by the C library, since the text that
 * printf() makes no longer shows where a value ends.
 */
#include "base/log.h"
#include "base/check.h"

#include <stdarg.h>
#include <string.h>

/* What a value that is cut needs at least: dots in quotes. */
#define LOG_VALUE_LEAST 5

static log_sink_fn *log_sink;
static enum log_level log_level_max = LOG_NOTE;

static const char *const log_level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_NOTE] = "note",
    [LOG_DETAIL] = "detail",
};

/* What is left of the format and its arguments. */
struct log_source {
	const char *format;
	va_list arguments;
};

/* Bytes under a limit; what does not fit any more is dropped. */
struct log_text {
	char data[LOG_LINE_MAX];
	size_t size;
	size_t max;
	bool is_cut;
};

void
log_set(log_sink_fn *sink, enum log_level level)
{
	log_sink = sink;
	log_level_max = level;
}

static void
log_text_init(struct log_text *text, size_t max)
{
	CHECK(max <= sizeof(text->data));
	text->size = 0;
	text->max = max;
	text->is_cut = false;
}

/* All of BYTES or none of them. */
static void
log_put(struct log_text *text, struct str bytes)
{
	CHECK(text->size <= text->max);
	if (text->is_cut || bytes.size > text->max - text->size) {
		text->is_cut = true;
		return;
	}
	if (bytes.size > 0)
		memcpy(text->data + text->size, bytes.data, bytes.size);
	text->size += bytes.size;
}

/* As much of BYTES as fits. */
static void
log_put_some(struct log_text *text, struct str bytes)
{
	struct str head = str_head(bytes, text->max - text->size);

	log_put(text, head);
	text->is_cut = text->is_cut || head.size < bytes.size;
}

/* How many bytes at the start of BYTES stand for themselves. */
static size_t
log_plain_size(struct str bytes)
{
	size_t size = 0;

	while (size < bytes.size) {
		unsigned char c = (unsigned char)bytes.data[size];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\')
			break;
		size++;
	}
	return size;
}

static void
log_put_escaped(struct log_text *text, struct str bytes, bool is_quoted)
{
	static const char hex[] = "0123456789abcdef";

	while (bytes.size > 0) {
		size_t plain = log_plain_size(bytes);
		unsigned char c;

		log_put_some(text, str_head(bytes, plain));
		bytes = str_skip(bytes, plain);
		if (bytes.size == 0)
			break;
		c = (unsigned char)bytes.data[0];
		bytes = str_skip(bytes, 1);
		if (c == '"' || c == '\\') {
			log_put(text, str_of((char[]){'\\', (char)c}, 2));
		} else if (c == ' ' && is_quoted) {
			log_put(text, STR(" "));
		} else {
			char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

			log_put(text, str_of(escape, sizeof(escape)));
		}
	}
}

/* The value of one field; one that is too long ends in dots. */
static void
log_put_value(struct log_text *line, struct str value)
{
	bool is_quoted = str_find(value, ' ') < value.size ||
	                 str_find(value, '"') < value.size ||
	                 str_find(value, '\\') < value.size;
	size_t room = line->max - line->size - LOG_VALUE_LEAST;
	size_t max = line->max;
	bool is_cut;

	if (is_quoted)
		log_put(line, STR("\""));
	line->max = line->size + (room < LOG_VALUE_MAX ? room : LOG_VALUE_MAX);
	log_put_escaped(line, value, is_quoted);
	is_cut = line->is_cut;
	line->is_cut = false;
	line->max = max;
	if (is_cut)
		log_put(line, STR("..."));
	if (is_quoted)
		log_put(line, STR("\""));
}

/* The number that the conversion wants; SIZE is 'l', 'L' (ll), 'z' or 0. */
static void
log_take_number(
    struct log_source *source, char kind, char size, struct log_text *field)
{
	va_list *list = &source->arguments;
	unsigned long long number;
	long long with_sign = 0;
	char digits[24];
	size_t at = sizeof(digits);

	if (kind == 'd') {
		with_sign = size == 'L'   ? va_arg(*list, long long)
		            : size == 'l' ? va_arg(*list, long)
		                          : va_arg(*list, int);
		number = (unsigned long long)with_sign;
		if (with_sign < 0)
			number = 0 - number;
	} else {
		number = size == 'L'   ? va_arg(*list, unsigned long long)
		         : size == 'l' ? va_arg(*list, unsigned long)
		         : size == 'z' ? va_arg(*list, size_t)
		                       : va_arg(*list, unsigned);
	}
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	if (with_sign < 0)
		digits[--at] = '-';
	log_put(field, str_of(digits + at, sizeof(digits) - at));
}

/* One conversion, behind its "%": s, .*s, and d and u with l, ll and z.  The
   compiler has checked the arguments against them. */
static void
log_take_conversion(struct log_source *source, struct log_text *field)
{
	const char *string;
	char size = 0;
	int count;

	if (strncmp(source->format, ".*s", 3) == 0) {
		source->format += 3;
		count = va_arg(source->arguments, int);
		string = va_arg(source->arguments, const char *);
		CHECK(count >= 0);
		log_put_some(field, str_of(string, (size_t)count));
		return;
	}
	for (; *source->format == 'l' || *source->format == 'z';
	     source->format++)
		size = size == 'l' ? 'L' : *source->format;
	switch (*source->format) {
	case 's':
		CHECK(size == 0);
		string = va_arg(source->arguments, const char *);
		log_put_some(field, str_from(string));
		break;
	case 'd':
	case 'u':
		log_take_number(source, *source->format, size, field);
		break;
	default:
		CHECK(false);
	}
	source->format++;
}

/* Takes "key=" with its value, raw, up to the space that ends it in the
   format; gives the size of the key, 0 if there is none. */
static size_t
log_take_field(struct log_source *source, struct log_text *field)
{
	size_t key_size = 0;

	while (*source->format != '\0') {
		char c = *source->format++;

		if (c == ' ')
			break;
		if (c == '%') {
			log_take_conversion(source, field);
			continue;
		}
		if (c == '=' && key_size == 0)
			key_size = field->size;
		log_put(field, str_of(&c, 1));
	}
	return key_size;
}

/* A field that has no room for its key is left out, with all behind it. */
static void
log_put_field(struct log_text *line, struct log_text *field, size_t key_size)
{
	struct str text = str_of(field->data, field->size);

	if (key_size + 2 + LOG_VALUE_LEAST > line->max - line->size) {
		line->is_cut = true;
		return;
	}
	log_put(line, STR(" "));
	log_put(line, str_head(text, key_size + 1));
	log_put_value(line, str_skip(text, key_size + 1));
}

void
log_event(enum log_level level, const char *event, const char *id,
    const char *format, ...)
{
	struct log_text line, field;
	struct log_source source = {.format = format};
	size_t key_size;

	if (log_sink == NULL || level > log_level_max)
		return;
	log_text_init(&line, LOG_LINE_MAX);
	log_put(&line, str_from(log_level_names[level]));
	log_put(&line, STR(" "));
	log_put(&line, str_from(event));
	log_put(&line, STR(" "));
	log_put_escaped(&line, str_from(id[0] != '\0' ? id : "-"), false);
	va_start(source.arguments, format);
	while (*source.format != '\0' && !line.is_cut) {
		log_text_init(&field, LOG_LINE_MAX);
		key_size = log_take_field(&source, &field);
		if (key_size > 0)
			log_put_field(&line, &field, key_size);
	}
	va_end(source.arguments);
	log_sink(level, str_of(line.data, line.size));
}
