/*
 * Replies as bytes.  Invariant: what is put is one line of printable ASCII, so
 * that no text, whatever it quotes, can make a second reply.
 */
#include "smtp/reply.h"
#include "base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
reply_copy(struct smtp_reply *reply, const char *text)
{
	size_t size = strnlen(text, sizeof(reply->text) - 1);

	memcpy(reply->text, text, size);
	reply->text[size] = '\0';
}

struct smtp_reply
smtp_reply_make(int code, const char *enhanced, const char *format, ...)
{
	struct smtp_reply reply = {.code = code};
	size_t size = strlen(enhanced);
	va_list args;

	CHECK(code >= 200 && code <= 559);
	CHECK(size < sizeof(reply.enhanced));
	/* RFC 2034 4: the class is that of the reply. */
	CHECK(size == 0 || enhanced[0] - '0' == code / 100);
	memcpy(reply.enhanced, enhanced, size + 1);
	va_start(args, format);
	/* Most texts are fixed, or made already; a message has four. */
	if (strcmp(format, "%s") == 0)
		reply_copy(&reply, va_arg(args, const char *));
	else if (strchr(format, '%') == NULL)
		reply_copy(&reply, format);
	else
		(void)vsnprintf(reply.text, sizeof(reply.text), format, args);
	va_end(args);
	for (char *p = reply.text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return reply;
}

/* Puts a blank and TEXT at the end of LINE, nothing if TEXT is empty. */
static size_t
reply_put_word(char *line, size_t size, const char *text)
{
	size_t more = strlen(text);

	if (more == 0)
		return size;
	line[size++] = ' ';
	memcpy(line + size, text, more);
	return size + more;
}

int
smtp_reply_put(struct buf *out, const struct smtp_reply *reply)
{
	char line[sizeof(reply->enhanced) + sizeof(reply->text) + 8];
	size_t size = 0;

	CHECK(reply->code >= 100 && reply->code <= 999);
	line[size++] = (char)('0' + reply->code / 100);
	line[size++] = (char)('0' + reply->code / 10 % 10);
	line[size++] = (char)('0' + reply->code % 10);
	size = reply_put_word(line, size, reply->enhanced);
	size = reply_put_word(line, size, reply->text);
	line[size++] = '\r';
	line[size++] = '\n';
	CHECK(size <= sizeof(line));
	return buf_append(out, str_of(line, size));
}
