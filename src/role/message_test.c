/*
 * The frame codec: every type there and back, at the limits and one past them;
 * every frame cut at every byte, with a byte too many, with any one byte
 * changed, and random bytes; who may send what.
 */
#include "role/message.h"
#include "unit/apart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MAX_SIZE 70000

static char long_text[LONG_MAX_SIZE];

static struct str
text_of(size_t size)
{
	return str_of(long_text, size);
}

/* One type with its way, all members set. */
struct sample {
	struct message m;
	enum role_kind from;
	enum role_kind to;
};

static struct str sample_domains[MESSAGE_DOMAINS_MAX];
static struct message_job_result sample_results[STORE_LEASE_ROWS_MAX];
static struct store_found_row sample_found[40];
static struct mail_envelope sample_envelope;
static struct mail_recipient sample_recipient;

static void
sample_rows(struct message *m, size_t count)
{
	m->u.job.row_count = count;
	m->u.job.rows = calloc(count, sizeof(m->u.job.rows[0]));
	for (size_t i = 0; i < count; i++) {
		m->u.job.rows[i].index = (uint32_t)(i * 9);
		m->u.job.rows[i].recipient = sample_recipient;
	}
}

static void
sample_arrays(size_t text_size)
{
	/* Member by member, so that the bytes between them stay 0. */
	sample_envelope.sender = text_of(320);
	sample_envelope.envid = text_of(100);
	sample_envelope.auth = text_of(500);
	sample_envelope.body = MAIL_BODY_8BITMIME;
	sample_envelope.ret = MAIL_RET_HDRS;
	sample_envelope.is_smtputf8 = true;
	sample_envelope.priority = -9;
	sample_recipient.address = text_of(320);
	sample_recipient.orcpt = text_of(500);
	sample_recipient.notify = 15;
	for (size_t i = 0; i < MESSAGE_DOMAINS_MAX; i++)
		sample_domains[i] = text_of(i + 1);
	for (size_t i = 0; i < STORE_LEASE_ROWS_MAX; i++)
		sample_results[i] = (struct message_job_result){
		    (uint32_t)i, SMTP_UNTRIED, text_of(11), text_of(text_size)};
	for (size_t i = 0; i < 40; i++)
		sample_found[i] = (struct store_found_row){(uint32_t)i,
		    STORE_STOPPED, true, 7, 8, sample_recipient, text_of(300),
		    text_of(text_size)};
}

/* Sets *S to a frame of TYPE with every member at its largest. */
static void
sample_intake(struct sample *s, enum message_type type)
{
	struct message *m = &s->m;

	s->from = ROLE_RECEIVE;
	s->to = ROLE_QUEUE;
	/* The transaction stands first in all of them. */
	m->u.intake_abort.transaction = UINT64_MAX;
	if (type == MESSAGE_INTAKE_OPEN) {
		m->u.intake_open.id = text_of(18);
		m->u.intake_open.envelope = sample_envelope;
	} else if (type == MESSAGE_INTAKE_RECIPIENT) {
		m->u.intake_recipient.recipient = sample_recipient;
	} else if (type == MESSAGE_INTAKE_CONTENT) {
		m->u.intake_content.bytes = text_of(STORE_BLOCK);
	} else if (type == MESSAGE_INTAKE_COMMIT) {
		m->u.intake_commit.content_size = 1ull << 40;
		m->u.intake_commit.content_crc32c = 0xdeadbeef;
		m->u.intake_commit.priority = -MAIL_PRIORITY_MAX;
	} else if (type != MESSAGE_INTAKE_ABORT) {
		s->from = ROLE_QUEUE;
		s->to = ROLE_RECEIVE;
	}
	if (type == MESSAGE_INTAKE_DONE) {
		m->u.intake_done.code = 599;
		m->u.intake_done.enhanced = text_of(11);
		m->u.intake_done.text = text_of(399);
	} else if (type == MESSAGE_INTAKE_CREDIT) {
		m->u.intake_credit.bytes = UINT32_MAX;
	} else if (type == MESSAGE_INTAKE_STATE) {
		memset(&m->u, 0, sizeof(m->u));
		m->u.intake_state.is_open = true;
		m->u.intake_state.size_max = UINT64_MAX;
	} else if (type == MESSAGE_INTAKE_SITE) {
		memset(&m->u, 0, sizeof(m->u));
		m->u.intake_site.site = text_of(300);
		m->u.intake_site.is_open = true;
	}
}

static void
sample_session(struct sample *s, enum message_type type)
{
	struct message *m = &s->m;

	s->from = ROLE_QUEUE;
	s->to = ROLE_DELIVER;
	m->u.job_none.session = UINT32_MAX; /* first in all of them */
	if (type == MESSAGE_SESSION_START) {
		m->u.session_start.destination = text_of(300);
		m->u.session_start.kind = CONF_ROUTE_MAILDIR;
		m->u.session_start.host = text_of(255);
		m->u.session_start.port = 65535;
		m->u.session_start.job = 12;
		m->u.session_start.trace = text_of(MESSAGE_NAMES_MAX);
	} else if (type == MESSAGE_JOB) {
		m->u.job.lease = 5;
		m->u.job.id = text_of(1);
		m->u.job.time_ms = 6;
		m->u.job.arrival_wall_ms = 7;
		m->u.job.envelope = sample_envelope;
		sample_rows(m, STORE_LEASE_ROWS_MAX);
		m->u.job.content = text_of(STORE_BLOCK);
		m->u.job.content_size = STORE_BLOCK;
	} else if (type == MESSAGE_BLOCK) {
		m->u.block.lease = 8;
		m->u.block.index = 9;
		m->u.block.is_damaged = true;
		m->u.block.crc32c = 10;
		m->u.block.bytes = text_of(STORE_BLOCK);
	} else if (type != MESSAGE_JOB_NONE) {
		s->from = ROLE_DELIVER;
		s->to = ROLE_QUEUE;
	}
	if (type == MESSAGE_SESSION_NEXT) {
		m->u.session_next.want = 16;
	} else if (type == MESSAGE_BLOCK_WANT) {
		m->u.block_want.lease = 8;
		m->u.block_want.index = 9;
	} else if (type == MESSAGE_JOB_RESULT) {
		m->u.job_result.lease = 11;
		m->u.job_result.host = text_of(STORE_DESTINATION_MAX);
		m->u.job_result.is_relayed = true;
		m->u.job_result.results = sample_results;
		m->u.job_result.result_count = STORE_LEASE_ROWS_MAX;
	} else if (type == MESSAGE_SESSION_END) {
		m->u.session_end.is_failed = true;
		m->u.session_end.is_permanent = true;
		m->u.session_end.status = text_of(11);
		m->u.session_end.answer = text_of(480);
	}
}

static struct store_filter
sample_filter(void)
{
	return (struct store_filter){
	    .id = text_of(STORE_ID_MAX),
	    .destination = text_of(300),
	    .sender = text_of(MAIL_ADDRESS_MAX + 1),
	    .recipient = text_of(MAIL_ADDRESS_MAX + 1),
	    .domain = text_of(MAIL_DOMAIN_MAX + 1),
	    .size_above = 31,
	};
}

static void
sample_list_message(struct store_found *found)
{
	found->key = 14;
	memcpy(found->id, long_text, STORE_ID_MAX);
	found->envelope = sample_envelope;
	found->arrival_ms = 15;
	found->arrival_wall_ms = 16;
	found->expire_ms = 17;
	found->content_size = 18;
	found->reason = text_of(STORE_REASON_MAX);
	found->rows = sample_found;
	found->row_count = 40;
}

static void
sample_list(struct sample *s, enum message_type type)
{
	struct message *m = &s->m;
	struct store_destination *d = &m->u.list_destination.destination;

	s->from = ROLE_QUEUE;
	s->to = ROLE_CONTROL;
	m->u.list.request = 13; /* first in all of them */
	if (type == MESSAGE_LIST_MESSAGE) {
		sample_list_message(&m->u.list_message.found);
	} else if (type == MESSAGE_LIST_DESTINATION) {
		d->name = text_of(300);
		for (size_t i = 0; i < STORE_LANES; i++)
			d->rows[i] = i + 1;
		d->messages = 5;
		d->bytes = 6;
		d->oldest_ms = 7;
		d->due_ms = 8;
		d->failures = 9;
		m->u.list_destination.state = text_of(32);
		m->u.list_destination.answer = text_of(500);
		m->u.list_destination.next_ms = 10;
		m->u.list_destination.answered_ms = 11;
	} else if (type == MESSAGE_LIST_END) {
		m->u.list_end.error = -4095;
		m->u.list_end.is_more = true;
		m->u.list_end.total = 23;
		m->u.list_end.queue_ms = 19;
		m->u.list_end.wall_ms = 20;
		m->u.list_end.next_key = 21;
	} else if (type == MESSAGE_CHANGE_DONE) {
		m->u.change_done.error = -EIO;
		m->u.change_done.changed_count = 21;
		m->u.change_done.leased_count = 22;
		m->u.change_done.moved_count = 23;
		m->u.change_done.next_key = 24;
	} else if (type == MESSAGE_TRIGGER_DONE) {
		m->u.trigger_done.result = MESSAGE_TRIGGER_UNKNOWN;
		m->u.trigger_done.count = UINT64_MAX;
	} else {
		s->from = ROLE_CONTROL;
		s->to = ROLE_QUEUE;
	}
	if (type == MESSAGE_LIST) {
		m->u.list.is_destinations = true;
		m->u.list.filter = sample_filter();
		m->u.list.older_ms = 32;
		m->u.list.after_key = 23;
		m->u.list.after_name = text_of(300);
		m->u.list.count = STORE_PAGE_MAX;
	} else if (type == MESSAGE_CHANGE) {
		m->u.change.filter = sample_filter();
		m->u.change.older_ms = 33;
		m->u.change.steer = MESSAGE_STEER_EXPIRE;
		m->u.change.change = STORE_CHANGE_DELETE;
		m->u.change.reason = text_of(STORE_REASON_MAX);
		m->u.change.is_dry = true;
		m->u.change.after_key = 34;
	} else if (type == MESSAGE_TRIGGER) {
		m->u.trigger.site = text_of(300);
		m->u.trigger.domains = sample_domains;
		m->u.trigger.domain_count = MESSAGE_DOMAINS_MAX;
	}
}

static struct store_select_term sample_terms[STORE_SELECT_MAX];

static void
sample_run(struct sample *s, enum message_type type)
{
	struct message *m = &s->m;

	s->from = ROLE_QUEUE;
	s->to = ROLE_CONTROL;
	m->u.run.request = 13; /* first in all but the last of them */
	if (type == MESSAGE_RUN) {
		s->from = ROLE_CONTROL;
		s->to = ROLE_QUEUE;
		m->u.run.is_verbose = true;
		m->u.run.order = MESSAGE_RUN_ANY;
		m->u.run.age_ms = 14;
		m->u.run.rank_max = UINT64_MAX;
		for (size_t i = 0; i < STORE_SELECT_MAX; i++) {
			memset(&sample_terms[i], 0, sizeof(sample_terms[i]));
			sample_terms[i].field = STORE_SELECT_REASON;
			sample_terms[i].is_not = true;
			sample_terms[i].text = text_of(STORE_SELECT_TEXT_MAX);
		}
		m->u.run.terms = sample_terms;
		m->u.run.term_count = STORE_SELECT_MAX;
	} else if (type == MESSAGE_RUN_TEXT) {
		m->u.run_text.text = text_of(MESSAGE_TEXT_BYTES);
	} else if (type == MESSAGE_RUN_DONE) {
		m->u.run_done.error = -EBUSY;
		m->u.run_done.status = 255;
		m->u.run_done.count = UINT64_MAX;
	} else {
		s->from = ROLE_DELIVER;
		s->to = ROLE_QUEUE;
		m->u.trace.session = UINT32_MAX;
		m->u.trace.text = text_of(MESSAGE_TEXT_BYTES);
	}
}

static struct sample
sample_of(enum message_type type)
{
	struct sample s;

	memset(&s, 0, sizeof(s));
	s.m.type = type;
	sample_arrays(480);
	if (type <= MESSAGE_INTAKE_SITE)
		sample_intake(&s, type);
	else if (type >= MESSAGE_SESSION_START && type <= MESSAGE_SESSION_END)
		sample_session(&s, type);
	else if (type >= MESSAGE_RUN && type <= MESSAGE_TRACE)
		sample_run(&s, type);
	else
		sample_list(&s, type);
	return s;
}

static void
sample_free(struct sample *s)
{
	if (s->m.type == MESSAGE_JOB)
		free(s->m.u.job.rows);
}

static int
encode(struct buf *out, const struct message *m)
{
	buf_init(out, MESSAGE_FRAME_MAX + 10);
	return message_encode(out, m);
}

/* Decodes with an arena of its own and forgets what came. */
static int
decode(struct str frame, enum role_kind from, enum role_kind to)
{
	struct arena arena;
	struct message m;
	/* A copy of the exact size, so that reading past it is seen. */
	char *copy = malloc(frame.size + 1);
	int error;

	memcpy(copy + 1, frame.data, frame.size);
	arena_init(&arena, MESSAGE_ARENA_MAX);
	error =
	    message_decode(str_of(copy + 1, frame.size), from, to, &arena, &m);
	arena_fini(&arena);
	free(copy);
	return error;
}

/* M's words without pointers: those into FROM, SIZE bytes, and of arrays. */
static void
strip_pointers(struct message *m, const char *from, size_t size)
{
	uintptr_t words[sizeof(m->u) / sizeof(uintptr_t)];

	if (m->type == MESSAGE_JOB)
		m->u.job.rows = NULL;
	if (m->type == MESSAGE_JOB_RESULT)
		m->u.job_result.results = NULL;
	if (m->type == MESSAGE_LIST_MESSAGE)
		m->u.list_message.found.rows = NULL;
	if (m->type == MESSAGE_TRIGGER)
		m->u.trigger.domains = NULL;
	if (m->type == MESSAGE_RUN)
		m->u.run.terms = NULL;
	memcpy(words, &m->u, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i] >= (uintptr_t)from &&
		    words[i] <= (uintptr_t)from + size)
			words[i] = 0;
	memcpy(&m->u, words, sizeof(words));
}

/* What is read equals what was written: seen by writing it again, and by
   comparing all members but pointers, none of which is 0 in a sample. */
static void
test_identity(void **state)
{
	for (int type = 0; type < MESSAGE_TYPES; type++) {
		struct sample s = sample_of((enum message_type)type);
		struct buf frame, again;
		struct arena arena;
		struct message m, original;

		assert_int_equal(encode(&frame, &s.m), 0);
		arena_init(&arena, MESSAGE_ARENA_MAX);
		assert_int_equal(
		    message_decode(buf_str(&frame), s.from, s.to, &arena, &m),
		    0);
		assert_int_equal(m.type, type);
		assert_int_equal(encode(&again, &m), 0);
		assert_int_equal(buf_size(&again), buf_size(&frame));
		assert_true(str_equal(buf_str(&again), buf_str(&frame)));
		strip_pointers(&m, buf_str(&frame).data, buf_size(&frame));
		original = s.m;
		strip_pointers(&original, long_text, sizeof(long_text));
		assert_memory_equal(&m.u, &original.u, sizeof(m.u));
		buf_fini(&again);
		buf_fini(&frame);
		arena_fini(&arena);
		sample_free(&s);
	}
}

static void
test_members(void **state)
{
	struct sample s = sample_of(MESSAGE_JOB);
	struct arena arena;
	struct buf frame;
	struct message m;

	arena_init(&arena, MESSAGE_ARENA_MAX);
	assert_int_equal(encode(&frame, &s.m), 0);
	assert_int_equal(
	    message_decode(buf_str(&frame), s.from, s.to, &arena, &m), 0);
	assert_int_equal(m.u.job.row_count, STORE_LEASE_ROWS_MAX);
	assert_int_equal(m.u.job.rows[99].index, 891);
	assert_int_equal(m.u.job.rows[99].recipient.orcpt.size, 500);
	assert_int_equal(m.u.job.envelope.priority, -9);
	assert_int_equal(m.u.job.content.size, STORE_BLOCK);
	buf_fini(&frame);
	sample_free(&s);

	s = sample_of(MESSAGE_LIST_MESSAGE);
	assert_int_equal(encode(&frame, &s.m), 0);
	assert_int_equal(
	    message_decode(buf_str(&frame), s.from, s.to, &arena, &m), 0);
	assert_string_equal(m.u.list_message.found.id, "xxxxxxxxxxxxxxxxxx");
	assert_int_equal(m.u.list_message.found.reason.size, STORE_REASON_MAX);
	assert_int_equal(m.u.list_message.found.rows[39].lane, STORE_STOPPED);
	assert_true(m.u.list_message.found.rows[39].is_leased);
	buf_fini(&frame);

	s = sample_of(MESSAGE_LIST_END);
	assert_int_equal(encode(&frame, &s.m), 0);
	assert_int_equal(
	    message_decode(buf_str(&frame), s.from, s.to, &arena, &m), 0);
	assert_int_equal(m.u.list_end.error, -4095);
	buf_fini(&frame);
	arena_fini(&arena);
}

static int
cut_type(void *arg)
{
	struct sample s = sample_of(*(enum message_type *)arg);
	struct buf frame;
	struct str whole;

	assert_int_equal(encode(&frame, &s.m), 0);
	whole = buf_str(&frame);
	for (size_t size = 0; size < whole.size; size++) {
		/* Inside long strings not every byte. */
		if (size > 3000 && size + 3000 < whole.size)
			size += 61;
		assert_int_equal(
		    decode(str_head(whole, size), s.from, s.to), -EPROTO);
	}
	assert_int_equal(buf_append(&frame, STR("x")), 0);
	assert_int_equal(decode(buf_str(&frame), s.from, s.to), -EPROTO);
	buf_fini(&frame);
	sample_free(&s);
	return 0;
}

static void
test_cut(void **state)
{
	for (enum message_type type = 0; type < MESSAGE_TYPES; type++)
		apart(cut_type, &type);
}

/* Only the ways of the table are open. */
static void
test_ways(void **state)
{
	for (int type = 0; type < MESSAGE_TYPES; type++) {
		struct sample s = sample_of((enum message_type)type);
		unsigned open_count = 0;
		struct buf frame;

		assert_int_equal(encode(&frame, &s.m), 0);
		for (int i = 0; i < ROLE_KINDS * ROLE_KINDS; i++) {
			enum role_kind from = (enum role_kind)(i % ROLE_KINDS);
			enum role_kind to = (enum role_kind)(i / ROLE_KINDS);

			if (decode(buf_str(&frame), from, to) < 0)
				continue;
			open_count++;
			assert_true((from == ROLE_QUEUE) != (to == ROLE_QUEUE));
		}
		assert_int_equal(open_count,
		    type == MESSAGE_TRIGGER || type == MESSAGE_TRIGGER_DONE
			? 2
			: 1);
		buf_fini(&frame);
		sample_free(&s);
	}
}

/* One past each limit is refused on the way out, and OUT is as it was. */
static void
test_limits(void **state)
{
	struct str many[MESSAGE_DOMAINS_MAX + 1] = {{0}};
	const struct message refused[] = {
	    {MESSAGE_INTAKE_OPEN, .u.intake_open.id = STR("")},
	    {MESSAGE_INTAKE_OPEN, .u.intake_open.id = STR("../x")},
	    {MESSAGE_INTAKE_OPEN,
		.u.intake_open.id = STR("0123456789012345678")},
	    {MESSAGE_INTAKE_OPEN, .u.intake_open = {.id = STR("a"),
				      .envelope.sender = text_of(321)}},
	    {MESSAGE_INTAKE_RECIPIENT},
	    {MESSAGE_INTAKE_RECIPIENT,
		.u.intake_recipient.recipient.address = text_of(321)},
	    {MESSAGE_INTAKE_CONTENT,
		.u.intake_content.bytes = text_of(STORE_BLOCK + 1)},
	    {MESSAGE_INTAKE_DONE, .u.intake_done.code = 199},
	    {MESSAGE_INTAKE_DONE, .u.intake_done.code = 600},
	    {MESSAGE_INTAKE_DONE,
		.u.intake_done = {.code = 250, .text = text_of(400)}},
	    {MESSAGE_TRIGGER, .u.trigger.site = text_of(301)},
	    {MESSAGE_TRIGGER, .u.trigger = {.domains = many,
				  .domain_count = MESSAGE_DOMAINS_MAX + 1}},
	    {MESSAGE_SESSION_NEXT, .u.session_next.want = 0},
	    {MESSAGE_SESSION_NEXT, .u.session_next.want = 17},
	    {MESSAGE_JOB, .u.job.id = STR("a")},
	    {MESSAGE_LIST, .u.list.count = 0},
	    {MESSAGE_LIST, .u.list.count = STORE_PAGE_MAX + 1},
	    {MESSAGE_LIST, .u.list = {.count = 1,
			       .filter.sender = text_of(MAIL_ADDRESS_MAX + 2)}},
	    {MESSAGE_CHANGE,
		.u.change.filter.recipient = text_of(MAIL_ADDRESS_MAX + 2)},
	    {MESSAGE_CHANGE,
		.u.change.filter.domain = text_of(MAIL_DOMAIN_MAX + 2)},
	    {MESSAGE_CHANGE, .u.change.steer = (enum message_steer)(
				 MESSAGE_STEER_EXPIRE + 1)},
	    {MESSAGE_LIST_END, .u.list_end.error = -4096},
	    {MESSAGE_LIST_END, .u.list_end.error = 1},
	    {MESSAGE_CHANGE, .u.change.change =
				 (enum store_change)(STORE_CHANGE_DELETE + 1)},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct buf out;

		buf_init(&out, MESSAGE_FRAME_MAX);
		assert_int_equal(buf_append(&out, STR("before")), 0);
		if (message_encode(&out, &refused[i]) != -ENOBUFS)
			fail_msg("case %zu was encoded", i);
		assert_true(str_equal(buf_str(&out), STR("before")));
		buf_fini(&out);
	}
}

/* A job whose content is not as long as it says. */
static void
test_job_content(void **state)
{
	struct sample s = sample_of(MESSAGE_JOB);
	struct buf out;

	s.m.u.job.content_size++;
	assert_int_equal(encode(&out, &s.m), -ENOBUFS);
	buf_fini(&out);
	s.m.u.job.content = STR("");
	assert_int_equal(encode(&out, &s.m), 0);
	buf_fini(&out);
	sample_free(&s);
}

/* A message with more recipients than fit a frame is refused whole. */
static void
test_frame_max(void **state)
{
	struct sample s = sample_of(MESSAGE_LIST_MESSAGE);
	struct store_found *found = &s.m.u.list_message.found;
	struct buf out;

	found->row_count = 300;
	found->rows = calloc(found->row_count, sizeof(found->rows[0]));
	for (size_t i = 0; i < found->row_count; i++)
		found->rows[i] = sample_found[0];
	buf_init(&out, 4 * MESSAGE_FRAME_MAX);
	assert_int_equal(message_encode(&out, &s.m), -ENOBUFS);
	assert_int_equal(buf_size(&out), 0);
	buf_fini(&out);
	free(found->rows);
}

static uint32_t
next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33);
}

/* Any bytes, and frames with a byte changed: an answer, never a crash; what
   is accepted can be written again. */
static void
test_noise(void **state)
{
	uint64_t seed = 7;
	char bytes[400];

	for (int round = 0; round < 60000; round++) {
		size_t size = next_random(&seed) % sizeof(bytes);

		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)next_random(&seed);
		if (round % 2 && size > 2) {
			bytes[0] = MESSAGE_VERSION;
			bytes[1] = (char)(next_random(&seed) % MESSAGE_TYPES);
		}
		decode(str_of(bytes, size), ROLE_RECEIVE, ROLE_QUEUE);
		decode(str_of(bytes, size), ROLE_DELIVER, ROLE_QUEUE);
		decode(str_of(bytes, size), ROLE_QUEUE, ROLE_CONTROL);
		decode(str_of(bytes, size), ROLE_QUEUE, ROLE_DELIVER);
	}
	for (int round = 0; round < 6000; round++) {
		struct sample s = sample_of(
		    (enum message_type)(next_random(&seed) % MESSAGE_TYPES));
		struct buf frame;
		size_t at;

		assert_int_equal(encode(&frame, &s.m), 0);
		at = next_random(&seed) % buf_size(&frame);
		at %= round % 2 ? buf_size(&frame) : 60;
		at %= buf_size(&frame);
		frame.data[frame.start + at] ^= (char)(1u << (round % 8));
		decode(buf_str(&frame), s.from, s.to);
		buf_fini(&frame);
		sample_free(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_identity),
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_ways),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_job_content),
	    cmocka_unit_test(test_frame_max),
	    cmocka_unit_test(test_noise),
	};

	memset(long_text, 'x', sizeof(long_text));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
