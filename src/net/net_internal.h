/* What the files of the loop share; nobody else includes it. */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "base/buf.h"
#include "base/heap.h"
#include "net/net.h"
#include "net/resolver.h"
#include "role/env.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#define NET_SCRATCH_SIZE 65536
#define NET_PEERS_MAX    256

/*
 *  STARTING --connected(0)--> OPEN --conn_close--> CLOSING --all sent-->
 *  LINGER --end of input or 10 s--> DEAD;  any --conn_abort, error--> DEAD.
 *  A role sees STARTING and OPEN only.
 */
enum net_conn_state {
	NET_CONN_STARTING,
	NET_CONN_OPEN,
	NET_CONN_CLOSING,
	NET_CONN_LINGER,
	NET_CONN_DEAD /* freed at the end of the turn */
};

struct net_conn {
	struct net *net;
	uint32_t index;
	uint32_t generation;
	enum net_conn_state state;
	int fd;    /* -1: none yet (a helper being started), or dead */
	int error; /* to be reported, -errno */
	bool is_input_over;
	bool is_woken;
	bool is_pending; /* in net->pending */
	bool is_dirty;   /* in net->dirty */
	bool is_reading; /* read_event is on */
	bool is_blocked; /* write_event is on: output waits for room */
	bool has_user;   /* who connected to a local socket is known */
	uint32_t uid;
	struct buf in;
	struct buf out;
	struct event read_event;
	struct event write_event;
	struct heap_node timer;
	struct net_conn *pending_prev, *pending_next;
	struct net_conn *dirty_prev, *dirty_next;
	struct net_conn *dead_next;
};

struct net_peer {
	struct net *net;
	role_peer id;
	enum role_kind kind;
	uint64_t instance;
	int fd;
	bool is_named;   /* peer_up was called */
	bool is_broken;  /* to be closed at the end of the turn */
	bool is_blocked; /* write_event is on */
	struct buf in;
	struct buf out;
	struct event read_event;
	struct event write_event;
};

struct net_listener {
	struct net *net;
	size_t index;
	int fd;
	struct event event;
};

/* A slot of the table of connections; GENERATION outlives the connection. */
struct net_slot {
	struct net_conn *conn;
	uint32_t generation;
	uint32_t free_next; /* index plus one */
};

struct net {
	struct role_env env; /* first, so that the env is the net */
	const struct role_ops *ops;
	void *role;
	struct event_base *base;

	uint64_t now_ms;
	bool is_in_turn; /* now_ms is of this turn */
	bool is_stopping;
	struct heap timers;
	struct heap_node role_timer;
	struct heap_node starved_timer;
	struct event timer_event;
	uint64_t armed_ms; /* what timer_event waits for; UINT64_MAX: nothing */

	struct net_slot *slots;
	uint32_t slot_count;
	uint32_t slot_capacity;
	uint32_t slot_free; /* index plus one */
	struct net_conn *pending;
	struct net_conn *dirty;
	struct net_conn *dead;
	char scratch[NET_SCRATCH_SIZE];

	struct net_listener *listeners;
	size_t listener_count;
	bool is_started;
	bool is_listening; /* what the role wants */
	bool is_starved;
	bool is_accepting; /* the events are on */
	int spare_fd;      /* given up to take a descriptor from the master */

	struct net_peer *peers[NET_PEERS_MAX];
	size_t peer_count;
	role_peer peer_next;
	bool is_peer_news; /* peers to be named or closed */

	int master_fd;
	struct event master_event;
	int spawner_fd;
	struct event spawner_event;
	int watch_fd; /* inotify(7), -1: none */
	struct event watch_event;

	struct writer *writer;
	struct event writer_event;
	struct store_request **requests; /* for the next batch */
	size_t request_count;
	size_t request_capacity;

	struct resolver *resolver;
};

/* Reads the clock if this is the first event of the turn. */
void net_begin(struct net *net);
/* The net that ENV is. */
struct net *net_of(struct role_env *env);

/* conn.c: the operations, and their part in a turn. */
int net_conn_send(struct role_env *env, role_conn id, struct str bytes);
size_t net_conn_unsent(struct role_env *env, role_conn id);
uint64_t net_conn_acked(
    struct role_env *env, role_conn id, uint64_t *idle_ms_out);
bool net_conn_user(struct role_env *env, role_conn id, uint32_t *uid_out);
void net_conn_close(struct role_env *env, role_conn id);
void net_conn_abort(struct role_env *env, role_conn id);
void net_conn_wake(struct role_env *env, role_conn id);
role_conn net_conn_id(const struct net_conn *conn);
struct net_conn *net_conn_find(struct net *net, role_conn id);
/* A connection without a descriptor. */
struct net_conn *net_conn_new(struct net *net);
/* Gives it the descriptor; connected or accepted. */
void net_conn_open(struct net_conn *conn, int fd);
/* ERROR is reported at the end of the turn. */
void net_conn_fail(struct net_conn *conn, int error);
void net_conn_timer(struct net_conn *conn);
/* Offers, reports; writes; frees.  True if there is more to be done. */
void net_conns_offer(struct net *net);
void net_conns_flush(struct net *net);
void net_conns_bury(struct net *net);
void net_conns_free(struct net *net);

/* reach.c: listeners, outgoing connections, helpers. */
role_conn net_reach_connect(
    struct role_env *env, const struct conf_address *address);
role_conn net_reach_spawn(struct role_env *env, uint32_t job);
void net_reach_listen(struct role_env *env, bool is_open);
/* FD is a stream to another role: accepted, and the net's. */
void net_reach_stream(struct net *net, int fd);
void net_listeners_update(struct net *net);
void net_listeners_free(struct net *net);
/* A connect() has ended. */
void net_reach_done(struct net_conn *conn);

/* watch.c */
void net_watch_free(struct net *net);

/* peer.c */
int net_peer_send(struct role_env *env, role_peer id, struct str frame);
void net_peers_settle(struct net *net);
void net_peers_flush(struct net *net);
void net_peers_free(struct net *net);

/* command.c: the channels. */
void net_ask_stream(struct role_env *env, enum role_kind kind);
void net_channels_free(struct net *net);
/* Tells the master; a failure ends the loop. */
void net_master_tell(struct net *net, int type, uint32_t subject, uint64_t n);

#endif
