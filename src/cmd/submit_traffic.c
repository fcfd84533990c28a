/* The traffic log of -X; see submit_traffic.h. */
#include "cmd/submit_traffic.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct submit_traffic {
	FILE *file;
	bool is_inside; /* a line was begun */
};

struct submit_traffic *
submit_traffic_open(const char *path)
{
	struct submit_traffic *t;
	int fd = open(
	    path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;

	if (file == NULL) {
		fprintf(stderr, "Cannot open %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	t = mem_new(1, sizeof(*t));
	t->file = file;
	return t;
}

void
submit_traffic_close(struct submit_traffic *t)
{
	if (t == NULL)
		return;
	fclose(t->file);
	free(t);
}

/* Bytes as lines behind SIGN; a line may come in pieces. */
static void
traffic_bytes(struct submit_traffic *t, const char *sign, struct str bytes)
{
	while (bytes.size > 0) {
		size_t end = str_find(bytes, '\n');
		struct str line = str_head(bytes, end);
		bool is_whole = end < bytes.size;

		if (!t->is_inside)
			fprintf(t->file, "%05d %s ", (int)getpid(), sign);
		if (is_whole && line.size > 0 &&
		    line.data[line.size - 1] == '\r')
			line.size--;
		fprintf(t->file, "%.*s%s", STR_ARG(line), is_whole ? "\n" : "");
		t->is_inside = !is_whole;
		bytes = str_skip(bytes, end + 1);
	}
}

void
submit_traffic_message(struct submit_traffic *t, struct str bytes)
{
	if (t == NULL)
		return;
	if (bytes.size > 0) {
		traffic_bytes(t, "<<<", bytes);
		return;
	}
	if (t->is_inside)
		traffic_bytes(t, "<<<", STR("\n"));
	traffic_bytes(t, "<<<", STR("[EOF]\n"));
}

void
submit_traffic_connect(struct submit_traffic *t)
{
	if (t != NULL)
		traffic_bytes(t, "===", STR("CONNECT localhost\n"));
}

/* True for a line of a reply, "250-..." or "250 ...". */
static bool
traffic_is_reply(struct str line)
{
	return line.size > 3 && ascii_is_digit(line.data[0]) &&
	       ascii_is_digit(line.data[1]) && ascii_is_digit(line.data[2]) &&
	       (line.data[3] == ' ' || line.data[3] == '-');
}

void
submit_traffic_dialogue(struct submit_traffic *t, struct str lines)
{
	while (t != NULL && lines.size > 0) {
		struct str line = str_head(lines, str_find(lines, '\n') + 1);

		if (str_starts(line, STR(">>> ")))
			traffic_bytes(t, ">>>", str_skip(line, 4));
		else if (traffic_is_reply(line))
			traffic_bytes(t, "<<<", line);
		lines = str_skip(lines, line.size);
	}
}

void
submit_traffic_content(struct submit_traffic *t, struct str bytes)
{
	if (t != NULL)
		traffic_bytes(t, ">>>", bytes);
}
