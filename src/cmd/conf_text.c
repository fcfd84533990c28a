/*
 * Sealed configuration text.  The offset of the shared descriptor is never
 * used: several children read it at once.
 *
 *	the file's text, what was set besides it with a NUL, the records of
 *	cmd/alias_files.h, and how many bytes the last two are (two numbers of
 *	8 bytes, little-endian)
 */
#include "cmd/conf_text.h"
#include "base/wire.h"
#include "cmd/alias_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_TEXT_TRAILER 16
#define CONF_TEXT_CHANGES 65536 /* bytes of what was set besides */

/* All that FROM gives, up to CONF_TEXT_MAX, into TO. */
static int
conf_text_copy(int from, int to)
{
	char block[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		total += (size_t)n;
		if (total > CONF_TEXT_MAX)
			return -EFBIG;
		if (write(to, block, (size_t)n) != n)
			return -ENOSPC;
	}
	/* A file of nothing cannot be mapped; an empty line means the same. */
	if (total == 0 && write(to, "\n", 1) != 1)
		return -ENOSPC;
	return 0;
}

/* All of BYTES to the end of FD. */
static int
conf_text_write(int fd, struct str bytes)
{
	ssize_t n;

	while (bytes.size > 0) {
		n = write(fd, bytes.data, bytes.size);
		if (n < 0 && errno != EINTR)
			return -errno;
		bytes = str_skip(bytes, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

/* TEXT as a configuration. */
static int
conf_text_parse(struct str text, const char *changes, const char *file_name,
    struct buf *errors, struct conf **conf_out)
{
	FILE *file = fmemopen((void *)(uintptr_t)text.data, text.size, "r");
	int error;

	if (file == NULL)
		return -errno;
	error = conf_read_changed(file, file_name, changes, errors, conf_out);
	fclose(file);
	return error;
}

/* Reads the files of aliases that the configuration in FD names, if it is one:
   its mistakes are told later, when all of it is read. */
static void
conf_text_gather(int fd, size_t size, const char *changes, struct buf *records)
{
	char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	struct conf *conf = NULL;
	struct buf errors;

	if (text == MAP_FAILED)
		return;
	buf_init(&errors, 65536);
	/* One that does not name the setting needs no second reading. */
	if ((memmem(text, size, "aliases", 7) != NULL ||
		strstr(changes, "aliases") != NULL) &&
	    conf_text_parse(str_of(text, size), changes, "", &errors, &conf) ==
		0) {
		alias_files_gather(conf, records);
		conf_free(conf);
	}
	buf_fini(&errors);
	munmap(text, size);
}

/* Adds what stands behind the file's text. */
static int
conf_text_finish(int fd, const char *changes)
{
	unsigned char trailer[CONF_TEXT_TRAILER];
	struct stat status;
	struct buf records;
	int error;

	if (fstat(fd, &status) < 0)
		return -errno;
	buf_init(&records, ALIAS_RECORDS_MAX);
	conf_text_gather(fd, (size_t)status.st_size, changes, &records);
	wire_store_u64(trailer, strlen(changes) + 1);
	wire_store_u64(trailer + 8, buf_size(&records));
	error = conf_text_write(fd, str_of(changes, strlen(changes) + 1));
	if (error == 0)
		error = conf_text_write(fd, buf_str(&records));
	if (error == 0)
		error = conf_text_write(
		    fd, str_of((const char *)trailer, sizeof(trailer)));
	buf_fini(&records);
	return error;
}

int
conf_text_open(const char *file_name, const char *changes)
{
	int from = open(file_name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int to = -1, error;

	if (from < 0)
		return -errno;
	to = memfd_create("sendq.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	error = to < 0 ? -errno : conf_text_copy(from, to);
	if (error == 0)
		error = strlen(changes) < CONF_TEXT_CHANGES
		            ? conf_text_finish(to, changes)
		            : -E2BIG;
	if (error == 0 &&
	    fcntl(to, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		error = -errno;
	close(from);
	if (error == 0)
		return to;
	if (to >= 0)
		close(to);
	return error;
}

int
conf_text_read(
    int fd, const char *file_name, struct buf *errors, struct conf **conf_out)
{
	struct stat status;
	uint64_t changes, records;
	size_t size;
	char *text;
	int error;

	*conf_out = NULL;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size <= CONF_TEXT_TRAILER ||
	    status.st_size >
		CONF_TEXT_MAX + ALIAS_RECORDS_MAX + CONF_TEXT_CHANGES)
		return -EINVAL;
	size = (size_t)status.st_size - CONF_TEXT_TRAILER;
	text =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	changes = wire_load_u64(text + size);
	records = wire_load_u64(text + size + 8);
	error = records >= size || changes == 0 || changes >= size - records
	            ? -EINVAL
	            : conf_text_parse(str_of(text, size - records - changes),
			  text + (size - records - changes), file_name, errors,
			  conf_out);
	if (error == 0 && (*conf_out)->alias_file_count > 0)
		error = alias_files_take(
		    *conf_out, str_of(text + size - records, records), errors);
	if (error < 0) {
		conf_free(*conf_out);
		*conf_out = NULL;
	}
	munmap(text, (size_t)status.st_size);
	return error;
}
