/*
 * sendmail -bp, also as mailq: prints the queue as sendmail prints it, with our
 * ids.  What else sendmail can be asked for is refused with exit status 64.
 */
#include "base/str.h"
#include "cmd/view.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define MAILQ_HEAD                                                             \
	"-----Q-ID----- --Size-- -----Q-Time----- "                            \
	"------------Sender/Recipient-----------\n"
#define MAILQ_SENDER    39
#define MAILQ_STATUS    60
#define MAILQ_RECIPIENT 38

static const char sendmail_help[] =
    "usage: mailq [-C FILE]\n"
    "       sendmail -bp [-C FILE]\n"
    "\n"
    "Prints the queue as sendmail does. FILE is the configuration, else\n"
    "$SENDQ_CONFIG, else " CONF_FILE_DEFAULT ".\n";

/* The message that was printed last: one with very many recipients comes in
   pieces. */
struct mailq {
	char last_id[64];
};

static const char *
mailq_text(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));

	return text != NULL ? text : "";
}

static bool
mailq_is_leased(const json_t *recipients)
{
	for (size_t i = 0; i < json_array_size(recipients); i++)
		if (json_is_true(json_object_get(
			json_array_get(recipients, i), "leased")))
			return true;
	return false;
}

/* The first answer of a far end that is remembered, as sendmail's M line. */
static const char *
mailq_status(const json_t *recipients)
{
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const char *status =
		    mailq_text(json_array_get(recipients, i), "status");

		if (status[0] != '\0')
			return status;
	}
	return "";
}

static void
mailq_item(void *arg, const json_t *item)
{
	struct mailq *m = arg;
	const json_t *recipients = json_object_get(item, "recipients");
	const char *id = mailq_text(item, "id");
	const char *sender = mailq_text(item, "sender");
	const char *status = mailq_status(recipients);
	time_t arrival =
	    (time_t)json_integer_value(json_object_get(item, "arrival"));
	char when[32] = "", *end;

	if (strcmp(id, m->last_id) != 0) {
		if (ctime_r(&arrival, when) == NULL)
			when[0] = '\0';
		when[16] = '\0';
		end = strchr(when, '\n');
		if (end != NULL)
			*end = '\0';
		printf("%13s%c%8lld %.16s %.*s\n", id,
		    mailq_is_leased(recipients) ? '*' : ' ',
		    (long long)json_integer_value(
			json_object_get(item, "size")),
		    when, MAILQ_SENDER, sender[0] != '\0' ? sender : "<>");
		if (status[0] != '\0')
			printf("                 (Deferred: %.*s)\n",
			    MAILQ_STATUS, status);
		snprintf(m->last_id, sizeof(m->last_id), "%s", id);
	}
	for (size_t i = 0; i < json_array_size(recipients); i++)
		printf("\t\t\t\t\t %.*s\n", MAILQ_RECIPIENT,
		    mailq_text(json_array_get(recipients, i), "address"));
}

static json_t *
mailq_request(void)
{
	json_t *request = json_object();

	if (request == NULL ||
	    json_object_set_new(request, "do", json_string("list")) < 0)
		abort();
	return request;
}

/* How many messages there are, or -1. */
static long long
mailq_total(struct view *view)
{
	json_t *request = mailq_request(), *end;
	long long total = -1;

	json_object_set_new(request, "count", json_integer(1));
	end = view_page(view, request, NULL, NULL);
	if (end != NULL)
		total = (long long)json_integer_value(
		    json_object_get(end, "total"));
	json_decref(request);
	json_decref(end);
	return total;
}

static int
mailq(const char *program, const struct conf *conf)
{
	struct mailq m = {.last_id = ""};
	struct view *view = view_open(program, conf);
	long long total = -1;
	json_t *end = NULL;

	if (view == NULL)
		return EX_UNAVAILABLE;
	total = mailq_total(view);
	if (total == 0)
		printf("%.*s is empty\n", STR_ARG(conf->spool));
	if (total > 0) {
		printf("\t\t%.*s (%lld request%s)\n" MAILQ_HEAD,
		    STR_ARG(conf->spool), total, total == 1 ? "" : "s");
		end = view_ask(view, mailq_request(), mailq_item, &m);
	}
	view_close(view);
	if (total < 0 || (total > 0 && end == NULL))
		return EX_UNAVAILABLE;
	json_decref(end);
	printf("\t\tTotal requests: %lld\n", total);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int
sendmail_usage(const char *program)
{
	fprintf(stderr,
	    "%s: only -bp (print the queue) can be asked for, with -C FILE\n",
	    program);
	return EX_USAGE;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash != NULL ? slash + 1 : argv[0];
	const char *file = NULL;
	bool is_printing = strcmp(program, "mailq") == 0;
	struct conf *conf;
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-bp") == 0)
			is_printing = true;
		else if (strcmp(argv[i], "-C") == 0 && i + 1 < argc)
			file = argv[++i];
		else if (strncmp(argv[i], "-C", 2) == 0 && argv[i][2] != '\0')
			file = argv[i] + 2;
		else if (strcmp(argv[i], "--help") == 0)
			return fputs(sendmail_help, stdout) < 0 ? EX_IOERR
			                                        : EX_OK;
		else
			return sendmail_usage(program);
	}
	if (!is_printing)
		return sendmail_usage(program);
	conf = view_conf(program, conf_file_name(file, getenv(CONF_FILE_ENV)));
	if (conf == NULL)
		return EX_CONFIG;
	status = mailq(program, conf);
	conf_free(conf);
	return status;
}
