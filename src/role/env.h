/*
 * A role is a set of handlers that owns no descriptor and no clock.  This is
 * what carries it: src/net on real sockets, a simulation on pretend ones.
 *
 * The carrier calls the handlers, one at a time, each with the time NOW_MS (of
 * a clock that never goes back); the role asks through the operations.  No
 * operation calls a handler before it returns.
 */
#ifndef ROLE_ENV_H
#define ROLE_ENV_H

#include "base/str.h"
#include "conf/conf.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A connection: index and generation in one number, 0 = none.  A late answer
   for a closed one finds nothing. */
typedef uint64_t role_conn;
/* Another role's process; 0 = none. */
typedef uint32_t role_peer;

enum role_kind {
	ROLE_MASTER,
	ROLE_SPAWNER,
	ROLE_RECEIVE,
	ROLE_QUEUE,
	ROLE_DELIVER,
	ROLE_CONTROL,
	ROLE_HELPER,
	ROLE_PICKUP,
	ROLE_ALIAS,   /* a helper that adds to a file of an alias */
	ROLE_RUNNER,  /* starts those that run programs of aliases */
	ROLE_WATCHER, /* one of them: waits for a program's end */
	ROLE_KINDS
};

/* The listener of a connection that came from none: a stream that the master
   made between two roles. */
#define ROLE_NO_LISTENER SIZE_MAX

enum role_dns {
	ROLE_DNS_MX,
	ROLE_DNS_ADDRESS
};

enum role_dns_status {
	ROLE_DNS_OK,
	ROLE_DNS_NONE,  /* the name exists, no such data, or no such name */
	ROLE_DNS_FAILED /* ask again later */
};

#define ROLE_DNS_MAX 32 /* records kept of an answer */

struct role_dns_answer {
	enum role_dns_status status;
	bool is_no_name; /* NXDOMAIN, with ROLE_DNS_NONE */
	size_t count;
	struct {
		uint16_t preference;            /* MX */
		char name[MAIL_DOMAIN_MAX + 1]; /* MX: host, "" for "." */
		struct conf_address address;    /* ADDRESS: A and AAAA */
	} records[ROLE_DNS_MAX];
};

struct role_env;

struct role_env_ops {
	/* Bytes for the far end: 0, or -ENOBUFS if over 1 MB would wait. */
	int (*conn_send)(
	    struct role_env *env, role_conn conn, struct str bytes);
	/* Bytes given and not yet taken by the network. */
	size_t (*conn_unsent)(struct role_env *env, role_conn conn);
	/* Bytes that the far end's host has acknowledged, and how long ago it
	   last did: a slow link moves bytes for long after the network has
	   taken them all.  0 where this is not known. */
	uint64_t (*conn_acked)(
	    struct role_env *env, role_conn conn, uint64_t *idle_ms_out);
	/* Who connected to a local socket, at that time; false where this is
	   not known, or is no local socket. */
	bool (*conn_user)(
	    struct role_env *env, role_conn conn, uint32_t *uid_out);
	/* Closes after what was given is sent (at most 10 s); closed() is not
	   called. */
	void (*conn_close)(struct role_env *env, role_conn conn);
	/* Resets at once, dropping what was not sent; likewise. */
	void (*conn_abort)(struct role_env *env, role_conn conn);
	/* Offers the input that bytes() has not taken once more. */
	void (*conn_wake)(struct role_env *env, role_conn conn);
	/* Connects; connected() tells.  0 if no descriptor is to be had. */
	role_conn (*connect)(
	    struct role_env *env, const struct conf_address *address);
	/* Starts the helper of job number JOB; connected() tells.  0 as above.
	 */
	role_conn (*spawn)(struct role_env *env, uint32_t job);
	/* Asks the master for a stream to a role of that kind; accepted()
	   tells, with ROLE_NO_LISTENER, or nothing does. */
	void (*ask_stream)(struct role_env *env, enum role_kind kind);
	/* Stops or resumes taking connections from listeners. */
	void (*listen)(struct role_env *env, bool is_open);
	/* Asks the resolver; resolved() tells, with the same QUERY. */
	void (*resolve)(struct role_env *env, uint64_t query,
	    enum role_dns what, struct str name);
	/* A frame (role/message.h) to another role: 0, or -EPIPE. */
	int (*send)(struct role_env *env, role_peer peer, struct str frame);
	/* Hands a request to the store; stored() gives it back. */
	void (*store)(struct role_env *env, struct store_request *request);
	/* timer() is wanted at DUE_MS; one at a time, the last call counts;
	   UINT64_MAX = not at all. */
	void (*wake_at)(struct role_env *env, uint64_t due_ms);
	uint64_t (*wall_ms)(struct role_env *env);
	/* The machine's load of the last minute, rounded. */
	uint32_t (*load)(struct role_env *env);
	void (*random)(struct role_env *env, void *data, size_t size);
	/* Ends this process in order: after this handler, with status 0. */
	void (*stop)(struct role_env *env);
};

struct role_env {
	const struct role_env_ops *ops;
};

/* A handler that a role does not need is NULL. */
struct role_ops {
	enum role_kind kind;
	/* FROM has family 0 if it is no address of the Internet. */
	void (*accepted)(void *role, uint64_t now_ms, role_conn conn,
	    size_t listener, const struct conf_address *from);
	/* ERROR: 0 or -errno (then the connection is gone). */
	void (*connected)(
	    void *role, uint64_t now_ms, role_conn conn, int error);
	/* Input; returns how much of it was taken.  What is left is offered
	   again with more input or after conn_wake(); reading stops while
	   64 KB wait. */
	size_t (*bytes)(
	    void *role, uint64_t now_ms, role_conn conn, struct str bytes);
	/* Everything given to conn_send() was taken by the network. */
	void (*drained)(void *role, uint64_t now_ms, role_conn conn);
	/* The far end closed (ERROR 0) or the connection broke (-errno), after
	   all its input was offered. */
	void (*closed)(void *role, uint64_t now_ms, role_conn conn, int error);
	void (*resolved)(void *role, uint64_t now_ms, uint64_t query,
	    const struct role_dns_answer *answer);
	void (*peer_up)(
	    void *role, uint64_t now_ms, role_peer peer, enum role_kind kind);
	void (*peer_down)(void *role, uint64_t now_ms, role_peer peer);
	/* A frame; not 0 closes that peer. */
	int (*message)(
	    void *role, uint64_t now_ms, role_peer peer, struct str frame);
	/* An answered request; the role frees it. */
	void (*stored)(
	    void *role, uint64_t now_ms, struct store_request *request);
	void (*timer)(void *role, uint64_t now_ms);
	/* Names came up in the directory that is watched. */
	void (*noticed)(void *role, uint64_t now_ms);
	/* The master asks for an orderly end: finish what is in hand, then
	   stop(). */
	void (*shutdown)(void *role, uint64_t now_ms);
};

#endif
