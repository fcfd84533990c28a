/*
 * The resolver: MX and addresses from libunbound, on the loop's event base,
 * without threads.  After resolver_new() it needs sockets only, no files.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "conf/conf.h"
#include "role/env.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#define RESOLVER_WAIT_MS 30000 /* after that a question has failed */

struct resolver;

/* SERVER with family 0: the servers of /etc/resolv.conf, and /etc/hosts.
   0, or -errno. */
int resolver_new(struct event_base *base, const struct conf_address *server,
    struct resolver **resolver_out) __attribute__((warn_unused_result));
/* Forgets all questions. */
void resolver_free(struct resolver *r);

/* Asks; the answer comes from resolver_next(), never from here. */
void resolver_ask(
    struct resolver *r, uint64_t query, enum role_dns what, struct str name);
/* The next answer, valid until the next call; false if there is none. */
bool resolver_next(struct resolver *r, uint64_t *query_out,
    const struct role_dns_answer **answer_out);
bool resolver_is_ready(const struct resolver *r);

#endif
