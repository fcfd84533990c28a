/*
 * What the two files of the server machine share: server_verbs.c has the table
 * of verbs and what each does, server.c feeds them and takes the answers.
 */
#ifndef SMTP_SERVER_OWN_H
#define SMTP_SERVER_OWN_H

#include "base/buf.h"
#include "mail/address.h"
#include "smtp/content.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "smtp/server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMTP_SHUTDOWN_MAX 200

enum smtp_state {
	SMTP_STATE_NEW,     /* no EHLO or HELO yet */
	SMTP_STATE_IDLE,    /* no transaction */
	SMTP_STATE_MAIL,    /* a transaction without recipients */
	SMTP_STATE_RCPT,    /* with recipients */
	SMTP_STATE_CONTENT, /* from 354 to the answer to the dot */
	SMTP_STATE_OVER,
};

struct smtp_server {
	uint32_t magic;
	enum smtp_state state;
	struct smtp_server_options options;
	struct smtp_line line;
	struct smtp_content content;
	struct smtp_ask ask; /* its kind is the question that stands */
	struct buf output;
	char helo[MAIL_DOMAIN_MAX];
	size_t helo_size;
	bool is_esmtp;
	bool is_utf8;        /* this transaction's MAIL had SMTPUTF8 */
	bool is_due;         /* nothing but ABORT and CLOSE will be asked */
	uint32_t recipients; /* agreed to in this transaction */
	uint32_t refused;    /* recipients not agreed to */
	uint64_t skip_size;  /* of a refused chunk, still to come */
	uint32_t transactions;
	uint32_t errors; /* commands refused since a message was taken */
	char shutdown[SMTP_SHUTDOWN_MAX]; /* text of 421, or empty */
	char shutdown_status[sizeof(((struct smtp_reply *)0)->enhanced)];
};

/* Acts on one command line: a reply, or a question. */
void smtp_server_command(struct smtp_server *s, struct str line);

bool smtp_server_is_in_transaction(const struct smtp_server *s);
/* The one reply to a command; one refusal too many gets 421 instead. */
void smtp_server_reply(struct smtp_server *s, const struct smtp_reply *reply);
void smtp_server_say(
    struct smtp_server *s, int code, const char *enhanced, const char *text);
/* 421 and the end (RFC 5321 3.8). */
void smtp_server_give_up(
    struct smtp_server *s, const char *enhanced, const char *text);
/* Ends a transaction that is open: whoever keeps it is asked to forget it. */
void smtp_server_abort(struct smtp_server *s);

#endif
