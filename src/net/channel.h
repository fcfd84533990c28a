/*
 * Fixed-size records between the master or the spawner and its children, with
 * at most one descriptor each, over a SOCK_SEQPACKET pair: 16 bytes, type and
 * subject (32 bits each), number (64 bits), all little-endian.
 */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include <stdint.h>

enum channel_type {
	/* Master to child.  Subject: role kind, number: instance. */
	CHANNEL_PEER = 1, /* with the descriptor of a peer of that kind */
	CHANNEL_START,    /* all peers are named: open the listeners */
	CHANNEL_SHUTDOWN, /* end in order */
	/* Child to master. */
	CHANNEL_READY, /* it runs */
	CHANNEL_LOST,  /* a peer of that kind is gone: a new one is wanted */
	/* Deliver to spawner and back.  Subject: job, number: the token. */
	CHANNEL_SPAWN,
	CHANNEL_SPAWNED, /* with the descriptor; without one it failed */
	CHANNEL_TYPES
};

struct channel_record {
	enum channel_type type;
	uint32_t subject;
	uint64_t number;
};

/* Both ends, non-blocking and close-on-exec: 0 or -errno. */
int channel_pair(int fds_out[2]) __attribute__((warn_unused_result));

/* Sends RECORD and a copy of PASSED_FD unless that is -1: 0 or -errno
   (-EAGAIN: the far end does not read). */
int channel_send(int fd, const struct channel_record *record, int passed_fd)
    __attribute__((warn_unused_result));

/* One record; *PASSED_FD_OUT is the caller's, or -1: 0, -EAGAIN, -EPIPE (the
   far end is gone), -EPROTO (not a record), or another -errno. */
int channel_receive(int fd, struct channel_record *record_out,
    int *passed_fd_out) __attribute__((warn_unused_result));

#endif
