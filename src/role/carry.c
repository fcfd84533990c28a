/*
 * One SMTP session.  All work is in carry_pump(): it asks the machine what it
 * wants and gives it, until the machine waits for the far end, the network or
 * the queue role.
 *
 * Promises: no final dot leaves after the lease of its message is over, or
 * after a block was damaged, or after carry_free(); every message that came is
 * reported once; at most CARRY_UNSENT_MAX bytes and one block wait in the
 * carrier.
 */
#include "role/carry.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARRY_UNSENT_MAX   65536
#define CARRY_QUIT_TIME_MS 10000 /* for the reply to QUIT */
#define CARRY_TRACE_MAX    65536 /* bytes of a trace that wait */

/* Trouble with one message, not with the host: it waits for its next try, so
   that it is not tried again at once for ever. */
#define CARRY_DAMAGED "451 4.3.0 the content cannot be read"
#define CARRY_LATE    "451 4.3.0 the time for this message is over"

struct carry {
	struct role_env *env;
	role_conn conn; /* 0: gone */
	struct smtp_client *client;
	struct carry_jobs jobs;
	char hostname[MAIL_DOMAIN_MAX + 1];
	uint64_t given_size;  /* bytes given to the network */
	uint64_t taken_size;  /* of these taken when last looked at */
	uint64_t acked_size;  /* acknowledged when last looked at */
	uint64_t quit_due_ms; /* UINT64_MAX: QUIT was not said */
	bool is_busy;         /* the first job is with the machine */
	bool is_all_given;    /* with its final dot */
	bool is_established;
	bool is_over;
	/* Why the message in hand was abandoned, and what becomes of it. */
	const char *abandon_reason;
	enum smtp_verdict abandon_verdict;
	bool is_stopped; /* by carry_stop() */
	char mailer[16];
	char trace_host[CARRY_HOST_MAX];
	struct buf trace_text;
	struct smtp_client_trace trace;
	char destination[STORE_DESTINATION_MAX + 1];
	struct carry_end end;
};

struct carry *
carry_new(struct role_env *env, const struct conf *conf,
    const struct carry_options *options, uint64_t now_ms)
{
	struct carry *c = mem_new(1, sizeof(*c));
	struct smtp_client_options smtp = {
	    .is_helo = options->is_helo,
	    .greeting_timeout_ms = conf->greeting_timeout_ms,
	    .data_timeout_ms = conf->data_timeout_ms,
	    .block_timeout_ms = conf->block_timeout_ms,
	    .dot_timeout_ms = conf->dot_timeout_ms,
	};

	CHECK(options->conn != 0);
	c->env = env;
	c->conn = options->conn;
	c->quit_due_ms = UINT64_MAX;
	carry_text_copy(c->hostname, sizeof(c->hostname), conf->hostname);
	carry_text_copy(c->destination, sizeof(c->destination),
	    str_from(options->destination));
	smtp.hostname = str_from(c->hostname);
	carry_jobs_init(
	    &c->jobs, env, options->queue, options->session, options->host);
	c->jobs.is_mta = true;
	buf_init(&c->trace_text, CARRY_TRACE_MAX);
	if (options->mailer != NULL) {
		carry_text_copy(
		    c->mailer, sizeof(c->mailer), str_from(options->mailer));
		carry_host_put(c->trace_host, str_from(options->host));
		c->trace = (struct smtp_client_trace){
		    &c->trace_text, c->trace_host, c->mailer};
		smtp.trace = &c->trace;
	}
	c->client = smtp_client_new(&smtp, now_ms);
	return c;
}

void
carry_free(struct carry *c)
{
	if (c == NULL)
		return;
	if (c->conn != 0)
		c->env->ops->conn_abort(c->env, c->conn);
	carry_jobs_fini(&c->jobs);
	buf_fini(&c->trace_text);
	smtp_client_free(c->client);
	free(c);
}

/* Bytes that the network has not yet taken, as far as this is known. */
static size_t
carry_unsent(struct carry *c)
{
	return c->conn == 0 ? 0 : c->env->ops->conn_unsent(c->env, c->conn);
}

/* True if the far end may have the final dot of the message in hand. */
static bool
carry_is_dot_out(struct carry *c)
{
	return c->is_all_given &&
	       buf_size(smtp_client_output(c->client)) == 0 &&
	       carry_unsent(c) == 0;
}

/* Tells the machine when the network has taken bytes. */
static void
carry_note_progress(struct carry *c, uint64_t now_ms)
{
	uint64_t taken_size = c->given_size - carry_unsent(c);

	if (taken_size > c->taken_size)
		smtp_client_progress(c->client, now_ms);
	c->taken_size = taken_size;
}

/* When the machine would give up: the network may have taken all long ago and
   the link may still be at work on it. */
static void
carry_note_acked(struct carry *c, uint64_t now_ms)
{
	uint64_t acked_size, idle_ms;

	if (c->conn == 0 || now_ms < smtp_client_deadline(c->client))
		return;
	acked_size = c->env->ops->conn_acked(c->env, c->conn, &idle_ms);
	if (acked_size > c->acked_size)
		smtp_client_progress(
		    c->client, now_ms > idle_ms ? now_ms - idle_ms : 0);
	c->acked_size = acked_size;
}

static void
carry_flush(struct carry *c)
{
	struct buf *out = smtp_client_output(c->client);

	while (c->conn != 0 && buf_size(out) > 0 &&
	       carry_unsent(c) < CARRY_UNSENT_MAX) {
		struct str piece = str_head(buf_str(out), CARRY_UNSENT_MAX);

		if (c->env->ops->conn_send(c->env, c->conn, piece) < 0)
			break;
		c->given_size += piece.size;
		buf_consume(out, piece.size);
	}
}

/* Resets the connection; what the network has not taken is dropped. */
static void
carry_abort(struct carry *c)
{
	buf_clear(smtp_client_output(c->client));
	if (c->conn != 0)
		c->env->ops->conn_abort(c->env, c->conn);
	c->conn = 0;
}

/* The message in hand must not be finished: what is not with the far end stays
   here.  Allowed until its final dot is out. */
static void
carry_abandon(struct carry *c, enum smtp_verdict verdict, const char *reason)
{
	CHECK(c->is_busy && !carry_is_dot_out(c));
	c->abandon_reason = reason;
	c->abandon_verdict = verdict;
	carry_abort(c);
	smtp_client_abandon(c->client, reason);
	/* The machine has let go of its dot, the network had not. */
	smtp_client_lost(c->client, reason);
}

/* Gives the machine the next message, or QUIT, or asks for more. */
static bool
carry_step_job(struct carry *c, uint64_t now_ms)
{
	struct carry_job *job;

	CHECK(!c->is_busy);
	if (!c->is_established) {
		c->is_established = true;
		log_event(LOG_DETAIL, "connected", "",
		    "session=%u destination=%s host=%s", c->jobs.session,
		    c->destination, c->jobs.host);
	}
	for (job = carry_jobs_first(&c->jobs);
	     job != NULL && now_ms >= job->due_ms;
	     job = carry_jobs_first(&c->jobs))
		carry_jobs_report(&c->jobs, job);
	carry_jobs_ask(&c->jobs);
	if (job != NULL) {
		c->is_busy = true;
		c->is_all_given = false;
		smtp_client_job(c->client, &job->envelope, job->recipients,
		    job->row_count, job->content_size, now_ms);
		/* The first blocks come while the envelope goes. */
		(void)carry_job_content(&c->jobs, job);
		return true;
	}
	if (!c->jobs.is_none && !c->jobs.is_closed)
		return false;
	carry_jobs_close(&c->jobs, 0, "the session is over");
	smtp_client_quit(c->client, now_ms);
	c->quit_due_ms = num_add_capped(now_ms, CARRY_QUIT_TIME_MS);
	return true;
}

static bool
carry_step_content(struct carry *c, uint64_t now_ms)
{
	struct carry_job *job = carry_jobs_first(&c->jobs);
	uint64_t left = job->content_size - job->given_size;
	size_t room;
	struct str bytes;

	CHECK(c->is_busy && !c->is_all_given);
	if (job->is_damaged) {
		carry_abandon(c, SMTP_TEMPORARY, CARRY_DAMAGED);
		return true;
	}
	if (now_ms >= job->due_ms) {
		carry_abandon(c, SMTP_TEMPORARY, CARRY_LATE);
		return true;
	}
	room = smtp_client_content_room(c->client);
	bytes = str_head(carry_job_content(&c->jobs, job), room);
	if (bytes.size == 0 && left > 0)
		return false;
	c->is_all_given = bytes.size == left;
	smtp_client_content(c->client, bytes, c->is_all_given, now_ms);
	carry_job_given(&c->jobs, job, bytes.size);
	return true;
}

static void
carry_step_report(struct carry *c)
{
	struct carry_job *job = carry_jobs_first(&c->jobs);

	CHECK(c->is_busy);
	c->jobs.is_relayed = !smtp_client_has_dsn(c->client);
	for (size_t i = 0; i < job->row_count; i++) {
		smtp_client_result(c->client, i, &job->results[i]);
		if (c->abandon_reason != NULL && job->results[i].code == 0)
			carry_job_set(job, i, c->abandon_verdict, "4.3.0",
			    c->abandon_reason);
	}
	smtp_client_reported(c->client);
	/* It broke off: the rest, perhaps with the final dot, must not go out
	   behind the result. */
	if (smtp_client_next(c->client) == SMTP_WANT_CLOSE &&
	    (buf_size(smtp_client_output(c->client)) > 0 ||
		carry_unsent(c) > 0))
		carry_abort(c);
	c->is_busy = false;
	carry_jobs_report(&c->jobs, job);
}

/* What the queue role is told of a connection that failed. */
static void
carry_explain(struct carry *c)
{
	struct smtp_client_end end;
	char text[CARRY_HOST_MAX + CARRY_TEXT_MAX + 40]; /* cut later */
	const char *status = "4.4.2"; /* RFC 3463: bad connection */

	smtp_client_end(c->client, &end);
	if (c->is_stopped || c->abandon_reason != NULL ||
	    c->quit_due_ms != UINT64_MAX || !end.is_failed) {
		carry_end_set(&c->end, false, false, "2.0.0", end.answer);
		return;
	}
	if (end.code != 0) {
		snprintf(text, sizeof(text), "%s", end.answer);
		/* The host does not take mail now (RFC 3463 3.4). */
		status = "4.3.2";
	} else {
		snprintf(text, sizeof(text), "%s, awaiting %s: %s",
		    c->jobs.host, end.awaited, end.answer);
	}
	carry_end_set(&c->end, true, false, status, text);
}

static void
carry_step_close(struct carry *c)
{
	CHECK(!c->is_busy);
	carry_explain(c);
	carry_jobs_close(&c->jobs, 0,
	    c->end.answer[0] != '\0' ? c->end.answer : "not tried");
	if (c->conn != 0)
		c->env->ops->conn_close(c->env, c->conn);
	c->conn = 0;
	c->is_over = true;
}

/* Hands on what there is of the trace.  It goes before what it tells of. */
static void
carry_tell(struct carry *c)
{
	while (buf_size(&c->trace_text) > 0) {
		struct str text =
		    str_head(buf_str(&c->trace_text), MESSAGE_TEXT_BYTES);

		/* Whole lines; none is as long as that. */
		while (text.data[text.size - 1] != '\n')
			text.size--;
		carry_trace(c->env, c->jobs.queue, c->jobs.session, text);
		buf_consume(&c->trace_text, text.size);
	}
}

/* Does one thing that the machine wants; false if it must wait. */
static bool
carry_step(struct carry *c, uint64_t now_ms)
{
	carry_tell(c);
	switch (smtp_client_next(c->client)) {
	case SMTP_WANT_NOTHING:
		return false;
	case SMTP_WANT_JOB:
		return carry_step_job(c, now_ms);
	case SMTP_WANT_CONTENT:
		return carry_step_content(c, now_ms);
	case SMTP_WANT_REPORT:
		carry_step_report(c);
		return true;
	case SMTP_WANT_CLOSE:
		carry_flush(c);
		carry_step_close(c);
		return false;
	}
	return false;
}

static void
carry_pump(struct carry *c, uint64_t now_ms)
{
	carry_note_progress(c, now_ms);
	while (!c->is_over && carry_step(c, now_ms))
		carry_flush(c);
	carry_tell(c);
	if (c->is_over)
		return;
	carry_flush(c);
	carry_note_progress(c, now_ms);
}

size_t
carry_bytes(struct carry *c, uint64_t now_ms, struct str bytes)
{
	if (c->is_over)
		return bytes.size;
	(void)smtp_client_feed(c->client, bytes, now_ms);
	carry_pump(c, now_ms);
	/* What comes after the end is for nobody. */
	return bytes.size;
}

void
carry_drained(struct carry *c, uint64_t now_ms)
{
	if (c->is_over)
		return;
	smtp_client_progress(c->client, now_ms);
	carry_pump(c, now_ms);
}

void
carry_closed(struct carry *c, uint64_t now_ms, int error)
{
	const char *reason =
	    error < 0 ? strerrordesc_np(-error) : "closed by the far end";

	c->conn = 0;
	if (c->is_over)
		return;
	smtp_client_lost(c->client, reason != NULL ? reason : "error");
	carry_pump(c, now_ms);
}

int
carry_message(struct carry *c, uint64_t now_ms, const struct message *m)
{
	int error = carry_jobs_message(&c->jobs, now_ms, m);

	if (error == 0)
		carry_pump(c, now_ms);
	return error;
}

uint64_t
carry_due(struct carry *c)
{
	uint64_t due_ms = smtp_client_deadline(c->client);
	struct carry_job *job = carry_jobs_first(&c->jobs);

	if (c->quit_due_ms < due_ms)
		due_ms = c->quit_due_ms;
	if (c->is_busy && job->due_ms < due_ms && !carry_is_dot_out(c))
		due_ms = job->due_ms;
	return due_ms;
}

void
carry_timer(struct carry *c, uint64_t now_ms)
{
	struct carry_job *job = carry_jobs_first(&c->jobs);

	if (c->is_over)
		return;
	/* A slow link moves bytes without ever being drained. */
	carry_note_progress(c, now_ms);
	carry_note_acked(c, now_ms);
	smtp_client_timer(c->client, now_ms);
	if (smtp_client_next(c->client) == SMTP_WANT_CLOSE ||
	    smtp_client_next(c->client) == SMTP_WANT_REPORT) {
		carry_pump(c, now_ms);
		return;
	}
	if (c->is_busy && now_ms >= job->due_ms && !carry_is_dot_out(c))
		carry_abandon(c, SMTP_TEMPORARY, CARRY_LATE);
	else if (now_ms >= c->quit_due_ms)
		smtp_client_lost(c->client, "no reply to QUIT");
	carry_pump(c, now_ms);
}

void
carry_finish(struct carry *c, uint64_t now_ms)
{
	if (c->is_over)
		return;
	carry_jobs_close(&c->jobs, c->is_busy ? 1 : 0, "shutting down");
	carry_pump(c, now_ms);
}

void
carry_stop(struct carry *c, uint64_t now_ms, const char *reason)
{
	if (c->is_over)
		return;
	c->is_stopped = true;
	carry_jobs_close(&c->jobs, c->is_busy ? 1 : 0, reason);
	if (c->is_busy && !carry_is_dot_out(c)) {
		carry_abandon(c, SMTP_UNTRIED, reason);
	} else {
		carry_abort(c);
		smtp_client_lost(c->client, reason);
	}
	carry_pump(c, now_ms);
}

bool
carry_is_established(const struct carry *c)
{
	return c->is_established;
}

bool
carry_is_ehlo_lost(const struct carry *c)
{
	struct smtp_client_end end;

	smtp_client_end(c->client, &end);
	return end.is_ehlo_lost;
}

bool
carry_is_over(const struct carry *c)
{
	return c->is_over;
}

const struct carry_end *
carry_result(const struct carry *c)
{
	CHECK(c->is_over);
	return &c->end;
}
