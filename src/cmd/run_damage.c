/*
 * Looking for what is damaged.  Each control file is read as the store reads
 * it; one that somebody holds locked is passed over, for he may be writing it.
 * The lines and their status are those of sendmail's readqf(); "Running" counts
 * the damaged ones among themselves.
 *
 * To read every file before each run would take a tenth of its time.  What is
 * damaged is still there afterwards, under its name or as Qf: of a silent run
 * of all that waits only the names that were there before are remembered.
 */
#include "cmd/run_damage.h"
#include "base/mem.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_list.h"
#include "cmd/mqueue_scan.h"
#include "store/mqueue/qf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
	bool is_sent; /* all but a header that is none */
	char header[DAMAGE_LINE_MAX];
	char line[DAMAGE_LINE_MAX];
};

struct run_damage {
	const struct sendmail_options *options;
	int status;
	struct mqueue_look look;
	struct mqueue_dirs dirs;
	/* What was set aside before, of each directory; NULL: it is told. */
	struct mqueue_scan *before;
};

/* Those of one directory. */
struct damages {
	const struct mqueue_dirs *dirs;
	const struct mqueue_dir *dir;
	struct buf *text; /* of one file */
	bool is_after;    /* the run */
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

/* A header without a name is left out, and the rest is sent.  sendmail shows it
   up to the end of its condition. */
static void
damage_describe_header(struct damage *damage, struct str header)
{
	char text[QF_PROBLEM_MAX * 4 + 8];
	size_t size = str_find(str_skip(header, 1), '?') + 1;

	if (str_starts(header, STR("?")) && size < header.size)
		header = str_head(header, size);
	damage_escape(text, sizeof(text), str_head(header, QF_PROBLEM_MAX));
	snprintf(damage->header, sizeof(damage->header),
	    "header syntax error, line \"%s\"", text);
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

/* True if a d line may have this text: it names a directory of the queue. */
static bool
damage_knows_directory(const struct damages *damages, struct str name)
{
	char path[MQUEUE_PATH_MAX * 2];
	struct stat status;

	if (name.size == 0 || str_equal(name, STR(".")))
		return true;
	if (name.data[0] == '.' || name.size > NAME_MAX ||
	    str_find(name, '/') < name.size)
		return false;
	snprintf(
	    path, sizeof(path), "%s/%.*s", damages->dirs->base, STR_ARG(name));
	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* True if the file with this text is damaged, as one that IS_OPEN to others is:
   then DAMAGE says how.  NAME is what it was called before the store set it
   aside. */
static bool
damage_judge(struct damages *damages, bool is_open, const char *name,
    struct damage *damage)
{
	char data[MQUEUE_NAME_MAX + 1] = "df";
	struct qf_problem problem;
	struct arena arena;
	bool is_strange;
	struct qf q;
	int error;

	memcpy(damage->name, name, strlen(name) + 1);
	memcpy(data + 2, name + 2, strlen(name + 2) + 1);
	damage->status = EX_OK;
	damage->is_sent = false;
	damage->header[0] = damage->line[0] = '\0';
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
	if (q.header_bad_count > 0)
		damage_describe_header(damage, q.header_bad);
	is_strange = problem.kind == QF_EMPTY ||
	             !damage_knows_directory(damages, q.data_directory);
	arena_fini(&arena);
	/* Of one that others could write, sendmail only logs it. */
	if (damage->status != EX_OK || is_strange || is_open)
		return true;
	damage->is_sent = damage->header[0] != '\0';
	if (damage->is_sent)
		damage->status = EX_SOFTWARE;
	return damage->is_sent;
}

static void
damage_look(
    struct damages *damages, int directory, const struct mqueue_item *item)
{
	char name[MQUEUE_NAME_MAX + 1];
	struct damage damage;
	struct stat status;
	int fd =
	    openat(directory, item->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_damaged;

	if (fd < 0)
		return;
	memcpy(name, item->name, sizeof(name));
	if (damages->is_after && name[0] == 'Q')
		name[0] = 'q';
	is_damaged =
	    flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &status) == 0 &&
	    mqueue_read(fd, damages->text) == 0 &&
	    damage_judge(damages, mqueue_is_open_to_others(directory, &status),
		name, &damage);
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

/* Looks at what is in SCAN: the last status that is not EX_OK, or it. */
static int
damage_scanned(struct damages *damages, const struct sendmail_options *options,
    const struct mqueue_scan *scan)
{
	int status = scan->strange_count > 0 ? EX_SOFTWARE : EX_OK;

	damages->count = 0;
	for (size_t i = 0; i < scan->count; i++)
		if (!scan->items[i].is_locked && !scan->items[i].is_young)
			damage_look(damages, scan->fd, &scan->items[i]);
	for (size_t i = 0; i < damages->count; i++) {
		const struct damage *damage = &damages->list[i];

		if (options->is_verbose && !damage->is_sent)
			printf("\nRunning %s/%s (sequence %zu of %zu)\n",
			    damages->dir->path, damage->name + 2, i + 1,
			    damages->count);
		if (damage->header[0] != '\0')
			puts(damage->header);
		if (damage->line[0] != '\0')
			puts(damage->line);
		if (damage->status != EX_OK)
			status = damage->status;
	}
	return status;
}

static int
damage_before(struct damages *damages, struct run_damage *run)
{
	struct mqueue_scan scan;
	int status;

	/* What cannot be read is told of when it is opened. */
	if (mqueue_scan(&scan, &run->look, damages->dir) == 0)
		mqueue_sort(scan.items, scan.count, run->look.want.order);
	status = damage_scanned(damages, run->options, &scan);
	mqueue_scan_fini(&scan);
	return status;
}

/* The names of what is set aside now; no file is opened. */
static void
damage_note(struct run_damage *run, size_t i)
{
	struct mqueue_look look = run->look;

	look.want.queue = SENDMAIL_QUEUE_LOST;
	look.want.order = MQUEUE_BY_NAME;
	if (mqueue_scan(&run->before[i], &look, &run->dirs.list[i]) == 0)
		mqueue_sort(
		    run->before[i].items, run->before[i].count, MQUEUE_BY_NAME);
}

static int
damage_compare(const void *a, const void *b)
{
	return strcmp(((const struct mqueue_item *)a)->name,
	    ((const struct mqueue_item *)b)->name);
}

/* What is left of a directory, and what was set aside since BEFORE. */
static int
damage_after(struct damages *damages, struct run_damage *run,
    const struct mqueue_scan *before)
{
	struct mqueue_look look = run->look;
	struct mqueue_scan left, lost;
	int status;

	if (mqueue_scan(&left, &look, damages->dir) < 0) {
		mqueue_scan_fini(&left);
		return EX_OK;
	}
	look.want.queue = SENDMAIL_QUEUE_LOST;
	(void)!mqueue_scan(&lost, &look, damages->dir);
	for (size_t i = 0; i < lost.count; i++) {
		struct mqueue_item *item = &lost.items[i];

		if (before->count > 0 &&
		    bsearch(item, before->items, before->count, sizeof(*item),
			damage_compare) != NULL)
			continue;
		left.items =
		    mem_resize(left.items, left.count + 1, sizeof(*left.items));
		left.items[left.count++] = *item;
		item->host = NULL;
	}
	mqueue_scan_fini(&lost);
	mqueue_sort(left.items, left.count, look.want.order);
	status = damage_scanned(damages, run->options, &left);
	mqueue_scan_fini(&left);
	return status;
}

/* Tells of each directory. */
static void
damage_tell(struct run_damage *run, bool is_after)
{
	struct damages damages = {
	    .dirs = &run->dirs, .text = &run->look.text, .is_after = is_after};

	for (size_t i = 0; i < run->dirs.count; i++) {
		int status;

		damages.dir = &run->dirs.list[i];
		status = is_after ? damage_after(&damages, run, &run->before[i])
		                  : damage_before(&damages, run);
		if (status != EX_OK)
			run->status = status;
	}
	fflush(stdout);
	free(damages.list);
}

struct run_damage *
run_damage_begin(const struct sendmail_options *options, struct str directory)
{
	struct run_damage *run = mem_new(1, sizeof(*run));
	struct str group = options->queue_group;

	run->options = options;
	run->look = mqueue_list_look(options);
	if (str_case_equal(group, MQUEUE_GROUP_ALL))
		group = STR("");
	/* What cannot be read is told of when it is opened. */
	if (mqueue_dirs_find(&run->dirs, directory, group) < 0) {
		mqueue_dirs_fini(&run->dirs);
		run->dirs = (struct mqueue_dirs){.count = 0};
	}
	if (options->is_verbose || options->select.count > 0 ||
	    options->queue != SENDMAIL_QUEUE_NORMAL ||
	    run->look.count_max > 0) {
		damage_tell(run, false);
		return run;
	}
	run->before = mem_new(run->dirs.count, sizeof(*run->before));
	for (size_t i = 0; i < run->dirs.count; i++)
		damage_note(run, i);
	return run;
}

int
run_damage_end(struct run_damage *run)
{
	int status;

	if (run == NULL)
		return EX_OK;
	if (run->before != NULL) {
		damage_tell(run, true);
		for (size_t i = 0; i < run->dirs.count; i++)
			mqueue_scan_fini(&run->before[i]);
	}
	status = run->status;
	mqueue_dirs_fini(&run->dirs);
	buf_fini(&run->look.text);
	free(run->before);
	free(run);
	return status;
}
