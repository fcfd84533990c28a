/*
 * The line as it would be if it ended here.  Invariant: once it was cut it is
 * SMTP_NAMES_MAX bytes, and so is cut again with each byte that is added.
 */
#include "smtp/names.h"
#include "base/check.h"

#include <string.h>

_Static_assert(SMTP_NAMES_MAX == 2 * SMTP_NAMES_KEPT + 3, "two ends and dots");

static void
names_put(struct smtp_names *n, struct str bytes)
{
	while (bytes.size > 0) {
		struct str part = str_head(bytes, SMTP_NAMES_KEPT);

		CHECK(n->size <= SMTP_NAMES_MAX);
		memcpy(n->text + n->size, part.data, part.size);
		n->size += part.size;
		bytes = str_skip(bytes, part.size);
		if (n->size < SMTP_NAMES_MAX)
			continue;
		memmove(n->text + SMTP_NAMES_KEPT + 3,
		    n->text + n->size - SMTP_NAMES_KEPT, SMTP_NAMES_KEPT);
		memcpy(n->text + SMTP_NAMES_KEPT, "...", 3);
		n->size = SMTP_NAMES_MAX;
	}
}

void
smtp_names_add(struct smtp_names *names, struct str name)
{
	if (names->size > 0)
		names_put(names, STR(","));
	names_put(names, name);
}

struct str
smtp_names_str(const struct smtp_names *names)
{
	return str_of(names->text, names->size);
}
