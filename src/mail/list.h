/*
 * Lists of addresses as header fields and people write them (RFC 5322 3.4):
 * names, comments, groups, quotes, folding, routes; and, as sendmail takes it,
 * words with only blanks between them where no name or comment is near.
 *
 * The text is not changed; what is found is an address without all that, and
 * where it stood.
 */
#ifndef MAIL_LIST_H
#define MAIL_LIST_H

#include "base/str.h"
#include "mail/address.h"

#include <stdbool.h>
#include <stddef.h>

enum mail_list_result {
	MAIL_LIST_ONE,   /* *item_out is an address */
	MAIL_LIST_VOID,  /* *item_out is "<>" */
	MAIL_LIST_WRONG, /* ... is no address; item_out->reason says why */
	MAIL_LIST_END,
};

struct mail_list_item {
	/* Without comments, blanks, route and brackets; one without a domain
	   is let through. */
	char address[MAIL_ADDRESS_MAX + 1];
	bool has_domain;
	bool is_alone;      /* no other word stands beside it in the element */
	struct str text;    /* of the whole element, blanks cut off */
	size_t end;         /* where the address ends in the list */
	const char *reason; /* of WRONG: "Unbalanced '<'", or "" */
	/* Of WRONG: "5.1.3" or "5.1.2" (RFC 3463) where the reason says all
	   that is wrong with the address or its domain, else "". */
	const char *status;
};

struct mail_list {
	struct str text;
	size_t at; /* where to go on */
	size_t element_start;
	size_t element_end; /* words of one element are left up to here */
};

/* TEXT must live as long as the list is read. */
void mail_list_init(struct mail_list *l, struct str text);
enum mail_list_result mail_list_next(struct mail_list *l,
    struct mail_list_item *item_out) __attribute__((warn_unused_result));

#endif
