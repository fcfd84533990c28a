/*
 * Each set of rights, entered for real in a process of its own, tries what it
 * may not do: the kernel must kill it (SIGSYS) or refuse (EACCES, EPERM).  What
 * it needs must still work.
 */
#include "base/check.h"
#include "net/landlock.h"
#include "net/privilege.h"
#include "net/sandbox.h"
#include "net/stderr_log.h"
#include "net/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BIT(kind) (1U << (kind))
#define ALL                                                                    \
	(BIT(ROLE_RECEIVE) | BIT(ROLE_QUEUE) | BIT(ROLE_DELIVER) |             \
	    BIT(ROLE_CONTROL) | BIT(ROLE_HELPER) | BIT(ROLE_SPAWNER))
/* The spawner has files and processes: seccomp is its only wall. */
#define WALLED (ALL & ~BIT(ROLE_SPAWNER))

/* Made before the entry. */
static int work_fd = -1; /* the directory of queue and helper */
static char work_path[] = "/tmp/sendq-sandbox-XXXXXX";
static int listener_fd = -1; /* TCP on 127.0.0.1 */
static struct sockaddr_in listener_at;

/* An act: 0 if it could be done, or -errno. */
static int
result(long value)
{
	return value < 0 ? -errno : 0;
}

static int
act_open_passwd(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int
act_open_root(void)
{
	return result(open("/", O_RDONLY | O_DIRECTORY));
}

static int
act_open_proc(void)
{
	return result(open("/proc/self/mem", O_RDWR));
}

static int
act_create_in_tmp(void)
{
	return result(open("/tmp/sendq-sandbox-file", O_CREAT | O_RDWR, 0600));
}

static int
act_socket(int family, int type)
{
	return result(socket(family, type, 0));
}

static int
act_socket_unix(void)
{
	return act_socket(AF_UNIX, SOCK_STREAM);
}

static int
act_socket_inet(void)
{
	return act_socket(AF_INET, SOCK_STREAM);
}

static int
act_socket_inet6_udp(void)
{
	return act_socket(AF_INET6, SOCK_DGRAM);
}

static int
act_socket_netlink(void)
{
	return act_socket(AF_NETLINK, SOCK_RAW);
}

static int
act_socket_packet(void)
{
	return act_socket(AF_PACKET, SOCK_RAW);
}

static int
act_bind_tcp(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno
	              : result(bind(fd, (struct sockaddr *)&at, sizeof(at)));
}

static int
act_listen(void)
{
	return result(listen(socket(AF_INET, SOCK_STREAM, 0), 5));
}

static int
act_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno
	              : result(connect(fd, (struct sockaddr *)&listener_at,
			    sizeof(listener_at)));
}

static int
act_exec(void)
{
	char program[] = "/bin/true";
	char *argv[] = {program, NULL};

	return result(execv(program, argv));
}

static int
act_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int
act_thread(void)
{
	return result(syscall(SYS_clone,
	    CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL, NULL, 0));
}

static int
act_ptrace(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int
act_read_memory(void)
{
	return result(
	    syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
}

static int
act_kill_parent(void)
{
	return result(kill(getppid(), 0));
}

static int
act_mount(void)
{
	return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int
act_setuid(void)
{
	return result(setuid(0));
}

static int
act_capabilities(void)
{
	return result(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static int
act_chmod(void)
{
	return result(chmod(work_path, 0777));
}

static int
act_chown(void)
{
	return result(fchown(work_fd, 0, 0));
}

static int
act_namespace(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int
act_execute_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int
act_protect_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
act_memory_file(void)
{
	return result(memfd_create("x", 0));
}

static int
act_terminal(void)
{
	return result(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"));
}

static int
act_ring(void)
{
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int
act_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int
act_symlink(void)
{
	return result(symlinkat("/etc/passwd", work_fd, "link"));
}

static int
act_socket_file(void)
{
	return result(mknodat(work_fd, "pipe", S_IFIFO | 0600, 0));
}

static int
act_escape(void)
{
	return result(openat(work_fd, "../../etc/passwd", O_RDONLY));
}

static int
act_open_fcntl(void)
{
	return result(fcntl(work_fd, F_SETLEASE, F_RDLCK));
}

/* LANDLOCK: the version that the refusal needs; 0 = any kernel. */
static const struct {
	const char *name;
	int (*act)(void);
	unsigned roles;
	int landlock;
} forbidden[] = {
    {"open /etc/passwd", act_open_passwd,
	WALLED & ~BIT(ROLE_QUEUE) & ~BIT(ROLE_HELPER), 0},
    {"open /etc/passwd", act_open_passwd, BIT(ROLE_QUEUE) | BIT(ROLE_HELPER),
	2},
    {"open /", act_open_root, WALLED, 2},
    {"open /proc/self/mem", act_open_proc, WALLED, 2},
    {"openat ../..", act_escape, WALLED, 2},
    {"create in /tmp", act_create_in_tmp, WALLED, 2},
    {"socket unix", act_socket_unix, ALL, 0},
    {"socket inet", act_socket_inet, ALL & ~BIT(ROLE_DELIVER), 0},
    {"socket inet6 udp", act_socket_inet6_udp, ALL & ~BIT(ROLE_DELIVER), 0},
    {"socket netlink", act_socket_netlink, ALL, 0},
    {"socket packet", act_socket_packet, ALL, 0},
    {"bind tcp", act_bind_tcp, ALL & ~BIT(ROLE_DELIVER), 0},
    {"bind tcp", act_bind_tcp, BIT(ROLE_DELIVER), 4},
    {"listen", act_listen, ALL, 0},
    {"connect", act_connect, ALL & ~BIT(ROLE_DELIVER), 0},
    {"execve", act_exec, ALL, 0},
    {"fork", act_fork, WALLED, 0},
    {"thread", act_thread, WALLED, 0},
    {"ptrace", act_ptrace, ALL, 0},
    {"process_vm_readv", act_read_memory, ALL, 0},
    {"kill parent", act_kill_parent, ALL, 0},
    {"mount", act_mount, ALL, 0},
    {"setuid", act_setuid, WALLED, 0},
    {"prctl", act_capabilities, WALLED, 0},
    {"chmod", act_chmod, ALL, 0},
    {"fchown", act_chown, ALL, 0},
    {"unshare", act_namespace, ALL, 0},
    {"mmap exec", act_execute_memory, ALL, 0},
    {"mprotect exec", act_protect_memory, ALL, 0},
    {"memfd_create", act_memory_file, ALL, 0},
    {"ioctl", act_terminal, ALL, 0},
    {"io_uring", act_ring, ALL, 0},
    {"bpf", act_bpf, ALL, 0},
    {"symlink", act_symlink, ALL, 0},
    {"mknod", act_socket_file, ALL, 0},
    {"fcntl lease", act_open_fcntl, ALL, 0},
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
	char *p = malloc(size);

	for (; size < 64U << 20 && p != NULL; size *= 2) {
		char *q = realloc(p, size * 2);

		p = q;
	}
	if (p == NULL)
		return -ENOMEM;
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
    {"files below the directory", act_file, BIT(ROLE_QUEUE) | BIT(ROLE_HELPER)},
    {"accept", act_accept, BIT(ROLE_RECEIVE) | BIT(ROLE_CONTROL)},
    {"socket inet", act_socket_inet, BIT(ROLE_DELIVER)},
    {"socket inet6 udp", act_socket_inet6_udp, BIT(ROLE_DELIVER)},
    {"connect", act_connect, BIT(ROLE_DELIVER)},
    {"fork", act_fork, BIT(ROLE_SPAWNER)},
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

/* The entry of a role, as cmd/child.c does it. */
static int
enter(enum role_kind kind)
{
	struct privilege_user user = {.uid = 64199, .gid = 64199};
	bool is_in_directory = kind == ROLE_QUEUE || kind == ROLE_HELPER;
	int error;

	if (kind == ROLE_SPAWNER) {
		error = privilege_keep_spawner();
		return error < 0 ? error : sandbox_seal(kind);
	}
	if (kind != ROLE_HELPER)
		error = privilege_user_of(kind, STR(""), &user);
	else
		error = 0;
	if (error == 0 && geteuid() == 0)
		error = result(fchown(work_fd, user.uid, user.gid));
	if (error == 0)
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

	assert_non_null(mkdtemp(work_path));
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
	return rmdir(work_path);
}

static void
test_forbidden(void **state)
{
	int wrong = 0, version = landlock_version();

	if (!sandbox_is_walled())
		skip();
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		for (int kind = 0; kind < ROLE_KINDS; kind++) {
			int end;

			if ((forbidden[i].roles & BIT(kind)) == 0 ||
			    forbidden[i].landlock > version)
				continue;
			end = try((enum role_kind)kind, forbidden[i].act);
			if (end == TRY_KILLED || end == TRY_REFUSED)
				continue;
			print_error("%s: %s: end %d\n",
			    privilege_role_name((enum role_kind)kind),
			    forbidden[i].name, end);
			wrong++;
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
		_exit(privilege_drop(&user) == 0 && act_users() == 0 ? 0 : 1);
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
	};

	return cmocka_run_group_tests_name("sandbox", tests, setup, teardown);
}
