/*
 * The sandbox.  A role has groups of system calls; a call of no group of its
 * kills the process.  Calls whose arguments matter are in functions below.
 */
#include "net/sandbox.h"
#include "net/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum sandbox_group {
	SANDBOX_BASE = 1,    /* memory, time, an end, what is already open */
	SANDBOX_LOOP = 2,    /* epoll, and bytes over sockets that are there */
	SANDBOX_ACCEPT = 4,  /* connections from listeners that are there */
	SANDBOX_CONNECT = 8, /* sockets of the Internet, outwards */
	SANDBOX_FILES = 16,  /* below a directory that is there */
	SANDBOX_SPAWN = 32,  /* processes for jobs, and how they settle */
	SANDBOX_LOCK = 64,   /* locks between programs on files */
	SANDBOX_WATCH = 128, /* a child that is there: its end */
};

/* The table of rights.  No row: the role is not sealed. */
static const struct {
	unsigned groups;
	bool is_connecting; /* TCP, under Landlock */
	bool may_fork;
} sandbox_rights[ROLE_KINDS] = {
    [ROLE_RECEIVE] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_ACCEPT},
    [ROLE_QUEUE] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_FILES},
    [ROLE_DELIVER] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_CONNECT,
	.is_connecting = true},
    [ROLE_CONTROL] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_ACCEPT},
    [ROLE_SPAWNER] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_FILES |
			  SANDBOX_SPAWN | SANDBOX_LOCK,
	.may_fork = true},
    [ROLE_HELPER] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_FILES},
    [ROLE_PICKUP] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_FILES},
    [ROLE_ALIAS] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_FILES | SANDBOX_LOCK},
    [ROLE_WATCHER] = {SANDBOX_BASE | SANDBOX_LOOP | SANDBOX_WATCH},
};

static const struct {
	unsigned group;
	int call;
} sandbox_calls[] = {
    /* Memory, threads that are there. */
    {SANDBOX_BASE, SCMP_SYS(brk)},
    {SANDBOX_BASE, SCMP_SYS(munmap)},
    {SANDBOX_BASE, SCMP_SYS(mremap)},
    {SANDBOX_BASE, SCMP_SYS(madvise)},
    {SANDBOX_BASE, SCMP_SYS(futex)},
    {SANDBOX_BASE, SCMP_SYS(sched_yield)},
    {SANDBOX_BASE, SCMP_SYS(rseq)},
    {SANDBOX_BASE, SCMP_SYS(set_robust_list)},
    /* qsort() asks how much memory there is. */
    {SANDBOX_BASE, SCMP_SYS(sysinfo)},
    /* Time and chance. */
    {SANDBOX_BASE, SCMP_SYS(clock_gettime)},
    {SANDBOX_BASE, SCMP_SYS(clock_nanosleep)},
    {SANDBOX_BASE, SCMP_SYS(gettimeofday)},
    {SANDBOX_BASE, SCMP_SYS(time)},
    {SANDBOX_BASE, SCMP_SYS(getrandom)},
    /* Who and how it ends; a broken check raises SIGABRT (see tgkill). */
    {SANDBOX_BASE, SCMP_SYS(getpid)},
    {SANDBOX_BASE, SCMP_SYS(gettid)},
    {SANDBOX_BASE, SCMP_SYS(getuid)},
    {SANDBOX_BASE, SCMP_SYS(geteuid)},
    {SANDBOX_BASE, SCMP_SYS(getgid)},
    {SANDBOX_BASE, SCMP_SYS(getegid)},
    {SANDBOX_BASE, SCMP_SYS(rt_sigprocmask)},
    {SANDBOX_BASE, SCMP_SYS(rt_sigreturn)},
    {SANDBOX_BASE, SCMP_SYS(rt_sigaction)},
    {SANDBOX_BASE, SCMP_SYS(restart_syscall)},
    {SANDBOX_BASE, SCMP_SYS(exit)},
    {SANDBOX_BASE, SCMP_SYS(exit_group)},
    /* Descriptors that are open. */
    {SANDBOX_BASE, SCMP_SYS(read)},
    {SANDBOX_BASE, SCMP_SYS(write)},
    {SANDBOX_BASE, SCMP_SYS(readv)},
    {SANDBOX_BASE, SCMP_SYS(writev)},
    {SANDBOX_BASE, SCMP_SYS(close)},
    {SANDBOX_BASE, SCMP_SYS(lseek)},
    {SANDBOX_BASE, SCMP_SYS(poll)},
    {SANDBOX_BASE, SCMP_SYS(ppoll)},
    /* The loop. */
    {SANDBOX_LOOP, SCMP_SYS(epoll_wait)},
    {SANDBOX_LOOP, SCMP_SYS(epoll_pwait)},
    {SANDBOX_LOOP, SCMP_SYS(epoll_pwait2)},
    {SANDBOX_LOOP, SCMP_SYS(epoll_ctl)},
    {SANDBOX_LOOP, SCMP_SYS(timerfd_settime)},
    {SANDBOX_LOOP, SCMP_SYS(sendto)},
    {SANDBOX_LOOP, SCMP_SYS(recvfrom)},
    {SANDBOX_LOOP, SCMP_SYS(sendmsg)},
    {SANDBOX_LOOP, SCMP_SYS(recvmsg)},
    {SANDBOX_LOOP, SCMP_SYS(shutdown)},
    {SANDBOX_LOOP, SCMP_SYS(setsockopt)},
    {SANDBOX_LOOP, SCMP_SYS(getsockopt)},
    {SANDBOX_LOOP, SCMP_SYS(getsockname)},
    {SANDBOX_LOOP, SCMP_SYS(getpeername)},
    {SANDBOX_ACCEPT, SCMP_SYS(accept4)},
    /* Outwards; socket() is below.  libunbound binds its UDP sockets, to take
       ports by chance; TCP ports are out of reach under Landlock. */
    {SANDBOX_CONNECT, SCMP_SYS(connect)},
    {SANDBOX_CONNECT, SCMP_SYS(bind)},
    {SANDBOX_CONNECT, SCMP_SYS(sendmmsg)},
    /* Files. */
    {SANDBOX_FILES, SCMP_SYS(openat)},
    {SANDBOX_FILES, SCMP_SYS(unlinkat)},
    {SANDBOX_FILES, SCMP_SYS(renameat)},
    {SANDBOX_FILES, SCMP_SYS(renameat2)},
    {SANDBOX_FILES, SCMP_SYS(linkat)},
    {SANDBOX_FILES, SCMP_SYS(mkdirat)},
    {SANDBOX_FILES, SCMP_SYS(getdents64)},
    {SANDBOX_FILES, SCMP_SYS(fstat)},
    {SANDBOX_FILES, SCMP_SYS(newfstatat)},
    {SANDBOX_FILES, SCMP_SYS(statx)},
    {SANDBOX_FILES, SCMP_SYS(fstatfs)},
    {SANDBOX_FILES, SCMP_SYS(pread64)},
    {SANDBOX_FILES, SCMP_SYS(pwrite64)},
    {SANDBOX_FILES, SCMP_SYS(preadv)},
    {SANDBOX_FILES, SCMP_SYS(pwritev)},
    {SANDBOX_FILES, SCMP_SYS(fsync)},
    {SANDBOX_FILES, SCMP_SYS(fdatasync)},
    {SANDBOX_FILES, SCMP_SYS(sync_file_range)},
    {SANDBOX_FILES, SCMP_SYS(ftruncate)},
    {SANDBOX_FILES, SCMP_SYS(fallocate)},
    {SANDBOX_FILES, SCMP_SYS(fadvise64)},
    {SANDBOX_FILES, SCMP_SYS(flock)},
    /* The spawner, and what its children do before they are sealed as
       helpers. */
    {SANDBOX_SPAWN, SCMP_SYS(clone)},
    {SANDBOX_SPAWN, SCMP_SYS(clone3)},
    {SANDBOX_SPAWN, SCMP_SYS(wait4)},
    {SANDBOX_SPAWN, SCMP_SYS(close_range)},
    {SANDBOX_SPAWN, SCMP_SYS(dup3)},
    {SANDBOX_SPAWN, SCMP_SYS(setgroups)},
    {SANDBOX_SPAWN, SCMP_SYS(setresuid)},
    {SANDBOX_SPAWN, SCMP_SYS(setresgid)},
    {SANDBOX_SPAWN, SCMP_SYS(setuid)},
    {SANDBOX_SPAWN, SCMP_SYS(getresuid)},
    {SANDBOX_SPAWN, SCMP_SYS(capget)},
    {SANDBOX_SPAWN, SCMP_SYS(capset)},
    {SANDBOX_SPAWN, SCMP_SYS(prctl)},
    {SANDBOX_SPAWN, SCMP_SYS(prlimit64)},
    {SANDBOX_SPAWN, SCMP_SYS(seccomp)},
    {SANDBOX_SPAWN, SCMP_SYS(landlock_create_ruleset)},
    {SANDBOX_SPAWN, SCMP_SYS(landlock_add_rule)},
    {SANDBOX_SPAWN, SCMP_SYS(landlock_restrict_self)},
    {SANDBOX_WATCH, SCMP_SYS(wait4)},
};

/* What no program of an alias has to do. */
static const int sandbox_fenced[] = {
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(syslog),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(io_uring_setup),
};

/* What fcntl() is needed for. */
static const int sandbox_fcntls[] = {
    F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};

/* Memory, but never memory that can be executed. */
static int
sandbox_allow_memory(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (error == 0)
		error =
		    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect),
			1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return error;
}

/* A process may signal itself only.  A spawner's children have other numbers;
   they may not abort, and are killed instead. */
static int
sandbox_allow_abort(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int
sandbox_allow_fcntl(scmp_filter_ctx filter)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < sizeof(sandbox_fcntls) /
						 sizeof(sandbox_fcntls[0]);
	     i++)
		error =
		    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)sandbox_fcntls[i]));
	return error;
}

/* A child, and its process group. */
static int
sandbox_allow_kill(scmp_filter_ctx filter, pid_t child)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
	    SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)child));

	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill),
		    1, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)-child));
	return error;
}

/* Locks that are not waited for. */
static int
sandbox_allow_lock(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
	    SCMP_A1(SCMP_CMP_EQ, F_SETLK));
}

static int
sandbox_allow_socket(scmp_filter_ctx filter, int family)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
}

static int
sandbox_allow(scmp_filter_ctx filter, unsigned groups)
{
	int error = sandbox_allow_memory(filter);

	if (error == 0)
		error = sandbox_allow_abort(filter);
	if (error == 0)
		error = sandbox_allow_fcntl(filter);
	if (error == 0 && (groups & SANDBOX_LOCK) != 0)
		error = sandbox_allow_lock(filter);
	if (error == 0 && (groups & SANDBOX_CONNECT) != 0)
		error = sandbox_allow_socket(filter, AF_INET);
	if (error == 0 && (groups & SANDBOX_CONNECT) != 0)
		error = sandbox_allow_socket(filter, AF_INET6);
	if (error == 0 && (groups & SANDBOX_SPAWN) != 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	for (size_t i = 0;
	     error == 0 && i < sizeof(sandbox_calls) / sizeof(sandbox_calls[0]);
	     i++)
		if ((sandbox_calls[i].group & groups) != 0)
			error = seccomp_rule_add(
			    filter, SCMP_ACT_ALLOW, sandbox_calls[i].call, 0);
	return error;
}

/* Sets a limit that nothing raises again. */
static int
sandbox_limit(int resource, rlim_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

int
sandbox_lock(enum role_kind kind, int directory_fd)
{
	return sandbox_lock_in(kind, &directory_fd, directory_fd >= 0);
}

int
sandbox_lock_in(
    enum role_kind kind, const int *directory_fds, size_t directory_count)
{
	struct landlock_rights rights = {
	    .is_connecting = sandbox_rights[kind].is_connecting,
	    .directory_fds = directory_fds,
	    .directory_count = directory_count};
	int error;

	if (!sandbox_is_walled())
		return 0;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	error = sandbox_limit(RLIMIT_CORE, 0);
	if (error == 0)
		error = landlock_enter(&rights);
	return error;
}

static int
sandbox_seal_with(enum role_kind kind, pid_t child)
{
	scmp_filter_ctx filter;
	int error = 0;

	if (!sandbox_is_walled())
		return 0;
	if (!sandbox_rights[kind].may_fork)
		error = sandbox_limit(RLIMIT_NPROC, 0);
	if (error < 0)
		return error;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (filter == NULL)
		return -ENOMEM;
	/* All threads get it, or none. */
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = sandbox_allow(filter, sandbox_rights[kind].groups);
	if (error == 0 && child > 0)
		error = sandbox_allow_kill(filter, child);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int
sandbox_seal(enum role_kind kind)
{
	return sandbox_seal_with(kind, 0);
}

int
sandbox_seal_watcher(pid_t child)
{
	return sandbox_seal_with(ROLE_WATCHER, child);
}

/* No new namespaces by clone(), and no clone3(), whose flags cannot be seen:
   the C library does without. */
static int
sandbox_fence_clone(scmp_filter_ctx filter)
{
	static const scmp_datum_t flags[] = {CLONE_NEWUSER, CLONE_NEWNS,
	    CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS,
	    CLONE_NEWCGROUP};
	int error = seccomp_rule_add(
	    filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; error == 0 && i < sizeof(flags) / sizeof(flags[0]);
	     i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
	return error;
}

int
sandbox_fence(void)
{
	scmp_filter_ctx filter;
	int error;

	if (!sandbox_is_walled())
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		return -ENOMEM;
	error = seccomp_attr_set(
	    filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = sandbox_fence_clone(filter);
	for (size_t i = 0; error == 0 && i < sizeof(sandbox_fenced) /
						 sizeof(sandbox_fenced[0]);
	     i++)
		error = seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(EPERM), sandbox_fenced[i], 0);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

bool
sandbox_is_walled(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	return true;
#endif
}
