/*
 * The dialogue for people, in sendmail's words.  Promise: it changes nothing of
 * what the machine does; what does not fit the buffer is left out as a whole
 * line.
 */
#include "smtp/client_own.h"
#include "smtp/names.h"

#include <stdio.h>
#include <string.h>

static struct buf *
trace_out(const struct smtp_client *c)
{
	return c->options.trace != NULL ? c->options.trace->out : NULL;
}

/* One line of three parts, all of it or nothing. */
static void
trace_put(struct smtp_client *c, struct str first, struct str second,
    struct str third)
{
	struct buf *out = trace_out(c);

	if (out == NULL ||
	    buf_room(out) < first.size + second.size + third.size + 1)
		return;
	(void)!buf_append(out, first);
	(void)!buf_append(out, second);
	(void)!buf_append(out, third);
	(void)!buf_append(out, STR("\n"));
}

void
smtp_trace_sent(struct smtp_client *c, size_t size)
{
	struct str rest = str_skip(buf_str(&c->output), size);

	while (trace_out(c) != NULL && rest.size > 0) {
		struct str line = str_head(rest, str_find(rest, '\r'));

		trace_put(c, STR(">>> "), line, STR(""));
		rest = str_skip(rest, line.size + 2);
	}
}

void
smtp_trace_reply(struct smtp_client *c)
{
	char code[8];
	struct str line, next;
	size_t at = 0;
	bool has_next;

	if (trace_out(c) == NULL || !smtp_answer_line(&c->answer, &at, &line))
		return;
	do {
		has_next = smtp_answer_line(&c->answer, &at, &next);
		snprintf(code, sizeof(code), "%03d%c", c->answer.code,
		    has_next ? '-' : ' ');
		trace_put(c, str_from(code), line, STR(""));
		line = next;
	} while (has_next);
}

/* The recipients from FIRST to END that are open, with commas between. */
static void
trace_names(const struct smtp_client *c, size_t first, size_t end,
    struct smtp_names *names)
{
	const struct client_job *j = &c->job;

	for (size_t i = first; i < end; i++)
		if (j->fates[i].state != CLIENT_SETTLED)
			smtp_names_add(names, j->recipients[i].address);
}

/* "250 2.0.0 Ok: stored 1" to "Ok: stored 1"; the middle only where the far end
   says that it is a code. */
static struct str
trace_text(const struct smtp_client *c, const char *answer)
{
	struct str text = str_skip(str_from(answer), 4);
	size_t size = str_find(text, ' ');

	if (c->has_enhanced && size < text.size && ascii_is_digit(text.data[0]))
		text = str_skip(text, size + 1);
	return text;
}

void
smtp_trace_verdict(struct smtp_client *c, size_t first, size_t end,
    enum smtp_verdict verdict, const struct client_said *said)
{
	char text[SMTP_ANSWER_MAX + 40];
	struct smtp_names names = {.size = 0};

	if (trace_out(c) == NULL)
		return;
	trace_names(c, first, end, &names);
	switch (verdict) {
	case SMTP_ACCEPTED:
		snprintf(text, sizeof(text), "Sent (%.*s)",
		    STR_ARG(trace_text(c, said->answer)));
		break;
	case SMTP_TEMPORARY:
	case SMTP_UNTRIED:
		snprintf(text, sizeof(text), "Deferred: %s", said->answer);
		break;
	case SMTP_PERMANENT:
		snprintf(text, sizeof(text), "Service unavailable");
		break;
	}
	if (names.size > 0)
		trace_put(
		    c, smtp_names_str(&names), STR("... "), str_from(text));
}

void
smtp_trace_refused(
    struct smtp_client *c, size_t index, const struct client_said *said)
{
	bool is_whole = index == c->job.count;
	bool is_unknown =
	    !is_whole &&
	    (said->code == 550 || said->code == 551 || said->code == 553);
	struct smtp_names names = {.size = 0};

	if (trace_out(c) == NULL)
		return;
	trace_names(c, is_whole ? 0 : index,
	    is_whole ? c->job.count : index + 1, &names);
	if (names.size > 0 && is_unknown)
		trace_put(c, smtp_names_str(&names), STR("... "),
		    STR("User unknown"));
	else if (names.size > 0)
		trace_put(c, STR("Service unavailable"), STR(""), STR(""));
}

void
smtp_trace_cached(struct smtp_client *c)
{
	char text[400];
	struct smtp_names names = {.size = 0};

	if (trace_out(c) == NULL)
		return;
	trace_names(c, 0, c->job.count, &names);
	snprintf(text, sizeof(text),
	    "... Using cached %s connection to %s via %s...",
	    c->is_esmtp ? "ESMTP" : "SMTP", c->options.trace->host,
	    c->options.trace->mailer);
	trace_put(c, smtp_names_str(&names), str_from(text), STR(""));
}

void
smtp_trace_closing(struct smtp_client *c)
{
	if (trace_out(c) != NULL)
		trace_put(c, STR("Closing connection to "),
		    str_from(c->options.trace->host), STR(""));
}
