/*
 * What the master opens for its children while it may: listening sockets, the
 * sockets for control and submission, the spool and drop directories.  Every
 * failure is logged here.
 */
#ifndef CMD_PLACES_H
#define CMD_PLACES_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>

struct places {
	int *listen_fds; /* in the order of the configuration */
	size_t listen_count;
	int control_fd;
	char *control_path;    /* removed by places_close() */
	int submission_fd;     /* -1: none */
	char *submission_path; /* likewise removed */
	int spool_fd;          /* -1: the store is in memory */
	int drop_fd;           /* -1: none, or it cannot be had */
	int state_fd; /* what a queue of sendmail's has no place for; or -1 */
};

/* Opens all of it.  What OLD (may be NULL) has open at the same address is
   taken from there by a copy.  0, or -errno with nothing left open. */
int places_open(const struct conf *conf, struct places *old,
    struct places *places_out) __attribute__((warn_unused_result));
/* Opens only the spool and the drop directory, for queue runs; RUN_FD becomes
   the control's. */
int places_open_run(const struct conf *conf, int run_fd,
    struct places *places_out) __attribute__((warn_unused_result));
/* Closes all; the control socket's name is removed unless NEXT (may be NULL)
   has the same. */
void places_close(struct places *places, const struct places *next);
/* Makes the queue's directory where it is not there, as the daemon would: 0 or
   -errno, logged. */
int places_make_spool(const struct conf *conf)
    __attribute__((warn_unused_result));
/* Makes the drop directory where it is not there, and gives it to the role that
   has it: a descriptor, or -errno. */
int places_make_drop_directory(const struct conf *conf)
    __attribute__((warn_unused_result));
/* True if the store is in memory. */
bool places_is_ram(const struct conf *conf);

#endif
