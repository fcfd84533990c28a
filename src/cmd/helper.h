/* A helper: one delivery into one Maildir, as the Maildir's owner. */
#ifndef CMD_HELPER_H
#define CMD_HELPER_H

#include "base/str.h"

/* Works for the deliver role at FD; the exit status.  Called in a process of
   its own that has no other descriptors. */
int helper_main(struct str path, struct str hostname, int fd);

#endif
