/* Scanning a directory; the rules are in cmd/mqueue_select.c. */
#include "cmd/mqueue_scan.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE 8192

int
mqueue_read(int fd, struct buf *text)
{
	buf_clear(text);
	while (buf_room(text) > 0) {
		size_t size =
		    buf_room(text) < READ_SIZE ? buf_room(text) : READ_SIZE;
		char *space = buf_space(text, size);
		ssize_t n;

		if (space == NULL)
			return -ENOMEM;
		n = read(fd, space, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf_added(text, (size_t)n);
		/* Short of a regular file's end there is always more. */
		if ((size_t)n < size)
			break;
	}
	return 0;
}

/* True if somebody works on the open file: nobody else locks it for long.  Our
   own lock goes when it is closed. */
static bool
is_locked(int fd)
{
	return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* True if the order and the limits need nothing but the name: sendmail does
   not open the file then, and knows neither lock nor priority. */
static bool
is_name_enough(const struct mqueue_want *want)
{
	switch (want->order) {
	case MQUEUE_BY_NAME:
	case MQUEUE_BY_CHANGE:
	case MQUEUE_UNSORTED:
		return !store_select_wants(want->select, STORE_SELECT_SENDER) &&
		       !store_select_wants(
			   want->select, STORE_SELECT_RECIPIENT) &&
		       !store_select_wants(want->select, STORE_SELECT_REASON);
	case MQUEUE_BY_PRIORITY:
	case MQUEUE_BY_HOST:
	case MQUEUE_BY_TIME:
		break;
	}
	return false;
}

/* Reads what is wanted of the file NAME, open as FD or not (-1): true if it is
   one.  One that may not be read is shown as long as nothing is asked for. */
static bool
scan_text(struct mqueue_look *look, int fd, struct mqueue_item *item)
{
	buf_clear(&look->text);
	if (fd >= 0) {
		item->is_locked = is_locked(fd);
		if (mqueue_read(fd, &look->text) < 0)
			buf_clear(&look->text);
	}
	return mqueue_want_text(&look->want, buf_str(&look->text), item);
}

static bool
scan_file(struct mqueue_look *look, struct mqueue_scan *scan,
    const struct mqueue_dir *dir, struct mqueue_item *item)
{
	struct stat status;
	bool is_wanted = true;
	int fd;

	if (fstatat(scan->fd, item->name, &status, 0) < 0)
		return false;
	if (!S_ISREG(status.st_mode)) {
		fprintf(look->out, "gatherq: %s/%s is not a regular file\n",
		    dir->qf_path, item->name);
		scan->strange_count++;
		return false;
	}
	item->changed_s = status.st_mtim.tv_sec;
	if (is_name_enough(&look->want))
		return true;
	/* It could have become something else meanwhile. */
	fd = openat(scan->fd, item->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return false;
	is_wanted = scan_text(look, fd, item);
	if (fd >= 0)
		close(fd);
	if (!is_wanted) {
		free(item->host);
		item->host = NULL;
	}
	return is_wanted;
}

static void
scan_add(struct mqueue_scan *scan, const struct mqueue_item *item)
{
	if (scan->count == scan->capacity) {
		scan->capacity = scan->capacity > 0 ? scan->capacity * 2 : 64;
		scan->items = mem_resize(
		    scan->items, scan->capacity, sizeof(*scan->items));
	}
	scan->items[scan->count++] = *item;
	scan->total++;
}

static void
scan_name(struct mqueue_scan *scan, struct mqueue_look *look,
    const struct mqueue_dir *dir, const char *text)
{
	struct mqueue_item item = {.place = scan->count};
	struct str name = str_from(text);

	if (name.size > MQUEUE_NAME_MAX) {
		struct mqueue_want kind = look->want;
		const struct store_select all = {.count = 0};

		kind.select = &all;
		if (look->is_verbose && mqueue_want_name(&kind, name))
			fprintf(look->out,
			    "gatherq: %s too long, %d max characters\n", text,
			    MQUEUE_NAME_MAX + 1);
		return;
	}
	if (!mqueue_want_name(&look->want, name))
		return;
	/* As sendmail does it: the first ones of the directory are taken. */
	if (look->count_max > 0 && scan->count == look->count_max) {
		scan->total++;
		return;
	}
	memcpy(item.name, name.data, name.size);
	if (scan_file(look, scan, dir, &item))
		scan_add(scan, &item);
}

int
mqueue_scan(struct mqueue_scan *scan, struct mqueue_look *look,
    const struct mqueue_dir *dir)
{
	const struct dirent *entry;
	DIR *stream;
	int error;

	*scan = (struct mqueue_scan){.fd = -1};
	stream = opendir(dir->qf_path);
	if (stream == NULL)
		return -errno;
	scan->fd = fcntl(dirfd(stream), F_DUPFD_CLOEXEC, 0);
	error = scan->fd < 0 ? -errno : 0;
	while (error == 0 && scan->count < MQUEUE_ITEMS_MAX &&
	       (entry = readdir(stream)) != NULL)
		scan_name(scan, look, dir, entry->d_name);
	closedir(stream);
	return error;
}

void
mqueue_scan_fini(struct mqueue_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		free(scan->items[i].host);
	free(scan->items);
	if (scan->fd >= 0)
		close(scan->fd);
	*scan = (struct mqueue_scan){.fd = -1};
}

bool
mqueue_is_open_to_others(int fd, const struct stat *file)
{
	struct stat directory;

	if ((file->st_mode & (S_IWGRP | S_IWOTH)) != S_IWGRP)
		return (file->st_mode & S_IWOTH) != 0;
	return fstat(fd, &directory) < 0 ||
	       (directory.st_mode & S_IWGRP) == 0 ||
	       directory.st_gid != file->st_gid;
}

int
mqueue_count(const struct mqueue_dir *dir, size_t *count_out)
{
	const struct dirent *entry;
	DIR *stream = opendir(dir->qf_path);

	*count_out = 0;
	if (stream == NULL)
		return -errno;
	while ((entry = readdir(stream)) != NULL)
		if (entry->d_name[0] == 'q' && entry->d_name[1] == 'f' &&
		    strlen(entry->d_name) > 2 &&
		    strlen(entry->d_name) <= MQUEUE_NAME_MAX)
			++*count_out;
	closedir(stream);
	return 0;
}
