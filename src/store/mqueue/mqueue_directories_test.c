/*
 * Which directories a queue has, and to which of them new mail goes.
 */
#include "store/mqueue/mqueue_kit.h"

#define MADE_MAX 8

/* Makes directories, and files where a name begins with "+". */
static void
make_all(struct os *os, const char *const made[MADE_MAX])
{
	for (size_t i = 0; i < MADE_MAX && made[i] != NULL; i++) {
		struct os_file *file;

		if (made[i][0] != '+') {
			assert_int_equal(os_make_directory(os, made[i]), 0);
			continue;
		}
		assert_int_equal(
		    os_open(os, made[i] + 1, OS_WRITE | OS_CREATE, &file), 0);
		os_close(os, file);
	}
}

struct counter {
	const char *prefix;
	size_t count;
};

static void
count_name(void *arg, const char *name)
{
	struct counter *counter = arg;

	counter->count +=
	    strncmp(name, counter->prefix, strlen(counter->prefix)) == 0;
}

static size_t
count_files(struct os *os, const char *directory, const char *prefix)
{
	struct counter counter = {.prefix = prefix};

	assert_int_equal(os_list(os, directory, count_name, &counter), 0);
	return counter.count;
}

/* Where new messages go: by turns to all that are meant, with the data files
   beside them; never into what only happens to be there. */
static void
test_new_messages(void **state)
{
	static const struct {
		const char *made[MADE_MAX];
		const char *prefix; /* NULL = none */
		const char *group;
		struct {
			const char *control, *data;
		} used[3];
	} places[] = {
	    {{"lost+found", "other"}, NULL, "", {{"", ""}}},
	    {{"q1", "q2"}, NULL, "", {{"q1", "q1"}, {"q2", "q2"}}},
	    {{"q1", "+qfX"}, NULL, "", {{"", ""}}},
	    {{"q1", "+hfX"}, NULL, "", {{"", ""}}},
	    {{"q1", "+QfX"}, NULL, "", {{"", ""}}},
	    {{"q1", "+xfX", "+qf"}, NULL, "", {{"q1", "q1"}}},
	    {{"qf", "df", "q1"}, NULL, "", {{"qf", "df"}}},
	    {{"df", "q1"}, NULL, "", {{"q1", "q1"}}},
	    {{"qfast"}, NULL, "", {{"qfast", "qfast"}}},
	    {{"a", "a/qf", "q1"}, NULL, "", {{"a/qf", "a"}, {"q1", "q1"}}},
	    {{"q1", "q2", "q2/qf", "q2/df", "q3", "q3/df", "other", "+qfX"},
		"q", "", {{"q1", "q1"}, {"q2/qf", "q2/df"}, {"q3", "q3/df"}}},
	    {{"one", "two"}, "", "", {{"one", "one"}, {"two", "two"}}},
	    {{"other"}, "q", "", {{"", ""}}},
	    {{"slow1", "slow2", "slower", "q1", "+qfX"}, NULL, "slow",
		{{"slow1", "slow1"}, {"slow2", "slow2"}}},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct mqueue_place place = {.is_real = false};
		struct store_mqueue_options options = {.route = place_route,
		    .fatal = place_fatal,
		    .has_prefix = places[i].prefix != NULL,
		    .prefix = str_from(places[i].prefix),
		    .group = str_from(places[i].group)};
		struct store *store;
		size_t used = 0;

		place_make(&place);
		make_all(place.os, places[i].made);
		while (used < 3 && places[i].used[used].control != NULL)
			used++;
		assert_int_equal(
		    store_mqueue_open(place.os, &options, &store), 0);
		for (size_t n = 0; n < 2 * used; n++) {
			char id[] = {'N', (char)('0' + n), '\0'};

			kit_append_one(store, id, n, "x.org", false);
		}
		for (size_t j = 0; j < used; j++) {
			size_t control = count_files(
			    place.os, places[i].used[j].control, "qfN");
			size_t data = count_files(
			    place.os, places[i].used[j].data, "dfN");

			if (control != 2 || data != 2)
				fail_msg("case %zu: %zu %zu in %s", i, control,
				    data, places[i].used[j].control);
		}
		place_rescan(store);
		kit_expect_take(store, "x.org", false, 9,
		    used == 1   ? "N0 N1"
		    : used == 2 ? "N0 N1 N2 N3"
				: "N0 N1 N2 N3 N4 N5");
		place_close(&place, store);
	}
}

/* What is staged goes by turns too, and both its files to one place. */
static void
test_staged(void **state)
{
	static const char *const made[MADE_MAX] = {
	    "q1", "q1/df", "q2", "q2/df"};
	struct mqueue_place place = {.is_real = false};
	struct store *store;

	place_make(&place);
	make_all(place.os, made);
	store = place_open_store(&place);
	for (char c = '0'; c < '4'; c++) {
		char id[] = {'N', c, '\0'};
		struct store_message *message = kit_message_bare(id, 1, 1);

		kit_set_row(message, 0, "u@x.org", "x.org", false);
		assert_int_equal(kit_stage(store, id, 0, 70000), 0);
		message->is_staged = true;
		message->content_size = 70000;
		assert_int_equal(kit_append(store, message), 0);
	}
	for (int i = 1; i <= 2; i++) {
		char name[20];

		snprintf(name, sizeof(name), "q%d", i);
		assert_int_equal(count_files(place.os, name, "qfN"), 2);
		snprintf(name, sizeof(name), "q%d/df", i);
		assert_int_equal(count_files(place.os, name, "dfN"), 2);
	}
	store = place_reopen(&place, store);
	kit_expect_take(store, "x.org", false, 9, "N0 N1 N2 N3");
	place_close(&place, store);
}

/* A file of a message that can be sent. */
static void
put_message(struct os *os, const char *directory, const char *id)
{
	static const char text[] = "V8\nT1700000000\nS<a@b.test>\n"
				   "RPFD:<u@x.org>\n.\n";
	const char *const names[] = {"df", "qf"};

	for (size_t i = 0; i < 2; i++) {
		struct os_file *file;
		char path[100];

		snprintf(path, sizeof(path), "%s%s%s%s", directory,
		    directory[0] != '\0' ? "/" : "", names[i], id);
		assert_int_equal(
		    os_open(os, path, OS_WRITE | OS_CREATE, &file), 0);
		assert_int_equal(
		    os_pwrite(os, file, str_from(i == 0 ? "body\n" : text), 0),
		    0);
		os_close(os, file);
	}
}

/* A base that holds mail itself is the queue alone, as it is to sendmail. */
static void
test_base_alone(void **state)
{
	struct mqueue_place place = {.is_real = false};
	struct store *store;

	place_make(&place);
	assert_int_equal(os_make_directory(place.os, "old"), 0);
	put_message(place.os, "old", "A");
	store = place_open_store(&place);
	kit_expect_take(store, "x.org", false, 9, "A");
	store->ops->close(store);
	put_message(place.os, "", "B");
	store = place_open_store(&place);
	kit_expect_take(store, "x.org", false, 9, "B");
	place_rescan(store);
	kit_expect_take(store, "x.org", false, 9, "");
	place_close(&place, store);
}

/* Where others may write to the directory, what got another name after it was
   read is not sent either. */
static void
test_linked_later(void **state)
{
	static const char *const linked[] = {"dfA", "qfA", "dfB", "qfB"};

	for (size_t i = 0; i < sizeof(linked) / sizeof(linked[0]); i++) {
		struct mqueue_place place = {.is_real = true};
		char from[100], to[100];
		struct store *store;

		place_make(&place);
		/* Root's own group is trusted. */
		assert_int_equal(
		    geteuid() == 0 ? chown(place.path, 0, 1) : 0, 0);
		assert_int_equal(chmod(place.path, 0770), 0);
		put_message(place.os, "", "A");
		store = place_open_store(&place);
		kit_append_one(store, "B", 1, "x.org", false);
		snprintf(from, sizeof(from), "%s/%s", place.path, linked[i]);
		snprintf(to, sizeof(to), "%s/other", place.path);
		assert_int_equal(link(from, to), 0);
		kit_expect_take(
		    store, "x.org", false, 9, linked[i][2] == 'A' ? "B" : "A");
		assert_int_equal(count_files(place.os, "", "Qf"), 1);
		place_close(&place, store);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_new_messages),
	    cmocka_unit_test(test_staged),
	    cmocka_unit_test(test_base_alone),
	    cmocka_unit_test(test_linked_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
