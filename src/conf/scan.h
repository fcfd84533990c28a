/*
 * The bytes of a configuration before libconfig sees them.  libconfig 1.5
 * follows @include, wraps numbers that do not fit, passes over an end that is
 * missing, and gives a text the line of the token behind it; here the first
 * three are refused and the lines of texts are noted.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include "base/buf.h"

#include <libconfig.h>
#include <stddef.h>
#include <stdio.h>

#define SCAN_FILE_MAX  (64 << 20) /* bytes of a configuration */
#define SCAN_DEPTH_MAX 16         /* groups and lists in each other */

struct scan {
	struct buf text;   /* NUL-terminated once read */
	unsigned *lines;   /* where the n-th text begins */
	size_t line_count; /* texts noted */
	size_t line_max;   /* room for them */
};

void scan_init(struct scan *scan);
void scan_fini(struct scan *scan);

/* Reads all of FILE: 0, -EIO, or -EFBIG over SCAN_FILE_MAX. */
int scan_read(struct scan *scan, FILE *file)
    __attribute__((warn_unused_result));
/* NULL, or what is wrong, a constant text, and its line. */
const char *scan_check(struct scan *scan, unsigned *line_out);
/* The text that was read, for libconfig. */
const char *scan_text(const struct scan *scan);

/* Notes the lines of texts in the tree that libconfig made of the text. */
void scan_lines_set(const struct scan *scan, config_setting_t *root);
/* The line on which a setting of that tree begins. */
unsigned scan_line(const config_setting_t *setting);

#endif
