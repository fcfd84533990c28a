/*
 * The notification about a lease: one message for all of its recipients whose
 * sender is to be told of something.  It comes from the null sender and asks
 * for no notification itself (RFC 3461 6.1).
 *
 * Where there is no sender to tell (the message is a notification itself, RFC
 * 5321 4.5.5), or he has no route, the postmaster gets what failed, in a
 * message of the same form.
 *
 * Invariant: of what failed on its way to the postmaster nobody is told, so
 * that no notification is made of a notification of a notification.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"

#include <stdlib.h>

static bool
notice_is_8bit(struct str content)
{
	for (size_t i = 0; i < content.size; i++)
		if ((unsigned char)content.data[i] >= 0x80)
			return true;
	return false;
}

/* Recipient I as the notification tells of it. */
static struct mail_dsn_recipient
notice_recipient(const struct queue_lease *lease, size_t i)
{
	struct str answer = lease->results[i].status;
	struct mail_dsn_recipient to = {
	    .recipient = lease->lease->rows[i].recipient,
	    .action = lease->notes[i].action,
	    .status = str_from(lease->notes[i].status),
	};

	/* What a Maildir says is of no use elsewhere. */
	if (to.action == MAIL_DSN_DELIVERED)
		return to;
	to.diagnostic = answer;

	/* RFC 3464 2.3.5: the host that said so, if it was one. */
	if (answer.size > 0 && ascii_is_digit(answer.data[0]))
		to.remote_mta = lease->mta;
	return to;
}

bool
queue_notice_has_postmaster(
    const struct queue *q, const struct mail_recipient *to)
{
	return q->conf->postmaster.size > 0 &&
	       !queue_alias_reaches(q, q->conf->postmaster, to->address);
}

/* Whether the notification tells of recipient I; IS_LOST: to the postmaster,
   who wants to know of failures only. */
static bool
notice_is_for(const struct queue *q, const struct queue_lease *lease, size_t i,
    bool is_lost)
{
	const struct queue_note *note = &lease->notes[i];

	if (!note->is_wanted || !is_lost)
		return note->is_wanted;
	return note->action == MAIL_DSN_FAILED &&
	       queue_notice_has_postmaster(q, &lease->lease->rows[i].recipient);
}

/* Writes the notification's content; -ENOBUFS if it does not fit.  IS_LOST: it
   goes to the postmaster. */
static int
notice_write(struct queue *q, const struct queue_lease *lease,
    struct store_message *dsn, bool is_lost, struct str content, bool is_whole)
{
	const struct store_lease *l = lease->lease;
	struct mail_dsn_recipient *recipients =
	    mem_new(lease->result_count, sizeof(recipients[0]));
	struct mail_dsn what = {
	    .hostname = q->conf->hostname,
	    .id = str_from(dsn->id),
	    .origin_id = str_from(l->id),
	    .envelope = &l->envelope,
	    .arrival_wall_ms = l->arrival_wall_ms,
	    .now_wall_ms = dsn->arrival_wall_ms,
	    .recipients = recipients,
	    .content = content,
	    .is_content_whole = is_whole,
	};
	struct route route;
	uint64_t expire_ms;
	int error;

	if (is_lost)
		what.postmaster = q->conf->postmaster;
	(void)!route_of_destination(q->conf, l->destination, &route);
	expire_ms = l->arrival_ms + route.expire_ms;
	what.is_kept = route.is_held;
	if (expire_ms > dsn->arrival_ms)
		what.retry_until_wall_ms =
		    dsn->arrival_wall_ms + (expire_ms - dsn->arrival_ms);
	/* When an alarm rings nothing is tried. */
	if (lease->session != 0)
		what.attempt_wall_ms = dsn->arrival_wall_ms;
	for (size_t i = 0; i < lease->result_count; i++)
		if (notice_is_for(q, lease, i, is_lost))
			recipients[what.recipient_count++] =
			    notice_recipient(lease, i);
	error = mail_dsn_put(&dsn->content, &what);
	free(recipients);
	dsn->content_size = buf_size(&dsn->content);
	if (notice_is_8bit(buf_str(&dsn->content)))
		dsn->envelope.body = MAIL_BODY_8BITMIME;
	return error;
}

/* It cannot be made: who failed is lost, who is only late is not. */
static void
notice_lost(struct queue *q, const struct queue_lease *lease)
{
	bool is_bounce = false;

	for (size_t i = 0; i < lease->result_count; i++)
		is_bounce |= lease->notes[i].is_wanted &&
		             lease->notes[i].action == MAIL_DSN_FAILED;
	if (!is_bounce) {
		log_event(LOG_WARN, "notice-lost", lease->lease->id,
		    "sender=%.*s", STR_ARG(lease->lease->envelope.sender));
		return;
	}
	q->bounces_lost_count++;
	log_event(LOG_WARN, "bounce-lost", lease->lease->id,
	    "sender=%.*s count=%llu", STR_ARG(lease->lease->envelope.sender),
	    (unsigned long long)q->bounces_lost_count);
}

/* The notification to ADDRESS; NULL if it cannot be made. */
static struct store_message *
notice_new(struct queue *q, uint64_t now_ms, const struct queue_lease *lease,
    struct str address)
{
	struct store_message *dsn = store_message_new();
	struct mail_recipient to = {
	    .address = address,
	    .notify = MAIL_NOTIFY_NEVER,
	};

	newid_next(&q->newid, dsn->id);
	dsn->arrival_ms = queue_time(q, now_ms);
	dsn->arrival_wall_ms = q->env->ops->wall_ms(q->env);
	dsn->envelope.is_smtputf8 = lease->lease->envelope.is_smtputf8;
	if (queue_alias_rows(q, dsn, &to) == 0)
		return dsn;
	store_message_free(dsn);
	return NULL;
}

/* Whether there is anything to tell the postmaster of. */
static bool
notice_has_lost(const struct queue *q, const struct queue_lease *lease)
{
	for (size_t i = 0; i < lease->result_count; i++)
		if (notice_is_for(q, lease, i, true))
			return true;
	return false;
}

struct store_message *
queue_notice_new(struct queue *q, uint64_t now_ms,
    const struct queue_lease *lease, struct str content, bool is_whole)
{
	const struct mail_envelope *envelope = &lease->lease->envelope;
	struct store_message *dsn = NULL;
	bool is_lost;

	/* RFC 5321 4.5.5: of the null sender's nobody else is told either. */
	if (envelope->sender.size > 0)
		dsn = notice_new(q, now_ms, lease,
		    envelope->errors_to.size > 0 ? envelope->errors_to
						 : envelope->sender);
	is_lost = dsn == NULL;
	if (is_lost && notice_has_lost(q, lease)) {
		dsn = notice_new(q, now_ms, lease, q->conf->postmaster);
		if (dsn != NULL)
			log_event(LOG_NOTE, "postmaster-told", lease->lease->id,
			    "dsn=%s to=%.*s", dsn->id,
			    STR_ARG(q->conf->postmaster));
	}
	if (dsn == NULL ||
	    notice_write(q, lease, dsn, is_lost, content, is_whole) < 0) {
		notice_lost(q, lease);
		store_message_free(dsn);
		return NULL;
	}
	dsn->rank = sched_rank(dsn->arrival_ms, dsn->content_size, 0);
	return dsn;
}
