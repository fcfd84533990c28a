/*
 * Aliases in the queue role: who gets a message and from whom, what goes on of
 * what the sender asked for (RFC 3461 5.2.7), and that a message of several
 * parts is taken whole or not at all.
 */
#include "role/queue_kit.h"

static const char config[] =
    "hostname = \"h.test\"\n"
    "spool = \"ram:\"\n"
    "postmaster = \"root@a.test\"\n"
    "message-size-max = \"4M\"\n"
    "staging-max = \"1M\"\n"
    "site = ( { name = \"a\", domains = [ \"a.test\" ],\n"
    "  route = \"maildir:/m\" },\n"
    "  { name = \"s\", domains = [ \"s.test\" ], hold = true,\n"
    "  route = \"mx\", quota-messages = 1 } )\n";

static const char aliases[] = "one: joe@far.test\n"
			      "many: joe@far.test, ann\n"
			      "list: eve, many, q@s.test\n"
			      "owner-list: boss\n"
			      "boss: carl, dora\n"
			      "mixed: carl, list\n"
			      "null: /dev/null\n"
			      "box: /var/x, \"|/bin/x y\", eve\n"
			      "boxes: box, /var/x\n"
			      "loop: pool\n"
			      "pool: loop\n"
			      "root: carl, dora@far.test\n";

static void
world_init(struct world *w)
{
	world_open(w, config);
	w->conf->aliases = alias_table_new();
	alias_table_read(w->conf->aliases, STR("f"), str_from(aliases));
}

static struct store_request *
find_all(struct world *w)
{
	struct store_request *find = store_request_new(STORE_FIND);

	find->u.find.count = STORE_PAGE_MAX;
	w->store->ops->batch(w->store, &find, 1);
	assert_int_equal(find->error, 0);
	return find;
}

/* All that is queued, a line a message: "SENDER: RCPT RCPT", each with its
   NOTIFY and ORCPT if it has any. */
static void
assert_queued(struct world *w, const char *want)
{
	struct store_request *find = find_all(w);
	char text[4000] = "";
	size_t used = 0;

	for (size_t i = 0; i < find->u.find.found_count; i++) {
		const struct store_found *m = &find->u.find.found[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%.*s:", STR_ARG(m->envelope.sender));
		for (size_t j = 0; j < m->row_count; j++) {
			const struct mail_recipient *r = &m->rows[j].recipient;

			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, " %.*s", STR_ARG(r->address));
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

/* Sends to ADDRESS with NOTIFY and ORCPT; the code of the answer. */
static uint32_t
send_one(struct world *w, const char *sender, const char *address,
    uint8_t notify, const char *orcpt)
{
	struct message m = {.type = MESSAGE_INTAKE_OPEN};
	struct str content = STR("Subject: x\r\n\r\nbody\r\n");

	w->transaction++;
	m.u.intake_open.transaction = w->transaction;
	m.u.intake_open.id = STR("FIRSTID");
	m.u.intake_open.envelope.sender = str_from(sender);
	m.u.intake_open.envelope.envid = STR("env");
	m.u.intake_open.envelope.ret = MAIL_RET_FULL;
	give(w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = w->transaction;
	m.u.intake_recipient.recipient = (struct mail_recipient){
	    .address = str_from(address),
	    .orcpt = str_from(orcpt),
	    .notify = notify,
	};
	give(w, RECEIVE, &m);
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
	return m.u.intake_done.code;
}

#define SUCCESS MAIL_NOTIFY_SUCCESS
#define FAILURE MAIL_NOTIFY_FAILURE

static const struct {
	const char *address;
	uint8_t notify;
	const char *orcpt;
	uint32_t code;
	const char *queued;
} cases[] = {
    {"joe@a.test", 0, "", 250, "s@x.test: joe@a.test\n"},
    {"one@a.test", SUCCESS, "rfc822;z", 250,
	"s@x.test: joe@far.test(2,rfc822;z)\n"},
    {"one@a.test", 0, "", 250, "s@x.test: joe@far.test(0,rfc822;one@a.test)\n"},
    {"one+x=y@a.test", FAILURE, "", 250,
	"s@x.test: joe@far.test(4,rfc822;one+2Bx+3Dy@a.test)\n"},
    {"many@a.test", FAILURE, "", 250,
	"s@x.test: joe@far.test(4,rfc822;many@a.test) "
	"ann@a.test(4,rfc822;many@a.test)\n"},
    {"many@a.test", SUCCESS, "", 250,
	"s@x.test: joe@far.test(1,rfc822;many@a.test) "
	"ann@a.test(1,rfc822;many@a.test)\n"
	": s@x.test(1,)\n"},
    {"many@a.test", SUCCESS | FAILURE, "rfc822;z", 250,
	"s@x.test: joe@far.test(4,rfc822;z) ann@a.test(4,rfc822;z)\n"
	": s@x.test(1,)\n"},
    {"list@a.test", MAIL_NOTIFY_NEVER, "rfc822;z", 250,
	"owner-list@a.test: eve@a.test joe@far.test ann@a.test q@s.test\n"},
    {"list@a.test", SUCCESS, "", 250,
	"owner-list@a.test: eve@a.test joe@far.test ann@a.test q@s.test\n"
	": s@x.test(1,)\n"},
    {"mixed@a.test", 0, "", 250,
	"s@x.test: carl@a.test(0,rfc822;mixed@a.test)\n"
	"owner-list@a.test: eve@a.test joe@far.test ann@a.test q@s.test\n"},
    {"null@a.test", 0, "", 250, ""},
    {"loop@a.test", 0, "", 451, ""},
};

static void
test_recipients(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_request *find;
		struct world w;

		world_init(&w);
		assert_int_equal(send_one(&w, "s@x.test", cases[i].address,
				     cases[i].notify, cases[i].orcpt),
		    cases[i].code);
		assert_queued(&w, cases[i].queued);
		find = find_all(&w);
		for (size_t j = 0; j < find->u.find.found_count; j++) {
			const struct store_found *m = &find->u.find.found[j];

			/* The id that was told is that of the first. */
			assert_int_equal(strcmp(m->id, "FIRSTID") == 0, j == 0);
			assert_int_equal(
			    str_equal(m->envelope.envid, STR("env")),
			    str_equal(m->envelope.sender, STR("s@x.test")));
		}
		store_request_free(find);
		assert_int_equal(((struct queue *)w.role)->staged_bytes, 0);
		world_fini(&w);
	}
}

/* Of several recipients each address gets it once. */
static void
test_duplicates(void **state)
{
	static const char *const to[] = {"many@a.test", "joe@FAR.test",
	    "one@a.test", "Ann@a.test", "list@a.test", "list@a.test", NULL};
	struct world w;

	world_init(&w);
	assert_int_equal(intake(&w, "s@x.test", to, STR("a: b\r\n\r\n")), 250);
	assert_queued(&w, "s@x.test: joe@far.test(0,rfc822;many@a.test) "
			  "ann@a.test(0,rfc822;many@a.test) Ann@a.test\n"
			  "owner-list@a.test: eve@a.test q@s.test\n");
	world_fini(&w);
}

/* Of a message without a sender nobody is told. */
static void
test_null_sender(void **state)
{
	struct world w;

	world_init(&w);
	assert_int_equal(send_one(&w, "", "list@a.test", SUCCESS, ""), 250);
	assert_queued(&w, ": eve@a.test joe@far.test ann@a.test q@s.test\n");
	world_fini(&w);
}

/* Content that is too large for memory is staged for each part. */
static void
test_large_content(void **state)
{
	static const char *const to[] = {"mixed@a.test", NULL};
	static char content[1500000];
	struct store_request *find;
	struct world w;

	memset(content, 'x', sizeof(content));
	world_init(&w);
	assert_int_equal(
	    intake(&w, "s@x.test", to, str_of(content, sizeof(content))), 250);
	find = find_all(&w);
	assert_int_equal(find->u.find.found_count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    find->u.find.found[i].content_size, sizeof(content));
	store_request_free(find);
	world_fini(&w);
}

/* A part that may not be stored keeps the others out, and they are not counted
   as coming any longer. */
static void
test_refused_whole(void **state)
{
	struct queue *q;
	struct world w;

	world_init(&w);
	assert_int_equal(intake_one(&w, "s@x.test", "q@s.test"), 250);
	assert_int_equal(intake_one(&w, "s@x.test", "mixed@a.test"), 452);
	assert_queued(&w, "s@x.test: q@s.test\n");
	q = w.role;
	assert_int_equal(q->room.coming_messages, 0);
	assert_int_equal(q->staged_bytes, 0);
	assert_int_equal(HASH_COUNT(q->parts), 0);
	world_fini(&w);
}

/* The store takes one part and not the other: the sender must come again. */
static void
test_half_stored(void **state)
{
	struct message m = {.type = MESSAGE_INTAKE_OPEN};
	struct store_request *request;
	struct queue *q;
	struct world w;

	world_init(&w);
	m.u.intake_open.transaction = 1;
	m.u.intake_open.id = STR("FIRSTID");
	m.u.intake_open.envelope.sender = STR("s@x.test");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = 1;
	m.u.intake_recipient.recipient.address = STR("mixed@a.test");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = 1;
	assert_int_equal(fake_frame(&w.f, RECEIVE, &m), 0);
	request = fake_take_request(&w.f);
	assert_int_equal(request->verb, STORE_APPEND);
	w.store->ops->batch(w.store, &request, 1);
	role_queue_ops.stored(w.role, w.f.now_ms, request);
	expect_none(&w, RECEIVE, MESSAGE_INTAKE_DONE);
	request = fake_take_request(&w.f);
	assert_int_equal(request->verb, STORE_APPEND);
	request->error = -EIO;
	role_queue_ops.stored(w.role, w.f.now_ms, request);
	pump(&w);
	expect(&w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.code, 451);
	q = w.role;
	assert_int_equal(HASH_COUNT(q->parts), 0);
	assert_int_equal(q->room.coming_messages, 0);
	world_fini(&w);
}

/* Recipients do not come behind content. */
static void
test_late_recipient(void **state)
{
	struct message m = {.type = MESSAGE_INTAKE_OPEN};
	struct world w;

	world_init(&w);
	m.u.intake_open.transaction = 1;
	m.u.intake_open.id = STR("FIRSTID");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = 1;
	m.u.intake_recipient.recipient.address = STR("mixed@a.test");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
	m.u.intake_content.transaction = 1;
	m.u.intake_content.bytes = STR("x");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = 1;
	m.u.intake_recipient.recipient.address = STR("joe@a.test");
	assert_int_equal(fake_frame(&w.f, RECEIVE, &m), -EPROTO);
	world_fini(&w);
}

/* Fails what the first session has to deliver; true if there was one. */
static bool
fail_next(struct world *w)
{
	struct message m;

	while (fake_take_frame(&w->f, DELIVER, &m))
		if (m.type == MESSAGE_SESSION_START)
			break;
	if (m.type != MESSAGE_SESSION_START)
		return false;
	next(w, m.u.session_start.session, 1);
	expect(w, DELIVER, MESSAGE_JOB, &m);
	settle(
	    w, &m, m.u.job.row_count, SMTP_PERMANENT, "550 5.1.1 no such user");
	return true;
}

/* What comes back for a list goes to its owner, who is an alias himself. */
static void
test_bounce_to_owner(void **state)
{
	struct world w;

	world_init(&w);
	assert_int_equal(send_one(&w, "s@x.test", "list@a.test", 0, ""), 250);
	assert_true(fail_next(&w));
	assert_queued(&w, "owner-list@a.test: joe@far.test q@s.test\n"
			  ": carl@a.test(1,) dora@a.test(1,)\n");
	world_fini(&w);
}

/* Programs and files are rows like others, each once, with destinations of
   their own; as an address of somebody's they are nobody. */
static void
test_locals(void **state)
{
	static const char *const to[] = {
	    "box@a.test", "boxes@a.test", "eve@a.test", NULL};
	static const char *const wanted[] = {
	    "file:/var/x", "prog:/bin/x y", "site:a"};
	struct mail_recipient local = {.address = STR("\"|/bin/x y\"")};
	struct store_request *find;
	struct store_message *notice;
	struct world w;

	world_init(&w);
	assert_int_equal(intake_one(&w, "s@x.test", "box@a.test"), 451);
	((struct conf *)(uintptr_t)w.conf)->alias_programs = true;
	assert_int_equal(intake_one(&w, "s@x.test", "\"|/bin/x y\""), 451);
	assert_int_equal(intake_one(&w, "s@x.test", "/var/x"), 451);
	assert_int_equal(
	    intake(&w, "s@x.test", to, STR("Subject: x\r\n\r\n")), 250);
	assert_queued(&w, "s@x.test: /var/x(0,rfc822;box@a.test)"
			  " \"|/bin/x y\"(0,rfc822;box@a.test)"
			  " eve@a.test(0,rfc822;box@a.test)\n");
	find = find_all(&w);
	for (size_t i = 0; i < 3; i++)
		assert_true(str_equal(find->u.find.found[0].rows[i].destination,
		    str_from(wanted[i])));
	store_request_free(find);
	/* No notification is sent to one. */
	notice = store_message_new();
	assert_int_equal(queue_alias_rows(w.role, notice, &local), -EINVAL);
	store_message_free(notice);
	world_fini(&w);
}

/* The postmaster is an alias: of what failed on its way to one of those for
   whom he stands nobody is told. */
static void
test_postmaster_is_an_alias(void **state)
{
	struct queue *q;
	struct mail_recipient to = {.address = STR("dora@far.test")};
	struct world w;

	world_init(&w);
	q = w.role;
	assert_false(queue_notice_has_postmaster(q, &to));
	to.address = STR("Root@a.test");
	assert_false(queue_notice_has_postmaster(q, &to));
	to.address = STR("eve@a.test");
	assert_true(queue_notice_has_postmaster(q, &to));
	assert_int_equal(send_one(&w, "", "one@a.test", 0, ""), 250);
	assert_true(fail_next(&w));
	assert_queued(&w, ": carl@a.test(1,) dora@far.test(1,)\n");
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_null_sender),
	    cmocka_unit_test(test_large_content),
	    cmocka_unit_test(test_refused_whole),
	    cmocka_unit_test(test_half_stored),
	    cmocka_unit_test(test_late_recipient),
	    cmocka_unit_test(test_bounce_to_owner),
	    cmocka_unit_test(test_locals),
	    cmocka_unit_test(test_postmaster_is_an_alias),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
