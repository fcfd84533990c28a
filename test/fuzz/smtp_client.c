/* What a far end says to our client: it comes to an end, and every job is
   reported. */
#include "fuzz/fuzz.h"
#include "smtp/client.h"

#define JOBS_MAX 3
#define CONTENT  STR("Subject: x\r\n\r\n.\r\nbody\r\n")

static const struct smtp_client_options client_options = {
    .hostname = STR("me.test"),
    .greeting_timeout_ms = 300000,
    .data_timeout_ms = 120000,
    .block_timeout_ms = 180000,
    .dot_timeout_ms = 600000,
};
static const struct mail_recipient recipients[] = {
    {.address = STR("b@y.test"), .orcpt = STR("rfc822;b@y.test")},
    {.address = STR("c@y.test"), .notify = MAIL_NOTIFY_NEVER},
    {.address = STR("d@y.test")},
};
#define RECIPIENTS (sizeof(recipients) / sizeof(recipients[0]))

struct far {
	struct smtp_client *c;
	struct mail_envelope envelope;
	unsigned jobs, reports;
	uint64_t now_ms;
};

static void
job_or_quit(struct far *f)
{
	if (f->jobs == JOBS_MAX) {
		smtp_client_quit(f->c, f->now_ms);
		return;
	}
	f->jobs++;
	smtp_client_job(f->c, &f->envelope, recipients, RECIPIENTS,
	    CONTENT.size, f->now_ms);
}

static void
report(struct far *f)
{
	struct smtp_client_result result;

	f->reports++;
	for (size_t i = 0; i < RECIPIENTS; i++) {
		smtp_client_result(f->c, i, &result);
		CHECK(
		    result.verdict != SMTP_ACCEPTED || result.code / 100 == 2);
		for (const char *at = result.answer; *at != '\0'; at++)
			CHECK(*at >= ' ' && *at <= '~');
	}
	smtp_client_reported(f->c);
}

/* Does all that it wants; true at its end. */
static bool
serve(struct far *f)
{
	for (;;) {
		struct buf *out = smtp_client_output(f->c);

		smtp_client_check(f->c);
		if (buf_size(out) > 0) {
			buf_consume(out, buf_size(out));
			smtp_client_progress(f->c, f->now_ms);
		}
		switch (smtp_client_next(f->c)) {
		case SMTP_WANT_NOTHING:
			return false;
		case SMTP_WANT_CLOSE:
			return true;
		case SMTP_WANT_JOB:
			if (f->jobs > JOBS_MAX)
				return true;
			job_or_quit(f);
			break;
		case SMTP_WANT_CONTENT:
			smtp_client_content(f->c, CONTENT, true, f->now_ms);
			break;
		case SMTP_WANT_REPORT:
			report(f);
			break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct far f = {.envelope = {.sender = STR("a@x.test")}};
	struct smtp_client_options options = client_options;
	uint8_t choice[2];
	bool is_over;

	fuzz_choose(&data, &size, choice, sizeof(choice));
	options.is_helo = choice[0] & 1;
	f.envelope.body = choice[0] & 2 ? MAIL_BODY_8BITMIME : MAIL_BODY_7BIT;
	f.envelope.is_smtputf8 = choice[0] & 4;
	f.c = smtp_client_new(&options, f.now_ms);
	is_over = serve(&f);
	while (size > 0 && !is_over) {
		size_t piece = 1 + choice[1] < size ? 1 + choice[1] : size;

		f.now_ms++;
		smtp_client_feed(f.c, fuzz_rest(data, piece), f.now_ms);
		data += piece;
		size -= piece;
		is_over = serve(&f);
	}
	if (!is_over && choice[0] & 8)
		smtp_client_lost(f.c, "reset");
	/* What it waits for never comes. */
	for (int i = 0; i < 10 && !is_over; i++) {
		is_over = serve(&f);
		if (is_over || smtp_client_deadline(f.c) == UINT64_MAX)
			break;
		f.now_ms = smtp_client_deadline(f.c) + 1;
		smtp_client_timer(f.c, f.now_ms);
	}
	CHECK(is_over);
	CHECK(f.jobs == f.reports);
	smtp_client_free(f.c);
	return 0;
}
