/*
 * Mail of this host: users at the submission socket, and the pickup role.
 */
#include "role/receive_kit.h"

#define SOCKET 0 /* conf_text has no listener: the socket is the first */

static role_conn
come_local(uint32_t uid)
{
	return fake_accept_local(&f, &role_receive_ops, role, SOCKET, uid);
}

static role_conn
come_pickup(void)
{
	return fake_accept_local(
	    &f, &role_receive_ops, role, ROLE_NO_LISTENER, 0);
}

static void
greet(role_conn conn)
{
	say(conn, "", "220 holder.test ESMTP sendq\r\n");
	fake_input(&f, conn, STR("EHLO here\r\n"));
	fake_take_text(&f, conn, said, sizeof(said));
}

/* Sends a message by CONN with MAIL's PARAMETERS; its Received field. */
static void
send_message(role_conn conn, const char *parameters, char trace[1000])
{
	struct message m;
	char commands[200];
	uint64_t number;

	snprintf(commands, sizeof(commands),
	    "MAIL FROM:<a@b.test>%s\r\nRCPT TO:<x@ship.test>\r\nDATA\r\n",
	    parameters);
	say(conn, commands,
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n" GO_ON);
	m = expect_frame(MESSAGE_INTAKE_OPEN);
	number = m.u.intake_open.transaction;
	expect_frame(MESSAGE_INTAKE_RECIPIENT);
	say(conn, "X: y\r\n\r\n.\r\n", "");
	m = expect_frame(MESSAGE_INTAKE_CONTENT);
	snprintf(trace, 1000, "%.*s", STR_ARG(m.u.intake_content.bytes));
	expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "", "250 2.0.0 Ok\r\n");
}

/* A user of this host is named in the field and in the log, also with its
   second message. */
static void
test_user_is_recorded(void **state)
{
	role_conn conn = come_local(1000);
	char trace[1000];

	assert_true(was_logged("connect - peer=uid:1000 listener=0"));
	greet(conn);
	for (int i = 0; i < 2; i++) {
		send_message(conn, "", trace);
		assert_non_null(strstr(trace,
		    "Received: from here (uid 1000)\r\n\tby holder.test with "
		    "ESMTP id "));
		assert_true(was_logged("peer=uid:1000 helo=here uid=1000\n"));
		log_text[0] = '\0';
	}
}

/* It may send anywhere but to an address literal without a route; who comes by
   the network may not. */
static void
test_may_relay(void **state)
{
	role_conn local = come_local(1000), far = come_greeted("192.0.2.50");
	const char *mail = "MAIL FROM:<a@b.test>\r\n";

	greet(local);
	say(local, mail, "250 2.1.0 Sender ok\r\n");
	say(far, mail, "250 2.1.0 Sender ok\r\n");
	say(local, "RCPT TO:<u@nowhere.test>\r\n",
	    "250 2.1.5 Recipient ok\r\n");
	say(far, "RCPT TO:<u@nowhere.test>\r\n",
	    "550 5.7.1 Relaying denied\r\n");
	say(local, "RCPT TO:<u@far.test>\r\n", "250 2.1.5 Recipient ok\r\n");
	say(local, "RCPT TO:<u@[192.0.2.3]>\r\n",
	    "550 5.7.1 Relaying denied\r\n");
	assert_true(was_logged("peer=uid:1000"));
}

/* Mail is not for those to ask for who are on this host. */
static void
test_may_not_trigger(void **state)
{
	role_conn conn = come_local(0);

	greet(conn);
	fake_input(&f, conn, STR("ETRN ship.test\r\n"));
	fake_take_text(&f, conn, said, sizeof(said));
	assert_int_equal(said[0], '4');
	expect_no_frame();
}

/* A user has the share of a network, and takes nothing from others. */
static void
test_user_share(void **state)
{
	struct receive *r = role;

	r->network_connections_max = 1;
	assert_true(fake_is_open(&f, come_local(1000)));
	assert_false(fake_is_open(&f, come_local(1000)));
	assert_true(was_logged("turned-away - peer=uid:1000"));
	assert_true(fake_is_open(&f, come_local(1001)));
	assert_true(fake_is_open(&f, come("0.0.3.232")));
	/* Users count among all. */
	assert_false(fake_is_open(&f, come_local(1002)));
	/* The pickup role does not wait for them. */
	assert_true(fake_is_open(&f, come_pickup()));
}

static void
test_pickup(void **state)
{
	role_conn conn = come_pickup();
	char trace[1000];

	say(conn, "", "220 holder.test ESMTP sendq\r\n");
	fake_input(&f, conn, STR("EHLO holder.test\r\n"));
	fake_take_text(&f, conn, said, sizeof(said));
	assert_non_null(strstr(said, "250-XUID\r\n"));
	send_message(conn, " XUID=1234", trace);
	assert_non_null(
	    strstr(trace, "Received: from holder.test (uid 1234)\r\n"));
	assert_true(was_logged("peer=pickup helo=holder.test uid=1234\n"));
	/* Each message has its own. */
	send_message(conn, " XUID=0", trace);
	assert_non_null(strstr(trace, "(uid 0)\r\n"));
	say(conn, "MAIL FROM:<>\r\nRCPT TO:<u@nowhere.test>\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n");
	/* However many recipients of others are wrong. */
	for (int i = 0; i < 20; i++)
		say(conn, "RCPT TO:<u@[192.0.2.3]>\r\n",
		    "550 5.7.1 Relaying denied\r\n");
}

/* Nobody else says whose message it is. */
static void
test_uid_is_not_for_all(void **state)
{
	role_conn conns[] = {come_local(1000), come("192.0.2.50")};

	for (size_t i = 0; i < 2; i++) {
		greet(conns[i]);
		assert_null(strstr(said, "XUID"));
		say(conns[i], "MAIL FROM:<a@b.test> XUID=0\r\n",
		    "555 5.5.4 Unknown parameter XUID\r\n");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_user_is_recorded),
	    TEST(test_may_relay),
	    TEST(test_may_not_trigger),
	    TEST(test_user_share),
	    TEST(test_pickup),
	    TEST(test_uid_is_not_for_all),
	};

	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
