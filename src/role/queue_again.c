/*
 * Recipients of queued mail that are aliases by now (the files have changed,
 * or another program has queued it), replaced by those for whom they stand
 * when they are about to be tried.
 *
 *   a lease for delivery --> is a row an alias? --no--> delivery
 *      --> STORE_FIND (who else gets it) --> STORE_READ ... (its content)
 *      --> [STORE_APPEND, what its sender wanted to know] --> STORE_SETTLE
 *
 * The settle ends the lease and appends one new message with the members, in
 * one step.  So all members of one settle have one sender: an alias that has
 * another owner is left for the next lease, as is what is no alias, and a list
 * inside a list that has its own owner becomes a recipient, whose turn comes.
 *
 * Invariants: (1) what comes of an alias is marked (is_expanded) and never
 * looked up again, so that nothing goes round; (2) a settle resolves one row at
 * least; (3) an alias is replaced whole, or it waits: its row is deferred and
 * says why; (4) a session has no more leases for all this than it asked for.
 */
#include "base/check.h"
#include "base/log.h"
#include "conf/alias.h"
#include "mail/alias_text.h"
#include "role/queue_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool
again_is_alias(const struct queue *q, const struct mail_recipient *to)
{
	return !to->is_expanded && conf_alias_has(q->conf, to->address);
}

bool
queue_again_is_here(const struct queue *q, const struct route *route)
{
	return route->kind == CONF_ROUTE_MX && !route->is_held &&
	       conf_alias_domain(q->conf, str_from(route->next)) ==
	           ALIAS_DOMAIN_ONLY;
}

bool
queue_again_begin(
    struct queue *q, struct queue_session *session, struct queue_lease *lease)
{
	const struct store_lease *l = lease->lease;
	struct store_request *request;
	size_t i = 0;

	CHECK(!lease->is_expanding && !lease->is_settling);
	if (q->conf->aliases == NULL)
		return false;
	while (i < l->row_count && !again_is_alias(q, &l->rows[i].recipient))
		i++;
	if (i == l->row_count)
		return false;
	lease->is_expanding = true;
	if (session != NULL) {
		lease->session = session->number;
		session->lease_count++;
		session->again_count++;
	}
	request = store_request_new(STORE_FIND);
	request->u.find.filter.id = str_from(l->id);
	request->u.find.count = 1;
	request->tag = QUEUE_TAG_AGAIN | lease->number;
	q->env->ops->store(q->env, request);
	return true;
}

/* In a verbose run: "list@a.test... TEXT". */
static void
again_say(struct queue *q, const struct queue_lease *lease, struct str address,
    struct str text)
{
	char line[MAIL_ADDRESS_MAX + STORE_STATUS_MAX + 20];

	if (lease->run == NULL)
		return;
	text = str_head(text, STORE_STATUS_MAX);
	snprintf(line, sizeof(line), "%.*s... %.*s\n", STR_ARG(address),
	    STR_ARG(text));
	run_say(q, str_from(line));
}

static void
again_say_members(struct queue *q, const struct queue_lease *lease,
    struct str address, const struct alias_expansion *e)
{
	char shown[ALIAS_SHOWN_MAX + 1], text[ALIAS_SHOWN_MAX + 20];

	alias_text_put(e, shown);
	snprintf(text, sizeof(text), "aliased to %s", shown);
	again_say(q, lease, address, str_from(text));
}

/* Row I waits, for TEXT. */
static void
again_defer(struct queue *q, const struct queue_lease *lease,
    struct queue_again *again, size_t i, const char *text)
{
	const struct store_lease_row *row = &lease->lease->rows[i];
	struct str status = arena_copy(again->arena, str_from(text));
	char line[STORE_STATUS_MAX + 20];

	CHECK(status.data != NULL);
	again->results[i].outcome = STORE_DEFERRED;
	again->results[i].status = status;
	again->results[i].due_ms = queue_time(q, again->now_ms) +
	                           sched_row_delay(q->sched, row->attempts + 1);
	log_event(LOG_WARN, "alias-failed", lease->lease->id,
	    "rcpt=<%.*s> answer=%s", STR_ARG(row->recipient.address), text);
	snprintf(line, sizeof(line), "Deferred: %s", text);
	again_say(q, lease, row->recipient.address, str_from(line));
}

/* The alias of row I was refused. */
static void
again_refuse(struct queue *q, const struct queue_lease *lease,
    struct queue_again *again, size_t i, enum alias_outcome outcome,
    const struct alias_expansion *e)
{
	char text[STORE_STATUS_MAX + 1];

	snprintf(text, sizeof(text), "451 4.3.0 alias %.*s %s",
	    STR_ARG(str_head(e->alias, STORE_STATUS_MAX / 2)),
	    alias_outcome_text(outcome));
	again_defer(q, lease, again, i, text);
}

/* The sender that the members have. */
static struct str
again_sender(const struct queue_intake *intake, const struct alias_expansion *e)
{
	struct str sender = intake->envelope.sender;

	return sender.size > 0 && e->leaf_count > 0 &&
	               e->leaves[0].owner.size > 0
	           ? e->leaves[0].owner
	           : sender;
}

/* The part of the new message that has somebody, or NULL. */
static const struct queue_part *
again_part(const struct queue_intake *intake)
{
	const struct queue_part *part = intake->parts;

	while (part != NULL && part->message->row_count == 0)
		part = part->next;
	return part;
}

/* True if the members find room in what was begun, from the same sender. */
static bool
again_fits(const struct queue_intake *intake, const struct alias_expansion *e)
{
	const struct queue_part *part = again_part(intake);
	struct str sender = again_sender(intake, e);

	return part == NULL || e->leaf_count == 0 ||
	       (str_equal(part->message->envelope.sender, sender) &&
		   part->message->row_count + e->leaf_count <=
		       STORE_RECIPIENTS_MAX);
}

static int
again_row(struct queue *q, const struct queue_lease *lease,
    struct queue_intake *intake, size_t i)
{
	const struct mail_recipient *to = &lease->lease->rows[i].recipient;
	struct store_result *result = &intake->again.results[i];
	struct alias_expansion e;
	enum alias_outcome outcome = conf_alias_expand_one(
	    q->conf, to->address, STORE_RECIPIENTS_MAX, &e);
	int error = 0;

	CHECK(outcome != ALIAS_NONE);
	if (outcome != ALIAS_DONE) {
		again_refuse(q, lease, &intake->again, i, outcome, &e);
	} else if (again_fits(intake, &e)) {
		again_say_members(q, lease, to->address, &e);
		error = queue_alias_expanded(q, intake, to, &e);
		result->outcome = STORE_DELIVERED;
	}
	alias_expansion_fini(&e);
	return error;
}

/* Ends the lease, with the new message if there is one. */
static void
again_settle(struct queue *q, struct queue_intake *intake, bool has_message)
{
	struct queue_lease *lease = queue_lease_find(q, intake->again.lease);
	struct store_message *message = NULL;

	CHECK(lease != NULL && lease->is_expanding);
	if (has_message) {
		message = queue_intake_take(q, intake);
		log_event(LOG_NOTE, "split", lease->lease->id,
		    "part=%s from=<%.*s> nrcpt=%zu", message->id,
		    STR_ARG(message->envelope.sender), message->row_count);
	}
	queue_settle_expanded(
	    q, intake->again.now_ms, lease, intake->again.results, message);
	queue_intake_drop(q, intake);
}

void
queue_again_settle(struct queue *q, struct queue_intake *intake)
{
	again_settle(q, intake, true);
}

void
queue_again_refused(struct queue *q, struct queue_intake *intake)
{
	const struct queue_lease *lease =
	    queue_lease_find(q, intake->again.lease);

	CHECK(lease != NULL);
	for (size_t i = 0; i < lease->lease->row_count; i++)
		if (intake->again.results[i].outcome == STORE_DELIVERED)
			again_defer(q, lease, &intake->again, i,
			    intake->is_full
				? "452 4.3.1 insufficient storage for those"
				  " for whom an alias stands"
				: "451 4.3.0 those for whom an alias stands"
				  " could not be queued");
	again_settle(q, intake, false);
}

/* Recipients that have it queued already get it no second time: those of other
   rows of FOUND. */
static int
again_note_others(const struct queue *q, struct queue_intake *intake,
    const struct store_lease *l, const struct store_found *found)
{
	struct str *others =
	    arena_new(&intake->arena, found->row_count * sizeof(others[0]));
	size_t count = 0, at = 0;

	if (others == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];

		while (at < l->row_count && l->rows[at].index < row->index)
			at++;
		if (at < l->row_count && l->rows[at].index == row->index &&
		    again_is_alias(q, &l->rows[at].recipient))
			continue;
		others[count] =
		    arena_copy(&intake->arena, row->recipient.address);
		if (others[count++].data == NULL)
			return -ENOBUFS;
	}
	intake->again.others = others;
	intake->again.other_count = count;
	return 0;
}

static void
again_read(struct queue *q, struct queue_intake *intake)
{
	const struct queue_lease *lease =
	    queue_lease_find(q, intake->again.lease);
	struct store_request *request = store_request_new(STORE_READ);

	CHECK(lease != NULL);
	memcpy(
	    request->u.read.id, lease->lease->id, sizeof(request->u.read.id));
	request->u.read.index = intake->again.block++;
	request->tag = QUEUE_TAG_AGAIN | lease->number;
	q->env->ops->store(q->env, request);
}

void
queue_again_more(struct queue *q, struct queue_intake *intake)
{
	if (!intake->again.is_whole)
		again_read(q, intake);
}

/* It is known who else gets the message. */
static void
again_found(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    const struct store_request *request)
{
	const struct store_lease *l = lease->lease;
	struct queue_intake *intake = queue_intake_again(q, lease);
	struct store_result *results =
	    arena_new(&lease->arena, l->row_count * sizeof(results[0]));
	int error = 0;

	CHECK(results != NULL);
	for (size_t i = 0; i < l->row_count; i++)
		results[i] = (struct store_result){
		    .index = l->rows[i].index, .outcome = STORE_UNTRIED};
	intake->again.arena = &lease->arena;
	intake->again.results = results;
	intake->again.now_ms = now_ms;
	if (request->error == 0 && request->u.find.found_count > 0)
		error =
		    again_note_others(q, intake, l, &request->u.find.found[0]);
	for (size_t i = 0; error == 0 && i < l->row_count; i++)
		if (again_is_alias(q, &l->rows[i].recipient))
			error = again_row(q, lease, intake, i);
	if (error < 0)
		queue_again_refused(q, intake);
	else if (again_part(intake) == NULL)
		again_settle(q, intake, false);
	else
		again_read(q, intake);
}

/* A piece of the content. */
static void
again_content(struct queue *q, uint64_t now_ms, struct queue_intake *intake,
    const struct store_request *request)
{
	struct str bytes = request->u.read.bytes;

	intake->again.now_ms = now_ms;
	if (request->error < 0) {
		log_event(LOG_ERROR, "content-damaged", request->u.read.id,
		    "block=%llu error=%d",
		    (unsigned long long)request->u.read.index, -request->error);
		queue_again_refused(q, intake);
		return;
	}
	intake->again.is_whole = bytes.size < STORE_BLOCK;
	queue_intake_whole(q, intake, bytes, intake->again.is_whole);
}

/* The answer to what was asked for LEASE. */
static void
again_answered(struct queue *q, uint64_t now_ms, struct queue_lease *lease,
    const struct store_request *request)
{
	struct queue_intake *intake;

	CHECK(lease->is_expanding);
	if (request->verb == STORE_FIND) {
		again_found(q, now_ms, lease, request);
		return;
	}
	/* One that was refused meanwhile is gone. */
	intake = queue_intake_of_lease(q, lease->number);
	if (intake != NULL)
		again_content(q, now_ms, intake, request);
}

void
queue_again_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	struct queue_lease *lease =
	    queue_lease_find(q, request->tag & ~QUEUE_TAG_AGAIN);

	if (lease != NULL)
		again_answered(q, now_ms, lease, request);
	store_request_free(request);
}
