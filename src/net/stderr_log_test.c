/* Lines that are held back, and what is written although others are. */
#include "net/stderr_log.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TIME_SIZE 25 /* "2026-11-21T23:40:03.123Z " */

struct world {
	int saved; /* the real standard error */
	int end;   /* to read what is written */
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int ends[2];

	assert_non_null(w);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	w->saved = dup(STDERR_FILENO);
	w->end = ends[0];
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	log_set(stderr_log_line, LOG_NOTE);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	stderr_log_release();
	log_set(NULL, LOG_ERROR);
	dup2(w->saved, STDERR_FILENO);
	close(w->saved);
	close(w->end);
	free(w);
	return 0;
}

/* What was written is WANT, each line behind its time. */
static void
expect(struct world *w, const char *want)
{
	char got[8192];
	ssize_t n = read(w->end, got, sizeof(got) - 1);
	char *p = got, *end;

	got[n > 0 ? n : 0] = '\0';
	while (*want != '\0') {
		size_t size = strcspn(want, "\n") + 1;

		assert_true(strlen(p) >= TIME_SIZE + size);
		assert_true(p[10] == 'T' && p[23] == 'Z' && p[24] == ' ');
		assert_memory_equal(p + TIME_SIZE, want, size);
		end = p + TIME_SIZE + size;
		want += size;
		p = end;
	}
	assert_string_equal(p, "");
}

static void *
other_thread(void *arg)
{
	log_event(*(enum log_level *)arg, "other", "", "k=2");
	return NULL;
}

static void
say_elsewhere(enum log_level level)
{
	pthread_t thread;

	assert_int_equal(
	    pthread_create(&thread, NULL, other_thread, &level), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
test_hold(void **state)
{
	struct world *w = *state;

	log_event(LOG_NOTE, "a", "", "k=1");
	expect(w, "note a - k=1\n");
	stderr_log_hold();
	log_event(LOG_NOTE, "b", "", "k=1");
	log_event(LOG_WARN, "c", "", "k=1");
	expect(w, "");
	stderr_log_write();
	expect(w, "note b - k=1\nwarn c - k=1\n");
	stderr_log_write();
	expect(w, "");
	log_event(LOG_NOTE, "d", "", "k=1");
	stderr_log_release();
	expect(w, "note d - k=1\n");
	log_event(LOG_NOTE, "e", "", "k=1");
	expect(w, "note e - k=1\n");
}

/* An error goes out at once, behind what is held; so does what a thread says
   that holds nothing. */
static void
test_not_held(void **state)
{
	struct world *w = *state;

	stderr_log_hold();
	log_event(LOG_NOTE, "a", "", "k=1");
	log_event(LOG_ERROR, "b", "", "k=1");
	expect(w, "note a - k=1\nerror b - k=1\n");
	log_event(LOG_NOTE, "c", "", "k=1");
	say_elsewhere(LOG_NOTE);
	expect(w, "note c - k=1\nnote other - k=2\n");
	log_event(LOG_NOTE, "d", "", "k=1");
	say_elsewhere(LOG_ERROR);
	expect(w, "note d - k=1\nerror other - k=2\n");
}

/* A write is at most PIPE_BUF bytes and ends with a line. */
static void
test_full(void **state)
{
	struct world *w = *state;
	char value[400], got[2 * PIPE_BUF];
	ssize_t n;

	memset(value, 'v', sizeof(value));
	stderr_log_hold();
	for (int i = 0; i < 12; i++)
		log_event(
		    LOG_NOTE, "e", "", "k=%.*s", (int)sizeof(value), value);
	n = read(w->end, got, sizeof(got));
	assert_true(n > PIPE_BUF / 2 && n <= PIPE_BUF);
	assert_int_equal(got[n - 1], '\n');
	stderr_log_write();
	n = read(w->end, got, sizeof(got));
	assert_true(n > 0 && got[n - 1] == '\n');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_held, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests_name("stderr_log", tests, NULL, NULL);
}
