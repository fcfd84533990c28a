/*
 * What the tests of the pickup role share: a drop directory on a simulated
 * disk, and a far end that is the machine of smtp/server.h.  It takes what it
 * is sent but for recipients whose names say otherwise: "no" 550, "later" 452.
 */
#ifndef ROLE_PICKUP_KIT_H
#define ROLE_PICKUP_KIT_H

#include "base/log.h"
#include "os/os_sim.h"
#include "role/fake_env.h"
#include "role/pickup.h"
#include "role/roles.h"
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIT_UNUSED __attribute__((unused))

#define BODY       "Subject: x\r\n\r\nbody\r\n"

static const char kit_conf[] =
    "hostname = \"holder.test\"; spool = \"ram:\"; recipients-max = 3;\n";

struct world {
	struct fake_env f;
	struct conf *conf;
	struct os *os;
	void *role;
	role_conn conn;
	struct smtp_server *server;
	bool is_mail_held, is_dot_held; /* the question is not answered */
	int mail_code, dot_code;        /* 250 unless set */
	struct buf message; /* "MAIL sender ...|RCPT ...|" content */
	char taken[100000]; /* messages that were said 250 to */
	size_t taken_count;
};

static char log_text[100000];

KIT_UNUSED static void
kit_log(enum log_level level, struct str line)
{
	size_t size = strlen(log_text);

	snprintf(
	    log_text + size, sizeof(log_text) - size, "%.*s\n", STR_ARG(line));
}

KIT_UNUSED static int
setup(void **state)
{
	struct world *w = mem_new(1, sizeof(*w));
	FILE *file =
	    fmemopen((void *)(uintptr_t)kit_conf, strlen(kit_conf), "r");
	struct buf errors;

	buf_init(&errors, 10000);
	assert_int_equal(conf_read(file, "test.conf", &errors, &w->conf), 0);
	buf_fini(&errors);
	fclose(file);
	log_text[0] = '\0';
	log_set(kit_log, LOG_DETAIL);
	fake_init(&w->f, ROLE_PICKUP);
	w->os = os_sim_new(1);
	os_sim_set_wall(w->os, w->f.wall_ms);
	assert_int_equal(os_make_directory(w->os, DROP_DIR_TEMP), 0);
	assert_int_equal(os_make_directory(w->os, DROP_DIR_NEW), 0);
	assert_int_equal(os_make_directory(w->os, PICKUP_DIR_BAD), 0);
	w->role = role_pickup_new(&w->f.env, w->conf, w->os, w->f.now_ms);
	fake_set_role(&w->f, &role_pickup_ops, w->role);
	buf_init(&w->message, 1 << 20);
	w->mail_code = w->dot_code = 250;
	*state = w;
	return 0;
}

KIT_UNUSED static int
teardown(void **state)
{
	struct world *w = *state;

	role_pickup_free(w->role);
	smtp_server_free(w->server);
	fake_fini(&w->f);
	os_free(w->os);
	conf_free(w->conf);
	buf_fini(&w->message);
	free(w);
	return 0;
}

KIT_UNUSED static void
put_file(struct world *w, const char *name, struct str bytes)
{
	struct os_file *file;

	assert_int_equal(os_open(w->os, name, OS_WRITE | OS_CREATE, &file), 0);
	assert_int_equal(os_pwrite(w->os, file, bytes, 0), 0);
	assert_int_equal(os_close(w->os, file), 0);
}

/* The bytes of a drop file: LINES are separated by "|". */
KIT_UNUSED static void
make_drop(struct buf *out, const char *lines, struct str content)
{
	struct str rest = str_from(lines);
	struct drop_writer d;

	buf_init(out, 4 << 20);
	assert_int_equal(drop_begin(&d, out), 0);
	while (rest.size > 0) {
		struct str line = str_head(rest, str_find(rest, '|'));

		assert_int_equal(drop_put_line(&d, line, out), 0);
		rest = str_skip(rest, line.size + 1);
	}
	assert_int_equal(drop_put_line(&d, STR("DATA"), out), 0);
	assert_int_equal(drop_put_content(&d, content, out), 0);
	assert_int_equal(drop_end(&d, out), 0);
}

/* Puts file number N into new/; its name is in NAME. */
KIT_UNUSED static void
drop(struct world *w, unsigned n, const char *lines, struct str content,
    char name[DROP_NAME_SIZE])
{
	char path[PICKUP_PATH_SIZE];
	struct buf out;

	make_drop(&out, lines, content);
	drop_name_format(w->f.wall_ms, n, name);
	snprintf(path, sizeof(path), DROP_DIR_NEW "/%s", name);
	put_file(w, path, buf_str(&out));
	buf_fini(&out);
}

#define FROM_TO "MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>"

KIT_UNUSED static bool
is_in(struct world *w, const char *directory, const char *name)
{
	char path[PICKUP_PATH_SIZE];
	struct os_status status;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return os_status(w->os, path, &status) == 0;
}

static struct smtp_reply
kit_reply(int code)
{
	if (code >= 500)
		return smtp_reply_make(code, "5.7.1", "no");
	if (code >= 400)
		return smtp_reply_make(code, "4.3.1", "later");
	return smtp_reply_make(code, "2.0.0", "ok");
}

/* Notes the transaction and answers; false = the question is left standing. */
static bool
kit_answer(struct world *w, const struct smtp_ask *ask)
{
	struct smtp_reply reply = kit_reply(250);
	int error = 0;

	switch (ask->kind) {
	case SMTP_ASK_MAIL:
		if (w->is_mail_held)
			return false;
		buf_clear(&w->message);
		error = buf_printf(&w->message,
		    "MAIL <%.*s> uid=%d ret=%d envid=%.*s body=%d|",
		    STR_ARG(ask->envelope.sender),
		    ask->has_uid ? (int)ask->uid : -1, ask->envelope.ret,
		    STR_ARG(ask->envelope.envid), ask->envelope.body);
		reply = kit_reply(w->mail_code);
		break;
	case SMTP_ASK_RCPT:
		if (str_starts(ask->recipient.address, STR("no")))
			reply = kit_reply(550);
		else if (str_starts(ask->recipient.address, STR("later")))
			reply = kit_reply(452);
		else
			error = buf_printf(&w->message, "RCPT <%.*s> %d|",
			    STR_ARG(ask->recipient.address),
			    ask->recipient.notify);
		break;
	case SMTP_ASK_CONTENT:
		error = buf_append(&w->message, ask->content);
		break;
	case SMTP_ASK_COMMIT:
		if (w->is_dot_held)
			return false;
		reply = kit_reply(w->dot_code);
		if (w->dot_code != 250)
			break;
		snprintf(w->taken + strlen(w->taken),
		    sizeof(w->taken) - strlen(w->taken), "%.*s\n",
		    STR_ARG(buf_str(&w->message)));
		w->taken_count++;
		break;
	case SMTP_ASK_DATA:
	case SMTP_ASK_ABORT:
	case SMTP_ASK_TRIGGER:
	case SMTP_ASK_NONE:
	case SMTP_ASK_CLOSE:
		break;
	}
	assert_int_equal(error, 0);
	smtp_server_done(w->server, &reply);
	return true;
}

/* What the role sent reaches the far end; false if nothing moved. */
static bool
kit_serve(struct world *w)
{
	struct buf *out = &fake_conn(&w->f, w->conn)->output;
	struct smtp_ask ask;
	size_t taken;

	if (smtp_server_next(w->server, &ask) == SMTP_ASK_CLOSE)
		return false;
	if (ask.kind != SMTP_ASK_NONE)
		return kit_answer(w, &ask);
	taken = smtp_server_feed(w->server, buf_str(out));
	/* Content is valid only as long as it lies in the input. */
	while (smtp_server_next(w->server, &ask) == SMTP_ASK_CONTENT)
		(void)kit_answer(w, &ask);
	buf_consume(out, taken);
	return taken > 0;
}

/* Both ends talk until they wait. */
KIT_UNUSED static void
talk(struct world *w)
{
	bool has_moved = true;

	while (has_moved) {
		struct buf *out = smtp_server_output(w->server);

		has_moved = kit_serve(w);
		if (buf_size(out) == 0 || !fake_is_open(&w->f, w->conn))
			continue;
		fake_input(&w->f, w->conn, buf_str(out));
		buf_consume(out, buf_size(out));
		has_moved = true;
	}
}

/* A stream to the receive role. */
KIT_UNUSED static void
link_up(struct world *w)
{
	struct smtp_server_options options = {.hostname = STR("holder.test"),
	    .size_max = 1 << 20,
	    .recipients_max = 1000,
	    .transactions_max = 1000,
	    .errors_max = 1000,
	    .command_max = 4096,
	    .line_max = 65536,
	    .has_uid = true};

	smtp_server_free(w->server);
	w->server = smtp_server_new(&options);
	w->conn = fake_accept_local(
	    &w->f, &role_pickup_ops, w->role, ROLE_NO_LISTENER, 0);
	if (fake_is_open(&w->f, w->conn))
		talk(w);
}

/* The directory is looked at, and what is there goes. */
KIT_UNUSED static void
run(struct world *w)
{
	unsigned asked = w->f.streams_asked;

	fake_timer(&w->f, w->f.now_ms + PICKUP_NOTICE_MS);
	role_pickup_ops.noticed(w->role, w->f.now_ms);
	fake_timer(&w->f, w->f.now_ms + PICKUP_NOTICE_MS);
	if (w->f.streams_asked > asked)
		link_up(w);
}

/* What was taken so far, which is then forgotten. */
KIT_UNUSED static void
assert_taken(struct world *w, const char *text)
{
	assert_string_equal(w->taken, text);
	w->taken[0] = '\0';
}

KIT_UNUSED static bool
was_logged(const char *text)
{
	return strstr(log_text, text) != NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
