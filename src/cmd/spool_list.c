/* Our queue in sendmail's columns (cmd/mqueue_print.h). */
#include "cmd/spool_list.h"
#include "base/mem.h"
#include "cmd/ctl_print.h"
#include "cmd/drop_count.h"
#include "cmd/mqueue_print.h"
#include "cmd/spool_walk.h"
#include "cmd/view.h"
#include "mail/trouble.h"
#include "role/control.h"
#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

/* sendmail's way to reckon a priority: RecipientFactor, RetryFactor. */
#define PRIORITY_RECIPIENT 30000
#define PRIORITY_ATTEMPT   90000
#define STATUS_MAX         2048
#define ID_SIZE            64

struct list {
	const struct sendmail_options *options;
	const struct conf *conf;
	size_t count;
	size_t drop_count; /* messages that are in the drop directory still */
};

static bool
is_leased(const json_t *recipients)
{
	for (size_t i = 0; i < json_array_size(recipients); i++)
		if (json_is_true(json_object_get(
			json_array_get(recipients, i), "leased")))
			return true;
	return false;
}

/* The last answer for a recipient, as sendmail's M line has it. */
static struct str
status_text(const json_t *recipient, char text[STATUS_MAX])
{
	const char *status = ctl_text(recipient, "status");
	int size;

	if (status[0] == '\0')
		return STR("");
	size = snprintf(text, STATUS_MAX, "Deferred: ");
	mail_trouble_put(
	    str_from(status), text + size, STATUS_MAX - (size_t)size);
	return str_from(text);
}

/* Of the first recipient that has one. */
static struct str
first_status(const json_t *recipients, char text[STATUS_MAX])
{
	struct str status = STR("");

	for (size_t i = 0; i < json_array_size(recipients); i++) {
		status = status_text(json_array_get(recipients, i), text);
		if (status.size > 0)
			break;
	}
	return status;
}

static int64_t
priority_of(const json_t *item, const json_t *recipients)
{
	size_t count = json_array_size(recipients);
	long long attempts = 0;

	for (size_t i = 0; i < count; i++) {
		long long n =
		    ctl_number(json_array_get(recipients, i), "attempts");

		attempts = n > attempts ? n : attempts;
	}
	return ctl_number(item, "size") + (int64_t)count * PRIORITY_RECIPIENT +
	       attempts * PRIORITY_ATTEMPT;
}

/* True if a recipient was tried less than MinQueueAge ago: it is due as long
   after that as the configuration says. */
static bool
is_young(const struct list *list, const json_t *recipients)
{
	long long age_s = (long long)(list->options->min_queue_age_ms / 1000);
	long long now_s = (long long)time(NULL);

	for (size_t i = 0; age_s > 0 && i < json_array_size(recipients); i++) {
		const json_t *recipient = json_array_get(recipients, i);
		long long attempts = ctl_number(recipient, "attempts");
		long long due_s = ctl_number(recipient, "due"), tried_s;

		if (attempts < 1 || attempts > UINT32_MAX || due_s == 0)
			continue;
		tried_s = due_s - (long long)(sched_backoff((uint32_t)attempts,
						  list->conf->retry_min_ms,
						  list->conf->retry_max_ms) /
					      1000);
		if (tried_s <= now_s && now_s - tried_s < age_s)
			return true;
	}
	return false;
}

static void
list_message(void *arg, const json_t *item, const json_t *recipients)
{
	struct list *list = arg;
	bool is_verbose = list->options->is_verbose;
	const char *sender = ctl_text(item, "sender");
	char status[STATUS_MAX];
	struct mqueue_first first = {.size = ctl_number(item, "size"),
	    .priority = priority_of(item, recipients),
	    .created_s = ctl_number(item, "arrival"),
	    .sender = str_from(sender[0] != '\0' ? sender : "<>"),
	    .reason = str_from(spool_reason(item, recipients)),
	    .status = first_status(recipients, status)};

	mqueue_print_id(stdout, str_from(ctl_text(item, "id")),
	    is_leased(recipients)        ? '*'
	    : is_young(list, recipients) ? '-'
					 : ' ');
	mqueue_print_first(stdout, &first, is_verbose);
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const json_t *recipient = json_array_get(recipients, i);

		mqueue_print_recipient(stdout,
		    str_from(ctl_text(recipient, "address")),
		    status_text(recipient, status), is_verbose);
	}
	putchar('\n');
}

static void
count_message(void *arg, const json_t *item, const json_t *recipients)
{
	struct list *list = arg;

	list->count++;
	(void)item;
	(void)recipients;
}

/* How many messages are selected: true, or false after it was printed that
   this cannot be found out. */
static bool
list_count(struct list *list, struct view *view)
{
	json_t *request, *end;

	if (spool_walk_is_selective(list->options))
		return spool_walk(view, list->options, count_message, list);
	request = spool_request("list");
	json_object_set_new(request, "count", json_integer(1));
	end = view_page(view, request, NULL, NULL);
	list->count = (size_t)ctl_number(end, "total");
	json_decref(request);
	json_decref(end);
	return end != NULL;
}

/* True if a queue group was asked for, of which we have none. */
static bool
is_group_unknown(const struct sendmail_options *options)
{
	if (options->queue_group.size == 0 ||
	    str_equal(options->queue_group, STR("mqueue")))
		return false;
	printf("Queue group %.*s unknown\n", STR_ARG(options->queue_group));
	return true;
}

int
spool_list(const struct sendmail_options *options, const struct conf *conf)
{
	struct list list = {.options = options, .conf = conf};
	struct view *view;
	bool is_good;
	int status;

	if (is_group_unknown(options))
		return EX_OK;
	/* Before the view: it may have to become another user. */
	if (options->queue_group.size == 0 && !spool_walk_is_selective(options))
		list.drop_count = drop_count(conf);
	view = view_open(options->program, conf, &status);
	if (view == NULL)
		return status;
	is_good = list_count(&list, view);
	if (is_good && list.count == 0)
		printf("%.*s is empty\n", STR_ARG(conf->spool));
	if (is_good && list.count > 0) {
		mqueue_print_head(stdout, conf->spool.data, list.count, 0,
		    options->is_verbose);
		fflush(stdout);
		is_good = spool_walk(view, options, list_message, &list);
	}
	view_close(view);
	if (!is_good)
		return EX_UNAVAILABLE;
	drop_count_print(conf, list.drop_count, "\t\t");
	if (options->queue_group.size == 0)
		mqueue_print_total(stdout, list.count);
	return EX_OK;
}

int
spool_counts(const struct sendmail_options *options, const struct conf *conf)
{
	const struct sendmail_options all = {.program = options->program};
	struct list list = {.options = &all, .drop_count = drop_count(conf)};
	int status;
	struct view *view = view_open(options->program, conf, &status);
	bool is_good = view != NULL && list_count(&list, view);

	view_close(view);
	if (!is_good)
		return status != EX_OK ? status : EX_UNAVAILABLE;
	if (list.count == 0)
		printf("%.*s is empty\n", STR_ARG(conf->spool));
	else
		printf("%.*s: entries=%zu\n", STR_ARG(conf->spool), list.count);
	drop_count_print(conf, list.drop_count, "");
	if (list.count > 0)
		mqueue_print_total(stdout, list.count);
	return EX_OK;
}

/* What is selected. */
struct chosen {
	char id[ID_SIZE];
	char *reason; /* NULL = not all of it is stopped */
};

struct choice {
	struct chosen *list;
	size_t count, capacity;
};

static void
choice_add(void *arg, const json_t *item, const json_t *recipients)
{
	struct choice *choice = arg;
	struct str reason = str_from(spool_reason(item, recipients));
	struct chosen *one;

	if (choice->count == choice->capacity) {
		choice->capacity =
		    choice->capacity > 0 ? choice->capacity * 2 : 64;
		choice->list = mem_resize(
		    choice->list, choice->capacity, sizeof(*choice->list));
	}
	one = &choice->list[choice->count++];
	snprintf(one->id, sizeof(one->id), "%s", ctl_text(item, "id"));
	one->reason =
	    reason.size > 0 ? mem_copy_text(reason.data, reason.size) : NULL;
}

static void
choice_free(struct choice *choice)
{
	for (size_t i = 0; i < choice->count; i++)
		free(choice->list[i].reason);
	free(choice->list);
}

/* The reason that was given, as our queue can have it; empty = release. */
static json_t *
quarantine_reason(const struct sendmail_options *options)
{
	char text[STORE_REASON_MAX];
	struct str reason = str_head(options->quarantine, sizeof(text));

	for (size_t i = 0; i < reason.size; i++) {
		char c = reason.data[i];

		text[i] = c == '\n' || c == '\r' ? ' ' : c;
	}
	return control_text(str_of(text, reason.size));
}

static void
quarantine_tell(const struct chosen *one, const char *reason)
{
	if (reason[0] == '\0')
		printf("%s: Removed quarantine of \"%s\"\n", one->id,
		    one->reason != NULL ? one->reason : STORE_STOPPED_TEXT);
	else if (one->reason == NULL)
		printf("%s: Quarantined with \"%s\"\n", one->id, reason);
	else
		printf("%s: Quarantine changed from \"%s\" to \"%s\"\n",
		    one->id, one->reason, reason);
}

/* Stops or frees one message: true if anything was changed. */
static bool
quarantine_message(struct view *view, const struct sendmail_options *options,
    const struct chosen *one, json_t *reason)
{
	const char *text = json_string_value(reason);
	bool is_release = text[0] == '\0';
	json_t *request = spool_request(is_release ? "free" : "hold"), *end;
	bool is_changed;

	json_object_set_new(request, "id", json_string(one->id));
	if (!is_release)
		json_object_set(request, "reason", reason);
	end = view_ask(view, request, NULL, NULL);
	is_changed = ctl_number(end, "changed") > 0;
	json_decref(end);
	if (options->is_verbose && is_changed)
		quarantine_tell(one, text);
	else if (options->is_verbose && !is_release && one->reason != NULL)
		printf("%s: Already quarantined with \"%s\"\n", one->id,
		    one->reason);
	return is_changed;
}

int
spool_quarantine(
    const struct sendmail_options *options, const struct conf *conf)
{
	struct choice choice = {.list = NULL};
	int status;
	struct view *view = view_open(options->program, conf, &status);
	bool is_good =
	    view != NULL && spool_walk(view, options, choice_add, &choice);
	json_t *reason = quarantine_reason(options);
	size_t changes = 0;

	if (is_good && options->is_verbose)
		printf(choice.count == 0 ? "%.*s: no matches\n"
					 : "Processing %.*s:\n",
		    STR_ARG(conf->spool));
	for (size_t i = 0; is_good && i < choice.count; i++)
		if (quarantine_message(view, options, &choice.list[i], reason))
			changes++;
	view_close(view);
	choice_free(&choice);
	json_decref(reason);
	if (!is_good)
		return status != EX_OK ? status : EX_UNAVAILABLE;
	if (options->is_verbose && changes == 0)
		puts("No changes");
	else if (options->is_verbose)
		printf("%zu change%s\n", changes, changes == 1 ? "" : "s");
	return EX_OK;
}

struct hosts {
	bool is_verbose;
	size_t count;
};

/* The host of a destination: "smtp://mx.test:26" is "mx.test". */
static struct str
hosts_name(struct str name)
{
	static const struct str scheme = {"smtp://", 7};

	if (!str_starts(name, scheme))
		return name;
	name = str_skip(name, scheme.size);
	if (name.size > 0 && name.data[0] == '[')
		return str_head(name, str_find(name, ']') + 1);
	return str_head(name, str_find(name, ':'));
}

/* One line of hoststat, for a destination whose host gave an answer: its words,
   or why it gave none. */
static void
hosts_item(void *arg, const json_t *item)
{
	struct hosts *hosts = arg;
	const char *answer = ctl_text(item, "answer");
	struct str host, what = str_from(answer);
	char text[STATUS_MAX];

	if (answer[0] == '\0')
		return;
	/* The host stands in the line. */
	(void)mail_trouble_split(what, &host, &what);
	if (hosts->count++ == 0)
		mqueue_print_hosts_head(stdout);
	snprintf(text, sizeof(text), "%s%.*s",
	    ascii_is_digit(answer[0]) ? "" : "Deferred: ", STR_ARG(what));
	mqueue_print_host(stdout, hosts_name(str_from(ctl_text(item, "name"))),
	    ctl_number(item, "answered"), (int64_t)time(NULL), str_from(text),
	    hosts->is_verbose);
}

int
spool_hosts(const struct sendmail_options *options, const struct conf *conf)
{
	struct hosts hosts = {.is_verbose = options->is_verbose};
	int status;
	struct view *view = view_open(options->program, conf, &status);
	json_t *end = NULL;

	if (view != NULL)
		end = view_ask(
		    view, spool_request("destinations"), hosts_item, &hosts);
	view_close(view);
	json_decref(end);
	if (end != NULL)
		return EX_OK;
	return status != EX_OK ? status : EX_UNAVAILABLE;
}
