/*
 * Messages for programs and files, staged.
 *
 * The stage is a file without a name in a directory for temporary files: it is
 * gone with the process.  Trouble with it does not keep the message from being
 * read to its end, as an answer comes behind the content only.
 */
#include "cmd/helper_mail.h"
#include "base/check.h"
#include "mail/alias_local.h"
#include "role/maildir.h"
#include "role/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The state of taking one. */
struct mail_taking {
	struct helper_mail *mail;
	struct mbox mbox;
	struct buf in, out;
	bool has_job;
	uint64_t left; /* content that is to come */
};

int
helper_mail_enter(const struct privilege_user *user)
{
	static const char *const directories[] = {"/var/tmp", "/tmp"};
	int error = 0, fd = -1;

	if (geteuid() == 0)
		error = privilege_become(user);
	if (error == 0)
		error = privilege_drop(user);
	if (error < 0)
		return error;
	if (geteuid() == 0 || getuid() == 0)
		return -EPERM;
	for (size_t i = 0;
	     fd < 0 && i < sizeof(directories) / sizeof(directories[0]); i++) {
		fd = open(directories[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			error = -errno;
	}
	return fd < 0 ? error : fd;
}

/* Moves what is in the buffer to the stage. */
static int
mail_flush(struct mail_taking *t)
{
	while (buf_size(&t->out) > 0) {
		struct str bytes = buf_str(&t->out);
		ssize_t n = write(t->mail->stage_fd, bytes.data, bytes.size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf_consume(&t->out, (size_t)n);
	}
	return 0;
}

/* The job is for the target that we are here for. */
static bool
mail_is_ours(const struct mail_taking *t, const struct maildir_job *job)
{
	char address[MAIL_ADDRESS_MAX + 1];
	int size = alias_local_put(t->mail->local, address);

	return size > 0 && maildir_job_is_valid(job) &&
	       str_equal(job->recipient, str_of(address, (size_t)size));
}

static int
mail_begin(struct mail_taking *t, struct str frame)
{
	struct maildir_job job;
	int error = maildir_job_get(frame, &job);

	if (error < 0)
		return error;
	t->has_job = true;
	t->left = job.content_size;
	if (t->mail->error != 0)
		return 0;
	if (!mail_is_ours(t, &job))
		t->mail->error = -EINVAL;
	else
		t->mail->error =
		    mbox_begin(&t->mbox, t->mail->local->kind == ALIAS_FILE,
			job.sender, job.arrival_wall_ms, &t->out);
	return 0;
}

/* One frame: 0 or -EPROTO. */
static int
mail_take_frame(struct mail_taking *t, struct str frame)
{
	struct str bytes;
	int error;

	if (!t->has_job)
		return mail_begin(t, frame);
	error = maildir_content_get(frame, t->left, &bytes);
	if (error < 0)
		return error;
	t->left -= bytes.size;
	if (t->mail->error == 0)
		t->mail->error = mbox_add(&t->mbox, bytes, &t->out);
	if (t->mail->error == 0)
		t->mail->error = mail_flush(t);
	return 0;
}

/* Reads once: 0 or -errno. */
static int
mail_read(struct mail_taking *t)
{
	static char block[STORE_BLOCK];
	struct pollfd wait = {.fd = t->mail->fd, .events = POLLIN};
	struct str bytes, frame;
	int result;
	ssize_t n;

	if (poll(&wait, 1, HELPER_WAIT_MS) <= 0)
		return -ETIMEDOUT;
	n = read(t->mail->fd, block, sizeof(block));
	if (n <= 0)
		return n == 0 ? -EPIPE : -errno;
	bytes = str_of(block, (size_t)n);
	while ((result = maildir_frame_take(&t->in, &bytes, &frame)) == 1) {
		/* Nothing may follow the content. */
		if (t->has_job && t->left == 0)
			return -EPROTO;
		result = mail_take_frame(t, frame);
		buf_clear(&t->in);
		if (result < 0)
			break;
	}
	return result;
}

int
helper_mail_take(struct helper_mail *mail)
{
	struct mail_taking t = {.mail = mail};
	int error = 0;

	if (mail->stage_fd < 0)
		CHECK(mail->error != 0);
	buf_init(&t.in, 4 + MAILDIR_FRAME_MAX);
	buf_init(&t.out, (size_t)3 * STORE_BLOCK);
	while (error == 0 && (!t.has_job || t.left > 0))
		error = mail_read(&t);
	if (error == 0 && mail->error == 0)
		mail->error = mbox_end(&t.mbox, &t.out);
	if (error == 0 && mail->error == 0)
		mail->error = mail_flush(&t);
	if (error == 0 && mail->error == 0 &&
	    lseek(mail->stage_fd, 0, SEEK_SET) < 0)
		mail->error = -errno;
	buf_fini(&t.in);
	buf_fini(&t.out);
	return error;
}

bool
helper_mail_is_awaited(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, 0) == 0;
}

int
helper_mail_answer(int fd, struct buf *out)
{
	while (buf_size(out) > 0) {
		struct str bytes = buf_str(out);
		ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf_consume(out, (size_t)n);
	}
	return 0;
}
