/*
 * The scheduler's decisions.
 *
 * A host is in one of three places: on the list of runnable hosts (it has a
 * destination with work, room for a session, no back-off), in the heap of
 * back-offs (until retry_ms), or in neither.  host_settle() alone decides
 * which, from the facts, after every change.
 *
 * Invariants (sched_check):
 * 1. the sessions of a host are the sum over its destinations;
 * 2. a destination with neither work, sessions nor a run is not in memory;
 * 3. a host without destinations is in memory only while it backs off.
 */
#include "sched/sched.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define SCHED_HOST_START     2     /* sessions of a host nobody knows */
#define SCHED_TAKES_SESSION  8     /* backlog that is worth one more */
#define SCHED_RUN_RETRY_MIN  1000  /* ms: back-off while somebody asks */
#define SCHED_RUN_RETRY_MAX  30000 /* ms */
#define SCHED_LOST_RETRY     1000  /* ms */
#define SCHED_HOSTS_IDLE_MAX 10000 /* remembered only for their back-off */

struct sched_host {
	char *name;
	struct sched_destination *destinations; /* next to be served first */
	uint32_t destination_count;
	uint32_t session_count;
	uint32_t session_limit;
	uint32_t failures;
	uint64_t retry_ms; /* no session before; 0 = now */
	struct heap_node retry;
	bool is_runnable;
	struct sched_host *prev, *next; /* runnable list */
	UT_hash_handle hh;
};

struct sched_destination {
	char *name;
	struct sched_host *host;
	bool is_held;
	bool has_work;
	bool is_released;          /* a run is on */
	uint64_t failing_since_ms; /* of the run's host; 0 = not failing */
	uint64_t backlog;          /* leases believed to wait: a hint */
	uint64_t arrivals;         /* counts sched_ready() */
	uint32_t session_count;
	struct str *domains; /* of a partial run; none = all */
	size_t domain_count;
	struct sched_destination *prev, *next; /* of the host */
	UT_hash_handle hh;
};

struct sched_session {
	uint32_t number;
	struct sched_destination *destination;
	uint64_t arrivals; /* when the take in hand was asked for */
	UT_hash_handle hh;
};

/* Decisions that are made where the cause is known and told by sched_next. */
struct sched_told {
	struct sched_decision decision;
	struct sched_told *next;
};

struct sched {
	struct sched_options options;
	struct sched_host *hosts;
	struct sched_host *runnable;
	struct heap retries;
	struct sched_destination *destinations;
	struct sched_session *sessions;
	struct sched_told *told;
	uint32_t session_last;
	bool is_turned_away;
};

struct sched *
sched_new(const struct sched_options *options)
{
	struct sched *s = mem_new(1, sizeof(*s));

	CHECK(options->sessions_max > 0 && options->host_sessions_max > 0);
	s->options = *options;
	heap_init(&s->retries);
	return s;
}

static struct sched_host *
host_get(struct sched *s, struct str name)
{
	struct sched_host *host;

	HASH_FIND(hh, s->hosts, name.data, name.size, host);
	if (host != NULL)
		return host;
	host = mem_new(1, sizeof(*host));
	host->name = mem_copy_text(name.data, name.size);
	host->session_limit = s->options.host_sessions_max < SCHED_HOST_START
	                          ? s->options.host_sessions_max
	                          : SCHED_HOST_START;
	HASH_ADD_KEYPTR(hh, s->hosts, host->name, name.size, host);
	return host;
}

static void
host_drop(struct sched *s, struct sched_host *host)
{
	CHECK(host->destinations == NULL && host->session_count == 0);
	heap_remove(&s->retries, &host->retry);
	if (host->is_runnable)
		DL_DELETE(s->runnable, host);
	HASH_DEL(s->hosts, host);
	free(host->name);
	free(host);
}

static bool
destination_wants_session(const struct sched_destination *d)
{
	if (!d->has_work || (d->is_held && !d->is_released))
		return false;
	return d->session_count == 0 ||
	       d->backlog / SCHED_TAKES_SESSION >= d->session_count;
}

static bool
host_wants_session(const struct sched_host *host)
{
	const struct sched_destination *d;

	if (host->session_count >= host->session_limit)
		return false;
	DL_FOREACH(host->destinations, d)
	if (destination_wants_session(d))
		return true;
	return false;
}

/* Puts the host where its facts say it belongs. */
static void
host_settle(struct sched *s, struct sched_host *host)
{
	bool is_runnable = host->retry_ms == 0 && host_wants_session(host);

	if (is_runnable && !host->is_runnable)
		DL_APPEND(s->runnable, host);
	if (!is_runnable && host->is_runnable)
		DL_DELETE(s->runnable, host);
	host->is_runnable = is_runnable;
	if (host->retry_ms > 0)
		heap_set(&s->retries, &host->retry, host->retry_ms);
	else
		heap_remove(&s->retries, &host->retry);
	if (host->destinations == NULL &&
	    (host->failures == 0 ||
		HASH_COUNT(s->hosts) > SCHED_HOSTS_IDLE_MAX))
		host_drop(s, host);
}

static struct sched_destination *
destination_find(const struct sched *s, struct str name)
{
	struct sched_destination *d;

	HASH_FIND(hh, s->destinations, name.data, name.size, d);
	return d;
}

static struct sched_destination *
destination_get(struct sched *s, const struct sched_target *target)
{
	struct sched_destination *d = destination_find(s, target->name);

	if (d != NULL)
		return d;
	if (HASH_COUNT(s->destinations) >= s->options.destinations_max) {
		s->is_turned_away = true;
		return NULL;
	}
	CHECK(target->name.size < sizeof(((struct sched_decision *)0)->name));
	d = mem_new(1, sizeof(*d));
	d->name = mem_copy_text(target->name.data, target->name.size);
	d->is_held = target->is_held;
	d->host = host_get(s, target->host);
	DL_APPEND(d->host->destinations, d);
	d->host->destination_count++;
	HASH_ADD_KEYPTR(hh, s->destinations, d->name, target->name.size, d);
	return d;
}

static void
destination_clear_domains(struct sched_destination *d)
{
	for (size_t i = 0; i < d->domain_count; i++)
		free((char *)(uintptr_t)d->domains[i].data);
	free(d->domains);
	d->domains = NULL;
	d->domain_count = 0;
}

static void
destination_drop(struct sched *s, struct sched_destination *d)
{
	CHECK(d->session_count == 0);
	destination_clear_domains(d);
	DL_DELETE(d->host->destinations, d);
	d->host->destination_count--;
	HASH_DEL(s->destinations, d);
	free(d->name);
	free(d);
}

static struct sched_decision *
sched_tell(struct sched *s, enum sched_act act, const char *name)
{
	struct sched_told *told = mem_new(1, sizeof(*told));
	struct str text = str_from(name);

	told->decision.act = act;
	memcpy(told->decision.name, text.data, text.size);
	LL_APPEND(s->told, told);
	return &told->decision;
}

static void
run_end(struct sched *s, struct sched_destination *d, bool is_empty)
{
	d->is_released = false;
	d->failing_since_ms = 0;
	destination_clear_domains(d);
	if (d->is_held) {
		sched_tell(s, SCHED_OVER, d->name)->is_empty = is_empty;
		d->has_work = false;
		d->backlog = 0;
	}
}

/* A run ends when its destination is empty; a destination leaves memory when
   there is nothing to know about it. */
static void
destination_sweep(struct sched *s, struct sched_destination *d)
{
	if (d->is_released && !d->has_work && d->session_count == 0)
		run_end(s, d, true);
	if (d->session_count == 0 && !d->is_released &&
	    (!d->has_work || d->is_held))
		destination_drop(s, d);
}

/* After every change of D. */
static void
destination_settle(struct sched *s, struct sched_destination *d)
{
	struct sched_host *host = d->host;

	destination_sweep(s, d);
	host_settle(s, host);
}

void
sched_free(struct sched *s)
{
	struct sched_session *session, *session_next;
	struct sched_destination *d, *d_next;
	struct sched_host *host, *host_next;
	struct sched_told *told, *told_next;

	HASH_ITER(hh, s->sessions, session, session_next)
	{
		HASH_DEL(s->sessions, session);
		session->destination->session_count--;
		session->destination->host->session_count--;
		free(session);
	}
	HASH_ITER(hh, s->destinations, d, d_next)
	destination_drop(s, d);
	HASH_ITER(hh, s->hosts, host, host_next)
	host_drop(s, host);
	LL_FOREACH_SAFE(s->told, told, told_next)
	free(told);
	heap_fini(&s->retries);
	free(s);
}

bool
sched_ready(struct sched *s, const struct sched_target *target, uint64_t count)
{
	struct sched_destination *d;

	/* What is held waits in the store, unless a run is on. */
	if (target->is_held) {
		d = destination_find(s, target->name);
		if (d == NULL || !d->is_released)
			return true;
	} else {
		d = destination_get(s, target);
		if (d == NULL)
			return false;
	}
	d->has_work = true;
	d->backlog += count;
	d->arrivals++;
	host_settle(s, d->host);
	return true;
}

bool
sched_unpark(struct sched *s, const struct sched_target *target, uint64_t count,
    uint32_t failures)
{
	struct sched_destination *d;

	if (!sched_ready(s, target, count))
		return false;
	d = destination_find(s, target->name);
	if (d != NULL && d->host->failures < failures)
		d->host->failures = failures;
	return true;
}

/* A run for DOMAINS joins one for the domains of D. */
static void
run_add_domains(
    struct sched_destination *d, const struct str *domains, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t known = 0;

		while (known < d->domain_count &&
		       !str_equal(d->domains[known], domains[i]))
			known++;
		if (known < d->domain_count)
			continue;
		d->domains = mem_resize(
		    d->domains, d->domain_count + 1, sizeof(d->domains[0]));
		d->domains[d->domain_count++] =
		    str_of(mem_copy_text(domains[i].data, domains[i].size),
			domains[i].size);
	}
}

bool
sched_release(struct sched *s, const struct sched_target *target,
    const struct str *domains, size_t domain_count, uint64_t count)
{
	struct sched_destination *d = destination_find(s, target->name);
	bool was_on = d != NULL && (d->is_released || d->session_count > 0);

	/* A release is never turned away: it is somebody waiting. */
	if (d == NULL) {
		uint32_t max = s->options.destinations_max;

		s->options.destinations_max = UINT32_MAX;
		d = destination_get(s, target);
		s->options.destinations_max = max;
	}
	CHECK(d != NULL);
	if (domain_count == 0 || domain_count > SCHED_DOMAINS_MAX ||
	    !d->is_held || (d->is_released && d->domain_count == 0))
		destination_clear_domains(d);
	else if (d->domain_count + domain_count > SCHED_DOMAINS_MAX)
		destination_clear_domains(d);
	else
		run_add_domains(d, domains, domain_count);
	if (d->is_held && !d->is_released)
		d->failing_since_ms = 0;
	d->is_released = d->is_held;
	d->has_work = true;
	d->arrivals++;
	if (d->backlog < count)
		d->backlog = count;
	d->host->retry_ms = 0;
	host_settle(s, d->host);
	return was_on;
}

static struct sched_destination *
host_pick(struct sched_host *host)
{
	struct sched_destination *d;

	DL_FOREACH(host->destinations, d)
	if (destination_wants_session(d))
		break;
	CHECK(d != NULL);
	/* The others come first next time. */
	DL_DELETE(host->destinations, d);
	DL_APPEND(host->destinations, d);
	return d;
}

static struct sched_decision
sched_start(struct sched *s)
{
	struct sched_decision decision = {.act = SCHED_START};
	struct sched_host *host = s->runnable;
	struct sched_destination *d = host_pick(host);
	struct sched_session *session = mem_new(1, sizeof(*session));

	do {
		struct sched_session *other;

		s->session_last++;
		HASH_FIND(hh, s->sessions, &s->session_last,
		    sizeof(s->session_last), other);
		session->number = other == NULL ? s->session_last : 0;
	} while (session->number == 0);
	session->destination = d;
	session->arrivals = d->arrivals;
	HASH_ADD(hh, s->sessions, number, sizeof(session->number), session);
	d->session_count++;
	host->session_count++;
	memcpy(decision.name, d->name, strlen(d->name) + 1);
	decision.session = session->number;
	/* Each runnable host gets its turn. */
	DL_DELETE(s->runnable, host);
	host->is_runnable = false;
	host_settle(s, host);
	return decision;
}

void
sched_limit(struct sched *s, uint32_t sessions_max)
{
	s->options.sessions_max = sessions_max;
}

struct sched_decision
sched_next(struct sched *s, uint64_t now_ms)
{
	struct sched_decision nothing = {.act = SCHED_NOTHING};
	struct heap_node *first;

	if (s->told != NULL) {
		struct sched_told *told = s->told;
		struct sched_decision decision = told->decision;

		LL_DELETE(s->told, told);
		free(told);
		return decision;
	}
	while ((first = heap_first(&s->retries)) != NULL &&
	       first->due_ms <= now_ms) {
		struct sched_host *host =
		    HEAP_OBJECT(first, struct sched_host, retry);

		host->retry_ms = 0;
		if (host->destinations == NULL)
			host->failures = 0;
		host_settle(s, host);
	}
	if (s->runnable == NULL ||
	    HASH_COUNT(s->sessions) >= s->options.sessions_max)
		return nothing;
	return sched_start(s);
}

uint64_t
sched_due(const struct sched *s)
{
	const struct heap_node *first = heap_first(&s->retries);

	return first != NULL ? first->due_ms : UINT64_MAX;
}

static struct sched_session *
session_find(const struct sched *s, uint32_t number)
{
	struct sched_session *session;

	HASH_FIND(hh, s->sessions, &number, sizeof(number), session);
	return session;
}

bool
sched_may_take(const struct sched *s, uint32_t session, bool *is_released_out,
    const struct str **domains_out, size_t *domain_count_out)
{
	const struct sched_session *found = session_find(s, session);
	const struct sched_destination *d;

	if (found == NULL)
		return false;
	d = found->destination;
	if (!d->has_work || (d->is_held && !d->is_released))
		return false;
	*is_released_out = d->is_released;
	*domains_out = d->domains;
	*domain_count_out = d->domain_count;
	return true;
}

void
sched_taking(struct sched *s, uint32_t session)
{
	struct sched_session *found = session_find(s, session);

	if (found != NULL)
		found->arrivals = found->destination->arrivals;
}

bool
sched_taken(struct sched *s, uint32_t session, size_t count)
{
	struct sched_session *found = session_find(s, session);
	struct sched_destination *d;

	if (found == NULL)
		return true;
	d = found->destination;
	d->backlog -= d->backlog < count ? d->backlog : count;
	if (count > 0) {
		host_settle(s, d->host);
		return true;
	}
	if (d->arrivals != found->arrivals)
		return false;
	d->has_work = false;
	d->backlog = 0;
	destination_settle(s, d);
	return true;
}

void
sched_delivered(struct sched *s, uint32_t session)
{
	struct sched_session *found = session_find(s, session);
	struct sched_host *host;

	if (found == NULL)
		return;
	host = found->destination->host;
	host->failures = 0;
	found->destination->failing_since_ms = 0;
	if (host->session_limit < s->options.host_sessions_max) {
		host->session_limit++;
		host_settle(s, host);
	}
}

uint64_t
sched_backoff(uint32_t failures, uint64_t min_ms, uint64_t max_ms)
{
	uint64_t delay_ms = min_ms;

	CHECK(failures > 0);
	while (--failures > 0 && delay_ms < max_ms)
		delay_ms *= 2;
	return delay_ms < max_ms ? delay_ms : max_ms;
}

/* The run of D at a failed host ends when that has gone on for too long. */
static bool
run_is_lost(const struct sched *s, struct sched_destination *d, uint64_t now_ms)
{
	if (d->failing_since_ms == 0)
		d->failing_since_ms = now_ms > 0 ? now_ms : 1;
	return now_ms - d->failing_since_ms >= s->options.release_time_ms;
}

static void
host_fail(struct sched *s, struct sched_host *host, uint64_t now_ms)
{
	struct sched_destination *d, *next;
	bool is_asked = false;

	host->failures++;
	host->session_limit = (host->session_limit + 1) / 2;
	DL_FOREACH_SAFE(host->destinations, d, next)
	{
		if (d->is_released && run_is_lost(s, d, now_ms))
			run_end(s, d, false);
		is_asked = is_asked || d->is_released;
	}
	host->retry_ms =
	    now_ms +
	    (is_asked ? sched_backoff(host->failures, SCHED_RUN_RETRY_MIN,
			    SCHED_RUN_RETRY_MAX)
		      : sched_backoff(host->failures, s->options.retry_min_ms,
			    s->options.retry_max_ms));
}

void
sched_ended(
    struct sched *s, uint32_t session, enum sched_end end, uint64_t now_ms)
{
	struct sched_session *found = session_find(s, session);
	struct sched_destination *d, *next;
	struct sched_host *host;

	if (found == NULL)
		return;
	d = found->destination;
	host = d->host;
	HASH_DEL(s->sessions, found);
	free(found);
	CHECK(d->session_count > 0 && host->session_count > 0);
	d->session_count--;
	host->session_count--;
	if (end == SCHED_END_GOOD)
		host->failures = 0;
	else if (end == SCHED_END_LOST)
		host->retry_ms = now_ms + SCHED_LOST_RETRY;
	else
		host_fail(s, host, now_ms);
	if (end == SCHED_END_FAILED && !d->is_held && d->session_count == 0 &&
	    HASH_COUNT(s->destinations) > s->options.destinations_max / 2) {
		struct sched_decision *park =
		    sched_tell(s, SCHED_PARK, d->name);

		park->due_ms = host->retry_ms;
		park->failures = host->failures;
		d->has_work = false;
	}
	/* A failure may have ended the runs of others at this host. */
	DL_FOREACH_SAFE(host->destinations, d, next)
	destination_sweep(s, d);
	host_settle(s, host);
}

bool
sched_wants_more(const struct sched *s)
{
	return s->is_turned_away &&
	       HASH_COUNT(s->destinations) < s->options.destinations_max;
}

void
sched_asked_more(struct sched *s)
{
	s->is_turned_away = false;
}

uint64_t
sched_row_delay(const struct sched *s, uint32_t attempts)
{
	return sched_backoff(
	    attempts, s->options.retry_min_ms, s->options.retry_max_ms);
}

uint64_t
sched_rank(uint64_t arrival_ms, uint64_t size, int priority)
{
	/* A second for each 16 KB; ten minutes for each step of priority. */
	uint64_t rank = arrival_ms + size / 16;
	uint64_t steps = UINT64_C(600000) * (uint64_t)(9 - priority);

	CHECK(priority >= -9 && priority <= 9);
	return rank + steps;
}

const char *
sched_state(const struct sched *s, struct str name, bool is_held,
    uint64_t now_ms, uint64_t *due_ms_out)
{
	const struct sched_destination *d = destination_find(s, name);

	*due_ms_out = 0;
	if (d == NULL)
		return is_held ? "held" : "waiting";
	if (d->session_count > 0)
		return "active";
	if (d->host->retry_ms > now_ms) {
		*due_ms_out = d->host->retry_ms;
		return "backoff";
	}
	return d->is_released ? "released" : "waiting";
}

void
sched_check(const struct sched *s)
{
	const struct sched_host *host;
	const struct sched_destination *d;

	for (host = s->hosts; host != NULL; host = host->hh.next) {
		uint32_t sessions = 0, count = 0;

		DL_FOREACH(host->destinations, d)
		{
			sessions += d->session_count;
			count++;
			CHECK(d->host == host);
			CHECK(d->has_work || d->session_count > 0 ||
			      d->is_released);
		}
		CHECK(sessions == host->session_count);
		CHECK(count == host->destination_count);
		CHECK(count > 0 || host->failures > 0);
		CHECK(host->is_runnable ==
		      (host->retry_ms == 0 && host_wants_session(host)));
		CHECK((host->retry.index != 0) == (host->retry_ms > 0));
	}
}
