/*
 * Routes.  The text of a route names the host in the scheduler, so each next
 * hop has one form only: the host in lower case without a trailing dot, an
 * address as inet_ntop() writes it, the port always there, and paths that could
 * be written in two ways are refused.
 */
#include "conf/route.h"
#include "base/check.h"
#include "base/num.h"
#include "conf/lookup.h"
#include "mail/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROUTE_TEXT_SIZE 300

/* The last label of a name is never all digits (RFC 1123 2.1); what looks like
   an address and is none must not become a name. */
static bool
is_host_name(struct str host)
{
	size_t digits = 0;

	if (!mail_domain_is_valid(host, true))
		return false;
	if (host.data[host.size - 1] == '.')
		host.size--;
	while (host.size > 0 && ascii_is_digit(host.data[host.size - 1])) {
		host.size--;
		digits++;
	}
	return digits == 0 ||
	       (host.size > 0 && host.data[host.size - 1] != '.');
}

/* HOST is "NAME[:PORT]" or what conf_address_parse() takes, IPv6 in brackets.
   Writes it in canonical form, without brackets, to NAME. */
static int
host_parse(
    struct str host, char name[MAIL_DOMAIN_MAX + 1], struct conf_route *route)
{
	struct conf_address address;
	size_t colon = str_find(host, ':');
	struct str port_text = str_skip(host, colon + 1);
	uint64_t port = route->port;
	bool is_bare = colon < host.size && *host.data != '[' &&
	               str_find(port_text, ':') < port_text.size;

	if (host.size == 0 || is_bare)
		return -EINVAL;
	if (conf_address_parse(host, &address) == 0) {
		conf_address_format(&address, name);
		if (address.port != 0)
			route->port = address.port;
		return 0;
	}
	if (colon < host.size) {
		if (num_parse(port_text, UINT16_MAX, &port) < 0 || port == 0 ||
		    *port_text.data == '0')
			return -EINVAL;
		host = str_head(host, colon);
	}
	route->port = (uint16_t)port;
	return is_host_name(host) ? mail_domain_key(host, name) : -EINVAL;
}

static int
smtp_read(struct reader *r, struct str host, struct conf_route *route)
{
	char name[MAIL_DOMAIN_MAX + 1], text[ROUTE_TEXT_SIZE];
	bool is_ipv6;
	int size;

	route->kind = CONF_ROUTE_SMTP;
	if (host_parse(host, name, route) < 0)
		return -EINVAL;
	is_ipv6 = strchr(name, ':') != NULL;
	size = snprintf(text, sizeof(text), "smtp://%s%s%s:%u",
	    is_ipv6 ? "[" : "", name, is_ipv6 ? "]" : "", route->port);
	CHECK(size > 0 && (size_t)size < sizeof(text));
	if (reader_copy(r, str_from(name), &route->host) < 0)
		return -ENOMEM;
	return reader_copy(r, str_of(text, (size_t)size), &route->text);
}

/* Absolute, and no part of it empty, "." or "..". */
static bool
is_plain_path(struct str path)
{
	if (path.size < 2 || *path.data != '/')
		return false;
	while (path.size > 0) {
		struct str part;

		path = str_skip(path, 1);
		part = str_head(path, str_find(path, '/'));
		if (part.size == 0 || str_equal(part, STR(".")) ||
		    str_equal(part, STR("..")))
			return false;
		path = str_skip(path, part.size);
	}
	return true;
}

static int
maildir_read(struct reader *r, struct str text, struct str path,
    struct conf_route *route)
{
	route->kind = CONF_ROUTE_MAILDIR;
	route->port = 0;
	if (!is_plain_path(path))
		return -EINVAL;
	if (reader_copy(r, text, &route->text) < 0)
		return -ENOMEM;
	route->path = str_skip(route->text, text.size - path.size);
	return lookup_add_maildir(r, route->path, &route->job);
}

int
route_read(struct reader *r, struct str text, struct conf_route *route_out)
{
	static const struct str smtp = {"smtp://", 7};
	static const struct str maildir = {"maildir:", 8};
	struct conf_route route = {.port = r->conf->smtp_port};
	int error = -EINVAL;

	if (str_equal(text, STR("mx"))) {
		route.kind = CONF_ROUTE_MX;
		error = reader_copy(r, text, &route.text);
	} else if (str_starts(text, smtp)) {
		error = smtp_read(r, str_skip(text, smtp.size), &route);
	} else if (str_starts(text, maildir)) {
		error =
		    maildir_read(r, text, str_skip(text, maildir.size), &route);
	}
	if (error == 0)
		*route_out = route;
	return error;
}
