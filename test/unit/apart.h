/*
 * Unit tests on machines where a process may use little processor time
 * (RLIMIT_CPU below ten minutes, as in some containers): what a test does many
 * times is done in processes of its own there, each of which has that time for
 * itself.  Elsewhere nothing is forked.
 */
#ifndef TEST_UNIT_APART_H
#define TEST_UNIT_APART_H

#include <stdbool.h>
#include <stddef.h>

/* FN(ARG), which gives 0 to APART_MAX; what it changes may be lost.  A failed
   assertion in it fails the test. */
#define APART_MAX 99
int apart(int (*fn)(void *arg), void *arg);

/* LOAD, or a part of it where sanitizers make a test so slow that the time of a
   process there would not do. */
size_t apart_scale(size_t load);

/* True on such a machine: for tests whose load is one number. */
bool apart_is_needed(void);

#endif
