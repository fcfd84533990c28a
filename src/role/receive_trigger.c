/*
 * ETRN and QSND: who asks is looked up, then each grant is asked of the queue,
 * one after the other; the counts are added up.  A trigger that is not
 * answered in RECEIVE_TRIGGER_MS is answered as busy, since clients were seen
 * that give up after 10 s; the queue carries it out all the same.  So is one
 * too many of a network or for a site in a minute, before anything is done.
 */
#include "role/receive.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

_Static_assert(
    TRIGGER_DOMAINS_MAX <= MESSAGE_DOMAINS_MAX, "a grant fits a frame");

/* Asks for the next grant: 0 or -EPIPE. */
static int
receive_trigger_send(struct receive *r, struct receive_session *s)
{
	struct receive_trigger *t = s->trigger;
	struct trigger_grant *grant = &t->grants.list[t->done_count];
	struct message m = {.type = MESSAGE_TRIGGER,
	    .u.trigger = {.request = ++r->number_last,
		.site = grant->site->name,
		.domains = grant->domains,
		.domain_count = grant->domain_count}};
	int error;

	CHECK(t->done_count < t->grants.count && t->request == 0);
	error = receive_send(r, &m);
	if (error < 0)
		return error;
	t->request = r->number_last;
	HASH_ADD_KEYPTR(
	    hh_request, r->by_request, &t->request, sizeof(t->request), s);
	return 0;
}

static void
receive_trigger_unlink(struct receive *r, struct receive_session *s)
{
	if (s->trigger->request != 0)
		HASH_DELETE(hh_request, r->by_request, s);
	s->trigger->request = 0;
}

static void
receive_trigger_free(struct receive *r, struct receive_session *s)
{
	receive_trigger_unlink(r, s);
	trigger_grants_fini(&s->trigger->grants);
	free(s->trigger);
	s->trigger = NULL;
}

static void
receive_trigger_log(const struct receive_session *s, struct str verb,
    struct str argument, const char *result)
{
	const struct receive_trigger *t = s->trigger;
	struct str site =
	    t->grants.count > 0 ? t->grants.list[0].site->name : STR("-");

	log_event(LOG_NOTE, "trigger", "",
	    "site=%.*s kind=%.*s result=%s count=%llu peer=%s name=%.*s",
	    STR_ARG(site), STR_ARG(verb), result, (unsigned long long)t->count,
	    s->peer, STR_ARG(argument));
}

/* The trigger is over, as far as it is known: its reply. */
static struct smtp_reply
receive_trigger_finish(
    struct receive *r, struct receive_session *s, const struct smtp_ask *ask)
{
	static const char *const names[] = {
	    [TRIGGER_EMPTY] = "empty",
	    [TRIGGER_BUSY] = "busy",
	    [TRIGGER_ACTIVE] = "active",
	    [TRIGGER_STARTED] = "started",
	};
	struct receive_trigger *t = s->trigger;
	struct smtp_reply reply =
	    trigger_answer(t->outcome, t->count, &t->grants, ask->argument);

	receive_trigger_log(s, ask->verb, ask->argument, names[t->outcome]);
	receive_trigger_free(r, s);
	return reply;
}

/* One too many; a flood of them is one line of the log a minute. */
static struct smtp_reply
receive_trigger_limit(struct receive_session *s, struct receive_rate *rate,
    const struct smtp_ask *ask, struct str site)
{
	struct trigger_grants none = {.count = 0};

	if (!rate->is_logged)
		log_event(LOG_NOTE, "trigger-limited", "",
		    "site=%.*s kind=%.*s peer=%s name=%.*s", STR_ARG(site),
		    STR_ARG(ask->verb), s->peer, STR_ARG(ask->argument));
	rate->is_logged = true;
	return trigger_answer(TRIGGER_BUSY, 0, &none, ask->argument);
}

/* The first of the sites granted that was asked for too often, or NULL. */
static const struct conf_site *
receive_trigger_excess(struct receive *r, const struct trigger_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		const struct conf_site *site = grants->list[i].site;

		if (!receive_rate_take(
			&r->sites[site - r->conf->sites].triggers, r->now_ms,
			r->triggers_max))
			return site;
	}
	return NULL;
}

bool
receive_trigger_ask(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out)
{
	struct receive_rate *rate = &s->network->triggers;
	const struct conf_site *excess;
	struct receive_trigger *t;
	enum trigger_verdict verdict;

	CHECK(s->trigger == NULL);
	if (!receive_rate_take(rate, r->now_ms, r->triggers_max)) {
		*reply_out = receive_trigger_limit(s, rate, ask, STR("-"));
		return true;
	}
	t = mem_new(1, sizeof(*t));
	s->trigger = t;
	t->kind = str_equal(ask->verb, STR("QSND")) ? CONF_TRIGGER_QSND
	                                            : CONF_TRIGGER_ETRN;
	t->outcome = TRIGGER_EMPTY;
	verdict = trigger_entitle(
	    r->conf, &s->from, t->kind, ask->argument, &t->grants);
	if (verdict != TRIGGER_GRANTED) {
		receive_trigger_log(s, ask->verb, ask->argument,
		    verdict == TRIGGER_SYNTAX ? "syntax" : "refused");
		receive_trigger_free(r, s);
		*reply_out = trigger_answer_refusal(verdict, ask->argument);
		return true;
	}
	excess = receive_trigger_excess(r, &t->grants);
	if (excess != NULL) {
		rate = &r->sites[excess - r->conf->sites].triggers;
		*reply_out = receive_trigger_limit(s, rate, ask, excess->name);
		receive_trigger_free(r, s);
		return true;
	}
	if (receive_trigger_send(r, s) < 0) {
		t->outcome = TRIGGER_BUSY;
		*reply_out = receive_trigger_finish(r, s, ask);
		return true;
	}
	s->wait = RECEIVE_WAIT_TRIGGER;
	return false;
}

void
receive_trigger_end(
    struct receive *r, struct receive_session *s, bool is_answered)
{
	struct smtp_reply reply;
	struct smtp_ask ask;

	if (s->trigger == NULL)
		return;
	if (!is_answered) {
		receive_trigger_free(r, s);
		return;
	}
	CHECK(s->wait == RECEIVE_WAIT_TRIGGER);
	s->trigger->outcome =
	    trigger_outcome_join(s->trigger->outcome, TRIGGER_BUSY);
	(void)smtp_server_next(s->machine, &ask);
	reply = receive_trigger_finish(r, s, &ask);
	receive_answer(r, s, &reply);
}

static enum trigger_outcome
receive_trigger_outcome(enum message_trigger_result result)
{
	switch (result) {
	case MESSAGE_TRIGGER_STARTED:
		return TRIGGER_STARTED;
	case MESSAGE_TRIGGER_ACTIVE:
		return TRIGGER_ACTIVE;
	case MESSAGE_TRIGGER_EMPTY:
		return TRIGGER_EMPTY;
	case MESSAGE_TRIGGER_BUSY:
	case MESSAGE_TRIGGER_UNKNOWN:
		/* The queue reads the same configuration: it is ours to
		   explain, and will pass. */
		break;
	}
	return TRIGGER_BUSY;
}

void
receive_trigger_message(struct receive *r, const struct message *m)
{
	uint64_t request = m->u.trigger_done.request;
	struct receive_session *s;
	struct receive_trigger *t;
	struct smtp_reply reply;
	struct smtp_ask ask;

	HASH_FIND(hh_request, r->by_request, &request, sizeof(request), s);
	if (s == NULL)
		return;
	t = s->trigger;
	CHECK(s->magic == RECEIVE_MAGIC && t->request == request);
	receive_trigger_unlink(r, s);
	t->outcome = trigger_outcome_join(
	    t->outcome, receive_trigger_outcome(m->u.trigger_done.result));
	t->count = num_add_capped(t->count, m->u.trigger_done.count);
	t->done_count++;
	if (t->done_count < t->grants.count) {
		if (receive_trigger_send(r, s) == 0)
			return;
		t->outcome = trigger_outcome_join(t->outcome, TRIGGER_BUSY);
	}
	(void)smtp_server_next(s->machine, &ask);
	reply = receive_trigger_finish(r, s, &ask);
	receive_answer(r, s, &reply);
}
