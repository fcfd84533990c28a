/*
 * What the files of the control role share (control.c, control_sites.c,
 * control_run.c); nobody else includes it.
 */
#ifndef ROLE_CONTROL_OWN_H
#define ROLE_CONTROL_OWN_H

#include "base/buf.h"
#include "base/hash.h"
#include "role/control.h"
#include "role/control_request.h"
#include "role/env.h"
#include "role/message.h"

#define CONTROL_SITE "site:"

struct control_conn {
	role_conn conn;
	struct buf line;    /* what is there of a request */
	uint64_t request;   /* 0 = none is in hand */
	uint64_t active_ms; /* when it last said something, or was told */
	enum control_action action;
	bool is_cut; /* an item did not fit: the rest is not sent */

	/* Pages: behind what the next one begins. */
	uint64_t key_first, key_before, after_key;
	char after_name[STORE_DESTINATION_MAX + 1];
	char site[STORE_DESTINATION_MAX + 1]; /* of a release */
	size_t site_index, site_end;          /* of the sorted sites */
	UT_hash_handle hh;                    /* by conn */
	UT_hash_handle hh_request;            /* by request */
};

struct control {
	struct role_env *env;
	const struct conf *conf;
	role_peer queue; /* 0 = none is up */
	uint64_t now_ms;
	uint64_t number_last;
	uint64_t clock_request; /* the probe that asks the queue's clock */
	/* Queue time at clock_now_ms; wall_ms 0 = not known. */
	struct control_clock clock;
	uint64_t clock_now_ms;
	const struct conf_site **sites; /* sorted by name */
	struct control_conn *conns, *by_request;
	struct buf frame, text;
};

/* Both clocks now. */
struct control_clock control_clock_now(const struct control *c);
/* Gives the end of an answer; the next request may come. */
void control_conn_end(
    struct control *c, struct control_conn *conn, json_t *end);
void control_conn_fail(
    struct control *c, struct control_conn *conn, const char *wrong);
/* One item was formatted with ERROR; false if it does not fit.  What waits is
   kept below the carrier's maximum, so that the end always fits. */
bool control_conn_item(struct control *c, struct control_conn *conn, int error);
/* Asks the queue; what comes back names conn->request. */
void control_conn_ask(
    struct control *c, struct control_conn *conn, const struct message *m);

/* Sites: the question, and what the queue answers. */
void control_ask_sites(struct control *c, struct control_conn *conn,
    const struct control_request *request);
/* The next site, with what the queue has of it (or nothing). */
void control_put_site(struct control *c, struct control_conn *conn,
    const struct store_destination *d, const struct control_state *state);
/* A destination of the queue meets the sites: those before it have nothing. */
void control_merge_site(struct control *c, struct control_conn *conn,
    const struct store_destination *d, const struct control_state *state);

/* Runs: the question, its lines and its end. */
void control_ask_run(struct control *c, struct control_conn *conn,
    struct control_request *request);
void control_run_text(
    struct control *c, struct control_conn *conn, const struct message *m);
void control_run_done(
    struct control *c, struct control_conn *conn, const struct message *m);

#endif
