/*
 * The byte queue.  Invariants: start <= end <= capacity; end - start <= max;
 * data is NULL only when capacity is 0.
 */
#include "base/buf.h"
#include "base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAPACITY_MIN 256

static void
buf_check(const struct buf *b)
{
	CHECK(b->start <= b->end && b->end <= b->capacity);
	CHECK(b->end - b->start <= b->max);
}

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

size_t
buf_size(const struct buf *b)
{
	return b->end - b->start;
}

struct str
buf_str(const struct buf *b)
{
	return str_of(b->data ? b->data + b->start : "", b->end - b->start);
}

size_t
buf_room(const struct buf *b)
{
	return b->max - buf_size(b);
}

/* Makes room for SIZE more bytes behind end, whatever the maximum. */
static int
buf_grow(struct buf *b, size_t size)
{
	size_t need, capacity;
	char *data;

	if (b->capacity - b->end >= size)
		return 0;
	if (b->start > 0) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
		if (b->capacity - b->end >= size)
			return 0;
	}
	need = b->end + size;
	capacity = b->capacity > 0 ? b->capacity : BUF_CAPACITY_MIN;
	while (capacity < need)
		capacity = capacity > b->max / 2 ? need : capacity * 2;
	data = realloc(b->data, capacity);
	if (data == NULL)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

static int
buf_reserve(struct buf *b, size_t size)
{
	return size > buf_room(b) ? -ENOBUFS : buf_grow(b, size);
}

int
buf_append(struct buf *b, struct str bytes)
{
	int error;

	buf_check(b);
	if (bytes.size == 0)
		return 0;
	error = buf_reserve(b, bytes.size);
	if (error < 0)
		return error;
	memcpy(b->data + b->end, bytes.data, bytes.size);
	b->end += bytes.size;
	return 0;
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	size_t space = b->capacity - b->end;
	va_list args, again;
	int error = 0, size;

	va_start(args, format);
	va_copy(again, args);
	/* Most often it fits at once; what is written behind the end is not in
	   use before it is known to. */
	size =
	    vsnprintf(space > 0 ? b->data + b->end : NULL, space, format, args);
	CHECK(size >= 0);
	/* vsnprintf writes one NUL more than it counts, which is not in use:
	   room for it is made beyond the maximum. */
	if ((size_t)size > buf_room(b)) {
		error = -ENOBUFS;
	} else if ((size_t)size >= space) {
		error = buf_grow(b, (size_t)size + 1);
		if (error == 0)
			vsnprintf(
			    b->data + b->end, (size_t)size + 1, format, again);
	}
	if (error == 0)
		b->end += (size_t)size;
	va_end(again);
	va_end(args);
	return error;
}

char *
buf_space(struct buf *b, size_t size)
{
	if (buf_reserve(b, size) < 0)
		return NULL;
	return b->data + b->end;
}

void
buf_added(struct buf *b, size_t n)
{
	CHECK(n <= b->capacity - b->end);
	b->end += n;
	buf_check(b);
}

void
buf_consume(struct buf *b, size_t n)
{
	CHECK(n <= buf_size(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_clear(struct buf *b)
{
	b->start = b->end = 0;
}
