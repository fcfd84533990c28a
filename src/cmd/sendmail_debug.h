/* What the levels of -d print: 0 where everything is, 8 what a run connects to.
 */
#ifndef CMD_SENDMAIL_DEBUG_H
#define CMD_SENDMAIL_DEBUG_H

#include "cmd/sendmail_options.h"

#define SENDMAIL_DEBUG_PLACES  0
#define SENDMAIL_DEBUG_CONNECT 8

/* The level of CATEGORY in LEVELS, "8,0-10.4": categories or ranges of them,
   each with a level, 1 where none stands; the last one counts.  0 for none, and
   for what cannot be read. */
unsigned sendmail_debug_level(struct str levels, unsigned category)
    __attribute__((pure));

/* At level 0.1 and above: version, configuration, queue and store, on standard
   error. */
void sendmail_debug_places(const struct sendmail_options *options);

#endif
