/*
 * Mail that programs hand in.  In order: who is it, read the message, complete
 * its header, find its recipients, hand it over, tell what did not go.
 *
 * Nothing is sent before the message was read to its end: who is interrupted
 * has sent nothing.
 */
#include "cmd/submit.h"
#include "base/check.h"
#include "base/mem.h"
#include "cmd/run_place.h"
#include "cmd/submit_pump.h"
#include "cmd/submit_queue.h"
#include "cmd/submit_send.h"
#include "cmd/submit_tell.h"
#include "cmd/submit_user.h"
#include "cmd/view.h"
#include "mail/submit.h"
#include "mail/text.h"
#include "mail/uucp.h"
#include "os/machine.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SUBMIT_WORD_MAX 4096 /* of a UUCP address */

struct submit {
	const struct sendmail_options *options;
	struct conf *conf;
	struct submit_user user;
	struct submit_traffic *traffic; /* -X, or NULL */
	struct mail_text text;
	struct submit_message message;
	struct submit_rcpts rcpts;
	char sender[MAIL_ADDRESS_MAX + 1];
	uint64_t hops;
	uint64_t size_max;
};

static struct conf *
submit_conf(const struct sendmail_options *options, int *status_out)
{
	const char *name =
	    conf_file_name(options->config_file, secure_getenv(CONF_FILE_ENV));
	struct conf *conf;

	if (access(name, R_OK) < 0) {
		fprintf(stderr, "%s: line 0: cannot open: %s\n", name,
		    strerror(errno));
		*status_out = EX_OSFILE;
		return NULL;
	}
	conf = view_conf(options->program, name);
	*status_out = EX_CONFIG;
	return conf;
}

/* Reads standard input to the end of the message: EX_OK, or the exit status. */
static int
submit_read(struct submit *s)
{
	char block[SUBMIT_BLOCK];
	struct buf body;
	ssize_t n = 1;
	int error = 0;

	buf_init(&body, 2 * SUBMIT_BLOCK + MAIL_TEXT_HEADER_MAX);
	while (n > 0 && error == 0 && s->text.state != MAIL_TEXT_OVER &&
	       s->message.body_size <= s->conf->size_max) {
		n = read(STDIN_FILENO, block, sizeof(block));
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n >= 0)
			submit_traffic_message(
			    s->traffic, str_of(block, (size_t)n));
		if (n < 0)
			error = -errno;
		else if (n == 0)
			error = mail_text_end(&s->text, &body);
		else
			error = mail_text_feed(
			    &s->text, str_of(block, (size_t)n), &body);
		if (error == 0)
			error =
			    submit_message_append(&s->message, buf_str(&body));
		buf_clear(&body);
	}
	buf_fini(&body);
	if (error == -EMSGSIZE) {
		fprintf(stderr, "Header too large (%d bytes)\n",
		    MAIL_TEXT_HEADER_MAX);
		return EX_DATAERR;
	}
	if (error < 0)
		fprintf(stderr, "%s: cannot keep the message: %s\n",
		    s->options->program, strerror(-error));
	return error < 0 ? EX_IOERR : EX_OK;
}

/* The sender in the From_ lines of rmail, where they tell one. */
static int
submit_uucp_sender(struct submit *s, struct buf *word)
{
	struct buf path;
	int error;

	buf_init(&path, SUBMIT_WORD_MAX);
	error = uucp_sender_put(&path, buf_str(&s->text.from));
	if (error == 0)
		error = uucp_address_put(word, buf_str(&path));
	buf_fini(&path);
	return error;
}

/* Who sends: -f, or rmail's From_ lines, or who called.  EX_OK or EX_USAGE. */
static int
submit_sender(struct submit *s)
{
	const struct sendmail_options *o = s->options;
	struct str text = o->has_sender ? o->sender : str_from(s->user.name);
	struct buf word;
	int error;

	buf_init(&word, SUBMIT_WORD_MAX);
	if (o->mode == SENDMAIL_RMAIL && !o->has_sender &&
	    submit_uucp_sender(s, &word) == 0)
		text = buf_str(&word);
	error = submit_sender_parse(text, s->conf->hostname, s->sender);
	if (error < 0)
		fprintf(
		    stderr, "%.*s... Invalid sender address\n", STR_ARG(text));
	buf_fini(&word);
	return error < 0 ? EX_USAGE : EX_OK;
}

/* The recipients of the command line. */
static int
submit_operands(struct submit *s)
{
	const struct sendmail_options *o = s->options;
	int error = 0;

	for (size_t i = 0; i < o->operand_count && error == 0; i++) {
		struct str text = str_from(o->operands[i]);
		struct buf word;

		buf_init(&word, SUBMIT_WORD_MAX);
		if (o->mode == SENDMAIL_RMAIL &&
		    uucp_address_put(&word, text) == 0)
			text = buf_str(&word);
		error = submit_rcpts_add(&s->rcpts, text);
		buf_fini(&word);
	}
	return error;
}

/* Makes the header that is sent, and takes recipients out of it. */
static int
submit_header(struct submit *s)
{
	const struct sendmail_options *o = s->options;
	struct submit_header header = {
	    .hostname = s->conf->hostname,
	    .sender = str_from(s->sender),
	    .full_name = o->full_name,
	    .wall_ms = machine_wall_ms(),
	    .is_gateway = o->is_gateway,
	    .is_taking_recipients = o->is_recipients_from_header,
	};
	uint64_t received;
	int error;

	/* Another's address does not get the caller's name. */
	if (header.full_name.size == 0 && !o->has_sender &&
	    o->mode != SENDMAIL_RMAIL)
		header.full_name = str_from(s->user.full_name);
	machine_random(&header.random, sizeof(header.random));
	error = submit_header_put(&header, buf_str(&s->text.header), &s->rcpts,
	    &s->message.head, &received);
	s->hops = o->hops + received;
	return error < 0 ? error : buf_append(&s->message.head, STR("\r\n"));
}

static bool
submit_is_8bit(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] >= 0x80)
			return true;
	return false;
}

static void
submit_envelope(struct submit *s)
{
	const struct sendmail_options *o = s->options;
	struct submit_message *m = &s->message;
	bool is_8bit = s->text.has_8bit_header || s->text.has_8bit_body;

	m->envelope = (struct mail_envelope){
	    .sender = str_from(s->sender),
	    .envid = o->envid,
	    .ret = o->ret,
	    .body = is_8bit ? MAIL_BODY_8BITMIME : o->body,
	    .is_smtputf8 =
		o->is_smtputf8 || submit_is_8bit(str_from(s->sender)),
	};
	m->recipient_count = s->rcpts.count;
	m->recipients = mem_new(s->rcpts.count + 1, sizeof(*m->recipients));
	m->outcomes = mem_new(s->rcpts.count + 1, sizeof(*m->outcomes));
	for (size_t i = 0; i < s->rcpts.count; i++) {
		m->recipients[i].address = s->rcpts.list[i];
		m->recipients[i].notify = o->notify;
		m->recipients[i].is_expanded = o->is_without_aliases;
		m->envelope.is_smtputf8 =
		    m->envelope.is_smtputf8 || submit_is_8bit(s->rcpts.list[i]);
	}
}

/* Keeps the message where the caller finds it. */
static void
submit_keep(struct submit *s)
{
	struct str drop = sendmail_set_find(s->options, STR("DeadLetterDrop"));
	char path[PATH_MAX];
	int size;

	if (drop.size > 0)
		size = snprintf(path, sizeof(path), "%.*s", STR_ARG(drop));
	else
		size = snprintf(
		    path, sizeof(path), "%s/dead.letter", s->user.home);
	if (size > 0 && (size_t)size < sizeof(path) &&
	    submit_tell_keep(&s->message, path) < 0)
		return;
}

/* Mails the message back for the reason WHY, or for what failed of it; false
   if it cannot be, and is kept where the mode allows. */
static bool
submit_mail_back(struct submit *s, const char *why)
{
	struct str back_to = s->message.envelope.sender;

	if (back_to.size > 0 && submit_tell_mail(s->conf, &s->rcpts,
				    &s->message, back_to, why) == 0)
		return true;
	submit_keep(s);
	return false;
}

/* A message that cannot be sent at all, as the real program treats it: said,
   mailed back, and then it is no failure of who called; else KEPT is the exit
   status. */
static int
submit_return(struct submit *s, const char *why, int kept)
{
	enum sendmail_errors mode = s->options->errors;

	if (mode == SENDMAIL_ERRORS_PRINT)
		fprintf(stderr, "%s\n", why);
	if (mode == SENDMAIL_ERRORS_QUIET || mode == SENDMAIL_ERRORS_WRITE)
		return EX_UNAVAILABLE;
	return submit_mail_back(s, why) ? EX_OK : kept;
}

/* That for what is no address: the first one decides, as in sendmail. */
static int
submit_problem_status(const struct submit_rcpts *rcpts)
{
	if (rcpts->problem_count == 0)
		return EX_OK;
	if (strcmp(rcpts->problems[0].status, "5.1.3") == 0)
		return EX_USAGE;
	return strcmp(rcpts->problems[0].status, "5.1.2") == 0 ? EX_NOHOST
	                                                       : EX_NOUSER;
}

/* The exit status for what is no address or was refused; EX_OK for none. */
static int
submit_failure(const struct submit *s)
{
	int status = submit_problem_status(&s->rcpts);

	for (size_t i = 0; i < s->message.recipient_count; i++) {
		const struct submit_outcome *o = &s->message.outcomes[i];

		if (o->fate != SUBMIT_REFUSED)
			continue;
		if (strncmp(o->status, "5.1.", 4) == 0 || o->code == 550)
			return EX_NOUSER;
		status = status == EX_OK ? EX_UNAVAILABLE : status;
	}
	return status;
}

/* Tells of failures as -oe says; the exit status. */
static int
submit_tell(struct submit *s, int status)
{
	switch (s->options->errors) {
	case SENDMAIL_ERRORS_PRINT:
		submit_tell_print(s->conf, &s->rcpts, &s->message);
		submit_keep(s);
		return status;
	case SENDMAIL_ERRORS_MAIL:
		(void)submit_mail_back(s, NULL);
		return status;
	case SENDMAIL_ERRORS_BERKNET:
		return submit_mail_back(s, NULL) ? EX_OK : status;
	case SENDMAIL_ERRORS_WRITE:
	case SENDMAIL_ERRORS_QUIET:
		return status;
	}
	return status;
}

/* To the daemon, or for it: EX_OK, or EX_TEMPFAIL after it was said why. */
static int
submit_to_daemon(struct submit *s)
{
	const struct submit_message *m = &s->message;
	struct submit_way way = {
	    .conf = s->conf,
	    .is_verbose = s->options->is_verbose,
	    .traffic = s->traffic,
	};
	char reason[SUBMIT_REASON_SIZE];

	if (mail_domain_is_valid(s->options->protocol_host, true))
		way.helo = s->options->protocol_host;
	if (submit_send(&way, &s->message, reason) == 0)
		return EX_OK;
	fprintf(stderr, "%s: %zu of %zu recipients: %s\n", s->options->program,
	    submit_message_count(m, SUBMIT_UNTRIED) +
		submit_message_count(m, SUBMIT_LATER),
	    m->recipient_count, reason);
	return EX_TEMPFAIL;
}

/* To the daemon, or into a queue directory that it does not have. */
static int
submit_somewhere(struct submit *s)
{
	struct run_place place = {.is_configured = true};

	if (s->options->queue_directory.size > 0 &&
	    !run_place_find(s->options, s->conf, &place))
		return EX_CONFIG;
	if (s->message.recipient_count == 0)
		return EX_OK;
	if (place.is_configured)
		return submit_to_daemon(s);
	return submit_queue(
	    s->options->program, s->conf, &place, s->user.name, &s->message);
}

/* Hands the message over and tells what did not go. */
static int
submit_hand_over(struct submit *s)
{
	int status;

	if (s->hops > s->options->hops_max) {
		if (s->options->errors == SENDMAIL_ERRORS_PRINT)
			submit_keep(s);
		return EX_UNAVAILABLE;
	}
	status = submit_somewhere(s);
	if (status != EX_OK)
		return status;
	status = submit_failure(s);
	return status == EX_OK ? EX_OK : submit_tell(s, status);
}

/* What can be wrong with a whole message. */
static int
submit_check(struct submit *s)
{
	char why[80];

	/* Nobody misses it: as in sendmail, that is no failure. */
	if (s->rcpts.count == 0 && s->rcpts.problem_count == 0)
		return submit_return(
		    s, "No recipient addresses found in header", EX_OK);
	if (submit_message_size(&s->message) <= s->size_max)
		return submit_hand_over(s);
	snprintf(why, sizeof(why), "Message exceeds maximum fixed size (%llu)",
	    (unsigned long long)s->size_max);
	return submit_return(s, why, EX_UNAVAILABLE);
}

static int
submit_deliver(struct submit *s)
{
	int status = submit_read(s), error;

	if (status == EX_OK)
		status = submit_sender(s);
	if (status != EX_OK)
		return status;
	error = submit_operands(s);
	if (error == 0)
		error = submit_header(s);
	if (error < 0) {
		fprintf(stderr, "%s: %s\n", s->options->program,
		    error == -E2BIG ? "Too many recipients"
				    : "The header is too large");
		return EX_DATAERR;
	}
	submit_envelope(s);
	return submit_check(s);
}

static int
submit_message_run(const struct sendmail_options *options, struct conf *conf)
{
	struct submit s = {
	    .options = options,
	    .conf = conf,
	    .size_max = conf->size_max,
	};
	int status;

	if (options->message_size_max > 0 &&
	    options->message_size_max < s.size_max)
		s.size_max = options->message_size_max;
	if (options->traffic_file != NULL) {
		s.traffic = submit_traffic_open(options->traffic_file);
		if (s.traffic == NULL)
			return EX_CANTCREAT;
	}
	submit_user_init(&s.user);
	mail_text_init(&s.text, options->is_dot_ordinary);
	submit_message_init(&s.message);
	submit_rcpts_init(&s.rcpts, conf->hostname);
	status = submit_deliver(&s);
	submit_rcpts_fini(&s.rcpts);
	submit_message_fini(&s.message);
	mail_text_fini(&s.text);
	submit_user_fini(&s.user);
	submit_traffic_close(s.traffic);
	return status;
}

int
submit_run(const struct sendmail_options *options)
{
	int status;
	struct conf *conf = submit_conf(options, &status);

	if (conf == NULL)
		return status;
	/* A daemon that hangs up is an answer; files are what they say. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(027);
	if (options->mode == SENDMAIL_SMTP)
		status = submit_pump(conf->submission_socket, conf->hostname);
	else
		status = submit_message_run(options, conf);
	conf_free(conf);
	return status;
}
