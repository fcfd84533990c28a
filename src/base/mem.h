/*
 * Small bounded allocations.  They end the process when memory is gone; what a
 * peer sizes is allocated through base/buf.h, which returns an error instead.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* COUNT zeroed objects of SIZE bytes each; never NULL.  Free with free(). */
void *mem_new(size_t count, size_t size)
    __attribute__((malloc, warn_unused_result, returns_nonnull));

/* P resized to COUNT objects of SIZE bytes; new bytes are not zeroed. */
void *mem_resize(void *p, size_t count, size_t size)
    __attribute__((warn_unused_result, returns_nonnull));

/* A NUL-terminated copy of SIZE bytes at DATA; never NULL. */
char *mem_copy_text(const char *data, size_t size)
    __attribute__((malloc, warn_unused_result, returns_nonnull));

#endif
