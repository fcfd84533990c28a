/*
 * Putting a message into a queue directory.  The store's engine does it, as the
 * daemon would; its requests are carried out in place.  More recipients than a
 * message of the store has make several messages.
 */
#include "cmd/submit_queue.h"
#include "base/mem.h"
#include "cmd/store_place.h"
#include "cmd/view_spool.h"
#include "mail/dsn.h"
#include "os/machine.h"
#include "role/newid.h"
#include "role/route_foreign.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DAY_MS    UINT64_C(86400000)
#define FIELD_MAX 1024 /* of the Received field */

struct queueing {
	const struct conf *conf;
	struct store *store;
	struct submit_message *m;
	const char *user;
	struct newid newid;
	uint64_t queue_ms; /* now, as the store has it */
	uint64_t wall_ms;
};

/* What is on disk is unknown: nothing may be said to be there. */
static void
queueing_fatal(void *arg)
{
	fprintf(stderr, "sendmail: the queue directory cannot be synced\n");
	_exit(EX_TEMPFAIL);
}

/* Carries REQUEST out: its error. */
static int
queueing_do(struct queueing *q, struct store_request *request)
{
	q->store->ops->batch(q->store, &request, 1);
	return request->error;
}

/* RFC 5321 4.4, as sendmail writes it for mail from the command line. */
static int
queueing_received(const struct queueing *q, const char *id, struct buf *out)
{
	char date[40];

	mail_date_format(q->wall_ms, date);
	return buf_printf(out,
	    "Received: (from %.64s@localhost)\r\n\tby %.*s id %s;\r\n\t%s\r\n",
	    q->user, STR_ARG(q->conf->hostname), id, date);
}

/* One recipient as a row of MESSAGE. */
static int
queueing_row(const struct queueing *q, const struct mail_recipient *recipient,
    struct store_message *message)
{
	struct store_row *row = &message->rows[message->row_count];
	struct mqueue_route route;

	route_foreign((void *)(uintptr_t)q->conf, recipient->address, &route);
	row->destination =
	    arena_copy(&message->arena, str_from(route.destination));
	row->domain = arena_copy(&message->arena, str_from(route.domain));
	row->is_held = route.is_held;
	if (route.expire_ms == 0)
		route.expire_ms = 5 * DAY_MS;
	if (message->expire_ms < q->queue_ms + route.expire_ms)
		message->expire_ms = q->queue_ms + route.expire_ms;
	row->alarm_ms = q->queue_ms + route.expire_ms;
	if (route.notice_ms > 0 && route.notice_ms < route.expire_ms)
		row->alarm_ms = q->queue_ms + route.notice_ms;
	if (row->destination.data == NULL || row->domain.data == NULL ||
	    mail_recipient_copy(&message->arena, recipient, &row->recipient) <
		0)
		return -ENOMEM;
	message->row_count++;
	return 0;
}

/* The message for the recipients from *FIRST on, without content. */
static struct store_message *
queueing_message(struct queueing *q, size_t *first)
{
	struct store_message *message = store_message_new();
	size_t left = q->m->recipient_count - *first;
	size_t count =
	    left < STORE_RECIPIENTS_MAX ? left : STORE_RECIPIENTS_MAX;
	int error;

	newid_next(&q->newid, message->id);
	message->arrival_ms = q->queue_ms;
	message->arrival_wall_ms = q->wall_ms;
	message->rank = q->queue_ms;
	message->rows =
	    arena_new(&message->arena, count * sizeof(*message->rows));
	error = message->rows == NULL ? -ENOMEM : 0;
	if (error == 0)
		error = mail_envelope_copy(
		    &message->arena, &q->m->envelope, &message->envelope);
	for (size_t i = 0; i < count && error == 0; i++)
		error = queueing_row(q, &q->m->recipients[*first + i], message);
	*first += count;
	if (error == 0)
		return message;
	store_message_free(message);
	return NULL;
}

/* Takes BYTES as the next content: into the message, or where it is large, to
   the store. */
static int
queueing_put(
    struct queueing *q, struct store_message *message, struct str bytes)
{
	struct store_request *request;
	int error;

	message->content_size += bytes.size;
	if (!message->is_staged)
		return buf_append(&message->content, bytes);
	request = store_request_new(STORE_STAGE);
	memcpy(request->u.stage.id, message->id, sizeof(message->id));
	request->u.stage.bytes = bytes;
	error = queueing_do(q, request);
	store_request_free(request);
	return error;
}

static int
queueing_content(struct queueing *q, struct store_message *message)
{
	char *block = mem_new(1, SUBMIT_BLOCK);
	uint64_t offset = 0, size = submit_message_size(q->m);
	struct buf field;
	int error;

	message->is_staged = size + FIELD_MAX > STORE_CONTENT_MEMORY;
	buf_init(&field, FIELD_MAX);
	error = queueing_received(q, message->id, &field);
	if (error == 0)
		error = queueing_put(q, message, buf_str(&field));
	buf_fini(&field);
	while (offset < size && error == 0) {
		int64_t n =
		    submit_message_read(q->m, block, SUBMIT_BLOCK, offset);

		if (n <= 0)
			error = n < 0 ? (int)n : -EIO;
		else
			error =
			    queueing_put(q, message, str_of(block, (size_t)n));
		offset += n > 0 ? (uint64_t)n : 0;
	}
	free(block);
	return error;
}

/* One message of the store for the recipients from *FIRST on. */
static int
queueing_one(struct queueing *q, size_t *first)
{
	size_t begin = *first;
	struct store_message *message = queueing_message(q, first);
	struct store_request *request;
	int error;

	if (message == NULL)
		return -ENOMEM;
	error = queueing_content(q, message);
	if (error < 0) {
		store_message_free(message);
		return error;
	}
	request = store_request_new(STORE_APPEND);
	request->u.append.message = message;
	error = queueing_do(q, request);
	store_request_free(request);
	for (; error == 0 && begin < *first; begin++)
		q->m->outcomes[begin].fate = SUBMIT_TAKEN;
	return error;
}

static int
queueing_all(struct queueing *q)
{
	unsigned char random[NEWID_RANDOM];
	struct store_info info;
	size_t first = 0;
	int error = 0;

	machine_random(random, sizeof(random));
	newid_init(&q->newid, random);
	q->wall_ms = machine_wall_ms();
	q->store->ops->info(q->store, &info);
	q->queue_ms = store_time_resumed(&info, q->wall_ms);
	while (error == 0 && first < q->m->recipient_count)
		error = queueing_one(q, &first);
	return error;
}

int
submit_queue(const char *program, const struct conf *conf,
    const struct run_place *place, const char *user, struct submit_message *m)
{
	struct conf there = *conf;
	struct queueing q = {.conf = &there, .m = m, .user = user};
	int fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct os *os;
	int error;

	if (fd < 0) {
		fprintf(stderr, "can not chdir(%s): %s\n", place->path,
		    strerror(errno));
		return EX_CONFIG;
	}
	there.spool = str_from(place->spool);
	/* What is made there is to be its owner's. */
	error = view_become_owner(fd);
	os = os_real_new(fd);
	if (error == 0)
		error = store_place_open(
		    &there, os, NULL, queueing_fatal, &q.store);
	if (error == 0)
		error = queueing_all(&q);
	if (q.store != NULL)
		q.store->ops->close(q.store);
	os_free(os);
	if (error < 0)
		fprintf(stderr, "%s: cannot queue in %s: %s\n", program,
		    place->path, strerror(-error));
	return error < 0 ? EX_TEMPFAIL : EX_OK;
}
