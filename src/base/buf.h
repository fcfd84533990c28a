/*
 * A byte queue with a hard maximum: bytes go in at the end and out at the
 * front.  The only place where memory grows by what a peer sends.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stddef.h>

struct buf {
	char *data;      /* allocated bytes */
	size_t start;    /* first byte in use */
	size_t end;      /* one past the last byte in use */
	size_t capacity; /* allocated size */
	size_t max;      /* what size may never exceed */
};

/* Prepares an empty buffer that will never hold more than MAX bytes. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buffer is empty and usable afterwards. */
void buf_fini(struct buf *b);

size_t buf_size(const struct buf *b);
/* The bytes in use; valid until the buffer changes. */
struct str buf_str(const struct buf *b);
/* How many more bytes may be appended. */
size_t buf_room(const struct buf *b);

/* Appends all of it or nothing: 0, -ENOBUFS over the maximum, -ENOMEM. */
int buf_append(struct buf *b, struct str bytes)
    __attribute__((warn_unused_result));
/* Appends formatted text; the same results. */
int buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
/* SIZE writable bytes at the end (not yet in use), or NULL; after writing,
   buf_added() takes N of them in use. */
char *buf_space(struct buf *b, size_t size);
void buf_added(struct buf *b, size_t n);

/* Drops N bytes from the front; N is at most buf_size(). */
void buf_consume(struct buf *b, size_t n);
/* Drops everything but keeps the memory. */
void buf_clear(struct buf *b);

#endif
