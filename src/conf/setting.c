/*
 * The table of settings and what it says for people.  The rows are the only
 * place where a name, a limit or a default of a setting is written down.
 */
#include "conf/setting.h"
#include "base/check.h"
#include "base/num.h"
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND      UINT64_C(1000)
#define DAY         (86400 * SECOND)
#define KIB         UINT64_C(1024)
#define MIB         (KIB * KIB)
#define GIB         (KIB * MIB)

#define TOP(field)  offsetof(struct conf, field)
#define SITE(field) offsetof(struct conf_site, field)
#define RULE(field) offsetof(struct conf_route_rule, field)

/* clang-format off */
static const struct setting setting_rows[] = {
    {SETTING_TOP, SETTING_HOSTNAME, "hostname", 1, 255, NULL, "",
	"The name by which this host greets and signs what it takes.",
	TOP(hostname)},
    {SETTING_TOP, SETTING_MAILBOX, "postmaster", 0, 320, "", "",
	"Who gets mail for a bare Postmaster, and bounces that nobody gets.",
	TOP(postmaster)},
    {SETTING_TOP, SETTING_SPOOL, "spool", 1, 1024, NULL, "",
	"A directory, \"mqueue:DIR\" in sendmail's format, or \"ram:\" for "
	"tests.",
	TOP(spool)},
    {SETTING_TOP, SETTING_GROUPS, "listen", 0, CONF_LISTEN_MAX, "",
	"groups", "Where SMTP is listened for; none takes local mail only.",
	TOP(listen)},
    {SETTING_TOP, SETTING_NETWORKS, "relay-from", 0, 1000, "", "networks",
	"Who may send mail to anywhere.", TOP(relay_from)},
    {SETTING_TOP, SETTING_ADDRESS, "resolver", 0, 0, "", "",
	"The DNS server to ask, port 53 unless given; by default the system's.",
	TOP(resolver)},
    {SETTING_TOP, SETTING_PORT, "smtp-port", 1, 65535, "25", "",
	"The port of mail exchangers, and of a route that names none.",
	TOP(smtp_port)},
    {SETTING_TOP, SETTING_PATH, "control-socket", 1, 107,
	"/run/sendq/control", "",
	"The socket at which the daemon takes administrators' commands.",
	TOP(control_socket)},
    {SETTING_TOP, SETTING_MODE, "control-mode", 0, 0777, "0660", "",
	"The permissions of the control socket, in octal.",
	TOP(control_mode)},
    {SETTING_TOP, SETTING_PATH, "submission-socket", 0, 107,
	"/run/sendq/submission", "",
	"Where local mail comes in; else beside control-socket; \"\" is none.",
	TOP(submission_socket)},
    {SETTING_TOP, SETTING_PATH, "drop-directory", 0, 1024,
	"/var/spool/sendq-drop", "",
	"Where it waits for a daemon; else beside the spool; \"\" is none.",
	TOP(drop_directory)},
    {SETTING_TOP, SETTING_DURATION, "release-time", SECOND, DAY, "10m", "",
	"How long a host may fail before a released site is held again.",
	TOP(release_time_ms)},
    {SETTING_TOP, SETTING_DURATION, "retry-min", SECOND, DAY, "5m", "",
	"The wait after a first failure; it doubles with each further one.",
	TOP(retry_min_ms)},
    {SETTING_TOP, SETTING_DURATION, "retry-max", SECOND, 7 * DAY, "2h", "",
	"The longest wait between two tries.", TOP(retry_max_ms)},
    {SETTING_TOP, SETTING_DURATION, "expire", SECOND, 364 * DAY, "5d", "",
	"How long a message is kept before it is returned.", TOP(expire_ms)},
    {SETTING_TOP, SETTING_DURATION, "delay-notice", 0, 364 * DAY, "4h", "",
	"After how long a sender is told, once, that mail is late; 0 is never.",
	TOP(delay_notice_ms)},
    {SETTING_TOP, SETTING_SIZE, "message-size-max", KIB, 4 * GIB, "50M", "",
	"The largest content of a message that is taken.", TOP(size_max)},
    {SETTING_TOP, SETTING_NUMBER, "recipients-max", 1, 1000, "1000",
	"recipients", "The most recipients of one message.",
	TOP(recipients_max)},
    {SETTING_TOP, SETTING_NUMBER, "transactions-max", 1, 1000000, "1000",
	"messages", "The most messages of one SMTP session.",
	TOP(transactions_max)},
    {SETTING_TOP, SETTING_NUMBER, "errors-max", 1, 1000, "20", "commands",
	"The most refused commands of one SMTP session.", TOP(errors_max)},
    {SETTING_TOP, SETTING_NUMBER, "connections-max", 1, 100000, "1000",
	"connections", "The most SMTP sessions taken at a time.",
	TOP(connections_max)},
    {SETTING_TOP, SETTING_NUMBER, "connections-network-max", 1, 100000,
	"200", "connections",
	"The most of them from one network, an IPv4 /24 or an IPv6 /64.",
	TOP(connections_network_max)},
    {SETTING_TOP, SETTING_NUMBER, "connections-site-max", 1, 100000, "500",
	"connections", "The most of them from all networks of one site.",
	TOP(connections_site_max)},
    {SETTING_TOP, SETTING_NUMBER, "triggers-minute-max", 1, 1000000, "300",
	"triggers",
	"The most a minute from one such network, and for one site.",
	TOP(triggers_minute_max)},
    {SETTING_TOP, SETTING_NUMBER, "deliveries-max", 1, 100000, "200",
	"connections", "The most deliveries at a time.", TOP(deliveries_max)},
    {SETTING_TOP, SETTING_NUMBER, "deliveries-host-max", 1, 10000, "20",
	"connections", "The most deliveries to one host at a time.",
	TOP(deliveries_host_max)},
    {SETTING_TOP, SETTING_NUMBER, "destinations-max", 10, 10000000, "10000",
	"destinations",
	"The most destinations in memory; the rest waits in the spool.",
	TOP(destinations_max)},
    {SETTING_TOP, SETTING_NUMBER, "receive-processes", 1, 64, "1",
	"processes", "The number of processes that take mail.",
	TOP(receive_processes)},
    {SETTING_TOP, SETTING_NUMBER, "deliver-processes", 1, 64, "1",
	"processes", "The number of processes that deliver mail.",
	TOP(deliver_processes)},
    {SETTING_TOP, SETTING_DURATION, "idle-timeout", SECOND, DAY, "5m", "",
	"How long a client may be silent.", TOP(idle_timeout_ms)},
    {SETTING_TOP, SETTING_DURATION, "greeting-timeout", SECOND, DAY, "5m",
	"", "How long a server may take to connect, greet and answer.",
	TOP(greeting_timeout_ms)},
    {SETTING_TOP, SETTING_DURATION, "data-timeout", SECOND, DAY, "2m", "",
	"How long a server may take to answer DATA.", TOP(data_timeout_ms)},
    {SETTING_TOP, SETTING_DURATION, "block-timeout", SECOND, DAY, "3m", "",
	"How long a server may take to accept a block of content.",
	TOP(block_timeout_ms)},
    {SETTING_TOP, SETTING_DURATION, "dot-timeout", SECOND, DAY, "10m", "",
	"How long a server may take to answer the end of the content.",
	TOP(dot_timeout_ms)},
    {SETTING_TOP, SETTING_SIZE, "command-line-max", 512, 64 * KIB, "4k", "",
	"The longest command line that is taken.", TOP(command_max)},
    {SETTING_TOP, SETTING_SIZE, "content-line-max", 1000, 16 * MIB, "64k",
	"", "The longest line of content that is taken.", TOP(line_max)},
    {SETTING_TOP, SETTING_SIZE, "staging-max", 64 * KIB, 16 * GIB, "64M",
	"", "The memory for content that is not yet in the spool.",
	TOP(staging_max)},
    {SETTING_TOP, SETTING_SIZE, "disk-reserve", 0, 1024 * GIB, "16M", "",
	"The free disk space below which mail is refused for the time being.",
	TOP(disk_reserve)},
    {SETTING_TOP, SETTING_SIZE, "queue-bytes-max", KIB, 1024 * 1024 * GIB,
	"1024G", "", "The content in the queue at which no more mail is taken.",
	TOP(queue_bytes_max)},
    {SETTING_TOP, SETTING_NUMBER, "queue-messages-max", 1, 1000000000,
	"10000000", "messages",
	"The messages in the queue at which no more mail is taken.",
	TOP(queue_messages_max)},
    {SETTING_TOP, SETTING_DURATION, "queue-interval", 0, 7 * DAY, "0", "",
	"How often all that waits is tried besides its own times; 0 is never.",
	TOP(queue_interval_ms)},
    {SETTING_TOP, SETTING_NAME, "queue-group", 0, 64, "", "",
	"Of \"mqueue:\", only directories with this name, and digits; \"\" is "
	"all.",
	TOP(queue_group)},
    {SETTING_TOP, SETTING_FLAG, "queue-lost", 0, 1, "false", "",
	"Of \"mqueue:\", what was set aside as lost, and nothing else.",
	TOP(queue_lost)},
    {SETTING_TOP, SETTING_DURATION, "queue-age", 0, 7 * DAY, "0", "",
	"How long a queue-interval run leaves what was tried; 0 is not at all.",
	TOP(queue_age_ms)},
    {SETTING_TOP, SETTING_NUMBER, "queue-load", 0, 100000, "0", "load",
	"The load at which a run leaves out what is heavy; 0 is none.",
	TOP(queue_load)},
    {SETTING_TOP, SETTING_NUMBER, "refuse-load", 0, 100000, "0", "load",
	"The load at which no SMTP session is taken; 0 is none.",
	TOP(refuse_load)},
    {SETTING_TOP, SETTING_PATH, "pid-file", 0, 1024, "", "",
	"Where the daemon writes its process id and command line.",
	TOP(pid_file)},
    {SETTING_TOP, SETTING_LOG, "log", 0, 0, "stderr", "",
	"Where the log goes: \"stderr\" or \"syslog\".", TOP(log)},
    {SETTING_TOP, SETTING_LEVEL, "log-level", 0, 0, "note", "",
	"What is logged: \"error\", \"warn\", \"note\" or \"detail\".",
	TOP(log_level)},
    {SETTING_TOP, SETTING_NAME, "log-name", 1, 32, "sendqd", "",
	"The name that stands before the lines of \"syslog\".", TOP(log_name)},
    {SETTING_TOP, SETTING_USER, "user-receive", 0, 32, "", "",
	"The user, by name or number, that takes mail.", TOP(user_receive)},
    {SETTING_TOP, SETTING_USER, "user-queue", 0, 32, "", "",
	"The user, by name or number, that owns the spool.",
	TOP(user_queue)},
    {SETTING_TOP, SETTING_USER, "user-deliver", 0, 32, "", "",
	"The user, by name or number, that delivers mail.",
	TOP(user_deliver)},
    {SETTING_TOP, SETTING_USER, "user-control", 0, 32, "", "",
	"The user, by name or number, that serves the control socket.",
	TOP(user_control)},
    {SETTING_TOP, SETTING_USER, "user-pickup", 0, 32, "", "",
	"The user, by name or number, that owns the drop directory.",
	TOP(user_pickup)},
    {SETTING_TOP, SETTING_PATHS, "aliases", 0, ALIAS_FILES_MAX, "", "files",
	"Files of aliases, or one file; of a name in several the first counts.",
	TOP(alias_files)},
    {SETTING_TOP, SETTING_KEYS, "alias-domains", 0, 100, "", "domains",
	"Where names may be aliases; else at hostname and at local sites.",
	TOP(alias_domains)},
    {SETTING_TOP, SETTING_FLAG, "alias-programs", 0, 1, "false", "",
	"Whether programs that aliases name are run.", TOP(alias_programs)},
    {SETTING_TOP, SETTING_DURATION, "alias-time", SECOND, 280 * SECOND,
	"4m", "", "The longest time that such a program may run.",
	TOP(alias_time_ms)},
    {SETTING_TOP, SETTING_USER, "alias-user", 0, 32, "", "",
	"The user, by name or number, for programs and files of aliases.",
	TOP(alias_user)},
    {SETTING_TOP, SETTING_GROUPS, "route", 0, 10000, "", "groups",
	"Where mail goes whose domain is no site's.", TOP(routes)},
    {SETTING_TOP, SETTING_GROUPS, "site", 0, CONF_SITES_MAX, "", "groups",
	"The sites whose mail is kept or delivered here.", TOP(sites)},

    {SETTING_IN_LISTEN, SETTING_ADDRESS, "address", 0, 0, NULL, "",
	"The address, and the port if it is not 25.",
	offsetof(struct conf_listen, address)},

    {SETTING_IN_ROUTE, SETTING_RULE, "domain", 1, 256, NULL, "",
	"The domain; \"@\" before it adds all below, \"*\" is any other.", 0},
    {SETTING_IN_ROUTE, SETTING_ROUTE, "to", 2, 280, NULL, "",
	"Where its mail goes.", RULE(route)},

    {SETTING_IN_SITE, SETTING_NAME, "name", 1, 64, NULL, "",
	"The name, unique, of letters, digits, \"-\", \"_\" and \".\".",
	SITE(name)},
    {SETTING_IN_SITE, SETTING_DOMAINS, "domains", 1, 10000, NULL,
	"domains", "Its domains; \"@\" before one adds all below it.",
	SITE(domains)},
    {SETTING_IN_SITE, SETTING_FLAG, "hold", 0, 1, "false", "",
	"Whether its mail is kept until it is asked for.", SITE(is_held)},
    {SETTING_IN_SITE, SETTING_ROUTE, "route", 2, 280, NULL, "",
	"Where its mail goes.", SITE(route)},
    {SETTING_IN_SITE, SETTING_NETWORKS, "from", 0, 1000, "", "networks",
	"The networks that may ask for its mail.", SITE(from)},
    {SETTING_IN_SITE, SETTING_TRIGGERS, "triggers", 0, 2, "", "triggers",
	"How it may ask: \"etrn\", \"qsnd\"; by default all if it is held.",
	SITE(triggers)},
    {SETTING_IN_SITE, SETTING_DURATION, "expire", SECOND, 364 * DAY, "", "",
	"How long its mail is kept, weeks if it asks seldom; else as above.",
	SITE(expire_ms)},
    {SETTING_IN_SITE, SETTING_DURATION, "delay-notice", 0, 364 * DAY, "", "",
	"As above for its mail; if it is held there are none by default.",
	SITE(delay_notice_ms)},
    {SETTING_IN_SITE, SETTING_SIZE, "quota", 0, 1024 * 1024 * GIB, "0", "",
	"The content queued for it at which it gets no more; 0 is no limit.",
	SITE(quota_bytes)},
    {SETTING_IN_SITE, SETTING_NUMBER, "quota-messages", 0, 1000000000, "0",
	"messages",
	"The messages queued for it at which it gets no more; 0 is no limit.",
	SITE(quota_messages)},
    {SETTING_IN_SITE, SETTING_NUMBER, "connections", 1, 100000, "",
	"connections",
	"The most SMTP sessions of its networks at a time; else as above.",
	SITE(connections_max)},
};
/* clang-format on */

#define SETTING_ROWS (sizeof(setting_rows) / sizeof(setting_rows[0]))

static const struct {
	const char *noun;
	enum setting_form form;
	bool is_bytes;
} setting_types[SETTING_TYPES] = {
    [SETTING_NUMBER] = {"a number", SETTING_AS_NUMBER},
    [SETTING_PORT] = {"a port", SETTING_AS_NUMBER},
    [SETTING_DURATION] = {"a time", SETTING_AS_EITHER},
    [SETTING_SIZE] = {"a size", SETTING_AS_EITHER},
    [SETTING_MODE] = {"a mode in octal", SETTING_AS_TEXT},
    [SETTING_FLAG] = {"true or false", SETTING_AS_FLAG},
    [SETTING_HOSTNAME] = {"a host name", SETTING_AS_TEXT, true},
    [SETTING_MAILBOX] = {"a mail address", SETTING_AS_TEXT, true},
    [SETTING_SPOOL] = {"an absolute path, \"mqueue:\" and one, or \"ram:\"",
	SETTING_AS_TEXT, true},
    [SETTING_PATH] = {"an absolute path", SETTING_AS_TEXT, true},
    [SETTING_LOG] = {"stderr or syslog", SETTING_AS_TEXT},
    [SETTING_LEVEL] = {"a level of the log", SETTING_AS_TEXT},
    [SETTING_USER] = {"a user", SETTING_AS_EITHER, true},
    [SETTING_NAME] = {"a name", SETTING_AS_TEXT, true},
    [SETTING_ADDRESS] = {"an address", SETTING_AS_TEXT},
    [SETTING_ROUTE] = {"a route", SETTING_AS_TEXT, true},
    [SETTING_RULE] = {"a domain", SETTING_AS_TEXT, true},
    [SETTING_NETWORKS] = {"a network", SETTING_AS_TEXTS},
    [SETTING_DOMAINS] = {"a domain", SETTING_AS_TEXTS},
    [SETTING_TRIGGERS] = {"a trigger", SETTING_AS_TEXTS},
    [SETTING_PATHS] = {"an absolute path", SETTING_AS_TEXTS},
    [SETTING_KEYS] = {"a domain", SETTING_AS_TEXTS},
    [SETTING_GROUPS] = {"a group", SETTING_AS_GROUPS},
};

static const char *const setting_scopes[] = {
    [SETTING_TOP] = "",
    [SETTING_IN_LISTEN] = "listen[].",
    [SETTING_IN_ROUTE] = "route[].",
    [SETTING_IN_SITE] = "site[].",
};

const struct setting *
setting_table(size_t *count_out)
{
	*count_out = SETTING_ROWS;
	return setting_rows;
}

const struct setting *
setting_find(enum setting_scope scope, const char *name)
{
	for (size_t i = 0; i < SETTING_ROWS; i++)
		if (setting_rows[i].scope == scope &&
		    strcmp(setting_rows[i].name, name) == 0)
			return &setting_rows[i];
	return NULL;
}

enum setting_form
setting_form(enum setting_type type)
{
	CHECK(type < SETTING_TYPES);
	return setting_types[type].form;
}

const char *
setting_noun(enum setting_type type)
{
	CHECK(type < SETTING_TYPES);
	return setting_types[type].noun;
}

bool
setting_is_bytes(enum setting_type type)
{
	CHECK(type < SETTING_TYPES);
	return setting_types[type].is_bytes;
}

void
setting_path_format(const struct setting *row, char path[])
{
	int size = snprintf(path, SETTING_PATH_SIZE, "%s%s",
	    setting_scopes[row->scope], row->name);

	CHECK(size > 0 && size < SETTING_PATH_SIZE);
}

/* The largest unit that leaves no rest, as num_parse_size() reads it. */
static void
size_format(uint64_t bytes, char text[])
{
	static const char units[] = "kMG";
	size_t unit = 0;

	while (unit < sizeof(units) - 1 && bytes > 0 && bytes % KIB == 0) {
		bytes /= KIB;
		unit++;
	}
	snprintf(text, SETTING_VALUE_SIZE, "%llu%.*s",
	    (unsigned long long)bytes, unit > 0 ? 1 : 0,
	    units + (unit > 0 ? unit - 1 : 0));
}

void
setting_value_format(enum setting_type type, uint64_t value, char text[])
{
	if (type == SETTING_DURATION)
		num_format_duration(value, text);
	else if (type == SETTING_SIZE)
		size_format(value, text);
	else if (type == SETTING_MODE)
		snprintf(text, SETTING_VALUE_SIZE, "%04llo",
		    (unsigned long long)value);
	else
		snprintf(text, SETTING_VALUE_SIZE, "%llu",
		    (unsigned long long)value);
}

/* "a number, 1 to 1000 recipients; default 1000". */
static int
kind_put(struct buf *out, const struct setting *row)
{
	enum setting_form form = setting_form(row->type);
	bool is_list = form == SETTING_AS_TEXTS || form == SETTING_AS_GROUPS;
	const char *unit = setting_is_bytes(row->type) ? "bytes" : row->unit;
	char min[SETTING_VALUE_SIZE], max[SETTING_VALUE_SIZE];
	int error =
	    buf_printf(out, "%s", is_list ? "a list" : setting_noun(row->type));

	setting_value_format(row->type, row->min, min);
	setting_value_format(row->type, row->max, max);
	if (error == 0 && row->max > 0 && form != SETTING_AS_FLAG)
		error = buf_printf(
		    out, ", %s to %s%s%s", min, max, *unit ? " " : "", unit);
	if (error < 0)
		return error;
	if (row->fallback == NULL)
		return buf_printf(out, "; required");
	if (*row->fallback == '\0')
		return buf_printf(out, "; default none");
	return buf_printf(out, "; default %s", row->fallback);
}

int
conf_help_put(struct buf *out)
{
	char path[SETTING_PATH_SIZE];
	int error = 0;

	for (size_t i = 0; i < SETTING_ROWS && error == 0; i++) {
		setting_path_format(&setting_rows[i], path);
		error = buf_printf(out, "%-20s ", path);
		if (error == 0)
			error = kind_put(out, &setting_rows[i]);
		if (error == 0)
			error = buf_printf(
			    out, "\n%-20s %s\n", "", setting_rows[i].about);
	}
	return error < 0 ? -ENOBUFS : 0;
}

int
conf_manual_put(struct buf *out)
{
	char path[SETTING_PATH_SIZE];
	int error = 0;

	for (size_t i = 0; i < SETTING_ROWS && error == 0; i++) {
		setting_path_format(&setting_rows[i], path);
		error = buf_printf(out, ".It Ic %s\n%s\n.br\nValue: ", path,
		    setting_rows[i].about);
		if (error == 0)
			error = kind_put(out, &setting_rows[i]);
		if (error == 0)
			error = buf_printf(out, ".\n");
	}
	return error < 0 ? -ENOBUFS : 0;
}
