/* What is between the ends is passed over: a list may have 1000 members. */
#include "mail/alias_text.h"
#include "base/check.h"

#include <string.h>

#define SHOWN_END ((ALIAS_SHOWN_MAX - 3) / 2)

/* The text so far: its begin, and its last bytes, the oldest of which is at
   SIZE modulo SHOWN_END. */
struct shown {
	char head[ALIAS_SHOWN_MAX];
	char tail[SHOWN_END];
	size_t size;
};

static void
shown_add(struct shown *shown, struct str text)
{
	for (size_t i = 0; i < text.size; i++, shown->size++) {
		if (shown->size < sizeof(shown->head))
			shown->head[shown->size] = text.data[i];
		shown->tail[shown->size % SHOWN_END] = text.data[i];
	}
}

void
alias_text_put(const struct alias_expansion *e, char text[ALIAS_SHOWN_MAX + 1])
{
	struct shown shown = {.size = 0};

	if (e->leaf_count == 0)
		shown_add(&shown, STR("/dev/null"));
	for (size_t i = 0; i < e->leaf_count; i++) {
		if (i > 0)
			shown_add(&shown, STR(", "));
		shown_add(&shown, e->leaves[i].address);
	}
	if (shown.size < ALIAS_SHOWN_MAX) {
		memcpy(text, shown.head, shown.size);
		text[shown.size] = '\0';
		return;
	}
	memcpy(text, shown.head, SHOWN_END);
	memcpy(text + SHOWN_END, "...", 3);
	for (size_t i = 0; i < SHOWN_END; i++)
		text[SHOWN_END + 3 + i] =
		    shown.tail[(shown.size + i) % SHOWN_END];
	CHECK(2 * SHOWN_END + 3 == ALIAS_SHOWN_MAX);
	text[ALIAS_SHOWN_MAX] = '\0';
}
