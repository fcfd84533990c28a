/*
 * Where the order of mail exchangers ends: at this host itself, by its name or
 * by one of its addresses, and those after it are left alone (RFC 5321 5.1).
 * The rest of the order is tested in deliver_test.c.
 */
#include "role/deliver_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char config[] =
    "hostname = \"mx2.isp.test\"; spool = \"ram:\";\n"
    "listen = ( { address = \"192.0.2.2\" }, { address = \"2001:db8::2\" },\n"
    "           { address = \"192.0.2.3:2525\" }, { address = \"::\" } );\n"
    "route = ( { domain = \"ruled.test\", to = \"mx\" },\n"
    "          { domain = \"*\", to = \"mx\" } );\n"
    "site = ( { name = \"ship\", domains = [ \"site.test\" ], hold = true,\n"
    "           route = \"mx\" } );\n";

/* IPv6 is listened for at all of them, IPv4 at those that are named. */
static const char *const machine_texts[] = {
    "192.0.2.2", "192.0.2.44", "2001:db8::44"};

#define MACHINE_COUNT (sizeof(machine_texts) / sizeof(machine_texts[0]))

static struct conf_address machine[MACHINE_COUNT];
static struct conf *conf;

static int
read_conf(void **state)
{
	FILE *file = fmemopen((void *)(uintptr_t)config, strlen(config), "r");
	struct buf errors;

	buf_init(&errors, 10000);
	if (conf_read(file, "test.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	for (size_t i = 0; i < MACHINE_COUNT; i++)
		assert_int_equal(
		    conf_address_parse(str_from(machine_texts[i]), &machine[i]),
		    0);
	conf->machine = machine;
	conf->machine_count = MACHINE_COUNT;
	buf_fini(&errors);
	fclose(file);
	return 0;
}

static int
free_conf(void **state)
{
	conf_free(conf);
	return 0;
}

/* An exchanger and its addresses; none: it cannot be looked up. */
struct exchanger {
	uint16_t preference;
	const char *name;
	const char *addresses[3];
};

struct route_case {
	const char *domain;
	/* Behind the last one a nameless; none: the domain has an address. */
	struct exchanger exchangers[6];
	const char *tried;  /* each of them refuses */
	const char *answer; /* how the end begins */
};

#define REFUSED   "refused"
#define CIRCLE(d) "550 5.4.6 " d ": its mail exchanger is this host itself"
#define MENDED(d) "451 4.4.6 " d ": its mail exchanger is this host itself"

static const struct route_case cases[] = {
    /* By name: what is better is tried, what is equal or worse is not. */
    {"a.test", {{10, "mx1.a.test", {"192.0.2.1"}}, {20, "MX2.ISP.test"}},
	"192.0.2.1 ", REFUSED},
    {"a.test",
	{{10, "mx1.a.test", {"192.0.2.1"}}, {20, "mx2.isp.test"},
	    {20, "mx3.a.test", {"192.0.2.9"}},
	    {30, "mx4.a.test", {"192.0.2.8"}}},
	"192.0.2.1 ", REFUSED},
    {"a.test",
	{{10, "mx2.isp.test", {"192.0.2.7"}},
	    {20, "mx1.a.test", {"192.0.2.1"}}},
	"", CIRCLE("a.test")},
    {"a.test", {{10, "mx2.isp.test."}}, "", CIRCLE("a.test")},
    {"a.test", {{10, "mx2.isp.test.other", {"192.0.2.1"}}}, "192.0.2.1 ",
	REFUSED},
    /* By address, whatever the name; seen before its equals are tried. */
    {"a.test", {{10, "x.test", {"192.0.2.2"}}}, "", CIRCLE("a.test")},
    {"a.test", {{10, "x.test", {"192.0.2.1", "2001:db8::2"}}}, "",
	CIRCLE("a.test")},
    {"a.test", {{10, "x.test", {"192.0.2.22"}}}, "192.0.2.22 ", REFUSED},
    {"a.test",
	{{10, "b.test", {"192.0.2.1", "192.0.2.11"}},
	    {20, "y.test", {"192.0.2.4"}}, {20, "x.test", {"192.0.2.2"}},
	    {20, "z.test", {"192.0.2.5"}}, {30, "w.test", {"192.0.2.6"}}},
	"192.0.2.1 192.0.2.11 ", REFUSED},
    /* What is better cannot be looked up now: it may be later. */
    {"a.test", {{10, "b.test"}, {20, "x.test", {"192.0.2.2"}}}, "",
	"451 4.4.3 b.test: "},
    /* Another port is somebody else; all addresses are those known. */
    {"a.test", {{10, "x.test", {"192.0.2.3"}}}, "192.0.2.3 ", REFUSED},
    {"a.test", {{10, "x.test", {"::1"}}}, "", CIRCLE("a.test")},
    {"a.test", {{10, "x.test", {"::"}}}, "", CIRCLE("a.test")},
    {"a.test", {{10, "x.test", {"::2"}}}, "::2 ", REFUSED},
    {"a.test", {{10, "x.test", {"2001:db8::44"}}}, "", CIRCLE("a.test")},
    {"a.test", {{10, "x.test", {"2001:db8::45"}}}, "2001:db8::45 ", REFUSED},
    {"a.test", {{10, "x.test", {"192.0.2.44"}}}, "192.0.2.44 ", REFUSED},
    {"a.test", {{10, "x.test", {"127.0.0.1"}}}, "127.0.0.1 ", REFUSED},
    /* Without an exchanger, and where it is written as an address. */
    {"192.0.2.2", {{0}}, "", CIRCLE("192.0.2.2")},
    {"192.0.2.1", {{0}}, "192.0.2.1 ", REFUSED},
    {"[192.0.2.2]", {{0}}, "", CIRCLE("[192.0.2.2]")},
    /* A domain of the configuration: somebody will mend it. */
    {"site.test", {{10, "mx2.isp.test"}}, "", MENDED("site.test")},
    {"ruled.test", {{10, "x.test", {"192.0.2.2"}}}, "", MENDED("ruled.test")},
};

static void
answer_mx(struct deliver_route *route, const struct route_case *t)
{
	uint32_t shuffle[ROLE_DNS_MAX] = {3, 2, 1};
	struct role_dns_answer answer = {.status = ROLE_DNS_OK};

	for (; t->exchangers[answer.count].name != NULL; answer.count++) {
		const struct exchanger *x = &t->exchangers[answer.count];

		answer.records[answer.count].preference = x->preference;
		snprintf(answer.records[answer.count].name,
		    sizeof(answer.records[0].name), "%s", x->name);
	}
	deliver_route_mx(route, &answer, shuffle);
}

static void
answer_address(struct deliver_route *route, const struct route_case *t)
{
	const char *const implicit[] = {t->domain, NULL};
	const char *const *addresses = implicit;
	struct role_dns_answer answer = {.status = ROLE_DNS_OK};
	struct str name = deliver_route_name(route);

	for (size_t i = 0; t->exchangers[i].name != NULL; i++)
		if (str_equal(name, str_from(t->exchangers[i].name)))
			addresses = t->exchangers[i].addresses;
	for (; addresses[answer.count] != NULL; answer.count++)
		assert_int_equal(
		    conf_address_parse(str_from(addresses[answer.count]),
			&answer.records[answer.count].address),
		    0);
	if (answer.count == 0)
		answer.status = ROLE_DNS_FAILED;
	deliver_route_addresses(route, &answer);
}

/* Carries out what the route says until it gives up; TRIED_OUT is to hold the
   addresses. */
static void
run(struct deliver_route *route, const struct route_case *t,
    char tried_out[400])
{
	size_t size = 0;
	char address[46];

	tried_out[0] = '\0';
	for (;;) {
		switch (deliver_route_next(route)) {
		case DELIVER_ASK_MX:
			answer_mx(route, t);
			break;
		case DELIVER_ASK_ADDRESS:
			answer_address(route, t);
			break;
		case DELIVER_CONNECT:
			conf_address_format(
			    deliver_route_address(route), address);
			size += (size_t)snprintf(
			    tried_out + size, 400 - size, "%s ", address);
			deliver_route_failed(route, "4.4.1", REFUSED);
			break;
		case DELIVER_GIVE_UP:
			return;
		}
	}
}

static void
test_circles(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct route_case *t = &cases[i];
		struct deliver_route *route = deliver_route_new(
		    conf, CONF_ROUTE_MX, str_from(t->domain), 25);
		const struct carry_end *end;
		char tried[400];

		run(route, t, tried);
		end = deliver_route_trouble(route);
		if (strcmp(tried, t->tried) != 0 ||
		    strncmp(end->answer, t->answer, strlen(t->answer)) != 0)
			fail_msg("case %zu: %s, %s", i, tried, end->answer);
		assert_int_equal(end->is_permanent, t->answer[0] == '5');
		assert_int_equal(end->is_failed, t->answer[0] != '5');
		if (t->answer[0] == '5')
			assert_string_equal(end->status, "5.4.6");
		deliver_route_free(route);
	}
}

/* A route that leads to one host is the administrator's will. */
static void
test_route_to_a_host(void **state)
{
	static const char *const hosts[] = {"192.0.2.2", "mx2.isp.test"};

	for (size_t i = 0; i < 2; i++) {
		struct route_case t = {
		    .exchangers = {{0, "mx2.isp.test", {"192.0.2.2"}}}};
		struct deliver_route *route = deliver_route_new(
		    conf, CONF_ROUTE_SMTP, str_from(hosts[i]), 25);
		char tried[400];

		run(route, &t, tried);
		assert_string_equal(tried, "192.0.2.2 ");
		deliver_route_free(route);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_circles),
	    cmocka_unit_test(test_route_to_a_host),
	};

	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
