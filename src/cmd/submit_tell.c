/* Telling who called what did not go; see submit_tell.h. */
#include "cmd/submit_tell.h"
#include "base/check.h"
#include "base/mem.h"
#include "cmd/submit_send.h"
#include "mail/dsn.h"
#include "os/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define TELL_CONTENT_MAX 65536 /* of a message that is mailed back */
#define TELL_ROWS_MAX    200
#define TELL_REPORT_MAX  (4 << 20)

/* An address as it was written where it got our name only here. */
static struct str
tell_name(const struct conf *conf, struct str address)
{
	size_t at = address.size - conf->hostname.size;

	if (address.size > conf->hostname.size + 1 &&
	    str_case_equal(str_skip(address, at), conf->hostname) &&
	    address.data[at - 1] == '@')
		return str_head(address, at - 1);
	return address;
}

static bool
tell_is_unknown(const struct submit_outcome *o)
{
	return strcmp(o->status, "5.1.1") == 0 ||
	       (o->code == 550 && strcmp(o->status, "5.0.0") == 0);
}

void
submit_tell_print(const struct conf *conf, const struct submit_rcpts *rcpts,
    const struct submit_message *m)
{
	for (size_t i = 0; i < rcpts->problem_count && i < SUBMIT_PROBLEMS_MAX;
	     i++) {
		const struct submit_problem *p = &rcpts->problems[i];

		if (p->reason[0] != '\0')
			fprintf(stderr, "%.*s... %s\n", STR_ARG(p->text),
			    p->reason);
		if (p->status[0] == '\0')
			fprintf(
			    stderr, "%.*s... User unknown\n", STR_ARG(p->text));
	}
	for (size_t i = 0; i < m->recipient_count; i++) {
		const struct submit_outcome *o = &m->outcomes[i];

		if (o->fate != SUBMIT_REFUSED)
			continue;
		fprintf(stderr, "%.*s... %s\n",
		    STR_ARG(tell_name(conf, m->recipients[i].address)),
		    tell_is_unknown(o) ? "User unknown" : o->answer);
	}
}

/* Writes a line of a mailbox: LF behind it, ">" before what looks like the
   first line of a message. */
static int
keep_line(FILE *file, struct str line)
{
	bool is_from = str_starts(line, STR("From "));

	return fprintf(file, "%s%.*s\n", is_from ? ">" : "", STR_ARG(line)) < 0
	           ? -EIO
	           : 0;
}

/* Writes whole lines of BYTES, all of them if IS_LAST; *TAKEN_OUT is how many
   bytes that were. */
static int
keep_lines(FILE *file, struct str bytes, bool is_last, size_t *taken_out)
{
	size_t taken = 0;
	int error = 0;

	while (error == 0 && taken < bytes.size) {
		struct str rest = str_skip(bytes, taken);
		size_t end = str_find(rest, '\n');
		struct str line = str_head(rest, end);

		if (end == rest.size && !is_last && taken > 0)
			break;
		if (line.size > 0 && line.data[line.size - 1] == '\r')
			line.size--;
		error = keep_line(file, line);
		taken += end < rest.size ? end + 1 : end;
	}
	*taken_out = taken;
	return error;
}

static int
keep_content(FILE *file, const struct submit_message *m)
{
	char *block = mem_new(1, SUBMIT_BLOCK);
	uint64_t offset = 0, size = submit_message_size(m);
	int error = 0;

	while (offset < size && error == 0) {
		int64_t n = submit_message_read(m, block, SUBMIT_BLOCK, offset);
		size_t taken = 0;

		if (n <= 0)
			error = n < 0 ? (int)n : -EIO;
		else
			error = keep_lines(file, str_of(block, (size_t)n),
			    offset + (uint64_t)n == size, &taken);
		offset += taken;
	}
	free(block);
	return error;
}

/* "From a@b Sat Nov 21 21:13:57 2026" */
static int
keep_from(FILE *file, const struct submit_message *m)
{
	time_t now = (time_t)(machine_wall_ms() / 1000);
	struct str sender = m->envelope.sender;
	char when[32];

	if (sender.size == 0)
		sender = STR("MAILER-DAEMON");
	if (ctime_r(&now, when) == NULL)
		return -EINVAL;
	return fprintf(file, "From %.*s %s", STR_ARG(sender), when) < 0 ? -EIO
	                                                                : 0;
}

static int
keep_write(FILE *file, const struct submit_message *m)
{
	int error;

	if (flock(fileno(file), LOCK_EX) < 0)
		return -errno;
	error = keep_from(file, m);
	if (error == 0)
		error = keep_content(file, m);
	if (error == 0 && (fputc('\n', file) == EOF || fflush(file) != 0))
		error = -EIO;
	if (error == 0 && fsync(fileno(file)) < 0)
		error = -errno;
	return error;
}

int
submit_tell_keep(const struct submit_message *m, const char *path)
{
	int fd = open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    0600);
	FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;
	int error = file == NULL ? -errno : keep_write(file, m);

	if (file != NULL && fclose(file) != 0 && error == 0)
		error = -errno;
	else if (file == NULL && fd >= 0)
		close(fd);
	if (error == 0)
		fprintf(stderr, "%s... Saved message in %s\n", path, path);
	else
		fprintf(stderr, "%s... Cannot save message: %s\n", path,
		    strerror(-error));
	return error;
}

/* What failed, as rows of a report; the strings stay where they are. */
static size_t
mail_rows(const struct submit_rcpts *rcpts, const struct submit_message *m,
    const char *why, struct mail_dsn_recipient *rows)
{
	size_t count = 0;

	for (size_t i = 0; i < m->recipient_count && count < TELL_ROWS_MAX;
	     i++) {
		const struct submit_outcome *o = &m->outcomes[i];

		if (o->fate != SUBMIT_REFUSED && why == NULL)
			continue;
		rows[count++] = (struct mail_dsn_recipient){
		    .recipient = m->recipients[i],
		    .action = MAIL_DSN_FAILED,
		    .status = why != NULL ? STR("5.3.4") : str_from(o->status),
		    .diagnostic = str_from(why != NULL ? why : o->answer),
		};
	}
	for (size_t i = 0; i < rcpts->problem_count &&
			   i < SUBMIT_PROBLEMS_MAX && count < TELL_ROWS_MAX;
	     i++)
		rows[count++] = (struct mail_dsn_recipient){
		    .recipient.address = rcpts->problems[i].text,
		    .action = MAIL_DSN_FAILED,
		    .status = STR("5.1.3"),
		    .diagnostic = STR("Not an address"),
		};
	/* A report tells of somebody: there was no recipient at all. */
	if (count == 0)
		rows[count++] = (struct mail_dsn_recipient){
		    .recipient.address = m->envelope.sender,
		    .action = MAIL_DSN_FAILED,
		    .status = STR("5.1.3"),
		    .diagnostic = str_from(why),
		};
	return count;
}

/* The message, or as much as a report has. */
static struct str
mail_content(const struct submit_message *m, char *block)
{
	size_t size = 0;
	int64_t n = 1;

	while (size < TELL_CONTENT_MAX && n > 0) {
		n = submit_message_read(
		    m, block + size, TELL_CONTENT_MAX - size, size);
		size += n > 0 ? (size_t)n : 0;
	}
	return str_of(block, size);
}

/* Hands the report over. */
static int
mail_send(const struct conf *conf, struct buf *report, struct str back_to)
{
	const struct submit_way way = {.conf = conf};
	char reason[SUBMIT_REASON_SIZE];
	struct submit_message back;
	int error;

	submit_message_init(&back);
	back.recipients = mem_new(1, sizeof(*back.recipients));
	back.outcomes = mem_new(1, sizeof(*back.outcomes));
	back.recipients[0].address = back_to;
	back.recipients[0].notify = MAIL_NOTIFY_NEVER;
	back.recipient_count = 1;
	back.envelope.body = MAIL_BODY_8BITMIME;
	error = submit_message_append(&back, buf_str(report));
	if (error == 0)
		error = submit_send(&way, &back, reason);
	if (error == 0 && submit_message_count(&back, SUBMIT_TAKEN) == 0)
		error = -ENOENT;
	submit_message_fini(&back);
	return error;
}

int
submit_tell_mail(const struct conf *conf, const struct submit_rcpts *rcpts,
    const struct submit_message *m, struct str back_to, const char *why)
{
	struct mail_dsn_recipient *rows = mem_new(TELL_ROWS_MAX, sizeof(*rows));
	char *block = mem_new(1, TELL_CONTENT_MAX), id[17];
	uint64_t random;
	struct buf report;
	struct mail_dsn dsn = {
	    .hostname = conf->hostname,
	    .origin_id = STR("none"),
	    .envelope = &m->envelope,
	    .arrival_wall_ms = machine_wall_ms(),
	    .now_wall_ms = machine_wall_ms(),
	    .recipients = rows,
	    .recipient_count = mail_rows(rcpts, m, why, rows),
	};
	int error = 0;

	machine_random(&random, sizeof(random));
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)random);
	dsn.id = str_from(id);
	dsn.content = mail_content(m, block);
	dsn.is_content_whole = dsn.content.size == submit_message_size(m);
	buf_init(&report, TELL_REPORT_MAX);
	error = mail_dsn_put(&report, &dsn);
	if (error == 0)
		error = mail_send(conf, &report, back_to);
	buf_fini(&report);
	free(block);
	free(rows);
	return error;
}
