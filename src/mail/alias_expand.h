/*
 * An address through the table of aliases: who gets its mail, and who is told
 * when that fails.
 *
 * An alias that has an "owner-" alias is a list: its members get their mail
 * from the owner's address (RFC 3461 5.2.7.3).  Who is reached twice gets it
 * once; "x: x, other" and "\x" end the looking up; any other circle is refused,
 * as is whatever does not fit: an expansion is whole or it is not made.
 */
#ifndef MAIL_ALIAS_EXPAND_H
#define MAIL_ALIAS_EXPAND_H

#include "base/arena.h"
#include "mail/alias.h"

#include <stdbool.h>
#include <stddef.h>

#define ALIAS_DEPTH_MAX     20      /* aliases and :include: in each other */
#define ALIAS_STEPS_MAX     20000   /* targets looked at for one address */
#define ALIAS_EXPANSION_MAX 4194304 /* bytes of what comes of it */

/* Whose a domain is. */
enum alias_domain {
	ALIAS_DOMAIN_FOREIGN, /* nothing is looked up */
	ALIAS_DOMAIN_OURS,    /* what is no alias goes on as it is */
	ALIAS_DOMAIN_ONLY,    /* what is no alias is nobody */
};

struct alias_rules {
	/* DOMAIN is a key (mail_domain_key()). */
	enum alias_domain (*domain)(const void *arg, struct str domain);
	const void *arg;
	struct str home; /* the domain of names that have none */
	size_t leaves_max;
	/* A list inside whose owner is another one is left as it is. */
	bool is_one_owner;
	bool is_running; /* programs */
};

enum alias_outcome {
	ALIAS_NONE, /* it is no alias */
	ALIAS_DONE,
	ALIAS_LOOP,
	ALIAS_DEEP,
	ALIAS_LARGE,
	ALIAS_MISTAKE,
	ALIAS_TO_PROGRAM, /* and programs are not run */
	ALIAS_UNREAD,     /* an :include: file that could not be read */
	ALIAS_UNKNOWN,    /* a name that nobody has */
};

struct alias_leaf {
	struct str address; /* local@domain, or of mail/alias_local.h */
	struct str owner;   /* likewise: the sender, or empty: as it was */
	bool is_alias;      /* left as it is: to be expanded itself */
};

struct alias_expansion {
	struct arena arena;
	const struct alias_leaf *leaves; /* none: all goes to /dev/null */
	size_t leaf_count;
	/* Where it was refused: the alias, and what it names. */
	struct str alias, target;
};

/* Expands ADDRESS.  The expansion is valid after ALIAS_DONE; it is freed with
   alias_expansion_fini() whatever the outcome. */
enum alias_outcome alias_expand(const struct alias_table *table,
    const struct alias_rules *rules, struct str address,
    struct alias_expansion *expansion_out);
void alias_expansion_fini(struct alias_expansion *expansion);
/* The alias that it is; NULL if it would be ALIAS_NONE. */
const struct alias_entry *alias_of(const struct alias_table *table,
    const struct alias_rules *rules, struct str address);

/* Why it was refused, for people: "aliases go round in a circle". */
const char *alias_outcome_text(enum alias_outcome outcome);

#endif
