/*
 * Landlock.  The headers of the build may be older than the kernel that runs
 * it, so that what came after the first version is spelled out here; each
 * version of the kernel's is asked only for what it knows.
 */
#include "net/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel's struct landlock_ruleset_attr of version 6. */
struct landlock_attributes {
	uint64_t handled_fs;
	uint64_t handled_net; /* from version 4 */
	uint64_t scoped;      /* from version 6 */
};

#define LANDLOCK_FS_V1        ((UINT64_C(1) << 13) - 1)
#define LANDLOCK_FS_REFER     (UINT64_C(1) << 13) /* version 2 */
#define LANDLOCK_FS_TRUNCATE  (UINT64_C(1) << 14) /* version 3 */
#define LANDLOCK_FS_IOCTL     (UINT64_C(1) << 15) /* version 5 */
#define LANDLOCK_NET_BIND     (UINT64_C(1) << 0)  /* version 4 */
#define LANDLOCK_NET_CONNECT  (UINT64_C(1) << 1)  /* version 4 */
#define LANDLOCK_SCOPE_SOCKET (UINT64_C(1) << 0)  /* version 6: abstract */
#define LANDLOCK_SCOPE_SIGNAL (UINT64_C(1) << 1)  /* version 6 */

/* Below the directory: regular files and directories, and what is done with
   them. */
#define LANDLOCK_FS_USED                                                       \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |        \
	    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |      \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_FS_REFER |                  \
	    LANDLOCK_FS_TRUNCATE)

int
landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

static struct landlock_attributes
landlock_attributes_of(int version, bool is_connecting, size_t *size_out)
{
	struct landlock_attributes attributes = {.handled_fs = LANDLOCK_FS_V1};

	*size_out = offsetof(struct landlock_attributes, handled_net);
	if (version >= 2)
		attributes.handled_fs |= LANDLOCK_FS_REFER;
	if (version >= 3)
		attributes.handled_fs |= LANDLOCK_FS_TRUNCATE;
	if (version >= 4) {
		*size_out = offsetof(struct landlock_attributes, scoped);
		attributes.handled_net = LANDLOCK_NET_BIND;
		if (!is_connecting)
			attributes.handled_net |= LANDLOCK_NET_CONNECT;
	}
	if (version >= 5)
		attributes.handled_fs |= LANDLOCK_FS_IOCTL;
	if (version >= 6) {
		*size_out = sizeof(attributes);
		attributes.scoped =
		    LANDLOCK_SCOPE_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	}
	return attributes;
}

static int
landlock_allow_directory(int ruleset_fd, int directory_fd, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = LANDLOCK_FS_USED & handled,
	    .parent_fd = directory_fd,
	};

	return syscall(SYS_landlock_add_rule, ruleset_fd,
		   LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
	           ? -errno
	           : 0;
}

int
landlock_enter(const struct landlock_rights *rights)
{
	struct landlock_attributes attributes;
	int version = landlock_version(), error = 0, fd;
	size_t size;

	if (version <
	    (rights->directory_count == 0 ? 1 : LANDLOCK_VERSION_DIRECTORY))
		return 0;
	attributes =
	    landlock_attributes_of(version, rights->is_connecting, &size);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; error == 0 && i < rights->directory_count; i++)
		error = landlock_allow_directory(
		    fd, rights->directory_fds[i], attributes.handled_fs);
	if (error == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		error = -errno;
	close(fd);
	return error;
}
