/* Sealed configuration text.  The offset of the shared descriptor is never
   used: several children read it at once. */
#include "cmd/conf_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

int
conf_text_open(const char *file_name)
{
	int from = open(file_name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int to = -1, error;

	if (from < 0)
		return -errno;
	to = memfd_create("sendq.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	error = to < 0 ? -errno : conf_text_copy(from, to);
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
	void *text;
	FILE *file;
	int error;

	*conf_out = NULL;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size <= 0 || status.st_size > CONF_TEXT_MAX)
		return -EINVAL;
	text =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	file = fmemopen(text, (size_t)status.st_size, "r");
	error = file == NULL ? -errno
	                     : conf_read(file, file_name, errors, conf_out);
	if (file != NULL)
		fclose(file);
	munmap(text, (size_t)status.st_size);
	return error;
}
