/*
 * Delivery status notifications (RFC 3464 in a multipart/report, RFC 3462).
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mail_dsn_action {
	MAIL_DSN_FAILED,
	MAIL_DSN_DELAYED,
	MAIL_DSN_RELAYED,
	MAIL_DSN_EXPANDED, /* it stood for several (RFC 3461 5.2.7.2) */
	MAIL_DSN_DELIVERED,
};

struct mail_dsn_recipient {
	struct mail_recipient recipient;
	enum mail_dsn_action action;
	struct str status;     /* "5.1.1" (RFC 3463) */
	struct str diagnostic; /* "550 5.1.1 no such user", or empty */
	struct str remote_mta; /* host that said so, or empty */
};

struct mail_dsn {
	struct str hostname;  /* Reporting-MTA */
	struct str id;        /* of the notification: Message-ID, boundary */
	struct str origin_id; /* queue id of the message */
	const struct mail_envelope *envelope; /* of the message */
	/* Who is told because its sender cannot be; empty = the sender. */
	struct str postmaster;
	uint64_t arrival_wall_ms;
	uint64_t now_wall_ms;
	const struct mail_dsn_recipient *recipients;
	size_t recipient_count;
	struct str content;    /* the message, or as much as there is of it */
	bool is_content_whole; /* RET=FULL may return it */
	uint64_t attempt_wall_ms; /* the last one; 0 = not known, or none */
	/* Of delayed recipients: when it is given up (0 = not known), and
	   whether it only waits to be fetched, which is no trouble. */
	uint64_t retry_until_wall_ms;
	bool is_kept;
};

/* Appends the whole notification (headers, three parts; CRLF line ends) to
   OUT: 0 or -ENOBUFS. Only the header block of the content is returned with
   RET=HDRS or when the content is not whole. */
int mail_dsn_put(struct buf *out, const struct mail_dsn *dsn)
    __attribute__((warn_unused_result));

/* "Sat, 21 Nov 2026 21:13:57 +0000" (RFC 5322 3.3) for a wall time. */
void mail_date_format(uint64_t wall_ms, char text[40]);

#endif
