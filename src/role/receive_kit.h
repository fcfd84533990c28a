/*
 * What the tests of the receive role share: a role over a carrier that does
 * nothing, and short ways to talk to it.
 */
#ifndef ROLE_RECEIVE_KIT_H
#define ROLE_RECEIVE_KIT_H

#include "base/log.h"
#include "role/fake_env.h"
#include "role/receive.h"
#include "role/roles.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIT_UNUSED __attribute__((unused))

#define QUEUE      7

static const char conf_text[] =
    "hostname = \"holder.test\"; spool = \"ram:\";\n"
    "postmaster = \"admin@ship.test\";\n"
    "relay-from = [ \"192.0.2.200\" ];\n"
    "connections-max = 3; recipients-max = 3; errors-max = 5;\n"
    "route = ( { domain = \"far.test\"; to = \"smtp://192.0.2.9\"; } );\n"
    "site = (\n"
    " { name = \"ship\"; domains = [ \"ship.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.1\"; from = [ \"192.0.2.1\" ]; },\n"
    " { name = \"north\"; domains = [ \"n.pair.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.6\"; from = [ \"192.0.2.1\" ]; },\n"
    " { name = \"south\"; hold = true; route = \"smtp://192.0.2.6\";\n"
    "   domains = [ \"s.pair.test\", \"south.test\" ];\n"
    "   from = [ \"192.0.2.1\" ]; }\n"
    ");\n";

static const char *kit_conf = conf_text; /* a test may give another */
static struct conf *conf;
static struct fake_env f;
static void *role;
static char log_text[100000];
static char said[200000];

KIT_UNUSED static void
log_sink(enum log_level level, struct str line)
{
	size_t size = strlen(log_text);

	snprintf(
	    log_text + size, sizeof(log_text) - size, "%.*s\n", STR_ARG(line));
}

KIT_UNUSED static int
read_conf(void **state)
{
	/* fmemopen only reads from it. */
	FILE *file =
	    fmemopen((void *)(uintptr_t)kit_conf, strlen(kit_conf), "r");
	struct buf errors;

	buf_init(&errors, 10000);
	if (conf_read(file, "test.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	fclose(file);
	log_set(log_sink, LOG_DETAIL);
	return 0;
}

KIT_UNUSED static int
free_conf(void **state)
{
	conf_free(conf);
	return 0;
}

KIT_UNUSED static int
start(void **state)
{
	log_text[0] = '\0';
	fake_init(&f, ROLE_RECEIVE);
	role = role_receive_new(&f.env, conf);
	fake_peer_up(&f, &role_receive_ops, role, QUEUE, ROLE_QUEUE);
	return 0;
}

KIT_UNUSED static int
finish(void **state)
{
	role_receive_free(role);
	fake_fini(&f);
	return 0;
}

KIT_UNUSED static role_conn
come(const char *address)
{
	return fake_accept(&f, &role_receive_ops, role, address);
}

/* Says INPUT and expects exactly ANSWER. */
KIT_UNUSED static void
say(role_conn conn, const char *input, const char *answer)
{
	fake_input(&f, conn, str_from(input));
	assert_string_equal(
	    fake_take_text(&f, conn, said, sizeof(said)), answer);
}

/* A connection that has said EHLO. */
KIT_UNUSED static role_conn
come_greeted(const char *address)
{
	role_conn conn = come(address);

	say(conn, "", "220 holder.test ESMTP sendq\r\n");
	fake_input(&f, conn, STR("EHLO client.test\r\n"));
	fake_take_text(&f, conn, said, sizeof(said));
	assert_int_equal(strncmp(said, "250-holder.test\r\n", 17), 0);
	return conn;
}

#define GO_ON "354 Send the message, end with a dot\r\n"

/* A connection that has said DATA; the frames before it are taken. */
KIT_UNUSED static role_conn
come_to_data(uint64_t *transaction_out)
{
	role_conn conn = come_greeted("192.0.2.50");
	struct message m;

	say(conn, "MAIL FROM:<a@b.test>\r\nRCPT TO:<x@ship.test>\r\nDATA\r\n",
	    "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n" GO_ON);
	assert_true(fake_take_frame(&f, QUEUE, &m));
	assert_int_equal(m.type, MESSAGE_INTAKE_OPEN);
	*transaction_out = m.u.intake_open.transaction;
	assert_true(fake_take_frame(&f, QUEUE, &m));
	assert_int_equal(m.type, MESSAGE_INTAKE_RECIPIENT);
	assert_false(fake_take_frame(&f, QUEUE, &m));
	return conn;
}

/* The queue answers TRANSACTION. */
KIT_UNUSED static int
answer(
    uint64_t transaction, uint32_t code, const char *enhanced, const char *text)
{
	struct message m = {.type = MESSAGE_INTAKE_DONE,
	    .u.intake_done = {
		transaction, code, str_from(enhanced), str_from(text)}};
	int error = fake_frame(&f, QUEUE, &m);

	fake_run(&f);
	return error;
}

KIT_UNUSED static void
give_credit(uint64_t transaction, uint32_t bytes)
{
	struct message m = {.type = MESSAGE_INTAKE_CREDIT,
	    .u.intake_credit = {transaction, bytes}};

	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	fake_run(&f);
}

KIT_UNUSED static bool
was_logged(const char *text)
{
	return strstr(log_text, text) != NULL;
}

/* Expects one frame of TYPE and nothing behind it. */
KIT_UNUSED static struct message
expect_frame(enum message_type type)
{
	struct message m;

	if (!fake_take_frame(&f, QUEUE, &m))
		fail_msg("no frame of type %d", type);
	assert_int_equal(m.type, type);
	return m;
}

KIT_UNUSED static void
expect_no_frame(void)
{
	struct message m;

	if (fake_take_frame(&f, QUEUE, &m))
		fail_msg("a frame of type %d", m.type);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

#endif
