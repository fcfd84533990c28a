/*
 * A small world around the deliver role for its tests: a queue role with jobs,
 * a resolver with a zone, a network of any speed, and far ends that speak SMTP
 * and can be told to misbehave at any point.  What the role says to the queue
 * is kept as text in world.log, one line for each JOB_RESULT and SESSION_END.
 * Included by tests only.
 */
#ifndef ROLE_DELIVER_KIT_H
#define ROLE_DELIVER_KIT_H

#include "base/crc32c.h"
#include "base/mem.h"
#include "role/fake_env.h"
#include "role/roles.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIT_QUEUE    7
#define KIT_JOBS_MAX 8
#define KIT_LOG_MAX  16384
#define KIT_SESSIONS 32

/* A far end.  At the point AT ("connect", "greeting", "EHLO", "MAIL", "RCPT",
   "DATA", "content", "dot", "QUIT") it does as SAY says: a reply; NULL closes;
   "" says nothing.  "connect": NULL refuses, "" never answers. */
struct kit_far {
	const char *address;
	const char *at;
	const char *say;
	bool is_plain; /* no PIPELINING */
	bool is_dsn;   /* DSN in its place */
};

/* A record: MX "10 mx.test" or address; "fail" and "none" as value. */
struct kit_record {
	const char *name;
	enum role_dns what;
	const char *value;
};

struct kit_job {
	const char *id;
	const char *recipients[3];
	size_t content_size; /* a multiple of 64 */
	bool is_inline;
	uint64_t time_ms;     /* 0 = long */
	unsigned bad_block;   /* number + 1 of a block with a wrong sum */
	unsigned lost_block;  /* number + 1 of a block that cannot be had */
	unsigned short_block; /* number + 1 of a block that is too short */
	bool is_silent;       /* blocks never come */
};

struct kit_server {
	bool is_connected, is_closed, is_data, is_stuck;
	struct buf in;   /* bytes of the client */
	struct buf body; /* of the last message, without dots */
	struct buf said; /* command lines, "|" between them */
	size_t taken_size;
	unsigned dot_count;
};

struct world {
	struct fake_env f;
	struct role_env_ops ops;
	struct conf conf;
	void *role;
	const struct kit_far *fars;
	const struct kit_record *zone;
	size_t chunk_size; /* bytes the network takes a step */
	bool is_net_stuck; /* it takes nothing */
	struct kit_server servers[FAKE_CONNS_MAX];
	const struct kit_job *jobs;
	size_t job_next;
	size_t lease_count; /* in hand of the role */
	size_t wanted[KIT_SESSIONS];
	bool is_none[KIT_SESSIONS];
	bool is_queue_slow; /* it answers nothing */
	size_t end_count;
	char log[KIT_LOG_MAX];
	char result_host[64]; /* of the last result */
	bool is_relayed;
	/* Serves a connection of spawn(): true if something happened. */
	bool (*helper)(struct world *w, struct fake_conn *c);
};

static struct world *kit_world; /* of the network operations */

static size_t
kit_unsent(struct role_env *env, role_conn conn)
{
	struct fake_conn *c = fake_conn(&kit_world->f, conn);

	return c != NULL ? buf_size(&c->output) : 0;
}

static int
kit_send(struct role_env *env, role_conn conn, struct str bytes)
{
	if (kit_unsent(env, conn) + bytes.size > (1 << 20))
		return -ENOBUFS;
	return fake_op_send(env, conn, bytes);
}

FAKE_UNUSED static struct world *
world_new(const struct kit_far *fars, const struct kit_record *zone,
    const struct kit_job *jobs)
{
	struct world *w = mem_new(1, sizeof(*w));

	kit_world = w;
	fake_init(&w->f, ROLE_DELIVER);
	w->ops = fake_env_ops;
	w->ops.conn_unsent = kit_unsent;
	w->ops.conn_send = kit_send;
	w->f.env.ops = &w->ops;
	w->conf.hostname = STR("here.test");
	w->conf.deliveries_max = 4;
	w->conf.greeting_timeout_ms = 300000;
	w->conf.data_timeout_ms = 120000;
	w->conf.block_timeout_ms = 180000;
	w->conf.dot_timeout_ms = 600000;
	w->fars = fars;
	w->zone = zone;
	w->jobs = jobs;
	w->chunk_size = 1 << 20;
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++) {
		buf_init(&w->servers[i].in, 4 << 20);
		buf_init(&w->servers[i].body, 4 << 20);
		buf_init(&w->servers[i].said, 65536);
	}
	w->role = role_deliver_new(&w->f.env, &w->conf);
	fake_peer_up(&w->f, &role_deliver_ops, w->role, KIT_QUEUE, ROLE_QUEUE);
	return w;
}

FAKE_UNUSED static void
world_free(struct world *w)
{
	role_deliver_free(w->role);
	fake_fini(&w->f);
	for (size_t i = 0; i < FAKE_CONNS_MAX; i++) {
		buf_fini(&w->servers[i].in);
		buf_fini(&w->servers[i].body);
		buf_fini(&w->servers[i].said);
	}
	free(w);
}

static struct kit_server *
world_server(struct world *w, role_conn conn)
{
	CHECK(conn > 0 && conn <= FAKE_CONNS_MAX);
	return &w->servers[conn - 1];
}

/* Byte number I of any content: lines of 64, every third begins with a dot. */
static char
kit_byte(uint64_t i)
{
	if (i % 64 == 62)
		return '\r';
	if (i % 64 == 63)
		return '\n';
	if (i % 64 == 0 && i / 64 % 3 == 0)
		return '.';
	return (char)('a' + (i / 64 + i) % 26);
}

static void
kit_fill(char *to, uint64_t start, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = kit_byte(start + i);
}

FAKE_UNUSED static bool
kit_is_content(struct str body, size_t size)
{
	if (body.size != size)
		return false;
	for (size_t i = 0; i < size; i++)
		if (body.data[i] != kit_byte(i))
			return false;
	return true;
}

/* ---- queue ---- */

static void
kit_give_job(struct world *w, uint32_t session)
{
	const struct kit_job *job = &w->jobs[w->job_next];
	struct message m = {.type = MESSAGE_JOB};
	size_t count = 0;
	static char content[STORE_BLOCK];

	while (count < 3 && job->recipients[count] != NULL)
		count++;
	m.u.job.rows = mem_new(count, sizeof(m.u.job.rows[0]));
	for (size_t i = 0; i < count; i++) {
		m.u.job.rows[i].index = (uint32_t)i * 2;
		m.u.job.rows[i].recipient.address =
		    str_from(job->recipients[i]);
	}
	m.u.job.session = session;
	m.u.job.lease = 100 + w->job_next++;
	m.u.job.id = str_from(job->id);
	m.u.job.time_ms = job->time_ms ? job->time_ms : 1800000;
	m.u.job.arrival_wall_ms = UINT64_C(1700000000000);
	m.u.job.envelope.sender = STR("from@here.test");
	m.u.job.row_count = count;
	m.u.job.content_size = job->content_size;
	if (job->is_inline) {
		kit_fill(content, 0, job->content_size);
		m.u.job.content = str_of(content, job->content_size);
	}
	w->lease_count++;
	w->wanted[session]--;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
	free(m.u.job.rows);
}

static void
kit_feed_session(struct world *w, uint32_t session)
{
	struct message none = {.type = MESSAGE_JOB_NONE};

	while (w->wanted[session] > 0 && w->jobs != NULL &&
	       w->jobs[w->job_next].id != NULL)
		kit_give_job(w, session);
	if (w->wanted[session] == 0 || w->lease_count > 0 ||
	    w->is_none[session])
		return;
	w->is_none[session] = true;
	none.u.job_none.session = session;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &none), 0);
}

static void
kit_give_block(struct world *w, const struct message *want)
{
	const struct kit_job *job = &w->jobs[want->u.block_want.lease - 100];
	struct message m = {.type = MESSAGE_BLOCK};
	uint64_t index = want->u.block_want.index, start = index * STORE_BLOCK;
	static char bytes[STORE_BLOCK];
	size_t size = job->content_size - start < STORE_BLOCK
	                  ? job->content_size - start
	                  : STORE_BLOCK;

	assert_true(start < job->content_size);
	if (job->is_silent)
		return;
	kit_fill(bytes, start, size);
	if (job->short_block == index + 1)
		size--;
	m.u.block.session = want->u.block_want.session;
	m.u.block.lease = want->u.block_want.lease;
	m.u.block.index = index;
	m.u.block.is_damaged = job->lost_block == index + 1;
	m.u.block.bytes = str_of(bytes, size);
	m.u.block.crc32c =
	    crc32c(0, m.u.block.bytes) + (job->bad_block == index + 1 ? 1 : 0);
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
}

static void
kit_log_result(struct world *w, const struct message *m)
{
	static const char *const names[] = {
	    [SMTP_ACCEPTED] = "accepted",
	    [SMTP_TEMPORARY] = "temporary",
	    [SMTP_PERMANENT] = "permanent",
	    [SMTP_UNTRIED] = "untried",
	};

	snprintf(w->result_host, sizeof(w->result_host), "%.*s",
	    STR_ARG(m->u.job_result.host));
	w->is_relayed = m->u.job_result.is_relayed;
	for (size_t i = 0; i < m->u.job_result.result_count; i++) {
		const struct message_job_result *r =
		    &m->u.job_result.results[i];
		size_t at = strlen(w->log);

		snprintf(w->log + at, KIT_LOG_MAX - at, "%s %u %s %.*s %.*s\n",
		    w->jobs[m->u.job_result.lease - 100].id, r->index,
		    names[r->verdict], STR_ARG(r->status), STR_ARG(r->answer));
	}
	w->lease_count--;
}

static void
kit_log_end(struct world *w, const struct message *m)
{
	size_t at = strlen(w->log);
	const char *how = m->u.session_end.is_permanent ? "permanent"
	                  : m->u.session_end.is_failed  ? "failed"
	                                                : "good";

	snprintf(w->log + at, KIT_LOG_MAX - at, "end %u %s %.*s %.*s\n",
	    m->u.session_end.session, how, STR_ARG(m->u.session_end.status),
	    STR_ARG(m->u.session_end.answer));
	w->end_count++;
}

static bool
kit_queue(struct world *w)
{
	struct message m;
	bool is_moved = false;

	while (!w->is_queue_slow && fake_take_frame(&w->f, KIT_QUEUE, &m)) {
		is_moved = true;
		if (m.type == MESSAGE_SESSION_NEXT) {
			w->wanted[m.u.session_next.session] +=
			    m.u.session_next.want;
			/* Never more than the window. */
			assert_true(w->wanted[m.u.session_next.session] <= 2);
			kit_feed_session(w, m.u.session_next.session);
		} else if (m.type == MESSAGE_BLOCK_WANT) {
			kit_give_block(w, &m);
		} else if (m.type == MESSAGE_JOB_RESULT) {
			kit_log_result(w, &m);
			for (uint32_t i = 0; i < KIT_SESSIONS; i++)
				kit_feed_session(w, i);
		} else {
			kit_log_end(w, &m);
		}
	}
	return is_moved;
}

/* ---- resolver ---- */

static void
kit_answer(struct world *w, struct role_dns_answer *answer, enum role_dns what,
    const char *name)
{
	answer->is_no_name = true;
	answer->status = ROLE_DNS_NONE;
	for (const struct kit_record *r = w->zone; r && r->name; r++) {
		const char *value = r->value;
		size_t i = answer->count;

		if (strcmp(r->name, name) != 0)
			continue;
		answer->is_no_name = false;
		if (r->what != what || strcmp(value, "none") == 0)
			continue;
		answer->status =
		    strcmp(value, "fail") == 0 ? ROLE_DNS_FAILED : ROLE_DNS_OK;
		if (answer->status == ROLE_DNS_FAILED)
			return;
		if (what == ROLE_DNS_MX) {
			answer->records[i].preference =
			    (uint16_t)((value[0] - '0') * 10 +
				       (value[1] - '0'));
			snprintf(answer->records[i].name, MAIL_DOMAIN_MAX, "%s",
			    value + 3);
		} else {
			CHECK(conf_address_parse(str_from(value),
				  &answer->records[i].address) == 0);
		}
		answer->count++;
	}
}

static bool
kit_resolver(struct world *w)
{
	bool is_moved = false;

	while (w->f.resolve_count > 0) {
		struct role_dns_answer answer = {0};
		uint64_t query = w->f.resolves[0].query;

		kit_answer(
		    w, &answer, w->f.resolves[0].what, w->f.resolves[0].name);
		w->f.resolve_count--;
		memmove(w->f.resolves, w->f.resolves + 1,
		    w->f.resolve_count * sizeof(w->f.resolves[0]));
		role_deliver_ops.resolved(w->role, w->f.now_ms, query, &answer);
		is_moved = true;
	}
	return is_moved;
}

/* ---- far ends ---- */

static const struct kit_far *
kit_far_of(struct world *w, const struct fake_conn *c)
{
	static const struct kit_far good = {.address = "any"};
	char text[46];

	conf_address_format(&c->address, text);
	for (const struct kit_far *far = w->fars; far && far->address; far++)
		if (strcmp(far->address, text) == 0 ||
		    strcmp(far->address, "any") == 0)
			return far;
	return &good;
}

/* Says REPLY at the point AT, or what the far end says instead. */
static void
kit_say(struct world *w, struct fake_conn *c, const char *at, const char *reply)
{
	const struct kit_far *far = kit_far_of(w, c);
	struct kit_server *server = world_server(w, c->conn);

	if (server->is_stuck || server->is_closed)
		return;
	if (far->at != NULL && strcmp(far->at, at) == 0)
		reply = far->say;
	if (reply == NULL) {
		server->is_closed = true;
		if (fake_is_open(&w->f, c->conn))
			fake_close(&w->f, c->conn, -ECONNRESET);
	} else if (reply[0] == '\0') {
		server->is_stuck = true;
	} else {
		fake_input(&w->f, c->conn, str_from(reply));
	}
}

static bool
kit_connect(struct world *w, struct fake_conn *c)
{
	const struct kit_far *far = kit_far_of(w, c);
	struct kit_server *server = world_server(w, c->conn);
	bool is_bad = far->at != NULL && strcmp(far->at, "connect") == 0;

	if (is_bad && far->say != NULL)
		return false;
	server->is_connected = true;
	if (is_bad) {
		server->is_closed = true;
		c->is_closed = true;
		role_deliver_ops.connected(
		    w->role, w->f.now_ms, c->conn, -ECONNREFUSED);
		return true;
	}
	role_deliver_ops.connected(w->role, w->f.now_ms, c->conn, 0);
	kit_say(w, c, "greeting", "220 far.test\r\n");
	return true;
}

static void
kit_command(struct world *w, struct fake_conn *c, struct str line)
{
	struct kit_server *server = world_server(w, c->conn);
	const struct kit_far *far = kit_far_of(w, c);

	CHECK(buf_printf(&server->said, "%.*s|", (int)(line.size - 2),
		  line.data) == 0);
	if (str_starts(line, STR("EHLO")))
		kit_say(w, c, "EHLO",
		    far->is_dsn     ? "250-far.test\r\n250 DSN\r\n"
		    : far->is_plain ? "250 far.test\r\n"
				    : "250-far.test\r\n250 PIPELINING\r\n");
	else if (str_starts(line, STR("MAIL")))
		kit_say(w, c, "MAIL", "250 2.1.0 ok\r\n");
	else if (str_starts(line, STR("RCPT To:<no")))
		kit_say(w, c, "RCPT", "550 5.1.1 no such user\r\n");
	else if (str_starts(line, STR("RCPT To:<later")))
		kit_say(w, c, "RCPT", "450 4.2.1 later\r\n");
	else if (str_starts(line, STR("RCPT")))
		kit_say(w, c, "RCPT", "250 2.1.5 ok\r\n");
	else if (str_starts(line, STR("QUIT")))
		kit_say(w, c, "QUIT", "221 2.0.0 bye\r\n");
	else if (str_starts(line, STR("DATA"))) {
		server->is_data = true;
		buf_clear(&server->body);
		kit_say(w, c, "DATA", "354 go\r\n");
	} else
		kit_say(w, c, "other", "250 2.0.0 ok\r\n");
}

static void
kit_content_line(struct world *w, struct fake_conn *c, struct str line)
{
	struct kit_server *server = world_server(w, c->conn);

	if (str_equal(line, STR(".\r\n"))) {
		server->is_data = false;
		server->dot_count++;
		kit_say(w, c, "dot", "250 2.0.0 taken\r\n");
		return;
	}
	if (line.data[0] == '.')
		line = str_skip(line, 1);
	CHECK(buf_append(&server->body, line) == 0);
	if (buf_size(&server->body) == 1280 && kit_far_of(w, c)->at != NULL &&
	    strcmp(kit_far_of(w, c)->at, "content") == 0)
		kit_say(w, c, "content", "");
}

/* Moves bytes of the role to the far end, and lets it answer. */
static bool
kit_serve(struct world *w, struct fake_conn *c)
{
	struct kit_server *server = world_server(w, c->conn);
	struct str bytes = str_head(buf_str(&c->output), w->chunk_size);

	if (c->is_aborted)
		return false;
	if (!server->is_connected && fake_is_open(&w->f, c->conn))
		return kit_connect(w, c);
	if (bytes.size == 0 || server->is_closed || w->is_net_stuck)
		return false;
	CHECK(buf_append(&server->in, bytes) == 0);
	server->taken_size += bytes.size;
	buf_consume(&c->output, bytes.size);
	while (!server->is_stuck && !server->is_closed) {
		struct str line = buf_str(&server->in);
		size_t n = str_find(line, '\n');

		if (n == line.size)
			break;
		line = str_head(line, n + 1);
		if (server->is_data)
			kit_content_line(w, c, line);
		else
			kit_command(w, c, line);
		buf_consume(&server->in, line.size);
	}
	if (buf_size(&c->output) == 0 && fake_is_open(&w->f, c->conn))
		role_deliver_ops.drained(w->role, w->f.now_ms, c->conn);
	return true;
}

/* ---- the whole ---- */

FAKE_UNUSED static void
world_run(struct world *w)
{
	bool is_moved;

	do {
		is_moved = kit_resolver(w);
		for (size_t i = 0; i < FAKE_CONNS_MAX; i++) {
			struct fake_conn *c = &w->f.conns[i];

			if (c->conn != 0)
				is_moved |=
				    c->address.family == 0
					? w->helper != NULL && w->helper(w, c)
					: kit_serve(w, c);
		}
		is_moved |= kit_queue(w);
	} while (is_moved);
}

/* Runs and lets time pass up to UNTIL_MS, or until nothing is wanted. */
FAKE_UNUSED static void
world_run_time(struct world *w, uint64_t until_ms)
{
	world_run(w);
	while (w->f.wake_ms <= until_ms) {
		fake_timer(&w->f,
		    w->f.wake_ms > w->f.now_ms ? w->f.wake_ms : w->f.now_ms);
		world_run(w);
	}
	if (until_ms > w->f.now_ms && until_ms != UINT64_MAX - 1)
		w->f.now_ms = until_ms;
}

FAKE_UNUSED static void
world_start(struct world *w, uint32_t session, enum conf_route_kind kind,
    const char *host)
{
	struct message m = {.type = MESSAGE_SESSION_START};

	m.u.session_start.session = session;
	m.u.session_start.destination = STR("dest");
	m.u.session_start.kind = kind;
	m.u.session_start.host = str_from(host);
	m.u.session_start.port = 25;
	m.u.session_start.job = 3;
	assert_int_equal(fake_frame(&w->f, KIT_QUEUE, &m), 0);
}

/* The commands that far end number CONN heard. */
FAKE_UNUSED static const char *
world_said(struct world *w, role_conn conn)
{
	struct buf *said = &world_server(w, conn)->said;

	CHECK(buf_append(said, str_of("", 1)) == 0);
	return buf_str(said).data;
}

#define assert_log(w, text) assert_string_equal((w)->log, text)

#endif
