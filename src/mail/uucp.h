/* Addresses and From_ lines of mail that comes by UUCP (RFC 976). */
#ifndef MAIL_UUCP_H
#define MAIL_UUCP_H

#include "base/buf.h"
#include "base/str.h"

/* Writes "rest@host.test" for "host.test!rest", where the host has a dot; any
   other ADDRESS as it is.  0 or -ENOBUFS. */
int uucp_address_put(struct buf *out, struct str address)
    __attribute__((warn_unused_result));

/* The sender that FROM, lines "From user date remote from host" and ">From
   ..." with CRLF behind each, tells: "host!host!user", the nearest host first.
   0, -EINVAL if they tell none, or -ENOBUFS. */
int uucp_sender_put(struct buf *out, struct str from)
    __attribute__((warn_unused_result));

#endif
