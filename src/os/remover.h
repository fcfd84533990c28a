/*
 * Threads that remove files.  On some disks the last name of a file costs
 * milliseconds, most of them a wait for the device: several such waits go on at
 * once here, and whoever gives files away goes on with other things.
 *
 * A job is a few names that are removed in their order, and a file that is
 * closed behind them.  Nothing else is shared with the threads.  Where removing
 * is quick, handing over costs more than it saves: it is measured.
 */
#ifndef OS_REMOVER_H
#define OS_REMOVER_H

#include "os/os.h"

#define REMOVER_NAMES_MAX 2
#define REMOVER_JOBS_MAX  256 /* given and not taken back */

struct remover;

/* Whoever has a job may not touch it while it is given away. */
struct remover_job {
	struct remover_job *next;
	struct os *os;
	const char *names[REMOVER_NAMES_MAX]; /* the caller's; may be missing */
	size_t count;
	struct os_file *file; /* closed; NULL = none */
	/* After it: the last name that could not be removed, and why. */
	const char *failed;
	int error;
};

/* Makes COUNT threads; they inherit the rights that the caller has now. */
struct remover *remover_new(size_t count);
/* All jobs have been taken back; NULL is fine. */
void remover_free(struct remover *r);

/* Does JOB here and now; R may be NULL. */
void remover_do(struct remover *r, struct remover_job *job);
/* True if the last jobs took so long that they are better given away. */
bool remover_is_slow(struct remover *r);
/* Gives JOB away, at most REMOVER_JOBS_MAX at once. */
void remover_give(struct remover *r, struct remover_job *job);
/* The list of jobs that are done, or NULL; with IS_WAITING all that were
   given. */
struct remover_job *remover_take(struct remover *r, bool is_waiting);

#endif
