/* What the control socket would answer, taken from the spool itself while no
   daemon has it open.  Part of cmd/view.c. */
#ifndef CMD_VIEW_SPOOL_H
#define CMD_VIEW_SPOOL_H

#include "cmd/view.h"

struct view_spool;

/* Becomes the owner of the directory FD, if we are root and it is not: 0 or
   -errno; -EPERM if it is root's and others may write to it. */
int view_become_owner(int fd) __attribute__((warn_unused_result));

/* The same for who goes through a queue directory of sendmail's and opens
   nothing else from then on: files of any owner are used there where
   store_place_is_trusted() says so, and no file elsewhere. */
int view_enter_mqueue(struct str user_queue, int fd)
    __attribute__((warn_unused_result));

/* Opens the spool of CONF, as the user to whom it belongs where we are root;
   NULL after the reason was printed, with the -errno in *ERROR_OUT. */
struct view_spool *view_spool_open(
    const char *program, const struct conf *conf, int *error_out);
void view_spool_close(struct view_spool *view);

/* One page of the answer to REQUEST: its end, with "error" where it cannot be
   answered without a daemon. */
json_t *view_spool_ask(struct view_spool *view, const json_t *request,
    view_item_fn *fn, void *arg);

/* Checks the spool of CONF, with a new index if IS_REBUILT; FN is called for
   each thing that was found.  How much was looked at, and "wrong", how many
   things were found; NULL after it was printed that the spool is in use or
   cannot be opened. */
json_t *view_spool_check(const char *program, const struct conf *conf,
    bool is_rebuilt, view_item_fn *fn, void *arg);

#endif
