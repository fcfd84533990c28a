/* What os.h promises, for the real os and for the simulated one. */
#include "os/os.h"
#include "base/mem.h"
#include "os/os_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CREATE (OS_READ | OS_WRITE | OS_CREATE)

struct os_test {
	struct os *os;
	char path[32]; /* of the real one */
};

static int
os_test_setup_real(void **state)
{
	struct os_test *test = mem_new(1, sizeof(*test));

	snprintf(test->path, sizeof(test->path), "/tmp/os_test.XXXXXX");
	assert_non_null(mkdtemp(test->path));
	test->os = os_real_new(open(test->path, O_RDONLY | O_DIRECTORY));
	*state = test;
	return 0;
}

static int
os_test_setup_sim(void **state)
{
	struct os_test *test = mem_new(1, sizeof(*test));

	test->os = os_sim_new(1);
	*state = test;
	return 0;
}

static void
os_test_remove(void *arg, const char *name)
{
	int error = os_unlink(arg, name);

	assert_true(error == 0 || error == -EISDIR);
}

static int
os_test_teardown(void **state)
{
	struct os_test *test = *state;
	char path[64];

	os_list(test->os, "", os_test_remove, test->os);
	os_free(test->os);
	if (test->path[0] != '\0') {
		snprintf(path, sizeof(path), "%s/dir/sub", test->path);
		rmdir(path);
		snprintf(path, sizeof(path), "%s/dir", test->path);
		rmdir(path);
		assert_int_equal(rmdir(test->path), 0);
	}
	free(test);
	return 0;
}

static struct os *
os_test_os(void **state)
{
	return ((struct os_test *)*state)->os;
}

static void
os_test_names(void **state)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {{"a", 0}, {"a.b-c", 0}, {"dir/a", 0}, {".a", 0},
	    {"", -EINVAL}, {".", -EINVAL}, {"..", -EINVAL}, {"a..b", -EINVAL},
	    {"/a", -EINVAL}, {"../a", -EINVAL}, {"dir/..", -EINVAL},
	    {"dir/", -EINVAL}, {"dir/.", -EINVAL}, {"./a", -EINVAL},
	    {"dir//a", -EINVAL}, {"dir/a/b", -ENOTDIR}, {"dir/sub/a", 0},
	    {"dir/none/a", -ENOENT}, {"dir/sub/a/b", -EINVAL},
	    {"dir/sub/", -EINVAL}, {"none/a", -ENOENT}, {"a/b", -ENOTDIR}};
	struct os *os = os_test_os(state);
	struct os_file *file;

	assert_int_equal(os_make_directory(os, "dir"), 0);
	assert_int_equal(os_make_directory(os, "dir/sub"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    os_open(os, cases[i].name, CREATE, &file), cases[i].error);
		assert_true((file != NULL) == (cases[i].error == 0));
		if (cases[i].error < 0) {
			assert_int_equal(
			    os_rename(os, "a", cases[i].name), cases[i].error);
			assert_int_equal(
			    os_unlink(os, cases[i].name), cases[i].error);
			continue;
		}
		assert_int_equal(os_close(os, file), 0);
	}
	assert_int_equal(os_unlink(os, "dir/a"), 0);
	assert_int_equal(os_rename(os, "dir/sub/a", "b"), 0);
	assert_int_equal(os_open(os, "dir", OS_READ, &file), -EINVAL);
	assert_int_equal(os_open(os, "a", 0, &file), -EINVAL);
	assert_int_equal(os_make_directory(os, "dir"), -EEXIST);
	assert_int_equal(os_make_directory(os, "dir/sub"), -EEXIST);
	assert_int_equal(os_make_directory(os, "x/y"), -ENOENT);
	assert_int_equal(os_make_directory(os, "dir/sub/y"), -EINVAL);
	assert_int_equal(os_make_directory(os, ""), -EINVAL);
	assert_int_equal(os_sync_directory(os, "dir/x"), -ENOENT);
	assert_int_equal(os_sync_directory(os, "dir/sub/x"), -EINVAL);
	assert_int_equal(os_sync_directory(os, "dir/sub"), 0);
	assert_int_equal(os_sync_directory(os, "none"), -ENOENT);
	assert_int_equal(os_sync_directory(os, "a"), -ENOTDIR);
	assert_int_equal(os_sync_directory(os, "dir"), 0);
	assert_int_equal(os_sync_directory(os, ""), 0);
}

static void
os_test_open_flags(void **state)
{
	static const struct {
		int flags;
		int new_error, old_error; /* when it is not there, and is */
	} cases[] = {{OS_READ, -ENOENT, 0}, {OS_WRITE, -ENOENT, 0},
	    {OS_READ | OS_WRITE, -ENOENT, 0}, {OS_WRITE | OS_CREATE, 0, 0},
	    {CREATE, 0, 0}, {CREATE | OS_EXCLUSIVE, 0, -EEXIST}};
	struct os *os = os_test_os(state);
	struct os_file *file;
	char byte = 'x';

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		os_unlink(os, "new");
		for (int j = 0; j < 2; j++) {
			int want = j ? cases[i].old_error : cases[i].new_error;
			int flags = cases[i].flags;

			if (j == 1 && cases[i].new_error < 0) {
				assert_int_equal(
				    os_open(os, "new", CREATE, &file), 0);
				assert_int_equal(os_close(os, file), 0);
			}
			assert_int_equal(
			    os_open(os, "new", flags, &file), want);
			if (want < 0)
				continue;
			assert_int_equal(os_pread(os, file, &byte, 1, 9),
			    flags & OS_READ ? 0 : -EBADF);
			assert_int_equal(os_pwrite(os, file, STR("x"), 0),
			    flags & OS_WRITE ? 0 : -EBADF);
			assert_int_equal(os_close(os, file), 0);
		}
	}
	assert_int_equal(os_open(os, "new", OS_READ, &file), 0);
	assert_int_equal(os_pwrite(os, file, STR("x"), 0), -EBADF);
	assert_int_equal(os_close(os, file), 0);
}

/* The file is WANT_SIZE long and begins with WANT. */
static void
os_test_expect(struct os *os, struct os_file *file, const char *want,
    size_t want_size, uint64_t file_size)
{
	char got[20000];
	uint64_t size;

	assert_int_equal(os_size(os, file, &size), 0);
	assert_int_equal(size, file_size);
	memset(got, '?', sizeof(got));
	assert_int_equal(os_pread(os, file, got, sizeof(got), 0), file_size);
	assert_memory_equal(got, want, want_size);
}

static void
os_test_bytes(void **state)
{
	struct os *os = os_test_os(state);
	struct os_file *file;
	char long_text[9000], got[9000];

	assert_int_equal(os_open(os, "f", CREATE, &file), 0);
	os_test_expect(os, file, "", 0, 0);
	assert_int_equal(os_pwrite(os, file, STR("hello"), 3), 0);
	os_test_expect(os, file, "\0\0\0hello", 8, 8);
	assert_int_equal(os_pwrite(os, file, STR("abc"), 0), 0);
	os_test_expect(os, file, "abchello", 8, 8);
	assert_int_equal(os_pread(os, file, got, 100, 5), 3);
	assert_memory_equal(got, "llo", 3);
	assert_int_equal(os_pread(os, file, got, 100, 8), 0);
	assert_int_equal(os_pread(os, file, got, 100, 1000000), 0);
	/* What was cut off does not come back. */
	assert_int_equal(os_truncate(os, file, 4), 0);
	assert_int_equal(os_truncate(os, file, 6), 0);
	os_test_expect(os, file, "abch\0\0", 6, 6);
	assert_int_equal(os_allocate(os, file, 0), 0);
	assert_int_equal(os_allocate(os, file, 3), 0);
	os_test_expect(os, file, "abch\0\0", 6, 6);
	assert_int_equal(os_allocate(os, file, 10000), 0);
	os_test_expect(os, file, "abch\0\0\0\0", 8, 10000);
	/* Over the blocks of the simulated one. */
	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (char)('a' + i % 23);
	assert_int_equal(
	    os_pwrite(os, file, str_of(long_text, sizeof(long_text)), 4000), 0);
	assert_int_equal(
	    os_pread(os, file, got, sizeof(got), 4000), sizeof(got));
	assert_memory_equal(got, long_text, sizeof(got));
	os_test_expect(os, file, "abch\0\0\0\0", 8, 13000);
	assert_int_equal(os_datasync(os, file), 0);
	assert_int_equal(os_sync(os, file), 0);
	assert_int_equal(os_pwrite(os, file, STR("x"), UINT64_MAX), -EFBIG);
	assert_int_equal(os_truncate(os, file, UINT64_MAX), -EFBIG);
	assert_int_equal(os_allocate(os, file, UINT64_MAX), -EFBIG);
	os_test_expect(os, file, "abch", 4, 13000);
	assert_int_equal(os_close(os, file), 0);
}

static void
os_test_add_name(void *arg, const char *name)
{
	char *all = arg;

	assert_true(strlen(all) + strlen(name) < 90);
	/* In any order: every name has one letter of its own. */
	all[name[0] - 'a'] = name[0];
}

static void
os_test_expect_names(struct os *os, const char *directory, const char *want)
{
	char got[100] = "................";

	assert_int_equal(os_list(os, directory, os_test_add_name, got), 0);
	assert_string_equal(got, want);
}

static void
os_test_rename(void **state)
{
	struct os *os = os_test_os(state);
	char names[100] = "................";
	struct os_file *a, *b;

	assert_int_equal(os_make_directory(os, "dir"), 0);
	assert_int_equal(os_open(os, "a", CREATE, &a), 0);
	assert_int_equal(os_pwrite(os, a, STR("aaa"), 0), 0);
	assert_int_equal(os_open(os, "b", CREATE, &b), 0);
	assert_int_equal(os_pwrite(os, b, STR("b"), 0), 0);
	os_test_expect_names(os, "", "ab.d............");
	/* The real one knows which are files. */
	assert_int_equal(
	    os_list_directories(os, "", os_test_add_name, names), 0);
	assert_true(names['d' - 'a'] == 'd');
	if (((struct os_test *)*state)->path[0] != '\0')
		assert_string_equal(names, "...d............");
	assert_int_equal(os_rename(os, "none", "c"), -ENOENT);
	assert_int_equal(os_rename(os, "a", "a"), 0);
	assert_int_equal(os_rename(os, "a", "dir/e"), 0);
	os_test_expect_names(os, "", ".b.d............");
	os_test_expect_names(os, "dir", "....e...........");
	/* Over a file that is there: that one is gone but for its users. */
	assert_int_equal(os_rename(os, "dir/e", "b"), 0);
	os_test_expect_names(os, "dir", "................");
	os_test_expect(os, b, "b", 1, 1);
	os_test_expect(os, a, "aaa", 3, 3);
	assert_int_equal(os_close(os, b), 0);
	assert_int_equal(os_open(os, "b", OS_READ, &b), 0);
	os_test_expect(os, b, "aaa", 3, 3);
	assert_int_equal(os_unlink(os, "b"), 0);
	assert_int_equal(os_unlink(os, "b"), -ENOENT);
	os_test_expect(os, b, "aaa", 3, 3);
	os_test_expect_names(os, "", "...d............");
	assert_int_equal(os_list(os, "none", os_test_add_name, NULL), -ENOENT);
	assert_int_equal(os_list(os, "..", os_test_add_name, NULL), -EINVAL);
	assert_int_equal(os_close(os, a), 0);
	assert_int_equal(os_close(os, b), 0);
}

static void
os_test_lock(void **state)
{
	struct os *os = os_test_os(state);
	struct os_file *a, *b;

	assert_int_equal(os_open(os, "lock", CREATE, &a), 0);
	assert_int_equal(os_open(os, "lock", CREATE, &b), 0);
	assert_int_equal(os_lock(os, a), 0);
	assert_int_equal(os_lock(os, a), 0);
	assert_int_equal(os_lock(os, b), -EWOULDBLOCK);
	assert_int_equal(os_close(os, a), 0);
	assert_int_equal(os_lock(os, b), 0);
	assert_int_equal(os_close(os, b), 0);
}

static void
os_test_clock_room_random(void **state)
{
	struct os *os = os_test_os(state);
	uint64_t mono_ms = os_mono_ms(os), room = 0;
	unsigned char bytes[300] = {0};
	size_t zero_count = 0;

	assert_true(os_mono_ms(os) >= mono_ms);
	/* After the year 2020, before the year 2200. */
	assert_true(os_wall_ms(os) > 1577836800000);
	assert_true(os_wall_ms(os) < 7258118400000);
	assert_int_equal(os_room(os, &room), 0);
	assert_true(room > 0);
	os_random(os, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		zero_count += bytes[i] == 0;
	assert_true(zero_count < 20);
}

/* What is known of files and directories, by name and when open. */
static void
os_test_status(void **state)
{
	struct os *os = os_test_os(state);
	struct os_status by_name, open_one, other;
	struct os_file *file;

	assert_int_equal(os_status(os, "a", &by_name), -ENOENT);
	assert_int_equal(os_status(os, ".", &by_name), -EINVAL);
	assert_int_equal(os_status(os, "", &by_name), 0);
	assert_true(by_name.is_directory && by_name.mode == 0700);
	assert_int_equal(os_make_directory(os, "dir"), 0);
	assert_int_equal(os_status(os, "dir", &by_name), 0);
	assert_true(by_name.is_directory && !by_name.is_file);
	assert_int_equal(os_open(os, "dir/a", CREATE, &file), 0);
	assert_int_equal(os_pwrite(os, file, STR("12345"), 0), 0);
	assert_int_equal(os_file_status(os, file, &open_one), 0);
	assert_int_equal(os_status(os, "dir/a", &by_name), 0);
	assert_true(by_name.is_file && !by_name.is_directory);
	assert_int_equal(by_name.size, 5);
	assert_int_equal(by_name.mode, 0600);
	assert_int_equal(by_name.link_count, 1);
	assert_true(by_name.mtime_ns > UINT64_C(1577836800000000000));
	assert_true(open_one.is_file && !open_one.is_directory);
	assert_int_equal(open_one.size, by_name.size);
	assert_int_equal(open_one.mode, by_name.mode);
	assert_int_equal(open_one.uid, by_name.uid);
	assert_int_equal(open_one.gid, by_name.gid);
	assert_int_equal(open_one.link_count, by_name.link_count);
	assert_int_equal(open_one.mtime_ns, by_name.mtime_ns);
	assert_int_equal(open_one.device, by_name.device);
	assert_int_equal(open_one.inode, by_name.inode);
	/* Another file under the same name is another one. */
	assert_int_equal(os_unlink(os, "dir/a"), 0);
	assert_int_equal(os_file_status(os, file, &open_one), 0);
	assert_int_equal(open_one.link_count, 0);
	assert_int_equal(os_status(os, "dir/a", &other), -ENOENT);
	assert_int_equal(os_close(os, file), 0);
}

/* Links and pipes in the place of files are refused and do no harm. */
static void
os_test_real_only_files(void **state)
{
	struct os_test *test = *state;
	struct os_file *file;
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "%s/link", test->path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(os_open(test->os, "link", OS_READ, &file), -ELOOP);
	assert_int_equal(
	    os_open(test->os, "link", OS_READ | OS_FOLLOW, &file), 0);
	assert_int_equal(os_close(test->os, file), 0);
	snprintf(path, sizeof(path), "%s/pipe", test->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(os_open(test->os, "pipe", OS_READ, &file), -EINVAL);
	assert_int_equal(
	    os_open(test->os, "pipe", OS_READ | OS_WRITE, &file), -EINVAL);
	assert_null(file);
	assert_int_equal(os_open(test->os, "new", CREATE, &file), 0);
	assert_int_equal(os_close(test->os, file), 0);
	snprintf(path, sizeof(path), "%s/new", test->path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(
	    os_open(test->os, "shared", CREATE | OS_SHARED, &file), 0);
	assert_int_equal(os_close(test->os, file), 0);
	snprintf(path, sizeof(path), "%s/shared", test->path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
}

#define OS_TEST_BOTH(f)                                                        \
	{#f " real", f, os_test_setup_real, os_test_teardown, NULL},           \
	{                                                                      \
#f " simulated", f, os_test_setup_sim, os_test_teardown, NULL  \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    OS_TEST_BOTH(os_test_names),
	    OS_TEST_BOTH(os_test_open_flags),
	    OS_TEST_BOTH(os_test_bytes),
	    OS_TEST_BOTH(os_test_rename),
	    OS_TEST_BOTH(os_test_status),
	    OS_TEST_BOTH(os_test_lock),
	    OS_TEST_BOTH(os_test_clock_room_random),
	    cmocka_unit_test_setup_teardown(
		os_test_real_only_files, os_test_setup_real, os_test_teardown),
	};

	return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
