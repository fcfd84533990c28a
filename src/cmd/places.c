/*
 * Opening what children inherit.  Invariant: a struct places owns each of its
 * descriptors; -1 where it has none.
 */
#include "cmd/places.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/store_place.h"
#include "mail/drop.h"
#include "net/privilege.h"
#include "role/pickup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PLACES_BACKLOG 4096 /* the kernel lowers it to its own maximum */
/* Sockets need the right to write. */
#define PLACES_SUBMISSION_MODE 0666
/* sendmail, with the directory's group, adds files and syncs the directory. */
#define PLACES_DROP_MODE 03770
#define PLACES_STATE     "state" /* in the drop directory */

/* What a spool, and a drop directory, have in them, and /var and the like have
   not: there "log" and "lock" are directories, and so is "tmp". */
#define PLACES_MARKS 3
struct places_marks {
	struct {
		const char *name;
		mode_t type;
	} marks[PLACES_MARKS];
	const char *first; /* what is made first says nothing */
};
static const struct places_marks spool_marks = {
    {{"lock", S_IFREG}, {"queue.db", S_IFREG}, {"damaged", S_IFDIR}}, ""};
static const struct places_marks drop_marks = {
    {{DROP_DIR_NEW, S_IFDIR}, {PICKUP_DIR_BAD, S_IFDIR}}, DROP_DIR_TEMP};

union places_sockaddr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage space;
};

static socklen_t
places_sockaddr_of(
    const struct conf_address *address, union places_sockaddr *to)
{
	memset(to, 0, sizeof(*to));
	if (address->family == 4) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons(address->port);
		memcpy(&to->v4.sin_addr, address->bytes, 4);
		return sizeof(to->v4);
	}
	to->v6.sin6_family = AF_INET6;
	to->v6.sin6_port = htons(address->port);
	memcpy(&to->v6.sin6_addr, address->bytes, 16);
	return sizeof(to->v6);
}

static int
places_set(int fd, int level, int option)
{
	int one = 1;

	return setsockopt(fd, level, option, &one, sizeof(one)) < 0 ? -errno
	                                                            : 0;
}

/* A listening socket, or -errno.  What is accepted inherits the options. */
static int
places_bind(const struct conf_address *address)
{
	union places_sockaddr to;
	socklen_t size = places_sockaddr_of(address, &to);
	int fd, error;

	fd = socket(
	    to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = places_set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (error == 0)
		error = places_set(fd, SOL_SOCKET, SO_KEEPALIVE);
	if (error == 0)
		error = places_set(fd, IPPROTO_TCP, TCP_NODELAY);
	/* "[::]:25" and "0.0.0.0:25" stand side by side. */
	if (error == 0 && address->family == 6)
		error = places_set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (error == 0 &&
	    (bind(fd, &to.any, size) < 0 || listen(fd, PLACES_BACKLOG) < 0))
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* A copy of OLD's socket with the same address, or -ENOENT. */
static int
places_copy_listener(
    const struct places *old, const struct conf_address *address)
{
	union places_sockaddr want, have;
	socklen_t want_size = places_sockaddr_of(address, &want);

	for (size_t i = 0; old != NULL && i < old->listen_count; i++) {
		socklen_t size = sizeof(have);

		memset(&have, 0, sizeof(have));
		if (getsockname(old->listen_fds[i], &have.any, &size) < 0 ||
		    size != want_size || memcmp(&have, &want, size) != 0)
			continue;
		return fcntl(old->listen_fds[i], F_DUPFD_CLOEXEC, 0);
	}
	return -ENOENT;
}

static void
places_log_listening(int fd)
{
	union places_sockaddr at = {0};
	socklen_t size = sizeof(at);
	struct conf_address address = {0};
	char text[46];

	if (getsockname(fd, &at.any, &size) < 0)
		return;
	address.family = at.any.sa_family == AF_INET ? 4 : 6;
	if (address.family == 4) {
		memcpy(address.bytes, &at.v4.sin_addr, 4);
		address.port = ntohs(at.v4.sin_port);
	} else {
		memcpy(address.bytes, &at.v6.sin6_addr, 16);
		address.port = ntohs(at.v6.sin6_port);
	}
	conf_address_format(&address, text);
	log_event(LOG_NOTE, "listening", "", "address=%s port=%u", text,
	    address.port);
}

static int
places_open_listeners(
    const struct conf *conf, const struct places *old, struct places *places)
{
	char text[46];
	int fd;

	places->listen_fds = mem_new(conf->listen_count, sizeof(int));
	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_address *address = &conf->listen[i].address;

		fd = places_copy_listener(old, address);
		if (fd < 0)
			fd = places_bind(address);
		if (fd < 0) {
			conf_address_format(address, text);
			log_event(LOG_ERROR, "listen-failed", "",
			    "address=%s port=%u error=%s", text, address->port,
			    strerror(-fd));
			return fd;
		}
		places->listen_fds[places->listen_count++] = fd;
		places_log_listening(fd);
	}
	return 0;
}

/* The directory of PATH is made if only it is missing. */
static void
places_make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;

	if (slash == NULL || slash == path)
		return;
	parent = mem_copy_text(path, (size_t)(slash - path));
	/* Where this fails bind() says what is wrong. */
	(void)mkdir(parent, 0755);
	free(parent);
}

/* Removes the socket of a daemon that is gone: 0, -EADDRINUSE if one answers
   there, -EEXIST if what has the name is no socket. */
static int
places_remove_stale(const union places_sockaddr *to)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;
	int error = 0;

	if (fd < 0)
		return -errno;
	/* A connection to any file is refused. */
	if (lstat(to->local.sun_path, &status) == 0 &&
	    !S_ISSOCK(status.st_mode))
		error = -EEXIST;
	else if (connect(fd, &to->any, sizeof(to->local)) == 0 ||
		 errno == EAGAIN)
		error = -EADDRINUSE;
	else if (errno == ECONNREFUSED && unlink(to->local.sun_path) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int
places_bind_local(const char *path, uint32_t mode)
{
	union places_sockaddr to = {.local.sun_family = AF_UNIX};
	mode_t before;
	int fd, error;

	if (strlen(path) >= sizeof(to.local.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.local.sun_path, path, strlen(path) + 1);
	places_make_parent(path);
	error = places_remove_stale(&to);
	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Nobody gets in before the mode is what it shall be. */
	before = umask(0177);
	if (bind(fd, &to.any, sizeof(to.local)) < 0)
		error = -errno;
	umask(before);
	if (error == 0 && (chmod(path, (mode_t)(mode & 0777)) < 0 ||
			      listen(fd, PLACES_BACKLOG) < 0))
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int
places_open_control(
    const struct conf *conf, const struct places *old, struct places *places)
{
	char *path =
	    mem_copy_text(conf->control_socket.data, conf->control_socket.size);
	int fd;

	if (old != NULL && strcmp(old->control_path, path) == 0)
		fd = fcntl(old->control_fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = places_bind_local(path, conf->control_mode);
	if (fd < 0) {
		log_event(LOG_ERROR, "control-socket-failed", "",
		    "path=%s error=%s", path, strerror(-fd));
		free(path);
		return fd;
	}
	places->control_fd = fd;
	places->control_path = path;
	return 0;
}

/* Where any local user may submit mail. */
static int
places_open_submission(
    const struct conf *conf, const struct places *old, struct places *places)
{
	struct str name = conf->submission_socket;
	char *path;
	int fd;

	if (name.size == 0)
		return 0;
	path = mem_copy_text(name.data, name.size);
	if (old != NULL && old->submission_path != NULL &&
	    strcmp(old->submission_path, path) == 0)
		fd = fcntl(old->submission_fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = places_bind_local(path, PLACES_SUBMISSION_MODE);
	if (fd < 0) {
		log_event(LOG_ERROR, "submission-socket-failed", "",
		    "path=%s error=%s", path, strerror(-fd));
		free(path);
		return fd;
	}
	places->submission_fd = fd;
	places->submission_path = path;
	return 0;
}

bool
places_is_ram(const struct conf *conf)
{
	return store_place_is_ram(conf);
}

/* True if the directory FD has one of MARKS. */
static bool
places_has_mark(int fd, const struct places_marks *marks)
{
	struct stat status;

	for (size_t i = 0; i < PLACES_MARKS && marks->marks[i].name; i++)
		if (fstatat(fd, marks->marks[i].name, &status,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    (status.st_mode & S_IFMT) == marks->marks[i].type)
			return true;
	return false;
}

/* True if the directory FD has files, and none of MARKS: it is somebody
   else's, such as one that was named by mistake. */
static bool
places_is_foreign(int fd, const struct places_marks *marks)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	bool has_files = false;

	if (directory == NULL) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (!has_files && (entry = readdir(directory)) != NULL)
		/* The top of a file system may have this. */
		has_files = entry->d_name[0] != '.' &&
		            strcmp(entry->d_name, marks->first) != 0 &&
		            strcmp(entry->d_name, "lost+found") != 0;
	closedir(directory);
	return has_files && !places_has_mark(fd, marks);
}

/* The directory, made if need be, of the queue role's user: a descriptor or
   -errno. */
static int
places_open_directory(const char *path, const struct places_marks *marks,
    const struct privilege_user *user)
{
	int fd, error = 0;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (places_is_foreign(fd, marks))
		error = -ENOTEMPTY;
	if (error == 0 && geteuid() == 0 &&
	    fchown(fd, user->uid, user->gid) < 0)
		error = -errno;
	if (error == 0 && fchmod(fd, 0700) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* A queue directory of sendmail's stays whose it is; one that is not there is
   made for USER. */
static int
places_open_mqueue(const char *path, const struct privilege_user *user)
{
	bool is_made = mkdir(path, 0700) == 0;
	/* What was made here may have been changed for a link. */
	int fd = open(path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_made ? O_NOFOLLOW : 0));
	struct stat status;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (is_made && geteuid() == 0 && fchown(fd, user->uid, user->gid) < 0)
		error = -errno;
	if (error == 0 && fstat(fd, &status) < 0)
		error = -errno;
	if (error == 0 && geteuid() == 0)
		error = store_place_check_walls(&status);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int
places_open_spool(
    const struct conf *conf, const struct places *old, struct places *places)
{
	struct privilege_user user;
	char *path;
	int fd;

	if (places_is_ram(conf))
		return 0;
	path = store_place_path(conf);
	fd = privilege_user_of(ROLE_QUEUE, conf->user_queue, &user);
	/* The master may not give directories away any more: the spool stays
	   what it was (the caller has seen that it is the same). */
	if (fd == 0 && old != NULL)
		fd = fcntl(old->spool_fd, F_DUPFD_CLOEXEC, 0);
	else if (fd == 0 && store_place_is_mqueue(conf))
		fd = places_open_mqueue(path, &user);
	else if (fd == 0)
		fd = places_open_directory(path, &spool_marks, &user);
	if (fd < 0)
		log_event(LOG_ERROR, "spool-failed", "", "path=%s error=%s",
		    path, strerror(-fd));
	free(path);
	places->spool_fd = fd;
	return fd < 0 ? fd : 0;
}

int
places_make_spool(const struct conf *conf)
{
	struct places places = {.spool_fd = -1};
	int error = places_open_spool(conf, NULL, &places);

	if (error == 0 && places.spool_fd >= 0)
		close(places.spool_fd);
	return error;
}

/* A part of the drop directory FD, of USER. */
static int
places_make_part(
    int fd, const char *name, mode_t mode, const struct privilege_user *user)
{
	int part, error = 0;

	if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	part =
	    openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (part < 0)
		return -errno;
	if (geteuid() == 0 && fchown(part, user->uid, user->gid) < 0)
		error = -errno;
	if (error == 0 && fchmod(part, mode) < 0)
		error = -errno;
	close(part);
	return error;
}

/* The drop directory of USER and its group.  The group adds files; with the
   sticky bit it removes only its own.  A descriptor or -errno. */
static int
places_make_drop(const char *path, const struct privilege_user *user)
{
	int fd = places_open_directory(path, &drop_marks, user), error;

	if (fd < 0)
		return fd;
	error = places_make_part(fd, DROP_DIR_TEMP, PLACES_DROP_MODE, user);
	if (error == 0)
		error =
		    places_make_part(fd, DROP_DIR_NEW, PLACES_DROP_MODE, user);
	if (error == 0)
		error = places_make_part(fd, PICKUP_DIR_BAD, 0700, user);
	if (error == 0 && fchmod(fd, PLACES_DROP_MODE) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int
places_make_drop_directory(const struct conf *conf)
{
	struct privilege_user user;
	char *path =
	    mem_copy_text(conf->drop_directory.data, conf->drop_directory.size);
	int fd = privilege_user_of(ROLE_PICKUP, conf->user_pickup, &user);

	if (fd == 0)
		fd = places_make_drop(path, &user);
	free(path);
	return fd;
}

/* A daemon that cannot have it takes mail all the same. */
static void
places_open_drop(
    const struct conf *conf, const struct places *old, struct places *places)
{
	int fd;

	if (conf->drop_directory.size == 0)
		return;
	/* As with the spool: what is given away is that once. */
	if (old != NULL) {
		places->drop_fd = fcntl(old->drop_fd, F_DUPFD_CLOEXEC, 0);
		return;
	}
	fd = places_make_drop_directory(conf);
	if (fd < 0)
		log_event(LOG_WARN, "drop-failed", "", "path=%.*s error=%s",
		    STR_ARG(conf->drop_directory), strerror(-fd));
	places->drop_fd = fd < 0 ? -1 : fd;
}

/* Beside a queue directory of sendmail's, which shall be empty in the end: a
   part of the drop directory, of whoever has the queue.  Without it the queue
   role forgets at its end which hosts are in trouble. */
static void
places_open_state(
    const struct conf *conf, const struct places *old, struct places *places)
{
	struct privilege_user user;
	int error = 0;

	if (old != NULL && old->state_fd >= 0)
		places->state_fd = fcntl(old->state_fd, F_DUPFD_CLOEXEC, 0);
	if (old != NULL || places->drop_fd < 0 || !store_place_is_mqueue(conf))
		return;
	error = store_place_owner(places->spool_fd, &user);
	if (error == 0)
		error = places_make_part(
		    places->drop_fd, PLACES_STATE, 0700, &user);
	if (error == 0)
		places->state_fd = openat(places->drop_fd, PLACES_STATE,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (error == 0 && places->state_fd < 0)
		error = -errno;
	if (error < 0)
		log_event(
		    LOG_WARN, "mqueue-state", "", "error=%s", strerror(-error));
}

static const struct places places_none = {.control_fd = -1,
    .submission_fd = -1,
    .spool_fd = -1,
    .drop_fd = -1,
    .state_fd = -1};

int
places_open(
    const struct conf *conf, struct places *old, struct places *places_out)
{
	int error;

	*places_out = places_none;
	error = places_open_spool(conf, old, places_out);
	if (error == 0)
		error = places_open_listeners(conf, old, places_out);
	if (error == 0)
		error = places_open_control(conf, old, places_out);
	if (error == 0)
		error = places_open_submission(conf, old, places_out);
	if (error == 0)
		places_open_drop(conf, old, places_out);
	if (error == 0)
		places_open_state(conf, old, places_out);
	if (error < 0)
		places_close(places_out, old);
	return error;
}

int
places_open_run(const struct conf *conf, int run_fd, struct places *places_out)
{
	int error;

	*places_out = places_none;
	places_out->control_fd = run_fd;
	error = places_open_spool(conf, NULL, places_out);
	if (error == 0)
		places_open_drop(conf, NULL, places_out);
	if (error < 0)
		places_close(places_out, NULL);
	return error;
}

/* Frees the PATH of a socket, and removes it unless NEXT is the same. */
static void
places_forget_path(char *path, const char *next)
{
	if (path != NULL && (next == NULL || strcmp(next, path) != 0))
		(void)unlink(path);
	free(path);
}

void
places_close(struct places *places, const struct places *next)
{
	for (size_t i = 0; i < places->listen_count; i++)
		close(places->listen_fds[i]);
	free(places->listen_fds);
	if (places->control_fd >= 0)
		close(places->control_fd);
	if (places->submission_fd >= 0)
		close(places->submission_fd);
	if (places->spool_fd >= 0)
		close(places->spool_fd);
	if (places->drop_fd >= 0)
		close(places->drop_fd);
	if (places->state_fd >= 0)
		close(places->state_fd);
	places_forget_path(
	    places->control_path, next != NULL ? next->control_path : NULL);
	places_forget_path(places->submission_path,
	    next != NULL ? next->submission_path : NULL);
	*places = places_none;
}
