/* The simulated os: what a power cut leaves, and faults to order. */
#include "os/os_sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CREATE (OS_READ | OS_WRITE | OS_CREATE)
#define SEEDS  200

static struct os_file *
sim_test_open(struct os *os, const char *name)
{
	struct os_file *file;

	assert_int_equal(os_open(os, name, CREATE, &file), 0);
	return file;
}

static void
sim_test_write(
    struct os *os, struct os_file *file, char c, size_t size, uint64_t offset)
{
	char bytes[5000];

	assert_true(size <= sizeof(bytes));
	memset(bytes, c, size);
	assert_int_equal(os_pwrite(os, file, str_of(bytes, size), offset), 0);
}

/* The size of NAME, or -errno; its bytes in GOT, of 5000. */
static int64_t
sim_test_read(struct os *os, const char *name, char *got)
{
	struct os_file *file;
	int error = os_open(os, name, OS_READ, &file);
	int64_t size;

	if (error < 0)
		return error;
	size = os_pread(os, file, got, 5000, 0);
	assert_int_equal(os_close(os, file), 0);
	return size;
}

/* An os with "f", of which 1000 bytes 'a' are synced and 2000 bytes 'b' from
   500 on are not; it is open. */
static struct os *
sim_test_new(struct os_file **file_out)
{
	struct os *os = os_sim_new(1);
	struct os_file *file = sim_test_open(os, "f");

	sim_test_write(os, file, 'a', 1000, 0);
	assert_int_equal(os_datasync(os, file), 0);
	assert_int_equal(os_sync_directory(os, ""), 0);
	sim_test_write(os, file, 'b', 2000, 500);
	*file_out = file;
	return os;
}

/* What each kind of cut may leave of sim_test_new(). */
static void
sim_test_crash_bytes(void **state)
{
	static const struct {
		enum os_sim_crash how;
		size_t size_min, size_max;
		const char *old_bytes; /* what may be at 500..999 */
		const char *new_bytes; /* what may be at 1000.. */
	} cases[] = {
	    {OS_SIM_CRASH_LOST, 1000, 1000, "a", ""},
	    {OS_SIM_CRASH_NAMES, 1000, 1000, "a", ""},
	    {OS_SIM_CRASH_KEPT, 2500, 2500, "b", "b"},
	    {OS_SIM_CRASH_CONTENT, 2500, 2500, "b", "b"},
	    {OS_SIM_CRASH_SUBSET, 1000, 2500, "ab", "b\0"},
	    {OS_SIM_CRASH_ORDERED, 1000, 2500, "ab", "b"},
	    {OS_SIM_CRASH_GARBAGE, 1000, 2500, NULL, NULL},
	    {OS_SIM_CRASH_EXTENDED, 2500, 2500, "a", "\0"},
	};
	struct os_file *file;
	struct os *os = sim_test_new(&file);
	char got[5000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint64_t seed = 0; seed < SEEDS; seed++) {
			struct os *cut = os_sim_crash(os, cases[i].how, seed);
			size_t size = (size_t)sim_test_read(cut, "f", got);

			assert_in_range(
			    size, cases[i].size_min, cases[i].size_max);
			for (size_t j = 0; j < size; j++) {
				const char *may = j < 500 ? "a"
				                  : j < 1000
				                      ? cases[i].old_bytes
				                      : cases[i].new_bytes;

				assert_true(
				    may == NULL || strchr(may, got[j]) != NULL);
				/* strchr() finds the NUL always. */
				assert_true(
				    got[j] != '\0' || may == NULL ||
				    cases[i].how == OS_SIM_CRASH_SUBSET ||
				    cases[i].how == OS_SIM_CRASH_EXTENDED);
			}
			os_free(cut);
		}
	/* The old one goes on as if nothing had been. */
	assert_int_equal(sim_test_read(os, "f", got), 2500);
	assert_int_equal(os_close(os, file), 0);
	os_free(os);
}

/* Over many seeds each kind of loss comes up. */
static void
sim_test_crash_variety(void **state)
{
	enum {
		OLD_SECTOR,
		HOLE,
		TORN,
		SHORT,
		GARBAGE,
		WHOLE,
		SEEN
	};
	size_t seen[SEEN] = {0};
	struct os_file *file;
	struct os *os = sim_test_new(&file);
	char got[5000];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct os *cut = os_sim_crash(os, OS_SIM_CRASH_SUBSET, seed);
		int64_t size = sim_test_read(cut, "f", got);

		seen[SHORT] += size == 1000;
		if (size == 2500) {
			seen[OLD_SECTOR] += got[999] == 'a';
			/* A later sector without an earlier one. */
			seen[HOLE] += got[1100] == '\0' && got[2100] == 'b';
			seen[WHOLE] += got[600] == 'b' && got[1100] == 'b' &&
			               got[1600] == 'b' && got[2100] == 'b';
		}
		os_free(cut);
		cut = os_sim_crash(os, OS_SIM_CRASH_ORDERED, seed);
		size = sim_test_read(cut, "f", got);
		seen[TORN] += size > 1000 && size % 512 != 0;
		os_free(cut);
		cut = os_sim_crash(os, OS_SIM_CRASH_GARBAGE, seed);
		size = sim_test_read(cut, "f", got);
		seen[GARBAGE] +=
		    size == 2500 && got[1100] != 'b' && got[1100] != '\0';
		os_free(cut);
	}
	for (size_t i = 0; i < SEEN; i++)
		assert_in_range(seen[i], 1, SEEDS);
	assert_int_equal(os_close(os, file), 0);
	os_free(os);
}

/* Writes in order: the second is never there without the first, in whichever
   file they are. */
static void
sim_test_crash_order(void **state)
{
	struct os *os = os_sim_new(1);
	struct os_file *a = sim_test_open(os, "a");
	struct os_file *b = sim_test_open(os, "b");
	size_t between = 0, reordered = 0;
	char got[5000];

	assert_int_equal(os_sync_directory(os, ""), 0);
	sim_test_write(os, a, '1', 2000, 0);
	sim_test_write(os, b, '2', 2000, 0);
	assert_int_equal(os_rename(os, "b", "c"), 0);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct os *cut = os_sim_crash(os, OS_SIM_CRASH_ORDERED, seed);
		bool is_renamed = sim_test_read(cut, "c", got) >= 0;
		bool is_second = is_renamed || sim_test_read(cut, "b", got) > 0;
		bool is_first = sim_test_read(cut, "a", got) == 2000;

		assert_true(is_first || !is_second);
		assert_true(
		    !is_renamed || sim_test_read(cut, "c", got) == 2000);
		between += is_first && !is_second;
		os_free(cut);
		cut = os_sim_crash(os, OS_SIM_CRASH_SUBSET, seed);
		reordered += sim_test_read(cut, "c", got) > 0 &&
		             sim_test_read(cut, "a", got) == 0;
		os_free(cut);
	}
	assert_true(between > 5);
	assert_true(reordered > 5);
	os_free(os);
}

static void
sim_test_crash_truncate(void **state)
{
	struct os_file *file;
	struct os *os = sim_test_new(&file), *cut;
	size_t sizes[3] = {0};
	char got[5000];

	assert_int_equal(os_sync(os, file), 0);
	assert_int_equal(os_truncate(os, file, 700), 0);
	assert_int_equal(os_truncate(os, file, 2000), 0);
	cut = os_sim_crash(os, OS_SIM_CRASH_LOST, 1);
	assert_int_equal(sim_test_read(cut, "f", got), 2500);
	assert_int_equal(got[2400], 'b');
	os_free(cut);
	cut = os_sim_crash(os, OS_SIM_CRASH_KEPT, 1);
	assert_int_equal(sim_test_read(cut, "f", got), 2000);
	assert_int_equal(got[699], 'b');
	assert_int_equal(got[700], '\0');
	os_free(cut);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		int64_t size;

		cut = os_sim_crash(os, OS_SIM_CRASH_SUBSET, seed);
		size = sim_test_read(cut, "f", got);
		assert_true(size == 2500 || size == 700 || size == 2000);
		sizes[size == 2500 ? 0 : size == 700 ? 1 : 2]++;
		assert_int_equal(got[699], 'b');
		os_free(cut);
	}
	assert_true(sizes[0] > 5 && sizes[1] > 5 && sizes[2] > 5);
	os_free(os);
}

/* Which of the names "old", "new" and "gone" a cut may leave, as bits. */
static unsigned
sim_test_names_left(struct os *os, enum os_sim_crash how, uint64_t seed_count)
{
	static const char *const names[] = {"old", "new", "gone", "dir/sub"};
	unsigned seen = 0;
	char got[5000];

	for (uint64_t seed = 0; seed < seed_count; seed++) {
		struct os *cut = os_sim_crash(os, how, seed);
		unsigned set = 0;

		for (unsigned i = 0; i < 4; i++)
			set |=
			    (unsigned)(sim_test_read(cut, names[i], got) >= 0)
			    << i;
		seen |= 1U << set;
		os_free(cut);
	}
	return seen;
}

#define SET(old, new, gone, sub)                                               \
	(1U << ((old) | (new) << 1 | (gone) << 2 | (sub) << 3))

static void
sim_test_crash_names(void **state)
{
	struct os *os = os_sim_new(1);
	unsigned seen;

	sim_test_open(os, "old");
	sim_test_open(os, "gone");
	assert_int_equal(os_sync_directory(os, ""), 0);
	assert_int_equal(os_rename(os, "old", "new"), 0);
	assert_int_equal(os_unlink(os, "gone"), 0);
	assert_int_equal(
	    sim_test_names_left(os, OS_SIM_CRASH_LOST, 1), SET(1, 0, 1, 0));
	assert_int_equal(
	    sim_test_names_left(os, OS_SIM_CRASH_KEPT, 1), SET(0, 1, 0, 0));
	/* Old, new, both or none; gone or not. */
	seen = sim_test_names_left(os, OS_SIM_CRASH_NAMES, SEEDS);
	for (unsigned i = 0; i < 8; i++)
		assert_true(seen & 1U << i);
	/* Only what is in the directory that is synced becomes durable. */
	assert_int_equal(os_make_directory(os, "dir"), 0);
	sim_test_open(os, "dir/sub");
	assert_int_equal(os_sync_directory(os, ""), 0);
	assert_int_equal(
	    sim_test_names_left(os, OS_SIM_CRASH_LOST, 1), SET(0, 1, 0, 0));
	seen = sim_test_names_left(os, OS_SIM_CRASH_NAMES, SEEDS);
	assert_int_equal(seen, SET(0, 1, 0, 0) | SET(0, 1, 0, 1));
	assert_int_equal(os_sync_directory(os, "dir"), 0);
	assert_int_equal(
	    sim_test_names_left(os, OS_SIM_CRASH_NAMES, 9), SET(0, 1, 0, 1));
	os_free(os);
}

/* The clone has what is durable as durable: a second cut takes no more. */
static void
sim_test_crash_twice(void **state)
{
	struct os_file *file;
	struct os *os = sim_test_new(&file);
	struct os *once = os_sim_crash(os, OS_SIM_CRASH_KEPT, 1), *twice;
	char got[5000];

	os_free(os);
	file = sim_test_open(once, "f");
	sim_test_write(once, file, 'c', 10, 0);
	twice = os_sim_crash(once, OS_SIM_CRASH_LOST, 1);
	assert_int_equal(sim_test_read(twice, "f", got), 2500);
	assert_int_equal(got[0], 'a');
	assert_int_equal(got[2499], 'b');
	/* Blocks are shared, changes are not. */
	file = sim_test_open(twice, "f");
	sim_test_write(twice, file, 'd', 10, 5);
	assert_int_equal(sim_test_read(once, "f", got), 2500);
	assert_memory_equal(got, "ccccccccccaa", 12);
	os_free(once);
	assert_int_equal(sim_test_read(twice, "f", got), 2500);
	assert_memory_equal(got, "aaaaadddddddddda", 16);
	os_free(twice);
}

/* Each kind of call fails when it is its turn, and changes nothing. */
static void
sim_test_fail_at(void **state)
{
	struct os_file *file;
	struct os *os = sim_test_new(&file);
	uint64_t calls = os_sim_calls(os), number;
	struct os_file *other;
	char got[5000];

	os_sim_fail_at(os, 2, -EIO, false);
	assert_int_equal(os_size(os, file, &number), 0);
	assert_int_equal(os_size(os, file, &number), -EIO);
	assert_int_equal(os_size(os, file, &number), 0);
	assert_int_equal(os_sim_calls(os), calls + 3);
	os_sim_fail_at(os, 1, -EMFILE, true);
	assert_int_equal(os_open(os, "f", OS_READ, &other), -EMFILE);
	assert_int_equal(os_open(os, "g", CREATE, &other), -EMFILE);
	assert_int_equal(os_pread(os, file, got, 1, 0), -EMFILE);
	assert_int_equal(os_datasync(os, file), -EMFILE);
	assert_int_equal(os_sync(os, file), -EMFILE);
	assert_int_equal(os_sync_directory(os, ""), -EMFILE);
	assert_int_equal(os_truncate(os, file, 1), -EMFILE);
	assert_int_equal(os_allocate(os, file, 10000), -EMFILE);
	assert_int_equal(os_rename(os, "f", "g"), -EMFILE);
	assert_int_equal(os_unlink(os, "f"), -EMFILE);
	assert_int_equal(os_make_directory(os, "dir"), -EMFILE);
	assert_int_equal(os_list(os, "", NULL, NULL), -EMFILE);
	assert_int_equal(os_lock(os, file), -EMFILE);
	assert_int_equal(os_room(os, &number), -EMFILE);
	/* Half of a write may be there. */
	assert_int_equal(os_pwrite(os, file, STR("12345678"), 0), -EMFILE);
	os_sim_fail_at(os, 0, 0, false);
	assert_int_equal(sim_test_read(os, "f", got), 2500);
	assert_memory_equal(got, "1234aaaa", 8);
	assert_int_equal(sim_test_read(os, "g", got), -ENOENT);
	os_sim_fail_at(os, 1, -EIO, false);
	assert_int_equal(os_close(os, file), -EIO);
	os_free(os);
}

/* A sync that failed, then one that does not. */
static void
sim_test_fail_sync(void **state)
{
	char got[5000];

	for (int is_dropping = 0; is_dropping < 2; is_dropping++) {
		struct os_file *file;
		struct os *os = sim_test_new(&file), *cut;

		os_sim_set_sync_drops(os, is_dropping);
		os_sim_fail_at(os, 1, -EIO, false);
		assert_int_equal(os_datasync(os, file), -EIO);
		assert_int_equal(os_datasync(os, file), 0);
		/* Reads show it in any case. */
		assert_int_equal(sim_test_read(os, "f", got), 2500);
		assert_int_equal(got[700], 'b');
		cut = os_sim_crash(os, OS_SIM_CRASH_KEPT, 1);
		assert_int_equal(
		    sim_test_read(cut, "f", got), is_dropping ? 1000 : 2500);
		assert_int_equal(got[700], is_dropping ? 'a' : 'b');
		os_free(cut);
		os_free(os);
	}
}

static void
sim_test_room(void **state)
{
	struct os *os = os_sim_new(1);
	struct os_file *file = sim_test_open(os, "f"), *other;
	uint64_t room;

	os_sim_set_room(os, 1000);
	sim_test_write(os, file, 'a', 600, 0);
	assert_int_equal(os_room(os, &room), 0);
	assert_int_equal(room, 400);
	/* Over bytes that are there no room is needed. */
	sim_test_write(os, file, 'b', 600, 0);
	assert_int_equal(os_allocate(os, file, 1001), -ENOSPC);
	assert_int_equal(os_truncate(os, file, 1001), -ENOSPC);
	assert_int_equal(os_allocate(os, file, 1000), 0);
	other = sim_test_open(os, "g");
	assert_int_equal(os_pwrite(os, other, STR("x"), 0), -ENOSPC);
	assert_int_equal(os_truncate(os, file, 999), 0);
	assert_int_equal(os_pwrite(os, other, STR("x"), 0), 0);
	assert_int_equal(os_pwrite(os, other, STR("y"), 1), -ENOSPC);
	/* A file that is in use keeps its room. */
	assert_int_equal(os_unlink(os, "f"), 0);
	assert_int_equal(os_pwrite(os, other, STR("y"), 1), -ENOSPC);
	assert_int_equal(os_close(os, file), 0);
	assert_int_equal(os_pwrite(os, other, STR("y"), 1), 0);
	assert_int_equal(os_room(os, &room), 0);
	assert_int_equal(room, 998);
	os_free(os);
}

struct sim_test_hook {
	size_t count;
	size_t bytes_last; /* of "f", as a cut before the call leaves it */
};

static void
sim_test_hook(void *arg, struct os *os)
{
	struct sim_test_hook *hook = arg;
	struct os *cut = os_sim_crash(os, OS_SIM_CRASH_LOST, 1);
	char got[5000];
	int64_t size = sim_test_read(cut, "f", got);

	hook->count++;
	hook->bytes_last = size < 0 ? 0 : (size_t)size;
	os_free(cut);
}

/* The hook comes before each call that changes something, and only there. */
static void
sim_test_hook_before_change(void **state)
{
	struct sim_test_hook hook = {0};
	struct os_file *file;
	struct os *os = sim_test_new(&file);
	uint64_t number;
	char got[10];

	os_sim_set_hook(os, sim_test_hook, &hook);
	assert_int_equal(os_datasync(os, file), 0);
	assert_int_equal(hook.count, 1);
	assert_int_equal(hook.bytes_last, 1000);
	assert_int_equal(os_pread(os, file, got, 10, 0), 10);
	assert_int_equal(os_size(os, file, &number), 0);
	assert_int_equal(os_room(os, &number), 0);
	assert_int_equal(os_lock(os, file), 0);
	assert_int_equal(os_close(os, file), 0);
	assert_int_equal(os_open(os, "f", CREATE, &file), 0);
	assert_int_equal(hook.count, 1);
	sim_test_write(os, file, 'x', 1, 0);
	assert_int_equal(hook.bytes_last, 2500);
	assert_int_equal(os_truncate(os, file, 3), 0);
	assert_int_equal(os_allocate(os, file, 5), 0);
	assert_int_equal(os_sync(os, file), 0);
	assert_int_equal(os_rename(os, "f", "g"), 0);
	assert_int_equal(os_unlink(os, "g"), 0);
	assert_int_equal(os_make_directory(os, "dir"), 0);
	assert_int_equal(os_sync_directory(os, ""), 0);
	sim_test_open(os, "new");
	assert_int_equal(hook.count, 10);
	os_sim_set_hook(os, NULL, NULL);
	os_free(os);
}

static void
sim_test_clock(void **state)
{
	struct os *os = os_sim_new(1), *cut;
	uint64_t mono_ms = os_mono_ms(os), wall_ms = os_wall_ms(os);

	os_sim_advance(os, 500);
	assert_int_equal(os_mono_ms(os), mono_ms + 500);
	assert_int_equal(os_wall_ms(os), wall_ms + 500);
	os_sim_set_wall(os, 7);
	assert_int_equal(os_wall_ms(os), 7);
	assert_int_equal(os_mono_ms(os), mono_ms + 500);
	cut = os_sim_crash(os, OS_SIM_CRASH_LOST, 1);
	assert_int_equal(os_mono_ms(cut), mono_ms + 500);
	assert_int_equal(os_wall_ms(cut), 7);
	os_free(cut);
	os_free(os);
}

/* The same seed gives the same random bytes and the same cut. */
static void
sim_test_seeds(void **state)
{
	struct os *a = os_sim_new(5), *b = os_sim_new(5), *c = os_sim_new(6);
	char left[5000], right[5000];
	struct os_file *file;

	os_random(a, left, 100);
	os_random(b, right, 100);
	assert_memory_equal(left, right, 100);
	os_random(c, right, 100);
	assert_memory_not_equal(left, right, 100);
	os_free(a);
	os_free(b);
	os_free(c);
	c = sim_test_new(&file);
	for (int how = 0; how < OS_SIM_CRASHES; how++) {
		a = os_sim_crash(c, (enum os_sim_crash)how, 42);
		b = os_sim_crash(c, (enum os_sim_crash)how, 42);
		int64_t size = sim_test_read(a, "f", left);

		assert_int_equal(sim_test_read(b, "f", right), size);
		assert_memory_equal(left, right, (size_t)size);
		os_free(a);
		os_free(b);
	}
	os_free(c);
}

static void
sim_test_flip(void **state)
{
	struct os_file *file;
	struct os *os = sim_test_new(&file), *cut;
	char got[5000];

	assert_int_equal(os_sim_flip(os, "none", 0), -ENOENT);
	assert_int_equal(os_sim_flip(os, "f", 1000), -EINVAL);
	assert_int_equal(os_sim_flip(os, "f", 3), 0);
	assert_int_equal(os_sim_flip(os, "f", 600), 0);
	sim_test_read(os, "f", got);
	assert_int_equal(got[2], 'a');
	assert_int_equal(got[3], '`');
	assert_int_equal(got[600], 'b');
	cut = os_sim_crash(os, OS_SIM_CRASH_LOST, 1);
	sim_test_read(cut, "f", got);
	assert_int_equal(got[3], '`');
	assert_int_equal(got[600], '`');
	os_free(cut);
	os_free(os);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sim_test_crash_bytes),
	    cmocka_unit_test(sim_test_crash_variety),
	    cmocka_unit_test(sim_test_crash_order),
	    cmocka_unit_test(sim_test_crash_truncate),
	    cmocka_unit_test(sim_test_crash_names),
	    cmocka_unit_test(sim_test_crash_twice),
	    cmocka_unit_test(sim_test_fail_at),
	    cmocka_unit_test(sim_test_fail_sync),
	    cmocka_unit_test(sim_test_room),
	    cmocka_unit_test(sim_test_hook_before_change),
	    cmocka_unit_test(sim_test_clock),
	    cmocka_unit_test(sim_test_seeds),
	    cmocka_unit_test(sim_test_flip),
	};

	return cmocka_run_group_tests_name("os_sim", tests, NULL, NULL);
}
