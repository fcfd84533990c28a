/* Where the lines of base/log.h go in the daemon: to standard error, or to the
   system's log. */
#ifndef NET_LOG_TARGET_H
#define NET_LOG_TARGET_H

#include "conf/conf.h"

/* The path of the system's log. */
#define LOG_TARGET_PATH "/dev/log"

/* Has log_event() write where the settings say, up to the level that they
   say.  For "syslog" it opens a socket, so that it is called before the
   sandbox; where that fails it says so on standard error, which is used
   instead. */
void log_target_set(const struct conf *conf);

/* For a process that was forked and closes all descriptors: the socket is not
   its own, and nothing is logged until log_target_set(). */
void log_target_forget(void);

/* The socket, close-on-exec, or -1. */
int log_target_fd(void);

#endif
