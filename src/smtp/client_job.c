/*
 * One message: the envelope's commands, the replies to them, and what became
 * of each recipient.
 *
 * Invariants: answered <= sent; replies are matched to commands by count
 * alone (RFC 2920 3.1); a recipient that is settled stays so.
 */
#include "base/check.h"
#include "base/mem.h"
#include "smtp/client_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum client_command {
	COMMAND_RSET,
	COMMAND_MAIL,
	COMMAND_RCPT,
	COMMAND_DATA,
};

#define JOB_FIRST_RCPT 2 /* number of the first RCPT */

static enum client_command
job_command(const struct client_job *j, size_t number)
{
	if (number < JOB_FIRST_RCPT)
		return number == 0 ? COMMAND_RSET : COMMAND_MAIL;
	return number - JOB_FIRST_RCPT < j->count ? COMMAND_RCPT : COMMAND_DATA;
}

bool
smtp_job_is_fresh(const struct smtp_client *c)
{
	return c->job.answered < JOB_FIRST_RCPT;
}

const char *
smtp_job_awaited(const struct smtp_client *c)
{
	static const char *const names[] = {
	    [COMMAND_RSET] = "RSET",
	    [COMMAND_MAIL] = "MAIL",
	    [COMMAND_RCPT] = "RCPT",
	    [COMMAND_DATA] = "DATA",
	};

	return names[job_command(&c->job, c->job.answered)];
}

void
smtp_job_settle(struct smtp_client *c, enum smtp_verdict verdict,
    const struct client_said *said)
{
	struct client_job *j = &c->job;
	bool is_first = true;

	for (size_t i = 0; j->fates != NULL && i < j->count; i++) {
		if (j->fates[i].state == CLIENT_SETTLED)
			continue;
		if (is_first)
			j->said = *said;
		is_first = false;
		j->fates[i].state = CLIENT_SETTLED;
		j->fates[i].verdict = verdict;
	}
}

void
smtp_job_clear(struct smtp_client *c)
{
	for (size_t i = 0; c->job.fates != NULL && i < c->job.count; i++)
		free(c->job.fates[i].said);
	free(c->job.fates);
	c->job = (struct client_job){0};
}

/* The reply just read is the word on all that have no verdict. */
static void
job_judge(struct smtp_client *c)
{
	struct client_said said;
	int code = c->answer.code;
	enum smtp_verdict verdict = SMTP_ACCEPTED;

	if (code >= 400)
		verdict = code < 500 ? SMTP_TEMPORARY : SMTP_PERMANENT;
	smtp_client_quote(c, (char)('0' + code / 100), &said);
	if (verdict == SMTP_PERMANENT)
		smtp_trace_refused(c, c->job.count, &said);
	else
		smtp_trace_verdict(c, 0, c->job.count, verdict, &said);
	smtp_job_settle(c, verdict, &said);
}

void
smtp_job_over(struct smtp_client *c)
{
	c->state = c->options.trace != NULL && c->is_reset_due ? CLIENT_RESET
	                                                       : CLIENT_REPORT;
}

/* The job fails on our side before a command is sent. */
static void
job_refuse(struct smtp_client *c, const char *status, const char *text)
{
	struct client_said said = {0};

	snprintf(said.status, sizeof(said.status), "%s", status);
	snprintf(said.answer, sizeof(said.answer), "%s", text);
	smtp_trace_verdict(c, 0, c->job.count, SMTP_PERMANENT, &said);
	smtp_job_settle(c, SMTP_PERMANENT, &said);
	c->state = CLIENT_REPORT;
}

void
smtp_client_job(struct smtp_client *c, const struct mail_envelope *envelope,
    const struct mail_recipient *recipients, size_t count,
    uint64_t content_size, uint64_t now_ms)
{
	char text[120];
	bool has_reset =
	    c->is_reset_due || (c->options.trace != NULL && c->has_done_job);

	CHECK(c->magic == CLIENT_MAGIC && c->state == CLIENT_IDLE);
	CHECK(count > 0 && c->job.fates == NULL);
	c->job = (struct client_job){
	    .envelope = envelope,
	    .recipients = recipients,
	    .count = count,
	    .fates = mem_new(count, sizeof(*c->job.fates)),
	    .content_size = content_size,
	    .is_line_start = true,
	    .sent = has_reset ? 0 : 1,
	    .answered = has_reset ? 0 : 1,
	};
	if (!smtp_job_is_fit(envelope, recipients, count)) {
		job_refuse(c, "5.5.4", "the envelope cannot be sent");
		return;
	}
	if (envelope->is_smtputf8 && !c->has_smtputf8) { /* RFC 6531 3.5 */
		job_refuse(c, "5.6.7", "the host does not offer SMTPUTF8");
		return;
	}
	if (c->size_max > 0 && content_size > c->size_max) {
		/* RFC 1870 6.1: not even tried. */
		snprintf(text, sizeof(text),
		    "the message has %llu bytes, the host takes %llu",
		    (unsigned long long)content_size,
		    (unsigned long long)c->size_max);
		job_refuse(c, "5.3.4", text);
		return;
	}
	c->state = CLIENT_ENVELOPE;
	smtp_job_pump(c);
	smtp_client_arm(c, now_ms);
}

static void
job_send(struct smtp_client *c)
{
	struct client_job *j = &c->job;
	size_t size = buf_size(&c->output);

	switch (job_command(j, j->sent)) {
	case COMMAND_RSET:
		smtp_client_put(c, STR("RSET\r\n"));
		c->is_reset_due = false;
		break;
	case COMMAND_MAIL:
		if (c->has_done_job)
			smtp_trace_cached(c);
		smtp_job_put_mail(c);
		/* A transaction is open until it is known not to be. */
		c->is_reset_due = true;
		break;
	case COMMAND_RCPT:
		smtp_job_put_rcpt(c, &j->recipients[j->sent - JOB_FIRST_RCPT]);
		break;
	case COMMAND_DATA:
		smtp_client_put(c, STR("DATA\r\n"));
		break;
	}
	smtp_trace_sent(c, size);
	j->sent++;
	c->awaited_count++;
}

/* Whether the next command waits for the replies that are awaited. */
static bool
job_is_waiting(const struct smtp_client *c)
{
	const struct client_job *j = &c->job;

	return !c->has_pipelining || j->is_mail_refused ||
	       buf_size(&c->output) >= CLIENT_GROUP_MAX ||
	       (c->options.trace != NULL && j->answered < JOB_FIRST_RCPT);
}

void
smtp_job_pump(struct smtp_client *c)
{
	struct client_job *j = &c->job;

	if (c->state == CLIENT_DOT && j->is_dot_due) {
		smtp_client_put(c, STR(".\r\n"));
		j->is_dot_due = false;
		c->awaited_count++;
	}
	while (c->state == CLIENT_ENVELOPE &&
	       j->sent < j->count + JOB_FIRST_RCPT + 1) {
		bool is_data = job_command(j, j->sent) == COMMAND_DATA;

		if (c->awaited_count > 0) {
			if (job_is_waiting(c))
				return;
		} else if (smtp_answer_is_partial(&c->answer)) {
			/* Something comes unasked: see first what it is. */
			return;
		} else if (j->is_mail_refused ||
			   (is_data && j->accepted_count == 0)) {
			smtp_job_over(c);
			break;
		}
		job_send(c);
	}
	if (c->state == CLIENT_RESET && c->awaited_count == 0) {
		smtp_client_put(c, STR("RSET\r\n"));
		smtp_trace_sent(c, buf_size(&c->output) - STR("RSET\r\n").size);
		c->is_reset_due = false;
		c->awaited_count++;
	}
}

/* RFC 5321 4.5.3.1.10: too many recipients, so that the rest is to go in a
   transaction of its own; an enhanced code that says something else (RFC 3463
   3.6) is about the recipient or the host. */
static bool
job_is_too_many(const struct smtp_client *c)
{
	char status[12];

	smtp_answer_status(&c->answer, '4', status);
	return c->job.accepted_count > 0 &&
	       (strcmp(status, "4.5.3") == 0 || strcmp(status, "4.0.0") == 0);
}

/* A refusal of one recipient. */
static void
job_refuse_recipient(struct smtp_client *c, struct client_fate *fate)
{
	size_t index = (size_t)(fate - c->job.fates);
	int code = c->answer.code;

	fate->verdict = code >= 500 ? SMTP_PERMANENT : SMTP_TEMPORARY;
	/* 552 is an old 452. */
	if (code == 452 || code == 552)
		fate->verdict =
		    job_is_too_many(c) ? SMTP_UNTRIED : SMTP_TEMPORARY;
	fate->said = mem_new(1, sizeof(*fate->said));
	smtp_client_quote(
	    c, fate->verdict == SMTP_PERMANENT ? '5' : '4', fate->said);
	if (fate->verdict == SMTP_PERMANENT)
		smtp_trace_refused(c, index, fate->said);
	else
		smtp_trace_verdict(
		    c, index, index + 1, fate->verdict, fate->said);
	fate->state = CLIENT_SETTLED;
}

/* The reply to DATA. */
static void
job_take_data(struct smtp_client *c)
{
	struct client_job *j = &c->job;
	int code = c->answer.code;

	if (code < 300) {
		smtp_client_fail_protocol(c, "no 354 to DATA");
	} else if (code < 400) {
		/* RFC 2920 3.1: with no recipient a lone dot ends it. */
		j->is_dot_due = j->accepted_count == 0;
		c->state = j->is_dot_due ? CLIENT_DOT : CLIENT_CONTENT;
	} else {
		job_judge(c);
		smtp_job_over(c);
	}
}

static void
job_take_envelope(struct smtp_client *c)
{
	struct client_job *j = &c->job;
	enum client_command command = job_command(j, j->answered);
	struct client_fate *fate;
	int code = c->answer.code;

	j->answered++;
	if (command == COMMAND_DATA) {
		job_take_data(c);
		return;
	}
	if (code >= 300 && code < 400) {
		smtp_client_fail_protocol(c, "3xx to a command");
		return;
	}
	switch (command) {
	case COMMAND_RSET:
		if (code >= 400)
			smtp_client_fail_protocol(c, "RSET was refused");
		break;
	case COMMAND_MAIL:
		if (code >= 400) {
			j->is_mail_refused = true;
			job_judge(c);
		}
		break;
	case COMMAND_RCPT:
		fate = &j->fates[j->answered - 1 - JOB_FIRST_RCPT];
		if (j->is_mail_refused)
			break; /* MAIL's reply is the one that counts */
		if (code >= 400) {
			job_refuse_recipient(c, fate);
		} else {
			fate->state = CLIENT_TAKEN;
			j->accepted_count++;
		}
		break;
	case COMMAND_DATA:
		break;
	}
}

void
smtp_job_take(struct smtp_client *c)
{
	struct client_said said = {0};
	int code = c->answer.code;

	if (c->state == CLIENT_ENVELOPE) {
		job_take_envelope(c);
	} else if (c->state == CLIENT_RESET) {
		c->state = CLIENT_REPORT;
		if (code >= 300)
			smtp_client_fail_protocol(c, "RSET was refused");
	} else if (code >= 300 && code < 400) {
		smtp_client_fail_protocol(c, "3xx to the content");
	} else if (c->state == CLIENT_DOT) {
		job_judge(c);
		/* The transaction is over, whatever was said (RFC 5321
		   4.1.1.4). */
		c->is_reset_due = false;
		c->state = CLIENT_REPORT;
	} else if (code < 300) {
		smtp_client_fail_protocol(c, "2xx before the final dot");
	} else {
		/* Some say so before the dot that the content is not wanted;
		   where the content ends is then not known to both. */
		job_judge(c);
		smtp_client_quote(c, '4', &said);
		smtp_client_fail(c, SMTP_TEMPORARY, &said, false);
	}
}

void
smtp_client_result(const struct smtp_client *c, size_t index,
    struct smtp_client_result *result_out)
{
	const struct client_fate *fate;
	const struct client_said *said;

	CHECK(c->magic == CLIENT_MAGIC && c->job.fates != NULL);
	CHECK(c->state == CLIENT_REPORT || c->state == CLIENT_OVER);
	CHECK(index < c->job.count);
	fate = &c->job.fates[index];
	said = fate->said ? fate->said : &c->job.said;
	CHECK(fate->state == CLIENT_SETTLED);
	*result_out = (struct smtp_client_result){
	    .verdict = fate->verdict,
	    .code = said->code,
	};
	memcpy(result_out->status, said->status, sizeof(said->status));
	memcpy(result_out->answer, said->answer, sizeof(said->answer));
}

void
smtp_client_reported(struct smtp_client *c)
{
	CHECK(c->magic == CLIENT_MAGIC && c->job.fates != NULL);
	CHECK(c->state == CLIENT_REPORT || c->state == CLIENT_OVER);
	smtp_job_clear(c);
	c->has_done_job = true;
	if (c->state == CLIENT_REPORT)
		c->state = CLIENT_IDLE;
}

void
smtp_job_check(const struct smtp_client *c)
{
	const struct client_job *j = &c->job;
	size_t settled = 0, taken = 0;

	CHECK(j->answered <= j->sent && j->accepted_count <= j->count);
	CHECK(j->content_given <= j->content_size);
	CHECK(j->fates == NULL || j->count > 0);
	for (size_t i = 0; j->fates != NULL && i < j->count; i++) {
		settled += j->fates[i].state == CLIENT_SETTLED;
		taken += j->fates[i].state == CLIENT_TAKEN;
	}
	CHECK(taken <= j->accepted_count);
	if (c->state == CLIENT_ENVELOPE)
		CHECK(c->awaited_count == j->sent - j->answered);
	if (c->state == CLIENT_CONTENT)
		CHECK(taken > 0 && c->awaited_count == 0);
	if (c->state == CLIENT_REPORT || c->state == CLIENT_OVER)
		CHECK(j->fates == NULL || settled == j->count);
}
