/*
 * Addresses and networks.  Texts are bounded before inet_pton() sees them;
 * nothing is looked up.
 *
 * Invariant: an IPv4-mapped address (RFC 4291 2.5.5.2) is always held as the
 * IPv4 address that it stands for, so that one network has one form.
 */
#include "conf/address.h"
#include "base/check.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define ADDRESS_TEXT_SIZE 46 /* of the longest IPv6 address with its NUL */
#define MAPPED_BITS       96
#define MAPPED_BYTES      12

static const unsigned char mapped_prefix[MAPPED_BYTES] = {
    [10] = 0xff, [11] = 0xff};

/* Decimal digits without a leading zero. */
static int
number_parse(struct str text, uint64_t max, uint64_t *value_out)
{
	if (text.size > 1 && *text.data == '0')
		return -EINVAL;
	return num_parse(text, max, value_out);
}

/* An address and nothing else, as written: not yet normalised. */
static int
bare_parse(struct str text, struct conf_address *address_out)
{
	struct conf_address address = {.family = 4};
	char copy[ADDRESS_TEXT_SIZE];

	if (text.size == 0 || text.size >= sizeof(copy) ||
	    str_find(text, '\0') < text.size)
		return -EINVAL;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	if (str_find(text, ':') < text.size)
		address.family = 6;
	if (inet_pton(address.family == 6 ? AF_INET6 : AF_INET, copy,
		address.bytes) != 1)
		return -EINVAL;
	*address_out = address;
	return 0;
}

static bool
is_mapped(const struct conf_address *address)
{
	return address->family == 6 &&
	       memcmp(address->bytes, mapped_prefix, MAPPED_BYTES) == 0;
}

static void
address_normalise(struct conf_address *address)
{
	if (!is_mapped(address))
		return;
	memmove(address->bytes, address->bytes + MAPPED_BYTES, 4);
	memset(address->bytes + 4, 0, MAPPED_BYTES);
	address->family = 4;
}

/* Splits "ADDRESS", "ADDRESS:PORT", "[ADDRESS]", "[ADDRESS]:PORT"; the port
   keeps its colon.  A second colon makes it an IPv6 address alone. */
static int
port_split(struct str text, struct str *address_out, struct str *port_out)
{
	struct str behind;
	size_t at;

	if (str_starts(text, STR("["))) {
		at = str_find(text, ']');
		if (at == text.size || str_find(str_head(text, at), ':') == at)
			return -EINVAL;
		*address_out = str_skip(str_head(text, at), 1);
		*port_out = str_skip(text, at + 1);
		return 0;
	}
	at = str_find(text, ':');
	behind = str_skip(text, at + 1);
	if (str_find(behind, ':') < behind.size)
		at = text.size;
	*address_out = str_head(text, at);
	*port_out = str_skip(text, at);
	return 0;
}

int
conf_address_parse(struct str text, struct conf_address *address_out)
{
	struct conf_address address;
	struct str bare, port_text;
	uint64_t port = 0;

	if (port_split(text, &bare, &port_text) < 0 ||
	    bare_parse(bare, &address) < 0)
		return -EINVAL;
	if (port_text.size > 0) {
		if (*port_text.data != ':' ||
		    number_parse(str_skip(port_text, 1), UINT16_MAX, &port) <
			0 ||
		    port == 0)
			return -EINVAL;
	}
	address.port = (uint16_t)port;
	address_normalise(&address);
	*address_out = address;
	return 0;
}

void
conf_address_format(const struct conf_address *address, char text[46])
{
	const char *written;

	CHECK(address->family == 4 || address->family == 6);
	written = inet_ntop(address->family == 6 ? AF_INET6 : AF_INET,
	    address->bytes, text, ADDRESS_TEXT_SIZE);
	CHECK(written != NULL);
}

static unsigned
family_bits(const struct conf_address *address)
{
	return address->family == 6 ? 128 : 32;
}

/* True if the first BITS bits are equal. */
static bool
bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned mask = 0xff00u >> (bits % 8);

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 ||
	       ((a[bits / 8] ^ b[bits / 8]) & mask & 0xff) == 0;
}

static bool
is_clear_behind(const struct conf_address *address, unsigned prefix)
{
	for (unsigned i = prefix; i < family_bits(address); i++)
		if (address->bytes[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

int
conf_network_parse(struct str text, struct conf_network *network_out)
{
	struct conf_network network;
	size_t slash = str_find(text, '/');
	uint64_t prefix;

	if (bare_parse(str_head(text, slash), &network.address) < 0)
		return -EINVAL;
	prefix = family_bits(&network.address);
	if (slash < text.size &&
	    number_parse(str_skip(text, slash + 1), prefix, &prefix) < 0)
		return -EINVAL;
	if (!is_clear_behind(&network.address, (unsigned)prefix))
		return -ERANGE;
	/* The set bits of the mapped prefix were found within this one. */
	if (is_mapped(&network.address)) {
		CHECK(prefix >= MAPPED_BITS);
		prefix -= MAPPED_BITS;
		address_normalise(&network.address);
	}
	network.prefix = (uint8_t)prefix;
	*network_out = network;
	return 0;
}

bool
conf_networks_contain(
    const struct conf_networks *networks, const struct conf_address *address)
{
	struct conf_address plain = *address;

	address_normalise(&plain);
	for (size_t i = 0; i < networks->count; i++) {
		const struct conf_network *network = &networks->list[i];

		if (network->address.family == plain.family &&
		    bits_equal(
			network->address.bytes, plain.bytes, network->prefix))
			return true;
	}
	return false;
}
