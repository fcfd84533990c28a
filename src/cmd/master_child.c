/*
 * Starting and linking children.  Invariants: a child has its own channel and
 * no other's (all are close-on-exec, the spawner closes what it was not given);
 * between fork and exec nothing but system calls is used.
 */
#include "cmd/master_child.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/child.h"
#include "cmd/spawner.h"
#include "net/channel.h"
#include "net/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

struct master_link {
	enum role_kind a, b;
	int socket_type;
	bool is_asked_for; /* it is made when one of the two wants it */
};

/* Who talks to whom, and by what kind of socket. */
static const struct master_link master_links[] = {
    {ROLE_RECEIVE, ROLE_QUEUE, SOCK_STREAM, false},
    {ROLE_DELIVER, ROLE_QUEUE, SOCK_STREAM, false},
    {ROLE_CONTROL, ROLE_QUEUE, SOCK_STREAM, false},
    {ROLE_DELIVER, ROLE_SPAWNER, SOCK_SEQPACKET, false},
    {ROLE_PICKUP, ROLE_RECEIVE, SOCK_STREAM, true},
};

/* NULL: they do not talk. */
static const struct master_link *
master_link_of(enum role_kind a, enum role_kind b)
{
	for (size_t i = 0; i < sizeof(master_links) / sizeof(master_links[0]);
	     i++)
		if ((master_links[i].a == a && master_links[i].b == b) ||
		    (master_links[i].a == b && master_links[i].b == a))
			return &master_links[i];
	return NULL;
}

bool
master_kinds_are_linked(enum role_kind a, enum role_kind b, bool is_asked_for)
{
	const struct master_link *link = master_link_of(a, b);

	return link != NULL && (is_asked_for || !link->is_asked_for);
}

/* The descriptors for CHILD in their order; the caller frees the array. */
static int *
master_child_fds(const struct master_child *child,
    const struct master_start *start, int channel, size_t *count_out)
{
	const struct places *places = start->places;
	int *fds = mem_new(places->listen_count + 5, sizeof(int));
	size_t count = 0;

	fds[count++] = channel;
	fds[count++] = start->text_fd;
	if (child->kind == ROLE_RECEIVE)
		for (size_t i = 0; i < places->listen_count; i++)
			fds[count++] = places->listen_fds[i];
	if (child->kind == ROLE_RECEIVE && places->submission_fd >= 0)
		fds[count++] = places->submission_fd;
	if (child->kind == ROLE_PICKUP)
		fds[count++] = places->drop_fd;
	if (child->kind == ROLE_CONTROL)
		fds[count++] = places->control_fd;
	if (child->kind == ROLE_QUEUE && places->spool_fd >= 0)
		fds[count++] = places->spool_fd;
	if (child->kind == ROLE_QUEUE && places->state_fd >= 0)
		fds[count++] = places->state_fd;
	*count_out = count;
	return fds;
}

/* In the new process: puts FDS in their places and executes ourselves. */
static _Noreturn void
master_child_exec(const char *role, bool is_run, int *fds, size_t count)
{
	int above = CHILD_FD_MASTER + (int)count;
	char program[] = "sendqd", option[] = "--role", name[32];
	char run[] = "--run";
	char *argv[] = {program, option, name, is_run ? run : NULL, NULL};
	size_t size = strlen(role);

	if (size >= sizeof(name))
		_exit(EX_SOFTWARE);
	memcpy(name, role, size + 1);
	/* First out of the way of all places, then each into its own. */
	for (size_t i = 0; i < count; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, above);
		if (fds[i] < 0)
			_exit(EX_OSERR);
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(fds[i], CHILD_FD_MASTER + (int)i) < 0)
			_exit(EX_OSERR);
	execv("/proc/self/exe", argv);
	_exit(EX_OSERR);
}

static pid_t
master_child_fork(
    struct master_child *child, const struct master_start *start, int channel)
{
	size_t count;
	int *fds;
	pid_t pid;

	if (child->kind == ROLE_SPAWNER)
		return spawner_start(start->conf, channel);
	fds = master_child_fds(child, start, channel, &count);
	pid = fork();
	if (pid == 0)
		master_child_exec(privilege_role_name(child->kind),
		    start->is_run, fds, count);
	free(fds);
	return pid < 0 ? -errno : pid;
}

int
master_child_start(struct master_child *child, const struct master_start *start)
{
	sigset_t all, before;
	int ends[2], error;
	pid_t pid;

	CHECK(child->pid == 0 && child->channel < 0);
	error = channel_pair(ends);
	if (error < 0)
		return error;
	/* The loop's signal handlers must not run in the new process. */
	sigfillset(&all);
	CHECK(sigprocmask(SIG_BLOCK, &all, &before) == 0);
	pid = master_child_fork(child, start, ends[1]);
	CHECK(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return pid;
	}
	child->pid = pid;
	child->channel = ends[0];
	child->is_ready = false;
	child->lost_kinds = 0;
	log_event(LOG_NOTE, "child-started", "", "role=%s instance=%u pid=%d",
	    privilege_role_name(child->kind), child->instance, (int)pid);
	return 0;
}

static void
master_child_send(
    struct master_child *child, const struct channel_record *record, int fd)
{
	int error;

	if (child->channel < 0)
		return;
	error = channel_send(child->channel, record, fd);
	/* One that is ending has closed its end; one that does not read must
	   end. */
	if (error < 0 && error != -EPIPE && error != -ECONNRESET)
		master_child_kill(child);
}

static void
master_child_give(
    struct master_child *to, const struct master_child *peer, int fd)
{
	struct channel_record record = {.type = CHANNEL_PEER,
	    .subject = peer->kind,
	    .number = peer->instance};

	master_child_send(to, &record, fd);
	close(fd);
}

void
master_child_link(struct master_child *a, struct master_child *b)
{
	const struct master_link *link = master_link_of(a->kind, b->kind);
	int ends[2];

	CHECK(link != NULL);
	if (a->pid == 0 || b->pid == 0)
		return;
	if (socketpair(AF_UNIX,
		link->socket_type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		ends) < 0) {
		log_event(
		    LOG_ERROR, "link-failed", "", "error=%s", strerror(errno));
		master_child_kill(a->kind == ROLE_QUEUE ? b : a);
		return;
	}
	master_child_give(a, b, ends[0]);
	master_child_give(b, a, ends[1]);
}

void
master_child_tell(struct master_child *child, int type)
{
	struct channel_record record = {.type = (enum channel_type)type};

	master_child_send(child, &record, -1);
}

void
master_child_kill(struct master_child *child)
{
	if (child->pid > 0)
		(void)kill(child->pid, SIGKILL);
}
