/*
 * Programs and files that aliases name, as recipients of messages.
 *
 * A recipient that is one has an address of its own form, without a domain:
 *
 *	"|COMMAND"	a program; in quotes, "\" before a quote or a "\"
 *	/PATH		a file
 *	"/PATH"		a file whose name has other characters than atoms have
 *
 * MAIL and RCPT take no address without a domain (mail_path_parse()), and no
 * address with one has this form: so nothing that comes in by SMTP can name a
 * program or a file.
 */
#ifndef MAIL_ALIAS_LOCAL_H
#define MAIL_ALIAS_LOCAL_H

#include "base/str.h"
#include "mail/address.h"
#include "mail/alias.h"

#include <stdbool.h>
#include <stddef.h>

#define ALIAS_WORDS_MAX 64 /* of a command */

/* A command as its words. */
struct alias_command {
	char space[MAIL_ADDRESS_MAX + ALIAS_WORDS_MAX];
	char *words[ALIAS_WORDS_MAX + 1]; /* into space; behind the last NULL */
	size_t word_count;
};

/* The address of LOCAL (printable ASCII): how long it is, or -EINVAL if it is
   over MAIL_ADDRESS_MAX or has another byte. */
int alias_local_put(const struct alias_local *local,
    char address[MAIL_ADDRESS_MAX + 1]) __attribute__((warn_unused_result));

/* What ADDRESS names, its text in SPACE or in ADDRESS; false: it is none of
   this form. */
bool alias_local_parse(struct str address, char space[MAIL_ADDRESS_MAX],
    struct alias_local *local_out);
/* True if ADDRESS has this form. */
bool alias_local_is(struct str address);

/* Takes a command apart: words between blanks; '...' and "..." hold a word
   together, "\" takes the meaning from what follows.  There is no shell: what
   one would act upon is a mistake.  NULL, or what is wrong, for people. */
const char *alias_command_split(
    struct str command, struct alias_command *command_out);

#endif
