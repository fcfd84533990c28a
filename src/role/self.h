/*
 * What this host knows itself by: its name, and the addresses at which it
 * listens.
 */
#ifndef ROLE_SELF_H
#define ROLE_SELF_H

#include "conf/conf.h"

#include <stdbool.h>

/* Without regard to case and to a dot at the end. */
bool self_has_name(const struct conf *conf, struct str name);

/* Whether who connects to ADDRESS (with its port) reaches this host.  Where all
   addresses are listened at, those of the loopback count, and those that the
   machine had when the process began. */
bool self_has_address(
    const struct conf *conf, const struct conf_address *address);

/* Whether the configuration speaks of DOMAIN (a key): as a site's, or in a rule
   that is not for any other domain. */
bool self_knows_domain(const struct conf *conf, struct str domain);

#endif
