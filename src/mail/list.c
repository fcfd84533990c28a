/*
 * Lists of addresses; see list.h.  An element is what stands between commas
 * (semicolons, the colon of a group); it is first looked through to its end,
 * which tells whether an address in brackets is in it, and then read.
 *
 * Invariants: the reader only goes forward and takes at least one byte for each
 * item; what it copies is bounded by the item; the text is only looked at.
 */
#include "mail/list.h"
#include "base/check.h"

#include <string.h>

/* One element: its bytes, and its brackets if it has them. */
struct element {
	size_t start, end;
	bool has_angle;
	size_t angle_start, angle_end; /* between "<" and ">" */
	const char *reason;            /* NULL = it is well formed */
};

static bool
list_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
mail_list_init(struct mail_list *l, struct str text)
{
	*l = (struct mail_list){.text = text};
}

/* Behind the quoted string or domain literal that begins at AT and ends with
   LAST; END + 1 if it does not end. */
static size_t
list_skip_quoted(struct str text, size_t at, size_t end, char last)
{
	for (at++; at < end; at++) {
		if (text.data[at] == '\\')
			at++;
		else if (text.data[at] == last)
			return at + 1;
	}
	return end + 1;
}

/* The same for a comment, which may hold comments. */
static size_t
list_skip_comment(struct str text, size_t at, size_t end)
{
	size_t depth = 0;

	for (; at < end; at++) {
		char c = text.data[at];

		if (c == '\\')
			at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return at + 1;
	}
	return end + 1;
}

/* Behind the unit at AT: a quoted string, a literal, a comment, an escaped or
   a plain character.  END + 1 if it does not end. */
static size_t
list_skip_unit(struct str text, size_t at, size_t end)
{
	CHECK(at < end && end <= text.size);
	switch (text.data[at]) {
	case '"':
		return list_skip_quoted(text, at, end, '"');
	case '[':
		return list_skip_quoted(text, at, end, ']');
	case '(':
		return list_skip_comment(text, at, end);
	case '\\':
		return at + 2 <= end ? at + 2 : end;
	default:
		return at + 1;
	}
}

static const char *
list_unbalanced(char c)
{
	switch (c) {
	case '"':
		return "Unbalanced '\"'";
	case '(':
		return "Unbalanced '('";
	case '[':
		return "Unbalanced '['";
	default:
		return "Unbalanced '<'";
	}
}

/* Takes a "<" or ">" at AT into the element. */
static void
element_angle(struct element *e, char c, size_t at, bool *is_inside)
{
	if (c == '<') {
		if (*is_inside || e->has_angle)
			e->reason = "Unbalanced '<'";
		e->angle_start = at + 1;
		e->has_angle = true;
		*is_inside = true;
	} else {
		if (!*is_inside)
			e->reason = "Unbalanced '>'";
		e->angle_end = at;
		*is_inside = false;
	}
}

/* Looks through the element that begins at AT. */
static struct element
element_scan(struct str text, size_t at)
{
	struct element e = {.start = at, .end = text.size};
	bool is_inside = false;

	while (at < text.size) {
		char c = text.data[at];
		size_t next = list_skip_unit(text, at, text.size);

		if (next > text.size) {
			e.reason = list_unbalanced(c);
			return e;
		}
		if (!is_inside && (c == ',' || c == ';')) {
			e.end = at;
			return e;
		}
		if (!is_inside && c == ':' && !e.has_angle)
			e.start = next; /* the name of a group */
		if (!is_inside && c == ')')
			e.reason = "Unbalanced ')'";
		if (c == '<' || c == '>')
			element_angle(&e, c, at, &is_inside);
		at = next;
		if (e.reason != NULL) {
			e.end = text.size;
			return e;
		}
	}
	if (is_inside)
		e.reason = "Unbalanced '<'";
	return e;
}

/* Where the route "@a,@b:" before an address ends. */
static size_t
list_skip_route(struct str text, size_t at, size_t end)
{
	size_t from = at;

	while (from < end && list_is_blank(text.data[from]))
		from++;
	if (from == end || text.data[from] != '@')
		return at;
	for (size_t i = from; i < end; i++)
		if (text.data[i] == ':')
			return i + 1;
	return at;
}

/* True if a blank or comment at AT stands inside an address: beside a dot or
   an at sign. */
static bool
word_goes_on(struct str text, size_t at, size_t end, char last)
{
	while (
	    at < end && (list_is_blank(text.data[at]) || text.data[at] == '('))
		at = list_skip_unit(text, at, end);
	if (at >= end)
		return false;
	return last == '.' || last == '@' || text.data[at] == '.' ||
	       text.data[at] == '@';
}

/*
 * Copies the address at *AT into ITEM: all of it up to END, or one word if
 * IS_WORD.  *AT is moved behind it.  False if it does not fit.
 */
static bool
item_copy(struct str text, size_t *at, size_t end, bool is_word,
    struct mail_list_item *item)
{
	size_t size = 0;
	bool is_fit = true;

	item->end = *at;
	while (*at < end) {
		char c = text.data[*at];
		size_t next = list_skip_unit(text, *at, end);
		size_t unit = next - *at, skip = 0;

		if (list_is_blank(c) || c == '(') {
			if (is_word && size > 0 &&
			    !word_goes_on(
				text, *at, end, item->address[size - 1]))
				break;
			*at = next;
			continue;
		}
		if (c == '\\' && unit == 2)
			skip = 1; /* "\root" */
		if (c == '@')
			item->has_domain = true;
		if (size + unit - skip > MAIL_ADDRESS_MAX)
			is_fit = false;
		if (is_fit) {
			memcpy(item->address + size, text.data + *at + skip,
			    unit - skip);
			size += unit - skip;
		}
		*at = next;
		item->end = next;
	}
	item->address[size] = '\0';
	return is_fit;
}

/* A word without a domain is looked at as if it had one. */
static bool
item_is_valid(const struct mail_list_item *item)
{
	struct mail_address address;
	char text[MAIL_ADDRESS_MAX + 3];
	struct str whole = str_from(item->address);

	if (item->has_domain)
		return mail_address_parse(whole, &address) == 0;
	if (whole.size > MAIL_LOCAL_MAX)
		return false;
	memcpy(text, whole.data, whole.size);
	memcpy(text + whole.size, "@h", 2);
	return mail_address_parse(str_of(text, whole.size + 2), &address) == 0;
}

static enum mail_list_result
item_wrong(struct mail_list_item *item, const char *reason, const char *status)
{
	item->reason = reason;
	item->status = status;
	return MAIL_LIST_WRONG;
}

/* An address that is none, with the words that sendmail's configuration has
   for it. */
static enum mail_list_result
item_judge(struct mail_list_item *item)
{
	struct str text = str_from(item->address);
	size_t at = str_find(text, '@');
	struct str domain = str_skip(text, at + 1);

	if (str_starts(text, STR("\"")) || at == text.size)
		return item_wrong(item, "", "");
	if (at == 0)
		return item_wrong(item, "User address required", "5.1.3");
	if (domain.size == 0)
		return item_wrong(item, "Hostname required", "5.1.3");
	if (str_find(domain, '@') < domain.size)
		return item_wrong(item, "Invalid route address", "5.1.3");
	if (domain.data[0] == '.' ||
	    memmem(domain.data, domain.size, "..", 2) != NULL)
		return item_wrong(item, "Invalid host name", "5.1.2");
	return item_wrong(item, "", "");
}

/* "a@b." is "a@b": the dot of the root is no part of an address. */
static void
item_cut_root(struct mail_list_item *item)
{
	size_t size = strlen(item->address);

	if (item->has_domain && size > 2 && item->address[size - 1] == '.' &&
	    item->address[size - 2] != '.' && item->address[size - 2] != '@')
		item->address[size - 1] = '\0';
}

/* What was copied, as far as it found room. */
static enum mail_list_result
item_finish(struct mail_list_item *item, bool is_fit)
{
	if (!is_fit)
		return item_wrong(item, "", "");
	item_cut_root(item);
	return item_is_valid(item) ? MAIL_LIST_ONE : item_judge(item);
}

static struct str
list_cut(struct str text, size_t start, size_t end)
{
	while (start < end && list_is_blank(text.data[start]))
		start++;
	while (end > start && list_is_blank(text.data[end - 1]))
		end--;
	return str_of(text.data + start, end - start);
}

/* True if only blanks and comments are between START and END. */
static bool
list_is_empty(struct str text, size_t start, size_t end)
{
	while (start < end &&
	       (list_is_blank(text.data[start]) || text.data[start] == '('))
		start = list_skip_unit(text, start, end);
	return start >= end;
}

/* The next word of the element up to its end; END where only blanks and
   comments are left. */
static enum mail_list_result
list_word(struct mail_list *l, struct mail_list_item *item)
{
	size_t start = l->at;
	bool is_fit = item_copy(l->text, &l->at, l->element_end, true, item);

	item->text = list_cut(l->text, start, item->end);
	item->is_alone = start == l->element_start &&
	                 list_is_empty(l->text, l->at, l->element_end);
	if (l->at >= l->element_end)
		l->element_end = 0;
	if (item->address[0] == '\0' && is_fit)
		return MAIL_LIST_END;
	return item_finish(item, is_fit);
}

static enum mail_list_result
list_angle(
    struct mail_list *l, const struct element *e, struct mail_list_item *item)
{
	size_t at = list_skip_route(l->text, e->angle_start, e->angle_end);
	bool is_fit = item_copy(l->text, &at, e->angle_end, false, item);

	item->text = list_cut(l->text, e->start, e->end);
	item->is_alone = true;
	l->at = e->end;
	if (item->address[0] == '\0' && is_fit)
		return MAIL_LIST_VOID;
	return item_finish(item, is_fit);
}

enum mail_list_result
mail_list_next(struct mail_list *l, struct mail_list_item *item)
{
	enum mail_list_result result = MAIL_LIST_END;

	while (result == MAIL_LIST_END) {
		struct element e;

		*item = (struct mail_list_item){.reason = "", .status = ""};
		if (l->element_end > 0) {
			result = list_word(l, item);
			continue;
		}
		while (l->at < l->text.size &&
		       (list_is_blank(l->text.data[l->at]) ||
			   l->text.data[l->at] == ',' ||
			   l->text.data[l->at] == ';'))
			l->at++;
		if (l->at == l->text.size)
			return MAIL_LIST_END;
		e = element_scan(l->text, l->at);
		if (e.reason != NULL) {
			item->text = list_cut(l->text, e.start, e.end);
			l->at = l->text.size;
			return item_wrong(item, e.reason, "");
		}
		if (e.has_angle) {
			result = list_angle(l, &e, item);
			continue;
		}
		l->at = e.start;
		l->element_start = e.start;
		l->element_end = e.end;
		if (e.start >= e.end)
			l->element_end = 0;
	}
	return result;
}
