/* Networks as a configuration writes them; addresses are in conf.h. */
#ifndef CONF_ADDRESS_H
#define CONF_ADDRESS_H

#include "conf/conf.h"

/* "192.0.2.0/24", "2001:db8::/32", or an address alone for itself: 0, -EINVAL,
   or -ERANGE if bits behind the prefix are set. */
int conf_network_parse(struct str text, struct conf_network *network_out)
    __attribute__((warn_unused_result));

#endif
