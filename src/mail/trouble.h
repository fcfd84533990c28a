/* A host that could not be reached: our words and sendmail's. */
#ifndef MAIL_TROUBLE_H
#define MAIL_TROUBLE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* "connect to mx.test[192.0.2.1]: Connection refused" in its parts, "mx.test"
   and "Connection refused"; a host without a name keeps its brackets.  False
   for all that does not begin so. */
bool mail_trouble_split(
    struct str answer, struct str *host_out, struct str *what_out);

/* ANSWER as sendmail says it, "Connection refused by mx.test", with a NUL; what
   cannot be split stays as it is. */
void mail_trouble_put(struct str answer, char *text, size_t size);

#endif
