/* Contract cases: content of all sizes, staging, limits at the edge. */

#include "store/contract/contract_own.h"

static const size_t contract_sizes[] = {0, 1, STORE_BLOCK - 1, STORE_BLOCK,
    STORE_BLOCK + 1, 2 * STORE_BLOCK, STORE_CONTENT_MEMORY - 1,
    STORE_CONTENT_MEMORY};

#define CONTRACT_SIZES_COUNT                                                   \
	(sizeof(contract_sizes) / sizeof(contract_sizes[0]))

static const struct kit_row contract_row[] = {
    {"a@x.org", "x.org", false}, {NULL}};

void
contract_read_sizes(void **state)
{
	struct kit *kit = *state;
	char id[8];

	for (size_t i = 0; i < CONTRACT_SIZES_COUNT; i++) {
		snprintf(id, sizeof(id), "S%zu", i);
		assert_int_equal(
		    kit_append(kit->store,
			kit_message(id, 1, contract_sizes[i], contract_row)),
		    0);
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < CONTRACT_SIZES_COUNT; i++) {
			snprintf(id, sizeof(id), "S%zu", i);
			contract_expect_content(
			    kit->store, id, contract_sizes[i]);
		}
		contract_expect_durable(kit);
	}
}

void
contract_read_out_of_range(void **state)
{
	static const struct {
		const char *id;
		uint64_t index;
		int error;
		size_t size;
	} cases[] = {{"R", 0, 0, STORE_BLOCK}, {"R", 1, 0, 1}, {"R", 2, 0, 0},
	    {"R", UINT64_MAX, 0, 0}, {"R", UINT64_MAX / STORE_BLOCK + 1, 0, 0},
	    {"Q", 0, -ENOENT, 0}, {"staged", 0, -ENOENT, 0}};
	struct kit *kit = *state;

	assert_int_equal(
	    kit_append(
		kit->store, kit_message("R", 1, STORE_BLOCK + 1, contract_row)),
	    0);
	assert_int_equal(kit_stage(kit->store, "staged", 0, 10), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_request *request = store_request_new(STORE_READ);

		kit_set_id(request->u.read.id, cases[i].id);
		request->u.read.index = cases[i].index;
		assert_int_equal(
		    kit_run(kit->store, request)->error, cases[i].error);
		assert_int_equal(request->u.read.bytes.size, cases[i].size);
		store_request_free(request);
	}
}

/* Appends what was staged for ID, said to be of SIZE bytes. */
static int
contract_append_staged(struct store *store, const char *id, size_t size)
{
	struct store_message *message = kit_message(id, 1, 0, contract_row);

	message->is_staged = true;
	message->content_size = size;
	return kit_append(store, message);
}

void
contract_stage_pieces(void **state)
{
	static const size_t pieces[][5] = {{10}, {1, 2, 3}, {STORE_BLOCK},
	    {STORE_BLOCK - 1, 2}, {100000, 0, 100000},
	    {STORE_CONTENT_MEMORY, 1},
	    {STORE_CONTENT_MEMORY, STORE_CONTENT_MEMORY, STORE_BLOCK, 5}};
	size_t count = sizeof(pieces) / sizeof(pieces[0]), sizes[7] = {0};
	struct kit *kit = *state;
	char id[8];

	for (size_t i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "P%zu", i);
		for (size_t j = 0; j < 5; j++) {
			assert_int_equal(
			    kit_stage(kit->store, id, sizes[i], pieces[i][j]),
			    0);
			sizes[i] += pieces[i][j];
		}
		assert_int_equal(
		    contract_append_staged(kit->store, id, sizes[i] + 1),
		    -EINVAL);
		assert_int_equal(
		    contract_append_staged(kit->store, id, sizes[i]), 0);
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++) {
			snprintf(id, sizeof(id), "P%zu", i);
			contract_expect_content(kit->store, id, sizes[i]);
		}
		contract_expect_durable(kit);
	}
}

/* What a settle appends may be staged; refused, it stays so. */
void
contract_settle_with_staged(void **state)
{
	static const struct store_result done = {
	    0, STORE_DELIVERED, 0, {"", 0}};
	static const struct {
		size_t size;
		int error;
	} cases[] = {{69999, -EINVAL}, {70000, 0}};
	struct kit *kit = *state;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 1, 9, contract_row)), 0);
	assert_int_equal(kit_stage(kit->store, "B", 0, 70000), 0);
	kit_expect_take(kit->store, "x.org", true, 9, "A");
	for (size_t i = 0; i < 2; i++) {
		struct store_request *request =
		    kit_settle_new("A", "x.org", &done, 1);
		struct store_message *message =
		    kit_message("B", 1, 0, contract_row);

		message->is_staged = true;
		message->content_size = cases[i].size;
		request->u.settle.dsn = message;
		assert_int_equal(
		    kit_run(kit->store, request)->error, cases[i].error);
		assert_int_equal(
		    request->u.settle.is_message_done, cases[i].error == 0);
		store_request_free(request);
	}
	/* It is no stage any more. */
	assert_int_equal(kit_unstage(kit->store, "B"), 0);
	for (int round = 0; round < 2; round++) {
		contract_expect_content(kit->store, "B", 70000);
		contract_expect_durable(kit);
	}
	buf_init(&text, KIT_STATE_MAX);
	assert_int_equal(kit_put_find(kit->store, &text, "A", "", 9), 0);
	assert_int_equal(kit_put_find(kit->store, &text, "B", "", 9), 1);
	buf_fini(&text);
}

void
contract_unstage(void **state)
{
	struct kit *kit = *state;
	struct buf text;

	assert_int_equal(kit_unstage(kit->store, "none"), 0);
	assert_int_equal(kit_stage(kit->store, "U", 0, 500), 0);
	assert_int_equal(kit_stage(kit->store, "V", 0, 70000), 0);
	/* It is no message yet. */
	text = kit_state(kit->store);
	assert_int_equal(buf_size(&text), 0);
	buf_fini(&text);
	assert_int_equal(kit_unstage(kit->store, "U"), 0);
	assert_int_equal(contract_append_staged(kit->store, "U", 500), -EINVAL);
	/* The id may be used again, and V was left alone. */
	assert_int_equal(kit_stage(kit->store, "U", 0, 20), 0);
	assert_int_equal(contract_append_staged(kit->store, "U", 20), 0);
	assert_int_equal(contract_append_staged(kit->store, "V", 70000), 0);
	contract_expect_content(kit->store, "U", 20);
	contract_expect_content(kit->store, "V", 70000);
	/* What was staged and not appended is gone with the engine. */
	assert_int_equal(kit_stage(kit->store, "W", 0, 500), 0);
	if (kit_reopen(kit)) {
		assert_int_equal(
		    contract_append_staged(kit->store, "W", 500), -EINVAL);
		contract_expect_content(kit->store, "V", 70000);
	}
}

/* Which field of a message is at its edge, or one past it. */
void
contract_append_limits(void **state)
{
	static const struct {
		const char *id;
		size_t row_count, destination_size;
		int error;
	} cases[] = {{"L", 1, 1, 0}, {"aB3-_.456789012345", 1, 5, 0}, /* 18 */
	    {"", 1, 5, -EINVAL}, {".hidden", 1, 5, -EINVAL},
	    {"a/b", 1, 5, -EINVAL}, {"a b", 1, 5, -EINVAL},
	    {"zero", 0, 5, -EINVAL}, {"most", STORE_RECIPIENTS_MAX, 5, 0},
	    {"more", STORE_RECIPIENTS_MAX + 1, 5, -EINVAL},
	    {"none", 1, 0, -EINVAL}, {"long", 1, STORE_DESTINATION_MAX, 0},
	    {"longer", 1, STORE_DESTINATION_MAX + 1, -EINVAL}};
	char destination[STORE_DESTINATION_MAX + 2];
	struct kit *kit = *state;
	struct buf text;
	size_t good = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_message *message =
		    kit_message_bare(cases[i].id, 1, cases[i].row_count);

		memset(destination, 'd', sizeof(destination));
		destination[cases[i].destination_size] = '\0';
		for (size_t j = 0; j < cases[i].row_count; j++)
			kit_set_row(
			    message, j, "a@x.org", destination, j % 2 > 0);
		kit_set_content(message, 10);
		assert_int_equal(
		    kit_append(kit->store, message), cases[i].error);
		good += cases[i].error == 0;
	}
	buf_init(&text, KIT_STATE_MAX);
	assert_int_equal(kit_put_find(kit->store, &text, "", "", 200), good);
	buf_fini(&text);
	contract_expect_durable(kit);
}

void
contract_append_wrong_size(void **state)
{
	struct kit *kit = *state;
	struct store_message *message = kit_message("W", 1, 10, contract_row);

	message->content_size = 11;
	assert_int_equal(kit_append(kit->store, message), -EINVAL);
	message = kit_message("W", 1, 10, contract_row);
	message->rows[0].recipient.address = STR("");
	assert_int_equal(kit_append(kit->store, message), -EINVAL);
	contract_expect_durable(kit);
}

/* 250 recipients at one destination come in three leases. */
void
contract_take_lease_rows_max(void **state)
{
	static const size_t counts[] = {100, 100, 50};
	struct store_result results[STORE_LEASE_ROWS_MAX];
	struct kit *kit = *state;
	size_t first = 0;

	assert_int_equal(
	    kit_append(kit->store, kit_message_wide("wide", 1, "x.org", 250)),
	    0);
	for (size_t i = 0; i < 3; i++) {
		struct store_request *request =
		    kit_take(kit->store, "x.org", false, 9);
		struct store_lease *lease = request->u.take.leases;

		assert_int_equal(request->u.take.lease_count, 1);
		assert_int_equal(lease->row_count, counts[i]);
		for (size_t j = 0; j < lease->row_count; j++) {
			assert_int_equal(lease->rows[j].index, first + j);
			results[j] = (struct store_result){
			    lease->rows[j].index, STORE_DELIVERED, 0, STR("")};
		}
		store_request_free(request);
		kit_expect_take(kit->store, "x.org", false, 9, "");
		request = kit_settle_new("wide", "x.org", results, counts[i]);
		assert_int_equal(kit_run(kit->store, request)->error, 0);
		assert_int_equal(request->u.settle.is_message_done, i == 2);
		store_request_free(request);
		first += counts[i];
	}
	contract_expect_durable(kit);
}

/* As many leases as fit the request's arena, and the rest next time. */
void
contract_take_more_than_fits(void **state)
{
	enum {
		COUNT = 140
	};
	struct kit *kit = *state;
	size_t total = 0, count;
	char id[8];

	for (size_t i = 0; i < COUNT; i++) {
		snprintf(id, sizeof(id), "T%zu", i);
		assert_int_equal(
		    kit_append(kit->store,
			kit_message(id, i, STORE_BLOCK, contract_row)),
		    0);
	}
	do {
		struct store_request *request =
		    kit_take(kit->store, "x.org", false, COUNT);

		count = request->u.take.lease_count;
		for (size_t i = 0; i < count; i++) {
			snprintf(id, sizeof(id), "T%zu", total + i);
			assert_string_equal(request->u.take.leases[i].id, id);
			assert_int_equal(request->u.take.leases[i].content.size,
			    STORE_BLOCK);
		}
		total += count;
		store_request_free(request);
	} while (count > 0);
	assert_int_equal(total, COUNT);
}

/* The whole store, or all of DESTINATION, and what every answer says of it. */
static void
contract_expect_all(struct store *store, const char *destination,
    uint64_t messages, uint64_t bytes)
{
	struct store_request *request = store_request_new(STORE_COUNT);

	request->u.count.destination = str_from(destination);
	request->u.count.is_all = true;
	assert_int_equal(kit_run(store, request)->error, 0);
	assert_int_equal(request->u.count.messages, messages);
	assert_int_equal(request->u.count.bytes, bytes);
	if (destination[0] == '\0') {
		assert_int_equal(request->totals.messages, messages);
		assert_int_equal(request->totals.bytes, bytes);
	}
	assert_true(request->totals.room_bytes > 0);
	store_request_free(request);
}

static void
contract_expect_left(struct store *store, const char *id,
    const char *destination, struct store_message *dsn, uint64_t messages,
    uint64_t bytes)
{
	struct store_result done = {0, STORE_FAILED, 0, STR("")};
	struct store_request *request =
	    kit_settle_new(id, destination, &done, 1);

	request->u.settle.dsn = dsn;
	kit_expect_take(store, destination, true, 1, id);
	assert_int_equal(kit_run(store, request)->error, 0);
	assert_int_equal(request->u.settle.left_messages, messages);
	assert_int_equal(request->u.settle.left_bytes, bytes);
	store_request_free(request);
}

/* Messages and bytes in all: each message once, in any lane, staged or not. */
void
contract_totals(void **state)
{
	static const struct kit_row both[] = {
	    {"a@x.org", "site", true}, {"b@y.org", "else", false}, {NULL}};
	struct kit *kit = *state;
	struct store_request *request = store_request_new(STORE_COUNT);
	struct str domain = STR("x.org");
	size_t changed, leased;

	contract_expect_all(kit->store, "", 0, 0);
	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 1, 100, both)), 0);
	assert_int_equal(
	    kit_append(kit->store, kit_message("B", 2, 30, both)), 0);
	assert_int_equal(kit_stage(kit->store, "C", 0, 70000), 0);
	contract_expect_all(kit->store, "", 2, 130);
	assert_int_equal(contract_append_staged(kit->store, "C", 70000), 0);
	contract_expect_all(kit->store, "", 3, 70130);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "B", "site",
			     &changed, &leased),
	    0);
	for (int round = 0; round < 2; round++) {
		contract_expect_all(kit->store, "", 3, 70130);
		contract_expect_all(kit->store, "site", 2, 130);
		contract_expect_all(kit->store, "none", 0, 0);
		contract_expect_durable(kit);
	}
	/* The notification is there in the same step. */
	contract_expect_left(kit->store, "A", "site",
	    kit_message("D", 4, 7, contract_row), 1, 30);
	contract_expect_all(kit->store, "", 4, 70137);
	contract_expect_left(kit->store, "C", "x.org",
	    kit_message("E", 5, 8, contract_row), 2, 15);
	contract_expect_all(kit->store, "", 4, 145);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_DELETE, "", "",
			     &changed, &leased),
	    0);
	contract_expect_all(kit->store, "", 0, 0);
	request->u.count.is_all = true;
	request->u.count.domains = &domain;
	request->u.count.domain_count = 1;
	assert_int_equal(kit_finish(kit->store, request), -EINVAL);
}

void
contract_take_refuses(void **state)
{
	struct kit *kit = *state;
	struct store_request *request = store_request_new(STORE_TAKE);

	kit_append_one(kit->store, "A", 1, "x.org", false);
	request->u.take.destination = STR("x.org");
	request->u.take.count = 1;
	request->u.take.inline_max = STORE_BLOCK + 1;
	assert_int_equal(kit_finish(kit->store, request), -EINVAL);
	request = store_request_new(STORE_LEASE);
	request->u.lease.count = 1;
	request->u.lease.inline_max = STORE_BLOCK + 1;
	assert_int_equal(kit_finish(kit->store, request), -EINVAL);
	kit_expect_take(kit->store, "x.org", false, 1, "A");
}
