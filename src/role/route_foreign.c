/* Routes for the engine of sendmail's queue; see route_foreign.h. */
#include "role/route_foreign.h"
#include "role/route.h"

#include <stdio.h>
#include <string.h>

void
route_foreign(void *arg, struct str address, struct mqueue_route *route_out)
{
	const struct conf *conf = arg;
	struct route route;

	*route_out = (struct mqueue_route){.destination = MQUEUE_BAD};
	if (route_of_address(conf, address, &route, route_out->domain) < 0) {
		route_out->domain[0] = '\0';
		return;
	}
	memcpy(
	    route_out->destination, route.name, sizeof(route_out->destination));
	route_out->is_held = route.is_held;
	route_out->expire_ms = route.expire_ms;
	route_out->notice_ms = route.notice_ms;
}
