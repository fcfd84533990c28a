/* Dates of mail fields (RFC 5322 3.3), always in UTC.  The locale has no say:
   names of days and months are ours. */
#include "base/check.h"
#include "mail/dsn.h"

#include <stdio.h>
#include <time.h>

/* The last second of the year 9999. */
#define DATE_SECONDS_MAX UINT64_C(253402300799)

void
mail_date_format(uint64_t wall_ms, char text[40])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t seconds = wall_ms / 1000;
	time_t when;
	struct tm tm;
	int size;

	when =
	    (time_t)(seconds < DATE_SECONDS_MAX ? seconds : DATE_SECONDS_MAX);
	CHECK(gmtime_r(&when, &tm) != NULL);
	size = snprintf(text, 40, "%.3s, %d %.3s %04d %02d:%02d:%02d +0000",
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	CHECK(size > 0 && size < 40);
}
