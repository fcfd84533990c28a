/* Maildir sessions of the deliver role, with helpers that are the real machine
   over a simulated disk, or misbehave. */
#include "role/deliver_kit.h"
#include "role/maildir.h"

#include "os/os_sim.h"

enum misdeed {
	HELPER_GOOD,
	HELPER_NEVER_STARTS,
	HELPER_DIES,      /* at once */
	HELPER_DIES_LATE, /* after some content */
	HELPER_SILENT,
	HELPER_LIES, /* 250 before the content is there */
	HELPER_JUNK,
	HELPER_HUGE, /* an answer that is too long */
	HELPER_ODD,  /* an answer without a code */
	HELPER_FULL, /* the disk */
};

static struct os *disk;
static enum misdeed misdeed;
static unsigned started_count;
static struct maildir *helpers[FAKE_CONNS_MAX];

static void
say(struct world *w, struct fake_conn *c, uint8_t verdict, const char *text)
{
	struct buf out;
	struct wire_writer wr = {.out = &out};

	buf_init(&out, 4096);
	wire_put_u32(&wr, (uint32_t)strlen(text) + 5);
	wire_put_u8(&wr, verdict);
	wire_put_str(&wr, str_from(text));
	/* Byte by byte, as a stream may come. */
	for (size_t i = 0; i < buf_size(&out) && !c->is_closed; i++)
		fake_input(
		    &w->f, c->conn, str_head(str_skip(buf_str(&out), i), 1));
	buf_fini(&out);
}

/* What a helper that is not good does with BYTES. */
static void
misbehave(struct world *w, struct fake_conn *c)
{
	world_server(w, c->conn)->is_stuck = misdeed != HELPER_DIES_LATE;
	if (misdeed == HELPER_DIES ||
	    (misdeed == HELPER_DIES_LATE &&
		world_server(w, c->conn)->taken_size > 100000))
		fake_close(&w->f, c->conn, 0);
	else if (misdeed == HELPER_LIES)
		say(w, c, SMTP_ACCEPTED, "250 2.0.0 done");
	else if (misdeed == HELPER_JUNK)
		say(w, c, 9, "250 2.0.0 done");
	else if (misdeed == HELPER_HUGE)
		fake_input(&w->f, c->conn, STR("\xff\xff\xff\xff\1"));
	else if (misdeed == HELPER_ODD)
		say(w, c, SMTP_PERMANENT, "no\nway");
}

static bool
helper(struct world *w, struct fake_conn *c)
{
	struct kit_server *server = world_server(w, c->conn);
	struct str bytes = str_head(buf_str(&c->output), w->chunk_size);
	struct buf out;

	if (c->is_aborted || server->is_stuck || c->is_closed)
		return false;
	if (!server->is_connected) {
		server->is_connected = true;
		started_count++;
		assert_int_equal(c->job, 3);
		c->is_closed = misdeed == HELPER_NEVER_STARTS;
		role_deliver_ops.connected(w->role, w->f.now_ms, c->conn,
		    misdeed == HELPER_NEVER_STARTS ? -EAGAIN : 0);
		return true;
	}
	if (bytes.size == 0)
		return false;
	server->taken_size += bytes.size;
	if (misdeed != HELPER_GOOD && misdeed != HELPER_FULL) {
		buf_consume(&c->output, bytes.size);
		misbehave(w, c);
	} else {
		if (helpers[c->conn - 1] == NULL)
			helpers[c->conn - 1] =
			    maildir_new(disk, STR("here.test"));
		buf_init(&out, 4096);
		server->is_stuck =
		    maildir_feed(helpers[c->conn - 1], bytes, &out) != 0;
		buf_consume(&c->output, bytes.size);
		if (server->is_stuck)
			fake_input(&w->f, c->conn, buf_str(&out));
		buf_fini(&out);
	}
	if (buf_size(&c->output) == 0 && fake_is_open(&w->f, c->conn))
		role_deliver_ops.drained(w->role, w->f.now_ms, c->conn);
	return true;
}

static struct world *
begin(const struct kit_job *jobs, enum misdeed m)
{
	struct world *w = world_new(NULL, NULL, jobs);

	w->helper = helper;
	disk = os_sim_new(1);
	misdeed = m;
	started_count = 0;
	world_start(w, 1, CONF_ROUTE_MAILDIR, "");
	return w;
}

static void
end(struct world *w)
{
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++) {
		if (w->f.conns[i].conn != 0)
			assert_false(fake_is_open(&w->f, i + 1));
		maildir_free(helpers[i]);
		helpers[i] = NULL;
	}
	world_free(w);
	os_free(disk);
}

static uint64_t
file_size(const char *name)
{
	struct os_file *file;
	uint64_t size = 0;

	assert_int_equal(os_open(disk, name, OS_READ, &file), 0);
	assert_int_equal(os_size(disk, file, &size), 0);
	os_close(disk, file);
	return size;
}

static const struct kit_job jobs_two[] = {
    {"m1", {"a@a.test", "b@a.test"}, 4 * STORE_BLOCK},
    {"m2", {"a@a.test"}, 640, .is_inline = true},
    {NULL},
};

static void
test_good(void **state)
{
	uint64_t head = strlen("Return-Path: <from@here.test>\n"
			       "Delivered-To: a@a.test\n");

	(void)state;
	for (int is_slow = 0; is_slow < 2; is_slow++) {
		struct world *w = begin(jobs_two, HELPER_GOOD);

		w->chunk_size = is_slow ? 5000 : 1 << 20;
		world_run(w);
		assert_log(w, "m1 0 accepted 2.0.0 250 2.0.0 "
			      "new/1700000000.m1_0.here.test\n"
			      "m1 2 accepted 2.0.0 250 2.0.0 "
			      "new/1700000000.m1_2.here.test\n"
			      "m2 0 accepted 2.0.0 250 2.0.0 "
			      "new/1700000000.m2_0.here.test\n"
			      "end 1 good 2.0.0 \n");
		assert_int_equal(started_count, 3);
		/* A CR less in each line of 64. */
		assert_int_equal(file_size("new/1700000000.m1_2.here.test"),
		    head + 4 * STORE_BLOCK / 64 * 63);
		assert_int_equal(
		    file_size("new/1700000000.m2_0.here.test"), head + 630);
		end(w);
	}
}

static void
test_misdeeds(void **state)
{
	static const struct {
		enum misdeed misdeed;
		const char *line;
	} cases[] = {
	    {HELPER_DIES, "temporary 4.3.0 451 4.3.0 helper ended"},
	    {HELPER_DIES_LATE, "temporary 4.3.0 451 4.3.0 helper ended"},
	    {HELPER_SILENT, "temporary 4.3.0 451 4.3.0 helper timed out"},
	    {HELPER_LIES,
		"temporary 4.3.0 451 4.3.0 helper gave no proper answer"},
	    {HELPER_JUNK,
		"temporary 4.3.0 451 4.3.0 helper gave no proper answer"},
	    {HELPER_HUGE,
		"temporary 4.3.0 451 4.3.0 helper gave no proper answer"},
	    {HELPER_ODD, "permanent 5.3.0 no?way"},
	};

	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test", "b@a.test"}, 4 * STORE_BLOCK},
	    {"m2", {"a@a.test"}, 4 * STORE_BLOCK},
	    {NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = begin(jobs, cases[i].misdeed);
		char text[400];

		w->chunk_size = 10000;
		world_run_time(w, UINT64_MAX - 1);
		snprintf(text, sizeof(text),
		    "m1 0 %s\nm1 2 %s\nm2 0 %s\nend 1 good 2.0.0 \n",
		    cases[i].line, cases[i].line, cases[i].line);
		assert_log(w, text);
		assert_int_equal(started_count, 3);
		end(w);
	}
}

/* The disk is full for one of two messages. */
static void
test_full(void **state)
{
	struct world *w = begin(jobs_two, HELPER_FULL);

	(void)state;
	os_sim_set_room(disk, 10000);
	world_run(w);
	assert_log(w,
	    "m1 0 temporary 4.2.2 452 4.2.2 No space left on device\n"
	    "m1 2 temporary 4.2.2 452 4.2.2 No space left on device\n"
	    "m2 0 accepted 2.0.0 250 2.0.0 new/1700000000.m2_0.here.test\n"
	    "end 1 good 2.0.0 \n");
	end(w);
}

/* A helper that cannot be had is trouble of the host. */
static void
test_no_helper(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = begin(jobs_two, HELPER_NEVER_STARTS);

		w->f.is_out_of_conns = i == 1;
		world_run(w);
		assert_non_null(
		    strstr(w->log, "m1 0 untried 4.3.2 the helper"));
		assert_non_null(strstr(w->log,
		    "end 1 failed 4.3.0 the helper cannot be started\n"));
		assert_int_equal(w->end_count, 1);
		end(w);
	}
}

/* Content that cannot be had: what was answered stands. */
static void
test_damaged(void **state)
{
	static const struct kit_job cases[][3] = {
	    {{"m1", {"a@a.test"}, 4 * STORE_BLOCK, .bad_block = 4},
		{"m2", {"a@a.test"}, 64, .is_inline = true}},
	    {{"m1", {"a@a.test"}, 4 * STORE_BLOCK, .lost_block = 1},
		{"m2", {"a@a.test"}, 64, .is_inline = true}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = begin(cases[i], HELPER_GOOD);

		world_run(w);
		assert_log(w,
		    "m1 0 temporary 4.3.0 451 4.3.0 the content cannot be "
		    "read\nm2 0 accepted 2.0.0 250 2.0.0 "
		    "new/1700000000.m2_0.here.test\nend 1 good 2.0.0 \n");
		assert_int_equal(w->f.conns[0].is_aborted, 1);
		end(w);
	}
}

static void
test_lease(void **state)
{
	static const struct kit_job jobs[] = {
	    {"m1", {"a@a.test", "b@a.test"}, 640, .time_ms = 60000,
		.is_silent = true},
	    {NULL},
	};
	struct world *w = begin(jobs, HELPER_GOOD);

	(void)state;
	world_run_time(w, 61000);
	assert_log(w, "m1 0 temporary 4.3.0 451 4.3.0 the time for this "
		      "message is over\nm1 2 temporary 4.3.0 451 4.3.0 the "
		      "time for this message is over\nend 1 good 2.0.0 \n");
	end(w);
}

static void
test_shutdown(void **state)
{
	struct world *w = begin(jobs_two, HELPER_SILENT);

	(void)state;
	world_run(w);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	world_run(w);
	assert_log(w, "m2 0 untried 4.3.2 shutting down\n");
	world_run_time(w, w->f.now_ms + 8000);
	assert_log(w, "m2 0 untried 4.3.2 shutting down\n"
		      "m1 0 untried 4.3.0 shutting down\n"
		      "m1 2 untried 4.3.0 shutting down\n"
		      "end 1 good 2.0.0 shutting down\n");
	assert_true(w->f.is_stopped);
	end(w);

	/* One that is quick enough ends its message. */
	w = begin(jobs_two, HELPER_GOOD);
	kit_queue(w);
	role_deliver_ops.shutdown(w->role, w->f.now_ms);
	world_run(w);
	assert_non_null(strstr(w->log, "m2 0 untried"));
	assert_non_null(strstr(w->log, "m1 2 accepted"));
	assert_true(w->f.is_stopped);
	end(w);
}

static void
test_queue_lost(void **state)
{
	struct world *w = begin(jobs_two, HELPER_SILENT);

	(void)state;
	world_run(w);
	fake_peer_down(&w->f, KIT_QUEUE);
	assert_true(w->f.conns[0].is_aborted);
	end(w);
}

/* Blocks asked for one recipient and answered while it is the next one's turn
   are not taken for his. */
static void
test_stale_blocks(void **state)
{
	struct world *w = begin(jobs_two, HELPER_GOOD);
	struct message m;

	(void)state;
	assert_true(fake_take_frame(&w->f, KIT_QUEUE, &m));
	w->wanted[1] = m.u.session_next.want;
	w->is_queue_slow = true;
	kit_feed_session(w, 1);
	world_run(w);
	assert_int_equal(started_count, 1);
	assert_int_equal(w->lease_count, 2);
	fake_close(&w->f, 1, 0);
	world_run(w);
	assert_int_equal(started_count, 2);
	w->is_queue_slow = false;
	world_run(w);
	assert_non_null(strstr(w->log,
	    "m1 0 temporary 4.3.0 451 4.3.0 helper ended\n"
	    "m1 2 accepted 2.0.0 250 2.0.0 new/1700000000.m1_2.here.test\n"
	    "m2 0 accepted"));
	end(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_misdeeds),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_no_helper),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_lease),
	    cmocka_unit_test(test_shutdown),
	    cmocka_unit_test(test_queue_lost),
	    cmocka_unit_test(test_stale_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
