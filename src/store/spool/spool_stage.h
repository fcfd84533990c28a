/*
 * Content over STORE_CONTENT_MEMORY, or whatever came through STORE_STAGE: a
 * file "big/ID" of checked blocks (spool_record.h), written as it comes and
 * synced before the record that names it.  A "." of an id is a "," in the
 * name.
 */
#ifndef STORE_SPOOL_SPOOL_STAGE_H
#define STORE_SPOOL_SPOOL_STAGE_H

#include "base/hash.h"
#include "os/os.h"
#include "store/store.h"

#define SPOOL_STAGE_NAME_MAX 32
#define SPOOL_STAGES_MAX     512 /* files that are open at a time */

/* Content that is being staged. */
struct spool_stage {
	UT_hash_handle hh;
	char id[STORE_ID_MAX + 1];
	struct os_file *file;
	uint64_t size;     /* of the content so far */
	uint64_t written;  /* blocks in the file that are final */
	size_t block_size; /* bytes of the block that is being filled */
	bool is_used;      /* appended in the batch that is at work */
	char block[STORE_BLOCK + 4];
};

struct spool_stages {
	struct os *os;
	struct spool_stage *by_id;
};

struct spool_stage *spool_stage_get(
    struct spool_stages *stages, const char *id);
/* Adds content, beginning the file with the first: 0 or -errno, and then what
   was staged before is as it was. */
int spool_stage_add(
    struct spool_stages *stages, const char *id, struct str bytes);
/* Writes the last block and syncs the file and its name: 0, -errno, or
   SPOOL_LOST.  More can still be added. */
int spool_stage_sync(struct spool_stages *stages, struct spool_stage *stage);
/* Forgets the stage; with IS_REMOVED the file goes too. */
void spool_stage_drop(
    struct spool_stages *stages, struct spool_stage *stage, bool is_removed);
/* Ends the use of a batch: those that it appended are no stages any more, or
   are as before if it failed. */
void spool_stage_settle(struct spool_stages *stages, bool is_appended);
/* Forgets all without touching the files. */
void spool_stages_fini(struct spool_stages *stages);

/* Reads SIZE stored bytes at OFFSET of the content file of ID: 0 or -errno. */
int spool_stage_read(struct spool_stages *stages, const char *id,
    uint64_t offset, void *data, size_t size);
/* Removes the content file of ID. */
void spool_stage_remove(struct os *os, const char *id);
/* The id that the name of a content file stands for; false if none. */
bool spool_stage_id(const char *name, char id[STORE_ID_MAX + 1]);

#endif
