/*
 * A workload for the spool with the model engine beside it, for the tests of
 * power cuts and faults; a header of static functions for test programs only.
 *
 * The trial runs batches of random requests.  For each message it knows what
 * was acknowledged (now), and what the batch at work makes of it (next): after
 * a power cut a message must be one or the other, its content whole.
 */
#ifndef STORE_SPOOL_SPOOL_TRIAL_H
#define STORE_SPOOL_SPOOL_TRIAL_H

#include "base/log.h"
#include "os/os_sim.h"
#include "store/contract_test.h"
#include "store/ram/ram.h"
#include "store/spool/spool.h"

#define TRIAL_MESSAGES_MAX 400
#define TRIAL_BATCH_MAX    6
#define TRIAL_LEASES_MAX   16
#define TRIAL_SEGMENT_SIZE 8192
#define TRIAL_TEXT_MAX     (1 << 20)

struct trial_message {
	char id[STORE_ID_MAX + 1];
	char dsn_of[STORE_ID_MAX + 1]; /* came with the settle of that one */
	size_t size;
	struct buf now, next;
};

struct trial_lease {
	char id[STORE_ID_MAX + 1];
	char destination[8];
	uint32_t index;
};

struct trial {
	struct os *os;
	struct store *spool;
	struct store *ram;
	uint64_t random;
	uint64_t now_ms;
	uint64_t step;
	bool is_dead; /* fatal was called */
	struct trial_message messages[TRIAL_MESSAGES_MAX];
	size_t message_count;
	struct trial_lease leases[TRIAL_LEASES_MAX];
	size_t lease_count;
	uint64_t clock_ms, clock_next_ms;
};

static size_t
trial_below(struct trial *trial, size_t bound)
{
	uint64_t z = trial->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (size_t)((z ^ z >> 31) % bound);
}

static void
trial_fatal(void *arg)
{
	*(bool *)arg = true;
}

/* Opens the spool on OS; DEAD is set when it would have ended the process. */
static int
trial_open(struct os *os, bool *dead, struct store **store_out)
{
	struct store_spool_options options = {
	    .segment_size = TRIAL_SEGMENT_SIZE,
	    .fatal = trial_fatal,
	    .fatal_arg = dead,
	};

	return store_spool_open(os, &options, store_out);
}

static void
trial_run(struct store *store, struct store_request **requests, size_t count)
{
	store->ops->batch(store, requests, count);
}

/* The rows of a message as text, "" if it is not there. */
static void
trial_text(struct store *store, const char *id, struct buf *out)
{
	struct store_request *request = store_request_new(STORE_FIND);
	const struct store_found *found;

	buf_clear(out);
	request->u.find.filter.id = str_from(id);
	request->u.find.count = 2;
	trial_run(store, &request, 1);
	assert_int_equal(request->error, 0);
	assert_true(request->u.find.found_count <= 1);
	found = request->u.find.found;
	for (size_t i = 0; i < request->u.find.found_count; i++) {
		kit_put(
		    out, "%s size=%llu", found->id, KIT_U(found->content_size));
		kit_put_envelope(out, &found->envelope);
		for (size_t j = 0; j < found->row_count; j++)
			kit_put(out,
			    "\n %u lane=%d %u due=%llu alarm=%llu/%d"
			    " %.*s %.*s %.*s",
			    found->rows[j].index, found->rows[j].lane,
			    found->rows[j].attempts,
			    KIT_U(found->rows[j].due_ms),
			    KIT_U(found->rows[j].alarm_ms),
			    found->rows[j].is_told,
			    STR_ARG(found->rows[j].recipient.address),
			    STR_ARG(found->rows[j].destination),
			    STR_ARG(found->rows[j].status));
	}
	store_request_free(request);
}

static struct trial_message *
trial_message(struct trial *trial, const char *id)
{
	for (size_t i = 0; i < trial->message_count; i++)
		if (strcmp(trial->messages[i].id, id) == 0)
			return &trial->messages[i];
	return NULL;
}

/* A new message of the trial, as an append or a DSN carries it. */
static struct store_message *
trial_new_message(struct trial *trial, const char *dsn_of, size_t size)
{
	static const char *const names[] = {"d0", "d1", "site"};
	struct trial_message *m = &trial->messages[trial->message_count];
	size_t count = 1 + trial_below(trial, 3);
	struct store_message *message;
	char address[32];

	CHECK(trial->message_count < TRIAL_MESSAGES_MAX);
	trial->message_count++;
	snprintf(m->id, sizeof(m->id), "M%zu.x..y", trial->message_count);
	snprintf(m->dsn_of, sizeof(m->dsn_of), "%s", dsn_of);
	m->size = size;
	buf_init(&m->now, TRIAL_TEXT_MAX);
	buf_init(&m->next, TRIAL_TEXT_MAX);
	message = kit_message_bare(m->id, trial_below(trial, 1000), count);
	message->arrival_ms = trial->now_ms;
	for (size_t i = 0; i < count; i++) {
		const char *name = names[trial_below(trial, 3)];

		snprintf(address, sizeof(address), "u%zu@%s.org", i, name);
		kit_set_row(message, i, address, name, name[0] == 's');
		message->rows[i].alarm_ms = trial->now_ms + i;
	}
	return message;
}

/* Requests that stage and append SIZE bytes; the count. */
static size_t
trial_make_append(
    struct trial *trial, size_t size, bool is_staged, struct store_request **to)
{
	struct store_message *message = trial_new_message(trial, "", size);
	size_t count = 0;

	if (is_staged) {
		struct str bytes = {kit_content(message->id, 0, size), size};

		to[count] = store_request_new(STORE_STAGE);
		kit_set_id(to[count]->u.stage.id, message->id);
		to[count]->u.stage.bytes = arena_copy(&to[count]->arena, bytes);
		free((void *)(uintptr_t)bytes.data);
		message->is_staged = true;
		message->content_size = size;
		count++;
	} else
		kit_set_content(message, size);
	to[count] = store_request_new(STORE_APPEND);
	to[count++]->u.append.message = message;
	return count;
}

/* A settle of one of the leases; the lease is forgotten. */
static struct store_request *
trial_make_settle(struct trial *trial)
{
	struct trial_lease lease = trial->leases[--trial->lease_count];
	struct store_request *request = store_request_new(STORE_SETTLE);
	struct store_result *result =
	    arena_new(&request->arena, sizeof(*result));

	kit_set_id(request->u.settle.id, lease.id);
	request->u.settle.destination =
	    arena_copy(&request->arena, str_from(lease.destination));
	result->index = lease.index;
	result->outcome =
	    (enum store_outcome)trial_below(trial, STORE_UNTRIED + 1);
	if (trial_below(trial, 2) == 0)
		result->outcome = STORE_DELIVERED;
	if (result->outcome == STORE_DEFERRED) {
		result->due_ms = trial->now_ms + trial_below(trial, 300);
		result->status = STR("451 4.2.0 later");
	}
	if (result->outcome == STORE_DEFERRED ||
	    result->outcome == STORE_UNTRIED) {
		result->alarm_ms = trial->now_ms + 77;
		result->is_told = true;
	}
	request->u.settle.results = result;
	request->u.settle.result_count = 1;
	if (result->outcome == STORE_FAILED) {
		request->u.settle.dsn =
		    trial_new_message(trial, lease.id, trial_below(trial, 900));
		kit_set_content(request->u.settle.dsn,
		    trial->messages[trial->message_count - 1].size);
	}
	return request;
}

/* The first message that is queued, or NULL. */
static const struct trial_message *
trial_pick(const struct trial *trial)
{
	for (size_t i = 0; i < trial->message_count; i++)
		if (buf_size(&trial->messages[i].now) > 0)
			return &trial->messages[i];
	return NULL;
}

/* Moves a recipient or two of the message. */
static struct store_request *
trial_make_move(struct trial *trial, const char *id)
{
	static const char *const names[] = {"d0", "d1", "site"};
	struct store_request *request = store_request_new(STORE_MOVE);
	size_t count = 1 + trial_below(trial, 2);
	struct store_move *moves =
	    arena_new(&request->arena, count * sizeof(*moves));

	kit_set_id(request->u.move.id, id);
	for (size_t i = 0; i < count; i++)
		moves[i] = (struct store_move){
		    .index = (uint32_t)i,
		    .destination = str_from(names[trial_below(trial, 3)]),
		    .is_held = trial_below(trial, 2) > 0,
		};
	request->u.move.moves = moves;
	request->u.move.move_count = count;
	request->u.move.is_now = trial_below(trial, 2) > 0;
	return request;
}

/* Copies the request for the other engine. */
static struct store_request *
trial_twin(const struct store_request *from)
{
	struct store_request *to = store_request_new(from->verb);
	struct store_message *message = NULL, *copy = NULL;

	to->u = from->u;
	if (from->verb == STORE_APPEND)
		message = from->u.append.message;
	if (from->verb == STORE_SETTLE)
		message = from->u.settle.dsn;
	if (message != NULL) {
		copy = store_message_new();
		arena_fini(&copy->arena);
		*copy = *message;
		arena_init(&copy->arena, STORE_ARENA_MAX);
		buf_init(&copy->content, STORE_CONTENT_MEMORY);
		CHECK(buf_append(&copy->content, buf_str(&message->content)) ==
		      0);
	}
	if (from->verb == STORE_APPEND)
		to->u.append.message = copy;
	if (from->verb == STORE_SETTLE)
		to->u.settle.dsn = copy;
	return to;
}

/* True if the next settle is of a message that the batch settles already: each
   message changes once in a batch, so that there is nothing in between. */
static bool
trial_is_settled(
    const struct trial *trial, struct store_request **requests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(requests[i]->u.settle.id,
			trial->leases[trial->lease_count - 1].id) == 0)
			return true;
	return false;
}

/* Requests of one batch; the count. */
static size_t
trial_make(struct trial *trial, struct store_request **to)
{
	size_t kind = trial_below(trial, 20), count = 0, wanted;

	trial->now_ms += trial_below(trial, 40);
	wanted = 1 + trial_below(trial, TRIAL_BATCH_MAX / 2);
	if (kind < 7) {
		while (count < wanted)
			count += trial_make_append(trial,
			    trial_below(trial, 10) == 0
				? 5000
				: trial_below(trial, 1500),
			    false, to + count);
	} else if (kind < 9)
		count = trial_make_append(
		    trial, trial_below(trial, 2) == 0 ? 70000 : 100, true, to);
	else if (kind < 14 && trial->lease_count > 0) {
		while (count < wanted && trial->lease_count > 0 &&
		       !trial_is_settled(trial, to, count))
			to[count++] = trial_make_settle(trial);
	} else if (kind == 14 && trial_pick(trial) != NULL) {
		to[count++] = trial_make_move(trial, trial_pick(trial)->id);
	} else if (kind == 15) {
		to[count] = store_request_new(STORE_DUE);
		to[count++]->u.due.now_ms = trial->now_ms;
	} else if (kind == 16) {
		to[count] = store_request_new(STORE_REHOLD);
		to[count++]->u.rehold.destination = STR("d1");
	} else if (kind == 17) {
		to[count] = store_request_new(STORE_CHANGE);
		to[count]->u.change.filter.destination = STR("d0");
		to[count++]->u.change.change =
		    (enum store_change)trial_below(trial, 3);
	} else if (kind == 18) {
		to[count] = store_request_new(STORE_CLOCK);
		to[count]->u.clock.queue_ms = trial->now_ms;
		to[count++]->u.clock.wall_ms = 1700000000000 + trial->now_ms;
	} else {
		static const char *const names[] = {"d0", "d1", "site"};
		const char *name = names[trial_below(trial, 3)];

		to[count] = store_request_new(STORE_TAKE);
		to[count]->u.take.destination = str_from(name);
		to[count]->u.take.is_released = true;
		to[count++]->u.take.count =
		    trial->lease_count > 8 ? 0 : 1 + trial_below(trial, 4);
	}
	return count;
}

/* Remembers what was leased. */
static void
trial_note_leases(struct trial *trial, const struct store_request *take)
{
	for (size_t i = 0; i < take->u.take.lease_count; i++) {
		const struct store_lease *from = &take->u.take.leases[i];
		struct trial_lease *to = &trial->leases[trial->lease_count++];

		CHECK(trial->lease_count <= TRIAL_LEASES_MAX);
		memcpy(to->id, from->id, sizeof(to->id));
		snprintf(to->destination, sizeof(to->destination), "%.*s",
		    STR_ARG(take->u.take.destination));
		to->index = from->rows[0].index;
	}
}

/* What the batch makes of each message, in next. */
static void
trial_foresee(struct trial *trial)
{
	for (size_t i = 0; i < trial->message_count; i++)
		trial_text(trial->ram, trial->messages[i].id,
		    &trial->messages[i].next);
}

/* The batch is acknowledged. */
static void
trial_accept(struct trial *trial)
{
	for (size_t i = 0; i < trial->message_count; i++) {
		struct trial_message *m = &trial->messages[i];

		buf_clear(&m->now);
		CHECK(buf_append(&m->now, buf_str(&m->next)) == 0);
	}
	trial->clock_ms = trial->clock_next_ms;
}

static void
trial_begin(struct trial *trial, uint64_t seed)
{
	memset(trial, 0, sizeof(*trial));
	trial->random = seed;
	trial->now_ms = 1000;
	trial->os = os_sim_new(seed);
	trial->ram = store_ram_new(NULL);
}

static void
trial_end(struct trial *trial)
{
	for (size_t i = 0; i < trial->message_count; i++) {
		buf_fini(&trial->messages[i].now);
		buf_fini(&trial->messages[i].next);
	}
	if (trial->spool != NULL)
		trial->spool->ops->close(trial->spool);
	trial->ram->ops->close(trial->ram);
	os_free(trial->os);
}

/* True if the content can be read and is right. */
static bool
trial_has_content(struct store *store, const struct trial_message *m)
{
	char *want = kit_content(m->id, 0, m->size);
	size_t done = 0, size = 1;
	bool is_right = true;

	for (uint64_t index = 0; is_right && size > 0; index++) {
		struct store_request *request = store_request_new(STORE_READ);

		kit_set_id(request->u.read.id, m->id);
		request->u.read.index = index;
		trial_run(store, &request, 1);
		size = request->u.read.bytes.size;
		is_right = request->error == 0;
		/* Wrong bytes are worse than none. */
		if (is_right &&
		    (done + size > m->size || !str_equal(request->u.read.bytes,
						  str_of(want + done, size))))
			fail_msg("wrong content of %s", m->id);
		done += size;
		store_request_free(request);
	}
	free(want);
	return is_right && done == m->size;
}

/* What a spool that was opened after a cut at WHERE holds: each message as it
   was or as it was to be. */
static void
trial_judge(struct trial *trial, struct store *store, const char *where)
{
	struct buf text;

	buf_init(&text, TRIAL_TEXT_MAX);
	store->ops->check(store);
	for (size_t i = 0; i < trial->message_count; i++) {
		const struct trial_message *m = &trial->messages[i];
		const struct trial_message *other;
		bool is_now, is_next;

		trial_text(store, m->id, &text);
		is_now = str_equal(buf_str(&text), buf_str(&m->now));
		is_next = str_equal(buf_str(&text), buf_str(&m->next));
		if (!is_now && !is_next)
			fail_msg("%s: %s is\n%.*s\nnot\n%.*s\nor\n%.*s", where,
			    m->id, STR_ARG(buf_str(&text)),
			    STR_ARG(buf_str(&m->now)),
			    STR_ARG(buf_str(&m->next)));
		if (buf_size(&text) > 0 && !trial_has_content(store, m))
			fail_msg("%s: content of %s", where, m->id);
		if (m->dsn_of[0] == '\0' || buf_size(&m->now) > 0 ||
		    buf_size(&m->next) == 0)
			continue;
		/* The settle and its DSN are one step. */
		other = trial_message(trial, m->dsn_of);
		trial_text(store, other->id, &text);
		if (is_next != str_equal(buf_str(&text), buf_str(&other->next)))
			fail_msg("%s: %s without its settle", where, m->id);
	}
	buf_fini(&text);
}

#endif
