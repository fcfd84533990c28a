/*
 * Where the files of a queue in sendmail's format are: what QueueDirectory
 * means as a list of directories.
 *
 *   DIR     holds the files itself, or some of them in DIR/qf, DIR/df, DIR/xf
 *   DIR/q*  every directory DIR/q... is such a directory; if there is none, DIR
 *
 * As our store does (store/mqueue/mqueue.h), DIR also means the directories in
 * it, if it holds no control file itself and they do.  A queue group is the
 * directories below the base that have its name, with digits behind it or not;
 * the group "mqueue" is what QueueDirectory names.
 */
#ifndef CMD_MQUEUE_DIRS_H
#define CMD_MQUEUE_DIRS_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define MQUEUE_DIRS_MAX  256 /* directories of one queue */
#define MQUEUE_PATH_MAX  4096
#define MQUEUE_GROUP_ALL STR("mqueue")

struct mqueue_dir {
	char *title;   /* as listings name it: with /df where there is one */
	char *path;    /* the directory itself */
	char *qf_path; /* where its control files are */
	char *df_path; /* where its data files are */
	char *df_name; /* the same from the base: "./", "q2/df/" */
};

struct mqueue_dirs {
	char *base;              /* DIR */
	struct mqueue_dir *list; /* in order of their names */
	size_t count;
};

/* True if the directory PATH is one of our own spools. */
bool mqueue_dirs_is_spool(const char *path);

/* True if the directory NAME belongs to the queue group. */
bool mqueue_dirs_is_of_group(struct str group, const char *name);

/* Finds the directories of QUEUE_DIRECTORY that belong to GROUP (empty = no
   limit).  0, also if there is none; or -errno, with the base in DIRS, if the
   base cannot be read.  Free with mqueue_dirs_fini() in any case. */
int mqueue_dirs_find(struct mqueue_dirs *dirs, struct str queue_directory,
    struct str group) __attribute__((warn_unused_result));
void mqueue_dirs_fini(struct mqueue_dirs *dirs);

#endif
