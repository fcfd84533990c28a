/*
 * The system's log: datagrams in the form of RFC 3164 over a socket that was
 * connected before the sandbox, since no role may connect to it afterwards.
 *
 * Promises: no line waits for the far end, and no line is lost in silence.
 * What the socket does not take, since its reader is gone or too slow, goes to
 * standard error, if that can take it at once.
 */
#include "net/log_target.h"
#include "base/log.h"
#include "net/stderr_log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* RFC 3164 4.1.1: the facility "mail system". */
#define LOG_TARGET_FACILITY (2 << 3)

#define LOG_TARGET_NAME_MAX 32 /* bytes; log-name has no more */

static int log_target_socket = -1;
static char log_target_name[LOG_TARGET_NAME_MAX + 1];

static void
log_target_fall_back(enum log_level level, struct str line)
{
	struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&wait, 1, 0) > 0)
		stderr_log_line(level, line);
}

static void
log_target_line(enum log_level level, struct str line)
{
	static const int severities[] = {
	    [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_NOTE] = 6, [LOG_DETAIL] = 7};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May",
	    "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	char whole[LOG_LINE_MAX + 64];
	time_t now = time(NULL);
	struct tm local = {.tm_mday = 1};
	int size;

	/* The zone was read by log_target_set(). */
	(void)localtime_r(&now, &local);
	/* RFC 3164 4.1.2; the name of the host is left to the reader, as the C
	   library does. */
	size = snprintf(whole, sizeof(whole),
	    "<%d>%s %2d %02d:%02d:%02d %s[%d]: %.*s",
	    LOG_TARGET_FACILITY | severities[level], months[local.tm_mon],
	    local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
	    log_target_name, (int)getpid(),
	    STR_ARG(str_head(line, LOG_LINE_MAX)));
	if (size < 0 || (size_t)size >= sizeof(whole) ||
	    send(log_target_socket, whole, (size_t)size,
		MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_target_fall_back(level, line);
}

static int
log_target_open(void)
{
	struct sockaddr_un at = {
	    .sun_family = AF_UNIX, .sun_path = LOG_TARGET_PATH};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

void
log_target_set(const struct conf *conf)
{
	enum log_level level = stderr_log_level(conf->log_level);
	int fd = -1;

	tzset();
	log_set(stderr_log_line, level);
	if (log_target_socket >= 0)
		close(log_target_socket);
	log_target_socket = -1;
	snprintf(log_target_name, sizeof(log_target_name), "%.*s",
	    STR_ARG(conf->log_name));
	if (str_equal(conf->log, STR("syslog"))) {
		fd = log_target_open();
		if (fd < 0)
			log_event(LOG_ERROR, "syslog-failed", "",
			    "path=%s error=%s", LOG_TARGET_PATH, strerror(-fd));
	}
	log_target_socket = fd < 0 ? -1 : fd;
	if (fd >= 0)
		log_set(log_target_line, level);
}

void
log_target_forget(void)
{
	log_target_socket = -1;
	log_set(NULL, LOG_ERROR);
}

int
log_target_fd(void)
{
	return log_target_socket;
}
