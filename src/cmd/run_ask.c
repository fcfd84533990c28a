/* The client of a run.  Lines are read as they come and are written at once,
   for people follow them. */
#include "cmd/run_ask.h"
#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ASK_PAUSE_NS 10000000 /* between two questions whether it is ready */

int
run_ask_connect(struct str path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (path.size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.data, path.size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* All items up to the end of one answer. */
static json_t *
ask_read(FILE *file)
{
	char *line = NULL;
	size_t capacity = 0;
	json_t *end = NULL;
	ssize_t size;

	while (end == NULL && (size = getline(&line, &capacity, file)) > 0) {
		json_t *item = json_loadb(line, (size_t)size, 0, NULL);
		const char *text =
		    json_string_value(json_object_get(item, "text"));

		if (!json_is_object(item)) {
			json_decref(item);
			break;
		}
		if (json_object_get(item, "end") != NULL) {
			end = item;
			continue;
		}
		if (text != NULL && (puts(text) < 0 || fflush(stdout) != 0))
			clearerr(stdout);
		json_decref(item);
	}
	free(line);
	return end;
}

json_t *
run_ask_request(int fd, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	int copy = dup(fd);
	FILE *file = copy >= 0 ? fdopen(copy, "re") : NULL;
	json_t *end = NULL;

	CHECK(text != NULL);
	if (file != NULL && dprintf(fd, "%s\n", text) > 0)
		end = ask_read(file);
	if (file != NULL)
		fclose(file);
	else if (copy >= 0)
		close(copy);
	free(text);
	json_decref(request);
	return end;
}

int
run_ask_ready(int fd)
{
	static const struct timespec pause = {.tv_nsec = ASK_PAUSE_NS};
	bool is_ready = false;

	while (!is_ready) {
		json_t *request = json_pack("{s:s}", "do", "ping");
		json_t *end;

		CHECK(request != NULL);
		end = run_ask_request(fd, request);
		if (end == NULL)
			return -EPIPE;
		is_ready = json_is_true(json_object_get(end, "queue"));
		json_decref(end);
		if (!is_ready)
			(void)nanosleep(&pause, NULL);
	}
	return 0;
}

bool
run_ask_routes(int fd)
{
	json_int_t after = 0;
	bool is_more = true;

	while (is_more) {
		/* Every message is larger than one byte. */
		json_t *request = json_pack("{s:s, s:i, s:I}", "do", "requeue",
		    "larger", 1, "after", after);
		json_t *end;

		CHECK(request != NULL);
		end = run_ask_request(fd, request);
		if (end == NULL ||
		    json_is_string(json_object_get(end, "error"))) {
			json_decref(end);
			return false;
		}
		is_more = json_is_true(json_object_get(end, "more"));
		after = json_integer_value(json_object_get(end, "after"));
		json_decref(end);
	}
	return true;
}
