/*
 * Looking for what is damaged before a run.  Each control file is read as the
 * store reads it; one that somebody holds locked is passed over, for he may be
 * writing it.  The lines and their status are those of sendmail's readqf();
 * "Running" counts the damaged ones among themselves.
 */
#include "cmd/run_damage.h"
#include "base/mem.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_list.h"
#include "cmd/mqueue_scan.h"
#include "store/mqueue/qf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define DAMAGE_LINE_MAX (QF_PROBLEM_MAX * 4 + MQUEUE_PATH_MAX)

/* One that is damaged, and what is said of it; a writable one has no line. */
struct damage {
	char name[MQUEUE_NAME_MAX + 1];
	int status;
	char line[DAMAGE_LINE_MAX];
};

/* Those of one directory. */
struct damages {
	const struct mqueue_dirs *dirs;
	const struct mqueue_dir *dir;
	struct buf *text; /* of one file */
	struct damage *list;
	size_t count, capacity;
};

/* TEXT as it can be shown: what is not printable as \ooo. */
static void
damage_escape(char *to, size_t size, struct str text)
{
	size_t length = 0;

	for (size_t i = 0; i < text.size && length + 5 < size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '\\')
			to[length++] = '\\';
		if (c >= ' ' && c < 0x7f)
			to[length++] = (char)c;
		else
			length += (size_t)snprintf(
			    to + length, size - length, "\\%03o", c);
	}
	to[length] = '\0';
}

/* What is wrong with the text of the file; not for QF_FINE and QF_EMPTY. */
static void
damage_describe(
    struct damage *damage, const char *name, const struct qf_problem *problem)
{
	char text[QF_PROBLEM_MAX * 4 + 8], *line = damage->line;
	const size_t size = sizeof(damage->line);

	damage_escape(text, sizeof(text), problem->text);
	switch (problem->kind) {
	case QF_FINE:
	case QF_EMPTY:
		break;
	case QF_INCOMPLETE:
		snprintf(line, size, "readqf: ./%s: incomplete queue file read",
		    name);
		break;
	case QF_BAD_VERSION:
		snprintf(line, size,
		    "Version number in queue file (%s) greater than max (%d)",
		    text + (text[0] == 'V'), QF_VERSION);
		break;
	case QF_SPOOFED:
		snprintf(line, size, "SECURITY ALERT: bogus qf line %s", text);
		break;
	case QF_BAD_BODY:
	case QF_BAD_AUTH:
	case QF_EXTRA:
		snprintf(line, size,
		    "SECURITY ALERT: extra or bogus data in queue file: %s",
		    text);
		break;
	case QF_BAD_LINE:
	case QF_BAD_RECIPIENT:
		snprintf(line, size, "readqf: ./%s: line %zu: bad line \"%s\"",
		    name, problem->line, text);
		break;
	case QF_NO_SENDER:
	case QF_NO_RECIPIENT:
	case QF_TOO_LARGE:
		snprintf(line, size, "readqf: ./%s: %s", name,
		    qf_problem_name(problem->kind));
		break;
	}
	damage->status = EX_SOFTWARE;
}

/* 0 if there is a data file with this path, else -errno. */
static int
damage_data_at(const char *directory, const char *part, struct str name)
{
	char path[MQUEUE_PATH_MAX * 2];
	struct stat status;
	int size = snprintf(
	    path, sizeof(path), "%s%s/%.*s", directory, part, STR_ARG(name));

	if (size < 0 || (size_t)size >= sizeof(path))
		return -ENAMETOOLONG;
	if (stat(path, &status) < 0)
		return -errno;
	return S_ISREG(status.st_mode) ? 0 : -EISDIR;
}

/* The data file may be where the control file says: in another directory (d),
   or under another name (D). */
static int
damage_data(const struct damages *damages, const struct qf *q, struct str data)
{
	char base[MQUEUE_PATH_MAX];
	int error = damage_data_at(damages->dir->df_path, "", data), size;

	if (error == 0)
		return 0;
	if (q->data_file.size > 0 && !q->has_version &&
	    damage_data_at(damages->dir->df_path, "", q->data_file) == 0)
		return 0;
	if (q->data_directory.size == 0)
		return error;
	size = snprintf(base, sizeof(base), "%s/%.*s", damages->dirs->base,
	    STR_ARG(q->data_directory));
	if (size < 0 || (size_t)size >= sizeof(base))
		return error;
	if (damage_data_at(base, "/df", data) == 0 ||
	    damage_data_at(base, "", data) == 0)
		return 0;
	return error;
}

/* True if the file with this text is damaged: then DAMAGE says how. */
static bool
damage_judge(struct damages *damages, const struct stat *status,
    const char *name, struct damage *damage)
{
	char data[MQUEUE_NAME_MAX + 1] = "df";
	struct qf_problem problem;
	struct arena arena;
	struct qf q;
	int error;

	memcpy(damage->name, name, strlen(name) + 1);
	memcpy(data + 2, name + 2, strlen(name + 2) + 1);
	damage->status = EX_OK;
	damage->line[0] = '\0';
	arena_init(&arena, QF_ARENA_SIZE(buf_size(damages->text)));
	error = qf_read(buf_str(damages->text), &arena, &q, &problem);
	if (error == -EBADMSG && problem.kind != QF_EMPTY)
		damage_describe(damage, name, &problem);
	if (error == 0) {
		error = damage_data(damages, &q, str_from(data));
		if (error < 0) {
			snprintf(damage->line, sizeof(damage->line),
			    "readqf: cannot open %s%s: %s",
			    damages->dir->df_name, data, strerror(-error));
			damage->status = EX_OSERR;
		}
	}
	arena_fini(&arena);
	/* Of one that others could write, sendmail only logs it. */
	return damage->status != EX_OK || (status->st_mode & 022) != 0;
}

static void
damage_look(
    struct damages *damages, int directory, const struct mqueue_item *item)
{
	struct damage damage;
	struct stat status;
	int fd =
	    openat(directory, item->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_damaged;

	if (fd < 0)
		return;
	is_damaged = flock(fd, LOCK_SH | LOCK_NB) == 0 &&
	             fstat(fd, &status) == 0 &&
	             mqueue_read(fd, damages->text) == 0 &&
	             damage_judge(damages, &status, item->name, &damage);
	close(fd);
	if (!is_damaged)
		return;
	if (damages->count == damages->capacity) {
		damages->capacity = damages->capacity * 2 + 8;
		damages->list = mem_resize(
		    damages->list, damages->capacity, sizeof(*damages->list));
	}
	damages->list[damages->count++] = damage;
}

/* One directory: the last status that is not EX_OK, or it. */
static int
damage_directory(struct damages *damages,
    const struct sendmail_options *options, struct mqueue_look *look)
{
	struct mqueue_scan scan;
	int status = EX_OK;

	damages->count = 0;
	/* What cannot be read is told of when it is opened. */
	if (mqueue_scan(&scan, look, damages->dir) == 0)
		mqueue_sort(scan.items, scan.count, look->want.order);
	for (size_t i = 0; i < scan.count; i++)
		if (!scan.items[i].is_locked && !scan.items[i].is_young)
			damage_look(damages, scan.fd, &scan.items[i]);
	if (scan.strange_count > 0)
		status = EX_SOFTWARE;
	mqueue_scan_fini(&scan);
	for (size_t i = 0; i < damages->count; i++) {
		const struct damage *damage = &damages->list[i];

		if (options->is_verbose)
			printf("\nRunning %s/%s (sequence %zu of %zu)\n",
			    damages->dir->path, damage->name + 2, i + 1,
			    damages->count);
		if (damage->line[0] != '\0')
			puts(damage->line);
		if (damage->status != EX_OK)
			status = damage->status;
	}
	return status;
}

int
run_damage_tell(const struct sendmail_options *options, struct str directory)
{
	struct mqueue_look look = mqueue_list_look(options);
	struct mqueue_dirs dirs;
	struct damages damages = {.dirs = &dirs, .text = &look.text};
	struct str group = options->queue_group;
	int status = EX_OK;

	if (str_case_equal(group, MQUEUE_GROUP_ALL))
		group = STR("");
	/* What cannot be read is told of when it is opened. */
	if (mqueue_dirs_find(&dirs, directory, group) == 0)
		for (size_t i = 0; i < dirs.count; i++) {
			int error;

			damages.dir = &dirs.list[i];
			error = damage_directory(&damages, options, &look);
			if (error != EX_OK)
				status = error;
		}
	fflush(stdout);
	mqueue_dirs_fini(&dirs);
	free(damages.list);
	buf_fini(&look.text);
	return status;
}
