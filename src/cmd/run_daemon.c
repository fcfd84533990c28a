/*
 * The daemon in the background: a child starts it in a session of its own, and
 * the parent waits until its control socket answers, so that whoever started it
 * knows that it runs; until then it prints what the daemon complains of.
 */
#include "cmd/run_daemon.h"
#include "base/check.h"
#include "base/mem.h"
#include "cmd/run_ask.h"
#include "cmd/sendqd_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_PAUSE_NS 20000000 /* between two looks at the socket */

/* "01:02:03" of an interval. */
static void
daemon_interval(char *text, size_t size, uint64_t ms)
{
	unsigned long long s = ms / 1000;

	snprintf(
	    text, size, "%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

/* As sendmail calls itself, by what it does. */
static void
daemon_title(char *text, size_t size, const struct sendmail_options *options,
    const struct conf *conf)
{
	char interval[40];

	daemon_interval(interval, sizeof(interval), options->run_interval_ms);
	if (options->mode != SENDMAIL_RUN)
		snprintf(text, size, "sendmail: accepting connections");
	else if (options->is_run_persistent)
		snprintf(text, size, "sendmail: Queue control");
	else
		snprintf(text, size, "sendmail: Queue runner@%s for %.*s",
		    interval, STR_ARG(conf->spool));
}

/* Our own command line, for the pid file. */
static void
daemon_command(char *text, size_t size)
{
	FILE *file = fopen("/proc/self/cmdline", "re");
	size_t length = file != NULL ? fread(text, 1, size - 1, file) : 0;

	if (file != NULL)
		fclose(file);
	/* Each word ends in a NUL; no line ends within it. */
	while (length > 0 && text[length - 1] == '\0')
		length--;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0' || text[i] == '\n')
			text[i] = ' ';
	text[length] = '\0';
}

/* The addresses of this host alone with the ports of the configuration, each
   once. */
static void
daemon_loopback(struct sendqd_words *words, const struct conf *conf)
{
	char text[CONF_LISTEN_MAX * 48 + 20] = "listen = (";
	size_t size = strlen(text), count = 0;

	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_address *address = &conf->listen[i].address;
		bool is_again = false;

		for (size_t j = 0; j < i; j++)
			is_again |=
			    conf->listen[j].address.family == address->family &&
			    conf->listen[j].address.port == address->port;
		if (is_again)
			continue;
		size += (size_t)snprintf(text + size, sizeof(text) - size,
		    "%s { address = \"%s:%u\" }", count++ ? "," : "",
		    address->family == 6 ? "[::1]" : "127.0.0.1",
		    address->port);
		CHECK(size < sizeof(text));
	}
	snprintf(text + size, sizeof(text) - size, " )");
	sendqd_word(words, "-o");
	sendqd_word(words, text);
}

static void
daemon_words(struct sendqd_words *words, const struct sendmail_options *options,
    const struct conf *conf, const char *file)
{
	char title[1100], interval[40], command[2000];

	sendqd_word(words, "sendqd");
	sendqd_word(words, "-c");
	sendqd_word(words, file);
	if (options->run_interval_ms > 0 || options->is_run_persistent) {
		unsigned long long s = options->run_interval_ms / 1000;

		snprintf(interval, sizeof(interval), "%llus", s > 0 ? s : 1);
		sendqd_word_set(words, "queue-interval", str_from(interval));
	}
	/* In the background nobody reads its standard error. */
	if (options->mode != SENDMAIL_FOREGROUND &&
	    str_equal(conf->log, STR("stderr")))
		sendqd_word_set(words, "log", STR("syslog"));
	/* Without -bd nothing is listened for. */
	if (options->mode == SENDMAIL_RUN) {
		sendqd_word(words, "-o");
		sendqd_word(words, "listen = ()");
	}
	if (options->mode == SENDMAIL_LOOPBACK)
		daemon_loopback(words, conf);
	daemon_title(title, sizeof(title), options, conf);
	sendqd_word(words, "--title");
	sendqd_word(words, title);
	daemon_command(command, sizeof(command));
	sendqd_word(words, "--command");
	sendqd_word(words, command);
}

/* In the child of the background. */
static _Noreturn void
daemon_detach(struct sendqd_words *words, int errors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

	if (setsid() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		_exit(EX_OSERR);
	/* Its standard error goes nowhere as soon as it has started. */
	(void)signal(SIGPIPE, SIG_IGN);
	error = sendqd_exec(words);
	fprintf(stderr, "sendmail: sendqd: %s\n", strerror(-error));
	_exit(EX_OSFILE);
}

/* Prints what the daemon has to say while it starts. */
static void
daemon_relay(int errors)
{
	char text[4096];
	ssize_t size;

	while ((size = read(errors, text, sizeof(text))) > 0)
		(void)fwrite(text, 1, (size_t)size, stderr);
}

/* Waits until the daemon PID answers at PATH, or ends. */
static int
daemon_wait(pid_t pid, struct str path, int errors)
{
	static const struct timespec pause = {.tv_nsec = DAEMON_PAUSE_NS};
	int fd = -1, state;

	while (fd < 0) {
		bool is_over = waitpid(pid, &state, WNOHANG) == pid;

		daemon_relay(errors);
		if (is_over)
			return WIFEXITED(state) && WEXITSTATUS(state) != 0
			           ? WEXITSTATUS(state)
			           : EX_SOFTWARE;
		fd = run_ask_connect(path);
		if (fd < 0)
			(void)nanosleep(&pause, NULL);
	}
	state = run_ask_ready(fd) == 0 ? EX_OK : EX_SOFTWARE;
	close(fd);
	return state;
}

int
run_daemon(const struct sendmail_options *options, const struct conf *conf,
    const char *file)
{
	struct sendqd_words *words;
	int fd = run_ask_connect(conf->control_socket), error, errors[2];
	pid_t pid;

	if (fd >= 0) {
		close(fd);
		fprintf(stderr,
		    "sendmail: a daemon is running already for %.*s\n",
		    STR_ARG(conf->spool));
		return EX_UNAVAILABLE;
	}
	words = mem_new(1, sizeof(*words));
	daemon_words(words, options, conf, file);
	if (options->mode == SENDMAIL_FOREGROUND) {
		error = sendqd_exec(words);
		fprintf(stderr, "sendmail: sendqd: %s\n", strerror(-error));
		free(words);
		return EX_OSFILE;
	}
	fflush(stdout);
	if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(words);
		return EX_OSERR;
	}
	pid = fork();
	if (pid == 0)
		daemon_detach(words, errors[1]);
	free(words);
	close(errors[1]);
	error = pid < 0 ? EX_OSERR
	                : daemon_wait(pid, conf->control_socket, errors[0]);
	close(errors[0]);
	return error;
}
