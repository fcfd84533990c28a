/* Routing queued mail anew: by the configuration of today. */
#ifndef ROLE_REQUEUE_H
#define ROLE_REQUEUE_H

#include "conf/conf.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills in REQUEST, a new STORE_MOVE, for the rows of FOUND from position FROM
   on, and says behind which position it ends: not all may fit.  Rows that have
   no route stay out of it; with IS_HOME so do those whose destination is to be
   another one.  FOUND has to outlive the request. */
size_t requeue_fill(const struct conf *conf, const struct store_found *found,
    size_t from, bool is_home, struct store_request *request);

/* Counts what routing FOUND anew would do: rows that are not leased, those that
   are, and of the first those whose destination would be another one. */
void requeue_count(const struct conf *conf, const struct store_found *found,
    uint64_t *changed_count, uint64_t *leased_count, uint64_t *moved_count);

#endif
