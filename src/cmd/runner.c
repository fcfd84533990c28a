/*
 * The runner.  It takes job numbers with a socket each from the spawner, looks
 * the job up in its own configuration, and forks a helper for it.  Nothing that
 * it reads but the number of a program in a file of aliases makes it do
 * anything.
 *
 * It is a process of its own because what it starts must be able to do what
 * programs do: the spawner's seal would be theirs.  It keeps SETUID and SETGID
 * and a fence (net/sandbox.h), and ends with the spawner.
 */
#include "cmd/runner.h"
#include "base/check.h"
#include "base/log.h"
#include "cmd/helper_program.h"
#include "conf/alias.h"
#include "net/channel.h"
#include "net/log_target.h"
#include "net/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define RUNNER_FD     3 /* the channel; in a helper its socket */
#define RUNNER_LOG_FD 4 /* of a log that is not standard error */

struct runner {
	const struct conf *conf;
	struct privilege_user user;
	size_t program_count;
	bool is_ending;
};

/* The helper's process. */
static _Noreturn void
runner_run_helper(
    const struct runner *runner, const struct alias_local *local, int fd)
{
	unsigned first =
	    log_target_fd() < 0 ? RUNNER_FD + 1 : RUNNER_LOG_FD + 1;

	if (dup3(fd, RUNNER_FD, 0) < 0 || close_range(first, ~0U, 0) < 0)
		_exit(EX_OSERR);
	_exit(helper_program_main(
	    local, &runner->user, runner->conf->alias_time_ms, RUNNER_FD));
}

/* A job whose program is not started loses its socket: it is told by that. */
static void
runner_serve(struct runner *runner, const struct channel_record *record, int fd)
{
	const struct alias_local *local =
	    conf_alias_local(runner->conf, record->subject);
	pid_t pid = -1;

	if (record->type == CHANNEL_SPAWN && fd >= 0 && local != NULL &&
	    local->kind == ALIAS_PROGRAM) {
		pid = fork();
		if (pid == 0)
			runner_run_helper(runner, local, fd);
	}
	if (pid > 0)
		runner->program_count++;
	else
		log_event(LOG_ERROR, "helper-failed", "", "job=%u error=%s",
		    record->subject, strerror(local == NULL ? EINVAL : errno));
	if (fd >= 0)
		close(fd);
}

static void
runner_read(struct runner *runner)
{
	struct channel_record record;
	int error = 0, fd;

	while (runner->program_count < RUNNER_PROGRAMS_MAX) {
		error = channel_receive(RUNNER_FD, &record, &fd);
		if (error < 0)
			break;
		runner_serve(runner, &record, fd);
	}
	if (error < 0 && error != -EAGAIN)
		runner->is_ending = true;
}

static void
runner_turn(struct runner *runner, const sigset_t *open_signals)
{
	/* With as many programs as there may be, jobs wait in the channel; that
	   it was closed is told whatever is asked for. */
	struct pollfd look = {.fd = RUNNER_FD,
	    .events = runner->program_count < RUNNER_PROGRAMS_MAX ? POLLIN : 0};

	if (ppoll(&look, 1, NULL, open_signals) < 0)
		CHECK(errno == EINTR);
	else if (runner->program_count < RUNNER_PROGRAMS_MAX)
		runner_read(runner);
	else
		runner->is_ending = look.revents != 0;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
		CHECK(runner->program_count > 0);
		runner->program_count--;
	}
}

/* The runner's process.  Signals are as in the spawner. */
static int
runner_main(struct runner *runner, int fd)
{
	sigset_t open_signals, blocked;
	unsigned first =
	    log_target_fd() < 0 ? RUNNER_FD + 1 : RUNNER_LOG_FD + 1;

	(void)prctl(PR_SET_NAME, "sendqd-runner", 0, 0, 0);
	if (dup3(fd, RUNNER_FD, 0) < 0 || close_range(first, ~0U, 0) < 0 ||
	    sandbox_fence() < 0) {
		log_event(LOG_ERROR, "confine-failed", "",
		    "role=runner error=%s", strerror(errno));
		return EX_OSERR;
	}
	sigemptyset(&open_signals);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	CHECK(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);
	while (!runner->is_ending)
		runner_turn(runner, &open_signals);
	return EX_OK;
}

pid_t
runner_start(
    const struct conf *conf, const struct privilege_user *user, int *fd_out)
{
	struct runner runner = {.conf = conf, .user = *user};
	int ends[2], error = channel_pair(ends);
	pid_t pid;

	if (error < 0)
		return error;
	pid = fork();
	if (pid == 0)
		_exit(runner_main(&runner, ends[1]));
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	*fd_out = ends[0];
	return pid;
}
