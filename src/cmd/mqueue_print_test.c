/* The columns of a listing, to the byte. */
#include "cmd/mqueue_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10

struct page {
	FILE *out;
	char *text;
	size_t size;
};

static FILE *
page_open(struct page *p)
{
	p->out = open_memstream(&p->text, &p->size);
	assert_non_null(p->out);
	return p->out;
}

static void
page_expect(struct page *p, const char *expected)
{
	assert_int_equal(fclose(p->out), 0);
	assert_string_equal(p->text, expected);
	free(p->text);
}

static void
expect_entry(const char *text, bool is_verbose, const char *expected)
{
	struct page p;

	mqueue_print_entry(
	    page_open(&p), str_from(text), 41, 30107, is_verbose);
	page_expect(&p, expected);
}

static void
test_heads(void **state)
{
	struct page p;

	mqueue_print_head(page_open(&p), "/q", 1, 0, false);
	page_expect(&p, "\t\t/q (1 request)\n"
			"-----Q-ID----- --Size-- -----Q-Time----- "
			"------------Sender/Recipient-----------\n");
	mqueue_print_head(page_open(&p), "/q", 3, 2, true);
	page_expect(&p, "\t\t/q (3 requests, only 2 printed)\n"
			"-----Q-ID----- --Size-- -Priority- ---Q-Time--- "
			"--------Sender/Recipient--------\n");
	mqueue_print_head(page_open(&p), "/q", 2, 2, true);
	assert_int_equal(fclose(p.out), 0);
	assert_null(strstr(p.text, "printed"));
	free(p.text);
	mqueue_print_id(page_open(&p), STR("AA00101"), '*');
	page_expect(&p, "      AA00101*");
	mqueue_print_id(page_open(&p), STR("6ALLDvRC012936xxxx"), 0);
	page_expect(&p, "6ALLDvRC012936xxxx");
	mqueue_print_total(page_open(&p), 0);
	page_expect(&p, "\t\tTotal requests: 0\n");
	(void)state;
}

static void
test_entries(void **state)
{
	static const char text[] =
	    "V8\nT1795295637\nK0\nN0\nP30107\nB8BITMIME\n"
	    "MDeferred: 451 4.2.0 try later\nFwbs\nSalice@example.com\n"
	    "Croot:8:0:root\nRPFD:|\"/bin/true\"\nC\nMUser unknown\n"
	    "rRFC822; x\nRPFD:bob@dest.test\nRPFD:eve@x\nH??Subject: "
	    "x\n\tRx:y\n.\n";

	expect_entry(text, false,
	    "      41 Sat Nov 21 21:13 alice@example.com\n"
	    "      8BITMIME   (Deferred: 451 4.2.0 try later)\n"
	    "\t\t\t\t\t |\"/bin/true\"\n"
	    "\t\t\t\t\t bob@dest.test\n"
	    "\t\t\t\t\t eve@x\n");
	expect_entry(text, true,
	    "      41      30107+Nov 21 21:13 alice@example.com\n"
	    "      8BITMIME   (Deferred: 451 4.2.0 try later)\n"
	    "\t\t\t\t\t\t(---root:8:0:root---)\n"
	    "\t\t\t\t\t\t|\"/bin/true\"\n"
	    "\t\t\t\t\t\t(------)\n"
	    "\t\t\t\t\t\tbob@dest.test\n"
	    "\t\t (User unknown)\n"
	    "\t\t\t\t\t\teve@x\n");
	(void)state;
}

static void
test_quarantined(void **state)
{
	expect_entry("V8\nT1795295637\nqspam suspicion\nS<>\nRPFD:<b@c>\n.\n",
	    false,
	    "      41 Sat Nov 21 21:13 <>\n"
	    "     QUARANTINE: spam suspicion\n"
	    "\t\t\t\t\t <b@c>\n");
	expect_entry("V8\nT1795295637\nB7BIT\nSa\n.\n", false,
	    "      41 Sat Nov 21 21:13 a\n          7BIT\n");
	(void)state;
}

/* Version 0 has no flags; and whatever is damaged is shown as far as it is. */
static void
test_old_and_damaged(void **state)
{
	expect_entry("P1043\nT696532598\nDdfA\nShosta!fred\nHDate: x\nRa:b\n",
	    false, "      41 Mon Jan 27 17:16 hosta!fred\n\t\t\t\t\t a:b\n");
	expect_entry("", false, " (no control file)\n");
	expect_entry("V8\nSa\nRPFD:b\n", false,
	    "      41 Thu Jan  1 00:00 a\n\t\t\t\t\t b (no control file)\n");
	expect_entry("V8\nT1\nRno colon\nRPFD:b\n", false, "\n\t\t\t\t\t b\n");
	expect_entry("V8\nT1\nSa\nSb\n", false,
	    "      41 Thu Jan  1 00:00 a      41 Thu Jan  1 00:00 b\n");
	expect_entry("V8\nT1\nqx\nSa\nSb\n", false,
	    "      41 Thu Jan  1 00:00 a\n     QUARANTINE: x"
	    "      41 Thu Jan  1 00:00 b\n");
	expect_entry("V8\r\nT1\r\nSa\r\nRPFD:b\r\n.\r\n", false,
	    "      41 Thu Jan  1 00:00 a\n\t\t\t\t\t b\n");
	expect_entry("V8\nT99999999999999999999\nSa\n", false,
	    "      41                  a\n");
	(void)state;
}

static void
test_cuts(void **state)
{
	struct page p;

	expect_entry("V8\nT1\nS" A50 "\nRPFD:" A50 "\n", false,
	    "      41 Thu Jan  1 00:00 " A10 A10 A10 "aaaaaaaaa\n"
	    "\t\t\t\t\t " A10 A10 A10 "aaaaaaaa\n");
	expect_entry("V8\nT1\nS" A50 A50 "\nC" A50 A50 "\nRPFD:" A50 A50 "\n",
	    true,
	    "      41      30107 Jan  1 00:00 " A50 A10 A10 "aaaaaaaa\n"
	    "\t\t\t\t\t\t(---" A50 A10 "aaaa---)\n"
	    "\t\t\t\t\t\t" A50 A10 A10 "a\n");
	expect_entry("V8\nT1\nM" A50 A50 A50 "\nq" A50 A50 A50 "\nSa\n", false,
	    "      41 Thu Jan  1 00:00 a\n     QUARANTINE: " A50 A10
	    "\n                 (" A50 A10 ")\n");
	mqueue_print_first(page_open(&p),
	    &(struct mqueue_first){.size = MQUEUE_SIZE_NONE,
		.priority = -149836,
		.created_s = 1,
		.body = STR("8BITMIMEXYZ"),
		.sender = STR("a")},
	    true);
	page_expect(&p, "      -1    -149836 Jan  1 00:00 a\n    8BITMIMEXY");
	(void)state;
}

static void
test_bytes(void **state)
{
	struct page p;

	mqueue_print_recipient(
	    page_open(&p), STR("a\\b\303\251\001~"), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t a\\\\b\\303\\251\\001~");
	/* One that does not fit is left out, and so is what follows. */
	mqueue_print_recipient(
	    page_open(&p), STR(A10 A10 A10 "aaaaa\303\251"), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t " A10 A10 A10 "aaaaa");
	mqueue_print_recipient(
	    page_open(&p), STR(A10 A10 A10 "aaaaaaa\\\\"), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t " A10 A10 A10 "aaaaaaa");
	/* Room for an octal number is counted one short, as sendmail does. */
	mqueue_print_recipient(
	    page_open(&p), STR(A10 A10 A10 "aaaa\303b"), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t " A10 A10 A10 "aaaa");
	mqueue_print_recipient(
	    page_open(&p), STR(A10 A10 A10 "aaa\303bb"), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t " A10 A10 A10 "aaa\\303b");
	mqueue_print_recipient(
	    page_open(&p), STR("\\\\\\\\\\" A10 A10 A10), STR(""), false);
	page_expect(&p, "\n\t\t\t\t\t \\\\\\\\\\\\\\\\\\\\" A10 A10 "aaaaaaaa");
	/* A far end cannot speak to the terminal. */
	mqueue_print_recipient(
	    page_open(&p), STR("a"), STR("x\033[2J\303\251"), true);
	page_expect(&p, "\n\t\t\t\t\t\ta\n\t\t (x\\033[2J\303\251)");
	mqueue_print_recipient(
	    page_open(&p), STR("a"), STR("x\302\2332J\302\240\302"), true);
	page_expect(&p, "\n\t\t\t\t\t\ta\n\t\t (x\\302\\2332J\302\240\302)");
	(void)state;
}

/* Whatever a file holds: no byte of a listing is one that a terminal obeys. */
static void
test_anything(void **state)
{
	static const char letters[] = "VTPNKFBqMSCRHd.\n\n\n:\\ \033\377\201";
	unsigned seed = 1;

	for (int round = 0; round < 3000; round++) {
		char text[300];
		struct page p;

		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = letters[(seed >> 16) % sizeof(letters)];
		}
		mqueue_print_entry(page_open(&p), str_of(text, sizeof(text)), 1,
		    1, round % 2 == 0);
		assert_int_equal(fclose(p.out), 0);
		for (size_t i = 0; i < p.size; i++) {
			unsigned char c = (unsigned char)p.text[i];

			assert_true(c >= ' ' || c == '\n' || c == '\t');
			assert_int_not_equal(c, 0x7f);
		}
		assert_int_equal(p.text[p.size - 1], '\n');
		free(p.text);
	}
	(void)state;
}

static void
test_hosts(void **state)
{
	struct page p;

	mqueue_print_hosts_head(page_open(&p));
	mqueue_print_host(p.out, STR("127.0.0.1"), 100, 100,
	    STR("250 2.0.0 Ok: stored 6"), false);
	mqueue_print_host(p.out, STR("127.0.0.1"), 100, 100 + 90061,
	    STR("Deferred: Connection refused"), false);
	mqueue_print_host(p.out, STR("127.0.0.1"), 0, 100,
	    STR("Deferred: Connection refused"), true);
	page_expect(&p, " -------------- Hostname --------------- How long ago "
			"---------Results---------\n"
			" 127.0.0.1                                   00:00:00 "
			"250 2.0.0 Ok: stored 6\n"
			" 127.0.0.1                                 1+01:01:01 "
			"Deferred: Connection refu\n"
			" 127.0.0.1                                          - "
			"Deferred: Connection refused\n");
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_quarantined),
	    cmocka_unit_test(test_old_and_damaged),
	    cmocka_unit_test(test_cuts),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_anything),
	    cmocka_unit_test(test_hosts),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
