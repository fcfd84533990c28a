/*
 * sendmail's priority of a message: what its file says, ours or not, as it was
 * read, is found; an attempt makes it worse.
 */
#include "store/mqueue/mqueue_kit.h"

static void
priority_put(struct mqueue_place *place, const char *name, const char *text)
{
	struct os_file *file;

	assert_int_equal(
	    os_open(place->os, name, OS_WRITE | OS_CREATE, &file), 0);
	assert_int_equal(os_pwrite(place->os, file, str_from(text), 0), 0);
	os_close(place->os, file);
}

static int64_t
priority_found(struct store *store, const char *id)
{
	struct store_request *find = store_request_new(STORE_FIND);
	int64_t priority;

	find->u.find.filter.id = str_from(id);
	find->u.find.count = 1;
	assert_int_equal(kit_run(store, find)->error, 0);
	assert_int_equal(find->u.find.found_count, 1);
	assert_true(find->u.find.found[0].has_priority);
	priority = find->u.find.found[0].priority;
	store_request_free(find);
	return priority;
}

static void
test_found(void **state)
{
	static const struct {
		const char *id, *control;
		int64_t priority;
	} cases[] = {
	    {"A1", "V8\nT1795295638\nP30301\nS<a@x.org>\nRPFD:<u@z.org>\n.\n",
		30301},
	    {"A2", "V8\nT1795295638\nP-5000\nS<a@x.org>\nRPFD:<u@x.org>\n.\n",
		-5000},
	    {"A3", "V8\nT1795295638\nS<a@x.org>\nRPFD:<u@x.org>\n.\n", 0},
	};
	struct store_result later = {
	    0, STORE_DEFERRED, 9000, STR("451 4.2.0 later")};
	struct kit_row rows[] = {
	    {"u@y.org", "y.org", false}, {"v@y.org", "y.org", false}, {NULL}};
	struct store_message *urgent = kit_message("M1", 1, 500, rows);
	struct mqueue_place place = {0};
	struct store *store = place_open(&place);
	char name[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "df%s", cases[i].id);
		priority_put(&place, name, "body\n");
		name[0] = 'q';
		priority_put(&place, name, cases[i].control);
	}
	place_rescan(store);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    priority_found(store, cases[i].id), cases[i].priority);
	urgent->envelope.priority = 2;
	assert_int_equal(kit_append(store, urgent), 0);
	assert_int_equal(
	    priority_found(store, "M1"), 500 + 2 * 30000 - 2 * 18000);
	/* It is worse with each attempt, here and for who reads the file. */
	kit_expect_take(store, "z.org", false, 1, "A1");
	assert_int_equal(kit_settle(store, "A1", "z.org", later, NULL), 0);
	assert_int_equal(priority_found(store, "A1"), 120301);
	store = place_reopen(&place, store);
	assert_int_equal(priority_found(store, "A1"), 120301);
	assert_int_equal(
	    priority_found(store, "M1"), 500 + 2 * 30000 - 2 * 18000);
	place_close(&place, store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
