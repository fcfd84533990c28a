/*
 * Client networks and what they may take of this process: sessions at a time,
 * triggers a minute.  A network is an IPv4 /24 or an IPv6 /64, which is what
 * one customer or one attacker usually has; on this host it is a user.
 *
 * Invariants: (1) a network is kept while it has sessions, and for a while
 * after its last trigger; (2) those that are only remembered are in a list of
 * at most RECEIVE_NETWORKS_IDLE, the one that fell idle first in front.
 */
#include "role/receive.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

bool
receive_rate_take(
    struct receive_rate *rate, uint64_t now_ms, uint64_t minute_max)
{
	if (rate->count == 0 || now_ms - rate->begin_ms >= RECEIVE_MINUTE_MS)
		*rate = (struct receive_rate){.begin_ms = now_ms};
	if (rate->count >= minute_max)
		return false;
	rate->count++;
	return true;
}

/* The family, then the bytes that name the network; the rest is 0. */
static void
network_key(
    const struct conf_address *from, unsigned char key[RECEIVE_NETWORK_KEY])
{
	memset(key, 0, RECEIVE_NETWORK_KEY);
	key[0] = from->family;
	memcpy(key + 1, from->bytes, from->family == 4 ? 3 : 8);
}

struct conf_address
receive_network_of_user(uint32_t uid)
{
	struct conf_address address = {.family = 0};

	wire_store_u32((char *)address.bytes, uid);
	return address;
}

static void
network_free(struct receive *r, struct receive_network *network)
{
	CHECK(network->session_count == 0);
	HASH_DELETE(hh, r->networks, network);
	free(network);
}

static void
network_forget_oldest(struct receive *r)
{
	struct receive_network *oldest = r->idle_networks;

	DL_DELETE(r->idle_networks, oldest);
	r->idle_network_count--;
	network_free(r, oldest);
}

struct receive_network *
receive_network_enter(struct receive *r, const struct conf_address *from)
{
	unsigned char key[RECEIVE_NETWORK_KEY];
	struct receive_network *network;

	network_key(from, key);
	HASH_FIND(hh, r->networks, key, sizeof(key), network);
	if (network == NULL) {
		network = mem_new(1, sizeof(*network));
		memcpy(network->key, key, sizeof(key));
		HASH_ADD(hh, r->networks, key, sizeof(network->key), network);
	} else if (network->session_count == 0) {
		DL_DELETE(r->idle_networks, network);
		r->idle_network_count--;
	} else if (network->session_count >= r->network_connections_max) {
		return NULL;
	}
	network->session_count++;
	return network;
}

void
receive_network_leave(struct receive *r, struct receive_network *network)
{
	CHECK(network->session_count > 0);
	if (--network->session_count > 0)
		return;
	/* Without a trigger there is nothing to remember. */
	if (network->triggers.count == 0) {
		network_free(r, network);
		return;
	}
	DL_APPEND(r->idle_networks, network);
	if (++r->idle_network_count > RECEIVE_NETWORKS_IDLE)
		network_forget_oldest(r);
}

void
receive_networks_free(struct receive *r)
{
	while (r->idle_networks != NULL)
		network_forget_oldest(r);
	CHECK(r->networks == NULL && r->idle_network_count == 0);
}
