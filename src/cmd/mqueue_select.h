/*
 * Which control files of a queue directory (qf, hf, Qf) are meant, and in what
 * order: what a scan takes out of each before anything is done with it, by the
 * rules of sendmail 8.17.
 *
 * Pure: the texts of files in, decisions out.  A file may be damaged; what it
 * has is taken.
 */
#ifndef CMD_MQUEUE_SELECT_H
#define CMD_MQUEUE_SELECT_H

#include "base/str.h"
#include "cmd/sendmail_options.h"
#include "store/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQUEUE_NAME_MAX    20  /* of a file, with its two letters */
#define MQUEUE_HOST_MAX    255 /* bytes of a host that are compared */
#define MQUEUE_NO_PRIORITY INT64_C(0x7fffffff) /* where there is no P */

/* QueueSortOrder; what is equal stays in the order of the directory. */
enum mqueue_order {
	MQUEUE_BY_PRIORITY, /* P, smaller first; the default */
	MQUEUE_BY_HOST,     /* host of the first recipient, from its end */
	MQUEUE_BY_TIME,     /* T */
	MQUEUE_BY_NAME,     /* of the file */
	MQUEUE_BY_CHANGE,   /* the file's modification time */
	MQUEUE_UNSORTED,    /* also random, shuffle */
};

/* What a scan remembers of a file. */
struct mqueue_item {
	char name[MQUEUE_NAME_MAX + 1]; /* "qf6ALLDvRC012936" */
	bool is_locked;                 /* by somebody who works on it */
	bool is_young; /* tried less than the minimum age ago */
	int64_t priority;
	int64_t created_s;
	int64_t changed_s;
	char *host;   /* reversed, lower case; NULL = none or not asked for */
	size_t place; /* in the directory */
};

struct mqueue_want {
	const struct store_select *select;
	enum sendmail_queue queue;
	enum mqueue_order order;
	int64_t now_s;
	int64_t age_min_s; /* MinQueueAge, 0 = none */
};

/* The order that QueueSortOrder names: only its first letter counts, as in
   sendmail; the default where it is none of them. */
enum mqueue_order mqueue_order_read(struct str text);

/* Takes the next line at *AT (begins at 0) of TEXT, without its end (LF, or CR
   LF), and only up to a NUL; false at the end. */
bool mqueue_line_next(struct str text, size_t *at, struct str *line_out);
/* The number that TEXT begins with, as atol() reads it; 0 for none. */
int64_t mqueue_number(struct str text);
/* What stands behind the flags of an R line's TEXT; data is NULL for a line
   that has none of them and VERSION is 1 or more. */
struct str mqueue_recipient(struct str text, int version);

/* True if a file of this NAME can be one that is wanted: its kind and its id.
 */
bool mqueue_want_name(const struct mqueue_want *want, struct str name);
/* Fills ITEM from the text of the file (but its name, lock, place and time of
   change); false if it is not wanted. ITEM->host is the caller's to free, also
   then. */
bool mqueue_want_text(
    const struct mqueue_want *want, struct str text, struct mqueue_item *item);

/* Puts COUNT items in order.  With MQUEUE_BY_HOST one that is locked makes all
   of its host so, as sendmail does. */
void mqueue_sort(
    struct mqueue_item *items, size_t count, enum mqueue_order order);

/* True if a message of PRIORITY waits for a lower load than LOAD (of one
   minute, rounded): QueueLA, QueueFactor. */
bool mqueue_is_over_load(
    int64_t priority, int64_t load, uint64_t load_max, uint64_t factor);

#endif
