/*
 * The grammar of command lines.  Two tables name the parameters of MAIL and
 * RCPT; one function takes the value of each.  Every function yields a value
 * or -EINVAL; nothing is repaired.
 */
#include "smtp/command.h"
#include "base/num.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define SMTP_SIZE_DIGITS_MAX 20 /* RFC 1870 4 */

/* What parameters are written to; only one of the two is set. */
struct smtp_parameter_target {
	struct smtp_command_mail *mail;
	struct smtp_command_rcpt *rcpt;
};

struct smtp_parameter {
	struct str keyword;
	bool has_value;
	int (*take)(struct smtp_parameter_target *target, struct str value);
};

static int smtp_take_size(struct smtp_parameter_target *t, struct str value);
static int smtp_take_body(struct smtp_parameter_target *t, struct str value);
static int smtp_take_utf8(struct smtp_parameter_target *t, struct str value);
static int smtp_take_ret(struct smtp_parameter_target *t, struct str value);
static int smtp_take_envid(struct smtp_parameter_target *t, struct str value);
static int smtp_take_auth(struct smtp_parameter_target *t, struct str value);
static int smtp_take_uid(struct smtp_parameter_target *t, struct str value);
static int smtp_take_notify(struct smtp_parameter_target *t, struct str value);
static int smtp_take_orcpt(struct smtp_parameter_target *t, struct str value);
static int smtp_take_final(struct smtp_parameter_target *t, struct str value);

/* An empty keyword ends a table. */
static const struct smtp_parameter smtp_mail_parameters[] = {
    {STR("SIZE"), true, smtp_take_size},      /* RFC 1870 */
    {STR("BODY"), true, smtp_take_body},      /* RFC 6152 */
    {STR("SMTPUTF8"), false, smtp_take_utf8}, /* RFC 6531 3.4 */
    {STR("RET"), true, smtp_take_ret},        /* RFC 3461 4.3 */
    {STR("ENVID"), true, smtp_take_envid},    /* RFC 3461 4.4 */
    {STR("AUTH"), true, smtp_take_auth},      /* RFC 4954 5 */
    {STR("XUID"), true, smtp_take_uid},       /* smtp/server.h */
    {STR(""), false, NULL},
};
static const struct smtp_parameter smtp_rcpt_parameters[] = {
    {STR("NOTIFY"), true, smtp_take_notify}, /* RFC 3461 4.1 */
    {STR("ORCPT"), true, smtp_take_orcpt},   /* RFC 3461 4.2 */
    {STR("XFINAL"), false, smtp_take_final}, /* smtp/server.h */
    {STR(""), false, NULL},
};

static bool
smtp_is_hex(char c)
{
	return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* xtext (RFC 3461 4): "+" with two hexadecimal digits in upper case, or a
   printable character other than "+" and "=". */
static bool
smtp_is_xtext(struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c <= ' ' || c > '~' || c == '=')
			return false;
		if (c != '+')
			continue;
		if (text.size - i < 3 || !smtp_is_hex(text.data[i + 1]) ||
		    !smtp_is_hex(text.data[i + 2]))
			return false;
		i += 2;
	}
	return true;
}

static int
smtp_take_size(struct smtp_parameter_target *t, struct str value)
{
	int error;

	if (value.size > SMTP_SIZE_DIGITS_MAX)
		return -EINVAL;
	error = num_parse(value, UINT64_MAX, &t->mail->size);
	/* Twenty digits may say more than 64 bits hold. */
	if (error == -ERANGE)
		t->mail->size = UINT64_MAX;
	return error == -ERANGE ? 0 : error;
}

static int
smtp_take_body(struct smtp_parameter_target *t, struct str value)
{
	struct mail_envelope *envelope = &t->mail->envelope;

	if (str_case_equal(value, STR("7BIT")))
		envelope->body = MAIL_BODY_7BIT;
	else if (str_case_equal(value, STR("8BITMIME")))
		envelope->body = MAIL_BODY_8BITMIME;
	else
		return -EINVAL;
	return 0;
}

static int
smtp_take_utf8(struct smtp_parameter_target *t, struct str value)
{
	t->mail->envelope.is_smtputf8 = true;
	return 0;
}

static int
smtp_take_ret(struct smtp_parameter_target *t, struct str value)
{
	struct mail_envelope *envelope = &t->mail->envelope;

	if (str_case_equal(value, STR("FULL")))
		envelope->ret = MAIL_RET_FULL;
	else if (str_case_equal(value, STR("HDRS")))
		envelope->ret = MAIL_RET_HDRS;
	else
		return -EINVAL;
	return 0;
}

static int
smtp_take_envid(struct smtp_parameter_target *t, struct str value)
{
	if (value.size > MAIL_ENVID_MAX || !smtp_is_xtext(value))
		return -EINVAL;
	t->mail->envelope.envid = value;
	return 0;
}

static int
smtp_take_auth(struct smtp_parameter_target *t, struct str value)
{
	/* "<>" is xtext too. */
	if (value.size > MAIL_AUTH_MAX || !smtp_is_xtext(value))
		return -EINVAL;
	t->mail->envelope.auth = value;
	return 0;
}

static int
smtp_take_uid(struct smtp_parameter_target *t, struct str value)
{
	uint64_t uid = 0;
	int error = num_parse(value, UINT32_MAX - 1, &uid);

	t->mail->uid = (uint32_t)uid;
	t->mail->has_uid = error == 0;
	return error;
}

static int
smtp_notify_bit(struct str word)
{
	if (str_case_equal(word, STR("NEVER")))
		return MAIL_NOTIFY_NEVER;
	if (str_case_equal(word, STR("SUCCESS")))
		return MAIL_NOTIFY_SUCCESS;
	if (str_case_equal(word, STR("FAILURE")))
		return MAIL_NOTIFY_FAILURE;
	if (str_case_equal(word, STR("DELAY")))
		return MAIL_NOTIFY_DELAY;
	return 0;
}

/* "NEVER", or a list of the others, each at most once. */
static int
smtp_take_notify(struct smtp_parameter_target *t, struct str value)
{
	int notify = 0;

	for (;;) {
		size_t comma = str_find(value, ',');
		int bit = smtp_notify_bit(str_head(value, comma));

		if (bit == 0 || (notify & bit) != 0)
			return -EINVAL;
		notify |= bit;
		if (comma == value.size)
			break;
		value = str_skip(value, comma + 1);
	}
	if ((notify & MAIL_NOTIFY_NEVER) && notify != MAIL_NOTIFY_NEVER)
		return -EINVAL;
	t->rcpt->recipient.notify = (uint8_t)notify;
	return 0;
}

/* addr-type ";" xtext; an addr-type is an atom. */
static int
smtp_take_orcpt(struct smtp_parameter_target *t, struct str value)
{
	size_t semicolon = str_find(value, ';');

	if (value.size > MAIL_ORCPT_MAX || semicolon == 0 ||
	    semicolon + 1 >= value.size)
		return -EINVAL;
	for (size_t i = 0; i < semicolon; i++)
		if (!ascii_is_alpha(value.data[i]) &&
		    !ascii_is_digit(value.data[i]) && value.data[i] != '-')
			return -EINVAL;
	if (!smtp_is_xtext(str_skip(value, semicolon + 1)))
		return -EINVAL;
	t->rcpt->recipient.orcpt = value;
	return 0;
}

static int
smtp_take_final(struct smtp_parameter_target *t, struct str value)
{
	(void)value;
	t->rcpt->recipient.is_expanded = true;
	return 0;
}

/* One "keyword" or "keyword=value"; SEEN has a bit for each row met. */
static int
smtp_take_parameter(const struct smtp_parameter *table, struct str text,
    struct smtp_parameter_target *target, unsigned *seen,
    struct smtp_reply *reply_out)
{
	size_t equals = str_find(text, '=');
	struct str keyword = str_head(text, equals);
	bool has_value = equals < text.size;
	unsigned bit = 1;

	while (table->keyword.size > 0 &&
	       !str_case_equal(table->keyword, keyword)) {
		table++;
		bit <<= 1;
	}
	if (table->keyword.size == 0) {
		/* RFC 5321 4.1.1.11 */
		*reply_out = smtp_reply_make(555, "5.5.4",
		    "Unknown parameter %.*s", STR_ARG(str_head(keyword, 64)));
		return -EINVAL;
	}
	if ((*seen & bit) == 0 && has_value == table->has_value &&
	    (!has_value || equals + 1 < text.size) &&
	    table->take(target, str_skip(text, equals + 1)) == 0) {
		*seen |= bit;
		return 0;
	}
	*reply_out = smtp_reply_make(501, "5.5.4",
	    "Bad or repeated parameter %.*s", STR_ARG(table->keyword));
	return -EINVAL;
}

static int
smtp_take_parameters(const struct smtp_parameter *table, struct str text,
    struct smtp_parameter_target *target, struct smtp_reply *reply_out)
{
	unsigned seen = 0;

	for (text = str_trim(text); text.size > 0; text = str_trim(text)) {
		size_t size = 0;

		while (size < text.size && text.data[size] != ' ' &&
		       text.data[size] != '\t')
			size++;
		if (smtp_take_parameter(table, str_head(text, size), target,
			&seen, reply_out) < 0)
			return -EINVAL;
		text = str_skip(text, size);
	}
	return 0;
}

static bool
smtp_is_ascii(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < 0 || text.data[i] > '~')
			return false;
	return true;
}

/* KEYWORD path; TEXT is moved to what follows.  Blanks before the path are
   taken, though RFC 5321 3.3 has none: too many clients send one. */
static int
smtp_take_path(
    struct str *text, struct str keyword, struct mail_address *address_out)
{
	size_t size;

	if (!str_case_starts(*text, keyword))
		return -EINVAL;
	*text = str_trim(str_skip(*text, keyword.size));
	if (mail_path_parse(*text, true, address_out, &size) < 0)
		return -EINVAL;
	*text = str_skip(*text, size);
	return text->size == 0 || *text->data == ' ' || *text->data == '\t'
	           ? 0
	           : -EINVAL;
}

bool
smtp_command_split(
    struct str line, struct str *verb_out, struct str *arguments_out)
{
	size_t size = 0;

	for (size_t i = 0; i < line.size; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	while (size < line.size && line.data[size] != ' ' &&
	       line.data[size] != '\t')
		size++;
	*verb_out = str_head(line, size);
	/* RFC 5321 4.1.1: blanks before the end of a line are tolerated. */
	*arguments_out = str_trim(str_skip(line, size));
	return true;
}

int
smtp_command_parse_mail(struct str text, uint64_t size_max,
    struct smtp_command_mail *mail_out, struct smtp_reply *reply_out)
{
	struct smtp_parameter_target target = {.mail = mail_out};
	struct str empty = STR("");

	*mail_out = (struct smtp_command_mail){
	    .envelope = {.sender = empty, .envid = empty, .auth = empty}};
	/* A bare Postmaster is a recipient only (RFC 5321 4.1.1.3). */
	if (smtp_take_path(&text, STR("FROM:"), &mail_out->address) < 0 ||
	    (mail_out->address.whole.size > 0 &&
		mail_out->address.domain.size == 0)) {
		*reply_out = smtp_reply_make(
		    501, "5.1.7", "Syntax: MAIL FROM:<address> [parameters]");
		return -EINVAL;
	}
	mail_out->envelope.sender = mail_out->address.whole;
	if (smtp_take_parameters(
		smtp_mail_parameters, text, &target, reply_out) < 0)
		return -EINVAL;
	if (!mail_out->envelope.is_smtputf8 &&
	    !smtp_is_ascii(mail_out->envelope.sender)) {
		/* RFC 6531 3.5 */
		*reply_out = smtp_reply_make(
		    553, "5.6.7", "Address not in ASCII without SMTPUTF8");
		return -EINVAL;
	}
	if (mail_out->size > size_max) {
		/* RFC 1870 6.1 */
		*reply_out = smtp_reply_make(552, "5.3.4",
		    "Message over %llu bytes", (unsigned long long)size_max);
		return -EINVAL;
	}
	return 0;
}

int
smtp_command_parse_rcpt(struct str text, bool is_utf8,
    struct smtp_command_rcpt *rcpt_out, struct smtp_reply *reply_out)
{
	struct smtp_parameter_target target = {.rcpt = rcpt_out};

	*rcpt_out = (struct smtp_command_rcpt){.recipient.orcpt = STR("")};
	if (smtp_take_path(&text, STR("TO:"), &rcpt_out->address) < 0 ||
	    rcpt_out->address.whole.size == 0) {
		*reply_out = smtp_reply_make(
		    501, "5.1.3", "Syntax: RCPT TO:<address> [parameters]");
		return -EINVAL;
	}
	rcpt_out->recipient.address = rcpt_out->address.whole;
	if (smtp_take_parameters(
		smtp_rcpt_parameters, text, &target, reply_out) < 0)
		return -EINVAL;
	if (!is_utf8 && !smtp_is_ascii(rcpt_out->recipient.address)) {
		*reply_out = smtp_reply_make(
		    553, "5.6.7", "Address not in ASCII without SMTPUTF8");
		return -EINVAL;
	}
	return 0;
}
