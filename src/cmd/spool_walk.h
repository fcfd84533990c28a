/* The messages of our queue that a command line selects, each as one item of
   the control protocol (role/control.h).  Part of cmd/spool_list.c. */
#ifndef CMD_SPOOL_WALK_H
#define CMD_SPOOL_WALK_H

#include "cmd/sendmail_options.h"
#include "cmd/view.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>

/* Called with each message: ITEM is its first item, RECIPIENTS those of all of
   its items.  It keeps neither. */
typedef void spool_message_fn(
    void *arg, const json_t *item, const json_t *recipients);

/* Walks over what is selected; all of it must be stopped with -qQ, and nothing
   is with -qL.  False after it was printed what went wrong. */
bool spool_walk(struct view *view, const struct sendmail_options *options,
    spool_message_fn *fn, void *arg);

/* True if OPTIONS select by anything at all. */
bool spool_walk_is_selective(const struct sendmail_options *options);

/* Why all of a message is stopped; NULL if not all of it is. */
const char *spool_reason(const json_t *item, const json_t *recipients);

/* A request to do WHAT; the caller's. */
json_t *spool_request(const char *what);

#endif
