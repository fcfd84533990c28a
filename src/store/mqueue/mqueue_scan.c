/*
 * What is in the directories.  At the start all of it is read; later looks
 * compare names, inodes, sizes and times, and read what differs.
 *
 * Nothing that could be mail is ever removed here.  A control file that must
 * not be sent as it is gets the name Qf, once its lock shows that nobody is at
 * work on it; each is logged once.  The rest of a message that is done (xf), or
 * of one that was never accepted (tf with our line, and no qf), is removed.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The names of one directory, so that it may be changed while they are gone
   through. */
struct mq_names {
	char **names;
	size_t count, capacity;
	bool is_lost; /* and of these, only what was set aside */
};

static bool
mq_is_control(const char *name)
{
	return (name[0] == 'q' || name[0] == 'h' || name[0] == 't' ||
		   name[0] == 'x') &&
	       name[1] == 'f';
}

static void
mq_names_add(void *arg, const char *name)
{
	struct mq_names *names = arg;

	if (strlen(name) > MQ_NAME_MAX ||
	    (!names->is_lost && !mq_is_control(name)) ||
	    (names->is_lost && (name[0] != 'Q' || name[1] != 'f')))
		return;
	if (names->count == names->capacity) {
		names->capacity = names->capacity * 2 + 64;
		names->names = mem_resize(
		    names->names, names->capacity, sizeof(*names->names));
	}
	names->names[names->count++] = mem_copy_text(name, strlen(name));
}

static void
mq_names_free(struct mq_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
}

static int
mq_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct mq_bad *
mq_set_bad(struct mqueue *mq, const char *path, const struct os_status *status)
{
	struct mq_bad *bad;

	HASH_FIND_STR(mq->bad, path, bad);
	if (bad == NULL) {
		bad = mem_new(1, sizeof(*bad));
		bad->path = mem_copy_text(path, strlen(path));
		HASH_ADD_KEYPTR(hh, mq->bad, bad->path, strlen(bad->path), bad);
	}
	bad->is_done &= bad->inode == status->inode;
	bad->inode = status->inode;
	bad->mtime_ns = status->mtime_ns;
	bad->scan = mq->scan_number;
	return bad;
}

/* True if this file was not called bad before, as it is now. */
static bool
mq_is_news(struct mqueue *mq, const char *path, const struct os_status *status)
{
	const struct mq_bad *bad;
	bool is_news;

	HASH_FIND_STR(mq->bad, path, bad);
	is_news = bad == NULL || bad->inode != status->inode ||
	          bad->mtime_ns != status->mtime_ns;
	(void)mq_set_bad(mq, path, status);
	return is_news;
}

/* True for the file of a message that is done and could not be removed. */
static bool
mq_is_kept(struct mqueue *mq, const char *path)
{
	struct os_status status;
	struct mq_bad *bad;

	HASH_FIND_STR(mq->bad, path, bad);
	if (bad == NULL || !bad->is_done ||
	    os_status(mq->os, path, &status) < 0 || status.inode != bad->inode)
		return false;
	bad->scan = mq->scan_number;
	return true;
}

/* A control file while it is looked at. */
struct mq_look {
	struct mq_directory *directory;
	const char *prefix; /* "qf", "hf" */
	const char *id;
	char path[MQ_PATH_MAX];
	struct os_file *file;
	bool is_locked;
	struct mq_seen seen;
	struct buf text;
	struct arena arena;
	struct qf q;
	struct qf_problem problem;
	const char *reason; /* why it may not be sent; NULL = it may */
	enum qf_remedy remedy;
};

static void
mq_look_end(struct mqueue *mq, struct mq_look *look)
{
	if (look->file != NULL)
		os_close(mq->os, look->file);
	buf_fini(&look->text);
	arena_fini(&look->arena);
}

/* True if the file at PATH is there: its size is the one that counts. */
static bool
mq_has_file(struct mqueue *mq, struct mq_look *look, const char *path)
{
	return os_status(mq->os, path, &look->seen.data) == 0;
}

bool
mq_is_directory_of(const struct mq_directory *directory, struct str text)
{
	return str_equal(text, str_from(directory->name)) ||
	       (directory->name[0] == '\0' && str_equal(text, STR(".")));
}

/* True if the data file is there. */
static bool
mq_has_data(struct mqueue *mq, struct mq_look *look)
{
	char path[MQ_PATH_MAX], name[MQ_NAME_MAX + 1];
	const struct qf *q = &look->q;

	mq_path(path, look->directory->data, "df", look->id);
	if (mq_has_file(mq, look, path))
		return true;
	if (!q->has_version && q->data_file.size > 0 &&
	    q->data_file.size < MQ_NAME_MAX) {
		memcpy(name, q->data_file.data, q->data_file.size);
		name[q->data_file.size] = '\0';
		mq_path(path, look->directory->data, "", name);
		return mq_has_file(mq, look, path);
	}
	for (size_t i = 0; i < mq->directory_count; i++) {
		mq_path(path, mq->directories[i].data, "df", look->id);
		if (mq_is_directory_of(
			&mq->directories[i], q->data_directory) &&
		    mq_has_file(mq, look, path))
			return true;
	}
	return false;
}

/* True if the d line names a directory that there is. */
static bool
mq_knows_directory(const struct mqueue *mq, struct str name)
{
	for (size_t i = 0; i < mq->directory_count; i++)
		if (mq_is_directory_of(&mq->directories[i], name))
			return true;
	return name.size == 0;
}

static void
mq_judge(struct mqueue *mq, struct mq_look *look)
{
	look->reason = NULL;
	look->remedy = QF_SET_ASIDE;
	if (look->problem.kind != QF_FINE) {
		look->reason = qf_problem_name(look->problem.kind);
		look->remedy = look->problem.remedy;
	} else if (!mq_knows_directory(mq, look->q.data_directory))
		look->reason = "unknown data directory";
	else if (!mq_has_data(mq, look))
		look->reason = "data file is missing";
	else
		look->reason = mq_distrust(
		    look->directory, &look->seen.control, &look->seen.data);
}

/* Reads the open file from its beginning: 0 or -errno. */
static int
mq_look_read(struct mqueue *mq, struct mq_look *look)
{
	int error = os_file_status(mq->os, look->file, &look->seen.control);

	buf_init(&look->text, QF_FILE_MAX);
	if (error == 0)
		error = mq_read_file(
		    mq->os, look->file, look->seen.control.size, &look->text);
	arena_init(&look->arena, QF_ARENA_SIZE(buf_size(&look->text)));
	if (error < 0)
		return error;
	error = qf_read(
	    buf_str(&look->text), &look->arena, &look->q, &look->problem);
	return error == -EBADMSG ? 0 : error;
}

/* Reads and judges; what looks bad once more, under its lock: it may only be
   that somebody was writing.  0 or -errno. */
static int
mq_look_begin(struct mqueue *mq, struct mq_look *look)
{
	int error;

	mq_path(look->path, look->directory->control, look->prefix, look->id);
	buf_init(&look->text, QF_FILE_MAX);
	arena_init(&look->arena, 0);
	error = os_open(mq->os, look->path, OS_READ | OS_FOLLOW, &look->file);
	if (error == 0)
		error = mq_look_read(mq, look);
	if (error == 0)
		mq_judge(mq, look);
	if (error < 0 || look->reason == NULL)
		return error;
	mq_look_end(mq, look);
	look->file = NULL;
	error = mq_lock(mq, look->path, &look->file, &look->seen.control);
	look->is_locked = error == 0;
	if (error == 0)
		error = mq_look_read(mq, look);
	if (error == 0)
		mq_judge(mq, look);
	return error;
}

/* What is to be done with a file that may not be sent. */
static void
mq_look_refuse(struct mqueue *mq, struct mq_look *look)
{
	uint64_t wall_ms = os_wall_ms(mq->os);
	uint64_t mtime_ms = look->seen.control.mtime_ns / 1000000;
	bool is_young = wall_ms < mtime_ms + MQ_YOUNG_MS;
	int error = 0;

	if (look->remedy == QF_LEAVE_YOUNG && is_young)
		return;
	/* Of what was set aside before, only its reason is told. */
	if (look->prefix[0] == 'Q')
		look->remedy = QF_LEAVE;
	if (look->remedy != QF_LEAVE)
		error =
		    mq_set_aside(mq, look->directory, look->prefix, look->id);
	if (!mq_is_news(mq, look->path, &look->seen.control))
		return;
	if (look->remedy == QF_LEAVE)
		log_event(LOG_WARN, "mqueue-left", look->id,
		    "file=%s reason=%s line=%zu", look->path, look->reason,
		    look->problem.line);
	else if (error == 0)
		log_event(LOG_WARN, "mqueue-lost", look->id,
		    "file=%s reason=%s line=%zu text=%.*s", look->path,
		    look->reason, look->problem.line,
		    STR_ARG(look->problem.text));
	else
		log_event(LOG_WARN, "mqueue-left", look->id,
		    "file=%s reason=%s error=%s", look->path, look->reason,
		    strerror(-error));
}

/* A quarantined message that is named as others are gets the name of those that
   are, as by a run of sendmail; true for a message that has it. */
static bool
mq_look_quarantined(struct mqueue *mq, struct mq_look *look)
{
	char to[MQ_PATH_MAX];
	struct os_status status;
	int error = 0;

	if (look->prefix[0] != 'q' || !look->q.has_quarantine)
		return look->prefix[0] == 'h';
	mq_path(to, look->directory->control, "hf", look->id);
	os_close(mq->os, look->file);
	look->file = NULL;
	error = mq_lock(mq, look->path, &look->file, &status);
	if (error == 0 && !mq_is_same(&status, &look->seen.control))
		error = -ESTALE;
	if (error == 0 && os_status(mq->os, to, &status) != -ENOENT)
		error = -EEXIST;
	if (error == 0)
		error = os_rename(mq->os, look->path, to);
	look->directory->is_control_dirty |= error == 0;
	/* It is not sent under its old name either. */
	return error == 0;
}

/* What is left out of a message that is sent otherwise. */
static void
mq_look_headers(const struct mq_look *look)
{
	if (look->q.header_bad_count > 0)
		log_event(LOG_WARN, "mqueue-header", look->id,
		    "file=%s count=%zu text=%.*s", look->path,
		    look->q.header_bad_count,
		    STR_ARG(str_head(look->q.header_bad, QF_PROBLEM_MAX)));
}

/* Reads one control file into the index, or sets it aside. */
static void
mq_look(struct mqueue *mq, struct mq_directory *directory, const char *prefix,
    const char *id)
{
	struct mq_look look = {
	    .directory = directory, .prefix = prefix, .id = id};
	struct ram_message *message = NULL;
	int error = mq_look_begin(mq, &look);

	if (error == 0 && look.reason == NULL) {
		bool is_quarantined = mq_look_quarantined(mq, &look);

		message = mq_index(
		    mq, directory, id, is_quarantined, &look.q, &look.seen);
		if (message != NULL) {
			mq_entry_of(message)->is_lost = prefix[0] == 'Q';
			mq_entry_of(message)->scan = mq->scan_number;
			mq->found_count++;
			mq_look_headers(&look);
		} else if (mq_is_news(mq, look.path, &look.seen.control))
			log_event(LOG_WARN, "mqueue-left", id,
			    "file=%s reason=%s", look.path,
			    "over the limits of a message");
	} else if (error == 0)
		mq_look_refuse(mq, &look);
	else if (error != -ENOENT && error != -EWOULDBLOCK &&
		 error != -ESTALE &&
		 mq_is_news(mq, look.path, &look.seen.control))
		log_event(LOG_WARN, "mqueue-left", id, "file=%s reason=%s",
		    look.path, strerror(-error));
	mq_look_end(mq, &look);
}

void
mq_look_at(struct mqueue *mq, struct mq_directory *directory, const char *id)
{
	char path[MQ_PATH_MAX];
	struct os_status status;

	/* Quarantined or released by another program, it has another name. */
	mq_path(path, directory->control, "qf", id);
	if (os_status(mq->os, path, &status) == 0)
		mq_look(mq, directory, "qf", id);
	else
		mq_look(mq, directory, "hf", id);
}

void
mq_look_again(struct mqueue *mq, struct mq_entry *entry)
{
	struct mq_directory *directory = entry->directory;
	struct ram_message *message;
	char id[STORE_ID_MAX + 1];
	bool is_lost = entry->is_lost;

	memcpy(id, entry->message->id, sizeof(id));
	mq_forget(mq, entry->message);
	if (is_lost)
		mq_look(mq, directory, "Qf", id);
	else
		mq_look_at(mq, directory, id);
	HASH_FIND_STR(mq->ram->by_id, id, message);
	if (message != NULL)
		mq_entry_of(message)->is_littered = true;
}

/* True if ID has a control file of a message in the directory, be it one that
   was set aside: its body is nobody's rest. */
static bool
mq_is_queued(
    struct mqueue *mq, const struct mq_directory *directory, const char *id)
{
	static const char *const prefixes[] = {"qf", "hf", "Qf"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct os_status status;
		char path[MQ_PATH_MAX];

		mq_path(path, directory->control, prefixes[i], id);
		if (os_status(mq->os, path, &status) != -ENOENT)
			return true;
	}
	return false;
}

/* True if a tf or xf that was read is what a kill of ours has left.  Killed
   before there was a word in it, a tf has no data file either. */
static bool
mq_is_rest(struct mqueue *mq, struct mq_look *look)
{
	struct str text = buf_str(&look->text), mark = STR("\n$" QF_PRIVATE);

	if (look->prefix[0] == 'x')
		return look->problem.kind == QF_FINE &&
		       look->q.recipient_count > 0;
	for (size_t i = 0; i < text.size; i++)
		if (str_starts(str_skip(text, i), mark))
			return true;
	return text.size == 0 && !mq_has_data(mq, look);
}

/* A tf or xf: removed if it is ours, and nobody's. */
static void
mq_look_rest(struct mqueue *mq, struct mq_directory *directory,
    const char *prefix, const char *id)
{
	struct mq_look look = {
	    .directory = directory, .prefix = prefix, .id = id};
	bool is_queued;
	int error;

	mq_path(look.path, directory->control, prefix, id);
	buf_init(&look.text, QF_FILE_MAX);
	arena_init(&look.arena, 0);
	error = mq_lock(mq, look.path, &look.file, &look.seen.control);
	if (error == 0)
		error = mq_look_read(mq, &look);
	/* Under its lock: it may have become a message meanwhile. */
	is_queued = mq_is_queued(mq, directory, id);
	if (error == 0 && mq_is_rest(mq, &look) &&
	    (!is_queued || (prefix[0] == 't' && buf_size(&look.text) > 0))) {
		log_event(LOG_NOTE, "mqueue-rest", id, "file=%s", look.path);
		/* The data file is that of the message, if there is one. */
		mq_remove_rest(mq, is_queued ? NULL : directory, look.path, id);
	}
	mq_look_end(mq, &look);
}

/* One that is known, and was seen again: is it still the same? */
static void
mq_compare(struct mqueue *mq, struct mq_entry *entry, const char *path)
{
	struct os_status status;

	entry->scan = mq->scan_number;
	if (entry->file != NULL || os_status(mq->os, path, &status) < 0 ||
	    mq_is_same(&status, &entry->seen))
		return;
	mq_look_again(mq, entry);
}

/* A second control file of a message, under its other name: what a kill between
   two moves of ours has left.  The one that was written first is removed, if
   both are ours and nobody is at them.  True if that was so. */
static bool
mq_end_twins(struct mqueue *mq, struct mq_entry *entry, const char *prefix)
{
	struct mq_look look = {.directory = entry->directory,
	    .prefix = prefix,
	    .id = entry->message->id};
	char known[MQ_PATH_MAX];
	struct os_file *file = NULL;
	struct os_status status;
	uint64_t version = 0;
	int error;

	mq_control_path(known, entry);
	mq_path(look.path, look.directory->control, prefix, look.id);
	buf_init(&look.text, QF_FILE_MAX);
	arena_init(&look.arena, 0);
	error = mq_lock(mq, look.path, &look.file, &look.seen.control);
	if (error == 0)
		error = mq_look_read(mq, &look);
	if (error == 0 && look.problem.kind == QF_FINE)
		version = mq_version_of(&look.q, &look.arena);
	if (error == 0)
		error = mq_lock(mq, known, &file, &status);
	if (error == 0 &&
	    (version == 0 || entry->version == 0 || version == entry->version ||
		!mq_is_same(&status, &entry->seen)))
		error = -EEXIST;
	if (error == 0)
		error = os_unlink(
		    mq->os, version < entry->version ? look.path : known);
	if (file != NULL)
		os_close(mq->os, file);
	mq_look_end(mq, &look);
	if (error == 0 && version > entry->version)
		mq_look_again(mq, entry);
	/* Whoever is at it ends it himself. */
	return error != -EEXIST;
}

static void
mq_scan_name(
    struct mqueue *mq, struct mq_directory *directory, const char *name)
{
	char prefix[3] = {name[0], name[1], '\0'}, path[MQ_PATH_MAX];
	const char *id = name + 2;
	struct ram_message *message;
	struct os_status status;

	if (!store_id_is_valid(str_from(id)) || strstr(id, "..") != NULL) {
		mq_path(path, directory->control, "", name);
		if ((name[0] == 'q' || name[0] == 'h') &&
		    os_status(mq->os, path, &status) == 0 &&
		    mq_is_news(mq, path, &status))
			log_event(LOG_WARN, "mqueue-left", "",
			    "file=%s reason=%s", path,
			    "not a name of a message");
		return;
	}
	HASH_FIND_STR(mq->ram->by_id, id, message);
	if (name[0] == 't' || name[0] == 'x') {
		if (message != NULL)
			mq_entry_of(message)->is_littered = true;
		if ((message == NULL || mq_entry_of(message)->file == NULL) &&
		    mq_stage_find(mq, id) == NULL)
			mq_look_rest(mq, directory, prefix, id);
		return;
	}
	mq_path(path, directory->control, prefix, id);
	if (message == NULL) {
		if (!mq_is_kept(mq, path))
			mq_look(mq, directory, prefix, id);
		return;
	}
	if (mq_entry_of(message)->directory == directory &&
	    mq_entry_of(message)->is_quarantined == (prefix[0] == 'h'))
		mq_compare(mq, mq_entry_of(message), path);
	else if (mq_entry_of(message)->scan == mq->scan_number &&
		 (mq_entry_of(message)->directory != directory ||
		     !mq_end_twins(mq, mq_entry_of(message), prefix)) &&
		 os_status(mq->os, path, &status) == 0 &&
		 mq_is_news(mq, path, &status))
		log_event(LOG_WARN, "mqueue-left", id, "file=%s reason=%s",
		    path, "another file has this id");
}

/* What was not seen is gone, or has another name. */
static void
mq_scan_missing(struct mqueue *mq)
{
	struct ram_message *message, *next;
	struct mq_bad *bad, *after;

	DL_FOREACH_SAFE(mq->ram->messages, message, next)
	{
		struct mq_entry *entry = mq_entry_of(message);

		if (entry->scan != mq->scan_number && entry->file == NULL)
			mq_look_again(mq, entry);
	}
	HASH_ITER(hh, mq->bad, bad, after)
	{
		if (bad->scan == mq->scan_number)
			continue;
		HASH_DEL(mq->bad, bad);
		free(bad->path);
		free(bad);
	}
}

void
mq_scan(struct mqueue *mq)
{
	bool is_whole = true;

	mq->scan_number++;
	mq->scan_mono_ms = os_mono_ms(mq->os);
	for (size_t i = 0; i < mq->directory_count; i++) {
		struct mq_directory *directory = &mq->directories[i];
		struct mq_names names = {.is_lost = mq->options.is_lost};
		int error = 0;

		mq_look_at_owner(mq, directory);
		if (!directory->is_left)
			error = os_list(
			    mq->os, directory->control, mq_names_add, &names);
		if (error < 0) {
			is_whole = false;
			log_event(LOG_WARN, "mqueue-scan", "",
			    "directory=%s error=%s", directory->control,
			    strerror(-error));
		}
		if (names.count > 0)
			qsort(names.names, names.count, sizeof(*names.names),
			    mq_compare_names);
		for (size_t j = 0; j < names.count; j++)
			mq_scan_name(mq, directory, names.names[j]);
		mq_names_free(&names);
	}
	if (is_whole)
		mq_scan_missing(mq);
}
