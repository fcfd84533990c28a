/*
 * What the text of an S or R line addresses.  These texts are what was typed
 * or sent by SMTP: with names, comments and blanks as in a header (RFC 5322
 * 3.4), source routes (RFC 5321 appendix C), or a program or file of an alias.
 *
 * It never repairs: what does not come out as one address is BAD, and bounces.
 */
#include "mail/address.h"
#include "store/mqueue/qf_text.h"

#include <errno.h>

/* The address without its comments and blanks, gathered in one pass. */
struct qf_gather {
	struct str in;
	size_t at;
	char *out; /* in.size bytes */
	size_t size;
	size_t comments; /* open ones */
	bool is_quoted;  /* inside "..." */
	bool is_angled;  /* inside <...> */
	bool had_angle;  /* behind <...> */
	bool is_gap;     /* blanks stand before what comes */
	bool is_split;   /* blanks were where none may be in an address */
	bool is_bad;
};

static bool
is_special(char c)
{
	return c == '.' || c == '@' || c == '!' || c == '%' || c == ':' ||
	       c == ',';
}

/* Blanks may stand beside specials only. */
static void
gather_byte(struct qf_gather *g, char c)
{
	if (g->had_angle)
		return;
	if (g->is_gap && g->size > 0 && !is_special(c) &&
	    !is_special(g->out[g->size - 1]))
		g->is_split = true;
	g->is_gap = false;
	g->out[g->size++] = c;
}

/* A backslash and what it quotes, or only the latter in a comment. */
static void
gather_pair(struct qf_gather *g)
{
	char c = g->in.data[g->at++];

	if (g->at == g->in.size) {
		g->is_bad = true;
		return;
	}
	if (g->comments == 0) {
		gather_byte(g, c);
		gather_byte(g, g->in.data[g->at]);
	}
	g->at++;
}

/* "<": what was before it was a name, which may have blanks. */
static void
gather_open(struct qf_gather *g)
{
	if (g->is_angled || g->had_angle)
		g->is_bad = true;
	g->is_angled = true;
	g->is_gap = g->is_split = false;
	g->size = 0;
}

static void
gather_close(struct qf_gather *g)
{
	if (!g->is_angled)
		g->is_bad = true;
	g->is_angled = false;
	g->had_angle = true;
}

/* One byte that is neither in a comment nor in quotes. */
static void
gather_plain(struct qf_gather *g, char c)
{
	if (c == '(')
		g->comments++;
	else if (c == ')')
		g->is_bad = true;
	else if (c == '<')
		gather_open(g);
	else if (c == '>')
		gather_close(g);
	else if (qf_is_blank(c))
		g->is_gap = true;
	else
		gather_byte(g, c);
	if (c == '"')
		g->is_quoted = true;
}

static void
gather(struct qf_gather *g)
{
	while (g->at < g->in.size) {
		char c = g->in.data[g->at];

		if (c == '\\') {
			gather_pair(g);
			continue;
		}
		g->at++;
		if (g->comments > 0) {
			g->comments += (c == '(');
			g->comments -= (c == ')');
		} else if (g->is_quoted) {
			gather_byte(g, c);
			g->is_quoted = c != '"';
		} else {
			gather_plain(g, c);
		}
	}
	if (g->comments > 0 || g->is_quoted || g->is_angled || g->is_split)
		g->is_bad = true;
}

/* "@a,@b:c@d" without its route; "a@b" as it is. */
static struct str
skip_route(struct str text)
{
	size_t colon = str_find(text, ':');

	if (text.size == 0 || text.data[0] != '@' || colon == text.size)
		return text;
	return str_skip(text, colon + 1);
}

static bool
is_atom_byte(char c)
{
	static const char specials[] = "()<>@,;:\\\"[]";

	for (size_t i = 0; i < sizeof(specials) - 1; i++)
		if (c == specials[i])
			return false;
	return (unsigned char)c > ' ' && c != 0x7F;
}

/* Labels of any bytes but specials, none empty, or a literal. */
static bool
is_domain(struct str domain)
{
	if (domain.size > 1 && domain.data[0] == '[') {
		struct str inner =
		    str_head(str_skip(domain, 1), domain.size - 2);

		if (domain.data[domain.size - 1] != ']' || inner.size == 0)
			return false;
		for (size_t i = 0; i < inner.size; i++)
			if (inner.data[i] != ':' &&
			    !is_atom_byte(inner.data[i]))
				return false;
		return true;
	}
	for (size_t i = 0; i < domain.size; i++)
		if (!is_atom_byte(domain.data[i]) ||
		    (domain.data[i] == '.' &&
			(i == 0 || domain.data[i - 1] == '.')))
			return false;
	return domain.size > 0;
}

/* Atoms, dots and quoted strings.  SIZE_OUT is where it ends. */
static bool
is_local(struct str text, size_t *size_out)
{
	bool is_quoted = false;
	size_t i;

	for (i = 0; i < text.size && (is_quoted || text.data[i] != '@'); i++) {
		char c = text.data[i];

		if (c == '\\' && i + 1 < text.size)
			i++;
		else if (c == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && !is_atom_byte(c))
			return false;
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7F)
			return false;
	}
	*size_out = i;
	return i > 0 && !is_quoted;
}

/* What was gathered, as an address of mail. */
static void
judge(struct str bare, struct qf_address *address)
{
	size_t local_size;

	bare = skip_route(bare);
	if (!is_local(bare, &local_size))
		return;
	/* "a@b." is what it is without the root's dot, as sendmail has it. */
	if (local_size + 1 < bare.size && bare.data[bare.size - 1] == '.' &&
	    bare.data[bare.size - 2] != '.')
		bare.size--;
	if (local_size < bare.size &&
	    !is_domain(str_skip(bare, local_size + 1)))
		return;
	address->kind = QF_ADDRESS_MAIL;
	address->bare = bare;
	address->has_domain = local_size < bare.size;
	address->is_oversize = bare.size > MAIL_ADDRESS_MAX;
}

/* TEXT without the quotes around all of it, if there are such: a copy.  No data
   if the arena is full. */
static struct str
command_of(struct str text, struct arena *arena)
{
	size_t i = 1, size = 0;
	char *copy;

	text = str_trim(text);
	if (text.size < 2 || text.data[0] != '"')
		return text;
	copy = arena_new(arena, text.size);
	if (copy == NULL)
		return str_of(NULL, 0);
	for (; i < text.size && text.data[i] != '"'; i++) {
		if (text.data[i] == '\\' && i + 1 < text.size)
			i++;
		copy[size++] = text.data[i];
	}
	return i + 1 == text.size ? str_of(copy, size) : text;
}

/* Programs, files and included lists: 1 if TEXT is one, 0 if not, or
   -ENOBUFS. */
static int
judge_local(struct str text, struct arena *arena, struct qf_address *address)
{
	struct str command = command_of(text, arena);

	if (command.data == NULL)
		return -ENOBUFS;
	if (command.size > 0 && command.data[0] == '|') {
		address->kind = QF_ADDRESS_PROGRAM;
		address->bare = command_of(str_skip(command, 1), arena);
	} else if (command.size > 0 && command.data[0] == '/' &&
		   str_find(command, '@') == command.size) {
		address->kind = QF_ADDRESS_FILE;
		address->bare = command;
	} else if (str_case_starts(command, STR(":include:"))) {
		address->kind = QF_ADDRESS_INCLUDE;
		address->bare = str_trim(str_skip(command, 9));
	} else {
		return 0;
	}
	return address->bare.data != NULL ? 1 : -ENOBUFS;
}

int
qf_address(struct str text, struct arena *arena, struct qf_address *address_out)
{
	struct qf_gather g = {.in = str_trim(qf_unquote(text, arena))};
	int result;

	if (g.in.data == NULL)
		return -ENOBUFS;
	*address_out =
	    (struct qf_address){.kind = QF_ADDRESS_BAD, .bare = g.in};
	if (g.in.size == 0)
		address_out->kind = QF_ADDRESS_EMPTY;
	result = g.in.size == 0 ? 1 : judge_local(g.in, arena, address_out);
	if (result != 0)
		return result < 0 ? result : 0;
	g.out = arena_new(arena, g.in.size);
	if (g.out == NULL)
		return -ENOBUFS;
	gather(&g);
	if (g.is_bad)
		return 0;
	if (g.size == 0 && g.had_angle) {
		address_out->kind = QF_ADDRESS_NULL;
		address_out->bare = STR("");
		return 0;
	}
	judge(str_of(g.out, g.size), address_out);
	return 0;
}
