/*
 * CRC-32C by the processor's own instruction where it has one, else by a table
 * of 256 entries made at the first call; both give the same values.
 */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

static uint32_t
crc32c_table(uint32_t crc, const unsigned char *p, size_t n)
{
	static uint32_t table[256];

	/* Made twice by two threads it is the same table. */
	if (table[1] == 0)
		for (uint32_t i = 256; i-- > 0;) {
			uint32_t value = i;

			for (int bit = 0; bit < 8; bit++)
				value = value & 1 ? value >> 1 ^ 0x82f63b78
				                  : value >> 1;
			table[i] = value;
		}
	while (n-- > 0)
		crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
	return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
crc32c_hardware(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t wide = crc, word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	while (n-- > 0)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}

static bool
crc32c_has_hardware(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t
crc32c_hardware(uint32_t crc, const unsigned char *p, size_t n)
{
	return crc32c_table(crc, p, n);
}

static bool
crc32c_has_hardware(void)
{
	return false;
}
#endif

uint32_t
crc32c(uint32_t crc, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.data;

	crc = ~crc;
	crc = crc32c_has_hardware() ? crc32c_hardware(crc, p, bytes.size)
	                            : crc32c_table(crc, p, bytes.size);
	return ~crc;
}
