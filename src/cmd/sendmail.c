/*
 * sendmail, also as mailq, newaliases, hoststat, purgestat and rmail: reads the
 * command line and hands it to the part that does the work.
 */
#include "cmd/rights.h"
#include "cmd/sendmail_aliases.h"
#include "cmd/sendmail_debug.h"
#include "cmd/sendmail_options.h"
#include "cmd/sendmail_print.h"
#include "cmd/sendmail_run.h"
#include "cmd/submit.h"
#include "cmd/title.h"
#include "cmd/view.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MESSAGES_MAX 65536

static const char sendmail_help[] =
    "usage: sendmail [OPTION...] [RECIPIENT...] <MESSAGE\n"
    "       sendmail -t [OPTION...] <MESSAGE\n"
    "       sendmail -bs\n"
    "       sendmail -bp|-bP [-v] [-q[!]{I|S|R|Q}TEXT...]\n"
    "       sendmail -q[TIME|f|p[TIME]|L|[!]{I|S|R|Q}TEXT] [-v]\n"
    "       sendmail -Q[REASON] [-q[!]{I|S|R|Q}TEXT...]\n"
    "       sendmail -bd|-bD [-qTIME]\n"
    "       sendmail -bt; sendmail -bv ADDRESS...\n"
    "       mailq; newaliases; rmail RECIPIENT...\n"
    "\n"
    "  -t          the recipients stand in the message\n"
    "  -i          a line with only a dot does not end the message\n"
    "  -f ADDRESS  the sender of the envelope; <> for none\n"
    "  -F NAME     the full name in a From field that is added\n"
    "  -N WHEN     never, or success, failure, delay: what is reported\n"
    "  -R WHAT     hdrs or full: what of the message a report has\n"
    "  -G          the header is left as it is\n"
    "  -n          recipients are not looked up among the aliases\n"
    "  -oe MODE    p, m, q, w, e: how failures are told\n"
    "  -oQ DIR     the queue directory\n"
    "  -C FILE     the configuration, else $SENDQ_CONFIG, else\n"
    "              " CONF_FILE_DEFAULT "\n"
    "\n"
    "sendmail(8) has all of them.\n";

/* -bC: whether the configuration can be used. */
static int
sendmail_check(const struct sendmail_options *options)
{
	struct conf *conf = view_conf(options->program,
	    conf_file_name(options->config_file, secure_getenv(CONF_FILE_ENV)));
	int status = conf != NULL ? EX_OK : EX_CONFIG;

	conf_free(conf);
	return status;
}

/* What nobody can have here: mail that is not on the disk when it was taken. */
static void
sendmail_warn(const struct sendmail_options *options)
{
	struct str safe = sendmail_set_find(options, STR("SuperSafe"));

	if (safe.size > 0 && (ascii_lower(safe.data[0]) == 'f' ||
				 ascii_lower(safe.data[0]) == 'n'))
		fprintf(stderr, "sendmail: SuperSafe is always on\n");
}

/* Times are those of TZ, as everywhere; the option is for others. */
static void
sendmail_set_zone(const struct sendmail_options *options)
{
	struct str zone = sendmail_set_find(options, STR("TimeZoneSpec"));

	if (zone.size > 0 && setenv("TZ", zone.data, 1) == 0)
		tzset();
}

static int
sendmail_do(const struct sendmail_options *options)
{
	switch (options->mode) {
	case SENDMAIL_DELIVER:
	case SENDMAIL_SMTP:
	case SENDMAIL_RMAIL:
		sendmail_warn(options);
		return submit_run(options);
	case SENDMAIL_DAEMON:
	case SENDMAIL_FOREGROUND:
	case SENDMAIL_LOOPBACK:
	case SENDMAIL_RUN:
		sendmail_warn(options);
		return sendmail_run(options);
	case SENDMAIL_QUARANTINE:
	case SENDMAIL_PRINT:
	case SENDMAIL_COUNT:
	case SENDMAIL_HOSTSTAT:
	case SENDMAIL_PURGESTAT:
		return sendmail_print(options);
	case SENDMAIL_VERIFY:
	case SENDMAIL_TRY:
	case SENDMAIL_ALIASES:
		return sendmail_aliases(options);
	case SENDMAIL_CHECK:
		return sendmail_check(options);
	case SENDMAIL_HELP:
		return fputs(sendmail_help, stdout) < 0 ? EX_IOERR : EX_OK;
	}
	return EX_SOFTWARE;
}

/* Only mail that is handed in may need the right of the program's group, and
   only with the configuration that the administrator made. */
static bool
sendmail_needs_rights(const struct sendmail_options *options)
{
	return (options->mode == SENDMAIL_DELIVER ||
		   options->mode == SENDMAIL_RMAIL) &&
	       options->config_file == NULL;
}

/* What is opened later never gets the number of a standard stream, or what is
   printed would go into a message.  One that is missing cannot be read: it is
   no empty message. */
static int
sendmail_fill_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_WRONLY) != fd)
			return -EBADF;
	return 0;
}

int
main(int argc, char **argv)
{
	struct sendmail_options options;
	struct buf messages;
	int status;

	argv = title_init(argc, argv);
	if (rights_put_aside() < 0 || sendmail_fill_streams() < 0)
		return EX_OSERR;
	buf_init(&messages, MESSAGES_MAX);
	status = sendmail_options_read(&options, argc, argv, &messages);
	fprintf(stderr, "%.*s", STR_ARG(buf_str(&messages)));
	buf_fini(&messages);
	if (status == EX_OK && !sendmail_needs_rights(&options) &&
	    rights_give_up() < 0)
		status = EX_OSERR;
	if (status == EX_OK) {
		sendmail_set_zone(&options);
		sendmail_debug_places(&options);
		status = sendmail_do(&options);
	}
	return status;
}
