/* Settings of the command line in the place of those in the file. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char text[] =
    "hostname = \"a.test\"\nspool = \"ram:\"\nretry-min = \"9m\"\n"
    "listen = ( { address = \"192.0.2.1\" } )\nsmtp-port = 26\n";

/* What conf_read_changed() says of CHANGES. */
static int
read_changed(const char *changes, struct buf *errors, struct conf **conf_out)
{
	FILE *file = fmemopen(text, strlen(text), "r");
	int error;

	buf_init(errors, 10000);
	assert_non_null(file);
	error = conf_read_changed(file, "t", changes, errors, conf_out);
	fclose(file);
	return error;
}

static void
test_changes(void **state)
{
	struct conf *conf;
	struct buf errors;

	assert_int_equal(read_changed("", &errors, &conf), 0);
	assert_int_equal(conf->retry_min_ms, 540000);
	assert_int_equal(conf->listen_count, 1);
	conf_free(conf);
	buf_fini(&errors);
	assert_int_equal(
	    read_changed("spool = \"/x\"\nretry-min = \"1m\"\n"
			 "listen = ()\nsmtp-port = 2525\nlog = \"syslog\"\n",
		&errors, &conf),
	    0);
	assert_true(str_equal(conf->spool, STR("/x")));
	assert_int_equal(conf->retry_min_ms, 60000);
	assert_int_equal(conf->listen_count, 0);
	assert_int_equal(conf->smtp_port, 2525);
	assert_true(str_equal(conf->log, STR("syslog")));
	conf_free(conf);
	buf_fini(&errors);
	assert_int_equal(
	    read_changed("listen = ( { address = \"127.0.0.1:26\" }, "
			 "{ address = \"[::1]\" } )\n",
		&errors, &conf),
	    0);
	assert_int_equal(conf->listen_count, 2);
	assert_int_equal(conf->listen[0].address.port, 26);
	assert_int_equal(conf->listen[1].address.family, 6);
	conf_free(conf);
	buf_fini(&errors);
}

static void
test_mistakes(void **state)
{
	static const struct {
		const char *changes, *part;
	} cases[] = {
	    {"spool", "in what was set besides: syntax error"},
	    {"retry-min = \"1 fortnight\"", "retry-min"},
	    {"no-such = 1", "no-such"},
	    {"listen = ( 1 )", "listen cannot be set besides"},
	    {"listen = ( { address = [ \"127.0.0.1\" ] } )",
		"listen cannot be set besides"},
	    {"listen = ( { address = \"here\" } )", "here"},
	    {"site = { a = 1 }", "site cannot be set besides"},
	};
	struct conf *conf;
	struct buf errors;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_not_equal(
		    read_changed(cases[i].changes, &errors, &conf), 0);
		assert_null(conf);
		if (memmem(buf_str(&errors).data, buf_size(&errors),
			cases[i].part, strlen(cases[i].part)) == NULL)
			fail_msg("%.*s", STR_ARG(buf_str(&errors)));
		buf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
