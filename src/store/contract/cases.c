/* Contract cases: append, stage, read, take, settle. */

#include "store/contract/contract_own.h"

int
contract_setup(void **state)
{
	struct kit *kit = mem_new(1, sizeof(*kit));

	kit->factory = *state;
	kit->store = kit->factory->open(kit->factory->arg);
	*state = kit;
	return kit->store == NULL;
}

int
contract_teardown(void **state)
{
	struct kit *kit = *state;

	kit->factory->close(kit->factory->arg, kit->store);
	free(kit);
	return 0;
}

/* What can be seen is the same after closing and opening; nothing may be
   leased. */
void
contract_expect_durable(struct kit *kit)
{
	struct buf before = kit_state(kit->store), after;

	if (kit_reopen(kit)) {
		after = kit_state(kit->store);
		kit_expect_same(&before, &after);
	} else
		buf_fini(&before);
}

/* The content of ID is SIZE bytes of kit_content(). */
void
contract_expect_content(struct store *store, const char *id, size_t size)
{
	char *want = kit_content(id, 0, size);
	struct buf got;

	buf_init(&got, 64 << 20);
	assert_int_equal(kit_read(store, id, &got), 0);
	assert_int_equal(buf_size(&got), size);
	assert_true(str_equal(buf_str(&got), str_of(want, size)));
	buf_fini(&got);
	free(want);
}

void
contract_empty(void **state)
{
	struct kit *kit = *state;
	struct buf text = kit_state(kit->store);
	struct store_info info;

	assert_int_equal(buf_size(&text), 0);
	buf_fini(&text);
	kit->store->ops->batch(kit->store, NULL, 0);
	kit->store->ops->info(kit->store, &info);
	assert_int_equal(info.wall_ms, 0);
	kit_expect_take(kit->store, "x.org", true, 5, "");
	/* Idle work comes to an end. */
	for (int i = 0; kit->store->ops->idle(kit->store); i++)
		assert_true(i < 100000);
	contract_expect_durable(kit);
}

void
contract_append_shows_all(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {"b@y.org", "relay", true}, {NULL}};
	static const char want[] =
	    "M1 arrival=1005/1700000000005 expire=432001005 size=77"
	    " from=sender@example.org envid=QQ314159 auth= 2 2 0 3\n"
	    "  0 lane=0 leased=0 attempts=0 due=0 to=a@x.org"
	    " orcpt=rfc822;x notify=0 at=x.org status=\n"
	    "  1 lane=2 leased=0 attempts=0 due=0 to=b@y.org"
	    " orcpt=rfc822;x notify=8 at=relay status=\n"
	    "relay rows=0/0/1/0 messages=1 bytes=77 oldest=1005 due=0"
	    " failures=0\n"
	    "x.org rows=1/0/0/0 messages=1 bytes=77 oldest=1005 due=0"
	    " failures=0\n";
	struct kit *kit = *state;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("M1", 5, 77, rows)), 0);
	text = kit_state(kit->store);
	assert_int_equal(buf_append(&text, str_of("", 1)), 0);
	assert_string_equal(buf_str(&text).data, want);
	buf_fini(&text);
	contract_expect_content(kit->store, "M1", 77);
	contract_expect_durable(kit);
	contract_expect_content(kit->store, "M1", 77);
}

/* Every field of the envelope comes back by find and by take. */
void
contract_append_keeps_envelope(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {NULL}};
	struct kit *kit = *state;
	struct store_message *message = kit_message("E", 1, 3, rows);
	struct store_request *take;
	struct store_lease *lease;

	message->envelope = (struct mail_envelope){.sender = STR(""),
	    .envid = STR("e+2Bn"),
	    .auth = STR("<>"),
	    .body = MAIL_BODY_7BIT,
	    .ret = MAIL_RET_FULL,
	    .is_smtputf8 = true,
	    .priority = -9};
	message->rows[0].recipient.notify =
	    MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_FAILURE;
	assert_int_equal(kit_append(kit->store, message), 0);
	contract_expect_durable(kit);
	take = kit_take(kit->store, "x.org", false, 1);
	assert_int_equal(take->u.take.lease_count, 1);
	lease = &take->u.take.leases[0];
	assert_int_equal(lease->envelope.sender.size, 0);
	assert_true(str_equal(lease->envelope.envid, STR("e+2Bn")));
	assert_true(str_equal(lease->envelope.auth, STR("<>")));
	assert_int_equal(lease->envelope.body, MAIL_BODY_7BIT);
	assert_int_equal(lease->envelope.ret, MAIL_RET_FULL);
	assert_true(lease->envelope.is_smtputf8);
	assert_int_equal(lease->envelope.priority, -9);
	assert_int_equal(lease->arrival_ms, 1001);
	assert_int_equal(lease->arrival_wall_ms, 1700000000001);
	assert_int_equal(lease->expire_ms, 1001 + KIT_EXPIRE_MS);
	assert_int_equal(lease->content_size, 3);
	assert_int_equal(lease->row_count, 1);
	assert_int_equal(lease->rows[0].index, 0);
	assert_int_equal(lease->rows[0].attempts, 0);
	assert_true(
	    str_equal(lease->rows[0].recipient.address, STR("a@x.org")));
	assert_true(str_equal(lease->rows[0].recipient.orcpt, STR("rfc822;x")));
	assert_int_equal(lease->rows[0].recipient.notify,
	    MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_FAILURE);
	assert_true(str_equal(lease->rows[0].domain, STR("x.org")));
	store_request_free(take);
}

void
contract_append_refuses_used_id(void **state)
{
	static const struct kit_row rows[] = {
	    {"b@y.org", "y.org", false}, {NULL}};
	struct kit *kit = *state;
	struct buf before, after;

	kit_append_one(kit->store, "A", 1, "x.org", false);
	before = kit_state(kit->store);
	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 2, 5, rows)), -EEXIST);
	assert_int_equal(kit_stage(kit->store, "A", 0, 10), -EEXIST);
	if (kit_reopen(kit))
		assert_int_equal(
		    kit_append(kit->store, kit_message("A", 2, 5, rows)),
		    -EEXIST);
	after = kit_state(kit->store);
	kit_expect_same(&before, &after);
	contract_expect_content(kit->store, "A", 101);
}

/* All requests of one batch are carried out, in order. */
void
contract_batch_in_order(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {NULL}};
	static const struct store_result done = {0, STORE_DELIVERED, 0, {0}};
	struct kit *kit = *state;
	struct store_request *r[] = {store_request_new(STORE_APPEND),
	    store_request_new(STORE_APPEND), store_request_new(STORE_TAKE),
	    kit_settle_new("B", "x.org", &done, 1),
	    store_request_new(STORE_FIND)};

	r[0]->u.append.message = kit_message("B", 1, 9, rows);
	r[1]->u.append.message = kit_message("B", 1, 9, rows);
	r[2]->u.take.destination = STR("x.org");
	r[2]->u.take.count = 1;
	r[4]->u.find.count = 10;
	kit->store->ops->batch(kit->store, r, 5);
	assert_int_equal(r[0]->error, 0);
	assert_int_equal(r[1]->error, -EEXIST);
	assert_int_equal(r[2]->u.take.lease_count, 1);
	/* 9 bytes are more than inline_max, 0. */
	assert_int_equal(r[2]->u.take.leases[0].content.size, 0);
	assert_int_equal(r[3]->error, 0);
	assert_true(r[3]->u.settle.is_message_done);
	assert_int_equal(r[4]->u.find.found_count, 0);
	for (size_t i = 0; i < 5; i++)
		store_request_free(r[i]);
	contract_expect_durable(kit);
}

void
contract_take_by_rank(void **state)
{
	struct kit *kit = *state;

	kit_append_one(kit->store, "R30", 30, "x.org", false);
	kit_append_one(kit->store, "R10", 10, "x.org", false);
	kit_append_one(kit->store, "H5", 5, "x.org", true);
	kit_append_one(kit->store, "Z20", 20, "x.org", false);
	kit_append_one(kit->store, "A20", 20, "x.org", false);
	kit_append_one(kit->store, "H1", 1, "x.org", true);
	kit_append_one(kit->store, "other", 1, "y.org", false);
	contract_expect_durable(kit);
	kit_expect_take(kit->store, "x.org", false, 0, "");
	/* Equal ranks come in order of append, not of name. */
	kit_expect_take(kit->store, "x.org", false, 2, "R10 Z20");
	/* Those that are leased are passed over. */
	kit_expect_take(kit->store, "x.org", true, 3, "A20 R30 H1");
	kit_expect_take(kit->store, "x.org", false, 9, "");
	kit_expect_take(kit->store, "x.org", true, 9, "H5");
	kit_expect_take(kit->store, "x.org", true, 9, "");
	kit_expect_take(kit->store, "y.org", false, 9, "other");
	/* No lease outlives the engine. */
	if (kit_reopen(kit))
		kit_expect_take(
		    kit->store, "x.org", true, 9, "R10 Z20 A20 R30 H1 H5");
}

void
contract_take_domains(void **state)
{
	static const struct kit_row mixed[] = {{"a@x.org", "site", true},
	    {"b@y.org", "site", true}, {"c@x.org", "site", true},
	    {"d@xx.org", "site", true}, {NULL}};
	static const struct kit_row other[] = {
	    {"e@z.org", "site", true}, {NULL}};
	static const char *const none[] = {"w.org", NULL};
	static const char *const x[] = {"w.org", "x.org", NULL};
	static const char *const y[] = {"y.org", "z.org", NULL};
	struct kit *kit = *state;
	struct store_request *take;

	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 2, 5, mixed)), 0);
	assert_int_equal(
	    kit_append(kit->store, kit_message("B", 1, 5, other)), 0);
	store_request_free(
	    take = kit_take_domains(kit->store, "site", none, true, 9));
	take = kit_take_domains(kit->store, "site", x, true, 9);
	assert_int_equal(take->u.take.lease_count, 1);
	assert_int_equal(take->u.take.leases[0].row_count, 2);
	assert_int_equal(take->u.take.leases[0].rows[0].index, 0);
	assert_int_equal(take->u.take.leases[0].rows[1].index, 2);
	store_request_free(take);
	/* The lease is the message's, whatever rows it has. */
	take = kit_take_domains(kit->store, "site", y, true, 9);
	assert_int_equal(take->u.take.lease_count, 1);
	assert_string_equal(take->u.take.leases[0].id, "B");
	store_request_free(take);
}

/* A message with rows in both lanes is leased from one lane at a time. */
void
contract_take_one_lane(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "site", true},
	    {"b@x.org", "site", false}, {"c@x.org", "else", false}, {NULL}};
	struct store_result result = {1, STORE_DELIVERED, 0, STR("")};
	struct kit *kit = *state;
	struct store_request *take;
	bool is_done;

	assert_int_equal(
	    kit_append(kit->store, kit_message("A", 2, 5, rows)), 0);
	take = kit_take(kit->store, "site", true, 9);
	assert_int_equal(take->u.take.lease_count, 1);
	assert_int_equal(take->u.take.leases[0].row_count, 1);
	assert_int_equal(take->u.take.leases[0].rows[0].index, 1);
	store_request_free(take);
	/* At another destination it may be leased as well. */
	kit_expect_take(kit->store, "else", false, 9, "A");
	assert_int_equal(
	    kit_settle(kit->store, "A", "site", result, &is_done), 0);
	assert_false(is_done);
	take = kit_take(kit->store, "site", true, 9);
	assert_int_equal(take->u.take.lease_count, 1);
	assert_int_equal(take->u.take.leases[0].rows[0].index, 0);
	store_request_free(take);
}

void
contract_take_inline(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {NULL}};
	static const struct {
		size_t size, inline_max;
		bool is_inline;
	} cases[] = {
	    {0, 0, true},
	    {1, 0, false},
	    {100, 99, false},
	    {100, 100, true},
	    {STORE_BLOCK, STORE_BLOCK, true},
	    {STORE_BLOCK + 1, STORE_BLOCK, false},
	};
	struct kit *kit = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_request *take = store_request_new(STORE_TAKE);
		struct str got;
		char id[8], *want;

		snprintf(id, sizeof(id), "I%zu", i);
		assert_int_equal(kit_append(kit->store,
				     kit_message(id, 1, cases[i].size, rows)),
		    0);
		take->u.take.destination = STR("x.org");
		take->u.take.count = 1;
		take->u.take.inline_max = cases[i].inline_max;
		assert_int_equal(kit_run(kit->store, take)->error, 0);
		assert_string_equal(take->u.take.leases[0].id, id);
		assert_int_equal(
		    take->u.take.leases[0].content_size, cases[i].size);
		want = kit_content(id, 0, cases[i].size);
		got = take->u.take.leases[0].content;
		assert_true(str_equal(
		    got, str_of(want, cases[i].is_inline ? cases[i].size : 0)));
		free(want);
		store_request_free(take);
	}
}

/* Each outcome, its lane, its counters, and who is left. */
void
contract_settle_outcomes(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "x.org", false},
	    {"b@x.org", "x.org", false}, {"c@x.org", "x.org", false},
	    {"d@x.org", "x.org", false}, {"e@x.org", "x.org", false}, {NULL}};
	static const struct store_result results[] = {
	    {3, STORE_UNTRIED, 0, {0}},
	    {0, STORE_DELIVERED, 0, {"250 ok", 6}},
	    {2, STORE_FAILED, 0, {"550 no", 6}},
	    {1, STORE_DEFERRED, 70000, {"451 4.2.0 later", 15}},
	};
	static const char want[] =
	    "S arrival=1001/1700000000001 expire=432001001 size=12"
	    " from=sender@example.org envid=QQ314159 auth= 2 2 0 3\n"
	    "  1 lane=1 leased=0 attempts=1 due=70000 to=b@x.org"
	    " orcpt=rfc822;x notify=8 at=x.org status=451 4.2.0 later\n"
	    "  3 lane=0 leased=0 attempts=0 due=0 to=d@x.org"
	    " orcpt=rfc822;x notify=0 at=x.org status=\n"
	    "  4 lane=0 leased=0 attempts=0 due=0 to=e@x.org"
	    " orcpt=rfc822;x notify=8 at=x.org status=\n"
	    "x.org rows=2/1/0/0 messages=1 bytes=12 oldest=1001 due=0"
	    " failures=0\n";
	struct kit *kit = *state;
	struct store_request *request;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("S", 1, 12, rows)), 0);
	kit_expect_take(kit->store, "x.org", false, 9, "S");
	request = kit_settle_new("S", "x.org", results, 4);
	assert_int_equal(kit_run(kit->store, request)->error, 0);
	assert_false(request->u.settle.is_message_done);
	store_request_free(request);
	text = kit_state(kit->store);
	assert_int_equal(buf_append(&text, str_of("", 1)), 0);
	assert_string_equal(buf_str(&text).data, want);
	buf_fini(&text);
	contract_expect_durable(kit);
	contract_expect_content(kit->store, "S", 12);
	/* The one in WAITING is not given out. */
	request = kit_take(kit->store, "x.org", true, 9);
	assert_int_equal(request->u.take.leases[0].row_count, 2);
	assert_int_equal(request->u.take.leases[0].rows[0].index, 3);
	store_request_free(request);
}

/* The message goes with its last row, at whichever destination that is. */
void
contract_settle_last_row(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {"b@y.org", "y.org", false}, {NULL}};
	struct store_result result = {0, STORE_DELIVERED, 0, STR("")};
	struct kit *kit = *state;
	struct buf text;
	bool is_done = true;

	assert_int_equal(
	    kit_append(kit->store, kit_message("L", 1, 12, rows)), 0);
	kit_expect_take(kit->store, "x.org", false, 9, "L");
	kit_expect_take(kit->store, "y.org", false, 9, "L");
	assert_int_equal(
	    kit_settle(kit->store, "L", "x.org", result, &is_done), 0);
	assert_false(is_done);
	contract_expect_content(kit->store, "L", 12);
	result = (struct store_result){1, STORE_FAILED, 0, STR("550")};
	assert_int_equal(
	    kit_settle(kit->store, "L", "y.org", result, &is_done), 0);
	assert_true(is_done);
	buf_init(&text, 100);
	assert_int_equal(kit_read(kit->store, "L", &text), -ENOENT);
	text = kit_state(kit->store);
	assert_int_equal(buf_size(&text), 0);
	buf_fini(&text);
	contract_expect_durable(kit);
}

/* What is against the contract changes nothing and leaves the lease. */
void
contract_settle_refuses(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "x.org", false},
	    {"b@y.org", "y.org", false}, {"c@x.org", "x.org", true}, {NULL}};
	char status[STORE_STATUS_MAX + 1];
	struct store_result cases[] = {
	    {1, STORE_DELIVERED, 0, STR("")}, /* at another destination */
	    {2, STORE_DELIVERED, 0, STR("")}, /* in another lane */
	    {3, STORE_DELIVERED, 0, STR("")}, /* no such row */
	    {0, STORE_DEFERRED, 0, STR("")},
	    {0, STORE_DEFERRED, 9, {status, sizeof(status)}},
	};
	struct store_result twice[] = {
	    {0, STORE_DELIVERED, 0, STR("")}, {0, STORE_DELIVERED, 0, STR("")}};
	struct store_result good = {
	    0, STORE_DEFERRED, 9, {status, STORE_STATUS_MAX}};
	struct kit *kit = *state;
	struct buf before, after;

	memset(status, 's', sizeof(status));
	assert_int_equal(
	    kit_append(kit->store, kit_message("S", 1, 12, rows)), 0);
	assert_int_equal(
	    kit_settle(kit->store, "S", "x.org", cases[0], NULL), -ENOENT);
	assert_int_equal(
	    kit_settle(kit->store, "none", "x.org", cases[0], NULL), -ENOENT);
	kit_expect_take(kit->store, "x.org", false, 9, "S");
	before = kit_state(kit->store);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    kit_settle(kit->store, "S", "x.org", cases[i], NULL),
		    -EINVAL);
	assert_int_equal(
	    kit_finish(kit->store, kit_settle_new("S", "x.org", twice, 2)),
	    -EINVAL);
	assert_int_equal(
	    kit_settle(kit->store, "S", "y.org", good, NULL), -ENOENT);
	after = kit_state(kit->store);
	kit_expect_same(&before, &after);
	assert_int_equal(kit_settle(kit->store, "S", "x.org", good, NULL), 0);
	/* The lease is over. */
	assert_int_equal(
	    kit_settle(kit->store, "S", "x.org", good, NULL), -ENOENT);
	contract_expect_durable(kit);
}

/* A settle without results gives the lease back. */
void
contract_settle_nothing(void **state)
{
	struct kit *kit = *state;
	struct buf before, after;

	kit_append_one(kit->store, "A", 1, "x.org", true);
	before = kit_state(kit->store);
	kit_expect_take(kit->store, "x.org", true, 9, "A");
	assert_int_equal(
	    kit_finish(kit->store, kit_settle_new("A", "x.org", NULL, 0)), 0);
	after = kit_state(kit->store);
	kit_expect_same(&before, &after);
	kit_expect_take(kit->store, "x.org", true, 9, "A");
}

void
contract_settle_with_dsn(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x.org", false}, {NULL}};
	static const struct kit_row back[] = {
	    {"s@home", "home", false}, {NULL}};
	static const struct store_result failed = {
	    0, STORE_FAILED, 0, {"550", 3}};
	static const struct {
		const char *id;
		size_t row_count;
		int error;
	} cases[] = {{"D", 1, -EEXIST}, {"old", 1, -EEXIST},
	    {"new", 0, -EINVAL}, {"", 1, -EINVAL}, {"new", 1, 0}};
	struct kit *kit = *state;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("D", 1, 12, rows)), 0);
	kit_append_one(kit->store, "old", 1, "x.net", true);
	kit_expect_take(kit->store, "x.org", false, 9, "D");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_request *request =
		    kit_settle_new("D", "x.org", &failed, 1);
		struct store_message *dsn =
		    kit_message(cases[i].id, 9, 2000, back);

		dsn->row_count = cases[i].row_count;
		request->u.settle.dsn = dsn;
		assert_int_equal(
		    kit_run(kit->store, request)->error, cases[i].error);
		/* It is both or neither. */
		assert_int_equal(
		    request->u.settle.is_message_done, cases[i].error == 0);
		store_request_free(request);
	}
	contract_expect_durable(kit);
	buf_init(&text, KIT_STATE_MAX);
	assert_int_equal(kit_put_find(kit->store, &text, "D", "", 9), 0);
	assert_int_equal(kit_put_find(kit->store, &text, "new", "", 9), 1);
	buf_fini(&text);
	contract_expect_content(kit->store, "new", 2000);
	kit_expect_take(kit->store, "home", false, 9, "new");
}
