/*
 * A forward pass over the bytes with libconfig's own rules for texts, comments
 * and names, one function for each.  It decides nothing about the grammar.
 *
 * Invariants: a text or comment that this pass sees is one for libconfig too,
 * so that no "@" outside reaches it; the n-th noted line is that of the n-th
 * text in document order, adjacent texts being one (libconfig joins them).
 */
#include "conf/scan.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_READ_SIZE 65536

struct scan_cursor {
	struct str rest;
	unsigned line;
	unsigned depth;
	bool is_behind_text; /* nothing but blanks since a text ended */
};

void
scan_init(struct scan *scan)
{
	*scan = (struct scan){0};
	buf_init(&scan->text, SCAN_FILE_MAX + SCAN_READ_SIZE);
}

void
scan_fini(struct scan *scan)
{
	buf_fini(&scan->text);
	free(scan->lines);
	scan->lines = NULL;
	scan->line_count = scan->line_max = 0;
}

int
scan_read(struct scan *scan, FILE *file)
{
	char *space;
	size_t n;

	do {
		space = buf_space(&scan->text, SCAN_READ_SIZE);
		if (space == NULL)
			return -EFBIG;
		n = fread(space, 1, SCAN_READ_SIZE, file);
		buf_added(&scan->text, n);
		if (buf_size(&scan->text) > SCAN_FILE_MAX)
			return -EFBIG;
	} while (n == SCAN_READ_SIZE);
	if (ferror(file))
		return -EIO;
	/* libconfig takes a comment only up to a newline, never up to the end
	   of the file. */
	if (buf_append(&scan->text, str_of("\n", 2)) < 0)
		return -EFBIG;
	return 0;
}

const char *
scan_text(const struct scan *scan)
{
	return buf_str(&scan->text).data;
}

/* Moves over N bytes and counts their newlines. */
static void
cursor_move(struct scan_cursor *at, size_t n)
{
	for (size_t i = 0; i < n && i < at->rest.size; i++)
		at->line += at->rest.data[i] == '\n';
	at->rest = str_skip(at->rest, n);
}

static void
line_note(struct scan *scan, unsigned line)
{
	if (scan->line_count == scan->line_max) {
		scan->line_max = scan->line_max > 0 ? scan->line_max * 2 : 256;
		scan->lines = mem_resize(
		    scan->lines, scan->line_max, sizeof(scan->lines[0]));
	}
	scan->lines[scan->line_count++] = line;
}

/* From the quote that opens a text to behind the one that closes it. */
static const char *
text_pass(struct scan *scan, struct scan_cursor *at)
{
	if (!at->is_behind_text)
		line_note(scan, at->line);
	cursor_move(at, 1);
	while (at->rest.size > 0 && *at->rest.data != '"') {
		if (str_case_starts(at->rest, STR("\\x00")))
			return "a text holds a zero byte";
		cursor_move(at, *at->rest.data == '\\' ? 2 : 1);
	}
	if (at->rest.size == 0)
		return "a text is not closed";
	cursor_move(at, 1);
	at->is_behind_text = true;
	return NULL;
}

/* From slash and star to behind star and slash. */
static const char *
comment_pass(struct scan_cursor *at)
{
	cursor_move(at, 2);
	while (at->rest.size > 0 && !str_starts(at->rest, STR("*/")))
		cursor_move(at, 1);
	if (at->rest.size == 0)
		return "a comment is not closed";
	cursor_move(at, 2);
	return NULL;
}

static bool
is_name_byte(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' ||
	       c == '*';
}

/* A name or a word such as "true". */
static void
name_pass(struct scan_cursor *at)
{
	size_t n = 0;

	while (n < at->rest.size && is_name_byte(at->rest.data[n]))
		n++;
	cursor_move(at, n);
}

/* A number: whole numbers in decimal are checked, all others are left to
   libconfig and to the type of the setting. */
static const char *
number_pass(struct scan_cursor *at)
{
	size_t sign = *at->rest.data == '-' || *at->rest.data == '+', n = sign;
	struct str digits, suffix;
	uint64_t value;

	while (n < at->rest.size &&
	       (is_name_byte(at->rest.data[n]) || at->rest.data[n] == '.'))
		n++;
	digits = suffix = str_skip(str_head(at->rest, n), sign);
	while (suffix.size > 0 && ascii_is_digit(*suffix.data))
		suffix = str_skip(suffix, 1);
	digits.size -= suffix.size;
	cursor_move(at, n);
	if (digits.size == 0 || !(suffix.size == 0 || *suffix.data == 'L'))
		return NULL;
	if (digits.size > 1 && *digits.data == '0')
		return "a number begins with 0";
	if (num_parse(digits, INT64_MAX, &value) < 0)
		return "a number is too large";
	if (value > INT_MAX && suffix.size == 0)
		return "a number over 2147483647 must end in L";
	return NULL;
}

/* Any other byte outside of texts and comments. */
static const char *
byte_pass(struct scan_cursor *at)
{
	char c = *at->rest.data;

	cursor_move(at, 1);
	switch (c) {
	case '\0':
		return "a zero byte";
	case '@':
		return "@include is not taken";
	case '(':
	case '[':
	case '{':
		if (++at->depth > SCAN_DEPTH_MAX)
			return "too many groups in each other";
		break;
	case ')':
	case ']':
	case '}':
		at->depth -= at->depth > 0;
		break;
	}
	return NULL;
}

static const char *
token_pass(struct scan *scan, struct scan_cursor *at)
{
	char c = *at->rest.data;

	if (c == '"')
		return text_pass(scan, at);
	if (c == '#' || str_starts(at->rest, STR("//"))) {
		cursor_move(at, str_find(at->rest, '\n'));
		return NULL;
	}
	if (str_starts(at->rest, STR("/*")))
		return comment_pass(at);
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
		return byte_pass(at);
	at->is_behind_text = false;
	if (ascii_is_alpha(c) || c == '*') {
		name_pass(at);
		return NULL;
	}
	if (ascii_is_digit(c) || c == '-' || c == '+' || c == '.')
		return number_pass(at);
	return byte_pass(at);
}

const char *
scan_check(struct scan *scan, unsigned *line_out)
{
	struct str text = buf_str(&scan->text);
	struct scan_cursor at = {.line = 1};
	const char *wrong = NULL;

	CHECK(text.size > 0 && text.data[text.size - 1] == '\0');
	at.rest = str_head(text, text.size - 1);
	*line_out = 1;
	if (str_find(at.rest, '\0') < at.rest.size)
		return "a zero byte";
	while (wrong == NULL && at.rest.size > 0) {
		*line_out = at.line;
		wrong = token_pass(scan, &at);
	}
	return wrong;
}

/* A setting with a name has the line of that name already.  The bound on depth
   was checked before libconfig made the tree. */
void
scan_lines_set(const struct scan *scan, config_setting_t *root)
{
	struct {
		config_setting_t *group;
		unsigned next;
	} stack[SCAN_DEPTH_MAX + 2] = {{root, 0}};
	size_t depth = 1, text_index = 0;

	while (depth > 0 && text_index < scan->line_count) {
		config_setting_t *setting = config_setting_get_elem(
		    stack[depth - 1].group, stack[depth - 1].next++);

		if (setting == NULL) {
			depth--;
		} else if (config_setting_is_aggregate(setting)) {
			CHECK(depth < SCAN_DEPTH_MAX + 2);
			stack[depth].group = setting;
			stack[depth++].next = 0;
		} else if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
			unsigned line = scan->lines[text_index++];

			if (config_setting_name(setting) == NULL)
				config_setting_set_hook(
				    setting, (void *)(uintptr_t)line);
		}
	}
}

unsigned
scan_line(const config_setting_t *setting)
{
	uintptr_t line = (uintptr_t)config_setting_get_hook(setting);

	return line > 0 ? (unsigned)line : config_setting_source_line(setting);
}
