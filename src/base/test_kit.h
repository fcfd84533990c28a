/* What unit tests share; include it once in a test. */
#ifndef BASE_TEST_KIT_H
#define BASE_TEST_KIT_H

#include "base/str.h"

/* True if S ends in SUFFIX, but for ASCII case. */
static inline bool
str_case_ends(struct str s, struct str suffix)
{
	return s.size >= suffix.size &&
	       str_case_equal(str_skip(s, s.size - suffix.size), suffix);
}

#endif
