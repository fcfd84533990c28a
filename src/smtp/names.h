/*
 * Recipients in one line for people, with commas between, as sendmail shortens
 * them: of SMTP_NAMES_MAX bytes and more the first and the last hundred are
 * left, with "..." between.  Pure; any bytes, any number of them.
 */
#ifndef SMTP_NAMES_H
#define SMTP_NAMES_H

#include "base/str.h"

#define SMTP_NAMES_MAX  203 /* bytes of the line, and those that are cut */
#define SMTP_NAMES_KEPT 100 /* bytes of each end of one that is cut */

/* The caller's memory; zero is an empty one. */
struct smtp_names {
	char text[SMTP_NAMES_MAX + SMTP_NAMES_KEPT];
	size_t size; /* at most SMTP_NAMES_MAX between calls */
};

void smtp_names_add(struct smtp_names *names, struct str name);
/* Points into NAMES. */
struct str smtp_names_str(const struct smtp_names *names);

#endif
