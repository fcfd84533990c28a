/*
 * Maildir delivery: the frames between the deliver role and a helper, and the
 * helper's work.
 *
 *   JOB -> CONTENT -> ANSWERED; from anywhere -> ANSWERED when the disk says no
 *
 * The file's name is TIME.ID_INDEX.HOSTNAME, TIME being the second in which the
 * message came into the queue.  It depends on nothing but the job, so that a
 * repeat after a crash replaces the file in new/ rather than doubling it, and
 * an old one in tmp/ is written over.
 *
 * Promises: 250 is said only when the file, its place in new/ and the
 * directories made for it are on stable storage; whenever anything else is said
 * there is no file of this name in new/.  Every trouble here is temporary:
 * nothing bounces for the fault of this machine.  Content is stored with LF
 * line ends; a CR that is not before LF is kept.
 *
 * Names in tmp/ are not made unique by process or time, as is the custom,
 * because the queue role gives a message to one helper at a time; were there a
 * second one, its rename would find nothing and it would say 451.
 */
#include "role/maildir.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/wire.h"
#include "mail/address.h"
#include "smtp/client.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAILDIR_MAGIC    0x6d647230u
#define MAILDIR_HOST_MAX 100
#define MAILDIR_NAME_MAX 192

enum maildir_state {
	MAILDIR_JOB,
	MAILDIR_CONTENT,
	MAILDIR_ANSWERED
};

struct maildir {
	uint32_t magic;
	enum maildir_state state;
	struct os *os;
	char hostname[MAILDIR_HOST_MAX + 1];
	struct buf in;  /* a frame that is not whole yet */
	struct buf out; /* to be written at OFFSET */
	char tmp_name[MAILDIR_NAME_MAX + 5];
	char new_name[MAILDIR_NAME_MAX + 5];
	struct os_file *file;
	bool is_in_tmp;
	bool is_cr; /* the last byte was a CR that is not yet written */
	uint64_t offset;
	uint64_t content_left;
};

/* Puts the length before the fields that W wrote behind START in OUT. */
static int
maildir_frame_end(struct buf *out, size_t start, bool is_bad)
{
	size_t size = buf_size(out) - start;

	if (is_bad || size < 4) {
		/* Nothing is left of a frame that did not fit. */
		out->end = out->start + start;
		return -ENOBUFS;
	}
	wire_store_u32(out->data + out->start + start, (uint32_t)(size - 4));
	return 0;
}

int
maildir_job_put(struct buf *out, const struct maildir_job *job)
{
	struct wire_writer w = {.out = out};
	size_t start = buf_size(out);

	wire_put_u32(&w, 0);
	wire_put_str(&w, job->id);
	wire_put_u32(&w, job->index);
	wire_put_u64(&w, job->arrival_wall_ms);
	wire_put_str(&w, job->sender);
	wire_put_str(&w, job->recipient);
	wire_put_u64(&w, job->content_size);
	return maildir_frame_end(out, start, w.is_bad);
}

int
maildir_content_put(struct buf *out, struct str bytes)
{
	struct wire_writer w = {.out = out};
	size_t start = buf_size(out);

	CHECK(bytes.size > 0 && bytes.size <= STORE_BLOCK);
	wire_put_u32(&w, 0);
	wire_put_str(&w, bytes);
	return maildir_frame_end(out, start, w.is_bad);
}

static void
maildir_check(const struct maildir *m)
{
	CHECK(m->magic == MAILDIR_MAGIC);
	CHECK(m->state == MAILDIR_CONTENT || m->file == NULL);
}

struct maildir *
maildir_new(struct os *os, struct str hostname)
{
	struct maildir *m = mem_new(1, sizeof(*m));
	struct str name = str_head(hostname, MAILDIR_HOST_MAX);

	m->magic = MAILDIR_MAGIC;
	m->os = os;
	/* "/" and ":" have a meaning in a Maildir, ".." has one for os.h. */
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		bool is_dot = c == '.' && i > 0 && m->hostname[i - 1] != '.';

		m->hostname[i] =
		    ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || is_dot
			? c
			: '_';
	}
	buf_init(&m->in, 4 + MAILDIR_FRAME_MAX);
	buf_init(&m->out, (size_t)2 * STORE_BLOCK);
	return m;
}

/* Closes and removes the file in tmp; in vain is as good. */
static void
maildir_drop(struct maildir *m)
{
	if (m->file != NULL)
		(void)os_close(m->os, m->file);
	m->file = NULL;
	if (m->is_in_tmp)
		(void)os_unlink(m->os, m->tmp_name);
	m->is_in_tmp = false;
}

void
maildir_free(struct maildir *m)
{
	if (m == NULL)
		return;
	maildir_check(m);
	maildir_drop(m);
	buf_fini(&m->in);
	buf_fini(&m->out);
	free(m);
}

/* Makes the three directories, as far as they are missing, for good. */
static int
maildir_make(struct maildir *m)
{
	static const char *const names[] = {"tmp", "new", "cur"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int error = os_make_directory(m->os, names[i]);

		if (error < 0 && error != -EEXIST)
			return error;
	}
	return os_sync_directory(m->os, "");
}

static int
maildir_open(struct maildir *m)
{
	int flags = OS_WRITE | OS_CREATE;
	int error = os_open(m->os, m->tmp_name, flags, &m->file);

	if (error == -ENOENT) {
		error = maildir_make(m);
		if (error < 0)
			return error;
		error = os_open(m->os, m->tmp_name, flags, &m->file);
	}
	if (error < 0)
		return error;
	m->is_in_tmp = true;
	/* What an earlier helper left. */
	return os_truncate(m->os, m->file, 0);
}

static int
maildir_flush(struct maildir *m)
{
	struct str bytes = buf_str(&m->out);
	int error;

	if (bytes.size == 0)
		return 0;
	error = os_pwrite(m->os, m->file, bytes, m->offset);
	m->offset += bytes.size;
	buf_clear(&m->out);
	return error;
}

static bool
maildir_is_printable(struct str text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
			return false;
	return true;
}

bool
maildir_job_is_valid(const struct maildir_job *job)
{
	return store_id_is_valid(job->id) && job->recipient.size > 0 &&
	       maildir_is_printable(job->sender) &&
	       maildir_is_printable(job->recipient);
}

/* Opens the file and writes what stands before the content: RFC 5321 4.4 has
   the final delivery put the Return-Path on top.  An id with ".." in it is
   refused by the os. */
static int
maildir_begin(struct maildir *m, const struct maildir_job *job)
{
	char name[MAILDIR_NAME_MAX];
	int size, error;

	if (!maildir_job_is_valid(job))
		return -EINVAL;
	size = snprintf(name, sizeof(name), "%llu.%.*s_%u.%s",
	    (unsigned long long)(job->arrival_wall_ms / 1000), STR_ARG(job->id),
	    job->index, m->hostname);
	CHECK(size > 0 && (size_t)size < sizeof(name));
	snprintf(m->tmp_name, sizeof(m->tmp_name), "tmp/%s", name);
	snprintf(m->new_name, sizeof(m->new_name), "new/%s", name);
	error = maildir_open(m);
	if (error < 0)
		return error;
	m->content_left = job->content_size;
	return buf_printf(&m->out, "Return-Path: <%.*s>\nDelivered-To: %.*s\n",
	    STR_ARG(job->sender), STR_ARG(job->recipient));
}

/* Writes content with LF for CRLF; a CR at the end waits for what follows. */
static int
maildir_write(struct maildir *m, struct str bytes)
{
	int error = 0;

	CHECK(bytes.size <= STORE_BLOCK);
	while (bytes.size > 0 && error == 0) {
		size_t n = str_find(bytes, '\r');

		if (m->is_cr && bytes.data[0] != '\n')
			error = buf_append(&m->out, STR("\r"));
		m->is_cr = n < bytes.size;
		if (error == 0)
			error = buf_append(&m->out, str_head(bytes, n));
		bytes = str_skip(bytes, m->is_cr ? n + 1 : n);
	}
	return error < 0 ? error : maildir_flush(m);
}

/* Moves the file to new/ for good. */
static int
maildir_commit(struct maildir *m)
{
	int error = m->is_cr ? buf_append(&m->out, STR("\r")) : 0;
	struct os_file *file = m->file;

	if (error == 0)
		error = maildir_flush(m);
	if (error == 0)
		error = os_sync(m->os, file);
	if (error < 0)
		return error;
	m->file = NULL;
	error = os_close(m->os, file);
	if (error < 0)
		return error;
	error = os_rename(m->os, m->tmp_name, m->new_name);
	if (error == -ENOENT) {
		error = maildir_make(m);
		if (error == 0)
			error = os_rename(m->os, m->tmp_name, m->new_name);
	}
	if (error < 0)
		return error;
	m->is_in_tmp = false;
	error = os_sync_directory(m->os, "new");
	/* It will be tried again: nobody should see it until then. */
	if (error < 0)
		(void)os_unlink(m->os, m->new_name);
	return error;
}

int
maildir_answer_put(struct buf *out, enum smtp_verdict verdict, struct str text)
{
	struct wire_writer w = {.out = out};
	size_t start = buf_size(out);

	wire_put_u32(&w, 0);
	wire_put_u8(&w, (uint8_t)verdict);
	wire_put_str(&w, str_head(text, SMTP_ANSWER_MAX));
	return maildir_frame_end(out, start, w.is_bad);
}

int
maildir_error_put(struct buf *out, int error)
{
	const char *what = strerrordesc_np(-error);
	bool is_full = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
	char text[100];

	snprintf(text, sizeof(text), "%s %s",
	    is_full ? "452 4.2.2" : "451 4.3.0", what != NULL ? what : "error");
	return maildir_answer_put(out, SMTP_TEMPORARY, str_from(text));
}

/* Appends the answer for ERROR: 1, or -EPROTO if OUT has no room. */
static int
maildir_answer(struct maildir *m, int error, struct buf *out)
{
	char text[MAILDIR_NAME_MAX + 100];

	snprintf(text, sizeof(text), "250 2.0.0 %s", m->new_name);
	maildir_drop(m);
	m->state = MAILDIR_ANSWERED;
	error = error == 0
	            ? maildir_answer_put(out, SMTP_ACCEPTED, str_from(text))
	            : maildir_error_put(out, error);
	return error < 0 ? -EPROTO : 1;
}

int
maildir_job_get(struct str frame, struct maildir_job *job_out)
{
	struct wire_reader r = {.in = frame};

	job_out->id = wire_get_str(&r, STORE_ID_MAX);
	job_out->index = wire_get_u32(&r);
	job_out->arrival_wall_ms = wire_get_u64(&r);
	job_out->sender = wire_get_str(&r, MAIL_ADDRESS_MAX);
	job_out->recipient = wire_get_str(&r, MAIL_ADDRESS_MAX);
	job_out->content_size = wire_get_u64(&r);
	return wire_is_whole(&r) ? 0 : -EPROTO;
}

int
maildir_content_get(struct str frame, uint64_t left, struct str *bytes_out)
{
	struct wire_reader r = {.in = frame};

	*bytes_out = wire_get_str(&r, STORE_BLOCK);
	return wire_is_whole(&r) && bytes_out->size > 0 &&
	               bytes_out->size <= left
	           ? 0
	           : -EPROTO;
}

/* Takes one frame: 0, 1 or -EPROTO. */
static int
maildir_take(struct maildir *m, struct str frame, struct buf *out)
{
	struct maildir_job job;
	struct str bytes;
	int error;

	if (m->state == MAILDIR_JOB) {
		error = maildir_job_get(frame, &job);
		if (error < 0)
			return error;
		m->state = MAILDIR_CONTENT;
		error = maildir_begin(m, &job);
	} else {
		error = maildir_content_get(frame, m->content_left, &bytes);
		if (error < 0)
			return error;
		m->content_left -= bytes.size;
		error = maildir_write(m, bytes);
	}
	if (error == 0 && m->content_left > 0)
		return 0;
	if (error == 0)
		error = maildir_commit(m);
	return maildir_answer(m, error, out);
}

int
maildir_frame_take(struct buf *in, struct str *bytes, struct str *frame_out)
{
	while (bytes->size > 0) {
		size_t have = buf_size(in), need = 4, n;

		if (have >= 4)
			need += wire_load_u32(buf_str(in).data);
		if (need > 4 + MAILDIR_FRAME_MAX)
			return -EPROTO;
		n = need - have < bytes->size ? need - have : bytes->size;
		if (buf_append(in, str_head(*bytes, n)) < 0)
			return -EPROTO;
		*bytes = str_skip(*bytes, n);
		if (have + n < need || have < 4)
			continue;
		*frame_out = str_skip(buf_str(in), 4);
		return 1;
	}
	return 0;
}

int
maildir_feed(struct maildir *m, struct str bytes, struct buf *out)
{
	struct str frame;
	int result = 0;

	maildir_check(m);
	if (m->state == MAILDIR_ANSWERED)
		return 1;
	while (result == 0) {
		result = maildir_frame_take(&m->in, &bytes, &frame);
		if (result <= 0)
			break;
		result = maildir_take(m, frame, out);
		buf_clear(&m->in);
	}
	maildir_check(m);
	return result;
}
