/* The fields of a message's header (RFC 5322 2.2), as they stand in it. */
#ifndef MAIL_FIELD_H
#define MAIL_FIELD_H

#include "base/str.h"

#include <stdbool.h>

struct mail_field {
	struct str name;  /* without blanks before the colon */
	struct str body;  /* behind the colon, with folds, without its CRLF */
	struct str whole; /* with its CRLF */
};

/* True if LINE (without its end) begins a field: a name, blanks, a colon. */
bool mail_field_begins(struct str line);

/* Takes the field at the front of *REST, a header with CRLF line ends that
   mail_field_begins() agreed to line by line; false at its end. */
bool mail_field_next(struct str *rest, struct mail_field *field_out);

#endif
