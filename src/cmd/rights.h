/*
 * sendmail is installed setgid, so that it can write into the drop directory
 * for anybody.  It has that right only while it does so: everything else is
 * done as the group of who calls it.
 */
#ifndef CMD_RIGHTS_H
#define CMD_RIGHTS_H

#include <stdbool.h>

/* Puts the right aside; the first thing that main() does.  0 or -errno. */
int rights_put_aside(void) __attribute__((warn_unused_result));
/* Takes it up, or puts it aside again: 0 or -errno. */
int rights_take_up(bool is_up) __attribute__((warn_unused_result));
/* Gives it up for good: 0 or -errno. */
int rights_give_up(void) __attribute__((warn_unused_result));

#endif
