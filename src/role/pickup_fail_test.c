/* The pickup role where it is refused: for now, for good, and in between. */
#include "role/pickup_kit.h"

#define MAIL "MAIL <a@b.test> uid=0 ret=0 envid= body=0|"
#define ONE  MAIL "RCPT <c@d.test> 0|" BODY "\n"

/* Time goes on until the first file is tried again, and it is. */
static void
wait_for_retry(struct world *w, uint64_t wait_ms)
{
	unsigned asked = w->f.streams_asked;

	fake_timer(&w->f, w->f.now_ms + wait_ms - 1);
	assert_int_equal(w->f.streams_asked, asked);
	fake_timer(&w->f, w->f.now_ms + 1);
	assert_int_equal(w->f.streams_asked, asked + 1);
	link_up(w);
}

/* Without room for mail files wait, ever longer. */
static void
test_refused_for_now(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];
	uint64_t wait_ms = PICKUP_RETRY_MS;

	drop(w, 1, FROM_TO, STR(BODY), name);
	w->mail_code = 452;
	run(w);
	assert_true(was_logged("drop-deferred"));
	for (int i = 0; i < 10; i++) {
		wait_for_retry(w, wait_ms);
		wait_ms *= 2;
		if (wait_ms > PICKUP_RETRY_MAX_MS)
			wait_ms = PICKUP_RETRY_MAX_MS;
		assert_true(is_in(w, DROP_DIR_NEW, name));
	}
	w->mail_code = 250;
	w->dot_code = 452;
	wait_for_retry(w, wait_ms);
	assert_true(is_in(w, DROP_DIR_NEW, name));
	w->dot_code = 250;
	wait_for_retry(w, wait_ms);
	assert_taken(w, ONE);
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

/* What nobody will ever take is returned when its time is over: who may leave
   files could fill the directory for ever otherwise. */
static void
test_refused_too_long(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];
	uint64_t begin_ms;

	drop(w, 1, "MAIL FROM:<a@b.test>|RCPT TO:<later@d.test>", STR(BODY),
	    name);
	begin_ms = w->f.wall_ms;
	/* The daemon was away for so long, which is no reason yet. */
	w->f.wall_ms += w->conf->expire_ms + 1;
	run(w);
	for (int i = 0; i < 8; i++) {
		assert_taken(w, "");
		assert_true(is_in(w, DROP_DIR_NEW, name));
		fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
		link_up(w);
	}
	w->f.wall_ms = begin_ms + w->conf->expire_ms - PICKUP_RETRY_MAX_MS - 1;
	fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
	link_up(w);
	assert_taken(w, "");
	fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
	link_up(w);
	assert_int_equal(w->taken_count, 1);
	assert_non_null(strstr(w->taken, "Status: 4.4.7\r\n"));
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

/* One file that waits holds up no other. */
static void
test_others_go(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE], other[DROP_NAME_SIZE];

	drop(w, 1, "MAIL FROM:<a@b.test>|RCPT TO:<later@d.test>", STR(BODY),
	    name);
	drop(w, 2, FROM_TO, STR(BODY), other);
	run(w);
	assert_taken(w, ONE);
	assert_true(is_in(w, DROP_DIR_NEW, name));
	assert_false(is_in(w, DROP_DIR_NEW, other));
}

/* Who has it does not get it again while another one waits. */
static void
test_partly_for_now(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1,
	    "MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|RCPT TO:<later@d.test>",
	    STR(BODY), name);
	run(w);
	assert_taken(w, ONE);
	assert_true(is_in(w, DROP_DIR_NEW, name));
	wait_for_retry(w, PICKUP_RETRY_MS);
	assert_taken(w, "");
	assert_true(is_in(w, DROP_DIR_NEW, name));
}

/* The far end is gone before it answered the dot: once more, from the start. */
static void
test_lost_at_the_dot(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, FROM_TO, STR(BODY), name);
	w->is_dot_held = true;
	run(w);
	fake_close(&w->f, w->conn, 0);
	assert_true(is_in(w, DROP_DIR_NEW, name));
	w->is_dot_held = false;
	wait_for_retry(w, PICKUP_RETRY_MS);
	assert_taken(w, ONE);
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

/* The far end does not answer in time: what the network still has of it must
   not get there behind our back. */
static void
test_late_at_the_dot(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, FROM_TO, STR(BODY), name);
	w->is_dot_held = true;
	run(w);
	fake_conn(&w->f, w->conn)->unsent = 3;
	fake_timer(&w->f, w->f.now_ms + w->conf->dot_timeout_ms);
	assert_true(fake_conn(&w->f, w->conn)->is_aborted);
	assert_true(is_in(w, DROP_DIR_NEW, name));
}

/* The role itself is gone then: the next one finds the file. */
static void
test_killed_at_the_dot(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, FROM_TO, STR(BODY), name);
	w->is_dot_held = true;
	run(w);
	role_pickup_free(w->role);
	w->role = role_pickup_new(&w->f.env, w->conf, w->os, w->f.now_ms);
	fake_set_role(&w->f, &role_pickup_ops, w->role);
	w->is_dot_held = false;
	run(w);
	assert_taken(w, ONE);
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

static void
test_refused_for_good(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1,
	    "MAIL FROM:<a@b.test> RET=HDRS ENVID=e1|RCPT TO:<c@d.test>|"
	    "RCPT TO:<no1@d.test> ORCPT=rfc822;x|"
	    "RCPT TO:<no2@d.test> NOTIFY=NEVER",
	    STR(BODY), name);
	run(w);
	assert_int_equal(w->taken_count, 2);
	assert_memory_equal(w->taken,
	    "MAIL <a@b.test> uid=0 ret=2 envid=e1 body=0|RCPT <c@d.test> 0|"
	    "Subject: x",
	    60);
	assert_non_null(strstr(
	    w->taken, "MAIL <> uid=0 ret=0 envid= body=0|RCPT <a@b.test> 1|"));
	assert_non_null(strstr(w->taken, "Original-Envelope-Id: e1\r\n"));
	assert_non_null(strstr(w->taken, "Action: failed\r\n"));
	assert_non_null(
	    strstr(w->taken, "Diagnostic-Code: smtp; 550 5.7.1 no\r\n"));
	assert_non_null(strstr(w->taken, "no1@d.test"));
	assert_null(strstr(w->taken, "no2@d.test"));
	/* RET=HDRS. */
	assert_null(strstr(strstr(w->taken, "Action:"), "body\r\n"));
	assert_true(was_logged("nrcpt=3 returned=yes"));
	assert_false(is_in(w, DROP_DIR_NEW, name));
	assert_false(is_in(w, PICKUP_DIR_BAD, name));
}

static void
test_nobody_is_told(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, "MAIL FROM:<a@b.test>|RCPT TO:<no@d.test> NOTIFY=NEVER",
	    STR(BODY), name);
	run(w);
	assert_taken(w, "");
	assert_false(is_in(w, DROP_DIR_NEW, name));
	assert_false(is_in(w, PICKUP_DIR_BAD, name));
}

/* Where nobody can be told the file is kept. */
static void
test_nobody_to_tell(void **state)
{
	struct world *w = *state;
	char none[DROP_NAME_SIZE], refused[DROP_NAME_SIZE], line[200];

	drop(w, 1, "MAIL FROM:<>|RCPT TO:<c@d.test>|RCPT TO:<no@d.test>",
	    STR(BODY), none);
	drop(w, 2, "MAIL FROM:<no@b.test>|RCPT TO:<no@d.test>", STR(BODY),
	    refused);
	run(w);
	assert_int_equal(w->taken_count, 1);
	assert_true(is_in(w, PICKUP_DIR_BAD, none));
	assert_true(is_in(w, PICKUP_DIR_BAD, refused));
	assert_false(is_in(w, DROP_DIR_NEW, none));
	assert_false(is_in(w, DROP_DIR_NEW, refused));
	for (int i = 0; i < 2; i++) {
		snprintf(line, sizeof(line),
		    "drop-bad - file=%s uid=0 reason=\"550 5.7.1 no\"",
		    i == 0 ? none : refused);
		assert_true(was_logged(line));
	}
}

/* The notice waits like mail, and the file with it. */
static void
test_notice_waits(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, "MAIL FROM:<later@b.test>|RCPT TO:<no@d.test>", STR(BODY),
	    name);
	run(w);
	assert_taken(w, "");
	assert_true(is_in(w, DROP_DIR_NEW, name));
	wait_for_retry(w, PICKUP_RETRY_MS);
	assert_true(is_in(w, DROP_DIR_NEW, name));
}

/* What may not stand in a message goes back without it. */
static void
test_foul_content(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, "MAIL FROM:<a@b.test> RET=FULL|RCPT TO:<c@d.test>",
	    STR("Subject: a\r.b\r\n\r\nc\r\n"), name);
	run(w);
	assert_taken(w, "");
	/* The stream ended within the content. */
	fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
	link_up(w);
	assert_int_equal(w->taken_count, 1);
	assert_non_null(strstr(w->taken, "Status: 5.6.0\r\n"));
	assert_null(strchr(w->taken, '\001'));
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

/* The same where the other side says so. */
static void
test_refused_content(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	drop(w, 1, "MAIL FROM:<a@b.test> RET=FULL|RCPT TO:<c@d.test>",
	    STR("Subject: a\rb\r\n\r\nc\r\n"), name);
	run(w);
	assert_int_equal(w->taken_count, 1);
	assert_non_null(strstr(w->taken, "Status: 5.6.0\r\n"));
	assert_null(strstr(w->taken, "a\rb"));
	assert_false(is_in(w, DROP_DIR_NEW, name));
}

/* Every call of the disk fails once: nothing is lost. */
static void
test_faults(void **state)
{
	struct world *w = *state;
	char name[DROP_NAME_SIZE];

	for (uint64_t n = 1; n < 14; n++) {
		size_t before = w->taken_count;

		drop(w, (unsigned)n, FROM_TO, STR(BODY), name);
		os_sim_fail_at(w->os, n, -EIO, false);
		run(w);
		os_sim_fail_at(w->os, 0, 0, false);
		for (int i = 0; i < 5; i++) {
			unsigned asked = w->f.streams_asked;

			fake_timer(&w->f, w->f.now_ms + PICKUP_RETRY_MAX_MS);
			if (w->f.streams_asked > asked)
				link_up(w);
		}
		assert_true(w->taken_count >= before + 1);
		assert_true(w->taken_count <= before + 2);
		assert_false(is_in(w, DROP_DIR_NEW, name));
		assert_false(is_in(w, PICKUP_DIR_BAD, name));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_refused_for_now),
	    TEST(test_refused_too_long),
	    TEST(test_others_go),
	    TEST(test_partly_for_now),
	    TEST(test_lost_at_the_dot),
	    TEST(test_late_at_the_dot),
	    TEST(test_killed_at_the_dot),
	    TEST(test_refused_for_good),
	    TEST(test_nobody_is_told),
	    TEST(test_nobody_to_tell),
	    TEST(test_notice_waits),
	    TEST(test_foul_content),
	    TEST(test_refused_content),
	    TEST(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
