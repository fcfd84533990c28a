/*
 * The scheduler: which destination may have a session now, and when to try
 * again.  Pure decisions: it owns no clock and no store, it is told what
 * happened and asked what to do.  Times are queue time in milliseconds.
 *
 * A destination is what is scheduled as one; its host is the next hop, which
 * several may share.  Back-off and concurrency belong to the host.  A held
 * destination is served only during a run: from its release until it is empty
 * or its host has failed for release_time.
 *
 * At most destinations_max destinations are in memory.  Those that do not fit
 * stay in the store, which is asked for them when there is room again.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_DOMAINS_MAX 100 /* of a partial release; more = all */

struct sched_options {
	uint32_t sessions_max;      /* in all */
	uint32_t host_sessions_max; /* of one host */
	uint32_t destinations_max;  /* in memory */
	uint64_t retry_min_ms;      /* back-off after the first failure */
	uint64_t retry_max_ms;
	uint64_t release_time_ms;
};

/* What identifies a destination to the scheduler. */
struct sched_target {
	struct str name;
	struct str host;
	bool is_held;
};

enum sched_act {
	SCHED_NOTHING,
	SCHED_START, /* open a session; tell sched_ended() one day */
	SCHED_OVER,  /* the run of a held destination is over: what was
	                deferred goes back to held */
	SCHED_PARK,  /* forget it until due_ms: the store remembers */
};

struct sched_decision {
	enum sched_act act;
	char name[301];    /* of the destination, NUL-terminated */
	uint32_t session;  /* START: its number, never 0, not soon reused */
	bool is_empty;     /* OVER: else its host failed too long */
	uint64_t due_ms;   /* PARK */
	uint32_t failures; /* PARK */
};

enum sched_end {
	SCHED_END_GOOD,   /* the host took what it was given */
	SCHED_END_FAILED, /* the host is in trouble */
	SCHED_END_LOST,   /* our own process ended: nobody is to blame */
};

struct sched;

struct sched *sched_new(const struct sched_options *options);
void sched_free(struct sched *s);

/* COUNT leases of TARGET may be taken now (arrived, promoted, found in the
   store); recipients that go together are one.  False if there is no room for
   one more destination. */
bool sched_ready(
    struct sched *s, const struct sched_target *target, uint64_t count);
/* As above, for one that the store remembers with FAILURES behind it. */
bool sched_unpark(struct sched *s, const struct sched_target *target,
    uint64_t count, uint32_t failures);

/* Releases TARGET, where COUNT messages wait, for DOMAINS (none = all): the
   host's back-off is cleared; a run that is on is joined.  True if one was. */
bool sched_release(struct sched *s, const struct sched_target *target,
    const struct str *domains, size_t domain_count, uint64_t count);

/* From now on at most SESSIONS_MAX in all, since others have the rest. */
void sched_limit(struct sched *s, uint32_t sessions_max);

/* The next thing to do; call until it says SCHED_NOTHING. */
struct sched_decision sched_next(struct sched *s, uint64_t now_ms);
/* When to ask again although nothing happened; UINT64_MAX = never. */
uint64_t sched_due(const struct sched *s);

/* What a session may take: false if the session is not known or its
   destination may not be served any more.  The domains are the scheduler's,
   valid until the next call; none = all. */
bool sched_may_take(const struct sched *s, uint32_t session,
    bool *is_released_out, const struct str **domains_out,
    size_t *domain_count_out);
/* A take was asked for / answered for SESSION.  An answer of 0 means that the
   destination is empty, unless rows came in between: then false is returned
   and another take is worth while. */
void sched_taking(struct sched *s, uint32_t session);
bool sched_taken(struct sched *s, uint32_t session, size_t count);
/* A message was delivered over SESSION: the host answers well. */
void sched_delivered(struct sched *s, uint32_t session);
void sched_ended(
    struct sched *s, uint32_t session, enum sched_end end, uint64_t now_ms);

/* True if destinations were turned away and there is room again. */
bool sched_wants_more(const struct sched *s);
/* The store has been asked: forget that some were turned away. */
void sched_asked_more(struct sched *s);

/* The wait after the FAILURES-th failure (from 1). */
uint64_t sched_backoff(uint32_t failures, uint64_t min_ms, uint64_t max_ms);
/* When a row that was deferred for the ATTEMPTS-th time (from 1) is due. */
uint64_t sched_row_delay(const struct sched *s, uint32_t attempts);
/* The fixed rank of a message: arrival plus a penalty for its size, so that
   all age alike and small ones go first. */
uint64_t sched_rank(uint64_t arrival_ms, uint64_t size, int priority);

/* For people: "active", "released", "backoff", "waiting", "held"; and when its
   host is tried again (0 = not set). */
const char *sched_state(const struct sched *s, struct str name, bool is_held,
    uint64_t now_ms, uint64_t *due_ms_out);
void sched_check(const struct sched *s);

#endif
