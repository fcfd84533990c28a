/* The destinations with the most of something; part of cmd/sendqctl.c. */
#ifndef CMD_CTL_TOP_H
#define CMD_CTL_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CTL_TOP_MAX 1000

struct ctl_top {
	const char *sort; /* "count", "bytes" or "age" */
	size_t count_max; /* at most CTL_TOP_MAX */
	size_t count;
	json_t *items[CTL_TOP_MAX + 1]; /* the best ones, in order */
};

/* False if there is no such way to sort. */
bool ctl_top_init(struct ctl_top *top, const char *sort, size_t count_max);
/* Keeps the item if it is one of the best so far. */
void ctl_top_add(struct ctl_top *top, const json_t *item);
void ctl_top_fini(struct ctl_top *top);

#endif
