/* Runs over the control socket: the request, its lines, its end. */
#include "role/control.h"
#include "role/fake_env.h"
#include "role/roles.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define QUEUE 7

static struct conf conf = {.hostname = {"here.test", 9}};
static struct fake_env f;
static void *role;
static role_conn conn;
static char said[20000];

static int
start(void **state)
{
	struct message m;

	fake_init(&f, ROLE_CONTROL);
	role = role_control_new(&f.env, &conf);
	fake_peer_up(&f, &role_control_ops, role, QUEUE, ROLE_QUEUE);
	assert_true(fake_take_frame(&f, QUEUE, &m)); /* its clock is asked */
	conn = fake_accept(&f, &role_control_ops, role, NULL);
	return 0;
}

static int
finish(void **state)
{
	role_control_free(role);
	fake_fini(&f);
	return 0;
}

static void
expect_text(const char *answer)
{
	assert_string_equal(
	    fake_take_text(&f, conn, said, sizeof(said)), answer);
}

static struct message
ask(const char *line)
{
	struct message m;

	fake_input(&f, conn, str_from(line));
	assert_true(fake_take_frame(&f, QUEUE, &m));
	assert_int_equal(m.type, MESSAGE_RUN);
	return m;
}

static void
reply(const struct message *m)
{
	assert_int_equal(fake_frame(&f, QUEUE, m), 0);
	fake_run(&f);
}

static void
test_run(void **state)
{
	struct message m = ask("{\"do\":\"run\"}\n");
	uint64_t request = m.u.run.request;

	assert_false(m.u.run.is_verbose);
	assert_int_equal(m.u.run.order, MESSAGE_RUN_PRIORITY);
	assert_int_equal(m.u.run.term_count, 0);
	assert_int_equal(m.u.run.rank_max, 0);
	m = (struct message){.type = MESSAGE_RUN_TEXT,
	    .u.run_text = {request, STR("\nRunning x\n>>> \tA\x01\n")}};
	reply(&m);
	expect_text("{\"item\":\"text\",\"text\":\"\"}\n"
		    "{\"item\":\"text\",\"text\":\"Running x\"}\n"
		    "{\"item\":\"text\",\"text\":\">>> ?A?\"}\n");
	m = (struct message){
	    .type = MESSAGE_RUN_DONE, .u.run_done = {request, 0, 67, 5}};
	reply(&m);
	expect_text("{\"end\":true,\"error\":null,\"status\":67,"
		    "\"messages\":5}\n");
}

static void
test_options(void **state)
{
	struct message m = ask("{\"do\":\"run\",\"verbose\":true,\"order\":"
			       "\"time\",\"age\":60,\"rank\":30000,\"select\":"
			       "[\"I6AL\",\"!S<>\",\"R\"]}\n");

	assert_true(m.u.run.is_verbose);
	assert_int_equal(m.u.run.order, MESSAGE_RUN_TIME);
	assert_int_equal(m.u.run.age_ms, 60000);
	assert_int_equal(m.u.run.rank_max, 30000 + MESSAGE_RUN_RANK_BASE);
	assert_int_equal(m.u.run.term_count, 3);
	assert_int_equal(m.u.run.terms[0].field, STORE_SELECT_ID);
	assert_true(str_equal(m.u.run.terms[0].text, STR("6AL")));
	assert_int_equal(m.u.run.terms[1].field, STORE_SELECT_SENDER);
	assert_true(m.u.run.terms[1].is_not);
	assert_int_equal(m.u.run.terms[2].field, STORE_SELECT_RECIPIENT);
	assert_int_equal(m.u.run.terms[2].text.size, 0);
	m = (struct message){.type = MESSAGE_RUN_DONE,
	    .u.run_done = {m.u.run.request, -EBUSY, 0, 0}};
	reply(&m);
	expect_text("{\"end\":true,\"error\":\"Device or resource busy\"}\n");
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
	    {"{\"do\":\"run\",\"select\":[\"\"]}\n", "bad term"},
	    {"{\"do\":\"run\",\"select\":[\"!\"]}\n", "bad term"},
	    {"{\"do\":\"run\",\"select\":[\"Xa\"]}\n", "bad term"},
	    {"{\"do\":\"run\",\"select\":[\"qa\"]}\n", "bad term"},
	    {"{\"do\":\"run\",\"stopped\":1}\n",
		"unknown key, or of the wrong type"},
	    {"{\"do\":\"run\",\"select\":[1]}\n", "bad term"},
	    {"{\"do\":\"run\",\"order\":\"size\"}\n", "bad order"},
	    {"{\"do\":\"run\",\"age\":0}\n", "number out of range"},
	    {"{\"do\":\"run\",\"rank\":-1}\n", "number out of range"},
	    {"{\"do\":\"run\",\"id\":\"a\"}\n", "key is not for this action"},
	    {"{\"do\":\"list\",\"age\":1}\n", "key is not for this action"},
	};
	char expected[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_input(&f, conn, str_from(cases[i].line));
		snprintf(expected, sizeof(expected),
		    "{\"end\":true,\"error\":\"%s\"}\n", cases[i].error);
		expect_text(expected);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_run),
	    TEST(test_options),
	    TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
