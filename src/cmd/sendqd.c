/* sendqd: the daemon.  Options and main; the rest is in cmd/master.c (the
   daemon itself) and cmd/child.c (its roles' processes). */
#include "base/buf.h"
#include "cmd/child.h"
#include "cmd/conf_text.h"
#include "cmd/master.h"
#include "cmd/title.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SENDQD_VERSION     "0.1.0"
#define SENDQD_OUTPUT_MAX  (1 << 20)
#define SENDQD_CHANGES_MAX 65536 /* bytes of -o */
#define SENDQD_RUN_FD      3

enum sendqd_option {
	SENDQD_CONF = 'c',
	SENDQD_CHECK = 'n',
	SENDQD_SET = 'o',
	SENDQD_HELP = 'h',
	SENDQD_VERSION_WANTED = 256,
	SENDQD_SETTINGS,
	SENDQD_SETTINGS_MDOC,
	SENDQD_ROLE,
	SENDQD_RUN,
	SENDQD_TITLE,
	SENDQD_COMMAND
};

static const struct option sendqd_options[] = {
    {"config", required_argument, NULL, SENDQD_CONF},
    {"check", no_argument, NULL, SENDQD_CHECK},
    {"set", required_argument, NULL, SENDQD_SET},
    {"help", no_argument, NULL, SENDQD_HELP},
    {"version", no_argument, NULL, SENDQD_VERSION_WANTED},
    {"help-settings", no_argument, NULL, SENDQD_SETTINGS},
    /* For the build and for the master only. */
    {"help-settings-mdoc", no_argument, NULL, SENDQD_SETTINGS_MDOC},
    {"role", required_argument, NULL, SENDQD_ROLE},
    {"run", no_argument, NULL, SENDQD_RUN},
    /* For sendmail only. */
    {"title", required_argument, NULL, SENDQD_TITLE},
    {"command", required_argument, NULL, SENDQD_COMMAND},
    {NULL, 0, NULL, 0},
};

static const char sendqd_usage[] =
    "usage: sendqd [-n | --run] [-c FILE] [-o SETTING]...\n"
    "       sendqd --help | --version | --help-settings\n";

static const char sendqd_help[] =
    "\n"
    "Receives mail, keeps it, and delivers it; in the foreground, with its\n"
    "log on standard error.\n"
    "\n"
    "  -c, --config FILE  read this configuration file instead of\n"
    "                     $SENDQ_CONFIG or " CONF_FILE_DEFAULT "\n"
    "  -n, --check        read the configuration, print its mistakes, end\n"
    "                     with status 0 if there are none, else 78\n"
    "  -o, --set SETTING  a line that takes the place of one in the file,\n"
    "                     such as 'retry-min = \"1m\"'\n"
    "      --run          no listeners: queue runs only, for the process\n"
    "                     whose socket is the standard input\n"
    "      --help         this text\n"
    "      --version      the version\n"
    "      --help-settings  all settings of the configuration file\n"
    "\n"
    "SIGTERM ends it in order; SIGHUP reads the configuration again.\n";

/* Prints what PUT writes; the exit status. */
static int
sendqd_print(int (*put)(struct buf *out))
{
	struct buf out;
	int status = EX_SOFTWARE;

	buf_init(&out, SENDQD_OUTPUT_MAX);
	if (put(&out) == 0 &&
	    fwrite(buf_str(&out).data, 1, buf_size(&out), stdout) ==
		buf_size(&out) &&
	    fflush(stdout) == 0)
		status = EX_OK;
	buf_fini(&out);
	return status;
}

/* What the command line says. */
struct sendqd {
	const char *file;
	const char *role;
	const char *title;
	const char *command;
	struct buf changes; /* of settings, with a NUL */
	bool is_check;
	bool is_run;
};

/* Nothing of the caller's is inherited but standard error and, for runs, what
   was standard input, under its own number above; what is opened later never
   gets the number of a standard stream. */
static int
sendqd_tidy_descriptors(bool is_run)
{
	int fd;

	if (is_run && dup2(STDIN_FILENO, SENDQD_RUN_FD) < 0)
		return -errno;
	/* A missing standard error is given by the first free number. */
	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd < STDERR_FILENO);
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return -errno;
	if (is_run && (fcntl(SENDQD_RUN_FD, F_SETFL, O_NONBLOCK) < 0 ||
			  fcntl(SENDQD_RUN_FD, F_SETFD, FD_CLOEXEC) < 0))
		return -errno;
	if (close_range((is_run ? SENDQD_RUN_FD : STDERR_FILENO) + 1, ~0U, 0) <
	    0)
		return -errno;
	return 0;
}

static int
sendqd_run(const struct sendqd *sendqd)
{
	struct master_options options = {
	    .file_name = conf_file_name(sendqd->file, getenv(CONF_FILE_ENV)),
	    .changes = buf_str(&sendqd->changes).data,
	    .run_fd = sendqd->is_run ? SENDQD_RUN_FD : -1,
	    .command = sendqd->command != NULL ? sendqd->command : "sendqd"};
	struct buf errors;
	int error;

	if (sendqd->title != NULL)
		title_set(sendqd->title);
	if (!sendqd->is_check && sendqd_tidy_descriptors(sendqd->is_run) < 0)
		return EX_OSERR;
	options.text_fd = conf_text_open(options.file_name, options.changes);
	if (options.text_fd < 0) {
		fprintf(stderr, "sendqd: %s: %s\n", options.file_name,
		    strerror(-options.text_fd));
		return EX_CONFIG;
	}
	buf_init(&errors, SENDQD_OUTPUT_MAX);
	error = conf_text_read(
	    options.text_fd, options.file_name, &errors, &options.conf);
	/* A mistake in a file of aliases keeps no daemon from its work. */
	if (error == 0 && sendqd->is_check && options.conf->aliases != NULL)
		alias_table_mistakes_put(options.conf->aliases, &errors);
	fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	if (error == 0 && !sendqd->is_check)
		return master_run(&options);
	close(options.text_fd);
	if (options.conf != NULL)
		conf_free(options.conf);
	return error < 0 ? EX_CONFIG : EX_OK;
}

static int
sendqd_run_role(const struct sendqd *sendqd)
{
	enum role_kind kind = child_kind(sendqd->role);

	if (kind == ROLE_KINDS) {
		fprintf(stderr, "sendqd: no such role\n");
		return EX_USAGE;
	}
	return child_main(kind, sendqd->is_run);
}

/* Reads one option: EX_OK and go on, or the exit status in *STATUS_OUT. */
static bool
sendqd_take(struct sendqd *sendqd, int option, int *status_out)
{
	*status_out = EX_OK;
	switch (option) {
	case SENDQD_CONF:
		sendqd->file = optarg;
		return true;
	case SENDQD_CHECK:
		sendqd->is_check = true;
		return true;
	case SENDQD_SET:
		if (buf_printf(&sendqd->changes, "%s\n", optarg) == 0)
			return true;
		*status_out = EX_USAGE;
		return false;
	case SENDQD_ROLE:
		sendqd->role = optarg;
		return true;
	case SENDQD_RUN:
		sendqd->is_run = true;
		return true;
	case SENDQD_COMMAND:
		sendqd->command = optarg;
		return true;
	case SENDQD_TITLE:
		sendqd->title = optarg;
		return true;
	case SENDQD_HELP:
		printf("%s%s", sendqd_usage, sendqd_help);
		return false;
	case SENDQD_VERSION_WANTED:
		printf("sendqd " SENDQD_VERSION "\n");
		return false;
	case SENDQD_SETTINGS:
		*status_out = sendqd_print(conf_help_put);
		return false;
	case SENDQD_SETTINGS_MDOC:
		*status_out = sendqd_print(conf_manual_put);
		return false;
	default:
		fprintf(stderr, "%s", sendqd_usage);
		*status_out = EX_USAGE;
		return false;
	}
}

int
main(int argc, char **argv)
{
	struct sendqd sendqd = {.file = NULL};
	int option, status = EX_OK;
	bool is_good = true;

	argv = title_init(argc, argv);
	buf_init(&sendqd.changes, SENDQD_CHANGES_MAX);
	while (is_good && (option = getopt_long(argc, argv,
			       "c:nho:", sendqd_options, NULL)) != -1)
		is_good = sendqd_take(&sendqd, option, &status);
	if (is_good && (optind < argc || (sendqd.is_check && sendqd.is_run))) {
		fprintf(stderr, "%s", sendqd_usage);
		is_good = false;
		status = EX_USAGE;
	}
	if (is_good && buf_append(&sendqd.changes, STR("\0")) == 0)
		status = sendqd.role != NULL ? sendqd_run_role(&sendqd)
		                             : sendqd_run(&sendqd);
	buf_fini(&sendqd.changes);
	return status;
}
