/*
 * Rights given up.  Each function that says 0 has looked afterwards whether
 * the kernel agrees.  Nothing is logged: the caller knows what it means.
 */
#include "net/privilege.h"
#include "base/num.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRIVILEGE_BIT(capability) (UINT64_C(1) << (capability))

static const uint64_t privilege_master =
    PRIVILEGE_BIT(CAP_SETUID) | PRIVILEGE_BIT(CAP_SETGID) |
    PRIVILEGE_BIT(CAP_KILL) | PRIVILEGE_BIT(CAP_NET_BIND_SERVICE);
static const uint64_t privilege_spawner =
    PRIVILEGE_BIT(CAP_SETUID) | PRIVILEGE_BIT(CAP_SETGID);
static const uint64_t privilege_files = PRIVILEGE_BIT(CAP_DAC_OVERRIDE);

/* By kind; the number is the user's and the group's where no user is made. */
static const struct {
	const char *name;
	uid_t number;
} privilege_roles[ROLE_KINDS] = {
    [ROLE_MASTER] = {"master", 0},
    [ROLE_SPAWNER] = {"spawner", 0},
    [ROLE_RECEIVE] = {"receive", 64101},
    [ROLE_QUEUE] = {"queue", 64102},
    [ROLE_DELIVER] = {"deliver", 64103},
    [ROLE_CONTROL] = {"control", 64104},
    [ROLE_HELPER] = {"helper", 0},
    [ROLE_PICKUP] = {"pickup", 64105},
    [ROLE_ALIAS] = {"alias", 64106},
    [ROLE_RUNNER] = {"runner", 0},
    [ROLE_WATCHER] = {"watcher", 0},
};

const char *
privilege_role_name(enum role_kind kind)
{
	return privilege_roles[kind].name;
}

int
privilege_user_of(
    enum role_kind kind, struct str configured, struct privilege_user *user_out)
{
	char name[64];
	const struct passwd *entry;
	uint64_t number;
	int size;

	if (configured.size > 0)
		size =
		    snprintf(name, sizeof(name), "%.*s", STR_ARG(configured));
	else
		size = snprintf(
		    name, sizeof(name), "sendq-%s", privilege_roles[kind].name);
	if (size < 0 || (size_t)size >= sizeof(name))
		return -ENOENT;
	if (num_parse(configured, INT32_MAX, &number) == 0) {
		user_out->uid = (uid_t)number;
		user_out->gid = (gid_t)number;
		return number != 0 ? 0 : -ENOENT;
	}
	entry = getpwnam(name);
	if (entry != NULL && entry->pw_uid != 0) {
		user_out->uid = entry->pw_uid;
		user_out->gid = entry->pw_gid;
		return 0;
	}
	if (configured.size > 0)
		return -ENOENT;
	user_out->uid = privilege_roles[kind].number;
	user_out->gid = privilege_roles[kind].number;
	return 0;
}

/* Permitted and effective become EXACTLY these; inheritable none. */
static int
privilege_set(uint64_t exactly)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++)
		data[i].permitted = data[i].effective =
		    (uint32_t)(exactly >> (32 * i));
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int
privilege_permitted(uint64_t *permitted_out)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	*permitted_out = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

/* Drops all but KEPT from the bounding set; without CAP_SETPCAP it stays. */
static int
privilege_bound(uint64_t kept)
{
	for (int capability = 0; capability < 64; capability++) {
		int result = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);

		/* The kernel knows no further ones. */
		if (result < 0)
			return 0;
		if (result == 0 || (kept & PRIVILEGE_BIT(capability)) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

int
privilege_become(const struct privilege_user *user)
{
	uid_t real, effective, saved;

	if (user->uid == 0)
		return -EPERM;
	if (setgroups(0, NULL) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	if (real != user->uid || effective != user->uid || saved != user->uid)
		return -EPERM;
	/* There must be no way back. */
	if (setuid(0) == 0)
		return -EPERM;
	return 0;
}

/* Root becomes USER; what is permitted stays so if IS_PERMITTED. */
static int
privilege_leave_root(const struct privilege_user *user, bool is_permitted)
{
	int error = privilege_bound(0);

	/* Effective is nothing of it once the user is another. */
	if (error == 0 && prctl(PR_SET_KEEPCAPS, is_permitted, 0, 0, 0) < 0)
		error = -errno;
	if (error == 0 && user->uid != 0)
		return privilege_become(user);
	if (error == 0 && (setgroups(0, NULL) < 0 ||
			      setresgid(user->gid, user->gid, user->gid) < 0))
		error = -errno;
	return error;
}

/* Becomes USER with KEPT, as far as it is there, and nothing else. */
static int
privilege_drop_but(const struct privilege_user *user, uint64_t kept)
{
	uint64_t left = 0;
	int error = 0;

	if (geteuid() == 0)
		error = privilege_leave_root(user, kept != 0);
	else
		kept = 0;
	if (error == 0)
		error = privilege_permitted(&left);
	if (error < 0)
		return error;
	kept &= left;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	error = privilege_set(kept);
	if (error == 0)
		error = privilege_permitted(&left);
	if (error < 0)
		return error;
	if (left != kept)
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int
privilege_drop(const struct privilege_user *user)
{
	return privilege_drop_but(user, 0);
}

int
privilege_drop_but_files(const struct privilege_user *user)
{
	return privilege_drop_but(user, privilege_files);
}

int
privilege_use_files(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective =
		    data[i].permitted & (uint32_t)(privilege_files >> (32 * i));
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int
privilege_keep_master(bool is_files)
{
	uint64_t permitted = 0;
	int error;

	if (geteuid() != 0)
		return 0;
	error = privilege_permitted(&permitted);
	if (error == 0)
		error = privilege_bound(privilege_master |
					PRIVILEGE_BIT(CAP_SETPCAP) |
					(is_files ? privilege_files : 0));
	/* In a container some of them may be missing already. */
	if (error == 0)
		error = privilege_set(permitted & privilege_master);
	return error;
}

int
privilege_keep_spawner(void)
{
	uint64_t permitted = 0;
	int error = 0;

	if (geteuid() == 0) {
		error = privilege_permitted(&permitted);
		if (error == 0)
			error = privilege_set(permitted & privilege_spawner);
	}
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	return error;
}
