/*
 * CRC-32C by the processor's own instruction where it has one, else by a table
 * of 256 entries made at the first call; both give the same values.
 *
 * The instruction can be begun once a cycle but its result takes three, so that
 * three parts of what is long are reckoned side by side and then joined: the
 * value of A with B behind it is that of A times x^(8 * size of B), plus that
 * of B from 0.  The factors are x^(8 * size - 33) with their bits reversed; the
 * product of two reversed numbers is one power short, and the instruction that
 * reduces it multiplies by x^32.
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
#include <immintrin.h>

#define CRC32C_PART        1024
#define CRC32C_PAST_PART   0x170076fa
#define CRC32C_PAST_2PARTS 0xa51b6135

__attribute__((target("sse4.2,pclmul"))) static uint32_t
crc32c_times(uint32_t crc, uint32_t factor)
{
	__m128i product = _mm_clmulepi64_si128(
	    _mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)factor), 0);

	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Takes three parts. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t
crc32c_parts(uint32_t crc, const unsigned char *p)
{
	uint64_t a = crc, b = 0, c = 0, words[3];

	for (size_t i = 0; i < CRC32C_PART; i += sizeof(words[0])) {
		memcpy(&words[0], p + i, sizeof(words[0]));
		memcpy(&words[1], p + CRC32C_PART + i, sizeof(words[1]));
		memcpy(&words[2], p + 2 * CRC32C_PART + i, sizeof(words[2]));
		a = _mm_crc32_u64(a, words[0]);
		b = _mm_crc32_u64(b, words[1]);
		c = _mm_crc32_u64(c, words[2]);
	}
	return crc32c_times((uint32_t)a, CRC32C_PAST_2PARTS) ^
	       crc32c_times((uint32_t)b, CRC32C_PAST_PART) ^ (uint32_t)c;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t
crc32c_hardware(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t wide, word;

	for (; n >= (size_t)3 * CRC32C_PART;
	     n -= (size_t)3 * CRC32C_PART, p += (size_t)3 * CRC32C_PART)
		crc = crc32c_parts(crc, p);
	wide = crc;
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
	return __builtin_cpu_supports("sse4.2") &&
	       __builtin_cpu_supports("pclmul");
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
