/* The fields of a message's header; see field.h. */
#include "mail/field.h"

static bool
field_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
mail_field_begins(struct str line)
{
	size_t colon = str_find(line, ':');
	size_t size = 0;

	if (colon == line.size)
		return false;
	/* RFC 5322 2.2: 33 to 126; 4.5 lets blanks stand before the colon. */
	while (size < colon && line.data[size] > ' ' && line.data[size] < 127)
		size++;
	if (size == 0)
		return false;
	while (size < colon && field_is_blank(line.data[size]))
		size++;
	return size == colon;
}

/* The size of the line at AT with its end. */
static size_t
field_line_size(struct str text, size_t at)
{
	size_t size = str_find(str_skip(text, at), '\n');

	return at + size < text.size ? size + 1 : size;
}

bool
mail_field_next(struct str *rest, struct mail_field *field)
{
	size_t size, colon;

	if (rest->size == 0)
		return false;
	size = field_line_size(*rest, 0);
	while (size < rest->size && field_is_blank(rest->data[size]))
		size += field_line_size(*rest, size);
	field->whole = str_head(*rest, size);
	colon = str_find(field->whole, ':');
	field->name = str_trim(str_head(field->whole, colon));
	field->body = str_skip(field->whole, colon + 1);
	for (int i = 0; i < 2 && field->body.size > 0; i++) {
		char last = field->body.data[field->body.size - 1];

		if (last == '\n' || last == '\r')
			field->body.size--;
	}
	*rest = str_skip(*rest, size);
	return true;
}
