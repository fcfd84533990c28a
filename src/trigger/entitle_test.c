/*
 * Who may ask for what, over a configuration with sites of one domain, of
 * several, of trees, of several askers.  A case that is granted names its
 * grants as "site:domain,domain site:*".
 */
#include "trigger/entitle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char conf_text[] =
    "hostname = \"holder.test\";\n"
    "spool = \"ram:\";\n"
    "site = (\n"
    " { name = \"ship\"; domains = [ \"ship.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.1\"; from = [ \"192.0.2.0/28\" ]; },\n"
    " { name = \"farm\"; hold = true; route = \"smtp://192.0.2.2\";\n"
    "   domains = [ \"farm.test\", \"a.farm.test\", \"cow.test\" ];\n"
    "   from = [ \"192.0.2.2\", \"2001:db8::/64\" ]; },\n"
    " { name = \"boats\"; domains = [ \"@boats.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.3\"; from = [ \"192.0.2.3\" ]; },\n"
    " { name = \"mixed\"; hold = true; route = \"smtp://192.0.2.4\";\n"
    "   domains = [ \"mixed.test\", \"@sub.mixed.test\",\n"
    "     \"x.sub.mixed.test\", \"@y.sub.mixed.test\", \"other.test\" ];\n"
    "   from = [ \"192.0.2.4\" ]; },\n"
    " { name = \"open\"; domains = [ \"open.test\" ]; hold = false;\n"
    "   route = \"smtp://192.0.2.5\"; from = [ \"192.0.2.5\" ];\n"
    "   triggers = [ \"etrn\" ]; },\n"
    " { name = \"north\"; domains = [ \"n.pair.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.6\"; from = [ \"192.0.2.6\" ]; },\n"
    " { name = \"south\"; hold = true; route = \"smtp://192.0.2.6\";\n"
    "   domains = [ \"s.pair.test\", \"south.test\" ];\n"
    "   from = [ \"192.0.2.6\", \"192.0.2.7\" ]; }\n"
    ");\n";

static struct conf *conf;

/* 251 is for who may ask for one domain in all. */
static void
test_only_domain(void **state)
{
	static const struct {
		const char *peer, *argument;
		bool is_only;
	} cases[] = {
	    {"192.0.2.9", "ship.test", true},  /* nobody else's network */
	    {"192.0.2.5", "open.test", false}, /* ship's network too */
	    {"192.0.2.6", "n.pair.test", false},
	    {"192.0.2.2", "cow.test", false},   /* a site of three */
	    {"192.0.2.3", "boats.test", false}, /* a tree */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trigger_grants grants;
		struct conf_address peer;

		assert_int_equal(
		    conf_address_parse(str_from(cases[i].peer), &peer), 0);
		assert_int_equal(trigger_entitle(conf, &peer, CONF_TRIGGER_ETRN,
				     str_from(cases[i].argument), &grants),
		    TRIGGER_GRANTED);
		assert_int_equal(grants.is_only_domain, cases[i].is_only);
		trigger_grants_fini(&grants);
	}
}

static const struct entitle_case {
	const char *peer;
	enum conf_trigger trigger;
	const char *argument;
	enum trigger_verdict verdict;
	const char *grants;
} entitle_cases[] = {
    /* Plain names. */
    {"192.0.2.1", CONF_TRIGGER_ETRN, "ship.test", TRIGGER_GRANTED, "ship:*"},
    {"192.0.2.1", CONF_TRIGGER_QSND, "ship.test", TRIGGER_GRANTED, "ship:*"},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "  SHIP.Test. \t", TRIGGER_GRANTED,
	"ship:*"},
    {"192.0.2.15", CONF_TRIGGER_ETRN, "ship.test", TRIGGER_GRANTED, "ship:*"},
    {"192.0.2.2", CONF_TRIGGER_ETRN, "cow.test", TRIGGER_GRANTED,
	"farm:cow.test"},
    {"2001:db8::9", CONF_TRIGGER_QSND, "farm.test", TRIGGER_GRANTED,
	"farm:farm.test"},
    {"192.0.2.3", CONF_TRIGGER_ETRN, "boats.test", TRIGGER_GRANTED,
	"boats:boats.test"},
    {"192.0.2.3", CONF_TRIGGER_QSND, "a.b.boats.test", TRIGGER_GRANTED,
	"boats:a.b.boats.test"},
    {"192.0.2.5", CONF_TRIGGER_ETRN, "open.test", TRIGGER_GRANTED, "open:*"},
    /* Not yours, by network or by trigger; and unknown. */
    {"192.0.2.16", CONF_TRIGGER_ETRN, "ship.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "cow.test", TRIGGER_REFUSED, ""},
    {"192.0.2.5", CONF_TRIGGER_QSND, "open.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "nobody.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "x.ship.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "myship.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "192.0.2.1", TRIGGER_REFUSED, ""},
    {"192.0.2.3", CONF_TRIGGER_ETRN, "tugboats.test", TRIGGER_REFUSED, ""},
    /* No names. */
    {"192.0.2.1", CONF_TRIGGER_ETRN, "", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, " ", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "ship", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "[192.0.2.1]", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "ship.test ship.test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "ship..test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "a@ship.test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "ship.test' or 1=1", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "*.test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@@ship.test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_QSND, "@ship.test", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_QSND, "#ship", TRIGGER_SYNTAX, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "#ship", TRIGGER_REFUSED, ""},
    /* What is theirs of a name and below. */
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@ship.test", TRIGGER_GRANTED, "ship:*"},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@p.test", TRIGGER_REFUSED, ""},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@x.ship.test", TRIGGER_REFUSED, ""},
    {"192.0.2.2", CONF_TRIGGER_ETRN, "@farm.test", TRIGGER_GRANTED,
	"farm:farm.test,a.farm.test"},
    {"192.0.2.2", CONF_TRIGGER_ETRN, "@a.farm.test", TRIGGER_GRANTED,
	"farm:a.farm.test"},
    {"192.0.2.1", CONF_TRIGGER_ETRN, "@farm.test", TRIGGER_REFUSED, ""},
    {"192.0.2.3", CONF_TRIGGER_ETRN, "@boats.test", TRIGGER_GRANTED, "boats:*"},
    {"192.0.2.3", CONF_TRIGGER_ETRN, "@a.boats.test", TRIGGER_GRANTED,
	"boats:@a.boats.test"},
    {"192.0.2.4", CONF_TRIGGER_ETRN, "@mixed.test", TRIGGER_GRANTED,
	"mixed:mixed.test,@sub.mixed.test"},
    {"192.0.2.4", CONF_TRIGGER_ETRN, "@sub.mixed.test", TRIGGER_GRANTED,
	"mixed:@sub.mixed.test"},
    {"192.0.2.4", CONF_TRIGGER_ETRN, "@x.sub.mixed.test", TRIGGER_GRANTED,
	"mixed:@x.sub.mixed.test"},
    {"192.0.2.4", CONF_TRIGGER_ETRN, "@y.sub.mixed.test", TRIGGER_GRANTED,
	"mixed:@y.sub.mixed.test"},
    /* Several sites. */
    {"192.0.2.6", CONF_TRIGGER_ETRN, "@pair.test", TRIGGER_GRANTED,
	"north:* south:s.pair.test"},
    {"192.0.2.7", CONF_TRIGGER_ETRN, "@pair.test", TRIGGER_GRANTED,
	"south:s.pair.test"},
};

static void
read_conf(const char *text, struct conf **conf_out)
{
	/* fmemopen only reads from it. */
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct buf errors;

	buf_init(&errors, 10000);
	if (conf_read(file, "test.conf", &errors, conf_out) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	fclose(file);
}

/* Writes the grants as the cases name them. */
static void
grants_format(const struct trigger_grants *grants, char text[], size_t size)
{
	int n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < grants->count; i++) {
		const struct trigger_grant *grant = &grants->list[i];

		n += snprintf(text + n, size - (size_t)n,
		    "%s%.*s:", i > 0 ? " " : "", STR_ARG(grant->site->name));
		if (grant->domain_count == 0)
			n += snprintf(text + n, size - (size_t)n, "*");
		for (size_t j = 0; j < grant->domain_count; j++)
			n += snprintf(text + n, size - (size_t)n, "%s%.*s",
			    j > 0 ? "," : "", STR_ARG(grant->domains[j]));
	}
}

static void
test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(entitle_cases) / sizeof(entitle_cases[0]);
	     i++) {
		const struct entitle_case *c = &entitle_cases[i];
		struct trigger_grants grants;
		struct conf_address peer;
		enum trigger_verdict verdict;
		char text[1000];

		assert_int_equal(
		    conf_address_parse(str_from(c->peer), &peer), 0);
		verdict = trigger_entitle(
		    conf, &peer, c->trigger, str_from(c->argument), &grants);
		grants_format(&grants, text, sizeof(text));
		if (verdict != c->verdict || strcmp(text, c->grants) != 0)
			fail_msg("case %zu \"%s\": %d \"%s\"", i, c->argument,
			    verdict, text);
		trigger_grants_fini(&grants);
	}
}

/* A name of 255 bytes is looked up, one of 256 is none. */
static void
test_long_name(void **state)
{
	struct trigger_grants grants;
	struct conf_address peer;
	char name[300];

	assert_int_equal(conf_address_parse(STR("192.0.2.3"), &peer), 0);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 == 1 ? '.' : 'a';
	memcpy(name + 255 - 11, ".boats.test", 11);
	memcpy(name + 240, "bbbb", 4);
	assert_int_equal(trigger_entitle(conf, &peer, CONF_TRIGGER_ETRN,
			     str_of(name, 255), &grants),
	    TRIGGER_GRANTED);
	assert_int_equal(grants.list[0].domains[0].size, 255);
	trigger_grants_fini(&grants);
	/* One more in front, and its "@" for the longest key there is. */
	memmove(name + 1, name, 255);
	assert_int_equal(trigger_entitle(conf, &peer, CONF_TRIGGER_ETRN,
			     str_of(name, 256), &grants),
	    TRIGGER_SYNTAX);
	trigger_grants_fini(&grants);
	name[0] = '@';
	assert_int_equal(trigger_entitle(conf, &peer, CONF_TRIGGER_ETRN,
			     str_of(name, 256), &grants),
	    TRIGGER_GRANTED);
	assert_int_equal(grants.list[0].domains[0].size, 256);
	trigger_grants_fini(&grants);
}

/* Writes a configuration of sites with DOMAIN_COUNT domains under big.test
   and one beside it each. */
static struct conf *
big_conf(size_t site_count, size_t domain_count)
{
	static char text[400000];
	struct conf *big = NULL;
	int n = snprintf(text, sizeof(text),
	    "hostname = \"h.test\"; spool = \"ram:\"; site = (");

	for (size_t i = 0; i < site_count; i++) {
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    "%s{ name = \"s%zu\"; route = \"smtp://192.0.2.1\"; "
		    "hold = true; from = [ \"192.0.2.1\" ]; "
		    "domains = [ \"s%zu.test\"",
		    i > 0 ? "," : "", i, i);
		for (size_t j = 0; j < domain_count; j++)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
			    ", \"d%zu.s%zu.big.test\"", j, i);
		n += snprintf(text + n, sizeof(text) - (size_t)n, " ]; }\n");
	}
	snprintf(text + n, sizeof(text) - (size_t)n, ");\n");
	read_conf(text, &big);
	return big;
}

/* As many grants as there may be, and one more: all or nothing. */
static void
test_grants_max(void **state)
{
	static const struct {
		size_t sites, domains;
		enum trigger_verdict verdict;
		size_t grants, last_domains;
	} cases[] = {
	    {TRIGGER_GRANTS_MAX, 1, TRIGGER_GRANTED, TRIGGER_GRANTS_MAX, 1},
	    {TRIGGER_GRANTS_MAX + 1, 1, TRIGGER_REFUSED, 0, 0},
	    {1, TRIGGER_DOMAINS_MAX, TRIGGER_GRANTED, 1, TRIGGER_DOMAINS_MAX},
	    {1, TRIGGER_DOMAINS_MAX + 1, TRIGGER_GRANTED, 2, 1},
	    {1, TRIGGER_DOMAINS_MAX * TRIGGER_GRANTS_MAX, TRIGGER_GRANTED,
		TRIGGER_GRANTS_MAX, TRIGGER_DOMAINS_MAX},
	    {1, TRIGGER_DOMAINS_MAX * TRIGGER_GRANTS_MAX + 1, TRIGGER_REFUSED,
		0, 0},
	};
	struct conf_address peer;

	assert_int_equal(conf_address_parse(STR("192.0.2.1"), &peer), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf *big = big_conf(cases[i].sites, cases[i].domains);
		struct trigger_grants grants;

		assert_int_equal(trigger_entitle(big, &peer, CONF_TRIGGER_ETRN,
				     STR("@big.test"), &grants),
		    cases[i].verdict);
		assert_int_equal(grants.count, cases[i].grants);
		if (grants.count > 0)
			assert_int_equal(
			    grants.list[grants.count - 1].domain_count,
			    cases[i].last_domains);
		trigger_grants_fini(&grants);
		conf_free(big);
	}
}

static int
setup(void **state)
{
	read_conf(conf_text, &conf);
	return 0;
}

static int
teardown(void **state)
{
	conf_free(conf);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_only_domain),
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_long_name),
	    cmocka_unit_test(test_grants_max),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
