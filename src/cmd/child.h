/* The processes of roles: from exec to exit. */
#ifndef CMD_CHILD_H
#define CMD_CHILD_H

#include "role/env.h"

#include <stdbool.h>

/* The descriptors that a role's process is started with; then those of its
   kind: listeners, the control socket, or the spool directory. */
#define CHILD_FD_MASTER 3
#define CHILD_FD_CONF   4
#define CHILD_FD_FIRST  5

/* The role named NAME, or ROLE_KINDS. */
enum role_kind child_kind(const char *name);
/* Runs it, IS_RUN in a daemon that does nothing but queue runs; returns the
   exit status: EX_TEMPFAIL where another process has the spool. */
int child_main(enum role_kind kind, bool is_run);

#endif
