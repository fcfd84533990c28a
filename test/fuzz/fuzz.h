/*
 * What the fuzz targets share.  A target is one file here: it feeds any bytes
 * to one parser and asserts what the parser promises; libFuzzer makes the bytes
 * (test/fuzz/run.py).
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include "base/check.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first COUNT bytes of the input choose what is done with the rest; those
   that are missing are 0. */
static inline void
fuzz_choose(const uint8_t **data, size_t *size, uint8_t *to, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		to[i] = 0;
		if (*size > 0) {
			to[i] = *(*data)++;
			--*size;
		}
	}
}

static inline struct str
fuzz_rest(const uint8_t *data, size_t size)
{
	return str_of((const char *)data, size);
}

#endif
