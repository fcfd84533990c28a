/*
 * A string is a pointer and a length.  It is never NUL-terminated by promise
 * and never owns its bytes.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

struct str {
	const char *data;
	size_t size;
};

/* A str over a literal; usable in initialisers. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

/* For "%.*s" in printf formats. */
#define STR_ARG(s) (int)(s).size, (s).data

/* The str over a NUL-terminated text; NULL gives the empty string. */
struct str str_from(const char *text);
struct str str_of(const char *data, size_t size);

bool str_equal(struct str a, struct str b);
/* Equal but for ASCII case.  Never locale dependent. */
bool str_case_equal(struct str a, struct str b);
/* Total order: bytes, then length; -1, 0, 1. */
int str_compare(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_case_starts(struct str s, struct str prefix);

/* Index of the first C in S, or S.size. */
size_t str_find(struct str s, char c);
/* S without its first N bytes (all of it when N is larger). */
struct str str_skip(struct str s, size_t n);
/* S cut to its first N bytes. */
struct str str_head(struct str s, size_t n);
/* S without blanks (space, tab) at both ends. */
struct str str_trim(struct str s);

char ascii_lower(char c);
bool ascii_is_alpha(char c);
bool ascii_is_digit(char c);

#endif
