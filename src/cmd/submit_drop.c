/*
 * Leaving a message in the drop directory.  A file is written under a name in
 * tmp/, synced, moved to new/, and both directories are synced; only then are
 * its recipients SUBMIT_TAKEN.  A failed sync is not tried again: the file is
 * removed and the error returned.
 */
#include "cmd/submit_drop.h"
#include "base/check.h"
#include "mail/drop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DROP_PATH_SIZE (sizeof(DROP_DIR_TEMP "/") + DROP_NAME_SIZE)
#define DROP_TRIES     10

/* A file being written. */
struct drop_file {
	struct os *os;
	struct os_file *file;
	struct drop_writer writer;
	struct buf out; /* bytes not yet written */
	uint64_t at;    /* bytes written */
};

static int
drop_flush(struct drop_file *f)
{
	int error = os_pwrite(f->os, f->file, buf_str(&f->out), f->at);

	f->at += buf_size(&f->out);
	buf_clear(&f->out);
	return error;
}

/* "MAIL FROM:<a@b> BODY=8BITMIME", as smtp/command.h reads it. */
static int
drop_put_mail(struct drop_file *f, const struct mail_envelope *e)
{
	static const char *const bodies[] = {
	    "", " BODY=7BIT", " BODY=8BITMIME"};
	static const char *const rets[] = {"", " RET=FULL", " RET=HDRS"};
	char line[DROP_LINE_MAX];
	int size = snprintf(line, sizeof(line), "MAIL FROM:<%.*s>%s%s%s%s%.*s",
	    STR_ARG(e->sender), bodies[e->body],
	    e->is_smtputf8 ? " SMTPUTF8" : "", rets[e->ret],
	    e->envid.size > 0 ? " ENVID=" : "", STR_ARG(e->envid));

	if (size < 0 || (size_t)size >= sizeof(line))
		return -EINVAL;
	return drop_put_line(&f->writer, str_of(line, (size_t)size), &f->out);
}

/* "RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY" (RFC 3461 4.1). */
static int
drop_put_rcpt(struct drop_file *f, const struct mail_recipient *r)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} words[] = {
	    {MAIL_NOTIFY_NEVER, "NEVER"},
	    {MAIL_NOTIFY_SUCCESS, "SUCCESS"},
	    {MAIL_NOTIFY_FAILURE, "FAILURE"},
	    {MAIL_NOTIFY_DELAY, "DELAY"},
	};
	struct buf line;
	const char *before = " NOTIFY=";
	int error;

	buf_init(&line, DROP_LINE_MAX);
	error = buf_printf(&line, "RCPT TO:<%.*s>", STR_ARG(r->address));
	for (size_t i = 0; i < 4 && error == 0; i++)
		if (r->notify & words[i].bit) {
			error =
			    buf_printf(&line, "%s%s", before, words[i].name);
			before = ",";
		}
	if (error == 0 && r->is_expanded) /* smtp/server.h */
		error = buf_append(&line, STR(" XFINAL"));
	if (error == 0)
		error = drop_put_line(&f->writer, buf_str(&line), &f->out);
	buf_fini(&line);
	return error;
}

/* The recipients from *AT on that are not settled, as many as a file has;
 *AT is moved behind them. */
static int
drop_put_rcpts(struct drop_file *f, const struct submit_message *m, size_t *at)
{
	size_t count = 0;
	int error = 0;

	for (; *at < m->recipient_count && count < DROP_LINES_MAX; ++*at) {
		enum submit_fate fate = m->outcomes[*at].fate;

		if (fate == SUBMIT_TAKEN || fate == SUBMIT_REFUSED)
			continue;
		error = drop_put_rcpt(f, &m->recipients[*at]);
		if (error < 0)
			return error;
		count++;
	}
	return 0;
}

static int
drop_put_body(struct drop_file *f, const struct submit_message *m)
{
	static char block[SUBMIT_BLOCK];
	uint64_t offset = 0, size = submit_message_size(m);
	int error = 0;

	while (offset < size && error == 0) {
		int64_t n =
		    submit_message_read(m, block, sizeof(block), offset);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		offset += (uint64_t)n;
		error = drop_put_content(
		    &f->writer, str_of(block, (size_t)n), &f->out);
		if (error == 0)
			error = drop_flush(f);
	}
	return error;
}

static int
drop_write(struct drop_file *f, const struct submit_message *m, size_t *at)
{
	int error = drop_begin(&f->writer, &f->out);

	if (error == 0)
		error = drop_put_mail(f, &m->envelope);
	if (error == 0)
		error = drop_put_rcpts(f, m, at);
	if (error == 0)
		error = drop_put_line(&f->writer, STR("DATA"), &f->out);
	if (error == 0)
		error = drop_flush(f);
	if (error == 0)
		error = drop_put_body(f, m);
	if (error == 0)
		error = drop_end(&f->writer, &f->out);
	if (error == 0)
		error = drop_flush(f);
	return error == 0 ? os_sync(f->os, f->file) : error;
}

/* Opens a file under a NAME that nobody has. */
static int
drop_open(struct drop_file *f, char name[DROP_NAME_SIZE])
{
	char path[DROP_PATH_SIZE];
	int error = -EEXIST;

	for (int i = 0; i < DROP_TRIES && error == -EEXIST; i++) {
		uint64_t random;

		os_random(f->os, &random, sizeof(random));
		drop_name_format(os_wall_ms(f->os), random, name);
		snprintf(path, sizeof(path), DROP_DIR_TEMP "/%s", name);
		error = os_open(f->os, path,
		    OS_WRITE | OS_CREATE | OS_EXCLUSIVE | OS_SHARED, &f->file);
	}
	return error;
}

/* Moves NAME where the daemon looks, for good. */
static int
drop_move(struct os *os, const char *name)
{
	char from[DROP_PATH_SIZE], to[DROP_PATH_SIZE];
	int error;

	snprintf(from, sizeof(from), DROP_DIR_TEMP "/%s", name);
	snprintf(to, sizeof(to), DROP_DIR_NEW "/%s", name);
	error = os_rename(os, from, to);
	if (error < 0)
		return error;
	error = os_sync_directory(os, DROP_DIR_NEW);
	if (error == 0)
		error = os_sync_directory(os, DROP_DIR_TEMP);
	if (error < 0)
		(void)os_unlink(os, to);
	return error;
}

/* One file, for recipients from *AT on. */
static int
drop_one(struct os *os, struct submit_message *m, size_t *at)
{
	struct drop_file f = {.os = os};
	char name[DROP_NAME_SIZE], path[DROP_PATH_SIZE];
	int error = drop_open(&f, name), closed;

	if (error < 0)
		return error;
	buf_init(&f.out, 1 << 20);
	error = drop_write(&f, m, at);
	buf_fini(&f.out);
	closed = os_close(os, f.file);
	if (error == 0)
		error = closed;
	if (error == 0)
		error = drop_move(os, name);
	snprintf(path, sizeof(path), DROP_DIR_TEMP "/%s", name);
	if (error < 0)
		(void)os_unlink(os, path);
	return error;
}

int
submit_drop(struct os *os, struct submit_message *m)
{
	size_t at = 0, first;
	int error;

	while (submit_message_count(m, SUBMIT_UNTRIED) +
	       submit_message_count(m, SUBMIT_LATER)) {
		first = at;
		error = drop_one(os, m, &at);
		if (error < 0)
			return error;
		CHECK(at > first);
		for (; first < at; first++)
			if (m->outcomes[first].fate != SUBMIT_REFUSED)
				m->outcomes[first].fate = SUBMIT_TAKEN;
	}
	return 0;
}
