/*
 * Real life for one role: a loop on libevent that carries struct role_env_ops
 * on sockets.  One net serves one role in one process; it owns every descriptor
 * given to it.
 *
 * A turn: the kernel's events, then what the role asked meanwhile: input
 * offered again, answers of the resolver, timers; at the end the log and then
 * all output is written, one write a connection and peer, and the store's
 * requests go to the writer as one batch.  The clock is read once a turn.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "conf/conf.h"
#include "net/writer.h"
#include "role/env.h"

#include <stddef.h>
#include <stdint.h>

#define NET_CONN_OUT_MAX  (1 << 20)  /* bytes that wait for a connection */
#define NET_CONN_IN_PAUSE 65536      /* bytes not taken that stop reading */
#define NET_PEER_OUT_MAX  (64 << 20) /* bytes that wait for a peer */
#define NET_CLOSE_MS      10000      /* what a graceful close may last */
#define NET_END_MS        5000 /* wait for a role that leaves last input */
#define NET_STARVED_MS    100  /* pause without a free descriptor */
#define NET_ACCEPT_BATCH  64   /* connections taken in one event */

struct net;

struct net *net_new(const struct role_ops *ops);
/* Drops all connections and peers, unsent output with them. */
void net_free(struct net *net);

/* The operations for the role's constructor. */
struct role_env *net_env(struct net *net);
/* ROLE is what the handlers are called with; it outlives the loop. */
void net_set_role(struct net *net, void *role);
/* The time of this turn. */
uint64_t net_now(struct net *net);

/* A listening socket; listeners are numbered from 0 in order. */
void net_add_listener(struct net *net, int fd);
/* A stream that is there: accepted() is called at once, with no listener. */
void net_add_stream(struct net *net, int fd);
/* Opens the listeners, unless the role wants them closed. */
void net_start(struct net *net);
/* A stream to another role's process; peer_up() is called in the next turn. */
role_peer net_add_peer(
    struct net *net, int fd, enum role_kind kind, uint64_t instance);
/* The channel to the master, which names peers, starts and ends the loop. */
void net_set_master(struct net *net, int fd);
/* The channel to the spawner. */
void net_set_spawner(struct net *net, int fd);
/* A descriptor of inotify(7): noticed() is called when it has something. */
void net_set_watch(struct net *net, int fd);
/* The store's writer; it stays the caller's. */
void net_set_writer(struct net *net, struct writer *writer);
/* Reads the system's resolver files if SERVER has family 0; 0 or -errno. */
int net_set_resolver(struct net *net, const struct conf_address *server)
    __attribute__((warn_unused_result));

/* Runs until the role stops or the master is gone; everything given to the
   store is answered by then and output is written as far as it goes. */
void net_run(struct net *net);
/* One turn; waits for events if IS_WAITING.  For net_run() and for tests. */
void net_turn(struct net *net, bool is_waiting);

#endif
