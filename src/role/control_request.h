/* A request of the control protocol (role/control.h), read and checked. */
#ifndef ROLE_CONTROL_REQUEST_H
#define ROLE_CONTROL_REQUEST_H

#include "base/str.h"
#include "conf/conf.h"
#include "role/message.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum control_action {
	CONTROL_PING,
	CONTROL_LIST,
	CONTROL_DESTINATIONS,
	CONTROL_SITES,
	CONTROL_RELEASE,
	CONTROL_HOLD,
	CONTROL_FREE,
	CONTROL_DELETE,
	CONTROL_REQUEUE,
	CONTROL_EXPIRE,
	CONTROL_RUN,
};

struct control_request {
	json_t *root; /* owns the strings */
	enum control_action action;
	struct store_filter filter;
	uint64_t older_ms;
	bool is_dry;
	struct str reason; /* of HOLD */
	uint64_t after_key;
	struct str after_name;
	uint32_t count;
	struct arena arena; /* owns domains */
	/* RELEASE */
	struct str site_name;         /* as it was asked for */
	const struct conf_site *site; /* NULL: there is none */
	struct str domains[MESSAGE_DOMAINS_MAX];
	size_t domain_count;
	/* RUN */
	struct store_select select;
	bool is_verbose;
	bool is_stopped;
	enum message_run_order order;
	uint64_t age_ms, rank_max;
};

/* Reads one line.  NULL, or what is wrong with it; *IS_BROKEN_OUT is true if it
   is no JSON object at all.  *REQUEST_OUT is freed in any case. */
const char *control_request_read(const struct conf *conf, struct str line,
    struct control_request *request_out, bool *is_broken_out);
void control_request_fini(struct control_request *request);

#endif
