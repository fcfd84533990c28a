/* Only the best so far are kept, so that memory does not grow with the number
   of destinations. */
#include "cmd/ctl_top.h"
#include "base/check.h"
#include "cmd/ctl_print.h"

#include <stdint.h>
#include <string.h>

bool
ctl_top_init(struct ctl_top *top, const char *sort, size_t count_max)
{
	CHECK(count_max <= CTL_TOP_MAX);
	top->sort = sort;
	top->count_max = count_max;
	top->count = 0;
	return strcmp(sort, "count") == 0 || strcmp(sort, "bytes") == 0 ||
	       strcmp(sort, "age") == 0;
}

/* True if A comes before B. */
static bool
top_is_before(const struct ctl_top *top, const json_t *a, const json_t *b)
{
	if (strcmp(top->sort, "age") == 0)
		return ctl_number(a, "oldest") < ctl_number(b, "oldest");
	if (strcmp(top->sort, "bytes") == 0)
		return ctl_number(a, "bytes") > ctl_number(b, "bytes");
	return ctl_number(a, "messages") > ctl_number(b, "messages");
}

void
ctl_top_add(struct ctl_top *top, const json_t *item)
{
	size_t at = top->count;

	while (at > 0 && top_is_before(top, item, top->items[at - 1]))
		at--;
	if (at == top->count_max)
		return;
	memmove(&top->items[at + 1], &top->items[at],
	    (top->count - at) * sizeof(top->items[0]));
	/* Who gave it does not change it. */
	top->items[at] = json_incref((json_t *)(uintptr_t)item);
	if (top->count < top->count_max)
		top->count++;
	else
		json_decref(top->items[top->count]);
}

void
ctl_top_fini(struct ctl_top *top)
{
	while (top->count > 0)
		json_decref(top->items[--top->count]);
}
