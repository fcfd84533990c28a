/* The intrusive heap.  Invariant: nodes[i] is not before nodes[(i-1)/2], and
   nodes[i]->index is i + 1. */
#include "base/heap.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

void
heap_init(struct heap *h)
{
	*h = (struct heap){0};
}

void
heap_fini(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}

static bool
heap_before(const struct heap_node *a, const struct heap_node *b)
{
	if (a->due_ms != b->due_ms)
		return a->due_ms < b->due_ms;
	return a->order < b->order;
}

static void
heap_place(struct heap *h, size_t i, struct heap_node *node)
{
	h->nodes[i] = node;
	node->index = i + 1;
}

static void
heap_up(struct heap *h, size_t i)
{
	struct heap_node *node = h->nodes[i];

	for (; i > 0 && heap_before(node, h->nodes[(i - 1) / 2]);
	     i = (i - 1) / 2)
		heap_place(h, i, h->nodes[(i - 1) / 2]);
	heap_place(h, i, node);
}

static void
heap_down(struct heap *h, size_t i)
{
	struct heap_node *node = h->nodes[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count &&
		    heap_before(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (!heap_before(h->nodes[child], node))
			break;
		heap_place(h, i, h->nodes[child]);
		i = child;
	}
	heap_place(h, i, node);
}

void
heap_set(struct heap *h, struct heap_node *node, uint64_t due_ms)
{
	heap_remove(h, node);
	if (h->count == h->capacity) {
		h->capacity = h->capacity > 0 ? h->capacity * 2 : 16;
		h->nodes =
		    mem_resize(h->nodes, h->capacity, sizeof(h->nodes[0]));
	}
	node->due_ms = due_ms;
	node->order = h->order_next++;
	heap_place(h, h->count++, node);
	heap_up(h, h->count - 1);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	size_t i = node->index;
	struct heap_node *last;

	if (i == 0)
		return;
	CHECK(i <= h->count && h->nodes[i - 1] == node);
	node->index = 0;
	last = h->nodes[--h->count];
	if (last == node)
		return;
	heap_place(h, i - 1, last);
	heap_up(h, i - 1);
	heap_down(h, last->index - 1);
}

struct heap_node *
heap_first(const struct heap *h)
{
	return h->count > 0 ? h->nodes[0] : NULL;
}
