/*
 * The end of a spool: one that was moved away and emptied leaves nothing
 * behind.  The lock is held until its own file is gone, so that nobody opens
 * what is being removed.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/spool/spool_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMOVE_NAMES_MAX 10000

struct remove_names {
	char **names;
	size_t count;
};

static void
remove_note(void *arg, const char *name)
{
	struct remove_names *names = arg;

	if (names->count < REMOVE_NAMES_MAX)
		names->names[names->count++] =
		    mem_copy_text(name, strlen(name));
}

/* True if the file NAME of the directory itself is the spool's. */
static bool
remove_is_ours(const char *name)
{
	return strncmp(name, "queue.db", strlen("queue.db")) == 0;
}

/* Removes the files in DIRECTORY ("" = the root: ours only). */
static int
remove_files(struct os *os, const char *directory)
{
	struct remove_names names = {
	    .names = mem_new(REMOVE_NAMES_MAX, sizeof(names.names[0]))};
	bool is_root = directory[0] == '\0';
	int error = os_list(os, directory, remove_note, &names);

	if (error == -ENOENT)
		error = 0;
	for (size_t i = 0; i < names.count; i++) {
		char path[300];
		int size = snprintf(path, sizeof(path), "%s%s%s", directory,
		    is_root ? "" : "/", names.names[i]);

		if (error == 0 && (!is_root || remove_is_ours(names.names[i])))
			error = size < (int)sizeof(path) ? os_unlink(os, path)
			                                 : -ENAMETOOLONG;
		free(names.names[i]);
	}
	free(names.names);
	return error;
}

int
store_spool_remove(struct store *store)
{
	struct spool *spool = (struct spool *)store;
	struct os *os = spool->os;
	struct os_file *lock = spool->lock;
	struct store_info info;
	int error;

	store->ops->info(store, &info);
	if (info.totals.messages > 0) {
		store->ops->close(store);
		return -ENOTEMPTY;
	}
	spool->lock = NULL;
	store->ops->close(store);
	/* The index first: without it the log is still the truth. */
	error = remove_files(os, "");
	if (error == 0)
		error = remove_files(os, "big");
	if (error == 0)
		error = remove_files(os, "log");
	if (error == 0)
		error = os_unlink(os, "lock");
	(void)os_close(os, lock);
	return error;
}
