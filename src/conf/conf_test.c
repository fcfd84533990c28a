/*
 * Whole configurations: what a good one becomes, the exact mistakes of bad
 * ones, and many sites.
 */
#include "base/test_kit.h"
#include "conf/conf.h"
#include "unit/apart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* libconfig 1.5 does not free the texts it has at hand when it finds a mistake
   of syntax; the leak is bounded by the file and is none of ours. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

#define BASE "hostname = \"h.test\"\nspool = \"ram:\"\n"

static int
read_bytes(struct str text, struct buf *errors, struct conf **conf_out)
{
	char *copy = malloc(text.size + 1);
	FILE *file;
	int error;

	assert_non_null(copy);
	memcpy(copy, text.data, text.size);
	file = fmemopen(copy, text.size, "r");
	assert_non_null(file);
	error = conf_read(file, "t.conf", errors, conf_out);
	fclose(file);
	free(copy);
	return error;
}

static struct conf *
read_good(const char *text)
{
	struct conf *conf;
	struct buf errors;

	buf_init(&errors, 100000);
	if (read_bytes(str_from(text), &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	assert_int_equal(buf_size(&errors), 0);
	buf_fini(&errors);
	return conf;
}

static void
assert_bad(struct str text, const char *expected)
{
	struct conf *conf = (void *)1;
	struct buf errors;

	buf_init(&errors, 100000);
	assert_int_equal(read_bytes(text, &errors, &conf), -EINVAL);
	assert_null(conf);
	assert_int_equal(buf_append(&errors, str_of("", 1)), 0);
	assert_string_equal(buf_str(&errors).data, expected);
	buf_fini(&errors);
}

static void
assert_str(struct str s, const char *expected)
{
	if (!str_equal(s, str_from(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), expected);
}

static const char example[] =
    "hostname   = \"MX2.isp.test.\"\n"
    "spool      = \"/var/spool/sendq\"\n"
    "listen     = ( { address = \"127.0.0.1:2525\" }, { address = \"::\" } )\n"
    "relay-from = [ \"127.0.0.0/8\" ]                  # anywhere\n"
    "route      = ( { domain = \"*\", to = \"mx\" } )    // or smtp\n"
    "resolver = \"127.0.0.53\"\n"
    "retry-min = \"90s\"; retry-max = 7200; staging-max = 65536\n"
    "disk-reserve = 5000000000L; control-mode = \"600\"\n"
    "user-queue = 64101; user-receive = \"sendq-receive\"\n"
    "postmaster = \"root@isp.test\"; smtp-port = 2526\n"
    "site = (\n"
    "  {\n"
    "    name     = \"ship7\"\n"
    "    domains  = [ \"Ship7.test\", \"@boats.test\" ]\n"
    "    hold     = true\n"
    "    route    = \"smtp://127.0.0.1:25\"\n"
    "    from     = [ \"127.0.0.0/8\", \"::1\" ]\n"
    "  }, { name = \"home\"; domains = ( \"home.test\" );\n"
    "    route = \"maildir:/srv/mail\"; triggers = [ \"qsnd\" ] },\n"
    "  { name = \"b\"; domains = [ \"b.test\" ]; hold = true\n"
    "    expire = \"3w\"; delay-notice = \"1d\"\n"
    "    triggers = []; route = \"maildir:/srv/b\" },\n"
    "  { name = \"c\"; domains = [ \"c.test\" ]; hold = false\n"
    "    delay-notice = 0\n"
    "    route = \"maildir:/srv/mail\" }\n"
    ")\n"
    "/* no newline behind this */ # end";

static void
test_example(void **state)
{
	struct conf *conf = read_good(example);

	assert_str(conf->hostname, "mx2.isp.test");
	assert_str(conf->spool, "/var/spool/sendq");
	assert_str(conf->postmaster, "root@isp.test");
	assert_int_equal(conf->listen_count, 2);
	assert_int_equal(conf->listen[0].address.port, 2525);
	assert_int_equal(conf->listen[1].address.port, 25);
	assert_int_equal(conf->listen[1].address.family, 6);
	assert_int_equal(conf->relay_from.count, 1);
	assert_int_equal(conf->route_count, 1);
	assert_true(conf->routes[0].is_any);
	assert_int_equal(conf->routes[0].route.kind, CONF_ROUTE_MX);
	assert_int_equal(conf->routes[0].route.port, 2526);
	assert_str(conf->routes[0].route.text, "mx");
	assert_int_equal(conf->resolver.family, 4);
	assert_int_equal(conf->resolver.port, 53);
	assert_int_equal(conf->retry_min_ms, 90000);
	assert_int_equal(conf->retry_max_ms, 7200000);
	assert_int_equal(conf->staging_max, 65536);
	assert_true(conf->disk_reserve == UINT64_C(5000000000));
	assert_int_equal(conf->control_mode, 0600);
	assert_str(conf->user_queue, "64101");
	assert_str(conf->user_receive, "sendq-receive");
	conf_free(conf);
}

static void
test_example_sites(void **state)
{
	struct conf *conf = read_good(example);
	const struct conf_site *site = conf->sites;

	assert_int_equal(conf->site_count, 4);
	assert_str(site->name, "ship7");
	assert_int_equal(site->domain_count, 2);
	assert_str(site->domains[0].key, "ship7.test");
	assert_false(site->domains[0].is_tree);
	assert_str(site->domains[1].key, "boats.test");
	assert_true(site->domains[1].is_tree);
	assert_true(site->is_held);
	assert_int_equal(site->route.kind, CONF_ROUTE_SMTP);
	assert_str(site->route.host, "127.0.0.1");
	assert_int_equal(site->route.port, 25);
	assert_int_equal(site->from.count, 2);
	assert_int_equal(site->from.list[1].prefix, 128);
	assert_int_equal(site->triggers, CONF_TRIGGER_ETRN | CONF_TRIGGER_QSND);
	assert_false(site[1].is_held);
	assert_int_equal(site[1].triggers, CONF_TRIGGER_QSND);
	assert_int_equal(site[1].route.kind, CONF_ROUTE_MAILDIR);
	assert_str(site[1].route.path, "/srv/mail");
	assert_str(site[1].route.text, "maildir:/srv/mail");
	assert_int_equal(site[2].triggers, 0);
	/* Times that are not given are those of all mail, but that held mail
	   waits is told of only where that is said. */
	assert_int_equal(site[0].expire_ms, conf->expire_ms);
	assert_int_equal(site[0].delay_notice_ms, 0);
	assert_int_equal(site[1].expire_ms, UINT64_C(432000000));
	assert_int_equal(site[1].delay_notice_ms, 14400000);
	assert_int_equal(site[2].expire_ms, UINT64_C(21) * 86400000);
	assert_int_equal(site[2].delay_notice_ms, 86400000);
	assert_int_equal(site[3].expire_ms, conf->expire_ms);
	assert_int_equal(site[3].delay_notice_ms, 0);
	assert_int_equal(site[3].triggers, 0);
	assert_int_equal(site[1].route.job, 0);
	assert_int_equal(site[2].route.job, 1);
	assert_int_equal(site[3].route.job, 0);
	assert_int_equal(conf->maildir_count, 2);
	assert_str(conf->maildirs[0], "/srv/mail");
	assert_str(conf->maildirs[1], "/srv/b");
	conf_free(conf);
}

static void
test_defaults(void **state)
{
	struct conf *conf = read_good(BASE);

	assert_int_equal(conf->listen_count, 0);
	assert_int_equal(conf->relay_from.count, 0);
	assert_int_equal(conf->route_count, 0);
	assert_int_equal(conf->site_count, 0);
	assert_int_equal(conf->maildir_count, 0);
	assert_int_equal(conf->resolver.family, 0);
	assert_int_equal(conf->postmaster.size, 0);
	assert_int_equal(conf->smtp_port, 25);
	assert_str(conf->control_socket, "/run/sendq/control");
	assert_int_equal(conf->control_mode, 0660);
	assert_int_equal(conf->release_time_ms, 600000);
	assert_int_equal(conf->retry_min_ms, 300000);
	assert_int_equal(conf->retry_max_ms, 7200000);
	assert_int_equal(conf->expire_ms, 432000000);
	assert_int_equal(conf->size_max, 50 << 20);
	assert_int_equal(conf->recipients_max, 1000);
	assert_int_equal(conf->transactions_max, 1000);
	assert_int_equal(conf->errors_max, 20);
	assert_int_equal(conf->connections_max, 1000);
	assert_int_equal(conf->deliveries_max, 200);
	assert_int_equal(conf->deliveries_host_max, 20);
	assert_int_equal(conf->destinations_max, 10000);
	assert_int_equal(conf->receive_processes, 1);
	assert_int_equal(conf->deliver_processes, 1);
	assert_int_equal(conf->idle_timeout_ms, 300000);
	assert_int_equal(conf->greeting_timeout_ms, 300000);
	assert_int_equal(conf->data_timeout_ms, 120000);
	assert_int_equal(conf->block_timeout_ms, 180000);
	assert_int_equal(conf->dot_timeout_ms, 600000);
	assert_int_equal(conf->command_max, 4096);
	assert_int_equal(conf->line_max, 65536);
	assert_int_equal(conf->staging_max, 64 << 20);
	assert_int_equal(conf->disk_reserve, 16 << 20);
	assert_int_equal(conf->connections_network_max, 200);
	assert_int_equal(conf->triggers_minute_max, 300);
	assert_int_equal(conf->queue_bytes_max, UINT64_C(1) << 40);
	assert_int_equal(conf->queue_messages_max, 10000000);
	assert_str(conf->log, "stderr");
	assert_str(conf->log_level, "note");
	assert_int_equal(conf->user_control.size, 0);
	conf_free(conf);
}

static void
test_routes(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL = refused */
	} cases[] = {
	    {"mx", "mx"},
	    {"smtp://Relay.TEST", "smtp://relay.test:26"},
	    {"smtp://relay.test.:25", "smtp://relay.test:25"},
	    {"smtp://localhost:65535", "smtp://localhost:65535"},
	    {"smtp://3com.test", "smtp://3com.test:26"},
	    {"smtp://host.test1", "smtp://host.test1:26"},
	    {"smtp://192.0.2.1", "smtp://192.0.2.1:26"},
	    {"smtp://[2001:DB8:0::1]", "smtp://[2001:db8::1]:26"},
	    {"smtp://[2001:db8::1]:587", "smtp://[2001:db8::1]:587"},
	    {"smtp://[::ffff:192.0.2.1]:25", "smtp://192.0.2.1:25"},
	    {"maildir:/a", "maildir:/a"},
	    {"maildir:/a/.b/..c d", "maildir:/a/.b/..c d"},
	    {"", NULL},
	    {"MX", NULL},
	    {"mx:25", NULL},
	    {"mx ", NULL},
	    {"relay.test", NULL},
	    {"lmtp://relay.test", NULL},
	    {"smtp:relay.test", NULL},
	    {"smtp://", NULL},
	    {"smtp://:25", NULL},
	    {"smtp://relay.test:", NULL},
	    {"smtp://relay.test:0", NULL},
	    {"smtp://relay.test:025", NULL},
	    {"smtp://relay.test:65536", NULL},
	    {"smtp://relay.test:25/", NULL},
	    {"smtp://relay..test", NULL},
	    {"smtp://relay test", NULL},
	    {"smtp://user@relay.test", NULL},
	    {"smtp://192.0.2.256", NULL},
	    {"smtp://192.0.2", NULL},
	    {"smtp://192.0.2.1.", NULL},
	    {"smtp://25", NULL},
	    {"smtp://2001:db8::1", NULL},
	    {"smtp://[2001:db8::1", NULL},
	    {"smtp://[relay.test]", NULL},
	    {"maildir:", NULL},
	    {"maildir:/", NULL},
	    {"maildir:a", NULL},
	    {"maildir:/a/", NULL},
	    {"maildir:/a//b", NULL},
	    {"maildir:/a/./b", NULL},
	    {"maildir:/a/..", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[400], expected[200];
		struct conf *conf;

		/* The port counts wherever it stands. */
		snprintf(text, sizeof(text),
		    BASE "route = ( { domain = \"*\", to = \"%s\" } )\n"
			 "smtp-port = 26\n",
		    cases[i].text);
		snprintf(expected, sizeof(expected),
		    "t.conf:3: route[0].to: \"%s\" is not a route\n",
		    cases[i].text);
		if (cases[i].canonical != NULL) {
			conf = read_good(text);
			assert_str(
			    conf->routes[0].route.text, cases[i].canonical);
			conf_free(conf);
		} else {
			assert_bad(str_from(text), expected);
		}
	}
}

#define SITE(name, domains)                                                    \
	"{ name = \"" name "\"\ndomains = [ " domains " ]\nroute = \"mx\" }"

static const struct {
	const char *text, *errors;
} bad_cases[] = {
    /* Syntax: the first mistake only. */
    {BASE "x = \n\ny = ;", "t.conf:5: syntax error\n"},
    {BASE "spool = \"a\"", "t.conf:3: duplicate setting name\n"},
    {BASE "relay-from = [ \"a\",\n 1 ]",
	"t.conf:4: mismatched element type in array\n"},
    {BASE "\n@include \"/etc/passwd\"", "t.conf:4: @include is not taken\n"},
    {BASE "x = \"a\nb", "t.conf:3: a text is not closed\n"},
    {BASE "/* x\n", "t.conf:3: a comment is not closed\n"},
    {BASE "smtp-port = 4294967321",
	"t.conf:3: a number over 2147483647 must end in L\n"},
    {BASE "smtp-port = 18446744073709551641L",
	"t.conf:3: a number is too large\n"},
    {BASE "smtp-port = 0025", "t.conf:3: a number begins with 0\n"},
    {BASE "spool = \"/a\\x00b\"", "t.conf:3: a text holds a zero byte\n"},
    {BASE "x = (((((((((((((((((1)))))))))))))))))",
	"t.conf:3: too many groups in each other\n"},
    /* Meaning: all mistakes. */
    {"", "t.conf:1: hostname: is missing\nt.conf:1: spool: is missing\n"},
    {"hostname = 1\nspool = 2.5\n",
	"t.conf:1: hostname: must be a text in quotes\n"
	"t.conf:2: spool: must be a text in quotes\n"},
    {"hostname = \"a b\"\nspool = \"spool\"\ncontrol-socket = \"control\"",
	"t.conf:1: hostname: \"a b\" is not a host name\n"
	"t.conf:2: spool: \"spool\" is not an absolute path, \"mqueue:\" and "
	"one, or \"ram:\"\n"
	"t.conf:3: control-socket: \"control\" is not an absolute path\n"},
    {"hostname = \"\"\nspool = \"\"\n",
	"t.conf:1: hostname: \"\" is not a host name\n"
	"t.conf:2: spool: \"\" is not an absolute path, \"mqueue:\" and one, "
	"or \"ram:\"\n"},
    {BASE "colour = 1\nsite = ()\nshape = { a = ( 1 ) }",
	"t.conf:3: colour: there is no such setting\n"
	"t.conf:5: shape: there is no such setting\n"},
    {BASE "smtp-port = \"25\"\nretry-min = true\nspool-x = 1",
	"t.conf:3: smtp-port: must be a number\n"
	"t.conf:4: retry-min: must be a number or a text in quotes\n"
	"t.conf:5: spool-x: there is no such setting\n"},
    {BASE "smtp-port = 0\nerrors-max = -1\nrecipients-max = 1001",
	"t.conf:3: smtp-port: 0 is not from 1 to 65535\n"
	"t.conf:4: errors-max: -1 is not from 1 to 1000\n"
	"t.conf:5: recipients-max: 1001 is not from 1 to 1000\n"},
    {BASE "smtp-port = 0x19\nstaging-max = 0x1FFFFFFFF",
	"t.conf:3: smtp-port: must be a decimal number\n"
	"t.conf:4: staging-max: must be a decimal number\n"},
    {BASE "expire = \"5 days\"\nretry-max = \"8d\"\nidle-timeout = 0",
	"t.conf:3: expire: \"5 days\" is not a time\n"
	"t.conf:4: retry-max: \"8d\" is not from 1s to 1w\n"
	"t.conf:5: idle-timeout: 0 is not from 1s to 1d\n"},
    {BASE "expire = -5\nstaging-max = -1\nsmtp-port = 1.5",
	"t.conf:3: expire: -5 is not from 1s to 52w\n"
	"t.conf:4: staging-max: -1 is not from 64k to 16G\n"
	"t.conf:5: smtp-port: must be a number\n"},
    {BASE "staging-max = \"64X\"\ndisk-reserve = \"1025G\"",
	"t.conf:3: staging-max: \"64X\" is not a size\n"
	"t.conf:4: disk-reserve: \"1025G\" is not from 0 to 1024G\n"},
    {BASE "control-mode = 660\nlog-level = \"loud\"",
	"t.conf:3: control-mode: must be a text in quotes\n"
	"t.conf:4: log-level: \"loud\" is not a level of the log\n"},
    {BASE "log = \"Syslog\"",
	"t.conf:3: log: \"Syslog\" is not stderr or syslog\n"},
    {BASE "log = \"\"", "t.conf:3: log: \"\" is not stderr or syslog\n"},
    {BASE "control-mode = \"0680\"\nuser-queue = 0\nuser-control = \"-x\"",
	"t.conf:3: control-mode: \"0680\" is not a mode in octal\n"
	"t.conf:4: user-queue: 0 is not a user\n"
	"t.conf:5: user-control: \"-x\" is not a user\n"},
    {BASE "control-mode = \"1000\"\npostmaster = \"root\"",
	"t.conf:3: control-mode: \"1000\" is not from 0000 to 0777\n"
	"t.conf:4: postmaster: \"root\" is not a mail address\n"},
    {BASE "resolver = \"dns.test\"\nlisten = ( { address = \"*:25\" },\n"
	  "{ adress = \"::\" } )",
	"t.conf:3: resolver: \"dns.test\" is not an address\n"
	"t.conf:4: listen[0].address: \"*:25\" is not an address\n"
	"t.conf:5: listen[1].adress: there is no such setting\n"
	"t.conf:5: listen[1].address: is missing\n"},
    {BASE "listen = \"127.0.0.1\"\nroute = [ \"a\" ]\nsite = { }",
	"t.conf:3: listen: must be a list of groups, ( { ... } )\n"
	"t.conf:4: route: must be a list of groups, ( { ... } )\n"
	"t.conf:5: site: must be a list of groups, ( { ... } )\n"},
    {BASE "listen = (\n1,\n\"a\"\n)", "t.conf:4: listen[0]: must be a group\n"
				      "t.conf:5: listen[1]: must be a group\n"},
    /* A text on a line of its own is not on that of the bracket behind it. */
    {BASE "relay-from = [\n\"10.0.0.0/33\",\n\"10.0.0.1/8\"\n\n]",
	"t.conf:4: relay-from[0]: \"10.0.0.0/33\" is not a network\n"
	"t.conf:5: relay-from[1]: \"10.0.0.1/8\" is not a network: bits "
	"behind the prefix\n"},
    {BASE "relay-from = ( \"::1\"\n,\n1, \"a\"\n\"b\"\n, \"c\" # d \" @\n)\n",
	"t.conf:5: relay-from[1]: must be a text in quotes\n"
	"t.conf:5: relay-from[2]: \"ab\" is not a network\n"
	"t.conf:7: relay-from[3]: \"c\" is not a network\n"},
    {BASE "relay-from = \"::1\"",
	"t.conf:3: relay-from: must be a list of texts in quotes\n"},
    {BASE "aliases = \"etc\"",
	"t.conf:3: aliases: \"etc\" is not an absolute path\n"},
    {BASE "aliases = 1",
	"t.conf:3: aliases: must be a list of texts in quotes\n"},
    {BASE "aliases = [ \"/a\", \"b\",\n\"\" ]\n"
	  "alias-domains = [ \"@a.test\", \"@\", \"a b\" ]",
	"t.conf:3: aliases[1]: \"b\" is not an absolute path\n"
	"t.conf:4: aliases[2]: \"\" is not an absolute path\n"
	"t.conf:5: alias-domains[1]: \"@\" is not a domain\n"
	"t.conf:5: alias-domains[2]: \"a b\" is not a domain\n"},
    {BASE "retry-min\n = \"1h\"\nretry-max = \"59m\"",
	"t.conf:5: retry-max: retry-max is less than retry-min\n"},
    {BASE "retry-min = \"3h\"",
	"t.conf:3: retry-min: retry-max is less than retry-min\n"},
    {BASE "route = ( { domain = \"*\", to = \"mx\" },\n"
	  "{ domain = \"@A.test\", to = \"mx\" }, { domain = \"a.test\", "
	  "to = \"mx\" },\n{ domain = \"*\", to = \"mx\" },\n"
	  "{ domain = \"@a.test.\", to = \"mx\" },\n"
	  "{ domain = \"*.test\", to = \"mx\" },\n{ domain = \"@\" } )",
	"t.conf:5: route[3].domain: \"*\" has a route already\n"
	"t.conf:6: route[4].domain: \"@a.test\" has a route already\n"
	"t.conf:7: route[5].domain: \"*.test\" is not a domain\n"
	"t.conf:8: route[6].domain: \"@\" is not a domain\n"
	"t.conf:8: route[6].to: is missing\n"},
    {BASE "site = (\n{ hold = 1\n from = [ \"x\" ] } )",
	"t.conf:4: site[0].name: is missing\n"
	"t.conf:4: site[0].domains: is missing\n"
	"t.conf:4: site[0].hold: must be true or false\n"
	"t.conf:4: site[0].route: is missing\n"
	"t.conf:5: site[0].from[0]: \"x\" is not a network\n"},
    {BASE "site = ( { name = \"a b\"\ndomains = [ ]\nroute = 1\n"
	  "from = [ 1 ]\ntriggers = [ \"etrn\",\n\"turn\" ] } )",
	"t.conf:3: site[0].name: \"a b\" is not a name\n"
	"t.conf:4: site[0].domains: 0 domains, must be from 1 to 10000\n"
	"t.conf:5: site[0].route: must be a text in quotes\n"
	"t.conf:6: site[0].from[0]: must be a text in quotes\n"
	"t.conf:8: site[0].triggers[1]: \"turn\" is not a trigger\n"},
    {BASE "site = ( " SITE("a", "\"a.test\", \"b.test\"") ",\n" /* 3-5 */
	SITE("b", "\"c.test\",\n\"B.test\"\n") ",\n"            /* 6-10 */
	SITE("a", "\"@c.test\", \"d.test\", \"d.test\"") ",\n"  /* 11- */
	SITE("c", "\"x.c.test\", \"@C.TEST\"") " )",
	"t.conf:8: site[1].domains[1]: \"b.test\" is a domain of site[0] "
	"already\n"
	"t.conf:11: site[2].name: \"a\" is the name of site[0] already\n"
	"t.conf:12: site[2].domains[2]: \"d.test\" is a domain of site[2] "
	"already\n"
	"t.conf:15: site[3].domains[1]: \"@c.test\" is a domain of site[2] "
	"already\n"},
    {BASE "site = ( { name = \"a\", route = \"mx\",\n"
	  "domains = ( \"\", \"a b\", \"@@a\", \"[127.0.0.1]\", \"*\" ) } )",
	"t.conf:4: site[0].domains[0]: \"\" is not a domain\n"
	"t.conf:4: site[0].domains[1]: \"a b\" is not a domain\n"
	"t.conf:4: site[0].domains[2]: \"@@a\" is not a domain\n"
	"t.conf:4: site[0].domains[3]: \"[127.0.0.1]\" is not a domain\n"
	"t.conf:4: site[0].domains[4]: \"*\" is not a domain\n"},
    {BASE "postmaster = \"a\\nb@c.test\"",
	"t.conf:3: postmaster: holds a control character\n"},
    {BASE "site = ( { name = \"12345678901234567890123456789012345678901234"
	  "567890123456789012345\", domains = [ \"a.test\" ], route = \"mx\" "
	  "} )",
	"t.conf:3: site[0].name: 65 bytes long, must be from 1 to 64\n"},
};

static void
test_bad(void **state)
{
	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++)
		assert_bad(str_from(bad_cases[i].text), bad_cases[i].errors);
	assert_bad(STR(BASE "\0"), "t.conf:1: a zero byte\n");
}

/* A hundred mistakes are shown, each one line, and the rest is counted; a
   buffer that is too small for them is no harm. */
static void
test_many_mistakes(void **state)
{
	struct buf text, errors;
	struct conf *conf;
	size_t lines = 0;

	buf_init(&text, 100000);
	assert_int_equal(buf_append(&text, STR(BASE)), 0);
	for (int i = 0; i < CONF_ERRORS_MAX + 7; i++)
		assert_int_equal(buf_printf(&text, "x%d = 1\n", i), 0);
	buf_init(&errors, 100000);
	assert_int_equal(read_bytes(buf_str(&text), &errors, &conf), -EINVAL);
	for (struct str rest = buf_str(&errors); rest.size > 0; lines++)
		rest = str_skip(rest, str_find(rest, '\n') + 1);
	assert_int_equal(lines, CONF_ERRORS_MAX + 1);
	assert_true(str_case_ends(
	    buf_str(&errors), STR("t.conf: 7 more mistakes are not shown\n")));
	buf_fini(&errors);
	buf_init(&errors, 100);
	assert_int_equal(read_bytes(buf_str(&text), &errors, &conf), -EINVAL);
	assert_in_range(buf_size(&errors), 1, 100);
	buf_fini(&errors);
	buf_fini(&text);
}

/* Values and names of any length are shown cut. */
static void
test_long_mistakes(void **state)
{
	struct buf text, errors;
	struct conf *conf;

	buf_init(&text, 300000);
	for (int i = 0; i < 90000; i++)
		assert_int_equal(buf_append(&text, STR("x")), 0);
	assert_int_equal(buf_append(&text, STR(" = 1\n log-level = \"")), 0);
	for (int i = 0; i < 90000; i++)
		assert_int_equal(buf_append(&text, STR("y")), 0);
	assert_int_equal(buf_append(&text, STR("\"\n" BASE)), 0);
	buf_init(&errors, 1000);
	assert_int_equal(read_bytes(buf_str(&text), &errors, &conf), -EINVAL);
	assert_in_range(buf_size(&errors), 300, 500);
	buf_fini(&errors);
	buf_fini(&text);
}

static void
test_many_sites(void **state)
{
	const int sites = apart_is_needed() ? 4000 : 20000;
	struct buf text, errors;
	struct conf *conf;

	buf_init(&text, 8 << 20);
	buf_init(&errors, 1000);
	assert_int_equal(buf_append(&text, STR(BASE "site = (\n")), 0);
	for (int i = 0; i < sites; i++)
		assert_int_equal(
		    buf_printf(&text,
			"%s{ name = \"s%d\"\n domains = [ \"s%d.test\", "
			"\"@s%d.ships.test\" ]\n hold = true\n"
			" route = \"maildir:/srv/%d\"\n"
			" from = [ \"10.0.0.0/8\" ] }\n",
			i > 0 ? "," : "", i, i, i, i),
		    0);
	assert_int_equal(buf_append(&text, STR(")")), 0);
	assert_int_equal(read_bytes(buf_str(&text), &errors, &conf), 0);
	assert_int_equal(conf->site_count, sites);
	assert_int_equal(conf->maildir_count, sites);
	assert_in_range(conf->arena.used, sites * 100, sites * 2000);
	for (int i = 0; i < sites; i += 7) {
		char domain[40];

		snprintf(domain, sizeof(domain), "a.s%d.ships.test", i);
		assert_ptr_equal(conf_site_of_domain(conf, str_from(domain)),
		    &conf->sites[i]);
		assert_int_equal(conf->sites[i].route.job, i);
	}
	conf_free(conf);
	buf_fini(&errors);
	buf_fini(&text);
}

/* Cuts of a good file, or one byte of it changed: each is read, or refused
   with at least one mistake named. */
static int
damage(void *arg)
{
	const char *byte = arg;
	struct str text = str_from(example);
	char *copy = malloc(text.size);

	assert_non_null(copy);
	for (size_t at = 0; at < text.size; at++) {
		struct buf errors;
		struct conf *conf;

		memcpy(copy, text.data, text.size);
		if (byte != NULL)
			copy[at] = *byte;
		buf_init(&errors, 10000);
		if (read_bytes(str_of(copy, byte != NULL ? text.size : at),
			&errors, &conf) < 0)
			assert_true(buf_size(&errors) > 0);
		else
			assert_int_equal(buf_size(&errors), 0);
		conf_free(conf);
		buf_fini(&errors);
	}
	free(copy);
	return 0;
}

static void
test_damaged(void **state)
{
	static char bytes[] = {'"', '{', ')', '\\', '/', '\n', '9'};

	apart(damage, NULL);
	for (size_t i = 0; i < sizeof(bytes); i++)
		apart(damage, &bytes[i]);
}

static void
test_file_name(void **state)
{
	assert_string_equal(conf_file_name("/a", "/b"), "/a");
	assert_string_equal(conf_file_name(NULL, "/b"), "/b");
	assert_string_equal(conf_file_name(NULL, ""), CONF_FILE_DEFAULT);
	assert_string_equal(conf_file_name(NULL, NULL), CONF_FILE_DEFAULT);
	conf_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_example_sites),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_many_mistakes),
	    cmocka_unit_test(test_long_mistakes),
	    cmocka_unit_test(test_many_sites),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_file_name),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
