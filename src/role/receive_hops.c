/* Counts the lines of a header that begin "Received:" (RFC 5321 6.3). */
#include "role/receive.h"

void
receive_hops_feed(struct receive_hops *h, struct str bytes)
{
	static const struct str name = {"received:", 9};

	for (size_t i = 0; i < bytes.size && !h->is_body; i++) {
		char c = bytes.data[i];

		if (c == '\r')
			continue;
		if (c == '\n') {
			h->is_body = h->column == 0;
			h->column = 0;
			continue;
		}
		if (h->column == 0)
			h->is_match = true;
		if (h->is_match && h->column < name.size) {
			h->is_match = ascii_lower(c) == name.data[h->column];
			if (h->is_match && h->column == name.size - 1)
				h->count++;
		}
		h->column++;
	}
}
