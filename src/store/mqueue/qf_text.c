/*
 * The lexical part of control files: lines with their continuation lines,
 * numbers, xtext, field names and the quoting of internal bytes.
 */
#include "store/mqueue/qf.h"
#include "store/mqueue/qf_text.h"

bool
qf_line_next(
    struct str bytes, size_t *at, size_t *number, struct qf_line *line_out)
{
	struct str rest = str_skip(bytes, *at);
	size_t size = 0, lines = 0, next = 0;

	if (rest.size == 0)
		return false;
	do {
		size = next + str_find(str_skip(rest, next), '\n');
		next = size < rest.size ? size + 1 : size;
		lines++;
	} while (next < rest.size &&
		 (rest.data[next] == ' ' || rest.data[next] == '\t'));
	line_out->number = *number + 1;
	line_out->code = size > 0 ? rest.data[0] : '\0';
	line_out->text = str_skip(str_head(rest, size), 1);
	*number += lines;
	*at += next;
	return true;
}

bool
qf_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int64_t
qf_number(struct str text, int64_t limit)
{
	bool is_negative = false;
	int64_t value = 0;
	size_t i = 0;

	while (i < text.size && qf_is_blank(text.data[i]))
		i++;
	if (i < text.size && (text.data[i] == '-' || text.data[i] == '+'))
		is_negative = text.data[i++] == '-';
	for (; i < text.size && ascii_is_digit(text.data[i]); i++) {
		int digit = text.data[i] - '0';

		if (value > (limit - digit) / 10)
			value = limit;
		else
			value = value * 10 + digit;
	}
	return is_negative ? -value : value;
}

bool *
qf_flag(struct qf *q, char letter)
{
	switch (letter) {
	case 'w':
		return &q->is_warned;
	case 'r':
		return &q->is_response;
	case '8':
		return &q->has_8bit;
	case 'b':
		return &q->is_bcc_deleted;
	case 'd':
		return &q->has_ret;
	case 'n':
		return &q->is_ret_headers;
	case 's':
		return &q->is_split;
	case 'e':
		return &q->is_smtputf8;
	}
	return NULL;
}

static bool
is_hex(char c)
{
	return ascii_is_digit(c) ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

bool
qf_is_xtext(struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c == '+') {
			if (text.size - i < 3 || !is_hex(text.data[i + 1]) ||
			    !is_hex(text.data[i + 2]))
				return false;
			i += 2;
		} else if (c < '!' || c > '~' || c == '=') {
			return false;
		}
	}
	return true;
}

bool
qf_is_internal(char byte)
{
	unsigned char c = (unsigned char)byte;

	return (c >= 0x80 && c <= 0x9F) || c == QF_META;
}

size_t
qf_plain_size(struct str text)
{
	size_t size = 0;

	while (size < text.size && text.data[size] != '\r' &&
	       text.data[size] != '\n')
		size++;
	return size;
}

bool
qf_header_split(struct str text, struct str *name_out, struct str *value_out)
{
	size_t size = 0, i;

	while (size < text.size && text.data[size] > ' ' &&
	       text.data[size] <= '~' && text.data[size] != ':')
		size++;
	for (i = size; i < text.size && qf_is_blank(text.data[i]); i++)
		continue;
	if (size == 0 || i == text.size || text.data[i] != ':')
		return false;
	*name_out = str_head(text, size);
	*value_out = str_skip(text, i + 1);
	return true;
}

struct str
qf_unquote(struct str text, struct arena *arena)
{
	char *out = arena_new(arena, text.size + 1);
	size_t size = 0;

	if (out == NULL)
		return str_of(NULL, 0);
	for (size_t i = 0; i < text.size; i++) {
		/* As sendmail: one is taken away, at the end too. */
		if ((unsigned char)text.data[i] == QF_META && ++i == text.size)
			break;
		out[size++] = text.data[i];
	}
	return str_of(out, size);
}

struct str
qf_quote(struct str text, struct arena *arena)
{
	size_t size = 0;
	char *out;

	for (size_t i = 0; i < text.size; i++)
		size += qf_is_internal(text.data[i]) ? 2 : 1;
	out = arena_new(arena, size + 1);
	if (out == NULL)
		return str_of(NULL, 0);
	size = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (qf_is_internal(text.data[i]))
			out[size++] = (char)QF_META;
		out[size++] = text.data[i];
	}
	return str_of(out, size);
}
