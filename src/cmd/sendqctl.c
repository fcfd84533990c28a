/*
 * sendqctl: looks at the queue and changes it.  One table of commands and one
 * of options; each command makes one request of the control protocol
 * (role/control.h) and prints its items, for people or as JSON lines.  Check,
 * import and export are different: they open the spool themselves, and nobody
 * else may have it.
 */
#include "base/num.h"
#include "cmd/ctl_move.h"
#include "cmd/ctl_print.h"
#include "cmd/ctl_top.h"
#include "cmd/drop_count.h"
#include "cmd/view.h"
#include "cmd/view_spool.h"
#include "conf/conf.h"
#include "role/control.h"
#include "role/control_request.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char sendqctl_help[] =
    "usage: sendqctl [-c FILE] [--json] COMMAND [OPTION...]\n"
    "  list [FILTER]             one line a message\n"
    "  show ID                   one message and each recipient's fate\n"
    "  destinations | sites      what waits where, and what is done about it\n"
    "  top [--sort count|bytes|age] [--count N]   where most of it waits\n"
    "  release SITE [DOMAIN...]  deliver what is held, as if it had asked\n"
    "  hold FILTER [--reason TEXT]   stop it until it is freed\n"
    "  free FILTER               undo hold\n"
    "  delete FILTER             remove it; nobody is told\n"
    "  requeue FILTER            route it anew, and try it now\n"
    "  expire FILTER             return it to its senders\n"
    "  check [--rebuild]         look for damage, with a new index\n"
    "  import DIR [FILTER]       take mail out of a queue of sendmail's\n"
    "  export DIR [FILTER]       put mail into one\n"
    "\n"
    "FILTER: --id ID, --sender ADDRESS, --recipient ADDRESS, --domain DOMAIN,\n"
    "--site NAME, --destination NAME, --older TIME (90m, 2d), --larger SIZE\n"
    "(64k, 1M): all that are given must fit. An ADDRESS may be @DOMAIN. From\n"
    "hold to expire, --dry-run counts and does nothing.\n"
    "While no daemon runs, all but release and expire work as well, and only\n"
    "then check, import and export. FILE is the configuration, else\n"
    "$SENDQ_CONFIG, else " CONF_FILE_DEFAULT ".\n"
    "Exit status: 0 done, 1 nothing such is queued or damage was found,\n"
    "64 usage, 69 no daemon or no spool to ask, 75 busy, 78 configuration.\n";

#define SENDQCTL_NOTHING 1
#define SENDQCTL_TOP     20 /* destinations, unless --count */

/* Options; those of one kind share what is done with their value. */
enum {
	HAS_ID = 1,
	HAS_SENDER = 2,
	HAS_RECIPIENT = 4,
	HAS_DOMAIN = 8,
	HAS_SITE = 16,
	HAS_DESTINATION = 32,
	HAS_OLDER = 64,
	HAS_LARGER = 128,
	HAS_DRY_RUN = 256,
	HAS_SORT = 512,
	HAS_COUNT = 1024,
	HAS_REBUILD = 2048,
	HAS_FILE = 4096,
	HAS_JSON = 8192,
	HAS_REASON = 16384,
	HAS_ALWAYS = HAS_FILE | HAS_JSON,
	HAS_FILTER = HAS_ID | HAS_SENDER | HAS_RECIPIENT | HAS_DOMAIN |
	             HAS_SITE | HAS_DESTINATION | HAS_OLDER | HAS_LARGER,
	HAS_CHANGE = HAS_FILTER | HAS_DRY_RUN,
};

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_DURATION,
	OPTION_SIZE,
	OPTION_NUMBER,
};

static const struct option {
	const char *name;
	unsigned bit;
	enum option_kind kind;
	const char *key; /* of the request, if it has one */
} options[] = {
    {"-c", HAS_FILE, OPTION_TEXT, NULL},
    {"--json", HAS_JSON, OPTION_FLAG, NULL},
    {"--id", HAS_ID, OPTION_TEXT, "id"},
    {"--sender", HAS_SENDER, OPTION_TEXT, "sender"},
    {"--recipient", HAS_RECIPIENT, OPTION_TEXT, "recipient"},
    {"--domain", HAS_DOMAIN, OPTION_TEXT, "domain"},
    {"--site", HAS_SITE, OPTION_TEXT, NULL},
    {"--destination", HAS_DESTINATION, OPTION_TEXT, "destination"},
    {"--older", HAS_OLDER, OPTION_DURATION, "older"},
    {"--larger", HAS_LARGER, OPTION_SIZE, "larger"},
    {"--dry-run", HAS_DRY_RUN, OPTION_FLAG, "dry"},
    {"--reason", HAS_REASON, OPTION_TEXT, "reason"},
    {"--sort", HAS_SORT, OPTION_TEXT, NULL},
    {"--count", HAS_COUNT, OPTION_NUMBER, NULL},
    {"--rebuild", HAS_REBUILD, OPTION_FLAG, NULL},
};

static const struct command {
	const char *name;
	const char *verb;    /* "do" of the request; NULL = it makes none */
	ctl_print_fn *print; /* of its items; NULL = it has none */
	size_t words_min, words_max;
	unsigned allowed;
	bool is_change; /* needs a filter */
} commands[] = {
    {"list", "list", ctl_print_message_line, 0, 0, HAS_FILTER, false},
    {"show", "list", ctl_print_message, 1, 1, 0, false},
    {"destinations", "destinations", ctl_print_destination, 0, 0, 0, false},
    {"sites", "sites", ctl_print_destination, 0, 0, 0, false},
    {"top", "destinations", ctl_print_destination, 0, 0, HAS_SORT | HAS_COUNT,
	false},
    {"release", "release", NULL, 1, 101, 0, false},
    {"hold", "hold", NULL, 0, 0, HAS_CHANGE | HAS_REASON, true},
    {"free", "free", NULL, 0, 0, HAS_CHANGE, true},
    {"delete", "delete", NULL, 0, 0, HAS_CHANGE, true},
    {"requeue", "requeue", NULL, 0, 0, HAS_CHANGE, true},
    {"expire", "expire", NULL, 0, 0, HAS_CHANGE, true},
    {"check", NULL, ctl_print_finding, 0, 0, HAS_REBUILD, false},
    {"import", NULL, NULL, 1, 1, HAS_FILTER, false},
    {"export", NULL, NULL, 1, 1, HAS_FILTER, false},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))
#define OPTIONS_COUNT  (sizeof(options) / sizeof(options[0]))

struct call {
	const struct command *command;
	unsigned given;
	json_t *request; /* the filter is there already */
	const char *file, *sort;
	size_t count;
	char **words;
	size_t word_count;
	struct ctl_print print;
	struct ctl_top *top; /* of top, else NULL */
};

static bool
is_json(const struct call *call)
{
	return (call->given & HAS_JSON) != 0;
}

static bool
is_command(const struct call *call, const char *name)
{
	return strcmp(call->command->name, name) == 0;
}

/* TEXT as JSON.  What is no UTF-8 names nothing that is queued. */
static json_t *
text_of(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("?");
}

/* VALUE becomes the request's. */
static void
set(struct call *call, const char *key, json_t *value)
{
	if (json_object_set_new(call->request, key, value) < 0)
		abort();
}

static int
usage(const char *what, const char *which)
{
	fprintf(stderr, "sendqctl: %s%s%s\nTry 'sendqctl --help'.\n", what,
	    which != NULL ? ": " : "", which != NULL ? which : "");
	return EX_USAGE;
}

static void
print_one(struct call *call, const json_t *item)
{
	call->print.item_count++;
	if (is_json(call))
		ctl_print_json(item);
	else if (call->command->print != NULL)
		call->command->print(&call->print, item);
}

static void
print_item(void *arg, const json_t *item)
{
	struct call *call = arg;

	if (call->top != NULL)
		ctl_top_add(call->top, item);
	else
		print_one(call, item);
}

/* The value of an option that is a number of some kind, 1 to MAX. */
static int
parse_number(const struct option *option, struct str text, uint64_t max,
    uint64_t *value_out)
{
	int error = -1;

	if (option->kind == OPTION_DURATION)
		error = num_parse_duration(text, max, value_out);
	if (option->kind == OPTION_SIZE)
		error = num_parse_size(text, max, value_out);
	if (option->kind == OPTION_NUMBER)
		error = num_parse(text, max, value_out);
	if (error < 0 || *value_out == 0)
		return usage("bad value for", option->name);
	return EX_OK;
}

/* Takes what was said of OPTION; VALUE is NULL for a flag. */
static int
take_option(struct call *call, const struct option *option, const char *value)
{
	uint64_t number = 0;
	char text[STORE_DESTINATION_MAX + 1];
	int status = EX_OK;

	if ((call->given & option->bit) != 0)
		return usage("given twice", option->name);
	call->given |= option->bit;
	if (option->kind == OPTION_FLAG) {
		if (option->key != NULL)
			set(call, option->key, json_true());
		return EX_OK;
	}
	if (option->kind == OPTION_DURATION)
		status = parse_number(option, str_from(value),
		    (uint64_t)CONTROL_OLDER_MAX * 1000, &number);
	else if (option->kind == OPTION_SIZE)
		status =
		    parse_number(option, str_from(value), INT64_MAX, &number);
	else if (option->kind == OPTION_NUMBER)
		status =
		    parse_number(option, str_from(value), CTL_TOP_MAX, &number);
	if (status != EX_OK)
		return status;
	if (option->kind == OPTION_DURATION)
		number = (number + 999) / 1000;
	if (option->kind == OPTION_TEXT && option->key != NULL)
		set(call, option->key, text_of(value));
	else if (option->key != NULL)
		set(call, option->key, json_integer((json_int_t)number));
	if (option->bit == HAS_SITE) {
		if (snprintf(text, sizeof(text), "site:%s", value) >=
		    (int)sizeof(text))
			return usage("bad value for", option->name);
		set(call, "destination", text_of(text));
	}
	if (option->bit == HAS_FILE)
		call->file = value;
	if (option->bit == HAS_SORT)
		call->sort = value;
	if (option->bit == HAS_COUNT)
		call->count = (size_t)number;
	return EX_OK;
}

static const struct option *
find_option(const char *name)
{
	for (size_t i = 0; i < OPTIONS_COUNT; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Takes the argument at argv[*i], and its value with it. */
static int
take_argument(struct call *call, int argc, char **argv, int *i)
{
	const char *argument = argv[*i];
	const struct option *option = find_option(argument);

	if (option != NULL && option->kind == OPTION_FLAG)
		return take_option(call, option, NULL);
	if (option != NULL && *i + 1 == argc)
		return usage("no value for", argument);
	if (option != NULL)
		return take_option(call, option, argv[++*i]);
	if (argument[0] == '-')
		return usage("no such option", argument);
	if (call->command != NULL) {
		call->words[call->word_count++] = argv[*i];
		return EX_OK;
	}
	call->command = find_command(argument);
	return call->command != NULL ? EX_OK
	                             : usage("no such command", argument);
}

/* True if one of the two was asked for and printed. */
static bool
tell_about(int argc, char **argv, int *status_out)
{
	for (int i = 1; i < argc; i++) {
		bool is_help = strcmp(argv[i], "--help") == 0;

		if (!is_help && strcmp(argv[i], "--version") != 0)
			continue;
		*status_out = fputs(is_help ? sendqctl_help
					    : "sendqctl " SENDQ_VERSION "\n",
				  stdout) < 0
		                  ? EX_IOERR
		                  : EX_OK;
		return true;
	}
	return false;
}

static int
check_call(const struct call *call)
{
	const struct command *command = call->command;
	unsigned over;

	if (command == NULL)
		return usage("a command is needed", NULL);
	over = call->given & ~(command->allowed | HAS_ALWAYS);
	for (size_t i = 0; i < OPTIONS_COUNT; i++)
		if ((over & options[i].bit) != 0) {
			fprintf(stderr, "sendqctl: %s takes no %s\n",
			    command->name, options[i].name);
			return EX_USAGE;
		}
	if (call->word_count < command->words_min ||
	    call->word_count > command->words_max)
		return usage("wrong number of arguments for", command->name);
	if (command->is_change && (call->given & HAS_FILTER) == 0)
		return usage("a filter is needed for", command->name);
	if ((call->given & HAS_SITE) != 0 &&
	    (call->given & HAS_DESTINATION) != 0)
		return usage("--site is a --destination already", NULL);
	return EX_OK;
}

/* The words of a command become members of its request. */
static void
set_words(struct call *call)
{
	json_t *domains;

	set(call, "do", json_string(call->command->verb));
	if (is_command(call, "show"))
		set(call, "id", text_of(call->words[0]));
	if (!is_command(call, "release"))
		return;
	set(call, "site", text_of(call->words[0]));
	if (call->word_count < 2)
		return;
	domains = json_array();
	for (size_t i = 1; i < call->word_count; i++)
		if (json_array_append_new(domains, text_of(call->words[i])) < 0)
			abort();
	set(call, "domains", domains);
}

static int
report_release(const struct call *call, const json_t *end)
{
	const char *result = ctl_text(end, "result");

	if (strcmp(result, "unknown") == 0) {
		fprintf(stderr, "sendqctl: no such site: %s\n", call->words[0]);
		return SENDQCTL_NOTHING;
	}
	if (!is_json(call))
		printf("%s: %s, %lld messages\n", ctl_text(end, "site"), result,
		    ctl_number(end, "count"));
	return strcmp(result, "busy") == 0 ? EX_TEMPFAIL : EX_OK;
}

static int
report_change(const struct call *call, const json_t *end)
{
	long long changed = ctl_number(end, "changed");
	long long leased = ctl_number(end, "leased");
	bool is_dry = (call->given & HAS_DRY_RUN) != 0;

	if (!is_json(call)) {
		printf("%s: %lld recipients%s", call->command->name, changed,
		    is_dry ? " would be" : "");
		if (is_command(call, "requeue"))
			printf(", %lld of them to another destination",
			    ctl_number(end, "moved"));
		printf(
		    ", %lld left because they are being delivered\n", leased);
	}
	return changed + leased > 0 ? EX_OK : SENDQCTL_NOTHING;
}

/* Says what was done; the exit status. */
static int
report(const struct call *call, const json_t *end)
{
	if (is_json(call) && call->command->print == NULL)
		ctl_print_json(end);
	if (is_command(call, "show") && call->print.item_count == 0) {
		fprintf(stderr, "sendqctl: %s is not queued\n", call->words[0]);
		return SENDQCTL_NOTHING;
	}
	if (is_command(call, "release"))
		return report_release(call, end);
	return call->command->is_change ? report_change(call, end) : EX_OK;
}

static int
report_check(const struct call *call, const json_t *end)
{
	long long wrong = ctl_number(end, "wrong");

	if (is_json(call))
		ctl_print_json(end);
	else
		printf("%lld records, %lld messages, %lld bytes: %lld wrong\n",
		    ctl_number(end, "records"), ctl_number(end, "messages"),
		    ctl_number(end, "bytes"), wrong);
	if (json_is_string(json_object_get(end, "error"))) {
		fprintf(stderr, "sendqctl: %s\n", ctl_text(end, "error"));
		return SENDQCTL_NOTHING;
	}
	return wrong > 0 ? SENDQCTL_NOTHING : EX_OK;
}

static int
carry_out_check(struct call *call, const struct conf *conf)
{
	json_t *end = view_spool_check("sendqctl", conf,
	    (call->given & HAS_REBUILD) != 0, print_item, call);
	int status = end != NULL ? report_check(call, end) : EX_UNAVAILABLE;

	json_decref(end);
	return status;
}

static int
report_move(const struct call *call, const struct ctl_move *move)
{
	json_t *end;

	if (is_json(call)) {
		end = json_pack("{s:b,s:n,s:I,s:I,s:I}", "end", 1, "error",
		    "moved", (json_int_t)move->moved_count, "merged",
		    (json_int_t)move->merged_count, "left",
		    (json_int_t)move->left_count);
		ctl_print_json(end);
		json_decref(end);
	} else
		printf("%s: %llu messages, %llu were in both places, %llu left "
		       "because they are in use\n",
		    call->command->name, (unsigned long long)move->moved_count,
		    (unsigned long long)move->merged_count,
		    (unsigned long long)move->left_count);
	if (move->moved_count + move->merged_count + move->left_count > 0)
		return EX_OK;
	fprintf(stderr, "sendqctl: no such message in %s\n",
	    move->is_import ? move->directory : move->conf->spool.data);
	return SENDQCTL_NOTHING;
}

static int
carry_out_move(struct call *call, const struct conf *conf)
{
	struct ctl_move move = {.conf = conf,
	    .directory = call->words[0],
	    .is_import = is_command(call, "import")};
	struct control_request *parsed;
	const char *wrong;
	bool is_broken;
	char *line;
	int status = EX_USAGE;

	/* The filter is read as that of a listing. */
	set(call, "do", json_string("list"));
	line = json_dumps(call->request, JSON_COMPACT);
	parsed = calloc(1, sizeof(*parsed));
	if (line == NULL || parsed == NULL)
		abort();
	wrong = control_request_read(conf, str_from(line), parsed, &is_broken);
	if (wrong != NULL)
		fprintf(stderr, "sendqctl: %s\n", wrong);
	else {
		move.filter = parsed->filter;
		move.older_ms = parsed->older_ms;
		status = ctl_move(&move);
	}
	if (status == EX_OK)
		status = report_move(call, &move);
	control_request_fini(parsed);
	free(parsed);
	free(line);
	return status;
}

/* What is in no queue yet. */
static void
print_drop(const struct call *call, const struct conf *conf, size_t count)
{
	json_t *item;

	if (!is_json(call))
		drop_count_print(conf, count, "");
	if (count == 0 || !is_json(call))
		return;
	item = json_pack("{s:s,s:s%,s:I}", "item", "drop", "directory",
	    conf->drop_directory.data, conf->drop_directory.size, "messages",
	    (json_int_t)count);
	if (item != NULL)
		ctl_print_json(item);
	json_decref(item);
}

/* Of a list without a filter. */
static size_t
count_drop(const struct call *call, const struct conf *conf)
{
	return is_command(call, "list") && (call->given & HAS_FILTER) == 0
	           ? drop_count(conf)
	           : 0;
}

static int
carry_out_request(struct call *call, const struct conf *conf)
{
	/* Before the view: it may have to become another user. */
	size_t dropped = count_drop(call, conf);
	int status;
	struct view *view = view_open("sendqctl", conf, &status);
	json_t *end = NULL;

	set_words(call);
	if (view != NULL)
		end = view_ask(
		    view, json_incref(call->request), print_item, call);
	for (size_t i = 0; call->top != NULL && i < call->top->count; i++)
		print_one(call, call->top->items[i]);
	if (end != NULL) {
		print_drop(call, conf, dropped);
		status = report(call, end);
	} else if (status == EX_OK)
		status = EX_UNAVAILABLE;
	json_decref(end);
	view_close(view);
	return status;
}

static int
carry_out(struct call *call)
{
	struct conf *conf;
	int status;

	conf = view_conf(
	    "sendqctl", conf_file_name(call->file, getenv(CONF_FILE_ENV)));
	if (conf == NULL)
		return EX_CONFIG;
	/* Whoever reads gets each line when it is known. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (call->command->verb != NULL)
		status = carry_out_request(call, conf);
	else if (is_command(call, "check"))
		status = carry_out_check(call, conf);
	else
		status = carry_out_move(call, conf);
	/* Most of it was written before. */
	if (fflush(stdout) != 0 || ferror(stdout))
		status = EX_IOERR;
	conf_free(conf);
	return status;
}

int
main(int argc, char **argv)
{
	static struct ctl_top top;
	struct call call = {.request = json_object(),
	    .words = argv,
	    .sort = "count",
	    .count = SENDQCTL_TOP};
	int status = EX_OK;

	if (call.request == NULL)
		abort();
	if (tell_about(argc, argv, &status)) {
		json_decref(call.request);
		return status;
	}
	for (int i = 1; i < argc && status == EX_OK; i++)
		status = take_argument(&call, argc, argv, &i);
	if (status == EX_OK)
		status = check_call(&call);
	if (status == EX_OK && is_command(&call, "top")) {
		call.top = &top;
		if (!ctl_top_init(&top, call.sort, call.count))
			status = usage("bad value for", "--sort");
	}
	if (status == EX_OK)
		status = carry_out(&call);
	ctl_top_fini(&top);
	json_decref(call.request);
	return status;
}
