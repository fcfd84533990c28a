/* sendqd: the daemon.  Options and main; the rest is in cmd/master.c (the
   daemon itself) and cmd/child.c (its roles' processes). */
#include "base/buf.h"
#include "cmd/child.h"
#include "cmd/conf_text.h"
#include "cmd/master.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SENDQD_VERSION    "0.1.0"
#define SENDQD_OUTPUT_MAX (1 << 20)

enum sendqd_option {
	SENDQD_CONF = 'c',
	SENDQD_CHECK = 'n',
	SENDQD_HELP = 'h',
	SENDQD_VERSION_WANTED = 256,
	SENDQD_SETTINGS,
	SENDQD_SETTINGS_MDOC,
	SENDQD_ROLE
};

static const struct option sendqd_options[] = {
    {"config", required_argument, NULL, SENDQD_CONF},
    {"check", no_argument, NULL, SENDQD_CHECK},
    {"help", no_argument, NULL, SENDQD_HELP},
    {"version", no_argument, NULL, SENDQD_VERSION_WANTED},
    {"help-settings", no_argument, NULL, SENDQD_SETTINGS},
    /* For the build and for the master only. */
    {"help-settings-mdoc", no_argument, NULL, SENDQD_SETTINGS_MDOC},
    {"role", required_argument, NULL, SENDQD_ROLE},
    {NULL, 0, NULL, 0},
};

static const char sendqd_usage[] =
    "usage: sendqd [-n] [-c FILE]\n"
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

/* Nothing of the caller's is inherited but standard error; what is opened later
   never gets the number of a standard stream. */
static int
sendqd_tidy_descriptors(void)
{
	int fd;

	/* A missing standard error is given by the first free number. */
	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd < STDERR_FILENO);
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

static int
sendqd_run(const char *option, bool is_check)
{
	const char *name = conf_file_name(option, getenv(CONF_FILE_ENV));
	struct conf *conf = NULL;
	struct buf errors;
	int error, text_fd;

	if (!is_check && sendqd_tidy_descriptors() < 0)
		return EX_OSERR;
	text_fd = conf_text_open(name);
	if (text_fd < 0) {
		fprintf(stderr, "sendqd: %s: %s\n", name, strerror(-text_fd));
		return EX_CONFIG;
	}
	buf_init(&errors, SENDQD_OUTPUT_MAX);
	error = conf_text_read(text_fd, name, &errors, &conf);
	fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	if (error < 0 || is_check) {
		close(text_fd);
		if (conf != NULL)
			conf_free(conf);
		return error < 0 ? EX_CONFIG : EX_OK;
	}
	return master_run(name, text_fd, conf);
}

static int
sendqd_run_role(const char *name)
{
	enum role_kind kind = child_kind(name);

	if (kind == ROLE_KINDS) {
		fprintf(stderr, "sendqd: no such role\n");
		return EX_USAGE;
	}
	return child_main(kind);
}

int
main(int argc, char **argv)
{
	const char *file = NULL;
	bool is_check = false;
	int option;

	while ((option = getopt_long(
		    argc, argv, "c:nh", sendqd_options, NULL)) != -1) {
		switch (option) {
		case SENDQD_CONF:
			file = optarg;
			break;
		case SENDQD_CHECK:
			is_check = true;
			break;
		case SENDQD_HELP:
			printf("%s%s", sendqd_usage, sendqd_help);
			return EX_OK;
		case SENDQD_VERSION_WANTED:
			printf("sendqd " SENDQD_VERSION "\n");
			return EX_OK;
		case SENDQD_SETTINGS:
			return sendqd_print(conf_help_put);
		case SENDQD_SETTINGS_MDOC:
			return sendqd_print(conf_manual_put);
		case SENDQD_ROLE:
			return sendqd_run_role(optarg);
		default:
			fprintf(stderr, "%s", sendqd_usage);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s", sendqd_usage);
		return EX_USAGE;
	}
	return sendqd_run(file, is_check);
}
