/* Assertions that are always on.  Input is never asserted, it is validated. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints the broken condition through the log and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(condition)                                                       \
	((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#endif
