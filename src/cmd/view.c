/* A look into the queue over the control socket; where nobody listens there,
   cmd/view_spool.c answers from the spool itself. */
#include "cmd/view.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/view_spool.h"
#include "role/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define VIEW_TIMEOUT_S 60

struct view {
	const char *program;
	const struct conf *conf;
	FILE *control;            /* NULL: no daemon */
	struct view_spool *spool; /* without a daemon */
};

struct conf *
view_conf(const char *program, const char *file_name)
{
	struct conf *conf = NULL;
	struct buf errors;
	FILE *file = fopen(file_name, "re");
	int error;

	if (file == NULL) {
		fprintf(stderr, "%s: %s: %s\n", program, file_name,
		    strerror(errno));
		return NULL;
	}
	buf_init(&errors, 1 << 20);
	error = conf_read(file, file_name, &errors, &conf);
	fclose(file);
	if (error < 0)
		fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return error < 0 ? NULL : conf;
}

/* A stream to the control socket: 0 or -errno. */
static int
view_connect(struct str path, FILE **control_out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = VIEW_TIMEOUT_S};
	int fd, error = 0;

	if (path.size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.data, path.size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (error == 0) {
		*control_out = fdopen(fd, "re");
		error = *control_out != NULL ? 0 : -errno;
	}
	if (error < 0)
		close(fd);
	return error;
}

struct view *
view_open(const char *program, const struct conf *conf, int *status_out)
{
	struct view *view = mem_new(1, sizeof(*view));
	int error = view_connect(conf->control_socket, &view->control);

	view->program = program;
	view->conf = conf;
	*status_out = EX_OK;
	if (error == 0)
		return view;
	if (error == -ENOENT || error == -ECONNREFUSED)
		view->spool = view_spool_open(program, conf, &error);
	else
		fprintf(stderr, "%s: %.*s: %s\n", program,
		    STR_ARG(conf->control_socket), strerror(-error));
	if (view->spool != NULL)
		return view;
	*status_out = error == -EWOULDBLOCK ? EX_TEMPFAIL : EX_UNAVAILABLE;
	view_close(view);
	return NULL;
}

void
view_close(struct view *view)
{
	if (view == NULL)
		return;
	if (view->control != NULL)
		fclose(view->control);
	view_spool_close(view->spool);
	free(view);
}

/* One answer's lines up to its end, or NULL. */
static json_t *
view_read(struct view *view, view_item_fn *fn, void *arg)
{
	char *line = NULL;
	size_t capacity = 0;
	json_t *end = NULL;
	ssize_t size;

	while (end == NULL &&
	       (size = getline(&line, &capacity, view->control)) > 0) {
		json_t *item = json_loadb(line, (size_t)size, 0, NULL);

		if (!json_is_object(item)) {
			json_decref(item);
			break;
		}
		if (json_object_get(item, "end") != NULL) {
			end = item;
			continue;
		}
		if (fn != NULL)
			fn(arg, item);
		json_decref(item);
	}
	free(line);
	return end;
}

static json_t *
view_ask_daemon(
    struct view *view, const json_t *request, view_item_fn *fn, void *arg)
{
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *end = NULL;

	if (text != NULL && dprintf(fileno(view->control), "%s\n", text) > 0)
		end = view_read(view, fn, arg);
	free(text);
	if (end == NULL)
		fprintf(
		    stderr, "%s: the daemon gave no answer\n", view->program);
	return end;
}

json_t *
view_page(struct view *view, const json_t *request, view_item_fn *fn, void *arg)
{
	json_t *end = view->control != NULL
	                  ? view_ask_daemon(view, request, fn, arg)
	                  : view_spool_ask(view->spool, request, fn, arg);
	const char *error = json_string_value(json_object_get(end, "error"));

	if (error == NULL)
		return end;
	fprintf(stderr, "%s: %s\n", view->program, error);
	json_decref(end);
	return NULL;
}

/* Adds to the counts of END those of the pages before. */
static void
view_add(json_t *end, const json_t *before)
{
	static const char *const keys[] = {"changed", "leased", "moved"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *sum = json_object_get(end, keys[i]);

		if (sum != NULL)
			json_integer_set(
			    sum, json_integer_value(sum) +
				     json_integer_value(
					 json_object_get(before, keys[i])));
	}
}

json_t *
view_ask(struct view *view, json_t *request, view_item_fn *fn, void *arg)
{
	json_t *end = view_page(view, request, fn, arg);

	while (end != NULL && json_is_true(json_object_get(end, "more"))) {
		json_t *before = end;

		json_object_set(
		    request, "after", json_object_get(before, "after"));
		end = view_page(view, request, fn, arg);
		if (end != NULL)
			view_add(end, before);
		json_decref(before);
	}
	json_decref(request);
	return end;
}
