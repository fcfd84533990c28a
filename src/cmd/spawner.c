/*
 * The spawner: takes job numbers from deliver roles, looks the job up in its
 * own configuration, and starts a helper with a socket pair, for programs
 * through the runner (cmd/runner.h).  Nothing that it reads but the number of a
 * Maildir, or of a file or program of an alias, makes it do anything.
 *
 * It keeps SETUID and SETGID, has no network and no spool, and ends when the
 * master's channel does.
 */
#include "cmd/spawner.h"
#include "base/check.h"
#include "base/log.h"
#include "cmd/helper.h"
#include "cmd/helper_file.h"
#include "cmd/runner.h"
#include "conf/alias.h"
#include "net/channel.h"
#include "net/log_target.h"
#include "net/privilege.h"
#include "net/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SPAWNER_CLIENTS_MAX 256
#define SPAWNER_MASTER_FD   3
#define SPAWNER_LOG_FD      4 /* of a log that is not standard error */

struct spawner {
	const struct conf *conf;
	int clients[SPAWNER_CLIENTS_MAX]; /* deliver roles */
	size_t client_count;
	size_t helper_count;
	struct privilege_user alias_user; /* where aliases name any */
	pid_t runner_pid;                 /* 0 = there are no programs */
	int runner_fd;
	bool is_ending;
};

/* Only interrupts ppoll(). */
static void
spawner_on_child(int signal_number)
{
}

static void
spawner_drop_client(struct spawner *spawner, size_t i)
{
	close(spawner->clients[i]);
	spawner->clients[i] = spawner->clients[--spawner->client_count];
}

static void
spawner_obey(
    struct spawner *spawner, const struct channel_record *record, int fd)
{
	struct channel_record ready = {
	    .type = CHANNEL_READY, .subject = ROLE_SPAWNER};

	if (record->type == CHANNEL_PEER && fd >= 0 &&
	    spawner->client_count < SPAWNER_CLIENTS_MAX) {
		spawner->clients[spawner->client_count++] = fd;
		return;
	}
	if (fd >= 0)
		close(fd);
	if (record->type == CHANNEL_SHUTDOWN)
		spawner->is_ending = true;
	if (record->type == CHANNEL_START &&
	    channel_send(SPAWNER_MASTER_FD, &ready, -1) < 0)
		spawner->is_ending = true;
}

static void
spawner_read_master(struct spawner *spawner)
{
	struct channel_record record;
	int error, fd;

	for (;;) {
		error = channel_receive(SPAWNER_MASTER_FD, &record, &fd);
		if (error == -EAGAIN)
			return;
		if (error < 0) {
			spawner->is_ending = true;
			return;
		}
		spawner_obey(spawner, &record, fd);
	}
}

/* The helper's process; it never returns. */
static _Noreturn void
spawner_run_helper(const struct spawner *spawner, uint32_t job, int fd)
{
	unsigned first =
	    log_target_fd() < 0 ? SPAWNER_MASTER_FD + 1 : SPAWNER_LOG_FD + 1;

	/* The log stays; FD becomes the first of the others. */
	if (fd != SPAWNER_MASTER_FD && dup3(fd, SPAWNER_MASTER_FD, 0) < 0)
		_exit(EX_OSERR);
	if (close_range(first, ~0U, 0) < 0)
		_exit(EX_OSERR);
	if (job >= spawner->conf->maildir_count)
		_exit(helper_file_main(conf_alias_local(spawner->conf, job),
		    &spawner->alias_user, SPAWNER_MASTER_FD));
	_exit(helper_main(spawner->conf->maildirs[job], spawner->conf->hostname,
	    SPAWNER_MASTER_FD));
}

/* The runner's helper gets FD: 0 or -errno. */
static int
spawner_pass(const struct spawner *spawner, uint32_t job, int fd)
{
	struct channel_record record = {.type = CHANNEL_SPAWN, .subject = job};

	return spawner->runner_pid > 0
	           ? channel_send(spawner->runner_fd, &record, fd)
	           : -EINVAL;
}

/* Our end of a new helper for JOB, or -errno. */
static int
spawner_fork_helper(struct spawner *spawner, uint32_t job)
{
	const struct alias_local *local = conf_alias_local(spawner->conf, job);
	int ends[2], error;
	pid_t pid = 0;

	if (job >= spawner->conf->maildir_count && local == NULL)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if (local != NULL && local->kind == ALIAS_PROGRAM) {
		error = spawner_pass(spawner, job, ends[1]);
	} else {
		pid = fork();
		if (pid == 0)
			spawner_run_helper(spawner, job, ends[1]);
		error = pid < 0 ? -EAGAIN : 0;
	}
	close(ends[1]);
	if (error < 0) {
		close(ends[0]);
		return error;
	}
	spawner->helper_count += pid > 0;
	return ends[0];
}

/* One job of a client: 0, -EAGAIN if there is none, or another -errno. */
static int
spawner_serve(struct spawner *spawner, int client)
{
	struct channel_record record;
	int passed_fd, fd, error;

	error = channel_receive(client, &record, &passed_fd);
	if (error < 0)
		return error;
	if (passed_fd >= 0)
		close(passed_fd);
	if (record.type != CHANNEL_SPAWN)
		return -EPROTO;
	fd = spawner_fork_helper(spawner, record.subject);
	if (fd < 0)
		log_event(LOG_ERROR, "helper-failed", "", "job=%u error=%s",
		    record.subject, strerror(-fd));
	record.type = CHANNEL_SPAWNED;
	error = channel_send(client, &record, fd);
	if (fd >= 0)
		close(fd);
	/* A client that does not read loses itself, not us. */
	return error == -EAGAIN ? -EPIPE : error;
}

static void
spawner_read_client(struct spawner *spawner, size_t i)
{
	int error = 0;

	while (error == 0 && spawner->helper_count < SPAWNER_HELPERS_MAX)
		error = spawner_serve(spawner, spawner->clients[i]);
	if (error < 0 && error != -EAGAIN)
		spawner_drop_client(spawner, i);
}

static void
spawner_reap(struct spawner *spawner)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		/* Without it we are not whole: the master starts us anew. */
		if (pid == spawner->runner_pid) {
			spawner->is_ending = true;
			continue;
		}
		CHECK(spawner->helper_count > 0);
		spawner->helper_count--;
	}
}

/* One wait; children's ends interrupt it.  With as many helpers as there may
   be, jobs wait in the clients' channels. */
static void
spawner_turn(struct spawner *spawner, const sigset_t *open_signals)
{
	struct pollfd fds[SPAWNER_CLIENTS_MAX + 1];
	size_t client_count = spawner->client_count;

	fds[0] = (struct pollfd){.fd = SPAWNER_MASTER_FD, .events = POLLIN};
	for (size_t i = 0; i < client_count; i++)
		fds[i + 1] = (struct pollfd){
		    .fd = spawner->clients[i], .events = POLLIN};
	if (spawner->helper_count >= SPAWNER_HELPERS_MAX)
		client_count = 0;
	if (ppoll(fds, client_count + 1, NULL, open_signals) < 0)
		CHECK(errno == EINTR);
	else if (fds[0].revents != 0)
		spawner_read_master(spawner);
	else
		for (size_t i = client_count; i-- > 0;)
			if (fds[i + 1].revents != 0)
				spawner_read_client(spawner, i);
	spawner_reap(spawner);
}

/* What the programs and files of aliases need, as far as there are any. */
static int
spawner_enter_aliases(struct spawner *spawner)
{
	const struct conf *conf = spawner->conf;
	const struct alias_local *local;
	bool has_program = false;
	size_t count = 0;
	int error;

	if (conf->aliases == NULL)
		return 0;
	while ((local = alias_table_local(conf->aliases, count)) != NULL) {
		has_program = has_program || local->kind == ALIAS_PROGRAM;
		count++;
	}
	if (count == 0)
		return 0;
	error = privilege_user_of(
	    ROLE_ALIAS, conf->alias_user, &spawner->alias_user);
	if (error < 0 || !has_program || !conf->alias_programs)
		return error;
	spawner->runner_pid =
	    runner_start(conf, &spawner->alias_user, &spawner->runner_fd);
	return spawner->runner_pid < 0 ? (int)spawner->runner_pid : 0;
}

static int
spawner_enter(struct spawner *spawner, int master_fd)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
	struct sigaction action = {.sa_handler = spawner_on_child};
	int error;

	(void)prctl(PR_SET_NAME, "sendqd-spawner", 0, 0, 0);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		CHECK(signal(ignored[i], SIG_IGN) != SIG_ERR);
	CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
	log_target_forget();
	if (master_fd != SPAWNER_MASTER_FD &&
	    dup3(master_fd, SPAWNER_MASTER_FD, O_CLOEXEC) < 0)
		return -errno;
	if (close_range(SPAWNER_MASTER_FD + 1, ~0U, 0) < 0)
		return -errno;
	log_target_set(spawner->conf);
	CHECK(log_target_fd() < 0 || log_target_fd() == SPAWNER_LOG_FD);
	error = privilege_keep_spawner();
	if (error == 0)
		error = spawner_enter_aliases(spawner);
	if (error == 0)
		error = sandbox_seal(ROLE_SPAWNER);
	return error;
}

/* The spawner's process: SIGCHLD is let in only while it waits. */
static int
spawner_main(const struct conf *conf, int master_fd)
{
	struct spawner spawner = {.conf = conf};
	sigset_t open_signals, blocked;
	int error = spawner_enter(&spawner, master_fd);

	if (error < 0) {
		log_event(LOG_ERROR, "confine-failed", "",
		    "role=spawner error=%s", strerror(-error));
		return EX_OSERR;
	}
	sigemptyset(&open_signals);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	CHECK(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);
	while (!spawner.is_ending)
		spawner_turn(&spawner, &open_signals);
	return EX_OK;
}

pid_t
spawner_start(const struct conf *conf, int master_fd)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(spawner_main(conf, master_fd));
	return pid < 0 ? -errno : pid;
}
