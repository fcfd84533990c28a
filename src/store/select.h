/*
 * Which messages of a queue a person means: sendmail's limits of -qI, -qS, -qR
 * and -qQ.  Terms of one field are alternatives; every field that has terms
 * must agree.  A term is a literal part of the text, in any case of ASCII
 * letters; one with IS_NOT agrees with a text that it is no part of.
 */
#ifndef STORE_SELECT_H
#define STORE_SELECT_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define STORE_SELECT_MAX      100 /* terms in all */
#define STORE_SELECT_TEXT_MAX 255 /* bytes of one */

enum store_select_field {
	STORE_SELECT_ID,     /* the id behind "qf" (or as the file is named) */
	STORE_SELECT_SENDER, /* the null sender is "<>" */
	STORE_SELECT_RECIPIENT, /* some recipient agrees */
	STORE_SELECT_REASON,    /* of its quarantine, letters as they are */
	STORE_SELECT_FIELDS
};

struct store_select_term {
	enum store_select_field field;
	bool is_not;
	struct str text; /* the caller's; "" is part of everything */
};

/* All zero selects everything. */
struct store_select {
	struct store_select_term terms[STORE_SELECT_MAX];
	size_t count;
};

/* Adds a term: 0, -ENOSPC for too many, -EINVAL for one that is too long. */
int store_select_add(struct store_select *select, enum store_select_field field,
    bool is_not, struct str text) __attribute__((warn_unused_result));

/* True if the FIELD has terms. */
bool store_select_wants(
    const struct store_select *select, enum store_select_field field);

/* True if one of FIELD's terms agrees with TEXT, or there is none. */
bool store_select_has_text(const struct store_select *select,
    enum store_select_field field, struct str text);

/* True if the message is selected: its file's name or id, its sender ("" as
   "<>") and COUNT recipients; the reason is asked for with
   store_select_has_text(). */
bool store_select_has(const struct store_select *select, struct str id,
    struct str sender, const struct str *recipients, size_t count);

#endif
