/* The master: opens what is opened once, starts the roles, restarts them, ends
   them.  It reads no byte of the network. */
#ifndef CMD_MASTER_H
#define CMD_MASTER_H

#include "conf/conf.h"

#define MASTER_STOP_MS        10000 /* for what is in hand, at a stop */
#define MASTER_STOP_QUEUE_MS  30000 /* for the store to close */
#define MASTER_BACKOFF_MS     100   /* before a restart; doubled each time */
#define MASTER_BACKOFF_MAX_MS 10000
#define MASTER_STEADY_MS      60000 /* after such a life it begins anew */
#define MASTER_RELINK_MS      200   /* before a lost peer is made again */

/* Runs the daemon; TEXT_FD holds the text that CONF was read from, both are the
   master's from now on.  The exit status. */
int master_run(const char *file_name, int text_fd, struct conf *conf);

#endif
