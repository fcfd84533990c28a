/*
 * The text of a message for files and programs.
 *
 * Invariants: bytes cut anywhere give the same; in a file no line but the first
 * begins with "From ", and a CR that is not before an LF is kept.
 */
#include "role/mbox.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MBOX_FROM        "From "
#define MBOX_SECONDS_MAX UINT64_C(253402300799) /* the year 9999 */

/* "Sun Nov 22 05:45:00 2026", in UTC, in nobody's language. */
static void
mbox_date(uint64_t wall_ms, char text[40])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t seconds = wall_ms / 1000;
	time_t when;
	struct tm tm;
	int size;

	when =
	    (time_t)(seconds < MBOX_SECONDS_MAX ? seconds : MBOX_SECONDS_MAX);
	CHECK(gmtime_r(&when, &tm) != NULL);
	size = snprintf(text, 40, "%.3s %.3s %2d %02d:%02d:%02d %d",
	    days + (ptrdiff_t)3 * tm.tm_wday, months + (ptrdiff_t)3 * tm.tm_mon,
	    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
	CHECK(size > 0 && size < 40);
}

int
mbox_begin(struct mbox *m, bool is_file, struct str sender,
    uint64_t arrival_wall_ms, struct buf *out)
{
	char date[40];
	int error;

	*m = (struct mbox){.is_file = is_file};
	mbox_date(arrival_wall_ms, date);
	error = buf_printf(out, "From %.*s %s\n",
	    STR_ARG(sender.size > 0 ? sender : STR("MAILER-DAEMON")), date);
	/* RFC 5321 4.4: the final delivery says who sent it. */
	if (error == 0 && is_file)
		error =
		    buf_printf(out, "Return-Path: <%.*s>\n", STR_ARG(sender));
	return error;
}

/* The bytes that wait go out: what follows is not what was looked for. */
static int
mbox_flush(struct mbox *m, struct buf *out)
{
	struct str from = str_head(STR(MBOX_FROM), m->matching);

	m->matching = 0;
	if (from.size == 0)
		return 0;
	m->is_inside = true;
	return buf_append(out, from);
}

/* Looks at the front of a line; *TAKEN_OUT bytes are dealt with. */
static int
mbox_match(struct mbox *m, struct str bytes, size_t *taken_out, struct buf *out)
{
	struct str from = STR(MBOX_FROM);

	*taken_out = 0;
	while (*taken_out < bytes.size && m->matching < from.size) {
		if (bytes.data[*taken_out] != from.data[m->matching])
			return mbox_flush(m, out);
		m->matching++;
		++*taken_out;
	}
	if (m->matching < from.size)
		return 0;
	m->matching = 0;
	m->is_inside = true;
	return buf_append(out, STR(">" MBOX_FROM));
}

/* Adds text without CR. */
static int
mbox_text(struct mbox *m, struct str bytes, struct buf *out)
{
	size_t size;
	int error = 0;

	while (bytes.size > 0 && error == 0) {
		if (m->is_file && !m->is_inside) {
			error = mbox_match(m, bytes, &size, out);
			bytes = str_skip(bytes, size);
			if (m->matching > 0 || bytes.size == 0)
				break;
		}
		size = str_find(bytes, '\n');
		m->is_inside = size == bytes.size;
		size += m->is_inside ? 0 : 1;
		if (error == 0)
			error = buf_append(out, str_head(bytes, size));
		bytes = str_skip(bytes, size);
	}
	return error;
}

int
mbox_add(struct mbox *m, struct str bytes, struct buf *out)
{
	int error = 0;

	while (bytes.size > 0 && error == 0) {
		size_t n = str_find(bytes, '\r');

		if (m->is_cr && bytes.data[0] != '\n')
			error = mbox_text(m, STR("\r"), out);
		m->is_cr = n < bytes.size;
		if (error == 0)
			error = mbox_text(m, str_head(bytes, n), out);
		bytes = str_skip(bytes, m->is_cr ? n + 1 : n);
	}
	return error;
}

int
mbox_end(struct mbox *m, struct buf *out)
{
	int error = m->is_cr ? mbox_text(m, STR("\r"), out) : 0;

	m->is_cr = false;
	if (error == 0)
		error = mbox_flush(m, out);
	if (error == 0 && m->is_inside)
		error = buf_append(out, STR("\n"));
	m->is_inside = false;
	if (error == 0 && m->is_file)
		error = buf_append(out, STR("\n"));
	return error;
}
