/* The Received field that a server adds (RFC 5321 4.4). */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mail_trace {
	struct str helo; /* as the client named itself */
	struct str peer; /* its address, "192.0.2.1" or "2001:db8::1" */
	bool has_uid;    /* it is a user of this host, without address */
	uint32_t uid;
	struct str hostname; /* ours */
	struct str with;     /* "ESMTP", "SMTP" (RFC 3848) */
	struct str id;
	struct str for_address; /* the single recipient, or empty */
	uint64_t wall_ms;
};

/* Appends the field with its CRLF, folded: 0 or -ENOBUFS. */
int mail_trace_put(struct buf *out, const struct mail_trace *trace)
    __attribute__((warn_unused_result));

#endif
