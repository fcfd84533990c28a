/*
 * Sites and the sessions that their networks hold of this process: what one
 * site uses up the others cannot have.  A network of several sites counts for
 * each of them, and a session counts once for a site, however many of its
 * networks it is in.
 *
 * Invariants: (1) every network of a site is one entry of the table; those of
 * other sites with the same key are behind it; (2) a site's count is that of
 * the sessions that entered and did not leave.
 */
#include "base/check.h"
#include "base/mem.h"
#include "role/receive.h"

#include <stdlib.h>
#include <string.h>

#define SITE_NETWORK_KEY 18 /* family, prefix, address */
#define PREFIXES         129

struct receive_site_network {
	unsigned char key[SITE_NETWORK_KEY];
	struct receive_site *site;
	struct receive_site_network *same; /* of another site */
	UT_hash_handle hh;
};

struct receive_site_networks {
	struct receive_site_network *table;
	bool has_prefix[2][PREFIXES]; /* of IPv4, of IPv6 */
	uint64_t round;
};

enum site_act {
	SITE_LOOK,
	SITE_ENTER,
	SITE_LEAVE,
};

/* The key of the network of PREFIX bits that ADDRESS is in. */
static void
network_key(const struct conf_address *address, unsigned prefix,
    unsigned char key[SITE_NETWORK_KEY])
{
	size_t whole = prefix / 8;

	CHECK(whole <= sizeof(address->bytes));
	memset(key, 0, SITE_NETWORK_KEY);
	key[0] = address->family;
	key[1] = (unsigned char)prefix;
	memcpy(key + 2, address->bytes, whole);
	if (prefix % 8 != 0)
		key[2 + whole] = address->bytes[whole] &
		                 (unsigned char)(0xff00u >> (prefix % 8));
}

static struct receive_site_network *
network_find(const struct receive_site_networks *networks,
    const unsigned char key[SITE_NETWORK_KEY])
{
	struct receive_site_network *network;

	HASH_FIND(hh, networks->table, key, SITE_NETWORK_KEY, network);
	return network;
}

static void
network_add(struct receive_site_networks *networks,
    const struct conf_network *from, struct receive_site *site)
{
	struct receive_site_network *network = mem_new(1, sizeof(*network));
	struct receive_site_network *first;

	network->site = site;
	network_key(&from->address, from->prefix, network->key);
	networks->has_prefix[from->address.family == 6][from->prefix] = true;
	first = network_find(networks, network->key);
	if (first != NULL) {
		network->same = first->same;
		first->same = network;
	} else {
		HASH_ADD(
		    hh, networks->table, key, sizeof(network->key), network);
	}
}

/* Does ACT to SITE unless this round had it; false if it is full. */
static bool
site_visit(struct receive_site *site, uint64_t round, enum site_act act)
{
	if (site->round == round)
		return true;
	site->round = round;
	switch (act) {
	case SITE_LOOK:
		return site->session_count < site->connections_max;
	case SITE_ENTER:
		site->session_count++;
		break;
	case SITE_LEAVE:
		CHECK(site->session_count > 0);
		site->session_count--;
		break;
	}
	return true;
}

/* Does ACT to each site that FROM belongs to; false if one of them is full. */
static bool
sites_visit(struct receive_site_networks *networks,
    const struct conf_address *from, enum site_act act)
{
	unsigned bits = from->family == 6 ? 128 : 32;
	bool has_room = true;

	networks->round++;
	for (unsigned prefix = 0; prefix <= bits; prefix++) {
		unsigned char key[SITE_NETWORK_KEY];
		struct receive_site_network *network;

		if (!networks->has_prefix[from->family == 6][prefix])
			continue;
		network_key(from, prefix, key);
		network = network_find(networks, key);
		for (; network != NULL; network = network->same)
			has_room &=
			    site_visit(network->site, networks->round, act);
	}
	return has_room;
}

void
receive_sites_init(struct receive *r)
{
	const struct conf *conf = r->conf;

	r->sites = mem_new(conf->site_count, sizeof(r->sites[0]));
	r->site_networks = mem_new(1, sizeof(*r->site_networks));
	for (size_t i = 0; i < conf->site_count; i++) {
		const struct conf_site *site = &conf->sites[i];

		r->sites[i].connections_max =
		    receive_share(conf, site->connections_max);
		for (size_t j = 0; j < site->from.count; j++)
			network_add(r->site_networks, &site->from.list[j],
			    &r->sites[i]);
	}
}

bool
receive_sites_enter(struct receive *r, const struct conf_address *from)
{
	if (!sites_visit(r->site_networks, from, SITE_LOOK))
		return false;
	return sites_visit(r->site_networks, from, SITE_ENTER);
}

void
receive_sites_leave(struct receive *r, const struct conf_address *from)
{
	(void)sites_visit(r->site_networks, from, SITE_LEAVE);
}

void
receive_sites_fini(struct receive *r)
{
	struct receive_site_network *network, *next;

	HASH_ITER(hh, r->site_networks->table, network, next)
	{
		HASH_DELETE(hh, r->site_networks->table, network);
		while (network != NULL) {
			struct receive_site_network *same = network->same;

			free(network);
			network = same;
		}
	}
	for (size_t i = 0; i < r->conf->site_count; i++)
		CHECK(r->sites[i].session_count == 0);
	free(r->site_networks);
	free(r->sites);
	r->site_networks = NULL;
	r->sites = NULL;
}
