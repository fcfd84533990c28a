/*
 * Tables of aliases, as sendmail's aliases(5) has them: a name, a colon and the
 * list of those who get its mail.
 *
 *	# a comment
 *	postmaster: joe
 *	staff: joe, "Ann B" <ann@a.test>, (of the cellar) \bob,
 *		:include:/etc/mail/staff
 *	owner-staff: joe
 *	nobody: /dev/null
 *
 * A line that begins with a blank continues the one before it, as does any line
 * behind a backslash.  Names are compared without regard to ASCII case.  What
 * cannot be understood is noted with its file and line; the rest is used.  The
 * table opens no file: whoever reads it hands it the texts, also those of
 * :include: files (RFC 822 comments and phrases are passed over in both).
 */
#ifndef MAIL_ALIAS_H
#define MAIL_ALIAS_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALIAS_TEXT_MAX       (16 << 20)  /* bytes of one file */
#define ALIAS_DEFINITION_MAX (1 << 20)   /* bytes of one alias, lines joined */
#define ALIAS_PATH_MAX       1024        /* bytes of a file's name */
#define ALIAS_FILES_MAX      16          /* of one table */
#define ALIAS_INCLUDES_MAX   1000        /* files of all :include: */
#define ALIAS_MISTAKES_MAX   100         /* that are kept of one table */
#define ALIAS_LOCALS_MAX     10000       /* programs and files of one table */
#define ALIAS_ARENA_MAX      (512 << 20) /* bytes of a table */

enum alias_kind {
	ALIAS_LOCAL,   /* a name without a domain */
	ALIAS_ADDRESS, /* local@domain */
	ALIAS_INCLUDE, /* the path behind ":include:" */
	ALIAS_PROGRAM, /* the command behind "|" */
	ALIAS_FILE,    /* an absolute path */
	ALIAS_DISCARD, /* "/dev/null" */
	ALIAS_BAD,     /* not understood; its mistake is noted */
};

struct alias_target {
	enum alias_kind kind;
	bool is_final; /* "\x": not looked up again */
	struct str text;
};

/* A program (its command) or a file (its path) that an alias names. */
struct alias_local {
	enum alias_kind kind; /* ALIAS_PROGRAM or ALIAS_FILE */
	struct str text;
};

/* One definition, or (with an empty name) the content of an :include: file. */
struct alias_entry {
	struct str name; /* in lower case */
	struct str file;
	unsigned line;
	const struct alias_target *targets;
	size_t target_count;
};

/* What one file held. */
struct alias_file {
	struct str name;
	size_t aliases;
	size_t longest; /* bytes of the longest right side */
	size_t total;   /* bytes of all names and right sides */
};

struct alias_table;

struct alias_table *alias_table_new(void);
void alias_table_free(struct alias_table *table);

/* Adds the definitions in TEXT, the content of FILE_NAME.  In one file the last
   of several with one name counts, of several files the first.  A file more
   than ALIAS_FILES_MAX is a mistake. */
void alias_table_read(
    struct alias_table *table, struct str file_name, struct str text);
/* Whether programs and files may be named in what alias_table_read() gets from
   now on; in a new table they may.  In an :include: file they never may: its
   owner is told apart from the administrator.  Elsewhere each is a mistake. */
void alias_table_trust(struct alias_table *table, bool is_trusted);
/* What the file INDEX held that was read, or NULL behind the last one. */
const struct alias_file *alias_table_file(
    const struct alias_table *table, size_t index);
/* The path of an :include: whose content was not given yet; false = none. */
bool alias_table_wants(const struct alias_table *table, struct str *path_out);
/* Gives the content of an :include: file, or why there is none. */
void alias_table_include(
    struct alias_table *table, struct str path, struct str text);
void alias_table_include_failed(
    struct alias_table *table, struct str path, const char *reason);

/* Notes a mistake of FILE_NAME (line 0 = of the file as such). */
void alias_table_mistake(struct alias_table *table, struct str file_name,
    unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes the first ALIAS_MISTAKES_MAX that were found, a line each
   ("FILE:LINE: what is wrong"), as far as OUT has room. */
void alias_table_mistakes_put(const struct alias_table *table, struct buf *out);

/* The entries of names in the order of being read: from NULL to NULL. */
const struct alias_entry *alias_table_next(
    const struct alias_table *table, const struct alias_entry *entry);
/* The entry of a name, in any case, or NULL. */
const struct alias_entry *alias_table_find(
    const struct alias_table *table, struct str name);
/* The programs and files that aliases name, numbered from 0 in the order of
   being read; NULL behind the last. */
const struct alias_local *alias_table_local(
    const struct alias_table *table, size_t number);
/* The number of LOCAL, or SIZE_MAX. */
size_t alias_table_local_number(
    const struct alias_table *table, const struct alias_local *local);
/* The content of an :include: file, or NULL where it was not given. */
const struct alias_entry *alias_table_included(
    const struct alias_table *table, struct str path);

#endif
