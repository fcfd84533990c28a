/*
 * XUID, by which our own pickup role says whose message it brings, and XFINAL,
 * by which a user of this host says that a recipient is no alias: taken where
 * they were offered only, said where they were offered and are known only.
 */
#include "base/check.h"
#include "smtp/client.h"
#include "smtp/command.h"
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_values(void **state)
{
	static const struct {
		const char *text;
		int code; /* 0 = it is taken */
		uint32_t uid;
	} cases[] = {
	    {"FROM:<a@b> XUID=0", 0, 0},
	    {"FROM:<a@b> SIZE=1 xuid=1000", 0, 1000},
	    {"FROM:<a@b> XUID=4294967294", 0, 4294967294u},
	    /* That one is nobody's. */
	    {"FROM:<a@b> XUID=4294967295", 501, 0},
	    {"FROM:<a@b> XUID=99999999999999999999", 501, 0},
	    {"FROM:<a@b> XUID=-1", 501, 0},
	    {"FROM:<a@b> XUID=1x", 501, 0},
	    {"FROM:<a@b> XUID=", 501, 0},
	    {"FROM:<a@b> XUID", 501, 0},
	    {"FROM:<a@b> XUID=1 XUID=1", 501, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_command_mail mail;
		struct smtp_reply reply = {0};
		int error = smtp_command_parse_mail(
		    str_from(cases[i].text), 1000, &mail, &reply);

		if (cases[i].code != 0) {
			assert_true(error < 0);
			assert_int_equal(reply.code, cases[i].code);
			continue;
		}
		assert_int_equal(error, 0);
		assert_true(mail.has_uid);
		assert_int_equal(mail.uid, cases[i].uid);
	}
}

static struct smtp_server *
server_new(bool has_uid)
{
	struct smtp_server_options options = {.hostname = STR("h.test"),
	    .size_max = 1000,
	    .recipients_max = 10,
	    .transactions_max = 10,
	    .errors_max = 10,
	    .command_max = 512,
	    .line_max = 1000,
	    .has_uid = has_uid,
	    .has_final = has_uid};

	return smtp_server_new(&options);
}

/* Says LINES; what was answered to all so far is in TEXT. */
static void
say(struct smtp_server *s, const char *lines, char text[2000])
{
	struct buf *out = smtp_server_output(s);

	assert_int_equal(smtp_server_feed(s, str_from(lines)), strlen(lines));
	snprintf(text, 2000, "%.*s", STR_ARG(buf_str(out)));
	buf_clear(out);
}

static void
test_server(void **state)
{
	struct smtp_server *s = server_new(false);
	struct smtp_ask ask;
	char text[2000];

	say(s, "EHLO c\r\nMAIL FROM:<a@b> XUID=7\r\n", text);
	assert_null(strstr(text, "250-XUID"));
	assert_non_null(strstr(text, "555 5.5.4 Unknown parameter XUID\r\n"));
	assert_int_equal(smtp_server_next(s, &ask), SMTP_ASK_NONE);
	say(s, "MAIL FROM:<a@b>\r\n", text);
	assert_int_equal(smtp_server_next(s, &ask), SMTP_ASK_MAIL);
	smtp_server_done(s, &(struct smtp_reply){.code = 250, .text = "fine"});
	say(s, "RCPT TO:<c@d> XFINAL\r\n", text);
	assert_null(strstr(text, "250-XFINAL"));
	assert_non_null(strstr(text, "555 5.5.4 Unknown parameter XFINAL\r\n"));
	assert_int_equal(smtp_server_next(s, &ask), SMTP_ASK_NONE);
	smtp_server_free(s);

	s = server_new(true);
	say(s, "EHLO c\r\nMAIL FROM:<a@b> XUID=7\r\n", text);
	assert_non_null(strstr(text, "250-XUID\r\n250-XFINAL\r\n250 HELP\r\n"));
	assert_int_equal(smtp_server_next(s, &ask), SMTP_ASK_MAIL);
	assert_true(ask.has_uid);
	assert_int_equal(ask.uid, 7);
	smtp_server_done(s, &(struct smtp_reply){.code = 250, .text = "fine"});
	say(s, "RCPT TO:<c@d> NOTIFY=NEVER xfinal\r\n", text);
	assert_int_equal(smtp_server_next(s, &ask), SMTP_ASK_RCPT);
	assert_true(ask.recipient.is_expanded);
	smtp_server_free(s);
}

/* The MAIL that a client says to a host that offers KEYWORD, and the RCPT with
   PIPELINING. */
static void
client_mail(const char *keyword, bool is_set, char text[2000])
{
	struct smtp_client_options options = {.hostname = STR("h.test"),
	    .greeting_timeout_ms = 1000,
	    .data_timeout_ms = 1000,
	    .block_timeout_ms = 1000,
	    .dot_timeout_ms = 1000};
	struct mail_envelope envelope = {
	    .sender = STR("a@b"), .envid = STR(""), .auth = STR("")};
	struct mail_recipient to = {
	    .address = STR("c@d"), .orcpt = STR(""), .is_expanded = is_set};
	struct smtp_client *c = smtp_client_new(&options, 0);
	struct buf *out = smtp_client_output(c);
	char ehlo[100];

	snprintf(ehlo, sizeof(ehlo), "250-x\r\n250-PIPELINING\r\n250 %s\r\n",
	    keyword);
	(void)smtp_client_feed(c, STR("220 x\r\n"), 0);
	(void)smtp_client_feed(c, str_from(ehlo), 0);
	buf_clear(out);
	if (is_set)
		smtp_client_set_uid(c, 4294967294u);
	smtp_client_job(c, &envelope, &to, 1, 2, 0);
	snprintf(text, 2000, "%.*s", STR_ARG(buf_str(out)));
	smtp_client_free(c);
}

static void
test_client(void **state)
{
	char text[2000];

	client_mail("XUID", true, text);
	assert_non_null(strstr(text, ":<a@b> XUID=4294967294\r\n"));
	client_mail("HELP", true, text);
	assert_non_null(strstr(text, ":<a@b>\r\n"));
	assert_non_null(strstr(text, ":<c@d>\r\n"));
	client_mail("XFINAL", true, text);
	assert_non_null(strstr(text, ":<c@d> XFINAL\r\n"));
	client_mail("XFINAL", false, text);
	assert_non_null(strstr(text, ":<c@d>\r\n"));
	/* A far end that asks for what is not there. */
	client_mail("XUID", false, text);
	assert_non_null(strstr(text, ":<a@b>\r\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_server),
	    cmocka_unit_test(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
