/*
 * The files that are known.  Invariants: (1) a file is in the table by name and
 * in the heap by the time of its next try; (2) there are at most
 * PICKUP_FILES_MAX, and PICKUP_USER_MAX of one user, so that one whose mail
 * cannot be taken keeps nobody else's out; what is beyond that is learnt when
 * some are gone; (3) an owner counts his files and is there while he has any.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/pickup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_STRANGE_MAX 16  /* names that are not ours, in one look */
#define LIST_NAME_MAX    255 /* of a file */

/* What one look at a directory finds. */
struct list_scan {
	struct pickup_list *list;
	struct pickup_file **files; /* that were not known */
	size_t count, capacity;
	size_t look_count;
	char strange[LIST_STRANGE_MAX][LIST_NAME_MAX + 1];
	size_t strange_count;
	bool is_cut;
};

void
pickup_list_init(struct pickup_list *l, struct os *os)
{
	*l = (struct pickup_list){.os = os};
	heap_init(&l->due);
}

void
pickup_list_fini(struct pickup_list *l)
{
	struct pickup_file *file, *next;

	HASH_ITER(hh, l->files, file, next) pickup_list_forget(l, file);
	heap_fini(&l->due);
}

static void
scan_strange(struct list_scan *scan, const char *name)
{
	size_t size = strlen(name);

	if (size > LIST_NAME_MAX || scan->strange_count == LIST_STRANGE_MAX)
		return;
	memcpy(scan->strange[scan->strange_count++], name, size + 1);
}

/* The owner of NAME with room for one more; NULL if he has none. */
static struct pickup_owner *
scan_owner(struct list_scan *scan, const char *name)
{
	struct pickup_list *l = scan->list;
	struct os_status status = {.uid = UINT32_MAX};
	char path[PICKUP_PATH_SIZE];
	struct pickup_owner *owner;

	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", name);
	/* Of one that cannot be looked at, nobody. */
	if (scan->look_count++ >= PICKUP_LOOKS_MAX ||
	    os_status(l->os, path, &status) == -ENOENT)
		return NULL;
	HASH_FIND(hh, l->owners, &status.uid, sizeof(status.uid), owner);
	if (owner == NULL) {
		owner = mem_new(1, sizeof(*owner));
		owner->uid = status.uid;
		HASH_ADD(hh, l->owners, uid, sizeof(owner->uid), owner);
	}
	return owner->count < PICKUP_USER_MAX ? owner : NULL;
}

static void
scan_name(void *arg, const char *name)
{
	struct list_scan *scan = arg;
	struct pickup_list *l = scan->list;
	struct pickup_owner *owner;
	struct pickup_file *file;

	if (!drop_name_is_valid(str_from(name))) {
		scan_strange(scan, name);
		return;
	}
	HASH_FIND(hh, l->files, name, DROP_NAME_SIZE - 1, file);
	if (file != NULL)
		return;
	owner = HASH_COUNT(l->files) < PICKUP_FILES_MAX ? scan_owner(scan, name)
	                                                : NULL;
	if (owner == NULL) {
		scan->is_cut = true;
		return;
	}
	if (scan->count == scan->capacity) {
		scan->capacity = scan->capacity > 0 ? scan->capacity * 2 : 64;
		scan->files = mem_resize(
		    scan->files, scan->capacity, sizeof(scan->files[0]));
	}
	file = mem_new(1, sizeof(*file));
	memcpy(file->name, name, DROP_NAME_SIZE);
	file->owner = owner;
	owner->count++;
	HASH_ADD(hh, l->files, name, DROP_NAME_SIZE - 1, file);
	scan->files[scan->count++] = file;
}

static int
scan_compare(const void *a, const void *b)
{
	const struct pickup_file *first = *(struct pickup_file *const *)a;
	const struct pickup_file *second = *(struct pickup_file *const *)b;

	return memcmp(first->name, second->name, DROP_NAME_SIZE);
}

int
pickup_list_scan(struct pickup_list *l, uint64_t now_ms)
{
	struct list_scan scan = {.list = l};
	int error = os_list(l->os, DROP_DIR_NEW, scan_name, &scan);

	l->is_cut = scan.is_cut;
	l->is_gone = false;
	/* In order of names, which is that of their times. */
	if (scan.count > 0)
		qsort(scan.files, scan.count, sizeof(scan.files[0]),
		    scan_compare);
	for (size_t i = 0; i < scan.count; i++)
		heap_set(&l->due, &scan.files[i]->due, now_ms);
	free(scan.files);
	for (size_t i = 0; i < scan.strange_count; i++)
		(void)!pickup_list_set_aside(l->os, scan.strange[i], UINT32_MAX,
		    false, "not a drop file");
	return error;
}

/* Names in order are times in order: what is under the oldest that may be. */
struct list_clean {
	char oldest[DROP_NAME_SIZE];
	char names[LIST_STRANGE_MAX][DROP_NAME_SIZE];
	size_t count;
};

static void
clean_name(void *arg, const char *name)
{
	struct list_clean *clean = arg;

	if (clean->count < LIST_STRANGE_MAX &&
	    drop_name_is_valid(str_from(name)) &&
	    memcmp(name, clean->oldest, DROP_NAME_SIZE) < 0)
		memcpy(clean->names[clean->count++], name, DROP_NAME_SIZE);
}

void
pickup_list_clean(struct pickup_list *l, uint64_t wall_ms)
{
	struct list_clean clean = {.count = 0};
	char path[PICKUP_PATH_SIZE];

	if (wall_ms < DROP_TEMP_AGE_MS)
		return;
	drop_name_format(wall_ms - DROP_TEMP_AGE_MS, 0, clean.oldest);
	/* What stays for any reason is met again. */
	(void)os_list(l->os, DROP_DIR_TEMP, clean_name, &clean);
	for (size_t i = 0; i < clean.count; i++) {
		snprintf(
		    path, sizeof(path), DROP_DIR_TEMP "/%s", clean.names[i]);
		(void)os_unlink(l->os, path);
	}
}

static void
bad_name(void *arg, const char *name)
{
	(*(size_t *)arg)++;
}

void
pickup_list_tell_bad(const struct pickup_list *l)
{
	size_t count = 0;

	if (os_list(l->os, PICKUP_DIR_BAD, bad_name, &count) == 0 && count > 0)
		log_event(LOG_WARN, "drop-bad-kept", "", "count=%zu", count);
}

struct pickup_file *
pickup_list_first(const struct pickup_list *l, uint64_t now_ms)
{
	struct heap_node *node = heap_first(&l->due);

	if (node == NULL || node->due_ms > now_ms)
		return NULL;
	return HEAP_OBJECT(node, struct pickup_file, due);
}

uint64_t
pickup_list_due(const struct pickup_list *l)
{
	const struct heap_node *node = heap_first(&l->due);

	return node != NULL ? node->due_ms : UINT64_MAX;
}

uint64_t
pickup_list_defer(
    struct pickup_list *l, struct pickup_file *file, uint64_t now_ms)
{
	uint64_t wait_ms = file->retry_ms;

	if (wait_ms == 0)
		wait_ms = PICKUP_RETRY_MS;
	file->retry_ms = wait_ms * 2 < PICKUP_RETRY_MAX_MS
	                     ? wait_ms * 2
	                     : PICKUP_RETRY_MAX_MS;
	heap_set(&l->due, &file->due, now_ms + wait_ms);
	return wait_ms;
}

void
pickup_list_forget(struct pickup_list *l, struct pickup_file *file)
{
	struct pickup_owner *owner = file->owner;

	heap_remove(&l->due, &file->due);
	HASH_DELETE(hh, l->files, file);
	CHECK(owner->count > 0);
	if (--owner->count == 0) {
		HASH_DELETE(hh, l->owners, owner);
		free(owner);
	}
	l->is_gone = true;
	free(file->is_done);
	free(file);
}

int
pickup_list_set_aside(struct os *os, const char *name, uint32_t uid,
    bool is_void, const char *reason)
{
	char from[LIST_NAME_MAX + 16], to[LIST_NAME_MAX + 16];
	int error;

	snprintf(from, sizeof(from), DROP_DIR_NEW "/%s", name);
	snprintf(to, sizeof(to), PICKUP_DIR_BAD "/%s", name);
	error = os_rename(os, from, to);
	/* Links and pipes may not be moved; they hold nothing. */
	if (error == -EACCES && is_void)
		error = os_unlink(os, from);
	if (error < 0)
		log_event(LOG_WARN, "drop-bad", "",
		    "file=%s reason=%s error=%s", name, reason,
		    strerror(-error));
	else if (uid == UINT32_MAX)
		log_event(LOG_WARN, "drop-bad", "", "file=%s reason=%s", name,
		    reason);
	else
		log_event(LOG_WARN, "drop-bad", "", "file=%s uid=%u reason=%s",
		    name, uid, reason);
	return error;
}
