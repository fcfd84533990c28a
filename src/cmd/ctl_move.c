/*
 * Moving messages between stores; see ctl_move.h and store/transfer.h.
 *
 * Each of the two directories has an owner of its own, and what is made in it
 * must belong to that one.  So where we are root each request is carried out
 * with the owner's user and group as the effective ones, and all of it inside
 * the two directories (Landlock).  Of a queue of sendmail's that the queue role
 * would use so, files of any owner are used (store_place_is_anybodys()).
 */
#include "cmd/ctl_move.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/places.h"
#include "cmd/store_place.h"
#include "net/landlock.h"
#include "os/machine.h"
#include "role/route.h"
#include "role/route_foreign.h"
#include "sched/sched.h"
#include "store/mqueue/mqueue.h"
#include "store/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* A store behind the rights of its directory's owner. */
struct move_end {
	struct store store; /* first: a struct store * is one of these */
	struct store *inner;
	struct os *os;
	int fd; /* of the directory; the os's, if that is there */
	struct privilege_user owner;
	bool is_anybodys;
	struct stat status; /* of the directory */
	uint64_t queue_ms;
};

static struct move_end *
move_end_of(struct store *store)
{
	return (struct move_end *)(void *)store;
}

/* Takes the rights of END's owner, or with NULL our own again. */
static void
move_become(const struct move_end *end)
{
	const struct privilege_user *user = end != NULL ? &end->owner : NULL;
	bool is_done = true;

	if (getuid() != 0)
		return;
	if (geteuid() != 0)
		is_done = seteuid(0) == 0;
	/* Root's groups are no more the owner's than its user is. */
	is_done = is_done && setgroups(0, NULL) == 0;
	is_done = is_done && setegid(user != NULL ? user->gid : getgid()) == 0;
	if (user != NULL)
		is_done = is_done && seteuid(user->uid) == 0;
	if (end != NULL && end->is_anybodys)
		is_done = is_done && privilege_use_files() == 0;
	if (is_done)
		return;
	/* What would be written now could not be read by its owner. */
	fprintf(stderr, "sendqctl: %s\n", strerror(errno));
	exit(EX_NOPERM);
}

static void
move_batch(struct store *store, struct store_request **requests, size_t count)
{
	struct move_end *end = move_end_of(store);

	move_become(end);
	end->inner->ops->batch(end->inner, requests, count);
	move_become(NULL);
}

static const struct store_ops move_ops = {.batch = move_batch};

static void
move_end_close(struct move_end *end)
{
	if (end->os == NULL && end->fd >= 0)
		close(end->fd);
	if (end->os == NULL)
		return;
	move_become(end);
	if (end->inner != NULL)
		end->inner->ops->close(end->inner);
	os_free(end->os);
	move_become(NULL);
}

static int
move_failed(const char *path, int error)
{
	fprintf(stderr, "sendqctl: %s: %s\n", path,
	    error == -EWOULDBLOCK ? "in use by another process"
				  : strerror(-error));
	return error;
}

/* Finds out whose the directory PATH of CONF's store is. */
static int
move_end_find(struct move_end *end, const struct conf *conf, const char *path)
{
	int error = 0;

	end->store.ops = &move_ops;
	end->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (end->fd < 0 || fstat(end->fd, &end->status) < 0)
		error = -errno;
	if (error == 0)
		error = store_place_owner(end->fd, &end->owner);
	if (error == 0 && getuid() == 0)
		error = store_place_check_walls(&end->status);
	if (error < 0)
		return move_failed(path, error);
	end->is_anybodys =
	    end->owner.uid != 0 && store_place_is_anybodys(conf, end->fd);
	return 0;
}

/* As root, goes nowhere but to the two directories from now on. */
static int
move_wall_in(const struct move_end *a, const struct move_end *b)
{
	const int fds[] = {a->fd, b->fd};
	const struct landlock_rights rights = {
	    .directory_fds = fds, .directory_count = 2};

	if (getuid() != 0)
		return 0;
	/* The first conversion of a time opens the zone's file. */
	tzset();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return landlock_enter(&rights);
}

/* Opens the store of CONF in the directory, which PATH is the name of. */
static int
move_end_open(struct move_end *end, const struct conf *conf, const char *path)
{
	struct store_info info;
	uint64_t wall_ms = machine_wall_ms();
	int error;

	end->os = os_real_new(end->fd);
	move_become(end);
	error = store_place_open(conf, end->os, NULL, NULL, &end->inner);
	move_become(NULL);
	if (error < 0)
		return move_failed(path, error);
	end->inner->ops->info(end->inner, &info);
	end->queue_ms = store_time_resumed(&info, wall_ms);
	return 0;
}

/* True if a daemon answers at the control socket. */
static bool
move_has_daemon(const struct conf *conf)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_there = false;

	if (fd < 0)
		return false;
	if (conf->control_socket.size < sizeof(address.sun_path)) {
		memcpy(address.sun_path, conf->control_socket.data,
		    conf->control_socket.size);
		is_there = connect(fd, (struct sockaddr *)&address,
			       sizeof(address)) == 0;
	}
	close(fd);
	return is_there;
}

static bool
move_is_held(void *arg, struct str destination)
{
	struct route route;

	return route_of_destination(arg, destination, &route) == 0 &&
	       route.is_held;
}

static void
move_log(enum log_level level, struct str line)
{
	fprintf(stderr, "%.*s\n", STR_ARG(line));
}

/* The configuration with the other directory as its store. */
static struct conf
move_other_conf(const struct ctl_move *move, char *setting, size_t size)
{
	struct conf other = *move->conf;

	snprintf(setting, size, "mqueue:%s", move->directory);
	other.spool = str_from(setting);
	return other;
}

static int
move_all(struct ctl_move *move, struct move_end *ours, struct move_end *other)
{
	struct move_end *from = move->is_import ? other : ours;
	struct move_end *to = move->is_import ? ours : other;
	struct store_transfer transfer = {
	    .from = &from->store,
	    .to = &to->store,
	    .filter = move->filter,
	    .ahead_ms = (int64_t)(to->queue_ms - from->queue_ms),
	    .is_held = move_is_held,
	    .arg = (void *)(uintptr_t)move->conf,
	    .rank = sched_rank,
	};
	int error;

	if (move->older_ms > 0)
		transfer.filter.arrival_max_ms =
		    move->older_ms < from->queue_ms
			? from->queue_ms - move->older_ms
			: 1;
	error = store_transfer(&transfer);
	move->moved_count = transfer.moved_count;
	move->merged_count = transfer.merged_count;
	move->left_count = transfer.left_count;
	if (error == 0)
		return EX_OK;
	fprintf(stderr, "sendqctl: %s\n", strerror(-error));
	return EX_IOERR;
}

int
ctl_move(struct ctl_move *move)
{
	struct move_end ours = {.fd = -1}, other = {.fd = -1};
	char setting[4096 + 16], *path;
	struct conf conf = move_other_conf(move, setting, sizeof(setting));
	char *directory = store_place_path(&conf);
	int status = EX_UNAVAILABLE;

	path = store_place_path(move->conf);
	log_set(move_log, LOG_WARN);
	if (store_place_is_ram(move->conf))
		fprintf(stderr, "sendqctl: the store does not outlive the "
				"daemon\n");
	else if (move_has_daemon(move->conf))
		fprintf(stderr, "sendqctl: a daemon is running\n");
	else if (move->is_import && places_make_spool(move->conf) < 0)
		status = EX_CANTCREAT; /* logged */
	else if (move_end_find(&ours, move->conf, path) == 0 &&
		 move_end_find(&other, &conf, directory) == 0) {
		if (ours.status.st_dev == other.status.st_dev &&
		    ours.status.st_ino == other.status.st_ino) {
			fprintf(stderr, "sendqctl: %s is the configured one\n",
			    directory);
			status = EX_USAGE;
		} else if (move_wall_in(&ours, &other) == 0 &&
			   move_end_open(&ours, move->conf, path) == 0 &&
			   move_end_open(&other, &conf, directory) == 0)
			status = move_all(move, &ours, &other);
	}
	move_end_close(&other);
	move_end_close(&ours);
	free(path);
	free(directory);
	return status;
}
