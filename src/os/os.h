/*
 * The only way to files, sync, clock and random.  A real one works under one
 * directory descriptor; a simulated one keeps what was not synced apart and can
 * lose it.  Everything above takes a struct os and never calls the kernel.
 *
 * Names are relative to the directory, without "..": a file name, behind one
 * directory or two ("tmp/x", "q1/qf/x").  Functions return 0 or -errno.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os;
struct os_file;
struct remover; /* os/remover.h */

enum {
	OS_READ = 1,
	OS_WRITE = 2,
	OS_CREATE = 4,    /* make it if it is not there, mode 0600 */
	OS_EXCLUSIVE = 8, /* with OS_CREATE: -EEXIST if it is there */
	OS_FOLLOW = 16,   /* a link at the end of the name is followed */
	OS_SHARED = 32,   /* with OS_CREATE: mode 0640, its group may read it */
};

/* What is known of a file or a directory. */
struct os_status {
	bool is_file; /* a regular one */
	bool is_directory;
	uint32_t mode; /* the permissions */
	uint32_t uid;  /* of the owner */
	uint32_t gid;
	uint64_t link_count;
	uint64_t device, inode; /* together the same for the same file only */
	uint64_t size;
	uint64_t mtime_ns; /* since 1970, when its bytes last changed */
};

/* Called for each name in a directory ("." and ".." left out). */
typedef void os_name_fn(void *arg, const char *name);

struct os_ops {
	int (*open)(struct os *os, const char *name, int flags,
	    struct os_file **file_out);
	/* Closes FILE and frees it, whatever is returned. */
	int (*close)(struct os *os, struct os_file *file);
	/* Reads up to SIZE bytes at OFFSET: the count, 0 at the end. */
	int64_t (*pread)(struct os *os, struct os_file *file, void *data,
	    size_t size, uint64_t offset);
	/* Writes all SIZE bytes at OFFSET: 0 or -errno (some may be written).
	 */
	int (*pwrite)(struct os *os, struct os_file *file, const void *data,
	    size_t size, uint64_t offset);
	int (*datasync)(struct os *os, struct os_file *file);
	int (*sync)(struct os *os, struct os_file *file);
	/* Makes the names made, moved and removed in DIRECTORY ("" = the root)
	   durable. */
	int (*sync_directory)(struct os *os, const char *directory);
	int (*truncate)(struct os *os, struct os_file *file, uint64_t size);
	/* Reserves room for SIZE bytes; the file is that long afterwards. */
	int (*allocate)(struct os *os, struct os_file *file, uint64_t size);
	int (*size)(struct os *os, struct os_file *file, uint64_t *size_out);
	/* As it is now, or was when it was opened if nothing was done with
	   FILE since. */
	int (*file_status)(
	    struct os *os, struct os_file *file, struct os_status *status_out);
	/* Of what NAME leads to ("" = the root), links followed. */
	int (*status)(
	    struct os *os, const char *name, struct os_status *status_out);
	int (*rename)(struct os *os, const char *from, const char *to);
	int (*unlink)(struct os *os, const char *name);
	int (*make_directory)(struct os *os, const char *name);
	int (*list)(
	    struct os *os, const char *directory, os_name_fn *fn, void *arg);
	/* Only those that are directories, or of which that is not known. */
	int (*list_directories)(
	    struct os *os, const char *directory, os_name_fn *fn, void *arg);
	/* Takes the exclusive lock of FILE: 0, or -EWOULDBLOCK if another
	   process holds it.  Closing gives it back. */
	int (*lock)(struct os *os, struct os_file *file);
	/* Bytes free for us on the file system. */
	int (*room)(struct os *os, uint64_t *bytes_out);
	uint64_t (*mono_ms)(struct os *os);
	/* Milliseconds since 1970. */
	uint64_t (*wall_ms)(struct os *os);
	void (*random)(struct os *os, void *data, size_t size);
	/* Frees the os itself; all files are closed by then. */
	void (*free)(struct os *os);
};

struct os {
	const struct os_ops *ops;
	/* Who removes files for whoever has the os; the one who set it keeps
	   it longer.  NULL = nobody else. */
	struct remover *remover;
};

/* The real one under directory descriptor FD, which it takes over. */
struct os *os_real_new(int directory_fd);

static inline int
os_open(struct os *os, const char *name, int flags, struct os_file **file_out)
{
	return os->ops->open(os, name, flags, file_out);
}

static inline int
os_close(struct os *os, struct os_file *file)
{
	return os->ops->close(os, file);
}

static inline int64_t
os_pread(struct os *os, struct os_file *file, void *data, size_t size,
    uint64_t offset)
{
	return os->ops->pread(os, file, data, size, offset);
}

static inline int
os_pwrite(
    struct os *os, struct os_file *file, struct str bytes, uint64_t offset)
{
	return os->ops->pwrite(os, file, bytes.data, bytes.size, offset);
}

static inline int
os_datasync(struct os *os, struct os_file *file)
{
	return os->ops->datasync(os, file);
}

static inline int
os_sync(struct os *os, struct os_file *file)
{
	return os->ops->sync(os, file);
}

static inline int
os_sync_directory(struct os *os, const char *directory)
{
	return os->ops->sync_directory(os, directory);
}

static inline int
os_truncate(struct os *os, struct os_file *file, uint64_t size)
{
	return os->ops->truncate(os, file, size);
}

static inline int
os_allocate(struct os *os, struct os_file *file, uint64_t size)
{
	return os->ops->allocate(os, file, size);
}

static inline int
os_size(struct os *os, struct os_file *file, uint64_t *size_out)
{
	return os->ops->size(os, file, size_out);
}

static inline int
os_file_status(
    struct os *os, struct os_file *file, struct os_status *status_out)
{
	return os->ops->file_status(os, file, status_out);
}

static inline int
os_status(struct os *os, const char *name, struct os_status *status_out)
{
	return os->ops->status(os, name, status_out);
}

static inline int
os_rename(struct os *os, const char *from, const char *to)
{
	return os->ops->rename(os, from, to);
}

static inline int
os_unlink(struct os *os, const char *name)
{
	return os->ops->unlink(os, name);
}

static inline int
os_make_directory(struct os *os, const char *name)
{
	return os->ops->make_directory(os, name);
}

static inline int
os_list(struct os *os, const char *directory, os_name_fn *fn, void *arg)
{
	return os->ops->list(os, directory, fn, arg);
}

static inline int
os_list_directories(
    struct os *os, const char *directory, os_name_fn *fn, void *arg)
{
	return os->ops->list_directories(os, directory, fn, arg);
}

static inline int
os_lock(struct os *os, struct os_file *file)
{
	return os->ops->lock(os, file);
}

static inline int
os_room(struct os *os, uint64_t *bytes_out)
{
	return os->ops->room(os, bytes_out);
}

static inline uint64_t
os_mono_ms(struct os *os)
{
	return os->ops->mono_ms(os);
}

static inline uint64_t
os_wall_ms(struct os *os)
{
	return os->ops->wall_ms(os);
}

static inline void
os_random(struct os *os, void *data, size_t size)
{
	os->ops->random(os, data, size);
}

static inline void
os_free(struct os *os)
{
	os->ops->free(os);
}

#endif
