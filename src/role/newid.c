/* New queue ids; see newid.h. */
#include "role/newid.h"
#include "base/wire.h"

#define NEWID_BASE         60
#define NEWID_NONCE_SIZE   8
#define NEWID_COUNTER_SIZE (NEWID_SIZE - NEWID_NONCE_SIZE)

static const char newid_digits[NEWID_BASE + 1] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";

void
newid_init(struct newid *n, const unsigned char random[NEWID_RANDOM])
{
	n->nonce = wire_load_u64(random);
	n->counter = 0;
}

static void
newid_put(char *at, uint64_t value, int size)
{
	while (size-- > 0) {
		at[size] = newid_digits[value % NEWID_BASE];
		value /= NEWID_BASE;
	}
}

void
newid_next(struct newid *n, char id[NEWID_SIZE + 1])
{
	newid_put(id, n->nonce, NEWID_NONCE_SIZE);
	newid_put(id + NEWID_NONCE_SIZE, n->counter, NEWID_COUNTER_SIZE);
	id[NEWID_SIZE] = '\0';
	n->counter++;
}
