/*
 * Sessions and leases of a run.  Silent, it has several sessions, each with
 * what waits for its destination, as the scheduler would have them: two of a
 * host at first, one more with each delivery.  Verbose, it has one, and the
 * messages go in their order; a connection stays while the next one goes the
 * same way.
 */
#include "role/queue_run.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <utlist.h>

static void
go_runnable(struct queue_run *run, struct run_target *target)
{
	if (target->is_runnable || target->waiting == NULL)
		return;
	target->is_runnable = true;
	DL_APPEND(run->runnable, target);
}

/* Something about HOST has changed for what goes there. */
static void
go_wake_host(struct queue_run *run, struct run_host *host)
{
	struct run_target *target;

	LL_FOREACH2(host->targets, target, next_of_host)
	go_runnable(run, target);
}

void
run_wait(struct queue_run *run, struct run_entry *entry, bool is_first)
{
	struct run_entry **list =
	    run->is_verbose ? &run->waiting : &entry->target->waiting;

	if (is_first)
		DL_PREPEND(*list, entry);
	else
		DL_APPEND(*list, entry);
	entry->target->waiting_count++;
	run->waiting_count++;
	if (!run->is_verbose)
		go_runnable(run, entry->target);
}

static struct run_entry *
go_pop(struct queue_run *run, struct run_entry **list)
{
	struct run_entry *entry = *list;

	if (entry == NULL)
		return NULL;
	DL_DELETE(*list, entry);
	CHECK(run->waiting_count > 0 && entry->target->waiting_count > 0);
	entry->target->waiting_count--;
	run->waiting_count--;
	return entry;
}

bool
run_is_idle(const struct queue_run *run)
{
	return run->in_hand == 0 && run->session_count == 0 &&
	       run->waiting_count == 0;
}

void
run_drop_waiting(struct queue_run *run)
{
	struct run_target *target;

	while (go_pop(run, &run->waiting) != NULL)
		continue;
	for (target = run->targets; target != NULL; target = target->hh.next)
		while (go_pop(run, &target->waiting) != NULL)
			continue;
}

/* Asks the store for the lease of ENTRY, for SESSION unless that is 0. */
static void
go_ask(struct queue *q, struct run_entry *entry, uint32_t session)
{
	struct store_request *request = store_request_new(STORE_LEASE);
	struct store_filter *filter = &request->u.lease.filter;
	struct run_ask *ask = mem_new(1, sizeof(*ask));

	/* The entry outlives the request. */
	filter->id = str_from(entry->message->id);
	filter->destination = str_from(entry->target->name);
	filter->recipient = str_from(entry->recipient);
	request->u.lease.from_index = entry->from_index;
	request->u.lease.count = 1;
	/* What goes to a host that is down is not read. */
	if (!entry->target->host->is_down)
		request->u.lease.inline_max = STORE_BLOCK;
	ask->number = ++q->number_last;
	ask->session = session;
	ask->entry = entry;
	HASH_ADD(hh, q->run->asks, number, sizeof(ask->number), ask);
	request->tag = QUEUE_TAG_RUN | ask->number;
	q->run->in_hand++;
	if (session == 0)
		q->run->ask_count++;
	q->env->ops->store(q->env, request);
}

/* As sendmail has it: by the names of its mailers, and of a file nothing. */
static void
go_say_connecting(
    struct queue *q, const struct queue_lease *lease, enum conf_route_kind kind)
{
	if (kind == CONF_ROUTE_PROGRAM)
		run_say_rows(q, lease, "Connecting to prog...");
	else if (kind == CONF_ROUTE_MAILDIR)
		run_say_rows(q, lease, "Connecting to local...");
}

/* Opens a session with what waits for TARGET; false if none can be had now.
 * LEASE is the first that it gets in a verbose run. */
static bool
go_open(
    struct queue *q, struct run_target *target, const struct queue_lease *lease)
{
	struct queue_run *run = q->run;
	char names[MESSAGE_NAMES_MAX + 1] = "";
	struct queue_session *session;
	struct route route;

	if (HASH_COUNT(q->sessions) >= q->conf->deliveries_max ||
	    route_of_destination(q->conf, str_from(target->name), &route) < 0)
		return false;
	if (run->is_verbose && !target->is_local)
		run_names(lease, names);
	session = queue_session_open(q,
	    RUN_SESSION_BIT | (++q->run_session_last & ~RUN_SESSION_BIT),
	    &route, str_from(names));
	if (session == NULL)
		return false;
	go_say_connecting(q, lease, route.kind);
	session->run = target;
	run->session_count++;
	target->session_count++;
	target->host->session_count++;
	if (run->is_verbose)
		run->session = session;
	return true;
}

static void
go_give(
    struct queue *q, struct queue_session *session, struct queue_lease *lease)
{
	CHECK(session->wanted > 0);
	lease->session = session->number;
	session->wanted--;
	session->lease_count++;
	session->run->idle_count = 0;
	queue_session_send_job(q, session, lease);
}

static void
go_close(struct queue *q, struct queue_session *session)
{
	struct message none = {
	    .type = MESSAGE_JOB_NONE,
	    .u.job_none.session = session->number,
	};

	session->is_over = true;
	queue_send(q, session->peer, &none);
}

/* What waits for a host that is down is not tried. */
static void
go_settle_down(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    const struct run_host *host)
{
	char text[STORE_STATUS_MAX + 20];

	snprintf(text, sizeof(text), "%s%s",
	    host->is_permanent ? "" : "Deferred: ", host->answer);
	run_say_rows(q, lease, text);
	queue_settle_all(q, now_ms, lease,
	    host->is_permanent ? SMTP_PERMANENT : SMTP_TEMPORARY, host->status,
	    host->answer);
}

/* LEASE cannot be tried now. */
static void
go_settle_untried(struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	queue_settle_all(q, now_ms, lease, SMTP_UNTRIED, "4.0.0", "");
}

static bool
go_may_open(const struct queue *q, const struct run_target *target)
{
	const struct run_host *host = target->host;

	return host->session_count < host->session_limit &&
	       (target->session_count == 0 ||
		   target->waiting_count / RUN_ROWS_SESSION >=
		       target->session_count);
}

/* One turn of a target that has something waiting; false if it is to have
   another one as soon as something has happened. */
static bool
go_turn(struct queue *q, struct run_target *target)
{
	struct queue_run *run = q->run;

	if (target->host->is_down) {
		while (target->waiting != NULL && run->ask_count < RUN_ASKS_MAX)
			go_ask(q, go_pop(run, &target->waiting), 0);
		return target->waiting == NULL;
	}
	/* Of one that may not, the next turn comes with the end of a session,
	   or with a delivery. */
	while (target->waiting != NULL && go_may_open(q, target))
		if (!go_open(q, target, NULL))
			return false;
	return true;
}

static void
go_parallel(struct queue *q)
{
	struct queue_run *run = q->run;
	struct run_target *later = NULL, *target;

	while ((target = run->runnable) != NULL) {
		DL_DELETE(run->runnable, target);
		if (go_turn(q, target))
			target->is_runnable = false;
		else
			DL_APPEND(later, target);
	}
	run->runnable = later;
}

static void
go_serial(struct queue *q)
{
	struct queue_run *run = q->run;
	struct queue_session *session = run->session;

	if (run->lease != NULL && session == NULL) {
		(void)go_open(q, run->lease->run->target, run->lease);
		return;
	}
	if (run->in_hand > 0 || (session != NULL && session->is_over))
		return;
	if (session != NULL &&
	    (run->waiting == NULL || run->waiting->target != session->run)) {
		go_close(q, session);
		return;
	}
	if (run->waiting != NULL)
		go_ask(q, go_pop(run, &run->waiting), 0);
}

void
run_go(struct queue *q, uint64_t now_ms)
{
	if (q->run->is_verbose)
		go_serial(q);
	else
		go_parallel(q);
}

static void
go_leased_serial(struct queue *q, uint64_t now_ms, struct queue_lease *lease)
{
	struct queue_run *run = q->run;
	struct run_entry *entry = lease->run;

	if (entry->target->host->is_down) {
		go_settle_down(q, now_ms, lease, entry->target->host);
		return;
	}
	run->lease = lease;
	if (run->session != NULL)
		queue_run_feed(q, run->session);
}

static void
go_leased_parallel(struct queue *q, uint64_t now_ms,
    struct queue_session *session, struct queue_lease *lease)
{
	const struct run_host *host = lease->run->target->host;

	if (host->is_down)
		go_settle_down(q, now_ms, lease, host);
	else if (session == NULL || session->is_over || session->wanted == 0)
		go_settle_untried(q, now_ms, lease);
	else
		go_give(q, session, lease);
}

static struct queue_lease *
go_lease_new(
    struct queue *q, struct store_request *request, struct run_entry *entry)
{
	struct queue_take *take = mem_new(1, sizeof(*take));
	struct queue_lease *lease;

	take->request = request;
	take->lease_count = 1;
	lease = queue_lease_new(q, take, 0, &request->u.lease.leases[0]);
	lease->run = entry;
	lease->is_part = entry->recipient != NULL;
	q->run->in_hand++;
	if (!entry->message->is_tried && entry->message->number > 0)
		q->run->tried_count++;
	entry->message->is_tried = true;
	return lease;
}

void
run_leased(struct queue *q, uint64_t now_ms, struct store_request *request)
{
	uint64_t number = request->tag & ~QUEUE_TAG_RUN;
	struct queue_run *run = q->run;
	struct queue_session *session = NULL;
	struct run_entry *entry;
	struct queue_lease *lease = NULL;
	struct run_ask *ask;

	HASH_FIND(hh, run->asks, &number, sizeof(number), ask);
	CHECK(ask != NULL);
	entry = ask->entry;
	if (ask->session == 0)
		run->ask_count--;
	else
		session = queue_session_find(q, ask->session);
	HASH_DEL(run->asks, ask);
	free(ask);
	if (session != NULL)
		session->ask_count--;
	if (request->error == 0 && request->u.lease.lease_count > 0) {
		lease = go_lease_new(q, request, entry);
	} else {
		if (request->u.lease.leased_count > 0)
			run_say_locked(q, entry->message);
		store_request_free(request);
	}
	if (lease != NULL && run->is_verbose) {
		run_say_strays(q, entry->message->number);
		run_say_message(q, entry->message);
	}
	if (lease != NULL && queue_again_begin(q, session, lease))
		run->ask_count += session == NULL;
	else if (lease != NULL && run->is_verbose)
		go_leased_serial(q, now_ms, lease);
	else if (lease != NULL)
		go_leased_parallel(q, now_ms, session, lease);
	else if (session != NULL)
		queue_run_feed(q, session);
}

void
queue_run_feed(struct queue *q, struct queue_session *session)
{
	struct queue_run *run = q->run;
	struct queue_lease *lease = run->lease;

	if (session->is_over || session->peer == 0)
		return;
	if (run->is_verbose) {
		if (lease == NULL || session->wanted == 0 ||
		    lease->run->target != session->run)
			return;
		run->lease = NULL;
		go_give(q, session, lease);
		return;
	}
	while (queue_session_room(session) > session->ask_count &&
	       session->run->waiting != NULL) {
		session->ask_count++;
		go_ask(q, go_pop(run, &session->run->waiting), session->number);
	}
	if (session->wanted > 0 && session->ask_count == 0 &&
	    session->lease_count == 0)
		go_close(q, session);
}

/* The exit status that sendmail has for a recipient that was refused so. */
static uint32_t
go_status(const struct message_job_result *result)
{
	struct str code = str_head(result->answer, 3);

	if (str_equal(code, STR("550")) || str_equal(code, STR("551")) ||
	    str_equal(code, STR("553")) ||
	    str_equal(result->status, STR("5.1.1")))
		return EX_NOUSER;
	if (str_equal(code, STR("556")) ||
	    str_equal(result->status, STR("5.1.2")) ||
	    str_equal(result->status, STR("5.4.4")))
		return EX_NOHOST;
	return EX_UNAVAILABLE;
}

void
queue_run_results(
    struct queue *q, const struct queue_lease *lease, const struct message *m)
{
	struct run_target *target = lease->run->target;
	struct run_host *host = target->host;

	for (size_t i = 0; i < m->u.job_result.result_count; i++) {
		const struct message_job_result *result =
		    &m->u.job_result.results[i];

		if (result->verdict == SMTP_PERMANENT)
			q->run->status = go_status(result);
		if (result->verdict == SMTP_ACCEPTED &&
		    host->session_limit < q->conf->deliveries_host_max) {
			host->session_limit++;
			go_wake_host(q->run, host);
		}
		if (target->is_local && lease->session != 0)
			run_say_result(q, lease, result);
	}
}

void
queue_run_settled(struct queue *q, const struct queue_lease *lease, int error)
{
	struct queue_run *run = q->run;
	struct run_entry *entry = lease->run;
	size_t row_count = lease->lease->row_count;
	bool is_full = row_count == STORE_LEASE_ROWS_MAX;
	bool is_untried = false;

	CHECK(run != NULL && run->in_hand > 0);
	run->in_hand--;
	if (lease->is_expanding && lease->session == 0)
		run->ask_count--;
	for (size_t i = 0; i < lease->result_count; i++)
		is_untried |= lease->results[i].outcome == STORE_UNTRIED;
	if (error < 0 || q->is_stopping || run->phase == RUN_OVER)
		return;
	/* Where aliases were expanded some are done with: that has an end. */
	if (is_untried && !lease->is_expanding &&
	    ++entry->try_count >= RUN_TRIES_MAX) {
		run->is_left = true;
		return;
	}
	/* Those behind it, for what is left of these was tried. */
	if (is_full && !is_untried)
		entry->from_index = lease->lease->rows[row_count - 1].index + 1;
	if (is_untried || is_full)
		run_wait(run, entry, true);
}

void
queue_run_notice(struct queue *q, const struct queue_lease *lease,
    const struct store_message *dsn)
{
	if (q->run != NULL && (lease->run != NULL || q->is_run_only))
		run_plan_notice(q, dsn);
}

/* Remembers why HOST is not tried again. */
static void
go_host_down(struct run_host *host, const struct message *m, bool is_permanent)
{
	host->is_down = true;
	host->is_permanent = is_permanent;
	run_trouble(m->u.session_end.answer, host->answer);
	snprintf(host->status, sizeof(host->status), "%.*s",
	    STR_ARG(m->u.session_end.status));
}

/* Its sessions end without having taken anything. */
static void
go_target_idle(struct queue_run *run, struct run_target *target)
{
	if (++target->idle_count < RUN_TRIES_MAX)
		return;
	while (go_pop(run, &target->waiting) != NULL)
		run->is_left = true;
}

/* SESSION is gone from the run. */
static void
go_session_gone(struct queue_run *run, struct queue_session *session)
{
	struct run_target *target = session->run;

	CHECK(run != NULL && run->session_count > 0);
	run->session_count--;
	target->session_count--;
	target->host->session_count--;
	if (run->session == session)
		run->session = NULL;
	go_wake_host(run, target->host);
}

/* A session of TARGET has ended: what no session of it has asked for is given
   back when its host is down, or when no other session is to be had. */
static void
go_lease_back(struct queue *q, uint64_t now_ms, struct run_target *target)
{
	struct queue_run *run = q->run;
	struct queue_lease *lease = run->lease;

	if (lease == NULL || lease->run->target != target)
		return;
	if (target->host->is_down) {
		run->lease = NULL;
		go_settle_down(q, now_ms, lease, target->host);
	} else if (target->idle_count >= RUN_TRIES_MAX || q->is_stopping) {
		run->lease = NULL;
		lease->run->try_count = RUN_TRIES_MAX;
		go_settle_untried(q, now_ms, lease);
	}
}

void
queue_run_session_ended(struct queue *q, uint64_t now_ms,
    struct queue_session *session, const struct message *m, bool is_returned)
{
	struct run_target *target = session->run;
	struct queue_run *run = q->run;

	if (is_returned || m->u.session_end.is_failed ||
	    m->u.session_end.is_permanent)
		go_host_down(target->host, m, is_returned);
	else
		go_target_idle(run, target);
	go_session_gone(run, session);
	go_lease_back(q, now_ms, target);
}

void
queue_run_session_lost(
    struct queue *q, uint64_t now_ms, struct queue_session *session)
{
	struct run_target *target = session->run;

	/* All of them end with one process: that is counted once. */
	if (target->session_count == 1)
		go_target_idle(q->run, target);
	go_session_gone(q->run, session);
	go_lease_back(q, now_ms, target);
}
