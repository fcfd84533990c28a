/*
 * Queue runs from the command line: a daemon that has the queue is asked, else
 * one is started for the run (run_alone.c).
 */
#include "cmd/sendmail_run.h"
#include "base/buf.h"
#include "base/check.h"
#include "cmd/mqueue_dirs.h"
#include "cmd/mqueue_select.h"
#include "cmd/run_alone.h"
#include "cmd/run_ask.h"
#include "cmd/run_daemon.h"
#include "cmd/run_damage.h"
#include "cmd/run_every.h"
#include "cmd/run_place.h"
#include "cmd/run_words.h"
#include "cmd/sendmail_debug.h"
#include "cmd/sendqd_start.h"
#include "cmd/trusted.h"
#include "cmd/view.h"
#include "conf/conf.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* A run of this priority, one recipient and nothing else, waits for a lower
   load: then all do, as in sendmail. */
#define RUN_LIGHTEST 30000

/* The queue group that was asked for; empty for all. */
static struct str
run_group(const struct sendmail_options *options)
{
	struct str group = options->queue_group;

	return str_case_equal(group, MQUEUE_GROUP_ALL) ? STR("") : group;
}

/* Terms as the control protocol has them: "!Stext". */
static json_t *
run_terms(const struct store_select *select)
{
	static const char letters[] = {[STORE_SELECT_ID] = 'I',
	    [STORE_SELECT_SENDER] = 'S',
	    [STORE_SELECT_RECIPIENT] = 'R',
	    [STORE_SELECT_REASON] = 'Q'};
	json_t *terms = json_array();

	for (size_t i = 0; i < select->count; i++) {
		const struct store_select_term *term = &select->terms[i];
		char text[STORE_SELECT_TEXT_MAX + 3];

		snprintf(text, sizeof(text), "%s%c%.*s",
		    term->is_not ? "!" : "", letters[term->field],
		    STR_ARG(term->text));
		CHECK(json_array_append_new(terms, json_string(text)) == 0);
	}
	return terms;
}

static const char *
run_order(const struct sendmail_options *options)
{
	switch (mqueue_order_read(options->sort_order)) {
	case MQUEUE_BY_PRIORITY:
		break;
	case MQUEUE_BY_HOST:
		return "host";
	case MQUEUE_BY_TIME:
	case MQUEUE_BY_CHANGE:
		return "time";
	case MQUEUE_BY_NAME:
		return "name";
	case MQUEUE_UNSORTED:
		return "any";
	}
	return "priority";
}

static void
run_put(json_t *request, const char *key, json_t *value)
{
	CHECK(json_object_set_new(request, key, value) == 0);
}

/* The request; RANK_MAX 0: any priority. */
static json_t *
run_request(const struct sendmail_options *options, uint64_t rank_max)
{
	json_t *request = json_object();

	CHECK(request != NULL);
	run_put(request, "do", json_string("run"));
	run_put(request, "verbose", json_boolean(options->is_verbose));
	run_put(request, "order", json_string(run_order(options)));
	run_put(request, "select", run_terms(&options->select));
	if (options->queue == SENDMAIL_QUEUE_QUARANTINED)
		run_put(request, "stopped", json_true());
	/* What is meant goes, whatever its age; in sendmail too. */
	if (options->min_queue_age_ms >= 1000 && options->select.count == 0 &&
	    options->queue != SENDMAIL_QUEUE_QUARANTINED)
		run_put(request, "age",
		    json_integer(
			(json_int_t)(options->min_queue_age_ms / 1000)));
	if (rank_max > 0)
		run_put(request, "rank", json_integer((json_int_t)rank_max));
	return request;
}

/* The exit status of what was answered; END becomes its own. */
static int
run_status(json_t *end)
{
	const char *error = json_string_value(json_object_get(end, "error"));
	int status = (int)json_integer_value(json_object_get(end, "status"));

	if (end == NULL)
		error = "the daemon ended in the middle of the run";
	if (error != NULL)
		fprintf(stderr, "sendmail: %s\n", error);
	if (error != NULL)
		status = EX_TEMPFAIL;
	json_decref(end);
	return status;
}

/* The command line of the one-shot daemon. */
static void
run_words(struct sendqd_words *words, const struct sendmail_options *options,
    const struct conf *conf, const char *file, struct str spool)
{
	sendqd_word(words, "sendqd");
	sendqd_word(words, "--run");
	sendqd_word(words, "-c");
	sendqd_word(words, file);
	if (run_group(options).size > 0)
		sendqd_word_set(words, "queue-group", run_group(options));
	if (options->queue == SENDMAIL_QUEUE_LOST) {
		sendqd_word(words, "-o");
		sendqd_word(words, "queue-lost = true");
	}
	/* What waits to be taken in belongs to the queue of every day. */
	if (spool.size > 0) {
		sendqd_word_set(words, "spool", spool);
		sendqd_word_set(words, "drop-directory", STR(""));
	}
	/* It is silent but for trouble; what is damaged was told. */
	if (sendmail_debug_level(options->debug, SENDMAIL_DEBUG_CONNECT) > 0) {
		sendqd_word_set(words, "log", STR("stderr"));
		sendqd_word_set(words, "log-level", STR("detail"));
	} else if (str_equal(conf->log, STR("stderr")))
		sendqd_word_set(words, "log-level", STR("error"));
	run_words_times(words, options);
	run_words_name(words, options);
}

/* Whether the load lets the run begin, and which priorities. */
static bool
run_may(const struct sendmail_options *options, const struct conf *conf,
    uint64_t *rank_max_out)
{
	uint64_t load_max =
	    options->has_queue_load ? options->queue_load : conf->queue_load;
	bool is_limited = options->has_queue_load || conf->queue_load > 0;
	double load;

	*rank_max_out = 0;
	if (!is_limited || getloadavg(&load, 1) != 1 ||
	    (uint64_t)(load + 0.5) < load_max)
		return true;
	*rank_max_out =
	    options->queue_factor / ((uint64_t)(load + 0.5) - load_max + 1);
	return *rank_max_out >= RUN_LIGHTEST;
}

/* Whether the part of the queue that was asked for exists at PLACE; else it was
   said. */
static bool
run_has_queue(
    const struct sendmail_options *options, const struct run_place *place)
{
	struct str group = run_group(options);
	struct mqueue_dirs dirs;
	bool is_there = group.size == 0;

	if (place->is_own && options->queue == SENDMAIL_QUEUE_LOST) {
		printf("%s: nothing is lost\n", place->path);
		return false;
	}
	if (!is_there && !place->is_own) {
		/* What cannot be read is told of when it is opened. */
		is_there =
		    mqueue_dirs_find(&dirs, str_from(place->path), group) < 0 ||
		    dirs.count > 0;
		mqueue_dirs_fini(&dirs);
	}
	if (!is_there)
		printf("Queue group %.*s unknown\n", STR_ARG(group));
	return is_there;
}

/* The exit status of a run that has a STATUS of its own, or none. */
static int
run_worst(int status, int damage)
{
	return status != EX_OK ? status : damage;
}

static int
run_once(const struct sendmail_options *options, const struct conf *conf,
    const char *file)
{
	struct str group = run_group(options);
	struct run_place place;
	struct sendqd_words *words;
	uint64_t rank_max;
	json_t *request;
	struct run_damage *damage = NULL;
	int fd = -ENOENT, status;
	bool is_asked;

	if (!run_place_find(options, conf, &place))
		return EX_CONFIG;
	if (!run_may(options, conf, &rank_max)) {
		if (options->is_verbose)
			printf("Skipping queue run -- load average too high\n"
			       "\n");
		return EX_OK;
	}
	/* A daemon says itself who may ask it. */
	if (!place.is_configured && !trusted_is(place.path))
		return trusted_refuse_place(place.path);
	if (!run_has_queue(options, &place))
		return EX_OK;
	if (!place.is_own)
		damage = run_damage_begin(options, str_from(place.path));
	request = run_request(options, rank_max);
	/* The daemon has the whole queue in hand, and nothing that is lost. */
	is_asked = place.is_configured &&
	           options->queue != SENDMAIL_QUEUE_LOST && group.size == 0;
	if (is_asked)
		fd = run_ask_connect(conf->control_socket);
	if (fd >= 0) {
		status = run_status(run_ask_request(fd, request));
		close(fd);
		return run_worst(status, run_damage_end(damage));
	}
	if (fd == -EACCES || (fd < 0 && !trusted_is(place.path))) {
		json_decref(request);
		return run_worst(
		    trusted_refuse_place(place.path), run_damage_end(damage));
	}
	if (fd != -ENOENT && fd != -ECONNREFUSED) {
		fprintf(stderr, "sendmail: %.*s: %s\n",
		    STR_ARG(conf->control_socket), strerror(-fd));
		json_decref(request);
		return run_worst(EX_NOPERM, run_damage_end(damage));
	}
	words = calloc(1, sizeof(*words));
	CHECK(words != NULL);
	run_words(words, options, conf, file,
	    is_asked ? STR("") : str_from(place.spool));
	status = run_alone(words, request, conf, &place);
	free(words);
	if (!place.is_configured)
		run_place_clear(&place);
	return run_worst(status, run_damage_end(damage));
}

/* What a runner does again and again. */
struct run_repeat {
	const struct sendmail_options *options;
	const char *file;
};

/* With the configuration as it is by then. */
static void
run_repeat(void *arg)
{
	const struct run_repeat *repeat = arg;
	struct conf *conf = view_conf("sendmail", repeat->file);

	if (conf != NULL)
		(void)run_once(repeat->options, conf, repeat->file);
	conf_free(conf);
}

/* A runner of its own for what the runs of a daemon do not know. */
static int
run_repeatedly(const struct sendmail_options *options, const struct conf *conf,
    const char *file)
{
	struct run_repeat repeat = {.options = options, .file = file};
	unsigned long long s = options->run_interval_ms / 1000;
	struct run_place place;
	char title[1100];

	if (!run_place_find(options, conf, &place))
		return EX_CONFIG;
	snprintf(title, sizeof(title),
	    "sendmail: Queue runner@%02llu:%02llu:%02llu for %.1000s", s / 3600,
	    s / 60 % 60, s % 60, place.path);
	return run_every(title, s > 0 ? s * 1000 : 1000, run_repeat, &repeat);
}

/* True if every run is to be for a part of the queue only. */
static bool
run_is_partial(const struct sendmail_options *options)
{
	return options->select.count > 0 || run_group(options).size > 0 ||
	       options->queue != SENDMAIL_QUEUE_NORMAL;
}

/* The daemon, or a runner, or both. */
static int
run_in_background(const struct sendmail_options *options,
    const struct conf *conf, const char *file)
{
	struct sendmail_options daemon = *options;
	int status;

	if (!run_is_partial(options))
		return run_daemon(options, conf, file);
	if (options->mode == SENDMAIL_RUN)
		return run_repeatedly(options, conf, file);
	if (options->mode == SENDMAIL_FOREGROUND ||
	    options->run_interval_ms == 0) {
		fprintf(stderr,
		    "sendmail: -qI, -qS, -qR, -qQ, -qL and -qG are for one run,"
		    " or for -qTIME, also with -bd\n");
		return EX_UNAVAILABLE;
	}
	daemon.run_interval_ms = 0;
	daemon.is_run_persistent = false;
	status = run_daemon(&daemon, conf, file);
	if (status == EX_OK)
		status = run_repeatedly(options, conf, file);
	return status;
}

int
sendmail_run(const struct sendmail_options *options)
{
	const char *file =
	    conf_file_name(options->config_file, getenv(CONF_FILE_ENV));
	struct conf *conf = view_conf("sendmail", file);
	int status;

	if (conf == NULL)
		return EX_CONFIG;
	if (options->mode == SENDMAIL_RUN && options->run_interval_ms == 0 &&
	    !options->is_run_persistent) {
		status = run_once(options, conf, file);
	} else if (!trusted_is_of(conf)) {
		if (options->mode == SENDMAIL_DAEMON)
			fputs("550 ", stderr);
		status = trusted_refuse_user();
	} else {
		status = run_in_background(options, conf, file);
	}
	conf_free(conf);
	return status;
}
