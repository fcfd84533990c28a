/*
 * A queue role over the model store and a pretend carrier, and short ways to
 * speak to it as its peers do; for the tests of the queue role only.
 */
#ifndef ROLE_QUEUE_KIT_H
#define ROLE_QUEUE_KIT_H

#include "base/crc32c.h"
#include "os/os_sim.h"
#include "role/fake_env.h"
#include "role/queue.h"
#include "role/roles.h"
#include "store/ram/ram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RECEIVE 11
#define DELIVER 12
#define CONTROL 13

struct world {
	struct fake_env f;
	struct os *os;
	struct store *store;
	struct conf *conf;
	void *role;
	uint64_t transaction;
};

static inline struct conf *
read_config(const char *config)
{
	struct buf errors;
	struct conf *conf = NULL;
	FILE *file = fmemopen((char *)(uintptr_t)config, strlen(config), "r");

	buf_init(&errors, 65536);
	assert_non_null(file);
	if (conf_read(file, "test.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	fclose(file);
	buf_fini(&errors);
	return conf;
}

/* Answers all requests, and those that the answers lead to. */
static inline void
pump(struct world *w)
{
	struct store_request *request;

	while ((request = fake_take_request(&w->f)) != NULL) {
		w->store->ops->batch(w->store, &request, 1);
		w->store->ops->check(w->store);
		role_queue_ops.stored(w->role, w->f.now_ms, request);
	}
}

/* A queue role with the configuration CONFIG. */
static inline void
world_open(struct world *w, const char *config)
{
	struct store_info info;

	*w = (struct world){0};
	fake_init(&w->f, ROLE_QUEUE);
	w->os = os_sim_new(1);
	w->store = store_ram_new(w->os);
	w->conf = read_config(config);
	w->store->ops->info(w->store, &info);
	w->role = role_queue_new(&w->f.env, w->conf, &info, w->f.now_ms);
	pump(w);
	fake_peer_up(&w->f, &role_queue_ops, w->role, RECEIVE, ROLE_RECEIVE);
	fake_peer_up(&w->f, &role_queue_ops, w->role, DELIVER, ROLE_DELIVER);
	fake_peer_up(&w->f, &role_queue_ops, w->role, CONTROL, ROLE_CONTROL);
	pump(w);
}

static inline void
world_fini(struct world *w)
{
	struct message m;

	while (fake_take_frame(&w->f, RECEIVE, &m))
		continue;
	/* Leases end, and nothing that was given to the store may be lost with
	   the role. */
	role_queue_ops.peer_down(w->role, w->f.now_ms, DELIVER);
	pump(w);
	role_queue_free(w->role);
	fake_fini(&w->f);
	w->store->ops->close(w->store);
	conf_free(w->conf);
	os_free(w->os);
}

static inline void
give(struct world *w, role_peer peer, const struct message *m)
{
	assert_int_equal(fake_frame(&w->f, peer, m), 0);
	pump(w);
}

/* The next frame for PEER that is of TYPE; others are passed over. */
static inline void
expect(struct world *w, role_peer peer, enum message_type type,
    struct message *m_out)
{
	while (fake_take_frame(&w->f, peer, m_out))
		if (m_out->type == type)
			return;
	fail_msg("no frame of type %d for %u", (int)type, (unsigned)peer);
}

static inline void
expect_none(struct world *w, role_peer peer, enum message_type type)
{
	struct message m;

	while (fake_take_frame(&w->f, peer, &m))
		assert_int_not_equal(m.type, type);
}

/* Sends a message in; the code of the answer. */
static inline uint32_t
intake(struct world *w, const char *sender, const char *const *recipients,
    struct str content)
{
	uint64_t transaction = ++w->transaction;
	char id[16];
	struct message m = {.type = MESSAGE_INTAKE_OPEN};

	snprintf(id, sizeof(id), "ID%06u", (unsigned)transaction);
	m.u.intake_open.transaction = transaction;
	m.u.intake_open.id = str_from(id);
	m.u.intake_open.envelope.sender = str_from(sender);
	give(w, RECEIVE, &m);
	for (; *recipients != NULL; recipients++) {
		m = (struct message){.type = MESSAGE_INTAKE_RECIPIENT};
		m.u.intake_recipient.transaction = transaction;
		m.u.intake_recipient.recipient.address = str_from(*recipients);
		give(w, RECEIVE, &m);
	}
	for (size_t at = 0; at < content.size; at += STORE_BLOCK) {
		m = (struct message){.type = MESSAGE_INTAKE_CONTENT};
		m.u.intake_content.transaction = transaction;
		m.u.intake_content.bytes =
		    str_head(str_skip(content, at), STORE_BLOCK);
		give(w, RECEIVE, &m);
	}
	m = (struct message){.type = MESSAGE_INTAKE_COMMIT};
	m.u.intake_commit.transaction = transaction;
	m.u.intake_commit.content_size = content.size;
	m.u.intake_commit.content_crc32c = crc32c(0, content);
	give(w, RECEIVE, &m);
	expect(w, RECEIVE, MESSAGE_INTAKE_DONE, &m);
	assert_int_equal(m.u.intake_done.transaction, transaction);
	return m.u.intake_done.code;
}

static inline uint32_t
intake_one(struct world *w, const char *sender, const char *recipient)
{
	const char *recipients[] = {recipient, NULL};

	return intake(w, sender, recipients, STR("Subject: x\r\n\r\nbody\r\n"));
}

/* Asks for the next message of a session. */
static inline void
next(struct world *w, uint32_t session, uint32_t want)
{
	struct message m = {.type = MESSAGE_SESSION_NEXT};

	m.u.session_next.session = session;
	m.u.session_next.want = want;
	give(w, DELIVER, &m);
}

static inline void
settle(struct world *w, const struct message *job, size_t count,
    enum smtp_verdict verdict, const char *answer)
{
	struct message_job_result results[STORE_LEASE_ROWS_MAX];
	struct message m = {.type = MESSAGE_JOB_RESULT};

	for (size_t i = 0; i < count; i++)
		results[i] = (struct message_job_result){
		    .index = job->u.job.rows[i].index,
		    .verdict = verdict,
		    .status = STR("5.1.1"),
		    .answer = str_from(answer),
		};
	m.u.job_result.session = job->u.job.session;
	m.u.job_result.lease = job->u.job.lease;
	m.u.job_result.results = results;
	m.u.job_result.result_count = count;
	give(w, DELIVER, &m);
}

static inline void
end_session(
    struct world *w, uint32_t session, bool is_failed, bool is_permanent)
{
	struct message m = {.type = MESSAGE_SESSION_END};

	m.u.session_end.session = session;
	m.u.session_end.is_failed = is_failed;
	m.u.session_end.is_permanent = is_permanent;
	m.u.session_end.status = STR("5.1.10");
	m.u.session_end.answer = STR("556 5.1.10 null MX");
	give(w, DELIVER, &m);
}

static inline void
trigger(struct world *w, const char *site, const char *domain,
    enum message_trigger_result result, uint64_t count)
{
	struct message m = {.type = MESSAGE_TRIGGER};
	struct str domains[1];

	m.u.trigger.request = 77;
	m.u.trigger.site = str_from(site);
	if (domain != NULL) {
		domains[0] = str_from(domain);
		m.u.trigger.domains = domains;
		m.u.trigger.domain_count = 1;
	}
	give(w, RECEIVE, &m);
	expect(w, RECEIVE, MESSAGE_TRIGGER_DONE, &m);
	assert_int_equal(m.u.trigger_done.request, 77);
	assert_int_equal(m.u.trigger_done.result, result);
	assert_int_equal(m.u.trigger_done.count, count);
}

/* How many messages are queued. */
static inline size_t
queued(struct world *w)
{
	struct message m = {.type = MESSAGE_LIST};
	size_t count = 0;

	m.u.list.request = 5;
	m.u.list.count = STORE_PAGE_MAX;
	give(w, CONTROL, &m);
	for (;;) {
		assert_true(fake_take_frame(&w->f, CONTROL, &m));
		if (m.type == MESSAGE_LIST_END)
			return count;
		if (m.type == MESSAGE_LIST_MESSAGE)
			count++;
	}
}

#endif
