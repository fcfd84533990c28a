/*
 * The real os: system calls under one directory descriptor.
 *
 * Promises: names never lead out of the directory and a link at their end is
 * followed only with OS_FOLLOW; only regular files are opened; reads and writes
 * are whole, interrupted calls are taken up again.  A failed sync is returned
 * as it is and never tried again.  Nothing here is logged: the caller knows
 * what it means.
 */
#include "os/os.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/machine.h"
#include "os/os_name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OS_REAL_DIRECTORIES 8

/* A directory that stays open once it was made or synced, so that no sync
   fails for want of a descriptor. */
struct os_real_directory {
	char *name;
	int fd;
};

struct os_real {
	struct os os; /* first, so that a struct os * is one of these */
	int directory_fd;
	struct os_real_directory directories[OS_REAL_DIRECTORIES];
	size_t directory_count;
};

struct os_file {
	int fd;
	bool is_fresh; /* nothing was done with it */
	struct stat opened;
};

static struct os_real *
os_real_of(struct os *os)
{
	return (struct os_real *)(void *)os;
}

/* 0, or -errno of the system call that returned RESULT. */
static int
os_real_result(int result)
{
	return result < 0 ? -errno : 0;
}

/* Sizes and offsets that the kernel takes are signed. */
static bool
os_real_is_offset(uint64_t offset, uint64_t size)
{
	return num_add_capped(offset, size) <= INT64_MAX;
}

static int
os_real_openat(struct os_real *real, const char *name, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(real->directory_fd, name,
		    flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int
os_real_open(
    struct os *os, const char *name, int flags, struct os_file **file_out)
{
	/* A pipe in the place of a file must not stop us at open. */
	int mode = O_NONBLOCK, fd;
	struct os_file *file;

	*file_out = NULL;
	if (!os_name_is_valid(name) || !(flags & (OS_READ | OS_WRITE)))
		return -EINVAL;
	if ((flags & OS_READ) && (flags & OS_WRITE))
		mode |= O_RDWR;
	else
		mode |= flags & OS_WRITE ? O_WRONLY : O_RDONLY;
	if (flags & OS_CREATE)
		mode |= O_CREAT;
	if (flags & OS_EXCLUSIVE)
		mode |= O_EXCL;
	if (!(flags & OS_FOLLOW))
		mode |= O_NOFOLLOW;
	fd = os_real_openat(
	    os_real_of(os), name, mode, flags & OS_SHARED ? 0640 : 0600);
	if (fd < 0)
		return fd;
	file = mem_new(1, sizeof(*file));
	file->fd = fd;
	file->is_fresh = true;
	if (fstat(fd, &file->opened) < 0 || !S_ISREG(file->opened.st_mode)) {
		close(fd);
		free(file);
		return -EINVAL;
	}
	*file_out = file;
	return 0;
}

static int
os_real_close(struct os *os, struct os_file *file)
{
	/* After EINTR the descriptor is closed all the same (close(2)). */
	int error = os_real_result(close(file->fd));

	free(file);
	return error == -EINTR ? 0 : error;
}

static int64_t
os_real_pread(struct os *os, struct os_file *file, void *data, size_t size,
    uint64_t offset)
{
	size_t done = 0;

	file->is_fresh = false;
	if (!os_real_is_offset(offset, size))
		return -EINVAL;
	while (done < size) {
		ssize_t n = pread(file->fd, (char *)data + done, size - done,
		    (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

static int
os_real_pwrite(struct os *os, struct os_file *file, const void *data,
    size_t size, uint64_t offset)
{
	size_t done = 0;

	file->is_fresh = false;
	if (!os_real_is_offset(offset, size))
		return -EFBIG;
	while (done < size) {
		ssize_t n = pwrite(file->fd, (const char *)data + done,
		    size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* A write of nothing would go on for ever. */
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int
os_real_datasync(struct os *os, struct os_file *file)
{
	return os_real_result(fdatasync(file->fd));
}

static int
os_real_sync(struct os *os, struct os_file *file)
{
	return os_real_result(fsync(file->fd));
}

/* A descriptor for DIRECTORY that the caller closes, or -errno. */
static int
os_real_open_directory(struct os *os, const char *directory)
{
	if (!os_directory_is_valid(directory))
		return -EINVAL;
	return os_real_openat(os_real_of(os),
	    directory[0] != '\0' ? directory : ".",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

/* The directory's place among those that stay open, or one behind the last. */
static size_t
os_real_find_directory(const struct os_real *real, const char *name)
{
	size_t i = 0;

	while (i < real->directory_count &&
	       strcmp(real->directories[i].name, name) != 0)
		i++;
	return i;
}

/* Its descriptor, or -errno; *IS_KEPT_OUT: it stays open. */
static int
os_real_keep_directory(struct os *os, const char *name, bool *is_kept_out)
{
	struct os_real *real = os_real_of(os);
	size_t at = os_real_find_directory(real, name);
	int fd;

	*is_kept_out = at < OS_REAL_DIRECTORIES;
	if (at < real->directory_count)
		return real->directories[at].fd;
	fd = os_real_open_directory(os, name);
	if (fd >= 0 && *is_kept_out) {
		real->directories[at] = (struct os_real_directory){
		    mem_copy_text(name, strlen(name)), fd};
		real->directory_count++;
	}
	return fd;
}

static int
os_real_sync_directory(struct os *os, const char *directory)
{
	bool is_kept;
	int fd = os_real_keep_directory(os, directory, &is_kept), error;

	if (fd < 0)
		return fd;
	error = os_real_result(fsync(fd));
	if (!is_kept)
		close(fd);
	return error;
}

static int
os_real_truncate(struct os *os, struct os_file *file, uint64_t size)
{
	int result;

	file->is_fresh = false;
	if (!os_real_is_offset(size, 0))
		return -EFBIG;
	do
		result = ftruncate(file->fd, (off_t)size);
	while (result < 0 && errno == EINTR);
	return os_real_result(result);
}

static int
os_real_size(struct os *os, struct os_file *file, uint64_t *size_out)
{
	struct stat status;

	if (fstat(file->fd, &status) < 0)
		return -errno;
	*size_out = (uint64_t)status.st_size;
	return 0;
}

static void
os_real_set_status(const struct stat *from, struct os_status *to)
{
	*to = (struct os_status){
	    .is_file = S_ISREG(from->st_mode),
	    .is_directory = S_ISDIR(from->st_mode),
	    .mode = from->st_mode & 07777,
	    .uid = from->st_uid,
	    .gid = from->st_gid,
	    .link_count = (uint64_t)from->st_nlink,
	    .device = (uint64_t)from->st_dev,
	    .inode = (uint64_t)from->st_ino,
	    .size = (uint64_t)from->st_size,
	    .mtime_ns = (uint64_t)from->st_mtim.tv_sec * 1000000000 +
	                (uint64_t)from->st_mtim.tv_nsec,
	};
}

static int
os_real_file_status(
    struct os *os, struct os_file *file, struct os_status *status_out)
{
	if (!file->is_fresh && fstat(file->fd, &file->opened) < 0)
		return -errno;
	os_real_set_status(&file->opened, status_out);
	return 0;
}

static int
os_real_status(struct os *os, const char *name, struct os_status *status_out)
{
	struct stat status;

	if (name[0] != '\0' && !os_name_is_valid(name))
		return -EINVAL;
	if (fstatat(os_real_of(os)->directory_fd, name, &status,
		name[0] == '\0' ? AT_EMPTY_PATH : 0) < 0)
		return -errno;
	os_real_set_status(&status, status_out);
	return 0;
}

static int
os_real_allocate(struct os *os, struct os_file *file, uint64_t size)
{
	uint64_t now;
	int result;

	file->is_fresh = false;
	if (!os_real_is_offset(size, 0))
		return -EFBIG;
	if (size == 0)
		return 0;
	do
		result = fallocate(file->fd, 0, 0, (off_t)size);
	while (result < 0 && errno == EINTR);
	if (result == 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
		return os_real_result(result);
	/* Without the reservation the writes themselves may find no room. */
	result = os_real_size(os, file, &now);
	if (result < 0 || now >= size)
		return result;
	return os_real_truncate(os, file, size);
}

static int
os_real_rename(struct os *os, const char *from, const char *to)
{
	int fd = os_real_of(os)->directory_fd;

	if (!os_name_is_valid(from) || !os_name_is_valid(to))
		return -EINVAL;
	return os_real_result(renameat(fd, from, fd, to));
}

static int
os_real_unlink(struct os *os, const char *name)
{
	if (!os_name_is_valid(name))
		return -EINVAL;
	return os_real_result(unlinkat(os_real_of(os)->directory_fd, name, 0));
}

static int
os_real_make_directory(struct os *os, const char *name)
{
	bool is_kept;
	int error, fd;

	if (name[0] == '\0' || !os_directory_is_valid(name))
		return -EINVAL;
	error =
	    os_real_result(mkdirat(os_real_of(os)->directory_fd, name, 0700));
	if (error < 0 && error != -EEXIST)
		return error;
	/* What cannot be opened now is tried again when it is synced. */
	fd = os_real_keep_directory(os, name, &is_kept);
	if (fd >= 0 && !is_kept)
		close(fd);
	return error;
}

static int
os_real_walk(struct os *os, const char *directory, bool has_files,
    os_name_fn *fn, void *arg)
{
	int fd = os_real_open_directory(os, directory), error;
	struct dirent *entry;
	DIR *stream;

	if (fd < 0)
		return fd;
	stream = fdopendir(fd);
	if (stream == NULL) {
		error = -errno;
		close(fd);
		return error;
	}
	for (;;) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL)
			break;
		/* Not every file system says it, and a link may lead to one. */
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 &&
		    (has_files || entry->d_type == DT_DIR ||
			entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN))
			fn(arg, entry->d_name);
	}
	error = -errno;
	closedir(stream);
	return error;
}

static int
os_real_list(struct os *os, const char *directory, os_name_fn *fn, void *arg)
{
	return os_real_walk(os, directory, true, fn, arg);
}

static int
os_real_list_directories(
    struct os *os, const char *directory, os_name_fn *fn, void *arg)
{
	return os_real_walk(os, directory, false, fn, arg);
}

static int
os_real_lock(struct os *os, struct os_file *file)
{
	int result;

	file->is_fresh = false;
	do
		result = flock(file->fd, LOCK_EX | LOCK_NB);
	while (result < 0 && errno == EINTR);
	return os_real_result(result);
}

static int
os_real_room(struct os *os, uint64_t *bytes_out)
{
	struct statvfs status;
	int result;

	do
		result = fstatvfs(os_real_of(os)->directory_fd, &status);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return -errno;
	if (__builtin_mul_overflow((uint64_t)status.f_bavail,
		(uint64_t)status.f_frsize, bytes_out))
		*bytes_out = UINT64_MAX;
	return 0;
}

static uint64_t
os_real_mono_ms(struct os *os)
{
	return machine_mono_ms();
}

static uint64_t
os_real_wall_ms(struct os *os)
{
	return machine_wall_ms();
}

static void
os_real_random(struct os *os, void *data, size_t size)
{
	machine_random(data, size);
}

static void
os_real_free(struct os *os)
{
	struct os_real *real = os_real_of(os);

	for (size_t i = 0; i < real->directory_count; i++) {
		close(real->directories[i].fd);
		free(real->directories[i].name);
	}
	close(real->directory_fd);
	free(real);
}

static const struct os_ops os_real_ops = {
    .open = os_real_open,
    .close = os_real_close,
    .pread = os_real_pread,
    .pwrite = os_real_pwrite,
    .datasync = os_real_datasync,
    .sync = os_real_sync,
    .sync_directory = os_real_sync_directory,
    .truncate = os_real_truncate,
    .allocate = os_real_allocate,
    .size = os_real_size,
    .file_status = os_real_file_status,
    .status = os_real_status,
    .rename = os_real_rename,
    .unlink = os_real_unlink,
    .make_directory = os_real_make_directory,
    .list = os_real_list,
    .list_directories = os_real_list_directories,
    .lock = os_real_lock,
    .room = os_real_room,
    .mono_ms = os_real_mono_ms,
    .wall_ms = os_real_wall_ms,
    .random = os_real_random,
    .free = os_real_free,
};

struct os *
os_real_new(int directory_fd)
{
	struct os_real *real = mem_new(1, sizeof(*real));

	CHECK(directory_fd >= 0);
	real->os.ops = &os_real_ops;
	real->directory_fd = directory_fd;
	return &real->os;
}
