/*
 * The replies to a trigger (RFC 1985 5.1, 5.2), all of one line: clients were
 * seen that read one line only.
 */
#ifndef TRIGGER_ANSWER_H
#define TRIGGER_ANSWER_H

#include "base/str.h"
#include "smtp/reply.h"
#include "trigger/entitle.h"

#include <stdbool.h>
#include <stdint.h>

/* What became of a trigger that was granted. */
enum trigger_outcome {
	TRIGGER_EMPTY,   /* nothing waits */
	TRIGGER_BUSY,    /* cannot be told now */
	TRIGGER_ACTIVE,  /* a run was on and was joined */
	TRIGGER_STARTED, /* a run began for the messages counted */
};

/* Of two sites in one trigger: the one that says more. */
enum trigger_outcome trigger_outcome_join(
    enum trigger_outcome a, enum trigger_outcome b);

/* The reply to a trigger for ARGUMENT that was granted as GRANTS. */
struct smtp_reply trigger_answer(enum trigger_outcome outcome, uint64_t count,
    const struct trigger_grants *grants, struct str argument);
/* The reply to one that was not. */
struct smtp_reply trigger_answer_refusal(
    enum trigger_verdict verdict, struct str argument);

#endif
