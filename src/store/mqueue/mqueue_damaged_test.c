/*
 * Queue directories that the real sendmail and hands have left (test/corpus):
 * what is damaged is set aside or left, never sent and never removed; the rest
 * is mail.
 */
#include "store/mqueue/mqueue_kit.h"

#include <dirent.h>

#define ROOT "test/corpus"
#define ID   "6ALLDvRC012936"

/* What becomes of a directory of damaged/. */
static const struct {
	const char *name;
	const char *files; /* when it was opened, in order, blanks between */
	const char *find;  /* "SENDER>RECIPIENT LANE ", "" = not queued */
} cases[] = {
    {"00-control-good", "df" ID " qf" ID, "alice@example.com>bob@dest.test 0"},
    {"02-truncated-in-recipients", "df" ID " qf" ID, ""},
    {"04-qf-zero-length", "Qf" ID " df" ID, ""},
    {"06-unknown-code-letter", "Qf" ID " df" ID, ""},
    {"08-tf-left-with-qf", "df" ID " qf" ID " tf" ID,
	"alice@example.com>bob@dest.test 0"},
    {"10-orphan-nf-df-tf-without-qf", "df" ID " nf" ID " tf" ID, ""},
    {"12-From-spoof-line", "Qf" ID " df" ID, ""},
    {"14-no-S-line", "Qf" ID " df" ID, ""},
    {"16-world-writable-qf", "Qf" ID " df" ID, ""},
    {"18-crlf-line-endings", "df" ID " qf" ID,
	"alice@example.com>bob@dest.test 0"},
    {"20-bad-B-line", "Qf" ID " df" ID, ""},
    {"24-binary-garbage", "Qf" ID " df" ID, ""},
    {"26-hf-without-q-line", "df" ID " hf" ID,
	"alice@example.com>bob@dest.test 3"},
    {"28-qf-is-symlink", "df" ID " qf" ID " real",
	"alice@example.com>bob@dest.test 0"},
    {"32-old-T-beyond-queuereturn", "df" ID " qf" ID,
	"alice@example.com>bob@dest.test 0"},
    {"34-duplicate-S", "df" ID " qf" ID, "mallory@evil.test>bob@dest.test 0"},
    {"36-no-dot-but-newline", "df" ID " qf" ID, ""},
    {"38-Qf-lost-file", "Qf" ID " df" ID, ""},
    {"40-qf-hardlinked-nlink2", "backup." ID " df" ID " qf" ID,
	"alice@example.com>bob@dest.test 0"},
};

/* Copies a directory of files, with links as they are and modes 0600. */
static void
copy_directory(const char *from, const char *to)
{
	char source[400], target[400], bytes[65536];
	struct dirent *entry;
	DIR *stream = opendir(from);

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL) {
		/* Long ago, as it was. */
		const struct timespec old[2] = {
		    {.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
		struct stat status;
		ssize_t size;
		int in, out;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(source, sizeof(source), "%s/%s", from, entry->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
		assert_int_equal(lstat(source, &status), 0);
		if (S_ISDIR(status.st_mode)) {
			assert_int_equal(mkdir(target, 0700), 0);
			copy_directory(source, target);
			continue;
		}
		if (S_ISLNK(status.st_mode)) {
			size = readlink(source, bytes, sizeof(bytes) - 1);
			assert_true(size > 0);
			bytes[size] = '\0';
			assert_int_equal(symlink(bytes, target), 0);
			continue;
		}
		in = open(source, O_RDONLY);
		out = open(target, O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_true(in >= 0 && out >= 0);
		while ((size = read(in, bytes, sizeof(bytes))) > 0)
			assert_int_equal(write(out, bytes, (size_t)size), size);
		assert_int_equal(futimens(out, old), 0);
		close(in);
		close(out);
	}
	closedir(stream);
}

static void
put_name(void *arg, const char *name)
{
	kit_put(arg, "%s\n", name);
}

static int
compare_lines(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The names in the directory, in order, with blanks between. */
static void
expect_files(const char *where, struct os *os, const char *want)
{
	struct str lines[16], rest;
	char got[400] = "";
	struct buf names;
	size_t count = 0;

	buf_init(&names, 4096);
	assert_int_equal(os_list(os, "", put_name, &names), 0);
	for (rest = buf_str(&names); rest.size > 0; count++) {
		assert_true(count < 16);
		lines[count] = str_head(rest, str_find(rest, '\n'));
		rest = str_skip(rest, lines[count].size + 1);
	}
	qsort(lines, count, sizeof(lines[0]), compare_lines);
	for (size_t i = 0; i < count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s",
		    i > 0 ? " " : "", STR_ARG(lines[i]));
	buf_fini(&names);
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s, not %s", where, got, want);
}

/* Who is queued, as "SENDER>RECIPIENT LANE" with blanks between. */
static void
expect_queued(const char *where, struct store *store, const char *want)
{
	struct store_request *find = store_request_new(STORE_FIND);
	char got[4000] = "";

	find->u.find.count = STORE_PAGE_MAX;
	assert_int_equal(kit_run(store, find)->error, 0);
	for (size_t i = 0; i < find->u.find.found_count; i++)
		for (size_t j = 0; j < find->u.find.found[i].row_count; j++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got),
			    "%s%.*s>%.*s %d", got[0] ? " " : "",
			    STR_ARG(find->u.find.found[i].envelope.sender),
			    STR_ARG(find->u.find.found[i]
					.rows[j]
					.recipient.address),
			    find->u.find.found[i].rows[j].lane);
	store_request_free(find);
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s, not %s", where, got, want);
}

/* Delivers all that is ready; the number of messages. */
static size_t
deliver_all(struct store *store)
{
	size_t count = 0;

	for (;;) {
		struct store_request *all =
		    store_request_new(STORE_DESTINATIONS);
		size_t before = count;

		all->u.destinations.is_ready = true;
		all->u.destinations.count = 100;
		assert_int_equal(kit_run(store, all)->error, 0);
		for (size_t i = 0; i < all->u.destinations.destination_count;
		     i++) {
			char name[STORE_DESTINATION_MAX + 1];
			struct store_request *take;

			snprintf(name, sizeof(name), "%.*s",
			    STR_ARG(all->u.destinations.destinations[i].name));
			take = kit_take(store, name, false, 100);
			for (size_t j = 0; j < take->u.take.lease_count;
			     j++, count++) {
				const struct store_lease *l =
				    &take->u.take.leases[j];
				struct store_result results[100];
				struct buf content;

				buf_init(&content, 8 << 20);
				assert_int_equal(
				    kit_read(store, l->id, &content), 0);
				assert_int_equal(
				    buf_size(&content), l->content_size);
				buf_fini(&content);
				for (size_t k = 0; k < l->row_count; k++)
					results[k] = (struct store_result){
					    .index = l->rows[k].index};
				assert_int_equal(
				    kit_finish(
					store, kit_settle_new(l->id, name,
						   results, l->row_count)),
				    0);
			}
			store_request_free(take);
		}
		store_request_free(all);
		if (count == before)
			return count;
	}
}

static void
test_damaged(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mqueue_place place = {.is_real = true};
		char from[200], path[400];
		struct store *store;

		place_make(&place);
		snprintf(from, sizeof(from), ROOT "/damaged/%s", cases[i].name);
		copy_directory(from, place.path);
		if (strstr(cases[i].name, "world-writable") != NULL) {
			snprintf(path, sizeof(path), "%s/qf" ID, place.path);
			assert_int_equal(chmod(path, 0666), 0);
		}
		store = place_open_store(&place);
		expect_files(cases[i].name, place.os, cases[i].files);
		expect_queued(cases[i].name, store, cases[i].find);
		/* A second look finds nothing new in it. */
		place_rescan(store);
		expect_files(cases[i].name, place.os, cases[i].files);
		place_close(&place, store);
	}
}

/* What is no address is returned, an overlong one too: neither is sent to. */
static void
test_bad_recipients(void **state)
{
	static const char *const names[] = {
	    "22-bad-recipient-syntax", "30-line-over-2048-in-R"};

	for (size_t i = 0; i < 2; i++) {
		struct mqueue_place place = {.is_real = true};
		struct store_request *alarm = store_request_new(STORE_ALARM);
		char from[200];
		struct store *store;

		place_make(&place);
		snprintf(from, sizeof(from), ROOT "/damaged/%s", names[i]);
		copy_directory(from, place.path);
		store = place_open_store(&place);
		alarm->u.alarm.now_ms = 1;
		alarm->u.alarm.count = 9;
		assert_int_equal(kit_run(store, alarm)->error, 0);
		assert_int_equal(alarm->u.alarm.lease_count, 1);
		assert_true(str_equal(
		    alarm->u.alarm.leases[0].destination, STR(MQUEUE_BAD)));
		store_request_free(alarm);
		place_close(&place, store);
	}
}

/* A body that is missing is never sent as an empty one. */
static void
test_missing_data(void **state)
{
	struct mqueue_place place = {.is_real = true};
	struct store *store;

	place_make(&place);
	copy_directory(ROOT "/damaged/00-control-good", place.path);
	store = place_open_store(&place);
	assert_int_equal(os_unlink(place.os, "df" ID), 0);
	kit_expect_take(store, "dest.test", false, 9, "");
	expect_files("df gone", place.os, "Qf" ID);
	store = place_reopen(&place, store);
	expect_queued("df gone", store, "");
	place_close(&place, store);
}

/* What is done and may be neither renamed nor removed is not sent again, nor
   does the process end of it; what may only not be renamed is removed. */
static void
test_done_that_stays(void **state)
{
	struct store_result done = {0, STORE_DELIVERED, 0, STR("")};

	for (int n = 0; n < 2; n++) {
		struct mqueue_place place = {.is_real = n == 1};
		struct store *store = place_open(&place);

		kit_append_one(store, "M1", 1, "x.org", false);
		kit_expect_take(store, "x.org", false, 9, "M1");
		if (place.is_real) {
			assert_int_equal(chmod(place.path, 0555), 0);
			/* Rights mean nothing to root. */
			assert_true(getuid() != 0 || seteuid(65534) == 0);
		} else
			os_sim_fail_at(place.os, 1, -EACCES, false);
		assert_int_equal(
		    kit_settle(store, "M1", "x.org", done, NULL), 0);
		assert_true(getuid() != 0 || seteuid(0) == 0);
		assert_false(place.is_dead);
		expect_files(
		    "done", place.os, place.is_real ? "dfM1 qfM1" : "");
		place_rescan(store);
		place_rescan(store);
		kit_expect_take(store, "x.org", false, 9, "");
		if (place.is_real)
			assert_int_equal(chmod(place.path, 0700), 0);
		place_close(&place, store);
	}
}

/* Several directories, with and without parts, and what they share: all of it
   is mail, all of it goes, and nothing of it is left. */
static void
test_directories(void **state)
{
	static const char *const names[] = {"q1", "q2", "q3", "slow1"};
	struct mqueue_place place = {.is_real = true};
	struct store_info info;
	struct store *store;
	size_t before;
	char path[200];

	place_make(&place);
	copy_directory(ROOT "/subdirs", place.path);
	store = place_open_store(&place);
	store->ops->info(store, &info);
	before = info.totals.messages;
	assert_true(before >= 8);
	/* One that has two destinations is delivered twice. */
	assert_true(deliver_all(store) >= before);
	expect_queued("subdirs", store, "");
	for (size_t i = 0; i < 4; i++) {
		static const char *const parts[] = {"qf", "df", "xf", ""};

		for (size_t j = 0; j < 4; j++) {
			snprintf(path, sizeof(path), "%s/%s/%s", place.path,
			    names[i], parts[j]);
			if (rmdir(path) < 0 && errno != ENOENT)
				fail_msg("%s: %s", path, strerror(errno));
		}
	}
	place_close(&place, store);
}

static void
test_classic(void **state)
{
	static const struct {
		const char *name, *find;
	} old[] = {
	    {"c01-v0-single", "adams@dc.example.com>bob@dest.test 0"},
	    {"c03-v0-E-line", "adams@dc.example.com>bob@dest.test 0"},
	    {"c05-v0-uucp-sender",
		"hosta!hostb!fred@here.test>bob@dest.test 0"},
	    {"c07-v0-with-dot", "adams@dc.example.com>bob@dest.test 0"},
	    {"c09-v0-lf-present", "adams@dc.example.com>bob@dest.test 0"},
	    {"c11-v0-with-dot-three",
		"adams@dc.example.com>bob@dest.test 0"
		" adams@dc.example.com>carol@other.test 0"},
	    {"c13-v1-flags", "adams@dc.example.com>bob@dest.test 0"
			     " adams@dc.example.com>carol@other.test 0"},
	    {"c15-v4-8.10-style", "adams@dc.example.com>bob@dest.test 0"},
	};

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		struct mqueue_place place = {.is_real = true};
		char from[200];
		struct store *store;

		place_make(&place);
		snprintf(from, sizeof(from), ROOT "/classic/%s", old[i].name);
		copy_directory(from, place.path);
		store = place_open_store(&place);
		expect_queued(old[i].name, store, old[i].find);
		assert_int_equal(deliver_all(store), i == 5 || i == 6 ? 2 : 1);
		/* The old lock file is nobody's. */
		expect_files(old[i].name, place.os, i == 4 ? "lfMAA20989" : "");
		place_close(&place, store);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_bad_recipients),
	    cmocka_unit_test(test_missing_data),
	    cmocka_unit_test(test_done_that_stays),
	    cmocka_unit_test(test_directories),
	    cmocka_unit_test(test_classic),
	};

	if (getenv("SENDQ_LOG") != NULL)
		log_set(place_log, LOG_DETAIL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
