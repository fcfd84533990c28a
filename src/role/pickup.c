/*
 * The pickup role.
 *
 *   a file is due, no stream --ask_stream()--> accepted() --> greeting --> its
 *   transactions, and those of all that are due --> QUIT --> no stream
 *
 * Promises: one file at a time; a stream without work is closed; what fails is
 * tried again with a growing wait, the stream as well as each file.
 *
 * Invariants: (1) there is a client exactly while there is a stream; (2) a
 * transaction is the client's (is_sending) only with a file in hand.
 */
#include "role/pickup.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/roles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICKUP_UNSENT_MAX 65536

/* True if a failure is the file's own, which no wait mends. */
static bool
pickup_is_bad(int error)
{
	return error == -EBADMSG || error == -EPERM || error == -EACCES ||
	       error == -ELOOP || error == -EINVAL;
}

static const char *
pickup_reason(int error)
{
	const char *text = strerrordesc_np(-error);

	if (error == -EBADMSG)
		return "not whole";
	if (error == -EPERM)
		return "others may have written it";
	if (error == -EINVAL)
		return "not a regular file";
	return text != NULL ? text : "error";
}

static void
pickup_defer(struct pickup *p, struct pickup_file *file, const char *reason)
{
	uint64_t wait_ms = pickup_list_defer(&p->list, file, p->now_ms);

	log_event(LOG_NOTE, "drop-deferred", "",
	    "file=%s wait_ms=%llu reason=%s", file->name,
	    (unsigned long long)wait_ms, reason);
}

/* FILE cannot be read. */
static void
pickup_fail(struct pickup *p, struct pickup_file *file, uint32_t uid, int error)
{
	/* Somebody has taken it away. */
	if (error == -ENOENT)
		pickup_list_forget(&p->list, file);
	else if (!pickup_is_bad(error))
		pickup_defer(p, file, pickup_reason(error));
	else if (pickup_list_set_aside(p->list.os, file->name, uid,
		     error == -ELOOP || error == -EINVAL,
		     pickup_reason(error)) == 0)
		pickup_list_forget(&p->list, file);
	else
		(void)pickup_list_defer(&p->list, file, p->now_ms);
}

/* The first file that is due and can be read, or NULL. */
static struct pickup_job *
pickup_take(struct pickup *p)
{
	struct pickup_file *file;
	struct pickup_job *job;
	int error;

	while ((file = pickup_list_first(&p->list, p->now_ms)) != NULL) {
		error = pickup_job_new(p->list.os, file, &job);
		if (error == 0)
			return job;
		pickup_fail(p, file, UINT32_MAX, error);
	}
	return NULL;
}

/* It is settled: 0, or -errno if its name stays. */
static int
pickup_remove(struct pickup *p, const struct pickup_job *job)
{
	char path[PICKUP_PATH_SIZE];
	int error;

	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", job->file->name);
	error = os_unlink(p->list.os, path);
	if (error < 0 && error != -ENOENT)
		return error;
	log_event(LOG_NOTE, "picked-up", "",
	    "file=%s uid=%u nrcpt=%zu returned=%s answer=%s", job->file->name,
	    job->uid, job->recipient_count, job->is_returned ? "yes" : "no",
	    job->said[0] != '\0' ? job->said : job->reason);
	return 0;
}

/* Puts the file in hand away, as its step says. */
static void
pickup_finish(struct pickup *p)
{
	struct pickup_job *job = p->job;
	struct pickup_file *file = job->file;
	int error = -EAGAIN;

	CHECK(!p->is_sending);
	if (job->step == PICKUP_REMOVE)
		error = pickup_remove(p, job);
	else if (job->step == PICKUP_DISCARD)
		error = pickup_list_set_aside(
		    p->list.os, file->name, job->uid, false, job->reason);
	if (error == 0) {
		pickup_list_forget(&p->list, file);
	} else {
		pickup_job_save(job);
		pickup_defer(p, file,
		    job->step == PICKUP_KEEP ? job->reason
					     : pickup_reason(error));
	}
	pickup_job_free(job);
	p->job = NULL;
}

/* Looks at what is next for the file in hand: true if that is a transaction,
   else it is put away. */
static bool
pickup_advance(struct pickup *p)
{
	char id[NEWID_SIZE + 1];
	enum pickup_step step;

	pickup_job_expire(p->job, p->conf, p->env->ops->wall_ms(p->env));
	step = pickup_job_next(p->job, p->conf);
	if (step == PICKUP_SEND)
		return true;
	if (step == PICKUP_RETURN) {
		newid_next(&p->newid, id);
		if (buf_size(&p->job->notice) > 0 ||
		    pickup_notice_make(
			p->job, p->conf, id, p->env->ops->wall_ms(p->env)) == 0)
			return true;
		p->job->is_discarded = true;
		(void)pickup_job_next(p->job, p->conf);
	}
	pickup_finish(p);
	return false;
}

/* Gives the idle client a transaction, or QUIT. */
static void
pickup_step_job(struct pickup *p)
{
	int error;

	p->ask_wait_ms = 0;
	if (p->job == NULL && !p->is_stopping)
		p->job = pickup_take(p);
	if (p->job == NULL || p->is_stopping) {
		smtp_client_quit(p->client, p->now_ms);
		return;
	}
	if (!pickup_advance(p))
		return;
	error = pickup_job_begin(p->job, p->client, p->now_ms);
	if (error == 0) {
		p->is_sending = true;
		return;
	}
	pickup_fail(p, p->job->file, p->job->uid, error);
	pickup_job_free(p->job);
	p->job = NULL;
}

/* Resets the stream: no dot of what was given must get through. */
static void
pickup_abort(struct pickup *p)
{
	buf_clear(smtp_client_output(p->client));
	if (p->conn != 0)
		p->env->ops->conn_abort(p->env, p->conn);
	p->conn = 0;
}

static void
pickup_step_content(struct pickup *p)
{
	int error = pickup_job_give(p->job, p->client, p->now_ms);

	if (error == 0)
		return;
	/* It was right when it was opened: the next look at it will tell. */
	smtp_client_abandon(p->client, pickup_reason(error));
	pickup_abort(p);
}

static void
pickup_step_report(struct pickup *p)
{
	CHECK(p->is_sending);
	pickup_job_report(p->job, p->client);
	smtp_client_reported(p->client);
	p->is_sending = false;
}

static void
pickup_step_close(struct pickup *p)
{
	CHECK(!p->is_sending);
	/* It broke off: the rest must not go out behind the result. */
	if (p->conn != 0 && p->env->ops->conn_unsent(p->env, p->conn) > 0)
		p->env->ops->conn_abort(p->env, p->conn);
	else if (p->conn != 0)
		p->env->ops->conn_close(p->env, p->conn);
	p->conn = 0;
	smtp_client_free(p->client);
	p->client = NULL;
	/* What the end of the stream has settled, or put off. */
	if (p->job != NULL)
		(void)pickup_advance(p);
}

static void
pickup_flush(struct pickup *p)
{
	struct buf *out = smtp_client_output(p->client);

	while (p->conn != 0 && buf_size(out) > 0 &&
	       p->env->ops->conn_unsent(p->env, p->conn) < PICKUP_UNSENT_MAX) {
		struct str piece = str_head(buf_str(out), PICKUP_UNSENT_MAX);

		if (p->env->ops->conn_send(p->env, p->conn, piece) < 0)
			break;
		buf_consume(out, piece.size);
	}
}

/* Does one thing that the client wants; false if it must wait. */
static bool
pickup_step(struct pickup *p)
{
	switch (smtp_client_next(p->client)) {
	case SMTP_WANT_NOTHING:
		return false;
	case SMTP_WANT_JOB:
		pickup_step_job(p);
		return true;
	case SMTP_WANT_CONTENT:
		if (smtp_client_content_room(p->client) == 0)
			return false;
		pickup_step_content(p);
		return true;
	case SMTP_WANT_REPORT:
		pickup_step_report(p);
		return true;
	case SMTP_WANT_CLOSE:
		pickup_step_close(p);
		return false;
	}
	return false;
}

static void
pickup_scan(struct pickup *p)
{
	int error;

	if (p->is_stopping || p->now_ms < p->scan_due_ms)
		return;
	error = pickup_list_scan(&p->list, p->now_ms);
	if (error < 0)
		log_event(LOG_ERROR, "drop-failed", "", "error=%s",
		    pickup_reason(error));
	p->scanned_ms = p->now_ms;
	p->scan_due_ms = p->now_ms + PICKUP_SCAN_MS;
	if (p->now_ms < p->clean_due_ms)
		return;
	pickup_list_clean(&p->list, p->env->ops->wall_ms(p->env));
	pickup_list_tell_bad(&p->list);
	p->clean_due_ms = p->now_ms + PICKUP_CLEAN_MS;
}

/* True if a stream has something to do. */
static bool
pickup_has_work(const struct pickup *p)
{
	return !p->is_stopping && (p->job != NULL || pickup_list_first(&p->list,
							 p->now_ms) != NULL);
}

static void
pickup_ask(struct pickup *p)
{
	if (p->client != NULL || p->now_ms < p->ask_due_ms ||
	    !pickup_has_work(p))
		return;
	p->ask_wait_ms =
	    p->ask_wait_ms == 0 ? PICKUP_RETRY_MS : p->ask_wait_ms * 2;
	if (p->ask_wait_ms > PICKUP_ASK_MAX_MS)
		p->ask_wait_ms = PICKUP_ASK_MAX_MS;
	p->ask_due_ms = p->now_ms + p->ask_wait_ms;
	p->env->ops->ask_stream(p->env, ROLE_RECEIVE);
}

/* When there is something to do without an event. */
static uint64_t
pickup_due(const struct pickup *p)
{
	uint64_t due_ms = p->scan_due_ms, other_ms;

	if (p->client != NULL) {
		other_ms = smtp_client_deadline(p->client);
	} else {
		other_ms =
		    p->job != NULL ? p->now_ms : pickup_list_due(&p->list);
		if (other_ms < p->ask_due_ms)
			other_ms = p->ask_due_ms;
	}
	if (p->is_stopping)
		return p->client != NULL ? other_ms : UINT64_MAX;
	return other_ms < due_ms ? other_ms : due_ms;
}

/* Ends every handler. */
static void
pickup_pump(struct pickup *p)
{
	pickup_scan(p);
	while (p->client != NULL && pickup_step(p))
		pickup_flush(p);
	if (p->client != NULL)
		pickup_flush(p);
	/* There was no room for all names: now there is. */
	if (p->list.is_cut && p->list.is_gone &&
	    pickup_list_first(&p->list, p->now_ms) == NULL &&
	    p->scan_due_ms > p->scanned_ms + PICKUP_NOTICE_MS)
		p->scan_due_ms = p->scanned_ms + PICKUP_NOTICE_MS;
	pickup_ask(p);
	if (p->is_stopping && p->client == NULL && !p->is_stopped) {
		p->is_stopped = true;
		p->env->ops->stop(p->env);
	}
	p->env->ops->wake_at(p->env, pickup_due(p));
}

static void
pickup_accepted(void *role, uint64_t now_ms, role_conn conn, size_t listener,
    const struct conf_address *from)
{
	struct pickup *p = role;
	struct smtp_client_options options = {
	    .hostname = p->conf->hostname,
	    .greeting_timeout_ms = p->conf->greeting_timeout_ms,
	    .data_timeout_ms = p->conf->data_timeout_ms,
	    .block_timeout_ms = p->conf->block_timeout_ms,
	    .dot_timeout_ms = p->conf->dot_timeout_ms,
	};

	p->now_ms = now_ms;
	/* There is one from each receive process; one is enough. */
	if (p->client != NULL || !pickup_has_work(p)) {
		p->env->ops->conn_close(p->env, conn);
		return;
	}
	p->conn = conn;
	p->client = smtp_client_new(&options, now_ms);
	pickup_pump(p);
}

static size_t
pickup_bytes(void *role, uint64_t now_ms, role_conn conn, struct str bytes)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	if (p->client == NULL || conn != p->conn)
		return bytes.size;
	(void)smtp_client_feed(p->client, bytes, now_ms);
	pickup_pump(p);
	return bytes.size;
}

static void
pickup_drained(void *role, uint64_t now_ms, role_conn conn)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	if (p->client == NULL || conn != p->conn)
		return;
	smtp_client_progress(p->client, now_ms);
	pickup_pump(p);
}

static void
pickup_closed(void *role, uint64_t now_ms, role_conn conn, int error)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	if (p->client == NULL || conn != p->conn)
		return;
	p->conn = 0;
	smtp_client_lost(p->client, "the receive role is gone");
	pickup_pump(p);
}

static void
pickup_timer(void *role, uint64_t now_ms)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	if (p->client != NULL)
		smtp_client_timer(p->client, now_ms);
	pickup_pump(p);
}

static void
pickup_noticed(void *role, uint64_t now_ms)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	/* A flood of names is looked at a few times a second. */
	p->scan_due_ms = p->scanned_ms + PICKUP_NOTICE_MS;
	pickup_pump(p);
}

static void
pickup_shutdown(void *role, uint64_t now_ms)
{
	struct pickup *p = role;

	p->now_ms = now_ms;
	p->is_stopping = true;
	pickup_pump(p);
}

void *
role_pickup_new(struct role_env *env, const struct conf *conf, struct os *os,
    uint64_t now_ms)
{
	struct pickup *p = mem_new(1, sizeof(*p));
	unsigned char random[NEWID_RANDOM];

	p->env = env;
	p->conf = conf;
	p->now_ms = now_ms;
	pickup_list_init(&p->list, os);
	env->ops->random(env, random, sizeof(random));
	newid_init(&p->newid, random);
	p->scan_due_ms = now_ms;
	env->ops->wake_at(env, now_ms);
	return p;
}

void
role_pickup_free(void *role)
{
	struct pickup *p = role;

	if (p == NULL)
		return;
	smtp_client_free(p->client);
	pickup_job_free(p->job);
	pickup_list_fini(&p->list);
	free(p);
}

const struct role_ops role_pickup_ops = {
    .kind = ROLE_PICKUP,
    .accepted = pickup_accepted,
    .bytes = pickup_bytes,
    .drained = pickup_drained,
    .closed = pickup_closed,
    .timer = pickup_timer,
    .noticed = pickup_noticed,
    .shutdown = pickup_shutdown,
};
