/* Routes of the programs and files of aliases; of the others the tests of the
   queue role tell. */
#include "role/route.h"
#include "conf/alias.h"
#include "role/route_foreign.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char head[] =
    "hostname = \"h.test\"\nspool = \"mqueue:/q\"\n"
    "site = ( { name = \"one\", domains = [ \"one.test\" ],\n"
    "  route = \"maildir:/m\" } )\n";

static struct conf *
conf_of(const char *settings)
{
	char text[1000];
	struct conf *conf = NULL;
	struct buf errors;
	FILE *file;

	buf_init(&errors, 65536);
	snprintf(text, sizeof(text), "%s%s", head, settings);
	file = fmemopen(text, strlen(text), "r");
	assert_non_null(file);
	if (conf_read(file, "t.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	fclose(file);
	buf_fini(&errors);
	conf->aliases = alias_table_new();
	alias_table_read(conf->aliases, STR("f"),
	    STR("a: /var/x, \"|/bin/x -f y\", \"/a b\"\n"));
	return conf;
}

static const struct {
	const char *address, *name;
	uint32_t job;
	enum conf_route_kind kind;
} cases[] = {
    {"/var/x", "file:/var/x", 1, CONF_ROUTE_FILE},
    {"\"|/bin/x -f y\"", "prog:/bin/x -f y", 2, CONF_ROUTE_PROGRAM},
    {"\"/a b\"", "file:/a b", 3, CONF_ROUTE_FILE},
};

/* By address and by name the same, with a job that is what it says. */
static void
test_locals(void **state)
{
	struct conf *conf = conf_of("alias-programs = true\n");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char domain[MAIL_DOMAIN_MAX + 1] = "x";
		struct route route, again;
		struct mqueue_route foreign;

		assert_int_equal(
		    route_of_address(
			conf, str_from(cases[i].address), &route, domain),
		    0);
		assert_string_equal(route.name, cases[i].name);
		assert_string_equal(route.host, cases[i].name);
		assert_string_equal(domain, "");
		assert_int_equal(route.kind, cases[i].kind);
		assert_int_equal(route.job, cases[i].job);
		assert_int_equal(route.expire_ms, conf->expire_ms);
		assert_true(route_is_local(route.kind));
		assert_int_equal(
		    route_of_destination(conf, str_from(route.name), &again),
		    0);
		assert_int_equal(again.job, route.job);
		assert_int_equal(again.kind, route.kind);
		route_foreign(conf, str_from(cases[i].address), &foreign);
		assert_string_equal(foreign.destination, cases[i].name);
		assert_true(str_starts(str_skip(str_from(cases[i].name), 5),
		    conf_alias_local(conf, route.job)->text));
	}
	assert_null(conf_alias_local(conf, 0));
	assert_null(conf_alias_local(conf, 4));
	assert_null(conf_alias_local(conf, UINT32_MAX));
	conf_free(conf);
}

/* What no alias names, and programs where none is run. */
static void
test_none(void **state)
{
	static const char *const addresses[] = {"\"|/bin/x\"",
	    "\"|/bin/x -f  y\"", "/var/y", "\"|/var/x\"", "/bin/x"};
	static const char *const names[] = {"prog:", "file:", "prog:/bin/x",
	    "file:/var/y", "prog:/var/x", "file:/bin/x -f y", "prog"};
	struct conf *conf = conf_of("alias-programs = true\n");
	char domain[MAIL_DOMAIN_MAX + 1];
	struct mqueue_route foreign;
	struct route route;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		assert_int_equal(route_of_address(conf, str_from(addresses[i]),
				     &route, domain),
		    -EINVAL);
		route_foreign(conf, str_from(addresses[i]), &foreign);
		assert_string_equal(foreign.destination, MQUEUE_BAD);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(
		    route_of_destination(conf, str_from(names[i]), &route),
		    -ENOENT);
	conf_free(conf);
	conf = conf_of("");
	assert_int_equal(
	    route_of_address(conf, str_from(cases[0].address), &route, domain),
	    0);
	assert_int_equal(
	    route_of_address(conf, str_from(cases[1].address), &route, domain),
	    -EINVAL);
	assert_int_equal(
	    route_of_destination(conf, str_from(cases[1].name), &route),
	    -ENOENT);
	assert_null(conf_alias_local(conf, 2));
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_locals),
	    cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
