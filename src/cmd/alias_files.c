/*
 * Reading files of aliases.  A record is a kind (a byte), the file's name and
 * its content or the reason that there is none (strings of base/wire.h).
 *
 * Invariants: a file is opened so that nothing is waited for and its kind is
 * looked at before it is read, since an :include: may be in the hands of
 * others; it is read with the rights of nobody, as whoever writes one, or owns
 * a directory on the way to it, could lead us to what only root may read, whose
 * words would be addresses that reports tell of.  A file of aliases is root's
 * only where nobody else can put another in its place, be it a link to what
 * root owns but others have worded.
 */
#include "cmd/alias_files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_REASON_MAX 200
#define NOBODY            65534 /* user and group */

enum record_kind {
	RECORD_FILE,
	RECORD_FILE_FAILED,
	RECORD_INCLUDE,
	RECORD_INCLUDE_FAILED,
	RECORD_FILE_OTHERS, /* not only root and we may write to it */
};

/* Why the open file FD is not to be read, or NULL. */
static const char *
file_refusal(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "is no regular file";
	if ((status.st_mode & S_IWOTH) != 0)
		return "can be written to by everybody";
	if (status.st_size > ALIAS_TEXT_MAX)
		return "is too large";
	return NULL;
}

/* True if the file, directory or link PATH is not for others to change; in a
   directory with the sticky bit they change only what is theirs. */
static bool
place_is_ours(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return false;
	if (S_ISDIR(status.st_mode))
		return (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
		       (status.st_mode & S_ISVTX) != 0;
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return false;
	return S_ISLNK(status.st_mode) ||
	       (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The same of all that PATH leads over. */
static bool
way_is_ours(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; i < sizeof(part); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (!place_is_ours(part))
			return false;
		if (path[i] == '\0')
			return true;
	}
	return false;
}

/* True if nobody but root and we may write to the open file FD, or have another
   one found as NAME.  (Who owns a directory may, and is trusted with it.) */
static bool
file_is_ours(int fd, const char *name)
{
	char real[PATH_MAX];
	struct stat status;

	return fstat(fd, &status) == 0 &&
	       (status.st_uid == 0 || status.st_uid == geteuid()) &&
	       (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 && *name == '/' &&
	       way_is_ours(name) && realpath(name, real) != NULL &&
	       way_is_ours(real);
}

/* Reads the file PATH into TEXT; NULL, or why not. */
static const char *
file_read(struct str path, struct buf *text, bool *is_ours_out)
{
	char name[ALIAS_PATH_MAX + 1];
	const char *wrong;
	ssize_t n = 0;
	char *space;
	int fd;

	if (path.size >= sizeof(name))
		return "has too long a name";
	memcpy(name, path.data, path.size);
	name[path.size] = '\0';
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return strerror(errno);
	wrong = file_refusal(fd);
	*is_ours_out = file_is_ours(fd, name);
	while (wrong == NULL) {
		space = buf_space(text, 65536);
		if (space == NULL) {
			wrong = "is too large";
			break;
		}
		n = read(fd, space, 65536);
		if (n <= 0)
			break;
		buf_added(text, (size_t)n);
	}
	if (n < 0)
		wrong = strerror(errno);
	close(fd);
	return wrong;
}

/* Reads the file PATH as nobody would, where we are root; as file_read(). */
static const char *
file_read_as_nobody(struct str path, struct buf *text)
{
	bool is_ours; /* of no interest */
	const char *wrong;
	gid_t *groups;
	int count;

	if (geteuid() != 0)
		return file_read(path, text, &is_ours);
	count = getgroups(0, NULL);
	if (count < 0)
		return strerror(errno);
	groups = mem_new((size_t)count + 1, sizeof(*groups));
	count = getgroups(count, groups);
	if (count < 0 || setgroups(0, NULL) < 0) {
		free(groups);
		return strerror(errno);
	}
	(void)setfsgid(NOBODY);
	(void)setfsuid(NOBODY);
	/* They answer with what was, and -1 changes nothing. */
	wrong = setfsuid((uid_t)-1) == NOBODY && setfsgid((gid_t)-1) == NOBODY
	            ? file_read(path, text, &is_ours)
	            : strerror(EPERM);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	/* Without them we may do less, never more. */
	(void)!setgroups((size_t)count, groups);
	free(groups);
	return wrong;
}

static void
record_put(
    struct buf *out, enum record_kind kind, struct str path, struct str text)
{
	struct wire_writer w = {.out = out};

	wire_put_u8(&w, (uint8_t)kind);
	wire_put_str(&w, path);
	wire_put_str(&w, text);
}

/* Adds the record of a file and hands its content to TABLE. */
static void
gather_file(struct alias_table *table, struct buf *out, struct str path,
    bool is_include)
{
	enum record_kind kind = is_include ? RECORD_INCLUDE : RECORD_FILE;
	struct buf text;
	bool is_ours = false;
	const char *wrong;

	buf_init(&text, ALIAS_TEXT_MAX + 65536);
	wrong = is_include ? file_read_as_nobody(path, &text)
	                   : file_read(path, &text, &is_ours);
	/* Room is kept for the reasons that may follow. */
	if (wrong == NULL &&
	    buf_size(&text) + ALIAS_RECORDS_MAX / 8 > buf_room(out))
		wrong = "is too large, with the others";
	if (wrong == NULL && !is_include && !is_ours)
		kind = RECORD_FILE_OTHERS;
	if (wrong != NULL)
		record_put(out, kind + 1, path, str_from(wrong));
	else
		record_put(out, kind, path, buf_str(&text));
	if (is_include && wrong != NULL)
		alias_table_include_failed(table, path, wrong);
	else if (is_include)
		alias_table_include(table, path, buf_str(&text));
	else if (wrong == NULL)
		alias_table_read(table, path, buf_str(&text));
	buf_fini(&text);
}

void
alias_files_gather(const struct conf *conf, struct buf *out)
{
	struct alias_table *table = alias_table_new();
	struct str path;

	for (size_t i = 0; i < conf->alias_file_count; i++)
		gather_file(table, out, conf->alias_files[i], false);
	while (alias_table_wants(table, &path))
		gather_file(table, out, path, true);
	alias_table_free(table);
}

/* One record into the table; -EINVAL if it says that a file is missing. */
static int
take_record(
    struct alias_table *table, struct wire_reader *r, struct buf *errors)
{
	uint32_t kind = wire_get_u8(r);
	struct str path = wire_get_str(r, ALIAS_PATH_MAX);
	struct str text = wire_get_str(r, ALIAS_TEXT_MAX + 65536);
	char reason[RECORD_REASON_MAX];

	if (r->is_bad)
		return -EINVAL;
	switch (kind) {
	case RECORD_FILE:
	case RECORD_FILE_OTHERS:
		alias_table_trust(table, kind == RECORD_FILE);
		alias_table_read(table, path, text);
		return 0;
	case RECORD_INCLUDE:
		alias_table_include(table, path, text);
		return 0;
	case RECORD_INCLUDE_FAILED:
		text = str_head(text, sizeof(reason) - 1);
		memcpy(reason, text.data, text.size);
		reason[text.size] = '\0';
		alias_table_include_failed(table, path, reason);
		return 0;
	case RECORD_FILE_FAILED:
		(void)!buf_printf(
		    errors, "%.*s: %.*s\n", STR_ARG(path), STR_ARG(text));
		return -EINVAL;
	}
	return -EINVAL;
}

int
alias_files_take(struct conf *conf, struct str records, struct buf *errors)
{
	struct alias_table *table = alias_table_new();
	struct wire_reader r = {.in = records};
	int error = 0;

	while (!r.is_bad && r.in.size > 0)
		if (take_record(table, &r, errors) < 0)
			error = -EINVAL;
	if (r.is_bad)
		error = -EINVAL;
	if (error == 0)
		conf->aliases = table;
	else
		alias_table_free(table);
	return error;
}

void
alias_files_log(const struct conf *conf)
{
	const struct alias_file *file;
	struct buf mistakes;
	struct str lines;

	if (conf->aliases == NULL)
		return;
	for (size_t i = 0; (file = alias_table_file(conf->aliases, i)); i++)
		log_event(LOG_NOTE, "aliases-read", "", "path=%.*s count=%zu",
		    STR_ARG(file->name), file->aliases);
	buf_init(&mistakes, 1 << 20);
	alias_table_mistakes_put(conf->aliases, &mistakes);
	for (lines = buf_str(&mistakes); lines.size > 0;) {
		struct str line = str_head(lines, str_find(lines, '\n'));

		lines = str_skip(lines, line.size + 1);
		log_event(
		    LOG_WARN, "alias-mistake", "", "error=%.*s", STR_ARG(line));
	}
	buf_fini(&mistakes);
}
