/* Routes: "mx", "smtp://HOST[:PORT]", "maildir:/PATH". */
#ifndef CONF_ROUTE_H
#define CONF_ROUTE_H

#include "conf/reader.h"

/* Reads a route into its canonical form: 0, -EINVAL, or -ENOMEM with a mistake
   noted.  The configuration's smtp_port must have been read. */
int route_read(struct reader *r, struct str text, struct conf_route *route_out)
    __attribute__((warn_unused_result));

#endif
