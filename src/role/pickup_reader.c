/*
 * A drop file, item by item, from blocks of the disk.  Promises: nothing is
 * read twice but by a rewind; the sum is checked anew each time.
 */
#include "base/check.h"
#include "role/pickup.h"

#include <errno.h>
#include <stdio.h>

#define READER_BLOCK 65536

/* Others than the owner may have written it. */
static bool
reader_is_shared(const struct os_status *status)
{
	return (status->mode & 022) != 0 || status->link_count != 1;
}

int
pickup_reader_open(
    struct pickup_reader *r, struct os *os, const char *name, uint32_t *uid_out)
{
	char path[PICKUP_PATH_SIZE];
	struct os_status status;
	int error;

	*r = (struct pickup_reader){.os = os};
	buf_init(&r->in, READER_BLOCK + DROP_LINE_MAX);
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", name);
	error = os_open(os, path, OS_READ, &r->file);
	if (error == 0)
		error = os_file_status(os, r->file, &status);
	if (error == 0 && reader_is_shared(&status))
		error = -EPERM;
	if (error == 0)
		*uid_out = status.uid;
	if (error == 0)
		error = pickup_reader_rewind(r);
	if (error < 0)
		pickup_reader_close(r);
	return error;
}

void
pickup_reader_close(struct pickup_reader *r)
{
	/* It was only read from. */
	if (r->file != NULL)
		(void)os_close(r->os, r->file);
	r->file = NULL;
	buf_fini(&r->in);
}

int
pickup_reader_rewind(struct pickup_reader *r)
{
	uint64_t size;
	int error = os_size(r->os, r->file, &size);

	if (error < 0)
		return error;
	buf_clear(&r->in);
	r->at = 0;
	r->taken = 0;
	drop_reader_init(&r->drop, size);
	return 0;
}

/* Adds a block to the input: 0, or -EBADMSG at the end. */
static int
reader_fill(struct pickup_reader *r)
{
	size_t room = buf_room(&r->in);
	int64_t n;
	char *space;

	if (room > READER_BLOCK)
		room = READER_BLOCK;
	space = room > 0 ? buf_space(&r->in, room) : NULL;
	if (space == NULL)
		return room > 0 ? -ENOMEM : -EBADMSG;
	n = os_pread(r->os, r->file, space, room, r->at);
	if (n <= 0)
		return n < 0 ? (int)n : -EBADMSG;
	buf_added(&r->in, (size_t)n);
	r->at += (uint64_t)n;
	return 0;
}

int
pickup_reader_next(struct pickup_reader *r, struct drop_item *item_out)
{
	for (;;) {
		struct str in;
		int error;

		buf_consume(&r->in, r->taken);
		in = buf_str(&r->in);
		error = drop_reader_next(&r->drop, &in, item_out);
		r->taken = buf_size(&r->in) - in.size;
		if (error < 0 || item_out->kind != DROP_MORE)
			return error;
		buf_consume(&r->in, r->taken);
		r->taken = 0;
		error = reader_fill(r);
		if (error < 0)
			return error;
	}
}
