/*
 * The text of MAIL and RCPT: parameters only where they were offered.  The
 * strings were checked when the job came, so that none can end the line or
 * begin a parameter.
 */
#include "base/check.h"
#include "mail/address.h"
#include "smtp/client_own.h"

/* Bytes that an address may have in a path. */
static bool
command_is_path(struct str s, bool is_utf8)
{
	bool is_quoted = false;

	if (s.size > MAIL_ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
			return false;
		if (is_quoted && c == '\\')
			i++;
		else if (c == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && (c == ' ' || c == '<' || c == '>'))
			return false;
	}
	return !is_quoted;
}

/* Bytes that a parameter's value may have (RFC 5321 4.1.2 esmtp-value, RFC
   6531 3.3). */
static bool
command_is_value(struct str s, size_t max, bool is_utf8)
{
	if (s.size > max)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c <= 0x20 || c == '=' || c == 0x7f ||
		    (c >= 0x80 && !is_utf8))
			return false;
	}
	return true;
}

bool
smtp_job_is_fit(const struct mail_envelope *envelope,
    const struct mail_recipient *recipients, size_t count)
{
	bool is_utf8 = envelope->is_smtputf8;

	if (!command_is_path(envelope->sender, is_utf8) ||
	    !command_is_value(envelope->envid, MAIL_ENVID_MAX, false))
		return false;
	for (size_t i = 0; i < count; i++)
		if (recipients[i].address.size == 0 ||
		    !command_is_path(recipients[i].address, is_utf8) ||
		    !command_is_value(
			recipients[i].orcpt, MAIL_ORCPT_MAX, is_utf8))
			return false;
	return true;
}

void
smtp_job_put_mail(struct smtp_client *c)
{
	const struct mail_envelope *e = c->job.envelope;
	int error;

	smtp_client_put(c, STR("MAIL From:<"));
	smtp_client_put(c, e->sender);
	smtp_client_put(c, STR(">"));
	if (c->has_size) { /* RFC 1870 */
		error = buf_printf(&c->output, " SIZE=%llu",
		    (unsigned long long)c->job.content_size);
		CHECK(error == 0);
	}
	if (c->has_8bitmime && e->body == MAIL_BODY_8BITMIME) /* RFC 6152 */
		smtp_client_put(c, STR(" BODY=8BITMIME"));
	if (c->has_8bitmime && e->body == MAIL_BODY_7BIT)
		smtp_client_put(c, STR(" BODY=7BIT"));
	if (c->has_smtputf8 && e->is_smtputf8) /* RFC 6531 3.4 */
		smtp_client_put(c, STR(" SMTPUTF8"));
	if (c->has_dsn && e->envid.size > 0) { /* RFC 3461 4.4 */
		smtp_client_put(c, STR(" ENVID="));
		smtp_client_put(c, e->envid);
	}
	if (c->has_dsn && e->ret == MAIL_RET_FULL) /* RFC 3461 4.3 */
		smtp_client_put(c, STR(" RET=FULL"));
	if (c->has_dsn && e->ret == MAIL_RET_HDRS)
		smtp_client_put(c, STR(" RET=HDRS"));
	if (c->has_uid && c->is_uid_set) { /* smtp/server.h */
		error = buf_printf(&c->output, " XUID=%u", c->uid);
		CHECK(error == 0);
	}
	smtp_client_put(c, STR("\r\n"));
}

/* NOTIFY of RFC 3461 4.1. */
static void
command_put_notify(struct smtp_client *c, uint8_t notify)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = {
	    {MAIL_NOTIFY_SUCCESS, "SUCCESS"},
	    {MAIL_NOTIFY_FAILURE, "FAILURE"},
	    {MAIL_NOTIFY_DELAY, "DELAY"},
	};
	bool is_first = true;

	if (notify & MAIL_NOTIFY_NEVER) {
		smtp_client_put(c, STR(" NOTIFY=NEVER"));
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(notify & names[i].bit))
			continue;
		smtp_client_put(c, is_first ? STR(" NOTIFY=") : STR(","));
		smtp_client_put(c, str_from(names[i].name));
		is_first = false;
	}
}

void
smtp_job_put_rcpt(struct smtp_client *c, const struct mail_recipient *r)
{
	smtp_client_put(c, STR("RCPT To:<"));
	smtp_client_put(c, r->address);
	smtp_client_put(c, STR(">"));
	if (c->has_dsn) {
		command_put_notify(c, r->notify);
		if (r->orcpt.size > 0) { /* RFC 3461 4.2 */
			smtp_client_put(c, STR(" ORCPT="));
			smtp_client_put(c, r->orcpt);
		}
	}
	if (c->has_final && r->is_expanded) /* smtp/server.h */
		smtp_client_put(c, STR(" XFINAL"));
	smtp_client_put(c, STR("\r\n"));
}
