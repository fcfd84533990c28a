/* Runs of the queue: their lines come while they are at work. */
#include "role/control_own.h"

#include <string.h>

void
control_ask_run(struct control *c, struct control_conn *conn,
    struct control_request *request)
{
	struct message m = {.type = MESSAGE_RUN,
	    .u.run = {.request = ++c->number_last,
		.is_verbose = request->is_verbose,
		.is_stopped = request->is_stopped,
		.order = request->order,
		.age_ms = request->age_ms,
		.terms = request->select.terms,
		.term_count = request->select.count}};

	if (request->rank_max > 0)
		m.u.run.rank_max = request->rank_max + MESSAGE_RUN_RANK_BASE;
	control_conn_ask(c, conn, &m);
}

void
control_run_text(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	struct str rest = m->u.run_text.text;

	while (rest.size > 0) {
		struct str line = str_head(rest, str_find(rest, '\n'));
		json_t *item = json_object();

		rest = str_skip(rest, line.size + 1);
		control_set(item, "item", json_string("text"));
		control_set(item, "text", control_text(line));
		/* What does not fit is not seen; the run goes on. */
		(void)control_conn_item(c, conn, control_put(&c->text, item));
		conn->is_cut = false;
	}
}

void
control_run_done(
    struct control *c, struct control_conn *conn, const struct message *m)
{
	json_t *end;

	if (m->u.run_done.error < 0) {
		control_conn_fail(c, conn, strerror(-m->u.run_done.error));
		return;
	}
	end = control_end(NULL);
	control_set_number(end, "status", m->u.run_done.status);
	control_set_number(end, "messages", m->u.run_done.count);
	control_conn_end(c, conn, end);
}
