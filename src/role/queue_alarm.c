/*
 * What happens to mail because time goes by, whether or not anybody asks for
 * it: it is returned when its time is over, and its sender is told once that
 * it is late.  The store finds the rows by their alarms and leases them, a
 * slice at a time, so that no session delivers what is being returned; the
 * next slice is asked for when the last lease of this one is settled.
 *
 * The times come from the configuration of today: an alarm that rings too
 * early because a time was made longer is set anew.  Only queue time counts,
 * so a clock that jumps expires nothing.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"

#define ALARM_SLICE    50    /* contents are read for their notifications */
#define ALARM_MIN_MS   1000  /* between two slices that found nothing */
#define ALARM_AGAIN_MS 60000 /* for what was leased, or after trouble */

uint64_t
queue_notice_time(
    const struct route *route, const struct mail_envelope *envelope)
{
	if (envelope->notice_ms > 0 &&
	    (route->notice_ms == 0 || envelope->notice_ms < route->notice_ms))
		return envelope->notice_ms;
	return route->notice_ms;
}

uint64_t
queue_alarm_time(const struct route *route, uint64_t arrival_ms,
    const struct mail_envelope *envelope,
    const struct mail_recipient *recipient, bool is_told)
{
	uint64_t notice_ms = queue_notice_time(route, envelope);
	/* RFC 3461 4.1: without NOTIFY it is ours to choose. */
	bool wants = recipient->notify == 0 ||
	             (recipient->notify & MAIL_NOTIFY_DELAY) != 0;

	/* Nobody is told of a message from the null sender. */
	if (wants && !is_told && envelope->sender.size > 0 && notice_ms > 0 &&
	    notice_ms < route->expire_ms)
		return arrival_ms + notice_ms;
	return arrival_ms + route->expire_ms;
}

void
queue_alarm_at(struct queue *q, uint64_t at_ms)
{
	if (at_ms < q->alarm_ms)
		q->alarm_ms = at_ms;
}

bool
queue_alarm_may_ask(const struct queue *q)
{
	return !q->is_asking_alarm && q->alarm_lease_count == 0 &&
	       !q->is_stopping && queue_run_may_alarm(q);
}

void
queue_alarm_ask(struct queue *q, uint64_t now_ms)
{
	struct store_request *request = store_request_new(STORE_ALARM);

	CHECK(queue_alarm_may_ask(q));
	request->u.alarm.now_ms = queue_time(q, now_ms);
	request->u.alarm.count = ALARM_SLICE;
	q->is_asking_alarm = true;
	q->alarm_ms = UINT64_MAX;
	q->env->ops->store(q->env, request);
}

/* When to ask again after an answer. */
static void
alarm_set_next(
    struct queue *q, uint64_t time_ms, const struct store_request *request)
{
	uint64_t next_ms = request->u.alarm.next_alarm_ms;

	if (request->error < 0) {
		log_event(
		    LOG_ERROR, "alarm-failed", "", "error=%d", -request->error);
		queue_alarm_at(q, time_ms + ALARM_AGAIN_MS);
		return;
	}
	if (request->u.alarm.lease_count > 0) {
		queue_alarm_at(q, time_ms);
		return;
	}
	if (next_ms > 0)
		queue_alarm_at(q, next_ms > time_ms + ALARM_MIN_MS
				      ? next_ms
				      : time_ms + ALARM_MIN_MS);
	if (request->u.alarm.is_passed)
		queue_alarm_at(q, time_ms + ALARM_AGAIN_MS);
}

void
queue_alarm_stored(
    struct queue *q, uint64_t now_ms, struct store_request *request)
{
	size_t count = request->u.alarm.lease_count;
	struct queue_take *take;

	q->is_asking_alarm = false;
	alarm_set_next(q, queue_time(q, now_ms), request);
	if (count == 0) {
		store_request_free(request);
		return;
	}
	take = mem_new(1, sizeof(*take));
	take->request = request;
	take->lease_count = count;
	q->alarm_lease_count = count;
	for (size_t i = 0; i < count; i++)
		queue_settle_alarm(q, now_ms,
		    queue_lease_new(q, take, 0, &request->u.alarm.leases[i]));
}

void
queue_alarm_settled(struct queue *q)
{
	CHECK(q->alarm_lease_count > 0);
	q->alarm_lease_count--;
}
