/* Handing a message to the mail system: to the daemon, or where none listens
   into the drop directory. */
#ifndef CMD_SUBMIT_SEND_H
#define CMD_SUBMIT_SEND_H

#include "cmd/submit_message.h"
#include "cmd/submit_traffic.h"
#include "conf/conf.h"

#include <stdbool.h>

#define SUBMIT_REASON_SIZE 600

struct submit_way {
	const struct conf *conf;
	struct str helo; /* for EHLO; empty = our name */
	bool is_verbose; /* the dialogue goes to standard output */
	struct submit_traffic *traffic; /* it goes there too; or NULL */
};

/*
 * Hands M over for all its recipients.  What the daemon did not take for the
 * time being is left in the drop directory.  0 when every recipient is
 * SUBMIT_TAKEN or SUBMIT_REFUSED, else -EAGAIN with a REASON for people; those
 * that are SUBMIT_TAKEN are on disk in any case.
 */
int submit_send(const struct submit_way *way, struct submit_message *m,
    char reason[SUBMIT_REASON_SIZE]) __attribute__((warn_unused_result));

#endif
