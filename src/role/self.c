/*
 * What this host knows itself by.  It keeps nothing; the lists are short.
 */
#include "role/self.h"

#include <string.h>

bool
self_has_name(const struct conf *conf, struct str name)
{
	if (name.size > 0 && name.data[name.size - 1] == '.')
		name = str_head(name, name.size - 1);
	return str_case_equal(name, conf->hostname);
}

static bool
bytes_are_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* No address at all, which reaches the loopback, or one of the loopback: RFC
   1122 3.2.1.3, RFC 4291 2.5. */
static bool
address_is_any(const struct conf_address *address)
{
	return bytes_are_zero(address->bytes, address->family == 6 ? 16 : 4);
}

static bool
address_is_same(const struct conf_address *a, const struct conf_address *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, a->family == 6 ? 16 : 4) == 0;
}

static bool
address_is_local(const struct conf *conf, const struct conf_address *address)
{
	if (address_is_any(address))
		return true;
	for (size_t i = 0; i < conf->machine_count; i++)
		if (address_is_same(&conf->machine[i], address))
			return true;
	if (address->family == 4)
		return address->bytes[0] == 127;
	return bytes_are_zero(address->bytes, 15) && address->bytes[15] == 1;
}

bool
self_has_address(const struct conf *conf, const struct conf_address *address)
{
	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_address *own = &conf->listen[i].address;

		if (own->port != address->port ||
		    own->family != address->family)
			continue;
		if (address_is_any(own) ? address_is_local(conf, address)
					: address_is_same(own, address))
			return true;
	}
	return false;
}

bool
self_knows_domain(const struct conf *conf, struct str domain)
{
	return conf_site_of_domain(conf, domain) != NULL ||
	       conf_route_of_domain(conf, domain) !=
	           conf_route_of_domain(conf, str_of("", 0));
}
