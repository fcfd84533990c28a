/*
 * Which recipients are taken, from the tables of the configuration: mail for a
 * site from anybody, mail for elsewhere from those who may relay, and any that
 * has a route or an exchanger from users of this host.  A local
 * part is never looked into: with "%" or "!" it is still a local part of its
 * domain, and a source route has been passed over (RFC 5321 4.1.2).
 */
#include "role/receive.h"
#include "base/check.h"
#include "conf/alias.h"

/* RFC 5321 4.5.1: without a domain it is ours to take, or nobody's. */
static struct smtp_reply
receive_rcpt_bare(const struct conf *conf, bool *postmaster_out)
{
	if (conf->postmaster.size == 0)
		return smtp_reply_make(
		    550, "5.1.1", "Mailbox unavailable here");
	*postmaster_out = true;
	return smtp_reply_make(250, "2.1.5", "Recipient ok");
}

const struct conf_site *
receive_rcpt_site(const struct conf *conf, struct str address)
{
	char key[MAIL_DOMAIN_MAX + 1];
	struct mail_address parsed;

	if (mail_address_parse(address, &parsed) < 0 ||
	    parsed.domain.size == 0 || mail_domain_key(parsed.domain, key) < 0)
		return NULL;
	return conf_site_of_domain(conf, str_from(key));
}

/* RFC 5321 4.5.1: the postmaster of this host, by the name under which it
   greets, unless aliases have him.  KEY is the domain's. */
static bool
receive_rcpt_is_ours(
    const struct conf *conf, const struct mail_address *address, struct str key)
{
	char own[MAIL_DOMAIN_MAX + 1];
	int error;

	if (conf->postmaster.size == 0 ||
	    !str_case_equal(address->local, STR("postmaster")))
		return false;
	error = mail_domain_key(conf->hostname, own);
	CHECK(error == 0);
	return str_equal(key, str_from(own)) &&
	       !conf_alias_has(conf, address->whole);
}

struct smtp_reply
receive_rcpt_decide(const struct conf *conf, const struct conf_address *peer,
    const struct mail_address *address, bool *postmaster_out)
{
	char key_text[MAIL_DOMAIN_MAX + 1];
	bool is_literal = str_starts(address->domain, STR("["));
	bool has_route;
	struct str key;

	*postmaster_out = false;
	if (address->domain.size == 0)
		return receive_rcpt_bare(conf, postmaster_out);
	/* A domain in UTF-8 has no route: it must come as A-labels. */
	if ((!is_literal && !mail_domain_is_valid(address->domain, true)) ||
	    mail_domain_key(address->domain, key_text) < 0)
		return smtp_reply_make(553, "5.1.3", "Bad domain");
	key = str_from(key_text);
	if (!is_literal && conf_site_of_domain(conf, key) != NULL)
		return smtp_reply_make(250, "2.1.5", "Recipient ok");
	if (!is_literal && receive_rcpt_is_ours(conf, address, key))
		return receive_rcpt_bare(conf, postmaster_out);
	has_route = conf_route_of_domain(conf, key) != NULL;
	if (peer == NULL && (has_route || !is_literal))
		return smtp_reply_make(250, "2.1.5", "Recipient ok");
	if (peer != NULL && has_route &&
	    conf_networks_contain(&conf->relay_from, peer))
		return smtp_reply_make(250, "2.1.5", "Recipient ok");
	return smtp_reply_make(550, "5.7.1", "Relaying denied");
}

/* True at a domain of aliases only; ADDRESS is none. */
static bool
receive_rcpt_is_nobody(const struct conf *conf, struct str address)
{
	char key[MAIL_DOMAIN_MAX + 1];
	struct mail_address parsed;

	return mail_address_parse(address, &parsed) == 0 &&
	       parsed.domain.size > 0 &&
	       mail_domain_key(parsed.domain, key) == 0 &&
	       conf_alias_domain(conf, str_from(key)) == ALIAS_DOMAIN_ONLY;
}

struct smtp_reply
receive_rcpt_alias(const struct conf *conf, struct alias_memo *memo,
    const struct mail_recipient *recipient, size_t *count_out)
{
	enum alias_outcome outcome = ALIAS_NONE;
	struct smtp_reply reply = {.code = 0};

	if (!recipient->is_expanded)
		outcome = alias_memo_ask(memo, recipient->address, count_out);
	if (outcome != ALIAS_DONE)
		*count_out = 1;
	if (outcome == ALIAS_DONE)
		reply = smtp_reply_make(250, "2.1.5", "Recipient ok");
	else if (outcome != ALIAS_NONE)
		/* Our own mistake, until it is mended (RFC 3463 3.3). */
		reply = smtp_reply_make(
		    451, "4.2.4", "The alias %s", alias_outcome_text(outcome));
	else if (receive_rcpt_is_nobody(conf, recipient->address))
		reply = smtp_reply_make(550, "5.1.1", "User unknown");
	return reply;
}
