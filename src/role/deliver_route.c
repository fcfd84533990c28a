/*
 * The order of addresses.  Hosts of equal preference are a group; all of a
 * group are asked for before one of them is tried, so that a group which this
 * host is in itself is seen before mail goes in a circle (RFC 5321 5.1).
 *
 * Invariants: host_at <= group_end <= host_count; ask_at <= group_end;
 * address_at <= the address_count of the host; tried_count <=
 * DELIVER_ADDRESSES_MAX; with DELIVER_GIVE_UP trouble is set.
 *
 * What is known for certain to be undeliverable is permanent: no such domain,
 * a null MX, a domain with neither MX nor address.  A host of an MX record, or
 * of a route in the configuration, that has no address is a mistake that
 * somebody will mend: temporary.  So is a domain that the configuration has
 * and that leads back to this host; any other domain that does is permanent.
 */
#include "role/deliver_route.h"
#include "base/check.h"
#include "base/mem.h"
#include "role/self.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct deliver_host {
	uint16_t preference;
	uint32_t shuffle;
	char name[MAIL_DOMAIN_MAX + 1];
	struct conf_address addresses[DELIVER_ADDRESSES_MAX];
	size_t address_count;
};

struct deliver_route {
	const struct conf *conf;
	enum conf_route_kind kind;
	enum deliver_step step;
	uint16_t port;
	bool is_implicit; /* the host is the domain, without MX */
	char domain[MAIL_DOMAIN_MAX + 1];
	struct deliver_host hosts[ROLE_DNS_MAX];
	size_t host_count;
	size_t host_at;   /* that is tried */
	size_t ask_at;    /* whose addresses are asked for */
	size_t group_end; /* behind those of the preference at hand */
	size_t address_at;
	size_t tried_count;
	struct carry_end trouble;
};

static void
deliver_route_end(struct deliver_route *route, bool is_permanent,
    const char *status, const char *reason)
{
	char text[CARRY_TEXT_MAX];

	snprintf(text, sizeof(text), "%s %s %s: %s",
	    is_permanent ? "550" : "451", status, route->domain, reason);
	carry_end_set(
	    &route->trouble, !is_permanent, is_permanent, status, text);
	route->step = DELIVER_GIVE_UP;
}

/* Only ourselves are left to ask: RFC 3463 3.5, routing loop detected. */
static void
deliver_route_end_circle(struct deliver_route *route)
{
	bool is_known = self_knows_domain(route->conf, str_from(route->domain));

	deliver_route_end(route, !is_known, is_known ? "4.4.6" : "5.4.6",
	    "its mail exchanger is this host itself");
}

/* Asks for the hosts of the next preference, if there are any. */
static void
deliver_route_next_group(struct deliver_route *route)
{
	size_t first = route->group_end, end = first;

	while (end < route->host_count &&
	       route->hosts[end].preference == route->hosts[first].preference)
		end++;
	route->host_at = route->ask_at = first;
	route->address_at = 0;
	route->group_end = end;
	route->step = first < end && route->tried_count < DELIVER_ADDRESSES_MAX
	                  ? DELIVER_ASK_ADDRESS
	                  : DELIVER_GIVE_UP;
}

static void
deliver_route_one_host(struct deliver_route *route, struct str name)
{
	route->host_count = 1;
	carry_text_copy(
	    route->hosts[0].name, sizeof(route->hosts[0].name), name);
	deliver_route_next_group(route);
}

/* Whether mail for the exchanger at ADDRESS would come back.  Where a route of
   the configuration leads is the administrator's will. */
static bool
deliver_route_is_self(
    const struct deliver_route *route, const struct conf_address *address)
{
	return route->kind == CONF_ROUTE_MX &&
	       self_has_address(route->conf, address);
}

/* The literal "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3), or the
   address without brackets. */
static bool
deliver_route_literal(struct deliver_route *route, struct str host)
{
	struct str text = host;

	if (text.size > 2 && text.data[0] == '[' &&
	    text.data[text.size - 1] == ']')
		text = str_head(str_skip(text, 1), text.size - 2);
	if (str_case_starts(text, STR("IPv6:")))
		text = str_skip(text, 5);
	if (conf_address_parse(text, &route->hosts[0].addresses[0]) < 0)
		return false;
	route->hosts[0].addresses[0].port = route->port;
	route->hosts[0].address_count = 1;
	route->host_count = route->group_end = 1;
	route->step = DELIVER_CONNECT;
	if (deliver_route_is_self(route, &route->hosts[0].addresses[0]))
		deliver_route_end_circle(route);
	return true;
}

struct deliver_route *
deliver_route_new(const struct conf *conf, enum conf_route_kind kind,
    struct str host, uint16_t port)
{
	struct deliver_route *route = mem_new(1, sizeof(*route));
	bool is_bracket = host.size > 0 && host.data[0] == '[';

	CHECK(kind == CONF_ROUTE_SMTP || kind == CONF_ROUTE_MX);
	route->conf = conf;
	route->kind = kind;
	route->port = port;
	carry_text_copy(route->domain, sizeof(route->domain), host);
	if ((kind == CONF_ROUTE_SMTP || is_bracket) &&
	    deliver_route_literal(route, host))
		return route;
	if (host.size == 0 || host.size > MAIL_DOMAIN_MAX || is_bracket)
		deliver_route_end(route, kind == CONF_ROUTE_MX,
		    kind == CONF_ROUTE_MX ? "5.1.2" : "4.4.4",
		    "no host can be found by this name");
	else if (kind == CONF_ROUTE_SMTP)
		deliver_route_one_host(route, host);
	else
		route->step = DELIVER_ASK_MX;
	return route;
}

void
deliver_route_free(struct deliver_route *route)
{
	free(route);
}

enum deliver_step
deliver_route_next(const struct deliver_route *route)
{
	return route->step;
}

struct str
deliver_route_name(const struct deliver_route *route)
{
	if (route->step == DELIVER_ASK_MX)
		return str_from(route->domain);
	CHECK(route->ask_at < route->host_count);
	return str_from(route->hosts[route->ask_at].name);
}

const struct conf_address *
deliver_route_address(const struct deliver_route *route)
{
	const struct deliver_host *host = &route->hosts[route->host_at];

	CHECK(route->step == DELIVER_CONNECT);
	CHECK(route->host_at < route->host_count);
	CHECK(route->address_at < host->address_count);
	return &host->addresses[route->address_at];
}

void
deliver_route_text(const struct deliver_route *route, char text[CARRY_HOST_MAX])
{
	char address[46];

	conf_address_format(deliver_route_address(route), address);
	snprintf(text, CARRY_HOST_MAX, "%s[%s]",
	    route->hosts[route->host_at].name, address);
}

static bool
deliver_host_is_after(
    const struct deliver_host *a, const struct deliver_host *b)
{
	if (a->preference != b->preference)
		return a->preference > b->preference;
	return a->shuffle > b->shuffle;
}

/* Drops the hosts from AT on, of which one is this host (RFC 5321 5.1). */
static void
deliver_route_cut(struct deliver_route *route, size_t at)
{
	uint16_t preference = route->hosts[at].preference;

	while (at > 0 && route->hosts[at - 1].preference == preference)
		at--;
	route->host_count = at;
	if (route->group_end > at)
		route->group_end = at;
}

/* Puts HOST in its place: by preference, equal ones by chance. */
static void
deliver_route_add(struct deliver_route *route, const struct deliver_host *host)
{
	size_t i = route->host_count++;

	CHECK(route->host_count <= ROLE_DNS_MAX);
	for (; i > 0 && deliver_host_is_after(&route->hosts[i - 1], host); i--)
		route->hosts[i] = route->hosts[i - 1];
	route->hosts[i] = *host;
}

static void
deliver_route_mx_hosts(struct deliver_route *route,
    const struct role_dns_answer *answer, const uint32_t shuffle[ROLE_DNS_MAX])
{
	struct deliver_host host = {.address_count = 0};

	for (size_t i = 0; i < answer->count && i < ROLE_DNS_MAX; i++) {
		struct str name = str_of(answer->records[i].name,
		    strnlen(answer->records[i].name, MAIL_DOMAIN_MAX));

		if (name.size == 0)
			continue;
		host.preference = answer->records[i].preference;
		host.shuffle = shuffle[i];
		carry_text_copy(host.name, sizeof(host.name), name);
		deliver_route_add(route, &host);
	}
	/* RFC 7505 3: one record with the root as its host. */
	if (route->host_count == 0) {
		carry_end_set(&route->trouble, false, true, "5.1.10",
		    "556 5.1.10 domain does not accept mail (null MX)");
		route->step = DELIVER_GIVE_UP;
		return;
	}
	for (size_t i = 0; i < route->host_count; i++)
		if (self_has_name(route->conf, str_from(route->hosts[i].name)))
			deliver_route_cut(route, i);
	if (route->host_count > 0)
		deliver_route_next_group(route);
	else
		deliver_route_end_circle(route);
}

void
deliver_route_mx(struct deliver_route *route,
    const struct role_dns_answer *answer, const uint32_t shuffle[ROLE_DNS_MAX])
{
	CHECK(route->step == DELIVER_ASK_MX);
	if (answer->status == ROLE_DNS_FAILED) {
		deliver_route_end(route, false, "4.4.3",
		    "mail exchangers cannot be looked up");
	} else if (answer->status == ROLE_DNS_OK && answer->count > 0) {
		deliver_route_mx_hosts(route, answer, shuffle);
	} else if (answer->is_no_name) {
		deliver_route_end(route, true, "5.1.2", "no such domain");
	} else {
		/* RFC 5321 5.1: the domain itself, as if with preference 0. */
		route->is_implicit = true;
		deliver_route_one_host(route, str_from(route->domain));
	}
}

/* Goes to the first host of the group, from HOST_AT on, that has an address, or
   to the next group. */
static void
deliver_route_try(struct deliver_route *route)
{
	while (route->host_at < route->group_end &&
	       route->hosts[route->host_at].address_count == 0)
		route->host_at++;
	route->address_at = 0;
	if (route->host_at == route->group_end)
		deliver_route_next_group(route);
	else
		route->step = DELIVER_CONNECT;
}

/* Keeps what is in ANSWER of the host that was asked for; false if that is this
   host, and all from its group on is dropped. */
static bool
deliver_route_keep(
    struct deliver_route *route, const struct role_dns_answer *answer)
{
	struct deliver_host *host = &route->hosts[route->ask_at];

	if (answer->status != ROLE_DNS_OK)
		return true;
	for (size_t i = 0; i < answer->count && i < ROLE_DNS_MAX; i++) {
		struct conf_address address = answer->records[i].address;

		address.port = route->port;
		if (deliver_route_is_self(route, &address)) {
			deliver_route_cut(route, route->ask_at);
			return false;
		}
		if (host->address_count < DELIVER_ADDRESSES_MAX)
			host->addresses[host->address_count++] = address;
	}
	return true;
}

/* The host was asked for: the next of its group, or they are tried. */
static void
deliver_route_asked(struct deliver_route *route)
{
	if (++route->ask_at == route->group_end)
		deliver_route_try(route);
}

void
deliver_route_addresses(
    struct deliver_route *route, const struct role_dns_answer *answer)
{
	char text[CARRY_TEXT_MAX];
	const char *name = route->hosts[route->ask_at].name;
	bool is_failed = answer->status == ROLE_DNS_FAILED;

	CHECK(route->step == DELIVER_ASK_ADDRESS);
	if (!deliver_route_keep(route, answer)) {
		if (route->host_count == 0)
			deliver_route_end_circle(route);
		else
			route->step = DELIVER_GIVE_UP;
		return;
	}
	if (route->hosts[route->ask_at].address_count > 0) {
		deliver_route_asked(route);
		return;
	}
	if (route->is_implicit && !is_failed) {
		deliver_route_end(route, true,
		    answer->is_no_name ? "5.1.2" : "5.4.4",
		    "the domain has neither MX nor address");
		return;
	}
	snprintf(text, sizeof(text), "451 %s %s: %s",
	    is_failed ? "4.4.3" : "4.4.4", name,
	    is_failed ? "the address cannot be looked up" : "no address");
	/* What a host said before counts more than a name without address. */
	if (route->trouble.answer[0] == '\0')
		carry_end_set(&route->trouble, true, false,
		    is_failed ? "4.4.3" : "4.4.4", text);
	deliver_route_asked(route);
}

void
deliver_route_failed(
    struct deliver_route *route, const char *status, const char *answer)
{
	CHECK(route->step == DELIVER_CONNECT);
	carry_end_set(&route->trouble, true, false, status, answer);
	route->tried_count++;
	route->address_at++;
	if (route->tried_count == DELIVER_ADDRESSES_MAX)
		route->step = DELIVER_GIVE_UP;
	else if (route->address_at ==
		 route->hosts[route->host_at].address_count) {
		route->host_at++;
		deliver_route_try(route);
	}
}

const struct carry_end *
deliver_route_trouble(const struct deliver_route *route)
{
	CHECK(route->step == DELIVER_GIVE_UP);
	return &route->trouble;
}
