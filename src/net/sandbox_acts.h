/*
 * What a sandboxed process is made to try; for net/sandbox_test.c only.  An act
 * gives 0 if it could be done, else -errno.  Everything is static.
 */
#ifndef NET_SANDBOX_ACTS_H
#define NET_SANDBOX_ACTS_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Made before the entry. */
static int work_fd = -1; /* the directory of queue and helper */
static char work_path[] = "/tmp/sendq-sandbox-XXXXXX";
static int listener_fd = -1; /* TCP on 127.0.0.1 */
static struct sockaddr_in listener_at;

/* Somebody else's, with open doors: a directory and a file in it. */
static char outside_path[] = "/tmp/sendq-outside-XXXXXX";
static char outside_file[sizeof(outside_path) + 8];
/* What the acts on paths are about. */
static const char *act_place;

static int
result(long value)
{
	return value < 0 ? -errno : 0;
}

static int
act_open(void)
{
	return result(open(act_place, O_RDONLY | O_NONBLOCK));
}

static int
act_open_below(void)
{
	return result(openat(work_fd, act_place, O_RDONLY));
}

static int
act_change(void)
{
	return result(open(act_place, O_RDWR | O_NONBLOCK));
}

/* Without a name where the file system can do that: nothing is left behind. */
static int
act_create(void)
{
	return result(open(act_place, O_TMPFILE | O_RDWR, 0600));
}

static int
act_create_outside(void)
{
	char path[sizeof(outside_path) + 8];

	snprintf(path, sizeof(path), "%s/made", outside_path);
	return result(open(path, O_CREAT | O_RDWR, 0600));
}

static int
act_remove(void)
{
	return result(unlinkat(AT_FDCWD, outside_file, 0));
}

static int
act_rename(void)
{
	return result(renameat(AT_FDCWD, outside_file, work_fd, "stolen"));
}

static int
act_link(void)
{
	int error = result(linkat(AT_FDCWD, outside_file, work_fd, "link", 0));

	/* Landlock's word for what would change the rights to a file. */
	return error == -EXDEV ? -EACCES : error;
}

static int
act_truncate(void)
{
	return result(truncate(outside_file, 0));
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
act_socket_raw(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int
act_socket_vsock(void)
{
	return act_socket(AF_VSOCK, SOCK_STREAM);
}

static int
act_socket_alg(void)
{
	return act_socket(AF_ALG, SOCK_SEQPACKET);
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
	/* Where it is allowed it says that there is no such program. */
	char program[] = "/no-such-program";
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
act_signal_parent(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int
act_parent_handle(void)
{
	return result(syscall(SYS_pidfd_open, getppid(), 0));
}

/* Only reads them. */
static int
act_parent_limits(void)
{
	struct rlimit limit;

	return result(prlimit(getppid(), RLIMIT_CPU, NULL, &limit));
}

static int
act_first(void)
{
	return result(setpriority(PRIO_PROCESS, 0, -20));
}

static int
act_real_time(void)
{
	struct sched_param parameter = {.sched_priority = 1};

	return result(sched_setscheduler(0, SCHED_FIFO, &parameter));
}

static int
act_device(void)
{
	return result(mknodat(work_fd, "device", S_IFCHR | 0600, 0x103));
}

static int
act_swap(void)
{
	return result(syscall(SYS_swapon, work_path, 0));
}

static int
act_mount(void)
{
	return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int
act_unmount(void)
{
	return result(umount2(work_path, MNT_DETACH));
}

static int
act_root(void)
{
	return result(chroot("/tmp"));
}

static int
act_pivot(void)
{
	return result(syscall(SYS_pivot_root, "/", "/"));
}

static int
act_setuid(void)
{
	return result(setuid(0));
}

static int
act_setgid(void)
{
	return result(setgid(0));
}

static int
act_setreuid(void)
{
	return result(setreuid(0, 0));
}

static int
act_setresuid(void)
{
	return result(setresuid(0, 0, 0));
}

static int
act_setgroups(void)
{
	gid_t group = 0;

	return result(setgroups(1, &group));
}

/* CAP_SYS_ADMIN. */
static int
act_capset(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
	    {.permitted = 1U << 21, .effective = 1U << 21}};

	return result(syscall(SYS_capset, &head, data));
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
act_namespace_net(void)
{
	return result(unshare(CLONE_NEWNET));
}

static int
act_namespace_files(void)
{
	return result(unshare(CLONE_NEWNS));
}

static int
act_namespace_clone(void)
{
	return result(
	    syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0));
}

static int
act_namespace_enter(void)
{
	return result(setns(work_fd, 0));
}

static int
act_clock(void)
{
	struct timespec now = {0};

	/* To what it is already. */
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	return result(clock_settime(CLOCK_REALTIME, &now));
}

static int
act_host(void)
{
	return result(syscall(SYS_sethostname, "", 1000));
}

static int
act_module(void)
{
	return result(syscall(SYS_init_module, NULL, 0, ""));
}

static int
act_reboot(void)
{
	/* Only says what the keys for it do. */
	return result(
	    syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD_OFF */, NULL));
}

static int
act_key(void)
{
	return result(syscall(SYS_keyctl, 0, -3, 0));
}

static int
act_watch(void)
{
	return result(syscall(SYS_inotify_init1, 0));
}

static int
act_file_handle(void)
{
	return result(syscall(SYS_open_by_handle_at, work_fd, NULL, 0));
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
act_open_fcntl(void)
{
	return result(fcntl(work_fd, F_SETLEASE, F_RDLCK));
}

static int
act_lock(void)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return result(fcntl(work_fd, F_SETLK, &lock));
}

#endif
