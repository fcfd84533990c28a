/*
 * How much may be stored: the disk reserve, the limits of the whole queue, the
 * quotas of sites.  What is reached closes intake, for all or for that site;
 * settles, notifications and changes go on, since they make room or keep what
 * was promised.
 *
 * RCPT does not cross to this process: receive is told of each change, and the
 * commit is looked at again.  A limit closes when it is reached, so a message
 * that began below one of bytes may pass it; those of messages are exact.  For
 * what the disk has room is told as soon as that is not any message.
 *
 * Invariants: (1) totals and counts are those of the last answer, since the
 * store answers in order; (2) what was handed to the store and not answered is
 * in "coming"; (3) receive knows is_open and size_max.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "role/queue.h"

#include <stdlib.h>
#include <utlist.h>

#define ROOM_LOOK_MS 500     /* between looks while something is refused */
#define ROOM_OLD_MS  1000    /* then what is known is too old for a message */
#define ROOM_SLICE   16      /* counts of sites asked for at a time */
#define ROOM_STEP    1048576 /* of the sizes that receive is told */

void
queue_room_init(struct queue *q, const struct store_totals *totals)
{
	struct queue_room *room = &q->room;

	room->totals = *totals;
	room->look_ms = UINT64_MAX;
	room->is_open = true; /* the first step looks */
	room->size_max = UINT64_MAX;
	for (size_t i = 0; i < q->conf->site_count; i++)
		if (q->conf->sites[i].quota_bytes > 0 ||
		    q->conf->sites[i].quota_messages > 0)
			room->quota_count++;
	room->quotas = mem_new(room->quota_count, sizeof(room->quotas[0]));
	for (size_t i = 0, n = 0; n < room->quota_count; i++)
		if (q->conf->sites[i].quota_bytes > 0 ||
		    q->conf->sites[i].quota_messages > 0)
			room->quotas[n++] = (struct queue_quota){
			    .site = &q->conf->sites[i], .is_open = true};
}

void
queue_room_fini(struct queue *q)
{
	free(q->room.quotas);
	q->room = (struct queue_room){.quotas = NULL};
}

/* The quota of a destination, NULL if it has none. */
static struct queue_quota *
room_quota(struct queue *q, struct str destination)
{
	size_t low = 0, high = q->room.quota_count;
	const struct conf_site *site =
	    high > 0 ? route_site(q->conf, destination) : NULL;

	while (site != NULL && low < high) {
		size_t middle = low + (high - low) / 2;
		struct queue_quota *quota = &q->room.quotas[middle];

		if (quota->site == site)
			return quota;
		if (quota->site < site)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool
quota_is_open(const struct queue_quota *quota)
{
	uint64_t messages_max = quota->site->quota_messages;
	uint64_t bytes_max = quota->site->quota_bytes;

	return (messages_max == 0 ||
		   quota->messages + quota->coming_messages < messages_max) &&
	       (bytes_max == 0 ||
		   quota->bytes + quota->coming_bytes < bytes_max);
}

bool
queue_room_is_short(const struct queue *q)
{
	return q->room.totals.room_bytes < q->conf->disk_reserve;
}

/* What is reached of the whole queue's limits, NULL if nothing is. */
static const char *
room_reached(const struct queue *q)
{
	const struct queue_room *room = &q->room;

	if (queue_room_is_short(q))
		return "disk-reserve";
	if (room->totals.messages + room->coming_messages >=
	    q->conf->queue_messages_max)
		return "queue-messages-max";
	if (room->totals.bytes + room->coming_bytes >= q->conf->queue_bytes_max)
		return "queue-bytes-max";
	return NULL;
}

/* What of a message the disk has not yet got. */
static uint64_t
room_unwritten(const struct store_message *message)
{
	return message->is_staged ? 0 : message->content_size;
}

/* It has changed: it is looked at in the next step. */
static void
room_touch(struct queue *q, struct queue_quota *quota)
{
	if (quota->is_touched)
		return;
	quota->is_touched = true;
	LL_PREPEND(q->room.touched, quota);
}

/* Calls for the quota of each destination of the message, once; until one says
   false. */
static bool
room_each_quota(struct queue *q, const struct store_message *message,
    bool (*visit)(struct queue_quota *quota, uint64_t size))
{
	uint64_t mark = ++q->room.mark_last;

	for (size_t i = 0; i < message->row_count; i++) {
		struct queue_quota *quota =
		    room_quota(q, message->rows[i].destination);

		if (quota == NULL || quota->mark == mark)
			continue;
		quota->mark = mark;
		room_touch(q, quota);
		if (!visit(quota, message->content_size))
			return false;
	}
	return true;
}

static bool
quota_admits(struct queue_quota *quota, uint64_t size)
{
	return quota_is_open(quota);
}

static bool
quota_reserve(struct queue_quota *quota, uint64_t size)
{
	quota->coming_messages++;
	quota->coming_bytes += size;
	return true;
}

static bool
quota_release(struct queue_quota *quota, uint64_t size)
{
	CHECK(quota->coming_messages > 0 && quota->coming_bytes >= size);
	quota->coming_messages--;
	quota->coming_bytes -= size;
	return true;
}

static bool
quota_add(struct queue_quota *quota, uint64_t size)
{
	quota->messages++;
	quota->bytes += size;
	return true;
}

enum queue_room_verdict
queue_room_admit(struct queue *q, const struct store_message *message)
{
	struct queue_room *room = &q->room;
	uint64_t unwritten = room->coming_unwritten + room_unwritten(message);

	if (room_reached(q) != NULL ||
	    room->totals.room_bytes <
		num_add_capped(q->conf->disk_reserve, unwritten))
		return QUEUE_ROOM_FULL;
	if (!room_each_quota(q, message, quota_admits))
		return QUEUE_ROOM_SITE_FULL;
	room->coming_messages++;
	room->coming_bytes += message->content_size;
	room->coming_unwritten = unwritten;
	(void)room_each_quota(q, message, quota_reserve);
	return QUEUE_ROOM_OK;
}

void
queue_room_answered(struct queue *q, const struct store_message *message)
{
	struct queue_room *room = &q->room;

	CHECK(room->coming_messages > 0 &&
	      room->coming_bytes >= message->content_size &&
	      room->coming_unwritten >= room_unwritten(message));
	room->coming_messages--;
	room->coming_bytes -= message->content_size;
	room->coming_unwritten -= room_unwritten(message);
	(void)room_each_quota(q, message, quota_release);
}

void
queue_room_appended(struct queue *q, const struct store_message *message)
{
	(void)room_each_quota(q, message, quota_add);
}

void
queue_room_settled(struct queue *q, const struct store_request *request)
{
	struct queue_quota *quota =
	    room_quota(q, request->u.settle.destination);

	if (quota == NULL)
		return;
	quota->messages = request->u.settle.left_messages;
	quota->bytes = request->u.settle.left_bytes;
	room_touch(q, quota);
}

void
queue_room_told(
    struct queue *q, uint64_t now_ms, const struct store_request *request)
{
	struct queue_room *room = &q->room;

	if (request->error == 0)
		room->totals = request->totals;
	else
		room->totals.room_bytes = request->totals.room_bytes;
	room->told_ms = queue_time(q, now_ms);
}

/* Asks what is queued for a quota, or with NULL for the whole store. */
static void
room_ask(struct queue *q, const struct queue_quota *quota)
{
	struct store_request *request = store_request_new(STORE_COUNT);
	char name[STORE_DESTINATION_MAX + 1] = "";

	request->tag = QUEUE_TAG_ROOM;
	if (quota != NULL) {
		route_site_name(quota->site, name);
		request->tag |= (uint64_t)(quota - q->room.quotas) + 1;
	}
	request->u.count.destination =
	    arena_copy(&request->arena, str_from(name));
	CHECK(request->u.count.destination.data != NULL);
	request->u.count.is_all = true;
	q->room.asked_count++;
	q->env->ops->store(q->env, request);
}

static void
room_look(struct queue *q)
{
	if (q->room.is_looking)
		return;
	q->room.is_looking = true;
	room_ask(q, NULL);
}

void
queue_room_begin(struct queue *q, uint64_t now_ms)
{
	if (queue_time(q, now_ms) >= q->room.told_ms + ROOM_OLD_MS)
		room_look(q);
}

void
queue_room_counted(struct queue *q, const struct store_request *request)
{
	uint64_t number = request->tag & ~QUEUE_TAG_ROOM;
	struct queue_quota *quota;

	CHECK(q->room.asked_count > 0 && number <= q->room.quota_count);
	q->room.asked_count--;
	if (number == 0) {
		q->room.is_looking = false;
	} else if (request->error == 0) {
		quota = &q->room.quotas[number - 1];
		quota->messages = request->u.count.messages;
		quota->bytes = request->u.count.bytes;
		room_touch(q, quota);
	}
}

void
queue_room_recount(struct queue *q)
{
	q->room.counted_count = 0;
}

static void
room_tell_site(struct queue *q, role_peer peer, const struct queue_quota *quota)
{
	struct message m = {
	    .type = MESSAGE_INTAKE_SITE,
	    .u.intake_site = {quota->site->name, quota->is_open},
	};

	queue_send(q, peer, &m);
}

static void
room_tell(struct queue *q, role_peer peer)
{
	struct message m = {
	    .type = MESSAGE_INTAKE_STATE,
	    .u.intake_state = {q->room.is_open, q->room.size_max},
	};

	queue_send(q, peer, &m);
}

void
queue_room_greet(struct queue *q, role_peer peer)
{
	room_tell(q, peer);
	for (size_t i = 0; i < q->room.quota_count; i++)
		if (!q->room.quotas[i].is_open)
			room_tell_site(q, peer, &q->room.quotas[i]);
}

static void
room_log_site(const struct queue_quota *quota)
{
	unsigned long long messages = quota->messages + quota->coming_messages;
	unsigned long long bytes = quota->bytes + quota->coming_bytes;

	if (quota->is_open)
		log_event(LOG_NOTE, "site-open", "",
		    "site=%.*s messages=%llu bytes=%llu",
		    STR_ARG(quota->site->name), messages, bytes);
	else
		log_event(LOG_NOTE, "site-full", "",
		    "site=%.*s messages=%llu bytes=%llu",
		    STR_ARG(quota->site->name), messages, bytes);
}

static void
room_step_site(struct queue *q, struct queue_quota *quota)
{
	if (quota->is_open == quota_is_open(quota))
		return;
	quota->is_open = !quota->is_open;
	room_log_site(quota);
	for (size_t i = 0; i < q->peer_count; i++)
		if (q->peers[i].kind == ROLE_RECEIVE)
			room_tell_site(q, q->peers[i].peer, quota);
}

/* The largest message that there is room for beside what is coming; rounded up,
   so that none is refused that would fit. */
static uint64_t
room_size_max(const struct queue *q)
{
	uint64_t kept =
	    num_add_capped(q->conf->disk_reserve, q->room.coming_unwritten);
	uint64_t room = q->room.totals.room_bytes;

	room -= room < kept ? room : kept;
	if (room >= q->conf->size_max)
		return UINT64_MAX;
	return room - room % ROOM_STEP + ROOM_STEP;
}

static void
room_log_all(const struct queue *q, const char *reached)
{
	const struct queue_room *room = &q->room;

	if (reached != NULL)
		log_event(LOG_WARN, "intake-closed", "",
		    "limit=%s messages=%llu bytes=%llu room=%llu", reached,
		    (unsigned long long)(room->totals.messages +
					 room->coming_messages),
		    (unsigned long long)(room->totals.bytes +
					 room->coming_bytes),
		    (unsigned long long)room->totals.room_bytes);
	else
		log_event(LOG_NOTE, "intake-open", "", "room=%llu",
		    (unsigned long long)room->totals.room_bytes);
}

static void
room_step_all(struct queue *q)
{
	struct queue_room *room = &q->room;
	const char *reached = room_reached(q);
	uint64_t size_max = room_size_max(q);

	if (room->is_open != (reached == NULL))
		room_log_all(q, reached);
	else if (room->size_max == size_max)
		return;
	room->is_open = reached == NULL;
	room->size_max = size_max;
	for (size_t i = 0; i < q->peer_count; i++)
		if (q->peers[i].kind == ROLE_RECEIVE)
			room_tell(q, q->peers[i].peer);
}

void
queue_room_step(struct queue *q, uint64_t now_ms)
{
	struct queue_room *room = &q->room;
	uint64_t time_ms = queue_time(q, now_ms);
	struct queue_quota *quota;

	room_step_all(q);
	while ((quota = room->touched) != NULL) {
		LL_DELETE(room->touched, quota);
		quota->is_touched = false;
		room_step_site(q, quota);
	}
	while (room->counted_count < room->quota_count &&
	       room->asked_count < ROOM_SLICE)
		room_ask(q, &room->quotas[room->counted_count++]);
	if (room->is_open && room->size_max == UINT64_MAX) {
		room->look_ms = UINT64_MAX;
	} else if (room->look_ms == UINT64_MAX) {
		room->look_ms = time_ms + ROOM_LOOK_MS;
	} else if (time_ms >= room->look_ms) {
		room_look(q);
		room->look_ms = time_ms + ROOM_LOOK_MS;
	}
}
