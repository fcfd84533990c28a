/* CRC-32C against the values of RFC 3720 B.4, and against a bit by bit one. */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint32_t
crc32c_test_slow(const char *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned char)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void
crc32c_test_known(void **state)
{
	char bytes[32];

	assert_int_equal(crc32c(0, STR("")), 0);
	assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
	/* RFC 3720 B.4, there byte by byte. */
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, str_of(bytes, 32)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, str_of(bytes, 32)), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (char)i;
	assert_int_equal(crc32c(0, str_of(bytes, 32)), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		bytes[i] = (char)(31 - i);
	assert_int_equal(crc32c(0, str_of(bytes, 32)), 0x113fdb5c);
}

/* Every length and place, whole and in two parts. */
static void
crc32c_test_parts(void **state)
{
	char bytes[80];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 11);
	for (size_t from = 0; from < 9; from++)
		for (size_t size = 0; size <= 64; size++) {
			struct str all = str_of(bytes + from, size);
			uint32_t want = crc32c_test_slow(all.data, size);

			assert_int_equal(crc32c(0, all), want);
			for (size_t cut = 0; cut <= size; cut += 7)
				assert_int_equal(
				    crc32c(crc32c(0, str_head(all, cut)),
					str_skip(all, cut)),
				    want);
		}
}

/* What is long enough to be reckoned in parts side by side. */
static void
crc32c_test_long(void **state)
{
	static char bytes[3 * 3072 + 100];
	static const size_t sizes[] = {
	    3071, 3072, 3073, 3080, 6143, 6144, 6151, 9216, 3 * 3072 + 91};
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (char)(seed >> 24);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t from = 0; from < 9; from++) {
			struct str all = str_of(bytes + from, sizes[i]);
			uint32_t want = crc32c_test_slow(all.data, all.size);

			assert_int_equal(crc32c(0, all), want);
			assert_int_equal(crc32c(crc32c(0, str_head(all, 5)),
					     str_skip(all, 5)),
			    want);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc32c_test_known),
	    cmocka_unit_test(crc32c_test_parts),
	    cmocka_unit_test(crc32c_test_long),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
