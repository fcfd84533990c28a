/*
 * The store's writer: one thread that carries out whole batches of requests,
 * so that the loop never waits for a disk.  The loop hands over a batch, the
 * thread runs it, a descriptor becomes readable, the loop takes it back; in
 * between the batch is the thread's alone.  Without work the thread lets the
 * store use its idle time.
 */
#ifndef NET_WRITER_H
#define NET_WRITER_H

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

struct writer;

/* Makes the thread; it inherits the rights that the caller has now. */
struct writer *writer_new(void);
/* Finishes the batch in hand, ends the thread; the store is the caller's. */
void writer_free(struct writer *w);
/* Gives the thread the store that it works on from now on. */
void writer_open(struct writer *w, struct store *store);

/* Readable when a batch is done. */
int writer_fd(const struct writer *w);
/* True if a batch may be submitted. */
bool writer_is_free(const struct writer *w);
/* Hands over COUNT requests (at least one); the array is copied. */
void writer_submit(
    struct writer *w, struct store_request *const *requests, size_t count);
/* The finished batch, or NULL; valid until the next take. */
struct store_request **writer_take(struct writer *w, size_t *count_out);
/* Waits for the batch in hand. */
void writer_wait(struct writer *w);

#endif
