/*
 * The one codec of fields inside frames and log records: little-endian
 * numbers, and byte strings behind a 32-bit length.  Reading is bounded and
 * sticky: after the first field that does not fit, every field reads as zero
 * or empty and wire_is_whole() is false.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Writers.  A writer that does not fit sets is_bad and writes nothing more. */
struct wire_writer {
	struct buf *out;
	bool is_bad;
};

void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_str(struct wire_writer *w, struct str bytes);

struct wire_reader {
	struct str in; /* what is not yet read */
	bool is_bad;
};

uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
/* The bytes point into the frame.  More than MAX bytes is an error. */
struct str wire_get_str(struct wire_reader *r, size_t max);
/* A number that must be at most MAX (for enums and counts). */
uint32_t wire_get_bounded(struct wire_reader *r, uint32_t max);
/* True if every field was there and nothing is left over. */
bool wire_is_whole(const struct wire_reader *r);

/* Plain little-endian numbers in fixed places, for file headers. */
void wire_store_u32(void *at, uint32_t value);
void wire_store_u64(void *at, uint64_t value);
uint32_t wire_load_u32(const void *at);
uint64_t wire_load_u64(const void *at);

#endif
