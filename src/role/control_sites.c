/* Sites come sorted by name, and so do the destinations "site:NAME" of the
   queue; one page of each is merged. */
#include "role/control_own.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* The sites behind NAME begin at this index of the sorted ones. */
static size_t
control_site_behind(const struct control *c, struct str name)
{
	size_t low = 0, high = c->conf->site_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_compare(c->sites[middle]->name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
control_ask_sites(struct control *c, struct control_conn *conn,
    const struct control_request *request)
{
	char after[STORE_DESTINATION_MAX + 1];
	struct message m = {.type = MESSAGE_LIST,
	    .u.list = {.request = ++c->number_last,
		.is_destinations = true,
		.count = STORE_PAGE_MAX}};

	snprintf(after, sizeof(after), CONTROL_SITE "%.*s",
	    STR_ARG(request->after_name));
	m.u.list.after_name = str_from(after);
	conn->site_index = control_site_behind(c, request->after_name);
	conn->site_end = conn->site_index + request->count;
	if (conn->site_end > c->conf->site_count)
		conn->site_end = c->conf->site_count;
	control_conn_ask(c, conn, &m);
}

void
control_put_site(struct control *c, struct control_conn *conn,
    const struct store_destination *d, const struct control_state *state)
{
	static const struct store_destination nothing;
	struct control_clock clock = control_clock_now(c);
	const struct conf_site *site = c->sites[conn->site_index];
	struct control_state idle = {
	    .state = site->is_held ? STR("held") : STR("waiting")};

	if (!control_conn_item(c, conn,
		control_format_site(&c->text, site, d ? d : &nothing,
		    state ? state : &idle, &clock)))
		return;
	conn->site_index++;
	snprintf(conn->after_name, sizeof(conn->after_name), "%.*s",
	    STR_ARG(site->name));
}

void
control_merge_site(struct control *c, struct control_conn *conn,
    const struct store_destination *d, const struct control_state *state)
{
	struct str name = str_skip(d->name, sizeof(CONTROL_SITE) - 1);

	/* Behind the last "site:NAME" there is nothing for any site. */
	bool is_behind = !str_starts(d->name, STR(CONTROL_SITE));

	while (conn->site_index < conn->site_end && !conn->is_cut) {
		const struct conf_site *site = c->sites[conn->site_index];
		int order = is_behind ? -1 : str_compare(site->name, name);

		if (order > 0)
			break;
		control_put_site(
		    c, conn, order == 0 ? d : NULL, order == 0 ? state : NULL);
	}
	/* One that is no site any more: still the next page is behind it. */
	if (!conn->is_cut && !is_behind && conn->site_index < conn->site_end)
		snprintf(conn->after_name, sizeof(conn->after_name), "%.*s",
		    STR_ARG(name));
}

static int
control_compare_sites(const void *a, const void *b)
{
	const struct conf_site *const *first = a, *const *second = b;

	return str_compare((*first)->name, (*second)->name);
}

const struct conf_site **
control_sites_sorted(const struct conf *conf)
{
	const struct conf_site **sites =
	    mem_new(conf->site_count + 1, sizeof(sites[0]));

	for (size_t i = 0; i < conf->site_count; i++)
		sites[i] = &conf->sites[i];
	qsort(sites, conf->site_count, sizeof(sites[0]), control_compare_sites);
	return sites;
}
