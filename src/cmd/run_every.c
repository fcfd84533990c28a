/* The runner is a process of its own and keeps nothing from one run to the
   next. */
#include "cmd/run_every.h"
#include "cmd/title.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t every_is_over;

void
run_every_end(void)
{
	every_is_over = 1;
}

static void
every_on_end(int number)
{
	run_every_end();
}

/* Only ends a sleep. */
static void
every_on_wake(int number)
{
}

static uint64_t
every_now_ms(void)
{
	struct timespec now = {.tv_sec = 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A run changes what these signals do. */
static void
every_signals(void)
{
	struct sigaction end = {.sa_handler = every_on_end};
	struct sigaction wake = {.sa_handler = every_on_wake};

	(void)sigaction(SIGTERM, &end, NULL);
	(void)sigaction(SIGINT, &end, NULL);
	(void)sigaction(SIGHUP, &wake, NULL);
}

/* Sleeps until UNTIL_MS or a signal, without one being missed. */
static void
every_sleep(uint64_t until_ms)
{
	uint64_t now_ms = every_now_ms();
	uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	struct timespec left = {.tv_sec = (time_t)(left_ms / 1000),
	    .tv_nsec = (long)(left_ms % 1000) * 1000000};
	sigset_t signals, old;
	siginfo_t info;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, &old);
	if (!every_is_over) {
		int number = sigtimedwait(&signals, &info, &left);

		if (number == SIGTERM || number == SIGINT)
			run_every_end();
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}

static void
every_run(
    const char *title, uint64_t interval_ms, void (*once)(void *arg), void *arg)
{
	title_set(title);
	every_signals();
	while (!every_is_over) {
		uint64_t begun_ms = every_now_ms();

		once(arg);
		every_signals();
		every_sleep(begun_ms + interval_ms);
	}
}

int
run_every(
    const char *title, uint64_t interval_ms, void (*once)(void *arg), void *arg)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	fflush(NULL);
	pid = null < 0 ? -1 : fork();
	if (pid < 0) {
		fprintf(stderr, "sendmail: %s\n", strerror(errno));
		if (null >= 0)
			close(null);
		return EX_OSERR;
	}
	if (pid > 0) {
		close(null);
		return EX_OK;
	}
	if (setsid() < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(EX_OSERR);
	every_run(title, interval_ms, once, arg);
	_exit(EX_OK);
}
