/*
 * newaliases.  There is no database to make: the files are read and checked as
 * the daemon does it, and the daemon is told to read them.
 *
 * The daemon is found at its control socket: whoever listens there is the
 * master, and the kernel knows its process.
 */
#include "cmd/sendmail_aliases.h"
#include "cmd/conf_text.h"
#include "cmd/sendmail_try.h"
#include "cmd/sendmail_verify.h"
#include "cmd/trusted.h"
#include "conf/alias.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define ALIASES_OUTPUT_MAX (1U << 20)

static void
aliases_say(
    const struct sendmail_options *options, const char *about, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", options->program, about, what);
}

/* What -oA (-O AliasFile) says instead of the configuration: one path, maybe
   with a map type before it that means nothing here ("hash:/etc/aliases").
   False if it is something else. */
static bool
aliases_changes(
    const struct sendmail_options *options, char changes[ALIAS_PATH_MAX + 32])
{
	struct str file = sendmail_set_find(options, STR("AliasFile"));

	changes[0] = '\0';
	if (file.data == NULL)
		return true;
	if (*file.data != '/')
		file = str_skip(file, str_find(file, ':') + 1);
	if (file.size == 0 || file.size > ALIAS_PATH_MAX || *file.data != '/')
		return false;
	for (size_t i = 0; i < file.size; i++)
		if (strchr("\"\\,", file.data[i]) != NULL ||
		    (unsigned char)file.data[i] < ' ')
			return false;
	snprintf(changes, ALIAS_PATH_MAX + 32, "aliases = \"%.*s\"\n",
	    STR_ARG(file));
	return true;
}

/* The configuration with its aliases, or NULL with everything said. */
static struct conf *
aliases_conf(const struct sendmail_options *options)
{
	const char *name =
	    conf_file_name(options->config_file, getenv(CONF_FILE_ENV));
	char changes[ALIAS_PATH_MAX + 32];
	struct conf *conf = NULL;
	struct buf errors;
	int error, fd;

	if (!aliases_changes(options, changes)) {
		aliases_say(options, "AliasFile", "is not one absolute path");
		return NULL;
	}
	fd = conf_text_open(name, changes);
	if (fd < 0) {
		aliases_say(options, name, strerror(-fd));
		return NULL;
	}
	buf_init(&errors, ALIASES_OUTPUT_MAX);
	error = conf_text_read(fd, name, &errors, &conf);
	if (error < 0 && buf_size(&errors) == 0)
		aliases_say(options, name, strerror(-error));
	fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	close(fd);
	return conf;
}

/* NAME at the first alias domain, in quotes where it needs them. */
static struct str
aliases_address(
    const struct conf *conf, struct str name, char text[2 * MAIL_ADDRESS_MAX])
{
	struct str domain = conf->hostname;
	struct mail_address parsed;
	size_t size = 0;

	if (conf->alias_domain_count > 0)
		domain = conf->alias_domains[0].key;
	snprintf(text, 2 * MAIL_ADDRESS_MAX, "%.*s@%.*s", STR_ARG(name),
	    STR_ARG(domain));
	if (mail_address_parse(str_from(text), &parsed) == 0)
		return str_from(text);
	text[size++] = '"';
	for (size_t i = 0; i < name.size; i++) {
		if (name.data[i] == '"' || name.data[i] == '\\')
			text[size++] = '\\';
		text[size++] = name.data[i];
	}
	snprintf(text + size, 2 * MAIL_ADDRESS_MAX - size, "\"@%.*s",
	    STR_ARG(domain));
	return str_from(text);
}

/* Notes what is wrong with an alias as a whole, once for each. */
static void
aliases_check(
    struct conf *conf, const struct alias_entry *entry, struct buf *lines)
{
	char text[2 * MAIL_ADDRESS_MAX];
	struct alias_expansion e;
	enum alias_outcome outcome = conf_alias_expand(conf,
	    aliases_address(conf, entry->name, text), STORE_RECIPIENTS_MAX, &e);
	bool is_whole = outcome == ALIAS_LOOP || outcome == ALIAS_DEEP ||
	                outcome == ALIAS_LARGE;
	/* Of the others the parser has told, or another alias is at fault. */
	bool is_own =
	    (outcome == ALIAS_TO_PROGRAM || outcome == ALIAS_UNKNOWN) &&
	    str_equal(e.alias, entry->name);

	if (is_whole || is_own)
		(void)!buf_printf(lines, "%.*s:%u: %.*s %s: %.*s\n",
		    STR_ARG(entry->file), entry->line, STR_ARG(entry->name),
		    alias_outcome_text(outcome), STR_ARG(e.target));
	alias_expansion_fini(&e);
}

/* Prints the mistakes; EX_OK, or EX_DATAERR if there are any. */
static int
aliases_check_all(struct conf *conf)
{
	const struct alias_entry *entry = NULL;
	struct buf lines;
	int status;

	buf_init(&lines, ALIASES_OUTPUT_MAX);
	alias_table_mistakes_put(conf->aliases, &lines);
	while ((entry = alias_table_next(conf->aliases, entry)) != NULL)
		aliases_check(conf, entry, &lines);
	fprintf(stderr, "%.*s", STR_ARG(buf_str(&lines)));
	status = buf_size(&lines) > 0 ? EX_DATAERR : EX_OK;
	buf_fini(&lines);
	return status;
}

/* The process that listens at the control socket: its number, 0 if there is
   none, or -errno. */
static pid_t
aliases_daemon(const struct conf *conf)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	pid_t pid = 0;
	int fd;

	if (conf->control_socket.size >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(
	    to.sun_path, conf->control_socket.data, conf->control_socket.size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		pid = errno == ENOENT || errno == ECONNREFUSED ? 0 : -errno;
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		pid = -errno;
	else
		/* One outside of this process space has no number here. */
		pid = peer.pid > 1 ? peer.pid : -ESRCH;
	close(fd);
	return pid;
}

static void
aliases_tell(const struct sendmail_options *options, const struct conf *conf)
{
	pid_t pid = aliases_daemon(conf);

	if (pid == 0)
		return;
	if (pid > 1 && kill(pid, SIGHUP) < 0)
		pid = -errno;
	if (pid < 0)
		aliases_say(options,
		    "the daemon could not be told, send it SIGHUP",
		    strerror(-pid));
}

static int
aliases_renew(const struct sendmail_options *options, struct conf *conf)
{
	const struct alias_file *file;
	int status;

	if (conf->aliases == NULL) {
		aliases_say(options, "aliases", "no files are configured");
		return EX_OK;
	}
	status = aliases_check_all(conf);
	for (size_t i = 0; (file = alias_table_file(conf->aliases, i)); i++)
		printf(
		    "%.*s: %zu aliases, longest %zu bytes, %zu bytes total\n",
		    STR_ARG(file->name), file->aliases, file->longest,
		    file->total);
	/* Other files than the daemon's are nothing to it. */
	if (sendmail_set_find(options, STR("AliasFile")).data == NULL)
		aliases_tell(options, conf);
	return status;
}

int
sendmail_aliases(const struct sendmail_options *options)
{
	struct conf *conf;
	int status;

	if (options->mode == SENDMAIL_VERIFY && options->operand_count == 0) {
		fprintf(stderr, "Recipient names must be specified\n");
		return EX_USAGE;
	}
	conf = aliases_conf(options);
	if (conf == NULL)
		return EX_CONFIG;
	if (options->mode == SENDMAIL_ALIASES && !trusted_is_of(conf)) {
		conf_free(conf);
		return trusted_refuse_user();
	}
	if (options->mode == SENDMAIL_VERIFY)
		status = sendmail_verify(conf, options);
	else if (options->mode == SENDMAIL_TRY)
		status = sendmail_try(conf, options);
	else
		status = aliases_renew(options, conf);
	conf_free(conf);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = EX_IOERR;
	return status;
}
