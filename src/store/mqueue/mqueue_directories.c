/*
 * Which directories the queue has: the base alone, with qf/, df/ and xf/ in it
 * or not, or directories in it that are such.
 *
 * Of a pattern or a group, all that have such a name.  Else the base, if it
 * holds control files, as of sendmail's QueueDirectory without a pattern; the
 * directories in it are then only where d lines may point to.  If it holds
 * none, the directories in it, too.
 */
#include "store/mqueue/mqueue_own.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Names in the base. */
struct mq_base {
	char **names;
	size_t count, capacity;
};

static void
mq_base_add(void *arg, const char *name)
{
	struct mq_base *base = arg;

	if (strlen(name) > MQ_NAME_MAX)
		return;
	if (base->count == base->capacity) {
		base->capacity = base->capacity * 2 + 64;
		base->names = mem_resize(
		    base->names, base->capacity, sizeof(*base->names));
	}
	base->names[base->count++] = mem_copy_text(name, strlen(name));
}

static void
mq_base_free(struct mq_base *base)
{
	for (size_t i = 0; i < base->count; i++)
		free(base->names[i]);
	free(base->names);
}

static int
mq_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
mq_has_directory(struct mqueue *mq, const char *base, const char *name)
{
	struct os_status status;
	char path[MQ_PATH_MAX];

	mq_path(path, base, name, "");
	return os_status(mq->os, path, &status) == 0 && status.is_directory;
}

/* Sets PATH to the part NAME of the directory BASE, if it has one. */
static void
mq_set_part(struct mqueue *mq, const char *base, const char *name,
    char path[MQ_PATH_MAX])
{
	if (mq_has_directory(mq, base, name))
		mq_path(path, base, name, "");
	else
		memcpy(path, base, strlen(base) + 1);
}

/* True if the directory NAME, "" for the base, is one that is meant. */
static bool
mq_is_meant(const struct mqueue *mq, const char *name)
{
	struct str group = str_from(mq->group), rest = str_from(name);

	if (group.size == 0)
		return !mq->options.has_prefix ||
		       (rest.size > 0 &&
			   str_starts(rest, str_from(mq->prefix)));
	if (!str_starts(rest, group))
		return false;
	rest = str_skip(rest, group.size);
	while (rest.size > 0 && ascii_is_digit(rest.data[0]))
		rest = str_skip(rest, 1);
	return rest.size == 0;
}

static void
mq_add_directory(struct mqueue *mq, const char *name)
{
	struct mq_directory *d = &mq->directories[mq->directory_count++];

	memcpy(d->name, name, strlen(name) + 1);
	d->is_left = !mq_is_meant(mq, name);
	mq_set_part(mq, name, "qf", d->control);
	mq_set_part(mq, name, "df", d->data);
	mq_set_part(mq, name, "xf", d->script);
}

/* True for a name in the base that can be a queue directory. */
static bool
mq_is_queue_name(struct mqueue *mq, const char *name)
{
	static const char *const others[] = {"qf", "df", "xf", "lost+found"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return name[0] != '.' && strstr(name, "..") == NULL &&
	       mq_has_directory(mq, "", name);
}

/* Others than the owner may write to a directory of STATUS.  Root's group is
   as good as root. */
static bool
mq_is_shared(const struct os_status *status)
{
	return (status->mode & 02) != 0 ||
	       ((status->mode & 020) != 0 && status->gid != 0);
}

void
mq_look_at_owner(struct mqueue *mq, struct mq_directory *directory)
{
	struct os_status status = {.mode = 0};

	directory->is_shared =
	    os_status(mq->os, directory->data, &status) == 0 &&
	    mq_is_shared(&status);
	/* What cannot be looked at can have no files either. */
	if (os_status(mq->os, directory->control, &status) < 0)
		return;
	directory->uid = status.uid;
	directory->gid = status.gid;
	directory->is_group_writable = (status.mode & 020) != 0;
	directory->is_shared |= mq_is_shared(&status);
}

/*
 * As sendmail has it with a QueueFileMode that fits the directory, 0600 or, in
 * a directory of its submission program's, 0660: who may write to the directory
 * may write the control file too, and nobody else.
 *
 * Where others than the owner may write there, they could give a control file
 * another's data file, or a second name to a control file of the owner's.
 * sendmail does not look at that.
 */
const char *
mq_distrust(const struct mq_directory *directory,
    const struct os_status *control, const struct os_status *data)
{
	if ((control->mode & 02) != 0 ||
	    ((control->mode & 020) != 0 && (!directory->is_group_writable ||
					       directory->gid != control->gid)))
		return "writable by others";
	if (!directory->is_shared)
		return NULL;
	if (control->link_count > 1)
		return "has another name";
	if (data->link_count > 1)
		return "data file has another name";
	/* What was written anew is the directory's owner's. */
	if (data->uid != control->uid && control->uid != directory->uid)
		return "data file of another owner";
	return NULL;
}

/* True if the base is a queue itself, as its files or its parts show. */
static bool
mq_base_is_queue(struct mqueue *mq, const struct mq_base *base)
{
	if (mq_has_directory(mq, "", "qf"))
		return true;
	for (size_t i = 0; i < base->count; i++) {
		const char *name = base->names[i];

		if ((name[0] == 'q' || name[0] == 'h' || name[0] == 'Q') &&
		    name[1] == 'f' && name[2] != '\0' &&
		    !mq_has_directory(mq, "", name))
			return true;
	}
	return false;
}

/* True if new messages may go to the directory of a base that is no queue, of
   which nobody said which of its directories are. */
static bool
mq_looks_like_queue(const struct mq_directory *directory)
{
	return directory->name[0] == 'q' ||
	       strcmp(directory->control, directory->name) != 0;
}

/* Which directories are looked at, and where new messages go. */
static void
mq_choose(struct mqueue *mq, const struct mq_base *names)
{
	struct mq_directory *base = &mq->directories[mq->directory_count - 1];
	bool is_named = mq->group[0] != '\0' || mq->options.has_prefix;
	bool is_alone = !is_named && mq_base_is_queue(mq, names);
	uint32_t first;

	mq->fresh = mem_new(mq->directory_count, sizeof(mq->fresh[0]));
	for (size_t i = 0; i + 1 < mq->directory_count; i++) {
		struct mq_directory *d = &mq->directories[i];

		d->is_left |= is_alone;
		if (!d->is_left && (is_named || mq_looks_like_queue(d)))
			mq->fresh[mq->fresh_count++] = d;
	}
	/* Where there is none the base is one, lest mail lie there unseen. */
	if (mq->fresh_count == 0) {
		base->is_left &= mq->group[0] != '\0';
		mq->fresh[mq->fresh_count++] = base;
	}
	os_random(mq->os, &first, sizeof(first));
	mq->fresh_next = first % mq->fresh_count;
}

struct mq_directory *
mq_fresh(struct mqueue *mq)
{
	struct mq_directory *directory = mq->fresh[mq->fresh_next];

	mq->fresh_next = (mq->fresh_next + 1) % mq->fresh_count;
	return directory;
}

int
mq_scan_directories(struct mqueue *mq)
{
	struct mq_base base = {.count = 0}, parts = {.count = 0};
	int error = os_list(mq->os, "", mq_base_add, &base);

	if (error == 0)
		error = os_list_directories(mq->os, "", mq_base_add, &parts);
	mq->directories =
	    mem_new(MQUEUE_DIRECTORIES_MAX, sizeof(*mq->directories));
	if (parts.count > 0)
		qsort(parts.names, parts.count, sizeof(*parts.names),
		    mq_compare_names);
	for (size_t i = 0; error == 0 && i < parts.count; i++) {
		if (!mq_is_queue_name(mq, parts.names[i]))
			continue;
		if (mq->directory_count == MQUEUE_DIRECTORIES_MAX - 1) {
			log_event(LOG_WARN, "mqueue-directories", "",
			    "directory=%s max=%d", parts.names[i],
			    MQUEUE_DIRECTORIES_MAX);
			break;
		}
		mq_add_directory(mq, parts.names[i]);
	}
	/* The base itself comes last. */
	if (error == 0) {
		mq_add_directory(mq, "");
		mq_choose(mq, &base);
	}
	mq_base_free(&base);
	mq_base_free(&parts);
	return error;
}
