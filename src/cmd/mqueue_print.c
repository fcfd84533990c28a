/* The columns of mailq. */
#include "cmd/mqueue_print.h"
#include "base/check.h"
#include "cmd/mqueue_select.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define HEAD                                                                   \
	"-----Q-ID----- --Size-- -----Q-Time----- "                            \
	"------------Sender/Recipient-----------\n"
#define HEAD_VERBOSE                                                           \
	"-----Q-ID----- --Size-- -Priority- ---Q-Time--- "                     \
	"--------Sender/Recipient--------\n"

/* How wide texts may be, in a plain and in a verbose listing. */
enum {
	SENDER = 39,
	SENDER_VERBOSE = 78,
	RECIPIENT = 38,
	RECIPIENT_VERBOSE = 71,
	REASON = 60, /* and status */
	REASON_VERBOSE = 100,
	ANSWER = 25, /* of a host */
	ANSWER_VERBOSE = 78,
	USER = 64,
	BODY = 10,
};

#define DAY         86400
#define CLOCK_SIZE  26 /* of ctime_r() */
#define CLOCK_YEAR  4  /* "Sat " stands before the month */
#define CLOCK_WIDTH 16 /* "Sat Nov 21 21:13" */

void
mqueue_print_head(FILE *out, const char *title, size_t count, size_t count_max,
    bool is_verbose)
{
	fprintf(
	    out, "\t\t%s (%zu request%s", title, count, count == 1 ? "" : "s");
	if (count_max > 0 && count > count_max)
		fprintf(out, ", only %zu printed", count_max);
	fprintf(out, ")\n%s", is_verbose ? HEAD_VERBOSE : HEAD);
}

void
mqueue_print_id(FILE *out, struct str id, char mark)
{
	fprintf(out, "%13.*s", STR_ARG(id));
	if (mark != 0)
		putc(mark, out);
}

static bool
is_printable(char c)
{
	return c >= ' ' && c < 0x7f;
}

/* An address; the column is counted in the way of sendmail. */
static void
print_address(FILE *out, struct str text, int width)
{
	for (size_t i = 0; i < text.size && width > 0; i++) {
		char c = text.data[i];

		width--;
		if (c == '\\' && width-- > 0) {
			putc(c, out);
			putc(c, out);
		} else if (c != '\\' && is_printable(c)) {
			putc(c, out);
		} else if (c != '\\' && (width -= 3) > 0) {
			fprintf(out, "\\%03o", (unsigned)(unsigned char)c);
		}
	}
}

/* True for U+0080 to U+009F in UTF-8, which terminals obey too. */
static bool
is_control_pair(struct str text, size_t at)
{
	return at + 1 < text.size && (unsigned char)text.data[at] == 0xc2 &&
	       (unsigned char)text.data[at + 1] < 0xa0;
}

/* What a far end has said, or a person: letters of any character set are left
   as they are, but nothing that a terminal would obey. */
static void
print_words(FILE *out, struct str text, size_t width)
{
	text = str_head(text, width);
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (is_control_pair(text, i))
			fprintf(out, "\\302\\%03o",
			    (unsigned)(unsigned char)text.data[++i]);
		else if (is_printable((char)c) || c >= 0x80)
			putc(c, out);
		else
			fprintf(out, "\\%03o", (unsigned)c);
	}
}

/* The time as ctime() has it, or 24 blanks for one beyond its years. */
static void
clock_text(int64_t seconds, char text[CLOCK_SIZE])
{
	time_t when = (time_t)seconds;

	if (ctime_r(&when, text) == NULL) {
		memset(text, ' ', CLOCK_SIZE - 1);
		text[CLOCK_SIZE - 1] = '\0';
	}
}

void
mqueue_print_first(FILE *out, const struct mqueue_first *first, bool is_verbose)
{
	char when[CLOCK_SIZE];

	clock_text(first->created_s, when);
	if (is_verbose)
		fprintf(out, "%8" PRId64 " %10" PRId64 "%c%.12s ", first->size,
		    first->priority, first->is_warned ? '+' : ' ',
		    when + CLOCK_YEAR);
	else
		fprintf(
		    out, "%8" PRId64 " %.*s ", first->size, CLOCK_WIDTH, when);
	print_address(out, first->sender, is_verbose ? SENDER_VERBOSE : SENDER);
	if (first->reason.size > 0) {
		fputs("\n     QUARANTINE: ", out);
		print_words(
		    out, first->reason, is_verbose ? REASON_VERBOSE : REASON);
	}
	if (first->status.size == 0 && first->body.size == 0)
		return;
	fprintf(out, "\n    %*s",
	    first->body.size < BODY ? BODY - (int)first->body.size : 0, "");
	print_words(out, first->body, BODY);
	if (first->status.size > 0) {
		fputs("   (", out);
		print_words(
		    out, first->status, is_verbose ? REASON_VERBOSE : REASON);
		putc(')', out);
	}
}

void
mqueue_print_user(FILE *out, struct str user, bool is_verbose)
{
	if (!is_verbose)
		return;
	fputs("\n\t\t\t\t\t\t(---", out);
	print_words(out, user, USER);
	fputs("---)", out);
}

void
mqueue_print_recipient(
    FILE *out, struct str address, struct str status, bool is_verbose)
{
	fputs(is_verbose ? "\n\t\t\t\t\t\t" : "\n\t\t\t\t\t ", out);
	print_address(out, address, is_verbose ? RECIPIENT_VERBOSE : RECIPIENT);
	if (is_verbose && status.size > 0) {
		fputs("\n\t\t (", out);
		print_words(out, status, REASON_VERBOSE);
		putc(')', out);
	}
}

/* A control file, as far as it has been printed. */
struct entry {
	FILE *out;
	bool is_verbose;
	int version;
	struct mqueue_first first;
};

static void
entry_recipient(struct entry *e, struct str text)
{
	struct str address = mqueue_recipient(text, e->version);

	if (address.data == NULL)
		return;
	mqueue_print_recipient(e->out, address, e->first.status, e->is_verbose);
	if (e->is_verbose)
		e->first.status.size = 0;
}

static void
entry_line(struct entry *e, char letter, struct str text)
{
	switch (letter) {
	case 'V':
		e->version = mqueue_number(text) > 0 ? 1 : 0;
		break;
	case 'T':
		e->first.created_s = mqueue_number(text);
		break;
	case 'F':
		if (str_find(text, 'w') < text.size)
			e->first.is_warned = true;
		break;
	case 'B':
		e->first.body = text;
		break;
	case 'q':
		e->first.reason = text;
		break;
	case 'M':
		e->first.status = text;
		break;
	case 'S':
		e->first.sender = text;
		mqueue_print_first(e->out, &e->first, e->is_verbose);
		e->first.reason.size = 0;
		e->first.status.size = 0;
		break;
	case 'C':
		mqueue_print_user(e->out, text, e->is_verbose);
		break;
	case 'R':
		entry_recipient(e, text);
		break;
	}
}

void
mqueue_print_entry(
    FILE *out, struct str text, int64_t size, int64_t priority, bool is_verbose)
{
	struct entry e = {.out = out, .is_verbose = is_verbose};
	struct str line;
	size_t at = 0;

	e.first.size = size;
	e.first.priority = priority;
	while (mqueue_line_next(text, &at, &line))
		if (line.size > 0)
			entry_line(&e, line.data[0], str_skip(line, 1));
	if (e.first.created_s == 0)
		fputs(" (no control file)", out);
	putc('\n', out);
}

void
mqueue_print_total(FILE *out, size_t count)
{
	fprintf(out, "\t\tTotal requests: %zu\n", count);
}

void
mqueue_print_hosts_head(FILE *out)
{
	fputs(" -------------- Hostname --------------- How long ago "
	      "---------Results---------\n",
	    out);
}

void
mqueue_print_host(FILE *out, struct str host, int64_t when_s, int64_t now_s,
    struct str answer, bool is_verbose)
{
	int64_t age_s = now_s > when_s ? now_s - when_s : 0;
	char age[64] = "-";
	int size = 0;

	if (when_s > 0 && age_s >= DAY)
		size = snprintf(age, sizeof(age), "%" PRId64 "+", age_s / DAY);
	if (when_s > 0)
		snprintf(age + size, sizeof(age) - (size_t)size,
		    "%02d:%02d:%02d", (int)(age_s % DAY / 3600),
		    (int)(age_s % 3600 / 60), (int)(age_s % 60));
	fprintf(out, " %-39.*s %12s ", STR_ARG(host), age);
	print_words(out, answer, is_verbose ? ANSWER_VERBOSE : ANSWER);
	putc('\n', out);
}
