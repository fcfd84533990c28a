/* Numbers as people write them, and arithmetic that cannot wrap. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only, 0..MAX: 0, or -EINVAL / -ERANGE. */
int num_parse(struct str text, uint64_t max, uint64_t *value_out)
    __attribute__((warn_unused_result));
/* "64", "64k", "2M", "1G" (powers of 1024) in bytes; the same results. */
int num_parse_size(struct str text, uint64_t max, uint64_t *bytes_out)
    __attribute__((warn_unused_result));
/* "90" or "90s", "15m", "1h30m", "1d12h", "2w": in milliseconds (a bare number
   is seconds); the same results. */
int num_parse_duration(struct str text, uint64_t max_ms, uint64_t *ms_out)
    __attribute__((warn_unused_result));
/* Writes MS the way num_parse_duration() reads it, rounded to seconds, at most
   31 characters and a NUL. */
void num_format_duration(uint64_t ms, char text[32]);

/* A + B, or UINT64_MAX where that does not fit. */
uint64_t num_add_capped(uint64_t a, uint64_t b);
/* VALUE as 32 bits; asserts that it fits. */
uint32_t num_narrow_u32(uint64_t value);

#endif
