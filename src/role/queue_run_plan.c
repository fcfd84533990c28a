/*
 * What is to be tried, from what the store has.  Promise: a row that is leased
 * is not in the plan; nor, unless the run is for these, is one that was
 * stopped, or one of a held destination.
 */
#include "role/queue_run.h"
#include "base/check.h"
#include "base/mem.h"
#include "store/mqueue/mqueue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <utlist.h>

/* sendmail's weights of a message: a class of ours is 30 of its. */
#define PLAN_RECIPIENT UINT64_C(30000)
#define PLAN_RETRY     UINT64_C(90000)
#define PLAN_CLASS     UINT64_C(18000)
/* So that no priority is below 0. */
#define PLAN_BASE MESSAGE_RUN_RANK_BASE

static struct run_host *
plan_host(struct queue_run *run, struct str name)
{
	struct run_host *host;

	HASH_FIND(hh, run->hosts, name.data, name.size, host);
	if (host != NULL)
		return host;
	host = mem_new(1, sizeof(*host));
	CHECK(name.size < sizeof(host->name));
	memcpy(host->name, name.data, name.size);
	host->session_limit = RUN_START_MAX;
	HASH_ADD_KEYPTR(hh, run->hosts, host->name, name.size, host);
	return host;
}

/* Nobody is known at HOST, which is our own, but aliases. */
static void
plan_host_unknown(struct run_host *host)
{
	host->is_down = host->is_permanent = true;
	snprintf(host->status, sizeof(host->status), "5.1.1");
	snprintf(host->answer, sizeof(host->answer), "User unknown");
}

/* The destination NAME; NULL if there is no way to it. */
static struct run_target *
plan_target(struct queue *q, struct str name)
{
	struct queue_run *run = q->run;
	struct run_target *target;
	struct route route;

	HASH_FIND(hh, run->targets, name.data, name.size, target);
	if (target != NULL)
		return target;
	if (route_of_destination(q->conf, name, &route) < 0)
		return NULL;
	target = mem_new(1, sizeof(*target));
	memcpy(target->name, route.name, sizeof(route.name));
	target->is_held = route.is_held;
	target->is_local = route_is_local(route.kind);
	target->host = plan_host(run, route_target(&route).host);
	if (queue_again_is_here(q, &route))
		plan_host_unknown(target->host);
	LL_PREPEND2(target->host->targets, target, next_of_host);
	HASH_ADD_KEYPTR(hh, run->targets, target->name, name.size, target);
	return target;
}

static void
plan_message_free(struct run_message *message)
{
	struct run_stray *stray, *next_stray;
	struct run_entry *entry, *next;

	LL_FOREACH_SAFE2(message->entries, entry, next, sibling)
	{
		free(entry->recipient);
		free(entry);
	}
	LL_FOREACH_SAFE(message->strays, stray, next_stray)
	free(stray);
	free(message->directory);
	free(message);
}

static struct run_entry *
plan_entry(struct run_message *message, struct run_target *target)
{
	struct run_entry *entry = mem_new(1, sizeof(*entry));

	entry->message = message;
	entry->target = target;
	LL_APPEND2(message->entries, entry, sibling);
	return entry;
}

static void
plan_keep(struct queue_run *run, struct run_message *message)
{
	/* Room is made in powers of two. */
	if ((run->message_count & (run->message_count - 1)) == 0)
		run->messages = mem_resize(run->messages,
		    run->message_count == 0 ? 1 : 2 * run->message_count,
		    sizeof(run->messages[0]));
	run->messages[run->message_count++] = message;
}

/* True if LAST_MS, by the same clock as NOW_MS, is less than the age of the run
   ago.  Behind now there is nothing that is young. */
static bool
plan_is_since(const struct queue_run *run, uint64_t last_ms, uint64_t now_ms)
{
	return last_ms <= now_ms && now_ms - last_ms < run->age_ms;
}

/* True if ROW of FOUND was tried less than the age of the run ago.  A row that
   waits knows that: it does since then.  Else all rows have one time, where the
   store knows it, but those that nobody has tried. */
static bool
plan_is_young(struct queue *q, uint64_t now_ms, const struct store_found *found,
    const struct store_found_row *row)
{
	uint64_t attempts = row->attempts > 0 ? row->attempts : 1;

	if (found->attempted_wall_ms > 0 &&
	    (row->attempts == 0 ||
		!plan_is_since(q->run, found->attempted_wall_ms,
		    q->env->ops->wall_ms(q->env))))
		return false;
	if (row->lane != STORE_WAITING)
		return found->attempted_wall_ms > 0;
	return plan_is_since(q->run,
	    row->due_ms - sched_row_delay(q->sched, attempts),
	    queue_time(q, now_ms));
}

/* True if the row is to be tried, at TARGET unless that is NULL. */
static bool
plan_wants_row(struct queue *q, uint64_t now_ms,
    const struct store_found *found, const struct store_found_row *row,
    const struct run_target *target)
{
	const struct queue_run *run = q->run;

	if (row->is_leased || (row->lane == STORE_STOPPED) != run->is_stopped ||
	    (target != NULL && target->is_held && !run_is_meant(run)))
		return false;
	/* Beside what was planned before, only what nobody has tried. */
	if (run->round_count > 0)
		return row->attempts == 0;
	return run->age_ms == 0 || !plan_is_young(q, now_ms, found, row);
}

/* All rows of FOUND at TARGET make one lease: they are in the lane of the row
   number FIRST, and all are wanted. */
static bool
plan_is_whole(struct queue *q, uint64_t now_ms, const struct store_found *found,
    size_t first, const struct run_target *target)
{
	for (size_t i = first; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];

		if (str_equal(row->destination, str_from(target->name)) &&
		    (row->lane != found->rows[first].lane ||
			!plan_wants_row(q, now_ms, found, row, target)))
			return false;
	}
	return true;
}

/* Adds the rows of FOUND at TARGET, of which number FIRST is the first. */
static void
plan_add_target(struct queue *q, uint64_t now_ms,
    const struct store_found *found, size_t first, struct run_target *target,
    struct run_message *message)
{
	if (plan_is_whole(q, now_ms, found, first, target)) {
		(void)plan_entry(message, target);
		return;
	}
	for (size_t i = first; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];
		struct str address = row->recipient.address;

		if (str_equal(row->destination, str_from(target->name)) &&
		    plan_wants_row(q, now_ms, found, row, target))
			plan_entry(message, target)->recipient =
			    mem_copy_text(address.data, address.size);
	}
}

/* Notes ROW, to whose destination there is no way. */
static void
plan_add_stray(struct queue_run *run, struct run_message *message,
    const struct store_found_row *row)
{
	bool is_bad = str_equal(row->destination, STR(MQUEUE_BAD));
	char line[MAIL_ADDRESS_MAX + 80];
	struct run_stray *stray;

	bool is_by = str_equal(row->destination, STR(MQUEUE_BY));
	/* As of one that its host does not know, or does not take. */
	if (is_bad || is_by)
		run->status = is_bad ? EX_NOUSER : EX_UNAVAILABLE;
	if (!run->is_verbose)
		return;
	snprintf(line, sizeof(line), "%.*s... %s\n",
	    STR_ARG(row->recipient.address),
	    is_bad  ? "User unknown"
	    : is_by ? "Service unavailable"
		    : "Cannot be routed here");
	stray = mem_new(1, sizeof(*stray) + strlen(line) + 1);
	memcpy(stray->line, line, strlen(line) + 1);
	/* The last goes first, as with those that are tried. */
	LL_PREPEND(message->strays, stray);
}

/* sendmail's priority, the lowest first; reckoned as it does where the store
   does not keep it. */
static uint64_t
plan_priority(const struct store_found *found)
{
	const int64_t limit = (int64_t)PLAN_BASE;
	uint32_t attempts = 0;

	if (found->has_priority && found->priority < -limit)
		return 0;
	if (found->has_priority && found->priority > limit)
		return 2 * PLAN_BASE;
	if (found->has_priority)
		return (uint64_t)(found->priority + limit);
	for (size_t i = 0; i < found->row_count; i++)
		if (found->rows[i].attempts > attempts)
			attempts = found->rows[i].attempts;
	return PLAN_BASE + found->content_size +
	       found->row_count * PLAN_RECIPIENT + attempts * PLAN_RETRY -
	       PLAN_CLASS * (uint64_t)found->envelope.priority;
}

static uint64_t
plan_rank(const struct queue_run *run, const struct store_found *found)
{
	switch (run->order) {
	case MESSAGE_RUN_TIME:
		return found->arrival_wall_ms / 1000;
	case MESSAGE_RUN_PRIORITY:
	case MESSAGE_RUN_HOST:
	case MESSAGE_RUN_NAME:
		break;
	case MESSAGE_RUN_ANY:
		return 0;
	}
	return plan_priority(found);
}

/* True if all of it is stopped, for a reason that is asked for. */
static bool
plan_is_stopped(const struct queue_run *run, const struct store_found *found)
{
	struct str reason = found->reason;

	for (size_t i = 0; i < found->row_count; i++)
		if (found->rows[i].lane != STORE_STOPPED)
			return false;
	if (reason.size == 0)
		reason = STR(STORE_STOPPED_TEXT);
	return store_select_has_text(&run->select, STORE_SELECT_REASON, reason);
}

static bool
plan_is_selected(const struct queue_run *run, const struct store_found *found)
{
	char name[STORE_ID_MAX + 3];
	struct str *recipients;
	bool is_selected;

	if ((run->rank_max > 0 && plan_priority(found) > run->rank_max) ||
	    (run->is_stopped && !plan_is_stopped(run, found)))
		return false;
	if (run->select.count == 0)
		return true;
	snprintf(name, sizeof(name), "qf%s", found->id);
	recipients = mem_new(found->row_count, sizeof(recipients[0]));
	for (size_t i = 0; i < found->row_count; i++)
		recipients[i] = found->rows[i].recipient.address;
	is_selected = store_select_has(&run->select, str_from(name),
	    found->envelope.sender, recipients, found->row_count);
	free(recipients);
	return is_selected;
}

static void
plan_add(struct queue *q, uint64_t now_ms, const struct store_found *found)
{
	struct run_message *message = mem_new(1, sizeof(*message));

	memcpy(message->id, found->id, sizeof(message->id));
	message->key = found->key;
	message->rank = plan_rank(q->run, found);
	for (size_t i = 0; i < found->row_count; i++) {
		struct run_target *target =
		    plan_target(q, found->rows[i].destination);

		if (target == NULL &&
		    plan_wants_row(q, now_ms, found, &found->rows[i], NULL))
			plan_add_stray(q->run, message, &found->rows[i]);
		if (target == NULL || target->mark == found->key)
			continue;
		target->mark = found->key;
		plan_add_target(q, now_ms, found, i, target, message);
	}
	if (message->entries == NULL && message->strays == NULL) {
		plan_message_free(message);
		return;
	}
	message->directory =
	    mem_copy_text(found->directory.data, found->directory.size);
	message->first =
	    message->entries != NULL ? message->entries->target->name : "";
	plan_keep(q->run, message);
}

void
run_plan_page(
    struct queue *q, uint64_t now_ms, const struct store_request *request)
{
	for (size_t i = 0; i < request->u.find.found_count; i++)
		if (request->u.find.found[i].row_count > 0 &&
		    plan_is_selected(q->run, &request->u.find.found[i]))
			plan_add(q, now_ms, &request->u.find.found[i]);
}

static int
plan_compare_rank(const void *a, const void *b)
{
	const struct run_message *first = *(struct run_message *const *)a;
	const struct run_message *second = *(struct run_message *const *)b;

	if (first->rank != second->rank)
		return first->rank < second->rank ? -1 : 1;
	return first->key < second->key ? -1 : first->key > second->key;
}

static int
plan_compare_name(const void *a, const void *b)
{
	const struct run_message *first = *(struct run_message *const *)a;
	const struct run_message *second = *(struct run_message *const *)b;

	return strcmp(first->id, second->id);
}

static int
plan_compare_host(const void *a, const void *b)
{
	const struct run_message *first = *(struct run_message *const *)a;
	const struct run_message *second = *(struct run_message *const *)b;
	int order = strcmp(first->first, second->first);

	return order != 0 ? order : plan_compare_rank(a, b);
}

void
run_plan_end(struct queue *q)
{
	struct queue_run *run = q->run;
	struct run_entry *entry;

	if (run->message_count > 0)
		qsort(run->messages, run->message_count,
		    sizeof(run->messages[0]),
		    run->order == MESSAGE_RUN_NAME   ? plan_compare_name
		    : run->order == MESSAGE_RUN_HOST ? plan_compare_host
						     : plan_compare_rank);
	run->planned_count = run->message_count;
	run->told_count = 0;
	for (size_t i = 0; i < run->message_count; i++) {
		run->messages[i]->number = i + 1;
		LL_FOREACH2(run->messages[i]->entries, entry, sibling)
		run_wait(run, entry, false);
	}
}

static bool
plan_has_target(
    const struct run_message *message, const struct run_target *target)
{
	const struct run_entry *entry;

	LL_FOREACH2(message->entries, entry, sibling)
	if (entry->target == target)
		return true;
	return false;
}

void
run_plan_notice(struct queue *q, const struct store_message *dsn)
{
	struct run_message *message = mem_new(1, sizeof(*message));

	memcpy(message->id, dsn->id, sizeof(message->id));
	message->is_told = true;
	for (size_t i = 0; i < dsn->row_count; i++) {
		struct run_target *target =
		    plan_target(q, dsn->rows[i].destination);

		if (target != NULL && !dsn->rows[i].is_held &&
		    !plan_has_target(message, target))
			run_wait(q->run, plan_entry(message, target), true);
	}
	plan_keep(q->run, message);
}

void
run_plan_clear(struct queue_run *run)
{
	CHECK(run->waiting == NULL);
	for (size_t i = 0; i < run->message_count; i++)
		plan_message_free(run->messages[i]);
	free(run->messages);
	run->messages = NULL;
	run->message_count = run->planned_count = 0;
}

void
run_plan_fini(struct queue_run *run)
{
	struct run_target *target, *next_target;
	struct run_host *host, *next_host;
	struct run_ask *ask, *next_ask;

	run->waiting = NULL;
	run_plan_clear(run);
	HASH_ITER(hh, run->asks, ask, next_ask)
	{
		HASH_DEL(run->asks, ask);
		free(ask);
	}
	HASH_ITER(hh, run->targets, target, next_target)
	{
		HASH_DEL(run->targets, target);
		free(target);
	}
	HASH_ITER(hh, run->hosts, host, next_host)
	{
		HASH_DEL(run->hosts, host);
		free(host);
	}
}
