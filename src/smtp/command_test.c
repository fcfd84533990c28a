/* The grammar of command lines and of the parameters of MAIL and RCPT. */
#include "smtp/command.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X490 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void
test_split(void **state)
{
	static const struct {
		struct str line;
		const char *verb; /* NULL: refused */
		const char *arguments;
	} cases[] = {
	    {TEXT("NOOP"), "NOOP", ""},
	    {TEXT("NOOP "), "NOOP", ""},
	    {TEXT("mail FROM:<a> X \t "), "mail", "FROM:<a> X"},
	    {TEXT("ETRN\t  a b"), "ETRN", "a b"},
	    {TEXT(""), "", ""},
	    {TEXT(" NOOP"), "", "NOOP"},
	    {TEXT("NO\xc3\xa4 \xff"), "NO\xc3\xa4", "\xff"},
	    {TEXT("NO\0OP"), NULL, NULL},
	    {TEXT("NOOP\r"), NULL, NULL},
	    {TEXT("NOOP \x1f"), NULL, NULL},
	    {TEXT("NOOP \x7f"), NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str verb, arguments;
		bool is_split =
		    smtp_command_split(cases[i].line, &verb, &arguments);

		assert_int_equal(is_split, cases[i].verb != NULL);
		if (!is_split)
			continue;
		assert_true(str_equal(verb, str_from(cases[i].verb)));
		assert_true(str_equal(arguments, str_from(cases[i].arguments)));
	}
}

/* OUT: sender, SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH; or the refusal. */
struct mail_case {
	const char *in;
	const char *out;
};

static const struct mail_case mail_cases[] = {
    {"FROM:<>", " 0 0 0 0  "},
    {"from: <a@b>", "a@b 0 0 0 0  "},
    {"FROM:<a@b>", "a@b 0 0 0 0  "},
    {"FROM:<@x,@y:a@b>", "a@b 0 0 0 0  "},
    {"FROM:<a@b> SIZE=1000", "a@b 1000 0 0 0  "},
    {"FROM:<a@b>  size=007\tBody=7bit ", "a@b 7 1 0 0  "},
    {"FROM:<a@b> BODY=8BITMIME RET=full ENVID=q+2Bz AUTH=<>",
	"a@b 0 2 0 1 q+2Bz <>"},
    {"FROM:<a@b> SMTPUTF8 RET=HDRS AUTH=e+3Dm", "a@b 0 0 1 2  e+3Dm"},
    {"FROM:<\xc3\xa4@b> SMTPUTF8", "\xc3\xa4@b 0 0 1 0  "},
    {"FROM:<a@b> ENVID=" X100, "a@b 0 0 0 0 " X100 " "},
    {"FROM:<a@b> AUTH=" X490 X10, "a@b 0 0 0 0  " X490 X10},
    {"FROM:<a@b> ENVID=x" X100, "501 5.5.4"},
    {"FROM:<a@b> AUTH=x" X490 X10, "501 5.5.4"},
    {"FROM:<a@b> SIZE=1001", "552 5.3.4"},
    {"FROM:<a@b> SIZE=18446744073709551615", "552 5.3.4"},
    {"FROM:<a@b> SIZE=18446744073709551616", "552 5.3.4"},
    {"FROM:<a@b> SIZE=99999999999999999999", "552 5.3.4"},
    {"FROM:<a@b> SIZE=000000000000000000001", "501 5.5.4"},
    {"FROM:<a@b> SIZE=-1", "501 5.5.4"},
    {"FROM:<a@b> SIZE=1k", "501 5.5.4"},
    {"FROM:<a@b> SIZE=", "501 5.5.4"},
    {"FROM:<a@b> SIZE", "501 5.5.4"},
    {"FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"},
    {"FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"},
    {"FROM:<a@b> BODY=7BIT BODY=8BITMIME", "501 5.5.4"},
    {"FROM:<a@b> SMTPUTF8=", "501 5.5.4"},
    {"FROM:<a@b> SMTPUTF8=yes", "501 5.5.4"},
    {"FROM:<a@b> SMTPUTF8 SMTPUTF8", "501 5.5.4"},
    {"FROM:<a@b> RET=ALL", "501 5.5.4"},
    {"FROM:<a@b> RET", "501 5.5.4"},
    {"FROM:<a@b> ENVID=", "501 5.5.4"},
    {"FROM:<a@b> ENVID=a+2b", "501 5.5.4"},
    {"FROM:<a@b> ENVID=a+2", "501 5.5.4"},
    {"FROM:<a@b> ENVID=a+", "501 5.5.4"},
    {"FROM:<a@b> ENVID=a=b", "501 5.5.4"},
    {"FROM:<a@b> ENVID=\xc3\xa4", "501 5.5.4"},
    {"FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"},
    {"FROM:<a@b> X", "555 5.5.4"},
    {"FROM:<a@b> =1", "555 5.5.4"},
    {"FROM:<a@b> SIZES=1", "555 5.5.4"},
    {"FROM:<\xc3\xa4@b>", "553 5.6.7"},
    {"FROM:<\xff@b> SMTPUTF8", "501 5.1.7"},
    {"", "501 5.1.7"},
    {"FROM", "501 5.1.7"},
    {"FROM:", "501 5.1.7"},
    {"FROM :<a@b>", "501 5.1.7"},
    {"TO:<a@b>", "501 5.1.7"},
    {"FROM:a@b", "501 5.1.7"},
    {"FROM:<a>", "501 5.1.7"},
    {"FROM:<a@b", "501 5.1.7"},
    {"FROM:<a@b>SIZE=1", "501 5.1.7"},
    {"FROM:<a@b>>", "501 5.1.7"},
    {"FROM:<postmaster>", "501 5.1.7"},
};

static void
test_mail(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mail_cases) / sizeof(mail_cases[0]);
	     i++) {
		struct smtp_command_mail mail;
		struct smtp_reply reply;
		struct mail_envelope *e = &mail.envelope;
		char got[1200];

		if (smtp_command_parse_mail(
			str_from(mail_cases[i].in), 1000, &mail, &reply) < 0)
			snprintf(got, sizeof(got), "%d %s", reply.code,
			    reply.enhanced);
		else
			snprintf(got, sizeof(got), "%.*s %d %d %d %d %.*s %.*s",
			    STR_ARG(e->sender), (int)mail.size, e->body,
			    e->is_smtputf8, e->ret, STR_ARG(e->envid),
			    STR_ARG(e->auth));
		if (strcmp(got, mail_cases[i].out) != 0) {
			print_error("%s: %s\n", mail_cases[i].in, got);
			fail();
		}
	}
}

/* What lies behind the text is not read: it would make this xtext whole. */
static void
test_xtext_ends_with_the_text(void **state)
{
	struct str text = STR("FROM:<a@b> ENVID=a+2B");
	struct smtp_command_mail mail;
	struct smtp_reply reply;

	(void)state;
	assert_int_equal(smtp_command_parse_mail(text, 1000, &mail, &reply), 0);
	for (size_t n = 1; n < 3; n++)
		assert_int_equal(
		    smtp_command_parse_mail(
			str_head(text, text.size - n), 1000, &mail, &reply),
		    -EINVAL);
}

/* OUT: address, NOTIFY, ORCPT; or the refusal. */
static const struct mail_case rcpt_cases[] = {
    {"TO:<a@b>", "a@b 0 "},
    {"to:<Postmaster>", "Postmaster 0 "},
    {"TO:<pOSTMASTER> NOTIFY=NEVER", "pOSTMASTER 1 "},
    {"TO:<\"a b>\"@[IPv6:::1]> NOTIFY=success,Delay,FAILURE",
	"\"a b>\"@[IPv6:::1] 14 "},
    {"TO:<a@b> ORCPT=rfc822;x+2By@z NOTIFY=DELAY", "a@b 8 rfc822;x+2By@z"},
    {"TO:<a@b> ORCPT=utf-8;x\\x{E4}@z", "a@b 0 utf-8;x\\x{E4}@z"},
    {"TO:<a@b> ORCPT=rfc822;" X490 "xxx", "a@b 0 rfc822;" X490 "xxx"},
    {"TO:<a@b> ORCPT=rfc822;" X490 "xxxx", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=", "501 5.5.4"},
    {"TO:<a@b> NOTIFY", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=DELAY,NEVER", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=DELAY,DELAY", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=DELAY,", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=,DELAY", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=ALWAYS", "501 5.5.4"},
    {"TO:<a@b> NOTIFY=DELAY NOTIFY=SUCCESS", "501 5.5.4"},
    {"TO:<a@b> ORCPT=x@y", "501 5.5.4"},
    {"TO:<a@b> ORCPT=;x@y", "501 5.5.4"},
    {"TO:<a@b> ORCPT=rfc822;", "501 5.5.4"},
    {"TO:<a@b> ORCPT=rfc 822;x", "501 5.5.4"},
    {"TO:<a@b> ORCPT=rfc_822;x", "501 5.5.4"},
    {"TO:<a@b> ORCPT=rfc822;x+y", "501 5.5.4"},
    {"TO:<a@b> ORCPT=rfc822;x ORCPT=rfc822;x", "501 5.5.4"},
    {"TO:<a@b> SIZE=1", "555 5.5.4"},
    {"TO:<\xc3\xa4@b>", "553 5.6.7"},
    {"TO:<>", "501 5.1.3"},
    {"TO:<a>", "501 5.1.3"},
    {"FROM:<a@b>", "501 5.1.3"},
    {"TO:<postmaster >", "501 5.1.3"},
};

static void
test_rcpt(void **state)
{
	struct smtp_command_rcpt rcpt;
	struct smtp_reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(rcpt_cases) / sizeof(rcpt_cases[0]);
	     i++) {
		struct mail_recipient *r = &rcpt.recipient;
		char got[1200];

		if (smtp_command_parse_rcpt(
			str_from(rcpt_cases[i].in), false, &rcpt, &reply) < 0)
			snprintf(got, sizeof(got), "%d %s", reply.code,
			    reply.enhanced);
		else
			snprintf(got, sizeof(got), "%.*s %d %.*s",
			    STR_ARG(r->address), r->notify, STR_ARG(r->orcpt));
		if (strcmp(got, rcpt_cases[i].out) != 0) {
			print_error("%s: %s\n", rcpt_cases[i].in, got);
			fail();
		}
	}
	assert_int_equal(smtp_command_parse_rcpt(
			     STR("TO:<\xc3\xa4@b>"), true, &rcpt, &reply),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_xtext_ends_with_the_text),
	    cmocka_unit_test(test_rcpt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
