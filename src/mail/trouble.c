/* What is said of a host that could not be reached. */
#include "mail/trouble.h"

#include <stdio.h>

bool
mail_trouble_split(
    struct str answer, struct str *host_out, struct str *what_out)
{
	static const struct str prefix = {"connect to ", 11};
	struct str rest = str_skip(answer, prefix.size), host;
	size_t at = 0;

	while (at + 1 < rest.size &&
	       !(rest.data[at] == ':' && rest.data[at + 1] == ' '))
		at++;
	if (!str_starts(answer, prefix) || at == 0 || at + 2 >= rest.size)
		return false;
	host = str_head(rest, at);
	if (host.data[0] != '[')
		host = str_head(host, str_find(host, '['));
	*host_out = host;
	*what_out = str_skip(rest, at + 2);
	return true;
}

void
mail_trouble_put(struct str answer, char *text, size_t size)
{
	struct str host, what;

	if (mail_trouble_split(answer, &host, &what))
		snprintf(text, size, "%.*s %s %.*s", STR_ARG(what),
		    str_equal(what, STR("Connection refused")) ? "by" : "with",
		    STR_ARG(host));
	else
		snprintf(text, size, "%.*s", STR_ARG(answer));
}
