/*
 * The calls of the simulated os.  Promises: a call either fails at its start,
 * before it changed anything but the first half of a write, or is carried out;
 * the hook runs when the disk is whole, between two calls.
 */
#include "os/os_sim.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/os_name.h"
#include "os/os_sim_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* What os_room() says where there is no limit. */
#define SIM_ROOM_MAX      (UINT64_C(1) << 40)
#define SIM_WALL_FIRST_MS UINT64_C(1700000000000)
#define SIM_MONO_FIRST_MS 1000000
/* No file of a test is longer; an offset beyond is refused. */
#define SIM_FILE_MAX (UINT64_C(1) << 32)
/* Syncs of directories between two looks for what nothing leads to. */
#define SIM_SWEEP_EVERY 64

struct os_file {
	struct os_file *prev, *next;
	struct sim_inode *inode;
	int flags;
};

static struct os_sim *
sim_of(struct os *os)
{
	return (struct os_sim *)(void *)os;
}

/* Counts a call that can fail: 0, or the error that it is to return. */
static int
sim_call(struct os_sim *sim)
{
	sim->call_count++;
	if (sim->fail_at == 0 || sim->call_count < sim->fail_at ||
	    (sim->call_count > sim->fail_at && !sim->is_fail_sticky))
		return 0;
	return sim->fail_error;
}

/* The same for one that changes the disk. */
static int
sim_call_change(struct os_sim *sim)
{
	if (sim->hook != NULL)
		sim->hook(sim->hook_arg, &sim->os);
	return sim_call(sim);
}

struct sim_inode *
sim_inode_new(struct os_sim *sim, bool is_directory)
{
	struct sim_inode *inode = mem_new(1, sizeof(*inode));

	inode->is_directory = is_directory;
	inode->changed_ms = sim->wall_ms;
	inode->number = ++sim->inode_last;
	DL_APPEND(sim->inodes, inode);
	return inode;
}

static void
sim_names_free(struct sim_entry **names)
{
	struct sim_entry *entry, *next;

	HASH_ITER(hh, *names, entry, next)
	{
		HASH_DEL(*names, entry);
		free(entry);
	}
}

static void
sim_namings_free(struct sim_naming **namings)
{
	struct sim_naming *naming, *next;

	DL_FOREACH_SAFE(*namings, naming, next)
	{
		DL_DELETE(*namings, naming);
		free(naming);
	}
}

static void
sim_writes_free(struct sim_write **writes)
{
	struct sim_write *write, *next;

	DL_FOREACH_SAFE(*writes, write, next)
	{
		DL_DELETE(*writes, write);
		free(write->data);
		free(write);
	}
}

static void
sim_inode_free(struct os_sim *sim, struct sim_inode *inode)
{
	DL_DELETE(sim->inodes, inode);
	sim_bytes_fini(&inode->now);
	sim_bytes_fini(&inode->durable);
	sim_writes_free(&inode->writes);
	sim_names_free(&inode->names_now);
	sim_names_free(&inode->names_durable);
	sim_namings_free(&inode->namings);
	free(inode);
}

struct sim_inode *
sim_names_get(struct sim_entry *names, const char *name)
{
	struct sim_entry *entry;

	HASH_FIND_STR(names, name, entry);
	return entry != NULL ? entry->inode : NULL;
}

void
sim_names_set(
    struct sim_entry **names, const char *name, struct sim_inode *inode)
{
	struct sim_entry *entry;

	HASH_FIND_STR(*names, name, entry);
	if (entry != NULL) {
		HASH_DEL(*names, entry);
		free(entry);
	}
	if (inode == NULL)
		return;
	entry = mem_new(1, sizeof(*entry));
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->inode = inode;
	HASH_ADD_STR(*names, name, entry);
}

/* Frees every inode that no name, now or after a cut, and no open file can
   reach. */
static void
sim_sweep(struct os_sim *sim)
{
	struct sim_inode *inode, *next;
	struct sim_entry *entry, *after;
	struct sim_naming *naming;

	/* It looks at everything: now and then is enough. */
	if (++sim->sync_count % SIM_SWEEP_EVERY > 0)
		return;
	DL_FOREACH(sim->inodes, inode)
	inode->is_marked = inode->open_count > 0 || inode == sim->root;
	DL_FOREACH(sim->inodes, inode)
	{
		HASH_ITER(hh, inode->names_now, entry, after)
		entry->inode->is_marked = true;
		HASH_ITER(hh, inode->names_durable, entry, after)
		entry->inode->is_marked = true;
		DL_FOREACH(inode->namings, naming)
		if (naming->inode != NULL)
			naming->inode->is_marked = true;
	}
	DL_FOREACH_SAFE(sim->inodes, inode, next)
	if (!inode->is_marked)
		sim_inode_free(sim, inode);
}

/* Gives back the room of a file that nobody can see any more. */
static void
sim_release(struct os_sim *sim, struct sim_inode *inode)
{
	if (inode->link_count == 0 && inode->open_count == 0)
		sim->room = num_add_capped(sim->room, inode->now.size);
}

/* Notes that NAME in DIRECTORY is now INODE, or NULL. */
static void
sim_name(struct os_sim *sim, struct sim_inode *directory, const char *name,
    struct sim_inode *inode)
{
	struct sim_inode *before = sim_names_get(directory->names_now, name);
	struct sim_naming *naming = mem_new(1, sizeof(*naming));

	CHECK(strlen(name) <= SIM_NAME_MAX);
	snprintf(naming->name, sizeof(naming->name), "%s", name);
	naming->inode = inode;
	naming->order = ++sim->order_last;
	DL_APPEND(directory->namings, naming);
	sim_names_set(&directory->names_now, name, inode);
	if (inode != NULL)
		inode->link_count++;
	if (before != NULL) {
		CHECK(before->link_count > 0);
		before->link_count--;
		sim_release(sim, before);
	}
}

/* The directory that has NAME, and the last part of NAME: 0 or -errno. */
static int
sim_resolve(struct os_sim *sim, const char *name,
    struct sim_inode **directory_out, const char **last_out)
{
	char part[SIM_NAME_MAX + 1];
	size_t size;

	*directory_out = sim->root;
	*last_out = name;
	if (!os_name_is_valid(name))
		return -EINVAL;
	while ((size = strcspn(*last_out, "/")), (*last_out)[size] != '\0') {
		if (size > SIM_NAME_MAX)
			return -ENAMETOOLONG;
		snprintf(part, sizeof(part), "%.*s", (int)size, *last_out);
		*directory_out =
		    sim_names_get((*directory_out)->names_now, part);
		if (*directory_out == NULL)
			return -ENOENT;
		if (!(*directory_out)->is_directory)
			return -ENOTDIR;
		*last_out += size + 1;
	}
	return size > SIM_NAME_MAX ? -ENAMETOOLONG : 0;
}

static int
sim_open(struct os *os, const char *name, int flags, struct os_file **file_out)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *directory, *inode;
	const char *last;
	int error = sim_resolve(sim, name, &directory, &last);

	*file_out = NULL;
	if (error < 0 || !(flags & (OS_READ | OS_WRITE)))
		return error < 0 ? error : -EINVAL;
	inode = sim_names_get(directory->names_now, last);
	error = inode == NULL && (flags & OS_CREATE) ? sim_call_change(sim)
	                                             : sim_call(sim);
	if (error < 0)
		return error;
	if (inode == NULL && !(flags & OS_CREATE))
		return -ENOENT;
	if (inode != NULL && (flags & OS_CREATE) && (flags & OS_EXCLUSIVE))
		return -EEXIST;
	if (inode != NULL && inode->is_directory)
		return -EINVAL;
	if (inode == NULL) {
		inode = sim_inode_new(sim, false);
		sim_name(sim, directory, last, inode);
	}
	inode->open_count++;
	*file_out = mem_new(1, sizeof(**file_out));
	(*file_out)->inode = inode;
	(*file_out)->flags = flags;
	DL_APPEND(sim->files, *file_out);
	return 0;
}

static void
sim_file_free(struct os_sim *sim, struct os_file *file)
{
	struct sim_inode *inode = file->inode;

	CHECK(inode->open_count > 0);
	if (inode->locker == file)
		inode->locker = NULL;
	inode->open_count--;
	sim_release(sim, inode);
	DL_DELETE(sim->files, file);
	free(file);
}

static int
sim_close(struct os *os, struct os_file *file)
{
	int error = sim_call(sim_of(os));

	sim_file_free(sim_of(os), file);
	return error;
}

static int64_t
sim_pread(struct os *os, struct os_file *file, void *data, size_t size,
    uint64_t offset)
{
	int error = sim_call(sim_of(os));

	if (error < 0)
		return error;
	if (!(file->flags & OS_READ))
		return -EBADF;
	return (int64_t)sim_bytes_read(&file->inode->now, data, size, offset);
}

void
sim_write_apply(
    struct sim_bytes *bytes, const struct sim_write *write, size_t size)
{
	CHECK(size <= write->size);
	if (write->is_resize)
		sim_bytes_resize(bytes, write->offset);
	else
		sim_bytes_write(bytes, write->data, size, write->offset);
}

/* Carries out a write, or with DATA NULL a change of size to OFFSET. */
static void
sim_change(struct os_sim *sim, struct sim_inode *inode, const char *data,
    size_t size, uint64_t offset)
{
	struct sim_write *write = mem_new(1, sizeof(*write));
	uint64_t before = inode->now.size;

	write->order = ++sim->order_last;
	write->is_resize = data == NULL;
	write->offset = offset;
	write->size = size;
	write->data = data != NULL ? mem_copy_text(data, size) : NULL;
	DL_APPEND(inode->writes, write);
	inode->changed_ms = sim->wall_ms;
	sim_write_apply(&inode->now, write, size);
	if (inode->now.size < before)
		sim->room = num_add_capped(sim->room, before - inode->now.size);
	else if (sim->room != UINT64_MAX)
		sim->room -= inode->now.size - before;
}

/* True if INODE can grow to SIZE. */
static bool
sim_has_room(struct os_sim *sim, struct sim_inode *inode, uint64_t size)
{
	return size <= inode->now.size || size - inode->now.size <= sim->room;
}

static int
sim_pwrite(struct os *os, struct os_file *file, const void *data, size_t size,
    uint64_t offset)
{
	struct os_sim *sim = sim_of(os);
	int error = sim_call_change(sim);

	if (!(file->flags & OS_WRITE))
		return -EBADF;
	if (num_add_capped(offset, size) > SIM_FILE_MAX)
		return -EFBIG;
	if (error == 0 && !sim_has_room(sim, file->inode, offset + size))
		error = -ENOSPC;
	/* As much of a write that fails as may have been done. */
	if (error < 0)
		size /= 2;
	if (size > 0 && sim_has_room(sim, file->inode, offset + size))
		sim_change(sim, file->inode, data, size, offset);
	return error;
}

static int
sim_sync(struct os *os, struct os_file *file)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *inode = file->inode;
	int error = sim_call_change(sim);
	struct sim_write *write;

	if (error < 0 && !sim->is_sync_dropping)
		return error;
	if (error == 0)
		DL_FOREACH(inode->writes, write)
	sim_write_apply(&inode->durable, write, write->size);
	sim_writes_free(&inode->writes);
	return error;
}

/* The directory called NAME, "" for the root: 0 or -errno. */
static int
sim_directory(
    struct os_sim *sim, const char *name, struct sim_inode **directory_out)
{
	const char *last;
	int error;

	*directory_out = sim->root;
	if (!os_directory_is_valid(name))
		return -EINVAL;
	if (name[0] == '\0')
		return 0;
	error = sim_resolve(sim, name, directory_out, &last);
	if (error < 0)
		return error;
	*directory_out = sim_names_get((*directory_out)->names_now, last);
	if (*directory_out == NULL)
		return -ENOENT;
	return (*directory_out)->is_directory ? 0 : -ENOTDIR;
}

static int
sim_sync_directory(struct os *os, const char *name)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *directory;
	int error = sim_directory(sim, name, &directory);
	struct sim_naming *naming;

	if (error < 0)
		return error;
	error = sim_call_change(sim);
	if (error < 0)
		return error;
	DL_FOREACH(directory->namings, naming)
	sim_names_set(&directory->names_durable, naming->name, naming->inode);
	sim_namings_free(&directory->namings);
	sim_sweep(sim);
	return 0;
}

static int
sim_truncate(struct os *os, struct os_file *file, uint64_t size)
{
	struct os_sim *sim = sim_of(os);
	int error = sim_call_change(sim);

	if (error < 0)
		return error;
	if (!(file->flags & OS_WRITE))
		return -EBADF;
	if (size > SIM_FILE_MAX)
		return -EFBIG;
	if (!sim_has_room(sim, file->inode, size))
		return -ENOSPC;
	if (size != file->inode->now.size)
		sim_change(sim, file->inode, NULL, 0, size);
	return 0;
}

static int
sim_allocate(struct os *os, struct os_file *file, uint64_t size)
{
	return sim_truncate(os, file,
	    size > file->inode->now.size ? size : file->inode->now.size);
}

static int
sim_size(struct os *os, struct os_file *file, uint64_t *size_out)
{
	int error = sim_call(sim_of(os));

	if (error == 0)
		*size_out = file->inode->now.size;
	return error;
}

static void
sim_set_status(const struct sim_inode *inode, struct os_status *to)
{
	*to = (struct os_status){
	    .is_file = !inode->is_directory,
	    .is_directory = inode->is_directory,
	    .mode = inode->is_directory ? 0700 : 0600,
	    .link_count = inode->link_count,
	    .inode = inode->number,
	    .size = inode->now.size,
	    .mtime_ns = inode->changed_ms * 1000000,
	};
}

static int
sim_file_status(
    struct os *os, struct os_file *file, struct os_status *status_out)
{
	int error = sim_call(sim_of(os));

	if (error == 0)
		sim_set_status(file->inode, status_out);
	return error;
}

static int
sim_status(struct os *os, const char *name, struct os_status *status_out)
{
	struct sim_inode *directory = NULL, *inode;
	const char *last = NULL;
	int error = 0;

	if (name[0] != '\0')
		error = sim_resolve(sim_of(os), name, &directory, &last);
	if (error == 0)
		error = sim_call(sim_of(os));
	if (error < 0)
		return error;
	inode = last != NULL ? sim_names_get(directory->names_now, last)
	                     : sim_of(os)->root;
	if (inode == NULL)
		return -ENOENT;
	sim_set_status(inode, status_out);
	return 0;
}

static int
sim_rename(struct os *os, const char *from, const char *to)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *from_directory, *to_directory, *inode, *old;
	const char *from_last, *to_last;
	int error = sim_resolve(sim, from, &from_directory, &from_last);

	if (error == 0)
		error = sim_resolve(sim, to, &to_directory, &to_last);
	if (error == 0)
		error = sim_call_change(sim);
	if (error < 0)
		return error;
	inode = sim_names_get(from_directory->names_now, from_last);
	old = sim_names_get(to_directory->names_now, to_last);
	if (inode == NULL)
		return -ENOENT;
	if (inode->is_directory || (old != NULL && old->is_directory))
		return -EISDIR;
	if (inode == old)
		return 0;
	sim_name(sim, to_directory, to_last, inode);
	sim_name(sim, from_directory, from_last, NULL);
	return 0;
}

static int
sim_unlink(struct os *os, const char *name)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *directory, *inode;
	const char *last;
	int error = sim_resolve(sim, name, &directory, &last);

	if (error == 0)
		error = sim_call_change(sim);
	if (error < 0)
		return error;
	inode = sim_names_get(directory->names_now, last);
	if (inode == NULL)
		return -ENOENT;
	if (inode->is_directory)
		return -EISDIR;
	sim_name(sim, directory, last, NULL);
	return 0;
}

static int
sim_make_directory(struct os *os, const char *name)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *directory;
	const char *last;
	int error;

	if (name[0] == '\0' || !os_directory_is_valid(name))
		return -EINVAL;
	error = sim_resolve(sim, name, &directory, &last);
	if (error == 0)
		error = sim_call_change(sim);
	if (error < 0)
		return error;
	if (sim_names_get(directory->names_now, last) != NULL)
		return -EEXIST;
	sim_name(sim, directory, last, sim_inode_new(sim, true));
	return 0;
}

static int
sim_list(struct os *os, const char *name, os_name_fn *fn, void *arg)
{
	struct os_sim *sim = sim_of(os);
	struct sim_inode *directory;
	struct sim_entry *entry, *next;
	char(*names)[SIM_NAME_MAX + 1];
	size_t count, i = 0;
	int error = sim_directory(sim, name, &directory);

	if (error == 0)
		error = sim_call(sim);
	if (error < 0)
		return error;
	/* FN may change the directory: it is given what was there before. */
	count = HASH_COUNT(directory->names_now);
	names = mem_new(count, sizeof(*names));
	HASH_ITER(hh, directory->names_now, entry, next)
	memcpy(names[i++], entry->name, sizeof(*names));
	for (i = 0; i < count; i++)
		fn(arg, names[i]);
	free(names);
	return 0;
}

static int
sim_lock(struct os *os, struct os_file *file)
{
	int error = sim_call(sim_of(os));

	if (error < 0)
		return error;
	if (file->inode->locker != NULL && file->inode->locker != file)
		return -EWOULDBLOCK;
	file->inode->locker = file;
	return 0;
}

static int
sim_room(struct os *os, uint64_t *bytes_out)
{
	struct os_sim *sim = sim_of(os);
	int error = sim_call(sim);

	if (error == 0)
		*bytes_out =
		    sim->room < SIM_ROOM_MAX ? sim->room : SIM_ROOM_MAX;
	return error;
}

static uint64_t
sim_mono_ms(struct os *os)
{
	return sim_of(os)->mono_ms;
}

static uint64_t
sim_wall_ms(struct os *os)
{
	return sim_of(os)->wall_ms;
}

static void
sim_random_fill(struct os *os, void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)data)[i] = (char)sim_random(&sim_of(os)->random);
}

static void
sim_free(struct os *os)
{
	struct os_sim *sim = sim_of(os);

	/* An engine that died with a failed sync has closed nothing. */
	while (sim->files != NULL)
		sim_file_free(sim, sim->files);
	while (sim->inodes != NULL)
		sim_inode_free(sim, sim->inodes);
	free(sim);
}

static const struct os_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .datasync = sim_sync,
    .sync = sim_sync,
    .sync_directory = sim_sync_directory,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .size = sim_size,
    .file_status = sim_file_status,
    .status = sim_status,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .make_directory = sim_make_directory,
    .list = sim_list,
    .list_directories = sim_list,
    .lock = sim_lock,
    .room = sim_room,
    .mono_ms = sim_mono_ms,
    .wall_ms = sim_wall_ms,
    .random = sim_random_fill,
    .free = sim_free,
};

struct os *
os_sim_new(uint64_t seed)
{
	struct os_sim *sim = mem_new(1, sizeof(*sim));

	sim->os.ops = &sim_ops;
	sim->random = seed;
	sim->mono_ms = SIM_MONO_FIRST_MS;
	sim->wall_ms = SIM_WALL_FIRST_MS;
	sim->room = UINT64_MAX;
	sim->root = sim_inode_new(sim, true);
	return &sim->os;
}

void
os_sim_fail_at(struct os *os, uint64_t n, int error, bool is_sticky)
{
	struct os_sim *sim = sim_of(os);

	CHECK(error < 0 || n == 0);
	sim->fail_at = n > 0 ? sim->call_count + n : 0;
	sim->fail_error = error;
	sim->is_fail_sticky = is_sticky;
}

void
os_sim_set_sync_drops(struct os *os, bool is_dropped)
{
	sim_of(os)->is_sync_dropping = is_dropped;
}

void
os_sim_set_room(struct os *os, uint64_t bytes)
{
	sim_of(os)->room = bytes;
}

uint64_t
os_sim_calls(struct os *os)
{
	return sim_of(os)->call_count;
}

void
os_sim_set_hook(struct os *os, os_sim_hook_fn *fn, void *arg)
{
	sim_of(os)->hook = fn;
	sim_of(os)->hook_arg = arg;
}

int
os_sim_flip(struct os *os, const char *name, uint64_t offset)
{
	struct sim_inode *directory, *inode;
	const char *last;
	char byte, flipped, seen;
	int error = sim_resolve(sim_of(os), name, &directory, &last);

	if (error < 0)
		return error;
	inode = sim_names_get(directory->names_now, last);
	if (inode == NULL || inode->is_directory)
		return -ENOENT;
	if (sim_bytes_read(&inode->durable, &byte, 1, offset) == 0)
		return -EINVAL;
	flipped = (char)(byte ^ 1);
	sim_bytes_write(&inode->durable, &flipped, 1, offset);
	/* Reads see it too, unless an unsynced write is in the way. */
	if (sim_bytes_read(&inode->now, &seen, 1, offset) > 0 && seen == byte)
		sim_bytes_write(&inode->now, &flipped, 1, offset);
	return 0;
}

void
os_sim_advance(struct os *os, uint64_t ms)
{
	sim_of(os)->mono_ms += ms;
	sim_of(os)->wall_ms += ms;
}

void
os_sim_set_wall(struct os *os, uint64_t wall_ms)
{
	sim_of(os)->wall_ms = wall_ms;
}
