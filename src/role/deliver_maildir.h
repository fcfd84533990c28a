/*
 * A session that delivers into a Maildir: for each recipient of each message
 * one helper process (role/maildir.h), one after the other.  Used like
 * role/carry.h, but that it gets its connections from the spawner itself.
 */
#ifndef ROLE_DELIVER_MAILDIR_H
#define ROLE_DELIVER_MAILDIR_H

#include "base/str.h"
#include "role/carry_jobs.h"
#include "role/env.h"
#include "role/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELIVER_HELPER_TIME_MS 300000 /* without progress of a helper */

struct deliver_maildir;

/* JOB is the helper's job number; it asks for messages at once. */
struct deliver_maildir *deliver_maildir_new(struct role_env *env,
    role_peer queue, uint32_t session, uint32_t job, const char *host);
/* Resets the helper's connection; the queue role is told nothing. */
void deliver_maildir_free(struct deliver_maildir *d);
/* The connection to the helper of now, 0 = none; it changes. */
role_conn deliver_maildir_conn(const struct deliver_maildir *d);

void deliver_maildir_connected(
    struct deliver_maildir *d, uint64_t now_ms, int error);
size_t deliver_maildir_bytes(
    struct deliver_maildir *d, uint64_t now_ms, struct str bytes);
void deliver_maildir_drained(struct deliver_maildir *d, uint64_t now_ms);
void deliver_maildir_closed(struct deliver_maildir *d, uint64_t now_ms);
int deliver_maildir_message(struct deliver_maildir *d, uint64_t now_ms,
    const struct message *m) __attribute__((warn_unused_result));
uint64_t deliver_maildir_due(struct deliver_maildir *d);
void deliver_maildir_timer(struct deliver_maildir *d, uint64_t now_ms);

/* Takes no more messages and ends after the one in hand. */
void deliver_maildir_finish(struct deliver_maildir *d, uint64_t now_ms);
/* Ends now, for REASON: recipients not yet answered go back untried. */
void deliver_maildir_stop(
    struct deliver_maildir *d, uint64_t now_ms, const char *reason);
bool deliver_maildir_is_over(const struct deliver_maildir *d);
const struct carry_end *deliver_maildir_result(const struct deliver_maildir *d);

#endif
