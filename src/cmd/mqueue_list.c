/*
 * Listing queue directories.  Each is scanned and sorted (100 bytes or so a
 * message are remembered), then the files are read again one by one, so that
 * what is gone or locked by then is shown as it is then.
 */
#include "cmd/mqueue_list.h"
#include "base/num.h"
#include "cmd/mqueue_print.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_LOAD_DEFAULT 8 /* QueueLA */
#define DAY                86400
#define DATA_NAME_MAX      (MQUEUE_PATH_MAX + MQUEUE_NAME_MAX)

/* A listing of one directory. */
struct list {
	const struct sendmail_options *options;
	const struct mqueue_dirs *dirs;
	const struct mqueue_dir *dir;
	struct mqueue_scan scan;
	struct mqueue_look *look;
	FILE *out;
	int64_t load; /* of the machine, rounded */
};

int
mqueue_list_dirs(const struct sendmail_options *options, struct str directory,
    struct mqueue_dirs *dirs, bool *is_none_out)
{
	int error = mqueue_dirs_find(dirs, directory, options->queue_group);

	*is_none_out = false;
	if (error < 0) {
		printf(
		    "can not chdir(%s/): %s\n", dirs->base, strerror(-error));
		fflush(stdout);
		if (error == -EACCES)
			fputs("Program mode requires special privileges, e.g., "
			      "root or TrustedUser.\n",
			    stderr);
		return EX_CONFIG;
	}
	if (dirs->count == 0 && options->queue_group.size > 0) {
		printf("Queue group %.*s unknown\n",
		    STR_ARG(options->queue_group));
		*is_none_out = true;
		return EX_OK;
	}
	if (dirs->count > 0)
		return EX_OK;
	printf("QueueDirectory %.*s: no such directory\n", STR_ARG(directory));
	return EX_CONFIG;
}

/* How many messages of a directory are listed at most, 0 = all. */
static size_t
list_max(const struct sendmail_options *options)
{
	struct str text = sendmail_set_find(options, STR("MaxQueueRunSize"));
	uint64_t count;

	if (text.data == NULL || num_parse(text, MQUEUE_ITEMS_MAX, &count) < 0)
		return 0;
	return count;
}

struct mqueue_look
mqueue_list_look(const struct sendmail_options *options)
{
	struct mqueue_look look = {
	    .want = {.select = &options->select,
		.queue = options->queue,
		.order = mqueue_order_read(options->sort_order),
		.now_s = (int64_t)time(NULL),
		.age_min_s = (int64_t)(options->min_queue_age_ms / 1000)},
	    .count_max = list_max(options),
	    .out = stdout,
	    .is_verbose = options->is_verbose};

	buf_init(&look.text, MQUEUE_FILE_MAX);
	return look;
}

/* The size of a file that a control file names, below the directory PATH: -1 if
   there is none. */
static int64_t
size_below(const char *path, const char *directory, const char *name)
{
	char full[DATA_NAME_MAX];
	struct stat status;
	int size =
	    snprintf(full, sizeof(full), "%s/%s%s", path, directory, name);

	if (size < 0 || (size_t)size >= sizeof(full) || stat(full, &status) < 0)
		return MQUEUE_SIZE_NONE;
	return status.st_size;
}

/* A name out of a control file that leads nowhere else; "." is the base. */
static bool
name_is_plain(struct str text)
{
	return text.size > 0 && text.size < 256 &&
	       (text.data[0] != '.' || text.size == 1) &&
	       str_find(text, '/') == text.size;
}

/* The data file where the control file says that it is: in another directory
   of the queue (d), or under another name (D, where there is no V). */
static int64_t
size_elsewhere(const struct list *list, struct str text, const char *data)
{
	int64_t size = MQUEUE_SIZE_NONE;
	bool has_version = false;
	char name[512];
	struct str line;
	size_t at = 0;

	while (size < 0 && mqueue_line_next(text, &at, &line)) {
		struct str value = str_skip(line, 1);
		char letter = line.size > 0 ? line.data[0] : 0;

		has_version = has_version || letter == 'V';
		if (!name_is_plain(value) || (letter != 'd' && letter != 'D'))
			continue;
		snprintf(name, sizeof(name), "%.*s/df/", STR_ARG(value));
		if (letter == 'd')
			size = size_below(list->dirs->base, name, data);
		name[value.size + 1] = '\0';
		if (letter == 'd' && size < 0)
			size = size_below(list->dirs->base, name, data);
		name[value.size] = '\0';
		if (letter == 'D' && !has_version)
			size = size_below(list->dir->df_path, "", name);
	}
	return size;
}

/* True if the message was tried so short a time ago that it is not to be tried
   again; *AGE_S_OUT is that time. */
static bool
list_is_young(const struct list *list, struct str text, int64_t *age_s_out)
{
	const struct mqueue_want *want = &list->look->want;
	int64_t attempts = 0, tried_s = 0;
	struct str line;
	size_t at = 0;

	while (mqueue_line_next(text, &at, &line)) {
		if (line.size > 0 && line.data[0] == 'K')
			tried_s = mqueue_number(str_skip(line, 1));
		if (line.size > 0 && line.data[0] == 'N')
			attempts = mqueue_number(str_skip(line, 1));
	}
	return attempts > 0 && tried_s <= want->now_s &&
	       !__builtin_sub_overflow(want->now_s, tried_s, age_s_out) &&
	       *age_s_out < want->age_min_s;
}

/* sendmail looks for a data file in other directories only when it is time to
   try the message again; it says so. */
static void
list_too_young(const struct list *list, const char *id, int64_t age_s)
{
	if (!list->options->is_verbose)
		return;
	fprintf(list->out, "%s: too young (", id);
	if (age_s >= DAY)
		fprintf(list->out, "%" PRId64 "+", age_s / DAY);
	fprintf(list->out, "%02d:%02d:%02d)\n", (int)(age_s % DAY / 3600),
	    (int)(age_s % 3600 / 60), (int)(age_s % 60));
}

/* The size of the data file.  Where there is none, sendmail's own complaint
   stands in the middle of the line. */
static int64_t
list_size(const struct list *list, const char *id, struct str text)
{
	char data[MQUEUE_NAME_MAX + 1] = "df";
	int64_t size, age_s;

	memcpy(data + 2, id, strlen(id) + 1);
	size = size_below(list->dir->df_path, "", data);
	if (size < 0)
		size = size_elsewhere(list, text, data);
	if (size < 0 && list_is_young(list, text, &age_s))
		list_too_young(list, id, age_s);
	else if (size < 0 && text.size > 0)
		fprintf(list->out, "readqf: cannot open %s%s: %s\n",
		    list->dir->df_name, data, strerror(ENOENT));
	return size;
}

static char
list_mark(const struct list *list, const struct mqueue_item *item)
{
	const struct sendmail_options *options = list->options;

	if (item->is_locked)
		return '*';
	if (options->queue == SENDMAIL_QUEUE_LOST)
		return '?';
	if (item->is_young)
		return '-';
	if (mqueue_is_over_load(item->priority, list->load,
		options->has_queue_load ? options->queue_load
					: QUEUE_LOAD_DEFAULT,
		options->queue_factor))
		return 'X';
	return ' ';
}

static void
list_problem(const struct list *list, int error)
{
	const char *what = strerror(-error);

	if (error == -ENOENT)
		what = "job completed";
	if (error == -EPERM || error == -EACCES)
		what = "permission denied";
	fprintf(list->out, " (%s)\n", what);
}

static void
list_item(const struct list *list, const struct mqueue_item *item)
{
	struct buf *text = &list->look->text;
	const char *id = item->name + 2;
	int fd, error = 0;
	int64_t size;

	mqueue_print_id(list->out, str_from(id), 0);
	fd = openat(
	    list->scan.fd, item->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	error = fd < 0 ? -errno : mqueue_read(fd, text);
	if (fd >= 0)
		close(fd);
	if (error < 0) {
		list_problem(list, error);
		return;
	}
	size = list_size(list, id, buf_str(text));
	putc(list_mark(list, item), list->out);
	mqueue_print_entry(list->out, buf_str(text), size, item->priority,
	    list->options->is_verbose);
}

static int64_t
machine_load(void)
{
	double load;

	return getloadavg(&load, 1) == 1 ? (int64_t)(load + 0.5) : 0;
}

/* Lists one directory: how many messages there are. */
static size_t
list_directory(struct list *list)
{
	struct mqueue_scan *scan = &list->scan;
	int error = mqueue_scan(scan, list->look, list->dir);
	size_t total;

	if (error < 0)
		fprintf(list->out, "gatherq: cannot open \"%s\": %s\n",
		    list->dir->qf_path, strerror(-error));
	total = scan->total;
	if (total == 0) {
		fprintf(list->out, "%s is empty\n", list->dir->title);
		mqueue_scan_fini(scan);
		return 0;
	}
	mqueue_print_head(list->out, list->dir->title, total,
	    list->look->count_max, list->options->is_verbose);
	mqueue_sort(scan->items, scan->count, list->look->want.order);
	for (size_t i = 0; i < scan->count; i++)
		list_item(list, &scan->items[i]);
	mqueue_scan_fini(scan);
	return total;
}

int
mqueue_list(const struct sendmail_options *options, struct str directory)
{
	struct mqueue_look look = mqueue_list_look(options);
	struct mqueue_dirs dirs;
	struct list list = {.options = options,
	    .dirs = &dirs,
	    .look = &look,
	    .out = stdout,
	    .load = machine_load()};
	size_t total = 0;
	bool is_none;
	int status = mqueue_list_dirs(options, directory, &dirs, &is_none);

	for (size_t i = 0; status == EX_OK && i < dirs.count; i++) {
		list.dir = &dirs.list[i];
		total += list_directory(&list);
	}
	if (status == EX_OK && options->queue_group.size == 0)
		mqueue_print_total(stdout, total);
	mqueue_dirs_fini(&dirs);
	buf_fini(&look.text);
	return status;
}

/* Counts all directories; true for *IS_ANY_OUT if one is not empty. */
static size_t
print_counts(
    const struct mqueue_dirs *dirs, bool *is_any_out, bool *is_unknown_out)
{
	size_t total = 0, count;

	*is_any_out = *is_unknown_out = false;
	for (size_t i = 0; i < dirs->count; i++) {
		const char *title = dirs->list[i].title;

		if (mqueue_count(&dirs->list[i], &count) < 0) {
			printf("%s: unknown number of entries\n", title);
			*is_unknown_out = true;
			continue;
		}
		if (count == 0) {
			printf("%s is empty\n", title);
			continue;
		}
		printf("%s: entries=%zu\n", title, count);
		*is_any_out = true;
		total += count;
	}
	return total;
}

int
mqueue_list_counts(const struct sendmail_options *options, struct str directory)
{
	struct str key = sendmail_set_find(options, STR("SharedMemoryKey"));
	struct mqueue_dirs dirs;
	bool is_none, is_any, is_unknown;
	int status = mqueue_list_dirs(options, directory, &dirs, &is_none);
	size_t total;

	if (status == EX_OK && !is_none && key.data == NULL) {
		puts("Data unavailable: shared memory not updated");
	} else if (status == EX_OK && !is_none) {
		total = print_counts(&dirs, &is_any, &is_unknown);
		if (is_any)
			printf("\t\tTotal requests: %zu%s\n", total,
			    is_unknown ? " (about)" : "");
	}
	mqueue_dirs_fini(&dirs);
	return status;
}
