/* The master's view of one child: how it is started, linked, ended. */
#ifndef CMD_MASTER_CHILD_H
#define CMD_MASTER_CHILD_H

#include "cmd/places.h"
#include "conf/conf.h"
#include "role/env.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct master;

struct master_child {
	struct master *master;
	enum role_kind kind;
	uint32_t instance; /* from 1 within its kind */
	pid_t pid;         /* 0: not running */
	int channel;       /* -1: none */
	bool is_ready;
	unsigned
	    lost_kinds; /* bits of kinds whose peers are to be made again */
	uint64_t started_ms;
	uint64_t backoff_ms;
	struct event channel_event;
	struct event timer; /* its restart, or its new peers */
};

/* What a child is started with. */
struct master_start {
	const struct conf *conf;
	int text_fd;
	const struct places *places;
	bool is_run; /* nothing but queue runs */
};

/* Forks and executes it, or forks the spawner: 0 or -errno; sets pid and
   channel. */
int master_child_start(struct master_child *child,
    const struct master_start *start) __attribute__((warn_unused_result));
/* Makes a pair of peers of two running children.  One that does not take its
   end is killed. */
void master_child_link(struct master_child *a, struct master_child *b);
/* True if children of these kinds talk to each other: as soon as they run, or
   else if one asks for it. */
bool master_kinds_are_linked(
    enum role_kind a, enum role_kind b, bool is_asked_for);
/* Sends a record without more; a child that does not take it is killed. */
void master_child_tell(struct master_child *child, int type);
void master_child_kill(struct master_child *child);

#endif
