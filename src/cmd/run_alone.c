/*
 * A run with a daemon of its own: sendqd --run is started with one end of a
 * socket pair as its standard input, is asked over the other end, and gets
 * SIGTERM when it has answered.
 *
 *   start --answered--> the status of the answer
 *     \--any of its processes died, or something stayed untried--> start again,
 *        and leave what was tried since the first start
 *     \--the same, ALONE_DEATHS_MAX times with no message less in the queue, or
 *        it never came up--> its status, or EX_TEMPFAIL, and one line
 *
 * SIGTERM and SIGINT end a run after the message in hand: then nothing is
 * started again.
 */
#include "cmd/run_alone.h"
#include "base/check.h"
#include "cmd/run_ask.h"
#include "cmd/run_every.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define ALONE_DEATHS_MAX 5         /* one after the other, without progress */
#define ALONE_PAUSE_NS   100000000 /* before the next start */

struct alone {
	struct sendqd_words *words;
	json_t *request;
	const struct conf *conf;
	const struct run_place *place;
	unsigned start_count;
	unsigned death_count; /* without progress */
	time_t begun_s;       /* the first start */
	json_int_t left;      /* messages at a start, the fewest so far */
	bool was_ready;       /* once */
	bool is_ready;        /* of the last start */
	int state;            /* its end, as waitpid() has it */
};

/* The one-shot daemon, for the signal handler; 0: none. */
static volatile sig_atomic_t alone_pid;
static volatile sig_atomic_t alone_is_over;

static void
alone_on_signal(int number)
{
	run_every_end();
	alone_is_over = 1;
	if (alone_pid > 0)
		(void)kill((pid_t)alone_pid, SIGTERM);
}

static void
alone_signals(void)
{
	/* Reading goes on: the daemon ends after the message in hand. */
	struct sigaction act = {
	    .sa_handler = alone_on_signal, .sa_flags = SA_RESTART};

	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static time_t
alone_now_s(void)
{
	struct timespec now = {.tv_sec = 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* What went wrong, of an answer or of none; NULL: nothing. */
static const char *
alone_error(const json_t *end)
{
	if (end == NULL)
		return "a process of it died";
	return json_string_value(json_object_get(end, "error"));
}

/* Fewer messages than ever before: there is progress. */
static void
alone_note_left(struct alone *a, int fd)
{
	json_t *request = json_pack("{s:s, s:i}", "do", "list", "count", 1);
	json_t *end, *total;

	CHECK(request != NULL);
	end = run_ask_request(fd, request);
	total = json_object_get(end, "total");
	if (json_is_integer(total) &&
	    (a->left < 0 || json_integer_value(total) < a->left)) {
		a->left = json_integer_value(total);
		a->death_count = 0;
	}
	json_decref(end);
}

/* What is asked for; later what was not tried since the run began.  That is
   known in whole seconds. */
static json_t *
alone_request(const struct alone *a)
{
	json_t *request = json_deep_copy(a->request);
	json_int_t age = (json_int_t)(alone_now_s() - a->begun_s) + 2;

	CHECK(request != NULL);
	if (a->start_count > 1 &&
	    json_integer_value(json_object_get(request, "age")) < age)
		CHECK(json_object_set_new(request, "age", json_integer(age)) ==
		      0);
	return request;
}

/* The run over FD: the end of the answer, or NULL. */
static json_t *
alone_ask(struct alone *a, int fd)
{
	bool is_foreign = a->place->is_own && !a->place->is_configured;

	a->is_ready = run_ask_ready(fd) == 0;
	if (!a->is_ready)
		return NULL;
	a->was_ready = true;
	if (a->start_count > 1)
		alone_note_left(a, fd);
	/* First what was submitted while no daemon ran. */
	if (a->place->is_configured)
		run_place_await_drop(a->conf);
	if (is_foreign && !run_ask_routes(fd))
		return NULL;
	return run_ask_request(fd, alone_request(a));
}

/* One start, up to its end: 0, or -errno where there was none. */
static int
alone_start(struct alone *a, json_t **end_out)
{
	int ends[2];
	pid_t pid;

	*end_out = NULL;
	a->start_count++;
	a->is_ready = false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = sendqd_start(a->words, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return pid;
	}
	alone_pid = pid;
	alone_signals();
	if (alone_is_over)
		(void)kill(pid, SIGTERM);
	*end_out = alone_ask(a, ends[0]);
	/* One that does not come up is ending already, and says by what. */
	if (a->is_ready)
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &a->state, 0) < 0 && errno == EINTR)
		continue;
	alone_pid = 0;
	close(ends[0]);
	return 0;
}

/* The exit status of the last start; EX_OK also where a signal ended it. */
static int
alone_exit(const struct alone *a)
{
	return WIFEXITED(a->state) ? WEXITSTATUS(a->state) : EX_OK;
}

/* True if another start may do what the last one did not.  One that does not
   come up says why, and would again; but any process may be killed. */
static bool
alone_may_again(const struct alone *a)
{
	int status = alone_exit(a);

	return !alone_is_over && a->death_count < ALONE_DEATHS_MAX &&
	       (a->was_ready || status == EX_OK || status == EX_SOFTWARE);
}

static void
alone_pause(const struct alone *a, const char *error)
{
	static const struct timespec pause = {.tv_nsec = ALONE_PAUSE_NS};

	if (json_is_true(json_object_get(a->request, "verbose")))
		fprintf(stderr,
		    "sendmail: %s: the run begins again with what is left: "
		    "%s\n",
		    a->place->path, error);
	(void)nanosleep(&pause, NULL);
}

/* The exit status of what came to no good end, and one line. */
static int
alone_failed(const struct alone *a, const char *error)
{
	int status = alone_exit(a);

	if (alone_is_over)
		return status;
	if (status == EX_OSFILE)
		fprintf(stderr, "sendmail: sendqd cannot be executed\n");
	else if (status == EX_TEMPFAIL && !a->is_ready)
		fprintf(stderr, "sendmail: %s: already being run\n",
		    a->place->path);
	else if (alone_may_again(a) || a->death_count >= ALONE_DEATHS_MAX)
		fprintf(stderr,
		    "sendmail: %s: the run was given up, mail is left: %s\n",
		    a->place->path, error);
	return status == EX_OK ? EX_TEMPFAIL : status;
}

static int
alone_run(struct alone *a)
{
	json_t *end = NULL;
	int error, status;

	for (;;) {
		error = alone_start(a, &end);
		if (error < 0) {
			fprintf(
			    stderr, "sendmail: sendqd: %s\n", strerror(-error));
			return EX_OSERR;
		}
		if (alone_error(end) == NULL)
			break;
		a->death_count++;
		if (!alone_may_again(a))
			break;
		alone_pause(a, alone_error(end));
		json_decref(end);
	}
	status = alone_error(end) != NULL
	             ? alone_failed(a, alone_error(end))
	             : (int)json_integer_value(json_object_get(end, "status"));
	json_decref(end);
	return status;
}

int
run_alone(struct sendqd_words *words, json_t *request, const struct conf *conf,
    const struct run_place *place)
{
	struct alone a = {.words = words,
	    .request = request,
	    .conf = conf,
	    .place = place,
	    .begun_s = alone_now_s(),
	    .left = -1};
	int status = alone_run(&a);

	json_decref(request);
	return status;
}
