/*
 * Where mail goes that another program has queued in a directory that we run.
 */
#ifndef ROLE_ROUTE_FOREIGN_H
#define ROLE_ROUTE_FOREIGN_H

#include "store/mqueue/mqueue.h"

/* The route of ADDRESS by the configuration ARG (const struct conf *); what
   cannot be routed is bad (MQUEUE_BAD). */
void route_foreign(
    void *arg, struct str address, struct mqueue_route *route_out);

#endif
