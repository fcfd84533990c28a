/* Finds the queue that is meant and hands it to what knows its kind:
   cmd/mqueue_*.c for sendmail's format, cmd/spool_list.c for ours. */
#include "cmd/sendmail_print.h"
#include "base/check.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_list.h"
#include "cmd/mqueue_quarantine.h"
#include "cmd/spool_list.h"
#include "cmd/trusted.h"
#include "cmd/view.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define MQUEUE_SPOOL STR("mqueue:") /* what a spool setting begins with */

static int
print_mqueue(const struct sendmail_options *options, struct str directory)
{
	if (options->mode == SENDMAIL_COUNT)
		return mqueue_list_counts(options, directory);
	if (options->mode == SENDMAIL_QUARANTINE)
		return mqueue_quarantine(options, directory);
	CHECK(options->mode == SENDMAIL_PRINT);
	return mqueue_list(options, directory);
}

static int
print_spool(const struct sendmail_options *options, const struct conf *conf)
{
	if (options->mode == SENDMAIL_COUNT)
		return spool_counts(options, conf);
	if (options->mode == SENDMAIL_QUARANTINE)
		return spool_quarantine(options, conf);
	if (options->mode == SENDMAIL_HOSTSTAT)
		return spool_hosts(options, conf);
	CHECK(options->mode == SENDMAIL_PRINT);
	return spool_list(options, conf);
}

/* True if both are the same directory. */
static bool
is_same(const char *a, const char *b)
{
	char real_a[PATH_MAX], real_b[PATH_MAX];

	return realpath(a, real_a) != NULL && realpath(b, real_b) != NULL &&
	       strcmp(real_a, real_b) == 0;
}

/* The queue of the configuration, or the spool DIRECTORY (NULL = none) with
   the configuration for the rest. */
static int
print_configured(const struct sendmail_options *options, const char *directory)
{
	struct conf *conf = view_conf(options->program,
	    conf_file_name(options->config_file, getenv(CONF_FILE_ENV)));
	struct conf other;
	int status;

	if (conf == NULL)
		return EX_CONFIG;
	other = *conf;
	if (directory != NULL && !is_same(directory, conf->spool.data)) {
		other.spool = str_from(directory);
		/* The daemon there, if there is one, serves another spool. */
		other.control_socket = STR("");
		other.drop_directory = STR("");
	}
	if (str_starts(other.spool, MQUEUE_SPOOL) &&
	    options->mode != SENDMAIL_HOSTSTAT)
		status = print_mqueue(
		    options, str_skip(other.spool, MQUEUE_SPOOL.size));
	else if (trusted_may_look(&other))
		status = print_spool(options, &other);
	else
		status = trusted_refuse_place(other.spool.data);
	conf_free(conf);
	return status;
}

int
sendmail_print(const struct sendmail_options *options)
{
	struct str directory = options->queue_directory;
	char *path = NULL;
	int status;

	/* Nothing that is kept of hosts outlives its use. */
	if (options->mode == SENDMAIL_PURGESTAT)
		return EX_OK;
	if (directory.size == 0 || options->mode == SENDMAIL_HOSTSTAT) {
		status = print_configured(options, NULL);
	} else {
		path = strndup(directory.data, directory.size);
		CHECK(path != NULL);
		status = mqueue_dirs_is_spool(path)
		             ? print_configured(options, path)
		             : print_mqueue(options, directory);
	}
	free(path);
	return fflush(stdout) == 0 ? status : EX_IOERR;
}
