/*
 * What the receive role refuses for a while: sessions and triggers of a client
 * network, recipients of a full site, and waiting for the queue without end.
 * Each limit is tested at it and one past it.
 */
#include "role/receive_kit.h"

static const char limits_conf[] =
    "hostname = \"holder.test\"; spool = \"ram:\";\n"
    "postmaster = \"admin@ship.test\";\n"
    "connections-max = 40; connections-network-max = 2;\n"
    "triggers-minute-max = 3;\n"
    "site = (\n"
    " { name = \"ship\"; domains = [ \"ship.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.1\";\n"
    "   from = [ \"192.0.2.0/24\", \"198.51.100.0/24\" ]; },\n"
    " { name = \"other\"; domains = [ \"other.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.6\"; from = [ \"192.0.2.0/24\" ]; }\n"
    ");\n";

#define TURNED_AWAY                                                            \
	"421 4.7.0 holder.test Too many connections from your network, try "   \
	"later\r\n"

static bool
is_taken(const char *address)
{
	role_conn conn = come(address);
	bool is_open = fake_is_open(&f, conn);

	fake_take_text(&f, conn, said, sizeof(said));
	assert_string_equal(
	    said, is_open ? "220 holder.test ESMTP sendq\r\n" : TURNED_AWAY);
	return is_open;
}

static void
test_connections_network_max(void **state)
{
	static const struct {
		const char *address;
		bool is_taken;
	} cases[] = {
	    {"192.0.2.0", true},
	    {"192.0.2.255", true},
	    {"192.0.2.7", false},
	    {"192.0.3.7", true},
	    {"192.0.1.255", true},
	    {"2001:db8::1", true},
	    {"2001:db8::ffff:ffff:ffff:ffff", true},
	    {"2001:db8::2", false},
	    {"2001:db8:0:1::2", true},
	    /* The same bytes as 192.0.2.x, in another family. */
	    {"c000:200::", true},
	    {"c000:200::1", true},
	    {"::ffff:192.0.2.9", false},
	};
	role_conn first = come("203.0.113.1");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (is_taken(cases[i].address) != cases[i].is_taken)
			fail_msg("case %zu", i);
	assert_true(was_logged("detail turned-away - peer=192.0.2.7 reason="));
	assert_true(is_taken("203.0.113.2"));
	assert_false(is_taken("203.0.113.3"));
	fake_close(&f, first, 0);
	assert_true(is_taken("203.0.113.3"));
	assert_false(is_taken("203.0.113.4"));
}

/* Each process has its share of a limit, rounded up. */
static void
test_share(void **state)
{
	struct conf shared = *conf;
	struct receive *r;

	shared.receive_processes = 3;
	shared.connections_network_max = 4;
	shared.triggers_minute_max = 300;
	r = role_receive_new(&f.env, &shared);
	assert_int_equal(r->connections_max, 14);
	assert_int_equal(r->network_connections_max, 2);
	assert_int_equal(r->triggers_max, 100);
	role_receive_free(r);
}

#define BUSY(name) "458 4.3.2 Unable to queue messages for node " name "\r\n"

/* Asks, and lets the queue say that nothing waits. */
static void
ask_empty(role_conn conn, const char *line)
{
	struct message m;
	struct message done = {.type = MESSAGE_TRIGGER_DONE};

	say(conn, line, "");
	m = expect_frame(MESSAGE_TRIGGER);
	done.u.trigger_done.request = m.u.trigger.request;
	done.u.trigger_done.result = MESSAGE_TRIGGER_EMPTY;
	assert_int_equal(fake_frame(&f, QUEUE, &done), 0);
	fake_take_text(&f, conn, said, sizeof(said));
	assert_int_equal(strncmp(said, "25", 2), 0);
}

/* One past the limit of a network, no name is even looked at; a minute after
   the first, all is as before. */
static void
test_triggers_of_a_network(void **state)
{
	uint64_t begin_ms = f.now_ms;
	role_conn conn = come_greeted("192.0.2.1"), other;

	ask_empty(conn, "ETRN ship.test\r\n");
	say(conn, "ETRN nobody.test\r\n",
	    "459 4.7.1 <nobody.test>: service unavailable\r\n");
	ask_empty(conn, "QSND other.test\r\n");
	say(conn, "ETRN ship.test\r\n", BUSY("ship.test"));
	say(conn, "QSND nobody.test\r\n", BUSY("nobody.test"));
	say(conn, "ETRN ?\r\n", BUSY("?"));
	expect_no_frame();
	assert_true(was_logged("note trigger-limited - site=- kind=ETRN "
			       "peer=192.0.2.1 name=ship.test"));
	assert_false(was_logged("trigger-limited - site=- kind=QSND"));
	/* The network counts, not the session. */
	fake_close(&f, conn, 0);
	fake_timer(&f, begin_ms + 59999);
	conn = come_greeted("192.0.2.254");
	say(conn, "ETRN ship.test\r\n", BUSY("ship.test"));
	other = come_greeted("198.51.100.1");
	ask_empty(other, "ETRN ship.test\r\n");
	fake_timer(&f, begin_ms + 60000);
	ask_empty(conn, "ETRN ship.test\r\n");
	expect_no_frame();
}

/* The limit of a site counts over all that may ask for it. */
static void
test_triggers_of_a_site(void **state)
{
	role_conn one = come_greeted("192.0.2.1");
	role_conn two = come_greeted("198.51.100.1");
	uint64_t begin_ms = f.now_ms;

	ask_empty(one, "ETRN ship.test\r\n");
	ask_empty(two, "ETRN ship.test\r\n");
	ask_empty(two, "ETRN ship.test\r\n");
	say(one, "ETRN ship.test\r\n", BUSY("ship.test"));
	expect_no_frame();
	assert_true(was_logged("note trigger-limited - site=ship kind=ETRN "
			       "peer=192.0.2.1 name=ship.test"));
	ask_empty(one, "ETRN other.test\r\n");
	fake_timer(&f, begin_ms + 60000);
	ask_empty(one, "ETRN ship.test\r\n");
}

/* Networks without sessions are remembered, but not too many of them. */
static void
test_networks_are_bounded(void **state)
{
	struct conf_address from = {.family = 6};
	struct receive_network *network;
	struct receive *r = role;

	for (unsigned i = 0; i < RECEIVE_NETWORKS_IDLE + 1; i++) {
		from.bytes[0] = (unsigned char)(i >> 8);
		from.bytes[1] = (unsigned char)i;
		network = receive_network_enter(r, &from);
		assert_true(receive_rate_take(&network->triggers, 5, 1));
		assert_false(receive_rate_take(&network->triggers, 5, 1));
		receive_network_leave(r, network);
	}
	assert_int_equal(HASH_COUNT(r->networks), RECEIVE_NETWORKS_IDLE);
	/* The first is forgotten, the last is not. */
	network = receive_network_enter(r, &from);
	assert_false(receive_rate_take(&network->triggers, 6, 1));
	receive_network_leave(r, network);
	from.bytes[0] = from.bytes[1] = 0;
	network = receive_network_enter(r, &from);
	assert_true(receive_rate_take(&network->triggers, 6, 1));
	receive_network_leave(r, network);
	/* Without a trigger nothing stays. */
	from.bytes[0] = 0xff;
	network = receive_network_enter(r, &from);
	assert_int_equal(HASH_COUNT(r->networks), RECEIVE_NETWORKS_IDLE + 1);
	receive_network_leave(r, network);
	assert_int_equal(HASH_COUNT(r->networks), RECEIVE_NETWORKS_IDLE);
}

static void
site_state(const char *site, bool is_open, int error)
{
	struct message m = {.type = MESSAGE_INTAKE_SITE,
	    .u.intake_site = {str_from(site), is_open}};

	assert_int_equal(fake_frame(&f, QUEUE, &m), error);
}

#define SITE_FULL "452 4.2.2 Too much is queued for it, try later\r\n"
#define RCPT_OK   "250 2.1.5 Recipient ok\r\n"

static void
test_full_site(void **state)
{
	role_conn conn = come_greeted("203.0.113.1");

	say(conn, "MAIL FROM:<a@b.test>\r\n", "250 2.1.0 Sender ok\r\n");
	say(conn, "RCPT TO:<x@ship.test>\r\n", RCPT_OK);
	site_state("ship", false, 0);
	say(conn, "RCPT TO:<y@SHIP.test>\r\n", SITE_FULL);
	say(conn, "RCPT TO:<Postmaster>\r\n", SITE_FULL);
	say(conn, "RCPT TO:<x@other.test>\r\n", RCPT_OK);
	say(conn, "RCPT TO:<x@far.test>\r\n", "550 5.7.1 Relaying denied\r\n");
	assert_true(was_logged("note refused - rcpt=<y@SHIP.test>"));
	site_state("ship", true, 0);
	say(conn, "RCPT TO:<Postmaster>\r\n", RCPT_OK);
	/* What another queue process said does not count. */
	site_state("ship", false, 0);
	fake_peer_down(&f, QUEUE);
	fake_peer_up(&f, &role_receive_ops, role, 8, ROLE_QUEUE);
	say(conn, "RCPT TO:<y@ship.test>\r\n", RCPT_OK);
}

static void
test_full_site_that_is_none(void **state)
{
	site_state("shop", false, -EPROTO);
}

#define TOO_LATE "451 4.3.0 Queue unavailable, try later\r\n"

/* No reply to the commit, no credit: after a while the session goes on. */
static void
test_queue_too_slow(void **state)
{
	static char line[1001];
	uint64_t number, begin_ms;
	role_conn conn = come_to_data(&number);
	struct message m;

	say(conn, "x\r\n.\r\n", "");
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	begin_ms = f.now_ms;
	fake_timer(&f, begin_ms + 599999);
	say(conn, "", "");
	fake_timer(&f, begin_ms + 600000);
	say(conn, "", TOO_LATE);
	m = expect_frame(MESSAGE_INTAKE_ABORT);
	assert_int_equal(m.u.intake_abort.transaction, number);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "NOOP\r\n", "250 2.0.0 Done\r\n");
	fake_close(&f, conn, 0);
	expect_no_frame();

	conn = come_to_data(&number);
	memset(line, 'a', 998);
	memcpy(line + 998, "\r\n", 3);
	for (int i = 0; i < 400; i++)
		fake_input(&f, conn, str_from(line));
	for (int i = 0; i < 4; i++)
		expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_no_frame();
	begin_ms = f.now_ms;
	fake_timer(&f, begin_ms + 599999);
	expect_no_frame();
	fake_timer(&f, begin_ms + 600000);
	expect_frame(MESSAGE_INTAKE_ABORT);
	say(conn, ".\r\nNOOP\r\n", TOO_LATE "250 2.0.0 Done\r\n");
	expect_no_frame();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_connections_network_max),
	    TEST(test_share),
	    TEST(test_triggers_of_a_network),
	    TEST(test_triggers_of_a_site),
	    TEST(test_networks_are_bounded),
	    TEST(test_full_site),
	    TEST(test_full_site_that_is_none),
	    TEST(test_queue_too_slow),
	};

	kit_conf = limits_conf;
	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
