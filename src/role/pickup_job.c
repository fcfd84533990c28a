/*
 * One file and its recipients.
 *
 *   OPEN --2xx to the dot--> TAKEN      --5xx--> REFUSED      --4xx--> LATER
 *
 * Promises: no final dot is given before the sum of the file was found right a
 * second time; who was TAKEN is not tried again while this process lives.
 */
#include "base/check.h"
#include "base/mem.h"
#include "role/pickup.h"
#include "smtp/command.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
job_take_mail(struct pickup_job *job, struct str text)
{
	struct smtp_command_mail mail;
	struct smtp_reply reply;

	if (smtp_command_parse_mail(text, UINT64_MAX, &mail, &reply) < 0)
		return -EBADMSG;
	return mail_envelope_copy(&job->arena, &mail.envelope, &job->envelope);
}

static int
job_take_rcpt(struct pickup_job *job, struct str text)
{
	struct smtp_command_rcpt rcpt;
	struct smtp_reply reply;
	size_t at = job->recipient_count;

	if (at == DROP_LINES_MAX ||
	    smtp_command_parse_rcpt(
		text, job->envelope.is_smtputf8, &rcpt, &reply) < 0)
		return -EBADMSG;
	if ((at & (at - 1)) == 0)
		job->recipients = mem_resize(job->recipients,
		    at > 0 ? at * 2 : 1, sizeof(job->recipients[0]));
	job->recipient_count++;
	return mail_recipient_copy(
	    &job->arena, &rcpt.recipient, &job->recipients[at]);
}

/* Reads all of the file, and keeps its envelope. */
static int
job_read(struct pickup_job *job)
{
	struct drop_item item = {.kind = DROP_MORE};
	int error = 0;

	while (error == 0 && item.kind != DROP_END) {
		error = pickup_reader_next(&job->reader, &item);
		if (error == 0 && item.kind == DROP_MAIL)
			error = job_take_mail(job, item.text);
		else if (error == 0 && item.kind == DROP_RCPT)
			error = job_take_rcpt(job, item.text);
	}
	if (error == 0 && job->recipient_count == 0)
		error = -EBADMSG;
	if (error == 0)
		job->content_size = drop_reader_content_size(&job->reader.drop);
	/* An envelope without room is no envelope of ours. */
	return error == -ENOBUFS ? -EBADMSG : error;
}

static void
job_prepare(struct pickup_job *job)
{
	const struct pickup_file *file = job->file;
	size_t count = job->recipient_count;

	job->rcpts = mem_new(count, sizeof(job->rcpts[0]));
	/* One more, for the notice. */
	job->batch = mem_new(count + 1, sizeof(job->batch[0]));
	job->batch_rcpts = mem_new(count, sizeof(job->batch_rcpts[0]));
	for (size_t i = 0; i < count; i++)
		if (file->done_size == count && file->is_done[i])
			job->rcpts[i].fate = PICKUP_TAKEN;
}

int
pickup_job_new(
    struct os *os, struct pickup_file *file, struct pickup_job **job_out)
{
	struct pickup_job *job = mem_new(1, sizeof(*job));
	int error;

	job->file = file;
	arena_init(&job->arena, PICKUP_ARENA_MAX);
	buf_init(&job->notice, 4 * PICKUP_RETURN_MAX + PICKUP_ARENA_MAX);
	error = pickup_reader_open(&job->reader, os, file->name, &job->uid);
	if (error == 0)
		error = job_read(job);
	if (error < 0) {
		pickup_job_free(job);
		return error;
	}
	job_prepare(job);
	*job_out = job;
	return 0;
}

void
pickup_job_free(struct pickup_job *job)
{
	if (job == NULL)
		return;
	if (job->reader.os != NULL)
		pickup_reader_close(&job->reader);
	free(job->recipients);
	free(job->rcpts);
	free(job->batch);
	free(job->batch_rcpts);
	buf_fini(&job->notice);
	arena_fini(&job->arena);
	free(job);
}

static size_t
job_count(const struct pickup_job *job, enum pickup_fate fate)
{
	size_t count = 0;

	for (size_t i = 0; i < job->recipient_count; i++)
		count += job->rcpts[i].fate == fate;
	return count;
}

/* Those that are tried together: as many as a transaction may have. */
static void
job_fill_batch(struct pickup_job *job, const struct conf *conf)
{
	uint64_t max = conf->recipients_max < STORE_RECIPIENTS_MAX
	                   ? conf->recipients_max
	                   : STORE_RECIPIENTS_MAX;

	job->batch_count = 0;
	for (size_t i = 0; i < job->recipient_count; i++) {
		if (job->rcpts[i].fate != PICKUP_OPEN ||
		    job->batch_count >= max)
			continue;
		job->batch[job->batch_count] = job->recipients[i];
		job->batch_rcpts[job->batch_count++] = i;
	}
}

static enum pickup_step
job_decide(struct pickup_job *job)
{
	if (job_count(job, PICKUP_OPEN) > 0)
		return PICKUP_SEND;
	if (job_count(job, PICKUP_LATER) > 0)
		return PICKUP_KEEP;
	if (job->is_returned || !pickup_notice_is_wanted(job))
		return PICKUP_REMOVE;
	if (job->is_discarded || job->envelope.sender.size == 0)
		return PICKUP_DISCARD;
	return PICKUP_RETURN;
}

void
pickup_job_expire(
    struct pickup_job *job, const struct conf *conf, uint64_t wall_ms)
{
	char oldest[DROP_NAME_SIZE];

	/* Names in order are times in order. */
	drop_name_format(
	    wall_ms > conf->expire_ms ? wall_ms - conf->expire_ms : 0, 0,
	    oldest);
	/* After a long rest of the daemon it is not over with the first no.  A
	   notice that is put off does not come here again. */
	if (job->is_expired || job->file->retry_ms < PICKUP_RETRY_MAX_MS ||
	    memcmp(job->file->name, oldest, DROP_NAME_SIZE) >= 0 ||
	    job_count(job, PICKUP_OPEN) > 0)
		return;
	job->is_expired = true;
	for (size_t i = 0; i < job->recipient_count; i++) {
		if (job->rcpts[i].fate != PICKUP_LATER)
			continue;
		job->rcpts[i].fate = PICKUP_REFUSED;
		/* RFC 3463 3.5: the time for the delivery is over. */
		snprintf(job->rcpts[i].status, sizeof(job->rcpts[i].status),
		    "4.4.7");
	}
}

enum pickup_step
pickup_job_next(struct pickup_job *job, const struct conf *conf)
{
	job->step = job_decide(job);
	if (job->step == PICKUP_SEND)
		job_fill_batch(job, conf);
	return job->step;
}

int
pickup_job_begin(
    struct pickup_job *job, struct smtp_client *client, uint64_t now_ms)
{
	int error = 0;

	job->given_size = 0;
	job->piece = STR("");
	smtp_client_set_uid(client, job->uid);
	if (job->step == PICKUP_RETURN) {
		job->batch[0] =
		    (struct mail_recipient){.address = job->envelope.sender,
			.orcpt = STR(""),
			.notify = MAIL_NOTIFY_NEVER};
		smtp_client_job(client, &job->notice_envelope, job->batch, 1,
		    buf_size(&job->notice), now_ms);
		return 0;
	}
	CHECK(job->step == PICKUP_SEND && job->batch_count > 0);
	error = pickup_reader_rewind(&job->reader);
	if (error == 0)
		smtp_client_job(client, &job->envelope, job->batch,
		    job->batch_count, job->content_size, now_ms);
	return error;
}

/* The next piece of the file's content; the end must be a right one. */
static int
job_read_piece(struct pickup_job *job)
{
	struct drop_item item;
	int error;

	do
		error = pickup_reader_next(&job->reader, &item);
	while (
	    error == 0 && (item.kind == DROP_MAIL || item.kind == DROP_RCPT));
	if (error == 0 &&
	    (item.kind == DROP_END) != (job->given_size == job->content_size))
		error = -EBADMSG;
	job->piece =
	    error == 0 && item.kind == DROP_CONTENT ? item.text : STR("");
	return error;
}

int
pickup_job_give(
    struct pickup_job *job, struct smtp_client *client, uint64_t now_ms)
{
	size_t room = smtp_client_content_room(client);
	bool is_last;
	int error;

	if (job->step == PICKUP_RETURN) {
		job->piece = str_head(
		    str_skip(buf_str(&job->notice), job->given_size), room);
		job->given_size += job->piece.size;
		is_last = job->given_size == buf_size(&job->notice);
		smtp_client_content(client, job->piece, is_last, now_ms);
		return 0;
	}
	if (job->piece.size == 0) {
		error = job_read_piece(job);
		if (error < 0)
			return error;
	}
	is_last = job->piece.size == 0;
	room = room < job->piece.size ? room : job->piece.size;
	smtp_client_content(
	    client, str_head(job->piece, room), is_last, now_ms);
	job->given_size += room;
	job->piece = str_skip(job->piece, room);
	return 0;
}

static enum pickup_fate
job_fate(enum smtp_verdict verdict)
{
	switch (verdict) {
	case SMTP_ACCEPTED:
		return PICKUP_TAKEN;
	case SMTP_PERMANENT:
		return PICKUP_REFUSED;
	case SMTP_TEMPORARY:
		return PICKUP_LATER;
	case SMTP_UNTRIED:
		break;
	}
	return PICKUP_OPEN;
}

static void
job_report_notice(struct pickup_job *job, const struct smtp_client *client)
{
	struct smtp_client_result result;

	smtp_client_result(client, 0, &result);
	if (result.verdict == SMTP_ACCEPTED) {
		job->is_returned = true;
		return;
	}
	snprintf(job->reason, sizeof(job->reason), "%s", result.answer);
	if (result.verdict == SMTP_PERMANENT) {
		job->is_discarded = true;
		return;
	}
	/* The file is kept for it. */
	for (size_t i = 0; i < job->recipient_count; i++)
		if (job->rcpts[i].fate == PICKUP_REFUSED)
			job->rcpts[i].fate = PICKUP_LATER;
}

void
pickup_job_report(struct pickup_job *job, const struct smtp_client *client)
{
	bool has_progress = false;

	if (job->step == PICKUP_RETURN) {
		job_report_notice(job, client);
		return;
	}
	for (size_t i = 0; i < job->batch_count; i++) {
		struct pickup_rcpt *rcpt = &job->rcpts[job->batch_rcpts[i]];
		struct smtp_client_result result;

		smtp_client_result(client, i, &result);
		rcpt->fate = job_fate(result.verdict);
		has_progress |=
		    rcpt->fate == PICKUP_TAKEN || rcpt->fate == PICKUP_REFUSED;
		if (rcpt->fate == PICKUP_TAKEN) {
			snprintf(
			    job->said, sizeof(job->said), "%s", result.answer);
			continue;
		}
		snprintf(job->reason, sizeof(job->reason), "%s", result.answer);
		memcpy(rcpt->status, result.status, sizeof(rcpt->status));
		rcpt->answer = arena_copy(&job->arena, str_from(result.answer));
	}
	/* What brings nothing is not tried again at once. */
	for (size_t i = 0; i < job->batch_count && !has_progress; i++)
		job->rcpts[job->batch_rcpts[i]].fate = PICKUP_LATER;
}

void
pickup_job_save(struct pickup_job *job)
{
	struct pickup_file *file = job->file;
	size_t count = job->recipient_count;

	free(file->is_done);
	file->is_done = mem_new(count, sizeof(file->is_done[0]));
	file->done_size = count;
	for (size_t i = 0; i < count; i++)
		file->is_done[i] =
		    job->rcpts[i].fate == PICKUP_TAKEN ||
		    (job->rcpts[i].fate == PICKUP_REFUSED && job->is_returned);
}
