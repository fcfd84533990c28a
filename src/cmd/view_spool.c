/*
 * The queue without a daemon.  The spool is opened by its own rules (its lock,
 * its recovery) with the rights of its owner, so that what this leaves behind
 * can be opened by the daemon again.
 */
#include "cmd/view_spool.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/store_place.h"
#include "net/landlock.h"
#include "net/privilege.h"
#include "os/machine.h"
#include "os/os.h"
#include "role/control.h"
#include "role/control_request.h"
#include "role/requeue.h"
#include "role/route.h"
#include "store/spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define VIEW_PAGE 50 /* messages that are routed anew at a time */

struct view_spool {
	const struct conf *conf;
	struct os *os;
	struct store *store;
	uint64_t queue_ms; /* both clocks, when it was opened */
	uint64_t wall_ms;
};

int
view_become_owner(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	/* Whoever else may write there could lead root anywhere. */
	if (geteuid() == 0 && status.st_uid == 0 &&
	    store_place_is_shared(&status))
		return -EPERM;
	if (geteuid() != 0 || status.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 ||
	    setresgid(status.st_gid, status.st_gid, status.st_gid) < 0 ||
	    setresuid(status.st_uid, status.st_uid, status.st_uid) < 0)
		return -errno;
	return 0;
}

int
view_enter_mqueue(struct str user_queue, int fd)
{
	const struct landlock_rights rights = {
	    .directory_fds = &fd, .directory_count = 1};
	bool is_trusted = store_place_is_trusted(user_queue, fd);
	struct privilege_user owner;
	struct stat status;
	int error;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (geteuid() != 0 ||
	    (!is_trusted && !store_place_needs_walls(&status)))
		return view_become_owner(fd);
	error = store_place_check_walls(&status);
	if (error == 0)
		error = store_place_owner(fd, &owner);
	if (error < 0 || (is_trusted && owner.uid == 0))
		return error;
	/* The first conversion of a time opens the zone's file. */
	tzset();
	error = is_trusted ? privilege_drop_but_files(&owner)
	                   : privilege_drop(&owner);
	return error < 0 ? error : landlock_enter(&rights);
}

static void
view_log(enum log_level level, struct str line)
{
	if (level <= LOG_WARN)
		fprintf(stderr, "%.*s\n", STR_ARG(line));
}

/* Opens the spool in the directory FD, which becomes the view's: 0, -errno. */
static int
view_spool_begin(
    struct view_spool *view, int fd, const struct store_spool_options *options)
{
	struct store_info info;
	int error = store_place_is_mqueue(view->conf)
	                ? view_enter_mqueue(view->conf->user_queue, fd)
	                : view_become_owner(fd);

	if (error < 0) {
		close(fd);
		return error;
	}
	view->os = os_real_new(fd);
	if (store_place_is_mqueue(view->conf))
		error = store_place_open(
		    view->conf, view->os, NULL, NULL, &view->store);
	else
		error = store_spool_open(view->os, options, &view->store);
	if (error < 0)
		return error;
	view->store->ops->info(view->store, &info);
	view->wall_ms = machine_wall_ms();
	view->queue_ms = store_time_resumed(&info, view->wall_ms);
	return 0;
}

/* The spool of CONF; NULL, and why in *ERROR_OUT, after it was printed. */
static struct view_spool *
view_spool_try(const char *program, const struct conf *conf,
    const struct store_spool_options *options, int *error_out)
{
	struct view_spool *view = mem_new(1, sizeof(*view));
	char *path = store_place_path(conf);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	view->conf = conf;
	if (error == 0)
		error = view_spool_begin(view, fd, options);
	*error_out = error;
	if (error < 0)
		fprintf(stderr, "%s: %s: %s\n", program, path,
		    error == -EWOULDBLOCK
			? "another process runs it or looks at it, try again"
			: strerror(-error));
	free(path);
	if (error == 0)
		return view;
	view_spool_close(view);
	return NULL;
}

struct view_spool *
view_spool_open(const char *program, const struct conf *conf, int *error_out)
{
	const struct store_spool_options options = {.segment_size = 0};

	log_set(view_log, LOG_WARN);
	return view_spool_try(program, conf, &options, error_out);
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
	return control_end(error < 0 ? strerror(-error) : NULL);
}

/* The filter of the request with its time. */
static struct store_filter
view_filter(
    const struct view_spool *view, const struct control_request *request)
{
	struct store_filter filter = request->filter;

	if (request->older_ms > 0)
		filter.arrival_max_ms = request->older_ms < view->queue_ms
		                            ? view->queue_ms - request->older_ms
		                            : 1;
	return filter;
}

static struct store_request *
view_find(struct view_spool *view, const struct control_request *request,
    uint64_t after_key, size_t count)
{
	struct store_request *find = store_request_new(STORE_FIND);

	find->u.find.filter = view_filter(view, request);
	find->u.find.after_key = after_key;
	find->u.find.count = count;
	view_do(view, find);
	return find;
}

static json_t *
view_list(struct view_spool *view, const struct control_request *request,
    view_item_fn *fn, void *arg)
{
	struct store_request *find =
	    view_find(view, request, request->after_key, request->count);
	const struct control_clock clock = {0, 0};
	struct buf line;
	json_t *end;

	buf_init(&line, CONTROL_LINE_MAX);
	for (size_t i = 0; i < find->u.find.found_count; i++)
		if (control_format_message(
			&line, &find->u.find.found[i], &clock) == 0)
			view_give(&line, fn, arg);
	end = view_end(find->error);
	control_set(end, "more", json_boolean(find->u.find.next_key != 0));
	control_set_number(end, "after", find->u.find.next_key);
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

	if (route_of_destination(view->conf, name, &route) < 0)
		return (struct control_state){.state = STR("no-route")};
	return (struct control_state){
	    .state = route.is_held ? STR("held") : STR("waiting")};
}

static json_t *
view_destinations(struct view_spool *view,
    const struct control_request *request, view_item_fn *fn, void *arg)
{
	struct store_request *list = store_request_new(STORE_DESTINATIONS);
	const struct control_clock clock = {view->queue_ms, view->wall_ms};
	struct str after = request->after_name;
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
	const struct control_clock clock = {view->queue_ms, view->wall_ms};
	const struct conf_site **sites = control_sites_sorted(view->conf);
	struct buf line;

	buf_init(&line, CONTROL_LINE_MAX);
	for (size_t i = 0; i < view->conf->site_count; i++) {
		const struct conf_site *site = sites[i];
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
	free(sites);
	return view_end(0);
}

static json_t *
view_change(struct view_spool *view, const struct control_request *request,
    enum store_change change)
{
	uint64_t changed = 0, leased = 0, after = request->after_key;
	int error;

	do {
		struct store_request *slice = store_request_new(STORE_CHANGE);

		slice->u.change.filter = view_filter(view, request);
		slice->u.change.change = change;
		slice->u.change.reason = request->reason;
		slice->u.change.is_dry = request->is_dry;
		slice->u.change.after_key = after;
		view_do(view, slice);
		error = slice->error;
		changed += slice->u.change.changed_count;
		leased += slice->u.change.leased_count;
		after = slice->u.change.next_key;
		store_request_free(slice);
	} while (error == 0 && after != 0);
	return error < 0 ? view_end(error)
	                 : control_format_changed(0, changed, leased, 0);
}

/* Routes the rows of one message anew: 0 or -errno. */
static int
view_move(struct view_spool *view, const struct store_found *found,
    uint64_t *changed, uint64_t *moved)
{
	int error = 0;

	for (size_t at = 0; error == 0 && at < found->row_count;) {
		struct store_request *move = store_request_new(STORE_MOVE);

		at = requeue_fill(view->conf, found, at, false, move);
		move->u.move.is_now = true;
		view_do(view, move);
		error = move->error;
		*changed += move->u.move.done_count;
		*moved += move->u.move.moved_count;
		store_request_free(move);
	}
	return error;
}

static json_t *
view_requeue(struct view_spool *view, const struct control_request *request)
{
	uint64_t changed = 0, leased = 0, moved = 0, after = request->after_key;
	int error;

	do {
		struct store_request *find =
		    view_find(view, request, after, VIEW_PAGE);

		error = find->error;
		for (size_t i = 0; error == 0 && i < find->u.find.found_count;
		     i++)
			if (request->is_dry)
				requeue_count(view->conf,
				    &find->u.find.found[i], &changed, &leased,
				    &moved);
			else
				error = view_move(view, &find->u.find.found[i],
				    &changed, &moved);
		after = find->u.find.next_key;
		store_request_free(find);
	} while (error == 0 && after != 0);
	return error < 0 ? view_end(error)
	                 : control_format_changed(0, changed, leased, moved);
}

static json_t *
view_act(struct view_spool *view, const struct control_request *request,
    view_item_fn *fn, void *arg)
{
	switch (request->action) {
	case CONTROL_LIST:
		return view_list(view, request, fn, arg);
	case CONTROL_DESTINATIONS:
		return view_destinations(view, request, fn, arg);
	case CONTROL_SITES:
		return view_sites(view, fn, arg);
	case CONTROL_HOLD:
		return view_change(view, request, STORE_CHANGE_HOLD);
	case CONTROL_FREE:
		return view_change(view, request, STORE_CHANGE_FREE);
	case CONTROL_DELETE:
		return view_change(view, request, STORE_CHANGE_DELETE);
	case CONTROL_REQUEUE:
		return view_requeue(view, request);
	case CONTROL_PING:
	case CONTROL_RELEASE:
	case CONTROL_EXPIRE:
	case CONTROL_RUN:
		break;
	}
	return control_end("no daemon is running");
}

json_t *
view_spool_ask(
    struct view_spool *view, const json_t *request, view_item_fn *fn, void *arg)
{
	struct control_request *parsed = mem_new(1, sizeof(*parsed));
	char *line = json_dumps(request, JSON_COMPACT);
	const char *wrong;
	bool is_broken;
	json_t *end;

	wrong = control_request_read(
	    view->conf, str_from(line), parsed, &is_broken);
	end = wrong != NULL ? control_end(wrong)
	                    : view_act(view, parsed, fn, arg);
	control_request_fini(parsed);
	free(parsed);
	free(line);
	return end;
}

/* What the check finds, as lines of the log. */
static struct {
	view_item_fn *fn;
	void *arg;
	uint64_t count;
	bool is_rebuilt; /* that the index was set aside is no finding */
} view_found;

static void
view_found_log(enum log_level level, struct str line)
{
	json_t *item;

	if (level > LOG_WARN ||
	    (view_found.is_rebuilt &&
		str_starts(line, STR("warn spool-index-aside "))))
		return;
	item = json_object();
	view_found.count++;
	control_set(item, "item", json_string("finding"));
	control_set(item, "text", control_text(line));
	view_found.fn(view_found.arg, item);
	json_decref(item);
}

/* Looks at all of the store, as far as opening it has not.  A queue directory
   of sendmail's is read when it is opened: what is wrong was logged. */
static int
view_verify(struct view_spool *view, struct store_spool_report *report_out)
{
	struct store_info info;

	if (!store_place_is_mqueue(view->conf))
		return store_spool_verify(view->store, report_out);
	view->store->ops->info(view->store, &info);
	*report_out =
	    (struct store_spool_report){.record_count = info.totals.messages,
		.message_count = info.totals.messages,
		.bytes = info.totals.bytes};
	return 0;
}

json_t *
view_spool_check(const char *program, const struct conf *conf, bool is_rebuilt,
    view_item_fn *fn, void *arg)
{
	const struct store_spool_options options = {.is_index_new = is_rebuilt};
	struct store_spool_report report = {.wrong_count = 0};
	struct view_spool *view;
	json_t *end = NULL;
	int error;

	view_found.fn = fn;
	view_found.arg = arg;
	view_found.count = 0;
	view_found.is_rebuilt = is_rebuilt;
	log_set(view_found_log, LOG_WARN);
	view = view_spool_try(program, conf, &options, &error);
	if (view != NULL) {
		error = view_verify(view, &report);
		end = view_end(error);
		control_set_number(end, "records", report.record_count);
		control_set_number(end, "messages", report.message_count);
		control_set_number(end, "bytes", report.bytes);
		control_set_number(end, "wrong",
		    view_found.count > report.wrong_count ? view_found.count
							  : report.wrong_count);
	}
	view_spool_close(view);
	return end;
}
