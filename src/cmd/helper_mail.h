/*
 * What all helpers do over the deliver role's socket, and how those for the
 * programs and files of aliases get their message: whole, in a file without a
 * name, before anything is done with it.  So neither a program nor a mailbox
 * ever sees the half of a message.
 */
#ifndef CMD_HELPER_MAIL_H
#define CMD_HELPER_MAIL_H

#include "base/buf.h"
#include "mail/alias.h"
#include "net/privilege.h"

#define HELPER_WAIT_MS 600000 /* longest silence of the deliver role */

/* A message for a program or a file. */
struct helper_mail {
	int fd;       /* the deliver role's socket */
	int stage_fd; /* the message; -1: what comes is dropped */
	const struct alias_local *local;
	int error; /* 0, or why the message is not whole in the stage */
};

/* Becomes USER, who is not root, for good, and opens the stage: a descriptor or
   -errno. */
int helper_mail_enter(const struct privilege_user *user)
    __attribute__((warn_unused_result));

/* Takes the message; the stage is at its begin then: 0, also with an error in
   MAIL, or -errno if the deliver role is gone. */
int helper_mail_take(struct helper_mail *mail)
    __attribute__((warn_unused_result));

/* True while somebody waits for the answer: who gave up tries again, and
   nothing is to be done twice. */
bool helper_mail_is_awaited(int fd);

/* Writes OUT to the deliver role: 0 or -errno. */
int helper_mail_answer(int fd, struct buf *out)
    __attribute__((warn_unused_result));

#endif
