/*
 * What the master opens for its children while it may: listening sockets, the
 * control socket, the spool directory.  Every failure is logged here.
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
	char *control_path; /* removed by places_close() */
	int spool_fd;       /* -1: the store is in memory */
};

/* Opens all of it.  What OLD (may be NULL) has open at the same address is
   taken from there by a copy.  0, or -errno with nothing left open. */
int places_open(const struct conf *conf, struct places *old,
    struct places *places_out) __attribute__((warn_unused_result));
/* Closes all; the control socket's name is removed unless NEXT (may be NULL)
   has the same. */
void places_close(struct places *places, const struct places *next);
/* True if the store is in memory. */
bool places_is_ram(const struct conf *conf);

#endif
