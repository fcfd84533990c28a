/* Contract tests: why a message was stopped. */
#include "store/contract/contract_own.h"

/* What a listing of ID says, of its rows at DESTINATION ("" = of all). */
static void
reason_expect(struct store *store, const char *id, const char *destination,
    const char *want)
{
	struct store_request *find = store_request_new(STORE_FIND);

	find->u.find.filter.id = str_from(id);
	find->u.find.filter.destination = str_from(destination);
	find->u.find.count = 1;
	assert_int_equal(kit_run(store, find)->error, 0);
	assert_int_equal(find->u.find.found_count, 1);
	assert_true(str_equal(find->u.find.found[0].reason, str_from(want)));
	store_request_free(find);
}

void
reason_is_kept(void **state)
{
	static const struct kit_row rows[] = {
	    {"a@x.org", "x", false}, {"b@y.org", "y", true}, {NULL}};
	static const struct {
		enum store_change change;
		const char *destination, *reason;
		size_t changed;
		const char *all, *x;
	} steps[] = {
	    {STORE_CHANGE_HOLD, "y", "spam", 1, "spam", ""},
	    {STORE_CHANGE_HOLD, "y", "spam", 0, "spam", ""},
	    {STORE_CHANGE_HOLD, "y", "", 0, "spam", ""},
	    /* That of the last hold counts, also if nobody said one. */
	    {STORE_CHANGE_HOLD, "", "virus", 2, "virus", "virus"},
	    {STORE_CHANGE_HOLD, "x", "a \"b\" <c>", 1, "a \"b\" <c>",
		"a \"b\" <c>"},
	    {STORE_CHANGE_FREE, "y", "", 1, "", ""},
	    {STORE_CHANGE_HOLD, "", "spam", 2, "spam", "spam"},
	    {STORE_CHANGE_FREE, "", "", 2, "", ""},
	    {STORE_CHANGE_HOLD, "", "", 2, "", ""},
	    {STORE_CHANGE_HOLD, "", "late", 2, "late", "late"},
	};
	struct kit *kit = *state;
	size_t changed, leased;

	assert_int_equal(
	    kit_append(kit->store, kit_message("R", 1, 12, rows)), 0);
	kit_append_one(kit->store, "Q", 1, "q", false);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct store_filter filter = {.id = STR("R"),
		    .destination = str_from(steps[i].destination)};

		if (steps[i].change == STORE_CHANGE_HOLD)
			assert_int_equal(
			    kit_hold(kit->store, &filter, steps[i].reason,
				&changed, &leased),
			    0);
		else
			assert_int_equal(
			    kit_change_filter(kit->store, steps[i].change,
				false, &filter, &changed, &leased),
			    0);
		assert_int_equal(changed, steps[i].changed);
		assert_int_equal(leased, 0);
		reason_expect(kit->store, "R", "", steps[i].all);
		reason_expect(kit->store, "R", "x", steps[i].x);
		reason_expect(kit->store, "Q", "", "");
		contract_expect_durable(kit);
	}
}

/* A reason for what is stopped already is a change like another one, also in
   slices. */
void
reason_of_many_rows(void **state)
{
	struct store_filter filter = {.id = STR("")};
	struct kit *kit = *state;
	size_t changed, leased;

	kit_append_one(kit->store, "A", 1, "x.org", false);
	assert_int_equal(
	    kit_append(kit->store,
		kit_message_wide("B", 2, "x.org", STORE_RECIPIENTS_MAX)),
	    0);
	kit_append_one(kit->store, "C", 3, "x.org", false);
	assert_int_equal(
	    kit_hold(kit->store, &filter, "one", &changed, &leased), 0);
	assert_int_equal(changed, STORE_RECIPIENTS_MAX + 2);
	reason_expect(kit->store, "B", "", "one");
	assert_int_equal(
	    kit_hold(kit->store, &filter, "two", &changed, &leased), 0);
	assert_true(changed >= 3);
	for (const char *id = "ABC"; *id != '\0'; id++) {
		char name[2] = {*id, '\0'};

		reason_expect(kit->store, name, "", "two");
	}
	contract_expect_lanes(kit->store, "x.org", "0/0/0/1002");
	contract_expect_durable(kit);
}

void
reason_limits(void **state)
{
	static const char *const bad[] = {"a\nb", "a\rb", "\n"};
	struct store_filter filter = {.id = STR("")};
	struct kit *kit = *state;
	char reason[STORE_REASON_MAX + 2];
	size_t changed, leased;

	kit_append_one(kit->store, "A", 1, "x.org", false);
	memset(reason, 'r', sizeof(reason));
	reason[STORE_REASON_MAX + 1] = '\0';
	assert_int_equal(
	    kit_hold(kit->store, &filter, reason, &changed, &leased), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    kit_hold(kit->store, &filter, bad[i], &changed, &leased),
		    -EINVAL);
	contract_expect_lanes(kit->store, "x.org", "1/0/0/0");
	reason[STORE_REASON_MAX] = '\0';
	assert_int_equal(
	    kit_hold(kit->store, &filter, reason, &changed, &leased), 0);
	assert_int_equal(changed, 1);
	reason_expect(kit->store, "A", "", reason);
	contract_expect_durable(kit);
	reason_expect(kit->store, "A", "", reason);
}
