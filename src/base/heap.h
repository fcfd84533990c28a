/*
 * An intrusive binary heap of due times: an object embeds a heap_node and is
 * in at most one heap.  Smallest (due_ms, order) first; equal times come out in
 * the order in which they were put in.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t due_ms;
	uint64_t order;
	size_t index; /* place in the heap plus one; 0 = in none */
};

struct heap {
	struct heap_node **nodes;
	size_t count;
	size_t capacity;
	uint64_t order_next;
};

void heap_init(struct heap *h);
/* Frees the array; the nodes belong to the caller. */
void heap_fini(struct heap *h);
/* Puts NODE in, or moves it, with the time DUE_MS. */
void heap_set(struct heap *h, struct heap_node *node, uint64_t due_ms);
/* Takes NODE out; nothing happens if it is not in. */
void heap_remove(struct heap *h, struct heap_node *node);
/* The earliest node, or NULL. */
struct heap_node *heap_first(const struct heap *h);

/* The object that embeds NODE as MEMBER. */
#define HEAP_OBJECT(node, type, member)                                        \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
