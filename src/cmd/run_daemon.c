/*
 * The daemon in the background: a child starts it in a session of its own, and
 * the parent waits until its control socket answers, so that whoever started it
 * knows that it runs; until then it prints what the daemon complains of.
 */
#include "cmd/run_daemon.h"
#include "base/check.h"
#include "base/mem.h"
#include "cmd/run_ask.h"
#include "cmd/run_place.h"
#include "cmd/run_words.h"
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
    const char *directory)
{
	char interval[40];

	daemon_interval(interval, sizeof(interval), options->run_interval_ms);
	if (options->mode != SENDMAIL_RUN)
		snprintf(text, size, "sendmail: accepting connections");
	else if (options->is_run_persistent)
		snprintf(text, size, "sendmail: Queue control");
	else
		snprintf(text, size, "sendmail: Queue runner@%s for %.1000s",
		    interval, directory);
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

/* True if it only runs the queue of a directory that is not the daily one: then
   it has its own sockets, so that the daily daemon may run, too. */
static bool
daemon_is_beside(
    const struct sendmail_options *options, const struct run_place *place)
{
	return options->mode == SENDMAIL_RUN && !place->is_configured;
}

/* NAME with a mark of the directory behind it: "/run/sendq/control-1a2b3c4d".
   FNV-1a, in 32 bits. */
static void
daemon_beside(char *to, size_t size, struct str name, const char *directory)
{
	uint32_t mark = 2166136261;

	for (; *directory != '\0'; directory++)
		mark = (mark ^ (unsigned char)*directory) * 16777619;
	snprintf(to, size, "%.*s-%08x", STR_ARG(name), mark);
}

/* Where it is reached. */
static void
daemon_control(char *to, size_t size, const struct sendmail_options *options,
    const struct conf *conf, const struct run_place *place)
{
	if (daemon_is_beside(options, place))
		daemon_beside(to, size, conf->control_socket, place->path);
	else
		snprintf(to, size, "%.*s", STR_ARG(conf->control_socket));
}

/* The queue of -oQ; what is found by the name of the spool stays where it is.
 */
static void
daemon_place(struct sendqd_words *words, const struct sendmail_options *options,
    const struct conf *conf, const struct run_place *place)
{
	char path[RUN_PLACE_MAX];

	if (place->is_configured)
		return;
	sendqd_word_set(words, "spool", str_from(place->spool));
	if (!daemon_is_beside(options, place)) {
		sendqd_word_set(words, "drop-directory", conf->drop_directory);
		return;
	}
	sendqd_word_set(words, "drop-directory", STR(""));
	sendqd_word_set(words, "submission-socket", STR(""));
	daemon_control(path, sizeof(path), options, conf, place);
	sendqd_word_set(words, "control-socket", str_from(path));
	if (conf->pid_file.size == 0)
		return;
	daemon_beside(path, sizeof(path), conf->pid_file, place->path);
	sendqd_word_set(words, "pid-file", str_from(path));
}

static void
daemon_words(struct sendqd_words *words, const struct sendmail_options *options,
    const struct conf *conf, const struct run_place *place, const char *file)
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
	daemon_place(words, options, conf, place);
	run_words_times(words, options);
	run_words_limits(words, options);
	run_words_name(words, options);
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
	daemon_title(title, sizeof(title), options, place->path);
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

/* Waits until the daemon PID answers at PATH, or ends.  With IS_MOVED what it
   has gets the routes of the configuration. */
static int
daemon_wait(pid_t pid, const char *path, int errors, bool is_moved)
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
		fd = run_ask_connect(str_from(path));
		if (fd < 0)
			(void)nanosleep(&pause, NULL);
	}
	state = run_ask_ready(fd) == 0 && (!is_moved || run_ask_routes(fd))
	            ? EX_OK
	            : EX_SOFTWARE;
	close(fd);
	return state;
}

int
run_daemon(const struct sendmail_options *options, const struct conf *conf,
    const char *file)
{
	char control[RUN_PLACE_MAX];
	struct sendqd_words *words;
	struct run_place place;
	int fd, error, errors[2];
	pid_t pid;

	if (!run_place_find(options, conf, &place))
		return EX_CONFIG;
	daemon_control(control, sizeof(control), options, conf, &place);
	fd = run_ask_connect(str_from(control));
	if (fd >= 0) {
		close(fd);
		fprintf(stderr,
		    "sendmail: a daemon is running already for %s\n",
		    daemon_is_beside(options, &place) ? place.path
						      : conf->spool.data);
		return EX_UNAVAILABLE;
	}
	words = mem_new(1, sizeof(*words));
	daemon_words(words, options, conf, &place, file);
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
	                : daemon_wait(pid, control, errors[0],
			      place.is_own && !place.is_configured);
	close(errors[0]);
	return error;
}
