/*
 * Tells the sender of a file who was refused (RFC 3464).  It goes out as the
 * file did, by SMTP to the receive role, from the null sender.
 */
#include "base/mem.h"
#include "mail/dsn.h"
#include "role/pickup.h"

#include <errno.h>
#include <stdlib.h>

/* RFC 3461 4.1: without NOTIFY failures are told. */
static bool
notice_is_due(const struct pickup_job *job, size_t i)
{
	uint8_t notify = job->recipients[i].notify;

	return job->rcpts[i].fate == PICKUP_REFUSED &&
	       (notify == 0 || (notify & MAIL_NOTIFY_FAILURE) != 0);
}

bool
pickup_notice_is_wanted(const struct pickup_job *job)
{
	for (size_t i = 0; i < job->recipient_count; i++)
		if (notice_is_due(job, i))
			return true;
	return false;
}

/* The beginning of the content, up to a line's end: 0 or -errno. */
static int
notice_content(struct pickup_job *job, struct buf *content)
{
	struct drop_item item = {.kind = DROP_MORE};
	int error = pickup_reader_rewind(&job->reader);

	while (error == 0 && item.kind != DROP_END && buf_room(content) > 0) {
		error = pickup_reader_next(&job->reader, &item);
		if (error == 0 && item.kind == DROP_CONTENT)
			error = buf_append(
			    content, str_head(item.text, buf_room(content)));
	}
	if (error == 0 && job->content_size > buf_size(content)) {
		struct str bytes = buf_str(content);

		while (bytes.size > 0 && bytes.data[bytes.size - 1] != '\n')
			bytes.size--;
		content->end -= buf_size(content) - bytes.size;
	}
	return error;
}

static bool
notice_is_8bit(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] >= 0x80)
			return true;
	return false;
}

static int
notice_write(struct pickup_job *job, struct mail_dsn *what, struct str content)
{
	struct mail_dsn_recipient *list =
	    mem_new(job->recipient_count, sizeof(list[0]));
	int error;

	for (size_t i = 0; i < job->recipient_count; i++)
		if (notice_is_due(job, i))
			list[what->recipient_count++] =
			    (struct mail_dsn_recipient){
				.recipient = job->recipients[i],
				.action = MAIL_DSN_FAILED,
				.status = str_from(job->rcpts[i].status),
				.diagnostic = job->rcpts[i].answer};
	what->recipients = list;
	what->content = content;
	what->is_content_whole = content.size == job->content_size;
	buf_clear(&job->notice);
	error = mail_dsn_put(&job->notice, what);
	free(list);
	return error;
}

int
pickup_notice_make(struct pickup_job *job, const struct conf *conf,
    const char *id, uint64_t wall_ms)
{
	struct mail_dsn what = {.hostname = conf->hostname,
	    .id = str_from(id),
	    .origin_id = str_from(job->file->name),
	    .envelope = &job->envelope,
	    .arrival_wall_ms = wall_ms,
	    .now_wall_ms = wall_ms,
	    .attempt_wall_ms = wall_ms};
	struct buf content;
	int error;

	buf_init(&content, PICKUP_RETURN_MAX);
	error = notice_content(job, &content);
	if (error == 0)
		error = notice_write(job, &what, buf_str(&content));
	buf_fini(&content);
	job->notice_envelope = (struct mail_envelope){.sender = STR(""),
	    .envid = STR(""),
	    .auth = STR(""),
	    .is_smtputf8 = job->envelope.is_smtputf8};
	if (notice_is_8bit(buf_str(&job->notice)))
		job->notice_envelope.body = MAIL_BODY_8BITMIME;
	return error;
}
