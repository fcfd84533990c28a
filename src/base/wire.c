/* Fields inside frames and log records; see wire.h for the format. */
#include "base/wire.h"

#include <stddef.h>

static void
wire_store(unsigned char *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t
wire_load(const unsigned char *at, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static void
wire_put(struct wire_writer *w, uint64_t value, size_t size)
{
	unsigned char bytes[8];

	wire_store(bytes, value, size);
	if (w->is_bad || buf_append(w->out, str_of((char *)bytes, size)) < 0)
		w->is_bad = true;
}

void
wire_put_u8(struct wire_writer *w, uint8_t value)
{
	wire_put(w, value, 1);
}

void
wire_put_u32(struct wire_writer *w, uint32_t value)
{
	wire_put(w, value, 4);
}

void
wire_put_u64(struct wire_writer *w, uint64_t value)
{
	wire_put(w, value, 8);
}

void
wire_put_str(struct wire_writer *w, struct str bytes)
{
	if (bytes.size > UINT32_MAX) {
		w->is_bad = true;
		return;
	}
	wire_put_u32(w, (uint32_t)bytes.size);
	if (w->is_bad || buf_append(w->out, bytes) < 0)
		w->is_bad = true;
}

static uint64_t
wire_get(struct wire_reader *r, size_t size)
{
	uint64_t value;

	if (r->is_bad || r->in.size < size) {
		r->is_bad = true;
		return 0;
	}
	value = wire_load((const unsigned char *)r->in.data, size);
	r->in = str_skip(r->in, size);
	return value;
}

uint8_t
wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)wire_get(r, 1);
}

uint32_t
wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)wire_get(r, 4);
}

uint64_t
wire_get_u64(struct wire_reader *r)
{
	return wire_get(r, 8);
}

struct str
wire_get_str(struct wire_reader *r, size_t max)
{
	size_t size = wire_get_u32(r);
	struct str bytes;

	if (r->is_bad || size > max || size > r->in.size) {
		r->is_bad = true;
		return STR("");
	}
	bytes = str_head(r->in, size);
	r->in = str_skip(r->in, size);
	return bytes;
}

uint32_t
wire_get_bounded(struct wire_reader *r, uint32_t max)
{
	uint32_t value = wire_get_u32(r);

	if (value > max) {
		r->is_bad = true;
		return 0;
	}
	return value;
}

bool
wire_is_whole(const struct wire_reader *r)
{
	return !r->is_bad && r->in.size == 0;
}

void
wire_store_u32(void *at, uint32_t value)
{
	wire_store(at, value, 4);
}

void
wire_store_u64(void *at, uint64_t value)
{
	wire_store(at, value, 8);
}

uint32_t
wire_load_u32(const void *at)
{
	return (uint32_t)wire_load(at, 4);
}

uint64_t
wire_load_u64(const void *at)
{
	return wire_load(at, 8);
}
