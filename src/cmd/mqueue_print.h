/*
 * A listing of a queue, to the byte as mailq of sendmail 8.17 prints it; also
 * used for queues that are not in its format.
 *
 * What is no printable ASCII is shown as \ooo, a backslash is doubled; what is
 * too wide for its column is cut.  Times are local.
 */
#ifndef CMD_MQUEUE_PRINT_H
#define CMD_MQUEUE_PRINT_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MQUEUE_SIZE_NONE (-1) /* shown for a message without data file */

/* The heading of one queue directory: TITLE and COUNT messages, of which
   COUNT_MAX are listed (0 = all). */
void mqueue_print_head(FILE *out, const char *title, size_t count,
    size_t count_max, bool is_verbose);

/* The first line up to the sender, behind the id and the mark. */
struct mqueue_first {
	int64_t size; /* bytes of the body */
	int64_t priority;
	int64_t created_s;
	bool is_warned; /* the sender was told that it is late */
	struct str sender;
	struct str reason; /* of its quarantine, or empty */
	struct str body;   /* "8BITMIME", or empty */
	struct str status; /* why it is still here, or empty */
};

/* The id in its column, and the mark behind it (0 = none yet). */
void mqueue_print_id(FILE *out, struct str id, char mark);
void mqueue_print_first(
    FILE *out, const struct mqueue_first *first, bool is_verbose);
/* Only with IS_VERBOSE: on whose behalf the next recipients are served. */
void mqueue_print_user(FILE *out, struct str user, bool is_verbose);
/* A recipient; with IS_VERBOSE also its STATUS, if it has one. */
void mqueue_print_recipient(
    FILE *out, struct str address, struct str status, bool is_verbose);

/* An entry behind its id and mark: all that the control file with this TEXT
   has to say, and the newline.  SIZE is that of the data file. */
void mqueue_print_entry(FILE *out, struct str text, int64_t size,
    int64_t priority, bool is_verbose);

void mqueue_print_total(FILE *out, size_t count);

/* hoststat: its heading, and what HOST said at WHEN_S (0 = not known), as it
   is at NOW_S. */
void mqueue_print_hosts_head(FILE *out);
void mqueue_print_host(FILE *out, struct str host, int64_t when_s,
    int64_t now_s, struct str answer, bool is_verbose);

#endif
