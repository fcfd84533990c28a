/*
 * What the hosts answered last when they could not be delivered to, for people
 * who look: in memory only, and only so many.
 */
#include "base/mem.h"
#include "role/queue.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST_COUNT_MAX  10000
#define HOST_ANSWER_MAX 200

struct queue_host {
	char *name;
	char answer[HOST_ANSWER_MAX + 1];
	uint64_t answered_ms;
	UT_hash_handle hh; /* in order of their last answer */
};

static struct queue_host *
host_find(const struct queue *q, const struct route *route)
{
	struct str name = route_target(route).host;
	struct queue_host *host;

	HASH_FIND(hh, q->hosts, name.data, name.size, host);
	return host;
}

static void
host_drop(struct queue *q, struct queue_host *host)
{
	HASH_DEL(q->hosts, host);
	free(host->name);
	free(host);
}

void
queue_host_note(struct queue *q, uint64_t time_ms, struct str destination,
    struct str answer)
{
	struct queue_host *host;
	struct route route;
	struct str name;

	if (route_of_destination(q->conf, destination, &route) < 0)
		return;
	host = host_find(q, &route);
	if (host != NULL)
		host_drop(q, host);
	if (answer.size == 0)
		return;
	if (HASH_COUNT(q->hosts) >= HOST_COUNT_MAX)
		host_drop(q, q->hosts);
	name = route_target(&route).host;
	host = mem_new(1, sizeof(*host));
	host->name = mem_copy_text(name.data, name.size);
	host->answered_ms = time_ms;
	snprintf(host->answer, sizeof(host->answer), "%.*s", STR_ARG(answer));
	HASH_ADD_KEYPTR(hh, q->hosts, host->name, name.size, host);
}

struct str
queue_host_answer(const struct queue *q, const struct route *route)
{
	const struct queue_host *host = host_find(q, route);

	return host != NULL ? str_from(host->answer) : STR("");
}

uint64_t
queue_host_answered(const struct queue *q, const struct route *route)
{
	const struct queue_host *host = host_find(q, route);

	return host != NULL ? host->answered_ms : 0;
}

void
queue_host_fini(struct queue *q)
{
	while (q->hosts != NULL)
		host_drop(q, q->hosts);
}
