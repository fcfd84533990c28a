/*
 * The Received field.  What the client said of itself is written so that it
 * cannot end the field, open a comment or begin a line.
 */
#include "mail/trace.h"
#include "base/check.h"
#include "mail/address.h"
#include "mail/dsn.h"

#include <errno.h>
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

/* Puts all of PARTS or nothing.  Every message comes this way, so
   there is no printf(). */
static int
mail_trace_put_parts(struct buf *out, const struct str *parts, size_t count)
{
	size_t size = 0;
	int error = 0;

	for (size_t i = 0; i < count; i++)
		size += parts[i].size;
	if (buf_space(out, size) == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < count && error == 0; i++)
		error = buf_append(out, parts[i]);
	CHECK(error == 0);
	return 0;
}

int
mail_trace_put(struct buf *out, const struct mail_trace *trace)
{
	char copy[MAIL_DOMAIN_MAX], date[40], uid[16] = "";
	struct str helo = mail_trace_name(trace->helo, copy);
	struct str peer = str_head(trace->peer, MAIL_TRACE_PEER_MAX);
	/* RFC 5321 4.1.3: an IPv6 literal has a tag. */
	bool is_ipv6 = str_find(peer, ':') < peer.size;
	/* RFC 5321 4.4: FOR only names a single recipient. */
	bool has_for = trace->for_address.size > 0;

	if (trace->has_uid)
		snprintf(uid, sizeof(uid), "%u", trace->uid);
	mail_date_format(trace->wall_ms, date);
	return mail_trace_put_parts(out,
	    (struct str[]){
		STR("Received: from "),
		helo,
		trace->has_uid ? STR(" (uid ")
		: is_ipv6      ? STR(" ([IPv6:")
			       : STR(" (["),
		trace->has_uid ? str_from(uid) : peer,
		trace->has_uid ? STR(")\r\n\tby ") : STR("])\r\n\tby "),
		trace->hostname,
		STR(" with "),
		trace->with,
		STR(" id "),
		trace->id,
		has_for ? STR("\r\n\tfor <") : STR(""),
		trace->for_address,
		has_for ? STR(">;\r\n\t") : STR(";\r\n\t"),
		str_from(date),
		STR("\r\n"),
	    },
	    15);
}
