/*
 * The server machine: dialogues fed whole, byte by byte and cut at random
 * places give the same replies and the same questions.
 */
#include "base/test_kit.h"
#include "smtp/session_test.h"

struct dialogue {
	const char *name;
	const char *answers;
	struct str in;
	struct str out; /* behind the greeting */
	const char *asks;
};

#define CHUNK_SYNTAX "501 5.5.4 Syntax: BDAT size [LAST]\r\n"

static const struct dialogue dialogues[] = {
    {"silence", "", TEXT(""), TEXT(""), "CLOSE|"},
    {"quit at once", "", TEXT("QUIT\r\n"), TEXT(BYE), "CLOSE|"},
    {"nothing behind quit", "", TEXT("QUIT\r\nNOOP\r\n"), TEXT(BYE), "CLOSE|"},
    {"ehlo", "", TEXT("ehlo c.test\r\n"), TEXT(EHLO_OUT), "CLOSE|"},
    {"ehlo with a literal and junk", "", TEXT("EHLO [127.0.0.1] x y\r\n"),
	TEXT(EHLO_OUT), "CLOSE|"},
    {"ehlo without name", "", TEXT("EHLO\r\nEHLO  \r\n"),
	TEXT("501 5.5.4 Syntax: EHLO name\r\n"
	     "501 5.5.4 Syntax: EHLO name\r\n"),
	"CLOSE|"},
    {"helo without name", "", TEXT("HELO\r\n"),
	TEXT("501 5.5.4 Syntax: HELO name\r\n"), "CLOSE|"},
    {"helo with eight bits", "", TEXT("HELO \xc3\xa4\r\n"),
	TEXT("501 5.5.4 Bad name\r\n"), "CLOSE|"},
    {"one message", "",
	TEXT("EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n"
	     "DATA\r\nS: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"),
	TEXT(EHLO_OUT OK OK GO OK BYE),
	"MAIL a@b.c|RCPT d@e.f|DATA|COMMIT S: x\r\n\r\n.dot\r\n|CLOSE|"},
    {"empty message", "",
	TEXT(HELO "MAIL FROM:<>\r\nRCPT TO:<d@e>\r\nDATA\r\n.\r\n"),
	TEXT(NAMED OK OK GO OK), "MAIL |RCPT d@e|DATA|COMMIT |CLOSE|"},
    {"two messages, the second refused for now", "22222224",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n1\r\n.\r\n"
		  "MAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\n2\r\n.\r\n"
		  "MAIL FROM:<i@j>\r\n"),
	TEXT(NAMED OK OK GO OK OK OK GO LATER OK),
	"MAIL a@b|RCPT c@d|DATA|COMMIT 1\r\n|MAIL e@f|RCPT g@h|DATA|"
	"COMMIT 2\r\n|MAIL i@j|ABORT|CLOSE|"},
    {"dot refused for good, then another", "2225",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n1\r\n.\r\n"
		  "RCPT TO:<x@y>\r\nMAIL FROM:<e@f>\r\n"),
	TEXT(NAMED OK OK GO NO "503 5.5.1 Send MAIL first\r\n" OK),
	"MAIL a@b|RCPT c@d|DATA|COMMIT 1\r\n|MAIL e@f|ABORT|CLOSE|"},
    {"bare line feeds in commands", "",
	TEXT("helo c\nmail from:<a@b>\nrcpt to:<c@d>\ndata\n1\r\n.\r\n"
	     "quit\n"),
	TEXT(NAMED OK OK GO OK BYE),
	"MAIL a@b|RCPT c@d|DATA|COMMIT 1\r\n|CLOSE|"},
    {"mail without helo", "", TEXT("MAIL FROM:<a@b>\r\n"),
	TEXT("503 5.5.1 Send EHLO or HELO first\r\n"), "CLOSE|"},
    {"mail refused leaves no transaction", "52",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<e@f>\r\n"),
	TEXT(NAMED NO "503 5.5.1 Send MAIL first\r\n" OK),
	"MAIL a@b|MAIL e@f|ABORT|CLOSE|"},
    {"nested mail", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nMAIL FROM:<e@f>\r\nRCPT TO:<c@d>\r\n"),
	TEXT(NAMED OK OPEN OK), "MAIL a@b|RCPT c@d|ABORT|CLOSE|"},
    {"data without rcpt", "", TEXT(HELO "MAIL FROM:<a@b>\r\nDATA\r\n"),
	TEXT(NAMED OK "503 5.5.1 Send RCPT first\r\n"),
	"MAIL a@b|ABORT|CLOSE|"},
    {"data with all refused", "245",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n"
		  "DATA\r\nRSET\r\n"),
	TEXT(NAMED OK LATER NO "554 5.5.1 No valid recipients\r\n"
			       "250 2.0.0 Reset\r\n"),
	"MAIL a@b|RCPT c@d|RCPT e@f|ABORT|CLOSE|"},
    {"data behind a bad recipient", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:c@d\r\nDATA\r\n"),
	TEXT(NAMED OK "501 5.1.3 Syntax: RCPT TO:<address> [parameters]\r\n"
		      "554 5.5.1 No valid recipients\r\n"),
	"MAIL a@b|ABORT|CLOSE|"},
    {"data with one refused", "252",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n"
		  "DATA\r\n.\r\n"),
	TEXT(NAMED OK NO OK GO OK),
	"MAIL a@b|RCPT c@d|RCPT e@f|DATA|COMMIT |CLOSE|"},
    {"data refused, then taken", "2242",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nDATA\r\n"
		  "x\r\n.\r\n"),
	TEXT(NAMED OK OK LATER GO OK),
	"MAIL a@b|RCPT c@d|DATA|DATA|COMMIT x\r\n|CLOSE|"},
    {"too many recipients", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\n"
		  "RCPT TO:<3@d>\r\nRCPT TO:<4@d>\r\nDATA\r\n.\r\n"
		  "MAIL FROM:<a@b>\r\nRCPT TO:<4@d>\r\nDATA\r\n.\r\n"),
	TEXT(NAMED OK OK OK OK
	    "452 4.5.3 Too many recipients\r\n" GO OK OK OK GO OK),
	"MAIL a@b|RCPT 1@d|RCPT 2@d|RCPT 3@d|DATA|COMMIT |"
	"MAIL a@b|RCPT 4@d|DATA|COMMIT |CLOSE|"},
    {"too many transactions", "",
	TEXT(HELO "MAIL FROM:<1@b>\r\nRSET\r\nMAIL FROM:<2@b>\r\nRSET\r\n"
		  "MAIL FROM:<3@b>\r\nRSET\r\nMAIL FROM:<4@b>\r\nNOOP\r\n"),
	TEXT(NAMED OK "250 2.0.0 Reset\r\n" OK "250 2.0.0 Reset\r\n" OK
		      "250 2.0.0 Reset\r\n"
		      "421 4.7.0 mx.test Too many messages\r\n"),
	"MAIL 1@b|ABORT|MAIL 2@b|ABORT|MAIL 3@b|ABORT|CLOSE|"},
    {"too many errors", "", TEXT("A\r\nB\r\nC\r\nD\r\nNOOP\r\nE\r\nNOOP\r\n"),
	TEXT("500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
	     "500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
	     "250 2.0.0 Done\r\n421 4.7.0 mx.test Too many errors\r\n"),
	"CLOSE|"},
    {"too many errors within a transaction", "2555555",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\n"
		  "RCPT TO:<3@d>\r\nRCPT TO:<4@d>\r\nRCPT TO:<5@d>\r\n"
		  "RCPT TO:<6@d>\r\n"),
	TEXT(NAMED OK NO NO NO NO "421 4.7.0 mx.test Too many errors\r\n"),
	"MAIL a@b|RCPT 1@d|RCPT 2@d|RCPT 3@d|RCPT 4@d|RCPT 5@d|ABORT|"
	"CLOSE|"},
    {"a message taken forgives errors", "",
	TEXT(HELO "A\r\nB\r\nC\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
		  "DATA\r\n.\r\nA\r\nB\r\n"),
	TEXT(NAMED "500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
		   "500 5.5.2 Unknown command\r\n" OK OK GO OK
		   "500 5.5.2 Unknown command\r\n"
		   "500 5.5.2 Unknown command\r\n"),
	"MAIL a@b|RCPT c@d|DATA|COMMIT |CLOSE|"},
    {"a message refused at its end gets its own reply", "2225",
	TEXT(HELO "A\r\nB\r\nC\r\nD\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
		  "DATA\r\n.\r\nA\r\n"),
	TEXT(NAMED "500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
		   "500 5.5.2 Unknown command\r\n"
		   "500 5.5.2 Unknown command\r\n" OK OK GO NO
		   "421 4.7.0 mx.test Too many errors\r\n"),
	"MAIL a@b|RCPT c@d|DATA|COMMIT |CLOSE|"},
    {"ehlo resets", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nEHLO c\r\nDATA\r\n"),
	TEXT(NAMED OK OK EHLO_OUT "503 5.5.1 Send MAIL first\r\n"),
	"MAIL a@b|RCPT c@d|ABORT|CLOSE|"},
    {"failed ehlo does not reset", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nEHLO\r\nDATA\r\n"
		  ".\r\n"),
	TEXT(NAMED OK OK "501 5.5.4 Syntax: EHLO name\r\n" GO OK),
	"MAIL a@b|RCPT c@d|DATA|COMMIT |CLOSE|"},
    {"quit within a transaction", "", TEXT(HELO "MAIL FROM:<a@b>\r\nQUIT\r\n"),
	TEXT(NAMED OK BYE), "MAIL a@b|ABORT|CLOSE|"},
    {"lost within content", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nabc\r\n."),
	TEXT(NAMED OK OK GO), "MAIL a@b|RCPT c@d|DATA|ABORT|CLOSE|"},
    {"421 to mail", "c", TEXT(HELO "MAIL FROM:<a@b>\r\nNOOP\r\n"),
	TEXT(NAMED "421 4.3.2 gone\r\n"), "MAIL a@b|CLOSE|"},
    {"421 to rcpt", "22c",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\n"
		  "DATA\r\n"),
	TEXT(NAMED OK OK "421 4.3.2 gone\r\n"),
	"MAIL a@b|RCPT 1@d|RCPT 2@d|ABORT|CLOSE|"},
    {"421 to the dot", "222c",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nDATA\r\n.\r\n"
		  "NOOP\r\n"),
	TEXT(NAMED OK OK GO "421 4.3.2 gone\r\n"),
	"MAIL a@b|RCPT 1@d|DATA|COMMIT |CLOSE|"},
    {"421 to a trigger", "c", TEXT("ETRN a.b\r\nNOOP\r\n"),
	TEXT("421 4.3.2 gone\r\n"), "ETRN a.b|CLOSE|"},
    {"etrn first, after helo, after ehlo, after a message", "",
	TEXT("ETRN a.b\r\n" HELO "etrn @c.d \r\nEHLO c\r\nETRN #q\r\n"
	     "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"
	     "Etrn e.f\r\n"),
	TEXT(OK NAMED OK EHLO_OUT OK OK OK GO OK OK),
	"ETRN a.b|ETRN @c.d|ETRN #q|MAIL |RCPT c@d|DATA|COMMIT |ETRN e.f|"
	"CLOSE|"},
    {"etrn and qsnd in a transaction", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nETRN a.b\r\nRCPT TO:<c@d>\r\n"
		  "QSND a.b\r\nDATA\r\n.\r\n"),
	TEXT(NAMED OK OPEN OK OPEN GO OK),
	"MAIL a@b|RCPT c@d|DATA|COMMIT |CLOSE|"},
    {"etrn and qsnd without argument", "",
	TEXT("ETRN\r\nQSND \r\nETRN a b\r\n"),
	TEXT("500 5.5.2 Parameter required\r\n"
	     "500 5.5.2 Parameter required\r\n" OK),
	"ETRN a b|CLOSE|"},
    {"qsnd before any greeting, refused, again", "42",
	TEXT("qsnd a.b\nqsnd c.d\n"), TEXT(LATER OK),
	"QSND a.b|QSND c.d|CLOSE|"},
    {"vrfy, expn, help, noop", "",
	TEXT("VRFY x\r\nVRFY\r\nEXPN x\r\nHELP\r\nHELP MAIL\r\nNOOP x\r\n"),
	TEXT("252 2.5.2 Not verified; try RCPT\r\n"
	     "501 5.5.4 Syntax: VRFY address\r\n"
	     "502 5.5.1 Not implemented\r\n"
	     "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT "
	     "ETRN\r\n"
	     "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT "
	     "ETRN\r\n"
	     "250 2.0.0 Done\r\n"),
	"CLOSE|"},
    {"of extensions not offered", "",
	TEXT("TURN\r\nATRN a.b\r\nAUTH PLAIN\r\nSTARTTLS\r\n"),
	TEXT("502 5.5.1 Not implemented\r\n502 5.5.1 Not implemented\r\n"
	     "502 5.5.1 Not implemented\r\n502 5.5.1 Not implemented\r\n"),
	"CLOSE|"},
    {"bdat", "", TEXT("BDAT 0 LAST\r\n"), TEXT("502 5.5.1 Not implemented\r\n"),
	"CLOSE|"},
    {"the bytes of a chunk are no commands", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
		  "BDAT 23\r\nMAIL FROM:<x@y>\r\nQUIT\r\n"
		  "bdat 6 last \r\n.\r\n\0\n\r"
		  "NOOP\r\nBDAT 1\n\nRSET\r\n"),
	TEXT(NAMED OK OK "502 5.5.1 Not implemented\r\n"
			 "502 5.5.1 Not implemented\r\n"
			 "250 2.0.0 Done\r\n502 5.5.1 Not implemented\r\n"
			 "250 2.0.0 Reset\r\n"),
	"MAIL a@b|RCPT c@d|ABORT|CLOSE|"},
    {"a chunk of no size", "", TEXT("BDAT\r\nBDAT x\r\nBDAT -1\r\nNOOP\r\n"),
	TEXT(CHUNK_SYNTAX CHUNK_SYNTAX CHUNK_SYNTAX "250 2.0.0 Done\r\n"),
	"CLOSE|"},
    {"a chunk of a bad size", "",
	TEXT("BDAT 4x\r\nBDAT 0x4\r\nBDAT +4\r\nNOOP\r\n"),
	TEXT(CHUNK_SYNTAX CHUNK_SYNTAX CHUNK_SYNTAX "250 2.0.0 Done\r\n"),
	"CLOSE|"},
    {"a chunk with more than a size", "",
	TEXT("BDAT 6 FIRST\r\nQUIT\r\nBDAT 6 LAST x\r\nQUIT\r\n"
	     "BDAT\t6\tLAST\r\nQUIT\r\nNOOP\r\n"),
	TEXT(CHUNK_SYNTAX CHUNK_SYNTAX "502 5.5.1 Not implemented\r\n"
				       "250 2.0.0 Done\r\n"),
	"CLOSE|"},
    {"a chunk that is too large", "", TEXT("BDAT 1001 LAST\r\nNOOP\r\n"),
	TEXT("421 4.3.4 mx.test Chunk too large\r\n"), "CLOSE|"},
    {"a chunk that no number holds", "",
	TEXT("BDAT 99999999999999999999\r\nNOOP\r\n"),
	TEXT("421 4.3.4 mx.test Chunk too large\r\n"), "CLOSE|"},
    {"the end within a chunk", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nBDAT 100 LAST\r\nNOOP\r\n"),
	TEXT(NAMED OK "502 5.5.1 Not implemented\r\n"),
	"MAIL a@b|ABORT|CLOSE|"},
    {"arguments where none may be", "",
	TEXT(HELO "RSET x\r\nQUIT x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
		  "DATA x\r\nRSET \r\n"),
	TEXT(NAMED "501 5.5.4 Syntax: RSET\r\n501 5.5.4 Syntax: QUIT\r\n" OK OK
		   "501 5.5.4 Syntax: DATA\r\n250 2.0.0 Reset\r\n"),
	"MAIL a@b|RCPT c@d|ABORT|CLOSE|"},
    {"bytes that are no text", "",
	TEXT("NO\0OP\r\nNOOP \0\r\nNOOP \x1b\r\nNO\rOP\r\n"),
	TEXT("500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
	     "500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"),
	"CLOSE|"},
    {"empty line, blank first", "", TEXT("\r\n NOOP\r\n\n"),
	TEXT("500 5.5.2 Unknown command\r\n500 5.5.2 Unknown command\r\n"
	     "500 5.5.2 Unknown command\r\n"),
	"CLOSE|"},
    {"recipients of all kinds", "",
	TEXT(HELO "MAIL FROM:<\"a b\"@c>\r\nRCPT TO:<postMASTER>\r\n"
		  "RCPT TO:<@x.y,@z:u@[127.0.0.1]>\r\n"
		  "RCPT TO: <\"q\\\"@\"@d.e>\r\n"),
	TEXT(NAMED OK OK OK OK),
	"MAIL \"a b\"@c|RCPT postMASTER|RCPT u@[127.0.0.1]|"
	"RCPT \"q\\\"@\"@d.e|ABORT|CLOSE|"},
    {"bad paths", "",
	TEXT(HELO "MAIL FROM:a@b\r\nMAIL FROM:<Postmaster>\r\n"
		  "MAIL FROM:<>\r\nRCPT TO:<>\r\n"),
	TEXT(NAMED "501 5.1.7 Syntax: MAIL FROM:<address> [parameters]\r\n"
		   "501 5.1.7 Syntax: MAIL FROM:<address> [parameters]\r\n" OK
		   "501 5.1.3 Syntax: RCPT TO:<address> [parameters]\r\n"),
	"MAIL |ABORT|CLOSE|"},
    {"size in mail at the maximum and over it", "",
	TEXT(HELO "MAIL FROM:<a@b> SIZE=1001\r\nMAIL FROM:<a@b> SIZE=1000\r\n"),
	TEXT(NAMED "552 5.3.4 Message over 1000 bytes\r\n" OK),
	"MAIL a@b|ABORT|CLOSE|"},
    {"utf-8 only if told", "",
	TEXT(HELO "MAIL FROM:<\xc3\xa4@b>\r\nMAIL FROM:<a@b>\r\n"
		  "RCPT TO:<\xc3\xa4@b>\r\nRSET\r\n"
		  "MAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\n"
		  "RCPT TO:<\xc3\xa4@b>\r\nRSET\r\nMAIL FROM:<a@b>\r\n"
		  "RCPT TO:<\xc3\xa4@b>\r\n"),
	TEXT(NAMED "553 5.6.7 Address not in ASCII without SMTPUTF8\r\n" OK
		   "553 5.6.7 Address not in ASCII without SMTPUTF8\r\n"
		   "250 2.0.0 Reset\r\n" OK OK "250 2.0.0 Reset\r\n" OK
		   "553 5.6.7 Address not in ASCII without SMTPUTF8\r\n"),
	"MAIL a@b|ABORT|MAIL \xc3\xa4@b|RCPT \xc3\xa4@b|ABORT|MAIL a@b|"
	"ABORT|CLOSE|"},
    {"eight bits in 7bit content", "",
	TEXT(HELO "MAIL FROM:<a@b> BODY=7BIT\r\nRCPT TO:<c@d>\r\nDATA\r\n"
		  "\xff\x80\r\n.\r\n"),
	TEXT(NAMED OK OK GO OK),
	"MAIL a@b|RCPT c@d|DATA|COMMIT \xff\x80\r\n|CLOSE|"},
    {"pipelined group behind content", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n1\r\n.\r\n"
		  "MAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\n2\r\n.\r\n"
		  "QUIT\r\n"),
	TEXT(NAMED OK OK GO OK OK OK GO OK BYE),
	"MAIL a@b|RCPT c@d|DATA|COMMIT 1\r\n|MAIL e@f|RCPT g@h|DATA|"
	"COMMIT 2\r\n|CLOSE|"},
    {"a refused message keeps step", "",
	TEXT(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n1\n2\r\n.\r\n"
		  "MAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\n3\r\n.\r\n"),
	TEXT(NAMED OK OK GO BARE OK OK GO OK),
	"MAIL a@b|RCPT c@d|DATA|ABORT|MAIL e@f|RCPT g@h|DATA|"
	"COMMIT 3\r\n|CLOSE|"},
};

static void
run_dialogue(const struct dialogue *d, unsigned cut)
{
	struct str greeting = STR(GREETING), got;
	struct session t;

	session_init(&t, &test_options, d->answers);
	session_feed_cut(&t, d->in, cut);
	session_end(&t);
	got = buf_str(&t.output);
	assert_true(str_starts(got, greeting));
	assert_str(d->name, cut, str_skip(got, greeting.size), d->out);
	assert_str(d->name, cut, buf_str(&t.asks), str_from(d->asks));
	session_fini(&t);
}

static void
test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
		for (unsigned cut = 0; cut < 20; cut++)
			run_dialogue(&dialogues[i], cut);
}

/* What is no end of content, with a second message behind it. */
static const struct str smuggling[] = {
    TEXT("\n.\n"),
    TEXT("\n.\r\n"),
    TEXT("\r\n.\n"),
    TEXT("\r.\r"),
    TEXT("\r\n.\r"),
    TEXT("\n.\r"),
    TEXT("\r\n\0.\r\n"),
    TEXT("\r.\r\n"),
    TEXT("\r\n.\0\r\n"),
    TEXT("\r\n.\r\r\n"),
    TEXT("\r\n.\n\r\n"),
    TEXT("\n\n.\n"),
    TEXT("\r\r.\r\r"),
    TEXT("\n\r.\n\r"),
    TEXT("\r\n.\r.\r\n"),
    TEXT("\n\r\n\r.\r\n"),
};

static void
run_smuggling(struct str attack, unsigned cut)
{
	struct session t;
	struct str tail = STR(GREETING NAMED OK OK GO "550 5.6.0 ");

	session_init(&t, &test_options, "");
	session_feed_cut(
	    &t, STR(HELO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx"), cut);
	session_feed_cut(&t, attack, cut);
	session_feed_cut(&t,
	    STR("MAIL FROM:<evil@x>\r\nRCPT TO:<v@d>\r\nDATA\r\ny\r\n.\r\n"
		"NOOP\r\n"),
	    cut);
	session_end(&t);
	assert_true(str_starts(buf_str(&t.output), tail));
	assert_true(
	    str_case_ends(buf_str(&t.output), STR("\r\n250 2.0.0 Done\r\n")));
	assert_str("smuggling", cut, buf_str(&t.asks),
	    STR("MAIL a@b|RCPT c@d|DATA|ABORT|CLOSE|"));
	session_fini(&t);
}

static void
test_smuggling(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(smuggling) / sizeof(smuggling[0]); i++)
		for (unsigned cut = 0; cut < 20; cut++)
			run_smuggling(smuggling[i], cut);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_smuggling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
