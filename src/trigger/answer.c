/*
 * The replies to a trigger; see answer.h.  What they quote of the argument is
 * printable and at most as long as a name may be.
 */
#include "trigger/answer.h"
#include "base/check.h"
#include "mail/address.h"

#define TRIGGER_QUOTE_MAX (MAIL_DOMAIN_MAX + 1) /* with its "@" */

enum trigger_outcome
trigger_outcome_join(enum trigger_outcome a, enum trigger_outcome b)
{
	/* The order of the enum is the order of what is to be said. */
	return a > b ? a : b;
}

struct smtp_reply
trigger_answer(enum trigger_outcome outcome, uint64_t count,
    const struct trigger_grants *grants, struct str argument)
{
	struct str name = str_head(str_trim(argument), TRIGGER_QUOTE_MAX);

	switch (outcome) {
	case TRIGGER_STARTED:
		/* The number is the first word behind "OK,". */
		return smtp_reply_make(253, "2.0.0",
		    "OK, %llu pending messages for node %.*s started",
		    (unsigned long long)count, STR_ARG(name));
	case TRIGGER_ACTIVE:
		return smtp_reply_make(252, "2.0.0",
		    "OK, pending messages for node %.*s started",
		    STR_ARG(name));
	case TRIGGER_EMPTY:
		/* 251 makes a client of old stop and never ask for its other
		   domains, so it is only for who has no other. */
		if (grants->is_only_domain)
			return smtp_reply_make(251, "2.0.0",
			    "OK, no messages waiting for node %.*s",
			    STR_ARG(name));
		return smtp_reply_make(250, "2.0.0",
		    "OK, queuing for node %.*s started", STR_ARG(name));
	case TRIGGER_BUSY:
		break;
	}
	return smtp_reply_make(458, "4.3.2",
	    "Unable to queue messages for node %.*s", STR_ARG(name));
}

struct smtp_reply
trigger_answer_refusal(enum trigger_verdict verdict, struct str argument)
{
	struct str name = str_head(str_trim(argument), TRIGGER_QUOTE_MAX);

	CHECK(verdict != TRIGGER_GRANTED);
	if (verdict == TRIGGER_SYNTAX)
		return smtp_reply_make(
		    501, "5.5.4", "Parameter must be a domain name");
	return smtp_reply_make(
	    459, "4.7.1", "<%.*s>: service unavailable", STR_ARG(name));
}
