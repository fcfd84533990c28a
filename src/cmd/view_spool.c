/*
 * The queue without a daemon.  The spool is opened by its own rules (its lock,
 * its recovery) with the rights of its owner, so that what this leaves behind
 * can be opened by the daemon again.
 */
#include "cmd/view_spool.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/os.h"
#include "role/control.h"
#include "role/route.h"
#include "store/spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct view_spool {
	const struct conf *conf;
	struct os *os;
	struct store *store;
};

/* Becomes the owner of the directory FD, if we are root and it is not. */
static int
view_become_owner(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (geteuid() != 0 || status.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 ||
	    setresgid(status.st_gid, status.st_gid, status.st_gid) < 0 ||
	    setresuid(status.st_uid, status.st_uid, status.st_uid) < 0)
		return -errno;
	return 0;
}

static void
view_log(enum log_level level, struct str line)
{
	if (level <= LOG_WARN)
		fprintf(stderr, "%.*s\n", STR_ARG(line));
}

struct view_spool *
view_spool_open(const char *program, const struct conf *conf)
{
	const struct store_spool_options options = {.segment_size = 0};
	struct view_spool *view = mem_new(1, sizeof(*view));
	const char *path = conf->spool.data;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	view->conf = conf;
	log_set(view_log, LOG_WARN);
	if (error == 0)
		error = view_become_owner(fd);
	if (error == 0) {
		view->os = os_real_new(fd);
		fd = -1;
		error = store_spool_open(view->os, &options, &view->store);
	}
	if (fd >= 0)
		close(fd);
	if (error == 0)
		return view;
	fprintf(stderr, "%s: %s: %s\n", program, path,
	    error == -EWOULDBLOCK ? "in use by another process"
				  : strerror(-error));
	view_spool_close(view);
	return NULL;
}

void
view_spool_close(struct view_spool *view)
{
	if (view == NULL)
		return;
	if (view->store != NULL)
		view->store->ops->close(view->store);
	if (view->os != NULL)
		os_free(view->os);
	free(view);
}

static void
view_do(struct view_spool *view, struct store_request *request)
{
	view->store->ops->batch(view->store, &request, 1);
}

/* Gives one formatted line to FN as an item. */
static void
view_give(struct buf *line, view_item_fn *fn, void *arg)
{
	struct str text = buf_str(line);
	json_t *item = json_loadb(text.data, text.size, 0, NULL);

	if (item != NULL && fn != NULL)
		fn(arg, item);
	json_decref(item);
	buf_clear(line);
}

static json_t *
view_end(int error)
{
	json_t *end = json_object();

	control_set(end, "end", json_true());
	control_set(end, "error",
	    error < 0 ? json_string(strerror(-error)) : json_null());
	return end;
}

static struct str
view_text(const json_t *request, const char *key)
{
	return str_from(json_string_value(json_object_get(request, key)));
}

static json_t *
view_list(
    struct view_spool *view, const json_t *request, view_item_fn *fn, void *arg)
{
	struct store_request *find = store_request_new(STORE_FIND);
	const struct control_clock clock = {0, 0};
	uint64_t after =
	    (uint64_t)json_integer_value(json_object_get(request, "after"));
	struct buf line;
	json_t *end;
	size_t count;

	buf_init(&line, CONTROL_LINE_MAX);
	find->u.find.filter.id = view_text(request, "id");
	find->u.find.filter.destination = view_text(request, "destination");
	find->u.find.after_key = after;
	find->u.find.count = STORE_PAGE_MAX;
	view_do(view, find);
	count = find->u.find.found_count;
	for (size_t i = 0; i < count; i++) {
		const struct store_found *found = &find->u.find.found[i];

		after = found->key;
		if (control_format_message(&line, found, &clock) == 0)
			view_give(&line, fn, arg);
	}
	end = view_end(find->error);
	control_set(
	    end, "more", count == STORE_PAGE_MAX ? json_true() : json_false());
	control_set_number(end, "after", after);
	control_set_number(end, "total", find->u.find.total);
	store_request_free(find);
	buf_fini(&line);
	return end;
}

/* What a destination is while nobody serves it. */
static struct control_state
view_state(const struct view_spool *view, struct str name)
{
	struct route route;
	bool is_held = route_of_destination(view->conf, name, &route) == 0 &&
	               route.is_held;

	return (struct control_state){
	    .state = is_held ? STR("held") : STR("waiting")};
}

static json_t *
view_destinations(
    struct view_spool *view, const json_t *request, view_item_fn *fn, void *arg)
{
	struct store_request *list = store_request_new(STORE_DESTINATIONS);
	const struct control_clock clock = {0, 0};
	struct str after = view_text(request, "after");
	struct buf line;
	json_t *end;
	size_t count;

	buf_init(&line, CONTROL_LINE_MAX);
	list->u.destinations.after = after;
	list->u.destinations.count = STORE_PAGE_MAX;
	view_do(view, list);
	count = list->u.destinations.destination_count;
	for (size_t i = 0; i < count; i++) {
		const struct store_destination *d =
		    &list->u.destinations.destinations[i];
		struct control_state state = view_state(view, d->name);

		after = d->name;
		if (control_format_destination(&line, d, &state, &clock) == 0)
			view_give(&line, fn, arg);
	}
	end = view_end(list->error);
	control_set(
	    end, "more", count == STORE_PAGE_MAX ? json_true() : json_false());
	control_set(end, "after", control_text(after));
	store_request_free(list);
	buf_fini(&line);
	return end;
}

/* The destination NAME, or an empty one of that name. */
static void
view_destination_of(struct view_spool *view, const char *name,
    struct store_request *list, struct store_destination *d_out)
{
	struct str wanted = str_from(name);
	char after[STORE_DESTINATION_MAX + 1];

	/* Behind the greatest name that is smaller. */
	snprintf(after, sizeof(after), "%s", name);
	after[wanted.size - 1]--;
	list->u.destinations.after = str_from(after);
	list->u.destinations.count = STORE_PAGE_MAX;
	*d_out = (struct store_destination){.name = wanted};
	for (;;) {
		size_t count;

		view_do(view, list);
		count = list->u.destinations.destination_count;
		for (size_t i = 0; i < count; i++)
			if (str_equal(list->u.destinations.destinations[i].name,
				wanted)) {
				*d_out = list->u.destinations.destinations[i];
				return;
			}
		if (count < STORE_PAGE_MAX ||
		    str_compare(
			list->u.destinations.destinations[count - 1].name,
			wanted) > 0)
			return;
		list->u.destinations.after =
		    list->u.destinations.destinations[count - 1].name;
	}
}

static json_t *
view_sites(struct view_spool *view, view_item_fn *fn, void *arg)
{
	const struct control_clock clock = {0, 0};
	struct buf line;

	buf_init(&line, CONTROL_LINE_MAX);
	for (size_t i = 0; i < view->conf->site_count; i++) {
		const struct conf_site *site = &view->conf->sites[i];
		struct store_request *list =
		    store_request_new(STORE_DESTINATIONS);
		struct store_destination d;
		struct control_state state;
		char name[STORE_DESTINATION_MAX + 1];

		snprintf(name, sizeof(name), "site:%.*s", STR_ARG(site->name));
		view_destination_of(view, name, list, &d);
		state = view_state(view, str_from(name));
		if (control_format_site(&line, site, &d, &state, &clock) == 0)
			view_give(&line, fn, arg);
		store_request_free(list);
	}
	buf_fini(&line);
	return view_end(0);
}

static json_t *
view_change(
    struct view_spool *view, const json_t *request, enum store_change change)
{
	uint64_t changed = 0, leased = 0, after = 0;
	json_t *end;
	int error;

	do {
		struct store_request *slice = store_request_new(STORE_CHANGE);

		slice->u.change.filter.id = view_text(request, "id");
		slice->u.change.filter.destination =
		    view_text(request, "destination");
		slice->u.change.change = change;
		slice->u.change.after_key = after;
		view_do(view, slice);
		error = slice->error;
		changed += slice->u.change.changed_count;
		leased += slice->u.change.leased_count;
		after = slice->u.change.next_key;
		store_request_free(slice);
	} while (error == 0 && after != 0);
	end = view_end(error);
	control_set_number(end, "changed", changed);
	control_set_number(end, "leased", leased);
	return end;
}

json_t *
view_spool_ask(
    struct view_spool *view, const json_t *request, view_item_fn *fn, void *arg)
{
	struct str what = view_text(request, "do");
	json_t *end;

	if (str_equal(what, STR("list")))
		return view_list(view, request, fn, arg);
	if (str_equal(what, STR("destinations")))
		return view_destinations(view, request, fn, arg);
	if (str_equal(what, STR("sites")))
		return view_sites(view, fn, arg);
	if (str_equal(what, STR("hold")))
		return view_change(view, request, STORE_CHANGE_HOLD);
	if (str_equal(what, STR("free")))
		return view_change(view, request, STORE_CHANGE_FREE);
	if (str_equal(what, STR("delete")))
		return view_change(view, request, STORE_CHANGE_DELETE);
	end = view_end(0);
	control_set(end, "error", json_string("no daemon is running"));
	return end;
}
