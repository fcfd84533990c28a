/*
 * One message on its way; see submit_message.h.  The file has no name, so that
 * nothing stays of it whatever becomes of the program.
 */
#include "cmd/submit_message.h"
#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
submit_message_init(struct submit_message *m)
{
	*m = (struct submit_message){.file = NULL};
	buf_init(&m->head, SIZE_MAX / 2);
	buf_init(&m->memory, SUBMIT_MEMORY_MAX);
}

void
submit_message_fini(struct submit_message *m)
{
	buf_fini(&m->head);
	buf_fini(&m->memory);
	if (m->file != NULL)
		fclose(m->file);
	free(m->recipients);
	free(m->outcomes);
	*m = (struct submit_message){.file = NULL};
}

/* Writes all of BYTES at the end of the file. */
static int
message_write(struct submit_message *m, struct str bytes)
{
	uint64_t offset = m->body_size - buf_size(&m->memory);

	if (m->file == NULL)
		m->file = tmpfile();
	if (m->file == NULL)
		return -errno;
	while (bytes.size > 0) {
		ssize_t n = pwrite(
		    fileno(m->file), bytes.data, bytes.size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes = str_skip(bytes, (size_t)n);
		offset += (uint64_t)n;
		m->body_size += (uint64_t)n;
	}
	return 0;
}

int
submit_message_append(struct submit_message *m, struct str bytes)
{
	if (m->file == NULL && bytes.size <= buf_room(&m->memory)) {
		m->body_size += bytes.size;
		return buf_append(&m->memory, bytes);
	}
	return message_write(m, bytes);
}

uint64_t
submit_message_size(const struct submit_message *m)
{
	return buf_size(&m->head) + m->body_size;
}

/* Takes what is at *OFFSET of BYTES, or counts *OFFSET down. */
static size_t
message_copy(struct str bytes, void *data, size_t size, uint64_t *offset)
{
	struct str from;

	if (*offset >= bytes.size) {
		*offset -= bytes.size;
		return 0;
	}
	from = str_head(str_skip(bytes, (size_t)*offset), size);
	memcpy(data, from.data, from.size);
	return from.size;
}

int64_t
submit_message_read(
    const struct submit_message *m, void *data, size_t size, uint64_t offset)
{
	size_t copied = message_copy(buf_str(&m->head), data, size, &offset);
	ssize_t n;

	if (copied == 0)
		copied = message_copy(buf_str(&m->memory), data, size, &offset);
	if (copied > 0 || m->file == NULL)
		return (int64_t)copied;
	do
		n = pread(fileno(m->file), data, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

size_t
submit_message_count(const struct submit_message *m, enum submit_fate fate)
{
	size_t count = 0;

	for (size_t i = 0; i < m->recipient_count; i++)
		count += m->outcomes[i].fate == fate;
	return count;
}
