/*
 * Recipients that became aliases after they were queued: who gets the message
 * then, that nothing is lost or goes round, in sessions and in runs.
 */
#include "role/queue_kit.h"
#include "role/queue_run.h"

static const char config[] =
    "hostname = \"h.test\"\n"
    "spool = \"ram:\"\n"
    "message-size-max = \"4M\"\n"
    "staging-max = \"1M\"\n"
    "site = ( { name = \"a\", domains = [ \"a.test\" ],\n"
    "  route = \"maildir:/m\" } )\n";

static const char aliases[] = "one: joe@far.test\n"
			      "many: joe@far.test, ann\n"
			      "list: eve, many\n"
			      "owner-list: boss\n"
			      "boss: carl\n"
			      "mixed: carl, list\n"
			      "self: self, gus\n"
			      "final: \\one\n"
			      "null: /dev/null\n"
			      "loop: pool\n"
			      "pool: loop\n"
			      "ring: wheel\n"
			      "owner-ring: carl\n"
			      "wheel: ring\n"
			      "owner-wheel: ann\n";

/* The files were changed. */
static void
set_aliases(struct world *w, const char *text)
{
	w->conf->aliases = alias_table_new();
	alias_table_read(w->conf->aliases, STR("f"), str_from(text));
}

/* All that is queued, a line a message: "SENDER: RCPT RCPT", each with its
   NOTIFY and ORCPT if it has any, "!" in front of what came of an alias. */
static void
assert_queued(struct world *w, const char *want)
{
	struct store_request *find = store_request_new(STORE_FIND);
	char text[4000] = "";
	size_t used = 0;

	find->u.find.count = STORE_PAGE_MAX;
	w->store->ops->batch(w->store, &find, 1);
	for (size_t i = 0; i < find->u.find.found_count; i++) {
		const struct store_found *m = &find->u.find.found[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%.*s:", STR_ARG(m->envelope.sender));
		for (size_t j = 0; j < m->row_count; j++) {
			const struct mail_recipient *r = &m->rows[j].recipient;

			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, " %s%.*s",
			    r->is_expanded ? "!" : "", STR_ARG(r->address));
			if (r->notify || r->orcpt.size)
				used += (size_t)snprintf(text + used,
				    sizeof(text) - used, "(%u,%.*s)", r->notify,
				    STR_ARG(r->orcpt));
		}
		used +=
		    (size_t)snprintf(text + used, sizeof(text) - used, "\n");
	}
	assert_string_equal(text, want);
	store_request_free(find);
}

/* Queues a message for ADDRESS and another one of a.test, if that is no NULL,
   while there are no aliases. */
static void
queue_one(struct world *w, const char *sender, const char *address,
    const char *other, uint8_t notify)
{
	const char *const to[] = {address, other};
	struct message m = {.type = MESSAGE_INTAKE_OPEN};
	struct str content = STR("Subject: x\r\n\r\nbody\r\n");

	m.u.intake_open.transaction = ++w->transaction;
	m.u.intake_open.id = STR("FIRSTID");
	m.u.intake_open.envelope.sender = str_from(sender);
	m.u.intake_open.envelope.envid = STR("env");
	give(w, RECEIVE, &m);
	for (size_t i = 0; i < 2 && to[i] != NULL; i++) {
		m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
		m.u.intake_recipient.transaction = w->transaction;
		m.u.intake_recipient.recipient.address = str_from(to[i]);
		m.u.intake_recipient.recipient.notify = notify;
		give(w, RECEIVE, &m);
	}
	m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
	m.u.intake_content.transaction = w->transaction;
	m.u.intake_content.bytes = content;
	give(w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = w->transaction;
	m.u.intake_commit.content_size = content.size;
	m.u.intake_commit.content_crc32c = crc32c(0, content);
	give(w, RECEIVE, &m);
	expect(w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.code, 250);
}

/* Opens the session of site a and asks for all that there is; its number. */
static uint32_t
ask_all(struct world *w)
{
	struct message m;

	expect(w, DELIVER, MESSAGE_SESSION_START, &m);
	next(w, m.u.session_start.session, QUEUE_LEASES_SESSION);
	return m.u.session_start.session;
}

#define SUCCESS MAIL_NOTIFY_SUCCESS
#define FAILURE MAIL_NOTIFY_FAILURE

static const struct {
	const char *address;
	uint8_t notify;
	const char *queued; /* when all of a.test was offered */
} cases[] = {
    {"joe@a.test", 0, "s@x.test: joe@a.test\n"},
    {"one@a.test", SUCCESS, "s@x.test: !joe@far.test(2,rfc822;one@a.test)\n"},
    {"many@a.test", FAILURE,
	"s@x.test: !joe@far.test(4,rfc822;many@a.test) "
	"!ann@a.test(4,rfc822;many@a.test)\n"},
    {"many@a.test", SUCCESS,
	": s@x.test(1,)\n"
	"s@x.test: !joe@far.test(1,rfc822;many@a.test) "
	"!ann@a.test(1,rfc822;many@a.test)\n"},
    {"list@a.test", SUCCESS,
	": s@x.test(1,)\n"
	"owner-list@a.test: !eve@a.test !joe@far.test !ann@a.test\n"},
    /* The list inside has its turn when its message is offered. */
    {"mixed@a.test", 0,
	"s@x.test: !carl@a.test(0,rfc822;mixed@a.test)\n"
	"owner-list@a.test: !eve@a.test !joe@far.test !ann@a.test\n"},
    /* Once, then it is what it says. */
    {"self@a.test", 0,
	"s@x.test: !self@a.test(0,rfc822;self@a.test) "
	"!gus@a.test(0,rfc822;self@a.test)\n"},
    {"final@a.test", 0, "s@x.test: !one@a.test(0,rfc822;final@a.test)\n"},
    {"null@a.test", 0, ""},
    {"loop@a.test", 0, "s@x.test: loop@a.test\n"},
    {"ring@a.test", 0, "s@x.test: ring@a.test\n"},
};

/* In a session of the scheduler. */
static void
test_sessions(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct queue *q;
		struct world w;

		world_open(&w, config);
		queue_one(
		    &w, "s@x.test", cases[i].address, NULL, cases[i].notify);
		set_aliases(&w, aliases);
		(void)ask_all(&w);
		assert_queued(&w, cases[i].queued);
		q = w.role;
		assert_int_equal(q->staged_bytes, 0);
		assert_int_equal(HASH_COUNT(q->intakes), 0);
		assert_int_equal(HASH_COUNT(q->parts), 0);
		assert_int_equal(q->room.coming_messages, 0);
		world_fini(&w);
	}
}

/* What is no alias is delivered in the same session, and who has the message
   anyway gets it no second time. */
static void
test_beside_others(void **state)
{
	struct message m;
	struct world w;

	world_open(&w, config);
	queue_one(&w, "s@x.test", "many@a.test", "ann@A.test", 0);
	set_aliases(&w, aliases);
	(void)ask_all(&w);
	expect(&w, DELIVER, MESSAGE_JOB, &m);
	assert_int_equal(m.u.job.row_count, 1);
	assert_queued(&w, "s@x.test: ann@A.test\n"
			  "s@x.test: !joe@far.test(0,rfc822;many@a.test)\n");
	world_fini(&w);
}

/* A list of the null sender has no owner; what the sender did not want expanded
   is not. */
static void
test_senders(void **state)
{
	struct world w;

	world_open(&w, config);
	queue_one(&w, "", "list@a.test", NULL, 0);
	set_aliases(&w, aliases);
	(void)ask_all(&w);
	assert_queued(&w, ": !eve@a.test !joe@far.test !ann@a.test\n");
	world_fini(&w);
}

/* An alias that cannot be expanded waits and says why. */
static void
test_mistake(void **state)
{
	struct store_request *find;
	struct world w;

	world_open(&w, config);
	queue_one(&w, "s@x.test", "loop@a.test", NULL, 0);
	set_aliases(&w, aliases);
	(void)ask_all(&w);
	find = store_request_new(STORE_FIND);
	find->u.find.count = 1;
	w.store->ops->batch(w.store, &find, 1);
	assert_int_equal(find->u.find.found[0].rows[0].lane, STORE_WAITING);
	assert_true(str_equal(find->u.find.found[0].rows[0].status,
	    STR("451 4.3.0 alias pool goes round in a circle")));
	store_request_free(find);
	world_fini(&w);
}

/* Content that is too large for memory goes to the disk piece by piece. */
static void
test_large_content(void **state)
{
	static const char *const to[] = {"mixed@a.test", NULL};
	static char content[1500000];
	struct store_request *request;
	struct world w;
	uint64_t bytes = 0;

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)('a' + i % 23);
	world_open(&w, config);
	assert_int_equal(
	    intake(&w, "s@x.test", to, str_of(content, sizeof(content))), 250);
	set_aliases(&w, aliases);
	(void)ask_all(&w);
	request = store_request_new(STORE_FIND);
	request->u.find.count = 2;
	w.store->ops->batch(w.store, &request, 1);
	assert_int_equal(request->u.find.found_count, 2);
	for (size_t i = 0; bytes < sizeof(content); i++) {
		struct store_request *read = store_request_new(STORE_READ);

		memcpy(read->u.read.id, request->u.find.found[1].id,
		    sizeof(read->u.read.id));
		read->u.read.index = i;
		w.store->ops->batch(w.store, &read, 1);
		assert_int_equal(read->error, 0);
		assert_true(read->u.read.bytes.size > 0);
		assert_memory_equal(read->u.read.bytes.data, content + bytes,
		    read->u.read.bytes.size);
		bytes += read->u.read.bytes.size;
		store_request_free(read);
	}
	assert_int_equal(bytes, sizeof(content));
	store_request_free(request);
	world_fini(&w);
}

/* The store does not take the content, or cannot read it: the alias waits. */
static void
test_no_room(void **state)
{
	static const char *const to[] = {"many@a.test", NULL};
	static char content[1500000];
	static const enum store_verb verbs[] = {STORE_STAGE, STORE_READ};

	memset(content, 'x', sizeof(content));
	for (size_t i = 0; i < 2; i++) {
		struct store_request *request;
		struct queue *q;
		struct message m;
		struct world w;

		world_open(&w, config);
		assert_int_equal(intake(&w, "s@x.test", to,
				     str_of(content, sizeof(content))),
		    250);
		set_aliases(&w, aliases);
		expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
		m = (struct message){.type = MESSAGE_SESSION_NEXT,
		    .u.session_next = {m.u.session_start.session, 1}};
		assert_int_equal(fake_frame(&w.f, DELIVER, &m), 0);
		while ((request = fake_take_request(&w.f)) != NULL) {
			w.store->ops->batch(w.store, &request, 1);
			if (request->verb == verbs[i])
				request->error = i == 0 ? -ENOSPC : -EIO;
			role_queue_ops.stored(w.role, w.f.now_ms, request);
		}
		assert_queued(&w, "s@x.test: many@a.test\n");
		q = w.role;
		assert_int_equal(q->staged_bytes, 0);
		assert_int_equal(HASH_COUNT(q->intakes), 0);
		assert_int_equal(HASH_COUNT(q->leases), 0);
		world_fini(&w);
	}
}

/* The process of the session goes while the alias is being expanded. */
static void
test_session_lost(void **state)
{
	struct store_request *request;
	struct message m;
	struct world w;

	world_open(&w, config);
	queue_one(&w, "s@x.test", "many@a.test", NULL, 0);
	set_aliases(&w, aliases);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	m = (struct message){.type = MESSAGE_SESSION_NEXT,
	    .u.session_next = {m.u.session_start.session, 1}};
	assert_int_equal(fake_frame(&w.f, DELIVER, &m), 0);
	request = fake_take_request(&w.f);
	assert_int_equal(request->verb, STORE_TAKE);
	w.store->ops->batch(w.store, &request, 1);
	role_queue_ops.stored(w.role, w.f.now_ms, request);
	role_queue_ops.peer_down(w.role, w.f.now_ms, DELIVER);
	pump(&w);
	assert_queued(&w, "s@x.test: !joe@far.test(0,rfc822;many@a.test) "
			  "!ann@a.test(0,rfc822;many@a.test)\n");
	world_fini(&w);
}

/* A domain that is this host and has nothing but aliases: no host is asked, an
   alias is expanded, anybody else is unknown. */
static void
test_here(void **state)
{
	struct message m;
	struct world w;

	world_open(&w, config);
	queue_one(&w, "s@x.test", "one@h.test", "nobody@h.test", 0);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	assert_true(str_equal(m.u.session_start.host, STR("h.test")));
	set_aliases(&w, aliases);
	end_session(&w, m.u.session_start.session, false, false);
	assert_queued(&w, "s@x.test: !joe@far.test(0,rfc822;one@h.test)\n"
			  ": s@x.test(1,)\n");
	world_fini(&w);
}

/* A run tries the members at once. */
static void
test_run(void **state)
{
	struct message m = {.type = MESSAGE_RUN};
	char said[2000] = "";
	struct world w;

	world_open(&w, config);
	queue_one(&w, "s@x.test", "many@a.test", "Gus@a.test", 0);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	set_aliases(&w, aliases);
	m = (struct message){.type = MESSAGE_RUN};
	m.u.run.request = 9;
	m.u.run.is_verbose = true;
	give(&w, CONTROL, &m);
	while (fake_take_frame(&w.f, CONTROL, &m))
		if (m.type == MESSAGE_RUN_TEXT)
			snprintf(said + strlen(said),
			    sizeof(said) - strlen(said), "%.*s",
			    STR_ARG(m.u.run_text.text));
	assert_string_equal(said,
	    "\nRunning ram:/FIRSTID (sequence 1 of 1)\n"
	    "many@a.test... aliased to joe@far.test, ann@a.test\n"
	    "Gus@a.test... Connecting to local...\n");
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	world_fini(&w);
}

/* The most leases that were in hand at a time until nothing was left to do. */
static unsigned
leases_most(struct world *w)
{
	const struct queue *q = w->role;
	struct store_request *request;
	unsigned most = 0;

	while ((request = fake_take_request(&w->f)) != NULL) {
		w->store->ops->batch(w->store, &request, 1);
		role_queue_ops.stored(w->role, w->f.now_ms, request);
		if (HASH_COUNT(q->leases) > most)
			most = HASH_COUNT(q->leases);
	}
	return most;
}

/* Messages of all sizes for ADDRESS, which is an alias from then on. */
static void
queue_many(struct world *w, const char *address)
{
	static char content[STORE_BLOCK * 16];
	const char *const to[] = {address, NULL};

	memset(content, 'x', sizeof(content));
	world_open(w, config);
	for (size_t size = 100; size < sizeof(content); size += STORE_BLOCK)
		assert_int_equal(
		    intake(w, "s@x.test", to, str_of(content, size)), 250);
	set_aliases(w, aliases);
}

/* However much waits for an alias, no more of it is in hand than a session
   asked for: one of the scheduler, and one of a run. */
static void
test_many(void **state)
{
	for (int is_run = 0; is_run < 2; is_run++) {
		struct message m = {.type = MESSAGE_RUN};
		struct world w;

		queue_many(&w, "one@a.test");
		if (is_run) {
			m.u.run.request = 9;
			give(&w, CONTROL, &m);
		}
		do
			expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
		while (is_run &&
		       (m.u.session_start.session & RUN_SESSION_BIT) == 0);
		m = (struct message){.type = MESSAGE_SESSION_NEXT,
		    .u.session_next = {m.u.session_start.session, 4}};
		assert_int_equal(fake_frame(&w.f, DELIVER, &m), 0);
		assert_int_equal(leases_most(&w), 4);
		expect_none(&w, DELIVER, MESSAGE_JOB);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sessions),
	    cmocka_unit_test(test_beside_others),
	    cmocka_unit_test(test_senders),
	    cmocka_unit_test(test_mistake),
	    cmocka_unit_test(test_large_content),
	    cmocka_unit_test(test_no_room),
	    cmocka_unit_test(test_session_lost),
	    cmocka_unit_test(test_here),
	    cmocka_unit_test(test_run),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
