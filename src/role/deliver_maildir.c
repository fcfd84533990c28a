/*
 * Maildir sessions.  For each recipient: spawn -> STARTING -> SENDING (the job,
 * then the content) -> WAITING for the answer -> the next recipient; after the
 * last one the message is reported.
 *
 * A helper that ends without an answer defers its recipient: it may have moved
 * the file into place, and then the repeat replaces it (role/maildir.h).  A
 * helper that cannot be started at all ends the session as a host in trouble.
 */
#include "role/deliver_maildir.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/wire.h"
#include "role/maildir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELPER_UNSENT_MAX 65536
#define HELPER_ANSWER_MAX (4 + 1 + 4 + SMTP_ANSWER_MAX)

enum helper_state {
	HELPER_NONE,
	HELPER_STARTING,
	HELPER_SENDING,
	HELPER_WAITING
};

struct deliver_maildir {
	struct role_env *env;
	struct carry_jobs jobs;
	uint32_t job_number;
	enum helper_state state;
	role_conn conn;
	size_t row; /* of the first job: whose turn it is */
	size_t unsent_size;
	uint64_t helper_due_ms;
	struct buf in;
	struct buf out;
	bool is_over;
	struct carry_end end;
};

struct deliver_maildir *
deliver_maildir_new(struct role_env *env, role_peer queue, uint32_t session,
    uint32_t job, const char *host)
{
	struct deliver_maildir *d = mem_new(1, sizeof(*d));

	d->env = env;
	d->job_number = job;
	buf_init(&d->in, HELPER_ANSWER_MAX);
	buf_init(&d->out, MESSAGE_FRAME_MAX);
	carry_jobs_init(&d->jobs, env, queue, session, host);
	carry_jobs_ask(&d->jobs);
	return d;
}

/* Forgets the helper; ABORT if it must not get what is not sent. */
static void
helper_drop(struct deliver_maildir *d, bool is_abort)
{
	if (d->conn != 0 && is_abort)
		d->env->ops->conn_abort(d->env, d->conn);
	else if (d->conn != 0)
		d->env->ops->conn_close(d->env, d->conn);
	d->conn = 0;
	d->state = HELPER_NONE;
	buf_clear(&d->in);
	buf_clear(&d->out);
}

void
deliver_maildir_free(struct deliver_maildir *d)
{
	if (d == NULL)
		return;
	helper_drop(d, true);
	carry_jobs_fini(&d->jobs);
	buf_fini(&d->in);
	buf_fini(&d->out);
	free(d);
}

role_conn
deliver_maildir_conn(const struct deliver_maildir *d)
{
	return d->conn;
}

static void
deliver_maildir_end(
    struct deliver_maildir *d, bool is_failed, const char *answer)
{
	helper_drop(d, true);
	carry_jobs_close(&d->jobs, 0, answer);
	carry_end_set(
	    &d->end, is_failed, false, is_failed ? "4.3.0" : "2.0.0", answer);
	d->is_over = true;
}

/* The turn of the next recipient. */
static void
helper_settle(struct deliver_maildir *d, enum smtp_verdict verdict,
    const char *status, const char *answer)
{
	CHECK(d->state != HELPER_NONE);
	carry_job_set(
	    carry_jobs_first(&d->jobs), d->row, verdict, status, answer);
	helper_drop(d, d->state != HELPER_WAITING);
	d->row++;
}

/* The job in hand is left: the recipients from this one on get VERDICT. */
static void
deliver_maildir_leave(
    struct deliver_maildir *d, enum smtp_verdict verdict, const char *reason)
{
	struct carry_job *job = carry_jobs_first(&d->jobs);

	helper_drop(d, true);
	for (size_t i = d->row; i < job->row_count; i++)
		carry_job_set(job, i, verdict, "4.3.0", reason);
	d->row = 0;
	carry_jobs_report(&d->jobs, job);
}

/* Why the job must be left, or NULL. */
static const char *
deliver_maildir_trouble(struct deliver_maildir *d, uint64_t now_ms)
{
	const struct carry_job *job = carry_jobs_first(&d->jobs);

	if (d->state == HELPER_WAITING &&
	    d->env->ops->conn_unsent(d->env, d->conn) == 0)
		return NULL;
	if (job->is_damaged)
		return "451 4.3.0 the content cannot be read";
	if (now_ms >= job->due_ms)
		return "451 4.3.0 the time for this message is over";
	return NULL;
}

/* Starts the helper of the recipient whose turn it is. */
static bool
helper_start(struct deliver_maildir *d, uint64_t now_ms)
{
	d->conn = d->env->ops->spawn(d->env, d->job_number);
	if (d->conn == 0) {
		deliver_maildir_end(d, true, "the helper cannot be started");
		return false;
	}
	d->state = HELPER_STARTING;
	d->unsent_size = 0;
	d->helper_due_ms = num_add_capped(now_ms, DELIVER_HELPER_TIME_MS);
	carry_job_rewind(carry_jobs_first(&d->jobs));
	return true;
}

/* Begins what is to be done when no helper is there; false if that is nothing
   for now. */
static bool
deliver_maildir_step_idle(struct deliver_maildir *d, uint64_t now_ms)
{
	struct carry_job *job = carry_jobs_first(&d->jobs);

	if (job == NULL) {
		if (d->jobs.is_none || d->jobs.is_closed)
			deliver_maildir_end(d, false, "");
		else
			carry_jobs_ask(&d->jobs);
		return false;
	}
	if (d->row == job->row_count) {
		d->row = 0;
		carry_jobs_report(&d->jobs, job);
		carry_jobs_ask(&d->jobs);
		return true;
	}
	return helper_start(d, now_ms);
}

static void
helper_put_job(struct deliver_maildir *d)
{
	const struct carry_job *job = carry_jobs_first(&d->jobs);
	struct maildir_job frame = {
	    .id = str_from(job->id),
	    .index = job->indexes[d->row],
	    .arrival_wall_ms = job->arrival_wall_ms,
	    .sender = job->envelope.sender,
	    .recipient = job->recipients[d->row].address,
	    .content_size = job->content_size,
	};

	CHECK(maildir_job_put(&d->out, &frame) == 0);
}

/* Gives the helper more; false if it must wait for blocks, for the network or
   for the answer. */
static bool
helper_step_send(struct deliver_maildir *d)
{
	struct carry_job *job = carry_jobs_first(&d->jobs);
	struct str bytes = carry_job_content(&d->jobs, job);

	if (buf_size(&d->out) > 0 &&
	    d->env->ops->conn_send(d->env, d->conn, buf_str(&d->out)) < 0)
		return false;
	buf_clear(&d->out);
	d->unsent_size = d->env->ops->conn_unsent(d->env, d->conn);
	if (job->given_size == job->content_size) {
		d->state = HELPER_WAITING;
		return false;
	}
	if (bytes.size == 0 || d->unsent_size >= HELPER_UNSENT_MAX)
		return false;
	bytes = str_head(bytes, STORE_BLOCK);
	CHECK(maildir_content_put(&d->out, bytes) == 0);
	carry_job_given(&d->jobs, job, bytes.size);
	return true;
}

static bool
deliver_maildir_step(struct deliver_maildir *d, uint64_t now_ms)
{
	const char *reason = NULL;

	if (carry_jobs_first(&d->jobs) != NULL)
		reason = deliver_maildir_trouble(d, now_ms);
	/* A message whose last recipient is answered is only to be told. */
	if (reason != NULL && d->row < carry_jobs_first(&d->jobs)->row_count) {
		deliver_maildir_leave(d, SMTP_TEMPORARY, reason);
		carry_jobs_ask(&d->jobs);
		return true;
	}
	switch (d->state) {
	case HELPER_NONE:
		return deliver_maildir_step_idle(d, now_ms);
	case HELPER_SENDING:
		return helper_step_send(d);
	case HELPER_STARTING:
	case HELPER_WAITING:
		return false;
	}
	return false;
}

static void
deliver_maildir_pump(struct deliver_maildir *d, uint64_t now_ms)
{
	while (!d->is_over && deliver_maildir_step(d, now_ms))
		continue;
}

void
deliver_maildir_connected(struct deliver_maildir *d, uint64_t now_ms, int error)
{
	if (d->is_over || d->state != HELPER_STARTING)
		return;
	if (error < 0) {
		d->conn = 0;
		deliver_maildir_end(d, true, "the helper cannot be started");
		return;
	}
	d->state = HELPER_SENDING;
	helper_put_job(d);
	deliver_maildir_pump(d, now_ms);
}

/* The enhanced status code in "451 4.2.2 text", or the one for VERDICT. */
static void
helper_status(enum smtp_verdict verdict, struct str text, char status[12])
{
	struct str word = str_skip(text, 4);
	size_t dots = 0;

	word = str_head(word, str_find(word, ' '));
	for (size_t i = 0; i < word.size; i++)
		dots += word.data[i] == '.' ? 1 : 0;
	if (word.size >= 5 && word.size < 12 && dots == 2)
		carry_text_copy(status, 12, word);
	else if (verdict == SMTP_ACCEPTED)
		carry_text_copy(status, 12, STR("2.0.0"));
	else
		carry_text_copy(status, 12,
		    verdict == SMTP_PERMANENT ? STR("5.3.0") : STR("4.3.0"));
}

/* The helper's answer stands whole in the input. */
static void
helper_take_answer(struct deliver_maildir *d)
{
	struct wire_reader r = {.in = str_skip(buf_str(&d->in), 4)};
	uint8_t verdict = wire_get_u8(&r);
	struct str text = wire_get_str(&r, SMTP_ANSWER_MAX);
	char status[12], answer[SMTP_ANSWER_MAX + 1];

	/* 250 before the end of the content cannot be. */
	if (!wire_is_whole(&r) || verdict > SMTP_PERMANENT ||
	    (verdict == SMTP_ACCEPTED && d->state != HELPER_WAITING)) {
		helper_settle(d, SMTP_TEMPORARY, "4.3.0",
		    "451 4.3.0 helper gave no proper answer");
		return;
	}
	helper_status((enum smtp_verdict)verdict, text, status);
	carry_text_copy(answer, sizeof(answer), text);
	helper_settle(d, (enum smtp_verdict)verdict, status, answer);
}

size_t
deliver_maildir_bytes(
    struct deliver_maildir *d, uint64_t now_ms, struct str bytes)
{
	size_t need = 4;

	if (d->is_over || d->state < HELPER_SENDING)
		return bytes.size;
	if (buf_append(&d->in, str_head(bytes, buf_room(&d->in))) < 0)
		return bytes.size;
	if (buf_size(&d->in) >= 4)
		need += wire_load_u32(buf_str(&d->in).data);
	/* Too long, or with something behind it, it is not proper either. */
	if (buf_size(&d->in) > 4 &&
	    (need > HELPER_ANSWER_MAX || buf_size(&d->in) >= need)) {
		helper_take_answer(d);
		deliver_maildir_pump(d, now_ms);
	}
	return bytes.size;
}

void
deliver_maildir_drained(struct deliver_maildir *d, uint64_t now_ms)
{
	if (d->is_over || d->state < HELPER_SENDING)
		return;
	d->helper_due_ms = num_add_capped(now_ms, DELIVER_HELPER_TIME_MS);
	deliver_maildir_pump(d, now_ms);
}

void
deliver_maildir_closed(struct deliver_maildir *d, uint64_t now_ms)
{
	d->conn = 0;
	if (d->is_over || d->state == HELPER_NONE)
		return;
	helper_settle(d, SMTP_TEMPORARY, "4.3.0", "451 4.3.0 helper ended");
	deliver_maildir_pump(d, now_ms);
}

int
deliver_maildir_message(
    struct deliver_maildir *d, uint64_t now_ms, const struct message *m)
{
	int error = carry_jobs_message(&d->jobs, now_ms, m);

	if (error == 0)
		deliver_maildir_pump(d, now_ms);
	return error;
}

uint64_t
deliver_maildir_due(struct deliver_maildir *d)
{
	const struct carry_job *job = carry_jobs_first(&d->jobs);
	bool is_sent = d->state == HELPER_WAITING &&
	               d->env->ops->conn_unsent(d->env, d->conn) == 0;

	if (d->state == HELPER_NONE)
		return UINT64_MAX;
	if (!is_sent && job->due_ms < d->helper_due_ms)
		return job->due_ms;
	return d->helper_due_ms;
}

void
deliver_maildir_timer(struct deliver_maildir *d, uint64_t now_ms)
{
	size_t unsent;

	if (d->is_over || d->state == HELPER_NONE)
		return;
	unsent = d->env->ops->conn_unsent(d->env, d->conn);
	if (unsent < d->unsent_size) {
		d->unsent_size = unsent;
		d->helper_due_ms =
		    num_add_capped(now_ms, DELIVER_HELPER_TIME_MS);
	}
	if (now_ms >= d->helper_due_ms)
		helper_settle(
		    d, SMTP_TEMPORARY, "4.3.0", "451 4.3.0 helper timed out");
	deliver_maildir_pump(d, now_ms);
}

void
deliver_maildir_finish(struct deliver_maildir *d, uint64_t now_ms)
{
	if (d->is_over)
		return;
	carry_jobs_close(
	    &d->jobs, d->state != HELPER_NONE ? 1 : 0, "shutting down");
	deliver_maildir_pump(d, now_ms);
}

void
deliver_maildir_stop(
    struct deliver_maildir *d, uint64_t now_ms, const char *reason)
{
	if (d->is_over)
		return;
	if (carry_jobs_first(&d->jobs) != NULL)
		deliver_maildir_leave(d, SMTP_UNTRIED, reason);
	deliver_maildir_end(d, false, reason);
}

bool
deliver_maildir_is_over(const struct deliver_maildir *d)
{
	return d->is_over;
}

const struct carry_end *
deliver_maildir_result(const struct deliver_maildir *d)
{
	CHECK(d->is_over);
	return &d->end;
}
