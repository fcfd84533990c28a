/*
 * The runner: a fork of the spawner that starts the programs of aliases, where
 * the configuration has any to be run.
 */
#ifndef CMD_RUNNER_H
#define CMD_RUNNER_H

#include "conf/conf.h"
#include "net/privilege.h"

#include <sys/types.h>

#define RUNNER_PROGRAMS_MAX 20 /* at a time */

/* Forks it, before the spawner seals itself; *FD_OUT is the channel to it.
   USER is for the programs.  Its process id, or -errno. */
pid_t runner_start(
    const struct conf *conf, const struct privilege_user *user, int *fd_out);

#endif
