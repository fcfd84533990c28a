/*
 * The helper for a program of an alias, which is two processes:
 *
 *	watcher   takes the whole message, gives the word, waits for the end,
 *and answers; it cannot open a file or execute anything program   waits for the
 *word and executes the program; it has read no byte but that one
 *
 * Both are the user for programs, never root.  The program has the message as
 * its standard input, one pipe for its output and errors, a process group of
 * its own, an environment that holds nothing of ours or of the message, and no
 * way to gain rights by set-user-ID bits.
 *
 * Promises: it is not started before the whole message is there and somebody
 * waits for the answer; what takes too long, writes too much or is waited for
 * by nobody any more is ended, with its process group.  An answer that is lost
 * has the message come again: the program then runs twice.
 */
#include "cmd/helper_program.h"
#include "base/check.h"
#include "base/log.h"
#include "cmd/helper_mail.h"
#include "mail/alias_local.h"
#include "net/sandbox.h"
#include "os/machine.h"
#include "role/maildir.h"
#include "role/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define PROGRAM_FD_FIRST 10 /* behind those that a program gets */

/* What the watcher has of the program. */
struct program {
	pid_t pid;
	int pid_fd;
	int word_fd;   /* a byte: go */
	int error_fd;  /* why it cannot be executed: an errno */
	int output_fd; /* -1: it was closed */
	size_t output_size;
	char output[PROGRAM_OUTPUT_MAX];
	uint64_t due_ms;    /* when it is ended, the harder way */
	const char *reason; /* why it was asked to end */
};

/* What its process gets. */
struct program_start {
	struct alias_command command;
	int stage_fd, word_fd, error_fd, output_fd;
};

static char program_path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
static char program_home[] = "HOME=/";
static char program_shell[] = "SHELL=/bin/sh";
static char program_language[] = "LANG=C";
static char *program_environment[] = {
    program_path, program_home, program_shell, program_language, NULL};

/* In its process: nothing of ours is left but the three descriptors. */
static int
program_settle(const struct program_start *start)
{
	struct rlimit files;
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    dup2(start->stage_fd, STDIN_FILENO) < 0 ||
	    dup2(start->output_fd, STDOUT_FILENO) < 0 ||
	    dup2(start->output_fd, STDERR_FILENO) < 0 ||
	    dup3(start->error_fd, STDERR_FILENO + 1, O_CLOEXEC) < 0 ||
	    close_range(STDERR_FILENO + 2, ~0U, 0) < 0 || chdir("/") < 0)
		return -errno;
	(void)umask(077);
	/* select(2) knows no more, and some close all that there may be. */
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	if (files.rlim_cur > HELPER_FILES_MAX)
		files.rlim_cur = HELPER_FILES_MAX;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

/* The program's process. */
static _Noreturn void
program_main(const struct program_start *start)
{
	int error;
	char word;

	/* It does not outlive its watcher's interest. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (setsid() < 0 || read(start->word_fd, &word, 1) != 1)
		_exit(EX_TEMPFAIL);
	error = program_settle(start);
	if (error == 0) {
		(void)execve(start->command.words[0], start->command.words,
		    program_environment);
		error = -errno;
	}
	(void)!write(STDERR_FILENO + 1, &error, sizeof(error));
	_exit(EX_TEMPFAIL);
}

/* A pipe behind the first descriptors: 0 or -errno. */
static int
program_pipe(int ends[2])
{
	int low[2];

	if (pipe2(low, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, PROGRAM_FD_FIRST);
		close(low[i]);
	}
	return ends[0] < 0 || ends[1] < 0 ? -EMFILE : 0;
}

/* Makes the process that will be the program; it waits: 0 or -errno. */
static int
program_fork(struct program *p, const struct helper_mail *mail)
{
	struct program_start start = {.stage_fd = -1};
	int word[2], error_ends[2], output[2], error;

	if (alias_command_split(mail->local->text, &start.command) != NULL)
		return -EINVAL;
	start.stage_fd =
	    fcntl(mail->stage_fd, F_DUPFD_CLOEXEC, PROGRAM_FD_FIRST);
	error = start.stage_fd < 0 ? -errno : program_pipe(word);
	if (error == 0)
		error = program_pipe(error_ends);
	if (error == 0)
		error = program_pipe(output);
	if (error < 0)
		return error;
	start.word_fd = word[0];
	start.error_fd = error_ends[1];
	start.output_fd = output[1];
	p->pid = fork();
	if (p->pid == 0) {
		close(mail->fd);
		close(word[1]);
		program_main(&start);
	}
	error = p->pid < 0 ? -errno : 0;
	close(start.stage_fd);
	close(word[0]);
	close(error_ends[1]);
	close(output[1]);
	p->word_fd = word[1];
	p->error_fd = error_ends[0];
	p->output_fd = output[0];
	p->pid_fd = p->pid > 0 ? pidfd_open(p->pid, 0) : -1;
	if (error == 0 && p->pid_fd < 0)
		error = -errno;
	return error;
}

/* Has it execute: 0, or -errno if it cannot. */
static int
program_go(struct program *p)
{
	int error = 0;
	ssize_t n;

	if (write(p->word_fd, "g", 1) != 1)
		return -EPIPE;
	do
		n = read(p->error_fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == 0 ? 0 : n == sizeof(error) ? error : -EIO;
}

/* Asks it to end, for REASON, or ends it if that was done before. */
static void
program_end(struct program *p, const char *reason)
{
	int how = p->reason == NULL ? SIGTERM : SIGKILL;

	if (p->reason == NULL)
		p->reason = reason;
	(void)kill(-p->pid, how);
	(void)kill(p->pid, how);
	p->due_ms = machine_mono_ms() + HELPER_KILL_MS;
}

static void
program_read(struct program *p)
{
	char block[4096];
	ssize_t n = read(p->output_fd, block, sizeof(block));
	size_t room = sizeof(p->output) - p->output_size, size;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(p->output_fd);
		p->output_fd = -1;
		return;
	}
	size = (size_t)n;
	if (p->output_size < sizeof(p->output)) {
		size = size < room ? size : room;
		memcpy(p->output + p->output_size, block, size);
	}
	p->output_size += (size_t)n;
	if (p->output_size > HELPER_OUTPUT_MAX && p->reason == NULL)
		program_end(p, "the program writes too much");
}

/* It has ended: its status as of waitpid(2).  Of one that had to end nothing is
   left. */
static int
program_reap(const struct program *p)
{
	int status = 0;

	if (p->reason != NULL)
		(void)kill(-p->pid, SIGKILL);
	CHECK(waitpid(p->pid, &status, 0) == p->pid);
	return status;
}

/* Waits until it has ended. */
static int
program_wait(struct program *p, int fd)
{
	for (;;) {
		struct pollfd look[] = {
		    {.fd = p->pid_fd, .events = POLLIN},
		    {.fd = p->output_fd, .events = POLLIN},
		    {.fd = p->reason == NULL ? fd : -1, .events = POLLIN},
		};
		uint64_t now_ms = machine_mono_ms();
		int wait_ms =
		    now_ms < p->due_ms ? (int)(p->due_ms - now_ms) : 0;

		if (poll(look, 3, wait_ms) < 0)
			CHECK(errno == EINTR);
		if (look[1].revents != 0)
			program_read(p);
		/* First all that it has said, as far as that counts. */
		if (look[0].revents != 0 &&
		    (look[1].revents == 0 ||
			p->output_size >= sizeof(p->output)))
			return program_reap(p);
		if (look[2].revents != 0)
			program_end(p, "nobody waits for the program");
		else if (machine_mono_ms() >= p->due_ms)
			program_end(p, "the program took too long");
	}
}

/* Runs the program over the message and puts the answer in OUT: 0 or
   -errno. */
static int
program_deliver(struct program *p, const struct helper_mail *mail,
    uint64_t time_ms, struct buf *out)
{
	char text[SMTP_ANSWER_MAX + 1];
	enum smtp_verdict verdict;
	int error, status;

	if (!helper_mail_is_awaited(mail->fd))
		return -EPIPE;
	p->due_ms = machine_mono_ms() + time_ms;
	error = program_go(p);
	if (error < 0) {
		log_event(LOG_ERROR, "alias-target-failed", "",
		    "target=%.*s error=%s", STR_ARG(mail->local->text),
		    strerror(-error));
		snprintf(text, sizeof(text),
		    "451 4.3.5 the program cannot be run: %s",
		    strerror(-error));
		return maildir_answer_put(out, SMTP_TEMPORARY, str_from(text));
	}
	status = program_wait(p, mail->fd);
	if (p->reason != NULL) {
		snprintf(text, sizeof(text), "451 4.3.0 %s", p->reason);
		return maildir_answer_put(out, SMTP_TEMPORARY, str_from(text));
	}
	verdict = program_answer(WIFEXITED(status) ? WEXITSTATUS(status) : 0,
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	    str_of(p->output, p->output_size < sizeof(p->output)
				  ? p->output_size
				  : sizeof(p->output)),
	    text);
	return maildir_answer_put(out, verdict, str_from(text));
}

int
helper_program_main(const struct alias_local *local,
    const struct privilege_user *user, uint64_t time_ms, int fd)
{
	static struct program p = {.pid_fd = -1, .output_fd = -1};
	struct helper_mail mail = {.fd = fd, .local = local};
	struct buf out;
	int error;

	(void)prctl(PR_SET_NAME, "sendqd-watcher", 0, 0, 0);
	mail.stage_fd = helper_mail_enter(user);
	mail.error = mail.stage_fd < 0 ? mail.stage_fd : 0;
	if (geteuid() == 0)
		return EX_OSERR;
	if (mail.error == 0)
		mail.error = program_fork(&p, &mail);
	if (mail.error < 0)
		log_event(LOG_ERROR, "alias-target-failed", "",
		    "target=%.*s error=%s", STR_ARG(local->text),
		    strerror(-mail.error));
	/* No trace of it is to be had, and nothing is to be sent to it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    sandbox_seal_watcher(p.pid) < 0)
		return EX_OSERR;
	buf_init(&out, 4096);
	error = helper_mail_take(&mail);
	if (error == 0)
		error = mail.error < 0
		            ? maildir_error_put(&out, mail.error)
		            : program_deliver(&p, &mail, time_ms, &out);
	if (error == 0)
		error = helper_mail_answer(fd, &out);
	buf_fini(&out);
	return error < 0 ? EX_TEMPFAIL : EX_OK;
}
