/*
 * The content of a message on its way out: transparency (RFC 5321 4.5.2) over
 * any cuts, and nothing that another reader could take for an end of the
 * message: no bare LF, no dot behind a bare CR or a NUL, and no final dot
 * unless all of the content is there.  So every dot that begins a line for a
 * reader to whom a CR alone ends one, or who takes NULs out, is stuffed.
 */
#include "base/check.h"
#include "smtp/client_own.h"

#include <stdio.h>
#include <string.h>

/* Fails the job before the final dot; the connection cannot be used on. */
static void
content_fail(struct smtp_client *c, enum smtp_verdict verdict,
    const char *status, const char *text)
{
	struct client_said said = {0};

	snprintf(said.status, sizeof(said.status), "%s", status);
	snprintf(said.answer, sizeof(said.answer), "%s", text);
	smtp_client_fail(c, verdict, &said, false);
}

static bool
content_ends_in_cr(struct str s)
{
	return s.size > 0 && s.data[s.size - 1] == '\r';
}

/* True if a dot follows on a C in BYTES, in which AFTER_C tells of the byte
   before them. */
static bool
content_has_dot_after(struct str bytes, char c, bool is_after_c)
{
	if (is_after_c && bytes.size > 0 && bytes.data[0] == '.')
		return true;
	while (bytes.size > 0) {
		const char *at = memchr(bytes.data, c, bytes.size);

		if (at == NULL)
			return false;
		bytes = str_skip(bytes, (size_t)(at - bytes.data) + 1);
		if (bytes.size > 0 && bytes.data[0] == '.')
			return true;
	}
	return false;
}

/* One line, or what there is of it: HEAD, up to its LF or to the end of the
   bytes.  False where it has an LF without its CR. */
static bool
content_line_is_good(
    const struct client_job *j, struct str head, bool is_first, bool has_lf)
{
	return !has_lf || content_ends_in_cr(head) ||
	       (head.size == 0 && is_first && j->is_after_cr);
}

/* Stuffs BYTES into the output; false at a byte that must not go out.  Goes
   by lines: searching for a byte is many times faster than looking at each. */
static bool
content_stuff(struct smtp_client *c, struct str bytes)
{
	struct client_job *j = &c->job;
	size_t start = 0; /* of what is not yet in the output */

	if (bytes.size == 0)
		return true;
	if (content_has_dot_after(bytes, '\r', j->is_after_cr) ||
	    content_has_dot_after(bytes, '\0', j->is_after_nul))
		return false;
	for (size_t at = 0; at < bytes.size;) {
		struct str head = str_skip(bytes, at);
		const char *lf = memchr(head.data, '\n', head.size);

		if (lf != NULL)
			head.size = (size_t)(lf - head.data);
		if (!content_line_is_good(j, head, at == 0, lf != NULL))
			return false;
		if (at == 0 && j->is_after_cr)
			smtp_client_put(c, STR("\r"));
		if (j->is_line_start && head.size > 0 && head.data[0] == '.') {
			smtp_client_put(
			    c, str_of(bytes.data + start, at - start));
			smtp_client_put(c, STR("."));
			start = at;
		}
		/* A CR alone begins no line, its LF does. */
		j->is_line_start = lf != NULL;
		at += head.size + (lf != NULL);
	}
	j->is_after_cr = content_ends_in_cr(bytes);
	j->is_after_nul = bytes.data[bytes.size - 1] == '\0';
	/* A CR at the end waits for its LF. */
	smtp_client_put(
	    c, str_of(bytes.data + start, bytes.size - start - j->is_after_cr));
	return true;
}

size_t
smtp_client_content_room(const struct smtp_client *c)
{
	size_t size = buf_size(&c->output);

	CHECK(c->magic == CLIENT_MAGIC);
	if (c->state != CLIENT_CONTENT || size >= CLIENT_OUTPUT_HIGH)
		return 0;
	return CLIENT_OUTPUT_HIGH - size;
}

/* The final dot. */
static void
content_end(struct smtp_client *c)
{
	struct client_job *j = &c->job;
	size_t size;

	if (j->content_given != j->content_size) {
		content_fail(c, SMTP_UNTRIED, "4.3.0",
		    "the content is shorter than it should be");
		return;
	}
	/* A reply that has begun cannot be that to the dot. */
	if (smtp_answer_is_partial(&c->answer)) {
		smtp_client_fail_protocol(c, "a reply before the final dot");
		return;
	}
	/* With it a CR that was held back becomes a line end. */
	if (!j->is_line_start)
		smtp_client_put(c, STR("\r\n"));
	size = buf_size(&c->output);
	smtp_client_put(c, STR(".\r\n"));
	smtp_trace_sent(c, size);
	c->state = CLIENT_DOT;
	c->awaited_count = 1;
}

void
smtp_client_content(
    struct smtp_client *c, struct str bytes, bool is_last, uint64_t now_ms)
{
	bool was_empty = buf_size(&c->output) == 0;

	CHECK(c->magic == CLIENT_MAGIC);
	/* The connection may have broken since the content was asked for. */
	if (c->state != CLIENT_CONTENT)
		return;
	CHECK(bytes.size <= smtp_client_content_room(c));
	if (bytes.size > c->job.content_size - c->job.content_given) {
		content_fail(c, SMTP_UNTRIED, "4.3.0",
		    "the content is longer than it should be");
		return;
	}
	c->job.content_given += bytes.size;
	if (!content_stuff(c, bytes)) {
		content_fail(c, SMTP_PERMANENT, "5.6.0",
		    "the content has a bare LF or a dot behind a bare CR");
		return;
	}
	if (is_last)
		content_end(c);
	if (was_empty)
		smtp_client_arm(c, now_ms);
}

void
smtp_client_abandon(struct smtp_client *c, const char *reason)
{
	CHECK(c->magic == CLIENT_MAGIC);
	if (c->state == CLIENT_ENVELOPE || c->state == CLIENT_CONTENT)
		content_fail(c, SMTP_UNTRIED, "4.3.0", reason);
}

void
smtp_client_progress(struct smtp_client *c, uint64_t now_ms)
{
	CHECK(c->magic == CLIENT_MAGIC);
	if (c->state == CLIENT_ENVELOPE)
		smtp_job_pump(c);
	else if (c->state == CLIENT_CONTENT || c->state == CLIENT_DOT)
		smtp_client_arm(c, now_ms);
}
