/*
 * One transaction of a session, and its frames.
 *
 *   MAIL     nothing is sent; the envelope is kept here
 *   DATA     OPEN, RECIPIENT of each
 *   CONTENT  blocks of STORE_BLOCK, or what came at once if that is much,
 *            under the credit that the queue gives
 *   dot      what is left, COMMIT; INTAKE_DONE is the reply
 *
 * Promises: 250 to the dot is only ever what the queue said; a transaction that
 * ends in another way after OPEN and before COMMIT is aborted; once refused,
 * nothing more of it is sent.
 */
#include "role/receive.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_RECIPIENTS_FIRST 4
#define RECEIVE_PASS_MIN         8192 /* content is not gathered from here */

static struct smtp_reply
receive_reply_lost(void)
{
	return smtp_reply_make(451, "4.3.0", "Queue unavailable, try later");
}

/* Whether a message may come now; the reply if not. */
static bool
receive_intake_may(const struct receive *r, struct smtp_reply *reply_out)
{
	if (r->queue == 0)
		*reply_out = receive_reply_lost();
	else if (!r->is_intake_open)
		*reply_out = smtp_reply_make(
		    452, "4.3.1", "Insufficient storage, try later");
	return r->queue != 0 && r->is_intake_open;
}

/* The queue knows of it no more. */
static void
receive_intake_unlink(struct receive *r, struct receive_session *s)
{
	if (s->transaction.number == 0)
		return;
	HASH_DELETE(hh_transaction, r->by_transaction, s);
	s->transaction.number = 0;
}

/* Tells the queue to forget what it has of it. */
static void
receive_intake_abort(struct receive *r, struct receive_session *s)
{
	struct message m = {.type = MESSAGE_INTAKE_ABORT,
	    .u.intake_abort.transaction = s->transaction.number};

	/* A queue that is gone has forgotten it. */
	if (s->transaction.number != 0 && !s->transaction.is_committed)
		(void)!receive_send(r, &m);
	receive_intake_unlink(r, s);
}

/* From now on what comes is passed over. */
static void
receive_intake_refuse(struct receive *r, struct receive_session *s,
    const struct smtp_reply *reply)
{
	receive_intake_abort(r, s);
	buf_fini(&s->transaction.block);
	s->transaction.refusal = *reply;
	CHECK(reply->code >= 400);
}

void
receive_intake_end(struct receive *r, struct receive_session *s)
{
	struct receive_transaction *t = &s->transaction;

	receive_intake_abort(r, s);
	arena_fini(&t->arena);
	buf_fini(&t->block);
	free(t->recipients);
	*t = (struct receive_transaction){.number = 0};
	arena_init(&t->arena, RECEIVE_ARENA_MAX);
	buf_init(&t->block, RECEIVE_BLOCKS_MAX);
	s->is_content_taken = false;
}

bool
receive_intake_mail(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out)
{
	struct receive_transaction *t = &s->transaction;

	receive_intake_end(r, s);
	if (!receive_intake_may(r, reply_out))
		return true;
	if (ask->size > r->intake_size_max) {
		/* RFC 1870 6.1: before it is sent in vain. */
		*reply_out = smtp_reply_make(452, "4.3.1",
		    "Insufficient storage for this size, try later");
		return true;
	}
	/* The pickup role names the user with each message. */
	t->has_uid = s->has_uid || ask->has_uid;
	t->uid = ask->has_uid ? ask->uid : s->uid;
	if (mail_envelope_copy(&t->arena, &ask->envelope, &t->envelope) < 0)
		*reply_out = smtp_reply_make(452, "4.3.1", "Out of memory");
	else
		*reply_out = smtp_reply_make(250, "2.1.0", "Sender ok");
	return true;
}

/* Keeps a recipient that was agreed to: 0 or -ENOBUFS. */
static int
receive_intake_add(
    struct receive_transaction *t, const struct mail_recipient *recipient)
{
	size_t capacity = t->recipient_capacity;

	if (t->recipient_count == STORE_RECIPIENTS_MAX)
		return -ENOBUFS;
	if (t->recipient_count == capacity) {
		capacity =
		    capacity > 0 ? capacity * 2 : RECEIVE_RECIPIENTS_FIRST;
		t->recipients = mem_resize(
		    t->recipients, capacity, sizeof(t->recipients[0]));
		t->recipient_capacity = capacity;
	}
	if (mail_recipient_copy(
		&t->arena, recipient, &t->recipients[t->recipient_count]) < 0)
		return -ENOBUFS;
	t->recipient_count++;
	return 0;
}

bool
receive_intake_rcpt(struct receive *r, struct receive_session *s,
    const struct smtp_ask *ask, struct smtp_reply *reply_out)
{
	struct mail_recipient recipient = ask->recipient;
	const struct conf_site *site;
	struct smtp_reply alias;
	bool is_postmaster;
	size_t count;

	*reply_out = receive_rcpt_decide(r->conf, s->is_local ? NULL : &s->from,
	    &ask->address, &is_postmaster);
	if (is_postmaster)
		recipient.address = r->conf->postmaster;
	alias = receive_rcpt_alias(r->conf, r->aliases, &recipient, &count);
	if (alias.code != 0)
		*reply_out = alias;
	site = receive_rcpt_site(r->conf, recipient.address);
	if (reply_out->code < 400 && site != NULL &&
	    r->sites[site - r->conf->sites].is_closed)
		*reply_out = smtp_reply_make(
		    452, "4.2.2", "Too much is queued for it, try later");
	if (reply_out->code >= 400) {
		log_event(LOG_NOTE, "refused", "",
		    "rcpt=<%.*s> from=<%.*s> reason=%s peer=%s "
		    "helo=%.*s",
		    STR_ARG(ask->address.whole),
		    STR_ARG(s->transaction.envelope.sender), reply_out->text,
		    s->peer, STR_ARG(smtp_server_helo(s->machine)));
		return true;
	}
	/* RFC 5321 4.5.3.1.10: the sender comes again with the rest. */
	if (count > STORE_RECIPIENTS_MAX - s->transaction.expanded_count ||
	    receive_intake_add(&s->transaction, &recipient) < 0)
		*reply_out =
		    smtp_reply_make(452, "4.5.3", "Too many recipients");
	else
		s->transaction.expanded_count += count;
	return true;
}

/* The field that is put before the content. */
static int
receive_intake_trace(struct receive *r, struct receive_session *s)
{
	struct receive_transaction *t = &s->transaction;
	struct mail_trace trace = {
	    .helo = smtp_server_helo(s->machine),
	    .peer = str_from(s->peer),
	    .has_uid = t->has_uid,
	    .uid = t->uid,
	    .hostname = r->conf->hostname,
	    .with =
		smtp_server_is_esmtp(s->machine) ? STR("ESMTP") : STR("SMTP"),
	    .id = str_from(t->id),
	    .wall_ms = r->env->ops->wall_ms(r->env),
	};
	int error;

	if (t->envelope.is_smtputf8)
		trace.with = STR("UTF8SMTP"); /* RFC 6531 4.3 */
	/* RFC 5321 7.6: no one else is told of the others. */
	if (t->recipient_count == 1)
		trace.for_address = t->recipients[0].address;
	error = mail_trace_put(&t->block, &trace);
	t->content_size = buf_size(&t->block);
	t->content_crc32c = crc32c(0, buf_str(&t->block));
	return error;
}

/* Tells the queue of the message: 0 or -EPIPE. */
static int
receive_intake_open(struct receive *r, struct receive_session *s)
{
	struct receive_transaction *t = &s->transaction;
	struct message m = {.type = MESSAGE_INTAKE_OPEN,
	    .u.intake_open = {.transaction = ++r->number_last,
		.id = str_from(t->id),
		.envelope = t->envelope}};
	int error = receive_send(r, &m);

	if (error < 0)
		return error;
	t->number = r->number_last;
	HASH_ADD(hh_transaction, r->by_transaction, transaction.number,
	    sizeof(t->number), s);
	for (size_t i = 0; i < t->recipient_count && error == 0; i++) {
		m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT,
		    .u.intake_recipient = {t->number, t->recipients[i]}};
		error = receive_send(r, &m);
	}
	return error;
}

bool
receive_intake_data(
    struct receive *r, struct receive_session *s, struct smtp_reply *reply_out)
{
	struct receive_transaction *t = &s->transaction;

	CHECK(t->recipient_count > 0 && t->number == 0);
	if (!receive_intake_may(r, reply_out))
		return true;
	/* DATA may come again when it was refused. */
	buf_clear(&t->block);
	newid_next(&r->newid, t->id);
	if (receive_intake_trace(r, s) < 0 || receive_intake_open(r, s) < 0) {
		receive_intake_abort(r, s);
		*reply_out = receive_reply_lost();
		return true;
	}
	t->credit = MESSAGE_CREDIT;
	*reply_out = smtp_reply_make(250, "2.0.0", "Go on");
	return true;
}

/* Sends BYTES of content, for which there is credit; what fails refuses the
   transaction. */
static void
receive_intake_send_content(
    struct receive *r, struct receive_session *s, struct str bytes)
{
	struct receive_transaction *t = &s->transaction;
	struct smtp_reply lost = receive_reply_lost();
	struct message m = {.type = MESSAGE_INTAKE_CONTENT,
	    .u.intake_content = {t->number, bytes}};

	CHECK(t->credit >= bytes.size);
	t->credit -= bytes.size;
	if (receive_send(r, &m) < 0)
		receive_intake_refuse(r, s, &lost);
}

/* Sends what is kept of the content: full blocks, and with IS_ALL the rest.
   False if the credit does not suffice. */
static bool
receive_intake_send_blocks(
    struct receive *r, struct receive_session *s, bool is_all)
{
	struct receive_transaction *t = &s->transaction;

	while (buf_size(&t->block) >= (is_all ? 1 : STORE_BLOCK)) {
		struct str bytes = str_head(buf_str(&t->block), STORE_BLOCK);

		if (t->credit < bytes.size)
			return false;
		receive_intake_send_content(r, s, bytes);
		if (t->refusal.code != 0)
			return true;
		buf_consume(&t->block, bytes.size);
	}
	return true;
}

/* Sends BYTES, and what is kept before them, without keeping them: what is
   large and has credit.  False if they are to be kept. */
static bool
receive_intake_pass(
    struct receive *r, struct receive_session *s, struct str bytes)
{
	struct receive_transaction *t = &s->transaction;

	if (bytes.size < RECEIVE_PASS_MIN ||
	    t->credit < buf_size(&t->block) + bytes.size)
		return false;
	CHECK(receive_intake_send_blocks(r, s, true));
	if (t->refusal.code == 0)
		receive_intake_send_content(r, s, bytes);
	return true;
}

/* BYTES of content come. */
static void
receive_intake_take(
    struct receive *r, struct receive_session *s, struct str bytes)
{
	struct receive_transaction *t = &s->transaction;
	struct smtp_reply reply;

	receive_header_feed(&t->header, bytes);
	t->content_size += bytes.size;
	t->content_crc32c = crc32c(t->content_crc32c, bytes);
	if (t->header.hop_count > RECEIVE_HOPS_MAX) {
		reply = smtp_reply_make(554, "5.4.6", "Too many hops");
		receive_intake_refuse(r, s, &reply);
	} else if (!receive_intake_pass(r, s, bytes) &&
		   buf_append(&t->block, bytes) < 0) {
		reply = smtp_reply_make(452, "4.3.1", "Out of memory");
		receive_intake_refuse(r, s, &reply);
	}
}

bool
receive_intake_content(
    struct receive *r, struct receive_session *s, const struct smtp_ask *ask)
{
	struct receive_transaction *t = &s->transaction;

	/* What is asked about lies in the input, which does not wait. */
	if (t->refusal.code == 0 && !s->is_content_taken)
		receive_intake_take(r, s, ask->content);
	s->is_content_taken = true;
	if (t->refusal.code == 0 && !receive_intake_send_blocks(r, s, false)) {
		s->wait = RECEIVE_WAIT_CREDIT;
		return false;
	}
	s->is_content_taken = false;
	return true;
}

/* The reply to the dot stands: the transaction is over. */
static void
receive_intake_log(const struct receive_session *s, uint64_t size,
    const struct smtp_reply *reply)
{
	const struct receive_transaction *t = &s->transaction;

	if (reply->code < 300 && t->has_uid)
		log_event(LOG_NOTE, "received", t->id,
		    "from=<%.*s> size=%llu nrcpt=%zu peer=%s helo=%.*s uid=%u",
		    STR_ARG(t->envelope.sender), (unsigned long long)size,
		    t->recipient_count, s->peer,
		    STR_ARG(smtp_server_helo(s->machine)), t->uid);
	else if (reply->code < 300)
		log_event(LOG_NOTE, "received", t->id,
		    "from=<%.*s> size=%llu nrcpt=%zu peer=%s helo=%.*s",
		    STR_ARG(t->envelope.sender), (unsigned long long)size,
		    t->recipient_count, s->peer,
		    STR_ARG(smtp_server_helo(s->machine)));
	else
		log_event(LOG_NOTE, "refused", t->id,
		    "from=<%.*s> nrcpt=%zu code=%d reason=%s peer=%s",
		    STR_ARG(t->envelope.sender), t->recipient_count,
		    reply->code, reply->text, s->peer);
}

bool
receive_intake_commit(
    struct receive *r, struct receive_session *s, struct smtp_reply *reply_out)
{
	struct receive_transaction *t = &s->transaction;
	struct message m = {.type = MESSAGE_INTAKE_COMMIT,
	    .u.intake_commit = {.content_size = t->content_size,
		.content_crc32c = t->content_crc32c,
		.priority = t->header.priority}};

	if (t->refusal.code == 0 && !receive_intake_send_blocks(r, s, true)) {
		s->wait = RECEIVE_WAIT_CREDIT;
		return false;
	}
	m.u.intake_commit.transaction = t->number;
	if (t->refusal.code == 0 && receive_send(r, &m) < 0) {
		*reply_out = receive_reply_lost();
		receive_intake_refuse(r, s, reply_out);
	}
	if (t->refusal.code != 0) {
		*reply_out = t->refusal;
		receive_intake_log(s, t->content_size, reply_out);
		receive_intake_end(r, s);
		return true;
	}
	t->is_committed = true;
	s->wait = RECEIVE_WAIT_COMMIT;
	return false;
}

void
receive_intake_lost(struct receive *r, struct receive_session *s)
{
	struct smtp_reply reply = receive_reply_lost();
	enum receive_wait wait = s->wait;

	if (s->transaction.number == 0)
		return;
	receive_intake_refuse(r, s, &reply);
	if (wait == RECEIVE_WAIT_COMMIT) {
		receive_intake_log(s, s->transaction.content_size, &reply);
		receive_intake_end(r, s);
		receive_answer(r, s, &reply);
	} else if (wait == RECEIVE_WAIT_CREDIT) {
		receive_resume(r, s);
	}
}

void
receive_intake_late(struct receive *r, struct receive_session *s)
{
	struct message m = {.type = MESSAGE_INTAKE_ABORT,
	    .u.intake_abort.transaction = s->transaction.number};

	CHECK(s->transaction.number != 0);
	/* The reply will be no: what the store has not got, it is not to get.
	   What it has will come twice. */
	if (s->wait == RECEIVE_WAIT_COMMIT)
		(void)!receive_send(r, &m);
	receive_intake_lost(r, s);
}

/* The reply in an INTAKE_DONE: 0, or -EPROTO if it could not be given. */
static int
receive_intake_reply(const struct message *m, struct smtp_reply *reply_out)
{
	struct str enhanced = m->u.intake_done.enhanced;
	uint32_t code = m->u.intake_done.code;
	char text[sizeof(reply_out->enhanced)] = "";

	if (code > 559 || (code >= 300 && code < 400) ||
	    enhanced.size >= sizeof(text))
		return -EPROTO;
	if (enhanced.size > 0 &&
	    (uint32_t)(enhanced.data[0] - '0') != code / 100)
		return -EPROTO;
	memcpy(text, enhanced.data, enhanced.size);
	*reply_out = smtp_reply_make(
	    (int)code, text, "%.*s", STR_ARG(m->u.intake_done.text));
	return 0;
}

static int
receive_intake_done(
    struct receive *r, struct receive_session *s, const struct message *m)
{
	struct smtp_reply reply;
	int error = receive_intake_reply(m, &reply);

	if (error < 0)
		return error;
	if (s->wait == RECEIVE_WAIT_COMMIT) {
		receive_intake_log(s, s->transaction.content_size, &reply);
		receive_intake_end(r, s);
		receive_answer(r, s, &reply);
		return 0;
	}
	/* Before the commit it can only be refused. */
	if (reply.code < 400)
		return -EPROTO;
	receive_intake_refuse(r, s, &reply);
	if (s->wait == RECEIVE_WAIT_CREDIT)
		receive_resume(r, s);
	return 0;
}

int
receive_intake_message(struct receive *r, const struct message *m)
{
	/* The transaction is the first member of both. */
	uint64_t number = m->u.intake_done.transaction;
	const struct conf_site *site;
	struct receive_session *s;

	if (m->type == MESSAGE_INTAKE_STATE) {
		r->is_intake_open = m->u.intake_state.is_open;
		r->intake_size_max = m->u.intake_state.size_max;
		return 0;
	}
	if (m->type == MESSAGE_INTAKE_SITE) {
		site = conf_site_named(r->conf, m->u.intake_site.site);
		if (site == NULL)
			return -EPROTO;
		r->sites[site - r->conf->sites].is_closed =
		    !m->u.intake_site.is_open;
		return 0;
	}
	HASH_FIND(
	    hh_transaction, r->by_transaction, &number, sizeof(number), s);
	if (s == NULL)
		return 0;
	CHECK(s->magic == RECEIVE_MAGIC && number != 0);
	if (m->type == MESSAGE_INTAKE_DONE)
		return receive_intake_done(r, s, m);
	CHECK(m->type == MESSAGE_INTAKE_CREDIT);
	s->transaction.credit += m->u.intake_credit.bytes;
	if (s->wait == RECEIVE_WAIT_CREDIT)
		receive_resume(r, s);
	return 0;
}
