/* Between control files and the envelopes of mail/envelope.h. */
#include "store/mqueue/qf.h"
#include "mail/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static char many[MAIL_AUTH_MAX + 2];

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	memset(many, 'x', sizeof(many));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void
test_notify(void **state)
{
	static const struct {
		uint8_t notify;
		uint8_t flags;
	} cases[] = {
	    {0, QF_RECIPIENT_DEFAULT},
	    {MAIL_NOTIFY_NEVER, 3},
	    {MAIL_NOTIFY_SUCCESS, 3 | QF_RECIPIENT_SUCCESS},
	    {MAIL_NOTIFY_FAILURE, 3 | QF_RECIPIENT_FAILURE},
	    {MAIL_NOTIFY_DELAY, 3 | QF_RECIPIENT_DELAY},
	    {MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_FAILURE | MAIL_NOTIFY_DELAY,
		3 | 28},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    qf_flags_of_notify(cases[i].notify), cases[i].flags);
		assert_int_equal(qf_notify(cases[i].flags), cases[i].notify);
		/* Flags that say nothing of it. */
		assert_int_equal(qf_notify(cases[i].flags | QF_RECIPIENT_ALIAS |
					   QF_RECIPIENT_BCC),
		    cases[i].notify);
	}
	/* Without N there was no NOTIFY, whatever the others say. */
	assert_int_equal(qf_notify(QF_RECIPIENT_SUCCESS), 0);
}

static void
test_sender(void **state)
{
	static const struct {
		const char *text;
		bool is_response;
		const char *sender;
		bool is_whole;
	} cases[] = {
	    {"<a@b>", false, "a@b", true},
	    {"Name <a@b>", false, "a@b", true},
	    {"<>", false, "", true},
	    {"", false, "root", true},
	    {"MAILER-DAEMON", true, "", true},
	    {"MAILER-DAEMON", false, "MAILER-DAEMON", true},
	    {"hosta!hostb!fred", false, "hosta!hostb!fred", true},
	    {"a@@b <", false, "postmaster", false},
	    {"|/bin/prog", false, "postmaster", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_envelope e;
		struct qf q;
		bool is_whole;

		qf_init(&q);
		q.has_sender = true;
		q.sender = str_from(cases[i].text);
		q.is_response = cases[i].is_response;
		assert_int_equal(qf_get_envelope(&q, &arena, &e, &is_whole), 0);
		assert_true(str_equal(e.sender, str_from(cases[i].sender)));
		assert_int_equal(is_whole, cases[i].is_whole);
	}
}

static void
test_oversize_sender(void **state)
{
	struct mail_envelope e;
	struct qf q;
	bool is_whole;

	(void)state;
	qf_init(&q);
	q.sender = str_of(many, MAIL_ADDRESS_MAX + 1);
	assert_int_equal(qf_get_envelope(&q, &arena, &e, &is_whole), 0);
	assert_false(is_whole);
	assert_true(str_equal(e.sender, STR("postmaster")));
}

/* Of deliver-by only the mode that asks for it makes a notice. */
static void
test_notice(void **state)
{
	static const struct {
		bool has_deliver_by;
		uint8_t mode;
		int64_t by_s;
		uint64_t notice_ms;
	} cases[] = {
	    {false, QF_BY_NOTIFY, 60, 0},
	    {true, QF_BY_NOTIFY, 60, 60000},
	    {true, QF_BY_NOTIFY | QF_BY_TRACE, 60, 60000},
	    {true, QF_BY_NOTIFY, 0, 1000},
	    {true, QF_BY_NOTIFY, -60, 1000},
	    {true, QF_BY_NOTIFY, 253402300799, 253402300799000},
	    {true, QF_BY_RETURN, 60, 0},
	    {true, QF_BY_NOTIFY | QF_BY_RETURN, 60, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_envelope e;
		struct qf q;
		bool is_whole;

		qf_init(&q);
		q.has_deliver_by = cases[i].has_deliver_by;
		q.deliver_mode = cases[i].mode;
		q.deliver_by_s = cases[i].by_s;
		assert_int_equal(qf_get_envelope(&q, &arena, &e, &is_whole), 0);
		assert_int_equal(e.notice_ms, cases[i].notice_ms);
	}
}

/* What is over a limit or no xtext is left out, and said. */
static void
test_limits(void **state)
{
	const struct {
		struct str envid;
		struct str auth;
		bool is_envid_whole;
		bool is_auth_whole;
	} cases[] = {
	    {STR("a+2Bb"), STR("<>"), true, true},
	    {STR(""), STR(""), true, true},
	    {str_of(many, MAIL_ENVID_MAX), str_of(many, MAIL_AUTH_MAX), true,
		true},
	    {str_of(many, MAIL_ENVID_MAX + 1), STR("a"), false, true},
	    {STR("a"), str_of(many, MAIL_AUTH_MAX + 1), true, false},
	    {STR("a b"), STR("a"), false, true},
	    {STR("a+2"), STR("a"), false, true},
	    {str_of("a+2B", 3), STR("a"), false, true},
	    {STR("a\r\nRCPT"), STR("a"), false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_envelope e;
		struct qf q;
		bool is_whole;

		qf_init(&q);
		q.sender = STR("<a@b>");
		q.has_envid = q.has_auth = true;
		q.envid = cases[i].envid;
		q.auth = cases[i].auth;
		assert_int_equal(qf_get_envelope(&q, &arena, &e, &is_whole), 0);
		assert_int_equal(is_whole,
		    cases[i].is_envid_whole && cases[i].is_auth_whole);
		assert_true(str_equal(e.envid,
		    cases[i].is_envid_whole ? cases[i].envid : STR("")));
		assert_true(str_equal(
		    e.auth, cases[i].is_auth_whole ? cases[i].auth : STR("")));
	}
}

/* Set and got again: the same. */
static void
test_envelope_round_trip(void **state)
{
	static const struct mail_envelope cases[] = {
	    {STR(""), STR(""), STR(""), MAIL_BODY_NONE, MAIL_RET_NONE, false,
		0},
	    {STR("a@b"), STR("id"), STR("<>"), MAIL_BODY_7BIT, MAIL_RET_FULL,
		true, 0},
	    {STR("\"a b\"@c"), STR(""), STR("a+40b"), MAIL_BODY_8BITMIME,
		MAIL_RET_HDRS, false, 0},
	    {STR("\xC3\x96@b"), STR(""), STR(""), MAIL_BODY_8BITMIME,
		MAIL_RET_NONE, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_envelope e;
		struct qf q;
		bool is_whole;

		qf_init(&q);
		assert_int_equal(qf_set_envelope(&q, &arena, &cases[i]), 0);
		assert_int_equal(q.sender.data[0], '<');
		assert_int_equal(qf_get_envelope(&q, &arena, &e, &is_whole), 0);
		assert_true(is_whole);
		assert_true(str_equal(e.sender, cases[i].sender));
		assert_true(str_equal(e.envid, cases[i].envid));
		assert_true(str_equal(e.auth, cases[i].auth));
		assert_int_equal(e.body, cases[i].body);
		assert_int_equal(e.ret, cases[i].ret);
		assert_int_equal(e.is_smtputf8, cases[i].is_smtputf8);
	}
}

static void
test_recipient(void **state)
{
	static const struct mail_recipient recipient = {
	    .address = STR("b\xC3\x96@d"),
	    .orcpt = STR("rfc822;Bob+2Bx@d"),
	    .notify = MAIL_NOTIFY_FAILURE,
	    .is_expanded = true,
	};
	struct mail_recipient got;
	struct qf_address address;
	struct qf_recipient r;

	(void)state;
	assert_int_equal(qf_set_recipient(&r, &arena, &recipient), 0);
	assert_true(str_equal(r.text, STR("<b\xC3\xFF\x96@d>")));
	assert_true(str_equal(r.final, STR("RFC822; b\xC3\xFF\x96@d")));
	assert_int_equal(r.flags, 1 | 2 | 8 | 64);
	assert_int_equal(qf_get_recipient(&r, &arena, &address, &got), 0);
	assert_true(str_equal(got.address, recipient.address));
	assert_true(str_equal(got.orcpt, recipient.orcpt));
	assert_int_equal(got.notify, recipient.notify);
	assert_int_equal(got.is_expanded, recipient.is_expanded);
}

/* Programs and files of aliases, as sendmail writes them. */
static void
test_local_recipient(void **state)
{
	static const char *const addresses[] = {"\"|/bin/x\"",
	    "\"|/bin/x \\\"a b\\\" \\\\c\"", "/var/x", "\"/var/a b\""};
	/* What others write, and what becomes of it. */
	static const struct {
		const char *text, *address;
	} cases[] = {
	    {"|\"/bin/true\"", "\"|/bin/true\""},
	    {"|/bin/true", "\"|/bin/true\""},
	    {"/var/x", "/var/x"},
	    {"|/bin/\001", "|/bin/\001"},
	    {":include:/x", ":include:/x"},
	};
	struct mail_recipient to = {.notify = MAIL_NOTIFY_DELAY}, got;
	struct qf_address address;
	struct qf_recipient r = {.flags = QF_RECIPIENT_DEFAULT};

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		to.address = str_from(addresses[i]);
		assert_int_equal(qf_set_recipient(&r, &arena, &to), 0);
		assert_true(str_equal(r.text, to.address));
		assert_true(
		    str_equal(r.user, STR("nobody:65534:65534:nobody")));
		assert_int_equal(r.flags, 1 | 2 | 16 | 64);
		assert_int_equal(
		    qf_get_recipient(&r, &arena, &address, &got), 0);
		assert_true(str_equal(got.address, to.address));
		assert_int_equal(got.notify, to.notify);
		assert_true(got.is_expanded);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.text = str_from(cases[i].text);
		assert_int_equal(
		    qf_get_recipient(&r, &arena, &address, &got), 0);
		assert_true(str_equal(got.address, str_from(cases[i].address)));
	}
}

/* An ORCPT that RCPT could not carry is left out. */
static void
test_orcpt(void **state)
{
	const struct {
		struct str orcpt;
		bool is_kept;
	} cases[] = {
	    {STR("rfc822;a@b"), true},
	    {STR("x-a;a+2Bb"), true},
	    {STR(""), false},
	    {STR("a@b"), false},
	    {STR(";a@b"), false},
	    {STR("rfc822;"), false},
	    {STR("rfc+2B;a"), false},
	    {STR("rfc822;a b"), false},
	    {STR("rfc822;a\r\nQUIT"), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qf_recipient r = {
		    .text = STR("<a@b>"), .orcpt = cases[i].orcpt};
		struct qf_address address;
		struct mail_recipient got;

		assert_int_equal(
		    qf_get_recipient(&r, &arena, &address, &got), 0);
		assert_true(str_equal(
		    got.orcpt, cases[i].is_kept ? cases[i].orcpt : STR("")));
	}
	memcpy(many, "rfc822;", 7);
	for (size_t size = MAIL_ORCPT_MAX; size <= MAIL_ORCPT_MAX + 1; size++) {
		struct qf_recipient r = {
		    .text = STR("<a@b>"), .orcpt = str_of(many, size)};
		struct qf_address address;
		struct mail_recipient got;

		assert_int_equal(
		    qf_get_recipient(&r, &arena, &address, &got), 0);
		assert_int_equal(
		    got.orcpt.size, size == MAIL_ORCPT_MAX ? size : 0);
	}
}

/* Memory that ends anywhere: an error, and nothing half set. */
static void
test_small_arena(void **state)
{
	static const struct mail_envelope e = {
	    .sender = STR("a@b"), .envid = STR("id"), .auth = STR("<>")};
	static const struct mail_recipient to = {
	    .address = STR("c@d"), .orcpt = STR("rfc822;c@d")};
	bool is_done = false;

	(void)state;
	for (size_t max = 0; max < 100 && !is_done; max++) {
		struct qf_recipient r = {.text = STR("old")};
		struct arena small;
		struct qf q;

		qf_init(&q);
		arena_init(&small, max);
		is_done = qf_set_envelope(&q, &small, &e) == 0;
		assert_int_equal(q.has_sender, is_done);
		arena_fini(&small);
		arena_init(&small, max);
		if (qf_set_recipient(&r, &small, &to) != 0)
			assert_true(str_equal(r.text, STR("old")));
		arena_fini(&small);
	}
	assert_true(is_done);
}

static void
test_duplicates(void **state)
{
	static const struct {
		const char *in, *out; /* blanks between */
	} cases[] = {
	    {"a@b", "a@b"},
	    {"a@b <a@b> a@B <a@b>", "a@b"},
	    {"bob@d BOB@d bob@D", "bob@d BOB@d"},
	    {"z@b a@b c@b a@b z@b", "z@b a@b c@b"},
	    {"a A a", "a A"},
	    {"|/x |/x |/X /x", "|/x |/X /x"},
	    {"a@@b a@@b", "a@@b"},
	    {"\"a@X\"@b \"a@x\"@b \"a@x\"@B", "\"a@X\"@b \"a@x\"@b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest = str_from(cases[i].in);
		struct qf_recipient recipients[8] = {{0}};
		struct qf q;
		char got[100] = "";

		qf_init(&q);
		q.recipients = recipients;
		while (rest.size > 0) {
			size_t size = str_find(rest, ' ');

			recipients[q.recipient_count++].text =
			    str_head(rest, size);
			rest = str_skip(rest, size + 1);
		}
		assert_int_equal(qf_drop_duplicates(&q, &arena), 0);
		for (size_t j = 0; j < q.recipient_count; j++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got),
			    "%s%.*s", j > 0 ? " " : "",
			    STR_ARG(recipients[j].text));
		assert_string_equal(got, cases[i].out);
	}
}

/* A program that two users have run is run for both. */
static void
test_duplicates_of_users(void **state)
{
	struct qf_recipient recipients[] = {
	    {.text = STR("|/x"), .user = STR("a")},
	    {.text = STR("|/x"), .user = STR("b")},
	    {.text = STR("|/x"), .user = STR("a")},
	    {.text = STR("c@d"), .user = STR("a")},
	    {.text = STR("c@d"), .user = STR("b")}};
	struct arena small;
	struct qf q;

	(void)state;
	qf_init(&q);
	q.recipients = recipients;
	q.recipient_count = 5;
	arena_init(&small, 10);
	assert_int_equal(qf_drop_duplicates(&q, &small), -ENOBUFS);
	assert_int_equal(q.recipient_count, 5);
	arena_fini(&small);
	assert_int_equal(qf_drop_duplicates(&q, &arena), 0);
	assert_int_equal(q.recipient_count, 3);
	assert_true(str_equal(recipients[1].user, STR("b")));
	assert_true(str_equal(recipients[2].text, STR("c@d")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_notify),
	    cmocka_unit_test(test_sender),
	    cmocka_unit_test(test_oversize_sender),
	    cmocka_unit_test(test_notice),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_envelope_round_trip),
	    cmocka_unit_test(test_recipient),
	    cmocka_unit_test(test_local_recipient),
	    cmocka_unit_test(test_orcpt),
	    cmocka_unit_test(test_small_arena),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_duplicates_of_users),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
