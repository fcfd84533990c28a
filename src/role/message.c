/*
 * The codec of the frames between roles.  A frame is a version byte, a type
 * byte, and the fields of the type in the order of its function below, each as
 * base/wire.h and mail/envelope.h write it.
 *
 * One function a type names its fields for both directions (a codec reads or
 * writes), so that what is written and what is read cannot differ.  Promises:
 * every string, count and enum has a maximum which is tested on the way out
 * and on the way in; a frame that ends early, has bytes left over or comes
 * from a role that may not send it is -EPROTO.
 */
#include "role/message.h"
#include "base/check.h"
#include "smtp/reply.h"

#include <errno.h>
#include <string.h>

#define MESSAGE_STATUS_MAX 11   /* "5.1.1", as struct smtp_reply holds it */
#define MESSAGE_STATE_MAX  32   /* "held", "released", ... */
#define MESSAGE_ERRNO_MAX  4095 /* as the kernel's */
#define MESSAGE_WANT_MAX   16
#define MESSAGE_TEXT_MAX   (SMTP_REPLY_TEXT_MAX - 1)

_Static_assert(
    STORE_BLOCK +
	    STORE_LEASE_ROWS_MAX * (MAIL_ADDRESS_MAX + MAIL_ORCPT_MAX + 16) +
	    4096 <=
	MESSAGE_FRAME_MAX,
    "the largest job fits a frame");
_Static_assert(SMTP_ANSWER_MAX <= STORE_STATUS_MAX,
    "an answer can be stored as the status of a row");

struct codec {
	struct wire_writer *writer; /* NULL = reads */
	struct wire_reader *reader; /* NULL = writes */
	struct arena *arena;        /* reading: arrays */
	bool is_bad;                /* beside the writer's and reader's own */
};

static bool
codec_is_bad(const struct codec *c)
{
	return c->is_bad ||
	       (c->writer != NULL ? c->writer->is_bad : c->reader->is_bad);
}

static void
codec_u64(struct codec *c, uint64_t *value)
{
	if (c->writer != NULL)
		wire_put_u64(c->writer, *value);
	else
		*value = wire_get_u64(c->reader);
}

static void
codec_u32(struct codec *c, uint32_t *value)
{
	if (c->writer != NULL)
		wire_put_u32(c->writer, *value);
	else
		*value = wire_get_u32(c->reader);
}

/* A number of MIN to MAX; what was read is in that range or 0. */
static uint32_t
codec_range(struct codec *c, uint32_t value, uint32_t min, uint32_t max)
{
	codec_u32(c, &value);
	if (value >= min && value <= max)
		return value;
	c->is_bad = true;
	return c->writer != NULL ? value : 0;
}

static void
codec_bool(struct codec *c, bool *value)
{
	*value = codec_range(c, *value, 0, 1) == 1;
}

static void
codec_u16(struct codec *c, uint16_t *value)
{
	*value = (uint16_t)codec_range(c, *value, 0, UINT16_MAX);
}

/* 0 or -errno, written without its sign. */
static void
codec_error(struct codec *c, int *error)
{
	uint32_t number = (uint32_t) - *error;

	*error = -(int)codec_range(c, number, 0, MESSAGE_ERRNO_MAX);
}

static void
codec_str(struct codec *c, struct str *bytes, size_t max)
{
	if (c->reader != NULL)
		*bytes = wire_get_str(c->reader, max);
	else if (bytes->size <= max)
		wire_put_str(c->writer, *bytes);
	else
		c->is_bad = true;
}

/* The id of a message; IS_OPTIONAL: or nothing. */
static void
codec_id(struct codec *c, struct str *id, bool is_optional)
{
	codec_str(c, id, STORE_ID_MAX);
	if (!store_id_is_valid(*id) && !(is_optional && id->size == 0))
		c->is_bad = true;
}

static void
codec_id_text(struct codec *c, char id[STORE_ID_MAX + 1])
{
	struct str text = str_of(id, strnlen(id, STORE_ID_MAX));

	codec_id(c, &text, false);
	if (c->writer != NULL || codec_is_bad(c))
		return;
	CHECK(text.size <= STORE_ID_MAX);
	memcpy(id, text.data, text.size);
	id[text.size] = '\0';
}

static void
codec_envelope(struct codec *c, struct mail_envelope *e)
{
	if (c->reader != NULL)
		mail_envelope_get(c->reader, e);
	else if (e->sender.size > MAIL_ADDRESS_MAX ||
		 e->envid.size > MAIL_ENVID_MAX || e->auth.size > MAIL_AUTH_MAX)
		c->is_bad = true;
	else
		mail_envelope_put(c->writer, e);
}

static void
codec_recipient(struct codec *c, struct mail_recipient *r)
{
	if (c->reader != NULL)
		mail_recipient_get(c->reader, r);
	else if (r->address.size == 0 || r->address.size > MAIL_ADDRESS_MAX ||
		 r->orcpt.size > MAIL_ORCPT_MAX)
		c->is_bad = true;
	else
		mail_recipient_put(c->writer, r);
}

/* The number of elements of an array, then (reading) its memory, zeroed.
   Each element takes ELEMENT_MIN bytes or more in the frame, so that a frame
   cannot ask for more memory than it has bytes. */
static void *
codec_array(struct codec *c, void *array, size_t *count, size_t size,
    uint32_t count_max, size_t element_min)
{
	if (*count > count_max) {
		c->is_bad = true;
		*count = 0; /* of the writer's copy */
		return array;
	}
	*count = codec_range(c, (uint32_t)*count, 0, count_max);
	if (c->writer != NULL)
		return array;
	if (c->reader->in.size / element_min < *count)
		c->is_bad = true;
	if (codec_is_bad(c) || *count == 0) {
		*count = 0;
		return NULL;
	}
	array = arena_new(c->arena, *count * size);
	if (array == NULL) {
		c->is_bad = true;
		*count = 0;
	}
	return array;
}

static void
codec_intake_open(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_open.transaction);
	codec_id(c, &m->u.intake_open.id, false);
	codec_envelope(c, &m->u.intake_open.envelope);
}

static void
codec_intake_recipient(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_recipient.transaction);
	codec_recipient(c, &m->u.intake_recipient.recipient);
}

static void
codec_intake_content(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_content.transaction);
	codec_str(c, &m->u.intake_content.bytes, STORE_BLOCK);
}

static void
codec_intake_commit(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_commit.transaction);
	codec_u64(c, &m->u.intake_commit.content_size);
	codec_u32(c, &m->u.intake_commit.content_crc32c);
	m->u.intake_commit.priority =
	    (int)codec_range(c,
		(uint32_t)(m->u.intake_commit.priority + MAIL_PRIORITY_MAX), 0,
		2 * MAIL_PRIORITY_MAX) -
	    MAIL_PRIORITY_MAX;
}

static void
codec_intake_abort(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_abort.transaction);
}

static void
codec_intake_done(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_done.transaction);
	m->u.intake_done.code = codec_range(c, m->u.intake_done.code, 200, 599);
	codec_str(c, &m->u.intake_done.enhanced, MESSAGE_STATUS_MAX);
	codec_str(c, &m->u.intake_done.text, MESSAGE_TEXT_MAX);
}

static void
codec_intake_credit(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.intake_credit.transaction);
	codec_u32(c, &m->u.intake_credit.bytes);
}

static void
codec_intake_state(struct codec *c, struct message *m)
{
	codec_bool(c, &m->u.intake_state.is_open);
	codec_u64(c, &m->u.intake_state.size_max);
}

static void
codec_intake_site(struct codec *c, struct message *m)
{
	codec_str(c, &m->u.intake_site.site, STORE_DESTINATION_MAX);
	codec_bool(c, &m->u.intake_site.is_open);
}

static void
codec_trigger(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.trigger.request);
	codec_str(c, &m->u.trigger.site, STORE_DESTINATION_MAX);
	m->u.trigger.domains =
	    codec_array(c, m->u.trigger.domains, &m->u.trigger.domain_count,
		sizeof(m->u.trigger.domains[0]), MESSAGE_DOMAINS_MAX, 4);
	/* One more for the "@" of a tree. */
	for (size_t i = 0; i < m->u.trigger.domain_count; i++)
		codec_str(c, &m->u.trigger.domains[i], MAIL_DOMAIN_MAX + 1);
}

static void
codec_trigger_done(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.trigger_done.request);
	m->u.trigger_done.result = (enum message_trigger_result)codec_range(
	    c, m->u.trigger_done.result, 0, MESSAGE_TRIGGER_UNKNOWN);
	codec_u64(c, &m->u.trigger_done.count);
}

static void
codec_session_start(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.session_start.session);
	codec_str(c, &m->u.session_start.destination, STORE_DESTINATION_MAX);
	m->u.session_start.kind = (enum conf_route_kind)codec_range(
	    c, m->u.session_start.kind, 0, CONF_ROUTE_PROGRAM);
	codec_str(c, &m->u.session_start.host, MAIL_DOMAIN_MAX);
	codec_u16(c, &m->u.session_start.port);
	codec_u32(c, &m->u.session_start.job);
	codec_str(c, &m->u.session_start.trace, MESSAGE_NAMES_MAX);
}

static void
codec_session_next(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.session_next.session);
	m->u.session_next.want =
	    codec_range(c, m->u.session_next.want, 1, MESSAGE_WANT_MAX);
}

static void
codec_job(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.job.session);
	codec_u64(c, &m->u.job.lease);
	codec_id(c, &m->u.job.id, false);
	codec_u64(c, &m->u.job.time_ms);
	codec_u64(c, &m->u.job.arrival_wall_ms);
	codec_envelope(c, &m->u.job.envelope);
	m->u.job.rows = codec_array(c, m->u.job.rows, &m->u.job.row_count,
	    sizeof(m->u.job.rows[0]), STORE_LEASE_ROWS_MAX, 14);
	if (m->u.job.row_count == 0)
		c->is_bad = true;
	for (size_t i = 0; i < m->u.job.row_count; i++) {
		m->u.job.rows[i].index = codec_range(
		    c, m->u.job.rows[i].index, 0, STORE_RECIPIENTS_MAX - 1);
		codec_recipient(c, &m->u.job.rows[i].recipient);
	}
	codec_u64(c, &m->u.job.content_size);
	codec_str(c, &m->u.job.content, STORE_BLOCK);
	if (m->u.job.content.size > 0 &&
	    m->u.job.content.size != m->u.job.content_size)
		c->is_bad = true;
}

static void
codec_job_none(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.job_none.session);
}

static void
codec_block_want(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.block_want.session);
	codec_u64(c, &m->u.block_want.lease);
	codec_u64(c, &m->u.block_want.index);
}

static void
codec_block(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.block.session);
	codec_u64(c, &m->u.block.lease);
	codec_u64(c, &m->u.block.index);
	codec_bool(c, &m->u.block.is_damaged);
	codec_u32(c, &m->u.block.crc32c);
	codec_str(c, &m->u.block.bytes, STORE_BLOCK);
}

static void
codec_job_result(struct codec *c, struct message *m)
{
	struct message_job_result *result;

	codec_u32(c, &m->u.job_result.session);
	codec_u64(c, &m->u.job_result.lease);
	codec_str(c, &m->u.job_result.host, STORE_DESTINATION_MAX);
	codec_bool(c, &m->u.job_result.is_relayed);
	m->u.job_result.results = codec_array(c, m->u.job_result.results,
	    &m->u.job_result.result_count, sizeof(m->u.job_result.results[0]),
	    STORE_LEASE_ROWS_MAX, 16);
	for (size_t i = 0; i < m->u.job_result.result_count; i++) {
		result = &m->u.job_result.results[i];
		result->index =
		    codec_range(c, result->index, 0, STORE_RECIPIENTS_MAX - 1);
		result->verdict = (enum smtp_verdict)codec_range(
		    c, result->verdict, 0, SMTP_UNTRIED);
		codec_str(c, &result->status, MESSAGE_STATUS_MAX);
		codec_str(c, &result->answer, SMTP_ANSWER_MAX);
	}
}

static void
codec_session_end(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.session_end.session);
	codec_bool(c, &m->u.session_end.is_failed);
	codec_bool(c, &m->u.session_end.is_permanent);
	codec_str(c, &m->u.session_end.status, MESSAGE_STATUS_MAX);
	codec_str(c, &m->u.session_end.answer, SMTP_ANSWER_MAX);
}

/* The time of a filter is the receiver's to compute. */
static void
codec_filter(struct codec *c, struct store_filter *filter)
{
	codec_id(c, &filter->id, true);
	codec_str(c, &filter->destination, STORE_DESTINATION_MAX);
	/* One more for the "@" before a domain. */
	codec_str(c, &filter->sender, MAIL_ADDRESS_MAX + 1);
	codec_str(c, &filter->recipient, MAIL_ADDRESS_MAX + 1);
	codec_str(c, &filter->domain, MAIL_DOMAIN_MAX + 1);
	codec_u64(c, &filter->size_above);
}

static void
codec_list(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.list.request);
	codec_bool(c, &m->u.list.is_destinations);
	codec_filter(c, &m->u.list.filter);
	codec_u64(c, &m->u.list.older_ms);
	codec_u64(c, &m->u.list.after_key);
	codec_str(c, &m->u.list.after_name, STORE_DESTINATION_MAX);
	m->u.list.count = codec_range(c, m->u.list.count, 1, STORE_PAGE_MAX);
}

static void
codec_found_row(struct codec *c, struct store_found_row *row)
{
	row->index = codec_range(c, row->index, 0, STORE_RECIPIENTS_MAX - 1);
	row->lane =
	    (enum store_lane)codec_range(c, row->lane, 0, STORE_LANES - 1);
	codec_bool(c, &row->is_leased);
	codec_u32(c, &row->attempts);
	codec_u64(c, &row->due_ms);
	codec_recipient(c, &row->recipient);
	codec_str(c, &row->destination, STORE_DESTINATION_MAX);
	codec_str(c, &row->status, STORE_STATUS_MAX);
}

static void
codec_list_message(struct codec *c, struct message *m)
{
	struct store_found *found = &m->u.list_message.found;

	codec_u64(c, &m->u.list_message.request);
	codec_u64(c, &found->key);
	codec_id_text(c, found->id);
	codec_envelope(c, &found->envelope);
	codec_u64(c, &found->arrival_ms);
	codec_u64(c, &found->arrival_wall_ms);
	codec_u64(c, &found->expire_ms);
	codec_u64(c, &found->content_size);
	codec_str(c, &found->reason, STORE_REASON_MAX);
	found->rows = codec_array(c, found->rows, &found->row_count,
	    sizeof(found->rows[0]), STORE_RECIPIENTS_MAX, 42);
	for (size_t i = 0; i < found->row_count && !codec_is_bad(c); i++)
		codec_found_row(c, &found->rows[i]);
}

static void
codec_list_destination(struct codec *c, struct message *m)
{
	struct store_destination *d = &m->u.list_destination.destination;

	codec_u64(c, &m->u.list_destination.request);
	codec_str(c, &d->name, STORE_DESTINATION_MAX);
	for (size_t i = 0; i < STORE_LANES; i++)
		codec_u64(c, &d->rows[i]);
	codec_u64(c, &d->messages);
	codec_u64(c, &d->bytes);
	codec_u64(c, &d->oldest_ms);
	codec_u64(c, &d->due_ms);
	codec_u32(c, &d->failures);
	codec_str(c, &m->u.list_destination.state, MESSAGE_STATE_MAX);
	codec_str(c, &m->u.list_destination.answer, STORE_STATUS_MAX);
	codec_u64(c, &m->u.list_destination.next_ms);
	codec_u64(c, &m->u.list_destination.answered_ms);
}

static void
codec_list_end(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.list_end.request);
	codec_error(c, &m->u.list_end.error);
	codec_bool(c, &m->u.list_end.is_more);
	codec_u64(c, &m->u.list_end.total);
	codec_u64(c, &m->u.list_end.queue_ms);
	codec_u64(c, &m->u.list_end.wall_ms);
	codec_u64(c, &m->u.list_end.next_key);
}

static void
codec_change(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.change.request);
	codec_filter(c, &m->u.change.filter);
	codec_u64(c, &m->u.change.older_ms);
	m->u.change.steer = (enum message_steer)codec_range(
	    c, m->u.change.steer, 0, MESSAGE_STEER_EXPIRE);
	m->u.change.change = (enum store_change)codec_range(
	    c, m->u.change.change, 0, STORE_CHANGE_DELETE);
	codec_str(c, &m->u.change.reason, STORE_REASON_MAX);
	codec_bool(c, &m->u.change.is_dry);
	codec_u64(c, &m->u.change.after_key);
}

static void
codec_change_done(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.change_done.request);
	codec_error(c, &m->u.change_done.error);
	codec_u64(c, &m->u.change_done.changed_count);
	codec_u64(c, &m->u.change_done.leased_count);
	codec_u64(c, &m->u.change_done.moved_count);
	codec_u64(c, &m->u.change_done.next_key);
}

static void
codec_run(struct codec *c, struct message *m)
{
	struct store_select_term *term;

	codec_u64(c, &m->u.run.request);
	codec_bool(c, &m->u.run.is_verbose);
	codec_bool(c, &m->u.run.is_stopped);
	m->u.run.order = (enum message_run_order)codec_range(
	    c, m->u.run.order, 0, MESSAGE_RUN_ANY);
	codec_u64(c, &m->u.run.age_ms);
	codec_u64(c, &m->u.run.rank_max);
	m->u.run.terms = codec_array(c, m->u.run.terms, &m->u.run.term_count,
	    sizeof(m->u.run.terms[0]), STORE_SELECT_MAX, 12);
	for (size_t i = 0; i < m->u.run.term_count; i++) {
		term = &m->u.run.terms[i];
		term->field = (enum store_select_field)codec_range(
		    c, term->field, 0, STORE_SELECT_FIELDS - 1);
		codec_bool(c, &term->is_not);
		codec_str(c, &term->text, STORE_SELECT_TEXT_MAX);
	}
}

static void
codec_run_text(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.run_text.request);
	codec_str(c, &m->u.run_text.text, MESSAGE_TEXT_BYTES);
}

static void
codec_run_done(struct codec *c, struct message *m)
{
	codec_u64(c, &m->u.run_done.request);
	codec_error(c, &m->u.run_done.error);
	m->u.run_done.status = codec_range(c, m->u.run_done.status, 0, 255);
	codec_u64(c, &m->u.run_done.count);
}

static void
codec_trace(struct codec *c, struct message *m)
{
	codec_u32(c, &m->u.trace.session);
	codec_str(c, &m->u.trace.text, MESSAGE_TEXT_BYTES);
}

#define ROLE_BIT(kind) (1u << (kind))
#define FROM_RECEIVE   ROLE_BIT(ROLE_RECEIVE)
#define FROM_QUEUE     ROLE_BIT(ROLE_QUEUE)
#define FROM_DELIVER   ROLE_BIT(ROLE_DELIVER)
#define FROM_CONTROL   ROLE_BIT(ROLE_CONTROL)

/* Who may send what to whom, and its fields. */
static const struct message_rule {
	unsigned from; /* ROLE_BIT of each kind */
	unsigned to;
	void (*fields)(struct codec *c, struct message *m);
} message_rules[MESSAGE_TYPES] = {
    [MESSAGE_INTAKE_OPEN] = {FROM_RECEIVE, FROM_QUEUE, codec_intake_open},
    [MESSAGE_INTAKE_RECIPIENT] = {FROM_RECEIVE, FROM_QUEUE,
	codec_intake_recipient},
    [MESSAGE_INTAKE_CONTENT] = {FROM_RECEIVE, FROM_QUEUE, codec_intake_content},
    [MESSAGE_INTAKE_COMMIT] = {FROM_RECEIVE, FROM_QUEUE, codec_intake_commit},
    [MESSAGE_INTAKE_ABORT] = {FROM_RECEIVE, FROM_QUEUE, codec_intake_abort},
    [MESSAGE_INTAKE_DONE] = {FROM_QUEUE, FROM_RECEIVE, codec_intake_done},
    [MESSAGE_INTAKE_CREDIT] = {FROM_QUEUE, FROM_RECEIVE, codec_intake_credit},
    [MESSAGE_INTAKE_STATE] = {FROM_QUEUE, FROM_RECEIVE, codec_intake_state},
    [MESSAGE_INTAKE_SITE] = {FROM_QUEUE, FROM_RECEIVE, codec_intake_site},
    [MESSAGE_TRIGGER] = {FROM_RECEIVE | FROM_CONTROL, FROM_QUEUE,
	codec_trigger},
    [MESSAGE_TRIGGER_DONE] = {FROM_QUEUE, FROM_RECEIVE | FROM_CONTROL,
	codec_trigger_done},
    [MESSAGE_SESSION_START] = {FROM_QUEUE, FROM_DELIVER, codec_session_start},
    [MESSAGE_SESSION_NEXT] = {FROM_DELIVER, FROM_QUEUE, codec_session_next},
    [MESSAGE_JOB] = {FROM_QUEUE, FROM_DELIVER, codec_job},
    [MESSAGE_JOB_NONE] = {FROM_QUEUE, FROM_DELIVER, codec_job_none},
    [MESSAGE_BLOCK_WANT] = {FROM_DELIVER, FROM_QUEUE, codec_block_want},
    [MESSAGE_BLOCK] = {FROM_QUEUE, FROM_DELIVER, codec_block},
    [MESSAGE_JOB_RESULT] = {FROM_DELIVER, FROM_QUEUE, codec_job_result},
    [MESSAGE_SESSION_END] = {FROM_DELIVER, FROM_QUEUE, codec_session_end},
    [MESSAGE_LIST] = {FROM_CONTROL, FROM_QUEUE, codec_list},
    [MESSAGE_LIST_MESSAGE] = {FROM_QUEUE, FROM_CONTROL, codec_list_message},
    [MESSAGE_LIST_DESTINATION] = {FROM_QUEUE, FROM_CONTROL,
	codec_list_destination},
    [MESSAGE_LIST_END] = {FROM_QUEUE, FROM_CONTROL, codec_list_end},
    [MESSAGE_CHANGE] = {FROM_CONTROL, FROM_QUEUE, codec_change},
    [MESSAGE_CHANGE_DONE] = {FROM_QUEUE, FROM_CONTROL, codec_change_done},
    [MESSAGE_RUN] = {FROM_CONTROL, FROM_QUEUE, codec_run},
    [MESSAGE_RUN_TEXT] = {FROM_QUEUE, FROM_CONTROL, codec_run_text},
    [MESSAGE_RUN_DONE] = {FROM_QUEUE, FROM_CONTROL, codec_run_done},
    [MESSAGE_TRACE] = {FROM_DELIVER, FROM_QUEUE, codec_trace},
};

int
message_encode(struct buf *out, const struct message *m)
{
	struct message copy = *m; /* a codec writes to what it is given */
	struct wire_writer writer = {.out = out};
	struct codec c = {.writer = &writer};
	size_t before = buf_size(out);

	CHECK(m->type < MESSAGE_TYPES);
	wire_put_u8(&writer, MESSAGE_VERSION);
	wire_put_u8(&writer, (uint8_t)m->type);
	message_rules[m->type].fields(&c, &copy);
	if (!codec_is_bad(&c) && buf_size(out) - before <= MESSAGE_FRAME_MAX)
		return 0;
	/* What was written of it is taken back. */
	out->end -= buf_size(out) - before;
	return -ENOBUFS;
}

int
message_decode(struct str frame, enum role_kind from, enum role_kind to,
    struct arena *arena, struct message *m_out)
{
	struct wire_reader reader = {.in = frame};
	struct codec c = {.reader = &reader, .arena = arena};
	const struct message_rule *rule;
	uint8_t version, type;

	CHECK(from < ROLE_KINDS && to < ROLE_KINDS);
	memset(m_out, 0, sizeof(*m_out));
	version = wire_get_u8(&reader);
	type = wire_get_u8(&reader);
	if (frame.size > MESSAGE_FRAME_MAX || version != MESSAGE_VERSION ||
	    type >= MESSAGE_TYPES)
		return -EPROTO;
	rule = &message_rules[type];
	if (!(rule->from & ROLE_BIT(from)) || !(rule->to & ROLE_BIT(to)))
		return -EPROTO;
	m_out->type = (enum message_type)type;
	rule->fields(&c, m_out);
	return !codec_is_bad(&c) && wire_is_whole(&reader) ? 0 : -EPROTO;
}
