/*
 * Aliases by the grammar of sendmail's readaliases(), with two differences: a
 * comment between a line and its continuation is passed over, and an item that
 * is no address is a mistake instead of mail to nowhere.
 *
 * Invariants: every byte is looked at a bounded number of times; a target's
 * text holds no control character and is ASCII, since a message that asked for
 * no SMTPUTF8 must be able to go there.
 */
#include "mail/alias_parse.h"
#include "base/check.h"

#include <string.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static struct str
trim(struct str s)
{
	while (s.size > 0 && is_blank(*s.data))
		s = str_skip(s, 1);
	while (s.size > 0 && is_blank(s.data[s.size - 1]))
		s.size--;
	return s;
}

/* The next line without its end. */
static struct str
take_line(struct alias_source *source)
{
	struct str line = str_head(source->rest, str_find(source->rest, '\n'));

	source->rest = str_skip(source->rest, line.size + 1);
	source->line++;
	if (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	return line;
}

static bool
is_empty(struct str line)
{
	return trim(line).size == 0 || *line.data == '#';
}

/* Appends LINE; true if it ended in a backslash, which says that the next
   belongs to it. */
static bool
join(struct buf *text, struct str line, bool *is_full)
{
	bool is_joined = line.size > 0 && line.data[line.size - 1] == '\\';

	line.size -= is_joined;
	if (buf_append(text, line) < 0 || buf_append(text, STR("\n")) < 0)
		*is_full = true;
	return is_joined;
}

/* How many lines of the rest are comments with a continuation behind them. */
static size_t
comments_before_continuation(struct alias_source source)
{
	size_t count = 0;

	while (source.rest.size > 0 && *source.rest.data == '#') {
		(void)take_line(&source);
		count++;
	}
	return source.rest.size > 0 && is_blank(*source.rest.data) &&
	               *source.rest.data != '\n'
	           ? count
	           : 0;
}

/* What continues the definition whose first line was joined. */
static void
take_continuations(struct alias_source *source, struct buf *text,
    bool is_joined, bool *is_full)
{
	while (source->rest.size > 0) {
		size_t count = comments_before_continuation(*source);
		char c = *source->rest.data;

		for (size_t i = 0; i < count; i++)
			(void)take_line(source);
		for (size_t i = 0; i < count && !*is_full; i++)
			*is_full = buf_append(text, STR("\n")) < 0;
		if (!is_joined && count == 0 && c != ' ' && c != '\t')
			return;
		is_joined = join(text, take_line(source), is_full);
	}
}

enum alias_found
alias_parse_definition(struct alias_source *source, bool is_include,
    struct buf *text, unsigned *line_out, const char **wrong_out)
{
	bool is_full = false, is_joined;
	struct str line;

	buf_clear(text);
	do {
		if (source->rest.size == 0)
			return ALIAS_FOUND_NONE;
		*line_out = source->line;
		line = take_line(source);
	} while (is_empty(line));
	is_joined = join(text, line, &is_full);
	if (!is_include)
		take_continuations(source, text, is_joined, &is_full);
	if (is_full)
		*wrong_out = "is too long";
	else if (!is_include && is_blank(*line.data))
		*wrong_out = "continues nothing, but begins with a blank";
	else
		return ALIAS_FOUND_ONE;
	return ALIAS_FOUND_WRONG;
}

/* The length of the quoted text at the front of TEXT, or 0 if it does not
   end. */
static size_t
quoted_size(struct str text)
{
	for (size_t i = 1; i < text.size; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Writes what the quotes around TEXT hold to TO, which has room for it and may
   be TEXT. */
static struct str
unquote(struct str text, char *to)
{
	size_t size = 0;

	CHECK(text.size >= 2);
	for (size_t i = 1; i + 1 < text.size; i++) {
		if (text.data[i] == '\\' && i + 2 < text.size)
			i++;
		to[size++] = text.data[i];
	}
	return str_of(to, size);
}

/* True for a local part as RFC 5321 has it, of ASCII only. */
static bool
is_local_part(struct str text)
{
	char copy[MAIL_LOCAL_MAX + 3];
	struct mail_address address;

	if (text.size > MAIL_LOCAL_MAX)
		return false;
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] >= 0x80)
			return false;
	if (text.size > 0)
		memcpy(copy, text.data, text.size);
	memcpy(copy + text.size, "@x", 2);
	return mail_address_parse(str_of(copy, text.size + 2), &address) == 0 &&
	       address.local.size == text.size;
}

const char *
alias_parse_name(
    struct str definition, char name[MAIL_LOCAL_MAX + 1], struct str *right_out)
{
	size_t quoted = *definition.data == '"' ? quoted_size(definition) : 0;
	struct str behind = str_skip(definition, quoted), text;
	size_t colon = quoted + str_find(behind, ':');

	if (colon == definition.size)
		return "has no colon";
	text = trim(str_head(definition, colon));
	*right_out = trim(str_skip(definition, colon + 1));
	if (text.size == 0)
		return "has no name before the colon";
	if (str_find(str_skip(text, quoted), '@') + quoted < text.size)
		return "has a name with a domain";
	if (!is_local_part(text))
		return "has a name that is no local part of an address";
	if (*text.data == '"')
		text = unquote(text, name);
	for (size_t i = 0; i < text.size; i++)
		name[i] = ascii_lower(text.data[i]);
	name[text.size] = '\0';
	return text.size > 0 ? NULL : "has no name before the colon";
}

/* Passes over the RFC 822 comment at the front; 0 if it does not end. */
static size_t
comment_size(struct str text)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '(')
			depth++;
		else if (text.data[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* Appends what is in quotes: lines are joined without a blank. */
static int
append_quoted(struct buf *to, struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] != '\n' &&
		    buf_append(to, str_of(text.data + i, 1)) < 0)
			return -1;
	return 0;
}

/* Moves the text up to the next comma to ITEM, without comments.  NULL, or what
   is wrong; then nothing is left of LIST. */
static const char *
take_item(struct str *list, struct buf *item)
{
	int error = 0;

	while (list->size > 0 && *list->data != ',' && error == 0) {
		size_t size = 1;
		char c = *list->data;

		if (c == '(') {
			size = comment_size(*list);
			error = buf_append(item, STR(" "));
		} else if (c == '"') {
			size = quoted_size(*list);
			error = append_quoted(item, str_head(*list, size));
		} else if (is_blank(c)) {
			error = buf_append(item, STR(" "));
		} else {
			/* "\," is no end. */
			size = c == '\\' && list->size > 1 &&
			               !is_blank(list->data[1])
			           ? 2
			           : 1;
			error = buf_append(item, str_head(*list, size));
		}
		if (size == 0) {
			*list = str_skip(*list, list->size);
			return c == '(' ? "has a comment that does not end"
			                : "has a quoted text that does not end";
		}
		*list = str_skip(*list, size);
	}
	*list = str_skip(*list, 1);
	return error < 0 ? "has an item that is too long" : NULL;
}

/* Takes TEXT as what is no address; false if it is one. */
static bool
classify_special(struct str text, struct alias_target *target)
{
	struct str include = STR(":include:");

	if (text.size == 0)
		return false;
	if (*text.data == '|') {
		target->kind = ALIAS_PROGRAM;
		text = str_trim(str_skip(text, 1));
	} else if (str_case_starts(text, include)) {
		target->kind = ALIAS_INCLUDE;
		text = str_trim(str_skip(text, include.size));
	} else if (str_equal(text, STR("/dev/null"))) {
		target->kind = ALIAS_DISCARD;
	} else if (*text.data == '/' && str_find(text, '@') == text.size) {
		target->kind = ALIAS_FILE;
	} else {
		return false;
	}
	target->text = text;
	return true;
}

static const char *
special_mistake(const struct alias_target *target)
{
	if (target->kind == ALIAS_PROGRAM)
		return target->text.size > 0 ? NULL
		                             : "has a \"|\" without a program";
	if (target->text.size == 0 || *target->text.data != '/')
		return "has an :include: without an absolute path";
	if (target->text.size > ALIAS_PATH_MAX)
		return "has a path that is too long";
	return NULL;
}

/* "Ann B <ann@a.test>": what is in the brackets. */
static const char *
strip_phrase(struct str *text)
{
	size_t open = 0;

	while (open < text->size && text->data[open] != '<') {
		struct str rest = str_skip(*text, open);
		size_t quoted = *rest.data == '"' ? quoted_size(rest) : 0;

		/* A quote behind a backslash begins nothing. */
		open += quoted > 0 ? quoted : 1;
	}
	if (open == text->size)
		return NULL;
	*text = str_skip(*text, open + 1);
	if (text->size == 0 || text->data[text->size - 1] != '>')
		return "has a \"<\" without a \">\" at the end";
	*text = str_trim(str_head(*text, text->size - 1));
	return text->size > 0 ? NULL : "has an empty address";
}

static const char *
classify_address(struct str text, struct alias_target *target)
{
	struct mail_address address;
	const char *wrong;

	if (*text.data == ':')
		return "has a \":\" that is no :include:";
	wrong = strip_phrase(&text);
	if (wrong != NULL)
		return wrong;
	if (*text.data == '\\') {
		target->is_final = true;
		text = str_skip(text, 1);
	}
	target->text = text;
	if (is_local_part(text)) {
		target->kind = ALIAS_LOCAL;
		return NULL;
	}
	target->kind = ALIAS_ADDRESS;
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] >= 0x80)
			return "has an address that is not ASCII";
	if (mail_address_parse(text, &address) < 0 || address.domain.size == 0)
		return "has an item that is no address";
	return NULL;
}

static bool
has_control(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return true;
	return false;
}

static const char *
classify(struct buf *scratch, struct alias_target *target)
{
	struct str text = str_trim(buf_str(scratch)), inner;
	char *space;

	if (has_control(text))
		return "has a control character";
	if (*text.data == '"' && quoted_size(text) == text.size) {
		size_t at = (size_t)(text.data - buf_str(scratch).data);
		size_t size = text.size;

		space = buf_space(scratch, size);
		if (space == NULL)
			return "has an item that is too long";
		text = str_of(buf_str(scratch).data + at, size);
		inner = unquote(text, space);
		if (inner.size == 0)
			return "has an empty address";
		if (classify_special(inner, target))
			return special_mistake(target);
		/* Quotes that are not needed say nothing. */
		if (is_local_part(inner))
			text = inner;
	} else if (classify_special(text, target)) {
		return special_mistake(target);
	}
	return classify_address(text, target);
}

/* |"COMMAND" is "|COMMAND"; TEXT lies in SCRATCH. */
static struct str
bare_command(struct buf *scratch, struct str text)
{
	if (text.size < 2 || *text.data != '"' ||
	    quoted_size(text) != text.size)
		return text;
	return str_trim(
	    unquote(text, scratch->data + (text.data - scratch->data)));
}

static unsigned
count_lines(struct str text)
{
	unsigned count = 0;

	for (size_t i = 0; i < text.size; i++)
		count += text.data[i] == '\n';
	return count;
}

enum alias_found
alias_parse_target(struct str *list, struct buf *scratch,
    struct alias_target *target_out, unsigned *lines_out,
    const char **wrong_out)
{
	struct str before = *list;

	*target_out = (struct alias_target){.kind = ALIAS_BAD};
	do {
		while (list->size > 0 &&
		       (is_blank(*list->data) || *list->data == ','))
			*list = str_skip(*list, 1);
		*lines_out =
		    count_lines(str_head(before, before.size - list->size));
		if (list->size == 0)
			return ALIAS_FOUND_NONE;
		buf_clear(scratch);
		*wrong_out = take_item(list, scratch);
		/* A comment alone is no item. */
	} while (*wrong_out == NULL && str_trim(buf_str(scratch)).size == 0);
	if (*wrong_out == NULL)
		*wrong_out = classify(scratch, target_out);
	if (target_out->kind == ALIAS_PROGRAM)
		target_out->text = bare_command(scratch, target_out->text);
	if (*wrong_out == NULL)
		return ALIAS_FOUND_ONE;
	target_out->kind = ALIAS_BAD;
	return ALIAS_FOUND_WRONG;
}
