/*
 * Transactions of the receive role: whole conversations, and the frames that
 * they make.
 */
#include "base/crc32c.h"
#include "role/receive_kit.h"

/* The life of one message, with every frame looked at. */
static void
test_message(void **state)
{
	role_conn conn = come_greeted("192.0.2.50");
	const char *content = "Subject: x\r\n\r\n.y\r\n";
	struct message m;
	uint64_t number;
	uint32_t crc;
	size_t size;
	char id[20];

	say(conn,
	    "MAIL FROM:<a@b.test> BODY=8BITMIME ENVID=e1\r\n"
	    "RCPT TO:<x@ship.test> NOTIFY=NEVER\r\nDATA\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n" GO_ON);
	m = expect_frame(MESSAGE_INTAKE_OPEN);
	number = m.u.intake_open.transaction;
	assert_int_equal(m.u.intake_open.id.size, NEWID_SIZE);
	snprintf(id, sizeof(id), "%.*s", STR_ARG(m.u.intake_open.id));
	assert_true(
	    str_equal(m.u.intake_open.envelope.sender, STR("a@b.test")));
	assert_true(str_equal(m.u.intake_open.envelope.envid, STR("e1")));
	m = expect_frame(MESSAGE_INTAKE_RECIPIENT);
	assert_int_equal(m.u.intake_recipient.transaction, number);
	assert_int_equal(
	    m.u.intake_recipient.recipient.notify, MAIL_NOTIFY_NEVER);
	expect_no_frame();

	say(conn, "Subject: x\r\n\r\n..y\r\n.\r\n", "");
	m = expect_frame(MESSAGE_INTAKE_CONTENT);
	size = m.u.intake_content.bytes.size;
	crc = crc32c(0, m.u.intake_content.bytes);
	snprintf(said, sizeof(said), "%.*s", STR_ARG(m.u.intake_content.bytes));
	assert_non_null(strstr(said,
	    "Received: from client.test ([192.0.2.50])\r\n\tby holder.test "
	    "with ESMTP id "));
	assert_non_null(strstr(said, "for <x@ship.test>"));
	assert_non_null(strstr(said, id));
	assert_string_equal(said + size - strlen(content), content);
	m = expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_int_equal(m.u.intake_commit.transaction, number);
	assert_int_equal(m.u.intake_commit.content_size, size);
	assert_int_equal(m.u.intake_commit.content_crc32c, crc);

	/* What is pipelined behind the dot waits for the answer. */
	say(conn, "NOOP\r\n", "");
	assert_int_equal(answer(number, 250, "2.0.0", "Ok: queued as X"), 0);
	say(conn, "QUIT\r\n",
	    "250 2.0.0 Ok: queued as X\r\n250 2.0.0 Done\r\n"
	    "221 2.0.0 holder.test Bye\r\n");
	assert_false(fake_is_open(&f, conn));
	expect_no_frame();
	assert_true(was_logged("note received"));
	assert_true(was_logged("from=<a@b.test> size="));
	assert_true(was_logged("nrcpt=1 peer=192.0.2.50 helo=client.test"));
	assert_true(was_logged("detail connect - peer=192.0.2.50"));
}

/* Two recipients: each in a frame, none in the trace; HELO is SMTP; a second
   message gets another id. */
static void
test_recipients(void **state)
{
	role_conn conn = come("192.0.2.50");
	struct message m;
	char first[20];

	say(conn, "HELO old.test\r\n",
	    "220 holder.test ESMTP sendq\r\n250 holder.test\r\n");
	say(conn,
	    "MAIL FROM:<>\r\nRCPT TO:<x@ship.test>\r\n"
	    "RCPT TO:<y@ship.test>\r\nDATA\r\nz\r\n.\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n"
	    "250 2.1.5 Recipient ok\r\n" GO_ON);
	m = expect_frame(MESSAGE_INTAKE_OPEN);
	snprintf(first, sizeof(first), "%.*s", STR_ARG(m.u.intake_open.id));
	expect_frame(MESSAGE_INTAKE_RECIPIENT);
	expect_frame(MESSAGE_INTAKE_RECIPIENT);
	m = expect_frame(MESSAGE_INTAKE_CONTENT);
	snprintf(said, sizeof(said), "%.*s", STR_ARG(m.u.intake_content.bytes));
	assert_null(strstr(said, "for <"));
	assert_non_null(strstr(said, " with SMTP id "));
	m = expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_int_equal(
	    answer(m.u.intake_commit.transaction, 250, "2.0.0", "Ok"), 0);
	say(conn, "MAIL FROM:<>\r\nRCPT TO:<x@ship.test>\r\nDATA\r\n",
	    "250 2.0.0 Ok\r\n250 2.1.0 Sender ok\r\n"
	    "250 2.1.5 Recipient ok\r\n" GO_ON);
	m = expect_frame(MESSAGE_INTAKE_OPEN);
	assert_false(str_equal(m.u.intake_open.id, str_from(first)));
}

static void
test_rcpt(void **state)
{
	static const struct {
		const char *peer;
		const char *to;
		const char *answer;
		const char *kept; /* NULL = as given */
	} cases[] = {
	    {"192.0.2.50", "x@ship.test", "250 2.1.5 Recipient ok", NULL},
	    {"192.0.2.50", "x@SHIP.Test", "250 2.1.5 Recipient ok", NULL},
	    {"192.0.2.50", "x%far.test@ship.test", "250 2.1.5 Recipient ok",
		NULL},
	    {"192.0.2.50", "far.test!x@ship.test", "250 2.1.5 Recipient ok",
		NULL},
	    {"192.0.2.50", "@far.test:x@ship.test", "250 2.1.5 Recipient ok",
		"x@ship.test"},
	    {"192.0.2.50", "@ship.test:x@far.test", "550 5.7.1 Relaying denied",
		NULL},
	    {"192.0.2.50", "postmaster@ship.test", "250 2.1.5 Recipient ok",
		NULL},
	    {"192.0.2.50", "PostMaster", "250 2.1.5 Recipient ok",
		"admin@ship.test"},
	    {"192.0.2.50", "postMaster@Holder.Test", "250 2.1.5 Recipient ok",
		"admin@ship.test"},
	    {"192.0.2.50", "x@holder.test", "550 5.7.1 Relaying denied", NULL},
	    {"192.0.2.50", "postmaster@far.test", "550 5.7.1 Relaying denied",
		NULL},
	    {"192.0.2.50", "x@far.test", "550 5.7.1 Relaying denied", NULL},
	    {"192.0.2.50", "x@sub.ship.test", "550 5.7.1 Relaying denied",
		NULL},
	    {"192.0.2.50", "x@[192.0.2.1]", "550 5.7.1 Relaying denied", NULL},
	    {"192.0.2.50", "x@localhost", "550 5.7.1 Relaying denied", NULL},
	    {"192.0.2.200", "x@far.test", "250 2.1.5 Recipient ok", NULL},
	    {"192.0.2.200", "x@nowhere.test", "550 5.7.1 Relaying denied",
		NULL},
	    {"192.0.2.200", "x@ship.test", "250 2.1.5 Recipient ok", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		role_conn conn = come_greeted(cases[i].peer);
		bool is_good = cases[i].answer[0] == '2';
		struct message m;
		char line[400], reply[400];

		say(conn, "MAIL FROM:<a@b.test>\r\n",
		    "250 2.1.0 Sender ok\r\n");
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", cases[i].to);
		snprintf(reply, sizeof(reply), "%s\r\n", cases[i].answer);
		say(conn, line, reply);
		if (is_good) {
			say(conn, "DATA\r\n", GO_ON);
			expect_frame(MESSAGE_INTAKE_OPEN);
			m = expect_frame(MESSAGE_INTAKE_RECIPIENT);
			assert_true(
			    str_equal(m.u.intake_recipient.recipient.address,
				str_from(cases[i].kept ? cases[i].kept
						       : cases[i].to)));
		}
		fake_close(&f, conn, 0);
		if (is_good)
			expect_frame(MESSAGE_INTAKE_ABORT);
		expect_no_frame();
	}
	assert_true(was_logged("note refused - rcpt=<x@far.test> "
			       "from=<a@b.test> reason=\"Relaying denied\" "
			       "peer=192.0.2.50"));
}

/* Without a postmaster nobody has the bare name; a domain in UTF-8 has no
   route. */
static void
test_rcpt_decide(void **state)
{
	struct conf none = *conf;
	struct conf_address peer;
	struct mail_address bare = {
	    STR("Postmaster"), STR("Postmaster"), STR("")};
	struct mail_address utf8 = {
	    STR("x@\xc3\xa9.test"), STR("x"), STR("\xc3\xa9.test")};
	bool is_postmaster;

	assert_int_equal(conf_address_parse(STR("192.0.2.200"), &peer), 0);
	none.postmaster = STR("");
	assert_int_equal(
	    receive_rcpt_decide(&none, &peer, &bare, &is_postmaster).code, 550);
	assert_false(is_postmaster);
	assert_int_equal(
	    receive_rcpt_decide(conf, &peer, &utf8, &is_postmaster).code, 553);
}

/* One recipient over the maximum; the others stand. */
static void
test_recipients_max(void **state)
{
	role_conn conn = come_greeted("192.0.2.50");

	say(conn,
	    "MAIL FROM:<>\r\nRCPT TO:<a@ship.test>\r\nRCPT TO:<b@ship.test>\r\n"
	    "RCPT TO:<c@ship.test>\r\nRCPT TO:<d@ship.test>\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n"
	    "250 2.1.5 Recipient ok\r\n250 2.1.5 Recipient ok\r\n"
	    "452 4.5.3 Too many recipients\r\n");
}

/* What the queue says to the dot, and what it may not say. */
static void
test_answers(void **state)
{
	static const struct {
		uint32_t code;
		const char *enhanced, *text;
		int error;
		const char *answer;
	} cases[] = {
	    {452, "4.3.1", "Full", 0, "452 4.3.1 Full\r\n"},
	    {554, "5.6.0", "No\r\n250 x", 0, "554 5.6.0 No??250 x\r\n"},
	    {250, "", "Ok", 0, "250 Ok\r\n"},
	    {354, "", "Go", -EPROTO, ""},
	    {560, "5.0.0", "No", -EPROTO, ""},
	    {250, "4.0.0", "Ok", -EPROTO, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t number;
		role_conn conn = come_to_data(&number);

		say(conn, "x\r\n.\r\n", "");
		expect_frame(MESSAGE_INTAKE_CONTENT);
		expect_frame(MESSAGE_INTAKE_COMMIT);
		assert_int_equal(answer(number, cases[i].code,
				     cases[i].enhanced, cases[i].text),
		    cases[i].error);
		say(conn, "", cases[i].answer);
		/* A second answer finds nothing. */
		if (cases[i].error == 0)
			assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
		say(conn, "", "");
		fake_close(&f, conn, 0);
		expect_no_frame();
	}
}

/* Content goes in full blocks, and no further than the credit. */
static void
test_credit(void **state)
{
	static char line[1001];
	uint64_t number, sent = 0;
	role_conn conn = come_to_data(&number);
	uint32_t crc = 0;
	struct message m;

	memset(line, 'a', 998);
	memcpy(line + 998, "\r\n", 3);
	for (int i = 0; i < 600; i++)
		fake_input(&f, conn, str_from(line));
	for (int i = 0; i < 4; i++) {
		m = expect_frame(MESSAGE_INTAKE_CONTENT);
		assert_int_equal(m.u.intake_content.bytes.size, STORE_BLOCK);
		crc = crc32c(crc, m.u.intake_content.bytes);
		sent += m.u.intake_content.bytes.size;
	}
	assert_int_equal(sent, MESSAGE_CREDIT);
	expect_no_frame();
	/* It takes no more: less than two blocks are kept. */
	assert_true(
	    buf_size(&fake_conn(&f, conn)->input) > 600000 - 6 * STORE_BLOCK);
	assert_int_equal(
	    role_receive_ops.bytes(role, f.now_ms, conn, STR("x")), 0);

	/* One byte too few for a block, then that byte. */
	give_credit(number, STORE_BLOCK - 1);
	expect_no_frame();
	give_credit(number, 1);
	m = expect_frame(MESSAGE_INTAKE_CONTENT);
	crc = crc32c(crc, m.u.intake_content.bytes);
	sent += m.u.intake_content.bytes.size;
	expect_no_frame();
	give_credit(number, 1 << 20);
	fake_input(&f, conn, STR(".\r\n"));
	while (fake_take_frame(&f, QUEUE, &m) &&
	       m.type == MESSAGE_INTAKE_CONTENT) {
		crc = crc32c(crc, m.u.intake_content.bytes);
		sent += m.u.intake_content.bytes.size;
	}
	assert_int_equal(m.type, MESSAGE_INTAKE_COMMIT);
	assert_int_equal(m.u.intake_commit.content_size, sent);
	assert_int_equal(m.u.intake_commit.content_crc32c, crc);
	assert_true(sent > 600000 && sent < 601000);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "", "250 2.0.0 Ok\r\n");
}

/* The rest of the content has no credit when the dot comes. */
static void
test_credit_at_dot(void **state)
{
	static char line[1001];
	uint64_t number;
	role_conn conn = come_to_data(&number);

	memset(line, 'a', 998);
	memcpy(line + 998, "\r\n", 3);
	for (int i = 0; i < 270; i++)
		fake_input(&f, conn, str_from(line));
	for (int i = 0; i < 4; i++)
		expect_frame(MESSAGE_INTAKE_CONTENT);
	say(conn, ".\r\n", "");
	expect_no_frame();
	give_credit(number, STORE_BLOCK);
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	say(conn, "", "250 2.0.0 Ok\r\n");
}

/* The queue refuses in the middle: the rest is passed over. */
static void
test_early_refusal(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);

	say(conn, "x\r\n", "");
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), -EPROTO);
	assert_int_equal(answer(number, 452, "4.3.1", "Full"), 0);
	expect_frame(MESSAGE_INTAKE_ABORT);
	say(conn, "y\r\n.\r\nNOOP\r\n", "452 4.3.1 Full\r\n250 2.0.0 Done\r\n");
	expect_no_frame();
}

static void
test_queue_states(void **state)
{
	role_conn conn = come_greeted("192.0.2.50");
	struct message m = {.type = MESSAGE_INTAKE_STATE};

	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	say(conn, "MAIL FROM:<>\r\n",
	    "452 4.3.1 Insufficient storage, try later\r\n");
	m.u.intake_state.is_open = true;
	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	say(conn, "MAIL FROM:<>\r\nRCPT TO:<a@ship.test>\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n");
	m.u.intake_state.size_max = 1000;
	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	say(conn,
	    "RSET\r\nMAIL FROM:<> SIZE=1001\r\nMAIL FROM:<> SIZE=1000\r\n"
	    "RCPT TO:<a@ship.test>\r\n",
	    "250 2.0.0 Reset\r\n"
	    "452 4.3.1 Insufficient storage for this size, try later\r\n"
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n");
	m.u.intake_state.is_open = false;
	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	say(conn, "DATA\r\n", "452 4.3.1 Insufficient storage, try later\r\n");
	fake_peer_down(&f, QUEUE);
	say(conn, "DATA\r\nRSET\r\nMAIL FROM:<>\r\n",
	    "451 4.3.0 Queue unavailable, try later\r\n250 2.0.0 Reset\r\n"
	    "451 4.3.0 Queue unavailable, try later\r\n");
	expect_no_frame();
	/* Another one comes. */
	fake_peer_up(&f, &role_receive_ops, role, 8, ROLE_QUEUE);
	say(conn, "MAIL FROM:<>\r\n", "250 2.1.0 Sender ok\r\n");
}

/* The queue dies while sessions wait in every way. */
static void
test_queue_lost(void **state)
{
	static char block[300000];
	uint64_t number;
	role_conn in_content = come_to_data(&number);
	role_conn in_commit = come_to_data(&number);
	role_conn in_credit;

	say(in_commit, "x\r\n.\r\n", "");
	say(in_content, "x\r\n", "");
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	in_credit = come_to_data(&number);
	memset(block, 'a', sizeof(block));
	for (size_t i = 1000; i < sizeof(block); i += 1000)
		memcpy(block + i - 2, "\r\n", 2);
	fake_input(&f, in_credit, str_of(block, sizeof(block) - 1000));
	fake_input(&f, in_credit, STR(".\r\n"));
	say(in_credit, "", "");

	fake_peer_down(&f, QUEUE);
	fake_run(&f);
	say(in_commit, "", "451 4.3.0 Queue unavailable, try later\r\n");
	say(in_credit, "", "451 4.3.0 Queue unavailable, try later\r\n");
	say(in_content, "y\r\n.\r\n",
	    "451 4.3.0 Queue unavailable, try later\r\n");
	say(in_commit, "NOOP\r\n", "250 2.0.0 Done\r\n");
}

/* Sending fails before anybody said that the queue is gone. */
static void
test_queue_broken(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);

	fake_peer(&f, QUEUE)->is_broken = true;
	say(conn, "x\r\n.\r\n", "451 4.3.0 Queue unavailable, try later\r\n");
	say(conn, "MAIL FROM:<>\r\nRCPT TO:<a@ship.test>\r\nDATA\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n"
	    "451 4.3.0 Queue unavailable, try later\r\n");
}

/* A transaction that ends before the commit is aborted, after it is not. */
static void
test_abort(void **state)
{
	uint64_t number;
	role_conn conn = come_to_data(&number);
	struct message m;

	say(conn, "x\r\n", "");
	fake_close(&f, conn, -ECONNRESET);
	m = expect_frame(MESSAGE_INTAKE_ABORT);
	assert_int_equal(m.u.intake_abort.transaction, number);

	conn = come_to_data(&number);
	fake_input(&f, conn, STR("a\nb\r\n.\r\n"));
	fake_take_text(&f, conn, said, sizeof(said));
	assert_int_equal(strncmp(said, "550 5.6.0 ", 10), 0);
	expect_frame(MESSAGE_INTAKE_ABORT);
	fake_close(&f, conn, 0);

	conn = come_to_data(&number);
	say(conn, "x\r\n.\r\n", "");
	fake_close(&f, conn, 0);
	expect_frame(MESSAGE_INTAKE_CONTENT);
	expect_frame(MESSAGE_INTAKE_COMMIT);
	assert_int_equal(answer(number, 250, "2.0.0", "Ok"), 0);
	expect_no_frame();
}

static void
test_hops(void **state)
{
	for (int count = RECEIVE_HOPS_MAX; count <= RECEIVE_HOPS_MAX + 1;
	     count++) {
		uint64_t number;
		role_conn conn = come_to_data(&number);

		/* A field that is none, one in the body, one folded. */
		fake_input(&f, conn, STR("X-Received: a\r\nreceive: b\r\n"));
		for (int i = 0; i < count; i++)
			fake_input(&f, conn,
			    STR("ReCeived: from a\r\n by Received: b\r\n"));
		fake_input(&f, conn, STR("\r\nReceived: a\r\n.\r\n"));
		if (count > RECEIVE_HOPS_MAX) {
			expect_frame(MESSAGE_INTAKE_ABORT);
			say(conn, "", "554 5.4.6 Too many hops\r\n");
		} else {
			say(conn, "", "");
			expect_frame(MESSAGE_INTAKE_CONTENT);
			expect_frame(MESSAGE_INTAKE_COMMIT);
		}
		fake_close(&f, conn, 0);
		expect_no_frame();
	}
}

/* Cut anywhere, the count is the same. */
static void
test_hops_cuts(void **state)
{
	struct str text = STR("Received: a\r\n\tReceived: b\r\nRECEIVED:\r\n"
			      "Received : c\r\nPrecedence: bulk\r\n\r\n"
			      "Received: d\r\n");

	for (size_t i = 0; i <= text.size; i++)
		for (size_t j = i; j <= text.size; j++) {
			struct receive_header h = {.hop_count = 0};

			receive_header_feed(&h, str_head(text, i));
			receive_header_feed(
			    &h, str_head(str_skip(text, i), j - i));
			receive_header_feed(&h, str_skip(text, j));
			assert_int_equal(h.hop_count, 2);
			assert_int_equal(h.priority, -4);
		}
}

/* What Precedence says, and what only looks like it. */
static void
test_precedence(void **state)
{
	static const struct {
		const char *header;
		int priority;
	} cases[] = {
	    {"Precedence: list\r\n\r\n", -2},
	    {"PRECEDENCE:\tBulk (so it is)\r\n\r\n", -4},
	    {"precedence:junk\r\n\r\n", -6},
	    {"Precedence: first-class\r\n\r\n", 0},
	    {"Precedence: listing\r\n\r\n", 0},
	    {"Precedence:\r\n bulk\r\n\r\n", 0},
	    {"Precedence: bulk\r\nPrecedence: junk\r\n\r\n", -4},
	    {"X-Precedence: bulk\r\n\r\n", 0},
	    {"Precedence : bulk\r\n\r\n", 0},
	    {"Subject: x\r\n\r\nPrecedence: bulk\r\n", 0},
	    {"Precedence:                               bulk\r\n\r\n", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct receive_header h = {.hop_count = 0};
		struct message m;
		uint64_t number;
		role_conn conn = come_to_data(&number);

		receive_header_feed(&h, str_from(cases[i].header));
		assert_int_equal(h.priority, cases[i].priority);
		/* The queue role is told. */
		fake_input(&f, conn, str_from(cases[i].header));
		fake_input(&f, conn, STR(".\r\n"));
		while (fake_take_frame(&f, QUEUE, &m))
			if (m.type == MESSAGE_INTAKE_COMMIT)
				break;
		assert_int_equal(m.type, MESSAGE_INTAKE_COMMIT);
		assert_int_equal(m.u.intake_commit.priority, cases[i].priority);
		fake_close(&f, conn, 0);
		while (fake_take_frame(&f, QUEUE, &m))
			continue;
	}
}

/* Frames that are none, from a peer that is none, for nobody. */
static void
test_frames(void **state)
{
	assert_int_equal(
	    role_receive_ops.message(role, 0, QUEUE, STR("nonsense")), -EPROTO);
	assert_int_equal(
	    role_receive_ops.message(role, 0, 99, STR("nonsense")), -EPROTO);
	assert_int_equal(answer(12345, 250, "2.0.0", "Ok"), 0);
	give_credit(12345, 1);
}

/* The same conversation whole and byte by byte. */
static void
test_bytes(void **state)
{
	static const char talk[] =
	    "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@ship.test>\r\n"
	    "DATA\r\nA: b\r\n\r\n..\r\n.\r\nNOOP\r\nQUIT\r\n";
	char whole[2000];

	for (size_t step = sizeof(talk); step > 0; step = step > 1 ? 1 : 0) {
		role_conn conn = come("192.0.2.50");
		struct message m = {.type = MESSAGE_TYPES};

		for (size_t i = 0; i < sizeof(talk) - 1; i += step)
			fake_input(&f, conn,
			    str_head(str_skip(str_from(talk), i), step));
		while (fake_take_frame(&f, QUEUE, &m))
			continue;
		assert_int_equal(m.type, MESSAGE_INTAKE_COMMIT);
		assert_int_equal(
		    answer(m.u.intake_commit.transaction, 250, "2.0.0", "Ok"),
		    0);
		fake_take_text(&f, conn, said, sizeof(said));
		if (step > 1)
			snprintf(whole, sizeof(whole), "%.1999s", said);
		assert_string_equal(said, whole);
		assert_non_null(strstr(said, "221 2.0.0"));
		assert_false(fake_is_open(&f, conn));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_message),
	    TEST(test_recipients),
	    TEST(test_rcpt),
	    TEST(test_rcpt_decide),
	    TEST(test_recipients_max),
	    TEST(test_answers),
	    TEST(test_credit),
	    TEST(test_credit_at_dot),
	    TEST(test_early_refusal),
	    TEST(test_queue_states),
	    TEST(test_queue_lost),
	    TEST(test_queue_broken),
	    TEST(test_abort),
	    TEST(test_hops),
	    TEST(test_hops_cuts),
	    TEST(test_precedence),
	    TEST(test_frames),
	    TEST(test_bytes),
	};

	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
