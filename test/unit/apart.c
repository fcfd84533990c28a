/*
 * Linked into every unit test.  Where a process may use little processor time
 * (RLIMIT_CPU, as in some containers), each test of a group runs in a process
 * of its own, which has the whole of that time for itself; else the group runs
 * as cmocka runs it.  The output is cmocka's either way.
 */
#include "unit/apart.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART_BELOW 600 /* seconds */

/* Exit statuses of children. */
#define APART_DONE  100 /* and the value of apart() */
#define APART_ENDED 250 /* by a signal */
#define APART_SLOW  251

int __real__cmocka_run_group_tests(const char *name,
    const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
    CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name,
    const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
    CMFixtureFunction teardown);

bool
apart_is_needed(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CPU, &limit) == 0 &&
	       limit.rlim_cur < APART_BELOW;
}

size_t
apart_scale(size_t load)
{
#ifdef __SANITIZE_ADDRESS__
	return apart_is_needed() ? load / 4 : load;
#else
	return load;
#endif
}

/* True if a child was ended because it used all the time that it had, where
   that says nothing: a program with sanitizers is several times slower, and the
   same test runs to its end without them. */
static bool
apart_is_too_slow(int status, const struct rusage *used)
{
#ifdef __SANITIZE_ADDRESS__
	struct rlimit limit;

	return WIFSIGNALED(status) && getrlimit(RLIMIT_CPU, &limit) == 0 &&
	       (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU) &&
	       (rlim_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec + 1) >=
	           limit.rlim_cur;
#else
	return false;
#endif
}

/* Waits for CHILD: its exit status, APART_ENDED or APART_SLOW. */
static int
apart_wait(const char *name, pid_t child)
{
	struct rusage used;
	int status = 0;

	if (child < 0 || wait4(child, &status, 0, &used) < 0)
		fail_msg("fork: %s", strerror(errno));
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (apart_is_too_slow(status, &used)) {
		printf("%s: needs more processor time than a process may use "
		       "here\n",
		    name);
		return APART_SLOW;
	}
	printf("%s: ended by signal %d\n", name, WTERMSIG(status));
	return APART_ENDED;
}

int
apart(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t child;

	if (!apart_is_needed())
		return fn(arg);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		int value = fn(arg);

		fflush(NULL);
		_exit(APART_DONE + value);
	}
	status = apart_wait("a part of this test", child);
	if (status == APART_SLOW)
		skip();
	if (status < APART_DONE || status == APART_ENDED)
		fail_msg("a part of this test failed");
	return status - APART_DONE;
}

int
__wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests,
    size_t count, CMFixtureFunction setup, CMFixtureFunction teardown)
{
	int failed = 0;

	if (!apart_is_needed())
		return __real__cmocka_run_group_tests(
		    name, tests, count, setup, teardown);
	for (size_t i = 0; i < count; i++) {
		int status;
		pid_t child;

		fflush(NULL);
		child = fork();
		if (child == 0)
			exit(__real__cmocka_run_group_tests(
				 name, &tests[i], 1, setup, teardown) != 0);
		status = apart_wait(tests[i].name, child);
		if (status == APART_SLOW)
			printf("[  SKIPPED ] 1 test(s)\n");
		else if (status == APART_ENDED)
			printf("[  FAILED  ] 1 test(s)\n");
		failed += status != APART_SLOW && status != 0;
	}
	return failed;
}
