/*
 * The machine's clocks, its randomness and its addresses for processes that
 * have no directory to make a struct os of; the real struct os takes clocks and
 * randomness from here too.
 */
#ifndef OS_MACHINE_H
#define OS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of a clock that never goes back. */
uint64_t machine_mono_ms(void);
/* Milliseconds since 1970. */
uint64_t machine_wall_ms(void);
void machine_random(void *data, size_t size);
/* The load of the last minute, rounded; 0 where it cannot be had. */
uint32_t machine_load(void);

struct machine_address {
	unsigned family; /* 4 or 6 */
	unsigned char bytes[16];
};

/* The addresses of the machine's network interfaces: how many went into LIST,
   at most COUNT_MAX; 0 where they cannot be had.  It opens a socket. */
size_t machine_addresses(struct machine_address *list, size_t count_max);

#endif
