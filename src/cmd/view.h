/*
 * A look into the queue for people's programs: through the control socket
 * where a daemon runs, else into the spool itself, with the same answers
 * (role/control.h).
 */
#ifndef CMD_VIEW_H
#define CMD_VIEW_H

#include "conf/conf.h"

#include <jansson.h>

struct view;

/* Called for each item; it does not keep it. */
typedef void view_item_fn(void *arg, const json_t *item);

/* Reads the configuration FILE_NAME for PROGRAM: NULL after the mistakes were
   printed. */
struct conf *view_conf(const char *program, const char *file_name);

/* Opens a view; NULL after the reason was printed, with the exit status for it
   (EX_TEMPFAIL where another process has the spool) in *STATUS_OUT. */
struct view *view_open(
    const char *program, const struct conf *conf, int *status_out);
void view_close(struct view *view);

/* Carries out one page of REQUEST, with FN for each item (NULL = they do not
   matter).  Its end, which is the caller's, or NULL after the reason was
   printed. */
json_t *view_page(
    struct view *view, const json_t *request, view_item_fn *fn, void *arg);

/* Carries out REQUEST, which becomes the view's, page after page.  The end of
   the last page, with the counts of changes of all pages. */
json_t *view_ask(
    struct view *view, json_t *request, view_item_fn *fn, void *arg);

#endif
