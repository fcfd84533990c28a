/* Sessions at a high load of the machine. */
#include "role/receive_kit.h"

static const char load_conf[] =
    "hostname = \"holder.test\"; spool = \"ram:\"; refuse-load = 7;\n";

static int
read_load_conf(void **state)
{
	kit_conf = load_conf;
	return read_conf(state);
}

static void
test_refuse_load(void **state)
{
	role_conn conn;

	f.load = 6;
	assert_true(fake_is_open(&f, come("192.0.2.50")));
	f.load = 7;
	conn = come("192.0.2.50");
	say(conn, "", "421 4.3.2 holder.test Load too high, try later\r\n");
	assert_false(fake_is_open(&f, conn));
	f.load = 0;
	assert_true(fake_is_open(&f, come("192.0.2.50")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_refuse_load, start, finish),
	};

	return cmocka_run_group_tests(tests, read_load_conf, free_conf);
}
