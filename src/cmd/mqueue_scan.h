/*
 * Looking through a queue directory in sendmail's format without changing it:
 * a shared lock is held for a moment on each control file, and nothing is made
 * in the directory.
 */
#ifndef CMD_MQUEUE_SCAN_H
#define CMD_MQUEUE_SCAN_H

#include "base/buf.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#define MQUEUE_ITEMS_MAX ((size_t)10000000) /* of one directory */
#define MQUEUE_FILE_MAX  ((size_t)16 << 20) /* of a control file is read */

/* The control files of one directory that are wanted, in its order. */
struct mqueue_scan {
	int fd; /* the directory, for openat() */
	struct mqueue_item *items;
	size_t count;
	size_t capacity;
	size_t total;         /* with those beyond the maximum, by name only */
	size_t strange_count; /* that are no files */
};

/* What mqueue_scan() needs beside the directory. */
struct mqueue_look {
	struct mqueue_want want;
	size_t count_max; /* files that are opened, 0 = all: MaxQueueRunSize */
	FILE *out;        /* gets a line for what is passed over */
	bool is_verbose;  /* a line also for names that are too long */
	struct buf text;  /* of one file; used again and again */
};

/* Scans the directory of control files of DIR: 0, or -errno, and the scan is
   empty, if it cannot be read.  What goes away meanwhile is left out. */
int mqueue_scan(struct mqueue_scan *scan, struct mqueue_look *look,
    const struct mqueue_dir *dir) __attribute__((warn_unused_result));
void mqueue_scan_fini(struct mqueue_scan *scan);

/* True if a control file in the directory FD may be written by others than who
   may write to the directory (store/mqueue/mqueue_directories.c). */
bool mqueue_is_open_to_others(int fd, const struct stat *file);

/* Reads the open file FD whole into TEXT, MQUEUE_FILE_MAX bytes at most: 0 or
   -errno. */
int mqueue_read(int fd, struct buf *text) __attribute__((warn_unused_result));

/* How many messages wait in DIR, that is, qf files: 0 or -errno. */
int mqueue_count(const struct mqueue_dir *dir, size_t *count_out)
    __attribute__((warn_unused_result));

#endif
