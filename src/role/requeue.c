/* Where rows go when they are routed anew; pure look-ups.  Each row gets also
   the alarm that the times of its new destination ask for. */
#include "role/requeue.h"
#include "base/check.h"
#include "role/queue.h"
#include "role/route.h"

#include <string.h>

/* Adds the row, if it is to be in the request. */
static void
requeue_row(const struct conf *conf, const struct store_found *found,
    const struct store_found_row *row, bool is_home,
    struct store_request *request, struct store_move *moves)
{
	char domain[MAIL_DOMAIN_MAX + 1];
	struct str destination;
	struct route route;

	if (route_of_address(conf, row->recipient.address, &route, domain) < 0)
		return;
	destination = row->destination;
	if (!str_equal(destination, str_from(route.name))) {
		if (is_home)
			return;
		destination = arena_copy(&request->arena, str_from(route.name));
		CHECK(destination.data != NULL);
	}
	moves[request->u.move.move_count++] = (struct store_move){
	    .index = row->index,
	    .destination = destination,
	    .is_held = route.is_held,
	    .alarm_ms = queue_alarm_time(&route, found->arrival_ms,
		&found->envelope, &row->recipient, row->is_told),
	};
}

size_t
requeue_fill(const struct conf *conf, const struct store_found *found,
    size_t from, bool is_home, struct store_request *request)
{
	size_t end = found->row_count;
	struct store_move *moves;

	CHECK(request->verb == STORE_MOVE && from <= end);
	if (end - from > STORE_SLICE_MAX)
		end = from + STORE_SLICE_MAX;
	moves = arena_new(&request->arena, (end - from) * sizeof(*moves));
	CHECK(moves != NULL);
	memcpy(request->u.move.id, found->id, sizeof(found->id));
	request->u.move.moves = moves;
	for (size_t i = from; i < end; i++)
		requeue_row(
		    conf, found, &found->rows[i], is_home, request, moves);
	return end;
}

void
requeue_count(const struct conf *conf, const struct store_found *found,
    uint64_t *changed_count, uint64_t *leased_count, uint64_t *moved_count)
{
	for (size_t i = 0; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];
		char domain[MAIL_DOMAIN_MAX + 1];
		struct route route;

		if (row->is_leased) {
			(*leased_count)++;
			continue;
		}
		(*changed_count)++;
		if (route_of_address(
			conf, row->recipient.address, &route, domain) == 0 &&
		    !str_equal(row->destination, str_from(route.name)))
			(*moved_count)++;
	}
}
