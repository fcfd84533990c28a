/*
 * Those for whom an alias stands, as sendmail shows them: joined by ", ", and
 * of a text that is too long the ends with "..." between them.
 */
#ifndef MAIL_ALIAS_TEXT_H
#define MAIL_ALIAS_TEXT_H

#include "mail/alias_expand.h"

#define ALIAS_SHOWN_MAX 203 /* sendmail's; so many bytes are too long */

/* Writes them with a NUL; nobody is "/dev/null". */
void alias_text_put(
    const struct alias_expansion *e, char text[ALIAS_SHOWN_MAX + 1]);

#endif
