/*
 * The command line of sendmail and of the names under which it is called,
 * read as sendmail reads it: options first, in Berkeley's getopt form, then
 * operands; the first word that is no option ends the options, and so does any
 * word that begins with "--".
 *
 * All mistakes are looked for before the program ends, and what they say is
 * what the real program says.  Nothing here opens a file or looks anything up.
 */
#include "cmd/sendmail_options.h"
#include "base/check.h"
#include "base/num.h"
#include "cmd/sendmail_set.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define QUEUE_FACTOR 600000
#define HOPS_MAX     25
#define HOP_DIGITS   9

/* -S is no letter of sendmail's; it is one of its forerunner. */
static const char sendmail_letters[] =
    "A:B:b:C:cD:d:e:F:f:Gh:IiL:M:mN:nO:o:p:Q:q:R:r:S:sTtUV:vX:";

struct parse {
	struct sendmail_options *options;
	struct buf *messages;
	int status;
	const char *name; /* as it was called */
	char operation;   /* -b's letter, '\0' = none */
	/* -M, -R and -S may be the old forms of a queue run. */
	const char *old_id, *old_recipient, *old_sender;
	bool has_quarantine;
};

typedef void letter_fn(struct parse *p, char letter, struct str value);

static void parse_say(struct parse *p, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a line to what is printed; STATUS ends the program when all is read. */
static void
parse_say(struct parse *p, int status, const char *format, ...)
{
	char line[400];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (p->status == EX_OK)
		p->status = status;
	if (buf_printf(p->messages, "%s\n", line) < 0)
		return;
}

static void
parse_status(struct parse *p, int status)
{
	if (p->status == EX_OK)
		p->status = status;
}

static const struct {
	char letter;
	enum sendmail_mode mode;
} sendmail_operations[] = {
    {'m', SENDMAIL_DELIVER},
    {'a', SENDMAIL_DELIVER}, /* ARPANET mode: no difference is left */
    {'s', SENDMAIL_SMTP},
    {'d', SENDMAIL_DAEMON},
    {'D', SENDMAIL_FOREGROUND},
    {'l', SENDMAIL_LOOPBACK},
    {'p', SENDMAIL_PRINT},
    {'P', SENDMAIL_COUNT},
    {'h', SENDMAIL_HOSTSTAT},
    {'H', SENDMAIL_PURGESTAT},
    {'v', SENDMAIL_VERIFY},
    {'i', SENDMAIL_ALIASES},
    {'C', SENDMAIL_CHECK},
    {'t', SENDMAIL_TRY},
};

static void
letter_operation(struct parse *p, char letter, struct str value)
{
	char operation = value.size > 0 ? value.data[0] : ' ';

	for (size_t i = 0;
	     i < sizeof(sendmail_operations) / sizeof(sendmail_operations[0]);
	     i++)
		if (sendmail_operations[i].letter == operation) {
			p->options->mode = sendmail_operations[i].mode;
			p->operation = operation;
			return;
		}
	if (operation == 'z')
		parse_say(p, EX_USAGE, "Frozen configurations unsupported");
	else if (operation == 'O')
		parse_say(p, EX_USAGE, "-bO is not supported");
	else
		parse_say(p, EX_USAGE, "Invalid operation mode %c", operation);
}

static void
letter_body(struct parse *p, char letter, struct str value)
{
	if (str_case_equal(value, STR("7BIT")))
		p->options->body = MAIL_BODY_7BIT;
	else if (str_case_equal(value, STR("8BITMIME")))
		p->options->body = MAIL_BODY_8BITMIME;
	else
		parse_say(
		    p, EX_USAGE, "Illegal body type %.*s", STR_ARG(value));
}

static void
letter_file(struct parse *p, char letter, struct str value)
{
	if (letter == 'C' && value.size > 0)
		p->options->config_file = value.data;
	if (letter == 'D')
		p->options->debug_file = value.data;
	if (letter == 'X')
		p->options->traffic_file = value.data;
}

static void
letter_text(struct parse *p, char letter, struct str value)
{
	switch (letter) {
	case 'd':
		/* As in sendmail, alone it is the first level of all. */
		p->options->debug = value.size > 0 ? value : STR("0-99.1");
		break;
	case 'F':
		p->options->full_name = value;
		break;
	case 'L':
		p->options->syslog_label = value;
		break;
	default:
		CHECK(letter == 'A');
	}
}

/* One option that is another's old synonym: -e x, -c, -m, -s, -i, -T. */
static void
letter_synonym(struct parse *p, char letter, struct str value)
{
	char set = letter == 's' ? 'f' : letter;
	struct str text = letter == 'e' ? value : STR("T");
	int status = sendmail_set_letter(p->options, set, text, p->messages);

	parse_status(p, status);
}

static void
letter_flag(struct parse *p, char letter, struct str value)
{
	switch (letter) {
	case 'G':
		p->options->is_gateway = true;
		break;
	case 'I':
		p->options->mode = SENDMAIL_ALIASES;
		p->operation = 'i';
		break;
	case 'n':
		p->options->is_without_aliases = true;
		break;
	case 't':
		p->options->is_recipients_from_header = true;
		break;
	case 'U':
		p->options->is_smtputf8 = true;
		break;
	default:
		CHECK(letter == 'v');
		p->options->is_verbose = true;
	}
}

static void
letter_sender(struct parse *p, char letter, struct str value)
{
	if (p->options->has_sender)
		parse_say(p, EX_USAGE, "More than one \"from\" person");
	p->options->has_sender = true;
	p->options->sender = value;
}

/* Nothing is no hop, as is fewer. */
static void
letter_hops(struct parse *p, char letter, struct str value)
{
	bool is_less = str_starts(value, STR("-"));
	struct str digits = str_skip(value, is_less);

	p->options->hops = 0;
	if (value.size > 0 &&
	    (digits.size > HOP_DIGITS ||
		num_parse(digits, UINT32_MAX, &p->options->hops) < 0))
		parse_say(p, EX_USAGE, "Bad hop count (%.*s)", STR_ARG(value));
	if (is_less)
		p->options->hops = 0;
}

static void
letter_notify(struct parse *p, char letter, struct str value)
{
	static const struct {
		const char *name;
		uint8_t bit;
	} words[] = {
	    {"success", MAIL_NOTIFY_SUCCESS},
	    {"failure", MAIL_NOTIFY_FAILURE},
	    {"delay", MAIL_NOTIFY_DELAY},
	};
	struct str rest = value;
	uint8_t notify = 0;

	if (str_case_equal(value, STR("never"))) {
		p->options->notify = MAIL_NOTIFY_NEVER;
		return;
	}
	do {
		size_t comma = str_find(rest, ',');
		struct str word = str_trim(str_head(rest, comma));
		size_t i = 0;

		while (i < 3 && !str_case_equal(word, str_from(words[i].name)))
			i++;
		if (i == 3) {
			parse_say(p, EX_USAGE, "Invalid -N argument");
			return;
		}
		notify |= words[i].bit;
		rest = comma < rest.size ? str_skip(rest, comma + 1) : STR("");
	} while (rest.size > 0);
	p->options->notify = notify;
}

/* The old forms are looked at when it is known whether there is a recipient. */
static void
letter_old(struct parse *p, char letter, struct str value)
{
	if (letter == 'M')
		p->old_id = value.data;
	else if (letter == 'S')
		p->old_sender = value.data;
	else if (p->options->ret != MAIL_RET_NONE)
		parse_say(p, EX_USAGE, "Duplicate -R flag");
	else if (str_case_equal(value, STR("hdrs")))
		p->options->ret = MAIL_RET_HDRS;
	else if (str_case_equal(value, STR("full")))
		p->options->ret = MAIL_RET_FULL;
	else
		p->old_recipient = value.data;
}

static void
letter_set(struct parse *p, char letter, struct str value)
{
	int status;

	if (letter == 'O')
		status = sendmail_set_long(p->options, value, p->messages);
	else
		status = sendmail_set_letter(p->options,
		    value.size > 0 ? value.data[0] : '\0', str_skip(value, 1),
		    p->messages);
	parse_status(p, status);
}

static void
letter_protocol(struct parse *p, char letter, struct str value)
{
	size_t colon = str_find(value, ':');

	p->options->protocol = str_head(value, colon);
	p->options->protocol_host = str_skip(value, colon + 1);
}

/* RFC 3461 4: printable ASCII, "+" only before two capital hexadecimal
   digits, no "=". */
static bool
text_is_xtext(struct str text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c < '!' || c > '~' || c == '=')
			return false;
		if (c != '+')
			continue;
		if (i + 2 >= text.size ||
		    str_find(str_from(digits), text.data[i + 1]) == 16 ||
		    str_find(str_from(digits), text.data[i + 2]) == 16)
			return false;
		i += 2;
	}
	return true;
}

static void
letter_envid(struct parse *p, char letter, struct str value)
{
	if (value.size > MAIL_ENVID_MAX || !text_is_xtext(value))
		parse_say(p, EX_USAGE, "Invalid syntax in -V flag");
	p->options->envid = value;
}

static void
select_add(struct parse *p, enum store_select_field field, bool is_not,
    struct str text)
{
	int error = store_select_add(&p->options->select, field, is_not, text);

	if (error == -ENOSPC)
		parse_say(p, EX_USAGE, "Too many limits of -q");
	else if (error < 0)
		parse_say(p, EX_USAGE, "Limit of -q is too long");
}

/* -qI -qS -qR -qQ, with "!" before the letter; false if TEXT is none of
   these. */
static bool
queue_limit(struct parse *p, struct str text)
{
	static const char letters[] = "ISRQ";
	bool is_not = text.size > 0 && text.data[0] == '!';
	struct str limit = str_skip(text, is_not);
	size_t at = limit.size == 0 ? sizeof(letters) - 1
	                            : str_find(str_from(letters), *limit.data);

	if (at == sizeof(letters) - 1) {
		if (is_not)
			parse_say(p, EX_USAGE, "Invalid -q! option");
		return is_not;
	}
	limit = str_skip(limit, 1);
	if (letters[at] == 'Q')
		p->options->queue = SENDMAIL_QUEUE_QUARANTINED;
	if (letters[at] != 'Q' || limit.size > 0)
		select_add(p, (enum store_select_field)at, is_not, limit);
	return true;
}

static void
queue_interval(struct parse *p, struct str text)
{
	if (sendmail_time_parse(
		text, 'm', &p->options->run_interval_ms, p->messages) < 0)
		parse_status(p, EX_USAGE);
}

static void
letter_queue(struct parse *p, char letter, struct str value)
{
	struct sendmail_options *o = p->options;
	struct str rest = str_skip(value, 1);

	o->is_run = true;
	if (queue_limit(p, value))
		return;
	switch (value.size > 0 ? value.data[0] : '0') {
	case 'f':
		o->is_run_foreground = true;
		break;
	case 'L':
		o->queue = SENDMAIL_QUEUE_LOST;
		break;
	case 'G':
		if (o->queue_group.size > 0)
			parse_say(
			    p, EX_USAGE, "Can not use multiple -qG options");
		if (rest.size == 0)
			parse_say(p, EX_USAGE, "Queue group name is missing");
		o->queue_group = rest;
		break;
	case 'p':
		o->is_run_persistent = true;
		if (rest.size > 0)
			queue_interval(p, rest);
		else
			o->run_interval_ms = 1000;
		break;
	default:
		queue_interval(p, value);
	}
}

static void
letter_quarantine(struct parse *p, char letter, struct str value)
{
	if (str_equal(value, STR(".")))
		parse_say(p, EX_USAGE, "Can not use -Q.");
	p->has_quarantine = true;
	p->options->quarantine = value;
}

static const struct {
	const char *letters;
	letter_fn *read;
} letter_rows[] = {
    {"b", letter_operation},
    {"B", letter_body},
    {"CDX", letter_file},
    {"AdFL", letter_text},
    {"cemsiT", letter_synonym},
    {"GIntUv", letter_flag},
    {"fr", letter_sender},
    {"h", letter_hops},
    {"N", letter_notify},
    {"MRS", letter_old},
    {"oO", letter_set},
    {"p", letter_protocol},
    {"V", letter_envid},
    {"q", letter_queue},
    {"Q", letter_quarantine},
};

static void
letter_read(struct parse *p, char letter, struct str value)
{
	for (size_t i = 0; i < sizeof(letter_rows) / sizeof(letter_rows[0]);
	     i++)
		if (strchr(letter_rows[i].letters, letter) != NULL) {
			letter_rows[i].read(p, letter, value);
			return;
		}
	CHECK(!"a letter without a function");
}

/* Whether the word NEXT is the value of LETTER, which stands alone.  -q, -Q
   and -C may have none: then the next is an option or absent.  What follows -d
   is its value only if it looks like one. */
static bool
value_is_next(char letter, const char *next)
{
	if (strchr("qQC", letter) != NULL)
		return next != NULL && next[0] != '-';
	if (letter == 'd')
		return next != NULL && next[0] != '\0' &&
		       strspn(next, "0123456789.,-") == strlen(next);
	return next != NULL;
}

/* Reads the options of one word, moving *INDEX over a value that is the next
   word.  False if the command line is of no use any more. */
static bool
word_read(struct parse *p, int argc, char **argv, int *index)
{
	for (const char *at = argv[*index] + 1; *at != '\0'; at++) {
		const char *row =
		    *at == ':' ? NULL : strchr(sendmail_letters, *at);
		const char *next = *index + 1 < argc ? argv[*index + 1] : NULL;
		char letter = *at;
		struct str value = {"", 0};

		if (row == NULL) {
			parse_say(p, EX_USAGE, "%s: illegal option -- %c",
			    p->name, letter);
			return false;
		}
		if (row[1] != ':') {
			letter_read(p, letter, value);
			continue;
		}
		if (at[1] != '\0') {
			value = str_from(at + 1);
		} else if (value_is_next(letter, next)) {
			value = str_from(next);
			++*index;
		} else if (strchr("qQCd", letter) == NULL) {
			parse_say(p, EX_USAGE,
			    "%s: option requires an argument -- %c", p->name,
			    letter);
			return false;
		}
		letter_read(p, letter, value);
		return true;
	}
	return true;
}

static bool
words_read(struct parse *p, int argc, char **argv)
{
	int index = 1;

	for (; index < argc; index++) {
		const char *word = argv[index];

		if (word[0] != '-' || word[1] == '\0')
			break;
		if (word[1] == '-') {
			index++;
			break;
		}
		if (!word_read(p, argc, argv, &index))
			return false;
	}
	p->options->operands = argv + index;
	p->options->operand_count = (size_t)(argc - index);
	return true;
}

static void
program_read(struct parse *p, const char *name)
{
	static const struct {
		const char *name;
		enum sendmail_mode mode;
		char operation;
	} programs[] = {
	    {"mailq", SENDMAIL_PRINT, 'p'},
	    {"newaliases", SENDMAIL_ALIASES, 'i'},
	    {"hoststat", SENDMAIL_HOSTSTAT, 'h'},
	    {"purgestat", SENDMAIL_PURGESTAT, 'H'},
	    {"smtpd", SENDMAIL_DAEMON, 'd'},
	    {"rmail", SENDMAIL_RMAIL, 'm'},
	};
	const char *slash = strrchr(name, '/');

	p->name = name;
	p->options->program = slash != NULL ? slash + 1 : name;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strcmp(p->options->program, programs[i].name) == 0) {
			p->options->mode = programs[i].mode;
			p->operation = programs[i].operation;
		}
}

/* The forms of the time before V8: -M, -R and -S without a recipient are a
   queue run.  With one, -M sets a macro, and the others are wrong. */
static void
old_forms_finish(struct parse *p)
{
	struct sendmail_options *o = p->options;
	bool is_run = o->operand_count == 0 && !o->is_recipients_from_header &&
	              o->mode != SENDMAIL_SMTP && o->mode != SENDMAIL_RMAIL;

	if (!is_run) {
		if (p->old_recipient != NULL)
			parse_say(p, EX_USAGE, "Invalid -R value");
		if (p->old_sender != NULL)
			parse_say(
			    p, EX_USAGE, "%s: illegal option -- S", p->name);
		return;
	}
	if (p->old_id != NULL && p->old_id[0] != '{')
		select_add(p, STORE_SELECT_ID, false, str_from(p->old_id));
	if (p->old_recipient != NULL)
		select_add(p, STORE_SELECT_RECIPIENT, false,
		    str_from(p->old_recipient));
	if (p->old_sender != NULL)
		select_add(
		    p, STORE_SELECT_SENDER, false, str_from(p->old_sender));
	if (p->old_recipient != NULL || p->old_sender != NULL ||
	    (p->old_id != NULL && p->old_id[0] != '{'))
		o->is_run = true;
}

static bool
mode_has_queue(enum sendmail_mode mode)
{
	switch (mode) {
	case SENDMAIL_DELIVER:
	case SENDMAIL_DAEMON:
	case SENDMAIL_FOREGROUND:
	case SENDMAIL_LOOPBACK:
	case SENDMAIL_PRINT:
	case SENDMAIL_COUNT:
		return true;
	case SENDMAIL_SMTP:
	case SENDMAIL_RMAIL:
	case SENDMAIL_RUN:
	case SENDMAIL_QUARANTINE:
	case SENDMAIL_HOSTSTAT:
	case SENDMAIL_PURGESTAT:
	case SENDMAIL_VERIFY:
	case SENDMAIL_ALIASES:
	case SENDMAIL_CHECK:
	case SENDMAIL_TRY:
	case SENDMAIL_HELP:
		return false;
	}
	return false;
}

/* What the options mean together. */
static void
mode_finish(struct parse *p)
{
	struct sendmail_options *o = p->options;

	old_forms_finish(p);
	if (o->is_run && !mode_has_queue(o->mode))
		parse_say(p, EX_USAGE, "%sCan not use -q with -b%c",
		    o->mode == SENDMAIL_SMTP ? "550 " : "", p->operation);
	if (p->has_quarantine && o->mode != SENDMAIL_DELIVER)
		parse_say(
		    p, EX_USAGE, "Can not use -Q with -b%c", p->operation);
	if (p->has_quarantine && o->queue == SENDMAIL_QUEUE_LOST)
		parse_say(p, EX_USAGE, "Can not use -Q with -qL");
	if (o->mode == SENDMAIL_DELIVER && p->has_quarantine)
		o->mode = SENDMAIL_QUARANTINE;
	else if (o->mode == SENDMAIL_DELIVER && o->is_run)
		o->mode = SENDMAIL_RUN;
	if (o->is_run && o->is_verbose)
		o->is_run_foreground = true;
	if (p->status == EX_OK && o->operand_count == 0 &&
	    (o->mode == SENDMAIL_RMAIL ||
		(o->mode == SENDMAIL_DELIVER && !o->is_recipients_from_header)))
		parse_say(p, EX_USAGE, "Recipient names must be specified");
}

int
sendmail_options_read(struct sendmail_options *options, int argc, char **argv,
    struct buf *messages)
{
	struct parse p = {.options = options, .messages = messages};

	*options = (struct sendmail_options){
	    .program = "sendmail",
	    .queue_factor = QUEUE_FACTOR,
	    .hops_max = HOPS_MAX,
	};
	if (argc < 1 || argc > SENDMAIL_ARGS_MAX) {
		parse_say(&p, EX_USAGE, "sendmail: too many arguments");
		return p.status;
	}
	program_read(&p, argv[0]);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		options->mode = SENDMAIL_HELP;
		return EX_OK;
	}
	if (words_read(&p, argc, argv))
		mode_finish(&p);
	CHECK(p.status != EX_OK || options->operands != NULL);
	return p.status;
}
