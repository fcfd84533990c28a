/*
 * The machine's clocks and its randomness for processes that have no directory
 * to make a struct os of; the real struct os takes them from here too.
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

#endif
