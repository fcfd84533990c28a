/* Which directory a queue run is about. */
#ifndef CMD_RUN_PLACE_H
#define CMD_RUN_PLACE_H

#include "cmd/sendmail_options.h"
#include "conf/conf.h"

#include <stdbool.h>

#define RUN_PLACE_MAX 4096

struct run_place {
	char path[RUN_PLACE_MAX];       /* of the directory, or DIR/q* */
	char spool[RUN_PLACE_MAX + 16]; /* as the setting has it */
	bool is_configured; /* it is the configuration's: a daemon may have it
	                     */
	bool is_own;        /* a spool of ours, not of sendmail's */
};

/* Finds it by -oQ or the configuration; false after the reason was printed. */
bool run_place_find(const struct sendmail_options *options,
    const struct conf *conf, struct run_place *place_out);

/* Waits until the drop directory's files are taken, or none is for a while
   (they were refused for now), or it cannot be looked into. */
void run_place_await_drop(const struct conf *conf);

/* Removes what is ours in a spool that has nothing more in it.  Gives up the
   rights of root: the last thing that a process does. */
void run_place_clear(const struct run_place *place);

#endif
