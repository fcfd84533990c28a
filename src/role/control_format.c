/* The items of the control protocol as JSON; see control.h. */
#include "base/check.h"
#include "role/control.h"
#include "role/message.h"
#include "role/queue_release.h"

#include <errno.h>
#include <string.h>

#define CONTROL_TEXT_MAX    (MESSAGE_NAMES_MAX + STORE_STATUS_MAX + 100)
#define CONTROL_DOMAINS_MAX 100
/* A recipient's line is at most this and CONTROL_GROWTH bytes for each byte of
   its texts ("\u0123" for two, twice that for four). */
#define CONTROL_ROW_SIZE  200
#define CONTROL_GROWTH    3
#define CONTROL_HEAD_SIZE 4096 /* of a message without its recipients */

json_t *
control_text(struct str text)
{
	char copy[CONTROL_TEXT_MAX];
	json_t *value;

	text = str_head(text, sizeof(copy));
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		copy[i] = (c >= 0 && c < ' ') || c == 0x7f ? '?' : c;
		/* Terminals obey U+0080 to U+009F too. */
		if (i > 0 && (unsigned char)copy[i - 1] == 0xc2 &&
		    (unsigned char)c >= 0x80 && (unsigned char)c < 0xa0)
			copy[i - 1] = copy[i] = '?';
	}
	value = json_stringn(copy, text.size);
	if (value != NULL)
		return value;
	/* It is no UTF-8. */
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	value = json_stringn(copy, text.size);
	CHECK(value != NULL);
	return value;
}

void
control_set(json_t *object, const char *key, json_t *value)
{
	int error = json_object_set_new(object, key, value);

	/* Only for want of memory, which ends the role. */
	CHECK(error == 0);
}

void
control_set_number(json_t *object, const char *key, uint64_t value)
{
	control_set(object, key,
	    json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static int
control_put_bytes(const char *bytes, size_t size, void *out)
{
	return buf_append(out, str_of(bytes, size)) < 0 ? -1 : 0;
}

int
control_put(struct buf *out, json_t *object)
{
	size_t before = buf_size(out);
	int error = json_dump_callback(
	    object, control_put_bytes, out, JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(object);
	if (error == 0 && buf_append(out, STR("\n")) == 0)
		return 0;
	/* What was written of it is taken back. */
	out->end -= buf_size(out) - before;
	return -ENOBUFS;
}

json_t *
control_end(const char *wrong)
{
	json_t *object = json_object();

	control_set(object, "end", json_true());
	control_set(object, "error",
	    wrong ? control_text(str_from(wrong)) : json_null());
	return object;
}

json_t *
control_format_changed(
    uint64_t next_key, uint64_t changed, uint64_t leased, uint64_t moved)
{
	json_t *end = control_end(NULL);

	control_set(end, "more", json_boolean(next_key != 0));
	control_set_number(end, "after", next_key);
	control_set_number(end, "changed", changed);
	control_set_number(end, "leased", leased);
	control_set_number(end, "moved", moved);
	return end;
}

/* The queue time TIME_MS in seconds of wall time, 0 for 0. */
static uint64_t
control_wall(const struct control_clock *clock, uint64_t time_ms)
{
	/* Unsigned arithmetic is right for times before the clock too. */
	if (time_ms == 0 || clock->wall_ms == 0)
		return 0;
	return (clock->wall_ms + (time_ms - clock->queue_ms)) / 1000;
}

static const char *
control_lane(enum store_lane lane)
{
	static const char *const names[STORE_LANES] = {
	    [STORE_READY] = "ready",
	    [STORE_WAITING] = "waiting",
	    [STORE_HELD] = "held",
	    [STORE_STOPPED] = "stopped",
	};

	CHECK(lane < STORE_LANES);
	return names[lane];
}

static json_t *
control_recipient(
    const struct store_found_row *row, const struct control_clock *clock)
{
	json_t *object = json_object();

	control_set(object, "address", control_text(row->recipient.address));
	control_set(object, "lane", json_string(control_lane(row->lane)));
	control_set(object, "leased", json_boolean(row->is_leased));
	control_set_number(object, "attempts", row->attempts);
	control_set_number(object, "due", control_wall(clock, row->due_ms));
	control_set(object, "destination", control_text(row->destination));
	control_set(object, "status", control_text(row->status));
	return object;
}

int
control_format_message(struct buf *out, const struct store_found *found,
    const struct control_clock *clock)
{
	struct control_clock own = {found->arrival_ms, found->arrival_wall_ms};
	json_t *object = json_object(), *recipients = json_array();
	size_t size = CONTROL_HEAD_SIZE + CONTROL_GROWTH * found->reason.size;
	size_t i;

	if (clock->wall_ms != 0)
		own = *clock;
	control_set(object, "item", json_string("message"));
	control_set_number(object, "key", found->key);
	control_set(object, "id", control_text(str_from(found->id)));
	control_set(object, "sender", control_text(found->envelope.sender));
	control_set_number(object, "size", found->content_size);
	control_set_number(object, "arrival", found->arrival_wall_ms / 1000);
	control_set_number(
	    object, "expire", control_wall(&own, found->expire_ms));
	if (found->reason.size > 0)
		control_set(object, "reason", control_text(found->reason));
	for (i = 0; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];
		int error;

		size += CONTROL_ROW_SIZE +
		        CONTROL_GROWTH *
		            (row->recipient.address.size +
				row->destination.size + row->status.size);
		if (size > CONTROL_LINE_MAX)
			break;
		error = json_array_append_new(
		    recipients, control_recipient(row, &own));
		CHECK(error == 0);
	}
	control_set(object, "recipients", recipients);
	control_set_number(object, "omitted", found->row_count - i);
	return control_put(out, object);
}

/* The members that destinations and sites share. */
static void
control_set_counts(json_t *object, const struct store_destination *d,
    const struct control_state *state, const struct control_clock *clock)
{
	uint64_t next_ms = state->next_ms;

	if (next_ms > 0)
		next_ms += clock->queue_ms;
	control_set_number(object, "messages", d->messages);
	control_set_number(object, "bytes", d->bytes);
	for (int lane = 0; lane < STORE_LANES; lane++)
		control_set_number(
		    object, control_lane((enum store_lane)lane), d->rows[lane]);
	control_set_number(object, "oldest", control_wall(clock, d->oldest_ms));
	control_set_number(object, "failures", queue_release_failures(d));
	control_set(object, "state", control_text(state->state));
	control_set(object, "answer", control_text(state->answer));
	control_set_number(object, "next", control_wall(clock, next_ms));
	control_set_number(
	    object, "answered", control_wall(clock, state->answered_ms));
}

int
control_format_destination(struct buf *out,
    const struct store_destination *destination,
    const struct control_state *state, const struct control_clock *clock)
{
	json_t *object = json_object();

	control_set(object, "item", json_string("destination"));
	control_set(object, "name", control_text(destination->name));
	control_set_counts(object, destination, state, clock);
	return control_put(out, object);
}

int
control_format_site(struct buf *out, const struct conf_site *site,
    const struct store_destination *destination,
    const struct control_state *state, const struct control_clock *clock)
{
	json_t *object = json_object(), *domains = json_array();
	char text[MAIL_DOMAIN_MAX + 2] = "@";

	control_set(object, "item", json_string("site"));
	control_set(object, "name", control_text(site->name));
	for (size_t i = 0; i < site->domain_count && i < CONTROL_DOMAINS_MAX;
	     i++) {
		struct str key = site->domains[i].key;
		bool is_tree = site->domains[i].is_tree;
		int error;

		CHECK(key.size <= MAIL_DOMAIN_MAX);
		memcpy(text + is_tree, key.data, key.size);
		error = json_array_append_new(
		    domains, control_text(str_of(text, is_tree + key.size)));
		CHECK(error == 0);
		text[0] = '@';
	}
	control_set(object, "domains", domains);
	control_set_number(object, "domain_count", site->domain_count);
	control_set(object, "hold", json_boolean(site->is_held));
	control_set(object, "route", control_text(site->route.text));
	control_set_counts(object, destination, state, clock);
	return control_put(out, object);
}
