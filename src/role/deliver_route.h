/*
 * Which addresses a session tries, in which order (RFC 5321 5.1): a small
 * machine that says what to ask the resolver and where to connect next, and
 * remembers the last trouble.  It asks and connects nothing by itself.  Mail
 * exchangers that are this host, and those after them, are never tried.
 */
#ifndef ROLE_DELIVER_ROUTE_H
#define ROLE_DELIVER_ROUTE_H

#include "base/str.h"
#include "conf/conf.h"
#include "role/carry_jobs.h"
#include "role/env.h"

#include <stdint.h>

#define DELIVER_ADDRESSES_MAX 10 /* tried in one session */

enum deliver_step {
	DELIVER_ASK_MX,      /* of deliver_route_name() */
	DELIVER_ASK_ADDRESS, /* of deliver_route_name() */
	DELIVER_CONNECT,     /* to deliver_route_address() */
	DELIVER_GIVE_UP      /* for deliver_route_trouble() */
};

struct deliver_route;

/* KIND is CONF_ROUTE_SMTP or CONF_ROUTE_MX; CONF must stay. */
struct deliver_route *deliver_route_new(const struct conf *conf,
    enum conf_route_kind kind, struct str host, uint16_t port);
void deliver_route_free(struct deliver_route *route);

enum deliver_step deliver_route_next(const struct deliver_route *route);
struct str deliver_route_name(const struct deliver_route *route);
const struct conf_address *deliver_route_address(
    const struct deliver_route *route);
/* The host at hand for people: "mx.test[192.0.2.1]". */
void deliver_route_text(
    const struct deliver_route *route, char text[CARRY_HOST_MAX]);

/* The answer to DELIVER_ASK_MX; SHUFFLE is random and orders hosts of equal
   preference. */
void deliver_route_mx(struct deliver_route *route,
    const struct role_dns_answer *answer, const uint32_t shuffle[ROLE_DNS_MAX]);
/* The answer to DELIVER_ASK_ADDRESS. */
void deliver_route_addresses(
    struct deliver_route *route, const struct role_dns_answer *answer);
/* The address at hand did not do; the next one is at hand. */
void deliver_route_failed(
    struct deliver_route *route, const char *status, const char *answer);

const struct carry_end *deliver_route_trouble(
    const struct deliver_route *route);

#endif
