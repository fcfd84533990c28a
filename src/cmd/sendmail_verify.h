/* sendmail -bv and -bt: what would become of recipients. */
#ifndef CMD_SENDMAIL_VERIFY_H
#define CMD_SENDMAIL_VERIFY_H

#include "cmd/sendmail_options.h"
#include "conf/conf.h"

/* Prints a line for each operand, or for each of those for whom it stands;
   EX_OK, or EX_NOUSER if mail for one of them would not be taken. */
int sendmail_verify(
    const struct conf *conf, const struct sendmail_options *options);

/* The same for one address or name; of -bt also where it would be queued.
   False: mail for it would not be taken. */
bool sendmail_verify_name(const struct conf *conf,
    const struct sendmail_options *options, struct str name);

#endif
