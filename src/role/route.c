/* Routing by the configuration's tables; pure look-ups, no DNS. */
#include "role/route.h"
#include "base/check.h"
#include "base/num.h"
#include "conf/alias.h"
#include "mail/address.h"
#include "mail/alias_local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROUTE_SITE "site:"
#define ROUTE_MX   "mx:"
#define ROUTE_SMTP "smtp://"
#define ROUTE_PROG "prog:"
#define ROUTE_FILE "file:"

static int
route_set(
    char out[STORE_DESTINATION_MAX + 1], const char *prefix, struct str text)
{
	int size = snprintf(
	    out, STORE_DESTINATION_MAX + 1, "%s%.*s", prefix, STR_ARG(text));

	return size < 0 || size > STORE_DESTINATION_MAX ? -EINVAL : 0;
}

/* How a configured route is reached. */
static int
route_set_how(const struct conf_route *how, struct route *route)
{
	int error = route_set(route->host, "", how->text);

	route->kind = how->kind;
	route->port = how->port;
	route->job = how->job;
	if (error == 0 && how->kind == CONF_ROUTE_SMTP)
		error = route_set(route->next, "", how->host);
	return error;
}

static int
route_of_mx(const struct conf *conf, struct str domain, struct route *route)
{
	int error = route_set(route->name, ROUTE_MX, domain);

	if (error == 0)
		error = route_set(route->host, ROUTE_MX, domain);
	if (error == 0)
		error = route_set(route->next, "", domain);
	route->kind = CONF_ROUTE_MX;
	route->port = conf->smtp_port;
	return error;
}

static int
route_of_site(const struct conf_site *site, struct route *route)
{
	int error = route_set(route->name, ROUTE_SITE, site->name);

	route->is_held = site->is_held;
	route->expire_ms = site->expire_ms;
	route->notice_ms = site->delay_notice_ms;
	if (error == 0)
		error = route_set_how(&site->route, route);
	/* A site's own exchangers are those of its first domain. */
	if (error == 0 && site->route.kind == CONF_ROUTE_MX) {
		error = route_set(route->next, "", site->domains[0].key);
		if (error == 0)
			error = route_set(
			    route->host, ROUTE_MX, site->domains[0].key);
	}
	return error;
}

static struct route
route_empty(const struct conf *conf)
{
	return (struct route){
	    .expire_ms = conf->expire_ms,
	    .notice_ms = conf->delay_notice_ms,
	};
}

static int
route_of_local(const struct conf *conf, const struct alias_local *local,
    struct route *route)
{
	bool is_program = local->kind == ALIAS_PROGRAM;
	int error = conf_alias_job(conf, local, &route->job);

	if (error < 0)
		return error;
	route->kind = is_program ? CONF_ROUTE_PROGRAM : CONF_ROUTE_FILE;
	error = route_set(
	    route->name, is_program ? ROUTE_PROG : ROUTE_FILE, local->text);
	return error < 0 ? error : route_set(route->host, route->name, STR(""));
}

int
route_of_address(const struct conf *conf, struct str address,
    struct route *route_out, char domain[MAIL_DOMAIN_MAX + 1])
{
	char space[MAIL_ADDRESS_MAX];
	struct alias_local local;
	struct mail_address parsed;
	const struct conf_site *site;
	const struct conf_route *how;
	struct str key;
	int error;

	*route_out = route_empty(conf);
	domain[0] = '\0';
	if (alias_local_parse(address, space, &local))
		return route_of_local(conf, &local, route_out) < 0 ? -EINVAL
		                                                   : 0;
	error = mail_address_parse_loose(address, &parsed);
	if (error < 0 || parsed.domain.size == 0)
		return -EINVAL;
	error = mail_domain_key(parsed.domain, domain);
	if (error < 0)
		return error;
	key = str_from(domain);
	site = conf_site_of_domain(conf, key);
	if (site != NULL)
		return route_of_site(site, route_out);
	how = conf_route_of_domain(conf, key);
	if (how == NULL || how->kind == CONF_ROUTE_MX)
		return route_of_mx(conf, key, route_out);
	error = route_set(route_out->name, "", how->text);
	return error < 0 ? error : route_set_how(how, route_out);
}

/* "smtp://HOST:PORT", whether or not a rule still says so. */
static int
route_of_smtp(struct str name, struct route *route)
{
	struct str rest = str_skip(name, sizeof(ROUTE_SMTP) - 1);
	size_t colon = rest.size;
	uint64_t port;

	while (colon > 0 && rest.data[colon - 1] != ':')
		colon--;
	if (colon < 2 || num_parse(str_skip(rest, colon), 65535, &port) < 0)
		return -ENOENT;
	route->kind = CONF_ROUTE_SMTP;
	route->port = (uint16_t)port;
	rest = str_head(rest, colon - 1);
	/* "[2001:db8::1]" is kept without its brackets. */
	if (rest.size > 2 && rest.data[0] == '[' &&
	    rest.data[rest.size - 1] == ']')
		rest = str_of(rest.data + 1, rest.size - 2);
	if (route_set(route->next, "", rest) < 0 ||
	    route_set(route->host, "", name) < 0)
		return -ENOENT;
	return 0;
}

static int
route_of_maildir(const struct conf *conf, struct str name, struct route *route)
{
	struct str path = str_skip(name, str_find(name, ':') + 1);

	route->kind = CONF_ROUTE_MAILDIR;
	for (size_t i = 0; i < conf->maildir_count; i++) {
		if (!str_equal(conf->maildirs[i], path))
			continue;
		route->job = num_narrow_u32(i);
		return route_set(route->host, "", name);
	}
	return -ENOENT;
}

/* "prog:..." or "file:...". */
static int
route_of_job(const struct conf *conf, struct str name, enum alias_kind kind,
    struct route *route)
{
	struct alias_local local = {
	    .kind = kind,
	    .text = str_skip(name, sizeof(ROUTE_PROG) - 1),
	};

	_Static_assert(sizeof(ROUTE_PROG) == sizeof(ROUTE_FILE), "one length");
	return local.text.size > 0 && route_of_local(conf, &local, route) == 0
	           ? 0
	           : -ENOENT;
}

int
route_of_destination(
    const struct conf *conf, struct str name, struct route *route_out)
{
	const struct conf_site *site;

	*route_out = route_empty(conf);
	if (route_set(route_out->name, "", name) < 0)
		return -ENOENT;
	if (str_starts(name, STR(ROUTE_MX)))
		return route_of_mx(
		    conf, str_skip(name, sizeof(ROUTE_MX) - 1), route_out);
	if (str_starts(name, STR(ROUTE_SMTP)))
		return route_of_smtp(name, route_out);
	if (str_starts(name, STR(ROUTE_PROG)))
		return route_of_job(conf, name, ALIAS_PROGRAM, route_out);
	if (str_starts(name, STR(ROUTE_FILE)))
		return route_of_job(conf, name, ALIAS_FILE, route_out);
	if (!str_starts(name, STR(ROUTE_SITE)))
		return route_of_maildir(conf, name, route_out);
	site = conf_site_named(conf, str_skip(name, sizeof(ROUTE_SITE) - 1));
	return site != NULL ? route_of_site(site, route_out) : -ENOENT;
}

bool
route_is_local(enum conf_route_kind kind)
{
	switch (kind) {
	case CONF_ROUTE_MAILDIR:
	case CONF_ROUTE_FILE:
	case CONF_ROUTE_PROGRAM:
		return true;
	case CONF_ROUTE_SMTP:
	case CONF_ROUTE_MX:
		return false;
	}
	return false;
}

const struct conf_site *
route_site(const struct conf *conf, struct str name)
{
	if (!str_starts(name, STR(ROUTE_SITE)))
		return NULL;
	return conf_site_named(conf, str_skip(name, sizeof(ROUTE_SITE) - 1));
}

void
route_site_name(
    const struct conf_site *site, char name[STORE_DESTINATION_MAX + 1])
{
	int error = route_set(name, ROUTE_SITE, site->name);

	CHECK(error == 0);
}

struct sched_target
route_target(const struct route *route)
{
	CHECK(route->name[0] != '\0');
	return (struct sched_target){
	    .name = str_from(route->name),
	    .host = str_from(route->host[0] ? route->host : route->name),
	    .is_held = route->is_held,
	};
}
