/*
 * How much the queue role lets into the store: each limit at it and one past
 * it, what receive is told, and what goes on while intake is closed.
 */
#include "base/crc32c.h"
#include "base/log.h"
#include "os/os_sim.h"
#include "role/fake_env.h"
#include "role/queue.h"
#include "role/roles.h"
#include "store/ram/ram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RECEIVE 11
#define DELIVER 12
#define CONTROL 13
#define RESERVE (1 << 20)
#define CONTENT "Subject: x\r\n\r\nbody\r\n"
#define SIZE    (sizeof(CONTENT) - 1)

struct world {
	struct fake_env f;
	struct os *os;
	struct store *store;
	struct conf *conf;
	void *role;
	uint64_t transaction;
	bool is_open, is_site_open; /* as receive was told */
	uint64_t size_max;          /* likewise */
};

static char log_text[100000];

static void
log_sink(enum log_level level, struct str line)
{
	size_t size = strlen(log_text);

	snprintf(
	    log_text + size, sizeof(log_text) - size, "%.*s\n", STR_ARG(line));
}

/* Site "full" may have three messages, site "wide" 50 bytes. */
static struct conf *
read_config(const char *limits)
{
	char text[2000];
	struct buf errors;
	struct conf *conf = NULL;
	FILE *file;

	snprintf(text, sizeof(text),
	    "hostname = \"h.test\"\nspool = \"ram:\"\n"
	    "disk-reserve = \"1M\"\nexpire = \"2h\"\n%s"
	    "route = ( { domain = \"*\", to = \"mx\" } )\n"
	    "site = ( { name = \"none\", domains = [ \"none.test\" ],\n"
	    "  hold = true, route = \"smtp://127.0.0.1\" },\n"
	    " { name = \"full\", domains = [ \"full.test\", \"f.test\" ],\n"
	    "  hold = true, route = \"smtp://127.0.0.1\",\n"
	    "  quota-messages = 3 },\n"
	    " { name = \"wide\", domains = [ \"wide.test\" ],\n"
	    "  hold = true, route = \"smtp://127.0.0.1\", quota = 50 } )\n",
	    limits);
	file = fmemopen(text, strlen(text), "r");
	buf_init(&errors, 65536);
	assert_non_null(file);
	if (conf_read(file, "test.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	fclose(file);
	buf_fini(&errors);
	return conf;
}

static void
answer(struct world *w, struct store_request *request)
{
	w->store->ops->batch(w->store, &request, 1);
	role_queue_ops.stored(w->role, w->f.now_ms, request);
}

static void
pump(struct world *w)
{
	struct store_request *request;

	while ((request = fake_take_request(&w->f)) != NULL)
		answer(w, request);
}

static void
role_start(struct world *w)
{
	struct store_info info;

	fake_init(&w->f, ROLE_QUEUE);
	w->store->ops->info(w->store, &info);
	w->role = role_queue_new(&w->f.env, w->conf, &info, w->f.now_ms);
	fake_peer_up(&w->f, &role_queue_ops, w->role, RECEIVE, ROLE_RECEIVE);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	w->is_open = w->is_site_open = true;
	w->size_max = UINT64_MAX;
	pump(w);
}

static void
role_end(struct world *w)
{
	pump(w);
	role_queue_free(w->role);
	fake_fini(&w->f);
}

static void
world_init(struct world *w, const char *limits)
{
	*w = (struct world){0};
	log_text[0] = '\0';
	w->os = os_sim_new(1);
	w->store = store_ram_new(w->os);
	w->conf = read_config(limits);
	role_start(w);
}

static void
world_fini(struct world *w)
{
	role_end(w);
	w->store->ops->close(w->store);
	conf_free(w->conf);
	os_free(w->os);
}

static void
send_frame(struct world *w, role_peer peer, const struct message *m)
{
	assert_int_equal(fake_frame(&w->f, peer, m), 0);
}

static void
give(struct world *w, role_peer peer, const struct message *m)
{
	send_frame(w, peer, m);
	pump(w);
}

/* Takes what receive was told; true with the reply to a transaction. */
static bool
hear(struct world *w, struct message *m)
{
	while (fake_take_frame(&w->f, RECEIVE, m)) {
		if (m->type == MESSAGE_INTAKE_DONE)
			return true;
		if (m->type == MESSAGE_INTAKE_STATE) {
			w->is_open = m->u.intake_state.is_open;
			w->size_max = m->u.intake_state.size_max;
		}
		if (m->type == MESSAGE_INTAKE_SITE)
			w->is_site_open = m->u.intake_site.is_open;
	}
	return false;
}

/* Says all of a message but the commit. */
static void
begin(struct world *w, const char *sender, const char *const *recipients)
{
	char id[16];
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	snprintf(id, sizeof(id), "ID%06u", (unsigned)++w->transaction);
	m.u.intake_open.transaction = w->transaction;
	m.u.intake_open.id = str_from(id);
	m.u.intake_open.envelope.sender = str_from(sender);
	send_frame(w, RECEIVE, &m);
	for (; *recipients != NULL; recipients++) {
		m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
		m.u.intake_recipient.transaction = w->transaction;
		m.u.intake_recipient.recipient.address = str_from(*recipients);
		send_frame(w, RECEIVE, &m);
	}
	m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
	m.u.intake_content.transaction = w->transaction;
	m.u.intake_content.bytes = STR(CONTENT);
	send_frame(w, RECEIVE, &m);
}

static void
commit(struct world *w, uint64_t transaction)
{
	struct message m = {.type = MESSAGE_INTAKE_COMMIT};

	m.u.intake_commit.transaction = transaction;
	m.u.intake_commit.content_size = SIZE;
	m.u.intake_commit.content_crc32c = crc32c(0, STR(CONTENT));
	send_frame(w, RECEIVE, &m);
}

/* A whole message comes; the code of the reply. */
static uint32_t
intake(struct world *w, const char *const *recipients)
{
	struct message m;
	uint32_t code;

	begin(w, "s@full.test", recipients);
	pump(w);
	commit(w, w->transaction);
	pump(w);
	assert_true(hear(w, &m));
	assert_int_equal(m.u.intake_done.transaction, w->transaction);
	code = m.u.intake_done.code;
	if (code != 250)
		assert_true(str_equal(m.u.intake_done.enhanced, STR("4.3.1")) ||
			    str_equal(m.u.intake_done.enhanced, STR("4.2.2")));
	assert_false(hear(w, &m));
	return code;
}

static uint32_t
intake_one(struct world *w, const char *recipient)
{
	const char *recipients[] = {recipient, NULL};

	return intake(w, recipients);
}

static void
expect(struct world *w, role_peer peer, enum message_type type,
    struct message *m_out)
{
	while (fake_take_frame(&w->f, peer, m_out))
		if (m_out->type == type)
			return;
	fail_msg("no frame of type %d for %u", (int)type, (unsigned)peer);
}

static void
trigger(struct world *w, const char *site)
{
	struct message m = {.type = MESSAGE_TRIGGER};

	m.u.trigger.request = 7;
	m.u.trigger.site = str_from(site);
	give(w, CONTROL, &m);
}

/* The next message is delivered, or refused for good. */
static void
settle(struct world *w, enum smtp_verdict verdict)
{
	struct message m, next = {.type = MESSAGE_SESSION_NEXT};
	struct message_job_result result = {
	    .verdict = verdict, .status = STR("5.1.1"), .answer = STR("x")};

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	next.u.session_next.session = m.u.session_start.session;
	next.u.session_next.want = 1;
	give(w, DELIVER, &next);
	expect(w, DELIVER, MESSAGE_JOB, &m);
	result.index = m.u.job.rows[0].index;
	next = (struct message){.type = MESSAGE_JOB_RESULT};
	next.u.job_result.session = m.u.job.session;
	next.u.job_result.lease = m.u.job.lease;
	next.u.job_result.results = &result;
	next.u.job_result.result_count = 1;
	give(w, DELIVER, &next);
}

static void
change(struct world *w, enum store_change what, const char *destination)
{
	struct message m = {.type = MESSAGE_CHANGE};

	m.u.change.request = 9;
	m.u.change.filter.destination = str_from(destination);
	m.u.change.change = what;
	give(w, CONTROL, &m);
}

static void
expect_open(struct world *w, bool is_open, bool is_site_open)
{
	struct message m;

	assert_false(hear(w, &m));
	assert_int_equal(w->is_open, is_open);
	assert_int_equal(w->is_site_open, is_site_open);
}

static void
test_queue_messages_max(void **state)
{
	struct world w;

	world_init(&w, "queue-messages-max = 2\n");
	assert_int_equal(intake_one(&w, "a@none.test"), 250);
	expect_open(&w, true, true);
	assert_int_equal(intake_one(&w, "b@none.test"), 250);
	expect_open(&w, false, true);
	assert_non_null(strstr(log_text, "warn intake-closed - limit=queue-"
					 "messages-max messages=2 "));
	assert_int_equal(intake_one(&w, "c@none.test"), 452);
	trigger(&w, "none");
	settle(&w, SMTP_ACCEPTED);
	expect_open(&w, true, true);
	assert_non_null(strstr(log_text, "note intake-open"));
	assert_int_equal(intake_one(&w, "c@none.test"), 250);
	expect_open(&w, false, true);
	change(&w, STORE_CHANGE_HOLD, "site:none");
	expect_open(&w, false, true);
	change(&w, STORE_CHANGE_DELETE, "site:none");
	expect_open(&w, true, true);
	world_fini(&w);
}

/* A new role knows what the store has; the limit closes when it is reached. */
static void
test_queue_bytes_max(void **state)
{
	struct world w;
	char limit[40];

	for (size_t more = 0; more < 2; more++) {
		snprintf(limit, sizeof(limit), "queue-bytes-max = %zu\n",
		    (size_t)1024 + more);
		world_init(&w, limit);
		w.conf->queue_bytes_max = 2 * SIZE + more;
		assert_int_equal(intake_one(&w, "a@none.test"), 250);
		assert_int_equal(intake_one(&w, "a@none.test"), 250);
		expect_open(&w, more > 0, true);
		assert_int_equal(
		    intake_one(&w, "a@none.test"), more > 0 ? 250 : 452);
		role_end(&w);
		role_start(&w);
		expect_open(&w, false, true);
		assert_int_equal(intake_one(&w, "a@none.test"), 452);
		world_fini(&w);
	}
}

/* What the store has not yet answered counts too. */
static void
test_limits_count_what_is_coming(void **state)
{
	static const struct {
		const char *limits, *recipient, *enhanced;
	} cases[] = {
	    {"queue-messages-max = 3\n", "a@none.test", "4.3.1"},
	    {"", "a@full.test", "4.2.2"},
	    {"", "a@wide.test", "4.2.2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *recipients[] = {cases[i].recipient, NULL};
		struct message m;
		struct world w;

		world_init(&w, cases[i].limits);
		for (int n = 0; n < 4; n++)
			begin(&w, "", recipients);
		for (uint64_t n = 1; n <= 4; n++)
			commit(&w, n);
		assert_true(hear(&w, &m));
		assert_int_equal(m.u.intake_done.transaction, 4);
		assert_int_equal(m.u.intake_done.code, 452);
		assert_true(str_equal(
		    m.u.intake_done.enhanced, str_from(cases[i].enhanced)));
		pump(&w);
		for (int n = 0; n < 3; n++) {
			assert_true(hear(&w, &m));
			assert_int_equal(m.u.intake_done.code, 250);
		}
		assert_false(hear(&w, &m));
		world_fini(&w);
	}
}

static void
test_quota_messages(void **state)
{
	const char *both[] = {"a@none.test", "x@full.test", NULL};
	const char *twice[] = {"a@full.test", "b@f.test", "c@none.test", NULL};
	struct world w;

	world_init(&w, "");
	/* Two recipients of a site are one message there. */
	assert_int_equal(intake(&w, twice), 250);
	assert_int_equal(intake_one(&w, "a@full.test"), 250);
	expect_open(&w, true, true);
	assert_int_equal(intake(&w, both), 250);
	expect_open(&w, true, false);
	assert_non_null(
	    strstr(log_text, "note site-full - site=full messages=3 "));
	assert_int_equal(intake_one(&w, "a@full.test"), 452);
	/* Taken by all or by nobody. */
	assert_int_equal(intake(&w, both), 452);
	assert_int_equal(intake_one(&w, "a@none.test"), 250);
	/* A role that starts anew finds it full. */
	role_end(&w);
	role_start(&w);
	expect_open(&w, true, false);
	assert_int_equal(intake_one(&w, "a@full.test"), 452);
	/* What is stopped is still there. */
	change(&w, STORE_CHANGE_HOLD, "site:full");
	expect_open(&w, true, false);
	change(&w, STORE_CHANGE_DELETE, "site:full");
	expect_open(&w, true, true);
	assert_non_null(strstr(log_text, "note site-open - site=full"));
	assert_int_equal(intake_one(&w, "a@full.test"), 250);
	world_fini(&w);
}

/* What is delivered makes room; a notification comes in even so. */
static void
test_quota_and_settles(void **state)
{
	struct queue *q;
	struct world w;

	world_init(&w, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(intake_one(&w, "a@full.test"), 250);
	expect_open(&w, true, false);
	trigger(&w, "full");
	settle(&w, SMTP_ACCEPTED);
	expect_open(&w, true, true);
	assert_int_equal(intake_one(&w, "a@full.test"), 250);
	expect_open(&w, true, false);
	/* To the sender at the same site: one goes, one comes. */
	trigger(&w, "full");
	q = w.role;
	assert_int_equal(q->room.quotas[0].messages, 3);
	world_fini(&w);

	world_init(&w, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(intake_one(&w, "a@full.test"), 250);
	trigger(&w, "full");
	settle(&w, SMTP_PERMANENT);
	q = w.role;
	assert_int_equal(q->room.quotas[0].messages, 3);
	assert_int_equal(q->room.totals.messages, 3);
	expect_open(&w, true, false);
	/* One from elsewhere makes it four. */
	assert_int_equal(intake_one(&w, "u@away.test"), 250);
	settle(&w, SMTP_PERMANENT);
	assert_int_equal(q->room.quotas[0].messages, 4);
	assert_int_equal(q->room.totals.messages, 4);
	world_fini(&w);
}

/* 20 bytes a message: below 50 one more is taken, at 60 none. */
static void
test_quota_bytes(void **state)
{
	struct world w;

	assert_int_equal(SIZE, 20);
	world_init(&w, "");
	assert_int_equal(intake_one(&w, "a@wide.test"), 250);
	assert_int_equal(intake_one(&w, "a@wide.test"), 250);
	expect_open(&w, true, true);
	assert_int_equal(intake_one(&w, "a@wide.test"), 250);
	expect_open(&w, true, false);
	assert_int_equal(intake_one(&w, "a@wide.test"), 452);
	w.conf->disk_reserve = 0; /* the model's disk has no more to say */
	trigger(&w, "wide");
	settle(&w, SMTP_ACCEPTED);
	expect_open(&w, true, true);
	/* 50 bytes are 50 bytes. */
	((struct conf_site *)(uintptr_t)&w.conf->sites[2])->quota_bytes = 60;
	assert_int_equal(intake_one(&w, "a@wide.test"), 250);
	expect_open(&w, true, false);
	assert_int_equal(intake_one(&w, "a@wide.test"), 452);
	world_fini(&w);
}

/* The time passes, and the role looks where it wants to. */
static void
wait_ms(struct world *w, uint64_t ms)
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

static void
test_disk_reserve(void **state)
{
	struct message m;
	struct world w;

	world_init(&w, "");
	/* There is just the room, then one byte less. */
	os_sim_set_room(w.os, RESERVE + SIZE);
	wait_ms(&w, 1000);
	assert_int_equal(intake_one(&w, "a@away.test"), 250);
	os_sim_set_room(w.os, RESERVE + SIZE - 1);
	wait_ms(&w, 1000);
	assert_int_equal(intake_one(&w, "a@away.test"), 452);
	expect_open(&w, true, true);
	/* Below the reserve it is closed from MAIL on, in a second at most
	   where mail comes. */
	os_sim_set_room(w.os, RESERVE - 1);
	wait_ms(&w, 1000);
	assert_int_equal(intake_one(&w, "a@away.test"), 452);
	expect_open(&w, false, true);
	assert_non_null(strstr(log_text,
	    "warn intake-closed - limit=disk-reserve messages=1 bytes=20 "
	    "room=1048575"));
	/* What was taken goes on: a failure, its notification, a hold. */
	settle(&w, SMTP_PERMANENT);
	assert_int_equal(((struct queue *)w.role)->room.totals.messages, 1);
	change(&w, STORE_CHANGE_HOLD, "");
	expect(&w, CONTROL, MESSAGE_CHANGE_DONE, &m);
	assert_int_equal(m.u.change_done.changed_count, 1);
	/* Room comes back: seen within a second. */
	wait_ms(&w, 5000);
	expect_open(&w, false, true);
	os_sim_set_room(w.os, RESERVE);
	wait_ms(&w, 999);
	expect_open(&w, true, true);
	world_fini(&w);
}

/* RFC 1870 6.1: what the disk has no room for is told before it comes, and when
   room comes back though nothing comes. */
static void
test_size_max(void **state)
{
	static const struct {
		uint64_t room, size_max;
	} cases[] = {
	    {RESERVE + (10 << 20), UINT64_MAX},
	    {RESERVE + (10 << 20) - 1, 10 << 20},
	    {RESERVE + (9 << 20) - 1, 9 << 20},
	    {RESERVE + 100, 1 << 20},
	    {RESERVE + (11 << 20), UINT64_MAX},
	};
	struct world w;

	world_init(&w, "message-size-max = \"10M\"\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		os_sim_set_room(w.os, cases[i].room);
		wait_ms(&w, 1000);
		if (i < 4)
			assert_int_equal(intake_one(&w, "a@away.test"), 250);
		expect_open(&w, true, true);
		assert_int_equal(w.size_max, cases[i].size_max);
	}
	world_fini(&w);
}

/* A new receive process is told at once. */
static void
test_greeting(void **state)
{
	struct message m;
	struct world w;

	world_init(&w, "queue-messages-max = 3\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(intake_one(&w, "a@full.test"), 250);
	fake_peer_up(&w.f, &role_queue_ops, w.role, 21, ROLE_RECEIVE);
	assert_true(fake_take_frame(&w.f, 21, &m));
	assert_int_equal(m.type, MESSAGE_INTAKE_STATE);
	assert_false(m.u.intake_state.is_open);
	assert_true(fake_take_frame(&w.f, 21, &m));
	assert_int_equal(m.type, MESSAGE_INTAKE_SITE);
	assert_true(str_equal(m.u.intake_site.site, STR("full")));
	assert_false(m.u.intake_site.is_open);
	assert_false(fake_take_frame(&w.f, 21, &m));
	world_fini(&w);
}

/* Content that is written while it comes is given up when it eats the reserve,
   before its end, and what was written of it is removed. */
static void
test_reserve_while_staging(void **state)
{
	static char block[STORE_BLOCK];
	const char *recipients[] = {"a@none.test", NULL};
	struct message m, content = {.type = MESSAGE_INTAKE_CONTENT};
	struct world w;

	memset(block, 'a', sizeof(block));
	world_init(&w, "");
	w.conf->staging_max = 2 * STORE_BLOCK;
	begin(&w, "", recipients);
	content.u.intake_content.transaction = w.transaction;
	content.u.intake_content.bytes = str_of(block, sizeof(block));
	for (int i = 0; i < 3; i++)
		give(&w, RECEIVE, &content);
	/* At the maximum it was in memory, one past it is in the store. */
	assert_false(hear(&w, &m));
	assert_int_equal(((struct queue *)w.role)->staged_bytes, 0);
	os_sim_set_room(w.os, RESERVE - 1);
	give(&w, RECEIVE, &content);
	assert_true(hear(&w, &m));
	assert_int_equal(m.u.intake_done.code, 452);
	assert_null(((struct queue *)w.role)->intakes);
	/* What was under way finds nothing. */
	give(&w, RECEIVE, &content);
	commit(&w, w.transaction);
	pump(&w);
	assert_false(hear(&w, &m));
	assert_int_equal(((struct queue *)w.role)->room.totals.messages, 0);
	world_fini(&w);
}

/* Content in memory over all messages: at staging-max, and one past it. */
static void
test_staging_max(void **state)
{
	const char *recipients[] = {"a@none.test", NULL};
	struct queue *q;
	struct world w;

	world_init(&w, "");
	q = w.role;
	w.conf->staging_max = 2 * SIZE;
	begin(&w, "", recipients);
	begin(&w, "", recipients);
	assert_int_equal(q->staged_bytes, 2 * SIZE);
	assert_int_equal(w.f.request_count, 0);
	begin(&w, "", recipients);
	assert_int_equal(q->staged_bytes, 2 * SIZE);
	assert_int_equal(w.f.request_count, 1);
	for (uint64_t n = 1; n <= 3; n++)
		commit(&w, n);
	pump(&w);
	assert_int_equal(q->staged_bytes, 0);
	assert_int_equal(q->room.totals.messages, 3);
	assert_int_equal(q->room.totals.bytes, 3 * SIZE);
	world_fini(&w);
}

/* An abort past the commit is in time while content is being written. */
static void
test_late_abort(void **state)
{
	const char *recipients[] = {"a@none.test", NULL};
	struct message m = {.type = MESSAGE_INTAKE_ABORT};
	struct world w;

	world_init(&w, "");
	w.conf->staging_max = 0;
	for (int is_late = 0; is_late < 2; is_late++) {
		begin(&w, "", recipients);
		commit(&w, w.transaction);
		if (is_late)
			answer(&w, fake_take_request(&w.f));
		m.u.intake_abort.transaction = w.transaction;
		send_frame(&w, RECEIVE, &m);
		pump(&w);
		assert_int_equal(
		    ((struct queue *)w.role)->room.totals.messages, is_late);
	}
	world_fini(&w);
}

/* Sessions in all and to one host, at the maximum and one past it. */
static void
test_deliveries(void **state)
{
	static const struct {
		const char *limits;
		const char *recipients[4];
		unsigned times, sessions;
	} cases[] = {
	    {"deliveries-max = 3\n", {"a@a.test", "a@b.test", "a@c.test", NULL},
		1, 3},
	    {"deliveries-max = 2\n", {"a@a.test", "a@b.test", "a@c.test", NULL},
		1, 2},
	    {"deliveries-host-max = 1\n", {"a@a.test", NULL}, 60, 1},
	    {"deliveries-host-max = 2\n", {"a@a.test", NULL}, 60, 2},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message m;
		struct world w;
		unsigned count = 0;

		world_init(&w, cases[i].limits);
		for (unsigned n = 0; n < cases[i].times; n++)
			for (size_t j = 0; cases[i].recipients[j] != NULL; j++)
				intake_one(&w, cases[i].recipients[j]);
		while (fake_take_frame(&w.f, DELIVER, &m))
			count += m.type == MESSAGE_SESSION_START;
		assert_int_equal(count, cases[i].sessions);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_queue_messages_max),
	    cmocka_unit_test(test_queue_bytes_max),
	    cmocka_unit_test(test_limits_count_what_is_coming),
	    cmocka_unit_test(test_quota_messages),
	    cmocka_unit_test(test_quota_and_settles),
	    cmocka_unit_test(test_quota_bytes),
	    cmocka_unit_test(test_disk_reserve),
	    cmocka_unit_test(test_size_max),
	    cmocka_unit_test(test_greeting),
	    cmocka_unit_test(test_reserve_while_staging),
	    cmocka_unit_test(test_staging_max),
	    cmocka_unit_test(test_late_abort),
	    cmocka_unit_test(test_deliveries),
	};

	log_set(log_sink, LOG_NOTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
