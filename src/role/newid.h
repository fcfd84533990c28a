/*
 * New queue ids: 14 of the 60 characters "0-9A-Za-x", legal for sendmail.
 * Eight come from random bytes taken when the process starts, six from a
 * counter; so none is used again after a restart, whatever the clock says, and
 * the store refuses one that it knows.
 */
#ifndef ROLE_NEWID_H
#define ROLE_NEWID_H

#include <stdint.h>

#define NEWID_SIZE   14
#define NEWID_RANDOM 8 /* bytes of it that newid_init() wants */

struct newid {
	uint64_t nonce;
	uint64_t counter;
};

void newid_init(struct newid *n, const unsigned char random[NEWID_RANDOM]);
/* The next id, NUL-terminated. */
void newid_next(struct newid *n, char id[NEWID_SIZE + 1]);

#endif
