/*
 * sendmail -bi and newaliases: check the files of aliases and have the daemon
 * read them anew.  sendmail -bv: say what would become of recipients.
 */
#ifndef CMD_SENDMAIL_ALIASES_H
#define CMD_SENDMAIL_ALIASES_H

#include "cmd/sendmail_options.h"

/* Does what OPTIONS->mode asks for, SENDMAIL_ALIASES, VERIFY or TRY; the
   exit status: 0, 65 for mistakes in a file of aliases, 67 for a recipient that
   would not be taken, 78 for a configuration that cannot be used. */
int sendmail_aliases(const struct sendmail_options *options);

#endif
