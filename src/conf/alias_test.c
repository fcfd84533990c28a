/* Which domains have aliases, and what completes a name. */
#include "conf/alias.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SITES                                                                  \
	"site = ( { name = \"held\"; domains = [ \"held.test\" ]; hold = true" \
	"; route = \"maildir:/m\" },\n"                                        \
	"{ name = \"far\"; domains = [ \"far.test\" ]; route = \"mx\" },\n"    \
	"{ name = \"tree\"; domains = [ \"@tree.test\" ]\n"                    \
	"route = \"maildir:/m\" },\n"                                          \
	"{ name = \"a\"; domains = [ \"@x.test\", \"a.test\" ]\n"              \
	"route = \"maildir:/m\" } )\n"
#define BASE "spool = \"ram:\"\nhostname = \"h.test\"\n"

static struct conf *
read_conf(const char *text, const char *aliases)
{
	struct buf errors;
	struct conf *conf;
	FILE *file = fmemopen((char *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(file);
	buf_init(&errors, 10000);
	if (conf_read(file, "t", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	fclose(file);
	buf_fini(&errors);
	if (aliases != NULL) {
		conf->aliases = alias_table_new();
		alias_table_read(conf->aliases, STR("f"), str_from(aliases));
	}
	return conf;
}

static const struct {
	const char *settings;
	const char *address;
	enum alias_outcome outcome;
	const char *leaf;
} cases[] = {
    {BASE SITES, "x@h.test", ALIAS_DONE, "joe@a.test"},
    {BASE SITES, "x@A.test", ALIAS_DONE, "joe@a.test"},
    {BASE SITES, "x@b.tree.test", ALIAS_DONE, "joe@b.tree.test"},
    {BASE SITES, "x@held.test", ALIAS_NONE, ""},
    {BASE SITES, "x@far.test", ALIAS_NONE, ""},
    {BASE SITES, "x@else.test", ALIAS_NONE, ""},
    {BASE, "x@h.test", ALIAS_UNKNOWN, ""},
    {BASE "route = ( { domain = \"*\"; to = \"mx\" } )", "x@h.test", ALIAS_DONE,
	"joe@h.test"},
    {BASE SITES "alias-domains = [ \"held.test\", \"@l.test\" ]\n", "x@h.test",
	ALIAS_NONE, ""},
    {BASE SITES "alias-domains = [ \"held.test\", \"@l.test\" ]\n", "x@a.test",
	ALIAS_NONE, ""},
    {BASE SITES "alias-domains = [ \"held.test\", \"@l.test\" ]\n",
	"x@held.test", ALIAS_DONE, "joe@a.test"},
    {BASE SITES "alias-domains = [ \"held.test\", \"@l.test\" ]\n", "x@l.test",
	ALIAS_DONE, "joe@a.test"},
    {BASE SITES "alias-domains = [ \"held.test\", \"@l.test\" ]\n",
	"x@z.l.test", ALIAS_DONE, "joe@a.test"},
    {BASE SITES, "y@a.test", ALIAS_UNKNOWN, ""},
    {BASE SITES, "\"@a.test", ALIAS_NONE, ""},
};

static void
test_domains(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf *conf =
		    read_conf(cases[i].settings, "x: joe\ny: nobody@h.test\n");
		struct alias_expansion e;

		assert_int_equal(
		    conf_alias_expand(conf, str_from(cases[i].address), 10, &e),
		    cases[i].outcome);
		if (*cases[i].leaf != '\0') {
			assert_int_equal(e.leaf_count, 1);
			assert_true(str_equal(
			    e.leaves[0].address, str_from(cases[i].leaf)));
		}
		alias_expansion_fini(&e);
		conf_free(conf);
	}
}

static void
test_files(void **state)
{
	struct conf *conf = read_conf(BASE "aliases = \"/a\"\n", NULL);

	(void)state;
	assert_int_equal(conf->alias_file_count, 1);
	assert_true(str_equal(conf->alias_files[0], STR("/a")));
	conf_free(conf);
	conf = read_conf(BASE "aliases = ( \"/a\", \"/b\" )\n", NULL);
	assert_int_equal(conf->alias_file_count, 2);
	assert_true(str_equal(conf->alias_files[1], STR("/b")));
	conf_free(conf);
}

static void
test_without_aliases(void **state)
{
	struct conf *conf = read_conf(BASE SITES, NULL);
	struct alias_expansion e;

	(void)state;
	assert_int_equal(
	    conf_alias_expand(conf, STR("x@h.test"), 10, &e), ALIAS_NONE);
	assert_int_equal(
	    conf_alias_domain(conf, STR("h.test")), ALIAS_DOMAIN_FOREIGN);
	alias_expansion_fini(&e);
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_without_aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
