/* What an alias comes to is found out once. */
#include "conf/alias_memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char settings[] =
    "spool = \"ram:\"\nhostname = \"h.test\"\nalias-programs = true\n"
    "site = ( { name = \"t\"; domains = [ \"@t.test\" ]\n"
    "route = \"maildir:/m\" }, { name = \"a\"; domains = [ \"a.test\" ]\n"
    "route = \"maildir:/m\" } )\n";
static const char aliases[] = "none: /dev/null\ntwo: ann, bob\n"
			      "loop: loop2\nloop2: loop\n"
			      "prog: |/bin/x, ann\n"
			      "same: ann, ann@a.test\n";

static struct conf *
read_conf(void)
{
	struct buf errors;
	struct conf *conf;
	FILE *file =
	    fmemopen((char *)(uintptr_t)settings, sizeof(settings) - 1, "r");

	assert_non_null(file);
	buf_init(&errors, 10000);
	if (conf_read(file, "t", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	fclose(file);
	buf_fini(&errors);
	conf->aliases = alias_table_new();
	alias_table_read(conf->aliases, STR("f"), str_from(aliases));
	return conf;
}

static const struct {
	const char *address;
	enum alias_outcome outcome;
	size_t count;
} cases[] = {
    {"none@a.test", ALIAS_DONE, 0},
    {"two@a.test", ALIAS_DONE, 2},
    {"two+x@H.test", ALIAS_DONE, 2},
    {"loop@a.test", ALIAS_LOOP, 0},
    {"prog@a.test", ALIAS_DONE, 2},
    {"nobody@a.test", ALIAS_NONE, 0},
    {"two@far.test", ALIAS_NONE, 0},
    /* A name is another's at another domain. */
    {"same@a.test", ALIAS_DONE, 1},
    {"same@x.t.test", ALIAS_DONE, 2},
};

static void
test_outcomes(void **state)
{
	struct conf *conf = read_conf();
	struct alias_memo *memo = alias_memo_new(conf, 10);
	size_t count;

	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			assert_int_equal(
			    alias_memo_ask(
				memo, str_from(cases[i].address), &count),
			    cases[i].outcome);
			assert_int_equal(count, cases[i].count);
		}
	alias_memo_free(memo);
	alias_memo_free(NULL);
	conf_free(conf);
}

/* Who sees another configuration has looked again. */
static void
test_once(void **state)
{
	struct conf *conf = read_conf();
	struct alias_memo *memo = alias_memo_new(conf, 10);
	char address[40];
	size_t count;

	assert_int_equal(
	    alias_memo_ask(memo, STR("prog@a.test"), &count), ALIAS_DONE);
	conf->alias_programs = false;
	assert_int_equal(
	    alias_memo_ask(memo, STR("PROG+1@A.test"), &count), ALIAS_DONE);
	assert_int_equal(count, 2);
	/* It is forgotten with as many others as are remembered. */
	for (int i = 0; i < ALIAS_MEMO_MAX; i++) {
		snprintf(address, sizeof(address), "two@x%d.t.test", i);
		assert_int_equal(
		    alias_memo_ask(memo, str_from(address), &count),
		    ALIAS_DONE);
		assert_int_equal(count, 2);
	}
	assert_int_equal(
	    alias_memo_ask(memo, STR("prog@a.test"), &count), ALIAS_TO_PROGRAM);
	alias_memo_free(memo);
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_outcomes),
	    cmocka_unit_test(test_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
