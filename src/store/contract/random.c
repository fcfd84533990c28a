/*
 * The random driver: two engines, the same requests, the same answers.  Each
 * engine has a side with a random state of its own; as long as all answers are
 * the same the two sides stay in step, so what a side remembers of its leases
 * and staged content is the same as well.
 */

#include "base/crc32c.h"
#include "store/contract/contract_own.h"

#define CONTRACT_LEASES_MAX 64
#define CONTRACT_STAGES_MAX 4
#define CONTRACT_FULL_EVERY 64  /* steps between looks at everything */
#define CONTRACT_OPEN_EVERY 150 /* steps between closing and opening */

struct contract_lease {
	char id[STORE_ID_MAX + 1];
	char destination[8];
	uint32_t rows[STORE_LEASE_ROWS_MAX];
	size_t row_count;
};

struct contract_side {
	const struct store_contract_factory *factory; /* or NULL */
	struct store *store;
	uint64_t random;
	uint64_t now_ms;
	size_t id_count; /* ids R0..R(id_count - 1) were used */
	struct contract_lease leases[CONTRACT_LEASES_MAX];
	size_t lease_count;
	size_t staged_ids[CONTRACT_STAGES_MAX];
	size_t staged_sizes[CONTRACT_STAGES_MAX];
	size_t staged_count;
	struct buf out; /* the answers of this step */
};

/* A number below BOUND (splitmix64). */
static size_t
contract_below(struct contract_side *side, size_t bound)
{
	uint64_t z = side->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (size_t)((z ^ z >> 31) % bound);
}

static const char *
contract_destination(struct contract_side *side)
{
	static const char *const names[] = {"d0", "d1", "d2", "d3", "d4"};

	return names[contract_below(side, 5)];
}

static const char *
contract_domain(struct contract_side *side)
{
	static const char *const names[] = {"x.org", "y.org", "z.org"};

	return names[contract_below(side, 3)];
}

static void
contract_id(char id[STORE_ID_MAX + 1], size_t number)
{
	snprintf(id, STORE_ID_MAX + 1, "R%u", (unsigned)number);
}

/* A message with up to 6 rows, sometimes 220; without content. */
static struct store_message *
contract_random_message(struct contract_side *side, const char *id)
{
	bool is_wide = contract_below(side, 40) == 0;
	size_t count = is_wide ? 220 : 1 + contract_below(side, 6);
	const char *one = contract_destination(side);
	struct store_message *message;
	char address[64];

	message = kit_message_bare(id, contract_below(side, 50), count);
	message->arrival_ms = side->now_ms;
	message->expire_ms = side->now_ms + KIT_EXPIRE_MS;
	for (size_t i = 0; i < count; i++) {
		const char *destination = is_wide || contract_below(side, 2) > 0
		                              ? one
		                              : contract_destination(side);

		snprintf(address, sizeof(address), "u%zu@%s", i,
		    contract_domain(side));
		kit_set_row(message, i, address, destination,
		    contract_below(side, 8) == 0 || destination[1] == '1');
		message->rows[i].recipient.is_expanded = i % 3 == 1;
		if (contract_below(side, 4) > 0)
			message->rows[i].alarm_ms =
			    side->now_ms + contract_below(side, 20) * 1000;
	}
	return message;
}

static size_t
contract_random_size(struct contract_side *side)
{
	static const size_t sizes[] = {
	    0, 1, STORE_BLOCK - 1, STORE_BLOCK, STORE_BLOCK + 1, 200000};

	return contract_below(side, 10) > 0 ? contract_below(side, 500)
	                                    : sizes[contract_below(side, 6)];
}

static struct store_request *
contract_append_new(struct contract_side *side, size_t number)
{
	struct store_request *request = store_request_new(STORE_APPEND);
	char id[STORE_ID_MAX + 1];

	contract_id(id, number);
	request->u.append.message = contract_random_message(side, id);
	kit_set_content(request->u.append.message, contract_random_size(side));
	/* Sometimes against the contract. */
	if (contract_below(side, 30) == 0)
		request->u.append.message->content_size++;
	return request;
}

/* Up to 4 in one batch. */
static void
contract_do_append(struct contract_side *side)
{
	struct store_request *requests[4];
	size_t count = 1 + contract_below(side, 4);

	for (size_t i = 0; i < count; i++)
		requests[i] = contract_append_new(side, side->id_count++);
	side->store->ops->batch(side->store, requests, count);
	for (size_t i = 0; i < count; i++) {
		kit_put(&side->out, "append %s %d\n",
		    requests[i]->u.append.message->id, requests[i]->error);
		store_request_free(requests[i]);
	}
	side->store->ops->check(side->store);
}

/* The id of a message that is queued must be refused. */
static void
contract_do_append_again(struct contract_side *side)
{
	struct store_request *request;
	size_t number, count;
	char id[STORE_ID_MAX + 1];

	if (side->id_count == 0)
		return;
	number = contract_below(side, side->id_count);
	contract_id(id, number);
	count = kit_put_find(side->store, &side->out, id, "", 1);
	if (count == 0)
		return;
	request = contract_append_new(side, number);
	/* There is to be one reason only to refuse it. */
	request->u.append.message->content_size =
	    buf_size(&request->u.append.message->content);
	kit_put(&side->out, "again %d\n", kit_finish(side->store, request));
}

static void
contract_do_stage(struct contract_side *side)
{
	size_t slot = contract_below(side, CONTRACT_STAGES_MAX);
	size_t size = contract_random_size(side);
	char id[STORE_ID_MAX + 1];

	if (slot >= side->staged_count) {
		slot = side->staged_count++;
		side->staged_ids[slot] = side->id_count++;
		side->staged_sizes[slot] = 0;
	}
	contract_id(id, side->staged_ids[slot]);
	kit_put(&side->out, "stage %s %d\n", id,
	    kit_stage(side->store, id, side->staged_sizes[slot], size));
	side->staged_sizes[slot] += size;
}

/* Ends one staging: as a message, or by dropping it. */
static void
contract_do_stage_end(struct contract_side *side)
{
	struct store_message *message;
	char id[STORE_ID_MAX + 1];
	size_t slot;
	int error;

	if (side->staged_count == 0)
		return;
	slot = contract_below(side, side->staged_count);
	contract_id(id, side->staged_ids[slot]);
	if (contract_below(side, 4) == 0)
		error = kit_unstage(side->store, id);
	else {
		message = contract_random_message(side, id);
		message->is_staged = true;
		message->content_size = side->staged_sizes[slot];
		error = kit_append(side->store, message);
	}
	kit_put(&side->out, "stage end %s %d\n", id, error);
	side->staged_count--;
	side->staged_ids[slot] = side->staged_ids[side->staged_count];
	side->staged_sizes[slot] = side->staged_sizes[side->staged_count];
}

static void
contract_put_lease(struct contract_side *side, const struct store_lease *lease)
{
	kit_put(&side->out,
	    "lease %s at %.*s %llu/%llu/%llu size=%llu inline=%zu/%u",
	    lease->id, STR_ARG(lease->destination), KIT_U(lease->arrival_ms),
	    KIT_U(lease->arrival_wall_ms), KIT_U(lease->expire_ms),
	    KIT_U(lease->content_size), lease->content.size,
	    crc32c(0, lease->content));
	kit_put_envelope(&side->out, &lease->envelope);
	for (size_t i = 0; i < lease->row_count; i++)
		kit_put(&side->out, "\n  %u %u %llu %d %.*s %.*s %.*s %d %.*s",
		    lease->rows[i].index, lease->rows[i].attempts,
		    KIT_U(lease->rows[i].alarm_ms), lease->rows[i].is_told,
		    STR_ARG(lease->rows[i].status),
		    STR_ARG(lease->rows[i].recipient.address),
		    STR_ARG(lease->rows[i].recipient.orcpt),
		    mail_recipient_bits(&lease->rows[i].recipient),
		    STR_ARG(lease->rows[i].domain));
	kit_put(&side->out, "\n");
}

/* Writes the leases down and remembers them. */
static void
contract_keep_leases(
    struct contract_side *side, const struct store_lease *leases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct store_lease *from = &leases[i];
		struct contract_lease *to = &side->leases[side->lease_count++];

		contract_put_lease(side, from);
		memcpy(to->id, from->id, sizeof(to->id));
		snprintf(to->destination, sizeof(to->destination), "%.*s",
		    STR_ARG(from->destination));
		to->row_count = from->row_count;
		for (size_t j = 0; j < from->row_count; j++)
			to->rows[j] = from->rows[j].index;
	}
}

static size_t
contract_inline_max(struct contract_side *side)
{
	static const size_t sizes[] = {0, 100, STORE_BLOCK};

	return sizes[contract_below(side, 3)];
}

static void
contract_do_take(struct contract_side *side)
{
	struct store_request *request = store_request_new(STORE_TAKE);
	const char *destination = contract_destination(side);
	struct str domains[2];

	for (size_t i = 0; i < 2; i++)
		domains[i] = str_from(contract_domain(side));
	request->u.take.destination = str_from(destination);
	request->u.take.domains = domains;
	request->u.take.domain_count =
	    contract_below(side, 2) ? 0 : contract_below(side, 3);
	request->u.take.is_released = contract_below(side, 2) > 0;
	request->u.take.count = contract_below(side, 5);
	request->u.take.inline_max = contract_inline_max(side);
	if (side->lease_count + 4 > CONTRACT_LEASES_MAX)
		request->u.take.count = 0;
	kit_run(side->store, request);
	kit_put(&side->out, "take %s %d\n", destination, request->error);
	contract_keep_leases(
	    side, request->u.take.leases, request->u.take.lease_count);
	store_request_free(request);
}

static void
contract_do_alarm(struct contract_side *side)
{
	struct store_request *request = store_request_new(STORE_ALARM);

	request->u.alarm.now_ms = side->now_ms;
	request->u.alarm.count = contract_below(side, 5);
	if (side->lease_count + 4 > CONTRACT_LEASES_MAX)
		request->u.alarm.count = 0;
	kit_run(side->store, request);
	kit_put(&side->out, "alarm %d %d %llu\n", request->error,
	    request->u.alarm.is_passed, KIT_U(request->u.alarm.next_alarm_ms));
	contract_keep_leases(
	    side, request->u.alarm.leases, request->u.alarm.lease_count);
	store_request_free(request);
}

/* Results for some rows of a lease, seldom for a row that is not in it. */
static size_t
contract_random_results(struct contract_side *side,
    const struct contract_lease *lease, struct store_result *results)
{
	static const char *const status[] = {"", "250 2.0.0 ok", "451 4.2.0"};
	size_t count = 0;

	for (size_t i = 0; i < lease->row_count; i++) {
		uint32_t index = lease->rows[i];

		if (contract_below(side, 8) == 0)
			continue;
		if (contract_below(side, 50) == 0)
			index = (uint32_t)contract_below(side, 5);
		results[count++] = (struct store_result){
		    .index = index,
		    .outcome = (enum store_outcome)contract_below(side, 4),
		    .due_ms = side->now_ms + contract_below(side, 20000),
		    .status = str_from(status[contract_below(side, 3)]),
		};
		if (contract_below(side, 3) == 0) {
			results[count - 1].alarm_ms =
			    side->now_ms + contract_below(side, 9000);
			results[count - 1].is_told = contract_below(side, 2);
		}
	}
	return count;
}

static void
contract_do_settle(struct contract_side *side)
{
	struct store_result results[STORE_LEASE_ROWS_MAX];
	struct contract_lease *lease;
	struct store_request *request;
	char id[STORE_ID_MAX + 1];
	size_t count;

	if (side->lease_count == 0)
		return;
	lease = &side->leases[contract_below(side, side->lease_count)];
	count = contract_random_results(side, lease, results);
	request = kit_settle_new(lease->id, lease->destination, results, count);
	if (contract_below(side, 6) == 0) {
		contract_id(id, side->id_count++);
		request->u.settle.dsn = contract_random_message(side, id);
		kit_set_content(
		    request->u.settle.dsn, contract_random_size(side));
	}
	kit_run(side->store, request);
	kit_put(&side->out, "settle %s at %s: %d %d %llu %llu\n", lease->id,
	    lease->destination, request->error,
	    request->u.settle.is_message_done,
	    KIT_U(request->u.settle.left_messages),
	    KIT_U(request->u.settle.left_bytes));
	if (request->error == 0)
		*lease = side->leases[--side->lease_count];
	store_request_free(request);
}

static void
contract_do_read(struct contract_side *side)
{
	char id[STORE_ID_MAX + 1];
	struct buf bytes;
	int error;

	contract_id(id, contract_below(side, side->id_count + 1));
	buf_init(&bytes, 8 << 20);
	error = kit_read(side->store, id, &bytes);
	kit_put(&side->out, "read %s %d %zu %u\n", id, error, buf_size(&bytes),
	    crc32c(0, buf_str(&bytes)));
	buf_fini(&bytes);
}

static int
contract_compare_str(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* All that is due: which rows come in which slice is the engine's where they
   are due at the same time. */
static void
contract_do_due(struct contract_side *side)
{
	size_t count;

	do {
		struct store_request *request = store_request_new(STORE_DUE);

		request->u.due.now_ms = side->now_ms;
		kit_run(side->store, request);
		count = request->u.due.moved_count;
		kit_put(&side->out, "due %zu", count);
		if (count < STORE_SLICE_MAX)
			kit_put(&side->out, " next=%llu",
			    KIT_U(request->u.due.next_due_ms));
		if (count > 0)
			qsort(request->u.due.moved,
			    request->u.due.moved_to_count, sizeof(struct str),
			    contract_compare_str);
		for (size_t i = 0; i < request->u.due.moved_to_count; i++)
			kit_put(&side->out, " %.*s",
			    STR_ARG(request->u.due.moved[i]));
		kit_put(&side->out, "\n");
		store_request_free(request);
	} while (count == STORE_SLICE_MAX);
}

static void
contract_do_rehold(struct contract_side *side)
{
	kit_put(&side->out, "rehold %d\n",
	    kit_rehold(side->store, contract_destination(side)));
}

static void
contract_do_count(struct contract_side *side)
{
	struct store_request *request = store_request_new(STORE_COUNT);
	struct str domain = str_from(contract_domain(side));

	request->u.count.destination = str_from(contract_destination(side));
	request->u.count.domains = &domain;
	request->u.count.domain_count = contract_below(side, 2);
	request->u.count.is_all = contract_below(side, 3) == 0;
	if (contract_below(side, 3) == 0)
		request->u.count.destination = STR("");
	kit_run(side->store, request);
	kit_put(&side->out, "count %d %llu %llu, in all %llu %llu\n",
	    request->error, KIT_U(request->u.count.messages),
	    KIT_U(request->u.count.bytes), KIT_U(request->totals.messages),
	    KIT_U(request->totals.bytes));
	store_request_free(request);
}

static void
contract_do_destinations(struct contract_side *side)
{
	bool is_ready = contract_below(side, 2) > 0;

	kit_put_destinations(side->store, &side->out, is_ready, side->now_ms,
	    1 + contract_below(side, 6));
}

static void
contract_do_park(struct contract_side *side)
{
	uint64_t due_ms = contract_below(side, 3) == 0
	                      ? 0
	                      : side->now_ms + contract_below(side, 5000);

	kit_put(&side->out, "park %d\n",
	    kit_park(side->store, contract_destination(side), due_ms,
		(uint32_t)contract_below(side, 9)));
}

/* Where it is kept is the caller's ID. */
static struct store_filter
contract_random_filter(struct contract_side *side, char id[STORE_ID_MAX + 1])
{
	static const char *const senders[] = {
	    "@EXAMPLE.org", "sender@example.org", "<>", "x"};
	static const char *const recipients[] = {
	    "u0@x.org", "@Y.org", "u3@z.org"};
	static const char *const domains[] = {"x.org", "@org", "@z.org"};
	struct store_filter filter = {.size_above = 0};

	if (contract_below(side, 2) > 0) {
		contract_id(id, contract_below(side, side->id_count + 1));
		filter.id = str_from(id);
	}
	if (contract_below(side, 2) > 0)
		filter.destination = str_from(contract_destination(side));
	if (contract_below(side, 6) == 0)
		filter.sender = str_from(senders[contract_below(side, 4)]);
	if (contract_below(side, 4) == 0)
		filter.recipient =
		    str_from(recipients[contract_below(side, 3)]);
	if (contract_below(side, 4) == 0)
		filter.domain = str_from(domains[contract_below(side, 3)]);
	if (contract_below(side, 6) == 0)
		filter.arrival_max_ms = 1 + contract_below(side, side->now_ms);
	if (contract_below(side, 6) == 0)
		filter.size_above = contract_below(side, 500);
	return filter;
}

static void
contract_do_find(struct contract_side *side)
{
	char id[STORE_ID_MAX + 1];
	struct store_filter filter = contract_random_filter(side, id);

	kit_put_filter(side->store, &side->out, &filter,
	    1 + contract_below(side, STORE_PAGE_MAX));
}

static void
contract_do_change(struct contract_side *side)
{
	enum store_change change = (enum store_change)contract_below(side, 3);
	char id[STORE_ID_MAX + 1];
	struct store_filter filter = contract_random_filter(side, id);
	bool is_dry = contract_below(side, 4) == 0;
	size_t changed, leased, reason = contract_below(side, 4);
	int error;

	/* Else there would soon be nothing left. */
	if (filter.id.size == 0 && filter.destination.size == 0)
		filter.destination = str_from(contract_destination(side));
	if (change == STORE_CHANGE_HOLD && !is_dry && reason < 2)
		error = kit_hold(side->store, &filter,
		    reason == 0 ? "spam" : "looks like \"spam\"", &changed,
		    &leased);
	else
		error = kit_change_filter(
		    side->store, change, is_dry, &filter, &changed, &leased);
	kit_put(&side->out, "change %d: %d %zu %zu\n", change, error, changed,
	    leased);
}

static void
contract_do_move(struct contract_side *side)
{
	struct store_request *request = store_request_new(STORE_MOVE);
	struct store_move moves[6];
	size_t count = contract_below(side, 7);

	contract_id(
	    request->u.move.id, contract_below(side, side->id_count + 1));
	for (size_t i = 0; i < count; i++) {
		moves[i] = (struct store_move){
		    .index = (uint32_t)(5 - i),
		    .destination = str_from(contract_destination(side)),
		    .is_held = contract_below(side, 3) == 0,
		};
		if (contract_below(side, 2) > 0)
			moves[i].alarm_ms =
			    side->now_ms + contract_below(side, 9000);
	}
	request->u.move.moves = moves;
	request->u.move.move_count = count;
	request->u.move.is_now = contract_below(side, 2) > 0;
	kit_run(side->store, request);
	kit_put(&side->out, "move %s: %d %zu %zu %zu\n", request->u.move.id,
	    request->error, request->u.move.done_count,
	    request->u.move.moved_count, request->u.move.leased_count);
	store_request_free(request);
}

/* In which order its destinations come is the engine's, so they are not cut
   off in the middle of a message. */
static void
contract_do_lease(struct contract_side *side)
{
	struct store_request *request = store_request_new(STORE_LEASE);
	char id[STORE_ID_MAX + 1];

	request->u.lease.filter = contract_random_filter(side, id);
	request->u.lease.filter.destination =
	    str_from(contract_destination(side));
	request->u.lease.count = contract_below(side, 5);
	request->u.lease.from_index = (uint32_t)contract_below(side, 3);
	request->u.lease.inline_max = contract_inline_max(side);
	if (side->lease_count + 4 > CONTRACT_LEASES_MAX)
		request->u.lease.count = 0;
	kit_run(side->store, request);
	kit_put(&side->out, "lease %d %zu more=%d\n", request->error,
	    request->u.lease.leased_count, request->u.lease.next_key > 0);
	contract_keep_leases(
	    side, request->u.lease.leases, request->u.lease.lease_count);
	store_request_free(request);
}

static void
contract_do_clock(struct contract_side *side)
{
	kit_put(&side->out, "clock %d\n",
	    kit_clock(side->store, side->now_ms, 1700000000000 + side->now_ms));
}

static void
contract_step(struct contract_side *side)
{
	static const struct {
		size_t weight;
		void (*run)(struct contract_side *side);
	} verbs[] = {{20, contract_do_append}, {2, contract_do_append_again},
	    {6, contract_do_stage}, {3, contract_do_stage_end},
	    {30, contract_do_take}, {34, contract_do_settle},
	    {6, contract_do_read}, {6, contract_do_due},
	    {2, contract_do_rehold}, {5, contract_do_count},
	    {3, contract_do_destinations}, {4, contract_do_park},
	    {3, contract_do_find}, {6, contract_do_change},
	    {2, contract_do_clock}, {8, contract_do_alarm},
	    {8, contract_do_move}, {5, contract_do_lease}};
	size_t total = 0, at, i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		total += verbs[i].weight;
	at = contract_below(side, total);
	for (i = 0; at >= verbs[i].weight; i++)
		at -= verbs[i].weight;
	side->now_ms += 1 + contract_below(side, 1000);
	verbs[i].run(side);
	if (contract_below(side, 8) == 0)
		side->store->ops->idle(side->store);
}

/* Gives all leases back and drops what is staged: what an engine forgets when
   it is closed, so that one that keeps nothing can be compared. */
static void
contract_quiet(struct contract_side *side)
{
	while (side->lease_count > 0) {
		struct contract_lease *lease =
		    &side->leases[--side->lease_count];

		kit_put(&side->out, "back %s %d\n", lease->id,
		    kit_finish(side->store, kit_settle_new(lease->id,
						lease->destination, NULL, 0)));
	}
	while (side->staged_count > 0) {
		char id[STORE_ID_MAX + 1];

		contract_id(id, side->staged_ids[--side->staged_count]);
		kit_put(&side->out, "drop %s %d\n", id,
		    kit_unstage(side->store, id));
	}
	if (side->factory != NULL && side->factory->reopen != NULL) {
		side->store =
		    side->factory->reopen(side->factory->arg, side->store);
		assert_non_null(side->store);
		side->store->ops->check(side->store);
	}
}

static void
contract_compare(const struct contract_side *a, const struct contract_side *b,
    uint64_t seed, size_t step)
{
	struct str left = buf_str(&a->out), right = buf_str(&b->out);
	size_t at = 0;

	if (str_equal(left, right))
		return;
	while (at < left.size && at < right.size &&
	       left.data[at] == right.data[at])
		at++;
	/* Some of what is before the difference, to know where it is. */
	at = at > 400 ? at - 400 : 0;
	left = str_head(str_skip(left, at), 1200);
	right = str_head(str_skip(right, at), 1200);
	print_error("seed=%llu step=%zu: \n%.*s\n--- but the other:\n%.*s\n",
	    KIT_U(seed), step, STR_ARG(left), STR_ARG(right));
	abort();
}

static void
contract_random_run(struct contract_side sides[2], uint64_t seed, size_t steps)
{
	for (size_t i = 0; i < 2; i++) {
		sides[i].random = seed;
		sides[i].now_ms = 1000;
		buf_init(&sides[i].out, KIT_STATE_MAX);
	}
	for (size_t step = 1; step <= steps; step++) {
		for (size_t i = 0; i < 2; i++) {
			struct contract_side *side = &sides[i];

			buf_clear(&side->out);
			contract_step(side);
			if (step % CONTRACT_OPEN_EVERY == 0)
				contract_quiet(side);
			if (step % CONTRACT_FULL_EVERY > 0 && step < steps)
				continue;
			kit_put_find(side->store, &side->out, "", "", 200);
			kit_put_destinations(
			    side->store, &side->out, false, 0, 9);
		}
		contract_compare(&sides[0], &sides[1], seed, step);
	}
	for (size_t i = 0; i < 2; i++)
		buf_fini(&sides[i].out);
}

__attribute__((unused)) void
store_contract_random(
    struct store *a, struct store *b, uint64_t seed, size_t steps)
{
	struct contract_side *sides = mem_new(2, sizeof(*sides));

	sides[0].store = a;
	sides[1].store = b;
	contract_random_run(sides, seed, steps);
	free(sides);
}

__attribute__((unused)) void
store_contract_random_reopen(const struct store_contract_factory *a,
    const struct store_contract_factory *b, uint64_t seed, size_t steps)
{
	struct contract_side *sides = mem_new(2, sizeof(*sides));

	sides[0].factory = a;
	sides[1].factory = b;
	for (size_t i = 0; i < 2; i++) {
		sides[i].store = sides[i].factory->open(sides[i].factory->arg);
		assert_non_null(sides[i].store);
	}
	contract_random_run(sides, seed, steps);
	for (size_t i = 0; i < 2; i++)
		sides[i].factory->close(sides[i].factory->arg, sides[i].store);
	free(sides);
}
