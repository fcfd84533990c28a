/*
 * The address test.  There are no rulesets here: what stands in front of an
 * address is passed over, and what is shown is what becomes of it.
 *
 *	3,0 ADDRESS      where it would go: aliases, mailer, host, destination
 *	/parse ADDRESS   the same
 *	/mx HOST         how HOST would be reached; the DNS is not asked
 *	/quit
 *
 * An empty line and one that begins with "#" are passed over.
 */
#include "cmd/sendmail_try.h"
#include "cmd/sendmail_verify.h"
#include "role/route.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TRY_LINE_MAX 4096

static void
try_address(const struct conf *conf, const struct sendmail_options *options,
    struct str text)
{
	if (text.size == 0)
		printf("No address!\n");
	else
		(void)sendmail_verify_name(conf, options, text);
}

/* Which destination mail for anybody at HOST is queued for. */
static void
try_host(const struct conf *conf, struct str host)
{
	char address[MAIL_ADDRESS_MAX + 1], domain[MAIL_DOMAIN_MAX + 1];
	struct route route;
	int size = snprintf(
	    address, sizeof(address), "postmaster@%.*s", STR_ARG(host));

	if (host.size == 0)
		printf("Usage: /mx address\n");
	else if (size < 0 || (size_t)size >= sizeof(address) ||
		 route_of_address(conf, str_from(address), &route, domain) < 0)
		printf("%.*s is no domain\n", STR_ARG(host));
	else if (route.kind == CONF_ROUTE_MX)
		printf("getmxrr(%s) is asked when mail is sent\n", route.next);
	else
		printf("%.*s is not looked up: destination %s\n", STR_ARG(host),
		    route.name);
}

/* One line; false if it is the last. */
static bool
try_line(const struct conf *conf, const struct sendmail_options *options,
    struct str line)
{
	size_t space = str_find(line, ' '), tab = str_find(line, '\t');
	struct str word = str_head(line, space < tab ? space : tab);
	struct str rest = str_trim(str_skip(line, word.size));

	if (line.size == 0 || *line.data == '#')
		return true;
	if (str_case_equal(word, STR("/quit")))
		return false;
	if (str_case_equal(word, STR("/mx")))
		try_host(conf, rest);
	else if (str_case_equal(word, STR("/parse")) && rest.size == 0)
		printf("Usage: /parse address\n");
	else if (*line.data != '/' || str_case_equal(word, STR("/parse")))
		try_address(conf, options, rest);
	else
		printf("Unknown \"/\" command %.*s\n", STR_ARG(word));
	return true;
}

int
sendmail_try(const struct conf *conf, const struct sendmail_options *options)
{
	char line[TRY_LINE_MAX];
	bool is_going = true;

	printf("ADDRESS TEST MODE (there are no rulesets: where mail goes is "
	       "shown)\nEnter <ruleset> <address>\n");
	while (is_going) {
		printf("> ");
		fflush(stdout);
		/* A line that is too long is taken as several. */
		if (fgets(line, sizeof(line), stdin) == NULL)
			break;
		line[strcspn(line, "\r\n")] = '\0';
		is_going = try_line(conf, options, str_trim(str_from(line)));
	}
	return EX_OK;
}
