/* The pickup role: what it takes, when it lets go of a file, how it waits. */
#include "role/pickup_kit.h"

#define MAIL "MAIL <a@b.test> uid=0 ret=0 envid= body=0|"
#define ONE  MAIL "RCPT <c@d.test> 0|" BODY "\n"

static void
test_one_file(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	/* Without work there is no stream. */
	run(w);
	assert_int_equal(w->f.streams_asked, 0);
	drop(w, 1, FROM_TO, STR(BODY), name);
	w->is_dot_held = true;
	run(w);
	assert_int_equal(w->f.streams_asked, 1);
	/* The dot is out, its answer is not there: the file stays. */
	assert_true(is_in(w, DROP_DIR_NEW, name));
	assert_false(was_logged("picked-up"));
	w->is_dot_held = false;
	talk(w);
	assert_taken(w, ONE);
	assert_false(is_in(w, DROP_DIR_NEW, name));
	assert_true(was_logged("uid=0 nrcpt=1 returned=no answer=\"250"));
	/* And the stream is closed. */
	assert_false(fake_is_open(&w->f, w->conn));
}

static void
test_envelope(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1,
	    "MAIL FROM:<> BODY=8BITMIME RET=HDRS ENVID=e+2B1|"
	    "RCPT TO:<c@d.test> NOTIFY=NEVER|"
	    "RCPT TO:<e@f.test> NOTIFY=SUCCESS,FAILURE",
	    STR("..\r\n.\r\n\r\n"), name);
	drop(w, 2, FROM_TO, STR(""), name);
	run(w);
	assert_taken(w,
	    "MAIL <> uid=0 ret=2 envid=e+2B1 body=2|RCPT <c@d.test> 1|"
	    "RCPT <e@f.test> 6|..\r\n.\r\n\r\n\n" MAIL "RCPT <c@d.test> 0|\n");
}

/* Files go in the order of their names, all on one stream. */
static void
test_many(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE], lines[100];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(lines, sizeof(lines),
		    "MAIL FROM:<a@b.test>|RCPT TO:<u%u@d.test>", (i * 7) % 20);
		drop(w, (i * 7) % 20, lines, STR("x\r\n"), name);
	}
	run(w);
	assert_int_equal(w->f.streams_asked, 1);
	assert_int_equal(w->taken_count, 20);
	for (unsigned i = 0; i + 1 < 20; i++) {
		char one[20], next[20];

		snprintf(one, sizeof(one), "<u%u@", i);
		snprintf(next, sizeof(next), "<u%u@", i + 1);
		assert_true(strstr(w->taken, one) < strstr(w->taken, next));
	}
}

static void
test_large(void **state)
{
	struct world *w = *state;
	size_t size = 300000;
	char *content = mem_new(size, 1), name[DROP_NAME_SIZE];

	memset(content, 'x', size);
	for (size_t i = 100; i < size; i += 100)
		memcpy(content + i - 2, "\r\n", 2);
	memcpy(content + size - 2, "\r\n", 2);
	drop(w, 1, FROM_TO, str_of(content, size), name);
	run(w);
	assert_int_equal(w->taken_count, 1);
	assert_int_equal(
	    buf_size(&w->message), size + strlen(MAIL "RCPT <c@d.test> 0|"));
	assert_memory_equal(
	    buf_str(&w->message).data + strlen(MAIL "RCPT <c@d.test> 0|"),
	    content, size);
	free(content);
}

/* As many at a time as a transaction may have. */
static void
test_batches(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1,
	    "MAIL FROM:<a@b.test>|RCPT TO:<r1@d.test>|RCPT TO:<r2@d.test>|"
	    "RCPT TO:<r3@d.test>|RCPT TO:<r4@d.test>",
	    STR("x\r\n"), name);
	run(w);
	assert_taken(w,
	    MAIL "RCPT <r1@d.test> 0|RCPT <r2@d.test> 0|RCPT <r3@d.test> 0|"
		 "x\r\n\n" MAIL "RCPT <r4@d.test> 0|x\r\n\n");
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

static void
test_torn(void **state)
{
	static const char *const names[] = {"0000000000000001-000000000000000a",
	    "0000000000000001-000000000000000b",
	    "0000000000000001-000000000000000c", "strange"};
	struct world *w = *state;
	char name[DROP_NAME_SIZE], path[PICKUP_PATH_SIZE];
	struct buf out;

	make_drop(&out, FROM_TO, STR(BODY));
	/* Cut, empty, changed, and no file of ours. */
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", names[0]);
	put_file(w, path, str_head(buf_str(&out), buf_size(&out) - 1));
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", names[1]);
	put_file(w, path, STR(""));
	out.data[out.start + buf_size(&out) / 2] ^= 1;
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", names[2]);
	put_file(w, path, buf_str(&out));
	put_file(w, DROP_DIR_NEW "/strange", STR("x"));
	buf_fini(&out);
	/* They hinder nobody. */
	drop(w, 1, FROM_TO, STR(BODY), name);
	run(w);
	assert_taken(w, ONE);
	for (size_t i = 0; i < 4; i++) {
		char *line;

		assert_true(is_in(w, PICKUP_DIR_BAD, names[i]));
		assert_false(is_in(w, DROP_DIR_NEW, names[i]));
		line = strstr(log_text, names[i]);
		assert_non_null(line);
		assert_null(strstr(line + 1, names[i]));
	}
	assert_true(was_logged("drop-bad"));
	assert_true(was_logged("reason=\"not whole\""));
}

/* A file that changes while it is sent is not sent to its end. */
static void
test_changed(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE], path[PICKUP_PATH_SIZE];
	struct os_file *file;

	drop(w, 1, FROM_TO, STR(BODY), name);
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", name);
	w->is_mail_held = true;
	run(w);
	assert_int_equal(os_open(w->os, path, OS_WRITE, &file), 0);
	assert_int_equal(os_pwrite(w->os, file, STR("X"), 60), 0);
	assert_int_equal(os_close(w->os, file), 0);
	w->is_mail_held = false;
	talk(w);
	assert_taken(w, "");
	assert_true(fake_conn(&w->f, w->conn)->is_aborted);
	/* The next look at it tells. */
	fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
	link_up(w);
	assert_taken(w, "");
	assert_true(is_in(w, PICKUP_DIR_BAD, name));
}

static void
test_stop(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, FROM_TO, STR(BODY), name);
	drop(w, 2, FROM_TO, STR(BODY), name);
	w->is_dot_held = true;
	run(w);
	role_pickup_ops.shutdown(w->role, w->f.now_ms);
	assert_false(w->f.is_stopped);
	w->is_dot_held = false;
	talk(w);
	/* What is in hand is finished, and no more begun. */
	assert_taken(w, ONE);
	assert_true(w->f.is_stopped);
	assert_true(is_in(w, DROP_DIR_NEW, name));
	assert_int_equal(w->f.wake_ms, UINT64_MAX);
}

static void
test_stop_idle(void **state)
{
	struct world *w = *state;

	role_pickup_ops.shutdown(w->role, w->f.now_ms);
	assert_true(w->f.is_stopped);
}

/* The stream is asked for with a growing wait; a second one is not taken. */
static void
test_streams(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];
	role_conn second;
	unsigned asked;

	/* One that nobody needs. */
	second = fake_accept_local(
	    &w->f, &role_pickup_ops, w->role, ROLE_NO_LISTENER, 0);
	assert_false(fake_is_open(&w->f, second));
	drop(w, 1, FROM_TO, STR(BODY), name);
	fake_timer(&w->f, w->f.now_ms + PICKUP_NOTICE_MS);
	role_pickup_ops.noticed(w->role, w->f.now_ms);
	assert_int_equal(w->f.streams_asked, 1);
	fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MS - 1);
	assert_int_equal(w->f.streams_asked, 1);
	fake_timer(&w->f, w->f.now_ms + 1);
	assert_int_equal(w->f.streams_asked, 2);
	for (int i = 0; i < 10; i++)
		fake_timer(&w->f, w->f.now_ms + PICKUP_ASK_MAX_MS);
	asked = w->f.streams_asked;
	fake_timer(&w->f, w->f.now_ms + PICKUP_ASK_MAX_MS - 1);
	assert_int_equal(w->f.streams_asked, asked);
	w->is_dot_held = true;
	link_up(w);
	second = fake_accept_local(
	    &w->f, &role_pickup_ops, w->role, ROLE_NO_LISTENER, 0);
	assert_false(fake_is_open(&w->f, second));
	w->is_dot_held = false;
	talk(w);
	assert_taken(w, ONE);
}

/* Names that come up are looked at soon, but not each for itself. */
static void
test_notice(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	fake_timer(&w->f, w->f.now_ms);
	assert_int_equal(w->f.wake_ms, w->f.now_ms + PICKUP_SCAN_MS);
	drop(w, 1, FROM_TO, STR(BODY), name);
	role_pickup_ops.noticed(w->role, w->f.now_ms);
	role_pickup_ops.noticed(w->role, w->f.now_ms);
	assert_int_equal(w->f.streams_asked, 0);
	assert_int_equal(w->f.wake_ms, w->f.now_ms + PICKUP_NOTICE_MS);
	fake_timer(&w->f, w->f.now_ms + PICKUP_NOTICE_MS);
	assert_int_equal(w->f.streams_asked, 1);
	link_up(w);
	/* Without notice it is found in time. */
	drop(w, 2, FROM_TO, STR(BODY), name);
	fake_timer(&w->f, w->f.now_ms + PICKUP_SCAN_MS);
	assert_int_equal(w->f.streams_asked, 2);
}

static void
test_clean(void **state)
{
	struct world *w = *state;
	char old[DROP_NAME_SIZE], young[DROP_NAME_SIZE];
	char path[PICKUP_PATH_SIZE];

	drop_name_format(w->f.wall_ms - DROP_TEMP_AGE_MS - 1, 5, old);
	drop_name_format(w->f.wall_ms - DROP_TEMP_AGE_MS + 1000, 5, young);
	snprintf(path, sizeof(path), DROP_DIR_TEMP "/%s", old);
	put_file(w, path, STR("x"));
	snprintf(path, sizeof(path), DROP_DIR_TEMP "/%s", young);
	put_file(w, path, STR("x"));
	run(w);
	assert_false(is_in(w, DROP_DIR_TEMP, old));
	assert_true(is_in(w, DROP_DIR_TEMP, young));
}

/* COUNT files in new/, from number FIRST on. */
static void
put_files(struct world *w, unsigned first, unsigned count)
{
	char path[PICKUP_PATH_SIZE], name[DROP_NAME_SIZE];

	for (unsigned i = first; i < first + count; i++) {
		drop_name_format(w->f.wall_ms, i, name);
		snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", name);
		put_file(w, path, STR(""));
	}
}

/* All that LIST knows goes; how many that were. */
static size_t
forget_all(struct world *w, struct pickup_list *list)
{
	struct pickup_file *file;
	char path[PICKUP_PATH_SIZE];
	size_t count = 0;

	while ((file = pickup_list_first(list, 0)) != NULL) {
		snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", file->name);
		assert_int_equal(os_unlink(w->os, path), 0);
		pickup_list_forget(list, file);
		count++;
	}
	return count;
}

/* More files of a user than are known at a time: all go in the end. */
static void
test_user_max(void **state)
{
	struct world *w = *state;
	struct pickup_list list;

	put_files(w, 0, PICKUP_USER_MAX + 2);
	pickup_list_init(&list, w->os);
	assert_int_equal(pickup_list_scan(&list, 0), 0);
	assert_int_equal(HASH_COUNT(list.files), PICKUP_USER_MAX);
	assert_true(list.is_cut);
	assert_int_equal(forget_all(w, &list), PICKUP_USER_MAX);
	assert_int_equal(HASH_COUNT(list.owners), 0);
	assert_true(list.is_gone);
	assert_int_equal(pickup_list_scan(&list, 0), 0);
	assert_int_equal(HASH_COUNT(list.files), 2);
	assert_false(list.is_cut);
	pickup_list_fini(&list);
}

/* A disk on which the last digit of a name is its owner. */
static const struct os_ops *real_ops;

static int
status_by_name(struct os *os, const char *name, struct os_status *status_out)
{
	int error = real_ops->status(os, name, status_out);
	char last = name[strlen(name) - 1];

	status_out->uid =
	    last <= '9' ? (uint32_t)(last - '0') : (uint32_t)(last - 'a' + 10);
	return error;
}

/* Whoever has many files takes nobody else's places; all together have as many
   as are known at a time. */
static void
test_files_max(void **state)
{
	struct world *w = *state;
	struct pickup_list list;
	struct pickup_owner *owner;
	struct os_ops ops = *w->os->ops;
	uint32_t rare = 7;

	real_ops = w->os->ops;
	ops.status = status_by_name;
	w->os->ops = &ops;
	/* 16 owners have 900 each; and one has few. */
	put_files(w, 0, 900 * 16);
	pickup_list_init(&list, w->os);
	assert_int_equal(pickup_list_scan(&list, 0), 0);
	assert_int_equal(HASH_COUNT(list.files), PICKUP_FILES_MAX);
	assert_true(list.is_cut);
	assert_int_equal(forget_all(w, &list), PICKUP_FILES_MAX);
	assert_int_equal(pickup_list_scan(&list, 0), 0);
	assert_int_equal(HASH_COUNT(list.files), 900 * 16 - PICKUP_FILES_MAX);
	assert_false(list.is_cut);
	(void)forget_all(w, &list);
	for (unsigned i = 0; i < PICKUP_USER_MAX + 100; i++)
		put_files(w, 0x10 * i + 3, 1);
	put_files(w, 0xfffff7, 1);
	assert_int_equal(pickup_list_scan(&list, 0), 0);
	assert_int_equal(HASH_COUNT(list.files), PICKUP_USER_MAX + 1);
	assert_true(list.is_cut);
	HASH_FIND(hh, list.owners, &rare, sizeof(rare), owner);
	assert_non_null(owner);
	pickup_list_fini(&list);
	w->os->ops = real_ops;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one_file),
	    TEST(test_envelope),
	    TEST(test_many),
	    TEST(test_large),
	    TEST(test_batches),
	    TEST(test_torn),
	    TEST(test_changed),
	    TEST(test_stop),
	    TEST(test_stop_idle),
	    TEST(test_streams),
	    TEST(test_notice),
	    TEST(test_clean),
	    TEST(test_user_max),
	    TEST(test_files_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
