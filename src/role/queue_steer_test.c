/*
 * Hold, free, delete, requeue and expire in the queue role: what each does to
 * mail in all lanes, with others at work on it; and what is put right at start
 * after the configuration changed.
 */
#include "role/queue_kit.h"

/* With %s as what ship7 is. */
static const char config_form[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "retry-min = \"1m\"\n"
    "relay-from = [ \"127.0.0.0/8\" ]\n"
    "route = ( { domain = \"away.test\", to = \"smtp://127.0.0.9:25\" },\n"
    "          { domain = \"*\", to = \"mx\" } )\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\" ],\n"
    "  %s, route = \"smtp://127.0.0.1:2526\",\n"
    "  from = [ \"127.0.0.0/8\" ] } )\n";

static void
world_init(struct world *w, const char *what)
{
	char config[1000];

	snprintf(config, sizeof(config), config_form, what);
	world_open(w, config);
}

/* The role ends, and begins again with another configuration. */
static void
world_again(struct world *w, const char *config)
{
	struct store_info info;
	struct message m;

	for (role_peer peer = RECEIVE; peer <= CONTROL; peer++)
		while (fake_take_frame(&w->f, peer, &m))
			continue;
	pump(w);
	role_queue_free(w->role);
	fake_fini(&w->f);
	conf_free(w->conf);
	fake_init(&w->f, ROLE_QUEUE);
	w->conf = read_config(config);
	w->store->ops->info(w->store, &info);
	w->role = role_queue_new(&w->f.env, w->conf, &info, w->f.now_ms);
	fake_peer_up(&w->f, &role_queue_ops, w->role, RECEIVE, ROLE_RECEIVE);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	pump(w);
}

static void
world_again_site(struct world *w, const char *what)
{
	char config[1000];

	snprintf(config, sizeof(config), config_form, what);
	world_again(w, config);
}

/* Asks until all is done; the sums in *SUM_OUT. */
static void
steer(struct world *w, struct message change, struct message *sum_out)
{
	struct message sum = {.type = MESSAGE_CHANGE_DONE}, m;

	change.type = MESSAGE_CHANGE;
	change.u.change.request = 9;
	do {
		give(w, CONTROL, &change);
		expect(w, CONTROL, MESSAGE_CHANGE_DONE, &m);
		assert_int_equal(m.u.change_done.request, 9);
		assert_int_equal(m.u.change_done.error, 0);
		sum.u.change_done.changed_count +=
		    m.u.change_done.changed_count;
		sum.u.change_done.leased_count += m.u.change_done.leased_count;
		sum.u.change_done.moved_count += m.u.change_done.moved_count;
		change.u.change.after_key = m.u.change_done.next_key;
	} while (m.u.change_done.next_key != 0);
	*sum_out = sum;
}

/* Does it and compares "CHANGED LEASED MOVED". */
static void
steer_expect(struct world *w, enum message_steer what, const char *destination,
    bool is_dry, const char *want)
{
	struct message m = {0};
	char got[100];

	m.u.change.steer = what;
	m.u.change.filter.destination = str_from(destination);
	m.u.change.is_dry = is_dry;
	steer(w, m, &m);
	snprintf(got, sizeof(got), "%u %u %u",
	    (unsigned)m.u.change_done.changed_count,
	    (unsigned)m.u.change_done.leased_count,
	    (unsigned)m.u.change_done.moved_count);
	assert_string_equal(got, want);
}

/* The destination of that name, as it is listed. */
static void
expect_destination(
    struct world *w, const char *name, const char *lanes, const char *answer)
{
	struct message m = {.type = MESSAGE_LIST};
	char got[100] = "none", said[300] = "";

	m.u.list.request = 5;
	m.u.list.is_destinations = true;
	m.u.list.count = STORE_PAGE_MAX;
	give(w, CONTROL, &m);
	for (;;) {
		const struct store_destination *d =
		    &m.u.list_destination.destination;

		assert_true(fake_take_frame(&w->f, CONTROL, &m));
		if (m.type == MESSAGE_LIST_END)
			break;
		if (m.type != MESSAGE_LIST_DESTINATION ||
		    !str_equal(d->name, str_from(name)))
			continue;
		snprintf(got, sizeof(got), "%u/%u/%u/%u",
		    (unsigned)d->rows[STORE_READY],
		    (unsigned)d->rows[STORE_WAITING],
		    (unsigned)d->rows[STORE_HELD],
		    (unsigned)d->rows[STORE_STOPPED]);
		snprintf(said, sizeof(said), "%.*s",
		    STR_ARG(m.u.list_destination.answer));
	}
	assert_string_equal(got, lanes);
	if (answer != NULL)
		assert_string_equal(said, answer);
}

/* The host of away.test fails. */
static void
fail_away(struct world *w)
{
	struct message m;

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	end_session(w, m.u.session_start.session, true, false);
	expect_none(w, DELIVER, MESSAGE_SESSION_START);
}

#define AWAY "smtp://127.0.0.9:25"

static void
test_requeue_clears_the_backoff(void **state)
{
	struct world w;
	struct message m;

	world_init(&w, "hold = true");
	intake_one(&w, "a@x.test", "one@away.test");
	fail_away(&w);
	expect_destination(&w, AWAY, "1/0/0/0", "556 5.1.10 null MX");
	steer_expect(&w, MESSAGE_STEER_REQUEUE, AWAY, true, "1 0 0");
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	steer_expect(&w, MESSAGE_STEER_REQUEUE, AWAY, false, "1 0 0");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	/* What is being delivered is left, and what waits is tried at once. */
	steer_expect(&w, MESSAGE_STEER_REQUEUE, AWAY, false, "0 1 0");
	settle(&w, &m, 1, SMTP_TEMPORARY, "451 later");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, m.u.job_none.session, false, false);
	expect_destination(&w, AWAY, "0/1/0/0", "");
	steer_expect(&w, MESSAGE_STEER_REQUEUE, AWAY, false, "1 0 0");
	expect_destination(&w, AWAY, "1/0/0/0", "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	world_fini(&w);
}

/* A site is gone from the configuration: its mail waits, and is routed anew
   when somebody says so. */
static void
test_requeue_of_a_site_that_is_gone(void **state)
{
	static const char config[] = "hostname = \"mx2.isp.test\"\n"
				     "spool = \"ram:\"\n"
				     "route = ( { domain = \"*\", "
				     "to = \"smtp://127.0.0.9:25\" } )\n";
	struct world w;
	struct message m;

	world_init(&w, "hold = true");
	for (int i = 0; i < 3; i++)
		intake_one(&w, "a@x.test", "u@ship7.test");
	world_again(&w, config);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	expect_destination(&w, "site:ship7", "0/0/3/0", "");
	steer_expect(&w, MESSAGE_STEER_REQUEUE, "site:ship7", true, "3 0 3");
	expect_destination(&w, "site:ship7", "0/0/3/0", "");
	steer_expect(&w, MESSAGE_STEER_REQUEUE, "site:ship7", false, "3 0 3");
	expect_destination(&w, "site:ship7", "none", "");
	expect_destination(&w, AWAY, "3/0/0/0", "");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	world_fini(&w);
}

/* What is routed anew has the times of its new route. */
static void
test_requeue_sets_the_alarm(void **state)
{
	static const char config[] = "hostname = \"mx2.isp.test\"\n"
				     "spool = \"ram:\"\n"
				     "expire = \"2h\"\n"
				     "route = ( { domain = \"*\", "
				     "to = \"smtp://127.0.0.9:25\" } )\n";
	struct world w;
	uint64_t end_ms;

	world_init(&w, "hold = true");
	end_ms = w.f.now_ms + 7200000;
	intake_one(&w, "", "u@ship7.test");
	world_again(&w, config);
	steer_expect(&w, MESSAGE_STEER_REQUEUE, "site:ship7", false, "1 0 1");
	while (w.f.wake_ms < end_ms) {
		fake_timer(&w.f, w.f.wake_ms);
		pump(&w);
	}
	assert_int_equal(queued(&w), 1);
	fake_timer(&w.f, end_ms);
	pump(&w);
	assert_int_equal(queued(&w), 0);
	world_fini(&w);
}

/* Held and not held any more, and the other way round: at start, by itself. */
static void
test_start_gives_new_homes(void **state)
{
	struct world w;
	struct message m;

	world_init(&w, "hold = true");
	for (int i = 0; i < 1050; i++)
		intake_one(&w, "a@x.test", "u@ship7.test");
	world_again_site(&w, "hold = false");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	expect_destination(&w, "site:ship7", "1050/0/0/0", "");
	/* One waits; it is left until its time. */
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	settle(&w, &m, 1, SMTP_TEMPORARY, "451 later");
	expect_destination(&w, "site:ship7", "1049/1/0/0", "");
	world_again_site(&w, "hold = true");
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	expect_destination(&w, "site:ship7", "0/1/1049/0", "");
	world_again_site(&w, "hold = true");
	expect_destination(&w, "site:ship7", "0/1/1049/0", "");
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1050);
	world_fini(&w);
}

/* Returned now, each with its notification, whatever the lane is. */
static void
test_expire(void **state)
{
	static const char *recipients[] = {
	    "one@away.test", "u@ship7.test", NULL};
	static const char *const want[] = {
	    "451 4.2.0 later", "returned by the administrator"};
	int seen[2] = {0};
	struct world w;
	struct message m;

	world_init(&w, "hold = true");
	intake(&w, "a@x.test", recipients, STR("Subject: x\r\n\r\nb\r\n"));
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	steer_expect(&w, MESSAGE_STEER_EXPIRE, "", true, "1 1 0");
	steer_expect(&w, MESSAGE_STEER_EXPIRE, "", false, "1 1 0");
	settle(&w, &m, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect_destination(&w, "site:ship7", "none", "");
	expect_destination(&w, AWAY, "0/1/0/0", NULL);
	expect_destination(&w, "mx:x.test", "1/0/0/0", "");
	steer_expect(&w, MESSAGE_STEER_EXPIRE, AWAY, false, "1 0 0");
	expect_destination(&w, AWAY, "none", NULL);
	/* The two notifications; one says what was answered last. */
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 2);
	for (int i = 0; i < 2; i++) {
		struct str content;

		expect(&w, DELIVER, MESSAGE_JOB, &m);
		content = m.u.job.content;
		assert_int_equal(m.u.job.envelope.sender.size, 0);
		assert_non_null(
		    memmem(content.data, content.size, "Status: 4.4.7", 13));
		for (size_t j = 0; j < 2; j++)
			seen[j] += memmem(content.data, content.size, want[j],
				       strlen(want[j])) != NULL;
	}
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 1);
	world_fini(&w);
}

/* More than one request does, and more recipients than a lease has. */
static void
test_expire_many(void **state)
{
	static char text[250][24];
	const char *recipients[251] = {NULL};
	struct world w;

	for (size_t i = 0; i < 250; i++) {
		snprintf(text[i], sizeof(text[i]), "u%zu@ship7.test", i);
		recipients[i] = text[i];
	}
	world_init(&w, "hold = true");
	for (int i = 0; i < 700; i++)
		intake_one(&w, "", "u@ship7.test");
	intake(&w, "", recipients, STR("Subject: x\r\n\r\nb\r\n"));
	steer_expect(&w, MESSAGE_STEER_EXPIRE, "site:ship7", true, "950 0 0");
	steer_expect(&w, MESSAGE_STEER_EXPIRE, "site:ship7", false, "950 0 0");
	assert_int_equal(queued(&w), 0);
	assert_int_equal(((struct queue *)w.role)->bounces_lost_count, 950);
	world_fini(&w);
}

/* What a filter leaves of a message is still delivered in the run that is on,
   though it was hidden by the lease. */
static void
test_expire_of_some(void **state)
{
	static const char *recipients[] = {
	    "u@ship7.test", "v@ship7.test", NULL};
	struct world w;
	struct message m, change = {.type = MESSAGE_CHANGE};
	uint32_t session;

	world_init(&w, "hold = true");
	intake(&w, "", recipients, STR("Subject: x\r\n\r\nb\r\n"));
	trigger(&w, "ship7", NULL, MESSAGE_TRIGGER_STARTED, 1);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	session = m.u.session_start.session;
	change.u.change.steer = MESSAGE_STEER_EXPIRE;
	change.u.change.filter.recipient = STR("u@SHIP7.test");
	/* The take is asked for while the rows are leased. */
	assert_int_equal(fake_frame(&w.f, CONTROL, &change), 0);
	m = (struct message){.type = MESSAGE_SESSION_NEXT};
	m.u.session_next.session = session;
	m.u.session_next.want = 1;
	assert_int_equal(fake_frame(&w.f, DELIVER, &m), 0);
	pump(&w);
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &m);
	end_session(&w, session, false, false);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, 1);
	assert_int_equal(m.u.job.rows[0].index, 1);
	world_fini(&w);
}

static void
test_filters(void **state)
{
	static const struct {
		struct store_filter filter;
		uint64_t older_ms;
		unsigned count;
	} cases[] = {
	    {{.sender = STR("@x.test")}, 0, 2},
	    {{.recipient = STR("v@ship7.test")}, 0, 1},
	    {{.domain = STR("ship7.test")}, 0, 2},
	    {{.domain = STR("@test")}, 0, 3},
	    {{.sender = STR("<>"), .domain = STR("ship7.test")}, 0, 1},
	    {{.id = STR("ID000001")}, 0, 1},
	    {{.size_above = 10}, 59999, 3},
	    {{.size_above = 10}, 60001, 0},
	    {{.size_above = 1000}, 0, 0},
	};
	struct world w;
	struct message m;

	world_init(&w, "hold = true");
	intake_one(&w, "a@x.test", "u@ship7.test");
	intake_one(&w, "", "v@ship7.test");
	intake_one(&w, "b@x.test", "v@null.test");
	fake_timer(&w.f, w.f.now_ms + 60000);
	pump(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m = (struct message){.type = MESSAGE_CHANGE};
		m.u.change.filter = cases[i].filter;
		m.u.change.older_ms = cases[i].older_ms;
		m.u.change.change = STORE_CHANGE_DELETE;
		m.u.change.is_dry = true;
		steer(&w, m, &m);
		assert_int_equal(m.u.change_done.changed_count, cases[i].count);
	}
	assert_int_equal(queued(&w), 3);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requeue_clears_the_backoff),
	    cmocka_unit_test(test_requeue_of_a_site_that_is_gone),
	    cmocka_unit_test(test_requeue_sets_the_alarm),
	    cmocka_unit_test(test_start_gives_new_homes),
	    cmocka_unit_test(test_expire),
	    cmocka_unit_test(test_expire_many),
	    cmocka_unit_test(test_expire_of_some),
	    cmocka_unit_test(test_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
