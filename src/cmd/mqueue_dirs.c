/* The directories of a queue; nothing is opened for longer than a look. */
#include "cmd/mqueue_dirs.h"
#include "base/check.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const part_names[] = {"qf", "df", "xf"};

/* A, B and C in one; never NULL. */
static char *
text_join(const char *a, const char *b, const char *c)
{
	char *text = NULL;

	if (asprintf(&text, "%s%s%s", a, b, c) < 0)
		abort();
	return text;
}

static bool
is_directory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool
mqueue_dirs_is_spool(const char *path)
{
	char *lock = text_join(path, "/", "lock");
	char *log = text_join(path, "/", "log");
	bool is_spool = access(lock, F_OK) == 0 && is_directory(log);

	free(lock);
	free(log);
	return is_spool;
}

bool
mqueue_dirs_is_of_group(struct str group, const char *name)
{
	struct str rest = str_from(name);

	if (!str_starts(rest, group))
		return false;
	rest = str_skip(rest, group.size);
	while (rest.size > 0 && ascii_is_digit(rest.data[0]))
		rest = str_skip(rest, 1);
	return rest.size == 0;
}

/* Adds the directory NAME below the base; "" is the base itself. */
static void
dirs_add(struct mqueue_dirs *dirs, const char *name)
{
	const char *slash = name[0] != '\0' ? "/" : "";
	char *path = text_join(dirs->base, slash, name);
	char *qf = text_join(path, "/", "qf"), *df = text_join(path, "/", "df");
	bool has_df = is_directory(df);
	struct mqueue_dir *dir;

	CHECK(dirs->count < MQUEUE_DIRS_MAX);
	dirs->list =
	    mem_resize(dirs->list, dirs->count + 1, sizeof(*dirs->list));
	dir = &dirs->list[dirs->count++];
	dir->path = path;
	dir->title = text_join(path, has_df ? "/df" : "", "");
	dir->qf_path = text_join(path, is_directory(qf) ? "/qf" : "", "");
	dir->df_path = text_join(dir->title, "", "");
	dir->df_name =
	    text_join(name[0] != '\0' ? name : ".", "/", has_df ? "df/" : "");
	free(qf);
	free(df);
}

/* True if the entry NAME of PATH is a control file. */
static bool
is_control_file(const char *path, const char *name)
{
	char *full;
	bool is_file;

	if ((name[0] != 'q' && name[0] != 'h' && name[0] != 'Q') ||
	    name[1] != 'f' || name[2] == '\0')
		return false;
	full = text_join(path, "/", name);
	is_file = !is_directory(full);
	free(full);
	return is_file;
}

/* True if PATH holds control files, in itself or in qf/. */
static bool
is_queue(const char *path)
{
	char *qf = text_join(path, "/", "qf");
	bool is_one = is_directory(qf);
	const struct dirent *entry;
	DIR *stream = is_one ? NULL : opendir(path);

	free(qf);
	if (stream == NULL)
		return is_one;
	while (!is_one && (entry = readdir(stream)) != NULL)
		is_one = is_control_file(path, entry->d_name);
	closedir(stream);
	return is_one;
}

static bool
is_part(const char *name)
{
	for (size_t i = 0; i < sizeof(part_names) / sizeof(part_names[0]); i++)
		if (strcmp(name, part_names[i]) == 0)
			return true;
	return false;
}

static int
compare_names(const void *a, const void *b)
{
	char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* What is looked for below the base. */
struct below {
	struct str prefix;
	struct str group;
	bool is_queue; /* only what holds control files */
};

static bool
below_has(
    const struct mqueue_dirs *dirs, const struct below *below, const char *name)
{
	char *path;
	bool is_one;

	if (name[0] == '.' || is_part(name) ||
	    !str_starts(str_from(name), below->prefix) ||
	    (below->group.size > 0 &&
		!mqueue_dirs_is_of_group(below->group, name)))
		return false;
	path = text_join(dirs->base, "/", name);
	is_one = is_directory(path) && (!below->is_queue || is_queue(path));
	free(path);
	return is_one;
}

/* Adds the directories below the base, in order of their names: 0, -errno. */
static int
dirs_add_below(struct mqueue_dirs *dirs, const struct below *below)
{
	char *names[MQUEUE_DIRS_MAX];
	const struct dirent *entry;
	DIR *stream = opendir(dirs->base);
	size_t count = 0;

	if (stream == NULL)
		return -errno;
	while (count < MQUEUE_DIRS_MAX && (entry = readdir(stream)) != NULL)
		if (below_has(dirs, below, entry->d_name))
			names[count++] =
			    mem_copy_text(entry->d_name, strlen(entry->d_name));
	closedir(stream);
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < count; i++) {
		dirs_add(dirs, names[i]);
		free(names[i]);
	}
	return 0;
}

/* The base can be entered and read: 0 or -errno. */
static int
base_check(const char *base)
{
	DIR *stream = opendir(base);

	if (stream == NULL)
		return -errno;
	closedir(stream);
	return faccessat(AT_FDCWD, base, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int
mqueue_dirs_find(
    struct mqueue_dirs *dirs, struct str queue_directory, struct str group)
{
	struct str base = str_head(queue_directory, MQUEUE_PATH_MAX);
	struct below below = {.is_queue = true};
	bool has_star = base.size > 0 && base.data[base.size - 1] == '*';
	int error;

	*dirs = (struct mqueue_dirs){.base = NULL};
	if (str_equal(group, MQUEUE_GROUP_ALL))
		group = STR("");
	while (has_star && base.size > 0 && base.data[base.size - 1] != '/')
		base.size--;
	if (has_star) {
		below.prefix = str_skip(queue_directory, base.size);
		below.prefix.size--;
		below.is_queue = false;
	}
	while (base.size > 1 && base.data[base.size - 1] == '/')
		base.size--;
	dirs->base = mem_copy_text(
	    base.size > 0 ? base.data : ".", base.size > 0 ? base.size : 1);
	error = base_check(dirs->base);
	if (error < 0)
		return error;
	if (group.size > 0) {
		below = (struct below){.group = group};
		return dirs_add_below(dirs, &below);
	}
	if (!has_star && is_queue(dirs->base)) {
		dirs_add(dirs, "");
		return 0;
	}
	error = dirs_add_below(dirs, &below);
	if (error == 0 && dirs->count == 0)
		dirs_add(dirs, "");
	return error;
}

void
mqueue_dirs_fini(struct mqueue_dirs *dirs)
{
	for (size_t i = 0; i < dirs->count; i++) {
		free(dirs->list[i].title);
		free(dirs->list[i].path);
		free(dirs->list[i].qf_path);
		free(dirs->list[i].df_path);
		free(dirs->list[i].df_name);
	}
	free(dirs->list);
	free(dirs->base);
	*dirs = (struct mqueue_dirs){.base = NULL};
}
