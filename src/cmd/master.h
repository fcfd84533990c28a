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

/* What it is started with. */
struct master_options {
	const char *file_name;
	const char *changes; /* of settings, for the next reading too */
	/* The text that CONF was read from, and CONF: the master's from now on.
	 */
	int text_fd;
	struct conf *conf;
	/* -1, or a stream on which the control protocol is spoken: then there
	   are no listeners and no other control socket, nothing is done but
	   what is asked there, and the end of any role ends all. */
	int run_fd;
	const char *command; /* the command line, for the pid file */
};

/* Runs the daemon: the exit status. */
int master_run(const struct master_options *options);

#endif
