/* Handing a message to the mail system; see submit_send.h. */
#include "cmd/submit_send.h"
#include "base/mem.h"
#include "cmd/places.h"
#include "cmd/rights.h"
#include "cmd/submit_drop.h"
#include "cmd/submit_smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SEND_NO_DROP                                                           \
	"it is made when sendqd starts for the first time, or root sends mail"

/* A descriptor of the drop directory, or -errno.  Before the daemon ran for the
   first time it may not be there: who may do so makes it; to others it is
   -ENOENT. */
static int
send_open_directory(const struct conf *conf)
{
	char *name =
	    mem_copy_text(conf->drop_directory.data, conf->drop_directory.size);
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = errno;

	free(name);
	if (fd >= 0)
		return fd;
	if (error != ENOENT)
		return -error;
	fd = places_make_drop_directory(conf);
	return fd == -EACCES || fd == -EPERM ? -ENOENT : fd;
}

/* Opens the drop directory with the right to write there, which stays up; 0 or
   -errno with the right put aside. */
static int
send_open_drop(const struct conf *conf, struct os **os_out)
{
	int fd, error;

	if (conf->drop_directory.size == 0)
		return -ENOENT;
	error = rights_take_up(true);
	if (error < 0)
		return error;
	fd = send_open_directory(conf);
	if (fd >= 0)
		*os_out = os_real_new(fd);
	else if (rights_take_up(false) < 0)
		abort();
	return fd < 0 ? fd : 0;
}

static int
send_drop(const struct conf *conf, struct submit_message *m)
{
	struct os *os = NULL;
	int error = send_open_drop(conf, &os);

	if (error < 0)
		return error;
	error = submit_drop(os, m);
	os_free(os);
	if (rights_take_up(false) < 0)
		abort();
	return error;
}

/* Why nothing could be left in the drop directory. */
static const char *
send_no_drop(const struct conf *conf, int error)
{
	return error == -ENOENT && conf->drop_directory.size > 0
	           ? SEND_NO_DROP
	           : strerror(-error);
}

/* What the daemon said of the first that it did not take for now. */
static const char *
send_answer(const struct submit_message *m)
{
	for (size_t i = 0; i < m->recipient_count; i++)
		if (m->outcomes[i].fate == SUBMIT_LATER ||
		    m->outcomes[i].fate == SUBMIT_UNTRIED)
			return m->outcomes[i].answer;
	return "";
}

int
submit_send(const struct submit_way *way, struct submit_message *m,
    char reason[SUBMIT_REASON_SIZE])
{
	const struct conf *conf = way->conf;
	const struct submit_smtp how = {
	    .socket_path = conf->submission_socket,
	    .hostname = way->helo.size > 0 ? way->helo : conf->hostname,
	    .recipients_max = (size_t)conf->recipients_max,
	    .is_verbose = way->is_verbose,
	    .traffic = way->traffic,
	};
	int no_daemon = submit_smtp(&how, m);
	int no_drop;

	reason[0] = '\0';
	if (submit_message_count(m, SUBMIT_UNTRIED) == 0 &&
	    submit_message_count(m, SUBMIT_LATER) == 0)
		return 0;
	no_drop = send_drop(conf, m);
	if (no_drop == 0)
		return 0;
	if (no_daemon == 0)
		snprintf(reason, SUBMIT_REASON_SIZE,
		    "the daemon said \"%.300s\", and nothing can be left in "
		    "\"%.*s\": %s",
		    send_answer(m), STR_ARG(conf->drop_directory),
		    send_no_drop(conf, no_drop));
	else
		snprintf(reason, SUBMIT_REASON_SIZE,
		    "no daemon at \"%.*s\" (%s), and nothing can be left in "
		    "\"%.*s\": %s",
		    STR_ARG(conf->submission_socket), strerror(-no_daemon),
		    STR_ARG(conf->drop_directory), send_no_drop(conf, no_drop));
	return -EAGAIN;
}
