/* Runs by the clock leave what was tried a short while ago. */
#include "role/queue_kit.h"

#define CONFIG                                                                 \
	"hostname = \"here.test\"\nspool = \"ram:\"\n"                         \
	"relay-from = [ \"127.0.0.0/8\" ]\n"                                   \
	"route = ( { domain = \"a.test\", to = \"smtp://192.0.2.1:25\" } )\n"

/* What was tried less than queue-age ago is left. */
static void
test_interval_age(void **state)
{
	struct message start;
	uint32_t session;
	struct world w;

	world_open(&w, CONFIG "queue-interval = \"10m\"\nqueue-age = \"25m\"\n"
			      "retry-min = \"5h\"\nretry-max = \"9h\"\n");
	assert_int_equal(intake_one(&w, "s@x.test", "u@a.test"), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	session = start.u.session_start.session;
	next(&w, session, 2);
	expect(&w, DELIVER, MESSAGE_JOB, &start);
	settle(&w, &start, 1, SMTP_TEMPORARY, "451 4.2.0 later");
	expect(&w, DELIVER, MESSAGE_JOB_NONE, &start);
	end_session(&w, session, false, false);
	for (int i = 0; i < 2; i++) {
		expect_none(&w, DELIVER, MESSAGE_SESSION_START);
		w.f.now_ms += 601000;
		role_queue_ops.timer(w.role, w.f.now_ms);
		pump(&w);
	}
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	w.f.now_ms += 601000;
	role_queue_ops.timer(w.role, w.f.now_ms);
	pump(&w);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &start);
	end_session(&w, start.u.session_start.session, true, false);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_interval_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
