/*
 * The asking side of ETRN and QSND.
 *
 *   GREETING -> EHLO -> ASKING -> QUIT -> OVER
 *       |         \-> HELO -/
 *       \-- (method qsnd) --/
 *
 * One domain at a time: RFC 2920 3.1 has extension verbs as the last of a
 * group only, and a first refusal may make the others pointless.
 *
 * Invariants: a reply is taken only while one is awaited; commands are sent
 * only when the input has run dry; in OVER no result is pending.
 */
#include "trigger/ask.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define ASK_MAGIC      0x41736b21u
#define ASK_OUTPUT_MAX 4096

enum ask_state {
	ASK_GREETING,
	ASK_EHLO,
	ASK_HELO,
	ASK_ASKING,
	ASK_QUIT,
	ASK_OVER,
};

struct trigger_ask {
	unsigned magic;
	enum ask_state state;
	struct trigger_ask_options options;
	const struct str *domains;
	struct trigger_ask_result *results;
	size_t count;
	size_t at; /* the domain that is asked for */
	struct smtp_answer answer;
	struct buf output;
	uint64_t deadline_ms;
	bool is_awaiting; /* a reply is to come */
	bool is_etrn;     /* else QSND */
};

static void
ask_settle(struct trigger_ask *a, size_t index,
    enum trigger_ask_outcome outcome, int code, const char *text)
{
	struct trigger_ask_result *result = &a->results[index];

	CHECK(outcome != TRIGGER_ASK_PENDING);
	if (result->outcome != TRIGGER_ASK_PENDING)
		return;
	result->outcome = outcome;
	result->code = code;
	snprintf(result->text, sizeof(result->text), "%s", text);
}

static void
ask_settle_all(struct trigger_ask *a, enum trigger_ask_outcome outcome,
    int code, const char *text)
{
	for (size_t i = 0; i < a->count; i++)
		ask_settle(a, i, outcome, code, text);
}

/* True if DOMAIN may stand in a command: one printable word. */
static bool
ask_is_fit(struct str domain)
{
	if (domain.size > 0 && (domain.data[0] == '@' || domain.data[0] == '#'))
		domain = str_skip(domain, 1);
	if (domain.size == 0 || domain.size > TRIGGER_ASK_DOMAIN_MAX - 1)
		return false;
	for (size_t i = 0; i < domain.size; i++)
		if (domain.data[i] <= 0x20 || domain.data[i] >= 0x7f)
			return false;
	return true;
}

static void
ask_arm(struct trigger_ask *a, uint64_t now_ms)
{
	uint64_t timeout_ms = a->state == ASK_GREETING
	                          ? a->options.greeting_timeout_ms
	                          : a->options.reply_timeout_ms;

	a->deadline_ms = a->state == ASK_OVER
	                     ? UINT64_MAX
	                     : num_add_capped(now_ms, timeout_ms);
}

struct trigger_ask *
trigger_ask_new(const struct trigger_ask_options *options,
    const struct str *domains, size_t count, uint64_t now_ms)
{
	struct trigger_ask *a = mem_new(1, sizeof(*a));

	CHECK(options->hostname.size > 0 && options->hostname.size <= 255);
	a->magic = ASK_MAGIC;
	a->options = *options;
	a->domains = domains;
	a->count = count;
	a->results = mem_new(count, sizeof(*a->results));
	a->is_etrn = options->method == TRIGGER_ASK_ETRN;
	a->is_awaiting = true;
	for (size_t i = 0; i < count; i++)
		if (!ask_is_fit(domains[i]))
			ask_settle(a, i, TRIGGER_ASK_USAGE, 0,
			    "not a domain that can be asked for");
	smtp_answer_init(&a->answer);
	buf_init(&a->output, ASK_OUTPUT_MAX);
	ask_arm(a, now_ms);
	return a;
}

void
trigger_ask_free(struct trigger_ask *a)
{
	if (a == NULL)
		return;
	CHECK(a->magic == ASK_MAGIC);
	smtp_answer_fini(&a->answer);
	buf_fini(&a->output);
	free(a->results);
	a->results = NULL;
	a->magic = 0;
	free(a);
}

/* Nothing more is sent or taken. */
static void
ask_end(struct trigger_ask *a)
{
	buf_clear(&a->output);
	a->state = ASK_OVER;
	a->is_awaiting = false;
	a->deadline_ms = UINT64_MAX;
}

static void
ask_fail_protocol(struct trigger_ask *a)
{
	char heard[SMTP_ANSWER_MAX + 1], text[SMTP_ANSWER_MAX + 1];

	smtp_answer_print(&a->answer, heard);
	snprintf(text, sizeof(text), "protocol error: %.400s", heard);
	ask_settle_all(a, TRIGGER_ASK_PROTOCOL, 0, text);
	ask_end(a);
}

/* What the reply to ETRN or QSND means (RFC 1985 5.1, 5.2). */
static enum trigger_ask_outcome
ask_outcome(int code)
{
	switch (code) {
	case 221:
		/* It closes, whatever it was asked (RFC 5321 4.2.2). */
		return TRIGGER_ASK_LATER;
	case 251:
		return TRIGGER_ASK_EMPTY;
	case 459:
	case 530:
	case 550:
		return TRIGGER_ASK_REFUSED;
	case 500:
	case 501:
		return TRIGGER_ASK_PROTOCOL;
	default:
		break;
	}
	/* Whatever else by its class (RFC 5321 4.2.1). */
	if (code < 300)
		return TRIGGER_ASK_STARTED;
	if (code < 400)
		return TRIGGER_ASK_PROTOCOL;
	return code < 500 ? TRIGGER_ASK_LATER : TRIGGER_ASK_UNAVAILABLE;
}

/* True if the reply says that the verb itself is not known: asking for other
   names is then pointless (RFC 1985 5.2 with erratum 4130).  500 also says that
   the argument is bad, so that its text has to tell. */
static bool
ask_is_verb_unknown(int code, const char *text)
{
	static const char *const words[] = {
	    "unknown", "recogni", "implement", "support", "invalid command"};

	if (code == 502)
		return true;
	if (code != 500)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(text, words[i]) != NULL)
			return true;
	return strcmp(text, "500") == 0;
}

/* The verdict on the domain that was asked for. */
static void
ask_take_verdict(struct trigger_ask *a, const char *text)
{
	int code = a->answer.code;

	ask_settle(a, a->at, ask_outcome(code), code, text);
	if (ask_is_verb_unknown(code, text))
		ask_settle_all(a, ask_outcome(code), code, text);
}

/* A refusal of the whole session. */
static void
ask_refused(struct trigger_ask *a, const char *text)
{
	int code = a->answer.code;

	ask_settle_all(a,
	    code < 500 ? TRIGGER_ASK_LATER : TRIGGER_ASK_UNAVAILABLE, code,
	    text);
	a->state = ASK_QUIT;
	if (code == 521) /* RFC 7504 3: it may close at once */
		ask_end(a);
}

static bool
ask_has_etrn(const struct trigger_ask *a)
{
	struct str line;
	size_t at = 0;

	/* The first line is the name of the host. */
	if (!smtp_answer_line(&a->answer, &at, &line))
		return false;
	while (smtp_answer_line(&a->answer, &at, &line)) {
		line = str_trim(line);
		line = str_head(line, str_find(line, ' '));
		if (str_case_equal(line, STR("ETRN")))
			return true;
	}
	return false;
}

/* A reply that was awaited. */
static void
ask_take(struct trigger_ask *a)
{
	char text[SMTP_ANSWER_MAX + 1];
	int code = a->answer.code;

	smtp_answer_print(&a->answer, text);
	if (a->state == ASK_QUIT) {
		/* RFC 1985 shows 250 to QUIT: whatever it is, it is over. */
		ask_end(a);
	} else if (a->state == ASK_ASKING) {
		ask_take_verdict(a, text);
	} else if (code >= 300 && code < 400) {
		ask_fail_protocol(a);
	} else if (a->state == ASK_EHLO && code >= 500) {
		a->state = ASK_HELO; /* RFC 5321 3.2 */
	} else if (code >= 400) {
		ask_refused(a, text);
	} else if (a->state == ASK_GREETING) {
		a->state = a->options.method == TRIGGER_ASK_QSND ? ASK_ASKING
		                                                 : ASK_EHLO;
	} else {
		if (a->options.method == TRIGGER_ASK_AUTO)
			a->is_etrn = a->state == ASK_EHLO && ask_has_etrn(a);
		a->state = ASK_ASKING;
	}
}

static void
ask_take_reply(struct trigger_ask *a)
{
	char text[SMTP_ANSWER_MAX + 1];

	if (a->answer.code == 421 && a->state != ASK_QUIT) {
		smtp_answer_print(&a->answer, text);
		ask_settle_all(a, TRIGGER_ASK_LATER, 421, text);
		ask_end(a);
	} else if (a->is_awaiting) {
		a->is_awaiting = false;
		ask_take(a);
	} else {
		ask_fail_protocol(a);
	}
}

static void
ask_send(struct trigger_ask *a, const char *verb, struct str argument)
{
	int error = buf_printf(&a->output, "%s%s%.*s\r\n", verb,
	    argument.size > 0 ? " " : "", STR_ARG(argument));

	CHECK(error == 0);
	a->is_awaiting = true;
}

/* Asks for the next domain, or says QUIT when there is none left. */
static void
ask_send_next(struct trigger_ask *a)
{
	for (a->at = 0; a->at < a->count; a->at++) {
		struct str domain = a->domains[a->at];

		if (a->results[a->at].outcome != TRIGGER_ASK_PENDING)
			continue;
		if (a->is_etrn ||
		    (domain.data[0] != '@' && domain.data[0] != '#')) {
			ask_send(a, a->is_etrn ? "ETRN" : "QSND", domain);
			return;
		}
		ask_settle(a, a->at,
		    a->options.method == TRIGGER_ASK_QSND
			? TRIGGER_ASK_USAGE
			: TRIGGER_ASK_UNAVAILABLE,
		    0, "QSND has no \"@\" and no \"#\"");
	}
	a->state = ASK_QUIT;
	ask_send(a, "QUIT", STR(""));
}

/* Sends what may be sent now that the input has run dry. */
static void
ask_pump(struct trigger_ask *a)
{
	/* Where something comes unasked, see first what it is. */
	if (a->is_awaiting || smtp_answer_is_partial(&a->answer))
		return;
	switch (a->state) {
	case ASK_EHLO:
		ask_send(a, "EHLO", a->options.hostname);
		break;
	case ASK_HELO:
		ask_send(a, "HELO", a->options.hostname);
		break;
	case ASK_ASKING:
		ask_send_next(a);
		break;
	case ASK_QUIT:
		ask_send(a, "QUIT", STR(""));
		break;
	case ASK_GREETING:
	case ASK_OVER:
		break;
	}
}

size_t
trigger_ask_feed(struct trigger_ask *a, struct str bytes, uint64_t now_ms)
{
	struct str rest = bytes;
	bool is_taken = false;

	CHECK(a->magic == ASK_MAGIC);
	while (rest.size > 0 && a->state != ASK_OVER) {
		switch (smtp_answer_read(&a->answer, &rest)) {
		case SMTP_ANSWER_MORE:
			break;
		case SMTP_ANSWER_WHOLE:
			ask_take_reply(a);
			is_taken = true;
			break;
		case SMTP_ANSWER_JUNK:
			ask_fail_protocol(a);
			break;
		}
	}
	if (is_taken) {
		ask_pump(a);
		ask_arm(a, now_ms);
	}
	return bytes.size - rest.size;
}

struct buf *
trigger_ask_output(struct trigger_ask *a)
{
	CHECK(a->magic == ASK_MAGIC);
	return &a->output;
}

enum trigger_ask_want
trigger_ask_next(const struct trigger_ask *a)
{
	CHECK(a->magic == ASK_MAGIC);
	return a->state == ASK_OVER ? TRIGGER_ASK_CLOSE : TRIGGER_ASK_NOTHING;
}

uint64_t
trigger_ask_deadline(const struct trigger_ask *a)
{
	CHECK(a->magic == ASK_MAGIC);
	return a->deadline_ms;
}

void
trigger_ask_lost(
    struct trigger_ask *a, enum trigger_ask_outcome outcome, const char *reason)
{
	CHECK(a->magic == ASK_MAGIC);
	if (a->state == ASK_OVER)
		return;
	ask_settle_all(a, outcome, 0, reason);
	ask_end(a);
}

void
trigger_ask_timer(struct trigger_ask *a, uint64_t now_ms)
{
	static const char *const names[] = {
	    [ASK_GREETING] = "no greeting in time",
	    [ASK_EHLO] = "no reply to EHLO in time",
	    [ASK_HELO] = "no reply to HELO in time",
	    [ASK_ASKING] = "no reply in time",
	    [ASK_QUIT] = "no reply to QUIT in time",
	};

	CHECK(a->magic == ASK_MAGIC);
	if (a->state != ASK_OVER && now_ms >= a->deadline_ms)
		trigger_ask_lost(a, TRIGGER_ASK_LATER, names[a->state]);
}

const struct trigger_ask_result *
trigger_ask_result(const struct trigger_ask *a, size_t index)
{
	CHECK(a->magic == ASK_MAGIC && index < a->count);
	return &a->results[index];
}

int
trigger_ask_exit(enum trigger_ask_outcome outcome)
{
	switch (outcome) {
	case TRIGGER_ASK_STARTED:
	case TRIGGER_ASK_EMPTY:
		return EX_OK;
	case TRIGGER_ASK_PENDING:
	case TRIGGER_ASK_LATER:
		return EX_TEMPFAIL;
	case TRIGGER_ASK_REFUSED:
		return EX_NOPERM;
	case TRIGGER_ASK_UNAVAILABLE:
		return EX_UNAVAILABLE;
	case TRIGGER_ASK_PROTOCOL:
		return EX_PROTOCOL;
	case TRIGGER_ASK_NO_HOST:
		return EX_NOHOST;
	case TRIGGER_ASK_USAGE:
		return EX_USAGE;
	}
	return EX_SOFTWARE;
}

int
trigger_ask_exit_all(const struct trigger_ask *a)
{
	static const int order[] = {EX_NOPERM, EX_PROTOCOL, EX_UNAVAILABLE,
	    EX_TEMPFAIL, EX_NOHOST, EX_USAGE};

	CHECK(a->magic == ASK_MAGIC);
	for (size_t n = 0; n < sizeof(order) / sizeof(order[0]); n++)
		for (size_t i = 0; i < a->count; i++)
			if (trigger_ask_exit(a->results[i].outcome) == order[n])
				return order[n];
	return EX_OK;
}

void
trigger_ask_check(const struct trigger_ask *a)
{
	CHECK(a->magic == ASK_MAGIC);
	CHECK(a->at <= a->count);
	CHECK(a->state != ASK_OVER || !a->is_awaiting);
	for (size_t i = 0; i < a->count; i++)
		CHECK(a->results[i].outcome != TRIGGER_ASK_PENDING ||
		      (a->state != ASK_OVER && a->state != ASK_QUIT));
	if (a->state == ASK_ASKING && a->is_awaiting)
		CHECK(a->results[a->at].outcome == TRIGGER_ASK_PENDING);
}
