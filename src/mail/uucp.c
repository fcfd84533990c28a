/*
 * Addresses and From_ lines of UUCP; see uucp.h.  Each host on the way has put
 * its line before those that were there, so that the first line tells of the
 * nearest host and the last one of the user.
 */
#include "mail/uucp.h"
#include "mail/address.h"

#include <errno.h>

#define REMOTE STR(" remote from ")

int
uucp_address_put(struct buf *out, struct str address)
{
	size_t bang = str_find(address, '!');
	struct str host = str_head(address, bang);
	struct str rest = str_skip(address, bang + 1);

	if (bang == address.size || rest.size == 0 ||
	    !mail_domain_is_valid(host, false))
		return buf_append(out, address);
	return buf_printf(out, "%.*s@%.*s", STR_ARG(rest), STR_ARG(host));
}

/* What stands behind the last " remote from ", or nothing. */
static struct str
uucp_remote(struct str line)
{
	for (size_t at = line.size; at-- > 0;)
		if (str_starts(str_skip(line, at), REMOTE)) {
			struct str host =
			    str_trim(str_skip(line, at + REMOTE.size));

			return str_head(host, str_find(host, ' '));
		}
	return STR("");
}

int
uucp_sender_put(struct buf *out, struct str from)
{
	struct str user = STR("");
	int error = 0;

	while (from.size > 0 && error == 0) {
		size_t end = str_find(from, '\r');
		struct str line = str_head(from, end), host;

		from = str_skip(from, end + 2);
		if (str_starts(line, STR(">")))
			line = str_skip(line, 1);
		line = str_skip(line, STR("From ").size);
		user = str_trim(line);
		user = str_head(user, str_find(user, ' '));
		host = uucp_remote(line);
		if (host.size > 0)
			error = buf_printf(out, "%.*s!", STR_ARG(host));
	}
	if (error == 0 && user.size == 0)
		return -EINVAL;
	return error < 0 ? error : buf_append(out, user);
}
