/*
 * Exit statuses.  A status that sendmail calls temporary is, and so is every
 * end by a signal: whether the work was done is not known.
 */
#include "role/program.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define PROGRAM_LINES_MAX 3

static const struct {
	int status;
	const char *answer;
} program_ends[] = {
    {EX_OK, "250 2.0.0 taken by the program"},
    {EX_USAGE, "500 5.0.0 Bad usage"},
    {EX_DATAERR, "501 5.6.0 Data format error"},
    {EX_NOINPUT, "550 5.3.0 Cannot open input"},
    {EX_NOUSER, "550 5.1.1 User unknown"},
    {EX_NOHOST, "550 5.1.2 Host unknown"},
    {EX_UNAVAILABLE, "554 5.0.0 Service unavailable"},
    {EX_SOFTWARE, "554 5.3.0 Internal error"},
    {EX_OSERR, "451 4.0.0 Operating system error"},
    {EX_OSFILE, "554 5.3.5 System file missing"},
    {EX_CANTCREAT, "550 5.0.0 Can't create output"},
    {EX_IOERR, "451 4.0.0 I/O error"},
    {EX_TEMPFAIL, "451 4.0.0 Deferred"},
    {EX_PROTOCOL, "554 5.5.0 Remote protocol error"},
    {EX_NOPERM, "550 5.0.0 Insufficient permission"},
    {EX_CONFIG, "554 5.3.5 Local configuration error"},
};

/* Appends the first lines of OUTPUT as one line of printable ASCII. */
static void
program_add_output(struct str output, char *text, size_t room)
{
	size_t size = strlen(text), lines = 0;

	output = str_head(output, PROGRAM_OUTPUT_MAX);
	while (output.size > 0 && lines < PROGRAM_LINES_MAX) {
		struct str line = str_head(output, str_find(output, '\n'));
		struct str shown = line;

		output = str_skip(output, line.size + 1);
		if (shown.size > 0 && shown.data[shown.size - 1] == '\r')
			shown.size--;
		shown = str_trim(shown);
		if (shown.size == 0)
			continue;
		for (size_t i = 0; i < 2 && size < room; i++)
			text[size++] = (lines > 0 ? "; " : ": ")[i];
		for (size_t i = 0; i < shown.size && size < room; i++)
			text[size++] =
			    shown.data[i] >= ' ' && shown.data[i] <= '~'
				? shown.data[i]
				: '?';
		lines++;
	}
	text[size] = '\0';
}

enum smtp_verdict
program_answer(int status, int signal_number, struct str output,
    char text[SMTP_ANSWER_MAX + 1])
{
	const char *answer = NULL;

	for (size_t i = 0; i < sizeof(program_ends) / sizeof(program_ends[0]);
	     i++)
		if (program_ends[i].status == status)
			answer = program_ends[i].answer;
	if (signal_number != 0)
		snprintf(text, SMTP_ANSWER_MAX + 1,
		    "451 4.3.0 the program was killed by signal %d",
		    signal_number);
	else if (answer != NULL)
		snprintf(text, SMTP_ANSWER_MAX + 1, "%s", answer);
	else
		snprintf(text, SMTP_ANSWER_MAX + 1,
		    "554 5.3.0 unknown mailer error %d", status);
	if (*text == '2')
		return SMTP_ACCEPTED;
	program_add_output(output, text, SMTP_ANSWER_MAX);
	return *text == '4' ? SMTP_TEMPORARY : SMTP_PERMANENT;
}
