/*
 * The Received field.  What the client said of itself is written so that it
 * cannot end the field, open a comment or begin a line.
 */
#include "mail/trace.h"
#include "mail/address.h"
#include "mail/dsn.h"

#include <stdio.h>
#include <string.h>

#define MAIL_TRACE_PEER_MAX 64

/* A copy of NAME that is safe in the field: other bytes become "?". */
static struct str
mail_trace_name(struct str name, char copy[MAIL_DOMAIN_MAX])
{
	name = str_head(name, MAIL_DOMAIN_MAX);
	if (name.size == 0)
		return STR("unknown");
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		bool is_safe = ascii_is_alpha(c) || ascii_is_digit(c) ||
		               (c != '\0' && strchr("-._:[]", c) != NULL);

		copy[i] = '?';
		if (is_safe)
			copy[i] = c;
	}
	return str_of(copy, name.size);
}

int
mail_trace_put(struct buf *out, const struct mail_trace *trace)
{
	char copy[MAIL_DOMAIN_MAX], date[40], from[MAIL_TRACE_PEER_MAX + 16];
	struct str helo = mail_trace_name(trace->helo, copy);
	struct str peer = str_head(trace->peer, MAIL_TRACE_PEER_MAX);
	/* RFC 5321 4.1.3: an IPv6 literal has a tag. */
	bool is_ipv6 = str_find(peer, ':') < peer.size;
	/* RFC 5321 4.4: FOR only names a single recipient. */
	bool has_for = trace->for_address.size > 0;

	if (trace->has_uid)
		snprintf(from, sizeof(from), "uid %u", trace->uid);
	else
		snprintf(from, sizeof(from), "[%s%.*s]", is_ipv6 ? "IPv6:" : "",
		    STR_ARG(peer));
	mail_date_format(trace->wall_ms, date);
	return buf_printf(out,
	    "Received: from %.*s (%s)\r\n"
	    "\tby %.*s with %.*s id %.*s%s%.*s%s;\r\n"
	    "\t%s\r\n",
	    STR_ARG(helo), from, STR_ARG(trace->hostname), STR_ARG(trace->with),
	    STR_ARG(trace->id), has_for ? "\r\n\tfor <" : "",
	    STR_ARG(trace->for_address), has_for ? ">" : "", date);
}
