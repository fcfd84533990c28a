/* A control file with another reason; all other lines stay as they are. */
#include "cmd/mqueue_reason.h"
#include "cmd/mqueue_select.h"

#include <string.h>

/* Version 0, which had no final dot, knew only these lines. */
#define LETTERS_OLD "PTDMSEHRq"

/* A whole line at *AT of TEXT, with its end and the lines that belong to it. */
static struct str
line_raw(struct str text, size_t *at)
{
	size_t begin = *at;
	struct str rest;

	do {
		size_t end = str_find(str_skip(text, *at), '\n');

		*at += end;
		if (*at < text.size)
			++*at;
		rest = str_skip(text, *at);
	} while (
	    rest.size > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t'));
	return str_head(str_skip(text, begin), *at - begin);
}

static int
reason_put(struct str reason, struct buf *out)
{
	int error = buf_append(out, STR("q"));

	if (error == 0)
		error = buf_append(out, reason);
	return error < 0 ? error : buf_append(out, STR("\n"));
}

/* What the q line OLD, or that there is none, and the wanted REASON make. */
static enum mqueue_change
change_of(bool has_old, struct str old, struct str reason)
{
	if (reason.size == 0)
		return has_old ? MQUEUE_RELEASED : MQUEUE_SAME;
	if (!has_old)
		return MQUEUE_QUARANTINED;
	return str_equal(old, reason) ? MQUEUE_SAME_REASON : MQUEUE_CHANGED;
}

int
mqueue_requarantine(struct str text, struct str reason, struct buf *out,
    enum mqueue_change *change_out, struct str *old_out)
{
	bool has_old = false, has_sender = false, is_ended = false;
	bool is_old = true;
	struct str line;
	size_t at = 0;
	int error = 0;

	*old_out = STR("");
	buf_clear(out);
	while (at < text.size && error == 0) {
		size_t begin = 0;
		struct str raw = line_raw(text, &at);
		char letter = raw.data[0];

		if (letter == 'q' && mqueue_line_next(raw, &begin, &line)) {
			*old_out = str_skip(line, 1);
			if (reason.size > 0 && !has_sender && !has_old)
				error = reason_put(reason, out);
			has_old = true;
			continue;
		}
		if (letter == 'S' && !has_old && !has_sender && reason.size > 0)
			error = reason_put(reason, out);
		has_sender = has_sender || letter == 'S';
		is_old = is_old && letter != 0 &&
		         strchr(LETTERS_OLD, letter) != NULL;
		is_ended = is_ended || letter == '.';
		if (error == 0)
			error = buf_append(out, raw);
	}
	*change_out = change_of(has_old, *old_out, reason);
	if (!has_sender || !(is_ended || is_old))
		*change_out = MQUEUE_INCOMPLETE;
	return error;
}
