/*
 * The file layer of SQLite over struct os; see spool_vfs.h.  Promises: a name
 * that SQLite made is durable when the first sync of that file returns; a sync
 * that failed is remembered and never hidden.
 */
#include "store/spool/spool_vfs.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/wire.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFS_NAME_MAX 64

struct spool_vfs {
	sqlite3_vfs base; /* pAppData points back here */
	struct os *os;
	char name[VFS_NAME_MAX];
	int error;
	bool is_damaged;
	bool is_sync_lost;
	uint64_t wal_size;
};

struct vfs_file {
	sqlite3_file base; /* first: SQLite's view */
	struct spool_vfs *vfs;
	struct os_file *file;
	bool is_main;
	bool is_wal;
	bool is_name_new; /* the directory is to be synced with the file */
};

static struct vfs_file *
vfs_file_of(sqlite3_file *base)
{
	return (struct vfs_file *)(void *)base;
}

static struct spool_vfs *
vfs_of(sqlite3_vfs *base)
{
	return base->pAppData;
}

/* Remembers ERROR and turns it into SQLite's code, CODE by default. */
static int
vfs_fail(struct spool_vfs *vfs, int error, int code)
{
	vfs->error = error;
	if (error == -ENOSPC || error == -EDQUOT)
		return SQLITE_FULL;
	return code;
}

static uint32_t
vfs_page_check(const char *page, uint64_t offset)
{
	char number[8];

	wire_store_u64(number, offset / SPOOL_PAGE_SIZE);
	return crc32c(crc32c(0, str_of(number, sizeof(number))),
	    str_of(page, SPOOL_PAGE_SIZE - SPOOL_PAGE_RESERVED));
}

static bool
vfs_is_page(const struct vfs_file *f, int size, sqlite3_int64 offset)
{
	return f->is_main && size == SPOOL_PAGE_SIZE &&
	       offset % SPOOL_PAGE_SIZE == 0;
}

static int
vfs_close(sqlite3_file *base)
{
	struct vfs_file *f = vfs_file_of(base);
	int error = os_close(f->vfs->os, f->file);

	f->file = NULL;
	return error < 0 ? vfs_fail(f->vfs, error, SQLITE_IOERR_CLOSE)
	                 : SQLITE_OK;
}

static int
vfs_read(sqlite3_file *base, void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = vfs_file_of(base);
	size_t want = (size_t)size, done = 0;
	char *page = data;

	while (done < want) {
		int64_t n = os_pread(f->vfs->os, f->file, page + done,
		    want - done, (uint64_t)offset + done);

		if (n < 0)
			return vfs_fail(f->vfs, (int)n, SQLITE_IOERR_READ);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done < want) {
		memset(page + done, 0, want - done);
		return SQLITE_IOERR_SHORT_READ;
	}
	if (vfs_is_page(f, size, offset) &&
	    vfs_page_check(page, (uint64_t)offset) !=
		wire_load_u32(page + SPOOL_PAGE_SIZE - SPOOL_PAGE_RESERVED)) {
		f->vfs->is_damaged = true;
		return vfs_fail(f->vfs, -EBADMSG, SQLITE_IOERR_DATA);
	}
	return SQLITE_OK;
}

static int
vfs_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = vfs_file_of(base);
	char page[SPOOL_PAGE_SIZE];
	struct str bytes = str_of(data, (size_t)size);
	int error;

	if (vfs_is_page(f, size, offset)) {
		char *check = page + SPOOL_PAGE_SIZE - SPOOL_PAGE_RESERVED;

		memcpy(page, data, sizeof(page));
		wire_store_u32(check, vfs_page_check(page, (uint64_t)offset));
		wire_store_u32(check + 4, 0);
		bytes.data = page;
	}
	error = os_pwrite(f->vfs->os, f->file, bytes, (uint64_t)offset);
	if (error < 0)
		return vfs_fail(f->vfs, error, SQLITE_IOERR_WRITE);
	if (f->is_wal)
		f->vfs->wal_size = (uint64_t)offset + bytes.size;
	return SQLITE_OK;
}

static int
vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct vfs_file *f = vfs_file_of(base);
	int error = os_truncate(f->vfs->os, f->file, (uint64_t)size);

	return error < 0 ? vfs_fail(f->vfs, error, SQLITE_IOERR_TRUNCATE)
	                 : SQLITE_OK;
}

static int
vfs_sync(sqlite3_file *base, int flags)
{
	struct vfs_file *f = vfs_file_of(base);
	int error;

	error = f->is_name_new ? os_sync(f->vfs->os, f->file)
	                       : os_datasync(f->vfs->os, f->file);
	if (error == 0 && f->is_name_new)
		error = os_sync_directory(f->vfs->os, "");
	if (error < 0) {
		f->vfs->is_sync_lost = true;
		return vfs_fail(f->vfs, error, SQLITE_IOERR_FSYNC);
	}
	f->is_name_new = false;
	return SQLITE_OK;
}

static int
vfs_size(sqlite3_file *base, sqlite3_int64 *size_out)
{
	struct vfs_file *f = vfs_file_of(base);
	uint64_t size = 0;
	int error = os_size(f->vfs->os, f->file, &size);

	*size_out = (sqlite3_int64)size;
	return error < 0 ? vfs_fail(f->vfs, error, SQLITE_IOERR_FSTAT)
	                 : SQLITE_OK;
}

static int
vfs_lock(sqlite3_file *base, int level)
{
	return SQLITE_OK;
}

static int
vfs_is_reserved(sqlite3_file *base, int *is_reserved_out)
{
	*is_reserved_out = 0;
	return SQLITE_OK;
}

static int
vfs_control(sqlite3_file *base, int operation, void *arg)
{
	return SQLITE_NOTFOUND;
}

static int
vfs_sector_size(sqlite3_file *base)
{
	return SPOOL_PAGE_SIZE;
}

static int
vfs_characteristics(sqlite3_file *base)
{
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods vfs_methods = {
    .iVersion = 1,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_lock,
    .xCheckReservedLock = vfs_is_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};

static int
vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
    int *flags_out)
{
	struct vfs_file *f = vfs_file_of(file);
	struct spool_vfs *vfs = vfs_of(base);
	int error;

	memset(f, 0, sizeof(*f));
	/* Temporary files stay in memory, so there is always a name. */
	if (name == NULL)
		return SQLITE_CANTOPEN;
	error = os_open(vfs->os, name, OS_READ | OS_WRITE, &f->file);
	if (error == -ENOENT && flags & SQLITE_OPEN_CREATE) {
		error = os_open(
		    vfs->os, name, OS_READ | OS_WRITE | OS_CREATE, &f->file);
		f->is_name_new = true;
	}
	if (error < 0)
		return vfs_fail(vfs, error, SQLITE_CANTOPEN);
	f->vfs = vfs;
	f->is_main = flags & SQLITE_OPEN_MAIN_DB;
	f->is_wal = flags & SQLITE_OPEN_WAL;
	f->base.pMethods = &vfs_methods;
	if (flags_out != NULL)
		*flags_out = flags;
	return SQLITE_OK;
}

static int
vfs_delete(sqlite3_vfs *base, const char *name, int is_synced)
{
	struct spool_vfs *vfs = vfs_of(base);
	int error = os_unlink(vfs->os, name);

	if (error == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (error < 0)
		return vfs_fail(vfs, error, SQLITE_IOERR_DELETE);
	if (!is_synced)
		return SQLITE_OK;
	error = os_sync_directory(vfs->os, "");
	if (error == 0)
		return SQLITE_OK;
	vfs->is_sync_lost = true;
	return vfs_fail(vfs, error, SQLITE_IOERR_DIR_FSYNC);
}

static int
vfs_access(sqlite3_vfs *base, const char *name, int flags, int *answer_out)
{
	struct spool_vfs *vfs = vfs_of(base);
	struct os_file *file = NULL;
	int error = os_open(vfs->os, name, OS_READ, &file);

	*answer_out = error == 0;
	if (error == 0)
		error = os_close(vfs->os, file);
	if (error < 0 && error != -ENOENT)
		return vfs_fail(vfs, error, SQLITE_IOERR_ACCESS);
	return SQLITE_OK;
}

static int
vfs_full_path(sqlite3_vfs *base, const char *name, int size, char *out)
{
	int length = snprintf(out, (size_t)size, "%s", name);

	return length >= 0 && length < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int
vfs_randomness(sqlite3_vfs *base, int size, char *out)
{
	os_random(vfs_of(base)->os, out, (size_t)size);
	return size;
}

static int
vfs_sleep(sqlite3_vfs *base, int microseconds)
{
	return 0;
}

static int
vfs_time(sqlite3_vfs *base, double *days_out)
{
	/* 2440587.5 is the Julian day of 1970-01-01. */
	*days_out =
	    2440587.5 + (double)os_wall_ms(vfs_of(base)->os) / 86400000.0;
	return SQLITE_OK;
}

static int
vfs_last_error(sqlite3_vfs *base, int size, char *out)
{
	return 0;
}

struct spool_vfs *
spool_vfs_new(struct os *os)
{
	struct spool_vfs *vfs = mem_new(1, sizeof(*vfs));

	vfs->os = os;
	snprintf(vfs->name, sizeof(vfs->name), "sendq-%p", (void *)vfs);
	vfs->base = (sqlite3_vfs){
	    .iVersion = 1,
	    .szOsFile = sizeof(struct vfs_file),
	    .mxPathname = 256,
	    .zName = vfs->name,
	    .pAppData = vfs,
	    .xOpen = vfs_open,
	    .xDelete = vfs_delete,
	    .xAccess = vfs_access,
	    .xFullPathname = vfs_full_path,
	    .xRandomness = vfs_randomness,
	    .xSleep = vfs_sleep,
	    .xCurrentTime = vfs_time,
	    .xGetLastError = vfs_last_error,
	};
	CHECK(sqlite3_vfs_register(&vfs->base, 0) == SQLITE_OK);
	return vfs;
}

void
spool_vfs_free(struct spool_vfs *vfs)
{
	if (vfs == NULL)
		return;
	sqlite3_vfs_unregister(&vfs->base);
	free(vfs);
}

const char *
spool_vfs_name(const struct spool_vfs *vfs)
{
	return vfs->name;
}

bool
spool_vfs_is_damaged(const struct spool_vfs *vfs)
{
	return vfs->is_damaged;
}

bool
spool_vfs_is_sync_lost(const struct spool_vfs *vfs)
{
	return vfs->is_sync_lost;
}

int
spool_vfs_take_error(struct spool_vfs *vfs)
{
	int error = vfs->error;

	vfs->error = 0;
	return error;
}

uint64_t
spool_vfs_wal_size(const struct spool_vfs *vfs)
{
	return vfs->wal_size;
}
