/*
 * Each set of rights, entered for real in a process of its own, tries what it
 * may not do: the kernel must kill it (SIGSYS) or refuse (EACCES, EPERM).  What
 * it needs must still work.
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/landlock.h"
#include "net/privilege.h"
#include "net/sandbox.h"
#include "net/sandbox_acts.h"
#include "net/stderr_log.h"
#include "net/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BIT(kind) (1U << (kind))
#define ALL                                                                    \
	(BIT(ROLE_RECEIVE) | BIT(ROLE_QUEUE) | BIT(ROLE_DELIVER) |             \
	    BIT(ROLE_CONTROL) | BIT(ROLE_HELPER) | BIT(ROLE_SPAWNER) |         \
	    BIT(ROLE_PICKUP) | BIT(ROLE_ALIAS) | BIT(ROLE_WATCHER))
/* The spawner has files and processes: seccomp is its only wall. */
#define WALLED (ALL & ~BIT(ROLE_SPAWNER))

#define FILES                                                                  \
	(BIT(ROLE_QUEUE) | BIT(ROLE_HELPER) | BIT(ROLE_PICKUP) |               \
	    BIT(ROLE_ALIAS))
#define MASTER BIT(ROLE_MASTER)
/* It has a fence only. */
#define RUNNER BIT(ROLE_RUNNER)

/* clang-format off */
/* The fixed list.  PLACE: for acts on a path.  LANDLOCK: the version that the
   refusal needs; 0 = any kernel, by seccomp, users and capabilities.  The
   master has no sandbox, but only four capabilities. */
static const struct {
	const char *name, *place;
	int (*act)(void);
	unsigned roles;
	int landlock;
} forbidden[] = {
    {"open", "/etc/passwd", act_open, WALLED & ~FILES, 0},
    {"open", "/etc/passwd", act_open, FILES, 2},
    {"open", "/etc/shadow", act_open, WALLED, 0},
    {"open", "/", act_open, WALLED & ~FILES, 0},
    {"open", "/", act_open, FILES, 2},
    {"open", "/proc/self/mem", act_open, WALLED & ~FILES, 0},
    {"open", "/proc/self/mem", act_open, FILES, 2},
    {"open", "/proc/1/environ", act_open, WALLED, 0},
    {"open", "/dev/zero", act_open, WALLED & ~FILES, 0},
    {"open", "/dev/zero", act_open, FILES, 2},
    {"open", "/sys/kernel", act_open, WALLED & ~FILES, 0},
    {"open", "/sys/kernel", act_open, FILES, 2},
    {"open", "/var/lib", act_open, WALLED & ~FILES, 0},
    {"open", "/var/lib", act_open, FILES, 2},
    {"open below", "..", act_open_below, WALLED & ~FILES, 0},
    {"open below", "..", act_open_below, FILES, 2},
    {"open below", "../../etc/passwd", act_open_below, WALLED & ~FILES, 0},
    {"open below", "../../etc/passwd", act_open_below, FILES, 2},
    {"change", "/etc/passwd", act_change, WALLED, 0},
    {"change", "/proc/self/mem", act_change, WALLED & ~FILES, 0},
    {"change", "/proc/self/mem", act_change, FILES, 2},
    {"create in", "/tmp", act_create, WALLED & ~FILES, 0},
    {"create in", "/tmp", act_create, FILES, 2},
    {"create in", "/var/tmp", act_create, WALLED & ~FILES, 0},
    {"create in", "/var/tmp", act_create, FILES, 2},
    {"create in", "/dev/shm", act_create, WALLED & ~FILES, 0},
    {"create in", "/dev/shm", act_create, FILES, 2},
    {"create in", "/etc", act_create, WALLED, 0},
    {"create in", "/run", act_create, WALLED, 0},
    {"create in", "/root", act_create, WALLED, 0},
    {"create in", "/var/spool", act_create, WALLED, 0},
    {"create in", "/usr", act_create, WALLED, 0},
    {"create outside", NULL, act_create_outside, WALLED & ~FILES, 0},
    {"create outside", NULL, act_create_outside, FILES, 2},
    {"change outside", NULL, act_truncate, ALL, 0},
    {"remove outside", NULL, act_remove, WALLED & ~FILES, 0},
    {"remove outside", NULL, act_remove, FILES, 2},
    {"rename from outside", NULL, act_rename, WALLED & ~FILES, 0},
    {"rename from outside", NULL, act_rename, FILES, 2},
    {"link from outside", NULL, act_link, WALLED & ~FILES, 0},
    {"link from outside", NULL, act_link, FILES, 2},
    {"socket unix", NULL, act_socket_unix, ALL, 0},
    {"socket inet", NULL, act_socket_inet, ALL & ~BIT(ROLE_DELIVER), 0},
    {"socket inet6 udp", NULL, act_socket_inet6_udp,
	ALL & ~BIT(ROLE_DELIVER), 0},
    {"socket netlink", NULL, act_socket_netlink, ALL, 0},
    {"socket packet", NULL, act_socket_packet, ALL | MASTER, 0},
    {"socket raw", NULL, act_socket_raw, ALL | MASTER, 0},
    {"socket vsock", NULL, act_socket_vsock, ALL, 0},
    {"socket alg", NULL, act_socket_alg, ALL, 0},
    {"bind tcp", NULL, act_bind_tcp, ALL & ~BIT(ROLE_DELIVER), 0},
    {"bind tcp", NULL, act_bind_tcp, BIT(ROLE_DELIVER), 4},
    {"listen", NULL, act_listen, ALL, 0},
    {"connect", NULL, act_connect, ALL & ~BIT(ROLE_DELIVER), 0},
    {"execve", NULL, act_exec, ALL, 0},
    {"fork", NULL, act_fork, WALLED, 0},
    {"thread", NULL, act_thread, WALLED, 0},
    {"ptrace", NULL, act_ptrace, ALL | MASTER | RUNNER, 0},
    {"process_vm_readv", NULL, act_read_memory, ALL | RUNNER, 0},
    {"kill parent", NULL, act_kill_parent, ALL, 0},
    {"tgkill parent", NULL, act_signal_parent, ALL, 0},
    {"pidfd_open parent", NULL, act_parent_handle, ALL, 0},
    {"prlimit of parent", NULL, act_parent_limits, WALLED, 0},
    {"mount", NULL, act_mount, ALL | MASTER | RUNNER, 0},
    {"umount", NULL, act_unmount, ALL | MASTER | RUNNER, 0},
    {"chroot", NULL, act_root, ALL | MASTER | RUNNER, 0},
    {"pivot_root", NULL, act_pivot, ALL | MASTER | RUNNER, 0},
    {"setuid", NULL, act_setuid, WALLED, 0},
    {"setgid", NULL, act_setgid, ALL, 0},
    {"setreuid", NULL, act_setreuid, ALL, 0},
    {"setresuid", NULL, act_setresuid, WALLED, 0},
    {"setgroups", NULL, act_setgroups, WALLED, 0},
    {"capset", NULL, act_capset, ALL | MASTER, 0},
    {"prctl", NULL, act_capabilities, WALLED, 0},
    {"chmod", NULL, act_chmod, ALL, 0},
    {"fchown", NULL, act_chown, ALL, 0},
    {"unshare user", NULL, act_namespace, ALL | RUNNER, 0},
    {"unshare net", NULL, act_namespace_net, ALL | MASTER | RUNNER, 0},
    {"unshare mount", NULL, act_namespace_files, ALL | MASTER | RUNNER, 0},
    {"clone user", NULL, act_namespace_clone, WALLED | RUNNER, 0},
    {"setns", NULL, act_namespace_enter, ALL | RUNNER, 0},
    {"mmap exec", NULL, act_execute_memory, ALL, 0},
    {"mprotect exec", NULL, act_protect_memory, ALL, 0},
    {"memfd_create", NULL, act_memory_file, ALL, 0},
    {"ioctl", NULL, act_terminal, ALL, 0},
    {"io_uring", NULL, act_ring, ALL | RUNNER, 0},
    {"bpf", NULL, act_bpf, ALL | RUNNER, 0},
    {"symlink", NULL, act_symlink, ALL, 0},
    {"mknod", NULL, act_socket_file, ALL, 0},
    {"fcntl lock", NULL, act_lock,
	ALL & ~BIT(ROLE_ALIAS) & ~BIT(ROLE_SPAWNER), 0},
    {"fcntl lease", NULL, act_open_fcntl, ALL, 0},
    {"clock_settime", NULL, act_clock, ALL | MASTER | RUNNER, 0},
    {"sethostname", NULL, act_host, ALL | MASTER | RUNNER, 0},
    {"init_module", NULL, act_module, ALL | RUNNER, 0},
    {"reboot", NULL, act_reboot, ALL | MASTER | RUNNER, 0},
    {"keyctl", NULL, act_key, ALL | RUNNER, 0},
    {"inotify", NULL, act_watch, ALL, 0},
    {"swapon", NULL, act_swap, ALL | MASTER | RUNNER, 0},
    {"device", NULL, act_device, ALL | MASTER, 0},
    {"first in line", NULL, act_first, ALL | MASTER, 0},
    {"real time", NULL, act_real_time, ALL | MASTER, 0},
    {"open_by_handle_at", NULL, act_file_handle, ALL | RUNNER, 0},
};
/* clang-format on */

/* How many acts each kind is tried with at least. */
static const int forbidden_least[ROLE_KINDS] = {
    [ROLE_MASTER] = 15,
    [ROLE_SPAWNER] = 40,
    [ROLE_RECEIVE] = 40,
    [ROLE_QUEUE] = 40,
    [ROLE_DELIVER] = 40,
    [ROLE_CONTROL] = 40,
    [ROLE_HELPER] = 40,
    [ROLE_PICKUP] = 40,
    [ROLE_ALIAS] = 40,
    [ROLE_RUNNER] = 20,
    [ROLE_WATCHER] = 40,
};

static int
act_file(void)
{
	int fd = openat(work_fd, "file", O_CREAT | O_RDWR, 0600);

	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1 || fdatasync(fd) < 0 ||
	    fallocate(fd, 0, 0, 4096) < 0 || ftruncate(fd, 10) < 0 ||
	    mkdirat(work_fd, "tmp", 0700) < 0 ||
	    renameat(work_fd, "file", work_fd, "tmp/file") < 0 ||
	    unlinkat(work_fd, "tmp/file", 0) < 0 ||
	    unlinkat(work_fd, "tmp", AT_REMOVEDIR) < 0)
		return -errno;
	return 0;
}

/* A file of somebody else's, open to nobody: as in a queue of sendmail's. */
static int
act_file_of_other(void)
{
	int fd = openat(work_fd, "other/file", O_RDWR);
	char byte;

	if (fd < 0 || pread(fd, &byte, 1, 0) != 1 || flock(fd, LOCK_EX) < 0 ||
	    renameat(work_fd, "other/file", work_fd, "other/moved") < 0 ||
	    renameat(work_fd, "other/moved", work_fd, "other/file") < 0)
		return -errno;
	fd = openat(work_fd, "other/new", O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd < 0 || unlinkat(work_fd, "other/new", 0) < 0)
		return -errno;
	return 0;
}

static int
act_lock_file(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = openat(work_fd, "locked", O_CREAT | O_RDWR, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 ||
	    unlinkat(work_fd, "locked", 0) < 0)
		return -errno;
	return 0;
}

static int
act_accept(void)
{
	/* Nobody is there. */
	return accept4(listener_fd, NULL, NULL, 0) < 0 && errno == EAGAIN
	           ? 0
	           : -errno;
}

static int
act_memory(void)
{
	size_t size = 1 << 20;
	char *p = mem_new(1, size);

	/* Large enough to be moved by the kernel. */
	for (; size < 64U << 20; size *= 2)
		p = mem_resize(p, 1, size * 2);
	memset(p, 1, size);
	free(p);
	return 0;
}

static int
act_log(void)
{
	log_set(stderr_log_line, LOG_NOTE);
	log_event(LOG_DETAIL, "sandbox-test", "", "x=%d", 1);
	return 0;
}

/* A broken check must end in an abort, not in a refusal. */
static int
act_abort(void)
{
	int pid = getpid();

	signal(SIGABRT, SIG_IGN);
	return result(syscall(SYS_tgkill, pid, pid, SIGABRT));
}

static const struct {
	const char *name;
	int (*act)(void);
	unsigned roles;
} allowed[] = {
    {"files below the directory", act_file, FILES},
    {"lock", act_lock_file, BIT(ROLE_ALIAS)},
    {"accept", act_accept, BIT(ROLE_RECEIVE) | BIT(ROLE_CONTROL)},
    {"socket inet", act_socket_inet, BIT(ROLE_DELIVER)},
    {"socket inet6 udp", act_socket_inet6_udp, BIT(ROLE_DELIVER)},
    {"connect", act_connect, BIT(ROLE_DELIVER)},
    {"fork", act_fork, BIT(ROLE_SPAWNER) | RUNNER},
    {"memory", act_memory, ALL},
    {"log", act_log, ALL},
    {"abort", act_abort, ALL},
};

/* Ends of a try. */
enum {
	TRY_DONE,
	TRY_REFUSED,
	TRY_FAILED,
	TRY_NO_ENTRY,
	TRY_KILLED
};

/* The queue role in a queue of sendmail's: cmd/store_place.h. */
static bool is_anybodys;

/* The entry of a role, as cmd/child.c does it. */
static int
enter(enum role_kind kind)
{
	struct privilege_user user = {.uid = 64199, .gid = 64199};
	bool is_in_directory = (BIT(kind) & FILES) != 0;
	int error;

	if (kind == ROLE_MASTER)
		return privilege_keep_master(is_anybodys);
	if (kind == ROLE_SPAWNER || kind == ROLE_RUNNER) {
		error = privilege_keep_spawner();
		if (error == 0)
			error = kind == ROLE_RUNNER ? sandbox_fence()
			                            : sandbox_seal(kind);
		return error;
	}
	if (kind != ROLE_HELPER && kind != ROLE_WATCHER)
		error = privilege_user_of(kind, STR(""), &user);
	else
		error = 0;
	if (error == 0 && geteuid() == 0)
		error = result(fchown(work_fd, user.uid, user.gid));
	if (error == 0 && kind == ROLE_QUEUE && is_anybodys)
		error = privilege_drop_but_files(&user);
	else if (error == 0)
		error = privilege_drop(&user);
	if (error == 0)
		error = sandbox_lock(kind, is_in_directory ? work_fd : -1);
	if (error == 0 && kind == ROLE_QUEUE)
		(void)writer_new();
	return error < 0 ? error : sandbox_seal(kind);
}

static int
try(enum role_kind kind, int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int error;

		/* cmocka's handlers would hide a death. */
		signal(SIGSYS, SIG_DFL);
		if (enter(kind) < 0)
			_exit(TRY_NO_ENTRY);
		error = act();
		if (error == -EACCES || error == -EPERM)
			_exit(TRY_REFUSED);
		_exit(error == 0 ? TRY_DONE : TRY_FAILED);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? TRY_KILLED : TRY_FAILED;
	return WEXITSTATUS(status);
}

static int
setup(void **state)
{
	socklen_t size = sizeof(listener_at);

	int fd;

	assert_non_null(mkdtemp(work_path));
	assert_non_null(mkdtemp(outside_path));
	assert_int_equal(chmod(outside_path, 0777), 0);
	snprintf(outside_file, sizeof(outside_file), "%s/file", outside_path);
	fd = open(outside_file, O_CREAT | O_RDWR, 0666);
	assert_true(fd >= 0 && fchmod(fd, 0666) == 0);
	close(fd);
	work_fd = open(work_path, O_RDONLY | O_DIRECTORY);
	assert_true(work_fd >= 0);
	listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	listener_at.sin_family = AF_INET;
	listener_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener_fd, (struct sockaddr *)&listener_at,
			     sizeof(listener_at)),
	    0);
	assert_int_equal(listen(listener_fd, 5), 0);
	assert_int_equal(
	    getsockname(listener_fd, (struct sockaddr *)&listener_at, &size),
	    0);
	return 0;
}

static int
teardown(void **state)
{
	close(work_fd);
	close(listener_fd);
	if (unlink(outside_file) < 0 || rmdir(outside_path) < 0)
		return -1;
	return rmdir(work_path);
}

/* Tries all that KIND may not; how many could be done. */
static int
count_wrong(enum role_kind kind, int version)
{
	int wrong = 0, any_count = 0, landlock_count = 0;

	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int end;

		if ((forbidden[i].roles & BIT(kind)) == 0 ||
		    forbidden[i].landlock > version)
			continue;
		any_count += forbidden[i].landlock == 0;
		landlock_count += forbidden[i].landlock > 0;
		act_place = forbidden[i].place;
		end = try(kind, forbidden[i].act);
		if (end == TRY_KILLED || end == TRY_REFUSED)
			continue;
		print_error("%s: %s %s: end %d\n", privilege_role_name(kind),
		    forbidden[i].name, act_place != NULL ? act_place : "", end);
		wrong++;
	}
	print_message("%s: %d acts on any kernel, %d by Landlock %d\n",
	    privilege_role_name(kind), any_count, landlock_count, version);
	assert_true(
	    any_count + landlock_count >= forbidden_least[kind] || version < 2);
	return wrong;
}

static void
test_forbidden(void **state)
{
	int wrong = 0, version = landlock_version();

	if (!sandbox_is_walled())
		skip();
	for (int i = 0; i < ROLE_KINDS; i++) {
		/* Started as a plain user it has a plain user's rights. */
		if (i == ROLE_MASTER && geteuid() != 0)
			continue;
		wrong += count_wrong((enum role_kind)i, version);
	}
	assert_int_equal(wrong, 0);
}

static void
test_allowed(void **state)
{
	int wrong = 0;

	if (!sandbox_is_walled())
		skip();
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		for (int kind = 0; kind < ROLE_KINDS; kind++) {
			int end;

			if ((allowed[i].roles & BIT(kind)) == 0)
				continue;
			end = try((enum role_kind)kind, allowed[i].act);
			if (end == TRY_DONE)
				continue;
			print_error("%s: %s: end %d\n",
			    privilege_role_name((enum role_kind)kind),
			    allowed[i].name, end);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

/* In a queue of sendmail's the queue role uses anybody's files there; what the
   other roles may not, it may not either. */
static void
test_files_of_others(void **state)
{
	int version = landlock_version(), fd, wrong = 0;

	if (!sandbox_is_walled() || geteuid() != 0 ||
	    version < LANDLOCK_VERSION_DIRECTORY)
		skip();
	assert_int_equal(mkdirat(work_fd, "other", 0700), 0);
	fd = openat(work_fd, "other/file", O_CREAT | O_EXCL | O_RDWR, 0600);
	assert_true(fd >= 0 && pwrite(fd, "x", 1, 0) == 1);
	assert_int_equal(fchown(fd, 4321, 4321), 0);
	close(fd);
	assert_int_equal(fchownat(work_fd, "other", 4322, 4322, 0), 0);
	assert_int_equal(try(ROLE_QUEUE, act_file_of_other), TRY_REFUSED);
	is_anybodys = true;
	assert_int_equal(try(ROLE_QUEUE, act_file_of_other), TRY_DONE);
	assert_int_equal(try(ROLE_PICKUP, act_file_of_other), TRY_REFUSED);
	wrong = count_wrong(ROLE_QUEUE, version);
	wrong += count_wrong(ROLE_MASTER, version);
	wrong += try(ROLE_QUEUE, act_file) != TRY_DONE;
	is_anybodys = false;
	assert_int_equal(wrong, 0);
	assert_int_equal(unlinkat(work_fd, "other/file", 0), 0);
	assert_int_equal(unlinkat(work_fd, "other", AT_REMOVEDIR), 0);
}

static int
act_users(void)
{
	struct privilege_user other = {.uid = 1, .gid = 1};
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) < 0 || real == 0 ||
	    effective == 0 || saved == 0 || getgroups(0, NULL) != 0)
		return -EINVAL;
	if (privilege_become(&other) == 0 || setgid(0) == 0)
		return -EINVAL;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0)
		return -EINVAL;
	return 0;
}

/* Root is given up for good. */
static void
test_privileges(void **state)
{
	struct privilege_user user, root = {0};
	gid_t group = 7;
	pid_t pid;
	int status;

	assert_int_equal(
	    privilege_user_of(ROLE_QUEUE, STR("root"), &user), -ENOENT);
	assert_int_equal(
	    privilege_user_of(ROLE_QUEUE, STR("0"), &user), -ENOENT);
	assert_int_equal(
	    privilege_user_of(ROLE_QUEUE, STR("no-such-user"), &user), -ENOENT);
	assert_int_equal(privilege_user_of(ROLE_QUEUE, STR("64555"), &user), 0);
	assert_int_equal(user.uid, 64555);
	assert_int_equal(privilege_become(&root), -EPERM);
	assert_int_equal(privilege_user_of(ROLE_QUEUE, STR(""), &user), 0);
	assert_true(user.uid != 0);
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(setgroups(1, &group) == 0 && privilege_drop(&user) == 0 &&
			      act_users() == 0
			  ? 0
			  : 1);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_privileges),
	    cmocka_unit_test(test_forbidden),
	    cmocka_unit_test(test_allowed),
	    cmocka_unit_test(test_files_of_others),
	};

	return cmocka_run_group_tests_name("sandbox", tests, setup, teardown);
}
