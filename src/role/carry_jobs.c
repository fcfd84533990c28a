/*
 * Messages in hand.  Invariants: count + asked_count <= CARRY_WINDOW; of each
 * job given_size <= content_size, stale_count + asked_count - arrived_count <=
 * CARRY_BLOCKS_MAX, and blocks holds what arrived and was not given.
 *
 * Promises: content that does not match its checksum or its place is never
 * given to anybody; a job is told of exactly once.  A frame that the queue
 * role does not get any more (-EPIPE) is not missed: peer_down() follows.
 */
#include "role/carry_jobs.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Strings and arrays of one job: 100 recipients of at most 900 bytes each, and
   one block of content. */
#define CARRY_ARENA_MAX (512 * 1024)

static void
carry_send(struct role_env *env, role_peer queue, const struct message *message)
{
	struct buf frame;

	buf_init(&frame, MESSAGE_FRAME_MAX);
	CHECK(message_encode(&frame, message) == 0);
	(void)env->ops->send(env, queue, buf_str(&frame));
	buf_fini(&frame);
}

void
carry_text_copy(char *to, size_t size, struct str text)
{
	size_t n = text.size < size - 1 ? text.size : size - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f
		            ? text.data[i]
		            : '?';
	to[n] = '\0';
}

void
carry_end_set(struct carry_end *end, bool is_failed, bool is_permanent,
    const char *status, const char *answer)
{
	end->is_failed = is_failed;
	end->is_permanent = is_permanent;
	carry_text_copy(end->status, sizeof(end->status), str_from(status));
	carry_text_copy(end->answer, sizeof(end->answer), str_from(answer));
}

void
carry_session_end(struct role_env *env, role_peer queue, uint32_t session,
    const struct carry_end *end)
{
	struct message m = {.type = MESSAGE_SESSION_END};

	m.u.session_end.session = session;
	m.u.session_end.is_failed = end->is_failed;
	m.u.session_end.is_permanent = end->is_permanent;
	m.u.session_end.status = str_from(end->status);
	m.u.session_end.answer =
	    str_head(str_from(end->answer), SMTP_ANSWER_MAX);
	carry_send(env, queue, &m);
}

void
carry_trace(
    struct role_env *env, role_peer queue, uint32_t session, struct str text)
{
	struct message m = {.type = MESSAGE_TRACE, .u.trace = {session, text}};

	carry_send(env, queue, &m);
}

void
carry_host_put(char text[CARRY_HOST_MAX], struct str host)
{
	size_t size = str_find(host, '[');

	carry_text_copy(
	    text, CARRY_HOST_MAX, size > 0 ? str_head(host, size) : host);
}

void
carry_jobs_init(struct carry_jobs *jobs, struct role_env *env, role_peer queue,
    uint32_t session, const char *host)
{
	*jobs =
	    (struct carry_jobs){.env = env, .queue = queue, .session = session};
	carry_text_copy(jobs->host, sizeof(jobs->host), str_from(host));
}

static void
carry_job_free(struct carry_job *job)
{
	buf_fini(&job->blocks);
	arena_fini(&job->arena);
	free(job->recipients);
	free(job->indexes);
	free(job->results);
	free(job);
}

void
carry_jobs_fini(struct carry_jobs *jobs)
{
	struct carry_job *job, *next;

	DL_FOREACH_SAFE(jobs->list, job, next)
	{
		DL_DELETE(jobs->list, job);
		carry_job_free(job);
	}
	jobs->count = 0;
}

void
carry_jobs_ask(struct carry_jobs *jobs)
{
	struct message m = {.type = MESSAGE_SESSION_NEXT};
	size_t taken = jobs->count + jobs->asked_count;

	if (jobs->is_none || jobs->is_closed || taken == CARRY_WINDOW)
		return;
	CHECK(taken < CARRY_WINDOW);
	m.u.session_next.session = jobs->session;
	m.u.session_next.want = (uint32_t)(CARRY_WINDOW - taken);
	jobs->asked_count += m.u.session_next.want;
	carry_send(jobs->env, jobs->queue, &m);
}

/* Copies what the frame says of the message into JOB: 0 or -ENOBUFS. */
static int
carry_job_copy(struct carry_job *job, const struct message *m)
{
	int error =
	    mail_envelope_copy(&job->arena, &m->u.job.envelope, &job->envelope);

	for (size_t i = 0; error == 0 && i < job->row_count; i++) {
		job->indexes[i] = m->u.job.rows[i].index;
		error = mail_recipient_copy(&job->arena,
		    &m->u.job.rows[i].recipient, &job->recipients[i]);
	}
	if (error < 0 || !job->is_inline)
		return error;
	job->content = arena_copy(&job->arena, m->u.job.content);
	return job->content.data != NULL ? 0 : -ENOBUFS;
}

static bool
carry_job_is_possible(const struct message *m)
{
	struct str content = m->u.job.content;

	return store_id_is_valid(m->u.job.id) && m->u.job.row_count > 0 &&
	       m->u.job.row_count <= STORE_LEASE_ROWS_MAX &&
	       content.size <= STORE_BLOCK &&
	       (content.size == 0 || content.size == m->u.job.content_size);
}

static int
carry_jobs_add(
    struct carry_jobs *jobs, uint64_t now_ms, const struct message *m)
{
	struct carry_job *job;

	/* A message may come behind JOB_NONE, for an ask that crossed it. */
	if ((jobs->asked_count == 0 && !jobs->is_none) ||
	    !carry_job_is_possible(m))
		return -EPROTO;
	if (jobs->asked_count > 0)
		jobs->asked_count--;
	job = mem_new(1, sizeof(*job));
	arena_init(&job->arena, CARRY_ARENA_MAX);
	buf_init(&job->blocks, (size_t)CARRY_BLOCKS_MAX * STORE_BLOCK);
	job->lease = m->u.job.lease;
	job->due_ms = num_add_capped(now_ms, m->u.job.time_ms);
	memcpy(job->id, m->u.job.id.data, m->u.job.id.size);
	job->arrival_wall_ms = m->u.job.arrival_wall_ms;
	job->row_count = m->u.job.row_count;
	job->recipients = mem_new(job->row_count, sizeof(job->recipients[0]));
	job->indexes = mem_new(job->row_count, sizeof(job->indexes[0]));
	job->results = mem_new(job->row_count, sizeof(job->results[0]));
	job->content_size = m->u.job.content_size;
	job->is_inline = m->u.job.content.size == m->u.job.content_size;
	if (carry_job_copy(job, m) < 0) {
		carry_job_free(job);
		return -EPROTO;
	}
	for (size_t i = 0; i < job->row_count; i++)
		carry_job_set(job, i, SMTP_UNTRIED, "4.3.2", "not tried");
	DL_APPEND(jobs->list, job);
	jobs->count++;
	if (jobs->is_closed || jobs->count > CARRY_WINDOW)
		carry_jobs_report(jobs, job);
	return 0;
}

/* True if a block is what was asked for next. */
static bool
carry_block_is_good(const struct carry_job *job, const struct message *m)
{
	uint64_t start = job->arrived_count * STORE_BLOCK, size;

	if (m->u.block.is_damaged || m->u.block.index != job->arrived_count)
		return false;
	CHECK(start < job->content_size);
	size = job->content_size - start;
	if (size > STORE_BLOCK)
		size = STORE_BLOCK;
	return m->u.block.bytes.size == size &&
	       crc32c(0, m->u.block.bytes) == m->u.block.crc32c;
}

static int
carry_jobs_block(struct carry_jobs *jobs, const struct message *m)
{
	struct carry_job *job;

	DL_SEARCH_SCALAR(jobs->list, job, lease, m->u.block.lease);
	/* The job ended while the block was on its way. */
	if (job == NULL)
		return 0;
	if (job->stale_count > 0) {
		job->stale_count--;
		return 0;
	}
	if (job->arrived_count == job->asked_count)
		return -EPROTO;
	if (!carry_block_is_good(job, m)) {
		job->is_damaged = true;
		log_event(LOG_WARN, "block-damaged", job->id,
		    "session=%u index=%llu", jobs->session,
		    (unsigned long long)job->arrived_count);
	}
	job->arrived_count++;
	if (!job->is_damaged && buf_append(&job->blocks, m->u.block.bytes) < 0)
		job->is_damaged = true;
	return 0;
}

int
carry_jobs_message(
    struct carry_jobs *jobs, uint64_t now_ms, const struct message *m)
{
	if (m->type == MESSAGE_JOB)
		return carry_jobs_add(jobs, now_ms, m);
	if (m->type == MESSAGE_BLOCK)
		return carry_jobs_block(jobs, m);
	if (m->type != MESSAGE_JOB_NONE)
		return -EPROTO;
	jobs->is_none = true;
	jobs->asked_count = 0;
	return 0;
}

void
carry_jobs_close(struct carry_jobs *jobs, size_t kept_count, const char *reason)
{
	struct carry_job *job, *next;
	size_t i = 0;

	jobs->is_closed = true;
	DL_FOREACH_SAFE(jobs->list, job, next)
	{
		if (i++ < kept_count)
			continue;
		for (size_t row = 0; row < job->row_count; row++)
			carry_job_set(job, row, SMTP_UNTRIED, "4.3.2", reason);
		carry_jobs_report(jobs, job);
	}
}

struct carry_job *
carry_jobs_first(struct carry_jobs *jobs)
{
	return jobs->list;
}

static void
carry_result_log(const struct carry_jobs *jobs, const struct carry_job *job,
    const struct mail_recipient *recipient,
    const struct smtp_client_result *result)
{
	static const struct {
		enum log_level level;
		const char *event;
	} events[] = {
	    [SMTP_ACCEPTED] = {LOG_NOTE, "delivered"},
	    [SMTP_TEMPORARY] = {LOG_NOTE, "deferred"},
	    [SMTP_PERMANENT] = {LOG_NOTE, "failed"},
	    [SMTP_UNTRIED] = {LOG_DETAIL, "untried"},
	};

	log_event(events[result->verdict].level, events[result->verdict].event,
	    job->id, "to=%.*s host=%s answer=%s", STR_ARG(recipient->address),
	    jobs->host, result->answer);
}

void
carry_jobs_report(struct carry_jobs *jobs, struct carry_job *job)
{
	struct message m = {.type = MESSAGE_JOB_RESULT};
	struct message_job_result *results =
	    mem_new(job->row_count, sizeof(results[0]));

	for (size_t i = 0; i < job->row_count; i++) {
		results[i].index = job->indexes[i];
		results[i].verdict = job->results[i].verdict;
		results[i].status = str_from(job->results[i].status);
		results[i].answer = str_from(job->results[i].answer);
		carry_result_log(
		    jobs, job, &job->recipients[i], &job->results[i]);
	}
	m.u.job_result.session = jobs->session;
	m.u.job_result.lease = job->lease;
	if (jobs->is_mta)
		m.u.job_result.host =
		    str_head(str_from(jobs->host), STORE_DESTINATION_MAX);
	m.u.job_result.is_relayed = jobs->is_relayed;
	m.u.job_result.results = results;
	m.u.job_result.result_count = job->row_count;
	carry_send(jobs->env, jobs->queue, &m);
	free(results);
	DL_DELETE(jobs->list, job);
	jobs->count--;
	carry_job_free(job);
}

void
carry_job_set(struct carry_job *job, size_t row, enum smtp_verdict verdict,
    const char *status, const char *answer)
{
	struct smtp_client_result *result = &job->results[row];

	CHECK(row < job->row_count);
	*result = (struct smtp_client_result){.verdict = verdict};
	carry_text_copy(
	    result->status, sizeof(result->status), str_from(status));
	carry_text_copy(
	    result->answer, sizeof(result->answer), str_from(answer));
}

/* Asks for blocks as long as two more may be on their way or lie here. */
static void
carry_job_ask_blocks(struct carry_jobs *jobs, struct carry_job *job)
{
	struct message m = {.type = MESSAGE_BLOCK_WANT};
	uint64_t total = job->content_size / STORE_BLOCK +
	                 (job->content_size % STORE_BLOCK != 0);

	m.u.block_want.session = jobs->session;
	m.u.block_want.lease = job->lease;
	while (job->asked_count < total && !job->is_damaged &&
	       job->stale_count + (job->asked_count - job->arrived_count) <
		   CARRY_BLOCKS_MAX &&
	       (job->asked_count - job->arrived_count + 1) * STORE_BLOCK <=
		   buf_room(&job->blocks)) {
		m.u.block_want.index = job->asked_count++;
		carry_send(jobs->env, jobs->queue, &m);
	}
}

struct str
carry_job_content(struct carry_jobs *jobs, struct carry_job *job)
{
	if (job->is_inline)
		return str_skip(job->content, (size_t)job->given_size);
	carry_job_ask_blocks(jobs, job);
	return buf_str(&job->blocks);
}

void
carry_job_given(struct carry_jobs *jobs, struct carry_job *job, size_t size)
{
	job->given_size += size;
	CHECK(job->given_size <= job->content_size);
	if (job->is_inline)
		return;
	buf_consume(&job->blocks, size);
	carry_job_ask_blocks(jobs, job);
}

void
carry_job_rewind(struct carry_job *job)
{
	job->stale_count += (size_t)(job->asked_count - job->arrived_count);
	job->asked_count = job->arrived_count = 0;
	job->given_size = 0;
	buf_clear(&job->blocks);
	CHECK(job->stale_count <= CARRY_BLOCKS_MAX);
}
