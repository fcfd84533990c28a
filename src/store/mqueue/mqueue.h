/*
 * The store on a queue directory of sendmail's: control files (qf.h) and data
 * files in its own format, with its locks, so that sendmail can run and list
 * what we wrote, and the other way round, while both are at work.
 *
 *   qfID   control file; while it is there the message is queued
 *   hfID   the same of a message whose recipients are all stopped (quarantined)
 *   dfID   the body, LF at line ends
 *   tfID   a control file that is being written; with no qf beside it and our
 *          mark in it, a message that was not finished: removed
 *   xfID   a control file of a message that is done, until its df is gone
 *   QfID   one that must not be sent as it is; logged, left alone.  An engine
 *          with IS_LOST has these and no others in its queue, and they keep
 *          their name
 *
 * The lock is flock(2) on the open control file.  It is held as long as any
 * lease of the message lasts.  Before each lease the file is looked at again:
 * what another program removed or wrote anew is forgotten or read anew, what it
 * holds locked is passed over and looked at again later.
 *
 * Nothing else is kept in the directory, so that it can be removed when the
 * last message is gone.  Parking and the clock are kept in the state
 * directory, if there is one, else forgotten at the end.
 */
#ifndef STORE_MQUEUE_MQUEUE_H
#define STORE_MQUEUE_MQUEUE_H

#include "mail/address.h"
#include "os/os.h"
#include "store/store.h"

#define MQUEUE_DIRECTORIES_MAX 256 /* queue directories below one base */

/* Destinations of recipients of foreign files that have no route: what is no
   address is returned when its alarm is looked at, at once; programs and files
   wait for an administrator, or for their end. */
#define MQUEUE_BAD   "bad:address"
#define MQUEUE_LOCAL "local:program"
/* As MQUEUE_BAD, of what was to be delivered by a time or to be returned: no
   host that we know takes that over (RFC 2852 4.1.3). */
#define MQUEUE_BY "bad:deliver-by"

/* Where a recipient that we did not route ourselves goes. */
struct mqueue_route {
	char destination[STORE_DESTINATION_MAX + 1];
	char domain[MAIL_DOMAIN_MAX + 1]; /* key, may be empty */
	bool is_held;
	uint64_t expire_ms; /* after arrival; 0 = five days */
	uint64_t notice_ms; /* delay notice, after arrival; 0 = none */
};

/* The route of ADDRESS, which may have no domain or be no address at all; it
   always fills in a destination. */
typedef void mqueue_route_fn(
    void *arg, struct str address, struct mqueue_route *route_out);

struct store_mqueue_options {
	mqueue_route_fn *route; /* must be there */
	void *route_arg;
	/* Put behind "@" where an address of a foreign file has no domain;
	   empty = left as it is.  Copied. */
	struct str hostname;
	/* Only the directories in the base with this name, with digits behind
	   it or not (a queue group); empty = no limit.  Copied. */
	struct str group;
	/* Without a group, with HAS_PREFIX: those whose names begin so ("q" for
	   QueueDirectory=.../q*), and not the base.  Copied. */
	bool has_prefix;
	struct str prefix;
	bool is_lost; /* see above */
	/* What is not in the messages; the caller's; NULL = not kept. */
	struct os *state;
	/* Called when what is on disk is unknown (a sync failed); it is not
	   expected to return, and if it does every request fails with -EIO
	   from then on.  NULL = abort(). */
	void (*fatal)(void *arg);
	void *fatal_arg;
};

/*
 * Opens the queue in the directory of OS, which stays the caller's and must
 * live longer.  Either it holds the files itself, or in qf/, df/ and xf/, or
 * directories in it do (as with QueueDirectory=.../q*): these are looked at
 * where a prefix or a group says so, or the base holds no control file now.
 * New messages go to all of these by turns.  All is read before it returns.
 * What is damaged is set aside and logged; that is no error.  Any number of
 * programs may have it open.  0 or -errno, logged.
 *
 * Queue time is the wall clock's where there is no state: every message comes
 * back by STORE_FIND, with the lane READY, HELD or (quarantined) STOPPED, and
 * WAITING where we deferred it before; STORE_DUE with UINT64_MAX ends that.
 * STORE_CLOCK reads the directories again: what came and what is gone since.
 */
int store_mqueue_open(struct os *os, const struct store_mqueue_options *options,
    struct store **store_out) __attribute__((warn_unused_result));

#endif
