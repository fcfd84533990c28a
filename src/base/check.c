/*
 * The end of a process that found a bug in itself: it says which condition
 * broke and where, and aborts.  It never returns.
 */
#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

_Noreturn void
check_failed(const char *condition, const char *file, int line)
{
	log_event(LOG_ERROR, "check-failed", "", "condition=%s file=%s line=%d",
	    condition, file, line);
	abort();
}
