/* The Maildir helper: files, faults, power cuts, frames. */
#include "role/maildir.h"
#include "base/mem.h"
#include "base/wire.h"
#include "os/os_sim.h"
#include "smtp/client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "1700000000.m1_2.here.test"
#define HEAD "Return-Path: <from@a.test>\nDelivered-To: to@b.test\n"

/* All frames of one job in BUF, the content in pieces of SIZE. */
static void
put_job(struct buf *buf, const char *id, struct str content, size_t size)
{
	struct maildir_job job = {
	    .id = str_from(id),
	    .index = 2,
	    .arrival_wall_ms = UINT64_C(1700000000123),
	    .sender = STR("from@a.test"),
	    .recipient = STR("to@b.test"),
	    .content_size = content.size,
	};

	buf_init(buf, 4 << 20);
	assert_int_equal(maildir_job_put(buf, &job), 0);
	while (content.size > 0) {
		struct str piece = str_head(content, size);

		assert_int_equal(maildir_content_put(buf, piece), 0);
		content = str_skip(content, piece.size);
	}
}

/* Feeds BYTES in pieces of SIZE until the answer stands; its text, the verdict
   before it as a digit, or "protocol", or "nothing". */
static const char *
feed(struct os *os, struct str bytes, size_t size)
{
	static char text[400];
	struct maildir *m = maildir_new(os, STR("here.test"));
	struct buf out;
	int result = 0;

	buf_init(&out, 4096);
	while (bytes.size > 0 && result == 0) {
		struct str piece = str_head(bytes, size);

		result = maildir_feed(m, piece, &out);
		bytes = str_skip(bytes, piece.size);
	}
	snprintf(text, sizeof(text), result < 0 ? "protocol" : "nothing");
	if (result == 1) {
		struct wire_reader r = {.in = str_skip(buf_str(&out), 4)};
		unsigned verdict = wire_get_u8(&r);
		struct str answer = wire_get_str(&r, 300);

		assert_true(wire_is_whole(&r));
		assert_int_equal(
		    wire_load_u32(buf_str(&out).data), buf_size(&out) - 4);
		snprintf(
		    text, sizeof(text), "%u %.*s", verdict, STR_ARG(answer));
		/* What comes later changes nothing. */
		assert_int_equal(maildir_feed(m, STR("more"), &out), 1);
	}
	buf_fini(&out);
	maildir_free(m);
	return text;
}

static const char *
deliver(struct os *os, struct str content)
{
	const char *text;
	struct buf buf;

	put_job(&buf, "m1", content, 65536);
	text = feed(os, buf_str(&buf), SIZE_MAX);
	buf_fini(&buf);
	return text;
}

/* True if the file NAME of OS holds exactly TEXT. */
static bool
holds(struct os *os, const char *name, struct str text)
{
	struct os_file *file;
	char *data = mem_new(text.size + 1, 1);
	bool is_equal = false;

	if (os_open(os, name, OS_READ, &file) == 0) {
		int64_t size = os_pread(os, file, data, text.size + 1, 0);

		is_equal =
		    size >= 0 && str_equal(str_of(data, (size_t)size), text);
		os_close(os, file);
	}
	free(data);
	return is_equal;
}

static void
count_name(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
}

static unsigned
count(struct os *os, const char *directory)
{
	unsigned n = 0;

	(void)os_list(os, directory, count_name, &n);
	return n;
}

static const struct {
	const char *content, *stored;
} contents[] = {
    {"", ""},
    {"a\r\n", "a\n"},
    {"Subject: x\r\n\r\nbody\r\n.\r\n..\r\n", "Subject: x\n\nbody\n.\n..\n"},
    {"a\rb\r\r\nc\r", "a\rb\r\nc\r"},
    {"\r", "\r"},
    {"\r\n", "\n"},
    {"\n\r\r\r\n", "\n\r\r\n"},
    {"no end", "no end"},
};

/* The same whole, by byte, and in frames of one byte. */
static void
test_content(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		for (int cut = 0; cut < 3; cut++) {
			struct os *os = os_sim_new(1);
			char stored[200];
			struct buf buf;

			put_job(&buf, "m1", str_from(contents[i].content),
			    cut == 2 ? 1 : 65536);
			assert_string_equal(
			    feed(os, buf_str(&buf), cut == 1 ? 1 : SIZE_MAX),
			    "0 250 2.0.0 new/" NAME);
			snprintf(stored, sizeof(stored), HEAD "%s",
			    contents[i].stored);
			assert_true(holds(os, "new/" NAME, str_from(stored)));
			assert_int_equal(count(os, "tmp"), 0);
			assert_int_equal(count(os, "new"), 1);
			buf_fini(&buf);
			os_free(os);
		}
}

/* 2 MB through the real os. */
static void
test_real(void **state)
{
	char directory[] = "/tmp/sendq-maildir-XXXXXX", command[100];
	size_t size = 2 << 20, head = sizeof(HEAD) - 1;
	char *content = mem_new(size, 1), *stored = mem_new(head + size, 1);
	struct os *os;

	(void)state;
	assert_non_null(mkdtemp(directory));
	os = os_real_new(open(directory, O_RDONLY | O_DIRECTORY));
	memcpy(stored, HEAD, head);
	for (size_t i = 0; i < size; i++)
		content[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	size = 0;
	for (size_t i = 0; i < 2 << 20; i++)
		if (content[i] != '\r')
			stored[head + size++] = content[i];
	assert_string_equal(
	    deliver(os, str_of(content, 2 << 20)), "0 250 2.0.0 new/" NAME);
	assert_true(holds(os, "new/" NAME, str_of(stored, head + size)));
	/* Again, with something left in tmp: the same one file. */
	assert_int_equal(os_rename(os, "new/" NAME, "tmp/" NAME), 0);
	assert_string_equal(deliver(os, STR("a\r\n")), "0 250 2.0.0 new/" NAME);
	assert_true(holds(os, "new/" NAME, STR(HEAD "a\n")));
	assert_string_equal(deliver(os, STR("b\r\n")), "0 250 2.0.0 new/" NAME);
	assert_true(holds(os, "new/" NAME, STR(HEAD "b\n")));
	assert_int_equal(count(os, "new"), 1);
	assert_int_equal(count(os, "tmp"), 0);
	os_free(os);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
	free(content);
	free(stored);
}

/* Each call fails once: no file in new unless 250 was said, and then it is
   whole; nothing is left in tmp; 4xx and nothing else. */
static void
test_faults(void **state)
{
	static const struct {
		int error;
		const char *answer;
	} errors[] = {
	    {-EIO, "1 451 4.3.0 Input/output error"},
	    {-ENOSPC, "1 452 4.2.2 No space left on device"},
	    {-EDQUOT, "1 452 4.2.2 Disk quota exceeded"},
	};
	static char content[100 << 10];
	static char stored[sizeof(HEAD) + sizeof(content)];
	unsigned bad_count = 0;
	uint64_t n = 1, calls;

	(void)state;
	memset(content, 'x', sizeof(content));
	snprintf(
	    stored, sizeof(stored), HEAD "%.*s", (int)sizeof(content), content);
	do {
		struct os *os = os_sim_new(n);
		size_t i = n % 3;
		const char *answer;

		/* Every other time the directories are there. */
		if (n % 2 == 0)
			assert_int_equal(os_make_directory(os, "tmp") |
					     os_make_directory(os, "new") |
					     os_make_directory(os, "cur"),
			    0);
		calls = os_sim_calls(os);
		os_sim_fail_at(os, (n + 1) / 2, errors[i].error, false);
		answer = deliver(os, str_of(content, sizeof(content)));
		calls = os_sim_calls(os) - calls;
		os_sim_fail_at(os, 0, 0, false);
		if (answer[0] == '0') {
			assert_true(holds(os, "new/" NAME, str_from(stored)));
		} else {
			bad_count++;
			assert_string_equal(answer, errors[i].answer);
			assert_int_equal(count(os, "new"), 0);
		}
		assert_int_equal(count(os, "tmp"), 0);
		/* It goes well when it is tried again. */
		assert_int_equal(
		    deliver(os, str_of(content, sizeof(content)))[0], '0');
		assert_int_equal(count(os, "new"), 1);
		os_free(os);
	} while ((n++ + 1) / 2 <= calls + 2);
	assert_true(bad_count >= 10);
}

struct crash {
	struct str stored;
	bool is_said;
	uint64_t count;
};

/* Looks at what every kind of power cut leaves. */
static void
crash_look(struct os *os, struct crash *crash)
{
	for (int how = 0; how < OS_SIM_CRASHES; how++) {
		struct os *left =
		    os_sim_crash(os, (enum os_sim_crash)how, crash->count++);

		if (crash->is_said)
			assert_true(holds(left, "new/" NAME, crash->stored));
		/* A repeat after it leaves one whole file. */
		assert_int_equal(deliver(left, STR("again\r\n"))[0], '0');
		assert_true(holds(left, "new/" NAME, STR(HEAD "again\n")));
		assert_int_equal(count(left, "new"), 1);
		os_free(left);
	}
}

static void
crash_hook(void *arg, struct os *os)
{
	crash_look(os, arg);
}

static void
test_crash(void **state)
{
	struct crash crash = {.stored = STR(HEAD "a\nb\n")};

	(void)state;
	for (int is_made = 0; is_made < 2; is_made++) {
		struct os *os = os_sim_new(7);

		if (is_made)
			assert_int_equal(os_make_directory(os, "tmp") |
					     os_make_directory(os, "new") |
					     os_sync_directory(os, ""),
			    0);
		crash.is_said = false;
		os_sim_set_hook(os, crash_hook, &crash);
		assert_int_equal(deliver(os, STR("a\r\nb\r\n"))[0], '0');
		os_sim_set_hook(os, NULL, NULL);
		crash.is_said = true;
		crash_look(os, &crash);
		os_free(os);
	}
}

/* A job that breaks off leaves nothing. */
static void
test_broken_off(void **state)
{
	struct os *os = os_sim_new(1);
	struct buf buf;

	(void)state;
	put_job(&buf, "m1", STR("some content\r\n"), 5);
	for (size_t n = 0; n < buf_size(&buf); n++) {
		assert_string_equal(
		    feed(os, str_head(buf_str(&buf), n), SIZE_MAX), "nothing");
		assert_int_equal(count(os, "new") + count(os, "tmp"), 0);
	}
	buf_fini(&buf);
	os_free(os);
}

/* More content than was said is not taken. */
static void
test_too_much(void **state)
{
	struct os *os = os_sim_new(1);
	struct buf buf;

	(void)state;
	put_job(&buf, "m1", STR("12345"), 4);
	/* The last frame has one byte; now it comes with two. */
	buf.end -= 9;
	assert_int_equal(maildir_content_put(&buf, STR("56")), 0);
	assert_string_equal(feed(os, buf_str(&buf), SIZE_MAX), "protocol");
	assert_int_equal(count(os, "new") + count(os, "tmp"), 0);
	buf_fini(&buf);
	os_free(os);
}

/* Every byte of the frames changed: never a crash, never more than a file. */
static void
test_mangled(void **state)
{
	struct os *os = os_sim_new(1);
	unsigned protocol_count = 0;
	struct buf buf;

	(void)state;
	put_job(&buf, "m1", STR("some content\r\n"), 5);
	for (size_t i = 0; i < buf_size(&buf); i++)
		for (int bit = 0; bit < 8; bit++) {
			char *byte = &buf.data[buf.start + i];
			const char *text;

			*byte = (char)(*byte ^ 1 << bit);
			text = feed(os, buf_str(&buf), SIZE_MAX);
			*byte = (char)(*byte ^ 1 << bit);
			protocol_count += strcmp(text, "protocol") == 0;
			assert_true(text[0] != '2' && text[0] != '3');
			assert_int_equal(count(os, "tmp"), 0);
		}
	assert_true(protocol_count > 100);
	buf_fini(&buf);
	os_free(os);
}

static void
test_bad_jobs(void **state)
{
	static const struct maildir_job jobs[] = {
	    {STR("../x"), 0, 0, STR(""), STR("a@b"), 0},
	    {STR("a/b"), 0, 0, STR(""), STR("a@b"), 0},
	    {STR("a..b"), 0, 0, STR(""), STR("a@b"), 0},
	    {STR(""), 0, 0, STR(""), STR("a@b"), 0},
	    {STR("m1"), 0, 0, STR(""), STR(""), 0},
	    {STR("m1"), 0, 0, STR("a\nX: y"), STR("a@b"), 0},
	    {STR("m1"), 0, 0, STR(""), STR("a\r@b"), 0},
	};
	struct os *os = os_sim_new(1);

	(void)state;
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct buf buf;

		buf_init(&buf, 4096);
		assert_int_equal(maildir_job_put(&buf, &jobs[i]), 0);
		assert_string_equal(feed(os, buf_str(&buf), SIZE_MAX),
		    "1 451 4.3.0 Invalid argument");
		buf_fini(&buf);
	}
	assert_int_equal(count(os, ""), 0);
	os_free(os);
}

/* Host names that are not fit for a file name; frames that do not fit. */
static void
test_names(void **state)
{
	static const struct {
		const char *hostname, *file;
	} cases[] = {
	    {"a..b/c:d", "new/1700000000.m1_2.a._b_c_d"},
	    {".x", "new/1700000000.m1_2._x"},
	    {"", "new/1700000000.m1_2."},
	};
	struct buf buf, out;

	(void)state;
	put_job(&buf, "m1", STR("x"), 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct os *os = os_sim_new(1);
		struct maildir *m =
		    maildir_new(os, str_from(cases[i].hostname));

		buf_init(&out, 1000);
		assert_int_equal(maildir_feed(m, buf_str(&buf), &out), 1);
		assert_true(holds(os, cases[i].file, STR(HEAD "x")));
		maildir_free(m);
		buf_fini(&out);
		os_free(os);
	}
	buf_fini(&buf);
	buf_init(&buf, 20);
	assert_int_equal(buf_append(&buf, STR("abc")), 0);
	assert_int_equal(
	    maildir_content_put(&buf, STR("fourteen bytes")), -ENOBUFS);
	assert_true(str_equal(buf_str(&buf), STR("abc")));
	assert_int_equal(maildir_content_put(&buf, STR("nine byte")), 0);
	assert_int_equal(buf_size(&buf), 20);
	buf_fini(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_real),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_crash),
	    cmocka_unit_test(test_broken_off),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_mangled),
	    cmocka_unit_test(test_bad_jobs),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
