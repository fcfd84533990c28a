/*
 * Who may run a queue or its daemon, in sendmail's words for those who may not:
 * root, and whoever may write to the queue's directory.
 */
#ifndef CMD_TRUSTED_H
#define CMD_TRUSTED_H

#include "conf/conf.h"

#include <stdbool.h>

/* Whether the caller may with the queue at PATH, or with all that match where
   its last part is a pattern; also where nothing is there. */
bool trusted_is(const char *path);
/* The same of the queue of the configuration. */
bool trusted_is_of(const struct conf *conf);

/* Whether the caller may look at that queue, a spool of ours: over the control
   socket of its daemon, or where it is. */
bool trusted_may_look(const struct conf *conf);

/* Says that the queue at PATH may not be looked at; the exit status. */
int trusted_refuse_place(const char *path);
/* Says that the caller may not do it at all; the exit status. */
int trusted_refuse_user(void);

#endif
