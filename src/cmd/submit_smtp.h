/* Handing a message to the daemon at its submission socket, by SMTP. */
#ifndef CMD_SUBMIT_SMTP_H
#define CMD_SUBMIT_SMTP_H

#include "base/str.h"
#include "cmd/submit_message.h"
#include "cmd/submit_traffic.h"

#include <stdbool.h>
#include <stddef.h>

struct submit_smtp {
	struct str socket_path;
	struct str hostname;   /* for EHLO */
	size_t recipients_max; /* in one transaction */
	bool is_verbose;       /* the dialogue goes to standard output */
	struct submit_traffic *traffic; /* it goes there too; or NULL */
};

/* A blocking stream to the socket at PATH: a descriptor, or -errno. */
int submit_connect(struct str path) __attribute__((warn_unused_result));

/* Hands M over; what became of each recipient is in its outcomes: SUBMIT_TAKEN
   only behind the daemon's 250 to the dot.  0, or -errno where no daemon
   listens; then all outcomes are as they were. */
int submit_smtp(const struct submit_smtp *how, struct submit_message *m)
    __attribute__((warn_unused_result));

#endif
