/*
 * Peers that were broken into: whatever frames come, the queue role says no to
 * that peer and goes on for the others.  Frames are well formed ones with
 * numbers that name nothing or somebody else's, and well formed ones that were
 * changed, cut or followed by chance bytes.
 */
#include "role/queue_kit.h"

#define HOSTILE_ROUNDS 60000

static const char config[] =
    "hostname = \"mx2.isp.test\"\n"
    "spool = \"ram:\"\n"
    "staging-max = \"256k\"\n"
    "route = ( { domain = \"*\", to = \"smtp://127.0.0.9:25\" } )\n"
    "site = ( { name = \"ship7\", domains = [ \"ship7.test\" ],\n"
    "  hold = true, route = \"smtp://127.0.0.1:2526\",\n"
    "  from = [ \"127.0.0.0/8\" ] } )\n";

/* Who is broken, and as what kind. */
#define BAD_RECEIVE 21
#define BAD_DELIVER 22
#define BAD_CONTROL 23

static uint64_t random_state;

static uint32_t
random_below(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1;
	return (uint32_t)(random_state >> 33) % below;
}

/* Small numbers often name something. */
static uint64_t
random_number(void)
{
	static const uint64_t edges[] = {0, 1, UINT32_MAX, UINT64_MAX,
	    UINT64_C(1) << 63, UINT64_C(1) << 32, 262144, 65536};

	return random_below(3) > 0 ? random_below(6) : edges[random_below(8)];
}

static struct str
random_text(void)
{
	static const char *const texts[] = {"", "ID000001", "ID000002", "x",
	    "u@ship7.test", "u@away.test", "ship7", "site:ship7",
	    "smtp://127.0.0.9:25", "4.2.0", "450 4.2.0 later", "nosuch", "\n\r",
	    "250 ok"};

	return str_from(texts[random_below(sizeof(texts) / sizeof(*texts))]);
}

static void
random_intake(struct message *m)
{
	static const enum message_type types[] = {MESSAGE_INTAKE_OPEN,
	    MESSAGE_INTAKE_RECIPIENT, MESSAGE_INTAKE_CONTENT,
	    MESSAGE_INTAKE_COMMIT, MESSAGE_INTAKE_ABORT, MESSAGE_TRIGGER};
	static struct str domains[1];
	static char content[STORE_BLOCK];

	m->type = types[random_below(6)];
	/* The number of the transaction or request comes first in each. */
	m->u.intake_open.transaction = random_number();
	if (m->type == MESSAGE_INTAKE_OPEN) {
		m->u.intake_open.id = random_text();
		m->u.intake_open.envelope.sender = random_text();
	} else if (m->type == MESSAGE_INTAKE_RECIPIENT) {
		m->u.intake_recipient.recipient.address = random_text();
	} else if (m->type == MESSAGE_INTAKE_CONTENT) {
		m->u.intake_content.bytes =
		    str_of(content, random_below(sizeof(content) + 1));
	} else if (m->type == MESSAGE_INTAKE_COMMIT) {
		m->u.intake_commit.content_size = random_number();
		m->u.intake_commit.content_crc32c = random_below(2);
	} else if (m->type == MESSAGE_TRIGGER) {
		domains[0] = random_text();
		m->u.trigger.site = random_text();
		m->u.trigger.domains = domains;
		m->u.trigger.domain_count = random_below(2);
	}
}

static void
random_delivery(struct message *m)
{
	static const enum message_type types[] = {MESSAGE_SESSION_NEXT,
	    MESSAGE_BLOCK_WANT, MESSAGE_JOB_RESULT, MESSAGE_SESSION_END};
	static struct message_job_result results[3];
	uint32_t session = (uint32_t)random_number();

	m->type = types[random_below(4)];
	if (m->type == MESSAGE_SESSION_NEXT) {
		m->u.session_next.session = session;
		m->u.session_next.want = random_below(18);
	} else if (m->type == MESSAGE_BLOCK_WANT) {
		m->u.block_want.session = session;
		m->u.block_want.lease = random_number();
		m->u.block_want.index = random_number();
	} else if (m->type == MESSAGE_JOB_RESULT) {
		for (size_t i = 0; i < 3; i++)
			results[i] = (struct message_job_result){
			    .index = (uint32_t)random_number(),
			    .verdict = (enum smtp_verdict)random_below(4),
			    .status = random_text(),
			    .answer = random_text(),
			};
		m->u.job_result.session = session;
		m->u.job_result.lease = random_number();
		m->u.job_result.results = results;
		m->u.job_result.result_count = random_below(4);
	} else {
		m->u.session_end.session = session;
		m->u.session_end.is_failed = random_below(2);
		m->u.session_end.is_permanent = random_below(2);
		m->u.session_end.status = random_text();
		m->u.session_end.answer = random_text();
	}
}

static void
random_control(struct message *m)
{
	static const enum message_type types[] = {
	    MESSAGE_LIST, MESSAGE_CHANGE, MESSAGE_TRIGGER};

	m->type = types[random_below(3)];
	if (m->type == MESSAGE_LIST) {
		m->u.list.request = random_number();
		m->u.list.is_destinations = random_below(2);
		m->u.list.filter.id = random_text();
		m->u.list.filter.destination = random_text();
		m->u.list.after_key = random_number();
		m->u.list.after_name = random_text();
		m->u.list.count = random_below(STORE_PAGE_MAX + 2);
	} else if (m->type == MESSAGE_CHANGE) {
		m->u.change.request = random_number();
		m->u.change.filter.id = random_text();
		m->u.change.filter.destination = random_text();
		m->u.change.filter.sender = random_text();
		m->u.change.older_ms = random_number();
		m->u.change.steer = random_below(2) ? MESSAGE_STEER_CHANGE
		                                    : MESSAGE_STEER_REQUEUE;
		m->u.change.is_dry = random_below(2);
		m->u.change.after_key = random_number();
		/* All but the one that deletes others' mail, which it may. */
		m->u.change.change =
		    random_below(2) ? STORE_CHANGE_HOLD : STORE_CHANGE_FREE;
	} else {
		m->u.trigger.request = random_number();
		m->u.trigger.site = random_text();
	}
}

/* Changes, cuts or lengthens a frame, or leaves it as it is. */
static void
spoil(struct buf *frame)
{
	char copy[MESSAGE_FRAME_MAX];
	size_t size = buf_size(frame);
	uint32_t how = random_below(6);

	if (how < 2 || size == 0)
		return;
	memcpy(copy, buf_str(frame).data, size);
	if (how == 2)
		size = random_below((uint32_t)size);
	else if (how == 3)
		copy[random_below(size < 40 ? (uint32_t)size : 40)] ^=
		    (char)(1 << random_below(8));
	else
		for (uint32_t i = 0; i < 12 && size < sizeof(copy); i++)
			copy[how == 4 ? size++ : random_below((uint32_t)size)] =
			    (char)random_below(256);
	buf_clear(frame);
	assert_int_equal(buf_append(frame, str_of(copy, size)), 0);
}

static void
forget_frames(struct world *w)
{
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
		if (w->f.peers[i].peer != 0)
			buf_clear(&w->f.peers[i].frames);
}

/* One frame of PEER; the carrier closes a peer for it, and the master starts
   another. */
static bool
attack(struct world *w, role_peer peer, enum role_kind kind)
{
	struct message m = {0};
	struct buf frame;
	int error;

	if (kind == ROLE_RECEIVE)
		random_intake(&m);
	else if (kind == ROLE_DELIVER)
		random_delivery(&m);
	else
		random_control(&m);
	buf_init(&frame, MESSAGE_FRAME_MAX);
	if (message_encode(&frame, &m) < 0)
		buf_clear(&frame);
	spoil(&frame);
	error =
	    role_queue_ops.message(w->role, w->f.now_ms, peer, buf_str(&frame));
	buf_fini(&frame);
	pump(w);
	forget_frames(w);
	assert_true(error <= 0);
	assert_false(w->f.is_stopped);
	if (error < 0) {
		role_queue_ops.peer_down(w->role, w->f.now_ms, peer);
		pump(w);
		role_queue_ops.peer_up(w->role, w->f.now_ms, peer, kind);
		pump(w);
	}
	return error < 0;
}

static void
test_broken_peers(void **state)
{
	static const struct {
		role_peer peer;
		enum role_kind kind;
	} bad[] = {{BAD_RECEIVE, ROLE_RECEIVE}, {BAD_DELIVER, ROLE_DELIVER},
	    {BAD_CONTROL, ROLE_CONTROL}};
	unsigned closed[3] = {0}, given[3] = {0};
	struct world w;

	random_state = 20261122;
	world_open(&w, config);
	for (size_t i = 0; i < 3; i++)
		fake_peer_up(
		    &w.f, &role_queue_ops, w.role, bad[i].peer, bad[i].kind);
	pump(&w);
	for (unsigned n = 0; n < HOSTILE_ROUNDS; n++) {
		uint32_t who = random_below(3);

		given[who]++;
		closed[who] += attack(&w, bad[who].peer, bad[who].kind);
		if (random_below(50) == 0)
			fake_timer(&w.f, w.f.now_ms + random_below(60000));
		pump(&w);
		/* The others are served as before. */
		if (n % 1000 == 0)
			assert_int_equal(
			    intake_one(&w, "a@x.test", "u@ship7.test"), 250);
		forget_frames(&w);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_true(closed[i] > given[i] / 10);
		assert_true(closed[i] < given[i]);
	}
	world_fini(&w);
}

/* A peer that knows the numbers of another's sessions gets nothing by it. */
static void
test_sessions_of_others(void **state)
{
	struct world w;
	struct message m, job, bad;
	struct message_job_result result = {.verdict = SMTP_ACCEPTED,
	    .status = STR("2.0.0"),
	    .answer = STR("250 ok")};

	world_open(&w, config);
	assert_int_equal(intake_one(&w, "", "u@away.test"), 250);
	expect(&w, DELIVER, MESSAGE_SESSION_START, &m);
	fake_peer_up(&w.f, &role_queue_ops, w.role, BAD_DELIVER, ROLE_DELIVER);
	fake_peer_up(&w.f, &role_queue_ops, w.role, BAD_RECEIVE, ROLE_RECEIVE);
	next(&w, m.u.session_start.session, 1);
	expect(&w, DELIVER, MESSAGE_JOB, &job);
	bad = (struct message){.type = MESSAGE_JOB_RESULT};
	bad.u.job_result.session = job.u.job.session;
	bad.u.job_result.lease = job.u.job.lease;
	bad.u.job_result.results = &result;
	bad.u.job_result.result_count = 1;
	give(&w, BAD_DELIVER, &bad);
	assert_int_equal(queued(&w), 1);
	bad = (struct message){.type = MESSAGE_BLOCK_WANT};
	bad.u.block_want.session = job.u.job.session;
	bad.u.block_want.lease = job.u.job.lease;
	give(&w, BAD_DELIVER, &bad);
	expect_none(&w, BAD_DELIVER, MESSAGE_BLOCK);
	bad = (struct message){.type = MESSAGE_SESSION_END};
	bad.u.session_end.session = job.u.job.session;
	give(&w, BAD_DELIVER, &bad);
	settle(&w, &job, 1, SMTP_ACCEPTED, "250 ok");
	assert_int_equal(queued(&w), 0);
	/* Nor by the number of a message that is coming in. */
	m = (struct message){.type = MESSAGE_INTAKE_OPEN};
	m.u.intake_open.transaction = 900;
	m.u.intake_open.id = STR("ID000900");
	give(&w, RECEIVE, &m);
	bad = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	bad.u.intake_recipient.transaction = 900;
	bad.u.intake_recipient.recipient.address = STR("spy@away.test");
	(void)fake_frame(&w.f, BAD_RECEIVE, &bad);
	bad = (struct message){.type = MESSAGE_INTAKE_ABORT};
	bad.u.intake_abort.transaction = 900;
	(void)fake_frame(&w.f, BAD_RECEIVE, &bad);
	m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
	m.u.intake_recipient.transaction = 900;
	m.u.intake_recipient.recipient.address = STR("u@ship7.test");
	give(&w, RECEIVE, &m);
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = 900;
	give(&w, RECEIVE, &m);
	expect(&w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.code, 250);
	expect_none(&w, DELIVER, MESSAGE_SESSION_START);
	world_fini(&w);
}

/* What a peer of one kind may say, another may not. */
static void
test_frames_of_others(void **state)
{
	static const role_peer peers[] = {RECEIVE, DELIVER, CONTROL};
	struct world w;
	struct message m;

	world_open(&w, config);
	for (size_t i = 0; i < 3; i++) {
		m = (struct message){.type = MESSAGE_INTAKE_ABORT};
		assert_int_equal(fake_frame(&w.f, peers[i], &m),
		    peers[i] == RECEIVE ? 0 : -EPROTO);
		m = (struct message){.type = MESSAGE_SESSION_NEXT};
		m.u.session_next.want = 1;
		assert_int_equal(fake_frame(&w.f, peers[i], &m),
		    peers[i] == DELIVER ? 0 : -EPROTO);
		m = (struct message){.type = MESSAGE_LIST};
		m.u.list.count = 1;
		assert_int_equal(fake_frame(&w.f, peers[i], &m),
		    peers[i] == CONTROL ? 0 : -EPROTO);
		m = (struct message){.type = MESSAGE_JOB_NONE};
		assert_int_equal(fake_frame(&w.f, peers[i], &m), -EPROTO);
	}
	pump(&w);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames_of_others),
	    cmocka_unit_test(test_sessions_of_others),
	    cmocka_unit_test(test_broken_peers),
	};

	return cmocka_run_group_tests_name("queue_hostile", tests, NULL, NULL);
}
