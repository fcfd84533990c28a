/*
 * The file layer of SQLite over struct os, so that the index lives under the
 * same directory, the same simulated disk and the same faults as the log.
 *
 * Each page of the database carries a check value in its last eight bytes (a
 * CRC-32C over the page's number and its other bytes, then four zero bytes);
 * it is written with every page and verified with every read.  No shared
 * memory (iVersion 1), no locks: the spool's own lock keeps others away.
 */
#ifndef STORE_SPOOL_SPOOL_VFS_H
#define STORE_SPOOL_SPOOL_VFS_H

#include "os/os.h"

#include <stdbool.h>

#define SPOOL_PAGE_SIZE     4096
#define SPOOL_PAGE_RESERVED 8

struct spool_vfs;

/* Registers a file layer of its own name over OS, which stays the caller's. */
struct spool_vfs *spool_vfs_new(struct os *os);
/* Takes it out of SQLite and frees it; its files are closed by then. */
void spool_vfs_free(struct spool_vfs *vfs);
const char *spool_vfs_name(const struct spool_vfs *vfs);

/* True once a page failed its check. */
bool spool_vfs_is_damaged(const struct spool_vfs *vfs);
/* True once a sync failed: what is on disk is unknown. */
bool spool_vfs_is_sync_lost(const struct spool_vfs *vfs);
/* The last -errno of the os since the last call, or 0. */
int spool_vfs_take_error(struct spool_vfs *vfs);
/* Bytes of the write-ahead log as it was last written. */
uint64_t spool_vfs_wal_size(const struct spool_vfs *vfs);

#endif
