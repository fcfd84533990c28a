/*
 * The queue role and time: what is returned when its time is over, who is told
 * that mail is late, who is told that it arrived, and in which order a release
 * gives what waits.
 */
#include "role/queue_kit.h"

#include <stdlib.h>

#define MINUTE  UINT64_C(60000)
#define HOUR    (60 * MINUTE)

#define SENDER  "s@sender.test"
#define CONTENT "Subject: x\r\n\r\nbody\r\n"

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "expire = \"2h\"\n"
    "delay-notice = \"1h\"\n"
    "route = ( { domain = \"away.test\", to = \"smtp://127.0.0.9:25\" },\n"
    "          { domain = \"*\", to = \"mx\" } )\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\", expire = \"3h\" },\n"
    "  { name = \"secretname\", domains = [ \"told.test\" ], hold = true,\n"
    "    route = \"smtp://127.0.0.1:2526\", delay-notice = \"30m\" },\n"
    "  { name = \"home\", domains = [ \"home.test\" ], hold = false,\n"
    "    route = \"maildir:/var/home\" } )\n";

/* A recipient as it comes in. */
struct to {
	const char *address;
	uint8_t notify;
};

/* Sends a message in from SENDER, if IS_NULL from nobody. */
static void
come(struct world *w, bool is_null, int priority, size_t size,
    const struct to *to, size_t count)
{
	uint64_t transaction = ++w->transaction;
	char id[16];
	char *content = malloc(size + sizeof(CONTENT));
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	snprintf(id, sizeof(id), "ID%06u", (unsigned)transaction);
	memset(content, 'x', size + sizeof(CONTENT));
	memcpy(content, CONTENT, sizeof(CONTENT) - 1);
	size += sizeof(CONTENT) - 1;
	m.u.intake_open.transaction = transaction;
	m.u.intake_open.id = str_from(id);
	m.u.intake_open.envelope.sender = str_from(is_null ? "" : SENDER);
	m.u.intake_open.envelope.envid = STR("E+2B1");
	give(w, RECEIVE, &m);
	for (size_t i = 0; i < count; i++) {
		m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
		m.u.intake_recipient.transaction = transaction;
		m.u.intake_recipient.recipient.address =
		    str_from(to[i].address);
		m.u.intake_recipient.recipient.notify = to[i].notify;
		m.u.intake_recipient.recipient.orcpt = STR("rfc822;o@q.test");
		give(w, RECEIVE, &m);
	}
	m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
	m.u.intake_content.transaction = transaction;
	m.u.intake_content.bytes = str_of(content, size);
	give(w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = transaction;
	m.u.intake_commit.content_size = size;
	m.u.intake_commit.content_crc32c = crc32c(0, str_of(content, size));
	m.u.intake_commit.priority = priority;
	give(w, RECEIVE, &m);
	expect(w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.code, 250);
	free(content);
}

static void
come_one(struct world *w, const char *address, uint8_t notify)
{
	struct to to = {address, notify};

	come(w, false, 0, 0, &to, 1);
}

/* Time goes on by MS, and timers ring. */
static void
pass(struct world *w, uint64_t ms)
{
	uint64_t end_ms = w->f.now_ms + ms;

	while (w->f.wake_ms <= end_ms) {
		fake_timer(&w->f,
		    w->f.wake_ms > w->f.now_ms ? w->f.wake_ms : w->f.now_ms);
		pump(w);
	}
	fake_timer(&w->f, end_ms);
	pump(w);
}

/* Takes the next notification to SENDER out of the store; its text is to be
   freed; NULL if there is none. */
static char *
take_notice(struct world *w)
{
	struct store_request *take = store_request_new(STORE_TAKE), *settle;
	struct store_result result = {.outcome = STORE_DELIVERED};
	char *text = NULL;

	take->u.take.destination = STR("mx:sender.test");
	take->u.take.count = 1;
	take->u.take.inline_max = STORE_BLOCK;
	w->store->ops->batch(w->store, &take, 1);
	if (take->u.take.lease_count > 0) {
		const struct store_lease *l = take->u.take.leases;

		assert_int_equal(l->envelope.sender.size, 0);
		assert_int_equal(
		    l->rows[0].recipient.notify, MAIL_NOTIFY_NEVER);
		assert_true(
		    str_equal(l->rows[0].recipient.address, STR(SENDER)));
		text = strndup(l->content.data, l->content.size);
		settle = store_request_new(STORE_SETTLE);
		memcpy(settle->u.settle.id, l->id, sizeof(l->id));
		settle->u.settle.destination = STR("mx:sender.test");
		settle->u.settle.results = &result;
		settle->u.settle.result_count = 1;
		w->store->ops->batch(w->store, &settle, 1);
		assert_int_equal(settle->error, 0);
		store_request_free(settle);
	}
	store_request_free(take);
	return text;
}

/* The next notification has all of PARTS, which end with NULL; those that
   begin with "!" it has not. */
static void
expect_notice(struct world *w, const char *const *parts)
{
	char *text = take_notice(w);

	assert_non_null(text);
	for (; *parts != NULL; parts++) {
		bool is_not = **parts == '!';

		if ((strstr(text, *parts + is_not) != NULL) == is_not)
			fail_msg("%s\n%s", *parts, text);
	}
	free(text);
}

static void
expect_no_notice(struct world *w)
{
	char *text = take_notice(w);

	if (text != NULL)
		fail_msg("%s", text);
}

/* What a message asks for itself counts where it is earlier. */
static void
test_time_of_notice(void **state)
{
	static const struct {
		uint64_t site_ms, message_ms;
		uint8_t notify;
		bool is_told;
		uint64_t want_ms;
	} cases[] = {
	    {0, 0, 0, false, 1100},
	    {50, 0, 0, false, 150},
	    {0, 50, 0, false, 150},
	    {50, 20, 0, false, 120},
	    {50, 80, 0, false, 150},
	    {0, 999, MAIL_NOTIFY_DELAY, false, 1099},
	    {0, 1000, 0, false, 1100},
	    {0, 50, MAIL_NOTIFY_FAILURE, false, 1100},
	    {0, 50, 0, true, 1100},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mail_envelope envelope = {
		    .sender = STR(SENDER), .notice_ms = cases[i].message_ms};
		const struct mail_recipient to = {.notify = cases[i].notify};
		const struct route route = {
		    .expire_ms = 1000, .notice_ms = cases[i].site_ms};

		assert_int_equal(queue_alarm_time(&route, 100, &envelope, &to,
				     cases[i].is_told),
		    cases[i].want_ms);
	}
}

/* Nobody asks for it: it is returned when the site's time is over, not before,
   and a clock that jumps does not count. */
static void
test_held_mail_expires(void **state)
{
	static const char *const parts[] = {"Status: 4.4.7\r\n",
	    "Action: failed\r\n", "Diagnostic-Code: x-sendq; not fetched",
	    "Original-Envelope-Id: E+1\r\n", "rfc822; o@q.test\r\n",
	    "Final-Recipient: rfc822; u@ship7.test\r\n", "body\r\n",
	    "!Last-Attempt-Date", "!Will-Retry-Until", NULL};
	struct world w;

	world_open(&w, config);
	come_one(&w, "u@ship7.test", 0);
	w.f.wall_ms += 400 * 24 * HOUR;
	pass(&w, 3 * HOUR - 1);
	assert_int_equal(queued(&w), 1);
	expect_no_notice(&w);
	pass(&w, 1);
	expect_notice(&w, parts);
	assert_int_equal(queued(&w), 0);
	expect_none(&w, DELIVER, MESSAGE_JOB);
	world_fini(&w);
}

/* Each recipient by the time of its own destination. */
static void
test_each_site_has_its_time(void **state)
{
	static const struct to to[] = {{"u@ship7.test", MAIL_NOTIFY_FAILURE},
	    {"v@away.test", MAIL_NOTIFY_FAILURE},
	    {"x@away.test", MAIL_NOTIFY_FAILURE},
	    {"w@away.test", MAIL_NOTIFY_NEVER}};
	static const char *const first[] = {
	    "v@away.test\r\nAction: failed\r\nStatus: 4.4.7\r\n",
	    "x@away.test\r\nAction: failed\r\n",
	    "x-sendq; delivery time expired", "!w@away", "!u@ship7", NULL};
	static const char *const second[] = {"u@ship7", "!v@away", NULL};
	struct world w;

	world_open(&w, config);
	come(&w, false, 0, 0, to, 4);
	pass(&w, 2 * HOUR);
	expect_notice(&w, first);
	expect_no_notice(&w);
	assert_int_equal(queued(&w), 1);
	pass(&w, HOUR);
	expect_notice(&w, second);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* A 4xx keeps it; after an hour the sender is told, once, although the role
   starts anew; in the end it is returned with what was said last. */
static void
test_late_mail_is_told_of_once(void **state)
{
	static const char *const late[] = {"Action: delayed\r\n",
	    "Status: 4.2.0\r\n", "Subject: Mail is delayed",
	    "Will-Retry-Until: Wed, 15 Nov 2023 00:13:20 +0000\r\n",
	    "smtp; 451 4.2.0 later\r\n", "kept and\r\ntried again",
	    "!Last-Attempt", "!body\r\n", NULL};
	static const char *const lost[] = {"Action: failed\r\n",
	    "Status: 4.4.7\r\n", "smtp; 451 4.2.0 later\r\n", NULL};
	struct store_info info;
	struct message m;
	struct world w;

	world_open(&w, config);
	come_one(&w, "u@away.test", MAIL_NOTIFY_DELAY | MAIL_NOTIFY_FAILURE);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	settle(&w, &m, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	pass(&w, HOUR - 1);
	expect_no_notice(&w);
	pass(&w, 1);
	expect_notice(&w, late);
	role_queue_free(w.role);
	w.store->ops->info(w.store, &info);
	w.role = role_queue_new(&w.f.env, w.conf, &info, w.f.now_ms);
	fake_set_role(&w.f, &role_queue_ops, w.role);
	pump(&w);
	/* The peers find it. */
	role_queue_ops.peer_up(w.role, w.f.now_ms, CONTROL, ROLE_CONTROL);
	pass(&w, HOUR - 1);
	expect_no_notice(&w);
	pass(&w, 1);
	expect_notice(&w, lost);
	expect_no_notice(&w);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* A longer time holds for what is queued as well, and whoever was told that it
   is late is not told again when the old time is over. */
static void
test_longer_time(void **state)
{
	static const char *const late[] = {"Action: delayed\r\n", NULL};
	static const char *const lost[] = {"Action: failed\r\n", NULL};
	char longer[sizeof(config)];
	struct store_info info;
	struct world w;

	memcpy(longer, config, sizeof(config));
	memcpy(strstr(longer, "expire = \"2h\""), "expire = \"4h\"", 13);
	world_open(&w, config);
	come_one(&w, "u@away.test", 0);
	pass(&w, HOUR);
	expect_notice(&w, late);
	role_queue_free(w.role);
	conf_free(w.conf);
	w.conf = read_config(longer);
	w.store->ops->info(w.store, &info);
	w.role = role_queue_new(&w.f.env, w.conf, &info, w.f.now_ms);
	fake_set_role(&w.f, &role_queue_ops, w.role);
	pump(&w);
	role_queue_ops.peer_up(w.role, w.f.now_ms, CONTROL, ROLE_CONTROL);
	pass(&w, 3 * HOUR - 1);
	expect_no_notice(&w);
	assert_int_equal(queued(&w), 1);
	pass(&w, 1);
	expect_notice(&w, lost);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* How many queued recipients have a sender who was told. */
static size_t
told_count(struct world *w)
{
	struct store_request *find = store_request_new(STORE_FIND);
	size_t count = 0;

	find->u.find.count = STORE_PAGE_MAX;
	w->store->ops->batch(w->store, &find, 1);
	for (size_t i = 0; i < find->u.find.found_count; i++)
		for (size_t j = 0; j < find->u.find.found[i].row_count; j++)
			count += find->u.find.found[i].rows[j].is_told;
	store_request_free(find);
	return count;
}

/* Who does not want to know, is nobody, or has mail for a site that is known
   to wait, is not told. */
static void
test_who_is_not_told_of_delay(void **state)
{
	static const struct to none = {"u@away.test", 0};
	struct world w;

	world_open(&w, config);
	come_one(&w, "a@away.test", MAIL_NOTIFY_FAILURE);
	come_one(&w, "b@away.test", MAIL_NOTIFY_NEVER);
	come_one(&w, "c@ship7.test", MAIL_NOTIFY_DELAY);
	come(&w, true, 0, 0, &none, 1);
	pass(&w, 2 * HOUR - 1);
	expect_no_notice(&w);
	assert_int_equal(queued(&w), 4);
	assert_int_equal(told_count(&w), 0);
	world_fini(&w);
}

/* A held site that wants it so: its senders learn that mail is fetched there,
   and how long it is kept; not what the site is called. */
static void
test_held_site_may_tell(void **state)
{
	static const char *const parts[] = {
	    "whose mail is fetched from time to\r\ntime", "Action: delayed\r\n",
	    "Status: 4.0.0\r\n", "returned to you at Wed, 15 Nov 2023 00:13:20",
	    "Will-Retry-Until: Wed, 15 Nov 2023 00:13:20 +0000\r\n",
	    "!secretname", "!tried again", "!Diagnostic-Code", NULL};
	struct world w;

	world_open(&w, config);
	come_one(&w, "u@told.test", 0);
	pass(&w, 30 * MINUTE);
	expect_notice(&w, parts);
	pass(&w, 30 * MINUTE);
	expect_no_notice(&w);
	/* It waits as before, and goes when it is asked for. */
	trigger(&w, "secretname", NULL, MESSAGE_TRIGGER_STARTED, 1);
	world_fini(&w);
}

/* Delivers a message for ADDRESS; the notification, if any, must have PARTS
   (NULL: there is to be none). */
static void
deliver(const char *address, uint8_t notify, bool is_relayed,
    const char *const *parts)
{
	struct message_job_result result = {.verdict = SMTP_ACCEPTED,
	    .status = STR("2.6.0"),
	    .answer = STR("250 2.6.0 ok")};
	struct message m;
	struct message done = {.type = MESSAGE_JOB_RESULT};
	struct world w;

	world_open(&w, config);
	come_one(&w, address, notify);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	done.u.job_result.session = m.u.job.session;
	done.u.job_result.lease = m.u.job.lease;
	done.u.job_result.host = STR("far.test[192.0.2.7]");
	done.u.job_result.is_relayed = is_relayed;
	done.u.job_result.results = &result;
	done.u.job_result.result_count = 1;
	give(&w, DELIVER, &done);
	if (parts != NULL)
		expect_notice(&w, parts);
	expect_no_notice(&w);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* RFC 3461 5.2.2 and 5.2.3: told here, where nobody else will. */
static void
test_success(void **state)
{
	static const char *const delivered[] = {"Action: delivered\r\n",
	    "Status: 2.6.0\r\n", "Subject: Mail was delivered",
	    "Last-Attempt-Date: ", "text/rfc822-headers", "!body\r\n",
	    "!Diagnostic-Code", NULL};
	static const char *const relayed[] = {"Action: relayed\r\n",
	    "Remote-MTA: dns; far.test\r\n", "smtp; 250 2.6.0 ok", NULL};

	deliver("u@home.test", MAIL_NOTIFY_SUCCESS, false, delivered);
	deliver("u@away.test", MAIL_NOTIFY_SUCCESS, true, relayed);
	deliver("u@away.test", MAIL_NOTIFY_SUCCESS, false, NULL);
	deliver("u@away.test", MAIL_NOTIFY_FAILURE, true, NULL);
	deliver("u@home.test", 0, false, NULL);
	deliver("u@home.test", MAIL_NOTIFY_NEVER, false, NULL);
}

/* The host as others are told of it. */
static void
test_remote_mta(void **state)
{
	static const struct {
		const char *host, *field;
	} cases[] = {
	    {"mx.y.test[192.0.2.7]", "Remote-MTA: dns; mx.y.test\r\n"},
	    {"192.0.2.7[192.0.2.7]", "Remote-MTA: dns; [192.0.2.7]\r\n"},
	    {"[192.0.2.7]", "Remote-MTA: dns; [192.0.2.7]\r\n"},
	    {"[2001:db8::7]", "Remote-MTA: dns; [IPv6:2001:db8::7]\r\n"},
	    {"2001:db8::7[2001:db8::7]",
		"Remote-MTA: dns; [IPv6:2001:db8::7]\r\n"},
	    {"", "!Remote-MTA"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const parts[] = {cases[i].field, NULL};
		struct message_job_result result = {.verdict = SMTP_PERMANENT,
		    .status = STR("5.1.1"),
		    .answer = STR("550 5.1.1 no")};
		struct message m;
		struct message done = {.type = MESSAGE_JOB_RESULT};
		struct world w;

		world_open(&w, config);
		come_one(&w, "u@away.test", 0);
		expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
		next(&w, m.u.session_start.session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		done.u.job_result.session = m.u.job.session;
		done.u.job_result.lease = m.u.job.lease;
		done.u.job_result.host = str_from(cases[i].host);
		done.u.job_result.results = &result;
		done.u.job_result.result_count = 1;
		give(&w, DELIVER, &done);
		expect_notice(&w, parts);
		world_fini(&w);
	}
}

/* More than a slice: all of it is returned, each once. */
static void
test_much_expires_at_once(void **state)
{
	struct world w;
	size_t count = 0;
	char *text;

	world_open(&w, config);
	for (size_t i = 0; i < 230; i++)
		come_one(&w, "u@ship7.test", 0);
	pass(&w, 3 * HOUR);
	while ((text = take_notice(&w)) != NULL) {
		free(text);
		count++;
	}
	assert_int_equal(count, 230);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

static void
change(struct world *w, enum store_change what)
{
	struct message m = {.type = MESSAGE_CHANGE};

	m.u.change.change = what;
	m.u.change.filter.id = STR("ID000001");
	give(w, CONTROL, &m);
	expect(w, CONTROL, MESSAGE_CHANGE_DONE, &m);
	assert_int_equal(m.u.change_done.changed_count, 1);
}

/* What an administrator holds has time until he frees it. */
static void
test_stopped_mail_does_not_expire(void **state)
{
	static const char *const parts[] = {"Status: 4.4.7\r\n", NULL};
	struct world w;

	world_open(&w, config);
	come_one(&w, "u@ship7.test", 0);
	change(&w, STORE_CHANGE_HOLD);
	pass(&w, 9 * HOUR);
	assert_int_equal(queued(&w), 1);
	change(&w, STORE_CHANGE_FREE);
	pass(&w, 1000);
	expect_notice(&w, parts);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* The status of the first row of the listing, as people are shown it; in M. */
static struct str
shown_status(struct world *w, struct message *m)
{
	struct message list = {.type = MESSAGE_LIST};

	list.u.list.count = STORE_PAGE_MAX;
	give(w, CONTROL, &list);
	expect(w, CONTROL, MESSAGE_LIST_MESSAGE, m);
	return m->u.list_message.found.rows[0].status;
}

/* Its host never answered: what kept it is told, and shown. */
static void
test_trouble_of_the_host_is_told(void **state)
{
	static const char *const late[] = {"Action: delayed\r\n",
	    "Status: 4.4.1\r\n",
	    "Diagnostic-Code: x-sendq; connect to 127.0.0.9: refused\r\n",
	    NULL};
	static const char *const lost[] = {"Action: failed\r\n",
	    "Status: 4.4.7\r\n",
	    "x-sendq; delivery time expired: connect to 127.0.0.9:\r\n refused",
	    "!Remote-MTA", NULL};
	struct message m, end = {.type = MESSAGE_SESSION_END};
	struct world w;

	world_open(&w, config);
	come_one(&w, "u@away.test", 0);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	end.u.session_end.session = m.u.session_start.session;
	end.u.session_end.is_failed = true;
	end.u.session_end.status = STR("4.4.1");
	end.u.session_end.answer = STR("connect to 127.0.0.9: refused");
	give(&w, DELIVER, &end);
	assert_true(str_equal(shown_status(&w, &m), end.u.session_end.answer));
	/* Who holds it keeps it, not the host. */
	change(&w, STORE_CHANGE_HOLD);
	assert_int_equal(shown_status(&w, &m).size, 0);
	change(&w, STORE_CHANGE_FREE);
	pass(&w, HOUR);
	expect_notice(&w, late);
	pass(&w, HOUR);
	expect_notice(&w, lost);
	world_fini(&w);
}

/* What is released comes by rank: by age, small before large, other before
   bulk; and what is bulk, or large, is not passed by for ever. */
static void
test_order_of_a_release(void **state)
{
	static const struct {
		uint64_t minute;
		int priority;
		size_t size;
	} comes[] = {{0, -4, 0}, {0, 0, 60000}, {0, 0, 0}, {0, -6, 0},
	    {0, -2, 0}, {39, 0, 0}, {41, 0, 0}, {61, 0, 0}};
	static const char *const order[] = {"ID000003", "ID000002", "ID000005",
	    "ID000006", "ID000001", "ID000007", "ID000004", "ID000008"};
	struct to to = {"u@ship7.test", 0};
	struct message m;
	struct world w;
	uint32_t session;

	world_open(&w, config);
	for (size_t i = 0; i < sizeof(comes) / sizeof(comes[0]); i++) {
		uint64_t at_ms = 1000 + comes[i].minute * MINUTE;

		pass(&w, at_ms - w.f.now_ms);
		come(&w, false, comes[i].priority, comes[i].size, &to, 1);
	}
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 8);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		next(&w, session, 1);
		expect(&w, DELIVER, MESSAGE_JOB, &m);
		assert_true(str_equal(m.u.job.id, str_from(order[i])));
		settle(&w, &m, 1, SMTP_ACCEPTED, "250 ok");
	}
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_time_of_notice),
	    cmocka_unit_test(test_held_mail_expires),
	    cmocka_unit_test(test_each_site_has_its_time),
	    cmocka_unit_test(test_late_mail_is_told_of_once),
	    cmocka_unit_test(test_trouble_of_the_host_is_told),
	    cmocka_unit_test(test_longer_time),
	    cmocka_unit_test(test_who_is_not_told_of_delay),
	    cmocka_unit_test(test_held_site_may_tell),
	    cmocka_unit_test(test_success),
	    cmocka_unit_test(test_remote_mta),
	    cmocka_unit_test(test_much_expires_at_once),
	    cmocka_unit_test(test_stopped_mail_does_not_expire),
	    cmocka_unit_test(test_order_of_a_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
