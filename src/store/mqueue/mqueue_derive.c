/*
 * Control files without our line, which we did not write, or which another
 * program has written since: what they lack is derived.  Times come from T, the
 * place in the queue from P, where each recipient goes from the configuration.
 */
#include "store/mqueue/mqueue_own.h"

#include <stdio.h>
#include <string.h>

/* The rank of a message with priority 0 and no size, after its arrival, as
   others have it. */
#define MQ_RANK_MS  UINT64_C(5400000)
#define MQ_GRACE_MS UINT64_C(1800000) /* for one attempt at what is too old */

void
mq_facts_derive(struct mqueue *mq, const struct qf *q,
    const struct os_status *status, uint64_t data_size, struct mq_facts *facts)
{
	uint64_t now_ms = mq_now_ms(mq);
	int64_t priority = q->priority < -1000000 ? -1000000 : q->priority;

	*facts = (struct mq_facts){
	    .arrival_wall_ms = q->created == QF_CREATED_GIVEN
	                           ? (uint64_t)q->created_s * 1000
	                           : status->mtime_ns / 1000000,
	    .size = status->size + data_size,
	    .row_count = q->recipient_count < STORE_RECIPIENTS_MAX
	                     ? (uint32_t)q->recipient_count
	                     : STORE_RECIPIENTS_MAX,
	};
	facts->count = facts->row_count;
	/* Of one second, as they were read. */
	facts->order =
	    facts->arrival_wall_ms * 1000 + mq->derived_count++ % 1000000;
	facts->arrival_ms = facts->arrival_wall_ms;
	if (mq->offset_ms < 0 && facts->arrival_ms <= (uint64_t)-mq->offset_ms)
		facts->arrival_ms = 1;
	else
		facts->arrival_ms += (uint64_t)mq->offset_ms;
	if (facts->arrival_ms > now_ms)
		facts->arrival_ms = now_ms;
	if (priority > INT32_MAX)
		priority = INT32_MAX;
	facts->rank =
	    facts->arrival_ms + MQ_RANK_MS + (uint64_t)(priority / 16);
	facts->expire_ms = facts->arrival_ms;
}

/* True if the message is to be returned unless it is delivered by a time, and
   that cannot be promised: who takes it on has to know of it, as no host does
   here; a Maildir, a file or a program has it at once or not at all. */
static bool
mq_is_over_time(struct mqueue *mq, const struct qf *q,
    const struct mq_facts *facts, const char *destination)
{
	if (!q->has_deliver_by ||
	    (q->deliver_mode & QF_BY_MODE) != QF_BY_RETURN)
		return false;
	return (!str_starts(str_from(destination), STR("maildir:")) &&
		   !str_starts(str_from(destination), STR("file:")) &&
		   !str_starts(str_from(destination), STR("prog:"))) ||
	       mq_now_ms(mq) >=
	           facts->arrival_ms + (uint64_t)q->deliver_by_s * 1000;
}

void
mq_derive_row(struct mqueue *mq, const struct qf *q,
    const struct qf_address *address, struct mq_facts *facts,
    struct store_row *row, struct arena *arena)
{
	uint8_t notify = row->recipient.notify;
	struct mqueue_route route = {.destination = MQUEUE_BAD};
	uint64_t now_ms = mq_now_ms(mq), by_ms = qf_notice_ms(q), end_ms;
	bool is_mail = address->kind == QF_ADDRESS_MAIL;
	bool is_local = address->kind == QF_ADDRESS_PROGRAM ||
	                address->kind == QF_ADDRESS_FILE ||
	                address->kind == QF_ADDRESS_INCLUDE;

	if (is_local || (is_mail && !address->is_oversize))
		mq->options.route(
		    mq->options.route_arg, row->recipient.address, &route);
	/* What no alias of ours names waits. */
	if (is_local && str_equal(str_from(route.destination), STR(MQUEUE_BAD)))
		memcpy(route.destination, MQUEUE_LOCAL, sizeof(MQUEUE_LOCAL));
	if (mq_is_over_time(mq, q, facts, route.destination) &&
	    !str_equal(str_from(route.destination), STR(MQUEUE_BAD)))
		memcpy(route.destination, MQUEUE_BY, sizeof(MQUEUE_BY));
	if (route.expire_ms == 0)
		route.expire_ms = MQ_EXPIRE_MS;
	if (by_ms > 0 && (route.notice_ms == 0 || by_ms < route.notice_ms))
		route.notice_ms = by_ms;
	end_ms = facts->arrival_ms + route.expire_ms;
	if (facts->expire_ms < end_ms)
		facts->expire_ms = end_ms;
	row->destination = arena_copy(arena, str_from(route.destination));
	row->domain = arena_copy(arena, str_from(route.domain));
	row->is_held = route.is_held;
	row->alarm_ms = end_ms;
	if (!q->is_warned && route.notice_ms > 0 &&
	    route.notice_ms < route.expire_ms &&
	    (notify == 0 || (notify & MAIL_NOTIFY_DELAY) != 0))
		row->alarm_ms = facts->arrival_ms + route.notice_ms;
	/* What is too old, or late, is tried once before anybody is told; what
	   is bad is returned now. */
	if (row->alarm_ms < now_ms + MQ_GRACE_MS)
		row->alarm_ms = now_ms + MQ_GRACE_MS;
	if (str_equal(row->destination, STR(MQUEUE_BAD)) ||
	    str_equal(row->destination, STR(MQUEUE_BY)))
		row->alarm_ms = 1;
}

/* Of a deliver-by with a trace the sender is told when the message goes to a
   host that does not know of it, as none does here (RFC 2852 4.1.4): as if he
   had asked to be told of success. */
uint8_t
mq_notify_of(const struct qf *q, uint8_t notify)
{
	if (!q->has_deliver_by || (q->deliver_mode & QF_BY_TRACE) == 0 ||
	    (notify & MAIL_NOTIFY_NEVER) != 0)
		return notify;
	if (notify == 0)
		notify = MAIL_NOTIFY_FAILURE | MAIL_NOTIFY_DELAY;
	return notify | MAIL_NOTIFY_SUCCESS;
}
