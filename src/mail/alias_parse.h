/*
 * The grammar of aliases: texts in, definitions and targets out.  For the table
 * (mail/alias.h) only.
 *
 * A newline inside of a definition stands where its lines were joined, so that
 * the line of each target can be told; it means a blank.
 */
#ifndef MAIL_ALIAS_PARSE_H
#define MAIL_ALIAS_PARSE_H

#include "mail/alias.h"

/* The text that is read, and where. */
struct alias_source {
	struct str rest;
	unsigned line; /* of the first byte of the rest */
};

/* What one call found. */
enum alias_found {
	ALIAS_FOUND_NONE, /* the end */
	ALIAS_FOUND_ONE,
	ALIAS_FOUND_WRONG, /* WRONG says what; the next call goes on behind it
	                    */
};

/* The next definition, its lines joined in TEXT, and its first line.  With
   IS_INCLUDE each line stands alone and may begin with a blank. */
enum alias_found alias_parse_definition(struct alias_source *source,
    bool is_include, struct buf *text, unsigned *line_out,
    const char **wrong_out);

/* Splits a definition: NAME (at most MAIL_LOCAL_MAX + 1 bytes) gets the name in
   lower case without quotes, RIGHT_OUT what is behind the colon.  NULL, or what
   is wrong. */
const char *alias_parse_name(struct str definition,
    char name[MAIL_LOCAL_MAX + 1], struct str *right_out);

/* Takes the next target off LIST.  Its text points into SCRATCH; LINES_OUT is
   how many lines of LIST were passed before it. */
enum alias_found alias_parse_target(struct str *list, struct buf *scratch,
    struct alias_target *target_out, unsigned *lines_out,
    const char **wrong_out);

#endif
