/*
 * Threads that remove files, on a real directory whose os also notes the order
 * of what it is asked for.
 */
#include "os/remover.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include <cmocka.h>

#define JOBS REMOVER_JOBS_MAX

struct place {
	char path[40];
	struct os *real;
	struct os os; /* notes, and asks the real one */
	struct os_ops ops;
	pthread_mutex_t lock;
	size_t unlink_count, close_count;
	bool is_slow;
	size_t turns[2 * JOBS]; /* when the file of this number went */
};

static struct place place;

static int
noting_unlink(struct os *os, const char *name)
{
	size_t number = strtoul(name + 1, NULL, 10);
	int error = place.real->ops->unlink(place.real, name);

	if (place.is_slow)
		usleep(2000);

	pthread_mutex_lock(&place.lock);
	place.turns[number] = ++place.unlink_count;
	pthread_mutex_unlock(&place.lock);
	return error;
}

static int
noting_close(struct os *os, struct os_file *file)
{
	pthread_mutex_lock(&place.lock);
	place.close_count++;
	pthread_mutex_unlock(&place.lock);
	return place.real->ops->close(place.real, file);
}

static int
setup(void **state)
{
	memset(&place, 0, sizeof(place));
	snprintf(place.path, sizeof(place.path), "/tmp/remover_test.XXXXXX");
	assert_non_null(mkdtemp(place.path));
	place.real =
	    os_real_new(open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	place.ops = *place.real->ops;
	place.ops.unlink = noting_unlink;
	place.ops.close = noting_close;
	place.os.ops = &place.ops;
	pthread_mutex_init(&place.lock, NULL);
	return 0;
}

static int
teardown(void **state)
{
	os_free(place.real);
	/* Nothing is left in it. */
	assert_int_equal(rmdir(place.path), 0);
	pthread_mutex_destroy(&place.lock);
	return 0;
}

static struct os_file *
make(const char *name)
{
	struct os_file *file;

	assert_int_equal(
	    os_open(place.real, name,
		OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &file),
	    0);
	return file;
}

/* The job with the files f2N and f2N+1. */
static struct remover_job *
job_new(size_t number, char names[2][16])
{
	struct remover_job *job = mem_new(1, sizeof(*job));

	for (size_t i = 0; i < 2; i++) {
		snprintf(names[i], 16, "f%zu", 2 * number + i);
		job->names[job->count++] = names[i];
	}
	os_close(place.real, make(names[0]));
	job->os = &place.os;
	job->file = make(names[1]);
	return job;
}

static size_t
take(struct remover *r, bool is_waiting)
{
	struct remover_job *job, *next;
	size_t count = 0;

	LL_FOREACH_SAFE(remover_take(r, is_waiting), job, next)
	{
		assert_int_equal(job->error, 0);
		assert_null(job->file);
		free(job);
		count++;
	}
	return count;
}

static void
test_many(void **state)
{
	static char names[JOBS][2][16];
	struct remover *r = remover_new(4);
	size_t taken = 0;

	assert_null(remover_take(r, false));
	assert_null(remover_take(r, true));
	for (size_t i = 0; i < JOBS; i++) {
		remover_give(r, job_new(i, names[i]));
		if (i % 50 == 0)
			taken += take(r, false);
	}
	taken += take(r, true);
	assert_int_equal(taken, JOBS);
	assert_int_equal(place.unlink_count, 2 * JOBS);
	assert_int_equal(place.close_count, JOBS);
	for (size_t i = 0; i < JOBS; i++)
		assert_true(place.turns[2 * i] < place.turns[2 * i + 1]);
	remover_free(r);
}

static void
test_what_cannot_be_removed(void **state)
{
	struct remover_job job = {
	    .os = &place.os, .names = {"f1", "f0"}, .count = 2};
	struct remover *r = remover_new(1);
	char path[60];

	snprintf(path, sizeof(path), "%s/f1", place.path);
	assert_int_equal(mkdir(path, 0700), 0);
	/* The other one is missing, which is no error. */
	remover_give(r, &job);
	assert_ptr_equal(remover_take(r, true), &job);
	assert_null(job.next);
	assert_int_equal(job.error, -EISDIR);
	assert_string_equal(job.failed, "f1");
	assert_int_equal(place.close_count, 0);
	assert_int_equal(rmdir(path), 0);
	remover_do(r, &job);
	remover_do(NULL, &job);
	assert_int_equal(job.error, 0);
	assert_null(job.failed);
	remover_free(r);
	remover_free(NULL);
}

/* A disk is found out to be slow, and quick again, whoever does the job. */
static void
test_slow(void **state)
{
	struct remover_job job = {.os = &place.os, .names = {"f1"}, .count = 1};
	struct remover *r = remover_new(1);

	assert_false(remover_is_slow(r));
	place.is_slow = true;
	remover_do(r, &job);
	assert_true(remover_is_slow(r));
	place.is_slow = false;
	for (size_t i = 0; i < 100 && remover_is_slow(r); i++) {
		remover_give(r, &job);
		assert_ptr_equal(remover_take(r, true), &job);
	}
	assert_false(remover_is_slow(r));
	remover_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_what_cannot_be_removed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
