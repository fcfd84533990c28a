/*
 * The client side of a delivery over one connection that it is given: an SMTP
 * client with messages from the queue role.  It does not know how the
 * connection came about, so that it serves one that was opened for it and one
 * that was turned round.
 *
 * From the first handler on it owns the connection: it closes it when it is
 * over.  The owner hands on what concerns the connection and the session, and
 * looks after each call whether carry_is_over(); then it reads carry_result()
 * and frees it.
 */
#ifndef ROLE_CARRY_H
#define ROLE_CARRY_H

#include "base/str.h"
#include "conf/conf.h"
#include "role/carry_jobs.h"
#include "role/env.h"
#include "role/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct carry_options {
	role_conn conn;
	role_peer queue;
	uint32_t session;
	const char *destination; /* for the log */
	const char *host;        /* the far end, for people */
	bool is_helo;            /* says HELO and never EHLO */
	/* NULL, or how the mail goes, "esmtp": then what is said is told to
	   the queue role by MESSAGE_TRACE. */
	const char *mailer;
};

struct carry;

struct carry *carry_new(struct role_env *env, const struct conf *conf,
    const struct carry_options *options, uint64_t now_ms);
/* Resets the connection if it is not over: nothing of a message that is being
   sent goes out any more.  The queue role is told nothing. */
void carry_free(struct carry *c);

/* The handlers of its connection. */
size_t carry_bytes(struct carry *c, uint64_t now_ms, struct str bytes);
void carry_drained(struct carry *c, uint64_t now_ms);
void carry_closed(struct carry *c, uint64_t now_ms, int error);
/* JOB, JOB_NONE and BLOCK of its session: 0 or -EPROTO. */
int carry_message(struct carry *c, uint64_t now_ms, const struct message *m)
    __attribute__((warn_unused_result));
/* When carry_timer() is wanted, UINT64_MAX = not at all. */
uint64_t carry_due(struct carry *c);
void carry_timer(struct carry *c, uint64_t now_ms);

/* Takes no more messages and says QUIT after the one in hand. */
void carry_finish(struct carry *c, uint64_t now_ms);
/* Ends now, for REASON: the message in hand goes back untried unless its final
   dot is out. */
void carry_stop(struct carry *c, uint64_t now_ms, const char *reason);

/* True once the far end was ready for a message. */
bool carry_is_established(const struct carry *c);
/* True if it ended because the connection was lost over EHLO. */
bool carry_is_ehlo_lost(const struct carry *c);
bool carry_is_over(const struct carry *c);
/* How it ended; all messages are reported by then. */
const struct carry_end *carry_result(const struct carry *c);

#endif
