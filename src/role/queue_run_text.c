/*
 * What a verbose run says, in sendmail's words.  Promise: only printable bytes
 * and line ends of ours, and bytes of far ends as they come in frames.
 */
#include "role/queue_run.h"
#include "base/check.h"
#include "mail/trouble.h"
#include "smtp/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void
run_say(struct queue *q, struct str text)
{
	struct message m = {.type = MESSAGE_RUN_TEXT};

	if (q->run == NULL || !q->run->is_verbose)
		return;
	m.u.run_text.request = q->run->request;
	m.u.run_text.text = text;
	queue_send(q, q->run->peer, &m);
}

/* Where the queue is, as people know it. */
static struct str
text_directory(const struct queue *q)
{
	struct str spool = q->conf->spool;
	size_t colon = str_find(spool, ':'), last;

	/* "ram:" is a name itself. */
	if (colon + 1 >= spool.size || spool.data[0] == '/')
		return spool;
	/* The pattern of several directories is none of their names. */
	spool = str_skip(spool, colon + 1);
	last = spool.size;
	while (last > 1 && spool.data[last - 1] != '/')
		last--;
	if (str_find(str_skip(spool, last), '*') < spool.size - last)
		spool.size = last - 1;
	return spool;
}

void
run_say_message(struct queue *q, struct run_message *message)
{
	const char *directory =
	    message->directory != NULL ? message->directory : "";
	const struct run_stray *stray;
	char text[2000];

	if (message->is_told || !q->run->is_verbose)
		return;
	message->is_told = true;
	snprintf(text, sizeof(text),
	    "\nRunning %.*s/%s%s%s (sequence %zu of %zu)\n",
	    STR_ARG(text_directory(q)), directory,
	    directory[0] != '\0' ? "/" : "", message->id, message->number,
	    q->run->planned_count);
	run_say(q, str_from(text));
	LL_FOREACH(message->strays, stray)
	run_say(q, str_from(stray->line));
}

void
run_say_strays(struct queue *q, size_t end)
{
	struct queue_run *run = q->run;

	for (;
	     run->told_count < run->planned_count && run->told_count + 1 < end;
	     run->told_count++)
		if (run->messages[run->told_count]->entries == NULL)
			run_say_message(q, run->messages[run->told_count]);
}

void
run_say_locked(struct queue *q, const struct run_message *message)
{
	char text[STORE_ID_MAX + 20];

	snprintf(text, sizeof(text), "%s: locked\n", message->id);
	run_say(q, str_from(text));
}

static int
compare_addresses(const void *a, const void *b)
{
	const struct store_lease_row *const *x = a, *const *y = b;

	return str_compare((*x)->recipient.address, (*y)->recipient.address);
}

/* As sendmail has it: in a run the last goes first, but those of a message that
   was tried before by their addresses. */
void
run_rows(const struct queue_lease *lease,
    const struct store_lease_row *rows[STORE_LEASE_ROWS_MAX])
{
	const struct store_lease *l = lease->lease;

	CHECK(l->row_count > 0 && l->row_count <= STORE_LEASE_ROWS_MAX);
	for (size_t i = 0; i < l->row_count; i++) {
		size_t from = lease->run != NULL ? l->row_count - 1 - i : i;

		rows[i] = &l->rows[from];
	}
	if (lease->run != NULL && l->rows[0].attempts > 0)
		qsort(rows, l->row_count, sizeof(*rows), compare_addresses);
}

void
run_names(const struct queue_lease *lease, char *text)
{
	const struct store_lease_row *rows[STORE_LEASE_ROWS_MAX];
	struct smtp_names names = {.size = 0};

	run_rows(lease, rows);
	for (size_t i = 0; i < lease->lease->row_count; i++)
		smtp_names_add(&names, rows[i]->recipient.address);
	snprintf(text, MESSAGE_NAMES_MAX + 1, "%.*s",
	    STR_ARG(smtp_names_str(&names)));
}

void
run_say_rows(struct queue *q, const struct queue_lease *lease, const char *text)
{
	char names[MESSAGE_NAMES_MAX + 1];
	char line[MESSAGE_NAMES_MAX + STORE_STATUS_MAX + 40];

	if (!q->run->is_verbose)
		return;
	run_names(lease, names);
	snprintf(line, sizeof(line), "%s... %s\n", names, text);
	run_say(q, str_from(line));
}

void
run_say_result(struct queue *q, const struct queue_lease *lease,
    const struct message_job_result *result)
{
	static const char *const words[] = {
	    [SMTP_ACCEPTED] = "Sent",
	    [SMTP_TEMPORARY] = "Deferred: ",
	    [SMTP_PERMANENT] = "Service unavailable",
	    [SMTP_UNTRIED] = "Deferred: ",
	};
	bool has_answer = result->verdict == SMTP_TEMPORARY ||
	                  result->verdict == SMTP_UNTRIED;
	char line[MAIL_ADDRESS_MAX + STORE_STATUS_MAX + 40];

	for (size_t i = 0; i < lease->lease->row_count; i++) {
		const struct store_lease_row *row = &lease->lease->rows[i];

		if (row->index != result->index)
			continue;
		snprintf(line, sizeof(line), "%.*s... %s%.*s\n",
		    STR_ARG(row->recipient.address), words[result->verdict],
		    has_answer ? (int)result->answer.size : 0,
		    result->answer.data != NULL ? result->answer.data : "");
		run_say(q, str_from(line));
	}
}

void
run_trouble(struct str answer, char text[STORE_STATUS_MAX + 1])
{
	mail_trouble_put(answer, text, STORE_STATUS_MAX + 1);
}

void
queue_run_trace(struct queue *q, const struct message *m)
{
	const struct queue_session *session =
	    queue_session_find(q, m->u.trace.session);

	if (session != NULL && session->run != NULL)
		run_say(q, m->u.trace.text);
}

/* "4 hours", "1 week, 2 days", as sendmail writes times. */
static void
text_duration(uint64_t ms, char *text, size_t size)
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = {
	    {604800, "week"},
	    {86400, "day"},
	    {3600, "hour"},
	    {60, "minute"},
	    {1, "second"},
	};
	uint64_t left = ms / 1000;
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		unsigned long long count = left / units[i].seconds;

		left %= units[i].seconds;
		if (count > 0)
			at += (size_t)snprintf(text + at, size - at,
			    "%s%llu %s%s", at > 0 ? ", " : "", count,
			    units[i].name, count == 1 ? "" : "s");
		CHECK(at < size);
	}
}

void
queue_run_late(
    struct queue *q, const struct queue_lease *lease, const struct route *route)
{
	bool is_late = false, is_over = false;
	char duration[120], line[200];

	for (size_t i = 0; i < lease->result_count; i++) {
		is_late |= lease->results[i].outcome == STORE_DEFERRED &&
		           lease->notes[i].is_wanted;
		is_over |= lease->results[i].outcome == STORE_FAILED &&
		           strcmp(lease->notes[i].status, "4.4.7") == 0;
	}
	text_duration(is_over
			  ? route->expire_ms
			  : queue_notice_time(route, &lease->lease->envelope),
	    duration, sizeof(duration));
	snprintf(line, sizeof(line),
	    is_over ? "Cannot send message for %s\n"
		    : "Warning: could not send message for past %s\n",
	    duration);
	if (is_late || is_over)
		run_say(q, str_from(line));
}
