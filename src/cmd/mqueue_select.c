/*
 * Scanning control files.  As sendmail does, the scan of a file ends when all
 * that is asked for has been found: a K or a q line behind that is not seen.
 */
#include "cmd/mqueue_select.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MQUEUE_DIGITS_MAX 40 /* bytes of a number that are looked at */

/* What is still to be found in a file. */
enum {
	NEED_PRIORITY = 1,
	NEED_CREATED = 2,
	NEED_HOST = 4,
	NEED_SENDER = 8,
	NEED_RECIPIENT = 16,
	NEED_REASON = 32,
	HAS_REASON = 64, /* a quarantined message that is named qf */
	REFUSED = NEED_SENDER | NEED_RECIPIENT | NEED_REASON | HAS_REASON,
};

struct scan {
	const struct mqueue_want *want;
	struct mqueue_item *item;
	unsigned need;
	int version;
};

enum mqueue_order
mqueue_order_read(struct str text)
{
	switch (text.size > 0 ? ascii_lower(text.data[0]) : 'p') {
	case 'h':
		return MQUEUE_BY_HOST;
	case 't':
		return MQUEUE_BY_TIME;
	case 'f':
		return MQUEUE_BY_NAME;
	case 'm':
		return MQUEUE_BY_CHANGE;
	case 'n':
	case 'r':
	case 's':
		return MQUEUE_UNSORTED;
	}
	return MQUEUE_BY_PRIORITY;
}

/* The next line without its LF. */
static bool
line_raw(struct str text, size_t *at, struct str *line_out)
{
	struct str rest = str_skip(text, *at), line;
	const char *end;

	if (rest.size == 0)
		return false;
	end = memchr(rest.data, '\n', rest.size);
	line =
	    str_head(rest, end != NULL ? (size_t)(end - rest.data) : rest.size);
	*at += line.size + (end != NULL ? 1 : 0);
	line.size = str_find(line, '\0');
	*line_out = line;
	return true;
}

bool
mqueue_line_next(struct str text, size_t *at, struct str *line_out)
{
	const char *end;

	if (!line_raw(text, at, line_out))
		return false;
	end = line_out->data + line_out->size;
	if (line_out->size > 0 && end[-1] == '\r' && end < text.data + *at &&
	    *end == '\n')
		line_out->size--;
	return true;
}

int64_t
mqueue_number(struct str text)
{
	char digits[MQUEUE_DIGITS_MAX + 1];

	text = str_head(text, MQUEUE_DIGITS_MAX);
	if (text.size == 0)
		return 0;
	memcpy(digits, text.data, text.size);
	digits[text.size] = '\0';
	return strtoll(digits, NULL, 10);
}

struct str
mqueue_recipient(struct str text, int version)
{
	size_t colon = str_find(text, ':');

	if (version < 1)
		return text;
	return colon < text.size ? str_skip(text, colon + 1)
	                         : (struct str){NULL, 0};
}

/* No message has a name with what a terminal would obey; a file of whoever may
   write to the directory may have one. */
static bool
name_is_printable(struct str name)
{
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] < ' ' || name.data[i] > '~')
			return false;
	return true;
}

bool
mqueue_want_name(const struct mqueue_want *want, struct str name)
{
	static const char letters[] = {
	    [SENDMAIL_QUEUE_NORMAL] = 'q',
	    [SENDMAIL_QUEUE_QUARANTINED] = 'h',
	    [SENDMAIL_QUEUE_LOST] = 'Q',
	};

	return name.size > 2 && name.data[0] == letters[want->queue] &&
	       name.data[1] == 'f' && name_is_printable(name) &&
	       store_select_has_text(want->select, STORE_SELECT_ID, name);
}

/* The host of a recipient as it is compared: from its end to its begin. */
static char *
scan_host(struct str text)
{
	size_t at = text.size, size;
	char *host;

	while (at > 0 && text.data[at - 1] != '@')
		at--;
	if (at == 0)
		return NULL;
	text = str_head(str_skip(text, at), MQUEUE_HOST_MAX);
	size = text.size;
	host = mem_new(size + 1, 1);
	for (size_t i = 0; i < size; i++)
		host[i] = ascii_lower(text.data[size - 1 - i]);
	return host;
}

static void
scan_recipient(struct scan *s, struct str text)
{
	struct str address = mqueue_recipient(text, s->version);

	if (s->item->host == NULL && (s->need & NEED_HOST) != 0) {
		s->item->host = scan_host(text);
		if (s->item->host != NULL)
			s->need &= ~(unsigned)NEED_HOST;
	}
	if (store_select_has_text(s->want->select, STORE_SELECT_RECIPIENT,
		address.data != NULL ? address : text))
		s->need &= ~(unsigned)NEED_RECIPIENT;
}

static void
scan_reason(struct scan *s, struct str text)
{
	if (s->want->queue == SENDMAIL_QUEUE_NORMAL)
		s->need |= HAS_REASON;
	else if (store_select_has_text(
		     s->want->select, STORE_SELECT_REASON, text))
		s->need &= ~(unsigned)NEED_REASON;
}

static void
scan_line(struct scan *s, char letter, struct str text)
{
	struct mqueue_item *item = s->item;
	int64_t age_s;

	switch (letter) {
	case 'V':
		s->version = mqueue_number(text) > 0 ? 1 : 0;
		break;
	case 'P':
		item->priority = mqueue_number(text);
		s->need &= ~(unsigned)NEED_PRIORITY;
		break;
	case 'T':
		item->created_s = mqueue_number(text);
		s->need &= ~(unsigned)NEED_CREATED;
		break;
	case 'K':
		if (__builtin_sub_overflow(
			s->want->now_s, mqueue_number(text), &age_s))
			break;
		if (age_s >= 0 && age_s < s->want->age_min_s)
			item->is_young = true;
		break;
	case 'N':
		if (mqueue_number(text) == 0)
			item->is_young = false;
		break;
	case 'q':
		scan_reason(s, text);
		break;
	case 'S':
		if (store_select_has_text(
			s->want->select, STORE_SELECT_SENDER, text))
			s->need &= ~(unsigned)NEED_SENDER;
		break;
	case 'R':
		scan_recipient(s, text);
		break;
	}
}

bool
mqueue_want_text(
    const struct mqueue_want *want, struct str text, struct mqueue_item *item)
{
	struct scan s = {want, item, NEED_PRIORITY | NEED_CREATED, 0};
	struct str line;
	size_t at = 0;

	item->is_young = false;
	item->priority = MQUEUE_NO_PRIORITY;
	item->created_s = 0;
	item->host = NULL;
	if (want->order == MQUEUE_BY_HOST)
		s.need |= NEED_HOST;
	if (store_select_wants(want->select, STORE_SELECT_SENDER))
		s.need |= NEED_SENDER;
	if (store_select_wants(want->select, STORE_SELECT_RECIPIENT))
		s.need |= NEED_RECIPIENT;
	if (store_select_wants(want->select, STORE_SELECT_REASON))
		s.need |= NEED_REASON;
	/* With CR, as sendmail has them here: it is part of a host's name. */
	while (s.need != 0 && line_raw(text, &at, &line))
		if (line.size > 0)
			scan_line(&s, line.data[0], str_skip(line, 1));
	return (s.need & REFUSED) == 0;
}

static int
compare_numbers(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int
compare_hosts(const struct mqueue_item *a, const struct mqueue_item *b)
{
	if (a->host == NULL || b->host == NULL)
		return (a->host != NULL) - (b->host != NULL);
	return strcmp(a->host, b->host);
}

static int
compare_place(const struct mqueue_item *a, const struct mqueue_item *b)
{
	return a->place < b->place ? -1 : a->place > b->place;
}

static int
by_priority(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;
	int order = compare_numbers(a->priority, b->priority);

	return order != 0 ? order : compare_place(a, b);
}

static int
by_time(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;
	int order = compare_numbers(a->created_s, b->created_s);

	return order != 0 ? order : compare_place(a, b);
}

static int
by_change(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;
	int order = compare_numbers(a->changed_s, b->changed_s);

	return order != 0 ? order : compare_place(a, b);
}

static int
by_name(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;

	return strcmp(a->name, b->name);
}

/* The host, what is locked before what is not. */
static int
by_host_and_lock(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;
	int order = compare_hosts(a, b);

	if (order == 0)
		order = (b->is_locked ? 1 : 0) - (a->is_locked ? 1 : 0);
	return order != 0 ? order : by_priority(a, b);
}

/* What is not locked first, then the host. */
static int
by_lock_and_host(const void *x, const void *y)
{
	const struct mqueue_item *a = x, *b = y;
	int order = (a->is_locked ? 1 : 0) - (b->is_locked ? 1 : 0);

	if (order == 0)
		order = compare_hosts(a, b);
	return order != 0 ? order : by_priority(a, b);
}

static void
sort_by_host(struct mqueue_item *items, size_t count)
{
	qsort(items, count, sizeof(*items), by_host_and_lock);
	for (size_t i = 1; i < count; i++)
		if (items[i - 1].is_locked &&
		    compare_hosts(&items[i - 1], &items[i]) == 0)
			items[i].is_locked = true;
	qsort(items, count, sizeof(*items), by_lock_and_host);
}

void
mqueue_sort(struct mqueue_item *items, size_t count, enum mqueue_order order)
{
	if (count < 2)
		return;
	switch (order) {
	case MQUEUE_BY_PRIORITY:
		qsort(items, count, sizeof(*items), by_priority);
		break;
	case MQUEUE_BY_HOST:
		sort_by_host(items, count);
		break;
	case MQUEUE_BY_TIME:
		qsort(items, count, sizeof(*items), by_time);
		break;
	case MQUEUE_BY_NAME:
		qsort(items, count, sizeof(*items), by_name);
		break;
	case MQUEUE_BY_CHANGE:
		qsort(items, count, sizeof(*items), by_change);
		break;
	case MQUEUE_UNSORTED:
		break;
	}
}

bool
mqueue_is_over_load(
    int64_t priority, int64_t load, uint64_t load_max, uint64_t factor)
{
	uint64_t over;

	if (load < 0 || (uint64_t)load < load_max)
		return false;
	over = (uint64_t)load - load_max + 1;
	CHECK(over > 0);
	return priority > 0 && (uint64_t)priority > factor / over;
}
