/* The reader: each letter, each way of being wrong, versions 8 to 0. */
#include "store/mqueue/qf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SMALLEST "V8\nS<a@b>\nR:<c@d>\n.\n"
#define V0_HEAD  "P10\nT5\nSa@b\n"

static struct arena arena;
static struct qf q;
static struct qf_problem problem;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, QF_ARENA_SIZE(0));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static int
read_text(struct str bytes)
{
	arena_fini(&arena);
	return qf_read(bytes, &arena, &q, &problem);
}

static void
assert_text(struct str text, const char *wanted)
{
	if (!str_equal(text, str_from(wanted)))
		print_error("\"%.*s\" is not \"%s\"\n", STR_ARG(text), wanted);
	assert_true(str_equal(text, str_from(wanted)));
}

/* Reads the smallest file with LINES in the middle. */
static void
read_with(const char *lines)
{
	char bytes[2000];

	snprintf(bytes, sizeof(bytes), "V8\n%sS<a@b>\nR:<c@d>\n.\n", lines);
	assert_int_equal(read_text(str_from(bytes)), 0);
	assert_int_equal(problem.kind, QF_FINE);
	assert_int_equal(problem.remedy, QF_RUN);
}

static void
test_smallest(void **state)
{
	(void)state;
	assert_int_equal(read_text(STR(SMALLEST)), 0);
	assert_int_equal(q.version, 8);
	assert_true(q.has_version && q.is_terminated && q.has_sender);
	assert_int_equal(q.created, QF_CREATED_MISSING);
	assert_int_equal(q.body, MAIL_BODY_NONE);
	assert_false(
	    q.has_envid || q.has_auth || q.has_quarantine || q.has_deliver_by);
	assert_text(q.sender, "<a@b>");
	assert_int_equal(q.recipient_count, 1);
	assert_int_equal(q.recipients[0].flags, 0);
	assert_text(q.recipients[0].text, "<c@d>");
	assert_int_equal(q.header_count, 0);
	assert_int_equal(q.macro_count, 0);
}

/* T, K, N, P: numbers as C's atol() has them. */
static void
test_numbers(void **state)
{
	static const struct {
		const char *lines;
		enum qf_created created;
		int64_t created_s, attempted_s, attempts, priority;
	} cases[] = {
	    {"T1795295637\nK1795295638\nN3\nP-120\n", QF_CREATED_GIVEN,
		1795295637, 1795295638, 3, -120},
	    {"T 12x\nK+7\nN 4 5\nP\t8\n", QF_CREATED_GIVEN, 12, 7, 4, 8},
	    {"Tabc\nKabc\nNabc\nPabc\n", QF_CREATED_BAD, 0, 0, 0, 0},
	    {"T\nK\nN\nP\n", QF_CREATED_BAD, 0, 0, 0, 0},
	    {"T-5\nK-5\nN-5\nP--5\n", QF_CREATED_BAD, 0, 0, 0, 0},
	    {"T0\nK0\nN0\nP0\n", QF_CREATED_BAD, 0, 0, 0, 0},
	    {"T99999999999999999999\nK99999999999999999999\n"
	     "N99999999999999999999\nP-99999999999999999999\n",
		QF_CREATED_GIVEN, INT64_C(253402300799), INT64_C(253402300799),
		QF_ATTEMPTS_MAX, -INT64_C(1000000000000000)},
	    {"T\v12\nK\f7\n", QF_CREATED_GIVEN, 12, 7, 0, 0},
	    {"T5\nT6\n", QF_CREATED_GIVEN, 6, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_with(cases[i].lines);
		assert_int_equal(q.created, cases[i].created);
		assert_true(q.created_s == cases[i].created_s);
		assert_true(q.attempted_s == cases[i].attempted_s);
		assert_true(q.attempts == cases[i].attempts);
		assert_true(q.priority == cases[i].priority);
	}
}

/* Lines whose text is kept as it is. */
static void
test_texts(void **state)
{
	static const struct {
		const char *lines;
		const struct str *text;
		const char *wanted;
	} cases[] = {
	    {"dfs\n", &q.data_directory, "fs"},
	    {"I8/1/99\n", &q.inode, "8/1/99"},
	    {"qspam suspicion\n", &q.quarantine, "spam suspicion"},
	    {"q\n", &q.quarantine, ""},
	    {"MDeferred: no\n", &q.status, "Deferred: no"},
	    {"ZQQ+2B314159\n", &q.envid, "QQ+2B314159"},
	    {"Z1\nZ2\n", &q.envid, "2"},
	    {"Aa@b\n", &q.auth, "a@b"},
	    {"A<>\n", &q.auth, "<>"},
	    {"Aa+3db+3D\n", &q.auth, "a+3db+3D"},
	    {"A\n", &q.auth, ""},
	    {"Snobody\n", &q.sender, "<a@b>"},
	    {"Z1\n  2\n\t3\n", &q.envid, "1   2 \t3"},
	    {"Ddfother\nEe@f\nLx\n", &q.data_file, ""},
	    {"Ddfother\nEe@f\nLx\n", &q.errors_to, ""},
	    {"Ddfother\nEe@f\n${sendq}1\n", &q.data_file, "dfother"},
	    {"Ddfother\nEe@f\n${sendq}1\n", &q.errors_to, "e@f"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_with(cases[i].lines);
		assert_text(*cases[i].text, cases[i].wanted);
		assert_int_equal(q.has_envid, cases[i].lines[0] == 'Z');
		assert_int_equal(q.has_auth, cases[i].lines[0] == 'A');
		assert_int_equal(q.has_quarantine, cases[i].lines[0] == 'q');
	}
}

static void
test_flags(void **state)
{
	const struct {
		const char *lines;
		const bool *flag;
	} cases[] = {
	    {"Fw\n", &q.is_warned},
	    {"Fr\n", &q.is_response},
	    {"F8\n", &q.has_8bit},
	    {"Fb\n", &q.is_bcc_deleted},
	    {"Fd\n", &q.has_ret},
	    {"Fn\n", &q.is_ret_headers},
	    {"Fs\n", &q.is_split},
	    {"Fe\n", &q.is_smtputf8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_with(cases[i].lines);
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
			assert_int_equal(*cases[j].flag, i == j);
	}
	read_with("Fwx!r\nF8\n");
	assert_true(q.is_warned && q.is_response && q.has_8bit);
	assert_false(q.is_split);
	read_with("From\n");
	assert_true(q.is_response);
}

static void
test_body(void **state)
{
	(void)state;
	read_with("B7BIT\n");
	assert_int_equal(q.body, MAIL_BODY_7BIT);
	read_with("B8bitmime\n");
	assert_int_equal(q.body, MAIL_BODY_8BITMIME);
}

static void
test_deliver_by(void **state)
{
	(void)state;
	read_with("!\x01 86400\n");
	assert_true(q.has_deliver_by);
	assert_int_equal(q.deliver_mode, 1);
	assert_true(q.deliver_by_s == 86400);
	read_with("!\x11 -60\n");
	assert_int_equal(q.deliver_mode, 0x11);
	assert_true(q.deliver_by_s == -60);
	read_with("!\n");
	assert_false(q.has_deliver_by);
}

static void
test_macros(void **state)
{
	(void)state;
	read_with("$rESMTP\n${daemon_flags}c u\n${unknown}\n$\n${\n${}x\n"
		  "$_a [1]\n${daemon_flags}d\n");
	assert_int_equal(q.macro_count, 5);
	assert_text(q.macros[0].name, "r");
	assert_text(q.macros[0].value, "ESMTP");
	assert_text(q.macros[1].name, "{daemon_flags}");
	assert_text(q.macros[1].value, "c u");
	assert_text(q.macros[2].value, "");
	assert_text(q.macros[3].name, "_");
	assert_text(q.macros[3].value, "a [1]");
	assert_text(*qf_macro_find(&q, STR("{daemon_flags}")), "d");
	assert_null(qf_macro_find(&q, STR("{daemon}")));
}

static void
test_headers(void **state)
{
	static const struct {
		const char *line;
		const char *condition;
		const char *text;
	} cases[] = {
	    {"HSubject: x\n", "", "Subject: x"},
	    {"H??Subject: x\n", "", "Subject: x"},
	    {"H?P?Return-Path: <\x81g>\n", "P", "Return-Path: <\x81g>"},
	    {"H?${name}?X: y\n", "${name}", "X: y"},
	    {"H?$x?X: y\n", "$x", "X: y"},
	    {"H???X: y\n", "", "?X: y"},
	    {"H??Received: by a\n\tid 1;\n  date\n", "",
		"Received: by a\n\tid 1;\n  date"},
	    {"H??Received: by a\r\n\tid 1;\r\n", "", "Received: by a\n\tid 1;"},
	    {"H??Empty:\n", "", "Empty:"},
	    {"H??Blank : x\n", "", "Blank : x"},
	    {"H??Q: \xFF\x96\xFF\xFF\n", "", "Q: \xFF\x96\xFF\xFF"},
	    {"H??Cr: a\rb\n", "", "Cr: a\rb"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_with(cases[i].line);
		assert_int_equal(q.header_count, 1);
		assert_text(q.headers[0].condition, cases[i].condition);
		assert_text(q.headers[0].text, cases[i].text);
	}
}

static void
test_recipient_flags(void **state)
{
	static const struct {
		const char *line;
		uint8_t flags;
		const char *text;
	} cases[] = {
	    {"R:c", 0, "c"},
	    {"RPFD:c@d", QF_RECIPIENT_DEFAULT, "c@d"},
	    {"RP:c", QF_RECIPIENT_PRIMARY, "c"},
	    {"RN:c", QF_RECIPIENT_NOTIFY, "c"},
	    {"RS:c", QF_RECIPIENT_SUCCESS, "c"},
	    {"RF:c", QF_RECIPIENT_FAILURE, "c"},
	    {"RD:c", QF_RECIPIENT_DELAY, "c"},
	    {"RB:c", QF_RECIPIENT_BCC, "c"},
	    {"RA:c", QF_RECIPIENT_ALIAS, "c"},
	    {"RPxy8:c", QF_RECIPIENT_PRIMARY, "c"},
	    {"RPFDA:|\"/bin/true\"", QF_RECIPIENT_DEFAULT | QF_RECIPIENT_ALIAS,
		"|\"/bin/true\""},
	    {"RPFD:<a:b@c>", QF_RECIPIENT_DEFAULT, "<a:b@c>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char bytes[200];

		snprintf(
		    bytes, sizeof(bytes), "V1\nSa@b\n%s\n.\n", cases[i].line);
		assert_int_equal(read_text(str_from(bytes)), 0);
		assert_int_equal(q.recipients[0].flags, cases[i].flags);
		assert_text(q.recipients[0].text, cases[i].text);
	}
}

/* M, Q and r belong to the next R, C to all that follow. */
static void
test_recipient_lines(void **state)
{
	(void)state;
	assert_int_equal(
	    read_text(STR("V8\nMall\nSa@b\nMone\nCu:8:0:alias\nQrfc822;x\n"
			  "rRFC822; y\nR:one\nR:two\nC\nMthree\nR:three\n"
			  "Qlost\n.\n")),
	    0);
	assert_int_equal(q.recipient_count, 3);
	assert_text(q.status, "all");
	assert_text(q.recipients[0].status, "one");
	assert_text(q.recipients[0].user, "u:8:0:alias");
	assert_text(q.recipients[0].orcpt, "rfc822;x");
	assert_text(q.recipients[0].final, "RFC822; y");
	assert_text(q.recipients[1].status, "");
	assert_text(q.recipients[1].user, "u:8:0:alias");
	assert_text(q.recipients[1].orcpt, "");
	assert_text(q.recipients[1].final, "");
	assert_text(q.recipients[2].status, "three");
	assert_text(q.recipients[2].user, "");
}

/* Files that are right in spite of their looks. */
static void
test_accepted(void **state)
{
	static const struct {
		const char *bytes;
		const char *sender;
		const char *recipient;
		uint8_t flags;
	} cases[] = {
	    {"V8\nS<a@b>\nR:<c@d>\n.", "<a@b>", "<c@d>", 0},
	    {"V8\r\nS<a@b>\r\nR:<c@d>\r\n.\r\n", "<a@b>", "<c@d>", 0},
	    {"V8\nR:<c@d>\nH??X: y\nS<a@b>\n.\n", "<a@b>", "<c@d>", 0},
	    {"V8\nS<a@b>\nS<e@f>\nR:<c@d>\n.\n", "<e@f>", "<c@d>", 0},
	    {"V8\nS\nR:<c@d>\n.\n", "", "<c@d>", 0},
	    {"V8\nS<a@b>\nR:c\n d\n.\n", "<a@b>", "c  d", 0},
	    {"Vx\nS<a@b>\nR<c@d>\n.\n", "<a@b>", "<c@d>", QF_RECIPIENT_DEFAULT},
	    {"V8\nV1\nS<a@b>\nR:<c@d>\n.\n", "<a@b>", "<c@d>", 0},
	    /* R before V, by either version's rules. */
	    {"RPF:<c@d>\nV8\nS<a@b>\n.\n", "<a@b>", "<c@d>",
		QF_RECIPIENT_PRIMARY | QF_RECIPIENT_FAILURE},
	    {"R:<c@d>\nV8\nS<a@b>\n.\n", "<a@b>", "<c@d>", 0},
	    {"R<c@d>\nV8\nS<a@b>\n.\n", "<a@b>", "<c@d>", QF_RECIPIENT_DEFAULT},
	    /* Version 0. */
	    {V0_HEAD "Rc@d\n", "a@b", "c@d", QF_RECIPIENT_DEFAULT},
	    {V0_HEAD "Rc@d\n.\n", "a@b", "c@d", QF_RECIPIENT_DEFAULT},
	    {V0_HEAD "HX: y\n z\nRc@d\n", "a@b", "c@d", QF_RECIPIENT_DEFAULT},
	    {V0_HEAD "RA:c@d\n", "a@b", "A:c@d", QF_RECIPIENT_DEFAULT},
	    {V0_HEAD "RPS:c@d\n", "a@b", "c@d",
		QF_RECIPIENT_PRIMARY | QF_RECIPIENT_SUCCESS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(str_from(cases[i].bytes)), 0);
		assert_text(q.sender, cases[i].sender);
		assert_int_equal(q.recipient_count, 1);
		assert_text(q.recipients[0].text, cases[i].recipient);
		assert_int_equal(q.recipients[0].flags, cases[i].flags);
	}
}

/* Version 0: D and E count, flags are those of a plain recipient. */
static void
test_version_0(void **state)
{
	(void)state;
	assert_int_equal(
	    read_text(STR("P1043\nT696532598\nDdfAA00104\nMwaits\nSa@b\n"
			  "Eerrs@b\nCroot\nH?P?return-path: <a@b>\n"
			  "HDate: x\nRc@d\nRe@f\n")),
	    0);
	assert_false(q.has_version || q.is_terminated);
	assert_int_equal(q.version, 0);
	assert_true(q.created_s == 696532598);
	assert_text(q.data_file, "dfAA00104");
	assert_text(q.errors_to, "errs@b");
	assert_text(q.status, "waits");
	assert_int_equal(q.recipient_count, 2);
	assert_text(q.recipients[1].user, "root");
	assert_int_equal(q.header_count, 2);
}

/* Files with something wrong: at which line, and what is to be done. */
static const struct {
	struct str bytes;
	enum qf_problem_kind kind;
	enum qf_remedy remedy;
	size_t line;
	const char *text;
} problems[] = {
    {STR(""), QF_EMPTY, QF_LEAVE_YOUNG, 0, ""},
    {STR("V8\nSa\nR:c\n"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR("V8\nSa\nR:c"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR("V8"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR("V0\nSa\nRc\n"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR(V0_HEAD "Rc@d"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR(V0_HEAD "Rc@d\nHX: y\n"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR(V0_HEAD "HX: y\n"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR("V8\nSa\nWfoo\n more\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 3,
	"Wfoo  more"},
    {STR("V8\nSa\nHX: a\n b\n\tc\nXfoo\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE,
	6, "Xfoo"},
    {STR("V8\nSa\nXfoo\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 3, "Xfoo"},
    {STR("V8\nSa\n\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 3, ""},
    {STR(" V8\nSa\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 1, " V8"},
    {STR("V8\nSa\n#x\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 3, "#x"},
    {STR("V8\nSa\0b\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 2, NULL},
    {STR("V8\n\0\nSa\nR:c\n.\n"), QF_BAD_LINE, QF_SET_ASIDE, 2, NULL},
    {STR("V8\nSa\nR:c\nH??Subj"), QF_INCOMPLETE, QF_LEAVE, 0, ""},
    {STR("V9\nSa\nR:c\n.\n"), QF_BAD_VERSION, QF_SET_ASIDE, 1, "V9"},
    {STR("V99999999999999999999\nSa\nR:c\n.\n"), QF_BAD_VERSION, QF_SET_ASIDE,
	1, "V99999999999999999999"},
    {STR("V8\nBFUNNY\nSa\nR:c\n.\n"), QF_BAD_BODY, QF_SET_ASIDE, 2, "BFUNNY"},
    {STR("V8\nB\nSa\nR:c\n.\n"), QF_BAD_BODY, QF_SET_ASIDE, 2, "B"},
    {STR("V8\nSa\nAa b\nR:c\n.\n"), QF_BAD_AUTH, QF_SET_ASIDE, 3, "Aa b"},
    {STR("V8\nSa\nAa=b\nR:c\n.\n"), QF_BAD_AUTH, QF_SET_ASIDE, 3, "Aa=b"},
    {STR("V8\nSa\nAa+2\nR:c\n.\n"), QF_BAD_AUTH, QF_SET_ASIDE, 3, "Aa+2"},
    {STR("V8\nSa\nAa+2G\nR:c\n.\n"), QF_BAD_AUTH, QF_SET_ASIDE, 3, "Aa+2G"},
    {STR("V8\nSa\nRPFD\nR:c\n.\n"), QF_BAD_RECIPIENT, QF_SET_ASIDE, 3, "RPFD"},
    {STR("V8\nSa\nRc@d\nR:c\n.\n"), QF_BAD_RECIPIENT, QF_SET_ASIDE, 3, "Rc@d"},
    {STR("V8\nSa\nRPFD: \nR:c\n.\n"), QF_BAD_RECIPIENT, QF_SET_ASIDE, 3,
	"RPFD: "},
    {STR("Sa\nR\n.\n"), QF_BAD_RECIPIENT, QF_SET_ASIDE, 2, "R"},
    {STR("V8\nSa\nFrom x\nR:c\n.\n"), QF_SPOOFED, QF_SET_ASIDE, 3, "From x"},
    {STR("V8\nSa\nR:c\n.\nR:d\n"), QF_EXTRA, QF_SET_ASIDE, 5, "R:d"},
    {STR("V8\nSa\nR:c\n.\n\n"), QF_EXTRA, QF_SET_ASIDE, 5, ""},
    {STR("V8\nSa\nR:c\n.\n.\n"), QF_EXTRA, QF_SET_ASIDE, 5, "."},
    {STR("V8\nR:c\n.\n"), QF_NO_SENDER, QF_SET_ASIDE, 0, ""},
    {STR("V8\nSa\n.\n"), QF_NO_RECIPIENT, QF_SET_ASIDE, 0, ""},
    {STR(".\n"), QF_NO_SENDER, QF_SET_ASIDE, 0, ""},
};

static void
test_problems(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++) {
		if (read_text(problems[i].bytes) != -EBADMSG ||
		    problem.kind != problems[i].kind)
			print_error("case %zu: kind %d\n", i, problem.kind);
		assert_int_equal(problem.kind, problems[i].kind);
		assert_int_equal(problem.remedy, problems[i].remedy);
		assert_int_equal(problem.line, problems[i].line);
		if (problems[i].text != NULL)
			assert_text(problem.text, problems[i].text);
		assert_true(strlen(qf_problem_name(problem.kind)) > 3);
	}
}

/* H lines that are no field: left out, and the first one is told of. */
static void
test_bad_headers(void **state)
{
	static const char *const cases[] = {"no colon", "?Pno end: x", "??: x",
	    "", "?P?Return", "??X-E", "??X E: b", "?\x81{zz", "?a\n b?X: c"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char bytes[200];

		snprintf(bytes, sizeof(bytes),
		    "V8\nSa\nR:c\nH??A: b\nH%s\n more\nH?x\nHC: d\n.\n",
		    cases[i]);
		assert_int_equal(read_text(str_from(bytes)), 0);
		assert_int_equal(q.header_bad_count, 2);
		assert_true(str_starts(q.header_bad, str_from(cases[i])));
		assert_int_equal(q.header_count, 2);
		assert_text(q.headers[0].text, "A: b");
		assert_text(q.headers[1].text, "C: d");
	}
	assert_int_equal(read_text(STR("V8\nSa\nR:c\nHA: b\n.\n")), 0);
	assert_int_equal(q.header_bad_count, 0);
}

/* What came before the bad line is there to be shown. */
static void
test_read_until_bad(void **state)
{
	(void)state;
	assert_int_equal(
	    read_text(STR("V8\nSa@b\nR:c\nBAD\nR:d\n.\n")), -EBADMSG);
	assert_text(q.sender, "a@b");
	assert_int_equal(q.recipient_count, 1);
	assert_text(q.recipients[0].text, "c");
}

/* The bad line is shown up to its limit. */
static void
test_long_bad_line(void **state)
{
	static char bytes[QF_PROBLEM_MAX * 3];

	(void)state;
	memset(bytes, 'W', sizeof(bytes));
	assert_int_equal(read_text(str_of(bytes, QF_PROBLEM_MAX)), -EBADMSG);
	assert_int_equal(problem.text.size, QF_PROBLEM_MAX);
	assert_int_equal(read_text(str_of(bytes, sizeof(bytes))), -EBADMSG);
	assert_int_equal(problem.text.size, QF_PROBLEM_MAX);
}

/* COUNT lines LINE between a head and a dot. */
static int
read_many(const char *line, size_t count)
{
	struct buf bytes;
	int result;

	buf_init(&bytes, QF_FILE_MAX);
	assert_int_equal(buf_append(&bytes, STR("V8\nSa\nR:c\n")), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_append(&bytes, str_from(line)), 0);
	assert_int_equal(buf_append(&bytes, STR(".\n")), 0);
	result = read_text(buf_str(&bytes));
	buf_fini(&bytes);
	return result;
}

/* At each limit, and one past it. */
static void
test_limits(void **state)
{
	(void)state;
	assert_int_equal(read_many("R:c\n", QF_RECIPIENTS_MAX - 1), 0);
	assert_int_equal(q.recipient_count, QF_RECIPIENTS_MAX);
	assert_int_equal(read_many("R:c\n", QF_RECIPIENTS_MAX), -EBADMSG);
	assert_int_equal(problem.kind, QF_TOO_LARGE);
	assert_int_equal(problem.remedy, QF_LEAVE);
	assert_int_equal(read_many("H??X: y\n", QF_HEADERS_MAX), 0);
	assert_int_equal(read_many("H??X: y\n", QF_HEADERS_MAX + 1), -EBADMSG);
	assert_int_equal(problem.kind, QF_TOO_LARGE);
	assert_int_equal(read_many("$xy\n", QF_MACROS_MAX), 0);
	assert_int_equal(read_many("$xy\n", QF_MACROS_MAX + 1), -EBADMSG);
	assert_int_equal(problem.kind, QF_TOO_LARGE);
}

/* A recipient of two kilobytes and more is kept whole. */
static void
test_long_recipient(void **state)
{
	static char bytes[70000];
	size_t size;

	(void)state;
	size = (size_t)snprintf(
	    bytes, sizeof(bytes), "V8\nSa\nR:%065000d@c\n.\n", 7);
	assert_int_equal(read_text(str_of(bytes, size)), 0);
	assert_int_equal(q.recipients[0].text.size, 65002);
}

static void
test_file_limit(void **state)
{
	char *bytes = calloc(1, QF_FILE_MAX + 1);

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(read_text(str_of(bytes, QF_FILE_MAX + 1)), -EBADMSG);
	assert_int_equal(problem.kind, QF_TOO_LARGE);
	free(bytes);
}

/* An arena without room: an error, no half struct that looks whole. */
static void
test_small_arena(void **state)
{
	(void)state;
	for (size_t max = 0; max < 2000; max++) {
		struct arena small;

		arena_init(&small, max);
		if (qf_read(STR(SMALLEST), &small, &q, &problem) == 0) {
			arena_fini(&small);
			assert_true(max > sizeof(SMALLEST));
			return;
		}
		assert_int_equal(problem.kind, QF_FINE);
		arena_fini(&small);
	}
	fail();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_smallest),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_body),
	    cmocka_unit_test(test_deliver_by),
	    cmocka_unit_test(test_macros),
	    cmocka_unit_test(test_headers),
	    cmocka_unit_test(test_recipient_flags),
	    cmocka_unit_test(test_recipient_lines),
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_version_0),
	    cmocka_unit_test(test_problems),
	    cmocka_unit_test(test_bad_headers),
	    cmocka_unit_test(test_read_until_bad),
	    cmocka_unit_test(test_long_bad_line),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_long_recipient),
	    cmocka_unit_test(test_file_limit),
	    cmocka_unit_test(test_small_arena),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
