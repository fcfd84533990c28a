/*
 * The master's loop.
 *
 *   RUNNING --stop, reload--> STOPPING --fronts gone--> CLOSING --queue gone-->
 *   end, or RUNNING again;  RUNNING --queue died--> KILLING --all gone-->
 *   RUNNING again.
 *
 * Invariants: (1) a child that is not running has no channel; (2) in KILLING,
 * STOPPING and CLOSING nothing is started; (3) until all roles were ready once,
 * a role that ends ends the daemon: whoever starts it must see that it does not
 * come up.
 */
#include "cmd/master.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/alias_files.h"
#include "cmd/conf_text.h"
#include "cmd/master_child.h"
#include "cmd/store_place.h"
#include "net/channel.h"
#include "net/privilege.h"
#include "net/log_target.h"
#include "os/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define MASTER_SIGNALS 4

enum master_state {
	MASTER_RUNNING,
	MASTER_STOPPING, /* receive, deliver, control finish */
	MASTER_CLOSING,  /* the queue role and the spawner finish */
	MASTER_KILLING   /* all are to be started anew */
};

struct master {
	const char *file_name;
	const char *changes;
	bool is_run; /* queue runs only */
	struct conf *conf;
	int text_fd;
	struct places places;
	/* Of a reload, until the old children are gone. */
	struct conf *next_conf;
	int next_text_fd;
	struct places next_places;

	enum master_state state;
	bool is_ending;
	bool was_ready; /* once */
	bool is_ready;  /* said so since the last start of all */
	int exit_status;
	struct event_base *base;
	struct event signals[MASTER_SIGNALS];
	struct event timer; /* the end of patience, or the start of all */
	uint64_t backoff_ms;
	uint64_t started_ms;
	struct master_child *children;
	size_t child_count;
};

static void master_start_all(struct master *master);

static void
master_set_timer(struct event *timer, uint64_t wait_ms)
{
	struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
	    .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

	CHECK(event_add(timer, &wait) == 0);
}

/* The wait before a restart of what began to run at STARTED_MS; doubles
 *BACKOFF_MS. */
static uint64_t
master_back_off(uint64_t started_ms, uint64_t *backoff_ms)
{
	uint64_t wait_ms = *backoff_ms;

	if (wait_ms == 0 || machine_mono_ms() - started_ms >= MASTER_STEADY_MS)
		wait_ms = MASTER_BACKOFF_MS;
	*backoff_ms = wait_ms * 2 < MASTER_BACKOFF_MAX_MS
	                  ? wait_ms * 2
	                  : MASTER_BACKOFF_MAX_MS;
	return wait_ms;
}

/* In a run the control role goes last: it passes on what is still said of the
   message in hand. */
static bool
master_is_last(const struct master *master, const struct master_child *child)
{
	return master->is_run && child->kind == ROLE_CONTROL;
}

static bool
master_is_front(const struct master *master, const struct master_child *child)
{
	return child->kind != ROLE_QUEUE && child->kind != ROLE_SPAWNER &&
	       !master_is_last(master, child);
}

/* How many children run: all, or the fronts only. */
static size_t
master_count_running(const struct master *master, bool is_fronts_only)
{
	size_t count = 0;

	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i].pid > 0 &&
		    (!is_fronts_only ||
			master_is_front(master, &master->children[i])))
			count++;
	return count;
}

static void
master_end(struct master *master, int status)
{
	master->exit_status = status;
	event_base_loopbreak(master->base);
}

static void
master_stop(struct master *master, const char *reason, bool is_ending)
{
	if (is_ending)
		master->is_ending = true;
	if (master->state == MASTER_STOPPING || master->state == MASTER_CLOSING)
		return;
	log_event(LOG_NOTE, "stopping", "", "reason=%s", reason);
	if (master->state == MASTER_KILLING)
		return;
	master->state = MASTER_STOPPING;
	for (size_t i = 0; i < master->child_count; i++) {
		event_del(&master->children[i].timer);
		if (master_is_front(master, &master->children[i]))
			master_child_tell(
			    &master->children[i], CHANNEL_SHUTDOWN);
	}
	master_set_timer(&master->timer, MASTER_STOP_MS);
}

/* The new configuration takes the place of the old one. */
static void
master_change_conf(struct master *master)
{
	if (master->next_conf == NULL)
		return;
	places_close(&master->places, &master->next_places);
	conf_free(master->conf);
	close(master->text_fd);
	master->places = master->next_places;
	master->conf = master->next_conf;
	master->text_fd = master->next_text_fd;
	master->next_conf = NULL;
	master->next_text_fd = -1;
	log_target_set(master->conf);
	alias_files_log(master->conf);
}

/* Ends those that go last, when nothing else runs. */
static void
master_end_last(struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (master->children[i].pid > 0 &&
		    !master_is_last(master, &master->children[i]))
			return;
	for (size_t i = 0; i < master->child_count; i++)
		if (master_is_last(master, &master->children[i]))
			master_child_tell(
			    &master->children[i], CHANNEL_SHUTDOWN);
}

/* Goes on when children have ended. */
static void
master_advance(struct master *master)
{
	if (master->state == MASTER_STOPPING &&
	    master_count_running(master, true) == 0) {
		master->state = MASTER_CLOSING;
		for (size_t i = 0; i < master->child_count; i++)
			if (!master_is_last(master, &master->children[i]))
				master_child_tell(
				    &master->children[i], CHANNEL_SHUTDOWN);
		master_set_timer(&master->timer, MASTER_STOP_QUEUE_MS);
	}
	if (master->state == MASTER_CLOSING)
		master_end_last(master);
	if (master->state == MASTER_RUNNING ||
	    master->state == MASTER_STOPPING ||
	    master_count_running(master, false) > 0)
		return;
	event_del(&master->timer);
	if (master->is_ending) {
		master_end(master, master->exit_status);
		return;
	}
	if (master->state == MASTER_CLOSING) {
		master_change_conf(master);
		master_start_all(master);
	} else {
		master_set_timer(&master->timer,
		    master_back_off(master->started_ms, &master->backoff_ms));
	}
}

static void
master_kill_all(struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++) {
		event_del(&master->children[i].timer);
		master_child_kill(&master->children[i]);
	}
}

static void
master_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct master *master = arg;

	if (master->state == MASTER_KILLING) {
		master_start_all(master);
		return;
	}
	for (size_t i = 0; i < master->child_count; i++)
		if (master->state == MASTER_CLOSING ||
		    master_is_front(master, &master->children[i]))
			master_child_kill(&master->children[i]);
}

static void
master_check_ready(struct master *master)
{
	for (size_t i = 0; i < master->child_count; i++)
		if (!master->children[i].is_ready)
			return;
	if (!master->is_ready)
		log_event(
		    LOG_NOTE, "ready", "", "children=%zu", master->child_count);
	master->is_ready = true;
	master->was_ready = true;
}

/* The queue role's and the spawner's other ends ask for new peers, never these
   two: so each pair is made once. */
static void
master_note_lost(struct master_child *child, uint32_t kind)
{
	if (kind >= ROLE_KINDS || child->kind == ROLE_QUEUE ||
	    child->kind == ROLE_SPAWNER ||
	    child->master->state != MASTER_RUNNING ||
	    !master_kinds_are_linked(child->kind, (enum role_kind)kind, true))
		return;
	child->lost_kinds |= 1U << kind;
	master_set_timer(&child->timer, MASTER_RELINK_MS);
}

static void
master_on_channel(evutil_socket_t fd, short what, void *arg)
{
	struct master_child *child = arg;
	struct channel_record record;
	int error, passed_fd;

	error = channel_receive(child->channel, &record, &passed_fd);
	if (passed_fd >= 0)
		close(passed_fd);
	if (error == -EAGAIN)
		return;
	if (error < 0) {
		/* Its end is seen by SIGCHLD; one that only closed its channel
		   is of no use any more. */
		event_del(&child->channel_event);
		if (error == -EPROTO)
			master_child_kill(child);
		return;
	}
	if (record.type == CHANNEL_READY) {
		child->is_ready = true;
		master_check_ready(child->master);
	} else if (record.type == CHANNEL_LOST) {
		master_note_lost(child, record.subject);
	}
}

static void
master_link_child(struct master_child *child, unsigned kinds, bool is_asked_for)
{
	struct master *master = child->master;

	for (size_t i = 0; i < master->child_count; i++) {
		struct master_child *other = &master->children[i];

		if ((kinds & 1U << other->kind) != 0 &&
		    master_kinds_are_linked(
			child->kind, other->kind, is_asked_for))
			master_child_link(child, other);
	}
}

/* Starts it; true if it runs. */
static bool
master_start_child(struct master_child *child)
{
	struct master *master = child->master;
	struct master_start start = {.conf = master->conf,
	    .text_fd = master->text_fd,
	    .places = &master->places,
	    .is_run = master->is_run};
	int error = master_child_start(child, &start);

	child->started_ms = machine_mono_ms();
	if (error < 0) {
		log_event(LOG_ERROR, "start-failed", "", "role=%s error=%s",
		    privilege_role_name(child->kind), strerror(-error));
		master_set_timer(&child->timer,
		    master_back_off(child->started_ms, &child->backoff_ms));
		return false;
	}
	CHECK(event_assign(&child->channel_event, master->base, child->channel,
		  EV_READ | EV_PERSIST, master_on_channel, child) == 0);
	CHECK(event_add(&child->channel_event, NULL) == 0);
	return true;
}

/* A child's own timer: it is to be started, or to get peers. */
static void
master_on_child_timer(evutil_socket_t fd, short what, void *arg)
{
	struct master_child *child = arg;

	if (child->master->state != MASTER_RUNNING)
		return;
	if (child->pid > 0) {
		master_link_child(child, child->lost_kinds, true);
		child->lost_kinds = 0;
	} else if (master_start_child(child)) {
		master_link_child(child, ~0U, false);
		master_child_tell(child, CHANNEL_START);
	}
}

static void
master_add_children(
    struct master *master, enum role_kind kind, uint64_t instances)
{
	for (uint32_t i = 1; i <= instances; i++) {
		struct master_child *child =
		    &master->children[master->child_count++];

		*child = (struct master_child){.master = master,
		    .kind = kind,
		    .instance = i,
		    .channel = -1};
		CHECK(evtimer_assign(&child->timer, master->base,
			  master_on_child_timer, child) == 0);
	}
}

/* The spawner is the first: it has the least to inherit. */
static void
master_make_children(struct master *master)
{
	const struct conf *conf = master->conf;

	free(master->children);
	master->children =
	    mem_new(conf->receive_processes + conf->deliver_processes + 4,
		sizeof(master->children[0]));
	master->child_count = 0;
	master_add_children(master, ROLE_SPAWNER, 1);
	master_add_children(master, ROLE_QUEUE, 1);
	/* For runs it takes what the drop directory has, and nothing else. */
	if (!master->is_run)
		master_add_children(
		    master, ROLE_RECEIVE, conf->receive_processes);
	else if (master->places.drop_fd >= 0)
		master_add_children(master, ROLE_RECEIVE, 1);
	master_add_children(
	    master, ROLE_DELIVER, master->is_run ? 1 : conf->deliver_processes);
	master_add_children(master, ROLE_CONTROL, 1);
	if (master->places.drop_fd >= 0)
		master_add_children(master, ROLE_PICKUP, 1);
}

static void
master_start_all(struct master *master)
{
	CHECK(master_count_running(master, false) == 0);
	master->state = MASTER_RUNNING;
	master->is_ready = false;
	master->started_ms = machine_mono_ms();
	master_make_children(master);
	for (size_t i = 0; i < master->child_count; i++)
		(void)master_start_child(&master->children[i]);
	for (size_t i = 0; i < master->child_count; i++)
		for (size_t j = 0; j < i; j++)
			if (master_kinds_are_linked(master->children[i].kind,
				master->children[j].kind, false))
				master_child_link(
				    &master->children[i], &master->children[j]);
	for (size_t i = 0; i < master->child_count; i++)
		master_child_tell(&master->children[i], CHANNEL_START);
}

static void
master_log_ended(const struct master_child *child, int status)
{
	enum log_level level =
	    child->master->state == MASTER_RUNNING ? LOG_ERROR : LOG_NOTE;

	if (WIFSIGNALED(status))
		log_event(level, "child-ended", "",
		    "role=%s instance=%u pid=%d signal=%d",
		    privilege_role_name(child->kind), child->instance,
		    (int)child->pid, WTERMSIG(status));
	else
		log_event(level, "child-ended", "",
		    "role=%s instance=%u pid=%d status=%d",
		    privilege_role_name(child->kind), child->instance,
		    (int)child->pid, WEXITSTATUS(status));
}

/* What follows from a child's end while all should run. */
static void
master_react(struct master *master, struct master_child *child, int status)
{
	if (!master->was_ready || master->is_run) {
		master->is_ending = true;
		master->exit_status = WIFEXITED(status) && WEXITSTATUS(status)
		                          ? WEXITSTATUS(status)
		                          : EX_SOFTWARE;
	}
	if (master->is_ending || child->kind == ROLE_QUEUE) {
		master->state = MASTER_KILLING;
		master_kill_all(master);
		return;
	}
	master_set_timer(&child->timer,
	    master_back_off(child->started_ms, &child->backoff_ms));
}

static void
master_take_end(struct master *master, pid_t pid, int status)
{
	for (size_t i = 0; i < master->child_count; i++) {
		struct master_child *child = &master->children[i];

		if (child->pid != pid)
			continue;
		master_log_ended(child, status);
		event_del(&child->channel_event);
		close(child->channel);
		child->channel = -1;
		child->pid = 0;
		child->is_ready = false;
		if (master->state == MASTER_RUNNING)
			master_react(master, child, status);
		return;
	}
}

static int
master_read_next(struct master *master, struct buf *errors)
{
	int error;

	master->next_text_fd =
	    conf_text_open(master->file_name, master->changes);
	if (master->next_text_fd < 0)
		return master->next_text_fd;
	error = conf_text_read(master->next_text_fd, master->file_name, errors,
	    &master->next_conf);
	if (error < 0)
		return error;
	/* Directories can be given to roles' users only at start. */
	if (!str_equal(master->conf->spool, master->next_conf->spool) ||
	    !str_equal(
		master->conf->user_queue, master->next_conf->user_queue)) {
		error = buf_printf(errors,
		    "%s: spool and user-queue change only at a restart\n",
		    master->file_name);
		return error < 0 ? error : -EINVAL;
	}
	if (!str_equal(master->conf->drop_directory,
		master->next_conf->drop_directory) ||
	    !str_equal(
		master->conf->user_pickup, master->next_conf->user_pickup)) {
		error = buf_printf(errors,
		    "%s: drop-directory and user-pickup change only at a "
		    "restart\n",
		    master->file_name);
		return error < 0 ? error : -EINVAL;
	}
	return places_open(
	    master->next_conf, &master->places, &master->next_places);
}

/* One line for each mistake, or for ERROR if there are none to be told. */
static void
master_log_mistakes(struct str lines, int error)
{
	if (lines.size == 0)
		log_event(LOG_ERROR, "reload-refused", "", "error=%s",
		    strerror(-error));
	while (lines.size > 0) {
		struct str line = str_head(lines, str_find(lines, '\n'));

		lines = str_skip(lines, line.size + 1);
		log_event(LOG_ERROR, "reload-refused", "", "error=%.*s",
		    STR_ARG(line));
	}
}

static void
master_reload(struct master *master)
{
	struct buf errors;
	int error;

	if (master->state != MASTER_RUNNING || master->is_run)
		return;
	buf_init(&errors, 65536);
	error = master_read_next(master, &errors);
	if (error == 0) {
		master_stop(master, "reload", false);
	} else {
		master_log_mistakes(buf_str(&errors), error);
		if (master->next_conf != NULL)
			conf_free(master->next_conf);
		if (master->next_text_fd >= 0)
			close(master->next_text_fd);
		master->next_conf = NULL;
		master->next_text_fd = -1;
	}
	buf_fini(&errors);
}

static void
master_on_signal(evutil_socket_t number, short what, void *arg)
{
	struct master *master = arg;
	int status;
	pid_t pid;

	switch (number) {
	case SIGTERM:
		master_stop(master, "SIGTERM", true);
		break;
	case SIGINT:
		master_stop(master, "SIGINT", true);
		break;
	case SIGHUP:
		master_reload(master);
		break;
	case SIGCHLD:
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			master_take_end(master, pid, status);
		break;
	}
	master_advance(master);
}

/* As many descriptors as the system lets us have; children inherit it. */
static void
master_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
master_init(struct master *master)
{
	static const int signals[MASTER_SIGNALS] = {
	    SIGTERM, SIGINT, SIGHUP, SIGCHLD};

	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	master->base = event_base_new();
	CHECK(master->base != NULL);
	for (size_t i = 0; i < MASTER_SIGNALS; i++) {
		CHECK(evsignal_assign(&master->signals[i], master->base,
			  signals[i], master_on_signal, master) == 0);
		CHECK(event_add(&master->signals[i], NULL) == 0);
	}
	CHECK(evtimer_assign(
		  &master->timer, master->base, master_on_timer, master) == 0);
}

static void
master_fini(struct master *master)
{
	for (size_t i = 0; i < MASTER_SIGNALS; i++)
		event_del(&master->signals[i]);
	for (size_t i = 0; i < master->child_count; i++)
		event_del(&master->children[i].timer);
	event_del(&master->timer);
	event_base_free(master->base);
	free(master->children);
	if (master->next_conf != NULL) {
		places_close(&master->next_places, NULL);
		conf_free(master->next_conf);
		close(master->next_text_fd);
	}
	places_close(&master->places, NULL);
	conf_free(master->conf);
	close(master->text_fd);
}

/* Process id and command line, each in a line, for those who end us or start us
   again. */
static void
master_write_pid(const char *path, const char *command)
{
	FILE *file = fopen(path, "we");

	if (file == NULL ||
	    fprintf(file, "%d\n%s\n", (int)getpid(), command) < 0)
		log_event(LOG_WARN, "pid-file-failed", "", "path=%s error=%s",
		    path, strerror(errno));
	if (file != NULL)
		fclose(file);
}

int
master_run(const struct master_options *options)
{
	struct conf *conf = options->conf;
	struct master master = {.file_name = options->file_name,
	    .changes = options->changes,
	    .is_run = options->run_fd >= 0,
	    .conf = conf,
	    .text_fd = options->text_fd,
	    .next_text_fd = -1,
	    .places = {.control_fd = -1,
		.submission_fd = -1,
		.spool_fd = -1,
		.drop_fd = -1}};
	char *pid_file = NULL;
	int error;

	/* The name outlives the configuration that it comes from. */
	if (conf->pid_file.size > 0 && !master.is_run)
		pid_file =
		    mem_copy_text(conf->pid_file.data, conf->pid_file.size);
	log_target_set(conf);
	log_event(LOG_NOTE, "started", "", "pid=%d", (int)getpid());
	alias_files_log(conf);
	master_raise_limits();
	master_init(&master);
	error = master.is_run
	            ? places_open_run(conf, options->run_fd, &master.places)
	            : places_open(conf, NULL, &master.places);
	if (error < 0) {
		master.exit_status = EX_CANTCREAT;
	} else {
		error = privilege_keep_master(
		    store_place_is_anybodys(conf, master.places.spool_fd));
		if (error < 0) {
			log_event(LOG_ERROR, "confine-failed", "",
			    "role=master error=%s", strerror(-error));
			master.exit_status = EX_OSERR;
		}
	}
	if (error == 0) {
		master_start_all(&master);
		if (pid_file != NULL)
			master_write_pid(pid_file, options->command);
		event_base_dispatch(master.base);
	}
	if (error == 0 && pid_file != NULL)
		(void)unlink(pid_file);
	free(pid_file);
	master_fini(&master);
	log_event(LOG_NOTE, "stopped", "", "status=%d", master.exit_status);
	return master.exit_status;
}
