/*
 * The verbs of the server machine: the table first, then one function a verb,
 * in the order of the table, then how a line comes to its verb.
 *
 * Each function gives one reply, or leaves one question in s->ask and lets
 * server.c make the reply and the move when the answer comes.
 */
#include "smtp/server_own.h"
#include "base/check.h"
#include "base/num.h"
#include "smtp/command.h"

#include <errno.h>
#include <string.h>

#define SMTP_ARGUMENT_MAX 512 /* of ETRN and QSND */

#define IN(state)         (1u << SMTP_STATE_##state)
#define IN_NONE           (IN(NEW) | IN(IDLE)) /* in no transaction */
#define IN_ANY            (IN_NONE | IN(MAIL) | IN(RCPT))

enum smtp_arguments {
	SMTP_ARGUMENT_NONE,
	SMTP_ARGUMENT_SOME,
	SMTP_ARGUMENT_ANY,
};

struct smtp_verb {
	struct str name;
	unsigned states; /* where it is allowed */
	enum smtp_arguments arguments;
	void (*act)(struct smtp_server *s, struct str arguments);
	const char *usage;
};

static void smtp_verb_ehlo(struct smtp_server *s, struct str arguments);
static void smtp_verb_helo(struct smtp_server *s, struct str arguments);
static void smtp_verb_mail(struct smtp_server *s, struct str arguments);
static void smtp_verb_rcpt(struct smtp_server *s, struct str arguments);
static void smtp_verb_data(struct smtp_server *s, struct str arguments);
static void smtp_verb_rset(struct smtp_server *s, struct str arguments);
static void smtp_verb_noop(struct smtp_server *s, struct str arguments);
static void smtp_verb_vrfy(struct smtp_server *s, struct str arguments);
static void smtp_verb_help(struct smtp_server *s, struct str arguments);
static void smtp_verb_quit(struct smtp_server *s, struct str arguments);
static void smtp_verb_etrn(struct smtp_server *s, struct str arguments);
static void smtp_verb_qsnd(struct smtp_server *s, struct str arguments);
static void smtp_verb_bdat(struct smtp_server *s, struct str arguments);
static void smtp_verb_known(struct smtp_server *s, struct str arguments);

/* RFC 5321 4.1.4 says what goes where.  ETRN and QSND need no greeting: their
   clients of old send none.  The last six are of extensions not offered. */
static const struct smtp_verb smtp_verbs[] = {
    {STR("EHLO"), IN_ANY, SMTP_ARGUMENT_SOME, smtp_verb_ehlo, "EHLO name"},
    {STR("HELO"), IN_ANY, SMTP_ARGUMENT_SOME, smtp_verb_helo, "HELO name"},
    {STR("MAIL"), IN(IDLE), SMTP_ARGUMENT_ANY, smtp_verb_mail, ""},
    {STR("RCPT"), IN(MAIL) | IN(RCPT), SMTP_ARGUMENT_ANY, smtp_verb_rcpt, ""},
    {STR("DATA"), IN(RCPT), SMTP_ARGUMENT_NONE, smtp_verb_data, "DATA"},
    {STR("RSET"), IN_ANY, SMTP_ARGUMENT_NONE, smtp_verb_rset, "RSET"},
    {STR("NOOP"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_noop, ""},
    {STR("VRFY"), IN_ANY, SMTP_ARGUMENT_SOME, smtp_verb_vrfy, "VRFY address"},
    {STR("HELP"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_help, ""},
    {STR("QUIT"), IN_ANY, SMTP_ARGUMENT_NONE, smtp_verb_quit, "QUIT"},
    {STR("ETRN"), IN_NONE, SMTP_ARGUMENT_ANY, smtp_verb_etrn, ""},
    {STR("QSND"), IN_NONE, SMTP_ARGUMENT_ANY, smtp_verb_qsnd, ""},
    {STR("EXPN"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_known, ""},
    {STR("TURN"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_known, ""},
    {STR("ATRN"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_known, ""},
    {STR("AUTH"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_known, ""},
    {STR("BDAT"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_bdat, ""},
    {STR("STARTTLS"), IN_ANY, SMTP_ARGUMENT_ANY, smtp_verb_known, ""},
};

/* The name of EHLO and HELO: the first word, since clients were seen to add
   more; a name that is no domain is no reason to refuse (RFC 5321 4.1.4). */
static bool
smtp_server_take_helo(struct smtp_server *s, struct str name)
{
	size_t size = 0;

	for (; size < name.size && name.data[size] != ' ' &&
	       name.data[size] != '\t';
	     size++)
		if (name.data[size] < ' ' || name.data[size] > '~')
			return false;
	if (size > sizeof(s->helo))
		return false;
	memcpy(s->helo, name.data, size);
	s->helo_size = size;
	return true;
}

/* EHLO SP ( Domain / address-literal ); it resets like RSET (4.1.4). */
static void
smtp_verb_ehlo(struct smtp_server *s, struct str arguments)
{
	int error;

	if (!smtp_server_take_helo(s, arguments)) {
		smtp_server_say(s, 501, "5.5.4", "Bad name");
		return;
	}
	s->is_esmtp = true;
	smtp_server_abort(s);
	s->state = SMTP_STATE_IDLE;
	error = buf_printf(&s->output,
	    "250-%.*s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n"
	    "250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
	    "250-SMTPUTF8\r\n250-ETRN\r\n%s%s250 HELP\r\n",
	    STR_ARG(s->options.hostname),
	    (unsigned long long)s->options.size_max,
	    s->options.has_uid ? "250-XUID\r\n" : "",
	    s->options.has_final ? "250-XFINAL\r\n" : "");
	CHECK(error == 0);
}

/* HELO SP Domain */
static void
smtp_verb_helo(struct smtp_server *s, struct str arguments)
{
	struct smtp_reply reply;

	if (!smtp_server_take_helo(s, arguments)) {
		smtp_server_say(s, 501, "5.5.4", "Bad name");
		return;
	}
	s->is_esmtp = false;
	smtp_server_abort(s);
	s->state = SMTP_STATE_IDLE;
	/* RFC 2034 4: no enhanced code here. */
	reply = smtp_reply_make(250, "", "%.*s", STR_ARG(s->options.hostname));
	smtp_server_reply(s, &reply);
}

/* MAIL FROM:<path> [SP parameters] */
static void
smtp_verb_mail(struct smtp_server *s, struct str arguments)
{
	struct smtp_command_mail mail;
	struct smtp_reply reply;

	if (s->transactions >= s->options.transactions_max) {
		smtp_server_give_up(s, "4.7.0", "Too many messages");
		return;
	}
	if (smtp_command_parse_mail(
		arguments, s->options.size_max, &mail, &reply) < 0) {
		smtp_server_reply(s, &reply);
		return;
	}
	if (mail.has_uid && !s->options.has_uid) {
		smtp_server_say(s, 555, "5.5.4", "Unknown parameter XUID");
		return;
	}
	s->ask = (struct smtp_ask){.kind = SMTP_ASK_MAIL,
	    .envelope = mail.envelope,
	    .size = mail.size,
	    .has_uid = mail.has_uid,
	    .uid = mail.uid,
	    .address = mail.address};
}

/* RCPT TO:<path> [SP parameters] */
static void
smtp_verb_rcpt(struct smtp_server *s, struct str arguments)
{
	struct smtp_command_rcpt rcpt;
	struct smtp_reply reply;

	if (smtp_command_parse_rcpt(arguments, s->is_utf8, &rcpt, &reply) < 0) {
		s->refused++;
		smtp_server_reply(s, &reply);
		return;
	}
	if (rcpt.recipient.is_expanded && !s->options.has_final) {
		s->refused++;
		smtp_server_say(s, 555, "5.5.4", "Unknown parameter XFINAL");
		return;
	}
	if (s->recipients >= s->options.recipients_max) {
		/* RFC 5321 4.5.3.1.10: 452, and the others stand. */
		smtp_server_say(s, 452, "4.5.3", "Too many recipients");
		return;
	}
	s->ask = (struct smtp_ask){.kind = SMTP_ASK_RCPT,
	    .recipient = rcpt.recipient,
	    .address = rcpt.address};
}

static void
smtp_verb_data(struct smtp_server *s, struct str arguments)
{
	s->ask = (struct smtp_ask){.kind = SMTP_ASK_DATA};
}

static void
smtp_verb_rset(struct smtp_server *s, struct str arguments)
{
	smtp_server_say(s, 250, "2.0.0", "Reset");
	smtp_server_abort(s);
}

static void
smtp_verb_noop(struct smtp_server *s, struct str arguments)
{
	smtp_server_say(s, 250, "2.0.0", "Done");
}

/* RFC 5321 3.5.3: 252 where nothing is verified. */
static void
smtp_verb_vrfy(struct smtp_server *s, struct str arguments)
{
	smtp_server_say(s, 252, "2.5.2", "Not verified; try RCPT");
}

static void
smtp_verb_help(struct smtp_server *s, struct str arguments)
{
	smtp_server_say(s, 214, "2.0.0",
	    "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT ETRN");
}

static void
smtp_verb_quit(struct smtp_server *s, struct str arguments)
{
	struct smtp_reply reply = smtp_reply_make(
	    221, "2.0.0", "%.*s Bye", STR_ARG(s->options.hostname));

	smtp_server_reply(s, &reply);
	s->is_due = true;
}

static void
smtp_server_trigger(
    struct smtp_server *s, struct str verb, struct str arguments)
{
	if (arguments.size == 0) {
		/* RFC 1985 5.2 has 500 here, not 501. */
		smtp_server_say(s, 500, "5.5.2", "Parameter required");
		return;
	}
	if (arguments.size > SMTP_ARGUMENT_MAX) {
		smtp_server_say(s, 501, "5.5.4", "Parameter too long");
		return;
	}
	s->ask = (struct smtp_ask){
	    .kind = SMTP_ASK_TRIGGER, .verb = verb, .argument = arguments};
}

/* ETRN SP [ "@" / "#" ] node-name (RFC 1985 5) */
static void
smtp_verb_etrn(struct smtp_server *s, struct str arguments)
{
	smtp_server_trigger(s, STR("ETRN"), arguments);
}

/* QSND SP domain; not in EHLO and HELP. */
static void
smtp_verb_qsnd(struct smtp_server *s, struct str arguments)
{
	smtp_server_trigger(s, STR("QSND"), arguments);
}

/* BDAT SP chunk-size [ SP "LAST" ] (RFC 3030 2): not offered, but who sends it
   all the same sends the chunk behind it.  To read that as commands would put
   the two ends out of step, or worse; so it is passed over wherever a size can
   be read, whatever stands behind that. */
static void
smtp_verb_bdat(struct smtp_server *s, struct str arguments)
{
	size_t digits = 0;
	struct str last;
	uint64_t size;
	int error;

	while (digits < arguments.size && arguments.data[digits] != ' ' &&
	       arguments.data[digits] != '\t')
		digits++;
	last = str_trim(str_skip(arguments, digits));
	error =
	    num_parse(str_head(arguments, digits), s->options.size_max, &size);
	if (error == -ERANGE) {
		/* RFC 2034 4: a 421 has no 5.x.x. */
		smtp_server_give_up(s, "4.3.4", "Chunk too large");
		return;
	}
	if (error < 0) {
		smtp_server_say(s, 501, "5.5.4", "Syntax: BDAT size [LAST]");
		return;
	}
	if (last.size == 0 || str_case_equal(last, STR("LAST")))
		smtp_server_say(s, 502, "5.5.1", "Not implemented");
	else
		smtp_server_say(s, 501, "5.5.4", "Syntax: BDAT size [LAST]");
	s->skip_size = size;
}

/* RFC 5321 4.2.4: 502 for what is known. */
static void
smtp_verb_known(struct smtp_server *s, struct str arguments)
{
	smtp_server_say(s, 502, "5.5.1", "Not implemented");
}

static const struct smtp_verb *
smtp_server_find_verb(struct str name)
{
	size_t count = sizeof(smtp_verbs) / sizeof(smtp_verbs[0]);

	for (size_t i = 0; i < count; i++)
		if (str_case_equal(name, smtp_verbs[i].name))
			return &smtp_verbs[i];
	return NULL;
}

/* A verb where it is not allowed; the state stays (RFC 5321 4.1.4). */
static void
smtp_server_refuse_order(struct smtp_server *s, const struct smtp_verb *verb)
{
	bool is_data = verb->act == smtp_verb_data;

	if (is_data && s->refused > 0)
		smtp_server_say(s, 554, "5.5.1", "No valid recipients");
	else if (is_data && s->state == SMTP_STATE_MAIL)
		smtp_server_say(s, 503, "5.5.1", "Send RCPT first");
	else if (smtp_server_is_in_transaction(s))
		smtp_server_say(s, 503, "5.5.1", "A transaction is open");
	else if (verb->act == smtp_verb_mail)
		smtp_server_say(s, 503, "5.5.1", "Send EHLO or HELO first");
	else
		smtp_server_say(s, 503, "5.5.1", "Send MAIL first");
}

void
smtp_server_command(struct smtp_server *s, struct str line)
{
	const struct smtp_verb *verb = NULL;
	struct str name, arguments;
	struct smtp_reply reply;
	bool is_given;

	if (smtp_command_split(line, &name, &arguments))
		verb = smtp_server_find_verb(name);
	if (verb == NULL) {
		smtp_server_say(s, 500, "5.5.2", "Unknown command");
		return;
	}
	if ((verb->states & (1u << s->state)) == 0) {
		smtp_server_refuse_order(s, verb);
		return;
	}
	is_given = arguments.size > 0;
	if ((verb->arguments == SMTP_ARGUMENT_NONE && is_given) ||
	    (verb->arguments == SMTP_ARGUMENT_SOME && !is_given)) {
		reply =
		    smtp_reply_make(501, "5.5.4", "Syntax: %s", verb->usage);
		smtp_server_reply(s, &reply);
		return;
	}
	verb->act(s, arguments);
}
