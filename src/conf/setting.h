/*
 * The table of settings: one row each, from which come the parser's checks and
 * defaults, --help-settings, the list in sendq.conf(5) and a test.
 */
#ifndef CONF_SETTING_H
#define CONF_SETTING_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTING_PATH_SIZE  48 /* of a row's path with its NUL */
#define SETTING_VALUE_SIZE 32 /* of a limit as text with its NUL */

/* The group that a setting stands in. */
enum setting_scope {
	SETTING_TOP,
	SETTING_IN_LISTEN,
	SETTING_IN_ROUTE,
	SETTING_IN_SITE
};

enum setting_type {
	SETTING_NUMBER,
	SETTING_PORT,
	SETTING_DURATION,
	SETTING_SIZE,
	SETTING_MODE,
	SETTING_FLAG,
	SETTING_HOSTNAME,
	SETTING_MAILBOX,
	SETTING_SPOOL,
	SETTING_PATH,
	SETTING_LOG,
	SETTING_LEVEL,
	SETTING_USER,
	SETTING_NAME,
	SETTING_ADDRESS,
	SETTING_ROUTE,
	SETTING_RULE,
	SETTING_NETWORKS,
	SETTING_DOMAINS,
	SETTING_TRIGGERS,
	SETTING_PATHS,
	SETTING_KEYS,
	SETTING_GROUPS,
	SETTING_TYPES
};

/* How a value of a type is written in the file. */
enum setting_form {
	SETTING_AS_NUMBER,
	SETTING_AS_TEXT,
	SETTING_AS_EITHER, /* a number or a text */
	SETTING_AS_FLAG,
	SETTING_AS_TEXTS,
	SETTING_AS_GROUPS
};

struct setting {
	enum setting_scope scope;
	enum setting_type type;
	const char *name;
	/* Of the value, of the bytes of a text, or of a list's elements; max 0
	   where the type alone says what is right. */
	uint64_t min, max;
	const char *fallback; /* as text; "" = none, NULL = required */
	const char *unit;     /* of numbers, and what a list holds; or "" */
	const char *about;    /* one sentence */
	size_t offset;        /* of the field in the scope's struct */
};

/* All rows; those of a scope follow each other. */
const struct setting *setting_table(size_t *count_out);
/* The row, or NULL. */
const struct setting *setting_find(enum setting_scope scope, const char *name);

enum setting_form setting_form(enum setting_type type);
/* What a value of the type is called, as in "is not a network". */
const char *setting_noun(enum setting_type type);
/* True if min and max count the bytes of a text. */
bool setting_is_bytes(enum setting_type type);

/* The row's path, as "site[].from". */
void setting_path_format(const struct setting *row, char path[]);
/* A limit or default of the type as people write it. */
void setting_value_format(enum setting_type type, uint64_t value, char text[]);

#endif
