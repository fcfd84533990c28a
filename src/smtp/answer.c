/*
 * The reader of replies.  At most SMTP_ANSWER_KEPT bytes of a reply are kept;
 * what follows is read and dropped, up to SMTP_ANSWER_TAKEN.
 */
#include "smtp/answer.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>

/* RFC 5321 4.5.3.1.5 says 512; real servers send longer ones, and the
   beginning of them is enough. */
#define ANSWER_LINE_MAX 2048

void
smtp_answer_init(struct smtp_answer *a)
{
	*a = (struct smtp_answer){0};
	buf_init(&a->text, SMTP_ANSWER_KEPT);
	smtp_line_init(&a->line, SMTP_LINE_CRLF, ANSWER_LINE_MAX);
}

void
smtp_answer_fini(struct smtp_answer *a)
{
	buf_fini(&a->text);
	smtp_line_fini(&a->line);
}

bool
smtp_answer_is_partial(const struct smtp_answer *a)
{
	return a->taken_size > 0 && !a->is_given;
}

/* The code in front of LINE, or 0 (RFC 5321 4.2: the first digit is 2..5). */
static int
answer_code(struct str line)
{
	if (line.size < 3 || line.data[0] < '2' || line.data[0] > '5' ||
	    !ascii_is_digit(line.data[1]) || !ascii_is_digit(line.data[2]))
		return 0;
	if (line.size > 3 && line.data[3] != ' ' && line.data[3] != '-')
		return 0;
	return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
	       (line.data[2] - '0');
}

/* Keeps TEXT as one line: an LF in it is no end of a line to us. */
static void
answer_keep(struct smtp_answer *a, struct str text)
{
	char *space;

	if (buf_room(&a->text) == 0)
		return;
	text = str_head(text, buf_room(&a->text) - 1);
	space = buf_space(&a->text, text.size + 1);
	/* Without memory the text is lost; the code decides. */
	if (space == NULL)
		return;
	for (size_t i = 0; i < text.size; i++)
		space[i] = text.data[i] == '\n' ? ' ' : text.data[i];
	space[text.size] = '\n';
	buf_added(&a->text, text.size + 1);
}

enum smtp_answer_event
smtp_answer_read(struct smtp_answer *a, struct str *in)
{
	struct str line;

	if (a->is_given) {
		a->is_given = false;
		a->code = 0;
		a->taken_size = 0;
		buf_clear(&a->text);
	}
	while (in->size > 0) {
		size_t size = in->size;
		enum smtp_line_result result =
		    smtp_line_read(&a->line, in, &line);
		int code;

		a->taken_size += size - in->size;
		if (a->taken_size > SMTP_ANSWER_TAKEN)
			return SMTP_ANSWER_JUNK;
		if (result == SMTP_LINE_MORE)
			return SMTP_ANSWER_MORE;
		code = answer_code(line);
		/* RFC 5321 4.2.1 wants one code in all lines; another class
		   means that replies and commands have lost each other. */
		if (code == 0 ||
		    (a->code != 0 && a->code / 100 != code / 100)) {
			answer_keep(a, line);
			return SMTP_ANSWER_JUNK;
		}
		a->code = code;
		answer_keep(a, str_skip(line, 4));
		/* A bare code is a last line (RFC 5321 4.2). */
		if (line.size == 3 || line.data[3] == ' ') {
			a->is_given = true;
			return SMTP_ANSWER_WHOLE;
		}
	}
	return SMTP_ANSWER_MORE;
}

bool
smtp_answer_line(const struct smtp_answer *a, size_t *at, struct str *line_out)
{
	struct str text = buf_str(&a->text);

	if (*at >= text.size)
		return false;
	text = str_skip(text, *at);
	*line_out = str_head(text, str_find(text, '\n'));
	*at += line_out->size + 1;
	return true;
}

/* Size of the status code "c.ddd.ddd" (RFC 3463 2) in front of TEXT, else 0;
   its class must be CLASS. */
static size_t
answer_status_size(struct str text, char class)
{
	size_t at = 1;

	if (text.size < 5 || text.data[0] != class)
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (at == text.size || text.data[at++] != '.')
			return 0;
		while (at < text.size && ascii_is_digit(text.data[at])) {
			at++;
			digits++;
		}
		if (digits < 1 || digits > 3)
			return 0;
	}
	return at == text.size || text.data[at] == ' ' ? at : 0;
}

void
smtp_answer_status(const struct smtp_answer *a, char class, char status[12])
{
	size_t at = 0, size = 0;
	struct str line = {"", 0};

	if (smtp_answer_line(a, &at, &line))
		size = answer_status_size(line, (char)('0' + a->code / 100));
	CHECK(size < 12);
	/* A 552 to RCPT counts as 452 (RFC 5321 4.5.3.1.10): CLASS rules. */
	if (size == 0)
		snprintf(status, 12, "%c.0.0", class);
	else
		snprintf(
		    status, 12, "%c%.*s", class, (int)size - 1, line.data + 1);
}

void
smtp_answer_print(const struct smtp_answer *a, char text[SMTP_ANSWER_MAX + 1])
{
	size_t at = 0, size = 0, skip;
	struct str line;
	bool is_first = true;

	if (a->code > 0)
		size = (size_t)snprintf(text, SMTP_ANSWER_MAX, "%d", a->code);
	while (smtp_answer_line(a, &at, &line)) {
		/* RFC 2034 4 has the status code on every line: once is
		   enough. */
		skip = answer_status_size(line, (char)('0' + a->code / 100));
		if (!is_first && skip > 0)
			line = str_skip(line, skip);
		is_first = false;
		line = str_trim(line);
		if (size > 0 && line.size > 0 && size < SMTP_ANSWER_MAX)
			text[size++] = ' ';
		for (size_t i = 0; i < line.size && size < SMTP_ANSWER_MAX;
		     i++) {
			char c = line.data[i];

			text[size++] = c >= 0x20 && c < 0x7f ? c : '?';
		}
	}
	text[size] = '\0';
}
