/*
 * Programs and files as addresses, and commands as words.
 *
 * Invariants: alias_local_parse(alias_local_put(x)) is x; a word holds no
 * byte that is not printable ASCII; the first is an absolute path.
 */
#include "mail/alias_local.h"
#include "base/check.h"

#include <errno.h>
#include <string.h>

static bool
is_printable(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
	return true;
}

/* True for a path that means the same without quotes, to us and to
   sendmail. */
static bool
is_plain_path(struct str path)
{
	for (size_t i = 0; i < path.size; i++)
		if (!ascii_is_alpha(path.data[i]) &&
		    !ascii_is_digit(path.data[i]) &&
		    memchr("/._-+=", path.data[i], 6) == NULL)
			return false;
	return path.size > 0 && *path.data == '/';
}

int
alias_local_put(
    const struct alias_local *local, char address[MAIL_ADDRESS_MAX + 1])
{
	bool is_program = local->kind == ALIAS_PROGRAM;
	size_t size = 0, from = 0;

	CHECK(is_program || local->kind == ALIAS_FILE);
	if (local->text.size == 0 || local->text.size > MAIL_ADDRESS_MAX ||
	    !is_printable(local->text))
		return -EINVAL;
	if (!is_program && is_plain_path(local->text)) {
		memcpy(address, local->text.data, local->text.size);
		address[local->text.size] = '\0';
		return (int)local->text.size;
	}
	address[size++] = '"';
	if (is_program)
		address[size++] = '|';
	for (; from < local->text.size && size + 3 < MAIL_ADDRESS_MAX; from++) {
		char c = local->text.data[from];

		if (c == '"' || c == '\\')
			address[size++] = '\\';
		address[size++] = c;
	}
	if (from < local->text.size)
		return -EINVAL;
	address[size++] = '"';
	address[size] = '\0';
	return (int)size;
}

/* What stands in the quotes around all of ADDRESS; false if they are not
   around all of it. */
static bool
take_quoted(struct str address, char space[MAIL_ADDRESS_MAX], struct str *out)
{
	size_t size = 0, i = 1;

	for (; i < address.size && address.data[i] != '"'; i++) {
		if (address.data[i] == '\\' && ++i == address.size)
			return false;
		space[size++] = address.data[i];
	}
	*out = str_of(space, size);
	return i + 1 == address.size;
}

bool
alias_local_parse(struct str address, char space[MAIL_ADDRESS_MAX],
    struct alias_local *local_out)
{
	struct str text = address;

	*local_out = (struct alias_local){.kind = ALIAS_BAD, .text = {"", 0}};
	if (address.size == 0 || address.size > MAIL_ADDRESS_MAX ||
	    (*address.data != '"' && *address.data != '/') ||
	    !is_printable(address))
		return false;
	if (*address.data == '"' && !take_quoted(address, space, &text))
		return false;
	if (text.size == 0 ||
	    (text.data == address.data && !is_plain_path(text)))
		return false;
	if (*text.data == '|') {
		local_out->kind = ALIAS_PROGRAM;
		text = str_skip(text, 1);
	} else if (*text.data == '/') {
		local_out->kind = ALIAS_FILE;
	} else {
		return false;
	}
	local_out->text = text;
	return text.size > 0;
}

bool
alias_local_is(struct str address)
{
	char space[MAIL_ADDRESS_MAX];
	struct alias_local local;

	return alias_local_parse(address, space, &local);
}

/* Where the quoted text at the front of REST ends, its content at the end of
   the word; NULL, or what is wrong. */
static const char *
take_quotes(struct str *rest, char **to)
{
	char quote = *rest->data;
	size_t i = 1;

	for (; i < rest->size && rest->data[i] != quote; i++) {
		char c = rest->data[i];

		if (quote == '"' && (c == '$' || c == '`'))
			return "needs a shell, which is not asked";
		if (quote == '"' && c == '\\' && i + 1 < rest->size)
			c = rest->data[++i];
		*(*to)++ = c;
	}
	if (i == rest->size)
		return "has a quoted text that does not end";
	*rest = str_skip(*rest, i + 1);
	return NULL;
}

/* One word, which does not begin with a blank. */
static const char *
take_word(struct str *rest, char **to)
{
	const char *wrong = NULL;

	if (*rest->data == '~' || *rest->data == '#')
		return "needs a shell, which is not asked";
	while (wrong == NULL && rest->size > 0 && *rest->data != ' ') {
		char c = *rest->data;

		if (c == '\'' || c == '"') {
			wrong = take_quotes(rest, to);
			continue;
		}
		if (memchr(";&|<>()$`*?[", c, 12) != NULL)
			return "needs a shell, which is not asked";
		if (c == '\\' && rest->size > 1) {
			*rest = str_skip(*rest, 1);
			c = *rest->data;
		}
		*(*to)++ = c;
		*rest = str_skip(*rest, 1);
	}
	*(*to)++ = '\0';
	return wrong;
}

const char *
alias_command_split(struct str command, struct alias_command *command_out)
{
	char *to = command_out->space;
	const char *wrong = NULL;

	command_out->word_count = 0;
	if (command.size > MAIL_ADDRESS_MAX || !is_printable(command))
		return "is too long, or has other characters than ASCII";
	for (;;) {
		command = str_trim(command);
		if (command.size == 0 || wrong != NULL)
			break;
		if (command_out->word_count == ALIAS_WORDS_MAX)
			return "has too many words";
		command_out->words[command_out->word_count++] = to;
		wrong = take_word(&command, &to);
	}
	CHECK(to <= command_out->space + sizeof(command_out->space));
	command_out->words[command_out->word_count] = NULL;
	if (wrong == NULL &&
	    (command_out->word_count == 0 || *command_out->words[0] != '/'))
		wrong = "names no program by its absolute path";
	return wrong;
}
