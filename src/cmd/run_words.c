/* Settings out of options.  What a setting cannot hold is cut to its limit, for
   sendmail knows none. */
#include "cmd/run_words.h"

#include <stdio.h>

#define RUN_TIMEOUT_MS UINT64_C(86400000)  /* the longest that settings take */
#define RUN_AGE_MS     UINT64_C(604800000) /* likewise */
#define RUN_LOAD_MAX   UINT64_C(100000)    /* likewise */
#define RUN_NAME_MAX   32                  /* bytes; likewise */

void
run_word_number(struct sendqd_words *words, const char *name, uint64_t value)
{
	char text[80];

	snprintf(
	    text, sizeof(text), "%s = %llu", name, (unsigned long long)value);
	sendqd_word(words, "-o");
	sendqd_word(words, text);
}

void
run_word_time(struct sendqd_words *words, const char *name, uint64_t ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%llus",
	    (unsigned long long)(ms < 1000 ? 1 : ms / 1000));
	sendqd_word_set(words, name, str_from(text));
}

static uint64_t
word_cut(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

void
run_words_times(
    struct sendqd_words *words, const struct sendmail_options *options)
{
	static const char *const timeouts[] = {
	    "greeting-timeout", "data-timeout", "block-timeout", "dot-timeout"};

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
		if (options->timeout_ms > 0)
			run_word_time(words, timeouts[i],
			    word_cut(options->timeout_ms, RUN_TIMEOUT_MS));
	if (options->queue_return_ms > 0)
		run_word_time(words, "expire", options->queue_return_ms);
	if (options->queue_warn_ms > 0)
		run_word_time(words, "delay-notice", options->queue_warn_ms);
}

void
run_words_limits(
    struct sendqd_words *words, const struct sendmail_options *options)
{
	/* QueueLA 0 is every load; the setting has 0 for none. */
	if (options->has_queue_load)
		run_word_number(words, "queue-load",
		    options->queue_load > 0
			? word_cut(options->queue_load, RUN_LOAD_MAX)
			: 1);
	/* RefuseLA 0 is none there, too. */
	if (options->has_refuse_load)
		run_word_number(words, "refuse-load",
		    word_cut(options->refuse_load, RUN_LOAD_MAX));
	if (options->min_queue_age_ms > 0)
		run_word_time(words, "queue-age",
		    word_cut(options->min_queue_age_ms, RUN_AGE_MS));
}

void
run_words_name(
    struct sendqd_words *words, const struct sendmail_options *options)
{
	struct str label = str_head(options->syslog_label, RUN_NAME_MAX);
	char name[RUN_NAME_MAX];

	/* The setting has letters, digits and some signs. */
	for (size_t i = 0; i < label.size; i++) {
		char c = label.data[i];

		name[i] = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' ||
		                  c == '_' || c == '.'
		              ? c
		              : '_';
	}
	if (label.size > 0)
		sendqd_word_set(words, "log-name", str_of(name, label.size));
}
