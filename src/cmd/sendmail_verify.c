/*
 * Recipients through aliases and routes, in sendmail's words:
 *
 *	ADDRESS... deliverable: mailer NAME, host HOST, user USER
 *	ADDRESS... User unknown
 *
 * Mailers are "local" (a Maildir), "relay" (a host that the configuration
 * names), "esmtp" (mail exchangers), "prog" (a program of an alias) and, of
 *files and /dev/null, "*file*".  Nothing is asked of the DNS or of another
 *host: what they would say is not known.
 */
#include "cmd/sendmail_verify.h"
#include "conf/alias.h"
#include "mail/alias_text.h"
#include "mail/alias_local.h"
#include "role/route.h"

#include <stdio.h>
#include <sysexits.h>

static bool
verify_unknown(struct str name)
{
	printf("%.*s... User unknown\n", STR_ARG(name));
	return false;
}

/* True at a domain that is this host's and has neither a site nor a route. */
static bool
verify_is_nobody(const struct conf *conf, const struct mail_address *address)
{
	char key_text[MAIL_DOMAIN_MAX + 1];
	struct str key;

	if (mail_domain_key(address->domain, key_text) < 0)
		return true;
	key = str_from(key_text);
	if (conf_alias_domain(conf, key) == ALIAS_DOMAIN_ONLY)
		return true;
	return str_equal(key, conf->hostname) &&
	       conf_site_of_domain(conf, key) == NULL &&
	       conf_route_of_domain(conf, key) == NULL;
}

/* An address that is no alias; SHOWN is how it was given. */
static bool
verify_address(const struct conf *conf, const struct sendmail_options *options,
    struct str address, struct str shown)
{
	char domain[MAIL_DOMAIN_MAX + 1];
	struct mail_address parsed;
	struct route route;
	bool is_ip;

	if (mail_address_parse(address, &parsed) < 0 ||
	    route_of_address(conf, address, &route, domain) < 0 ||
	    verify_is_nobody(conf, &parsed))
		return verify_unknown(shown);
	printf("%.*s... deliverable: mailer ", STR_ARG(shown));
	switch (route.kind) {
	case CONF_ROUTE_MAILDIR:
		printf("local, user %.*s\n", STR_ARG(address));
		break;
	case CONF_ROUTE_MX:
		printf("esmtp, host %s, user %.*s\n", route.next,
		    STR_ARG(address));
		break;
	case CONF_ROUTE_SMTP:
		is_ip = conf_address_parse(str_from(route.next),
			    &(struct conf_address){0}) == 0;
		printf("relay, host %s%s%s, user %.*s\n", is_ip ? "[" : "",
		    route.next, is_ip ? "]" : "", STR_ARG(address));
		break;
	case CONF_ROUTE_FILE:
	case CONF_ROUTE_PROGRAM:
		/* Of an address with a domain they never are. */
		break;
	}
	if (options->mode == SENDMAIL_TRY)
		printf("%.*s... destination %s%s\n", STR_ARG(shown), route.name,
		    route.is_held ? ", held until it is asked for" : "");
	return true;
}

/* A member of an alias. */
static bool
verify_leaf(const struct conf *conf, const struct sendmail_options *options,
    struct str address)
{
	char space[MAIL_ADDRESS_MAX];
	struct alias_local local;

	if (!alias_local_parse(address, space, &local))
		return verify_address(conf, options, address, address);
	printf("%.*s... deliverable: mailer %s, user %.*s\n", STR_ARG(address),
	    local.kind == ALIAS_PROGRAM ? "prog" : "*file*",
	    STR_ARG(local.text));
	return true;
}

/* Those for whom an alias stands. */
static bool
verify_alias(const struct conf *conf, const struct sendmail_options *options,
    const struct alias_expansion *e)
{
	bool is_good = true;

	if (e->leaf_count == 0)
		printf("/dev/null... deliverable: mailer *file*, user "
		       "/dev/null\n");
	for (size_t i = 0; i < e->leaf_count; i++)
		is_good =
		    verify_leaf(conf, options, e->leaves[i].address) && is_good;
	return is_good;
}

static void
verify_say_alias(struct str name, const struct alias_expansion *e)
{
	char shown[ALIAS_SHOWN_MAX + 1];

	alias_text_put(e, shown);
	printf("%.*s... aliased to %s\n", STR_ARG(name), shown);
}

bool
sendmail_verify_name(const struct conf *conf,
    const struct sendmail_options *options, struct str name)
{
	char whole[MAIL_ADDRESS_MAX + 1];
	struct alias_expansion e = {0};
	enum alias_outcome outcome = ALIAS_NONE;
	struct str address = name;
	bool is_good;
	int size;

	if (name.size > 1 && *name.data == '<' &&
	    name.data[name.size - 1] == '>')
		address = str_head(str_skip(name, 1), name.size - 2);
	if (str_find(address, '@') == address.size) {
		size = snprintf(whole, sizeof(whole), "%.*s@%.*s",
		    STR_ARG(address), STR_ARG(conf->hostname));
		if (size < 0 || (size_t)size >= sizeof(whole))
			return verify_unknown(name);
		address = str_from(whole);
	}
	if (!options->is_without_aliases)
		outcome =
		    conf_alias_expand(conf, address, STORE_RECIPIENTS_MAX, &e);
	if (outcome == ALIAS_NONE) {
		is_good = verify_address(conf, options, address, name);
	} else if (outcome == ALIAS_DONE) {
		if (options->is_verbose || options->mode == SENDMAIL_TRY)
			verify_say_alias(name, &e);
		is_good = verify_alias(conf, options, &e);
	} else {
		is_good = false;
		printf("%.*s... alias %.*s %s%s%.*s\n", STR_ARG(name),
		    STR_ARG(e.alias), alias_outcome_text(outcome),
		    e.target.size > 0 ? ": " : "", STR_ARG(e.target));
	}
	alias_expansion_fini(&e);
	return is_good;
}

int
sendmail_verify(const struct conf *conf, const struct sendmail_options *options)
{
	bool is_good = true;

	for (size_t i = 0; i < options->operand_count; i++)
		is_good = sendmail_verify_name(
			      conf, options, str_from(options->operands[i])) &&
		          is_good;
	return is_good ? EX_OK : EX_NOUSER;
}
