/* What the files of the codec share: lines, numbers and quoting. */
#ifndef STORE_MQUEUE_QF_TEXT_H
#define STORE_MQUEUE_QF_TEXT_H

#include "base/str.h"
#include "store/mqueue/qf.h"

#include <stdbool.h>
#include <stdint.h>

#define QF_META  0xFF /* stands before an internal byte that means itself */
#define QF_MACRO 0x81 /* begins a macro */

/* The condition of a field that sendmail would drop and we send. */
#define QF_KEPT "$" QF_PRIVATE

/* Letters of F lines, and of R lines in the order of the QF_RECIPIENT_ bits;
   both as sendmail writes them. */
#define QF_FLAG_LETTERS      "wr8bdnse"
#define QF_RECIPIENT_LETTERS "PNSFDBA"

/* Blanks and line ends, as C's isspace() has them. */
bool qf_is_blank(char c);

/* The member of Q for a letter of QF_FLAG_LETTERS; NULL for another. */
bool *qf_flag(struct qf *q, char letter);

/* The number at the start of TEXT as C's atol() reads it: blanks, a sign,
   digits; 0 if there is none, the nearest of -LIMIT..LIMIT if it is beyond. */
int64_t qf_number(struct str text, int64_t limit);

/* True if TEXT is xtext (RFC 3461 4) as sendmail checks it: it may be empty,
   and hexadecimal digits may be lower case. */
bool qf_is_xtext(struct str text);

/* True if BYTE has to be quoted. */
bool qf_is_internal(char byte);

/* How many bytes of TEXT come before its first CR or LF. */
size_t qf_plain_size(struct str text);

/* The field name of a header's text, and its value with the blanks before it;
   false if there is no name with a colon behind it.  Blanks before the colon
   belong to neither. */
bool qf_header_split(
    struct str text, struct str *name_out, struct str *value_out);

/* True for a field that sendmail does not send on, or not as it is: Bcc,
   Return-Path, Full-Name, Content-Length. */
bool qf_is_dropped(struct str name);

#endif
