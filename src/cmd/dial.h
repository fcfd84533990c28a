/* Connecting to a server that a person named. */
#ifndef CMD_DIAL_H
#define CMD_DIAL_H

#include "base/str.h"
#include "trigger/ask.h"

#include <stdint.h>

/* "HOST", "HOST:PORT", an IPv4 address with or without ":PORT", an IPv6 address
   alone or as "[ADDRESS]:PORT": 0, or -EINVAL.  HOST gets the name or address
   without brackets (at most 255 bytes and a NUL), PORT stays as it is where
   none is given. */
int dial_parse(struct str server, char host[256], uint16_t *port)
    __attribute__((warn_unused_result));

/* Connects to the first address of HOST that takes the connection within
   TIMEOUT_MS: a non-blocking descriptor, or -1 with the outcome (NO_HOST,
   LATER, UNAVAILABLE) and a reason of at most 199 characters. */
int dial_open(const char *host, uint16_t port, uint64_t timeout_ms,
    enum trigger_ask_outcome *outcome_out, char reason[200]);

#endif
