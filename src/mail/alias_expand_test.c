/* Expansion: who gets the mail, from whom, and what is refused. */
#include "mail/alias_expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char table_text[] =
    "joe: joe@far.test\n"
    "staff: joe, ann, BOB@a.test, ann@A.test, joe@FAR.test\n"
    "bob: carl\n"
    "one: joe\n"
    "self: self, other\n"
    "selfd: selfd@a.test, other\n"
    "selfo: selfo@only.test\n"
    "final: \\joe, \\staff@a.test\n"
    "l1: l2, x\n"
    "l2: l3\n"
    "l3: l1\n"
    "twice: one, joe, staff\n"
    "list: ann, sub, joe\n"
    "owner-list: ann\n"
    "sub: carl, dora\n"
    "owner-sub: dora\n"
    "owner-owner: root\n"
    "list-request: eve\n"
    "null: /dev/null\n"
    "nulls: /dev/null, joe\n"
    "prog: joe, |/bin/x\n"
    "file: /var/x\n"
    "files: file, /var/x, \"/a b\", /dev/null\n"
    "owner-files: joe\n"
    "bad: joe, x y\n"
    "inc: :include:/inc, ann\n"
    "noinc: :include:/none\n"
    "incself: :include:/self\n"
    "incloop: :include:/loop\n"
    "only: joe@only.test\n"
    "onlybad: nobody@only.test\n"
    "abroad: joe@else.test\n"
    "\"q q\": joe\n"
    "plus+x: px\n"
    "plus+*: pany\n"
    "plus: p\n"
    "det: p+y\n"
    "quoted: \"x y\"\n"
    "cap: MiXed\n"
    "odd: joe@[192.0.2.1], joe@[192.0.2.1]\n";

static enum alias_domain
rules_domain(const void *arg, struct str domain)
{
	(void)arg;
	if (str_equal(domain, STR("a.test")))
		return ALIAS_DOMAIN_OURS;
	return str_equal(domain, STR("only.test")) ? ALIAS_DOMAIN_ONLY
	                                           : ALIAS_DOMAIN_FOREIGN;
}

static struct alias_table *
make_table(void)
{
	struct alias_table *table = alias_table_new();
	struct str path;

	alias_table_read(table, STR("f"), str_from(table_text));
	while (alias_table_wants(table, &path))
		if (str_equal(path, STR("/inc")))
			alias_table_include(table, path, STR("ann\neve\n"));
		else if (str_equal(path, STR("/self")))
			alias_table_include(table, path, STR("incself\n"));
		else if (str_equal(path, STR("/loop")))
			alias_table_include(
			    table, path, STR(":include:/loop\n"));
		else
			alias_table_include_failed(table, path, "none");
	return table;
}

static const struct {
	const char *address;
	enum alias_outcome outcome;
	const char *what; /* leaves with "(owner)", or "alias: target" */
} cases[] = {
    {"joe@a.test", ALIAS_DONE, "joe@far.test"},
    {"JOE@A.Test.", ALIAS_NONE, ""},
    {"JOE@A.Test", ALIAS_DONE, "joe@far.test"},
    {"joe@only.test", ALIAS_DONE, "joe@far.test"},
    {"joe@far.test", ALIAS_NONE, ""},
    {"nobody@a.test", ALIAS_NONE, ""},
    {"Postmaster", ALIAS_NONE, ""},
    {"staff@a.test", ALIAS_DONE,
	"joe@far.test ann@home.test carl@home.test ann@A.test"},
    {"self@a.test", ALIAS_DONE, "self@home.test other@home.test"},
    {"selfd@a.test", ALIAS_DONE, "selfd@a.test other@home.test"},
    {"selfo@a.test", ALIAS_UNKNOWN, "selfo: selfo@only.test"},
    {"final@a.test", ALIAS_DONE, "joe@home.test staff@a.test"},
    {"l1@a.test", ALIAS_LOOP, "l3: l1"},
    {"twice@a.test", ALIAS_DONE,
	"joe@far.test ann@home.test carl@home.test ann@A.test"},
    {"list@a.test", ALIAS_DONE,
	"ann@home.test(owner-list@a.test) carl@home.test(owner-sub@a.test) "
	"dora@home.test(owner-sub@a.test) joe@far.test(owner-list@a.test)"},
    {"list@only.test", ALIAS_DONE,
	"ann@home.test(owner-list@only.test) "
	"carl@home.test(owner-sub@only.test) "
	"dora@home.test(owner-sub@only.test) "
	"joe@far.test(owner-list@only.test)"},
    {"owner-list@a.test", ALIAS_DONE, "ann@home.test(owner-owner@a.test)"},
    {"owner-owner@a.test", ALIAS_DONE, "root@home.test(owner-owner@a.test)"},
    {"list-request@a.test", ALIAS_DONE, "eve@home.test(owner-owner@a.test)"},
    {"null@a.test", ALIAS_DONE, ""},
    {"nulls@a.test", ALIAS_DONE, "joe@far.test"},
    {"prog@a.test", ALIAS_TO_PROGRAM, "prog: /bin/x"},
    {"file@a.test", ALIAS_DONE, "/var/x"},
    {"files@a.test", ALIAS_DONE,
	"/var/x(owner-files@a.test) \"/a b\"(owner-files@a.test)"},
    {"bad@a.test", ALIAS_MISTAKE, "bad: "},
    {"inc@a.test", ALIAS_DONE, "ann@home.test eve@home.test"},
    {"noinc@a.test", ALIAS_UNREAD, "noinc: /none"},
    {"incself@a.test", ALIAS_DONE, "incself@home.test"},
    {"incloop@a.test", ALIAS_LOOP, "incloop: "},
    {"only@a.test", ALIAS_DONE, "joe@far.test"},
    {"onlybad@a.test", ALIAS_UNKNOWN, "onlybad: nobody@only.test"},
    {"abroad@a.test", ALIAS_DONE, "joe@else.test"},
    {"\"q q\"@a.test", ALIAS_DONE, "joe@far.test"},
    {"\"j\\oe\"@a.test", ALIAS_DONE, "joe@far.test"},
    {"plus+x@a.test", ALIAS_DONE, "px@home.test"},
    {"plus+y@a.test", ALIAS_DONE, "pany@home.test"},
    {"plus@a.test", ALIAS_DONE, "p@home.test"},
    {"joe+y@a.test", ALIAS_DONE, "joe@far.test"},
    {"+joe@a.test", ALIAS_NONE, ""},
    {"det@a.test", ALIAS_DONE, "p+y@home.test"},
    {"quoted@a.test", ALIAS_DONE, "\"x y\"@home.test"},
    {"cap@a.test", ALIAS_DONE, "MiXed@home.test"},
    {"odd@a.test", ALIAS_DONE, "joe@[192.0.2.1]"},
};

static void
describe(const struct alias_expansion *e, enum alias_outcome outcome,
    char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	if (outcome > ALIAS_DONE)
		snprintf(text, size, "%.*s: %.*s", STR_ARG(e->alias),
		    STR_ARG(e->target));
	for (size_t i = 0; outcome == ALIAS_DONE && i < e->leaf_count; i++) {
		const struct alias_leaf *leaf = &e->leaves[i];
		bool has_owner = leaf->owner.size > 0;

		used += (size_t)snprintf(text + used, size - used,
		    "%s%.*s%s%.*s%s", i > 0 ? " " : "", STR_ARG(leaf->address),
		    has_owner ? "(" : "", STR_ARG(leaf->owner),
		    has_owner ? ")" : "");
		assert_true(used < size);
	}
}

/* Where they are run, programs are members like others. */
static void
test_programs(void **state)
{
	struct alias_rules rules = {.domain = rules_domain,
	    .home = STR("home.test"),
	    .leaves_max = 9,
	    .is_running = true};
	struct alias_table *table = make_table();
	struct alias_expansion e;
	char text[1000];

	(void)state;
	assert_int_equal(
	    alias_expand(table, &rules, STR("prog@a.test"), &e), ALIAS_DONE);
	describe(&e, ALIAS_DONE, text, sizeof(text));
	assert_string_equal(text, "joe@far.test \"|/bin/x\"");
	alias_expansion_fini(&e);
	rules.leaves_max = 1;
	assert_int_equal(
	    alias_expand(table, &rules, STR("prog@a.test"), &e), ALIAS_LARGE);
	alias_expansion_fini(&e);
	/* Its address is nobody's alias. */
	assert_int_equal(
	    alias_expand(table, &rules, STR("\"|/bin/x\""), &e), ALIAS_NONE);
	alias_expansion_fini(&e);
	alias_table_free(table);
}

static void
test_expansions(void **state)
{
	struct alias_rules rules = {
	    .domain = rules_domain, .home = STR("home.test"), .leaves_max = 9};
	struct alias_table *table = make_table();
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct alias_expansion e;
		enum alias_outcome outcome =
		    alias_expand(table, &rules, str_from(cases[i].address), &e);

		describe(&e, outcome, text, sizeof(text));
		assert_string_equal(text, cases[i].what);
		assert_int_equal(outcome, cases[i].outcome);
		assert_true(strlen(alias_outcome_text(outcome)) > 5);
		alias_expansion_fini(&e);
	}
	alias_table_free(table);
}

/* At the edge and one past it: leaves, nesting, steps. */
static void
test_limits(void **state)
{
	struct alias_rules rules = {
	    .domain = rules_domain, .home = STR("home.test"), .leaves_max = 4};
	struct alias_table *table = make_table();
	struct alias_expansion e;
	char text[1000];
	size_t used = 0;

	(void)state;
	assert_int_equal(
	    alias_expand(table, &rules, STR("list@a.test"), &e), ALIAS_DONE);
	assert_int_equal(e.leaf_count, 4);
	alias_expansion_fini(&e);
	rules.leaves_max = 3;
	assert_int_equal(
	    alias_expand(table, &rules, STR("list@a.test"), &e), ALIAS_LARGE);
	alias_expansion_fini(&e);

	alias_table_free(table);

	table = alias_table_new();
	for (int i = 0; i < ALIAS_DEPTH_MAX + 1; i++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "d%d: d%d\n", i, i + 1);
	alias_table_read(table, STR("f"), str_of(text, used));
	assert_int_equal(
	    alias_expand(table, &rules, STR("d1@a.test"), &e), ALIAS_DONE);
	alias_expansion_fini(&e);
	assert_int_equal(
	    alias_expand(table, &rules, STR("d0@a.test"), &e), ALIAS_DEEP);
	alias_expansion_fini(&e);
	alias_table_free(table);
}

static void
test_steps(void **state)
{
	struct alias_rules rules = {
	    .domain = rules_domain, .home = STR("home.test"), .leaves_max = 4};
	struct alias_table *table = alias_table_new();
	struct alias_expansion e;
	struct buf text;

	(void)state;
	buf_init(&text, ALIAS_DEFINITION_MAX);
	assert_int_equal(buf_append(&text, STR("a: x")), 0);
	for (int i = 1; i < ALIAS_STEPS_MAX; i++)
		assert_int_equal(buf_append(&text, STR(",x")), 0);
	alias_table_read(table, STR("f"), buf_str(&text));
	assert_int_equal(
	    alias_expand(table, &rules, STR("a@a.test"), &e), ALIAS_DONE);
	assert_int_equal(e.leaf_count, 1);
	alias_expansion_fini(&e);
	assert_int_equal(buf_append(&text, STR(",x")), 0);
	alias_table_free(table);
	table = alias_table_new();
	alias_table_read(table, STR("f"), buf_str(&text));
	assert_int_equal(
	    alias_expand(table, &rules, STR("a@a.test"), &e), ALIAS_LARGE);
	alias_expansion_fini(&e);
	alias_table_free(table);
	buf_fini(&text);
}

/* A random table always ends, in leaves that differ and are addresses. */
static void
test_random_tables(void **state)
{
	struct alias_rules rules = {
	    .domain = rules_domain, .home = STR("a.test"), .leaves_max = 100};
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct alias_table *table = alias_table_new();
		char text[1000];
		size_t used = 0;

		for (int i = 0; i < 8; i++)
			for (int j = 0; j < 4; j++) {
				seed = seed * 1103515245 + 12345;
				used += (size_t)snprintf(text + used,
				    sizeof(text) - used, j ? ",%s%c" : "%s%c: ",
				    j && seed >> 30 == 0 ? "\\" : "",
				    j ? (int)('a' + (seed >> 16) % 11)
				      : 'a' + i);
				if (j == 3)
					used += (size_t)snprintf(text + used,
					    sizeof(text) - used, "\n");
			}
		alias_table_read(table, STR("f"), str_of(text, used));
		for (int i = 0; i < 8; i++) {
			struct alias_expansion e;
			char address[] = "a@a.test";

			address[0] = (char)('a' + i);
			(void)alias_expand(
			    table, &rules, str_from(address), &e);
			for (size_t j = 1; j < e.leaf_count; j++)
				assert_false(
				    str_case_equal(e.leaves[j - 1].address,
					e.leaves[j].address));
			alias_expansion_fini(&e);
		}
		alias_table_free(table);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expansions),
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_random_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
