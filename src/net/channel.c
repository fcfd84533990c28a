/* Records with descriptors.  Promises: never blocks, never keeps a descriptor
   that came with something that is not a record. */
#include "net/channel.h"
#include "base/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_SIZE 16
/* Room for a few more descriptors than one, so that too many can be seen. */
#define CHANNEL_FDS_MAX 4

union channel_control {
	struct cmsghdr head; /* for the alignment */
	char space[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

int
channel_pair(int fds_out[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		0, fds_out) < 0)
		return -errno;
	return 0;
}

int
channel_send(int fd, const struct channel_record *record, int passed_fd)
{
	char bytes[CHANNEL_SIZE];
	struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union channel_control control;
	struct cmsghdr *head;
	ssize_t n;

	wire_store_u32(bytes, (uint32_t)record->type);
	wire_store_u32(bytes + 4, record->subject);
	wire_store_u64(bytes + 8, record->number);
	if (passed_fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &passed_fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Takes the descriptors out of MESSAGE: the first into *FD_OUT, others are
   closed; how many there were. */
static size_t
channel_take_descriptors(struct msghdr *message, int *fd_out)
{
	size_t count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
	     head = CMSG_NXTHDR(message, head)) {
		size_t size = head->cmsg_len - CMSG_LEN(0);

		if (head->cmsg_level != SOL_SOCKET ||
		    head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= size;
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + at, sizeof(fd));
			if (count++ == 0)
				*fd_out = fd;
			else
				close(fd);
		}
	}
	return count;
}

int
channel_receive(int fd, struct channel_record *record_out, int *passed_fd_out)
{
	char bytes[CHANNEL_SIZE];
	struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	union channel_control control;
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	size_t fd_count;
	uint32_t type;
	ssize_t n;

	*passed_fd_out = -1;
	*record_out = (struct channel_record){.type = CHANNEL_TYPES};
	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	fd_count = channel_take_descriptors(&message, passed_fd_out);
	if (n == 0)
		goto bad;
	type = wire_load_u32(bytes);
	if (n != CHANNEL_SIZE || (message.msg_flags & MSG_TRUNC) != 0 ||
	    fd_count > 1 || type == 0 || type >= CHANNEL_TYPES)
		goto bad;
	record_out->type = (enum channel_type)type;
	record_out->subject = wire_load_u32(bytes + 4);
	record_out->number = wire_load_u64(bytes + 8);
	return 0;
bad:
	if (*passed_fd_out >= 0)
		close(*passed_fd_out);
	*passed_fd_out = -1;
	return n == 0 ? -EPIPE : -EPROTO;
}
