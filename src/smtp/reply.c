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
	(void)vsnprintf(reply.text, sizeof(reply.text), format, args);
	va_end(args);
	for (char *p = reply.text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return reply;
}

int
smtp_reply_put(struct buf *out, const struct smtp_reply *reply)
{
	return buf_printf(out, "%d%s%s%s%s\r\n", reply->code,
	    reply->enhanced[0] != '\0' ? " " : "", reply->enhanced,
	    reply->text[0] != '\0' ? " " : "", reply->text);
}
