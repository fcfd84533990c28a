/*
 * Mail that programs have left in the drop directory (mail/drop.h), and that no
 * daemon has taken yet: it is in no listing of the queue.
 */
#ifndef CMD_DROP_COUNT_H
#define CMD_DROP_COUNT_H

#include "conf/conf.h"

#include <stddef.h>

/* How many messages wait in the drop directory of CONF; 0 where there is none
   or the caller may not look into it. */
size_t drop_count(const struct conf *conf);

/* Prints on standard output, behind INDENT, that COUNT wait there; nothing if
   there are none. */
void drop_count_print(
    const struct conf *conf, size_t count, const char *indent);

#endif
