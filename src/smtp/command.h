/*
 * The grammar of command lines: the verb, and what MAIL and RCPT carry
 * (RFC 5321 4.1.1.2 and 4.1.1.3, RFC 1870, RFC 3461, RFC 4954 5, RFC 6152,
 * RFC 6531).  What is wrong is told as the reply to give.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/str.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "smtp/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct smtp_command_mail {
	struct mail_address address; /* whole is empty for <> */
	struct mail_envelope envelope;
	uint64_t size; /* SIZE=, 0 = not given */
	bool has_uid;  /* XUID=, our own: the user id of who submits it */
	uint32_t uid;
};

struct smtp_command_rcpt {
	struct mail_address address;
	struct mail_recipient recipient;
};

/* Splits LINE at its first blanks; trailing blanks are dropped.  False if a
   control character is in it. */
bool smtp_command_split(struct str line, struct str *verb_out,
    struct str *arguments_out) __attribute__((warn_unused_result));

/* "FROM:<path> [parameters]": 0, or -EINVAL with the reply.  The strings of
   the result point into TEXT.  SIZE_MAX is what SIZE= may be at most. */
int smtp_command_parse_mail(struct str text, uint64_t size_max,
    struct smtp_command_mail *mail_out, struct smtp_reply *reply_out)
    __attribute__((warn_unused_result));
/* "TO:<path> [parameters]"; the same.  IS_UTF8: MAIL had SMTPUTF8. */
int smtp_command_parse_rcpt(struct str text, bool is_utf8,
    struct smtp_command_rcpt *rcpt_out, struct smtp_reply *reply_out)
    __attribute__((warn_unused_result));

#endif
