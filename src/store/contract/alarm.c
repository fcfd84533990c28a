/* Contract cases: alarms. */

#include "store/contract/contract_own.h"

/* A message with one row at each of DESTINATIONS (which end with NULL), with
   ALARM_MS as the alarm of all; appended. */
static void
alarm_append(struct store *store, const char *id, uint64_t alarm_ms,
    const char *const *destinations)
{
	struct kit_row rows[8] = {{NULL}};
	struct store_message *message;

	for (size_t i = 0; destinations[i] != NULL; i++)
		rows[i] = (struct kit_row){"u@x.org", destinations[i], i == 1};
	message = kit_message(id, 1, 10, rows);
	for (size_t i = 0; i < message->row_count; i++)
		message->rows[i].alarm_ms = alarm_ms;
	assert_int_equal(kit_append(store, message), 0);
}

static void
alarm_append_one(struct store *store, const char *id, uint64_t alarm_ms)
{
	const char *const destinations[] = {"d", NULL};

	alarm_append(store, id, alarm_ms, destinations);
}

/* Asks, and compares what is leased ("ID@DESTINATION(rows)" with blanks
   between) and the rest of the answer. */
static void
alarm_expect(struct store *store, uint64_t now_ms, size_t count,
    const char *want, uint64_t next_ms, bool is_passed)
{
	struct store_request *request = store_request_new(STORE_ALARM);
	char got[1000] = "";

	request->u.alarm.now_ms = now_ms;
	request->u.alarm.count = count;
	assert_int_equal(kit_run(store, request)->error, 0);
	for (size_t i = 0; i < request->u.alarm.lease_count; i++) {
		const struct store_lease *l = &request->u.alarm.leases[i];
		size_t at = strlen(got);

		assert_int_equal(l->content.size, 0);
		snprintf(got + at, sizeof(got) - at, "%s%s@%.*s(%zu)",
		    at ? " " : "", l->id, STR_ARG(l->destination),
		    l->row_count);
	}
	assert_string_equal(got, want);
	assert_int_equal(request->u.alarm.next_alarm_ms, next_ms);
	assert_int_equal(request->u.alarm.is_passed, is_passed);
	store_request_free(request);
}

/* Ends the lease of row 0 of ID at "d" with a new alarm. */
static void
alarm_settle(struct store *store, const char *id, enum store_outcome outcome,
    uint64_t alarm_ms, bool is_told)
{
	struct store_result result = {
	    .outcome = outcome,
	    .due_ms = 99,
	    .status = STR("451 later"),
	    .alarm_ms = alarm_ms,
	    .is_told = is_told,
	};

	assert_int_equal(kit_settle(store, id, "d", result, NULL), 0);
}

/* The earliest first, then in order of append; as many as are asked for. */
void
contract_alarm_in_order(void **state)
{
	struct kit *kit = *state;

	alarm_expect(kit->store, UINT64_MAX, 9, "", 0, false);
	alarm_append_one(kit->store, "A", 3000);
	alarm_append_one(kit->store, "B", 2000);
	alarm_append_one(kit->store, "C", 0);
	alarm_append_one(kit->store, "D", 2000);
	alarm_append_one(kit->store, "E", 4000);
	alarm_expect(kit->store, 1999, 9, "", 2000, false);
	alarm_expect(kit->store, 3000, 0, "", 2000, false);
	alarm_expect(kit->store, 3000, 2, "B@d(1) D@d(1)", 3000, false);
	/* What is leased is passed over, and said to be. */
	alarm_expect(kit->store, 2000, 9, "", 3000, true);
	alarm_expect(kit->store, 9000, 9, "A@d(1) E@d(1)", 0, true);
	alarm_settle(kit->store, "B", STORE_FAILED, 0, false);
	alarm_settle(kit->store, "D", STORE_UNTRIED, 0, false);
	alarm_expect(kit->store, 9000, 9, "D@d(1)", 0, true);
}

/* A lease is of one destination; rows of the message there that have more
   time are not in it, yet they are leased with it. */
void
contract_alarm_by_destination(void **state)
{
	static const char *const three[] = {"d", "e", "d", NULL};
	struct kit *kit = *state;
	struct store_message *message;
	struct kit_row rows[] = {
	    {"u@x.org", "f", false}, {"v@x.org", "f", true}, {NULL}};

	alarm_append(kit->store, "A", 2000, three);
	alarm_expect(kit->store, 2000, 1, "A@d(2)", 2000, false);
	alarm_expect(kit->store, 2000, 9, "A@e(1)", 0, true);
	message = kit_message("B", 1, 10, rows);
	message->rows[0].alarm_ms = 5000;
	message->rows[1].alarm_ms = 4000;
	assert_int_equal(kit_append(kit->store, message), 0);
	alarm_expect(kit->store, 4000, 9, "B@f(1)", 5000, true);
	kit_expect_take(kit->store, "f", true, 9, "");
}

/* A new alarm stays, and with it that the sender was told, whatever became of
   the row; a settle without one leaves both. */
void
contract_alarm_again(void **state)
{
	struct kit *kit = *state;
	struct store_request *request;
	const struct store_lease_row *row;

	alarm_append_one(kit->store, "A", 2000);
	alarm_append_one(kit->store, "B", 2000);
	alarm_expect(kit->store, 2000, 9, "A@d(1) B@d(1)", 0, false);
	alarm_settle(kit->store, "A", STORE_UNTRIED, 3000, true);
	alarm_settle(kit->store, "B", STORE_DEFERRED, 4000, false);
	contract_expect_durable(kit);
	alarm_expect(kit->store, 2999, 9, "", 3000, false);
	kit_expect_take(kit->store, "d", true, 9, "A");
	alarm_settle(kit->store, "A", STORE_DEFERRED, 0, false);
	contract_expect_durable(kit);
	request = store_request_new(STORE_ALARM);
	request->u.alarm.now_ms = 4000;
	request->u.alarm.count = 9;
	assert_int_equal(kit_run(kit->store, request)->error, 0);
	assert_int_equal(request->u.alarm.lease_count, 2);
	row = request->u.alarm.leases[0].rows;
	assert_true(row->is_told);
	assert_int_equal(row->alarm_ms, 3000);
	assert_int_equal(row->attempts, 1);
	assert_true(str_equal(row->status, STR("451 later")));
	assert_false(request->u.alarm.leases[1].rows->is_told);
	store_request_free(request);
}

/* What is stopped has no alarm until it is freed. */
void
contract_alarm_stopped(void **state)
{
	struct kit *kit = *state;
	size_t changed, leased;

	alarm_append_one(kit->store, "A", 2000);
	alarm_append_one(kit->store, "B", 3000);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_HOLD, "A", "",
			     &changed, &leased),
	    0);
	contract_expect_durable(kit);
	alarm_expect(kit->store, 9000, 9, "B@d(1)", 0, false);
	alarm_settle(kit->store, "B", STORE_DELIVERED, 0, false);
	alarm_expect(kit->store, 9000, 9, "", 0, false);
	assert_int_equal(kit_change(kit->store, STORE_CHANGE_FREE, "", "",
			     &changed, &leased),
	    0);
	assert_int_equal(changed, 1);
	contract_expect_durable(kit);
	alarm_expect(kit->store, 9000, 9, "A@d(1)", 0, false);
}
