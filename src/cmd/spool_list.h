/*
 * sendmail's mailq, -bP, -Q and hoststat over a queue of our own: through the
 * control socket where a daemon runs, else over the spool itself.
 *
 * Messages come in order of arrival, one page after the other, so that the
 * first line is there at once and memory does not grow with the queue.  What is
 * stopped by an administrator is our quarantine.
 */
#ifndef CMD_SPOOL_LIST_H
#define CMD_SPOOL_LIST_H

#include "cmd/sendmail_options.h"
#include "conf/conf.h"

/* Each prints what OPTIONS ask for of the queue of CONF: the exit status. */
int spool_list(const struct sendmail_options *options, const struct conf *conf);
int spool_counts(
    const struct sendmail_options *options, const struct conf *conf);
int spool_quarantine(
    const struct sendmail_options *options, const struct conf *conf);
/* What the destinations' hosts answered last. */
int spool_hosts(
    const struct sendmail_options *options, const struct conf *conf);

#endif
