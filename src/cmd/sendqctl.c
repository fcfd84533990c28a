/*
 * sendqctl: looks at the queue and changes it.  One table of commands; each
 * makes one request of the control protocol (role/control.h) and prints its
 * items, for people or as JSON lines.
 */
#include "base/num.h"
#include "cmd/view.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static const char sendqctl_help[] =
    "usage: sendqctl [-c FILE] [--json] COMMAND\n"
    "\n"
    "  list [--destination NAME]     one line a message\n"
    "  show ID                       one message and each recipient's fate\n"
    "  destinations                  what waits where, and what is done\n"
    "  sites                         the same for the sites\n"
    "  release SITE [DOMAIN...]      deliver what is held, as if it had asked\n"
    "  hold   --id ID | --destination NAME   stop it until it is freed\n"
    "  free   --id ID | --destination NAME   undo hold\n"
    "  delete --id ID | --destination NAME   remove it; nobody is told\n"
    "\n"
    "list, show, destinations, sites, hold, free and delete also work while\n"
    "no daemon runs. FILE is the configuration, else $SENDQ_CONFIG, "
    "else\n" CONF_FILE_DEFAULT ".\n"
    "\n"
    "Exit status: 0 done, 1 nothing like that is queued, 64 usage,\n"
    "69 the daemon or the spool cannot be reached, 78 configuration.\n";

#define SENDQCTL_NOTHING 1

struct sendqctl {
	bool is_json;
	size_t item_count;
	char last_id[64];
};

static const char *
item_text(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));

	return text != NULL ? text : "";
}

static long long
item_number(const json_t *item, const char *key)
{
	return (long long)json_integer_value(json_object_get(item, key));
}

static void
time_format(long long seconds, char text[24])
{
	time_t when = (time_t)seconds;
	struct tm parts;

	if (seconds == 0 || localtime_r(&when, &parts) == NULL ||
	    strftime(text, 24, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(text, 24, "-");
}

static void
print_json(const json_t *item)
{
	char *line = json_dumps(item, JSON_COMPACT);

	if (line != NULL)
		puts(line);
	free(line);
}

/* id size arrival sender recipients destination lane */
static void
print_message_line(struct sendqctl *c, const json_t *item)
{
	const json_t *recipients = json_object_get(item, "recipients");
	const json_t *first = json_array_get(recipients, 0);
	const char *sender = item_text(item, "sender");
	size_t count = json_array_size(recipients);
	char arrival[24], more[32] = "";

	time_format(item_number(item, "arrival"), arrival);
	if (count > 1)
		snprintf(more, sizeof(more), " +%zu", count - 1);
	printf("%-14s %9lld %s <%s> %s%s %s %s\n", item_text(item, "id"),
	    item_number(item, "size"), arrival, sender,
	    item_text(first, "address"), more, item_text(first, "destination"),
	    item_text(first, "lane"));
	(void)c;
}

static void
print_message(struct sendqctl *c, const json_t *item)
{
	const json_t *recipients = json_object_get(item, "recipients");
	char when[24];

	/* One with very many recipients comes in pieces. */
	if (strcmp(c->last_id, item_text(item, "id")) != 0) {
		printf("id:        %s\nsender:    <%s>\nsize:      %lld\n",
		    item_text(item, "id"), item_text(item, "sender"),
		    item_number(item, "size"));
		time_format(item_number(item, "arrival"), when);
		printf("arrival:   %s\n", when);
		time_format(item_number(item, "expire"), when);
		printf("expire:    %s\n", when);
		snprintf(c->last_id, sizeof(c->last_id), "%s",
		    item_text(item, "id"));
	}
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const json_t *r = json_array_get(recipients, i);

		printf("recipient: <%s>\n           %s for %s",
		    item_text(r, "address"), item_text(r, "lane"),
		    item_text(r, "destination"));
		if (json_is_true(json_object_get(r, "leased")))
			printf(", being delivered");
		if (item_number(r, "attempts") > 0)
			printf(", attempts %lld", item_number(r, "attempts"));
		time_format(item_number(r, "due"), when);
		if (item_number(r, "due") > 0)
			printf(", next %s", when);
		putchar('\n');
		if (item_text(r, "status")[0] != '\0')
			printf("           %s\n", item_text(r, "status"));
	}
}

static void
print_destination(struct sendqctl *c, const json_t *item)
{
	char oldest[24], next[24] = "";

	if (c->item_count == 1)
		printf("%-24s %9s %12s %-10s %-19s %s\n", "name", "messages",
		    "bytes", "state", "oldest", "next try");
	time_format(item_number(item, "oldest"), oldest);
	if (item_number(item, "next") > 0)
		time_format(item_number(item, "next"), next);
	printf("%-24s %9lld %12lld %-10s %-19s %s\n", item_text(item, "name"),
	    item_number(item, "messages"), item_number(item, "bytes"),
	    item_text(item, "state"), oldest, next);
}

typedef void sendqctl_print_fn(struct sendqctl *c, const json_t *item);

struct sendqctl_command {
	const char *name;
	const char *verb;         /* "do" of the request */
	sendqctl_print_fn *print; /* of its items; NULL = it has none */
	size_t words_min, words_max;
	bool has_filter; /* takes --id and --destination */
};

static const struct sendqctl_command commands[] = {
    {"list", "list", print_message_line, 0, 0, true},
    {"show", "list", print_message, 1, 1, false},
    {"destinations", "destinations", print_destination, 0, 0, false},
    {"sites", "sites", print_destination, 0, 0, false},
    {"release", "release", NULL, 1, 101, false},
    {"hold", "hold", NULL, 0, 0, true},
    {"free", "free", NULL, 0, 0, true},
    {"delete", "delete", NULL, 0, 0, true},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

struct sendqctl_call {
	struct sendqctl state;
	const struct sendqctl_command *command;
	const char *file, *id, *destination;
	char **words;
	size_t word_count;
};

static void
print_item(void *arg, const json_t *item)
{
	struct sendqctl_call *call = arg;

	call->state.item_count++;
	if (call->state.is_json)
		print_json(item);
	else if (call->command->print != NULL)
		call->command->print(&call->state, item);
}

static void
set_text(json_t *request, const char *key, const char *text)
{
	if (text != NULL &&
	    json_object_set_new(request, key, json_string(text)) < 0)
		abort();
}

static json_t *
make_request(const struct sendqctl_call *call)
{
	json_t *request = json_object(), *domains;

	if (request == NULL)
		abort();
	set_text(request, "do", call->command->verb);
	set_text(request, "id", call->id);
	set_text(request, "destination", call->destination);
	if (strcmp(call->command->name, "show") == 0)
		set_text(request, "id", call->words[0]);
	if (strcmp(call->command->name, "release") != 0)
		return request;
	set_text(request, "site", call->words[0]);
	if (call->word_count < 2)
		return request;
	domains = json_array();
	for (size_t i = 1; i < call->word_count; i++)
		if (json_array_append_new(
			domains, json_string(call->words[i])) < 0)
			abort();
	json_object_set_new(request, "domains", domains);
	return request;
}

/* Says what was done; the exit status. */
static int
report(const struct sendqctl_call *call, const json_t *end)
{
	const char *name = call->command->name;
	const char *result = item_text(end, "result");

	if (call->state.is_json && call->command->print == NULL)
		print_json(end);
	if (strcmp(name, "show") == 0 && call->state.item_count == 0) {
		fprintf(stderr, "sendqctl: %s is not queued\n", call->words[0]);
		return SENDQCTL_NOTHING;
	}
	if (strcmp(name, "release") == 0) {
		if (!call->state.is_json)
			printf("%s: %s, %lld messages\n",
			    item_text(end, "site"), result,
			    item_number(end, "count"));
		if (strcmp(result, "unknown") == 0)
			return SENDQCTL_NOTHING;
		return strcmp(result, "busy") == 0 ? EX_TEMPFAIL : EX_OK;
	}
	if (call->command->print == NULL && !call->state.is_json)
		printf("%s: %lld recipients, %lld left because they are "
		       "being delivered\n",
		    name, item_number(end, "changed"),
		    item_number(end, "leased"));
	return EX_OK;
}

static int
usage(const char *what, const char *which)
{
	fprintf(stderr, "sendqctl: %s%s%s\nTry 'sendqctl --help'.\n", what,
	    which != NULL ? ": " : "", which != NULL ? which : "");
	return EX_USAGE;
}

/* Takes an option with a value at argv[*i]; false if it is none. */
static bool
take_value(int argc, char **argv, int *i, struct sendqctl_call *call)
{
	static const char *const names[] = {"-c", "--id", "--destination"};
	const char **places[] = {&call->file, &call->id, &call->destination};

	for (size_t n = 0; n < 3; n++)
		if (strcmp(argv[*i], names[n]) == 0 && *i + 1 < argc) {
			*places[n] = argv[++*i];
			return true;
		}
	return false;
}

static const struct sendqctl_command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* 0 = go on, else the exit status plus one. */
static int
parse(int argc, char **argv, struct sendqctl_call *call)
{
	call->words = argv;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return (fputs(sendqctl_help, stdout) < 0 ? EX_IOERR
								 : EX_OK) +
			       1;
		if (strcmp(argv[i], "--version") == 0) {
			puts("sendqctl " SENDQ_VERSION);
			return EX_OK + 1;
		}
		if (strcmp(argv[i], "--json") == 0)
			call->state.is_json = true;
		else if (take_value(argc, argv, &i, call))
			continue;
		else if (argv[i][0] == '-')
			return usage("no such option", argv[i]) + 1;
		else if (call->command == NULL) {
			call->command = find_command(argv[i]);
			if (call->command == NULL)
				return usage("no such command", argv[i]) + 1;
		} else
			call->words[call->word_count++] = argv[i];
	}
	if (call->command == NULL)
		return usage("a command is needed", NULL) + 1;
	return 0;
}

static int
check_call(const struct sendqctl_call *call)
{
	const struct sendqctl_command *command = call->command;
	bool has_filter = call->id != NULL || call->destination != NULL;

	if (call->word_count < command->words_min ||
	    call->word_count > command->words_max)
		return usage("wrong number of arguments for", command->name);
	if (has_filter && !command->has_filter)
		return usage("no --id and no --destination for", command->name);
	if (!has_filter && command->has_filter && command->print == NULL)
		return usage(
		    "--id or --destination is needed for", command->name);
	return EX_OK;
}

static int
carry_out(struct sendqctl_call *call, const struct conf *conf)
{
	struct view *view = view_open("sendqctl", conf);
	json_t *end = NULL;
	int status;

	if (view != NULL)
		end = view_ask(view, make_request(call), print_item, call);
	status = end != NULL ? report(call, end) : EX_UNAVAILABLE;
	json_decref(end);
	view_close(view);
	if (fflush(stdout) != 0)
		status = EX_IOERR;
	return status;
}

int
main(int argc, char **argv)
{
	struct sendqctl_call call = {.file = NULL};
	struct conf *conf;
	int status = parse(argc, argv, &call);

	if (status > 0)
		return status - 1;
	status = check_call(&call);
	if (status != EX_OK)
		return status;
	conf = view_conf(
	    "sendqctl", conf_file_name(call.file, getenv(CONF_FILE_ENV)));
	if (conf == NULL)
		return EX_CONFIG;
	status = carry_out(&call, conf);
	conf_free(conf);
	return status;
}
