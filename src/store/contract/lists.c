/* Contract cases besides alarms: due, rehold, count, destinations, park, find,
   change and clock. */

#include "mail/address.h"
#include "store/contract/contract_own.h"

/* The lanes of a destination as "ready/waiting/held/stopped". */
void
contract_expect_lanes(
    struct store *store, const char *destination, const char *want)
{
	struct store_request *request = store_request_new(STORE_DESTINATIONS);
	char got[100] = "0/0/0/0";

	request->u.destinations.count = 1000;
	assert_int_equal(kit_run(store, request)->error, 0);
	for (size_t i = 0; i < request->u.destinations.destination_count; i++) {
		const struct store_destination *d =
		    &request->u.destinations.destinations[i];

		if (str_equal(d->name, str_from(destination)))
			snprintf(got, sizeof(got), "%llu/%llu/%llu/%llu",
			    KIT_U(d->rows[STORE_READY]),
			    KIT_U(d->rows[STORE_WAITING]),
			    KIT_U(d->rows[STORE_HELD]),
			    KIT_U(d->rows[STORE_STOPPED]));
	}
	assert_string_equal(got, want);
	store_request_free(request);
}

/* Promotes what is due at NOW_MS and compares the answer; MOVED_TO counts
   destinations. */
void
contract_expect_due(struct store *store, uint64_t now_ms, size_t moved,
    size_t moved_to, uint64_t next_ms)
{
	struct store_request *request = store_request_new(STORE_DUE);

	request->u.due.now_ms = now_ms;
	assert_int_equal(kit_run(store, request)->error, 0);
	assert_int_equal(request->u.due.moved_count, moved);
	assert_int_equal(request->u.due.moved_to_count, moved_to);
	assert_int_equal(request->u.due.next_due_ms, next_ms);
	for (size_t i = 0; i < moved_to; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(str_equal(
			    request->u.due.moved[i], request->u.due.moved[j]));
	store_request_free(request);
}

/* Leases ID at DESTINATION and defers its row INDEX until DUE_MS. */
void
contract_defer(struct store *store, const char *id, const char *destination,
    uint32_t index, uint64_t due_ms)
{
	struct store_result result = {
	    index, STORE_DEFERRED, due_ms, STR("451 later")};

	store_request_free(kit_take(store, destination, true, 100));
	assert_int_equal(kit_settle(store, id, destination, result, NULL), 0);
}

void
contract_due_to_home(void **state)
{
	struct kit *kit = *state;
	struct store_request *take;

	contract_expect_due(kit->store, UINT64_MAX, 0, 0, 0);
	kit_append_one(kit->store, "A", 1, "x.org", false);
	kit_append_one(kit->store, "B", 2, "y.org", true);
	contract_defer(kit->store, "A", "x.org", 0, 5000);
	contract_defer(kit->store, "B", "y.org", 0, 6000);
	contract_expect_due(kit->store, 4999, 0, 0, 5000);
	contract_expect_durable(kit);
	contract_expect_due(kit->store, 5000, 1, 1, 6000);
	contract_expect_lanes(kit->store, "x.org", "1/0/0/0");
	contract_expect_lanes(kit->store, "y.org", "0/1/0/0");
	contract_expect_due(kit->store, 7000, 1, 1, 0);
	contract_expect_lanes(kit->store, "y.org", "0/0/1/0");
	contract_expect_durable(kit);
	/* The place in the lane is the one given at append. */
	kit_append_one(kit->store, "C", 9, "x.org", false);
	take = kit_take(kit->store, "x.org", false, 1);
	assert_int_equal(take->u.take.lease_count, 1);
	assert_string_equal(take->u.take.leases[0].id, "A");
	assert_int_equal(take->u.take.leases[0].rows[0].attempts, 1);
	store_request_free(take);
	contract_expect_due(kit->store, 7000, 0, 0, 0);
}

/* Defers all rows of a message of up to STORE_RECIPIENTS_MAX, row I until
   DUE_MS + I. */
static void
contract_defer_wide(struct store *store, const char *id,
    const char *destination, size_t count, uint64_t due_ms)
{
	struct store_result results[STORE_LEASE_ROWS_MAX];

	assert_int_equal(
	    kit_append(store, kit_message_wide(id, 1, destination, count)), 0);
	for (size_t first = 0; first < count;) {
		struct store_request *request =
		    kit_take(store, destination, false, 1);
		struct store_lease *lease = request->u.take.leases;
		size_t n = lease->row_count;

		assert_int_equal(request->u.take.lease_count, 1);
		assert_string_equal(lease->id, id);
		for (size_t i = 0; i < n; i++)
			results[i] = (struct store_result){lease->rows[i].index,
			    STORE_DEFERRED, due_ms + lease->rows[i].index,
			    STR("451")};
		store_request_free(request);
		assert_int_equal(
		    kit_finish(
			store, kit_settle_new(id, destination, results, n)),
		    0);
		first += n;
	}
}

/* STORE_SLICE_MAX at a time, the earliest first; STORE_SLICE_MAX + 1 rows
   need two. */
void
contract_due_in_slices(void **state)
{
	struct kit *kit = *state;

	contract_defer_wide(
	    kit->store, "W", "x.org", STORE_SLICE_MAX + 1, 1000);
	contract_defer_wide(kit->store, "V", "y.org", 2, 500);
	contract_expect_due(kit->store, 5000, 500, 2, 1498);
	contract_expect_lanes(kit->store, "x.org", "498/3/0/0");
	contract_expect_lanes(kit->store, "y.org", "2/0/0/0");
	contract_expect_due(kit->store, 1499, 2, 1, 1500);
	contract_expect_due(kit->store, 1500, 1, 1, 0);
	contract_expect_lanes(kit->store, "x.org", "501/0/0/0");
	contract_expect_durable(kit);
}

void
contract_rehold(void **state)
{
	struct kit *kit = *state;

	contract_defer_wide(
	    kit->store, "W", "x.org", STORE_SLICE_MAX + 1, 1000);
	kit_append_one(kit->store, "A", 1, "site", true);
	contract_defer(kit->store, "A", "site", 0, 900);
	assert_int_equal(kit_rehold(kit->store, "none"), 0);
	contract_expect_due(kit->store, 1, 0, 0, 900);
	assert_int_equal(kit_rehold(kit->store, "x.org"), 0);
	contract_expect_lanes(kit->store, "x.org", "501/0/0/0");
	contract_expect_lanes(kit->store, "site", "0/1/0/0");
	assert_int_equal(kit_rehold(kit->store, "site"), 0);
	contract_expect_lanes(kit->store, "site", "0/0/1/0");
	contract_expect_due(kit->store, 10000, 0, 0, 0);
	contract_expect_durable(kit);
}

void
contract_expect_count(struct store *store, const char *destination,
    const char *domains, uint64_t messages, uint64_t bytes)
{
	struct store_request *request = store_request_new(STORE_COUNT);
	struct str wanted[4], rest = str_from(domains);
	size_t count = 0;

	while (rest.size > 0) {
		wanted[count] = str_head(rest, str_find(rest, ' '));
		rest = str_skip(rest, wanted[count++].size + 1);
	}
	request->u.count.destination = str_from(destination);
	request->u.count.domains = wanted;
	request->u.count.domain_count = count;
	assert_int_equal(kit_run(store, request)->error, 0);
	assert_int_equal(request->u.count.messages, messages);
	assert_int_equal(request->u.count.bytes, bytes);
	store_request_free(request);
}

void
contract_count(void **state)
{
	static const struct kit_row twice[] = {{"a@x.org", "site", true},
	    {"b@x.org", "site", true}, {"c@y.org", "site", false},
	    {"d@z.org", "else", true}, {NULL}};
	static const struct kit_row once[] = {
	    {"a@x.org", "site", true}, {NULL}};
	static const struct {
		const char *destination, *domains;
		uint64_t messages, bytes, stopped_messages, stopped_bytes;
	} cases[] = {
	    {"site", "", 2, 130, 1, 100},
	    {"site", "x.org", 2, 130, 1, 100},
	    {"site", "y.org", 1, 100, 1, 100},
	    {"site", "y.org x.org", 2, 130, 1, 100},
	    {"site", "z.org", 0, 0, 0, 0},
	    {"site", "org", 0, 0, 0, 0},
	    {"else", "", 1, 100, 1, 100},
	    {"else", "z.org q.org", 1, 100, 1, 100},
	    {"none", "", 0, 0, 0, 0},
	};
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};
	struct kit *kit = *state;
	size_t changed, leased;

	assert_int_equal(
	    kit_append(kit->store, kit_message("T", 1, 100, twice)), 0);
	assert_int_equal(
	    kit_append(kit->store, kit_message("O", 2, 30, once)), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		contract_expect_count(kit->store, cases[i].destination,
		    cases[i].domains, cases[i].messages, cases[i].bytes);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "O", "",
			     &changed, &leased),
	    0);
	kit_reopen(kit);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		contract_expect_count(kit->store, cases[i].destination,
		    cases[i].domains, cases[i].stopped_messages,
		    cases[i].stopped_bytes);
	/* One of two recipients in x.org gone, then waiting, then gone. */
	contract_defer(kit->store, "T", "site", 2, 99);
	contract_expect_count(kit->store, "site", "y.org", 1, 100);
	kit_expect_take(kit->store, "site", true, 1, "T");
	assert_int_equal(kit_settle(kit->store, "T", "site", done, NULL), 0);
	contract_expect_count(kit->store, "site", "x.org", 1, 100);
	kit_expect_take(kit->store, "site", true, 1, "T");
	done.index = 1;
	assert_int_equal(kit_settle(kit->store, "T", "site", done, NULL), 0);
	contract_expect_count(kit->store, "site", "x.org", 0, 0);
	contract_expect_count(kit->store, "site", "", 1, 100);
	kit_reopen(kit);
	contract_expect_count(kit->store, "site", "x.org", 0, 0);
	contract_expect_count(kit->store, "site", "", 1, 100);
}

/* The oldest is the one that arrived first, not the one appended first; it may
   go before the others do. */
void
contract_destinations_oldest(void **state)
{
	static const char *const want[] = {
	    "x.org rows=1/0/1/1 messages=3 bytes=315 oldest=1002 due=0"
	    " failures=0\n",
	    "x.org rows=0/0/1/1 messages=2 bytes=213 oldest=1004 due=0"
	    " failures=0\n"};
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};
	struct kit *kit = *state;
	size_t changed, leased;

	kit_append_one(kit->store, "A", 9, "x.org", true);
	kit_append_one(kit->store, "B", 2, "x.org", false);
	kit_append_one(kit->store, "C", 4, "x.org", false);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "C", "",
			     &changed, &leased),
	    0);
	for (size_t i = 0; i < 2; i++) {
		struct buf got;

		buf_init(&got, KIT_STATE_MAX);
		kit_put_destinations(kit->store, &got, false, 0, 9);
		assert_true(str_equal(buf_str(&got), str_from(want[i])));
		buf_fini(&got);
		contract_expect_durable(kit);
		if (i > 0)
			break;
		kit_expect_take(kit->store, "x.org", false, 1, "B");
		assert_int_equal(
		    kit_settle(kit->store, "B", "x.org", done, NULL), 0);
	}
}

void
contract_destinations_pages(void **state)
{
	struct kit *kit = *state;
	struct buf want, got;
	char name[16], id[8];

	for (size_t i = 0; i < 25; i++) {
		/* Out of order: 0, 7, 14, 21, 3, ... */
		snprintf(name, sizeof(name), "d%02zu", i * 7 % 25);
		snprintf(id, sizeof(id), "D%zu", i);
		kit_append_one(kit->store, id, i, name, i % 2 > 0);
	}
	buf_init(&want, KIT_STATE_MAX);
	for (size_t i = 0; i < 25; i++) {
		/* 18 is the inverse of 7 modulo 25. */
		size_t rank = i * 18 % 25;

		kit_put(&want,
		    "d%02zu rows=%d/0/%d/0 messages=1 bytes=%zu oldest=%zu"
		    " due=0 failures=0\n",
		    i, rank % 2 == 0, rank % 2 > 0, 100 + rank, 1000 + rank);
	}
	for (size_t page = 1; page < 30; page += 6) {
		buf_init(&got, KIT_STATE_MAX);
		kit_put_destinations(kit->store, &got, false, 0, page);
		assert_true(str_equal(buf_str(&want), buf_str(&got)));
		buf_fini(&got);
	}
	buf_fini(&want);
}

/* The destinations with something ready, as they are answered. */
static void
contract_expect_ready(struct store *store, uint64_t now_ms, const char *want)
{
	struct buf got;

	buf_init(&got, KIT_STATE_MAX);
	kit_put_destinations(store, &got, true, now_ms, 100);
	assert_int_equal(buf_append(&got, str_of("", 1)), 0);
	assert_string_equal(buf_str(&got).data, want);
	buf_fini(&got);
}

void
contract_park(void **state)
{
	static const char a[] = "a rows=1/0/0/0 messages=1 bytes=101"
				" oldest=1001 due=0 failures=0\n";
	static const char b[] = "b rows=1/0/0/0 messages=1 bytes=102"
				" oldest=1002 due=5000 failures=3\n";
	struct kit *kit = *state;
	char want[400];

	kit_append_one(kit->store, "A", 1, "a", false);
	/* Before there are rows: it counts when there are. */
	assert_int_equal(kit_park(kit->store, "b", 5000, 3), 0);
	kit_append_one(kit->store, "B", 2, "b", false);
	kit_append_one(kit->store, "H", 3, "held", true);
	assert_int_equal(kit_park(kit->store, "held", 100, 1), 0);
	assert_int_equal(kit_park(kit->store, "norows", 200, 1), 0);
	for (int round = 0; round < 2; round++) {
		snprintf(want, sizeof(want), "%snext=5000\nnext=5000\n", a);
		contract_expect_ready(kit->store, 4999, want);
		snprintf(want, sizeof(want), "%s%snext=0\nnext=0\n", a, b);
		contract_expect_ready(kit->store, 5000, want);
		contract_expect_durable(kit);
	}
	/* A parked destination is not refused to him who asks. */
	kit_expect_take(kit->store, "b", false, 1, "B");
	assert_int_equal(kit_park(kit->store, "b", 0, 9), 0);
	snprintf(want, sizeof(want), "%s%snext=0\nnext=0\n", a,
	    "b rows=1/0/0/0 messages=1 bytes=102 oldest=1002 due=0"
	    " failures=0\n");
	contract_expect_ready(kit->store, 0, want);
	assert_int_equal(kit_park(kit->store, "a", 9, 1), 0);
	assert_int_equal(kit_park(kit->store, "a", 7, 2), 0);
	assert_int_equal(kit_park(kit->store, "b", 8, 2), 0);
	contract_expect_ready(kit->store, 0, "next=7\n");
}

/* COUNT messages M000.. with one row each at "a" or, every third, "b". */
static void
contract_fill(struct store *store, size_t count)
{
	char id[24];

	for (size_t i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "M%03zu", i);
		/* Ranks go down: the order is that of append all the same. */
		kit_append_one(
		    store, id, count - i, i % 3 == 2 ? "b" : "a", i % 2 > 0);
	}
}

void
contract_find_pages(void **state)
{
	static const struct {
		const char *id, *destination;
		size_t count;
	} cases[] = {{"", "", 450}, {"", "a", 300}, {"", "b", 150},
	    {"", "c", 0}, {"M005", "", 1}, {"M005", "b", 1}, {"M005", "a", 0},
	    {"M999", "", 0}};
	static const size_t pages[] = {7, STORE_PAGE_MAX - 1, STORE_PAGE_MAX};
	struct kit *kit = *state;
	struct store_request *request = store_request_new(STORE_FIND);

	contract_fill(kit->store, 450);
	request->u.find.count = STORE_PAGE_MAX + 1;
	assert_int_equal(kit_run(kit->store, request)->error, 0);
	assert_int_equal(request->u.find.found_count, STORE_PAGE_MAX);
	for (size_t i = 0; i < STORE_PAGE_MAX; i++)
		assert_int_equal(
		    strtoul(request->u.find.found[i].id + 1, NULL, 10), i);
	store_request_free(request);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf first, text;

		buf_init(&first, KIT_STATE_MAX);
		kit_put_find(
		    kit->store, &first, cases[i].id, cases[i].destination, 100);
		for (size_t j = 0; j < 3; j++) {
			buf_init(&text, KIT_STATE_MAX);
			assert_int_equal(
			    kit_put_find(kit->store, &text, cases[i].id,
				cases[i].destination, pages[j]),
			    cases[i].count);
			assert_true(str_equal(buf_str(&text), buf_str(&first)));
			buf_fini(&text);
		}
		buf_fini(&first);
	}
}

/* Only rows of the filter are shown; leases are. */
void
contract_find_rows(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "x", false},
	    {"b@y.org", "y", false}, {"c@x.org", "x", true}, {NULL}};
	static const char want[] =
	    "F arrival=1001/1700000000001 expire=432001001 size=12"
	    " from=sender@example.org envid=QQ314159 auth= 2 2 0 3\n"
	    "  0 lane=0 leased=1 attempts=0 due=0 to=a@x.org"
	    " orcpt=rfc822;x notify=0 at=x status=\n"
	    "  2 lane=2 leased=1 attempts=0 due=0 to=c@x.org"
	    " orcpt=rfc822;x notify=8 at=x status=\n";
	struct kit *kit = *state;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("F", 1, 12, rows)), 0);
	kit_expect_take(kit->store, "x", false, 9, "F");
	buf_init(&text, KIT_STATE_MAX);
	kit_put_find(kit->store, &text, "", "x", 9);
	assert_int_equal(buf_append(&text, str_of("", 1)), 0);
	assert_string_equal(buf_str(&text).data, want);
	buf_fini(&text);
}

/* Messages too wide for one answer come page by page. */
void
contract_find_more_than_fits(void **state)
{
	enum {
		COUNT = 12
	};
	char destination[STORE_DESTINATION_MAX + 1], id[8];
	char address[MAIL_ADDRESS_MAX + 1], orcpt[MAIL_ORCPT_MAX + 1];
	struct kit *kit = *state;
	struct buf text;

	memset(destination, 'd', sizeof(destination));
	memset(address, 'a', sizeof(address));
	memset(orcpt, 'o', sizeof(orcpt));
	destination[STORE_DESTINATION_MAX] = '\0';
	address[MAIL_ADDRESS_MAX] = orcpt[MAIL_ORCPT_MAX] = '\0';
	address[MAIL_LOCAL_MAX] = '@';
	for (size_t i = 0; i < COUNT; i++) {
		struct store_message *message;

		snprintf(id, sizeof(id), "W%zu", i);
		message = kit_message_bare(id, i, STORE_RECIPIENTS_MAX);
		for (size_t j = 0; j < STORE_RECIPIENTS_MAX; j++) {
			kit_set_row(message, j, address, destination, false);
			message->rows[j].recipient.orcpt =
			    arena_copy(&message->arena, str_from(orcpt));
		}
		assert_int_equal(kit_append(kit->store, message), 0);
	}
	buf_init(&text, KIT_STATE_MAX);
	assert_int_equal(
	    kit_put_find(kit->store, &text, "", "", STORE_PAGE_MAX), COUNT);
	buf_fini(&text);
}

void
contract_change_lanes(void **state)
{
	static const struct kit_row rows[] = {{"a@x.org", "x", false},
	    {"b@y.org", "y", true}, {"c@z.org", "z", false}, {NULL}};
	static const struct {
		enum store_change change;
		const char *id, *destination;
		size_t changed;
		const char *x, *y, *z;
	} steps[] = {
	    {STORE_CHANGE_FREE, "", "", 0, "1/0/0/0", "0/0/1/0", "0/1/0/0"},
	    {STORE_CHANGE_HOLD, "C", "y", 1, "1/0/0/0", "0/0/0/1", "0/1/0/0"},
	    {STORE_CHANGE_HOLD, "Q", "", 0, "1/0/0/0", "0/0/0/1", "0/1/0/0"},
	    {STORE_CHANGE_HOLD, "", "", 2, "0/0/0/1", "0/0/0/1", "0/0/0/1"},
	    {STORE_CHANGE_HOLD, "", "", 0, "0/0/0/1", "0/0/0/1", "0/0/0/1"},
	    /* From WAITING it goes home, not back. */
	    {STORE_CHANGE_FREE, "", "z", 1, "0/0/0/1", "0/0/0/1", "1/0/0/0"},
	    {STORE_CHANGE_FREE, "C", "", 2, "1/0/0/0", "0/0/1/0", "1/0/0/0"},
	    {STORE_CHANGE_DELETE, "", "x", 1, "0/0/0/0", "0/0/1/0", "1/0/0/0"},
	    {STORE_CHANGE_DELETE, "C", "", 2, "0/0/0/0", "0/0/0/0", "0/0/0/0"},
	};
	struct kit *kit = *state;
	size_t changed, leased;
	struct buf text;

	assert_int_equal(
	    kit_append(kit->store, kit_message("C", 1, 12, rows)), 0);
	contract_defer(kit->store, "C", "z", 2, 5000);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(
		    kit_change(kit->store, steps[i].change, steps[i].id,
			steps[i].destination, &changed, &leased),
		    0);
		assert_int_equal(changed, steps[i].changed);
		assert_int_equal(leased, 0);
		contract_expect_lanes(kit->store, "x", steps[i].x);
		contract_expect_lanes(kit->store, "y", steps[i].y);
		contract_expect_lanes(kit->store, "z", steps[i].z);
		contract_expect_durable(kit);
		/* What is stopped is neither due nor given out. */
		if (steps[i].x[6] == '1' && steps[i].z[6] == '1') {
			contract_expect_due(kit->store, UINT64_MAX, 0, 0, 0);
			kit_expect_take(kit->store, "x", true, 9, "");
			assert_int_equal(kit_rehold(kit->store, "z"), 0);
			contract_expect_lanes(kit->store, "z", "0/0/0/1");
		}
	}
	buf_init(&text, 100);
	assert_int_equal(kit_read(kit->store, "C", &text), -ENOENT);
	buf_fini(&text);
}

void
contract_change_leaves_leased(void **state)
{
	static const enum store_change changes[] = {
	    STORE_CHANGE_HOLD, STORE_CHANGE_DELETE};
	struct store_result later = {0, STORE_DEFERRED, 9, STR("")};
	struct kit *kit = *state;
	size_t changed, leased;

	for (size_t i = 0; i < 2; i++) {
		kit_append_one(kit->store, i ? "L1" : "L0", 1, "x.org", false);
		kit_append_one(kit->store, i ? "F1" : "F0", 2, "x.org", true);
		kit_expect_take(kit->store, "x.org", false, 9, i ? "L1" : "L0");
		assert_int_equal(kit_change(kit->store, changes[i], "", "x.org",
				     &changed, &leased),
		    0);
		assert_int_equal(changed, i ? 3 : 1);
		assert_int_equal(leased, 1);
		contract_expect_lanes(
		    kit->store, "x.org", i ? "1/0/0/0" : "1/0/0/1");
		assert_int_equal(kit_settle(kit->store, i ? "L1" : "L0",
				     "x.org", later, NULL),
		    0);
		contract_expect_lanes(
		    kit->store, "x.org", i ? "0/1/0/0" : "0/1/0/1");
	}
}

/* More rows than a slice, in messages wider than a slice, some leased. */
void
contract_change_in_slices(void **state)
{
	struct kit *kit = *state;
	size_t changed, leased;

	assert_int_equal(kit_append(kit->store, kit_message_wide("A", 1,
						    "x.org", STORE_SLICE_MAX)),
	    0);
	assert_int_equal(
	    kit_append(kit->store,
		kit_message_wide("B", 2, "y.org", STORE_SLICE_MAX + 1)),
	    0);
	assert_int_equal(
	    kit_append(kit->store, kit_message_wide("C", 3, "leased", 120)), 0);
	assert_int_equal(
	    kit_append(kit->store,
		kit_message_wide("D", 4, "x.org", STORE_RECIPIENTS_MAX)),
	    0);
	kit_expect_take(kit->store, "leased", false, 1, "C");
	for (int i = 0; i < 3; i++) {
		enum store_change change = i == 0   ? STORE_CHANGE_HOLD
		                           : i == 1 ? STORE_CHANGE_FREE
		                                    : STORE_CHANGE_DELETE;

		assert_int_equal(
		    kit_change(kit->store, change, "", "", &changed, &leased),
		    0);
		assert_int_equal(
		    changed, 2 * STORE_SLICE_MAX + 1 + STORE_RECIPIENTS_MAX);
		assert_int_equal(leased, i == 1 ? 0 : 120);
		contract_expect_lanes(kit->store, "leased", "120/0/0/0");
		contract_expect_lanes(kit->store, "x.org",
		    i == 0   ? "0/0/0/1500"
		    : i == 1 ? "1500/0/0/0"
			     : "0/0/0/0");
	}
	kit_reopen(kit);
	contract_expect_lanes(kit->store, "leased", "120/0/0/0");
	contract_expect_lanes(kit->store, "y.org", "0/0/0/0");
}

void
contract_clock(void **state)
{
	struct kit *kit = *state;
	struct store_info info;

	assert_int_equal(kit_clock(kit->store, 5000, 1700000000000), 0);
	if (!kit_reopen(kit))
		return;
	kit->store->ops->info(kit->store, &info);
	assert_int_equal(info.queue_ms, 5000);
	assert_int_equal(info.wall_ms, 1700000000000);
	assert_true(info.was_clean);
	assert_int_equal(info.recovered_count, 0);
	kit_append_one(kit->store, "A", 8000, "x.org", false);
	kit_reopen(kit);
	kit->store->ops->info(kit->store, &info);
	assert_int_equal(info.queue_ms, 9000);
	/* As of the append, whose wall clock the kit makes up. */
	assert_in_range(info.wall_ms, 1700000000000, 1700000008000);
}
