/* Content files; see spool_stage.h.  Invariant: the file has all blocks below
   written, and nothing in it counts before spool_stage_sync(). */
#include "store/spool/spool_stage.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/wire.h"
#include "store/spool/spool_log.h"
#include "store/spool/spool_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
stage_name(char name[SPOOL_STAGE_NAME_MAX], const char *id)
{
	int size = snprintf(name, SPOOL_STAGE_NAME_MAX, "big/%s", id);

	CHECK(size > 0 && size < SPOOL_STAGE_NAME_MAX);
	for (char *p = name + 4; *p != '\0'; p++)
		if (*p == '.')
			*p = ',';
}

bool
spool_stage_id(const char *name, char id[STORE_ID_MAX + 1])
{
	size_t size = strlen(name);

	if (size == 0 || size > STORE_ID_MAX)
		return false;
	for (size_t i = 0; i <= size; i++)
		id[i] = name[i] == ',' ? '.' : name[i];
	return store_id_is_valid(str_from(id));
}

struct spool_stage *
spool_stage_get(struct spool_stages *stages, const char *id)
{
	struct spool_stage *stage;

	HASH_FIND_STR(stages->by_id, id, stage);
	return stage;
}

static int
stage_open(
    struct spool_stages *stages, const char *id, struct spool_stage **stage_out)
{
	char name[SPOOL_STAGE_NAME_MAX];
	struct spool_stage *stage;
	struct os_file *file;
	int error;

	if (HASH_COUNT(stages->by_id) >= SPOOL_STAGES_MAX)
		return -ENOSPC;
	stage_name(name, id);
	error = os_open(stages->os, name,
	    OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &file);
	if (error < 0)
		return error;
	stage = mem_new(1, sizeof(*stage));
	memcpy(stage->id, id, strlen(id) + 1);
	stage->file = file;
	HASH_ADD_STR(stages->by_id, id, stage);
	*stage_out = stage;
	return 0;
}

/* Writes the block that is being filled, with its check value. */
static int
stage_write_block(struct spool_stages *stages, struct spool_stage *stage)
{
	struct str block = str_of(stage->block, stage->block_size);

	wire_store_u32(stage->block + block.size,
	    spool_block_crc(stage->id, stage->written, block));
	block.size += 4;
	return os_pwrite(stages->os, stage->file, block,
	    stage->written * SPOOL_BLOCK_STORED);
}

int
spool_stage_add(struct spool_stages *stages, const char *id, struct str bytes)
{
	struct spool_stage *stage = spool_stage_get(stages, id), before;
	bool is_new = stage == NULL;
	int error = is_new ? stage_open(stages, id, &stage) : 0;

	if (error < 0)
		return error;
	before = *stage;
	while (bytes.size > 0) {
		size_t n = STORE_BLOCK - stage->block_size;

		if (n > bytes.size)
			n = bytes.size;
		memcpy(stage->block + stage->block_size, bytes.data, n);
		stage->block_size += n;
		stage->size += n;
		bytes = str_skip(bytes, n);
		if (stage->block_size < STORE_BLOCK)
			continue;
		error = stage_write_block(stages, stage);
		if (error < 0)
			break;
		stage->written++;
		stage->block_size = 0;
	}
	if (error < 0 && is_new)
		spool_stage_drop(stages, stage, true);
	else if (error < 0) {
		/* The hash handle may not be put back; the rest is as it
		   was, and blocks that were written too far do not count. */
		stage->size = before.size;
		stage->written = before.written;
		stage->block_size = before.block_size;
		memcpy(stage->block, before.block, sizeof(before.block));
	}
	return error;
}

int
spool_stage_sync(struct spool_stages *stages, struct spool_stage *stage)
{
	int error = 0;

	if (stage->block_size > 0)
		error = stage_write_block(stages, stage);
	if (error == 0)
		error = os_truncate(
		    stages->os, stage->file, spool_content_stored(stage->size));
	if (error < 0)
		return error;
	if (os_sync(stages->os, stage->file) < 0 ||
	    os_sync_directory(stages->os, "big") < 0)
		return SPOOL_LOST;
	return 0;
}

void
spool_stage_drop(
    struct spool_stages *stages, struct spool_stage *stage, bool is_removed)
{
	os_close(stages->os, stage->file);
	if (is_removed)
		spool_stage_remove(stages->os, stage->id);
	HASH_DEL(stages->by_id, stage);
	free(stage);
}

void
spool_stage_settle(struct spool_stages *stages, bool is_appended)
{
	struct spool_stage *stage, *next;

	HASH_ITER(hh, stages->by_id, stage, next)
	{
		if (stage->is_used && is_appended)
			spool_stage_drop(stages, stage, false);
		else
			stage->is_used = false;
	}
}

void
spool_stages_fini(struct spool_stages *stages)
{
	struct spool_stage *stage, *next;

	HASH_ITER(hh, stages->by_id, stage, next)
	spool_stage_drop(stages, stage, false);
}

int
spool_stage_read(struct spool_stages *stages, const char *id, uint64_t offset,
    void *data, size_t size)
{
	char name[SPOOL_STAGE_NAME_MAX];
	struct os_file *file;
	int64_t n;
	int error;

	stage_name(name, id);
	error = os_open(stages->os, name, OS_READ, &file);
	if (error < 0)
		return error;
	n = os_pread(stages->os, file, data, size, offset);
	os_close(stages->os, file);
	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EBADMSG;
}

void
spool_stage_remove(struct os *os, const char *id)
{
	char name[SPOOL_STAGE_NAME_MAX];

	stage_name(name, id);
	/* What stays is found and removed when the spool is opened. */
	os_unlink(os, name);
}
