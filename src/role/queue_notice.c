/*
 * The notification about a lease: one message for all of its recipients whose
 * sender is to be told of something.  It comes from the null sender and asks
 * for no notification itself (RFC 3461 6.1).
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

/* Writes the notification's content; -ENOBUFS if it does not fit. */
static int
notice_write(struct queue *q, const struct queue_lease *lease,
    struct store_message *dsn, struct str content, bool is_whole)
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
		if (lease->notes[i].is_wanted)
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

struct store_message *
queue_notice_new(struct queue *q, uint64_t now_ms,
    const struct queue_lease *lease, struct str content, bool is_whole)
{
	struct store_message *dsn = store_message_new();
	struct mail_recipient to = {
	    .address = lease->lease->envelope.sender,
	    .notify = MAIL_NOTIFY_NEVER,
	};

	newid_next(&q->newid, dsn->id);
	dsn->arrival_ms = queue_time(q, now_ms);
	dsn->arrival_wall_ms = q->env->ops->wall_ms(q->env);
	dsn->envelope.is_smtputf8 = lease->lease->envelope.is_smtputf8;
	dsn->rows = arena_new(&dsn->arena, sizeof(dsn->rows[0]));
	CHECK(dsn->rows != NULL);
	if (queue_add_row(q, dsn, 1, &to) < 0 ||
	    notice_write(q, lease, dsn, content, is_whole) < 0) {
		notice_lost(q, lease);
		store_message_free(dsn);
		return NULL;
	}
	dsn->rank = sched_rank(dsn->arrival_ms, dsn->content_size, 0);
	return dsn;
}
