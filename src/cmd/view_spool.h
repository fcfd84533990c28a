/* What the control socket would answer, taken from the spool itself while no
   daemon has it open.  Part of cmd/view.c. */
#ifndef CMD_VIEW_SPOOL_H
#define CMD_VIEW_SPOOL_H

#include "cmd/view.h"

struct view_spool;

/* Opens the spool of CONF, as the user to whom it belongs where we are root;
   NULL after the reason was printed. */
struct view_spool *view_spool_open(
    const char *program, const struct conf *conf);
void view_spool_close(struct view_spool *view);

/* One page of the answer to REQUEST: its end, with "error" where it cannot be
   answered without a daemon. */
json_t *view_spool_ask(struct view_spool *view, const json_t *request,
    view_item_fn *fn, void *arg);

#endif
