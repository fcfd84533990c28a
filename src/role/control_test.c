/* The control role over a carrier that does nothing, answers to the byte. */
#include "base/log.h"
#include "role/control.h"
#include "role/fake_env.h"
#include "role/roles.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define QUEUE 7

static const char conf_text[] =
    "hostname = \"holder.test\"; spool = \"ram:\";\n"
    "site = (\n"
    " { name = \"ship\"; domains = [ \"ship.test\", \"@boats.test\" ];\n"
    "   hold = true; route = \"smtp://192.0.2.1\"; },\n"
    " { name = \"farm\"; domains = [ \"farm.test\" ];\n"
    "   route = \"smtp://192.0.2.2\"; },\n"
    " { name = \"zoo\"; domains = [ \"zoo.test\" ];\n"
    "   route = \"smtp://192.0.2.3\"; }\n"
    ");\n";

static struct conf *conf;
static struct fake_env f;
static void *role;
static char said[2000000];

static int
read_conf(void **state)
{
	/* fmemopen only reads from it. */
	FILE *file =
	    fmemopen((void *)(uintptr_t)conf_text, strlen(conf_text), "r");
	struct buf errors;

	buf_init(&errors, 10000);
	if (conf_read(file, "test.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	fclose(file);
	return 0;
}

static int
free_conf(void **state)
{
	conf_free(conf);
	return 0;
}

/* The queue is up and has told its clock: 500 s less than wall time. */
static int
start(void **state)
{
	struct message m;

	fake_init(&f, ROLE_CONTROL);
	role = role_control_new(&f.env, conf);
	fake_peer_up(&f, &role_control_ops, role, QUEUE, ROLE_QUEUE);
	assert_true(fake_take_frame(&f, QUEUE, &m));
	assert_int_equal(m.type, MESSAGE_LIST);
	m = (struct message){.type = MESSAGE_LIST_END,
	    .u.list_end = {.request = m.u.list.request,
		.queue_ms = f.wall_ms - 500000,
		.wall_ms = f.wall_ms}};
	assert_int_equal(fake_frame(&f, QUEUE, &m), 0);
	return 0;
}

static int
finish(void **state)
{
	role_control_free(role);
	fake_fini(&f);
	return 0;
}

static role_conn
come(void)
{
	return fake_accept(&f, &role_control_ops, role, NULL);
}

static void
expect_text(role_conn conn, const char *answer)
{
	assert_string_equal(
	    fake_take_text(&f, conn, said, sizeof(said)), answer);
}

/* Says INPUT and expects exactly ANSWER. */
static void
say(role_conn conn, const char *input, const char *answer)
{
	fake_input(&f, conn, str_from(input));
	expect_text(conn, answer);
}

static struct message
expect_frame(enum message_type type)
{
	struct message m;

	assert_true(fake_take_frame(&f, QUEUE, &m));
	assert_int_equal(m.type, type);
	return m;
}

static void
reply(const struct message *m)
{
	assert_int_equal(fake_frame(&f, QUEUE, m), 0);
	fake_run(&f);
}

static void
reply_list_end(uint64_t request, int error, bool is_more)
{
	struct message m = {.type = MESSAGE_LIST_END,
	    .u.list_end = {.request = request,
		.error = error,
		.is_more = is_more,
		.total = 9,
		.queue_ms = f.wall_ms - 500000,
		.wall_ms = f.wall_ms}};

	reply(&m);
}

static void
reply_destination(uint64_t request, const char *name, uint64_t messages)
{
	struct message m = {.type = MESSAGE_LIST_DESTINATION,
	    .u.list_destination = {.request = request,
		.destination = {.name = str_from(name),
		    .rows = {1, 2, 3, 4},
		    .messages = messages,
		    .bytes = 100,
		    .oldest_ms = f.wall_ms - 500000 - 60000,
		    .failures = 2},
		.state = STR("backoff"),
		.answer = STR("451 no"),
		.next_ms = 30000,
		.answered_ms = f.wall_ms - 500000 - 30000}};

	reply(&m);
}

/* What is refused, and how. */
static const struct {
	const char *line, *error;
	bool is_closed;
} request_cases[] = {
    {"", "not a JSON object", true},
    {"{", "not a JSON object", true},
    {"[]", "not a JSON object", true},
    {"\"ping\"", "not a JSON object", true},
    {"{\"do\":\"ping\",\"do\":\"ping\"}", "not a JSON object", true},
    {"{\"do\":\"ping\"} x", "not a JSON object", true},
    {"{\"do\":\"pi\\u0000ng\"}", "not a JSON object", true},
    {"{}", "unknown action", false},
    {"{\"do\":\"pong\"}", "unknown action", false},
    {"{\"do\":1}", "unknown key, or of the wrong type", false},
    {"{\"do\":\"list\",\"ID\":\"a\"}", "unknown key, or of the wrong type",
	false},
    {"{\"do\":\"list\",\"id\":1}", "unknown key, or of the wrong type", false},
    {"{\"do\":\"list\",\"after\":true}", "unknown key, or of the wrong type",
	false},
    {"{\"do\":\"list\",\"after\":\"x\"}", "key is not for this action", false},
    {"{\"do\":\"sites\",\"after\":1}", "key is not for this action", false},
    {"{\"do\":\"ping\",\"id\":\"a\"}", "key is not for this action", false},
    {"{\"do\":\"list\",\"id\":\"\"}", "bad id", false},
    {"{\"do\":\"list\",\"id\":\"a/b\"}", "bad id", false},
    {"{\"do\":\"list\",\"destination\":\"\"}", "bad destination", false},
    {"{\"do\":\"list\",\"after\":-1}", "bad after", false},
    {"{\"do\":\"list\",\"count\":0}", "bad count", false},
    {"{\"do\":\"list\",\"count\":201}", "bad count", false},
    {"{\"do\":\"delete\"}", "key is missing", false},
    {"{\"do\":\"release\"}", "key is missing", false},
    {"{\"do\":\"delete\",\"dry\":true,\"after\":1}", "key is missing", false},
    {"{\"do\":\"list\",\"dry\":true}", "key is not for this action", false},
    {"{\"do\":\"delete\",\"dry\":1}", "unknown key, or of the wrong type",
	false},
    {"{\"do\":\"list\",\"older\":0}", "number out of range", false},
    {"{\"do\":\"list\",\"older\":315360001}", "number out of range", false},
    {"{\"do\":\"list\",\"larger\":0}", "number out of range", false},
    {"{\"do\":\"list\",\"larger\":\"1\"}", "unknown key, or of the wrong type",
	false},
    {"{\"do\":\"list\",\"sender\":\"\"}", "bad address", false},
    {"{\"do\":\"list\",\"domain\":\"a b\"}", "bad domain", false},
    {"{\"do\":\"list\",\"domain\":\"\"}", "bad domain", false},
    {"{\"do\":\"release\",\"site\":\"ship\",\"domains\":[1]}",
	"domains must be strings", false},
    {"{\"do\":\"release\",\"site\":\"ship\",\"domains\":[\"a b\"]}",
	"bad domain", false},
    {"{\"do\":\"release\",\"site\":\"ship\","
     "\"domains\":[\"farm.test\"]}",
	"domain is not of this site", false},
    {"{\"do\":\"release\",\"site\":\"ship\","
     "\"domains\":[\"@x.test\"]}",
	"domain is not of this site", false},
};

static void
test_requests(void **state)
{
	for (size_t i = 0; i < sizeof(request_cases) / sizeof(request_cases[0]);
	     i++) {
		role_conn conn = come();
		char line[400], end[400];
		struct message m;

		snprintf(line, sizeof(line), "%s\n", request_cases[i].line);
		snprintf(end, sizeof(end), "{\"end\":true,\"error\":\"%s\"}\n",
		    request_cases[i].error);
		say(conn, line, end);
		assert_int_equal(
		    fake_is_open(&f, conn), !request_cases[i].is_closed);
		assert_false(fake_take_frame(&f, QUEUE, &m));
		if (!request_cases[i].is_closed)
			fake_close(&f, conn, 0);
	}
}

#define PONG "{\"end\":true,\"error\":null,\"queue\":true}\n"

/* Cut anywhere, several in one piece. */
static void
test_lines(void **state)
{
	role_conn conn = come();
	struct str line = STR("{\"do\":\"ping\"}\n{\"do\":\"ping\"}\n");

	/* Each end asks the carrier for more. */
	say(conn, line.data, PONG PONG);
	for (size_t i = 0; i < line.size; i++)
		fake_input(&f, conn, str_head(str_skip(line, i), 1));
	expect_text(conn, PONG PONG);
	/* An answer that is not read: no further request is taken. */
	fake_conn(&f, conn)->unsent = 1;
	say(conn, "{\"do\":\"ping\"}\n", "");
	fake_conn(&f, conn)->unsent = 0;
	role_control_ops.drained(role, f.now_ms, conn);
	fake_run(&f);
	expect_text(conn, PONG);
}

/* The longest line, and one byte more. */
static void
test_line_max(void **state)
{
	static char line[CONTROL_REQUEST_MAX + 10];

	for (size_t size = CONTROL_REQUEST_MAX; size <= CONTROL_REQUEST_MAX + 1;
	     size++) {
		role_conn conn = come();

		memset(line, ' ', size);
		memcpy(line, "{\"do\":\"ping\"}", 13);
		line[size - 1] = '\n';
		fake_input(&f, conn, str_of(line, size / 2));
		fake_input(&f, conn, str_of(line + size / 2, size - size / 2));
		if (size == CONTROL_REQUEST_MAX)
			expect_text(conn, PONG);
		else
			expect_text(conn, "{\"end\":true,\"error\":\"line too "
					  "long\"}\n");
		assert_int_equal(
		    fake_is_open(&f, conn), size == CONTROL_REQUEST_MAX);
	}
}

/* Brackets without end do not end the process. */
static void
test_deep(void **state)
{
	static char line[CONTROL_REQUEST_MAX];
	role_conn conn = come();

	memset(line, '[', sizeof(line));
	memcpy(line, "{\"a\":", 5);
	line[sizeof(line) - 1] = '\n';
	fake_input(&f, conn, str_of(line, sizeof(line)));
	expect_text(conn, "{\"end\":true,\"error\":\"not a JSON object\"}\n");
}

static void
test_conns_max(void **state)
{
	role_conn conn = 0;

	for (int i = 0; i < CONTROL_CONNS_MAX; i++)
		conn = come();
	say(come(), "", "{\"end\":true,\"error\":\"too many connections\"}\n");
	fake_close(&f, conn, 0);
	say(come(), "{\"do\":\"ping\"}\n", PONG);
}

/* Idle clients do not keep others out: of all that are there the one idle for
   longest goes, if it was idle for long enough and nothing is done for it. */
static void
test_idle(void **state)
{
	role_conn conns[CONTROL_CONNS_MAX], conn;

	for (int i = 0; i < CONTROL_CONNS_MAX; i++) {
		conns[i] = come();
		fake_timer(&f, f.now_ms + 1);
	}
	/* The first asks the queue; the second is busy, the third deaf. */
	say(conns[0], "{\"do\":\"list\"}\n", "");
	fake_input(&f, conns[2], STR("{\"do\":\"ping\"}\n"));
	fake_conn(&f, conns[2])->unsent = 1;
	fake_timer(&f, f.now_ms + 1);
	say(conns[1], "{\"do\":\"ping\"}\n", PONG);
	fake_timer(&f, f.now_ms + CONTROL_IDLE_MS - CONTROL_CONNS_MAX + 1);
	/* The fourth came at 3 ms and is idle until then. */
	say(come(), "", "{\"end\":true,\"error\":\"too many connections\"}\n");
	fake_timer(&f, f.now_ms + 1);
	conn = come();
	expect_text(
	    conns[3], "{\"end\":true,\"error\":\"idle, and others wait\"}\n");
	assert_false(fake_is_open(&f, conns[3]));
	say(conn, "{\"do\":\"ping\"}\n", PONG);
	fake_timer(&f, f.now_ms + CONTROL_IDLE_MS);
	for (int i = 3; i < CONTROL_CONNS_MAX; i++)
		come();
	for (int i = 2; i < CONTROL_CONNS_MAX; i++)
		assert_false(fake_is_open(&f, conns[i]));
	assert_true(fake_is_open(&f, conns[0]));
	assert_true(fake_is_open(&f, conns[1]));
	/* What was not read is dropped. */
	expect_text(conns[2], PONG);
}

static void
test_list(void **state)
{
	struct store_found_row rows[] = {
	    {0, STORE_WAITING, true, 3, f.wall_ms - 500000 + 60000,
		{.address = STR("x@ship.test")}, STR("site:ship"),
		STR("451 4.2.0 \"later\"\t\xff")},
	    {5, STORE_HELD, false, 0, 0, {.address = STR("\xc3\xa9@a.test")},
		STR("site:ship"), STR("\302\2332J")},
	};
	struct message m;
	role_conn conn = come();
	uint64_t request;

	say(conn,
	    "{\"do\":\"list\",\"id\":\"abc\",\"destination\":\"site:ship\","
	    "\"after\":41,\"count\":2}\n",
	    "");
	m = expect_frame(MESSAGE_LIST);
	request = m.u.list.request;
	assert_false(m.u.list.is_destinations);
	assert_true(str_equal(m.u.list.filter.id, STR("abc")));
	assert_true(str_equal(m.u.list.filter.destination, STR("site:ship")));
	assert_int_equal(m.u.list.after_key, 41);
	assert_int_equal(m.u.list.count, 2);
	m = (struct message){.type = MESSAGE_LIST_MESSAGE,
	    .u.list_message = {
		request, {.key = 42,
			     .id = "abc",
			     .envelope.sender = STR("a@b.test"),
			     .arrival_ms = f.wall_ms - 600000,
			     .arrival_wall_ms = f.wall_ms - 100000,
			     .expire_ms = f.wall_ms,
			     .content_size = 77,
			     .reason = STR("\"spam\"\033"),
			     .rows = rows,
			     .row_count = 2}}};
	reply(&m);
	expect_text(conn,
	    "{\"item\":\"message\",\"key\":42,\"id\":\"abc\","
	    "\"sender\":\"a@b.test\",\"size\":77,\"arrival\":1699999900,"
	    "\"expire\":1700000500,\"reason\":\"\\\"spam\\\"?\","
	    "\"recipients\":["
	    "{\"address\":\"x@ship.test\",\"lane\":\"waiting\","
	    "\"leased\":true,\"attempts\":3,\"due\":1700000060,"
	    "\"destination\":\"site:ship\","
	    "\"status\":\"451 4.2.0 \\\"later\\\"??\"},"
	    "{\"address\":\"\\u00E9@a.test\",\"lane\":\"held\","
	    "\"leased\":false,\"attempts\":0,\"due\":0,"
	    "\"destination\":\"site:ship\",\"status\":\"??2J\"}],"
	    "\"omitted\":0}\n");
	/* A frame that answers something else. */
	m = (struct message){
	    .type = MESSAGE_CHANGE_DONE, .u.change_done.request = request};
	assert_int_equal(fake_frame(&f, QUEUE, &m), -EPROTO);
	reply_list_end(request, 0, true);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":true,"
			  "\"after\":42,\"total\":9}\n");
	/* A late one finds nothing. */
	reply_list_end(request, 0, true);
	expect_text(conn, "");

	say(conn, "{\"do\":\"list\"}\n", "");
	m = expect_frame(MESSAGE_LIST);
	assert_int_equal(m.u.list.count, STORE_PAGE_MAX);
	reply_list_end(m.u.list.request, -EIO, false);
	expect_text(conn, "{\"end\":true,\"error\":\"Input/output error\"}\n");
}

/* What does not fit ends the page, and the next begins behind what did. */
static void
test_list_cut(void **state)
{
	struct store_found_row row = {
	    .recipient = {.address = STR("x@ship.test")},
	    .destination = STR("site:ship"),
	    .status = STR("")};
	struct message m;
	role_conn conn = come();
	uint64_t request;

	say(conn, "{\"do\":\"list\",\"after\":10}\n", "");
	request = expect_frame(MESSAGE_LIST).u.list.request;
	for (uint64_t key = 11; key <= 13; key++) {
		/* The second half of a message that came in two. */
		uint64_t shown = key == 13 ? 12 : key;

		m = (struct message){.type = MESSAGE_LIST_MESSAGE,
		    .u.list_message = {request, {.key = shown,
						    .id = "a",
						    .rows = &row,
						    .row_count = 1}}};
		if (key == 13)
			fake_conn(&f, conn)->unsent = CONTROL_LINE_MAX;
		reply(&m);
	}
	fake_take_text(&f, conn, said, sizeof(said));
	reply_list_end(request, 0, false);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":true,"
			  "\"after\":11,\"total\":9}\n");

	/* The first one of a page: never the same page again. */
	fake_conn(&f, conn)->unsent = 0;
	say(conn, "{\"do\":\"list\",\"after\":11}\n", "");
	request = expect_frame(MESSAGE_LIST).u.list.request;
	fake_conn(&f, conn)->unsent = CONTROL_LINE_MAX;
	m.u.list_message.request = request;
	reply(&m);
	reply_list_end(request, 0, false);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":true,"
			  "\"after\":12,\"total\":9}\n");
}

#define COUNTS                                                                 \
	"\"messages\":9,\"bytes\":100,\"ready\":1,\"waiting\":2,\"held\":3,"   \
	"\"stopped\":4,\"oldest\":1699999940,\"failures\":2,"                  \
	"\"state\":\"backoff\",\"answer\":\"451 no\",\"next\":1700000030,"     \
	"\"answered\":1699999970}\n"
#define NO_COUNTS(state)                                                       \
	"\"messages\":0,\"bytes\":0,\"ready\":0,\"waiting\":0,\"held\":0,"     \
	"\"stopped\":0,\"oldest\":0,\"failures\":0,"                           \
	"\"state\":\"" state "\",\"answer\":\"\",\"next\":0,\"answered\":0}\n"
#define SHIP                                                                   \
	"{\"item\":\"site\",\"name\":\"ship\",\"domains\":[\"ship.test\","     \
	"\"@boats.test\"],\"domain_count\":2,\"hold\":true,"                   \
	"\"route\":\"smtp://192.0.2.1:25\","
#define FARM                                                                   \
	"{\"item\":\"site\",\"name\":\"farm\",\"domains\":[\"farm.test\"],"    \
	"\"domain_count\":1,\"hold\":false,"                                   \
	"\"route\":\"smtp://192.0.2.2:25\","
#define ZOO                                                                    \
	"{\"item\":\"site\",\"name\":\"zoo\",\"domains\":[\"zoo.test\"],"      \
	"\"domain_count\":1,\"hold\":false,"                                   \
	"\"route\":\"smtp://192.0.2.3:25\","

static void
test_destinations(void **state)
{
	role_conn conn = come();
	struct message m;

	say(conn, "{\"do\":\"destinations\",\"after\":\"mx:a\"}\n", "");
	m = expect_frame(MESSAGE_LIST);
	assert_true(m.u.list.is_destinations);
	assert_true(str_equal(m.u.list.after_name, STR("mx:a")));
	reply_destination(m.u.list.request, "mx:b", 9);
	expect_text(
	    conn, "{\"item\":\"destination\",\"name\":\"mx:b\"," COUNTS);
	reply_list_end(m.u.list.request, 0, false);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":false,"
			  "\"after\":\"mx:b\"}\n");
}

/* Sites with and without mail, in order; names that are no site any more. */
static void
test_sites(void **state)
{
	role_conn conn = come();
	struct message m;

	say(conn, "{\"do\":\"sites\"}\n", "");
	m = expect_frame(MESSAGE_LIST);
	assert_true(m.u.list.is_destinations);
	assert_true(str_equal(m.u.list.after_name, STR("site:")));
	reply_destination(m.u.list.request, "site:gone", 1);
	reply_destination(m.u.list.request, "site:ship", 9);
	reply_list_end(m.u.list.request, 0, false);
	expect_text(conn,
	    FARM NO_COUNTS("waiting") SHIP COUNTS ZOO NO_COUNTS(
		"waiting") "{\"end\":true,\"error\":null,\"more\":false,"
			   "\"after\":\"zoo\"}\n");

	/* Pages: the queue has more than it gave, but nothing for the rest. */
	say(conn, "{\"do\":\"sites\",\"after\":\"farm\",\"count\":1}\n", "");
	m = expect_frame(MESSAGE_LIST);
	assert_true(str_equal(m.u.list.after_name, STR("site:farm")));
	reply_destination(m.u.list.request, "smtp://192.0.2.9:25", 9);
	reply_list_end(m.u.list.request, 0, true);
	expect_text(conn,
	    SHIP NO_COUNTS("held") "{\"end\":true,\"error\":null,\"more\":true,"
				   "\"after\":\"ship\"}\n");

	/* A page of names that are no sites goes on behind them. */
	say(conn, "{\"do\":\"sites\",\"after\":\"farm\"}\n", "");
	m = expect_frame(MESSAGE_LIST);
	reply_destination(m.u.list.request, "site:gone", 9);
	reply_list_end(m.u.list.request, 0, true);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":true,"
			  "\"after\":\"gone\"}\n");
}

static void
test_release(void **state)
{
	static const struct {
		const char *members;
		size_t count;
		const char *domain;
	} cases[] = {
	    {"\"site\":\"ship\"", 0, NULL},
	    {"\"site\":\"SHIP.test.\"", 0, NULL},
	    {"\"site\":\"a.boats.test\"", 0, NULL},
	    {"\"site\":\"ship\",\"domains\":[]", 0, NULL},
	    {"\"site\":\"ship\",\"domains\":[\"Ship.test\"]", 1, "ship.test"},
	    {"\"site\":\"ship\",\"domains\":[\"@boats.test\"]", 1,
		"@boats.test"},
	    {"\"site\":\"ship\",\"domains\":[\"@a.boats.test\"]", 1,
		"@a.boats.test"},
	};
	role_conn conn = come();
	char line[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message m;

		snprintf(line, sizeof(line), "{\"do\":\"release\",%s}\n",
		    cases[i].members);
		say(conn, line, "");
		m = expect_frame(MESSAGE_TRIGGER);
		assert_true(str_equal(m.u.trigger.site, STR("ship")));
		assert_int_equal(m.u.trigger.domain_count, cases[i].count);
		if (cases[i].count > 0)
			assert_true(str_equal(
			    m.u.trigger.domains[0], str_from(cases[i].domain)));
		m = (struct message){.type = MESSAGE_TRIGGER_DONE,
		    .u.trigger_done = {
			m.u.trigger.request, MESSAGE_TRIGGER_ACTIVE, 3}};
		reply(&m);
		expect_text(conn, "{\"end\":true,\"error\":null,"
				  "\"site\":\"ship\",\"result\":\"active\","
				  "\"count\":3}\n");
	}
}

static void
test_release_unknown(void **state)
{
	role_conn conn = come();
	struct message m;

	say(conn, "{\"do\":\"release\",\"site\":\"x\"}\n",
	    "{\"end\":true,\"error\":null,\"site\":\"x\","
	    "\"result\":\"unknown\",\"count\":0}\n");
	assert_false(fake_take_frame(&f, QUEUE, &m));
	assert_true(fake_is_open(&f, conn));
}

/* All members of a filter, and where a listing goes on. */
static void
test_filter(void **state)
{
	role_conn conn = come();
	struct message m;

	say(conn,
	    "{\"do\":\"list\",\"sender\":\"@A.test\",\"recipient\":"
	    "\"b@c.test\",\"domain\":\"@C.Test.\",\"older\":60,"
	    "\"larger\":7}\n",
	    "");
	m = expect_frame(MESSAGE_LIST);
	assert_int_equal(m.u.list.filter.id.size, 0);
	assert_true(str_equal(m.u.list.filter.sender, STR("@A.test")));
	assert_true(str_equal(m.u.list.filter.recipient, STR("b@c.test")));
	assert_true(str_equal(m.u.list.filter.domain, STR("@c.test")));
	assert_int_equal(m.u.list.older_ms, 60000);
	assert_int_equal(m.u.list.filter.size_above, 7);
	/* Nothing was found yet: there may be more. */
	m = (struct message){.type = MESSAGE_LIST_END,
	    .u.list_end = {.request = m.u.list.request,
		.is_more = true,
		.next_key = 77,
		.wall_ms = f.wall_ms}};
	reply(&m);
	expect_text(conn, "{\"end\":true,\"error\":null,\"more\":true,"
			  "\"after\":77,\"total\":0}\n");
}

static void
test_change(void **state)
{
	static const struct {
		const char *action;
		enum message_steer steer;
		enum store_change change;
	} cases[] = {
	    {"hold", MESSAGE_STEER_CHANGE, STORE_CHANGE_HOLD},
	    {"free", MESSAGE_STEER_CHANGE, STORE_CHANGE_FREE},
	    {"delete", MESSAGE_STEER_CHANGE, STORE_CHANGE_DELETE},
	    {"requeue", MESSAGE_STEER_REQUEUE, STORE_CHANGE_HOLD},
	    {"expire", MESSAGE_STEER_EXPIRE, STORE_CHANGE_HOLD},
	};
	role_conn conn = come();
	struct message m;
	char line[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line),
		    "{\"do\":\"%s\",\"id\":\"abc\",\"destination\":"
		    "\"mx:b\",\"dry\":%s,\"after\":%zu}\n",
		    cases[i].action, i % 2 ? "true" : "false", i);
		say(conn, line, "");
		m = expect_frame(MESSAGE_CHANGE);
		assert_int_equal(m.u.change.steer, cases[i].steer);
		assert_int_equal(m.u.change.change, cases[i].change);
		assert_true(str_equal(m.u.change.filter.id, STR("abc")));
		assert_true(
		    str_equal(m.u.change.filter.destination, STR("mx:b")));
		assert_int_equal(m.u.change.is_dry, i % 2);
		assert_int_equal(m.u.change.after_key, i);
		m = (struct message){.type = MESSAGE_CHANGE_DONE,
		    .u.change_done = {m.u.change.request, 0, 4, 1, 2, i * 5}};
		reply(&m);
		snprintf(line, sizeof(line),
		    "{\"end\":true,\"error\":null,\"more\":%s,\"after\":%zu,"
		    "\"changed\":4,\"leased\":1,\"moved\":2}\n",
		    i > 0 ? "true" : "false", i * 5);
		expect_text(conn, line);
	}
	say(conn, "{\"do\":\"hold\",\"id\":\"abc\",\"reason\":\"spam\"}\n", "");
	m = expect_frame(MESSAGE_CHANGE);
	assert_true(str_equal(m.u.change.reason, STR("spam")));
	reply(&(struct message){.type = MESSAGE_CHANGE_DONE,
	    .u.change_done = {m.u.change.request, -ENOENT}});
	expect_text(
	    conn, "{\"end\":true,\"error\":\"No such file or directory\"}\n");
	say(conn, "{\"do\":\"free\",\"id\":\"abc\"}\n", "");
	reply(&(struct message){.type = MESSAGE_CHANGE_DONE,
	    .u.change_done = {
		expect_frame(MESSAGE_CHANGE).u.change.request, -ENOENT}});
	expect_text(
	    conn, "{\"end\":true,\"error\":\"No such file or directory\"}\n");
}

static void
test_queue_lost(void **state)
{
	role_conn conn = come(), gone = come();
	struct message m;

	say(gone, "{\"do\":\"list\"}\n", "");
	m = expect_frame(MESSAGE_LIST);
	fake_close(&f, gone, 0);
	reply_list_end(m.u.list.request, 0, false);
	/* What is pipelined waits for the end. */
	say(conn, "{\"do\":\"list\"}\n{\"do\":\"ping\"}\n", "");
	fake_peer_down(&f, QUEUE);
	fake_run(&f);
	expect_text(conn, "{\"end\":true,\"error\":\"the queue is gone\"}\n"
			  "{\"end\":true,\"error\":null,\"queue\":false}\n");
	say(conn, "{\"do\":\"list\"}\n",
	    "{\"end\":true,\"error\":\"the queue is not there\"}\n");
	assert_true(fake_is_open(&f, conn));
	assert_int_equal(
	    role_control_ops.message(role, 0, QUEUE, STR("x")), -EPROTO);
}

/* Before the queue's clock is known, times are by the message's arrival. */
static void
test_no_clock(void **state)
{
	struct control_clock none = {0};
	struct store_found_row row = {
	    .due_ms = 70000, .recipient = {.address = STR("x@y.test")}};
	struct store_found found = {.id = "a",
	    .arrival_ms = 10000,
	    .arrival_wall_ms = 1000000,
	    .expire_ms = 20000,
	    .rows = &row,
	    .row_count = 1};
	struct buf out;

	buf_init(&out, CONTROL_LINE_MAX);
	assert_int_equal(control_format_message(&out, &found, &none), 0);
	assert_int_equal(buf_append(&out, str_of("", 1)), 0);
	assert_non_null(strstr(buf_str(&out).data, "\"expire\":1010,"));
	assert_non_null(strstr(buf_str(&out).data, "\"due\":1060,"));
	buf_fini(&out);
}

/* The largest message there is fits a line, with some of it left out. */
static void
test_format_max(void **state)
{
	static struct store_found_row rows[STORE_RECIPIENTS_MAX];
	static char text[STORE_REASON_MAX];
	struct control_clock none = {0};
	struct store_found found = {.id = "a",
	    .reason = {text, sizeof(text)},
	    .rows = rows,
	    .row_count = STORE_RECIPIENTS_MAX};
	struct buf out;
	size_t size;

	memset(text, '"', sizeof(text));
	for (size_t i = 0; i < STORE_RECIPIENTS_MAX; i++)
		rows[i] = (struct store_found_row){
		    .recipient = {.address = str_of(text, 320)},
		    .destination = str_of(text, 300),
		    .status = str_of(text, 500)};
	buf_init(&out, CONTROL_LINE_MAX);
	assert_int_equal(control_format_message(&out, &found, &none), 0);
	size = buf_size(&out);
	assert_true(size > CONTROL_LINE_MAX / 2);
	assert_null(memmem(buf_str(&out).data, size, "\"omitted\":0", 11));
	buf_fini(&out);
	/* No room: nothing is written. */
	buf_init(&out, 100);
	assert_int_equal(buf_append(&out, STR("x")), 0);
	assert_int_equal(control_format_message(&out, &found, &none), -ENOBUFS);
	assert_int_equal(buf_size(&out), 1);
	buf_fini(&out);
}

static void
test_shutdown(void **state)
{
	role_conn conn = come();

	role_control_ops.shutdown(role, 0);
	expect_text(conn, "{\"end\":true,\"error\":\"shutting down\"}\n");
	assert_false(fake_is_open(&f, conn));
	assert_false(f.is_listening);
	assert_true(f.is_stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_requests),
	    TEST(test_lines),
	    TEST(test_line_max),
	    TEST(test_deep),
	    TEST(test_conns_max),
	    TEST(test_idle),
	    TEST(test_list),
	    TEST(test_list_cut),
	    TEST(test_destinations),
	    TEST(test_sites),
	    TEST(test_release),
	    TEST(test_release_unknown),
	    TEST(test_filter),
	    TEST(test_change),
	    TEST(test_queue_lost),
	    TEST(test_no_clock),
	    TEST(test_format_max),
	    TEST(test_shutdown),
	};

	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
