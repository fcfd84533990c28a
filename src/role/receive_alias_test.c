/* Aliases in the receive role: which recipients are taken, and how many. */
#include "role/receive_kit.h"

static const char alias_conf[] =
    "hostname = \"holder.test\"; spool = \"ram:\";\n"
    "recipients-max = 1000;\n"
    "site = ( { name = \"home\"; domains = [ \"home.test\" ];\n"
    "   route = \"maildir:/m\" } );\n";

static int
read_aliases(void **state)
{
	struct buf text;

	kit_conf = alias_conf;
	(void)read_conf(state);
	buf_init(&text, 1 << 20);
	assert_int_equal(buf_append(&text, STR("one: joe@far.test\n"
					       "null: /dev/null\n"
					       "loop: loop2\nloop2: loop\n"
					       "file: /var/x\nprog: |/bin/x\n"
					       "most: u0")),
	    0);
	for (int i = 1; i < STORE_RECIPIENTS_MAX - 1; i++)
		assert_int_equal(buf_printf(&text, ",u%d", i), 0);
	assert_int_equal(buf_append(&text, STR("\nover: most, x, y\n")), 0);
	conf->aliases = alias_table_new();
	alias_table_read(conf->aliases, STR("f"), buf_str(&text));
	buf_fini(&text);
	return 0;
}

static const struct {
	const char *address;
	const char *reply;
} cases[] = {
    {"one@home.test", "250 2.1.5 Recipient ok\r\n"},
    {"ONE@Holder.test", "250 2.1.5 Recipient ok\r\n"},
    {"null@home.test", "250 2.1.5 Recipient ok\r\n"},
    {"joe@home.test", "250 2.1.5 Recipient ok\r\n"},
    {"joe@holder.test", "550 5.1.1 User unknown\r\n"},
    {"one@far.test", "550 5.7.1 Relaying denied\r\n"},
    {"loop@home.test", "451 4.2.4 The alias goes round in a circle\r\n"},
    {"file@home.test", "250 2.1.5 Recipient ok\r\n"},
    {"prog@home.test", "451 4.2.4 The alias names a program, and "
		       "alias-programs is not on\r\n"},
    /* However a program or a file is written, it is a mailbox or nobody. */
    {"\"|/bin/x\"@home.test", "250 2.1.5 Recipient ok\r\n"},
    {"\"|/bin/x\"@holder.test", "550 5.1.1 User unknown\r\n"},
    {"|/bin/x@holder.test", "550 5.1.1 User unknown\r\n"},
    {"\"/var/x\"@holder.test", "550 5.1.1 User unknown\r\n"},
    {"\"|/bin/x\"", "501 5.1.3 Syntax: RCPT TO:<address> [parameters]\r\n"},
    {"|/bin/x", "501 5.1.3 Syntax: RCPT TO:<address> [parameters]\r\n"},
    {"/var/x", "501 5.1.3 Syntax: RCPT TO:<address> [parameters]\r\n"},
    {"over@home.test", "451 4.2.4 The alias has too many recipients\r\n"},
};

static void
test_replies(void **state)
{
	role_conn conn = come_greeted("192.0.2.1");
	char command[100];

	say(conn, "MAIL FROM:<s@x.test>\r\n", "250 2.1.0 Sender ok\r\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(command, sizeof(command), "RCPT TO:<%s>\r\n",
		    cases[i].address);
		say(conn, command, cases[i].reply);
	}
	/* That is for users of this host. */
	say(conn, "RCPT TO:<joe@home.test> XFINAL\r\n",
	    "555 5.5.4 Unknown parameter XFINAL\r\n");
}

/* What aliases stand for counts, and only in its own transaction. */
static void
test_expanded_count(void **state)
{
	role_conn conn = come_greeted("192.0.2.1");

	say(conn, "MAIL FROM:<s@x.test>\r\n", "250 2.1.0 Sender ok\r\n");
	for (int i = 0; i < 2; i++) {
		say(conn, "RCPT TO:<most@home.test>\r\n",
		    "250 2.1.5 Recipient ok\r\n");
		say(conn, "RCPT TO:<null@home.test>\r\n",
		    "250 2.1.5 Recipient ok\r\n");
		say(conn, "RCPT TO:<most@home.test>\r\n",
		    "452 4.5.3 Too many recipients\r\n");
		say(conn, "RCPT TO:<joe@home.test>\r\n",
		    "250 2.1.5 Recipient ok\r\n");
		say(conn, "RCPT TO:<ann@home.test>\r\n",
		    "452 4.5.3 Too many recipients\r\n");
		say(conn, "RSET\r\n", "250 2.0.0 Reset\r\n");
		say(conn, "MAIL FROM:<s@x.test>\r\n",
		    "250 2.1.0 Sender ok\r\n");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_replies, start, finish),
	    cmocka_unit_test_setup_teardown(test_expanded_count, start, finish),
	};

	return cmocka_run_group_tests(tests, read_aliases, free_conf);
}
