/* The spawner: a fork of the master that starts one helper process a job. */
#ifndef CMD_SPAWNER_H
#define CMD_SPAWNER_H

#include "conf/conf.h"

#include <sys/types.h>

#define SPAWNER_HELPERS_MAX 50

/* Forks it: its process id, or -errno.  MASTER_FD is the spawner's end of its
   channel; every other descriptor but standard error is closed there.  All
   signals are blocked by the caller. */
pid_t spawner_start(const struct conf *conf, int master_fd);

#endif
