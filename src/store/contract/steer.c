/* Contract cases: what an administrator picks out, moves and leases. */

#include "store/contract/contract_own.h"

/* Three messages, to be told from each other by each field of a filter. */
static void
steer_fill(struct store *store)
{
	static const struct kit_row first[] = {
	    {"a@x.org", "d", false}, {"b@Sub.X.org", "e", true}, {NULL}};
	static const struct kit_row second[] = {{"A@X.ORG", "d", true}, {NULL}};
	static const struct kit_row third[] = {
	    {"\"@q@x\"@y.org", "d", false}, {NULL}};
	struct store_message *message = kit_message("S1", 1, 100, first);

	message->rows[1].domain = STR("sub.x.org");
	assert_int_equal(kit_append(store, message), 0);
	message = kit_message("S2", 2, 200, second);
	message->rows[0].domain = STR("x.org");
	message->envelope.sender = STR("");
	assert_int_equal(kit_append(store, message), 0);
	message = kit_message("S3", 3, 0, third);
	message->rows[0].domain = STR("y.org");
	message->envelope.sender = STR("Sender@Example.ORG");
	assert_int_equal(kit_append(store, message), 0);
}

/* "ID:row,row ID:row" of what the filter finds. */
static void
steer_expect(
    struct store *store, const struct store_filter *filter, const char *want)
{
	struct store_request *request = store_request_new(STORE_FIND);
	char got[1000] = "";

	request->u.find.filter = *filter;
	request->u.find.count = 9;
	assert_int_equal(kit_run(store, request)->error, 0);
	for (size_t i = 0; i < request->u.find.found_count; i++) {
		const struct store_found *found = &request->u.find.found[i];
		size_t at = strlen(got);

		snprintf(got + at, sizeof(got) - at, "%s%s", at ? " " : "",
		    found->id);
		for (size_t j = 0; j < found->row_count; j++) {
			at = strlen(got);
			snprintf(got + at, sizeof(got) - at, "%s%u",
			    j ? "," : ":", found->rows[j].index);
		}
	}
	assert_string_equal(got, want);
	store_request_free(request);
}

static const struct {
	struct store_filter filter;
	const char *want;
	size_t rows;
} steer_cases[] = {
    {{.size_above = 0}, "S1:0,1 S2:0 S3:0", 4},
    {{.id = STR("S2")}, "S2:0", 1},
    {{.id = STR("S2"), .destination = STR("e")}, "", 0},
    {{.destination = STR("e")}, "S1:1", 1},
    {{.sender = STR("sender@example.org")}, "S1:0,1", 2},
    {{.sender = STR("sender@EXAMPLE.org")}, "S1:0,1", 2},
    {{.sender = STR("Sender@example.org")}, "S3:0", 1},
    {{.sender = STR("@Example.Org")}, "S1:0,1 S3:0", 3},
    {{.sender = STR("@example")}, "", 0},
    {{.sender = STR("<>")}, "S2:0", 1},
    {{.sender = STR("sender")}, "", 0},
    {{.recipient = STR("a@x.org")}, "S1:0", 1},
    {{.recipient = STR("A@x.org")}, "S2:0", 1},
    {{.recipient = STR("@x.org")}, "S1:0 S2:0", 2},
    {{.recipient = STR("@y.org")}, "S3:0", 1},
    {{.recipient = STR("\"@q@x\"@Y.org")}, "S3:0", 1},
    {{.recipient = STR("<>")}, "", 0},
    {{.domain = STR("x.org")}, "S1:0 S2:0", 2},
    {{.domain = STR("@x.org")}, "S1:0,1 S2:0", 3},
    {{.domain = STR("org")}, "", 0},
    {{.arrival_max_ms = 1001}, "S1:0,1", 2},
    {{.arrival_max_ms = 1000}, "", 0},
    {{.arrival_max_ms = 1003}, "S1:0,1 S2:0 S3:0", 4},
    {{.size_above = 100}, "S2:0", 1},
    {{.size_above = 99}, "S1:0,1 S2:0", 3},
    {{.size_above = 200}, "", 0},
    {{.domain = STR("x.org"), .sender = STR("<>")}, "S2:0", 1},
    {{.destination = STR("d"), .arrival_max_ms = 1002, .size_above = 100},
	"S2:0", 1},
};

#define STEER_CASES (sizeof(steer_cases) / sizeof(steer_cases[0]))

void
steer_filters(void **state)
{
	struct kit *kit = *state;

	steer_fill(kit->store);
	for (size_t i = 0; i < STEER_CASES; i++)
		steer_expect(
		    kit->store, &steer_cases[i].filter, steer_cases[i].want);
}

/* A change does to rows what a listing shows of them, and nothing else. */
void
steer_filters_change(void **state)
{
	struct kit *kit = *state;
	size_t changed, leased;

	steer_fill(kit->store);
	for (size_t i = 0; i < STEER_CASES; i++) {
		for (int j = 0; j < 4; j++) {
			assert_int_equal(
			    kit_change_filter(kit->store,
				j < 2 ? STORE_CHANGE_HOLD : STORE_CHANGE_FREE,
				j % 2 == 0, &steer_cases[i].filter, &changed,
				&leased),
			    0);
			assert_int_equal(changed, steer_cases[i].rows);
			assert_int_equal(leased, 0);
		}
		contract_expect_lanes(kit->store, "d", "2/0/1/0");
		contract_expect_lanes(kit->store, "e", "0/0/1/0");
	}
}

/* A find that has to pass over very many comes back now and then. */
void
steer_find_bounded(void **state)
{
	struct store_filter filter = {.sender = STR("<>")};
	struct kit *kit = *state;
	struct store_message *message;
	struct store_request *batch[100];
	struct buf text;
	char id[8];

	for (size_t i = 0; i < 2100; i++) {
		struct store_request *request = store_request_new(STORE_APPEND);

		snprintf(id, sizeof(id), "M%04zu", i);
		message = kit_message_bare(id, 1, 1);
		kit_set_row(message, 0, "u@x.org", "d", false);
		if (i == 2050)
			message->envelope.sender = STR("");
		request->u.append.message = message;
		batch[i % 100] = request;
		if (i % 100 < 99)
			continue;
		kit->store->ops->batch(kit->store, batch, 100);
		for (size_t j = 0; j < 100; j++) {
			assert_int_equal(batch[j]->error, 0);
			store_request_free(batch[j]);
		}
	}
	buf_init(&text, KIT_STATE_MAX);
	assert_int_equal(kit_put_filter(kit->store, &text, &filter, 9), 1);
	assert_true(str_starts(buf_str(&text), STR("M2050 ")));
	buf_fini(&text);
}

void
steer_dry(void **state)
{
	struct store_filter filter = {.destination = STR("x.org")};
	struct kit *kit = *state;
	size_t changed, leased;

	assert_int_equal(
	    kit_append(kit->store,
		kit_message_wide("D", 1, "x.org", STORE_RECIPIENTS_MAX)),
	    0);
	kit_append_one(kit->store, "L", 0, "x.org", false);
	kit_expect_take(kit->store, "x.org", false, 1, "L");
	assert_int_equal(kit_change_filter(kit->store, STORE_CHANGE_DELETE,
			     true, &filter, &changed, &leased),
	    0);
	assert_int_equal(changed, STORE_RECIPIENTS_MAX);
	assert_int_equal(leased, 1);
	contract_expect_lanes(kit->store, "x.org", "1001/0/0/0");
}

/* Moves rows of ID and compares what was done. */
void
steer_move_expect(struct store *store, const char *id,
    const struct store_move *moves, size_t count, bool is_now, const char *want)
{
	struct store_request *request = store_request_new(STORE_MOVE);
	char got[100];

	kit_set_id(request->u.move.id, id);
	request->u.move.moves = moves;
	request->u.move.move_count = count;
	request->u.move.is_now = is_now;
	kit_run(store, request);
	snprintf(got, sizeof(got), "%d %zu %zu %zu", request->error,
	    request->u.move.done_count, request->u.move.moved_count,
	    request->u.move.leased_count);
	assert_string_equal(got, want);
	store_request_free(request);
}

void
steer_move(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "d", false},
	    {"b@x.org", "d", false}, {"c@y.org", "e", true},
	    {"d@y.org", "e", true}, {NULL}};
	static const struct store_move all[] = {{0, STR("n"), true, 0},
	    {1, STR("n"), true, 0}, {2, STR("n"), false, 0},
	    {3, STR("e"), false, 0}, {9, STR("n"), false, 0}};
	struct kit *kit = *state;
	size_t changed, leased;

	assert_int_equal(
	    kit_append(kit->store, kit_message("M", 1, 12, rows)), 0);
	contract_defer(kit->store, "M", "d", 1, 5000);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "", "e",
			     &changed, &leased),
	    0);
	/* Waiting and stopped rows stay so; what waits is due as it was. */
	steer_move_expect(kit->store, "M", all, 5, false, "0 4 3 0");
	contract_expect_lanes(kit->store, "d", "0/0/0/0");
	contract_expect_lanes(kit->store, "e", "0/0/0/1");
	contract_expect_lanes(kit->store, "n", "0/1/1/1");
	contract_expect_durable(kit);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_FREE, "", "",
			     &changed, &leased),
	    0);
	contract_expect_lanes(kit->store, "e", "1/0/0/0");
	contract_expect_lanes(kit->store, "n", "1/1/1/0");
	/* The second time there is nothing to do but to end the waiting. */
	steer_move_expect(kit->store, "M", all, 4, false, "0 4 0 0");
	contract_expect_lanes(kit->store, "n", "1/1/1/0");
	steer_move_expect(kit->store, "M", all, 4, true, "0 4 0 0");
	contract_expect_lanes(kit->store, "n", "1/0/2/0");
	contract_expect_due(kit->store, UINT64_MAX, 0, 0, 0);
	contract_expect_durable(kit);
	kit_expect_take(kit->store, "n", true, 9, "M");
}

void
steer_move_leased(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "d", false}, {"b@y.org", "e", true}, {NULL}};
	static const struct store_move away[] = {{0, STR("n"), false, 0}};
	static const struct store_move there[] = {{1, STR("d"), false, 0}};
	struct store_result later = {0, STORE_DEFERRED, 9, STR("")};
	struct kit *kit = *state;

	assert_int_equal(
	    kit_append(kit->store, kit_message("M", 1, 12, rows)), 0);
	kit_expect_take(kit->store, "d", false, 9, "M");
	steer_move_expect(kit->store, "M", away, 1, true, "0 0 0 1");
	steer_move_expect(kit->store, "M", there, 1, true, "0 0 0 1");
	contract_expect_lanes(kit->store, "d", "1/0/0/0");
	contract_expect_lanes(kit->store, "e", "0/0/1/0");
	assert_int_equal(kit_settle(kit->store, "M", "d", later, NULL), 0);
	steer_move_expect(kit->store, "M", there, 1, true, "0 1 1 0");
	contract_expect_lanes(kit->store, "d", "1/1/0/0");
}

/* Counts, the oldest message and domains follow, whatever was there before. */
void
steer_move_counts(void **state)
{
	static const struct kit_row two[] = {
	    {"a@x.org", "d", false}, {"b@y.org", "e", true}, {NULL}};
	static const struct store_move there[] = {{0, STR("e"), true, 0}};
	static const struct store_move back[] = {{0, STR("d"), true, 77}};
	static const char *const ids[] = {"M", "O"};
	struct kit *kit = *state;
	struct buf before, got;

	assert_int_equal(
	    kit_append(kit->store, kit_message("M", 5, 100, two)), 0);
	/* They came later but are older. */
	kit_append_one(kit->store, "N", 3, "e", false);
	kit_append_one(kit->store, "O", 4, "d", false);
	before = kit_state(kit->store);
	for (size_t i = 0; i < 2; i++)
		steer_move_expect(
		    kit->store, ids[i], there, 1, false, "0 1 1 0");
	contract_expect_count(kit->store, "d", "", 0, 0);
	contract_expect_count(kit->store, "e", "x.org y.org", 1, 100);
	contract_expect_count(kit->store, "e", "x.org d", 2, 204);
	contract_expect_count(kit->store, "e", "", 3, 307);
	buf_init(&got, KIT_STATE_MAX);
	kit_put_destinations(kit->store, &got, false, 0, 9);
	assert_true(str_equal(buf_str(&got),
	    STR("e rows=1/0/3/0 messages=3 bytes=307 oldest=1003 due=0"
		" failures=0\n")));
	buf_fini(&got);
	contract_expect_durable(kit);
	for (size_t i = 0; i < 2; i++)
		steer_move_expect(
		    kit->store, ids[i], back, 1, false, "0 1 1 0");
	contract_expect_count(kit->store, "e", "x.org", 0, 0);
	contract_expect_count(kit->store, "d", "", 2, 204);
	got = kit_state(kit->store);
	/* The lanes and the alarms are others. */
	assert_true(buf_size(&got) > buf_size(&before));
	buf_fini(&got);
	buf_fini(&before);
}

/* One that came last but was appended first goes among older ones. */
void
steer_move_disordered(void **state)
{
	static const struct store_move there[] = {{0, STR("q"), false, 0}};
	struct kit *kit = *state;
	struct buf got;

	kit_append_one(kit->store, "A", 9, "p", false);
	kit_append_one(kit->store, "B", 2, "q", false);
	steer_move_expect(kit->store, "A", there, 1, false, "0 1 1 0");
	for (int i = 0; i < 2; i++) {
		buf_init(&got, KIT_STATE_MAX);
		kit_put_destinations(kit->store, &got, false, 0, 9);
		assert_true(str_equal(buf_str(&got),
		    STR("q rows=2/0/0/0 messages=2 bytes=211 oldest=1002"
			" due=0 failures=0\n")));
		buf_fini(&got);
		kit_reopen(kit);
	}
}

void
steer_move_refuses(void **state)
{
	static const char name[STORE_DESTINATION_MAX + 1] = {'d'};
	static const struct store_move cases[][2] = {
	    {{0, STR(""), false, 0}, {1, STR("d"), false, 0}},
	    {{0, {name, STORE_DESTINATION_MAX + 1}, false, 0},
		{1, STR("d"), false, 0}},
	    {{0, STR("d"), false, 0}, {0, STR("d"), false, 0}},
	    {{0, STR("d"), false, UINT64_MAX}, {1, STR("d"), false, 0}},
	    {{STORE_RECIPIENTS_MAX, STR("d"), false, 0},
		{1, STR("d"), false, 0}},
	};
	struct kit *kit = *state;
	struct buf before, after;
	char want[32];

	kit_append_one(kit->store, "M", 1, "x", true);
	before = kit_state(kit->store);
	snprintf(want, sizeof(want), "%d 0 0 0", -EINVAL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		steer_move_expect(kit->store, "M", cases[i], 2, true, want);
	snprintf(want, sizeof(want), "%d 0 0 0", -ENOENT);
	steer_move_expect(kit->store, "N", &cases[0][1], 1, true, want);
	after = kit_state(kit->store);
	kit_expect_same(&before, &after);
}

/* Leases, and compares "ID@DESTINATION(rows)", what was leased already and
   whether there is more. */
static uint64_t
steer_lease_expect(struct store *store, const struct store_filter *filter,
    uint64_t after_key, size_t count, const char *want, size_t leased_count)
{
	struct store_request *request = store_request_new(STORE_LEASE);
	char got[1000] = "";
	uint64_t next_key;

	request->u.lease.filter = *filter;
	request->u.lease.after_key = after_key;
	request->u.lease.count = count;
	assert_int_equal(kit_run(store, request)->error, 0);
	for (size_t i = 0; i < request->u.lease.lease_count; i++) {
		const struct store_lease *l = &request->u.lease.leases[i];
		size_t at = strlen(got);

		assert_int_equal(l->content.size, 0);
		snprintf(got + at, sizeof(got) - at, "%s%s@%.*s(%zu)",
		    at ? " " : "", l->id, STR_ARG(l->destination),
		    l->row_count);
	}
	assert_string_equal(got, want);
	assert_int_equal(request->u.lease.leased_count, leased_count);
	next_key = request->u.lease.next_key;
	store_request_free(request);
	return next_key;
}

void
steer_lease(void **state)
{
	static const struct store_filter all = {.size_above = 0};
	static const struct store_filter some = {.recipient = STR("@x.org")};
	static const char *const domains[] = {"y.org", NULL};
	struct store_result later = {0, STORE_DEFERRED, 5000, STR("451")};
	struct store_result gone = {0, STORE_FAILED, 0, STR("550 no")};
	struct kit *kit = *state;
	size_t changed, leased;

	steer_fill(kit->store);
	store_request_free(
	    kit_take_domains(kit->store, "d", domains, false, 9));
	assert_int_equal(kit_settle(kit->store, "S3", "d", later, NULL), 0);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "S2", "",
			     &changed, &leased),
	    0);
	/* Waiting, held, stopped: whatever the lane is. */
	assert_int_equal(
	    steer_lease_expect(kit->store, &some, 0, 9, "S1@d(1) S2@d(1)", 0),
	    0);
	assert_int_equal(
	    steer_lease_expect(kit->store, &all, 0, 9, "S1@e(1) S3@d(1)", 2),
	    0);
	assert_int_equal(steer_lease_expect(kit->store, &all, 0, 9, "", 4), 0);
	/* What is stopped stays so when it is deferred. */
	assert_int_equal(kit_settle(kit->store, "S2", "d", later, NULL), 0);
	contract_expect_lanes(kit->store, "d", "1/1/0/1");
	kit_expect_take(kit->store, "d", true, 9, "");
	assert_int_equal(
	    steer_lease_expect(kit->store, &some, 0, 9, "S2@d(1)", 1), 0);
	assert_int_equal(kit_settle(kit->store, "S2", "d", gone, NULL), 0);
	contract_expect_lanes(kit->store, "d", "1/1/0/0");
	kit_expect_take(kit->store, "d", true, 9, "");
}

/* What is no longer than was asked for comes with the lease. */
void
steer_lease_content(void **state)
{
	static const size_t most[] = {9, 10, STORE_BLOCK, 0};
	struct kit *kit = *state;
	char *bytes = kit_content("A", 0, 10);
	struct store_result untried = {0, STORE_UNTRIED, 0, STR("")};
	const struct kit_row rows[] = {{"u@d.org", "d", false}, {NULL}};

	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 1, 10, rows)), 0);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		struct store_request *request = store_request_new(STORE_LEASE);
		struct str want = str_of(bytes, most[i] < 10 ? 0 : 10);

		request->u.lease.filter.id = STR("A");
		request->u.lease.count = 1;
		request->u.lease.inline_max = most[i];
		assert_int_equal(kit_run(kit->store, request)->error, 0);
		assert_int_equal(request->u.lease.lease_count, 1);
		assert_true(
		    str_equal(request->u.lease.leases[0].content, want));
		store_request_free(request);
		assert_int_equal(
		    kit_settle(kit->store, "A", "d", untried, NULL), 0);
	}
	free(bytes);
}

/* The rows behind a lease that was full, though it left some. */
void
steer_lease_behind(void **state)
{
	struct store_request *request = store_request_new(STORE_LEASE);
	struct store_result results[STORE_LEASE_ROWS_MAX];
	struct kit *kit = *state;

	assert_int_equal(
	    kit_append(kit->store, kit_message_wide("W", 1, "d", 150)), 0);
	request->u.lease.filter.id = STR("W");
	request->u.lease.count = 1;
	assert_int_equal(kit_run(kit->store, request)->error, 0);
	assert_int_equal(request->u.lease.leases[0].row_count, 100);
	store_request_free(request);
	for (uint32_t i = 0; i < STORE_LEASE_ROWS_MAX; i++)
		results[i] = (struct store_result){
		    i, STORE_DEFERRED, 5000, STR("451 later")};
	assert_int_equal(
	    kit_finish(kit->store,
		kit_settle_new("W", "d", results, STORE_LEASE_ROWS_MAX)),
	    0);
	request = store_request_new(STORE_LEASE);
	request->u.lease.filter.id = STR("W");
	request->u.lease.from_index = 100;
	request->u.lease.count = 1;
	assert_int_equal(kit_run(kit->store, request)->error, 0);
	assert_int_equal(request->u.lease.lease_count, 1);
	assert_int_equal(request->u.lease.leases[0].row_count, 50);
	assert_int_equal(request->u.lease.leases[0].rows[0].index, 100);
	store_request_free(request);
}

/* More than fit: messages with more rows than a lease has, and more leases
   than were asked for. */
void
steer_lease_slices(void **state)
{
	static const struct store_filter all = {.size_above = 0};
	static const struct kit_row rows[] = {{"a@x.org", "a", false},
	    {"b@x.org", "b", false}, {"c@x.org", "c", false}, {NULL}};
	struct store_result results[STORE_LEASE_ROWS_MAX];
	struct kit *kit = *state;
	uint64_t key;

	assert_int_equal(
	    kit_append(kit->store, kit_message_wide("W", 1, "d", 150)), 0);
	assert_int_equal(
	    kit_append(kit->store, kit_message("M", 1, 12, rows)), 0);
	key = steer_lease_expect(kit->store, &all, 0, 9, "W@d(100)", 0);
	assert_true(key > 0);
	for (uint32_t i = 0; i < STORE_LEASE_ROWS_MAX; i++)
		results[i] = (struct store_result){i, STORE_FAILED, 0, STR("")};
	assert_int_equal(
	    kit_finish(kit->store,
		kit_settle_new("W", "d", results, STORE_LEASE_ROWS_MAX)),
	    0);
	key = steer_lease_expect(
	    kit->store, &all, key, 3, "W@d(50) M@a(1) M@b(1)", 0);
	assert_true(key > 0);
	assert_int_equal(
	    steer_lease_expect(kit->store, &all, key, 3, "M@c(1)", 2), 0);
	assert_true(steer_lease_expect(kit->store, &all, 0, 0, "", 53) == 0);
}
