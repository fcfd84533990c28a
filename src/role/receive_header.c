/*
 * What is read of a header that passes: how many lines begin "Received:" (RFC
 * 5321 6.3), and what kind of mail its Precedence says it is (RFC 2076 3.9).
 * Lines are looked at by their first bytes; a value that is folded is none.
 */
#include "role/receive.h"

/* Steps of priority: bulk mail goes behind other mail of its age. */
static int
header_precedence(struct str value)
{
	static const struct {
		const char *name;
		int priority;
	} kinds[] = {{"list", -2}, {"bulk", -4}, {"junk", -6}};
	size_t size = 0;

	while (
	    value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
		value = str_skip(value, 1);
	while (size < value.size && ascii_is_alpha(value.data[size]))
		size++;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_equal(str_head(value, size), str_from(kinds[i].name)))
			return kinds[i].priority;
	return 0;
}

static void
header_take_line(struct receive_header *h)
{
	static const struct str received = {"received:", 9};
	static const struct str precedence = {"precedence:", 11};
	struct str line = str_of(h->line, h->line_size);

	if (str_starts(line, received))
		h->hop_count++;
	else if (str_starts(line, precedence) && h->priority == 0)
		h->priority =
		    header_precedence(str_skip(line, precedence.size));
}

void
receive_header_feed(struct receive_header *h, struct str bytes)
{
	for (size_t i = 0; i < bytes.size && !h->is_body; i++) {
		char c = bytes.data[i];

		if (c == '\r')
			continue;
		if (c == '\n') {
			h->is_body = h->line_size == 0;
			header_take_line(h);
			h->line_size = 0;
		} else if (h->line_size < sizeof(h->line)) {
			h->line[h->line_size++] = ascii_lower(c);
		}
	}
}
