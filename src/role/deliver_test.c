/* The deliver role: which addresses are tried, and how sessions begin and
   end. */
#include "role/deliver_kit.h"

#include "base/log.h"

static const struct kit_job jobs_one[] = {
    {"m1", {"a@a.test"}, 64, .is_inline = true},
    {NULL},
};

static const struct kit_job jobs_none[] = {{NULL}};

static const struct kit_record zone[] = {
    {"a.test", ROLE_DNS_MX, "20 mx2.a.test"},
    {"a.test", ROLE_DNS_MX, "10 mx1.a.test"},
    {"mx1.a.test", ROLE_DNS_ADDRESS, "192.0.2.1"},
    {"mx1.a.test", ROLE_DNS_ADDRESS, "2001:db8::1"},
    {"mx2.a.test", ROLE_DNS_ADDRESS, "192.0.2.2"},
    {"null.test", ROLE_DNS_MX, "00 "},
    {"implicit.test", ROLE_DNS_ADDRESS, "192.0.2.9"},
    {"empty.test", ROLE_DNS_MX, "none"},
    {"fail.test", ROLE_DNS_MX, "fail"},
    {"failhost.test", ROLE_DNS_MX, "10 failhost.test"},
    {"failhost.test", ROLE_DNS_ADDRESS, "fail"},
    {"nohost.test", ROLE_DNS_MX, "10 gone.test"},
    {"half.test", ROLE_DNS_MX, "10 gone.test"},
    {"half.test", ROLE_DNS_MX, "20 mx2.a.test"},
    {"half2.test", ROLE_DNS_MX, "10 mx2.a.test"},
    {"half2.test", ROLE_DNS_MX, "20 gone.test"},
    {"many.test", ROLE_DNS_MX, "10 many1.test"},
    {"many.test", ROLE_DNS_MX, "20 many1.test"},
    {"many.test", ROLE_DNS_MX, "30 many1.test"},
    {"many1.test", ROLE_DNS_ADDRESS, "192.0.2.11"},
    {"many1.test", ROLE_DNS_ADDRESS, "192.0.2.12"},
    {"many1.test", ROLE_DNS_ADDRESS, "192.0.2.13"},
    {"many1.test", ROLE_DNS_ADDRESS, "192.0.2.14"},
    {NULL},
};

/* What each host leads to; ADDRESSES are those connected to, in order. */
struct route_case {
	enum conf_route_kind kind;
	const char *host;
	struct kit_far fars[3];
	const char *addresses;
	const char *log;
};

#define GOOD      "m1 0 accepted 2.0.0 250 2.0.0 taken\nend 1 good 2.0.0 \n"
#define MX        CONF_ROUTE_MX
#define SMTP      CONF_ROUTE_SMTP
#define NULL_MX   "556 5.1.10 domain does not accept mail (null MX)"
#define NO_LOOKUP "mail exchangers cannot be looked up"
#define REFUSED   "connect to mx2.a.test[192.0.2.2]: Connection refused"

static const struct route_case route_cases[] = {
    {MX, "a.test", {{0}}, "192.0.2.1 ", GOOD},
    {MX, "a.test", {{"192.0.2.1", "connect", NULL}}, "192.0.2.1 2001:db8::1 ",
	GOOD},
    {MX, "a.test",
	{{"192.0.2.1", "connect", ""}, {"2001:db8::1", "greeting", NULL}},
	"192.0.2.1 2001:db8::1 192.0.2.2 ", GOOD},
    {MX, "a.test",
	{{"192.0.2.1", "greeting", "421 later\r\n"},
	    {"2001:db8::1", "greeting", "554 no\r\n"}},
	"192.0.2.1 2001:db8::1 192.0.2.2 ", GOOD},
    {MX, "a.test",
	{{"192.0.2.1", "greeting", ""}, {"2001:db8::1", "EHLO", NULL}},
	"192.0.2.1 2001:db8::1 2001:db8::1 ", GOOD},
    {MX, "a.test",
	{{"192.0.2.2", "connect", NULL}, {"any", "greeting", "521 no\r\n"}},
	"192.0.2.1 2001:db8::1 192.0.2.2 ", "end 1 failed 4.4.1 " REFUSED "\n"},
    {MX, "a.test", {{"any", "greeting", "554 5.7.1 go away\r\n"}},
	"192.0.2.1 2001:db8::1 192.0.2.2 ",
	"end 1 failed 4.3.2 554 5.7.1 go away\n"},
    {MX, "a.test", {{"any", "greeting", ""}},
	"192.0.2.1 2001:db8::1 192.0.2.2 ",
	"end 1 failed 4.4.2 mx2.a.test[192.0.2.2], awaiting greeting: timed "
	"out waiting for greeting\n"},
    {MX, "a.test", {{"any", "connect", ""}}, "192.0.2.1 2001:db8::1 192.0.2.2 ",
	"end 1 failed 4.4.1 connect to mx2.a.test[192.0.2.2]: timed out\n"},
    {MX, "null.test", {{0}}, "", "end 1 permanent 5.1.10 " NULL_MX "\n"},
    {MX, "nx.test", {{0}}, "",
	"end 1 permanent 5.1.2 550 5.1.2 nx.test: no such domain\n"},
    {MX, "implicit.test", {{0}}, "192.0.2.9 ", GOOD},
    {MX, "empty.test", {{0}}, "",
	"end 1 permanent 5.4.4 550 5.4.4 empty.test: the domain has neither MX "
	"nor address\n"},
    {MX, "fail.test", {{0}}, "",
	"end 1 failed 4.4.3 451 4.4.3 fail.test: " NO_LOOKUP "\n"},
    {MX, "failhost.test", {{0}}, "",
	"end 1 failed 4.4.3 451 4.4.3 failhost.test: the address cannot be "
	"looked up\n"},
    {MX, "nohost.test", {{0}}, "",
	"end 1 failed 4.4.4 451 4.4.4 gone.test: no address\n"},
    {MX, "half.test", {{0}}, "192.0.2.2 ", GOOD},
    {MX, "half.test", {{"any", "connect", NULL}}, "192.0.2.2 ",
	"end 1 failed 4.4.1 " REFUSED "\n"},
    {MX, "half2.test", {{"any", "connect", NULL}}, "192.0.2.2 ",
	"end 1 failed 4.4.1 " REFUSED "\n"},
    {MX, "[192.0.2.7]", {{0}}, "192.0.2.7 ", GOOD},
    {MX, "[IPv6:2001:db8::7]", {{0}}, "2001:db8::7 ", GOOD},
    {MX, "[x400:c=de]", {{0}}, "",
	"end 1 permanent 5.1.2 550 5.1.2 [x400:c=de]: no host can be found by "
	"this name\n"},
    {SMTP, "192.0.2.7", {{0}}, "192.0.2.7 ", GOOD},
    {SMTP, "2001:db8::7", {{0}}, "2001:db8::7 ", GOOD},
    {SMTP, "mx2.a.test", {{0}}, "192.0.2.2 ", GOOD},
    {SMTP, "nx.test", {{0}}, "",
	"end 1 failed 4.4.4 451 4.4.4 nx.test: no address\n"},
    {MX, "many.test", {{"any", "connect", NULL}},
	"192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14 192.0.2.11 192.0.2.12 "
	"192.0.2.13 192.0.2.14 192.0.2.11 192.0.2.12 ",
	"end 1 failed 4.4.1 connect to many1.test[192.0.2.12]: Connection "
	"refused\n"},
};

static void
test_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(route_cases) / sizeof(route_cases[0]);
	     i++) {
		const struct route_case *t = &route_cases[i];
		struct world *w = world_new(
		    t->fars[0].address ? t->fars : NULL, zone, jobs_one);
		char text[400] = "", address[46];

		world_start(w, 1, t->kind, t->host);
		world_run_time(w, UINT64_MAX - 1);
		for (size_t c = 0; c < FAKE_CONNS_MAX; c++) {
			size_t at = strlen(text);

			if (w->f.conns[c].conn == 0)
				continue;
			assert_false(fake_is_open(&w->f, c + 1));
			assert_int_equal(w->f.conns[c].address.port, 25);
			conf_address_format(&w->f.conns[c].address, address);
			snprintf(text + at, sizeof(text) - at, "%s ", address);
		}
		assert_string_equal(text, t->addresses);
		assert_log(w, t->log);
		assert_true(w->f.wake_ms == UINT64_MAX);
		world_free(w);
	}
}

/* A refusing host is told QUIT; 30 s are waited for a connection, not more. */
static void
test_manners(void **state)
{
	static const struct kit_far refuses[] = {
	    {"any", "greeting", "554 no\r\n"}, {NULL}};
	static const struct kit_far silent[] = {{"any", "connect", ""}, {NULL}};
	struct world *w = world_new(refuses, zone, jobs_one);
	uint64_t start_ms;

	(void)state;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	assert_string_equal(world_said(w, 1), "QUIT|");
	world_free(w);

	w = world_new(silent, zone, jobs_one);
	start_ms = w->f.now_ms;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run_time(w, start_ms + 29999);
	assert_log(w, "");
	world_run_time(w, start_ms + 30000);
	assert_int_equal(w->end_count, 1);
	assert_true(w->f.conns[0].is_aborted);
	/* A late connection finds nothing. */
	role_deliver_ops.connected(w->role, w->f.now_ms, 1, 0);
	role_deliver_ops.drained(w->role, w->f.now_ms, 1);
	role_deliver_ops.closed(w->role, w->f.now_ms, 1, 0);
	assert_int_equal(
	    role_deliver_ops.bytes(w->role, w->f.now_ms, 1, STR("220 x\r\n")),
	    7);
	world_run(w);
	assert_int_equal(w->end_count, 1);
	world_free(w);
}

/* Hosts of equal preference come in any order, others never. */
static void
test_shuffle(void **state)
{
	static const struct kit_record equal[] = {
	    {"a.test", ROLE_DNS_MX, "20 mx3.test"},
	    {"a.test", ROLE_DNS_MX, "10 mx1.test"},
	    {"a.test", ROLE_DNS_MX, "10 mx2.test"},
	    {"mx1.test", ROLE_DNS_ADDRESS, "192.0.2.1"},
	    {"mx2.test", ROLE_DNS_ADDRESS, "192.0.2.2"},
	    {"mx3.test", ROLE_DNS_ADDRESS, "192.0.2.3"},
	    {NULL},
	};
	unsigned counts[4] = {0};

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		struct world *w = world_new(NULL, equal, jobs_one);

		w->f.random_next = i * 4 + 248;
		world_start(w, 1, MX, "a.test");
		world_run(w);
		counts[w->f.conns[0].address.bytes[3]]++;
		world_free(w);
	}
	assert_true(counts[1] > 0 && counts[2] > 0 && counts[3] == 0);
}

static void
test_resolver_forgets(void **state)
{
	struct world *w = world_new(NULL, zone, jobs_one);
	struct role_dns_answer answer = {.status = ROLE_DNS_NONE};
	uint64_t query;

	(void)state;
	world_start(w, 1, MX, "a.test");
	query = w->f.resolves[0].query;
	w->f.resolve_count = 0;
	world_run_time(w, w->f.now_ms + 120000);
	assert_log(w, "end 1 failed 4.4.3 451 4.4.3 a.test: " NO_LOOKUP "\n");
	/* The answer that comes after all finds nothing. */
	role_deliver_ops.resolved(w->role, w->f.now_ms, query, &answer);
	world_run(w);
	assert_int_equal(w->end_count, 1);
	world_free(w);
}

static void
test_limits(void **state)
{
	static const struct kit_far silent[] = {
	    {"any", "greeting", ""}, {NULL}};
	struct world *w = world_new(silent, zone, jobs_none);
	struct message again = {.type = MESSAGE_SESSION_START};

	(void)state;
	for (uint32_t i = 1; i <= 4; i++)
		world_start(w, i, SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w, "");
	world_start(w, 5, SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w, "end 5 failed 4.3.2 451 4.3.2 too many sessions\n");
	/* A session that is there already. */
	again.u.session_start.session = 2;
	again.u.session_start.host = STR("192.0.2.1");
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &again), -EPROTO);
	world_free(w);

	w = world_new(NULL, zone, jobs_none);
	w->f.is_out_of_conns = true;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w,
	    "end 1 failed 4.3.0 451 4.3.0 no connection can be opened "
	    "now\n");
	world_free(w);
}

/* Frames that cannot be close the peer; those for a session that is over are
   nothing. */
static void
test_frames(void **state)
{
	struct world *w = world_new(NULL, zone, jobs_one);
	struct message m = {.type = MESSAGE_JOB_NONE};

	(void)state;
	m.u.job_none.session = 77;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
	assert_int_equal(fake_frame(&w->f, 99, &m), -EPROTO);
	assert_int_equal(role_deliver_ops.message(
			     w->role, w->f.now_ms, KIT_QUEUE, STR("junk")),
	    -EPROTO);
	/* More messages than were asked for, a block that was not. */
	w->is_queue_slow = true;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	m = (struct message){.type = MESSAGE_JOB};
	m.u.job.session = 1;
	m.u.job.id = STR("m1");
	m.u.job.time_ms = 1000;
	m.u.job.rows = mem_new(1, sizeof(m.u.job.rows[0]));
	m.u.job.rows[0].recipient.address = STR("a@a.test");
	m.u.job.row_count = 1;
	m.u.job.content_size = 100;
	for (m.u.job.lease = 1; m.u.job.lease <= 2; m.u.job.lease++)
		assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), -EPROTO);
	free(m.u.job.rows);
	m = (struct message){.type = MESSAGE_BLOCK};
	m.u.block.session = 1;
	m.u.block.lease = 2;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), -EPROTO);
	m.u.block.lease = 5;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
	world_free(w);
}

static void
test_shutdown(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test"}, 64, .is_inline = true},
	    {"m2", {"a@a.test"}, 64, .is_inline = true},
	    {"m3", {"a@a.test"}, 64, .is_inline = true},
	    {NULL},
	};
	static const struct kit_far fars[] = {
	    {"192.0.2.1", "dot", ""}, {"192.0.2.2", "greeting", ""}, {NULL}};

	(void)state;
	/* Nothing is there. */
	struct world *w = world_new(NULL, zone, jobs_none);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	assert_true(w->f.is_stopped);
	world_free(w);

	/* The message in hand is finished, the next one is not begun. */
	w = world_new(fars, zone, jobs);
	world_start(w, 1, SMTP, "192.0.2.1");
	world_start(w, 2, SMTP, "192.0.2.2");
	world_run(w);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	world_start(w, 3, SMTP, "192.0.2.1");
	world_run(w);
	assert_log(w, "m2 0 untried 4.3.2 shutting down\n"
		      "end 2 good 4.3.2 shutting down\n"
		      "end 3 good 4.3.2 shutting down\n");
	assert_false(w->f.is_stopped);
	world_server(w, 1)->is_stuck = false;
	fake_input(&w->f, 1, STR("250 2.0.0 taken\r\n"));
	world_run(w);
	assert_non_null(strstr(w->log,
	    "m1 0 accepted 2.0.0 250 2.0.0 taken\nend 1 good 2.0.0 \n"));
	assert_null(strstr(w->log, "m3"));
	assert_true(w->f.is_stopped);
	world_free(w);

	/* After 8 s it is left; the dot was out, so that nobody knows. */
	w = world_new(fars, zone, jobs);
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	world_run_time(w, w->f.now_ms + 7999);
	assert_false(w->f.is_stopped);
	world_run_time(w, w->f.now_ms + 1);
	assert_true(w->f.is_stopped && w->f.conns[0].is_aborted);
	assert_non_null(strstr(w->log,
	    "m1 0 temporary 4.4.2 connection lost: shutting down\nend 1 good"));
	world_free(w);
}

/* A message that was asked for and comes after the shutdown goes back. */
static void
test_shutdown_late(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test"}, 64, .is_inline = true},
	    {"m2", {"a@a.test"}, 64, .is_inline = true},
	    {NULL},
	};
	static const struct kit_far fars[] = {{"any", "dot", ""}, {NULL}};
	struct world *w = world_new(fars, zone, jobs_one);

	(void)state;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	assert_int_equal(w->lease_count, 1);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	w->jobs = jobs;
	kit_feed_session(w, 1);
	world_run(w);
	assert_log(w, "m2 0 untried 4.3.2 not tried\n");
	world_free(w);
}

/* Shutdown while content is under way: the message is untried after 8 s. */
static void
test_shutdown_content(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test"}, 640, .is_silent = true}, {NULL}};
	struct world *w = world_new(NULL, zone, jobs);

	(void)state;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_run(w);
	assert_true(world_server(w, 1)->is_data);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	world_run_time(w, w->f.now_ms + 8000);
	assert_non_null(
	    strstr(w->log, "m1 0 untried 4.3.0 shutting down\nend 1 good"));
	assert_true(w->f.is_stopped);
	assert_int_equal(world_server(w, 1)->dot_count, 0);
	world_free(w);
}

/* Without the queue role everything is dropped, and nothing that waits in the
   network goes out any more. */
static void
test_queue_lost(void **state)
{
	static const struct kit_far fars[] = {
	    {"192.0.2.2", "greeting", ""}, {NULL}};
	struct world *w = world_new(fars, zone, jobs_one);

	(void)state;
	world_start(w, 1, SMTP, "192.0.2.1");
	world_start(w, 2, SMTP, "192.0.2.2");
	world_start(w, 3, MX, "a.test");
	for (int i = 0; i < 200 && !world_server(w, 1)->is_data; i++) {
		kit_serve(w, &w->f.conns[0]);
		kit_queue(w);
	}
	world_start(w, 4, SMTP, "192.0.2.1");
	assert_true(buf_size(&w->f.conns[0].output) > 0);
	fake_peer_down(&w->f, KIT_QUEUE);
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++)
		assert_true(
		    w->f.conns[i].conn == 0 || w->f.conns[i].is_aborted);
	world_run_time(w, UINT64_MAX - 1);
	assert_int_equal(world_server(w, 1)->dot_count, 0);
	assert_false(w->f.is_stopped);
	/* It serves the next one. */
	fake_peer_up(&w->f, &role_deliver_ops, w->role, 8, ROLE_QUEUE);
	world_free(w);
}

/* The log says what became of whom. */
static char logged[4096];

static void
test_log_sink(enum log_level level, struct str line)
{
	size_t at = strlen(logged);

	snprintf(logged + at, sizeof(logged) - at, "%.*s\n", STR_ARG(line));
}

static void
test_log(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test", "no@a.test", "later@a.test"}, 64,
		.is_inline = true},
	    {NULL},
	};
	struct world *w = world_new(NULL, zone, jobs);

	(void)state;
	log_set(test_log_sink, LOG_DETAIL);
	world_start(w, 1, MX, "a.test");
	world_run(w);
	world_start(w, 2, MX, "null.test");
	world_run(w);
	log_set(NULL, LOG_NOTE);
	assert_string_equal(logged,
	    "detail connected - session=1 destination=dest "
	    "host=mx1.a.test[192.0.2.1]\n"
	    "note delivered m1 to=a@a.test host=mx1.a.test[192.0.2.1] "
	    "answer=\"250 2.0.0 taken\"\n"
	    "note failed m1 to=no@a.test host=mx1.a.test[192.0.2.1] "
	    "answer=\"550 5.1.1 no such user\"\n"
	    "note deferred m1 to=later@a.test host=mx1.a.test[192.0.2.1] "
	    "answer=\"450 4.2.1 later\"\n"
	    "detail session-failed - session=2 host=null.test "
	    "answer=\"" NULL_MX "\"\n");
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_manners),
	    cmocka_unit_test(test_shuffle),
	    cmocka_unit_test(test_resolver_forgets),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_shutdown),
	    cmocka_unit_test(test_shutdown_late),
	    cmocka_unit_test(test_shutdown_content),
	    cmocka_unit_test(test_queue_lost),
	    cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
