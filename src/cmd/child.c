/*
 * A role's process.  The order is the same in each: take the given
 * descriptors, read the configuration, drop rights, sandbox, loop.  What needs
 * files (users, the resolver's, the time zone) is read before the sandbox; the
 * store's thread is made between its two halves, so that it inherits Landlock
 * and gets the filter of system calls with the others.
 */
#include "cmd/child.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/conf_text.h"
#include "cmd/places.h"
#include "cmd/store_place.h"
#include "mail/drop.h"
#include "net/log_target.h"
#include "net/net.h"
#include "net/privilege.h"
#include "net/sandbox.h"
#include "net/stderr_log.h"
#include "net/writer.h"
#include "os/machine.h"
#include "os/os.h"
#include "os/remover.h"
#include "role/roles.h"
#include "store/ram/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define CHILD_ADDRESSES_MAX 256 /* of the machine that are kept */
#define CHILD_REMOVERS      4   /* threads */
/* Free memory that a role keeps.  By default it is given back 128 KB at a time,
   and each page of a buffer is a fault again for the next message. */
#define CHILD_MEMORY_KEPT (4 << 20)

struct child {
	enum role_kind kind;
	bool is_run; /* queue runs only */
	struct conf *conf;
	struct net *net;
	void *role;
	/* Of the queue role. */
	struct writer *writer;
	struct remover *remover;
	struct os *os, *state; /* the latter may be NULL */
	struct store *store;
};

/* NULL for a kind that is not made of handlers. */
static const struct role_ops *
child_ops(enum role_kind kind)
{
	switch (kind) {
	case ROLE_RECEIVE:
		return &role_receive_ops;
	case ROLE_QUEUE:
		return &role_queue_ops;
	case ROLE_DELIVER:
		return &role_deliver_ops;
	case ROLE_CONTROL:
		return &role_control_ops;
	case ROLE_PICKUP:
		return &role_pickup_ops;
	case ROLE_MASTER:
	case ROLE_SPAWNER:
	case ROLE_HELPER:
	case ROLE_ALIAS:
	case ROLE_RUNNER:
	case ROLE_WATCHER:
	case ROLE_KINDS:
		break;
	}
	return NULL;
}

enum role_kind
child_kind(const char *name)
{
	for (int i = 0; i < ROLE_KINDS; i++) {
		enum role_kind kind = (enum role_kind)i;

		if (child_ops(kind) != NULL &&
		    strcmp(name, privilege_role_name(kind)) == 0)
			return kind;
	}
	return ROLE_KINDS;
}

/* Signals are the master's: it tells its children when to end. */
static void
child_ignore_signals(void)
{
	static const int ignored[] = {
	    SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		CHECK(signal(ignored[i], SIG_IGN) != SIG_ERR);
	sigemptyset(&none);
	CHECK(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
}

/* How many descriptors stand from CHILD_FD_FIRST on; of the queue role the
   second one may be missing. */
static size_t
child_given_count(const struct child *child)
{
	switch (child->kind) {
	case ROLE_RECEIVE:
		/* In a daemon for runs only pickup speaks to it. */
		if (child->is_run)
			return 0;
		return child->conf->listen_count +
		       (child->conf->submission_socket.size > 0 ? 1 : 0);
	case ROLE_CONTROL:
	case ROLE_PICKUP:
		return 1;
	case ROLE_QUEUE:
		if (places_is_ram(child->conf))
			return 0;
		return store_place_is_mqueue(child->conf) ? 2 : 1;
	case ROLE_DELIVER:
	case ROLE_MASTER:
	case ROLE_SPAWNER:
	case ROLE_HELPER:
	case ROLE_ALIAS:
	case ROLE_RUNNER:
	case ROLE_WATCHER:
	case ROLE_KINDS:
		break;
	}
	return 0;
}

static int
child_read_conf(struct child *child)
{
	struct buf errors;
	int error;

	buf_init(&errors, 65536);
	error = conf_text_read(
	    CHILD_FD_CONF, "configuration", &errors, &child->conf);
	if (error < 0)
		log_event(LOG_ERROR, "settings-bad", "", "error=%s",
		    strerror(-error));
	buf_fini(&errors);
	close(CHILD_FD_CONF);
	return error;
}

static struct str
child_user(const struct child *child)
{
	switch (child->kind) {
	case ROLE_RECEIVE:
		return child->conf->user_receive;
	case ROLE_QUEUE:
		return child->conf->user_queue;
	case ROLE_DELIVER:
		return child->conf->user_deliver;
	case ROLE_CONTROL:
		return child->conf->user_control;
	case ROLE_PICKUP:
		return child->conf->user_pickup;
	case ROLE_MASTER:
	case ROLE_SPAWNER:
	case ROLE_HELPER:
	case ROLE_ALIAS:
	case ROLE_RUNNER:
	case ROLE_WATCHER:
	case ROLE_KINDS:
		break;
	}
	return STR("");
}

/* Watches the drop directory.  Where that cannot be had it is only looked at
   from time to time. */
static void
child_watch(struct child *child)
{
	char path[64];
	int fd;

	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" DROP_DIR_NEW,
	    CHILD_FD_FIRST);
	if (inotify_add_watch(fd, path, IN_MOVED_TO | IN_ONLYDIR) < 0)
		close(fd);
	else
		net_set_watch(child->net, fd);
}

/* Gives up all rights but the role's. */
static int
child_confine(struct child *child)
{
	struct privilege_user user;
	int error, directory_fds[2] = {CHILD_FD_FIRST, CHILD_FD_FIRST + 1};
	size_t directory_count = 0;
	bool is_anybodys = child->kind == ROLE_QUEUE &&
	                   store_place_is_anybodys(child->conf, CHILD_FD_FIRST);

	error = privilege_user_of(child->kind, child_user(child), &user);
	if (error == 0 && child->kind == ROLE_QUEUE &&
	    store_place_is_mqueue(child->conf))
		error = store_place_owner(CHILD_FD_FIRST, &user);
	if (error == 0)
		error = is_anybodys ? privilege_drop_but_files(&user)
		                    : privilege_drop(&user);
	/* The directory is open to its owner only. */
	if (error == 0 && child->kind == ROLE_PICKUP)
		child_watch(child);
	if ((child->kind == ROLE_QUEUE || child->kind == ROLE_PICKUP) &&
	    child_given_count(child) > 0)
		directory_count = child->state != NULL ? 2 : 1;
	if (error == 0)
		error = sandbox_lock_in(
		    child->kind, directory_fds, directory_count);
	if (error == 0 && child->kind == ROLE_QUEUE)
		child->writer = writer_new();
	if (error == 0 && child->kind == ROLE_QUEUE &&
	    store_place_is_mqueue(child->conf))
		child->remover = remover_new(CHILD_REMOVERS);
	if (error == 0)
		error = sandbox_seal(child->kind);
	if (error < 0)
		log_event(LOG_ERROR, "confine-failed", "", "role=%s error=%s",
		    privilege_role_name(child->kind), strerror(-error));
	return error;
}

/* What is on the disk is unknown after a sync that failed (the store has said
   so): the next process finds out from the disk. */
static void
child_store_lost(void *arg)
{
	_exit(EX_IOERR);
}

static int
child_open_store(struct child *child)
{
	int error;

	if (places_is_ram(child->conf)) {
		child->store = store_ram_new(NULL);
		return 0;
	}
	child->os = os_real_new(CHILD_FD_FIRST);
	child->os->remover = child->remover;
	error = store_place_open(child->conf, child->os, child->state,
	    child_store_lost, &child->store);
	if (error < 0)
		log_event(LOG_ERROR, "store-failed", "", "error=%s",
		    strerror(-error));
	return error;
}

static int
child_new_queue(struct child *child)
{
	struct store_info info;
	int error = child_open_store(child);

	if (error < 0)
		return error;
	child->store->ops->info(child->store, &info);
	/* The role asks the store from its beginning. */
	writer_open(child->writer, child->store);
	net_set_writer(child->net, child->writer);
	child->role = child->is_run
	                  ? role_queue_new_run(net_env(child->net), child->conf,
				&info, net_now(child->net))
	                  : role_queue_new(net_env(child->net), child->conf,
				&info, net_now(child->net));
	return 0;
}

/* Makes the role and gives it what is its own. */
static int
child_new_role(struct child *child)
{
	struct role_env *env = net_env(child->net);
	int error = 0;

	switch (child->kind) {
	case ROLE_RECEIVE:
		child->role = role_receive_new(env, child->conf);
		break;
	case ROLE_DELIVER:
		child->role = role_deliver_new(env, child->conf);
		break;
	case ROLE_CONTROL:
		child->role = role_control_new(env, child->conf);
		break;
	case ROLE_QUEUE:
		error = child_new_queue(child);
		break;
	case ROLE_PICKUP:
		child->os = os_real_new(CHILD_FD_FIRST);
		child->role = role_pickup_new(
		    env, child->conf, child->os, net_now(child->net));
		break;
	case ROLE_MASTER:
	case ROLE_SPAWNER:
	case ROLE_HELPER:
	case ROLE_ALIAS:
	case ROLE_RUNNER:
	case ROLE_WATCHER:
	case ROLE_KINDS:
		return -EINVAL;
	}
	if (error == 0)
		net_set_role(child->net, child->role);
	return error;
}

static void
child_free_role(struct child *child)
{
	switch (child->kind) {
	case ROLE_RECEIVE:
		role_receive_free(child->role);
		break;
	case ROLE_DELIVER:
		role_deliver_free(child->role);
		break;
	case ROLE_CONTROL:
		role_control_free(child->role);
		break;
	case ROLE_QUEUE:
		role_queue_free(child->role);
		break;
	case ROLE_PICKUP:
		role_pickup_free(child->role);
		break;
	case ROLE_MASTER:
	case ROLE_SPAWNER:
	case ROLE_HELPER:
	case ROLE_ALIAS:
	case ROLE_RUNNER:
	case ROLE_WATCHER:
	case ROLE_KINDS:
		break;
	}
	child->role = NULL;
}

/* What the machine's own addresses are, for who is to know himself; one that is
   not found is of no harm. */
static void
child_look_at_machine(struct conf *conf)
{
	struct machine_address found[CHILD_ADDRESSES_MAX];
	size_t count = machine_addresses(found, CHILD_ADDRESSES_MAX);
	struct conf_address *addresses =
	    arena_new(&conf->arena, count * sizeof(*addresses));

	if (addresses == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		addresses[i].family = (uint8_t)found[i].family;
		memcpy(addresses[i].bytes, found[i].bytes,
		    sizeof(addresses[i].bytes));
	}
	conf->machine = addresses;
	conf->machine_count = count;
}

/* Everything up to the loop. */
static int
child_enter(struct child *child)
{
	bool is_listening =
	    child->kind == ROLE_RECEIVE || child->kind == ROLE_CONTROL;
	size_t given;
	int error = child_read_conf(child);

	if (error < 0)
		return error;
	given = child_given_count(child);
	if (close_range((unsigned)(CHILD_FD_FIRST + given), ~0U, 0) < 0)
		return -errno;
	if (child->kind == ROLE_QUEUE && given == 2 &&
	    fcntl(CHILD_FD_FIRST + 1, F_GETFD) >= 0)
		child->state = os_real_new(CHILD_FD_FIRST + 1);
	log_target_set(child->conf);
	/* The first conversion of a time opens the zone's file. */
	tzset();
	child->net = net_new(child_ops(child->kind));
	if (child->kind == ROLE_DELIVER)
		child_look_at_machine(child->conf);
	if (child->kind == ROLE_DELIVER)
		error = net_set_resolver(child->net, &child->conf->resolver);
	if (error == 0)
		error = child_confine(child);
	if (error == 0)
		error = child_new_role(child);
	for (size_t i = 0; error == 0 && is_listening && i < given; i++)
		if (child->is_run)
			net_add_stream(child->net, CHILD_FD_FIRST + (int)i);
		else
			net_add_listener(child->net, CHILD_FD_FIRST + (int)i);
	if (error == 0)
		net_set_master(child->net, CHILD_FD_MASTER);
	return error;
}

/* Has free memory kept; where the C library knows no such wish nothing is
   lost. */
static void
child_keep_memory(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, CHILD_MEMORY_KEPT);
	(void)mallopt(M_MMAP_THRESHOLD, CHILD_MEMORY_KEPT);
}

int
child_main(enum role_kind kind, bool is_run)
{
	struct child child = {.kind = kind, .is_run = is_run};
	char name[16];
	int error;

	snprintf(name, sizeof(name), "sendqd-%s", privilege_role_name(kind));
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	log_set(stderr_log_line, LOG_NOTE);
	child_ignore_signals();
	child_keep_memory();
	error = child_enter(&child);
	if (error == 0)
		net_run(child.net);
	if (child.role != NULL)
		child_free_role(&child);
	net_free(child.net);
	writer_free(child.writer);
	if (child.store != NULL)
		child.store->ops->close(child.store);
	remover_free(child.remover);
	if (child.os != NULL)
		os_free(child.os);
	if (child.state != NULL)
		os_free(child.state);
	if (child.conf != NULL)
		conf_free(child.conf);
	if (error == -EWOULDBLOCK)
		return EX_TEMPFAIL;
	return error == 0 ? EX_OK : EX_OSERR;
}
