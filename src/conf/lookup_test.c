/* Lookups of sites and rules by domain: exact first, then the longest tree. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char text[] =
    "hostname = \"h.test\"; spool = \"ram:\"\n"
    "route = ( { domain = \"@out.test\", to = \"smtp://a.test\" },\n"
    "  { domain = \"b.out.test\", to = \"smtp://b.test\" },\n"
    "  { domain = \"@site.test\", to = \"smtp://c.test\" },\n"
    "  { domain = \"*\", to = \"mx\" } )\n"
    "site = (\n"
    "  { name = \"tree\"; domains = [ \"@boats.test\" ]; route = \"mx\" },\n"
    "  { name = \"exact\"; domains = [ \"a.boats.test\", \"one\" ]\n"
    "    route = \"mx\" },\n"
    "  { name = \"deep\"; route = \"mx\"\n"
    "    domains = [ \"@b.boats.test\", \"@x.y.z.test\" ] },\n"
    "  { name = \"top\"; domains = [ \"boats.test\", \"@org\" ]\n"
    "    route = \"mx\" }\n"
    ")\n";

static struct conf *
read_text(const char *file_text, size_t size)
{
	struct buf errors;
	struct conf *conf;
	char *copy = strndup(file_text, size);
	FILE *file;

	assert_non_null(copy);
	file = fmemopen(copy, size, "r");
	assert_non_null(file);
	buf_init(&errors, 10000);
	if (conf_read(file, "t", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	fclose(file);
	free(copy);
	return conf;
}

static void
test_sites(void **state)
{
	static const struct {
		const char *domain, *site;
	} cases[] = {
	    {"boats.test", "top"},
	    {"c.boats.test", "tree"},
	    {"c.a.boats.test", "tree"},
	    {"a.boats.test", "exact"},
	    {"one", "exact"},
	    {"a.one", NULL},
	    {"b.boats.test", "deep"},
	    {"c.b.boats.test", "deep"},
	    {"xb.boats.test", "tree"},
	    {"x.y.z.test", "deep"},
	    {"1.2.3.4.5.6.x.y.z.test", "deep"},
	    {"y.z.test", NULL},
	    {"xboats.test", NULL},
	    {"test", NULL},
	    {"org", "top"},
	    {"a.b.c.org", "top"},
	    {"", NULL},
	    {".", NULL},
	    {".org", "top"},
	    {"org.", NULL},
	    {"[192.0.2.1]", NULL},
	};
	struct conf *conf = read_text(text, sizeof(text) - 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_site *site =
		    conf_site_of_domain(conf, str_from(cases[i].domain));

		if (cases[i].site == NULL)
			assert_null(site);
		else
			assert_ptr_equal(site,
			    conf_site_named(conf, str_from(cases[i].site)));
		assert_true(site == NULL || site->name.size > 0);
	}
	conf_free(conf);
}

static void
test_names(void **state)
{
	struct conf *conf = read_text(text, sizeof(text) - 1);

	assert_ptr_equal(conf_site_named(conf, STR("deep")), &conf->sites[2]);
	assert_null(conf_site_named(conf, STR("Deep")));
	assert_null(conf_site_named(conf, STR("dee")));
	assert_null(conf_site_named(conf, STR("")));
	assert_null(conf_site_named(conf, STR("boats.test")));
	conf_free(conf);
}

static void
test_rules(void **state)
{
	static const struct {
		const char *domain;
		size_t rule;
	} cases[] = {
	    {"out.test", 0},
	    {"a.out.test", 0},
	    {"b.out.test", 1},
	    {"a.b.out.test", 0},
	    {"site.test", 2},
	    {"test", 3},
	    {"", 3},
	};
	static const char bare[] = "hostname = \"h.test\"; spool = \"ram:\"\n";
	struct conf *conf = read_text(text, sizeof(text) - 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_ptr_equal(
		    conf_route_of_domain(conf, str_from(cases[i].domain)),
		    &conf->routes[cases[i].rule].route);
	conf_free(conf);
	conf = read_text(bare, sizeof(bare) - 1);
	assert_null(conf_route_of_domain(conf, STR("a.test")));
	assert_null(conf_site_of_domain(conf, STR("a.test")));
	assert_null(conf_site_named(conf, STR("a")));
	conf_free(conf);
}

/* What is longer than any domain is never looked at. */
static void
test_long(void **state)
{
	struct conf *conf = read_text(text, sizeof(text) - 1);
	char domain[MAIL_DOMAIN_MAX + 1];

	for (size_t i = 0; i < sizeof(domain); i++)
		domain[i] = i % 2 == 0 ? 'a' : '.';
	memcpy(domain + sizeof(domain) - 4, ".org", 4);
	assert_ptr_equal(
	    conf_site_of_domain(conf, str_of(domain + 1, MAIL_DOMAIN_MAX)),
	    &conf->sites[3]);
	assert_null(conf_site_of_domain(conf, str_of(domain, sizeof(domain))));
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sites),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests_name("conf/lookup", tests, NULL, NULL);
}
